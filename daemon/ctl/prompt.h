/* The prompt of a job: an argument, a file or standard input; bounded before anything is sent. */
#pragma once

#include <stddef.h>

#define PROMPT_MAX 1048576u /* Unicode characters: Codex takes no more */

/* `argument`: the operand, or NULL; "-" is standard input. `file`: of --file, or NULL. Gives a
 * malloc'ed, NUL-terminated text. 0, or -EINVAL/-errno having said on stderr what is wrong. */
int prompt_read(const char *argument, const char *file, char **ret, size_t *ret_n);
/* NULL, or what is wrong with such a prompt. */
const char *prompt_check(const char *text, size_t n);
