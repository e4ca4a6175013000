/* SPDX-License-Identifier: Apache-2.0 */
/* What every test program shares: running suites, random numbers, guarded memory. */
#ifndef LACUNA_TESTS_SUPPORT_H
#define LACUNA_TESTS_SUPPORT_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the suite and prints Check's closing line; the exit status of main. */
int run_suite(Suite *suite);

/* One test case with one function, without a time limit. */
void add_test(Suite *suite, const char *name, const TTest *function);
/* The same with _i from 0 to n - 1. */
void add_loop_test(Suite *suite, const char *name, const TTest *function, int n);

/* ck_assert_msg for numbers that are compared one by one.  Check's own writes a line to a file each
 * time that it holds, which took more than half of the time of such tests. */
#define check_each(holds, ...)                                                                     \
    do {                                                                                           \
        if (!(holds))                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* The run's seed: LACUNA_TEST_SEED or a fixed one; printed at the start. */
uint64_t test_seed(void);

/* splitmix64 (Vigna): full period, any state is a good seed. */
uint64_t random_u64(uint64_t *state);
/* Uniform in [0, n), n > 0. */
size_t random_below(uint64_t *state, size_t n);
/* Uniform in [-1, 1). */
float random_float(uint64_t *state);

/* size bytes that end exactly where an unmapped page begins; one byte past the end is a fault.
 * Starts on 64 bytes when size is a multiple of 64.  Never NULL.  guarded_free unmaps it. */
void *guarded_alloc(size_t size);
void guarded_free(void *memory, size_t size);
/* The same with the fault right before the first byte. */
void *guarded_alloc_front(size_t size);
void guarded_free_front(void *memory, size_t size);

/* Absolute path of a file below the source directory; lives for the whole run. */
const char *source_path(const char *relative);
/* A new empty directory, removed at exit with all in it. */
const char *scratch_directory(void);

#endif
