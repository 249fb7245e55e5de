/* Between the launcher and the supervisor: a SOCK_SEQPACKET pair, one fixed-size struct a datagram,
 * descriptors by SCM_RIGHTS. The supervisor reads strangers' bytes, so the launcher believes
 * nothing in here: it checks the exact length of each type, a sequence number that only grows, the
 * generation of the policy, every name against its own configuration, and every worker against its
 * own table. A message that an honest supervisor could not have sent ends that supervisor; a
 * request that was merely refused gets an answer.
 *
 * Strings are NUL-terminated within their arrays and zero-filled after it. No message asks for a
 * uid, an absolute path or argv: START repeats what RESOLVED said, to be compared and refused,
 * never to be taken. Integers are the host's: both ends are of one build. Times are microseconds:
 * `_usec` since the epoch (CLOCK_REALTIME) unless said otherwise. */
#pragma once

#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_LAUNCH_MAGIC   0x78646f63u /* "codx" */
#define WIRE_LAUNCH_VERSION 1u
#define WIRE_DIGEST_SIZE    32
#define WIRE_CWD_MAX        1024

enum wire_type {
        /* supervisor to launcher */
        WIRE_HELLO =
                1, /* struct wire_hello: ready for work; the answer is POLICY, ADOPTED*, SYNCED */
        WIRE_PONG, /* struct wire_ping, as it came */
        WIRE_RESOLVE, /* struct wire_resolve: answered by RESOLVED */
        WIRE_START,   /* struct wire_start and 1 fd, the prompt: STARTED or START_FAILED */
        WIRE_SIGNAL,  /* struct wire_signal: no answer; EXITED and GONE tell */
        WIRE_RELEASE, /* struct wire_worker: the terminal event is durable; GONE is not repeated */
        WIRE_FORGET,  /* struct wire_worker: remove the output files of a released worker */
        WIRE_RELOAD,  /* struct wire_ping: answered by RELOADED, POLICY before it if it changed */
        WIRE_STATUS,  /* struct wire_status: figures for systemd's STATUS= */
        /* launcher to supervisor */
        WIRE_POLICY = 64,  /* struct wire_policy and 1 fd, a sealed memfd: core/config.h reads it */
        WIRE_LISTEN,       /* struct wire_ping and 1 fd: the clients' listening socket */
        WIRE_PING,         /* struct wire_ping */
        WIRE_RESOLVED,     /* struct wire_resolved */
        WIRE_STARTED,      /* struct wire_started: exec'ed, verified, the prompt is on its way */
        WIRE_START_FAILED, /* struct wire_failed: there is no worker */
        WIRE_ADOPTED,      /* struct wire_started: a worker from before; GONE follows if it ended */
        WIRE_EXITED,       /* struct wire_exited: Codex ended, its tree may not have */
        WIRE_GONE,     /* struct wire_exited: the whole tree is gone, all output is in the files */
        WIRE_RELOADED, /* struct wire_failed: kind ERROR_NONE, or why the old state was kept */
        WIRE_SYNCED,   /* struct wire_ping: all that was known before HELLO has been told */
        WIRE_NOTICE,   /* struct wire_exited: output quota reached, or stdout closed: see flags */
};

struct wire_header {
        uint32_t magic, version;
        uint32_t type, size; /* size of the whole message, this header included */
        uint64_t sequence;   /* strictly growing in each direction, from 1 */
};

struct wire_hello {
        struct wire_header header;
        uint32_t pid; /* of the supervisor; informative */
        uint32_t reserved;
};

struct wire_ping {
        struct wire_header header;
        uint64_t cookie;
};

struct wire_worker {
        struct wire_header header;
        uint64_t worker;
};

/* What a job asks for; each can only narrow its workspace's policy. Zero: as the policy says. */
struct wire_wish {
        uint32_t sandbox_mode;        /* enum policy_sandbox_mode + 1 */
        uint32_t network_access;      /* 1 false, 2 true */
        uint32_t approval_policy;     /* enum policy_approval + 1 */
        uint32_t skip_git_repo_check; /* 1 false, 2 true */
        char model[NAME_MODEL_MAX + 1];
        char pad[7];
};

struct wire_resolve {
        struct wire_header header;
        uint64_t cookie, generation;
        char workspace[NAME_WORKSPACE_MAX + 8];
        struct wire_wish wish;
        char cwd[WIRE_CWD_MAX]; /* relative to the workspace; "" is the workspace itself */
};

struct wire_error { /* struct error, in fixed types */
        uint32_t kind, number;
        char step[24], key[64], message[360];
};

