/* SPDX-License-Identifier: Apache-2.0 */
/* Outliers: choosing, taking out, checking. */
#include "sparse/outliers.h"

#include <math.h>
#include <string.h>

#include "sparse/layout.h"
#include "src/base/checked.h"

/* What is compared is |w| / rms of its row, as the upper half of its bits: positive floats are
 * ordered as their bits are, and 7 bits of fraction tell 0.8 % apart.  Counting by these takes two
 * passes and no sorting. */
enum { N_CLASSES = 1 << 16 };

size_t lac_outliers_rows(size_t n_out)
{
    return lac_round_up(n_out, LAC_OUT_UNIT);
}

size_t lac_outliers_bytes(const struct lac_outliers *o, size_t n_out)
{
    return o->n ? (lac_outliers_rows(n_out) + 1) * sizeof *o->begin +
                      o->n * (sizeof *o->index + sizeof *o->values)
                : 0;
}

/* 1 / rms of what is not zero; 0 for a row of zeros. */
static float row_factor(const float *row, size_t n_in, size_t *n_nonzero)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < n_in; i++) {
        sum += (double)row[i] * (double)row[i];
        n += row[i] != 0;
    }
    *n_nonzero += n;
    double rms = n ? sqrt(sum / (double)n) : 0;
    /* Smaller ones are zeros for lac_weight_quantize too. */
    return rms < 0x1p-100 ? 0 : (float)(1 / rms);
}

static uint32_t class_of(float w, float factor)
{
    float ratio = fabsf(w) * factor;
    uint32_t bits;
    memcpy(&bits, &ratio, sizeof bits);
    return bits >> 16;
}

/* The lowest class of which, with all above it, no more than `most` are in counts. */
static uint32_t first_class(const uint32_t *counts, size_t most)
{
    size_t n = 0;
    uint32_t c = N_CLASSES;
    while (c > 1 && n + counts[c - 1] <= most)
        n += counts[--c];
    return c;
}

static size_t move(float *w, size_t n_out, size_t n_in, const float *factors, uint32_t first,
                   uint32_t *begin, uint32_t *index, float *values)
{
    size_t n = 0;
    for (size_t o = 0; o < n_out; o++) {
        begin[o] = (uint32_t)n;
        for (size_t i = 0; i < n_in; i++) {
            float *weight = &w[o * n_in + i];
            if (class_of(*weight, factors[o]) < first)
                continue;
            index[n] = (uint32_t)i;
            values[n++] = *weight;
            *weight = 0;
        }
    }
    for (size_t o = n_out; o <= lac_outliers_rows(n_out); o++)
        begin[o] = (uint32_t)n;
    return n;
}

/* counts[N_CLASSES], factors[n_out] */
static enum lac_status count_classes(const float *w, size_t n_out, size_t n_in, uint32_t *counts,
                                     float *factors, size_t *n_nonzero, struct lac_error *error)
{
    for (size_t i = 0; i < n_out * n_in; i++)
        if (!isfinite(w[i]))
            return lac_fail(error, LAC_E_FORMAT, "weight [%zu, %zu] is %g", i / n_in, i % n_in,
                            (double)w[i]);
    for (size_t o = 0; o < n_out; o++) {
        factors[o] = row_factor(w + o * n_in, n_in, n_nonzero);
        for (size_t i = 0; i < n_in; i++)
            counts[class_of(w[o * n_in + i], factors[o])]++;
    }
    return LAC_OK;
}

enum lac_status lac_outliers_take(float *w, size_t n_out, size_t n_in, double share,
                                  struct lac_arena *arena, struct lac_outliers *outliers,
                                  struct lac_error *error)
{
    *outliers = (struct lac_outliers){0};
    if (n_out * n_in > UINT32_MAX)
        return lac_fail(error, LAC_E_LIMIT, "outliers of %zu x %zu weights", n_out, n_in);
    uint32_t *counts = lac_alloc_zero(arena->host, N_CLASSES, sizeof *counts);
    float *factors = lac_alloc(arena->host, n_out, sizeof *factors);
    size_t n_nonzero = 0;
    enum lac_status status = counts && factors
                                 ? count_classes(w, n_out, n_in, counts, factors, &n_nonzero, error)
                                 : lac_fail(error, LAC_E_MEMORY, "no memory to look for outliers");
    size_t most = (size_t)(share * (double)n_nonzero), n = 0;
    uint32_t first = status ? 0 : first_class(counts, most);
    for (uint32_t c = first; c < N_CLASSES && !status; c++)
        n += counts[c];
    if (n) {
        uint32_t *begin = lac_arena_alloc(arena, lac_outliers_rows(n_out) + 1, sizeof *begin);
        uint32_t *index = lac_arena_alloc(arena, n, sizeof *index);
        float *values = lac_arena_alloc(arena, n, sizeof *values);
        if (begin && index && values) {
            move(w, n_out, n_in, factors, first, begin, index, values);
            *outliers = (struct lac_outliers){n, begin, index, values};
        } else {
            status = lac_fail(error, LAC_E_MEMORY, "no memory for %zu outliers", n);
        }
    }
    lac_free(arena->host, counts);
    lac_free(arena->host, factors);
    return status;
}

static enum lac_status check_row(const struct lac_outliers *o, size_t out, size_t n_in,
                                 struct lac_error *error)
{
    size_t lowest = 0;
    for (uint32_t k = o->begin[out]; k < o->begin[out + 1]; k++) {
        if (o->index[k] < lowest || o->index[k] >= n_in)
            return lac_fail(error, LAC_E_FORMAT,
                            "outlier %u of output %zu: input %u is not between %zu and %zu", k, out,
                            o->index[k], lowest, n_in - 1);
        if (!isfinite(o->values[k]))
            return lac_fail(error, LAC_E_FORMAT, "outlier %u of output %zu is not finite", k, out);
        lowest = o->index[k] + (size_t)1;
    }
    return LAC_OK;
}

enum lac_status lac_outliers_check(const struct lac_outliers *o, size_t n_out, size_t n_in,
                                   struct lac_error *error)
{
    size_t n_rows = lac_outliers_rows(n_out);
    if (!o->n)
        return LAC_OK;
    if (o->begin[0] || o->begin[n_rows] != o->n || o->begin[n_out] != o->n)
        return lac_fail(error, LAC_E_FORMAT, "outputs have outliers %u to %u of %zu", o->begin[0],
                        o->begin[n_out], o->n);
    for (size_t out = 0; out < n_rows; out++)
        if (o->begin[out + 1] < o->begin[out])
            return lac_fail(error, LAC_E_FORMAT, "output %zu has outliers %u to %u", out,
                            o->begin[out], o->begin[out + 1]);
    enum lac_status status = LAC_OK;
    for (size_t out = 0; out < n_out && !status; out++)
        status = check_row(o, out, n_in, error);
    return status;
}
