/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: results, their states and what they mean. */
#include <math.h>
#include <string.h>

#include "tests/api_suite.h"

START_TEST(results_know_their_state)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY}, 1);
    struct lac_session *s = api_session(f.model);
    const float *logits, *again, *probabilities;
    const struct lac_encoding *encoding;
    struct lac_candidate best[9];
    struct lac_answer answers[1];
    size_t n, m;
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_encoding(s, 0, &encoding), LAC_OK);
    ck_assert_uint_eq(encoding->n, 4);
    ck_assert_int_eq(encoding->ids[1], 7);
    ck_assert_int_eq(lac_session_encoding(s, 1, &encoding), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, &probabilities, &n), LAC_OK);
    ck_assert_uint_eq(n, 5);
    float kept[5], sum = 0;
    memcpy(kept, logits, sizeof kept);
    for (size_t i = 0; i < 5; i++)
        sum += probabilities[i];
    ck_assert_float_eq_tol(sum, 1, 1e-6f);
    ck_assert_int_eq(lac_session_tags(s, 0, &logits, NULL, &n, &m), LAC_E_STATE);
    ck_assert_int_eq(lac_session_embedding(s, 0, &logits, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_answers(s, 0, 5, answers, 1, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_masks(s, 0, &n), LAC_E_STATE);

    /* More sequences run later; earlier results stay. */
    ck_assert_int_eq(api_add_text(s, "w9", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 1, &logits, NULL, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, &n), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, NULL), LAC_OK);
    ck_assert_mem_eq(again, kept, sizeof kept);
    ck_assert_int_eq(lac_session_classes(s, 1, &logits, NULL, &n), LAC_OK);
    ck_assert_mem_ne(logits, kept, sizeof kept);

    ck_assert_int_eq(lac_session_top_classes(s, 0, best, 9, &n), LAC_OK);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 1; i < n; i++)
        ck_assert(best[i - 1].probability >= best[i].probability);
    ck_assert_int_eq(lac_session_top_classes(s, 0, best, 2, &n), LAC_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(lac_session_top_classes(s, 0, NULL, 0, &n), LAC_OK);
    ck_assert_uint_eq(n, 0);
    lac_session_clear(s);
    ck_assert_uint_eq(lac_session_sequences(s), 0);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, NULL), LAC_OK);
    ck_assert_mem_eq(again, kept, sizeof kept);
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(problems_have_their_probabilities)
{
    static const char *const problems[] = {"single_label_classification",
                                           "multi_label_classification", "regression"};
    for (size_t p = 0; p < 3; p++) {
        struct fixture f = open_fixture(
            (struct tiny){.head = TINY_CLASSIFY, .problem = problems[p], .labels = 9}, 1);
        struct lac_session *s = api_session(f.model);
        const float *logits, *probabilities;
        struct lac_candidate best[9];
        size_t n, n_likely = 0;
        ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        ck_assert_int_eq(lac_session_classes(s, 0, &logits, &probabilities, &n), LAC_OK);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)logits[i]);
        for (size_t i = 0; i < n; i++) {
            double x = (double)logits[i];
            double expected = p == 0 ? exp(x) / sum : p == 1 ? 1 / (1 + exp(-x)) : x;
            ck_assert_double_eq_tol((double)probabilities[i], expected, 1e-6);
            n_likely += probabilities[i] > 0.5f;
        }
        ck_assert_int_eq(lac_session_top_classes(s, 0, best, 9, &n), LAC_OK);
        ck_assert_uint_eq(n, p != 1 ? 9 : n_likely ? n_likely : 1);
        lac_session_free(s);
        close_fixture(&f);
    }
}
END_TEST

START_TEST(embeddings_have_length_one_when_asked)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_BARE}, 1);
    for (int pooling = LAC_POOL_DEFAULT; pooling <= LAC_POOL_POOLER; pooling++) {
        struct lac_session_options *options;
        struct lac_session *s;
        ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
        lac_session_options_set_pooling(options, (enum lac_pooling)pooling, LAC_NORMALIZE_L2);
        ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
        lac_session_options_free(options);
        ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        const float *vector;
        size_t n;
        double sum = 0;
        ck_assert_int_eq(lac_session_embedding(s, 0, &vector, &n), LAC_OK);
        ck_assert_uint_eq(n, 24);
        for (size_t i = 0; i < n; i++)
            sum += (double)vector[i] * (double)vector[i];
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        lac_session_free(s);
    }
    close_fixture(&f);
}
END_TEST

