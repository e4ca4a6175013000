/* SPDX-License-Identifier: Apache-2.0 */
/* Names of patterns, dtypes and instruction sets, as the kernel registry has them. */
#include "bench/names.h"

#include <stdio.h>
#include <string.h>

#include "simd/cpu.h"

/* Caps of the instruction set; without: what they allow and is not used all the same. */
static const struct {
    const char *name, *cap;
    unsigned without;
} isas[] = {
    {"best", NULL, 0},
    {"scalar", "scalar", 0},
    {"avx2", "avx2", 0},
    {"avx_vnni", "avx_vnni", 0},
    {"avx512", "avx512", 0},
    {"avx512_vnni", "avx512_vnni", 0},
    {"no_vbmi2", "avx512_vnni", LAC_CPU_AVX512_VBMI2},
    {"amx_int8", "amx_int8", 0},
    {"neon", "neon", 0},
    {"neon_dotprod", "neon_dotprod", 0},
    {"neon_i8mm", "neon_i8mm", 0},
};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

enum { MOST_DTYPES = 16 };

/* What other tools prune: two of four inputs; and four outputs by one input, kept as 4x4, whose
 * blocks then hold zeros as well. */
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

const char *const *bench_isa_names(void)
{
    static const char *names[N_ISAS + 1];
    for (int i = 0; i < N_ISAS; i++)
        names[i] = isas[i].name;
    return names;
}

unsigned bench_isa_features(int place)
{
    unsigned allowed = ~0u;
    lac_isa_allowed(isas[place].cap, &allowed);
    return lac_cpu_features() & allowed & ~isas[place].without;
}

int bench_isa_is_a_cap(int place)
{
    return !isas[place].without;
}

int bench_isa_is_here(int place)
{
    unsigned allowed, features = lac_cpu_features();
    lac_isa_allowed(isas[place].cap, &allowed);
    return !isas[place].cap || (!strcmp(lac_isa_name(features & allowed), isas[place].cap) &&
                                (features & isas[place].without) == isas[place].without);
}

const char *bench_kernel_isa(const struct lac_kernel *kernel)
{
    return strchr(kernel->name, '/') + 1;
}
