/* SPDX-License-Identifier: Apache-2.0 */
/* What one core can do at most: multiplications from registers, reads from memory. */
#ifndef LACUNA_BENCH_ROOF_H
#define LACUNA_BENCH_ROOF_H

#include <stddef.h>

/* An instruction sequence that multiplies as fast as an instruction set allows, on registers
 * alone. */
struct bench_roof {
    const char *isa, *instruction;
    const char
        *dtype;     /* "int8": by name, as not every dtype that is multiplied is one of weights */
    unsigned needs; /* set of enum lac_cpu_feature */
    /* Has the processor what no feature says?  NULL: it needs nothing more. */
    int (*is_there)(void);
    /* Runs n rounds and returns the operations done (a multiplication and an addition are two). */
    double (*run)(size_t n);
};

/* Reads size bytes (a multiple of 1024, on 64 bytes) and keeps nothing. */
struct bench_reader {
    const char *isa;
    unsigned needs;
    void (*read)(const void *memory, size_t size);
};

/* The roofs this machine has, best first; ends with NULL. */
const struct bench_roof *const *bench_roofs(void);
/* The fastest way to multiply a dtype ("int8", "fp32", ...) inside an instruction set
 * ("avx512_vnni", what follows the slash of a kernel's name); NULL when none is known. */
const struct bench_roof *bench_roof_find(const char *isa, const char *dtype);
/* One sample of some ten microseconds, in 10^9 operations a second. */
double bench_roof_gops(const struct bench_roof *roof);

/* The widest reader this machine runs. */
const struct bench_reader *bench_reader_best(void);

#endif
