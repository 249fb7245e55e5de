/* codexd-supervisor against a scripted launcher: what clients see, and what the launcher is asked.
 */
#include "scripted-launcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THREAD       "01a20958-d58e-70d2-a750-106256e6da57"
#define STARTED_LINE "{\"type\":\"thread.started\",\"thread_id\":\"" THREAD "\"}"
#define STARTED_LINE_OF(four)                                                                      \
        "{\"type\":\"thread.started\",\"thread_id\":\"01a20958-d58e-70d2-" four "-106256e6da57\"}"
#define COMPLETED_LINE                                                                             \
        "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":10,\"cached_input_tokens\":2,"   \
        "\"output_tokens\":3}}"
#define SUBMIT                                                                                     \
        "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":\"one\",\"prompt\":"       \
        "\"hi\"}"
#define NO_MORE "}"
#define MORE    ",\"more\":true}"

static const char *text_at(json_t *json, const char *a, const char *b)
{
        json_t *at = json_object_get(json, a);
        const char *s = json_string_value(b ? json_object_get(at, b) : at);

        return s ? s : "";
}

static json_int_t job_of(json_t *reply)
{
        return json_integer_value(json_object_get(json_object_get(reply, "parameters"), "job"));
}

static void expect_error(json_t *reply, const char *name)
{
        assert_non_null(reply);
        assert_string_equal(text_at(reply, "error", NULL), name);
        assert_true(text_at(reply, "parameters", "message")[0]);
        json_decref(reply);
}

/* The next reply holds this event; gives it (a part of *hold). */
static json_t *expect_event(int fd, json_t **hold, json_int_t seq, const char *type, bool continues)
{
        json_t *parameters, *event;

        json_decref(*hold);
        *hold = scripted_reply(fd);
        assert_non_null(*hold);
        parameters = json_object_get(*hold, "parameters");
        event = json_object_get(parameters, "event");
        assert_string_equal(text_at(event, "type", NULL), type);
        assert_int_equal(json_integer_value(json_object_get(parameters, "seq")), seq);
        assert_true(json_integer_value(json_object_get(parameters, "time")) > 0);
        assert_int_equal(json_is_true(json_object_get(*hold, "continues")), continues);
        return event;
}

static void test_a_job_from_submit_to_finished(void **state)
{
        struct scripted s;
        json_t *hold = NULL, *event;
        int fd, status = 0;
        uint64_t worker;
        char prompt[16] = "";

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        scripted_request(fd, SUBMIT MORE);
        scripted_resolved(&s);
        worker = scripted_run(&s);
        assert_int_equal(read(s.last_fd, prompt, sizeof prompt), 2);
        assert_string_equal(prompt, "hi");
        hold = scripted_reply(fd);
        assert_int_equal(job_of(hold), 1);
        assert_true(json_is_true(json_object_get(hold, "continues")));
        event = expect_event(fd, &hold, 0, "job.queued", true);
        assert_string_equal(text_at(event, "workspace", NULL), "one");
        event = expect_event(fd, &hold, 1, "job.started", true);
        assert_int_equal(
                json_integer_value(json_object_get(json_object_get(event, "identity"), "uid")),
                OWNER);
        scripted_say(&s, worker, STARTED_LINE);
        (void) expect_event(fd, &hold, 2, "thread.started", true);
        scripted_say(&s, worker, "no json");
        (void) expect_event(fd, &hold, 3, "job.garbage", true);
        scripted_say(&s, worker, "{\"type\":\"turn.started\"}");
        (void) expect_event(fd, &hold, 4, "turn.started", true);
        scripted_say(&s, worker, COMPLETED_LINE);
        (void) expect_event(fd, &hold, 5, "turn.completed", true);
        scripted_gone(&s, worker, 1, status);
        event = expect_event(fd, &hold, 6, "job.finished", false);
        assert_string_equal(text_at(event, "result", NULL), "ok");
        assert_string_equal(text_at(event, "thread_id", NULL), THREAD);
        assert_int_equal(json_integer_value(
                                 json_object_get(json_object_get(event, "usage"), "output_tokens")),
                         3);
        assert_null(json_object_get(event, "error"));
        assert_int_equal(scripted_expect(&s, WIRE_RELEASE)->worker.worker, worker);

        /* The same connection goes on: the job as it ended, and any part of its stream again. */
        json_decref(hold);
        hold = scripted_call(fd, "{\"method\":\"io.codexd.Get\",\"parameters\":{\"job\":1}}");
        event = json_object_get(json_object_get(hold, "parameters"), "job");
        assert_string_equal(text_at(event, "state", NULL), "finished");
        assert_int_equal(json_integer_value(json_object_get(event, "last_seq")), 6);
        scripted_request(fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":1,"
                             "\"from_seq\":5},\"more\":true}");
        (void) expect_event(fd, &hold, 5, "turn.completed", true);
        (void) expect_event(fd, &hold, 6, "job.finished", false);
        scripted_request(fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":1,"
                             "\"from_seq\":2}}");
        (void) expect_event(fd, &hold, 2, "thread.started", false);
        json_decref(hold);
        (void) close(fd);
        scripted_end(&s);
}

