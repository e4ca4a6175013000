/* SPDX-License-Identifier: Apache-2.0 */
/* Attention for one token on pages of fp32 and bf16, for every vector instruction set: include
 * after a math.h.  What is computed: simd/attention.h. */
#ifndef LACUNA_SIMD_TEMPLATE_ATTENTION_ROW_H
#define LACUNA_SIMD_TEMPLATE_ATTENTION_ROW_H

#include "simd/template/row_block.h"

struct row_state {
    struct row_softmax softmax;
    float o[LAC_ROW_QUERIES][LAC_MAX_HEAD_DIM];
};

ROW_INLINE vec load_elements(const void *from, size_t at, const int is_bf16)
{
    return is_bf16 ? vec_load_bf16((const uint16_t *)from + at)
                   : vec_load((const float *)from + at);
}

/* n < VEC_LANES of them; the others are 0. */
static inline vec load_some_elements(const void *from, size_t at, size_t n, const int is_bf16)
{
    uint16_t halves[VEC_LANES] = {0};
    if (!is_bf16)
        return vec_load_lanes((const float *)from + at, lanes_below(n, 0), vec_set1(0));
    memcpy(halves, (const uint16_t *)from + at, n * sizeof *halves);
    return vec_load_bf16(halves);
}

/* Scores of n queries and the keys of n_pages pages. */
ROW_INLINE void score_pages(const struct lac_attention_row_args *a, const struct row_block *b,
                            size_t page, struct row_softmax *r, const float *q, size_t first,
                            const size_t n, const size_t n_pages, const int is_bf16)
{
    const size_t head_dim = a->head_dim, row_bytes = LAC_LANES * (is_bf16 ? 2 : 4);
    vec sum[ROW_SUMS];
    q += first * head_dim;
#pragma GCC unroll 16
    for (size_t i = 0; i < n * n_pages * ROW_VECS; i++)
        sum[i] = vec_set1(0);
    const void *keys[4];
    const char *ahead[4];
#pragma GCC unroll 4
    for (size_t k = 0; k < n_pages; k++) {
        keys[k] = b->pages[page + k];
        ahead[k] = page_ahead(b, page + k);
    }
    for (size_t d = 0; d < head_dim; d++) {
        vec x[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < n; i++)
            x[i] = vec_set1(q[i * head_dim + d]);
#pragma GCC unroll 4
        for (size_t k = 0; k < n_pages; k++) {
            fetch_line(ahead[k] + d * row_bytes);
#pragma GCC unroll 4
            for (size_t v = 0; v < ROW_VECS; v++) {
                vec key = load_elements(keys[k], d * LAC_LANES + v * VEC_LANES, is_bf16);
#pragma GCC unroll 4
                for (size_t i = 0; i < n; i++) {
                    vec *to = &sum[(i * n_pages + k) * ROW_VECS + v];
                    *to = vec_fma(key, x[i], *to);
                }
            }
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < n * n_pages * ROW_VECS; i++)
        KEEP_IN_REGISTER(sum[i]);
    const vec scale = vec_set1(a->scale);
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 16
        for (size_t v = 0; v < n_pages * ROW_VECS; v++)
            vec_store(r->s[first + i] + page * LAC_LANES + v * VEC_LANES,
                      vec_mul(sum[i * n_pages * ROW_VECS + v], scale));
}

/* As many pages at a time as there are sums. */
ROW_INLINE void score_rows(const struct lac_attention_row_args *a, const struct row_block *b,
                           struct row_softmax *r, const float *q, size_t first, const size_t n,
                           const int is_bf16)
{
    const size_t most = ROW_SUMS / (n * ROW_VECS), at_once = most < 4 ? most : 4;
    size_t page = 0;
    for (; page + at_once <= block_pages(b); page += at_once)
        score_pages(a, b, page, r, q, first, n, at_once, is_bf16);
    for (; page < block_pages(b); page++)
        score_pages(a, b, page, r, q, first, n, 1, is_bf16);
}

/* o = c o + sum p v for n queries and n_vecs vectors of features from f on, of the last of which
 * there may be only n_last. */
ROW_INLINE void add_row_values(const struct row_block *b, size_t head_dim, size_t f,
                               struct row_state *state, size_t first, const size_t n,
                               const size_t n_vecs, size_t n_last, const int is_bf16)
{
    const struct row_softmax *r = &state->softmax;
    const size_t element = is_bf16 ? 2 : 4;
    vec sum[ROW_SUMS];
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t v = 0; v < n_vecs; v++)
            sum[i * n_vecs + v] = vec_mul(vec_set1(r->correction[first + i]),
                                          vec_load(state->o[first + i] + f + v * VEC_LANES));
    for (size_t page = 0, key = 0; key < b->n_keys; page++) {
        const char *from = b->pages[page], *ahead = page_ahead(b, page);
        size_t end = lac_min_size(key + LAC_LANES, b->n_keys);
        size_t at = LAC_LANES * head_dim + f;
        for (; key < end; key++, at += head_dim) {
            vec x[8];
            for (size_t v = 0; v < n_vecs * VEC_LANES; v += 64 / element)
                fetch_line(ahead + (at + v) * element);
#pragma GCC unroll 8
            for (size_t v = 0; v < n_vecs; v++)
                x[v] = n_last < VEC_LANES ? load_some_elements(from, at, n_last, is_bf16)
                                          : load_elements(from, at + v * VEC_LANES, is_bf16);
#pragma GCC unroll 4
            for (size_t i = 0; i < n; i++) {
                vec p = vec_set1(r->s[first + i][key]);
#pragma GCC unroll 8
                for (size_t v = 0; v < n_vecs; v++)
                    sum[i * n_vecs + v] = vec_fma(x[v], p, sum[i * n_vecs + v]);
            }
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < n * n_vecs; i++)
        KEEP_IN_REGISTER(sum[i]);
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t v = 0; v < n_vecs; v++)
            vec_store(state->o[first + i] + f + v * VEC_LANES, sum[i * n_vecs + v]);
}

