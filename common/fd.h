/* Descriptors: every one is born close-on-exec, starts as -EBADF and is closed by its owner.
 * Functions return 0 or a count, or negative errno. */
#pragma once

#include "cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int fd_close(int fd); /* accepts negative ones; keeps errno; returns -EBADF */
static inline void fd_closep(int *fd)
{
        *fd = fd_close(*fd);
}
#define _cleanup_fd_ _cleanup_(fd_closep)
#define TAKE_FD(fd)                                                                                \
        __extension__({                                                                            \
                int take_fd_ = (fd);                                                               \
                (fd) = -EBADF;                                                                     \
                take_fd_;                                                                          \
        })

int fd_set_cloexec(int fd, int on);
int fd_write_all(int fd, const void *bytes, size_t n); /* blocking fds and regular files */
/* Reads to the end, at most `max` bytes (-EFBIG if there is more); gives a NUL-terminated buffer.
 */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_n);

/* openat2(2), Linux 5.6, with RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS: no name on the way may
 * be a symlink (-ELOOP; but O_PATH | O_NOFOLLOW opens a last one itself), and none leaves `dirfd`
 * (-EXDEV). O_CLOEXEC is added. -EAGAIN when somebody renames on the way without end. */
int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* The same for an absolute path, from "/" (a relative one is -EINVAL). */
int fd_open_absolute(const char *path, int flags);

/* One datagram of a SOCK_SEQPACKET or SOCK_DGRAM socket with `nfds` descriptors beside it.
 * EINTR is retried; MSG_NOSIGNAL. Returns 0 or negative errno (-EAGAIN on a full socket). */
int fd_send(int fd, const void *bytes, size_t n, const int *fds, size_t nfds);

#define FD_RECV_MAX 8
/* Receives one datagram: the number of bytes, 0 at the end of file. Descriptors are close-on-exec
 * and the caller's; *nfds is how many of `fds` (room for FD_RECV_MAX) were filled. A datagram
 * longer than `n`, or with more descriptors than FD_RECV_MAX, or with descriptors and no bytes,
 * is -EMSGSIZE and nothing of it is kept. */
ssize_t fd_recv(int fd, void *bytes, size_t n, int *fds, size_t *nfds, int flags);

/* A memfd with these bytes, sealed against shrink, grow, write and further seals. */
int fd_sealed_memfd(const char *name, const void *bytes, size_t n);
/* Maps what fd_sealed_memfd made, read-only; -EPERM if the seals are missing, -EFBIG over `max`.
 * To be unmapped with munmap(*ret, *ret_n). */
int fd_map_sealed(int fd, size_t max, const void **ret, size_t *ret_n);
