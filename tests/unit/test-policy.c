/* Which policy a workspace gets, what a job may make of it, and what this build refuses to run. */
#include "conf-bundle.h"
#include "conf-check.h"
#include "config-internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static struct made made;
static struct policy *found[POLICY_CANDIDATES_MAX];

static struct config *load(const char *codexd, const char *one, const char *two)
{
        struct config *config = NULL;
        struct error err = {0};

        made_bundle(&made, codexd, one, two);
        CHECK_OK(config_new(&config, made.bytes, made.n, &err), err);
        memset(&made, 'x', sizeof made); /* it need not outlive this */
        return config;
}

static int candidates(const struct config *config, const char *workspace, struct error *err)
{
        for (size_t i = 0; i < N_ELEMENTS(found); i++)
                found[i] = policy_free(found[i]);
        memset(err, 0, sizeof *err);
        return policy_candidates(config, workspace, found, err);
}

static void origin(enum policy_key key, const char *file, unsigned line)
{
        CHECK(policy_key_name(key), strcmp(found[0]->origins[key].file, file) == 0);
        assert_int_equal(found[0]->origins[key].line, line);
}

/* ---- candidates and layers ---- */

static void test_layers_inherit_key_by_key(void **state)
{
        _cleanup_(config_freep) struct config *config = load(
                "{\"defaults\": {\n\"env\": [\"LANG\"], \"max_workers\": 3,\n"
                "\"network\": {\"denied_domains\": [\"bad.org\"]}}}",
                "{\"match\": \"/srv/{workspace}/user\",\n\"sandbox_mode\": \"workspace-write\",\n"
                "\"network\": {\"enabled\": true, \"http_port\": 9}, \"max_workers\": 4}",
                "[{\"workspace\": \"a.org\",\n \"max_workers\": 5,\n"
                " \"network\": {\"allowed_domains\": [\"*\"]}, \"env\": []}]");
        struct error err;

        assert_int_equal(candidates(config, "b.org", &err), 1);
        assert_string_equal(found[0]->directory, "/srv/b.org/user");
        assert_string_equal(found[0]->workspace, "b.org");
        assert_string_equal(found[0]->env[0], "LANG");
        assert_int_equal(found[0]->max_workers, 4);
        assert_true(found[0]->network.enabled && found[0]->network.http_port == 9);
        assert_string_equal(found[0]->network.denied_domains[0], "bad.org");
        assert_int_equal(found[0]->sandbox_mode, POLICY_WORKSPACE_WRITE);
        assert_int_equal(found[0]->approval_policy, POLICY_APPROVAL_NEVER);
        assert_string_equal(found[0]->user, "owner");
        origin(POLICY_KEY_USER, "built-in", 0);
        origin(POLICY_KEY_ENV, "codexd.json", 2);
        origin(POLICY_KEY_MAX_WORKERS, "10.json", 3);
        origin(POLICY_KEY_SANDBOX_MODE, "10.json", 2);
        origin(POLICY_KEY_NETWORK, "10.json", 3);

        assert_int_equal(candidates(config, "a.org", &err), 1);
        assert_string_equal(found[0]->directory, "/srv/a.org/user");
        assert_int_equal(found[0]->max_workers, 5);
        assert_null(found[0]->env[0]); /* empty is not absent */
        assert_true(found[0]->network.enabled && found[0]->network.http_port == 9);
        assert_string_equal(found[0]->network.denied_domains[0], "bad.org");
        assert_string_equal(found[0]->network.allowed_domains[0], "*");
        assert_int_equal(found[0]->sandbox_mode, POLICY_WORKSPACE_WRITE);
        origin(POLICY_KEY_MAX_WORKERS, "20.json", 2);
        origin(POLICY_KEY_ENV, "20.json", 3);
        origin(POLICY_KEY_NETWORK, "20.json", 3);
        origin(POLICY_KEY_SANDBOX_MODE, "10.json", 2);
}

