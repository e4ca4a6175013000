/* SPDX-License-Identifier: Apache-2.0 */
/* Attention for one token in integers, for every vector instruction set: include after what
 * simd/template/attention_s8.h wants and the definitions of
 *
 *   struct row_query, broadcast_query(from)      4 features of a query, s8, in all lanes
 *   struct row_keys, load_keys(from)             a dword of a vector of keys
 *   row_dot(acc, keys, query)                    acc + their product, keys as they are (+ 128)
 *   ROW_WEIGHT_BYTES                             bytes of a key's weight as they are stored
 *   store_row_weights(to, key, w)                weights of a vector of keys from `key` on, in the
 *                                                low 14 bits of w
 *   struct row_weights, broadcast_weights(from, key)   those of 4 keys, in all lanes
 *   struct row_values, load_values(from)         4 keys of a vector of features
 *   struct row_sum, begin_row_sum(), row_value_dot(sum, weights, values), end_row_sum(sum)
 *   KEEP_ROW_SUM(row_sum)                        KEEP_IN_REGISTER of all of it
 *   ROW_SUMS                                     how many of those sums fit into registers: 8 or 4
 *   ROW_SCORES                                   how many sums of scores do: 16, 8 or 4
 *
 * What is computed: simd/attention.h. */
#ifndef LACUNA_SIMD_TEMPLATE_ATTENTION_ROW_S8_H
#define LACUNA_SIMD_TEMPLATE_ATTENTION_ROW_S8_H

#include "simd/template/quantize.h"
#include "simd/template/row_block.h"

struct integer_row_state {
    struct row_softmax softmax;
    int8_t q[LAC_ROW_QUERIES][LAC_MAX_HEAD_DIM];
    uint8_t w[LAC_ROW_QUERIES][LAC_KEY_BLOCK * ROW_WEIGHT_BYTES];
    float o[LAC_ROW_QUERIES][LAC_MAX_HEAD_DIM];
    veci q_offset[LAC_ROW_QUERIES];
    float q_factor[LAC_ROW_QUERIES];
    float step;      /* of the block's weighted sums */
    size_t n_dwords; /* of a key */
};

static void quantize_queries(const struct lac_attention_row_args *a, const float *q, size_t n,
                             struct integer_row_state *state)
{
    static const struct lane_bytes {
        uint8_t bytes[LAC_LANES * 4];
    } offset = {{[0 ... LAC_LANES * 4 - 1] = 128}};
    const float scale = a->scale * 0x1.715476p0f; /* log2 e */
    for (size_t i = 0; i < n; i++, q += a->head_dim) {
        uint8_t bytes[LAC_MAX_HEAD_DIM];
        float q_scale;
        quantize_row(q, a->head_dim, measure_row(q, a->head_dim), bytes, &q_scale);
        state->q_factor[i] = q_scale * scale;
        veci sum = veci_set1(0);
        for (size_t d = 0; d < state->n_dwords * 4; d++)
            state->q[i][d] = (int8_t)(bytes[d] ^ 128);
        for (size_t d = 0; d < state->n_dwords * 4; d += 4)
            sum = row_dot(sum, load_keys(offset.bytes), broadcast_query(state->q[i] + d));
        state->q_offset[i] = veci_sub(veci_set1(0), sum);
    }
}

