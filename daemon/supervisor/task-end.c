/* The end of a job: decided by a client, a limit or a surprise, or by its worker alone; then, when
 * nothing of it runs and all was read, one durable job.finished. */
#include "fd.h"
#include "journal.h"
#include "log.h"
#include "task.h"
#include "text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOSED_USEC   500000u /* closing stdout this long before the end is no part of the end */
#define AGAIN_S       1.
#define STDERR_TAIL   2048
#define STDERR_FOR_US 8192

struct task_end {
        struct offload_item item;
        struct task *task;
        int jobs_fd, own_fd;
        uint64_t id, time_usec;
        char *event, *summary;
        int result;
};

static json_t *cancelling_event(const struct task *task)
{
        json_t *json =
                json_pack("{s:s, s:I, s:s}", "type", "job.cancelling", "job",
                          (json_int_t) task->job->id, "result", job_result_name(task->job->result));

        if (json && task->job->error.kind != ERROR_NONE)
                (void) json_object_set_new(json, "error", task_failure_json(&task->job->error));
        return json;
}

void task_kill(struct task *task, const char *why)
{
        if (task->job->killed)
                return;
        job_kill(task->job);
        if (!task->job->worker)
                return;
        (void) launch_signal(task->sup->launch, task->job->worker, WIRE_KILL);
        journal_task(task, REPORT_KILL_ESCALATED, why);
}

void task_cancel(struct task *task, enum job_result result, const struct error *error,
                 enum wire_how how)
{
        struct supervisor *sup = task->sup;
        struct job *job = task->job;
        enum job_state before = job->state;

        if (task->finishing || task->gone || job->state == JOB_FINISHED)
                return;
        if (before == JOB_QUEUED) {
                task_finish(task, result, error);
                return;
        }
        if (job_cancel(job, result, error, supervisor_now(sup)) == 0) {
                (void) task_append(task, cancelling_event(task));
                journal_cancelling(task);
                if (job->worker && how != WIRE_KILL)
                        (void) launch_signal(sup->launch, job->worker, how);
        }
        if (how == WIRE_KILL)
                task_kill(task, "its stream cannot go on");
        tasks_arm_limits(sup);
        supervisor_changed(sup);
}

/* The launcher does this at EXITED; if it takes so long, it is to be told, and to try again. */
static void on_leftovers(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct task *task = container_of(timer, struct task, timer);

        if (!task->gone)
                task_kill(task, "Codex ended, what it started did not");
}

void task_exited(struct task *task, const struct wire_exited *exited)
{
        if (task->exited || task->gone)
                return;
        task->exited = true;
        task->status = exited->status;
        task->flags |= exited->flags;
        task->exited_usec = exited->ended_usec;
        ev_timer_stop(task->sup->loop, &task->timer);
        ev_timer_init(&task->timer, on_leftovers, supervisor_settings(task->sup)->kill_grace_s, 0.);
        ev_timer_start(task->sup->loop, &task->timer);
}

void task_gone(struct task *task, const struct wire_exited *gone)
{
        struct supervisor *sup = task->sup;

        if (task->gone)
                return;
        if (!task->exited) {
                task->exited_usec = gone->ended_usec;
                task->status = gone->status;
        }
        task->flags |= gone->flags;
        task->exited = task->gone = true;
        ev_timer_stop(sup->loop, &task->timer);
        watch_stop(sup->watches, &task->watch);
        if (gone->flags & WIRE_WORKER_ESCALATED && !task->job->killed)
                journal_task(task, REPORT_KILL_ESCALATED, "the launcher had to kill its tree");
        if (task->finishing) /* else after its last events: a short turn is over before they are
                                read */
                journal_exited(task);
        /* The slot is free now; its last events may still be on their way through here. */
        if (pool_has(sup->pool, task->job))
                pool_release(sup->pool, task->job, supervisor_now(sup));
        if (task->stream)
                stream_close_raw(task->stream);
        task_changed(task);
        tasks_schedule(sup);
}

static void on_stdout_closed(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct task *task = container_of(timer, struct task, timer);
        struct error error;

        (void) error_set(&error, ERROR_CODEX_CLOSED_STDOUT, "Codex closed its stdout and lives on");
        if (!task->exited)
                task_cancel(task, JOB_FAILED, &error, WIRE_INTERRUPT);
}

