/* A frame to a call, a call's parameters to a request: what is taken, and what is refused by name.
 */
#include "policy.h"
#include "request.h"
#include "text.h"
#include "varlink.h"
#include "version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
        const char *text;
        bool ok, more, oneway;
        const char *key;
} calls[] = {
        {"{\"method\":\"a.b\"}", true, false, false, ""},
        {" {\"method\":\"a.b\",\"parameters\":{},\"more\":true} ", true, true, false, ""},
        {"{\"method\":\"a.b\",\"parameters\":null,\"oneway\":true}", true, false, true, ""},
        {"{\"method\":\"a.b\",\"upgrade\":false}", true, false, false, ""},
        {"{\"method\":\"a.b\",\"upgrade\":true}", false, false, false, "upgrade"},
        {"{\"method\":\"a.b\",\"more\":1}", false, false, false, "more"},
        {"{\"method\":\"a.b\",\"more\":true,\"oneway\":true}", false, false, false, "oneway"},
        {"{\"method\":7}", false, false, false, "method"},
        {"{\"parameters\":{}}", false, false, false, "method"},
        {"{\"method\":\"a.b\",\"parameters\":[]}", false, false, false, "parameters"},
        {"{\"method\":\"a.b\",\"extra\":1}", false, false, false, "extra"},
        {"{\"method\":\"a.b\",\"parameters\":{\"x\":1,\"x\":2}}", false, false, false, ""},
        {"{\"method\":\"a.b\"}x", false, false, false, ""},
        {"{\"method\":\"a\\u0000b\"}", false, false, false, ""},
        {"[]", false, false, false, ""},
        {"null", false, false, false, ""},
        {"", false, false, false, ""},
};

static void test_calls(void **state)
{
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
                struct varlink_call call = {0};
                struct error error = {0};
                size_t n = strlen(calls[i].text);
                int r = varlink_call_parse(&call, calls[i].text, n, &error);

                print_message("%s\n", calls[i].text);
                assert_int_equal(r == 0, calls[i].ok);
                if (r < 0) {
                        assert_int_equal(error.kind, ERROR_BAD_REQUEST);
                        assert_string_equal(error.key, calls[i].key);
                        continue;
                }
                assert_string_equal(call.method, "a.b");
                assert_int_equal(call.more, calls[i].more);
                assert_int_equal(call.oneway, calls[i].oneway);
                varlink_call_done(&call);
                while (n > 0 && calls[i].text[n - 1] != '}')
                        n--;
                while (n-- > 0) /* no part of it is a call */
                        assert_true(varlink_call_parse(&call, calls[i].text, n, &error) < 0);
        }
}

static void test_depth(void **state)
{
        static const char head[] = "{\"method\":\"a.b\",\"parameters\":{\"x\":";
        char text[128];
        struct varlink_call call;
        struct error error;

        /* Two of the levels are the call's and its parameters'. */
        for (int deep = VARLINK_DEPTH_MAX - 2; deep <= VARLINK_DEPTH_MAX - 1; deep++) {
                size_t n = sizeof head - 1;
                int r;

                memcpy(text, head, n);

                for (int i = 0; i < deep; i++)
                        text[n++] = '[';
                for (int i = 0; i < deep; i++)
                        text[n++] = ']';
                memcpy(text + n, "}}", 3);
                r = varlink_call_parse(&call, text, n + 2, &error);
                assert_int_equal(r == 0, deep == VARLINK_DEPTH_MAX - 2);
                if (r == 0)
                        varlink_call_done(&call);
        }
}

