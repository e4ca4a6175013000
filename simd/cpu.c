/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can do, from CPUID and XGETBV (Intel SDM vol. 2A, CPUID; vol. 1, 13), or from
 * the words of Linux for AArch64 (Documentation/arm64/elf_hwcaps.rst). */
#include "simd/cpu.h"

#include <string.h>

static int bit(uint32_t word, unsigned i)
{
    return (int)(word >> i & 1);
}

/* State components that the system must save: XMM and YMM; opmask and both halves of ZMM; tile
 * configuration and tiles. */
enum { XCR0_YMM = 0x06, XCR0_ZMM = 0xe6, XCR0_TILES = 0x60000 };

unsigned lac_cpu_features_of(const struct lac_cpuid *w)
{
    unsigned f = 0;
    int saves_ymm = (w->xcr0 & XCR0_YMM) == XCR0_YMM;
    int saves_zmm = (w->xcr0 & XCR0_ZMM) == XCR0_ZMM;
    if (saves_ymm && bit(w->leaf7_ebx, 5) && bit(w->leaf1_ecx, 12) && bit(w->leaf1_ecx, 29))
        f |= LAC_CPU_AVX2;
    if (!(f & LAC_CPU_AVX2))
        return 0;
    if (bit(w->leaf7_1_eax, 4))
        f |= LAC_CPU_AVX_VNNI;
    if (!saves_zmm || !bit(w->leaf7_ebx, 16) || !bit(w->leaf7_ebx, 17) || !bit(w->leaf7_ebx, 30) ||
        !bit(w->leaf7_ebx, 31))
        return f;
    f |= LAC_CPU_AVX512;
    if (bit(w->leaf7_ecx, 11))
        f |= LAC_CPU_AVX512_VNNI;
    if (bit(w->leaf7_ecx, 6))
        f |= LAC_CPU_AVX512_VBMI2;
    if (bit(w->leaf7_1_eax, 5))
        f |= LAC_CPU_AVX512_BF16;
    if (bit(w->leaf7_edx, 23))
        f |= LAC_CPU_AVX512_FP16;
    if ((w->xcr0 & XCR0_TILES) == XCR0_TILES && bit(w->leaf7_edx, 24) && bit(w->leaf7_edx, 25))
        f |= LAC_CPU_AMX_INT8;
    /* Skylake-SP and Cascade Lake (model 0x55) lower their clock for 512-bit multiplies by far
     * more than their successors do (Intel optimization manual, 2.6.3); without VNNI the wider
     * registers do not earn that back. */
    unsigned family = w->leaf1_eax >> 8 & 0xf,
             model = (w->leaf1_eax >> 4 & 0xf) | (w->leaf1_eax >> 12 & 0xf0);
    if (!memcmp(w->vendor, "GenuineIntel", 12) && family == 6 && model == 0x55 &&
        !(f & LAC_CPU_AVX512_VNNI))
        f |= LAC_CPU_PREFER_256;
    return f;
}

unsigned lac_cpu_features_of_hwcap(const struct lac_hwcap *w)
{
    /* The bits are part of Linux's interface; its header is missing on other architectures. */
    enum { ASIMD = 1, ASIMDDP = 20 }; /* hwcap */
    enum { I8MM = 13, BF16 = 14 };    /* hwcap2 */
    unsigned f = 0;
    if (!(w->hwcap >> ASIMD & 1))
        return 0;
    f |= LAC_CPU_NEON;
    if (w->hwcap >> ASIMDDP & 1)
        f |= LAC_CPU_DOTPROD;
    if (w->hwcap2 >> I8MM & 1)
        f |= LAC_CPU_I8MM;
    if (w->hwcap2 >> BF16 & 1)
        f |= LAC_CPU_ARM_BF16;
    return f;
}

#if defined(__x86_64__)
#include <cpuid.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Linux hands out tile registers on request, to the whole process, for good. */
static int tiles_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
#if defined(__linux__)
    return !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
#else
    return 0;
#endif
}

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

unsigned lac_cpu_features(void)
{
    struct lac_cpuid w = {0};
    uint32_t a, b, c, d, highest;
    __cpuid(0, highest, w.vendor[0], w.vendor[2], w.vendor[1]);
    __cpuid(1, w.leaf1_eax, b, w.leaf1_ecx, d);
    if (highest >= 7) {
        __cpuid_count(7, 0, a, w.leaf7_ebx, w.leaf7_ecx, w.leaf7_edx);
        if (a >= 1)
            __cpuid_count(7, 1, w.leaf7_1_eax, b, c, d);
    }
    if (bit(w.leaf1_ecx, 27)) /* OSXSAVE */
        w.xcr0 = read_xcr0();
    unsigned features = lac_cpu_features_of(&w);
    if (features & LAC_CPU_AMX_INT8 && !tiles_granted())
        features &= ~(unsigned)LAC_CPU_AMX_INT8;
    return features;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

unsigned lac_cpu_features(void)
{
    struct lac_hwcap w = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    return lac_cpu_features_of_hwcap(&w);
}
#else
unsigned lac_cpu_features(void)
{
    return 0;
}
#endif

enum {
    X86 = LAC_CPU_NEON - 1,
    DOTPROD = LAC_CPU_NEON | LAC_CPU_DOTPROD,
    I8MM = DOTPROD | LAC_CPU_I8MM,
};

static const struct {
    const char *name;
    unsigned needs, allowed;
} isas[] = {
    /* best first */
    {"amx_int8", LAC_CPU_AMX_INT8, X86},
    {"avx512_vnni", LAC_CPU_AVX512_VNNI, X86 & ~LAC_CPU_AMX_INT8},
    /* Who asks for it by name gets it, LAC_CPU_PREFER_256 or not. */
    {"avx512", LAC_CPU_AVX512, LAC_CPU_AVX2 | LAC_CPU_AVX512},
    {"avx_vnni", LAC_CPU_AVX_VNNI, LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI},
    {"avx2", LAC_CPU_AVX2, LAC_CPU_AVX2},
    {"neon_i8mm", I8MM, I8MM | LAC_CPU_ARM_BF16},
    {"neon_dotprod", DOTPROD, DOTPROD},
    {"neon", LAC_CPU_NEON, LAC_CPU_NEON},
    {"scalar", 0, 0},
};

enum { N_ISAS = sizeof isas / sizeof isas[0] };

int lac_isa_allowed(const char *isa, unsigned *allowed)
{
    if (!isa) {
        *allowed = ~0u;
        return 0;
    }
    for (size_t i = 0; i < N_ISAS; i++)
        if (!strcmp(isa, isas[i].name)) {
            *allowed = isas[i].allowed;
            return 0;
        }
    return -1;
}

const char *lac_isa_name(unsigned features)
{
    if (features & LAC_CPU_PREFER_256 && !(features & LAC_CPU_AVX512_VNNI))
        features &= ~(unsigned)LAC_CPU_AVX512;
    size_t i = 0;
    while (isas[i].needs & ~features)
        i++;
    return isas[i].name;
}
