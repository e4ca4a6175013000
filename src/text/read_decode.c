/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the decoder of tokenizer.json. */
#include <string.h>

#include "src/text/parts.h"
#include "src/text/unicode.h"

/* A step that acts on single tokens belongs before the join, all others after it. */
static struct lac_decode_step *add_step(struct lac_tokenizer *tokenizer, enum lac_decode_kind kind,
                                        struct lac_error *error)
{
    struct lac_decoder *decoder = &tokenizer->decoder;
    struct lac_decode_step *steps =
        lac_steps_with_room(tokenizer, decoder->steps, decoder->n_steps, sizeof *steps, error);
    if (!steps)
        return NULL;
    decoder->steps = steps;
    steps[decoder->n_steps].kind = kind;
    return &steps[decoder->n_steps++];
}

enum lac_status lac_add_wordpiece_decoding(struct lac_tokenizer *tokenizer, struct lac_slice prefix,
                                           bool cleanup, struct lac_error *error)
{
    struct lac_decode_step *step = add_step(tokenizer, LAC_DECODE_WORDPIECE, error);
    if (!step)
        return error->status;
    tokenizer->decoder.n_token_steps = tokenizer->decoder.n_steps;
    tokenizer->decoder.join = LAC_JOIN_PLAIN;
    step->from = prefix;
    step->cleanup = cleanup;
    return LAC_OK;
}

/* A walk over decoders; fused: the tokens are one text from here on. */
struct decode_walk {
    struct lac_tokenizer *tokenizer;
    bool fused;
};

static enum lac_status read_string(struct decode_walk *walk, const json_t *json, const char *key,
                                   size_t least, size_t most, struct lac_slice *text,
                                   struct lac_error *error)
{
    if (!json_is_string(json) || json_string_length(json) < least ||
        json_string_length(json) > most)
        return lac_fail(error, LAC_E_FORMAT, "%s: expected a string of %zu to %zu bytes", key,
                        least, most);
    text->size = json_string_length(json);
    text->text = lac_arena_strndup(&walk->tokenizer->arena, json_string_value(json), text->size);
    return text->text ? LAC_OK : lac_no_memory(error);
}

static enum lac_status read_replace(struct decode_walk *walk, const json_t *json,
                                    struct lac_decode_step *step, struct lac_error *error)
{
    const json_t *pattern = json_object_get(json, "pattern");
    if (json_object_get(pattern, "Regex"))
        return lac_fail(error, LAC_E_UNSUPPORTED, "pattern: decoders know only String here");
    enum lac_status status =
        read_string(walk, json_object_get(pattern, "String"), "pattern: String", 1,
                    LAC_MAX_TEXT_FROM, &step->from, error);
    return status ? status
                  : read_string(walk, json_object_get(json, "content"), "content", 0,
                                LAC_MAX_TOKEN_BYTES, &step->to, error);
}

static enum lac_status read_strip(struct decode_walk *walk, const json_t *json,
                                  struct lac_decode_step *step, struct lac_error *error)
{
    enum lac_status status =
        read_string(walk, json_object_get(json, "content"), "content", 1, 4, &step->from, error);
    if (!status && step->from.size != lac_utf8_size((uint8_t)step->from.text[0]))
        return lac_fail(error, LAC_E_FORMAT, "content: \"%s\" is not one character",
                        step->from.text);
    if (!status && walk->fused && step->from.size > 1)
        return lac_fail(error, LAC_E_UNSUPPORTED, "content: \"%s\" is not ASCII", step->from.text);
    if (!status)
        status = lac_json_size(json, "start", 0, 0, LAC_MAX_TOKEN_BYTES, &step->n_left, error);
    return status ? status
                  : lac_json_size(json, "stop", 0, 0, LAC_MAX_TOKEN_BYTES, &step->n_right, error);
}

static enum lac_status read_metaspace(struct decode_walk *walk, const json_t *json,
                                      struct lac_decode_step *step, struct lac_error *error)
{
    (void)walk;
    return lac_read_metaspace(json, &step->metaspace, error);
}

