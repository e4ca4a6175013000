/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling against its definition, word by word in double precision. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/host.h"
#include "src/run/random.h"
#include "src/run/sample.h"
#include "src/run/speculate.h"
#include "tests/generate_suite.h"

/* Known answers of the authors' own library (Random123, kat_vectors). */
START_TEST(philox_is_philox)
{
    static const struct {
        struct lac_philox counter;
        uint32_t key[2];
        struct lac_philox expected;
    } known[] = {
        {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{~0u, ~0u, ~0u, ~0u}}, {~0u, ~0u}, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {0xa4093822, 0x299f31d0},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct lac_philox r = lac_philox(known[i].counter, known[i].key[0], known[i].key[1]);
        ck_assert_int_eq(memcmp(&r, &known[i].expected, sizeof r), 0);
    }
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double x = lac_random_at(9, i);
        ck_assert(x >= 0 && x < 1);
        sum += x;
    }
    ck_assert_double_lt(fabs(sum / 100000 - 0.5), 0.005);
}
END_TEST

/* ---- The definition ---- */

struct word {
    int32_t id;
    double logit, weight;
};

static int compare(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    if (x->logit > y->logit || x->logit < y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_ids(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* The words that are left with their weights, best first. */
static size_t define(const struct lac_sampling *s, const float *logits, size_t n,
                     const int32_t *ids, size_t n_ids, struct word *words)
{
    for (size_t i = 0; i < n; i++)
        words[i] = (struct word){.id = (int32_t)i, .logit = (double)logits[i]};
    for (size_t i = 0; i < n && s->repetition_penalty > 0; i++) {
        bool is_there = false;
        for (size_t k = 0; k < n_ids; k++)
            is_there |= ids[k] == (int32_t)i;
        double *logit = &words[i].logit;
        if (is_there)
            *logit = (double)(float)(*logit > 0 ? *logit / s->repetition_penalty
                                                : *logit * s->repetition_penalty);
    }
    qsort(words, n, sizeof *words, compare);
    if (!(s->temperature > 0)) {
        words[0].weight = 1;
        return 1;
    }
    if (s->top_k && s->top_k < n)
        n = s->top_k;
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) { /* in fp32, so that bounds are met by the same words */
        float x = (float)((words[i].logit - words[0].logit) / s->temperature);
        words[i].weight = (double)expf(x);
        total += words[i].weight;
    }
    size_t n_kept = 0;
    while (n_kept < n && (!(s->top_p > 0) || s->top_p >= 1 || sum < s->top_p * total))
        sum += words[n_kept++].weight;
    while (n_kept > 1 && words[n_kept - 1].weight < s->min_p)
        n_kept--;
    return n_kept;
}

/* Words that the draw may give: rounding decides between two at the border of their shares. */
static void assert_drawn(const struct word *words, size_t n, double random, int32_t id)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        total += words[i].weight;
    for (size_t i = 0; i < n; i++) {
        double before = sum / total;
        sum += words[i].weight;
        if (words[i].id != id)
            continue;
        ck_assert_msg(random > before - 1e-9 && random < sum / total + 1e-9,
                      "drew %g; the share of word %d is %g to %g", random, (int)id, before,
                      sum / total);
        return;
    }
    ck_abort_msg("word %d is not among the %zu left", (int)id, n);
}

static struct lac_sampling random_sampling(uint64_t *state, size_t vocab_size)
{
    struct lac_sampling s = {.seed = random_u64(state)};
    if (random_below(state, 8))
        s.temperature = 0.1 + (double)random_below(state, 30) / 10;
    if (random_below(state, 2))
        s.top_k = 1 + random_below(state, random_below(state, 2) ? 70 : vocab_size + 20);
    if (random_below(state, 2))
        s.top_p = (double)random_below(state, 101) / 100;
    if (random_below(state, 3) == 0)
        s.min_p = (double)random_below(state, 101) / 100;
    if (random_below(state, 3) == 0)
        s.repetition_penalty = 0.5 + (double)random_below(state, 15) / 10;
    return s;
}

/* What a decoder says, of these logits. */
static struct lac_next next_of(const struct lac_sampling *s, float *logits, size_t n)
{
    struct lac_next next = {.n_top = lac_sampling_top(s, n), .target = -1};
    struct word *words = calloc(n, sizeof *words);
    const struct lac_sampling all = {.temperature = 1};
    if (lac_sampling_needs_logits(s))
        next.logits = logits;
    define(&all, logits, n, NULL, 0, words);
    for (size_t i = 0; i < next.n_top; i++)
        next.top[i] = (struct lac_logit){words[i].id, (float)words[i].logit};
    free(words);
    return next;
}

START_TEST(sampling_is_what_it_is_defined_to_be)
{
    enum { MOST = 300, MOST_IDS = 30 };
    uint64_t state = test_seed();
    float logits[MOST];
    struct word words[MOST];
    int32_t ids[MOST_IDS];
    for (size_t round = 0; round < 4000; round++) {
        size_t n = 1 + random_below(&state, MOST), n_ids = random_below(&state, MOST_IDS);
        struct lac_sampler sampler;
        struct lac_error error;
        /* Often equal logits, sometimes minus infinity. */
        for (size_t i = 0; i < n; i++)
            logits[i] =
                random_below(&state, 3) ? 6 * random_float(&state) : (float)random_below(&state, 4);
        if (n > 3 && !random_below(&state, 5))
            logits[1 + random_below(&state, n - 1)] = -INFINITY;
        for (size_t i = 0; i < n_ids; i++)
            ids[i] = (int32_t)random_below(&state, n);
        struct lac_sampling s = random_sampling(&state, n);
        ck_assert_int_eq(lac_sampling_check(&s, &error), LAC_OK);
        struct lac_next next = next_of(&s, logits, n);
        ck_assert_int_eq(lac_sampler_open(&sampler, &lac_default_host, n, &error), LAC_OK);
        struct lac_logit drawn = lac_sample(&sampler, &s, &next, ids, n_ids);
        lac_sampler_close(&sampler);
        ck_assert_int_ge(drawn.id, 0);
        ck_assert_uint_lt((size_t)drawn.id, n);
        ck_assert(drawn.logit == logits[drawn.id]);
        size_t n_left = define(&s, logits, n, ids, n_ids, words);
        if (!s.top_k && !(s.top_p > 0 && s.top_p < 1) && !(s.min_p > 0))
            qsort(words, n_left, sizeof *words, compare_ids); /* all words: in their own order */
        if (s.temperature > 0)
            assert_drawn(words, n_left, lac_random_at(s.seed, n_ids), drawn.id);
        else
            ck_assert_int_eq(drawn.id, words[0].id);
    }
}
END_TEST

START_TEST(suffixes_are_found)
{
    static const int32_t text[] = {5, 1, 2, 3, 9, 8, 7, 1, 2, 3, 4, 6, 2, 3};
    int32_t guess[8];
    /* "2 3" is there twice before; the later one goes on with 4. */
    ck_assert_uint_eq(lac_guess_by_suffix(text, 14, guess, 3), 3);
    ck_assert_int_eq(memcmp(guess, ((int32_t[]){4, 6, 2}), sizeof(int32_t[3])), 0);
    /* "1 2 3" is longer than "2 3". */
    ck_assert_uint_eq(lac_guess_by_suffix(text, 10, guess, 2), 2);
    ck_assert_int_eq(memcmp(guess, ((int32_t[]){9, 8}), sizeof(int32_t[2])), 0);
    ck_assert_uint_eq(lac_guess_by_suffix(text, 7, guess, 4), 0);
    ck_assert_uint_eq(lac_guess_by_suffix(text, 1, guess, 4), 0);
    ck_assert_uint_eq(lac_guess_by_suffix(text, 0, guess, 4), 0);
    ck_assert_uint_eq(lac_guess_by_suffix(text, 14, guess, 0), 0);
    /* A period goes on. */
    static const int32_t again[] = {1, 2, 1, 2, 1};
    ck_assert_uint_eq(lac_guess_by_suffix(again, 5, guess, 5), 5);
    ck_assert_int_eq(memcmp(guess, ((int32_t[]){2, 1, 2, 1, 2}), sizeof(int32_t[5])), 0);
}
END_TEST

void add_sample_tests(Suite *suite)
{
    add_test(suite, "Philox", philox_is_philox);
    add_test(suite, "sampling", sampling_is_what_it_is_defined_to_be);
    add_test(suite, "suffixes", suffixes_are_found);
}
