/* SPDX-License-Identifier: Apache-2.0 */
/* Heads: from the last layer's output to rows of results. */
#include <math.h>

#include "src/run/member.h"

static void rows_out(const struct lac_member *m, const float *panel, struct lac_tile tile,
                     size_t n_features)
{
    for (size_t lane = 0; lane < tile.n_tokens; lane += LAC_LANES) {
        struct lac_from_panel_args args = {
            .panel = panel + lane,
            .n_rows = lac_min_size(tile.n_tokens - lane, LAC_LANES),
            .n_features = n_features,
            .ld = tile.ld,
            .rows = m->region->out + tile.index * LAC_TILE + lane,
        };
        m->network->kernels.from_panel->run.from_panel(&args);
    }
}

/* A dense layer of the head into the tile of v (free by now), quantised into x8 as the input of
 * the layer after it. */
static struct lac_input dense(const struct lac_member *m, const struct lac_linear *linear,
                              enum lac_activation activation, struct lac_tile tile)
{
    float *v = lac_tile_f32(m->region->v, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.activation = activation, .y = v};
    lac_run_linear(linear, tile, lac_all_rows(linear), lac_hidden_input(m, tile), y);
    lac_run_quantize(m, tile, 0, tile.ld, v, m->network->config.hidden_size, NULL);
    return lac_input_of(m, tile, v);
}

/* The last linear layer of a tile, written out. */
static void logits_out(const struct lac_member *m, const struct lac_linear *linear,
                       struct lac_tile tile, struct lac_input x)
{
    size_t width = linear->weight.n_out;
    float *logits = m->region->logits + m->rank * LAC_TILE * width;
    struct lac_output y = {.y = logits};
    lac_run_linear(linear, tile, lac_all_rows(linear), x, y);
    rows_out(m, logits, tile, width);
}

/* Devlin et al. 2019 (BERT: the pooler, then the classifier); RoBERTa, DistilBERT and BigBird put a
 * dense layer of their own before the classifier, with tanh, ReLU and the activation of the rest.
 */
static void classify(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_network *n = m->network;
    bool has_dense = n->config.has_classifier_dense;
    const struct lac_linear *first = has_dense ? &n->classifier_dense : &n->pooler;
    const enum lac_activation activations[LAC_N_FAMILIES] = {
        [LAC_FAMILY_BERT] = has_dense ? lac_hidden_activation(&n->config) : LAC_ACT_TANH,
        [LAC_FAMILY_ROBERTA] = LAC_ACT_TANH,
        [LAC_FAMILY_DISTILBERT] = LAC_ACT_RELU,
    };
    logits_out(m, &n->classifier, tile, dense(m, first, activations[n->config.family], tile));
}

static void tag(const struct lac_member *m, struct lac_tile tile)
{
    logits_out(m, &m->network->classifier, tile, lac_hidden_input(m, tile));
}

static void answer(const struct lac_member *m, struct lac_tile tile)
{
    logits_out(m, &m->network->answer, tile, lac_hidden_input(m, tile));
}

static void normalize(float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    double factor = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++)
        vector[i] = (float)((double)vector[i] * factor);
}

static void embed_first(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_network *n = m->network;
    size_t hidden = n->config.hidden_size;
    const float *panel = lac_tile_f32(m->h, tile.index, hidden);
    if (m->forward->head->pooling == LAC_POOL_POOLER) {
        dense(m, &n->pooler, LAC_ACT_TANH, tile);
        panel = lac_tile_f32(m->region->v, tile.index, hidden);
    }
    rows_out(m, panel, tile, hidden);
    if (m->forward->head->normalize == LAC_NORMALIZE_L2)
        for (size_t i = 0; i < tile.n_tokens; i++)
            normalize(m->region->out[tile.index * LAC_TILE + i], hidden);
}

/* Features whose sums go on side by side, because one sum's additions wait for each other. */
enum { SUMS = 8 };

/* Sums features [begin, end), at most SUMS, in the order of the tokens, whatever tiles they lie
 * in. */
