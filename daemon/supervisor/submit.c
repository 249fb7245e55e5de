#include "submit.h"
#include "attach.h"
#include "fd.h"
#include "journal.h"
#include "wire-error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 5

struct submission {
        struct call *call; /* NULL: the client is gone; the job goes on once it was admitted */
        struct supervisor *sup;
        struct peer peer;
        struct request *request; /* the task's, once there is one */
        struct task *task;
        struct ask ask;
        unsigned tries;
        char *prompt;
        size_t prompt_size;
        /* for the disk's thread */
        struct offload_item item;
        uint64_t id, time_usec;
        int jobs_fd, own_fd, result;
        char *json, *event;
};

static void submission_free(struct submission *submission)
{
        ask_cancel(&submission->ask);
        (void) fd_close(submission->own_fd);
        free(submission->request);
        free(submission->prompt);
        free(submission->json);
        free(submission->event);
        free(submission);
}

static void reject(struct submission *submission, const struct error *error, uint32_t retry_s)
{
        const struct request *request =
                submission->task ? submission->task->request : submission->request;

        journal_rejected(submission->sup, request, submission->peer.uid, error);
        if (submission->call)
                call_error(submission->call, error, retry_s);
        submission_free(submission);
}

static void on_client_gone(struct call *call)
{
        struct submission *submission = call->data;

        submission->call = NULL;
        if (!submission->task) /* nothing was promised yet */
                submission_free(submission);
}

static void disk_run(struct offload_item *item)
{
        struct submission *s = container_of(item, struct submission, item);
        struct jobfile_content content = {
                .json = s->json,
                .prompt = s->prompt,
                .prompt_size = s->prompt_size,
                .queued_event = s->event,
                .time_usec = s->time_usec,
        };

        s->result = jobfile_create(s->jobs_fd, s->id, &content, &s->own_fd);
}

static void answer(struct submission *submission)
{
        struct call *call = submission->call;
        json_t *reply = json_pack("{s:I}", "job", (json_int_t) submission->id);

        if (!call)
                return;
        submission->call = NULL;
        call->gone = NULL;
        if (!call->more) {
                call_reply(call, reply);
                return;
        }
        if (call_reply_more(call, reply) == 0)
                attach_begin(call, submission->task, 0);
}

static void disk_done(struct offload_item *item)
{
        struct submission *submission = container_of(item, struct submission, item);
        struct task *task = submission->task;
        int r = submission->result;

        if (r == 0) {
                task->own_fd = TAKE_FD(submission->own_fd);
                r = stream_new(&task->stream, -EBADF, -EBADF, task->own_fd);
                if (r < 0)
                        (void) jobfile_remove(submission->jobs_fd, submission->id);
        }
        if (r < 0) {
                struct error error;

                (void) error_set_errno(&error, ERROR_NO_MEMORY, -r, "writing the job to disk");
                reject(submission, &error, 1);
                (void) task_free(task);
                return;
        }
        task->durable = true;
        journal_queued(task);
        if (task->finishing) /* a limit was faster than the disk */
                stream_close_raw(task->stream);
        task_changed(task);
        answer(submission);
        submission_free(submission);
        if (task->job->state == JOB_STARTING || task->job->state == JOB_CANCELLING)
                task_start(task);
        else
                tasks_schedule(task->sup);
}

static char *dump(json_t *json)
{
        char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

        json_decref(json);
        return text;
}

static int write_texts(struct submission *submission)
{
        struct task *task = submission->task;
        const struct job *job = task->job;
        char digest[2 * WIRE_DIGEST_SIZE + 1];

        task_digest_hex(task, digest);
        submission->event = dump(json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "type",
                                           "job.queued", "job", (json_int_t) job->id, "workspace",
                                           job->workspace, "owner", job->owner, "class",
                                           job_class_name(job->class), "uid", (json_int_t) job->uid,
                                           "gid", (json_int_t) job->gid, "sandbox_mode",
                                           task->sandbox_mode, "policy_digest", digest));
        submission->json = dump(json_pack(
                "{s:i, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:o}", "version", 1, "job",
                (json_int_t) job->id, "workspace", job->workspace, "owner", job->owner, "class",
                job_class_name(job->class), "thread_id", job->thread_id, "uid",
                (json_int_t) job->uid, "gid", (json_int_t) job->gid, "queued_usec",
                (json_int_t) task->queued_usec, "sandbox_mode", task->sandbox_mode, "policy_digest",
                digest, "request", request_to_json(task->request)));
        return submission->event && submission->json ? 0 : -ENOMEM;
}

static struct task *make_task(struct submission *submission, const struct wire_resolved *resolved)
{
        struct supervisor *sup = submission->sup;
        struct request *request = submission->request;
        struct job_spec spec = {
                .id = sup->last_id + 1,
                .workspace = request->workspace,
                .uid = resolved->uid,
                .gid = resolved->gid,
                .owner = request->owner,
                .class = request->class,
                .thread_id = request->thread_id,
                .limits = tasks_limits(sup, request),
        };
        struct task *task;
        struct job *job;

        if (job_new(&job, &spec, supervisor_now(sup)) < 0)
                return NULL;
        task = task_new(sup, job, request);
        if (!task) {
                job_free(job);
                return NULL;
        }
        submission->request = NULL;
        task->queued_usec = supervisor_realtime();
        task_resolved(task, resolved);
        return task;
}

