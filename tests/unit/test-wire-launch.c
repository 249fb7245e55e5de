#include "cleanup.h"
#include "wire-launch.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY(member)                                                                              \
        {                                                                                          \
                offsetof(union wire_launch_any, member),                                           \
                        sizeof(((union wire_launch_any *) 0)->member)                              \
        }

static const struct type_case {
        uint32_t type;
        bool from_supervisor;
        size_t size, fds;
        struct {
                size_t offset, size;
        } strings[4]; /* that must be terminated, and zero behind */
} cases[] = {
        {WIRE_HELLO, true, sizeof(struct wire_hello), 0, {{0}}},
        {WIRE_PONG, true, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_RESOLVE,
         true,
         sizeof(struct wire_resolve),
         0,
         {ARRAY(resolve.workspace), ARRAY(resolve.cwd), ARRAY(resolve.wish.model)}},
        {WIRE_START,
         true,
         sizeof(struct wire_start),
         1,
         {ARRAY(start.workspace), ARRAY(start.cwd), ARRAY(start.wish.model),
          ARRAY(start.thread_id)}},
        {WIRE_SIGNAL, true, sizeof(struct wire_signal), 0, {{0}}},
        {WIRE_RELEASE, true, sizeof(struct wire_worker), 0, {{0}}},
        {WIRE_FORGET, true, sizeof(struct wire_worker), 0, {{0}}},
        {WIRE_RELOAD, true, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_STATUS, true, sizeof(struct wire_status), 0, {{0}}},
        {WIRE_POLICY, false, sizeof(struct wire_policy), 1, {{0}}},
        {WIRE_LISTEN, false, sizeof(struct wire_ping), 1, {{0}}},
        {WIRE_PING, false, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_RESOLVED, false, sizeof(struct wire_resolved), 0, {{0}}},
        {WIRE_STARTED, false, sizeof(struct wire_started), 0, {{0}}},
        {WIRE_START_FAILED, false, sizeof(struct wire_failed), 0, {{0}}},
        {WIRE_ADOPTED, false, sizeof(struct wire_started), 0, {{0}}},
        {WIRE_EXITED, false, sizeof(struct wire_exited), 0, {{0}}},
        {WIRE_GONE, false, sizeof(struct wire_exited), 0, {{0}}},
        {WIRE_RELOADED, false, sizeof(struct wire_failed), 0, {{0}}},
        {WIRE_SYNCED, false, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_NOTICE, false, sizeof(struct wire_exited), 0, {{0}}},
};

static void sealed(const struct type_case *c, union wire_launch_any *ret)
{
        uint64_t sequence = 41;

        memset(ret, 0, sizeof *ret);
        wire_launch_seal(ret, c->type, &sequence);
        assert_int_equal(sequence, 42);
}

static int check(const void *bytes, size_t n, bool from_supervisor, uint64_t last)
{
        /* of its own size: reading past it is for the sanitizer to see */
        _cleanup_free_ char *copy = malloc(n ? n : 1);
        uint64_t sequence = last;
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        r = wire_launch_check(copy, n, from_supervisor, &sequence);
        if (r < 0)
                assert_int_equal(sequence, last); /* moved on by what was accepted only */
        else
                assert_int_equal(sequence, ((const struct wire_header *) copy)->sequence);
        return r;
}

static void sizes_and_directions(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct type_case *c = &cases[i];
                union wire_launch_any m;
                uint8_t longer[sizeof m + 1] = {0};

                assert_true(c->size <= WIRE_LAUNCH_MAX);
                assert_int_equal(wire_launch_size(c->type, c->from_supervisor), c->size);
                assert_int_equal(wire_launch_size(c->type, !c->from_supervisor), 0);
                assert_int_equal(wire_launch_fds(c->type), c->fds);
                sealed(c, &m);
                assert_int_equal(check(&m, c->size, c->from_supervisor, 41), 0);
                assert_int_equal(check(&m, c->size, !c->from_supervisor, 41), -EPROTO);
                m.header.size -= 8;
                assert_int_equal(check(&m, c->size, c->from_supervisor, 41), -EPROTO);
                for (size_t n = 0; n < c->size; n++) /* every prefix, whatever size it claims */
                        for (int claim = 0; claim < 2; claim++) {
                                sealed(c, &m);
                                if (claim)
                                        m.header.size = (uint32_t) n;
                                assert_int_equal(check(&m, n, c->from_supervisor, 41), -EPROTO);
                        }
                for (int claim = 0; claim < 2; claim++) {
                        sealed(c, &m);
                        if (claim)
                                m.header.size++;
                        memcpy(longer, &m, c->size);
                        assert_int_equal(check(longer, c->size + 1, c->from_supervisor, 41),
                                         -EPROTO);
                }
        }
}

