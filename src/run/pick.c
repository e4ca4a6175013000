/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of queries and keys, to choose by. */
#include "src/run/pick.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"

enum {
    LANES = LAC_PICK_LANES,
    ASKED = LAC_PICK_LANES / 2, /* of a block's queries, for an estimate */
    BLOCK_PAGES = LAC_KEY_BLOCK / LAC_PICK_PAGE,
};

/* ---- Room ---- */

static void *cut(char *base, size_t *used, size_t n, size_t size)
{
    size_t bytes, begin = *used;
    if (begin == SIZE_MAX || !lac_mul_size(n, size, &bytes) ||
        !lac_round_up_size(bytes, LAC_ALIGNMENT, &bytes) || !lac_add_size(begin, bytes, used)) {
        *used = SIZE_MAX;
        return NULL;
    }
    return base ? base + begin : NULL;
}

static void lay_out_gates(char *base, const struct lac_pick_sizes *sizes, size_t *used,
                          struct lac_pick_gate_room *r)
{
    const struct lac_gates *gates = sizes->gates;
    size_t n_in = lac_max_size(lac_gates_inputs(gates->query_pools, sizes->head_dim),
                               lac_gates_inputs(gates->key_pools, sizes->head_dim));
    size_t n_tiles = lac_ceil_div(lac_ceil_div(sizes->n_keys, LAC_KEY_BLOCK), LAC_TILE);
    r->keys = cut(base, used, n_tiles, gates->width * LAC_TILE * sizeof *r->keys);
    r->tiles = cut(base, used, n_tiles, sizeof *r->tiles);
    r->q = cut(base, used, lac_max_size(n_in, gates->width) * LANES, sizeof *r->q);
    r->x8 = cut(base, used, lac_round_up(n_in, 4), LAC_TILE);
    r->x_scale = cut(base, used, LAC_TILE, sizeof *r->x_scale);
    r->out = cut(base, used, sizes->n_heads, gates->width * LAC_TILE * sizeof *r->out);
    r->cos = cut(base, used, gates->width / 2 * LAC_TILE, sizeof *r->cos);
    r->sin = cut(base, used, gates->width / 2 * LAC_TILE, sizeof *r->sin);
    r->block = cut(base, used, sizes->head_dim * LAC_KEY_BLOCK, sizeof *r->block);
}

static struct lac_pick_room lay_out(char *base, const struct lac_pick_sizes *sizes, size_t *used)
{
    size_t n_keys = sizes->n_keys, head_dim = sizes->head_dim;
    struct lac_pick_room r = {.n_keys = n_keys, .head_dim = head_dim};
    size_t n_blocks = lac_ceil_div(n_keys, LAC_KEY_BLOCK), n_pages = n_blocks * BLOCK_PAGES;
    *used = 0;
    r.q = cut(base, used, head_dim * LANES, sizeof *r.q);
    r.scores = cut(base, used, n_pages, LAC_PICK_PAGE * LANES * sizeof *r.scores);
    r.most = cut(base, used, n_blocks * LANES, sizeof *r.most);
    r.sums = cut(base, used, n_blocks * LANES, sizeof *r.sums);
    r.low = cut(base, used, n_pages, sizeof *r.low);
    r.high = cut(base, used, n_pages, sizeof *r.high);
    r.values = cut(base, used, 2 * n_pages, sizeof *r.values);
    r.weights = cut(base, used, 2 * n_pages, sizeof *r.weights);
    r.columns = cut(base, used, lac_ceil_div(n_pages, 64), sizeof *r.columns);
    r.diagonals = cut(base, used, lac_ceil_div(2 * n_pages, 64), sizeof *r.diagonals);
    r.candidates = cut(base, used, n_blocks, sizeof *r.candidates);
    r.blocks = cut(base, used, n_blocks, sizeof *r.blocks);
    r.masks = cut(base, used, 2 + LAC_PICK_SPAN / LAC_KEY_BLOCK, sizeof *r.masks);
    r.pages = cut(base, used, n_pages, sizeof *r.pages);
    r.page_memory = cut(base, used, n_pages, lac_kv_page_bytes(LAC_S8, head_dim));
    if (sizes->gates && sizes->gates->width)
        lay_out_gates(base, sizes, used, &r.gates);
    return r;
}

