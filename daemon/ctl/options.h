/* What may stand on codexctl's command line after the verb: one table for all verbs, from which the
 * parser, the help and the completion's test read. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which verbs take an option. */
enum {
        VERB_RUN = 1 << 0,
        VERB_SUBMIT = 1 << 1,
        VERB_ATTACH = 1 << 2,
        VERB_LOGS = 1 << 3,
        VERB_WAIT = 1 << 4,
        VERB_CANCEL = 1 << 5,
        VERB_LIST = 1 << 6,
        VERB_SHOW = 1 << 7,
        VERB_STATS = 1 << 8,
        VERB_PING = 1 << 9,
        VERB_CHECK_CONFIG = 1 << 10,
        VERB_RELOAD = 1 << 11,
        VERB_DRAIN = 1 << 12,
        VERB_SHUTDOWN = 1 << 13,
        VERB_ALL = (1 << 14) - 1,
};

struct options {
        /* every verb */
        const char *socket;
        bool json, help;
        /* run, submit: NULL, -1 and 0 leave it to the workspace's policy */
        const char *cwd, *thread, *model, *sandbox, *approval, *owner, *class, *file;
        int network, skip_git_repo_check; /* -1, 0, 1 */
        uint64_t deadline_s;
        /* run, attach, logs */
        bool quiet, verbose, follow;
        uint64_t from;
        /* list */
        const char *workspace, *state;
        uint64_t limit; /* 0: the daemon's */
        /* drain, shutdown */
        bool wait, kill;
        int64_t timeout_s; /* -1: none */
        const char *workers_cgroup;
};

void options_init(struct options *options);
/* Parses argv[1..] (argv[0] is the verb) for one verb; options and operands may be mixed, "--" ends
 * the options. Operands are moved to the end: *ret_first is the first one's index. 0, or -EINVAL
 * having said on stderr what is wrong. */
int options_parse(struct options *options, unsigned verb, int argc, char **argv, int *ret_first);
/* A line for each option of the verb. */
void options_help(unsigned verb, FILE *out);
/* A number in decimal, whole and at most `max`: 0 or -EINVAL. */
int options_number(const char *text, uint64_t max, uint64_t *ret);

/* The parameters of Submit; NULL: no memory. */
json_t *options_submit(const struct options *options, const char *workspace, const char *prompt,
                       size_t prompt_n);
