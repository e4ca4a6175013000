/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over a packed batch: which queries meet which keys.
 *
 * Encoders' queries see the keys of their own sequence in the batch; decoders' those in its cache,
 * up to their own. */
#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/run/kv_lost.h"
#include "src/run/picked.h"
#include "src/run/page_choice.h"
#include "src/run/keys.h"
#include "src/run/looked_up.h"
#include "src/run/rows.h"
#include "src/run/trial.h"

/* Of the tokens kept after the last layer: the smallest span that holds those of one. */
static struct lac_span kept_in(const struct lac_member *m, const struct lac_sequence *s,
                               struct lac_span span)
{
    if (lac_head_keep(m->forward->head) == LAC_KEEP_FIRST)
        return lac_span_overlap(span, (struct lac_span){0, 1});
    struct lac_span all = {SIZE_MAX, 0};
    for (size_t i = 0; i < s->n_kept; i++)
        if (s->kept[i] >= span.begin && s->kept[i] < span.end) {
            all.begin = lac_min_size(all.begin, s->kept[i]);
            all.end = lac_max_size(all.end, s->kept[i] + 1);
        }
    return all;
}

size_t lac_global_tokens(const struct lac_member *m, size_t sequence)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_sequence *s = m->forward->sequences[sequence];
    size_t n = 0;
    if (!config->has_global)
        return 0;
    if (m->forward->head->task == LAC_TASK_CLASSIFY)
        return 1;
    while (m->forward->head->task == LAC_TASK_ANSWER && n < s->n_tokens &&
           s->ids[n] != config->sep_token_id)
        n++;
    return n;
}

/* Which queries attention is about: those of global tokens have keys of their own. */
enum part { LOCAL, GLOBAL };

static struct lac_span wanted(const struct lac_member *m, size_t sequence, struct lac_span span,
                              bool is_last, enum part part)
{
    const struct lac_sequence *s = m->forward->sequences[sequence];
    size_t n_global = lac_global_tokens(m, sequence);
    if (is_last && lac_head_keep(m->forward->head) != LAC_KEEP_ALL)
        span = kept_in(m, s, span);
    return lac_span_overlap(span, part == GLOBAL ? (struct lac_span){0, n_global}
                                                 : (struct lac_span){n_global, s->n_tokens});
}

/* Queries that meet the same keys: of some heads in a row. */
struct queries {
    enum part part;
    size_t sequence, layer;
    struct lac_span span;
    size_t head, n_heads;
};

static size_t kv_head_of(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_config *config = &m->network->config;
    return queries->head / (config->n_heads / config->n_kv_heads);
}

/* Keys of a sequence before those of the batch, as far as its cache keeps them. */
static size_t n_before(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head)
{
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    return kv ? kv->n_keys - lac_kv_skipped(kv, layer, kv_head) : 0;
}

/* Where a token of the batch stands among the keys of the queries' sequence and head. */
static size_t place_of(const struct lac_member *m, const struct queries *queries, size_t token)
{
    return n_before(m, queries->sequence, queries->layer, kv_head_of(m, queries)) + token;
}

static size_t n_keys_of(const struct lac_member *m, const struct queries *queries)
{
    return place_of(m, queries, m->forward->sequences[queries->sequence]->n_tokens);
}

/* The cache's rule comes before the network's. */
static const struct lac_sight *sight_of(const struct lac_member *m, const struct queries *queries,
                                        size_t head)
{
    static const struct lac_sight_term all = {.kind = LAC_SIGHT_ALL};
    static const struct lac_sight sees_all = {.terms = &all, .n_terms = 1};
    const struct lac_config *config = &m->network->config;
    const struct lac_kv *kv = m->forward->sequences[queries->sequence]->kv;
    size_t kv_head = queries->layer * config->n_kv_heads + kv_head_of(m, queries);
    if (queries->part == GLOBAL)
        return &sees_all;
    if (kv && kv->shape.rules && kv->shape.rules->of[kv_head].sight)
        return kv->shape.rules->of[kv_head].sight;
    return m->forward->sights->rules[queries->layer * config->n_heads + head];
}

/* NULL: the head follows its rule. */
static const struct lac_pick *choice_of(const struct lac_member *m, const struct queries *queries,
                                        size_t head)
{
    return queries->part == GLOBAL ? NULL : lac_pick_of(m, queries->sequence, queries->layer, head);
}

