/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: memory that runs out, threads that share a model. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api_suite.h"

/* ---- Memory that runs out ---- */

struct counter {
    atomic_long n_left; /* allocations until they fail */
    atomic_long n_live, n_all;
};

static void *count_alloc(void *context, size_t alignment, size_t size)
{
    struct counter *c = context;
    atomic_fetch_add(&c->n_all, 1);
    void *memory;
    if (atomic_fetch_sub(&c->n_left, 1) <= 0 || posix_memalign(&memory, alignment, size))
        return NULL;
    memset(memory, 0xa5, size);
    atomic_fetch_add(&c->n_live, 1);
    return memory;
}

static void count_release(void *context, void *memory)
{
    struct counter *c = context;
    ck_assert_ptr_nonnull(memory);
    atomic_fetch_sub(&c->n_live, 1);
    free(memory);
}

/* Everything a program does once; the status of the first call that fails. */
static enum lac_status do_all(struct lac_engine_options *options, const char *path,
                              const char *packed)
{
    struct lac_engine *engine = NULL;
    struct lac_model *model = NULL, *again = NULL;
    struct lac_session *session = NULL;
    const struct lac_encoding *encoding;
    static const int32_t ids[] = {2, 7, 8, 4, 3};
    enum lac_status status = lac_engine_new(options, &engine);
    if (!status)
        status = lac_model_open(engine, path, NULL, &model);
    if (!status)
        status = lac_model_pack(model, packed);
    if (!status)
        status = lac_model_open(engine, packed, NULL, &again);
    if (!status)
        status = lac_session_new(again, NULL, &session);
    for (int i = 0; i < 10 && !status; i++)
        status = i % 2 ? lac_session_add_ids(session, ids, NULL, 5, NULL)
                       : api_add_text(session, "w7 [MASK]", NULL);
    if (!status)
        status = lac_session_run(session);
    if (!status)
        status = lac_session_encoding(session, 9, &encoding);
    if (session) { /* usable after a failure */
        lac_session_clear(session);
        ck_assert_uint_eq(lac_session_tokens(session), 0);
    }
    lac_session_free(session);
    lac_model_free(again);
    lac_model_free(model);
    lac_engine_free(engine);
    return status;
}

static void fail_every_allocation(enum tiny_head head, size_t n_threads)
{
    struct tiny tiny = {.head = head, .layers = 1};
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    char packed[400];
    snprintf(packed, sizeof packed, "%s/packed", path);
    struct counter counter;
    struct lac_allocator allocator = {count_alloc, count_release, &counter};
    struct lac_engine_options *options;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    lac_engine_options_set_allocator(options, &allocator);
    atomic_init(&counter.n_left, 1L << 40);
    atomic_init(&counter.n_live, 0);
    atomic_init(&counter.n_all, 0);
    ck_assert_int_eq(do_all(options, path, packed), LAC_OK);
    ck_assert_int_eq(atomic_load(&counter.n_live), 0);
    long total = atomic_load(&counter.n_all);
    ck_assert_int_gt(total, 30);
    for (long k = 0; k < total; k++) {
        atomic_store(&counter.n_left, k);
        ck_assert_msg(do_all(options, path, packed) == LAC_E_MEMORY, "allocation %ld of %ld", k,
                      total);
        ck_assert_msg(!atomic_load(&counter.n_live), "allocation %ld of %ld leaks", k, total);
    }
    lac_engine_options_free(options);
    tiny_free(&tiny);
}

START_TEST(every_allocation_may_fail)
{
    fail_every_allocation(TINY_CLASSIFY, 1);
    fail_every_allocation(TINY_FILL, 2);
}
END_TEST

/* ---- Threads ---- */

enum { N_THREADS = 4, N_ROUNDS = 25, N_TEXTS = 6 };

struct user {
    struct lac_model *model;
    const float (*expected)[5];
    unsigned number;
    size_t n_wrong;
};

static const char *const words[N_TEXTS] = {
    "w7", "w8 w9", "w10 w11 w12", "w13 w14 w15 w16", "w17 w18 w19 w20 w21", "w22"};

static void *use_model(void *arg)
{
    struct user *u = arg;
    struct lac_session *s = api_session(u->model);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        lac_session_clear(s);
        unsigned n = 1 + (u->number + round) % N_TEXTS;
        for (unsigned i = 0; i < n; i++)
            u->n_wrong += api_add_text(s, words[(i + round) % N_TEXTS], NULL) != LAC_OK;
        u->n_wrong += lac_session_run(s) != LAC_OK;
        for (unsigned i = 0; i < n; i++) {
            const float *logits = NULL;
            u->n_wrong += lac_session_classes(s, i, &logits, NULL, NULL) != LAC_OK ||
                          memcmp(logits, u->expected[(i + round) % N_TEXTS], 5 * sizeof(float));
        }
    }
    lac_session_free(s);
    return NULL;
}

START_TEST(threads_share_a_model)
{
    for (size_t n_workers = 1; n_workers <= 3; n_workers += 2) {
        struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY}, n_workers);
        float expected[N_TEXTS][5];
        struct lac_session *s = api_session(f.model);
        for (size_t i = 0; i < N_TEXTS; i++)
            ck_assert_int_eq(api_add_text(s, words[i], NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        for (size_t i = 0; i < N_TEXTS; i++) {
            const float *logits;
            ck_assert_int_eq(lac_session_classes(s, i, &logits, NULL, NULL), LAC_OK);
            memcpy(expected[i], logits, sizeof expected[i]);
        }
        lac_session_free(s);
        pthread_t threads[N_THREADS];
        struct user users[N_THREADS];
        for (unsigned i = 0; i < N_THREADS; i++) {
            users[i] = (struct user){f.model, expected, i, 0};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, use_model, &users[i]), 0);
        }
        for (unsigned i = 0; i < N_THREADS; i++) {
            pthread_join(threads[i], NULL);
            ck_assert_uint_eq(users[i].n_wrong, 0);
        }
        close_fixture(&f);
    }
}
END_TEST

void add_limit_tests(Suite *suite)
{
    add_test(suite, "memory", every_allocation_may_fail);
    add_test(suite, "threads", threads_share_a_model);
}