static json_int_t submit(struct scripted *s, int fd)
{
        json_t *reply;
        json_int_t job;

        scripted_request(fd, SUBMIT NO_MORE);
        scripted_resolved(s);
        reply = scripted_reply(fd);
        job = job_of(reply);
        assert_true(job > 0);
        json_decref(reply);
        return job;
}

/* Waits for the job; gives its Job object, and the reply it is a part of. */
static json_t *wait_for(int fd, json_int_t job, json_t **hold)
{
        char text[128];

        (void) snprintf(text, sizeof text,
                        "{\"method\":\"io.codexd.Wait\",\"parameters\":{\"job\":%lld}}",
                        (long long) job);
        *hold = scripted_call(fd, text);
        return json_object_get(json_object_get(*hold, "parameters"), "job");
}

static void expect_end(int fd, json_int_t job, const char *result, const char *word)
{
        json_t *hold, *ended = wait_for(fd, job, &hold);

        assert_string_equal(text_at(ended, "state", NULL), "finished");
        assert_string_equal(text_at(ended, "result", NULL), result);
        assert_string_equal(text_at(ended, "failure", "error"), word);
        json_decref(hold);
}

static const struct {
        const char *what, *lines[4], *err;
        int status;
        uint32_t flags;
        const char *result, *word;
} ends[] = {
        {"completed", {STARTED_LINE, COMPLETED_LINE}, "", 0, 1, "ok", ""},
        {"a failed turn",
         {STARTED_LINE, "{\"type\":\"turn.failed\",\"error\":{\"message\":\"429\"}}"},
         "",
         1 << 8,
         1,
         "failed",
         "turn-failed"},
        {"an error is not the end",
         {STARTED_LINE, "{\"type\":\"error\",\"message\":\"Reconnecting\"}", COMPLETED_LINE},
         "",
         0,
         1,
         "ok",
         ""},
        {"died before it began", {NULL}, "", SIGSEGV, 1, "failed", "codex-died"},
        {"died in mid-turn", {STARTED_LINE}, "", SIGKILL, 1, "failed", "codex-exit"},
        {"left in mid-turn", {STARTED_LINE}, "", 0, 1, "failed", "codex-exit"},
        {"nothing but garbage", {"Usage: codex"}, "", 2 << 8, 1, "failed", "codex-garbage"},
        {"no such thread",
         {NULL},
         "Error: no rollout found for thread id x (code -32600)\n",
         1 << 8,
         1,
         "failed",
         "thread-unknown"},
        {"its keeper died", {STARTED_LINE}, "", 0, 0, "lost", "lost"},
        {"quota", {STARTED_LINE}, "", 0, 1 | WIRE_WORKER_QUOTA, "quota", "output-quota"},
};

static void test_each_end_has_its_word(void **state)
{
        struct scripted s;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        for (size_t i = 0; i < N_ELEMENTS(ends); i++) {
                json_int_t job = submit(&s, fd);
                uint64_t worker = scripted_run(&s);

                for (size_t k = 0; k < 4 && ends[i].lines[k]; k++)
                        scripted_say(&s, worker, ends[i].lines[k]);
                scripted_append(&s, worker, "stderr", ends[i].err, strlen(ends[i].err));
                scripted_tell(&s, WIRE_GONE, worker, (uint64_t) job, ends[i].status, ends[i].flags);
                print_message("%s\n", ends[i].what);
                expect_end(fd, job, ends[i].result, ends[i].word);
                (void) scripted_expect(&s, WIRE_RELEASE);
        }
        (void) close(fd);
        scripted_end(&s);
}

static void test_cancel_answers_at_once_and_escalates(void **state)
{
        struct scripted s;
        json_t *reply;
        json_int_t running, waiting;
        uint64_t worker;
        int fd;

        scripted_start(&s, ", \"max_workers\": 1, \"kill_grace_s\": 1");
        fd = scripted_connect(&s);
        running = submit(&s, fd);
        worker = scripted_run(&s);
        waiting = submit(&s, fd);
        assert_int_equal(waiting, 2);

        reply = scripted_call(fd, "{\"method\":\"io.codexd.Cancel\",\"parameters\":{\"job\":1}}");
        assert_string_equal(text_at(reply, "parameters", "state"), "cancelling");
        json_decref(reply);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_INTERRUPT);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_KILL);
        /* The slot is the first one's until its tree is gone: the second has not been started. */
        reply = scripted_call(fd, "{\"method\":\"io.codexd.Get\",\"parameters\":{\"job\":2}}");
        assert_string_equal(text_at(json_object_get(reply, "parameters"), "job", "state"),
                            "queued");
        json_decref(reply);
        scripted_gone(&s, worker, (uint64_t) running, SIGKILL);
        assert_int_equal(scripted_expect(&s, WIRE_START)->start.job, waiting);
        expect_end(fd, running, "cancelled", "cancelled");
        (void) close(fd);
        scripted_end(&s);
}

