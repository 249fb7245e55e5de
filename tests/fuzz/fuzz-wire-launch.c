/* Messages between launcher and supervisor: byte 0 says whose (1: the supervisor's) and whether the
 * header is made right, so that what lies behind it is reached. */
#include "wire-launch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_string(const char *string, size_t size)
{
        size_t length = strnlen(string, size);

        assert(length < size);
        for (; length < size; length++)
                assert(string[length] == '\0');
}

static void check_wish(const struct wire_wish *wish)
{
        check_string(wish->model, sizeof wish->model);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        union wire_launch_any *m;
        bool from_supervisor;
        uint64_t sequence = 7;
        size_t size;
        int r;

        if (n < 1)
                return 0;
        from_supervisor = bytes[0] & 1;
        size = n - 1;
        m = malloc(size ? size : 1); /* to the byte */
        assert(m);
        memcpy(m, bytes + 1, size);
        if ((bytes[0] & 2) && size >= sizeof m->header) {
                m->header.magic = WIRE_LAUNCH_MAGIC;
                m->header.version = WIRE_LAUNCH_VERSION;
                m->header.size = (uint32_t) size;
                m->header.sequence = 8;
        }
        r = wire_launch_check(m, size, from_supervisor, &sequence);
        assert(r == 0 || r == -EPROTO || r == -EBADMSG);
        if (r == 0) {
                assert(sequence == m->header.sequence && sequence > 7);
                assert(size == m->header.size);
                assert(size == wire_launch_size(m->header.type, from_supervisor));
                assert(wire_launch_size(m->header.type, !from_supervisor) == 0);
                if (m->header.type == WIRE_START) {
                        check_string(m->start.workspace, sizeof m->start.workspace);
                        check_string(m->start.cwd, sizeof m->start.cwd);
                        check_string(m->start.thread_id, sizeof m->start.thread_id);
                        check_wish(&m->start.wish);
                } else if (m->header.type == WIRE_RESOLVE) {
                        check_string(m->resolve.workspace, sizeof m->resolve.workspace);
                        check_string(m->resolve.cwd, sizeof m->resolve.cwd);
                        check_wish(&m->resolve.wish);
                }
        } else {
                assert(sequence == 7);
        }
        free(m);
        return 0;
}
