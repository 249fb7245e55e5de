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
        [ERROR_CODEX_CLOSED_STDOUT] = {"codex-closed-stdout", "io.codexd.CodexClosedStdout", EPIPE},
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

/* A cut in the midst of a UTF-8 character would make the message no JSON string. */
static void cut_at_character(char *text)
{
        size_t n = strlen(text), start = n, want;
        unsigned char lead;

        while (start > 0 && n - start < 3 && ((unsigned char) text[start - 1] & 0xc0) == 0x80)
                start--;
        if (start == 0)
                return;
        lead = (unsigned char) text[start - 1];
        want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (n - (start - 1) < want)
                memset(text + start - 1, 0, n - (start - 1)); /* zero to the end, for the wire */
}

/* What does not fit is left out from the end. */
static void append(char *message, size_t size, const char *text)
{
        size_t used = strlen(message), n = strlen(text);

        n = MIN(n, size - 1 - used);
        memcpy(message + used, text, n);
        message[used + n] = '\0';
        cut_at_character(message);
}

__attribute__((format(printf, 5, 0))) static int set(struct error *err, enum error_kind kind,
                                                     int number, const char *key, const char *fmt,
                                                     va_list ap)
{
        /* in two steps: an argument may be err->message itself */
        char message[sizeof err->message] = {0};

        if (!err)
                return -number;
        (void) vsnprintf(message, sizeof message, fmt, ap);
        cut_at_character(message);
        if (key != err->key) {
                memset(err->key, 0, sizeof err->key);
                (void) snprintf(err->key, sizeof err->key, "%s", key ? key : "");
        }
        memset(err->step, 0, sizeof err->step);
        err->kind = kind;
        err->number = number;
        memcpy(err->message, message, sizeof message);
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
                append(err->message, sizeof err->message, ": ");
                append(err->message, sizeof err->message, strerror(number));
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
        char message[sizeof err->message] = {0};
        const size_t prefix_max = 160; /* the cause must still fit behind a long prefix */
        va_list ap;

        if (!err)
                return r;
        va_start(ap, fmt);
        (void) vsnprintf(message, prefix_max, fmt, ap);
        va_end(ap);
        cut_at_character(message);
        append(message, sizeof message, ": ");
        append(message, sizeof message, err->message);
        memcpy(err->message, message, sizeof message);
        return r;
}