static void test_cancelled_while_it_is_being_started(void **state)
{
        struct scripted s;
        struct wire_failed failed = {.error = {.kind = ERROR_SPAWN_FAILED, .message = "x"}};
        uint64_t cookie;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        (void) submit(&s, fd);
        cookie = scripted_expect(&s, WIRE_START)->start.cookie;
        json_decref(
                scripted_call(fd, "{\"method\":\"io.codexd.Cancel\",\"parameters\":{\"job\":1}}"));
        scripted_make_worker(&s);
        scripted_started(&s, WIRE_STARTED, cookie, s.worker, 1);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_INTERRUPT);
        scripted_gone(&s, s.worker, 1, 0);
        expect_end(fd, 1, "cancelled", "cancelled");
        (void) scripted_expect(&s, WIRE_RELEASE);
        (void) submit(&s, fd);
        failed.cookie = scripted_expect(&s, WIRE_START)->start.cookie;
        json_decref(
                scripted_call(fd, "{\"method\":\"io.codexd.Cancel\",\"parameters\":{\"job\":2}}"));
        scripted_send(&s, WIRE_START_FAILED, &failed, -EBADF);
        expect_end(fd, 2, "cancelled", "cancelled");
        (void) close(fd);
        scripted_end(&s);
}

static void test_a_queued_job_is_cancelled_at_once(void **state)
{
        struct scripted s;
        json_t *hold = NULL;
        int fd;

        scripted_start(&s, ", \"max_workers\": 1");
        fd = scripted_connect(&s);
        (void) submit(&s, fd);
        (void) scripted_run(&s);
        (void) submit(&s, fd);
        json_decref(
                scripted_call(fd, "{\"method\":\"io.codexd.Cancel\",\"parameters\":{\"job\":2}}"));
        expect_end(fd, 2, "cancelled", "cancelled");
        scripted_request(
                fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":2},\"more\":true}");
        (void) expect_event(fd, &hold, 0, "job.queued", true);
        (void) expect_event(fd, &hold, 1, "job.finished", false);
        json_decref(hold);
        (void) close(fd);
        scripted_end(&s);
}

static void test_another_thread_than_asked_is_killed(void **state)
{
        struct scripted s;
        json_t *reply;
        uint64_t worker;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        scripted_request(fd, "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":"
                             "\"one\",\"prompt\":\"hi\",\"thread_id\":"
                             "\"00000000-0000-0000-0000-000000000001\"}}");
        scripted_resolved(&s);
        worker = scripted_run(&s);
        json_decref(scripted_reply(fd));
        reply = scripted_call(fd, "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":"
                                  "\"one\",\"prompt\":\"hi\",\"thread_id\":\"nonsense\"}}");
        expect_error(reply, "io.codexd.BadRequest");
        scripted_request(fd, "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":"
                             "\"one\",\"prompt\":\"hi\",\"thread_id\":"
                             "\"00000000-0000-0000-0000-000000000001\"}}");
        scripted_resolved(&s);
        expect_error(scripted_reply(fd), "io.codexd.ThreadBusy");
        scripted_say(&s, worker, STARTED_LINE);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_KILL);
        scripted_gone(&s, worker, 1, SIGKILL);
        expect_end(fd, 1, "failed", "thread-mismatch");
        (void) close(fd);
        scripted_end(&s);
}

static void test_a_failed_start_names_step_and_errno(void **state)
{
        struct scripted s;
        struct wire_failed failed = {.error = {.kind = ERROR_SPAWN_FAILED,
                                               .number = EPERM,
                                               .step = "mounts",
                                               .message = "mounts: Operation not permitted"}};
        json_t *hold, *ended;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        (void) submit(&s, fd);
        failed.cookie = scripted_expect(&s, WIRE_START)->start.cookie;
        scripted_send(&s, WIRE_START_FAILED, &failed, -EBADF);
        ended = wait_for(fd, 1, &hold);
        assert_string_equal(text_at(ended, "result", NULL), "spawn-failed");
        assert_string_equal(text_at(ended, "failure", "step"), "mounts");
        json_decref(hold);
        (void) close(fd);
        scripted_end(&s);
}

