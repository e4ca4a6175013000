/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a feed-forward layer neuron by neuron, so that what is not needed is not read.
 *
 * Neuron i of a layer down(act(gate(x)) * up(x)) has row i of up, W[n_neurons, n_hidden], and
 * column i of down, W[n_hidden, n_neurons], side by side (the gate says whether they are wanted):
 *
 *   neurons  [n_neurons][stride]   bytes: the row of up, the column of down, each n_hidden elements
 *                                  padded to 64 bytes
 *
 * Rows are int8 or fp32 as in any layout.  Columns are the same elements; of int8 u8 = s8 + 128
 * (why: simd/template/neurons_s8.h).  Scales, biases and what else belongs to outputs stay with the
 * weights that the bundle was made of.
 *
 * Zeros are kept: a weight that is 80 % zeros in blocks of 16 rows is five times as large in a
 * bundle.  Its blocks span 16 neurons, of which hardly ever all are off together. */
#ifndef LACUNA_SPARSE_BUNDLE_H
#define LACUNA_SPARSE_BUNDLE_H

#include "sparse/layout.h"
#include "src/base/host.h"

struct lac_bundle {
    const uint8_t *neurons; /* NULL: there is none */
    size_t stride;          /* a multiple of 64 */
    size_t down;            /* where the column begins in a neuron; the row begins it */
};

/* Can it be made of these?  int8 without outliers, or fp32; shapes that belong together. */
bool lac_bundle_fits(const struct lac_weight *up, const struct lac_weight *down);

/* In the arena; scratch comes from host.  The weights fit.  LAC_E_MEMORY. */
enum lac_status lac_bundle_make(const struct lac_weight *up, const struct lac_weight *down,
                                const struct lac_host *host, struct lac_arena *arena,
                                struct lac_bundle *bundle, struct lac_error *error);

#endif
