#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

static void add_usec(struct report_fields *f, const char *name, uint64_t from, uint64_t to)
{
        if (from)
                report_add(f, name, "%" PRIu64, to > from ? to - from : 0);
}

static void add_task(struct report_fields *f, const struct task *task)
{
        const struct job *job = task->job;
        char digest[2 * WIRE_DIGEST_SIZE + 1];

        task_digest_hex(task, digest);
        report_add(f, "CODEX_JOB", "%" PRIu64, job->id);
        report_add(f, "CODEX_WORKSPACE", "%s", job->workspace);
        report_add(f, "CODEX_OWNER", "%s", job->owner);
        report_add(f, "CODEX_CLASS", "%s", job_class_name(job->class));
        report_add(f, "CODEX_UID", "%" PRIu32, job->uid);
        report_add(f, "CODEX_GID", "%" PRIu32, job->gid);
        report_add(f, "CODEX_SANDBOX_MODE", "%s", task->sandbox_mode);
        report_add(f, "CODEX_NETWORK", "%s", task->network ? "true" : "false");
        report_add(f, "CODEX_POLICY_DIGEST", "%s", digest);
        report_add(f, "CODEX_THREAD", "%s", job->thread_id);
        if (job->worker)
                report_add(f, "CODEX_WORKER", "%" PRIu64, job->worker);
        if (task->pid) {
                report_add(f, "OBJECT_PID", "%" PRIu32, task->pid);
                report_add(f, "OBJECT_SYSTEMD_UNIT", "codexd-workers.service");
        }
}

static void add_error(struct report_fields *f, const struct error *error)
{
        if (error->kind == ERROR_NONE)
                return;
        report_add(f, "CODEX_ERROR", "%s", error_kind_word(error->kind));
        report_add(f, "CODEX_STEP", "%s", error->step);
        if (error->number)
                report_add(f, "ERRNO", "%d", error->number);
}

static void add_exit(struct report_fields *f, const struct task *task)
{
        if (!(task->flags & WIRE_WORKER_HAS_STATUS))
                return;
        report_add(f, "EXIT_CODE", "%s", WIFEXITED(task->status) ? "exited" : "killed");
        report_add(f, "EXIT_STATUS", "%d",
                   WIFEXITED(task->status) ? WEXITSTATUS(task->status) : WTERMSIG(task->status));
}

static void add_usage(struct report_fields *f, const struct codex_usage *usage)
{
        report_add(f, "CODEX_TOKENS_INPUT", "%" PRId64, usage->input);
        report_add(f, "CODEX_TOKENS_CACHED", "%" PRId64, usage->cached);
        report_add(f, "CODEX_TOKENS_OUTPUT", "%" PRId64, usage->output);
}

/* What every message about a job begins with. */
#define ABOUT            "job %" PRIu64 " (%s): "
#define ABOUT_ARGS(task) (task)->job->id, (task)->job->workspace

void journal_ready(struct supervisor *sup)
{
        struct report_fields f;

        report_fields_init(&f);
        report(sup->reporter, REPORT_DAEMON_READY, f.fields,
               "codexd " CODEXD_VERSION " takes jobs (policy generation %" PRIu64 ")",
               sup->generation);
}

void journal_rejected(struct supervisor *sup, const struct request *request, uid_t peer,
                      const struct error *error)
{
        struct report_fields f;

        report_fields_init(&f);
        report_add(&f, "CODEX_WORKSPACE", "%s", request->workspace);
        report_add(&f, "CODEX_OWNER", "%s", request->owner);
        report_add(&f, "CODEX_CLASS", "%s", job_class_name(request->class));
        report_add(&f, "CODEX_THREAD", "%s", request->thread_id);
        report_add(&f, "CODEX_REASON", "%s", error_kind_word(error->kind));
        add_error(&f, error);
        report(sup->reporter, REPORT_JOB_REJECTED, f.fields,
               "a job for %s, asked for by uid %u, was rejected: %s%s%s", request->workspace,
               (unsigned) peer, error_kind_word(error->kind), error->key[0] ? ": " : "",
               error->key);
}

void journal_task(struct task *task, enum report_event event, const char *message)
{
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        if (event == REPORT_JOB_STALLED || event == REPORT_JOB_LOST ||
            event == REPORT_KILL_ESCALATED)
                add_error(&f, &task->job->error);
        report(task->sup->reporter, event, f.fields, ABOUT "%s", ABOUT_ARGS(task), message);
}

void journal_queued(struct task *task)
{
        journal_task(task, REPORT_JOB_QUEUED, "queued");
}

void journal_started(struct task *task, const struct wire_started *started)
{
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        add_usec(&f, "CODEX_QUEUED_USEC", task->queued_usec, task->started_usec);
        report_add(&f, "CODEX_SPAWN_USEC", "%" PRIu64, started->spawn_usec);
        report(task->sup->reporter, REPORT_WORKER_SPAWNED, f.fields,
               ABOUT "worker %" PRIu64 " is process %" PRIu32 ", uid %" PRIu32 ", no capabilities",
               ABOUT_ARGS(task), started->worker, started->pid, started->identity.uid);
        report(task->sup->reporter, REPORT_JOB_STARTED, f.fields, ABOUT "started",
               ABOUT_ARGS(task));
}

