/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass of small encoders straight from the definition. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "tests/tiny.h"
#include "tests/tiny_names.h"

static const float *find(const struct tiny *t, const char *name, const char *suffix)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, full))
            return t->tensors[i].data;
    ck_abort_msg("no tensor %s", full);
    return NULL;
}

/* The int8 values of a row: scale = max / 127, ties to even. */
static double quantize_row(const double *x, size_t n, double *q)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    double scale = most / 127;
    for (size_t i = 0; i < n; i++)
        q[i] = scale > 0 ? rint(x[i] / scale) : 0;
    return scale;
}

/* y[n, out] = x[n, in] W^T + b. */
static void multiply(bool quantized, const float *w, const float *b, size_t n, size_t in,
                     size_t out, const double *x, double *y)
{
    double *row = malloc(in * sizeof *row), *wq = malloc(out * in * sizeof *wq);
    double *scales = malloc(out * sizeof *scales), *xq = malloc(in * sizeof *xq);
    for (size_t o = 0; o < out; o++) {
        for (size_t i = 0; i < in; i++)
            row[i] = (double)w[o * in + i];
        scales[o] = 1;
        if (quantized)
            scales[o] = quantize_row(row, in, wq + o * in);
        else
            memcpy(wq + o * in, row, in * sizeof *row);
    }
    for (size_t t = 0; t < n; t++) {
        double scale = 1;
        if (quantized)
            scale = quantize_row(x + t * in, in, xq);
        else
            memcpy(xq, x + t * in, in * sizeof *xq);
        for (size_t o = 0; o < out; o++) {
            double sum = 0;
            for (size_t i = 0; i < in; i++)
                sum += wq[o * in + i] * xq[i];
            y[t * out + o] = sum * scale * scales[o] + (b ? (double)b[o] : 0);
        }
    }
    free(row);
    free(wq);
    free(scales);
    free(xq);
}

static void linear(const struct tiny *t, bool quantized, const char *name, size_t n, size_t in,
                   size_t out, const double *x, double *y)
{
    multiply(quantized, find(t, name, ".weight"), find(t, name, ".bias"), n, in, out, x, y);
}

static void norm(const struct tiny *t, const char *name, size_t n, double *x)
{
    const float *gamma = find(t, name, ".weight"), *beta = find(t, name, ".bias");
    double eps = t->family == TINY_DISTILBERT ? 1e-12 : t->eps;
    for (size_t i = 0; i < n; i++) {
        double *row = x + i * t->hidden, mean = 0, variance = 0;
        for (size_t f = 0; f < t->hidden; f++)
            mean += row[f] / (double)t->hidden;
        for (size_t f = 0; f < t->hidden; f++)
            variance += (row[f] - mean) * (row[f] - mean) / (double)t->hidden;
        for (size_t f = 0; f < t->hidden; f++)
            row[f] = (row[f] - mean) / sqrt(variance + eps) * (double)gamma[f] + (double)beta[f];
    }
}

static void activate(const char *act, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        double v = x[i];
        if (!strcmp(act, "relu"))
            x[i] = v > 0 ? v : 0;
        else if (!strcmp(act, "gelu"))
            x[i] = v * 0.5 * (1 + erf(v / sqrt(2)));
        else if (!strcmp(act, "gelu_new"))
            x[i] = v * 0.5 * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v)));
        else
            x[i] = tanh(v);
    }
}

static void embed(const struct tiny *t, const int32_t *ids, const uint8_t *type_ids, size_t n,
                  double *h)
{
    const float *word = find(t, tiny_embedding_name(t, "word_embeddings"), ".weight");
    const float *position = find(t, tiny_embedding_name(t, "position_embeddings"), ".weight");
    const float *type =
        t->types ? find(t, tiny_embedding_name(t, "token_type_embeddings"), ".weight") : NULL;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < t->hidden; f++) {
            size_t kind = type_ids ? type_ids[i] : 0;
            h[i * t->hidden + f] = (double)word[(size_t)ids[i] * t->hidden + f] +
                                   (double)position[(i + tiny_position_offset(t)) * t->hidden + f] +
                                   (type ? (double)type[kind * t->hidden + f] : 0);
        }
    norm(t, tiny_embedding_name(t, "LayerNorm"), n, h);
}

static void attend(const struct tiny *t, size_t n, const double *q, const double *k,
                   const double *v, double *a)
{
    size_t hidden = t->hidden, dim = hidden / t->heads;
    double *p = malloc(n * sizeof *p);
    for (size_t head = 0; head < t->heads; head++)
        for (size_t i = 0; i < n; i++) {
            double most = -INFINITY, sum = 0;
            for (size_t j = 0; j < n; j++) {
                p[j] = 0;
                for (size_t d = head * dim; d < (head + 1) * dim; d++)
                    p[j] += q[i * hidden + d] * k[j * hidden + d] / sqrt((double)dim);
                most = fmax(most, p[j]);
            }
            for (size_t j = 0; j < n; j++)
                sum += p[j] = exp(p[j] - most);
            for (size_t d = head * dim; d < (head + 1) * dim; d++) {
                a[i * hidden + d] = 0;
                for (size_t j = 0; j < n; j++)
                    a[i * hidden + d] += p[j] / sum * v[j * hidden + d];
            }
        }
    free(p);
}

