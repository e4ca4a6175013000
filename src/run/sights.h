/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule of sparse/sight.h each head of a network follows, and what it chooses. */
#ifndef LACUNA_RUN_SIGHTS_H
#define LACUNA_RUN_SIGHTS_H

#include <stddef.h>

#include "sparse/pick.h"
#include "sparse/sight.h"
#include "src/base/arena.h"
#include "src/base/error.h"
#include "src/base/json.h"

struct lac_network;

struct lac_sights {
    const struct lac_sight **rules; /* [n_layers][n_heads]: heads that see alike share theirs */
    const struct lac_pick **picks;  /* the same, for queries that come together; or NULL */
    size_t pick_unit;               /* the largest lac_pick_unit() of them; 0: nothing is chosen */
};

/* What the network's configuration says, "lacuna_attention" among it. */
enum lac_status lac_sights_make(const struct lac_network *network, struct lac_arena *arena,
                                struct lac_sights *sights, struct lac_error *error);
/* The same with a plan (src/run/sight_plan.h) in place of "lacuna_attention": JSON of so many
 * bytes.  What is made belongs to the arena, and points to nothing of the network. */
enum lac_status lac_sights_read(const struct lac_network *network, const char *plan, size_t size,
                                struct lac_arena *arena, struct lac_sights *sights,
                                struct lac_error *error);

/* The same of a plan that has been parsed; NULL: the model has none. */
enum lac_status lac_sights_lay(const struct lac_network *network, const json_t *plan,
                               struct lac_arena *arena, struct lac_sights *sights,
                               struct lac_error *error);

#endif
