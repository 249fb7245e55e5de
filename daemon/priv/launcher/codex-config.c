#include "codex-config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *put(struct codex_command *c, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static char *put(struct codex_command *c, const char *fmt, ...)
{
        char *start = c->bytes + c->used;
        size_t room = sizeof c->bytes - c->used;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(start, room, fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t) n >= room)
                return NULL;
        c->used += (size_t) n + 1;
        return start;
}

static int make_argv(struct codex_command *c, const struct settings *settings,
                     const struct policy *policy, const char *thread_id, bool skip_git_repo_check)
{
        size_t n = 0;

        c->argv[n++] = put(c, "%s", settings->codex_path);
        c->argv[n++] = (char *) "exec";
        c->argv[n++] = (char *) "--json";
        /* The sandbox is ours and goes around the whole tree; Codex's own excludes it. */
        c->argv[n++] = (char *) "--sandbox";
        c->argv[n++] = (char *) "danger-full-access";
        if (skip_git_repo_check)
                c->argv[n++] = (char *) "--skip-git-repo-check";
        if (policy->model) {
                c->argv[n++] = (char *) "--model";
                c->argv[n++] = put(c, "%s", policy->model);
        }
        /* No --cd: the runner opened the directory by descriptor, and Codex starts in it. */
        if (*thread_id) {
                c->argv[n++] = (char *) "resume";
                c->argv[n++] = put(c, "%s", thread_id);
        }
        c->argv[n++] = (char *) "-"; /* the prompt comes on stdin and ends with it */
        for (size_t i = 0; i < n; i++)
                if (!c->argv[i])
                        return -E2BIG;
        return 0;
}

/* The whole environment. A name that is not here does not exist in a worker. */
static int make_envp(struct codex_command *c, const struct workspace *w, const char *run_dir)
{
        size_t n = 0;

        c->envp[n++] = (char *) "PATH=/usr/local/bin:/usr/bin:/bin";
        c->envp[n++] = (char *) "LANG=C.UTF-8";
        c->envp[n++] = (char *) "TMPDIR=/tmp";
        c->envp[n++] = put(c, "HOME=%s", w->home);
        c->envp[n++] = put(c, "USER=%s", w->user);
        c->envp[n++] = put(c, "LOGNAME=%s", w->user);
        c->envp[n++] = put(c, "SHELL=%s", w->shell);
        c->envp[n++] = put(c, "CODEX_HOME=%s/home", run_dir);
        c->envp[n++] = put(c, "CODEX_SQLITE_HOME=%s/home/sqlite", run_dir);
        for (size_t i = 0; i < n; i++)
                if (!c->envp[i])
                        return -E2BIG;
        return 0;
}

int codex_command_make(struct codex_command *ret, const struct settings *settings,
                       const struct workspace *workspace, const char *run_dir,
                       const char *thread_id, bool skip_git_repo_check)
{
        int r;

        memset(ret, 0, sizeof *ret);
        r = make_argv(ret, settings, workspace->policy, thread_id, skip_git_repo_check);
        return r < 0 ? r : make_envp(ret, workspace, run_dir);
}

/* A TOML basic string (toml.io/en/v1.0.0#string). */
static void put_string(FILE *f, const char *s)
{
        (void) fputc('"', f);
        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;

                if (c == '"' || c == '\\')
                        (void) fprintf(f, "\\%c", c);
                else if (c < 0x20 || c == 0x7f)
                        (void) fprintf(f, "\\u%04x", c);
                else
                        (void) fputc(c, f);
        }
        (void) fputc('"', f);
}

/* Everything that a supervised turn does not need and that costs start-up time, reaches out to the
 * network, or (shell_snapshot) writes the environment to disk. */
static const char *const disabled_features[] = {
        "plugins",
        "apps",
        "shell_snapshot",
        "goals",
        "skill_search",
        "hooks",
        "image_generation",
        "browser_use",
        "computer_use",
        "unbounded_connection_retries", /* a refused connection would be retried for ever */
};

int codex_config_toml(const struct settings *settings, char **ret, size_t *ret_n)
{
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        int failed;

        if (!f)
                return -ENOMEM;
        (void) fputs("# Made by codexd for each worker; changes are lost.\n"
                     "model_provider = \"codexd\"\n"
                     "approval_policy = \"never\"\n"
                     "sandbox_mode = \"danger-full-access\"\n"
                     "check_for_update_on_startup = false\n"
                     "web_search = \"disabled\"\n\n"
                     "[model_providers.codexd]\nname = ",
                     f);
        put_string(f, settings->model_provider_name);
        (void) fputs("\nbase_url = ", f);
        put_string(f, settings->model_base_url);
        (void) fputs("\nwire_api = \"responses\"\n\n"
                     "[analytics]\nenabled = false\n\n"
                     "[otel]\nexporter = \"none\"\n\n"
                     "[skills.bundled]\nenabled = false\n\n"
                     "[agents]\nenabled = false\n\n"
                     "[features]\n",
                     f);
        for (size_t i = 0; i < N_ELEMENTS(disabled_features); i++)
                (void) fprintf(f, "%s = false\n", disabled_features[i]);
        failed = ferror(f);
        if (fclose(f) != 0 || failed) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        *ret_n = n;
        return 0;
}
