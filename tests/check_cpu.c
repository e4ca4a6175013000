/* SPDX-License-Identifier: Apache-2.0 */
/* CPU detection on saved and on contrived CPUID words. */
#include "config.h"

#include "simd/cpu.h"
#include "simd/kernel.h"
#include "tests/support.h"

#define INTEL                                                                                      \
    {                                                                                              \
        0x756e6547, 0x49656e69, 0x6c65746e                                                         \
    }

enum {
    ECX1_FMA = 1 << 12,
    ECX1_OSXSAVE = 1 << 27,
    ECX1_F16C = 1 << 29,
    EBX7_AVX2 = 1 << 5,
    EBX7_AVX512F = 1 << 16,
    EBX7_AVX512DQ = 1 << 17,
    EBX7_AVX512BW = 1 << 30,
    ECX7_VBMI2 = 1 << 6,
    ECX7_VNNI = 1 << 11,
    EDX7_FP16 = 1 << 23,
    EDX7_AMX_TILE = 1 << 24,
    EDX7_AMX_INT8 = 1 << 25,
    EAX71_AVX_VNNI = 1 << 4,
    EAX71_BF16 = 1 << 5,
};

#define EBX7_AVX512VL  (1u << 31)
#define EBX7_AVX512    (EBX7_AVX2 | EBX7_AVX512F | EBX7_AVX512DQ | EBX7_AVX512BW | EBX7_AVX512VL)
#define ECX1_AVX2_TIME (ECX1_FMA | ECX1_OSXSAVE | ECX1_F16C)

enum { XCR0_SSE = 0x3, XCR0_AVX = 0x7, XCR0_AVX512 = 0xe7, XCR0_AMX = 0x600e7 };

static const struct {
    const char *what;
    struct lac_cpuid words;
    unsigned features;
    const char *isa;
} machines[] = {
    {"a machine of 2008", {INTEL, 0x106a5, 0, 0, 0, 0, 0, 0}, 0, "scalar"},
    {"Haswell",
     {INTEL, 0x306f2, ECX1_AVX2_TIME, EBX7_AVX2, 0, 0, 0, XCR0_AVX},
     LAC_CPU_AVX2,
     "avx2"},
    {"Haswell under a system that does not save YMM",
     {INTEL, 0x306f2, ECX1_AVX2_TIME, EBX7_AVX2, 0, 0, 0, XCR0_SSE},
     0,
     "scalar"},
    {"AVX2 without FMA", {INTEL, 0x306f2, ECX1_OSXSAVE, EBX7_AVX2, 0, 0, 0, XCR0_AVX}, 0, "scalar"},
    {"Skylake-SP",
     {INTEL, 0x50654, ECX1_AVX2_TIME, EBX7_AVX512, 0, 0, 0, XCR0_AVX512},
     LAC_CPU_AVX2 | LAC_CPU_AVX512 | LAC_CPU_PREFER_256,
     "avx2"},
    {"Skylake-SP under a system that does not save ZMM",
     {INTEL, 0x50654, ECX1_AVX2_TIME, EBX7_AVX512, 0, 0, 0, XCR0_AVX},
     LAC_CPU_AVX2,
     "avx2"},
    {"Cascade Lake",
     {INTEL, 0x50657, ECX1_AVX2_TIME, EBX7_AVX512, ECX7_VNNI, 0, 0, XCR0_AVX512},
     LAC_CPU_AVX2 | LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI,
     "avx512_vnni"},
    {"AVX-512 F without BW (Knights Landing)",
     {INTEL, 0x50671, ECX1_AVX2_TIME, EBX7_AVX2 | EBX7_AVX512F, 0, 0, 0, XCR0_AVX512},
     LAC_CPU_AVX2,
     "avx2"},
    {"Alder Lake",
     {INTEL, 0x90672, ECX1_AVX2_TIME, EBX7_AVX2, 0, 0, EAX71_AVX_VNNI, XCR0_AVX},
     LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI,
     "avx_vnni"},
    /* Read from a virtual machine. */
    {"Emerald Rapids",
     {INTEL, 0xa0671, 0xfffa3203, 0xf1bf2ffb, 0x1a415f46, 0x23c14010, 0x1c30, XCR0_AMX},
     LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI | LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI | LAC_CPU_AVX512_VBMI2 |
         LAC_CPU_AVX512_BF16 | LAC_CPU_AVX512_FP16 | LAC_CPU_AMX_INT8,
     "amx_int8"},
    {"Emerald Rapids under a system that does not save tiles",
     {INTEL, 0xa0671, 0xfffa3203, 0xf1bf2ffb, 0x1a415f46, 0x23c14010, 0x1c30, XCR0_AVX512},
     LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI | LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI | LAC_CPU_AVX512_VBMI2 |
         LAC_CPU_AVX512_BF16 | LAC_CPU_AVX512_FP16,
     "avx512_vnni"},
};

START_TEST(saved_words)
{
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        unsigned features = lac_cpu_features_of(&machines[i].words);
        ck_assert_msg(features == machines[i].features, "%s: features %#x, expected %#x",
                      machines[i].what, features, machines[i].features);
        ck_assert_str_eq(lac_isa_name(features), machines[i].isa);
    }
}
END_TEST

