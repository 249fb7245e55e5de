/* What each line of `codex exec --json` means, and what a turn's end is called. */
#include "codex-exec.h"
#include "turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UUID "01a20958-d227-73c3-8c2e-be8fd20dfa3e"

static const struct {
        const char *line;
        int r;
        enum codex_line_type type;
        const char *thread_id, *item_type, *item_status, *message;
        int64_t input, cached, output;
} lines[] = {
        {"{\"type\":\"thread.started\",\"thread_id\":\"" UUID "\"}", 0, CODEX_LINE_THREAD_STARTED,
         UUID, "", "", "", 0, 0, 0},
        {"{\"type\":\"thread.started\",\"thread_id\":\"../../etc\"}", 0, CODEX_LINE_THREAD_STARTED,
         "", "", "", "", 0, 0, 0},
        {"{\"type\":\"thread.started\",\"thread_id\":7}", 0, CODEX_LINE_THREAD_STARTED, "", "", "",
         "", 0, 0, 0},
        {"{\"type\":\"turn.started\"}", 0, CODEX_LINE_TURN_STARTED, "", "", "", "", 0, 0, 0},
        {"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":5010,\"cached_input_tokens\":"
         "2000,\"cache_write_input_tokens\":0,\"output_tokens\":250}}",
         0, CODEX_LINE_TURN_COMPLETED, "", "", "", "", 5010, 2000, 250},
        {"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":-1,\"output_tokens\":\"x\"}}", 0,
         CODEX_LINE_TURN_COMPLETED, "", "", "", "", 0, 0, 0},
        {"{\"type\":\"turn.failed\",\"error\":{\"message\":\"429 Too Many Requests\"}}", 0,
         CODEX_LINE_TURN_FAILED, "", "", "", "429 Too Many Requests", 0, 0, 0},
        {"{\"type\":\"turn.failed\",\"error\":\"odd\"}", 0, CODEX_LINE_TURN_FAILED, "", "", "", "",
         0, 0, 0},
        {"{\"type\":\"error\",\"message\":\"Reconnecting... 1/5\"}", 0, CODEX_LINE_ERROR, "", "",
         "", "Reconnecting... 1/5", 0, 0, 0},
        {"{\"type\":\"item.started\",\"item\":{\"id\":\"item_2\",\"type\":\"command_execution\","
         "\"command\":\"secret\",\"status\":\"in_progress\"}}",
         0, CODEX_LINE_ITEM_STARTED, "", "command_execution", "in_progress", "", 0, 0, 0},
        {"{\"type\":\"item.updated\",\"item\":{\"type\":\"todo_list\"}}", 0,
         CODEX_LINE_ITEM_UPDATED, "", "todo_list", "", "", 0, 0, 0},
        {"{\"type\":\"item.completed\",\"item\":{\"type\":\"file_change\",\"status\":\"failed\"}}",
         0, CODEX_LINE_ITEM_COMPLETED, "", "file_change", "failed", "", 0, 0, 0},
        {"{\"type\":\"item.completed\",\"item\":{\"type\":\"a\\nCODEX_JOB=1\",\"status\":\"UP\"}}",
         0, CODEX_LINE_ITEM_COMPLETED, "", "", "", "", 0, 0, 0},
        {"{\"type\":\"job.finished\",\"result\":\"ok\"}", 0, CODEX_LINE_OTHER, "", "", "", "", 0, 0,
         0},
        {"{\"type\":\"turn.started\\u0000\"}", 0, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
        {"{\"type\":[]}", 0, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
        {"{}", 0, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
        {"[]", -EBADMSG, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
        {"nonsense", -EBADMSG, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
        {"", -EBADMSG, CODEX_LINE_OTHER, "", "", "", "", 0, 0, 0},
};

static void test_lines(void **state)
{
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
                struct codex_line line;

                print_message("%s\n", lines[i].line);
                assert_int_equal(codex_line_parse(&line, lines[i].line, strlen(lines[i].line)),
                                 lines[i].r);
                assert_int_equal(line.type, lines[i].type);
                assert_string_equal(line.thread_id, lines[i].thread_id);
                assert_string_equal(line.item_type, lines[i].item_type);
                assert_string_equal(line.item_status, lines[i].item_status);
                assert_string_equal(line.message, lines[i].message);
                assert_int_equal(line.usage.input, lines[i].input);
                assert_int_equal(line.usage.cached, lines[i].cached);
                assert_int_equal(line.usage.output, lines[i].output);
                /* A part of a line is no line. */
                for (size_t n = 0; n < strlen(lines[i].line); n++)
                        assert_int_equal(codex_line_parse(&line, lines[i].line, n), -EBADMSG);
        }
}

static void test_peek_sees_what_parse_sees(void **state)
{
        struct codex_line line, whole;

        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
                if (lines[i].r < 0 || strstr(lines[i].line, "\\u0000"))
                        continue;
                codex_line_peek(&line, lines[i].line, strlen(lines[i].line));
                (void) codex_line_parse(&whole, lines[i].line, strlen(lines[i].line));
                assert_int_equal(line.type, whole.type);
        }
        codex_line_peek(&line, "{\"type\":\"turn.started", 21);
        assert_int_equal(line.type, CODEX_LINE_OTHER);
        codex_line_peek(&line, "{\"item\":1,\"type\":\"turn.started\"}", 31);
        assert_int_equal(line.type, CODEX_LINE_OTHER);
}

static void test_a_long_message_is_cut_at_a_character(void **state)
{
        char text[2048] = "{\"type\":\"error\",\"message\":\"";
        struct codex_line line;
        size_t n = strlen(text);

        for (; n < 1800; n += 3)
                memcpy(text + n, "\xe2\x82\xac", 3);
        memcpy(text + n, "\"}", 3);
        assert_int_equal(codex_line_parse(&line, text, n + 2), 0);
        n = strlen(line.message);
        assert_true(n > 300 && n < sizeof line.message && n % 3 == 0);
}

enum { T = 1, C = 2, F = 4, G = 8, QUOTA = 16, LOST = 32, CLOSED = 64 };
#define EXIT(code)  ((code) << 8)
#define SIGNAL(sig) (sig)

static const struct {
        const char *what;
        int seen, status;
        const char *err;
        enum job_result result;
        enum error_kind kind;
} ends[] = {
        {"ok", T | C, EXIT(0), "", JOB_OK, ERROR_NONE},
        {"exit after turn.completed", T | C, EXIT(101), "", JOB_FAILED, ERROR_CODEX_EXIT},
        {"turn.failed", T | F, EXIT(1), "", JOB_FAILED, ERROR_TURN_FAILED},
        {"turn.failed, exit 0", T | F, EXIT(0), "", JOB_FAILED, ERROR_TURN_FAILED},
        {"killed in mid-turn", T, SIGNAL(9), "", JOB_FAILED, ERROR_CODEX_EXIT},
        {"died", 0, EXIT(1), "Error: bad config", JOB_FAILED, ERROR_CODEX_DIED},
        {"died by signal", 0, SIGNAL(11), "", JOB_FAILED, ERROR_CODEX_DIED},
        {"unknown thread", 0, EXIT(1), "no rollout found for thread id", JOB_FAILED,
         ERROR_THREAD_UNKNOWN},
        {"said so and died by a signal", 0, SIGNAL(6), "no rollout found", JOB_FAILED,
         ERROR_CODEX_DIED},
        {"garbage", G, EXIT(2), "", JOB_FAILED, ERROR_CODEX_GARBAGE},
        {"garbage beside a turn", T | G | C, EXIT(0), "", JOB_OK, ERROR_NONE},
        {"closed stdout at the start", CLOSED, EXIT(0), "", JOB_FAILED, ERROR_CODEX_CLOSED_STDOUT},
        {"closed stdout in mid-turn", T | CLOSED, EXIT(0), "", JOB_FAILED,
         ERROR_CODEX_CLOSED_STDOUT},
        {"closed stdout, turn was over", T | C | CLOSED, EXIT(0), "", JOB_OK, ERROR_NONE},
        {"quota", T | C | QUOTA, EXIT(0), "", JOB_QUOTA, ERROR_OUTPUT_QUOTA},
        {"lost", T, EXIT(0), "", JOB_LOST, ERROR_LOST},
        {"lost after its turn", T | C | LOST, EXIT(0), "", JOB_LOST, ERROR_LOST},
};

static void test_ends(void **state)
{
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
                struct turn turn = {.thread_started = ends[i].seen & T,
                                    .completed = ends[i].seen & C,
                                    .failed = ends[i].seen & F,
                                    .garbage = ends[i].seen & G ? 3 : 0};
                struct turn_end end = {.status = ends[i].status,
                                       .flags = WIRE_WORKER_HAS_STATUS,
                                       .closed_stdout = ends[i].seen & CLOSED,
                                       .stderr_tail = ends[i].err};
                struct error error;

                if (ends[i].seen & QUOTA)
                        end.flags |= WIRE_WORKER_QUOTA;
                if (ends[i].seen & LOST || strcmp(ends[i].what, "lost") == 0)
                        end.flags = 0;
                print_message("%s\n", ends[i].what);
                assert_int_equal(turn_result(&turn, &end, &error), ends[i].result);
                assert_int_equal(error.kind, ends[i].kind);
                assert_true(error.kind == ERROR_NONE || error.message[0]);
        }
}

static void test_the_last_word_counts(void **state)
{
        struct codex_line failed = {.type = CODEX_LINE_TURN_FAILED, .message = "first"};
        struct codex_line completed = {.type = CODEX_LINE_TURN_COMPLETED, .has_usage = true};
        struct codex_line notice = {.type = CODEX_LINE_ERROR, .message = "later"};
        struct turn turn = {0};

        turn_line(&turn, &failed);
        turn_line(&turn, &notice);
        assert_true(turn.failed && strcmp(turn.message, "first") == 0);
        turn_line(&turn, &completed);
        assert_true(turn.completed && !turn.failed && turn.has_usage);
        assert_int_equal(turn.lines, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_peek_sees_what_parse_sees),
                cmocka_unit_test(test_a_long_message_is_cut_at_a_character),
                cmocka_unit_test(test_ends),
                cmocka_unit_test(test_the_last_word_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
