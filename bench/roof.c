/* SPDX-License-Identifier: Apache-2.0 */
/* Which roofs this machine has, and how they are sampled. */
#include "config.h"

#include "bench/roof.h"

#include <stdint.h>
#include <string.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"
#include "src/sys/clock.h"

/* Best first. */
static const struct bench_roof *const built[] = {
#ifdef LACUNA_HAVE_AMX_INT8
    &bench_roof_s8_amx,
    &bench_roof_bf16_amx,
#endif
#ifdef LACUNA_HAVE_AVX512_VNNI
    &bench_roof_s8_avx512_vnni,
#endif
#ifdef LACUNA_HAVE_AVX512_HALF
    &bench_roof_bf16_avx512,
    &bench_roof_f16_avx512,
#endif
#ifdef LACUNA_HAVE_AVX512
    &bench_roof_s8_avx512,
    &bench_roof_f32_avx512,
#endif
#ifdef LACUNA_HAVE_AVX2
    &bench_roof_s8_avx2,
    &bench_roof_f32_avx2,
#endif
#ifdef LACUNA_HAVE_NEON_I8MM
    &bench_roof_s8_neon_i8mm,
#endif
#ifdef LACUNA_HAVE_NEON_DOTPROD
    &bench_roof_s8_neon_dotprod,
#endif
#ifdef LACUNA_HAVE_NEON
    &bench_roof_s8_neon,
    &bench_roof_f32_neon,
#endif
    NULL,
};

static const struct bench_reader *const readers[] = {
#ifdef LACUNA_HAVE_AVX512
    &bench_reader_avx512,
#endif
#ifdef LACUNA_HAVE_AVX2
    &bench_reader_avx2,
#endif
#ifdef LACUNA_HAVE_NEON
    &bench_reader_neon,
#endif
    &bench_reader_portable,
};

const struct bench_roof *const *bench_roofs(void)
{
    static const struct bench_roof *found[sizeof built / sizeof built[0]];
    unsigned features = lac_cpu_features();
    size_t n = 0;
    for (size_t i = 0; built[i]; i++)
        if (!(built[i]->needs & ~features) && (!built[i]->is_there || built[i]->is_there()))
            found[n++] = built[i];
    found[n] = NULL;
    return found;
}

static double sample(const struct bench_roof *roof, size_t n)
{
    uint64_t begin = lac_clock_ns();
    double ops = roof->run(n);
    uint64_t ns = lac_clock_ns() - begin;
    return ops / (double)(ns ? ns : 1);
}

double bench_roof_gops(const struct bench_roof *roof)
{
    /* Six tiles take 96 cycles, the other sequences 6 to 18: the first sample tells which, wakes
     * the wide units, and sets the length of the second. */
    enum { FIRST = 100 };
    double ops_per_round = roof->run(1);
    double gops = sample(roof, FIRST);
    double n = 12000 * gops / ops_per_round;
    return sample(roof, n < FIRST ? FIRST : (size_t)n);
}

static const struct bench_roof *best_of(unsigned allowed, const char *dtype)
{
    for (const struct bench_roof *const *roof = bench_roofs(); *roof; roof++)
        if (!((*roof)->needs & ~allowed) && !strcmp((*roof)->dtype, dtype))
            return *roof;
    return NULL;
}

const struct bench_roof *bench_roof_find(const char *isa, const char *dtype)
{
    /* What a dtype may be multiplied in: there are processors where bf16 is slower than fp32. */
    static const struct {
        const char *stored, *multiplied[2];
    } ways[] = {
        {"int8", {"int8", NULL}},   {"int4", {"int8", NULL}}, {"bf16", {"bf16", "fp32"}},
        {"fp16", {"fp16", "fp32"}}, {"fp32", {"fp32", NULL}},
    };
    const struct bench_roof *found = NULL;
    unsigned allowed;
    /* One extension is no cap by itself: all there is, but tiles only for those of tiles. */
    if (lac_isa_allowed(isa, &allowed))
        allowed = strncmp(isa, "amx", 3) ? ~(unsigned)LAC_CPU_AMX_INT8 : ~0u;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        for (size_t j = 0; j < 2 && ways[i].multiplied[j] && !strcmp(ways[i].stored, dtype); j++) {
            const struct bench_roof *roof = best_of(allowed, ways[i].multiplied[j]);
            if (roof && (!found || bench_roof_gops(roof) > bench_roof_gops(found)))
                found = roof;
        }
    return found;
}

static void read_portable(const void *memory, size_t size)
{
    const uint64_t *at = memory;
    uint64_t sums[4] = {0};
    for (const uint64_t *end = at + size / sizeof *at; at < end; at += 4)
        for (int i = 0; i < 4; i++)
            sums[i] += at[i];
    __asm__ volatile("" : : "r"(sums[0] ^ sums[1] ^ sums[2] ^ sums[3]));
}

const struct bench_reader bench_reader_portable = {.isa = "scalar", .read = read_portable};

const struct bench_reader *bench_reader_best(void)
{
    size_t i = 0;
    while (readers[i]->needs & ~lac_cpu_features())
        i++;
    return readers[i];
}
