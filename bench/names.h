/* SPDX-License-Identifier: Apache-2.0 */
/* Names of patterns, dtypes and instruction sets, as the kernel registry has them. */
#ifndef LACUNA_BENCH_NAMES_H
#define LACUNA_BENCH_NAMES_H

#include <stddef.h>

#include "simd/kernel.h"

/* Every pattern that some linear kernel takes, by the name of its int8 form: the place in the list
 * is the enum lac_pattern.  Ends with NULL. */
const char *const *bench_pattern_names(void);

/* Every dtype that some linear kernel takes; ends with NULL. */
const char *const *bench_dtype_names(void);
enum lac_dtype bench_dtype_at(int place);

/* "best", then the caps of the instruction set by name; ends with NULL. */
extern const char *const bench_isa_names[];
/* The features that place i of them leaves. */
unsigned bench_isa_features(int place);

/* Every value of such a list, in its order: "dense,16x4". */
const char *bench_all_names(const char *const *names, char *text, size_t size);

/* What stands behind the slash of a kernel's name. */
const char *bench_kernel_isa(const struct lac_kernel *kernel);

#endif
