#include "stream.h"
#include "fd.h"
#include "jsonscan.h"
#include "wire-keeper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DIGITS     20                 /* of UINT64_MAX */
#define OWN_HEADER (2 * (DIGITS + 1)) /* "AT TIME " */
#define OWN_MAX    (OWN_HEADER + STREAM_TEXT_MAX + 1)
#define OWN_FIRST  1024         /* most records fit, on the stack */
#define WINDOW     (120 * 1024) /* below malloc's threshold for mmap(2) */
#define ENTRIES    64
_Static_assert(WINDOW >= STREAM_TEXT_MAX + 16 * 1024, "a text, and more behind it in one read");

/* What is held only while there is something to read. */
struct window {
        uint64_t at; /* raw offset of bytes[0] */
        size_t n;
        uint64_t entries_at; /* number of entries[0] in the index file */
        size_t entries_n;
        struct keeper_index entries[ENTRIES];
        char bytes[WINDOW + 1]; /* and a NUL behind a last line without LF */
};

struct own {         /* the next own event, read but not yet given */
        char *bytes; /* the whole record; NULL: none is known */
        uint64_t at, time_usec;
        size_t size; /* of the record, with its LF */
};

struct stream {
        int raw_fd, index_fd, own_fd;
        bool closed; /* raw and index are complete */
        bool at_end; /* and the raw file was read to its end since */
        uint64_t seq;
        uint64_t last_usec; /* time of the last event given */
        uint64_t raw_end;   /* behind the last raw line given; blank ones do not count */

        uint64_t line; /* raw offset where the line under way begins; everything before is given */
        uint64_t scanned; /* raw offset up to which it was looked at */
        bool whole;       /* its end was found: the byte before `scanned`, or the end of the file */
        bool unterminated; /* ... the latter */
        bool blank;
        struct jsonscan scan;
        struct window *window;

        uint64_t entry;      /* number of the index entry that the next line is looked for from */
        uint64_t entry_usec; /* realtime of the one before it */

        struct own own;
        uint64_t own_offset; /* of the next own record */
        bool own_looked;     /* the own file was looked at after the window last grew */
        char *given;         /* the own record that the caller holds */
        char garbage[64];
};

static int duplicate(int fd, int *ret)
{
        if (fd < 0)
                return 0;
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? -errno : 0;
}

static void begin_line(struct stream *stream)
{
        stream->line = stream->scanned;
        stream->whole = stream->unterminated = false;
        stream->blank = true;
        jsonscan_init(&stream->scan);
}

