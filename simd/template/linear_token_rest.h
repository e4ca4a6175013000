/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens that one or two vectors of lanes leave over, in the same pass over the weights.
 *
 * 17 tokens are one vector and a token more: a second vector for it makes each token half as dear
 * again, and so does a pass of an output-lane kernel.  But a block's rows are a vector as well,
 * which meets that token's broadcast dword: one product beside those of the block's 4 to 16 rows.
 *
 * Part of linear_token.h.  Where MOST_REST is more than 0, what includes that has what
 * linear_output_finish.h wants, and
 *   rest_dot(acc, x, w, rows)   acc + the dword at x, in all lanes, times `rows` dwords at w: 4, 8
 *                               or 16 lanes
 *   rest_store(sums, acc, rows) those lanes */
#ifndef MOST_REST

enum { MOST_REST = 0, MOST_REST_SUMS = 0 };

ALWAYS_INLINE size_t rest_sets(const size_t rest)
{
    (void)rest;
    return 1;
}

struct rest {
    char nothing;
};

ALWAYS_INLINE void rest_step(ACC *acc, const uint8_t *x, const uint8_t *block, const size_t rows,
                             const size_t rest)
{
    (void)acc, (void)x, (void)block, (void)rows, (void)rest;
}

ALWAYS_INLINE void rest_keep(struct rest *sums, ACC *acc, size_t out, const size_t rows,
                             const size_t rest)
{
    (void)sums, (void)acc, (void)out, (void)rows, (void)rest;
}

ALWAYS_INLINE void rest_begin(struct rest *sums, const size_t rest)
{
    (void)sums, (void)rest;
}

ALWAYS_INLINE void rest_finish(const struct lac_linear_args *a, size_t end, size_t t,
                               struct rest *sums, const size_t block_rows, const size_t rest)
{
    (void)a, (void)end, (void)t, (void)sums, (void)block_rows, (void)rest;
}

ALWAYS_INLINE void rest_end(const struct lac_linear_args *a, size_t t, const struct rest *sums,
                            const size_t rest)
{
    (void)a, (void)t, (void)sums, (void)rest;
}

#else

#include "simd/template/linear_output_finish.h"

enum { MOST_REST_SUMS = 12 };

/* Partial sums of a token: of few tokens a block follows the last sooner than a product is done. */
ALWAYS_INLINE size_t rest_sets(const size_t rest)
{
    return rest <= 4 ? 2 : 1;
}

struct rest {
    struct sums sums; /* of up to 32 outputs, by their number in those */
    struct most most;
};

ALWAYS_INLINE void rest_step(ACC *acc, const uint8_t *x, const uint8_t *block, const size_t rows,
                             const size_t rest)
{
    UNROLL
    for (size_t e = 0; e < rest; e++)
        acc[e] = rest_dot(acc[e], x + e * 4, block, rows);
}

/* Sums of `rows` outputs from `out` on. */
ALWAYS_INLINE void rest_keep(struct rest *r, ACC *acc, size_t out, const size_t rows,
                             const size_t rest)
{
    UNROLL
    for (size_t e = 0; e < rest; e++) {
        ACC all = acc[e];
        if (rest_sets(rest) > 1)
            all = acc_add(all, acc[rest + e]);
        rest_store(r->sums.lanes[e] + out % (2 * LINE), all, rows);
    }
}

ALWAYS_INLINE void rest_begin(struct rest *r, const size_t rest)
{
    if (rest)
        most_begin(&r->most, rest);
}

/* After the outputs below `end`: the tokens from t on of those that make whole lines, or are the
 * last. */
ALWAYS_INLINE void rest_finish(const struct lac_linear_args *a, size_t end, size_t t,
                               struct rest *r, const size_t block_rows, const size_t rest)
{
    const size_t unit = block_rows > LINE ? block_rows : LINE;
    if (!rest || (end % unit && end < a->out_end))
        return;
    for (size_t out = (end - 1) / unit * unit; out < end && out < a->w->n_out; out += LINE)
        if (rest <= 2) /* in place: a call takes as long as the rest */
            finish_tokens(a, out, t, rest, (const ACC_SCALAR(*)[2 * LINE]) r->sums.lanes,
                          out % (2 * LINE), r->most.lanes);
        else
            finish_line(a, out, t, a->n_tokens - t, &r->sums, out % (2 * LINE), &r->most);
}

ALWAYS_INLINE void rest_end(const struct lac_linear_args *a, size_t t, const struct rest *r,
                            const size_t rest)
{
    if (rest && a->abs_max)
        most_end(a, t, a->n_tokens - t, &r->most);
}

#endif
