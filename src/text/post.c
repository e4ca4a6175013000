/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processors: truncation, special tokens, types. */
#include "src/text/post.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/text/unicode.h"

enum { BYTE_LEVEL_SPACE = 0x120 };

static bool is_trimmed(const uint8_t *at)
{
    uint32_t c;
    lac_utf8_get(at, &c);
    return c == BYTE_LEVEL_SPACE || (lac_char_class(c) & LAC_CHAR_SPACE);
}

void lac_post_trim(const struct lac_post *post, const uint8_t *token, size_t token_size,
                   const uint8_t *text, bool first, struct lac_span *span)
{
    size_t leading = 0, trailing = 0;
    for (size_t i = 0; i < token_size && is_trimmed(token + i); leading++)
        i += lac_utf8_size(token[i]);
    for (const uint8_t *end = token + token_size; end > token; trailing++) {
        end = lac_utf8_before(end);
        if (!is_trimmed(end))
            break;
    }
    if (leading == 1 && post->prefix_space && (first || span->begin == 0))
        leading = 0;
    for (; leading && span->begin < span->end; leading--)
        span->begin += (uint32_t)lac_utf8_size(text[span->begin]);
    for (; trailing && span->begin < span->end; trailing--)
        span->end = (uint32_t)(lac_utf8_before(text + span->end) - text);
}

/* Shares room between two texts as taking single tokens from the longer one would; when both are
 * cut, an odd token goes to the longer one, or to the second of equals. */
static void share(size_t room, size_t *first, size_t *second)
{
    size_t *shorter = *first <= *second ? first : second;
    size_t *longer = shorter == first ? second : first;
    if (*shorter > room / 2)
        *shorter = room / 2;
    *longer = lac_min_size(*longer, room - *shorter);
}

static enum lac_status cut(const struct lac_template *template, size_t max_tokens,
                           enum lac_truncate truncate, bool pair, size_t *first, size_t *second,
                           struct lac_error *error)
{
    size_t all = *first + *second + template->n_special;
    if (!max_tokens || all <= max_tokens)
        return LAC_OK;
    if (truncate == LAC_TRUNCATE_ERROR)
        return lac_fail(error, LAC_E_LIMIT, "%zu tokens are more than %zu", all, max_tokens);
    if (max_tokens < template->n_special)
        return lac_fail(error, LAC_E_LIMIT, "%zu special tokens alone are more than %zu",
                        template->n_special, max_tokens);
    size_t room = max_tokens - template->n_special;
    if (truncate == LAC_TRUNCATE_LONGEST) {
        if (pair)
            share(room, first, second);
        else
            *first = room;
        return LAC_OK;
    }
    if (*first >= room)
        return lac_fail(error, LAC_E_LIMIT,
                        "the first text has %zu tokens and leaves none of %zu for the second",
                        *first, max_tokens);
    *second = room - *first;
    return LAC_OK;
}

/* Moves the array whose address is at `slot` to room for `grown` items. */
static bool grow(const struct lac_encoding *encoding, void *slot, size_t grown, size_t size)
{
    void *memory;
    memcpy(&memory, slot, sizeof memory);
    void *moved = lac_realloc(encoding->host, memory, encoding->n, grown, size);
    if (moved)
        memcpy(slot, &moved, sizeof moved);
    return moved;
}

static enum lac_status reserve(struct lac_encoding *encoding, const struct lac_host *host,
                               size_t needed, struct lac_error *error)
{
    if (encoding->capacity >= needed)
        return LAC_OK;
    if (!encoding->host)
        encoding->host = host;
    size_t grown = lac_max_size(needed, encoding->capacity + encoding->capacity / 2);
    if (!grow(encoding, &encoding->ids, grown, sizeof *encoding->ids) ||
        !grow(encoding, &encoding->type_ids, grown, sizeof *encoding->type_ids) ||
        !grow(encoding, &encoding->sequence, grown, sizeof *encoding->sequence) ||
        !grow(encoding, &encoding->begin, grown, sizeof *encoding->begin) ||
        !grow(encoding, &encoding->end, grown, sizeof *encoding->end))
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", grown);
    encoding->capacity = grown;
    return LAC_OK;
}

static void put(struct lac_encoding *encoding, int32_t id, uint8_t type_id, uint8_t sequence,
                struct lac_span span)
{
    size_t i = encoding->n++;
    encoding->ids[i] = id;
    encoding->type_ids[i] = type_id;
    encoding->sequence[i] = sequence;
    encoding->begin[i] = span.begin;
    encoding->end[i] = span.end;
}

static void put_part(struct lac_encoding *encoding, const struct lac_template_part *part,
                     const struct lac_token *tokens, size_t n)
{
    if (part->kind == LAC_PART_SPECIAL)
        for (size_t i = 0; i < part->n_ids; i++)
            put(encoding, part->ids[i], part->type_id, 255, (struct lac_span){0, 0});
    else
        for (size_t i = 0; i < n; i++)
            put(encoding, tokens[i].id, part->type_id, part->kind == LAC_PART_SECOND,
                tokens[i].from);
}

enum lac_status lac_post_assemble(const struct lac_post *post, const struct lac_host *host,
                                  const struct lac_tokens *first, const struct lac_tokens *second,
                                  size_t max_tokens, enum lac_truncate truncate,
                                  struct lac_encoding *encoding, struct lac_error *error)
{
    const struct lac_template *template = second ? &post->pair : &post->single;
    size_t n[2] = {first->n, second ? second->n : 0};
    size_t before = n[0] + n[1];
    enum lac_status status =
        cut(template, max_tokens, truncate, second != NULL, &n[0], &n[1], error);
    if (!status)
        status = reserve(encoding, host, n[0] + n[1] + template->n_special, error);
    if (status)
        return status;
    encoding->n = 0;
    for (size_t i = 0; i < template->n_parts; i++) {
        const struct lac_template_part *part = &template->parts[i];
        bool of_second = part->kind == LAC_PART_SECOND;
        put_part(encoding, part, of_second ? second->at : first->at, n[of_second]);
    }
    encoding->n_dropped = before - n[0] - n[1];
    return LAC_OK;
}
