/* SPDX-License-Identifier: Apache-2.0 */
/* What both forms of attention for one token share, for every vector instruction set: include after
 * a vector.h.
 *
 * Keys are in lanes for scores, features for values.  A page is read from memory once: its lines
 * are fetched BLOCK_PAGES pages ahead, when queries meet the same lines of a page at work. */
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

/* The pages of one block that are seen, side by side. */
struct row_block {
    const void *pages[BLOCK_PAGES];
    const void *next[BLOCK_PAGES]; /* as many to fetch */
    size_t n_pages, n_next;
    size_t n_keys;        /* of the pages, up to the last that is seen */
    uint64_t seen;        /* which of these */
    size_t tile, n_tiles; /* of the queries: each fetches some pages, so that memory never rests */
};

static inline size_t block_pages(const struct row_block *b)
{
    return b->n_pages;
}

/* What to fetch while page i is read: a page that comes later, if there is one and it is this
 * tile's turn; else the same once more, which costs next to nothing. */
static inline const char *page_ahead(const struct row_block *b, size_t i)
{
    return i < b->n_next && i % b->n_tiles == b->tile ? b->next[i] : b->pages[i];
}

static inline void fetch_line(const char *line)
{
    __builtin_prefetch(line, 0, 2);
}

/* Pages of a block with a key that is seen; their keys' bits, side by side. */
static inline size_t find_pages(const struct lac_attention_row_args *a, size_t i,
                                const void *pages[BLOCK_PAGES], uint64_t *seen)
{
    const struct lac_seen_keys *keys = &a->seen[i];
    const uint64_t page_bits = (UINT64_C(1) << LAC_LANES) - 1;
    size_t n = 0;
    *seen = 0;
    if (a->load)
        a->load(a->context, keys->block);
    for (size_t page = 0; page < BLOCK_PAGES; page++) {
        uint64_t bits = keys->keys >> page * LAC_LANES & page_bits;
        if (!bits)
            continue;
        *seen |= bits << n * LAC_LANES;
        pages[n++] = a->pages[keys->block * BLOCK_PAGES + page];
    }
    return n;
}

/* The pages that are seen, one after another. */
struct page_walk {
    size_t entry;  /* of the list, the next */
    uint64_t keys; /* what is left of the one before */
};

/* NULL behind the last. */
static inline const char *walk_page(const struct lac_attention_row_args *a, struct page_walk *w)
{
    const uint64_t page_bits = (UINT64_C(1) << LAC_LANES) - 1;
    if (!w->keys && w->entry == a->n_seen)
        return NULL;
    if (!w->keys)
        w->keys = a->seen[w->entry++].keys;
    size_t page = (size_t)__builtin_ctzll(w->keys) / LAC_LANES;
    w->keys &= ~(page_bits << page * LAC_LANES);
    return a->pages[a->seen[w->entry - 1].block * BLOCK_PAGES + page];
}

/* The first pages are fetched now, but for those of the first block, which are read now. */
static inline struct page_walk begin_walk(const struct lac_attention_row_args *a, size_t page_bytes)
{
    struct page_walk w = {0, 0};
    const char *page;
    for (size_t i = 0; i < BLOCK_PAGES && (page = walk_page(a, &w)); i++)
        for (size_t at = 0; w.entry > 1 && at < page_bytes; at += 64)
            fetch_line(page + at);
    return w;
}

static inline void load_block(const struct lac_attention_row_args *a, size_t i,
                              struct page_walk *walk, struct row_block *b)
{
    const char *page;
    b->n_pages = find_pages(a, i, b->pages, &b->seen);
    b->n_keys = 64 - (size_t)__builtin_clzll(b->seen);
    for (b->n_next = 0; b->n_next < b->n_pages && (page = walk_page(a, walk));)
        b->next[b->n_next++] = page;
}

/* How many tiles that many queries make. */
static inline size_t row_tiles_of(size_t n_queries)
{
    return n_queries / 4 + n_queries % 4 / 2 + n_queries % 2;
}

/* Has it keys that are not seen, or slots behind its last key? */
static inline int block_hides(const struct row_block *b)
{
    return b->seen != ~UINT64_C(0) >> (LAC_KEY_BLOCK - b->n_pages * LAC_LANES);
}

/* Bits of those of VEC_LANES keys from `at` on that are seen. */
static inline uint64_t seen_lanes(const struct row_block *b, size_t at)
{
    return b->seen >> at & ((UINT64_C(1) << VEC_LANES) - 1);
}

/* Softmax so far of the queries of one group. */
struct row_softmax {
    float max[LAC_LANES], sum[LAC_LANES], correction[LAC_LANES]; /* only LAC_ROW_QUERIES count */
    float s[LAC_ROW_QUERIES][LAC_KEY_BLOCK];                     /* scores, then weights */
};