/* As Linux gives them: /proc/self/auxv. */
static const struct {
    const char *what;
    struct lac_hwcap words;
    unsigned features;
    const char *isa;
} arms[] = {
    {"no SIMD", {0x1, 0}, 0, "scalar"},
    {"Cortex-A72", {0xff, 0}, LAC_CPU_NEON, "neon"},
    {"Neoverse N1", {0x119fff, 0}, LAC_CPU_NEON | LAC_CPU_DOTPROD, "neon_dotprod"},
    {"i8mm alone counts for nothing", {0x2, 1 << 13}, LAC_CPU_NEON | LAC_CPU_I8MM, "neon"},
    {"Neoverse V1",
     {0x119fff, 1 << 13 | 1 << 14},
     LAC_CPU_NEON | LAC_CPU_DOTPROD | LAC_CPU_I8MM | LAC_CPU_ARM_BF16,
     "neon_i8mm"},
};

START_TEST(saved_hwcaps)
{
    for (size_t i = 0; i < sizeof arms / sizeof arms[0]; i++) {
        unsigned features = lac_cpu_features_of_hwcap(&arms[i].words);
        ck_assert_msg(features == arms[i].features, "%s: features %#x, expected %#x", arms[i].what,
                      features, arms[i].features);
        ck_assert_str_eq(lac_isa_name(features), arms[i].isa);
    }
}
END_TEST

/* Each set of a family allows what the one before it does, and nothing of the other family. */
static void check_family(const char *const *names, size_t n, unsigned *all)
{
    unsigned allowed, before = 0;
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(lac_isa_allowed(names[i], &allowed), 0);
        ck_assert_str_eq(lac_isa_name(allowed), names[i]);
        ck_assert_uint_eq(before & ~allowed, 0);
        before = allowed;
    }
    *all = before;
}

START_TEST(caps)
{
    static const char *const x86[] = {"scalar", "avx2", "avx512", "avx512_vnni", "amx_int8"},
                             *const arm[] = {"scalar", "neon", "neon_dotprod", "neon_i8mm"};
    unsigned allowed, all_x86, all_arm;
    check_family(x86, sizeof x86 / sizeof x86[0], &all_x86);
    check_family(arm, sizeof arm / sizeof arm[0], &all_arm);
    ck_assert_uint_eq(all_x86 & all_arm, 0);
    ck_assert_int_eq(lac_isa_allowed("avx_vnni", &allowed), 0);
    ck_assert_str_eq(lac_isa_name(allowed), "avx_vnni");
    ck_assert_int_eq(lac_isa_allowed(NULL, &allowed), 0);
    ck_assert_uint_eq(allowed, ~0u);
    allowed = 7;
    ck_assert_int_eq(lac_isa_allowed("mmx", &allowed), -1);
    ck_assert_uint_eq(allowed, 7);
}
END_TEST

#ifdef LACUNA_HAVE_AVX512
/* Skylake-SP works in 256 bits unless asked for more by name. */
START_TEST(prefers_256)
{
    const struct lac_weight w = {.pattern = LAC_PATTERN_DENSE, .dtype = LAC_S8};
    unsigned skylake = LAC_CPU_AVX2 | LAC_CPU_AVX512 | LAC_CPU_PREFER_256, allowed;
    for (int op = 0; op < LAC_N_OPS; op++)
        ck_assert_uint_eq(lac_kernel_find(op, skylake)->needs & LAC_CPU_AVX512, 0);
    ck_assert_uint_eq(lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, &w, skylake)->needs,
                      LAC_CPU_AVX2);
    ck_assert_int_eq(lac_isa_allowed("avx512", &allowed), 0);
    ck_assert_uint_eq(lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, &w, skylake & allowed)->needs,
                      LAC_CPU_AVX512);
}
END_TEST

#endif

/* Whatever the machine, every operation has a kernel, and no kernel asks for more than allowed. */
START_TEST(registry_is_complete)
{
    const size_t n_machines = sizeof machines / sizeof machines[0];
    for (size_t i = 0; i < n_machines + sizeof arms / sizeof arms[0]; i++) {
        unsigned features = i < n_machines ? machines[i].features : arms[i - n_machines].features;
        for (int op = 0; op < LAC_N_OPS; op++) {
            const struct lac_kernel *kernel = lac_kernel_find(op, features);
            ck_assert_ptr_nonnull(kernel);
            ck_assert_uint_eq(kernel->needs & ~features, 0);
        }
        for (int p = 0; p < LAC_N_PATTERNS; p++)
            for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++) {
                struct lac_weight w = {.pattern = p, .dtype = dtype};
                if (!lac_pattern_holds(p, dtype))
                    continue;
                ck_assert_ptr_nonnull(lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, &w, features));
                ck_assert_ptr_nonnull(lac_kernel_find_linear(LAC_OP_LINEAR_OUTPUT, &w, features));
            }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu");
    add_test(suite, "words", saved_words);
    add_test(suite, "hwcaps", saved_hwcaps);
    add_test(suite, "caps", caps);
#ifdef LACUNA_HAVE_AVX512
    add_test(suite, "prefer 256", prefers_256);
#endif
    add_test(suite, "registry", registry_is_complete);
    return run_suite(suite);
}
