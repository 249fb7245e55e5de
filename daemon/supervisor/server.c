#include "server.h"
#include "client.h"
#include "fd.h"
#include "log.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ACCEPT_MAX 32 /* in one turn of the loop */
#define PAUSE_S    0.2

static struct server_uid *find_uid(struct server *server, uid_t uid)
{
        LIST_FOREACH (entry, &server->uids, struct server_uid, link)
                if (entry->uid == uid)
                        return entry;
        return NULL;
}

void server_uid_add(struct server *server, uid_t uid)
{
        struct server_uid *entry = find_uid(server, uid);

        server->count++;
        if (!entry) {
                entry = calloc(1, sizeof *entry);
                if (!entry) /* not counted, and so never over its cap: the total still is */
                        return;
                entry->uid = uid;
                list_append(&server->uids, &entry->link);
        }
        entry->clients++;
}

void server_uid_remove(struct server *server, uid_t uid)
{
        struct server_uid *entry = find_uid(server, uid);

        server->count--;
        if (!entry || --entry->clients > 0)
                return;
        list_remove(&entry->link);
        free(entry);
}

/* One error and the end. The socket is new: so few bytes always fit. */
static void turn_away(int fd, const struct error *error)
{
        char *text = varlink_error(error, 1);

        if (text) {
                (void) send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
                (void) send(fd, "\n", 2, MSG_NOSIGNAL | MSG_DONTWAIT); /* both terminators */
        }
        free(text);
        (void) fd_close(fd);
}

static int check_caps(struct server *server, const struct peer *peer, struct error *err)
{
        const struct settings *settings = supervisor_settings(server->sup);
        const struct server_uid *entry = find_uid(server, peer->uid);

        if (server->count >= settings->clients_max)
                return error_set(err, ERROR_NO_MEMORY, "clients_max: %u connections are open",
                                 server->count);
        if (entry && entry->clients >= settings->clients_max_per_uid)
                return error_set(err, ERROR_NO_MEMORY,
                                 "clients_max_per_uid: uid %u has %u connections open",
                                 (unsigned) peer->uid, entry->clients);
        return 0;
}

static void welcome(struct server *server, int fd)
{
        struct error error;
        struct peer peer;
        int r;

        r = peer_read(&peer, fd, server->sup->group);
        if (r < 0) {
                (void) error_set_errno(&error, ERROR_NO_MEMORY, -r, "looking at the peer");
                turn_away(fd, &error);
                return;
        }
        if (check_caps(server, &peer, &error) < 0) {
                turn_away(fd, &error);
                return;
        }
        (void) client_new(server, fd, &peer);
}

/* Out of descriptors a connection cannot be accepted, and stays readable for ever: the one kept in
 * reserve makes room to accept it and to say so. */
static void refuse_one(struct server *server)
{
        struct error error;
        int fd;

        server->reserve_fd = fd_close(server->reserve_fd);
        fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
                (void) error_set(&error, ERROR_NO_MEMORY, "codexd has no descriptors left");
                turn_away(fd, &error);
        }
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_pause(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct server *server = container_of(timer, struct server, pause);

        ev_io_start(loop, &server->in);
}

static void on_in(struct ev_loop *loop, ev_io *io, int revents)
{
        struct server *server = container_of(io, struct server, in);

        for (unsigned i = 0; i < ACCEPT_MAX; i++) {
                int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        welcome(server, fd);
                } else if (errno == EMFILE || errno == ENFILE) {
                        if (server->reserve_fd < 0) { /* nothing to give up: wait for better days */
                                ev_io_stop(loop, &server->in);
                                ev_timer_start(loop, &server->pause);
                                return;
                        }
                        refuse_one(server);
                } else if (errno == ENOBUFS || errno == ENOMEM) {
                        ev_io_stop(loop, &server->in);
                        ev_timer_start(loop, &server->pause);
                        return;
                } else if (errno != EINTR && errno != ECONNABORTED) {
                        break;
                }
        }
        supervisor_changed(server->sup);
}

/* Freed here and nowhere deeper: whoever closes a client may still be holding it. */
static void on_reap(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
        struct server *server = container_of(prepare, struct server, reap);

        while (!list_empty(&server->dead)) {
                struct list *link = server->dead.next;

                (void) client_free((struct client *) (void *) link); /* its first member */
        }
}

int server_new(struct server **ret, struct supervisor *sup, int listen_fd)
{
        struct server *server = calloc(1, sizeof *server);
        int flags = fcntl(listen_fd, F_GETFL);

        if (!server || flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
                (void) fd_close(listen_fd);
                free(server);
                return server ? -EBADF : -ENOMEM;
        }
        server->sup = sup;
        server->fd = listen_fd;
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        list_init(&server->clients);
        list_init(&server->dead);
        list_init(&server->uids);
        ev_io_init(&server->in, on_in, listen_fd, EV_READ);
        ev_timer_init(&server->pause, on_pause, PAUSE_S, 0.);
        ev_prepare_init(&server->reap, on_reap);
        ev_io_start(sup->loop, &server->in);
        ev_prepare_start(sup->loop, &server->reap);
        *ret = server;
        return 0;
}

struct server *server_free(struct server *server)
{
        if (!server)
                return NULL;
        ev_io_stop(server->sup->loop, &server->in);
        ev_timer_stop(server->sup->loop, &server->pause);
        ev_prepare_stop(server->sup->loop, &server->reap);
        while (!list_empty(&server->clients))
                (void) client_free((struct client *) (void *) server->clients.next);
        while (!list_empty(&server->dead))
                (void) client_free((struct client *) (void *) server->dead.next);
        (void) fd_close(server->reserve_fd);
        (void) fd_close(server->fd);
        free(server);
        return NULL;
}
