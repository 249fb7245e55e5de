/* One job's events, in order, from its files: what Codex wrote (raw file and index, appended by the
 * keeper) merged with codexd's own events (a file of the supervisor's). `seq` and `time` derive
 * from the files alone, so a replay after a crash, or by another reader, is the same stream. Any
 * number of readers follow one job; they cost it nothing.
 *
 * Merge rule: an own event recorded `at` raw offset A comes after every raw line that ends at or
 * before A, and before all later ones; own events keep their order. The k-th event of the merged
 * stream has seq k, from 0. A raw line that is no JSON object is an event
 * {"type":"job.garbage","bytes":N} in its place; blank lines are skipped and have no seq. A last
 * line without LF counts once the raw file is closed, and then ends one byte behind the file's end,
 * as if the LF were there.
 *
 * So that no reader, however far ahead, has yet given a line that a new own event must precede, an
 * own event goes `at` the size that the raw file has when it is appended (stream_own_at says it),
 * not at what somebody has consumed: a line that anybody was given is whole in the file. Reading
 * the size and appending must not be interleaved with a reader of the same job: both on one thread,
 * without a return to the loop in between; only waiting for the disk may happen elsewhere.
 *
 * Time: an own event carries its own. A raw line's is the realtime of the first index entry whose
 * `end` covers its last byte (wire-keeper.h). While that entry is missing the line is not given: it
 * would get another time later. Once the raw file is closed nothing is waited for: a line that no
 * entry covers (the keeper died between the two writes) has the time of the last whole entry or of
 * the event before it, whichever is later. A torn tail of either file is no entry and no event. */
#pragma once

#include "cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

/* Duplicates the descriptors; raw_fd and index_fd may be -EBADF until stream_set_raw (a queued job
 * has none). Offsets are the stream's own: descriptors may be shared. 0, -ENOMEM, -errno. */
int stream_new(struct stream **ret, int raw_fd, int index_fd, int own_fd);
/* Once; -EBUSY if it has one. To be called before the first own event behind the start is
 * committed. */
int stream_set_raw(struct stream *stream, int raw_fd, int index_fd);
/* The raw and index files grow no more (WIRE_GONE came, or the job never had any). An own event at
 * STREAM_AT_END says the same to every reader. */
void stream_close_raw(struct stream *stream);
struct stream *stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free);

enum stream_source { STREAM_RAW, STREAM_OWN, STREAM_GARBAGE };

struct stream_event {
        enum stream_source source;
        uint64_t seq, time_usec;
        /* The event's bytes, without LF: in the file `fd` (borrowed, use pread) from `offset`... */
        int fd;
        uint64_t offset, size;
        /* ...and here too, NUL-terminated, if they are at most STREAM_TEXT_MAX: else NULL. Valid
         * until the next call. For STREAM_GARBAGE always given, and fd is -EBADF. */
        const char *text;
        uint64_t raw_end; /* raw offset behind the last raw line up to this event */
};
#define STREAM_TEXT_MAX (64 * 1024)
#define STREAM_AT_END   UINT64_MAX /* `at`: after all raw lines; they are closed */

/* The next event: 1; 0 when there is none yet (the raw, the index or the own file has to grow; an
 * idle stream holds no buffer); -EAGAIN when `budget` bytes were scanned and no event was complete
 * (call again later: other work may go in between); or another negative errno: -EBADMSG for an own
 * file that is none, -EIO and the like. Memory does not grow with a line's length. */
int stream_next(struct stream *stream, size_t budget, struct stream_event *ret);
uint64_t stream_seq(const struct stream *stream);     /* of the next event */
uint64_t stream_raw_end(const struct stream *stream); /* of the last event */

/* Where an own event goes that is committed now: the raw file's size, 0 while there is none,
 * STREAM_AT_END once the stream was told or has seen that it is closed. 0 or -errno. */
int stream_own_at(const struct stream *stream, uint64_t *ret);
/* Appends one own event (a JSON object without LF, `n` <= STREAM_TEXT_MAX bytes, else -EINVAL) to a
 * file opened with O_APPEND, and makes it durable (fdatasync) when `sync`. One write(2): a torn
 * tail is ignored by readers; what was cut short by a full disk is taken back here, after a crash
 * by stream_repair_own. */
int stream_append_own(int own_fd, uint64_t at, uint64_t time_usec, const char *json, size_t n,
                      bool sync);
/* Cuts the own file (open for reading and writing) behind its last whole record, after a crash. */
int stream_repair_own(int own_fd);
