/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a forward pass.
 *
 * Buffers of F features are panels tile by tile: tile i begins at i * LAC_TILE * F elements, with
 * F rounded up to whole dwords in u8 buffers.  Arrays of one float a lane: tile i at i * LAC_TILE.
 *
 *   h          hidden    what a layer reads and leaves (residual stream)
 *   q, a       queries   n_heads * head_dim features: queries, and the attention's output
 *   k, v       keys      n_kv_heads * head_dim
 *   kept_a, kept_h       after the last attention: the kept tokens' attention (it is q) and h (of
 *                        encoders it is k)
 *   x          input     fp32 input of the next linear layer where that is not h or a: decoders
 *   x8         input     quantised input of the next linear layer, with x_scale
 *   ffn, ffn8  intermediate: one tile a worker, or some tiles that all workers share
 *   factor     the same  what a gated layer's activation is multiplied by
 *   cos, sin   head_dim / 2: of the angles that the tokens' positions turn queries and keys by
 *   abs_max, ffn_max     each worker's own maxima, joined by whoever quantises; ffn_max is zero
 *                        between layers
 *   logits     width     one tile a worker; decoders: LAC_HEAD_ROWS rows of it
 *   tops, sums           what workers found in their rows of a decoder's head: src/run/next.h
 *   rows_in              LAC_LANES embedding rows a worker, and one more to add from
 *   segments             keys of one sequence, a worker's own
 *   kv, pages            the same quantised, with its pages one by one: int8 encoders
 *   blocks, masks        what the queries in work see, a worker's own: sparse/seen.h
 *   seen_keys, seen_rows the same of one token: decoders
 *   picking, pick_rooms, picked, picked_bits
 *                        what is chosen at run time, a worker's own: src/run/picked.h
 *   row                  a token's queries and attention, a worker's own: decoders
 *   lost                 means of keys and values that a query has lost, a worker's own: decoders
 *   scores               of the pages of a token's cache: src/run/page_choice.h
 *   row_pages, whole_pages
 *                        pages of a head in the places where a row has them, or queries in lanes,
 *                        a worker's own: src/run/expanded.h
 *   row_room, whole_room of caches with compact pages: a block of them expanded, or all of a
 * head's; a worker's own turned               keys of a tile turned back, a worker's own:
 * src/run/looked_up.h row_parts            ranges of the keys of a token whose attention is one
 * worker's parts, n_done        ranges of the keys of a token whose attention workers share, of the
 * worker that has the first of them, and how many are done: src/run/rows.h first, kept, out where
 * sequences begin; lanes that are kept; their result rows next                 decoders: what is
 * asked of them n_chosen, list       what a tile reads of a layer where neurons are left out:
 * src/run/choose.h listed_*             what belongs to the listed outputs of up is_full, core
 * tokens that have all neurons, or only those of a core counting, counts     where they count
 * neurons; what each worker counted */
#ifndef LACUNA_RUN_REGION_H
#define LACUNA_RUN_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sparse/sight.h"
#include "src/run/pick.h"
#include "src/run/forward.h"

/* What a token of a decoder sees. */
struct lac_seen_row {
    const struct lac_sight *sight; /* NULL: nothing is listed yet */
    size_t position, n;
    struct lac_seen_keys *keys;
};

struct lac_region {
    const struct lac_host *host;
    void *memory;
    size_t size_bytes;
    size_t n_members; /* of the team */
    size_t n_lanes;   /* capacity, a multiple of LAC_TILE */
    size_t n_ffn_lanes;
    bool is_clean; /* zeroed once, by the worker that uses it: its pages are then near it, and no
                      lane holds what was never written */

