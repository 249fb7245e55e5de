/* Varlink messages: a frame's text to a call, an answer to a frame's text. No socket. */
#pragma once

#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_DEPTH_MAX  16
#define VARLINK_METHOD_MAX 128

struct varlink_call {
        json_t *root;       /* owned; the rest is borrowed from it */
        const char *method; /* never NULL after a parse that went well */
        json_t *parameters; /* an object; NULL: none were given */
        bool more, oneway;
};

/* Parses one frame. ERROR_BAD_REQUEST for what is no call: the connection is then closed, for
 * nobody can tell what else the peer means. Needs no lock: may run on another thread. */
int varlink_call_parse(struct varlink_call *ret, const char *text, size_t n, struct error *err);
void varlink_call_done(struct varlink_call *call);

/* The texts below are malloc'ed, without terminator, and the caller's; NULL: no memory. */
/* Takes `parameters` (NULL: {}). */
char *varlink_reply(json_t *parameters, bool continues);
/* {"error","parameters":{"message","key"?,"step"?,"errno"?,"retry_after_s"?}} */
char *varlink_error(const struct error *err, uint32_t retry_s);
/* An error of org.varlink.service with its one parameter. */
char *varlink_service_error(const char *name, const char *parameter, const char *value);
/* What stands before an event's bytes in a reply that holds it, and what after. */
int varlink_event_head(char *to, size_t room, uint64_t seq, uint64_t time_usec);
const char *varlink_event_tail(bool continues);

/* A string of any bytes, made valid UTF-8: jansson takes no other. */
json_t *varlink_string(const char *s);

/* One parameter of a method. `to` points to: const char * (NULL when absent; borrowed from the
 * call), int64_t (left as it is when absent), int (-1 when absent, else 0 or 1). null is absent. */
struct varlink_param {
        const char *name;
        enum { VARLINK_STRING, VARLINK_INT, VARLINK_BOOL, VARLINK_UNSUPPORTED } type;
        bool required;
        void *to;
};
/* Reads `parameters` by this table. A name that is not in it, a wrong type and a missing one are
 * ERROR_BAD_REQUEST, one of VARLINK_UNSUPPORTED is ERROR_POLICY_UNSUPPORTED; each names the key. */
int varlink_params(json_t *parameters, const struct varlink_param *table, size_t n,
                   struct error *err);