/* Is it chosen what the first head's queries see?  They are of one block. */
static bool is_chosen(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_pick *choice = choice_of(m, queries, queries->head);
    if (!choice)
        return false;
    struct lac_range chosen = lac_picked_for(m, queries->sequence, choice);
    size_t at = place_of(m, queries, queries->span.begin);
    return at >= chosen.begin && at < chosen.end;
}

/* Panels that a block of queries can lie in. */
enum { MOST_SEGMENTS = (LAC_QUERY_BLOCK - 2) / LAC_TILE + 2 };

/* One head of queries, as kernels take it. */
struct lanes {
    struct lac_query_segment segments[MOST_SEGMENTS];
    size_t n_segments;
    float scale;
};

static struct lanes lanes_of(const struct lac_member *m, const struct queries *queries, size_t head)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    size_t feature = head * config->head_dim, n_features = lac_query_size(config);
    size_t first = r->first[queries->sequence];
    size_t begin = first + queries->span.begin, end = first + queries->span.end;
    struct lanes l = {.scale = lac_config_attention_scale(config, queries->layer)};
    for (size_t i = begin / LAC_TILE; i <= (end - 1) / LAC_TILE; i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct lac_span lanes = lac_lanes_in_tile(begin, end, i);
        size_t offset = feature * tile.ld + lanes.begin;
        l.segments[l.n_segments++] = (struct lac_query_segment){
            .q = lac_tile_f32(r->q, i, n_features) + offset,
            .y = lac_tile_f32(r->a, i, n_features) + offset,
            .abs_max = r->abs_max + m->rank * r->n_lanes + i * LAC_TILE + lanes.begin,
            .ld = tile.ld,
            .n_queries = lanes.end - lanes.begin,
        };
    }
    return l;
}

static void attend_segments(const struct lac_member *m, const struct lanes *q,
                            const struct lac_keys *keys, const struct lac_seen *seen,
                            const struct lac_lost_keys *lost)
{
    struct lac_attention_args args = {
        .queries = q->segments,
        .n_query_segments = q->n_segments,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .segment_keys = keys->segment_keys,
        .n_keys = keys->n_keys,
        .seen = *seen,
        .lost = lost,
    };
    m->network->kernels.attention[keys->dtype]->run.attention(&args);
}

static void attend_s8(const struct lac_member *m, const struct lanes *q,
                      const struct lac_keys *keys, const struct lac_seen *seen,
                      const struct lac_lost_keys *lost)
{
    struct lac_attention_s8_args args = {
        .queries = q->segments,
        .n_query_segments = q->n_segments,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .pages = (const void *const *)keys->pages,
        .n_keys = keys->n_keys,
        .seen = *seen,
        .lost = lost,
    };
    m->network->kernels.attention[LAC_S8]->run.attention_s8(&args);
}

static struct lac_sight_queries sight_queries(const struct lac_member *m,
                                              const struct queries *queries)
{
    size_t n = queries->span.end - queries->span.begin;
    return (struct lac_sight_queries){
        .first = (ptrdiff_t)place_of(m, queries, queries->span.begin),
        .lanes = ~UINT64_C(0) >> (LAC_QUERY_BLOCK - n),
        .n_keys = n_keys_of(m, queries),
        .n_global = lac_global_tokens(m, queries->sequence),
    };
}

/* Those of the queries, from the first on, that one list serves best. */
static struct lac_span listed_together(const struct lac_member *m, const struct queries *queries,
                                       const struct lac_sight *sight)
{
    struct lac_span span = queries->span;
    size_t at = place_of(m, queries, span.begin);
    size_t n = lac_sight_end(sight, n_keys_of(m, queries), at) - at;
    return (struct lac_span){span.begin, span.begin + lac_min_size(span.end - span.begin, n)};
}

/* Of queries that are listed together; NULL: nothing. */
static const struct lac_lost_keys *
find_lost(const struct lac_member *m, const struct queries *queries, struct lac_lost_keys *lost)
{
    const struct lac_kv *kv = m->forward->sequences[queries->sequence]->kv;
    float *room = m->region->lost + m->rank * 2 * m->network->config.head_dim;
    if (!kv)
        return NULL;
    size_t slot = (size_t)place_of(m, queries, queries->span.begin);
    bool has = lac_kv_find_lost(kv, queries->layer, kv_head_of(m, queries), slot, room, lost);
    return has ? lost : NULL;
}

