/* Between the launcher and a keeper: SOCK_SEQPACKET, fixed-size structs. Versioned and additive: a
 * keeper outlives the launcher that started it, so a launcher speaks the last two versions, and a
 * message may be longer than its reader knows, never shorter. The keeper listens at
 * RUNDIR/keepers/ID (a root-only directory) and checks that the peer is root (SO_PEERCRED). */
#pragma once

#include <stdint.h>

#define WIRE_KEEPER_MAGIC   0x7065656bu /* "keep" */
#define WIRE_KEEPER_VERSION 1u

/* The keeper's descriptors at exec; anything above is closed. */
enum {
        KEEPER_FD_CONTROL = 3, /* to the launcher that started it */
        KEEPER_FD_LISTEN,      /* for the next one */
        KEEPER_FD_RAW,         /* Codex's stdout is appended here */
        KEEPER_FD_INDEX,       /* struct keeper_index per append */
        KEEPER_FD_STDERR,      /* Codex's stderr, its last KEEPER_STDERR_MAX bytes at least */
        KEEPER_FD_EXIT,        /* struct keeper_exit, once */
        KEEPER_FD_IN,          /* write end of Codex's stdin */
        KEEPER_FD_OUT,         /* read end of Codex's stdout */
        KEEPER_FD_ERR,         /* read end of Codex's stderr */
        KEEPER_FD_END,
};

#define KEEPER_STDERR_MAX (64 * 1024)

/* One per append to the raw file: `end` is the file's size after it. Microseconds since the epoch.
 */
struct keeper_index {
        uint64_t end, realtime_usec;
};

/* The one record of the exit file, written before the keeper ends. */
struct keeper_exit {
        uint32_t magic, version;
        int32_t status; /* as wait(2) gives it */
        uint32_t flags; /* KEEPER_* */
        uint64_t realtime_usec;
        uint64_t output_bytes; /* of the raw file at the end */
};

enum keeper_type {
        /* launcher to keeper */
        KEEPER_HELLO = 1, /* after a new launcher connected; answered by KEEPER_STATE */
        KEEPER_GO, /* verified: feed stdin from the descriptor beside this, then close it; and reap
                    */
        /* keeper to launcher */
        KEEPER_STATE = 64, /* what is true now; also sent unasked whenever `flags` change */
};

enum {
        KEEPER_RELEASED = 1 << 0,      /* KEEPER_GO was seen */
        KEEPER_EXITED = 1 << 1,        /* `status` is valid */
        KEEPER_QUOTA = 1 << 2,         /* output_max reached: the rest is read and discarded */
        KEEPER_STDOUT_CLOSED = 1 << 3, /* end of file on stdout while Codex lives */
        KEEPER_WRITE_FAILED = 1 << 4,  /* ENOSPC, EIO on the output files: the rest is discarded */
};

struct keeper_message {
        uint32_t magic, version;
        uint32_t type, size;
        uint64_t worker;
        uint64_t output_max; /* HELLO, GO: bytes of raw output that may be kept */
        uint32_t flags;      /* STATE: KEEPER_* */
        int32_t status;      /* STATE with KEEPER_EXITED */
        int32_t pid;         /* STATE: Codex's, inside the PID namespace */
        int32_t number;      /* STATE with KEEPER_WRITE_FAILED: errno */
};
