#include "drain.h"
#include "cgroup2.h"
#include "cleanup.h"
#include "fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define KILL_MS    10000
#define KEEPERS_MS 5000 /* a keeper has an exit record to write, and nothing else to wait for */

int64_t drain_now_ms(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool drain_launcher_lives(const char *socket)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fd_ int fd = -EBADF;
        const char *slash = strrchr(socket, '/');

        if (asprintf(&path, "%.*s/codexd.lock", slash ? (int) (slash - socket) : 1,
                     slash ? socket : ".") < 0)
                return false;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return false;
        return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int drain_workers_cgroup(char *ret, size_t size)
{
        return cgroup2_directory(CGROUP2_WORKERS, ret, size);
}

/* Whether anything lives in the cgroup whose cgroup.events this is; one that is gone is empty. */
static int populated(int fd)
{
        char text[256];
        ssize_t n = pread(fd, text, sizeof text - 1, 0);

        if (n < 0)
                return errno == ENODEV ? 0 : -errno;
        text[n] = '\0';
        return strstr(text, "populated 1") != NULL;
}

/* The kernel makes the file readable "out of band" at each change (cgroup-v2, "Basic Operations").
 */
static int wait_empty(int dir, const char *file, int64_t deadline_ms)
{
        _cleanup_fd_ int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;
        for (;;) {
                struct pollfd p = {.fd = fd, .events = POLLPRI};
                int64_t left = -1;
                int r = populated(fd);

                if (r <= 0)
                        return r;
                if (deadline_ms >= 0) {
                        left = deadline_ms - drain_now_ms();
                        if (left <= 0)
                                return -ETIMEDOUT;
                }
                r = poll(&p, 1, left < 0 ? -1 : (int) MIN(left, INT32_MAX));
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

static bool is_worker(const char *name)
{
        if (strncmp(name, "w-", 2) != 0 || !name[2])
                return false;
        for (name += 2; *name; name++)
                if (!isdigit((unsigned char) *name))
                        return false;
        return true;
}

/* Waits for `file` of every worker. Returns how many were not empty, or negative errno. */
static int pass(const char *dir, const char *leaf, int64_t deadline_ms)
{
        DIR *listing = opendir(dir);
        struct dirent *entry;
        int busy = 0, r = 0;

        if (!listing)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && (entry = readdir(listing))) {
                char file[NAME_MAX + 32];
                int fd;

                if (!is_worker(entry->d_name))
                        continue;
                (void) snprintf(file, sizeof file, "%s%s/cgroup.events", entry->d_name, leaf);
                fd = openat(dirfd(listing), file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0)
                        continue; /* gone meanwhile */
                if (populated(fd) > 0)
                        busy++;
                (void) fd_close(fd);
                r = wait_empty(dirfd(listing), file, deadline_ms);
        }
        (void) closedir(listing);
        return r < 0 ? r : busy;
}

int drain_wait(const char *dir, int64_t deadline_ms, unsigned *ret_busy)
{
        int64_t keepers_ms;
        int r = pass(dir, "/job", deadline_ms);

        *ret_busy = r > 0 ? (unsigned) r : 0;
        /* Again until one pass found all of them empty: a worker may have come in behind us. */
        while (r > 0)
                r = pass(dir, "/job", deadline_ms);
        if (r < 0)
                return r;
        keepers_ms = drain_now_ms() + KEEPERS_MS;
        if (deadline_ms >= 0)
                keepers_ms = MIN(keepers_ms, deadline_ms);
        r = pass(dir, "", keepers_ms);
        return r == -ETIMEDOUT || r > 0 ? 0 : r; /* a keeper that stays is no reason to fail */
}

/* Writes to cgroup.kill (Linux 5.14) of every job. 0 or the first negative errno. */
static int kill_all(const char *dir)
{
        DIR *listing = opendir(dir);
        struct dirent *entry;
        int r = 0;

        if (!listing)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(listing))) {
                char file[NAME_MAX + 32];
                int fd, k = 0;

                if (!is_worker(entry->d_name))
                        continue;
                (void) snprintf(file, sizeof file, "%s/job/cgroup.kill", entry->d_name);
                fd = openat(dirfd(listing), file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0)
                        k = errno == ENOENT ? 0 : -errno;
                else
                        k = fd_write_all(fd, "1", 1);
                (void) fd_close(fd);
                if (k < 0 && k != -ENODEV && r == 0)
                        r = k;
        }
        (void) closedir(listing);
        return r;
}

int drain_kill(const char *dir)
{
        unsigned busy;
        int r = kill_all(dir);

        return r < 0 ? r : drain_wait(dir, drain_now_ms() + KILL_MS, &busy);
}
