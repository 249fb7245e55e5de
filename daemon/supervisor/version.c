#include "version.h"
#include "fd.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define TIMEOUT_S  15.
#define AGAIN_S    10.
#define OUTPUT_MAX 256

struct version {
        struct ev_loop *loop;
        const struct version_events *events;
        void *data;
        char *path, *want;
        bool pending;
        struct error error; /* of the last check */
        ev_tstamp checked;
        pid_t pid;
        int pidfd, out;
        ev_io ended, output;
        ev_timer timeout;
        char text[OUTPUT_MAX];
        size_t used;
};

int version_parse(const char *text, size_t n, char *ret, size_t room)
{
        const char *eol = memchr(text, '\n', n);
        size_t end = eol ? (size_t) (eol - text) : n, start;

        while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\r'))
                end--;
        for (start = end; start > 0 && text[start - 1] != ' '; start--) {
                char c = text[start - 1];

                if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '.' || c == '+' || c == '-'))
                        return -EBADMSG;
        }
        if (start == end || end - start >= room)
                return -EBADMSG;
        memcpy(ret, text + start, end - start);
        ret[end - start] = '\0';
        return 0;
}

static void stop(struct version *version)
{
        ev_io_stop(version->loop, &version->ended);
        ev_io_stop(version->loop, &version->output);
        ev_timer_stop(version->loop, &version->timeout);
        if (version->pid > 0) {
                (void) kill(version->pid, SIGKILL);
                (void) waitpid(version->pid, NULL, 0); /* it is dead or dying: no long wait */
        }
        version->pid = 0;
        version->pidfd = fd_close(version->pidfd);
        version->out = fd_close(version->out);
}

static void finish(struct version *version)
{
        stop(version);
        version->pending = false;
        version->checked = ev_now(version->loop);
        version->events->known(version->data);
}

static void fail_errno(struct version *version, int number)
{
        enum error_kind kind = ERROR_CODEX_NOT_EXECUTABLE;

        if (number == ENOENT || number == ENOTDIR)
                kind = ERROR_CODEX_MISSING;
        else if (number == EMFILE || number == ENFILE || number == ENOMEM || number == EAGAIN)
                kind = ERROR_NO_MEMORY;
        (void) error_set_errno(&version->error, kind, number, "%.200s", version->path);
}

static void judge(struct version *version, int status)
{
        char is[64];

        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                (void) error_set(&version->error, ERROR_CODEX_DIED,
                                 "%.200s --version ended with wait status %d", version->path,
                                 status);
        else if (version_parse(version->text, version->used, is, sizeof is) < 0)
                (void) error_set(&version->error, ERROR_CODEX_VERSION,
                                 "%.200s --version does not say a version", version->path);
        else if (version->want && strcmp(version->want, is) != 0)
                (void) error_set(&version->error, ERROR_CODEX_VERSION,
                                 "%.160s is version %s; the configuration asks for %.60s",
                                 version->path, is, version->want);
}

static void read_output(struct version *version)
{
        char rest[512];
        ssize_t n;

        do {
                size_t room = sizeof version->text - version->used;

                n = room ? read(version->out, version->text + version->used, room)
                         : read(version->out, rest, sizeof rest);
                if (n > 0 && room)
                        version->used += (size_t) n;
        } while (n > 0);
        if (n == 0)
                ev_io_stop(version->loop, &version->output);
}

static void on_output(struct ev_loop *loop, ev_io *io, int revents)
{
        read_output(container_of(io, struct version, output));
}

static void on_ended(struct ev_loop *loop, ev_io *io, int revents)
{
        struct version *version = container_of(io, struct version, ended);
        int status;

        if (waitpid(version->pid, &status, WNOHANG) != version->pid)
                return;
        version->pid = 0;
        read_output(version);
        judge(version, status);
        finish(version);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct version *version = container_of(timer, struct version, timeout);

        if (version->pidfd >= 0)
                (void) error_set(&version->error, ERROR_CODEX_HUNG,
                                 "%.200s --version did not end within %.0f s", version->path,
                                 TIMEOUT_S);
        finish(version);
}

static int spawn(struct version *version, int out)
{
        char *const argv[] = {version->path, (char *) "--version", NULL};
        char *const environment[] = {NULL};
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        int r;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                (void) posix_spawn_file_actions_destroy(&actions);
                return ENOMEM;
        }
        r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out, 1);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        (void) posix_spawnattr_setsigmask(&attributes, &none);
        (void) posix_spawnattr_setsigdefault(&attributes, &all);
        (void) posix_spawnattr_setflags(&attributes,
                                        POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(&version->pid, version->path, &actions, &attributes, argv,
                                environment);
        (void) posix_spawnattr_destroy(&attributes);
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int begin(struct version *version)
{
        _cleanup_fd_ int out = -EBADF;
        int pipes[2], r;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return errno;
        version->out = pipes[0];
        out = pipes[1];
        if (fcntl(version->out, F_SETFL, O_NONBLOCK) < 0)
                return errno;
        r = spawn(version, out);
        if (r != 0) {
                version->pid = 0;
                return r;
        }
        version->pidfd = (int) syscall(SYS_pidfd_open, version->pid, 0);
        if (version->pidfd < 0)
                return errno;
        ev_io_set(&version->ended, version->pidfd, EV_READ);
        ev_io_set(&version->output, version->out, EV_READ);
        ev_io_start(version->loop, &version->ended);
        ev_io_start(version->loop, &version->output);
        return 0;
}

void version_check(struct version *version, const char *path, const char *want)
{
        char *path_copy = strdup(path), *want_copy = want ? strdup(want) : NULL;
        int r = path_copy && (!want || want_copy) ? 0 : ENOMEM;

        stop(version);
        free(version->path);
        free(version->want);
        version->path = path_copy;
        version->want = want_copy;
        version->pending = true;
        version->used = 0;
        memset(&version->error, 0, sizeof version->error);
        if (r == 0)
                r = begin(version);
        if (r != 0) {
                if (version->path)
                        fail_errno(version, r);
                else
                        (void) error_set(&version->error, ERROR_NO_MEMORY, "no memory");
                stop(version);
        }
        /* A failure is told from the loop as well: the caller need not expect it here. */
        ev_timer_set(&version->timeout, r == 0 ? TIMEOUT_S : 0., 0.);
        ev_timer_start(version->loop, &version->timeout);
}

int version_new(struct version **ret, struct ev_loop *loop, const struct version_events *events,
                void *data)
{
        struct version *version = calloc(1, sizeof *version);

        if (!version)
                return -ENOMEM;
        version->loop = loop;
        version->events = events;
        version->data = data;
        version->pidfd = version->out = -EBADF;
        version->pending = true;
        ev_io_init(&version->ended, on_ended, -1, EV_READ);
        ev_io_init(&version->output, on_output, -1, EV_READ);
        ev_timer_init(&version->timeout, on_timeout, 0., 0.);
        *ret = version;
        return 0;
}

struct version *version_free(struct version *version)
{
        if (!version)
                return NULL;
        stop(version);
        free(version->path);
        free(version->want);
        free(version);
        return NULL;
}

bool version_pending(const struct version *version)
{
        return version->pending;
}

int version_error(struct version *version, struct error *err)
{
        char *path, *want;

        if (version->pending || version->error.kind == ERROR_NONE)
                return 0;
        *err = version->error;
        if (!version->path || ev_now(version->loop) - version->checked < AGAIN_S)
                return -err->number;
        path = strdup(version->path);
        want = version->want ? strdup(version->want) : NULL;
        if (path && (want || !version->want))
                version_check(version, path, want);
        free(path);
        free(want);
        return -err->number;
}