int stream_new(struct stream **ret, int raw_fd, int index_fd, int own_fd)
{
        _cleanup_(stream_freep) struct stream *stream = calloc(1, sizeof *stream);
        int r;

        if (!stream)
                return -ENOMEM;
        stream->raw_fd = stream->index_fd = stream->own_fd = -EBADF;
        begin_line(stream);
        r = duplicate(own_fd, &stream->own_fd);
        if (r == 0 && raw_fd >= 0)
                r = stream_set_raw(stream, raw_fd, index_fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(stream);
        return 0;
}

int stream_set_raw(struct stream *stream, int raw_fd, int index_fd)
{
        _cleanup_fd_ int raw = -EBADF, index = -EBADF;
        int r;

        if (stream->raw_fd >= 0)
                return -EBUSY;
        r = duplicate(raw_fd, &raw);
        if (r == 0)
                r = duplicate(index_fd, &index);
        if (r < 0)
                return r;
        stream->raw_fd = TAKE_FD(raw);
        stream->index_fd = TAKE_FD(index);
        return 0;
}

void stream_close_raw(struct stream *stream)
{
        if (stream->closed)
                return;
        stream->closed = true;
        stream->own_looked = false; /* what was committed before the end counts before it */
}

static void drop_window(struct stream *stream)
{
        free(stream->window);
        stream->window = NULL;
}

struct stream *stream_free(struct stream *stream)
{
        if (!stream)
                return NULL;
        drop_window(stream);
        free(stream->own.bytes);
        free(stream->given);
        (void) fd_close(stream->raw_fd);
        (void) fd_close(stream->index_fd);
        (void) fd_close(stream->own_fd);
        free(stream);
        return NULL;
}

uint64_t stream_seq(const struct stream *stream)
{
        return stream->seq;
}

uint64_t stream_raw_end(const struct stream *stream)
{
        return stream->raw_end;
}

/* As much as there is; short only at the end of the file. */
static ssize_t read_at(int fd, void *bytes, size_t n, uint64_t offset)
{
        size_t done = 0;

        while (done < n) {
                ssize_t k = pread(fd, (char *) bytes + done, n - done, (off_t) (offset + done));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                done += (size_t) k;
        }
        return (ssize_t) done;
}

static bool parse_number(const char *digits, uint64_t *ret)
{
        uint64_t value = 0;

        for (int i = 0; i < DIGITS; i++) {
                if (digits[i] < '0' || digits[i] > '9' ||
                    __builtin_mul_overflow(value, 10u, &value) ||
                    __builtin_add_overflow(value, (unsigned) (digits[i] - '0'), &value))
                        return false;
        }
        *ret = value;
        return digits[DIGITS] == ' ';
}

/* One record of `n` bytes, with its LF. */
static bool parse_own(const char *bytes, size_t n, uint64_t *ret_at, uint64_t *ret_time)
{
        struct jsonscan scan;

        if (n <= OWN_HEADER + 1 || !parse_number(bytes, ret_at) ||
            !parse_number(bytes + DIGITS + 1, ret_time))
                return false;
        jsonscan_init(&scan);
        return jsonscan_feed(&scan, bytes + OWN_HEADER, n - OWN_HEADER - 1) &&
               jsonscan_is_object(&scan);
}

/* The whole record at `offset`: 1 and its bytes (the caller's), 0 if there is none yet, -EBADMSG.
 */
static int read_own(int fd, uint64_t offset, struct own *ret)
{
        char first[OWN_FIRST];
        _cleanup_free_ char *bytes = NULL;
        ssize_t n = read_at(fd, first, sizeof first, offset);
        const char *end;

        if (n <= 0)
                return (int) n;
        end = memchr(first, '\n', (size_t) n);
        if (!end && (size_t) n < sizeof first)
                return 0; /* torn, or being written */
        bytes = malloc(end ? (size_t) (end - first) + 1 : OWN_MAX);
        if (!bytes)
                return -ENOMEM;
        if (end) {
                n = end - first + 1;
                memcpy(bytes, first, (size_t) n);
        } else {
                n = read_at(fd, bytes, OWN_MAX, offset);
                if (n < 0)
                        return (int) n;
                end = memchr(bytes, '\n', (size_t) n);
                if (!end)
                        return n == OWN_MAX ? -EBADMSG : 0;
                n = end - bytes + 1;
        }
        if (!parse_own(bytes, (size_t) n, &ret->at, &ret->time_usec))
                return -EBADMSG;
        bytes[n - 1] = '\0';
        ret->size = (size_t) n;
        ret->bytes = TAKE_PTR(bytes);
        return 1;
}

/* After this, an own event that must precede what the window holds is known: one committed later
 * goes behind the raw file's size of now. */
static int look_for_own(struct stream *stream)
{
        int r;

        if (stream->own.bytes || stream->own_looked || stream->own_fd < 0)
                return 0;
        r = read_own(stream->own_fd, stream->own_offset, &stream->own);
        if (r < 0)
                return r;
        if (r == 0)
                stream->own_looked = true;
        else if (stream->own.at == STREAM_AT_END)
                stream_close_raw(stream);
        return 0;
}

/* More of the raw file behind `scanned`: 1, 0 at its end. Keeps the line under way from its
 * beginning, if it can still be a text. */
static int fill(struct stream *stream)
{
        uint64_t base = stream->scanned - stream->line <= STREAM_TEXT_MAX + 1 /* its LF */
                                ? stream->line
                                : stream->scanned;
        struct window *w = stream->window;
        ssize_t n;

        if (stream->raw_fd < 0)
                return 0;
        if (!w) {
                w = stream->window = malloc(sizeof *w);
                if (!w)
                        return -ENOMEM;
                w->at = base;
                w->n = 0;
                w->entries_at = w->entries_n = 0;
        }
        if (base >= w->at && base <= w->at + w->n) {
                size_t gone = (size_t) (base - w->at);

                memmove(w->bytes, w->bytes + gone, w->n - gone);
                w->n -= gone;
        } else {
                w->n = 0;
        }
        w->at = base;
        n = read_at(stream->raw_fd, w->bytes + w->n, WINDOW - w->n, w->at + w->n);
        if (n < 0)
                return (int) n;
        w->n += (size_t) n;
        if (n > 0)
                stream->own_looked = false;
        return w->at + w->n > stream->scanned;
}

static bool is_blank(const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!strchr(" \t\r", bytes[i]) || !bytes[i])
                        return false;
        return true;
}

