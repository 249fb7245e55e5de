#include "follow.h"
#include "connection.h"
#include "exit-code.h"
#include "fd.h"
#include "follow-json.h"
#include "render.h"
#include "status-line.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define REATTACH_S     30   /* how long a broken connection is tried again */
#define ASIDE_MS       5000 /* for the short calls beside the stream */
#define POSITION_TICKS 2    /* seconds between questions for the place in the queue */

struct follow {
        const struct follow_options *options;
        struct connection *connection; /* owned; NULL while it is broken */
        struct render render;
        struct status_line status;
        struct follow_json json;
        FILE *out; /* rendered lines: stdout, or nowhere with --json */
        uint64_t job, next_seq;
        time_t began, broken;
        unsigned interrupts, attempts, ticks;
        int signals, ticker; /* fds */
        bool has_job, reached;
        int code; /* exit code; -1: not at the end */
};

static time_t now_s(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec;
}

static void say(struct follow *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct follow *f, const char *fmt, ...)
{
        va_list ap;

        status_line_clear(&f->status);
        (void) fflush(stdout);
        fputs("codexctl: ", stderr);
        va_start(ap, fmt);
        (void) vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
}

static void how_to_attach(struct follow *f)
{
        if (f->has_job)
                say(f,
                    "job %" PRIu64 " goes on without us; see it with: codexctl attach %" PRIu64
                    " --from %" PRIu64,
                    f->job, f->job, f->next_seq);
        else
                say(f, "whether the job was accepted is not known: codexctl list");
}

static int fail(struct follow *f, const struct failure *failure, const char *what)
{
        status_line_clear(&f->status);
        (void) fflush(stdout);
        return failure_report(failure, what);
}

/* A short call on a connection of its own; the stream's is busy. NULL if it failed. */
static json_t *call_aside(struct follow *f, const char *method, struct failure *failure)
{
        _cleanup_(connection_freep) struct connection *aside = NULL;
        json_t *answer = NULL;

        if (connection_new(&aside, f->options->socket, failure) < 0)
                return NULL;
        if (connection_call(aside, method, json_pack("{s:I}", "job", (json_int_t) f->job), ASIDE_MS,
                            &answer, failure) < 0)
                return NULL;
        return answer;
}

static void cancel(struct follow *f)
{
        struct failure failure;
        json_t *answer = call_aside(f, "io.codexd.Cancel", &failure);

        if (answer)
                say(f, "cancelling job %" PRIu64 "; interrupt again to leave it", f->job);
        else
                (void) fail(f, &failure, "cancelling");
        json_decref(answer);
}

static void on_interrupt(struct follow *f)
{
        struct signalfd_siginfo info;

        while (read(f->signals, &info, sizeof info) == (ssize_t) sizeof info)
                f->interrupts++;
        if (f->interrupts == 0)
                return;
        if (!f->options->ours) {
                f->code = EXIT_SIGNAL + SIGINT;
        } else if (f->interrupts > 1) {
                how_to_attach(f);
                f->code = EXIT_SIGNAL + SIGINT;
        } else if (f->has_job) {
                cancel(f);
        } else {
                say(f, "cancelling the job as soon as its id is known; interrupt again to leave");
        }
}

static void ask_position(struct follow *f)
{
        struct failure failure;
        json_t *answer = call_aside(f, "io.codexd.Get", &failure);
        json_t *position = json_object_get(json_object_get(answer, "job"), "queue_position");

        if (json_is_integer(position) && json_integer_value(position) > 0)
                f->render.position = (uint64_t) json_integer_value(position);
        json_decref(answer);
}

static void on_tick(struct follow *f)
{
        uint64_t expired;

        if (read(f->ticker, &expired, sizeof expired) != (ssize_t) sizeof expired)
                return;
        if (strcmp(f->render.state, "queued") == 0 && f->connection &&
            ++f->ticks % POSITION_TICKS == 0)
                ask_position(f);
}

static void on_job_id(struct follow *f, uint64_t job)
{
        f->job = f->render.job = job;
        f->has_job = true;
        say(f, "job %" PRIu64, job);
        if (f->interrupts > 0)
                cancel(f);
}

