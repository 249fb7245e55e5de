/* The scanner says the same in one part and in many, and as jansson does but for what jsonscan.h
 * lets pass. Byte 0 is the size of the parts. */
#include "jsonscan.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool is_let_pass(const char *why)
{
        return strstr(why, "invalid Unicode") || strstr(why, "too big") ||
               strstr(why, "overflow") || strstr(why, "NUL byte in object key");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        struct jsonscan whole, parts;
        json_error_t why;
        const char *text;
        size_t step;
        json_t *json;
        bool ok;

        if (n < 1)
                return 0;
        step = bytes[0] + 1u;
        text = (const char *) bytes + 1;
        n--;
        jsonscan_init(&whole);
        ok = jsonscan_feed(&whole, text, n);
        jsonscan_init(&parts);
        for (size_t i = 0; i < n; i += step)
                (void) jsonscan_feed(&parts, text + i, n - i < step ? n - i : step);
        assert(jsonscan_feed(&parts, "", 0) == ok);
        assert(jsonscan_is_object(&parts) == jsonscan_is_object(&whole));

        json = json_loadb(text, n, JSON_ALLOW_NUL, &why);
        /* jansson goes deeper than we do; and it swallows a raw NUL behind a number */
        if (json_is_object(json) && !jsonscan_is_object(&whole))
                assert(!ok && (n > JSONSCAN_DEPTH_MAX || memchr(text, '\0', n)));
        if (jsonscan_is_object(&whole) && !json)
                assert(is_let_pass(why.text));
        json_decref(json);
        return 0;
}