/* Looks at what the window holds of the line under way, at most `budget` bytes. */
static size_t scan_window(struct stream *stream, size_t budget)
{
        struct window *w = stream->window;
        const char *from = w->bytes + (stream->scanned - w->at), *end;
        size_t n = MIN(w->n - (size_t) (stream->scanned - w->at), budget), used;

        end = memchr(from, '\n', n);
        used = end ? (size_t) (end - from) : n;
        stream->blank = stream->blank && is_blank(from, used);
        (void) jsonscan_feed(&stream->scan, from, used);
        if (end) {
                stream->whole = true;
                used++;
        }
        stream->scanned += used;
        return used;
}

/* Finds the end of the line under way: 1, 0 at the file's end, -EAGAIN. `*budget` is what is left.
 */
static int find_line(struct stream *stream, size_t *budget)
{
        while (!stream->whole) {
                struct window *w = stream->window;
                bool last = stream->closed;

                if (*budget == 0)
                        return -EAGAIN;
                if (!w || stream->scanned < w->at || stream->scanned >= w->at + w->n) {
                        int r = fill(stream);

                        if (r < 0)
                                return r;
                        if (r == 0 && last && stream->scanned > stream->line && !stream->blank)
                                stream->whole = stream->unterminated = true;
                        if (r == 0) {
                                stream->at_end = last;
                                return stream->whole;
                        }
                }
                *budget -= scan_window(stream, *budget);
                if (stream->whole && stream->blank)
                        begin_line(stream);
        }
        return 1;
}

/* Raw offset behind the line whose end was found. */
static uint64_t line_end(const struct stream *stream)
{
        return stream->scanned + stream->unterminated;
}

/* The first entry that covers the line's last byte: 1 and its time, 0 if there is none. */
static int find_time(struct stream *stream, uint64_t *ret)
{
        struct window *w = stream->window;

        assert(w);
        while (stream->index_fd >= 0) {
                const struct keeper_index *entry;
                ssize_t n;

                if (stream->entry < w->entries_at ||
                    stream->entry >= w->entries_at + w->entries_n) {
                        n = read_at(stream->index_fd, w->entries, sizeof w->entries,
                                    stream->entry * sizeof *entry);
                        if (n < 0)
                                return (int) n;
                        w->entries_at = stream->entry;
                        w->entries_n = (size_t) n / sizeof *entry; /* a torn one is none */
                        if (w->entries_n == 0)
                                break;
                }
                entry = &w->entries[stream->entry - w->entries_at];
                if (entry->end >= stream->scanned) {
                        *ret = entry->realtime_usec;
                        return 1;
                }
                stream->entry_usec = entry->realtime_usec;
                stream->entry++;
        }
        *ret = MAX(stream->entry_usec, stream->last_usec);
        return 0;
}

static void give(struct stream *stream, struct stream_event *event)
{
        event->seq = stream->seq++;
        event->raw_end = stream->raw_end;
        stream->last_usec = event->time_usec;
}

static int give_own(struct stream *stream, struct stream_event *ret)
{
        struct own *own = &stream->own;

        stream->given = TAKE_PTR(own->bytes);
        *ret = (struct stream_event){
                .source = STREAM_OWN,
                .time_usec = own->time_usec,
                .fd = stream->own_fd,
                .offset = stream->own_offset + OWN_HEADER,
                .size = own->size - OWN_HEADER - 1,
                .text = stream->given + OWN_HEADER,
        };
        stream->own_offset += own->size;
        give(stream, ret);
        return 1;
}

/* The line whose end was found: 1, or 0 while its time is not known. */
static int give_line(struct stream *stream, struct stream_event *ret)
{
        uint64_t size = stream->scanned - stream->line - !stream->unterminated, usec = 0;
        bool closed = stream->closed; /* before the index is read: then it is complete */
        struct window *w;
        int r;

        if (!stream->window) { /* dropped while the index was waited for */
                r = fill(stream);
                if (r < 0)
                        return r;
        }
        r = find_time(stream, &usec);
        if (r < 0 || (r == 0 && !closed))
                return r;

        w = stream->window;
        assert(w); /* a line was found in it */
        *ret = (struct stream_event){
                .source = STREAM_RAW,
                .time_usec = usec,
                .fd = stream->raw_fd,
                .offset = stream->line,
                .size = size,
        };
        if (!jsonscan_is_object(&stream->scan)) {
                int n = snprintf(stream->garbage, sizeof stream->garbage,
                                 "{\"type\":\"job.garbage\",\"bytes\":%" PRIu64 "}", size);

                ret->source = STREAM_GARBAGE;
                ret->fd = -EBADF;
                ret->offset = 0;
                ret->size = (uint64_t) n;
                ret->text = stream->garbage;
        } else if (size <= STREAM_TEXT_MAX && stream->line >= w->at) {
                char *text = w->bytes + (stream->line - w->at);

                text[size] = '\0'; /* where the LF was, or behind the file's last byte */
                ret->text = text;
        }
        stream->raw_end = stream->scanned = line_end(stream);
        begin_line(stream);
        give(stream, ret);
        return 1;
}

