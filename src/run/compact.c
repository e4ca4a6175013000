/* SPDX-License-Identifier: Apache-2.0 */
/* Compact pages from whole ones. */
#include "src/run/compact.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/half.h"

/* ---- Numbers of pages: simd/attention.h ---- */

enum side { KEYS, VALUES };

/* Where a number of fp32 or bf16 is. */
static size_t place_of(const struct lac_compact *c, enum side side, size_t token, size_t feature)
{
    return side == KEYS ? feature * LAC_LANES + token : (LAC_LANES + token) * c->head_dim + feature;
}

static float number_of(const struct lac_compact *c, enum side side, const void *page, size_t token,
                       size_t feature)
{
    size_t i = place_of(c, side, token, feature);
    return c->dtype == LAC_BF16 ? lac_bf16_to_f32(((const uint16_t *)page)[i])
                                : ((const float *)page)[i];
}

static void set_number(const struct lac_compact *c, enum side side, void *page, size_t token,
                       size_t feature, float x)
{
    size_t i = place_of(c, side, token, feature);
    if (c->dtype == LAC_BF16)
        ((uint16_t *)page)[i] = lac_bf16_from_f32(x);
    else
        ((float *)page)[i] = x;
}

static uint8_t *key_byte(struct lac_kv_page *page, size_t token, size_t feature)
{
    return page->rows + (feature / 4 * LAC_LANES + token) * 4 + feature % 4;
}

/* ---- Features ---- */

void lac_page_clear_features(const struct lac_compact *c, uint64_t dwords, void *page)
{
    for (size_t f = 0; f < c->head_dim; f++)
        for (size_t j = 0; j < LAC_LANES && !(dwords >> f / 4 & 1); j++)
            if (c->dtype == LAC_S8)
                *key_byte(page, j, f) = 128;
            else
                set_number(c, KEYS, page, j, f, 0);
}

static bool is_feature_empty(const struct lac_compact *c, const void *page, size_t feature)
{
    bool is_empty = true;
    for (size_t j = 0; j < LAC_LANES; j++)
        if (c->dtype == LAC_S8)
            is_empty = is_empty && *key_byte((struct lac_kv_page *)page, j, feature) == 128;
        else
            is_empty = is_empty && number_of(c, KEYS, page, j, feature) == 0;
    return is_empty;
}

/* Those that are not empty, and as many of the others as there is room for; false: they are too
 * many. */
static bool find_dwords(const struct lac_compact *c, const void *page, uint64_t *dwords)
{
    size_t n = 0;
    *dwords = 0;
    for (size_t f = 0; f < c->head_dim; f++)
        if (!(*dwords >> f / 4 & 1) && !is_feature_empty(c, page, f)) {
            *dwords |= UINT64_C(1) << f / 4;
            n++;
        }
    for (size_t d = 0; d < lac_ceil_div(c->head_dim, 4) && n < c->n_dwords; d++)
        if (!(*dwords >> d & 1)) {
            *dwords |= UINT64_C(1) << d;
            n++;
        }
    return n <= c->n_dwords;
}

static bool pack_features(const struct lac_compact *c, const void *page,
                          struct lac_compact_features *to)
{
    size_t row = LAC_LANES * (c->dtype == LAC_S8 ? 1 : c->dtype == LAC_BF16 ? 2 : 4), n_there = 0;
    size_t n_keys = c->dtype == LAC_S8 ? lac_round_up(c->head_dim, 4) : c->head_dim;
    const char *keys = page;
    uint8_t *rows = to->rows;
    memset(to, 0, lac_compact_bytes(c));
    if (!find_dwords(c, page, &to->dwords))
        return false;
    if (c->dtype == LAC_S8) {
        memcpy(rows, page, sizeof(struct lac_kv_page));
        rows += sizeof(struct lac_kv_page);
        keys += sizeof(struct lac_kv_page);
    }
    /* A dword of bytes is as many bytes as four rows of them. */
    for (size_t f = 0; f < n_keys; f++)
        if (to->dwords >> f / 4 & 1)
            memcpy(rows + n_there++ * row, keys + f * row, row);
    memcpy(rows + c->n_dwords * 4 * row, keys + n_keys * row, n_keys * row);
    return true;
}