static void test_which_directories(void **state)
{
        _cleanup_(config_freep) struct config *config =
                load("{}",
                     "[{\"match\": \"/b/{workspace}\", \"max_workers\": 7},"
                     " {\"match\": \"/a/x-{workspace}.d/y\", \"max_workers\": 8}]",
                     "[{\"workspace\": \"refined\", \"model\": \"m\"},"
                     " {\"workspace\": \"own\", \"directory\": \"/opt/own\", \"model\": \"m\"},"
                     " {\"workspace\": \"same\", \"directory\": \"/b/same\", \"model\": \"m\"}]");
        struct error err;

        assert_int_equal(candidates(config, "any", &err), 2);
        assert_string_equal(found[0]->directory, "/a/x-any.d/y");
        assert_int_equal(found[0]->max_workers, 8);
        assert_string_equal(found[1]->directory, "/b/any");
        assert_int_equal(found[1]->max_workers, 7);

        assert_int_equal(candidates(config, "refined", &err), 2);
        assert_string_equal(found[0]->model, "m");
        assert_string_equal(found[1]->model, "m");

        assert_int_equal(candidates(config, "own", &err), 1);
        assert_string_equal(found[0]->directory, "/opt/own");
        assert_int_equal(found[0]->max_workers, 2); /* no pattern says this directory */

        assert_int_equal(candidates(config, "same", &err), 1);
        assert_string_equal(found[0]->directory, "/b/same");
        assert_int_equal(found[0]->max_workers, 7);
}

static void test_names_that_fit_no_rule(void **state)
{
        static const char *const bad[] = {"",         ".",           "..", "../x", "a/b",
                                          "/etc",     "a b",         "-a", ".a",   "a\n",
                                          "\303\251", "{workspace}", "%s"};
        _cleanup_(config_freep) struct config *patterns =
                load("{}", "{\"match\": \"/srv/{workspace}\"}", NULL);
        _cleanup_(config_freep) struct config *exact =
                load("{}", "{\"workspace\": \"a\", \"directory\": \"/a\"}", NULL);
        char longest[NAME_WORKSPACE_MAX + 2];
        struct error err;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                CHECK(bad[i], candidates(patterns, bad[i], &err) == -EINVAL);
                CHECK(bad[i], err.kind == ERROR_BAD_REQUEST);
        }
        memset(longest, 'a', sizeof longest);
        longest[NAME_WORKSPACE_MAX + 1] = '\0';
        assert_int_equal(candidates(patterns, longest, &err), -EINVAL);
        longest[NAME_WORKSPACE_MAX] = '\0';
        assert_int_equal(candidates(patterns, longest, &err), 1);
        assert_string_equal(found[0]->workspace, longest);

        assert_int_equal(candidates(exact, "a", &err), 1);
        assert_int_equal(candidates(exact, "b", &err), -ENOENT);
        assert_int_equal(err.kind, ERROR_NO_SUCH_WORKSPACE);
        assert_int_equal(candidates(exact, "A", &err), -ENOENT);
        assert_int_equal(candidates(exact, "aa", &err), -ENOENT);
}

/* ---- the digest ---- */

static const char *const other[_POLICY_KEY_MAX] = {
        [POLICY_KEY_USER] = "\"bob\"",
        [POLICY_KEY_USER_PATTERN] = "\"b*\"",
        [POLICY_KEY_GROUPS] = "[\"web\"]",
        [POLICY_KEY_SANDBOX_MODE] = "\"workspace-write\"",
        [POLICY_KEY_APPROVAL_POLICY] = "\"untrusted\"",
        [POLICY_KEY_SKIP_GIT_REPO_CHECK] = "true",
        [POLICY_KEY_ADDITIONAL_DIRECTORIES] = "[\"/a\"]",
        [POLICY_KEY_READABLE_DIRECTORIES] = "[\"/a\"]",
        [POLICY_KEY_NETWORK_ACCESS] = "true",
        [POLICY_KEY_NETWORK] = "{\"allow_local_binding\": true}",
        [POLICY_KEY_LIMITS] = "{\"cpu_weight\": 1}",
        [POLICY_KEY_ENV] = "[\"LANG\"]",
        [POLICY_KEY_MCP_SERVERS] = "{\"a\": {}}",
        [POLICY_KEY_DEVELOPER_INSTRUCTIONS] = "\"a\"",
        [POLICY_KEY_BEST_EFFORT] = "true",
        [POLICY_KEY_MODEL] = "\"m\"",
        [POLICY_KEY_MAX_WORKERS] = "3",
};

