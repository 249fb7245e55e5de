#include "jsonscan.h"

#include <string.h>

/* A table-driven automaton: a byte has a class, a state and a class give the next state. What needs
 * the stack, and a string's inside with its fast path, are "actions": numbers below the first
 * state, so that one comparison tells them apart. */

enum class {        /* of a byte; what is told apart nowhere shares one */
             OTHER, /* printable ASCII and DEL: only inside strings */
             CONTROL,
             BLANK, /* TAB, LF, CR: blank between tokens, control byte in a string */
             SPACE,
             QUOTE,
             BACKSLASH,
             SLASH,
             BRACE,
             BRACE_END,
             BRACKET,
             BRACKET_END,
             COMMA,
             COLON,
             ZERO,
             DIGIT, /* 1 to 9 */
             MINUS,
             PLUS,
             DOT,
             LETTER_A, /* letters of literals, escapes and hexadecimal */
             LETTER_B,
             LETTER_E,
             LETTER_E_UPPER,
             LETTER_F,
             LETTER_L,
             LETTER_N,
             LETTER_R,
             LETTER_S,
             LETTER_T,
             LETTER_U,
             HEX,    /* c, d, A to D, F */
             TAIL_8, /* 80 to 8f */
             TAIL_9, /* 90 to 9f */
             TAIL_A, /* a0 to bf */
             LEAD_2, /* c2 to df */
             LEAD_E0,
             LEAD_3, /* e1 to ec, ee, ef */
             LEAD_ED,
             LEAD_F0,
             LEAD_4, /* f1 to f3 */
             LEAD_F4,
             NEVER, /* c0, c1, f5 to ff */
             CLASSES
};

#define O  OTHER
#define C  CONTROL
#define D  DIGIT
#define H  HEX
#define T8 TAIL_8, TAIL_8, TAIL_8, TAIL_8
#define T9 TAIL_9, TAIL_9, TAIL_9, TAIL_9
#define TA TAIL_A, TAIL_A, TAIL_A, TAIL_A
#define L2 LEAD_2, LEAD_2, LEAD_2, LEAD_2
#define L3 LEAD_3, LEAD_3, LEAD_3, LEAD_3
#define NV NEVER, NEVER, NEVER, NEVER
/* clang-format off */
static const uint8_t class_of[256] = {
        C, C, C, C, C, C, C, C, C, BLANK, BLANK, C, C, BLANK, C, C,
        C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
        SPACE, O, QUOTE, O, O, O, O, O, O, O, O, PLUS, COMMA, MINUS, DOT, SLASH,
        ZERO, D, D, D, D, D, D, D, D, D, COLON, O, O, O, O, O,
        O, H, H, H, H, LETTER_E_UPPER, H, O, O, O, O, O, O, O, O, O,
        O, O, O, O, O, O, O, O, O, O, O, BRACKET, BACKSLASH, BRACKET_END, O, O,
        O, LETTER_A, LETTER_B, H, H, LETTER_E, LETTER_F, O, O, O, O, O, LETTER_L, O, LETTER_N, O,
        O, O, LETTER_R, LETTER_S, LETTER_T, LETTER_U, O, O, O, O, O, BRACE, O, BRACE_END, O, O,
        T8, T8, T8, T8, T9, T9, T9, T9,
        TA, TA, TA, TA, TA, TA, TA, TA,
        NEVER, NEVER, LEAD_2, LEAD_2, L2, L2, L2, L2, L2, L2, L2,
        LEAD_E0, LEAD_3, LEAD_3, LEAD_3, L3, L3, LEAD_3, LEAD_ED, LEAD_3, LEAD_3,
        LEAD_F0, LEAD_4, LEAD_4, LEAD_4, LEAD_F4, NEVER, NEVER, NEVER, NV, NV,
};
/* clang-format on */

/* States inside a string, once for keys (K) and once for values (V): they end differently. */
#define STRING_STATES(X)                                                                           \
        X##_STRING, X##_ESCAPE, X##_HEX1, X##_HEX2, X##_HEX3, X##_HEX4, X##_TAIL1, X##_TAIL2,      \
                X##_TAIL3, X##_E0, X##_ED, X##_F0, X##_F4

enum state {
        /* actions */
        DEAD, /* no further byte helps; 0, so that what a row does not name is refused */
        DO_OBJECT,
        DO_ARRAY,
        DO_OBJECT_END,
        DO_ARRAY_END,
        DO_COMMA,
        DO_KEY,   /* inside a key: on to its next odd byte */
        DO_VALUE, /* inside another string */
        /* states */
        VALUE,       /* a value must follow */
        FIRST_VALUE, /* a value or ] */
        FIRST_KEY,   /* a key or } */
        KEY,
        AFTER_KEY,
        AFTER, /* a value ended; at depth 0: all did */
        STRING_STATES(K),
        STRING_STATES(V),
        NUMBER_MINUS,
        NUMBER_ZERO,
        NUMBER_INT,
        NUMBER_DOT,
        NUMBER_FRACTION,
        NUMBER_E,
        NUMBER_E_SIGN,
        NUMBER_EXPONENT,
        T_RUE,
        TR_UE,
        TRU_E,
        F_ALSE,
        FA_LSE,
        FAL_SE,
        FALS_E,
        N_ULL,
        NU_LL,
        NUL_L,
        STATES
};
_Static_assert(STATES <= UINT8_MAX, "a state fits struct jsonscan");

