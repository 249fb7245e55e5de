/* What Codex is given: its generated configuration, argv and environment. Nothing of it is
 * inherited. */
#pragma once

#include "workspace.h"

#define CODEX_ARGS_MAX 24
#define CODEX_ENV_MAX  64

struct codex_command {
        char *argv[CODEX_ARGS_MAX]; /* point into `bytes` or are static */
        char *envp[CODEX_ENV_MAX];
        char bytes[8192];
        size_t used;
};

/* -E2BIG when something does not fit. `thread_id` "" starts a new thread. */
int codex_command_make(struct codex_command *ret, const struct settings *settings,
                       const struct workspace *workspace, const char *run_dir,
                       const char *thread_id, bool skip_git_repo_check);

/* config.toml, in the trimmed form that starts fastest; malloc'ed. */
int codex_config_toml(const struct settings *settings, char **ret, size_t *ret_n);
