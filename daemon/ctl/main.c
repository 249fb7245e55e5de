/* codexctl: what people and scripts use to talk to codexd. */
#include "cleanup.h"
#include "exit-code.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct verb {
        const char *name;
        unsigned bit;
        int least, most; /* operands */
        int (*run)(const struct options *options, int n, char **operands);
        const char *operands, *summary;
        const char *help; /* more, for `help VERB`; "" */
} verbs[] = {
        {"run", VERB_RUN, 1, 2, verb_run, "WORKSPACE [PROMPT|-]",
         "submit a turn, follow it, exit with its code",
         "The prompt is read from standard input if it is absent or \"-\".\n"
         "Ctrl-C cancels the job; a second one leaves it running.\n"},
        {"submit", VERB_SUBMIT, 1, 2, verb_submit, "WORKSPACE [PROMPT|-]",
         "submit a turn and print its job id",
         "The prompt is read from standard input if it is absent or \"-\".\n"},
        {"attach", VERB_ATTACH, 1, 1, verb_attach, "JOB",
         "follow a job to its end, exit with its code",
         "Ctrl-C cancels the job, a second one leaves it running; to only watch: logs -f.\n"},
        {"logs", VERB_LOGS, 1, 1, verb_logs, "JOB", "print a job's events until now", ""},
        {"wait", VERB_WAIT, 1, 1000, verb_wait, "JOB...",
         "wait for jobs to end, exit with their code",
         "Of several, the first code that is not 0.\n"},
        {"cancel", VERB_CANCEL, 1, 1000, verb_cancel, "JOB...",
         "end jobs, or take them off the queue",
         "Returns at once; `codexctl wait` tells when the whole process tree is gone.\n"},
        {"list", VERB_LIST, 0, 0, verb_list, "", "list jobs, newest first", ""},
        {"show", VERB_SHOW, 1, 1, verb_show, "JOB", "print what is known of a job", ""},
        {"stats", VERB_STATS, 0, 0, verb_stats, "", "print the daemon's figures", ""},
        {"ping", VERB_PING, 0, 0, verb_ping, "", "ask whether the daemon answers", ""},
        {"check-config", VERB_CHECK_CONFIG, 0, 1, verb_check_config, "[DIR]",
         "check the configuration, without the daemon",
         "DIR is " VERB_CONFIG_DIR " unless given. Prints what is wrong as FILE:LINE: KEY: why.\n"},
        {"reload", VERB_RELOAD, 0, 0, verb_reload, "", "make the daemon read its configuration",
         ""},
        {"drain", VERB_DRAIN, 0, 0, verb_drain, "", "admit no further jobs",
         "With --wait, it returns when nothing runs any more, whether or not codexd does.\n"},
        {"shutdown", VERB_SHUTDOWN, 0, 0, verb_shutdown, "", "drain, then stop all of codexd", ""},
};

static const struct verb *find_verb(const char *name)
{
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

/* Edits from one word to another (Levenshtein); words longer than the row are far from any verb. */
static unsigned distance(const char *a, const char *b)
{
        unsigned row[32];
        size_t n = strlen(b);

        if (n >= N_ELEMENTS(row) || strlen(a) >= N_ELEMENTS(row))
                return 99;
        for (unsigned j = 0; j <= n; j++)
                row[j] = j;
        for (unsigned i = 1; *a; a++, i++) {
                unsigned diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        unsigned best = MIN(row[j], row[j - 1]) + 1;
                        unsigned replaced = diagonal + (*a != b[j - 1]);

                        diagonal = row[j];
                        row[j] = MIN(best, replaced);
                }
        }
        return row[n];
}

static int unknown_verb(const char *name)
{
        const struct verb *best = NULL;
        unsigned least = 3;

        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                unsigned d = distance(name, verbs[i].name);

                if (d < least) {
                        least = d;
                        best = &verbs[i];
                }
        }
        fprintf(stderr, "codexctl: no verb \"%.40s\"", name);
        if (best)
                fprintf(stderr, "; did you mean %s?\n", best->name);
        else
                fputs("; see codexctl help\n", stderr);
        return EXIT_USAGE;
}

static void print_usage(FILE *out)
{
        fputs("codexctl VERB [OPTIONS] ...\n\n", out);
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                char left[64];

                (void) snprintf(left, sizeof left, "%s %s", verbs[i].name, verbs[i].operands);
                fprintf(out, "  %-28s %s\n", left, verbs[i].summary);
        }
        fputs("\n  codexctl help VERB           explains one\n"
              "  codexctl --version\n"
              "\nOptions of every verb may stand before it too: --socket=PATH, --json.\n"
              "Exit: 0 ok, 1 failed, 2 usage, 3 unknown id, 4 rejected for now, 5 cancelled,\n"
              "6 deadline, 7 daemon unreachable, 8 not permitted, 128+N signal N.\n",
              out);
}

static void print_help(const struct verb *verb, FILE *out)
{
        fprintf(out, "codexctl %s [OPTIONS]%s%s\n\n%c%s.\n%s\n", verb->name,
                *verb->operands ? " " : "", verb->operands, verb->summary[0] - 'a' + 'A',
                verb->summary + 1, verb->help);
        options_help(verb->bit, out);
}

static int help(int argc, char **argv)
{
        const struct verb *verb;

        if (argc == 0) {
                print_usage(stdout);
                return EXIT_OK;
        }
        verb = find_verb(argv[0]);
        if (!verb)
                return unknown_verb(argv[0]);
        print_help(verb, stdout);
        return EXIT_OK;
}

static int run(struct options *options, const struct verb *verb, int argc, char **argv)
{
        int first, n;

        if (options_parse(options, verb->bit, argc, argv, &first) < 0)
                return EXIT_USAGE;
        if (options->help) {
                print_help(verb, stdout);
                return EXIT_OK;
        }
        n = argc - first;
        if (n < verb->least || n > verb->most) {
                fprintf(stderr, "codexctl %s: expected %s%s; see codexctl help %s\n", verb->name,
                        *verb->operands ? verb->operands : "no operand", "", verb->name);
                return EXIT_USAGE;
        }
        return verb->run(options, n, argv + first);
}

/* Output that was not written (a full disk, a closed pipe) must not end as success. */
static int finish(int code)
{
        if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK) {
                fputs("codexctl: writing to stdout failed\n", stderr);
                return EXIT_JOB_FAILED;
        }
        return code;
}

int main(int argc, char **argv)
{
        struct options options;
        const struct verb *verb;
        int i = 1;

        options_init(&options);
        for (; i < argc && argv[i][0] == '-'; i++) {
                if (strcmp(argv[i], "--version") == 0) {
                        puts("codexctl " CODEXD_VERSION);
                        return finish(EXIT_OK);
                } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                        print_usage(stdout);
                        return finish(EXIT_OK);
                } else if (strcmp(argv[i], "--json") == 0) {
                        options.json = true;
                } else if (strncmp(argv[i], "--socket=", 9) == 0) {
                        options.socket = argv[i] + 9;
                } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
                        options.socket = argv[++i];
                } else {
                        fprintf(stderr, "codexctl: %.60s: no such option; see codexctl help\n",
                                argv[i]);
                        return EXIT_USAGE;
                }
        }
        if (i == argc) {
                print_usage(stderr);
                return EXIT_USAGE;
        }
        if (strcmp(argv[i], "help") == 0)
                return finish(help(argc - i - 1, argv + i + 1));
        verb = find_verb(argv[i]);
        if (!verb)
                return unknown_verb(argv[i]);
        return finish(run(&options, verb, argc - i, argv + i));
}
