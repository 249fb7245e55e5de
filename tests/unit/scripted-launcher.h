/* The real codexd-supervisor against a launcher that does what a test says: wire-launch.h over a
 * socketpair, workers that are nothing but files. The supervisor runs as another uid where the test
 * is root, for it refuses to be root. */
#pragma once

#include "conf-bundle.h"
#include "error.h"
#include "fd.h"
#include "wire-keeper.h"
#include "wire-launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY   65534u
#define OWNER    4242u /* of the workspace, as RESOLVED says */
#define PATIENCE 20    /* seconds, around everything that waits */

struct scripted {
        char dir[64], socket[96];
        int wire, listener;
        pid_t pid;
        uint64_t sent, received, generation, worker;
        struct made bundle;
        union wire_launch_any last;
        int last_fd;
        rlim_t files; /* descriptors it may have; 0: as many as we */
};

static inline void must(bool ok, const char *what)
{
        if (ok)
                return;
        (void) fprintf(stderr, "scripted launcher: %s: %s\n", what, strerror(errno));
        abort();
}
#define MUST(expression) must((expression), #expression)

static inline void scripted_path(const struct scripted *s, char *to, size_t n, const char *name)
{
        MUST(snprintf(to, n, "%s/%s", s->dir, name) < (int) n);
}

static inline void scripted_send(struct scripted *s, uint32_t type, void *message, int fd)
{
        wire_launch_seal(message, type, &s->sent);
        MUST(fd_send(s->wire, message, wire_launch_size(type, false), &fd, fd >= 0 ? 1 : 0) == 0);
}

/* The supervisor's next message but STATUS. */
static inline union wire_launch_any *scripted_next(struct scripted *s)
{
        for (;;) {
                struct pollfd in = {.fd = s->wire, .events = POLLIN};
                int fds[FD_RECV_MAX];
                size_t nfds;
                ssize_t n;

                MUST(poll(&in, 1, PATIENCE * 1000) == 1);
                n = fd_recv(s->wire, &s->last, sizeof s->last, fds, &nfds, 0);
                MUST(n > 0);
                MUST(wire_launch_check(&s->last, (size_t) n, true, &s->received) == 0);
                MUST(nfds == wire_launch_fds(s->last.header.type));
                s->last_fd = fd_close(s->last_fd);
                if (nfds)
                        s->last_fd = fds[0];
                if (s->last.header.type != WIRE_STATUS)
                        return &s->last;
        }
}

static inline union wire_launch_any *scripted_expect(struct scripted *s, uint32_t type)
{
        if (scripted_next(s)->header.type != type)
                (void) fprintf(stderr, "expected message %u, got %u\n", type, s->last.header.type);
        MUST(s->last.header.type == type);
        return &s->last;
}

static inline void scripted_write(const char *path, const char *text, mode_t mode)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        MUST(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
        MUST(fchmod(fd, mode) == 0);
        (void) fd_close(fd);
}

static inline void scripted_policy(struct scripted *s, const char *codexd_json)
{
        struct wire_policy policy = {.generation = ++s->generation};
        int fd;

        made_bundle(&s->bundle, codexd_json,
                    "[{\"match\": \"/srv/sites/{workspace}/user\", \"user\": \"owner\", "
                    "\"sandbox_mode\": \"danger-full-access\", \"network_access\": true, "
                    "\"skip_git_repo_check\": true, \"max_workers\": 4}]",
                    NULL);
        fd = fd_sealed_memfd("policy", s->bundle.bytes, s->bundle.n);
        MUST(fd >= 0);
        scripted_send(s, WIRE_POLICY, &policy, fd);
        (void) fd_close(fd);
}

/* A codexd.json of this test's: `more` are further members, each with a comma before it. */
static inline void scripted_config(const struct scripted *s, char *to, size_t n, const char *more)
{
        MUST(snprintf(to, n,
                      "{\"codex\": {\"path\": \"%s/codex\", \"version\": \"0.169.0\"}, "
                      "\"model\": {\"base_url\": \"http://127.0.0.1:1/v1\"}%s}",
                      s->dir, more) < (int) n);
}

