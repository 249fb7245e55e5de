/* From a Submit to a job that is durable and in the queue. */
#pragma once

#include "client.h"
#include "task.h"

/* Handles a Submit whose parameters were read; answers `call` sooner or later, and goes on to
 * stream the job if it asked for more. `prompt` is borrowed from the call. Takes nothing. */
int submit_begin(struct call *call, const struct request *request, const char *prompt,
                 size_t prompt_size, struct error *err);
