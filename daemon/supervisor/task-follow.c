/* The supervisor's own reader of a job's stream: folds it into the job's state, and tells the
 * journal what it has not been told yet. */
#include "journal.h"
#include "log.h"
#include "task.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGET (256u * 1024) /* bytes of a job's stream in one turn of the loop */
#define EVENTS 256

static void thread_started(struct task *task, const struct codex_line *line)
{
        struct supervisor *sup = task->sup;
        uint64_t now = supervisor_now(sup);
        struct error error = {0};
        int r;

        if (pool_has(sup->pool, task->job))
                r = pool_thread_started(sup->pool, task->job, line->thread_id, now, &error);
        else
                r = job_thread_started(task->job, line->thread_id, now, &error);
        if (r < 0) {
                task->mismatch =
                        error; /* it may have ended already: then there is nothing to cancel */
                task_cancel(task, JOB_FAILED, &error, WIRE_KILL);
        }
}

static void on_line(struct task *task, const struct stream_event *event)
{
        struct codex_line line;

        if (event->text) {
                if (codex_line_parse(&line, event->text, event->size) < 0)
                        return; /* jsonscan passed it, jansson does not: an odd number. Passed on */
        } else {
                char head[CODEX_LINE_PEEK];
                ssize_t n = pread(event->fd, head, sizeof head, (off_t) event->offset);

                codex_line_peek(&line, head, n > 0 ? (size_t) n : 0);
        }
        turn_line(&task->turn, &line);
        if (line.type == CODEX_LINE_THREAD_STARTED)
                thread_started(task, &line);
        if (event->seq >= task->reported)
                journal_line(task, &line);
}

/* Only after a restart: while we live, what we wrote is what we know. */
static void replay(struct task *task, const struct stream_event *event)
{
        json_t *json = event->text ? json_loadb(event->text, event->size, 0, NULL) : NULL;
        const char *type = json_string_value(json_object_get(json, "type"));
        const char *result = json_string_value(json_object_get(json, "result"));
        struct job *job = task->job;
        uint64_t now = supervisor_now(task->sup);
        struct error error;
        int r = result ? job_result_from_name(result) : -EINVAL;

        task_failure_read(json_object_get(json, "error"), &error);
        if (type && strcmp(type, "job.started") == 0 && job->state == JOB_QUEUED) {
                task->has_started = true;
                task->started_usec = event->time_usec;
                task->spawn_usec =
                        (uint64_t) json_integer_value(json_object_get(json, "spawn_usec"));
                task->pid = (uint32_t) json_integer_value(json_object_get(json, "pid"));
                /* Its clock goes on, but for its silence, which may have been ours. */
                job_start(job, supervisor_monotonic(task->sup, event->time_usec));
                job_started(job, (uint64_t) json_integer_value(json_object_get(json, "worker")),
                            supervisor_monotonic(task->sup, event->time_usec));
                job_progress(job, now);
        } else if (type && strcmp(type, "job.cancelling") == 0 && r > 0) {
                if (job->state != JOB_QUEUED)
                        (void) job_cancel(job, (enum job_result) r, &error, now);
        } else if (type && strcmp(type, "job.finished") == 0 && r > 0) {
                /* Its summary is missing, so this is news. What the event says wins. */
                job->result = JOB_NO_RESULT;
                memset(&job->error, 0, sizeof job->error);
                if (job->state != JOB_FINISHED)
                        job_finish(job, (enum job_result) r, &error, now);
                job->result = (enum job_result) r;
                job->error = error;
                task->finished_usec = event->time_usec;
                task->finishing = task->ending = true;
        }
        json_decref(json);
}

static void on_event(struct task *task, const struct stream_event *event)
{
        bool running = task->job->state == JOB_RUNNING;

        task->next_seq = event->seq + 1;
        switch (event->source) {
        case STREAM_OWN:
                if (task->recovered)
                        replay(task, event);
                break;
        case STREAM_RAW:
                on_line(task, event);
                break;
        case STREAM_GARBAGE:
                turn_garbage(&task->turn);
                break;
        }
        if (event->source != STREAM_OWN) {
                if (running)
                        job_progress(task->job, supervisor_now(task->sup));
                if (!task->exited && !task->stdout_closed_usec) /* else it is task-end.c's */
                        ev_timer_stop(task->sup->loop, &task->timer);
        }
        if (event->seq >= task->reported) {
                task->reported = event->seq + 1;
                task->cursor_due = true;
                task->sup->counts.events++;
        }
}

static void broken(struct task *task, int r)
{
        struct error error;

        (void) error_set_errno(&error, ERROR_LOST, -r, "reading its events");
        log_error("job %llu: %s", (unsigned long long) task->job->id, error.message);
        if (task->gone || task->job->worker == 0)
                task_finish(task, JOB_LOST, &error);
        else
                task_cancel(task, JOB_LOST, &error, WIRE_KILL);
}

static void follow(struct later *later)
{
        struct task *task = container_of(later, struct task, follow);
        struct stream_event event;
        uint64_t taken = 0;
        int r = -EAGAIN;

        if (!task->stream)
                return;
        for (unsigned i = 0; i < EVENTS && taken < BUDGET; i++) {
                r = stream_next(task->stream, BUDGET, &event);
                if (r <= 0)
                        break;
                taken += event.size;
                on_event(task, &event);
                r = -EAGAIN;
        }
        if (task->cursor_due) {
                task->cursor_due = false;
                (void) jobfile_write_cursor(task->sup->jobs_fd, task->job->id, task->reported);
        }
        if (r == -EAGAIN)
                later_push(&task->sup->laters, &task->follow);
        else if (r < 0)
                broken(task, r);
        else
                task_caught_up(task); /* may end the task: nothing may follow */
}

static void grown(struct watch *watch)
{
        task_changed(container_of(watch, struct task, watch));
}

void task_follow_init(struct task *task)
{
        task->follow.run = follow;
        task->watch.grown = grown;
}

int task_replay_own(struct task *task)
{
        _cleanup_(stream_freep) struct stream *own = NULL;
        struct stream_event event;
        int r = stream_new(&own, -EBADF, -EBADF, task->own_fd);

        while (r >= 0) {
                r = stream_next(own, BUDGET, &event);
                if (r <= 0)
                        break;
                if (event.source == STREAM_OWN)
                        replay(task, &event);
                task->next_seq = event.seq + 1;
        }
        return r;
}
