#include "task.h"
#include "fd.h"
#include "varlink.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct task *task_new(struct supervisor *sup, struct job *job, struct request *request)
{
        struct task *task = calloc(1, sizeof *task);

        if (!task)
                return NULL;
        task->sup = sup;
        task->job = job;
        task->request = request;
        task->own_fd = task->raw_fd = task->index_fd = -EBADF;
        list_init(&task->readers);
        job->on_state_data = task; /* on_state stays NULL: every change is made by us */
        task_follow_init(task);
        return task;
}

struct task *task_of(struct job *job)
{
        return job->on_state_data;
}

struct task *task_free(struct task *task)
{
        struct supervisor *sup;

        if (!task)
                return NULL;
        sup = task->sup;
        LIST_FOREACH (reader, &task->readers, struct task_reader, link)
                list_remove(&reader->link);
        ask_cancel(&task->ask);
        ev_timer_stop(sup->loop, &task->timer);
        later_cancel(&task->follow);
        watch_stop(sup->watches, &task->watch);
        list_remove(&task->link);
        if (pool_has(sup->pool, task->job))
                pool_release(sup->pool, task->job, supervisor_now(sup));
        stream_free(task->stream);
        (void) fd_close(task->own_fd);
        (void) fd_close(task->raw_fd);
        (void) fd_close(task->index_fd);
        job_free(task->job);
        free(task->request);
        free(task);
        return NULL;
}

struct task *task_find(struct supervisor *sup, uint64_t id)
{
        /* From the end: who asks, asks about a job of late. */
        for (struct list *link = sup->tasks.prev; link != &sup->tasks; link = link->prev) {
                struct task *task = list_entry(link, struct task, link);

                if (task->job->id == id)
                        return task;
                if (task->job->id < id)
                        break;
        }
        return NULL;
}

void task_digest_hex(const struct task *task, char to[2 * WIRE_DIGEST_SIZE + 1])
{
        for (size_t i = 0; i < WIRE_DIGEST_SIZE; i++)
                (void) snprintf(to + 2 * i, 3, "%02x", task->digest[i]);
}

static void set_int(json_t *json, const char *key, uint64_t value)
{
        (void) json_object_set_new(json, key, json_integer((json_int_t) value));
}

static void add_times(const struct task *task, json_t *json)
{
        uint32_t position = pool_position(task->sup->pool, task->job);

        if (position)
                set_int(json, "queue_position", position);
        set_int(json, "queued_usec", task->queued_usec);
        if (task->started_usec)
                set_int(json, "started_usec", task->started_usec);
        if (task->ended)
                set_int(json, "finished_usec", task->finished_usec);
        set_int(json, "last_seq", task->next_seq ? task->next_seq - 1 : 0);
}

json_t *task_failure_json(const struct error *error)
{
        json_t *failure = json_pack("{s:s, s:o}", "error", error_kind_word(error->kind), "message",
                                    varlink_string(error->message));

        if (!failure)
                return NULL;
        if (error->step[0]) {
                (void) json_object_set_new(failure, "step", varlink_string(error->step));
                set_int(failure, "errno", (uint64_t) error->number);
        }
        if (error->key[0])
                (void) json_object_set_new(failure, "key", varlink_string(error->key));
        return failure;
}

static const char *string_of(json_t *json, const char *key)
{
        const char *s = json_string_value(json_object_get(json, key));

        return s ? s : "";
}

void task_failure_read(json_t *json, struct error *error)
{
        const char *word = string_of(json, "error");

        memset(error, 0, sizeof *error);
        if (!word[0])
                return;
        error->kind = ERROR_INTERNAL; /* a word of a later build */
        for (unsigned kind = 1; kind < _ERROR_KIND_MAX; kind++)
                if (strcmp(error_kind_word(kind), word) == 0)
                        error->kind = (enum error_kind) kind;
        error->number = (int) json_integer_value(json_object_get(json, "errno"));
        if (error->number <= 0)
                error->number = error_kind_number(error->kind);
        (void) snprintf(error->message, sizeof error->message, "%s", string_of(json, "message"));
        (void) snprintf(error->step, sizeof error->step, "%s", string_of(json, "step"));
        (void) snprintf(error->key, sizeof error->key, "%s", string_of(json, "key"));
}

json_t *task_usage_json(const struct codex_usage *usage)
{
        return json_pack("{s:I, s:I, s:I}", "input_tokens", (json_int_t) usage->input,
                         "cached_input_tokens", (json_int_t) usage->cached, "output_tokens",
                         (json_int_t) usage->output);
}

static void add_end(const struct task *task, json_t *json)
{
        if (task->turn.has_usage)
                (void) json_object_set_new(json, "usage", task_usage_json(&task->turn.usage));
        if (!task->ended)
                return;
        (void) json_object_set_new(json, "result", json_string(job_result_name(task->job->result)));
        if (task->job->error.kind != ERROR_NONE)
                (void) json_object_set_new(json, "failure", task_failure_json(&task->job->error));
        if (!(task->flags & WIRE_WORKER_HAS_STATUS))
                return;
        if ((task->status & 0x7f) == 0)
                set_int(json, "exit_code", (uint64_t) ((task->status >> 8) & 0xff));
        else
                set_int(json, "exit_signal", (uint64_t) (task->status & 0x7f));
}

