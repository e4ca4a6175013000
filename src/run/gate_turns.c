/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of rotations by positions that are sums. */
#include "src/run/gate_turns.h"

#include <math.h>

#include "src/base/checked.h"
#include "src/run/rope.h"

/* By 0, step, 2 step, ... positions. */
static bool make_table(const float *frequencies, size_t n_pairs, size_t n, size_t step,
                       struct lac_arena *arena, struct lac_turns *turns)
{
    float *cosines = lac_arena_alloc(arena, n_pairs * n, sizeof *cosines);
    float *sines = lac_arena_alloc(arena, n_pairs * n, sizeof *sines);
    if (!cosines || !sines)
        return false;
    for (size_t i = 0; i < n_pairs; i++)
        for (size_t at = 0; at < n; at++) {
            double angle = (double)(at * step) * (double)frequencies[i];
            cosines[i * n + at] = (float)cos(angle);
            sines[i * n + at] = (float)sin(angle);
        }
    *turns = (struct lac_turns){cosines, sines, n};
    return true;
}

static bool make_blocks(const float *frequencies, size_t n_pairs, size_t n_groups,
                        struct lac_arena *arena, struct lac_block_turns *turns)
{
    return make_table(frequencies, n_pairs, LAC_GATE_TURNS, LAC_GATE_BLOCK, arena,
                      &turns->of_blocks) &&
           make_table(frequencies, n_pairs, n_groups, LAC_GATE_TURNS * LAC_GATE_BLOCK, arena,
                      &turns->of_groups);
}

enum lac_status lac_gate_turns_make(const struct lac_config *config, struct lac_arena *arena,
                                    const struct lac_gate_turns **turns, struct lac_error *error)
{
    const size_t n_pairs = config->head_dim / 2, n_gate_pairs = config->gates.width / 2;
    size_t n_groups = lac_ceil_div(config->max_tokens, LAC_GATE_TURNS * LAC_GATE_BLOCK);
    if (config->rope.kind == LAC_ROPE_DYNAMIC)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "attention gates where positions depend on a text's length");
    if (n_groups > LAC_GATE_MOST_GROUPS)
        return lac_fail(error, LAC_E_UNSUPPORTED, "attention gates for texts of %zu tokens",
                        config->max_tokens);
    struct lac_gate_turns *own = lac_arena_alloc_zero(arena, 1, sizeof *own);
    float *frequencies = lac_arena_alloc(arena, n_pairs + n_gate_pairs, sizeof *frequencies);
    if (own && frequencies) {
        lac_rope_frequencies(&config->rope, config->head_dim, 0, frequencies);
        lac_rope_frequencies(&config->rope, config->gates.width, 0, frequencies + n_pairs);
    }
    *turns = own;
    if (own && frequencies &&
        make_table(frequencies, n_pairs, LAC_GATE_TURNS, 1, arena, &own->of_tokens) &&
        make_blocks(frequencies, n_pairs, n_groups, arena, &own->of_heads) &&
        make_blocks(frequencies + n_pairs, n_gate_pairs, n_groups, arena, &own->of_gates))
        return LAC_OK;
    return lac_fail(error, LAC_E_MEMORY, "no memory for the positions of attention gates");
}
