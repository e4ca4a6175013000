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

static size_t widest_input(const struct lac_config *c)
{
    size_t n = lac_max_size(c->hidden_size, lac_query_size(c));
    return lac_round_up(lac_max_size(n, c->embedding_size), 4);
}

/* Kernels read what belongs to 16 neurons at once. */
static void lay_out_lists(struct lac_region *r, const struct lac_config *config, struct cutter *c)
{
    size_t n = r->n_ffn_lanes / LAC_TILE;
    r->n_listed = lac_round_up(config->intermediate_size, LAC_LANES);
    r->n_chosen = cut(c, n, 1, sizeof *r->n_chosen);
    r->list = cut(c, n, r->n_listed, sizeof *r->list);
    r->listed_scale = cut(c, n, r->n_listed, sizeof *r->listed_scale);
    r->listed_bias = cut(c, n, r->n_listed, sizeof *r->listed_bias);
    r->listed_offset = cut(c, n, r->n_listed, sizeof *r->listed_offset);
    r->is_full = cut(c, r->n_lanes, 1, sizeof *r->is_full);
    r->core = cut(c, r->n_lanes, 1, sizeof *r->core);
    r->counting = cut(c, r->n_lanes, 1, sizeof *r->counting);
    r->counts = cut(c, r->n_members, 1, sizeof *r->counts);
}

/* For caches with compact pages. */
static void lay_out_whole(struct lac_region *r, struct cutter *c)
{
    size_t m = r->n_members, n_block = LAC_KEY_BLOCK / LAC_LANES;
    r->row_room = cut(c, m * n_block, r->compact_page, 1);
    r->whole_room = cut(c, m * r->n_whole, r->compact_page, 1);
}

static void lay_out_decoder(struct lac_region *r, const struct lac_config *config, struct cutter *c)
{
    size_t n = r->n_lanes, m = r->n_members;
    bool has_angles = config->position_kind == LAC_POSITION_ROPE;
    r->x = cut(c, n, r->n_inputs, sizeof *r->x);
    r->kept_h = cut(c, n, config->hidden_size, sizeof *r->kept_h);
    r->factor =
        cut(c, r->n_ffn_lanes, config->is_gated ? config->intermediate_size : 0, sizeof *r->factor);
    r->cos = cut(c, n, has_angles ? config->head_dim / 2 : 0, sizeof *r->cos);
    r->sin = cut(c, n, has_angles ? config->head_dim / 2 : 0, sizeof *r->sin);
    r->logits = cut(c, m * LAC_TILE, LAC_HEAD_ROWS, sizeof *r->logits);
    r->tops = cut(c, m * LAC_TILE, LAC_MAX_TOP, sizeof *r->tops);
    r->sums = cut(c, LAC_TILE, lac_ceil_div(config->vocab_size, LAC_HEAD_ROWS), sizeof *r->sums);
    r->seen_keys = cut(c, m, r->n_blocks, sizeof *r->seen_keys);
    r->seen_rows = cut(c, m, 1, sizeof *r->seen_rows);
    r->row = cut(c, 2 * m, lac_query_size(config), sizeof *r->row);
    r->lost = cut(c, 2 * m, config->head_dim, sizeof *r->lost);
    r->next = cut(c, n, 1, sizeof *r->next);
    r->n_scores = lac_round_up(r->n_blocks * LAC_KEY_BLOCK / LAC_LANES, LAC_LANES);
    r->scores = cut(c, m * (LAC_ROW_QUERIES + 1), r->n_scores, sizeof *r->scores);
    size_t group = config->n_heads / config->n_kv_heads;
    r->n_parts =
        lac_ceil_div(r->n_blocks, LAC_RANGE_BLOCKS) * group * lac_attention_part(config->head_dim);
    r->parts = cut(c, m - 1, r->n_parts, sizeof *r->parts);
    r->row_parts = cut(c, m, r->n_parts, sizeof *r->row_parts);
    r->n_done = cut(c, m, 1, sizeof *r->n_done);
    r->n_whole = r->n_blocks * (LAC_KEY_BLOCK / LAC_LANES);
    r->row_pages = cut(c, m, r->n_whole, sizeof *r->row_pages);
    r->whole_pages = cut(c, m, r->n_whole, sizeof *r->whole_pages);
    r->turned = cut(c, m * LAC_TILE, has_angles ? config->head_dim : 0, sizeof *r->turned);
    if (r->has_lists)
        lay_out_lists(r, config, c);
    if (r->compact_page)
        lay_out_whole(r, c);
}

static void lay_out_encoder(struct lac_region *r, const struct lac_network *network,
                            const struct lac_head *head, struct cutter *c)
{
    size_t m = r->n_members;
    r->kept_h = r->k;
    r->logits = cut(c, (head->task == LAC_TASK_FILL ? 1 : m) * LAC_TILE,
                    lac_head_width(network, head), sizeof *r->logits);
    size_t n_pages = lac_dtype_is_quantized(network->dtype) ? m * (r->n_lanes / LAC_LANES) : 0;
    r->kv = cut(c, n_pages, lac_kv_page_bytes(LAC_S8, network->config.head_dim), 1);
    r->pages = cut(c, n_pages, 1, sizeof *r->pages);
    r->out = cut(c, r->n_lanes, 1, sizeof *r->out);
}

