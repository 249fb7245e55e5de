/* For tests/lib/analyze only: clang's analyzer looks at one file at a time, and so must be told
 * what the others promise. */
#pragma once

#include "error.h"
#include "fd.h"

#include <errno.h>

/* Never 0. */
#define error_set(...)       ((void) (error_set) (__VA_ARGS__), -EINVAL)
#define error_set_errno(...) ((void) (error_set_errno) (__VA_ARGS__), -EINVAL)
#define error_set_key(...)   ((void) (error_set_key) (__VA_ARGS__), -EINVAL)

/* After a failed call errno is positive, and -errno is what we return: the analyzer does not follow
 * an unknown through a minus sign, so it is a number here. */
#undef errno
#define errno                                                                                      \
        (*__extension__({                                                                          \
                static int model_;                                                                 \
                model_ = EIO;                                                                      \
                &model_;                                                                           \
        }))

/* Gives a buffer unless it fails. */
static inline int model_fd_read_all(int fd, size_t max, char **ret, size_t *ret_n)
{
        int r = fd_read_all(fd, max, ret, ret_n);

        if (r >= 0 && !*ret)
                __builtin_unreachable();
        return r;
}
#define fd_read_all model_fd_read_all
