#include "connection.h"
#include "exit-code.h"
#include "fd.h"
#include "plain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536u

struct connection {
        int fd;
        char *bytes; /* owned; [start, used) are here, [start, scanned) went through the envelope */
        size_t start, scanned, used, room;
        struct envelope envelope;
        uint64_t spilled; /* bytes of this reply that were let go */
        connection_overflow overflow;
        void *overflow_data;
};

void failure_set(struct failure *failure, const char *error, const char *fmt, ...)
{
        va_list ap;

        *failure = (struct failure){.retry_after_s = -1};
        (void) snprintf(failure->error, sizeof failure->error, "%s", error);
        va_start(ap, fmt);
        (void) vsnprintf(failure->message, sizeof failure->message, fmt, ap);
        va_end(ap);
}

int failure_report(const struct failure *failure, const char *what)
{
        const char *dot = strrchr(failure->error, '.');

        fprintf(stderr, "codexctl: %s: ", what);
        plain_put_cut(stderr, failure->message[0] ? failure->message : failure->error, 0);
        if (dot && failure->message[0]) {
                fputs(" (", stderr);
                plain_put_cut(stderr, dot + 1, 0);
                if (failure->step[0]) {
                        fputs(" in step ", stderr);
                        plain_put_cut(stderr, failure->step, 0);
                }
                fputc(')', stderr);
        }
        fputc('\n', stderr);
        if (failure->retry_after_s >= 0)
                fprintf(stderr, "codexctl: try again in %" PRId64 " s\n", failure->retry_after_s);
        return exit_code_of_error(failure->error);
}

static int connect_failed(struct failure *failure, const char *path, int number)
{
        static const char unreachable[] = "io.codexd.Unreachable";

        switch (number) {
        case ENOENT:
                failure_set(failure, unreachable,
                            "there is no socket at %s; as root: systemctl start codexd.socket",
                            path);
                break;
        case ECONNREFUSED:
                failure_set(failure, unreachable,
                            "nobody listens at %s; as root: systemctl restart codexd.socket", path);
                break;
        case EACCES:
        case EPERM:
                failure_set(failure, "io.codexd.NotPermitted",
                            "%s may only be used by root and group codexd", path);
                break;
        default:
                failure_set(failure, unreachable, "%s: %s", path, strerror(number));
                break;
        }
        return -number;
}

int connection_new(struct connection **ret, const char *path, struct failure *failure)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_fd_ int fd = -EBADF;
        struct connection *c;
        int flags;

        if (strlen(path) >= sizeof address.sun_path)
                return connect_failed(failure, path, ENAMETOOLONG);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return connect_failed(failure, path, errno);
        /* Blocking: a full backlog is waited for, where a non-blocking connect is just refused. */
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return connect_failed(failure, path, errno);
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return connect_failed(failure, path, errno);
        c = calloc(1, sizeof *c);
        if (!c)
                return connect_failed(failure, path, ENOMEM);
        c->fd = TAKE_FD(fd);
        envelope_init(&c->envelope);
        *ret = c;
        return 0;
}

struct connection *connection_free(struct connection *c)
{
        if (!c)
                return NULL;
        (void) fd_close(c->fd);
        free(c->bytes);
        free(c);
        return NULL;
}

int connection_fd(const struct connection *c)
{
        return c->fd;
}

void connection_set_overflow(struct connection *c, connection_overflow fn, void *data)
{
        c->overflow = fn;
        c->overflow_data = data;
}

