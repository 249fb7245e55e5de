/* The reader of tables, on a table of its own that has each type. */
#include "conf-check.h"
#include "conf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inner {
        uint16_t port;
        char *name;
};

struct sample {
        bool flag;
        uint32_t count, wait;
        uint64_t big, room;
        unsigned colour;
        char *text, *maybe, *objects;
        char **words;
        struct inner inner;
};

static const char *no_x(const char *value)
{
        return strchr(value, 'x') ? "has an x; must have none" : NULL;
}

static const char *const colours[] = {"red", "green", "blue", NULL};
static const struct conf_row inner_rows[] = {
        {"port", CONF_INT, "80", 1, 65535, CONF_FIELD(struct inner, port), .help = "p"},
        {"name", CONF_STRING, "\"n\"", 0, 8, CONF_FIELD(struct inner, name), .help = "n"},
};
static const struct conf_table inner_table = CONF_TABLE_OF(inner_rows);

#define SAMPLE(member) CONF_FIELD(struct sample, member)
static const struct conf_row more_rows[] = {
        {"flag", CONF_BOOL, "true", SAMPLE(flag), .help = "f"},
};
static const struct conf_table more_table = CONF_TABLE_OF(more_rows);
static const struct conf_row rows[] = {
        {"$schema", CONF_IGNORED, .help = "s"},
        {"count", CONF_INT, "3", 2, 10, SAMPLE(count), .help = "c"},
        {"big", CONF_INT, "0", 0, INT64_MAX, SAMPLE(big), .help = "b"},
        {"wait", CONF_SECONDS, "60", 10, 864000, SAMPLE(wait), .help = "w"},
        {"room", CONF_SIZE, "\"1M\"", 1, UINT64_C(1) << 42, SAMPLE(room), .help = "r"},
        {"colour", CONF_ENUM, "\"red\"", SAMPLE(colour), .choices = colours, .check = no_x},
        {"text", CONF_STRING, "\"\"", 0, 5, SAMPLE(text), .check = no_x, .help = "t"},
        {"maybe", CONF_STRING, "null", 1, 5, SAMPLE(maybe), .help = "m"},
        {"words", CONF_STRINGS, "[]", 0, 3, SAMPLE(words), .check = no_x, .help = "l"},
        {"objects", CONF_OBJECTS, "{}", 0, 40, SAMPLE(objects), .check = no_x, .help = "o"},
        {"inner", CONF_TABLE, NULL, SAMPLE(inner), .table = &inner_table, .help = "i"},
        {"*secret*", CONF_REFUSED, .help = "is a secret; must go"},
};
static const struct conf_table table = {rows, N_ELEMENTS(rows), &more_table};

/* Reads over the defaults; the caller releases. */
static int read_text(const char *text, struct sample *sample, struct error *err)
{
        struct conf_where where = {.file = "f.json", .place = conf_place_root(text, strlen(text))};
        json_t *json = NULL;
        int r;

        memset(sample, 0, sizeof *sample);
        memset(err, 0, sizeof *err);
        assert_int_equal(conf_defaults(&table, sample), 0);
        r = conf_parse("f.json", text, strlen(text), &json, err);
        if (r == 0)
                r = conf_read(&where, json, &table, sample, err);
        json_decref(json);
        return r;
}

static void test_defaults(void **state)
{
        struct sample sample;
        struct error err;

        CHECK_OK(read_text("{}", &sample, &err), err);
        assert_true(sample.flag && sample.count == 3 && sample.wait == 60 && sample.big == 0);
        assert_int_equal(sample.room, 1 << 20);
        assert_true(sample.colour == 0 && sample.inner.port == 80 && !sample.maybe);
        assert_string_equal(sample.text, "");
        assert_string_equal(sample.inner.name, "n");
        assert_string_equal(sample.objects, "{}");
        assert_true(sample.words && !sample.words[0]);
        conf_release(&table, &sample);
        assert_true(!sample.text && !sample.objects && !sample.words && !sample.inner.name);
}

