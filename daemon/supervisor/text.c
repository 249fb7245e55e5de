#include "text.h"

#include <stdint.h>
#include <string.h>

size_t text_character(const char *s, size_t n)
{
        const uint8_t *b = (const uint8_t *) s;
        uint8_t low = 0x80, high = 0xbf;
        size_t size;

        if (n == 0)
                return 0;
        if (b[0] < 0x80)
                return 1;
        if (b[0] >= 0xc2 && b[0] <= 0xdf)
                size = 2;
        else if (b[0] >= 0xe0 && b[0] <= 0xef)
                size = 3;
        else if (b[0] >= 0xf0 && b[0] <= 0xf4)
                size = 4;
        else
                return 0;
        if (n < size)
                return 0;
        if (b[0] == 0xe0)
                low = 0xa0;
        else if (b[0] == 0xed)
                high = 0x9f;
        else if (b[0] == 0xf0)
                low = 0x90;
        else if (b[0] == 0xf4)
                high = 0x8f;
        if (b[1] < low || b[1] > high)
                return 0;
        for (size_t i = 2; i < size; i++)
                if (b[i] < 0x80 || b[i] > 0xbf)
                        return 0;
        return size;
}

size_t text_count(const char *s, size_t n)
{
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                if (((uint8_t) s[i] & 0xc0) != 0x80)
                        count++;
        return count;
}

size_t text_clean(char *to, size_t room, const char *from, size_t n)
{
        size_t used = 0;

        for (size_t i = 0; i < n;) {
                size_t size = text_character(from + i, n - i);
                uint8_t c = (uint8_t) from[i];

                if (used + (size ? size : 1) >= room)
                        break;
                if (size == 0 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
                        to[used++] = '?';
                        i++;
                        continue;
                }
                memcpy(to + used, from + i, size);
                used += size;
                i += size;
        }
        to[used] = '\0';
        return used;
}

bool text_is_printable(const char *s, size_t max)
{
        size_t n = strnlen(s, max + 1);

        if (n == 0 || n > max)
                return false;
        for (size_t i = 0; i < n; i++)
                if (s[i] < 0x20 || s[i] > 0x7e)
                        return false;
        return true;
}
