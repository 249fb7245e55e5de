/* From the runner's reports to a running worker: which step failed, or the read-back of what it
 * became, and only then the first byte of input. */
#include "fd.h"
#include "log.h"
#include "verify.h"
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DYING_MS        200
#define START_TIMEOUT_S 20. /* of the runner: mounts may wait for a slow file system */

/* Nothing was given to it yet, so nothing of it need be kept. The answer waits until the tree is
 * gone: the slot is not free before. */
void worker_abort(struct worker *w, const struct error *why)
{
        w->aborted = true;
        wire_error_from(&w->why, why);
        ev_io_stop(w->launcher->loop, &w->report_io);
        ev_timer_stop(w->launcher->loop, &w->timer);
        w->report = fd_close(w->report);
        if (w->keeper_pidfd < 0) { /* it was never born */
                worker_end(w);
                return;
        }
        (void) syscall(SYS_pidfd_send_signal, w->keeper_pidfd, SIGKILL, NULL, 0);
        worker_watch_keeper(w);
}

/* Whether PID 1 of the worker has ended: then nothing that is read back means anything. Asked only
 * after something failed: a process that is being killed closes its files a moment before it is
 * dead. */
static bool keeper_is_gone(const struct worker *w)
{
        struct pollfd p = {.fd = w->keeper_pidfd, .events = POLLIN};

        return poll(&p, 1, DYING_MS) > 0;
}

static int killed(struct error *err)
{
        (void) error_set(err, ERROR_SPAWN_FAILED, "starting a worker: it was killed on the way");
        (void) snprintf(err->step, sizeof err->step, "killed");
        return -err->number;
}

static void runner_error(const struct worker *w, struct error *err)
{
        for (int who = RUNNER_JOB; who >= RUNNER_INIT; who--) {
                const struct runner_report *report = &w->reports[who].report;
                const char *step = runner_step_name((uint32_t) who, report->step);
                enum error_kind kind = ERROR_SPAWN_FAILED;

                if (w->reports[who].seen && report->number == 0)
                        continue;
                if (!w->reports[who].seen) { /* the other side says more, if it failed */
                        (void) killed(err);
                        continue;
                }
                if (who == RUNNER_JOB && strcmp(step, "exec") == 0)
                        kind = report->number == ENOENT ? ERROR_CODEX_MISSING
                                                        : ERROR_CODEX_NOT_EXECUTABLE;
                (void) error_set_errno(err, kind, report->number, "starting a worker: %s%s%.48s",
                                       step, report->detail[0] ? ": " : "", report->detail);
                (void) snprintf(err->step, sizeof err->step, "%s", step);
                return;
        }
}

static int verify(struct worker *w, struct error *err)
{
        const struct verify_wanted wanted = {
                .uid = w->meta.uid, .gid = w->meta.gid, .groups = w->groups, .ngroups = w->ngroups};
        int zombie = 0, r;

        if (w->codex <= 0)
                return error_set(err, ERROR_PRIVILEGE_VERIFY, "Codex's pid is not known");
        r = verify_process(w->codex, w->keeper, &wanted, &w->meta.identity, &zombie, err);
        if (r < 0 && keeper_is_gone(w))
                return killed(err);
        if (r < 0) {
                struct report_fields f = {0};

                report_add(&f, "CODEX_WORKER", "%" PRIu64, w->meta.worker);
                report_add(&f, "CODEX_JOB", "%" PRIu64, w->meta.job);
                report_add(&f, "CODEX_WORKSPACE", "%s", w->meta.workspace);
                report_add(&f, "CODEX_UID", "%u", w->meta.uid);
                report_add(&f, "OBJECT_PID", "%d", (int) w->codex);
                report_add(&f, "CODEX_REASON", "%s", err->message);
                report(w->launcher->reporter, REPORT_PRIVILEGE_VERIFY_FAILED, f.fields,
                       "Worker %" PRIu64 " was killed before its first input: %s", w->meta.worker,
                       err->message);
        }
        return r;
}

