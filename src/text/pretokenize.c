/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers: how normalized text is split into the words that the model sees. */
#include "src/text/pretokenize.h"

#include <string.h>

#include "src/text/unicode.h"

/* Pieces come out of a step in order; delimiters are treated on the way. */
struct output {
    const struct lac_host *host;
    struct lac_pieces *pieces;
    enum lac_split_behavior behavior;
    size_t first;        /* index of the first piece of the text being split */
    bool last_delimiter; /* was the last range a delimiter? */
    bool held;           /* a delimiter waits for the next range */
    uint32_t held_begin, held_end;
};

static void begin_text(struct output *out)
{
    out->first = out->pieces->n;
    out->last_delimiter = false;
    out->held = false;
}

static bool push(struct output *out, size_t begin, size_t end)
{
    return begin == end || lac_piece_push(out->host, out->pieces, begin, end, -1);
}

/* Lets the last piece of this text end at end, or begins a new one. */
static bool extend(struct output *out, size_t begin, size_t end)
{
    if (out->pieces->n == out->first)
        return push(out, begin, end);
    out->pieces->at[out->pieces->n - 1].end = (uint32_t)end;
    return true;
}

static bool push_held(struct output *out)
{
    bool held = out->held;
    out->held = false;
    return !held || push(out, out->held_begin, out->held_end);
}

static bool push_with_next(struct output *out, size_t begin, size_t end, bool delimiter)
{
    if (delimiter) {
        if (!push_held(out))
            return false;
        out->held = true;
        out->held_begin = (uint32_t)begin;
        out->held_end = (uint32_t)end;
        return true;
    }
    if (out->held)
        begin = out->held_begin;
    out->held = false;
    return push(out, begin, end);
}

/* The next range of the text: ranges are contiguous and cover it. */
static bool push_range(struct output *out, size_t begin, size_t end, bool delimiter)
{
    bool previous = out->last_delimiter;
    out->last_delimiter = delimiter;
    switch (out->behavior) {
    case LAC_DELIMITER_REMOVED:
        return delimiter || push(out, begin, end);
    case LAC_DELIMITER_ISOLATED:
        return push(out, begin, end);
    case LAC_DELIMITER_WITH_PREVIOUS:
        return delimiter && !previous ? extend(out, begin, end) : push(out, begin, end);
    case LAC_DELIMITER_WITH_NEXT:
        return push_with_next(out, begin, end, delimiter);
    case LAC_DELIMITER_CONTIGUOUS:
        return delimiter == previous ? extend(out, begin, end) : push(out, begin, end);
    }
    return false;
}

/* Is the word that begins at `at` a GPT-2 contraction?  Its bytes, or 0. */
static size_t contraction(const uint8_t *text, size_t at, size_t end)
{
    size_t left = end - at;
    if (text[at] != '\'' || left < 2)
        return 0;
    if (memchr("stmd", text[at + 1], 4))
        return 2;
    if (left < 3)
        return 0;
    const uint8_t *two = text + at + 1;
    return !memcmp(two, "re", 2) || !memcmp(two, "ve", 2) || !memcmp(two, "ll", 2) ? 3 : 0;
}

/* letter, number, space or other, as the GPT-2 pattern divides characters */
static unsigned gpt2_class(const uint8_t *at, size_t *size)
{
    uint32_t c;
    *size = lac_utf8_get(at, &c);
    return lac_char_class(c) & (LAC_CHAR_LETTER | LAC_CHAR_NUMBER | LAC_CHAR_SPACE);
}

static size_t gpt2_run(const uint8_t *text, size_t at, size_t end, unsigned class)
{
    size_t size;
    while (at < end && gpt2_class(text + at, &size) == class)
        at += size;
    return at;
}

/* End of the word at `at` (radford2019): 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
 * ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+.  The alternatives are tried in this order; white space before
 * a word leaves its last character, which joins the word when it is a space. */
