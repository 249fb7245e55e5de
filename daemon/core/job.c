#include "job.h"
#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TO(s) (1U << (s))

static const struct {
        const char *name;
        unsigned next;
} states[_JOB_STATE_MAX] = {
        [JOB_QUEUED] = {"queued", TO(JOB_STARTING) | TO(JOB_FINISHED)},
        [JOB_STARTING] = {"starting", TO(JOB_RUNNING) | TO(JOB_CANCELLING) | TO(JOB_FINISHED)},
        [JOB_RUNNING] = {"running", TO(JOB_CANCELLING) | TO(JOB_FINISHED)},
        [JOB_CANCELLING] = {"cancelling", TO(JOB_FINISHED)},
        [JOB_FINISHED] = {"finished", 0},
};

static const char *const results[_JOB_RESULT_MAX] = {
        [JOB_NO_RESULT] = "",        [JOB_OK] = "ok",
        [JOB_FAILED] = "failed",     [JOB_CANCELLED] = "cancelled",
        [JOB_DEADLINE] = "deadline", [JOB_TIMEOUT] = "timeout",
        [JOB_STALLED] = "stalled",   [JOB_SPAWN_FAILED] = "spawn-failed",
        [JOB_QUOTA] = "quota",       [JOB_LOST] = "lost",
};

static const char *const classes[_JOB_CLASS_MAX] = {
        [JOB_CHAT] = "chat",
        [JOB_AUTOMATION] = "automation",
};
/* One numbering: a class's limits are found by it. */
_Static_assert((int) JOB_CHAT == (int) SETTINGS_CHAT, "job classes are the settings' classes");
_Static_assert((int) JOB_AUTOMATION == (int) SETTINGS_AUTOMATION, "and no others");
_Static_assert((int) _JOB_CLASS_MAX == (int) _SETTINGS_CLASS_MAX, "and no others");

const char *job_state_name(enum job_state state)
{
        return states[state].name;
}

const char *job_result_name(enum job_result result)
{
        return results[result];
}

const char *job_class_name(enum job_class class)
{
        return classes[class];
}

int job_state_from_name(const char *name)
{
        for (int i = 0; i < _JOB_STATE_MAX; i++)
                if (strcmp(states[i].name, name) == 0)
                        return i;
        return -EINVAL;
}

int job_result_from_name(const char *name)
{
        for (int i = JOB_NO_RESULT + 1; i < _JOB_RESULT_MAX; i++)
                if (strcmp(results[i], name) == 0)
                        return i;
        return -EINVAL;
}

int job_class_from_name(const char *name)
{
        for (int i = 0; i < _JOB_CLASS_MAX; i++)
                if (strcmp(classes[i], name) == 0)
                        return i;
        return -EINVAL;
}

/* UUIDs are compared as text from here on, so they have one form. */
static void copy_lower(char *to, const char *from)
{
        for (; *from; from++)
                *to++ = *from >= 'A' && *from <= 'Z' ? (char) (*from - 'A' + 'a') : *from;
        *to = '\0';
}

int job_new(struct job **ret, const struct job_spec *spec, uint64_t now)
{
        _cleanup_(job_freep) struct job *job = NULL;
        bool resume = spec->thread_id && spec->thread_id[0];

        if (spec->id == 0 || !spec->workspace || !name_is_workspace(spec->workspace) ||
            (unsigned) spec->class >= _JOB_CLASS_MAX || (resume && !name_is_uuid(spec->thread_id)))
                return -EINVAL;

        job = calloc(1, sizeof *job);
        if (!job)
                return -ENOMEM;
        job->owner = strdup(spec->owner ? spec->owner : "");
        if (!job->owner)
                return -ENOMEM;
        job->id = spec->id;
        memcpy(job->workspace, spec->workspace, strlen(spec->workspace) + 1);
        if (resume)
                copy_lower(job->thread_id, spec->thread_id);
        job->uid = spec->uid;
        job->gid = spec->gid;
        job->class = spec->class;
        job->workspace_max = spec->workspace_max;
        job->limits = spec->limits;
        job->state = JOB_QUEUED;
        job->queued_usec = now;
        *ret = TAKE_PTR(job);
        return 0;
}

