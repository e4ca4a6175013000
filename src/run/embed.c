/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings: word, token type and position rows, summed in that order, normalised in encoders; and
 * the angles that are positions of others. */
#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/member.h"
#include "src/run/rope.h"

/* The token at a place in the batch. */
struct place {
    const struct lac_sequence *sequence;
    size_t position;
};

/* The last sequence that begins at or before the token. */
static size_t find_sequence(const struct lac_member *m, size_t token)
{
    size_t low = 0, high = m->forward->n_sequences;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (m->region->first[middle] <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void add_row(const struct lac_matrix *table, size_t index, float *scratch, float *row)
{
    lac_matrix_row(table, index, scratch);
    for (size_t f = 0; f < table->n_in; f++)
        row[f] += scratch[f];
}

/* The number of a token in its text. */
static size_t position_of(struct place at)
{
    return at.position + (at.sequence->kv ? at.sequence->kv->n_keys : 0);
}

typedef void row_function(const struct lac_member *m, struct place at, float *scratch, float *row);

static void word_row(const struct lac_member *m, struct place at, float *scratch, float *row)
{
    (void)scratch;
    lac_matrix_row(&m->network->word, (size_t)at.sequence->ids[at.position], row);
}

static void add_position(const struct lac_network *n, struct place at, float *scratch, float *row)
{
    if (n->position.weight)
        add_row(&n->position, position_of(at) + n->config.position_offset, scratch, row);
}

static void position_row(const struct lac_member *m, struct place at, float *scratch, float *row)
{
    memset(row, 0, m->network->config.hidden_size * sizeof *row);
    add_position(m->network, at, scratch, row);
}

static void embedding_row(const struct lac_member *m, struct place at, float *scratch, float *row)
{
    const struct lac_network *n = m->network;
    const struct lac_sequence *s = at.sequence;
    word_row(m, at, scratch, row);
    if (n->config.n_token_types)
        add_row(&n->type, s->type_ids ? s->type_ids[at.position] : 0, scratch, row);
    add_position(n, at, scratch, row);
}

/* Places of up to LAC_LANES tokens from one on. */
static size_t find_places(const struct lac_member *m, struct lac_tile tile, size_t lane,
                          struct place places[LAC_LANES])
{
    const struct lac_forward *f = m->forward;
    size_t token = tile.index * LAC_TILE + lane;
    size_t n = lac_min_size(tile.n_tokens - lane, LAC_LANES), s = find_sequence(m, token);
    for (size_t i = 0; i < n; i++, token++) {
        while (token >= m->region->first[s + 1])
            s++;
        places[i] = (struct place){f->sequences[s], token - m->region->first[s]};
    }
    return n;
}

/* A panel of n_features from rows made one by one. */
static void fill_lanes(const struct lac_member *m, struct lac_tile tile, size_t lane,
                       row_function *make, size_t n_features, float *panel)
{
    struct place places[LAC_LANES];
    const float *rows[LAC_LANES];
    const struct lac_config *config = &m->network->config;
    size_t width = lac_max_size(config->hidden_size, config->embedding_size);
    float *rows_in = m->region->rows_in + m->rank * (LAC_LANES + 1) * width;
    float *scratch = rows_in + LAC_LANES * width;
    size_t n = find_places(m, tile, lane, places);
    if (tile.ld == 1) {
        make(m, places[0], scratch, panel);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        make(m, places[i], scratch, rows_in + i * width);
        rows[i] = rows_in + i * width;
    }
    struct lac_to_panel_args args = {rows, n, n_features, tile.ld, panel + lane};
    m->network->kernels.to_panel->run.to_panel(&args);
}

void lac_run_embedding(const struct lac_member *m, struct lac_tile tile, size_t lane,
                       size_t n_lanes)
{
    size_t hidden = m->network->config.hidden_size;
    float *panel = lac_tile_f32(m->h, tile.index, hidden);
    for (size_t i = lane; i < lane + n_lanes; i += LAC_LANES)
        fill_lanes(m, tile, i, embedding_row, hidden, panel);
    if (m->network->embedding_norm.gamma)
        lac_run_norm(m, &m->network->embedding_norm, tile, lane, n_lanes, panel, panel);
}

void lac_run_narrow_embedding(const struct lac_member *m, struct lac_tile tile, size_t lane,
                              size_t n_lanes)
{
    const struct lac_config *config = &m->network->config;
    float *h = lac_tile_f32(m->h, tile.index, config->hidden_size), *x = lac_tile_x(m, tile);
    for (size_t i = lane; i < lane + n_lanes; i += LAC_LANES) {
        fill_lanes(m, tile, i, word_row, config->embedding_size, x);
        fill_lanes(m, tile, i, position_row, config->hidden_size, h);
    }
    lac_run_quantize(m, tile, lane, n_lanes, x, config->embedding_size, NULL);
}

/* ---- Angles ---- */

/* Pairs whose angles one token has. */
enum { MOST_PAIRS = LAC_MAX_HEAD_DIM / 2 };

static void angles_of(const struct lac_member *m, struct place at, size_t ld, float *cosines,
                      float *sines)
{
    const struct lac_config *config = &m->network->config;
    size_t n_pairs = config->head_dim / 2;
    float of_text[MOST_PAIRS];
    const float *frequencies = m->network->rope_frequencies;
    size_t n_text = lac_max_size(at.sequence->n_text, position_of(at) + 1);
    if (lac_rope_depends(config, n_text)) {
        lac_rope_frequencies(&config->rope, config->head_dim, n_text, of_text);
        frequencies = of_text;
    }
    lac_rope_angles(&config->rope, frequencies, n_pairs, position_of(at), ld, cosines, sines);
}

void lac_run_angles(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes)
{
    size_t n_pairs = m->network->config.head_dim / 2;
    float *cosines = lac_tile_f32(m->region->cos, tile.index, n_pairs);
    float *sines = lac_tile_f32(m->region->sin, tile.index, n_pairs);
    for (size_t i = lane; i < lane + n_lanes; i += LAC_LANES) {
        struct place places[LAC_LANES];
        size_t n = find_places(m, tile, i, places);
        for (size_t k = 0; k < n; k++)
            angles_of(m, places[k], tile.ld, cosines + i + k, sines + i + k);
    }
}