static size_t gpt2_word(const uint8_t *text, size_t at, size_t end)
{
    size_t size;
    size_t short_form = contraction(text, at, end);
    if (short_form)
        return at + short_form;
    size_t begin = at + (text[at] == ' ' && at + 1 < end);
    unsigned class = gpt2_class(text + begin, &size);
    if (class != LAC_CHAR_SPACE)
        return gpt2_run(text, begin + size, end, class);
    size_t stop = gpt2_run(text, at, end, LAC_CHAR_SPACE);
    if (stop == end)
        return stop;
    size_t last = (size_t)(lac_utf8_before(text + stop) - text);
    return last > at ? last : stop;
}

static bool split_gpt2(struct output *out, const uint8_t *text, size_t begin, size_t end)
{
    while (begin < end) {
        size_t stop = gpt2_word(text, begin, end);
        if (!push(out, begin, stop))
            return false;
        begin = stop;
    }
    return true;
}

/* Each character of a class is a delimiter. */
static bool split_class(struct output *out, const uint8_t *text, size_t begin, size_t end,
                        unsigned class)
{
    size_t word = begin;
    for (size_t i = begin; i < end;) {
        uint32_t c;
        size_t size = lac_utf8_get(text + i, &c);
        if (lac_char_class(c) & class) {
            if ((word < i && !push_range(out, word, i, false)) ||
                !push_range(out, i, i + size, true))
                return false;
            word = i + size;
        }
        i += size;
    }
    return word == end || push_range(out, word, end, false);
}

static bool split_bert(struct output *out, const uint8_t *text, size_t begin, size_t end)
{
    size_t word = begin;
    for (size_t i = begin; i < end;) {
        uint32_t c;
        size_t size = lac_utf8_get(text + i, &c);
        unsigned class = lac_char_class(c) & (LAC_CHAR_SPACE | LAC_CHAR_PUNCTUATION);
        if (class) {
            if (!push(out, word, i))
                return false;
            if ((class & LAC_CHAR_PUNCTUATION) && !push(out, i, i + size))
                return false;
            word = i + size;
        }
        i += size;
    }
    return push(out, word, end);
}

/* \w+|[^\w\s]+ : runs of word characters and runs of the rest, without white space. */
static bool split_words(struct output *out, const uint8_t *text, size_t begin, size_t end)
{
    const unsigned classes = LAC_CHAR_SPACE | LAC_CHAR_WORD;
    size_t word = begin;
    unsigned last = LAC_CHAR_SPACE;
    for (size_t i = begin; i < end;) {
        uint32_t c;
        size_t size = lac_utf8_get(text + i, &c);
        unsigned class = lac_char_class(c) & classes;
        if (class != last) {
            if (last != LAC_CHAR_SPACE && !push(out, word, i))
                return false;
            word = i;
            last = class;
        }
        i += size;
    }
    return last == LAC_CHAR_SPACE || push(out, word, end);
}

/* A word begins at each character that stands for a space. */
static bool split_metaspaces(struct output *out, const struct lac_metaspace *metaspace,
                             const uint8_t *text, size_t begin, size_t end)
{
    while (begin < end) {
        size_t from = begin + lac_utf8_size(text[begin]);
        const uint8_t *at = memmem(text + from, end - from, metaspace->bytes, metaspace->size);
        size_t stop = at ? (size_t)(at - text) : end;
        if (!push(out, begin, stop))
            return false;
        begin = stop;
    }
    return true;
}

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory to split a text");
}

static enum lac_status walk_matches(struct output *out, const struct lac_split_step *step,
                                    size_t begin, struct lac_matching *matching,
                                    struct lac_error *error)
{
    size_t done = 0;
    for (;;) {
        size_t from, to;
        bool found;
        enum lac_status status = lac_matching_next(matching, &from, &to, &found, error);
        if (status)
            return status;
        if (!found)
            from = matching->size;
        if (done < from && !push_range(out, begin + done, begin + from, step->invert))
            return no_memory(error);
        if (!found)
            return LAC_OK;
        if (!push_range(out, begin + from, begin + to, !step->invert))
            return no_memory(error);
        done = to;
    }
}

