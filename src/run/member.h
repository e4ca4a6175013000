/* SPDX-License-Identifier: Apache-2.0 */
/* One worker in the middle of a forward pass, and the steps it takes.
 *
 * A team divides a step in one of two ways.  With many tiles each member takes whole tiles through
 * all the steps between two attentions and meets the others only there.  With few, all members
 * work on every tile: on a share of the rows in linear layers, on a share of the lanes in the
 * steps between, with a barrier after each.
 *
 * A tile passes whole weights.  Passing groups of four tiles through parts of dense weights that
 * fit half of L2 was no faster (768 features, VNNI and AMX): the weights stream from L3 well
 * enough beside 48 tokens of work. */
#ifndef LACUNA_RUN_MEMBER_H
#define LACUNA_RUN_MEMBER_H

#include <stdbool.h>

#include "src/base/checked.h"
#include "src/run/forward.h"
#include "src/run/region.h"

struct lac_member {
    const struct lac_forward *forward;
    const struct lac_network *network;
    struct lac_region *region;
    const struct lac_team *team;
    size_t rank;
    /* The tokens in work: all of the batch, and after the last attention those kept. */
    size_t n_tokens;
    float *h, *a;
    bool shares_rows; /* the second of the two ways */
};

/* Up to LAC_TILE tokens of the tokens in work. */
struct lac_tile {
    size_t index;
    size_t n_tokens, ld;
};

static inline size_t lac_tiles(size_t n_tokens)
{
    return lac_ceil_div(n_tokens, LAC_TILE);
}

/* One token of a decoder is a row: its panels have a single lane. */
static inline struct lac_tile lac_tile_at(const struct lac_member *m, size_t n_tokens, size_t index)
{
    size_t n = lac_min_size(n_tokens - index * LAC_TILE, LAC_TILE);
    bool is_row = n_tokens == 1 && m->network->takes_rows;
    return (struct lac_tile){index, n, is_row ? 1 : lac_round_up(n, LAC_LANES)};
}

/* Where a tile begins in a buffer of that many features. */
static inline float *lac_tile_f32(float *buffer, size_t index, size_t n_features)
{
    return buffer + index * LAC_TILE * n_features;
}

static inline uint8_t *lac_tile_u8(uint8_t *buffer, size_t index, size_t n_features)
{
    return buffer + index * LAC_TILE * lac_round_up(n_features, 4);
}

/* A panel that a linear layer reads: u8 with scales, or f32 (x_scale NULL). */
struct lac_input {
    const void *panel;
    const float *scale;
};

/* Rows [begin, end) of a linear layer. */
struct lac_rows {
    size_t begin, end;
};

static inline struct lac_rows lac_all_rows(const struct lac_linear *linear)
{
    return (struct lac_rows){0, linear->weight.n_out};
}

/* The member's part of the rows, by kept blocks. */
struct lac_rows lac_share_rows(const struct lac_member *m, const struct lac_linear *linear);

/* What a linear layer does with its sums, as in struct lac_linear_args. */
struct lac_output {
    enum lac_activation activation;
    const float *factor, *residual;
    float *y;
    float *abs_max;
};

void lac_run_linear(const struct lac_linear *linear, struct lac_tile tile, struct lac_rows rows,
                    struct lac_input x, struct lac_output y);

/* Where a tile of the next input begins in x and x8. */
static inline float *lac_tile_x(const struct lac_member *m, struct lac_tile tile)
{
    return m->region->x + tile.index * LAC_TILE * m->region->n_inputs;
}

static inline uint8_t *lac_tile_x8(const struct lac_member *m, struct lac_tile tile)
{
    return m->region->x8 + tile.index * LAC_TILE * m->region->n_inputs;
}

/* What a linear layer reads of a tile: x8 in networks in int8, else this panel. */
struct lac_input lac_input_of(const struct lac_member *m, struct lac_tile tile, const float *panel);
/* What the next linear layer of h reads. */
struct lac_input lac_hidden_input(const struct lac_member *m, struct lac_tile tile);

/* y = norm(x) on some lanes of a tile, both f32 panels; int8 networks get x8 as well, and y may be
 * NULL there. */
void lac_run_norm(const struct lac_member *m, const struct lac_norm *norm, struct lac_tile tile,
                  size_t lane, size_t n_lanes, const float *x, float *y);
/* x8 = quantised x of so many features, for networks in int8; abs_max NULL: it is measured. */
void lac_run_quantize(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes,
                      const float *x, size_t n_features, const float *abs_max);

/* The attention of one layer: the member's part of all (sequence, head, tile).  Has a barrier in it
 * where there is a cache, and more with a trial. */
void lac_run_attention(const struct lac_member *m, size_t layer, bool is_last);
/* The part of it that follows the pass's sights, once keys are where they belong. */
void lac_attend(const struct lac_member *m, size_t layer, bool is_last);
/* The same of global tokens alone, which the other leaves out, once their own queries and all
 * tokens' keys and values for them are there. */
void lac_run_global_attention(const struct lac_member *m, size_t layer, bool is_last);
/* Tokens of a sequence, from its first on, that see and show all and have projections of their own:
 * of Longformer's models, after Beltagy et al. (2020), the first to classify a text and a question
 * to answer it. */
size_t lac_global_tokens(const struct lac_member *m, size_t sequence);

/* After it: what the layer's queries that vote say of its keys. */
void lac_run_votes(const struct lac_member *m, size_t layer);

/* h (and x8) of some lanes from ids; decoders: without x8. */
void lac_run_embedding(const struct lac_member *m, struct lac_tile tile, size_t lane,
                       size_t n_lanes);
/* Models that project their embeddings: x (and x8) of some lanes from ids, h from positions. */
void lac_run_narrow_embedding(const struct lac_member *m, struct lac_tile tile, size_t lane,
                              size_t n_lanes);
/* The angles of some lanes' positions. */
void lac_run_angles(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes);

/* The member's part of the head, h being complete. */
void lac_run_head(const struct lac_member *m);
/* The same of decoders. */
void lac_run_next(const struct lac_member *m);

/* Range of tiles that are the member's own. */
void lac_own_tiles(const struct lac_member *m, size_t *begin, size_t *end);

enum lac_activation lac_hidden_activation(const struct lac_config *config);

#endif
