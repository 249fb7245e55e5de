/* Where the parts of one reply stand: {"parameters":{"seq","time","event"},"continues"} or
 * {"error","parameters"}. A scanner fed in pieces, so that the event in it can be handed on byte
 * for byte, and a reply of any length costs no memory. It follows structure only; what is kept
 * whole goes through jansson as well. No socket, no heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_DEPTH_MAX 512 /* as jsonscan.h: codexd sends nothing deeper */

struct envelope {
        /* Offsets of [first, end) from the start of the reply; both 0: not there (yet). */
        uint64_t parameters, parameters_end;
        uint64_t event, event_end;
        uint64_t seq, time;
        bool has_seq, continues, has_error;
        char error[96]; /* cut if it is longer */

        /* its own */
        uint64_t offset;
        uint8_t state, level;
        uint16_t nest;
        bool escaped;
        uint8_t key_used, text_used;
        char key[16], text[96];
};

void envelope_init(struct envelope *envelope);
/* False when this can be no reply; then it stays false. */
bool envelope_feed(struct envelope *envelope, const char *bytes, size_t n);
bool envelope_complete(const struct envelope *envelope); /* one whole object was fed */
