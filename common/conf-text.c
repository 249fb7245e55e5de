/* Text and places: bounds before the parser sees a byte, the line of a value after it, and errors
 * that name both. */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Nesting and line are counted over any bytes, valid or not: the parser comes after. */
static bool too_deep(const char *text, size_t n, unsigned *ret_line)
{
        unsigned depth = 0, line = 1;
        bool string = false;

        for (size_t i = 0; i < n; i++) {
                if (text[i] == '\n')
                        line++;
                if (string && text[i] == '\\')
                        i++;
                else if (text[i] == '"')
                        string = !string;
                else if (string)
                        continue;
                else if (text[i] == '{' || text[i] == '[')
                        depth++;
                else if ((text[i] == '}' || text[i] == ']') && depth > 0)
                        depth--;
                if (depth > CONF_DEPTH_MAX) {
                        *ret_line = line;
                        return true;
                }
        }
        return false;
}

int conf_parse(const char *file, const char *text, size_t n, json_t **ret, struct error *err)
{
        struct conf_where where = {.file = file, .place = {text, text + n, 1, 1}};
        json_error_t why;
        json_t *json;
        char *near, *key = NULL;

        if (n > CONF_FILE_MAX)
                return conf_fail(&where, err, "is too long; a file has at most %u bytes",
                                 CONF_FILE_MAX);
        if (too_deep(text, n, &where.place.line))
                return conf_fail(&where, err, "is nested too deep; at most %d levels",
                                 CONF_DEPTH_MAX);
        json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
        if (json) {
                *ret = json;
                return 0;
        }
        if (json_error_code(&why) == json_error_out_of_memory)
                return error_set(err, ERROR_NO_MEMORY, "%s: no memory", file);
        where.place.line = why.line > 0 ? (unsigned) why.line : 1;
        /* What follows is a piece of the file. */
        near = strstr(why.text, " near '");
        if (near) {
                *near = '\0';
                key = near + strlen(" near '");
        }
        if (json_error_code(&why) == json_error_duplicate_key) /* the piece is the key, in quotes */
                return conf_fail(&where, err, "%.*s stands twice in one object; each key may once",
                                 key ? (int) strcspn(key, "'") : 5, key ? key : "a key");
        return conf_fail(&where, err, "is no JSON: %s at column %d", why.text,
                         why.column > 0 ? why.column : 0);
}

static void step(struct conf_place *p)
{
        if (p->at < p->end && *p->at++ == '\n')
                p->at_line++;
}

static void skip_space(struct conf_place *p)
{
        while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at)
                step(p);
}

static void skip_string(struct conf_place *p)
{
        step(p);
        while (p->at < p->end && *p->at != '"') {
                if (*p->at == '\\')
                        step(p);
                step(p);
        }
        step(p);
}

static void skip_value(struct conf_place *p)
{
        unsigned depth = 0;

        do {
                if (p->at == p->end)
                        return;
                if (*p->at == '"') {
                        skip_string(p);
                        continue;
                }
                if (*p->at == '{' || *p->at == '[')
                        depth++;
                else if (*p->at == '}' || *p->at == ']') {
                        if (depth-- == 0)
                                return;  /* no value begins so */
                } else if (depth == 0) { /* a number or a word */
                        while (p->at < p->end && !strchr(",]} \t\r\n", *p->at))
                                step(p);
                        return;
                }
                step(p);
        } while (depth > 0);
}

static void skip_comma(struct conf_place *p)
{
        skip_space(p);
        if (p->at < p->end && *p->at == ',')
                step(p);
        skip_space(p);
}

struct conf_place conf_place_root(const char *text, size_t n)
{
        struct conf_place place = {text, text + n, 1, 1};

        skip_space(&place);
        place.line = place.at_line;
        return place;
}

/* Keys may be written with escapes: the parser itself compares them. */
static bool same_key(const char *quoted, size_t n, const char *key)
{
        json_t *json = json_loadb(quoted, n, JSON_DECODE_ANY, NULL);
        bool same = json_is_string(json) && strcmp(json_string_value(json), key) == 0;

        json_decref(json);
        return same;
}

int conf_place_member(struct conf_place object, const char *key, struct conf_place *ret)
{
        struct conf_place p = object;

        if (p.at == p.end || *p.at != '{')
                return -ENOENT;
        step(&p);
        skip_space(&p);
        while (p.at < p.end && *p.at == '"') {
                struct conf_place start = p;
                bool same;

                skip_string(&p);
                same = same_key(start.at, (size_t) (p.at - start.at), key);
                skip_space(&p);
                step(&p); /* the colon */
                skip_space(&p);
                if (same) {
                        *ret = p;
                        ret->line = start.at_line;
                        return 0;
                }
                skip_value(&p);
                skip_comma(&p);
        }
        return -ENOENT;
}

struct conf_place conf_place_enter(struct conf_place array)
{
        if (array.at == array.end || *array.at != '[')
                array.end = array.at;
        step(&array);
        skip_space(&array);
        return array;
}

int conf_place_next(struct conf_place *walk, struct conf_place *ret)
{
        if (walk->at == walk->end || *walk->at == ']')
                return -ENOENT;
        *ret = *walk;
        ret->line = ret->at_line;
        skip_value(walk);
        skip_comma(walk);
        return walk->at > ret->at ? 0 : -ENOENT;
}

/* ---- errors ---- */

/* The chain as "classes.chat.wall_clock_s" or "network.allowed_domains[2]"; returns the root. */
static const struct conf_where *where_name(const struct conf_where *where, char *ret, size_t size)
{
        const struct conf_where *root = where;
        size_t used;

        ret[0] = '\0';
        if (!where->up)
                return where;
        root = where_name(where->up, ret, size);
        used = strlen(ret);
        if (!where->key) {
                (void) snprintf(ret + used, size - used, "[%zu]", where->index);
                return root;
        }
        if (used > 0 && used + 1 < size)
                ret[used++] = '.';
        for (const char *c = where->key; *c && used + 1 < size; c++) /* a stranger's, if misspelt */
                ret[used++] = isgraph((unsigned char) *c) ? *c : '?';
        ret[used] = '\0';
        return root;
}

static int where_place(const struct conf_where *where, struct conf_place *ret)
{
        struct conf_place up, walk;
        int r;

        if (!where->up) {
                *ret = where->place;
                return 0;
        }
        r = where_place(where->up, &up);
        if (r < 0 || where->key) {
                *ret = up; /* the nearest place that is known */
                return r < 0 ? r : conf_place_member(up, where->key, ret);
        }
        walk = conf_place_enter(up);
        *ret = up;
        for (size_t i = 0; i <= where->index && r == 0; i++)
                r = conf_place_next(&walk, ret);
        return r;
}

int conf_fail(const struct conf_where *where, struct error *err, const char *fmt, ...)
{
        char key[sizeof err->key], text[sizeof err->message];
        struct conf_place place = {0};
        const struct conf_where *root;
        const char *file;
        size_t length;
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        root = where_name(where, key, sizeof key);
        (void) where_place(where, &place);
        file = root->file ? root->file : "built-in";
        length = strlen(file);
        if (length > 100) /* the end tells more, and leaves room for the rest */
                file += length - 100;
        return error_set_key(err, ERROR_CONFIG_INVALID, key, "%s:%u: %s%s%s", file, place.line, key,
                             *key ? ": " : "", text);
}