static int wait_for(int fd, short events, int timeout_ms)
{
        struct pollfd p = {.fd = fd, .events = events};
        int r;

        do
                r = poll(&p, 1, timeout_ms);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static int send_bytes(int fd, const char *bytes, size_t n)
{
        while (n > 0) {
                ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
                int r;

                if (k >= 0) {
                        bytes += k;
                        n -= (size_t) k;
                } else if (errno == EPIPE || errno == ECONNRESET) {
                        return 0; /* it closed on us, and perhaps said why: read that */
                } else if (errno == EAGAIN) {
                        r = wait_for(fd, POLLOUT, -1);
                        if (r < 0)
                                return r;
                } else if (errno != EINTR) {
                        return -errno;
                }
        }
        return 0;
}

int connection_send(struct connection *c, const char *method, json_t *parameters, bool more)
{
        _cleanup_free_ char *text = NULL;
        json_t *call = json_pack("{s:s, s:o}", "method", method, "parameters",
                                 parameters ? parameters : json_object());

        if (!call)
                return -ENOMEM;
        if (!more || json_object_set_new(call, "more", json_true()) == 0)
                text = json_dumps(call, JSON_COMPACT);
        json_decref(call);
        if (!text)
                return -ENOMEM;
        return send_bytes(c->fd, text, strlen(text) + 1); /* the NUL ends the frame */
}

/* Lets go of the part of a reply that is too long to keep. */
static void spill(struct connection *c)
{
        if (c->overflow)
                c->overflow(c->overflow_data, &c->envelope, c->bytes + c->start,
                            c->scanned - c->start);
        c->spilled += c->scanned - c->start;
        c->start = c->scanned;
}

int connection_read(struct connection *c)
{
        ssize_t k;

        if (c->start > 0) { /* what was given is done with */
                memmove(c->bytes, c->bytes + c->start, c->used - c->start);
                c->used -= c->start;
                c->scanned -= c->start;
                c->start = 0;
        }
        if (c->room - c->used < CHUNK) {
                size_t room = MAX(c->room * 2, (size_t) CHUNK * 2);
                char *bigger = realloc(c->bytes, room);

                if (!bigger)
                        return -ENOMEM;
                c->bytes = bigger;
                c->room = room;
        }
        do
                k = recv(c->fd, c->bytes + c->used, CHUNK, 0);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return errno == EAGAIN ? 0 : -errno;
        if (k == 0)
                return -ECONNRESET;
        c->used += (size_t) k;
        return 1;
}

int connection_next(struct connection *c, struct reply *ret)
{
        const char *from, *end;
        size_t n;

        if (c->used == c->scanned)
                return 0;
        from = c->bytes + c->scanned;
        end = memchr(from, '\0', c->used - c->scanned);
        n = end ? (size_t) (end - from) : c->used - c->scanned;
        if (!envelope_feed(&c->envelope, from, n))
                return -EPROTO;
        c->scanned += n;
        if (c->spilled > 0 || c->scanned - c->start > CONNECTION_REPLY_MAX)
                spill(c);
        if (!end)
                return 0;
        if (!envelope_complete(&c->envelope))
                return -EPROTO;
        *ret = (struct reply){.bytes = c->spilled > 0 ? NULL : c->bytes + c->start,
                              .size = c->envelope.offset,
                              .envelope = c->envelope};
        c->scanned++; /* the NUL */
        c->start = c->scanned;
        c->spilled = 0;
        envelope_init(&c->envelope);
        return 1;
}

static void copy_member(json_t *from, const char *key, char *to, size_t room)
{
        const char *text = json_string_value(json_object_get(from, key));

        if (text)
                (void) snprintf(to, room, "%s", text);
}

int reply_parse(const struct reply *reply, json_t **ret, struct failure *failure)
{
        json_error_t why;
        json_t *root, *parameters, *retry;

        if (!reply->bytes) {
                failure_set(failure, "io.codexd.Internal", "the answer is %" PRIu64 " bytes long",
                            reply->size);
                return -EPROTO;
        }
        root = json_loadb(reply->bytes, (size_t) reply->size, JSON_ALLOW_NUL, &why);
        if (!root) {
                failure_set(failure, "io.codexd.Internal", "the answer is no JSON: %s", why.text);
                return -EPROTO;
        }
        parameters = json_object_get(root, "parameters");
        if (reply->envelope.has_error) {
                failure_set(failure, reply->envelope.error, "%s", "");
                copy_member(parameters, "message", failure->message, sizeof failure->message);
                copy_member(parameters, "key", failure->key, sizeof failure->key);
                copy_member(parameters, "step", failure->step, sizeof failure->step);
                retry = json_object_get(parameters, "retry_after_s");
                if (json_is_integer(retry))
                        failure->retry_after_s = json_integer_value(retry);
                json_decref(root);
                return -EREMOTEIO;
        }
        *ret = json_is_object(parameters) ? json_incref(parameters) : json_object();
        json_decref(root);
        return *ret ? 0 : -ENOMEM;
}

static int64_t now_ms(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int call_failed(struct failure *failure, int r)
{
        switch (r) {
        case -ECONNRESET:
                failure_set(failure, "io.codexd.Unreachable",
                            "codexd closed the connection before it answered");
                break;
        case -ETIMEDOUT:
                failure_set(failure, "io.codexd.Unreachable", "codexd does not answer");
                break;
        case -EPROTO:
                failure_set(failure, "io.codexd.Unreachable", "what answers is not codexd");
                break;
        default:
                failure_set(failure, "io.codexd.Unreachable", "%s", strerror(-r));
                break;
        }
        return r;
}

int connection_call_raw(struct connection *c, const char *method, json_t *parameters,
                        int timeout_ms, json_t **ret, char **ret_raw, struct failure *failure)
{
        int64_t deadline = now_ms() + timeout_ms;
        struct reply reply;
        int r = connection_send(c, method, parameters, false);

        if (r < 0)
                return call_failed(failure, r);
        while ((r = connection_next(c, &reply)) == 0) {
                int64_t left = timeout_ms < 0 ? -1 : MAX(deadline - now_ms(), 0);

                r = wait_for(c->fd, POLLIN, (int) left);
                if (r == 0)
                        r = connection_read(c);
                if (r < 0)
                        return call_failed(failure, r);
        }
        if (r < 0)
                return call_failed(failure, r);
        r = reply_parse(&reply, ret, failure);
        if (r == 0 && ret_raw) {
                const struct envelope *e = &reply.envelope;

                *ret_raw = e->parameters_end > 0
                                   ? strndup(reply.bytes + e->parameters,
                                             (size_t) (e->parameters_end - e->parameters))
                                   : strdup("{}");
                if (!*ret_raw) {
                        json_decref(*ret);
                        *ret = NULL;
                        return call_failed(failure, -ENOMEM);
                }
        }
        return r;
}

int connection_call(struct connection *c, const char *method, json_t *parameters, int timeout_ms,
                    json_t **ret, struct failure *failure)
{
        return connection_call_raw(c, method, parameters, timeout_ms, ret, NULL, failure);
}
