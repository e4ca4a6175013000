/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers: what happens to text before it is split into words. */
#include "src/text/normalize.h"

#include <string.h>

#include <utf8proc.h>

#include "src/text/forms.h"
#include "src/text/unicode.h"

/* One run of the steps over one stretch of text. */
struct run {
    const struct lac_host *host;
    struct lac_chars *chars, *spare;
    struct lac_aligned *bytes; /* the characters as UTF-8, for patterns */
    size_t max_chars;          /* more is no sane normalizer's doing */
    uint64_t *budget;
    struct lac_error *error;
};

/* Compatibility decomposition makes 18 characters of 3 bytes (U+FDFA), 6 a byte; a file's
 * replacements might double the text again and again. */
static size_t max_chars(size_t size_bytes)
{
    return 8 * size_bytes + 65536;
}

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory to normalize a text");
}

static void swap(struct run *run)
{
    struct lac_chars kept = *run->chars;
    *run->chars = *run->spare;
    *run->spare = kept;
}

static bool is_dropped_by_cleaning(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    return c == 0 || c == 0xfffd || (lac_char_class(c) & LAC_CHAR_CONTROL);
}

static enum lac_status clean(struct run *run, const struct lac_normal_step *step)
{
    (void)step;
    struct lac_chars *chars = run->chars;
    size_t n = 0;
    for (size_t i = 0; i < chars->n; i++) {
        struct lac_char a = chars->at[i];
        if (is_dropped_by_cleaning(a.c))
            continue;
        if (lac_char_class(a.c) & LAC_CHAR_SPACE)
            a.c = ' ';
        chars->at[n++] = a;
    }
    chars->n = n;
    return LAC_OK;
}

static enum lac_status space_cjk(struct run *run, const struct lac_normal_step *step)
{
    (void)step;
    struct lac_chars *chars = run->chars, *out = run->spare;
    size_t i = 0;
    while (i < chars->n && !lac_char_is_cjk(chars->at[i].c))
        i++;
    if (i == chars->n)
        return LAC_OK;
    out->n = 0;
    for (i = 0; i < chars->n; i++) {
        struct lac_char a = chars->at[i];
        if (!lac_chars_reserve(run->host, out, 3))
            return no_memory(run->error);
        bool cjk = lac_char_is_cjk(a.c);
        if (cjk)
            out->at[out->n++] = (struct lac_char){' ', a.from};
        out->at[out->n++] = a;
        if (cjk)
            out->at[out->n++] = (struct lac_char){' ', a.from};
    }
    swap(run);
    return LAC_OK;
}

/* Only U+0130 has a longer lower case: i and a dot above. */
static enum lac_status lowercase(struct run *run, const struct lac_normal_step *step)
{
    (void)step;
    struct lac_chars *chars = run->chars, *out = run->spare;
    out->n = 0;
    if (!lac_chars_reserve(run->host, out, chars->n))
        return no_memory(run->error);
    for (size_t i = 0; i < chars->n; i++) {
        struct lac_char a = chars->at[i];
        bool dotted = a.c == 0x130;
        if (a.c < 0x80)
            a.c += a.c - 'A' < 26 ? 32 : 0;
        else
            a.c = dotted ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)a.c);
        if (!lac_char_push(run->host, out, a.c, a.from) ||
            (dotted && !lac_char_push(run->host, out, 0x307, a.from)))
            return no_memory(run->error);
    }
    swap(run);
    return LAC_OK;
}

static enum lac_status drop_class(struct run *run, const struct lac_normal_step *step)
{
    unsigned dropped = step->kind == LAC_NORMAL_DROP_MARKS ? LAC_CHAR_MARK : LAC_CHAR_NONSPACING;
    struct lac_chars *chars = run->chars;
    size_t n = 0;
    for (size_t i = 0; i < chars->n; i++)
        if (chars->at[i].c < 0x300 || !(lac_char_class(chars->at[i].c) & dropped))
            chars->at[n++] = chars->at[i];
    chars->n = n;
    return LAC_OK;
}

