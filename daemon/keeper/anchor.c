/* codexd-anchor: the only process of codexd-workers.service itself. It leaves the unit's own cgroup
 * for a leaf, because a cgroup with processes cannot hand controllers to its children (cgroup-v2,
 * "no internal processes"), hands down what controllers there are, tells systemd that the workers'
 * place is ready, and waits for the end. It holds no capability; the unit's Delegate= makes the
 * files writable. */
#include "cgroup2.h"
#include "cleanup.h"
#include "fd.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int own_cgroup(char *ret, size_t size)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_fd_ int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
        char *path;
        size_t n;
        int r;

        if (fd < 0)
                return -errno;
        r = fd_read_all(fd, 65536, &text, &n);
        if (r < 0)
                return r;
        path = strstr(text, "0::/");
        if (!path || (path != text && path[-1] != '\n'))
                return -ENOENT;
        path += 3;
        path[strcspn(path, "\n")] = '\0';
        return cgroup2_directory(path, ret, size);
}

static int put(int dir, const char *file, const char *text)
{
        _cleanup_fd_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* Each by itself: one that the kernel refuses must not keep the others away. */
static void hand_down_controllers(int dir)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_fd_ int fd = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
        size_t n;

        if (fd < 0 || fd_read_all(fd, 4096, &text, &n) < 0)
                return;
        for (char *save = NULL, *name = strtok_r(text, " \n", &save); name;
             name = strtok_r(NULL, " \n", &save)) {
                char one[64];
                int r;

                (void) snprintf(one, sizeof one, "+%s", name);
                r = put(dir, "cgroup.subtree_control", one);
                if (r < 0)
                        log_warning("cgroup controller %s is not handed down: %s", name,
                                    strerror(-r));
        }
}

int main(int argc, char **argv)
{
        _cleanup_fd_ int dir = -EBADF;
        char path[1024];
        int r;

        if (argc == 2) /* without systemd: the directory is named, and made by whoever starts us */
                r = (size_t) snprintf(path, sizeof path, "%s", argv[1]) < sizeof path
                            ? 0
                            : -ENAMETOOLONG;
        else
                r = own_cgroup(path, sizeof path);
        if (r < 0) {
                log_error("codexd-anchor: no cgroup v2 of its own: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0 || (mkdirat(dir, "anchor", 0755) < 0 && errno != EEXIST)) {
                log_error("codexd-anchor: %s: %s (is Delegate=yes set?)", path, strerror(errno));
                return EXIT_FAILURE;
        }
        r = put(dir, "anchor/cgroup.procs", "0");
        if (r < 0) {
                log_error("codexd-anchor: %s/anchor/cgroup.procs: %s", path, strerror(-r));
                return EXIT_FAILURE;
        }
        hand_down_controllers(dir);
        (void) sd_notifyf(0, "READY=1\nSTATUS=Workers' cgroup: %s", path);
        for (;;)
                (void) pause();
}
