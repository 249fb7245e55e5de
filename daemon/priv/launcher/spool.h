/* A worker's files: STATE/workers/w-N/ {raw index stderr exit meta config.toml}, root's own,
 * readable by the supervisor's group but for meta. The keeper gets descriptors of the first four.
 */
#pragma once

#include "wire-keeper.h"
#include "wire-launch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPOOL_META_MAGIC   0x6174656du /* "meta" */
#define SPOOL_META_VERSION 1u

struct spool_meta { /* what a later launcher must know of a worker; fixed size, additive */
        uint32_t magic, version;
        uint64_t worker, job, generation, device, inode;
        uint64_t started_usec, spawn_usec;
        uint32_t uid, gid, keeper_pid, codex_pid; /* pids: as the host sees them */
        uint8_t digest[WIRE_DIGEST_SIZE];
        char workspace[NAME_WORKSPACE_MAX + 8];
        char codex_version[32];
        struct wire_identity identity;
};

struct spool {
        int dir, raw, index, stderr_, exit;
};
#define SPOOL_NONE                                                                                 \
        {                                                                                          \
                -EBADF, -EBADF, -EBADF, -EBADF, -EBADF                                             \
        }

int spool_make(int workers, uint64_t worker, gid_t group, struct spool *ret);
void spool_close(struct spool *spool);
int spool_write_file(int dir, const char *name, mode_t mode, const void *bytes, size_t n);
int spool_write_meta(int dir, const struct spool_meta *meta);
/* -ENOENT: released, or none; -EBADMSG: not ours. */
int spool_read_meta(int workers, uint64_t worker, struct spool_meta *ret);
/* 0, or -ENODATA: the keeper left none. */
int spool_read_exit(int workers, uint64_t worker, struct keeper_exit *ret);
bool spool_has_output(int workers, uint64_t worker);
int spool_release(int workers, uint64_t worker); /* removes meta: its end is not told again */
int spool_forget(int workers, uint64_t worker);  /* removes all of it; -EBUSY before release */
/* Calls `each` for every w-N; gives the largest N seen. */
int spool_scan(int workers, void (*each)(void *data, uint64_t worker), void *data,
               uint64_t *ret_last);
