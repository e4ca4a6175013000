/* SPDX-License-Identifier: Apache-2.0 */
/* Which single inputs share a quad. */
#include "sparse/loose.h"

#include <stdbool.h>

#include "src/base/checked.h"

static bool is_kept(const uint8_t *kept, size_t i)
{
    return kept[i / 8] >> i % 8 & 1;
}

size_t lac_loose_quads(const uint8_t *kept, size_t n_in)
{
    size_t n = 0, n_first = 0; /* n_first: that may be the first of a quad */
    for (size_t i = 0; i < n_in; i++) {
        n += is_kept(kept, i);
        n_first += i % LAC_LOOSE_INPUTS == 0 && is_kept(kept, i);
    }
    return lac_max_size(lac_ceil_div(n, LAC_LOOSE_INPUTS),
                        lac_ceil_div(n - n_first, LAC_LOOSE_INPUTS - 1));
}

/* The next kept input from i on that i steps to; n_in after the last. */
static size_t next_kept(const uint8_t *kept, size_t n_in, size_t i, size_t step)
{
    while (i < n_in && !is_kept(kept, i))
        i += step;
    return i < n_in ? i : n_in;
}

/* Quad k gets the k-th kept input of each remainder; what is left of remainders that have more
 * inputs than there are quads fills the places left, which are those of the last quads. */
void lac_loose_place(const uint8_t *kept, size_t n_in, uint16_t *index, uint8_t *used)
{
    const size_t n_quads = lac_loose_quads(kept, n_in), step = LAC_LOOSE_INPUTS;
    size_t left[LAC_LOOSE_INPUTS]; /* the next one of each remainder */
    for (size_t k = 0; k < n_quads; k++)
        used[k] = 0;
    for (size_t p = 0; p < step; p++) {
        size_t i = next_kept(kept, n_in, p, step);
        for (size_t k = 0; k < n_quads && i < n_in; k++) {
            index[k * step + p] = (uint16_t)i;
            used[k] |= (uint8_t)(1u << p);
            i = next_kept(kept, n_in, i + step, step);
        }
        left[p] = i;
    }
    size_t from = 0;
    for (size_t k = 0; k < n_quads; k++)
        for (size_t p = 0; p < step; p++) {
            if (used[k] >> p & 1)
                continue;
            while (p && from < step && left[from] == n_in)
                from++;
            if (p && from < step) {
                index[k * step + p] = (uint16_t)left[from];
                used[k] |= (uint8_t)(1u << p);
                left[from] = next_kept(kept, n_in, left[from] + step, step);
                continue;
            }
            /* Nothing: beside the first one, or the very first. */
            size_t beside = p ? index[k * step] + p : 0;
            index[k * step + p] = (uint16_t)(beside < n_in ? beside : 0);
        }
}
