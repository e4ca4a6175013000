/* SPDX-License-Identifier: Apache-2.0 */
/* Dwords into the lanes of a NEON register, as the output-lane kernels need them. */
#ifndef LACUNA_SIMD_NEON_SPREAD_H
#define LACUNA_SIMD_NEON_SPREAD_H

#include "simd/arm/neon/lanes.h"

static inline veci dword_broadcast(const uint8_t *x)
{
    return vld1q_dup_s32((const int32_t *)(const void *)x);
}

/* What dwords[0] + offset points to in all lanes: blocks of 8 or 4 rows fill a register. */
static inline veci dword_spread(const uint8_t *const *dwords, size_t offset, const size_t rows)
{
    (void)rows;
    return dword_broadcast(dwords[0] + offset);
}

/* What simd/template/loose.h asks for. */
static inline veci dword_of_four(const uint8_t *x, const uint32_t *at)
{
    static const uint8_t first[16] = {0, 16, 32, 48, 4, 20, 36, 52, 8, 24, 40, 56, 12, 28, 44, 60};
    const uint8x16x4_t all = {{vld1q_u8(x + at[0]), vld1q_u8(x + at[1] / 4 * 4),
                               vld1q_u8(x + at[2] / 4 * 4), vld1q_u8(x + at[3] / 4 * 4)}};
    uint32_t moved = at[1] % 4 << 8 | at[2] % 4 << 16 | at[3] % 4 << 24;
    uint8x16_t from = vaddq_u8(vld1q_u8(first), vreinterpretq_u8_u32(vdupq_n_u32(moved)));
    return vreinterpretq_s32_u8(vqtbl4q_u8(all, from));
}

/* The same for four tokens side by side. */
static inline void dword_spread_quad(veci spread[4], const uint8_t *const *dwords, size_t offset,
                                     const size_t rows)
{
    for (size_t i = 0; i < 4; i++)
        spread[i] = dword_spread(dwords, offset + i * 4, rows);
}

/* Dword index[l] of x in lane l. */
static inline veci dword_gather(const uint8_t *x, size_t stride, const uint16_t *index)
{
    veci spread = dword_broadcast(x + index[0] * stride);
    spread = vld1q_lane_s32((const int32_t *)(const void *)(x + index[1] * stride), spread, 1);
    spread = vld1q_lane_s32((const int32_t *)(const void *)(x + index[2] * stride), spread, 2);
    return vld1q_lane_s32((const int32_t *)(const void *)(x + index[3] * stride), spread, 3);
}

/* As simd/template/linear_output_tiles.h says. */
static inline uint8x16_t bytes_transposed(uint8x16_t bytes)
{
    static const uint8_t from[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    return vqtbl1q_u8(bytes, vld1q_u8(from));
}

static inline void bytes_transpose(uint8_t *to, const uint8_t *from)
{
    vst1q_u8(to, bytes_transposed(vld1q_u8(from)));
}

static inline void bytes_spread_quad(veci spread[4], const uint8_t *x, size_t stride,
                                     const uint16_t *index)
{
    veci quads = dword_gather(x, stride, index);
    quads = vreinterpretq_s32_u8(bytes_transposed(vreinterpretq_u8_s32(quads)));
    spread[0] = vdupq_laneq_s32(quads, 0);
    spread[1] = vdupq_laneq_s32(quads, 1);
    spread[2] = vdupq_laneq_s32(quads, 2);
    spread[3] = vdupq_laneq_s32(quads, 3);
}

/* 4 dwords of a part of `rows` of them: 8 or 4. */
static inline veci dword_parts(const uint8_t *parts, size_t stride, const size_t rows, size_t n)
{
    (void)stride, (void)rows, (void)n;
    return veci_load(parts);
}

/* Adds up the lanes of `rows` outputs, 4 or 1. */
static inline void fold_ints(int32_t *sums, veci a, const size_t rows)
{
    if (rows == 1)
        *sums = vaddvq_s32(a);
    else
        veci_store(sums, a);
}

static inline void fold_floats(float *sums, vec a, const size_t rows)
{
    if (rows == 1)
        *sums = vaddvq_f32(a);
    else
        vec_store(sums, a);
}

/* What the bits of the mask keep, in their places; reads all 16 bytes. */
static inline veci expand_bytes(uint64_t mask, const uint8_t *values)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t zero = vdupq_n_u8(0);
    uint8x16_t both = vcombine_u8(vdup_n_u8((uint8_t)mask), vdup_n_u8((uint8_t)(mask >> 8)));
    uint8x16_t keep = vtstq_u8(both, vld1q_u8(bits));
    /* How many are kept up to and with each byte. */
    uint8x16_t n = vsubq_u8(zero, keep);
    n = vaddq_u8(n, vextq_u8(zero, n, 15));
    n = vaddq_u8(n, vextq_u8(zero, n, 14));
    n = vaddq_u8(n, vextq_u8(zero, n, 12));
    n = vaddq_u8(n, vextq_u8(zero, n, 8));
    uint8x16_t spread = vqtbl1q_u8(vld1q_u8(values), vsubq_u8(n, vdupq_n_u8(1)));
    return vreinterpretq_s32_u8(vandq_u8(spread, keep));
}

