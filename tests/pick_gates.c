/* SPDX-License-Identifier: Apache-2.0 */
/* Gates of models against their definition in double precision, from queries and keys before their
 * rotation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/cpu.h"
#include "src/base/checked.h"
#include "src/run/member.h"
#include "tests/pick_suite.h"

enum { BLOCK = LAC_KEY_BLOCK };

/* ---- The definition ---- */

static const struct tiny_tensor *find(const struct tiny *t, size_t layer, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "model.layers.%zu.self_attn.%s.weight", layer, name);
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, full))
            return &t->tensors[i];
    return NULL;
}

void naive_turn(size_t dim, size_t position, double *x)
{
    for (size_t i = 0; i < dim / 2; i++) {
        double angle = (double)position * pow(10000, -2 * (double)i / (double)dim);
        double a = x[i], b = x[i + dim / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + dim / 2] = b * cos(angle) + a * sin(angle);
    }
}

/* Of a block of tokens' features x[token][dim]; returns how many numbers. */
static size_t pool(const char *names, size_t dim, const double *x, double *y)
{
    static const char *const kinds[] = {"max", "min", "avg"};
    size_t n = 0;
    for (size_t kind = 0; kind < 3; kind++)
        for (size_t f = 0; f < dim && strstr(names, kinds[kind]); f++) {
            double best = x[f], sum = 0;
            for (size_t j = 0; j < BLOCK; j++) {
                double v = x[j * dim + f];
                best = kind == 0 ? fmax(best, v) : fmin(best, v);
                sum += v / BLOCK;
            }
            y[n++] = kind == 2 ? sum : best;
        }
    return n;
}

/* A block's features in the gate: [width]. */
static void gate(const struct tiny *t, const struct tiny_tensor *w, size_t head, const char *pools,
                 size_t block, const double *x, double *y)
{
    size_t dim = t->hidden / t->heads;
    double pooled[3 * LAC_MAX_HEAD_DIM];
    size_t n = pool(pools, dim, x + block * BLOCK * dim, pooled);
    for (size_t o = 0; o < t->gate_width; o++) {
        y[o] = w ? 0 : pooled[o];
        for (size_t i = 0; w && i < n; i++)
            y[o] += (double)w->data[(head * n + i) * t->gate_width + o] * pooled[i];
    }
    naive_turn(t->gate_width, block * BLOCK, y);
}

void naive_gates(const struct tiny *t, size_t layer, size_t head, const double *q, const double *k,
                 size_t n_blocks, double *weights)
{
    const struct tiny_tensor *of_q = find(t, layer, "attn_gate.mask_linear_q");
    const struct tiny_tensor *of_k = find(t, layer, "attn_gate.mask_linear_k");
    size_t width = t->gate_width;
    char pools[32];
    snprintf(pools, sizeof pools, "%s", t->gates);
    char *key_pools = strchr(pools, '_');
    *key_pools++ = '\0';
    double *keys = calloc(n_blocks, width * sizeof *keys), query[LAC_MAX_HEAD_DIM];
    ck_assert_ptr_nonnull(of_k);
    for (size_t b = 0; b < n_blocks; b++)
        gate(t, of_k, of_q ? head / 2 : head, key_pools, b, k, keys + b * width);
    for (size_t b = 0; b < n_blocks; b++) {
        double *row = weights + b * n_blocks, sum = 0;
        gate(t, of_q, head, pools, b, q, query);
        for (size_t i = 0; i <= b; i++) {
            row[i] = 0;
            for (size_t f = 0; f < width; f++)
                row[i] += query[f] * keys[i * width + f] / sqrt((double)width);
            sum += exp(row[i]);
        }
        for (size_t i = 0; i < n_blocks; i++)
            row[i] = i <= b ? exp(row[i]) / sum : 0;
    }
    free(keys);
}

/* ---- A head ---- */

struct gated {
    struct tiny tiny;
    size_t n_blocks;
    double *q, *k; /* [tokens][dim], before the rotation */
    double *weights;
    struct lac_network *network[2]; /* with plain C, and with all there is */
    struct pick_head head;
    struct lac_pick_gates gates[2];
    float *pooled;
    size_t n_pooled;
};

