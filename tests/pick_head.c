/* SPDX-License-Identifier: Apache-2.0 */
/* One head of a sequence, as choices are made for it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernel.h"
#include "src/base/checked.h"
#include "src/run/plan.h"
#include "tests/pick_suite.h"

void *pick_some(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

static void make_room(struct pick_head *h)
{
    size_t bytes = lac_pick_room_bytes(&h->sizes);
    h->room_memory = lac_alloc(&lac_default_host, bytes, 1);
    ck_assert_ptr_nonnull(h->room_memory);
    memset(h->room_memory, 0xff, bytes);
}

struct pick_head pick_head_make(size_t n, size_t dim)
{
    struct pick_head h = {.n = n,
                          .dim = dim,
                          .n_tiles = lac_ceil_div(n, LAC_TILE),
                          .n_pages = lac_ceil_div(n, LAC_LANES),
                          .scale = 1 / sqrtf((float)dim)};
    h.q = pick_some(n * dim, sizeof *h.q);
    h.k = pick_some(n * dim, sizeof *h.k);
    h.v = pick_some(n * dim, sizeof *h.v);
    h.panels = pick_some(h.n_tiles * 3 * dim * LAC_TILE, sizeof *h.panels);
    h.tiles = pick_some(h.n_tiles, sizeof *h.tiles);
    h.queries = pick_some(h.n_tiles, sizeof *h.queries);
    h.bf16 = pick_some(h.n_pages, sizeof *h.bf16);
    h.pages_bf16 = pick_some(h.n_pages, sizeof *h.pages_bf16);
    h.pages_s8 = pick_some(h.n_pages, sizeof *h.pages_s8);
    h.memory_bf16 = pick_some(h.n_pages, lac_kv_page_bytes(LAC_BF16, dim));
    h.memory_s8 = pick_some(h.n_pages, lac_kv_page_bytes(LAC_S8, dim));
    h.bits = pick_some((h.n_tiles + LAC_SPAN_BLOCKS) * lac_pick_words(n), sizeof *h.bits);
    h.sizes = (struct lac_pick_sizes){n, dim, 1, NULL};
    make_room(&h);
    return h;
}

void pick_head_gate(struct pick_head *h, const struct lac_pick_gates *gates, size_t n_heads)
{
    lac_free(&lac_default_host, h->room_memory);
    h->gates = gates;
    h->sizes.n_heads = n_heads;
    h->sizes.gates = gates->kind;
    make_room(h);
}

void pick_head_fill(struct pick_head *h)
{
    for (size_t i = 0; i < h->n_tiles; i++) {
        float *panel = h->panels + i * 3 * h->dim * LAC_TILE;
        size_t n = lac_min_size(h->n - i * LAC_TILE, LAC_TILE), ld = LAC_TILE;
        for (size_t d = 0; d < h->dim; d++)
            for (size_t j = 0; j < n; j++) {
                size_t at = (i * LAC_TILE + j) * h->dim + d;
                panel[d * ld + j] = h->q[at];
                panel[(h->dim + d) * ld + j] = h->k[at];
                panel[(2 * h->dim + d) * ld + j] = h->v[at];
            }
        h->queries[i] = (struct lac_query_segment){.q = panel, .ld = ld, .n_queries = n};
        h->tiles[i] =
            (struct lac_kv_segment){panel + h->dim * ld, panel + 2 * h->dim * ld, ld, ld, 1, n};
    }
    size_t bf16_bytes = lac_kv_page_bytes(LAC_BF16, h->dim);
    for (size_t i = 0; i < h->n_pages; i++) {
        h->pages_bf16[i] = h->memory_bf16 + i * bf16_bytes;
        h->pages_s8[i] = h->memory_s8 + i * lac_kv_page_bytes(LAC_S8, h->dim);
        h->bf16[i] = (struct lac_kv_segment){
            h->pages_bf16[i], h->memory_bf16 + i * bf16_bytes + bf16_bytes / 2, LAC_LANES, 1,
            h->dim,           lac_min_size(LAC_LANES, h->n - i * LAC_LANES)};
    }
    struct lac_kv_pages_args args = {h->tiles, h->n_tiles, h->dim, h->pages_s8, 0};
    lac_kernel_find_dtype(LAC_OP_KV_PAGES, LAC_S8, 0)->run.kv_pages(&args);
    args.pages = h->pages_bf16;
    lac_kernel_find_dtype(LAC_OP_KV_PAGES, LAC_BF16, 0)->run.kv_pages(&args);
}

void pick_head_free(struct pick_head *h)
{
    void *all[] = {h->q,    h->k,          h->v,        h->panels,      h->tiles,     h->queries,
                   h->bf16, h->pages_bf16, h->pages_s8, h->memory_bf16, h->memory_s8, h->bits};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    lac_free(&lac_default_host, h->room_memory);
}

void pick_head_choose(struct pick_head *h, const struct lac_pick *choice, bool is_causal,
                      enum lac_dtype dtype, unsigned features)
{
    struct lac_kernels kernels = {0};
    size_t words = lac_pick_words(h->n);
    lac_plan_shared(&kernels, features);
    h->room = lac_pick_room_at(h->room_memory, &h->sizes);
    for (size_t first = 0; first < h->n; first += LAC_PICK_SPAN) {
        struct lac_pick_args args = {
            .choice = choice,
            .gates = h->gates,
            .kernels = &kernels,
            .is_causal = is_causal,
            .head_dim = h->dim,
            .scale = h->scale,
            .dtype = dtype,
            .segments = dtype == LAC_BF16 ? h->bf16 : h->tiles,
            .n_segments = dtype == LAC_BF16 ? h->n_pages : h->n_tiles,
            .segment_keys = dtype == LAC_BF16 ? LAC_LANES : LAC_TILE,
            .pages = (const void *const *)h->pages_s8,
            .n_keys = h->n,
            .queries = h->queries + first / LAC_TILE,
            .first = first,
            .n_queries = lac_min_size(LAC_PICK_SPAN, h->n - first),
            .room = &h->room,
            .bits = h->bits + first / LAC_PICK_QUERIES * words,
        };
        lac_pick_keys(&args);
    }
}
