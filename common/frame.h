/* Frames of the clients' protocol: JSON texts ended by NUL (Varlink) or LF (nc, NDJSON). The first
 * terminator seen on a connection fixes its framing. Bytes in, frames out: no socket, no JSON. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum frame_kind { FRAME_UNKNOWN = -1, FRAME_NUL = 0, FRAME_LF = '\n' };

struct frame_reader {
        char *bytes; /* owned; NULL while nothing is under way: an idle connection costs nothing */
        size_t start, scanned, used, room; /* start <= scanned <= used <= room */
        size_t max;
        enum frame_kind kind;
};

void frame_reader_init(struct frame_reader *reader, size_t max); /* max bytes of one frame */
void frame_reader_done(struct frame_reader *reader);
/* Room for at least one more byte: gives the place to read into and its size (grows as needed,
 * never beyond max + 1). To be asked for after frame_reader_next said 0. -EMSGSIZE when a frame
 * over `max` is under way, -ENOMEM. */
ssize_t frame_reader_space(struct frame_reader *reader, char **ret);
void frame_reader_commit(struct frame_reader *reader, size_t n); /* n bytes were put there */
/* The next whole frame: *ret is NUL-terminated and valid until the next call; returns 1, or 0 while
 * more is needed. Empty frames (a stray LF) are skipped on LF connections, given on NUL ones.
 * A NUL inside an LF frame is -EPROTO, now and ever after. */
int frame_reader_next(struct frame_reader *reader, char **ret, size_t *ret_n);
/* Whether a frame has begun and not ended (for the mid-frame timeout). */
int frame_reader_partial(const struct frame_reader *reader);
