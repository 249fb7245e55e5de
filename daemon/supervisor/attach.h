/* A client that follows a job: its own reader of the job's files, as fast as the client reads.
 * Memory is bounded whatever the size of an event, and a client that does not read costs the job
 * nothing. */
#pragma once

#include "client.h"
#include "task.h"

/* Streams the job's events from `from_seq` on as replies to `call`; ends it after job.finished, or,
 * if the call did not ask for more, after the one event. Always answers. */
void attach_begin(struct call *call, struct task *task, uint64_t from_seq);
