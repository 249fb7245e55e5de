#include "cleanup.h"
#include "fd.h"
#include "stream.h"
#include "wire-keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE(n) "{\"line\":" #n "}"

struct files {
        int raw, index, own;
};

static void files_open(struct files *f)
{
        f->raw = memfd_create("raw", MFD_CLOEXEC);
        f->index = memfd_create("index", MFD_CLOEXEC);
        f->own = memfd_create("own", MFD_CLOEXEC);
        assert_true(f->raw >= 0 && f->index >= 0 && f->own >= 0);
        assert_int_equal(fcntl(f->own, F_SETFL, O_APPEND), 0);
}

static void files_close(struct files *f)
{
        f->raw = fd_close(f->raw);
        f->index = fd_close(f->index);
        f->own = fd_close(f->own);
}

static uint64_t size_of(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (uint64_t) st.st_size;
}

static void put_raw(const struct files *f, const char *bytes)
{
        assert_int_equal(fd_write_all(f->raw, bytes, strlen(bytes)), 0);
}

static void put_index(const struct files *f, uint64_t time)
{
        const struct keeper_index entry = {size_of(f->raw), time};

        assert_int_equal(fd_write_all(f->index, &entry, sizeof entry), 0);
}

static void put_own(const struct files *f, uint64_t at, uint64_t time, const char *json)
{
        assert_int_equal(stream_append_own(f->own, at, time, json, strlen(json), false), 0);
}

static struct stream *open_stream(const struct files *f)
{
        struct stream *stream = NULL;

        assert_int_equal(stream_new(&stream, f->raw, f->index, f->own), 0);
        return stream;
}

#define expect(stream, source, time, text) expect_at(stream, source, time, text, __LINE__)
static void expect_at(struct stream *stream, enum stream_source source, uint64_t time,
                      const char *text, int line)
{
        struct stream_event event;
        uint64_t seq = stream_seq(stream);
        int r = stream_next(stream, 1 << 20, &event);

        if (r != 1)
                fail_msg("line %d: %d instead of %s", line, r, text);
        if (event.source != source || event.time_usec != time || event.seq != seq || !event.text ||
            strcmp(event.text, text) != 0 || event.size != strlen(text))
                fail_msg("line %d: source %d, time %" PRIu64 ", seq %" PRIu64 ", \"%s\"", line,
                         event.source, event.time_usec, event.seq, event.text);
        assert_int_equal(stream_seq(stream), seq + 1);
        if (source == STREAM_GARBAGE) {
                assert_int_equal(event.fd, -EBADF);
        } else {
                char bytes[256];

                assert_int_equal(pread(event.fd, bytes, event.size, (off_t) event.offset),
                                 event.size);
                assert_memory_equal(bytes, text, event.size);
        }
}

#define expect_none(stream) expect_none_at(stream, __LINE__)
static void expect_none_at(struct stream *stream, int line)
{
        struct stream_event event;
        int r = stream_next(stream, 1 << 20, &event);

        if (r != 0)
                fail_msg("line %d: %d, \"%s\"", line, r, r == 1 ? event.text : "");
}

