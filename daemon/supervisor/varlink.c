#include "varlink.h"
#include "cleanup.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson would go 2048 deep by recursion; no request of ours needs more than a few. */
static bool depth_ok(const char *text, size_t n)
{
        unsigned depth = 0;
        bool string = false;

        for (size_t i = 0; i < n; i++) {
                char c = text[i];

                if (string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                string = false;
                } else if (c == '"') {
                        string = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > VARLINK_DEPTH_MAX)
                                return false;
                } else if ((c == '}' || c == ']') && depth > 0) {
                        depth--;
                }
        }
        return true;
}

static int read_flag(const char *key, json_t *value, bool *to, struct error *err)
{
        if (!json_is_boolean(value))
                return error_set_key(err, ERROR_BAD_REQUEST, key, "\"%s\" must be true or false",
                                     key);
        *to = json_is_true(value);
        return 0;
}

static int read_member(struct varlink_call *call, const char *key, json_t *value, struct error *err)
{
        bool upgrade = false;

        if (strcmp(key, "method") == 0) {
                call->method = json_string_value(value);
                if (!call->method || json_string_length(value) > VARLINK_METHOD_MAX)
                        return error_set_key(err, ERROR_BAD_REQUEST, key,
                                             "\"method\" must be a string of at most %d bytes",
                                             VARLINK_METHOD_MAX);
                return 0;
        }
        if (strcmp(key, "parameters") == 0) {
                if (json_is_null(value))
                        return 0;
                if (!json_is_object(value))
                        return error_set_key(err, ERROR_BAD_REQUEST, key,
                                             "\"parameters\" must be an object");
                call->parameters = value;
                return 0;
        }
        if (strcmp(key, "more") == 0)
                return read_flag(key, value, &call->more, err);
        if (strcmp(key, "oneway") == 0)
                return read_flag(key, value, &call->oneway, err);
        if (strcmp(key, "upgrade") == 0) {
                int r = read_flag(key, value, &upgrade, err);

                if (r < 0 || !upgrade)
                        return r;
                return error_set_key(err, ERROR_BAD_REQUEST, key, "\"upgrade\" is not supported");
        }
        return error_set_key(err, ERROR_BAD_REQUEST, key, "a call has no member \"%.60s\"", key);
}

int varlink_call_parse(struct varlink_call *ret, const char *text, size_t n, struct error *err)
{
        struct varlink_call call = {0};
        json_error_t why;
        const char *key;
        json_t *value;
        int r = 0;

        if (!depth_ok(text, n))
                return error_set(err, ERROR_BAD_REQUEST, "malformed request: nested deeper than %d",
                                 VARLINK_DEPTH_MAX);
        call.root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
        if (!call.root)
                return error_set(err, ERROR_BAD_REQUEST, "malformed request: %.120s (byte %d)",
                                 why.text, why.position);
        if (!json_is_object(call.root))
                r = error_set(err, ERROR_BAD_REQUEST, "malformed request: a call is an object");
        else
                json_object_foreach (call.root, key, value)
                        if (r == 0)
                                r = read_member(&call, key, value, err);
        if (r == 0 && !call.method)
                r = error_set_key(err, ERROR_BAD_REQUEST, "method", "\"method\" is missing");
        if (r == 0 && call.more && call.oneway)
                r = error_set_key(err, ERROR_BAD_REQUEST, "oneway",
                                  "\"more\" and \"oneway\" exclude each other");
        if (r < 0) {
                varlink_call_done(&call);
                return r;
        }
        *ret = call;
        return 0;
}

void varlink_call_done(struct varlink_call *call)
{
        json_decref(call->root);
        *call = (struct varlink_call){0};
}

json_t *varlink_string(const char *s)
{
        size_t n = strlen(s);
        _cleanup_free_ char *clean = malloc(n + 1);

        if (!clean)
                return NULL;
        n = text_clean(clean, n + 1, s, n);
        return json_stringn(clean, n);
}