static void attend_list(const struct lac_member *m, const struct queries *queries, size_t head,
                        const struct lac_keys *keys, const struct lac_seen *seen,
                        const struct lac_lost_keys *lost)
{
    struct lanes q = lanes_of(m, queries, head);
    size_t *n_blocks = m->forward->n_blocks;
    if (n_blocks)
        n_blocks[m->rank * m->network->config.n_heads + head] +=
            seen->n_blocks * (queries->span.end - queries->span.begin);
    (keys->dtype == LAC_S8 ? attend_s8 : attend_segments)(m, &q, keys, seen, lost);
}

/* One head's queries of a block that is chosen for: it has lost no keys. */
static void attend_chosen(const struct lac_member *m, const struct queries *queries,
                          const struct lac_keys *keys)
{
    struct lac_region *r = m->region;
    struct lac_sight_queries listed = sight_queries(m, queries);
    const uint64_t *bits = lac_picked_bits(m, queries->sequence, queries->layer, queries->head,
                                           (size_t)listed.first, keys);
    struct lac_seen seen =
        lac_pick_list(bits, lac_family_is_decoder(m->network->config.family), &listed,
                      r->blocks + m->rank * r->n_blocks, r->masks + m->rank * r->n_blocks);
    attend_list(m, queries, queries->head, keys, &seen, NULL);
}

/* Queries in lanes, a head at a time, of heads that see alike. */
static void attend_lanes(const struct lac_member *m, const struct queries *queries,
                         const struct lac_keys *keys)
{
    struct lac_region *r = m->region;
    const struct lac_sight *sight = sight_of(m, queries, queries->head);
    struct queries some = *queries;
    for (; some.span.begin < queries->span.end; some.span.begin = some.span.end) {
        some.span.end = queries->span.end;
        some.span = listed_together(m, &some, sight);
        struct lac_sight_queries listed = sight_queries(m, &some);
        struct lac_seen seen = lac_sight_list(sight, &listed, r->blocks + m->rank * r->n_blocks,
                                              r->masks + m->rank * r->n_blocks);
        struct lac_lost_keys room;
        const struct lac_lost_keys *lost = find_lost(m, &some, &room);
        for (size_t i = 0; i < queries->n_heads; i++)
            attend_list(m, &some, queries->head + i, keys, &seen, lost);
    }
}

/* Up to this many tokens of a sequence are worked on one by one: lanes would be empty. */
enum { ROW_TOKENS = 6 };

/* Do the queries' tokens choose what they read?  Then they do it one by one: all do behind the
 * prompt, or none (until_prompt_end). */
static bool chooses(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    const struct lac_kv_rules *rules = s->kv ? s->kv->shape.rules : NULL;
    size_t head = queries->layer * m->network->config.n_kv_heads + kv_head_of(m, queries);
    const struct lac_sight *sight = sight_of(m, queries, queries->head);
    return rules && lac_kv_chooses(&rules->of[head]) && sight->is_causal && sight->n_terms == 1 &&
           sight->terms[0].kind == LAC_SIGHT_ALL &&
           place_of(m, queries, queries->span.begin) >= s->n_prompt;
}

/* Do they look up what is before their windows?  All of a block do or none. */
static bool looks_up(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_kv *kv = m->forward->sequences[queries->sequence]->kv;
    size_t place = place_of(m, queries, queries->span.begin);
    return kv && lac_looks_up(kv, queries->layer, kv_head_of(m, queries), place);
}

static bool is_rows(const struct lac_member *m, const struct queries *queries)
{
    if (looks_up(m, queries))
        return true;
    return m->forward->sequences[queries->sequence]->kv && !is_chosen(m, queries) &&
           (queries->span.end - queries->span.begin <= ROW_TOKENS || chooses(m, queries));
}

/* The first of the queries, up to a place where tokens begin to choose. */
static struct lac_span until_prompt_end(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    struct lac_span span = queries->span;
    if (!s->kv || !s->kv->shape.rules || !s->kv->shape.rules->n_labels)
        return span;
    size_t place = place_of(m, queries, span.begin);
    if (place < s->n_prompt)
        span.end = lac_min_size(span.end, span.begin + (s->n_prompt - place));
    return span;
}

/* How many of n heads from the queries' on see like the first; one that chooses is alone. */
static size_t heads_alike(const struct lac_member *m, const struct queries *queries, size_t n)
{
    const struct lac_sight *sight = sight_of(m, queries, queries->head);
    size_t alike = 1;
    if (choice_of(m, queries, queries->head))
        return 1;
    while (alike < n && sight_of(m, queries, queries->head + alike) == sight &&
           !choice_of(m, queries, queries->head + alike))
        alike++;
    return alike;
}

/* A layer's attention, or its part for global tokens. */
struct pass {
    enum part part;
    size_t layer;
    bool is_last;
};

