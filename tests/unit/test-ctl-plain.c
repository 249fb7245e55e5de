#include "cleanup.h"
#include "plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define B(s) s, sizeof(s) - 1

static const struct plain_case {
        const char *what, *bytes;
        size_t n;
        enum plain_mode mode;
        const char *want;
} cases[] = {
        {"nothing", B(""), PLAIN_TEXT, ""},
        {"ASCII", B("Hello, world"), PLAIN_TEXT, "Hello, world"},
        {"lines and tabs stay in text", B("a\tb\nc"), PLAIN_TEXT, "a\tb\nc"},
        {"and are blanks on a line", B("a\tb\nc\rd"), PLAIN_LINE, "a b c d"},
        {"and in JSON", B("{\n\t}\r"), PLAIN_JSON, "{  } "},
        {"CR LF is LF", B("a\r\nb"), PLAIN_TEXT, "a\nb"},
        {"a CR alone goes back over the line", B("good\revil"), PLAIN_TEXT, "good\\x0devil"},
        {"a CR at the end", B("a\r"), PLAIN_TEXT, "a\\x0d"},
        {"an escape sequence", B("\033[2J\033]0;title\007"), PLAIN_TEXT,
         "\\x1b[2J\\x1b]0;title\\x07"},
        {"in JSON it stays JSON", B("\"\033[2J\""), PLAIN_JSON, "\"\\u001b[2J\""},
        {"NUL", B("a\0b"), PLAIN_TEXT, "a\\x00b"},
        {"backspace and DEL", B("a\b\177"), PLAIN_TEXT, "a\\x08\\x7f"},
        {"C1: CSI in one character",
         B("\302\233"
           "2J"),
         PLAIN_TEXT, "\\x9b2J"},
        {"C1 as a raw byte is no UTF-8",
         B("\233"
           "2J"),
         PLAIN_TEXT,
         "\357\277\275"
         "2J"},
        {"reordering", B("a\342\200\256b"), PLAIN_TEXT, "a\\u202eb"},
        {"isolates", B("\342\201\246"), PLAIN_LINE, "\\u2066"},
        {"a line separator", B("\342\200\250"), PLAIN_LINE, "\\u2028"},
        {"zero width", B("\342\200\213\357\273\277"), PLAIN_TEXT, "\\u200b\\ufeff"},
        {"a tag, in text and in JSON", B("\363\240\201\201"), PLAIN_TEXT, "\\U000e0041"},
        {"a tag in JSON is two surrogates", B("\363\240\201\201"), PLAIN_JSON, "\\udb40\\udc41"},
        {"letters of every length", B("\303\251\342\202\254\360\237\230\200"), PLAIN_TEXT,
         "\303\251\342\202\254\360\237\230\200"},
        {"a lone continuation", B("a\200b"), PLAIN_TEXT, "a\357\277\275b"},
        {"overlong", B("\300\257"), PLAIN_TEXT, "\357\277\275\357\277\275"},
        {"overlong in three", B("\340\200\257"), PLAIN_TEXT,
         "\357\277\275\357\277\275\357\277\275"},
        {"a surrogate", B("\355\240\200"), PLAIN_TEXT, "\357\277\275\357\277\275\357\277\275"},
        {"over U+10FFFF", B("\364\220\200\200"), PLAIN_TEXT,
         "\357\277\275\357\277\275\357\277\275\357\277\275"},
        {"cut off", B("a\342\202"), PLAIN_TEXT, "a\357\277\275"},
        {"cut by another", B("\342\202\303\251"), PLAIN_TEXT, "\357\277\275\303\251"},
        {"cut by a control", B("\360\237\033"), PLAIN_TEXT, "\357\277\275\\x1b"},
};

/* Fed in parts of `step` bytes. */
static void check(const struct plain_case *c, size_t step)
{
        struct plain plain;
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        plain_init(&plain, out, c->mode);
        for (size_t i = 0; i < c->n; i += step)
                plain_feed(&plain, c->bytes + i, MIN(step, c->n - i));
        plain_end(&plain);
        (void) fclose(out);
        if (strcmp(text, c->want) != 0)
                fail_msg("%s, in parts of %zu: \"%s\"", c->what, step, text);
        free(text);
}

static void table_cut_anywhere(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                for (size_t step = 1; step <= cases[i].n + 1; step++)
                        check(&cases[i], step);
}

/* Whatever goes in: valid UTF-8 comes out, and no control character. */
static void nothing_passes(void **state)
{
        unsigned seed = 7;

        for (int round = 0; round < 2000; round++) {
                char bytes[64], *text = NULL;
                size_t size = 0;
                FILE *out = open_memstream(&text, &size);

                for (size_t i = 0; i < sizeof bytes; i++)
                        bytes[i] = (char) rand_r(&seed);
                plain_put(out, round % 2 ? PLAIN_LINE : PLAIN_JSON, bytes, sizeof bytes);
                (void) fclose(out);
                assert_true(plain_count(text, size) >= 0);
                for (size_t i = 0; i < size; i++) {
                        assert_true((unsigned char) text[i] >= 0x20 && text[i] != 0x7f);
                        assert_false(text[i] == '\302' && (unsigned char) text[i + 1] < 0xa0);
                }
                free(text);
        }
}

static void cut(void **state)
{
        static const struct {
                const char *text;
                size_t columns;
                const char *want;
        } cuts[] = {
                {"abcdef", 0, "abcdef"},
                {"abcdef", 6, "abcdef"},
                {"abcdef", 5, "ab..."},
                {"\303\251\303\251\303\251\303\251", 4, "\303\251\303\251\303\251\303\251"},
                {"\303\251\303\251\303\251\303\251\303\251", 4, "\303\251..."},
                {"\346\227\245\346\234\254\350\252\236", 6, "\346\227\245\346\234\254\350\252\236"},
                {"\346\227\245\346\234\254\350\252\236", 5,
                 "\346\227\245..."}, /* two columns each */
                {"\033\033", 7, "\\x1b..."},
        };

        for (size_t i = 0; i < N_ELEMENTS(cuts); i++) {
                char *text = NULL;
                size_t size = 0;
                FILE *out = open_memstream(&text, &size);

                plain_put_cut(out, cuts[i].text, cuts[i].columns);
                (void) fclose(out);
                assert_string_equal(text, cuts[i].want);
                free(text);
        }
}

static void count(void **state)
{
        assert_int_equal(plain_count(B("")), 0);
        assert_int_equal(plain_count(B("a\0b")), 3);
        assert_int_equal(plain_count(B("\303\251\360\237\230\200")), 2);
        assert_int_equal(plain_count(B("\303")), -1);
        assert_int_equal(plain_count(B("\303\303\251")), -1);
        assert_int_equal(plain_count(B("\200")), -1);
        assert_int_equal(plain_count(B("\340\200\200")), -1);
        assert_int_equal(plain_count(B("\355\240\200")), -1);
        assert_int_equal(plain_count(B("\364\220\200\200")), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table_cut_anywhere),
                cmocka_unit_test(nothing_passes),
                cmocka_unit_test(cut),
                cmocka_unit_test(count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
