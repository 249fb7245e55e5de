/* A job as the supervisor holds it: core's job, its directory, its stream and what it says, its
 * worker. From Submit to the day it is forgotten.
 *
 *   submit.c   makes it durable and lets it in          task-start.c   until its worker runs
 *   task-follow.c reads its events                      task-end.c     until job.finished is
 * durable tasks.c    the table: order, limits, retention      recover.c      those from before a
 * restart */
#pragma once

#include "jobfile.h"
#include "list.h"
#include "policy.h"
#include "request.h"
#include "stream.h"
#include "supervisor.h"
#include "turn.h"

struct task;

/* What a stop of a job's stream wakes: a client's Attach, a Wait. Embedded. */
struct task_reader {
        struct list link;                            /* task::readers */
        void (*changed)(struct task_reader *reader); /* events, files or the end: look again */
};

struct task {
        struct list link;       /* supervisor::tasks */
        struct supervisor *sup; /* borrowed */
        struct job *job;
        struct request *request; /* NULL once it ended */

        /* as RESOLVED said */
        uint64_t generation, device, inode; /* generation 0: to be resolved again */
        uint8_t digest[WIRE_DIGEST_SIZE];
        char user[64], sandbox_mode[24];
        bool network;

        /* microseconds since the epoch; 0: not yet */
        uint64_t queued_usec, started_usec, finished_usec;
        uint64_t spawn_usec; /* a duration */
        uint32_t pid;

        int own_fd, raw_fd, index_fd;
        struct stream *stream;
        struct watch watch; /* on the index: its entries follow the bytes */
        struct later follow;
        struct turn turn;
        uint64_t next_seq; /* of the merged stream, as far as it was read */
        uint64_t reported; /* events below this seq were told to the journal: the cursor */
        bool cursor_due;

        struct ask ask; /* RESOLVE or START under way */
        unsigned tries; /* of START, after STALE_GENERATION */
        ev_timer timer; /* slow start; later: the grace after EXITED; then a retry of `end` */
        uint64_t stdout_closed_usec;

        bool durable;          /* in its directory; may start */
        struct error mismatch; /* thread.started named another thread: not an answer */
        bool recovered;        /* from before a restart */
        bool adopted;          /* its worker was told to us: by STARTED, or after a restart */
        bool has_started;      /* job.started is in its own events */
        bool exited, gone;     /* of its worker */
        bool slow;             /* reported as such */
        bool finishing;        /* the result stands: job.finished follows the last event */
        bool ending;           /* job.finished is being written */
        bool ended;            /* ... and durable */
        int32_t status;
        uint32_t flags; /* WIRE_WORKER_* */
        uint64_t exited_usec;

        struct list readers;
        struct task_end *end; /* task-end.c's, while `ending` */
};

/* Takes `job` and `request`. NULL: no memory, and nothing was taken. */
struct task *task_new(struct supervisor *sup, struct job *job, struct request *request);
/* Leaves pool and table first, if it is there. */
struct task *task_free(struct task *task);
DEFINE_CLEANUP(struct task *, task_free);

struct task *task_find(struct supervisor *sup, uint64_t id); /* or NULL */
struct task *task_of(struct job *job);

/* The varlink type Job; NULL: no memory. */
json_t *task_to_json(const struct task *task);
const char *task_state_name(const struct task *task);
json_t *task_failure_json(const struct error *error);
void task_failure_read(json_t *json, struct error *error); /* the reverse; ERROR_NONE for NULL */
json_t *task_usage_json(const struct codex_usage *usage);
void task_digest_hex(const struct task *task, char to[2 * WIRE_DIGEST_SIZE + 1]);

/* Something is to be read: the task's own reader and all others look. */
void task_changed(struct task *task);
void task_reader_add(struct task *task, struct task_reader *reader);
void task_reader_remove(struct task_reader *reader);
/* Appends one of codexd's own events where the files now end; takes `event`. */
int task_append(struct task *task, json_t *event);
/* What the launcher said about its workspace; the policy's words are taken from the configuration.
 */
void task_resolved(struct task *task, const struct wire_resolved *resolved);
/* Opens worker `worker`'s output and shows it to the stream. */
int task_open_output(struct task *task, uint64_t worker);
/* Opens a reader's own stream over the same files. */
int task_open_stream(struct task *task, struct stream **ret);

/* task-start.c */
void task_start(struct task *task); /* it has a slot; goes on by itself */
/* Its worker runs: STARTED, or ADOPTED after a restart. */
void task_started(struct task *task, const struct wire_started *started);

/* task-follow.c */
void task_follow_init(struct task *task);
/* Reads what an earlier supervisor wrote into a job's own events before there was any output. */
int task_replay_own(struct task *task);

/* task-end.c */
/* Decides the end (Cancel, a limit, a surprise) and begins it; harmless where it has been decided.
 */
void task_cancel(struct task *task, enum job_result result, const struct error *error,
                 enum wire_how how);
/* The grace is over. */
void task_kill(struct task *task, const char *why);
void task_exited(struct task *task, const struct wire_exited *exited);
void task_gone(struct task *task, const struct wire_exited *gone);
void task_notice(struct task *task, const struct wire_exited *notice);
/* Everything in its files so far was read: goes on with its end, where that waited for it. */
void task_caught_up(struct task *task);
/* Nothing of it runs (any more): gives its slot back and ends it with this result, unless
 * task_cancel had decided another. */
void task_finish(struct task *task, enum job_result result, const struct error *error);
/* Ended, and all of it durable: frees what only a live job needs. */
void task_set_ended(struct task *task);

/* tasks.c */
void tasks_schedule(struct supervisor *sup);   /* starts what may start */
void tasks_arm_limits(struct supervisor *sup); /* after anything that may bring a limit nearer */
void tasks_on_limit(struct ev_loop *loop, ev_timer *timer, int revents);
void tasks_retain(struct supervisor *sup); /* drops what is too old or too much */
/* This job's limits by the settings in force. */
struct job_limits tasks_limits(const struct supervisor *sup, const struct request *request);

/* recover.c */
int recover_load(struct supervisor *sup, struct error *err); /* before HELLO */
void recover_adopted(struct supervisor *sup, const struct wire_started *started);
void recover_synced(struct supervisor *sup);