/* n queries from `first` on, all features. */
ROW_INLINE void add_rows(const struct row_block *b, size_t head_dim, struct row_state *state,
                         size_t first, const size_t n, const int is_bf16)
{
    const size_t at_once = ROW_SUMS / n < 8 ? ROW_SUMS / n : 8;
    size_t f = 0;
    for (; f + at_once * VEC_LANES <= head_dim; f += at_once * VEC_LANES)
        add_row_values(b, head_dim, f, state, first, n, at_once, VEC_LANES, is_bf16);
    for (; f + VEC_LANES <= head_dim; f += VEC_LANES)
        add_row_values(b, head_dim, f, state, first, n, 1, VEC_LANES, is_bf16);
    if (f < head_dim)
        add_row_values(b, head_dim, f, state, first, n, 1, head_dim - f, is_bf16);
}

/* Functions of their own for each number of queries, 1, 2 or 4, for registers' sake. */
struct row_tiles {
    void (*score)(const struct lac_attention_row_args *a, const struct row_block *b,
                  struct row_softmax *r, const float *q, size_t first);
    void (*add)(const struct row_block *b, size_t head_dim, struct row_state *state, size_t first);
};

#define DEFINE_ROW_TILE(n, is_bf16, dtype)                                                         \
    ROW_ALONE void score_##n##_##dtype(const struct lac_attention_row_args *a,                     \
                                       const struct row_block *b, struct row_softmax *r,           \
                                       const float *q, size_t first)                               \
    {                                                                                              \
        score_rows(a, b, r, q, first, n, is_bf16);                                                 \
    }                                                                                              \
    ROW_ALONE void add_##n##_##dtype(const struct row_block *b, size_t head_dim,                   \
                                     struct row_state *state, size_t first)                        \
    {                                                                                              \
        add_rows(b, head_dim, state, first, n, is_bf16);                                           \
    }