static void test_limits_end_a_turn(void **state)
{
        struct scripted s;
        uint64_t worker;
        json_int_t job;
        int fd;

        scripted_start(&s, ", \"start_timeout_s\": 1, \"kill_grace_s\": 1, \"classes\": {\"chat\": "
                           "{\"wall_clock_s\": 3600, \"no_progress_s\": 2}}");
        fd = scripted_connect(&s);
        job = submit(&s, fd);
        worker = scripted_run(&s);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_INTERRUPT);
        scripted_gone(&s, worker, (uint64_t) job, 1 << 8);
        expect_end(fd, job, "failed", "codex-hung");
        (void) scripted_expect(&s, WIRE_RELEASE);
        job = submit(&s, fd);
        worker = scripted_run(&s);
        scripted_say(&s, worker, STARTED_LINE);
        assert_int_equal(scripted_expect(&s, WIRE_SIGNAL)->signal.how, WIRE_INTERRUPT);
        scripted_gone(&s, worker, (uint64_t) job, 1 << 8);
        expect_end(fd, job, "stalled", "no-progress");
        (void) close(fd);
        scripted_end(&s);
}

/* A RELEASE and a RESOLVE, in either order: one waits for the disk, the other for Codex's version.
 */
static struct wire_resolve release_and_resolve(struct scripted *s)
{
        struct wire_resolve resolve = {.cookie = 0};
        bool released = false;

        while (!released || resolve.cookie == 0) {
                (void) scripted_next(s);
                if (s->last.header.type == WIRE_RESOLVE)
                        resolve = s->last.resolve;
                else if (s->last.header.type == WIRE_RELEASE)
                        released = true;
                else
                        fail_msg("message %u", s->last.header.type);
        }
        return resolve;
}

static void test_turns_go_on_when_it_is_killed(void **state)
{
        struct scripted s;
        json_t *hold = NULL;
        char config[1024];
        uint64_t worker;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        (void) submit(&s, fd); /* 1: running, will be adopted */
        worker = scripted_run(&s);
        scripted_say(&s, worker, STARTED_LINE);
        scripted_request(
                fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":1},\"more\":true}");
        (void) expect_event(fd, &hold, 0, "job.queued", true);
        (void) expect_event(fd, &hold, 1, "job.started", true);
        (void) expect_event(fd, &hold, 2, "thread.started", true);
        json_decref(hold);
        (void) close(fd);
        fd = scripted_connect(&s);
        (void) submit(&s, fd); /* 2: running, its worker will be gone */
        (void) scripted_run(&s);
        (void) submit(&s, fd); /* 3: asked for, and never told to have started */
        (void) scripted_expect(&s, WIRE_START);
        (void) submit(&s, fd); /* 4: the same, but its worker is there */
        (void) scripted_expect(&s, WIRE_START);
        scripted_kill(&s);
        (void) close(fd);

        scripted_say(&s, worker, "{\"type\":\"turn.started\"}");
        scripted_spawn(&s);
        scripted_config(&s, config, sizeof config, "");
        scripted_greet(&s, config);
        scripted_started(&s, WIRE_ADOPTED, 0, worker, 1);
        scripted_make_worker(&s);
        scripted_started(&s, WIRE_ADOPTED, 0, s.worker, 4);
        scripted_synced(&s);
        fd = scripted_connect(&s);
        /* Sent in either order: 2's RELEASE when its end is durable, 3 anew. */
        hold = NULL;
        expect_end(fd, 2, "lost", "lost");
        {
                struct wire_resolve resolve = release_and_resolve(&s);
                struct wire_resolved resolved = {.cookie = resolve.cookie,
                                                 .generation = resolve.generation,
                                                 .uid = OWNER,
                                                 .gid = OWNER + 1};

                scripted_send(&s, WIRE_RESOLVED, &resolved, -EBADF);
        }
        {
                uint64_t mine = scripted_run(&s);

                assert_int_equal(s.last.start.job, 3);
                scripted_say(&s, mine, STARTED_LINE_OF("0003"));
                scripted_say(&s, mine, COMPLETED_LINE);
                scripted_gone(&s, mine, 3, 0);
                expect_end(fd, 3, "ok", "");
                (void) scripted_expect(&s, WIRE_RELEASE);
                s.worker--; /* as it was */
        }
        scripted_say(&s, worker, COMPLETED_LINE);
        scripted_gone(&s, worker, 1, 0);
        scripted_request(
                fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":1},\"more\":true}");
        (void) expect_event(fd, &hold, 0, "job.queued", true);
        (void) expect_event(fd, &hold, 1, "job.started", true);
        (void) expect_event(fd, &hold, 2, "thread.started", true);
        (void) expect_event(fd, &hold, 3, "turn.started", true);
        (void) expect_event(fd, &hold, 4, "turn.completed", true);
        (void) expect_event(fd, &hold, 5, "job.finished", false);
        json_decref(hold);
        scripted_gone(&s, s.worker, 4, 0);
        expect_end(fd, 4, "failed", "codex-died");
        (void) close(fd);
        scripted_end(&s);
}