static char *dump(json_t *root)
{
        char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

        json_decref(root);
        return text;
}

char *varlink_reply(json_t *parameters, bool continues)
{
        json_t *root = json_pack("{s:o}", "parameters", parameters ? parameters : json_object());

        if (root && continues)
                (void) json_object_set_new(root, "continues", json_true());
        return dump(root);
}

char *varlink_error(const struct error *err, uint32_t retry_s)
{
        json_t *p = json_pack("{s:o}", "message", varlink_string(err->message));

        if (!p)
                return NULL;
        if (err->key[0])
                (void) json_object_set_new(p, "key", varlink_string(err->key));
        if (err->step[0]) {
                (void) json_object_set_new(p, "step", varlink_string(err->step));
                (void) json_object_set_new(p, "errno", json_integer(err->number));
        }
        if (retry_s)
                (void) json_object_set_new(p, "retry_after_s", json_integer(retry_s));
        return dump(
                json_pack("{s:s, s:o}", "error", error_kind_varlink(err->kind), "parameters", p));
}

char *varlink_service_error(const char *name, const char *parameter, const char *value)
{
        json_t *text = varlink_string(value);

        if (!text)
                return NULL;
        return dump(json_pack("{s:s+, s:{s:o}}", "error", "org.varlink.service.", name,
                              "parameters", parameter, text));
}

int varlink_event_head(char *to, size_t room, uint64_t seq, uint64_t time_usec)
{
        return snprintf(to, room,
                        "{\"parameters\":{\"seq\":%" PRIu64 ",\"time\":%" PRIu64 ",\"event\":", seq,
                        time_usec);
}

const char *varlink_event_tail(bool continues)
{
        return continues ? "},\"continues\":true}" : "}}";
}

static int read_param(const struct varlink_param *param, json_t *value, struct error *err)
{
        static const char *const types[] = {"a string", "a whole number", "true or false"};
        bool ok = false;

        switch (param->type) {
        case VARLINK_STRING:
                ok = json_is_string(value);
                if (ok)
                        *(const char **) param->to = json_string_value(value);
                break;
        case VARLINK_INT:
                ok = json_is_integer(value);
                if (ok)
                        *(int64_t *) param->to = json_integer_value(value);
                break;
        case VARLINK_BOOL:
                ok = json_is_boolean(value);
                if (ok)
                        *(int *) param->to = json_is_true(value);
                break;
        case VARLINK_UNSUPPORTED:
                return error_set_key(err, ERROR_POLICY_UNSUPPORTED, param->name,
                                     "\"%s\" is not supported yet", param->name);
        }
        if (ok)
                return 0;
        return error_set_key(err, ERROR_BAD_REQUEST, param->name, "\"%s\" must be %s", param->name,
                             types[param->type]);
}

static const struct varlink_param *find_param(const struct varlink_param *table, size_t n,
                                              const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(table[i].name, name) == 0)
                        return &table[i];
        return NULL;
}

int varlink_params(json_t *parameters, const struct varlink_param *table, size_t n,
                   struct error *err)
{
        const char *key;
        json_t *value;
        int r;

        for (size_t i = 0; i < n; i++)
                if (table[i].type == VARLINK_STRING)
                        *(const char **) table[i].to = NULL;
                else if (table[i].type == VARLINK_BOOL)
                        *(int *) table[i].to = -1;
        json_object_foreach (parameters, key, value) {
                const struct varlink_param *param = find_param(table, n, key);

                if (!param)
                        return error_set_key(err, ERROR_BAD_REQUEST, key,
                                             "there is no parameter \"%.60s\"", key);
                if (json_is_null(value))
                        continue;
                r = read_param(param, value, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n; i++) {
                value = json_object_get(parameters, table[i].name);
                if (table[i].required && (!value || json_is_null(value)))
                        return error_set_key(err, ERROR_BAD_REQUEST, table[i].name,
                                             "\"%s\" is missing", table[i].name);
        }
        return 0;
}
