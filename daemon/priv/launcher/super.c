/* The supervisor: started without any privilege, heard with suspicion, replaced when it dies, falls
 * silent or says what an honest one could not. Its turns go on meanwhile. */
#include "fd.h"
#include "launcher.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define WIRE_FD      3
#define OUTGOING_MAX 8192
#define QUICK_S      2. /* a supervisor that lived shorter is restarted later and later */

static void on_wire_writable(struct ev_loop *loop, ev_io *io, int revents);
static void on_restart(struct ev_loop *loop, ev_timer *timer, int revents);

static void drop_outgoing(struct super *s)
{
        LIST_FOREACH (o, &s->outgoing, struct outgoing, link) {
                list_remove(&o->link);
                (void) fd_close(o->fd);
                free(o);
        }
        s->noutgoing = 0;
}

/* ---- to the supervisor ---- */

void super_violation(struct super *s, const char *what)
{
        if (s->pid == 0)
                return;
        log_error("supervisor %d: %s: killed, a fresh one is started", (int) s->pid, what);
        (void) syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
        ev_io_stop(s->launcher->loop, &s->wire_io); /* nothing more is heard of it */
}

void super_tell(struct super *s, void *message, uint32_t type, int fd)
{
        size_t size = wire_launch_size(type, false);
        struct outgoing *o;

        if (!s->hello || s->wire < 0)
                return;
        wire_launch_seal(message, type, &s->sent);
        if (s->noutgoing == 0) {
                int r = fd_send(s->wire, message, size, &fd, fd >= 0 ? 1 : 0);

                if (r == 0 || (r != -EAGAIN && r != -ENOBUFS))
                        return; /* a broken pipe: its pidfd tells */
        }
        o = s->noutgoing < OUTGOING_MAX ? calloc(1, sizeof *o) : NULL;
        if (!o) {
                super_violation(s, "does not read what it is told");
                return;
        }
        o->size = size;
        o->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -EBADF;
        memcpy(&o->message, message, size);
        list_append(&s->outgoing, &o->link);
        if (s->noutgoing++ == 0)
                ev_io_start(s->launcher->loop, &s->wire_out);
}

static void on_wire_writable(struct ev_loop *loop, ev_io *io, int revents)
{
        struct super *s = container_of(io, struct super, wire_out);

        LIST_FOREACH (o, &s->outgoing, struct outgoing, link) {
                int r = fd_send(s->wire, &o->message, o->size, &o->fd, o->fd >= 0 ? 1 : 0);

                if (r == -EAGAIN || r == -ENOBUFS)
                        return;
                list_remove(&o->link);
                (void) fd_close(o->fd);
                free(o);
                s->noutgoing--;
        }
        ev_io_stop(loop, io);
}

/* ---- from the supervisor ---- */

static void on_wire(struct ev_loop *loop, ev_io *io, int revents)
{
        struct super *s = container_of(io, struct super, wire_io);
        union wire_launch_any m;
        int fds[FD_RECV_MAX];
        size_t nfds;
        ssize_t n = fd_recv(s->wire, &m, sizeof m, fds, &nfds, MSG_DONTWAIT);
        int r;

        if (n == -EAGAIN)
                return;
        if (n == 0 || (n < 0 && n != -EMSGSIZE)) { /* ECONNRESET: it died without having read all */
                ev_io_stop(loop, io);              /* its pidfd tells */
                return;
        }
        r = n < 0 ? (int) n : wire_launch_check(&m, (size_t) n, true, &s->received);
        if (r < 0 || nfds != wire_launch_fds(m.header.type)) {
                char what[96];

                (void) snprintf(what, sizeof what,
                                "a malformed message (type %u, %zd bytes, %zu descriptors: %s)",
                                n >= (ssize_t) sizeof m.header ? m.header.type : 0, n,
                                n > 0 ? nfds : 0, r < 0 ? strerror(-r) : "wrong number of them");
                for (size_t i = 0; n > 0 && i < nfds; i++)
                        (void) fd_close(fds[i]);
                super_violation(s, what);
                return;
        }
        if (!s->said_hello && m.header.type != WIRE_HELLO) {
                for (size_t i = 0; i < nfds; i++)
                        (void) fd_close(fds[i]);
                super_violation(s, "a message before HELLO");
                return;
        }
        request_handle(s->launcher, &m, fds, nfds);
}

/* ---- life and death ---- */

static void on_died(struct ev_loop *loop, ev_io *io, int revents)
{
        struct super *s = container_of(io, struct super, pidfd_io);
        struct launcher *launcher = s->launcher;
        struct report_fields f = {0};
        double delay;
        bool was_ready;
        int status = 0;

        ev_io_stop(loop, io);
        (void) waitpid(s->pid, &status, 0);
        ev_io_stop(loop, &s->wire_io);
        ev_io_stop(loop, &s->wire_out);
        ev_timer_stop(loop, &s->overdue);
        drop_outgoing(s);
        s->wire = fd_close(s->wire);
        s->pidfd = fd_close(s->pidfd);
        s->pid = 0;
        was_ready = s->said_hello;
        s->said_hello = s->hello = false;
        /* A start that nobody waits for any more: its job is asked for again by the next one. */
        LIST_FOREACH (w, &launcher->workers, struct worker, link) {
                if (w->state == WORKER_STARTING || w->aborted)
                        w->cookie = 0;
                if (w->state == WORKER_STARTING && !w->aborted)
                        worker_abort(w, NULL);
        }
        if (launcher->stopping) {
                ev_break(loop, EVBREAK_ALL);
                return;
        }
        report_add(&f, "EXIT_CODE", "%s", WIFSIGNALED(status) ? "killed" : "exited");
        report_add(&f, "EXIT_STATUS", "%d",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        report(launcher->reporter, REPORT_SUPERVISOR_DIED, f.fields,
               "The supervisor %s %d; %u running turns go on and a fresh one takes over",
               WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), launcher->nworkers);
        /* One that never came to HELLO is broken, and retried ever later; one that was killed for
         * what it said is replaced at once, but for a pause that keeps a hostile one from being a
         * load. */
        s->quick_deaths = was_ready ? 0 : s->quick_deaths + 1;
        delay = ev_now(loop) - s->started > QUICK_S ? 0. : 0.05 + MIN(5., 0.1 * s->quick_deaths);
        ev_timer_stop(loop, &s->restart);
        ev_timer_set(&s->restart, delay, 0.);
        ev_timer_start(loop, &s->restart);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct super *s = container_of(timer, struct super, restart);
        int r = super_start(s);

        if (r < 0) {
                log_error("starting the supervisor: %s", strerror(-r));
                ev_timer_set(timer, 1., 0.);
                ev_timer_start(loop, timer);
        }
}

