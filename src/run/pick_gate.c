/* SPDX-License-Identifier: Apache-2.0 */
/* Key blocks by the gates of a model: struct lac_gates, after Gao et al. (2024).
 *
 * Gates take queries and keys as they are before their rotation, and by then these have been turned
 * (and keys are in a cache, perhaps in integers).  So they are turned back, as well as fp32 and the
 * cache's dtype let: that needs no second cache, and is the same however a prompt is cut. */
#include <math.h>
#include <string.h>

#include "src/base/half.h"
#include "src/run/gate_turns.h"
#include "src/run/member.h"
#include "src/run/pick.h"

enum { LANES = LAC_PICK_LANES, BLOCK = LAC_KEY_BLOCK, BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

_Static_assert((int)LAC_GATE_BLOCK == (int)LAC_KEY_BLOCK, "gates choose blocks of the lists");
_Static_assert((int)LAC_PICK_QUERIES == (int)LAC_KEY_BLOCK, "queries are pooled as keys are");

/* ---- A block of queries or keys: x[feature][token] ---- */

static void load_queries(const struct lac_pick_args *a, size_t block, float *x)
{
    size_t begin = block * BLOCK, end = begin + BLOCK, at = 0;
    for (const struct lac_query_segment *part = a->queries; at < end; at += part++->n_queries) {
        size_t from = lac_max_size(at, begin), to = lac_min_size(at + part->n_queries, end);
        for (size_t f = 0; f < a->head_dim && from < to; f++)
            memcpy(x + f * BLOCK + (from - begin), part->q + f * part->ld + (from - at),
                   (to - from) * sizeof *x);
    }
}

/* Four features of a page's tokens. */
static void load_dword(const uint8_t *restrict bytes, const float *restrict scale,
                       float *restrict x)
{
    uint32_t words[LAC_LANES];
    memcpy(words, bytes, sizeof words);
    for (unsigned c = 0; c < 4; c++)
        for (size_t j = 0; j < LAC_LANES; j++)
            x[c * BLOCK + j] = scale[j] * (float)((int32_t)(words[j] >> 8 * c & 255) - 128);
}

static void load_pages(const struct lac_pick_args *a, size_t block, float *x)
{
    float last[4 * BLOCK];
    for (size_t i = 0; i < BLOCK_PAGES; i++, x += LAC_LANES) {
        const struct lac_kv_page *page = a->pages[block * BLOCK_PAGES + i];
        size_t f = 0;
        for (; f + 4 <= a->head_dim; f += 4)
            load_dword(page->rows + f * LAC_LANES, page->k_scale, x + f * BLOCK);
        if (f < a->head_dim)
            load_dword(page->rows + f * LAC_LANES, page->k_scale, last);
        for (size_t c = 0; f + c < a->head_dim; c++)
            memcpy(x + (f + c) * BLOCK, last + c * BLOCK, LAC_LANES * sizeof *x);
    }
}

static void load_run(const struct lac_kv_segment *s, enum lac_dtype dtype, size_t head_dim,
                     size_t first, size_t n, float *x)
{
    for (size_t f = 0; f < head_dim; f++)
        for (size_t j = 0; j < n; j++) {
            size_t at = f * s->k_ld + first + j;
            x[f * BLOCK + j] = dtype == LAC_BF16 ? lac_bf16_to_f32(((const uint16_t *)s->k)[at])
                                                 : ((const float *)s->k)[at];
        }
}

static void load_segments(const struct lac_pick_args *a, size_t block, float *x)
{
    size_t n_first = a->segments[0].n_keys, key = block * BLOCK;
    for (size_t at = 0, n; at < BLOCK; at += n) {
        size_t behind = key + at < n_first ? 0 : key + at - n_first;
        bool is_first = key + at < n_first;
        size_t s = is_first ? 0 : 1 + behind / a->segment_keys;
        size_t first = is_first ? key + at : behind % a->segment_keys;
        n = lac_min_size(a->segments[s].n_keys - first, BLOCK - at);
        load_run(&a->segments[s], a->dtype, a->head_dim, first, n, x + at);
    }
}

/* Before the rotation of their positions. */
static void turn_back(const struct lac_pick_args *a, size_t block, float *x)
{
    const struct lac_pick_gates *g = a->gates;
    const struct lac_gate_turns *turns = g->turns;
    const size_t half = a->head_dim / 2;
    const float factor = (float)(1 / g->rope->attention_factor);
    for (size_t i = 0; i < half; i++) {
        const float *cosines = turns->of_tokens.cos + i * LAC_GATE_TURNS;
        const float *sines = turns->of_tokens.sin + i * LAC_GATE_TURNS;
        float *restrict low = x + i * BLOCK, *restrict high = x + (i + half) * BLOCK;
        struct lac_turn base = lac_gate_turn(&turns->of_heads, i, block);
        base.cos *= factor;
        base.sin *= factor;
        for (size_t j = 0; j < BLOCK; j++) {
            float c = base.cos * cosines[j] - base.sin * sines[j];
            float s = base.sin * cosines[j] + base.cos * sines[j];
            float l = low[j], h = high[j];
            low[j] = l * c + h * s;
            high[j] = h * c - l * s;
        }
    }
}

/* ---- Pools ---- */

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float sum_of(float a, float b)
{
    return a + b;
}

/* In parts by the token's number mod LANES, which are halved; inlined, and so in vectors. */
static inline __attribute__((always_inline)) float fold(const float *x, float (*join)(float, float))
{
    float parts[LANES];
    memcpy(parts, x, sizeof parts);
    for (size_t at = LANES; at < BLOCK; at += LANES)
        for (size_t j = 0; j < LANES; j++)
            parts[j] = join(parts[j], x[at + j]);
    for (size_t n = LANES / 2; n; n /= 2)
        for (size_t j = 0; j < n; j++)
            parts[j] = join(parts[j], parts[n + j]);
    return parts[0];
}

/* Pooled features, ld apart. */
static void pool(const float *x, size_t head_dim, unsigned pools, size_t ld, float *y)
{
    for (size_t kind = 0; kind < LAC_N_POOLED; kind++) {
        if (!(pools >> kind & 1))
            continue;
        for (size_t f = 0; f < head_dim; f++, y += ld, x += BLOCK)
            *y = kind == LAC_POOLED_MAX   ? fold(x, larger)
                 : kind == LAC_POOLED_MIN ? fold(x, smaller)
                                          : fold(x, sum_of) * (1.0f / BLOCK);
        x -= head_dim * BLOCK;
    }
}

void lac_pick_pool_keys(const struct lac_pick_args *a, size_t n_blocks)
{
    const struct lac_pick_gates *g = a->gates;
    float *x = a->room->gates.block;
    const size_t n_in = lac_gates_inputs(g->kind->key_pools, a->head_dim);
    for (; *g->n_pooled < n_blocks; ++*g->n_pooled) {
        size_t tile = *g->n_pooled / LAC_TILE, lane = *g->n_pooled % LAC_TILE;
        (a->dtype == LAC_S8 ? load_pages : load_segments)(a, *g->n_pooled, x);
        turn_back(a, *g->n_pooled, x);
        pool(x, a->head_dim, g->kind->key_pools, LAC_TILE,
             g->pooled + tile * n_in * LAC_TILE + lane);
    }
}

/* ---- Projections ---- */

/* Lanes of a panel from `block` on, turned by the positions of their blocks' first tokens. */
static void turn(const struct lac_pick_args *a, size_t block, size_t n, size_t ld, float *x)
{
    const struct lac_pick_gate_room *r = &a->room->gates;
    const size_t width = a->gates->kind->width;
    const float factor = (float)a->gates->rope->attention_factor;
    for (size_t i = 0; i < width / 2; i++)
        for (size_t lane = 0; lane < n; lane++) {
            struct lac_turn t = lac_gate_turn(&a->gates->turns->of_gates, i, block + lane);
            r->cos[i * ld + lane] = t.cos * factor;
            r->sin[i * ld + lane] = t.sin * factor;
        }
    const struct lac_rope_args args = {
        .x = x,
        .n_heads = 1,
        .head_dim = width,
        .n_rotated = width,
        .ld = ld,
        .n_lanes = lac_round_up(n, LAC_LANES),
        .cos = r->cos,
        .sin = r->sin,
    };
    a->kernels->rope->run.rope(&args);
}

/* Some rows of a projection of a tile's lanes, from pooled features to y: [width][ld]. */
static void project(const struct lac_pick_args *a, const struct lac_linear *linear, size_t first,
                    struct lac_tile tile, const float *x, float *y)
{
    const struct lac_pick_gate_room *r = &a->room->gates;
    const size_t width = a->gates->kind->width;
    struct lac_input input = {x, NULL};
    if (lac_dtype_is_quantized(linear->weight.dtype)) {
        const struct lac_quantize_args args = {
            .x = x,
            .n_features = linear->weight.n_in,
            .ld = tile.ld,
            .n_lanes = lac_round_up(tile.n_tokens, LAC_LANES),
            .y_u8 = r->x8,
            .y_scale = r->x_scale,
        };
        a->kernels->quantize->run.quantize(&args);
        input = (struct lac_input){r->x8, r->x_scale};
    }
    lac_run_linear(linear, tile, (struct lac_rows){first, first + width}, input,
                   (struct lac_output){.y = r->out});
    memcpy(y, r->out + first * tile.ld, width * tile.ld * sizeof *y);
}

/* Of blocks up to n, those that are not there yet. */
static void project_keys(const struct lac_pick_args *a, size_t n)
{
    struct lac_pick_gate_room *r = &a->room->gates;
    const struct lac_pick_gates *g = a->gates;
    if (r->key_row != g->key_row)
        r->n_projected = 0;
    r->key_row = g->key_row;
    if (r->n_projected >= n)
        return;
    for (size_t i = r->n_projected / LAC_TILE; i * LAC_TILE < n; i++) {
        size_t n_lanes = lac_min_size(n - i * LAC_TILE, LAC_TILE);
        struct lac_tile tile = {.n_tokens = n_lanes, .ld = LAC_TILE};
        float *keys = r->keys + i * g->kind->width * LAC_TILE;
        project(a, g->key, g->key_row, tile, g->pooled + i * g->key->weight.n_in * LAC_TILE, keys);
        turn(a, i * LAC_TILE, n_lanes, LAC_TILE, keys);
        r->tiles[i] = (struct lac_kv_segment){.k = keys,
                                              .v = keys,
                                              .k_ld = LAC_TILE,
                                              .v_ld = LAC_TILE,
                                              .v_step = 1,
                                              .n_keys = n_lanes};
    }
    r->n_projected = n;
}

/* Of the span's blocks, in lanes of q. */
static void project_queries(const struct lac_pick_args *a)
{
    const struct lac_pick_gate_room *r = &a->room->gates;
    const struct lac_pick_gates *g = a->gates;
    size_t n = lac_pick_blocks(a), first = a->first / BLOCK;
    for (size_t block = 0; block < n; block++) {
        load_queries(a, block, r->block);
        turn_back(a, first + block, r->block);
        pool(r->block, a->head_dim, g->kind->query_pools, LANES, r->q + block);
    }
    if (g->query)
        project(a, g->query, g->query_row, (struct lac_tile){.n_tokens = n, .ld = LANES}, r->q,
                r->q);
    turn(a, first, n, LANES, r->q);
}

/* ---- Choosing ---- */

/* Of the span's blocks with the first n of keys: scores[key][LANES]. */
static void score_blocks(const struct lac_pick_args *a, size_t n)
{
    const struct lac_pick_room *r = a->room;
    const struct lac_pick_gates *g = a->gates;
    const struct lac_query_segment queries = {
        .q = r->gates.q, .ld = LANES, .n_queries = lac_pick_blocks(a)};
    size_t n_listed = lac_ceil_div(n, LAC_KEY_BLOCK);
    for (size_t i = 0; i < n_listed; i++)
        r->blocks[i] = (struct lac_seen_block){(uint32_t)i, LAC_SEEN_WHOLE};
    const struct lac_attention_args of = {
        .queries = &queries,
        .n_query_segments = 1,
        .head_dim = g->kind->width,
        .scale = 1 / sqrtf((float)g->kind->width),
        .segments = r->gates.tiles,
        .n_segments = lac_ceil_div(n, LAC_TILE),
        .segment_keys = LAC_TILE,
        .n_keys = n,
        .seen = {r->blocks, n_listed, r->masks},
    };
    const struct lac_scores_args args = {.of = &of, .scores = r->scores};
    a->kernels->scores[LAC_F32]->run.scores(&args);
}

static void take(const struct lac_pick_args *a, size_t block, size_t n_candidates, size_t n_seen)
{
    const struct lac_pick_room *r = a->room;
    const struct lac_pick *choice = a->choice;
    const struct lac_pick_place place = lac_pick_place_of(a, block);
    struct lac_pick_top top = choice->blocks;
    if (choice->share > 0)
        top.n = lac_max_size(1, (size_t)(choice->share * (double)n_seen));
    if (top.n || top.mass > 0) {
        lac_pick_add_best(a, block, n_candidates, &top);
        return;
    }
    for (size_t i = 0; i < n_candidates; i++)
        if (r->weights[i] > (float)choice->threshold)
            lac_pick_add_block(&place, r->candidates[i], lac_pick_bits_of(a, block));
}

void lac_pick_gated(const struct lac_pick_args *a)
{
    struct lac_pick_room *r = a->room;
    size_t first = a->first / BLOCK, n = lac_pick_blocks(a);
    lac_pick_pool_keys(a, first + n);
    project_keys(a, first + n);
    project_queries(a);
    score_blocks(a, first + n);
    for (size_t block = 0; block < n; block++) {
        const struct lac_pick_place place = lac_pick_place_of(a, block);
        size_t n_seen = first + block + 1;
        for (size_t i = 0; i < n_seen; i++)
            r->values[i] = r->scores[i * LANES + block];
        const struct lac_softmax_args softmax = {r->values, n_seen, r->weights};
        a->kernels->softmax->run.softmax(&softmax);
        size_t n_others = lac_pick_candidates(&place, lac_pick_bits_of(a, block), r->candidates);
        for (size_t i = 0; i < n_others; i++) {
            r->values[i] = r->values[r->candidates[i]];
            r->weights[i] = r->weights[r->candidates[i]];
        }
        take(a, block, n_others, n_seen);
    }
}
