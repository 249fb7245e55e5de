#include "cleanup.h"
#include "jsonscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum verdict { OBJECT, OTHER_VALUE, MORE, BAD };
#define B(s) s, sizeof(s) - 1

static const struct scan_case {
        const char *bytes;
        size_t n;
        enum verdict want;
} cases[] = {
        {B("{}"), OBJECT},
        {B(" \t\r\n{ \t\r\n} \t\r\n"), OBJECT},
        {B("{\"a\":1}"), OBJECT},
        {B("{\"a\":{\"b\":[1,[],{},\"x\",true,false,null]},\"\":-0.5e+10}"), OBJECT},
        {B("{\"a\":0,\"b\":-0,\"c\":10,\"d\":0.0,\"e\":1e5,\"f\":1E-05,\"g\":1.5e9}"), OBJECT},
        {B("{\"same\":1,\"same\":2}"), OBJECT},
        {B("{\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\u0000\":\"\\ud800\"}"), OBJECT},
        {B("{\"big\":123456789012345678901234567890e999999}"), OBJECT},
        {B("{\"plain bytes, more than eight of them, then\":\"one \\\" and an \xc3\xa9 in it\"}"),
         OBJECT},
        {B("{\"del\":\"\x7f\"}"), OBJECT},
        {B("{\"utf8\":\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80"
           "\xf4\x8f\xbf\xbf\"}"),
         OBJECT},
        {B("[]"), OTHER_VALUE},
        {B("[{}]"), OTHER_VALUE},
        {B("[{},{\"a\":[]}]"), OTHER_VALUE},
        {B("\"text\""), OTHER_VALUE},
        {B("12 "), OTHER_VALUE},
        {B("null"), OTHER_VALUE},
        {B(""), MORE},
        {B("   "), MORE},
        {B("{"), MORE},
        {B("{\"a\""), MORE},
        {B("{\"a\":"), MORE},
        {B("{\"a\":1,"), MORE},
        {B("{\"a\":\"\\u12"), MORE},
        {B("{\"a\":\"\xe2\x82"), MORE},
        {B("{\"a\":tru"), MORE},
        {B("{}{}"), BAD},
        {B("{} x"), BAD},
        {B("{}\0"), BAD},
        {B("{\0}"), BAD},
        {B("{\"a\":12\0}"), BAD}, /* jansson takes it */
        {B("{\"a\0\":1}"), BAD},
        {B("{,}"), BAD},
        {B("{\"a\":1,}"), BAD},
        {B("{\"a\" 1}"), BAD},
        {B("{\"a\":}"), BAD},
        {B("{a:1}"), BAD},
        {B("{'a':1}"), BAD},
        {B("{1:1}"), BAD},
        {B("{\"a\":1 \"b\":2}"), BAD},
        {B("[1,]"), BAD},
        {B("[,1]"), BAD},
        {B("[1 2]"), BAD},
        {B("[1}"), BAD},
        {B("{\"a\":1]"), BAD},
        {B("]"), BAD},
        {B("}"), BAD},
        {B("1,2"), BAD},
        {B("{\"a\":01}"), BAD},
        {B("{\"a\":+1}"), BAD},
        {B("{\"a\":-}"), BAD},
        {B("{\"a\":1.}"), BAD},
        {B("{\"a\":.5}"), BAD},
        {B("{\"a\":1e}"), BAD},
        {B("{\"a\":1e+}"), BAD},
        {B("{\"a\":0x1}"), BAD},
        {B("{\"a\":NaN}"), BAD},
        {B("{\"a\":True}"), BAD},
        {B("{\"a\":nulll}"), BAD},
        {B("{\"a\":\"\t\"}"), BAD},
        {B("{\"a\":\"\x01\"}"), BAD},
        {B("{\"a\":\"\n\"}"), BAD},
        {B("{\"a\":\"\x1f\"}"), BAD},
        {B("{\"a\":\"1234567\x1f\"}"), BAD},
        {B("{\"a\":\"\\x\"}"), BAD},
        {B("{\"a\":\"\\'\"}"), BAD},
        {B("{\"a\":\"\\u12g4\"}"), BAD},
        {B("{\"a\":\"\x80\"}"), BAD},
        {B("{\"a\":\"\xc0\x80\"}"), BAD},
        {B("{\"a\":\"\xc1\xbf\"}"), BAD},
        {B("{\"a\":\"\xc3(\"}"), BAD},
        {B("{\"a\":\"\xe0\x9f\xbf\"}"), BAD},
        {B("{\"a\":\"\xed\xa0\x80\"}"), BAD},
        {B("{\"a\":\"\xf0\x8f\xbf\xbf\"}"), BAD},
        {B("{\"a\":\"\xf4\x90\x80\x80\"}"), BAD},
        {B("{\"a\":\"\xf5\x80\x80\x80\"}"), BAD},
        {B("{\"a\":\"\xff\"}"), BAD},
        {B("\xef\xbb\xbf{}"), BAD},
        {B("{\xc3\xa9:1}"), BAD},
        {B("// comment\n{}"), BAD},
};