static void fill(struct gated *g, uint64_t *state)
{
    size_t dim = g->tiny.hidden / g->tiny.heads, n = g->n_blocks * BLOCK;
    for (size_t b = 0; b < g->n_blocks; b++)
        for (size_t f = 0; f < dim; f++) {
            double of_q = (double)random_float(state), of_k = (double)random_float(state);
            for (size_t j = 0; j < BLOCK; j++) {
                size_t at = (b * BLOCK + j) * dim + f;
                g->q[at] = of_q + (double)random_float(state);
                g->k[at] = of_k + (double)random_float(state);
            }
        }
    for (size_t i = 0; i < n; i++) {
        double q[LAC_MAX_HEAD_DIM], k[LAC_MAX_HEAD_DIM];
        memcpy(q, g->q + i * dim, dim * sizeof *q);
        memcpy(k, g->k + i * dim, dim * sizeof *k);
        naive_turn(dim, i, q);
        naive_turn(dim, i, k);
        for (size_t f = 0; f < dim; f++) {
            g->head.q[i * dim + f] = (float)q[f];
            g->head.k[i * dim + f] = (float)k[f];
            g->head.v[i * dim + f] = random_float(state);
        }
    }
    pick_head_fill(&g->head);
}

static struct gated open_gated(struct tiny tiny, enum lac_dtype dtype, size_t head, size_t n_blocks)
{
    struct gated g = {.tiny = tiny, .n_blocks = n_blocks};
    struct lac_error error = {0};
    uint64_t state = test_seed() + n_blocks;
    tiny_make(&g.tiny, test_seed() + 41);
    size_t dim = g.tiny.hidden / g.tiny.heads;
    const char *path = tiny_write(&g.tiny);
    g.q = calloc(n_blocks * BLOCK, dim * sizeof *g.q);
    g.k = calloc(n_blocks * BLOCK, dim * sizeof *g.k);
    g.pooled = calloc(lac_ceil_div(n_blocks, LAC_TILE), LAC_TILE * 3 * dim * sizeof *g.pooled);
    g.weights = calloc(n_blocks, n_blocks * sizeof *g.weights);
    for (size_t i = 0; i < 2; i++) {
        struct lac_network_options options = {
            .dtype = dtype, .pattern = -1, .features = i ? lac_cpu_features() : 0};
        ck_assert_msg(!lac_network_open(&lac_default_host, path, &options, &g.network[i], &error),
                      "%s", error.text);
        const struct lac_network *network = g.network[i];
        const struct lac_gates *kind = &network->config.gates;
        g.gates[i] = (struct lac_pick_gates){
            .kind = kind,
            .query = kind->has_query ? &network->layers[1].pooled_query : NULL,
            .key = &network->layers[1].pooled_key,
            .query_row = head * kind->width,
            .key_row = (kind->has_query ? head / 2 : head) * kind->width,
            .turns = network->gate_turns,
            .rope = &network->config.rope,
        };
    }
    g.head = pick_head_make(n_blocks * BLOCK, dim);
    fill(&g, &state);
    naive_gates(&g.tiny, 1, head, g.q, g.k, n_blocks, g.weights);
    return g;
}

static void close_gated(struct gated *g)
{
    pick_head_free(&g->head);
    for (size_t i = 0; i < 2; i++)
        lac_network_free(g->network[i]);
    free(g->q);
    free(g->k);
    free(g->weights);
    free(g->pooled);
    tiny_free(&g->tiny);
}

/* Which blocks of keys a block of queries sees, from its pages' bits. */
static bool is_seen(const struct gated *g, size_t block, size_t key_block)
{
    size_t page = key_block * (BLOCK / LAC_PICK_PAGE);
    const uint64_t *bits = g->head.bits + block * lac_pick_words(g->head.n);
    return bits[page / 64] >> page % 64 & 1;
}

/* Weights so near to one another may be told apart differently. */
#define NEAR 2e-3

static void check_threshold(const struct gated *g, double threshold)
{
    size_t n_seen = 0, n_not = 0;
    for (size_t b = 0; b < g->n_blocks; b++) {
        ck_assert(is_seen(g, b, b));
        for (size_t i = 0; i < b; i++) {
            double weight = g->weights[b * g->n_blocks + i];
            if (fabs(weight - threshold) < NEAR * threshold)
                continue;
            check_each(is_seen(g, b, i) == (weight > threshold),
                       "%s, %zu blocks: block %zu of %zu has %g, threshold %g", g->tiny.gates,
                       g->n_blocks, i, b, weight, threshold);
            n_seen += weight > threshold;
            n_not += weight <= threshold;
        }
    }
    ck_assert(n_seen > 0 && n_not > 0);
}

