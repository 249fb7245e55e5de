/* What went wrong, once: an enum for the code, a word and a Varlink error for the client, and a
 * sentence for a person. Whoever first knows sets it; callers prefix what they were doing. */
#pragma once

#include <errno.h>
#include <stdint.h>

/* The words (error.c) are interface: clients branch on them, so none is ever renamed. */
enum error_kind {
        ERROR_NONE,
        ERROR_INTERNAL,        /* a bug of ours, or a kernel answer nobody expected */
        ERROR_NO_MEMORY,       /* or no descriptors: resources of the daemon */
        ERROR_BAD_REQUEST,     /* malformed, misspelt, of the wrong type or size */
        ERROR_NOT_PERMITTED,   /* this peer may not do that */
        ERROR_NOT_FROM_WORKER, /* the peer is itself inside a worker */
        ERROR_NO_SUCH_JOB,
        ERROR_NO_SUCH_WORKSPACE, /* no rule, or no directory */
        ERROR_WORKSPACE_INVALID, /* a symlink in the way, owned by root, not a directory, swapped */
        ERROR_POLICY_REFUSED,    /* the job wants more than its workspace's policy; names the key */
        ERROR_POLICY_UNSUPPORTED, /* the policy wants an enforcement this build has not; names the
                                     key */
        ERROR_PROMPT_TOO_LONG,
        ERROR_THREAD_BUSY,     /* one live turn per thread id */
        ERROR_THREAD_UNKNOWN,  /* Codex has no such thread */
        ERROR_THREAD_MISMATCH, /* Codex answered with another thread than asked */
        ERROR_QUEUE_FULL,
        ERROR_DRAINING,
        ERROR_DEADLINE,         /* the queue's or the job's own deadline passed */
        ERROR_CONFIG_INVALID,   /* names file, line and key */
        ERROR_STALE_GENERATION, /* the policy changed in between: resolve again */
        ERROR_SPAWN_FAILED,     /* names step and errno */
        ERROR_PRIVILEGE_VERIFY, /* read-back after exec differed; the worker was killed */
        ERROR_CODEX_MISSING,
        ERROR_CODEX_NOT_EXECUTABLE,
        ERROR_CODEX_VERSION,       /* not the configured one */
        ERROR_CODEX_DIED,          /* ended before thread.started */
        ERROR_CODEX_HUNG,          /* no thread.started within start_timeout_s */
        ERROR_CODEX_GARBAGE,       /* printed lines that are no JSON, and no turn */
        ERROR_CODEX_CLOSED_STDOUT, /* but lives on */
        ERROR_CODEX_EXIT,          /* ended in mid-turn: exit status or signal */
        ERROR_TURN_FAILED,         /* Codex said turn.failed */
        ERROR_CANCELLED,
        ERROR_WALL_CLOCK,   /* the class's wall-clock limit */
        ERROR_NO_PROGRESS,  /* the class's limit without an event */
        ERROR_OUTPUT_QUOTA, /* the job's output reached job_output_max */
        ERROR_LOST,         /* its keeper or its records are gone; the cause is in the message */
        ERROR_UNREACHABLE,  /* codexctl: no daemon at the socket */
        _ERROR_KIND_MAX
};

struct error {
        enum error_kind kind;
        int number;        /* positive errno; 0 while nothing went wrong */
        char step[24];     /* the runner's step, where one failed; else "" */
        char key[64];      /* the configuration or request key at fault; else "" */
        char message[360]; /* fixed: to report ENOMEM must not need memory */
};

const char *error_kind_word(enum error_kind kind);    /* "thread-busy"; static */
const char *error_kind_varlink(enum error_kind kind); /* "io.codexd.ThreadBusy"; static */
int error_kind_number(enum error_kind kind);          /* EBUSY */
/* ERROR_INTERNAL for a number that is no kind: it may come off a wire. */
enum error_kind error_kind_check(uint32_t kind);

/* All but error_prefix return -err->number. `err` may be NULL: then only the number is made. */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* As error_set, with this errno, and its text at the end of the message. */
int error_set_errno(struct error *err, enum error_kind kind, int number, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
int error_set_key(struct error *err, enum error_kind kind, const char *key, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
int error_prefix(struct error *err, int r, const char *fmt, ...)
        __attribute__((format(printf, 3, 4))); /* returns r */
