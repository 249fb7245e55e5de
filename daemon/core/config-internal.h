/* What config*.c and policy.c share: tables, rules, and how a policy is built of them. */
#pragma once

#include "conf.h"
#include "config.h"
#include "policy.h"

extern const struct conf_table config_codexd_table; /* of codexd.json, into struct config_values */
extern const struct conf_table config_policy_table; /* the policy keys, into struct policy */
extern const struct conf_table config_rule_table;   /* of a rule, into struct config_rule_values */

struct config_values { /* codexd.json */
        struct settings settings;
        struct policy defaults;
};

struct config_rule_values {
        struct policy policy; /* first: the policy keys' offsets count from here */
        char *match, *workspace, *directory;
};

#define CONFIG_PLACEHOLDER "{workspace}"
#define CONFIG_FILES_MAX   4096
#define CONFIG_RULES_MAX   16384

struct config_layer {
        json_t *keys; /* validated; only policy keys are left in it */
        struct policy_origin origins[_POLICY_KEY_MAX]; /* file NULL: not set here */
};

struct config_rule {
        char *workspace; /* NULL: a pattern */
        char *path;      /* the pattern's `match`, or the `directory`, which may be NULL */
        const char *file;
        unsigned line;
        struct config_layer layer;
};

struct config {
        struct config_values values;
        struct config_layer defaults;
        char **files; /* their names */
        size_t nfiles;
        struct config_rule *rules; /* all, patterns first, then by name */
        size_t nrules, npatterns;
};

/* One file of a bundle: text and name stand in it, the name NUL-terminated. */
struct config_file {
        const char *name, *text;
        size_t n;
};
/* Checks a bundle's form and gives its files (malloc'ed array, codexd.json first). */
int config_bundle_parse(const void *bundle, size_t n, struct config_file **ret, size_t *ret_n,
                        struct error *err);

/* The exact rule for a name, or NULL. */
const struct config_rule *config_find(const struct config *config, const char *workspace);
/* The pattern's path with the name put in; malloc'ed, NULL without memory. */
char *config_expand(const struct config_rule *pattern, const char *workspace);
/* The pattern that gives an exact rule's own directory, or NULL; returns how many there are. */
int config_pattern_of(const struct config *config, const struct config_rule *exact,
                      const struct config_rule **ret);
/* Layers the policy for a directory; pattern and exact may be NULL. *err is set. */
int config_policy(const struct config *config, const char *workspace, const char *directory,
                  const struct config_rule *pattern, const struct config_rule *exact,
                  struct policy **ret, struct error *err);
