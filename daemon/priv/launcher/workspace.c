#include "workspace.h"
#include "fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NSS_BUFFER (64 * 1024)

void workspace_done(struct workspace *w)
{
        w->policy = policy_free(w->policy);
        w->dir = fd_close(w->dir);
}

/* Which of the rules' directories is there. A symlink on the way is an answer of its own: "none"
 * would send people looking for the wrong thing. */
static int open_directory(struct policy *const *candidates, int n, int *ret_index,
                          struct error *err)
{
        _cleanup_fd_ int found = -EBADF;
        int index = -1, trouble = 0;
        const char *where = NULL;

        for (int i = 0; i < n; i++) {
                int fd = fd_open_absolute(candidates[i]->directory, O_RDONLY | O_DIRECTORY);

                if (fd >= 0 && found >= 0) {
                        (void) fd_close(fd);
                        return error_set(
                                err, ERROR_WORKSPACE_INVALID,
                                "workspace %s is ambiguous: both %s and %s exist; give it a rule "
                                "of its own",
                                candidates[i]->workspace, candidates[index]->directory,
                                candidates[i]->directory);
                }
                if (fd >= 0) {
                        found = fd;
                        index = i;
                } else if (fd != -ENOENT && !trouble) {
                        trouble = -fd;
                        where = candidates[i]->directory;
                }
        }
        if (found < 0 && trouble)
                return error_set(err, ERROR_WORKSPACE_INVALID, "workspace directory %s: %s", where,
                                 trouble == ELOOP ? "a symlink is in the way; name the real path"
                                 : trouble == ENOTDIR ? "not a directory"
                                                      : strerror(trouble));
        if (found < 0)
                return error_set(err, ERROR_NO_SUCH_WORKSPACE,
                                 "workspace directory %s does not exist", candidates[0]->directory);
        *ret_index = index;
        return TAKE_FD(found);
}

static int look_up_groups(const struct launcher *launcher, struct workspace *w, struct error *err)
{
        char **names = w->policy->groups;
        char buffer[16384];

        for (size_t i = 0; names && names[i]; i++) {
                struct group group, *found = NULL;

                if (i == RUNNER_GROUPS_MAX)
                        return error_set_key(err, ERROR_CONFIG_INVALID, "groups",
                                             "groups: more than %d", RUNNER_GROUPS_MAX);
                if (getgrnam_r(names[i], &group, buffer, sizeof buffer, &found) != 0 || !found)
                        return error_set_key(err, ERROR_CONFIG_INVALID, "groups",
                                             "groups: there is no group %s", names[i]);
                if (found->gr_gid == 0 || found->gr_gid == launcher->supervisor.gid ||
                    found->gr_gid == launcher->keeper.gid)
                        return error_set_key(
                                err, ERROR_WORKSPACE_INVALID, "groups",
                                "groups: %s is root's or codexd's own, which no job gets",
                                names[i]);
                w->groups[w->ngroups++] = found->gr_gid;
        }
        return 0;
}

static void copy(char *to, size_t size, const char *from, const char *instead)
{
        if (snprintf(to, size, "%s", from && *from ? from : instead) >= (int) size)
                (void) snprintf(to, size, "%s", instead);
}

/* The directory's owner, or the user that the rule names. A uid without an entry in the user
 * database is nothing strange here; uid 0 and gid 0 are refused whatever the rules say. */
static int look_up_user(struct launcher *launcher, struct workspace *w, const struct stat *st,
                        struct error *err)
{
        _cleanup_free_ char *buffer = malloc(NSS_BUFFER);
        const struct policy *policy = w->policy;
        bool owner;
        struct passwd entry, *found = NULL;
        char number[16];

        assert(policy);
        owner = strcmp(policy->user, "owner") == 0;
        if (!buffer)
                return error_set(err, ERROR_NO_MEMORY, "looking up the user of %s",
                                 policy->workspace);
        if (owner)
                (void) getpwuid_r(st->st_uid, &entry, buffer, NSS_BUFFER, &found);
        else
                (void) getpwnam_r(policy->user, &entry, buffer, NSS_BUFFER, &found);
        if (!owner && !found)
                return error_set_key(err, ERROR_WORKSPACE_INVALID, "user",
                                     "workspace %s: there is no user %s", policy->workspace,
                                     policy->user);
        w->uid = found ? found->pw_uid : st->st_uid;
        w->gid = found ? found->pw_gid : st->st_gid;
        if (w->uid == 0 || w->gid == 0)
                return error_set(
                        err, ERROR_WORKSPACE_INVALID,
                        "workspace %s would run as %s 0%s: refused; chown it to its tenant",
                        policy->workspace, w->uid == 0 ? "uid" : "gid",
                        owner ? " (the owner of its directory)" : "");
        /* A turn as one of these could signal keepers, or ask the launcher for other tenants'
         * turns. */
        if (w->uid == launcher->supervisor.uid || w->uid == launcher->keeper.uid ||
            w->gid == launcher->supervisor.gid || w->gid == launcher->keeper.gid)
                return error_set(err, ERROR_WORKSPACE_INVALID,
                                 "workspace %s would run as codexd's own user or group: refused; "
                                 "chown it to "
                                 "its tenant",
                                 policy->workspace);
        (void) snprintf(number, sizeof number, "%u", w->uid);
        copy(w->user, sizeof w->user, found ? found->pw_name : NULL, number);
        copy(w->home, sizeof w->home, found ? found->pw_dir : NULL, "/");
        copy(w->shell, sizeof w->shell, found ? found->pw_shell : NULL, "/bin/sh");
        if (policy->user_pattern && (!found || !policy_glob_match(policy->user_pattern, w->user)))
                return error_set_key(
                        err, ERROR_WORKSPACE_INVALID, "user_pattern",
                        "workspace %s belongs to user %s, which user_pattern %s does not allow",
                        policy->workspace, w->user, policy->user_pattern);
        return look_up_groups(launcher, w, err);
}