static const struct {
        const char *what, *request, *error;
} refused[] = {
        {"no JSON", "hello", "io.codexd.BadRequest"},
        {"no object", "[]", "io.codexd.BadRequest"},
        {"no method", "{}", "io.codexd.BadRequest"},
        {"twice the same key", "{\"method\":\"a.b\",\"method\":\"a.b\"}", "io.codexd.BadRequest"},
        {"deep", "{\"method\":\"a.b\",\"parameters\":{\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}}",
         "io.codexd.BadRequest"},
        {"bad UTF-8", "{\"method\":\"\xff\"}", "io.codexd.BadRequest"},
};
static const struct {
        const char *what, *request, *error, *key;
} answered[] = {
        {"no such method", "{\"method\":\"io.codexd.Nope\"}", "org.varlink.service.MethodNotFound",
         NULL},
        {"no such interface", "{\"method\":\"org.example.Nope\"}",
         "org.varlink.service.InterfaceNotFound", NULL},
        {"no such job", "{\"method\":\"io.codexd.Get\",\"parameters\":{\"job\":99}}",
         "io.codexd.NoSuchJob", NULL},
        {"a misspelt key", "{\"method\":\"io.codexd.Get\",\"parameters\":{\"jobs\":99}}",
         "io.codexd.BadRequest", "jobs"},
        {"unsupported", SUBMIT ",\"parameters\":{}}", "io.codexd.BadRequest", NULL},
        {"idempotency_key",
         "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":\"one\",\"prompt\":"
         "\"a\",\"idempotency_key\":\"x\"}}",
         "io.codexd.PolicyUnsupported", "idempotency_key"},
        {"an empty prompt",
         "{\"method\":\"io.codexd.Submit\",\"parameters\":{\"workspace\":\"one\",\"prompt\":"
         "\"\"}}",
         "io.codexd.BadRequest", "prompt"},
};

static void test_bad_requests_end_only_their_connection(void **state)
{
        struct scripted s;
        int good, fd;

        scripted_start(&s, "");
        good = scripted_connect(&s);
        for (size_t i = 0; i < N_ELEMENTS(refused); i++) {
                print_message("%s\n", refused[i].what);
                fd = scripted_connect(&s);
                expect_error(scripted_call(fd, refused[i].request), refused[i].error);
                assert_null(scripted_reply(fd));
                (void) close(fd);
        }
        for (size_t i = 0; i < N_ELEMENTS(answered); i++) {
                json_t *reply;

                if (i == 4) /* duplicate keys: closed, above */
                        continue;
                print_message("%s\n", answered[i].what);
                reply = scripted_call(good, answered[i].request);
                assert_string_equal(text_at(reply, "error", NULL), answered[i].error);
                if (answered[i].key)
                        assert_string_equal(text_at(reply, "parameters", "key"), answered[i].key);
                json_decref(reply);
        }
        json_decref(scripted_call(good, "{\"method\":\"io.codexd.Ping\"}"));
        (void) close(good);
        scripted_end(&s);
}

static void *big_prompt(size_t characters, size_t *ret_n)
{
        static const char head[] = "{\"method\":\"io.codexd.Submit\",\"parameters\":"
                                   "{\"workspace\":\"one\",\"prompt\":\"";
        char *text = malloc(sizeof head + 2 * characters + 16);
        size_t n = sizeof head - 1;

        assert_non_null(text);
        memcpy(text, head, n);
        for (size_t i = 0; i < characters; i++) {
                memcpy(text + n, "\xc3\xa4", 2);
                n += 2;
        }
        memcpy(text + n, "\"}}\n", 4);
        *ret_n = n + 4;
        return text;
}

static void send_all(int fd, const char *text, size_t n)
{
        while (n > 0) {
                ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

                assert_true(k > 0);
                text += k;
                n -= (size_t) k;
        }
}

static void test_the_largest_prompt_and_one_more(void **state)
{
        struct scripted s;
        size_t n;
        char *text = big_prompt(1048577, &n);
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        send_all(fd, text, n);
        expect_error(scripted_reply(fd), "io.codexd.PromptTooLong");
        free(text);
        text = big_prompt(1048576, &n);
        send_all(fd, text, n);
        free(text);
        scripted_resolved(&s);
        (void) scripted_run(&s);
        assert_int_equal(lseek(s.last_fd, 0, SEEK_END), 2 * 1048576);
        json_decref(scripted_reply(fd));
        (void) close(fd);
        scripted_end(&s);
}

