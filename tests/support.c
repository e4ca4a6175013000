/* SPDX-License-Identifier: Apache-2.0 */
/* What every test program shares. */
#include "tests/support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int run_suite(Suite *suite)
{
    printf("seed %llu\n", (unsigned long long)test_seed());
    fflush(stdout);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void add_test(Suite *suite, const char *name, const TTest *function)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, function);
    suite_add_tcase(suite, tcase);
}

void add_loop_test(Suite *suite, const char *name, const TTest *function, int n)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, function, 0, n);
    suite_add_tcase(suite, tcase);
}

uint64_t test_seed(void)
{
    const char *text = getenv("LACUNA_TEST_SEED");
    return text ? strtoull(text, NULL, 0) : 20240607;
}

uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t random_below(uint64_t *state, size_t n)
{
    return (size_t)(random_u64(state) % n);
}

float random_float(uint64_t *state)
{
    return (float)(random_u64(state) >> 40) * 0x1p-23f - 1.0f;
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t size)
{
    size_t page = page_size();
    return (size + page - 1) / page * page;
}

/* [guard page][whole pages][guard page] */
static unsigned char *map_between_guards(size_t size)
{
    size_t page = page_size(), inner = whole_pages(size);
    unsigned char *base =
        mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || (inner && mprotect(base + page, inner, PROT_READ | PROT_WRITE)))
        abort();
    memset(base + page, 0xa5, inner);
    return base;
}

static void unmap(unsigned char *base, size_t size)
{
    munmap(base, whole_pages(size) + 2 * page_size());
}

void *guarded_alloc(size_t size)
{
    return map_between_guards(size) + page_size() + whole_pages(size) - size;
}

void guarded_free(void *memory, size_t size)
{
    if (memory)
        unmap((unsigned char *)memory + size - whole_pages(size) - page_size(), size);
}

void *guarded_alloc_front(size_t size)
{
    return map_between_guards(size) + page_size();
}

void guarded_free_front(void *memory, size_t size)
{
    if (memory)
        unmap((unsigned char *)memory - page_size(), size);
}

const char *source_path(const char *relative)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", LACUNA_SOURCE_DIR, relative);
    return path;
}

static char scratch[256];
static pid_t scratch_owner;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static void remove_scratch(void)
{
    if (getpid() == scratch_owner)
        nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_directory(void)
{
    if (!scratch[0] || scratch_owner != getpid()) {
        const char *base = getenv("TMPDIR");
        snprintf(scratch, sizeof scratch, "%s/lacuna-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(scratch))
            abort();
        scratch_owner = getpid();
        atexit(remove_scratch);
    }
    return scratch;
}
