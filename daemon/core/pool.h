/* Slots and queue: which job runs next, and which is not even let in. Holds no fd, starts nothing:
 * the caller admits, asks pool_next until it says NULL, and releases when a job's process tree is
 * gone.
 *
 *   pool_admit ── queue ──► pool_next (takes a slot, job_start) ──► ... ──► pool_release
 *
 * Order: first come, first served; a job whose workspace is at its cap lets others pass, but never
 * a later one of its own workspace. Fairness between owners and the classes' priority will choose
 * in pool.c's pick(), and a worker kept warm will hold its slot between jobs: neither shows here.
 */
#pragma once

#include "job.h"

struct pool;

struct pool_limits {
        uint32_t max_workers; /* slots; 0: nothing starts */
        uint32_t queue_max;   /* jobs that may wait; one that can start at once needs no place */
};

/* 0 or -ENOMEM. */
int pool_new(struct pool **ret, const struct pool_limits *limits);
struct pool *pool_free(struct pool *pool); /* NULL is fine; its jobs are let go, not freed */
DEFINE_CLEANUP(struct pool *, pool_free);
/* After a reload. What is over a smaller limit stays; nothing new until it is below. */
void pool_set_limits(struct pool *pool, const struct pool_limits *limits);
/* Draining: nothing is admitted any more; what was goes on. */
void pool_set_draining(struct pool *pool, bool draining);

/* Lets a JOB_QUEUED job in, at the end of the queue; borrows it until pool_release. Refused, in
 * this order: ERROR_DRAINING, ERROR_THREAD_BUSY (a job with this thread id is queued, or has a
 * slot), ERROR_QUEUE_FULL (the message names the cap and its value); then *ret_retry_s (may be
 * NULL) is a guess, at least 1, when to try again, and 0 where that would not help (-ENOMEM). Call
 * pool_next afterwards, before the next job is admitted. */
int pool_admit(struct pool *pool, struct job *job, uint32_t *ret_retry_s, struct error *err);
/* What pool_admit would say, without a job: to refuse early. `thread_id` may be NULL or "". */
int pool_would_admit(struct pool *pool, const char *workspace, uint32_t workspace_max,
                     const char *thread_id, uint32_t *ret_retry_s, struct error *err);
/* Lets in a job from before a restart, whatever the limits say: it was accepted then. A queued one
 * joins the queue (call in order), any other state has its slot. 0 or -ENOMEM. */
int pool_restore(struct pool *pool, struct job *job);

/* The next job to start, or NULL: it has left the queue, has a slot, and is JOB_STARTING. One whose
 * limit has passed is left for the caller to end. */
struct job *pool_next(struct pool *pool, uint64_t now);
/* The job leaves the pool: from the queue, or because its process tree is gone (never earlier: the
 * slot, its workspace's share and its thread id are held until here). Must be in `pool`. */
void pool_release(struct pool *pool, struct job *job, uint64_t now);
bool pool_has(const struct pool *pool, const struct job *job);

/* job_thread_started, and ERROR_THREAD_BUSY if another job in the pool has that thread. */
int pool_thread_started(struct pool *pool, struct job *job, const char *thread_id, uint64_t now,
                        struct error *err);
/* The job in the pool with this thread, or NULL. */
struct job *pool_find_thread(const struct pool *pool, const char *thread_id);

/* Place in the queue from 1; 0 if it is not queued. */
uint32_t pool_position(const struct pool *pool, const struct job *job);
/* The job whose limit fires next, as job_next_limit; NULL and UINT64_MAX without any. Looks at
 * every job: an event moves limits only later, so keep the timer and ask again when it fires, and
 * after admit, next, cancel and started. */
struct job *pool_next_limit(const struct pool *pool, uint64_t *ret_at, enum job_limit *ret_limit);

struct pool_counts {
        uint32_t running; /* slots taken, whatever the state of their jobs */
        uint32_t queued, max_workers, queue_max;
        bool draining;
};
void pool_counts(const struct pool *pool, struct pool_counts *ret);
