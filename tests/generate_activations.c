/* SPDX-License-Identifier: Apache-2.0 */
/* Neurons left out: what texts depend on, what is counted, what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

enum { N_LAYERS = 2, N_TEXTS = 5 };

static const enum lac_activations_rule rules[] = {LAC_ACTIVATIONS_CATS, LAC_ACTIVATIONS_CORE};
enum { N_RULES = sizeof rules / sizeof rules[0] };

/* Thresholds of a text of random words. */
static void calibrate(struct lac_model *model, double share, float *thresholds)
{
    struct lac_session *session = open_session(model, &(struct ask){0});
    int32_t ids[MOST_PROMPT * 8];
    size_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n += make_prompt(100 + i, MOST_PROMPT, ids + n);
    ck_assert_uint_eq(lac_model_layers(model), N_LAYERS);
    ck_assert_ok(session, lac_session_calibrate(session, ids, n, share, thresholds));
    lac_session_free(session);
}

static struct ask asked(enum lac_activations_rule rule, const float *thresholds, double core_share)
{
    return (struct ask){
        .max_new_tokens = 20,
        .sampling = {.temperature = 2, .seed = 3},
        .activations = {.rule = rule,
                        .thresholds = thresholds,
                        .n_thresholds = thresholds ? N_LAYERS : 0,
                        .core_share = core_share},
    };
}

/* All texts at once, or one of them. */
static void make_texts(struct lac_model *model, const struct ask *ask, size_t begin, size_t end,
                       struct outcome *outcomes)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequences[N_TEXTS];
    for (size_t i = begin; i < end; i++)
        sequences[i] = add_prompt(session, i);
    ck_assert_ok(session, lac_session_generate(session, NULL, NULL));
    for (size_t i = begin; i < end; i++)
        outcomes[i] = outcome_of(session, sequences[i]);
    lac_session_free(session);
}

static void compare_texts(struct lac_model *model, const struct ask *ask, size_t begin, size_t end,
                          const struct outcome *expected)
{
    struct outcome found[N_TEXTS];
    make_texts(model, ask, begin, end, found);
    for (size_t i = begin; i < end; i++) {
        assert_same(&expected[i], &found[i]);
        outcome_clear(&found[i]);
    }
}

static void check_company(enum lac_activations_rule rule, enum lac_dtype dtype)
{
    struct house alone = open_house(1, dtype, test_seed()); /* reads everything */
    struct house one = open_house_for(1, dtype, rule), three = open_house_for(3, dtype, rule);
    float thresholds[N_LAYERS];
    struct outcome expected[N_TEXTS], whole[N_TEXTS];
    calibrate(alone.model, 0.4, thresholds);
    struct ask ask = asked(rule, thresholds, 0.4), all = asked(LAC_ACTIVATIONS_ALL, NULL, 0);
    make_texts(alone.model, &ask, 0, N_TEXTS, expected);
    make_texts(alone.model, &all, 0, N_TEXTS, whole);
    size_t n_other = 0;
    for (size_t i = 0; i < N_TEXTS; i++) {
        n_other += expected[i].n != whole[i].n ||
                   memcmp(expected[i].ids, whole[i].ids, whole[i].n * sizeof *whole[i].ids) != 0;
        compare_texts(one.model, &ask, i, i + 1, expected);
    }
    ck_assert_uint_gt(n_other, 0); /* it does something */
    compare_texts(one.model, &ask, 0, N_TEXTS, expected);
    compare_texts(one.model, &ask, 1, 3, expected);
    compare_texts(three.model, &ask, 0, N_TEXTS, expected);
    ask.n_speculated = 4;
    compare_texts(three.model, &ask, 0, N_TEXTS, expected);
    ask.batch_tokens = 3;
    compare_texts(one.model, &ask, 0, N_TEXTS, expected);
    for (size_t i = 0; i < N_TEXTS; i++) {
        outcome_clear(&expected[i]);
        outcome_clear(&whole[i]);
    }
    close_house(&alone);
    close_house(&one);
    close_house(&three);
}

START_TEST(texts_do_not_depend_on_company)
{
    check_company(rules[_i / 2], _i % 2 ? LAC_F32 : LAC_S8);
}
END_TEST

