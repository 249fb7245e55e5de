#include "cleanup.h"
#include "envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MISSING UINT64_MAX

static const struct envelope_case {
        const char *what, *text;
        const char *parameters, *event; /* "" not there */
        uint64_t seq;
        bool continues;
        const char *error; /* NULL: none */
} cases[] = {
        {"an event",
         "{\"parameters\":{\"seq\":7,\"time\":12,\"event\":{\"type\":\"x\"}},\"continues\":true}",
         "{\"seq\":7,\"time\":12,\"event\":{\"type\":\"x\"}}", "{\"type\":\"x\"}", 7, true, NULL},
        {"the last one", "{\"parameters\":{\"seq\":0,\"time\":12,\"event\":{}}}",
         "{\"seq\":0,\"time\":12,\"event\":{}}", "{}", 0, false, NULL},
        {"blanks and another order",
         " { \"continues\" : true , \"parameters\" : { \"event\" : [ 1 , { } ] , \"seq\" : 3 } } ",
         "{ \"event\" : [ 1 , { } ] , \"seq\" : 3 }", "[ 1 , { } ]", 3, true, NULL},
        {"braces and quotes in strings",
         "{\"parameters\":{\"event\":{\"a\":\"}]\\\"\\\\\",\"b\":\"{\"},\"seq\":1}}",
         "{\"event\":{\"a\":\"}]\\\"\\\\\",\"b\":\"{\"},\"seq\":1}",
         "{\"a\":\"}]\\\"\\\\\",\"b\":\"{\"}", 1, false, NULL},
        {"keys of the same name further in",
         "{\"parameters\":{\"event\":{\"seq\":9,\"continues\":true,\"event\":2}}}",
         "{\"event\":{\"seq\":9,\"continues\":true,\"event\":2}}",
         "{\"seq\":9,\"continues\":true,\"event\":2}", MISSING, false, NULL},
        {"a job id", "{\"parameters\":{\"job\":5},\"continues\":true}", "{\"job\":5}", "", MISSING,
         true, NULL},
        {"nothing at all", "{}", "", "", MISSING, false, NULL},
        {"empty parameters", "{\"parameters\":{}}", "{}", "", MISSING, false, NULL},
        {"an error", "{\"error\":\"io.codexd.NoSuchJob\",\"parameters\":{\"message\":\"no\"}}",
         "{\"message\":\"no\"}", "", MISSING, false, "io.codexd.NoSuchJob"},
        {"no error", "{\"error\":null,\"parameters\":{}}", "{}", "", MISSING, false, NULL},
        {"a number that is no seq", "{\"parameters\":{\"seq\":-1}}", "{\"seq\":-1}", "", MISSING,
         false, NULL},
        {"a seq that is too long", "{\"parameters\":{\"seq\":99999999999999999999999}}",
         "{\"seq\":99999999999999999999999}", "", MISSING, false, NULL},
        {"a key that is too long for us",
         "{\"parametersparametersparameters\":{\"seq\":1},\"parameters\":{\"seq\":2}}",
         "{\"seq\":2}", "", 2, false, NULL},
};

static const char *const bad[] = {
        "x",
        "[]",
        "{x",
        "{\"a\"x",
        "{\"a\":x",
        "{\"a\":1 2",
        "{}x",
        "{\"a\":1]",
        "\"a\"",
        "{\"parameters\":{\"a\":1},\"parameters\":{",
        "{,",
        "{\"a\":}",
        "{\"parameters\":}",
};

static bool same(const char *text, uint64_t from, uint64_t to, const char *want)
{
        return to - from == strlen(want) && memcmp(text + from, want, (size_t) (to - from)) == 0;
}

static void check(const struct envelope_case *c, size_t step)
{
        size_t n = strlen(c->text);
        struct envelope e;

        envelope_init(&e);
        for (size_t i = 0; i < n; i += step)
                if (!envelope_feed(&e, c->text + i, MIN(step, n - i)))
                        fail_msg("%s: refused in parts of %zu", c->what, step);
        if (!envelope_complete(&e) || e.offset != n)
                fail_msg("%s: not complete in parts of %zu", c->what, step);
        if (!same(c->text, e.parameters, e.parameters_end, c->parameters))
                fail_msg("%s: parameters in parts of %zu", c->what, step);
        if (!same(c->text, e.event, e.event_end, c->event))
                fail_msg("%s: event in parts of %zu", c->what, step);
        if (e.has_seq != (c->seq != MISSING) || (e.has_seq && e.seq != c->seq))
                fail_msg("%s: seq in parts of %zu", c->what, step);
        if (e.continues != c->continues || e.has_error != (c->error != NULL) ||
            (c->error && strcmp(e.error, c->error) != 0))
                fail_msg("%s: continues or error in parts of %zu", c->what, step);
}

static void table_in_parts(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                for (size_t step = 1; step <= strlen(cases[i].text); step++)
                        check(&cases[i], step);
}

static void no_strict_prefix_is_complete(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const char *text = cases[i].text;
                size_t n = (size_t) (strrchr(text, '}') - text); /* before the last brace */

                for (size_t part = 0; part <= n; part++) {
                        struct envelope e;

                        envelope_init(&e);
                        assert_true(envelope_feed(&e, text, part));
                        assert_false(envelope_complete(&e));
                }
        }
}

static void what_is_no_reply_is_refused_for_good(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                struct envelope e;

                envelope_init(&e);
                if (envelope_feed(&e, bad[i], strlen(bad[i])))
                        fail_msg("accepted: %s", bad[i]);
                assert_false(envelope_feed(&e, "}", 1));
                assert_false(envelope_complete(&e));
        }
}

static void depth_is_bounded(void **state)
{
        struct envelope e;
        bool good = true;

        envelope_init(&e);
        assert_true(envelope_feed(&e, "{\"a\":", 5));
        for (int i = 0; i < ENVELOPE_DEPTH_MAX; i++)
                good = good && envelope_feed(&e, "[", 1);
        assert_true(good);
        assert_false(envelope_feed(&e, "[", 1));
}

static void a_long_error_is_cut(void **state)
{
        struct envelope e;

        envelope_init(&e);
        assert_true(envelope_feed(&e, "{\"error\":\"", 10));
        for (int i = 0; i < 1000; i++)
                assert_true(envelope_feed(&e, "x", 1));
        assert_true(envelope_feed(&e, "\"}", 2));
        assert_true(envelope_complete(&e));
        assert_int_equal(strlen(e.error), sizeof e.error - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table_in_parts),
                cmocka_unit_test(no_strict_prefix_is_complete),
                cmocka_unit_test(what_is_no_reply_is_refused_for_good),
                cmocka_unit_test(depth_is_bounded),
                cmocka_unit_test(a_long_error_is_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
