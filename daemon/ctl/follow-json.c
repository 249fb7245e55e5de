#include "follow-json.h"
#include "cleanup.h"

#include <string.h>

void follow_json_init(struct follow_json *json, FILE *out, bool terminal)
{
        *json = (struct follow_json){.terminal = terminal};
        plain_init(&json->plain, out, PLAIN_JSON);
}

/* A raw line end in JSON is white space between its tokens, so a blank does as well. */
static void put(struct follow_json *json, const char *bytes, size_t n)
{
        FILE *out = json->plain.out;

        if (json->terminal) {
                plain_feed(&json->plain, bytes, n);
                return;
        }
        while (n > 0) {
                size_t run = 0;

                while (run < n && bytes[run] != '\n' && bytes[run] != '\r')
                        run++;
                fwrite(bytes, 1, run, out);
                if (run < n) {
                        fputc(' ', out);
                        run++;
                }
                bytes += run;
                n -= run;
        }
}

void follow_json_piece(struct follow_json *json, const struct envelope *envelope, const char *bytes,
                       size_t n)
{
        uint64_t end = envelope->offset, begin = end - n, from, to;

        if (!envelope->parameters)
                return;
        from = MAX(begin, envelope->parameters + json->done);
        to = envelope->parameters_end ? MIN(end, envelope->parameters_end) : end;
        if (from >= to)
                return;
        put(json, bytes + (from - begin), (size_t) (to - from));
        json->done = to - envelope->parameters;
}

void follow_json_reply(struct follow_json *json, const struct reply *reply)
{
        if (reply->bytes)
                follow_json_piece(json, &reply->envelope, reply->bytes, (size_t) reply->size);
        plain_end(&json->plain);
        fputc('\n', json->plain.out);
        json->done = 0;
}
