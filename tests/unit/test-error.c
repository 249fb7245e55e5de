#include "cleanup.h"
#include "error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_kind_has_its_row(void **unused)
{
        for (int i = 0; i < _ERROR_KIND_MAX; i++) {
                enum error_kind kind = (enum error_kind) i;

                assert_int_equal(error_kind_check((uint32_t) i), i);
                assert_non_null(error_kind_word(kind));
                assert_non_null(error_kind_varlink(kind));
                if (i == ERROR_NONE) {
                        assert_int_equal(error_kind_number(kind), 0);
                        continue;
                }
                assert_int_equal(strspn(error_kind_word(kind), "abcdefghijklmnopqrstuvwxyz-"),
                                 strlen(error_kind_word(kind)));
                assert_int_equal(strncmp(error_kind_varlink(kind), "io.codexd.", 10), 0);
                assert_true(error_kind_number(kind) > 0);
                for (int k = 0; k < i; k++) {
                        assert_string_not_equal(error_kind_word(kind),
                                                error_kind_word((enum error_kind) k));
                        assert_string_not_equal(error_kind_varlink(kind),
                                                error_kind_varlink((enum error_kind) k));
                }
        }
        assert_int_equal(error_kind_check(_ERROR_KIND_MAX), ERROR_INTERNAL);
        assert_int_equal(error_kind_check(UINT32_MAX), ERROR_INTERNAL);
        assert_string_equal(error_kind_word(ERROR_THREAD_BUSY), "thread-busy");
        assert_string_equal(error_kind_varlink(ERROR_THREAD_BUSY), "io.codexd.ThreadBusy");
}

static void setting_and_prefixing(void **unused)
{
        struct error err;

        assert_int_equal(error_set(&err, ERROR_THREAD_BUSY, "thread %d", 7), -EBUSY);
        assert_int_equal(err.kind, ERROR_THREAD_BUSY);
        assert_int_equal(err.number, EBUSY);
        assert_string_equal(err.message, "thread 7");
        assert_string_equal(err.key, "");
        assert_string_equal(err.step, "");
        assert_int_equal(error_prefix(&err, -EBUSY, "job %d", 3), -EBUSY);
        assert_string_equal(err.message, "job 3: thread 7");

        assert_int_equal(error_set_errno(&err, ERROR_INTERNAL, ENOSPC, "writing"), -ENOSPC);
        assert_string_equal(err.message, "writing: No space left on device");
        assert_int_equal(error_set_key(&err, ERROR_POLICY_REFUSED, "network_access", "no"),
                         -EACCES);
        assert_string_equal(err.key, "network_access");
        assert_int_equal(error_set(&err, ERROR_DEADLINE, "again"), -ETIME);
        for (size_t i = 0; i < sizeof err.key; i++) /* nothing of the former stays */
                assert_int_equal(err.key[i], '\0');

        assert_int_equal(error_set(NULL, ERROR_DEADLINE, "nobody asks"), -ETIME);
        assert_int_equal(error_set_errno(NULL, ERROR_INTERNAL, ENOSPC, "x"), -ENOSPC);
        assert_int_equal(error_set_key(NULL, ERROR_POLICY_REFUSED, "k", "x"), -EACCES);
        assert_int_equal(error_prefix(NULL, -5, "x"), -5);
}

static void a_message_may_quote_itself(void **unused)
{
        struct error err;

        (void) error_set_key(&err, ERROR_CONFIG_INVALID, "limits", "inner");
        (void) error_set_key(&err, ERROR_POLICY_REFUSED, err.key, "outer (%s)", err.message);
        assert_string_equal(err.message, "outer (inner)");
        assert_string_equal(err.key, "limits");
}

static bool zero_behind(const struct error *err)
{
        for (size_t n = strlen(err->message); n < sizeof err->message; n++)
                if (err->message[n])
                        return false;
        return true;
}

/* Characters of each width, at each offset: the cut is never inside one, and nothing stays behind.
 */
static void long_messages_are_cut_at_a_character(void **unused)
{
        static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac",
                                                 "\xf0\x9f\x98\x80"};

        for (size_t k = 0; k < N_ELEMENTS(characters); k++) {
                size_t width = strlen(characters[k]);

                for (size_t shift = 0; shift < 8; shift++) {
                        char text[1001] = {0};
                        struct error err;

                        memset(text, 'a', shift);
                        for (size_t i = shift; i + width < sizeof text; i += width)
                                memcpy(text + i, characters[k], width);
                        (void) error_set(&err, ERROR_INTERNAL, "%s", text);
                        assert_in_range(strlen(err.message), sizeof err.message - 4,
                                        sizeof err.message - 1);
                        assert_int_equal((strlen(err.message) - shift) % width, 0);
                        assert_true(zero_behind(&err));

                        (void) error_prefix(&err, -1, "%s", text);
                        assert_int_equal(err.message[sizeof err.message - 1], '\0');
                        assert_true(strlen(err.message) >= sizeof err.message - 4);
                        assert_true(zero_behind(&err));
                        /* a long prefix leaves room for the cause */
                        assert_int_equal((strcspn(err.message, ":") - shift) % width, 0);
                        assert_true(strcspn(err.message, ":") <= 160);

                        (void) error_set_errno(&err, ERROR_INTERNAL, ENOSPC, "%s", text);
                        assert_true(zero_behind(&err));
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_has_its_row),
                cmocka_unit_test(setting_and_prefixing),
                cmocka_unit_test(a_message_may_quote_itself),
                cmocka_unit_test(long_messages_are_cut_at_a_character),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