/* Blocks of queries of a sequence, cut where blocks of its head's keys are: ceil of so many
 * tokens / LAC_QUERY_BLOCK, and which tokens of the batch block i has. */
struct query_blocks {
    size_t offset; /* tokens of the first that came before */
    size_t n_tokens;
};

static struct query_blocks blocks_of(const struct lac_member *m, const struct pass *pass,
                                     size_t sequence, size_t kv_head)
{
    size_t offset = n_before(m, sequence, pass->layer, kv_head) % LAC_QUERY_BLOCK;
    return (struct query_blocks){offset, m->forward->sequences[sequence]->n_tokens};
}

static size_t n_blocks(const struct query_blocks *blocks)
{
    return lac_ceil_div(blocks->offset + blocks->n_tokens, LAC_QUERY_BLOCK);
}

/* Those of block i that share a key/value head; an empty span when nothing is wanted of them. */
static struct queries wanted_queries(const struct lac_member *m, const struct pass *pass,
                                     size_t sequence, const struct query_blocks *blocks, size_t i,
                                     size_t kv_head)
{
    size_t group = m->network->config.n_heads / m->network->config.n_kv_heads;
    size_t end = (i + 1) * LAC_QUERY_BLOCK - blocks->offset;
    struct lac_span span = {i ? end - LAC_QUERY_BLOCK : 0, lac_min_size(end, blocks->n_tokens)};
    return (struct queries){
        .part = pass->part,
        .sequence = sequence,
        .layer = pass->layer,
        .span = wanted(m, sequence, span, pass->is_last, pass->part),
        .head = kv_head * group,
        .n_heads = group,
    };
}

static bool chooses_at(const struct lac_member *m, const struct queries *queries, size_t token)
{
    const struct lac_kv *kv = m->forward->sequences[queries->sequence]->kv;
    size_t head = queries->layer * m->network->config.n_kv_heads + kv_head_of(m, queries);
    return chooses(m, queries) &&
           lac_page_choice_is_needed(&kv->shape.rules->of[head], place_of(m, queries, token));
}

static struct lac_row row_of(const struct lac_member *m, const struct queries *queries,
                             size_t token)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    struct queries one = *queries;
    one.span = (struct lac_span){token, token + 1};
    struct lanes l = lanes_of(m, &one, queries->head);
    size_t at = m->region->first[queries->sequence] + token, tile = at / LAC_TILE;
    size_t n_angles = m->network->config.head_dim / 2;
    return (struct lac_row){
        .kv = s->kv,
        .layer = queries->layer,
        .kv_head = kv_head_of(m, queries),
        .n_heads = queries->n_heads,
        .sight = sight_of(m, queries, queries->head),
        .place = place_of(m, queries, token),
        .chooses = chooses_at(m, queries, token),
        .looks_up = looks_up(m, &one),
        .cos = lac_tile_f32(m->region->cos, tile, n_angles) + at % LAC_TILE,
        .sin = lac_tile_f32(m->region->sin, tile, n_angles) + at % LAC_TILE,
        .scale = l.scale,
        .q = l.segments->q,
        .y = l.segments->y,
        .ld = l.segments->ld,
        .abs_max = l.segments->abs_max,
    };
}

/* Of heads that see alike: groups of query lanes times blocks of keys, or that of each token. */
static size_t cost_alike(const struct lac_member *m, const struct queries *queries)
{
    struct lac_span span = queries->span;
    size_t cost = 0;
    if (is_rows(m, queries)) {
        for (size_t token = span.begin; token < span.end; token++) {
            struct lac_row row = row_of(m, queries, token);
            cost += lac_row_cost(&row);
        }
        return cost;
    }
    struct lac_sight_queries listed = sight_queries(m, queries);
    size_t n = lac_sight_count(sight_of(m, queries, queries->head), &listed);
    if (is_chosen(m, queries))
        n = lac_pick_cost(choice_of(m, queries, queries->head), n);
    return lac_max_size(1, lac_ceil_div(span.end - span.begin, LAC_LANES) * n * queries->n_heads);
}

/* Of the heads that share a key/value head; 0 when nothing is wanted. */
static size_t cost_of(const struct lac_member *m, const struct queries *wanted)
{
    struct queries all = *wanted;
    size_t end = all.head + all.n_heads, cost = 0;
    for (; !lac_span_is_empty(all.span); all.span.begin = until_prompt_end(m, &all).end) {
        struct queries queries = all;
        queries.span = until_prompt_end(m, &all);
        for (; queries.head < end; queries.head += queries.n_heads) {
            queries.n_heads = heads_alike(m, &queries, end - queries.head);
            cost += cost_alike(m, &queries);
        }
    }
    return cost;
}

