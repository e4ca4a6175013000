/* SPDX-License-Identifier: Apache-2.0 */
/* One head of attention, as it is measured. */
#include "bench/attention_head.h"

#include <math.h>
#include <string.h>

#include "bench/bench.h"
#include "src/base/checked.h"

static size_t tile_tokens(const struct bench_head *head, size_t tile)
{
    return lac_min_size(LAC_TILE, head->length - tile * LAC_TILE);
}

static size_t tile_lanes(const struct bench_head *head, size_t tile)
{
    return lac_round_up(tile_tokens(head, tile), LAC_LANES);
}

static float *random_panel(struct bench_head *head, size_t ld, uint64_t *random)
{
    float *panel = lac_arena_alloc(&head->arena, head->dim * ld, sizeof *panel);
    for (size_t i = 0; panel && i < head->dim * ld; i++)
        panel[i] = bench_random_float(random);
    return panel;
}

/* Directions of subjects, and of what all look at: features of 1 and -1. */
struct topics {
    float of[BENCH_TOPICS + 1][LAC_MAX_HEAD_DIM];
};

static void make_topics(struct topics *topics, size_t dim, uint64_t *random)
{
    for (size_t i = 0; i <= BENCH_TOPICS; i++)
        for (size_t d = 0; d < dim; d++)
            topics->of[i][d] = bench_random_float(random) < 0 ? -1.0f : 1.0f;
}

/* Subjects follow one another in an order that looks random. */
static size_t topic_of(size_t token)
{
    return (token / LAC_KEY_BLOCK * UINT64_C(2654435761) >> 7) % BENCH_TOPICS;
}

static void add_direction(float *panel, size_t ld, size_t lane, const float *direction, float size,
                          size_t dim)
{
    for (size_t d = 0; d < dim; d++)
        panel[d * ld + lane] += size * direction[d];
}

/* Scores are larger by about 8 for keys of the query's subject, and for those that all look at. */
static void add_topics(const struct topics *topics, size_t token, size_t ld, size_t lane,
                       size_t dim, float *q, float *k)
{
    const float size = sqrtf(8 / sqrtf((float)dim)), *own = topics->of[topic_of(token)];
    const float *all = topics->of[BENCH_TOPICS];
    add_direction(q, ld, lane, own, size, dim);
    add_direction(k, ld, lane, own, size, dim);
    add_direction(q, ld, lane, all, 0.5f * size, dim);
    if (token % BENCH_HEAVY == BENCH_HEAVY / 2)
        add_direction(k, ld, lane, all, 2 * size, dim);
}

static int make_panels(struct bench_head *head)
{
    uint64_t random = bench_settings.seed;
    struct topics topics;
    make_topics(&topics, head->dim, &random);
    head->q = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->q);
    head->y = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->y);
    head->panels = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->panels);
    head->queries = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->queries);
    if (!head->q || !head->y || !head->panels || !head->queries)
        return 0;
    for (size_t i = 0; i < head->n_tiles; i++) {
        size_t ld = tile_lanes(head, i);
        float *k = random_panel(head, ld, &random), *v = random_panel(head, ld, &random);
        head->q[i] = random_panel(head, ld, &random);
        head->y[i] = random_panel(head, ld, &random);
        if (!head->q[i] || !head->y[i] || !k || !v)
            return 0;
        for (size_t lane = 0; lane < tile_tokens(head, i); lane++)
            add_topics(&topics, i * LAC_TILE + lane, ld, lane, head->dim, head->q[i], k);
        head->panels[i] = (struct lac_kv_segment){
            .k = k, .v = v, .k_ld = ld, .v_ld = ld, .v_step = 1, .n_keys = tile_tokens(head, i)};
        head->queries[i] = (struct lac_query_segment){
            .q = head->q[i], .ld = ld, .n_queries = tile_tokens(head, i)};
    }
    return 1;
}