struct job *job_free(struct job *job)
{
        if (!job)
                return NULL;
        assert(!job->place); /* its pool would keep a dangling link */
        free(job->owner);
        free(job);
        return NULL;
}

/* The only writer of job->state: whoever moves a job, it is checked, dated and told here. */
static void job_set_state(struct job *job, enum job_state next, uint64_t now)
{
        enum job_state before = job->state;

        assert(states[before].next & TO(next)); /* else the bug is ours, not a client's */
        job->state = next;
        switch (next) {
        case JOB_STARTING:
                job->starting_usec = now;
                break;
        case JOB_RUNNING:
                job->running_usec = now;
                break;
        case JOB_CANCELLING:
                job->cancelling_usec = now;
                break;
        case JOB_FINISHED:
                job->finished_usec = now;
                break;
        case JOB_QUEUED:
        case _JOB_STATE_MAX:
                assert(!"no state to go to");
        }
        if (job->on_state)
                job->on_state(job, before, job->on_state_data);
}

static void set_result(struct job *job, enum job_result result, const struct error *error)
{
        assert(result > JOB_NO_RESULT && result < _JOB_RESULT_MAX);
        job->result = result;
        if (error)
                job->error = *error;
}

void job_start(struct job *job, uint64_t now)
{
        job_set_state(job, JOB_STARTING, now);
}

void job_started(struct job *job, uint64_t worker, uint64_t now)
{
        assert(worker != 0 && job->worker == 0);
        job->worker = worker;
        if (job->state == JOB_CANCELLING)
                return;
        job->progress_usec = now;
        job_set_state(job, JOB_RUNNING, now);
}

void job_progress(struct job *job, uint64_t now)
{
        job->progress_usec = MAX(job->progress_usec, now);
}

int job_thread_started(struct job *job, const char *thread_id, uint64_t now, struct error *err)
{
        char id[sizeof job->thread_id];

        if (!name_is_uuid(thread_id))
                return error_set(err, ERROR_CODEX_GARBAGE, "thread.started names no UUID");
        copy_lower(id, thread_id);
        if (job->thread_id[0] && strcmp(job->thread_id, id) != 0)
                return error_set(err, ERROR_THREAD_MISMATCH,
                                 "thread %s was asked for, Codex opened %s", job->thread_id, id);
        memcpy(job->thread_id, id, sizeof id);
        job->thread_seen = true;
        job_progress(job, now);
        return 0;
}

int job_cancel(struct job *job, enum job_result result, const struct error *error, uint64_t now)
{
        if (job->state == JOB_CANCELLING || job->state == JOB_FINISHED)
                return -EALREADY;
        set_result(job, result, error);
        job_set_state(job, job->state == JOB_QUEUED ? JOB_FINISHED : JOB_CANCELLING, now);
        return 0;
}

void job_kill(struct job *job)
{
        job->killed = true;
}

void job_finish(struct job *job, enum job_result result, const struct error *error, uint64_t now)
{
        /* The first cause is the answer: what a cancelled turn printed on its way out (an error, a
         * signal, even turn.completed) is its consequence, or came too late. */
        if (job->state != JOB_CANCELLING)
                set_result(job, result, error);
        job_set_state(job, JOB_FINISHED, now);
}

static const struct {
        unsigned states; /* in which it can fire */
        enum job_result result;
        enum error_kind kind;
} limits[_JOB_LIMIT_MAX] = {
        [JOB_LIMIT_QUEUE] = {TO(JOB_QUEUED), JOB_DEADLINE, ERROR_DEADLINE},
        [JOB_LIMIT_DEADLINE] = {TO(JOB_QUEUED) | TO(JOB_STARTING) | TO(JOB_RUNNING), JOB_DEADLINE,
                                ERROR_DEADLINE},
        [JOB_LIMIT_START] = {TO(JOB_STARTING) | TO(JOB_RUNNING), JOB_FAILED, ERROR_CODEX_HUNG},
        [JOB_LIMIT_WALL_CLOCK] = {TO(JOB_STARTING) | TO(JOB_RUNNING), JOB_TIMEOUT,
                                  ERROR_WALL_CLOCK},
        [JOB_LIMIT_NO_PROGRESS] = {TO(JOB_RUNNING), JOB_STALLED, ERROR_NO_PROGRESS},
        [JOB_LIMIT_KILL] = {TO(JOB_CANCELLING), JOB_NO_RESULT, ERROR_NONE},
};