static enum lac_status split_pattern(struct output *out, const struct lac_split_step *step,
                                     const uint8_t *text, size_t begin, size_t end,
                                     uint64_t *budget, struct lac_error *error)
{
    struct lac_matching matching;
    enum lac_status status =
        lac_matching_begin(&matching, step->pattern, text + begin, end - begin, budget, error);
    if (status)
        return status;
    status = walk_matches(out, step, begin, &matching, error);
    lac_matching_end(&matching);
    return status;
}

static enum lac_status split_piece(struct output *out, const struct lac_split_step *step,
                                   const uint8_t *text, size_t begin, size_t end, uint64_t *budget,
                                   struct lac_error *error)
{
    bool good = false;
    begin_text(out);
    switch (step->kind) {
    case LAC_SPLIT_BERT:
        good = split_bert(out, text, begin, end);
        break;
    case LAC_SPLIT_WHITESPACE:
        good = split_words(out, text, begin, end);
        break;
    case LAC_SPLIT_WHITESPACE_SPLIT:
        good = split_class(out, text, begin, end, LAC_CHAR_SPACE);
        break;
    case LAC_SPLIT_PUNCTUATION:
        good = split_class(out, text, begin, end, LAC_CHAR_PUNCTUATION);
        break;
    case LAC_SPLIT_DIGITS:
        good = split_class(out, text, begin, end, LAC_CHAR_NUMBER);
        break;
    case LAC_SPLIT_PATTERN: {
        enum lac_status status = split_pattern(out, step, text, begin, end, budget, error);
        if (status)
            return status;
        good = true;
        break;
    }
    case LAC_SPLIT_METASPACE:
        good = split_metaspaces(out, &step->metaspace, text, begin, end);
        break;
    case LAC_SPLIT_BYTE_LEVEL:
        good = split_gpt2(out, text, begin, end);
        break;
    }
    return good && push_held(out) ? LAC_OK : no_memory(error);
}

static void swap_pieces(struct lac_scratch *scratch)
{
    struct lac_pieces kept = scratch->pieces;
    scratch->pieces = scratch->split;
    scratch->split = kept;
}

static enum lac_status split_all(const struct lac_split_step *step, struct lac_scratch *scratch,
                                 uint64_t *budget, struct lac_error *error)
{
    struct output out = {scratch->host, &scratch->split, step->behavior, 0, false, false, 0, 0};
    scratch->split.n = 0;
    for (size_t i = 0; i < scratch->pieces.n; i++) {
        struct lac_piece piece = scratch->pieces.at[i];
        enum lac_status status = LAC_OK;
        if (piece.id < 0)
            status =
                split_piece(&out, step, scratch->text.bytes, piece.begin, piece.end, budget, error);
        else if (!lac_piece_push(scratch->host, &scratch->split, piece.begin, piece.end, piece.id))
            status = no_memory(error);
        if (status)
            return status;
    }
    swap_pieces(scratch);
    return LAC_OK;
}

static void append(struct lac_aligned *out, const uint8_t *bytes, size_t n, struct lac_span from)
{
    for (size_t i = 0; i < n; i++) {
        out->bytes[out->n] = bytes[i];
        out->from[out->n++] = from;
    }
}

static void swap_text(struct lac_scratch *scratch)
{
    struct lac_aligned kept = scratch->text;
    scratch->text = scratch->mapped;
    scratch->mapped = kept;
}

/* Copies the pieces one after another into mapped, and makes that the text.  A byte becomes at most
 * `growth` bytes, and as many may come before a piece. */
static enum lac_status
rebuild(struct lac_scratch *scratch, const struct lac_split_step *step, size_t growth,
        void copy(struct lac_aligned *out, const struct lac_aligned *text,
                  const struct lac_piece *piece, const struct lac_split_step *step),
        struct lac_error *error)
{
    struct lac_aligned *text = &scratch->text, *out = &scratch->mapped;
    out->n = 0;
    for (size_t i = 0; i < scratch->pieces.n; i++) {
        struct lac_piece *piece = &scratch->pieces.at[i];
        size_t size = piece->end - piece->begin, begin = out->n;
        if (!lac_aligned_reserve(scratch->host, out, growth * (size + 1)))
            return no_memory(error);
        if (piece->id < 0) {
            copy(out, text, piece, step);
        } else {
            memcpy(out->bytes + begin, text->bytes + piece->begin, size);
            memcpy(out->from + begin, text->from + piece->begin, size * sizeof *out->from);
            out->n += size;
        }
        if (out->n > LAC_MAX_NORMALIZED_BYTES)
            return lac_fail(error, LAC_E_LIMIT, "a split text has more than %d bytes",
                            LAC_MAX_NORMALIZED_BYTES);
        piece->begin = (uint32_t)begin;
        piece->end = (uint32_t)out->n;
    }
    swap_text(scratch);
    return LAC_OK;
}

