/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings: word, token type and position rows, summed in that order, normalised. */
#include "src/run/member.h"

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

static void embed_token(const struct lac_network *n, struct place at, float *scratch, float *row)
{
    const struct lac_sequence *s = at.sequence;
    lac_matrix_row(&n->word, (size_t)s->ids[at.position], row);
    if (n->config.n_token_types)
        add_row(&n->type, s->type_ids ? s->type_ids[at.position] : 0, scratch, row);
    add_row(&n->position, at.position + n->config.position_offset, scratch, row);
}

static void embed_lanes(const struct lac_member *m, struct lac_tile tile, size_t lane, float *panel)
{
    const struct lac_forward *f = m->forward;
    size_t hidden = m->network->config.hidden_size;
    float *rows_in = m->region->rows_in + m->rank * (LAC_LANES + 1) * hidden;
    const float *rows[LAC_LANES];
    size_t token = tile.index * LAC_TILE + lane;
    size_t n = lac_min_size(tile.n_tokens - lane, LAC_LANES);
    size_t s = find_sequence(m, token);
    for (size_t i = 0; i < n; i++, token++) {
        while (token >= m->region->first[s + 1])
            s++;
        struct place at = {f->sequences[s], token - m->region->first[s]};
        float *row = rows_in + i * hidden;
        embed_token(m->network, at, rows_in + LAC_LANES * hidden, row);
        rows[i] = row;
    }
    struct lac_to_panel_args args = {rows, n, hidden, tile.ld, panel};
    m->network->kernels.to_panel->run.to_panel(&args);
}

void lac_run_embedding(const struct lac_member *m, struct lac_tile tile, size_t lane,
                       size_t n_lanes)
{
    float *panel = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    for (size_t i = lane; i < lane + n_lanes; i += LAC_LANES)
        embed_lanes(m, tile, i, panel + i);
    lac_run_norm(m, &m->network->embedding_norm, tile, lane, n_lanes, panel, panel);
}