size_t lac_pick_room_bytes(const struct lac_pick_sizes *sizes)
{
    size_t used;
    lay_out(NULL, sizes, &used);
    return used;
}

struct lac_pick_room lac_pick_room_at(void *memory, const struct lac_pick_sizes *sizes)
{
    size_t used;
    return lay_out(memory, sizes, &used);
}

/* ---- Queries ---- */

/* Query i of the span: its first feature. */
static const float *find_query(const struct lac_pick_args *a, size_t i, size_t *ld)
{
    const struct lac_query_segment *part = a->queries;
    for (; i >= part->n_queries; part++)
        i -= part->n_queries;
    *ld = part->ld;
    return part->q + i;
}

static void copy_query(const struct lac_pick_args *a, size_t i, size_t lane)
{
    size_t ld;
    const float *q = find_query(a, i, &ld);
    for (size_t d = 0; d < a->head_dim; d++)
        a->room->q[d * LANES + lane] = q[d * ld];
}

/* The mean of queries [begin, end) of the span, in four parts by their number mod 4: however they
 * lie in panels. */
static void pool_queries(const struct lac_pick_args *a, size_t begin, size_t end, size_t lane)
{
    const float share = 1.0f / (float)(end - begin);
    float sums[LAC_MAX_HEAD_DIM][4] = {{0}};
    const struct lac_query_segment *part = a->queries;
    for (size_t at = 0; at < end; at += part->n_queries, part++) {
        size_t from = lac_max_size(at, begin), to = lac_min_size(at + part->n_queries, end);
        for (size_t d = 0; d < a->head_dim; d++)
            for (size_t i = from; i < to; i++)
                sums[d][(i - begin) % 4] += part->q[d * part->ld + (i - at)];
    }
    for (size_t d = 0; d < a->head_dim; d++)
        a->room->q[d * LANES + lane] =
            ((sums[d][0] + sums[d][1]) + (sums[d][2] + sums[d][3])) * share;
}

/* ---- Lists of what is scored ---- */

/* Whole blocks, up to the last key that some of the queries see; then, of a decoder, each lane sees
 * no key behind its own position. */
static struct lac_seen list_keys(const struct lac_pick_args *a, const size_t positions[LANES],
                                 size_t n_queries)
{
    const struct lac_pick_room *r = a->room;
    size_t low = SIZE_MAX, high = 0, n = 0, n_masks = 0;
    for (size_t lane = 0; lane < n_queries; lane++) {
        low = lac_min_size(low, positions[lane]);
        high = lac_max_size(high, positions[lane]);
    }
    size_t end = a->is_causal ? lac_min_size(high + 1, a->n_keys) : a->n_keys;
    for (; n * LAC_KEY_BLOCK < end; n++) {
        r->blocks[n] = (struct lac_seen_block){(uint32_t)n, LAC_SEEN_WHOLE};
        if (!a->is_causal || (n + 1) * LAC_KEY_BLOCK <= low + 1)
            continue;
        struct lac_seen_mask *mask = &r->masks[n_masks];
        for (size_t j = 0; j < LAC_KEY_BLOCK; j++) {
            mask->lanes[j] = 0;
            for (size_t lane = 0; lane < n_queries; lane++)
                if (n * LAC_KEY_BLOCK + j <= positions[lane])
                    mask->lanes[j] |= UINT64_C(1) << lane;
        }
        r->blocks[n].mask = (uint32_t)n_masks++;
    }
    return (struct lac_seen){r->blocks, n, r->masks};
}

/* The same whole, whatever who sees. */
static struct lac_seen list_blocks(const struct lac_pick_args *a)
{
    const struct lac_pick_room *r = a->room;
    size_t last = a->first + a->n_queries, n = 0;
    size_t end = a->is_causal ? lac_min_size(last, a->n_keys) : a->n_keys;
    for (; n * LAC_KEY_BLOCK < end; n++)
        r->blocks[n] = (struct lac_seen_block){(uint32_t)n, LAC_SEEN_WHOLE};
    return (struct lac_seen){r->blocks, n, r->masks};
}