void lac_page_add_squares(const struct lac_compact *c, const void *page, double *squares)
{
    for (size_t f = 0; f < c->head_dim; f++)
        for (size_t j = 0; j < LAC_LANES; j++) {
            struct lac_kv_page *bytes = (struct lac_kv_page *)page;
            float x = c->dtype == LAC_S8 ? bytes->k_scale[j] * (float)(*key_byte(bytes, j, f) - 128)
                                         : number_of(c, KEYS, page, j, f);
            squares[f] += (double)x * (double)x;
        }
}

/* ---- Bits ---- */

/* 127 steps of 8 bits become 7 of 4, 16 of the former apart: 112 / 127 as many, each so much
 * larger.  The halves between two steps are no multiples of 14 / 254: nothing is rounded from a
 * tie. */
static int round_byte(int x)
{
    int steps = ((x < 0 ? -x : x) * 14 + 127) / 254 * 16;
    return x < 0 ? -steps : steps;
}

static const float byte_scale = 127.0f / 112.0f;

static void round_bytes(size_t head_dim, struct lac_kv_page *page)
{
    size_t n = lac_kv_page_keys_bytes(head_dim);
    for (size_t i = 0; i < n; i++) {
        page->rows[i] = (uint8_t)(round_byte(page->rows[i] - 128) + 128);
        page->rows[n + i] = (uint8_t)(int8_t)round_byte((int8_t)page->rows[n + i]);
    }
    for (size_t j = 0; j < LAC_LANES; j++) {
        page->k_scale[j] *= byte_scale;
        page->v_scale[j] *= byte_scale;
    }
}

static bool pack_bytes(size_t head_dim, const struct lac_kv_page *page, struct lac_compact_bits *to)
{
    size_t n = lac_kv_page_keys_bytes(head_dim);
    bool is_good = true;
    memcpy(to, page, sizeof *to);
    for (size_t i = 0; i < n; i++) {
        unsigned key = page->rows[i], value = page->rows[n + i] ^ 128u;
        is_good = is_good && key % 16 == 0 && value % 16 == 0;
        to->rows[i] = (uint8_t)(key / 16 | value / 16 * 16);
    }
    return is_good;
}

/* The least power of 2 by which a token's numbers are at most 127 in size: once rounded they have
 * the same again. */
static float find_scale(const struct lac_compact *c, enum side side, const void *page, size_t token)
{
    float most = 0;
    int exponent;
    for (size_t f = 0; f < c->head_dim; f++)
        most = fmaxf(most, fabsf(number_of(c, side, page, token, f)));
    if (!isfinite(most))
        return 1;
    float part = frexpf(most / 127.0f, &exponent);
    return ldexpf(1, (exponent > -126 ? exponent : -126) - (part == 0.5f && exponent > -126));
}

static float round_number(float x, float scale)
{
    float q = rintf(x / scale);
    return q >= -127 ? q > 127 ? 127 : q : -127; /* what is no number is -127 */
}

static void round_numbers(const struct lac_compact *c, void *page)
{
    for (size_t side = KEYS; side <= VALUES; side++)
        for (size_t j = 0; j < LAC_LANES; j++) {
            float scale = find_scale(c, side, page, j);
            for (size_t f = 0; f < c->head_dim; f++) {
                float x = number_of(c, side, page, j, f);
                set_number(c, side, page, j, f, round_number(x, scale) * scale + 0.0f);
            }
        }
}

static bool pack_numbers(const struct lac_compact *c, const void *page, struct lac_compact_bits *to)
{
    bool is_good = true;
    for (size_t side = KEYS; side <= VALUES; side++)
        for (size_t j = 0; j < LAC_LANES; j++) {
            float scale = find_scale(c, side, page, j);
            (side == KEYS ? to->k_scale : to->v_scale)[j] = scale;
            for (size_t f = 0; f < c->head_dim; f++) {
                float x = number_of(c, side, page, j, f), q = round_number(x, scale);
                is_good = is_good && q * scale == x;
                to->rows[place_of(c, side, j, f)] = (uint8_t)(int8_t)q;
            }
        }
    return is_good;
}

void lac_page_round(const struct lac_compact *c, void *page)
{
    if (c->dtype == LAC_S8)
        round_bytes(c->head_dim, page);
    else
        round_numbers(c, page);
}

bool lac_page_pack(const struct lac_compact *c, const void *page, void *compact)
{
    if (c->form == LAC_COMPACT_FEATURES)
        return pack_features(c, page, compact);
    return c->dtype == LAC_S8 ? pack_bytes(c->head_dim, page, compact)
                              : pack_numbers(c, page, compact);
}