/* core is done with a job a moment before its end is durable; clients see the latter. */
const char *task_state_name(const struct task *task)
{
        if (task->job->state == JOB_FINISHED && !task->ended)
                return job_state_name(JOB_CANCELLING);
        return job_state_name(task->job->state);
}

json_t *task_to_json(const struct task *task)
{
        const struct job *job = task->job;
        char digest[2 * WIRE_DIGEST_SIZE + 1];
        json_t *json;

        task_digest_hex(task, digest);
        json = json_pack("{s:I, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s}", "job",
                         (json_int_t) job->id, "state", task_state_name(task), "workspace",
                         job->workspace, "uid", (json_int_t) job->uid, "gid", (json_int_t) job->gid,
                         "owner", job->owner, "class", job_class_name(job->class), "runner", "exec",
                         "policy_digest", digest, "sandbox_mode", task->sandbox_mode);
        if (!json)
                return NULL;
        if (job->thread_id[0])
                (void) json_object_set_new(json, "thread_id", json_string(job->thread_id));
        if (job->worker)
                set_int(json, "worker", job->worker);
        if (task->pid)
                set_int(json, "pid", task->pid);
        add_times(task, json);
        add_end(task, json);
        return json;
}

void task_changed(struct task *task)
{
        if (task->stream)
                later_push(&task->sup->laters, &task->follow);
        LIST_FOREACH (reader, &task->readers, struct task_reader, link)
                reader->changed(reader);
}

void task_reader_add(struct task *task, struct task_reader *reader)
{
        list_append(&task->readers, &reader->link);
}

void task_reader_remove(struct task_reader *reader)
{
        list_remove(&reader->link);
}

int task_append(struct task *task, json_t *event)
{
        char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
        uint64_t at;
        int r = -ENOMEM;

        json_decref(event);
        if (text && task->stream)
                r = stream_own_at(task->stream, &at);
        if (r == 0)
                r = stream_append_own(task->own_fd, at, supervisor_realtime(), text, strlen(text),
                                      false);
        free(text);
        task_changed(task);
        return r;
}

/* Which of the candidates it is says the digest; the words are for people, so none is no error. */
void task_resolved(struct task *task, const struct wire_resolved *resolved)
{
        struct policy *found[POLICY_CANDIDATES_MAX] = {NULL};
        int n = policy_candidates(task->sup->config, task->job->workspace, found, NULL);

        task->generation = resolved->generation;
        task->device = resolved->device;
        task->inode = resolved->inode;
        memcpy(task->digest, resolved->digest, sizeof task->digest);
        (void) snprintf(task->user, sizeof task->user, "%.63s", resolved->user);
        for (int i = 0; i < n; i++) {
                if (policy_narrow(found[i], &task->request->wish, NULL) == 0 &&
                    memcmp(found[i]->digest, task->digest, sizeof task->digest) == 0) {
                        (void) snprintf(task->sandbox_mode, sizeof task->sandbox_mode, "%s",
                                        policy_sandbox_mode_name(found[i]->sandbox_mode));
                        task->network = found[i]->network_access;
                        task->job->workspace_max = found[i]->max_workers;
                }
                policy_free(found[i]);
        }
}

static int open_output(struct supervisor *sup, uint64_t worker, const char *name)
{
        char path[64];

        (void) snprintf(path, sizeof path, "w-%" PRIu64 "/%s", worker, name);
        return fd_open_beneath(sup->workers_fd, path, O_RDONLY, 0);
}

int task_open_output(struct task *task, uint64_t worker)
{
        _cleanup_fd_ int raw = open_output(task->sup, worker, "raw");
        _cleanup_fd_ int index = open_output(task->sup, worker, "index");
        int r;

        if (raw < 0 || index < 0)
                return raw < 0 ? raw : index;
        r = stream_set_raw(task->stream, raw, index);
        if (r < 0)
                return r;
        task->raw_fd = TAKE_FD(raw);
        task->index_fd = TAKE_FD(index);
        return watch_start(task->sup->watches, &task->watch, task->index_fd);
}

int task_open_stream(struct task *task, struct stream **ret)
{
        _cleanup_fd_ int own = -EBADF, raw = -EBADF, index = -EBADF;
        int r;

        if (task->own_fd >= 0)
                return stream_new(ret, task->raw_fd, task->index_fd, task->own_fd);
        own = jobfile_open_own(task->sup->jobs_fd, task->job->id);
        if (own < 0)
                return own;
        if (task->job->worker) {
                raw = open_output(task->sup, task->job->worker, "raw");
                index = open_output(task->sup, task->job->worker, "index");
                if (raw < 0 || index < 0) {
                        raw = fd_close(raw);
                        index = fd_close(index);
                }
        }
        r = stream_new(ret, raw, index, own);
        if (r == 0)
                stream_close_raw(*ret);
        return r;
}
