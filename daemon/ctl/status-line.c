#include "status-line.h"
#include "cleanup.h"
#include "plain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void status_line_init(struct status_line *line, bool wanted)
{
        const char *term = getenv("TERM");

        *line = (struct status_line){
                .enabled = wanted && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
        };
}

void status_line_clear(struct status_line *line)
{
        if (!line->shown)
                return;
        fputs("\r\033[K", stderr);
        (void) fflush(stderr);
        line->shown = false;
}

static void put_elapsed(uint64_t s, FILE *out)
{
        if (s >= 3600)
                fprintf(out, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
        else if (s >= 60)
                fprintf(out, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
        else
                fprintf(out, "%" PRIu64 "s", s);
}

void status_line_text(const struct render *render, uint64_t elapsed_s, unsigned columns, FILE *out)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *memory = open_memstream(&text, &size);

        if (!memory)
                return;
        if (render->job)
                fprintf(memory, "job %" PRIu64 " ", render->job);
        fprintf(memory, "%s ", render->state[0] ? render->state : "submitting");
        if (strcmp(render->state, "queued") == 0 && render->position > 0)
                fprintf(memory, "at %" PRIu64 " ", render->position);
        put_elapsed(elapsed_s, memory);
        if (render->input_tokens >= 0)
                fprintf(memory, " | %" PRId64 " in %" PRId64 " out", render->input_tokens,
                        render->output_tokens);
        if (render->item[0])
                fprintf(memory, " | %s", render->item);
        if (fclose(memory) == 0)
                fwrite(text, 1, plain_fit(text, size, columns), out);
}

void status_line_draw(struct status_line *line, const struct render *render, uint64_t elapsed_s)
{
        struct winsize size = {0};

        if (!line->enabled)
                return;
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
                size.ws_col = 80;
        fputs("\r", stderr);
        /* Not the last column: some terminals wrap there. */
        status_line_text(render, elapsed_s, size.ws_col - 1u, stderr);
        fputs("\033[K", stderr);
        (void) fflush(stderr);
        line->shown = true;
}