static void on_event(struct follow *f, const struct reply *reply)
{
        const struct envelope *e = &reply->envelope;
        uint64_t size = e->event_end - e->event;
        json_t *event = NULL;

        if (e->has_seq && e->seq < f->next_seq)
                return; /* seen before the connection broke */
        f->attempts = 0;
        status_line_clear(&f->status);
        if (f->options->json)
                follow_json_reply(&f->json, reply);
        /* With --json only codexd's own events matter here, and those are small. */
        if (reply->bytes && !(f->options->json && size > 65536))
                event = json_loadb(reply->bytes + e->event, (size_t) size, JSON_ALLOW_NUL, NULL);
        if (event)
                render_event(&f->render, event, f->out);
        else
                render_unknown(&f->render, e->seq, size, f->out);
        json_decref(event);
        f->next_seq = e->seq + 1;
        f->reached = f->options->has_until && e->seq >= f->options->until;
}

static int code_at_end(struct follow *f)
{
        const struct render *r = &f->render;

        if (!f->options->ours)
                return EXIT_OK;
        /* Where its last line is not on the screen: a person wants to know all the same. */
        if (strcmp(r->result, "ok") != 0 && (f->options->quiet || !isatty(STDOUT_FILENO))) {
                fprintf(stderr, "codexctl: job %" PRIu64 " ended: ", f->job);
                render_result(r->result, r->error, r->message, stderr);
                fputc('\n', stderr);
        }
        return exit_code_of_job(r->result, r->error, r->exit_signal);
}

static void on_reply(struct follow *f, const struct reply *reply)
{
        const struct envelope *e = &reply->envelope;
        struct failure failure;
        json_t *parameters = NULL, *job;

        if (e->event_end > 0) {
                on_event(f, reply);
        } else {
                if (reply_parse(reply, &parameters, &failure) < 0) {
                        f->code = fail(f, &failure, f->has_job ? "following" : "submitting");
                        return;
                }
                job = json_object_get(parameters, "job");
                if (!f->has_job && json_is_integer(job))
                        on_job_id(f, (uint64_t) json_integer_value(job));
                json_decref(parameters);
        }
        if (f->render.finished)
                f->code = code_at_end(f);
        else if (f->reached)
                f->code = EXIT_OK;
        else if (!e->continues && f->has_job)
                f->connection = connection_free(f->connection); /* ended early: attach again */
}

static void on_overflow(void *data, const struct envelope *envelope, const char *bytes, size_t n)
{
        struct follow *f = data;

        if (!f->options->json || (envelope->has_seq && envelope->seq < f->next_seq))
                return;
        follow_json_piece(&f->json, envelope, bytes, n);
}

static int begin(struct follow *f, json_t *submit, struct failure *failure)
{
        bool is_submit = submit;
        json_t *call = submit ? submit
                              : json_pack("{s:I, s:I}", "job", (json_int_t) f->job, "from_seq",
                                          (json_int_t) f->next_seq);
        int r = connection_new(&f->connection, f->options->socket, failure);

        if (r < 0) {
                json_decref(call);
                return r;
        }
        connection_set_overflow(f->connection, on_overflow, f);
        r = connection_send(f->connection, is_submit ? "io.codexd.Submit" : "io.codexd.Attach",
                            call, true);
        if (r < 0) {
                f->connection = connection_free(f->connection);
                failure_set(failure, "io.codexd.Unreachable", "%s", strerror(-r));
        }
        return r;
}

static void on_broken(struct follow *f, int r)
{
        struct failure failure;

        f->connection = connection_free(f->connection);
        if (r == -EPROTO)
                failure_set(&failure, "io.codexd.Unreachable", "what answers is not codexd");
        else
                failure_set(&failure, "io.codexd.Unreachable",
                            "codexd closed the connection before it answered");
        if (!f->has_job || r == -EPROTO) {
                f->code = fail(f, &failure, f->has_job ? "following" : "submitting");
                how_to_attach(f);
        }
}

static void attach_again(struct follow *f)
{
        struct failure failure;

        if (f->attempts++ == 0) {
                f->broken = now_s();
                say(f, "the connection to codexd broke; attaching again");
        }
        if (begin(f, NULL, &failure) == 0 || now_s() - f->broken < REATTACH_S)
                return;
        f->code = fail(f, &failure, "attaching again");
        how_to_attach(f);
}

