#include "cleanup.h"
#include "exit-code.h"
#include "follow.h"
#include "prompt.h"
#include "render.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct follow_options follow_options_of(const struct options *options)
{
        return (struct follow_options){.socket = options->socket,
                                       .json = options->json,
                                       .quiet = options->quiet,
                                       .verbose = options->verbose,
                                       .from = options->from};
}

static json_t *submission(const struct options *options, int n, char **operands)
{
        _cleanup_free_ char *prompt = NULL;
        json_t *parameters;
        size_t prompt_n;

        if (prompt_read(n > 1 ? operands[1] : NULL, options->file, &prompt, &prompt_n) < 0)
                return NULL;
        parameters = options_submit(options, operands[0], prompt, prompt_n);
        if (!parameters)
                fputs("codexctl: an argument is not valid UTF-8\n", stderr);
        return parameters;
}

int verb_run(const struct options *options, int n, char **operands)
{
        struct follow_options follow = follow_options_of(options);
        json_t *parameters = submission(options, n, operands);

        follow.ours = true;
        return parameters ? follow_submit(&follow, parameters) : EXIT_USAGE;
}

int verb_submit(const struct options *options, int n, char **operands)
{
        json_t *parameters = submission(options, n, operands), *answer = NULL;
        int code;

        if (!parameters)
                return EXIT_USAGE;
        code = verb_call(options, "io.codexd.Submit", parameters, &answer);
        if (code == EXIT_OK && !options->json)
                printf("%" JSON_INTEGER_FORMAT "\n",
                       json_integer_value(json_object_get(answer, "job")));
        json_decref(answer);
        return code;
}

int verb_attach(const struct options *options, int n, char **operands)
{
        struct follow_options follow = follow_options_of(options);
        uint64_t job;

        if (verb_job_id(operands[0], &job) != 0)
                return EXIT_USAGE;
        follow.ours = true;
        return follow_job(&follow, job);
}

static json_t *get_job(const struct options *options, uint64_t job, int *ret_code)
{
        struct options plainly = *options;
        json_t *answer = NULL;

        plainly.json = false;
        *ret_code = verb_call(&plainly, "io.codexd.Get",
                              json_pack("{s:I}", "job", (json_int_t) job), &answer);
        return answer;
}

int verb_logs(const struct options *options, int n, char **operands)
{
        struct follow_options follow = follow_options_of(options);
        json_t *answer, *last;
        uint64_t job;
        int code;

        if (verb_job_id(operands[0], &job) != 0)
                return EXIT_USAGE;
        if (options->follow)
                return follow_job(&follow, job);
        answer = get_job(options, job, &code);
        if (code != EXIT_OK)
                return code;
        last = json_object_get(json_object_get(answer, "job"), "last_seq");
        follow.has_until = true;
        follow.until = json_is_integer(last) ? (uint64_t) json_integer_value(last) : 0;
        json_decref(answer);
        if (follow.from > follow.until)
                return EXIT_OK; /* there is nothing yet from there on */
        return follow_job(&follow, job);
}

static int code_of(json_t *job)
{
        const char *result = json_string_value(json_object_get(job, "result"));
        const char *error =
                json_string_value(json_object_get(json_object_get(job, "failure"), "error"));

        if (!result)
                return EXIT_JOB_FAILED;
        return exit_code_of_job(result, error,
                                (int) json_integer_value(json_object_get(job, "exit_signal")));
}

static void print_end(uint64_t id, json_t *job)
{
        json_t *failure = json_object_get(job, "failure");
        const char *result = json_string_value(json_object_get(job, "result"));
        const char *error = json_string_value(json_object_get(failure, "error"));
        const char *message = json_string_value(json_object_get(failure, "message"));

        printf("job %" PRIu64 " ended: ", id);
        render_result(result ? result : "unknown", error ? error : "", message ? message : "",
                      stdout);
        putchar('\n');
        (void) fflush(stdout);
}

/* Of several jobs, the first exit code that is not 0. */
int verb_wait(const struct options *options, int n, char **operands)
{
        int worst = EXIT_OK;

        for (int i = 0; i < n; i++) {
                json_t *answer = NULL, *job;
                uint64_t id;
                int code = verb_job_id(operands[i], &id);

                if (code == EXIT_OK)
                        code = verb_call(options, "io.codexd.Wait",
                                         json_pack("{s:I}", "job", (json_int_t) id), &answer);
                if (code == EXIT_OK) {
                        job = json_object_get(answer, "job");
                        code = code_of(job);
                        if (!options->json)
                                print_end(id, job);
                }
                json_decref(answer);
                worst = worst == EXIT_OK ? code : worst;
        }
        return worst;
}

int verb_cancel(const struct options *options, int n, char **operands)
{
        int worst = EXIT_OK;

        for (int i = 0; i < n; i++) {
                uint64_t id;
                int code = verb_job_id(operands[i], &id);

                if (code == EXIT_OK)
                        code = verb_call(options, "io.codexd.Cancel",
                                         json_pack("{s:I}", "job", (json_int_t) id), NULL);
                worst = worst == EXIT_OK ? code : worst;
        }
        return worst;
}
