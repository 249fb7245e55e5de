/* The table of jobs: what starts next, which limit fires next, what is forgotten. */
#include "journal.h"
#include "task.h"

#include <stdlib.h>

#define SEC UINT64_C(1000000)

struct job_limits tasks_limits(const struct supervisor *sup, const struct request *request)
{
        const struct settings *settings = supervisor_settings(sup);
        const struct settings_class *class = &settings->classes[request->class];

        return (struct job_limits){
                .queue_usec = settings->queue_deadline_s * SEC,
                .deadline_usec = request->deadline_s * SEC,
                .start_usec = settings->start_timeout_s * SEC,
                .wall_clock_usec = class->wall_clock_s * SEC,
                .no_progress_usec = class->no_progress_s * SEC,
                .kill_grace_usec = settings->kill_grace_s * SEC,
        };
}

void tasks_schedule(struct supervisor *sup)
{
        struct job *job;

        /* Until Codex's version is known nothing starts; who waits has the queue's deadline. */
        if (sup->synced && !version_pending(sup->version))
                while ((job = pool_next(sup->pool, supervisor_now(sup))))
                        task_start(task_of(job));
        tasks_arm_limits(sup);
        supervisor_changed(sup);
}

void tasks_arm_limits(struct supervisor *sup)
{
        uint64_t at, now = supervisor_now(sup);
        enum job_limit limit;

        ev_timer_stop(sup->loop, &sup->limits);
        if (!sup->synced || !pool_next_limit(sup->pool, &at, &limit))
                return;
        /* An event only moves a limit to later: then the timer fires for nothing and is set again.
         */
        ev_timer_set(&sup->limits, at > now ? (double) (at - now) / 1e6 + 0.001 : 0., 0.);
        ev_now_update(sup->loop);
        ev_timer_start(sup->loop, &sup->limits);
}

static void run_into(struct task *task, enum job_limit limit)
{
        struct error error = {0};
        enum job_result result;

        if (limit == JOB_LIMIT_KILL) {
                task_kill(task, "it did not end within its grace");
                return;
        }
        result = job_limit_result(task->job, limit, &error);
        if (limit == JOB_LIMIT_NO_PROGRESS)
                journal_task(task, REPORT_JOB_STALLED, "no event for its class's limit");
        task_cancel(task, result, &error, WIRE_INTERRUPT);
}

void tasks_on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct supervisor *sup = container_of(timer, struct supervisor, limits);
        enum job_limit limit;
        struct job *job;
        uint64_t at;

        while ((job = pool_next_limit(sup->pool, &at, &limit)) && at <= supervisor_now(sup))
                run_into(task_of(job), limit);
        tasks_schedule(sup);
}

struct removal {
        struct offload_item item;
        int jobs_fd;
        uint64_t id;
};

static void remove_run(struct offload_item *item)
{
        struct removal *removal = container_of(item, struct removal, item);

        (void) jobfile_remove(removal->jobs_fd, removal->id);
}

static void remove_done(struct offload_item *item)
{
        free(container_of(item, struct removal, item));
}

static void forget(struct task *task)
{
        struct supervisor *sup = task->sup;
        struct removal *removal = calloc(1, sizeof *removal);

        if (!removal) /* it stays for another round */
                return;
        *removal = (struct removal){.item = {.run = remove_run, .done = remove_done},
                                    .jobs_fd = sup->jobs_fd,
                                    .id = task->job->id};
        if (task->job->worker)
                (void) launch_worker(sup->launch, WIRE_FORGET, task->job->worker);
        sup->counts.ended_kept--;
        (void) task_free(task);
        offload_push(sup->disk, &removal->item);
}

void tasks_retain(struct supervisor *sup)
{
        const struct settings *settings = supervisor_settings(sup);
        uint64_t now = supervisor_realtime();

        if (!sup->synced)
                return;
        LIST_FOREACH (task, &sup->tasks, struct task, link) {
                bool many = sup->counts.ended_kept > settings->retention_jobs;
                bool old = settings->retention_s && task->ended &&
                           now > task->finished_usec + settings->retention_s * SEC;

                /* The newest always stays: its number keeps the next one from being used again.
                 * One that is being read stays until the reader is through. */
                if (!task->ended || !(many || old) || task->job->id == sup->last_id ||
                    !list_empty(&task->readers))
                        continue;
                forget(task);
        }
}
