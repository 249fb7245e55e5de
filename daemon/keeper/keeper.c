/* codexd-keeper: PID 1 of a worker's PID namespace. It appends what Codex writes to files that the
 * launcher opened, feeds its stdin, reaps, and leaves the exit status behind; it outlives launcher
 * and supervisor. It holds no capability and another uid than the tenant, so it can signal nobody
 * and nobody inside can signal it. When it ends, the kernel kills whatever is left in the namespace
 * (pid_namespaces(7)). No JSON, no path, no heap. */
#include "wire-keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define DRAIN_MAX                                                                                  \
        (1u << 20) /* after the end of Codex: a pipe's worth, not a flood of its orphans */

static struct keeper {
        uint64_t worker;
        pid_t pid; /* Codex, in this namespace */
        int control, listen, prompt, in, out, err, signals;
        uint64_t output, output_max, stderr_size;
        uint32_t flags;
        int status, write_errno;
} k = {.control = KEEPER_FD_CONTROL,
       .listen = KEEPER_FD_LISTEN,
       .prompt = -1,
       .in = KEEPER_FD_IN,
       .out = KEEPER_FD_OUT,
       .err = KEEPER_FD_ERR,
       .output_max = UINT64_MAX};

static char chunk[CHUNK];

static uint64_t now_usec(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

static void close_fd(int *fd)
{
        if (*fd >= 0)
                (void) close(*fd);
        *fd = -1;
}

static void tell(void)
{
        struct keeper_message m = {
                .magic = WIRE_KEEPER_MAGIC,
                .version = WIRE_KEEPER_VERSION,
                .type = KEEPER_STATE,
                .size = sizeof m,
                .worker = k.worker,
                .output_max = k.output_max,
                .flags = k.flags,
                .status = k.status,
                .pid = k.pid,
                .number = k.write_errno,
        };

        /* A launcher that is gone, or too busy for 200 bytes, asks again with HELLO. */
        if (k.control >= 0 && send(k.control, &m, sizeof m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
            errno != EAGAIN)
                close_fd(&k.control);
}

static void set_flag(uint32_t flag)
{
        if (k.flags & flag)
                return;
        k.flags |= flag;
        tell();
}

/* All of it or an error: what was written before the error is in *done. */
static int append(int fd, const void *bytes, size_t n, size_t *done)
{
        *done = 0;
        while (*done < n) {
                ssize_t r = write(fd, (const char *) bytes + *done, n - *done);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return errno;
                *done += (size_t) r;
        }
        return 0;
}

/* The index follows the bytes: a reader that finds an entry finds its bytes too. */
static void keep_output(size_t n)
{
        struct keeper_index entry;
        size_t done, index_done;
        int error;

        if (k.flags & (KEEPER_QUOTA | KEEPER_WRITE_FAILED))
                return; /* read and thrown away, so that Codex does not hang on a full pipe */
        if (n > k.output_max - k.output) {
                n = (size_t) (k.output_max - k.output);
                set_flag(KEEPER_QUOTA);
        }
        error = append(KEEPER_FD_RAW, chunk, n, &done);
        k.output += done;
        if (done > 0) {
                int index_error;

                entry.end = k.output;
                entry.realtime_usec = now_usec();
                index_error = append(KEEPER_FD_INDEX, &entry, sizeof entry, &index_done);
                if (!error)
                        error = index_error;
        }
        if (error) {
                k.write_errno = error;
                set_flag(KEEPER_WRITE_FAILED);
        }
}

/* Keeps the end of stderr: the cause of a death is in its last lines. */
static void keep_stderr(size_t n)
{
        static char tail[KEEPER_STDERR_MAX];
        size_t done;

        if (k.stderr_size + n > 2 * KEEPER_STDERR_MAX && k.stderr_size > KEEPER_STDERR_MAX) {
                ssize_t r = pread(KEEPER_FD_STDERR, tail, sizeof tail,
                                  (off_t) (k.stderr_size - sizeof tail));

                if (r < 0 || ftruncate(KEEPER_FD_STDERR, 0) < 0)
                        return;
                (void) append(KEEPER_FD_STDERR, tail, (size_t) r, &done);
                k.stderr_size = done;
        }
        (void) append(KEEPER_FD_STDERR, chunk, n, &done); /* O_APPEND; best effort */
        k.stderr_size += done;
}

/* One read of a pipe; false when there is nothing more for now. */
static bool take(int *fd, void (*keep)(size_t n))
{
        ssize_t n;

        if (*fd < 0)
                return false;
        n = read(*fd, chunk, sizeof chunk);
        if (n > 0) {
                keep((size_t) n);
                return true;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        close_fd(fd);
        return false;
}

static void feed(void)
{
        for (;;) {
                ssize_t n = sendfile(k.in, k.prompt, NULL, CHUNK);

                if (n > 0)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                break; /* the end of the prompt, or of who would read it */
        }
        close_fd(&k.prompt);
        close_fd(&k.in);
}

static void on_message(void)
{
        union {
                char buffer[CMSG_SPACE(4 * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct keeper_message m = {0};
        struct iovec iov = {.iov_base = &m, .iov_len = sizeof m};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buffer,
                             .msg_controllen = sizeof control.buffer};
        ssize_t n = recvmsg(k.control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int fd = -1;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                close_fd(&k.control);
                return;
        }
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        if (fd >= 0)
                                (void) close(fd);
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                }
        }
        /* Additive: a newer launcher's message may be longer; what it adds was cut off here. */
        if ((size_t) n == sizeof m && m.magic == WIRE_KEEPER_MAGIC && m.worker == k.worker) {
                if (m.type == KEEPER_GO && !(k.flags & KEEPER_RELEASED)) {
                        k.output_max = m.output_max;
                        k.prompt = fd;
                        fd = -1;
                        k.flags |= KEEPER_RELEASED;
                        tell();
                } else if (m.type == KEEPER_HELLO) {
                        tell();
                }
        }
        if (fd >= 0)
                (void) close(fd);
}

static void on_connect(void)
{
        struct ucred peer;
        socklen_t n = sizeof peer;
        int fd = accept4(k.listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != 0) {
                (void) close(fd);
                return;
        }
        close_fd(&k.control);
        k.control = fd;
}

/* Reaps orphans, and Codex itself once the launcher has looked at it: until then a zombie keeps its
 * /proc entry and its pid (WNOWAIT). */
static void reap(void)
{
        siginfo_t info = {0};

        if (!(k.flags & KEEPER_EXITED) &&
            waitid(P_PID, (id_t) k.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == k.pid && (k.flags & KEEPER_RELEASED)) {
                (void) waitpid(k.pid, &k.status, 0);
                k.flags |= KEEPER_EXITED; /* told when the output is complete */
        }
        for (;;) {
                info.si_pid = 0;
                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        return;
                if (info.si_pid == k.pid)
                        return; /* not yet looked at: it is first in line, so the orphans wait too
                                 */
                (void) waitpid(info.si_pid, NULL, 0);
        }
}

static _Noreturn void finish(void)
{
        struct keeper_exit record = {
                .magic = WIRE_KEEPER_MAGIC,
                .version = WIRE_KEEPER_VERSION,
                .status = k.status,
        };
        uint64_t before = k.output;
        size_t done;

        while (k.output - before < DRAIN_MAX && take(&k.out, keep_output))
                ;
        before = k.stderr_size;
        while (k.stderr_size - before < KEEPER_STDERR_MAX && take(&k.err, keep_stderr))
                ;
        record.flags = k.flags;
        record.realtime_usec = now_usec();
        record.output_bytes = k.output;
        (void) append(KEEPER_FD_EXIT, &record, sizeof record, &done);
        tell();
        _exit(EXIT_SUCCESS);
}

static void loop(void)
{
        for (;;) {
                /* poll(2) skips negative descriptors */
                struct pollfd p[] = {
                        {.fd = k.signals, .events = POLLIN},
                        {.fd = k.control, .events = POLLIN},
                        {.fd = k.listen, .events = POLLIN},
                        {.fd = k.out, .events = POLLIN},
                        {.fd = k.err, .events = POLLIN},
                        {.fd = k.prompt >= 0 ? k.in : -1, .events = POLLOUT},
                };
                struct signalfd_siginfo drop;

                if (poll(p, sizeof p / sizeof p[0], -1) < 0 && errno != EINTR)
                        _exit(EXIT_FAILURE);
                if (p[1].revents)
                        on_message();
                if (p[2].revents)
                        on_connect();
                if (p[3].revents && !take(&k.out, keep_output) && k.out < 0)
                        set_flag(KEEPER_STDOUT_CLOSED);
                if (p[4].revents)
                        (void) take(&k.err, keep_stderr);
                if (p[5].revents)
                        feed();
                if (p[0].revents)
                        (void) !read(k.signals, &drop, sizeof drop);
                reap();
                if (k.flags & KEEPER_EXITED)
                        finish();
        }
}

static bool parse(const char *s, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        return errno == 0 && end != s && *end == '\0';
}

int main(int argc, char **argv)
{
        sigset_t mask;
        uint64_t pid;

        if (argc != 3 || !parse(argv[1], &k.worker) || !parse(argv[2], &pid) || pid == 0 ||
            pid > INT32_MAX)
                return 2;
        k.pid = (pid_t) pid;
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
                return EXIT_FAILURE;
        k.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (k.signals < 0)
                return EXIT_FAILURE;
        (void) signal(SIGPIPE, SIG_IGN);
        (void) signal(SIGXFSZ, SIG_IGN);
        loop();
        return EXIT_FAILURE;
}
