/* One connection: frames in, one call at a time, replies out in order. A call may be answered later
 * and in parts; until its last reply the connection's further requests wait in the socket. */
#pragma once

#include "list.h"
#include "peer.h"
#include "varlink.h"

#include <ev.h>

struct client;
struct server;
struct supervisor;
struct task;

#define CLIENT_QUEUE_MAX (256u * 1024) /* bytes that a stream may have waiting for its reader */
#define CLIENT_PARSE_MAX (64u * 1024)  /* longer frames are parsed off the loop */

struct call {
        struct client *client; /* borrowed */
        struct supervisor *sup;
        struct peer peer;
        struct varlink_call message;
        bool more, oneway;
        /* For who answers later: */
        void *data;
        void (*gone)(struct call *call);     /* the client is; the call is freed after this */
        void (*writable)(struct call *call); /* a stream may go on */
};

/* Each of these but call_reply_more ends the call, which is then freed. `parameters` is taken. */
void call_reply(struct call *call, json_t *parameters);
/* Negative: the client is gone, and the call with it. */
int call_reply_more(struct call *call, json_t *parameters);
void call_error(struct call *call, const struct error *error, uint32_t retry_s);
void call_service_error(struct call *call, const char *name, const char *parameter,
                        const char *value);
/* For streams: bytes into the queue, while call_room() says there is some; then call_flush(), after
 * which the call may be gone if it says so with a negative errno. */
size_t call_room(const struct call *call);
int call_append(struct call *call, const void *bytes, size_t n); /* 0 or -ENOMEM */
int call_append_terminator(struct call *call);
int call_flush(struct call *call);
void call_end(struct call *call); /* after its last reply was put into the queue */

/* server.c's. Takes `fd`; NULL: no memory (fd is closed). */
struct client *client_new(struct server *server, int fd, const struct peer *peer);
/* Its call is told, the descriptor closed; the memory goes with clients_reap(). */
void client_close(struct client *client);
struct client *client_free(struct client *client);