static void test_values(void **state)
{
        struct sample sample;
        struct error err;

        CHECK_OK(
                read_text("{\"$schema\": \"any\", \"flag\": false, \"count\": 10, \"wait\": \"2h\","
                          " \"big\": 9223372036854775807, \"room\": \"2G\", \"colour\": \"blue\","
                          " \"text\": \"\\u00e9\", \"maybe\": \"a\", \"words\": [\"b\", \"a\"],"
                          " \"objects\": {\"z\": {}, \"a\": {\"k\": [1]}},"
                          " \"inner\": {\"port\": 65535}}",
                          &sample, &err),
                err);
        assert_true(!sample.flag && sample.count == 10 && sample.wait == 7200);
        assert_true(sample.big == INT64_MAX && sample.room == UINT64_C(2) << 30);
        assert_true(sample.colour == 2 && sample.inner.port == 65535);
        assert_string_equal(sample.text, "\303\251");
        assert_string_equal(sample.maybe, "a");
        assert_string_equal(sample.words[0], "b");
        assert_string_equal(sample.words[1], "a");
        assert_null(sample.words[2]);
        assert_string_equal(sample.objects, "{\"a\":{\"k\":[1]},\"z\":{}}");
        assert_string_equal(sample.inner.name, "n"); /* inherited: a table is no unit */
        conf_release(&table, &sample);
}

