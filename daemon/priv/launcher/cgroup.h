/* The workers' cgroups: ROOT/w-N/{keeper,job} in the hierarchy that codexd-workers.service
 * delegates. Everything by descriptor, cgroup v2 only (Documentation/admin-guide/cgroup-v2.rst). */
#pragma once

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup { /* one worker's; descriptors are -EBADF when there is none */
        int top, keeper, job;
};
#define CGROUP_NONE                                                                                \
        {                                                                                          \
                -EBADF, -EBADF, -EBADF                                                             \
        }

int cgroup_make(int root, uint64_t worker, struct cgroup *ret); /* fresh: -EEXIST if it is there */
/* A leaf that is gone already (removal is not one step) is negative in *ret. */
int cgroup_open(int root, uint64_t worker, struct cgroup *ret);
void cgroup_close(struct cgroup *cgroup);
int cgroup_kill(const struct cgroup *cgroup); /* the job's leaf; Linux 5.14 */
int cgroup_populated(int leaf);               /* 1, 0 or negative errno */
/* Removes w-N: 0, -EBUSY while a process is left, or another errno. */
int cgroup_remove(int root, uint64_t worker);
/* The (first) process of a leaf, as the host sees it; 0 if there is none. */
pid_t cgroup_first_pid(int leaf);
bool cgroup_holds(int leaf, pid_t pid); /* a process of that leaf, as the host sees it */
