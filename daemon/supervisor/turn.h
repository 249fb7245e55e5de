/* One turn in the exec runner, folded from the lines that Codex wrote: how far it came, and, with
 * the way its process ended, what became of the job. No fd, no clock. */
#pragma once

#include "codex-exec.h"
#include "error.h"
#include "job.h"
#include "wire-launch.h"

struct turn {
        bool thread_started, turn_started, completed, failed;
        bool has_usage;
        struct codex_usage usage;
        uint64_t lines, garbage; /* events of the worker's; those that were no JSON object */
        char message[320];       /* of turn.failed, else of the last error */
};

void turn_line(struct turn *turn, const struct codex_line *line);
void turn_garbage(struct turn *turn);

struct turn_end {
        int status;              /* as wait(2) gives it */
        uint32_t flags;          /* WIRE_WORKER_* */
        bool closed_stdout;      /* stdout was closed well before it ended */
        const char *stderr_tail; /* NUL-terminated; "" if there was nothing */
};
/* How a job ends whose end nobody else had decided. `error` is ERROR_NONE for JOB_OK. */
enum job_result turn_result(const struct turn *turn, const struct turn_end *end,
                            struct error *error);
