#include "policy.h"
#include "config-internal.h"

#include <errno.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>

struct policy *policy_free(struct policy *policy)
{
        if (!policy)
                return NULL;
        conf_release(&config_policy_table, policy);
        free(policy->directory);
        free(policy);
        return NULL;
}

/* ---- the digest ---- */

static void digest_put(void *data, const void *bytes, size_t n)
{
        SHA256Update(data, bytes, n);
}

/* Over every row of the table, so that a key added there cannot be forgotten here. What a key means
 * may change with the version in the first word. */
static void policy_digest(struct policy *policy)
{
        static const char version[] = "codexd policy 1";
        SHA2_CTX context;

        SHA256Init(&context);
        SHA256Update(&context, (const uint8_t *) version, sizeof version); /* NULs part them */
        SHA256Update(&context, (const uint8_t *) policy->workspace, strlen(policy->workspace) + 1);
        SHA256Update(&context, (const uint8_t *) policy->directory, strlen(policy->directory) + 1);
        conf_serialise(&config_policy_table, policy, digest_put, &context);
        _Static_assert(sizeof policy->digest == SHA256_DIGEST_LENGTH, "SHA-256");
        SHA256Final(policy->digest, &context);
}

/* ---- candidates ---- */

static int add_candidate(const struct config *config, const char *workspace, const char *directory,
                         const struct config_rule *pattern, const struct config_rule *exact,
                         struct policy **ret, struct error *err)
{
        int r = config_policy(config, workspace, directory, pattern, exact, ret, err);

        if (r == 0)
                policy_digest(*ret);
        return r;
}

/* Of an exact rule with a directory of its own. */
static int only_candidate(const struct config *config, const struct config_rule *exact,
                          struct policy **ret, struct error *err)
{
        const struct config_rule *pattern;
        int r = config_pattern_of(config, exact, &pattern);

        if (r < 0)
                return error_set(err, ERROR_NO_MEMORY, "making a policy: no memory");
        r = add_candidate(config, exact->workspace, exact->path, pattern, exact, ret, err);
        return r < 0 ? r : 1;
}

int policy_candidates(const struct config *config, const char *workspace,
                      struct policy *ret[POLICY_CANDIDATES_MAX], struct error *err)
{
        const struct config_rule *exact;
        int n = 0, r = 0;

        if (!name_is_workspace(workspace))
                return error_set_key(
                        err, ERROR_BAD_REQUEST, "workspace",
                        "workspace: is no workspace's name; must be a letter, digit or "
                        "\"_\", then letters, digits, \".\", \"_\" and \"-\", at most %d",
                        NAME_WORKSPACE_MAX);
        exact = config_find(config, workspace);
        if (exact && exact->path)
                return only_candidate(config, exact, ret, err);

        for (size_t i = 0; i < config->npatterns && r == 0; i++) {
                _cleanup_free_ char *path = config_expand(&config->rules[i], workspace);

                r = path ? add_candidate(config, workspace, path, &config->rules[i], exact, &ret[n],
                                         err)
                         : error_set(err, ERROR_NO_MEMORY, "making a policy: no memory");
                n += r == 0;
        }
        if (r < 0) {
                while (n > 0) {
                        n--;
                        ret[n] = policy_free(ret[n]);
                }
                return r;
        }
        if (n == 0)
                return error_set_key(err, ERROR_NO_SUCH_WORKSPACE, "workspace",
                                     "no rule is for a workspace %s", workspace);
        return n;
}

/* ---- narrowing ---- */

static int refused(struct error *err, const char *key, const char *asked, const char *allowed)
{
        return error_set_key(err, ERROR_POLICY_REFUSED, key,
                             "%s: the job asks for %s, the workspace's policy says %s", key, asked,
                             allowed);
}

static int bad_wish(struct error *err, const char *key, const char *allowed)
{
        return error_set_key(err, ERROR_BAD_REQUEST, key, "%s: is no such value; must be %s", key,
                             allowed);
}

static int narrow_mode(const struct policy *policy, uint32_t wish, enum policy_sandbox_mode *ret,
                       struct error *err)
{
        enum policy_sandbox_mode mode;

        if (wish > _POLICY_SANDBOX_MODE_MAX)
                return bad_wish(err, "sandbox_mode", "the name of a mode");
        mode = wish > 0 ? (enum policy_sandbox_mode)(wish - 1) : policy->sandbox_mode;
        if (mode == POLICY_EXTERNAL_SANDBOX && !policy->allow_external_sandbox)
                return refused(
                        err, "sandbox_mode", "external-sandbox",
                        "nothing of it, as \"allow_external_sandbox\" in codexd.json is false");
        if (mode != POLICY_EXTERNAL_SANDBOX && mode > policy->sandbox_mode)
                return refused(err, "sandbox_mode", policy_sandbox_mode_name(mode),
                               policy_sandbox_mode_name(policy->sandbox_mode));
        *ret = mode;
        return 0;
}

/* never asks nobody, untrusted asks most: asking more often is narrower. */
static int narrow_approval(const struct policy *policy, uint32_t wish, enum policy_approval *ret,
                           struct error *err)
{
        enum policy_approval approval;

        if (wish > _POLICY_APPROVAL_MAX)
                return bad_wish(err, "approval_policy", "the name of an approval policy");
        approval = wish > 0 ? (enum policy_approval)(wish - 1) : policy->approval_policy;
        if (approval < policy->approval_policy)
                return refused(err, "approval_policy", policy_approval_name(approval),
                               policy_approval_name(policy->approval_policy));
        *ret = approval;
        return 0;
}

