/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can do. */
#ifndef LACUNA_SIMD_CPU_H
#define LACUNA_SIMD_CPU_H

#include <stdint.h>

/* One bit a feature; a kernel names those it needs. */
enum lac_cpu_feature {
    LAC_CPU_AVX2 = 1 << 0,        /* AVX2, FMA and F16C, and the system saves YMM */
    LAC_CPU_AVX_VNNI = 1 << 1,
    LAC_CPU_AVX512 = 1 << 2,      /* F, BW, DQ, VL, and the system saves ZMM */
    LAC_CPU_AVX512_VNNI = 1 << 3,
    LAC_CPU_AVX512_VBMI2 = 1 << 4,
    LAC_CPU_AVX512_BF16 = 1 << 5,
    LAC_CPU_AVX512_FP16 = 1 << 6,
    LAC_CPU_AMX_INT8 = 1 << 7,    /* and the system saves tiles */
    LAC_CPU_PREFER_256 = 1 << 8,  /* has AVX-512, but slows down in 512-bit registers */
    LAC_CPU_NEON = 1 << 16,       /* Advanced SIMD of AArch64: fused multiply-add by element */
    LAC_CPU_DOTPROD = 1 << 17,    /* sdot, udot */
    LAC_CPU_I8MM = 1 << 18,       /* usdot, smmla, usmmla */
    LAC_CPU_ARM_BF16 = 1 << 19,   /* bfdot, bfmmla */
};

/* The words detection is computed from, so that it can be tested on saved ones: those of CPUID on
 * x86, */
struct lac_cpuid {
    uint32_t vendor[3];           /* leaf 0: EBX, EDX, ECX */
    uint32_t leaf1_eax, leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx, leaf7_edx; /* subleaf 0 */
    uint32_t leaf7_1_eax;         /* subleaf 1 */
    uint64_t xcr0;                /* 0 without OSXSAVE */
};

/* and on AArch64 those that Linux passes on to programs (getauxval(3)). */
struct lac_hwcap {
    uint64_t hwcap, hwcap2;
};

/* Sets of enum lac_cpu_feature. */
unsigned lac_cpu_features_of(const struct lac_cpuid *words);
unsigned lac_cpu_features_of_hwcap(const struct lac_hwcap *words);
/* Of the processor we run on; 0 where nothing is known.  The same at every call.  Asks Linux for
 * the use of tile registers where there are any. */
unsigned lac_cpu_features(void);

/* The features that an instruction set named "scalar", "avx2", "avx_vnni", "avx512", "avx512_vnni" or
 * "amx_int8", or "neon", "neon_dotprod" or "neon_i8mm", lets kernels use; NULL means all.  Names of
 * the other architecture are known, and leave scalar.  Returns 0 and sets *allowed, or -1 for a name
 * not known. */
int lac_isa_allowed(const char *isa, unsigned *allowed);
/* The best of those names that features cover. */
const char *lac_isa_name(unsigned features);

#endif