static void digest_of(const char *rule, const char *workspace, uint8_t ret[WIRE_DIGEST_SIZE])
{
        _cleanup_(config_freep) struct config *config = load("{}", rule, NULL);
        struct error err;

        CHECK(rule, candidates(config, workspace, &err) == 1);
        memcpy(ret, found[0]->digest, WIRE_DIGEST_SIZE);
}

static void test_each_key_is_in_the_digest(void **state)
{
        uint8_t digests[_POLICY_KEY_MAX + 3][WIRE_DIGEST_SIZE], again[WIRE_DIGEST_SIZE];
        char rule[300];

        for (size_t i = 0; i < _POLICY_KEY_MAX; i++) {
                const char *key = policy_key_name((enum policy_key) i);

                CHECK(key, other[i] != NULL);
                (void) snprintf(rule, sizeof rule, "{\"match\": \"/a/{workspace}\", \"%s\": %s}",
                                key, other[i]);
                digest_of(rule, "w", digests[i]);
                digest_of(rule, "w", again);
                CHECK(key, memcmp(digests[i], again, sizeof again) == 0);
        }
        digest_of("{\"match\": \"/a/{workspace}\"}", "w", digests[_POLICY_KEY_MAX]);
        digest_of("{\"match\": \"/b/{workspace}\"}", "w", digests[_POLICY_KEY_MAX + 1]);
        digest_of("{\"match\": \"/a/{workspace}\"}", "v", digests[_POLICY_KEY_MAX + 2]);
        for (size_t i = 0; i < N_ELEMENTS(digests); i++)
                for (size_t k = 0; k < i; k++)
                        CHECK(i < _POLICY_KEY_MAX ? policy_key_name((enum policy_key) i) : "place",
                              memcmp(digests[i], digests[k], WIRE_DIGEST_SIZE) != 0);

        /* where a key was set, and in which words, is no part of it */
        digest_of("{\"match\": \"/a/{workspace}\", \"limits\": {\"memory_max\": \"0K\"}}", "w",
                  again);
        assert_memory_equal(again, digests[_POLICY_KEY_MAX], sizeof again);
}

/* Everything of network and limits as well: each inner key away from its default. */
static void test_each_inner_key_is_in_the_digest(void **state)
{
        static const char *const inner[] = {
                "\"network\": {\"enabled\": true}",
                "\"network\": {\"http_port\": 9}",
                "\"network\": {\"socks_port\": 9}",
                "\"network\": {\"allow_upstream_proxy\": true}",
                "\"network\": {\"allowed_domains\": [\"a\"]}",
                "\"network\": {\"denied_domains\": [\"a\"]}",
                "\"network\": {\"allow_unix_sockets\": [\"/a\"]}",
                "\"network\": {\"allow_local_binding\": true}",
                "\"limits\": {\"memory_max\": 1}",
                "\"limits\": {\"pids_max\": 1}",
                "\"limits\": {\"cpu_weight\": 1}",
        };
        uint8_t digests[N_ELEMENTS(inner) + 1][WIRE_DIGEST_SIZE];
        char rule[300];

        assert_int_equal(N_ELEMENTS(inner),
                         config_policy_table.rows[POLICY_KEY_NETWORK].table->n +
                                 config_policy_table.rows[POLICY_KEY_LIMITS].table->n);
        digest_of("{\"match\": \"/a/{workspace}\"}", "w", digests[N_ELEMENTS(inner)]);
        for (size_t i = 0; i < N_ELEMENTS(inner); i++) {
                (void) snprintf(rule, sizeof rule, "{\"match\": \"/a/{workspace}\", %s}", inner[i]);
                digest_of(rule, "w", digests[i]);
        }
        for (size_t i = 0; i < N_ELEMENTS(digests); i++)
                for (size_t k = 0; k < i; k++)
                        CHECK(inner[k], memcmp(digests[i], digests[k], WIRE_DIGEST_SIZE) != 0);
}

