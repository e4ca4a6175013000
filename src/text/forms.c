/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode normalization forms (Unicode Standard Annex 15) that remember origins. */
#include "src/text/forms.h"

#include <string.h>

#include <utf8proc.h>

static unsigned combining_class(uint32_t c)
{
    /* Nothing below U+0300 combines. */
    return c < 0x300 ? 0 : (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

static void swap(struct lac_chars *a, struct lac_chars *b)
{
    struct lac_chars kept = *a;
    *a = *b;
    *b = kept;
}

/* Stable counting sort by combining class: a text may be one single run of marks.  Only the code
 * points move; the origins stay in the order of the text, so that ranges never run backwards. */
static void sort_long_run(struct lac_char *run, size_t n, struct lac_char *room)
{
    size_t places[257] = {0};
    memcpy(room, run, n * sizeof *run);
    for (size_t i = 0; i < n; i++)
        places[combining_class(room[i].c) + 1]++;
    for (size_t k = 1; k < 257; k++)
        places[k] += places[k - 1];
    for (size_t i = 0; i < n; i++)
        run[places[combining_class(room[i].c)]++].c = room[i].c;
}

static void sort_short_run(struct lac_char *run, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t c = run[i].c;
        size_t k = i;
        for (; k > 0 && combining_class(run[k - 1].c) > combining_class(c); k--)
            run[k].c = run[k - 1].c;
        run[k].c = c;
    }
}

/* room has at least as many items as chars. */
static void order(struct lac_chars *chars, struct lac_char *room)
{
    for (size_t i = 0; i < chars->n; i++) {
        if (!combining_class(chars->at[i].c))
            continue;
        size_t end = i + 1;
        while (end < chars->n && combining_class(chars->at[end].c))
            end++;
        if (end - i > 32)
            sort_long_run(chars->at + i, end - i, room);
        else
            sort_short_run(chars->at + i, end - i);
        i = end;
    }
}

bool lac_decompose(const struct lac_host *host, enum lac_form form, struct lac_chars *chars,
                   struct lac_chars *spare)
{
    /* The longest decomposition in Unicode has 18 characters (U+FDFA). */
    enum { LONGEST = 32 };
    utf8proc_option_t options = UTF8PROC_DECOMPOSE;
    if (form == LAC_FORM_COMPATIBILITY)
        options |= UTF8PROC_COMPAT;
    spare->n = 0;
    for (size_t i = 0; i < chars->n; i++) {
        struct lac_char from = chars->at[i];
        if (!lac_chars_reserve(host, spare, LONGEST))
            return false;
        /* Nothing below U+00A0 decomposes. */
        if (from.c < 0xa0) {
            spare->at[spare->n++] = from;
            continue;
        }
        utf8proc_int32_t parts[LONGEST];
        int last_class = 0;
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)from.c, parts, LONGEST, options, &last_class);
        for (utf8proc_ssize_t k = 0; k < n && k < LONGEST; k++)
            spare->at[spare->n++] = (struct lac_char){(uint32_t)parts[k], from.from};
    }
    swap(chars, spare);
    spare->n = 0;
    if (!lac_chars_reserve(host, spare, chars->n))
        return false;
    order(chars, spare->at);
    return true;
}

/* The primary composite of two characters, or 0. */
static uint32_t composite(uint32_t first, uint32_t second)
{
    /* utf8proc has no look-up for one pair; it composes short buffers, which need room for the 0
     * it may add.  Every second half is U+0300 or above. */
    if (second < 0x300)
        return 0;
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second, 0};
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n == 1 ? (uint32_t)pair[0] : 0;
}

void lac_compose(struct lac_chars *chars)
{
    struct lac_char *at = chars->at;
    size_t n = 0;              /* characters kept */
    size_t starter = SIZE_MAX; /* index of the last starter kept */
    unsigned last_class = 0;   /* of the character kept last, 0 right after the starter */
    for (size_t i = 0; i < chars->n; i++) {
        unsigned class = combining_class(at[i].c);
        /* Blocked when something between has the same or a higher class, or is a starter. */
        bool blocked = starter == SIZE_MAX || (n != starter + 1 && last_class >= class);
        uint32_t made = blocked ? 0 : composite(at[starter].c, at[i].c);
        if (made) {
            at[starter].c = made;
            continue;
        }
        if (!class)
            starter = n;
        last_class = class;
        at[n++] = at[i];
    }
    chars->n = n;
}
