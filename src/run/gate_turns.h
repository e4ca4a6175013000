/* SPDX-License-Identifier: Apache-2.0 */
/* Rotations by positions that are sums: of a token in its block, of the block in its group, of the
 * group.  Few angles make all, for gates that turn whole caches back (src/run/pick_gate.c). */
#ifndef LACUNA_RUN_GATE_TURNS_H
#define LACUNA_RUN_GATE_TURNS_H

#include <stddef.h>

#include "src/base/arena.h"
#include "src/base/error.h"
#include "src/model/config.h"

/* Tokens of a block, and blocks of a group. */
enum { LAC_GATE_TURNS = 64 };
/* Groups of the longest texts: four million tokens. */
enum { LAC_GATE_MOST_GROUPS = 1024 };

struct lac_turn {
    float cos, sin;
};

/* Of pair i by the position that is `at` units from 0: cos[i * n + at]. */
struct lac_turns {
    const float *cos, *sin;
    size_t n;
};

/* Turns of blocks: by their place in their group, and by the group's. */
struct lac_block_turns {
    struct lac_turns of_blocks, of_groups;
};

struct lac_gate_turns {
    struct lac_turns of_tokens;                /* of head_dim / 2 pairs */
    struct lac_block_turns of_heads, of_gates; /* of these, and of width / 2 pairs */
};

/* Tables in the arena for a model with gates.  LAC_E_UNSUPPORTED: its angles depend on a text's
 * length, or its texts may be too long. */
enum lac_status lac_gate_turns_make(const struct lac_config *config, struct lac_arena *arena,
                                    const struct lac_gate_turns **turns, struct lac_error *error);

static inline struct lac_turn lac_gate_turn(const struct lac_block_turns *turns, size_t pair,
                                            size_t block)
{
    size_t at = pair * LAC_GATE_TURNS + block % LAC_GATE_TURNS;
    size_t group = pair * turns->of_groups.n + block / LAC_GATE_TURNS;
    float c = turns->of_blocks.cos[at], s = turns->of_blocks.sin[at];
    float gc = turns->of_groups.cos[group], gs = turns->of_groups.sin[group];
    return (struct lac_turn){gc * c - gs * s, gs * c + gc * s};
}

#endif
