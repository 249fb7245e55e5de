#include "wire-error.h"

#include <string.h>

static void copy(char *to, size_t room, const char *from, size_t size)
{
        size_t n = strnlen(from, size);

        if (n >= room)
                n = room - 1;
        memcpy(to, from, n);
        to[n] = '\0';
}

void wire_error_read(const struct wire_error *wire, struct error *ret)
{
        memset(ret, 0, sizeof *ret);
        ret->kind = error_kind_check(wire->kind);
        if (ret->kind == ERROR_NONE)
                return;
        ret->number = wire->number > 0 && wire->number < 4096 ? (int) wire->number
                                                              : error_kind_number(ret->kind);
        copy(ret->step, sizeof ret->step, wire->step, sizeof wire->step);
        copy(ret->key, sizeof ret->key, wire->key, sizeof wire->key);
        copy(ret->message, sizeof ret->message, wire->message, sizeof wire->message);
}
