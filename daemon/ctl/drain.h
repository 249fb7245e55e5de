/* Waiting until nothing of any job runs, by the kernel's word alone: the cgroups below the workers'
 * unit. It works while codexd is stopped, and never starts it: as codexd-workers.service's
 * ExecStop= it runs after codexd.service is down, and a connection to the socket would start that
 * again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a launcher lives: it holds an exclusive flock(2) on codexd.lock in the directory of its
 * socket for as long as it does, and nobody else ever takes one there. */
bool drain_launcher_lives(const char *socket);

/* Where codexd-workers.service's cgroup is: below the cgroup2 mount. 0, -ENOENT (no cgroup2),
 * -ENAMETOOLONG, -errno. */
int drain_workers_cgroup(char *ret, size_t size);

/* Waits until each DIR/w-N/job is empty, then a few seconds for their keepers to finish writing.
 * `deadline_ms` is of CLOCK_MONOTONIC, -1: none. `*ret_busy` is how many jobs there were at first.
 * A missing DIR is as empty as it gets. 0, -ETIMEDOUT, -errno. */
int drain_wait(const char *dir, int64_t deadline_ms, unsigned *ret_busy);

/* Ends what still runs, by each job's cgroup.kill: keepers are spared, to record how it ended.
 * Waits until all are gone, for a few seconds at most. 0, -ETIMEDOUT, -errno. */
int drain_kill(const char *dir);

int64_t drain_now_ms(void);