/* The fresh child: everything goes, then exec. What fails ends it, and on_died tells. */
static _Noreturn void child(const struct super *s, int wire, char *const *argv)
{
        static char *const environment[] = {(char *) "PATH=/usr/local/bin:/usr/bin:/bin",
                                            (char *) "LANG=C.UTF-8", NULL};
        const struct account *account = &s->launcher->supervisor;
        struct runner_plan unused = {0};
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                if (i != SIGKILL && i != SIGSTOP)
                        (void) signal(i, SIG_DFL);
        (void) sigemptyset(&none);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                _exit(101);
        if (wire == WIRE_FD ? fd_set_cloexec(wire, 0) < 0 : dup2(wire, WIRE_FD) < 0)
                _exit(102);
        if (syscall(SYS_close_range, WIRE_FD + 1, ~0u, 0u) < 0)
                _exit(103);
        if (runner_securebits(&unused) < 0 || runner_bounding_set(&unused) < 0 ||
            runner_identity(account->uid, account->gid, NULL, 0) < 0 ||
            runner_capabilities(&unused) < 0 || runner_no_new_privs(&unused) < 0)
                _exit(104);
        execve(argv[0], argv, environment);
        _exit(105);
}

int super_start(struct super *s)
{
        struct launcher *launcher = s->launcher;
        const struct options *o = &launcher->options;
        _cleanup_fd_ int ours = -EBADF, theirs = -EBADF;
        char path[512], state[512];
        char *argv[] = {path, state, NULL};
        int pair[2], size = 1 << 20;
        pid_t pid;

        (void) snprintf(path, sizeof path, "%s/codexd-supervisor", o->libexec_dir);
        (void) snprintf(state, sizeof state, "--state-dir=%s", o->state_dir);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        (void) setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                child(s, theirs, argv);
        s->pid = pid;
        s->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (s->pidfd < 0) { /* EMFILE: a supervisor that cannot be watched is none */
                int r = -errno;

                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                s->pid = 0;
                return r;
        }
        s->wire = TAKE_FD(ours);
        s->sent = s->received = 0;
        s->said_hello = s->hello = false;
        s->started = ev_now(launcher->loop);
        ev_io_init(&s->pidfd_io, on_died, s->pidfd, EV_READ);
        ev_io_start(launcher->loop, &s->pidfd_io);
        ev_io_init(&s->wire_io, on_wire, s->wire, EV_READ);
        ev_io_start(launcher->loop, &s->wire_io);
        ev_io_init(&s->wire_out, on_wire_writable, s->wire, EV_WRITE);
        return 0;
}

/* systemd hears of us only after the supervisor's loop has turned: a PONG is the one thing that
 * feeds its watchdog. A silent one is replaced at half the period. */
static void on_ping(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct super *s = container_of(timer, struct super, ping);
        struct wire_ping m = {.cookie = launcher_now_usec(CLOCK_MONOTONIC)};

        if (s->pid == 0 || ev_is_active(&s->overdue))
                return;
        super_tell(s, &m, WIRE_PING,
                   -EBADF); /* before HELLO nothing is told: that is overdue too */
        ev_timer_set(&s->overdue, (double) s->launcher->watchdog_usec / 1e6 / 18, 0.);
        ev_timer_start(loop, &s->overdue);
}

static void on_overdue(struct ev_loop *loop, ev_timer *timer, int revents)
{
        super_violation(container_of(timer, struct super, overdue),
                        "silent for half the watchdog's period");
}

void super_answered(struct super *s)
{
        ev_timer_stop(s->launcher->loop, &s->overdue);
}

void super_init(struct super *s, struct launcher *launcher)
{
        double period = (double) launcher->watchdog_usec / 1e6 * 8 / 18; /* plus overdue: a half */

        s->launcher = launcher;
        s->pidfd = s->wire = -EBADF;
        list_init(&s->outgoing);
        ev_init(&s->pidfd_io, on_died);
        ev_init(&s->wire_io, on_wire);
        ev_init(&s->wire_out, on_wire_writable);
        ev_init(&s->restart, on_restart);
        ev_init(&s->overdue, on_overdue);
        ev_timer_init(&s->ping, on_ping, period, period);
        ev_timer_start(launcher->loop, &s->ping);
}

void super_stop(struct super *s)
{
        ev_timer_stop(s->launcher->loop, &s->ping);
        ev_timer_stop(s->launcher->loop, &s->overdue);
        ev_timer_stop(s->launcher->loop, &s->restart);
        if (s->pid > 0)
                (void) syscall(SYS_pidfd_send_signal, s->pidfd, SIGTERM, NULL, 0);
        else
                ev_break(s->launcher->loop, EVBREAK_ALL);
}
