/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of a cache's pages (simd/attention.h): their order by votes, and copying them. */
#include "src/run/kv_slots.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"

/* Of equals the later one. */
static int by_votes(const void *a, const void *b)
{
    const struct lac_kv_candidate *x = a, *y = b;
    if (x->votes > y->votes || x->votes < y->votes)
        return x->votes > y->votes ? -1 : 1;
    return x->slot > y->slot ? -1 : x->slot < y->slot;
}

static int by_slot(const void *a, const void *b)
{
    const struct lac_kv_candidate *x = a, *y = b;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

void lac_kv_sort_by_votes(struct lac_kv_candidate *candidates, size_t n)
{
    qsort(candidates, n, sizeof *candidates, by_votes);
}

void lac_kv_sort_by_slot(struct lac_kv_candidate *candidates, size_t n)
{
    qsort(candidates, n, sizeof *candidates, by_slot);
}

static void copy_floats(size_t element, size_t head_dim, char *to, size_t i, const char *from,
                        size_t j)
{
    size_t values = LAC_LANES * head_dim * element, row = head_dim * element;
    for (size_t f = 0; f < head_dim; f++)
        memcpy(to + (f * LAC_LANES + i) * element, from + (f * LAC_LANES + j) * element, element);
    memcpy(to + values + i * row, from + values + j * row, row);
}

static void copy_bytes(size_t head_dim, struct lac_kv_page *to, size_t i,
                       const struct lac_kv_page *from, size_t j)
{
    size_t n_dwords = lac_ceil_div(head_dim, 4), values = lac_kv_page_keys_bytes(head_dim);
    to->k_scale[i] = from->k_scale[j];
    to->v_scale[i] = from->v_scale[j];
    for (size_t d = 0; d < n_dwords; d++)
        memcpy(to->rows + (d * LAC_LANES + i) * 4, from->rows + (d * LAC_LANES + j) * 4, 4);
    uint8_t *v = to->rows + values + i / 4 * n_dwords * 16 + i % 4;
    const uint8_t *w = from->rows + values + j / 4 * n_dwords * 16 + j % 4;
    for (size_t f = 0; f < n_dwords * 4; f++)
        v[f * 4] = w[f * 4];
}

void lac_kv_copy_slot(const struct lac_kv_shape *shape, void *to, size_t i, const void *from,
                      size_t j)
{
    if (shape->dtype == LAC_S8)
        copy_bytes(shape->head_dim, to, i, from, j);
    else
        copy_floats(shape->dtype == LAC_BF16 ? 2 : 4, shape->head_dim, to, i, from, j);
}

void lac_kv_clear_page(const struct lac_kv_shape *shape, void *page)
{
    memset(page, 0, lac_kv_page_bytes(shape->dtype, shape->head_dim));
    if (shape->dtype == LAC_S8)
        memset(((struct lac_kv_page *)page)->rows, 128, lac_kv_page_keys_bytes(shape->head_dim));
}
