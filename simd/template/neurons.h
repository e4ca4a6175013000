/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons, for any vector width and number format: simd/neurons.h.
 *
 * Rows: lanes are neurons.  Of 16 rows four dwords each are loaded and transposed in registers, so
 * that sums have the order of the linear kernels and end where their epilogue wants them.  Columns:
 * lanes are outputs; sums of as many as stay in L1 are kept in memory while the neurons pass.
 *
 * Before inclusion, define what linear_output_finish.h lists, and
 *   struct x_reg, x_of(dwords), struct w_reg, w_of(dwords), ACC, acc_zero()    as linear_output.h
 *   acc_dot(acc, x, w)      acc + x times w
 *   store_rows(args, out, acc, to)   sums of rows out, out + 1, ... as finish_sums takes them
 *   NEURON_ROWS, NEURON_COLUMNS   names of the functions made here
 *   COLUMN_BYTES            of an element
 *   COLUMN_OUTPUTS          what is worked on at once: a multiple of 16, and of 64 bytes at most
 *   add_columns(args, columns, at, t, acc, n, step, tokens)   adds columns[0], ... of inputs at,
 *                           at + 1, ..., COLUMNS_AT_ONCE or as many as there are, for n outputs and
 *                           tokens from t on, and may fetch as many columns after those; acc is
 *                           [tokens][step]
 *   store_columns(args, t, acc, n, to)   n sums of token t in their order */
#include "simd/neurons.h"
#include "simd/template/linear_output_finish.h"

/* Tokens that share a load of weights, and dwords of a row that are loaded together. */
enum { NEURON_TOKENS = 4, ROW_DWORDS = 4 };

/* Columns that are added together, and sums that are kept of all tokens: 8 KB. */
enum { COLUMNS_AT_ONCE = 4, SUMS = 2048 };

static size_t tokens_at_once(size_t left)
{
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* ---- Rows ---- */

/* What is fetched while a row is multiplied: the same place of one that comes later. */
struct row_lines {
    const uint8_t *rows[LINE], *ahead[LINE];
};

static void find_rows(const struct lac_neurons_args *a, size_t out, struct row_lines *lines)
{
    size_t last = a->linear.w->n_out - 1;
    for (size_t i = 0; i < LINE; i++) {
        lines->rows[i] = a->part + a->list[lac_min_size(out + i, last)] * a->stride;
        lines->ahead[i] = a->part + a->list[lac_min_size(out + LINE + i, last)] * a->stride;
    }
}

ALWAYS_INLINE void add_dwords(ACC *acc, const uint8_t *const *rows, size_t d, const uint8_t *x,
                              size_t row, const size_t n, const size_t tokens)
{
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++) {
        const float *at[VEC_LANES];
        vec w[ROW_DWORDS];
        UNROLL
        for (size_t i = 0; i < VEC_LANES; i++)
            at[i] = (const float *)(const void *)(rows[v * VEC_LANES + i] + d * 4);
        UNROLL
        for (size_t i = 0; i < ROW_DWORDS; i++)
            w[i] = vec_load_quads(at + i);
        vec_transpose_quads(w);
        UNROLL
        for (size_t i = 0; i < n; i++)
            UNROLL
        for (size_t t = 0; t < tokens; t++) {
            ACC *sum = &acc[v * tokens + t];
            *sum = acc_dot(*sum, x_of(dword_broadcast(x + i * row + t * 4)), w_of((veci)w[i]));
        }
    }
}

/* 16 rows from `out` on, tokens from t on. */
ALWAYS_INLINE void sum_rows(const struct lac_neurons_args *a, const struct row_lines *lines,
                            size_t out, size_t t, ACC_SCALAR (*sums)[2 * LINE], const size_t tokens)
{
    const struct lac_linear_args *l = &a->linear;
    const size_t row = l->ld * 4,
                 n_dwords = lac_ceil_div(l->w->n_in, lac_dword_inputs(l->w->dtype));
    const uint8_t *x = (const uint8_t *)l->x + t * 4;
    ACC acc[LINE_VECS * NEURON_TOKENS];
    UNROLL
    for (size_t i = 0; i < LINE_VECS * tokens; i++)
        acc[i] = acc_zero();
    size_t d = 0;
    for (; d + ROW_DWORDS <= n_dwords; d += ROW_DWORDS, x += row * ROW_DWORDS) {
        /* Four of the sixteen lines each time: a line is four times four dwords. */
        const uint8_t *const *ahead = lines->ahead + d % 16;
        for (size_t i = 0; i < 4; i++)
            __builtin_prefetch(ahead[i] + d / 16 * 64);
        add_dwords(acc, lines->rows, d, x, row, ROW_DWORDS, tokens);
    }
    for (; d < n_dwords; d++, x += row)
        add_dwords(acc, lines->rows, d, x, row, 1, tokens);
    UNROLL
    for (size_t i = 0; i < LINE_VECS * tokens; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++)
        UNROLL
    for (size_t i = 0; i < tokens; i++)
        store_rows(l, out + v * VEC_LANES, acc[v * tokens + i], sums[i] + v * VEC_LANES);
}

static void sum_rows_1(const struct lac_neurons_args *a, const struct row_lines *lines, size_t out,
                       size_t t, ACC_SCALAR (*sums)[2 * LINE])
{
    sum_rows(a, lines, out, t, sums, 1);
}

