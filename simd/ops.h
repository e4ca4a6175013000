/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the kernels that every instruction set has, beside its linear layers. */
#ifndef LACUNA_SIMD_OPS_H
#define LACUNA_SIMD_OPS_H

#include "simd/kernel.h"

/* X(name, member of run, enum lac_op, enum lac_dtype, isa, needs) for each. */
#define LAC_OPS(X, isa, needs)                                                                     \
    X(quantize, quantize, LAC_OP_QUANTIZE, 0, isa, needs)                                          \
    X(norm, norm, LAC_OP_NORM, 0, isa, needs)                                                      \
    X(rope, rope, LAC_OP_ROPE, 0, isa, needs)                                                      \
    X(softmax, softmax, LAC_OP_SOFTMAX, 0, isa, needs)                                             \
    X(to_panel, to_panel, LAC_OP_TO_PANEL, 0, isa, needs)                                          \
    X(from_panel, from_panel, LAC_OP_FROM_PANEL, 0, isa, needs)

/* The same for attention, */
#define LAC_ATTENTION_OPS(X, isa, needs)                                                           \
    X(kv_pages_f32, kv_pages, LAC_OP_KV_PAGES, LAC_F32, isa, needs)                                \
    X(kv_pages_bf16, kv_pages, LAC_OP_KV_PAGES, LAC_BF16, isa, needs)                              \
    X(attention_f32, attention, LAC_OP_ATTENTION, LAC_F32, isa, needs)                             \
    X(attention_bf16, attention, LAC_OP_ATTENTION, LAC_BF16, isa, needs)                           \
    X(attention_row_f32, attention_row, LAC_OP_ATTENTION_ROW, LAC_F32, isa, needs)                 \
    X(attention_row_bf16, attention_row, LAC_OP_ATTENTION_ROW, LAC_BF16, isa, needs)               \
    X(scores_f32, scores, LAC_OP_SCORES, LAC_F32, isa, needs)                                      \
    X(scores_bf16, scores, LAC_OP_SCORES, LAC_BF16, isa, needs)                                    \
    X(score_lines, score_lines, LAC_OP_SCORE_LINES, 0, isa, needs)                                 \
    X(expand_f32, expand, LAC_OP_EXPAND, LAC_F32, isa, needs)                                      \
    X(expand_bf16, expand, LAC_OP_EXPAND, LAC_BF16, isa, needs)

/* and for attention in integers, which needs other instructions than the rest. */
#define LAC_ATTENTION_S8_OPS(X, isa, needs)                                                        \
    X(kv_pages_s8, kv_pages, LAC_OP_KV_PAGES, LAC_S8, isa, needs)                                  \
    X(attention_s8, attention_s8, LAC_OP_ATTENTION_S8, LAC_S8, isa, needs)                         \
    X(attention_row_s8, attention_row, LAC_OP_ATTENTION_ROW, LAC_S8, isa, needs)                   \
    X(scores_s8, scores, LAC_OP_SCORES, LAC_S8, isa, needs)                                        \
    X(page_scores, page_scores, LAC_OP_PAGE_SCORES, LAC_S8, isa, needs)                            \
    X(expand_s8, expand, LAC_OP_EXPAND, LAC_S8, isa, needs)

/* Neurons, by number format. */
#define LAC_NEURON_OPS(X, suffix, dtype, isa, needs)                                               \
    X(neuron_rows_##suffix, neurons, LAC_OP_NEURON_ROWS, dtype, isa, needs)                        \
    X(neuron_columns_##suffix, neurons, LAC_OP_NEURON_COLUMNS, dtype, isa, needs)

#define LAC_OPS_DECLARE_ONE(name, member, op, dtype, isa, needs)                                   \
    extern const struct lac_kernel lac_##name##_##isa;
#define LAC_OPS_LIST_ONE(name, member, op, dtype, isa, needs) &lac_##name##_##isa,
#define LAC_OPS_DEFINE_ONE(name_, member_, op_, dtype_, isa_, needs_)                              \
    const struct lac_kernel lac_##name_##_##isa_ = {.name = #name_ "/" #isa_,                      \
                                                    .op = op_,                                     \
                                                    .dtype = dtype_,                               \
                                                    .needs = needs_,                               \
                                                    .run.member_ = name_};

/* For table.c: before it and within it. */
#define LAC_OPS_DECLARE(isa)                LAC_OPS(LAC_OPS_DECLARE_ONE, isa, 0)
#define LAC_OPS_LIST(isa)                   LAC_OPS(LAC_OPS_LIST_ONE, isa, 0)
#define LAC_ATTENTION_OPS_DECLARE(isa)      LAC_ATTENTION_OPS(LAC_OPS_DECLARE_ONE, isa, 0)
#define LAC_ATTENTION_OPS_LIST(isa)         LAC_ATTENTION_OPS(LAC_OPS_LIST_ONE, isa, 0)
#define LAC_ATTENTION_S8_OPS_DECLARE(isa)   LAC_ATTENTION_S8_OPS(LAC_OPS_DECLARE_ONE, isa, 0)
#define LAC_ATTENTION_S8_OPS_LIST(isa)      LAC_ATTENTION_S8_OPS(LAC_OPS_LIST_ONE, isa, 0)
#define LAC_NEURON_OPS_DECLARE(isa, suffix) LAC_NEURON_OPS(LAC_OPS_DECLARE_ONE, suffix, 0, isa, 0)
#define LAC_NEURON_OPS_LIST(isa, suffix)    LAC_NEURON_OPS(LAC_OPS_LIST_ONE, suffix, 0, isa, 0)

/* For a file that has a function of each operation's name. */
#define LAC_OPS_DEFINE(isa, needs)              LAC_OPS(LAC_OPS_DEFINE_ONE, isa, needs)
#define LAC_ATTENTION_OPS_DEFINE(isa, needs)    LAC_ATTENTION_OPS(LAC_OPS_DEFINE_ONE, isa, needs)
#define LAC_ATTENTION_S8_OPS_DEFINE(isa, needs) LAC_ATTENTION_S8_OPS(LAC_OPS_DEFINE_ONE, isa, needs)
/* ISA and ISA_NEEDS as in simd/template/kernels.h. */
#define LAC_NEURON_OPS_DEFINE(suffix, dtype) LAC_NEURON_OPS_DEFINE_OF(suffix, dtype, ISA, ISA_NEEDS)
#define LAC_NEURON_OPS_DEFINE_OF(suffix, dtype, isa, needs)                                        \
    LAC_NEURON_OPS(LAC_OPS_DEFINE_ONE, suffix, dtype, isa, needs)

#endif