static int make_room(struct bench_head *head)
{
    const struct lac_gates gates = bench_gates_kind(head->dim);
    const struct lac_pick_sizes sizes = {head->length, head->dim, 1, &gates};
    size_t bytes = lac_pick_room_bytes(&sizes);
    void *memory = lac_arena_alloc(&head->arena, bytes, 1);
    head->bits = lac_arena_alloc(&head->arena, LAC_SPAN_BLOCKS * lac_pick_words(head->length),
                                 sizeof *head->bits);
    if (!memory || !head->bits)
        return 0;
    head->room = lac_pick_room_at(memory, &sizes);
    for (size_t i = 0; i < lac_ceil_div(head->length, LAC_LANES); i++)
        head->room.pages[i] = head->room.page_memory + i * lac_kv_page_bytes(LAC_S8, head->dim);
    struct lac_kv_pages_args args = {head->panels, head->n_tiles, head->dim, head->room.pages, 0};
    lac_kernel_find_dtype(LAC_OP_KV_PAGES, LAC_S8, lac_cpu_features())->run.kv_pages(&args);
    return 1;
}

static int make_pages(struct bench_head *head)
{
    size_t bytes = lac_kv_page_bytes(head->dtype, head->dim);
    struct lac_arena *arena = &head->arena;
    head->n_pages = lac_ceil_div(head->length, LAC_LANES);
    head->pages = lac_arena_alloc(arena, head->n_pages, bytes);
    head->page_at = lac_arena_alloc(arena, head->n_pages, sizeof *head->page_at);
    head->page_segments = lac_arena_alloc(arena, head->n_pages, sizeof *head->page_segments);
    if (!head->pages || !head->page_at || !head->page_segments)
        return 0;
    for (size_t i = 0; i < head->n_pages; i++) {
        head->page_at[i] = head->pages + i * bytes;
        head->page_segments[i] = (struct lac_kv_segment){
            .k = head->page_at[i],
            .v = head->pages + i * bytes + bytes / 2,
            .k_ld = LAC_LANES,
            .v_ld = 1,
            .v_step = head->dim,
            .n_keys = lac_min_size(LAC_LANES, head->length - i * LAC_LANES),
        };
    }
    return 1;
}

enum lac_status bench_head_open(struct bench_head *head, enum lac_dtype dtype, size_t length,
                                size_t dim, struct lac_error *error)
{
    *head = (struct bench_head){.arena = {.host = &lac_default_host},
                                .dtype = dtype,
                                .length = length,
                                .dim = dim,
                                .n_tiles = lac_ceil_div(length, LAC_TILE)};
    size_t n_blocks = lac_ceil_div(length, LAC_KEY_BLOCK);
    /* An arena's chunks grow with it: with a piece for nothing in front, what is measured lies in
     * large pages from its beginning, as a session's memory does. */
    if (!lac_arena_alloc(&head->arena, LAC_LARGE_PAGE, 1))
        return lac_fail(error, LAC_E_MEMORY, "no memory for large pages");
    head->blocks = lac_arena_alloc(&head->arena, n_blocks, sizeof *head->blocks);
    head->masks = lac_arena_alloc(&head->arena, n_blocks, sizeof *head->masks);
    head->keys = lac_arena_alloc(&head->arena, n_blocks, sizeof *head->keys);
    head->row = lac_arena_alloc_zero(&head->arena, 2 * dim, sizeof *head->row);
    if (!head->blocks || !head->masks || !head->keys || !head->row || !make_panels(head) ||
        !make_pages(head) || !make_room(head))
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", length);
    uint64_t random = bench_settings.seed + 1;
    for (size_t i = 0; i < dim; i++)
        head->row[i] = bench_random_float(&random);
    return LAC_OK;
}

void bench_head_close(struct bench_head *head)
{
    if (head->arena.host)
        lac_arena_clear(&head->arena);
}

/* ---- Labels ---- */

enum lac_status bench_labels_open(struct bench_labels *l, struct bench_head *head,
                                  enum lac_kv_policy_kind kind, size_t part,
                                  struct lac_error *error)
{
    const struct lac_config config = {
        .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = head->dim};
    const struct lac_kv_policy policy = {.kind = kind, .n_part = part};
    struct lac_kv_shape shape = {.n_layers = 1, .n_heads = 1, .head_dim = head->dim};
    struct lac_kv_rules *rules = NULL;
    shape.dtype = head->dtype;
    l->ld = lac_round_up(head->n_pages, LAC_LANES);
    l->scores = lac_arena_alloc(&head->arena, (LAC_ROW_QUERIES + 1) * l->ld, sizeof *l->scores);
    if (!l->scores)
        return lac_fail(error, LAC_E_MEMORY, "no memory for scores of %zu pages", l->ld);
    if (lac_kv_rules_make(&lac_default_host, &policy, &config, &rules, error))
        return error->status;
    for (size_t i = 0; i < rules->n_channels; i++) /* any are as fast */
        rules->of[0].channels[i] = (uint8_t)i;
    shape.rules = rules;
    lac_kv_init(&l->kv, &lac_default_host, &shape);
    if (lac_kv_labels_reserve(&l->kv, head->n_pages, error))
        return error->status;
    l->kv.pages = head->page_at;
    l->kv.capacity = l->kv.n_pages = head->n_pages;
    l->kv.n_keys = head->length;
    return LAC_OK;
}

