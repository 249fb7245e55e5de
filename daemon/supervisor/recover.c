/* Jobs from before this process: ended ones by their summaries, the others by their own events and
 * by what the launcher has adopted. */
#include "fd.h"
#include "journal.h"
#include "log.h"
#include "task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ids {
        uint64_t *all;
        size_t n, room;
};

static int add_id(uint64_t id, void *data)
{
        struct ids *ids = data;

        if (ids->n == ids->room) {
                size_t room = ids->room ? ids->room * 2 : 64;
                uint64_t *all = reallocarray(ids->all, room, sizeof *all);

                if (!all)
                        return -ENOMEM;
                ids->all = all;
                ids->room = room;
        }
        ids->all[ids->n++] = id;
        return 0;
}

static int by_number(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static const char *string_of(json_t *json, const char *key)
{
        const char *s = json_string_value(json_object_get(json, key));

        return s ? s : "";
}

static uint64_t number_of(json_t *json, const char *key)
{
        json_int_t n = json_integer_value(json_object_get(json, key));

        return n > 0 ? (uint64_t) n : 0;
}

static json_t *read_json(struct supervisor *sup, uint64_t id, const char *name)
{
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (jobfile_read(sup->jobs_fd, id, name, &text, &n) < 0)
                return NULL;
        return json_loadb(text, n, 0, NULL);
}

static void read_digest(struct task *task, const char *hex)
{
        for (size_t i = 0; i < WIRE_DIGEST_SIZE; i++) {
                unsigned byte;

                if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
                        return;
                task->digest[i] = (uint8_t) byte;
        }
}

static int make_task(struct supervisor *sup, struct task **ret, uint64_t id, json_t *json,
                     struct request **request, const struct job_limits *limits)
{
        _cleanup_(job_freep) struct job *job = NULL;
        int class = job_class_from_name(string_of(json, "class"));
        struct job_spec spec = {
                .id = id,
                .workspace = string_of(json, "workspace"),
                .uid = (uint32_t) number_of(json, "uid"),
                .gid = (uint32_t) number_of(json, "gid"),
                .owner = string_of(json, "owner"),
                .class = class < 0 ? JOB_CHAT : (enum job_class) class,
                .thread_id = string_of(json, "thread_id"),
        };
        struct task *task;
        int r;

        if (limits)
                spec.limits = *limits;
        r = job_new(&job, &spec, supervisor_monotonic(sup, number_of(json, "queued_usec")));
        if (r < 0)
                return r;
        task = task_new(sup, job, request ? *request : NULL);
        if (!task)
                return -ENOMEM;
        (void) TAKE_PTR(job);
        if (request)
                *request = NULL;
        task->recovered = task->durable = true;
        task->queued_usec = number_of(json, "queued_usec");
        (void) snprintf(task->sandbox_mode, sizeof task->sandbox_mode, "%s",
                        string_of(json, "sandbox_mode"));
        read_digest(task, string_of(json, "policy_digest"));
        *ret = task;
        return 0;
}

static int load_ended(struct supervisor *sup, uint64_t id, json_t *json)
{
        int result = job_result_from_name(string_of(json, "result")), r;
        json_t *usage = json_object_get(json, "usage");
        uint64_t worker = number_of(json, "worker"), now = supervisor_now(sup);
        struct error error = {0};
        struct task *task;

        if (result < 0)
                return -EBADMSG;
        r = make_task(sup, &task, id, json, NULL, NULL);
        if (r < 0)
                return r;
        task_failure_read(json_object_get(json, "failure"), &error);
        if (worker) {
                job_start(task->job, now);
                job_started(task->job, worker, now);
        }
        job_finish(task->job, (enum job_result) result, &error, now);
        task->pid = (uint32_t) number_of(json, "pid");
        task->started_usec = number_of(json, "started_usec");
        task->finished_usec = number_of(json, "finished_usec");
        task->next_seq = number_of(json, "last_seq") + 1;
        if (json_object_get(json, "exit_code") || json_object_get(json, "exit_signal")) {
                task->flags = WIRE_WORKER_HAS_STATUS;
                task->status = (int32_t) (number_of(json, "exit_code") << 8 |
                                          number_of(json, "exit_signal"));
        }
        task->turn.has_usage = json_is_object(usage);
        task->turn.usage.input = (int64_t) number_of(usage, "input_tokens");
        task->turn.usage.cached = (int64_t) number_of(usage, "cached_input_tokens");
        task->turn.usage.output = (int64_t) number_of(usage, "output_tokens");
        task->gone = task->finishing = task->ending = task->ended = true;
        sup->counts.ended_kept++;
        list_append(&sup->tasks, &task->link);
        return 0;
}

static int load_live(struct supervisor *sup, uint64_t id, json_t *json)
{
        _cleanup_free_ char *bytes = calloc(1, sizeof(struct request));
        struct request *request = (struct request *) (void *) bytes;
        struct job_limits limits;
        struct error error = {0};
        struct task *task;
        int r;

        if (!request)
                return -ENOMEM;
        r = request_from_json(request, json_object_get(json, "request"), &error);
        if (r < 0)
                return r;
        limits = tasks_limits(sup, request);
        r = make_task(sup, &task, id, json, &request, &limits);
        if (r < 0)
                return r;
        bytes = NULL; /* the task's now */
        task->own_fd = jobfile_open_own(sup->jobs_fd, id);
        r = task->own_fd < 0 ? task->own_fd : task_replay_own(task);
        if (r == 0)
                r = stream_new(&task->stream, -EBADF, -EBADF, task->own_fd);
        if (r < 0) {
                (void) task_free(task);
                return r;
        }
        task->next_seq = 0;
        task->reported = jobfile_read_cursor(sup->jobs_fd, id);
        list_append(&sup->tasks, &task->link);
        return 0;
}

static int load(struct supervisor *sup, uint64_t id)
{
        json_t *json = read_json(sup, id, "ended");
        int r = -EBADMSG;

        if (json)
                r = load_ended(sup, id, json);
        json_decref(json);
        if (r >= 0)
                return r;
        json = read_json(sup, id, "job.json");
        r = json ? load_live(sup, id, json) : -EBADMSG;
        json_decref(json);
        return r;
}

int recover_load(struct supervisor *sup, struct error *err)
{
        struct ids ids = {0};
        int r = jobfile_list(sup->jobs_fd, add_id, &ids);

        if (r < 0) {
                free(ids.all);
                return error_set_errno(err, ERROR_INTERNAL, -r, "reading the jobs' directory");
        }
        if (ids.n > 0)
                qsort(ids.all, ids.n, sizeof *ids.all, by_number);
        for (size_t i = 0; i < ids.n; i++) {
                /* Whatever is wrong with it, its number is taken. */
                sup->last_id = ids.all[i];
                r = load(sup, ids.all[i]);
                if (r < 0)
                        log_error("job %" PRIu64 " cannot be read and is left as it is: %s",
                                  ids.all[i], strerror(-r));
        }
        free(ids.all);
        return 0;
}

void recover_adopted(struct supervisor *sup, const struct wire_started *started)
{
        struct task *task = task_find(sup, started->job);

        if (!task || task->finishing ||
            (task->job->worker != 0 && task->job->worker != started->worker)) {
                /* Nobody's: its job is unknown, or has ended. GONE follows and is answered. */
                if (!task || task->job->worker != started->worker)
                        log_warning("worker %" PRIu64
                                    " belongs to no job that is known (job %" PRIu64 ")",
                                    started->worker, started->job);
                if (started->pid)
                        (void) launch_signal(sup->launch, started->worker, WIRE_KILL);
                return;
        }
        if (task->adopted)
                return;
        task->adopted = true;
        if (task->job->state == JOB_QUEUED) /* it was started, and that was not written any more */
                job_start(task->job, supervisor_now(sup));
        task_started(task, started);
        journal_task(task, REPORT_WORKER_ADOPTED, "its worker goes on after a restart");
}

static void settle(struct task *task)
{
        struct supervisor *sup = task->sup;
        struct job *job = task->job;

        if (!task->gone && !pool_has(sup->pool, job) && job->state != JOB_FINISHED &&
            pool_restore(sup->pool, job) < 0)
                log_error("job %" PRIu64 ": no memory", job->id);
        if (job->state == JOB_FINISHED) { /* before it had a worker; only its summary is missing */
                stream_close_raw(task->stream);
        } else if (job->state != JOB_QUEUED && !task->adopted) {
                struct wire_exited gone = {.ended_usec = 0};

                /* What it wrote is read to its end, then it is lost: task-end.c. Or the last event
                 * is found there, and only its summary was missing. */
                if (job->worker && task->raw_fd < 0)
                        (void) task_open_output(task, job->worker);
                task_gone(task, &gone);
        }
        task_changed(task);
}

void recover_synced(struct supervisor *sup)
{
        LIST_FOREACH (task, &sup->tasks, struct task, link)
                if (!task->ended)
                        settle(task);
        tasks_retain(sup);
}
