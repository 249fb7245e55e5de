#include "cleanup.h"
#include "error.h"
#include "exit-code.h"
#include "job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Interface: written down here once more, so that no change of the code changes it unseen. */
static const struct {
        enum error_kind kind;
        int code;
} errors[] = {
        {ERROR_INTERNAL, 1},
        {ERROR_NO_MEMORY, 4},
        {ERROR_BAD_REQUEST, 2},
        {ERROR_NOT_PERMITTED, 8},
        {ERROR_NOT_FROM_WORKER, 8},
        {ERROR_NO_SUCH_JOB, 3},
        {ERROR_NO_SUCH_WORKSPACE, 3},
        {ERROR_WORKSPACE_INVALID, 1},
        {ERROR_POLICY_REFUSED, 8},
        {ERROR_POLICY_UNSUPPORTED, 8},
        {ERROR_PROMPT_TOO_LONG, 2},
        {ERROR_THREAD_BUSY, 4},
        {ERROR_THREAD_UNKNOWN, 3},
        {ERROR_THREAD_MISMATCH, 1},
        {ERROR_QUEUE_FULL, 4},
        {ERROR_DRAINING, 4},
        {ERROR_DEADLINE, 6},
        {ERROR_CONFIG_INVALID, 1},
        {ERROR_STALE_GENERATION, 4},
        {ERROR_SPAWN_FAILED, 1},
        {ERROR_PRIVILEGE_VERIFY, 1},
        {ERROR_CODEX_MISSING, 1},
        {ERROR_CODEX_NOT_EXECUTABLE, 1},
        {ERROR_CODEX_VERSION, 1},
        {ERROR_CODEX_DIED, 1},
        {ERROR_CODEX_HUNG, 1},
        {ERROR_CODEX_GARBAGE, 1},
        {ERROR_CODEX_CLOSED_STDOUT, 1},
        {ERROR_CODEX_EXIT, 1},
        {ERROR_TURN_FAILED, 1},
        {ERROR_CANCELLED, 5},
        {ERROR_WALL_CLOCK, 6},
        {ERROR_NO_PROGRESS, 6},
        {ERROR_OUTPUT_QUOTA, 1},
        {ERROR_LOST, 1},
        {ERROR_UNREACHABLE, 7},
};

static const struct {
        const char *result, *error;
        int signal, code;
} jobs[] = {
        {"ok", NULL, 0, 0},
        {"failed", "turn-failed", 0, 1},
        {"failed", NULL, 0, 1},
        {"failed", "codex-exit", 11, 139},
        {"failed", "thread-unknown", 0, 3},
        {"cancelled", "cancelled", 0, 5},
        {"cancelled", "cancelled", 9, 5}, /* it was us who killed it */
        {"deadline", "deadline", 9, 6},
        {"timeout", "wall-clock", 9, 6},
        {"stalled", "no-progress", 2, 6},
        {"spawn-failed", "spawn-failed", 0, 1},
        {"spawn-failed", "codex-missing", 0, 1},
        {"spawn-failed", "policy-unsupported", 0, 8},
        {"quota", "output-quota", 9, 1},
        {"lost", "lost", 9, 1},
        {"failed", "none", 0, 1}, /* a failure is never 0 */
        {"a-later-word", NULL, 0, 1},
        {"failed", "codex-exit", 1000, 1},
        {"", NULL, 0, 1},
};

static void every_error_by_word_and_by_name(void **state)
{
        assert_int_equal(N_ELEMENTS(errors), _ERROR_KIND_MAX - 1);
        for (size_t i = 0; i < N_ELEMENTS(errors); i++) {
                enum error_kind kind = errors[i].kind;

                if (exit_code_of_error(error_kind_word(kind)) != errors[i].code ||
                    exit_code_of_error(error_kind_varlink(kind)) != errors[i].code)
                        fail_msg("%s: %d", error_kind_word(kind),
                                 exit_code_of_error(error_kind_word(kind)));
        }
}

static void errors_of_others(void **state)
{
        assert_int_equal(exit_code_of_error("org.varlink.service.MethodNotFound"), 2);
        assert_int_equal(exit_code_of_error("org.varlink.service.PermissionDenied"), 8);
        assert_int_equal(exit_code_of_error("org.example.Whatever"), 1);
        assert_int_equal(exit_code_of_error(""), 1);
}

static void every_result(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
                if (exit_code_of_job(jobs[i].result, jobs[i].error, jobs[i].signal) != jobs[i].code)
                        fail_msg("%s, %s, %d", jobs[i].result, jobs[i].error, jobs[i].signal);
        /* Each word of core's has a row above. */
        for (int r = JOB_OK; r < _JOB_RESULT_MAX; r++) {
                bool found = false;

                for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
                        found = found || strcmp(jobs[i].result, job_result_name(r)) == 0;
                if (!found)
                        fail_msg("no row for %s", job_result_name(r));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_error_by_word_and_by_name),
                cmocka_unit_test(errors_of_others),
                cmocka_unit_test(every_result),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
