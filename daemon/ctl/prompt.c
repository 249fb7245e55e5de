#include "prompt.h"
#include "cleanup.h"
#include "fd.h"
#include "plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *prompt_check(const char *text, size_t n)
{
        ssize_t count = plain_count(text, n);

        if (n == 0)
                return "the prompt is empty";
        if (count < 0)
                return "the prompt is not valid UTF-8";
        if (memchr(text, '\0', n))
                return "the prompt holds a NUL";
        if ((size_t) count > PROMPT_MAX)
                return "the prompt is longer than 1048576 characters";
        return NULL;
}

static int read_from(const char *file, char **ret, size_t *ret_n)
{
        const char *name = file ? file : "standard input";
        _cleanup_fd_ int opened = -EBADF;
        int fd = STDIN_FILENO, r;

        if (file) {
                fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                if (fd < 0) {
                        r = -errno;
                        fprintf(stderr, "codexctl: %s: %s\n", file, strerror(-r));
                        return r;
                }
        } else if (isatty(STDIN_FILENO)) {
                fputs("codexctl: type the prompt, then Ctrl-D\n", stderr);
        }
        r = fd_read_all(fd, (size_t) PROMPT_MAX * 4, ret, ret_n); /* a character: 4 bytes at most */
        if (r == -EFBIG)
                fprintf(stderr, "codexctl: %s: the prompt is longer than %u characters\n", name,
                        PROMPT_MAX);
        else if (r < 0)
                fprintf(stderr, "codexctl: %s: %s\n", name, strerror(-r));
        return r;
}

int prompt_read(const char *argument, const char *file, char **ret, size_t *ret_n)
{
        _cleanup_free_ char *text = NULL;
        const char *wrong;
        size_t n = 0;
        int r;

        if (argument && file) {
                fputs("codexctl: a prompt and --file exclude each other\n", stderr);
                return -EINVAL;
        }
        if (argument && strcmp(argument, "-") != 0) {
                text = strdup(argument);
                if (!text)
                        return -ENOMEM;
                n = strlen(text);
        } else {
                r = read_from(file && strcmp(file, "-") != 0 ? file : NULL, &text, &n);
                if (r < 0)
                        return r;
        }
        wrong = prompt_check(text, n);
        if (wrong) {
                fprintf(stderr, "codexctl: %s\n", wrong);
                return -EINVAL;
        }
        *ret = TAKE_PTR(text);
        *ret_n = n;
        return 0;
}
