/* A line that Codex, or a tenant in its place, wrote. */
#include "codex-exec.h"
#include "text.h"
#include "turn.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_word(const char *word, size_t room)
{
        assert(memchr(word, '\0', room));
        assert(strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        const char *text = (const char *) bytes;
        struct codex_line line, head;
        struct turn turn = {0};
        size_t i, size;

        if (codex_line_parse(&line, text, n) < 0)
                return 0;
        assert(!line.thread_id[0] || name_is_uuid(line.thread_id));
        check_word(line.item_type, sizeof line.item_type);
        check_word(line.item_status, sizeof line.item_status);
        assert(memchr(line.message, '\0', sizeof line.message));
        for (i = 0; i < strlen(line.message); i += size) {
                size = text_character(line.message + i, strlen(line.message + i));
                assert(size > 0);
        }
        assert(line.usage.input >= 0 && line.usage.cached >= 0 && line.usage.output >= 0);
        turn_line(&turn, &line);
        assert(turn.lines == 1 && !(turn.completed && turn.failed));
        codex_line_peek(&head, text, n < CODEX_LINE_PEEK ? n : CODEX_LINE_PEEK);
        (void) codex_line_type_name(head.type)[0];
        return 0;
}
