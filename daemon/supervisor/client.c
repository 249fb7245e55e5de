#include "client.h"
#include "api.h"
#include "fd.h"
#include "frame.h"
#include "request.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_MAX    (64u * 1024) /* of one client in one turn */
#define QUEUE_FIRST 4096u
#define QUEUE_LOW   (CLIENT_QUEUE_MAX / 2)
#define STALLED_S   60. /* not read for so long while something waits: closed */

struct client {
        struct list link; /* server::clients, then server::dead */
        struct server *server;
        int fd;
        ev_io in, out;
        ev_timer in_timer, out_timer;
        struct peer peer;
        struct frame_reader reader;
        size_t partial; /* of reader.room, counted in server::partial */
        char *queue;    /* NULL while nothing waits */
        size_t used, sent, room;
        struct call *call;
        bool spoke;
        bool half_closed; /* it will ask no more, and may still read */
        bool closing;     /* once the queue is empty */
        bool processing, dead;
};

struct parse { /* of a large frame, on the thread */
        struct offload_item item;
        struct call *call; /* NULL: the client is gone */
        char *text;
        size_t n;
        struct varlink_call message;
        struct error error;
        int result;
};

static void process(struct client *client);

static const struct settings *settings_of(const struct client *client)
{
        return supervisor_settings(client->server->sup);
}

/* Frames under way are the one thing that strangers make us hold: all of them together are bounded.
 */
static void count_partial(struct client *client)
{
        client->server->partial -= client->partial;
        client->partial = client->reader.bytes ? client->reader.room : 0;
        client->server->partial += client->partial;
}

static void call_free(struct call *call)
{
        varlink_call_done(&call->message);
        free(call);
}

void client_close(struct client *client)
{
        struct ev_loop *loop = client->server->sup->loop;
        struct call *call = client->call;

        if (client->dead)
                return;
        client->dead = true;
        ev_io_stop(loop, &client->in);
        ev_io_stop(loop, &client->out);
        ev_timer_stop(loop, &client->in_timer);
        ev_timer_stop(loop, &client->out_timer);
        client->call = NULL;
        if (call) {
                if (call->gone)
                        call->gone(call);
                call_free(call);
        }
        client->fd = fd_close(client->fd);
        frame_reader_done(&client->reader);
        client->reader.bytes = NULL;
        count_partial(client);
        free(client->queue);
        client->queue = NULL;
        client->used = client->sent = client->room = 0;
        server_uid_remove(client->server, client->peer.uid);
        list_remove(&client->link);
        list_append(&client->server->dead, &client->link);
        supervisor_changed(client->server->sup);
}

struct client *client_free(struct client *client)
{
        if (!client)
                return NULL;
        client_close(client);
        list_remove(&client->link);
        free(client);
        return NULL;
}

/* ---- out ---- */

static int append(struct client *client, const void *bytes, size_t n)
{
        if (client->dead)
                return -EPIPE;
        if (client->sent > 0 && client->used + n > client->room) {
                memmove(client->queue, client->queue + client->sent, client->used - client->sent);
                client->used -= client->sent;
                client->sent = 0;
        }
        if (client->used + n > client->room) {
                size_t room = MAX(client->room * 2, QUEUE_FIRST);
                char *bigger;

                while (room < client->used + n)
                        room *= 2;
                bigger = realloc(client->queue, room);
                if (!bigger)
                        return -ENOMEM;
                client->queue = bigger;
                client->room = room;
        }
        memcpy(client->queue + client->used, bytes, n);
        client->used += n;
        return 0;
}

/* 0, or -EPIPE: the client was closed. */
static int flush(struct client *client)
{
        struct ev_loop *loop = client->server->sup->loop;
        bool moved = false;

        if (client->dead)
                return -EPIPE;
        while (client->sent < client->used) {
                ssize_t n = send(client->fd, client->queue + client->sent,
                                 client->used - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        client_close(client);
                        return -EPIPE;
                }
                client->sent += (size_t) n;
                moved = true;
        }
        if (client->sent == client->used) {
                free(client->queue);
                client->queue = NULL;
                client->sent = client->used = client->room = 0;
                ev_io_stop(loop, &client->out);
                ev_timer_stop(loop, &client->out_timer);
                if (client->closing) {
                        client_close(client);
                        return -EPIPE;
                }
                return 0;
        }
        ev_io_start(loop, &client->out);
        if (moved || !ev_is_active(&client->out_timer)) {
                ev_timer_stop(loop, &client->out_timer);
                ev_timer_set(&client->out_timer, STALLED_S, 0.);
                ev_timer_start(loop, &client->out_timer);
        }
        return 0;
}

static void on_out(struct ev_loop *loop, ev_io *io, int revents)
{
        struct client *client = container_of(io, struct client, out);

        if (flush(client) < 0)
                return;
        if (client->call && client->call->writable && client->used - client->sent <= QUEUE_LOW)
                client->call->writable(client->call);
}

static void on_out_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
        client_close(container_of(timer, struct client, out_timer));
}

