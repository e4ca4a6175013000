/* SPDX-License-Identifier: Apache-2.0 */
/* What queries of a head see, chosen from themselves and the keys: sparse/pick.h.
 *
 * Of one span at a time, before its attention.  Scores come from the kernels of simd/attention.h,
 * so that all processors choose alike, and from one head's queries and keys alone. */
#ifndef LACUNA_RUN_PICK_H
#define LACUNA_RUN_PICK_H

#include "simd/attention.h"
#include "sparse/pick.h"
#include "src/base/checked.h"
#include "src/run/network.h"

enum { LAC_SPAN_BLOCKS = LAC_PICK_SPAN / LAC_PICK_QUERIES };

/* The gates of a layer, as a head asks them. */
struct lac_pick_gates {
    const struct lac_gates *kind;
    const struct lac_linear *query, *key; /* query NULL: the mean query is taken as it is */
    size_t query_row, key_row;            /* first rows of the head's projections */
    const struct lac_gate_turns *turns;
    const struct lac_rope *rope;
    float *pooled;    /* [tiles of LAC_TILE blocks][kind's inputs][LAC_TILE]: of keys */
    size_t *n_pooled; /* blocks that are there */
};

/* Room for gates: blocks in tiles of LAC_TILE, as linear layers take tokens. */
struct lac_pick_gate_room {
    float *keys; /* [tiles][width][LAC_TILE]: n_projected blocks of the keys in work, by the rows
                    of the projection from key_row on */
    size_t n_projected, key_row;
    struct lac_kv_segment *tiles;
    float *q;         /* [inputs or width][LAC_PICK_LANES] */
    uint8_t *x8;      /* [inputs up to dwords][LAC_TILE] */
    float *x_scale;   /* [LAC_TILE] */
    float *out;       /* [n_heads * width][LAC_TILE] */
    float *cos, *sin; /* [width / 2][LAC_TILE] */
    float *block;     /* [head_dim][LAC_KEY_BLOCK] */
};

/* Sizes that rooms depend on. */
struct lac_pick_sizes {
    size_t n_keys, head_dim, n_heads;
    const struct lac_gates *gates; /* or NULL */
};

/* Room to choose in, for sequences of up to n_keys keys. */
struct lac_pick_room {
    size_t n_keys, head_dim;
    float *q;                      /* [head_dim][LAC_PICK_LANES] */
    float *scores;                 /* [keys][LAC_PICK_LANES] */
    float *most, *sums;            /* [blocks][LAC_PICK_LANES] */
    float *low, *high;             /* [pages] */
    float *values, *weights;       /* [2 * pages] */
    uint64_t *columns, *diagonals; /* [pages], [2 * pages] bits */
    uint32_t *candidates;          /* [blocks] */
    struct lac_seen_block *blocks; /* [blocks] */
    struct lac_seen_mask *masks;   /* [2 + blocks of a span] */
    void **pages;                  /* [pages]: keys quantised to be chosen by */
    uint8_t *page_memory;          /* [pages] */
    bool is_quantized;             /* pages are those of the keys in work */
    struct lac_pick_gate_room gates;
};

/* Of such a room in one piece, from a multiple of 64 on; SIZE_MAX: too many. */
size_t lac_pick_room_bytes(const struct lac_pick_sizes *sizes);
struct lac_pick_room lac_pick_room_at(void *memory, const struct lac_pick_sizes *sizes);

struct lac_pick_args {
    const struct lac_pick *choice;
    const struct lac_kernels *kernels;
    bool is_causal;
    size_t head_dim;
    float scale;
    /* All keys of the sequence, as attention takes them. */
    enum lac_dtype dtype;
    const struct lac_kv_segment *segments; /* fp32, bf16 */
    size_t n_segments, segment_keys;
    const void *const *pages; /* int8 */
    size_t n_keys;
    /* Queries [first, first + n_queries), n_queries <= LAC_PICK_SPAN: first is a multiple of
     * LAC_PICK_QUERIES, of LAC_PICK_SPAN with LAC_PICK_LINES. */
    const struct lac_query_segment *queries;
    size_t first, n_queries;
    const struct lac_pick_gates *gates; /* with LAC_PICK_GATED */
    struct lac_pick_room *room;
    uint64_t *bits; /* [LAC_SPAN_BLOCKS][lac_pick_words(n_keys)] */
};

/* ---- What methods share ---- */

static inline size_t lac_pick_blocks(const struct lac_pick_args *a)
{
    return lac_ceil_div(a->n_queries, LAC_PICK_QUERIES);
}

static inline struct lac_pick_place lac_pick_place_of(const struct lac_pick_args *a, size_t block)
{
    size_t begin = block * LAC_PICK_QUERIES;
    size_t n = lac_min_size(a->n_queries - begin, LAC_PICK_QUERIES);
    return (struct lac_pick_place){a->first + begin, n, a->n_keys, a->is_causal};
}

static inline uint64_t *lac_pick_bits_of(const struct lac_pick_args *a, size_t block)
{
    return a->bits + block * lac_pick_words(a->n_keys);
}

/* Adds those of the candidates in room->candidates that `top` takes, by room->values and
 * room->weights. */
void lac_pick_add_best(const struct lac_pick_args *args, size_t block, size_t n_candidates,
                       const struct lac_pick_top *top);

/* LAC_PICK_GATED: src/run/pick_gate.c. */
void lac_pick_gated(const struct lac_pick_args *args);
/* What that needs of the first n_blocks of keys and is not there yet: pooled. */
void lac_pick_pool_keys(const struct lac_pick_args *args, size_t n_blocks);

/* Fills the bits of the queries' blocks. */
void lac_pick_keys(const struct lac_pick_args *args);

#endif
