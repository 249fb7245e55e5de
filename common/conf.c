/* The reader: a row at a time, by its type; and what to say of a key that no row has. */
#include "conf.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct error *err)
{
        return error_set(err, ERROR_NO_MEMORY, "reading configuration: no memory");
}

bool conf_is_word(const char *value, const char *first, const char *rest, size_t max)
{
        size_t n = strlen(value);

        return n > 0 && n <= max && strchr(first, value[0]) && strspn(value + 1, rest) == n - 1;
}

/* ---- numbers with units ---- */

struct unit {
        const char *name;
        uint64_t factor;
};
static const struct unit sizes[] = {{"", 1},
                                    {"K", UINT64_C(1) << 10},
                                    {"M", UINT64_C(1) << 20},
                                    {"G", UINT64_C(1) << 30},
                                    {"T", UINT64_C(1) << 40},
                                    {NULL, 0}};
static const struct unit times[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};

static bool unit_parse(const char *text, const struct unit *units, uint64_t *ret)
{
        uint64_t n = 0;
        size_t digits = strspn(text, CONF_DIGIT);

        if (digits == 0 || digits > 18) /* which fit into 64 bits */
                return false;
        for (size_t i = 0; i < digits; i++)
                n = n * 10 + (uint64_t) (text[i] - '0');
        while (units->name && strcmp(units->name, text + digits) != 0)
                units++;
        return units->name && !__builtin_mul_overflow(n, units->factor, ret);
}

static int read_number(const struct conf_where *where, const json_t *value,
                       const struct conf_row *row, void *field, struct error *err)
{
        const char *kind = row->type == CONF_SIZE ? "a whole number of bytes, or as \"256M\" "
                                                    "(K, M, G, T),"
                           : row->type == CONF_SECONDS
                                   ? "a whole number of seconds, or as \"15min\" "
                                     "(s, min, h, d),"
                                   : "a whole number";
        bool is_number = json_is_integer(value);
        uint64_t n = 0;

        if (is_number) /* a negative one is larger than any row's maximum */
                n = (uint64_t) json_integer_value(value);
        else if (json_is_string(value) && row->type != CONF_INT)
                is_number = unit_parse(json_string_value(value),
                                       row->type == CONF_SIZE ? sizes : times, &n);
        if (!is_number || n < row->min || n > row->max)
                return conf_fail(where, err, "%s; must be %s from %" PRIu64 " to %" PRIu64,
                                 is_number ? "out of range" : "is no number of its kind", kind,
                                 row->min, row->max);
        if (row->size == sizeof(uint16_t))
                *(uint16_t *) field = (uint16_t) n;
        else if (row->size == sizeof(uint32_t))
                *(uint32_t *) field = (uint32_t) n;
        else
                *(uint64_t *) field = n;
        return 0;
}

/* ---- the other types ---- */

static int read_bool(const struct conf_where *where, const json_t *value,
                     const struct conf_row *row, void *field, struct error *err)
{
        if (!json_is_boolean(value))
                return conf_fail(where, err, "is neither; must be true or false");
        *(bool *) field = json_is_true(value);
        return 0;
}

/* "a", "b", "c" */
static void list_words(const char *const *words, char *ret, size_t size)
{
        size_t used = 0;

        ret[0] = '\0';
        for (; *words && used < size; words++)
                used += (size_t) snprintf(ret + used, size - used, "%s\"%s\"", used > 0 ? ", " : "",
                                          *words);
}

static int read_enum(const struct conf_where *where, const json_t *value,
                     const struct conf_row *row, void *field, struct error *err)
{
        const char *word = json_string_value(value), *wrong;
        char allowed[160];
        unsigned i = 0;

        while (word && row->choices[i] && strcmp(row->choices[i], word) != 0)
                i++;
        if (!word || !row->choices[i]) {
                list_words(row->choices, allowed, sizeof allowed);
                return conf_fail(where, err, "%s; must be one of %s",
                                 word ? "is an unknown word" : "is no string", allowed);
        }
        wrong = row->check ? row->check(word) : NULL;
        if (wrong)
                return conf_fail(where, err, "%s", wrong);
        memcpy(field, &i, sizeof i); /* an enum is an unsigned int, with gcc and clang */
        return 0;
}

