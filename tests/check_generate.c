/* SPDX-License-Identifier: Apache-2.0 */
/* Generation: what texts depend on, and what calls refuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

/* ---- What a text depends on ---- */

/* Texts of more than 16 tokens turn by their length. */
static struct house open_stretched_house(size_t n_threads)
{
    return open_tiny(n_threads, 0, test_seed(),
                     (struct tiny){.family = TINY_LLAMA,
                                   .hidden = 32,
                                   .ffn = 72,
                                   .max_tokens = 16,
                                   .rope = "{\"rope_type\": \"dynamic\", \"factor\": 8}"});
}

enum { N_TEXTS = 5, N_MADE = 20 };

static const struct lac_sampling samplings[] = {
    {0},
    {.repetition_penalty = 1.3},
    {.temperature = 1, .seed = 5},
    {.temperature = 0.8, .top_k = 20, .seed = 6},
    {.temperature = 1.2, .top_k = 100, .top_p = 0.9, .seed = 7},
    {.temperature = 0.9, .top_p = 0.8, .min_p = 0.05, .repetition_penalty = 1.1, .seed = 8},
};
enum { N_SAMPLINGS = sizeof samplings / sizeof *samplings };

static void run_alone(struct lac_model *model, const struct ask *ask, struct outcome *outcomes)
{
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct lac_session *session = open_session(model, ask);
        size_t sequence = add_prompt(session, i);
        ck_assert_ok(session, lac_session_run(session));
        outcomes[i] = outcome_of(session, sequence);
        lac_session_free(session);
    }
}

/* Texts come `apart` steps after each other; some are prepared. */
static void assert_together(struct lac_model *model, const struct ask *ask, size_t apart,
                            const struct outcome *alone)
{
    struct lac_session *session = open_session(model, ask);
    for (size_t i = 0; i < N_TEXTS; i++) {
        ck_assert_uint_eq(add_prompt(session, i), i);
        if (i % 2)
            ck_assert_ok(session, lac_session_prepare(session));
        for (size_t k = 0; k < apart; k++)
            ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    }
    ck_assert_ok(session, lac_session_run(session));
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct outcome o = outcome_of(session, i);
        assert_same(&o, &alone[i]);
        outcome_clear(&o);
    }
    lac_session_free(session);
}

START_TEST(texts_depend_on_themselves_alone)
{
    struct outcome alone[N_TEXTS];
    struct ask ask = {.max_new_tokens = N_MADE, .log_probabilities = LAC_LOG_PROBABILITIES_YES};
    ask.sampling = samplings[_i];
    struct house one = open_house(1, _i % 2 ? LAC_F32 : LAC_S8, test_seed());
    run_alone(one.model, &ask, alone);
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct house house = open_house(n_threads, _i % 2 ? LAC_F32 : LAC_S8, test_seed());
        ask.batch_tokens = n_threads == 2 ? 7 : 0;
        assert_together(house.model, &ask, n_threads - 1, alone);
        close_house(&house);
    }
    for (size_t i = 0; i < N_TEXTS; i++)
        outcome_clear(&alone[i]);
    close_house(&one);
}
END_TEST

START_TEST(speculation_changes_nothing)
{
    struct outcome alone[N_TEXTS];
    struct house house = _i % 2 ? open_stretched_house(2) : open_house(2, 0, test_seed());
    struct house other = open_house(1, 0, test_seed() + 1);
    struct ask ask = {.max_new_tokens = N_MADE, .sampling = samplings[_i]};
    run_alone(house.model, &ask, alone);
    struct lac_model *const drafts[] = {NULL, other.model, house.model};
    for (size_t d = 0; d < 3; d++)
        for (size_t n = 1; n <= 6; n += 5) {
            ask.n_speculated = n;
            ask.draft = drafts[d];
            assert_together(house.model, &ask, n / 5, alone);
        }
    for (size_t i = 0; i < N_TEXTS; i++)
        outcome_clear(&alone[i]);
    close_house(&other);
    close_house(&house);
}
END_TEST

