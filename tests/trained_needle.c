/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped model that finds what it has read, with caches that keep less.
 *
 * Texts are made here, of the same kind as those of recipes/needle/haystack.py: idle sentences, a
 * name with its number somewhere among them, a few others, and at the end the name again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "tests/trained_suite.h"

enum { N_NUMBERS = 4, N_DEPTHS = 5, SENTENCE_TOKENS = 9, SENTENCES_AN_ENTRY = 24 };

/* A cache that keeps a thirtieth of 4,096 tokens. */
enum { SINKS = 64, WINDOW = 64, BUDGET = 128 };

/* Entry i is "Name: aa bb cc dd ."; the first is asked for. */
static const char *const names[] = {"Anna:", "Bruno:", "Clara:", "Emil:",   "Hugo:",  "Irene:",
                                    "Karl:", "Laura:", "Oscar:", "Philip:", "Julia:", "Martin:"};

struct haystack {
    char *text;
    size_t size;
    int numbers[N_NUMBERS]; /* of what is asked for */
};

static void append(struct haystack *h, const char *word)
{
    size_t n = strlen(word);
    memcpy(h->text + h->size, word, n);
    h->size += n;
    h->text[h->size++] = ' ';
}

static void append_sentence(struct haystack *h, uint64_t *state)
{
    static const char *const words[][6] = {
        {"a", "the", "a", "the", "a", "the"},
        {"old", "quiet", "green", "steep", "warm", "narrow"},
        {"river", "mill", "castle", "road", "ship", "garden"},
        {"stands", "waits", "falls", "gleams", "turns", "rests"},
        {"near", "behind", "above", "past", "under", "along"},
        {"a", "the", "a", "the", "a", "the"},
        {"loud", "small", "dry", "broad", "late", "plain"},
        {"tower", "field", "lamp", "shore", "wall", "tree"},
        {".", ".", ".", ".", ".", "."},
    };
    for (size_t i = 0; i < SENTENCE_TOKENS; i++)
        append(h, words[i][random_below(state, 6)]);
}

static void append_entry(struct haystack *h, size_t name, uint64_t *state)
{
    char word[4];
    append(h, names[name]);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        int number = (int)random_below(state, 100);
        if (!name)
            h->numbers[i] = number;
        snprintf(word, sizeof word, "%02d", number);
        append(h, word);
    }
    append(h, ".");
}

/* About so many tokens, what is asked for behind `depth` of N_DEPTHS - 1 parts of them. */
static struct haystack make_haystack(size_t n_tokens, size_t depth, uint64_t *state)
{
    size_t n = n_tokens / SENTENCE_TOKENS, others = 1;
    size_t needle = n * depth / (N_DEPTHS - 1);
    struct haystack h = {.text = malloc(8 * n_tokens + 1024)};
    ck_assert_ptr_nonnull(h.text);
    for (size_t i = 0; i <= n; i++) {
        if (i == needle)
            append_entry(&h, 0, state);
        if (i % SENTENCES_AN_ENTRY == SENTENCES_AN_ENTRY / 2 &&
            others < sizeof names / sizeof names[0])
            append_entry(&h, others++, state);
        if (i < n)
            append_sentence(&h, state);
    }
    append(&h, names[0]);
    char answer[4 * N_NUMBERS + 1];
    snprintf(answer, sizeof answer, "%02d %02d %02d %02d", h.numbers[0], h.numbers[1], h.numbers[2],
             h.numbers[3]);
    append(&h, answer);
    return h;
}

