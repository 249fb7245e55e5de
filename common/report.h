/* Records for the systemd journal, from any thread, without ever waiting for it: sd_journal_sendv(3)
 * blocks when journald stalls, so a thread of its own calls it, behind a bounded queue. When the queue
 * is full a record is dropped and counted, and one `events lost` record with the count follows when
 * there is room. Every record carries CODEX_SEQ, which grows by one per record of this process (_PID),
 * dropped ones included: a gap is a loss.
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
/* Starts the thread. `identifier` becomes SYSLOG_IDENTIFIER. 0, -ENOMEM, -EAGAIN (no thread). */
int reporter_new(struct reporter **ret, const char *identifier, size_t queue_max);
/* Sends what is queued, for at most `timeout_ms`, then ends the thread; NULL is fine. */
struct reporter *reporter_free_timeout(struct reporter *reporter, unsigned timeout_ms);
static inline struct reporter *reporter_free(struct reporter *reporter)
{
        return reporter_free_timeout(reporter, 2000);
}
DEFINE_CLEANUP(struct reporter *, reporter_free);

#define REPORT_FIELDS_MAX 40
#define REPORT_FIELD_MAX 2048 /* bytes of one "NAME=value"; longer values are cut at a character */

/* One record. After `message` (a format for what a person reads, its arguments first) nothing; fields are given before, as
 * a NULL-terminated array of "NAME=value" strings, all copied. A NULL reporter drops the record. */
void report(struct reporter *reporter, enum report_event event, const char *const *fields,
            const char *message, ...) __attribute__((format(printf, 4, 5)));

/* Builds such an array without malloc at the caller's: fields that are NULL or "" are left out. */
struct report_fields {
        char bytes[8192];
        size_t used;
        const char *fields[REPORT_FIELDS_MAX + 1];
        size_t n;
};
void report_add(struct report_fields *f, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* For tests: counts of the reporter. */
struct report_counts {
        uint64_t sent, dropped, failed;
};
void reporter_counts(struct reporter *reporter, struct report_counts *ret);
