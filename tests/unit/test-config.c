/* Every key there is, wrong in every way its row knows: the cases are made of the tables. And what
 * rules may say together. */
#include "conf-bundle.h"
#include "conf-check.h"
#include "config-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct made made;

static int load(const char *codexd, const char *one, const char *two, struct config **ret,
                struct error *err)
{
        memset(err, 0, sizeof *err);
        made_bundle(&made, codexd, one, two);
        return config_new(ret, made.bytes, made.n, err);
}

/* ---- one key at a time ---- */

struct spot { /* where a table's keys stand in a file: what comes before them, what after */
        const char *before, *after, *name;
        bool rules;
};

/* The value in its place, on line 4 of its file, through config_new(). */
static int try_key(const struct spot *spot, const char *key, const char *value, struct error *err)
{
        _cleanup_(config_freep) struct config *config = NULL;
        static char text[60000];
        int n = snprintf(text, sizeof text, "{\n\n%s\n\"%s\": %s%s}", spot->before, key, value,
                         spot->after);

        assert_true(n > 0 && (size_t) n < sizeof text);
        if (spot->rules)
                return load("{}", text, NULL, &config, err);
        return load(text, NULL, NULL, &config, err);
}

static unsigned tried;

static void refuse(const struct spot *spot, const char *key, const char *value, const char *under,
                   const char *allowed)
{
        char start[300];
        struct error err;
        int r = try_key(spot, key, value, &err);

        tried++;
        (void) snprintf(start, sizeof start,
                        "%s:4: %s%s%s: ", spot->rules ? "10.json" : "codexd.json", spot->name, key,
                        under);
        if (r != -EINVAL || err.kind != ERROR_CONFIG_INVALID ||
            strncmp(err.message, start, strlen(start)) != 0 ||
            strncmp(err.key, start + strlen(spot->rules ? "10.json:4: " : "codexd.json:4: "),
                    strlen(err.key)) != 0 ||
            !strstr(err.message, allowed))
                fail_msg("%s: %.100s: \"%s\" (%s), not \"%s...%s\"", key, value, err.message,
                         err.key, start, allowed);
}

static void accept(const struct spot *spot, const char *key, const char *value)
{
        struct error err;

        tried++;
        if (try_key(spot, key, value, &err) < 0)
                fail_msg("%s: %.100s: %s", key, value, err.message);
}

static void refuse_types(const struct spot *spot, const struct conf_row *row)
{
        static const struct {
                const char *value;
                unsigned fits; /* 1 << type */
        } values[] = {
                {"true", 1U << CONF_BOOL},
                {"1.5", 0},
                {"\"\\t\"", 1U << CONF_IGNORED}, /* which no check lets through */
                {"7777777777777777", 0},
                {"[{}]", 0},
                {"{\"\": 1}", 0},
                {"{\"a\": 1}", 0},
        };

        for (size_t i = 0; i < N_ELEMENTS(values); i++) {
                bool inside = row->type == CONF_TABLE || row->type == CONF_OBJECTS;
                bool free_text = strcmp(row->key, "developer_instructions") == 0;

                if ((values[i].fits >> row->type) & 1 || (free_text && i == 2))
                        continue;
                if (row->type == CONF_STRINGS && i == 4)
                        refuse(spot, row->key, values[i].value, "[0]", "must be a string");
                else if (inside && i >= 5)
                        refuse(spot, row->key, values[i].value, i == 5 ? "." : ".a",
                               row->type == CONF_TABLE ? "known are" : "must");
                else
                        refuse(spot, row->key, values[i].value, "", "must");
        }
        if (row->type != CONF_STRING || strcmp(row->fallback, "null") != 0)
                refuse(spot, row->key, "null", "", "must");
}

