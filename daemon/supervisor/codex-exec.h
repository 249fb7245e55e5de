/* What a line of `codex exec --json` means. Bytes in, struct out. The line comes from a tenant's
 * process: every string taken from it is bounded and of harmless characters, or left out. */
#pragma once

#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codex_line_type {
        CODEX_LINE_OTHER, /* an object of a type unknown here: passed on, means nothing */
        CODEX_LINE_THREAD_STARTED,
        CODEX_LINE_TURN_STARTED,
        CODEX_LINE_TURN_COMPLETED,
        CODEX_LINE_TURN_FAILED,
        CODEX_LINE_ITEM_STARTED,
        CODEX_LINE_ITEM_UPDATED,
        CODEX_LINE_ITEM_COMPLETED,
        CODEX_LINE_ERROR, /* a retry notice as often as not: never the end of a turn */
        _CODEX_LINE_TYPE_MAX
};

struct codex_usage { /* the running total of the whole thread, not of the turn */
        int64_t input, cached, output;
};

struct codex_line {
        enum codex_line_type type;
        char thread_id[NAME_UUID_LENGTH + 1]; /* thread.started; "" where it is no UUID */
        char item_type[32], item_status[24];  /* item.*: [a-z_]+, or "" */
        char message[320];                    /* error, turn.failed; valid UTF-8 */
        bool has_usage;                       /* turn.completed */
        struct codex_usage usage;
};

const char *codex_line_type_name(enum codex_line_type type); /* "turn.started"; static; "" other */
/* A whole line. Returns 0, or -EBADMSG if it is no JSON object (then *ret is a zeroed one). */
int codex_line_parse(struct codex_line *ret, const char *text, size_t n);
/* Of a line too long to parse on the loop: only its type, from its first bytes, which must be as
 * Codex writes them ({"type":"..."). Anything else is CODEX_LINE_OTHER. */
void codex_line_peek(struct codex_line *ret, const char *text, size_t n);
#define CODEX_LINE_PEEK 256
