/* The listening socket and all connections: how many, by whom, and what they may hold together. */
#pragma once

#include "list.h"
#include "peer.h"

#include <ev.h>
#include <stdint.h>

struct supervisor;

#define SERVER_PARTIAL_MAX (128u << 20) /* bytes of unfinished frames of all clients together */

struct server_uid {
        struct list link; /* server::uids */
        uid_t uid;
        uint32_t clients;
};

struct server {
        struct supervisor *sup;
        int fd, reserve_fd; /* `reserve` is given up to accept, and refuse, when there are no more
                             */
        ev_io in;
        ev_timer pause; /* accepting again after the kernel had no memory */
        struct list clients, dead;
        struct list uids;
        uint32_t count;
        size_t partial;
        ev_prepare reap;
};

/* Takes `listen_fd`. 0 or -errno. */
int server_new(struct server **ret, struct supervisor *sup, int listen_fd);
struct server *server_free(struct server *server);
void server_uid_add(struct server *server, uid_t uid);
void server_uid_remove(struct server *server, uid_t uid);
