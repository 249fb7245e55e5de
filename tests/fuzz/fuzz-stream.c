/* A job's files from the input, and readers with two budgets: they see one stream, or stop at one
 * error, and what a repair leaves can be read. Byte 0: flags; bytes 1 and 2: how many of the rest
 * are the own file and the index (in parts of 256); the raw file is what is left. */
#include "fd.h"
#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static int file(const uint8_t *bytes, size_t n)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        assert(fd >= 0 && fd_write_all(fd, bytes, n) == 0);
        return fd;
}

static int next(struct stream *stream, size_t budget, struct stream_event *ret)
{
        int r, calls = 0;

        while ((r = stream_next(stream, budget, ret)) == -EAGAIN)
                assert(++calls < 1 << 20); /* each call is a step */
        return r;
}

static void compare(const struct stream_event *a, const struct stream_event *b)
{
        assert(a->source == b->source && a->seq == b->seq && a->time_usec == b->time_usec);
        assert(a->offset == b->offset && a->size == b->size && a->raw_end == b->raw_end);
        assert(!a->text == !b->text);
        assert(!a->text || (strlen(a->text) == a->size && memcmp(a->text, b->text, a->size) == 0));
        if (a->text && a->fd >= 0) {
                _cleanup_free_ char *bytes = malloc(a->size + 1);

                assert(bytes &&
                       pread(a->fd, bytes, a->size, (off_t) a->offset) == (ssize_t) a->size);
                assert(memcmp(bytes, a->text, a->size) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        _cleanup_(stream_freep) struct stream *one = NULL, *two = NULL;
        _cleanup_fd_ int raw = -EBADF, index = -EBADF, own = -EBADF;
        size_t own_n, index_n;
        uint64_t seq = 0;
        int r;

        if (n < 3)
                return 0;
        own_n = (n - 3) * bytes[1] / 256;
        index_n = (n - 3 - own_n) * bytes[2] / 256;
        own = file(bytes + 3, own_n);
        index = file(bytes + 3 + own_n, index_n);
        raw = file(bytes + 3 + own_n + index_n, n - 3 - own_n - index_n);
        if (bytes[0] & 1)
                assert(stream_repair_own(own) == 0);
        assert(stream_new(&one, raw, index, own) == 0);
        assert(stream_new(&two, raw, index, own) == 0);
        if (bytes[0] & 2) {
                stream_close_raw(one);
                stream_close_raw(two);
        }
        do {
                struct stream_event a, b;

                r = next(one, 1 << 20, &a);
                assert(next(two, 1 + bytes[0] / 4u, &b) == r);
                assert(r == 1 || r == 0 || r == -EBADMSG);
                assert(r != -EBADMSG || !(bytes[0] & 1)); /* repaired is readable */
                if (r == 1) {
                        assert(a.seq == seq++);
                        compare(&a, &b);
                }
        } while (r == 1);
        assert(stream_seq(one) == seq && stream_seq(two) == seq);
        return 0;
}