static void refuse_numbers(const struct spot *spot, const struct conf_row *row)
{
        char value[64], allowed[100];

        (void) snprintf(allowed, sizeof allowed, "from %" PRIu64 " to %" PRIu64, row->min,
                        row->max);
        (void) snprintf(value, sizeof value, "%" PRId64, (int64_t) row->min - 1);
        refuse(spot, row->key, value, "", allowed);
        (void) snprintf(value, sizeof value, "%" PRIu64, row->max + 1);
        refuse(spot, row->key, value, "", allowed);
        refuse(spot, row->key, "9223372036854775807", "", allowed);
        if (row->size < sizeof(uint64_t)) { /* what the minimum is when cut */
                (void) snprintf(value, sizeof value, "%" PRIu64,
                                row->min + (UINT64_C(1) << (8 * row->size)));
                refuse(spot, row->key, value, "", allowed);
        }
        (void) snprintf(value, sizeof value, "%" PRIu64, row->min);
        accept(spot, row->key, value);
        (void) snprintf(value, sizeof value, "%" PRIu64, row->max);
        accept(spot, row->key, value);
}

static void refuse_strings(const struct spot *spot, const struct conf_row *row)
{
        static char value[50000];
        size_t n = row->max;

        if (row->min > 0)
                refuse(spot, row->key, "\"\"", "", "must have 1 to");
        memset(value, 'a', sizeof value);
        value[0] = value[n + 2] = '"';
        value[n + 3] = '\0';
        refuse(spot, row->key, value, "", "must have");
}

static void refuse_lists(const struct spot *spot, const struct conf_row *row)
{
        static char value[50000];
        size_t n = 0;

        n += (size_t) snprintf(value, sizeof value, "[");
        for (size_t i = 0; i <= row->max; i++)
                n += (size_t) snprintf(value + n, sizeof value - n, "%s\"a\"", i > 0 ? "," : "");
        (void) snprintf(value + n, sizeof value - n, "]");
        refuse(spot, row->key, value, "", "at most");
        refuse(spot, row->key, "[\"\"]", "[0]", "must be a string of 1 to 1024 bytes");
        refuse(spot, row->key, "[7]", "[0]", "must be a string");
        refuse(spot, row->key, "[\"a\\nb\"]", "[0]", "must ");
        memset(value, 'A', 1100);
        memcpy(value, "[\"/", 3);
        memcpy(value + 1100, "\"]", 3);
        refuse(spot, row->key, value, "[0]", "must be a string of 1 to 1024 bytes");
}

static void refuse_misspelt(const struct spot *spot, const struct conf_row *row)
{
        char key[CONF_KEY_MAX], near[CONF_KEY_MAX + 40];
        size_t n = strlen(row->key);

        (void) snprintf(near, sizeof near, "did you mean \"%s\"?", row->key);
        (void) snprintf(key, sizeof key, "%s_", row->key); /* one too many */
        refuse(spot, key, "true", "", near);
        (void) snprintf(key, sizeof key, "%s", row->key);
        key[n - 1] = '\0'; /* one missing; or it is another key's name */
        refuse(spot, key, "true", "", "did you mean \"");
        (void) snprintf(key, sizeof key, "%s", row->key);
        key[n / 2] = key[n / 2] == '_' ? '-' : '_';
        refuse(spot, key, "true", "", near);
        (void) snprintf(key, sizeof key, "%s", row->key);
        key[0] ^= 0x20; /* Case counts */
        refuse(spot, key, "true", "", near);
}

static void walk_table(const struct conf_table *table, const struct spot *spot)
{
        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];
                        char before[400], after[100], name[100];
                        struct spot inner = {before, after, name, spot->rules};

                        if (row->type == CONF_REFUSED)
                                continue;
                        if (row->type != CONF_IGNORED)
                                refuse_misspelt(spot, row);
                        refuse_types(spot, row);
                        if (row->type == CONF_INT || row->type == CONF_SIZE ||
                            row->type == CONF_SECONDS)
                                refuse_numbers(spot, row);
                        if (row->type == CONF_STRING)
                                refuse_strings(spot, row);
                        if (row->type == CONF_STRINGS)
                                refuse_lists(spot, row);
                        if (row->type == CONF_ENUM)
                                refuse(spot, row->key, "\"nonesuch\"", "", "must be one of \"");
                        if (row->fallback)
                                accept(spot, row->key, row->fallback);
                        if (row->type != CONF_TABLE)
                                continue;
                        (void) snprintf(before, sizeof before, "%s \"%s\": {", spot->before,
                                        row->key);
                        (void) snprintf(after, sizeof after, "}%s", spot->after);
                        (void) snprintf(name, sizeof name, "%s%s.", spot->name, row->key);
                        walk_table(row->table, &inner);
                }
}

