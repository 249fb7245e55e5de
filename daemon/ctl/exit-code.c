#include "exit-code.h"
#include "cleanup.h"
#include "error.h"

#include <string.h>

/* Every kind has a row; test-ctl-exit-code.c looks. */
static const int codes[_ERROR_KIND_MAX] = {
        [ERROR_NONE] = EXIT_OK,
        [ERROR_INTERNAL] = EXIT_JOB_FAILED,
        [ERROR_NO_MEMORY] = EXIT_REJECTED,
        [ERROR_BAD_REQUEST] = EXIT_USAGE,
        [ERROR_NOT_PERMITTED] = EXIT_NOT_PERMITTED,
        [ERROR_NOT_FROM_WORKER] = EXIT_NOT_PERMITTED,
        [ERROR_NO_SUCH_JOB] = EXIT_UNKNOWN_ID,
        [ERROR_NO_SUCH_WORKSPACE] = EXIT_UNKNOWN_ID,
        [ERROR_WORKSPACE_INVALID] = EXIT_JOB_FAILED,
        [ERROR_POLICY_REFUSED] = EXIT_NOT_PERMITTED,
        [ERROR_POLICY_UNSUPPORTED] = EXIT_NOT_PERMITTED,
        [ERROR_PROMPT_TOO_LONG] = EXIT_USAGE,
        [ERROR_THREAD_BUSY] = EXIT_REJECTED,
        [ERROR_THREAD_UNKNOWN] = EXIT_UNKNOWN_ID,
        [ERROR_THREAD_MISMATCH] = EXIT_JOB_FAILED,
        [ERROR_QUEUE_FULL] = EXIT_REJECTED,
        [ERROR_DRAINING] = EXIT_REJECTED,
        [ERROR_DEADLINE] = EXIT_DEADLINE,
        [ERROR_CONFIG_INVALID] = EXIT_JOB_FAILED,
        [ERROR_STALE_GENERATION] = EXIT_REJECTED,
        [ERROR_SPAWN_FAILED] = EXIT_JOB_FAILED,
        [ERROR_PRIVILEGE_VERIFY] = EXIT_JOB_FAILED,
        [ERROR_CODEX_MISSING] = EXIT_JOB_FAILED,
        [ERROR_CODEX_NOT_EXECUTABLE] = EXIT_JOB_FAILED,
        [ERROR_CODEX_VERSION] = EXIT_JOB_FAILED,
        [ERROR_CODEX_DIED] = EXIT_JOB_FAILED,
        [ERROR_CODEX_HUNG] = EXIT_JOB_FAILED,
        [ERROR_CODEX_GARBAGE] = EXIT_JOB_FAILED,
        [ERROR_CODEX_CLOSED_STDOUT] = EXIT_JOB_FAILED,
        [ERROR_CODEX_EXIT] = EXIT_JOB_FAILED,
        [ERROR_TURN_FAILED] = EXIT_JOB_FAILED,
        [ERROR_CANCELLED] = EXIT_CANCELLED,
        [ERROR_WALL_CLOCK] = EXIT_DEADLINE,
        [ERROR_NO_PROGRESS] = EXIT_DEADLINE,
        [ERROR_OUTPUT_QUOTA] = EXIT_JOB_FAILED,
        [ERROR_LOST] = EXIT_JOB_FAILED,
        [ERROR_UNREACHABLE] = EXIT_UNREACHABLE,
};

static const struct {
        const char *name;
        int code;
} service_errors[] = {
        /* of org.varlink.service: what every Varlink server may answer */
        {"org.varlink.service.InterfaceNotFound", EXIT_USAGE},
        {"org.varlink.service.MethodNotFound", EXIT_USAGE},
        {"org.varlink.service.MethodNotImplemented", EXIT_USAGE},
        {"org.varlink.service.InvalidParameter", EXIT_USAGE},
        {"org.varlink.service.PermissionDenied", EXIT_NOT_PERMITTED},
        {"org.varlink.service.ExpectedMore", EXIT_USAGE},
};

static const struct {
        const char *result;
        int code;
} results[] = {
        {"ok", EXIT_OK},
        {"failed", EXIT_JOB_FAILED},
        {"cancelled", EXIT_CANCELLED},
        {"deadline", EXIT_DEADLINE},
        {"timeout", EXIT_DEADLINE},
        {"stalled", EXIT_DEADLINE},
        {"spawn-failed", EXIT_JOB_FAILED},
        {"quota", EXIT_JOB_FAILED},
        {"lost", EXIT_JOB_FAILED},
        {"interrupted", EXIT_JOB_FAILED},
};

int exit_code_of_error(const char *name)
{
        for (unsigned kind = 1; kind < _ERROR_KIND_MAX; kind++)
                if (strcmp(name, error_kind_varlink(kind)) == 0 ||
                    strcmp(name, error_kind_word(kind)) == 0)
                        return codes[kind];
        for (size_t i = 0; i < N_ELEMENTS(service_errors); i++)
                if (strcmp(name, service_errors[i].name) == 0)
                        return service_errors[i].code;
        return EXIT_JOB_FAILED;
}

int exit_code_of_job(const char *result, const char *error, int signal)
{
        int code = EXIT_JOB_FAILED;

        for (size_t i = 0; i < N_ELEMENTS(results); i++)
                if (strcmp(result, results[i].result) == 0)
                        code = results[i].code;
        if (code != EXIT_JOB_FAILED)
                return code;
        /* Only where nobody but the signal ended it: a cancelled job dies of one too. */
        if (signal > 0 && signal < 128 && strcmp(result, "failed") == 0)
                return EXIT_SIGNAL + signal;
        /* "failed: deadline" and "spawn-failed: not-permitted" are told by their error. */
        if (error) {
                code = exit_code_of_error(error);
                return code == EXIT_OK ? EXIT_JOB_FAILED : code;
        }
        return code;
}