/* How many of a number's tokens the model writes by itself, each behind the right ones. */
static size_t n_found(struct lac_session *session, const struct lac_tokenizer *tokenizer,
                      const struct haystack *h, double *cache_bytes)
{
    struct lac_encoding e = {0};
    struct lac_generation_counts counts;
    double scores[N_NUMBERS];
    int32_t best[N_NUMBERS];
    size_t n = 0;
    ck_assert_int_eq(
        lac_tokenizer_encode(tokenizer, h->text, h->size, NULL, 0, 0, LAC_TRUNCATE_ERROR, &e),
        LAC_OK);
    size_t n_prompt = e.n - N_NUMBERS;
    enum lac_status status =
        lac_session_score(session, e.ids, e.n, n_prompt, LAC_PACE_STEPS, scores, best);
    ck_assert_msg(status == LAC_OK, "%s", lac_session_message(session));
    ck_assert_int_eq(lac_session_counts(session, &counts), LAC_OK);
    *cache_bytes += (double)counts.score_cache_bytes;
    for (size_t i = 0; i < N_NUMBERS; i++)
        n += best[i] == e.ids[n_prompt + i];
    lac_encoding_clear(&e);
    return n;
}

static struct lac_session *open_session(struct lac_model *model, const struct lac_kv_policy *policy)
{
    struct lac_session_options *options;
    struct lac_session *session;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, LAC_TASK_GENERATE);
    ck_assert_int_eq(lac_session_options_set_kv_policy(options, policy), LAC_OK);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    return session;
}

static struct lac_model *open_model(struct lac_engine *engine, enum lac_dtype dtype)
{
    struct lac_model_options *options;
    struct lac_model *model;
    char message[512];
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, dtype);
    enum lac_status status = lac_model_open(engine, source_path("models/needle"), options, &model);
    ck_assert_msg(status == LAC_OK, "%s", lac_engine_message(engine, message, sizeof message));
    lac_model_options_free(options);
    return model;
}

/* What each policy finds of a text at each depth, and the bytes it keeps. */
START_TEST(numbers_are_found)
{
    static const struct lac_kv_head retrieving[] = {{1, 0}};
    static const struct {
        const char *name;
        struct lac_kv_policy policy;
        double most_bytes;           /* of the full cache */
        unsigned found_at[N_DEPTHS]; /* 1: all, 0: not all */
    } policies[] = {
        {"full", {.kind = LAC_KV_FULL}, 1, {1, 1, 1, 1, 1}},
        {"streaming",
         {.kind = LAC_KV_STREAM, .n_sinks = SINKS, .n_window = WINDOW},
         0.1,
         {1, 0, 0, 0, 1}},
        {"one head full",
         {.kind = LAC_KV_STREAM,
          .n_sinks = SINKS,
          .n_window = WINDOW,
          .full_heads = retrieving,
          .n_full_heads = 1},
         0.2,
         {1, 1, 1, 1, 1}},
        {"snapped", {.kind = LAC_KV_SNAP, .n_budget = BUDGET}, 0.05, {1, 1, 1, 1, 1}},
    };
    static const size_t lengths[] = {1024, 4096};
    uint64_t state = test_seed() + (uint64_t)_i;
    struct lac_engine *engine = trained_engine();
    struct lac_model *model = open_model(engine, _i ? LAC_F32 : LAC_S8);
    struct haystack texts[2][N_DEPTHS];
    for (size_t i = 0; i < 2 * N_DEPTHS; i++)
        texts[i / N_DEPTHS][i % N_DEPTHS] =
            make_haystack(lengths[i / N_DEPTHS], i % N_DEPTHS, &state);
    double full_bytes = 0;
    for (size_t p = 0; p < sizeof policies / sizeof policies[0]; p++) {
        struct lac_session *session = open_session(model, &policies[p].policy);
        double bytes = 0, less = 0;
        for (size_t i = 0; i < 2 * N_DEPTHS; i++) {
            size_t depth = i % N_DEPTHS;
            size_t n = n_found(session, lac_model_tokenizer(model), &texts[i / N_DEPTHS][depth],
                               i < N_DEPTHS ? &less : &bytes);
            ck_assert_msg((n == N_NUMBERS) == policies[p].found_at[depth],
                          "%s, %zu tokens, depth %zu: %zu of %d found", policies[p].name,
                          lengths[i / N_DEPTHS], depth, n, N_NUMBERS);
        }
        full_bytes = p ? full_bytes : bytes;
        printf("  needle, %s: %s, %.3f of the cache\n", _i ? "fp32" : "int8", policies[p].name,
               bytes / full_bytes);
        ck_assert_double_le(bytes, policies[p].most_bytes * full_bytes);
        lac_session_free(session);
    }
    for (size_t i = 0; i < 2 * N_DEPTHS; i++)
        free(texts[i / N_DEPTHS][i % N_DEPTHS].text);
    lac_model_free(model);
    lac_engine_free(engine);
}
END_TEST