static void test_every_key_wrong_in_every_way(void **state)
{
        static const struct spot codexd = {"", "", "", false},
                                 /* a list: the line is counted through what stands before */
                rule = {"\"workspace\": \"a.b\", \"directory\": \"/a\",", "", "", true};

        tried = 0;
        walk_table(&config_codexd_table, &codexd);
        walk_table(&config_policy_table, &rule);
        assert_true(tried > 900); /* the tables were not walked in vain */
}

/* ---- what a value may be ---- */

static const struct {
        const char *key, *value;
        bool rules;
        const char *says; /* NULL: accepted */
} values[] = {
        {"codex", "{\"path\": \"/opt/codex/bin/codex\"}", false, NULL},
        {"codex", "{\"path\": \"codex\"}", false, "must be absolute"},
        {"codex", "{\"path\": \"/opt/../codex\"}", false, "must be absolute"},
        {"codex", "{\"path\": \"/opt//codex\"}", false, "must be absolute"},
        {"codex", "{\"version\": \"0.169.0\"}", false, NULL},
        {"codex", "{\"version\": \"v0\"}", false, "must be as"},
        {"model", "{\"base_url\": \"http://127.0.0.1:8080/v1\"}", false, NULL},
        {"model", "{\"base_url\": \"https://[::1]/v1/\"}", false, NULL},
        {"model", "{\"base_url\": \"ftp://h\"}", false, "must be http://"},
        {"model", "{\"base_url\": \"https://\"}", false, "must be http://"},
        {"model", "{\"base_url\": \"http:///v1\"}", false, "must be http://"},
        {"model", "{\"base_url\": \"HTTP://h\"}", false, "must be http://"},
        {"model", "{\"base_url\": \"http://h/\\\"\"}", false, "quotes"},
        {"model", "{\"base_url\": \"http://h/\\\\\"}", false, "quotes"},
        {"model", "{\"base_url\": \"http://h/\\n\"}", false, "quotes"},
        {"model", "{\"base_url\": \"http://h/ \"}", false, "spaces"},
        {"model", "{\"base_url\": \"http://h?key=1\"}", false, "without query"},
        {"model", "{\"base_url\": \"http://u:p@h/\"}", false, "needs the model gateway"},
        {"model", "{\"provider_name\": \"a\\\"\"}", false, "provider's name"},
        {"model", "{\"api_key\": \"k\"}", false, "needs the model gateway"},
        {"model", "{\"env_key\": \"k\"}", false, "needs the model gateway"},
        {"model", "{\"experimental_bearer_token\": \"k\"}", false, "needs the model gateway"},
        {"model", "{\"http_headers\": {}}", false, "needs the model gateway"},
        {"model", "{\"auth\": {}}", false, "needs the model gateway"},
        {"model", "{\"OPENAI_API_KEY\": null}", false, "needs the model gateway"},
        {"api_key", "\"k\"", false, "needs the model gateway"},
        {"OPENAI_API_KEY", "\"k\"", false, "needs the model gateway"},
        {"CODEX_API_KEY", "\"k\"", false, "needs the model gateway"},
        {"env_key", "\"k\"", false, "needs the model gateway"},
        {"job_output_max", "\"64K\"", false, NULL},
        {"job_output_max", "\"63K\"", false, "out of range"},
        {"defaults", "{\"sandbox_mode\": \"external-sandbox\"}", false, "programmatic only"},
        {"defaults", "{\"match\": \"/a/{workspace}\"}", false, "unknown key"},
        {"defaults", "{\"network\": {\"http_port\": 8081}}", false, "must be two"},
        {"sandbox_mode", "\"external-sandbox\"", true, "programmatic only"},
        {"sandbox_mode", "\"workspace-write\"", true, NULL},
        {"user", "\"www-data\"", true, NULL},
        {"user", "\"root\"", true, "never runs as root"},
        {"user", "\"0\"", true, "no account's name"},
        {"user", "\"1000\"", true, "no account's name"},
        {"user", "\"a b\"", true, "no account's name"},
        {"user", "\"codexd\"", true, "codexd's own"},
        {"user", "\"codexd-keeper\"", true, "codexd's own"},
        {"user", "\"codexdog\"", true, NULL},
        {"user_pattern", "\"site-*\"", true, NULL},
        {"user_pattern", "\"site-[a]\"", true, "no pattern"},
        {"groups", "[\"www-data\", \"site\"]", true, NULL},
        {"groups", "[\"root\"]", true, "never runs as root"},
        {"groups", "[\"codexd\"]", true, "codexd's own"},
        {"groups", "[\"33\"]", true, "no account's name"},
        {"additional_directories", "[\"/opt/a\", \"/opt/b.c/d-e\"]", true, NULL},
        {"additional_directories", "[\"opt\"]", true, "must be absolute"},
        {"additional_directories", "[\"/\"]", true, "must be absolute"},
        {"additional_directories", "[\"/opt/\"]", true, "must be absolute"},
        {"additional_directories", "[\"/opt/./a\"]", true, "must be absolute"},
        {"additional_directories", "[\"/..\"]", true, "must be absolute"},
        {"additional_directories", "[\"/srv/{workspace}\"]", true, "in \\\"match\\\" only"},
        {"readable_directories", "[\"/a\\u007f\"]", true, "control character"},
        {"network", "{\"allow_unix_sockets\": [\"run/x\"]}", true, "must be absolute"},
        {"network", "{\"allowed_domains\": [\"*\", \"**.a.org\", \"a?.org:8443\"]}", true, NULL},
        {"network", "{\"allowed_domains\": [\"https://a.org\"]}", true, "without scheme"},
        {"network", "{\"denied_domains\": [\"a.org/x\"]}", true, "without scheme"},
        {"network", "{\"denied_domains\": [\".a.org\"]}", true, "without scheme"},
        {"network", "{\"socks_port\": 3128}", true, "must be two"},
        {"network", "{\"socks_port\": 3128, \"http_port\": 8081}", true, NULL},
        {"mcp_servers", "{\"files-2\": {\"command\": \"x\"}}", true, NULL},
        {"mcp_servers", "{\"a.b\": {}}", true, "no server's name"},
        {"model", "\"gpt-5.1-codex\"", true, NULL},
        {"model", "\"-c\"", true, "no model's name"},
        {"limits", "{\"memory_max\": \"2G\", \"pids_max\": 256, \"cpu_weight\": 100}", true, NULL},
        {"env", "[\"LANG\", \"LC_ALL\", \"TZ\", \"_A1\"]", true, NULL},
        {"env", "[\"lang\"]", true, "no variable's name"},
        {"env", "[\"1A\"]", true, "no variable's name"},
        {"env", "[\"A=B\"]", true, "no variable's name"},
};