/* 24 MB in one event, for a client that reads only now and then. */
static void test_a_large_event_passes_through(void **state)
{
        static const char head[] = "{\"type\":\"item.completed\",\"item\":{\"text\":\"";
        const size_t size = 24u << 20;
        struct scripted s;
        char *line = malloc(size), chunk[65536];
        size_t got = 0;
        uint64_t worker;
        int fd;

        assert_non_null(line);
        memset(line, 'x', size);
        memcpy(line, head, sizeof head - 1);
        memcpy(line + size - 4, "\"}}\n", 4);
        scripted_start(&s, "");
        fd = scripted_connect(&s);
        (void) submit(&s, fd);
        worker = scripted_run(&s);
        scripted_output(&s, worker, line, size);
        scripted_request(fd, "{\"method\":\"io.codexd.Attach\",\"parameters\":{\"job\":1,"
                             "\"from_seq\":2}}");
        for (;;) {
                ssize_t k = recv(fd, chunk, sizeof chunk, 0);

                assert_true(k > 0);
                got += (size_t) k;
                if (chunk[k - 1] == '\n')
                        break;
        }
        assert_true(got > size && got < size + 100);
        scripted_gone(&s, worker, 1, 0);
        expect_end(fd, 1, "failed", "codex-died");
        free(line);
        (void) close(fd);
        scripted_end(&s);
}

static void test_reload_drain_and_ping(void **state)
{
        struct scripted s;
        struct wire_failed reloaded = {.error = {.kind = ERROR_NONE}};
        struct wire_ping ping = {.cookie = 123};
        char config[1024];
        json_t *reply;
        int fd, other;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        scripted_send(&s, WIRE_PING, &ping, -EBADF);
        assert_int_equal(scripted_expect(&s, WIRE_PONG)->ping.cookie, 123);
        scripted_request(fd, "{\"method\":\"io.codexd.Reload\"}");
        reloaded.cookie = scripted_expect(&s, WIRE_RELOAD)->ping.cookie;
        scripted_config(&s, config, sizeof config, ", \"max_workers\": 3");
        scripted_policy(&s, config);
        scripted_send(&s, WIRE_RELOADED, &reloaded, -EBADF);
        reply = scripted_reply(fd);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "parameters"),
                                                            "generation")),
                         2);
        json_decref(reply);
        (void) submit(&s, fd);
        other = scripted_connect(&s);
        scripted_request(other, "{\"method\":\"io.codexd.Drain\",\"parameters\":{\"wait\":true}}");
        (void) scripted_run(&s);
        do { /* until it drains */
                scripted_request(fd, "{\"method\":\"io.codexd.Stats\"}");
                reply = scripted_reply(fd);
                if (json_is_true(json_object_get(json_object_get(reply, "parameters"), "draining")))
                        break;
                json_decref(reply);
        } while (true);
        json_decref(reply);
        expect_error(scripted_call(fd, SUBMIT NO_MORE), "io.codexd.Draining");
        scripted_gone(&s, s.worker, 1, 0);
        reply = scripted_reply(other);
        assert_int_equal(json_integer_value(
                                 json_object_get(json_object_get(reply, "parameters"), "running")),
                         0);
        json_decref(reply);
        (void) close(fd);
        (void) close(other);
        scripted_end(&s);
}

static void test_a_wrong_codex_is_refused(void **state)
{
        static const struct {
                const char *script, *error;
                mode_t mode;
        } cases[] = {
                {"#!/bin/sh\necho codex-cli 0.170.0\n", "io.codexd.CodexVersion", 0755},
                {"#!/bin/sh\nexit 3\n", "io.codexd.CodexDied", 0755},
                {"#!/bin/sh\n", "io.codexd.CodexNotExecutable", 0644},
                {NULL, "io.codexd.CodexMissing", 0},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct scripted s;
                char config[1024], path[128];
                json_t *reply = NULL;
                int fd;

                scripted_dirs(&s);
                scripted_path(&s, path, sizeof path, "codex");
                if (cases[i].script)
                        scripted_write(path, cases[i].script, cases[i].mode);
                else
                        MUST(unlink(path) == 0);
                scripted_config(&s, config, sizeof config, "");
                scripted_spawn(&s);
                scripted_greet(&s, config);
                scripted_synced(&s);
                fd = scripted_connect(&s);
                /* Who comes before that is known is let in, and ends with the same word. */
                scripted_request(fd, SUBMIT MORE);
                for (;;) {
                        struct pollfd both[2] = {{.fd = fd, .events = POLLIN},
                                                 {.fd = s.wire, .events = POLLIN}};

                        MUST(poll(both, 2, PATIENCE * 1000) > 0);
                        if (both[0].revents) {
                                json_decref(reply);
                                reply = scripted_reply(fd);
                                if (text_at(reply, "error", NULL)[0]) {
                                        expect_error(reply, cases[i].error);
                                        break;
                                }
                                if (!json_is_true(json_object_get(reply, "continues"))) {
                                        json_t *event = json_object_get(
                                                json_object_get(reply, "parameters"), "event");

                                        assert_string_equal(text_at(event, "result", NULL),
                                                            "spawn-failed");
                                        json_decref(reply);
                                        reply = NULL;
                                        scripted_request(fd, SUBMIT NO_MORE);
                                }
                        } else {
                                union wire_launch_any peek;
                                ssize_t n = recv(s.wire, &peek, sizeof peek, MSG_PEEK);

                                MUST(n > 0);
                                if (peek.header.type == WIRE_RESOLVE)
                                        scripted_resolved(&s);
                                else
                                        (void) recv(s.wire, &peek, sizeof peek, 0);
                        }
                }
                (void) close(fd);
                scripted_end(&s);
        }
}

