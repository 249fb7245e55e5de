/* Text and places: bounds before the parser sees a byte, and the line of a value after it. */
#include "conf.h"

#include <errno.h>
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
        char *near;

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
        /* What follows would be a piece of the file. */
        near = strstr(why.text, " near ");
        if (near)
                *near = '\0';
        where.place.line = why.line > 0 ? (unsigned) why.line : 1;
        if (json_error_code(&why) == json_error_duplicate_key)
                return conf_fail(&where, err, "a key stands twice in one object; each may once");
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