/* Rounds each head of each token to the 255 numbers that a scale of its own allows. */
static void round_heads(const struct tiny *t, size_t n, double *x)
{
    size_t dim = t->hidden / t->heads;
    double *rounded = malloc(dim * sizeof *rounded);
    for (size_t i = 0; i < n * t->heads; i++, x += dim) {
        double scale = quantize_row(x, dim, rounded);
        for (size_t d = 0; d < dim; d++)
            x[d] = rounded[d] * scale;
    }
    free(rounded);
}

static void layer(const struct tiny *t, bool quantized, size_t index, size_t n, double *h)
{
    size_t hidden = t->hidden, size = n * hidden * sizeof(double);
    double *q = malloc(size), *k = malloc(size), *v = malloc(size), *a = malloc(size);
    double *wide = malloc(n * t->ffn * sizeof *wide);
    linear(t, quantized, tiny_part_name(t, index, QUERY), n, hidden, hidden, h, q);
    linear(t, quantized, tiny_part_name(t, index, KEY), n, hidden, hidden, h, k);
    linear(t, quantized, tiny_part_name(t, index, VALUE), n, hidden, hidden, h, v);
    for (size_t i = 0; quantized && i < 3; i++)
        round_heads(t, n, (double *[]){q, k, v}[i]);
    attend(t, n, q, k, v, a);
    linear(t, quantized, tiny_part_name(t, index, MIX), n, hidden, hidden, a, q);
    for (size_t i = 0; i < n * hidden; i++)
        h[i] += q[i];
    norm(t, tiny_part_name(t, index, MIX_NORM), n, h);
    linear(t, quantized, tiny_part_name(t, index, UP), n, hidden, t->ffn, h, wide);
    activate(t->act, n * t->ffn, wide);
    linear(t, quantized, tiny_part_name(t, index, DOWN), n, t->ffn, hidden, wide, q);
    for (size_t i = 0; i < n * hidden; i++)
        h[i] += q[i];
    norm(t, tiny_part_name(t, index, DOWN_NORM), n, h);
    free(q);
    free(k);
    free(v);
    free(a);
    free(wide);
}

static void classify(const struct tiny *t, bool quantized, const double *h, double *out)
{
    static const char *const dense[] = {"bert.pooler.dense", "classifier.dense", "pre_classifier"};
    static const char *const last[] = {"classifier", "classifier.out_proj", "classifier"};
    double *x = malloc(t->hidden * sizeof *x);
    linear(t, quantized, dense[t->family], 1, t->hidden, t->hidden, h, x);
    activate(t->family == TINY_DISTILBERT ? "relu" : "tanh", t->hidden, x);
    linear(t, quantized, last[t->family], 1, t->hidden, t->labels, x, out);
    free(x);
}

static void fill(const struct tiny *t, bool quantized, size_t n, const double *h, double *out)
{
    double *x = malloc(n * t->hidden * sizeof *x);
    linear(t, quantized, tiny_fill_dense[t->family], n, t->hidden, t->hidden, h, x);
    activate(t->family == TINY_ROBERTA ? "gelu" : t->act, n * t->hidden, x);
    norm(t, tiny_fill_norm[t->family], n, x);
    multiply(quantized, find(t, tiny_embedding_name(t, "word_embeddings"), ".weight"),
             find(t, tiny_fill_bias[t->family], ""), n, t->hidden, t->vocab, x, out);
    free(x);
}

static void head(const struct tiny *t, bool quantized, size_t n, const double *h, double *out)
{
    switch (t->head) {
    case TINY_CLASSIFY:
        classify(t, quantized, h, out);
        break;
    case TINY_TAG:
        linear(t, quantized, "classifier", n, t->hidden, t->labels, h, out);
        break;
    case TINY_ANSWER:
        linear(t, quantized, "qa_outputs", n, t->hidden, 2, h, out);
        break;
    case TINY_FILL:
        fill(t, quantized, n, h, out);
        break;
    default:
        ck_abort_msg("no head");
    }
}

size_t tiny_width(const struct tiny *t, enum tiny_output output)
{
    if (output != TINY_OUT_HEAD)
        return t->hidden;
    return t->head == TINY_ANSWER ? 2 : t->head == TINY_FILL ? t->vocab : t->labels;
}

size_t tiny_rows(const struct tiny *t, enum tiny_output output, size_t n_tokens)
{
    return output == TINY_OUT_HEAD && t->head != TINY_CLASSIFY ? n_tokens : 1;
}

void tiny_forward(const struct tiny *t, bool quantized, enum tiny_output output, const int32_t *ids,
                  const uint8_t *type_ids, size_t n, double *out)
{
    size_t hidden = t->hidden;
    char name[96];
    double *h = malloc(n * hidden * sizeof *h);
    embed(t, ids, type_ids, n, h);
    for (size_t i = 0; i < t->layers; i++)
        layer(t, quantized, i, n, h);
    switch (output) {
    case TINY_OUT_HEAD:
        head(t, quantized, n, h, out);
        break;
    case TINY_OUT_MEAN:
        for (size_t f = 0; f < hidden; f++) {
            out[f] = 0;
            for (size_t i = 0; i < n; i++)
                out[f] += h[i * hidden + f] / (double)n;
        }
        break;
    case TINY_OUT_CLS:
        memcpy(out, h, hidden * sizeof *h);
        break;
    case TINY_OUT_POOLER:
        snprintf(name, sizeof name, "%spooler.dense", tiny_prefixes[t->family]);
        linear(t, quantized, name, 1, hidden, hidden, h, out);
        activate("tanh", hidden, out);
        break;
    }
    free(h);
}
