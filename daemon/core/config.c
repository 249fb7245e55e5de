/* From the bundle's files to settings and rules. Everything is checked once, here: what policy.c
 * builds of the rules later can only fail for want of memory. */
#include "config-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct error *err)
{
        return error_set(err, ERROR_NO_MEMORY, "reading configuration: no memory");
}

static void rule_done(struct config_rule *rule)
{
        free(rule->workspace);
        free(rule->path);
        json_decref(rule->layer.keys);
}

struct config *config_free(struct config *config)
{
        if (!config)
                return NULL;
        for (size_t i = 0; i < config->nrules; i++)
                rule_done(&config->rules[i]);
        free(config->rules);
        for (size_t i = 0; i < config->nfiles; i++)
                free(config->files[i]);
        free(config->files);
        json_decref(config->defaults.keys);
        conf_release(&config_codexd_table, &config->values);
        free(config);
        return NULL;
}

const struct settings *config_settings(const struct config *config)
{
        return &config->values.settings;
}

/* Where each policy key of a validated object stands. */
static void find_origins(struct config_layer *layer, const char *file, struct conf_place object)
{
        for (size_t i = 0; i < _POLICY_KEY_MAX; i++) {
                const char *key = config_policy_table.rows[i].key;
                struct conf_place place;

                if (json_object_get(layer->keys, key) &&
                    conf_place_member(object, key, &place) == 0)
                        layer->origins[i] = (struct policy_origin){file, place.line};
        }
}

static int read_codexd(struct config *config, const char *name, const struct config_file *file,
                       struct error *err)
{
        struct conf_where where = {.file = name, .place = conf_place_root(file->text, file->n)};
        struct conf_place place;
        json_t *json = NULL;
        int r;

        r = conf_parse(name, file->text, file->n, &json, err);
        if (r < 0)
                return r;
        r = conf_read(&where, json, &config_codexd_table, &config->values, err);
        if (r == 0) {
                config->defaults.keys = json_incref(json_object_get(json, "defaults"));
                if (conf_place_member(where.place, "defaults", &place) == 0)
                        find_origins(&config->defaults, name, place);
        }
        json_decref(json);
        return r;
}

static int check_kind(const struct conf_where *where, const struct config_rule_values *values,
                      struct error *err)
{
        struct conf_where match = {.up = where, .key = "match"},
                          directory = {.up = where, .key = "directory"};

        if (!values->match && !values->workspace)
                return conf_fail(where, err,
                                 "a rule for nothing; must have \"match\" or "
                                 "\"workspace\"");
        if (values->match && values->workspace)
                return conf_fail(&match, err,
                                 "stands beside \"workspace\"; must be one of the two");
        if (values->match && values->directory)
                return conf_fail(&directory, err,
                                 "stands beside \"match\", which says it already; "
                                 "must go with \"workspace\"");
        return 0;
}

static int add_rule(struct config *config, const char *name, struct conf_place place, json_t *json,
                    struct error *err)
{
        struct conf_where where = {.file = name, .place = place};
        struct config_rule_values values = {0};
        struct config_rule *rules, *rule;
        int r;

        r = conf_read(&where, json, &config_rule_table, &values, err);
        if (r == 0)
                r = check_kind(&where, &values, err);
        if (r == 0 && config->nrules == CONFIG_RULES_MAX)
                r = conf_fail(&where, err, "one rule too many; all files together may have %d",
                              CONFIG_RULES_MAX);
        if (r < 0)
                goto done;
        if ((config->nrules & (config->nrules - 1)) == 0) { /* room for the next power of two */
                rules = reallocarray(config->rules, MAX(config->nrules * 2, 1u), sizeof *rules);
                if (!rules) {
                        r = no_memory(err);
                        goto done;
                }
                config->rules = rules;
        }
        rule = &config->rules[config->nrules++];
        *rule = (struct config_rule){
                .workspace = TAKE_PTR(values.workspace),
                .path = values.match ? TAKE_PTR(values.match) : TAKE_PTR(values.directory),
                .file = name,
                .line = place.line,
                .layer.keys = json_incref(json),
        };
        for (size_t i = 0; i < config_rule_table.n; i++)
                (void) json_object_del(json, config_rule_table.rows[i].key);
        find_origins(&rule->layer, name, place);
done:
        conf_release(&config_rule_table, &values);
        return r;
}

