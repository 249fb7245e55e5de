/* What the supervisor may ask for. Each request is checked against the configuration and the table
 * of workers, not against what the supervisor says of them. */
#include "fd.h"
#include "launcher.h"
#include "log.h"
#include "worker.h"
#include "workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define PROMPT_BYTES_MAX (4 * 1048576 + 4096) /* 1,048,576 characters of UTF-8 */

void wire_error_from(struct wire_error *to, const struct error *from)
{
        if (!from)
                return;
        to->kind = (uint32_t) from->kind;
        to->number = (uint32_t) from->number;
        memcpy(to->step, from->step, sizeof to->step);
        memcpy(to->key, from->key, sizeof to->key);
        memcpy(to->message, from->message, sizeof to->message);
}

static void tell_worker(struct launcher *launcher, const struct worker *w)
{
        struct wire_started started = {0};
        struct wire_exited exited = {0};

        worker_fill_started(w, &started);
        super_tell(&launcher->super, &started, WIRE_ADOPTED, -EBADF);
        worker_fill_exited(w, &exited);
        if (w->flags & WIRE_WORKER_HAS_STATUS)
                super_tell(&launcher->super, &exited, WIRE_EXITED, -EBADF);
        if (w->state == WORKER_GONE)
                super_tell(&launcher->super, &exited, WIRE_GONE, -EBADF);
}

/* All that is known. A start that failed holds its slot and its job's name until its tree is gone;
 * the supervisor that asked for it is not there any more, and its successor hears of neither: so
 * that goes first, and then what it is told is true. */
static void answer_hello(struct launcher *launcher)
{
        struct wire_ping ping = {0};
        struct wire_policy policy = {.generation = launcher->generation};

        LIST_FOREACH (w, &launcher->workers, struct worker, link)
                if (w->aborted)
                        return;
        launcher->super.hello = true;
        super_answered(&launcher->super);
        super_tell(&launcher->super, &ping, WIRE_LISTEN, launcher->listen);
        super_tell(&launcher->super, &policy, WIRE_POLICY, launcher->policy_memfd);
        LIST_FOREACH (w, &launcher->workers, struct worker, link)
                if (w->state != WORKER_STARTING)
                        tell_worker(launcher, w);
        memset(&ping, 0, sizeof ping);
        super_tell(&launcher->super, &ping, WIRE_SYNCED, -EBADF);
        if (!launcher->ready) {
                launcher->ready = true;
                (void) sd_notifyf(0, "READY=1\nSTATUS=Ready, %u workers adopted",
                                  launcher->nworkers);
                report(launcher->reporter, REPORT_DAEMON_READY, NULL,
                       "codexd " CODEXD_VERSION " is ready, %u running turns taken over",
                       launcher->nworkers);
        }
}

static void hello(struct launcher *launcher)
{
        if (launcher->super.said_hello) {
                super_violation(&launcher->super, "a second HELLO");
                return;
        }
        launcher->super.said_hello = true;
        answer_hello(launcher);
}

void request_hello_again(struct launcher *launcher)
{
        if (launcher->super.said_hello && !launcher->super.hello)
                answer_hello(launcher);
}

static void pong(struct launcher *launcher)
{
        super_answered(&launcher->super);
        (void) sd_notify(0, "WATCHDOG=1");
}

static void resolve(struct launcher *launcher, const struct wire_resolve *m)
{
        struct wire_resolved answer = {.cookie = m->cookie, .generation = launcher->generation};
        struct workspace w = {.dir = -EBADF};
        struct error err = {0};

        if (workspace_resolve(launcher, m->workspace, &m->wish, m->cwd, &w, &err) < 0) {
                wire_error_from(&answer.error, &err);
        } else {
                answer.uid = w.uid;
                answer.gid = w.gid;
                answer.device = w.device;
                answer.inode = w.inode;
                memcpy(answer.digest, w.policy->digest, sizeof answer.digest);
                (void) snprintf(answer.user, sizeof answer.user, "%s", w.user);
                workspace_done(&w);
        }
        super_tell(&launcher->super, &answer, WIRE_RESOLVED, -EBADF);
}

/* Whether this may go on to worker_start: the checks that need only the message and our tables. */
static int check_start(struct launcher *launcher, const struct wire_start *m, int prompt,
                       struct error *err)
{
        const struct settings *settings = config_settings(launcher->config);
        struct stat st;

