/* SPDX-License-Identifier: Apache-2.0 */
/* What both forms of attention for one token share, for every vector instruction set: include after
 * a vector.h.
 *
 * Keys are in lanes for scores, features for values.  A page is read from memory once: its lines
 * are fetched a block ahead, when queries meet the same lines of the block at work. */
#ifndef LACUNA_SIMD_TEMPLATE_ROW_BLOCK_H
#define LACUNA_SIMD_TEMPLATE_ROW_BLOCK_H

#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "simd/template/row.h"
#include "simd/template/sight.h"
#include "src/base/checked.h"

#define ROW_INLINE static inline __attribute__((always_inline))
#define ROW_ALONE  static __attribute__((noinline))

/* Keys from `begin`, the first of a page, to `end`, all in one block. */
struct row_block {
    const void *const *pages; /* the first is that of key begin */
    size_t begin, end;
    size_t first;         /* keys before it are not seen */
    size_t n_ahead;       /* pages that exist from pages[0] on */
    size_t tile, n_tiles; /* of the queries: each fetches some pages, so that memory never rests */
};

static inline size_t block_pages(const struct row_block *b)
{
    return lac_ceil_div(b->end - b->begin, LAC_LANES);
}

/* What to fetch while page i is read: the page a block later, if there is one and this tile's turn;
 * else the same once more, which costs next to nothing. */
static inline const char *page_ahead(const struct row_block *b, size_t i)
{
    const size_t ahead = i + LAC_KEY_BLOCK / LAC_LANES;
    return b->pages[ahead < b->n_ahead && i % b->n_tiles == b->tile ? ahead : i];
}

static inline void fetch_line(const char *line)
{
    __builtin_prefetch(line, 0, 2);
}

static inline struct row_block first_block(const struct lac_attention_row_args *a, size_t n_queries)
{
    size_t begin = a->first_key / LAC_LANES * LAC_LANES;
    size_t end = (begin / LAC_KEY_BLOCK + 1) * LAC_KEY_BLOCK;
    return (struct row_block){
        .pages = a->pages + begin / LAC_LANES,
        .begin = begin,
        .end = lac_min_size(end, a->n_keys),
        .first = a->first_key,
        .n_tiles = n_queries / 4 + n_queries % 4 / 2 + n_queries % 2,
        .n_ahead = lac_ceil_div(a->n_keys, LAC_LANES) - begin / LAC_LANES,
    };
}

static inline void advance_block(const struct lac_attention_row_args *a, struct row_block *b)
{
    size_t n = block_pages(b);
    b->pages += n;
    b->n_ahead -= lac_min_size(n, b->n_ahead);
    b->begin = b->end;
    b->end = lac_min_size(b->begin + LAC_KEY_BLOCK, a->n_keys);
}

/* Has it keys that are not seen, or slots behind its last key? */
static inline int block_hides(const struct row_block *b)
{
    return b->first > b->begin || b->end % LAC_LANES;
}

/* Bits of those of VEC_LANES keys from b->begin + at on that are seen. */
static inline uint64_t seen_lanes(const struct row_block *b, size_t at)
{
    size_t hidden = b->first > b->begin + at ? b->first - b->begin - at : 0;
    uint64_t lanes = lanes_below(b->end - b->begin, at);
    return hidden >= VEC_LANES ? 0 : lanes >> hidden << hidden;
}

/* Softmax so far of the queries of one group. */
struct row_softmax {
    float max[LAC_LANES], sum[LAC_LANES], correction[LAC_LANES]; /* only LAC_ROW_QUERIES count */
    float s[LAC_ROW_QUERIES][LAC_KEY_BLOCK];                     /* scores, then weights */
};

static inline void begin_softmax(struct row_softmax *r)
{
    for (size_t i = 0; i < LAC_LANES; i++) {
        r->max[i] = -INFINITY;
        r->sum[i] = 0;
    }
    /* What is behind a row's last page is never a key, but may pass through a vector. */
    memset(r->s, 0, sizeof r->s);
}

static inline vec row_score(const float *s, const struct row_block *b, size_t at, const int hides)
{
    return hides ? vec_load_lanes(s + at, seen_lanes(b, at), vec_set1(NOT_SEEN)) : vec_load(s + at);
}

ROW_INLINE float largest_score(const float *s, const struct row_block *b, const int hides)
{
    vec most[ROW_VECS];
#pragma GCC unroll 4
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = vec_set1(NOT_SEEN);
    for (size_t at = 0; at < b->end - b->begin; at += LAC_LANES)
#pragma GCC unroll 4
        for (size_t j = 0; j < ROW_VECS; j++)
            most[j] = vec_max(most[j], row_score(s, b, at + j * VEC_LANES, hides));
    return max_lanes(most);
}

/* Four floats: every instruction set has registers of that size. */
typedef float quad __attribute__((vector_size(16)));

/* Sums of equal keys mod 4, joined. */
static inline float sum_weights(const float *p, size_t n)
{
    quad t = {0, 0, 0, 0};
    for (size_t j = 0; j < n; j += 4) {
        quad x;
        memcpy(&x, p + j, sizeof x);
        t += x;
    }
    return (t[0] + t[1]) + (t[2] + t[3]);
}

/* Scores of n queries to weights, by a power of e or of 2. */
ROW_INLINE void weigh_rows(struct row_softmax *r, const struct row_block *b, size_t n,
                           vec (*power)(vec), const int hides)
{
    size_t n_slots = lac_round_up(b->end - b->begin, LAC_LANES);
    float max[LAC_LANES];
    memcpy(max, r->max, sizeof max);
    for (size_t i = 0; i < n; i++) {
        float most = largest_score(r->s[i], b, hides);
        max[i] = max[i] > most ? max[i] : most;
    }
    for (size_t i = 0; i < LAC_ROW_QUERIES; i += VEC_LANES)
        vec_store(r->correction + i, power(vec_sub(vec_load(r->max + i), vec_load(max + i))));
    memcpy(r->max, max, sizeof max);
    for (size_t i = 0; i < n; i++) {
        const vec top = vec_set1(max[i]);
        for (size_t at = 0; at < n_slots; at += VEC_LANES) {
            vec x = row_score(r->s[i], b, at, hides), p = power(vec_sub(x, top));
            vec_store(r->s[i] + at, hides ? hide_weight(x, p) : p);
        }
        r->sum[i] = fmaf(r->sum[i], r->correction[i], sum_weights(r->s[i], n_slots));
    }
}

/* y = o / sum. */
static inline void finish_row(const float *o, float sum, size_t head_dim, float *y)
{
    const vec share = vec_set1(sum > 0 ? 1.0f / sum : 0), zero = vec_set1(0);
    for (size_t f = 0; f < head_dim; f += VEC_LANES)
        vec_store_lanes(y + f, lanes_below(head_dim, f),
                        vec_add(vec_mul(vec_load(o + f), share), zero));
}

/* How many of the queries left the next tile takes. */
static inline size_t row_tile(size_t left)
{
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

#endif