static void a_whole_life(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;
        uint64_t at;

        files_open(&f);
        assert_int_equal(stream_new(&stream, -EBADF, -EBADF, f.own), 0);
        expect_none(stream);
        put_own(&f, 0, 5, "{\"type\":\"job.queued\"}");
        put_own(&f, 0, 6, "{\"type\":\"job.started\"}");
        expect(stream, STREAM_OWN, 5, "{\"type\":\"job.queued\"}");
        expect(stream, STREAM_OWN, 6, "{\"type\":\"job.started\"}");
        expect_none(stream);
        assert_int_equal(stream_own_at(stream, &at), 0);
        assert_int_equal(at, 0);
        assert_int_equal(stream_set_raw(stream, f.raw, f.index), 0);
        assert_int_equal(stream_set_raw(stream, f.raw, f.index), -EBUSY);
        expect_none(stream);

        put_raw(&f, LINE(1) "\n" LINE(2) "\n{\"li");
        expect_none(stream); /* no time for them yet */
        put_index(&f, 10);
        expect(stream, STREAM_RAW, 10, LINE(1));
        assert_int_equal(stream_raw_end(stream), 11);
        expect(stream, STREAM_RAW, 10, LINE(2));
        expect_none(stream);
        assert_int_equal(stream_own_at(stream, &at), 0);
        assert_int_equal(at, 22 + 4);
        put_own(&f, at, 11, "{\"type\":\"job.cancelling\"}");
        expect(stream, STREAM_OWN, 11, "{\"type\":\"job.cancelling\"}");
        put_raw(&f, "ne\":3}\n");
        put_index(&f, 12);
        expect(stream, STREAM_RAW, 12, LINE(3));
        put_raw(&f, LINE(4)); /* no LF: it counts once the file is closed */
        put_index(&f, 13);
        expect_none(stream);
        stream_close_raw(stream);
        assert_int_equal(stream_own_at(stream, &at), 0);
        assert_true(at == STREAM_AT_END);
        put_own(&f, at, 14, "{\"type\":\"job.finished\"}");
        expect(stream, STREAM_RAW, 13, LINE(4));
        assert_int_equal(stream_raw_end(stream), size_of(f.raw) + 1); /* as if with its LF */
        expect(stream, STREAM_OWN, 14, "{\"type\":\"job.finished\"}");
        expect_none(stream);
        files_close(&f);
}

static void the_last_record_closes(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        stream = open_stream(&f);
        put_raw(&f, LINE(1) "\n" LINE(2));
        put_index(&f, 1);
        expect(stream, STREAM_RAW, 1, LINE(1));
        put_own(&f, STREAM_AT_END, 2, "{\"type\":\"job.finished\"}");
        expect(stream, STREAM_RAW, 1, LINE(2));
        expect(stream, STREAM_OWN, 2, "{\"type\":\"job.finished\"}");
        expect_none(stream);
        files_close(&f);
}

/* An own event that was committed in the midst of the last line, which then never got its LF. */
static void an_event_before_the_unfinished_line(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        stream = open_stream(&f);
        put_raw(&f, LINE(1) "\n" LINE(2) "\n" LINE(3));
        put_index(&f, 1);
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect(stream, STREAM_RAW, 1, LINE(2));
        put_own(&f, size_of(f.raw), 2, "{\"own\":1}");
        stream_close_raw(stream);
        expect(stream, STREAM_OWN, 2, "{\"own\":1}");
        expect(stream, STREAM_RAW, 1, LINE(3));
        expect_none(stream);
        files_close(&f);
}

/* Committed while a line was under way, which is whole when the reader comes again. */
static void an_event_before_the_line_that_grew(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        stream = open_stream(&f);
        put_raw(&f, LINE(1) "\n" LINE(2) "\n{\"li");
        put_index(&f, 1);
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect(stream, STREAM_RAW, 1, LINE(2));
        put_own(&f, size_of(f.raw), 2, "{\"own\":1}");
        put_raw(&f, "ne\":3}\n");
        put_index(&f, 3);
        expect(stream, STREAM_OWN, 2, "{\"own\":1}");
        expect(stream, STREAM_RAW, 3, LINE(3));
        files_close(&f);
}

/* The last line and the last event came together, between two calls. */
static void the_end_comes_at_once(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        stream = open_stream(&f);
        put_raw(&f, LINE(1) "\n" LINE(2) "\n");
        put_index(&f, 1);
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect(stream, STREAM_RAW, 1, LINE(2));
        put_raw(&f, LINE(3));
        put_index(&f, 2);
        put_own(&f, STREAM_AT_END, 3, "{\"own\":1}");
        expect(stream, STREAM_RAW, 2, LINE(3));
        expect(stream, STREAM_OWN, 3, "{\"own\":1}");
        expect_none(stream);
        files_close(&f);
}

