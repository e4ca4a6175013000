/* SPDX-License-Identifier: Apache-2.0 */
/* Zeroing blocks of a matrix at random. */
#include "bench/prune.h"

#include <math.h>
#include <string.h>

#include "bench/harness.h"
#include "src/base/checked.h"

/* Drawing without replacement: of the blocks left, each is as likely as the next (Knuth, TAOCP
 * 3.4.2, algorithm S). */
enum lac_status bench_prune(void *elements, size_t n_rows, size_t n_columns, size_t element_size,
                            size_t block_rows, size_t block_columns, double sparsity,
                            uint64_t *random, struct lac_error *error)
{
    size_t down = lac_ceil_div(n_rows, block_rows), across = lac_ceil_div(n_columns, block_columns);
    size_t n = down * across, wanted = (size_t)llround(sparsity * (double)n);
    if (!(sparsity >= 0 && sparsity <= 1))
        return lac_fail(error, LAC_E_ARGUMENT, "sparsity %g is outside 0 to 1", sparsity);
    for (size_t i = 0; i < n; i++) {
        if (bench_random_below(random, n - i) >= wanted)
            continue;
        wanted--;
        size_t row = i / across * block_rows, column = i % across * block_columns;
        size_t width = lac_min_size(block_columns, n_columns - column);
        for (size_t r = row; r < lac_min_size(row + block_rows, n_rows); r++)
            memset((char *)elements + (r * n_columns + column) * element_size, 0,
                   width * element_size);
    }
    return LAC_OK;
}

void bench_prune_groups(void *elements, size_t n_rows, size_t n_columns, size_t element_size,
                        size_t kept, size_t of, uint64_t *random)
{
    for (size_t row = 0; row < n_rows; row++)
        for (size_t first = 0; first < n_columns; first += of) {
            char *group = (char *)elements + (row * n_columns + first) * element_size;
            size_t n = lac_min_size(of, n_columns - first), left = lac_min_size(kept, n);
            for (size_t i = 0; i < n; i++) {
                if (bench_random_below(random, n - i) < left)
                    left--;
                else
                    memset(group + i * element_size, 0, element_size);
            }
        }
}
