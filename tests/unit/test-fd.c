#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n;
}

static bool cloexec(int fd)
{
        return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void closing(void **unused)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), taken;

        errno = ENOTTY;
        assert_int_equal(fd_close(-EBADF), -EBADF);
        taken = TAKE_FD(fd);
        assert_int_equal(fd, -EBADF);
        assert_int_equal(fd_set_cloexec(taken, 0), 0);
        assert_false(cloexec(taken));
        assert_int_equal(fd_set_cloexec(taken, 1), 0);
        assert_true(cloexec(taken));
        errno = ENOTTY;
        assert_int_equal(fd_close(taken), -EBADF);
        assert_int_equal(errno, ENOTTY);
        assert_int_equal(fd_set_cloexec(taken, 1), -EBADF);
}

static void reading_all(void **unused)
{
        enum { N = 10000 };
        char bytes[N];
        char *got = NULL;
        size_t n;
        int fd = memfd_create("x", MFD_CLOEXEC);

        assert_int_equal(fd_read_all(fd, 0, &got, &n), 0);
        assert_int_equal(n, 0);
        assert_string_equal(got, "");
        free(got);
        memset(bytes, 'x', sizeof bytes);
        assert_int_equal(fd_write_all(fd, bytes, N), 0);
        (void) lseek(fd, 0, SEEK_SET);
        assert_int_equal(fd_read_all(fd, N, &got, &n), 0);
        assert_int_equal(n, N);
        assert_int_equal(strlen(got), N);
        free(got);
        got = bytes;
        (void) lseek(fd, 0, SEEK_SET);
        assert_int_equal(fd_read_all(fd, N - 1, &got, &n), -EFBIG);
        assert_ptr_equal(got, bytes); /* written on success only */
        assert_int_equal(fd_read_all(-1, N, &got, &n), -EBADF);
        assert_int_equal(fd_write_all(-1, bytes, 1), -EBADF);
        (void) fd_close(fd);
}

static char place[] = "/tmp/codexd-test-fd.XXXXXX";

static int make_place(void **unused)
{
        char path[100];
        int fd;

        if (!mkdtemp(place) || chdir(place) < 0)
                return -1;
        (void) snprintf(path, sizeof path, "%s/in", place);
        fd = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || mkdir("in", 0700) < 0 || mkdir("in/deep", 0700) < 0 ||
            symlink("deep", "in/link") < 0 || symlink("/etc", "in/etc") < 0 ||
            symlink("..", "in/up") < 0 || symlink(path, "absolute") < 0)
                return -1;
        (void) fd_close(fd);
        fd = open("in/deep/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        (void) fd_close(fd);
        return fd < 0 ? -1 : 0;
}

static int remove_place(void **unused)
{
        char command[100];

        (void) snprintf(command, sizeof command, "rm -rf %s", place);
        return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

static void opening_beneath(void **unused)
{
        static const struct {
                const char *path;
                int flags, want; /* want 0: a descriptor */
        } cases[] = {
                {"deep", O_RDONLY | O_DIRECTORY, 0},
                {"deep/file", O_RDONLY, 0},
                {"./deep/../deep/file", O_RDONLY, 0},
                {".", O_PATH, 0},
                {"link", O_RDONLY, -ELOOP},
                {"link/file", O_RDONLY, -ELOOP},
                {"link", O_PATH | O_NOFOLLOW, 0}, /* the symlink itself, openat2(2) */
                {"etc/passwd", O_RDONLY, -ELOOP},
                {"up/file", O_RDONLY, -ELOOP},
                {"..", O_RDONLY, -EXDEV},
                {"../file", O_RDONLY, -EXDEV},
                {"deep/../../file", O_RDONLY, -EXDEV},
                {"/etc/passwd", O_RDONLY, -EXDEV},
                {"missing", O_RDONLY, -ENOENT},
                {"", O_RDONLY, -ENOENT},
                {"deep/file/x", O_RDONLY, -ENOTDIR},
        };
        int dir = open("in", O_PATH | O_DIRECTORY | O_CLOEXEC), before = count_fds(), fd;

        assert_true(dir >= 0);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                fd = fd_open_beneath(dir, cases[i].path, cases[i].flags, 0);
                if (cases[i].want ? fd != cases[i].want : fd < 0)
                        fail_msg("\"%s\": %d", cases[i].path, fd);
                if (fd >= 0)
                        assert_true(cloexec(fd));
                (void) fd_close(fd);
        }
        fd = fd_open_beneath(dir, "new", O_WRONLY | O_CREAT | O_EXCL, 0640);
        assert_true(fd >= 0);
        (void) fd_close(fd);
        assert_int_equal(count_fds(), before);
        (void) fd_close(dir);
}