#define DEFINE_ROW_TILES(is_bf16, dtype)                                                           \
    DEFINE_ROW_TILE(1, is_bf16, dtype)                                                             \
    DEFINE_ROW_TILE(2, is_bf16, dtype)                                                             \
    DEFINE_ROW_TILE(4, is_bf16, dtype)                                                             \
    static const struct row_tiles row_tiles_##dtype[] = {                                          \
        [1] = {score_1_##dtype, add_1_##dtype},                                                    \
        [2] = {score_2_##dtype, add_2_##dtype},                                                    \
        [4] = {score_4_##dtype, add_4_##dtype},                                                    \
    };

DEFINE_ROW_TILES(0, f32)
DEFINE_ROW_TILES(1, bf16)

static void attend_block(const struct lac_attention_row_args *a, const struct row_tiles *tiles,
                         size_t block, struct page_walk *walk, const float *q, size_t n,
                         struct row_state *state)
{
    struct row_block b;
    load_block(a, block, walk, &b);
    b.n_tiles = row_tiles_of(n);
    b.tile = 0;
    for (size_t i = 0, m; i < n; i += m, b.tile++)
        tiles[m = row_tile(n - i)].score(a, &b, &state->softmax, q, i);
    if (a->votes)
        keep_scores(a, block, &state->softmax, n);
    if (block_hides(&b))
        weigh_rows(&state->softmax, &b, n, vec_exp_weight, 1);
    else
        weigh_rows(&state->softmax, &b, n, vec_exp_weight, 0);
    b.tile = 0;
    for (size_t i = 0, m; i < n; i += m, b.tile++)
        tiles[m = row_tile(n - i)].add(&b, a->head_dim, state, i);
}

/* n <= LAC_ROW_QUERIES queries from `first` on. */
static void attend_rows(const struct lac_attention_row_args *a, const struct row_tiles *tiles,
                        size_t page_bytes, size_t first, size_t n)
{
    struct row_state state;
    struct row_joined joined;
    struct page_walk walk = {0, 0};
    if (!(a->parts && a->y))
        walk = begin_walk(a, page_bytes);
    begin_softmax(&state.softmax);
    begin_joined(&joined, n);
    for (size_t block = 0, end; block < a->n_seen; block = end) {
        end = lac_seen_range_end(a->seen, a->n_seen, block);
        begin_sums(state.softmax.max, state.softmax.sum);
        memset(state.o, 0, n * sizeof *state.o);
        for (size_t i = block; i < end && !(a->parts && a->y); i++)
            attend_block(a, tiles, i, &walk, a->q + first * a->head_dim, n, &state);
        if (!a->y) {
            store_parts(a, block, &state.softmax, state.o, first, n);
            continue;
        }
        if (a->parts)
            load_parts(a, block, &state.softmax, state.o, first, n);
        join_rows(&joined, state.softmax.max, state.softmax.sum, state.o, n, a->head_dim, vec_exp_weight);
    }
    if (a->votes)
        cast_votes(a, &joined, n, vec_exp_weight);
    if (a->lost && a->y)
        join_lost_keys(&joined, a, first, n, 1, vec_exp_weight);
    for (size_t i = 0; a->y && i < n; i++)
        finish_row(joined.o[i], joined.sum[i], a->head_dim, a->y + (first + i) * a->head_dim);
}

static inline void attention_row(const struct lac_attention_row_args *a,
                                 const struct row_tiles *tiles, enum lac_dtype dtype)
{
    for (size_t i = 0, n; i < a->n_queries; i += n) {
        n = lac_min_size(a->n_queries - i, LAC_ROW_QUERIES);
        attend_rows(a, tiles, lac_kv_page_bytes(dtype, a->head_dim), i, n);
    }
}

static void attention_row_f32(const struct lac_attention_row_args *a)
{
    attention_row(a, row_tiles_f32, LAC_F32);
}

static void attention_row_bf16(const struct lac_attention_row_args *a)
{
    attention_row(a, row_tiles_bf16, LAC_BF16);
}

#endif
