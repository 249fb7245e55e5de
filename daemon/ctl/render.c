#include "render.h"
#include "cleanup.h"
#include "plain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_COLUMNS 1000 /* of a command, before it is cut */
#define OUTPUT_MAX      4000 /* bytes of a command's output that are shown: the last ones */

#define DIM    "\033[2m"
#define NORMAL "\033[0m"

void render_init(struct render *render)
{
        *render = (struct render){.input_tokens = -1, .output_tokens = -1};
}

static const char *text_of(json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static int64_t number_of(json_t *object, const char *key, int64_t otherwise)
{
        json_t *value = json_object_get(object, key);

        return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* A string may hold U+0000, so its length is jansson's. */
static void put_text(json_t *object, const char *key, FILE *out)
{
        json_t *value = json_object_get(object, key);

        if (json_is_string(value))
                plain_put(out, PLAIN_TEXT, json_string_value(value), json_string_length(value));
}

static void ours_begin(const struct render *render, FILE *out)
{
        if (render->colour)
                fputs(DIM, out);
}

static void ours_end(const struct render *render, FILE *out)
{
        fputs(render->colour ? NORMAL "\n" : "\n", out);
}

/* "WORD: text" on one line. */
static void put_line(const struct render *render, const char *word, const char *text, FILE *out)
{
        ours_begin(render, out);
        fprintf(out, "%s: ", word);
        plain_put_cut(out, text, COMMAND_COLUMNS);
        ours_end(render, out);
}

static void note_item(struct render *render, json_t *item, const char *what, const char *text)
{
        FILE *memory = fmemopen(render->item, sizeof render->item, "w");

        if (!memory)
                return;
        fprintf(memory, "%s ", what);
        plain_put_cut(memory, text, 36); /* of up to four bytes each: fits */
        (void) fclose(memory);
        render->item[sizeof render->item - 1] = '\0';
        (void) snprintf(render->item_id, sizeof render->item_id, "%s", text_of(item, "id"));
}

static void forget_item(struct render *render, json_t *item)
{
        if (!item || strncmp(render->item_id, text_of(item, "id"), sizeof render->item_id - 1) == 0)
                render->item[0] = render->item_id[0] = '\0';
}

/* The end of a command's output, each line marked as such. */
static void put_output(const struct render *render, json_t *item, FILE *out)
{
        json_t *value = json_object_get(item, "aggregated_output");
        const char *text = json_string_value(value);
        size_t n = text ? json_string_length(value) : 0;
        _cleanup_free_ char *safe = NULL;
        size_t size = 0;
        FILE *memory;

        if (n == 0)
                return;
        ours_begin(render, out);
        if (n > OUTPUT_MAX) {
                const char *cut = text + n - OUTPUT_MAX, *line = memchr(cut, '\n', OUTPUT_MAX);

                fprintf(out, "  | [%zu bytes before]\n", n - OUTPUT_MAX);
                while (((unsigned char) *cut & 0xc0) == 0x80)
                        cut++;
                cut = line && line + 1 < text + n ? line + 1 : cut;
                n -= (size_t) (cut - text);
                text = cut;
        }
        memory = open_memstream(&safe, &size);
        if (!memory)
                return;
        plain_put(memory, PLAIN_TEXT, text, n);
        if (fclose(memory) != 0)
                return;
        if (size > 0 && safe[size - 1] == '\n')
                safe[--size] = '\0';
        for (char *save = safe, *line; (line = strsep(&save, "\n"));)
                fprintf(out, "  | %s%s", line, save ? "\n" : "");
        ours_end(render, out);
}

static void item_command(struct render *render, json_t *item, FILE *out)
{
        const char *status = text_of(item, "status");
        json_t *code = json_object_get(item, "exit_code");
        int64_t exit_code = number_of(item, "exit_code", -1);

        ours_begin(render, out);
        fputs("$ ", out);
        plain_put_cut(out, text_of(item, "command"), COMMAND_COLUMNS);
        if (json_is_integer(code)) {
                fprintf(out, "  [exit %" PRId64 "]", exit_code);
        } else {
                fputs("  [", out);
                plain_put_cut(out, *status ? status : "ended", 20);
                fputc(']', out);
        }
        ours_end(render, out);
        if (exit_code != 0 || render->verbose)
                put_output(render, item, out);
}

static void item_file_change(struct render *render, json_t *item, FILE *out)
{
        bool failed = strcmp(text_of(item, "status"), "failed") == 0;
        json_t *change;
        size_t i;

        json_array_foreach (json_object_get(item, "changes"), i, change) {
                ours_begin(render, out);
                plain_put_cut(out, *text_of(change, "kind") ? text_of(change, "kind") : "change",
                              12);
                fputc(' ', out);
                plain_put_cut(out, text_of(change, "path"), COMMAND_COLUMNS);
                if (failed)
                        fputs("  [failed]", out);
                ours_end(render, out);
        }
}

static void item_tool(struct render *render, json_t *item, FILE *out)
{
        json_t *error = json_object_get(item, "error");

        ours_begin(render, out);
        fputs("> ", out);
        if (*text_of(item, "server")) {
                plain_put_cut(out, text_of(item, "server"), 100);
                fputc('.', out);
        }
        plain_put_cut(out, text_of(item, "tool"), 100);
        fputs("  [", out);
        plain_put_cut(out, text_of(item, "status"), 20);
        fputc(']', out);
        if (json_is_object(error)) {
                fputc(' ', out);
                plain_put_cut(out, text_of(error, "message"), COMMAND_COLUMNS);
        }
        ours_end(render, out);
}

static void item_todo_list(struct render *render, json_t *item, FILE *out)
{
        json_t *todo;
        size_t i;

        json_array_foreach (json_object_get(item, "items"), i, todo) {
                ours_begin(render, out);
                fputs(json_is_true(json_object_get(todo, "completed")) ? "[x] " : "[ ] ", out);
                plain_put_cut(out, text_of(todo, "text"), COMMAND_COLUMNS);
                ours_end(render, out);
        }
}

static void item_message(struct render *render, json_t *item, FILE *out)
{
        put_text(item, "text", out);
        fputc('\n', out);
}

static void item_reasoning(struct render *render, json_t *item, FILE *out)
{
        if (render->verbose)
                put_line(render, "thinking", text_of(item, "text"), out);
}

static void item_search(struct render *render, json_t *item, FILE *out)
{
        put_line(render, "search", text_of(item, "query"), out);
}

static void item_error(struct render *render, json_t *item, FILE *out)
{
        put_line(render, "warning", text_of(item, "message"), out);
}

static const struct item_row {
        const char *type;
        void (*put)(struct render *render, json_t *item, FILE *out);
        const char *what, *key; /* for the status line while it is under way */
} items[] = {
        {"agent_message", item_message, "writing", NULL},
        {"reasoning", item_reasoning, "thinking", NULL},
        {"command_execution", item_command, "$", "command"},
        {"file_change", item_file_change, "changing files", NULL},
        {"mcp_tool_call", item_tool, "tool", "tool"},
        {"collab_tool_call", item_tool, "tool", "tool"},
        {"web_search", item_search, "searching", "query"},
        {"todo_list", item_todo_list, "planning", NULL},
        {"error", item_error, "error", NULL},
};

static void on_item(struct render *render, json_t *event, const char *phase, FILE *out)
{
        json_t *item = json_object_get(event, "item");
        const char *type = text_of(item, "type");
        const struct item_row *row = NULL;
        bool message = strcmp(type, "agent_message") == 0;

        for (size_t i = 0; i < N_ELEMENTS(items); i++)
                if (strcmp(type, items[i].type) == 0)
                        row = &items[i];
        if (strcmp(phase, "completed") != 0) {
                note_item(render, item, row ? row->what : type,
                          row && row->key ? text_of(item, row->key) : "");
                /* A plan is shown as it changes; of all else only what came of it. */
                if (!row || row->put != item_todo_list || render->quiet)
                        return;
        } else {
                forget_item(render, item);
        }
        if (render->quiet && !message)
                return;
        if (row)
                row->put(render, item, out);
        else
                put_line(render, "item", type, out);
}

static void item_started(struct render *render, json_t *event, FILE *out)
{
        on_item(render, event, "started", out);
}

static void item_completed(struct render *render, json_t *event, FILE *out)
{
        on_item(render, event, "completed", out);
}

static void thread_started(struct render *render, json_t *event, FILE *out)
{
        put_line(render, "thread", text_of(event, "thread_id"), out);
}

static void turn_started(struct render *render, json_t *event, FILE *out)
{
}

static void turn_completed(struct render *render, json_t *event, FILE *out)
{
        json_t *usage = json_object_get(event, "usage");

        forget_item(render, NULL);
        if (!json_is_object(usage))
                return;
        render->input_tokens = number_of(usage, "input_tokens", -1);
        render->output_tokens = number_of(usage, "output_tokens", -1);
        ours_begin(render, out);
        fprintf(out, "tokens of the thread: %" PRId64 " in (%" PRId64 " cached), %" PRId64 " out",
                render->input_tokens, number_of(usage, "cached_input_tokens", 0),
                render->output_tokens);
        ours_end(render, out);
}

static void turn_failed(struct render *render, json_t *event, FILE *out)
{
        forget_item(render, NULL);
        put_line(render, "turn failed", text_of(json_object_get(event, "error"), "message"), out);
}

static void error_event(struct render *render, json_t *event, FILE *out)
{
        put_line(render, "error", text_of(event, "message"), out); /* perhaps only a retry */
}

static void job_queued(struct render *render, json_t *event, FILE *out)
{
        int64_t position = number_of(event, "queue_position", number_of(event, "position", 0));

        render->position = position > 0 ? (uint64_t) position : 0;
        ours_begin(render, out);
        fprintf(out, "job %" PRIu64 " queued", render->job);
        if (position > 0)
                fprintf(out, ", position %" PRId64, position);
        ours_end(render, out);
}

static void job_started(struct render *render, json_t *event, FILE *out)
{
        int64_t worker = number_of(event, "worker", 0), pid = number_of(event, "pid", 0);

        render->position = 0;
        ours_begin(render, out);
        fprintf(out, "job %" PRIu64 " started", render->job);
        if (worker > 0)
                fprintf(out, ", worker %" PRId64, worker);
        if (pid > 0)
                fprintf(out, ", pid %" PRId64, pid);
        ours_end(render, out);
}

static void job_cancelling(struct render *render, json_t *event, FILE *out)
{
        const char *why = text_of(event, "reason");

        if (!*why)
                why = text_of(event, "result");
        ours_begin(render, out);
        fprintf(out, "job %" PRIu64 " is being ended", render->job);
        if (*why) {
                fputs(": ", out);
                plain_put_cut(out, why, COMMAND_COLUMNS);
        }
        ours_end(render, out);
}

void render_result(const char *result, const char *error, const char *message, FILE *out)
{
        plain_put_cut(out, result, 0);
        if (*message) {
                fputs(": ", out);
                plain_put_cut(out, message, 0);
        }
        if (*error && strcmp(error, result) != 0 && strcmp(error, "none") != 0) {
                fputs(" (", out);
                plain_put_cut(out, error, 0);
                fputc(')', out);
        }
}

static void job_finished(struct render *render, json_t *event, FILE *out)
{
        json_t *failure = json_object_get(event, "error"); /* Get says "failure" */

        render->finished = true;
        render->exit_signal = (int) number_of(event, "exit_signal", 0);
        (void) snprintf(render->result, sizeof render->result, "%s", text_of(event, "result"));
        (void) snprintf(render->error, sizeof render->error, "%s", text_of(failure, "error"));
        (void) snprintf(render->message, sizeof render->message, "%s", text_of(failure, "message"));
        if (render->quiet)
                return;
        if (strncmp(render->item, "$ ", 2) == 0) { /* Codex tells nothing of what it left running */
                ours_begin(render, out);
                fprintf(out, "%s  [unfinished]", render->item);
                ours_end(render, out);
        }
        forget_item(render, NULL);
        ours_begin(render, out);
        fprintf(out, "job %" PRIu64 " ended: ", render->job);
        render_result(render->result, render->error, render->message, out);
        ours_end(render, out);
}

static void job_garbage(struct render *render, json_t *event, FILE *out)
{
        ours_begin(render, out);
        fprintf(out, "Codex wrote a line of %" PRId64 " bytes that is no JSON",
                number_of(event, "bytes", 0));
        ours_end(render, out);
}

static void gap(struct render *render, json_t *event, FILE *out)
{
        ours_begin(render, out);
        fputs("events are missing here", out);
        ours_end(render, out);
}

static const struct {
        const char *type;
        const char *state; /* of the job from then on; NULL: as before */
        bool even_quiet;   /* the function sees to it by itself */
        void (*put)(struct render *render, json_t *event, FILE *out);
} events[] = {
        {"thread.started", NULL, false, thread_started},
        {"turn.started", "running", true, turn_started},
        {"turn.completed", NULL, false, turn_completed},
        {"turn.failed", NULL, false, turn_failed},
        {"item.started", NULL, true, item_started},
        {"item.updated", NULL, true, item_started},
        {"item.completed", NULL, true, item_completed},
        {"error", NULL, false, error_event},
        {"job.queued", "queued", false, job_queued},
        {"job.started", "running", false, job_started},
        {"job.cancelling", "cancelling", false, job_cancelling},
        {"job.finished", "finished", true, job_finished},
        {"job.garbage", NULL, false, job_garbage},
        {"gap", NULL, false, gap},
};

void render_event(struct render *render, json_t *event, FILE *out)
{
        const char *type = text_of(event, "type");

        for (size_t i = 0; i < N_ELEMENTS(events); i++) {
                if (strcmp(type, events[i].type) != 0)
                        continue;
                if (events[i].state)
                        (void) snprintf(render->state, sizeof render->state, "%s", events[i].state);
                if (!render->quiet || events[i].even_quiet)
                        events[i].put(render, event, out);
                return;
        }
        if (!render->quiet)
                put_line(render, "event", type, out);
}

void render_unknown(struct render *render, uint64_t seq, uint64_t bytes, FILE *out)
{
        if (render->quiet)
                return;
        ours_begin(render, out);
        fprintf(out, "event %" PRIu64 " (%" PRIu64 " bytes) cannot be shown here; --json gives it",
                seq, bytes);
        ours_end(render, out);
}
