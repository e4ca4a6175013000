/* SPDX-License-Identifier: Apache-2.0 */
/* Making bundles of neurons from packed weights. */
#include "sparse/bundle.h"

#include <string.h>

#include "src/base/checked.h"

enum { PART_UNIT = 64 };

static bool can_be_kept(const struct lac_weight *w)
{
    return w->dtype == LAC_F32 || (w->dtype == LAC_S8 && !w->outliers.n);
}

bool lac_bundle_fits(const struct lac_weight *up, const struct lac_weight *down)
{
    return can_be_kept(up) && can_be_kept(down) && up->dtype == down->dtype &&
           up->n_out == down->n_in && up->n_in == down->n_out;
}

/* Row-major elements of a weight into a part of each neuron: rows as they are, or columns. */
static void place_rows(const struct lac_bundle *b, uint8_t *part, const uint8_t *elements,
                       size_t n_neurons, size_t row_bytes)
{
    for (size_t i = 0; i < n_neurons; i++)
        memcpy(part + i * b->stride, elements + i * row_bytes, row_bytes);
}

static void place_columns_s8(const struct lac_bundle *b, uint8_t *part, const uint8_t *elements,
                             size_t n_neurons, size_t n_hidden)
{
    for (size_t i = 0; i < n_neurons; i++)
        for (size_t o = 0; o < n_hidden; o++)
            part[i * b->stride + o] = elements[o * n_neurons + i] ^ 0x80;
}

static void place_columns_f32(const struct lac_bundle *b, uint8_t *part, const uint8_t *elements,
                              size_t n_neurons, size_t n_hidden)
{
    for (size_t i = 0; i < n_neurons; i++)
        for (size_t o = 0; o < n_hidden; o++)
            memcpy(part + i * b->stride + o * sizeof(float),
                   elements + (o * n_neurons + i) * sizeof(float), sizeof(float));
}

enum lac_status lac_bundle_make(const struct lac_weight *up, const struct lac_weight *down,
                                const struct lac_host *host, struct lac_arena *arena,
                                struct lac_bundle *bundle, struct lac_error *error)
{
    size_t n_neurons = up->n_out, n_hidden = up->n_in; /* of a matrix in memory */
    size_t row_bytes = n_hidden * lac_element_bytes(up->dtype),
           part = lac_round_up(row_bytes, PART_UNIT);
    struct lac_bundle b = {.down = part, .stride = 2 * part};
    uint8_t *neurons = lac_arena_alloc(arena, n_neurons, b.stride);
    uint8_t *elements = lac_alloc(host, n_neurons, row_bytes);
    if (!neurons || !elements) {
        lac_free(host, elements);
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu neurons of %zu bytes", n_neurons,
                        b.stride);
    }
    memset(neurons, 0, n_neurons * b.stride);
    lac_weight_unpack(up, elements);
    place_rows(&b, neurons, elements, n_neurons, row_bytes);
    lac_weight_unpack(down, elements);
    (down->dtype == LAC_S8 ? place_columns_s8 : place_columns_f32)(&b, neurons + b.down, elements,
                                                                   n_neurons, n_hidden);
    lac_free(host, elements);
    b.neurons = neurons;
    *bundle = b;
    return LAC_OK;
}
