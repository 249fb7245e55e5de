/* The asking end of the wire to the launcher (wire-launch.h). Sends in order and never blocks: what
 * the socket does not take waits here. What comes in is checked and handed on. */
#pragma once

#include "cleanup.h"
#include "wire-launch.h"

#include <ev.h>

struct launch;

struct launch_events {
        /* One checked message. *fd is the descriptor beside it or -EBADF; who keeps it takes it. */
        void (*message)(void *data, const union wire_launch_any *message, int *fd);
        /* The launcher is gone (0), or spoke nonsense (negative errno): there is no going on. */
        void (*end)(void *data, int r);
};

/* Takes `fd` in any case. 0 or -errno. */
int launch_new(struct launch **ret, struct ev_loop *loop, int fd,
               const struct launch_events *events, void *data);
struct launch *launch_free(struct launch *launch);
DEFINE_CLEANUP(struct launch *, launch_free);

/* Seals and sends. `message` needs all but its header; `fd` goes beside it and is duplicated if it
 * has to wait (-EBADF: none). 0 or -ENOMEM, -errno: then nothing was sent. */
int launch_send(struct launch *launch, uint32_t type, void *message, int fd);

/* The messages that need only a number or two. */
int launch_hello(struct launch *launch);
int launch_ping(struct launch *launch, uint32_t type, uint64_t cookie);   /* PONG, RELOAD */
int launch_worker(struct launch *launch, uint32_t type, uint64_t worker); /* RELEASE, FORGET */
int launch_signal(struct launch *launch, uint64_t worker, enum wire_how how);
uint64_t launch_cookie(struct launch *launch); /* a new one, never 0 */
