/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of pages by their labels, for every vector instruction set: include after
 * simd/template/attention_row_s8.h.  Pages are lanes. */
#ifndef LACUNA_SIMD_TEMPLATE_PAGE_SCORES_H
#define LACUNA_SIMD_TEMPLATE_PAGE_SCORES_H

#include "simd/template/attention_row_s8.h"

enum { LABEL_BYTES = LAC_LANES * 4 }; /* of a dword of LAC_LANES pages */
/* Labels are fetched so many blocks ahead: one takes less time than memory to answer. */
enum { LABELS_AHEAD = 4 };

/* A label times a query: four sums, as one would wait for itself. */
ROW_INLINE veci label_dot(const uint8_t *rows, const int8_t *q, size_t n_dwords, veci offset)
{
    veci sum[4] = {offset, veci_set1(0), veci_set1(0), veci_set1(0)};
    size_t d = 0;
    for (; d + 4 <= n_dwords; d += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            sum[i] = row_dot(sum[i], load_keys(rows + (d + i) * LABEL_BYTES),
                             broadcast_query(q + (d + i) * 4));
    for (; d < n_dwords; d++)
        sum[0] = row_dot(sum[0], load_keys(rows + d * LABEL_BYTES), broadcast_query(q + d * 4));
    return veci_add(veci_add(sum[0], sum[1]), veci_add(sum[2], sum[3]));
}

/* Less what a label of zeros comes to, as load_keys takes it. */
static veci label_offset(const int8_t *q, size_t n_dwords)
{
    uint8_t zeros[VEC_BYTES];
    veci sum = veci_set1(0);
    memset(zeros, 128, sizeof zeros);
    for (size_t d = 0; d < n_dwords; d++)
        sum = row_dot(sum, load_keys(zeros), broadcast_query(q + d * 4));
    return veci_sub(veci_set1(0), sum);
}

ROW_INLINE void score_labels(const struct lac_page_scores_args *a, const struct lac_labels *labels,
                             const int8_t *q, veci offset, float q_scale, float *scores)
{
    for (size_t lane = 0; lane < LAC_LANES; lane += VEC_LANES) {
        const uint8_t *rows = labels->rows + lane * 4;
        vec most = vec_from_int(label_dot(rows, q, a->n_dwords, offset));
        for (size_t i = 1; i < a->n_labels; i++) {
            rows += a->n_dwords * LABEL_BYTES;
            most = vec_max(most, vec_from_int(label_dot(rows, q, a->n_dwords, offset)));
        }
        vec scale = vec_mul(vec_load(labels->scale + lane), vec_set1(q_scale));
        vec_store(scores + lane, vec_mul(most, scale));
    }
}

static void fetch_labels(const struct lac_page_scores_args *a, size_t block)
{
    const char *labels = a->labels[block];
    for (size_t i = 0; i < lac_labels_bytes(a->n_labels, a->n_dwords); i += 64)
        fetch_line(labels + i);
}

static void page_scores(const struct lac_page_scores_args *a)
{
    size_t n = lac_ceil_div(a->n_pages, LAC_LANES);
    veci offset[LAC_ROW_QUERIES];
    for (size_t i = 0; i < a->n_queries; i++)
        offset[i] = label_offset(a->q + i * a->n_dwords * 4, a->n_dwords);
    for (size_t b = 0; b < lac_min_size(n, LABELS_AHEAD); b++)
        fetch_labels(a, b);
    for (size_t b = 0; b < n; b++) {
        if (b + LABELS_AHEAD < n)
            fetch_labels(a, b + LABELS_AHEAD);
        for (size_t i = 0; i < a->n_queries; i++)
            score_labels(a, a->labels[b], a->q + i * a->n_dwords * 4, offset[i], a->q_scale[i],
                         a->scores + i * a->ld + b * LAC_LANES);
    }
}

#endif
