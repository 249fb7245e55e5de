#include "attach.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGET 262144u /* bytes scanned in one turn of the loop */
#define EVENTS 512
#define CHUNK  32768u
#define HEAD   128u

struct attach {
        struct task_reader reader;
        struct later later;
        struct call *call;
        struct task *task; /* stays while we are among its readers */
        struct stream *stream;
        uint64_t from_seq;
        bool closed; /* the stream was told that nothing more comes */

        /* The event under way: what of it is still to be copied. */
        bool has_event, head_done;
        struct stream_event event;
        uint64_t copied;
        bool last;
};

static void attach_free(struct attach *attach)
{
        later_cancel(&attach->later);
        task_reader_remove(&attach->reader);
        stream_free(attach->stream);
        free(attach);
}

static void on_gone(struct call *call)
{
        attach_free(call->data);
}

static void end(struct attach *attach)
{
        struct call *call = attach->call;

        call->gone = NULL;
        call->writable = NULL;
        attach_free(attach);
        call_end(call);
}

static void fail(struct attach *attach, int r)
{
        struct call *call = attach->call;
        struct error error;

        (void) error_set_errno(&error, r == -ENOMEM ? ERROR_NO_MEMORY : ERROR_INTERNAL, -r,
                               "reading the job's events");
        call->gone = NULL;
        call->writable = NULL;
        attach_free(attach);
        call_error(call, &error, 0);
}

static bool is_last(const struct stream_event *event)
{
        static const char type[] = "{\"type\":\"job.finished\"";

        return event->source == STREAM_OWN && event->text && event->size > sizeof type - 1 &&
               memcmp(event->text, type, sizeof type - 1) == 0;
}

enum { WAIT, AGAIN, FULL }; /* for an event of the job; the next turn of the loop; the client */

/* Copies of the event under way what there is room for. 1 done, 0 no room, negative errno. */
static int copy_event(struct attach *attach)
{
        const struct stream_event *event = &attach->event;
        struct call *call = attach->call;
        char chunk[CHUNK];
        const char *tail;
        int r;

        if (call_room(call) < HEAD)
                return 0;
        if (!attach->head_done) {
                int n = varlink_event_head(chunk, sizeof chunk, event->seq, event->time_usec);

                r = call_append(call, chunk, (size_t) n);
                if (r < 0)
                        return r;
                attach->head_done = true;
        }
        while (attach->copied < event->size) {
                size_t want = MIN(event->size - attach->copied, MIN(call_room(call), CHUNK));
                ssize_t n = (ssize_t) want;

                if (want == 0)
                        return 0;
                if (event->text) {
                        r = call_append(call, event->text + attach->copied, want);
                } else {
                        n = pread(event->fd, chunk, want, (off_t) (event->offset + attach->copied));
                        if (n <= 0) /* shorter than it was: somebody cut our file */
                                return n < 0 ? -errno : -EIO;
                        r = call_append(call, chunk, (size_t) n);
                }
                if (r < 0)
                        return r;
                attach->copied += (uint64_t) n;
        }
        tail = varlink_event_tail(call->more && !attach->last);
        r = call_append(call, tail, strlen(tail));
        if (r == 0)
                r = call_append_terminator(call);
        return r < 0 ? r : 1;
}

/* The next event to be sent: 1; 0 there is none yet; -EAGAIN later; or another negative errno. */
static int next_event(struct attach *attach)
{
        int r = stream_next(attach->stream, BUDGET, &attach->event);

        if (r <= 0)
                return r;
        attach->last = is_last(&attach->event);
        attach->has_event = attach->event.seq >= attach->from_seq || attach->last;
        attach->head_done = false;
        attach->copied = 0;
        return 1;
}

static void look_at_task(struct attach *attach)
{
        const struct task *task = attach->task;

        if (task->raw_fd >= 0) /* -EBUSY: it has them */
                (void) stream_set_raw(attach->stream, task->raw_fd, task->index_fd);
        if ((task->gone || task->finishing || task->ended) && !attach->closed) {
                stream_close_raw(attach->stream);
                attach->closed = true;
        }
}

/* What it waits for now, or negative errno. */
static int pump(struct attach *attach, bool *ret_done)
{
        uint64_t taken = 0;
        int r;

        for (unsigned i = 0; i < EVENTS && taken < BUDGET; i++) {
                if (!attach->has_event) {
                        r = next_event(attach);
                        if (r == -EAGAIN)
                                return AGAIN;
                        if (r == 0) /* ended, and its end is missing: nothing to wait for */
                                return attach->task->ended ? -ENODATA : WAIT;
                        if (r < 0)
                                return r;
                        taken += attach->event.size;
                        if (!attach->has_event)
                                continue;
                }
                /* Committed before it is sent: the last one is durable when the task has ended. */
                if (attach->last && !attach->task->ended)
                        return WAIT;
                r = copy_event(attach);
                if (r <= 0)
                        return r < 0 ? r : FULL;
                attach->has_event = attach->head_done = false;
                *ret_done = attach->last || !attach->call->more;
                if (*ret_done)
                        return WAIT;
        }
        return AGAIN;
}

static void run(struct later *later)
{
        struct attach *attach = container_of(later, struct attach, later);
        bool done = false;
        int r;

        look_at_task(attach);
        r = pump(attach, &done);
        if (r < 0 && !attach->head_done) {
                fail(attach, r);
                return;
        }
        if (r < 0) { /* in the middle of an event there is nothing to be said any more */
                client_close(attach->call->client);
                return;
        }
        if (done) {
                end(attach);
                return;
        }
        if (call_flush(attach->call) < 0) /* the client is closed, and we with it */
                return;
        /* A full queue that the socket took at once will not be told writable. */
        if (r == AGAIN || (r == FULL && call_room(attach->call) >= CLIENT_QUEUE_MAX / 2))
                later_push(&attach->task->sup->laters, &attach->later);
}

static void on_changed(struct task_reader *reader)
{
        struct attach *attach = container_of(reader, struct attach, reader);

        later_push(&attach->task->sup->laters, &attach->later);
}

static void on_writable(struct call *call)
{
        struct attach *attach = call->data;

        later_push(&attach->task->sup->laters, &attach->later);
}

void attach_begin(struct call *call, struct task *task, uint64_t from_seq)
{
        struct attach *attach = calloc(1, sizeof *attach);
        int r = attach ? task_open_stream(task, &attach->stream) : -ENOMEM;

        if (r < 0) {
                struct error error;

                (void) error_set_errno(&error, r == -ENOMEM ? ERROR_NO_MEMORY : ERROR_INTERNAL, -r,
                                       "opening the job's events");
                free(attach);
                call_error(call, &error, 0);
                return;
        }
        attach->call = call;
        attach->task = task;
        attach->from_seq = from_seq;
        attach->reader.changed = on_changed;
        attach->later.run = run;
        task_reader_add(task, &attach->reader);
        call->data = attach;
        call->gone = on_gone;
        call->writable = on_writable;
        later_push(&task->sup->laters, &attach->later);
}
