#include "cleanup.h"
#include "name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct name_case {
        const char *name;
        bool workspace, model, path;
} cases[] = {
        {"", false, false, true},           {"a", true, true, true},
        {"shop.example", true, true, true}, {"_x", true, true, true},
        {"A9._-", true, true, true},        {".", false, true, false},
        {"..", false, true, false},         {"...", false, true, true},
        {".hidden", false, true, true},     {"-rf", false, false, true},
        {"a..b", true, true, true},         {"a/b", false, true, true},
        {"a/", false, true, false},         {"/a", false, true, false},
        {"a//b", false, true, false},       {"a/./b", false, true, false},
        {"a/../b", false, true, false},     {"a/..", false, true, false},
        {"../a", false, true, false},       {"a/...", false, true, true},
        {"a b", false, false, true},        {"a\nb", false, false, true},
        {"a:b", false, true, true},         {"a\xc3\xa9", false, false, true},
        {"a%", false, false, true},         {"a\\b", false, false, true},
        {"a*", false, false, true},
};

static void table(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct name_case *c = &cases[i];

                if (name_is_workspace(c->name) != c->workspace)
                        fail_msg("workspace: \"%s\"", c->name);
                if (name_is_model(c->name) != c->model)
                        fail_msg("model: \"%s\"", c->name);
                if (name_is_relative_path(c->name, 100) != c->path)
                        fail_msg("path: \"%s\"", c->name);
        }
}

static void lengths(void **unused)
{
        char name[NAME_WORKSPACE_MAX + 2] = {0};

        memset(name, 'a', NAME_WORKSPACE_MAX);
        assert_true(name_is_workspace(name));
        name[NAME_WORKSPACE_MAX] = 'a';
        assert_false(name_is_workspace(name));
        name[NAME_MODEL_MAX] = '\0';
        assert_true(name_is_model(name));
        name[NAME_MODEL_MAX] = 'a';
        assert_false(name_is_model(name));
        /* `max` is the array: its NUL must be inside */
        assert_true(name_is_relative_path("abc", 4));
        assert_false(name_is_relative_path("abc", 3));
        assert_false(name_is_relative_path("", 0));
}

/* No byte but the allowed ones, anywhere. */
static void every_byte(void **unused)
{
        const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

        for (int c = 1; c < 256; c++) {
                const char first[] = {(char) c, 'a', '\0'}, second[] = {'a', (char) c, '\0'};
                bool letter = strchr(letters, c);

                assert_int_equal(name_is_workspace(first), letter || c == '_');
                assert_int_equal(name_is_workspace(second), letter || strchr("._-", c));
                assert_int_equal(name_is_model(first), letter || strchr("._:/", c));
                assert_int_equal(name_is_model(second), letter || strchr("._:/-", c));
        }
}

static void uuids(void **unused)
{
        static const char good[] = "01234567-89ab-cdef-ABCD-EF0123456789";
        char name[40];

        assert_true(name_is_uuid(good));
        for (size_t n = 0; n < NAME_UUID_LENGTH; n++) {
                memcpy(name, good, sizeof good);
                name[n] = '\0';
                assert_false(name_is_uuid(name)); /* every prefix */
                memcpy(name, good, sizeof good);
                name[n] = 'g';
                assert_false(name_is_uuid(name));
                name[n] = good[n] == '-' ? '0' : '-';
                assert_false(name_is_uuid(name));
        }
        memcpy(name, good, sizeof good);
        memcpy(name + NAME_UUID_LENGTH, "0", 2);
        assert_false(name_is_uuid(name));
        memcpy(name + NAME_UUID_LENGTH, "\n", 2);
        assert_false(name_is_uuid(name));
        assert_false(name_is_uuid("last"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table),
                cmocka_unit_test(lengths),
                cmocka_unit_test(every_byte),
                cmocka_unit_test(uuids),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
