#include "codex-exec.h"
#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const names[_CODEX_LINE_TYPE_MAX] = {
        [CODEX_LINE_OTHER] = "",
        [CODEX_LINE_THREAD_STARTED] = "thread.started",
        [CODEX_LINE_TURN_STARTED] = "turn.started",
        [CODEX_LINE_TURN_COMPLETED] = "turn.completed",
        [CODEX_LINE_TURN_FAILED] = "turn.failed",
        [CODEX_LINE_ITEM_STARTED] = "item.started",
        [CODEX_LINE_ITEM_UPDATED] = "item.updated",
        [CODEX_LINE_ITEM_COMPLETED] = "item.completed",
        [CODEX_LINE_ERROR] = "error",
};

const char *codex_line_type_name(enum codex_line_type type)
{
        return (unsigned) type < _CODEX_LINE_TYPE_MAX ? names[type] : "";
}

static enum codex_line_type type_from(const char *s, size_t n)
{
        for (int type = 1; type < _CODEX_LINE_TYPE_MAX; type++)
                if (strlen(names[type]) == n && memcmp(names[type], s, n) == 0)
                        return (enum codex_line_type) type;
        return CODEX_LINE_OTHER;
}

/* A word of Codex's vocabulary, or "": these go into journal fields. */
static void take_word(char *to, size_t room, json_t *json)
{
        const char *s = json_string_value(json);
        size_t n = s ? strlen(s) : 0;

        to[0] = '\0';
        if (n == 0 || n >= room || strspn(s, "abcdefghijklmnopqrstuvwxyz_") != n)
                return;
        memcpy(to, s, n + 1);
}

static void take_message(struct codex_line *line, json_t *json)
{
        const char *s = json_string_value(json);

        if (s)
                (void) text_clean(line->message, sizeof line->message, s, strlen(s));
}

static int64_t take_count(json_t *json)
{
        json_int_t n = json_integer_value(json);

        return n < 0 ? 0 : n;
}

static void take_members(struct codex_line *line, json_t *root)
{
        const char *id;
        json_t *part;

        switch (line->type) {
        case CODEX_LINE_THREAD_STARTED:
                id = json_string_value(json_object_get(root, "thread_id"));
                if (id && name_is_uuid(id))
                        (void) snprintf(line->thread_id, sizeof line->thread_id, "%s", id);
                break;
        case CODEX_LINE_TURN_COMPLETED:
                part = json_object_get(root, "usage");
                line->has_usage = json_is_object(part);
                line->usage.input = take_count(json_object_get(part, "input_tokens"));
                line->usage.cached = take_count(json_object_get(part, "cached_input_tokens"));
                line->usage.output = take_count(json_object_get(part, "output_tokens"));
                break;
        case CODEX_LINE_TURN_FAILED:
                take_message(line, json_object_get(json_object_get(root, "error"), "message"));
                break;
        case CODEX_LINE_ERROR:
                take_message(line, json_object_get(root, "message"));
                break;
        case CODEX_LINE_ITEM_STARTED:
        case CODEX_LINE_ITEM_UPDATED:
        case CODEX_LINE_ITEM_COMPLETED:
                part = json_object_get(root, "item");
                take_word(line->item_type, sizeof line->item_type, json_object_get(part, "type"));
                take_word(line->item_status, sizeof line->item_status,
                          json_object_get(part, "status"));
                break;
        default:
                break;
        }
}

int codex_line_parse(struct codex_line *ret, const char *text, size_t n)
{
        json_t *root, *type;

        memset(ret, 0, sizeof *ret);
        /* JSON_ALLOW_NUL: a tool's output may hold one; it is never copied from here. */
        root = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
        if (!json_is_object(root)) {
                json_decref(root);
                return -EBADMSG;
        }
        type = json_object_get(root, "type");
        if (json_is_string(type))
                ret->type = type_from(json_string_value(type), json_string_length(type));
        take_members(ret, root);
        json_decref(root);
        return 0;
}

void codex_line_peek(struct codex_line *ret, const char *text, size_t n)
{
        static const char head[] = "{\"type\":\"";
        const char *end;

        memset(ret, 0, sizeof *ret);
        if (n <= sizeof head - 1 || memcmp(text, head, sizeof head - 1) != 0)
                return;
        text += sizeof head - 1;
        n -= sizeof head - 1;
        end = memchr(text, '"', n);
        if (end)
                ret->type = type_from(text, (size_t) (end - text));
}
