#include "supervisor.h"
#include "api.h"
#include "fd.h"
#include "log.h"
#include "server.h"
#include "task.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_S    1.
#define RETENTION_S 60.

static uint64_t clock_usec(clockid_t clock)
{
        struct timespec ts;

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * 1000000u + (uint64_t) ts.tv_nsec / 1000u;
}

uint64_t supervisor_now(const struct supervisor *sup)
{
        return clock_usec(CLOCK_MONOTONIC);
}

uint64_t supervisor_realtime(void)
{
        return clock_usec(CLOCK_REALTIME);
}

uint64_t supervisor_monotonic(const struct supervisor *sup, uint64_t realtime_usec)
{
        uint64_t now = supervisor_now(sup), real = supervisor_realtime();
        uint64_t ago = real > realtime_usec ? real - realtime_usec : 0;

        return ago < now ? now - ago : 1;
}

const struct settings *supervisor_settings(const struct supervisor *sup)
{
        return config_settings(sup->config);
}

static void send_status(struct supervisor *sup)
{
        struct wire_status status = {.finished = sup->counts.finished};
        struct pool_counts counts;

        pool_counts(sup->pool, &counts);
        status.running = counts.running;
        status.queued = counts.queued;
        status.clients = sup->server ? sup->server->count : 0;
        status.draining = counts.draining;
        (void) launch_send(sup->launch, WIRE_STATUS, &status, -EBADF);
}

static void on_status(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct supervisor *sup = container_of(timer, struct supervisor, status);

        ev_timer_stop(loop, timer);
        if (!sup->status_due)
                return;
        sup->status_due = false;
        send_status(sup);
        ev_timer_set(timer, STATUS_S, 0.); /* the next one not before */
        ev_timer_start(loop, timer);
}

void supervisor_changed(struct supervisor *sup)
{
        sup->status_due = true;
        if (!sup->synced)
                return;
        /* From the loop: this is called from the middle of things. */
        if (!list_empty(&sup->drained))
                later_push(&sup->laters, &sup->drain);
        if (!ev_is_active(&sup->status)) {
                ev_timer_set(&sup->status, 0.001, 0.);
                ev_timer_start(sup->loop, &sup->status);
        }
}

static void on_drain(struct later *later)
{
        api_drained(container_of(later, struct supervisor, drain));
}

static void on_schedule(struct later *later)
{
        tasks_schedule(container_of(later, struct supervisor, schedule));
}

static void on_retention(struct ev_loop *loop, ev_timer *timer, int revents)
{
        tasks_retain(container_of(timer, struct supervisor, retention));
}

static void on_terminate(struct ev_loop *loop, ev_signal *signal, int revents)
{
        ev_break(loop, EVBREAK_ALL);
}

static void on_version_known(void *data)
{
        struct supervisor *sup = data;
        struct error error;

        if (version_error(sup->version, &error) < 0)
                log_warning("Codex: %s", error.message);
        tasks_schedule(sup);
}

static const struct version_events version_events = {.known = on_version_known};

static int open_dirs(struct supervisor *sup, const char *state_dir, struct error *err)
{
        _cleanup_fd_ int state = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

        sup->jobs_fd = jobfile_open_all(state_dir);
        if (sup->jobs_fd < 0)
                return error_set_errno(err, ERROR_INTERNAL, -sup->jobs_fd, "%s/jobs", state_dir);
        /* Paths below it are looked up; nothing in it is listed. */
        sup->workers_fd = openat(state, "workers", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (sup->workers_fd < 0)
                return error_set_errno(err, ERROR_INTERNAL, errno, "%s/workers", state_dir);
        return 0;
}

static int make_parts(struct supervisor *sup, struct error *err)
{
        const struct pool_limits none = {.max_workers = 0};
        int r = offload_new(&sup->parser, sup->loop);

        if (r == 0)
                r = offload_new(&sup->disk, sup->loop);
        if (r == 0)
                r = watches_new(&sup->watches, sup->loop);
        if (r == 0)
                r = version_new(&sup->version, sup->loop, &version_events, sup);
        if (r == 0)
                r = pool_new(&sup->pool, &none);
        return r < 0 ? error_set_errno(err, ERROR_NO_MEMORY, -r, "starting") : 0;
}

int supervisor_new(struct supervisor **ret, struct ev_loop *loop,
                   const struct supervisor_options *options, struct error *err)
{
        _cleanup_fd_ int launch_fd = options->launch_fd;
        _cleanup_(supervisor_freep) struct supervisor *sup = calloc(1, sizeof *sup);
        int r;

        if (!sup)
                return error_set(err, ERROR_NO_MEMORY, "no memory");
        sup->loop = loop;
        sup->jobs_fd = sup->workers_fd = sup->listen_fd = -EBADF;
        sup->group = options->group;
        sup->counts.started_usec = supervisor_now(sup);
        list_init(&sup->tasks);
        list_init(&sup->asks);
        list_init(&sup->drained);
        laters_init(&sup->laters, loop);
        ev_timer_init(&sup->limits, tasks_on_limit, 0., 0.);
        ev_timer_init(&sup->status, on_status, 0., 0.);
        sup->drain.run = on_drain;
        sup->schedule.run = on_schedule;
        ev_timer_init(&sup->retention, on_retention, RETENTION_S, RETENTION_S);
        ev_signal_init(&sup->terminate, on_terminate, SIGTERM);
        r = open_dirs(sup, options->state_dir, err);
        if (r == 0)
                r = make_parts(sup, err);
        if (r < 0)
                return r;
        r = launch_new(&sup->launch, loop, TAKE_FD(launch_fd), &supervisor_launch_events, sup);
        if (r == 0)
                r = launch_hello(sup->launch);
        if (r < 0)
                return error_set_errno(err, ERROR_INTERNAL, -r, "the launcher's socket");
        ev_timer_start(loop, &sup->retention);
        ev_signal_start(loop, &sup->terminate);
        *ret = TAKE_PTR(sup);
        return 0;
}

struct supervisor *supervisor_free(struct supervisor *sup)
{
        if (!sup)
                return NULL;
        sup->synced = false; /* nothing is started or forgotten any more */
        sup->parser = offload_free(sup->parser);
        sup->disk = offload_free(sup->disk);
        sup->server = server_free(sup->server);
        LIST_FOREACH (task, &sup->tasks, struct task, link)
                (void) task_free(task);
        ev_timer_stop(sup->loop, &sup->limits);
        ev_timer_stop(sup->loop, &sup->status);
        ev_timer_stop(sup->loop, &sup->retention);
        ev_signal_stop(sup->loop, &sup->terminate);
        version_free(sup->version);
        watches_free(sup->watches);
        pool_free(sup->pool);
        launch_free(sup->launch);
        reporter_free(sup->reporter);
        config_free(sup->config);
        laters_done(&sup->laters);
        (void) fd_close(sup->jobs_fd);
        (void) fd_close(sup->workers_fd);
        (void) fd_close(sup->listen_fd);
        free(sup);
        return NULL;
}

int supervisor_run(struct supervisor *sup)
{
        (void) ev_run(sup->loop, 0);
        return sup->result;
}
