#include "envelope.h"

#include <string.h>

enum {
        START,   /* before the reply's brace */
        KEY_END, /* a key, or the end of the object */
        KEY,
        COLON,
        VALUE,
        STRING,        /* a value that is a string */
        SCALAR,        /* a number or literal */
        NESTED,        /* inside an object or array that we do not look into */
        NESTED_STRING, /* and in a string there */
        AFTER,         /* a comma, or the end of the object */
        DONE,
        BAD,
};

enum { TOP = 1, PARAMETERS = 2 }; /* levels whose keys we read */

void envelope_init(struct envelope *envelope)
{
        *envelope = (struct envelope){.state = START, .level = TOP};
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_scalar(char c) /* of a number, true, false, null */
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' ||
               c == '.' || c == 'E';
}

static bool key_is(const struct envelope *e, uint8_t level, const char *name)
{
        return e->level == level && strcmp(e->key, name) == 0;
}

static void keep(char *to, uint8_t room, uint8_t *used, char c)
{
        if (*used < room - 1) {
                to[(*used)++] = c;
                to[*used] = '\0';
        } else {
                to[0] = '\0'; /* too long for any name we know: none of them, then */
        }
}

/* Only digits: codexd counts from 0 upwards. */
static bool read_number(const char *text, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*text)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
                        return false;
                value = value * 10 + (uint64_t) (*text - '0');
        }
        *ret = value;
        return true;
}

/* A value ended; `end` is the offset after it. */
static void value_ends(struct envelope *e, uint64_t end)
{
        if (key_is(e, PARAMETERS, "event"))
                e->event_end = end;
        else if (key_is(e, PARAMETERS, "seq"))
                e->has_seq = read_number(e->text, &e->seq);
        else if (key_is(e, PARAMETERS, "time"))
                (void) read_number(e->text, &e->time);
        else if (key_is(e, TOP, "continues"))
                e->continues = strcmp(e->text, "true") == 0;
        else if (key_is(e, TOP, "error") && strcmp(e->text, "null") != 0)
                e->has_error = true;
        e->state = AFTER;
}

static uint8_t value_starts(struct envelope *e, char c)
{
        e->text_used = 0;
        e->text[0] = '\0';
        if (key_is(e, TOP, "parameters") && c == '{') {
                if (e->parameters) /* twice */
                        return BAD;
                e->parameters = e->offset;
                e->level = PARAMETERS;
                return KEY_END;
        }
        if (key_is(e, PARAMETERS, "event"))
                e->event = e->offset;
        if (c == '{' || c == '[') {
                e->nest = 1;
                return NESTED;
        }
        if (c == '"')
                return STRING;
        if ((c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n') {
                keep(e->text, sizeof e->text, &e->text_used, c);
                return SCALAR;
        }
        return BAD;
}

static uint8_t object_ends(struct envelope *e)
{
        if (e->level == TOP)
                return DONE;
        e->parameters_end = e->offset + 1;
        e->level = TOP;
        return AFTER;
}

static uint8_t in_string(struct envelope *e, char c)
{
        if (e->escaped) {
                e->escaped = false;
        } else if (c == '\\') {
                e->escaped = true;
        } else if (c == '"') {
                if (e->state == NESTED_STRING)
                        return NESTED;
                if (e->state == KEY)
                        return COLON;
                if (key_is(e, TOP, "error")) {
                        e->has_error = true;
                        memcpy(e->error, e->text, sizeof e->error);
                }
                value_ends(e, e->offset + 1);
                return AFTER;
        }
        if (e->state == KEY)
                keep(e->key, sizeof e->key, &e->key_used, c);
        else if (e->state == STRING && e->text_used < sizeof e->text - 1)
                keep(e->text, sizeof e->text, &e->text_used, c);
        return e->state;
}

static uint8_t in_nested(struct envelope *e, char c)
{
        if (c == '"')
                return NESTED_STRING;
        if ((c == '{' || c == '[') && ++e->nest > ENVELOPE_DEPTH_MAX)
                return BAD;
        if ((c == '}' || c == ']') && --e->nest == 0) {
                value_ends(e, e->offset + 1);
                return AFTER;
        }
        return NESTED;
}

static uint8_t next(struct envelope *e, char c)
{
        switch (e->state) {
        case KEY:
        case STRING:
        case NESTED_STRING:
                return in_string(e, c);
        case NESTED:
                return in_nested(e, c);
        case SCALAR:
                if (is_scalar(c)) {
                        keep(e->text, sizeof e->text, &e->text_used, c);
                        return SCALAR;
                }
                if (c != ',' && c != '}' && !is_blank(c))
                        return BAD;
                value_ends(e, e->offset);
                return next(e, c); /* in AFTER: once */
        case DONE:
                return is_blank(c) ? DONE : BAD;
        default:
                break;
        }
        if (is_blank(c))
                return e->state;
        switch (e->state) {
        case START:
                return c == '{' ? KEY_END : BAD;
        case KEY_END:
                e->key_used = 0;
                e->key[0] = '\0';
                return c == '"' ? KEY : c == '}' ? object_ends(e) : BAD;
        case COLON:
                return c == ':' ? VALUE : BAD;
        case VALUE:
                return value_starts(e, c);
        case AFTER:
                return c == ',' ? KEY_END : c == '}' ? object_ends(e) : BAD;
        default:
                return BAD;
        }
}

bool envelope_feed(struct envelope *envelope, const char *bytes, size_t n)
{
        for (size_t i = 0; i < n && envelope->state != BAD; i++) {
                /* Nearly all of a long reply is the inside of strings: go through it quickly. */
                if (envelope->state == NESTED_STRING && !envelope->escaped) {
                        size_t run = i;

                        while (run < n && bytes[run] != '"' && bytes[run] != '\\')
                                run++;
                        envelope->offset += run - i;
                        i = run;
                        if (i == n)
                                break;
                }
                envelope->state = next(envelope, bytes[i]);
                envelope->offset++;
        }
        return envelope->state != BAD;
}

bool envelope_complete(const struct envelope *envelope)
{
        return envelope->state == DONE;
}