struct wire_resolved {
        struct wire_header header;
        uint64_t cookie, generation;
        struct wire_error error; /* kind ERROR_NONE: the rest holds */
        uint32_t uid, gid;
        uint64_t device, inode;           /* of the workspace's directory */
        uint8_t digest[WIRE_DIGEST_SIZE]; /* of the effective policy, after narrowing */
        char user[64];                    /* login name, or the uid in decimal; informative */
};

struct wire_start {
        struct wire_header header;
        uint64_t cookie, generation, job;
        char workspace[NAME_WORKSPACE_MAX + 8];
        struct wire_wish wish;
        char cwd[WIRE_CWD_MAX];
        char thread_id[NAME_UUID_LENGTH + 4]; /* "" starts a new thread */
        uint64_t device, inode;               /* as RESOLVED said: a swapped directory is refused */
        uint32_t uid, gid;                    /* as RESOLVED said: so is one that was given away */
        uint8_t digest[WIRE_DIGEST_SIZE];     /* as RESOLVED said */
};

/* The identity that the launcher read back from /proc after exec. */
struct wire_identity {
        uint32_t uid, gid, ngroups, no_new_privs, seccomp,
                capabilities; /* capabilities: 0 = all five sets empty */
};

struct wire_started {
        struct wire_header header;
        uint64_t cookie; /* of START; 0 in ADOPTED */
        uint64_t worker, job, generation;
        uint32_t pid;   /* Codex's, as the host sees it; 0 once it ended */
        uint32_t flags; /* WIRE_WORKER_* */
        uint64_t started_usec;
        uint64_t spawn_usec; /* START received -> verified, a duration */
        uint8_t digest[WIRE_DIGEST_SIZE];
        char workspace[NAME_WORKSPACE_MAX + 8];
        char codex_version[32];
        struct wire_identity identity;
};

struct wire_failed {
        struct wire_header header;
        uint64_t cookie;
        struct wire_error error;
};

enum {
        WIRE_WORKER_HAS_STATUS = 1 << 0,    /* `status` is valid; else the keeper died first */
        WIRE_WORKER_QUOTA = 1 << 1,         /* job_output_max reached; the rest was discarded */
        WIRE_WORKER_STDOUT_CLOSED = 1 << 2, /* Codex closed stdout and lives on */
        WIRE_WORKER_UNKILLABLE = 1 << 3,    /* given up: a process would not die (D state) */
        WIRE_WORKER_ADOPT_FAILED = 1 << 4,  /* its keeper could not be reached again; killed */
        WIRE_WORKER_ESCALATED = 1 << 5,     /* cgroup.kill was needed */
        WIRE_WORKER_OOM = 1 << 6,           /* the kernel's OOM killer acted in the job's cgroup */
};

struct wire_exited {
        struct wire_header header;
        uint64_t worker, job;
        int32_t status; /* as wait(2) gives it */
        uint32_t flags;
        uint64_t ended_usec;
};

enum wire_how {
        WIRE_INTERRUPT =
                1,      /* SIGINT to Codex: `codex exec` ignores SIGTERM as PID 1 and ends on INT */
        WIRE_TERMINATE, /* SIGTERM to Codex */
        WIRE_KILL,      /* cgroup.kill on the job: everything at once */
};

struct wire_signal {
        struct wire_header header;
        uint64_t worker;
        uint32_t how; /* enum wire_how */
        uint32_t reserved;
};

struct wire_policy {
        struct wire_header header;
        uint64_t generation;
};

struct wire_status {
        struct wire_header header;
        uint32_t running, queued, clients, draining;
        uint64_t finished;
};

/* The size of a type's message, or 0 for a type that is not of that direction. */
size_t wire_launch_size(uint32_t type, bool from_supervisor);
/* How many descriptors come with it. */
size_t wire_launch_fds(uint32_t type);
/* Whether these bytes are one well-formed message: magic, version, type, exact size, terminated
 * strings. `*sequence` is the last one seen and is moved on. Returns 0, -EPROTO, or -EBADMSG for a
 * sequence that did not grow. */
int wire_launch_check(const void *bytes, size_t n, bool from_supervisor, uint64_t *sequence);
/* Fills the header; `message` is zeroed by the caller before its fields are set. */
void wire_launch_seal(void *message, uint32_t type, uint64_t *sequence);

#define WIRE_LAUNCH_MAX sizeof(union wire_launch_any)
union wire_launch_any {
        struct wire_header header;
        struct wire_hello hello;
        struct wire_ping ping;
        struct wire_worker worker;
        struct wire_resolve resolve;
        struct wire_resolved resolved;
        struct wire_start start;
        struct wire_started started;
        struct wire_failed failed;
        struct wire_exited exited;
        struct wire_signal signal;
        struct wire_policy policy;
        struct wire_status status;
};
