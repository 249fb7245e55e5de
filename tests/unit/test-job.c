#include "job.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define UUID       "01234567-89ab-cdef-0123-456789abcdef"
#define UUID_UPPER "01234567-89AB-CDEF-0123-456789ABCDEF"
#define S          1000000ull

static struct job_spec spec(void)
{
        return (struct job_spec){.id = 7,
                                 .workspace = "shop.example",
                                 .uid = 990,
                                 .gid = 991,
                                 .owner = "ann",
                                 .class = JOB_AUTOMATION,
                                 .workspace_max = 2};
}

static struct job *make(uint64_t now)
{
        struct job_spec s = spec();
        struct job *job = NULL;

        assert_int_equal(job_new(&job, &s, now), 0);
        return job;
}

/* A job in this state, which it reached by the ordinary way. */
static struct job *make_in(enum job_state state)
{
        struct job *job = make(100);

        if (state == JOB_QUEUED)
                return job;
        job_start(job, 200);
        if (state == JOB_RUNNING || state == JOB_CANCELLING)
                job_started(job, 3, 300);
        if (state == JOB_CANCELLING)
                assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 400), 0);
        if (state == JOB_FINISHED)
                job_finish(job, JOB_OK, NULL, 500);
        assert_int_equal(job->state, state);
        return job;
}

static void go(struct job *job, enum job_state to)
{
        switch (to) {
        case JOB_STARTING:
                job_start(job, 600);
                break;
        case JOB_RUNNING:
                job->worker = 0;
                job_started(job, 9, 600);
                break;
        case JOB_CANCELLING:
                (void) job_cancel(job, JOB_CANCELLED, NULL, 600);
                break;
        case JOB_FINISHED:
                job_finish(job, JOB_OK, NULL, 600);
                break;
        default:
                break;
        }
}

/* Whether that call is a bug of ours that stops the program. */
static bool aborts(enum job_state from, enum job_state to)
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                const struct rlimit none = {0, 0};

                (void) setrlimit(RLIMIT_CORE, &none);
                (void) signal(SIGABRT, SIG_DFL);
                (void) close(STDERR_FILENO);
                go(make_in(from), to);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Each pair: where the call that would go there leads, or BUG. */
#define BUG (-1)
static const int pairs[_JOB_STATE_MAX][_JOB_STATE_MAX] = {
        [JOB_QUEUED] = {JOB_QUEUED, JOB_STARTING, BUG, JOB_FINISHED, JOB_FINISHED},
        [JOB_STARTING] = {JOB_STARTING, BUG, JOB_RUNNING, JOB_CANCELLING, JOB_FINISHED},
        [JOB_RUNNING] = {JOB_RUNNING, BUG, BUG, JOB_CANCELLING, JOB_FINISHED},
        [JOB_CANCELLING] = {JOB_CANCELLING, BUG, JOB_CANCELLING, JOB_CANCELLING, JOB_FINISHED},
        [JOB_FINISHED] = {JOB_FINISHED, BUG, BUG, JOB_FINISHED, BUG},
};

static void every_pair_of_states(void **unused)
{
        for (int from = 0; from < _JOB_STATE_MAX; from++) {
                for (int to = 0; to < _JOB_STATE_MAX; to++) {
                        _cleanup_(job_freep) struct job *job = NULL;

                        if (pairs[from][to] == BUG) {
                                if (!aborts((enum job_state) from, (enum job_state) to))
                                        fail_msg("%d -> %d was let through", from, to);
                                continue;
                        }
                        job = make_in((enum job_state) from);
                        go(job, (enum job_state) to);
                        if ((int) job->state != pairs[from][to])
                                fail_msg("%d -> %d led to %d", from, to, job->state);
                }
        }
}

