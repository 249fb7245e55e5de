/* Replies as codexctl scans them, and what of them goes to a terminal. The first byte says in what
 * parts they come. However cut, the scan is the same; what jansson takes for an object of codexd's
 * shape is seen as such; what is shown holds no control character. */
#include "cleanup.h"
#include "envelope.h"
#include "plain.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool feed(struct envelope *e, const char *text, size_t n, size_t step)
{
        envelope_init(e);
        for (size_t i = 0; i < n; i += step)
                if (!envelope_feed(e, text + i, MIN(step, n - i)))
                        return false;
        return true;
}

static void check_range(const char *text, size_t n, uint64_t from, uint64_t to)
{
        assert(from <= to || to == 0);
        assert(to <= n);
        assert(to == 0 || text[to - 1] != ',');
}

static void show(const char *text, size_t n, enum plain_mode mode)
{
        char *out = NULL;
        size_t size = 0;
        FILE *memory = open_memstream(&out, &size);

        assert(memory);
        plain_put(memory, mode, text, n);
        assert(fclose(memory) == 0);
        assert(plain_count(out, size) >= 0);
        for (size_t i = 0; i < size; i++)
                assert(((unsigned char) out[i] >= 0x20 && out[i] != 0x7f) ||
                       (mode == PLAIN_TEXT && (out[i] == '\n' || out[i] == '\t')));
        free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        const char *text = (const char *) bytes + 1;
        struct envelope whole, parts;
        json_t *root, *value;
        bool good;

        if (n < 1)
                return 0;
        n--;
        good = feed(&whole, text, n, n ? n : 1);
        assert(good == feed(&parts, text, n, bytes[0] % 16 + 1));
        if (good) {
                assert(whole.offset == n && parts.offset == n);
                assert(whole.event == parts.event && whole.event_end == parts.event_end);
                assert(whole.parameters == parts.parameters);
                assert(whole.parameters_end == parts.parameters_end);
                assert(whole.seq == parts.seq && whole.continues == parts.continues);
                assert(strcmp(whole.error, parts.error) == 0);
                check_range(text, n, whole.parameters, whole.parameters_end);
                check_range(text, n, whole.event, whole.event_end);
        }
        root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (json_is_object(root) && !memchr(text, '\\', n)) {
                value = json_object_get(json_object_get(root, "parameters"), "event");
                /* Deeper than we go: refused by us alone. */
                assert(good || n > ENVELOPE_DEPTH_MAX);
                assert(!good || envelope_complete(&whole));
                assert(!good || !value || whole.event_end > 0);
        }
        json_decref(root);
        show(text, n, bytes[0] % 3);
        return 0;
}
