/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: how spellings become one text. */
#include "src/text/decode.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/text/decode_token.h"
#include "src/text/unicode.h"

static const char replacement[] = "\xef\xbf\xbd";

/* The text on its way out, from text step `step` on. */
struct stream {
    const struct lac_decoder *decoder;
    struct lac_decode_state *state;
    struct lac_decode_sink *sink;
};

static void put(struct stream *out, size_t step, const char *bytes, size_t n);

/* A REPLACE step holds back the beginning of what it looks for: state->held says how much. */
static void put_replaced(struct stream *out, size_t step, const char *bytes, size_t n)
{
    const struct lac_decode_step *replace = &out->decoder->steps[step];
    const struct lac_slice *from = &replace->from;
    uint32_t *held = &out->state->held[step - out->decoder->n_token_steps];
    size_t done = 0; /* bytes that are given out or held */
    for (size_t i = 0; i < n; i++) {
        if (!*held && bytes[i] != from->text[0])
            continue;
        put(out, step + 1, bytes + done, *held ? 0 : i - done);
        done = i;
        /* What is held and does not go on leaves until the rest of it begins `from` again. */
        while (*held && from->text[*held] != bytes[i]) {
            size_t leaving = 1;
            while (leaving < *held &&
                   memcmp(from->text + leaving, from->text, *held - leaving) != 0)
                leaving++;
            put(out, step + 1, from->text, leaving);
            *held -= (uint32_t)leaving;
        }
        if (from->text[*held] != bytes[i])
            continue;
        done = i + 1;
        if (++*held == from->size) {
            put(out, step + 1, replace->to.text, replace->to.size);
            *held = 0;
        }
    }
    if (!*held)
        put(out, step + 1, bytes + done, n - done);
}

/* A STRIP step counts what it took off the beginning, and holds back at most n_right at the end. */
static void put_stripped(struct stream *out, size_t step, const char *bytes, size_t n)
{
    const struct lac_decode_step *strip = &out->decoder->steps[step];
    uint32_t *taken = &out->state->taken[step - out->decoder->n_token_steps];
    uint32_t *held = &out->state->held[step - out->decoder->n_token_steps];
    char c = strip->from.text[0];
    size_t i = 0;
    while (i < n && *taken < strip->n_left && bytes[i] == c) {
        ++*taken;
        i++;
    }
    if (i < n)
        *taken = (uint32_t)strip->n_left;
    for (size_t done = i; i < n; done = i) {
        while (i < n && (bytes[i] != c || !strip->n_right))
            i++;
        if (i > done) {
            for (; *held; --*held)
                put(out, step + 1, &c, 1);
            put(out, step + 1, bytes + done, i - done);
        }
        for (; i < n && bytes[i] == c; i++) {
            if (*held == strip->n_right)
                put(out, step + 1, &c, 1);
            else
                ++*held;
        }
    }
}

static void put(struct stream *out, size_t step, const char *bytes, size_t n)
{
    struct lac_decode_sink *sink = out->sink;
    if (!n)
        return;
    if (step < out->decoder->n_steps) {
        if (out->decoder->steps[step].kind == LAC_DECODE_REPLACE)
            put_replaced(out, step, bytes, n);
        else
            put_stripped(out, step, bytes, n);
        return;
    }
    if (sink->n < sink->size)
        memcpy(sink->text + sink->n, bytes, lac_min_size(n, sink->size - sink->n));
    sink->n += n;
}

static void put_text(struct stream *out, const char *bytes, size_t n)
{
    put(out, out->decoder->n_token_steps, bytes, n);
}

enum sequence_state { COMPLETE, INCOMPLETE, INVALID };

/* What n bytes, the last one new, are the beginning of (Unicode, table 3-7). */
static enum sequence_state judge(const uint8_t *bytes, size_t n)
{
    uint8_t lead = bytes[0], last = bytes[n - 1];
    if (n == 1)
        return lead < 0x80 ? COMPLETE : lead >= 0xc2 && lead <= 0xf4 ? INCOMPLETE : INVALID;
    uint8_t lowest = 0x80, highest = 0xbf;
    if (n == 2) {
        lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    }
    if (last < lowest || last > highest)
        return INVALID;
    return n == lac_utf8_size(lead) ? COMPLETE : INCOMPLETE;
}

/* The beginning of a character that does not go on: one U+FFFD for all of it where bytes are
 * characters of their own, else one for each byte. */
static void drop_pending(struct stream *out)
{
    struct lac_decode_state *state = out->state;
    size_t n = state->n_pending;
    if (out->decoder->join == LAC_JOIN_BYTE_LEVEL)
        n = n ? 1 : 0;
    for (; n; n--)
        put_text(out, replacement, 3);
    state->n_pending = 0;
}

