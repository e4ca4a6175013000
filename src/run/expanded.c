/* SPDX-License-Identifier: Apache-2.0 */
/* Reading caches whose pages may be compact. */
#include "src/run/expanded.h"

#include <string.h>

#include "simd/compact.h"

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

void *const *lac_whole_pages(const struct lac_member *m, const struct lac_kv *kv, size_t layer,
                             size_t head, size_t n_slots)
{
    const struct lac_region *r = m->region;
    size_t n_compact = lac_kv_compact_pages(kv, layer, head);
    size_t n_bytes = lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
    void *const *pages = lac_kv_head(kv, layer, head);
    if (!n_compact)
        return pages;
    void **whole = r->whole_pages + m->rank * r->n_whole;
    char *room = r->whole_room + m->rank * r->n_whole * r->compact_page;
    expand(m, kv, pages, n_compact, room);
    for (size_t i = 0; i < lac_ceil_div(n_slots, LAC_LANES); i++)
        whole[i] = i < n_compact ? room + i * n_bytes : pages[i];
    return whole;
}

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

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
    a.pages = (const void *const *)e.pages;
    if (e.n_compact && a.n_seen && !(a.parts && a.y)) {
        size_t n_pages = (a.seen[a.n_seen - 1].block + 1) * BLOCK_PAGES;
        memcpy(e.whole, e.pages, lac_min_size(n_pages, kv->capacity) * sizeof *e.whole);
        a.pages = (const void *const *)e.whole;
        a.load = load_block;
        a.context = &e;
    }
    m->network->kernels.attention_row[kv->shape.dtype]->run.attention_row(&a);
}