/* Each with the line and the key at fault, and a piece of what is said. */
static const struct {
        const char *text;
        unsigned line;
        const char *key, *says;
} wrong[] = {
        {"[]", 1, "", "is no object"},
        {"{\n\"cuont\": 3}", 2, "cuont", "did you mean \"count\"?"},
        {"{\n\n\"coun\": 3}", 3, "coun", "did you mean \"count\"?"},
        {"{\"port\":\n 3}", 1, "port", "did you mean \"inner.port\"?"},
        {"{\"inner\":\n{\n\"prot\": 3}}", 3, "inner.prot", "did you mean \"port\"?"},
        {"{\"flagg\": true}", 1, "flagg", "did you mean \"flag\"?"},
        {"{\"something\": 3}", 1, "something", "known are: count, big, wait"},
        {"{\"a\\nb\": 3}", 1, "a?b", "unknown key"},
        {"{\"My_Secret_Key\": \"hunter2\"}", 1, "My_Secret_Key", "is a secret; must go"},
        {"{\"flag\": 1}", 1, "flag", "true or false"},
        {"{\"flag\": null}", 1, "flag", "true or false"},
        {"{\"count\": 1}", 1, "count", "out of range; must be a whole number from 2 to 10"},
        {"{\"count\": 11}", 1, "count", "from 2 to 10"},
        {"{\"count\": -3}", 1, "count", "from 2 to 10"},
        {"{\"count\": 4294967299}", 1, "count", "from 2 to 10"}, /* 3, cut to 32 bits */
        {"{\"count\": 3.0}", 1, "count", "whole number"},
        {"{\"count\": \"3\"}", 1, "count", "whole number"},
        {"{\"big\": 9223372036854775808}", 1, "", "is no JSON: too big integer"},
        {"{\"big\": -1}", 1, "big", "out of range"},
        {"{\"wait\": \"1m\"}", 1, "wait", "\"15min\""},
        {"{\"wait\": \"1\"}", 1, "wait", "\"15min\""},
        {"{\"wait\": \"9s\"}", 1, "wait", "out of range"},
        {"{\"wait\": \"11d\"}", 1, "wait", "from 10 to 864000"},
        {"{\"room\": \"1k\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \"1.5G\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \"-1\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \" 1\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \"\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \"G\"}", 1, "room", "K, M, G, T"},
        {"{\"room\": \"0G\"}", 1, "room", "out of range"},
        {"{\"room\": \"5T\"}", 1, "room", "out of range"},
        {"{\"room\": \"16777217T\"}", 1, "room", "K, M, G, T"}, /* 1T, cut to 64 bits */
        {"{\"room\": \"99999999999999999999\"}", 1, "room", "no number of its kind"},
        {"{\"room\": \"18446744073709551617\"}", 1, "room", "no number of its kind"}, /* 1, cut */
        {"{\"colour\": \"pink\"}", 1, "colour", "one of \"red\", \"green\", \"blue\""},
        {"{\"colour\": 1}", 1, "colour", "one of \"red\""},
        {"{\"text\": \"sixsix\"}", 1, "text", "has 6 bytes; must have 0 to 5"},
        {"{\"text\": null}", 1, "text", "is no string"},
        {"{\"text\": \"x\"}", 1, "text", "has an x"},
        {"{\"maybe\": \"\"}", 1, "maybe", "has 0 bytes"},
        {"{\"maybe\": 1}", 1, "maybe", "or null"},
        {"{\"text\": \"a\\u0000b\"}", 1, "", "is no JSON"},
        {"{\"words\": \"a\"}", 1, "words", "is no list; must be a list of at most 3"},
        {"{\"words\": [\"a\",\"b\",\"c\",\"d\"]}", 1, "words", "at most 3"},
        {"{\"words\": [\"a\",\n\"b\",\n\"a\"]}", 3, "words[2]", "each may stand once"},
        {"{\"words\": [\"a\",\n\"a\",\n\"b\"]}", 2, "words[1]", "each may stand once"},
        {"{\"words\": [\"]\",\n \"\\\"\", \n\n7]}", 4, "words[2]", "is no string"},
        {"{\"words\": [\"\"]}", 1, "words[0]", "is empty"},
        {"{\"words\": [\"x\"]}", 1, "words[0]", "has an x"},
        {"{\"objects\": []}", 1, "objects", "is no object"},
        {"{\"objects\": {\n\"a\": {},\n\"b\": 1}}", 3, "objects.b", "must be an object"},
        {"{\"objects\": {\"ax\": {}}}", 1, "objects.ax", "has an x"},
        {"{\"objects\": {\"a\": {\"key\": \"0123456789012345678901234567\"}}}", 1, "objects",
         "at most 40 bytes"},
        {"{\"inner\": 3}", 1, "inner", "is no object"},
        {"{\"$schema\": 3}", 1, "$schema", "is no string"},
        {"{\"flag\": true, \n\"flag\": true}", 2, "", "\"flag\" stands twice"},
        {"{\"flag\": true, \n\"fl\\u0061g\": true}", 2, "", "stands twice"},
        {"{\"inner\": {\"port\": 1, \"port\": 1}}", 1, "", "\"port\" stands twice"},
        {"{\"a_long_key_without_end\": 1, \"a_long_key_without_end\": 1}", 1, "",
         "1: a key stands twice"},
        /* the key's line, found through escapes, brackets in strings and values of every kind */
        {"{\"maybe\": \"}]{[\\\"\",\n\"objects\": {\"a\": {\"b\": [{}, [], 1e3, null,\n true]}},\n"
         "\"fl\\u0061g\"\n:\n0}",
         4, "flag", "true or false"},
        {"{", 1, "", "is no JSON"},
        {"{}\n{}", 2, "", "is no JSON"},
        {"", 1, "", "is no JSON"},
        {"{\"text\": \"\377\"}", 1, "", "is no JSON"},
        {"\357\273\277{}", 1, "", "is no JSON"},
        {"{\"text\": hunter2}", 1, "", "is no JSON: invalid token at column"},
};

static void test_errors_name_line_and_key(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(wrong); i++) {
                struct sample sample;
                struct error err;
                char start[200];

                CHECK(wrong[i].text, read_text(wrong[i].text, &sample, &err) == -EINVAL);
                CHECK(wrong[i].text, err.kind == ERROR_CONFIG_INVALID);
                (void) snprintf(start, sizeof start, "f.json:%u: %s%s", wrong[i].line, wrong[i].key,
                                wrong[i].key[0] ? ": " : "");
                if (strncmp(err.message, start, strlen(start)) != 0 ||
                    !strstr(err.message, wrong[i].says) || strcmp(err.key, wrong[i].key) != 0)
                        fail_msg("%s: \"%s\" (key %s), not \"%s...%s\"", wrong[i].text, err.message,
                                 err.key, start, wrong[i].says);
                CHECK(wrong[i].text, !strstr(err.message, "hunter2")); /* no values */
                conf_release(&table, &sample);
        }
}

