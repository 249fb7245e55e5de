/* Rules to policies: who inherits from whom. And what to tell people about rules. */
#include "config-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct config_rule *config_find(const struct config *config, const char *workspace)
{
        size_t low = config->npatterns, high = config->nrules;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int r = strcmp(workspace, config->rules[middle].workspace);

                if (r == 0)
                        return &config->rules[middle];
                if (r < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

char *config_expand(const struct config_rule *pattern, const char *workspace)
{
        const char *found = strstr(pattern->path, CONFIG_PLACEHOLDER);
        char *path;

        if (asprintf(&path, "%.*s%s%s", (int) (found - pattern->path), pattern->path, workspace,
                     found + strlen(CONFIG_PLACEHOLDER)) < 0)
                return NULL;
        return path;
}

int config_pattern_of(const struct config *config, const struct config_rule *exact,
                      const struct config_rule **ret)
{
        const struct config_rule *found = NULL;
        int count = 0;

        for (size_t i = 0; i < config->npatterns; i++) {
                _cleanup_free_ char *path = config_expand(&config->rules[i], exact->workspace);

                if (!path)
                        return -ENOMEM;
                if (strcmp(path, exact->path) == 0) {
                        found = &config->rules[i];
                        count++;
                }
        }
        *ret = found;
        return count;
}

static int put_layer(const struct config_layer *layer, struct policy *policy, struct error *err)
{
        struct conf_where where = {.file = "built-in"};
        int r;

        if (!layer->keys)
                return 0;
        r = conf_read(&where, layer->keys, &config_policy_table, policy, err);
        for (size_t i = 0; i < _POLICY_KEY_MAX && r == 0; i++)
                if (layer->origins[i].file)
                        policy->origins[i] = layer->origins[i];
        return r;
}

int config_policy(const struct config *config, const char *workspace, const char *directory,
                  const struct config_rule *pattern, const struct config_rule *exact,
                  struct policy **ret, struct error *err)
{
        _cleanup_(policy_freep) struct policy *policy = calloc(1, sizeof *policy);
        int r;

        if (!policy || conf_defaults(&config_policy_table, policy) < 0)
                return error_set(err, ERROR_NO_MEMORY, "making a policy: no memory");
        for (size_t i = 0; i < _POLICY_KEY_MAX; i++)
                policy->origins[i].file = "built-in";
        r = put_layer(&config->defaults, policy, err);
        if (r == 0 && pattern)
                r = put_layer(&pattern->layer, policy, err);
        if (r == 0 && exact)
                r = put_layer(&exact->layer, policy, err);
        if (r < 0)
                return r;
        policy->allow_external_sandbox = config->values.settings.allow_external_sandbox;
        (void) snprintf(policy->workspace, sizeof policy->workspace, "%s", workspace);
        policy->directory = strdup(directory);
        if (!policy->directory)
                return error_set(err, ERROR_NO_MEMORY, "making a policy: no memory");
        *ret = TAKE_PTR(policy);
        return 0;
}

/* ---- for people ---- */

size_t config_rules(const struct config *config)
{
        return config->nrules;
}

void config_rule_get(const struct config *config, size_t i, struct config_rule_info *ret)
{
        const struct config_rule *rule = &config->rules[i];

        *ret = (struct config_rule_info){rule->workspace, rule->path, rule->file, rule->line};
}

struct warner {
        void (*warn)(void *data, const char *text);
        void *data;
        int count;
};

static void warn_origin(struct warner *warner, const struct policy *policy, enum policy_key key,
                        const char *workspace, const char *text)
{
        const struct policy_origin *origin = &policy->origins[key];
        char line[600];

        (void) snprintf(line, sizeof line, "%s:%u: %s%s%s", origin->file, origin->line,
                        workspace ? workspace : "", workspace ? ": " : "", text);
        warner->warn(warner->data, line);
        warner->count++;
}

static int warn_policy(struct warner *warner, const struct config *config, const char *name,
                       const struct config_rule *pattern, const struct config_rule *exact)
{
        const struct config_rule *rule = exact ? exact : pattern;
        _cleanup_(policy_freep) struct policy *policy = NULL;
        const char *what = exact ? exact->workspace : pattern->path;
        struct error err = {0};
        char line[700];

        if (config_policy(config, name, "/", pattern, exact, &policy, &err) < 0)
                return -ENOMEM;
        if (policy_enforceable(policy, &err) < 0) {
                (void) snprintf(line, sizeof line, "%s:%u: jobs in %s will be refused: %s",
                                rule->file, rule->line, what, err.message);
                warner->warn(warner->data, line);
                warner->count++;
        }
        if (!policy->network.enabled &&
            (policy->network.allowed_domains[0] || policy->network.denied_domains[0] ||
             policy->network.allow_unix_sockets[0]))
                warn_origin(warner, policy, POLICY_KEY_NETWORK, what,
                            "network: what it lists has no effect while network.enabled is false");
        return 0;
}

int config_warnings(const struct config *config, void (*warn)(void *data, const char *text),
                    void *data)
{
        struct warner warner = {warn, data, 0};
        int r = 0;

        if (config->nrules == 0) {
                warn(data, "no rule in workspaces.d: no workspace can be used");
                warner.count++;
        }
        if (!config->values.settings.model_base_url) {
                warn(data, "no model.base_url in codexd.json: Codex will find no model");
                warner.count++;
        }
        if (config->values.settings.allow_external_sandbox) {
                warn(data, "allow_external_sandbox in codexd.json: this build refuses the mode all "
                           "the same");
                warner.count++;
        }
        for (size_t i = 0; i < config->nrules && r >= 0; i++) {
                const struct config_rule *rule = &config->rules[i];

                if (!rule->workspace) {
                        r = warn_policy(&warner, config, "workspace", rule, NULL);
                } else if (rule->path) {
                        const struct config_rule *pattern;

                        r = config_pattern_of(config, rule, &pattern);
                        if (r >= 0)
                                r = warn_policy(&warner, config, rule->workspace, pattern, rule);
                } else {
                        for (size_t k = 0; k < config->npatterns && r >= 0; k++)
                                r = warn_policy(&warner, config, rule->workspace, &config->rules[k],
                                                rule);
                }
        }
        return r < 0 ? r : warner.count;
}