static int read_string(const struct conf_where *where, const json_t *value,
                       const struct conf_row *row, void *field, struct error *err)
{
        bool nullable = strcmp(row->fallback, "null") == 0;
        const char *text = json_string_value(value), *wrong;
        char **target = field, *copy = NULL;

        if (!text && !(nullable && json_is_null(value)))
                return conf_fail(where, err,
                                 "is no string; must be a string of %" PRIu64 " to %" PRIu64
                                 " bytes%s",
                                 row->min, row->max, nullable ? ", or null" : "");
        if (text) {
                size_t n = json_string_length(value);

                if (n < row->min || n > row->max)
                        return conf_fail(where, err,
                                         "has %zu bytes; must have %" PRIu64 " to %" PRIu64, n,
                                         row->min, row->max);
                wrong = row->check ? row->check(text) : NULL;
                if (wrong)
                        return conf_fail(where, err, "%s", wrong);
                copy = strdup(text);
                if (!copy)
                        return no_memory(err);
        }
        free(*target);
        *target = copy;
        return 0;
}

static char **strings_free(char **strings)
{
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
        return NULL;
}
DEFINE_CLEANUP(char **, strings_free);

static int compare_strings(const void *a, const void *b)
{
        return strcmp(**(char *const *const *) a, **(char *const *const *) b);
}

/* The index of a string that stands there before, or n. Sorted, as a list may have thousands. */
static int find_double(char *const *strings, size_t n, size_t *ret)
{
        char *const **sorted = calloc(n + 1, sizeof *sorted);

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                sorted[i] = &strings[i];
        qsort(sorted, n, sizeof *sorted, compare_strings);
        *ret = n;
        for (size_t i = 1; i < n && *ret == n; i++)
                if (strcmp(*sorted[i - 1], *sorted[i]) == 0)
                        *ret = (size_t) (MAX(sorted[i - 1], sorted[i]) - strings);
        free(sorted);
        return 0;
}

static int read_strings(const struct conf_where *where, const json_t *value,
                        const struct conf_row *row, void *field, struct error *err)
{
        _cleanup_(strings_freep) char **strings = NULL;
        size_t n = json_array_size(value), twice;
        char ***target = field;

        if (!json_is_array(value) || n > row->max)
                return conf_fail(where, err, "%s; must be a list of at most %" PRIu64 " strings",
                                 json_is_array(value) ? "is too long" : "is no list", row->max);
        strings = calloc(n + 1, sizeof *strings);
        if (!strings)
                return no_memory(err);
        for (size_t i = 0; i < n; i++) {
                struct conf_where item = {.up = where, .index = i};
                const char *text = json_string_value(json_array_get(value, i)), *wrong;

                if (!text || strlen(text) == 0 || strlen(text) > CONF_ITEM_MAX)
                        return conf_fail(&item, err, "%s; must be a string of 1 to %d bytes",
                                         !text          ? "is no string"
                                         : text[0] == 0 ? "is empty"
                                                        : "is too long",
                                         CONF_ITEM_MAX);
                wrong = row->check ? row->check(text) : NULL;
                if (wrong)
                        return conf_fail(&item, err, "%s", wrong);
                strings[i] = strdup(text);
                if (!strings[i])
                        return no_memory(err);
        }
        if (find_double(strings, n, &twice) < 0)
                return no_memory(err);
        if (twice < n) {
                struct conf_where item = {.up = where, .index = twice};

                return conf_fail(&item, err, "stands there before; each may stand once");
        }
        (void) strings_free(*target);
        *target = TAKE_PTR(strings);
        return 0;
}

static int read_objects(const struct conf_where *where, const json_t *value,
                        const struct conf_row *row, void *field, struct error *err)
{
        char **target = field, *text;
        const char *name;
        json_t *member;

        if (!json_is_object(value))
                return conf_fail(where, err, "is no object; must be an object of objects");
        json_object_foreach ((json_t *) value, name, member) {
                struct conf_where item = {.up = where, .key = name};
                const char *wrong = row->check ? row->check(name) : NULL;

                if (wrong || !json_is_object(member))
                        return conf_fail(&item, err, "%s",
                                         wrong ? wrong : "is no object; must be an object");
        }
        text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text)
                return no_memory(err);
        if (strlen(text) > row->max) {
                free(text);
                return conf_fail(where, err, "is too long; must have at most %" PRIu64 " bytes",
                                 row->max);
        }
        free(*target);
        *target = text;
        return 0;
}

static int read_value(const struct conf_where *where, const json_t *value,
                      const struct conf_row *row, void *base, struct error *err)
{
        void *field = (char *) base + row->offset;

        switch (row->type) {
        case CONF_BOOL:
                return read_bool(where, value, row, field, err);
        case CONF_INT:
        case CONF_SIZE:
        case CONF_SECONDS:
                return read_number(where, value, row, field, err);
        case CONF_ENUM:
                return read_enum(where, value, row, field, err);
        case CONF_STRING:
                return read_string(where, value, row, field, err);
        case CONF_STRINGS:
                return read_strings(where, value, row, field, err);
        case CONF_OBJECTS:
                return read_objects(where, value, row, field, err);
        case CONF_TABLE:
                return conf_read(where, value, row->table, field, err);
        case CONF_IGNORED:
                return json_is_string(value)
                               ? 0
                               : conf_fail(where, err, "is no string; must be a string");
        case CONF_REFUSED:
                break;
        }
        return conf_fail(where, err, "%s", row->help);
}

