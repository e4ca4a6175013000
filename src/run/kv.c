/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of keys and values of one sequence. */
#include "src/run/kv.h"

#include <stdatomic.h>
#include <string.h>

#include "src/base/checked.h"

/* What stands before a page's bytes, which are aligned as it is. */
struct page {
    _Alignas(LAC_ALIGNMENT) atomic_size_t n_owners;
};

static struct page *page_of(void *bytes)
{
    return (struct page *)bytes - 1;
}

static size_t page_bytes(const struct lac_kv *kv)
{
    return lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
}

static void *new_page(const struct lac_kv *kv)
{
    struct page *page = lac_alloc(kv->host, 1, sizeof *page + page_bytes(kv));
    if (!page)
        return NULL;
    atomic_init(&page->n_owners, 1);
    return page + 1;
}

static void drop_page(const struct lac_kv *kv, void *bytes)
{
    struct page *page = page_of(bytes);
    if (atomic_fetch_sub_explicit(&page->n_owners, 1, memory_order_acq_rel) == 1)
        lac_free(kv->host, page);
}

static bool is_shared(void *bytes)
{
    return atomic_load_explicit(&page_of(bytes)->n_owners, memory_order_acquire) > 1;
}

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

static void **table(const struct lac_kv *kv, size_t i)
{
    return kv->pages + i * kv->capacity;
}

void lac_kv_init(struct lac_kv *kv, const struct lac_host *host, const struct lac_kv_shape *shape)
{
    *kv = (struct lac_kv){.host = host, .shape = *shape};
}

static void drop_pages(struct lac_kv *kv, size_t n_kept)
{
    for (size_t t = 0; t < n_tables(kv); t++)
        for (size_t i = n_kept; i < kv->n_pages; i++)
            drop_page(kv, table(kv, t)[i]);
    kv->n_pages = lac_min_size(kv->n_pages, n_kept);
}

void lac_kv_clear(struct lac_kv *kv)
{
    drop_pages(kv, 0);
    lac_free(kv->host, kv->pages);
    lac_kv_init(kv, kv->host, &kv->shape);
}

static enum lac_status no_memory(const struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY,
                    "no memory for keys and values of %zu tokens: %zu pages of %zu bytes",
                    n_pages * LAC_LANES, n_tables(kv) * n_pages, page_bytes(kv));
}

static enum lac_status grow_tables(struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    if (n_pages <= kv->capacity)
        return LAC_OK;
    size_t capacity = lac_max_size(lac_max_size(8, n_pages), kv->capacity * 2), n;
    void **pages =
        lac_mul_size(n_tables(kv), capacity, &n) ? lac_alloc(kv->host, n, sizeof *pages) : NULL;
    if (!pages)
        return no_memory(kv, n_pages, error);
    for (size_t t = 0; kv->n_pages && t < n_tables(kv); t++)
        memcpy(pages + t * capacity, table(kv, t), kv->n_pages * sizeof *pages);
    lac_free(kv->host, kv->pages);
    kv->pages = pages;
    kv->capacity = capacity;
    return LAC_OK;
}

/* The last page of each head, if the next key goes into it, becomes the cache's own.  A copy that
 * was made stays, whatever fails after it. */
static enum lac_status own_last_pages(struct lac_kv *kv, struct lac_error *error)
{
    if (kv->n_keys % LAC_LANES == 0)
        return LAC_OK;
    size_t last = kv->n_keys / LAC_LANES;
    for (size_t t = 0; t < n_tables(kv); t++) {
        void **page = &table(kv, t)[last];
        if (!is_shared(*page))
            continue;
        void *copy = new_page(kv);
        if (!copy)
            return no_memory(kv, 1, error);
        memcpy(copy, *page, page_bytes(kv));
        drop_page(kv, *page);
        *page = copy;
    }
    return LAC_OK;
}

/* One more page for every head, or for none. */
static bool add_pages(struct lac_kv *kv)
{
    for (size_t t = 0; t < n_tables(kv); t++) {
        void *page = new_page(kv);
        if (!page) {
            while (t--)
                drop_page(kv, table(kv, t)[kv->n_pages]);
            return false;
        }
        table(kv, t)[kv->n_pages] = page;
    }
    kv->n_pages++;
    return true;
}

enum lac_status lac_kv_reserve(struct lac_kv *kv, size_t n_more, struct lac_error *error)
{
    size_t n_keys;
    if (!n_more)
        return LAC_OK;
    if (!lac_add_size(kv->n_keys, n_more, &n_keys) || n_keys > SIZE_MAX - LAC_LANES)
        return lac_fail(error, LAC_E_LIMIT, "a sequence of %zu and %zu tokens", kv->n_keys, n_more);
    size_t n_pages = lac_ceil_div(n_keys, LAC_LANES);
    enum lac_status status = grow_tables(kv, n_pages, error);
    if (!status)
        status = own_last_pages(kv, error);
    while (!status && kv->n_pages < n_pages)
        if (!add_pages(kv))
            status = no_memory(kv, n_pages - kv->n_pages, error);
    return status;
}

void lac_kv_truncate(struct lac_kv *kv, size_t n_keys)
{
    kv->n_keys = n_keys;
    drop_pages(kv, lac_ceil_div(n_keys, LAC_LANES));
}

enum lac_status lac_kv_share(struct lac_kv *to, const struct lac_kv *from, size_t n_keys,
                             struct lac_error *error)
{
    size_t n_pages = lac_ceil_div(n_keys, LAC_LANES);
    enum lac_status status = grow_tables(to, n_pages, error);
    if (status)
        return status;
    for (size_t t = 0; t < n_tables(to); t++)
        for (size_t i = 0; i < n_pages; i++) {
            void *page = table(from, t)[i];
            atomic_fetch_add_explicit(&page_of(page)->n_owners, 1, memory_order_relaxed);
            table(to, t)[i] = page;
        }
    to->n_pages = n_pages;
    to->n_keys = n_keys;
    return LAC_OK;
}

size_t lac_kv_bytes(const struct lac_kv *kv)
{
    return n_tables(kv) * kv->n_pages * page_bytes(kv);
}