void journal_cancelling(struct task *task)
{
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        report_add(&f, "CODEX_RESULT", "%s", job_result_name(task->job->result));
        add_error(&f, &task->job->error);
        report(task->sup->reporter, REPORT_JOB_CANCELLING, f.fields, ABOUT "ending it: %s",
               ABOUT_ARGS(task), job_result_name(task->job->result));
}

void journal_finished(struct task *task)
{
        const struct job *job = task->job;
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        report_add(&f, "CODEX_RESULT", "%s", job_result_name(job->result));
        add_error(&f, &job->error);
        add_exit(&f, task);
        if (task->turn.has_usage)
                add_usage(&f, &task->turn.usage);
        add_usec(&f, "CODEX_QUEUED_USEC", task->queued_usec,
                 task->started_usec ? task->started_usec : task->finished_usec);
        if (task->started_usec) {
                report_add(&f, "CODEX_SPAWN_USEC", "%" PRIu64, task->spawn_usec);
                add_usec(&f, "CODEX_RUN_USEC", task->started_usec,
                         task->exited_usec ? task->exited_usec : task->finished_usec);
        } else {
                report_add(&f, "CODEX_RUN_USEC", "0");
        }
        /* The error's message may quote what Codex said: its word is enough here. */
        report_at(task->sup->reporter, REPORT_JOB_FINISHED,
                  job->result == JOB_OK || job->result == JOB_CANCELLED ? LOG_INFO : LOG_WARNING,
                  f.fields, ABOUT "finished: %s%s%s", ABOUT_ARGS(task),
                  job_result_name(job->result), job->error.kind != ERROR_NONE ? ", " : "",
                  job->error.kind != ERROR_NONE ? error_kind_word(job->error.kind) : "");
        if (job->result == JOB_LOST)
                report(task->sup->reporter, REPORT_JOB_LOST, f.fields, ABOUT "lost: %s",
                       ABOUT_ARGS(task), job->error.message);
}

void journal_exited(struct task *task)
{
        bool ended = (task->flags & WIRE_WORKER_HAS_STATUS) && WIFEXITED(task->status);
        bool meant = ended || task->job->state != JOB_RUNNING;
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        add_exit(&f, task);
        report(task->sup->reporter, meant ? REPORT_WORKER_RETIRED : REPORT_WORKER_CRASHED, f.fields,
               ABOUT "worker %" PRIu64 " %s", ABOUT_ARGS(task), task->job->worker,
               meant ? "retired" : "crashed");
}

static void journal_thread(struct task *task, struct report_fields *f)
{
        bool resumed = task->request && task->request->thread_id[0];

        report(task->sup->reporter, REPORT_WORKER_READY, f->fields,
               ABOUT "worker %" PRIu64 " is ready", ABOUT_ARGS(task), task->job->worker);
        report(task->sup->reporter, resumed ? REPORT_THREAD_RESUMED : REPORT_THREAD_STARTED,
               f->fields, ABOUT "thread %s", ABOUT_ARGS(task), resumed ? "resumed" : "started");
}

static void journal_item(struct task *task, struct report_fields *f, const struct codex_line *line)
{
        bool completed = line->type == CODEX_LINE_ITEM_COMPLETED;
        const char *type = line->item_type[0] ? line->item_type : "unnamed";

        report(task->sup->reporter, completed ? REPORT_ITEM_COMPLETED : REPORT_ITEM_STARTED,
               f->fields, ABOUT "%s %s%s%s%s", ABOUT_ARGS(task), type,
               completed ? "completed" : "started", line->item_status[0] ? " (" : "",
               line->item_status, line->item_status[0] ? ")" : "");
}

void journal_line(struct task *task, const struct codex_line *line)
{
        struct report_fields f;

        report_fields_init(&f);
        add_task(&f, task);
        switch (line->type) {
        case CODEX_LINE_THREAD_STARTED:
                journal_thread(task, &f);
                break;
        case CODEX_LINE_TURN_STARTED:
                report(task->sup->reporter, REPORT_TURN_STARTED, f.fields, ABOUT "turn started",
                       ABOUT_ARGS(task));
                break;
        case CODEX_LINE_TURN_COMPLETED:
                if (line->has_usage)
                        add_usage(&f, &line->usage);
                report(task->sup->reporter, REPORT_TURN_COMPLETED, f.fields, ABOUT "turn completed",
                       ABOUT_ARGS(task));
                break;
        case CODEX_LINE_TURN_FAILED:
                report_add(&f, "CODEX_ERROR", "%s", error_kind_word(ERROR_TURN_FAILED));
                report(task->sup->reporter, REPORT_TURN_FAILED, f.fields, ABOUT "turn failed",
                       ABOUT_ARGS(task));
                break;
        case CODEX_LINE_ITEM_STARTED:
        case CODEX_LINE_ITEM_COMPLETED:
                journal_item(task, &f, line);
                break;
        default:
                break;
        }
}