static void test_values(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(values); i++) {
                struct spot spot = {.before = values[i].rules ? "\"workspace\": \"w\", "
                                                                "\"directory\": \"/w\","
                                                              : "",
                                    .after = "",
                                    .name = "",
                                    .rules = values[i].rules};
                struct error err;
                int r = try_key(&spot, values[i].key, values[i].value, &err);
                char says[100] = "";

                for (const char *c = values[i].says ? values[i].says : ""; *c; c++)
                        if (*c != '\\')
                                (void) strncat(says, c, 1);
                if (values[i].says ? r != -EINVAL || !strstr(err.message, says) ||
                                             !strstr(err.message, values[i].key)
                                   : r < 0)
                        fail_msg("%s: %s: %d, \"%s\"", values[i].key, values[i].value, r,
                                 err.message);
        }
}

static void test_dangerous_variables(void **state)
{
        static const char *const names[] = {
                "LD_PRELOAD",
                "LD_LIBRARY_PATH",
                "DYLD_X",
                "CODEX_HOME",
                "CODEX_API_KEY",
                "OPENAI_API_KEY",
                "MY_API_KEY",
                "GITHUB_TOKEN",
                "TOKEN",
                "MY_SECRET",
                "SECRET_X",
                "A_SECRETS",
                "AWS_ACCESS_KEY_ID",
                "DB_PASSWORD",
                "PATH",
                "HOME",
                "NODE_OPTIONS",
                "BASH_ENV",
                "ENV",
                "IFS",
                "PYTHONPATH",
                "PERL5OPT",
                "RUBYOPT",
                "GIT_SSH_COMMAND",
                "NOTIFY_SOCKET",
                "LISTEN_FDS",
                "GLIBC_TUNABLES",
                "SSH_AUTH_SOCK",
        };

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                struct spot spot = {"\"workspace\": \"w\", \"directory\": \"/w\",", "", "", true};
                char value[100];

                (void) snprintf(value, sizeof value, "[\"LANG\", \"%s\"]", names[i]);
                refuse(&spot, "env", value, "[1]", "must be another");
        }
}