/* The same for words and for dwords. */
static inline veci expand_words(uint64_t mask, const uint8_t *values)
{
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x8_t zero = vdup_n_u8(0);
    uint8x8_t keep = vtst_u8(vdup_n_u8((uint8_t)mask), vld1_u8(bits));
    uint8x8_t n = vsub_u8(zero, keep);
    n = vadd_u8(n, vext_u8(zero, n, 7));
    n = vadd_u8(n, vext_u8(zero, n, 6));
    n = vadd_u8(n, vext_u8(zero, n, 4));
    /* The bytes of word i: 2 (n - 1) and the next one. */
    uint8x8_t low = vsub_u8(vadd_u8(n, n), vdup_n_u8(2)), high = vadd_u8(low, vdup_n_u8(1));
    uint8x16_t from = vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high));
    uint8x16_t kept = vcombine_u8(vzip1_u8(keep, keep), vzip2_u8(keep, keep));
    return vreinterpretq_s32_u8(vandq_u8(vqtbl1q_u8(vld1q_u8(values), from), kept));
}

static inline veci expand_dwords(uint64_t mask, const uint8_t *values)
{
/* The bytes of dword i: those of the next value, or beyond the register, which makes zeros. */
#define BIT(m, i)           ((m) >> (i)&1u)
#define PLACE(m, i, before) (BIT(m, i) ? 0x03020100u + 0x04040404u * (before) : 0xffffffffu)
#define PLACES(m)                                                                                  \
    {                                                                                              \
        PLACE(m, 0, 0), PLACE(m, 1, BIT(m, 0)), PLACE(m, 2, BIT(m, 0) + BIT(m, 1)),                \
            PLACE(m, 3, BIT(m, 0) + BIT(m, 1) + BIT(m, 2))                                         \
    }
    static const uint32_t places[16][4] = {
        PLACES(0u),  PLACES(1u),  PLACES(2u),  PLACES(3u),  PLACES(4u),  PLACES(5u),
        PLACES(6u),  PLACES(7u),  PLACES(8u),  PLACES(9u),  PLACES(10u), PLACES(11u),
        PLACES(12u), PLACES(13u), PLACES(14u), PLACES(15u),
    };
#undef PLACES
#undef PLACE
#undef BIT
    uint8x16_t from = vreinterpretq_u8_u32(vld1q_u32(places[mask & 15]));
    return vreinterpretq_s32_u8(vqtbl1q_u8(vld1q_u8(values), from));
}

/* Lane l of columns[i] to to[l * ld + i], for n columns: 1 to 4. */
static inline void vec_store_columns(float *to, size_t ld, const vec *columns, const size_t n)
{
    if (n == 1) {
        vst1q_lane_f32(to, columns[0], 0);
        vst1q_lane_f32(to + ld, columns[0], 1);
        vst1q_lane_f32(to + 2 * ld, columns[0], 2);
        vst1q_lane_f32(to + 3 * ld, columns[0], 3);
        return;
    }
    vec rows[4] = {columns[0], columns[1], vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t i = 2; i < n; i++)
        rows[i] = columns[i];
    vec_transpose_quads(rows);
    for (size_t i = 0; i < 4; i++, to += ld)
        if (n == 4) {
            vst1q_f32(to, rows[i]);
        } else {
            vst1_f32(to, vget_low_f32(rows[i]));
            if (n == 3)
                vst1q_lane_f32(to + 2, rows[i], 2);
        }
}

#endif
