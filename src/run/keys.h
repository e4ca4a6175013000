/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of a head: those of a batch, and those that a cache has from before. */
#ifndef LACUNA_RUN_KEYS_H
#define LACUNA_RUN_KEYS_H

#include "src/run/member.h"

/* Tokens [begin, end) of a sequence, counted from the first in the batch. */
struct lac_span {
    size_t begin, end;
};

static inline bool lac_span_is_empty(struct lac_span span)
{
    return span.begin >= span.end;
}

static inline struct lac_span lac_span_overlap(struct lac_span a, struct lac_span b)
{
    return (struct lac_span){lac_max_size(a.begin, b.begin), lac_min_size(a.end, b.end)};
}

/* Lanes of a tile that hold tokens [begin, end) of the batch. */
static inline struct lac_span lac_lanes_in_tile(size_t begin, size_t end, size_t index)
{
    size_t low = index * LAC_TILE;
    struct lac_span in_tile =
        lac_span_overlap((struct lac_span){begin, end}, (struct lac_span){low, low + LAC_TILE});
    return (struct lac_span){in_tile.begin - low, in_tile.end - low};
}

/* Keys and values of one head of a sequence, as its dtype's kernel takes them. */
struct lac_keys {
    enum lac_dtype dtype;
    const struct lac_kv_segment *segments; /* fp32, bf16 */
    size_t n_segments, segment_keys;
    void *const *pages; /* int8, and all caches */
    size_t n_keys;
};

/* Those of the batch alone; in integers quantised by each member that asks for a head, into memory
 * that is still in its cache when the head's queries come: few heads have more than one.  They
 * stay until the member asks for others. */
struct lac_keys lac_batch_keys(const struct lac_member *m, size_t sequence, size_t kv_head);
/* Those before the batch, and those of the batch. */
struct lac_keys lac_cached_keys(const struct lac_member *m, size_t sequence, size_t layer,
                                size_t kv_head);
/* Into the caches: the member's part of the batch's keys and values. */
void lac_store_keys(const struct lac_member *m, size_t layer);
/* The part of it that gates need: once keys are there, for other sights of the same pass. */
void lac_pool_keys(const struct lac_member *m, size_t layer);

#endif