static bool scan(const char *bytes, size_t n, size_t step, bool *ret_object)
{
        struct jsonscan scan;
        bool ok = true;

        jsonscan_init(&scan);
        for (size_t i = 0; i < n && ok; i += step) {
                /* a copy of its own size: reading past it is for the sanitizer to see */
                size_t k = MIN(step, n - i);
                _cleanup_free_ char *part = malloc(k);

                assert_non_null(part);
                memcpy(part, bytes + i, k);
                ok = jsonscan_feed(&scan, part, k);
        }
        *ret_object = jsonscan_is_object(&scan);
        if (!ok) {
                assert_false(*ret_object);
                assert_false(jsonscan_feed(&scan, "}", 1)); /* it stays false */
        }
        return ok;
}

static void table(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct scan_case *c = &cases[i];

                for (size_t step = 1; step < 40; step++) {
                        bool object, ok = scan(c->bytes, c->n, step, &object);

                        if (ok != (c->want != BAD) || object != (c->want == OBJECT))
                                fail_msg("%s (in steps of %zu): %d, object %d", c->bytes, step, ok,
                                         object);
                }
        }
}

static void every_prefix_needs_more(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct scan_case *c = &cases[i];
                size_t n = c->n;

                if (c->want == BAD)
                        continue;
                while (n > 0 && strchr(" \t\r\n", c->bytes[n - 1]))
                        n--;
                for (size_t part = 0; part < n; part++) {
                        bool object, ok = scan(c->bytes, part, 7, &object);

                        if (!ok || object)
                                fail_msg("%.*s: ok %d, object %d", (int) part, c->bytes, ok,
                                         object);
                }
        }
}

static void depth(void **unused)
{
        static const char nested[] = "{\"a\":[{},{}],\"b\":{\"c\":[]},\"d\":[[]]}";
        char open[JSONSCAN_DEPTH_MAX + 1], close[JSONSCAN_DEPTH_MAX];
        struct jsonscan scan;

        memset(open, '[', sizeof open);
        memset(close, ']', sizeof close);
        jsonscan_init(&scan);
        assert_true(jsonscan_feed(&scan, open, JSONSCAN_DEPTH_MAX));
        assert_true(jsonscan_feed(&scan, close, JSONSCAN_DEPTH_MAX));
        assert_false(jsonscan_feed(&scan, "]", 1));
        jsonscan_init(&scan);
        assert_false(jsonscan_feed(&scan, open, JSONSCAN_DEPTH_MAX + 1));
        /* what a stack bit was before does not matter */
        jsonscan_init(&scan);
        assert_true(jsonscan_feed(&scan, nested, sizeof nested - 1));
        assert_true(jsonscan_is_object(&scan));
}

/* jansson agrees, but for what the header says we let pass. */
static void agree(const char *bytes, size_t n)
{
        json_error_t why;
        json_t *json = json_loadb(bytes, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
        bool object, ok;

        ok = scan(bytes, n, 1 + n / 3, &object);
        if (memchr(bytes, '\0',
                   n)) /* refused by us, wherever; jansson swallows one behind a number */
                assert_false(object);
        else if (json && json_is_object(json) && !object)
                fail_msg("refused: %.*s", (int) n, bytes);
        else if (json && !ok)
                fail_msg("refused: %.*s", (int) n, bytes);
        if (!json && object && !strstr(why.text, "invalid Unicode") &&
            !strstr(why.text, "too big") && !strstr(why.text, "overflow") &&
            !strstr(why.text, "NUL byte in object key"))
                fail_msg("accepted: %.*s: %s", (int) n, bytes, why.text);
        json_decref(json);
}

static void as_jansson_does(void **unused)
{
        static const char bytes[] =
                "{}[]\",:\\0123eE+-.tfnrulasb /u\x01\x7f\n\x80\xc3\xa9\xed\xa0\xf0";
        unsigned seed = 1;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                agree(cases[i].bytes, cases[i].n);
        for (int round = 0; round < 100000; round++) {
                /* an accepted text with a byte or two changed, taken out or put in */
                const struct scan_case *c = &cases[(unsigned) rand_r(&seed) % 11];
                char text[256];
                size_t n = c->n;

                memcpy(text, c->bytes, n);
                for (int k = 1 + rand_r(&seed) % 2; k > 0; k--) {
                        size_t at = (size_t) rand_r(&seed) % n;
                        char byte = bytes[(size_t) rand_r(&seed) % (sizeof bytes - 1)];

                        switch (rand_r(&seed) % 3) {
                        case 0:
                                text[at] = byte;
                                break;
                        case 1:
                                memmove(text + at + 1, text + at, n++ - at);
                                text[at] = byte;
                                break;
                        default:
                                if (n > 1)
                                        memmove(text + at, text + at + 1, --n - at);
                        }
                }
                agree(text, n);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table),
                cmocka_unit_test(every_prefix_needs_more),
                cmocka_unit_test(depth),
                cmocka_unit_test(as_jansson_does),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