#define U "01A20958-d227-73c3-8c2e-be8fd20dfa3e"
static const struct {
        const char *more; /* members after workspace and prompt */
        const char *key;  /* "": it is taken */
        enum error_kind kind;
} submits[] = {
        {"", "", ERROR_NONE},
        {",\"cwd\":\"a/b\",\"model\":\"gpt-6\",\"sandbox_mode\":\"read-only\"", "", ERROR_NONE},
        {",\"thread_id\":\"" U "\",\"owner\":\"jane@example.org\",\"class\":\"automation\"", "",
         ERROR_NONE},
        {",\"network_access\":false,\"skip_git_repo_check\":true,\"deadline_s\":1", "", ERROR_NONE},
        {",\"deadline_s\":86400,\"on_disconnect\":\"detach\",\"thread_id\":null", "", ERROR_NONE},
        {",\"approval_policy\":\"never\",\"idempotency_key\":null", "", ERROR_NONE},
        {",\"thread_id\":\"last\"", "thread_id", ERROR_BAD_REQUEST},
        {",\"thread_id\":\"\"", "thread_id", ERROR_BAD_REQUEST},
        {",\"model\":\"-c\"", "model", ERROR_BAD_REQUEST},
        {",\"sandbox_mode\":\"none\"", "sandbox_mode", ERROR_BAD_REQUEST},
        {",\"approval_policy\":\"always\"", "approval_policy", ERROR_BAD_REQUEST},
        {",\"class\":\"urgent\"", "class", ERROR_BAD_REQUEST},
        {",\"owner\":\"\"", "owner", ERROR_BAD_REQUEST},
        {",\"owner\":\"a\\nb\"", "owner", ERROR_BAD_REQUEST},
        {",\"owner\":\"0123456789012345678901234567890123456789012345678901234567890123x\"",
         "owner", ERROR_BAD_REQUEST},
        {",\"deadline_s\":0", "deadline_s", ERROR_BAD_REQUEST},
        {",\"deadline_s\":86401", "deadline_s", ERROR_BAD_REQUEST},
        {",\"deadline_s\":1.5", "deadline_s", ERROR_BAD_REQUEST},
        {",\"network_access\":\"yes\"", "network_access", ERROR_BAD_REQUEST},
        {",\"on_disconnect\":\"cancel\"", "on_disconnect", ERROR_POLICY_UNSUPPORTED},
        {",\"on_disconnect\":\"x\"", "on_disconnect", ERROR_BAD_REQUEST},
        {",\"idempotency_key\":\"k\"", "idempotency_key", ERROR_POLICY_UNSUPPORTED},
        {",\"output_schema\":{}", "output_schema", ERROR_POLICY_UNSUPPORTED},
        {",\"images\":[]", "images", ERROR_POLICY_UNSUPPORTED},
        {",\"env\":{\"A\":\"b\"}", "env", ERROR_POLICY_UNSUPPORTED},
        {",\"additional_directories\":[]", "additional_directories", ERROR_POLICY_UNSUPPORTED},
        {",\"Model\":\"gpt-6\"", "Model", ERROR_BAD_REQUEST},
};

static json_t *submit_with(const char *more)
{
        char text[1024];
        json_t *json;

        (void) snprintf(text, sizeof text, "{\"workspace\":\"example.org\",\"prompt\":\"hi\"%s}",
                        more);
        json = json_loads(text, 0, NULL);
        assert_non_null(json);
        return json;
}

static void test_submits(void **state)
{
        for (size_t i = 0; i < sizeof submits / sizeof submits[0]; i++) {
                json_t *json = submit_with(submits[i].more), *kept;
                struct request request, again;
                struct error error = {0};
                const char *prompt;
                size_t n;
                int r = request_parse(&request, json, "4711", &prompt, &n, &error);

                print_message("%s\n", submits[i].more);
                assert_string_equal(error.key, submits[i].key);
                assert_int_equal(error.kind, submits[i].kind);
                assert_int_equal(r == 0, submits[i].kind == ERROR_NONE);
                if (r == 0) { /* what is kept of it is read as the same */
                        assert_int_equal(n, 2);
                        kept = request_to_json(&request);
                        assert_null(json_object_get(kept, "prompt"));
                        assert_int_equal(request_from_json(&again, kept, &error), 0);
                        assert_memory_equal(&request, &again, sizeof request);
                        json_decref(kept);
                }
                json_decref(json);
        }
}

