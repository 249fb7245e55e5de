#include "peer.h"
#include "fd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define CGROUP_MAX 16384

static bool is_worker_component(const char *s, size_t n)
{
        if (n < 3 || s[0] != 'w' || s[1] != '-')
                return false;
        for (size_t i = 2; i < n; i++)
                if (s[i] < '0' || s[i] > '9')
                        return false;
        return true;
}

static bool path_inside(const char *path, size_t n)
{
        size_t start = 0;

        for (size_t i = 0; i <= n; i++) {
                if (i < n && path[i] != '/')
                        continue;
                if (is_worker_component(path + start, i - start))
                        return true;
                start = i + 1;
        }
        return false;
}

bool peer_cgroup_inside(const char *text, size_t n)
{
        const char *end = text + n;

        if (n == 0 || text[n - 1] != '\n' || memchr(text, '\0', n))
                return true;
        for (const char *line = text; line < end;) { /* hierarchy-ID:controllers:path */
                const char *eol = memchr(line, '\n', (size_t) (end - line));
                const char *path = memchr(line, ':', (size_t) (eol - line));

                path = path ? memchr(path + 1, ':', (size_t) (eol - path - 1)) : NULL;
                if (!path || path[1] != '/' || path_inside(path + 1, (size_t) (eol - path - 1)))
                        return true;
                line = eol + 1;
        }
        return false;
}

/* A descriptor that stays with the process that connected. Before Linux 6.5 it is taken by number,
 * after connect(2): a pid that was reused in between is judged instead of a process that is gone.
 */
static int peer_pidfd(int fd, pid_t pid)
{
        int pidfd = -EBADF;
        socklen_t size = sizeof pidfd;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
                return pidfd;
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        return pidfd < 0 ? -errno : pidfd;
}

static bool is_shortage(int r)
{
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* 1 inside, or nobody can tell; 0 outside; negative: nobody could tell for want of our own means.
 */
static int cgroup_inside(int fd, pid_t pid)
{
        _cleanup_fd_ int pidfd = -EBADF, file = -EBADF;
        _cleanup_free_ char *text = NULL;
        struct pollfd alive;
        char path[64];
        size_t n = 0;
        int r;

        if (pid <= 0) /* of a PID namespace that we cannot see into */
                return 1;
        pidfd = peer_pidfd(fd, pid);
        if (pidfd < 0)
                return is_shortage(pidfd) ? pidfd : 1;
        (void) snprintf(path, sizeof path, "/proc/%d/cgroup", (int) pid);
        file = open(path, O_RDONLY | O_CLOEXEC);
        r = file < 0 ? -errno : fd_read_all(file, CGROUP_MAX, &text, &n);
        if (r < 0)
                return is_shortage(r) ? r : 1;
        /* Only what was alive after the reading was certainly what we read about. */
        alive = (struct pollfd){.fd = pidfd, .events = POLLIN};
        if (poll(&alive, 1, 0) != 0)
                return 1;
        return peer_cgroup_inside(text, n);
}

static bool is_member(int fd, gid_t group)
{
        gid_t few[64];
        _cleanup_free_ char *many = NULL;
        const gid_t *groups = few;
        socklen_t size = sizeof few;

        if (group == (gid_t) -1)
                return false;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &size) < 0) {
                if (errno != ERANGE || size > (1u << 20))
                        return false;
                many = malloc(size);
                if (!many || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many, &size) < 0)
                        return false;
                groups = (const gid_t *) (const void *) many;
        }
        for (size_t i = 0; i < size / sizeof *groups; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

int peer_read(struct peer *ret, int fd, gid_t group)
{
        struct ucred cred;
        socklen_t size = sizeof cred;
        int inside;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return -errno;
        inside = cgroup_inside(fd, cred.pid);
        if (inside < 0)
                return inside;
        *ret = (struct peer){
                .uid = cred.uid,
                .gid = cred.gid,
                .pid = cred.pid,
                .member = (group != (gid_t) -1 && cred.gid == group) || is_member(fd, group),
                .from_worker = inside != 0,
        };
        return 0;
}

int access_check(enum access access, const struct peer *peer, struct error *err)
{
        if (peer->from_worker)
                return error_set(err, ERROR_NOT_FROM_WORKER,
                                 "a process inside a worker may not ask codexd for anything");
        if (peer->uid == (uid_t) -1)
                return error_set(err, ERROR_NOT_PERMITTED, "the peer has no uid here");
        if (access == ACCESS_ROOT && peer->uid != 0)
                return error_set(err, ERROR_NOT_PERMITTED, "only root may do that");
        return 0;
}

bool access_to(const struct peer *peer, uid_t uid)
{
        if (peer->from_worker)
                return false;
        return peer->uid == 0 || peer->member || (uid != 0 && peer->uid == uid);
}
