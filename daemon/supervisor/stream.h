/* One job's events, in order, from its files: what Codex wrote (raw file and index, appended by the
 * keeper) merged with codexd's own events (a file of the supervisor's). `seq` and `time` derive from
 * the files alone, so a replay after a crash, or by another reader, is the same stream. Any number of
 * readers follow one job; they cost it nothing.
 *
 * Merge rule: an own event recorded `at` raw offset A (always a line's boundary) comes after every raw
 * line that ends at or before A, and before all later ones; own events with one A keep their order.
 * The k-th event of the merged stream has seq k, from 0. A raw line's time is the realtime of the index
 * entry whose append held its last byte (wire-keeper.h). A raw line that is no JSON object is an event
 * {"type":"job.garbage","bytes":N} in its place; blank lines are skipped and have no seq. A last line
 * without LF counts once the job's raw file is closed (stream_close_raw). */
#pragma once

#include "cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

/* Duplicates the descriptors; raw_fd and index_fd may be -EBADF until stream_set_raw (a queued job has
 * none). Offsets are the stream's own: descriptors may be shared. 0, -ENOMEM, -errno. */
int stream_new(struct stream **ret, int raw_fd, int index_fd, int own_fd);
int stream_set_raw(struct stream *stream, int raw_fd, int index_fd);
void stream_close_raw(struct stream *stream); /* the raw file grows no more */
struct stream *stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free);

enum stream_source { STREAM_RAW, STREAM_OWN, STREAM_GARBAGE };

struct stream_event {
        enum stream_source source;
        uint64_t seq, time_usec;
        /* The event's bytes, without LF: in the file `fd` (borrowed, use pread) from `offset`... */
        int fd;
        uint64_t offset, size;
        /* ...and here too, NUL-terminated, if they are at most STREAM_TEXT_MAX: else NULL. Valid until
         * the next call. For STREAM_GARBAGE always given, and fd is -EBADF. */
        const char *text;
        uint64_t raw_end; /* raw offset after this event: an own event committed now goes `at` it */
};
#define STREAM_TEXT_MAX (64 * 1024)

/* The next event: 1, 0 when there is none yet, -EAGAIN when `budget` bytes were scanned and the line is
 * not at its end (call again later: other work may go in between), or another negative errno. */
int stream_next(struct stream *stream, size_t budget, struct stream_event *ret);
uint64_t stream_seq(const struct stream *stream);     /* of the next event */
uint64_t stream_raw_end(const struct stream *stream); /* raw bytes consumed, whole lines */

/* Appends one own event (a JSON object without LF, `n` bytes) at raw offset `at`, and makes it durable
 * (fdatasync) when `sync`. One write(2): a torn tail is ignored by readers and cut by the next writer. */
int stream_append_own(int own_fd, uint64_t at, uint64_t time_usec, const char *json, size_t n, bool sync);
/* Cuts a torn last record off the own file (after a crash). */
int stream_repair_own(int own_fd);
