/* SPDX-License-Identifier: Apache-2.0 */
/* The constant that makes a function of a template a kernel of the instruction set ISA. */
#ifndef LACUNA_SIMD_TEMPLATE_KERNELS_H
#define LACUNA_SIMD_TEMPLATE_KERNELS_H

#include "simd/kernel.h"
#include "simd/tables.h"

/* Dwords that a block spans in each output, where a template asks: all there are, one, or as many
 * as a tile has; or a dword's worth of inputs from anywhere. */
enum { DENSE, INDEXED, LOOSE = 255 };

/* What the kernels that follow make of a weight for themselves. */
#define LINEAR_PACK NULL

/* lac_NAME_ISA, called "NAME/ISA". */
#define LINEAR_KERNEL(op_, pattern_, dtype_, name_, run_)                                          \
    LINEAR_KERNEL_OF(op_, pattern_, dtype_, name_, run_, ISA)
#define LINEAR_KERNEL_OF(op_, pattern_, dtype_, name_, run_, isa_)                                 \
    LINEAR_KERNEL_NAMED(op_, pattern_, dtype_, lac_##name_##_, #name_ "/", run_, isa_)
#define LINEAR_KERNEL_NAMED(op_, pattern_, dtype_, symbol_, name_, run_, isa_)                     \
    LINEAR_KERNEL_MADE(op_, pattern_, dtype_, symbol_##isa_, name_ #isa_, run_)
#define LINEAR_KERNEL_MADE(op_, pattern_, dtype_, symbol_, name_, run_)                            \
    const struct lac_kernel symbol_ = {                                                            \
        .pack = LINEAR_PACK,                                                                       \
        .name = name_,                                                                             \
        .op = op_,                                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = dtype_,                                                                           \
        .needs = ISA_NEEDS,                                                                        \
        .run.linear = run_,                                                                        \
    };

#define WIDE_TOKEN_KERNEL(isa_, name_, pattern_, dtype_, run_)                                     \
    LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, pattern_, dtype_, name_, run_)
#define WIDE_OUTPUT_KERNEL(isa_, name_, pattern_, dtype_, run_)                                    \
    LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, pattern_, dtype_, name_, run_)

#endif
