/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: which layout and which kernels each weight gets. */
#ifndef LACUNA_RUN_PLAN_H
#define LACUNA_RUN_PLAN_H

#include "src/run/network.h"

/* Predicted time of each layout of a weight [n_out, n_in] with these blocks, 1 = dense. */
void lac_plan_costs(const struct lac_weight_stats *stats, size_t n_out, size_t n_in,
                    enum lac_dtype dtype, unsigned features, double cost[LAC_N_PATTERNS]);

/* The cheapest; the coarser one of equals. */
enum lac_pattern lac_plan_choose(const double cost[LAC_N_PATTERNS]);

/* Finds the kernels of a packed weight and makes what they want to have made.
 * LAC_E_UNSUPPORTED when there are none. */
enum lac_status lac_plan_kernels(struct lac_linear *linear, unsigned features,
                                 struct lac_arena *arena, struct lac_error *error);

/* Tokens of a batch that do best on cores with that much cache (0: not known). */
size_t lac_plan_batch_tokens(const struct lac_network *network, size_t cache_bytes);

/* Finds the kernels all weights share. */
void lac_plan_shared(struct lac_kernels *kernels, unsigned features);

#endif