/* ---- keys ---- */

/* Letters left out, put in, changed, or swapped with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
        unsigned d[3][CONF_KEY_MAX + 2];
        size_t n = strlen(a), m = strlen(b);

        if (n > CONF_KEY_MAX || m > CONF_KEY_MAX)
                return UINT_MAX;
        for (size_t j = 0; j <= m; j++)
                d[0][j] = (unsigned) j;
        for (size_t i = 1; i <= n; i++) {
                unsigned *now = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

                now[0] = (unsigned) i;
                for (size_t j = 1; j <= m; j++) {
                        now[j] =
                                MIN(MIN(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = MIN(now[j], up2[j - 2] + 1);
                }
        }
        return d[n % 3][m];
}

/* The nearest key, here or one table further down; and what all are called. */
static void suggest(const char *key, const struct conf_table *table, const char *above,
                    unsigned *best, char *ret, size_t size, char *all, size_t all_size)
{
        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];
                        unsigned far = distance(key, row->key);
                        size_t used = all ? strlen(all) : 0;

                        if (row->type == CONF_REFUSED || row->type == CONF_IGNORED)
                                continue;
                        if (all)
                                (void) snprintf(all + used, all_size - used, "%s%s",
                                                used > 0 ? ", " : "", row->key);
                        if (far <= 1 + strlen(row->key) / 4 && far < *best) {
                                *best = far;
                                (void) snprintf(ret, size, "%s%s%s", above, *above ? "." : "",
                                                row->key);
                        }
                        if (row->type == CONF_TABLE && !*above)
                                suggest(key, row->table, row->key, best, ret, size, NULL, 0);
                }
}

static int unknown_key(const struct conf_where *where, const struct conf_table *table,
                       struct error *err)
{
        char near[2 * CONF_KEY_MAX + 2] = "", all[200] = "";
        unsigned best = UINT_MAX;

        suggest(where->key, table, "", &best, near, sizeof near, all, sizeof all);
        if (near[0])
                return conf_fail(where, err, "is an unknown key; did you mean \"%s\"?", near);
        return conf_fail(where, err, "is an unknown key; known are: %s", all);
}

static const struct conf_row *find_row(const struct conf_table *table, const char *key)
{
        for (const struct conf_table *t = table; t; t = t->also)
                for (size_t i = 0; i < t->n; i++)
                        if (t->rows[i].type != CONF_REFUSED && strcmp(t->rows[i].key, key) == 0)
                                return &t->rows[i];
        for (const struct conf_table *t = table; t; t = t->also)
                for (size_t i = 0; i < t->n; i++)
                        if (t->rows[i].type == CONF_REFUSED &&
                            fnmatch(t->rows[i].key, key, FNM_CASEFOLD) == 0)
                                return &t->rows[i];
        return NULL;
}

int conf_read(const struct conf_where *where, const json_t *object, const struct conf_table *table,
              void *base, struct error *err)
{
        const char *key;
        json_t *value;

        if (!json_is_object(object))
                return conf_fail(where, err, "is no object; must be an object");
        json_object_foreach ((json_t *) object, key, value) {
                struct conf_where member = {.up = where, .key = key};
                const struct conf_row *row = find_row(table, key);
                int r = row ? read_value(&member, value, row, base, err)
                            : unknown_key(&member, table, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

int conf_defaults(const struct conf_table *table, void *base)
{
        struct conf_where where = {0};

        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];
                        json_t *value;
                        int r;

                        if (row->type == CONF_TABLE) {
                                r = conf_defaults(row->table, (char *) base + row->offset);
                        } else if (row->fallback) {
                                value = json_loads(row->fallback, JSON_DECODE_ANY, NULL);
                                if (!value)
                                        return -ENOMEM;
                                r = read_value(&where, value, row, base, NULL);
                                json_decref(value);
                        } else {
                                continue;
                        }
                        if (r < 0)
                                return -ENOMEM; /* the tests hold every default against its row */
                }
        return 0;
}

void conf_release(const struct conf_table *table, void *base)
{
        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];
                        void *field = (char *) base + row->offset;

                        if (row->type == CONF_TABLE)
                                conf_release(row->table, field);
                        else if (row->type == CONF_STRINGS)
                                *(char ***) field = strings_free(*(char ***) field);
                        else if (row->type == CONF_STRING || row->type == CONF_OBJECTS) {
                                free(*(char **) field);
                                *(char **) field = NULL;
                        }
                }
}