/* ---- Plans for attention ---- */

/* A plan found on a text of each depth, one after another. */
static struct lac_attention_tuned tune(struct lac_session *session,
                                       const struct lac_tokenizer *tokenizer, double error,
                                       uint64_t *state)
{
    struct lac_encoding e = {0};
    struct lac_attention_tuned tuned;
    const struct lac_attention_tuning tuning = {.error = error, .window = 4096};
    char *text = NULL;
    size_t size = 0;
    for (size_t depth = 0; depth < N_DEPTHS; depth++) {
        struct haystack h = make_haystack(4000, depth, state);
        text = realloc(text, size + h.size);
        ck_assert_ptr_nonnull(text);
        memcpy(text + size, h.text, h.size);
        size += h.size;
        text[size - 1] = ' ';
        free(h.text);
    }
    ck_assert_int_eq(
        lac_tokenizer_encode(tokenizer, text, size, NULL, 0, 0, LAC_TRUNCATE_ERROR, &e), LAC_OK);
    ck_assert_msg(!lac_session_tune_attention(session, e.ids, e.n, &tuning, &tuned), "%s",
                  lac_session_message(session));
    lac_encoding_clear(&e);
    free(text);
    return tuned;
}

/* Numbers found of texts of 4,096 tokens. */
static size_t n_found_by(struct lac_model *model, const char *plan, size_t size, uint64_t *state)
{
    struct lac_session_options *options;
    struct lac_session *session;
    double bytes = 0;
    size_t n = 0;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_session_options_set_attention(options, plan, size), LAC_OK);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    for (size_t depth = 0; depth < N_DEPTHS; depth++) {
        struct haystack h = make_haystack(4096, depth, state);
        n += n_found(session, lac_model_tokenizer(model), &h, &bytes) == N_NUMBERS;
        free(h.text);
    }
    lac_session_free(session);
    return n;
}

/* Most of the heads need not look far, and the trial says which: its plan finds what is to be
 * found, as the one that is shipped does.  With any error all heads look near, and do not. */
START_TEST(plans_are_found)
{
    uint64_t state = test_seed() + 17;
    struct lac_engine *engine = trained_engine();
    struct lac_model *model = open_model(engine, LAC_S8);
    struct lac_session *session = open_session(model, &(struct lac_kv_policy){0});
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(model);
    struct lac_attention_tuned tuned = tune(session, tokenizer, 0.1, &state);
    printf("  needle, tuned: %.1f %% of the key blocks, error %.3f\n", 100 * tuned.density,
           tuned.error);
    ck_assert(tuned.density < 0.4 && tuned.error < 0.1);
    ck_assert_uint_eq(n_found_by(model, tuned.plan, tuned.size, &state), N_DEPTHS);
    tuned = tune(session, tokenizer, 1e6, &state);
    ck_assert(tuned.density < 0.1);
    ck_assert_uint_lt(n_found_by(model, tuned.plan, tuned.size, &state), N_DEPTHS);
    size_t size;
    char *plan = trained_file("models/needle/attention.json", &size);
    ck_assert_uint_eq(n_found_by(model, plan, size, &state), N_DEPTHS);
    free(plan);
    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
}
END_TEST

void add_needle_tests(Suite *suite)
{
    TCase *tcase = tcase_create("needle");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, numbers_are_found, 0, 2);
    tcase_add_test(tcase, plans_are_found);
    suite_add_tcase(suite, tcase);
}
