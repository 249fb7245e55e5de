/* Whether the configured Codex is there and the one that was asked for: `codex --version`, with an
 * empty environment, asynchronously, within a deadline. */
#pragma once

#include "cleanup.h"
#include "error.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct version;
struct version_events {
        void (*known)(void *data); /* after each check */
};

int version_new(struct version **ret, struct ev_loop *loop, const struct version_events *events,
                void *data);
struct version *version_free(struct version *version);
DEFINE_CLEANUP(struct version *, version_free);

/* Begins a check (one under way is dropped). `want` NULL: any version. Copies both. */
void version_check(struct version *version, const char *path, const char *want);
/* No check has ended since version_check(): nobody knows yet. */
bool version_pending(const struct version *version);
/* 0, or what is wrong with it: ERROR_CODEX_MISSING, _NOT_EXECUTABLE, _VERSION, _HUNG, _DIED. After
 * a failure a new check is begun, at most once in ten seconds: it may have been mended. */
int version_error(struct version *version, struct error *err);

/* "codex-cli 0.169.0\n" to "0.169.0": the last word of the first line, of [0-9A-Za-z.+-]; else
 * -EBADMSG. */
int version_parse(const char *text, size_t n, char *ret, size_t room);
