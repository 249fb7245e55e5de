/* From a fresh child of the launcher to a worker: PID 1, which becomes the keeper, and the job,
 * which becomes Codex. Two tables of named steps; each failure is reported by step and errno, and
 * then there is no worker. The plan is complete before clone3(2): in here nothing is allocated,
 * parsed or looked up by name outside the worker's own root. */
#pragma once

#include "wire-keeper.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUNNER_GROUPS_MAX 64

enum runner_who { RUNNER_INIT, RUNNER_JOB };

/* Sent over the report socket, SOCK_SEQPACKET: the kernel adds the sender's pid (SCM_CREDENTIALS).
 */
struct runner_report {
        uint32_t who;    /* enum runner_who */
        uint32_t step;   /* into that table; the last one is "exec" */
        int32_t number;  /* 0, or errno */
        char detail[52]; /* what exactly, for a person; may be "" */
};

/* Borrowed for the time of the call; every path is absolute and without symlinks. */
struct runner_plan {
        uid_t uid, keeper_uid;
        gid_t gid, keeper_gid;
        gid_t groups[RUNNER_GROUPS_MAX]; /* of the job: exactly these, besides gid */
        size_t ngroups;

        int job_cgroup; /* descriptor of the job's leaf; -EBADF: no cgroup */
        int report;     /* our end of the report socket */
        int keeper_fds[KEEPER_FD_END - KEEPER_FD_CONTROL]; /* in the order of wire-keeper.h */
        int job_fds[3];                                    /* stdin, stdout, stderr */
        int output_max_pipe;

        const char *workspace; /* its directory */
        uint64_t device, inode;
        const char *cwd; /* relative to the workspace; "" is itself */

        const char *run_dir, *state_dir, *config_dir; /* covered, so that the job sees none of it */
        const char *codex_home;                       /* below run_dir: a fresh one */
        const char *sessions_dir, *sqlite_dir;        /* what persists: bound into it */
        const char *config_toml;                      /* bound into it, read-only */
        const char *hide[4]; /* further sockets or files to cover; NULL-terminated */

        const char *keeper_path;
        char *const *keeper_argv; /* its last argument is a buffer of 16 for the job's pid */
        char *pid_argument;
        const char *path; /* Codex */
        char *const *argv, *const *envp;
};

const char *runner_step_name(uint32_t who, uint32_t step); /* "?" for what is no step; static */

/* What PID 1 of the worker runs, right after clone3(2); does not return. */
_Noreturn void runner_main(const struct runner_plan *plan);

/* Parts of runner-mounts.c and runner-identity.c: 0 or negative errno. */
int runner_mounts(const struct runner_plan *plan);
int runner_open_cwd(
        const struct runner_plan *plan); /* gives a descriptor, checked against the plan */
int runner_inherited(const struct runner_plan *plan);
int runner_limits(const struct runner_plan *plan);
int runner_securebits(const struct runner_plan *plan);
int runner_bounding_set(const struct runner_plan *plan);
int runner_identity(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups);
int runner_capabilities(const struct runner_plan *plan);
int runner_no_new_privs(const struct runner_plan *plan);
int runner_self_test(const struct runner_plan *plan);
