/* Without a fuzzing engine: gives a target every file of the directories (or the files) named. */
#include "cleanup.h"
#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static unsigned files;

static void die(const char *what, int r)
{
        (void) fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void replay(int dir, const char *name)
{
        _cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        char *exact;
        size_t n = 0;
        int r = fd < 0 ? -errno : fd_read_all(fd, INPUT_MAX, &text, &n);

        if (r < 0)
                die(name, r);
        (void) printf("%s\n", name); /* the last one seen is the one that crashed */
        (void) fflush(stdout);
        exact = malloc(n ? n : 1); /* to the byte: reading past it is for the sanitizer to see */
        if (!exact)
                die(name, -ENOMEM);
        memcpy(exact, text, n);
        if (LLVMFuzzerTestOneInput((const uint8_t *) exact, n) != 0)
                die(name, -EINVAL);
        free(exact);
        files++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dot(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                _cleanup_fd_ int dir = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                struct dirent **entries;
                int n = -1;

                if (dir < 0 && errno == ENOTDIR) {
                        replay(AT_FDCWD, argv[i]);
                        continue;
                }
                if (dir >= 0)
                        n = scandirat(dir, ".", &entries, no_dot, by_name);
                if (n < 0)
                        die(argv[i], -errno);
                for (int k = 0; k < n; k++) {
                        replay(dir, entries[k]->d_name);
                        free(entries[k]);
                }
                free(entries);
        }
        if (files == 0) { /* a corpus that is not there would test nothing, silently */
                (void) fprintf(stderr, "no input\n");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