/* Every strict prefix is refused, and none is read beyond its end (see the sanitizers). */
static void test_prefixes(void **state)
{
        static const char text[] = "{\"words\":[\"a\\n\",\"b\"],\"inner\":{\"port\":7},"
                                   "\"maybe\":null,\"wait\":\"1h\"}";

        for (size_t n = 0; n < sizeof text; n++) {
                char *copy = malloc(n + (n == 0));
                struct conf_place place, walk;
                json_t *json = NULL;
                struct error err = {0};
                int r;

                assert_non_null(copy);
                memcpy(copy, text, n);
                r = conf_parse("f", copy, n, &json, &err);
                CHECK(text, n == sizeof text - 1 ? r == 0 : r == -EINVAL);
                /* the walker is only promised valid text, and yet stays inside of any */
                place = conf_place_root(copy, n);
                (void) conf_place_member(place, "wait", &place);
                walk = conf_place_enter(conf_place_root(copy, n));
                while (conf_place_next(&walk, &place) == 0)
                        ;
                json_decref(json);
                free(copy);
        }
}

static void test_bounds_of_a_file(void **state)
{
        char *text = malloc(CONF_FILE_MAX + 1);
        struct error err = {0};
        json_t *json = NULL;
        char deep[80];

        assert_non_null(text);
        memset(text, ' ', CONF_FILE_MAX + 1);
        text[0] = '{';
        text[CONF_FILE_MAX - 1] = '}';
        CHECK_OK(conf_parse("f", text, CONF_FILE_MAX, &json, &err), err);
        json_decref(json);
        assert_int_equal(conf_parse("f", text, CONF_FILE_MAX + 1, &json, &err), -EINVAL);
        assert_non_null(strstr(err.message, "f:1: is too long; a file has at most 4194304 bytes"));

        for (int depth = CONF_DEPTH_MAX; depth <= CONF_DEPTH_MAX + 1; depth++) {
                (void) snprintf(deep, sizeof deep, "\n%.*s\"[[[[[\"%.*s", depth,
                                "[[[[[[[[[[[[[[[[[[[[[[[[", depth, "]]]]]]]]]]]]]]]]]]]]]]]]");
                json = NULL;
                if (conf_parse("f", deep, strlen(deep), &json, &err) < 0) {
                        assert_int_equal(depth, CONF_DEPTH_MAX + 1);
                        assert_string_equal(err.message,
                                            "f:2: is nested too deep; at most 16 levels");
                } else {
                        assert_int_equal(depth, CONF_DEPTH_MAX);
                }
                json_decref(json);
        }
        /* a million brackets: no recursion gets to see them */
        memset(text, '[', CONF_FILE_MAX);
        assert_int_equal(conf_parse("f", text, CONF_FILE_MAX, &json, &err), -EINVAL);
        free(text);
}

static void test_a_long_path_keeps_its_end(void **state)
{
        char file[300];
        struct conf_where where = {.file = file, .place = {.line = 7}};
        struct error err;

        memset(file, 'd', sizeof file - 1);
        memcpy(file + sizeof file - 7, "x.json", 7);
        (void) conf_fail(&where, &err, "%s", "is wrong");
        assert_non_null(strstr(err.message, "ddx.json:7: is wrong"));
}

/* ---- serialisation ---- */

struct bytes {
        char data[2048];
        size_t n;
};

static void collect(void *data, const void *bytes, size_t n)
{
        struct bytes *all = data;

        assert_true(all->n + n <= sizeof all->data);
        memcpy(all->data + all->n, bytes, n);
        all->n += n;
}

static void serialise(const char *text, struct bytes *ret)
{
        struct sample sample;
        struct error err;

        memset(ret, 0, sizeof *ret);
        CHECK_OK(read_text(text, &sample, &err), err);
        conf_serialise(&table, &sample, collect, ret);
        conf_release(&table, &sample);
}