START_TEST(answers_lie_in_the_second_text)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_ANSWER}, 1);
    struct lac_session *s = api_session(f.model);
    static const char context[] = "w9 w10  w11 w12 w13";
    static const int32_t ids[] = {2, 7, 3};
    ck_assert_int_eq(api_add_text(s, "w7 w8", context), LAC_OK);
    ck_assert_int_eq(lac_session_add_ids(s, ids, NULL, 3, NULL), LAC_OK);
    ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    const float *start, *end;
    size_t n, n_tokens;
    ck_assert_int_eq(lac_session_answer_logits(s, 0, &start, &end, &n_tokens), LAC_OK);
    ck_assert_uint_eq(n_tokens, 10); /* CLS w7 w8 SEP w9 w10 w11 w12 w13 SEP */
    static const size_t begins[] = {0, 3, 8, 12, 16}, ends[] = {2, 6, 11, 15, 19};
    for (size_t longest = 1; longest <= 6; longest++) {
        struct lac_answer answers[20];
        double total = 0, best = 0, sum = 0;
        size_t from = 0, to = 0, n_spans = 0;
        for (size_t i = 0; i < 5; i++)
            for (size_t k = i; k < 5 && k < i + longest; k++) {
                double weight = exp((double)start[4 + i] + (double)end[4 + k]);
                total += weight;
                n_spans++;
                if (weight > best) {
                    best = weight;
                    from = i;
                    to = k;
                }
            }
        ck_assert_int_eq(lac_session_answers(s, 0, longest, answers, 20, &n), LAC_OK);
        ck_assert_uint_eq(n, n_spans);
        ck_assert_uint_eq(answers[0].begin, begins[from]);
        ck_assert_uint_eq(answers[0].end, ends[to]);
        ck_assert_double_eq_tol((double)answers[0].probability, best / total, 1e-6);
        for (size_t i = 0; i < n; i++) {
            sum += (double)answers[i].probability;
            ck_assert(!i || answers[i - 1].probability >= answers[i].probability);
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        struct lac_answer two[2];
        ck_assert_int_eq(lac_session_answers(s, 0, longest, two, 2, &n), LAC_OK);
        ck_assert_uint_eq(n, 2);
        for (size_t i = 0; i < 2; i++)
            ck_assert(two[i].begin == answers[i].begin && two[i].end == answers[i].end &&
                      two[i].probability == answers[i].probability);
    }
    struct lac_answer none[1];
    ck_assert_int_eq(lac_session_answers(s, 0, 0, none, 1, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_answers(s, 1, 5, none, 1, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_answers(s, 2, 5, none, 1, &n), LAC_OK);
    ck_assert_uint_eq(n, 0); /* there is no second text */
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(masks_are_filled)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_FILL}, 2);
    struct lac_session *s = api_session(f.model);
    struct lac_candidate best[60];
    size_t n;
    ck_assert_int_eq(api_add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(api_add_text(s, "w7 [MASK] w9 [MASK]", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_masks(s, 0, &n), LAC_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(lac_session_fill(s, 0, 0, best, 3, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_masks(s, 1, &n), LAC_OK);
    ck_assert_uint_eq(n, 2);
    for (size_t mask = 0; mask < 2; mask++) {
        double sum = 0;
        ck_assert_int_eq(lac_session_fill(s, 1, mask, best, 60, &n), LAC_OK);
        ck_assert_uint_eq(n, 50);
        for (size_t i = 0; i < n; i++) {
            sum += (double)best[i].probability;
            ck_assert(!i || best[i - 1].probability >= best[i].probability);
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        int32_t first = best[0].id;
        ck_assert_int_eq(lac_session_fill(s, 1, mask, best, 1, &n), LAC_OK);
        ck_assert_int_eq(best[0].id, first);
    }
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(long_texts_are_cut_or_refused)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY, .max_tokens = 20}, 1);
    char text[600] = "";
    for (int i = 0; i < 100; i++)
        strcat(text, "w7 ");
    struct lac_session_options *options;
    struct lac_session *s;
    const struct lac_encoding *encoding;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
    ck_assert_int_eq(api_add_text(s, text, "w8"), LAC_OK);
    ck_assert_int_eq(lac_session_encoding(s, 0, &encoding), LAC_OK);
    ck_assert_uint_eq(encoding->n, 20);
    ck_assert_uint_eq(encoding->n_dropped, 100 + 1 + 3 - 20);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    lac_session_free(s);
    lac_session_options_set_truncate(options, LAC_TRUNCATE_ERROR);
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
    ck_assert_int_eq(api_add_text(s, text, NULL), LAC_E_LIMIT);
    ck_assert_uint_eq(lac_session_sequences(s), 0);
    lac_session_free(s);
    lac_session_options_set_truncate(options, (enum lac_truncate)9);
    s = NULL;
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_E_ARGUMENT);
    lac_session_options_free(options);
    close_fixture(&f);
}
END_TEST

void add_result_tests(Suite *suite)
{
    add_test(suite, "states", results_know_their_state);
    add_test(suite, "problems", problems_have_their_probabilities);
    add_test(suite, "embeddings", embeddings_have_length_one_when_asked);
    add_test(suite, "answers", answers_lie_in_the_second_text);
    add_test(suite, "masks", masks_are_filled);
    add_test(suite, "long texts", long_texts_are_cut_or_refused);
}
