/* The verbs of codexctl. Each gets its parsed options and its operands, and returns the exit code.
 */
#pragma once

#include "options.h"

#include <stdint.h>

#define VERB_CONFIG_DIR "/etc/codexd" /* the launcher's default too */

/* verbs-job.c */
int verb_run(const struct options *options, int n, char **operands);
int verb_submit(const struct options *options, int n, char **operands);
int verb_attach(const struct options *options, int n, char **operands);
int verb_logs(const struct options *options, int n, char **operands);
int verb_wait(const struct options *options, int n, char **operands);
int verb_cancel(const struct options *options, int n, char **operands);
/* verbs-look.c */
int verb_list(const struct options *options, int n, char **operands);
int verb_show(const struct options *options, int n, char **operands);
int verb_stats(const struct options *options, int n, char **operands);
int verb_ping(const struct options *options, int n, char **operands);
/* verbs-admin.c */
int verb_check_config(const struct options *options, int n, char **operands);
int verb_reload(const struct options *options, int n, char **operands);
int verb_drain(const struct options *options, int n, char **operands);
int verb_shutdown(const struct options *options, int n, char **operands);

/* Shared by them (call.c). */
/* One call on a connection of its own. 0 and the answer (NULL to drop it), printed as it came if
 * options->json; else the exit code, having said what went wrong. Takes `parameters`. */
int verb_call(const struct options *options, const char *method, json_t *parameters, json_t **ret);
/* A job id among the operands: 0, or EXIT_USAGE having said so. */
int verb_job_id(const char *text, uint64_t *ret);
