/* What a process really is, read back from /proc after exec, against what was meant. */
#pragma once

#include "error.h"
#include "wire-launch.h"

#include <sys/types.h>

struct verify_wanted {
        uid_t uid;
        gid_t gid;
        const gid_t *groups; /* besides gid: exactly these, in any order */
        size_t ngroups;
};

/* Checks real, effective, saved and file system ids, groups, all five capability sets, NoNewPrivs,
 * and that pid, mount, ipc and uts namespaces are not ours and are those of `init`. A zombie has no
 * namespaces any more: the rest is checked, *ret_zombie says so. ERROR_PRIVILEGE_VERIFY names what
 * differs. Fills *ret with what was seen, also on failure. */
int verify_process(pid_t pid, pid_t init, const struct verify_wanted *wanted,
                   struct wire_identity *ret, int *ret_zombie, struct error *err);

/* The same for the text of /proc/PID/status alone; for tests. */
int verify_status(const char *status, const struct verify_wanted *wanted, struct wire_identity *ret,
                  int *ret_zombie, struct error *err);