/* Verified: it gets its prompt, and the keeper may reap. */
static int let_go(struct worker *w, struct error *err)
{
        const struct settings *settings = config_settings(w->launcher->config);
        struct keeper_message m = {
                .magic = WIRE_KEEPER_MAGIC,
                .version = WIRE_KEEPER_VERSION,
                .type = KEEPER_GO,
                .size = sizeof m,
                .worker = w->meta.worker,
                .output_max = settings->job_output_max,
        };
        struct wire_started started = {.cookie = w->cookie};
        int r;

        w->meta.started_usec = launcher_now_usec(CLOCK_REALTIME);
        w->meta.spawn_usec = launcher_now_usec(CLOCK_MONOTONIC) - w->received_usec;
        w->meta.keeper_pid = (uint32_t) w->keeper;
        w->meta.codex_pid = (uint32_t) w->codex;
        /* Before GO: from then on it is a worker that a later launcher must find. */
        r = spool_write_meta(w->spool_dir, &w->meta);
        if (r < 0)
                return worker_failed(err, "meta", -r);
        r = fd_send(w->control, &m, sizeof m, &w->prompt, 1);
        if (r < 0)
                return keeper_is_gone(w) ? killed(err) : worker_failed(err, "keeper", -r);
        w->prompt = fd_close(w->prompt);
        worker_set_state(w, WORKER_RUNNING);
        worker_fill_started(w, &started);
        super_tell(&w->launcher->super, &started, WIRE_STARTED, -EBADF);
        w->cookie = 0;
        worker_watch_control(w);
        worker_watch_keeper(w);
        return 0;
}

/* Both sides have exec'ed or ended: their copies of the socket are closed. */
static void runner_finished(struct worker *w)
{
        struct error err = {0};
        int r;

        ev_io_stop(w->launcher->loop, &w->report_io);
        ev_timer_stop(w->launcher->loop, &w->timer);
        w->report = fd_close(w->report);
        for (int who = RUNNER_INIT; who <= RUNNER_JOB; who++) {
                const struct runner_report *report = &w->reports[who].report;
                const char *last = who == RUNNER_JOB ? "exec" : "keeper-exec";

                if (!w->reports[who].seen || report->number != 0 ||
                    strcmp(runner_step_name((uint32_t) who, report->step), last) != 0) {
                        runner_error(w, &err);
                        worker_abort(w, &err);
                        return;
                }
        }
        r = verify(w, &err);
        if (r == 0)
                r = let_go(w, &err);
        if (r < 0)
                worker_abort(w, &err);
}

static void on_report(struct ev_loop *loop, ev_io *io, int revents)
{
        struct worker *w = container_of(io, struct worker, report_io);
        union {
                char buffer[CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr align;
        } control;
        struct runner_report report;
        struct iovec iov = {.iov_base = &report, .iov_len = sizeof report};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buffer,
                             .msg_controllen = sizeof control.buffer};
        ssize_t n = recvmsg(w->report, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != (ssize_t) sizeof report || report.who > RUNNER_JOB) {
                runner_finished(w);
                return;
        }
        report.detail[sizeof report.detail - 1] = '\0';
        /* An earlier failure is not overwritten: "exec, 0" is followed by its errno, never the
         * reverse. */
        w->reports[report.who].report = report;
        w->reports[report.who].seen = true;
        c = CMSG_FIRSTHDR(&msg);
        if (report.who == RUNNER_JOB && c && c->cmsg_level == SOL_SOCKET &&
            c->cmsg_type == SCM_CREDENTIALS && w->codex_pidfd < 0) {
                struct ucred peer;

                memcpy(&peer, CMSG_DATA(c), sizeof peer);
                w->codex = peer.pid;
                w->codex_pidfd = (int) syscall(SYS_pidfd_open, peer.pid, 0);
        }
}

static void on_start_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct worker *w = container_of(timer, struct worker, timer);
        struct error err = {0};

        (void) worker_failed(&err, "timeout", ETIMEDOUT);
        worker_abort(w, &err);
}

void worker_watch_runner(struct worker *w)
{
        ev_io_init(&w->report_io, on_report, w->report, EV_READ);
        ev_io_start(w->launcher->loop, &w->report_io);
        ev_timer_init(&w->timer, on_start_timeout, START_TIMEOUT_S, 0.);
        ev_timer_start(w->launcher->loop, &w->timer);
}
