/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' sparse-bitmask and sparse-24-bitmask (what is kept and a bit for each element)
 * and pack-quantized (integers of 4 or 8 bits, packed into I32, with scales). */
#ifndef LACUNA_MODEL_EXPAND_H
#define LACUNA_MODEL_EXPAND_H

#include <stdbool.h>

#include "src/base/arena.h"
#include "src/model/tensor.h"

/* Is there a tensor P.compressed? */
bool lac_is_compressed(const struct lac_tensors *tensors, const char *p);

/* Is there a tensor P.weight_packed? */
bool lac_is_packed(const struct lac_tensors *tensors, const char *p);

/* Dense tensors that were made, each once.  One thread at a time. */
struct lac_expansions {
    struct lac_arena arena;
    struct lac_expansion *first;
};

/* The dense tensor of P.shape, P.compressed, P.bitmask and P.row_offsets under the name name, or of
 * the two or three that sparse-24-bitmask has; lives until the arena is cleared.  Counts, bits and
 * offsets must agree.  On failure *tensor is untouched. */
enum lac_status lac_expand_bitmask(struct lac_expansions *expansions,
                                   const struct lac_tensors *tensors, const char *p,
                                   const char *name, const struct lac_tensor **tensor,
                                   struct lac_error *error);

/* The fp32 tensor of P.weight_packed, P.weight_scale and P.weight_shape under the name name.
 * LAC_E_UNSUPPORTED for zero points, groups in an order of their own, and other widths. */
enum lac_status lac_expand_packed(struct lac_expansions *expansions,
                                  const struct lac_tensors *tensors, const char *p,
                                  const char *name, const struct lac_tensor **tensor,
                                  struct lac_error *error);

/* What both are made with: P.PART or NULL; a tensor made before or NULL; keeping one. */
const struct lac_tensor *lac_find_part(const struct lac_tensors *tensors, const char *p,
                                       const char *part);
const struct lac_tensor *lac_expanded(const struct lac_expansions *expansions, const char *name);
enum lac_status lac_keep_expanded(struct lac_expansions *expansions, const struct lac_tensor *made,
                                  const struct lac_tensor **tensor, struct lac_error *error);

#endif
