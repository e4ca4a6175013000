/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of output-lane linear layers as they are multiplied: a vector of dwords for each dword of
 * the panel that one of the weights meets.
 *
 * Part of linear_output.h.  Where weights have half the width of the activations, what includes
 * that has
 *   WIDE_GROUPS           1 for int4, else 0
 *   wide.h of the instruction set, and wide_line(), as linear_token_wide.h says
 * and else none of them. */
#ifdef WIDE_GROUPS
enum { PARTS = 2 };
#else
enum { PARTS = 1 };
#endif

/* Sums of bitmap lines are kept for each part by itself, and so does linear_token_bitmap.h keep
 * them: lines of sparse weights take so few bytes that two products, one after the other, would
 * take longer than their way from memory. */
enum { BITMAP_PARTS = PARTS };

struct w_line {
    struct w_reg parts[PARTS];
};

/* int4: blocks that share their factors begin at every multiple of this many. */
#if defined WIDE_GROUPS && WIDE_GROUPS
enum { GROUP_BLOCKS = LAC_INT4_BLOCKS };

/* Factors of the vectors of the line, or of two, that begins with block i of block row b: n_lanes
 * of its dwords exist. */
ALWAYS_INLINE void factors_at(struct factors *factors, const struct lac_weight *w, size_t b,
                              size_t i, size_t n_lanes, const size_t rows)
{
    const size_t vecs = rows == 32 ? MOST_LINE_VECS : LINE_VECS;
    UNROLL
    for (size_t v = 0; v < vecs; v++) {
        const size_t lane = v * VEC_LANES;
        if (lane >= n_lanes)
            break;
        size_t group = lac_weight_first_group(w, b) + (i + lane / rows) / GROUP_BLOCKS;
        factors[v] = factors_of(w->group + group * rows + lane % rows, n_lanes - lane, rows);
    }
}
#else
enum { GROUP_BLOCKS = 1 };

#ifndef WIDE_GROUPS
struct factors {
    char none;
};
#endif

ALWAYS_INLINE void factors_at(struct factors *factors, const struct lac_weight *w, size_t b,
                              size_t i, size_t n_lanes, const size_t rows)
{
    (void)factors, (void)w, (void)b, (void)i, (void)n_lanes, (void)rows;
}
#endif

/* A vector of weights; factors are those of its lanes, for int4. */
ALWAYS_INLINE struct w_line line_of(veci dwords, const struct factors *factors)
{
#ifdef WIDE_GROUPS
    struct wide both = wide_line(dwords, factors);
    return (struct w_line){{w_of(both.low), w_of(both.high)}};
#else
    (void)factors;
    return (struct w_line){{w_of(dwords)}};
#endif
}
