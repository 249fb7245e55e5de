/* What each of the launcher's messages means here. */
#include "api.h"
#include "fd.h"
#include "journal.h"
#include "log.h"
#include "server.h"
#include "supervisor.h"
#include "task.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

static void give_up(struct supervisor *sup, int r)
{
        sup->result = r;
        ev_break(sup->loop, EVBREAK_ALL);
}

static void on_end(void *data, int r)
{
        struct supervisor *sup = data;

        if (r < 0)
                log_error("the launcher's socket: %s", strerror(-r));
        give_up(sup, r);
}

/* A question's answer goes to who asked; nobody may be there any more. */
static void on_answer(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        LIST_FOREACH (ask, &sup->asks, struct ask, link)
                if (ask->cookie == message->resolved.cookie) {
                        list_remove(&ask->link);
                        ask->answer(ask, message);
                        return;
                }
        /* Its job is gone, and nobody will ever look after this worker. */
        if (message->header.type == WIRE_STARTED)
                (void) launch_signal(sup->launch, message->started.worker, WIRE_KILL);
}

static void on_ping(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        (void) launch_ping(sup->launch, WIRE_PONG, message->ping.cookie);
}

static void on_listen(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        (void) fd_close(sup->listen_fd);
        sup->listen_fd = TAKE_FD(*fd);
}

static int load_policy(struct supervisor *sup, int fd, struct error *err)
{
        struct config *config;
        const void *bytes;
        size_t n;
        int r = fd_map_sealed(fd, CONFIG_BUNDLE_MAX, &bytes, &n);

        if (r < 0)
                return error_set_errno(err, ERROR_CONFIG_INVALID, -r, "mapping the policy");
        r = config_new(&config, bytes, n, err);
        (void) munmap((void *) bytes, n);
        if (r < 0)
                return r;
        config_free(sup->config);
        sup->config = config;
        return 0;
}

static void on_policy(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        const struct settings *settings;
        struct pool_limits limits;
        struct error error = {0};
        bool first = !sup->config;
        int r = load_policy(sup, *fd, &error);

        if (r < 0) { /* the launcher has parsed the same bytes: we are not of one build */
                log_error("policy generation %" PRIu64 ": %s", message->policy.generation,
                          error.message);
                give_up(sup, r);
                return;
        }
        sup->generation = message->policy.generation;
        settings = config_settings(sup->config);
        limits = (struct pool_limits){.max_workers = settings->max_workers,
                                      .queue_max = settings->queue_max};
        pool_set_limits(sup->pool, &limits);
        if (!sup->reporter &&
            reporter_new(&sup->reporter, "codexd-supervisor", settings->journal_queue_max) < 0)
                log_warning("no thread for the journal: records are dropped");
        version_check(sup->version, settings->codex_path, settings->codex_version);
        if (first && recover_load(sup, &error) < 0) {
                log_error("%s", error.message);
                give_up(sup, -error.number);
                return;
        }
        tasks_schedule(sup);
}

static void on_adopted(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        recover_adopted(sup, &message->started);
}

static void on_synced(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        int r;

        if (sup->synced || !sup->config)
                return;
        sup->synced = true;
        recover_synced(sup);
        if (sup->listen_fd >= 0) {
                r = server_new(&sup->server, sup, TAKE_FD(sup->listen_fd));
                if (r < 0) {
                        log_error("listening: %s", strerror(-r));
                        give_up(sup, r);
                        return;
                }
        }
        journal_ready(sup);
        tasks_schedule(sup);
}

static struct task *task_with(struct supervisor *sup, const struct wire_exited *exited)
{
        struct task *task = task_find(sup, exited->job);

        return task && task->job->worker == exited->worker ? task : NULL;
}

static void on_exited(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        struct task *task = task_with(sup, &message->exited);

        if (task)
                task_exited(task, &message->exited);
}

static void on_notice(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        struct task *task = task_with(sup, &message->exited);

        if (task)
                task_notice(task, &message->exited);
}

static void on_gone(struct supervisor *sup, const union wire_launch_any *message, int *fd)
{
        struct task *task = task_with(sup, &message->exited);
        uint64_t worker = message->exited.worker;

        if (task && !task->ended) {
                task_gone(task, &message->exited);
                return;
        }
        /* Told before, and the answer was lost; or nobody's: then its files are nobody's too. */
        (void) launch_worker(sup->launch, WIRE_RELEASE, worker);
        if (!task)
                (void) launch_worker(sup->launch, WIRE_FORGET, worker);
}

static const struct {
        uint32_t type;
        void (*handle)(struct supervisor *sup, const union wire_launch_any *message, int *fd);
} handlers[] = {
        {WIRE_POLICY, on_policy},   {WIRE_LISTEN, on_listen},  {WIRE_PING, on_ping},
        {WIRE_RESOLVED, on_answer}, {WIRE_STARTED, on_answer}, {WIRE_START_FAILED, on_answer},
        {WIRE_ADOPTED, on_adopted}, {WIRE_EXITED, on_exited},  {WIRE_GONE, on_gone},
        {WIRE_RELOADED, on_answer}, {WIRE_SYNCED, on_synced},  {WIRE_NOTICE, on_notice},
};

static void on_message(void *data, const union wire_launch_any *message, int *fd)
{
        for (size_t i = 0; i < N_ELEMENTS(handlers); i++)
                if (handlers[i].type == message->header.type)
                        handlers[i].handle(data, message, fd);
}

const struct launch_events supervisor_launch_events = {.message = on_message, .end = on_end};

/* All questions and answers begin alike. */
_Static_assert(offsetof(struct wire_resolve, cookie) == sizeof(struct wire_header) &&
                       offsetof(struct wire_start, cookie) == sizeof(struct wire_header) &&
                       offsetof(struct wire_ping, cookie) == sizeof(struct wire_header) &&
                       offsetof(struct wire_resolved, cookie) == sizeof(struct wire_header) &&
                       offsetof(struct wire_started, cookie) == sizeof(struct wire_header) &&
                       offsetof(struct wire_failed, cookie) == sizeof(struct wire_header),
               "the cookie follows the header");

int ask_send(struct supervisor *sup, struct ask *ask, uint32_t type, void *message, int fd)
{
        int r;

        ask_cancel(ask);
        ask->cookie = launch_cookie(sup->launch);
        memcpy((char *) message + sizeof(struct wire_header), &ask->cookie, sizeof ask->cookie);
        r = launch_send(sup->launch, type, message, fd);
        if (r == 0)
                list_append(&sup->asks, &ask->link);
        return r;
}

void ask_cancel(struct ask *ask)
{
        list_remove(&ask->link);
}
