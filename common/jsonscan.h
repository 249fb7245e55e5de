/* Is this one JSON text (RFC 8259), whole? A validator that builds nothing, fed in pieces, so that
 * a line of any length costs no memory and no long stall of the loop. It accepts what jansson
 * accepts with JSON_ALLOW_NUL and more (big numbers, lone surrogates), never less strict in
 * structure: a line it passes can be put into an envelope byte for byte. Refused: control bytes, a
 * raw NUL, invalid UTF-8, nesting over JSONSCAN_DEPTH_MAX. (jansson 2.14 swallows a raw NUL behind
 * a number, and nests up to 2048.) */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONSCAN_DEPTH_MAX 512

struct jsonscan {
        uint8_t state;
        uint16_t depth;
        uint8_t stack[JSONSCAN_DEPTH_MAX / 8]; /* a bit each: object or array */
};

void jsonscan_init(struct jsonscan *scan);
/* Feeds bytes. False as soon as no further byte could help; then it stays false. */
bool jsonscan_feed(struct jsonscan *scan, const char *bytes, size_t n);
/* Whether what was fed is one whole object (with surrounding blanks): a Codex event is an object.
 */
bool jsonscan_is_object(const struct jsonscan *scan);