static enum lac_status normalization_form(struct run *run, const struct lac_normal_step *step)
{
    bool compatibility = step->kind == LAC_NORMAL_NFKC || step->kind == LAC_NORMAL_NFKD;
    if (!lac_decompose(run->host, compatibility ? LAC_FORM_COMPATIBILITY : LAC_FORM_CANONICAL,
                       run->chars, run->spare))
        return no_memory(run->error);
    if (step->kind == LAC_NORMAL_NFC || step->kind == LAC_NORMAL_NFKC)
        lac_compose(run->chars);
    return LAC_OK;
}

static enum lac_status strip(struct run *run, const struct lac_normal_step *step)
{
    struct lac_chars *chars = run->chars;
    size_t begin = 0, end = chars->n;
    if (step->kind == LAC_NORMAL_STRIP_LEFT)
        while (begin < end && (lac_char_class(chars->at[begin].c) & LAC_CHAR_SPACE))
            begin++;
    else
        while (end > begin && (lac_char_class(chars->at[end - 1].c) & LAC_CHAR_SPACE))
            end--;
    memmove(chars->at, chars->at + begin, (end - begin) * sizeof *chars->at);
    chars->n = end - begin;
    return LAC_OK;
}

static bool push_content(struct run *run, const struct lac_normal_step *step, struct lac_span from)
{
    const uint8_t *at = (const uint8_t *)step->content;
    for (size_t i = 0; i < step->content_size;) {
        uint32_t c;
        i += lac_utf8_get(at + i, &c);
        if (!lac_char_push(run->host, run->spare, c, from))
            return false;
    }
    return true;
}

/* New characters have the origin of the first old one. */
static enum lac_status prepend(struct run *run, const struct lac_normal_step *step)
{
    struct lac_chars *chars = run->chars;
    if (!chars->n)
        return LAC_OK;
    run->spare->n = 0;
    if (!push_content(run, step, chars->at[0].from))
        return no_memory(run->error);
    for (size_t i = 0; i < chars->n; i++)
        if (!lac_char_push(run->host, run->spare, chars->at[i].c, chars->at[i].from))
            return no_memory(run->error);
    swap(run);
    return LAC_OK;
}

static bool write_chars(const struct lac_host *host, const struct lac_chars *chars,
                        struct lac_aligned *out)
{
    for (size_t i = 0; i < chars->n; i++) {
        if (out->capacity - out->n < 4 && !lac_aligned_reserve(host, out, 4 + chars->n - i))
            return false;
        size_t n = lac_utf8_put(chars->at[i].c, out->bytes + out->n);
        for (size_t k = 0; k < n; k++)
            out->from[out->n + k] = chars->at[i].from;
        out->n += n;
    }
    return true;
}

static bool push_bytes(struct run *run, size_t begin, size_t end)
{
    for (size_t i = begin; i < end;) {
        uint32_t c;
        struct lac_span from = run->bytes->from[i];
        i += lac_utf8_get(run->bytes->bytes + i, &c);
        if (!lac_char_push(run->host, run->spare, c, from))
            return false;
    }
    return true;
}

/* What replaces a match has the origin of the match's last character; what is put into an empty
 * match, that of the character before it. */
static enum lac_status replace_matches(struct run *run, const struct lac_normal_step *step,
                                       struct lac_matching *matching)
{
    size_t done = 0;
    for (;;) {
        size_t begin, end;
        bool found;
        enum lac_status status = lac_matching_next(matching, &begin, &end, &found, run->error);
        if (status)
            return status;
        if (!found)
            return push_bytes(run, done, run->bytes->n) ? LAC_OK : no_memory(run->error);
        struct lac_span from = end ? run->bytes->from[end - 1] : (struct lac_span){0, 0};
        if (!push_bytes(run, done, begin) || !push_content(run, step, from))
            return no_memory(run->error);
        if (run->spare->n > run->max_chars)
            return lac_fail(run->error, LAC_E_LIMIT, "replacing makes a text over 8 times longer");
        done = end;
    }
}

static enum lac_status replace(struct run *run, const struct lac_normal_step *step)
{
    struct lac_matching matching;
    run->bytes->n = 0;
    run->spare->n = 0;
    if (!run->chars->n)
        return LAC_OK;
    if (!write_chars(run->host, run->chars, run->bytes))
        return no_memory(run->error);
    enum lac_status status = lac_matching_begin(&matching, step->pattern, run->bytes->bytes,
                                                run->bytes->n, run->budget, run->error);
    if (status)
        return status;
    status = replace_matches(run, step, &matching);
    lac_matching_end(&matching);
    swap(run);
    return status;
}

