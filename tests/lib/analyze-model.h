/* For tests/lib/analyze only: clang's analyzer looks at one file at a time, and so must be told that
 * these never return 0. */
#pragma once

#include "error.h"

#define error_set(...) ((void) (error_set)(__VA_ARGS__), -EINVAL)
#define error_set_errno(...) ((void) (error_set_errno)(__VA_ARGS__), -EINVAL)
#define error_set_key(...) ((void) (error_set_key)(__VA_ARGS__), -EINVAL)
