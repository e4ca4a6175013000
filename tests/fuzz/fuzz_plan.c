/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as an attention plan, whose rules then make lists. */
#include <stdlib.h>

#include "src/run/sight_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAYERS = 2, HEADS = 2, KEYS = 200, BLOCKS = (KEYS + LAC_KEY_BLOCK - 1) / LAC_KEY_BLOCK };

static void list(const struct lac_sight *sight)
{
    enum { MOST = BLOCKS + LAC_SIGHT_MOST_AGAIN };
    static struct lac_seen_block blocks[MOST];
    static struct lac_seen_mask masks[MOST];
    static struct lac_seen_keys keys[BLOCKS];
    for (size_t at = 0; at < KEYS; at += LAC_KEY_BLOCK) {
        const struct lac_sight_queries queries = {
            .first = (ptrdiff_t)at, .lanes = UINT64_C(0xff), .n_keys = KEYS};
        struct lac_seen seen = lac_sight_list(sight, &queries, blocks, masks);
        if (seen.n_blocks > MOST || lac_sight_end(sight, KEYS, at) <= at ||
            lac_sight_row(sight, at, KEYS, keys) > BLOCKS)
            abort();
        for (size_t i = 0; i < seen.n_blocks; i++)
            if (seen.blocks[i].block >= BLOCKS)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lac_sight_term all = {.kind = LAC_SIGHT_ALL};
    const struct lac_sight usual = {size % 2, &all, 1, 0};
    const struct lac_gates gates = {.width = 32};
    const struct lac_sight *sights[LAYERS * HEADS];
    const struct lac_pick *picks[LAYERS * HEADS] = {NULL};
    struct lac_sight_plan plan = {LAYERS, HEADS, size % 2, sights, picks, &gates};
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_error error;
    json_t *root = NULL;
    for (size_t i = 0; i < LAYERS * HEADS; i++)
        sights[i] = &usual;
    if (!lac_json_parse("input", data, size, &root, &error) &&
        !lac_sight_plan_read(root, &arena, &plan, &error))
        for (size_t i = 0; i < LAYERS * HEADS; i++) {
            list(sights[i]);
            if (picks[i] && (lac_pick_check(picks[i], &error) || !lac_pick_unit(picks[i])))
                abort();
        }
    json_decref(root);
    lac_arena_clear(&arena);
    return 0;
}
