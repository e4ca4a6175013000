/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: which layout and which kernels each weight gets. */
#ifndef LACUNA_RUN_PLAN_H
#define LACUNA_RUN_PLAN_H

#include "src/run/network.h"

/* What is known of this machine decides: the network's measured table where it has one, else the
 * costs that are built in. */

/* Predicted time of each layout of a weight [n_out, n_in] with these blocks for a tile of tokens,
 * 1 = the best dense kernel. */
void lac_plan_costs(const struct lac_network *network, const struct lac_weight_stats *stats,
                    size_t n_out, size_t n_in, double cost[LAC_N_PATTERNS]);

/* The cheapest; the coarser one of equals. */
enum lac_pattern lac_plan_choose(const double cost[LAC_N_PATTERNS]);

/* Finds the kernels of a packed weight and makes what they want to have made, in the arena.
 * LAC_E_UNSUPPORTED when there are none. */
enum lac_status lac_plan_kernels(const struct lac_network *network, struct lac_linear *linear,
                                 struct lac_arena *arena, struct lac_error *error);

/* What the table says of a weight with so many tokens, and of its best dense form; false without
 * a table, or where it does not know the kernel. */
struct lac_plan_prediction {
    const struct lac_kernel *kernel, *dense_kernel;
    double ns, dense_ns;
};
bool lac_plan_predict(const struct lac_network *network, const struct lac_linear *linear,
                      size_t n_tokens, struct lac_plan_prediction *prediction);

/* Tokens of a batch that do best on cores with that much cache (0: not known). */
size_t lac_plan_batch_tokens(const struct lac_network *network, size_t cache_bytes);

/* Finds the kernels all weights share. */
void lac_plan_shared(struct lac_kernels *kernels, unsigned features);

#endif
