#include "watch.h"
#include "fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BUCKETS 256 /* inotify counts its watches up: neighbours fall into different ones */

struct watches {
        struct ev_loop *loop;
        int fd;
        ev_io io;
        struct list all[BUCKETS];
};

static struct watch *find(struct watches *watches, int wd)
{
        struct list *bucket = &watches->all[(unsigned) wd % BUCKETS];

        LIST_FOREACH (watch, bucket, struct watch, link)
                if (watch->wd == wd)
                        return watch;
        return NULL;
}

/* The queue was too short: somebody grew, nobody knows who. */
static void tell_all(struct watches *watches)
{
        for (size_t i = 0; i < BUCKETS; i++)
                LIST_FOREACH (watch, &watches->all[i], struct watch, link)
                        watch->grown(watch);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
        struct watches *watches = container_of(io, struct watches, io);
        union {
                char bytes[4096];
                struct inotify_event align;
        } buffer;
        ssize_t n = read(watches->fd, buffer.bytes, sizeof buffer.bytes);

        for (ssize_t at = 0; at + (ssize_t) sizeof(struct inotify_event) <= n;) {
                const struct inotify_event *event = (const void *) (buffer.bytes + at);
                struct watch *watch = find(watches, event->wd);

                at += (ssize_t) (sizeof *event + event->len);
                if (event->mask & IN_Q_OVERFLOW)
                        tell_all(watches);
                else if (watch)
                        watch->grown(watch);
        }
}

int watches_new(struct watches **ret, struct ev_loop *loop)
{
        struct watches *watches = calloc(1, sizeof *watches);

        if (!watches)
                return -ENOMEM;
        watches->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watches->fd < 0) {
                int r = -errno;

                free(watches);
                return r;
        }
        for (size_t i = 0; i < BUCKETS; i++)
                list_init(&watches->all[i]);
        watches->loop = loop;
        ev_io_init(&watches->io, on_io, watches->fd, EV_READ);
        ev_io_start(loop, &watches->io);
        *ret = watches;
        return 0;
}

struct watches *watches_free(struct watches *watches)
{
        if (!watches)
                return NULL;
        ev_io_stop(watches->loop, &watches->io);
        (void) fd_close(watches->fd);
        free(watches);
        return NULL;
}

int watch_start(struct watches *watches, struct watch *watch, int fd)
{
        char path[64];

        (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        watch->wd = inotify_add_watch(watches->fd, path, IN_MODIFY);
        if (watch->wd < 0)
                return -errno;
        list_append(&watches->all[(unsigned) watch->wd % BUCKETS], &watch->link);
        return 0;
}

void watch_stop(struct watches *watches, struct watch *watch)
{
        if (!watch->link.next)
                return;
        list_remove(&watch->link);
        (void) inotify_rm_watch(watches->fd, watch->wd);
}