/* The keeper died before it wrote the index: the end stands behind another event. */
static void the_end_is_seen_from_afar(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        stream = open_stream(&f);
        put_raw(&f, LINE(1) "\n" LINE(2) "\n");
        put_own(&f, 0, 5, "{\"own\":0}");
        expect(stream, STREAM_OWN, 5, "{\"own\":0}");
        expect_none(stream);
        put_own(&f, 22, 7, "{\"own\":1}");
        expect_none(stream);
        put_own(&f, STREAM_AT_END, 8, "{\"own\":2}");
        expect(stream, STREAM_RAW, 5, LINE(1));
        expect(stream, STREAM_RAW, 5, LINE(2));
        expect(stream, STREAM_OWN, 7, "{\"own\":1}");
        expect(stream, STREAM_OWN, 8, "{\"own\":2}");
        expect_none(stream);
        files_close(&f);
}

static void idle_readers_cost_little(void **unused)
{
        enum { N = 300 };
        struct files f;
        struct stream *streams[N];
        size_t before;

        files_open(&f);
        put_raw(&f, LINE(1) "\n{\"partial\":");
        put_index(&f, 1);
        before = mallinfo2().uordblks;
        for (int i = 0; i < N; i++) {
                streams[i] = open_stream(&f);
                expect(streams[i], STREAM_RAW, 1, LINE(1));
                expect_none(streams[i]);
        }
        assert_true(mallinfo2().uordblks - before <= N * 1024);
        for (int i = 0; i < N; i++)
                (void) stream_free(streams[i]);
        files_close(&f);
}

static void own_events_in_their_places(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        put_raw(&f, LINE(1) "\n" LINE(2) "\n" LINE(3) "\n"); /* ends at 11, 22, 33 */
        put_index(&f, 1);
        put_own(&f, 0, 2, "{\"own\":0}");
        put_own(&f, 10, 2, "{\"own\":10}"); /* within the first line: before it */
        put_own(&f, 11, 2, "{\"own\":11}");
        put_own(&f, 11, 2, "{\"own\":\"11 again\"}");
        put_own(&f, 32, 2, "{\"own\":32}");
        put_own(&f, 33, 2, "{\"own\":33}");
        put_own(&f, 40, 2, "{\"own\":40}"); /* beyond what there is: not yet */
        stream = open_stream(&f);
        expect(stream, STREAM_OWN, 2, "{\"own\":0}");
        expect(stream, STREAM_OWN, 2, "{\"own\":10}");
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect(stream, STREAM_OWN, 2, "{\"own\":11}");
        expect(stream, STREAM_OWN, 2, "{\"own\":\"11 again\"}");
        expect(stream, STREAM_RAW, 1, LINE(2));
        expect(stream, STREAM_OWN, 2, "{\"own\":32}");
        expect(stream, STREAM_RAW, 1, LINE(3));
        expect(stream, STREAM_OWN, 2, "{\"own\":33}");
        expect_none(stream);
        put_raw(&f, "{\"li"); /* to 37 */
        expect_none(stream);
        put_raw(&f, "ne\":"); /* to 41: no line ends before 40 */
        expect(stream, STREAM_OWN, 2, "{\"own\":40}");
        files_close(&f);
}

static void garbage_and_blanks(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        put_raw(&f,
                "\n\n \t\r\nhello\n" LINE(1) "\r\n[1]\n{\"a\":\"\xff\"}\n{}{}\n  {} \n{\"cut\":");
        put_index(&f, 1);
        stream = open_stream(&f);
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":5}");
        expect(stream, STREAM_RAW, 1, LINE(1) "\r");
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":3}");
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":9}");
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":4}");
        expect(stream, STREAM_RAW, 1, "  {} ");
        expect_none(stream);
        stream_close_raw(stream);
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":7}");
        expect_none(stream);
        files_close(&f);

        /* a blank end is no line; a NUL is no blank */
        stream = stream_free(stream);
        files_open(&f);
        put_raw(&f, LINE(1) "\n");
        assert_int_equal(fd_write_all(f.raw, "\0\n  ", 4), 0);
        put_index(&f, 1);
        stream = open_stream(&f);
        stream_close_raw(stream);
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect(stream, STREAM_GARBAGE, 1, "{\"type\":\"job.garbage\",\"bytes\":1}");
        expect_none(stream);
        files_close(&f);
}