static void sum_rows_2(const struct lac_neurons_args *a, const struct row_lines *lines, size_t out,
                       size_t t, ACC_SCALAR (*sums)[2 * LINE])
{
    sum_rows(a, lines, out, t, sums, 2);
}

static void sum_rows_4(const struct lac_neurons_args *a, const struct row_lines *lines, size_t out,
                       size_t t, ACC_SCALAR (*sums)[2 * LINE])
{
    sum_rows(a, lines, out, t, sums, 4);
}

static void NEURON_ROWS(const struct lac_neurons_args *a)
{
    static void (*const run[])(const struct lac_neurons_args *, const struct row_lines *, size_t,
                               size_t, ACC_SCALAR(*)[2 * LINE]) = {
        [1] = sum_rows_1,
        [2] = sum_rows_2,
        [4] = sum_rows_4,
    };
    const struct lac_linear_args *l = &a->linear;
    for (size_t t = 0, n; t < l->n_tokens; t += n) {
        struct most most;
        n = lac_min_size(l->n_tokens - t, MOST_TOKENS);
        most_begin(&most, n);
        for (size_t out = l->out_begin; out < l->out_end; out += LINE) {
            struct row_lines lines;
            struct sums sums;
            find_rows(a, out, &lines);
            for (size_t i = 0, some; i < n; i += some)
                run[some = tokens_at_once(n - i)](a, &lines, out, t + i, sums.lanes + i);
            for (size_t i = 0; i < n && out + LINE > l->w->n_out; i++) /* there are no such rows */
                memset(sums.lanes[i] + l->w->n_out % LINE, 0,
                       (LINE - l->w->n_out % LINE) * sizeof **sums.lanes);
            finish_line(l, out, t, n, &sums, 0, &most);
        }
        if (l->abs_max)
            most_end(l, t, n, &most);
    }
}

/* ---- Columns ---- */

/* n outputs from `out` on, a multiple of COLUMN_OUTPUTS. */
ALWAYS_INLINE void sum_columns(const struct lac_neurons_args *a, size_t out, size_t n, size_t t,
                               ACC *acc, const size_t tokens)
{
    const size_t n_in = a->linear.w->n_in, last = n_in - 1, step = SUMS / VEC_LANES / tokens;
    const uint8_t *part = a->part + out * COLUMN_BYTES;
    for (size_t i = 0; i < tokens; i++)
        for (size_t k = 0; k < n / VEC_LANES; k++)
            acc[i * step + k] = acc_zero();
    for (size_t i = 0; i < n_in; i += COLUMNS_AT_ONCE) {
        const uint8_t *columns[2 * COLUMNS_AT_ONCE];
        UNROLL
        for (size_t k = 0; k < 2 * COLUMNS_AT_ONCE; k++)
            columns[k] = part + a->list[lac_min_size(i + k, last)] * a->stride;
        add_columns(&a->linear, columns, i, t, acc, n, step, tokens);
    }
}

static void sum_columns_1(const struct lac_neurons_args *a, size_t out, size_t n, size_t t,
                          ACC *acc)
{
    sum_columns(a, out, n, t, acc, 1);
}

static void sum_columns_2(const struct lac_neurons_args *a, size_t out, size_t n, size_t t,
                          ACC *acc)
{
    sum_columns(a, out, n, t, acc, 2);
}

static void sum_columns_4(const struct lac_neurons_args *a, size_t out, size_t n, size_t t,
                          ACC *acc)
{
    sum_columns(a, out, n, t, acc, 4);
}

/* n outputs of `tokens` tokens: from sums to y. */
static void finish_columns(const struct lac_linear_args *l, size_t out, size_t n, size_t t,
                           const ACC *acc, size_t tokens)
{
    _Alignas(64) ACC_SCALAR all[NEURON_TOKENS][SUMS];
    struct most most;
    most_begin(&most, tokens);
    for (size_t i = 0; i < tokens; i++)
        store_columns(l, t + i, acc + i * (SUMS / VEC_LANES / tokens), n, all[i]);
    for (size_t o = 0; o < n && out + o < l->out_end; o += LINE) {
        struct sums sums;
        if (out + o < l->out_begin)
            continue;
        for (size_t i = 0; i < tokens; i++)
            memcpy(sums.lanes[i], all[i] + o, LINE * sizeof **all);
        finish_line(l, out + o, t, tokens, &sums, 0, &most);
    }
    if (l->abs_max)
        most_end(l, t, tokens, &most);
}

static void NEURON_COLUMNS(const struct lac_neurons_args *a)
{
    static void (*const run[])(const struct lac_neurons_args *, size_t, size_t, size_t, ACC *) = {
        [1] = sum_columns_1,
        [2] = sum_columns_2,
        [4] = sum_columns_4,
    };
    const struct lac_linear_args *l = &a->linear;
    const size_t most_outs = SUMS / tokens_at_once(l->n_tokens);
    ACC acc[SUMS / VEC_LANES];
    /* Loads are whole and aligned, so that none passes a column's end. */
    for (size_t out = l->out_begin / COLUMN_OUTPUTS * COLUMN_OUTPUTS, n; out < l->out_end;
         out += n) {
        n = lac_min_size(lac_round_up(l->out_end - out, COLUMN_OUTPUTS), most_outs);
        for (size_t t = 0, some; t < l->n_tokens; t += some) {
            some = tokens_at_once(l->n_tokens - t);
            run[some](a, out, n, t, acc);
            finish_columns(l, out, n, t, acc, some);
        }
    }
}