void bench_labels_close(struct bench_labels *l)
{
    if (!l->kv.host)
        return;
    lac_kv_labels_clear(&l->kv);
    lac_free(&lac_default_host, (struct lac_kv_rules *)l->kv.shape.rules);
}

/* ---- The work ---- */

/* Queries [begin, end) that share a list, at most LAC_QUERY_BLOCK. */
struct stretch {
    size_t begin, end;
};

static uint64_t lanes_of(const struct stretch *s)
{
    return ~UINT64_C(0) >> (LAC_QUERY_BLOCK - (s->end - s->begin));
}

/* Chooses for the span that a query is in. */
static void choose_span(const struct bench_attention *a, size_t query)
{
    struct bench_head *h = a->head;
    const int in_pages = h->dtype != LAC_F32;
    size_t begin = query / LAC_PICK_SPAN * LAC_PICK_SPAN;
    struct lac_pick_args args = {
        .choice = a->choice,
        .kernels = &a->kernels,
        .is_causal = a->sight->is_causal,
        .head_dim = h->dim,
        .scale = 1 / sqrtf((float)h->dim),
        .dtype = h->dtype,
        .segments = in_pages ? h->page_segments : h->panels,
        .n_segments = in_pages ? h->n_pages : h->n_tiles,
        .segment_keys = in_pages ? LAC_LANES : LAC_TILE,
        .pages = (const void *const *)h->page_at,
        .n_keys = h->length,
        .queries = h->queries + begin / LAC_TILE,
        .first = begin,
        .n_queries = lac_min_size(LAC_PICK_SPAN, h->length - begin),
        .gates = &a->gates,
        .room = &h->room,
        .bits = h->bits,
    };
    if (h->chosen != begin)
        lac_pick_keys(&args);
    h->chosen = begin;
}

static struct lac_seen list_of(const struct bench_attention *a, const struct stretch *s)
{
    struct lac_sight_queries queries = {
        .first = (ptrdiff_t)s->begin,
        .lanes = lanes_of(s),
        .n_keys = a->head->length,
    };
    if (!a->choice)
        return lac_sight_list(a->sight, &queries, a->head->blocks, a->head->masks);
    choose_span(a, s->begin);
    size_t block = s->begin % LAC_PICK_SPAN / LAC_PICK_QUERIES;
    return lac_pick_list(a->head->bits + block * lac_pick_words(a->head->length),
                         a->sight->is_causal, &queries, a->head->blocks, a->head->masks);
}

enum { MOST_SEGMENTS = LAC_QUERY_BLOCK / LAC_TILE + 2 };

static size_t segments_of(const struct bench_head *h, const struct stretch *s,
                          struct lac_query_segment *segments)
{
    size_t n = 0;
    for (size_t at = s->begin, end; at < s->end; at = end) {
        size_t tile = at / LAC_TILE, lane = at % LAC_TILE;
        end = lac_min_size(s->end, (tile + 1) * LAC_TILE);
        segments[n++] = (struct lac_query_segment){
            .q = h->q[tile] + lane,
            .y = h->y[tile] + lane,
            .ld = tile_lanes(h, tile),
            .n_queries = end - at,
        };
    }
    return n;
}

static void attend_stretch(const struct bench_attention *a, const struct stretch *s)
{
    const struct bench_head *h = a->head;
    const int in_pages = h->dtype != LAC_F32;
    struct lac_query_segment queries[MOST_SEGMENTS];
    struct lac_attention_args args = {
        .queries = queries,
        .n_query_segments = segments_of(h, s, queries),
        .head_dim = h->dim,
        .scale = 1 / sqrtf((float)h->dim),
        .segments = in_pages ? h->page_segments : h->panels,
        .n_segments = in_pages ? h->n_pages : h->n_tiles,
        .segment_keys = in_pages ? LAC_LANES : LAC_TILE,
        .n_keys = h->length,
        .seen = list_of(a, s),
    };
    a->kernel->run.attention(&args);
}

