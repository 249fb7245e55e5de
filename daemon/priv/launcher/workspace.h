/* From a workspace's name to a directory, an identity and a policy: by root's rules, by descriptor,
 * and never by what a message says. */
#pragma once

#include "error.h"
#include "launcher.h"

#define USER_NAME_MAX 64

struct workspace {
        struct policy *policy; /* narrowed; owned */
        int dir;               /* the workspace's directory */
        uint64_t device, inode;
        uid_t uid;
        gid_t gid;
        gid_t groups[RUNNER_GROUPS_MAX];
        size_t ngroups;
        char user[USER_NAME_MAX]; /* login name, or the uid in decimal */
        char home[256], shell[128];
};

/* ERROR_NO_SUCH_WORKSPACE, ERROR_WORKSPACE_INVALID, ERROR_POLICY_REFUSED, ERROR_POLICY_UNSUPPORTED.
 * `cwd` must be a directory beneath, without symlinks on the way. */
int workspace_resolve(struct launcher *launcher, const char *name, const struct wire_wish *wish,
                      const char *cwd, struct workspace *ret, struct error *err);
void workspace_done(struct workspace *workspace);