/* ---- narrowing ---- */

#define MODE(name)     (POLICY_##name + 1)
#define APPROVAL(name) (POLICY_APPROVAL_##name + 1)
static const struct {
        const char *what, *codexd, *rule;
        struct wire_wish wish;
        enum error_kind kind;
        const char *key;
} wishes[] = {
        {"nothing", "{}", "{}", {0}, ERROR_NONE, ""},
        {"the same mode",
         "{}",
         "\"sandbox_mode\": \"workspace-write\"",
         {.sandbox_mode = MODE(WORKSPACE_WRITE)},
         ERROR_NONE,
         ""},
        {"a stricter mode",
         "{}",
         "\"sandbox_mode\": \"danger-full-access\"",
         {.sandbox_mode = MODE(READ_ONLY)},
         ERROR_NONE,
         ""},
        {"a weaker mode",
         "{}",
         "\"sandbox_mode\": \"read-only\"",
         {.sandbox_mode = MODE(WORKSPACE_WRITE)},
         ERROR_POLICY_REFUSED,
         "sandbox_mode"},
        {"full access",
         "{}",
         "\"sandbox_mode\": \"workspace-write\"",
         {.sandbox_mode = MODE(DANGER_FULL_ACCESS)},
         ERROR_POLICY_REFUSED,
         "sandbox_mode"},
        {"external, though full access",
         "{}",
         "\"sandbox_mode\": \"danger-full-access\"",
         {.sandbox_mode = MODE(EXTERNAL_SANDBOX)},
         ERROR_POLICY_REFUSED,
         "sandbox_mode"},
        {"external, allowed",
         "{\"allow_external_sandbox\": true}",
         "",
         {.sandbox_mode = MODE(EXTERNAL_SANDBOX)},
         ERROR_NONE,
         ""},
        {"no mode",
         "{\"allow_external_sandbox\": true}",
         "",
         {.sandbox_mode = MODE(EXTERNAL_SANDBOX) + 1},
         ERROR_BAD_REQUEST,
         "sandbox_mode"},
        {"no mode at all",
         "{}",
         "",
         {.sandbox_mode = UINT32_MAX},
         ERROR_BAD_REQUEST,
         "sandbox_mode"},
        {"network off", "{}", "\"network_access\": true", {.network_access = 1}, ERROR_NONE, ""},
        {"network off twice",
         "{}",
         "\"network_access\": false",
         {.network_access = 1},
         ERROR_NONE,
         ""},
        {"network as allowed",
         "{}",
         "\"network_access\": true",
         {.network_access = 2},
         ERROR_NONE,
         ""},
        {"network", "{}", "", {.network_access = 2}, ERROR_POLICY_REFUSED, "network_access"},
        {"network 3",
         "{}",
         "\"network_access\": true",
         {.network_access = 3},
         ERROR_BAD_REQUEST,
         "network_access"},
        {"asking more", "{}", "", {.approval_policy = APPROVAL(UNTRUSTED)}, ERROR_NONE, ""},
        {"asking less",
         "{}",
         "\"approval_policy\": \"untrusted\"",
         {.approval_policy = APPROVAL(NEVER)},
         ERROR_POLICY_REFUSED,
         "approval_policy"},
        {"asking the same",
         "{}",
         "\"approval_policy\": \"on-request\"",
         {.approval_policy = APPROVAL(ON_REQUEST)},
         ERROR_NONE,
         ""},
        {"asking who knows",
         "{}",
         "",
         {.approval_policy = APPROVAL(UNTRUSTED) + 1},
         ERROR_BAD_REQUEST,
         "approval_policy"},
        {"no git, allowed",
         "{}",
         "\"skip_git_repo_check\": true",
         {.skip_git_repo_check = 2},
         ERROR_NONE,
         ""},
        {"git after all",
         "{}",
         "\"skip_git_repo_check\": true",
         {.skip_git_repo_check = 1},
         ERROR_NONE,
         ""},
        {"no git",
         "{}",
         "",
         {.skip_git_repo_check = 2},
         ERROR_POLICY_REFUSED,
         "skip_git_repo_check"},
        {"git 3",
         "{}",
         "\"skip_git_repo_check\": true",
         {.skip_git_repo_check = 3},
         ERROR_BAD_REQUEST,
         "skip_git_repo_check"},
        {"a model", "{}", "\"model\": \"other\"", {.model = "gpt-5.1"}, ERROR_NONE, ""},
        {"an option", "{}", "", {.model = "--yolo"}, ERROR_BAD_REQUEST, "model"},
        {"a model with a quote", "{}", "", {.model = "a\"b"}, ERROR_BAD_REQUEST, "model"},
        {"a model and a refusal",
         "{}",
         "",
         {.model = "gpt-5.1", .network_access = 2},
         ERROR_POLICY_REFUSED,
         "network_access"},
};