static int read_rules(struct config *config, const char *name, const struct config_file *file,
                      struct error *err)
{
        struct conf_place root = conf_place_root(file->text, file->n), place = root, walk;
        json_t *json = NULL;
        int r;

        r = conf_parse(name, file->text, file->n, &json, err);
        if (r < 0)
                return r;
        if (json_is_array(json)) {
                walk = conf_place_enter(root);
                for (size_t i = 0; i < json_array_size(json) && r == 0; i++)
                        if (conf_place_next(&walk, &place) == 0)
                                r = add_rule(config, name, place, json_array_get(json, i), err);
                        else
                                r = error_set(err, ERROR_INTERNAL, "%.150s: rule %zu is nowhere",
                                              name, i);
        } else {
                r = add_rule(config, name, root, json, err);
        }
        json_decref(json);
        return r;
}

/* ---- all rules together ---- */

/* Patterns first; equal ones in the order of the files, so that the later one is at fault. */
static int compare_rules(const void *a, const void *b)
{
        const struct config_rule *x = a, *y = b;
        int r;

        if (!x->workspace != !y->workspace)
                return x->workspace ? 1 : -1;
        r = x->workspace ? strcmp(x->workspace, y->workspace) : strcmp(x->path, y->path);
        if (r == 0)
                r = strcmp(x->file, y->file);
        return r != 0 ? r : (x->line > y->line) - (x->line < y->line);
}

