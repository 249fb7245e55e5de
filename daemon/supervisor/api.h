/* The table of verbs: whom each is for is checked before its handler runs. A handler unpacks,
 * calls, packs: nothing else. */
#pragma once

#include "client.h"

/* Answers `call`, now or later. */
void api_dispatch(struct call *call);

/* Handlers, in api-*.c. 0: answered, or somebody will; negative: `err` is the answer. */
typedef int api_handler(struct call *call, json_t *parameters, struct error *err);
api_handler api_submit, api_attach, api_wait, api_cancel, api_get, api_list; /* api-jobs.c */
api_handler api_ping, api_stats, api_reload, api_drain, api_resume;          /* api-admin.c */
api_handler api_get_info, api_get_interface;                                 /* api-service.c */

/* Whom a method is for; -ENOENT for one that is not in the table. */
int api_access(const char *method, enum access *ret);
/* Calls of Drain that wait: whether nothing runs or waits any more. */
void api_drained(struct supervisor *sup);