/* ---- Scores ---- */

/* What is wanted of them. */
struct wanted {
    float *scores, *most, *sums;
};

/* In powers of 2 come out as in powers of e. */
#define LN_2 0x1.62e43p-1f

static void score_s8(const struct lac_pick_args *a, const void *const *pages, size_t n_queries,
                     struct lac_seen seen, struct wanted wanted)
{
    const struct lac_query_segment queries = {.q = a->room->q, .ld = LANES, .n_queries = n_queries};
    const struct lac_attention_s8_args of = {
        .queries = &queries,
        .n_query_segments = 1,
        .head_dim = a->head_dim,
        .scale = a->scale * LN_2,
        .pages = pages,
        .n_keys = a->n_keys,
        .seen = seen,
    };
    const struct lac_scores_args args = {
        .of_s8 = &of, .scores = wanted.scores, .most = wanted.most, .sums = wanted.sums};
    a->kernels->scores[LAC_S8]->run.scores(&args);
}

/* Of the queries in room->q and keys as attention takes them. */
static void score(const struct lac_pick_args *a, size_t n_queries, struct lac_seen seen,
                  struct wanted wanted)
{
    const struct lac_query_segment queries = {.q = a->room->q, .ld = LANES, .n_queries = n_queries};
    const struct lac_attention_args of = {
        .queries = &queries,
        .n_query_segments = 1,
        .head_dim = a->head_dim,
        .scale = a->scale,
        .segments = a->segments,
        .n_segments = a->n_segments,
        .segment_keys = a->segment_keys,
        .n_keys = a->n_keys,
        .seen = seen,
    };
    const struct lac_scores_args args = {
        .of = &of, .scores = wanted.scores, .most = wanted.most, .sums = wanted.sums};
    if (a->dtype == LAC_S8)
        score_s8(a, a->pages, n_queries, seen, wanted);
    else
        a->kernels->scores[a->dtype]->run.scores(&args);
}

/* The same in 8 bits; bf16 stays what it is. */
static void estimate(const struct lac_pick_args *a, size_t n_queries, struct lac_seen seen,
                     struct wanted wanted)
{
    struct lac_pick_room *r = a->room;
    if (a->dtype != LAC_F32) {
        score(a, n_queries, seen, wanted);
        return;
    }
    if (!r->is_quantized) {
        size_t page_bytes = lac_kv_page_bytes(LAC_S8, a->head_dim);
        for (size_t i = 0; i < lac_ceil_div(a->n_keys, LAC_LANES); i++)
            r->pages[i] = r->page_memory + i * page_bytes;
        struct lac_kv_pages_args args = {
            .segments = a->segments,
            .n_segments = a->n_segments,
            .head_dim = a->head_dim,
            .pages = r->pages,
        };
        a->kernels->kv_pages[LAC_S8]->run.kv_pages(&args);
        r->is_quantized = true;
    }
    score_s8(a, (const void *const *)r->pages, n_queries, seen, wanted);
}

/* ---- Vertical-slash ---- */

/* Groups of distances to keys behind the queries, which a decoder has not. */
static size_t n_negative(const struct lac_pick_args *a)
{
    return a->is_causal ? 0 : lac_ceil_div(a->n_keys, LAC_PICK_PAGE);
}

/* Adds what the queries of a group of lanes, from `begin` on in the sequence, say of the lines. */
static void add_lines(const struct lac_pick_args *a, size_t begin, float *columns, float *diagonals)
{
    const struct lac_pick_room *r = a->room;
    size_t n = lac_min_size(a->first + a->n_queries - begin, LANES), positions[LANES];
    const uint64_t lanes = (UINT64_C(1) << n) - 1;
    for (size_t lane = 0; lane < n; lane++) {
        positions[lane] = begin + lane;
        copy_query(a, begin - a->first + lane, lane);
    }
    struct lac_seen seen = list_keys(a, positions, n);
    size_t n_scored = a->is_causal ? begin / LAC_PICK_PAGE + 1 : n_negative(a);
    score(a, n, seen, (struct wanted){.scores = r->scores, .most = r->most});
    memset(r->low, 0, seen.n_blocks * BLOCK_PAGES * sizeof *r->low);
    memset(r->high, 0, seen.n_blocks * BLOCK_PAGES * sizeof *r->high);
    const struct lac_score_lines_args args = {r->scores, r->most, seen.n_blocks,
                                              lanes,     r->low,  r->high};
    a->kernels->score_lines->run.score_lines(&args);
    for (size_t page = 0; page < n_scored; page++) {
        size_t group = begin / LAC_PICK_PAGE + n_negative(a) - page;
        columns[page] += r->low[page] + r->high[page];
        diagonals[group] += r->low[page];
        if (group)
            diagonals[group - 1] += r->high[page];
    }
}

