/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of int8 from compact ones (simd/compact.h), for every instruction set with vectors: the
 * compiler splits or joins these. */
#ifndef LACUNA_SIMD_TEMPLATE_EXPAND_S8_H
#define LACUNA_SIMD_TEMPLATE_EXPAND_S8_H

#include <string.h>

#include "simd/compact.h"

typedef uint64_t expand_line __attribute__((vector_size(64)));

/* A dword of the page's keys, or an empty one, and as much of its values. */
static void expand_features(const struct lac_compact *c, const void *compact,
                            struct lac_kv_page *to)
{
    static const struct {
        uint8_t bytes[sizeof(expand_line)];
    } empty = {{[0 ... sizeof(expand_line) - 1] = 128}};
    const struct lac_compact_features *from = compact;
    const uint8_t *keys = from->rows + sizeof *to;
    const uint8_t *values = keys + c->n_dwords * sizeof(expand_line);
    size_t n_bytes = lac_kv_page_keys_bytes(c->head_dim);
    uint64_t dwords = from->dwords;
    memcpy(to, from->rows, sizeof *to);
    for (size_t at = 0; at < n_bytes; at += sizeof(expand_line), dwords >>= 1) {
        expand_line key, value;
        memcpy(&key, dwords & 1 ? keys : empty.bytes, sizeof key);
        memcpy(&value, values + at, sizeof value);
        memcpy(to->rows + at, &key, sizeof key);
        memcpy(to->rows + n_bytes + at, &value, sizeof value);
        keys += (dwords & 1) * sizeof key;
    }
}

static void expand_bits(const struct lac_compact *c, const void *compact, struct lac_kv_page *to)
{
    const uint64_t high = UINT64_C(0xf0f0f0f0f0f0f0f0), sign = UINT64_C(0x8080808080808080);
    const struct lac_compact_bits *from = compact;
    size_t n_bytes = lac_kv_page_keys_bytes(c->head_dim);
    memcpy(to, from, sizeof *to);
    for (size_t at = 0; at < n_bytes; at += sizeof(expand_line)) {
        expand_line x, keys, values;
        memcpy(&x, from->rows + at, sizeof x);
        keys = x << 4 & high;
        values = (x & high) ^ sign;
        memcpy(to->rows + at, &keys, sizeof keys);
        memcpy(to->rows + n_bytes + at, &values, sizeof values);
    }
}

static void expand_s8(const struct lac_expand_args *a)
{
    size_t n_bytes = lac_kv_page_bytes(LAC_S8, a->compact->head_dim);
    for (size_t i = 0; i < a->n_pages; i++) {
        void *to = (char *)a->to + i * n_bytes;
        (a->compact->form == LAC_COMPACT_FEATURES ? expand_features : expand_bits)(a->compact,
                                                                                   a->from[i], to);
    }
}

#endif