    float *h, *q, *k, *v, *a, *x;
    float *kept_a, *kept_h;
    size_t n_inputs; /* features of x and x8: of the widest */
    uint8_t *x8;
    float *x_scale;
    float *ffn, *factor;
    uint8_t *ffn8;
    float *ffn_scale;
    float *abs_max; /* [n_members][n_lanes] */
    float *ffn_max; /* [n_members][n_ffn_lanes] */
    float *cos, *sin;
    float *logits;
    struct lac_logit *tops;   /* [n_members][LAC_TILE][LAC_MAX_TOP] */
    struct lac_log_sum *sums; /* [LAC_TILE][parts of the head] */
    float *rows_in;           /* [n_members][LAC_LANES + 1][hidden] */
    size_t n_segments;
    struct lac_kv_segment *segments; /* [n_members][n_segments] */
    uint8_t *kv;                     /* [n_members][n_lanes / LAC_LANES] pages of a head */
    void **pages;                    /* [n_members][n_lanes / LAC_LANES] */
    size_t n_blocks;                 /* of the longest sequence's keys */
    struct lac_seen_block *blocks;   /* [n_members][n_blocks] */
    struct lac_seen_mask *masks;     /* [n_members][n_blocks] */
    struct lac_seen_keys *seen_keys; /* [n_members][n_blocks] */
    struct lac_seen_row *seen_rows;  /* [n_members] */
    struct lac_pick_room *picking;   /* [n_members] */
    char *pick_rooms;                /* [n_members] of lac_pick_room_bytes() */
    size_t *picked;                  /* [n_members][n_heads] */
    uint64_t *picked_bits;           /* [n_members][group][LAC_SPAN_BLOCKS][words] */
    size_t n_scores;                 /* pages, a multiple of LAC_LANES */
    float *scores;                   /* [n_members][LAC_ROW_QUERIES + 1][n_scores] */
    float *row;                      /* [n_members][2][n_heads * head_dim] */
    float *lost;                     /* [n_members][2][head_dim] */
    size_t compact_page; /* bytes of whole pages of caches that have compact ones, or 0 */
    size_t n_whole;      /* pages of a head */
    void **row_pages, **whole_pages; /* [n_members][n_whole] */
    char *row_room;                  /* [n_members][pages of a block][compact_page] */
    char *whole_room;                /* [n_members][n_whole][compact_page] */
    float *row_parts;                /* [n_members][n_parts] */
    float *turned;                   /* [n_members][head_dim][LAC_TILE] */
    size_t n_parts;                  /* floats of a worker's parts */
    float *parts;                    /* [n_members - 1][n_parts] */
    atomic_size_t *n_done;           /* [n_members]; 0 between rows */
    size_t *first;                   /* [n_lanes + 1] */
    size_t *kept;                    /* [n_lanes] */
    float **out;                     /* [n_lanes] */
    struct lac_next **next;          /* [n_lanes] */
    bool has_picks;                  /* asked for: the room to choose in is there */
    bool has_lists;                  /* the same: the rest is there */
    size_t n_listed;                 /* neurons that a list may have */
    size_t *n_chosen;                /* [n_ffn_lanes / LAC_TILE] */
    uint32_t *list;                  /* [the same][n_listed] */
    float *listed_scale, *listed_bias;
    int32_t *listed_offset;
    uint8_t *is_full;                 /* [n_lanes] */
    const struct lac_core **core;     /* [n_lanes]: what tokens go on with, or NULL */
    struct lac_usage **counting;      /* [n_lanes]: where tokens are counted, or NULL */
    struct lac_neuron_counts *counts; /* [n_members] */
    size_t n_kept;
};

/* Tiles up to which a team shares each linear layer by rows: beyond, tiles go round well enough. */
enum { LAC_SHARED_TILES = 4 };

/* Makes room for n_tokens and, with a decoder, sequences of n_keys whose whole pages, if there are
 * compact ones, have page_bytes, else 0; keeps the region if it has room.  All zeros but for host,
 * has_picks and has_lists is a valid empty region.  On failure it is as before. */
enum lac_status lac_region_reserve(struct lac_region *region, const struct lac_network *network,
                                   const struct lac_head *head, size_t n_members, size_t n_tokens,
                                   size_t n_keys, size_t page_bytes, struct lac_error *error);
void lac_region_clear(struct lac_region *region);

#endif