static void opening_absolutely(void **unused)
{
        char path[200];
        int fd, before = count_fds();

        assert_int_equal(fd_open_absolute("etc", O_PATH), -EINVAL);
        assert_int_equal(fd_open_absolute("", O_PATH), -EINVAL);
        fd = fd_open_absolute("/", O_PATH);
        assert_true(fd >= 0);
        (void) fd_close(fd);
        fd = fd_open_absolute("///etc//passwd", O_RDONLY);
        assert_true(fd >= 0 && cloexec(fd));
        (void) fd_close(fd);
        (void) snprintf(path, sizeof path, "%s/in/deep", place);
        fd = fd_open_absolute(path, O_PATH);
        assert_true(fd >= 0);
        (void) fd_close(fd);
        (void) snprintf(path, sizeof path, "%s/absolute/deep", place);
        assert_int_equal(fd_open_absolute(path, O_PATH), -ELOOP);
        assert_int_equal(fd_open_absolute("/proc/self/root/etc", O_PATH), -ELOOP);
        assert_int_equal(count_fds(), before);
}

/* A lease makes open(2) with O_NONBLOCK fail with EAGAIN for as long as its holder likes. */
static void a_lease_does_not_keep_us(void **unused)
{
        int holder = open("file", O_RDWR | O_CLOEXEC), fd;

        if (fcntl(holder, F_SETLEASE, F_WRLCK) < 0) {
                print_message("no leases here: %s\n", strerror(errno));
                skip();
        }
        (void) fcntl(holder, F_SETSIG, SIGURG); /* which is ignored */
        fd = fd_open_beneath(AT_FDCWD, "file", O_RDONLY | O_NONBLOCK, 0);
        assert_int_equal(fd, -EAGAIN);
        (void) fcntl(holder, F_SETLEASE, F_UNLCK);
        fd = fd_open_beneath(AT_FDCWD, "file", O_RDONLY | O_NONBLOCK, 0);
        assert_true(fd >= 0);
        (void) fd_close(fd);
        (void) fd_close(holder);
}

static void pair(int type, int ret[2])
{
        assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret), 0);
}

static void datagrams(void **unused)
{
        char bytes[16];
        int sockets[2], fds[FD_RECV_MAX];
        size_t nfds;

        pair(SOCK_SEQPACKET, sockets);
        assert_int_equal(fd_send(sockets[0], "hello", 5, NULL, 0), 0);
        assert_int_equal(fd_recv(sockets[1], bytes, sizeof bytes, fds, &nfds, 0), 5);
        assert_int_equal(nfds, 0);
        assert_memory_equal(bytes, "hello", 5);
        assert_int_equal(fd_recv(sockets[1], bytes, sizeof bytes, fds, &nfds, MSG_DONTWAIT),
                         -EAGAIN);
        /* exactly as long as there is room, and one more */
        assert_int_equal(fd_send(sockets[0], "0123456789abcdef", 16, NULL, 0), 0);
        assert_int_equal(fd_recv(sockets[1], bytes, 16, fds, &nfds, 0), 16);
        assert_int_equal(fd_send(sockets[0], "0123456789abcdefg", 17, NULL, 0), 0);
        assert_int_equal(fd_send(sockets[0], "next", 4, NULL, 0), 0);
        assert_int_equal(fd_recv(sockets[1], bytes, 16, fds, &nfds, 0), -EMSGSIZE);
        assert_int_equal(fd_recv(sockets[1], bytes, 16, fds, &nfds, 0), 4);
        /* a full socket, and its end */
        for (int r = 0; r == 0;)
                if ((r = fd_send(sockets[0], bytes, 16, NULL, 0)) < 0)
                        assert_int_equal(r, -EAGAIN);
                else
                        (void) fcntl(sockets[0], F_SETFL, O_NONBLOCK);
        (void) fd_close(sockets[0]);
        while (fd_recv(sockets[1], bytes, 16, fds, &nfds, 0) > 0)
                ;
        assert_int_equal(fd_recv(sockets[1], bytes, 16, fds, &nfds, 0), 0);
        assert_int_equal(fd_send(sockets[1], "x", 1, NULL, 0), -EPIPE); /* and no signal */
        (void) fd_close(sockets[1]);
}

static void descriptors_beside_them(void **unused)
{
        char bytes[16];
        int sockets[2], fds[FD_RECV_MAX], many[FD_RECV_MAX + 1], before = count_fds();
        size_t nfds;
        struct stat want, got;

        pair(SOCK_SEQPACKET, sockets);
        for (size_t i = 0; i < N_ELEMENTS(many); i++)
                many[i] = memfd_create("x", 0);
        for (size_t n = 0; n <= FD_RECV_MAX; n++) {
                assert_int_equal(fd_send(sockets[0], "x", 1, many, n), 0);
                assert_int_equal(fd_recv(sockets[1], bytes, 16, fds, &nfds, 0), 1);
                assert_int_equal(nfds, n);
                for (size_t i = 0; i < n; i++) {
                        assert_true(cloexec(fds[i]));
                        assert_int_equal(fstat(many[i], &want), 0);
                        assert_int_equal(fstat(fds[i], &got), 0);
                        assert_int_equal(want.st_ino, got.st_ino);
                        (void) fd_close(fds[i]);
                }
        }
        assert_int_equal(fd_send(sockets[0], "x", 1, many, FD_RECV_MAX + 1), -EINVAL);
        (void) fd_close(sockets[0]);
        (void) fd_close(sockets[1]);
        for (size_t i = 0; i < N_ELEMENTS(many); i++)
                (void) fd_close(many[i]);
        assert_int_equal(count_fds(), before);
}

