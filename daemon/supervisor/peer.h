/* Who is at the other end of a client's connection, and what that makes of it. All of it is taken
 * once, when the connection is made: SO_PEERCRED is of connect(2) too. */
#pragma once

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct peer {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        bool member;      /* of the group codexd, by SO_PEERGROUPS */
        bool from_worker; /* inside a worker's cgroup, or nobody can tell */
};

/* `group`: whose members may do everything but administer; (gid_t) -1: there is none. 0 or -errno.
 */
int peer_read(struct peer *ret, int fd, gid_t group);

/* Whether /proc/PID/cgroup says that a process is inside a worker: a component "w-" and digits in
 * any of its lines. Anywhere at all, not only below the workers' unit: seen from another cgroup
 * namespace, or with the unit renamed, the prefix differs; the component does not. Text that is not
 * what the kernel writes counts as inside. */
bool peer_cgroup_inside(const char *text, size_t n);

/* What a verb asks of its peer, before its handler runs. */
enum access {
        ACCESS_ANY,   /* everybody who could connect */
        ACCESS_OWNER, /* root, members, and uid N for what belongs to uid N: access_to() decides */
        ACCESS_ROOT,
};
int access_check(enum access access, const struct peer *peer, struct error *err);
/* Whether this peer may deal with a job or workspace that belongs to `uid`. */
bool access_to(const struct peer *peer, uid_t uid);
