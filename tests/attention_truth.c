/* SPDX-License-Identifier: Apache-2.0 */
/* A plain definition of attention in double, and how far from it kernels may be. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/attention_suite.h"

/* Does query t see key j? */
static bool sees(const struct attention_head *h, size_t t, size_t j)
{
    return h->seen[j] >> t & 1;
}

static double score(const struct attention_head *h, size_t t, size_t j, double *size)
{
    double dot = 0;
    *size = 0;
    for (size_t d = 0; d < h->head_dim; d++) {
        double product = (double)h->q[t * h->head_dim + d] * h->k[j * h->head_dim + d];
        dot += product;
        *size += fabs(product);
    }
    *size *= h->scale;
    return dot * h->scale;
}

static double largest_of(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static double sum_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(x[i]);
    return sum;
}

/* What quantising a query and a key may do to their score: each number is off by half a step at
 * most (and by a rounding of the factor), a step being max|x| / 127. */
static double score_error(const struct attention_head *h, size_t t, size_t j)
{
    const float *q = h->q + t * h->head_dim, *k = h->k + j * h->head_dim;
    double n = (double)h->head_dim, slack = 1 + 1e-5;
    double q_off = largest_of(q, h->head_dim) / 254 * slack;
    double k_off = largest_of(k, h->head_dim) / 254 * slack;
    return h->scale *
           (q_off * sum_of(k, h->head_dim) + k_off * sum_of(q, h->head_dim) + n * q_off * k_off);
}

/* How far off what a query sees may be: */
struct errors {
    double score;   /* each score */
    double weight;  /* each weight, of itself */
    double value;   /* each value */
    double outcome; /* and the result, in units of 1 / sum p */
};

static struct errors errors_of(const struct lac_kernel *kernel, const struct attention_head *h,
                               size_t t)
{
    struct errors e = {0};
    if (kernel->op == LAC_OP_ATTENTION)
        return e;
    for (size_t j = 0; j < h->n_keys; j++)
        if (sees(h, t, j))
            e.score = fmax(e.score, score_error(h, t, j));
    double most = fmax(largest_of(h->v, h->n_keys * h->head_dim), 127 * 0x1p-100);
    e.weight = 1.03e-4; /* vec_exp2_weight */
    e.value = most / 254 * (1 + 1e-5);
    e.outcome = (double)h->n_keys * most * (0.5 / 16383) * (1 + 1e-3); /* 14 bits */
    return e;
}

/* y = sum p v / sum p.  In fp32, a score's error is at most (head_dim + 3) u scale sum|q k| =: e,
 * and u |s - m| more when the maximum is taken off; so each p is off by a factor of at most
 * 1 + e' with e' for both and 2^-23 for exp; the same for their sum, and n_keys + 4 roundings
 * for the sums: |err| <= (2 e' + 2 (n_keys + 4) u) sum p|v| / sum p.  Integers add struct errors
 * to it, and weights below e^-64 of the largest, which count as that much. */
void assert_attention(const struct lac_kernel *kernel, const struct attention_head *h,
                      const struct attention_result *r)
{
    double floor = (double)h->n_keys * exp(-64) * largest_of(h->v, h->n_keys * h->head_dim);
    double u = FLT_EPSILON / 2, *p = malloc(h->n_keys * sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t t = 0; t < h->n_queries; t++) {
        double max = -INFINITY, sum = 0, size, largest = 0, most = 1e-3f, width = 0;
        struct errors errors = errors_of(kernel, h, t);
        for (size_t j = 0; j < h->n_keys; j++) {
            p[j] = -INFINITY;
            if (!sees(h, t, j))
                continue;
            p[j] = score(h, t, j, &size);
            max = fmax(max, p[j]);
            largest = fmax(largest, size);
        }
        if (isinf(max)) { /* sees nothing */
            for (size_t d = 0; d < h->head_dim; d++)
                ck_assert(r->y[t * h->head_dim + d] == 0);
            continue;
        }
        for (size_t j = 0; j < h->n_keys; j++) {
            /* Far below the maximum nothing is left that an error could be seen in. */
            width = fmax(width, fmin(max - p[j], 110));
            sum += p[j] = exp(p[j] - max);
        }
        double e = ((double)h->head_dim + 3) * u * largest + u * width + 2 * u;
        e += errors.score + errors.weight;
        for (size_t d = 0; d < h->head_dim; d++) {
            double exact = 0, scale = 0;
            for (size_t j = 0; j < h->n_keys; j++) {
                if (!sees(h, t, j))
                    continue;
                exact += p[j] * h->v[j * h->head_dim + d];
                scale += p[j] * fabs(h->v[j * h->head_dim + d]);
            }
            double share = fmin(expm1(2 * e), 1e30);
            double bound = (2 * share + 2 * ((double)h->n_keys + 4) * u) * scale / sum;
            bound += (1 + 2 * share) * (errors.value + errors.outcome / sum);
            double y = r->y[t * h->head_dim + d];
            check_each(fabs(y - exact / sum) <= bound + floor + 1e-37,
                       "%s: query %zu row %zu: %.9g for %.9g, bound %g", kernel->name, t, d, y,
                       exact / sum, bound);
            most = fmax(most, fabs(y));
        }
        ck_assert_msg(kernel->op == LAC_OP_ATTENTION || r->abs_max[t] == (float)most,
                      "abs_max %g for %g", r->abs_max[t], most);
    }
    free(p);
}
