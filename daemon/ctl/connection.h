/* One connection to codexd: Varlink calls out, replies in, each ended by NUL. A reply is kept whole
 * up to CONNECTION_REPLY_MAX; of a longer one only its envelope is known, and its bytes go through
 * `overflow` as they arrive: a job's line may be as long as its output quota. */
#pragma once

#include "cleanup.h"
#include "envelope.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_REPLY_MAX (16u << 20)
#define CONNECTION_SOCKET    "/run/codexd/codexd.sock"

/* What went wrong, here or there. */
struct failure {
        char error[96]; /* Varlink name, or "" */
        char message[512];
        char key[64], step[32];
        int64_t retry_after_s; /* -1: not said */
};
/* Prints "codexctl: WHAT: message (word)" and what to do about it on stderr; returns the exit code.
 */
int failure_report(const struct failure *failure, const char *what);
void failure_set(struct failure *failure, const char *error, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

struct reply {
        const char *bytes; /* NUL-terminated; NULL if it was too long to keep */
        uint64_t size;
        struct envelope envelope;
};

struct connection;
struct connection *connection_free(struct connection *connection); /* returns NULL */
DEFINE_CLEANUP(struct connection *, connection_free);

/* 0, or negative errno with `failure` set: missing socket, nobody there, not permitted. */
int connection_new(struct connection **ret, const char *path, struct failure *failure);
int connection_fd(const struct connection *connection); /* to poll; non-blocking */

/* The pieces of a reply that is too long to keep, each once and in order; `envelope` stands after
 * the piece's last byte, which is the reply's byte number envelope->offset. */
typedef void (*connection_overflow)(void *data, const struct envelope *envelope, const char *bytes,
                                    size_t n);
void connection_set_overflow(struct connection *connection, connection_overflow fn, void *data);

/* Sends one call, waiting as long as it takes; takes `parameters` (NULL: {}). A peer that closed is
 * no error here: what it answered before may still be read. 0, -ENOMEM, -errno. */
int connection_send(struct connection *connection, const char *method, json_t *parameters,
                    bool more);
/* Reads what is there: 1 if some was, 0 if nothing is there yet, -ECONNRESET at the end of the
 * connection, -errno. */
int connection_read(struct connection *connection);
/* The next whole reply, valid until the next call of any of these: 1; 0 while more must be read;
 * -EPROTO for what is no reply. */
int connection_next(struct connection *connection, struct reply *ret);

/* The parameters of a reply that was kept: 0 and an object to decref; -EREMOTEIO when it is an
 * error (then `failure` holds it); -EPROTO. */
int reply_parse(const struct reply *reply, json_t **ret, struct failure *failure);

/* Sends and waits for the one reply, at most `timeout_ms` (-1: for ever). As reply_parse, and other
 * negative errno with `failure` set. */
int connection_call(struct connection *connection, const char *method, json_t *parameters,
                    int timeout_ms, json_t **ret, struct failure *failure);
/* The same with the bytes of the parameters as they came, malloc'ed, in *ret_raw. */
int connection_call_raw(struct connection *connection, const char *method, json_t *parameters,
                        int timeout_ms, json_t **ret, char **ret_raw, struct failure *failure);