static int narrow_bool(bool policy, uint32_t wish, const char *key, bool *ret, struct error *err)
{
        if (wish > 2)
                return bad_wish(err, key, "true or false");
        if (wish == 2 && !policy)
                return refused(err, key, "true", "false");
        *ret = policy && wish != 1;
        return 0;
}

int policy_narrow(struct policy *policy, const struct wire_wish *wish, struct error *err)
{
        enum policy_sandbox_mode mode = POLICY_READ_ONLY;
        enum policy_approval approval = POLICY_APPROVAL_UNTRUSTED;
        bool network = false, skip = false;
        char *model;
        int r;

        r = narrow_mode(policy, wish->sandbox_mode, &mode, err);
        if (r < 0)
                return r;
        r = narrow_approval(policy, wish->approval_policy, &approval, err);
        if (r < 0)
                return r;
        r = narrow_bool(policy->network_access, wish->network_access, "network_access", &network,
                        err);
        if (r < 0)
                return r;
        r = narrow_bool(policy->skip_git_repo_check, wish->skip_git_repo_check,
                        "skip_git_repo_check", &skip, err);
        if (r < 0)
                return r;
        if (wish->model[0]) {
                if (strnlen(wish->model, sizeof wish->model) == sizeof wish->model ||
                    !name_is_model(wish->model))
                        return bad_wish(err, "model", "a model's name");
                model = strdup(wish->model);
                if (!model)
                        return error_set(err, ERROR_NO_MEMORY, "narrowing a policy: no memory");
                free(policy->model);
                policy->model = model;
        }
        policy->sandbox_mode = mode;
        policy->approval_policy = approval;
        policy->network_access = network;
        policy->skip_git_repo_check = skip;
        policy_digest(policy);
        return 0;
}

/* ---- what this build can do ---- */

static int unsupported(struct error *err, const char *key, const char *what, const char *way_out)
{
        return error_set_key(err, ERROR_POLICY_UNSUPPORTED, key,
                             "%s: %s this build yet, and nothing is run weaker than asked; %s", key,
                             what, way_out);
}

int policy_enforceable(const struct policy *policy, struct error *err)
{
        switch (policy->sandbox_mode) {
        case POLICY_DANGER_FULL_ACCESS:
                break;
        case POLICY_READ_ONLY:
                return unsupported(err, "sandbox_mode", "read-only is not enforced by",
                                   "\"danger-full-access\" in the workspace's rule runs jobs with "
                                   "what its user may do on this host");
        case POLICY_WORKSPACE_WRITE:
                return unsupported(err, "sandbox_mode", "workspace-write is not enforced by",
                                   "\"danger-full-access\" in the workspace's rule runs jobs with "
                                   "what its user may do on this host");
        case POLICY_EXTERNAL_SANDBOX:
        default:
                return unsupported(err, "sandbox_mode", "external-sandbox is not carried out by",
                                   "ask for \"danger-full-access\"");
        }
        if (policy->approval_policy != POLICY_APPROVAL_NEVER)
                return error_set_key(err, ERROR_POLICY_UNSUPPORTED, "approval_policy",
                                     "approval_policy: with \"%s\" Codex would ask, and nobody is "
                                     "there to answer; set \"never\"",
                                     policy_approval_name(policy->approval_policy));
        if (!policy->network_access)
                return unsupported(err, "network_access", "a job cannot be kept off the network by",
                                   "true in the workspace's rule gives it the host's");
        if (policy->network.enabled)
                return unsupported(err, "network.enabled", "the proxy is not carried out by",
                                   "false gives jobs the host's network");
        if (strcmp(policy->mcp_servers, "{}") != 0)
                return unsupported(err, "mcp_servers", "they are not started by", "leave it empty");
        if (policy->developer_instructions[0])
                return unsupported(err, "developer_instructions", "they are not passed on by",
                                   "leave it empty");
        if (policy->limits.memory_max > 0)
                return unsupported(err, "limits.memory_max", "it is not set by", "leave it at 0");
        if (policy->limits.pids_max > 0)
                return unsupported(err, "limits.pids_max", "it is not set by", "leave it at 0");
        if (policy->limits.cpu_weight > 0)
                return unsupported(err, "limits.cpu_weight", "it is not set by", "leave it at 0");
        return 0;
}

/* ---- for people ---- */

const char *policy_key_name(enum policy_key key)
{
        return (unsigned) key < _POLICY_KEY_MAX ? config_policy_table.rows[key].key : "invalid";
}

char *policy_key_value(const struct policy *policy, enum policy_key key)
{
        json_t *value = conf_value(&config_policy_table.rows[key], policy);
        char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

        json_decref(value);
        return text;
}

bool policy_glob_match(const char *pattern, const char *string)
{
        const char *star = NULL, *again = NULL;

        /* On a mismatch only the last star needs to take one more: linear in each star, and a '/'
         * or a leading '.' is nothing special, as in fnmatch(3) without flags. */
        while (*string) {
                if (*pattern == '*') {
                        star = pattern++;
                        again = string;
                } else if (*pattern == '?' || *pattern == *string) {
                        pattern++;
                        string++;
                } else if (star) {
                        pattern = star + 1;
                        string = ++again;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}
