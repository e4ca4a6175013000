/* SPDX-License-Identifier: Apache-2.0 */
/* What linear kernels cost on this machine: measured once, kept in a small text file.
 *
 * The time of a kernel on a weight is taken to be
 *
 *   fixed + dword * (stored dwords) + row * (block rows; of a bitmap: lines)
 *
 * with three numbers for each of a few counts of tokens; between counts it is interpolated.  (A
 * token-lane kernel works on whole vectors of LAC_LANES tokens, so its time has steps.)
 *
 * The file is text, in lines of words:
 *
 *   lacuna-plan 1
 *   version 0.1.0                      Lacuna's
 *   cpu Intel(R) Xeon(R) Processor
 *   features 2ff                       set of enum lac_cpu_feature, hexadecimal
 *   caches 2097152 251658240           a core's share of L2 and L3, bytes
 *   kernel linear_token_4x4_s8/avx512_vnni
 *   at 48 310000 980 15500             tokens, then fixed, dword and row in picoseconds / 1000
 *   ...
 *   end 61                             kernels
 *
 * A file of another version, machine or build, or one that is damaged, is refused as a whole. */
#ifndef LACUNA_RUN_PLAN_TABLE_H
#define LACUNA_RUN_PLAN_TABLE_H

#include <stddef.h>

#include "simd/cpu_name.h"
#include "simd/kernel.h"
#include "src/base/error.h"
#include "src/base/host.h"

/* What a table is good for. */
struct lac_plan_machine {
    char cpu[LAC_CPU_NAME_SIZE];
    unsigned features; /* of the processor, whatever the engine may use of them */
    size_t l2_bytes, l3_bytes;
};

/* Token counts that are measured. */
enum { LAC_PLAN_N_COUNTS = 7 };
extern const size_t lac_plan_counts[LAC_PLAN_N_COUNTS];

struct lac_plan_cost {
    double fixed_ns, dword_ns, row_ns;
};

struct lac_plan_row {
    const struct lac_kernel *kernel;
    struct lac_plan_cost at[LAC_PLAN_N_COUNTS];
};

enum { LAC_PLAN_MOST_ROWS = 768 };

struct lac_plan_table {
    struct lac_plan_machine machine;
    size_t n_rows;
    struct lac_plan_row rows[LAC_PLAN_MOST_ROWS];
};

/* What a weight is to the cost model.  n_nonzero: blocks, or elements of a bitmap. */
struct lac_plan_load {
    enum lac_pattern pattern;
    enum lac_dtype dtype;
    size_t n_out, n_in;
    double dwords, rows;
};
struct lac_plan_load lac_plan_load(enum lac_pattern pattern, enum lac_dtype dtype, size_t n_out,
                                   size_t n_in, size_t n_nonzero);

/* Predicted time of n_tokens >= 1; more than LAC_TILE go tile by tile. */
double lac_plan_row_ns(const struct lac_plan_row *row, const struct lac_plan_load *load,
                       size_t n_tokens);

/* The row of the fastest kernel of an operation that features allow and that fits; NULL when the
 * table has none.  *ns gets its time. */
const struct lac_plan_row *lac_plan_table_best(const struct lac_plan_table *table, enum lac_op op,
                                               const struct lac_plan_load *load, size_t n_tokens,
                                               unsigned features, double *ns);

/* The table's row of a kernel, or NULL. */
const struct lac_plan_row *lac_plan_table_find(const struct lac_plan_table *table,
                                               const struct lac_kernel *kernel);

/* Reads a table that was measured on this machine.  LAC_E_FORMAT for a damaged file,
 * LAC_E_UNSUPPORTED for one of another version, machine or build.  Kernels that this build does
 * not have are passed over.  The caller frees *table with lac_free. */
enum lac_status lac_plan_table_read(const struct lac_host *host, const char *path,
                                    const struct lac_plan_machine *machine,
                                    struct lac_plan_table **table, struct lac_error *error);

/* Writes it beside path and moves it there, so that a reader finds the old one or the new one. */
enum lac_status lac_plan_table_write(const struct lac_plan_table *table, const char *path,
                                     struct lac_error *error);

#endif