static int check_cwd(const struct workspace *w, const char *cwd, struct error *err)
{
        _cleanup_fd_ int fd = -EBADF;

        if (!*cwd)
                return 0;
        fd = name_is_relative_path(cwd, WIRE_CWD_MAX)
                     ? fd_open_beneath(w->dir, cwd, O_RDONLY | O_DIRECTORY, 0)
                     : -EXDEV;
        if (fd == -ELOOP) {
                char link[64], real[512] = "";
                _cleanup_fd_ int any = openat(w->dir, cwd, O_PATH | O_CLOEXEC);
                ssize_t n = -1;

                /* Only said, never used: the way out is to name the real path. */
                if (any >= 0) {
                        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", any);
                        n = readlink(link, real, sizeof real - 1);
                }
                real[n > 0 ? n : 0] = '\0';
                return error_set_key(
                        err, ERROR_BAD_REQUEST, "cwd",
                        "cwd: a symlink is in the way of %.100s; its real path is %.200s", cwd,
                        *real ? real : "unknown");
        }
        if (fd < 0)
                return error_set_key(err, ERROR_BAD_REQUEST, "cwd",
                                     "cwd: %.100s is not a directory inside the workspace: %s", cwd,
                                     strerror(-fd));
        return 0;
}

/* What `codex exec` would refuse a second later: no repository at cwd or above it in the workspace.
 */
static int check_repository(const struct workspace *w, const char *cwd, struct error *err)
{
        char path[WIRE_CWD_MAX];
        char *slash;

        if (w->policy->skip_git_repo_check)
                return 0;
        (void) snprintf(path, sizeof path, "%s", cwd);
        for (;;) {
                _cleanup_fd_ int dir =
                        fd_open_beneath(w->dir, *path ? path : ".", O_PATH | O_DIRECTORY, 0);

                if (dir >= 0 && faccessat(dir, ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                        return 0;
                if (!*path)
                        break;
                slash = strrchr(path, '/');
                *(slash ? slash : path) = '\0';
        }
        return error_set_key(
                err, ERROR_POLICY_REFUSED, "skip_git_repo_check",
                "skip_git_repo_check is false and workspace %s is no git repository; run `git "
                "init` there or set it in the workspace's rule",
                w->policy->workspace);
}

int workspace_resolve(struct launcher *launcher, const char *name, const struct wire_wish *wish,
                      const char *cwd, struct workspace *ret, struct error *err)
{
        struct policy *candidates[POLICY_CANDIDATES_MAX] = {NULL};
        struct workspace w = {.dir = -EBADF};
        struct stat st;
        int n, index = -1, r;

        if (!name_is_workspace(name))
                return error_set_key(
                        err, ERROR_BAD_REQUEST, "workspace",
                        "workspace: a name of letters, digits, '.', '_', '-', at most %d bytes",
                        NAME_WORKSPACE_MAX);
        n = policy_candidates(launcher->config, name, candidates, err);
        if (n < 0)
                return n;
        w.dir = open_directory(candidates, n, &index, err);
        r = w.dir < 0 ? w.dir : 0;
        for (int i = 0; i < n; i++) {
                if (r == 0 && i == index)
                        w.policy = candidates[i];
                else
                        (void) policy_free(candidates[i]);
        }
        if (r == 0 && fstat(w.dir, &st) < 0)
                r = error_set_errno(err, ERROR_WORKSPACE_INVALID, errno, "workspace directory");
        if (r == 0) {
                w.device = st.st_dev;
                w.inode = st.st_ino;
                r = look_up_user(launcher, &w, &st, err);
        }
        if (r == 0)
                r = policy_narrow(w.policy, wish, err);
        if (r == 0)
                r = policy_enforceable(w.policy, err);
        if (r == 0 && !config_settings(launcher->config)->model_base_url)
                r = error_set_key(
                        err, ERROR_CONFIG_INVALID, "model.base_url",
                        "model.base_url is not set in codexd.json: there is no model to talk to");
        if (r == 0)
                r = check_cwd(&w, cwd, err);
        if (r == 0)
                r = check_repository(&w, cwd, err);
        if (r < 0) {
                workspace_done(&w);
                return r;
        }
        *ret = w;
        return 0;
}
