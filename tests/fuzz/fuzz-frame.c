/* Frames: byte 0 the limit, byte 1 the size of the parts, then the stream. What comes out is what a
 * plain split gives, whatever the parts are. */
#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The frame at *at by the rules of frame.h: 1 and its end, 0, or an error. */
static int plain(const uint8_t *bytes, size_t n, size_t *at, int *kind, size_t *ret_end)
{
        for (;;) {
                size_t end = *at;

                while (end < n && bytes[end] != 0 && !(bytes[end] == '\n' && *kind != FRAME_NUL))
                        end++;
                if (end == n)
                        return 0;
                if (*kind == FRAME_UNKNOWN)
                        *kind = bytes[end];
                if (bytes[end] != *kind)
                        return -EPROTO;
                if (end == *at && *kind == FRAME_LF) {
                        (*at)++;
                        continue;
                }
                *ret_end = end;
                return 1;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        struct frame_reader reader;
        size_t max, step, given = 0, at = 0;
        int kind = FRAME_UNKNOWN, r = 0;

        if (n < 2)
                return 0;
        max = bytes[0];
        step = bytes[1] + 1u;
        bytes += 2;
        n -= 2;
        frame_reader_init(&reader, max);
        while (given < n && r == 0) {
                char *place, *frame;
                ssize_t space = frame_reader_space(&reader, &place);
                size_t put, size, end;

                if (space < 0) {
                        /* only for a frame that is really too long */
                        assert(space == -EMSGSIZE && plain(bytes, given, &at, &kind, &end) == 0 &&
                               given - at > max);
                        break;
                }
                assert(space > 0);
                put = (size_t) space < step ? (size_t) space : step;
                put = put < n - given ? put : n - given;
                memcpy(place, bytes + given, put);
                frame_reader_commit(&reader, put);
                given += put;
                while ((r = frame_reader_next(&reader, &frame, &size)) > 0) {
                        assert(plain(bytes, given, &at, &kind, &end) == 1);
                        assert(size == end - at && size <= max);
                        assert(memcmp(frame, bytes + at, size) == 0 && frame[size] == '\0');
                        at = end + 1;
                }
                assert(r == plain(bytes, given, &at, &kind, &end));
                assert(reader.room <= max + 1);
                assert(frame_reader_partial(&reader) == (given > at));
        }
        frame_reader_done(&reader);
        return 0;
}
