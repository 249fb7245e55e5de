#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S        1000000ull
#define THREAD_A "0000000a-0000-7000-8000-000000000000"
#define THREAD_B "0000000b-0000-7000-8000-000000000000"

static uint64_t last_id;

static struct job *make(const char *workspace, uint32_t cap, const char *thread)
{
        struct job_spec spec = {.id = ++last_id,
                                .workspace = workspace,
                                .uid = 1,
                                .gid = 1,
                                .workspace_max = cap,
                                .thread_id = thread,
                                .limits = {.queue_usec = 60 * S, .kill_grace_usec = 5 * S}};
        struct job *job = NULL;

        assert_int_equal(job_new(&job, &spec, 0), 0);
        return job;
}

static struct pool *make_pool(uint32_t workers, uint32_t queue)
{
        const struct pool_limits limits = {workers, queue};
        struct pool *pool = NULL;

        assert_int_equal(pool_new(&pool, &limits), 0);
        return pool;
}

static void admit(struct pool *pool, struct job *job)
{
        struct error err = {0};

        if (pool_admit(pool, job, NULL, &err) < 0)
                fail_msg("%s", err.message);
}

static void end(struct pool *pool, struct job *job, uint64_t now)
{
        if (job->state != JOB_FINISHED)
                job_finish(job, JOB_OK, NULL, now);
        pool_release(pool, job, now);
}

/* Admission, one refusal a row: two workers, two places in the queue; "w" has one running job of
 * THREAD_A, and `queued` more of other workspaces wait behind `running` others. */
static const struct admission {
        const char *what;
        bool draining;
        uint32_t workers, queue_max;
        uint32_t others; /* jobs of other workspaces let in before */
        uint32_t cap;
        const char *thread;
        enum error_kind want;
        const char *says;
} admissions[] = {
        {"an empty queue", false, 2, 2, 0, 2, NULL, ERROR_NONE, NULL},
        {"a place in the queue", false, 2, 2, 2, 2, NULL, ERROR_NONE, NULL},
        {"a full queue", false, 2, 2, 3, 2, NULL, ERROR_QUEUE_FULL,
         "queue_max: 2 of 2 places are taken, 2 of 2 workers"},
        {"no queue, a free slot", false, 2, 0, 0, 2, NULL, ERROR_NONE, NULL},
        {"no queue, no slot", false, 2, 0, 1, 2, NULL, ERROR_QUEUE_FULL, "queue_max: 0 of 0"},
        {"no queue, its workspace at its cap", false, 2, 0, 0, 1, NULL, ERROR_QUEUE_FULL,
         "1 of 2 workers run"},
        {"draining comes first", true, 2, 2, 3, 1, THREAD_A, ERROR_DRAINING, "1 are running"},
        {"its thread runs", false, 2, 2, 0, 2, THREAD_A, ERROR_THREAD_BUSY, "job 1, starting"},
        {"whatever the case of its letters", false, 2, 2, 0, 2,
         "0000000A-0000-7000-8000-000000000000", ERROR_THREAD_BUSY, "job 1, starting"},
        {"busy before full", false, 2, 2, 3, 2, THREAD_A, ERROR_THREAD_BUSY, NULL},
        {"another thread", false, 2, 2, 0, 2, THREAD_B, ERROR_NONE, NULL},
};

static void admission(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(admissions); i++) {
                const struct admission *c = &admissions[i];
                struct pool *pool = make_pool(c->workers, c->queue_max);
                struct job *jobs[8];
                uint32_t n = 0, retry = 99, early = 99;
                struct error err = {0}, early_err = {0};
                int r;

                last_id = 0;
                jobs[n++] = make("w", 2, THREAD_A);
                admit(pool, jobs[0]);
                assert_ptr_equal(pool_next(pool, 0), jobs[0]);
                for (uint32_t k = 0; k < c->others; k++) {
                        jobs[n++] = make("other", 0, NULL);
                        admit(pool, jobs[n - 1]);
                        (void) pool_next(pool, 0);
                }
                pool_set_draining(pool, c->draining);
                if (c->draining) /* names what still runs: make it the one job */
                        while (n > 1) {
                                end(pool, jobs[--n], 0);
                                (void) job_free(jobs[n]);
                        }

                jobs[n] = make("w", c->cap, c->thread);
                (void) pool_would_admit(pool, "w", c->cap, c->thread, &early, &early_err);
                r = pool_admit(pool, jobs[n], &retry, &err);
                if (err.kind != c->want || early_err.kind != c->want || (r < 0) != !!c->want ||
                    r != -error_kind_number(c->want))
                        fail_msg("%s: %s (%d)", c->what, error_kind_word(err.kind), r);
                if (c->says && !strstr(err.message, c->says))
                        fail_msg("%s: \"%s\"", c->what, err.message);
                assert_int_equal(retry, early);
                if (c->want)
                        assert_in_range(retry, 1, 300);
                assert_int_equal(pool_has(pool, jobs[n]), !c->want);
                (void) pool_free(pool);
                for (uint32_t k = 0; k <= n; k++)
                        (void) job_free(jobs[k]);
        }
}

