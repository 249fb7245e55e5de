/* A job's events as lines for people: the vocabulary of `codex exec --json` and codexd's own. All
 * text in them is a stranger's and goes through plain.h. No socket, no terminal. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct render {
        bool quiet;   /* only what the agent says */
        bool verbose; /* reasoning too, and the output of commands that went well */
        bool colour;  /* dim what codexd says: the agent cannot imitate it, its escapes are shown */
        /* What is going on, for a status line; kept by render_event. */
        uint64_t job, position;
        char state[16];                      /* a word of JobState; "" while unknown */
        char item_id[64];                    /* of the item under way, "" none */
        char item[160];                      /* what it is, safe to show on one line */
        int64_t input_tokens, output_tokens; /* of the thread so far; -1 unknown */
        /* The end, once `finished`. */
        bool finished;
        char result[32], error[64], message[400];
        int exit_signal;
};

void render_init(struct render *render);
/* Takes note of the event and writes its lines, if it has any, to `out`. */
void render_event(struct render *render, json_t *event, FILE *out);
/* The same for an event that could not be kept or parsed: says so. */
void render_unknown(struct render *render, uint64_t seq, uint64_t bytes, FILE *out);
/* How a finished job ended: "ok", "failed: MESSAGE (turn-failed)". */
void render_result(const char *result, const char *error, const char *message, FILE *out);