static int rule_fail(const struct config_rule *rule, struct error *err, const char *key,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int rule_fail(const struct config_rule *rule, struct error *err, const char *key,
                     const char *fmt, ...)
{
        struct conf_where where = {.file = rule->file, .place = {.line = rule->line}},
                          member = {.up = &where, .key = key};
        char text[sizeof err->message];
        va_list ap;

        for (size_t i = 0; i < _POLICY_KEY_MAX; i++)
                if (strcmp(config_policy_table.rows[i].key, key) == 0 &&
                    rule->layer.origins[i].line > 0)
                        where.place.line = rule->layer.origins[i].line;
        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        return conf_fail(&member, err, "%s", text);
}

static int check_twice(const struct config *config, struct error *err)
{
        for (size_t i = 1; i < config->nrules; i++) {
                const struct config_rule *a = &config->rules[i - 1], *b = &config->rules[i];
                const char *key = b->workspace ? "workspace" : "match";

                if (!a->workspace != !b->workspace)
                        continue;
                if (strcmp(b->workspace ? a->workspace : a->path,
                           b->workspace ? b->workspace : b->path) == 0)
                        return rule_fail(b, err, key,
                                         "has a rule already, at %.100s:%u; may have "
                                         "one",
                                         a->file, a->line);
        }
        if (config->npatterns > POLICY_CANDIDATES_MAX)
                return rule_fail(&config->rules[POLICY_CANDIDATES_MAX], err, "match",
                                 "one pattern too many; there may be %d", POLICY_CANDIDATES_MAX);
        return 0;
}

/* What only the layers together can get wrong. */
static int check_policy(const struct config *config, const struct config_rule *pattern,
                        const struct config_rule *exact, struct error *err)
{
        const struct config_rule *rule = exact ? exact : pattern;
        _cleanup_(policy_freep) struct policy *policy = NULL;
        int r;

        r = config_policy(config, exact ? exact->workspace : "workspace", "/", pattern, exact,
                          &policy, err);
        if (r < 0)
                return r;
        if (policy->network.http_port == policy->network.socks_port)
                return rule_fail(rule, err, "network",
                                 "gives http_port and socks_port the same "
                                 "number; must be two");
        if (policy->user_pattern && strcmp(policy->user, "owner") != 0 &&
            !policy_glob_match(policy->user_pattern, policy->user))
                return rule_fail(rule, err, "user", "does not match user_pattern (%s:%u); must",
                                 policy->origins[POLICY_KEY_USER_PATTERN].file,
                                 policy->origins[POLICY_KEY_USER_PATTERN].line);
        return 0;
}

/* Whether the rule sets a key that check_policy() looks at. */
static bool is_checked(const struct config_rule *rule)
{
        return rule->layer.origins[POLICY_KEY_USER].file ||
               rule->layer.origins[POLICY_KEY_USER_PATTERN].file ||
               rule->layer.origins[POLICY_KEY_NETWORK].file;
}

static int check_exact(const struct config *config, const struct config_rule *exact,
                       struct error *err)
{
        const struct config_rule *pattern = NULL;
        int r = 0;

        if (exact->path) {
                r = config_pattern_of(config, exact, &pattern);
                if (r < 0)
                        return no_memory(err);
                if (r > 1)
                        return rule_fail(exact, err, "directory",
                                         "is what %d patterns give; must be "
                                         "one's, to inherit from",
                                         r);
                return is_checked(exact) ? check_policy(config, pattern, exact, err) : 0;
        }
        if (config->npatterns == 0)
                return rule_fail(exact, err, "workspace",
                                 "has no directory; must have \"directory\", "
                                 "or a rule with \"match\" beside it");
        for (size_t i = 0; i < config->npatterns && is_checked(exact) && r == 0; i++)
                r = check_policy(config, &config->rules[i], exact, err);
        return r;
}

static int check_rules(const struct config *config, struct error *err)
{
        int r = 0;

        for (size_t i = 0; i < config->nrules && r == 0; i++)
                r = config->rules[i].workspace ? check_exact(config, &config->rules[i], err)
                                               : check_policy(config, &config->rules[i], NULL, err);
        return r;
}

static int check_defaults(const struct config *config, struct error *err)
{
        struct config_rule rule = {.file = config->files[0], .line = 1, .layer = config->defaults};
        int r;

        rule.layer.keys = NULL; /* they are in every policy already */
        r = check_policy(config, &rule, NULL, err);
        return error_prefix(r < 0 ? err : NULL, r, "defaults");
}

static int read_files(struct config *config, const struct config_file *files, size_t n,
                      struct error *err)
{
        int r = 0;

        config->files = calloc(n, sizeof *config->files);
        if (!config->files)
                return no_memory(err);
        for (size_t i = 0; i < n && r == 0; i++) {
                config->files[i] = strdup(files[i].name);
                if (!config->files[i])
                        return no_memory(err);
                config->nfiles++;
                r = i == 0 ? read_codexd(config, config->files[i], &files[i], err)
                           : read_rules(config, config->files[i], &files[i], err);
        }
        return r;
}

int config_new(struct config **ret, const void *bundle, size_t n, struct error *err)
{
        _cleanup_(config_freep) struct config *config = NULL;
        struct config_file *files;
        size_t nfiles;
        int r;

        config = calloc(1, sizeof *config);
        if (!config || conf_defaults(&config_codexd_table, &config->values) < 0)
                return no_memory(err);
        r = config_bundle_parse(bundle, n, &files, &nfiles, err);
        if (r < 0)
                return r;
        r = read_files(config, files, nfiles, err);
        free(files);
        if (r < 0)
                return r;

        if (config->nrules > 0)
                qsort(config->rules, config->nrules, sizeof *config->rules, compare_rules);
        while (config->npatterns < config->nrules && !config->rules[config->npatterns].workspace)
                config->npatterns++;
        r = check_twice(config, err);
        if (r == 0)
                r = check_defaults(config, err);
        if (r == 0)
                r = check_rules(config, err);
        if (r == 0)
                *ret = TAKE_PTR(config);
        return r;
}
