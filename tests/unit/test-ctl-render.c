#include "cleanup.h"
#include "render.h"
#include "status-line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESSAGE(text)                                                                              \
        "{\"type\":\"item.completed\",\"item\":{\"id\":\"item_0\",\"type\":\"agent_message\","     \
        "\"text\":\"" text "\"}}"
#define COMMAND(phase, command, rest)                                                              \
        "{\"type\":\"item." phase "\",\"item\":{\"id\":\"item_1\",\"type\":\"command_execution\"," \
        "\"command\":\"" command "\"" rest "}}"

static const struct render_case {
        const char *what, *event, *want;
        const char *quiet;   /* NULL: "" */
        const char *verbose; /* NULL: as `want` */
} cases[] = {
        {"thread", "{\"type\":\"thread.started\",\"thread_id\":\"0199\"}", "thread: 0199\n", NULL,
         NULL},
        {"turn.started says nothing", "{\"type\":\"turn.started\"}", "", NULL, NULL},
        {"what the agent says", MESSAGE("hello\\nworld"), "hello\nworld\n", "hello\nworld\n", NULL},
        {"what a hostile one says", MESSAGE("\\u001b[2J\\u0007\\u202eevil\\u009b1m"),
         "\\x1b[2J\\x07\\u202eevil\\x9b1m\n", "\\x1b[2J\\x07\\u202eevil\\x9b1m\n", NULL},
        {"a carriage return cannot hide text", MESSAGE("good\\revil"), "good\\x0devil\n",
         "good\\x0devil\n", NULL},
        {"a NUL does not end it", MESSAGE("a\\u0000b"), "a\\x00b\n", "a\\x00b\n", NULL},
        {"a command that starts is for the status line",
         COMMAND("started", "ls", ",\"exit_code\":null,\"status\":\"in_progress\""), "", NULL,
         NULL},
        {"a command",
         COMMAND("completed", "ls -l",
                 ",\"aggregated_output\":\"a\\n\",\"exit_code\":0,\"status\":\"completed\""),
         "$ ls -l  [exit 0]\n", NULL, "$ ls -l  [exit 0]\n  | a\n"},
        {"a command that failed",
         COMMAND("completed", "false",
                 ",\"aggregated_output\":\"one\\ntwo\\n\",\"exit_code\":3,\"status\":\"failed\""),
         "$ false  [exit 3]\n  | one\n  | two\n", NULL, NULL},
        {"a command over two lines", COMMAND("completed", "a\\nb", ",\"exit_code\":0"),
         "$ a b  [exit 0]\n", NULL, NULL},
        {"a hostile command and its output",
         COMMAND("completed", "\\u001bc",
                 ",\"aggregated_output\":\"\\u001b]0;x\\u0007\",\"exit_code\":1"),
         "$ \\x1bc  [exit 1]\n  | \\x1b]0;x\\x07\n", NULL, NULL},
        {"a command that was declined",
         COMMAND("completed", "rm", ",\"exit_code\":null,\"status\":\"declined\""),
         "$ rm  [declined]\n", NULL, NULL},
        {"file changes",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"file_change\",\"changes\":[{\"path\":"
         "\"a.txt\",\"kind\":\"update\"},{\"path\":\"b\\u001b\",\"kind\":\"add\"}],\"status\":"
         "\"completed\"}}",
         "update a.txt\nadd b\\x1b\n", NULL, NULL},
        {"file changes that failed",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"file_change\",\"changes\":[{\"path\":"
         "\"a\",\"kind\":\"add\"}],\"status\":\"failed\"}}",
         "add a  [failed]\n", NULL, NULL},
        {"a tool",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"mcp_tool_call\",\"server\":\"s\","
         "\"tool\":\"t\",\"status\":\"completed\",\"error\":null}}",
         "> s.t  [completed]\n", NULL, NULL},
        {"a tool that failed",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"mcp_tool_call\",\"server\":\"s\","
         "\"tool\":\"t\",\"status\":\"failed\",\"error\":{\"message\":\"no\"}}}",
         "> s.t  [failed] no\n", NULL, NULL},
        {"a plan",
         "{\"type\":\"item.updated\",\"item\":{\"type\":\"todo_list\",\"items\":[{\"text\":\"a\","
         "\"completed\":true},{\"text\":\"b\",\"completed\":false}]}}",
         "[x] a\n[ ] b\n", NULL, NULL},
        {"reasoning is for -v",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"reasoning\",\"text\":\"hm\"}}", "",
         NULL, "thinking: hm\n"},
        {"a warning",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"error\",\"message\":\"disk\"}}",
         "warning: disk\n", NULL, NULL},
        {"an item of tomorrow",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"dance\\u001b\"}}", "item: dance\\x1b\n",
         NULL, NULL},
        {"an error", "{\"type\":\"error\",\"message\":\"Reconnecting... 1/5\\n$ rm\"}",
         "error: Reconnecting... 1/5 $ rm\n", NULL, NULL},
        {"turn.completed",
         "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":10,\"cached_input_tokens\":4,"
         "\"output_tokens\":2}}",
         "tokens of the thread: 10 in (4 cached), 2 out\n", NULL, NULL},
        {"turn.failed", "{\"type\":\"turn.failed\",\"error\":{\"message\":\"no\"}}",
         "turn failed: no\n", NULL, NULL},
        {"job.queued", "{\"type\":\"job.queued\",\"position\":3}", "job 7 queued, position 3\n",
         NULL, NULL},
        {"job.started", "{\"type\":\"job.started\",\"worker\":2,\"pid\":99}",
         "job 7 started, worker 2, pid 99\n", NULL, NULL},
        {"job.cancelling", "{\"type\":\"job.cancelling\",\"result\":\"cancelled\"}",
         "job 7 is being ended: cancelled\n", NULL, NULL},
        {"job.finished", "{\"type\":\"job.finished\",\"result\":\"ok\"}", "job 7 ended: ok\n", NULL,
         NULL},
        {"job.finished with a failure",
         "{\"type\":\"job.finished\",\"result\":\"failed\",\"error\":{\"error\":\"turn-failed\","
         "\"message\":\"no\\u001b\"}}",
         "job 7 ended: failed: no\\x1b (turn-failed)\n", NULL, NULL},
        {"job.garbage", "{\"type\":\"job.garbage\",\"bytes\":12}",
         "Codex wrote a line of 12 bytes that is no JSON\n", NULL, NULL},
        {"gap", "{\"type\":\"gap\"}", "events are missing here\n", NULL, NULL},
        {"an event of tomorrow", "{\"type\":\"dance\\u001b\"}", "event: dance\\x1b\n", NULL, NULL},
        {"no type", "{}", "event: \n", NULL, NULL},
        {"wrong types all over",
         "{\"type\":\"item.completed\",\"item\":{\"type\":\"command_execution\",\"command\":7,"
         "\"exit_code\":\"x\",\"aggregated_output\":[]}}",
         "$   [ended]\n", NULL, NULL},
        {"an item that is none", "{\"type\":\"item.completed\",\"item\":[]}", "item: \n", NULL,
         NULL},
};