static void no_other_types(void **unused)
{
        for (uint32_t type = 0; type < 300; type++) {
                bool known = false;

                for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                        known |= cases[i].type == type;
                if (known)
                        continue;
                assert_int_equal(wire_launch_size(type, true), 0);
                assert_int_equal(wire_launch_size(type, false), 0);
                assert_int_equal(wire_launch_fds(type), 0);
                for (size_t n = 0; n <= WIRE_LAUNCH_MAX; n += 8) {
                        union wire_launch_any m = {0};

                        m.header = (struct wire_header){WIRE_LAUNCH_MAGIC, WIRE_LAUNCH_VERSION,
                                                        type, (uint32_t) n, 1};
                        assert_int_equal(check(&m, n, true, 0), -EPROTO);
                        assert_int_equal(check(&m, n, false, 0), -EPROTO);
                }
        }
}

static void the_header(void **unused)
{
        union wire_launch_any m;

        sealed(&cases[0], &m);
        m.header.magic ^= 1;
        assert_int_equal(check(&m, cases[0].size, true, 41), -EPROTO);
        sealed(&cases[0], &m);
        m.header.version++;
        assert_int_equal(check(&m, cases[0].size, true, 41), -EPROTO);
        sealed(&cases[0], &m);
        assert_int_equal(check(&m, cases[0].size, true, 42), -EBADMSG); /* replayed */
        assert_int_equal(check(&m, cases[0].size, true, 43), -EBADMSG); /* reordered */
        assert_int_equal(check(&m, cases[0].size, true, UINT64_MAX), -EBADMSG);
        m.header.sequence = 0;
        assert_int_equal(check(&m, cases[0].size, true, 0), -EBADMSG);
        m.header.sequence = UINT64_MAX; /* a gap is a lost message, not a lie */
        assert_int_equal(check(&m, cases[0].size, true, 41), 0);
}

static void strings_have_one_form(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                for (size_t k = 0; k < 4 && cases[i].strings[k].size; k++) {
                        const size_t size = cases[i].strings[k].size;
                        union wire_launch_any m;
                        char *string = (char *) &m + cases[i].strings[k].offset;

                        sealed(&cases[i], &m);
                        memset(string, 'x', size - 1);
                        assert_int_equal(check(&m, cases[i].size, true, 41), 0);
                        string[size - 1] = 'x'; /* no end */
                        assert_int_equal(check(&m, cases[i].size, true, 41), -EPROTO);
                        for (size_t at = 1; at < size; at++) { /* something behind the end */
                                sealed(&cases[i], &m);
                                string[at] = 'x';
                                assert_int_equal(check(&m, cases[i].size, true, 41), -EPROTO);
                        }
                }
}

/* Both ends are of one build, but padding would carry bytes that nobody set. */
static void no_padding(void **unused)
{
        assert_int_equal(sizeof(struct wire_header), 24);
        assert_int_equal(sizeof(struct wire_wish), 16 + NAME_MODEL_MAX + 1 + 7);
        assert_int_equal(sizeof(struct wire_error), 8 + 24 + 64 + 360);
        assert_int_equal(sizeof(struct wire_resolve), 24 + 16 + NAME_WORKSPACE_MAX + 8 +
                                                              sizeof(struct wire_wish) +
                                                              WIRE_CWD_MAX);
        assert_int_equal(sizeof(struct wire_start),
                         24 + 24 + NAME_WORKSPACE_MAX + 8 + sizeof(struct wire_wish) +
                                 WIRE_CWD_MAX + NAME_UUID_LENGTH + 4 + 16 + 8 + WIRE_DIGEST_SIZE);
        assert_int_equal(sizeof(struct wire_resolved),
                         24 + 16 + sizeof(struct wire_error) + 8 + 16 + WIRE_DIGEST_SIZE + 64);
        assert_int_equal(sizeof(struct wire_exited), 24 + 16 + 8 + 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sizes_and_directions), cmocka_unit_test(no_other_types),
                cmocka_unit_test(the_header),           cmocka_unit_test(strings_have_one_form),
                cmocka_unit_test(no_padding),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