/* Replaces characters from begin on.  New characters have the origins of the old ones, one by one;
 * those beyond the old ones have the origin of the last. */
static bool push_replacement(struct run *run, size_t begin, size_t n_old, const char *text,
                             size_t size)
{
    const struct lac_char *old = run->chars->at + begin;
    size_t k = 0;
    for (size_t i = 0; i < size; k++) {
        uint32_t c;
        i += lac_utf8_get((const uint8_t *)text + i, &c);
        if (!lac_char_push(run->host, run->spare, c, old[k < n_old ? k : n_old - 1].from))
            return false;
    }
    return true;
}

/* Looks up the characters [begin, end) as one; found tells whether they were replaced. */
static bool map_chars(struct run *run, const struct lac_charsmap *map, size_t begin, size_t end,
                      bool *found)
{
    uint8_t bytes[8];
    size_t size = 0, n;
    const char *replacement;
    for (size_t i = begin; i < end; i++)
        size += lac_utf8_put(run->chars->at[i].c, bytes + size);
    *found = lac_charsmap_find(map, bytes, size, &replacement, &n);
    return !*found || push_replacement(run, begin, end - begin, replacement, n);
}

static size_t utf8_bytes(const struct lac_chars *chars, size_t begin, size_t end)
{
    uint8_t bytes[4];
    size_t size = 0;
    for (size_t i = begin; i < end; i++)
        size += lac_utf8_put(chars->at[i].c, bytes);
    return size;
}

/* The library that defines tokenizer.json looks up whole grapheme clusters of less than 6 bytes
 * first, by the shortest key they begin with, and the characters of all others one by one. */
static enum lac_status map_cluster(struct run *run, const struct lac_charsmap *map, size_t begin,
                                   size_t end)
{
    enum { SHORT_CLUSTER_BYTES = 6 };
    bool found = false;
    if (end - begin < SHORT_CLUSTER_BYTES &&
        utf8_bytes(run->chars, begin, end) < SHORT_CLUSTER_BYTES &&
        !map_chars(run, map, begin, end, &found))
        return no_memory(run->error);
    for (size_t i = begin; i < end && !found; i++) {
        bool replaced;
        if (!map_chars(run, map, i, i + 1, &replaced) ||
            (!replaced &&
             !lac_char_push(run->host, run->spare, run->chars->at[i].c, run->chars->at[i].from)))
            return no_memory(run->error);
    }
    if (run->spare->n > run->max_chars)
        return lac_fail(run->error, LAC_E_LIMIT, "replacing makes a text over 8 times longer");
    return LAC_OK;
}

static enum lac_status map_clusters(struct run *run, const struct lac_normal_step *step)
{
    const struct lac_chars *chars = run->chars;
    utf8proc_int32_t state = 0;
    size_t begin = 0;
    run->spare->n = 0;
    for (size_t i = 0; i < chars->n; i++) {
        bool is_end = i + 1 == chars->n || utf8proc_grapheme_break_stateful(
                                               (utf8proc_int32_t)chars->at[i].c,
                                               (utf8proc_int32_t)chars->at[i + 1].c, &state);
        if (!is_end)
            continue;
        enum lac_status status = map_cluster(run, step->charsmap, begin, i + 1);
        if (status)
            return status;
        begin = i + 1;
    }
    swap(run);
    return LAC_OK;
}

static const struct {
    enum lac_status (*apply)(struct run *run, const struct lac_normal_step *step);
    bool ascii; /* acts on ASCII character by character */
} kinds[] = {
    [LAC_NORMAL_CLEAN] = {clean, true},
    [LAC_NORMAL_CJK] = {space_cjk, true},
    [LAC_NORMAL_LOWERCASE] = {lowercase, true},
    [LAC_NORMAL_DROP_NONSPACING] = {drop_class, true},
    [LAC_NORMAL_DROP_MARKS] = {drop_class, true},
    [LAC_NORMAL_NFC] = {normalization_form, true},
    [LAC_NORMAL_NFD] = {normalization_form, true},
    [LAC_NORMAL_NFKC] = {normalization_form, true},
    [LAC_NORMAL_NFKD] = {normalization_form, true},
    [LAC_NORMAL_STRIP_LEFT] = {strip, false},
    [LAC_NORMAL_STRIP_RIGHT] = {strip, false},
    [LAC_NORMAL_REPLACE] = {replace, false},
    [LAC_NORMAL_PREPEND] = {prepend, false},
    [LAC_NORMAL_CHARSMAP] = {map_clusters, false},
};