/* ---- rules ---- */

#define DEEP16                                                                                     \
        "[{\"match\":\"/0/{workspace}\"},{\"match\":\"/1/{workspace}\"},"                          \
        "{\"match\":\"/2/{workspace}\"},{\"match\":\"/3/{workspace}\"},"                           \
        "{\"match\":\"/4/{workspace}\"},{\"match\":\"/5/{workspace}\"},"                           \
        "{\"match\":\"/6/{workspace}\"},{\"match\":\"/7/{workspace}\"},"                           \
        "{\"match\":\"/8/{workspace}\"},{\"match\":\"/9/{workspace}\"},"                           \
        "{\"match\":\"/a/{workspace}\"},{\"match\":\"/b/{workspace}\"},"                           \
        "{\"match\":\"/c/{workspace}\"},{\"match\":\"/d/{workspace}\"},"                           \
        "{\"match\":\"/e/{workspace}\"},{\"match\":\"/f/{workspace}\"}]"

static const struct {
        const char *what, *one, *two, *says; /* NULL: accepted */
} rules[] = {
        {"an empty list", "[]", NULL, NULL},
        {"a pattern", "{\"match\": \"/srv/{workspace}/sub\"}", NULL, NULL},
        {"part of a name", "{\"match\": \"/srv/site-{workspace}.d\"}", NULL, NULL},
        {"no {workspace}", "{\"match\": \"/srv/sites\"}", NULL, "10.json:1: match: has no {work"},
        {"two of them", "{\"match\": \"/{workspace}/{workspace}\"}", NULL, "exactly once"},
        {"a typo in it", "{\"match\": \"/a/{workspaces}\"}", NULL, "has no {workspace}"},
        {"further braces", "{\"match\": \"/{a}/{workspace}\"}", NULL, "exactly once"},
        {"a closing brace", "{\"match\": \"/{workspace}}\"}", NULL, "exactly once"},
        {"a relative one", "{\"match\": \"srv/{workspace}\"}", NULL, "must be absolute"},
        {"..", "{\"match\": \"/srv/../{workspace}\"}", NULL, "must be absolute"},
        {".. at the end", "{\"match\": \"/srv/{workspace}/..\"}", NULL, "must be absolute"},
        {"a rule for nothing", "[{},\n{}]", NULL, "10.json:1: a rule for nothing; must have"},
        {"for nothing, further down", "[{\"workspace\":\"w\",\"directory\":\"/w\"},\n{}]", NULL,
         "10.json:2: a rule for nothing"},
        {"both", "{\"match\": \"/{workspace}\",\n \"workspace\": \"w\"}", NULL,
         "10.json:1: match: stands beside \"workspace\""},
        {"match and directory", "{\"match\": \"/a/{workspace}\",\n\"directory\": \"/b\"}", NULL,
         "10.json:2: directory: stands beside \"match\""},
        {"directory alone", "{\"directory\": \"/b\"}", NULL, "a rule for nothing"},
        {"a name with a slash", "{\"workspace\": \"a/b\"}", NULL, "no workspace name"},
        {"the name ..", "{\"workspace\": \"..\"}", NULL, "no workspace name"},
        {"a name without a place", "{\"workspace\": \"w\"}", NULL,
         "10.json:1: workspace: has no directory"},
        {"which a pattern gives", "{\"workspace\": \"w\"}", "{\"match\": \"/a/{workspace}\"}",
         NULL},
        {"twice in a file",
         "[{\"workspace\":\"w\",\"directory\":\"/w\"},\n{\"workspace\":\"w\",\"directory\":\"/"
         "w\"}]",
         NULL, "10.json:2: workspace: has a rule already, at 10.json:1"},
        {"twice in two", "{\"workspace\":\"w\",\"directory\":\"/w\"}",
         "\n{\"workspace\":\"w\",\"directory\":\"/v\"}",
         "20.json:2: workspace: has a rule already, at 10.json:1"},
        {"two names", "{\"workspace\":\"w\",\"directory\":\"/w\"}",
         "{\"workspace\":\"v\",\"directory\":\"/w\"}", NULL},
        {"one pattern twice", "{\"match\": \"/a/{workspace}\"}", "{\"match\": \"/a/{workspace}\"}",
         "20.json:1: match: has a rule already"},
        {"two patterns", "{\"match\": \"/a/{workspace}\"}", "{\"match\": \"/b/{workspace}\"}",
         NULL},
        {"16 patterns", DEEP16, NULL, NULL},
        {"17 patterns", DEEP16, "{\"match\": \"/g/{workspace}\"}", "there may be 16"},
        {"two patterns for a directory",
         "[{\"match\": \"/a/{workspace}\"}, {\"match\": \"/{workspace}/a\"}]",
         "{\"workspace\": \"a\", \"directory\": \"/a/a\"}",
         "20.json:1: directory: is what 2 patterns give"},
        {"ports that meet in two layers",
         "{\"match\": \"/a/{workspace}\", \"network\": {\"http_port\": 9}}",
         "{\"workspace\": \"w\",\n\n\"network\": {\"socks_port\": 9}}",
         "20.json:3: network: gives http_port and socks_port the same"},
        {"... and through a directory",
         "{\"match\": \"/a/{workspace}\", \"network\": {\"http_port\": 9}}",
         "{\"workspace\": \"w\", \"directory\": \"/a/w\",\n\"network\": {\"socks_port\": 9}}",
         "20.json:2: network: gives"},
        {"... but not of another directory",
         "{\"match\": \"/a/{workspace}\", \"network\": {\"http_port\": 9}}",
         "{\"workspace\": \"w\", \"directory\": \"/b/w\", \"network\": {\"socks_port\": 9}}", NULL},
        {"a user against the pattern's user_pattern",
         "{\"match\": \"/a/{workspace}\",\n \"user_pattern\": \"site-*\"}",
         "{\"workspace\": \"w\",\n\"user\": \"www-data\"}",
         "20.json:2: user: does not match user_pattern (10.json:2); must"},
        {"one that fits", "{\"match\": \"/a/{workspace}\",\n \"user_pattern\": \"site-*\"}",
         "{\"workspace\": \"w\",\n\"user\": \"site-w\"}", NULL},
        {"a list in a list", "[[]]", NULL, "10.json:1: is no object"},
        {"a string", "\"x\"", NULL, "10.json:1: is no JSON"},
        {"the second file is wrong", "[]", "{\n\"macth\": \"/a/{workspace}\"}",
         "20.json:2: macth: is an unknown key; did you mean \"match\"?"},
        {"null stands for absent", "{\"workspace\":\"w\",\"directory\":\"/w\",\"match\":null}",
         NULL, NULL},
};

