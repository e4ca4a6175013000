/* SPDX-License-Identifier: Apache-2.0 */
/* Names of patterns, dtypes and instruction sets, as the kernel registry has them. */
#include "bench/names.h"

#include <stdio.h>
#include <string.h>

const char *const bench_isa_names[] = {"best",   "scalar",      "avx2",     "avx_vnni",
                                       "avx512", "avx512_vnni", "amx_int8", NULL};

enum { MOST_DTYPES = 16 };

/* What other tools prune: two of four inputs; and four outputs by one input, of which the blocks
 * that are kept hold zeros as well. */
static const struct bench_pattern foreign[] = {
    {"2:4", LAC_PATTERN_BITMAP, {.kept = 2, .of = 4}},
    {"4x1-import", LAC_PATTERN_4, {.n_out = 4, .n_in = 1}},
};
enum { N_FOREIGN = sizeof foreign / sizeof foreign[0] };

static int is_linear(const struct lac_kernel *kernel)
{
    return kernel->op == LAC_OP_LINEAR_TOKEN || kernel->op == LAC_OP_LINEAR_OUTPUT;
}

const char *const *bench_pattern_names(void)
{
    static const char *names[LAC_N_PATTERNS + N_FOREIGN + 1];
    for (int p = 0; p < LAC_N_PATTERNS; p++)
        names[p] = lac_pattern_name((enum lac_pattern)p, LAC_S8);
    for (int i = 0; i < N_FOREIGN; i++)
        names[LAC_N_PATTERNS + i] = foreign[i].name;
    return names;
}

struct bench_pattern bench_pattern_at(int place, enum lac_dtype dtype)
{
    if (place >= LAC_N_PATTERNS)
        return foreign[place - LAC_N_PATTERNS];
    enum lac_pattern layout = (enum lac_pattern)place;
    struct bench_pattern pattern = {.name = lac_pattern_name(layout, dtype), .layout = layout};
    if (layout == LAC_PATTERN_DENSE)
        return pattern;
    /* "16x4" says it; any other name is of single elements. */
    if (sscanf(pattern.name, "%zux%zu", &pattern.blocks.n_out, &pattern.blocks.n_in) != 2)
        pattern.blocks = (struct bench_blocks){.n_out = 1, .n_in = 1};
    return pattern;
}

/* In the order in which the registry first has them. */
static size_t find_dtypes(enum lac_dtype dtypes[MOST_DTYPES])
{
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        size_t i = 0;
        while (i < n && dtypes[i] != (*k)->dtype)
            i++;
        if (i == n && is_linear(*k) && n < MOST_DTYPES)
            dtypes[n++] = (*k)->dtype;
    }
    return n;
}

const char *const *bench_dtype_names(void)
{
    static const char *names[MOST_DTYPES + 1];
    enum lac_dtype dtypes[MOST_DTYPES];
    size_t n = find_dtypes(dtypes);
    for (size_t i = 0; i < n; i++)
        names[i] = lac_dtype_name(dtypes[i]);
    return names;
}

enum lac_dtype bench_dtype_at(int place)
{
    enum lac_dtype dtypes[MOST_DTYPES];
    find_dtypes(dtypes);
    return dtypes[place];
}

unsigned bench_isa_features(int place)
{
    unsigned allowed = ~0u;
    if (place)
        lac_isa_allowed(bench_isa_names[place], &allowed);
    return lac_cpu_features() & allowed;
}

const char *bench_all_names(const char *const *names, char *text, size_t size)
{
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; names[i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "," : "", names[i]);
    return text;
}

const char *bench_kernel_isa(const struct lac_kernel *kernel)
{
    return strchr(kernel->name, '/') + 1;
}
