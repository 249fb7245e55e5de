#include "options.h"
#include "cleanup.h"
#include "connection.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VERBS_SUBMIT (VERB_RUN | VERB_SUBMIT)
#define VERBS_EVENTS (VERB_RUN | VERB_ATTACH | VERB_LOGS)
#define VERBS_JSON   (VERB_ALL & ~(VERB_CHECK_CONFIG | VERB_SHUTDOWN))
#define TIME_MAX     (366u * 24 * 3600)

enum type { STRING, NUMBER, SECONDS, TRUE, YES, NO };

static const struct option_row {
        const char *name;
        char letter; /* 0: none */
        unsigned verbs;
        enum type type;
        size_t to;
        const char *argument, *help;
} rows[] = {
#define TO(member) offsetof(struct options, member)
        {"cwd", 'C', VERBS_SUBMIT, STRING, TO(cwd), "DIR",
         "start in this directory of the workspace"},
        {"thread", 't', VERBS_SUBMIT, STRING, TO(thread), "UUID", "go on with this thread"},
        {"model", 'm', VERBS_SUBMIT, STRING, TO(model), "NAME", "use this model"},
        {"sandbox", 's', VERBS_SUBMIT, STRING, TO(sandbox), "MODE",
         "read-only, workspace-write or danger-full-access"},
        {"network", 0, VERBS_SUBMIT, YES, TO(network), NULL, "ask for network access"},
        {"no-network", 0, VERBS_SUBMIT, NO, TO(network), NULL, "do without network access"},
        {"approval", 'a', VERBS_SUBMIT, STRING, TO(approval), "POLICY",
         "never, on-request, on-failure or untrusted"},
        {"skip-git-repo-check", 0, VERBS_SUBMIT, YES, TO(skip_git_repo_check), NULL,
         "run outside of a git repository too"},
        {"owner", 'o', VERBS_SUBMIT, STRING, TO(owner), "NAME", "whom the turn is for"},
        {"class", 'c', VERBS_SUBMIT, STRING, TO(class), "CLASS", "chat or automation"},
        {"deadline", 'd', VERBS_SUBMIT, SECONDS, TO(deadline_s), "SECONDS",
         "end the job this long after it was accepted, queued or not"},
        {"file", 'F', VERBS_SUBMIT, STRING, TO(file), "FILE", "read the prompt from this file"},
        {"from", 0, VERB_ATTACH | VERB_LOGS, NUMBER, TO(from), "SEQ", "begin with this event"},
        {"follow", 'f', VERB_LOGS, TRUE, TO(follow), NULL, "go on until the job has ended"},
        {"quiet", 'q', VERBS_EVENTS, TRUE, TO(quiet), NULL, "print only what the agent says"},
        {"verbose", 'v', VERBS_EVENTS, TRUE, TO(verbose), NULL,
         "print reasoning and all output of commands too"},
        {"workspace", 'w', VERB_LIST, STRING, TO(workspace), "NAME", "of this workspace"},
        {"state", 0, VERB_LIST, STRING, TO(state), "STATE",
         "queued, starting, running, cancelling or finished"},
        {"limit", 'n', VERB_LIST, NUMBER, TO(limit), "N", "at most this many, newest first"},
        {"wait", 0, VERB_DRAIN, TRUE, TO(wait), NULL, "until the last job has ended"},
        {"timeout", 0, VERB_DRAIN | VERB_SHUTDOWN, SECONDS, TO(timeout_s), "SECONDS",
         "wait no longer than this"},
        {"kill", 0, VERB_DRAIN | VERB_SHUTDOWN, TRUE, TO(kill), NULL,
         "kill what still runs after --timeout"},
        {"workers-cgroup", 0, VERB_DRAIN | VERB_SHUTDOWN, STRING, TO(workers_cgroup), "DIR",
         "where the workers' cgroups are"},
        {"json", 0, VERBS_JSON, TRUE, TO(json), NULL, "print JSON"},
        {"socket", 0, VERB_ALL, STRING, TO(socket), "PATH", "codexd's socket"},
        {"help", 'h', VERB_ALL, TRUE, TO(help), NULL, "print this"},
#undef TO
};

void options_init(struct options *options)
{
        const char *socket = getenv("CODEXD_SOCKET");

        *options = (struct options){
                .socket = socket && *socket ? socket : CONNECTION_SOCKET,
                .network = -1,
                .skip_git_repo_check = -1,
                .timeout_s = -1,
        };
}

int options_number(const char *text, uint64_t max, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*text)
                return -EINVAL;
        for (; *text; text++) {
                unsigned digit = (unsigned) *text - '0';

                if (digit > 9 || value > max / 10 || value * 10 > max - digit)
                        return -EINVAL;
                value = value * 10 + digit;
        }
        *ret = value;
        return 0;
}

