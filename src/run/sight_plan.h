/* SPDX-License-Identifier: Apache-2.0 */
/* Attention plans: rules for each layer and head, in JSON.
 *
 *   {"rules": {NAME: [TERM, ...], ...}, "layers": LAYERS}
 *
 * LAYERS is the name of the rule that all heads of all layers follow, or a list with one item for
 * each layer, which is such a name or a list of names, one for each head.  "usual" is what the
 * model itself asks for.  A term is one of
 *
 *   {"kind": "all"}
 *   {"kind": "window", "left", "right": tokens [all], "dilation" [1], "block" [1],
 *    "per_token" [0]}
 *   {"kind": "sinks", "n": tokens}
 *   {"kind": "global", "ranges": [[BEGIN, END], ...], "block" [1], "first" [0], "last" [0],
 *    "rows" [true], "columns" [true]}
 *   {"kind": "random", "n", "block" [64], "seed" [0]}
 *   {"kind": "strided", "stride", "offset" [0], "block" [64]}
 *   {"kind": "neighbours", "axes": [{"size", "window", "stride" [1], "dilation" [1]}, ...]}
 *   {"kind": "blocks", "block" [64], "mask": ["0110...", ...]}: a text for each row of blocks
 *
 * with the meanings of sparse/sight.h, which also says where they come from.  One of a rule's terms
 * may be a choice (sparse/pick.h):
 *
 *   {"kind": "vertical_slash", "columns", "diagonals": keys [0], "mass" [0], "sample": queries
 *    [32], "first" [16], "near" [64]}
 *   {"kind": "pooled", "blocks" [0], "mass" [0], "first" [64], "near" [0]}
 *   {"kind": "estimate", "threshold" [0.01], "first" [64], "near" [64]}
 *   {"kind": "gate", "threshold" [what the model says, or 0.002], "share", "blocks", "mass" [0],
 *    "first" [0], "near" [0]}: of models with gates; the threshold counts without the others
 *
 * with the first and the near keys always seen; a number of 0 is no limit where a mass is given.
 * Queries that nothing is chosen for then follow the other terms, or if there are none what the
 * model asks for: those that come one by one, and of a decoder those that do not fill a unit of
 * lac_pick_unit().
 *
 * "measured", which may be there, says how a plan came to be and changes nothing (src/run/tuned.h):
 *
 *   {"tokens", "window": of the text, "density", "error", "perplexity", "full_perplexity",
 *    "head_density", "head_error", "head_worst": [[number for each head], for each layer]} */
#ifndef LACUNA_RUN_SIGHT_PLAN_H
#define LACUNA_RUN_SIGHT_PLAN_H

#include "sparse/pick.h"
#include "sparse/sight.h"
#include "src/base/arena.h"
#include "src/base/json.h"
#include "src/model/config.h"

struct lac_sight_plan {
    size_t n_layers, n_heads;
    bool is_causal;
    const struct lac_sight **sights; /* [n_layers][n_heads]: on entry the usual ones */
    const struct lac_pick **picks;   /* the same: on entry NULL */
    const struct lac_gates *gates;   /* the model's; or NULL */
};

/* Is it a plan's "measured"? */
enum lac_status lac_sight_plan_check_measured(const json_t *measured,
                                              const struct lac_sight_plan *plan,
                                              struct lac_error *error);

/* Puts what the plan says in place of the usual rules; what they point to is the arena's.  On
 * failure some may be replaced. */
enum lac_status lac_sight_plan_read(const json_t *json, struct lac_arena *arena,
                                    struct lac_sight_plan *plan, struct lac_error *error);

#endif