static void send_raw(int fd, size_t bytes, size_t nfds)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int) * 200)];
                struct cmsghdr align;
        } control = {0};
        char text[64] = {0};
        struct iovec iov = {text, bytes};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buffer,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * nfds)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        for (size_t i = 0; i < nfds; i++)
                memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
        assert_int_equal(sendmsg(fd, &msg, 0), bytes);
}

/* Whatever a hostile peer puts beside a datagram, nothing stays open. */
static void nothing_unasked_stays_open(void **unused)
{
        static const struct {
                size_t bytes, nfds;
                bool credentials;
                ssize_t want;
        } cases[] = {
                {1, FD_RECV_MAX, false, 1},
                {1, FD_RECV_MAX, true, 1},
                {1, FD_RECV_MAX + 1, false, -EMSGSIZE},
                {1, FD_RECV_MAX + 1, true, -EMSGSIZE},
                {1, FD_RECV_MAX + 10, false, -EMSGSIZE},
                {1, FD_RECV_MAX + 10, true, -EMSGSIZE},
                {1, 200, false, -EMSGSIZE},
                {1, 200, true, -EMSGSIZE},
                {17, 3, false, -EMSGSIZE},
                {0, 3, false, -EMSGSIZE},
                {0, FD_RECV_MAX + 1, false, -EMSGSIZE},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int sockets[2], fds[FD_RECV_MAX], on = cases[i].credentials, before;
                char bytes[16];
                size_t nfds;
                ssize_t r;

                pair(SOCK_SEQPACKET, sockets);
                assert_int_equal(setsockopt(sockets[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on),
                                 0);
                before = count_fds();
                send_raw(sockets[0], cases[i].bytes, cases[i].nfds);
                r = fd_recv(sockets[1], bytes, sizeof bytes, fds, &nfds, 0);
                if (r != cases[i].want || nfds != (r > 0 ? cases[i].nfds : 0))
                        fail_msg("%zu bytes, %zu descriptors: %zd, %zu", cases[i].bytes,
                                 cases[i].nfds, r, nfds);
                for (size_t k = 0; k < nfds; k++)
                        (void) fd_close(fds[k]);
                assert_int_equal(count_fds(), before);
                (void) fd_close(sockets[0]);
                (void) fd_close(sockets[1]);
        }
}

static void sealed_memory(void **unused)
{
        const void *map = NULL;
        size_t n = 0;
        int fd = fd_sealed_memfd("x", "hello", 5), plain;
        char *text = NULL;

        assert_true(fd >= 0 && cloexec(fd));
        assert_int_equal(write(fd, "x", 1), -1);
        assert_int_equal(ftruncate(fd, 1), -1);
        assert_int_equal(ftruncate(fd, 9), -1);
        assert_true(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
        assert_ptr_equal(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(fd_map_sealed(fd, 4, &map, &n), -EFBIG);
        assert_int_equal(fd_map_sealed(fd, 5, &map, &n), 0);
        assert_int_equal(n, 5);
        assert_memory_equal(map, "hello", 5);
        (void) munmap((void *) map, n);
        assert_int_equal(fd_read_all(fd, 5, &text, &n), 0); /* its position is at the start */
        assert_string_equal(text, "hello");
        free(text);
        (void) fd_close(fd);

        /* each seal matters */
        for (int missing = 0; missing < 4; missing++) {
                static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};

                plain = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
                assert_int_equal(fd_write_all(plain, "x", 1), 0);
                for (int i = 0; i < 4; i++)
                        if (i != missing)
                                assert_int_equal(
                                        fcntl(plain, F_ADD_SEALS, seals[i]) < 0 && missing != 3, 0);
                assert_int_equal(fd_map_sealed(plain, 10, &map, &n), -EPERM);
                (void) fd_close(plain);
        }
        plain = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        assert_int_equal(fd_map_sealed(plain, 1 << 20, &map, &n), -EPERM);
        (void) fd_close(plain);
        assert_int_equal(fd_map_sealed(-1, 10, &map, &n), -EPERM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(closing),
                cmocka_unit_test(reading_all),
                cmocka_unit_test(opening_beneath),
                cmocka_unit_test(opening_absolutely),
                cmocka_unit_test(a_lease_does_not_keep_us),
                cmocka_unit_test(datagrams),
                cmocka_unit_test(descriptors_beside_them),
                cmocka_unit_test(nothing_unasked_stays_open),
                cmocka_unit_test(sealed_memory),
        };

        return cmocka_run_group_tests(tests, make_place, remove_place);
}
