/* SPDX-License-Identifier: Apache-2.0 */
/* int4: a lossy way to keep int8 weights in half the bytes. */
#include "sparse/int4.h"

/* |int8|: 0 to 128. */
static unsigned magnitude(int8_t weight)
{
    return (unsigned)(weight < 0 ? -weight : weight);
}

void lac_int4_prepare(struct lac_int4_tables *tables)
{
    for (unsigned g = 1; g <= LAC_INT4_MOST_G; g++)
        for (unsigned m = 0; m <= 128; m++) {
            unsigned level = (m + g / 2) / g;
            level = level > LAC_INT4_ZERO ? LAC_INT4_ZERO : level;
            int left = (int)m - (int)(level * g);
            tables->level[g][m] = (uint8_t)level;
            tables->error[g][m] = (uint16_t)(left * left);
        }
}

uint8_t lac_int4_choose(const struct lac_int4_tables *tables, const int8_t *weights, size_t n)
{
    uint32_t least = UINT32_MAX;
    uint8_t best = 1;
    for (uint8_t g = 1; g <= LAC_INT4_MOST_G; g++) {
        uint32_t error = 0; /* at most 32 * 121^2 */
        for (size_t i = 0; i < n; i++)
            error += tables->error[g][magnitude(weights[i])];
        if (error < least) {
            least = error;
            best = g;
        }
    }
    return best;
}

static unsigned nibble(const struct lac_int4_tables *tables, int8_t weight, uint8_t g)
{
    unsigned level = tables->level[g][magnitude(weight)];
    return weight < 0 ? LAC_INT4_ZERO - level : LAC_INT4_ZERO + level;
}

void lac_int4_encode(const struct lac_int4_tables *tables, const int8_t weights[LAC_INT4_INPUTS],
                     uint8_t g, uint8_t dword[4])
{
    for (int j = 0; j < 4; j++)
        dword[j] =
            (uint8_t)(nibble(tables, weights[j], g) | nibble(tables, weights[j + 4], g) << 4);
}

void lac_int4_decode(const uint8_t dword[4], uint8_t g, int8_t weights[LAC_INT4_INPUTS])
{
    for (int j = 0; j < 4; j++) {
        weights[j] = (int8_t)(((dword[j] & 15) - LAC_INT4_ZERO) * g);
        weights[j + 4] = (int8_t)(((dword[j] >> 4) - LAC_INT4_ZERO) * g);
    }
}
