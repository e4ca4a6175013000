/* SPDX-License-Identifier: Apache-2.0 */
/* Around products of other libraries, in AVX-512. */
#include "simd/outside.h"

#include "simd/x86/avx512/lanes.h"

#include "simd/template/int_sums.h"

#define TILE_VECS   3
#define X_IS_SIGNED 0

#include "simd/template/scale_s8.h"

#include "simd/template/linear_finish.h"

void lac_outside_center_avx512(const uint8_t *x, size_t n_dwords, size_t ld, int8_t *y,
                               int32_t *lane_offset)
{
    const veci flip = veci_set1((int32_t)0x80808080u);
    for (size_t lane = 0; lane < ld; lane += VEC_LANES) {
        veci sum = veci_set1(0);
        for (size_t d = 0; d < n_dwords; d++) {
            size_t at = (d * ld + lane) * 4;
            veci centered = _mm512_xor_si512(veci_load(x + at), flip);
            veci_store(y + at, centered);
            /* Pairs of bytes reach 2 * 128, so 16 bits hold them. */
            veci pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), centered);
            sum = veci_add(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
        }
        veci_store(lane_offset + lane, _mm512_mullo_epi32(sum, veci_set1(-128)));
    }
}

/* Up to 4 outputs of which sums are the first's, by one vector of tokens. */
static void finish_four(const struct lac_linear_args *a, size_t out, size_t lane, vec *values)
{
    if (out + 4 <= a->w->n_out)
        finish_rows(a, out, lane, values, 4, 1);
    else
        finish_last(a, out, lane, values, 1);
}

void lac_outside_finish_s8_avx512(const struct lac_linear_args *a, const int32_t *sums,
                                  const int32_t *lane_offset)
{
    for (size_t out = a->out_begin; out < a->out_end; out += 4, sums += 4 * a->ld)
        for (size_t lane = 0; lane < a->ld; lane += VEC_LANES) {
            const struct lac_weight *w = a->w;
            vec values[4], x_scale = load_x_scale(a, lane);
            UNROLL
            for (size_t r = 0; r < 4; r++) {
                bool exists = out + r < a->w->n_out;
                size_t row = exists ? out + r : w->n_out - 1;
                /* The token's offset in the place of the row's. */
                veci begin = veci_add(veci_load(lane_offset + lane),
                                      veci_set1(w->start[row] - w->offset[row]));
                veci sum = exists ? veci_load(sums + r * a->ld + lane) : veci_set1(0);
                values[r] = acc_finish(w, row, acc_to_float(w, acc_add(begin, sum)), x_scale);
            }
            if (has_outliers(w, out))
                add_outliers(a, out, lane, values, &x_scale, 1);
            finish_four(a, out, lane, values);
        }
}

void lac_outside_finish_f32_avx512(const struct lac_linear_args *a, const float *sums)
{
    for (size_t out = a->out_begin; out < a->out_end; out += 4, sums += 4 * a->ld)
        for (size_t lane = 0; lane < a->ld; lane += VEC_LANES) {
            vec values[4];
            UNROLL
            for (size_t r = 0; r < 4; r++)
                values[r] = out + r < a->w->n_out ? vec_add(vec_load(sums + r * a->ld + lane),
                                                            vec_set1(a->w->bias[out + r]))
                                                  : vec_set1(0);
            finish_four(a, out, lane, values);
        }
}