static inline void scripted_spawn(struct scripted *s)
{
        int wire[2];
        char state[128];

        scripted_path(s, state, sizeof state, "state");
        MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) == 0);
        s->pid = fork();
        MUST(s->pid >= 0);
        if (s->pid == 0) {
                char option[160];
                char *const argv[] = {(char *) "codexd-supervisor", option,
                                      (char *) "--group=nogroup", NULL};
                /* Opened as root: the build may be where nobody else can look. */
                int program = open(SUPERVISOR, O_PATH | O_CLOEXEC);

                (void) snprintf(option, sizeof option, "--state-dir=%s", state);
                MUST(dup2(wire[1], 3) == 3);
                if (wire[1] == 3)
                        MUST(fd_set_cloexec(3, 0) == 0);
                if (s->files)
                        MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){s->files, s->files}) == 0);
                if (getuid() == 0)
                        MUST(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                             setresuid(NOBODY, NOBODY, NOBODY) == 0);
                (void) fexecve(program, argv, environ);
                _exit(127);
        }
        (void) fd_close(wire[1]);
        s->wire = wire[0];
        s->sent = s->received = 0;
        (void) scripted_expect(s, WIRE_HELLO);
}

/* Everything that follows HELLO, but what is ADOPTED: then scripted_synced(). */
static inline void scripted_greet(struct scripted *s, const char *codexd_json)
{
        struct wire_ping listen = {.cookie = 0};

        scripted_send(s, WIRE_LISTEN, &listen, s->listener);
        scripted_policy(s, codexd_json);
}

static inline void scripted_synced(struct scripted *s)
{
        struct wire_ping synced = {.cookie = 0};

        scripted_send(s, WIRE_SYNCED, &synced, -EBADF);
}

static inline void scripted_dirs(struct scripted *s)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char path[128];

        *s = (struct scripted){.wire = -EBADF, .listener = -EBADF, .last_fd = -EBADF};
        (void) snprintf(s->dir, sizeof s->dir, "/tmp/supervisor-XXXXXX");
        MUST(mkdtemp(s->dir) && chmod(s->dir, 0755) == 0);
        scripted_path(s, path, sizeof path, "codex");
        scripted_write(path, "#!/bin/sh\necho codex-cli 0.169.0\n", 0755);
        scripted_path(s, path, sizeof path, "state");
        MUST(mkdir(path, 0755) == 0);
        scripted_path(s, path, sizeof path, "state/workers");
        MUST(mkdir(path, 0755) == 0);
        scripted_path(s, path, sizeof path, "state/jobs");
        MUST(mkdir(path, 0700) == 0);
        if (getuid() == 0)
                MUST(chown(path, NOBODY, NOBODY) == 0);
        scripted_path(s, s->socket, sizeof s->socket, "socket");
        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", s->socket);
        s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MUST(s->listener >= 0 &&
             bind(s->listener, (const struct sockaddr *) &address, sizeof address) == 0 &&
             listen(s->listener, 512) == 0);
}

static inline void scripted_start(struct scripted *s, const char *more)
{
        char config[2048];

        scripted_dirs(s);
        scripted_config(s, config, sizeof config, more);
        scripted_spawn(s);
        scripted_greet(s, config);
        scripted_synced(s);
}

/* SIGKILL, as a crash. */
static inline void scripted_kill(struct scripted *s)
{
        MUST(kill(s->pid, SIGKILL) == 0 && waitpid(s->pid, NULL, 0) == s->pid);
        s->wire = fd_close(s->wire);
}

/* The wire's end of file ends it, cleanly: sanitizers have the last word. */
static inline void scripted_end(struct scripted *s)
{
        char command[128];
        int status;

        s->wire = fd_close(s->wire);
        s->last_fd = fd_close(s->last_fd);
        s->listener = fd_close(s->listener);
        MUST(waitpid(s->pid, &status, 0) == s->pid);
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        (void) snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
        MUST(system(command) == 0);
}

/* ---- workers ---- */

static inline void scripted_append(const struct scripted *s, uint64_t worker, const char *name,
                                   const void *bytes, size_t n)
{
        char path[160];
        int fd;

        (void) snprintf(path, sizeof path, "%s/state/workers/w-%" PRIu64 "/%s", s->dir, worker,
                        name);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        MUST(fd >= 0 && fd_write_all(fd, bytes, n) == 0);
        (void) fd_close(fd);
}

static inline void scripted_output(const struct scripted *s, uint64_t worker, const void *bytes,
                                   size_t n)
{
        struct keeper_index entry = {0};
        struct stat st;
        char path[160];

        scripted_append(s, worker, "raw", bytes, n);
        (void) snprintf(path, sizeof path, "%s/state/workers/w-%" PRIu64 "/raw", s->dir, worker);
        MUST(stat(path, &st) == 0);
        entry.end = (uint64_t) st.st_size;
        entry.realtime_usec = 1700000000000000u + entry.end;
        scripted_append(s, worker, "index", &entry, sizeof entry);
}

