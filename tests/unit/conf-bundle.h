/* Bundles made by hand, so that the tests of what reads them need no files. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct made {
        char bytes[65536];
        size_t n;
};

static inline void made_put(struct made *made, const void *bytes, size_t n)
{
        if (made->n + n > sizeof made->bytes)
                abort();
        memcpy(made->bytes + made->n, bytes, n);
        made->n += n;
}

static inline void made_file(struct made *made, const char *name, const char *text)
{
        uint32_t lengths[2] = {(uint32_t) strlen(name) + 1, (uint32_t) strlen(text)}, count;

        made_put(made, lengths, sizeof lengths);
        made_put(made, name, lengths[0]);
        made_put(made, text, lengths[1]);
        memcpy(&count, made->bytes + 8, sizeof count);
        count++;
        memcpy(made->bytes + 8, &count, sizeof count);
}

/* codexd.json, and up to two files of rules (NULL: none). */
static inline void made_bundle(struct made *made, const char *codexd, const char *one,
                               const char *two)
{
        made->n = 0;
        made_put(made, "codexdC1\0\0\0\0", 12);
        made_file(made, "codexd.json", codexd);
        if (one)
                made_file(made, "10.json", one);
        if (two)
                made_file(made, "20.json", two);
}
