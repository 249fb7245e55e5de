#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A journal that can be stopped, and keeps what it got. */
struct journal {
        pthread_mutex_t lock;
        pthread_cond_t change;
        bool stopped;
        int answer;
        size_t n;
        char *records[4096]; /* "NAME=value\x1f" each */
};

static struct journal journal = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                 .change = PTHREAD_COND_INITIALIZER};

static int take(const struct iovec *fields, int n, void *data)
{
        struct journal *j = data;
        size_t room = 1;
        char *record, *to;
        int r;

        for (int i = 0; i < n; i++)
                room += fields[i].iov_len + 1;
        to = record = malloc(room);
        if (!record)
                abort();
        for (int i = 0; i < n; i++) {
                to = mempcpy(to, fields[i].iov_base, fields[i].iov_len);
                *to++ = '\x1f';
        }
        *to = '\0';
        (void) pthread_mutex_lock(&j->lock);
        while (j->stopped)
                (void) pthread_cond_wait(&j->change, &j->lock);
        r = j->answer;
        if (j->n < N_ELEMENTS(j->records))
                j->records[j->n++] = TAKE_PTR(record);
        (void) pthread_cond_broadcast(&j->change);
        (void) pthread_mutex_unlock(&j->lock);
        free(record);
        return r;
}

static void set_stopped(bool stopped)
{
        (void) pthread_mutex_lock(&journal.lock);
        journal.stopped = stopped;
        (void) pthread_cond_broadcast(&journal.change);
        (void) pthread_mutex_unlock(&journal.lock);
}

static void wait_for(size_t n)
{
        (void) pthread_mutex_lock(&journal.lock);
        while (journal.n < n)
                (void) pthread_cond_wait(&journal.change, &journal.lock);
        (void) pthread_mutex_unlock(&journal.lock);
}

static int reset(void **unused)
{
        for (size_t i = 0; i < journal.n; i++)
                free(journal.records[i]);
        journal.n = 0;
        journal.answer = 0;
        journal.stopped = false;
        return 0;
}

static struct reporter *make(size_t queue_max)
{
        struct reporter *reporter = NULL;

        assert_int_equal(reporter_new_for_test(&reporter, "codexd-test", queue_max, take, &journal),
                         0);
        return reporter;
}

/* The value of a field in the i-th record, or NULL; valid until the next call. */
static const char *field(size_t i, const char *name)
{
        static char value[REPORT_FIELD_MAX + 1];
        size_t n = strlen(name);

        for (const char *p = journal.records[i]; *p; p = strchr(p, '\x1f') + 1)
                if (strncmp(p, name, n) == 0 && p[n] == '=') {
                        size_t length = (size_t) (strchr(p, '\x1f') - p) - n - 1;

                        memcpy(value, p + n + 1, length);
                        value[length] = '\0';
                        return value;
                }
        return NULL;
}

static uint64_t seq(size_t i)
{
        return strtoull(field(i, "CODEX_SEQ"), NULL, 10);
}

static void every_event_has_its_row(void **unused)
{
        for (int i = 0; i < _REPORT_EVENT_MAX; i++) {
                const char *id = report_event_id((enum report_event) i);
                const char *word = report_event_word((enum report_event) i);

                assert_non_null(id);
                assert_non_null(word);
                assert_int_equal(strspn(id, "0123456789abcdef"), 32);
                assert_int_equal(strlen(id), 32);
                assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz-"), strlen(word));
                assert_in_range(report_event_priority((enum report_event) i), LOG_CRIT, LOG_INFO);
                for (int k = 0; k < i; k++) {
                        assert_string_not_equal(id, report_event_id((enum report_event) k));
                        assert_string_not_equal(word, report_event_word((enum report_event) k));
                }
        }
        /* interface: filters and the catalog name them */
        assert_string_equal(report_event_word(REPORT_JOB_FINISHED), "job-finished");
        assert_string_equal(report_event_id(REPORT_JOB_FINISHED),
                            "5dcd65be07b14cd2aa2a971ecbafa7a6");
        assert_int_equal(report_event_priority(REPORT_PRIVILEGE_VERIFY_FAILED), LOG_CRIT);
}

/* "-- ID", "Subject:", "Defined-By:", an empty line and a text, once for each event and nothing
 * else. */