static void times(void **unused)
{
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL, *again = NULL;
        const struct keeper_index torn = {33, 30};

        files_open(&f);
        put_raw(&f, LINE(1));
        put_index(&f, 10); /* the append that holds the LF gives the time */
        put_raw(&f, "\n" LINE(2) "\n");
        put_index(&f, 20);
        put_raw(&f, LINE(3) "\n");
        assert_int_equal(fd_write_all(f.index, &torn, 15), 0);
        stream = open_stream(&f);
        expect(stream, STREAM_RAW, 20, LINE(1));
        expect(stream, STREAM_RAW, 20, LINE(2));
        expect_none(stream); /* a torn entry is none: it may be whole in a moment... */
        assert_int_equal(fd_write_all(f.index, (const char *) &torn + 15, 1), 0);
        expect(stream, STREAM_RAW, 30, LINE(3));
        put_raw(&f, LINE(4) "\n" LINE(5) "\n");
        put_own(&f, 44, 35, "{\"own\":1}");
        assert_int_equal(fd_write_all(f.index, &torn, 8), 0);
        expect_none(stream);
        stream_close_raw(stream); /* ...or never */
        expect(stream, STREAM_RAW, 30, LINE(4));
        expect(stream, STREAM_OWN, 35, "{\"own\":1}");
        expect(stream, STREAM_RAW, 35, LINE(5));
        expect_none(stream);

        /* no index at all */
        assert_int_equal(ftruncate(f.index, 0), 0);
        again = open_stream(&f);
        stream_close_raw(again);
        for (int i = 0; i < 3; i++) {
                struct stream_event event;

                assert_int_equal(stream_next(again, 1000, &event), 1);
                assert_int_equal(event.time_usec, 0);
        }
        files_close(&f);
}

static void crash_tails(void **unused)
{
        static const char one[] = "00000000000000000000 00000000000000000007 {\"own\":1}\n";
        static const char bad[][80] = {
                "0000000000000000000 00000000000000000007 {\"own\":1}\n",
                "00000000000000000000 00000000000000000007 {\"own\":1\n",
                "00000000000000000000 00000000000000000007 [1]\n",
                "00000000000000000000 00000000000000000007 \n",
                "0000000000000000000x 00000000000000000007 {\"own\":1}\n",
                "00000000000000000000 00000000000000000007\t{\"own\":1}\n",
                "99999999999999999999 00000000000000000007 {\"own\":1}\n",
                "00000000000000000000 18446744073709551616 {\"own\":1}\n",
                "\n",
        };
        struct files f;
        struct stream_event event;

        /* every torn length of the last record: not there for a reader, cut by the next writer */
        for (size_t n = 0; n < sizeof one - 1; n++) {
                _cleanup_(stream_freep) struct stream *stream = NULL;

                files_open(&f);
                put_own(&f, 0, 7, "{\"own\":1}");
                assert_int_equal(size_of(f.own), sizeof one - 1);
                assert_int_equal(fd_write_all(f.own, one, n), 0);
                stream = open_stream(&f);
                expect(stream, STREAM_OWN, 7, "{\"own\":1}");
                expect_none(stream);
                assert_int_equal(stream_repair_own(f.own), 0);
                assert_int_equal(size_of(f.own), sizeof one - 1);
                put_own(&f, 0, 8, "{\"own\":2}");
                expect(stream, STREAM_OWN, 8, "{\"own\":2}");
                files_close(&f);
        }
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                _cleanup_(stream_freep) struct stream *stream = NULL;

                files_open(&f);
                put_own(&f, 0, 7, "{\"own\":1}");
                assert_int_equal(fd_write_all(f.own, bad[i], strlen(bad[i])), 0);
                stream = open_stream(&f);
                expect(stream, STREAM_OWN, 7, "{\"own\":1}");
                if (stream_next(stream, 100, &event) != -EBADMSG)
                        fail_msg("taken for a record: %s", bad[i]);
                assert_int_equal(stream_repair_own(f.own), 0);
                assert_int_equal(size_of(f.own), sizeof one - 1);
                expect_none(stream);
                files_close(&f);
        }
}

