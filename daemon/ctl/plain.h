/* Text that strangers chose, made safe to show. What an agent, its commands and their output say is
 * hostile: an escape sequence in it could rewrite the terminal, retitle it or type into it. Bytes
 * in, characters out, in pieces cut anywhere; invalid UTF-8 becomes U+FFFD. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum plain_mode {
        PLAIN_TEXT, /* LF and TAB stay, CR LF is LF; other controls are shown as \x1b, \u202e */
        PLAIN_LINE, /* the same on one line: LF, TAB and CR are blanks */
        PLAIN_JSON, /* JSON on one line: raw LF, TAB, CR are blanks, other controls \u001b */
};

struct plain {
        FILE *out;
        enum plain_mode mode;
        uint32_t point;       /* of the character under way */
        uint8_t left;         /* its bytes still to come */
        uint8_t low, high;    /* bounds of the next one (RFC 3629, section 4) */
        uint8_t raw[4], used; /* its bytes so far */
        uint8_t carriage;     /* a CR that may belong to a CR LF */
};

void plain_init(struct plain *plain, FILE *out, enum plain_mode mode);
void plain_feed(struct plain *plain, const char *bytes, size_t n);
void plain_end(struct plain *plain); /* a character cut off is U+FFFD */

/* All at once. */
void plain_put(FILE *out, enum plain_mode mode, const char *bytes, size_t n);
/* A string on one line, at most `columns` wide; "..." at its end if it was cut. 0: no limit. */
void plain_put_cut(FILE *out, const char *s, size_t columns);

/* Bytes of the longest prefix of safe text (what plain_* wrote) that is at most `columns` wide. */
size_t plain_fit(const char *s, size_t n, size_t columns);
/* Characters in UTF-8 text, or -1 if it is not valid (RFC 3629). */
ssize_t plain_count(const char *s, size_t n);
