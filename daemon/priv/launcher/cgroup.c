#include "cgroup.h"
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void worker_name(uint64_t worker, char ret[32])
{
        (void) snprintf(ret, 32, "w-%" PRIu64, worker);
}

static int open_directory(int dir, const char *name)
{
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int cgroup_open(int root, uint64_t worker, struct cgroup *ret)
{
        struct cgroup c = CGROUP_NONE;
        char name[32];

        worker_name(worker, name);
        c.top = open_directory(root, name);
        if (c.top < 0)
                return c.top;
        c.keeper = open_directory(c.top, "keeper");
        c.job = open_directory(c.top, "job");
        *ret = c;
        return 0;
}

int cgroup_make(int root, uint64_t worker, struct cgroup *ret)
{
        char name[32], leaf[48];
        int r;

        worker_name(worker, name);
        if (mkdirat(root, name, 0755) < 0)
                return -errno;
        (void) snprintf(leaf, sizeof leaf, "%s/keeper", name);
        r = mkdirat(root, leaf, 0755) < 0 ? -errno : 0;
        (void) snprintf(leaf, sizeof leaf, "%s/job", name);
        if (r == 0 && mkdirat(root, leaf, 0755) < 0)
                r = -errno;
        if (r == 0)
                r = cgroup_open(root, worker, ret);
        if (r == 0 && (ret->keeper < 0 || ret->job < 0)) {
                r = MIN(ret->keeper, ret->job);
                cgroup_close(ret);
        }
        if (r < 0)
                (void) cgroup_remove(root, worker);
        return r;
}

void cgroup_close(struct cgroup *cgroup)
{
        cgroup->top = fd_close(cgroup->top);
        cgroup->keeper = fd_close(cgroup->keeper);
        cgroup->job = fd_close(cgroup->job);
}

int cgroup_kill(const struct cgroup *cgroup)
{
        _cleanup_fd_ int fd = -EBADF;

        if (cgroup->job < 0)
                return -ENOENT;
        fd = openat(cgroup->job, "cgroup.kill", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fd_write_all(fd, "1", 1);
}

/* Small files of the kernel's. */
static int read_file(int dir, const char *name, char **ret)
{
        _cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        size_t n;

        return fd < 0 ? -errno : fd_read_all(fd, 1u << 20, ret, &n);
}

int cgroup_populated(int leaf)
{
        _cleanup_free_ char *text = NULL;
        const char *line;
        int r = read_file(leaf, "cgroup.events", &text);

        if (r < 0)
                return r;
        line = strstr(text, "populated ");
        return line ? line[strlen("populated ")] == '1' : -EBADMSG;
}

int cgroup_remove(int root, uint64_t worker)
{
        static const char *const leaves[] = {"/job", "/keeper", ""};
        char name[32], path[48];
        int r = 0;

        worker_name(worker, name);
        for (size_t i = 0; i < N_ELEMENTS(leaves); i++) {
                (void) snprintf(path, sizeof path, "%s%s", name, leaves[i]);
                if (unlinkat(root, path, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
                        r = -errno;
        }
        return r;
}

pid_t cgroup_first_pid(int leaf)
{
        _cleanup_free_ char *text = NULL;

        return read_file(leaf, "cgroup.procs", &text) < 0 ? 0 : (pid_t) atol(text);
}

bool cgroup_holds(int leaf, pid_t pid)
{
        _cleanup_free_ char *pids = NULL;

        if (read_file(leaf, "cgroup.procs", &pids) < 0)
                return false;
        for (char *save = NULL, *p = strtok_r(pids, "\n", &save); p;
             p = strtok_r(NULL, "\n", &save))
                if ((pid_t) atol(p) == pid)
                        return true;
        return false;
}
