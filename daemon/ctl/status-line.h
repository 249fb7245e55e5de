/* One line at the bottom of a terminal that is rewritten in place: what a job is doing. Only where
 * stderr is a terminal; else every call does nothing. */
#pragma once

#include "render.h"

#include <stdbool.h>
#include <stdint.h>

struct status_line {
        bool enabled, shown;
};

void status_line_init(struct status_line *line, bool wanted);
void status_line_clear(struct status_line *line); /* before anything else is printed */
void status_line_draw(struct status_line *line, const struct render *render, uint64_t elapsed_s);
/* The text alone, at most `columns` wide; for tests too. */
void status_line_text(const struct render *render, uint64_t elapsed_s, unsigned columns, FILE *out);