/* When a limit fires if its state lasts; UINT64_MAX: not set, or passed for good. */
static uint64_t limit_at(const struct job *job, enum job_limit limit)
{
        const struct job_limits *l = &job->limits;
        uint64_t from = 0, usec = 0, at;

        switch (limit) {
        case JOB_LIMIT_QUEUE:
                from = job->queued_usec;
                usec = l->queue_usec;
                break;
        case JOB_LIMIT_DEADLINE:
                from = job->queued_usec;
                usec = l->deadline_usec;
                break;
        case JOB_LIMIT_START:
                from = job->starting_usec;
                usec = job->thread_seen ? 0 : l->start_usec;
                break;
        case JOB_LIMIT_WALL_CLOCK:
                from = job->starting_usec;
                usec = l->wall_clock_usec;
                break;
        case JOB_LIMIT_NO_PROGRESS:
                from = job->progress_usec;
                usec = l->no_progress_usec;
                break;
        case JOB_LIMIT_KILL:
                if (job->killed)
                        return UINT64_MAX;
                if (l->kill_grace_usec == 0)
                        return job->cancelling_usec;
                from = job->cancelling_usec;
                usec = l->kill_grace_usec;
                break;
        case JOB_LIMIT_NONE:
        case _JOB_LIMIT_MAX:
                break;
        }
        if (usec == 0 || __builtin_add_overflow(from, usec, &at))
                return UINT64_MAX;
        return at;
}

enum job_limit job_next_limit(const struct job *job, uint64_t *ret_at)
{
        enum job_limit next = JOB_LIMIT_NONE;

        *ret_at = UINT64_MAX;
        for (int i = JOB_LIMIT_NONE + 1; i < _JOB_LIMIT_MAX; i++) {
                uint64_t at;

                if (!(limits[i].states & TO(job->state)))
                        continue;
                at = limit_at(job, (enum job_limit) i);
                if (at < *ret_at) {
                        *ret_at = at;
                        next = (enum job_limit) i;
                }
        }
        return next;
}

enum job_result job_limit_result(const struct job *job, enum job_limit limit, struct error *error)
{
        const uint64_t second = 1000000;
        enum error_kind kind = limits[limit].kind;

        switch (limit) {
        case JOB_LIMIT_QUEUE:
                (void) error_set_key(error, kind, "queue_deadline_s",
                                     "no slot was free within %" PRIu64 " s",
                                     job->limits.queue_usec / second);
                break;
        case JOB_LIMIT_DEADLINE:
                (void) error_set_key(error, kind, "deadline_s",
                                     "the job's own deadline of %" PRIu64 " s passed while %s",
                                     job->limits.deadline_usec / second, states[job->state].name);
                break;
        case JOB_LIMIT_START:
                (void) error_set_key(error, kind, "start_timeout_s",
                                     "Codex named no thread within %" PRIu64 " s of its start",
                                     job->limits.start_usec / second);
                break;
        case JOB_LIMIT_WALL_CLOCK:
                (void) error_set_key(error, kind, "wall_clock_s",
                                     "a turn of class %s may last %" PRIu64 " s",
                                     classes[job->class], job->limits.wall_clock_usec / second);
                break;
        case JOB_LIMIT_NO_PROGRESS:
                (void) error_set_key(error, kind, "no_progress_s",
                                     "no event for %" PRIu64 " s, the limit of class %s",
                                     job->limits.no_progress_usec / second, classes[job->class]);
                break;
        case JOB_LIMIT_KILL: /* ends no job */
        case JOB_LIMIT_NONE:
        case _JOB_LIMIT_MAX:
                assert(!"no limit that ends a job");
        }
        return limits[limit].result;
}