static void words(void **unused)
{
        for (int i = 0; i < _JOB_STATE_MAX; i++)
                assert_int_equal(job_state_from_name(job_state_name((enum job_state) i)), i);
        for (int i = JOB_OK; i < _JOB_RESULT_MAX; i++)
                assert_int_equal(job_result_from_name(job_result_name((enum job_result) i)), i);
        for (int i = 0; i < _JOB_CLASS_MAX; i++)
                assert_int_equal(job_class_from_name(job_class_name((enum job_class) i)), i);
        assert_int_equal(job_state_from_name("Queued"), -EINVAL);
        assert_int_equal(job_result_from_name(""), -EINVAL);
        assert_int_equal(job_class_from_name("batch"), -EINVAL);
        /* interface: none is ever renamed */
        assert_string_equal(job_state_name(JOB_CANCELLING), "cancelling");
        assert_string_equal(job_result_name(JOB_SPAWN_FAILED), "spawn-failed");
        assert_string_equal(job_class_name(JOB_AUTOMATION), "automation");
}

static void refuses_bad_specs(void **unused)
{
        struct job *job = (struct job *) 1;
        struct job_spec s = spec();

        s.id = 0;
        assert_int_equal(job_new(&job, &s, 0), -EINVAL);
        s = spec();
        s.workspace = NULL;
        assert_int_equal(job_new(&job, &s, 0), -EINVAL);
        s.workspace = "../etc";
        assert_int_equal(job_new(&job, &s, 0), -EINVAL);
        s = spec();
        s.thread_id = "last";
        assert_int_equal(job_new(&job, &s, 0), -EINVAL);
        s = spec();
        s.class = (enum job_class) 9;
        assert_int_equal(job_new(&job, &s, 0), -EINVAL);
        assert_ptr_equal(job, (struct job *) 1);
}

static void copies_and_dates(void **unused)
{
        struct job_spec s = spec();
        char owner[] = "ann", workspace[] = "a.b";
        _cleanup_(job_freep) struct job *job = NULL;

        s.owner = owner;
        s.workspace = workspace;
        s.thread_id = UUID_UPPER;
        assert_int_equal(job_new(&job, &s, 10), 0);
        owner[0] = workspace[0] = 'X';
        assert_string_equal(job->owner, "ann");
        assert_string_equal(job->workspace, "a.b");
        assert_string_equal(job->thread_id, UUID); /* one form */
        job_start(job, 20);
        job_started(job, 5, 30);
        assert_int_equal(job->progress_usec, 30);
        job_progress(job, 40);
        job_progress(job, 35); /* never back */
        assert_int_equal(job->progress_usec, 40);
        assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 50), 0);
        job_finish(job, JOB_OK, NULL, 60);
        assert_int_equal(job->queued_usec, 10);
        assert_int_equal(job->starting_usec, 20);
        assert_int_equal(job->running_usec, 30);
        assert_int_equal(job->cancelling_usec, 50);
        assert_int_equal(job->finished_usec, 60);
}

static void first_cause_is_the_result(void **unused)
{
        struct error timeout, late;
        _cleanup_(job_freep) struct job *job = make_in(JOB_RUNNING);

        (void) error_set(&timeout, ERROR_WALL_CLOCK, "too long");
        (void) error_set(&late, ERROR_CODEX_EXIT, "signal 2");
        assert_int_equal(job_cancel(job, JOB_TIMEOUT, &timeout, 1), 0);
        assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 2), -EALREADY);
        job_finish(job, JOB_FAILED, &late, 3);
        assert_int_equal(job->result, JOB_TIMEOUT);
        assert_int_equal(job->error.kind, ERROR_WALL_CLOCK);
        assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 4), -EALREADY);
        assert_int_equal(job->result, JOB_TIMEOUT);
}

static void cancelled_while_starting(void **unused)
{
        _cleanup_(job_freep) struct job *job = make_in(JOB_STARTING);
        uint64_t at;

        job->limits.kill_grace_usec = 5;
        assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 10), 0);
        assert_int_equal(job_next_limit(job, &at), JOB_LIMIT_KILL);
        assert_int_equal(at, 15);
        job_started(job, 4, 12); /* the launcher's answer came later: whom to signal */
        assert_int_equal(job->state, JOB_CANCELLING);
        assert_int_equal(job->worker, 4);
        job_kill(job);
        assert_int_equal(job_next_limit(job, &at), JOB_LIMIT_NONE);
        job_finish(job, JOB_FAILED, NULL, 20);
        assert_int_equal(job->result, JOB_CANCELLED);
}