static void test_required(void **state)
{
        static const struct {
                const char *text, *key;
        } cases[] = {
                {"{\"prompt\":\"a\"}", "workspace"},
                {"{\"workspace\":\"a\"}", "prompt"},
                {"{\"workspace\":null,\"prompt\":\"a\"}", "workspace"},
                {"{\"workspace\":\"../etc\",\"prompt\":\"a\"}", "workspace"},
                {"{\"workspace\":\"\",\"prompt\":\"a\"}", "workspace"},
                {"{\"workspace\":\"a\",\"prompt\":\"\"}", "prompt"},
                {"{\"workspace\":7,\"prompt\":\"a\"}", "workspace"},
        };

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                json_t *json = json_loads(cases[i].text, 0, NULL);
                struct request request;
                struct error error = {0};
                const char *prompt;
                size_t n;

                assert_true(request_parse(&request, json, "0", &prompt, &n, &error) < 0);
                assert_string_equal(error.key, cases[i].key);
                json_decref(json);
        }
        {
                struct request request;
                struct error error = {0};
                const char *prompt;
                size_t n;

                assert_true(request_parse(&request, NULL, "0", &prompt, &n, &error) < 0);
        }
}

static const struct {
        const char *cwd, *want; /* NULL: refused */
} cwds[] = {
        {"", ""},
        {".", ""},
        {"a", "a"},
        {"a/b/", "a/b"},
        {"/srv/one/user", ""},
        {"/srv/one/user/", ""},
        {"/srv/one/user/a", "a"},
        {"/srv/one/user//a", "a"},
        {"/srv/one/userx", NULL},
        {"/srv/one", NULL},
        {"/", NULL},
        {"/srv/one/user/../x", NULL},
        {"..", NULL},
        {"a/../b", NULL},
        {"a//b", NULL},
        {"./a", NULL},
};

static void test_cwds(void **state)
{
        for (size_t i = 0; i < sizeof cwds / sizeof cwds[0]; i++) {
                struct request request = {0};
                struct error error = {0};
                int r;

                print_message("%s\n", cwds[i].cwd);
                (void) snprintf(request.cwd, sizeof request.cwd, "%s", cwds[i].cwd);
                r = request_set_cwd(&request, "/srv/one/user", &error);
                assert_int_equal(r == 0, cwds[i].want != NULL);
                if (r == 0)
                        assert_string_equal(request.cwd, cwds[i].want);
                else
                        assert_string_equal(error.key, "cwd");
        }
}

static const struct {
        const char *bytes, *clean;
        size_t n;
} texts[] = {
        {"plain\n\ttext", "plain\n\ttext", 11},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"a\xff\x80z", "a??z", 4},
        {"\xc0\xaf", "??", 2},      /* overlong */
        {"\xed\xa0\x80", "???", 3}, /* a surrogate */
        {"\xf4\x90\x80\x80", "????", 4},
        {"\xe2\x82", "??", 2},
        {"\x1b[31m\x7f", "?[31m?", 6},
        {"a\0b", "a?b", 3},
};

static void test_texts(void **state)
{
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                char to[64];
                size_t n = text_clean(to, sizeof to, texts[i].bytes, texts[i].n);

                assert_string_equal(to, texts[i].clean);
                for (size_t room = 1; room < n + 1; room++) {
                        size_t k = text_clean(to, room, texts[i].bytes, texts[i].n);

                        assert_true(k < room && to[k] == '\0');
                        for (size_t at = 0; at < k; at += text_character(to + at, k - at))
                                assert_true(text_character(to + at, k - at) > 0);
                }
        }
        assert_int_equal(text_count("a\xc3\xa4\xf0\x9f\x98\x80", 7), 3);
}

static void test_versions(void **state)
{
        static const struct {
                const char *text, *want;
        } cases[] = {
                {"codex-cli 0.169.0\n", "0.169.0"},
                {"codex-cli 0.169.0-alpha.1", "0.169.0-alpha.1"},
                {"0.1\r\nmore", "0.1"},
                {"", NULL},
                {"\n", NULL},
                {"codex-cli 0.1;rm\n", NULL},
        };
        char is[16];

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                int r = version_parse(cases[i].text, strlen(cases[i].text), is, sizeof is);

                assert_int_equal(r == 0, cases[i].want != NULL);
                if (r == 0)
                        assert_string_equal(is, cases[i].want);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_calls),    cmocka_unit_test(test_depth),
                cmocka_unit_test(test_submits),  cmocka_unit_test(test_required),
                cmocka_unit_test(test_cwds),     cmocka_unit_test(test_texts),
                cmocka_unit_test(test_versions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
