/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of tokens that look up what is before their window (Xiao et al. 2024). */
#include "src/run/looked_up.h"

#include <string.h>

#include "src/run/keys.h"
#include "src/run/page_choice.h"

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

static const struct lac_kv_rule *rule_of(const struct lac_kv *kv, size_t layer, size_t head)
{
    return &kv->shape.rules->of[layer * kv->shape.n_heads + head];
}

bool lac_looks_up(const struct lac_kv *kv, size_t layer, size_t head, size_t place)
{
    return lac_kv_remembers(kv, layer, head) &&
           place / LAC_KEY_BLOCK > rule_of(kv, layer, head)->n_left;
}

/* The first block of the window. */
static size_t window_of(const struct lac_row *row)
{
    return row->place / LAC_KEY_BLOCK - rule_of(row->kv, row->layer, row->kv_head)->n_left;
}

/* ---- Positions ---- */

/* to[i] = x[i] turned back by a token's angles, for n lanes that are ld apart; what turned them
 * had a factor. */
static void turn_back(const struct lac_member *m, const float *x, const float *cosines,
                      const float *sines, size_t ld, size_t n, float *to)
{
    size_t half = m->network->config.head_dim / 2;
    float factor = (float)(1 / m->network->config.rope.attention_factor);
    for (size_t i = 0; i < half; i++)
        for (size_t k = 0; k < n; k++) {
            float c = cosines[i * ld + k] * factor, s = sines[i * ld + k] * factor;
            float a = x[i * ld + k], b = x[(i + half) * ld + k];
            to[i * LAC_TILE + k] = a * c + b * s;
            to[(i + half) * LAC_TILE + k] = b * c - a * s;
        }
}

void lac_store_memory(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    size_t n_features = lac_key_size(config), feature = kv_head * config->head_dim;
    size_t begin = r->first[sequence], end = r->first[sequence + 1], key = kv->n_keys;
    float *turned = r->turned + m->rank * config->head_dim * LAC_TILE;
    for (size_t i = begin / LAC_TILE; i <= (end - 1) / LAC_TILE; i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct lac_span lanes = lac_lanes_in_tile(begin, end, i);
        size_t n = lanes.end - lanes.begin, offset = feature * tile.ld + lanes.begin;
        struct lac_kv_segment segment = {
            .k = turned,
            .v = lac_tile_f32(r->v, i, n_features) + offset,
            .k_ld = LAC_TILE,
            .v_ld = tile.ld,
            .v_step = 1,
            .n_keys = n,
        };
        struct lac_kv_pages_args args = {
            .segments = &segment,
            .n_segments = 1,
            .head_dim = config->head_dim,
            .pages = lac_kv_head_memory(kv, layer, kv_head) + key / LAC_LANES,
            .first_key = key % LAC_LANES,
        };
        turn_back(m, lac_tile_f32(r->k, i, n_features) + offset,
                  lac_tile_f32(r->cos, i, config->head_dim / 2) + lanes.begin,
                  lac_tile_f32(r->sin, i, config->head_dim / 2) + lanes.begin, tile.ld, n, turned);
        m->network->kernels.kv_pages[kv->shape.dtype]->run.kv_pages(&args);
        key += n;
    }
    lac_kv_label(kv, layer, kv_head, kv->n_keys, key - kv->n_keys);
}

/* A token's queries as they are behind the window of all of them, seen from position 0. */
static const float *turn_queries(const struct lac_member *m, const struct lac_row *row)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_kv_rules *rules = row->kv->shape.rules;
    size_t half = config->head_dim / 2;
    float factor = (float)(1 / config->rope.attention_factor);
    float *to = m->region->row + (m->rank * 2 + 1) * lac_query_size(config), *all = to;
    for (size_t head = 0; head < row->n_heads; head++, to += config->head_dim)
        for (size_t i = 0; i < half; i++) {
            const float *q = row->q + (head * config->head_dim + i) * row->ld;
            float c = row->cos[i * row->ld] * factor, s = row->sin[i * row->ld] * factor;
            float x = rules->edge_cos[i] * c + rules->edge_sin[i] * s;
            float y = rules->edge_sin[i] * c - rules->edge_cos[i] * s;
            float a = q[0], b = q[half * row->ld];
            to[i] = a * x - b * y;
            to[i + half] = b * x + a * y;
        }
    return all;
}

