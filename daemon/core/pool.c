#include "pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the pool knows of a workspace while it has jobs in here. */
struct pool_workspace {
        struct list link; /* pool::workspaces */
        char name[NAME_WORKSPACE_MAX + 1];
        uint32_t jobs, running;
        uint64_t passed_over; /* pool::pass in which an earlier job of it had to wait */
};

struct pool {
        struct pool_limits limits;
        struct list queue; /* job::link, oldest first */
        struct list slots; /* job::link */
        struct list workspaces;
        uint32_t queued, running;
        uint64_t pass;
        uint64_t average_usec; /* of how long a slot was held; 0 unknown */
        bool draining;
};

int pool_new(struct pool **ret, const struct pool_limits *limits)
{
        struct pool *pool = calloc(1, sizeof *pool);

        if (!pool)
                return -ENOMEM;
        pool->limits = *limits;
        list_init(&pool->queue);
        list_init(&pool->slots);
        list_init(&pool->workspaces);
        *ret = pool;
        return 0;
}

static void let_go(struct pool *pool, struct job *job)
{
        struct pool_workspace *place = TAKE_PTR(job->place);

        job->has_slot = false;
        list_remove(&job->link);
        if (--place->jobs == 0) {
                list_remove(&place->link);
                free(place);
        }
}

struct pool *pool_free(struct pool *pool)
{
        if (!pool)
                return NULL;
        LIST_FOREACH (job, &pool->queue, struct job, link)
                let_go(pool, job);
        LIST_FOREACH (job, &pool->slots, struct job, link)
                let_go(pool, job);
        free(pool);
        return NULL;
}

void pool_set_limits(struct pool *pool, const struct pool_limits *limits)
{
        pool->limits = *limits;
}

void pool_set_draining(struct pool *pool, bool draining)
{
        pool->draining = draining;
}

/* Seconds until it may be worth trying again: when that many slots will have turned over, if turns
 * last as they did. Never a promise. */
static uint32_t retry_after(const struct pool *pool, uint64_t turns)
{
        const uint64_t second = 1000000,
                       average = pool->average_usec ? pool->average_usec : 30 * second;
        uint64_t seconds;

        seconds = average / second * turns / MAX(pool->limits.max_workers, 1U);
        return (uint32_t) MIN(MAX(seconds, 1U), 300U);
}

static struct pool_workspace *find_workspace(const struct pool *pool, const char *name)
{
        LIST_FOREACH (place, &pool->workspaces, struct pool_workspace, link)
                if (strcmp(place->name, name) == 0)
                        return place;
        return NULL;
}

struct job *pool_find_thread(const struct pool *pool, const char *thread_id)
{
        if (!thread_id[0]) /* a new thread is nobody's */
                return NULL;
        LIST_FOREACH (job, &pool->slots, struct job, link)
                if (strcasecmp(job->thread_id, thread_id) == 0)
                        return job;
        LIST_FOREACH (job, &pool->queue, struct job, link)
                if (strcasecmp(job->thread_id, thread_id) == 0)
                        return job;
        return NULL;
}

static bool at_cap(const struct pool_workspace *place, uint32_t max)
{
        return place && max > 0 && place->running >= max;
}

/* The one place that says who is next; the queue's order is all there is so far. */
static struct job *pick(struct pool *pool, uint64_t now)
{
        uint64_t pass = ++pool->pass;

        if (pool->running >= pool->limits.max_workers)
                return NULL;
        LIST_FOREACH (job, &pool->queue, struct job, link) {
                uint64_t at;

                if (job->state != JOB_QUEUED || job->place->passed_over == pass)
                        continue;
                (void) job_next_limit(job, &at);
                if (at <= now) /* it is over: it holds nobody up */
                        continue;
                if (!at_cap(job->place, job->workspace_max))
                        return job;
                job->place->passed_over = pass;
        }
        return NULL;
}

int pool_would_admit(struct pool *pool, const char *workspace, uint32_t workspace_max,
                     const char *thread_id, uint32_t *ret_retry_s, struct error *err)
{
        uint32_t nobody, *retry = ret_retry_s ? ret_retry_s : &nobody;
        const struct pool_workspace *place;
        const struct job *busy;

        *retry = 0;
        if (pool->draining) {
                *retry = retry_after(pool, MAX(pool->running, 1U));
                return error_set(err, ERROR_DRAINING,
                                 "draining: no new jobs are taken, %u are running and %u queued",
                                 pool->running, pool->queued);
        }

        busy = thread_id && thread_id[0] ? pool_find_thread(pool, thread_id) : NULL;
        if (busy) {
                *retry = retry_after(pool, MAX(pool->limits.max_workers, 1U));
                return error_set_key(err, ERROR_THREAD_BUSY, "thread_id",
                                     "thread %s has a turn already: job %llu, %s", busy->thread_id,
                                     (unsigned long long) busy->id, job_state_name(busy->state));
        }

        if (pool->queued < pool->limits.queue_max)
                return 0;
        place = find_workspace(pool, workspace);
        if (pool->running < pool->limits.max_workers && !at_cap(place, workspace_max) &&
            !pick(pool, 0))
                return 0; /* it need not wait */
        *retry = retry_after(pool, (uint64_t) pool->queued + 1);
        return error_set_key(err, ERROR_QUEUE_FULL, "queue_max",
                             "queue_max: %u of %u places are taken, %u of %u workers run; try again"
                             " in %u s",
                             pool->queued, pool->limits.queue_max, pool->running,
                             pool->limits.max_workers, *retry);
}

