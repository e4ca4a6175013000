/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' sparse-bitmask: nonzeros and a bit for each element. */
#ifndef LACUNA_MODEL_EXPAND_H
#define LACUNA_MODEL_EXPAND_H

#include <stdbool.h>

#include "src/base/arena.h"
#include "src/model/tensor.h"

/* Is there a tensor P.compressed? */
bool lac_is_compressed(const struct lac_tensors *tensors, const char *p);

/* Dense tensors that were made, each once.  One thread at a time. */
struct lac_expansions {
    struct lac_arena arena;
    struct lac_expansion *first;
};

/* The dense tensor of P.shape, P.compressed, P.bitmask and P.row_offsets under the name name; lives
 * until the arena is cleared.  Counts, bits and offsets must agree.  On failure *tensor is
 * untouched. */
enum lac_status lac_expand_bitmask(struct lac_expansions *expansions,
                                   const struct lac_tensors *tensors, const char *p,
                                   const char *name, const struct lac_tensor **tensor,
                                   struct lac_error *error);

#endif