/* Nothing is left out where all neurons stay. */
START_TEST(all_neurons_are_all)
{
    struct house house = open_house_for(1, 0, rules[_i]);
    float thresholds[N_LAYERS] = {0};
    struct outcome expected[N_TEXTS];
    struct ask ask = asked(rules[_i], thresholds, 1), all = asked(LAC_ACTIVATIONS_ALL, NULL, 0);
    make_texts(house.model, &all, 0, N_TEXTS, expected);
    compare_texts(house.model, &ask, 0, N_TEXTS, expected);
    for (size_t i = 0; i < N_TEXTS; i++)
        outcome_clear(&expected[i]);
    close_house(&house);
}
END_TEST

/* Tokens one by one read little; all in one pass is the same. */
START_TEST(scores_do_not_depend_on_passes)
{
    struct house house = open_house_for(1, _i % 2 ? LAC_F32 : 0, rules[_i / 2]);
    float thresholds[N_LAYERS];
    double together[MOST_PROMPT], apart[MOST_PROMPT];
    int32_t ids[MOST_PROMPT];
    enum { N_CONTEXT = 9 };
    size_t n = 0;
    for (size_t number = 0; n < 30; number++)
        n = make_prompt(number, MOST_PROMPT, ids);
    calibrate(house.model, 0.3, thresholds);
    struct ask ask = asked(rules[_i / 2], thresholds, 0.3);
    struct lac_generation_counts counts;
    struct lac_session *session = open_session(house.model, &ask);
    ck_assert_ok(session,
                 lac_session_score(session, ids, n, N_CONTEXT, LAC_PACE_PASSES, together, NULL));
    lac_session_free(session);
    session = open_session(house.model, &ask);
    ck_assert_ok(session,
                 lac_session_score(session, ids, n, N_CONTEXT, LAC_PACE_STEPS, apart, NULL));
    ck_assert_ok(session, lac_session_counts(session, &counts));
    for (size_t i = 0; i < n - N_CONTEXT; i++)
        ck_assert(together[i] == apart[i]);
    /* The last token is not asked what follows. */
    ck_assert_uint_eq(counts.n_neurons, (n - N_CONTEXT - 1) * 72 * N_LAYERS);
    double active = (double)counts.n_active / (double)counts.n_neurons;
    ck_assert_msg(active > 0.15 && active < 0.45, "%g of the neurons", active);
    ck_assert_uint_eq(counts.n_stored, counts.n_neurons);
    ck_assert_uint_ge(counts.n_read, counts.n_active);
    if (!(_i % 2)) /* fp32 blocks of few rows have an order of sums that bundles do not keep */
        ck_assert_uint_lt(counts.n_read, counts.n_stored);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(copies_go_on_alike)
{
    struct house house = open_house_for(1, 0, rules[_i]);
    float thresholds[N_LAYERS];
    calibrate(house.model, 0.4, thresholds);
    struct ask ask = asked(rules[_i], thresholds, 0.4);
    struct lac_session *session = open_session(house.model, &ask), *clone;
    size_t sequence = add_prompt(session, 3), fork;
    for (size_t i = 0; i < 5; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_fork(session, sequence, 3, &fork));
    ck_assert_ok(session, lac_session_clone(session, &clone));
    ck_assert_ok(session, lac_session_generate(session, NULL, NULL));
    ck_assert_ok(clone, lac_session_generate(clone, NULL, NULL));
    struct outcome outcomes[] = {outcome_of(session, sequence), outcome_of(session, fork),
                                 outcome_of(clone, sequence)};
    assert_same(&outcomes[0], &outcomes[1]);
    assert_same(&outcomes[0], &outcomes[2]);
    for (size_t i = 0; i < 3; i++)
        outcome_clear(&outcomes[i]);
    lac_session_free(clone);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* Saved while they are made; fed again, when a core is chosen anew. */
START_TEST(restored_texts_go_on_alike)
{
    struct house house = open_house_for(1, 0, rules[_i]);
    float thresholds[N_LAYERS];
    char path[256];
    int32_t more[MOST_PROMPT];
    save_path(path, sizeof path, "left-out");
    calibrate(house.model, 0.4, thresholds);
    struct ask ask = asked(rules[_i], thresholds, 0.4);
    struct lac_session *session = open_session(house.model, &ask), *other;
    size_t sequence = add_prompt(session, 3), restored, n_more = make_prompt(4, MOST_PROMPT, more);
    for (size_t i = 0; i < 5; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    other = open_session(house.model, &ask);
    ck_assert_ok(other, lac_session_restore(other, path, &restored));
    ck_assert_ok(session, lac_session_generate(session, NULL, NULL));
    ck_assert_ok(other, lac_session_generate(other, NULL, NULL));
    struct outcome first = outcome_of(session, sequence), second = outcome_of(other, restored);
    assert_same(&first, &second);
    size_t n_before = first.n;
    outcome_clear(&first);
    outcome_clear(&second);
    ck_assert_ok(session, lac_session_feed_ids(session, sequence, more, n_more));
    ck_assert_ok(other, lac_session_feed_ids(other, restored, more, n_more));
    ck_assert_ok(session, lac_session_generate(session, NULL, NULL));
    ck_assert_ok(other, lac_session_generate(other, NULL, NULL));
    first = outcome_of(session, sequence);
    second = outcome_of(other, restored);
    ck_assert_uint_gt(first.n, n_before + n_more);
    assert_same(&first, &second);
    outcome_clear(&first);
    outcome_clear(&second);
    lac_session_free(session);
    lac_session_free(other);
    close_house(&house);
}
END_TEST

START_TEST(calibration_finds_shares)
{
    struct house house = open_house(3, 0, test_seed());
    float low[N_LAYERS], high[N_LAYERS], all[N_LAYERS], none[N_LAYERS];
    calibrate(house.model, 0.7, low);
    calibrate(house.model, 0.2, high);
    calibrate(house.model, 1, all);
    calibrate(house.model, 0, none);
    for (size_t i = 0; i < N_LAYERS; i++) {
        ck_assert(0 <= all[i] && all[i] < low[i] && low[i] < high[i]);
        ck_assert(none[i] >= 0);
    }
    struct lac_session *session = open_session(house.model, &(struct ask){0});
    int32_t ids[] = {1, 300, 301};
    ck_assert_int_eq(lac_session_calibrate(session, ids, 0, 0.5, low), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_calibrate(session, NULL, 3, 0.5, low), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_calibrate(session, ids, 3, 1.5, low), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_calibrate(session, ids, 3, NAN, low), LAC_E_ARGUMENT);
    ids[1] = TINY_LLAMA_WORDS;
    ck_assert_int_eq(lac_session_calibrate(session, ids, 3, 0.5, low), LAC_E_ARGUMENT);
    ids[1] = 300;
    lac_session_cancel(session);
    ck_assert_int_eq(lac_session_calibrate(session, ids, 3, 0.5, low), LAC_E_CANCELLED);
    ck_assert_ok(session, lac_session_calibrate(session, ids, 3, 0.5, low));
    lac_session_free(session);
    close_house(&house);
}
END_TEST

static enum lac_status try_policy(struct lac_model *model, struct lac_activations_policy policy)
{
    struct lac_session_options *o;
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_options_new(&o), LAC_OK);
    lac_session_options_set_task(o, LAC_TASK_GENERATE);
    ck_assert_int_eq(lac_session_options_set_activations(o, &policy), LAC_OK);
    enum lac_status status = lac_session_new(model, o, &session);
    lac_session_options_free(o);
    lac_session_free(session);
    return status;
}

static enum lac_status try_cats(struct lac_model *model, const float *thresholds, size_t n)
{
    return try_policy(model, (struct lac_activations_policy){.rule = LAC_ACTIVATIONS_CATS,
                                                             .thresholds = thresholds,
                                                             .n_thresholds = n});
}

START_TEST(odd_thresholds_are_refused)
{
    struct house house = open_house(1, 0, test_seed());
    float thresholds[N_LAYERS + 1] = {0};
    ck_assert_int_eq(try_cats(house.model, thresholds, N_LAYERS), LAC_OK);
    ck_assert_int_eq(try_cats(house.model, thresholds, N_LAYERS + 1), LAC_E_ARGUMENT);
    ck_assert_int_eq(try_cats(house.model, thresholds, 0), LAC_E_ARGUMENT);
    thresholds[N_LAYERS - 1] = -1;
    ck_assert_int_eq(try_cats(house.model, thresholds, N_LAYERS), LAC_E_ARGUMENT);
    thresholds[N_LAYERS - 1] = NAN;
    ck_assert_int_eq(try_cats(house.model, thresholds, N_LAYERS), LAC_E_ARGUMENT);
    thresholds[N_LAYERS - 1] = INFINITY; /* leaves out all */
    ck_assert_int_eq(try_cats(house.model, thresholds, N_LAYERS), LAC_OK);
    static const double wrong[] = {0, -0.1, 1.1, NAN};
    struct lac_activations_policy core = {.rule = LAC_ACTIVATIONS_CORE};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        core.core_share = wrong[i];
        ck_assert_int_eq(try_policy(house.model, core), LAC_E_ARGUMENT);
    }
    core.core_share = 0.5;
    for (size_t i = 1; i < sizeof wrong / sizeof *wrong; i++) { /* 0 is usual */
        core.token_share = wrong[i];
        ck_assert_int_eq(try_policy(house.model, core), LAC_E_ARGUMENT);
    }
    core.token_share = 0.1;
    ck_assert_int_eq(try_policy(house.model, core), LAC_OK);
    struct house half = open_house(1, LAC_BF16, test_seed());
    ck_assert_int_eq(try_policy(half.model, core), LAC_E_UNSUPPORTED);
    close_house(&half);
    struct lac_activations_policy unknown = {.rule = (enum lac_activations_rule)77};
    ck_assert_int_eq(try_policy(house.model, unknown), LAC_E_ARGUMENT);
    close_house(&house);
}
END_TEST

/* Opens a model for the rule. */
static enum lac_status try_model(struct lac_engine *engine, const struct tiny *tiny,
                                 enum lac_dtype dtype, enum lac_activations_rule rule)
{
    struct lac_model_options *options;
    struct lac_model *model = NULL;
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, dtype);
    lac_model_options_set_activations(options, rule);
    enum lac_status status = lac_model_open(engine, tiny_write(tiny), options, &model);
    lac_model_options_free(options);
    lac_model_free(model);
    return status;
}