void task_notice(struct task *task, const struct wire_exited *notice)
{
        struct error error;

        if (task->exited)
                return;
        task->flags |= notice->flags & (WIRE_WORKER_QUOTA | WIRE_WORKER_STDOUT_CLOSED);
        if (notice->flags & WIRE_WORKER_QUOTA) {
                (void) error_set(&error, ERROR_OUTPUT_QUOTA,
                                 "the job's output reached job_output_max; the rest is discarded");
                task_cancel(task, JOB_QUOTA, &error, WIRE_INTERRUPT);
        } else if (notice->flags & WIRE_WORKER_STDOUT_CLOSED && !task->stdout_closed_usec) {
                /* Every end begins like this. What still lives after the grace does not end. */
                task->stdout_closed_usec = supervisor_realtime();
                ev_timer_stop(task->sup->loop, &task->timer);
                ev_timer_init(&task->timer, on_stdout_closed,
                              supervisor_settings(task->sup)->kill_grace_s, 0.);
                ev_timer_start(task->sup->loop, &task->timer);
        }
}

/* The last bytes of its stderr; "" if there are none. */
static void read_stderr(const struct task *task, char *to, size_t room)
{
        _cleanup_fd_ int fd = -EBADF;
        char bytes[STDERR_FOR_US], path[64];
        struct stat st;
        ssize_t n = 0, skip = 0;
        off_t from;

        to[0] = '\0';
        (void) snprintf(path, sizeof path, "w-%" PRIu64 "/stderr", task->job->worker);
        fd = fd_open_beneath(task->sup->workers_fd, path, O_RDONLY, 0);
        if (fd < 0 || fstat(fd, &st) < 0)
                return;
        from = st.st_size > (off_t) (room - 1) ? st.st_size - (off_t) (room - 1) : 0;
        n = pread(fd, bytes, MIN(sizeof bytes, room - 1), from);
        if (n <= 0)
                return;
        while (from > 0 && skip < n && skip < 4 && ((unsigned char) bytes[skip] & 0xc0) == 0x80)
                skip++; /* the end of a character whose beginning was cut off */
        (void) text_clean(to, room, bytes + skip, (size_t) (n - skip));
}

static void finish_gone(struct task *task)
{
        char tail[STDERR_FOR_US];
        struct turn_end end = {
                .status = task->status,
                .flags = task->flags,
                .closed_stdout = task->stdout_closed_usec &&
                                 task->exited_usec > task->stdout_closed_usec + CLOSED_USEC,
                .stderr_tail = tail,
        };
        enum job_result result;
        struct error error;

        journal_exited(task);
        if (task->recovered && !task->adopted) {
                (void) error_set(&error, ERROR_LOST,
                                 "codexd was started again, and its worker was gone");
                task_finish(task, JOB_LOST, &error);
                return;
        }
        if (task->mismatch.kind != ERROR_NONE) {
                task_finish(task, JOB_FAILED, &task->mismatch);
                return;
        }
        read_stderr(task, tail, sizeof tail);
        result = turn_result(&task->turn, &end, &error);
        task_finish(task, result, &error);
}

static json_t *finished_event(const struct task *task)
{
        const struct job *job = task->job;
        uint64_t until = task->started_usec ? task->started_usec : task->finished_usec;
        uint64_t run_until = task->exited_usec ? task->exited_usec : task->finished_usec;
        json_t *json = json_pack("{s:s, s:I, s:s}", "type", "job.finished", "job",
                                 (json_int_t) job->id, "result", job_result_name(job->result));
        char tail[STDERR_TAIL];

        if (!json)
                return NULL;
        if (job->error.kind != ERROR_NONE)
                (void) json_object_set_new(json, "error", task_failure_json(&job->error));
        if (task->flags & WIRE_WORKER_HAS_STATUS)
                (void) json_object_set_new(json, task->status & 0x7f ? "exit_signal" : "exit_code",
                                           json_integer(task->status & 0x7f
                                                                ? task->status & 0x7f
                                                                : (task->status >> 8) & 0xff));
        if (job->thread_id[0])
                (void) json_object_set_new(json, "thread_id", json_string(job->thread_id));
        if (task->turn.has_usage)
                (void) json_object_set_new(json, "usage", task_usage_json(&task->turn.usage));
        (void) json_object_set_new(
                json, "queued_usec",
                json_integer(
                        (json_int_t) (until > task->queued_usec ? until - task->queued_usec : 0)));
        if (!task->started_usec)
                return json;
        (void) json_object_set_new(json, "spawn_usec", json_integer((json_int_t) task->spawn_usec));
        (void) json_object_set_new(
                json, "run_usec",
                json_integer((json_int_t) (run_until > task->started_usec
                                                   ? run_until - task->started_usec
                                                   : 0)));
        if (job->result != JOB_OK) {
                read_stderr(task, tail, sizeof tail);
                if (tail[0])
                        (void) json_object_set_new(json, "stderr_tail", json_string(tail));
        }
        return json;
}

static char *dump(json_t *json)
{
        char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

        json_decref(json);
        return text;
}

