/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from 64-bit keys to pairs of 32-bit numbers. */
#include "src/text/map.h"

bool lac_map_make(struct lac_map *map, size_t n, struct lac_arena *arena)
{
    unsigned bits = 1;
    while (bits < 48 && ((size_t)1 << bits) < n + n + 2)
        bits++;
    size_t n_slots = (size_t)1 << bits;
    struct lac_map_slot *slots = lac_arena_alloc(arena, n_slots, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = (struct lac_map_slot){.key = UINT64_MAX};
    *map = (struct lac_map){slots, 64 - bits};
    return true;
}