static void the_catalog_has_every_event_once(void **unused)
{
        FILE *file = fopen(CATALOG, "re");
        unsigned seen[_REPORT_EVENT_MAX] = {0};
        char line[1024];
        int entry = -1, lines = 0;
        bool subject = false, defined = false;

        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
                line[strcspn(line, "\n")] = '\0';
                assert_true(strlen(line) < 200);
                if (strncmp(line, "-- ", 3) == 0) {
                        if (entry >= 0 && (!subject || !defined || lines < 2))
                                fail_msg("incomplete: %s",
                                         report_event_word((enum report_event) entry));
                        subject = defined = false;
                        lines = 0;
                        for (entry = 0; entry < _REPORT_EVENT_MAX; entry++)
                                if (strcmp(line + 3, report_event_id((enum report_event) entry)) ==
                                    0)
                                        break;
                        if (entry == _REPORT_EVENT_MAX)
                                fail_msg("no event has the id %s", line + 3);
                        seen[entry]++;
                } else if (strncmp(line, "Subject: ", 9) == 0) {
                        subject = true;
                } else if (strncmp(line, "Defined-By: ", 12) == 0) {
                        defined = true;
                } else if (line[0] && line[0] != '#') {
                        lines++;
                }
                /* @FIELD@: ours or the journal's, by their form */
                for (char *p = line; (p = strchr(p, '@')); p++) {
                        size_t n = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

                        if (n == 0 || p[n + 1] != '@')
                                fail_msg("no field: %s", line);
                        p += n + 1;
                }
        }
        assert_true(subject && defined && lines >= 2);
        for (int i = 0; i < _REPORT_EVENT_MAX; i++)
                if (seen[i] != 1)
                        fail_msg("%s: %u entries", report_event_word((enum report_event) i),
                                 seen[i]);
        (void) fclose(file);
}

static void one_record(void **unused)
{
        struct reporter *reporter = make(10);
        struct report_fields f;

        report_fields_init(&f);
        report_add(&f, "CODEX_JOB", "%d", 7);
        report_add(&f, "CODEX_OWNER", "%s", "");      /* left out */
        report_add(&f, "CODEX_THREAD", NULL);         /* left out */
        report_add(&f, "CODEX_REASON", "two\nlines"); /* sent by length: no field of its own */
        report(reporter, REPORT_JOB_STARTED, f.fields, "job %d: %s", 7, "started");
        report(reporter, REPORT_JOB_FINISHED, NULL, "%s", "done");
        report_at(reporter, REPORT_JOB_FINISHED, LOG_ERR, NULL, "failed");
        (void) reporter_free(reporter);

        assert_int_equal(journal.n, 3);
        assert_string_equal(journal.records[0], "MESSAGE=job 7: started\x1f"
                                                "MESSAGE_ID=c7036ba48985485d9a806a09dc6f92d9\x1f"
                                                "PRIORITY=6\x1f"
                                                "SYSLOG_IDENTIFIER=codexd-test\x1f"
                                                "CODEX_EVENT=job-started\x1f"
                                                "CODEX_JOB=7\x1f"
                                                "CODEX_REASON=two\nlines\x1f"
                                                "CODEX_SEQ=1\x1f");
        assert_int_equal(seq(1), 2);
        assert_string_equal(field(1, "PRIORITY"), "6");
        assert_string_equal(field(2, "PRIORITY"), "3");
        report(NULL, REPORT_JOB_STARTED, NULL, "nobody listens");
        assert_null(reporter_free(NULL));
}

static bool is_utf8(const char *text)
{
        for (; *text; text++) {
                unsigned char c = (unsigned char) *text;

                for (int tail = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0; tail > 0; tail--)
                        if (((unsigned char) *++text & 0xc0) != 0x80)
                                return false;
        }
        return true;
}