/* What we cannot tell for want of memory is told by closing. */
static void send_text(struct client *client, char *text)
{
        /* Whose framing is not known yet gets both terminators: LF is a blank to who expects NUL.
         */
        bool lf = client->reader.kind != FRAME_NUL, nul = client->reader.kind != FRAME_LF;

        if (!text || append(client, text, strlen(text)) < 0 ||
            (lf && append(client, "\n", 1) < 0) || (nul && append(client, "", 1) < 0))
                client_close(client);
        free(text);
}

void call_end(struct call *call)
{
        struct client *client = call->client;

        client->call = NULL;
        call_free(call);
        if (flush(client) == 0 && !client->processing)
                process(client);
}

/* The last reply; without memory for it the client was closed, and the call with it. */
static void send_last(struct call *call, char *text)
{
        struct client *client = call->client;

        call->gone = NULL;
        call->writable = NULL;
        if (call->oneway)
                free(text);
        else
                send_text(client, text);
        if (!client->dead)
                call_end(call);
}

void call_reply(struct call *call, json_t *parameters)
{
        send_last(call, varlink_reply(parameters, false));
}

int call_reply_more(struct call *call, json_t *parameters)
{
        struct client *client = call->client;

        send_text(client, varlink_reply(parameters, true));
        return client->dead ? -EPIPE : 0;
}

void call_error(struct call *call, const struct error *error, uint32_t retry_s)
{
        send_last(call, varlink_error(error, retry_s));
}

void call_service_error(struct call *call, const char *name, const char *parameter,
                        const char *value)
{
        send_last(call, varlink_service_error(name, parameter, value));
}

size_t call_room(const struct call *call)
{
        size_t waiting = call->client->used - call->client->sent;

        return waiting < CLIENT_QUEUE_MAX ? CLIENT_QUEUE_MAX - waiting : 0;
}

int call_append(struct call *call, const void *bytes, size_t n)
{
        return append(call->client, bytes, n);
}

int call_append_terminator(struct call *call)
{
        return append(call->client, call->client->reader.kind == FRAME_LF ? "\n" : "", 1);
}

int call_flush(struct call *call)
{
        return flush(call->client);
}

/* ---- in ---- */

/* A malformed frame: nobody can tell what else the peer means. */
static void refuse(struct client *client, const struct error *error)
{
        struct ev_loop *loop = client->server->sup->loop;

        ev_io_stop(loop, &client->in);
        ev_timer_stop(loop, &client->in_timer);
        client->closing = true;
        send_text(client, varlink_error(error, 0));
        if (!client->dead)
                (void) flush(client);
}

static void dispatch(struct call *call)
{
        struct client *client = call->client;

        call->more = call->message.more;
        call->oneway = call->message.oneway;
        if (call->peer.from_worker)
                client->closing = true; /* after the one answer that it gets */
        api_dispatch(call);
}

static void malformed(struct client *client, const struct error *error)
{
        struct call *call = client->call;

        client->call = NULL;
        if (call)
                call_free(call);
        refuse(client, error);
}

static void parse_run(struct offload_item *item)
{
        struct parse *parse = container_of(item, struct parse, item);

        parse->result = varlink_call_parse(&parse->message, parse->text, parse->n, &parse->error);
}

static void parse_done(struct offload_item *item)
{
        struct parse *parse = container_of(item, struct parse, item);
        struct call *call = parse->call;

        if (!call) {
                varlink_call_done(&parse->message);
        } else if (parse->result < 0) {
                malformed(call->client, &parse->error);
        } else {
                call->gone = NULL;
                call->data = NULL;
                call->message = parse->message;
                dispatch(call);
        }
        free(parse->text);
        free(parse);
}

static void parse_gone(struct call *call)
{
        struct parse *parse = call->data;

        parse->call = NULL;
}

static int parse_elsewhere(struct call *call, const char *text, size_t n)
{
        struct parse *parse = calloc(1, sizeof *parse);
        char *copy = parse ? malloc(n + 1) : NULL;

        if (!copy) {
                free(parse);
                return -ENOMEM;
        }
        memcpy(copy, text, n);
        copy[n] = '\0';
        *parse = (struct parse){
                .item = {.run = parse_run, .done = parse_done}, .call = call, .text = copy, .n = n};
        call->data = parse;
        call->gone = parse_gone;
        offload_push(call->sup->parser, &parse->item);
        return 0;
}

static void on_frame(struct client *client, const char *text, size_t n)
{
        struct call *call = calloc(1, sizeof *call);
        struct error error;
        int r = call ? 0 : -ENOMEM;

        if (call) {
                *call = (struct call){
                        .client = client, .sup = client->server->sup, .peer = client->peer};
                client->call = call;
                if (n > CLIENT_PARSE_MAX) {
                        r = parse_elsewhere(call, text, n);
                        if (r == 0)
                                return;
                }
        }
        if (r < 0)
                (void) error_set(&error, ERROR_NO_MEMORY, "no memory");
        else
                r = varlink_call_parse(&call->message, text, n, &error);
        if (r < 0)
                malformed(client, &error);
        else
                dispatch(call);
}

