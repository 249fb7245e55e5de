#include "offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct queue {
        struct offload_item *head, **tail;
};

struct offload {
        struct ev_loop *loop;
        ev_async woken;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t more;
        struct queue todo, told; /* both under `lock` */
        bool end;
};

static void queue_init(struct queue *queue)
{
        queue->head = NULL;
        queue->tail = &queue->head;
}

static void queue_push(struct queue *queue, struct offload_item *item)
{
        item->next = NULL;
        *queue->tail = item;
        queue->tail = &item->next;
}

static struct offload_item *queue_pop(struct queue *queue)
{
        struct offload_item *item = queue->head;

        if (!item)
                return NULL;
        queue->head = item->next;
        if (!queue->head)
                queue->tail = &queue->head;
        return item;
}

static void *work(void *data)
{
        struct offload *offload = data;

        (void) pthread_mutex_lock(&offload->lock);
        for (;;) {
                struct offload_item *item = queue_pop(&offload->todo);

                if (item) {
                        (void) pthread_mutex_unlock(&offload->lock);
                        item->run(item);
                        (void) pthread_mutex_lock(&offload->lock);
                        queue_push(&offload->told, item);
                        ev_async_send(offload->loop, &offload->woken);
                } else if (offload->end) {
                        break;
                } else {
                        (void) pthread_cond_wait(&offload->more, &offload->lock);
                }
        }
        (void) pthread_mutex_unlock(&offload->lock);
        return NULL;
}

static void tell(struct offload *offload)
{
        struct offload_item *item;

        do {
                (void) pthread_mutex_lock(&offload->lock);
                item = queue_pop(&offload->told);
                (void) pthread_mutex_unlock(&offload->lock);
                if (item)
                        item->done(item);
        } while (item);
}

static void on_woken(struct ev_loop *loop, ev_async *woken, int revents)
{
        tell(container_of(woken, struct offload, woken));
}

int offload_new(struct offload **ret, struct ev_loop *loop)
{
        struct offload *offload = calloc(1, sizeof *offload);
        sigset_t all, before;
        int r;

        if (!offload)
                return -ENOMEM;
        offload->loop = loop;
        queue_init(&offload->todo);
        queue_init(&offload->told);
        (void) pthread_mutex_init(&offload->lock, NULL);
        (void) pthread_cond_init(&offload->more, NULL);
        ev_async_init(&offload->woken, on_woken);
        ev_async_start(loop, &offload->woken);
        /* Signals are the loop's: the thread inherits a full mask. */
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&offload->thread, NULL, work, offload);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0) {
                ev_async_stop(loop, &offload->woken);
                free(offload);
                return -r;
        }
        *ret = offload;
        return 0;
}

struct offload *offload_free(struct offload *offload)
{
        if (!offload)
                return NULL;
        (void) pthread_mutex_lock(&offload->lock);
        offload->end = true;
        (void) pthread_cond_signal(&offload->more);
        (void) pthread_mutex_unlock(&offload->lock);
        (void) pthread_join(offload->thread, NULL);
        tell(offload);
        ev_async_stop(offload->loop, &offload->woken);
        (void) pthread_cond_destroy(&offload->more);
        (void) pthread_mutex_destroy(&offload->lock);
        free(offload);
        return NULL;
}

void offload_push(struct offload *offload, struct offload_item *item)
{
        (void) pthread_mutex_lock(&offload->lock);
        queue_push(&offload->todo, item);
        (void) pthread_cond_signal(&offload->more);
        (void) pthread_mutex_unlock(&offload->lock);
}
