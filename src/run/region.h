/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a forward pass.
 *
 * Buffers of F features are panels tile by tile: tile i begins at i * LAC_TILE * F elements, with
 * F rounded up to whole dwords in u8 buffers.  Arrays of one float a lane: tile i at i * LAC_TILE.
 *
 *   h          hidden    what a layer reads and leaves (residual stream)
 *   q, k, v    hidden    after the last attention: q and k hold the kept tokens' attention and h
 *   a          hidden    the attention's output
 *   x8         hidden u8 quantised input of the next linear layer, with x_scale
 *   ffn, ffn8  intermediate: one tile a worker, or some tiles that all workers share
 *   abs_max, ffn_max     each worker's own maxima, joined by whoever quantises; ffn_max is zero
 *                        between layers
 *   logits     width     one tile a worker
 *   rows_in              LAC_LANES embedding rows a worker, and one more to add from
 *   segments             keys of one sequence, a worker's own
 *   kv, pages            the same quantised, with its pages one by one: int8
 *   first, kept, out     where sequences begin; lanes that are kept; their result rows */
#ifndef LACUNA_RUN_REGION_H
#define LACUNA_RUN_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "src/run/forward.h"

struct lac_region {
    const struct lac_host *host;
    void *memory;
    size_t size_bytes;
    size_t n_members; /* of the team */
    size_t n_lanes;   /* capacity, a multiple of LAC_TILE */
    size_t n_ffn_lanes;
    bool is_clean; /* zeroed once, by the worker that uses it: its pages are then near it, and no
                      lane holds what was never written */

    float *h, *q, *k, *v, *a;
    uint8_t *x8;
    float *x_scale;
    float *ffn;
    uint8_t *ffn8;
    float *ffn_scale;
    float *abs_max; /* [n_members][n_lanes] */
    float *ffn_max; /* [n_members][n_ffn_lanes] */
    float *logits;
    float *rows_in;                  /* [n_members][LAC_LANES + 1][hidden] */
    struct lac_kv_segment *segments; /* [n_members][n_lanes / LAC_TILE] */
    uint8_t *kv;                     /* [n_members][n_lanes / LAC_LANES] pages of a head */
    void **pages;                    /* [n_members][n_lanes / LAC_LANES] */
    size_t *first;                   /* [n_lanes + 1] */
    size_t *kept;                    /* [n_lanes] */
    float **out;                     /* [n_lanes] */
    size_t n_kept;
};

/* Tiles up to which a team shares each linear layer by rows: beyond, tiles go round well enough. */
enum { LAC_SHARED_TILES = 4 };

/* Makes room for n_tokens; keeps the region if it has room.  All zeros but for host is a valid
 * empty region.  On failure it is as before. */
enum lac_status lac_region_reserve(struct lac_region *region, const struct lac_network *network,
                                   const struct lac_head *head, size_t n_members, size_t n_tokens,
                                   struct lac_error *error);
void lac_region_clear(struct lac_region *region);

#endif
