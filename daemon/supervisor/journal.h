/* Which record with which fields (DESIGN of the journal: report.h, the catalog). Only numbers,
 * words of our own and names that were checked: never a prompt, an item's text, a command or an
 * environment. */
#pragma once

#include "codex-exec.h"
#include "report.h"
#include "task.h"

void journal_ready(struct supervisor *sup);
void journal_rejected(struct supervisor *sup, const struct request *request, uid_t peer,
                      const struct error *error);
/* A record about a task that needs no more than the task's own fields. */
void journal_task(struct task *task, enum report_event event, const char *message);
void journal_queued(struct task *task);
void journal_started(struct task *task, const struct wire_started *started);
void journal_cancelling(struct task *task);
void journal_finished(struct task *task);
void journal_exited(struct task *task); /* its worker retired, or crashed */
/* An event that Codex wrote; tells nothing of kinds that have no record. */
void journal_line(struct task *task, const struct codex_line *line);
