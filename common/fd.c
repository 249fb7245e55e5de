#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fd_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                /* Linux frees the number whatever close(2) says: no retry. */
                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}

int fd_set_cloexec(int fd, int on)
{
        return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
        const char *p = bytes;

        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0) /* no file does that; do not spin if one should */
                        return -EIO;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_n)
{
        _cleanup_free_ char *buffer = NULL;
        size_t used = 0, room = 0;

        for (;;) {
                ssize_t k;

                if (used == room) {
                        size_t want = room ? room * 2 : 4096;
                        char *bigger = realloc(buffer, want + 1);

                        if (!bigger)
                                return -ENOMEM;
                        buffer = bigger;
                        room = want;
                }
                k = read(fd, buffer + used, room - used);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                used += (size_t) k;
                if (used > max)
                        return -EFBIG;
        }
        buffer[used] = '\0';
        *ret = TAKE_PTR(buffer);
        *ret_n = used;
        return 0;
}

int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
        struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .mode = mode,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        int tries = 64;
        long fd;

        /* EAGAIN: a rename raced with the look-up, openat2(2). But somebody who renames in a loop,
         * or holds a lease on a file that is opened O_NONBLOCK, must not keep us here. */
        do
                fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries > 0)));
        return fd < 0 ? -errno : (int) fd;
}

int fd_open_absolute(const char *path, int flags)
{
        _cleanup_fd_ int root = -EBADF;

        if (path[0] != '/')
                return -EINVAL;
        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return -errno;
        while (*path == '/')
                path++;
        return fd_open_beneath(root, *path ? path : ".", flags, 0);
}

int fd_send(int fd, const void *bytes, size_t n, const int *fds, size_t nfds)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * FD_RECV_MAX)];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {.iov_base = (void *) bytes, .iov_len = n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t k;

        if (nfds > FD_RECV_MAX)
                return -EINVAL;
        if (nfds > 0) {
                struct cmsghdr *cmsg;

                msg.msg_control = control.buffer;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
                cmsg = CMSG_FIRSTHDR(&msg);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
                memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
        }
        do
                k = sendmsg(fd, &msg, MSG_NOSIGNAL);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        return (size_t) k == n ? 0 : -EMSGSIZE;
}

ssize_t fd_recv(int fd, void *bytes, size_t n, int *fds, size_t *nfds, int flags)
{
        union {
                /* room for one more than allowed: too many is then seen as such, not as truncation
                 * that left some of them open */
                char buffer[CMSG_SPACE(sizeof(int) * (FD_RECV_MAX + 1)) +
                            CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr align;
        } control;
        struct iovec iov = {.iov_base = bytes, .iov_len = n};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buffer,
                             .msg_controllen = sizeof control.buffer};
        size_t got = 0;
        int too_many = 0;
        ssize_t k;

        *nfds = 0;
        do
                k = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                size_t count;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        int one;

                        memcpy(&one, CMSG_DATA(c) + i * sizeof one, sizeof one);
                        if (got < FD_RECV_MAX) {
                                fds[got++] = one;
                        } else {
                                (void) fd_close(one);
                                too_many = 1;
                        }
                }
        }
        if (too_many || k == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
                for (size_t i = 0; i < got; i++)
                        (void) fd_close(fds[i]);
                /* an empty datagram looks like the end of file: nobody would take its descriptors
                 */
                return k == 0 && got == 0 && !(msg.msg_flags & MSG_CTRUNC) ? 0 : -EMSGSIZE;
        }
        *nfds = got;
        return k;
}

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

int fd_sealed_memfd(const char *name, const void *bytes, size_t n)
{
        _cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, bytes, n);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int fd_map_sealed(int fd, size_t max, const void **ret, size_t *ret_n)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;
        void *map;

        if (seals < 0 || (seals & SEALS) != SEALS)
                return -EPERM;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size <= 0 || (uint64_t) st.st_size > max)
                return -EFBIG;
        map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        *ret = map;
        *ret_n = (size_t) st.st_size;
        return 0;
}