static void long_values_are_cut_at_a_character(void **unused)
{
        static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac",
                                                 "\xf0\x9f\x98\x80"};

        for (size_t k = 0; k < N_ELEMENTS(characters); k++) {
                size_t width = strlen(characters[k]);

                for (size_t shift = 0; shift < 4; shift++) {
                        char text[12001] = {0};
                        char raw[5000] = "CODEX_RAW=";
                        const char *const fields[] = {raw, NULL};
                        struct report_fields f;
                        struct reporter *reporter = make(10);

                        memset(text, 'a', shift);
                        for (size_t i = shift; i + width < sizeof text; i += width)
                                memcpy(text + i, characters[k], width);
                        memcpy(raw + 10, text, sizeof raw - 11);
                        report_fields_init(&f);
                        for (int i = 0; i < 6; i++) /* more than there is room for */
                                report_add(&f, "CODEX_REASON", "%s", text);
                        assert_true(f.n >= 3 && f.n < 6);
                        report(reporter, REPORT_JOB_STARTED, f.fields, "%s", text);
                        report(reporter, REPORT_JOB_STARTED, fields, "%s", "");
                        (void) reporter_free(reporter);

                        assert_int_equal(journal.n, 2);
                        assert_true(is_utf8(journal.records[0]));
                        assert_in_range(strlen(field(0, "MESSAGE")), REPORT_FIELD_MAX - 12,
                                        REPORT_FIELD_MAX - 8);
                        assert_in_range(strlen(field(0, "CODEX_REASON")), REPORT_FIELD_MAX - 17,
                                        REPORT_FIELD_MAX - 13);
                        assert_true(is_utf8(journal.records[1]));
                        assert_in_range(strlen(field(1, "CODEX_RAW")), REPORT_FIELD_MAX - 14,
                                        REPORT_FIELD_MAX - 10);
                        (void) reset(NULL);
                }
        }
}

static void too_many_fields_are_left_out(void **unused)
{
        const char *fields[REPORT_FIELDS_MAX + 20];
        struct reporter *reporter = make(10);
        struct report_fields f;

        for (size_t i = 0; i < N_ELEMENTS(fields) - 1; i++)
                fields[i] = "CODEX_X=1";
        fields[N_ELEMENTS(fields) - 1] = NULL;
        report(reporter, REPORT_JOB_STARTED, fields, "many");
        report_fields_init(&f);
        for (int i = 0; i < REPORT_FIELDS_MAX + 20; i++)
                report_add(&f, "CODEX_X", "1");
        assert_int_equal(f.n, REPORT_FIELDS_MAX);
        report(reporter, REPORT_JOB_STARTED, f.fields, "many");
        (void) reporter_free(reporter);
        assert_int_equal(journal.n, 2);
        assert_int_equal(seq(1), 2);
}

static uint64_t now_ms(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static void a_stopped_journal_stops_nobody(void **unused)
{
        enum { QUEUE = 20, RECORDS = 1000 };
        struct reporter *reporter = make(QUEUE);
        struct report_counts counts;
        uint64_t lost = 0, expected = 1, dropped;
        bool told = false;

        set_stopped(true);
        for (int i = 0; i < RECORDS; i++)
                report(reporter, REPORT_JOB_STARTED, NULL, "record %d", i);
        reporter_counts(reporter, &counts);
        assert_true(counts.queued <= QUEUE);
        /* the one in the thread's hands beside them */
        assert_in_range(counts.dropped, RECORDS - QUEUE - 1, RECORDS - QUEUE);
        dropped = counts.dropped;
        set_stopped(false);
        wait_for(RECORDS - dropped + 1);
        report(reporter, REPORT_JOB_FINISHED, NULL, "after");
        (void) reporter_free(reporter);

        assert_int_equal(journal.n, RECORDS - dropped + 2);
        for (size_t i = 0; i < journal.n; i++) {
                assert_true(seq(i) >= expected); /* in order */
                lost += seq(i) - expected;
                expected = seq(i) + 1;
                if (strcmp(field(i, "CODEX_EVENT"), "events-lost") == 0) {
                        assert_false(told); /* once for all of them */
                        told = true;
                        assert_int_equal(strtoull(field(i, "CODEX_LOST"), NULL, 10), dropped);
                }
        }
        assert_true(told);
        assert_int_equal(lost, dropped); /* the gaps are the losses */
}

static void a_wedged_journal_does_not_hold_up_the_end(void **unused)
{
        struct reporter *reporter = make(20);
        uint64_t before;

        set_stopped(true);
        report(reporter, REPORT_JOB_STARTED, NULL, "one");
        report(reporter, REPORT_JOB_STARTED, NULL, "two");
        before = now_ms();
        (void) reporter_free_timeout(reporter, 50);
        assert_in_range(now_ms() - before, 50, 5000);
        set_stopped(false); /* the thread left behind ends, and frees */
        wait_for(1);
}

static void failures_are_counted(void **unused)
{
        struct reporter *reporter = make(20);
        struct report_counts counts;

        journal.answer = -EINVAL;
        report(reporter, REPORT_JOB_STARTED, NULL, "one");
        do
                reporter_counts(reporter, &counts);
        while (counts.failed == 0);
        assert_int_equal(counts.sent, 0);
        (void) reporter_free(reporter);
}

static void *shout(void *data)
{
        for (int i = 0; i < 200; i++)
                report(data, REPORT_ITEM_STARTED, NULL, "item %d", i);
        return NULL;
}

static void many_threads(void **unused)
{
        struct reporter *reporter = make(4096);
        pthread_t threads[8];

        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, shout, reporter), 0);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void) reporter_free(reporter);
        assert_int_equal(journal.n, 1600);
        for (size_t i = 0; i < journal.n; i++)
                assert_int_equal(seq(i), i + 1);
}