static void make_ancient(const struct scripted *s, const char *name)
{
        char path[160];
        json_t *json;

        scripted_path(s, path, sizeof path, name);
        json = json_load_file(path, 0, NULL);
        assert_non_null(json);
        (void) json_object_set_new(json, "finished_usec", json_integer(1));
        assert_int_equal(json_dump_file(json, path, JSON_COMPACT), 0);
        json_decref(json);
}

/* What has ended is dropped when there is too much of it, but for the newest: its number is not to
 * be used again. */
static void test_retention(void **state)
{
        struct scripted s;
        char config[1024];
        uint64_t worker;
        int fd;

        scripted_start(&s, ", \"retention\": {\"jobs\": 1, \"age_s\": 604800}");
        fd = scripted_connect(&s);
        for (json_int_t job = 1; job <= 3; job++) {
                assert_int_equal(submit(&s, fd), job);
                worker = scripted_run(&s);
                scripted_gone(&s, worker, (uint64_t) job, 0);
                expect_end(fd, job, "failed", "codex-died");
                assert_int_equal(scripted_expect(&s, WIRE_RELEASE)->worker.worker, worker);
                if (job > 1)
                        assert_int_equal(scripted_expect(&s, WIRE_FORGET)->worker.worker,
                                         worker - 1);
        }
        expect_error(scripted_call(fd, "{\"method\":\"io.codexd.Get\",\"parameters\":{\"job\":2}}"),
                     "io.codexd.NoSuchJob");
        (void) close(fd);
        scripted_kill(&s);
        make_ancient(&s, "state/jobs/3/ended");
        scripted_spawn(&s);
        scripted_config(&s, config, sizeof config, "");
        scripted_greet(&s, config);
        scripted_synced(&s);
        fd = scripted_connect(&s);
        expect_end(fd, 3, "failed", "codex-died"); /* by its summary */
        assert_int_equal(submit(&s, fd), 4);
        (void) close(fd);
        scripted_end(&s);
}

static void test_a_queued_job_is_resolved_again_after_a_reload(void **state)
{
        struct scripted s;
        struct wire_resolved other = {.uid = OWNER + 7, .gid = OWNER + 1};
        struct wire_resolve asked;
        char config[1024];
        uint64_t worker;
        json_t *hold, *ended;
        int fd;

        scripted_start(&s, ", \"max_workers\": 1");
        fd = scripted_connect(&s);
        (void) submit(&s, fd);
        worker = scripted_run(&s);
        (void) submit(&s, fd);
        (void) submit(&s, fd);
        scripted_config(&s, config, sizeof config, ", \"max_workers\": 1");
        scripted_policy(&s, config);
        scripted_gone(&s, worker, 1, 0);
        asked = release_and_resolve(&s);
        assert_int_equal(asked.generation, 2);
        other.cookie = asked.cookie;
        other.generation = 2;
        scripted_send(&s, WIRE_RESOLVED, &other, -EBADF);
        ended = wait_for(fd, 2, &hold); /* it was accepted for somebody else */
        assert_string_equal(text_at(ended, "result", NULL), "spawn-failed");
        assert_string_equal(text_at(ended, "failure", "error"), "workspace-invalid");
        json_decref(hold);
        scripted_resolved(&s);
        assert_int_equal(scripted_expect(&s, WIRE_START)->start.generation, 2);
        (void) close(fd);
        scripted_end(&s);
}

static void test_anothers_jobs_look_like_none(void **state)
{
        static const char get[] = "{\"method\":\"io.codexd.Get\",\"parameters\":{\"job\":1}}";
        static const char cancel[] = "{\"method\":\"io.codexd.Cancel\",\"parameters\":{\"job\":1}}";
        static const char list[] = "{\"method\":\"io.codexd.List\"}";
        struct scripted s;
        json_t *reply;
        int root, owner, stranger;

        if (getuid() != 0)
                skip(); /* only root can be three people */
        scripted_start(&s, "");
        root = scripted_connect(&s);
        owner = scripted_connect_as(&s, OWNER);
        stranger = scripted_connect_as(&s, OWNER + 1);
        assert_int_equal(submit(&s, owner), 1);
        (void) scripted_expect(&s,
                               WIRE_START); /* first: it is not ordered with the other's RESOLVE */
        scripted_request(stranger, SUBMIT NO_MORE);
        scripted_resolved(&s);
        expect_error(scripted_reply(stranger), "io.codexd.NotPermitted");
        expect_error(scripted_call(stranger, get), "io.codexd.NoSuchJob");
        expect_error(scripted_call(stranger, cancel), "io.codexd.NoSuchJob");
        expect_error(scripted_call(owner, "{\"method\":\"io.codexd.Drain\"}"),
                     "io.codexd.NotPermitted");
        for (int i = 0; i < 3; i++) {
                int fd = (int[]){root, owner, stranger}[i];

                reply = scripted_call(fd, list);
                assert_int_equal(json_array_size(json_object_get(
                                         json_object_get(reply, "parameters"), "jobs")),
                                 fd == stranger ? 0 : 1);
                json_decref(reply);
                if (fd == stranger)
                        continue;
                reply = scripted_call(fd, get);
                assert_string_equal(text_at(reply, "error", NULL), "");
                json_decref(reply);
        }
        (void) close(root);
        (void) close(owner);
        (void) close(stranger);
        scripted_end(&s);
}