static void take_lines(const struct lac_pick_top *top, const float *weights, size_t n,
                       uint64_t *chosen)
{
    struct lac_pick_top pages = {lac_ceil_div(top->n, LAC_PICK_PAGE), top->mass};
    memset(chosen, 0, lac_ceil_div(n, 64) * sizeof *chosen);
    lac_pick_take(&pages, weights, weights, n, chosen);
}

static void choose_lines(const struct lac_pick_args *a)
{
    struct lac_pick_room *r = a->room;
    size_t end = lac_round_up(a->first + a->n_queries, LANES);
    size_t n = lac_min_size(a->choice->n_sampled, end - a->first);
    /* What comes after the span would change the order of lines that weigh nothing. */
    size_t n_pages = a->is_causal ? end / LAC_PICK_PAGE : n_negative(a);
    size_t n_groups = n_negative(a) + end / LAC_PICK_PAGE;
    const struct lac_pick_lines lines = {r->columns, r->diagonals, n_groups, n_negative(a)};
    memset(r->values, 0, n_pages * sizeof *r->values);
    memset(r->weights, 0, n_groups * sizeof *r->weights);
    for (size_t begin = end - n; begin < end; begin += LANES)
        add_lines(a, begin, r->values, r->weights);
    take_lines(&a->choice->columns, r->values, n_pages, r->columns);
    take_lines(&a->choice->diagonals, r->weights, n_groups, r->diagonals);
    for (size_t block = 0; block < lac_pick_blocks(a); block++) {
        const struct lac_pick_place place = lac_pick_place_of(a, block);
        lac_pick_add_lines(&lines, &place, lac_pick_bits_of(a, block));
    }
}

/* ---- Pooled blocks ---- */

void lac_pick_add_best(const struct lac_pick_args *a, size_t block, size_t n_candidates,
                       const struct lac_pick_top *top)
{
    struct lac_pick_room *r = a->room;
    const struct lac_pick_place place = lac_pick_place_of(a, block);
    memset(r->columns, 0, lac_ceil_div(n_candidates, 64) * sizeof *r->columns);
    lac_pick_take(top, r->values, r->weights, n_candidates, r->columns);
    for (size_t i = 0; i < n_candidates; i++)
        if (r->columns[i / 64] >> i % 64 & 1)
            lac_pick_add_block(&place, r->candidates[i], lac_pick_bits_of(a, block));
}

static void choose_pooled(const struct lac_pick_args *a)
{
    struct lac_pick_room *r = a->room;
    size_t n = lac_pick_blocks(a);
    for (size_t block = 0; block < n; block++) {
        size_t begin = block * LAC_PICK_QUERIES;
        pool_queries(a, begin, begin + lac_pick_place_of(a, block).n, block);
    }
    score(a, n, list_blocks(a), (struct wanted){.sums = r->sums});
    for (size_t block = 0; block < n; block++) {
        const struct lac_pick_place place = lac_pick_place_of(a, block);
        uint64_t *bits = lac_pick_bits_of(a, block);
        size_t n_others = lac_pick_candidates(&place, bits, r->candidates);
        for (size_t i = 0; i < n_others; i++) {
            size_t key = (size_t)r->candidates[i] * LAC_KEY_BLOCK;
            size_t n_keys = lac_min_size(a->n_keys - key, LAC_KEY_BLOCK);
            r->values[i] = r->sums[r->candidates[i] * LANES + block] / (float)n_keys;
        }
        if (!n_others)
            continue;
        const struct lac_softmax_args softmax = {r->values, n_others, r->weights};
        a->kernels->softmax->run.softmax(&softmax);
        lac_pick_add_best(a, block, n_others, &a->choice->blocks);
    }
}

