/* Events as NDJSON: the parameters of each reply, {"seq","time","event"}, byte for byte on one
 * line. A reply that is too long to keep goes out in pieces; one that was cut off by a broken
 * connection is taken up where it stopped, for a replay is the same bytes. */
#pragma once

#include "connection.h"
#include "plain.h"

struct follow_json {
        struct plain plain; /* for a terminal */
        bool terminal;
        uint64_t done; /* bytes of this line that are out already */
};

void follow_json_init(struct follow_json *json, FILE *out, bool terminal);
void follow_json_piece(struct follow_json *json, const struct envelope *envelope, const char *bytes,
                       size_t n);
/* The end of a reply: what was not given in pieces, and LF. */
void follow_json_reply(struct follow_json *json, const struct reply *reply);