static void test_narrowing(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(wishes); i++) {
                const struct wire_wish *wish = &wishes[i].wish;
                _cleanup_(config_freep) struct config *config = NULL;
                uint8_t before[WIRE_DIGEST_SIZE];
                struct policy *policy, was;
                struct error err;
                char rule[300];
                bool changed;
                int r;

                (void) snprintf(rule, sizeof rule, "{\"match\": \"/a/{workspace}\"%s%s}",
                                wishes[i].rule[0] && wishes[i].rule[0] != '{' ? ", " : "",
                                wishes[i].rule[0] != '{' ? wishes[i].rule : "");
                config = load(wishes[i].codexd, rule, NULL);
                CHECK(wishes[i].what, candidates(config, "w", &err) == 1);
                policy = found[0];
                was = *policy;
                memcpy(before, policy->digest, sizeof before);
                r = policy_narrow(policy, wish, &err);
                if ((r < 0) != (wishes[i].kind != ERROR_NONE) || err.kind != wishes[i].kind ||
                    strcmp(err.key, wishes[i].key) != 0)
                        fail_msg("%s: %d, %s (%s)", wishes[i].what, r, err.message, err.key);
                changed = policy->sandbox_mode != was.sandbox_mode ||
                          policy->network_access != was.network_access ||
                          policy->approval_policy != was.approval_policy ||
                          policy->skip_git_repo_check != was.skip_git_repo_check ||
                          policy->model != was.model;
                CHECK(wishes[i].what,
                      (memcmp(before, policy->digest, sizeof before) != 0) == changed);
                CHECK(wishes[i].what, r == 0 || !changed); /* all or nothing */
                if (r < 0)
                        continue;
                if (wish->sandbox_mode)
                        CHECK(wishes[i].what, policy->sandbox_mode == wish->sandbox_mode - 1);
                if (wish->network_access)
                        CHECK(wishes[i].what,
                              policy->network_access == (wish->network_access == 2));
                if (wish->approval_policy)
                        CHECK(wishes[i].what, policy->approval_policy == wish->approval_policy - 1);
                if (wish->skip_git_repo_check)
                        CHECK(wishes[i].what,
                              policy->skip_git_repo_check == (wish->skip_git_repo_check == 2));
                if (wish->model[0])
                        assert_string_equal(policy->model, wish->model);
        }
}