static void threads(void **unused)
{
        struct error err;
        _cleanup_(job_freep) struct job *fresh = make_in(JOB_RUNNING);
        _cleanup_(job_freep) struct job *resumed = NULL;
        struct job_spec s = spec();

        assert_int_equal(job_thread_started(fresh, "hello", 1, &err), -EBADMSG);
        assert_int_equal(err.kind, ERROR_CODEX_GARBAGE);
        assert_false(fresh->thread_seen);
        assert_int_equal(job_thread_started(fresh, UUID_UPPER, 900, &err), 0);
        assert_string_equal(fresh->thread_id, UUID);
        assert_true(fresh->thread_seen);
        assert_int_equal(fresh->progress_usec, 900);

        s.thread_id = UUID;
        assert_int_equal(job_new(&resumed, &s, 0), 0);
        assert_int_equal(
                job_thread_started(resumed, "ffffffff-89ab-cdef-0123-456789abcdef", 1, &err),
                -ESTALE);
        assert_int_equal(err.kind, ERROR_THREAD_MISMATCH);
        assert_string_equal(resumed->thread_id, UUID);
        assert_int_equal(job_thread_started(resumed, UUID_UPPER, 1, &err), 0);
}

/* Queued at 0, started at 10 s, running at 11 s, last event at 20 s, cancelled at 30 s. */
static const struct limit_case {
        const char *what;
        enum job_state state;
        bool thread_seen;
        struct job_limits limits;
        enum job_limit want;
        uint64_t at;
} limit_cases[] = {
        {"none set, queued", JOB_QUEUED, false, {0}, JOB_LIMIT_NONE, UINT64_MAX},
        {"none set, running", JOB_RUNNING, false, {0}, JOB_LIMIT_NONE, UINT64_MAX},
        {"queue", JOB_QUEUED, false, {.queue_usec = 60 * S}, JOB_LIMIT_QUEUE, 60 * S},
        {"deadline before queue",
         JOB_QUEUED,
         false,
         {.queue_usec = 60 * S, .deadline_usec = 5 * S},
         JOB_LIMIT_DEADLINE,
         5 * S},
        {"both at once: the queue's",
         JOB_QUEUED,
         false,
         {.queue_usec = 5 * S, .deadline_usec = 5 * S},
         JOB_LIMIT_QUEUE,
         5 * S},
        {"a turn's limits do not run in the queue",
         JOB_QUEUED,
         false,
         {.start_usec = 1, .wall_clock_usec = 1, .no_progress_usec = 1, .kill_grace_usec = 1},
         JOB_LIMIT_NONE,
         UINT64_MAX},
        {"the queue's limit ends with the queue",
         JOB_STARTING,
         false,
         {.queue_usec = 1},
         JOB_LIMIT_NONE,
         UINT64_MAX},
        {"no answer of the launcher",
         JOB_STARTING,
         false,
         {.start_usec = S},
         JOB_LIMIT_START,
         11 * S},
        {"hung before its thread", JOB_RUNNING, false, {.start_usec = S}, JOB_LIMIT_START, 11 * S},
        {"thread seen", JOB_RUNNING, true, {.start_usec = S}, JOB_LIMIT_NONE, UINT64_MAX},
        {"wall clock from the start",
         JOB_RUNNING,
         true,
         {.wall_clock_usec = 100 * S, .no_progress_usec = 95 * S},
         JOB_LIMIT_WALL_CLOCK,
         110 * S},
        {"no progress from the last event",
         JOB_RUNNING,
         true,
         {.wall_clock_usec = 100 * S, .no_progress_usec = 60 * S},
         JOB_LIMIT_NO_PROGRESS,
         80 * S},
        {"progress is not asked for while starting",
         JOB_STARTING,
         false,
         {.no_progress_usec = 1},
         JOB_LIMIT_NONE,
         UINT64_MAX},
        {"deadline from acceptance",
         JOB_RUNNING,
         true,
         {.wall_clock_usec = 100 * S, .deadline_usec = 105 * S},
         JOB_LIMIT_DEADLINE,
         105 * S},
        {"cancelling: only the grace",
         JOB_CANCELLING,
         false,
         {1, 1, 1, 1, 1, .kill_grace_usec = 8 * S},
         JOB_LIMIT_KILL,
         38 * S},
        {"no grace", JOB_CANCELLING, false, {0}, JOB_LIMIT_KILL, 30 * S},
        {"finished", JOB_FINISHED, true, {1, 1, 1, 1, 1, 1}, JOB_LIMIT_NONE, UINT64_MAX},
        {"over the end of time",
         JOB_RUNNING,
         true,
         {.wall_clock_usec = UINT64_MAX - 1},
         JOB_LIMIT_NONE,
         UINT64_MAX},
};