enum { DROPPED = 0xff };

void lac_normalizer_prepare(struct lac_normalizer *normalizer)
{
    normalizer->ascii_table = true;
    for (size_t i = 0; i < normalizer->n_steps; i++)
        normalizer->ascii_table &= kinds[normalizer->steps[i].kind].ascii;
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t made = c;
        for (size_t i = 0; i < normalizer->n_steps && made != DROPPED; i++) {
            enum lac_normal_kind kind = normalizer->steps[i].kind;
            if (kind == LAC_NORMAL_CLEAN && is_dropped_by_cleaning(made))
                made = DROPPED;
            else if (kind == LAC_NORMAL_CLEAN && (lac_char_class(made) & LAC_CHAR_SPACE))
                made = ' ';
            else if (kind == LAC_NORMAL_LOWERCASE && made - 'A' < 26)
                made += 32;
        }
        normalizer->ascii[c] = (uint8_t)made;
    }
}

static bool normalize_ascii(const struct lac_normalizer *normalizer, const struct lac_host *host,
                            const uint8_t *text, size_t begin, size_t end, struct lac_aligned *out)
{
    if (!lac_aligned_reserve(host, out, end - begin))
        return false;
    uint8_t *bytes = out->bytes;
    struct lac_span *from = out->from;
    size_t n = out->n;
    for (size_t i = begin; i < end; i++) {
        uint8_t made = normalizer->ascii[text[i]];
        bytes[n] = made;
        from[n] = (struct lac_span){(uint32_t)i, (uint32_t)i + 1};
        n += made != DROPPED;
    }
    out->n = n;
    return true;
}

bool lac_copy_text(const struct lac_host *host, const uint8_t *text, size_t begin, size_t end,
                   struct lac_aligned *out)
{
    if (!lac_aligned_reserve(host, out, end - begin))
        return false;
    memcpy(out->bytes + out->n, text + begin, end - begin);
    struct lac_span *from = out->from + out->n;
    for (size_t i = begin; i < end;) {
        size_t size = lac_utf8_size(text[i]);
        struct lac_span span = {(uint32_t)i, (uint32_t)(i + size)};
        for (size_t k = 0; k < size; k++)
            *from++ = span;
        i += size;
    }
    out->n += end - begin;
    return true;
}

static bool read_chars(const struct lac_host *host, const uint8_t *text, size_t begin, size_t end,
                       struct lac_chars *chars)
{
    chars->n = 0;
    if (!lac_chars_reserve(host, chars, end - begin))
        return false;
    size_t n = 0;
    for (size_t i = begin; i < end; n++) {
        uint32_t c;
        size_t size = lac_utf8_get(text + i, &c);
        chars->at[n] = (struct lac_char){c, {(uint32_t)i, (uint32_t)(i + size)}};
        i += size;
    }
    chars->n = n;
    return true;
}

enum lac_status lac_normalize(const struct lac_normalizer *normalizer, const uint8_t *text,
                              size_t begin, size_t end, struct lac_scratch *scratch,
                              struct lac_aligned *out, uint64_t *budget, struct lac_error *error)
{
    struct run run = {scratch->host,
                      &scratch->chars,
                      &scratch->spare,
                      &scratch->mapped,
                      max_chars(end - begin),
                      budget,
                      error};
    if (!normalizer->n_steps)
        return lac_copy_text(run.host, text, begin, end, out) ? LAC_OK : no_memory(error);
    if (normalizer->ascii_table && lac_text_is_ascii(text + begin, end - begin))
        return normalize_ascii(normalizer, run.host, text, begin, end, out) ? LAC_OK
                                                                            : no_memory(error);
    if (!read_chars(run.host, text, begin, end, run.chars))
        return no_memory(error);
    for (size_t i = 0; i < normalizer->n_steps; i++) {
        const struct lac_normal_step *step = &normalizer->steps[i];
        enum lac_status status = kinds[step->kind].apply(&run, step);
        if (status)
            return status;
    }
    return write_chars(run.host, run.chars, out) ? LAC_OK : no_memory(error);
}