static void test_every_described_method_is_there(void **state)
{
        struct scripted s;
        json_t *reply;
        unsigned methods = 0;
        char *text;
        int fd;

        scripted_start(&s, "");
        fd = scripted_connect(&s);
        reply = scripted_call(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                                  "\"parameters\":{\"interface\":\"io.codexd\"}}");
        text = strdup(text_at(reply, "parameters", "description"));
        json_decref(reply);
        for (char *at = strstr(text, "\nmethod "); at; at = strstr(at, "\nmethod ")) {
                char call[256];
                size_t n;

                at += strlen("\nmethod ");
                n = strcspn(at, "(");
                (void) snprintf(call, sizeof call,
                                "{\"method\":\"io.codexd.%.*s\",\"parameters\":{\"no\":1}}",
                                (int) n, at);
                reply = scripted_call(fd, call);
                assert_string_equal(text_at(reply, "error", NULL), "io.codexd.BadRequest");
                assert_string_equal(text_at(reply, "parameters", "key"), "no");
                json_decref(reply);
                methods++;
        }
        assert_int_equal(methods, 11); /* test-peer.c has as many */
        free(text);
        (void) close(fd);
        scripted_end(&s);
}

/* Connections beyond the descriptors it has are told so, and it neither spins nor stops. */
static void test_out_of_descriptors(void **state)
{
        struct scripted s;
        static const char ping[] = "{\"method\":\"io.codexd.Ping\"}\n";
        int fds[100], refused_ones = 0;
        json_t *reply;

        scripted_dirs(&s);
        s.files = 64;
        scripted_spawn(&s);
        {
                char config[1024];

                scripted_config(&s, config, sizeof config, "");
                scripted_greet(&s, config);
                scripted_synced(&s);
        }
        for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
                fds[i] = scripted_connect(&s);
                (void) send(fds[i], ping, strlen(ping), MSG_NOSIGNAL);
        }
        for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
                reply = scripted_reply(fds[i]);
                assert_non_null(reply);
                if (text_at(reply, "error", NULL)[0]) {
                        assert_string_equal(text_at(reply, "error", NULL), "io.codexd.Resources");
                        refused_ones++;
                }
                json_decref(reply);
        }
        assert_in_range(refused_ones, 40, 90);
        for (size_t i = 0; i < N_ELEMENTS(fds); i++)
                (void) close(fds[i]);
        fds[0] = scripted_connect(&s);
        do { /* as soon as it has seen them go */
                reply = scripted_call(fds[0], "{\"method\":\"io.codexd.Ping\"}");
                refused_ones = text_at(reply, "error", NULL)[0] != '\0';
                json_decref(reply);
                if (refused_ones) {
                        (void) close(fds[0]);
                        fds[0] = scripted_connect(&s);
                }
        } while (refused_ones);
        (void) close(fds[0]);
        scripted_end(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_job_from_submit_to_finished),
                cmocka_unit_test(test_each_end_has_its_word),
                cmocka_unit_test(test_cancel_answers_at_once_and_escalates),
                cmocka_unit_test(test_cancelled_while_it_is_being_started),
                cmocka_unit_test(test_a_queued_job_is_cancelled_at_once),
                cmocka_unit_test(test_another_thread_than_asked_is_killed),
                cmocka_unit_test(test_a_failed_start_names_step_and_errno),
                cmocka_unit_test(test_limits_end_a_turn),
                cmocka_unit_test(test_turns_go_on_when_it_is_killed),
                cmocka_unit_test(test_bad_requests_end_only_their_connection),
                cmocka_unit_test(test_the_largest_prompt_and_one_more),
                cmocka_unit_test(test_a_large_event_passes_through),
                cmocka_unit_test(test_reload_drain_and_ping),
                cmocka_unit_test(test_a_wrong_codex_is_refused),
                cmocka_unit_test(test_retention),
                cmocka_unit_test(test_a_queued_job_is_resolved_again_after_a_reload),
                cmocka_unit_test(test_anothers_jobs_look_like_none),
                cmocka_unit_test(test_every_described_method_is_there),
                cmocka_unit_test(test_out_of_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