/* How long until a broken connection is tried again: at once, then 0.1 s, doubling up to 2 s. */
static int pause_ms(const struct follow *f)
{
        return f->connection ? -1 : f->attempts == 0 ? 0 : MIN(50 << MIN(f->attempts, 6u), 2000);
}

static void read_replies(struct follow *f)
{
        struct reply reply;
        int r = connection_read(f->connection);

        while (r >= 0 && f->code < 0 && f->connection) {
                int n = connection_next(f->connection, &reply);

                if (n == 0)
                        return;
                if (n < 0)
                        r = n;
                else
                        on_reply(f, &reply);
        }
        if (r < 0 && f->code < 0)
                on_broken(f, r);
}

static int loop(struct follow *f)
{
        while (f->code < 0) {
                struct pollfd fds[] = {
                        {.fd = f->connection ? connection_fd(f->connection) : -1, .events = POLLIN},
                        {.fd = f->signals, .events = POLLIN},
                        /* not while broken: the pause must run out */
                        {.fd = f->connection ? f->ticker : -1, .events = POLLIN},
                };
                int r;

                if (fflush(stdout) != 0 || ferror(stdout)) {
                        say(f, "writing to stdout: %s", strerror(errno));
                        how_to_attach(f);
                        return EXIT_JOB_FAILED;
                }
                status_line_draw(&f->status, &f->render, (uint64_t) (now_s() - f->began));
                r = poll(fds, N_ELEMENTS(fds), pause_ms(f));
                if (r < 0 && errno != EINTR)
                        return EXIT_JOB_FAILED;
                if (r < 0)
                        continue;
                if (fds[1].revents)
                        on_interrupt(f);
                if (fds[2].revents)
                        on_tick(f);
                if (f->code < 0 && fds[0].revents)
                        read_replies(f);
                else if (f->code < 0 && !f->connection && r == 0)
                        attach_again(f);
        }
        return f->code;
}

/* Ctrl-C is read from a descriptor; who started us with it ignored (nohup) keeps that. */
static void take_interrupts(struct follow *f, sigset_t *before)
{
        struct sigaction action;
        sigset_t set;

        (void) sigemptyset(&set);
        if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                (void) sigaddset(&set, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &set, before);
        f->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void start_ticker(struct follow *f)
{
        const struct itimerspec second = {.it_interval = {1, 0}, .it_value = {1, 0}};

        if (!f->status.enabled)
                return;
        f->ticker = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (f->ticker >= 0)
                (void) timerfd_settime(f->ticker, 0, &second, NULL);
}

static int follow(const struct follow_options *options, json_t *submit, uint64_t job)
{
        struct follow f = {.options = options,
                           .out = stdout,
                           .job = job,
                           .has_job = !submit,
                           .next_seq = submit ? 0 : options->from,
                           .began = now_s(),
                           .signals = -EBADF,
                           .ticker = -EBADF,
                           .code = -1};
        struct failure failure;
        sigset_t before;

        render_init(&f.render);
        f.render.job = job;
        f.render.quiet = options->quiet;
        f.render.verbose = options->verbose;
        f.render.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
        status_line_init(&f.status, !options->json);
        follow_json_init(&f.json, stdout, isatty(STDOUT_FILENO));
        if (options->json && !(f.out = fopen("/dev/null", "we"))) {
                json_decref(submit);
                return EXIT_JOB_FAILED;
        }
        take_interrupts(&f, &before);
        start_ticker(&f);
        if (begin(&f, submit, &failure) < 0)
                f.code = fail(&f, &failure, submit ? "submitting" : "attaching");
        f.code = loop(&f);
        status_line_clear(&f.status);
        if (fflush(stdout) != 0 && f.code == EXIT_OK)
                f.code = EXIT_JOB_FAILED;
        f.connection = connection_free(f.connection);
        (void) fd_close(f.signals);
        (void) fd_close(f.ticker);
        if (options->json)
                (void) fclose(f.out);
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
        return f.code;
}

int follow_submit(const struct follow_options *options, json_t *parameters)
{
        return follow(options, parameters, 0);
}

int follow_job(const struct follow_options *options, uint64_t job)
{
        return follow(options, NULL, job);
}
