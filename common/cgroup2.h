/* Where the unified cgroup hierarchy is, and codexd's place in it. */
#pragma once

#include <stddef.h>

/* The workers' unit, as systemd names its cgroup. */
#define CGROUP2_WORKERS "/codexd.slice/codexd-workers.service"

/* The directory of `cgroup`, a path as in /proc/PID/cgroup, below the first cgroup2 mount that
 * /proc/self/mountinfo tells of (proc_pid_mountinfo(5)). 0, -ENOENT where none is mounted,
 * -ENAMETOOLONG, or another negative errno. */
int cgroup2_directory(const char *cgroup, char *ret, size_t size);
