#define SD_JOURNAL_SUPPRESS_LOCATION /* CODE_FILE would always name this one */

#include "report.h"
#include "list.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>

#define OWN_FIELDS 6
#define STACK_SIZE (256 * 1024)

struct record {           /* its bytes behind it, in one allocation */
        struct list link; /* reporter::queue */
        size_t n;
        struct iovec fields[OWN_FIELDS + REPORT_FIELDS_MAX];
        char seq_field[32]; /* known only when it is queued */
};

struct reporter {
        report_send *send;
        void *send_data;
        char *identifier; /* "SYSLOG_IDENTIFIER=..." */
        size_t queue_max;
        pthread_t thread;

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t work, done;
        struct list queue;
        size_t queued;
        uint64_t seq, sent, dropped, failed;
        uint64_t untold; /* dropped since the last events-lost record */
        bool stopping;   /* send what is there, then end */
        bool ended;      /* the thread's last word, so that it can be joined without waiting */
        bool abandoned;  /* nobody waits: the thread frees */
};

static int send_to_journal(const struct iovec *fields, int n, void *unused)
{
        return sd_journal_sendv(fields, n);
}

/* The length of `text` if cut to at most `max` bytes, not in the midst of a UTF-8 character. */
static size_t cut(const char *text, size_t max)
{
        size_t n = strnlen(text, max + 1);

        if (n <= max)
                return n;
        for (n = max; n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80; n--)
                ;
        return n;
}

static char *put(struct record *record, char *to, const char *name, const char *value)
{
        size_t name_n = strlen(name), n = cut(value, REPORT_FIELD_MAX - name_n);

        memcpy(to, name, name_n);
        memcpy(to + name_n, value, n);
        record->fields[record->n++] = (struct iovec){to, name_n + n};
        return to + name_n + n;
}

static struct record *record_new(const struct reporter *reporter, enum report_event event,
                                 int priority, const char *const *fields, const char *message)
{
        char level[4];
        size_t room = 256; /* of which the short ones of our own take some 120 bytes */
        struct record *record;
        char *to;

        room += cut(message, REPORT_FIELD_MAX) + cut(reporter->identifier, REPORT_FIELD_MAX);
        for (size_t i = 0; fields && fields[i] && i < REPORT_FIELDS_MAX; i++)
                room += cut(fields[i], REPORT_FIELD_MAX);
        record = malloc(sizeof *record + room);
        if (!record)
                return NULL;
        record->n = 0;
        to = (char *) (record + 1);
        (void) snprintf(level, sizeof level, "%d", priority & 7);
        to = put(record, to, "MESSAGE=", message);
        to = put(record, to, "MESSAGE_ID=", report_event_id(event));
        to = put(record, to, "PRIORITY=", level);
        to = put(record, to, "", reporter->identifier);
        to = put(record, to, "CODEX_EVENT=", report_event_word(event));
        for (size_t i = 0; fields && fields[i] && i < REPORT_FIELDS_MAX; i++)
                to = put(record, to, "", fields[i]);
        return record;
}

/* With the lock held. */
static void number(struct reporter *reporter, struct record *record)
{
        int n = snprintf(record->seq_field, sizeof record->seq_field, "CODEX_SEQ=%" PRIu64,
                         ++reporter->seq);

        record->fields[record->n++] = (struct iovec){record->seq_field, (size_t) n};
}

static void enqueue(struct reporter *reporter, struct record *record)
{
        number(reporter, record);
        list_append(&reporter->queue, &record->link);
        reporter->queued++;
        (void) pthread_cond_signal(&reporter->work);
}

/* Once half of the queue is free (each time there is any room, it would fill half of it with
 * itself). */
static void tell_of_losses(struct reporter *reporter)
{
        char lost[40], message[80];
        const char *const fields[] = {lost, NULL};
        struct record *record;

        if (reporter->untold == 0 || reporter->queued > reporter->queue_max / 2)
                return;
        (void) snprintf(lost, sizeof lost, "CODEX_LOST=%" PRIu64, reporter->untold);
        (void) snprintf(message, sizeof message,
                        "%" PRIu64 " records were lost while the journal was too slow",
                        reporter->untold);
        record = record_new(reporter, REPORT_EVENTS_LOST, report_event_priority(REPORT_EVENTS_LOST),
                            fields, message);
        if (!record) /* still untold: next time */
                return;
        reporter->untold = 0;
        enqueue(reporter, record);
}

static void destroy(struct reporter *reporter)
{
        LIST_FOREACH (record, &reporter->queue, struct record, link) {
                list_remove(&record->link);
                free(record);
        }
        (void) pthread_cond_destroy(&reporter->work);
        (void) pthread_cond_destroy(&reporter->done);
        (void) pthread_mutex_destroy(&reporter->lock);
        free(reporter->identifier);
        free(reporter);
}

static void *run(void *data)
{
        struct reporter *reporter = data;
        bool abandoned;

        (void) pthread_mutex_lock(&reporter->lock);
        for (;;) {
                struct record *record;
                int r;

                tell_of_losses(reporter);
                while (!reporter->queued && !reporter->stopping)
                        (void) pthread_cond_wait(&reporter->work, &reporter->lock);
                if (reporter->abandoned || !reporter->queued)
                        break;
                record = list_entry(reporter->queue.next, struct record, link);
                list_remove(&record->link);
                reporter->queued--;

                (void) pthread_mutex_unlock(&reporter->lock);
                r = reporter->send(record->fields, (int) record->n, reporter->send_data);
                free(record);
                (void) pthread_mutex_lock(&reporter->lock);
                if (r < 0)
                        reporter->failed++;
                else
                        reporter->sent++;
        }
        reporter->ended = true;
        abandoned = reporter->abandoned;
        (void) pthread_cond_signal(&reporter->done);
        (void) pthread_mutex_unlock(&reporter->lock);
        if (abandoned)
                destroy(reporter);
        return NULL;
}

