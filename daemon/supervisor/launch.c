#include "launch.h"
#include "fd.h"
#include "list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct waiting {
        struct list link; /* launch::waiting */
        int fd;
        size_t size;
        union wire_launch_any message;
};

struct launch {
        struct ev_loop *loop;
        int fd;
        ev_io in, out;
        uint64_t sent, received, cookies;
        struct list waiting;
        const struct launch_events *events;
        void *data;
        bool ended;
};

static void waiting_free(struct waiting *waiting)
{
        list_remove(&waiting->link);
        (void) fd_close(waiting->fd);
        free(waiting);
}

static void end(struct launch *launch, int r)
{
        ev_io_stop(launch->loop, &launch->in);
        ev_io_stop(launch->loop, &launch->out);
        if (launch->ended)
                return;
        launch->ended = true;
        launch->events->end(launch->data, r);
}

static int send_now(struct launch *launch, const void *message, size_t size, int fd)
{
        return fd_send(launch->fd, message, size, &fd, fd >= 0 ? 1 : 0);
}

static void on_out(struct ev_loop *loop, ev_io *io, int revents)
{
        struct launch *launch = container_of(io, struct launch, out);

        LIST_FOREACH (waiting, &launch->waiting, struct waiting, link) {
                int r = send_now(launch, &waiting->message, waiting->size, waiting->fd);

                if (r == -EAGAIN)
                        return;
                if (r < 0) {
                        end(launch, r == -EPIPE || r == -ECONNRESET ? 0 : r);
                        return;
                }
                waiting_free(waiting);
        }
        ev_io_stop(loop, &launch->out);
}

/* One datagram: 1 handled, 0 none there, negative: the wire is dead. */
static int receive(struct launch *launch)
{
        union wire_launch_any message;
        int fds[FD_RECV_MAX], fd = -EBADF, r;
        size_t nfds;
        ssize_t n = fd_recv(launch->fd, &message, sizeof message, fds, &nfds, MSG_DONTWAIT);

        if (n == -EAGAIN)
                return 0;
        if (n <= 0)
                return n < 0 ? (int) n : -ESHUTDOWN;
        r = wire_launch_check(&message, (size_t) n, false, &launch->received);
        if (r == 0 && nfds != wire_launch_fds(message.header.type))
                r = -EPROTO;
        if (r < 0) {
                for (size_t i = 0; i < nfds; i++)
                        (void) fd_close(fds[i]);
                return r;
        }
        if (nfds > 0)
                fd = fds[0];
        launch->events->message(launch->data, &message, &fd);
        (void) fd_close(fd);
        return 1;
}

static void on_in(struct ev_loop *loop, ev_io *io, int revents)
{
        struct launch *launch = container_of(io, struct launch, in);
        int r = 1;

        for (unsigned i = 0; i < 64 && r > 0 && !launch->ended; i++)
                r = receive(launch);
        if (r < 0)
                end(launch, r == -ESHUTDOWN || r == -ECONNRESET ? 0 : r);
}

int launch_new(struct launch **ret, struct ev_loop *loop, int fd,
               const struct launch_events *events, void *data)
{
        struct launch *launch = calloc(1, sizeof *launch);
        int flags = fcntl(fd, F_GETFL);

        if (!launch || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fd_set_cloexec(fd, 1) < 0) {
                int saved = launch ? -errno : -ENOMEM;

                free(launch);
                (void) fd_close(fd);
                return saved;
        }
        launch->loop = loop;
        launch->fd = fd;
        launch->events = events;
        launch->data = data;
        list_init(&launch->waiting);
        ev_io_init(&launch->in, on_in, fd, EV_READ);
        ev_io_init(&launch->out, on_out, fd, EV_WRITE);
        ev_set_priority(&launch->in, 1); /* the watchdog's ping before any client */
        ev_io_start(loop, &launch->in);
        *ret = launch;
        return 0;
}

struct launch *launch_free(struct launch *launch)
{
        if (!launch)
                return NULL;
        ev_io_stop(launch->loop, &launch->in);
        ev_io_stop(launch->loop, &launch->out);
        LIST_FOREACH (waiting, &launch->waiting, struct waiting, link)
                waiting_free(waiting);
        (void) fd_close(launch->fd);
        free(launch);
        return NULL;
}

static int keep(struct launch *launch, const void *message, size_t size, int fd)
{
        struct waiting *waiting = calloc(1, sizeof *waiting);

        if (!waiting)
                return -ENOMEM;
        waiting->fd = -EBADF;
        waiting->size = size;
        memcpy(&waiting->message, message, size);
        if (fd >= 0) {
                waiting->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
                if (waiting->fd < 0) {
                        int r = -errno;

                        free(waiting);
                        return r;
                }
        }
        list_append(&launch->waiting, &waiting->link);
        ev_io_start(launch->loop, &launch->out);
        return 0;
}

int launch_send(struct launch *launch, uint32_t type, void *message, int fd)
{
        size_t size = wire_launch_size(type, true);
        int r = -EAGAIN;

        if (launch->ended)
                return -EPIPE;
        wire_launch_seal(message, type, &launch->sent);
        if (list_empty(&launch->waiting))
                r = send_now(launch, message, size, fd);
        if (r == -EAGAIN)
                r = keep(launch, message, size, fd);
        if (r < 0) /* a hole in the sequence is allowed: it only has to grow */
                return r;
        return 0;
}

int launch_hello(struct launch *launch)
{
        struct wire_hello hello = {.pid = (uint32_t) getpid()};

        return launch_send(launch, WIRE_HELLO, &hello, -EBADF);
}

int launch_ping(struct launch *launch, uint32_t type, uint64_t cookie)
{
        struct wire_ping ping = {.cookie = cookie};

        return launch_send(launch, type, &ping, -EBADF);
}

int launch_worker(struct launch *launch, uint32_t type, uint64_t worker)
{
        struct wire_worker message = {.worker = worker};

        return launch_send(launch, type, &message, -EBADF);
}

int launch_signal(struct launch *launch, uint64_t worker, enum wire_how how)
{
        struct wire_signal message = {.worker = worker, .how = how};

        return launch_send(launch, WIRE_SIGNAL, &message, -EBADF);
}

uint64_t launch_cookie(struct launch *launch)
{
        return ++launch->cookies;
}
