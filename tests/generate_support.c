/* SPDX-License-Identifier: Apache-2.0 */
/* Tiny decoders, sessions and what texts became, for the files of check_generate. */
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

static struct house open_prepared(size_t n_threads, enum lac_dtype dtype, uint64_t seed,
                                  struct tiny tiny, enum lac_activations_rule rule)
{
    struct house h = {0};
    struct lac_engine_options *options;
    struct lac_model_options *model;
    tiny_make(&tiny, seed);
    const char *path = tiny_write(&tiny);
    tiny_free(&tiny);
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_engine_options_from_environment(options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    ck_assert_int_eq(lac_engine_new(options, &h.engine), LAC_OK);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_options_new(&model), LAC_OK);
    lac_model_options_set_dtype(model, dtype ? dtype : LAC_S8);
    lac_model_options_set_activations(model, rule);
    char message[512] = "";
    enum lac_status status = lac_model_open(h.engine, path, model, &h.model);
    ck_assert_msg(!status, "%s", lac_engine_message(h.engine, message, sizeof message));
    lac_model_options_free(model);
    return h;
}

struct house open_tiny(size_t n_threads, enum lac_dtype dtype, uint64_t seed, struct tiny tiny)
{
    return open_prepared(n_threads, dtype, seed, tiny, LAC_ACTIVATIONS_ALL);
}

struct house open_house_for(size_t n_threads, enum lac_dtype dtype, enum lac_activations_rule rule)
{
    return open_prepared(n_threads, dtype, test_seed(),
                         (struct tiny){.family = TINY_LLAMA, .hidden = 32, .ffn = 72}, rule);
}

struct house open_house(size_t n_threads, enum lac_dtype dtype, uint64_t seed)
{
    return open_tiny(n_threads, dtype, seed,
                     (struct tiny){.family = TINY_LLAMA, .hidden = 32, .ffn = 72});
}

struct house open_other_house(size_t max_tokens, size_t end)
{
    return open_tiny(
        1, 0, test_seed(),
        (struct tiny){
            .family = TINY_LLAMA, .hidden = 32, .ffn = 72, .max_tokens = max_tokens, .end = end});
}

void close_house(struct house *h)
{
    lac_model_free(h->model);
    lac_engine_free(h->engine);
}

enum lac_status try_session(struct lac_model *model, const struct ask *ask,
                            struct lac_session **session)
{
    struct lac_session_options *o;
    size_t n_stops = 0;
    while (n_stops < 4 && ask->stops[n_stops])
        n_stops++;
    ck_assert_int_eq(lac_session_options_new(&o), LAC_OK);
    lac_session_options_set_sampling(o, &ask->sampling);
    lac_session_options_set_max_new_tokens(o, ask->max_new_tokens);
    lac_session_options_set_batch_tokens(o, ask->batch_tokens);
    lac_session_options_set_speculation(o, ask->n_speculated);
    lac_session_options_set_kv_dtype(o, ask->kv_dtype);
    lac_session_options_set_log_probabilities(o, ask->log_probabilities);
    lac_session_options_set_draft(o, ask->draft);
    ck_assert_int_eq(lac_session_options_set_kv_policy(o, &ask->kv_policy), LAC_OK);
    ck_assert_int_eq(lac_session_options_set_activations(o, &ask->activations), LAC_OK);
    ck_assert_int_eq(lac_session_options_set_stops(o, ask->stops, n_stops), LAC_OK);
    enum lac_status status = lac_session_new(model, o, session);
    lac_session_options_free(o);
    return status;
}

struct lac_session *open_session(struct lac_model *model, const struct ask *ask)
{
    struct lac_session *session = NULL;
    ck_assert_int_eq(try_session(model, ask, &session), LAC_OK);
    return session;
}

void assert_refused(struct lac_model *model, const struct ask *ask)
{
    struct lac_session *session = NULL;
    ck_assert_int_eq(try_session(model, ask, &session), LAC_E_ARGUMENT);
    ck_assert_ptr_null(session);
}

size_t make_prompt(size_t number, size_t most, int32_t *ids)
{
    uint64_t state = 1000 + number;
    size_t n = 1 + random_below(&state, most);
    ids[0] = 1;
    for (size_t i = 1; i < n; i++) /* behind "<unk>", "<s>", "</s>" and the bytes */
        ids[i] = (int32_t)(259 + random_below(&state, TINY_LLAMA_WORDS - 259));
    return n;
}

size_t add_prompt(struct lac_session *session, size_t number)
{
    int32_t ids[MOST_PROMPT];
    size_t sequence, n = make_prompt(number, MOST_PROMPT, ids);
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, n, &sequence));
    return sequence;
}

static void *copy(const void *memory, size_t size)
{
    void *made = malloc(size + 1);
    ck_assert_ptr_nonnull(made);
    if (size)
        memcpy(made, memory, size);
    return made;
}

struct outcome outcome_of(struct lac_session *session, size_t sequence)
{
    struct outcome o = {0};
    const int32_t *ids;
    const char *text;
    ck_assert_ok(session, lac_session_ids(session, sequence, &ids, &o.n, &o.n_fed));
    ck_assert_ok(session, lac_session_text(session, sequence, &text, &o.size));
    ck_assert_ok(session, lac_session_outcome(session, sequence, &o.finish, &o.log_probability));
    o.ids = copy(ids, o.n * sizeof *ids);
    o.text = copy(text, o.size);
    return o;
}

void outcome_clear(struct outcome *o)
{
    free(o->ids);
    free(o->text);
}

void assert_same(const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        ck_assert_msg(a->ids[i] == b->ids[i], "token %zu of %zu: %d and %d", i, a->n,
                      (int)a->ids[i], (int)b->ids[i]);
    ck_assert_uint_eq(a->n, b->n);
    ck_assert_uint_eq(a->n_fed, b->n_fed);
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_int_eq(memcmp(a->text, b->text, a->size), 0);
    ck_assert_int_eq(a->finish, b->finish);
    ck_assert(a->log_probability == b->log_probability);
}

void assert_outcome(struct lac_session *session, size_t sequence, const struct outcome *expected)
{
    struct outcome o = outcome_of(session, sequence);
    assert_same(&o, expected);
    outcome_clear(&o);
}