static void arm_in_timer(struct client *client, bool anew)
{
        struct ev_loop *loop = client->server->sup->loop;

        /* From the frame's first byte on: one that drips does not live longer by it. */
        if (!frame_reader_partial(&client->reader) || client->call || anew)
                ev_timer_stop(loop, &client->in_timer);
        if (!frame_reader_partial(&client->reader) || client->call ||
            ev_is_active(&client->in_timer))
                return;
        ev_timer_set(&client->in_timer, settings_of(client)->client_frame_s, 0.);
        ev_timer_start(loop, &client->in_timer);
}

static void process(struct client *client)
{
        struct ev_loop *loop = client->server->sup->loop;
        struct error error;
        bool whole = false;
        char *text;
        size_t n;
        int r = 0;

        client->processing = true;
        while (!client->dead && !client->closing && !client->call) {
                r = frame_reader_next(&client->reader, &text, &n);
                if (r <= 0)
                        break;
                whole = true;
                on_frame(client, text, n);
        }
        client->processing = false;
        if (client->dead)
                return;
        count_partial(client);
        if (r < 0) {
                (void) error_set(&error, ERROR_BAD_REQUEST, "malformed frame");
                refuse(client, &error);
                return;
        }
        if (client->closing) {
                (void) flush(client);
                return;
        }
        arm_in_timer(client, whole);
        if (!client->half_closed)
                ev_io_start(loop, &client->in);
        else if (!client->call) {
                client->closing = true;
                (void) flush(client);
        }
}

/* It closed its end: of both directions, or only of ours (as `nc -N` does)? */
static void on_end_of_file(struct client *client)
{
        struct pollfd both = {.fd = client->fd, .events = POLLIN};

        ev_io_stop(client->server->sup->loop, &client->in);
        client->half_closed = true;
        if (poll(&both, 1, 0) != 1 || both.revents & (POLLHUP | POLLERR)) {
                client_close(client);
        } else if (!client->call) {
                client->closing = true;
                (void) flush(client);
        }
}

static void read_more(struct client *client)
{
        struct error error;
        char *to;
        ssize_t room = frame_reader_space(&client->reader, &to), n;

        count_partial(client);
        if (room > 0 && client->server->partial > SERVER_PARTIAL_MAX)
                room = -ENOMEM;
        if (room < 0) {
                if (room == -EMSGSIZE)
                        (void) error_set(&error, ERROR_BAD_REQUEST,
                                         "a request has at most %u bytes", REQUEST_FRAME_MAX);
                else
                        (void) error_set(&error, ERROR_NO_MEMORY,
                                         "too many unfinished requests at once");
                refuse(client, &error);
                return;
        }
        n = recv(client->fd, to, MIN((size_t) room, READ_MAX), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                n = 0;
        else if (n < 0)
                client_close(client);
        else if (n == 0)
                on_end_of_file(client);
        if (client->dead)
                return;
        frame_reader_commit(&client->reader, (size_t) (n > 0 ? n : 0));
        if (n <= 0)
                return;
        if (!client->spoke) { /* the first byte is there: from here on it is the frame's time */
                client->spoke = true;
                ev_timer_stop(client->server->sup->loop, &client->in_timer);
        }
        process(client);
}

static void on_in(struct ev_loop *loop, ev_io *io, int revents)
{
        struct client *client = container_of(io, struct client, in);
        char byte;
        ssize_t n;

        if (!client->call && !client->closing) {
                read_more(client);
                return;
        }
        /* While a call is under way the rest waits in the socket; only the end is looked for. */
        n = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n == 0)
                on_end_of_file(client);
        else if (n > 0)
                ev_io_stop(loop, &client->in);
        else if (errno != EAGAIN && errno != EINTR)
                client_close(client);
}

static void on_in_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct client *client = container_of(timer, struct client, in_timer);
        struct error error;

        if (!frame_reader_partial(&client->reader)) { /* it never said a thing */
                client_close(client);
                return;
        }
        (void) error_set(&error, ERROR_BAD_REQUEST, "the request did not end within %u s",
                         settings_of(client)->client_frame_s);
        refuse(client, &error);
}

struct client *client_new(struct server *server, int fd, const struct peer *peer)
{
        struct client *client = calloc(1, sizeof *client);
        struct ev_loop *loop = server->sup->loop;

        if (!client) {
                (void) fd_close(fd);
                return NULL;
        }
        client->server = server;
        client->fd = fd;
        client->peer = *peer;
        frame_reader_init(&client->reader, REQUEST_FRAME_MAX);
        ev_io_init(&client->in, on_in, fd, EV_READ);
        ev_io_init(&client->out, on_out, fd, EV_WRITE);
        ev_timer_init(&client->in_timer, on_in_timer, settings_of(client)->client_first_byte_s, 0.);
        ev_timer_init(&client->out_timer, on_out_timer, STALLED_S, 0.);
        ev_io_start(loop, &client->in);
        ev_timer_start(loop, &client->in_timer);
        list_append(&server->clients, &client->link);
        server_uid_add(server, peer->uid);
        return client;
}