static char *rendered(struct render *render, const char *text)
{
        json_t *event = json_loads(text, JSON_ALLOW_NUL, NULL);
        char *out = NULL;
        size_t size = 0;
        FILE *memory = open_memstream(&out, &size);

        if (!event)
                fail_msg("no JSON: %s", text);
        render_event(render, event, memory);
        (void) fclose(memory);
        json_decref(event);
        return out;
}

static void check(const struct render_case *c, bool quiet, bool verbose, const char *want)
{
        struct render render;
        char *got;

        render_init(&render);
        render.job = 7;
        render.quiet = quiet;
        render.verbose = verbose;
        got = rendered(&render, c->event);
        if (strcmp(got, want) != 0)
                fail_msg("%s%s%s: \"%s\"", c->what, quiet ? ", quiet" : "",
                         verbose ? ", verbose" : "", got);
        free(got);
}

static void table(void **state)
{
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct render_case *c = &cases[i];

                check(c, false, false, c->want);
                check(c, true, false, c->quiet ? c->quiet : "");
                check(c, false, true, c->verbose ? c->verbose : c->want);
        }
}

/* On a terminal our own lines are dim, and nothing a stranger wrote can end that or begin it. */
static void colour_is_ours_alone(void **state)
{
        struct render render;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                size_t begins = 0, ends = 0, escapes = 0;
                char *got;

                render_init(&render);
                render.colour = true;
                got = rendered(&render, cases[i].event);
                for (const char *p = got; (p = strchr(p, '\033')); p++) {
                        escapes++;
                        begins += strncmp(p, "\033[2m", 4) == 0;
                        ends += strncmp(p, "\033[0m", 4) == 0;
                }
                assert_int_equal(begins, ends);
                assert_int_equal(begins + ends, escapes);
                free(got);
        }
}