/* ---- Estimated products ---- */

/* Queries of a block that are asked, in lanes from `lane` on: spread over it, its last one among
 * them. */
struct asked {
    size_t lane, n;
};

static struct asked ask(const struct lac_pick_args *a, size_t block, size_t lane,
                        size_t positions[LANES])
{
    const struct lac_pick_place place = lac_pick_place_of(a, block);
    struct asked asked = {lane, lac_min_size(place.n, ASKED)};
    for (size_t i = 0; i < asked.n; i++) {
        positions[lane + i] = place.first + (i + 1) * place.n / asked.n - 1;
        copy_query(a, positions[lane + i] - a->first, lane + i);
    }
    return asked;
}

/* Their largest scores with keys that are always seen. */
static void find_known(const struct lac_pick_args *a, const uint64_t *bits, size_t n_blocks,
                       struct asked asked, float known[ASKED])
{
    for (size_t i = 0; i < ASKED; i++)
        known[i] = LAC_NOT_SEEN;
    for (size_t block = 0; block < n_blocks; block++) {
        const float *most = a->room->most + block * LANES + asked.lane;
        size_t page = block * BLOCK_PAGES;
        if (bits[page / 64] >> page % 64 & 15)
            for (size_t i = 0; i < asked.n; i++)
                known[i] = most[i] > known[i] ? most[i] : known[i];
    }
}

static void take_near(const struct lac_pick_args *a, size_t block, size_t n_blocks,
                      struct asked asked, float least)
{
    const struct lac_pick_room *r = a->room;
    const struct lac_pick_place place = lac_pick_place_of(a, block);
    uint64_t *bits = lac_pick_bits_of(a, block);
    float known[ASKED];
    size_t n_others = lac_pick_candidates(&place, bits, r->candidates);
    find_known(a, bits, n_blocks, asked, known);
    for (size_t k = 0; k < n_others; k++) {
        const float *most = r->most + r->candidates[k] * LANES + asked.lane;
        float best = LAC_NOT_SEEN;
        for (size_t i = 0; i < asked.n; i++) {
            float near = most[i] - known[i];
            best = near > best ? near : best;
        }
        if (best >= least)
            lac_pick_add_block(&place, r->candidates[k], bits);
    }
}

/* Two blocks of queries share the lanes. */
static void choose_estimated(const struct lac_pick_args *a)
{
    const struct lac_pick_room *r = a->room;
    float least = a->choice->threshold > 0 ? logf((float)a->choice->threshold) : -INFINITY;
    for (size_t block = 0; block < lac_pick_blocks(a); block += 2) {
        size_t positions[LANES], n = lac_min_size(lac_pick_blocks(a) - block, 2);
        struct asked asked[2];
        size_t n_asked = 0; /* only a sequence's last block asks less than its part */
        for (size_t i = 0; i < n; i++) {
            asked[i] = ask(a, block + i, n_asked, positions);
            n_asked += asked[i].n;
        }
        struct lac_seen seen = list_keys(a, positions, n_asked);
        estimate(a, n_asked, seen, (struct wanted){.most = r->most});
        for (size_t i = 0; i < n; i++)
            take_near(a, block + i, seen.n_blocks, asked[i], least);
    }
}

void lac_pick_keys(const struct lac_pick_args *a)
{
    memset(a->bits, 0, lac_pick_blocks(a) * lac_pick_words(a->n_keys) * sizeof *a->bits);
    for (size_t block = 0; block < lac_pick_blocks(a); block++) {
        const struct lac_pick_place place = lac_pick_place_of(a, block);
        lac_pick_keep(a->choice, &place, lac_pick_bits_of(a, block));
    }
    static void (*const choose[LAC_N_PICKS])(const struct lac_pick_args *a) = {
        [LAC_PICK_LINES] = choose_lines,
        [LAC_PICK_POOLED] = choose_pooled,
        [LAC_PICK_ESTIMATE] = choose_estimated,
        [LAC_PICK_GATED] = lac_pick_gated,
    };
    choose[a->choice->kind](a);
}
