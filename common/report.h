/* Records for the systemd journal, from any thread, without ever waiting for it:
 * sd_journal_sendv(3) blocks when journald stalls, so a thread of its own calls it, behind a
 * bounded queue. When the queue is full a record is dropped and counted, and one `events lost`
 * record with the count follows when there is room. Every record carries CODEX_SEQ, which grows by
 * one per record of this process (_PID), dropped ones included: a gap is a loss.
 *
 * Never in a record: prompts, item text, command lines, environment, keys. */
#pragma once

#include "cleanup.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Table in report-events.c: word (CODEX_EVENT), MESSAGE_ID, priority. The ids are interface. */
enum report_event {
        REPORT_DAEMON_READY,
        REPORT_DAEMON_STOPPING,
        REPORT_CONFIG_LOADED,
        REPORT_CONFIG_REJECTED,
        REPORT_SUPERVISOR_DIED,
        REPORT_JOB_QUEUED,
        REPORT_JOB_REJECTED,
        REPORT_JOB_STARTED,
        REPORT_JOB_SLOW,
        REPORT_JOB_STALLED,
        REPORT_JOB_CANCELLING,
        REPORT_JOB_FINISHED,
        REPORT_JOB_LOST,
        REPORT_WORKER_SPAWNED,
        REPORT_WORKER_READY,
        REPORT_WORKER_ADOPTED,
        REPORT_WORKER_RETIRED,
        REPORT_WORKER_CRASHED,
        REPORT_KILL_ESCALATED,
        REPORT_PRIVILEGE_VERIFY_FAILED,
        REPORT_THREAD_STARTED,
        REPORT_THREAD_RESUMED,
        REPORT_TURN_STARTED,
        REPORT_TURN_COMPLETED,
        REPORT_TURN_FAILED,
        REPORT_ITEM_STARTED,
        REPORT_ITEM_COMPLETED,
        REPORT_EVENTS_LOST,
        _REPORT_EVENT_MAX
};
const char *report_event_word(enum report_event event); /* "job-finished"; static */
const char *report_event_id(enum report_event event);   /* 32 hex digits; static */
int report_event_priority(enum report_event event);     /* syslog(3) */

struct reporter;
/* Starts the thread. `identifier` (copied) becomes SYSLOG_IDENTIFIER, `queue_max` is at least 1.
 * 0, -ENOMEM, -EAGAIN (no thread). */
int reporter_new(struct reporter **ret, const char *identifier, size_t queue_max);
/* Sends what is queued, for at most `timeout_ms`, then ends the thread; NULL is fine. A thread that
 * hangs in a stalled journald is left behind, and ends when it can. */
struct reporter *reporter_free_timeout(struct reporter *reporter, unsigned timeout_ms);
static inline struct reporter *reporter_free(struct reporter *reporter)
{
        return reporter_free_timeout(reporter, 2000);
}
DEFINE_CLEANUP(struct reporter *, reporter_free);

#define REPORT_FIELDS_MAX 40 /* the caller's; more are left out */
#define REPORT_FIELD_MAX                                                                           \
        2048 /* bytes of one "NAME=value"; longer values are cut at a character                    \
              */

/* One record: `fields` is a NULL-terminated array of "NAME=value" (NULL: none), `message` the
 * format of what a person reads; all is copied. MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER,
 * CODEX_EVENT and CODEX_SEQ are added. Returns at once, whatever journald does. A NULL reporter
 * drops the record. */
void report(struct reporter *reporter, enum report_event event, const char *const *fields,
            const char *message, ...) __attribute__((format(printf, 4, 5)));
/* The same with another priority than the table's: a job.finished that failed is no info. */
void report_at(struct reporter *reporter, enum report_event event, int priority,
               const char *const *fields, const char *message, ...)
        __attribute__((format(printf, 5, 6)));

/* Builds such an array without malloc; points into itself, so it is not to be copied. A field whose
 * value is empty is left out, as is one that does not fit any more. */
struct report_fields {
        size_t used, n;
        const char *fields[REPORT_FIELDS_MAX + 1];
        char bytes[8192];
};
static inline void report_fields_init(struct report_fields *f) /* or = {0}, which clears 8 kB */
{
        f->used = f->n = 0;
        f->fields[0] = NULL;
}
/* `fmt` NULL: left out. */
void report_add(struct report_fields *f, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

struct report_counts {
        uint64_t sent,
                dropped; /* `sent` to libsystemd: it says so even where no journald listens */
        uint64_t failed; /* refused by libsystemd */
        size_t queued;
};
void reporter_counts(struct reporter *reporter, struct report_counts *ret);

/* For tests: `send` in the place of sd_journal_sendv(3), called from the reporter's thread. */
struct iovec;
typedef int report_send(const struct iovec *fields, int n, void *data);
int reporter_new_for_test(struct reporter **ret, const char *identifier, size_t queue_max,
                          report_send *send, void *data);