static void own_events_are_checked(void **unused)
{
        static char big[STREAM_TEXT_MAX + 2];
        struct files f;
        struct stream_event event;
        _cleanup_(stream_freep) struct stream *stream = NULL;

        files_open(&f);
        memset(big, 'x', sizeof big);
        memcpy(big, "{\"a\":\"", 6);
        memcpy(big + STREAM_TEXT_MAX - 2, "\"}", 2);
        assert_int_equal(stream_append_own(f.own, 0, 0, "{}\n", 3, false), -EINVAL);
        assert_int_equal(stream_append_own(f.own, 0, 0, "", 0, false), -EINVAL);
        assert_int_equal(stream_append_own(f.own, 0, 0, big, STREAM_TEXT_MAX + 1, false), -EINVAL);
        assert_int_equal(stream_append_own(f.own, 0, 0, big, STREAM_TEXT_MAX, true), 0);
        stream = open_stream(&f);
        assert_int_equal(stream_next(stream, 10, &event), 1);
        assert_int_equal(event.size, STREAM_TEXT_MAX);
        assert_memory_equal(event.text, big, STREAM_TEXT_MAX);
        files_close(&f);
}

/* A full disk takes a part of a record: none of it stays. */
static void a_full_disk_leaves_no_half_record(void **unused)
{
        struct rlimit old, small;
        struct files f;
        FILE *file = tmpfile();
        int fd;

        assert_non_null(file);
        fd = fileno(file);
        assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
        files_open(&f);
        assert_int_equal(stream_append_own(fd, 0, 7, "{}", 2, false), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = old;
        small.rlim_cur = 60;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_true(stream_append_own(fd, 0, 7, "{}", 2, false) < 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(size_of(fd), 45);
        (void) fclose(file);
        files_close(&f);
}

static void text_up_to_its_limit(void **unused)
{
        static char line[STREAM_TEXT_MAX + 3];
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;
        struct stream_event event;

        files_open(&f);
        stream = open_stream(&f);
        for (size_t n = STREAM_TEXT_MAX - 1; n <= STREAM_TEXT_MAX + 1; n++) {
                memset(line, 'x', n);
                memcpy(line, "{\"a\":\"", 6);
                memcpy(line + n - 2, "\"}\n", 4);
                for (int pause = 0; pause < 2; pause++) {
                        put_raw(&f, "{}\n");
                        put_raw(&f, line);
                        put_index(&f, 1);
                        expect(stream, STREAM_RAW, 1, "{}");
                        assert_int_equal(stream_next(stream, 1 << 20, &event), 1);
                        assert_int_equal(event.source, STREAM_RAW);
                        assert_int_equal(event.size, n);
                        if (n <= STREAM_TEXT_MAX) {
                                assert_non_null(event.text);
                                assert_int_equal(strlen(event.text), n);
                        } else {
                                assert_null(event.text);
                        }
                        /* and found before its time is known: the window is dropped meanwhile */
                        put_raw(&f, line);
                        if (pause)
                                expect_none(stream);
                        put_index(&f, 2);
                        assert_int_equal(stream_next(stream, 1 << 20, &event), 1);
                        assert_int_equal(event.size, n);
                        assert_int_equal(!!event.text, n <= STREAM_TEXT_MAX);
                }
        }
        files_close(&f);
}

static size_t peak_kb(void)
{
        struct rusage usage;

        assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
        return (size_t) usage.ru_maxrss;
}

static void a_line_of_100_mb_in_flat_memory(void **unused)
{
        enum { CHUNK = 1 << 20, CHUNKS = 100, BUDGET = 300000 };
        struct files f;
        _cleanup_(stream_freep) struct stream *stream = NULL;
        _cleanup_free_ char *chunk = malloc(CHUNK);
        struct stream_event event;
        size_t before;
        int calls = 0, r;
        FILE *file = tmpfile(); /* not a memfd: its pages would be ours */

        assert_non_null(chunk);
        assert_non_null(file);
        files_open(&f);
        (void) fd_close(f.raw);
        f.raw = dup(fileno(file));
        memset(chunk, 'x', CHUNK);
        put_raw(&f, "{\"a\":\"");
        for (int i = 0; i < CHUNKS; i++)
                assert_int_equal(fd_write_all(f.raw, chunk, CHUNK), 0);
        put_raw(&f, "\"}\n" LINE(1) "\n");
        put_index(&f, 1);
        stream = open_stream(&f);
        before = peak_kb();
        while ((r = stream_next(stream, BUDGET, &event)) == -EAGAIN)
                calls++;
        assert_int_equal(r, 1);
        assert_int_equal(event.source, STREAM_RAW);
        assert_int_equal(event.size, 8 + CHUNKS * (size_t) CHUNK);
        assert_null(event.text);
        assert_in_range(calls, CHUNKS * (size_t) CHUNK / BUDGET,
                        CHUNKS * (size_t) CHUNK / BUDGET + 1);
        assert_true(peak_kb() - before < 2048);
        expect(stream, STREAM_RAW, 1, LINE(1));
        expect_none(stream);
        files_close(&f);
        (void) fclose(file);
}

/* The property: any readers, whatever their budgets and moments, see the stream that a plain merge
 * of the finished files gives. */
enum { LINES = 60, READERS = 5 };

struct given {
        enum stream_source source;
        uint64_t time, size, hash;
};

struct list_of {
        struct given given[4096];
        size_t n;
};

static uint64_t hash(const char *bytes, size_t n)
{
        uint64_t h = 14695981039346656037u;

        for (size_t i = 0; i < n; i++)
                h = (h ^ (unsigned char) bytes[i]) * 1099511628211u;
        return h;
}

static void remember(struct list_of *list, enum stream_source source, uint64_t time,
                     const char *bytes, size_t n)
{
        assert_true(list->n < N_ELEMENTS(list->given));
        list->given[list->n++] = (struct given){source, time, n, hash(bytes, n)};
}

/* Calls a stream up to `calls` times; whether it said 0 last. */
static bool pull(struct stream *stream, struct list_of *list, unsigned *seed, int calls)
{
        for (; calls > 0; calls--) {
                struct stream_event event;
                size_t budget = rand_r(seed) % 3 ? (size_t) rand_r(seed) % 200
                                                 : (size_t) rand_r(seed) % 200000;
                int r = stream_next(stream, budget, &event);
                _cleanup_free_ char *bytes = NULL;

                if (r == -EAGAIN)
                        continue;
                if (r == 0)
                        return true;
                assert_int_equal(r, 1);
                assert_int_equal(event.seq, list->n);
                bytes = malloc(event.size + 1);
                assert_non_null(bytes);
                if (event.fd >= 0) {
                        assert_int_equal(pread(event.fd, bytes, event.size, (off_t) event.offset),
                                         event.size);
                        if (event.text)
                                assert_memory_equal(bytes, event.text, event.size);
                        assert_int_equal(!!event.text, event.size <= STREAM_TEXT_MAX);
                } else {
                        memcpy(bytes, event.text, event.size);
                }
                if (event.text)
                        assert_int_equal(strlen(event.text), event.size);
                remember(list, event.source, event.time_usec, bytes, event.size);
        }
        return false;
}

struct truth {
        char *raw;
        size_t raw_n;
        struct keeper_index index[4096];
        size_t index_n;
        struct {
                uint64_t at, time;
                char text[64];
        } own[256];
        size_t own_n;
};

static void merge(const struct truth *t, struct list_of *ret)
{
        size_t line = 0, own = 0, entry = 0;
        uint64_t last = 0, entry_time = 0;

        ret->n = 0;
        while (line < t->raw_n || own < t->own_n) {
                const char *lf =
                        line < t->raw_n ? memchr(t->raw + line, '\n', t->raw_n - line) : NULL;
                size_t size = (lf ? (size_t) (lf - t->raw) : t->raw_n) - line;
                size_t end = line + size + 1;

                if (own < t->own_n && (line >= t->raw_n || t->own[own].at < end)) {
                        last = t->own[own].time;
                        remember(ret, STREAM_OWN, last, t->own[own].text, strlen(t->own[own].text));
                        own++;
                        continue;
                }
                if (strspn(t->raw + line, " ") < size) {
                        uint64_t time;

                        while (entry < t->index_n && t->index[entry].end < line + size + !!lf)
                                entry_time = t->index[entry++].realtime_usec;
                        time = entry < t->index_n ? t->index[entry].realtime_usec
                                                  : MAX(entry_time, last);
                        last = time;
                        if (t->raw[line] == '{' && t->raw[line + size - 1] == '}') {
                                remember(ret, STREAM_RAW, time, t->raw + line, size);
                        } else {
                                char text[64];

                                (void) snprintf(text, sizeof text,
                                                "{\"type\":\"job.garbage\",\"bytes\":%zu}", size);
                                remember(ret, STREAM_GARBAGE, time, text, strlen(text));
                        }
                }
                line = end;
        }
}

static void make_raw(struct truth *t, unsigned *seed)
{
        t->raw = malloc(LINES * 100000);
        assert_non_null(t->raw);
        for (int i = 0; i < LINES; i++) {
                size_t n = 0;
                char *to = t->raw + t->raw_n;

                switch (rand_r(seed) % 8) {
                case 0:
                        break;
                case 1:
                        n = (size_t) sprintf(to, "   ");
                        break;
                case 2:
                        n = (size_t) sprintf(to, "no json %d", i);
                        break;
                default:
                        n = (size_t) sprintf(to, "{\"i\":%d,\"x\":\"", i);
                        for (int k = rand_r(seed) % (rand_r(seed) % 20 ? 100 : 90000); k > 0; k--)
                                to[n++] = 'x';
                        to[n++] = '"';
                        to[n++] = '}';
                }
                t->raw_n += n;
                if (i < LINES - 1 || rand_r(seed) % 2)
                        t->raw[t->raw_n++] = '\n';
        }
        t->raw[t->raw_n] = '\0';
}

static void one_world(unsigned seed)
{
        static struct truth t;
        static struct list_of lists[READERS + 1], want;
        struct stream *readers[READERS] = {NULL};
        struct files f;
        size_t written = 0, indexed = 0, torn = 0;
        uint64_t now = 1000;
        bool index_ends_short = rand_r(&seed) % 3 == 0;

        memset(&t, 0, sizeof t);
        for (size_t i = 0; i <= READERS; i++)
                lists[i].n = 0;
        make_raw(&t, &seed);
        files_open(&f);
        for (;;) {
                int i = rand_r(&seed) % READERS;

                now += (uint64_t) (rand_r(&seed) % 3);
                switch (rand_r(&seed) % 6) {
                case 0: /* the keeper appends; a line may be in many parts, an append many lines */
                        if (written == indexed) {
                                size_t most = rand_r(&seed) % 4 ? 60 : 30000;
                                size_t n = (size_t) rand_r(&seed) % most + 1;

                                n = MIN(n, t.raw_n - written);

                                assert_int_equal(fd_write_all(f.raw, t.raw + written, n), 0);
                                written += n;
                        }
                        break;
                case 1: /* and then its index, perhaps in two parts */
                        if (written > indexed) {
                                struct keeper_index *entry = &t.index[t.index_n];
                                size_t part = sizeof *entry - torn;

                                if (torn == 0)
                                        *entry = (struct keeper_index){written, now};
                                if (written == t.raw_n && index_ends_short)
                                        break;
                                if (torn == 0 && rand_r(&seed) % 4 == 0)
                                        part = 1 + (size_t) rand_r(&seed) % 15;
                                assert_int_equal(fd_write_all(f.index, (char *) entry + torn, part),
                                                 0);
                                torn += part;
                                if (torn == sizeof *entry) {
                                        torn = 0;
                                        t.index_n++;
                                        indexed = written;
                                }
                        }
                        break;
                case 2: /* one of the readers commits an own event */
                        if (readers[i] && t.own_n < N_ELEMENTS(t.own) - 2 &&
                            rand_r(&seed) % 4 == 0) {
                                uint64_t at;

                                assert_int_equal(stream_own_at(readers[i], &at), 0);
                                t.own[t.own_n].at = at;
                                t.own[t.own_n].time = now;
                                (void) sprintf(t.own[t.own_n].text, "{\"own\":%zu}", t.own_n);
                                put_own(&f, at, now, t.own[t.own_n++].text);
                        }
                        break;
                default:
                        if (!readers[i])
                                readers[i] = open_stream(&f);
                        (void) pull(readers[i], &lists[i], &seed, rand_r(&seed) % 20);
                        if (rand_r(&seed) % 20 == 0) { /* this client comes again */
                                readers[i] = stream_free(readers[i]);
                                lists[i].n = 0;
                        }
                }
                if (written == t.raw_n && (indexed == written || index_ends_short))
                        break;
        }
        /* some are told, some only see the last record */
        for (int i = 0; i < READERS; i++)
                if (readers[i] && i % 2) {
                        stream_close_raw(readers[i]);
                        (void) pull(readers[i], &lists[i], &seed, 10);
                }
        t.own[t.own_n].at = STREAM_AT_END;
        t.own[t.own_n].time = now;
        (void) sprintf(t.own[t.own_n].text, "{\"last\":%zu}", t.own_n);
        put_own(&f, STREAM_AT_END, now, t.own[t.own_n++].text);

        merge(&t, &want);
        for (int i = 0; i < READERS; i++) {
                if (!readers[i])
                        readers[i] = open_stream(&f);
                while (!pull(readers[i], &lists[i], &seed, 1000))
                        ;
                assert_int_equal(lists[i].n, want.n);
                for (size_t k = 0; k < want.n; k++)
                        assert_memory_equal(&lists[i].given[k], &want.given[k],
                                            sizeof(struct given));
                readers[i] = stream_free(readers[i]);
        }
        files_close(&f);
        free(t.raw);
}

static void all_readers_see_one_stream(void **unused)
{
        const char *rounds = getenv("STREAM_ROUNDS");

        for (unsigned seed = 1; seed <= (rounds ? (unsigned) atoi(rounds) : 300u); seed++)
                one_world(seed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_life),
                cmocka_unit_test(the_last_record_closes),
                cmocka_unit_test(own_events_in_their_places),
                cmocka_unit_test(an_event_before_the_unfinished_line),
                cmocka_unit_test(an_event_before_the_line_that_grew),
                cmocka_unit_test(the_end_comes_at_once),
                cmocka_unit_test(the_end_is_seen_from_afar),
                cmocka_unit_test(idle_readers_cost_little),
                cmocka_unit_test(garbage_and_blanks),
                cmocka_unit_test(times),
                cmocka_unit_test(crash_tails),
                cmocka_unit_test(own_events_are_checked),
                cmocka_unit_test(a_full_disk_leaves_no_half_record),
                cmocka_unit_test(text_up_to_its_limit),
                cmocka_unit_test(a_line_of_100_mb_in_flat_memory),
                cmocka_unit_test(all_readers_see_one_stream),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