static void test_rules(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(rules); i++) {
                _cleanup_(config_freep) struct config *config = NULL;
                struct error err;
                int r = load("{}", rules[i].one, rules[i].two, &config, &err);

                if (rules[i].says ? r != -EINVAL || !strstr(err.message, rules[i].says)
                                  : r != 0 || !config)
                        fail_msg("%s: %d, \"%s\"", rules[i].what, r, err.message);
                CHECK(rules[i].what, !rules[i].says == !!config); /* written on success only */
        }
}

static void test_settings(void **state)
{
        _cleanup_(config_freep) struct config *config = NULL;
        const struct settings *settings;
        struct error err;

        CHECK_OK(load("{\"classes\": {\"automation\": {\"wall_clock_s\": \"1h\"}},"
                      " \"model\": {\"base_url\": \"http://h/v1\"}, \"allow_external_sandbox\": "
                      "true,"
                      " \"retention\": {\"jobs\": 5}, \"clients\": {\"frame_s\": 9}}",
                      NULL, NULL, &config, &err),
                 err);
        settings = config_settings(config);
        assert_int_equal(settings->classes[SETTINGS_AUTOMATION].wall_clock_s, 3600);
        assert_int_equal(settings->classes[SETTINGS_AUTOMATION].no_progress_s, 1800);
        assert_int_equal(settings->classes[SETTINGS_CHAT].wall_clock_s, 3600);
        assert_int_equal(settings->classes[SETTINGS_CHAT].no_progress_s, 900);
        assert_string_equal(settings->model_base_url, "http://h/v1");
        assert_string_equal(settings->model_provider_name, "codexd");
        assert_string_equal(settings->codex_path, "/usr/local/bin/codex");
        assert_null(settings->codex_version);
        assert_true(settings->allow_external_sandbox);
        assert_int_equal(settings->retention_jobs, 5);
        assert_int_equal(settings->retention_s, 7 * 86400);
        assert_int_equal(settings->clients_max, 1024);
        assert_int_equal(settings->clients_max_per_uid, 256);
        assert_int_equal(settings->client_first_byte_s, 30);
        assert_int_equal(settings->client_frame_s, 9);
        assert_int_equal(settings->max_workers, 8);
        assert_int_equal(settings->queue_max, 1000);
        assert_int_equal(settings->queue_deadline_s, 600);
        assert_int_equal(settings->start_timeout_s, 30);
        assert_int_equal(settings->kill_grace_s, 5);
        assert_int_equal(settings->job_output_max, 256u << 20);
        assert_int_equal(settings->journal_queue_max, 4096);
}

