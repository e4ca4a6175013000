/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from 64-bit keys to pairs of 32-bit numbers, built once and then read. */
#ifndef LACUNA_TEXT_MAP_H
#define LACUNA_TEXT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"

/* Open addressing, at most half full.  The key UINT64_MAX marks an empty slot. */
struct lac_map_slot {
    uint64_t key;
    uint32_t first, second;
};

struct lac_map {
    struct lac_map_slot *slots;
    unsigned shift; /* 64 - log2 of the slots */
};

/* Room for n keys; false without memory. */
bool lac_map_make(struct lac_map *map, size_t n, struct lac_arena *arena);

/* Fibonacci hashing (Knuth, volume 3, 6.4): the high bits of the product are well mixed. */
static inline size_t lac_map_home(const struct lac_map *map, uint64_t key)
{
    return (size_t)(((key ^ key >> 29) * 0x9e3779b97f4a7c15u) >> map->shift);
}

/* The slot of key, or the empty slot where it belongs. */
static inline struct lac_map_slot *lac_map_find(const struct lac_map *map, uint64_t key)
{
    size_t mask = ((size_t)1 << (64 - map->shift)) - 1;
    size_t i = lac_map_home(map, key);
    while (map->slots[i].key != key && map->slots[i].key != UINT64_MAX)
        i = (i + 1) & mask;
    return &map->slots[i];
}

#endif
