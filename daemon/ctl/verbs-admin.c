#include "cleanup.h"
#include "config.h"
#include "connection.h"
#include "drain.h"
#include "exit-code.h"
#include "fd.h"
#include "plain.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_warning(void *data, const char *text)
{
        unsigned *count = data;

        (*count)++;
        fputs("warning: ", stdout);
        plain_put_cut(stdout, text, 0);
        fputc('\n', stdout);
}

/* As root, what the launcher asks: root's own. Else the caller's own files are fine for a look. */
static uint32_t owner_to_ask(int dir)
{
        struct stat st;

        if (geteuid() == 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid())
                return 0;
        fprintf(stderr,
                "codexctl: not run as root: files may belong to uid %u; codexd asks for root's\n",
                (unsigned) geteuid());
        return geteuid();
}

static int check(int dir, const char *name, struct error *err)
{
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_free_ void *bundle = NULL;
        unsigned warnings = 0;
        size_t n;
        int r;

        r = config_bundle_read(dir, name, owner_to_ask(dir), &bundle, &n, err);
        if (r < 0)
                return r;
        r = config_new(&config, bundle, n, err);
        if (r < 0)
                return r;
        r = config_warnings(config, print_warning, &warnings);
        if (r < 0)
                return error_set(err, ERROR_NO_MEMORY, "%s: no memory", name);
        printf("%s: good, %zu rules, %u warnings\n", name, config_rules(config), warnings);
        return 0;
}

int verb_check_config(const struct options *options, int n, char **operands)
{
        const char *name = n > 0 ? operands[0] : VERB_CONFIG_DIR;
        _cleanup_fd_ int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct error err = {0};

        if (dir < 0) {
                int number = errno;

                fprintf(stderr, "codexctl: %s: %s\n", name, strerror(number));
                return number == EACCES ? EXIT_NOT_PERMITTED : EXIT_JOB_FAILED;
        }
        if (check(dir, name, &err) == 0)
                return EXIT_OK;
        plain_put_cut(stderr, err.message, 0);
        fputc('\n', stderr);
        return EXIT_JOB_FAILED;
}

int verb_reload(const struct options *options, int n, char **operands)
{
        json_t *answer = NULL;
        int code = verb_call(options, "io.codexd.Reload", NULL, &answer);

        if (code == EXIT_OK && !options->json)
                printf("configuration read; generation %" JSON_INTEGER_FORMAT "\n",
                       json_integer_value(json_object_get(answer, "generation")));
        json_decref(answer);
        return code;
}

static int say_timeout(const struct options *options)
{
        fprintf(stderr, "codexctl: jobs still run; %s\n",
                options->kill ? "killing them" : "not waiting any longer");
        return EXIT_DEADLINE;
}

static void print_counts(const struct options *options, json_t *answer)
{
        json_t *running = json_object_get(answer, "running");
        json_t *queued = json_object_get(answer, "queued");

        if (options->json)
                json_dumpf(answer, stdout, JSON_COMPACT);
        else
                printf("no further jobs are admitted; running %" JSON_INTEGER_FORMAT
                       ", queued %" JSON_INTEGER_FORMAT,
                       json_integer_value(running), json_integer_value(queued));
        putchar('\n');
        (void) fflush(stdout);
}

/* Tells a living daemon to admit nothing more, and waits for its jobs if `wait`. A daemon that goes
 * away meanwhile is no failure for who waits: the cgroups tell the rest. */
static int drain_daemon(const struct options *options, bool wait, int64_t deadline_ms)
{
        _cleanup_(connection_freep) struct connection *connection = NULL;
        int64_t left = deadline_ms < 0 ? -1 : MAX(deadline_ms - drain_now_ms(), 0);
        struct failure failure;
        json_t *answer = NULL;
        int r;

        r = connection_new(&connection, options->socket, &failure);
        if (r == 0)
                r = connection_call(connection, "io.codexd.Drain",
                                    json_pack("{s:b}", "wait", (int) wait),
                                    (int) MIN(left, INT_MAX), &answer, &failure);
        if (r == 0)
                print_counts(options, answer);
        json_decref(answer);
        if (r == -ETIMEDOUT)
                return say_timeout(options);
        if (r == 0 ||
            (wait && r != -EREMOTEIO && exit_code_of_error(failure.error) == EXIT_UNREACHABLE))
                return EXIT_OK;
        return failure_report(&failure, "Drain");
}

static int say_failure(const char *dir, int r)
{
        fprintf(stderr, "codexctl: %s: %s\n", dir, strerror(-r));
        return EXIT_JOB_FAILED;
}

/* By the cgroups: waits until `deadline_ms`, or kills if `late` already. */
static int empty_cgroups(const struct options *options, int64_t deadline_ms, bool late)
{
        const char *dir = options->workers_cgroup;
        char found[PATH_MAX];
        unsigned busy = 0;
        int r = 0;

        if (!dir) {
                r = drain_workers_cgroup(found, sizeof found);
                if (r < 0)
                        return say_failure("cgroup2", r);
                dir = found;
        }
        if (!late) {
                r = drain_wait(dir, deadline_ms, &busy);
                if (r == -ETIMEDOUT && !options->kill)
                        return say_timeout(options);
                if (r == -ETIMEDOUT)
                        late = say_timeout(options);
        }
        if (late)
                r = drain_kill(dir);
        if (r < 0)
                return say_failure(dir, r);
        if (!options->json)
                puts(late   ? "what still ran was killed"
                     : busy ? "the last job has ended"
                            : "no job runs");
        return EXIT_OK;
}

static int drain(const struct options *options, bool wait)
{
        int64_t deadline_ms =
                options->timeout_s < 0 ? -1 : drain_now_ms() + options->timeout_s * 1000;
        bool lives = drain_launcher_lives(options->socket);
        int code = EXIT_OK;

        if (lives || !wait)
                code = drain_daemon(options, wait, deadline_ms);
        else
                fputs("codexctl: codexd is not running; waiting for its workers\n", stderr);
        if (wait && (code == EXIT_OK || (code == EXIT_DEADLINE && options->kill)))
                code = empty_cgroups(options, deadline_ms, code != EXIT_OK);
        return code;
}

int verb_drain(const struct options *options, int n, char **operands)
{
        return drain(options, options->wait);
}

int verb_shutdown(const struct options *options, int n, char **operands)
{
        char *const argv[] = {
                (char *) "systemctl",
                (char *) "stop",
                (char *) "codexd.socket",
                (char *) "codexd.service",
                (char *) "codexd-workers.service",
                NULL,
        };
        int code = drain(options, true);

        if (code != EXIT_OK)
                return code;
        if (access("/run/systemd/system", F_OK) < 0) { /* sd_booted(3) */
                fputs("codexctl: drained; systemd does not run here: end the codexd process\n",
                      stderr);
                return EXIT_OK;
        }
        (void) fflush(stdout);
        (void) execvp(argv[0], argv);
        fprintf(stderr, "codexctl: systemctl: %s\n", strerror(errno));
        return EXIT_JOB_FAILED;
}