static int store(struct options *options, const struct option_row *row, const char *value)
{
        char *to = (char *) options + row->to;
        uint64_t max = row->type == SECONDS ? TIME_MAX : INT64_MAX;

        switch (row->type) {
        case STRING:
                *(const char **) to = value;
                return 0;
        case TRUE:
                *(bool *) to = true;
                return 0;
        case YES:
        case NO:
                *(int *) to = row->type == YES;
                return 0;
        case NUMBER:
        case SECONDS:
                /* int64_t and uint64_t: one size, and no value that differs */
                if (options_number(value, max, (uint64_t *) to) == 0)
                        return 0;
                fprintf(stderr, "codexctl: --%s: \"%.40s\" is no number from 0 to %" PRIu64 "\n",
                        row->name, value, max);
                return -EINVAL;
        }
        return -EINVAL;
}

/* getopt's tables, of the rows that this verb takes. */
struct table {
        struct option longs[N_ELEMENTS(rows) + 1];
        char shorts[3 * N_ELEMENTS(rows) + 2];
};

static void make_table(struct table *table, unsigned verb)
{
        size_t n = 0, s = 0;

        *table = (struct table){0};
        table->shorts[s++] = ':'; /* tell a missing argument from an unknown option */
        for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
                if (!(rows[i].verbs & verb))
                        continue;
                table->longs[n++] = (struct option){
                        .name = rows[i].name,
                        .has_arg = rows[i].argument ? required_argument : no_argument,
                        .val = 1000 + (int) i,
                };
                if (!rows[i].letter)
                        continue;
                table->shorts[s++] = rows[i].letter;
                if (rows[i].argument)
                        table->shorts[s++] = ':';
        }
}

static const struct option_row *find_row(unsigned verb, int c)
{
        if (c >= 1000)
                return &rows[c - 1000];
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                if ((rows[i].verbs & verb) && rows[i].letter == c)
                        return &rows[i];
        return NULL;
}

int options_parse(struct options *options, unsigned verb, int argc, char **argv, int *ret_first)
{
        struct table table;
        int c;

        make_table(&table, verb);
        optind = 0; /* glibc: start anew, also after another table */
        opterr = 0;
        while ((c = getopt_long(argc, argv, table.shorts, table.longs, NULL)) != -1) {
                const struct option_row *row;

                if (c == ':' || c == '?') {
                        fprintf(stderr, "codexctl %s: %s: %s; see codexctl help %s\n", argv[0],
                                argv[optind - 1],
                                c == ':' ? "its argument is missing" : "no such option", argv[0]);
                        return -EINVAL;
                }
                row = find_row(verb, c);
                if (!row || store(options, row, optarg) < 0)
                        return -EINVAL;
        }
        *ret_first = optind;
        return 0;
}

void options_help(unsigned verb, FILE *out)
{
        for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
                const struct option_row *row = &rows[i];
                char left[48];

                if (!(row->verbs & verb))
                        continue;
                (void) snprintf(left, sizeof left, "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
                                row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
                                row->argument ? "=" : "", row->argument ? row->argument : "");
                fprintf(out, "  %-28s %s\n", left, row->help);
        }
}

static int add(json_t *object, const char *key, json_t *value)
{
        return value ? json_object_set_new(object, key, value) : -1;
}

json_t *options_submit(const struct options *options, const char *workspace, const char *prompt,
                       size_t prompt_n)
{
        const struct {
                const char *key, *value;
        } strings[] = {
                {"workspace", workspace},           {"cwd", options->cwd},
                {"thread_id", options->thread},     {"model", options->model},
                {"sandbox_mode", options->sandbox}, {"approval_policy", options->approval},
                {"owner", options->owner},          {"class", options->class},
        };
        json_t *json = json_object();
        int r = json ? 0 : -1;

        for (size_t i = 0; i < N_ELEMENTS(strings); i++)
                if (r == 0 && strings[i].value)
                        r = add(json, strings[i].key, json_string(strings[i].value));
        if (r == 0)
                r = add(json, "prompt", json_stringn(prompt, prompt_n));
        if (r == 0 && options->network >= 0)
                r = add(json, "network_access", json_boolean(options->network));
        if (r == 0 && options->skip_git_repo_check >= 0)
                r = add(json, "skip_git_repo_check", json_boolean(options->skip_git_repo_check));
        if (r == 0 && options->deadline_s > 0)
                r = add(json, "deadline_s", json_integer((json_int_t) options->deadline_s));
        if (r == 0)
                return json;
        json_decref(json);
        return NULL;
}
