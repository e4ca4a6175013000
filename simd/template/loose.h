/* SPDX-License-Identifier: Apache-2.0 */
/* Activation dwords of which each byte comes from an input of its own, for blocks of 4 outputs by
 * any 4 inputs (sparse/loose.h).
 *
 * Where a byte lies in a panel takes more instructions to find than to multiply, so kernels keep
 * that instead of the input, for each width of panels.
 *
 * Needs lanes.h and spread.h of the instruction set; of the latter
 *   dword_of_four(x, at)  byte i of each lane's dword is byte at[i] % 4 of that lane's dword at
 *                         x + at[i] / 4 * 4; at[0] % 4 is 0 */
#include "simd/kernel.h"
#include "sparse/loose.h"
#include "src/base/arena.h"

enum { LOOSE_BYTES = 4 * LAC_LOOSE_INPUTS };

/* The kernel's own: [n_blocks][4], by ld. */
struct loose_places {
    const uint32_t *at[LAC_TILE / LAC_LANES];
};

static const void *pack_loose(const struct lac_weight *w, struct lac_arena *arena)
{
    struct loose_places *places = lac_arena_alloc(arena, 1, sizeof *places);
    if (!places)
        return NULL;
    for (size_t width = 0; width < LAC_TILE / LAC_LANES; width++) {
        size_t ld = (width + 1) * LAC_LANES, n = w->n_blocks * LAC_LOOSE_INPUTS;
        uint32_t *at = lac_arena_alloc(arena, n, sizeof *at);
        if (!at)
            return NULL;
        for (size_t i = 0; i < n; i++)
            at[i] = (uint32_t)(w->index[i] / 4 * ld * 4 + w->index[i] % 4);
        places->at[width] = at;
    }
    return places;
}
