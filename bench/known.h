/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of this machine, kept from one run to the next. */
#ifndef LACUNA_BENCH_KNOWN_H
#define LACUNA_BENCH_KNOWN_H

#include <stddef.h>

#include "src/base/error.h"

/* Medians of what `lacuna-bench limits` measured: 10^9 operations or bytes a second. */
struct bench_limit {
    char name[48];  /* "vpdpbusd zmm", "read L2" */
    char dtype[16]; /* of a multiplication: "int8"; "" of reading */
    size_t threads;
    double rate;
};

enum { BENCH_MOST_LIMITS = 64 };

struct bench_limits {
    size_t n;
    struct bench_limit at[BENCH_MOST_LIMITS];
};

enum bench_limits_state { BENCH_LIMITS_KNOWN, BENCH_LIMITS_NONE, BENCH_LIMITS_STALE };

/* Stale: they are there, and of another machine than this one seems to be. */
enum bench_limits_state bench_limits_load(struct bench_limits *limits);
/* Makes the folder where it is missing.  path gets the file's name. */
enum lac_status bench_limits_save(const struct bench_limits *limits, char *path, size_t size,
                                  struct lac_error *error);

/* The name of a file in the cache's folder, which is made where it is missing. */
enum lac_status bench_cache_path(const char *name, char *path, size_t size,
                                 struct lac_error *error);

/* By name; NULL when it is not among them. */
const struct bench_limit *bench_limits_find(const struct bench_limits *limits, const char *name,
                                            size_t threads);

#endif
