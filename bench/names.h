/* SPDX-License-Identifier: Apache-2.0 */
/* Names of patterns, dtypes and instruction sets, as the kernel registry has them. */
#ifndef LACUNA_BENCH_NAMES_H
#define LACUNA_BENCH_NAMES_H

#include <stddef.h>

#include "simd/kernel.h"

/* What a pattern prunes at once: blocks of n_out x n_in elements; or, where `of` is not 0, all but
 * `kept` of so many consecutive inputs. */
struct bench_blocks {
    size_t n_out, n_in, kept, of;
};

/* How weights are pruned and kept. */
struct bench_pattern {
    const char *name; /* as the dtype has it: "4x4", "4x1", "2:4" */
    enum lac_pattern layout;
    struct bench_blocks blocks; /* of a dense one all 0 */
};

/* Every layout by the name of its int8 form, in the order of the enum, and after them what is kept
 * in one of these but pruned otherwise.  Ends with NULL. */
const char *const *bench_pattern_names(void);
/* Place i of them for a dtype. */
struct bench_pattern bench_pattern_at(int place, enum lac_dtype dtype);

/* Every dtype that some linear kernel takes; ends with NULL. */
const char *const *bench_dtype_names(void);
enum lac_dtype bench_dtype_at(int place);

/* "best", "scalar", then the caps of the instruction set by name; ends with NULL. */
enum { BENCH_ISA_BEST, BENCH_ISA_SCALAR };
const char *const *bench_isa_names(void);
/* The features that place i of them leaves, and whether it is one that this processor has. */
unsigned bench_isa_features(int place);
int bench_isa_is_here(int place);
/* Is it a name that engines know? */
int bench_isa_is_a_cap(int place);


/* What stands behind the slash of a kernel's name. */
const char *bench_kernel_isa(const struct lac_kernel *kernel);

#endif