struct heard {
        char text[4][720];
        int n;
};

static void hear(void *data, const char *text)
{
        struct heard *heard = data;

        assert_true(heard->n < 4);
        (void) snprintf(heard->text[heard->n++], sizeof heard->text[0], "%s", text);
}

static void test_warnings(void **state)
{
        _cleanup_(config_freep) struct config *config = NULL;
        struct config_rule_info info;
        struct heard heard = {0};
        struct error err;

        CHECK_OK(load("{\"allow_external_sandbox\": true}", NULL, NULL, &config, &err), err);
        assert_int_equal(config_warnings(config, hear, &heard), 3);
        assert_non_null(strstr(heard.text[0], "no rule"));
        assert_non_null(strstr(heard.text[1], "no model.base_url"));
        assert_non_null(strstr(heard.text[2], "allow_external_sandbox"));
        config = config_free(config);

        memset(&heard, 0, sizeof heard);
        CHECK_OK(load("{\"model\": {\"base_url\": \"http://h\"}}",
                      "[{\"match\": \"/a/{workspace}\", \"sandbox_mode\": \"danger-full-access\","
                      " \"network_access\": true},\n {\"workspace\": \"w\","
                      " \"limits\": {\"pids_max\": 7}}]",
                      "{\"workspace\": \"v\", \"directory\": \"/v\", \"network_access\": true,\n"
                      "\"network\": {\"allowed_domains\": [\"*\"]},"
                      " \"sandbox_mode\": \"danger-full-access\"}",
                      &config, &err),
                 err);
        assert_int_equal(config_warnings(config, hear, &heard), 2);
        assert_non_null(
                strstr(heard.text[0], "20.json:2: v: network: what it lists has no effect"));
        assert_non_null(strstr(heard.text[1], "10.json:2: jobs in w will be refused: limits."));
        assert_int_equal(config_rules(config), 3);
        config_rule_get(config, 0, &info);
        assert_true(!info.workspace && info.line == 1);
        assert_string_equal(info.path, "/a/{workspace}");
        config_rule_get(config, 2, &info);
        assert_string_equal(info.workspace, "w");
        assert_string_equal(info.file, "10.json");
        assert_true(!info.path && info.line == 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key_wrong_in_every_way),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_dangerous_variables),
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_settings),
                cmocka_unit_test(test_warnings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