/* Nothing can be given, as far as is known; the own file may know more: a record that came since it
 * was looked at, or, behind the one at hand, that the raw file is closed. 1 if so. */
static int look_again(struct stream *stream)
{
        const bool closed = stream->closed, had = stream->own.bytes;
        uint64_t offset = stream->own_offset + stream->own.size;
        int r;

        stream->own_looked = false;
        r = look_for_own(stream);
        while (r == 0 && had && !stream->closed) {
                struct own own = {0};

                r = read_own(stream->own_fd, offset, &own);
                free(own.bytes);
                if (r <= 0)
                        break;
                r = 0;
                offset += own.size;
                if (own.at == STREAM_AT_END)
                        stream_close_raw(stream);
        }
        return r < 0 ? r : stream->closed != closed || !!stream->own.bytes != had;
}

static int next(struct stream *stream, size_t *budget, struct stream_event *ret)
{
        for (;;) {
                int found, r = look_for_own(stream);
                bool closed = stream->closed;

                if (r < 0)
                        return r;
                if (stream->own.bytes && stream->own.at <= stream->line)
                        return give_own(stream, ret);

                found = find_line(stream, budget);
                if (found < 0)
                        return found;
                /* Again: the window may have grown, by a line that an event of a while ago
                 * precedes. */
                r = look_for_own(stream);
                if (r < 0)
                        return r;
                if (stream->own.bytes && stream->own.at < line_end(stream) + !found)
                        return give_own(stream, ret);
                if (!found && stream->own.bytes && stream->at_end)
                        return give_own(stream, ret);
                r = found ? give_line(stream, ret) : 0;
                if (r != 0)
                        return r;
                if (stream->closed != closed)
                        continue; /* seen just now: the file may have grown before that */
                r = look_again(stream);
                if (r <= 0)
                        return r;
        }
}

int stream_next(struct stream *stream, size_t budget, struct stream_event *ret)
{
        int r;

        free(stream->given);
        stream->given = NULL;
        budget = MAX(budget, (size_t) 1);
        r = next(stream, &budget, ret);
        if (r != 1 && r != -EAGAIN)
                drop_window(stream);
        return r;
}

int stream_own_at(const struct stream *stream, uint64_t *ret)
{
        struct stat st = {0};

        if (stream->closed) {
                *ret = STREAM_AT_END;
                return 0;
        }
        if (stream->raw_fd >= 0 && fstat(stream->raw_fd, &st) < 0)
                return -errno;
        *ret = (uint64_t) st.st_size;
        return 0;
}

int stream_append_own(int own_fd, uint64_t at, uint64_t time_usec, const char *json, size_t n,
                      bool sync)
{
        char header[OWN_HEADER + 1];
        struct iovec iov[] = {
                {header, OWN_HEADER},
                {(void *) json, n},
                {(void *) "\n", 1},
        };
        struct stat before;
        ssize_t k;

        if (n < 2 || n > STREAM_TEXT_MAX || memchr(json, '\n', n))
                return -EINVAL;
        (void) snprintf(header, sizeof header, "%0*" PRIu64 " %0*" PRIu64 " ", DIGITS, at, DIGITS,
                        time_usec);
        if (fstat(own_fd, &before) < 0)
                return -errno;
        do
                k = writev(own_fd, iov, N_ELEMENTS(iov));
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        if ((size_t) k != OWN_HEADER + n + 1) /* a full disk takes a part */
                return ftruncate(own_fd, before.st_size) < 0 ? -errno : -ENOSPC;
        if (sync && fdatasync(own_fd) < 0)
                return -errno;
        return 0;
}

int stream_repair_own(int own_fd)
{
        uint64_t end = 0;
        struct stat st;
        int r;

        if (fstat(own_fd, &st) < 0)
                return -errno;
        do { /* bytes that are no record are what a crash left of one: nothing of worth is behind */
                struct own own = {0};

                r = read_own(own_fd, end, &own);
                end += own.size;
                free(own.bytes);
        } while (r > 0);
        if (r < 0 && r != -EBADMSG)
                return r;
        if ((uint64_t) st.st_size > end && ftruncate(own_fd, (off_t) end) < 0)
                return -errno;
        return 0;
}