static void attend_stretch_s8(const struct bench_attention *a, const struct stretch *s)
{
    const struct bench_head *h = a->head;
    struct lac_query_segment queries[MOST_SEGMENTS];
    struct lac_attention_s8_args args = {
        .queries = queries,
        .n_query_segments = segments_of(h, s, queries),
        .head_dim = h->dim,
        .scale = 1 / sqrtf((float)h->dim),
        .pages = (const void *const *)h->page_at,
        .n_keys = h->length,
        .seen = list_of(a, s),
    };
    a->kernel->run.attention_s8(&args);
}

/* The next block of queries that is measured, from one on; n_blocks: none. */
static size_t next_block(const struct bench_attention *a, size_t block)
{
    size_t n_blocks = lac_ceil_div(a->head->length, LAC_QUERY_BLOCK);
    if (a->every == BENCH_LAST_BLOCK)
        return lac_max_size(block, n_blocks - 1);
    while (block < n_blocks && block / BENCH_GROUP_BLOCKS % a->every)
        block++;
    return block;
}

static void each_block(const struct bench_attention *a,
                       void (*visit)(const struct bench_attention *, const struct stretch *,
                                     void *),
                       void *context)
{
    size_t length = a->head->length;
    for (size_t i = next_block(a, 0); i * LAC_QUERY_BLOCK < length; i = next_block(a, i + 1)) {
        size_t begin = i * LAC_QUERY_BLOCK;
        struct stretch s = {begin, lac_min_size(length, begin + LAC_QUERY_BLOCK)};
        visit(a, &s, context);
    }
}

/* What a visit of each_stretch is called with. */
struct visit {
    void (*visit)(const struct bench_attention *, const struct stretch *, void *);
    void *context;
};

static void cut_block(const struct bench_attention *a, const struct stretch *block, void *context)
{
    const struct visit *visit = context;
    struct stretch s = {block->begin, block->begin};
    for (; s.begin < block->end; s.begin = s.end) {
        s.end = lac_min_size(block->end, lac_sight_end(a->sight, a->head->length, s.begin));
        visit->visit(a, &s, visit->context);
    }
}

static void each_stretch(const struct bench_attention *a, struct visit visit)
{
    each_block(a, cut_block, &visit);
}

static void attend_any(const struct bench_attention *a, const struct stretch *s, void *context)
{
    (void)context;
    (a->head->dtype == LAC_S8 ? attend_stretch_s8 : attend_stretch)(a, s);
}

static void fill_pages(const struct bench_attention *a, size_t every)
{
    const struct bench_head *h = a->head;
    size_t n = every == BENCH_LAST_BLOCK ? 1 : lac_ceil_div(h->n_tiles, every);
    struct lac_kv_pages_args pages = {h->panels, n, h->dim, h->page_at, 0};
    if (a->pager)
        a->pager->run.kv_pages(&pages);
}

void bench_fill_pages(const struct bench_attention *a)
{
    fill_pages(a, 1);
}

/* Nothing is chosen yet; keys in floats that are to be quantised to choose by, are, as large a
 * share of them as of the queries is measured, and so large a share is to be pooled. */
static void begin_choice(const struct bench_attention *a)
{
    struct bench_head *h = a->head;
    h->chosen = SIZE_MAX;
    h->room.is_quantized = 1;
    h->room.gates.n_projected = 0;
    if (a->choice && a->choice->kind == LAC_PICK_GATED) {
        size_t n_blocks = h->length / LAC_KEY_BLOCK;
        *a->gates.n_pooled = n_blocks - lac_ceil_div(n_blocks, a->every);
    }
    if (!a->choice || a->choice->kind != LAC_PICK_ESTIMATE || h->dtype != LAC_F32)
        return;
    size_t n = a->every == BENCH_LAST_BLOCK ? 1 : lac_ceil_div(h->n_tiles, a->every);
    struct lac_kv_pages_args pages = {h->panels, n, h->dim, h->room.pages, 0};
    a->kernels.kv_pages[LAC_S8]->run.kv_pages(&pages);
}

static void choose_any(const struct bench_attention *a, const struct stretch *s, void *context)
{
    (void)context;
    choose_span(a, s->begin);
}