static inline void begin_sums(float *max, float *sum)
{
    for (size_t i = 0; i < LAC_LANES; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
}

static inline void begin_softmax(struct row_softmax *r)
{
    begin_sums(r->max, r->sum);
    /* What is behind a row's last page is never a key, but may pass through a vector. */
    memset(r->s, 0, sizeof r->s);
}

/* The ranges of a group of queries that are joined. */
struct row_joined {
    float max[LAC_LANES], sum[LAC_LANES];
    float o[LAC_ROW_QUERIES][LAC_MAX_HEAD_DIM];
};

static inline void begin_joined(struct row_joined *j, size_t n)
{
    begin_sums(j->max, j->sum);
    memset(j->o, 0, n * sizeof *j->o);
}

/* The range that comes next, of n queries; power: of e or of 2. */
ROW_INLINE void join_rows(struct row_joined *j, const float *max, const float *sum,
                          float (*o)[LAC_MAX_HEAD_DIM], size_t n, size_t head_dim,
                          vec (*power)(vec))
{
    float old[LAC_LANES], new[LAC_LANES];
    for (size_t i = 0; i < LAC_ROW_QUERIES; i += VEC_LANES) {
        vec before = vec_load(j->max + i), m = vec_load(max + i), most = vec_max(before, m);
        vec c = power(vec_sub(before, most)), d = power(vec_sub(m, most));
        vec_store(old + i, c);
        vec_store(new + i, d);
        vec_store(j->max + i, most);
        vec_store(j->sum + i, vec_fma(vec_load(j->sum + i), c, vec_mul(vec_load(sum + i), d)));
    }
    for (size_t i = 0; i < n; i++) {
        const vec c = vec_set1(old[i]), d = vec_set1(new[i]);
        for (size_t f = 0; f < head_dim; f += VEC_LANES)
            vec_store(j->o[i] + f,
                      vec_fma(vec_load(j->o[i] + f), c, vec_mul(vec_load(o[i] + f), d)));
    }
}

/* Behind all ranges, of n queries from `first` on; unit: log2 e for powers of 2, or 1. */
ROW_INLINE void join_lost_keys(struct row_joined *j, const struct lac_attention_row_args *a,
                               size_t first, size_t n, float unit, vec (*power)(vec))
{
    float max[LAC_LANES] = {0}, sum[LAC_LANES] = {0}, o[LAC_ROW_QUERIES][LAC_MAX_HEAD_DIM];
    for (size_t i = 0; i < n; i++) {
        const float *q = a->q + (first + i) * a->head_dim;
        float dot = 0;
        for (size_t d = 0; d < a->head_dim; d++)
            dot = fmaf(a->lost->k[d], q[d], dot);
        max[i] = (dot * a->scale + a->lost->log_n) * unit;
        sum[i] = 1;
        memset(o[i], 0, sizeof o[i]);
        memcpy(o[i], a->lost->v, a->head_dim * sizeof *o[i]);
    }
    join_rows(j, max, sum, o, n, a->head_dim, power);
}

/* A range's parts of n queries from `first` on; b is its first entry. */
static inline void store_parts(const struct lac_attention_row_args *a, size_t b,
                               const struct row_softmax *r, float (*o)[LAC_MAX_HEAD_DIM],
                               size_t first, size_t n)
{
    size_t behind = lac_round_up(a->head_dim, LAC_LANES);
    for (size_t i = 0; i < n; i++) {
        float *part = lac_attention_part_at(a, b, first + i);
        memcpy(part, o[i], a->head_dim * sizeof *part);
        part[behind] = r->max[i];
        part[behind + 1] = r->sum[i];
    }
}

static inline void load_parts(const struct lac_attention_row_args *a, size_t b,
                              struct row_softmax *r, float (*o)[LAC_MAX_HEAD_DIM], size_t first,
                              size_t n)
{
    size_t behind = lac_round_up(a->head_dim, LAC_LANES);
    for (size_t i = 0; i < n; i++) {
        const float *part = lac_attention_part_at(a, b, first + i);
        memcpy(o[i], part, a->head_dim * sizeof *part);
        r->max[i] = part[behind];
        r->sum[i] = part[behind + 1];
    }
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
    for (size_t at = 0; at < b->n_keys; at += LAC_LANES)
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
    size_t n_slots = b->n_pages * LAC_LANES;
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

/* For votes: the scores of a block, before they become weights. */
static inline void keep_scores(const struct lac_attention_row_args *a, size_t block,
                               const struct row_softmax *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(a->scores + i * a->scores_ld + block * LAC_KEY_BLOCK, r->s[i], sizeof r->s[i]);
}

/* The queries' votes, once all ranges are joined. */
ROW_INLINE void cast_votes(const struct lac_attention_row_args *a, const struct row_joined *r,
                           size_t n, vec (*power)(vec))
{
    const struct lac_seen_keys *last = &a->seen[a->n_seen - 1];
    size_t n_keys = (a->n_seen - 1) * LAC_KEY_BLOCK + 64 - (size_t)__builtin_clzll(last->keys);
    for (size_t i = 0; i < n; i++) {
        const float *s = a->scores + i * a->scores_ld;
        const vec top = vec_set1(r->max[i]), share = vec_set1(1.0f / r->sum[i]);
        for (size_t at = 0; at < n_keys; at += VEC_LANES) {
            vec p = vec_mul(power(vec_sub(vec_load(s + at), top)), share);
            vec sum =
                vec_add(vec_load_lanes(a->votes + at, lanes_below(n_keys, at), vec_set1(0)), p);
            vec_store_lanes(a->votes + at, lanes_below(n_keys, at), sum);
        }
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