static void lay_out_choices(struct lac_region *r, const struct lac_config *config, struct cutter *c)
{
    size_t m = r->n_members, n_keys = r->n_blocks * LAC_KEY_BLOCK;
    size_t group = config->n_heads / config->n_kv_heads;
    r->picking = cut(c, m, 1, sizeof *r->picking);
    const struct lac_pick_sizes sizes = {n_keys, config->head_dim, config->n_heads, &config->gates};
    r->pick_rooms = cut(c, m, lac_pick_room_bytes(&sizes), 1);
    r->picked = cut(c, m, config->n_heads, sizeof *r->picked);
    r->picked_bits =
        cut(c, m * group, LAC_SPAN_BLOCKS * lac_pick_words(n_keys), sizeof *r->picked_bits);
}

static void lay_out(struct lac_region *r, const struct lac_network *network,
                    const struct lac_head *head, struct cutter *c)
{
    const struct lac_config *config = &network->config;
    size_t n = r->n_lanes, m = r->n_members, f = r->n_ffn_lanes;
    size_t hidden = config->hidden_size, wide = config->intermediate_size;
    bool is_quantized = lac_dtype_is_quantized(network->dtype);
    r->h = cut(c, n, hidden, sizeof *r->h);
    r->q = cut(c, n, lac_query_size(config), sizeof *r->q);
    r->k = cut(c, n, lac_key_size(config), sizeof *r->k);
    r->v = cut(c, n, lac_key_size(config), sizeof *r->v);
    r->a = cut(c, n, lac_max_size(lac_query_size(config), config->embedding_size), sizeof *r->a);
    r->kept_a = r->q;
    r->n_inputs = widest_input(config);
    r->x8 = cut(c, n, is_quantized ? r->n_inputs : 0, 1);
    r->x_scale = cut(c, n, is_quantized, sizeof *r->x_scale);
    r->ffn = cut(c, f, wide, sizeof *r->ffn);
    r->ffn8 = cut(c, f, is_quantized ? lac_round_up(wide, 4) : 0, 1);
    r->ffn_scale = cut(c, f, is_quantized, sizeof *r->ffn_scale);
    r->abs_max = cut(c, m, n, sizeof *r->abs_max);
    r->ffn_max = cut(c, m, f, sizeof *r->ffn_max);
    r->rows_in = cut(c, m * (LAC_LANES + 1), lac_max_size(hidden, config->embedding_size),
                     sizeof *r->rows_in);
    r->segments = cut(c, m, r->n_segments, sizeof *r->segments);
    r->blocks = cut(c, m, r->n_blocks, sizeof *r->blocks);
    r->masks = cut(c, m, r->n_blocks, sizeof *r->masks);
    if (r->has_picks)
        lay_out_choices(r, config, c);
    r->first = cut(c, n + 1, 1, sizeof *r->first);
    r->kept = cut(c, n, 1, sizeof *r->kept);
    if (lac_family_is_decoder(config->family))
        lay_out_decoder(r, config, c);
    else
        lay_out_encoder(r, network, head, c);
}

enum lac_status lac_region_reserve(struct lac_region *region, const struct lac_network *network,
                                   const struct lac_head *head, size_t n_members, size_t n_tokens,
                                   size_t n_keys, size_t page_bytes, struct lac_error *error)
{
    /* Tokens of a tile lie in a segment, keys of a page in another; one sequence fills few. */
    size_t n_segments = lac_max_size(n_tokens / LAC_TILE + 2, lac_ceil_div(n_keys, LAC_LANES));
    if (region->memory && region->n_lanes >= n_tokens && region->n_segments >= n_segments &&
        region->compact_page >= page_bytes)
        return LAC_OK;
    if (region->n_segments < n_segments && n_keys) /* they grow by one page after another */
        n_segments = lac_max_size(n_segments, region->n_segments * 2);
    struct lac_region r = {
        .host = region->host,
        .has_picks = region->has_picks,
        .has_lists = region->has_lists,
        .n_members = n_members,
        .n_segments = lac_max_size(n_segments, region->n_segments),
        .compact_page = lac_max_size(page_bytes, region->compact_page),
    };
    n_segments = r.n_segments;
    struct cutter c = {0};
    n_tokens = lac_max_size(n_tokens, region->n_lanes);
    if (!lac_round_up_size(n_tokens, LAC_TILE, &r.n_lanes))
        return lac_fail(error, LAC_E_LIMIT, "a batch of %zu tokens", n_tokens);
    r.n_blocks = lac_ceil_div(lac_max_size(r.n_lanes, n_segments * LAC_LANES), LAC_KEY_BLOCK) +
                 (network->config.block_tokens ? LAC_SIGHT_MOST_AGAIN : 0);
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
    *region = (struct lac_region){
        .host = region->host, .has_picks = region->has_picks, .has_lists = region->has_lists};
}
