/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of attention: keys and values in panels, in pages, and the queries that see them.
 *
 * A query's result has the same bits however its keys were stored (with one dtype), with every
 * kernel, alone or beside other queries, in lanes (struct lac_attention_args,
 * lac_attention_s8_args) or as a row (struct lac_attention_row_args), in one piece or range by
 * range.  Keys are taken in blocks of LAC_KEY_BLOCK counted from key 0, by online softmax in fp32
 * (Milakov and Gimelshein 2018, as in Dao et al. 2022).  With m = -infinity, l = 0 and o = 0 at the
 * beginning of each range of LAC_RANGE_BLOCKS blocks, each block of which the query sees a key
 * makes
 *
 *   s[j] = scale * q.k[j]            the sum fused and over features in their order, then a product
 *   m' = max(m, max s);  c = e^(m - m');  p[j] = e^(s[j] - m')      by vec_exp_weight of math.h
 *   t[i] = p[i] + p[4 + i] + p[8 + i] + ...                   i < 4: keys of equal number mod 4
 *   l = l c + ((t[0] + t[1]) + (t[2] + t[3]))                 fused
 *   o = c o + sum p[j] v[j]          the product rounded; the sum fused and over keys in their
 * order
 *
 * over the keys that it sees.  Ranges of which it sees a key are joined in their order (as in Dao
 * et al. 2023, Flash-Decoding): with M = -infinity, L = 0 and O = 0 in the beginning, each makes
 *
 *   M' = max(M, m);  C = e^(M - M');  c = e^(m - M')
 *   L = L C + l c;  O = O C + o c    the second product rounded; the sum fused
 *
 * and in the end y = O * (1 / L) + 0, or 0 for a query that sees none.  Keys of a block that it
 * does not see count as p[j] = 0, and a range of which it sees none changes nothing: no bit but the
 * sign of a zero, which the last addition takes off. */
#ifndef LACUNA_SIMD_ATTENTION_H
#define LACUNA_SIMD_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "simd/kernel.h"
#include "sparse/seen.h"

enum { LAC_MAX_HEAD_DIM = 256 };

/* Keys and values of consecutive tokens, of one key/value head.  Feature f of token j:
 *
 *   k[f * k_ld + j]    v[f * v_ld + j * v_step]
 *
 * Rows of a panel have k_ld = v_ld = its ld and v_step = 1; one token whose features are side by
 * side has k_ld = v_ld = 1; a page (below) has k_ld = LAC_LANES, v_ld = 1, v_step = head_dim. */
struct lac_kv_segment {
    const void *k, *v; /* float, or uint16_t for a kernel of bf16: aligned as such */
    size_t k_ld, v_ld, v_step;
    size_t n_keys;
};

/* A page has keys and values of LAC_LANES consecutive tokens, in slots, of one key/value head;
 * 64-byte aligned, lac_kv_page_bytes() long:
 *
 *   fp32, bf16   keys [head_dim][LAC_LANES], then values [LAC_LANES][head_dim]
 *   int8         struct lac_kv_page
 *
 * In integers each token's key and value have scales of their own, max|x| / 127, so that tokens can
 * be added to a page without touching those before.  Behind the scales, with the head's features
 * padded to whole dwords by 0 (keys: 128):
 *
 *   keys    uint8_t [dwords][LAC_LANES][4]           u8 = s8 + 128: the form of a u8 panel
 *   values  int8_t  [LAC_LANES / 4][4 * dwords][4]   4 consecutive tokens of a feature are a dword
 *
 * An empty slot is all 0 (int8 keys: 128). */
struct lac_kv_page {
    float k_scale[LAC_LANES], v_scale[LAC_LANES];
    uint8_t rows[];
};

/* Of an int8 page. */
static inline size_t lac_kv_page_keys_bytes(size_t head_dim)
{
    return (head_dim + 3) / 4 * 4 * LAC_LANES;
}

/* dtype: LAC_F32, LAC_BF16 or LAC_S8. */
static inline size_t lac_kv_page_bytes(enum lac_dtype dtype, size_t head_dim)
{
    if (dtype == LAC_S8)
        return sizeof(struct lac_kv_page) + 2 * lac_kv_page_keys_bytes(head_dim);
    return 2 * LAC_LANES * head_dim * (dtype == LAC_BF16 ? 2 : 4);
}

/* Keys that are no longer there: all n of them count as one key k and one value v, say their means
 * (Tang et al., RazorAttention: efficient KV cache compression through retrieval heads, 2024).
 * Behind all ranges they are one more, with
 *
 *   m = scale * q.k + log n;  l = 1;  o = v       as above; in integers m * log2 e, of fp32's q.k
 */
struct lac_lost_keys {
    const float *k, *v; /* [head_dim] */
    float log_n;
};

/* Writes the segments' tokens into pages as keys first_key, first_key + 1, ...; key i lies in slot
 * i % LAC_LANES of pages[i / LAC_LANES].  Slots before first_key stay as they are, and slots behind
 * the last new key become empty; other pages are not looked at.  bf16 is rounded to nearest even;
 * int8 bytes are those of struct lac_quantize_args, less 128 in values.  Takes up to 34 KB of
 * stack.
 */
struct lac_kv_pages_args {
    const struct lac_kv_segment *segments; /* of float: panels or rows */
    size_t n_segments;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    void *const *pages;
    size_t first_key;
};

/* Queries that lie side by side in a panel, and where their results go: feature f of query i is
 * q[f * ld + i], of its result y[f * ld + i].  Nothing beside them is touched. */
struct lac_query_segment {
    const float *q;
    float *y;
    float *abs_max; /* in integers: [n_queries], raised by the results'; or NULL */
    size_t ld, n_queries;
};

/* As many queries are worked on together at most.  More read the keys less often, and lists of
 * blocks of 64 queries need not be cut. */
enum { LAC_QUERY_BLOCK = 64 };

/* Attention of one head for queries in lanes, which see what `seen` lists (sparse/seen.h): dense,
 * causal, windows and whatever else are lists, and time goes by their blocks.  Lane l is the l-th
 * of the segments' queries, 1 to LAC_QUERY_BLOCK in all.  Of blocks that are listed, groups of
 * LAC_LANES keys (pages) that none of the queries sees are not looked at, and the rest must be
 * finite.  Takes up to 350 KB of stack. */
struct lac_attention_args {
    const struct lac_query_segment *queries;
    size_t n_query_segments;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    float scale;
    const struct lac_kv_segment *segments; /* of the kernel's dtype */
    size_t n_segments;
    size_t segment_keys; /* in each but the first, which may have fewer, and the last: keys of a
                            block are found without a search */
    size_t n_keys;       /* in all segments */
    struct lac_seen seen;
    const struct lac_lost_keys *lost; /* by all queries; or NULL */
};

/* The same in integers, on pages.  The query is quantised as keys are, and powers of 2 are those
 * that simd/template/math.h calls vec_exp2_weight:
 *
 *   s[j] = (q . k[j]) * (k_scale[j] * (q_scale * (scale * log2 e)))
 *   m' = max(m, max s);  c = 2^(m - m');  p[j] = 2^(s[j] - m');  l as above
 *   w[j] = round_half_even(p[j] * (v_scale[j] * (16383 / v_max)))     14 bits, in 7 + 7 if need be
 *   o = c o + (w . v) * (v_max / 16383)
 *   C = 2^(M - M');  c = 2^(m - M')  where ranges are joined
 *
 * v_max = max(2^-100, max v_scale[j]) over the keys of the block that the query sees.  Dot products
 * are exact; all else is in fp32.  Weights of 8 bits would lose the many small ones beside a large
 * one.  Takes up to 250 KB of stack. */
struct lac_attention_s8_args {
    const struct lac_query_segment *queries;
    size_t n_query_segments;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    float scale;
    const void *const *pages; /* [ceil(n_keys / LAC_LANES)] */
    size_t n_keys;
    struct lac_seen seen;
    const struct lac_lost_keys *lost; /* by all queries; or NULL */
};

/* Attention for one token: the queries of those heads that share a key/value head, on pages of the
 * kernel's dtype.  All see the keys that `seen` lists; pages that hold none of these are not looked
 * at, and may not be there.  Each page is read once for up to LAC_ROW_QUERIES queries.  Takes up to
 * 100 KB of stack.
 *
 * With votes, each query adds to votes[j] what key j weighs in its result: e^(s[j] - m) (1 / l),
 * or in integers 2^(s[j] - m) (1 / l), with the last M and L.  `seen` is then all of the first
 * keys: blocks 0, 1, 2, ...
 *
 * With parts and without y, each range of which `seen` has a key leaves what it came to in
 * parts[range]: o, then m and l.  With both, those parts are joined to y, and pages are not looked
 * at. */
enum { LAC_ROW_QUERIES = 8 };

/* Floats of one query's part; m and l are the first behind o. */
static inline size_t lac_attention_part(size_t head_dim)
{
    return (head_dim + LAC_LANES - 1) / LAC_LANES * LAC_LANES + LAC_LANES;
}

struct lac_attention_row_args {
    const float *q; /* [n_queries][head_dim] */
    size_t n_queries, head_dim;
    float scale;
    const void *const *pages; /* page i holds keys LAC_LANES * i and on */
    const struct lac_seen_keys *seen;
    size_t n_seen;
    /* NULL, or called before keys of a block are read: it may put other pages in the places that
     * the block has in `pages`, and they are good until it is called again.  Pages in other places
     * are fetched, not read. */
    void (*load)(void *context, size_t block);
    void *context;
    const struct lac_lost_keys *lost; /* or NULL; with votes: NULL */
    float *y;                         /* [n_queries][head_dim], or NULL */
    float *parts;     /* [ranges][n_queries][lac_attention_part(head_dim)], or NULL */
    float *votes;     /* [keys], or NULL */
    float *scores;    /* with votes: [LAC_ROW_QUERIES][scores_ld], room to work in */
    size_t scores_ld; /* a multiple of LAC_KEY_BLOCK, from the number of keys on */
};

/* The part that entry i of `seen` belongs to, of a query. */
static inline float *lac_attention_part_at(const struct lac_attention_row_args *a, size_t i,
                                           size_t query)
{
    size_t range = a->seen[i].block / LAC_RANGE_BLOCKS;
    return a->parts + (range * a->n_queries + query) * lac_attention_part(a->head_dim);
}

/* The score of a key that a query does not see: the lowest number. */
#define LAC_NOT_SEEN (-0x1.fffffep127f)

/* Scores alone, as attention would make them, for whoever chooses what to attend to: of block i of
 * the list
 *
 *   scores[i][j][lane]   of key j, or LAC_NOT_SEEN
 *   most[i][lane]        the largest of them
 *   sums[i][lane]        of those seen: in four parts, by the key's number mod 4, as weights are
 *                        added up above
 *
 * for lanes that have queries; others get something.  Scores of integers are those of struct
 * lac_attention_s8_args, in powers of 2. */
struct lac_scores_args {
    /* Queries, up to LAC_LANES, keys and list, in the form of the kernel's dtype; nothing is
     * written there. */
    const struct lac_attention_args *of; /* fp32, bf16 */
    const struct lac_attention_s8_args *of_s8;
    float *scores;      /* [n_blocks][LAC_KEY_BLOCK][LAC_LANES], or NULL */
    float *most, *sums; /* [n_blocks][LAC_LANES]; each may be NULL */
};

/* Softmax of scores, added up by lines.  With m, p and l of each lane as in attention, but l in one
 * go over all keys of all blocks in their order, and 1 / l = 0 for a lane that is not in the mask
 * or sees nothing: for page i (of LAC_LANES keys j) of the blocks,
 *
 *   low[i] += sum of p[j][lane] (1 / l), lane >= j        high[i] += the same for lane < j
 *
 * fused over keys in each lane, then over lanes as struct lac_norm_args says.  When lanes are
 * consecutive queries from a multiple of LAC_LANES on, low + high is what a page weighs, and each
 * is half of what the keys weigh that are so far behind the queries. */
struct lac_score_lines_args {
    float *scores;     /* [n_blocks][LAC_KEY_BLOCK][LAC_LANES]: p afterwards */
    const float *most; /* [n_blocks][LAC_LANES] */
    size_t n_blocks;
    uint64_t lane_mask;
    float *low, *high; /* [n_blocks * LAC_KEY_BLOCK / LAC_LANES] */
};

/* Labels stand for LAC_LANES pages side by side where it is decided which of these to read.  A page
 * has one label or several, of u8 = s8 + 128, and one scale; 64-byte aligned, lac_labels_bytes()
 * long:
 *
 *   rows   uint8_t [n_labels][n_dwords][LAC_LANES][4] */
struct lac_labels {
    float scale[LAC_LANES]; /* not negative */
    uint8_t rows[];
};

static inline size_t lac_labels_bytes(size_t n_labels, size_t n_dwords)
{
    return sizeof(struct lac_labels) + n_labels * n_dwords * LAC_LANES * 4;
}

/* scores[p] = (largest of q . label of page p) * (scale[p] * q_scale), q . label an exact integer.
 */
struct lac_page_scores_args {
    const int8_t *q;           /* [n_queries][4 * n_dwords] */
    const float *q_scale;      /* [n_queries], not negative */
    size_t n_queries;          /* at most LAC_ROW_QUERIES */
    size_t n_labels;           /* of a page, at least 1 */
    size_t n_dwords;           /* of a label: 1 to LAC_MAX_HEAD_DIM / 2 */
    const void *const *labels; /* [ceil(n_pages / LAC_LANES)] */
    size_t n_pages;
    float *scores; /* [n_queries][ld]; n_pages rounded up to LAC_LANES are written */
    size_t ld;
};

#endif
