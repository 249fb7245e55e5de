/* One worker, as the launcher sees it: from START to the moment its whole tree is gone and that was
 * told. Its slot is taken until the cgroup is empty, never until a timer says so. */
#pragma once

#include "launcher.h"

enum worker_state {
        WORKER_STARTING, /* the runner is under way: no byte of the prompt was given yet */
        WORKER_RUNNING,  /* verified; the keeper has its prompt */
        WORKER_ENDING,   /* the keeper is gone; waiting for the cgroup to be empty */
        WORKER_GONE,     /* told; waiting for RELEASE */
        _WORKER_STATE_MAX
};
const char *worker_state_name(enum worker_state state);

struct worker {
        struct list link; /* launcher::workers */
        struct launcher *launcher;
        enum worker_state state;
        struct spool_meta meta;
        uint64_t cookie; /* of START; 0 once answered */
        struct cgroup cgroup;
        int spool_dir, prompt, report, control;
        pid_t keeper, codex; /* as the host sees them; 0 unknown or ended */
        int keeper_pidfd, codex_pidfd;
        bool ours;    /* the keeper is our child, to be waited for */
        bool aborted; /* while it started: nothing of it is kept */
        bool history; /* aborted, but its files were somebody's once: they stay */
        struct wire_error why;
        uint32_t flags; /* WIRE_WORKER_* */
        int status;
        uint64_t ended_usec, received_usec; /* received: CLOCK_MONOTONIC */
        gid_t groups[RUNNER_GROUPS_MAX];
        size_t ngroups;
        struct { /* the last word of each side of the runner */
                bool seen;
                struct runner_report report;
        } reports[2];
        unsigned tries; /* of removing the cgroup */
        ev_io report_io, control_io, keeper_io;
        ev_timer timer;
};

/* worker.c */
struct worker *worker_new(struct launcher *launcher, uint64_t id);
struct worker *worker_free(struct worker *worker);
struct worker *worker_find(struct launcher *launcher, uint64_t id);
bool worker_takes_slot(const struct worker *worker);
void worker_set_state(struct worker *worker, enum worker_state next);
void worker_watch_keeper(struct worker *worker);
void worker_watch_control(struct worker *worker);
void worker_fill_started(const struct worker *worker, struct wire_started *ret);
void worker_fill_exited(const struct worker *worker, struct wire_exited *ret);
void worker_signal(struct worker *worker, enum wire_how how);
void worker_end(struct worker *worker); /* the keeper is gone: collect, wait for the cgroup, tell */
void worker_release(struct worker *worker);
uint64_t launcher_now_usec(int clock);

/* worker-start.c: STARTED or START_FAILED follows. Takes `prompt`. */
void worker_start(struct launcher *launcher, const struct wire_start *request, int prompt);
int worker_failed(struct error *err, const char *step,
                  int number); /* ERROR_SPAWN_FAILED; -number */

/* worker-verify.c: from the runner's reports to a verified worker with its prompt. */
void worker_watch_runner(struct worker *worker);
void worker_abort(struct worker *worker, const struct error *why); /* while STARTING only */

/* worker-adopt.c: at the launcher's own start, whatever an earlier one left. */
int worker_adopt_all(struct launcher *launcher, struct error *err);