/* task_to_json() as it will be in a moment. */
static char *summary_of(struct task *task)
{
        json_t *json;

        task->ended = true;
        task->next_seq++; /* job.finished */
        json = task_to_json(task);
        task->next_seq--;
        task->ended = false;
        return dump(json);
}

static void end_free(struct task_end *end)
{
        free(end->event);
        free(end->summary);
        free(end);
}

static void end_run(struct offload_item *item)
{
        struct task_end *end = container_of(item, struct task_end, item);

        end->result = jobfile_end(end->jobs_fd, end->id, end->own_fd, STREAM_AT_END, end->time_usec,
                                  end->event, end->summary);
}

static void begin_end(struct task *task);

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct task *task = container_of(timer, struct task, timer);

        if (!task->ending)
                begin_end(task);
}

/* Not to be given up: without its last event a job never ends for those who wait. */
static void end_again(struct task *task, int r)
{
        log_error("job %" PRIu64 ": writing its last event: %s", task->job->id, strerror(-r));
        task->ending = false;
        ev_timer_stop(task->sup->loop, &task->timer);
        ev_timer_init(&task->timer, on_again, AGAIN_S, 0.);
        ev_timer_start(task->sup->loop, &task->timer);
}

static void end_done(struct offload_item *item)
{
        struct task_end *end = container_of(item, struct task_end, item);
        struct task *task = end->task;
        int r = end->result;

        task->end = NULL;
        end_free(end);
        if (r < 0) {
                end_again(task, r);
                return;
        }
        task->next_seq++;
        (void) jobfile_write_cursor(task->sup->jobs_fd, task->job->id, task->next_seq);
        journal_finished(task);
        task_set_ended(task);
}

static void begin_end(struct task *task)
{
        struct task_end *end = calloc(1, sizeof *end);

        if (end) {
                end->event = dump(finished_event(task));
                end->summary = summary_of(task);
        }
        task->ending = true;
        if (!end || !end->event || !end->summary) {
                if (end)
                        end_free(end);
                end_again(task, -ENOMEM);
                return;
        }
        end->item = (struct offload_item){.run = end_run, .done = end_done};
        end->task = task;
        end->jobs_fd = task->sup->jobs_fd;
        end->own_fd = task->own_fd;
        end->id = task->job->id;
        end->time_usec = task->finished_usec;
        task->end = end;
        offload_push(task->sup->disk, &end->item);
}

void task_set_ended(struct task *task)
{
        struct supervisor *sup = task->sup;

        task->ended = true;
        sup->counts.finished++;
        sup->counts.ended_kept++;
        if (task->job->result != JOB_OK)
                sup->counts.failed++;
        if (task->job->worker)
                (void) launch_worker(sup->launch, WIRE_RELEASE, task->job->worker);
        if (pool_has(sup->pool, task->job))
                pool_release(sup->pool, task->job, supervisor_now(sup));
        ev_timer_stop(sup->loop, &task->timer);
        later_cancel(&task->follow);
        watch_stop(sup->watches, &task->watch);
        /* Readers hold files of their own. */
        task->stream = stream_free(task->stream);
        task->own_fd = fd_close(task->own_fd);
        task->raw_fd = fd_close(task->raw_fd);
        task->index_fd = fd_close(task->index_fd);
        free(task->request);
        task->request = NULL;
        task_changed(task);
        tasks_schedule(sup);
        tasks_retain(sup); /* may free the task: nothing may follow */
}

void task_finish(struct task *task, enum job_result result, const struct error *error)
{
        struct supervisor *sup = task->sup;

        if (task->finishing)
                return;
        task->finishing = true;
        task->finished_usec = supervisor_realtime();
        job_finish(task->job, result, error, supervisor_now(sup));
        ask_cancel(&task->ask);
        if (pool_has(sup->pool, task->job))
                pool_release(sup->pool, task->job, supervisor_now(sup));
        if (task->stream)
                stream_close_raw(task->stream);
        task_changed(task);
        supervisor_changed(sup);
        /* A slot or a thread may be free: from the loop, for this may be within its use. */
        later_push(&sup->laters, &sup->schedule);
}

void task_caught_up(struct task *task)
{
        if (!task->durable || task->ending)
                goto replayed;
        if (task->gone && !task->finishing)
                finish_gone(task); /* comes back here */
        else if (task->finishing)
                begin_end(task);
        return;
replayed:
        /* Its last event was read after a restart: what a summary would have said. */
        if (task->recovered && task->ending && !task->end && !task->ended && task->own_fd >= 0) {
                char *summary;

                task->next_seq--;
                summary = summary_of(task);
                task->next_seq++;
                if (summary)
                        (void) jobfile_write_summary(task->sup->jobs_fd, task->job->id, summary);
                free(summary);
                task_set_ended(task);
        }
}