/* ---- What is read ---- */

size_t lac_list_looked_up(const struct lac_member *m, const struct lac_row *row,
                          struct lac_seen_keys *seen)
{
    const struct lac_region *r = m->region;
    const struct lac_kv_rule *rule = rule_of(row->kv, row->layer, row->kv_head);
    size_t window = window_of(row), last = window + rule->n_left;
    const struct lac_page_choice choice = {
        .kv = row->kv,
        .layer = row->layer,
        .kv_head = row->kv_head,
        .place = window * LAC_KEY_BLOCK,
        .q = turn_queries(m, row),
        .n_queries = row->n_heads,
        .scorer = m->network->kernels.page_scores,
        .scores = r->scores + m->rank * (LAC_ROW_QUERIES + 1) * r->n_scores,
        .ld = r->n_scores,
    };
    size_t n = lac_choose_blocks(&choice, rule->n_memory, rule->budget, seen);
    for (size_t block = window; block <= last; block++)
        seen[n++] = (struct lac_seen_keys){LAC_WINDOW_SHIFT + block, ~UINT64_C(0)};
    seen[n - 1].keys >>= LAC_KEY_BLOCK - 1 - row->place % LAC_KEY_BLOCK;
    return n;
}

size_t lac_looked_up_cost(const struct lac_row *row)
{
    const struct lac_kv_rule *rule = rule_of(row->kv, row->layer, row->kv_head);
    size_t window = window_of(row);
    return rule->n_left + 1 + lac_min_size(window, rule->n_memory + rule->budget) + window / 16;
}

static void run(const struct lac_member *m, const struct lac_row *row,
                const struct lac_attention_row_args *args)
{
    if (args->n_seen)
        m->network->kernels.attention_row[row->kv->shape.dtype]->run.attention_row(args);
}

/* The head's pages in the places that the list says. */
static const void *const *window_pages(const struct lac_member *m, const struct lac_row *row)
{
    const struct lac_region *r = m->region;
    size_t window = window_of(row), gone = lac_kv_gone(row->kv, row->layer, row->kv_head);
    size_t first = (window * LAC_KEY_BLOCK - gone) / LAC_LANES;
    void **pages = r->row_pages + m->rank * r->n_whole;
    memcpy(pages + (LAC_WINDOW_SHIFT + window) * BLOCK_PAGES,
           lac_kv_head(row->kv, row->layer, row->kv_head) + first,
           (row->place / LAC_LANES + 1 - window * BLOCK_PAGES) * sizeof *pages);
    return (const void *const *)pages;
}

/* What the entries come to, in args.parts. */
static void run_entries(const struct lac_member *m, const struct lac_row *row,
                        struct lac_attention_row_args args)
{
    const struct lac_seen_keys *seen = args.seen;
    const float *q = args.q;
    size_t n_seen = args.n_seen, n = 0, first = LAC_WINDOW_SHIFT + window_of(row);
    while (n < n_seen && seen[n].block < first)
        n++;
    args.y = NULL;
    args.n_seen = n;
    args.q = n ? turn_queries(m, row) : q;
    args.pages = (const void *const *)lac_kv_head_memory(row->kv, row->layer, row->kv_head);
    run(m, row, &args);
    args.seen = seen + n;
    args.n_seen = n_seen - n;
    args.q = q;
    args.pages = window_pages(m, row);
    run(m, row, &args);
}

void lac_run_looked_up(const struct lac_member *m, const struct lac_row *row,
                       const struct lac_attention_row_args *args)
{
    struct lac_attention_row_args a = *args;
    if (!(a.parts && a.y)) {
        a.parts = a.parts ? a.parts : m->region->row_parts + m->rank * m->region->n_parts;
        run_entries(m, row, a);
    }
    if (a.y)
        run(m, row, &a);
}
