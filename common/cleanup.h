/* Ownership that ends by itself, and the handful of macros everything here uses. */
#pragma once

#include <stddef.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))

/* Makes fn##p(), to be used as _cleanup_(fn##p); `fn` takes the pointer and returns NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
        static inline void fn##p(type *p)                                                          \
        {                                                                                          \
                if (*p)                                                                            \
                        *p = fn(*p);                                                               \
        }                                                                                          \
        struct fn##_takes_a_semicolon

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* Returns the pointer and clears the variable: whoever reads on sees that it moved. */
#define TAKE_PTR(ptr)                                                                              \
        __extension__({                                                                            \
                __typeof__(ptr) *take_p_ = &(ptr);                                                 \
                __typeof__(ptr) take_v_ = *take_p_;                                                \
                *take_p_ = NULL;                                                                   \
                take_v_;                                                                           \
        })

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static inline void free_any(void *p) /* the address of a pointer of any type */
{
        void *pointer;

        __builtin_memcpy(&pointer, p, sizeof pointer);
        __builtin_free(pointer);
}
#define _cleanup_free_ _cleanup_(free_any)