static int enter(struct pool *pool, struct job *job)
{
        struct pool_workspace *place = find_workspace(pool, job->workspace);

        assert(!job->place);
        if (!place) {
                place = calloc(1, sizeof *place);
                if (!place)
                        return -ENOMEM;
                memcpy(place->name, job->workspace, sizeof place->name);
                list_append(&pool->workspaces, &place->link);
        }
        place->jobs++;
        job->place = place;
        return 0;
}

static void take_slot(struct pool *pool, struct job *job, uint64_t now)
{
        list_append(&pool->slots, &job->link);
        job->has_slot = true;
        job->slot_usec = now;
        job->place->running++;
        pool->running++;
}

static void join_queue(struct pool *pool, struct job *job)
{
        list_append(&pool->queue, &job->link);
        pool->queued++;
}

int pool_admit(struct pool *pool, struct job *job, uint32_t *ret_retry_s, struct error *err)
{
        int r;

        assert(job->state == JOB_QUEUED);
        r = pool_would_admit(pool, job->workspace, job->workspace_max, job->thread_id, ret_retry_s,
                             err);
        if (r < 0)
                return r;
        r = enter(pool, job);
        if (r < 0)
                return error_set(err, ERROR_NO_MEMORY, "no memory for another job");
        join_queue(pool, job);
        return 0;
}

int pool_restore(struct pool *pool, struct job *job)
{
        int r = enter(pool, job);

        if (r < 0)
                return r;
        if (job->state == JOB_QUEUED)
                join_queue(pool, job);
        else
                take_slot(pool, job, job->starting_usec);
        return 0;
}

struct job *pool_next(struct pool *pool, uint64_t now)
{
        struct job *job = pick(pool, now);

        if (!job)
                return NULL;
        list_remove(&job->link);
        pool->queued--;
        take_slot(pool, job, now);
        job_start(job, now);
        return job;
}

void pool_release(struct pool *pool, struct job *job, uint64_t now)
{
        assert(job->place);
        if (job->has_slot) {
                uint64_t held = now > job->slot_usec ? now - job->slot_usec : 0;

                /* the last few turns count most */
                pool->average_usec =
                        pool->average_usec ? pool->average_usec - pool->average_usec / 8 + held / 8
                                           : held;
                job->place->running--;
                pool->running--;
        } else {
                pool->queued--;
        }
        let_go(pool, job);
}

bool pool_has(const struct pool *pool, const struct job *job)
{
        return job->place && find_workspace(pool, job->workspace) == job->place;
}

int pool_thread_started(struct pool *pool, struct job *job, const char *thread_id, uint64_t now,
                        struct error *err)
{
        struct job *other = pool_find_thread(pool, thread_id);

        if (other && other != job)
                return error_set_key(err, ERROR_THREAD_BUSY, "thread_id",
                                     "Codex opened thread %s, which job %llu has", other->thread_id,
                                     (unsigned long long) other->id);
        return job_thread_started(job, thread_id, now, err);
}

uint32_t pool_position(const struct pool *pool, const struct job *job)
{
        uint32_t position = 0;

        if (!job->place || job->state != JOB_QUEUED)
                return 0;
        LIST_FOREACH (other, &pool->queue, struct job, link) {
                if (other->state == JOB_QUEUED)
                        position++;
                if (other == job)
                        return position;
        }
        return 0;
}

struct job *pool_next_limit(const struct pool *pool, uint64_t *ret_at, enum job_limit *ret_limit)
{
        const struct list *const lists[] = {&pool->slots, &pool->queue};
        struct job *next = NULL;

        *ret_at = UINT64_MAX;
        *ret_limit = JOB_LIMIT_NONE;
        for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
                LIST_FOREACH (job, lists[i], struct job, link) {
                        uint64_t at;
                        enum job_limit limit = job_next_limit(job, &at);

                        if (at >= *ret_at)
                                continue;
                        *ret_at = at;
                        *ret_limit = limit;
                        next = job;
                }
        }
        return next;
}

void pool_counts(const struct pool *pool, struct pool_counts *ret)
{
        *ret = (struct pool_counts){
                .running = pool->running,
                .queued = pool->queued,
                .max_workers = pool->limits.max_workers,
                .queue_max = pool->limits.queue_max,
                .draining = pool->draining,
        };
}
