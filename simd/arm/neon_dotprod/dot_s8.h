/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products for linear layers on NEON with dot products (see dot.h). */
#ifndef LACUNA_SIMD_NEON_DOTPROD_DOT_S8_H
#define LACUNA_SIMD_NEON_DOTPROD_DOT_S8_H

#include "simd/arm/neon/spread.h"
#include "simd/arm/neon/tile.h"
#include "simd/arm/neon_dotprod/dot.h"
#include "simd/template/int_sums.h"

#define X_IS_SIGNED 1

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_of(veci u8)
{
    return (struct x_reg){dot_x(u8)};
}

static inline struct w_reg w_of(veci s8)
{
    return (struct w_reg){vreinterpretq_s8_s32(s8)};
}

static inline struct w_reg w_load(const uint8_t *w, const size_t n)
{
    return (struct w_reg){vreinterpretq_s8_f32(vec_weights(w, n))};
}

static inline veci dot(veci acc, struct x_reg x, struct w_reg w)
{
    return dot_lanes(acc, x.bytes, w.bytes);
}

/* By element: one of four weights. */
static inline veci dot_weight(veci acc, struct x_reg x, struct w_reg w, const size_t i)
{
    switch (i) {
    case 0:
        return vdotq_laneq_s32(acc, x.bytes, w.bytes, 0);
    case 1:
        return vdotq_laneq_s32(acc, x.bytes, w.bytes, 1);
    case 2:
        return vdotq_laneq_s32(acc, x.bytes, w.bytes, 2);
    default:
        return vdotq_laneq_s32(acc, x.bytes, w.bytes, 3);
    }
}

/* sdot takes 3 or 4 cycles and two or four start in each. */
#define TOKEN_SETS(rows, vecs) ((rows) == 1 ? 4 : 1)
#define IN_FLIGHT              8
#define MOST_ACCS              24

#endif
