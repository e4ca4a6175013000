/* SPDX-License-Identifier: Apache-2.0 */
/* Rows to panels and back, for every vector instruction set: include after a vector.h.
 *
 * Four features are moved at a time: with rows r, r + 4, r + 8, ... side by side in a vector, each
 * feature's lanes come out of 4 x 4 transpositions in the right order. */
#ifndef LACUNA_SIMD_TEMPLATE_PANEL_H
#define LACUNA_SIMD_TEMPLATE_PANEL_H

#include "simd/kernel.h"

static inline void to_panel(const struct lac_to_panel_args *a)
{
    static const float zeros[4];
    float *panel = a->panel;
    size_t f = 0;
    for (; f + 4 <= a->n_features; f += 4, panel += 4 * a->ld) {
        const float *rows[LAC_LANES];
        for (size_t i = 0; i < LAC_LANES; i++)
            rows[i] = i < a->n_rows ? a->rows[i] + f : zeros;
        for (size_t lane = 0; lane < LAC_LANES; lane += VEC_LANES) {
            vec quads[4];
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                quads[i] = vec_load_quads(rows + lane + i);
            vec_transpose_quads(quads);
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                vec_store(panel + i * a->ld + lane, quads[i]);
        }
    }
    for (; f < a->n_features; f++, panel += a->ld)
        for (size_t i = 0; i < LAC_LANES; i++)
            panel[i] = i < a->n_rows ? a->rows[i][f] : 0;
}

static inline void from_panel(const struct lac_from_panel_args *a)
{
    const float *panel = a->panel;
    size_t f = 0;
    for (; f + 4 <= a->n_features; f += 4, panel += 4 * a->ld) {
        float unused[4], *rows[LAC_LANES];
        for (size_t i = 0; i < LAC_LANES; i++)
            rows[i] = i < a->n_rows ? a->rows[i] + f : unused;
        for (size_t lane = 0; lane < LAC_LANES; lane += VEC_LANES) {
            vec quads[4];
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                quads[i] = vec_load(panel + i * a->ld + lane);
            vec_transpose_quads(quads);
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                vec_store_quads(rows + lane + i, quads[i]);
        }
    }
    for (; f < a->n_features; f++, panel += a->ld)
        for (size_t i = 0; i < a->n_rows; i++)
            a->rows[i][f] = panel[i];
}

#endif