static inline void scripted_say(const struct scripted *s, uint64_t worker, const char *line)
{
        char text[4096];
        int n = snprintf(text, sizeof text, "%s\n", line);

        MUST(n < (int) sizeof text);
        scripted_output(s, worker, text, (size_t) n);
}

static inline void scripted_make_worker(struct scripted *s)
{
        char path[160];

        (void) snprintf(path, sizeof path, "%s/state/workers/w-%" PRIu64, s->dir, ++s->worker);
        MUST(mkdir(path, 0755) == 0);
        scripted_append(s, s->worker, "raw", "", 0);
        scripted_append(s, s->worker, "index", "", 0);
        scripted_append(s, s->worker, "stderr", "", 0);
}

static inline void scripted_resolved(struct scripted *s)
{
        union wire_launch_any *asked = scripted_expect(s, WIRE_RESOLVE);
        struct wire_resolved resolved = {.cookie = asked->resolve.cookie,
                                         .generation = asked->resolve.generation,
                                         .uid = OWNER,
                                         .gid = OWNER + 1,
                                         .device = 1,
                                         .inode = 2,
                                         .user = "site-one"};

        memset(resolved.digest, 0xab, sizeof resolved.digest);
        scripted_send(s, WIRE_RESOLVED, &resolved, -EBADF);
}

static inline void scripted_started(struct scripted *s, uint32_t type, uint64_t cookie,
                                    uint64_t worker, uint64_t job)
{
        struct wire_started started = {
                .cookie = cookie,
                .worker = worker,
                .job = job,
                .generation = s->generation,
                .pid = 77,
                .started_usec = (uint64_t) time(NULL) * 1000000u,
                .spawn_usec = 1234,
                .workspace = "one",
                .codex_version = "0.169.0",
                .identity = {.uid = OWNER, .gid = OWNER + 1, .ngroups = 0, .no_new_privs = 1}};

        memset(started.digest, 0xab, sizeof started.digest);
        scripted_send(s, type, &started, -EBADF);
}

/* Answers the next START: gives the worker. */
static inline uint64_t scripted_run(struct scripted *s)
{
        union wire_launch_any *asked = scripted_expect(s, WIRE_START);

        scripted_make_worker(s);
        scripted_started(s, WIRE_STARTED, asked->start.cookie, s->worker, asked->start.job);
        return s->worker;
}

static inline void scripted_tell(struct scripted *s, uint32_t type, uint64_t worker, uint64_t job,
                                 int status, uint32_t flags)
{
        struct wire_exited exited = {.worker = worker,
                                     .job = job,
                                     .status = status,
                                     .flags = flags,
                                     .ended_usec = (uint64_t) time(NULL) * 1000000u};

        scripted_send(s, type, &exited, -EBADF);
}

static inline void scripted_gone(struct scripted *s, uint64_t worker, uint64_t job, int status)
{
        scripted_tell(s, WIRE_EXITED, worker, job, status, WIRE_WORKER_HAS_STATUS);
        scripted_tell(s, WIRE_GONE, worker, job, status, WIRE_WORKER_HAS_STATUS);
}

/* ---- clients ---- */

static inline int scripted_connect(const struct scripted *s)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval patience = {.tv_sec = PATIENCE};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", s->socket);
        MUST(fd >= 0 && connect(fd, (const struct sockaddr *) &address, sizeof address) == 0);
        MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
        return fd;
}

/* As another user; the caller is root. */
static inline int scripted_connect_as(const struct scripted *s, uid_t uid)
{
        int fd;

        MUST(chmod(s->socket, 0666) == 0 && seteuid(uid) == 0);
        fd = scripted_connect(s);
        MUST(seteuid(0) == 0);
        return fd;
}

/* One LF frame; NULL at the end of file. */
static inline json_t *scripted_reply(int fd)
{
        static char text[16u << 20];
        size_t n = 0;
        json_t *json;

        for (;;) {
                ssize_t k = recv(fd, text + n, 1, 0);

                if (k < 0 && errno == ECONNRESET)
                        k = 0;
                MUST(k >= 0);
                if (k == 0)
                        return NULL;
                if (text[n] == '\n')
                        break;
                MUST(++n < sizeof text);
        }
        json = json_loadb(text, n, 0, NULL);
        MUST(json != NULL);
        return json;
}

static inline void scripted_request(int fd, const char *text)
{
        MUST(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t) strlen(text));
        MUST(send(fd, "\n", 1, MSG_NOSIGNAL) == 1);
}

static inline json_t *scripted_call(int fd, const char *text)
{
        scripted_request(fd, text);
        return scripted_reply(fd);
}