#define BLANKS(to) [BLANK] = (to), [SPACE] = (to)
#define DIGITS(to) [ZERO] = (to), [DIGIT] = (to)
#define TAILS(to)  [TAIL_8] = (to), [TAIL_9] = (to), [TAIL_A] = (to)
#define VALUE_ENDS                                                                                 \
        BLANKS(AFTER), [COMMA] = DO_COMMA, [BRACE_END] = DO_OBJECT_END, [BRACKET_END] = DO_ARRAY_END
#define VALUE_STARTS                                                                               \
        [BRACE] = DO_OBJECT, [BRACKET] = DO_ARRAY, [QUOTE] = DO_VALUE, [MINUS] = NUMBER_MINUS,     \
        [ZERO] = NUMBER_ZERO, [DIGIT] = NUMBER_INT, [LETTER_T] = T_RUE, [LETTER_F] = F_ALSE,       \
        [LETTER_N] = N_ULL
#define HEX_DIGITS(to)                                                                             \
        DIGITS(to), [LETTER_A] = (to), [LETTER_B] = (to), [HEX] = (to), [LETTER_E] = (to),         \
                    [LETTER_E_UPPER] = (to), [LETTER_F] = (to)
/* UTF-8 as in RFC 3629, section 4: no overlong form, no surrogate, nothing over U+10FFFF. */
#define STRING_ROWS(X, INSIDE, END)                                                                \
        [X##_STRING] =                                                                             \
                {                                                                                  \
                        [OTHER] = X##_STRING,                                                      \
                        [SPACE... QUOTE - 1] = X##_STRING,                                         \
                        [QUOTE] = END,                                                             \
                        [BACKSLASH] = X##_ESCAPE,                                                  \
                        [SLASH... HEX] = X##_STRING,                                               \
                        [LEAD_2] = X##_TAIL1,                                                      \
                        [LEAD_E0] = X##_E0,                                                        \
                        [LEAD_3] = X##_TAIL2,                                                      \
                        [LEAD_ED] = X##_ED,                                                        \
                        [LEAD_F0] = X##_F0,                                                        \
                        [LEAD_4] = X##_TAIL3,                                                      \
                        [LEAD_F4] = X##_F4,                                                        \
        },                                                                                         \
        [X##_ESCAPE] = {[QUOTE] = INSIDE,    [BACKSLASH] = INSIDE, [SLASH] = INSIDE,               \
                        [LETTER_B] = INSIDE, [LETTER_F] = INSIDE,  [LETTER_N] = INSIDE,            \
                        [LETTER_R] = INSIDE, [LETTER_T] = INSIDE,  [LETTER_U] = X##_HEX1},         \
        [X##_HEX1] = {HEX_DIGITS(X##_HEX2)}, [X##_HEX2] = {HEX_DIGITS(X##_HEX3)},                  \
        [X##_HEX3] = {HEX_DIGITS(X##_HEX4)}, [X##_HEX4] = {HEX_DIGITS(INSIDE)},                    \
        [X##_TAIL1] = {TAILS(INSIDE)}, [X##_TAIL2] = {TAILS(X##_TAIL1)},                           \
        [X##_TAIL3] = {TAILS(X##_TAIL2)}, [X##_E0] = {[TAIL_A] = X##_TAIL1},                       \
        [X##_ED] = {[TAIL_8] = X##_TAIL1, [TAIL_9] = X##_TAIL1},                                   \
        [X##_F0] = {[TAIL_9] = X##_TAIL2, [TAIL_A] = X##_TAIL2}, [X##_F4] = {[TAIL_8] = X##_TAIL2}

static const uint8_t table[STATES][CLASSES] = {
        [VALUE] = {BLANKS(VALUE), VALUE_STARTS},
        [FIRST_VALUE] = {BLANKS(FIRST_VALUE), VALUE_STARTS, [BRACKET_END] = DO_ARRAY_END},
        [FIRST_KEY] = {BLANKS(FIRST_KEY), [QUOTE] = DO_KEY, [BRACE_END] = DO_OBJECT_END},
        [KEY] = {BLANKS(KEY), [QUOTE] = DO_KEY},
        [AFTER_KEY] = {BLANKS(AFTER_KEY), [COLON] = VALUE},
        [AFTER] = {VALUE_ENDS},
        STRING_ROWS(K, DO_KEY, AFTER_KEY),
        STRING_ROWS(V, DO_VALUE, AFTER),
        [NUMBER_MINUS] = {[ZERO] = NUMBER_ZERO, [DIGIT] = NUMBER_INT},
        [NUMBER_ZERO] = {VALUE_ENDS, [DOT] = NUMBER_DOT, [LETTER_E] = NUMBER_E,
                         [LETTER_E_UPPER] = NUMBER_E},
        [NUMBER_INT] = {VALUE_ENDS, DIGITS(NUMBER_INT), [DOT] = NUMBER_DOT, [LETTER_E] = NUMBER_E,
                        [LETTER_E_UPPER] = NUMBER_E},
        [NUMBER_DOT] = {DIGITS(NUMBER_FRACTION)},
        [NUMBER_FRACTION] =
                {VALUE_ENDS,
                 DIGITS(NUMBER_FRACTION), [LETTER_E] = NUMBER_E, [LETTER_E_UPPER] = NUMBER_E},
        [NUMBER_E] = {DIGITS(NUMBER_EXPONENT), [PLUS] = NUMBER_E_SIGN, [MINUS] = NUMBER_E_SIGN},
        [NUMBER_E_SIGN] = {DIGITS(NUMBER_EXPONENT)},
        [NUMBER_EXPONENT] = {VALUE_ENDS, DIGITS(NUMBER_EXPONENT)},
        [T_RUE] = {[LETTER_R] = TR_UE},
        [TR_UE] = {[LETTER_U] = TRU_E},
        [TRU_E] = {[LETTER_E] = AFTER},
        [F_ALSE] = {[LETTER_A] = FA_LSE},
        [FA_LSE] = {[LETTER_L] = FAL_SE},
        [FAL_SE] = {[LETTER_S] = FALS_E},
        [FALS_E] = {[LETTER_E] = AFTER},
        [N_ULL] = {[LETTER_U] = NU_LL},
        [NU_LL] = {[LETTER_L] = NUL_L},
        [NUL_L] = {[LETTER_L] = AFTER},
};

void jsonscan_init(struct jsonscan *scan)
{
        memset(scan, 0, sizeof *scan);
        scan->state = VALUE;
}

static bool in_object(const struct jsonscan *scan, unsigned depth)
{
        return scan->stack[depth / 8] >> (depth % 8) & 1;
}

static enum state push(struct jsonscan *scan, bool object)
{
        uint8_t bit = (uint8_t) (1u << (scan->depth % 8));

        if (scan->depth == JSONSCAN_DEPTH_MAX)
                return DEAD;
        if (object)
                scan->stack[scan->depth / 8] |= bit;
        else
                scan->stack[scan->depth / 8] &= (uint8_t) ~bit;
        scan->depth++;
        return object ? FIRST_KEY : FIRST_VALUE;
}

static enum state pop(struct jsonscan *scan, bool object)
{
        if (scan->depth == 0 || in_object(scan, scan->depth - 1u) != object)
                return DEAD;
        scan->depth--;
        return AFTER;
}

/* Past all plain bytes of a string, eight at a time: up to a quote, a backslash, a control byte or
 * one over 7f, or to fewer than eight bytes before the end; the table does the rest. The sums may
 * mark a byte too many behind a true mark, never one too few. */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
        const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;

        while (end - p >= 8) {
                uint64_t w, quote, backslash;

                memcpy(&w, p, sizeof w);
                quote = w ^ (ones * '"');
                backslash = w ^ (ones * '\\');
                if ((w | (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) |
                     (w - ones * 0x20)) &
                    high)
                        break;
                p += 8;
        }
        return p;
}

bool jsonscan_feed(struct jsonscan *scan, const char *bytes, size_t n)
{
        const unsigned char *p = (const unsigned char *) bytes, *end = p + n;
        unsigned state = scan->state;

        if (state == K_STRING || state == V_STRING)
                p = skip_plain(p, end);
        while (p < end) {
                state = table[state][class_of[*p++]];
                if (state > DO_VALUE)
                        continue;
                switch (state) {
                case DO_OBJECT:
                case DO_ARRAY:
                        state = push(scan, state == DO_OBJECT);
                        break;
                case DO_OBJECT_END:
                case DO_ARRAY_END:
                        state = pop(scan, state == DO_OBJECT_END);
                        break;
                case DO_COMMA:
                        if (scan->depth == 0)
                                state = DEAD;
                        else
                                state = in_object(scan, scan->depth - 1u) ? KEY : VALUE;
                        break;
                case DO_KEY:
                case DO_VALUE:
                        state = state == DO_KEY ? K_STRING : V_STRING;
                        p = skip_plain(p, end);
                        break;
                }
                if (state == DEAD)
                        break;
        }
        scan->state = (uint8_t) state;
        return state != DEAD;
}

bool jsonscan_is_object(const struct jsonscan *scan)
{
        return scan->state == AFTER && scan->depth == 0 && in_object(scan, 0);
}
