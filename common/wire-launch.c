#include "wire-launch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define STRING(type, member)                                                                       \
        {                                                                                          \
                offsetof(struct type, member), sizeof(((struct type *) 0)->member)                 \
        }
#define STRINGS 4

static const struct {
        uint32_t type;
        bool from_supervisor;
        uint16_t size, fds;
        struct {
                uint16_t offset, size;
        } strings[STRINGS]; /* that only the supervisor's messages need: the launcher is trusted */
} types[] = {
        {WIRE_HELLO, true, sizeof(struct wire_hello), 0, {{0}}},
        {WIRE_PONG, true, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_RESOLVE,
         true,
         sizeof(struct wire_resolve),
         0,
         {STRING(wire_resolve, workspace), STRING(wire_resolve, cwd),
          STRING(wire_resolve, wish.model)}},
        {WIRE_START,
         true,
         sizeof(struct wire_start),
         1,
         {STRING(wire_start, workspace), STRING(wire_start, cwd), STRING(wire_start, wish.model),
          STRING(wire_start, thread_id)}},
        {WIRE_SIGNAL, true, sizeof(struct wire_signal), 0, {{0}}},
        {WIRE_RELEASE, true, sizeof(struct wire_worker), 0, {{0}}},
        {WIRE_FORGET, true, sizeof(struct wire_worker), 0, {{0}}},
        {WIRE_RELOAD, true, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_STATUS, true, sizeof(struct wire_status), 0, {{0}}},
        {WIRE_POLICY, false, sizeof(struct wire_policy), 1, {{0}}},
        {WIRE_LISTEN, false, sizeof(struct wire_ping), 1, {{0}}},
        {WIRE_PING, false, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_RESOLVED, false, sizeof(struct wire_resolved), 0, {{0}}},
        {WIRE_STARTED, false, sizeof(struct wire_started), 0, {{0}}},
        {WIRE_START_FAILED, false, sizeof(struct wire_failed), 0, {{0}}},
        {WIRE_ADOPTED, false, sizeof(struct wire_started), 0, {{0}}},
        {WIRE_EXITED, false, sizeof(struct wire_exited), 0, {{0}}},
        {WIRE_GONE, false, sizeof(struct wire_exited), 0, {{0}}},
        {WIRE_RELOADED, false, sizeof(struct wire_failed), 0, {{0}}},
        {WIRE_SYNCED, false, sizeof(struct wire_ping), 0, {{0}}},
        {WIRE_NOTICE, false, sizeof(struct wire_exited), 0, {{0}}},
};
#define TYPES (sizeof types / sizeof types[0])

static size_t find(uint32_t type)
{
        size_t i = 0;

        while (i < TYPES && types[i].type != type)
                i++;
        return i;
}

size_t wire_launch_size(uint32_t type, bool from_supervisor)
{
        size_t i = find(type);

        return i < TYPES && types[i].from_supervisor == from_supervisor ? types[i].size : 0;
}

size_t wire_launch_fds(uint32_t type)
{
        size_t i = find(type);

        return i < TYPES ? types[i].fds : 0;
}

/* Terminated, and zero after it: one string has one form, so that nothing rides along. */
static bool string_ok(const char *bytes, size_t size)
{
        size_t n = strnlen(bytes, size);

        if (n == size)
                return false;
        for (; n < size; n++)
                if (bytes[n])
                        return false;
        return true;
}

int wire_launch_check(const void *bytes, size_t n, bool from_supervisor, uint64_t *sequence)
{
        struct wire_header header;
        size_t i;

        if (n < sizeof header)
                return -EPROTO;
        memcpy(&header, bytes, sizeof header);
        if (header.magic != WIRE_LAUNCH_MAGIC || header.version != WIRE_LAUNCH_VERSION ||
            header.size != n || wire_launch_size(header.type, from_supervisor) != n)
                return -EPROTO;
        i = find(header.type);
        for (size_t k = 0; k < STRINGS && types[i].strings[k].size; k++)
                if (!string_ok((const char *) bytes + types[i].strings[k].offset,
                               types[i].strings[k].size))
                        return -EPROTO;
        if (header.sequence <= *sequence)
                return -EBADMSG;
        *sequence = header.sequence;
        return 0;
}

void wire_launch_seal(void *message, uint32_t type, uint64_t *sequence)
{
        const size_t i = find(type);
        struct wire_header header = {
                .magic = WIRE_LAUNCH_MAGIC,
                .version = WIRE_LAUNCH_VERSION,
                .type = type,
        };

        assert(i < TYPES);
        header.size = types[i].size;
        header.sequence = ++*sequence;
        memcpy(message, &header, sizeof header);
}