static void first_come_first_served(void **unused)
{
        struct pool *pool = make_pool(1, 10);
        struct job *jobs[4];

        for (int i = 0; i < 4; i++) {
                jobs[i] = make(i % 2 ? "a" : "b", 0, NULL);
                admit(pool, jobs[i]);
        }
        for (uint32_t i = 0; i < 4; i++)
                assert_int_equal(pool_position(pool, jobs[i]), i + 1);
        for (int i = 0; i < 4; i++) {
                assert_ptr_equal(pool_next(pool, 0), jobs[i]);
                assert_int_equal(jobs[i]->state, JOB_STARTING);
                assert_int_equal(pool_position(pool, jobs[i]), 0);
                assert_null(pool_next(pool, 0));
                if (i < 3)
                        assert_int_equal(pool_position(pool, jobs[i + 1]), 1);
                end(pool, jobs[i], 0);
        }
        assert_null(pool_next(pool, 0));
        (void) pool_free(pool);
        for (int i = 0; i < 4; i++)
                (void) job_free(jobs[i]);
}

/* A slot that a waiting job is about to get is not free for one more. */
static void a_slot_is_promised_once(void **unused)
{
        struct pool *pool = make_pool(1, 0);
        struct job *first = make("a", 0, NULL), *second = make("b", 0, NULL);
        struct error err;

        admit(pool, first);
        assert_int_equal(pool_admit(pool, second, NULL, &err), -EAGAIN);
        assert_int_equal(err.kind, ERROR_QUEUE_FULL);
        assert_ptr_equal(pool_next(pool, 0), first);
        (void) pool_free(pool);
        (void) job_free(first);
        (void) job_free(second);
}

static void a_capped_workspace_lets_others_pass(void **unused)
{
        struct pool *pool = make_pool(3, 10);
        struct job *a1 = make("a", 1, NULL), *a2 = make("a", 1, NULL), *b = make("b", 1, NULL);
        /* a later wish of the same workspace with a wider cap must not overtake a2 */
        struct job *a3 = make("a", 3, NULL);

        admit(pool, a1);
        admit(pool, a2);
        admit(pool, a3);
        admit(pool, b);
        assert_ptr_equal(pool_next(pool, 0), a1);
        assert_ptr_equal(pool_next(pool, 0), b);
        assert_null(pool_next(pool, 0));
        assert_int_equal(pool_position(pool, a2), 1);
        end(pool, a1, 0);
        assert_ptr_equal(pool_next(pool, 0), a2);
        assert_ptr_equal(pool_next(pool, 0), a3);
        (void) pool_free(pool);
        (void) job_free(a1);
        (void) job_free(a2);
        (void) job_free(a3);
        (void) job_free(b);
}

static void a_slot_is_free_only_when_released(void **unused)
{
        struct pool *pool = make_pool(1, 10);
        struct job *first = make("a", 0, THREAD_A), *second = make("b", 0, NULL);
        struct job *third = make("c", 0, THREAD_A);
        struct error err;

        admit(pool, first);
        admit(pool, second);
        assert_ptr_equal(pool_next(pool, 0), first);
        job_started(first, 1, 0);
        job_finish(first, JOB_OK, NULL, 1); /* Codex ended; its tree may live on */
        assert_null(pool_next(pool, 1));
        assert_int_equal(pool_admit(pool, third, NULL, &err), -EBUSY); /* nor is its thread */
        pool_release(pool, first, 2);
        admit(pool, third);
        assert_ptr_equal(pool_next(pool, 2), second);
        (void) pool_free(pool);
        (void) job_free(first);
        (void) job_free(second);
        (void) job_free(third);
}

