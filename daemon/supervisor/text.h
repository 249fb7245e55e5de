/* Text that goes to clients: valid UTF-8 whatever was put in, and counted in characters. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the valid UTF-8 character at `s` (RFC 3629: no surrogates, no overlong forms), of which
 * `n` bytes are there; 0 if there is none. */
size_t text_character(const char *s, size_t n);
/* Unicode characters in valid UTF-8. */
size_t text_count(const char *s, size_t n);
/* Copies at most `room` - 1 bytes and a NUL: invalid bytes and control characters (but TAB, LF)
 * become '?', no character is cut in half. Returns the length. */
size_t text_clean(char *to, size_t room, const char *from, size_t n);
/* [0x20..0x7e]+, at most `max` bytes. */
bool text_is_printable(const char *s, size_t max);
