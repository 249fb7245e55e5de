/* Configuration in JSON, read by tables: one row says a key's type, default, bounds, place in a
 * struct and meaning, and the reader, the messages, the samples in conf/ and the tests all read
 * that row. Reading puts an object's keys over what the struct holds, so that layers inherit key by
 * key.
 *
 * Errors are ERROR_CONFIG_INVALID, "FILE:LINE: KEY: what is wrong; what is allowed". They show keys
 * and the words of enums, but no other value: somebody may have put a secret where none belongs. */
#pragma once

#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_FILE_MAX  (4u << 20) /* bytes of one file */
#define CONF_DEPTH_MAX 16         /* brackets within brackets */
#define CONF_KEY_MAX   64         /* bytes of a key that can be meant seriously */
#define CONF_ITEM_MAX  1024       /* bytes of one string in a list */

enum conf_type {
        CONF_BOOL,    /* bool */
        CONF_INT,     /* uint16_t, uint32_t or uint64_t: see `size` */
        CONF_SIZE,    /* uint64_t, bytes: a whole number, or "64K", "256M", "2G", "1T" */
        CONF_SECONDS, /* uint32_t: a whole number of seconds, or "30s", "15min", "1h", "7d" */
        CONF_ENUM,    /* an enum: the index in `choices` */
        CONF_STRING,  /* char *; null is allowed where null is the default, and is NULL */
        CONF_STRINGS, /* char **, NULL-terminated; no string twice */
        CONF_OBJECTS, /* char *: an object of objects, as JSON with sorted keys */
        CONF_TABLE,   /* an object with the keys of `table`, whose offsets count from `offset` */
        CONF_IGNORED, /* a string that means nothing here, as "$schema" */
        CONF_REFUSED, /* `key` is a glob, compared without case; `help` says why it is refused */
};

struct conf_table;

struct conf_row {
        const char *key;
        enum conf_type type;
        const char *fallback; /* the default as JSON text; NULL for tables, ignored, refused */
        uint64_t min, max;    /* of the number; bytes of the string or JSON; strings of the list */
        size_t offset, size;  /* CONF_FIELD() sets both */
        const char *const *choices; /* of CONF_ENUM; NULL-terminated */
        /* Looks at a string, at each of a list, at each name of CONF_OBJECTS: NULL, or what is
         * wrong and what is allowed (static). */
        const char *(*check)(const char *value);
        const struct conf_table *table; /* of CONF_TABLE */
        const char *help;
};
#define CONF_FIELD(type_, member)                                                                  \
        .offset = offsetof(type_, member), .size = sizeof(((type_ *) 0)->member)

struct conf_table {
        const struct conf_row *rows;
        size_t n;
        const struct conf_table *also; /* its rows are keys of the same object and struct */
};
#define CONF_TABLE_OF(rows_)                                                                       \
        {                                                                                          \
                .rows = (rows_), .n = N_ELEMENTS(rows_)                                            \
        }

/* A value in text that json_loadb() accepted, which it does not tell the place of. */
struct conf_place {
        const char *at, *end; /* from the value's first byte to the end of the text */
        unsigned line;        /* to be told: of the value, or of its key if it has one */
        unsigned at_line;     /* of `at` itself */
};
struct conf_place conf_place_root(const char *text, size_t n);
/* 0 and *ret for the value of `key` in an object, or -ENOENT. */
int conf_place_member(struct conf_place object, const char *key, struct conf_place *ret);
/* Steps through an array: conf_place_enter() first, then _next() for each: 0, or -ENOENT at the
 * end. */
struct conf_place conf_place_enter(struct conf_place array);
int conf_place_next(struct conf_place *walk, struct conf_place *ret);

/* Where a reader is: a chain up to the root, which alone has file and place. */
struct conf_where {
        const struct conf_where *up; /* NULL: this is the root */
        const char *key;             /* NULL: `index` counts */
        size_t index;
        const char *file;
        struct conf_place place;
};
int conf_fail(const struct conf_where *where, struct error *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* Text to JSON (the caller's reference), within the bounds above, without duplicate keys. */
int conf_parse(const char *file, const char *text, size_t n, json_t **ret, struct error *err);
/* Every default of the table into a zeroed struct: 0 or -ENOMEM. */
int conf_defaults(const struct conf_table *table, void *base);
/* Puts `object` over what `base` holds. After an error some of its keys may have been put. */
int conf_read(const struct conf_where *where, const json_t *object, const struct conf_table *table,
              void *base, struct error *err);
/* Frees every string and leaves NULL. */
void conf_release(const struct conf_table *table, void *base);

/* Hands out every row's key, type and value in one unambiguous form (each length goes before its
 * bytes): two structs give the same bytes only if every value is the same. */
void conf_serialise(const struct conf_table *table, const void *base,
                    void (*put)(void *data, const void *bytes, size_t n), void *data);
/* One row's value as it would stand in a file; NULL without memory. */
json_t *conf_value(const struct conf_row *row, const void *base);

/* For checks of strings: [first of all] then [rest], within `max` bytes. */
bool conf_is_word(const char *value, const char *first, const char *rest, size_t max);
#define CONF_LOWER "abcdefghijklmnopqrstuvwxyz"
#define CONF_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define CONF_DIGIT "0123456789"