static void limits(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(limit_cases); i++) {
                const struct limit_case *c = &limit_cases[i];
                _cleanup_(job_freep) struct job *job = make(0);
                enum job_limit got;
                uint64_t at = 0;

                job->limits = c->limits;
                if (c->state != JOB_QUEUED)
                        job_start(job, 10 * S);
                if (c->state > JOB_STARTING) {
                        job_started(job, 1, 11 * S);
                        job_progress(job, 20 * S);
                }
                job->thread_seen = c->thread_seen;
                if (c->state >= JOB_CANCELLING)
                        assert_int_equal(job_cancel(job, JOB_CANCELLED, NULL, 30 * S), 0);
                if (c->state == JOB_FINISHED)
                        job_finish(job, JOB_OK, NULL, 40 * S);
                got = job_next_limit(job, &at);
                if (got != c->want || at != c->at)
                        fail_msg("%s: limit %d at %llu", c->what, got, (unsigned long long) at);
        }
}

static void limits_say_what_ended_it(void **unused)
{
        static const struct {
                enum job_limit limit;
                enum job_result result;
                enum error_kind kind;
                const char *key;
        } want[] = {
                {JOB_LIMIT_QUEUE, JOB_DEADLINE, ERROR_DEADLINE, "queue_deadline_s"},
                {JOB_LIMIT_DEADLINE, JOB_DEADLINE, ERROR_DEADLINE, "deadline_s"},
                {JOB_LIMIT_START, JOB_FAILED, ERROR_CODEX_HUNG, "start_timeout_s"},
                {JOB_LIMIT_WALL_CLOCK, JOB_TIMEOUT, ERROR_WALL_CLOCK, "wall_clock_s"},
                {JOB_LIMIT_NO_PROGRESS, JOB_STALLED, ERROR_NO_PROGRESS, "no_progress_s"},
        };
        _cleanup_(job_freep) struct job *job = make(0);

        job->limits = (struct job_limits){42 * S, 42 * S, 42 * S, 42 * S, 42 * S, 0};
        for (size_t i = 0; i < N_ELEMENTS(want); i++) {
                struct error err;

                assert_int_equal(job_limit_result(job, want[i].limit, &err), want[i].result);
                assert_int_equal(err.kind, want[i].kind);
                assert_string_equal(err.key, want[i].key);
                assert_non_null(strstr(err.message, "42 s"));
        }
}

struct seen {
        int n;
        enum job_state before[8], after[8];
};

static void on_state(struct job *job, enum job_state before, void *data)
{
        struct seen *seen = data;

        seen->before[seen->n] = before;
        seen->after[seen->n++] = job->state;
}

static void every_change_is_told(void **unused)
{
        struct seen seen = {0};
        _cleanup_(job_freep) struct job *job = make(0);

        job->on_state = on_state;
        job->on_state_data = &seen;
        job_start(job, 1);
        job_started(job, 2, 2);
        (void) job_cancel(job, JOB_CANCELLED, NULL, 3);
        (void) job_cancel(job, JOB_CANCELLED, NULL, 3);
        job_finish(job, JOB_OK, NULL, 4);
        assert_int_equal(seen.n, 4);
        for (int i = 0; i < seen.n; i++) {
                assert_int_equal(seen.before[i], JOB_QUEUED + i);
                assert_int_equal(seen.after[i], JOB_QUEUED + i + 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_of_states),
                cmocka_unit_test(words),
                cmocka_unit_test(refuses_bad_specs),
                cmocka_unit_test(copies_and_dates),
                cmocka_unit_test(first_cause_is_the_result),
                cmocka_unit_test(cancelled_while_starting),
                cmocka_unit_test(threads),
                cmocka_unit_test(limits),
                cmocka_unit_test(limits_say_what_ended_it),
                cmocka_unit_test(every_change_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
