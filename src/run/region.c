/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a forward pass: one allocation, cut up. */
#include "src/run/region.h"

#include "simd/attention.h"
#include "src/base/checked.h"

/* Cuts pieces off memory in turn; with base NULL it only adds up their sizes. */
struct cutter {
    char *base;
    size_t used;
    bool overflowed;
};

static void *cut(struct cutter *c, size_t n, size_t width, size_t size)
{
    size_t bytes, begin = c->used;
    if (!lac_mul_size(n, width, &bytes) || !lac_mul_size(bytes, size, &bytes) ||
        !lac_round_up_size(bytes, LAC_ALIGNMENT, &bytes) || !lac_add_size(begin, bytes, &c->used)) {
        c->overflowed = true;
        return NULL;
    }
    return c->base ? c->base + begin : NULL;
}

static void lay_out(struct lac_region *r, const struct lac_network *network,
                    const struct lac_head *head, struct cutter *c)
{
    size_t n = r->n_lanes, m = r->n_members, f = r->n_ffn_lanes;
    size_t hidden = network->config.hidden_size, wide = network->config.intermediate_size;
    size_t hidden8 = lac_round_up(hidden, 4), wide8 = lac_round_up(wide, 4);
    bool is_quantized = lac_dtype_is_quantized(network->dtype);
    r->h = cut(c, n, hidden, sizeof *r->h);
    r->q = cut(c, n, hidden, sizeof *r->q);
    r->k = cut(c, n, hidden, sizeof *r->k);
    r->v = cut(c, n, hidden, sizeof *r->v);
    r->a = cut(c, n, hidden, sizeof *r->a);
    r->x8 = cut(c, n, is_quantized ? hidden8 : 0, 1);
    r->x_scale = cut(c, n, is_quantized, sizeof *r->x_scale);
    r->ffn = cut(c, f, wide, sizeof *r->ffn);
    r->ffn8 = cut(c, f, is_quantized ? wide8 : 0, 1);
    r->ffn_scale = cut(c, f, is_quantized, sizeof *r->ffn_scale);
    r->abs_max = cut(c, m, n, sizeof *r->abs_max);
    r->ffn_max = cut(c, m, f, sizeof *r->ffn_max);
    r->logits = cut(c, (head->task == LAC_TASK_FILL ? 1 : m) * LAC_TILE,
                    lac_head_width(network, head), sizeof *r->logits);
    r->rows_in = cut(c, m * (LAC_LANES + 1), hidden, sizeof *r->rows_in);
    r->segments = cut(c, m, n / LAC_TILE, sizeof *r->segments);
    size_t n_pages = is_quantized ? m * (n / LAC_LANES) : 0;
    r->kv = cut(c, n_pages, lac_kv_page_bytes(LAC_S8, hidden / network->config.n_heads), 1);
    r->pages = cut(c, n_pages, 1, sizeof *r->pages);
    r->first = cut(c, n + 1, 1, sizeof *r->first);
    r->kept = cut(c, n, 1, sizeof *r->kept);
    r->out = cut(c, n, 1, sizeof *r->out);
}

enum lac_status lac_region_reserve(struct lac_region *region, const struct lac_network *network,
                                   const struct lac_head *head, size_t n_members, size_t n_tokens,
                                   struct lac_error *error)
{
    if (region->memory && region->n_lanes >= n_tokens)
        return LAC_OK;
    struct lac_region r = {.host = region->host, .n_members = n_members};
    struct cutter c = {0};
    if (!lac_round_up_size(n_tokens, LAC_TILE, &r.n_lanes))
        return lac_fail(error, LAC_E_LIMIT, "a batch of %zu tokens", n_tokens);
    size_t n_shared = (n_members > 1 ? LAC_SHARED_TILES : 1) * n_members * LAC_TILE;
    r.n_ffn_lanes = lac_max_size(n_members * LAC_TILE, lac_min_size(r.n_lanes, n_shared));
    lay_out(&r, network, head, &c);
    if (!c.overflowed)
        r.memory = lac_alloc(r.host, c.used, 1);
    if (!r.memory)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a batch of %zu tokens: %zu bytes",
                        n_tokens, c.used);
    r.size_bytes = c.used;
    c = (struct cutter){.base = r.memory};
    lay_out(&r, network, head, &c);
    lac_region_clear(region);
    *region = r;
    return LAC_OK;
}

void lac_region_clear(struct lac_region *region)
{
    lac_free(region->host, region->memory);
    *region = (struct lac_region){.host = region->host};
}
