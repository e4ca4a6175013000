/* SPDX-License-Identifier: Apache-2.0 */
/* What queries of a head see, chosen from themselves and the keys: sparse/pick.h.
 *
 * Of one span at a time, before its attention.  Scores come from the kernels of simd/attention.h,
 * so that all processors choose alike, and from one head's queries and keys alone. */
#ifndef LACUNA_RUN_PICK_H
#define LACUNA_RUN_PICK_H

#include "simd/attention.h"
#include "sparse/pick.h"
#include "src/run/network.h"

enum { LAC_SPAN_BLOCKS = LAC_PICK_SPAN / LAC_PICK_QUERIES };

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
};

/* Of such a room in one piece, from a multiple of 64 on; SIZE_MAX: too many. */
size_t lac_pick_room_bytes(size_t n_keys, size_t head_dim);
struct lac_pick_room lac_pick_room_at(void *memory, size_t n_keys, size_t head_dim);

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
    struct lac_pick_room *room;
    uint64_t *bits; /* [LAC_SPAN_BLOCKS][lac_pick_words(n_keys)] */
};

/* Fills the bits of the queries' blocks. */
void lac_pick_keys(const struct lac_pick_args *args);

#endif
