/* From a slot to a running worker: RESOLVE again if the policy changed, START, STARTED. */
#include "journal.h"
#include "task.h"

#include "fd.h"
#include "wire-error.h"

#include <stdio.h>
#include <string.h>

#define TRIES_MAX 5
#define SLOW_S    10.

static void resolve(struct task *task);

static void fail(struct task *task, enum error_kind kind, int number, const char *what)
{
        struct error error;

        (void) error_set_errno(&error, kind, number, "%s", what);
        task_finish(task, JOB_SPAWN_FAILED, &error);
}

/* Cancelled while the launcher was asked: there is no worker, and there shall be none. */
static bool given_up(struct task *task)
{
        if (task->job->state != JOB_CANCELLING)
                return false;
        task_finish(task, task->job->result, &task->job->error);
        return true;
}

static void on_started(struct ask *ask, const union wire_launch_any *message)
{
        struct task *task = container_of(ask, struct task, ask);
        struct error error;

        if (message->header.type == WIRE_STARTED) {
                task_started(task, &message->started);
                return;
        }
        if (message->header.type != WIRE_START_FAILED) {
                fail(task, ERROR_INTERNAL, EPROTO, "the launcher answered something else");
                return;
        }
        wire_error_read(&message->failed.error, &error);
        if (error.kind == ERROR_STALE_GENERATION && task->tries < TRIES_MAX &&
            task->job->state == JOB_STARTING) {
                resolve(task);
                return;
        }
        task_finish(task, JOB_SPAWN_FAILED, &error);
}

static void start(struct task *task)
{
        struct wire_start *start = calloc(1, sizeof *start);
        _cleanup_fd_ int prompt = jobfile_open_prompt(task->sup->jobs_fd, task->job->id);
        int r;

        if (!start || prompt < 0) {
                fail(task, ERROR_SPAWN_FAILED, start ? -prompt : ENOMEM, "the job's prompt");
                free(start);
                return;
        }
        task->tries++;
        start->generation = task->generation;
        start->job = task->job->id;
        (void) snprintf(start->workspace, sizeof start->workspace, "%s", task->job->workspace);
        start->wish = task->request->wish;
        (void) snprintf(start->cwd, sizeof start->cwd, "%s", task->request->cwd);
        (void) snprintf(start->thread_id, sizeof start->thread_id, "%s", task->request->thread_id);
        start->device = task->device;
        start->inode = task->inode;
        start->uid = task->job->uid; /* who was let in, whoever owns it now */
        start->gid = task->job->gid;
        memcpy(start->digest, task->digest, sizeof start->digest);
        task->ask.answer = on_started;
        r = ask_send(task->sup, &task->ask, WIRE_START, start, prompt);
        free(start);
        if (r < 0)
                fail(task, ERROR_SPAWN_FAILED, -r, "asking the launcher");
}

static void on_resolved(struct ask *ask, const union wire_launch_any *message)
{
        struct task *task = container_of(ask, struct task, ask);
        const struct wire_resolved *resolved = &message->resolved;
        struct error error;

        if (given_up(task))
                return;
        wire_error_read(&resolved->error, &error);
        if (error.kind == ERROR_STALE_GENERATION && task->tries++ < TRIES_MAX) {
                resolve(task);
                return;
        }
        if (error.kind == ERROR_NONE &&
            (resolved->uid != task->job->uid || resolved->gid != task->job->gid))
                (void) error_set(&error, ERROR_WORKSPACE_INVALID,
                                 "the workspace belongs to another user than when the job was "
                                 "accepted");
        if (error.kind != ERROR_NONE) {
                task_finish(task, JOB_SPAWN_FAILED, &error);
                return;
        }
        task_resolved(task, resolved);
        start(task);
}

static void resolve(struct task *task)
{
        struct wire_resolve *message = calloc(1, sizeof *message);
        int r = -ENOMEM;

        if (message) {
                message->generation = task->sup->generation;
                (void) snprintf(message->workspace, sizeof message->workspace, "%s",
                                task->job->workspace);
                message->wish = task->request->wish;
                (void) snprintf(message->cwd, sizeof message->cwd, "%s", task->request->cwd);
                task->ask.answer = on_resolved;
                r = ask_send(task->sup, &task->ask, WIRE_RESOLVE, message, -EBADF);
        }
        free(message);
        if (r < 0)
                fail(task, ERROR_SPAWN_FAILED, -r, "asking the launcher");
}

void task_start(struct task *task)
{
        struct error error;

        if (!task->durable) /* submit.c calls again */
                return;
        if (given_up(task))
                return;
        if (version_error(task->sup->version, &error) < 0) {
                task_finish(task, JOB_SPAWN_FAILED, &error);
                return;
        }
        if (task->generation != task->sup->generation)
                resolve(task);
        else
                start(task);
}

static json_t *started_event(const struct task *task, const struct wire_started *started)
{
        const struct wire_identity *id = &started->identity;
        char digest[2 * WIRE_DIGEST_SIZE + 1];

        task_digest_hex(task, digest);
        return json_pack(
                "{s:s, s:I, s:I, s:I, s:I, s:s, s:{s:I, s:I, s:I, s:b, s:I, s:I}, s:s, s:s, s:I}",
                "type", "job.started", "job", (json_int_t) task->job->id, "worker",
                (json_int_t) started->worker, "pid", (json_int_t) started->pid, "spawn_usec",
                (json_int_t) started->spawn_usec, "codex_version", started->codex_version,
                "identity", "uid", (json_int_t) id->uid, "gid", (json_int_t) id->gid, "groups",
                (json_int_t) id->ngroups, "no_new_privs", (int) id->no_new_privs, "seccomp",
                (json_int_t) id->seccomp, "capabilities", (json_int_t) id->capabilities,
                "sandbox_mode", task->sandbox_mode, "policy_digest", digest, "generation",
                (json_int_t) started->generation);
}

static void on_slow(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct task *task = container_of(timer, struct task, timer);

        task->slow = true;
        journal_task(task, REPORT_JOB_SLOW, "no event yet from Codex");
}

void task_started(struct task *task, const struct wire_started *started)
{
        struct supervisor *sup = task->sup;
        int r;

        task->adopted = true; /* a job that was queued before a restart has its worker from us */
        if (task->job->worker == 0)
                job_started(task->job, started->worker, supervisor_now(sup));
        task->pid = started->pid;
        task->spawn_usec = started->spawn_usec;
        task->started_usec = started->started_usec;
        memcpy(task->digest, started->digest, sizeof task->digest);
        if (!task->has_started) {
                /* Before its output is opened: nobody was given a line of it, so this goes before
                 * all of them, however fast Codex was. */
                task->has_started = true;
                (void) task_append(task, started_event(task, started));
                journal_started(task, started);
        }
        r = task_open_output(task, started->worker);
        if (r < 0) {
                struct error error;

                (void) error_set_errno(&error, ERROR_LOST, -r, "its worker's output");
                task_cancel(task, JOB_LOST, &error, WIRE_KILL);
                return;
        }
        ev_timer_init(&task->timer, on_slow, SLOW_S, 0.);
        ev_timer_start(sup->loop, &task->timer);
        if (task->job->state == JOB_CANCELLING) /* decided while it was being started */
                (void) launch_signal(sup->launch, started->worker,
                                     task->job->killed ? WIRE_KILL : WIRE_INTERRUPT);
        task_changed(task);
        tasks_arm_limits(sup);
}
