/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers by counting: a function of a seed and a place, without a state.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011). */
#ifndef LACUNA_RUN_RANDOM_H
#define LACUNA_RUN_RANDOM_H

#include <stdint.h>

struct lac_philox {
    uint32_t words[4];
};

static inline struct lac_philox lac_philox(struct lac_philox counter, uint32_t key0, uint32_t key1)
{
    uint32_t *c = counter.words;
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53 * c[0], b = (uint64_t)0xcd9e8d57 * c[2];
        counter = (struct lac_philox){{(uint32_t)(b >> 32) ^ c[1] ^ key0, (uint32_t)b,
                                       (uint32_t)(a >> 32) ^ c[3] ^ key1, (uint32_t)a}};
        key0 += 0x9e3779b9;
        key1 += 0xbb67ae85;
    }
    return counter;
}

/* Uniform in [0, 1), 53 bits. */
static inline double lac_random_at(uint64_t seed, uint64_t place)
{
    struct lac_philox counter = {{(uint32_t)place, (uint32_t)(place >> 32), 0, 0}};
    struct lac_philox r = lac_philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    uint64_t bits = (uint64_t)r.words[1] << 32 | r.words[0];
    return (double)(bits >> 11) * 0x1p-53;
}

#endif