/* The space has the origin of the character it stands before. */
static void copy_with_space(struct lac_aligned *out, const struct lac_aligned *text,
                            const struct lac_piece *piece, const struct lac_split_step *step)
{
    (void)step;
    if (text->bytes[piece->begin] != ' ')
        append(out, (const uint8_t *)" ", 1, text->from[piece->begin]);
    for (size_t i = piece->begin; i < piece->end; i++)
        append(out, &text->bytes[i], 1, text->from[i]);
}

static void copy_with_metaspaces(struct lac_aligned *out, const struct lac_aligned *text,
                                 const struct lac_piece *piece, const struct lac_split_step *step)
{
    const struct lac_metaspace *metaspace = &step->metaspace;
    const uint8_t *first = &text->bytes[piece->begin];
    struct lac_span from = text->from[piece->begin];
    bool has_space = *first == ' ' || (piece->end - piece->begin >= metaspace->size &&
                                       !memcmp(first, metaspace->bytes, metaspace->size));
    bool wants_space = metaspace->scheme == LAC_PREPEND_ALWAYS ||
                       (metaspace->scheme == LAC_PREPEND_FIRST && from.begin == 0);
    if (wants_space && !has_space)
        append(out, metaspace->bytes, metaspace->size, from);
    for (size_t i = piece->begin; i < piece->end; i++) {
        bool space = text->bytes[i] == ' ';
        append(out, space ? metaspace->bytes : &text->bytes[i], space ? metaspace->size : 1,
               text->from[i]);
    }
}

static void copy_byte_characters(struct lac_aligned *out, const struct lac_aligned *text,
                                 const struct lac_piece *piece, const struct lac_split_step *step)
{
    (void)step;
    for (size_t i = piece->begin; i < piece->end; i++) {
        uint8_t bytes[4];
        uint8_t byte = text->bytes[i];
        size_t n = lac_utf8_put(lac_byte_to_char(byte), bytes);
        append(out, bytes, n, text->from[i]);
    }
}

static enum lac_status byte_level(const struct lac_split_step *step, struct lac_scratch *scratch,
                                  uint64_t *budget, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    if (step->prefix_space)
        status = rebuild(scratch, step, 1, copy_with_space, error);
    if (!status && step->gpt2_words)
        status = split_all(step, scratch, budget, error);
    return status ? status : rebuild(scratch, step, 2, copy_byte_characters, error);
}

static enum lac_status metaspace(const struct lac_split_step *step, struct lac_scratch *scratch,
                                 uint64_t *budget, struct lac_error *error)
{
    enum lac_status status =
        rebuild(scratch, step, step->metaspace.size, copy_with_metaspaces, error);
    return status || !step->split ? status : split_all(step, scratch, budget, error);
}

enum lac_status lac_pretokenize(const struct lac_pretokenizer *pretokenizer,
                                struct lac_scratch *scratch, uint64_t *budget,
                                struct lac_error *error)
{
    for (size_t i = 0; i < pretokenizer->n_steps; i++) {
        const struct lac_split_step *step = &pretokenizer->steps[i];
        enum lac_status status =
            step->kind == LAC_SPLIT_BYTE_LEVEL  ? byte_level(step, scratch, budget, error)
            : step->kind == LAC_SPLIT_METASPACE ? metaspace(step, scratch, budget, error)
                                                : split_all(step, scratch, budget, error);
        if (status)
            return status;
    }
    return LAC_OK;
}