static size_t total_cost(const struct lac_member *m, const struct pass *pass)
{
    size_t total = 0;
    for (size_t s = 0; s < m->forward->n_sequences; s++)
        for (size_t head = 0; head < m->network->config.n_kv_heads; head++) {
            struct query_blocks blocks = blocks_of(m, pass, s, head);
            for (size_t i = 0; i < n_blocks(&blocks); i++) {
                struct queries queries = wanted_queries(m, pass, s, &blocks, i, head);
                total += cost_of(m, &queries);
            }
        }
    return total;
}

/* The member's part of tokens that are worked on one by one. */
static void attend_rows(const struct lac_member *m, const struct queries *queries,
                        struct lac_share *share)
{
    for (size_t token = queries->span.begin; token < queries->span.end; token++) {
        struct lac_row row = row_of(m, queries, token);
        share->cost = m->team->size > 1 ? lac_row_cost(&row) : 1;
        lac_attend_row(m, &row, share);
        share->done += share->cost;
    }
}

/* Queries that share a key/value head, by heads that see alike.  Those in lanes are all of one
 * member; *keys is filled by the first that is this one's. */
static void attend_group(const struct lac_member *m, struct queries queries, struct lac_keys *keys,
                         struct lac_share *share)
{
    size_t kv_head = kv_head_of(m, &queries), end = queries.head + queries.n_heads;
    const struct lac_kv *kv = m->forward->sequences[queries.sequence]->kv;
    for (; queries.head < end; queries.head += queries.n_heads) {
        queries.n_heads = heads_alike(m, &queries, end - queries.head);
        if (is_rows(m, &queries)) {
            attend_rows(m, &queries, share);
            continue;
        }
        bool is_mine = lac_share_owner(m, share->done, share->total) == m->rank;
        share->done += m->team->size > 1 ? cost_alike(m, &queries) : 1;
        if (!is_mine)
            continue;
        if (!keys->n_keys)
            *keys = kv ? lac_cached_keys(m, queries.sequence, queries.layer, kv_head)
                       : lac_batch_keys(m, queries.sequence, kv_head);
        (is_chosen(m, &queries) ? attend_chosen : attend_lanes)(m, &queries, keys);
    }
}

/* The blocks of a text's head one after another, so that its keys stay in the cache.  Every member
 * walks through all items and takes those that begin in its part of the total cost: heads before
 * texts, because tokens of several texts share cache lines, and heads do not. */
static void attend_all(const struct lac_member *m, const struct pass *pass)
{
    size_t n_sequences = m->forward->n_sequences;
    struct lac_share share = {
        .total = m->team->size > 1 ? lac_max_size(1, total_cost(m, pass)) : 1,
    };
    for (size_t item = 0; item < m->network->config.n_kv_heads * n_sequences; item++) {
        size_t head = item / n_sequences, s = item % n_sequences;
        struct query_blocks blocks = blocks_of(m, pass, s, head);
        struct lac_keys keys = {0};
        lac_forget_picked(m);
        for (size_t i = 0; i < n_blocks(&blocks); i++) {
            struct queries all = wanted_queries(m, pass, s, &blocks, i, head), some = all;
            for (; some.span.begin < all.span.end; some.span.begin = some.span.end) {
                some.span.end = all.span.end;
                some.span = until_prompt_end(m, &some);
                attend_group(m, some, &keys, &share);
            }
        }
    }
}

void lac_attend(const struct lac_member *m, size_t layer, bool is_last)
{
    struct lac_region *r = m->region;
    const struct pass pass = {LOCAL, layer, is_last};
    memset(r->abs_max + m->rank * r->n_lanes, 0, r->n_lanes * sizeof *r->abs_max);
    attend_all(m, &pass);
}

void lac_run_attention(const struct lac_member *m, size_t layer, bool is_last)
{
    if (lac_family_is_decoder(m->network->config.family)) {
        lac_store_keys(m, layer);
        lac_team_barrier(m->team, m->rank);
    }
    (m->forward->trial ? lac_run_trial : lac_attend)(m, layer, is_last);
    if (lac_family_is_decoder(m->network->config.family))
        lac_run_votes(m, layer);
}

void lac_run_global_attention(const struct lac_member *m, size_t layer, bool is_last)
{
    const struct pass pass = {GLOBAL, layer, is_last};
    attend_all(m, &pass);
}
