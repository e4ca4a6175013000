/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of keys that are looked up (Xiao et al. 2024). */
#include "src/run/kv_memory.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/counted.h"
#include "src/run/kv.h"

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.rules ? kv->shape.n_layers * kv->shape.n_heads : 0;
}

static bool remembers(const struct lac_kv *kv, size_t t)
{
    return kv->shape.rules && kv->shape.rules->of[t].kind == LAC_KV_MEMORY;
}

bool lac_kv_remembers(const struct lac_kv *kv, size_t layer, size_t head)
{
    return remembers(kv, layer * kv->shape.n_heads + head);
}

static size_t page_bytes(const struct lac_kv *kv)
{
    return lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
}

static void **table(const struct lac_kv *kv, size_t t)
{
    return kv->memory.at + t * kv->memory.capacity;
}

void **lac_kv_head_memory(const struct lac_kv *kv, size_t layer, size_t head)
{
    return table(kv, layer * kv->shape.n_heads + head);
}

static size_t n_heads(const struct lac_kv *kv)
{
    size_t n = 0;
    for (size_t t = 0; t < n_tables(kv); t++)
        n += remembers(kv, t);
    return n;
}

static enum lac_status no_memory(const struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory to look up %zu keys of %zu heads",
                    n_pages * LAC_LANES, n_heads(kv));
}

static bool grow_tables(struct lac_kv *kv, size_t n_pages)
{
    struct lac_kv_memory *m = &kv->memory;
    size_t n;
    if (n_pages <= m->capacity)
        return true;
    size_t capacity = lac_max_size(lac_max_size(8, n_pages), m->capacity * 2);
    void **at =
        lac_mul_size(n_tables(kv), capacity, &n) ? lac_alloc(kv->host, n, sizeof *at) : NULL;
    if (!at)
        return false;
    for (size_t t = 0; m->n_pages && t < n_tables(kv); t++)
        memcpy(at + t * capacity, table(kv, t), m->n_pages * sizeof *at);
    lac_free(kv->host, m->at);
    m->at = at;
    m->capacity = capacity;
    return true;
}

static void drop_pages(const struct lac_kv *kv, size_t t, size_t from, size_t to)
{
    for (size_t i = from; remembers(kv, t) && i < to; i++)
        lac_counted_drop(kv->host, table(kv, t)[i]);
}

static bool add_pages_of(struct lac_kv *kv, size_t t, size_t n_pages)
{
    for (size_t i = kv->memory.n_pages; remembers(kv, t) && i < n_pages; i++) {
        void *page = lac_counted_new(kv->host, page_bytes(kv));
        if (!page) {
            drop_pages(kv, t, kv->memory.n_pages, i);
            return false;
        }
        table(kv, t)[i] = page;
    }
    return true;
}

/* For every head or none; those of a head side by side. */
static bool add_pages(struct lac_kv *kv, size_t n_pages)
{
    for (size_t t = 0; t < n_tables(kv); t++) {
        if (add_pages_of(kv, t, n_pages))
            continue;
        while (t--)
            drop_pages(kv, t, kv->memory.n_pages, n_pages);
        return false;
    }
    kv->memory.n_pages = n_pages;
    return true;
}

static bool own_last_page(struct lac_kv *kv)
{
    size_t i = kv->n_keys / LAC_LANES;
    for (size_t t = 0; kv->n_keys % LAC_LANES && t < n_tables(kv); t++) {
        void **page = remembers(kv, t) ? &table(kv, t)[i] : NULL;
        if (!page || !lac_counted_is_shared(*page))
            continue;
        void *copy = lac_counted_new(kv->host, page_bytes(kv));
        if (!copy)
            return false;
        memcpy(copy, *page, page_bytes(kv));
        lac_counted_drop(kv->host, *page);
        *page = copy;
    }
    return true;
}

enum lac_status lac_kv_memory_reserve(struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    if (!n_heads(kv))
        return LAC_OK;
    if (!grow_tables(kv, n_pages) || !own_last_page(kv) ||
        (n_pages > kv->memory.n_pages && !add_pages(kv, n_pages)))
        return no_memory(kv, n_pages, error);
    return LAC_OK;
}

void lac_kv_memory_truncate(struct lac_kv *kv, size_t n_pages)
{
    n_pages = lac_min_size(kv->memory.n_pages, n_pages);
    for (size_t t = 0; t < n_tables(kv); t++)
        drop_pages(kv, t, n_pages, kv->memory.n_pages);
    kv->memory.n_pages = n_pages;
}

enum lac_status lac_kv_memory_share(struct lac_kv *to, const struct lac_kv *from, size_t n_pages,
                                    struct lac_error *error)
{
    if (!n_heads(to))
        return LAC_OK;
    if (!grow_tables(to, n_pages))
        return no_memory(to, n_pages, error);
    for (size_t t = 0; t < n_tables(to); t++)
        for (size_t i = 0; remembers(to, t) && i < n_pages; i++)
            table(to, t)[i] = lac_counted_hold(table(from, t)[i]);
    to->memory.n_pages = n_pages;
    return LAC_OK;
}

void lac_kv_memory_clear(struct lac_kv *kv)
{
    lac_kv_memory_truncate(kv, 0);
    lac_free(kv->host, kv->memory.at);
    kv->memory = (struct lac_kv_memory){0};
}

size_t lac_kv_memory_bytes(const struct lac_kv *kv)
{
    return n_heads(kv) * kv->memory.n_pages * page_bytes(kv);
}