static void put_byte(struct stream *out, uint8_t byte)
{
    struct lac_decode_state *state = out->state;
    state->pending[state->n_pending++] = byte;
    switch (judge(state->pending, state->n_pending)) {
    case INCOMPLETE:
        return;
    case COMPLETE:
        put_text(out, (const char *)state->pending, state->n_pending);
        state->n_pending = 0;
        return;
    case INVALID:
        break;
    }
    if (state->n_pending == 1) {
        drop_pending(out);
        return;
    }
    /* A byte that ends a beginning may begin a character itself. */
    state->n_pending--;
    drop_pending(out);
    put_byte(out, byte);
}

/* A token with a character outside the byte alphabet stands for itself. */
static void put_byte_level(struct stream *out, const char *spelling, size_t size)
{
    const uint8_t *at = (const uint8_t *)spelling;
    uint32_t c;
    bool mapped = true;
    for (size_t i = 0; i < size && mapped;) {
        i += lac_utf8_get(at + i, &c);
        mapped = lac_char_to_byte(c) >= 0;
    }
    for (size_t i = 0; i < size;) {
        if (!mapped) {
            put_byte(out, at[i++]);
            continue;
        }
        i += lac_utf8_get(at + i, &c);
        put_byte(out, (uint8_t)lac_char_to_byte(c));
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static void put_byte_or_text(struct stream *out, const char *spelling, size_t size)
{
    if (size == 6 && !memcmp(spelling, "<0x", 3) && spelling[5] == '>') {
        int high = hex_digit(spelling[3]), low = hex_digit(spelling[4]);
        if (high >= 0 && low >= 0) {
            put_byte(out, (uint8_t)(high << 4 | low));
            return;
        }
    }
    drop_pending(out);
    put_text(out, spelling, size);
}

void lac_decode_token(const struct lac_decoder *decoder, struct lac_decode_state *state,
                      const char *spelling, size_t size, struct lac_decode_sink *sink)
{
    struct stream out = {decoder, state, sink};
    char memory[2][LAC_MAX_DECODED_BYTES];
    for (size_t i = 0; i < decoder->n_token_steps; i++) {
        size = lac_decode_step_token(&decoder->steps[i], state->n_tokens == 0, spelling, size,
                                     memory[i & 1]);
        spelling = memory[i & 1];
    }
    switch (decoder->join) {
    case LAC_JOIN_SPACES:
        put_text(&out, " ", state->n_tokens != 0);
        put_text(&out, spelling, size);
        break;
    case LAC_JOIN_PLAIN:
        put_text(&out, spelling, size);
        break;
    case LAC_JOIN_BYTES:
        put_byte_or_text(&out, spelling, size);
        break;
    case LAC_JOIN_BYTE_LEVEL:
        put_byte_level(&out, spelling, size);
        break;
    }
    state->n_tokens = 1;
}

void lac_decode_end(const struct lac_decoder *decoder, struct lac_decode_state *state,
                    struct lac_decode_sink *sink)
{
    struct stream out = {decoder, state, sink};
    drop_pending(&out);
    /* What a step held goes through the steps after it, then their own. */
    for (size_t i = decoder->n_token_steps; i < decoder->n_steps; i++)
        if (decoder->steps[i].kind == LAC_DECODE_REPLACE)
            put(&out, i + 1, decoder->steps[i].from.text, state->held[i - decoder->n_token_steps]);
    *state = (struct lac_decode_state){0};
}

bool lac_decoder_prepare(struct lac_decoder *decoder, size_t max_bytes)
{
    /* U+FFFD for each byte and for three that were pending, or a space before. */
    size_t bytes = max_bytes;
    for (size_t i = 0; i < decoder->n_steps; i++) {
        const struct lac_decode_step *step = &decoder->steps[i];
        if (i == decoder->n_token_steps)
            bytes = 3 * (bytes + 3);
        if (step->kind == LAC_DECODE_REPLACE)
            bytes = (bytes + step->from.size) *
                    lac_max_size(1, lac_ceil_div(step->to.size, step->from.size));
        else if (step->kind == LAC_DECODE_STRIP)
            bytes += step->n_right;
        else
            bytes++;
        if (i < decoder->n_token_steps ? bytes > LAC_MAX_DECODED_BYTES : bytes > INT32_MAX)
            return false;
    }
    decoder->room = (decoder->n_steps == decoder->n_token_steps ? 3 * (bytes + 3) : bytes) + 1;
    return true;
}
