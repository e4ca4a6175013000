/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of keys and values in fewer bytes than kernels of attention read.
 *
 * A page (simd/attention.h) that has a form is kept compact and expanded, whole, before it is read:
 * the very same numbers, so that nothing depends on which of a cache's pages are compact.
 *
 * LAC_COMPACT_FEATURES: n_dwords of the dwords of the keys' features, four each; the others are 0
 * in all keys of the page (Xu et al., ThinK: thinner key cache by query-driven pruning, 2024, who
 * choose one by one; fours are copied as they are).
 *
 *   uint64_t dwords, 56 bytes of nothing   bit d: features 4 d to 4 d + 3 are there
 *   fp32, bf16   keys [4 * n_dwords][LAC_LANES], then the page's values
 *   int8         the page's scales, keys [n_dwords][LAC_LANES][4], then the page's values
 *
 * LAC_COMPACT_BITS: keys and values of fewer bits (as in He et al., ZipVL: efficient large
 * vision-language models with dynamic token sparsification, 2024).
 *
 *   fp32, bf16   float k_scale[LAC_LANES], v_scale[LAC_LANES]; int8_t keys [head_dim][LAC_LANES],
 *                values [LAC_LANES][head_dim]: a number is its scale, a power of 2, times its byte
 *   int8         the page's scales; uint8_t [4 * dwords][LAC_LANES]: in place of a byte of its keys
 *                and the byte of its values behind it by as many, all of them multiples of 16, the
 *                high 4 bits of the key's (u8) below those of the value's (+ 128) */
#ifndef LACUNA_SIMD_COMPACT_H
#define LACUNA_SIMD_COMPACT_H

#include "simd/attention.h"

enum lac_compact_form { LAC_COMPACT_NONE, LAC_COMPACT_FEATURES, LAC_COMPACT_BITS };

struct lac_compact {
    enum lac_compact_form form;
    enum lac_dtype dtype; /* LAC_F32, LAC_BF16 or LAC_S8: of the pages */
    size_t head_dim;
    size_t n_dwords; /* FEATURES: at most ceil(head_dim / 4) */
};

struct lac_compact_features {
    uint64_t dwords;
    uint64_t nothing[7];
    uint8_t rows[]; /* what comes behind */
};

struct lac_compact_bits {
    float k_scale[LAC_LANES], v_scale[LAC_LANES];
    uint8_t rows[];
};

/* A multiple of 64. */
static inline size_t lac_compact_bytes(const struct lac_compact *c)
{
    size_t rows =
        c->dtype == LAC_S8 ? lac_kv_page_keys_bytes(c->head_dim) : LAC_LANES * c->head_dim;
    size_t element = c->dtype == LAC_S8 ? 1 : c->dtype == LAC_BF16 ? 2 : 4, n;
    if (c->form == LAC_COMPACT_FEATURES) {
        n = sizeof(struct lac_compact_features) + (rows + LAC_LANES * 4 * c->n_dwords) * element;
        n += c->dtype == LAC_S8 ? sizeof(struct lac_kv_page) : 0;
    } else {
        n = sizeof(struct lac_compact_bits) + rows * (c->dtype == LAC_S8 ? 1 : 2);
    }
    return (n + 63) / 64 * 64;
}

/* Pages from compact ones. */
struct lac_expand_args {
    const struct lac_compact *compact;
    const void *const *from; /* [n_pages], 64-byte aligned */
    size_t n_pages;
    void *to; /* [n_pages] of lac_kv_page_bytes, side by side */
};

#endif