static void test_an_endless_model_name(void **state)
{
        _cleanup_(config_freep) struct config *config =
                load("{}", "{\"match\": \"/a/{workspace}\"}", NULL);
        struct wire_wish wish = {0};
        struct error err;

        memset(wish.model, 'a', sizeof wish.model);
        assert_int_equal(candidates(config, "w", &err), 1);
        assert_int_equal(policy_narrow(found[0], &wish, &err), -EINVAL);
        assert_int_equal(err.kind, ERROR_BAD_REQUEST);
        wish.model[NAME_MODEL_MAX] = '\0';
        CHECK_OK(policy_narrow(found[0], &wish, &err), err);
}

/* ---- what this build runs ---- */

#define RUNS "\"sandbox_mode\": \"danger-full-access\", \"network_access\": true"
static const struct {
        const char *rule;
        struct wire_wish wish;
        const char *key, *says; /* NULL: runs */
} builds[] = {
        {RUNS, {0}, NULL, NULL},
        {RUNS ", \"best_effort\": true", {0}, NULL, NULL},
        {RUNS ", \"readable_directories\": [\"/a\"], \"additional_directories\": [\"/b\"]",
         {0},
         NULL,
         NULL},
        {RUNS ", \"env\": [\"LANG\"], \"groups\": [\"web\"], \"model\": \"m\", \"user\": \"bob\"",
         {0},
         NULL,
         NULL},
        {RUNS ", \"network\": {\"http_port\": 9, \"allowed_domains\": [\"*\"]}", {0}, NULL, NULL},
        {"\"best_effort\": true", {0}, "sandbox_mode", "read-only is not enforced"},
        {"\"network_access\": true", {0}, "sandbox_mode", "nothing is run weaker than asked"},
        {"\"sandbox_mode\": \"workspace-write\", \"network_access\": true",
         {0},
         "sandbox_mode",
         "workspace-write is not enforced"},
        {RUNS, {.sandbox_mode = MODE(READ_ONLY)}, "sandbox_mode", "read-only"},
        {RUNS, {.sandbox_mode = MODE(EXTERNAL_SANDBOX)}, "sandbox_mode", "external-sandbox"},
        {RUNS, {.network_access = 1}, "network_access", "kept off the network"},
        {"\"sandbox_mode\": \"danger-full-access\"", {0}, "network_access", "kept off the network"},
        {RUNS, {.approval_policy = APPROVAL(ON_REQUEST)}, "approval_policy", "nobody is there"},
        {RUNS ", \"approval_policy\": \"on-failure\"", {0}, "approval_policy", "nobody is there"},
        {RUNS ", \"approval_policy\": \"untrusted\"", {0}, "approval_policy", "nobody is there"},
        {RUNS ", \"network\": {\"enabled\": true}", {0}, "network.enabled", "network.enabled"},
        {RUNS ", \"mcp_servers\": {\"a\": {}}", {0}, "mcp_servers", "not started"},
        {RUNS ", \"developer_instructions\": \"be kind\"",
         {0},
         "developer_instructions",
         "passed on"},
        {RUNS ", \"limits\": {\"memory_max\": \"2G\"}", {0}, "limits.memory_max", "leave it at 0"},
        {RUNS ", \"limits\": {\"pids_max\": 1}", {0}, "limits.pids_max", "leave it at 0"},
        {RUNS ", \"limits\": {\"cpu_weight\": 1}", {0}, "limits.cpu_weight", "leave it at 0"},
};

static void test_nothing_runs_weaker_than_it_reads(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(builds); i++) {
                _cleanup_(config_freep) struct config *config = NULL;
                struct error err;
                char rule[300];
                int r;

                (void) snprintf(rule, sizeof rule, "{\"match\": \"/a/{workspace}\", %s}",
                                builds[i].rule);
                config = load("{\"allow_external_sandbox\": true}", rule, NULL);
                CHECK(builds[i].rule, candidates(config, "w", &err) == 1);
                CHECK_OK(policy_narrow(found[0], &builds[i].wish, &err), err);
                r = policy_enforceable(found[0], &err);
                if (!builds[i].key ? r != 0
                                   : r != -EOPNOTSUPP || err.kind != ERROR_POLICY_UNSUPPORTED ||
                                             strcmp(err.key, builds[i].key) != 0 ||
                                             strncmp(err.message, err.key, strlen(err.key)) != 0 ||
                                             !strstr(err.message, builds[i].says))
                        fail_msg("%s: %d, %s", builds[i].rule, r, err.message);
        }
}