        if (launcher->stopping)
                return error_set(err, ERROR_DRAINING, "codexd is stopping");
        if (m->generation != launcher->generation)
                return error_set(err, ERROR_STALE_GENERATION,
                                 "the configuration is at generation %" PRIu64
                                 ", the request at %" PRIu64,
                                 launcher->generation, m->generation);
        if (*m->thread_id && !name_is_uuid(m->thread_id))
                return error_set_key(err, ERROR_BAD_REQUEST, "thread_id", "thread_id: not a UUID");
        if (*m->wish.model && !name_is_model(m->wish.model))
                return error_set_key(err, ERROR_BAD_REQUEST, "model", "model: not a model's name");
        if (launcher->nworkers >= settings->max_workers)
                return error_set_key(err, ERROR_QUEUE_FULL, "max_workers",
                                     "max_workers: all %u are taken", settings->max_workers);
        if (fstat(prompt, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
            st.st_size > PROMPT_BYTES_MAX)
                return error_set_key(err, ERROR_BAD_REQUEST, "prompt",
                                     "prompt: not a file of 1 to %d bytes", PROMPT_BYTES_MAX);
        LIST_FOREACH (w, &launcher->workers, struct worker, link)
                if ((w->meta.job == m->job && !w->aborted) || m->job == 0)
                        return error_set(err, ERROR_BAD_REQUEST,
                                         "job %" PRIu64 " has a worker already", m->job);
        return 0;
}

static void start(struct launcher *launcher, const struct wire_start *m, int prompt)
{
        struct error err = {0};

        if (check_start(launcher, m, prompt, &err) < 0) {
                struct wire_failed answer = {.cookie = m->cookie};

                (void) fd_close(prompt);
                wire_error_from(&answer.error, &err);
                super_tell(&launcher->super, &answer, WIRE_START_FAILED, -EBADF);
                return;
        }
        worker_start(launcher, m, prompt);
}

static void forget(struct launcher *launcher, uint64_t id)
{
        int r;

        if (worker_find(launcher, id)) {
                super_violation(&launcher->super, "FORGET of a worker that was not released");
                return;
        }
        r = spool_forget(launcher->workers_dir, id);
        if (r < 0)
                log_warning("w-%" PRIu64 ": its files stay: %s", id, strerror(-r));
}

static void release(struct launcher *launcher, uint64_t id)
{
        struct worker *w = worker_find(launcher, id);

        if (!w)
                return; /* released before the supervisor's predecessor could write that down */
        if (w->state != WORKER_GONE) {
                super_violation(&launcher->super, "RELEASE of a worker that is not gone");
                return;
        }
        worker_release(w);
}

static void reload(struct launcher *launcher, const struct wire_ping *m)
{
        struct wire_failed answer = {.cookie = m->cookie};
        struct error err = {0};

        if (config_load(launcher, &err) < 0)
                wire_error_from(&answer.error, &err);
        super_tell(&launcher->super, &answer, WIRE_RELOADED, -EBADF);
}

static void status(const struct wire_status *m)
{
        (void) sd_notifyf(0, "STATUS=%u running, %u queued, %u clients, %" PRIu64 " finished%s",
                          m->running, m->queued, m->clients, m->finished,
                          m->draining ? ", draining" : "");
}

void request_handle(struct launcher *launcher, const union wire_launch_any *m, int *fds,
                    size_t nfds)
{
        struct worker *w;

        switch (m->header.type) {
        case WIRE_HELLO:
                hello(launcher);
                break;
        case WIRE_PONG:
                pong(launcher);
                break;
        case WIRE_RESOLVE:
                resolve(launcher, &m->resolve);
                break;
        case WIRE_START:
                start(launcher, &m->start, fds[0]);
                break;
        case WIRE_SIGNAL:
                w = worker_find(launcher, m->signal.worker);
                if (m->signal.how < WIRE_INTERRUPT || m->signal.how > WIRE_KILL)
                        super_violation(&launcher->super, "SIGNAL with an unknown how");
                else if (w) /* else it ended a moment ago: GONE is on its way */
                        worker_signal(w, (enum wire_how) m->signal.how);
                break;
        case WIRE_RELEASE:
                release(launcher, m->worker.worker);
                break;
        case WIRE_FORGET:
                forget(launcher, m->worker.worker);
                break;
        case WIRE_RELOAD:
                reload(launcher, &m->ping);
                break;
        case WIRE_STATUS:
                status(&m->status);
                break;
        }
}