static void sum_tokens(const struct lac_member *m, size_t sequence, size_t begin, size_t end,
                       double sums[SUMS])
{
    size_t hidden = m->network->config.hidden_size;
    const size_t *first = m->region->first + sequence;
    for (size_t i = 0; i < SUMS; i++)
        sums[i] = 0;
    for (size_t token = first[0]; token < first[1];) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, token / LAC_TILE);
        const float *x = lac_tile_f32(m->h, tile.index, hidden) + begin * tile.ld;
        size_t stop = lac_min_size(first[1], (tile.index + 1) * LAC_TILE);
        for (; token < stop; token++)
            for (size_t i = 0; i < end - begin; i++)
                sums[i] += (double)x[i * tile.ld + token % LAC_TILE];
    }
}

static void embed_mean(const struct lac_member *m, size_t sequence)
{
    size_t hidden = m->network->config.hidden_size;
    const struct lac_sequence *s = m->forward->sequences[sequence];
    for (size_t f = 0; f < hidden; f += SUMS) {
        double sums[SUMS];
        size_t end = lac_min_size(f + SUMS, hidden);
        sum_tokens(m, sequence, f, end, sums);
        for (size_t i = f; i < end; i++)
            s->rows[i] = (float)(sums[i - f] / (double)s->n_tokens);
    }
    if (m->forward->head->normalize == LAC_NORMALIZE_L2)
        normalize(s->rows, hidden);
}

static void embed_means(const struct lac_member *m)
{
    size_t begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences, 1, &begin, &end);
    for (size_t i = begin; i < end; i++)
        embed_mean(m, i);
}

static void for_own_tiles(const struct lac_member *m,
                          void (*run)(const struct lac_member *m, struct lac_tile tile))
{
    size_t begin, end;
    lac_own_tiles(m, &begin, &end);
    for (size_t i = begin; i < end; i++)
        run(m, lac_tile_at(m, m->n_tokens, i));
}

static void fill_dense(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_network *n = m->network;
    float *v = lac_tile_f32(m->region->v, tile.index, n->config.hidden_size);
    /* RoBERTa's own head has GELU whatever the layers have. */
    enum lac_activation activation =
        n->config.family == LAC_FAMILY_ROBERTA ? LAC_ACT_GELU : lac_hidden_activation(&n->config);
    struct lac_output y = {.activation = activation, .y = v};
    lac_run_linear(&n->fill_dense, tile, lac_all_rows(&n->fill_dense), lac_hidden_input(m, tile),
                   y);
    lac_run_norm(m, &n->fill_norm, tile, 0, tile.ld, v, v);
}

/* The decoder has a row for every word: all members share each tile's. */
static void fill(const struct lac_member *m)
{
    const struct lac_linear *decoder = &m->network->fill_decoder;
    size_t hidden = m->network->config.hidden_size;
    for_own_tiles(m, fill_dense);
    lac_team_barrier(m->team, m->rank);
    for (size_t i = 0; i < lac_tiles(m->n_tokens); i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct lac_input x = lac_input_of(m, tile, lac_tile_f32(m->region->v, i, hidden));
        struct lac_output y = {.y = m->region->logits};
        lac_run_linear(decoder, tile, lac_share_rows(m, decoder), x, y);
        lac_team_barrier(m->team, m->rank);
        if (m->rank == 0)
            rows_out(m, m->region->logits, tile, decoder->weight.n_out);
        lac_team_barrier(m->team, m->rank);
    }
}

void lac_run_head(const struct lac_member *m)
{
    const struct lac_head *head = m->forward->head;
    switch (head->task) {
    case LAC_TASK_CLASSIFY:
        for_own_tiles(m, classify);
        break;
    case LAC_TASK_TAG:
        for_own_tiles(m, tag);
        break;
    case LAC_TASK_ANSWER:
        for_own_tiles(m, answer);
        break;
    case LAC_TASK_FILL:
        fill(m);
        break;
    case LAC_TASK_EMBED:
        if (head->pooling == LAC_POOL_MEAN)
            embed_means(m);
        else
            for_own_tiles(m, embed_first);
        break;
    case LAC_TASK_GENERATE: /* no encoder's */
        break;
    }
}