/* Scores of n queries and the keys of n_pages pages. */
ROW_INLINE void score_integer_pages(struct integer_row_state *state, const struct row_block *b,
                                    size_t page, size_t first, const size_t n, const size_t n_pages)
{
    const size_t n_dwords = state->n_dwords;
    veci sum[ROW_SCORES];
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 16
        for (size_t v = 0; v < n_pages * ROW_VECS; v++)
            sum[i * n_pages * ROW_VECS + v] = state->q_offset[first + i];
    const uint8_t *keys[4];
    const char *ahead[4];
#pragma GCC unroll 4
    for (size_t k = 0; k < n_pages; k++) {
        keys[k] = ((const struct lac_kv_page *)b->pages[page + k])->rows;
        ahead[k] = page_ahead(b, page + k);
        fetch_line(ahead[k]);
        fetch_line(ahead[k] + 64);
        ahead[k] += sizeof(struct lac_kv_page);
    }
    for (size_t d = 0, at = 0; d < n_dwords; d++, at += LAC_LANES * 4) {
        struct row_query x[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < n; i++)
            x[i] = broadcast_query(state->q[first + i] + d * 4);
#pragma GCC unroll 4
        for (size_t k = 0; k < n_pages; k++) {
            fetch_line(ahead[k] + at);
#pragma GCC unroll 4
            for (size_t v = 0; v < ROW_VECS; v++) {
                struct row_keys y = load_keys(keys[k] + at + v * VEC_LANES * 4);
#pragma GCC unroll 4
                for (size_t i = 0; i < n; i++) {
                    veci *to = &sum[(i * n_pages + k) * ROW_VECS + v];
                    *to = row_dot(*to, y, x[i]);
                }
            }
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < n * n_pages * ROW_VECS; i++)
        KEEP_IN_REGISTER(sum[i]);
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 4
        for (size_t k = 0; k < n_pages; k++)
#pragma GCC unroll 4
            for (size_t v = 0; v < ROW_VECS; v++) {
                const struct lac_kv_page *from = b->pages[page + k];
                vec scale = vec_mul(vec_load(from->k_scale + v * VEC_LANES),
                                    vec_set1(state->q_factor[first + i]));
                veci dot = sum[(i * n_pages + k) * ROW_VECS + v];
                vec_store(state->softmax.s[first + i] + (page + k) * LAC_LANES + v * VEC_LANES,
                          vec_mul(vec_from_int(dot), scale));
            }
}

/* As many pages at a time as there are sums. */
ROW_INLINE void score_integer_rows(struct integer_row_state *state, const struct row_block *b,
                                   size_t first, const size_t n)
{
    const size_t most = ROW_SCORES / (n * ROW_VECS), at_once = most < 4 ? most : 4;
    size_t page = 0;
    for (; page + at_once <= block_pages(b); page += at_once)
        score_integer_pages(state, b, page, first, n, at_once);
    for (; page < block_pages(b); page++)
        score_integer_pages(state, b, page, first, n, 1);
}

static const float *row_value_scales(const struct row_block *b, size_t at)
{
    const struct lac_kv_page *page = b->pages[at / LAC_LANES];
    return page->v_scale + at % LAC_LANES;
}

/* Weights to integers: 2^23 puts them into the low bits. */
static void store_rows(struct integer_row_state *state, const struct row_block *b, size_t n)
{
    const vec shift = vec_set1(0x1p23f), zero = vec_set1(0);
    size_t n_slots = b->n_pages * LAC_LANES;
    vec most[ROW_VECS];
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = vec_set1(0x1p-100f);
    for (size_t at = 0; at < n_slots; at += VEC_LANES)
        most[0] =
            vec_max(most[0], vec_load_lanes(row_value_scales(b, at), seen_lanes(b, at), zero));
    float v_max = max_lanes(most);
    const vec factor = vec_set1(16383.0f / v_max);
    state->step = v_max / 16383.0f;
    for (size_t at = 0; at < n_slots; at += VEC_LANES) {
        vec scale = vec_load_lanes(row_value_scales(b, at), seen_lanes(b, at), zero);
        vec share = vec_mul(scale, factor);
        for (size_t i = 0; i < n; i++) {
            vec p = vec_load(state->softmax.s[i] + at);
            store_row_weights(state->w[i], at, vec_fma(p, share, shift));
        }
    }
}

/* Values of up to VEC_LANES features; what is behind a row of values is not touched. */
static inline struct row_values load_some_values(const int8_t *from, size_t n)
{
    int8_t bytes[VEC_LANES * 4] = {0};
    if (n >= VEC_LANES)
        return load_values(from);
    memcpy(bytes, from, n * 4);
    return load_values(bytes);
}

/* o = c o + step (w . v) for n queries and n_vecs vectors of features from f on, of the last of
 * which there may be only n_last. */
ROW_INLINE void add_integer_values(const struct row_block *b, size_t f,
                                   struct integer_row_state *state, size_t first, const size_t n,
                                   const size_t n_vecs, size_t n_last)
{
    struct row_sum sum[ROW_SUMS];
    const size_t group_bytes = state->n_dwords * 16;
#pragma GCC unroll 8
    for (size_t i = 0; i < n * n_vecs; i++)
        sum[i] = begin_row_sum();
    for (size_t page = 0, key = 0; key < b->n_keys; page++) {
        const char *from = b->pages[page], *ahead = page_ahead(b, page);
        size_t end = lac_min_size(key + LAC_LANES, b->n_keys);
        size_t at = sizeof(struct lac_kv_page) + group_bytes * 4 + f * 4;
        for (; key < end; key += 4, at += group_bytes) {
            const int8_t *v = (const int8_t *)from + at;
            struct row_values x[ROW_SUMS];
            for (size_t j = 0; j < n_vecs * VEC_LANES; j += LAC_LANES)
                fetch_line(ahead + at + j * 4);
#pragma GCC unroll 8
            for (size_t j = 0; j < n_vecs; j++)
                x[j] = n_last < VEC_LANES ? load_some_values(v, n_last)
                                          : load_values(v + j * VEC_LANES * 4);
#pragma GCC unroll 4
            for (size_t i = 0; i < n; i++) {
                struct row_weights w = broadcast_weights(state->w[first + i], key);
#pragma GCC unroll 8
                for (size_t j = 0; j < n_vecs; j++)
                    sum[i * n_vecs + j] = row_value_dot(sum[i * n_vecs + j], w, x[j]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < n * n_vecs; i++)
        KEEP_ROW_SUM(sum[i]);
    const vec step = vec_set1(state->step);
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < n_vecs; j++) {
            float *o = state->o[first + i] + f + j * VEC_LANES;
            vec old = vec_mul(vec_set1(state->softmax.correction[first + i]), vec_load(o));
            vec_store(o, vec_fma(vec_from_int(end_row_sum(sum[i * n_vecs + j])), step, old));
        }
}

ROW_INLINE void add_integer_rows(const struct row_block *b, struct integer_row_state *state,
                                 size_t first, const size_t n)
{
    const size_t n_features = state->n_dwords * 4, at_once = ROW_SUMS / n;
    size_t f = 0;
    for (; f + at_once * VEC_LANES <= n_features; f += at_once * VEC_LANES)
        add_integer_values(b, f, state, first, n, at_once, VEC_LANES);
    for (; f + VEC_LANES <= n_features; f += VEC_LANES)
        add_integer_values(b, f, state, first, n, 1, VEC_LANES);
    if (f < n_features)
        add_integer_values(b, f, state, first, n, 1, n_features - f);
}

#define DEFINE_INTEGER_ROWS(n)                                                                     \
    ROW_ALONE void score_rows_##n(struct integer_row_state *state, const struct row_block *b,      \
                                  size_t first)                                                    \
    {                                                                                              \
        score_integer_rows(state, b, first, n);                                                    \
    }                                                                                              \
    ROW_ALONE void add_rows_##n(const struct row_block *b, struct integer_row_state *state,        \
                                size_t first)                                                      \
    {                                                                                              \
        add_integer_rows(b, state, first, n);                                                      \
    }

DEFINE_INTEGER_ROWS(1)
DEFINE_INTEGER_ROWS(2)
DEFINE_INTEGER_ROWS(4)

/* By number of queries: 1, 2 or 4. */
static const struct {
    void (*score)(struct integer_row_state *state, const struct row_block *b, size_t first);
    void (*add)(const struct row_block *b, struct integer_row_state *state, size_t first);
} integer_rows[] = {
    [1] = {score_rows_1, add_rows_1},
    [2] = {score_rows_2, add_rows_2},
    [4] = {score_rows_4, add_rows_4},
};

static void attend_block(const struct lac_attention_row_args *a, size_t block,
                         struct page_walk *walk, size_t n, struct integer_row_state *state)
{
    struct row_block b;
    load_block(a, block, walk, &b);
    b.n_tiles = row_tiles_of(n);
    b.tile = 0;
    for (size_t i = 0, m; i < n; i += m, b.tile++)
        integer_rows[m = row_tile(n - i)].score(state, &b, i);
    if (a->votes)
        keep_scores(a, block, &state->softmax, n);
    if (block_hides(&b))
        weigh_rows(&state->softmax, &b, n, vec_exp2_weight, 1);
    else
        weigh_rows(&state->softmax, &b, n, vec_exp2_weight, 0);
    store_rows(state, &b, n);
    b.tile = 0;
    for (size_t i = 0, m; i < n; i += m, b.tile++)
        integer_rows[m = row_tile(n - i)].add(&b, state, i);
}

/* n <= LAC_ROW_QUERIES queries from `first` on. */
static void attend_rows(const struct lac_attention_row_args *a, size_t first, size_t n)
{
    struct integer_row_state state;
    struct row_joined joined;
    state.n_dwords = lac_ceil_div(a->head_dim, 4);
    begin_softmax(&state.softmax);
    begin_joined(&joined, n);
    struct page_walk walk = {0, 0};
    if (!(a->parts && a->y)) {
        walk = begin_walk(a, lac_kv_page_bytes(LAC_S8, a->head_dim));
        quantize_queries(a, a->q + first * a->head_dim, n, &state);
    }
    for (size_t block = 0, end; block < a->n_seen; block = end) {
        end = lac_seen_range_end(a->seen, a->n_seen, block);
        begin_sums(state.softmax.max, state.softmax.sum);
        memset(state.o, 0, n * sizeof *state.o);
        for (size_t i = block; i < end && !(a->parts && a->y); i++)
            attend_block(a, i, &walk, n, &state);
        if (!a->y) {
            store_parts(a, block, &state.softmax, state.o, first, n);
            continue;
        }
        if (a->parts)
            load_parts(a, block, &state.softmax, state.o, first, n);
        join_rows(&joined, state.softmax.max, state.softmax.sum, state.o, n, a->head_dim,
                  vec_exp2_weight);
    }
    if (a->votes)
        cast_votes(a, &joined, n, vec_exp2_weight);
    if (a->lost && a->y)
        join_lost_keys(&joined, a, first, n, 0x1.715476p0f /* log2 e */, vec_exp2_weight);
    for (size_t i = 0; a->y && i < n; i++)
        finish_row(joined.o[i], joined.sum[i], a->head_dim, a->y + (first + i) * a->head_dim);
}

static void attention_row_s8(const struct lac_attention_row_args *a)
{
    for (size_t i = 0, n; i < a->n_queries; i += n) {
        n = lac_min_size(a->n_queries - i, LAC_ROW_QUERIES);
        attend_rows(a, i, n);
    }
}

#endif
