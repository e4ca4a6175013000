/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a gated feed-forward layer whose tokens go on with a core: src/run/core.h. */
#ifndef LACUNA_RUN_CORE_STEPS_H
#define LACUNA_RUN_CORE_STEPS_H

#include "src/run/core.h"
#include "src/run/member.h"

/* The member's rows of one of a core's matrices, with panels that begin with the tile's first
 * token; false: the tile goes through the whole matrix.  Its tokens may have cores of different
 * texts, each of which is then read. */
bool lac_run_core(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                  enum lac_core_linear which, struct lac_input x, struct lac_output y);

/* Some lanes of factor, which holds act(gate) of all neurons or of cores: of all, what a token's
 * core has not becomes 0.  Whoever has the first lane says how many neurons the tile goes on with.
 */
void lac_choose_core(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, size_t slot, size_t lane, size_t n_lanes);

/* Counts the neurons of tokens that are fed: some lanes of ffn. */
void lac_count_core(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                    size_t slot, size_t lane, size_t n_lanes);

#endif