/* No signal is delivered there: they are the loop's. */
static int start_thread(struct reporter *reporter)
{
        pthread_attr_t attr;
        sigset_t all, old;
        int r;

        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        (void) pthread_attr_setstacksize(&attr, STACK_SIZE);
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&reporter->thread, &attr, run, reporter);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void) pthread_attr_destroy(&attr);
        return -r;
}

int reporter_new_for_test(struct reporter **ret, const char *identifier, size_t queue_max,
                          report_send *send, void *data)
{
        struct reporter *reporter = calloc(1, sizeof *reporter);
        pthread_condattr_t attr;
        int r;

        if (!reporter)
                return -ENOMEM;
        if (asprintf(&reporter->identifier, "SYSLOG_IDENTIFIER=%s", identifier) < 0) {
                free(reporter);
                return -ENOMEM;
        }
        reporter->send = send;
        reporter->send_data = data;
        reporter->queue_max = MAX(queue_max, (size_t) 1);
        list_init(&reporter->queue);
        /* none of these fails in glibc */
        (void) pthread_mutex_init(&reporter->lock, NULL);
        (void) pthread_cond_init(&reporter->work, NULL);
        (void) pthread_condattr_init(&attr);
        (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&reporter->done, &attr);
        (void) pthread_condattr_destroy(&attr);

        r = start_thread(reporter);
        if (r < 0) {
                destroy(reporter);
                return r;
        }
        *ret = reporter;
        return 0;
}

int reporter_new(struct reporter **ret, const char *identifier, size_t queue_max)
{
        return reporter_new_for_test(ret, identifier, queue_max, send_to_journal, NULL);
}

struct reporter *reporter_free_timeout(struct reporter *reporter, unsigned timeout_ms)
{
        struct timespec until;
        pthread_t thread;
        int r = 0;

        if (!reporter)
                return NULL;
        (void) clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }

        thread = reporter->thread;
        (void) pthread_mutex_lock(&reporter->lock);
        reporter->stopping = true;
        (void) pthread_cond_signal(&reporter->work);
        while (!reporter->ended && r == 0)
                r = pthread_cond_timedwait(&reporter->done, &reporter->lock, &until);
        reporter->abandoned = !reporter->ended;
        if (reporter->abandoned) { /* before the unlock: after it, the thread may free all */
                (void) pthread_detach(thread);
                (void) pthread_mutex_unlock(&reporter->lock);
                return NULL;
        }
        (void) pthread_mutex_unlock(&reporter->lock);
        (void) pthread_join(thread, NULL);
        destroy(reporter);
        return NULL;
}

__attribute__((format(printf, 5, 0))) static void report_va(struct reporter *reporter,
                                                            enum report_event event, int priority,
                                                            const char *const *fields,
                                                            const char *message, va_list ap)
{
        char text[REPORT_FIELD_MAX +
                  8]; /* longer than a field: so that put() sees that it was cut */
        struct record *record;

        if (!reporter)
                return;
        (void) vsnprintf(text, sizeof text, message, ap);
        record = record_new(reporter, event, priority, fields, text);

        (void) pthread_mutex_lock(&reporter->lock);
        if (!record || reporter->queued >= reporter->queue_max) {
                reporter->seq++;
                reporter->dropped++;
                reporter->untold++;
        } else {
                enqueue(reporter, TAKE_PTR(record));
        }
        (void) pthread_mutex_unlock(&reporter->lock);
        free(record);
}

void report(struct reporter *reporter, enum report_event event, const char *const *fields,
            const char *message, ...)
{
        va_list ap;

        va_start(ap, message);
        report_va(reporter, event, report_event_priority(event), fields, message, ap);
        va_end(ap);
}

void report_at(struct reporter *reporter, enum report_event event, int priority,
               const char *const *fields, const char *message, ...)
{
        va_list ap;

        va_start(ap, message);
        report_va(reporter, event, priority, fields, message, ap);
        va_end(ap);
}

void report_add(struct report_fields *f, const char *name, const char *fmt, ...)
{
        size_t name_n = strlen(name), room = sizeof f->bytes - f->used, n;
        char *to = f->bytes + f->used;
        va_list ap;
        int value_n;

        if (!fmt || f->n == REPORT_FIELDS_MAX || room < name_n + 2)
                return;
        memcpy(to, name, name_n);
        to[name_n] = '=';
        va_start(ap, fmt);
        value_n = vsnprintf(to + name_n + 1, room - name_n - 1, fmt, ap);
        va_end(ap);
        if (value_n <= 0)
                return;
        n = name_n + 1 + (size_t) value_n;
        if (n > REPORT_FIELD_MAX) {
                if (room < REPORT_FIELD_MAX + 2) /* what was written may end in half a character */
                        return;
                n = cut(to, REPORT_FIELD_MAX);
        } else if (n >= room) {
                return;
        }
        to[n] = '\0';
        f->fields[f->n++] = to;
        f->fields[f->n] = NULL;
        f->used += n + 1;
}

void reporter_counts(struct reporter *reporter, struct report_counts *ret)
{
        if (!reporter) {
                *ret = (struct report_counts){0};
                return;
        }
        (void) pthread_mutex_lock(&reporter->lock);
        *ret = (struct report_counts){
                .sent = reporter->sent,
                .dropped = reporter->dropped,
                .failed = reporter->failed,
                .queued = reporter->queued,
        };
        (void) pthread_mutex_unlock(&reporter->lock);
}
