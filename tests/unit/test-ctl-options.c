#include "cleanup.h"
#include "options.h"
#include "prompt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARGV(...)                                                                                  \
        {                                                                                          \
                "verb", __VA_ARGS__, NULL                                                          \
        }

static const struct {
        const char *what;
        unsigned verb;
        const char *argv[8];
        int r, operands;
} cases[] = {
        {"operands alone", VERB_RUN, ARGV("ws", "prompt"), 0, 2},
        {"options before and after", VERB_RUN, ARGV("-m", "x", "ws", "--json", "p"), 0, 2},
        {"a prompt after --", VERB_RUN, ARGV("ws", "--", "--json"), 0, 2},
        {"a lone dash is an operand", VERB_RUN, ARGV("ws", "-"), 0, 2},
        {"= and a blank are one", VERB_RUN, ARGV("--cwd=a", "--cwd", "b", "ws"), 0, 1},
        {"an option of another verb", VERB_RUN, ARGV("--wait", "ws"), -EINVAL, 0},
        {"a letter of another verb", VERB_LIST, ARGV("-m", "x"), -EINVAL, 0},
        {"an unknown letter", VERB_RUN, ARGV("-Z", "ws"), -EINVAL, 0},
        {"no argument", VERB_RUN, ARGV("ws", "--model"), -EINVAL, 0},
        {"an argument too many", VERB_RUN, ARGV("--json=1", "ws"), -EINVAL, 0},
        {"a number", VERB_LIST, ARGV("-n", "10"), 0, 0},
        {"no number", VERB_LIST, ARGV("-n", "ten"), -EINVAL, 0},
        {"a negative one", VERB_LIST, ARGV("-n", "-1"), -EINVAL, 0},
        {"an empty one", VERB_ATTACH, ARGV("--from=", "1"), -EINVAL, 0},
        {"one that overflows", VERB_ATTACH, ARGV("--from=99999999999999999999", "1"), -EINVAL, 0},
        {"a blank in it", VERB_ATTACH, ARGV("--from= 1", "1"), -EINVAL, 0},
        {"more than a year", VERB_RUN, ARGV("--deadline=99999999", "ws"), -EINVAL, 0},
        {"json where there is none", VERB_CHECK_CONFIG, ARGV("--json"), -EINVAL, 0},
};

static void table(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct options options;
                char *argv[8];
                int argc = 0, first = 0, r;

                for (; cases[i].argv[argc]; argc++)
                        argv[argc] = (char *) cases[i].argv[argc];
                argv[argc] = NULL;
                options_init(&options);
                r = options_parse(&options, cases[i].verb, argc, argv, &first);
                if (r != cases[i].r || (r == 0 && argc - first != cases[i].operands))
                        fail_msg("%s: %d, %d operands", cases[i].what, r, argc - first);
        }
}

static void everything_reaches_submit(void **state)
{
        char *argv[] = {
                (char *) "run",
                (char *) "-C",
                (char *) "sub",
                (char *) "--thread=T",
                (char *) "-m",
                (char *) "gpt",
                (char *) "-s",
                (char *) "read-only",
                (char *) "--no-network",
                (char *) "--approval=never",
                (char *) "--skip-git-repo-check",
                (char *) "-o",
                (char *) "me",
                (char *) "-c",
                (char *) "chat",
                (char *) "-d",
                (char *) "9",
                (char *) "ws",
                NULL,
        };
        static const char want[] =
                "{\"approval_policy\":\"never\",\"class\":\"chat\",\"cwd\":\"sub\",\"deadline_s\":"
                "9,"
                "\"model\":\"gpt\",\"network_access\":false,\"owner\":\"me\",\"prompt\":\"p\","
                "\"sandbox_mode\":\"read-only\",\"skip_git_repo_check\":true,\"thread_id\":\"T\","
                "\"workspace\":\"ws\"}";
        struct options options;
        json_t *json;
        char *text;
        int first;

        options_init(&options);
        assert_int_equal(options_parse(&options, VERB_RUN, N_ELEMENTS(argv) - 1, argv, &first), 0);
        assert_string_equal(argv[first], "ws");
        json = options_submit(&options, "ws", "p", 1);
        text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, want);
        free(text);
        json_decref(json);
}

/* What nobody asked for is left to the workspace's policy. */
static void nothing_else_is_submitted(void **state)
{
        struct options options;
        json_t *json;
        char *text;

        options_init(&options);
        json = options_submit(&options, "ws", "p", 1);
        text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, "{\"prompt\":\"p\",\"workspace\":\"ws\"}");
        free(text);
        json_decref(json);
        assert_null(options_submit(&options, "\377", "p", 1)); /* no UTF-8 */
}

static void prompts(void **state)
{
        size_t n = (size_t) PROMPT_MAX * 2;
        char *text = malloc(n + 3);

        assert_non_null(text);
        for (size_t i = 0; i < n + 2; i += 2)
                memcpy(text + i, "\303\251", 2);
        assert_null(prompt_check(text, n));
        assert_non_null(prompt_check(text, n + 2)); /* one character more */
        assert_non_null(prompt_check(text, n - 1)); /* half a character */
        assert_non_null(prompt_check("", 0));
        assert_non_null(prompt_check("a\0b", 3));
        assert_null(prompt_check("a", 1));
        free(text);
}

static void the_socket_by_environment(void **state)
{
        struct options options;

        (void) setenv("CODEXD_SOCKET", "/x.sock", 1);
        options_init(&options);
        assert_string_equal(options.socket, "/x.sock");
        (void) setenv("CODEXD_SOCKET", "", 1);
        options_init(&options);
        assert_string_equal(options.socket, "/run/codexd/codexd.sock");
        (void) unsetenv("CODEXD_SOCKET");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table),
                cmocka_unit_test(everything_reaches_submit),
                cmocka_unit_test(nothing_else_is_submitted),
                cmocka_unit_test(prompts),
                cmocka_unit_test(the_socket_by_environment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