static void leaving_the_queue(void **unused)
{
        struct pool *pool = make_pool(1, 2);
        struct job *running = make("a", 0, NULL), *cancelled = make("a", 0, THREAD_A);
        struct job *late = make("a", 0, NULL), *next = make("a", 0, THREAD_A);
        struct pool_counts counts;

        admit(pool, running);
        assert_ptr_equal(pool_next(pool, 0), running);
        admit(pool, cancelled);
        admit(pool, late);
        late->limits.queue_usec = 5 * S;
        assert_int_equal(job_cancel(cancelled, JOB_CANCELLED, NULL, S), 0);
        assert_int_equal(cancelled->state, JOB_FINISHED);
        assert_int_equal(pool_position(pool, late), 1); /* what is over counts no more */
        pool_release(pool, cancelled, S);
        admit(pool, next);

        end(pool, running, 5 * S);
        assert_ptr_equal(pool_next(pool, 5 * S), next); /* `late` is over, and holds nobody up */
        assert_int_equal(late->state, JOB_QUEUED);
        pool_counts(pool, &counts);
        assert_int_equal(counts.queued, 1);
        assert_int_equal(counts.running, 1);
        (void) pool_free(pool);
        (void) job_free(running);
        (void) job_free(cancelled);
        (void) job_free(late);
        (void) job_free(next);
}

static void an_unreleased_cancelled_job_never_starts(void **unused)
{
        struct pool *pool = make_pool(1, 2);
        struct job *job = make("a", 0, NULL);

        admit(pool, job);
        (void) job_cancel(job, JOB_CANCELLED, NULL, 0);
        assert_null(pool_next(pool, 0));
        pool_release(pool, job, 0);
        assert_false(pool_has(pool, job));
        (void) pool_free(pool);
        (void) job_free(job);
}

static void one_live_turn_a_thread(void **unused)
{
        struct pool *pool = make_pool(2, 10);
        struct job *fresh = make("a", 0, NULL), *again = make("a", 0, THREAD_A);
        struct job *other = make("b", 0, NULL);
        struct error err;

        admit(pool, fresh);
        assert_ptr_equal(pool_next(pool, 0), fresh);
        job_started(fresh, 1, 0);
        assert_null(pool_find_thread(pool, THREAD_A));
        assert_null(pool_find_thread(pool, "")); /* new threads are nobody's */
        assert_int_equal(pool_thread_started(pool, fresh, THREAD_A, 1, &err), 0);
        assert_ptr_equal(pool_find_thread(pool, THREAD_A), fresh);
        assert_int_equal(pool_admit(pool, again, NULL, &err), -EBUSY);
        assert_string_equal(err.key, "thread_id");

        admit(pool, other);
        assert_ptr_equal(pool_next(pool, 0), other);
        assert_int_equal(pool_thread_started(pool, other, THREAD_A, 1, &err), -EBUSY);
        assert_string_equal(other->thread_id, "");

        end(pool, fresh, 1);
        admit(pool, again);
        (void) pool_free(pool);
        (void) job_free(fresh);
        (void) job_free(again);
        (void) job_free(other);
}

static void restoring_ignores_limits(void **unused)
{
        struct pool *pool = make_pool(1, 0);
        struct job *one = make("a", 1, THREAD_A), *two = make("a", 1, THREAD_B);
        struct job *queued = make("a", 1, NULL);
        struct pool_counts counts;

        job_start(one, 1);
        job_started(one, 1, 2);
        job_start(two, 1);
        pool_set_draining(pool, true);
        assert_int_equal(pool_restore(pool, one), 0);
        assert_int_equal(pool_restore(pool, two), 0);
        assert_int_equal(pool_restore(pool, queued), 0);
        pool_counts(pool, &counts);
        assert_int_equal(counts.running, 2);
        assert_int_equal(counts.queued, 1);
        assert_null(pool_next(pool, 2));
        end(pool, one, 2);
        assert_null(pool_next(pool, 2)); /* still at the cap */
        end(pool, two, 2);
        assert_ptr_equal(pool_next(pool, 2), queued); /* draining stops admission, not the queue */
        (void) pool_free(pool);
        (void) job_free(one);
        (void) job_free(two);
        (void) job_free(queued);
}

