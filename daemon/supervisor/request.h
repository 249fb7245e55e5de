/* What a Submit asks for, checked by itself: no policy, no clock, no file. Also the form in which
 * it is kept in a job's directory (job.json), from where it is read after a restart. */
#pragma once

#include "error.h"
#include "job.h"
#include "wire-launch.h"

#include <jansson.h>

#define REQUEST_FRAME_MAX    (8u << 20)
#define REQUEST_PROMPT_MAX   1048576u /* Unicode characters: Codex takes no more */
#define REQUEST_OWNER_MAX    64
#define REQUEST_DEADLINE_MAX 86400u

struct request {
        char workspace[NAME_WORKSPACE_MAX + 1];
        char cwd[WIRE_CWD_MAX];               /* as given: relative to the workspace, or absolute */
        char thread_id[NAME_UUID_LENGTH + 1]; /* "": a new thread */
        char owner[REQUEST_OWNER_MAX + 1];
        enum job_class class;
        uint32_t deadline_s; /* 0: none of its own */
        struct wire_wish wish;
};

/* Reads the parameters of Submit; `owner` is used where none is given. The prompt stays in
 * `parameters`: *ret_prompt is borrowed. Errors name the key. */
int request_parse(struct request *ret, json_t *parameters, const char *owner,
                  const char **ret_prompt, size_t *ret_prompt_size, struct error *err);
/* Makes an absolute cwd relative to `directory` (the workspace's), or refuses it: on success what
 * is there passes name_is_relative_path(). */
int request_set_cwd(struct request *request, const char *directory, struct error *err);

/* The members of job.json, without the prompt; NULL: no memory. */
json_t *request_to_json(const struct request *request);
int request_from_json(struct request *ret, json_t *json, struct error *err);
