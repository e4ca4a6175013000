/* SPDX-License-Identifier: Apache-2.0 */
/* Zeroing blocks of a matrix at random. */
#ifndef LACUNA_BENCH_PRUNE_H
#define LACUNA_BENCH_PRUNE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"

/* Zeroes exactly round(sparsity * blocks) blocks of block_rows x block_columns elements (cut at
 * the edges) of row-major elements [n_rows, n_columns] of element_size bytes each. */
enum lac_status bench_prune(void *elements, size_t n_rows, size_t n_columns, size_t element_size,
                            size_t block_rows, size_t block_columns, double sparsity,
                            uint64_t *random, struct lac_error *error);

/* Zeroes all but `kept`, drawn at random, of each `of` consecutive elements of a row; of what is
 * left at its end as many are kept as there are. */
void bench_prune_groups(void *elements, size_t n_rows, size_t n_columns, size_t element_size,
                        size_t kept, size_t of, uint64_t *random);

#endif
