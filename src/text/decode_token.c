/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding steps that see one token each. */
#include "src/text/decode_token.h"

#include <string.h>

static bool begins_with(const char *text, size_t size, const struct lac_slice *prefix)
{
    return size >= prefix->size && !memcmp(text, prefix->text, prefix->size);
}

static size_t replace(const struct lac_decode_step *step, const char *token, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size;) {
        if (begins_with(token + i, size - i, &step->from)) {
            memcpy(out + n, step->to.text, step->to.size);
            n += step->to.size;
            i += step->from.size;
        } else {
            out[n++] = token[i++];
        }
    }
    return n;
}

static size_t strip(const struct lac_decode_step *step, const char *token, size_t size, char *out)
{
    const struct lac_slice *c = &step->from;
    for (size_t i = 0; i < step->n_left && begins_with(token, size, c); i++) {
        token += c->size;
        size -= c->size;
    }
    for (size_t i = 0;
         i < step->n_right && size >= c->size && !memcmp(token + size - c->size, c->text, c->size);
         i++)
        size -= c->size;
    memcpy(out, token, size);
    return size;
}

static size_t metaspaces(const struct lac_metaspace *metaspace, bool first, const char *token,
                         size_t size, char *out)
{
    bool dropped = first && metaspace->scheme != LAC_PREPEND_NEVER;
    const struct lac_decode_step spaces = {
        .from = {(const char *)metaspace->bytes, metaspace->size},
        .to = {" ", dropped ? 0 : 1},
    };
    return replace(&spaces, token, size, out);
}

/* Undoes what splitting did to English, one substitution after the other in each token. */
static size_t clean_up(char *text, size_t size)
{
#define PAIR(from, to)                                                                             \
    {                                                                                              \
        {from, sizeof from - 1}, {to, sizeof to - 1},                                              \
    }
    static const struct lac_slice pairs[][2] = {
        PAIR(" .", "."),   PAIR(" ?", "?"),     PAIR(" !", "!"),     PAIR(" ,", ","),
        PAIR(" ' ", "'"),  PAIR(" n't", "n't"), PAIR(" 'm", "'m"),   PAIR(" do not", " don't"),
        PAIR(" 's", "'s"), PAIR(" 've", "'ve"), PAIR(" 're", "'re"),
    };
#undef PAIR
    /* None is longer than what it replaces, so that text becomes its own output. */
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct lac_decode_step step = {.from = pairs[i][0], .to = pairs[i][1]};
        size = replace(&step, text, size, text);
    }
    return size;
}

static size_t wordpiece(const struct lac_decode_step *step, bool first, const char *token,
                        size_t size, char *out)
{
    size_t n = 0;
    if (!first && begins_with(token, size, &step->from)) {
        token += step->from.size;
        size -= step->from.size;
    } else if (!first) {
        out[n++] = ' ';
    }
    memcpy(out + n, token, size);
    return step->cleanup ? clean_up(out, n + size) : n + size;
}

size_t lac_decode_step_token(const struct lac_decode_step *step, bool first, const char *token,
                             size_t size, char *out)
{
    switch (step->kind) {
    case LAC_DECODE_REPLACE:
        return replace(step, token, size, out);
    case LAC_DECODE_STRIP:
        return strip(step, token, size, out);
    case LAC_DECODE_METASPACE:
        return metaspaces(&step->metaspace, first, token, size, out);
    case LAC_DECODE_WORDPIECE:
        return wordpiece(step, first, token, size, out);
    }
    return 0;
}
