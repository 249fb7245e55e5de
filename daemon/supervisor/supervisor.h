/* The one top-level context. Parts of it are passed down; nothing else has file scope. */
#pragma once

#include "config.h"
#include "later.h"
#include "launch.h"
#include "offload.h"
#include "pool.h"
#include "report.h"
#include "version.h"
#include "watch.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server;

struct supervisor_options {
        const char *state_dir;
        gid_t group;   /* whose members may do everything but administer; (gid_t) -1: none */
        int launch_fd; /* taken */
};

struct supervisor {
        struct ev_loop *loop;
        struct laters laters;
        struct offload *parser, *disk;
        struct launch *launch;
        struct reporter *reporter;
        struct watches *watches;
        struct version *version;
        struct server *server;

        struct config *config; /* NULL until the first POLICY */
        uint64_t generation;

        struct pool *pool;
        struct list tasks;   /* task::link, by id */
        struct list asks;    /* ask::link: what the launcher has not answered yet */
        struct list drained; /* api.c's calls that wait until nothing runs or waits */
        uint64_t last_id;
        int jobs_fd, workers_fd;
        ev_timer limits; /* the next limit of a job (pool_next_limit) */

        struct { /* for Stats and STATUS= */
                uint64_t started_usec, finished, failed, events;
                uint32_t ended_kept; /* ended tasks in `tasks` */
        } counts;
        ev_timer status, retention;
        struct later schedule,
                drain; /* what tasks_schedule() and api_drained() do, from the loop */
        bool status_due;
        ev_signal terminate;

        gid_t group;
        int listen_fd;
        bool synced; /* all from before this process is known: jobs may start, clients come in */
        int result;  /* of supervisor_run */
};

/* Gives a supervisor that has loaded its jobs and said HELLO. Takes options->launch_fd in any case.
 */
int supervisor_new(struct supervisor **ret, struct ev_loop *loop,
                   const struct supervisor_options *options, struct error *err);
struct supervisor *supervisor_free(struct supervisor *sup);
DEFINE_CLEANUP(struct supervisor *, supervisor_free);
/* Until the launcher is gone (0), SIGTERM (0), or something made going on pointless. */
int supervisor_run(struct supervisor *sup);

const struct settings *supervisor_settings(const struct supervisor *sup);
uint64_t supervisor_now(const struct supervisor *sup); /* CLOCK_MONOTONIC, microseconds */
uint64_t supervisor_realtime(void);                    /* CLOCK_REALTIME, microseconds */

/* A question to the launcher, embedded in who waits for the answer (RESOLVED; STARTED or
 * START_FAILED; RELOADED). The answer may free the ask. */
struct ask {
        struct list link; /* supervisor::asks; zeroed: nothing is asked */
        uint64_t cookie;
        void (*answer)(struct ask *ask, const union wire_launch_any *message);
};
/* Puts the cookie into the message and sends it. 0 or -errno: then there will be no answer. */
int ask_send(struct supervisor *sup, struct ask *ask, uint32_t type, void *message, int fd);
void ask_cancel(struct ask *ask); /* an answer will find nobody */

/* A moment since the epoch on the clock of supervisor_now(): 1 if it was before that began. */
uint64_t supervisor_monotonic(const struct supervisor *sup, uint64_t realtime_usec);

/* The figures changed: WIRE_STATUS, at most once a second; and drained calls may be answered. */
void supervisor_changed(struct supervisor *sup);

/* What comes from the launcher: supervisor-wire.c. */
extern const struct launch_events supervisor_launch_events;
