/* A job: one turn that a client asked for, from the queue to its one terminal result. Knows its
 * state, its limits and why it ends; pool.h decides when it starts. No fd, no loop, no clock: `now`
 * and all times are microseconds of CLOCK_MONOTONIC, given by the caller and never going back.
 *
 * A job from before a restart is made anew by the same calls with the times of then. */
#pragma once

#include "cleanup.h"
#include "error.h"
#include "list.h"
#include "name.h"

#include <stdbool.h>
#include <stdint.h>

enum job_state {
        JOB_QUEUED,
        JOB_STARTING,   /* it has a slot; the launcher was asked */
        JOB_RUNNING,    /* exec'ed and verified */
        JOB_CANCELLING, /* its end is decided, its process tree may live */
        JOB_FINISHED,   /* for good: exactly once */
        _JOB_STATE_MAX
};

enum job_result {
        JOB_NO_RESULT, /* not finished */
        JOB_OK,
        JOB_FAILED,
        JOB_CANCELLED,
        JOB_DEADLINE,     /* the queue's or the job's own */
        JOB_TIMEOUT,      /* wall clock of its class */
        JOB_STALLED,      /* no progress */
        JOB_SPAWN_FAILED, /* there never was a worker */
        JOB_QUOTA,
        JOB_LOST,
        _JOB_RESULT_MAX
};

enum job_class { JOB_CHAT, JOB_AUTOMATION, _JOB_CLASS_MAX }; /* as enum settings_class_id */

/* Words of the protocol and the journal; static. The reverse gives -EINVAL for another word. */
const char *job_state_name(enum job_state state);    /* "queued" */
const char *job_result_name(enum job_result result); /* "spawn-failed"; "" for JOB_NO_RESULT */
const char *job_class_name(enum job_class class);    /* "chat" */
int job_state_from_name(const char *name);
int job_result_from_name(const char *name);
int job_class_from_name(const char *name);

/* What can end a job by itself. Where two fall on one moment, the first of this list is told. */
enum job_limit {
        JOB_LIMIT_NONE,
        JOB_LIMIT_QUEUE,       /* still queued `queue_usec` after it was accepted */
        JOB_LIMIT_DEADLINE,    /* `deadline_usec` after it was accepted, in whatever state */
        JOB_LIMIT_START,       /* no thread.started `start_usec` after its start */
        JOB_LIMIT_WALL_CLOCK,  /* `wall_clock_usec` after its start */
        JOB_LIMIT_NO_PROGRESS, /* `no_progress_usec` after its last event (or start) */
        JOB_LIMIT_KILL, /* cancelling for `kill_grace_usec`: kill the tree, do not end the job */
        _JOB_LIMIT_MAX
};

struct job_limits { /* durations in microseconds; 0: no such limit (kill_grace_usec 0: at once) */
        uint64_t queue_usec, deadline_usec, start_usec, wall_clock_usec, no_progress_usec;
        uint64_t kill_grace_usec;
};

struct job_spec {
        uint64_t id;
        const char *workspace; /* copied, as all strings here */
        uint32_t uid, gid;
        const char *owner; /* whom the turn is for; NULL or "": nobody said */
        enum job_class class;
        const char *thread_id;  /* resume this one; NULL or "": a new thread */
        uint32_t workspace_max; /* jobs of its workspace with a slot at once, by its policy; 0: no
                                   cap */
        struct job_limits limits;
};

struct pool_workspace;

/* Read freely; job.c writes it, but for the last block. */
struct job {
        uint64_t id;
        char workspace[NAME_WORKSPACE_MAX + 1];
        char thread_id[NAME_UUID_LENGTH + 1]; /* lower case; "" until thread.started names it */
        char *owner;                          /* never NULL */
        uint32_t uid, gid, workspace_max;
        enum job_class class;
        struct job_limits limits;

        enum job_state state;
        enum job_result
                result; /* while cancelling: what it will be; else JOB_NO_RESULT until the end */
        struct error error; /* beside it: ERROR_NONE when ok */
        uint64_t worker;    /* 0: none yet */
        bool thread_seen;   /* thread.started came */
        bool killed;        /* job_kill was called */

        /* When it got there, `now` of the call; valid once the state was reached. */
        uint64_t queued_usec, starting_usec, running_usec, cancelling_usec, finished_usec;
        uint64_t progress_usec; /* of the last event */

        /* Told after each change of state, by job_new's caller's leave; set it right after job_new.
         */
        void (*on_state)(struct job *job, enum job_state before, void *data);
        void *on_state_data;

        struct list link; /* pool::queue or pool::slots; pool.c's, like those below */
        struct pool_workspace *place;
        bool has_slot;
        uint64_t slot_usec; /* since when */
};

/* A queued job. 0, -EINVAL (no or bad workspace, id 0, a thread id that is no UUID) or -ENOMEM. */
int job_new(struct job **ret, const struct job_spec *spec, uint64_t now);
struct job *job_free(struct job *job); /* NULL is fine; it must have left its pool */
DEFINE_CLEANUP(struct job *, job_free);

/* The slot is there and the launcher is being asked: QUEUED -> STARTING. pool_next does this. */
void job_start(struct job *job, uint64_t now);
/* The worker lives: STARTING -> RUNNING. A job that was cancelled meanwhile only learns its worker
 * and stays CANCELLING: the caller then signals the worker, or kills it if job->killed. */
void job_started(struct job *job, uint64_t worker, uint64_t now);
/* An event came from its worker. */
void job_progress(struct job *job, uint64_t now);
/* thread.started names the thread. ERROR_THREAD_MISMATCH if another was asked for,
 * ERROR_CODEX_GARBAGE if it is no UUID. pool_thread_started does this and more. */
int job_thread_started(struct job *job, const char *thread_id, uint64_t now, struct error *err);

/* Its end is decided (a client's Cancel, a limit, the quota): QUEUED -> FINISHED, STARTING and
 * RUNNING
 * -> CANCELLING; `result` and `error` (NULL for none) are kept and no later cause replaces them. 0,
 * or -EALREADY if it was cancelling or finished: nothing changed. */
int job_cancel(struct job *job, enum job_result result, const struct error *error, uint64_t now);
/* The grace is over and the tree is being killed: JOB_LIMIT_KILL does not fire again. */
void job_kill(struct job *job);
/* Nothing of it runs any more: -> FINISHED, with this result unless job_cancel had set another. */
void job_finish(struct job *job, enum job_result result, const struct error *error, uint64_t now);

/* Which limit is the next to fire, and when: it has fired if *ret_at <= now. Pure. JOB_LIMIT_NONE
 * and UINT64_MAX when there is none. An event only ever moves it to a later time. */
enum job_limit job_next_limit(const struct job *job, uint64_t *ret_at);
/* What a job that ran into this limit ends as, with `error` set to say so; for job_cancel. */
enum job_result job_limit_result(const struct job *job, enum job_limit limit, struct error *error);
