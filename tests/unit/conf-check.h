/* cmocka, and checks that say which row of a table failed, and what an unexpected error says. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CHECK(what, condition)                                                                     \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        fail_msg("%s: not so: %s", (what), #condition);                            \
        } while (0)

#define CHECK_OK(call, err)                                                                        \
        do {                                                                                       \
                int check_r_ = (call);                                                             \
                if (check_r_ < 0)                                                                  \
                        fail_msg("%s: %d, %s", #call, check_r_, (err).message);                    \
        } while (0)
