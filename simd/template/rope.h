/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions over panels and rows, for every vector instruction set: include after a
 * vector.h. */
#ifndef LACUNA_SIMD_TEMPLATE_ROPE_H
#define LACUNA_SIMD_TEMPLATE_ROPE_H

#include "simd/kernel.h"
#include "simd/template/row.h"

/* The two halves of a vector of pairs, turned. */
struct turned {
    vec low, high;
};

static inline struct turned turn(vec low, vec high, vec cosine, vec sine)
{
    return (struct turned){vec_fnma(high, sine, vec_mul(low, cosine)),
                           vec_fma(low, sine, vec_mul(high, cosine))};
}

static inline void rope_row(const struct lac_rope_args *a)
{
    const vec zero = vec_set1(0);
    size_t half = a->n_rotated / 2;
    for (float *x = a->x; x < a->x + a->n_heads * a->head_dim; x += a->head_dim)
        for (size_t f = 0; f < half; f += VEC_LANES) {
            uint64_t lanes = lanes_below(half, f);
            struct turned y = turn(
                vec_load_lanes(x + f, lanes, zero), vec_load_lanes(x + half + f, lanes, zero),
                vec_load_lanes(a->cos + f, lanes, zero), vec_load_lanes(a->sin + f, lanes, zero));
            vec_store_lanes(x + f, lanes, y.low);
            vec_store_lanes(x + half + f, lanes, y.high);
        }
}

static void rope(const struct lac_rope_args *a)
{
    if (a->ld == 1) {
        rope_row(a);
        return;
    }
    size_t half = a->n_rotated / 2 * a->ld;
    for (size_t head = 0; head < a->n_heads; head++) {
        float *x = a->x + head * a->head_dim * a->ld;
        for (size_t at = 0; at < half; at += a->ld)
            for (size_t lane = at; lane < at + a->n_lanes; lane += VEC_LANES) {
                struct turned y = turn(vec_load(x + lane), vec_load(x + half + lane),
                                       vec_load(a->cos + lane), vec_load(a->sin + lane));
                vec_store(x + lane, y.low);
                vec_store(x + half + lane, y.high);
            }
    }
}

#endif
