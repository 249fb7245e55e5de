#include "plain.h"
#include "cleanup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Characters that are invisible and change what others look like, or where they stand: reordering
 * ("Trojan Source"), line ends that are none, tags, other spellings of nothing. */
static const struct {
        uint32_t first, last;
} unseen[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

static bool is_unseen(uint32_t c)
{
        for (size_t i = 0; i < N_ELEMENTS(unseen); i++)
                if (c >= unseen[i].first && c <= unseen[i].last)
                        return true;
        return false;
}

void plain_init(struct plain *plain, FILE *out, enum plain_mode mode)
{
        *plain = (struct plain){.out = out, .mode = mode};
}

static void put_escape(const struct plain *plain, uint32_t c)
{
        if (plain->mode != PLAIN_JSON)
                fprintf(plain->out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        else if (c < 0x10000)
                fprintf(plain->out, "\\u%04x", c);
        else /* JSON knows only surrogates there */
                fprintf(plain->out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                        0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void put_character(struct plain *plain, uint32_t c)
{
        if (plain->carriage) {
                plain->carriage = 0;
                if (c != '\n')
                        put_escape(plain, '\r');
        }
        if (c == '\r' && plain->mode == PLAIN_TEXT)
                plain->carriage = 1;
        else if (c == '\n' || c == '\t' || c == '\r')
                fputc(plain->mode == PLAIN_TEXT ? (int) c : ' ', plain->out);
        else if (is_unseen(c))
                put_escape(plain, c);
        else
                fwrite(plain->raw, 1, plain->used, plain->out);
        plain->used = 0;
}

static void put_replacement(struct plain *plain)
{
        memcpy(plain->raw, "\xef\xbf\xbd", 3);
        plain->used = 3;
        plain->left = 0;
        put_character(plain, 0xfffd);
}

static void start_character(struct plain *plain, uint8_t byte)
{
        plain->raw[0] = byte;
        plain->used = 1;
        plain->low = 0x80;
        plain->high = 0xbf;
        if (byte < 0x80) {
                put_character(plain, byte);
        } else if (byte >= 0xc2 && byte <= 0xdf) {
                plain->left = 1;
                plain->point = byte & 0x1f;
        } else if (byte >= 0xe0 && byte <= 0xef) {
                plain->left = 2;
                plain->point = byte & 0x0f;
                if (byte == 0xe0)
                        plain->low = 0xa0; /* else overlong */
                if (byte == 0xed)
                        plain->high = 0x9f; /* else a surrogate */
        } else if (byte >= 0xf0 && byte <= 0xf4) {
                plain->left = 3;
                plain->point = byte & 0x07;
                if (byte == 0xf0)
                        plain->low = 0x90;
                if (byte == 0xf4)
                        plain->high = 0x8f; /* else over U+10FFFF */
        } else {
                put_replacement(plain);
        }
}

void plain_feed(struct plain *plain, const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint8_t byte = (uint8_t) bytes[i];

                if (plain->left == 0) {
                        start_character(plain, byte);
                        continue;
                }
                if (byte < plain->low || byte > plain->high) {
                        put_replacement(plain);
                        start_character(plain, byte);
                        continue;
                }
                plain->raw[plain->used++] = byte;
                plain->point = plain->point << 6 | (byte & 0x3f);
                plain->low = 0x80;
                plain->high = 0xbf;
                if (--plain->left == 0)
                        put_character(plain, plain->point);
        }
}

void plain_end(struct plain *plain)
{
        if (plain->left > 0)
                put_replacement(plain);
        if (plain->carriage)
                put_escape(plain, '\r');
        plain->carriage = 0;
}

void plain_put(FILE *out, enum plain_mode mode, const char *bytes, size_t n)
{
        struct plain plain;

        plain_init(&plain, out, mode);
        plain_feed(&plain, bytes, n);
        plain_end(&plain);
}

/* Wide in East Asian terminals (UAX 11, roughly): a guess too wide only cuts a line early. */
static unsigned width(uint32_t c)
{
        return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                               (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                               (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                               (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
                               (c >= 0x20000 && c <= 0x3fffd)
                       ? 2
                       : 1;
}

/* Bytes of the character that starts here, by its first byte; the text is known to be valid. */
static size_t step(const char *s, size_t n, uint32_t *ret)
{
        uint8_t byte = (uint8_t) s[0];
        size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        uint32_t c = length == 1 ? byte : byte & (0xffu >> (length + 1));

        for (size_t i = 1; i < length && i < n; i++)
                c = c << 6 | ((uint8_t) s[i] & 0x3f);
        *ret = c;
        return MIN(length, n);
}

size_t plain_fit(const char *s, size_t n, size_t columns)
{
        size_t used = 0, at = 0;

        while (at < n) {
                uint32_t c;
                size_t length = step(s + at, n - at, &c);

                if (used + width(c) > columns)
                        break;
                used += width(c);
                at += length;
        }
        return at;
}

void plain_put_cut(FILE *out, const char *s, size_t columns)
{
        _cleanup_free_ char *safe = NULL;
        size_t size = 0, n = strlen(s), fits;
        FILE *memory;

        /* Each column is at least one byte of four: more can never be shown, so do not copy it. */
        if (columns > 0 && n > columns * 4 + 4)
                n = columns * 4 + 4;
        memory = open_memstream(&safe, &size);
        if (!memory)
                return;
        plain_put(memory, PLAIN_LINE, s, n);
        if (fclose(memory) != 0)
                return;
        if (columns == 0 || plain_fit(safe, size, columns) == size) {
                fwrite(safe, 1, size, out);
                return;
        }
        fits = plain_fit(safe, size, columns > 3 ? columns - 3 : 0);
        fwrite(safe, 1, fits, out);
        fputs("...", out);
}

ssize_t plain_count(const char *s, size_t n)
{
        struct plain plain = {0};
        ssize_t count = 0;

        for (size_t i = 0; i < n; i++) {
                uint8_t byte = (uint8_t) s[i];

                if (plain.left == 0) {
                        bool lead = byte < 0x80 || (byte >= 0xc2 && byte <= 0xf4);

                        if (!lead)
                                return -1;
                        plain.left = byte < 0x80 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
                        plain.low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
                        plain.high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
                        count++;
                        continue;
                }
                if (byte < plain.low || byte > plain.high)
                        return -1;
                plain.low = 0x80;
                plain.high = 0xbf;
                plain.left--;
        }
        return plain.left == 0 ? count : -1;
}
