/* What codexctl exits with. Interface: scripts branch on these numbers. */
#pragma once

enum exit_code {
        EXIT_OK = 0,
        EXIT_JOB_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_UNKNOWN_ID = 3, /* no such job, workspace or thread */
        EXIT_REJECTED = 4,   /* now; a later try may go well */
        EXIT_CANCELLED = 5,
        EXIT_DEADLINE = 6, /* or another limit in time */
        EXIT_UNREACHABLE = 7,
        EXIT_NOT_PERMITTED = 8, /* to this caller, or by the workspace's policy */
        EXIT_SIGNAL = 128,      /* + its number, where a signal ended Codex */
};

/* By an error's word ("thread-busy") or Varlink name ("io.codexd.ThreadBusy",
 * "org.varlink.service.MethodNotFound"); one that this build does not know is EXIT_JOB_FAILED. */
int exit_code_of_error(const char *name);
/* By a job's result, its error's word (may be NULL), and the signal that ended Codex (0: none). */
int exit_code_of_job(const char *result, const char *error, int signal);