static void long_output_is_cut_at_a_line(void **state)
{
        char event[20000], *got;
        struct render render;
        size_t n;

        n = (size_t) snprintf(
                event, sizeof event, "%s",
                "{\"type\":\"item.completed\",\"item\":{\"type\":\"command_execution\","
                "\"command\":\"c\",\"exit_code\":1,\"aggregated_output\":\"");
        for (int i = 0; i < 1000; i++)
                n += (size_t) snprintf(event + n, sizeof event - n, "line %d\\n", i);
        (void) snprintf(event + n, sizeof event - n, "\"}}");
        render_init(&render);
        got = rendered(&render, event);
        assert_non_null(strstr(got, "bytes before]\n"));
        assert_non_null(strstr(got, "  | line 999\n"));
        assert_null(strstr(got, "line 0\n"));
        for (char *line = strstr(got, "\n"); line && line[1]; line = strstr(line + 1, "\n"))
                assert_memory_equal(line + 1, "  | ", 4);
        assert_true(strlen(got) < 8000);
        free(got);
}

static void end_and_status(void **state)
{
        struct render render;
        char text[200];
        FILE *out;

        render_init(&render);
        free(rendered(&render, "{\"type\":\"job.queued\",\"position\":2}"));
        render.job = 7;
#define STATUS(columns, elapsed, want)                                                             \
        do {                                                                                       \
                out = fmemopen(text, sizeof text, "w");                                            \
                status_line_text(&render, elapsed, columns, out);                                  \
                (void) fclose(out);                                                                \
                assert_string_equal(text, want);                                                   \
        } while (0)
        STATUS(80, 5, "job 7 queued at 2 5s");
        free(rendered(&render, "{\"type\":\"job.started\"}"));
        STATUS(80, 65, "job 7 running 1m05s");
        free(rendered(&render, COMMAND("started", "sleep\\u001b 9\\nx", "")));
        STATUS(80, 3700, "job 7 running 1h01m | $ sleep\\x1b 9 x");
        STATUS(20, 3700, "job 7 running 1h01m ");
        render.input_tokens = 10;
        render.output_tokens = 2;
        STATUS(80, 0, "job 7 running 0s | 10 in 2 out | $ sleep\\x1b 9 x");
        free(rendered(&render, COMMAND("completed", "sleep", ",\"exit_code\":0")));
        STATUS(80, 0, "job 7 running 0s | 10 in 2 out");
        assert_false(render.finished);
        free(rendered(&render,
                      "{\"type\":\"job.finished\",\"result\":\"failed\",\"exit_signal\":11,"
                      "\"error\":{\"error\":\"codex-exit\",\"message\":\"m\"}}"));
        assert_true(render.finished);
        assert_string_equal(render.result, "failed");
        assert_string_equal(render.error, "codex-exit");
        assert_string_equal(render.message, "m");
        assert_int_equal(render.exit_signal, 11);
}

static void a_command_left_running_is_told(void **state)
{
        struct render render;
        char *got;

        render_init(&render);
        free(rendered(&render, COMMAND("started", "sleep 9", "")));
        got = rendered(&render, "{\"type\":\"job.finished\",\"result\":\"cancelled\"}");
        assert_string_equal(got, "$ sleep 9  [unfinished]\njob 0 ended: cancelled\n");
        free(got);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(table),
                cmocka_unit_test(colour_is_ours_alone),
                cmocka_unit_test(long_output_is_cut_at_a_line),
                cmocka_unit_test(end_and_status),
                cmocka_unit_test(a_command_left_running_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