static void the_limit_that_fires_next(void **unused)
{
        struct pool *pool = make_pool(1, 10);
        struct job *one = make("a", 0, NULL), *two = make("a", 0, NULL);
        enum job_limit limit;
        uint64_t at;

        assert_null(pool_next_limit(pool, &at, &limit));
        assert_int_equal(limit, JOB_LIMIT_NONE);
        assert_true(at == UINT64_MAX);
        admit(pool, one);
        assert_ptr_equal(pool_next(pool, 0), one);
        admit(pool, two);
        assert_ptr_equal(pool_next_limit(pool, &at, &limit), two);
        assert_int_equal(limit, JOB_LIMIT_QUEUE);
        assert_int_equal(at, 60 * S);
        (void) job_cancel(one, JOB_CANCELLED, NULL, 3 * S);
        assert_ptr_equal(pool_next_limit(pool, &at, &limit), one);
        assert_int_equal(limit, JOB_LIMIT_KILL);
        assert_int_equal(at, 8 * S);
        (void) pool_free(pool);
        (void) job_free(one);
        (void) job_free(two);
}

static void smaller_limits_after_a_reload(void **unused)
{
        struct pool *pool = make_pool(2, 10);
        struct job *jobs[3];

        for (int i = 0; i < 3; i++) {
                jobs[i] = make("a", 0, NULL);
                admit(pool, jobs[i]);
        }
        (void) pool_next(pool, 0);
        (void) pool_next(pool, 0);
        pool_set_limits(pool, &(struct pool_limits){1, 10});
        end(pool, jobs[0], 0);
        assert_null(pool_next(pool, 0));
        end(pool, jobs[1], 0);
        assert_ptr_equal(pool_next(pool, 0), jobs[2]);
        (void) pool_free(pool);
        for (int i = 0; i < 3; i++)
                (void) job_free(jobs[i]);
}

/* Any order of calls: caps hold, nothing is lost, the counts are right. */
static void invariants_under_random_calls(void **unused)
{
        enum { N = 40, WORKERS = 4, QUEUE = 8 };
        struct pool *pool = make_pool(WORKERS, QUEUE);
        struct job *jobs[N] = {NULL};
        unsigned seed = 1;
        uint64_t now = 0;

        for (int step = 0; step < 20000; step++) {
                int i = rand_r(&seed) % N;
                uint32_t slots = 0, queued = 0, per[3] = {0};
                struct pool_counts counts;
                char workspace[2] = {(char) ('a' + i % 3), '\0'};

                now += 1000;
                if (!jobs[i]) {
                        jobs[i] = make(workspace, 2, NULL);
                        if (pool_admit(pool, jobs[i], NULL, NULL) < 0)
                                jobs[i] = job_free(jobs[i]);
                } else if (jobs[i]->state == JOB_STARTING && rand_r(&seed) % 2) {
                        job_started(jobs[i], (uint64_t) step + 1, now);
                } else if (jobs[i]->state == JOB_FINISHED) {
                        pool_release(pool, jobs[i], now);
                        jobs[i] = job_free(jobs[i]);
                } else if (rand_r(&seed) % 2) {
                        (void) job_cancel(jobs[i], JOB_CANCELLED, NULL, now);
                } else if (jobs[i]->state != JOB_QUEUED) {
                        job_finish(jobs[i], JOB_OK, NULL, now);
                }
                if (rand_r(&seed) % 2)
                        (void) pool_next(pool, now);

                for (int k = 0; k < N; k++) {
                        if (!jobs[k])
                                continue;
                        slots += jobs[k]->has_slot;
                        queued += !jobs[k]->has_slot;
                        per[k % 3] += jobs[k]->has_slot;
                        assert_true(pool_has(pool, jobs[k]));
                }
                pool_counts(pool, &counts);
                assert_int_equal(counts.running, slots);
                assert_int_equal(counts.queued, queued);
                assert_true(slots <= WORKERS);
                for (int k = 0; k < 3; k++)
                        assert_true(per[k] <= 2);
        }
        (void) pool_free(pool);
        for (int k = 0; k < N; k++)
                (void) job_free(jobs[k]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(admission),
                cmocka_unit_test(first_come_first_served),
                cmocka_unit_test(a_slot_is_promised_once),
                cmocka_unit_test(a_capped_workspace_lets_others_pass),
                cmocka_unit_test(a_slot_is_free_only_when_released),
                cmocka_unit_test(leaving_the_queue),
                cmocka_unit_test(an_unreleased_cancelled_job_never_starts),
                cmocka_unit_test(one_live_turn_a_thread),
                cmocka_unit_test(restoring_ignores_limits),
                cmocka_unit_test(the_limit_that_fires_next),
                cmocka_unit_test(smaller_limits_after_a_reload),
                cmocka_unit_test(invariants_under_random_calls),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