static enum lac_status read_wordpiece(struct decode_walk *walk, const json_t *json,
                                      struct lac_decode_step *step, struct lac_error *error)
{
    const char *prefix;
    enum lac_status status = lac_json_string(json, "prefix", "##", &prefix, error);
    if (!status)
        status = lac_json_bool(json, "cleanup", true, &step->cleanup, error);
    if (status)
        return status;
    step->from.size = strlen(prefix);
    step->from.text = lac_arena_strndup(&walk->tokenizer->arena, prefix, step->from.size);
    return step->from.text ? LAC_OK : lac_no_memory(error);
}

static const struct {
    const char *type;
    enum lac_decode_kind kind;
    bool on_text; /* can follow a join */
    enum lac_status (*read)(struct decode_walk *walk, const json_t *json,
                            struct lac_decode_step *step, struct lac_error *error);
} step_types[] = {
    {"Replace", LAC_DECODE_REPLACE, true, read_replace},
    {"Strip", LAC_DECODE_STRIP, true, read_strip},
    {"Metaspace", LAC_DECODE_METASPACE, false, read_metaspace},
    {"WordPiece", LAC_DECODE_WORDPIECE, false, read_wordpiece},
};

static const struct {
    const char *type;
    enum lac_join join;
    bool fuses;
} join_types[] = {
    {"ByteLevel", LAC_JOIN_BYTE_LEVEL, true},
    {"ByteFallback", LAC_JOIN_BYTES, false},
    {"Fuse", LAC_JOIN_PLAIN, true},
};

static enum lac_status read_step(struct decode_walk *walk, const json_t *json, size_t type,
                                 struct lac_error *error)
{
    struct lac_decoder *decoder = &walk->tokenizer->decoder;
    bool joined = decoder->join != LAC_JOIN_PLAIN;
    if ((walk->fused && !step_types[type].on_text) || (!walk->fused && joined))
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s cannot follow %s here", step_types[type].type,
                        walk->fused ? "Fuse or ByteLevel" : "ByteFallback without Fuse");
    struct lac_decode_step *step = add_step(walk->tokenizer, step_types[type].kind, error);
    if (!step)
        return error->status;
    if (!walk->fused)
        decoder->n_token_steps = decoder->n_steps;
    if (decoder->n_steps - decoder->n_token_steps > LAC_DECODE_TEXT_STEPS)
        return lac_fail(error, LAC_E_LIMIT, "more than %d steps after a fusion",
                        LAC_DECODE_TEXT_STEPS);
    return step_types[type].read(walk, json, step, error);
}

static enum lac_status read_join(struct decode_walk *walk, size_t type, struct lac_error *error)
{
    struct lac_decoder *decoder = &walk->tokenizer->decoder;
    enum lac_join join = join_types[type].join;
    if (join != LAC_JOIN_PLAIN && (walk->fused || decoder->join != LAC_JOIN_PLAIN))
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s on joined tokens", join_types[type].type);
    if (join != LAC_JOIN_PLAIN)
        decoder->join = join;
    walk->fused |= join_types[type].fuses;
    return LAC_OK;
}

static enum lac_status read_decoder(void *context, const json_t *json, unsigned depth,
                                    struct lac_error *error)
{
    struct decode_walk *walk = context;
    const char *type;
    enum lac_status status = lac_read_type(json, &type, error);
    if (status)
        return status;
    if (!strcmp(type, "Sequence"))
        return lac_read_sequence(walk, json, "decoders", depth, read_decoder, error);
    for (size_t i = 0; i < sizeof step_types / sizeof *step_types; i++)
        if (!strcmp(type, step_types[i].type))
            return read_step(walk, json, i, error);
    for (size_t i = 0; i < sizeof join_types / sizeof *join_types; i++)
        if (!strcmp(type, join_types[i].type))
            return read_join(walk, i, error);
    return lac_fail(error, LAC_E_UNSUPPORTED, "there is no decoder \"%s\" here", type);
}

enum lac_status lac_read_decoder(struct lac_tokenizer *tokenizer, const json_t *json,
                                 struct lac_error *error)
{
    struct decode_walk walk = {tokenizer, false};
    if (!json || json_is_null(json))
        return LAC_OK;
    tokenizer->decoder.join = LAC_JOIN_PLAIN;
    enum lac_status status = read_decoder(&walk, json, 0, error);
    return status ? lac_fail_in(error, status, "decoder") : LAC_OK;
}
