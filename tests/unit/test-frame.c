#include "cleanup.h"
#include "frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define B(s) s, sizeof(s) - 1

static const struct frame_case {
        const char *what, *bytes;
        size_t n;
        const char *frames[5]; /* in order, then NULL */
        int end;               /* what follows them: 0 or an error */
        bool partial;
} cases[] = {
        {"nothing", B(""), {NULL}, 0, false},
        {"one, NUL", B("{}\0"), {"{}"}, 0, false},
        {"one, LF", B("{}\n"), {"{}"}, 0, false},
        {"no terminator yet", B("{}"), {NULL}, 0, true},
        {"two and a part, NUL", B("a\0bc\0d"), {"a", "bc"}, 0, true},
        {"two and a part, LF", B("a\nbc\nd"), {"a", "bc"}, 0, true},
        {"an LF inside a NUL frame", B("a\0b\nc\0"), {"a", "b\nc"}, 0, false},
        {"the first terminator decides: LF", B("a\nb\0"), {"a"}, -EPROTO, true},
        {"a NUL first thing in an LF frame", B("a\n\0"), {"a"}, -EPROTO, true},
        {"and what follows does not help", B("a\nb\0c\nd\n"), {"a"}, -EPROTO, true},
        {"stray LFs", B("\n\na\n\n\nb\n\n"), {"a", "b"}, 0, false},
        {"an empty NUL frame is a frame", B("\0a\0\0"), {"", "a", ""}, 0, false},
        {"CR is the JSON parser's", B("a\r\n"), {"a\r"}, 0, false},
};

/* Feeds in parts of `step` bytes; checks every frame as it comes. */
static void feed(const struct frame_case *c, size_t step)
{
        struct frame_reader reader;
        size_t given = 0;
        int r = 0;

        frame_reader_init(&reader, 16);
        for (size_t i = 0; i < c->n && r == 0; i += step) {
                char *place, *frame;
                size_t k = MIN(step, c->n - i), n;

                for (size_t done = 0; done < k && r == 0;) {
                        ssize_t space = frame_reader_space(&reader, &place);
                        size_t put = MIN(k - done, (size_t) space);

                        assert_true(space > 0);
                        memcpy(place, c->bytes + i + done, put);
                        frame_reader_commit(&reader, put);
                        done += put;
                        while ((r = frame_reader_next(&reader, &frame, &n)) > 0) {
                                if (!c->frames[given] || strlen(c->frames[given]) != n ||
                                    memcmp(c->frames[given], frame, n + 1) != 0)
                                        fail_msg("%s, steps of %zu: \"%s\"", c->what, step, frame);
                                given++;
                        }
                }
        }
        if (r < 0) {
                char *frame;
                size_t n;

                assert_int_equal(frame_reader_next(&reader, &frame, &n), r);
        }
        if (c->frames[given] || r != c->end || frame_reader_partial(&reader) != c->partial)
                fail_msg("%s, steps of %zu: %zu frames, then %d", c->what, step, given, r);
        frame_reader_done(&reader);
}

static void table(void **unused)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                for (size_t step = 1; step <= cases[i].n + 1; step++)
                        feed(&cases[i], step);
}

static void put(struct frame_reader *reader, const char *bytes, size_t n)
{
        while (n > 0) {
                char *place;
                ssize_t space = frame_reader_space(reader, &place);
                size_t k;

                assert_true(space > 0);
                k = MIN(n, (size_t) space);
                memcpy(place, bytes, k);
                frame_reader_commit(reader, k);
                bytes += k;
                n -= k;
        }
}

static void the_largest_frame_and_one_more(void **unused)
{
        enum { MAX_FRAME = 10000 };
        static const char kinds[] = {'\0', '\n'};
        char bytes[MAX_FRAME + 1], *frame, *place;
        size_t n;

        memset(bytes, 'x', sizeof bytes);
        for (size_t i = 0; i < sizeof kinds; i++) {
                struct frame_reader reader;

                frame_reader_init(&reader, MAX_FRAME);
                put(&reader, bytes, MAX_FRAME);
                assert_int_equal(frame_reader_next(&reader, &frame, &n), 0);
                put(&reader, &kinds[i], 1);
                assert_int_equal(frame_reader_next(&reader, &frame, &n), 1);
                assert_int_equal(n, MAX_FRAME);
                assert_int_equal(frame_reader_next(&reader, &frame, &n), 0);
                assert_int_equal(reader.room, 0); /* an idle connection holds no buffer */

                put(&reader, bytes, MAX_FRAME + 1);
                assert_int_equal(frame_reader_next(&reader, &frame, &n), 0);
                assert_int_equal(frame_reader_space(&reader, &place), -EMSGSIZE);
                assert_true(reader.room <= MAX_FRAME + 1);
                frame_reader_done(&reader);
        }
}

/* Behind many small frames a large one fits still: what was given makes room. */
static void frames_of_any_size_in_parts_of_any_size(void **unused)
{
        enum { MAX_FRAME = 30000, FRAMES = 400 };
        struct frame_reader reader;
        unsigned seed = 7, check = 7;
        char *stream = NULL;
        size_t total = 0, sent = 0;
        int got = 0;

        stream = malloc((size_t) FRAMES * (MAX_FRAME + 1));
        assert_non_null(stream);
        for (int i = 0; i < FRAMES; i++) {
                size_t n = rand_r(&seed) % 8 ? (size_t) rand_r(&seed) % 50 + 1
                                             : (size_t) rand_r(&seed) % MAX_FRAME + 1;

                memset(stream + total, 'a' + i % 26, n);
                total += n;
                stream[total++] = '\n';
        }
        frame_reader_init(&reader, MAX_FRAME);
        seed = 99;
        while (sent < total) {
                size_t k = MIN(total - sent, (size_t) rand_r(&seed) % 5000 + 1), n;
                char *place, *frame;
                ssize_t space = frame_reader_space(&reader, &place);

                assert_true(space > 0);
                k = MIN(k, (size_t) space);
                memcpy(place, stream + sent, k);
                frame_reader_commit(&reader, k);
                sent += k;
                while (frame_reader_next(&reader, &frame, &n) == 1) {
                        size_t want = rand_r(&check) % 8 ? (size_t) rand_r(&check) % 50 + 1
                                                         : (size_t) rand_r(&check) % MAX_FRAME + 1;

                        assert_int_equal(n, want);
                        assert_int_equal(frame[0], 'a' + got % 26);
                        assert_int_equal(frame[n - 1], 'a' + got % 26);
                        assert_int_equal(frame[n], '\0');
                        got++;
                }
        }
        assert_int_equal(got, FRAMES);
        assert_false(frame_reader_partial(&reader));
        frame_reader_done(&reader);
        free(stream);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table),
                cmocka_unit_test(the_largest_frame_and_one_more),
                cmocka_unit_test(frames_of_any_size_in_parts_of_any_size),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