void bench_choose(const struct bench_attention *a)
{
    begin_choice(a);
    each_stretch(a, (struct visit){choose_any, NULL});
}

void bench_attend(const struct bench_attention *a)
{
    if (a->head->dtype == LAC_S8)
        fill_pages(a, a->every);
    begin_choice(a);
    each_stretch(a, (struct visit){attend_any, NULL});
}

size_t bench_list_row(const struct bench_attention *a)
{
    const struct bench_head *h = a->head;
    const struct bench_labels *l = a->labels;
    if (!l)
        return lac_sight_row(a->sight, h->length - 1, h->length, h->keys);
    const struct lac_page_choice choice = {
        .kv = &l->kv,
        .place = h->length - 1,
        .q = h->row,
        .n_queries = 1,
        .scorer = a->scorer,
        .scores = l->scores,
        .ld = l->ld,
    };
    return lac_choose_pages(&choice, h->keys);
}

void bench_attend_row(const struct bench_attention *a)
{
    const struct bench_head *h = a->head;
    struct lac_attention_row_args args = {
        .q = h->row,
        .n_queries = 1,
        .head_dim = h->dim,
        .scale = 1 / sqrtf((float)h->dim),
        .pages = (const void *const *)h->page_at,
        .seen = h->keys,
        .n_seen = bench_list_row(a),
        .y = h->row + h->dim,
    };
    a->kernel->run.attention_row(&args);
}

/* ---- Counts ---- */

/* What lanes see of one block, beside what is there. */
static void count_block(const struct lac_seen *seen, size_t i, uint64_t lanes, size_t n_keys,
                        double *n_seen, double *n_read)
{
    size_t n = lac_min_size(n_keys - (size_t)seen->blocks[i].block * LAC_KEY_BLOCK, LAC_KEY_BLOCK);
    uint32_t mask = seen->blocks[i].mask;
    if (mask == LAC_SEEN_WHOLE) {
        *n_seen += (double)n * __builtin_popcountll(lanes);
        *n_read += (double)lac_round_up(n, LAC_LANES);
        return;
    }
    for (size_t first = 0; first < n; first += LAC_LANES) {
        uint64_t any = 0;
        for (size_t j = first; j < lac_min_size(n, first + LAC_LANES); j++) {
            uint64_t who = seen->masks[mask].lanes[j] & lanes;
            *n_seen += __builtin_popcountll(who);
            any |= who;
        }
        *n_read += any ? LAC_LANES : 0;
    }
}

static void count_stretch(const struct bench_attention *a, const struct stretch *s, void *context)
{
    struct bench_pairs *pairs = context;
    struct lac_seen seen = list_of(a, s);
    double n_read = 0;
    for (size_t i = 0; i < seen.n_blocks; i++)
        count_block(&seen, i, lanes_of(s), a->head->length, &pairs->seen, &n_read);
    pairs->all += (double)(s->end - s->begin) * (double)a->head->length;
    pairs->computed += (double)lac_round_up(s->end - s->begin, LAC_LANES) * n_read;
}

/* As Hassani et al. (2025) count what a rule allows at most: of a block all is computed or nothing.
 */
static void count_blocks(const struct bench_attention *a, const struct stretch *block,
                         void *context)
{
    struct bench_pairs *pairs = context;
    pairs->blocks += (double)list_of(a, block).n_blocks;
}

struct bench_pairs bench_count_pairs(const struct bench_attention *a)
{
    struct bench_pairs pairs = {0};
    begin_choice(a);
    each_stretch(a, (struct visit){count_stretch, &pairs});
    each_block(a, count_blocks, &pairs);
    return pairs;
}

/* Where results go. */
struct results {
    float *y;
    size_t n, at;
};

static void copy_results(const struct bench_attention *a, const struct stretch *s, void *context)
{
    struct results *results = context;
    struct lac_query_segment segments[MOST_SEGMENTS];
    size_t n = segments_of(a->head, s, segments);
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < a->head->dim; d++)
            for (size_t t = 0; t < segments[i].n_queries; t++, results->at++)
                if (results->at < results->n)
                    results->y[results->at] = segments[i].y[d * segments[i].ld + t];
}

size_t bench_results(const struct bench_attention *a, float *y, size_t n)
{
    struct results results = {y, n, 0};
    each_block(a, copy_results, &results);
    return results.at;
}
