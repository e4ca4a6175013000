/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped decoders on words held out of their training.
 *
 * tests/data/decoder/wordnet_greedy.py wrote in double precision how the same files go on greedily
 * after a prompt, and how likely the words' own definitions are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/trained_suite.h"

enum { MOST_IDS = 256, MOST_NEW = 48 };

/* Of the sum of logarithms, for each token. */
static const double fp32_tolerance = 1e-4;
static const double int8_perplexity_tolerance = 0.01;

static size_t read_ids(const json_t *json, int32_t *ids, size_t n)
{
    for (size_t i = 0; i < json_array_size(json); i++) {
        ck_assert_uint_lt(n, MOST_IDS);
        ids[n++] = (int32_t)json_integer_value(json_array_get(json, i));
    }
    return n;
}

static struct lac_session *open_session(struct lac_model *model)
{
    struct lac_session_options *options;
    struct lac_session *session;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, LAC_TASK_GENERATE);
    lac_session_options_set_max_new_tokens(options, MOST_NEW);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    return session;
}

/* What was written ends early where the two best words are too close to be sure of. */
static void assert_goes_on(struct lac_session *session, const json_t *prompts, const json_t *made)
{
    int32_t prompt[MOST_IDS];
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        size_t n = read_ids(json_array_get(prompts, i), prompt, 0);
        ck_assert_int_eq(lac_session_add_ids(session, prompt, NULL, n, NULL), LAC_OK);
    }
    enum lac_status status = lac_session_generate(session, NULL, NULL);
    ck_assert_msg(status == LAC_OK, "%s", lac_session_message(session));
    size_t n_sure = 0;
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        const json_t *expected = json_array_get(made, i);
        const int32_t *ids;
        size_t n, n_fed;
        ck_assert_int_eq(lac_session_ids(session, i, &ids, &n, &n_fed), LAC_OK);
        ck_assert_uint_le(n_fed + json_array_size(expected), n);
        for (size_t k = 0; k < json_array_size(expected); k++, n_sure++) {
            long long id = json_integer_value(json_array_get(expected, k));
            ck_assert_msg(ids[n_fed + k] == id, "text %zu, token %zu: %d, not %lld", i, k,
                          ids[n_fed + k], id);
        }
    }
    printf("  %zu tokens of %zu texts are the same\n", n_sure, json_array_size(prompts));
    ck_assert_uint_ge(n_sure, 4 * json_array_size(prompts));
}

struct sums {
    double log_likelihood;
    size_t n_tokens;
};

/* Of the definitions; expected: of each, or NULL. */
static struct sums score_all(struct lac_session *session, const json_t *json,
                             const json_t *expected)
{
    const json_t *prompts = json_object_get(json, "prompt_ids");
    const json_t *definitions = json_object_get(json, "definition_ids");
    struct sums sums = {0};
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        int32_t ids[MOST_IDS];
        double logs[MOST_IDS], sum = 0;
        size_t n_context = read_ids(json_array_get(prompts, i), ids, 0);
        size_t n = read_ids(json_array_get(definitions, i), ids, n_context);
        ck_assert_int_eq(lac_session_score(session, ids, n, n_context, LAC_PACE_PASSES, logs, NULL),
                         LAC_OK);
        for (size_t k = 0; k < n - n_context; k++)
            sum += logs[k];
        if (expected) {
            double exact = json_number_value(json_array_get(expected, i));
            ck_assert_msg(fabs(sum - exact) <= fp32_tolerance * (double)(n - n_context),
                          "definition %zu: log-likelihood %g, not %g", i, sum, exact);
        }
        sums.log_likelihood += sum;
        sums.n_tokens += n - n_context;
    }
    return sums;
}

static double perplexity(struct sums sums)
{
    return exp(-sums.log_likelihood / (double)sums.n_tokens);
}

START_TEST(decoders_say_what_the_reference_says)
{
    printf("decoder, %s\n", trained_models[_i]);
    json_t *json = trained_expected("tests/data/decoder/wordnet_greedy.json");
    const json_t *expected = json_object_get(json_object_get(json, "models"), trained_models[_i]);
    trained_assert_weights("decoder", trained_models[_i], expected);
    struct lac_engine *engine = trained_engine();
    double found[2];
    for (size_t is_rough = 0; is_rough < 2; is_rough++) {
        struct lac_model *model =
            trained_model(engine, "decoder", trained_models[_i], is_rough ? LAC_S8 : LAC_F32);
        struct lac_session *session = open_session(model);
        if (!is_rough)
            assert_goes_on(session, json_object_get(json, "prompt_ids"),
                           json_object_get(expected, "made_ids"));
        found[is_rough] = perplexity(score_all(
            session, json, is_rough ? NULL : json_object_get(expected, "log_likelihoods")));
        lac_session_free(session);
        lac_model_free(model);
    }
    printf("  perplexity: fp32 %.3f, int8 %.3f\n", found[0], found[1]);
    ck_assert_double_le(fabs(found[1] / found[0] - 1), int8_perplexity_tolerance);
    lac_engine_free(engine);
    json_decref(json);
}
END_TEST

void add_decoder_tests(Suite *suite)
{
    add_loop_test(suite, "decoders", decoders_say_what_the_reference_says, 2);
}