static void admit(struct submission *submission, const struct wire_resolved *resolved)
{
        struct supervisor *sup = submission->sup;
        struct error error = {0};
        uint32_t retry_s = 0;
        struct task *task;
        int r;

        task = make_task(submission, resolved);
        if (!task) {
                (void) error_set(&error, ERROR_NO_MEMORY, "no memory");
                reject(submission, &error, 1);
                return;
        }
        submission->task = task;
        r = pool_admit(sup->pool, task->job, &retry_s, &error);
        if (r == 0 && write_texts(submission) < 0)
                r = error_set(&error, ERROR_NO_MEMORY, "no memory");
        if (r < 0) {
                reject(submission, &error, retry_s);
                (void) task_free(task);
                return;
        }
        sup->last_id = task->job->id;
        list_append(&sup->tasks, &task->link);
        submission->id = task->job->id;
        submission->time_usec = task->queued_usec;
        submission->jobs_fd = sup->jobs_fd;
        submission->item = (struct offload_item){.run = disk_run, .done = disk_done};
        offload_push(sup->disk, &submission->item);
        tasks_schedule(sup); /* takes its slot now, if there is one; starts when durable */
}

static int ask_resolve(struct submission *submission);

static void on_resolved(struct ask *ask, const union wire_launch_any *message)
{
        struct submission *submission = container_of(ask, struct submission, ask);
        const struct wire_resolved *resolved = &message->resolved;
        struct error error;
        bool theirs = access_to(&submission->peer, resolved->uid ? resolved->uid : (uid_t) -1);

        wire_error_read(&resolved->error, &error);
        if (error.kind == ERROR_STALE_GENERATION && submission->tries++ < TRIES_MAX &&
            ask_resolve(submission) == 0)
                return;
        /* To a stranger a workspace that is not there and one that is not theirs look the same. */
        if (!theirs)
                (void) error_set(&error, ERROR_NOT_PERMITTED, "no workspace %s belongs to uid %u",
                                 submission->request->workspace, (unsigned) submission->peer.uid);
        if (error.kind != ERROR_NONE)
                reject(submission, &error, 0);
        else
                admit(submission, resolved);
}

static int ask_resolve(struct submission *submission)
{
        struct wire_resolve *message = calloc(1, sizeof *message);
        const struct request *request = submission->request;
        int r;

        if (!message)
                return -ENOMEM;
        message->generation = submission->sup->generation;
        (void) snprintf(message->workspace, sizeof message->workspace, "%s", request->workspace);
        message->wish = request->wish;
        (void) snprintf(message->cwd, sizeof message->cwd, "%s", request->cwd);
        submission->ask.answer = on_resolved;
        r = ask_send(submission->sup, &submission->ask, WIRE_RESOLVE, message, -EBADF);
        free(message);
        return r;
}

/* The wire carries a cwd relative to the workspace: an absolute one must be inside a directory that
 * a rule names for it. */
static int set_cwd(struct supervisor *sup, struct request *request, struct error *err)
{
        struct policy *found[POLICY_CANDIDATES_MAX] = {NULL};
        struct request first = *request;
        int n, r = -ENOENT;

        if (request->cwd[0] != '/')
                return request_set_cwd(request, "/", err);
        n = policy_candidates(sup->config, request->workspace, found, err);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                if (r < 0) {
                        *request = first;
                        r = request_set_cwd(request, found[i]->directory, err);
                }
                policy_free(found[i]);
        }
        return r;
}

static int check(struct supervisor *sup, const struct peer *peer, struct request *request,
                 struct error *err)
{
        struct pool_counts counts;
        int r;

        pool_counts(sup->pool, &counts);
        if (counts.draining)
                return error_set(err, ERROR_DRAINING, "codexd is draining: no further jobs");
        r = set_cwd(sup, request, err);
        if (r < 0 && !access_to(peer, (uid_t) -1)) /* names a directory: not to strangers */
                return error_set_key(err, ERROR_BAD_REQUEST, "cwd",
                                     "\"cwd\" is not inside the workspace, or no workspace %s "
                                     "belongs to uid %u",
                                     request->workspace, (unsigned) peer->uid);
        if (r < 0)
                return r;
        return version_error(sup->version, err);
}

int submit_begin(struct call *call, const struct request *request, const char *prompt,
                 size_t prompt_size, struct error *err)
{
        struct supervisor *sup = call->sup;
        struct submission *submission = calloc(1, sizeof *submission);
        int r = -ENOMEM;

        if (submission) {
                submission->own_fd = -EBADF;
                submission->sup = sup;
                submission->peer = call->peer;
                submission->request = malloc(sizeof *request);
                submission->prompt = malloc(prompt_size);
                submission->prompt_size = prompt_size;
        }
        if (submission && submission->request && submission->prompt) {
                *submission->request = *request;
                memcpy(submission->prompt, prompt, prompt_size);
                r = check(sup, &call->peer, submission->request, err);
                if (r < 0)
                        journal_rejected(sup, request, call->peer.uid, err);
                else
                        r = ask_resolve(submission) < 0 ? -ENOMEM : 0;
        }
        if (r == -ENOMEM)
                (void) error_set(err, ERROR_NO_MEMORY, "no memory");
        if (r < 0) {
                if (submission)
                        submission_free(submission);
                return r;
        }
        submission->call = call;
        call->data = submission;
        call->gone = on_client_gone;
        return 0;
}
