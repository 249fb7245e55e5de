#include "worker.h"
#include "fd.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TO(state)      (1u << (state))
#define REMOVE_RETRY_S 0.005
#define UNKILLABLE_S   30.
#define REMOVE_TRIES                                                                               \
        6000 /* the same half minute: then a process is in D state, and that is said               \
              */

static const struct {
        const char *name;
        unsigned next;
} states[_WORKER_STATE_MAX] = {
        [WORKER_STARTING] = {"starting", TO(WORKER_RUNNING) | TO(WORKER_ENDING)},
        [WORKER_RUNNING] = {"running", TO(WORKER_ENDING)},
        [WORKER_ENDING] = {"ending", TO(WORKER_GONE)},
        [WORKER_GONE] = {"gone", 0},
};

const char *worker_state_name(enum worker_state state)
{
        return states[state].name;
}

uint64_t launcher_now_usec(int clock)
{
        struct timespec ts;

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

bool worker_takes_slot(const struct worker *worker)
{
        return worker->state != WORKER_GONE;
}

void worker_set_state(struct worker *worker, enum worker_state next)
{
        if (!(states[worker->state].next & TO(next))) {
                log_error("w-%" PRIu64 ": %s -> %s is a bug", worker->meta.worker,
                          states[worker->state].name, states[next].name);
                abort();
        }
        log_debug("w-%" PRIu64 ": %s -> %s", worker->meta.worker, states[worker->state].name,
                  states[next].name);
        worker->state = next;
        if (next == WORKER_GONE)
                worker->launcher->nworkers--;
}

struct worker *worker_new(struct launcher *launcher, uint64_t id)
{
        struct worker *w = calloc(1, sizeof *w);

        if (!w)
                return NULL;
        w->launcher = launcher;
        w->meta.magic = SPOOL_META_MAGIC;
        w->meta.version = SPOOL_META_VERSION;
        w->meta.worker = id;
        w->cgroup = (struct cgroup) CGROUP_NONE;
        w->spool_dir = w->prompt = w->report = w->control = -EBADF;
        w->keeper_pidfd = w->codex_pidfd = -EBADF;
        ev_init(&w->report_io, NULL);
        ev_init(&w->control_io, NULL);
        ev_init(&w->keeper_io, NULL);
        ev_init(&w->timer, NULL);
        list_append(&launcher->workers, &w->link);
        launcher->nworkers++;
        return w;
}

struct worker *worker_free(struct worker *w)
{
        if (!w)
                return NULL;
        ev_io_stop(w->launcher->loop, &w->report_io);
        ev_io_stop(w->launcher->loop, &w->control_io);
        ev_io_stop(w->launcher->loop, &w->keeper_io);
        ev_timer_stop(w->launcher->loop, &w->timer);
        if (worker_takes_slot(w))
                w->launcher->nworkers--;
        list_remove(&w->link);
        cgroup_close(&w->cgroup);
        (void) fd_close(w->spool_dir);
        (void) fd_close(w->prompt);
        (void) fd_close(w->report);
        (void) fd_close(w->control);
        (void) fd_close(w->keeper_pidfd);
        (void) fd_close(w->codex_pidfd);
        free(w);
        return NULL;
}

struct worker *worker_find(struct launcher *launcher, uint64_t id)
{
        LIST_FOREACH (w, &launcher->workers, struct worker, link)
                if (w->meta.worker == id)
                        return w;
        return NULL;
}

void worker_fill_started(const struct worker *w, struct wire_started *ret)
{
        ret->worker = w->meta.worker;
        ret->job = w->meta.job;
        ret->generation = w->meta.generation;
        ret->pid = (uint32_t) w->codex;
        ret->flags = w->flags;
        ret->started_usec = w->meta.started_usec;
        ret->spawn_usec = w->meta.spawn_usec;
        memcpy(ret->digest, w->meta.digest, sizeof ret->digest);
        memcpy(ret->workspace, w->meta.workspace, sizeof ret->workspace);
        memcpy(ret->codex_version, w->meta.codex_version, sizeof ret->codex_version);
        ret->identity = w->meta.identity;
}

void worker_fill_exited(const struct worker *w, struct wire_exited *ret)
{
        ret->worker = w->meta.worker;
        ret->job = w->meta.job;
        ret->status = w->status;
        ret->flags = w->flags;
        ret->ended_usec = w->ended_usec;
}

static void tell_exited(struct worker *w, uint32_t type)
{
        struct wire_exited m = {0};

        worker_fill_exited(w, &m);
        super_tell(&w->launcher->super, &m, type, -EBADF);
}

static void kill_tree(struct worker *w)
{
        int r = cgroup_kill(&w->cgroup);

        if (r < 0 && r != -ENOENT)
                log_error("w-%" PRIu64 ": cgroup.kill: %s", w->meta.worker, strerror(-r));
        /* Without a cgroup, or beside it: the end of PID 1 is the end of its namespace. */
        if (r < 0 && w->keeper_pidfd >= 0)
                (void) syscall(SYS_pidfd_send_signal, w->keeper_pidfd, SIGKILL, NULL, 0);
}

static void on_unkillable(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct worker *w = container_of(timer, struct worker, timer);

        w->flags |= WIRE_WORKER_UNKILLABLE;
        log_error("w-%" PRIu64
                  ": a process cannot be killed (D state?); it is abandoned, with its cgroup",
                  w->meta.worker);
        worker_end(w);
}

/* After this nothing but the kernel is waited for, and not for ever. */
static void kill_for_good(struct worker *w)
{
        kill_tree(w);
        if (ev_is_active(&w->timer))
                return;
        ev_timer_init(&w->timer, on_unkillable, UNKILLABLE_S, 0.);
        ev_timer_start(w->launcher->loop, &w->timer);
}

void worker_signal(struct worker *w, enum wire_how how)
{
        if (w->state != WORKER_RUNNING)
                return;
        if (how == WIRE_KILL) {
                w->flags |= WIRE_WORKER_ESCALATED;
                kill_for_good(w);
        } else if (w->codex_pidfd >= 0) {
                (void) syscall(SYS_pidfd_send_signal, w->codex_pidfd,
                               how == WIRE_INTERRUPT ? SIGINT : SIGTERM, NULL, 0);
        } else {
                /* Adopted before its keeper has told which process is Codex: what was asked for is
                 * an end, and the tree is the one thing that is certain. */
                kill_tree(w);
        }
}

/* ---- the keeper's word ---- */

static void on_state(struct worker *w, const struct keeper_message *m)
{
        uint32_t before = w->flags;

        if (!w->ours && !(m->flags & KEEPER_RELEASED)) {
                /* Adopted, but never given its prompt: it is not to be trusted with one now. */
                w->flags |= WIRE_WORKER_ADOPT_FAILED;
                kill_tree(w);
                (void) syscall(SYS_pidfd_send_signal, w->keeper_pidfd, SIGKILL, NULL, 0);
                return;
        }
        if (m->flags & (KEEPER_QUOTA | KEEPER_WRITE_FAILED))
                w->flags |= WIRE_WORKER_QUOTA;
        if (m->flags & KEEPER_STDOUT_CLOSED)
                w->flags |= WIRE_WORKER_STDOUT_CLOSED;
        if (m->flags & KEEPER_WRITE_FAILED)
                log_error("w-%" PRIu64 ": its output cannot be written: %s", w->meta.worker,
                          strerror(m->number));
        if ((m->flags & KEEPER_EXITED) && !(w->flags & WIRE_WORKER_HAS_STATUS)) {
                w->flags |= WIRE_WORKER_HAS_STATUS;
                w->status = m->status;
                w->ended_usec = launcher_now_usec(CLOCK_REALTIME);
                tell_exited(w, WIRE_EXITED);
                kill_for_good(w); /* what Codex left behind ends with its turn */
        } else if (w->flags != before) {
                tell_exited(w, WIRE_NOTICE);
        }
}

static void on_control(struct ev_loop *loop, ev_io *io, int revents)
{
        struct worker *w = container_of(io, struct worker, control_io);
        struct keeper_message m;
        /* Longer ones, of a newer keeper, are cut: additive. */
        ssize_t n = recv(w->control, &m, sizeof m, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) { /* the pidfd tells the rest */
                ev_io_stop(loop, io);
                w->control = fd_close(w->control);
                return;
        }
        if ((size_t) n == sizeof m && m.magic == WIRE_KEEPER_MAGIC && m.type == KEEPER_STATE &&
            m.worker == w->meta.worker && w->state == WORKER_RUNNING)
                on_state(w, &m);
}

void worker_watch_control(struct worker *w)
{
        ev_io_stop(w->launcher->loop, &w->control_io);
        ev_io_init(&w->control_io, on_control, w->control, EV_READ);
        ev_io_start(w->launcher->loop, &w->control_io);
}

static void on_keeper_gone(struct ev_loop *loop, ev_io *io, int revents)
{
        struct worker *w = container_of(io, struct worker, keeper_io);

        ev_io_stop(loop, io);
        /* What it said last may still be in the socket. */
        while (w->control >= 0 && w->state == WORKER_RUNNING) {
                struct keeper_message m;
                ssize_t n = recv(w->control, &m, sizeof m, MSG_DONTWAIT);

                if (n != (ssize_t) sizeof m)
                        break;
                if (m.magic == WIRE_KEEPER_MAGIC && m.type == KEEPER_STATE &&
                    m.worker == w->meta.worker)
                        on_state(w, &m);
        }
        worker_end(w);
}

void worker_watch_keeper(struct worker *w)
{
        ev_io_init(&w->keeper_io, on_keeper_gone, w->keeper_pidfd, EV_READ);
        ev_io_start(w->launcher->loop, &w->keeper_io);
}

/* ---- the end ---- */

/* A start that failed leaves nothing but its answer. */
static void gone_aborted(struct worker *w)
{
        struct launcher *launcher = w->launcher;
        struct wire_failed m = {.cookie = w->cookie, .error = w->why};

        (void) spool_release(launcher->workers_dir, w->meta.worker);
        if (!w->history)
                (void) spool_forget(launcher->workers_dir, w->meta.worker);
        (void) worker_free(w); /* first: the slot is free when the supervisor hears of it */
        if (m.cookie != 0)
                super_tell(&launcher->super, &m, WIRE_START_FAILED, -EBADF);
        request_hello_again(launcher);
}

static void gone(struct worker *w)
{
        char path[128];

        (void) snprintf(path, sizeof path, "%s/keepers/%" PRIu64, w->launcher->options.run_dir,
                        w->meta.worker);
        (void) unlink(path);
        cgroup_close(&w->cgroup);
        ev_timer_stop(w->launcher->loop, &w->timer);
        worker_set_state(w, WORKER_GONE);
        if (w->aborted)
                gone_aborted(w);
        else
                tell_exited(w, WIRE_GONE);
}

static void on_remove(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct worker *w = container_of(timer, struct worker, timer);
        int r = w->flags & WIRE_WORKER_UNKILLABLE
                        ? 0
                        : cgroup_remove(w->launcher->cgroup_root, w->meta.worker);

        /* The PID namespace is gone already; the cgroup counts a task until it is released. */
        if (r == -EBUSY && ++w->tries < REMOVE_TRIES) {
                kill_tree(w);
                return;
        }
        if (r == -EBUSY) {
                log_error("w-%" PRIu64 ": a process cannot be killed; its cgroup is abandoned",
                          w->meta.worker);
                w->flags |= WIRE_WORKER_UNKILLABLE;
        } else if (r < 0) {
                log_warning("w-%" PRIu64 ": removing its cgroup: %s", w->meta.worker, strerror(-r));
        }
        gone(w);
}

void worker_end(struct worker *w)
{
        struct keeper_exit record;

        ev_io_stop(w->launcher->loop, &w->control_io);
        ev_io_stop(w->launcher->loop, &w->keeper_io);
        ev_timer_stop(w->launcher->loop, &w->timer);
        if (w->ours && w->keeper > 0)
                (void) waitpid(w->keeper, NULL, WNOHANG);
        w->keeper = 0;
        w->keeper_pidfd = fd_close(w->keeper_pidfd);
        w->codex = 0;
        w->codex_pidfd = fd_close(w->codex_pidfd);
        w->control = fd_close(w->control);
        if (spool_read_exit(w->launcher->workers_dir, w->meta.worker, &record) == 0) {
                w->status = record.status;
                w->flags |= WIRE_WORKER_HAS_STATUS;
                if (record.flags & (KEEPER_QUOTA | KEEPER_WRITE_FAILED))
                        w->flags |= WIRE_WORKER_QUOTA;
                w->ended_usec = record.realtime_usec;
        }
        if (w->ended_usec == 0)
                w->ended_usec = launcher_now_usec(CLOCK_REALTIME);
        kill_tree(w);
        worker_set_state(w, WORKER_ENDING);
        w->tries = 0;
        ev_timer_init(&w->timer, on_remove, 0., REMOVE_RETRY_S);
        ev_timer_start(w->launcher->loop, &w->timer);
}

void worker_release(struct worker *w)
{
        int r = spool_release(w->launcher->workers_dir, w->meta.worker);

        if (r < 0)
                log_error("w-%" PRIu64 ": releasing: %s", w->meta.worker, strerror(-r));
        (void) worker_free(w);
}
