#include "cleanup.h"
#include "connection.h"
#include "exit-code.h"
#include "plain.h"
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int verb_job_id(const char *text, uint64_t *ret)
{
        if (options_number(text, INT64_MAX, ret) == 0)
                return 0;
        fprintf(stderr, "codexctl: \"%.40s\" is no job id: they are whole numbers\n", text);
        return EXIT_USAGE;
}

static void print_raw(const char *raw)
{
        if (isatty(STDOUT_FILENO))
                plain_put(stdout, PLAIN_JSON, raw, strlen(raw));
        else
                fputs(raw, stdout);
        fputc('\n', stdout);
}

int verb_call(const struct options *options, const char *method, json_t *parameters, json_t **ret)
{
        _cleanup_(connection_freep) struct connection *connection = NULL;
        const char *dot = strrchr(method, '.');
        _cleanup_free_ char *raw = NULL;
        struct failure failure;
        json_t *answer = NULL;
        int r;

        r = connection_new(&connection, options->socket, &failure);
        if (r < 0)
                json_decref(parameters);
        else
                r = connection_call_raw(connection, method, parameters, -1, &answer, &raw,
                                        &failure);
        if (r < 0)
                return failure_report(&failure, dot ? dot + 1 : method);
        if (options->json)
                print_raw(raw);
        if (ret)
                *ret = answer;
        else
                json_decref(answer);
        return EXIT_OK;
}
