#include "cleanup.h"
#include "exit-code.h"
#include "plain.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text_of(json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static void put_time(uint64_t usec, FILE *out)
{
        time_t s = (time_t) (usec / 1000000);
        char text[40];
        struct tm tm;

        if (!localtime_r(&s, &tm) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                strcpy(text, "?");
        fputs(text, out);
}

/* A cell of a table: what was written, padded. */
static void put_cell(const char *text, size_t columns, FILE *out)
{
        _cleanup_free_ char *safe = NULL;
        size_t size = 0, fits;
        FILE *memory = open_memstream(&safe, &size);

        if (!memory)
                return;
        plain_put_cut(memory, *text ? text : "-", columns);
        if (fclose(memory) != 0)
                return;
        /* As many blanks as columns are left: a wide character counts two. */
        for (fits = 0; fits < columns && plain_fit(safe, size, fits) < size;)
                fits++;
        fprintf(out, "%s%*s ", safe, (int) (columns - fits), "");
}

static void put_row(json_t *job, FILE *out)
{
        const char *result = text_of(job, "result");
        char id[24];

        (void) snprintf(id, sizeof id, "%" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(job, "job")));
        put_cell(id, 7, out);
        put_cell(*result ? result : text_of(job, "state"), 12, out);
        put_time((uint64_t) json_integer_value(json_object_get(job, "queued_usec")), out);
        fputc(' ', out);
        put_cell(text_of(job, "workspace"), 28, out);
        put_cell(text_of(job, "owner"), 16, out);
        put_cell(text_of(job, "class"), 10, out);
        plain_put_cut(out, *text_of(job, "thread_id") ? text_of(job, "thread_id") : "-", 40);
        fputc('\n', out);
}

int verb_list(const struct options *options, int n, char **operands)
{
        json_t *parameters = json_object(), *answer = NULL, *job;
        size_t i;
        int code;

        if (options->workspace)
                (void) json_object_set_new(parameters, "workspace",
                                           json_string(options->workspace));
        if (options->state)
                (void) json_object_set_new(parameters, "state", json_string(options->state));
        if (options->limit > 0)
                (void) json_object_set_new(parameters, "limit",
                                           json_integer((json_int_t) options->limit));
        code = verb_call(options, "io.codexd.List", parameters, &answer);
        if (code == EXIT_OK && !options->json) {
                printf("%-7s %-12s %-19s %-28s %-16s %-10s %s\n", "JOB", "STATE", "QUEUED",
                       "WORKSPACE", "OWNER", "CLASS", "THREAD");
                json_array_foreach (json_object_get(answer, "jobs"), i, job) {
                        put_row(job, stdout);
                }
        }
        json_decref(answer);
        return code;
}

/* "key: value" lines of an object, nested ones as "key.key". Times are told by their names. */
static void put_members(json_t *object, const char *prefix, FILE *out)
{
        static const char usec[] = "_usec";
        const char *key;
        json_t *value;

        json_object_foreach (object, key, value) {
                size_t length = strlen(key), tail = sizeof usec - 1;
                bool is_time = length > tail && strcmp(key + length - tail, usec) == 0;
                char name[128];

                (void) snprintf(name, sizeof name, "%s%s%.*s", prefix, *prefix ? "." : "",
                                (int) (is_time ? length - tail : length), key);
                if (json_is_object(value)) {
                        put_members(value, name, out);
                        continue;
                }
                plain_put_cut(out, name, 0);
                fputs(": ", out);
                if (json_is_integer(value) && is_time &&
                    json_integer_value(value) > 1000000000000000) /* else it is a duration */
                        put_time((uint64_t) json_integer_value(value), out);
                else if (json_is_integer(value) && is_time)
                        fprintf(out, "%.3f s", (double) json_integer_value(value) / 1e6);
                else if (json_is_integer(value))
                        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
                else if (json_is_string(value))
                        plain_put(out, PLAIN_LINE, json_string_value(value),
                                  json_string_length(value));
                else
                        fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-", out);
                fputc('\n', out);
        }
}

static int show(const struct options *options, const char *method, json_t *parameters,
                const char *member)
{
        json_t *answer = NULL;
        int code = verb_call(options, method, parameters, &answer);

        if (code == EXIT_OK && !options->json)
                put_members(member ? json_object_get(answer, member) : answer, "", stdout);
        json_decref(answer);
        return code;
}

int verb_show(const struct options *options, int n, char **operands)
{
        uint64_t job;

        if (verb_job_id(operands[0], &job) != 0)
                return EXIT_USAGE;
        return show(options, "io.codexd.Get", json_pack("{s:I}", "job", (json_int_t) job), "job");
}

int verb_stats(const struct options *options, int n, char **operands)
{
        return show(options, "io.codexd.Stats", NULL, NULL);
}

int verb_ping(const struct options *options, int n, char **operands)
{
        return show(options, "io.codexd.Ping", NULL, NULL);
}
