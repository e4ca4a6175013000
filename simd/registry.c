/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel built in, best first. */
#include "config.h"

#include "simd/kernel.h"
#include "simd/tables.h"

#include <pthread.h>

static const struct lac_kernel *const *const tables[] = {
#ifdef LACUNA_HAVE_AMX_INT8
    lac_table_amx_int8,
#endif
#ifdef LACUNA_HAVE_AVX512_VBMI2
    lac_table_avx512_vbmi2,
#endif
#ifdef LACUNA_HAVE_AVX512_VNNI
    lac_table_avx512_vnni,
#endif
#ifdef LACUNA_HAVE_AVX_VNNI
    lac_table_avx_vnni,
#endif
#ifdef LACUNA_HAVE_AVX512
    lac_table_avx512,
#endif
#ifdef LACUNA_HAVE_AVX2
    lac_table_avx2,
#endif
#ifdef LACUNA_HAVE_NEON_I8MM
    lac_table_neon_i8mm,
#endif
#ifdef LACUNA_HAVE_NEON_DOTPROD
    lac_table_neon_dotprod,
#endif
#ifdef LACUNA_HAVE_NEON
    lac_table_neon,
#endif
    lac_table_scalar,
/* Last: lac_kernel_find_linear never gets here.  The measured plan does, by name, and only then
 * is the library opened, or code generated. */
#ifdef LACUNA_HAVE_ONEDNN
    lac_table_onednn,
#endif
#ifdef LACUNA_HAVE_LIBXSMM
    lac_table_libxsmm,
#endif
};

enum { N_TABLES = sizeof tables / sizeof tables[0], MOST_KERNELS = 1024 };

static const struct lac_kernel *all[MOST_KERNELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void join_tables(void)
{
    size_t n = 0;
    for (size_t i = 0; i < N_TABLES; i++)
        for (const struct lac_kernel *const *k = tables[i]; *k && n + 1 < MOST_KERNELS; k++)
            all[n++] = *k;
}

const struct lac_kernel *const *lac_kernels(void)
{
    pthread_once(&once, join_tables);
    return all;
}

int lac_kernel_allowed(const struct lac_kernel *kernel, unsigned features)
{
    if (features & LAC_CPU_PREFER_256 && kernel->needs & LAC_CPU_AVX512)
        return 0;
    return !(kernel->needs & ~features);
}

const struct lac_kernel *lac_kernel_find(enum lac_op op, unsigned features)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && lac_kernel_allowed(*k, features))
            return *k;
    return NULL;
}

const struct lac_kernel *lac_kernel_find_dtype(enum lac_op op, enum lac_dtype dtype,
                                               unsigned features)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && (*k)->dtype == dtype && lac_kernel_allowed(*k, features))
            return *k;
    return NULL;
}

const struct lac_kernel *lac_kernel_find_linear(enum lac_op op, const struct lac_weight *weight,
                                                unsigned features)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && (*k)->pattern == weight->pattern && (*k)->dtype == weight->dtype &&
            lac_kernel_allowed(*k, features) && (!(*k)->fits || (*k)->fits(weight)))
            return *k;
    return NULL;
}
