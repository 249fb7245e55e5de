#include "cgroup2.h"
#include "fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int cgroup2_directory(const char *cgroup, char *ret, size_t size)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_fd_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        size_t n;
        int r;

        if (fd < 0)
                return -errno;
        r = fd_read_all(fd, 4u << 20, &text, &n);
        if (r < 0)
                return r;
        for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
                char point[512]; /* the fifth field */

                if (!strstr(line, " - cgroup2 ") ||
                    sscanf(line, "%*s %*s %*s %*s %511s", point) != 1)
                        continue;
                return (size_t) snprintf(ret, size, "%s%s", point, cgroup) < size ? 0
                                                                                  : -ENAMETOOLONG;
        }
        return -ENOENT;
}
