/* SPDX-License-Identifier: Apache-2.0 */
/* Reading caches whose pages may be compact, or have moved up from their places. */
#include "src/run/expanded.h"

#include <string.h>

#include "simd/compact.h"

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

static void expand(const struct lac_member *m, const struct lac_kv *kv, void *const *from, size_t n,
                   void *to)
{
    const struct lac_compact form = lac_kv_compact_form(&kv->shape);
    const struct lac_expand_args args = {
        .compact = &form,
        .from = (const void *const *)from,
        .n_pages = n,
        .to = to,
    };
    m->network->kernels.expand[kv->shape.dtype]->run.expand(&args);
}

/* Where pages of a head are that streams: those behind its sinks have moved up. */
static size_t moved_up(const struct lac_kv *kv, size_t layer, size_t head, size_t page)
{
    const struct lac_kv_rule *rule = &kv->shape.rules->of[layer * kv->shape.n_heads + head];
    size_t sinks = rule->n_sinks * BLOCK_PAGES;
    size_t n_gone = lac_kv_gone(kv, layer, head) - lac_kv_skipped(kv, layer, head);
    return page < sinks ? page : page - lac_min_size(page - sinks, n_gone / LAC_LANES);
}

/* Have they places that are not those in the cache's table? */
static bool is_moved(const struct lac_kv *kv, size_t layer, size_t head)
{
    return lac_kv_gone(kv, layer, head) > lac_kv_skipped(kv, layer, head);
}

/* In places where nothing is any more is what is elsewhere. */
static void *const *place_pages(const struct lac_member *m, const struct lac_kv *kv, size_t layer,
                                size_t head, size_t n)
{
    void **whole = m->region->whole_pages + m->rank * m->region->n_whole;
    void *const *pages = lac_kv_head(kv, layer, head);
    for (size_t i = 0; i < n; i++)
        whole[i] = pages[moved_up(kv, layer, head, i)];
    return whole;
}

void *const *lac_whole_pages(const struct lac_member *m, const struct lac_kv *kv, size_t layer,
                             size_t head, size_t n_keys)
{
    const struct lac_region *r = m->region;
    size_t n_compact = lac_kv_compact_pages(kv, layer, head), n = lac_ceil_div(n_keys, LAC_LANES);
    size_t n_bytes = lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
    void *const *pages = lac_kv_head(kv, layer, head);
    if (is_moved(kv, layer, head))
        return place_pages(m, kv, layer, head, n);
    if (!n_compact)
        return pages;
    void **whole = r->whole_pages + m->rank * r->n_whole;
    char *room = r->whole_room + m->rank * r->n_whole * r->compact_page;
    expand(m, kv, pages, n_compact, room);
    for (size_t i = 0; i < n; i++)
        whole[i] = i < n_compact ? room + i * n_bytes : pages[i];
    return whole;
}

/* Blocks expanded one by one, as they are read: in the nearest cache, while what comes next is
 * fetched. */
struct expander {
    const struct lac_member *m;
    const struct lac_kv *kv;
    void *const *pages; /* the head's */
    size_t n_compact;
    void **whole; /* the same, those of the last block expanded */
    char *room;
};

static void load_block(void *context, size_t block)
{
    const struct expander *e = context;
    size_t first = block * BLOCK_PAGES, n_bytes = e->m->region->compact_page;
    size_t n = lac_min_size(e->n_compact - lac_min_size(e->n_compact, first), BLOCK_PAGES);
    if (!n)
        return;
    expand(e->m, e->kv, e->pages + first, n, e->room);
    for (size_t i = 0; i < n; i++)
        e->whole[first + i] = e->room + i * n_bytes;
}

/* Pages of which something is seen, in their places. */
static const void *const *place_seen(const struct lac_member *m, const struct lac_kv *kv,
                                     size_t layer, size_t head,
                                     const struct lac_attention_row_args *a)
{
    size_t n_pages = kv->n_pages - lac_kv_skipped(kv, layer, head) / LAC_LANES;
    void **placed = m->region->row_pages + m->rank * m->region->n_whole;
    void *const *pages = lac_kv_head(kv, layer, head);
    for (size_t i = 0; i < a->n_seen; i++)
        for (size_t k = 0; k < BLOCK_PAGES; k++) {
            size_t page = a->seen[i].block * BLOCK_PAGES + k;
            if (page < n_pages)
                placed[page] = pages[moved_up(kv, layer, head, page)];
        }
    return (const void *const *)placed;
}

void lac_run_row(const struct lac_member *m, const struct lac_kv *kv, size_t layer, size_t head,
                 const struct lac_attention_row_args *args)
{
    const struct lac_region *r = m->region;
    struct lac_attention_row_args a = *args;
    struct expander e = {
        .m = m,
        .kv = kv,
        .pages = lac_kv_head(kv, layer, head),
        .n_compact = lac_kv_compact_pages(kv, layer, head),
        .whole = r->row_pages + m->rank * r->n_whole,
        .room = r->row_room + m->rank * BLOCK_PAGES * r->compact_page,
    };
    a.pages = is_moved(kv, layer, head) ? place_seen(m, kv, layer, head, &a)
                                        : (const void *const *)e.pages;
    if (e.n_compact && a.n_seen && !(a.parts && a.y)) {
        size_t n_pages = (a.seen[a.n_seen - 1].block + 1) * BLOCK_PAGES;
        memcpy(e.whole, e.pages, lac_min_size(n_pages, kv->capacity) * sizeof *e.whole);
        a.pages = (const void *const *)e.whole;
        a.load = load_block;
        a.context = &e;
    }
    m->network->kernels.attention_row[kv->shape.dtype]->run.attention_row(&a);
}