/* Seven of eight rows of 16 become zero in what is fed forward. */
static void prune(struct tiny *tiny)
{
    for (size_t i = 0; i < tiny->n_tensors; i++) {
        struct tiny_tensor *t = &tiny->tensors[i];
        for (size_t k = 0; strstr(t->name, "mlp.") && k < t->shape[0] * t->shape[1]; k++)
            t->data[k] = k / t->shape[1] / 16 % 8 ? 0 : t->data[k];
    }
}

START_TEST(weights_that_cannot_be_skipped_are_refused)
{
    struct house house = open_house(1, 0, test_seed());
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 64, .ffn = 256};
    struct tiny other = {.family = TINY_BERT};
    char message[256] = "";
    tiny_make(&tiny, test_seed());
    tiny_make(&other, test_seed());
    ck_assert_int_eq(try_model(house.engine, &tiny, LAC_S8, LAC_ACTIVATIONS_CATS), LAC_OK);
    static const enum lac_dtype dtypes[] = {LAC_BF16, LAC_F16, LAC_S4};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        ck_assert_int_eq(try_model(house.engine, &tiny, dtypes[i], LAC_ACTIVATIONS_CATS),
                         LAC_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(
        strstr(lac_engine_message(house.engine, message, sizeof message), "neither int8"));
    ck_assert_int_eq(try_model(house.engine, &other, LAC_S8, LAC_ACTIVATIONS_CATS),
                     LAC_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(
        strstr(lac_engine_message(house.engine, message, sizeof message), "no gate"));
    prune(&tiny);
    ck_assert_int_eq(try_model(house.engine, &tiny, LAC_S8, LAC_ACTIVATIONS_CATS),
                     LAC_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(
        strstr(lac_engine_message(house.engine, message, sizeof message), "zeros"));
    ck_assert_int_eq(try_model(house.engine, &tiny, LAC_S8, LAC_ACTIVATIONS_ALL), LAC_OK);
    tiny_free(&tiny);
    tiny_free(&other);
    close_house(&house);
}
END_TEST

void add_activation_tests(Suite *suite)
{
    TCase *tc = tcase_create("activations");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, texts_do_not_depend_on_company, 0, 2 * N_RULES);
    tcase_add_loop_test(tc, all_neurons_are_all, 0, N_RULES);
    tcase_add_loop_test(tc, scores_do_not_depend_on_passes, 0, 2 * N_RULES);
    tcase_add_loop_test(tc, copies_go_on_alike, 0, N_RULES);
    tcase_add_loop_test(tc, restored_texts_go_on_alike, 0, N_RULES);
    suite_add_tcase(suite, tc);
    add_test(suite, "calibration_finds_shares", calibration_finds_shares);
    add_test(suite, "odd_thresholds_are_refused", odd_thresholds_are_refused);
    add_test(suite, "weights_that_cannot_be_skipped_are_refused",
             weights_that_cannot_be_skipped_are_refused);
}