/* The journald behind the socket, if it is a process of its own (then a test's own: on a booted
 * host the socket belongs to PID 1); else 0. */
static pid_t journald_pid(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX,
                                      .sun_path = "/run/systemd/journal/stdout"};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct ucred peer = {0};
        socklen_t n = sizeof peer;
        char path[64], comm[32] = "";
        FILE *file;

        if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
                (void) getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
        (void) close(fd);
        (void) snprintf(path, sizeof path, "/proc/%d/comm", peer.pid);
        file = fopen(path, "re");
        if (file) {
                (void) !fgets(comm, sizeof comm, file);
                (void) fclose(file);
        }
        return strncmp(comm, "systemd-journal", 15) == 0 && peer.pid > 1 ? peer.pid : 0;
}

/* How many records of this process journalctl finds with this further match. */
static unsigned found(const char *match)
{
        char command[300], line[256];
        unsigned n = 0;
        FILE *out;

        (void) snprintf(command, sizeof command,
                        "journalctl --sync && journalctl -q --no-pager -o cat _PID=%d %s", getpid(),
                        match);
        out = popen(command, "re");
        assert_non_null(out);
        while (fgets(line, sizeof line, out))
                n++;
        assert_int_equal(pclose(out), 0);
        return n;
}

static void a_real_journald(void **unused)
{
        enum { QUEUE = 50, RECORDS = 3000 };
        struct reporter *reporter = NULL;
        struct report_counts counts;
        pid_t pid = journald_pid();
        uint64_t before;

        if (access("/run/systemd/journal/socket", W_OK) < 0) {
                print_message("no journald here: not tested against a real one\n");
                skip();
        }
        assert_int_equal(reporter_new(&reporter, "codexd-test", QUEUE), 0);
        report(reporter, REPORT_JOB_STARTED, (const char *const[]){"CODEX_JOB=77", NULL}, "real");
        do
                reporter_counts(reporter, &counts);
        while (counts.sent < 1);
        assert_int_equal(found("CODEX_JOB=77 CODEX_EVENT=job-started CODEX_SEQ=1 PRIORITY=6 "
                               "MESSAGE_ID=c7036ba48985485d9a806a09dc6f92d9 "
                               "SYSLOG_IDENTIFIER=codexd-test"),
                         1);
        if (pid == 0) {
                (void) reporter_free(reporter);
                print_message("journald is not ours to stop: not tested stopped\n");
                skip();
        }

        assert_int_equal(kill(pid, SIGSTOP), 0);
        before = now_ms();
        for (int i = 0; i < RECORDS; i++)
                report(reporter, REPORT_ITEM_STARTED, NULL, "item %d", i);
        assert_true(now_ms() - before < 2000);
        reporter_counts(reporter, &counts);
        assert_true(counts.queued <= QUEUE);
        assert_true(counts.dropped > 0);
        assert_int_equal(kill(pid, SIGCONT), 0);
        (void) reporter_free_timeout(reporter, 20000);
        assert_int_equal(found("CODEX_EVENT=events-lost"), 1);
        assert_int_equal(found("CODEX_EVENT=item-started"), RECORDS - counts.dropped);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_event_has_its_row),
                cmocka_unit_test(the_catalog_has_every_event_once),
                cmocka_unit_test_teardown(one_record, reset),
                cmocka_unit_test_teardown(long_values_are_cut_at_a_character, reset),
                cmocka_unit_test_teardown(too_many_fields_are_left_out, reset),
                cmocka_unit_test_teardown(a_stopped_journal_stops_nobody, reset),
                cmocka_unit_test_teardown(failures_are_counted, reset),
                cmocka_unit_test_teardown(many_threads, reset),
                cmocka_unit_test(a_real_journald),
                cmocka_unit_test_teardown(a_wedged_journal_does_not_hold_up_the_end, reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
