/* The read-back of an identity: one honest text of /proc/PID/status, and every line of it made
 * false. */
#include "cleanup.h"
#include "verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char honest[] = "Name:\tcodex\n"
                             "Umask:\t0022\n"
                             "State:\tS (sleeping)\n"
                             "Pid:\t4711\n"
                             "Uid:\t987\t987\t987\t987\n"
                             "Gid:\t986\t986\t986\t986\n"
                             "FDSize:\t64\n"
                             "Groups:\t33 1000 \n"
                             "NSpid:\t4711\t2\n"
                             "CapInh:\t0000000000000000\n"
                             "CapPrm:\t0000000000000000\n"
                             "CapEff:\t0000000000000000\n"
                             "CapBnd:\t0000000000000000\n"
                             "CapAmb:\t0000000000000000\n"
                             "NoNewPrivs:\t1\n"
                             "Seccomp:\t0\n";

static const gid_t groups[] = {1000, 33};
static const struct verify_wanted wanted = {.uid = 987, .gid = 986, .groups = groups, .ngroups = 2};

static int check(const char *status, const struct verify_wanted *w, struct error *err)
{
        struct wire_identity seen;
        int zombie;

        return verify_status(status, w, &seen, &zombie, err);
}

static void honest_passes(void **state)
{
        struct wire_identity seen;
        struct error err = {0};
        int zombie = 7;

        assert_int_equal(verify_status(honest, &wanted, &seen, &zombie, &err), 0);
        assert_int_equal(seen.uid, 987);
        assert_int_equal(seen.gid, 986);
        assert_int_equal(seen.ngroups, 2);
        assert_int_equal(seen.no_new_privs, 1);
        assert_int_equal(seen.capabilities, 0);
        assert_int_equal(zombie, 0);
}

/* Replaces the one occurrence of `from`, and expects a refusal whose message names `sign`. */
static void refuse(const char *from, const char *to, const char *sign)
{
        _cleanup_free_ char *text = malloc(sizeof honest + strlen(to));
        const char *at = strstr(honest, from);
        struct error err = {0};

        assert_non_null(at);
        (void) sprintf(text, "%.*s%s%s", (int) (at - honest), honest, to, at + strlen(from));
        assert_true(check(text, &wanted, &err) < 0);
        assert_int_equal(err.kind, ERROR_PRIVILEGE_VERIFY);
        if (!strstr(err.message, sign))
                fail_msg("%s: \"%s\" does not name %s", to, err.message, sign);
}

static void every_difference_is_refused(void **state)
{
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

        refuse("Uid:\t987\t987\t987\t987", "Uid:\t0\t987\t987\t987", "Uid");
        refuse("Uid:\t987\t987\t987\t987", "Uid:\t987\t0\t987\t987", "Uid");
        refuse("Uid:\t987\t987\t987\t987", "Uid:\t987\t987\t0\t987", "Uid");
        refuse("Uid:\t987\t987\t987\t987", "Uid:\t987\t987\t987\t0", "Uid");
        refuse("Gid:\t986\t986\t986\t986", "Gid:\t986\t986\t0\t986", "Gid");
        refuse("Groups:\t33 1000 ", "Groups:\t33 1000 4 ", "Groups");
        refuse("Groups:\t33 1000 ", "Groups:\t33 ", "Groups");
        refuse("Groups:\t33 1000 ", "Groups:\t", "Groups");
        refuse("NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs");
        for (size_t i = 0; i < N_ELEMENTS(sets); i++) {
                char from[64], low[64], high[64];

                (void) snprintf(from, sizeof from, "%s:\t0000000000000000", sets[i]);
                (void) snprintf(low, sizeof low, "%s:\t0000000000000001", sets[i]);
                (void) snprintf(high, sizeof high, "%s:\t0000010000000000", sets[i]);
                refuse(from, low, sets[i]);
                refuse(from, high, sets[i]);
                refuse(from, "Cap:\t0", sets[i]); /* a line that is missing is no proof */
        }
        refuse("Uid:\t", "Old:\t", "Uid");
        refuse("Groups:\t", "Crowd:\t", "Groups");
        refuse("NoNewPrivs:\t", "SomeNewPrivs:\t", "NoNewPrivs");
}

/* "Uid:" inside another line's value must not be taken for the line. */
static void a_name_cannot_pose_as_a_line(void **state)
{
        _cleanup_free_ char *text = malloc(sizeof honest + 64);
        struct error err = {0};

        (void) sprintf(text, "Name:\tUid:\t0\t0\t0\t0\n%s", strchr(honest, '\n') + 1);
        assert_int_equal(check(text, &wanted, &err), 0);
}

static void no_groups_means_none(void **state)
{
        const struct verify_wanted alone = {.uid = 987, .gid = 986};
        struct error err = {0};

        assert_true(check(honest, &alone, &err) < 0);
        assert_non_null(strstr(err.message, "33"));
}

/* Whatever is cut off, what is left is never enough, and never read past. */
static void no_prefix_passes(void **state)
{
        size_t enough =
                (size_t) (strstr(honest, "NoNewPrivs:\t1") - honest) + strlen("NoNewPrivs:\t1");

        for (size_t n = 0; n < enough; n++) {
                _cleanup_free_ char *text = strndup(honest, n);
                struct error err = {0};

                assert_true(check(text, &wanted, &err) < 0);
        }
}

static void a_zombie_is_told(void **state)
{
        _cleanup_free_ char *text = strdup(honest);
        struct wire_identity seen;
        struct error err = {0};
        int zombie = 0;

        memcpy(strstr(text, "S (sleeping)"), "Z (zombie)  ", 12);
        assert_int_equal(verify_status(text, &wanted, &seen, &zombie, &err), 0);
        assert_int_equal(zombie, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(honest_passes),
                cmocka_unit_test(every_difference_is_refused),
                cmocka_unit_test(a_name_cannot_pose_as_a_line),
                cmocka_unit_test(no_groups_means_none),
                cmocka_unit_test(no_prefix_passes),
                cmocka_unit_test(a_zombie_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