/* ---- words ---- */

static void test_words_return(void **state)
{
        for (unsigned i = 0; i < _POLICY_SANDBOX_MODE_MAX; i++)
                assert_int_equal(policy_sandbox_mode_from_name(policy_sandbox_mode_name(i)), i);
        for (unsigned i = 0; i < _POLICY_APPROVAL_MAX; i++)
                assert_int_equal(policy_approval_from_name(policy_approval_name(i)), i);
        assert_int_equal(policy_sandbox_mode_from_name("danger"), -EINVAL);
        assert_int_equal(policy_approval_from_name(""), -EINVAL);
        assert_string_equal(policy_sandbox_mode_name(_POLICY_SANDBOX_MODE_MAX), "invalid");
        assert_string_equal(policy_approval_name(_POLICY_APPROVAL_MAX), "invalid");
}

static void test_values_for_people(void **state)
{
        _cleanup_(config_freep) struct config *config =
                load("{}", "{\"match\": \"/a/{workspace}\", \"env\": [\"LANG\"]}", NULL);
        struct error err;

        assert_int_equal(candidates(config, "w", &err), 1);
        for (unsigned key = 0; key < _POLICY_KEY_MAX; key++) {
                _cleanup_free_ char *text = policy_key_value(found[0], key);

                assert_non_null(text);
                if (key == POLICY_KEY_ENV)
                        assert_string_equal(text, "[\"LANG\"]");
                if (key == POLICY_KEY_SANDBOX_MODE)
                        assert_string_equal(text, "\"read-only\"");
        }
}

/* Against fnmatch(3), which knows more than '*' and '?', over every short pattern and string. */
static void test_glob(void **state)
{
        static const char patterns[] = "ab*?", strings[] = "ab";
        char pattern[5] = "", string[5] = "";

        for (unsigned i = 0; i < 4 * 4 * 4 * 4 * 5; i++) {
                unsigned rest = i / 5, n = i % 5;

                for (unsigned k = 0; k < n; k++, rest /= 4)
                        pattern[k] = patterns[rest % 4];
                pattern[n] = '\0';
                for (unsigned j = 0; j < 16 * 5; j++) {
                        unsigned bits = j / 5, m = j % 5;

                        for (unsigned k = 0; k < m; k++, bits /= 2)
                                string[k] = strings[bits % 2];
                        string[m] = '\0';
                        if (policy_glob_match(pattern, string) !=
                            (fnmatch(pattern, string, 0) == 0))
                                fail_msg("%s and %s", pattern, string);
                }
        }
        assert_true(policy_glob_match("site-*", "site-a.org"));
        assert_false(policy_glob_match("site-*", "mysite-a"));
        assert_false(policy_glob_match("site-*", "site"));
        assert_true(policy_glob_match("*/?", "./x")); /* nothing special */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_layers_inherit_key_by_key),
                cmocka_unit_test(test_which_directories),
                cmocka_unit_test(test_names_that_fit_no_rule),
                cmocka_unit_test(test_each_key_is_in_the_digest),
                cmocka_unit_test(test_each_inner_key_is_in_the_digest),
                cmocka_unit_test(test_narrowing),
                cmocka_unit_test(test_an_endless_model_name),
                cmocka_unit_test(test_nothing_runs_weaker_than_it_reads),
                cmocka_unit_test(test_words_return),
                cmocka_unit_test(test_values_for_people),
                cmocka_unit_test(test_glob),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);

        for (size_t i = 0; i < N_ELEMENTS(found); i++)
                found[i] = policy_free(found[i]);
        return r;
}
