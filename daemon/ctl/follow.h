/* Following one job's events to its end: rendered for people or handed on as NDJSON. A connection
 * that breaks is made again from the event after the last one seen, for jobs outlive codexd's
 * restarts. Ctrl-C cancels the job once; a second one leaves it alone. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct follow_options {
        const char *socket;
        bool json, quiet, verbose;
        bool ours;      /* the job is the caller's to end: Ctrl-C cancels, its result is our exit */
        bool has_until; /* stop after event `until` */
        uint64_t from, until;
};

/* Submits and follows; takes `parameters`. Returns the exit code, having said what went wrong. */
int follow_submit(const struct follow_options *options, json_t *parameters);
int follow_job(const struct follow_options *options, uint64_t job);