/* Those that are seen have more weight than the others, and are as many as were asked for. */
static void check_best(const struct gated *g, size_t most, double share)
{
    for (size_t b = 0; b < g->n_blocks; b++) {
        double least = 1, best = 0;
        size_t n = 0;
        for (size_t i = 0; i < b; i++) {
            double weight = g->weights[b * g->n_blocks + i];
            n += is_seen(g, b, i);
            if (is_seen(g, b, i))
                least = fmin(least, weight);
            else
                best = fmax(best, weight);
        }
        size_t wanted = share > 0 ? lac_max_size(1, (size_t)(share * (double)(b + 1))) : most;
        check_each(n == lac_min_size(wanted, b), "block %zu sees %zu of %zu", b, n, wanted);
        check_each(least >= best * (1 - NEAR), "block %zu: %g is seen, %g is not", b, least, best);
    }
}

static void choose(struct gated *g, const struct lac_pick *choice, enum lac_dtype dtype,
                   size_t which)
{
    g->n_pooled = 0;
    g->gates[which].pooled = g->pooled;
    g->gates[which].n_pooled = &g->n_pooled;
    pick_head_gate(&g->head, &g->gates[which], g->tiny.heads);
    pick_head_choose(&g->head, choice, true, dtype, which ? lac_cpu_features() : 0);
}

/* Every form of keys: all kernels choose alike. */
static void check_kernels(struct gated *g, const struct lac_pick *choice)
{
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    size_t bytes = g->n_blocks * lac_pick_words(g->head.n) * sizeof *g->head.bits;
    uint64_t *first = malloc(bytes);
    ck_assert_ptr_nonnull(first);
    for (size_t i = 0; i < 3; i++) {
        choose(g, choice, dtypes[i], 0);
        memcpy(first, g->head.bits, bytes);
        choose(g, choice, dtypes[i], 1);
        check_each(!memcmp(first, g->head.bits, bytes), "%s, keys %d", g->tiny.gates,
                   (int)dtypes[i]);
    }
    free(first);
}

START_TEST(gates)
{
    static const struct {
        const char *pools, *rule;
        size_t hidden, width, n_blocks;
    } cases[] = {
        {"Qavg_Kmaxminavg", NULL, 128, 32, 55},
        {"Qavg_Kmaxminavg", NULL, 128, 64, 7},
        {"Qavg_Kavg", ", \"seerattn_gate_force_double\": true", 128, 32, 13},
        {"Qmaxmin_Kmin", NULL, 72, 32, 20},
        {"Qmax_Kmaxavg", NULL, 136, 96, 97},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t head = 1; head < 4; head += 2) {
            struct tiny tiny = {.family = TINY_LLAMA,
                                .heads = 4,
                                .hidden = cases[i].hidden,
                                .max_tokens = 8192,
                                .gates = cases[i].pools,
                                .gate_rule = cases[i].rule,
                                .gate_width = cases[i].width};
            struct gated g = open_gated(tiny, LAC_F32, head, cases[i].n_blocks);
            double threshold = 0.7 / (double)cases[i].n_blocks;
            struct lac_pick choice = {.kind = LAC_PICK_GATED, .threshold = threshold};
            for (size_t which = 0; which < 2; which++) {
                choose(&g, &choice, LAC_F32, which);
                check_threshold(&g, threshold);
            }
            check_kernels(&g, &choice);
            choice.blocks.n = 3;
            choose(&g, &choice, LAC_F32, 1);
            check_best(&g, 3, 0);
            choice = (struct lac_pick){.kind = LAC_PICK_GATED, .share = 0.3};
            choose(&g, &choice, LAC_F32, 1);
            check_best(&g, 0, 0.3);
            close_gated(&g);
        }
}
END_TEST

/* In integers nothing but rounding is different. */
START_TEST(gates_in_integers)
{
    struct tiny tiny = {.family = TINY_LLAMA,
                        .heads = 4,
                        .hidden = 256,
                        .max_tokens = 8192,
                        .gates = "Qavg_Kmaxminavg",
                        .gate_width = 64};
    struct gated g = open_gated(tiny, LAC_S8, 2, 50);
    struct lac_pick choice = {.kind = LAC_PICK_GATED, .threshold = 0.02};
    size_t n_alike = 0, n = 0;
    check_kernels(&g, &choice); /* the last was of int8 */
    for (size_t b = 0; b < g.n_blocks; b++)
        for (size_t i = 0; i < b; i++, n++)
            n_alike += is_seen(&g, b, i) == (g.weights[b * g.n_blocks + i] > 0.02);
    ck_assert_msg(n_alike * 100 > n * 95, "%zu of %zu", n_alike, n);
    close_gated(&g);
}
END_TEST

void add_gate_tests(Suite *suite)
{
    add_test(suite, "gates", gates);
    add_test(suite, "gates_in_integers", gates_in_integers);
}
