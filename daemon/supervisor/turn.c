#include "turn.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void turn_line(struct turn *turn, const struct codex_line *line)
{
        turn->lines++;
        switch (line->type) {
        case CODEX_LINE_THREAD_STARTED:
                turn->thread_started = true;
                break;
        case CODEX_LINE_TURN_STARTED:
                turn->turn_started = true;
                break;
        case CODEX_LINE_TURN_COMPLETED:
                turn->completed = true;
                turn->failed = false; /* the last word counts */
                if (line->has_usage) {
                        turn->has_usage = true;
                        turn->usage = line->usage;
                }
                break;
        case CODEX_LINE_TURN_FAILED:
                turn->failed = true;
                turn->completed = false;
                memcpy(turn->message, line->message, sizeof turn->message);
                break;
        case CODEX_LINE_ERROR:
                if (!turn->failed)
                        memcpy(turn->message, line->message, sizeof turn->message);
                break;
        default:
                break;
        }
}

void turn_garbage(struct turn *turn)
{
        turn->lines++;
        turn->garbage++;
}

static void how_ended(const struct turn_end *end, char *to, size_t room)
{
        if (!(end->flags & WIRE_WORKER_HAS_STATUS))
                (void) snprintf(to, room, "without a status");
        else if (WIFSIGNALED(end->status))
                (void) snprintf(to, room, "by signal %d%s", WTERMSIG(end->status),
                                end->flags & WIRE_WORKER_OOM ? " (out of memory)" : "");
        else
                (void) snprintf(to, room, "with exit code %d%s", WEXITSTATUS(end->status),
                                end->flags & WIRE_WORKER_OOM ? " (out of memory)" : "");
}

/* Before thread.started: what kept Codex from beginning at all. */
static void never_began(const struct turn *turn, const struct turn_end *end, const char *how,
                        struct error *error)
{
        if (strstr(end->stderr_tail, "no rollout found") && WIFEXITED(end->status) &&
            WEXITSTATUS(end->status) == 1)
                (void) error_set(error, ERROR_THREAD_UNKNOWN, "Codex has no such thread");
        else if (end->closed_stdout)
                (void) error_set(error, ERROR_CODEX_CLOSED_STDOUT,
                                 "Codex closed its stdout before it began, and lived on");
        else if (turn->garbage > 0)
                (void) error_set(error, ERROR_CODEX_GARBAGE,
                                 "Codex wrote %llu lines that are no JSON, and ended %s",
                                 (unsigned long long) turn->garbage, how);
        else
                (void) error_set(error, ERROR_CODEX_DIED, "Codex ended %s before thread.started",
                                 how);
}

enum job_result turn_result(const struct turn *turn, const struct turn_end *end,
                            struct error *error)
{
        bool clean = (end->flags & WIRE_WORKER_HAS_STATUS) && WIFEXITED(end->status) &&
                     WEXITSTATUS(end->status) == 0;
        char how[64];

        memset(error, 0, sizeof *error);
        how_ended(end, how, sizeof how);
        if (end->flags & WIRE_WORKER_QUOTA) {
                (void) error_set(error, ERROR_OUTPUT_QUOTA,
                                 "the job's output reached job_output_max; the rest was discarded");
                return JOB_QUOTA;
        }
        if (turn->completed && clean)
                return JOB_OK;
        if (turn->failed) {
                (void) error_set(error, ERROR_TURN_FAILED, "%s",
                                 turn->message[0] ? turn->message : "Codex said turn.failed");
                return JOB_FAILED;
        }
        if (end->flags & WIRE_WORKER_ADOPT_FAILED) {
                (void) error_set(error, ERROR_LOST,
                                 "its keeper could not be reached after a restart; it was killed");
                return JOB_LOST;
        }
        if (!(end->flags & WIRE_WORKER_HAS_STATUS)) {
                (void) error_set(error, ERROR_LOST, "its keeper died first%s",
                                 end->flags & WIRE_WORKER_UNKILLABLE
                                         ? "; a process that cannot be killed was abandoned"
                                         : "");
                return JOB_LOST;
        }
        if (!turn->thread_started)
                never_began(turn, end, how, error);
        else if (end->closed_stdout)
                (void) error_set(error, ERROR_CODEX_CLOSED_STDOUT,
                                 "Codex closed its stdout in mid-turn, and lived on");
        else
                (void) error_set(error, ERROR_CODEX_EXIT, "Codex ended %s %s", how,
                                 turn->completed ? "after turn.completed" : "in mid-turn");
        return JOB_FAILED;
}
