/* SPDX-License-Identifier: Apache-2.0 */
/* The epilogue of token-lane linear layers: from sums of 4 outputs to what leaves the kernel.
 *
 * Needs what simd/template/linear_token.h lists: the vector vocabulary, TILE_VECS, ACC,
 * load_x_scale, acc_to_float and acc_finish. */
#include <stdbool.h>

#include "simd/kernel.h"
#include "simd/template/activate.h"
#include "src/base/checked.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 24")

/* One dword row of the next panel from n_rows <= 4 outputs; the rest of the dword is padding. */
ALWAYS_INLINE void store_u8(const struct lac_linear_args *a, size_t out, size_t lane,
                            const vec *values, const size_t n_rows, const size_t vecs)
{
    UNROLL
    for (size_t v = 0; v < vecs; v++) {
        vec inv_scale = vec_load(a->y_inv_scale + lane + v * VEC_LANES);
        vec rows[4];
        UNROLL
        for (size_t r = 0; r < 4; r++)
            rows[r] = r < n_rows ? values[r * vecs + v] : vec_set1(0);
        vec_store_bytes(a->y_u8 + (out / 4 * a->ld + lane + v * VEC_LANES) * 4, rows, inv_scale);
    }
}

/* Activation, factor, residual, stores and row statistics of n_rows <= 4 outputs. */
ALWAYS_INLINE void finish_rows(const struct lac_linear_args *a, size_t out, size_t lane,
                               vec *values, const size_t n_rows, const size_t vecs)
{
    if (a->activation != LAC_ACT_NONE) {
        vec activated[4 * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < n_rows * vecs; i++)
            activated[i] = values[i];
        activate(a->activation, activated, n_rows * vecs);
        UNROLL
        for (size_t i = 0; i < n_rows * vecs; i++)
            values[i] = activated[i];
    }
    if (a->factor) {
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            const float *factor = a->factor + (out + r) * a->ld + lane;
            UNROLL
            for (size_t v = 0; v < vecs; v++) {
                vec *value = &values[r * vecs + v];
                *value = vec_mul(*value, vec_load(factor + v * VEC_LANES));
            }
        }
    }
    if (a->residual) {
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            const float *residual = a->residual + (out + r) * a->ld + lane;
            UNROLL
            for (size_t v = 0; v < vecs; v++) {
                vec *value = &values[r * vecs + v];
                *value = vec_add(*value, vec_load(residual + v * VEC_LANES));
            }
        }
    }
    if (a->y) {
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            float *y = a->y + (out + r) * a->ld + lane;
            UNROLL
            for (size_t v = 0; v < vecs; v++)
                vec_store(y + v * VEC_LANES, values[r * vecs + v]);
        }
    }
    if (a->abs_max) {
        UNROLL
        for (size_t v = 0; v < vecs; v++) {
            float *abs_max = a->abs_max + lane + v * VEC_LANES;
            vec most = vec_load(abs_max);
            UNROLL
            for (size_t r = 0; r < n_rows; r++)
                most = vec_max_abs(most, values[r * vecs + v]);
            vec_store(abs_max, most);
        }
    }
    if (a->y_u8)
        store_u8(a, out, lane, values, n_rows, vecs);
}

/* The last outputs, when they are not a multiple of 4. */
static __attribute__((noinline)) void finish_last(const struct lac_linear_args *a, size_t out,
                                                  size_t lane, vec *values, size_t vecs)
{
    finish_rows(a, out, lane, values, a->w->n_out - out, vecs);
}

/* Outliers of one output by `vecs` vectors of tokens. */
ALWAYS_INLINE void add_outliers_of(const struct lac_linear_args *a, size_t out, size_t lane,
                                   vec *values, const vec *x_scale, const size_t vecs)
{
    const struct lac_outliers *o = &a->w->outliers;
    const uint8_t *x = (const uint8_t *)a->x + lane * 4;
    const size_t stride = a->ld * 4, end = o->begin[out + 1];
    vec sums[TILE_VECS];
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        sums[v] = vec_set1(0);
    for (size_t k = o->begin[out]; k < end; k++) {
        const uint8_t *dwords = x + o->index[k] / 4 * stride;
        const vec weight = vec_set1(o->values[k]);
        UNROLL
        for (size_t v = 0; v < vecs; v++) {
            vec inputs = vec_from_byte(veci_load(dwords + v * VEC_BYTES), o->index[k] % 4);
            sums[v] = vec_fma(weight, inputs, sums[v]);
        }
    }
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        values[v] = vec_fma(sums[v], x_scale[v], values[v]);
}

/* Outliers of 4 outputs, which are far between: they are multiplied one by one. */
static __attribute__((noinline)) void add_outliers(const struct lac_linear_args *a, size_t out,
                                                   size_t lane, vec *values, const vec *x_scale,
                                                   size_t vecs)
{
    const uint32_t *begin = a->w->outliers.begin;
    for (size_t o = out; o < out + 4; o++, values += vecs) {
        if (begin[o] == begin[o + 1])
            continue;
        if (vecs == TILE_VECS)
            add_outliers_of(a, o, lane, values, x_scale, TILE_VECS);
        else
            for (size_t v = 0; v < vecs; v++)
                add_outliers_of(a, o, lane + v * VEC_LANES, values + v, x_scale + v, 1);
    }
}

ALWAYS_INLINE bool has_outliers(const struct lac_weight *w, size_t out)
{
    return w->outliers.n && out < w->n_out && w->outliers.begin[out] < w->outliers.begin[out + 4];
}

/* From sums to results: 4 outputs by `vecs` vectors of tokens.  Row by row, so that scale and bias
 * are needed in registers for one row at a time. */
ALWAYS_INLINE void finish(const struct lac_linear_args *a, size_t out, size_t lane, const ACC *acc,
                          const size_t vecs)
{
    vec x_scale[TILE_VECS], values[4 * TILE_VECS];
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        x_scale[v] = load_x_scale(a, lane + v * VEC_LANES);
    UNROLL
    for (size_t i = 0; i < 4 * vecs; i++)
        values[i] = acc_to_float(a->w, acc[i]);
    UNROLL
    for (size_t r = 0; r < 4; r++)
        UNROLL
    for (size_t v = 0; v < vecs; v++)
        values[r * vecs + v] = acc_finish(a->w, out + r, values[r * vecs + v], x_scale[v]);
    if (has_outliers(a->w, out)) {
        vec with[4 * TILE_VECS], scales[TILE_VECS];
        UNROLL
        for (size_t i = 0; i < 4 * vecs; i++)
            with[i] = values[i];
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            scales[v] = x_scale[v];
        add_outliers(a, out, lane, with, scales, vecs);
        UNROLL
        for (size_t i = 0; i < 4 * vecs; i++)
            values[i] = with[i];
    }
    if (out + 4 <= a->w->n_out) {
        finish_rows(a, out, lane, values, 4, vecs);
    } else if (out < a->w->n_out) {
        vec last[4 * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < 4 * vecs; i++)
            last[i] = values[i];
        finish_last(a, out, lane, last, vecs);
    }
}
