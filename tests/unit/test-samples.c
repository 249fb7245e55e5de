/* conf/ and the code's tables say the same: every key, with the same type, default and bounds, and
 * nothing more. The schemas are built of the tables here and compared whole. */
#include "conf-check.h"
#include "config-internal.h"
#include "fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the schema of a table ---- */

static json_t *row_schema(const struct conf_row *row);

static json_t *table_schema(const struct conf_table *table)
{
        json_t *properties = json_object();

        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++)
                        if (table->rows[i].type != CONF_REFUSED)
                                json_object_set_new(properties, table->rows[i].key,
                                                    row_schema(&table->rows[i]));
        return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
                         "properties", properties);
}

static json_t *choices_schema(const struct conf_row *row)
{
        json_t *choices = json_array();

        for (size_t i = 0; row->choices[i]; i++)
                if (!row->check || !row->check(row->choices[i]))
                        json_array_append_new(choices, json_string(row->choices[i]));
        return json_pack("{s:o}", "enum", choices);
}

static json_t *number_schema(const struct conf_row *row)
{
        json_t *schema = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
                                   (json_int_t) row->min, "maximum", (json_int_t) row->max);

        if (row->type != CONF_INT) {
                json_object_set_new(schema, "type", json_pack("[ss]", "integer", "string"));
                json_object_set_new(schema, "pattern",
                                    json_string(row->type == CONF_SIZE ? "^[0-9]+[KMGT]?$"
                                                                       : "^[0-9]+(s|min|h|d)$"));
        }
        return schema;
}

static json_t *string_schema(const struct conf_row *row)
{
        json_t *schema = json_pack("{s:s, s:I, s:I}", "type", "string", "minLength",
                                   (json_int_t) row->min, "maxLength", (json_int_t) row->max);

        if (strcmp(row->fallback, "null") == 0)
                json_object_set_new(schema, "type", json_pack("[ss]", "string", "null"));
        return schema;
}

static json_t *row_schema(const struct conf_row *row)
{
        json_t *schema = NULL;

        switch (row->type) {
        case CONF_BOOL:
                schema = json_pack("{s:s}", "type", "boolean");
                break;
        case CONF_INT:
        case CONF_SIZE:
        case CONF_SECONDS:
                schema = number_schema(row);
                break;
        case CONF_ENUM:
                schema = choices_schema(row);
                break;
        case CONF_STRING:
                schema = string_schema(row);
                break;
        case CONF_STRINGS:
                schema = json_pack("{s:s, s:{s:s, s:i, s:i}, s:I, s:b}", "type", "array", "items",
                                   "type", "string", "minLength", 1, "maxLength", CONF_ITEM_MAX,
                                   "maxItems", (json_int_t) row->max, "uniqueItems", 1);
                break;
        case CONF_OBJECTS:
                schema = json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties",
                                   "type", "object");
                break;
        case CONF_TABLE:
                schema = table_schema(row->table);
                break;
        case CONF_IGNORED:
        case CONF_REFUSED:
                schema = json_pack("{s:s}", "type", "string");
                break;
        }
        if (row->fallback)
                json_object_set_new(schema, "default",
                                    json_loads(row->fallback, JSON_DECODE_ANY, NULL));
        CHECK(row->key, row->help && strlen(row->help) > 10);
        json_object_set_new(schema, "description", json_string(row->help));
        return schema;
}

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

static json_t *codexd_schema(void)
{
        json_t *schema = json_pack("{s:s, s:s}", "$schema", DIALECT, "title", "codexd.json");

        json_object_update_new(schema, table_schema(&config_codexd_table));
        return schema;
}

static json_t *workspace_schema(void)
{
        json_t *rule = table_schema(&config_rule_table);

        json_object_set_new(
                rule, "oneOf",
                json_pack("[{s:[s]}, {s:[s]}]", "required", "match", "required", "workspace"));
        return json_pack("{s:s, s:s, s:[{s:s}, {s:s, s:{s:s}}], s:{s:o}}", "$schema", DIALECT,
                         "title", "a file of workspaces.d: a rule, or a list of rules", "oneOf",
                         "$ref", "#/$defs/rule", "type", "array", "items", "$ref", "#/$defs/rule",
                         "$defs", "rule", rule);
}

