/* What Codex is given: every argument and every variable, and nothing else. */
#include "codex-config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UUID "01234567-89ab-7def-8123-456789abcdef"

static struct policy policy;
static struct workspace workspace;
static struct settings settings;

static int set_up(void **state)
{
        memset(&policy, 0, sizeof policy);
        memset(&settings, 0, sizeof settings);
        workspace = (struct workspace){.policy = &policy, .dir = -1, .uid = 987, .gid = 987};
        strcpy(workspace.user, "site-alpha");
        strcpy(workspace.home, "/home/site-alpha");
        strcpy(workspace.shell, "/bin/bash");
        settings.codex_path = (char *) "/usr/lib/codexd/codex";
        settings.model_base_url = (char *) "http://127.0.0.1:9/v1";
        settings.model_provider_name = (char *) "codexd";
        return 0;
}

static void expect(char *const *got, const char *const *want)
{
        size_t i;

        for (i = 0; want[i]; i++) {
                assert_non_null(got[i]);
                assert_string_equal(got[i], want[i]);
        }
        assert_null(got[i]);
}

static void a_new_thread(void **state)
{
        static const char *const argv[] = {"/usr/lib/codexd/codex", "exec", "--json", "--sandbox",
                                           "danger-full-access",    "-",    NULL};
        struct codex_command c;

        assert_int_equal(codex_command_make(&c, &settings, &workspace, "/run/codexd", "", false),
                         0);
        expect(c.argv, argv);
}

static void a_resumed_one_with_a_model(void **state)
{
        static const char *const argv[] = {"/usr/lib/codexd/codex",
                                           "exec",
                                           "--json",
                                           "--sandbox",
                                           "danger-full-access",
                                           "--skip-git-repo-check",
                                           "--model",
                                           "gpt-5.5",
                                           "resume",
                                           UUID,
                                           "-",
                                           NULL};
        struct codex_command c;

        policy.model = (char *) "gpt-5.5";
        assert_int_equal(codex_command_make(&c, &settings, &workspace, "/run/codexd", UUID, true),
                         0);
        expect(c.argv, argv);
}

static void the_environment_is_exactly_this(void **state)
{
        static const char *const envp[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                           "LANG=C.UTF-8",
                                           "TMPDIR=/tmp",
                                           "HOME=/home/site-alpha",
                                           "USER=site-alpha",
                                           "LOGNAME=site-alpha",
                                           "SHELL=/bin/bash",
                                           "CODEX_HOME=/run/codexd/home",
                                           "CODEX_SQLITE_HOME=/run/codexd/home/sqlite",
                                           NULL};
        struct codex_command c;

        assert_int_equal(setenv("OPENAI_API_KEY", "marker", 1), 0);
        assert_int_equal(codex_command_make(&c, &settings, &workspace, "/run/codexd", "", false),
                         0);
        expect(c.envp, envp);
}

static void what_does_not_fit_is_refused(void **state)
{
        static char long_path[9000];
        struct codex_command c;

        memset(long_path, 'a', sizeof long_path - 1);
        settings.codex_path = long_path;
        assert_int_equal(codex_command_make(&c, &settings, &workspace, "/run/codexd", "", false),
                         -E2BIG);
}

static char *toml(void)
{
        char *text;
        size_t n;

        assert_int_equal(codex_config_toml(&settings, &text, &n), 0);
        assert_int_equal(strlen(text), n);
        return text;
}

static void strings_cannot_leave_their_quotes(void **state)
{
        char *text;

        settings.model_provider_name = (char *) "a\"\n[mcp_servers.x]\ncommand = \"sh\\";
        text = toml();
        assert_non_null(strstr(
                text, "name = \"a\\\"\\u000a[mcp_servers.x]\\u000acommand = \\\"sh\\\\\"\n"));
        assert_null(strstr(text, "\n[mcp_servers.x]"));
        free(text);
}

static void nothing_is_written_or_fetched_behind_our_back(void **state)
{
        char *text = toml();

        assert_non_null(
                strstr(text, "shell_snapshot = false\n"));  /* writes the environment to disk */
        assert_non_null(strstr(text, "plugins = false\n")); /* runs git against a public host */
        assert_non_null(strstr(text, "check_for_update_on_startup = false\n"));
        assert_non_null(strstr(text, "base_url = \"http://127.0.0.1:9/v1\"\n"));
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(a_new_thread, set_up),
                cmocka_unit_test_setup(a_resumed_one_with_a_model, set_up),
                cmocka_unit_test_setup(the_environment_is_exactly_this, set_up),
                cmocka_unit_test_setup(what_does_not_fit_is_refused, set_up),
                cmocka_unit_test_setup(strings_cannot_leave_their_quotes, set_up),
                cmocka_unit_test_setup(nothing_is_written_or_fetched_behind_our_back, set_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
