/* Work that goes on in the next turn of the loop: whoever has used up its budget stands at the end
 * of this queue, so that no job, however loud, and no reader, however far behind, stops the rest.
 */
#pragma once

#include "list.h"

#include <ev.h>

struct later {
        struct list link; /* laters::ready; zeroed: not queued */
        void (*run)(struct later *later);
};

struct laters {
        struct ev_loop *loop;
        struct list ready;
        ev_check check;
        ev_idle idle; /* runs while `ready` is not empty: then the loop does not sleep */
};

void laters_init(struct laters *laters, struct ev_loop *loop);
void laters_done(struct laters *laters); /* what is still queued is forgotten */
/* Runs it once in the next turn; harmless if it is queued already. */
void later_push(struct laters *laters, struct later *later);
void later_cancel(struct later *later);
