/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the kernels that every instruction set has, beside its linear layers. */
#ifndef LACUNA_SIMD_OPS_H
#define LACUNA_SIMD_OPS_H

#include "simd/kernel.h"

/* X(operation, enum lac_op, isa, needs) for each. */
#define LAC_OPS(X, isa, needs)                                                                     \
    X(quantize, LAC_OP_QUANTIZE, isa, needs)                                                       \
    X(norm, LAC_OP_NORM, isa, needs)                                                               \
    X(rope, LAC_OP_ROPE, isa, needs)                                                               \
    X(attention, LAC_OP_ATTENTION, isa, needs)                                                     \
    X(softmax, LAC_OP_SOFTMAX, isa, needs)                                                         \
    X(to_panel, LAC_OP_TO_PANEL, isa, needs)                                                       \
    X(from_panel, LAC_OP_FROM_PANEL, isa, needs)

/* The same for attention in integers, which needs other instructions than the rest. */
#define LAC_ATTENTION_S8_OPS(X, isa, needs)                                                        \
    X(kv_pages, LAC_OP_KV_PAGES, isa, needs)                                                       \
    X(attention_s8, LAC_OP_ATTENTION_S8, isa, needs)

#define LAC_OPS_DECLARE_ONE(name, op, isa, needs) extern const struct lac_kernel lac_##name##_##isa;
#define LAC_OPS_LIST_ONE(name, op, isa, needs)    &lac_##name##_##isa,
#define LAC_OPS_DEFINE_ONE(name_, op_, isa_, needs_)                                               \
    const struct lac_kernel lac_##name_##_##isa_ = {                                               \
        .name = #name_ "/" #isa_, .op = op_, .needs = needs_, .run.name_ = name_};

/* For table.c: before it and within it. */
#define LAC_OPS_DECLARE(isa)              LAC_OPS(LAC_OPS_DECLARE_ONE, isa, 0)
#define LAC_OPS_LIST(isa)                 LAC_OPS(LAC_OPS_LIST_ONE, isa, 0)
#define LAC_ATTENTION_S8_OPS_DECLARE(isa) LAC_ATTENTION_S8_OPS(LAC_OPS_DECLARE_ONE, isa, 0)
#define LAC_ATTENTION_S8_OPS_LIST(isa)    LAC_ATTENTION_S8_OPS(LAC_OPS_LIST_ONE, isa, 0)

/* For a file that has a function of each operation's name. */
#define LAC_OPS_DEFINE(isa, needs)              LAC_OPS(LAC_OPS_DEFINE_ONE, isa, needs)
#define LAC_ATTENTION_S8_OPS_DEFINE(isa, needs) LAC_ATTENTION_S8_OPS(LAC_OPS_DEFINE_ONE, isa, needs)

#endif