static void test_serialisation_is_unambiguous(void **state)
{
        static const char *const different[] = {
                "{}",
                "{\"words\": [\"ab\"]}",
                "{\"words\": [\"a\", \"b\"]}",
                "{\"words\": [\"b\", \"a\"]}",
                "{\"text\": \"a\"}",
                "{\"maybe\": \"a\"}",
                "{\"flag\": false}",
                "{\"count\": 4}",
                "{\"wait\": 61}",
                "{\"big\": 4294967296}",
                "{\"room\": \"3M\"}",
                "{\"colour\": \"green\"}",
                "{\"objects\": {\"a\": {}}}",
                "{\"inner\": {\"port\": 81}}",
                "{\"inner\": {\"name\": \"\"}}",
        };
        struct bytes a, b;

        for (size_t i = 0; i < N_ELEMENTS(different); i++)
                for (size_t k = 0; k < N_ELEMENTS(different); k++) {
                        serialise(different[i], &a);
                        serialise(different[k], &b);
                        CHECK(different[i],
                              (a.n == b.n && memcmp(a.data, b.data, a.n) == 0) == (i == k));
                }
        serialise("{\"objects\": {\"b\": {}, \"a\": {}}, \"room\": \"1024K\"}", &a);
        serialise("{\"room\": 1048576, \"objects\": {\"a\": {}, \"b\": {}}}", &b);
        assert_true(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
}

/* The form itself: key, type, value; lengths and counts before what they count; NULL is no "". */
static void test_the_form_of_serialisation(void **state)
{
        static const struct conf_row few_rows[] = {
                {"w", CONF_STRINGS, "[]", 0, 3, SAMPLE(words), .help = "w"},
                {"m", CONF_STRING, "null", 0, 3, SAMPLE(maybe), .help = "m"},
        };
        static const struct conf_table few = CONF_TABLE_OF(few_rows);
#define N(n) n "\0\0\0\0\0\0\0"
        static const char want[] = N("\1") "w" N("\6") N("\1")
                N("\2") "ab" N("\1") "m" N("\5") "\377\377\377\377\377\377\377\377";
        char *words[] = {(char[]){"ab"}, NULL}, nothing[] = "";
        struct sample sample = {.words = words};
        struct bytes is_null = {0}, is_empty = {0};

        assert_int_equal(CONF_STRINGS, 6);
        assert_int_equal(CONF_STRING, 5);
        conf_serialise(&few, &sample, collect, &is_null);
        assert_int_equal(is_null.n, sizeof want - 1);
        assert_memory_equal(is_null.data, want, is_null.n);
        sample.maybe = nothing;
        conf_serialise(&few, &sample, collect, &is_empty);
        assert_memory_not_equal(is_empty.data, want, is_null.n);
}

/* What conf_value() gives reads as the same. */
static void test_values_return(void **state)
{
        static const char text[] =
                "{\"$schema\": \"\", \"flag\": false, \"count\": 10, \"wait\": 7,"
                " \"wait\": 70}";
        struct sample sample, again = {0};
        struct conf_where where = {.file = "again"};
        struct bytes a = {0}, b = {0};
        json_t *all = json_object();
        struct error err;

        assert_int_equal(read_text(text, &sample, &err), -EINVAL);
        conf_release(&table, &sample);
        CHECK_OK(read_text("{\"flag\": false, \"count\": 10, \"wait\": 70, \"colour\": \"blue\","
                           " \"words\": [\"a\", \"b\"], \"objects\": {\"a\": {\"b\": 1}},"
                           " \"maybe\": \"a\", \"inner\": {\"port\": 8}, \"room\": \"7G\"}",
                           &sample, &err),
                 err);
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                if (rows[i].type != CONF_IGNORED && rows[i].type != CONF_REFUSED)
                        json_object_set_new(all, rows[i].key, conf_value(&rows[i], &sample));
        json_object_set_new(all, "flag", conf_value(&more_rows[0], &sample));
        CHECK_OK(conf_read(&where, all, &table, &again, &err), err);
        conf_serialise(&table, &sample, collect, &a);
        conf_serialise(&table, &again, collect, &b);
        assert_true(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
        json_decref(all);
        conf_release(&table, &sample);
        conf_release(&table, &again);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_errors_name_line_and_key),
                cmocka_unit_test(test_prefixes),
                cmocka_unit_test(test_bounds_of_a_file),
                cmocka_unit_test(test_a_long_path_keeps_its_end),
                cmocka_unit_test(test_serialisation_is_unambiguous),
                cmocka_unit_test(test_the_form_of_serialisation),
                cmocka_unit_test(test_values_return),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
