#include "frame.h"
#include "cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096

void frame_reader_init(struct frame_reader *reader, size_t max)
{
        *reader = (struct frame_reader){.max = max, .kind = FRAME_UNKNOWN};
}

void frame_reader_done(struct frame_reader *reader)
{
        free(reader->bytes);
        frame_reader_init(reader, reader->max);
}

/* The started frame moves to the front: at most what came since the last time. */
static void compact(struct frame_reader *reader)
{
        if (reader->start == 0)
                return;
        memmove(reader->bytes, reader->bytes + reader->start, reader->used - reader->start);
        reader->used -= reader->start;
        reader->scanned -= reader->start;
        reader->start = 0;
}

ssize_t frame_reader_space(struct frame_reader *reader, char **ret)
{
        if (reader->used == reader->room)
                compact(reader);
        if (reader->used == reader->room) {
                size_t room = reader->room ? reader->room * 2 : ROOM_FIRST;
                char *bytes;

                if (reader->room == reader->max + 1)
                        return -EMSGSIZE;
                room = MIN(room, reader->max + 1);
                bytes = realloc(reader->bytes, room);
                if (!bytes)
                        return -ENOMEM;
                reader->bytes = bytes;
                reader->room = room;
        }
        *ret = reader->bytes + reader->used;
        return (ssize_t) (reader->room - reader->used);
}

void frame_reader_commit(struct frame_reader *reader, size_t n)
{
        assert(n <= reader->room - reader->used);
        reader->used += n;
}

static void forget(struct frame_reader *reader)
{
        free(reader->bytes);
        reader->bytes = NULL;
        reader->start = reader->scanned = reader->used = reader->room = 0;
}

/* The next terminator, or NULL. On an LF connection, a NUL is found too: it is an error. */
static char *find_end(const struct frame_reader *reader)
{
        char *from = reader->bytes + reader->scanned, *nul, *lf;
        size_t n = reader->used - reader->scanned;

        if (n == 0)
                return NULL;
        nul = memchr(from, '\0', n);
        if (reader->kind == FRAME_NUL)
                return nul;
        lf = memchr(from, '\n', nul ? (size_t) (nul - from) : n);
        return lf ? lf : nul;
}

int frame_reader_next(struct frame_reader *reader, char **ret, size_t *ret_n)
{
        for (;;) {
                char *end = find_end(reader), *frame;

                if (!end) {
                        reader->scanned = reader->used;
                        if (reader->start == reader->used)
                                forget(reader);
                        return 0;
                }
                if (reader->kind == FRAME_UNKNOWN)
                        reader->kind = *end == '\n' ? FRAME_LF : FRAME_NUL;
                if (*end != (char) reader->kind) {
                        reader->scanned =
                                (size_t) (end - reader->bytes); /* found again next time */
                        return -EPROTO;
                }
                frame = reader->bytes + reader->start;
                reader->start = reader->scanned = (size_t) (end - reader->bytes) + 1;
                if (end == frame && reader->kind == FRAME_LF)
                        continue;
                *end = '\0';
                *ret = frame;
                *ret_n = (size_t) (end - frame);
                return 1;
        }
}

int frame_reader_partial(const struct frame_reader *reader)
{
        return reader->used > reader->start;
}
