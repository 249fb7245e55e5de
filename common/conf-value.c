/* From a struct back to something: bytes for a digest, or JSON for people. */
#include "conf.h"

#include <endian.h>
#include <string.h>

struct sink {
        void (*put)(void *data, const void *bytes, size_t n);
        void *data;
};

static void put_number(const struct sink *sink, uint64_t n)
{
        uint64_t fixed = htole64(n);

        sink->put(sink->data, &fixed, sizeof fixed);
}

/* NULL differs from "": the length of NULL is one that no string has. */
static void put_string(const struct sink *sink, const char *string)
{
        put_number(sink, string ? strlen(string) : UINT64_MAX);
        if (string)
                sink->put(sink->data, string, strlen(string));
}

static size_t strings_count(char *const *strings)
{
        size_t n = 0;

        while (strings && strings[n])
                n++;
        return n;
}

static uint64_t number(const struct conf_row *row, const void *field)
{
        uint16_t n16;
        uint32_t n32;
        uint64_t n64;

        if (row->size == sizeof n16) {
                memcpy(&n16, field, sizeof n16);
                return n16;
        }
        if (row->size == sizeof n32) {
                memcpy(&n32, field, sizeof n32);
                return n32;
        }
        memcpy(&n64, field, sizeof n64);
        return n64;
}

static void put_value(const struct sink *sink, const struct conf_row *row, const void *field)
{
        switch (row->type) {
        case CONF_BOOL:
                put_number(sink, *(const bool *) field);
                return;
        case CONF_INT:
        case CONF_SIZE:
        case CONF_SECONDS:
        case CONF_ENUM:
                put_number(sink, number(row, field));
                return;
        case CONF_STRING:
        case CONF_OBJECTS:
                put_string(sink, *(char *const *) field);
                return;
        case CONF_STRINGS: {
                char *const *strings = *(char **const *) field;
                size_t n = strings_count(strings);

                put_number(sink, n);
                for (size_t i = 0; i < n; i++)
                        put_string(sink, strings[i]);
                return;
        }
        case CONF_TABLE:
                put_number(sink, row->table->n);
                conf_serialise(row->table, field, sink->put, sink->data);
                return;
        case CONF_IGNORED:
        case CONF_REFUSED:
                return;
        }
}

void conf_serialise(const struct conf_table *table, const void *base,
                    void (*put)(void *data, const void *bytes, size_t n), void *data)
{
        struct sink sink = {put, data};

        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];

                        put_string(&sink, row->key);
                        put_number(&sink, row->type);
                        put_value(&sink, row, (const char *) base + row->offset);
                }
}

static json_t *strings_value(char *const *strings)
{
        json_t *list = json_array();

        for (size_t i = 0; list && strings && strings[i]; i++)
                if (json_array_append_new(list, json_string(strings[i])) < 0) {
                        json_decref(list);
                        return NULL;
                }
        return list;
}

static json_t *table_value(const struct conf_table *table, const void *base)
{
        json_t *object = json_object();

        for (; object && table; table = table->also)
                for (size_t i = 0; object && i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];

                        if (row->type == CONF_IGNORED || row->type == CONF_REFUSED)
                                continue;
                        if (json_object_set_new(object, row->key, conf_value(row, base)) < 0) {
                                json_decref(object);
                                object = NULL;
                        }
                }
        return object;
}

json_t *conf_value(const struct conf_row *row, const void *base)
{
        const void *field = (const char *) base + row->offset;
        const char *string;

        switch (row->type) {
        case CONF_BOOL:
                return json_boolean(*(const bool *) field);
        case CONF_INT:
        case CONF_SIZE:
        case CONF_SECONDS:
                return json_integer((json_int_t) number(row, field));
        case CONF_ENUM:
                return json_string(row->choices[number(row, field)]);
        case CONF_STRING:
                string = *(char *const *) field;
                return string ? json_string(string) : json_null();
        case CONF_STRINGS:
                return strings_value(*(char **const *) field);
        case CONF_OBJECTS:
                string = *(char *const *) field;
                return json_loads(string ? string : "{}", 0, NULL);
        case CONF_TABLE:
                return table_value(row->table, field);
        case CONF_IGNORED:
        case CONF_REFUSED:
                break;
        }
        return json_null();
}
