/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a bitmap (sparse/layout.h) back into vectors of dwords.
 *
 * Before inclusion, define
 *   veci, VEC_BYTES       of the instruction set
 *   ELEMENT_BYTES         of the weights
 *   expand(mask, values)  a vector of the elements that the low bits of the mask keep, zeros in the
 *                         places of the others; reads up to VEC_BYTES bytes, whatever it keeps
 * For machines that keep numbers with the lowest byte first, as files do. */
#include <string.h>

#include "simd/kernel.h"

enum {
    LINE_BITS = 64 / ELEMENT_BYTES,        /* of a line's mask */
    PART_BITS = VEC_BYTES / ELEMENT_BYTES, /* of a vector of it */
    LINE_PARTS = 64 / VEC_BYTES,
};

/* The values that come next, and where their masks lie. */
struct bitmap_place {
    const uint8_t *mask, *values;
};

static inline struct bitmap_place bitmap_row(const struct lac_weight *w, size_t b)
{
    return (struct bitmap_place){
        w->masks + b * w->n_dwords * (LINE_BITS / 8),
        (const uint8_t *)w->blocks + (size_t)w->row_begin[b] * ELEMENT_BYTES,
    };
}

static inline __attribute__((always_inline)) void bitmap_line(struct bitmap_place *at,
                                                              veci parts[LINE_PARTS])
{
    uint64_t mask = 0;
    memcpy(&mask, at->mask, LINE_BITS / 8);
    at->mask += LINE_BITS / 8;
    for (size_t i = 0; i < LINE_PARTS; i++) {
        uint64_t part = mask >> i * PART_BITS;
        if (PART_BITS < LINE_BITS)
            part &= ((uint64_t)1 << PART_BITS % 64) - 1;
        parts[i] = expand(part, at->values);
        at->values += (size_t)__builtin_popcountll(part) * ELEMENT_BYTES;
    }
}
