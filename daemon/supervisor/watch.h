/* Who wants to know when a file grows: one inotify descriptor for all of them. */
#pragma once

#include "cleanup.h"
#include "list.h"

#include <ev.h>

struct watches;
struct watch {            /* embedded in its owner */
        struct list link; /* watches::all; zeroed: watches nothing */
        int wd;
        void (*grown)(struct watch *watch); /* may also be called for nothing */
};

int watches_new(struct watches **ret, struct ev_loop *loop);
struct watches *watches_free(struct watches *watches);
DEFINE_CLEANUP(struct watches *, watches_free);

/* By descriptor: what is open is what is watched. 0 or -errno. */
int watch_start(struct watches *watches, struct watch *watch, int fd);
void watch_stop(struct watches *watches, struct watch *watch);
