/* One thread for what would block the loop: parsing a large frame, writing what must be durable.
 * Items run in the order they were pushed, and are told back on the loop in that order. */
#pragma once

#include "cleanup.h"

#include <ev.h>

struct offload;
struct offload_item { /* lives inside what it works on */
        struct offload_item *next;
        void (*run)(struct offload_item *item);  /* on the thread: touches only its own object */
        void (*done)(struct offload_item *item); /* on the loop; may free the item */
};

/* 0, -ENOMEM or -EAGAIN (no thread). */
int offload_new(struct offload **ret, struct ev_loop *loop);
/* Runs what is queued to its end, tells it back (so that nobody waits for ever), ends the thread.
 */
struct offload *offload_free(struct offload *offload);
DEFINE_CLEANUP(struct offload *, offload_free);

void offload_push(struct offload *offload, struct offload_item *item);