START_TEST(a_model_guesses_its_own_words)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.max_new_tokens = 25, .n_speculated = 4, .draft = house.model};
    struct lac_session *session = open_session(house.model, &ask);
    struct lac_generation_counts counts;
    size_t sequence = add_prompt(session, 3);
    ck_assert_ok(session, lac_session_run(session));
    ck_assert_ok(session, lac_session_counts(session, &counts));
    struct outcome o = outcome_of(session, sequence);
    ck_assert_uint_eq(counts.n_made, o.n - o.n_fed);
    if (o.finish == LAC_FINISH_LENGTH) {
        ck_assert_uint_eq(counts.n_accepted, counts.n_guessed);
        ck_assert_uint_eq(counts.n_steps, 5);
    }
    outcome_clear(&o);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- Going on ---- */

START_TEST(fed_texts_go_on_as_if_they_had_begun_so)
{
    struct house house = open_house(2, 0, test_seed());
    struct ask ask = {.max_new_tokens = 9};
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_prompt(session, 1);
    for (size_t turn = 0; turn < 4; turn++) {
        int32_t more[MOST_PROMPT];
        size_t fresh, n = turn ? make_prompt(turn, 12, more) - 1 : 0;
        ck_assert_ok(session, lac_session_feed_ids(session, sequence, more + 1, n));
        struct outcome before = outcome_of(session, sequence);
        ck_assert_uint_eq(before.n, before.n_fed);
        ck_assert_uint_eq(before.size, 0);
        ck_assert_ok(session, lac_session_run(session));
        struct lac_session *other = open_session(house.model, &ask);
        ck_assert_ok(other, lac_session_add_ids(other, before.ids, NULL, before.n, &fresh));
        ck_assert_ok(other, lac_session_run(other));
        struct outcome a = outcome_of(session, sequence), b = outcome_of(other, fresh);
        assert_same(&a, &b);
        outcome_clear(&a);
        outcome_clear(&b);
        outcome_clear(&before);
        lac_session_free(other);
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(fed_words_get_no_special_tokens)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.max_new_tokens = 3};
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence;
    ck_assert_ok(session, lac_session_add_text(session, "one two", 7, NULL, 0, &sequence));
    struct outcome first = outcome_of(session, sequence);
    ck_assert_int_eq(first.ids[0], 1); /* "<s>", by the tokenizer's template */
    ck_assert_ok(session, lac_session_feed(session, sequence, " three", 6));
    struct outcome fed = outcome_of(session, sequence);
    ck_assert_uint_gt(fed.n, first.n);
    for (size_t i = first.n; i < fed.n; i++)
        ck_assert_int_ne(fed.ids[i], 1);
    outcome_clear(&first);
    outcome_clear(&fed);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* Of a text that goes on to the end of the context, any word ends it once the model says so. */
START_TEST(texts_end_in_several_ways)
{
    struct house house = open_other_house(60, 0);
    struct ask ask = {.sampling = {.temperature = 0.5}};
    struct lac_session *session = open_session(house.model, &ask);
    add_prompt(session, 4);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome whole = outcome_of(session, 0);
    if (whole.finish == LAC_FINISH_CONTEXT)
        ck_assert_uint_eq(whole.n, 60);
    else
        ck_assert_int_eq(whole.ids[whole.n - 1], TINY_LLAMA_END);
    size_t at = (whole.n_fed + whole.n) / 2;
    struct house ending = open_other_house(60, (size_t)whole.ids[at]);
    struct lac_session *other = open_session(ending.model, &ask);
    add_prompt(other, 4);
    ck_assert_ok(other, lac_session_run(other));
    struct outcome cut = outcome_of(other, 0);
    size_t first = whole.n_fed; /* the word may have been there before */
    while (whole.ids[first] != whole.ids[at])
        first++;
    ck_assert_int_eq(cut.finish, LAC_FINISH_END);
    ck_assert_uint_eq(cut.n, first + 1);
    ck_assert_int_eq(memcmp(cut.ids, whole.ids, cut.n * sizeof *cut.ids), 0);
    outcome_clear(&cut);
    outcome_clear(&whole);
    lac_session_free(other);
    close_house(&ending);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(texts_have_bounds_of_their_own)
{
    struct house house = open_house(1, LAC_S8, test_seed());
    struct ask ask = {.max_new_tokens = 3, .sampling = {.temperature = 1}};
    struct lac_session *session = open_session(house.model, &ask);
    for (size_t i = 0; i < 3; i++) {
        size_t sequence = add_prompt(session, i);
        if (i)
            ck_assert_ok(session, lac_session_set_max_new_tokens(session, sequence, i * 5));
    }
    ck_assert_ok(session, lac_session_run(session));
    for (size_t i = 0; i < 3; i++) {
        struct outcome o = outcome_of(session, i);
        if (o.finish != LAC_FINISH_END) {
            ck_assert_int_eq(o.finish, LAC_FINISH_LENGTH);
            ck_assert_uint_eq(o.n - o.n_fed, i ? i * 5 : 3);
        }
        outcome_clear(&o);
    }
    ck_assert_int_eq(lac_session_set_max_new_tokens(session, 3, 1), LAC_E_ARGUMENT);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(full_texts_say_so)
{
    struct house house = open_house(1, 0, test_seed());
    struct lac_session *session = open_session(house.model, &(struct ask){0});
    size_t n = lac_model_max_tokens(house.model), n_events, sequence;
    int32_t *ids = calloc(n + 1, sizeof *ids);
    const struct lac_event *events;
    for (size_t i = 0; i <= n; i++)
        ids[i] = 300;
    ck_assert_int_eq(lac_session_add_ids(session, ids, NULL, n + 1, NULL), LAC_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(lac_session_message(session), "201 more; the model takes 200"));
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, n, &sequence));
    ck_assert_ok(session, lac_session_next(session, &events, &n_events));
    ck_assert_uint_eq(n_events, 1);
    ck_assert_int_eq(events[0].id, -1);
    ck_assert_int_eq(events[0].finish, LAC_FINISH_CONTEXT);
    ck_assert_int_eq(lac_session_feed_ids(session, sequence, ids, 1), LAC_E_LIMIT);
    ck_assert_ok(session, lac_session_next(session, &events, &n_events));
    ck_assert_uint_eq(n_events, 0);
    free(ids);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- Scores and beams ---- */

START_TEST(scores_are_what_was_said_when_it_was_made)
{
    struct house house = open_house(2, _i ? LAC_F32 : LAC_S8, test_seed());
    struct ask ask = {.max_new_tokens = 30,
                      .sampling = {.temperature = 1, .seed = 3},
                      .log_probabilities = LAC_LOG_PROBABILITIES_YES};
    struct lac_session *session = open_session(house.model, &ask);
    double made[64], scores[256];
    size_t n_made = 0, n_events, sequence = add_prompt(session, 2);
    const struct lac_event *events;
    while (!lac_session_next(session, &events, &n_events) && n_events)
        made[n_made++] = events[0].log_probability;
    struct outcome o = outcome_of(session, sequence);
    ck_assert_uint_eq(n_made, o.n - o.n_fed);
    ck_assert_ok(session, lac_session_score(session, o.ids, o.n, 1, LAC_PACE_PASSES, scores, NULL));
    for (size_t i = 0; i < n_made; i++)
        ck_assert_msg(scores[o.n_fed - 1 + i] == made[i], "token %zu: %g and %g", i,
                      scores[o.n_fed - 1 + i], made[i]);
    ck_assert_ok(session,
                 lac_session_score(session, o.ids, o.n, o.n_fed, LAC_PACE_PASSES, scores, NULL));
    for (size_t i = 0; i < n_made; i++)
        ck_assert(scores[i] == made[i]);
    ck_assert_ok(session,
                 lac_session_score(session, o.ids, o.n, o.n_fed, LAC_PACE_STEPS, scores, NULL));
    for (size_t i = 0; i < n_made; i++)
        ck_assert(scores[i] == made[i]);
    ck_assert_int_eq(lac_session_score(session, o.ids, o.n, 1, (enum lac_pace)2, scores, NULL),
                     LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_score(session, o.ids, o.n, 0, LAC_PACE_PASSES, scores, NULL),
                     LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_score(session, o.ids, o.n, o.n, LAC_PACE_PASSES, scores, NULL),
                     LAC_E_ARGUMENT);
    o.ids[1] = TINY_LLAMA_WORDS;
    ck_assert_int_eq(lac_session_score(session, o.ids, o.n, 1, LAC_PACE_PASSES, scores, NULL),
                     LAC_E_ARGUMENT);
    outcome_clear(&o);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(the_best_are_what_is_written)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.max_new_tokens = 20};
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_prompt(session, 1);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome o = outcome_of(session, sequence);
    for (enum lac_pace pace = LAC_PACE_PASSES; pace <= LAC_PACE_STEPS; pace++) {
        double scores[256];
        int32_t best[256];
        ck_assert_ok(session, lac_session_score(session, o.ids, o.n, o.n_fed, pace, scores, best));
        ck_assert_mem_eq(best, o.ids + o.n_fed, (o.n - o.n_fed) * sizeof *best);
    }
    outcome_clear(&o);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(one_beam_is_greedy)
{
    struct house house = open_house(1, 0, test_seed());
    struct ask ask = {.max_new_tokens = 20};
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_prompt(session, i), best, n;
        struct lac_search search = {.n_beams = 1, .length_penalty = 1};
        ck_assert_ok(session, lac_session_search(session, sequence, &search, 1, &best, &n));
        ck_assert_uint_eq(n, 1);
        ck_assert_ok(session, lac_session_run(session));
        struct outcome a = outcome_of(session, sequence), b = outcome_of(session, best);
        a.log_probability = b.log_probability; /* was not asked for */
        assert_same(&a, &b);
        outcome_clear(&a);
        outcome_clear(&b);
        lac_session_free(session);
    }
    close_house(&house);
}
END_TEST

START_TEST(beams_are_worth_what_they_score)
{
    struct house house = open_house(2, LAC_F32, test_seed());
    struct ask ask = {.max_new_tokens = 12};
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_prompt(session, 4), found[8], n;
    struct lac_search search = {.n_beams = 8, .length_penalty = 0.7};
    ck_assert_ok(session, lac_session_search(session, sequence, &search, 5, found, &n));
    ck_assert_uint_eq(n, 5);
    double last = INFINITY;
    for (size_t i = 0; i < n; i++) {
        struct outcome o = outcome_of(session, found[i]);
        double scores[256], sum = 0;
        ck_assert_int_ne(o.finish, LAC_FINISH_NONE);
        ck_assert_ok(session, lac_session_score(session, o.ids, o.n, o.n_fed, LAC_PACE_PASSES,
                                                scores, NULL));
        for (size_t k = 0; k < o.n - o.n_fed; k++)
            sum += scores[k];
        ck_assert_double_lt(fabs(sum - o.log_probability), 1e-9);
        double score = sum / pow((double)(o.n - o.n_fed), 0.7);
        ck_assert(score <= last + 1e-12);
        last = score;
        for (size_t k = 0; k < i; k++) {
            struct outcome other = outcome_of(session, found[k]);
            ck_assert(o.n != other.n || memcmp(o.ids, other.ids, o.n * sizeof *o.ids) != 0);
            outcome_clear(&other);
        }
        outcome_clear(&o);
    }
    /* More beams never make the best one worse by much; here they are at least as good as one. */
    search.n_beams = 33;
    ck_assert_int_eq(lac_session_search(session, sequence, &search, 1, found, &n), LAC_E_ARGUMENT);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* ---- What is refused ---- */

START_TEST(bad_arguments_are_named)
{
    struct house house = open_house(1, 0, test_seed());
    struct lac_session *session = NULL;
    static const struct ask bad[] = {
        {.sampling.temperature = -1},
        {.sampling.temperature = NAN},
        {.sampling.top_p = 1.5},
        {.sampling.min_p = -0.1},
        {.sampling.repetition_penalty = INFINITY},
        {.kv_dtype = LAC_F16},
        {.n_speculated = LAC_MAX_SPECULATED + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(house.model, &bad[i]);
    session = open_session(house.model, &(struct ask){.max_new_tokens = 2});
    static const int32_t beyond[] = {1, TINY_LLAMA_WORDS}, below[] = {1, -1};
    ck_assert_int_eq(lac_session_add_ids(session, beyond, NULL, 2, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(session, below, NULL, 2, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(session, below, NULL, 0, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_text(session, "a", 1, "b", 1, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_text(session, "\xff", 1, NULL, 0, NULL), LAC_E_FORMAT);
    ck_assert_int_eq(lac_session_feed(session, 0, "a", 1), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_text(session, 7, NULL, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_remove(session, 0), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_classes(session, 0, NULL, NULL, NULL), LAC_E_STATE);
    ck_assert_uint_eq(lac_session_sequences(session), 0);
    size_t sequence = add_prompt(session, 0);
    ck_assert_int_eq(lac_session_feed_ids(session, sequence, beyond, 2), LAC_E_ARGUMENT);
    ck_assert_ok(session, lac_session_run(session));
    lac_session_free(session);
    struct lac_session_options *options;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    static const char *const empty[] = {""}, *const torn[] = {"\xc3"};
    ck_assert_int_eq(lac_session_options_set_stops(options, empty, 1), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_options_set_stops(options, torn, 1), LAC_E_ARGUMENT);
    lac_session_options_free(options);
    close_house(&house);
}
END_TEST

START_TEST(encoders_do_not_generate)
{
    struct tiny tiny = {.family = TINY_BERT, .head = TINY_CLASSIFY};
    struct lac_engine *engine = NULL;
    struct lac_model *model = NULL;
    struct lac_session *session = NULL;
    const struct lac_event *events;
    size_t n;
    double score;
    tiny_make(&tiny, test_seed());
    ck_assert_int_eq(lac_engine_new(NULL, &engine), LAC_OK);
    ck_assert_int_eq(lac_model_open(engine, tiny_write(&tiny), NULL, &model), LAC_OK);
    ck_assert_int_eq(lac_session_new(model, NULL, &session), LAC_OK);
    ck_assert_int_eq(lac_session_next(session, &events, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_feed(session, 0, "a", 1), LAC_E_STATE);
    ck_assert_int_eq(lac_session_prepare(session), LAC_E_STATE);
    ck_assert_int_eq(lac_session_restore(session, "nothing", &n), LAC_E_STATE);
    ck_assert_int_eq(
        lac_session_score(session, (int32_t[]){5, 6}, 2, 1, LAC_PACE_PASSES, &score, NULL),
        LAC_E_STATE);
    lac_session_cancel(session);
    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
    tiny_free(&tiny);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate");
    TCase *tc = tcase_create("texts");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, texts_depend_on_themselves_alone, 0, N_SAMPLINGS);
    tcase_add_loop_test(tc, speculation_changes_nothing, 0, N_SAMPLINGS);
    tcase_add_loop_test(tc, scores_are_what_was_said_when_it_was_made, 0, 2);
    suite_add_tcase(suite, tc);
    add_test(suite, "own guesses", a_model_guesses_its_own_words);
    add_test(suite, "feeding", fed_texts_go_on_as_if_they_had_begun_so);
    add_test(suite, "feeding words", fed_words_get_no_special_tokens);
    add_test(suite, "ends", texts_end_in_several_ways);
    add_test(suite, "own bounds", texts_have_bounds_of_their_own);
    add_test(suite, "full", full_texts_say_so);
    add_test(suite, "one beam", one_beam_is_greedy);
    add_test(suite, "scores", the_best_are_what_is_written);
    add_test(suite, "beams", beams_are_worth_what_they_score);
    add_test(suite, "bad arguments", bad_arguments_are_named);
    add_test(suite, "encoders", encoders_do_not_generate);
    add_sample_tests(suite);
    add_text_tests(suite);
    add_copy_tests(suite);
    add_kv_tests(suite);
    add_long_tests(suite);
    add_memory_tests(suite);
    add_activation_tests(suite);
    return run_suite(suite);
}