static json_t *load(const char *name)
{
        char path[4096];
        json_error_t why;
        json_t *json;

        (void) snprintf(path, sizeof path, "%s/%s", CONF_SAMPLES, name);
        json = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
        CHECK(name, json != NULL);
        return json;
}

static void compare_schema(const char *name, json_t *want)
{
        json_t *have = load(name);

        CHECK(name, json_equal(have, want)); /* else print it anew: see conf/meson.build */
        json_decref(have);
        json_decref(want);
}

static void test_schemas(void **state)
{
        compare_schema("codexd.schema.json", codexd_schema());
        compare_schema("workspace.schema.json", workspace_schema());
}

/* ---- the sample with every key ---- */

static void compare_sample(const struct conf_table *table, const json_t *object, const char *above)
{
        size_t keys = 0;

        for (; table; table = table->also)
                for (size_t i = 0; i < table->n; i++) {
                        const struct conf_row *row = &table->rows[i];
                        const json_t *value = json_object_get(object, row->key);
                        json_t *fallback;

                        if (row->type == CONF_REFUSED)
                                continue;
                        CHECK(row->key, row->type == CONF_IGNORED || value);
                        keys += value != NULL;
                        if (row->type == CONF_TABLE)
                                compare_sample(row->table, value, row->key);
                        if (!row->fallback)
                                continue;
                        fallback = json_loads(row->fallback, JSON_DECODE_ANY, NULL);
                        CHECK(row->key, json_equal(fallback, value));
                        json_decref(fallback);
                }
        CHECK(above, keys == json_object_size(object)); /* nothing more */
}

static void test_sample_has_every_key_at_its_default(void **state)
{
        json_t *sample = load("codexd.json");

        compare_sample(&config_codexd_table, sample, "codexd.json");
        json_decref(sample);
}

/* ---- the samples run ---- */

static void fail_on_warning(void *data, const char *text)
{
        if (!strstr(text, "model.base_url")) /* which only the host's owner knows */
                fail_msg("%s", text);
}

static void test_samples_run_in_this_build(void **state)
{
        static const struct {
                const char *workspace, *directory, *user;
                unsigned max_workers;
        } want[] = {
                {"any.example.org", "/srv/sites/any.example.org", "owner", 2},
                {"shop.example.org", "/srv/sites/shop.example.org", "owner", 1},
                {"tools", "/srv/tools", "tools", 2},
        };
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_fd_ int fd = open(CONF_SAMPLES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct error err = {0};
        struct stat st;
        void *bundle = NULL;
        size_t n;

        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        CHECK_OK(config_bundle_read(fd, CONF_SAMPLES, st.st_uid, &bundle, &n, &err), err);
        CHECK_OK(config_new(&config, bundle, n, &err), err);
        free(bundle);
        assert_int_equal(config_rules(config), 3);
        assert_int_equal(config_warnings(config, fail_on_warning, NULL), 1);
        for (size_t i = 0; i < N_ELEMENTS(want); i++) {
                struct policy *policies[POLICY_CANDIDATES_MAX];
                struct wire_wish wish = {0};

                assert_int_equal(policy_candidates(config, want[i].workspace, policies, &err), 1);
                assert_string_equal(policies[0]->directory, want[i].directory);
                assert_string_equal(policies[0]->user, want[i].user);
                assert_int_equal(policies[0]->max_workers, want[i].max_workers);
                CHECK_OK(policy_narrow(policies[0], &wish, &err), err);
                CHECK_OK(policy_enforceable(policies[0], &err), err);
                (void) policy_free(policies[0]);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_schemas),
                cmocka_unit_test(test_sample_has_every_key_at_its_default),
                cmocka_unit_test(test_samples_run_in_this_build),
        };

        if (argc == 3 && strcmp(argv[1], "--print-schema") == 0) {
                json_t *schema =
                        strcmp(argv[2], "codexd") == 0 ? codexd_schema() : workspace_schema();
                int r = json_dumpf(schema, stdout, JSON_INDENT(2));

                json_decref(schema);
                (void) putchar('\n');
                return r == 0 ? 0 : 1;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
