#include "error.h"
#include "cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *word, *varlink;
        int number;
} kinds[_ERROR_KIND_MAX] = {
        [ERROR_NONE] = {"none", "", 0},
        [ERROR_INTERNAL] = {"internal", "io.codexd.Internal", EIO},
        [ERROR_NO_MEMORY] = {"resources", "io.codexd.Resources", ENOMEM},
        [ERROR_BAD_REQUEST] = {"bad-request", "io.codexd.BadRequest", EINVAL},
        [ERROR_NOT_PERMITTED] = {"not-permitted", "io.codexd.NotPermitted", EPERM},
        [ERROR_NOT_FROM_WORKER] = {"not-from-worker", "io.codexd.NotFromWorker", EPERM},
        [ERROR_NO_SUCH_JOB] = {"no-such-job", "io.codexd.NoSuchJob", ENOENT},
        [ERROR_NO_SUCH_WORKSPACE] = {"no-such-workspace", "io.codexd.NoSuchWorkspace", ENOENT},
        [ERROR_WORKSPACE_INVALID] = {"workspace-invalid", "io.codexd.WorkspaceInvalid", ENOTDIR},
        [ERROR_POLICY_REFUSED] = {"policy-refused", "io.codexd.PolicyRefused", EACCES},
        [ERROR_POLICY_UNSUPPORTED] = {"policy-unsupported", "io.codexd.PolicyUnsupported",
                                      EOPNOTSUPP},
        [ERROR_PROMPT_TOO_LONG] = {"prompt-too-long", "io.codexd.PromptTooLong", E2BIG},
        [ERROR_THREAD_BUSY] = {"thread-busy", "io.codexd.ThreadBusy", EBUSY},
        [ERROR_THREAD_UNKNOWN] = {"thread-unknown", "io.codexd.ThreadUnknown", ENOENT},
        [ERROR_THREAD_MISMATCH] = {"thread-mismatch", "io.codexd.ThreadMismatch", ESTALE},
        [ERROR_QUEUE_FULL] = {"queue-full", "io.codexd.QueueFull", EAGAIN},
        [ERROR_DRAINING] = {"draining", "io.codexd.Draining", ESHUTDOWN},
        [ERROR_DEADLINE] = {"deadline", "io.codexd.Deadline", ETIME},
        [ERROR_CONFIG_INVALID] = {"config-invalid", "io.codexd.ConfigInvalid", EINVAL},
        [ERROR_STALE_GENERATION] = {"stale-generation", "io.codexd.StaleGeneration", ESTALE},
        [ERROR_SPAWN_FAILED] = {"spawn-failed", "io.codexd.SpawnFailed", ECHILD},
        [ERROR_PRIVILEGE_VERIFY] = {"privilege-verify-failed", "io.codexd.PrivilegeVerifyFailed",
                                    EPERM},
        [ERROR_CODEX_MISSING] = {"codex-missing", "io.codexd.CodexMissing", ENOENT},
        [ERROR_CODEX_NOT_EXECUTABLE] = {"codex-not-executable", "io.codexd.CodexNotExecutable",
                                        EACCES},
        [ERROR_CODEX_VERSION] = {"codex-version", "io.codexd.CodexVersion", ENOPKG},
        [ERROR_CODEX_DIED] = {"codex-died", "io.codexd.CodexDied", ECHILD},
        [ERROR_CODEX_HUNG] = {"codex-hung", "io.codexd.CodexHung", ETIMEDOUT},
        [ERROR_CODEX_GARBAGE] = {"codex-garbage", "io.codexd.CodexGarbage", EBADMSG},
        [ERROR_CODEX_CLOSED_STDOUT] = {"codex-closed-stdout", "io.codexd.CodexClosedStdout",
                                       EPIPE},
        [ERROR_CODEX_EXIT] = {"codex-exit", "io.codexd.CodexExit", ECHILD},
        [ERROR_TURN_FAILED] = {"turn-failed", "io.codexd.TurnFailed", EREMOTEIO},
        [ERROR_CANCELLED] = {"cancelled", "io.codexd.Cancelled", ECANCELED},
        [ERROR_WALL_CLOCK] = {"wall-clock", "io.codexd.WallClock", ETIME},
        [ERROR_NO_PROGRESS] = {"no-progress", "io.codexd.NoProgress", ETIME},
        [ERROR_OUTPUT_QUOTA] = {"output-quota", "io.codexd.OutputQuota", EDQUOT},
        [ERROR_LOST] = {"lost", "io.codexd.Lost", EOWNERDEAD},
        [ERROR_UNREACHABLE] = {"unreachable", "io.codexd.Unreachable", ECONNREFUSED},
};

enum error_kind error_kind_check(uint32_t kind)
{
        return kind < _ERROR_KIND_MAX ? (enum error_kind) kind : ERROR_INTERNAL;
}

const char *error_kind_word(enum error_kind kind)
{
        return kinds[error_kind_check(kind)].word;
}

const char *error_kind_varlink(enum error_kind kind)
{
        return kinds[error_kind_check(kind)].varlink;
}

int error_kind_number(enum error_kind kind)
{
        return kinds[error_kind_check(kind)].number;
}

static int set(struct error *err, enum error_kind kind, int number, const char *key,
               const char *fmt, va_list ap)
{
        if (!err)
                return -number;
        memset(err, 0, sizeof *err);
        err->kind = kind;
        err->number = number;
        if (key)
                (void) snprintf(err->key, sizeof err->key, "%s", key);
        (void) vsnprintf(err->message, sizeof err->message, fmt, ap);
        return -number;
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = set(err, kind, error_kind_number(kind), NULL, fmt, ap);
        va_end(ap);
        return r;
}

int error_set_errno(struct error *err, enum error_kind kind, int number, const char *fmt, ...)
{
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = set(err, kind, number, NULL, fmt, ap);
        va_end(ap);
        if (err) {
                size_t used = strlen(err->message);

                (void) snprintf(err->message + used, sizeof err->message - used, ": %s",
                                strerror(number));
        }
        return r;
}

int error_set_key(struct error *err, enum error_kind kind, const char *key, const char *fmt, ...)
{
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = set(err, kind, error_kind_number(kind), key, fmt, ap);
        va_end(ap);
        return r;
}

int error_prefix(struct error *err, int r, const char *fmt, ...)
{
        char prefix[160], old[sizeof err->message];
        va_list ap;

        if (!err)
                return r;
        va_start(ap, fmt);
        (void) vsnprintf(prefix, sizeof prefix, fmt, ap);
        va_end(ap);
        memcpy(old, err->message, sizeof old);
        (void) snprintf(err->message, sizeof err->message, "%s: %s", prefix, old);
        return r;
}
