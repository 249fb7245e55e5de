#include "later.h"

static void on_idle(struct ev_loop *loop, ev_idle *idle, int revents)
{
}

static void on_check(struct ev_loop *loop, ev_check *check, int revents)
{
        struct laters *laters = container_of(check, struct laters, check);
        struct list turn;

        if (list_empty(&laters->ready))
                return;
        /* What is pushed from here on belongs to the next turn. */
        turn = laters->ready;
        turn.next->prev = turn.prev->next = &turn;
        list_init(&laters->ready);
        while (!list_empty(&turn)) {
                struct later *later = list_entry(turn.next, struct later, link);

                list_remove(&later->link);
                later->run(later);
        }
        if (list_empty(&laters->ready))
                ev_idle_stop(loop, &laters->idle);
}

void laters_init(struct laters *laters, struct ev_loop *loop)
{
        laters->loop = loop;
        list_init(&laters->ready);
        ev_check_init(&laters->check, on_check);
        ev_idle_init(&laters->idle, on_idle);
        ev_check_start(loop, &laters->check);
}

void laters_done(struct laters *laters)
{
        if (!laters->loop)
                return;
        ev_check_stop(laters->loop, &laters->check);
        ev_idle_stop(laters->loop, &laters->idle);
        LIST_FOREACH (later, &laters->ready, struct later, link)
                list_remove(&later->link);
        laters->loop = NULL;
}

void later_push(struct laters *laters, struct later *later)
{
        if (later->link.next || !laters->loop)
                return;
        list_append(&laters->ready, &later->link);
        ev_idle_start(laters->loop, &laters->idle);
}

void later_cancel(struct later *later)
{
        list_remove(&later->link);
}
