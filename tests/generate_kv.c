/* SPDX-License-Identifier: Apache-2.0 */
/* Caches that keep less: what texts then see, against the definition; what they weigh; and that
 * they still depend on nothing but themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

enum { HIDDEN = 32, FFN = 72, HEADS = 4, KV_HEADS = 2, HEAD = HIDDEN / HEADS, LAYERS = 2 };
enum { MOST_TOKENS = 420, N_WORDS = TINY_LLAMA_WORDS, BLOCK = 64, PAGE = 16 };

static struct tiny tiny_of(size_t window)
{
    return (struct tiny){.family = TINY_LLAMA,
                         .hidden = HIDDEN,
                         .ffn = FFN,
                         .heads = HEADS,
                         .layers = LAYERS,
                         .max_tokens = MOST_TOKENS,
                         .window = window};
}

/* The first key/value head of the first layer and the second of the second. */
static const struct lac_kv_head retrieving[] = {{0, 0}, {1, 1}};

static bool retrieves(const struct lac_kv_policy *policy, size_t layer, size_t head)
{
    return policy->n_full_heads && layer == head;
}

static const size_t budgets[LAYERS] = {33, 200};

static const struct lac_kv_policy policies[] = {
    {.kind = LAC_KV_STREAM, .n_sinks = 4, .n_window = 100},
    {.kind = LAC_KV_STREAM, .n_sinks = 0, .n_window = 1},
    {.kind = LAC_KV_STREAM, .n_sinks = 65, .n_window = 65},
    {.kind = LAC_KV_STREAM, .n_sinks = 64, .n_window = LAC_KV_MOST},
    {.kind = LAC_KV_STREAM,
     .n_sinks = 1,
     .n_window = 66,
     .full_heads = retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_SNAP, .n_budget = 64},
    {.kind = LAC_KV_SNAP, .layer_budgets = budgets, .n_layer_budgets = LAYERS},
    {.kind = LAC_KV_SNAP, .n_budget = 40, .full_heads = retrieving, .n_full_heads = 2},
};
enum { FIRST_SNAP = 5 };
enum { N_POLICIES = sizeof policies / sizeof *policies };

/* ---- The definition ---- */

/* Blocks of sinks, and before a query's own. */
static size_t sink_blocks(const struct lac_kv_policy *p, size_t window)
{
    return window ? 0 : (p->n_sinks + BLOCK - 1) / BLOCK;
}

static bool is_seen(const struct lac_kv_policy *p, size_t window, size_t layer, size_t head,
                    size_t query, size_t key)
{
    size_t far = query / BLOCK - key / BLOCK;
    if (window && query - key >= window)
        return false;
    if (p->kind != LAC_KV_STREAM || (!window && retrieves(p, layer, head)))
        return true;
    size_t left = (p->n_window - 1 + BLOCK - 1) / BLOCK;
    if (window && (left + 1) * BLOCK > window)
        return true;
    return far <= left || key / BLOCK < sink_blocks(p, window);
}

static const float *tensor(const struct tiny *t, size_t layer, const char *name)
{
    char full[96];
    if (layer < LAYERS)
        snprintf(full, sizeof full, "model.layers.%zu.%s.weight", layer, name);
    else
        snprintf(full, sizeof full, "%s.weight", name);
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, full))
            return t->tensors[i].data;
    ck_abort_msg("no tensor %s", full);
    return NULL;
}

static void multiply(const float *w, size_t out, size_t in, const double *x, double *y)
{
    for (size_t o = 0; o < out; o++) {
        y[o] = 0;
        for (size_t i = 0; i < in; i++)
            y[o] += (double)w[o * in + i] * x[i];
    }
}

static void norm(const float *gamma, const double *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < HIDDEN; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] = x[i] / sqrt(sum / HIDDEN + 1e-6) * (double)gamma[i];
}

static void turn(double *x, size_t n_heads, size_t position)
{
    for (size_t h = 0; h < n_heads; h++)
        for (size_t i = 0; i < HEAD / 2; i++) {
            double angle = (double)position * pow(10000, -2.0 * (double)i / HEAD);
            double *a = x + h * HEAD + i, *b = a + HEAD / 2, real = *a, other = *b;
            *a = real * cos(angle) - other * sin(angle);
            *b = other * cos(angle) + real * sin(angle);
        }
}

enum { OBSERVED = 32 };

struct naive {
    size_t n_prompt;                          /* SNAP */
    bool kept[LAYERS][KV_HEADS][MOST_TOKENS]; /* SNAP: what queries behind the prompt see */
    bool is_close;                            /* SNAP: a choice that another rounding may turn */
    double h[MOST_TOKENS][HIDDEN], q[MOST_TOKENS][HIDDEN];
    double k[MOST_TOKENS][HIDDEN / 2], v[MOST_TOKENS][HIDDEN / 2];
};

static void weigh(const struct naive *s, const struct lac_kv_policy *p, size_t window, size_t layer,
                  size_t head, size_t query, double *weights)
{
    size_t kv_head = head * KV_HEADS / HEADS;
    double sum = 0;
    for (size_t j = 0; j <= query; j++) {
        double score = 0;
        for (size_t i = 0; i < HEAD; i++)
            score += s->q[query][head * HEAD + i] * s->k[j][kv_head * HEAD + i];
        bool is_there = query < s->n_prompt || s->kept[layer][kv_head][j];
        bool sees = is_there && is_seen(p, window, layer, kv_head, query, j);
        weights[j] = sees ? exp(score / sqrt(HEAD)) : 0;
        sum += weights[j];
    }
    for (size_t j = 0; j <= query; j++)
        weights[j] /= sum;
}

static void attend(const struct naive *s, const struct lac_kv_policy *p, size_t window,
                   size_t layer, size_t query, double *y)
{
    for (size_t head = 0; head < HEADS; head++) {
        size_t kv_head = head * KV_HEADS / HEADS;
        double weights[MOST_TOKENS];
        weigh(s, p, window, layer, head, query, weights);
        for (size_t i = 0; i < HEAD; i++) {
            y[head * HEAD + i] = 0;
            for (size_t j = 0; j <= query; j++)
                y[head * HEAD + i] += weights[j] * s->v[j][kv_head * HEAD + i];
        }
    }
}

/* Whole pages of what is over the budget. */
static size_t snapped(const struct lac_kv_policy *p, size_t layer, size_t n_prompt)
{
    size_t budget = p->n_layer_budgets ? p->layer_budgets[layer] : p->n_budget;
    return n_prompt > budget ? n_prompt - (n_prompt - budget) / PAGE * PAGE : n_prompt;
}

/* One key after another: that with the most votes, of equals the last. */
static void choose(const struct lac_kv_policy *p, size_t layer, size_t head, const double *votes,
                   struct naive *s)
{
    size_t n = s->n_prompt - OBSERVED, n_chosen = snapped(p, layer, s->n_prompt) - OBSERVED;
    double last = INFINITY;
    for (size_t c = 0; c <= n_chosen && c < n; c++) {
        double most = -1;
        size_t best = 0;
        for (size_t j = 0; j < n; j++) {
            double pooled = 0;
            for (size_t k = j < 3 ? 0 : j - 3; k < n && k <= j + 3; k++)
                pooled = fmax(pooled, votes[k]);
            if (!s->kept[layer][head][j] && pooled >= most) {
                most = pooled;
                best = j;
            }
        }
        if (c == n_chosen && most < last && last - most < 1e-4 * last)
            s->is_close = true;
        s->kept[layer][head][best] = c < n_chosen;
        last = most;
    }
}

/* What the prompt's end leaves of a layer. */
static void snap(struct naive *s, const struct lac_kv_policy *p, size_t window, size_t layer)
{
    bool is_over =
        p->kind == LAC_KV_SNAP && !window && snapped(p, layer, s->n_prompt) < s->n_prompt;
    for (size_t head = 0; head < KV_HEADS; head++) {
        bool *kept = s->kept[layer][head];
        double votes[MOST_TOKENS] = {0}, weights[MOST_TOKENS];
        bool chooses = is_over && !retrieves(p, layer, head);
        for (size_t j = 0; j < MOST_TOKENS; j++)
            kept[j] = !chooses || j + OBSERVED >= s->n_prompt;
        for (size_t query = s->n_prompt - OBSERVED; chooses && query < s->n_prompt; query++)
            for (size_t i = 0; i < HEADS / KV_HEADS; i++) {
                weigh(s, p, window, layer, head * HEADS / KV_HEADS + i, query, weights);
                for (size_t j = 0; j <= query; j++)
                    votes[j] += weights[j];
            }
        if (chooses)
            choose(p, layer, head, votes, s);
    }
}

static void run_layer(const struct tiny *t, struct naive *s, const struct lac_kv_policy *p,
                      size_t layer, size_t n)
{
    double x[HIDDEN], y[HIDDEN], gate[FFN], up[FFN];
    for (size_t i = 0; i < n; i++) {
        norm(tensor(t, layer, "input_layernorm"), s->h[i], x);
        multiply(tensor(t, layer, "self_attn.q_proj"), HIDDEN, HIDDEN, x, s->q[i]);
        multiply(tensor(t, layer, "self_attn.k_proj"), HIDDEN / 2, HIDDEN, x, s->k[i]);
        multiply(tensor(t, layer, "self_attn.v_proj"), HIDDEN / 2, HIDDEN, x, s->v[i]);
        turn(s->q[i], HEADS, i);
        turn(s->k[i], KV_HEADS, i);
    }
    snap(s, p, t->window, layer);
    for (size_t i = 0; i < n; i++) {
        attend(s, p, t->window, layer, i, x);
        multiply(tensor(t, layer, "self_attn.o_proj"), HIDDEN, HIDDEN, x, y);
        for (size_t f = 0; f < HIDDEN; f++)
            s->h[i][f] += y[f];
        norm(tensor(t, layer, "post_attention_layernorm"), s->h[i], x);
        multiply(tensor(t, layer, "mlp.gate_proj"), FFN, HIDDEN, x, gate);
        multiply(tensor(t, layer, "mlp.up_proj"), FFN, HIDDEN, x, up);
        for (size_t f = 0; f < FFN; f++)
            up[f] *= gate[f] / (1 + exp(-gate[f]));
        multiply(tensor(t, layer, "mlp.down_proj"), HIDDEN, FFN, up, y);
        for (size_t f = 0; f < HIDDEN; f++)
            s->h[i][f] += y[f];
    }
}

/* Of ids 1 to n - 1, given those before them as far as the policy lets them be seen.  false: a
 * choice is too close to be sure of. */
static bool naive_score(const struct tiny *t, const struct lac_kv_policy *p, const int32_t *ids,
                        size_t n, size_t n_prompt, double *log_probabilities)
{
    struct naive *s = calloc(1, sizeof *s);
    double x[HIDDEN], logits[N_WORDS];
    ck_assert_ptr_nonnull(s);
    s->n_prompt = n_prompt;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < HIDDEN; f++)
            s->h[i][f] =
                (double)tensor(t, LAYERS, "model.embed_tokens")[(size_t)ids[i] * HIDDEN + f];
    for (size_t layer = 0; layer < LAYERS; layer++)
        run_layer(t, s, p, layer, n);
    for (size_t i = 0; i + 1 < n; i++) {
        double sum = 0;
        norm(tensor(t, LAYERS, "model.norm"), s->h[i], x);
        multiply(tensor(t, LAYERS, "lm_head"), N_WORDS, HIDDEN, x, logits);
        for (size_t w = 0; w < N_WORDS; w++)
            sum += exp(logits[w]);
        log_probabilities[i] = logits[ids[i + 1]] - log(sum);
    }
    bool is_sure = !s->is_close;
    free(s);
    return is_sure;
}

/* What is kept when `sure` tokens are certain and n are there: the blocks that some query in the
 * block of the next one may see. */
static size_t kept_pages(const struct lac_kv_policy *p, size_t window, size_t sure, size_t n,
                         size_t n_prompt)
{
    size_t total = 0, own = sure / BLOCK;
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t head = 0; head < KV_HEADS; head++) {
            if (p->kind == LAC_KV_SNAP && !window && !retrieves(p, layer, head) &&
                sure >= n_prompt) {
                total += (n - n_prompt + snapped(p, layer, n_prompt) + PAGE - 1) / PAGE;
                continue;
            }
            for (size_t first = 0; first < n; first += PAGE) {
                bool needed = false;
                for (size_t query = own * BLOCK; query < (own + 1) * BLOCK; query++)
                    for (size_t j = first / BLOCK * BLOCK; j < (first / BLOCK + 1) * BLOCK; j++)
                        needed =
                            needed || (j <= query && is_seen(p, window, layer, head, query, j));
                total += needed || first / BLOCK > own;
            }
        }
    return total;
}

/* ---- Against it ---- */

static void make_text(size_t n, uint64_t number, int32_t *ids)
{
    uint64_t state = test_seed() + number;
    ids[0] = 1;
    for (size_t i = 1; i < n; i++)
        ids[i] = (int32_t)(259 + random_below(&state, N_WORDS - 259));
}

static void score(struct lac_model *model, const struct ask *ask, const int32_t *ids, size_t n,
                  size_t n_prompt, double *found, size_t *cache_bytes)
{
    struct lac_session *session = open_session(model, ask);
    struct lac_generation_counts counts;
    ck_assert_ok(session,
                 lac_session_score(session, ids, n, n_prompt, LAC_PACE_PASSES, found, NULL));
    ck_assert_ok(session, lac_session_counts(session, &counts));
    *cache_bytes = counts.score_cache_bytes;
    lac_session_free(session);
}

enum { SCORED_PROMPT = 250 };

static void check_scores(size_t window, const struct lac_kv_policy *policy)
{
    static const size_t batches[] = {0, 7, 100};
    struct tiny tiny = tiny_of(window);
    int32_t ids[MOST_TOKENS];
    double expected[MOST_TOKENS], first[MOST_TOKENS], found[MOST_TOKENS];
    tiny_make(&tiny, test_seed());
    size_t n_prompt = policy->kind == LAC_KV_SNAP ? SCORED_PROMPT : 1, number = 0;
    do
        make_text(MOST_TOKENS, number++, ids);
    while (!naive_score(&tiny, policy, ids, MOST_TOKENS, n_prompt, expected));
    tiny_free(&tiny);
    for (size_t i = 0; i < 3; i++) {
        struct house house = open_tiny(1 + i % 2, LAC_F32, test_seed(), tiny_of(window));
        struct ask ask = {.kv_policy = *policy, .batch_tokens = batches[i]};
        size_t bytes, n = MOST_TOKENS - 1;
        score(house.model, &ask, ids, MOST_TOKENS, n_prompt, i ? found : first, &bytes);
        for (size_t k = n_prompt; k <= n && !i; k++)
            ck_assert_msg(fabs(first[k - n_prompt] - expected[k - 1]) < 1e-3,
                          "window %zu, token %zu: %g and %g", window, k, first[k - n_prompt],
                          expected[k - 1]);
        ck_assert(!i || !memcmp(first, found, (MOST_TOKENS - n_prompt) * sizeof *found));
        ck_assert_uint_eq(bytes, kept_pages(policy, window, n, n, n_prompt) * 2 * PAGE * HEAD * 4);
        close_house(&house);
    }
}

START_TEST(kept_keys_are_seen)
{
    check_scores(0, &policies[_i]);
}
END_TEST

START_TEST(windows_are_kept)
{
    static const size_t windows[] = {50, 129};
    for (size_t i = 0; i < 2; i++)
        check_scores(windows[i], &policies[_i]);
}
END_TEST

/* The policies must matter, or these tests find nothing. */
START_TEST(less_is_not_the_same)
{
    struct house house = open_tiny(1, LAC_F32, test_seed(), tiny_of(0));
    struct ask full = {0};
    int32_t ids[MOST_TOKENS];
    double a[MOST_TOKENS], b[MOST_TOKENS];
    size_t all_bytes, bytes;
    make_text(MOST_TOKENS, 0, ids);
    size_t n = MOST_TOKENS - 1, n_prompt = SCORED_PROMPT;
    score(house.model, &full, ids, n + 1, n_prompt, a, &all_bytes);
    ck_assert_uint_eq(all_bytes,
                      kept_pages(&full.kv_policy, 0, n, n, n_prompt) * 2 * PAGE * HEAD * 4);
    for (size_t i = 0; i < 2; i++) {
        struct ask less = {.kv_policy = policies[i ? FIRST_SNAP : 0]};
        score(house.model, &less, ids, n + 1, n_prompt, b, &bytes);
        ck_assert_uint_lt(bytes, all_bytes * 2 / 3);
        ck_assert(memcmp(a, b, (MOST_TOKENS - n_prompt) * sizeof *a));
    }
    close_house(&house);
}
END_TEST

/* ---- Texts ---- */

enum { PROMPT = 230, MADE = 100 };

static const struct ask drawn = {.max_new_tokens = MADE, .sampling = {.temperature = 1, .seed = 3}};

static struct ask ask_of(const struct lac_kv_policy *policy)
{
    struct ask ask = drawn;
    ask.kv_policy = *policy;
    return ask;
}

static size_t add_text(struct lac_session *session, size_t n)
{
    int32_t ids[MOST_TOKENS];
    size_t sequence;
    make_text(n, 0, ids);
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, n, &sequence));
    return sequence;
}

static struct outcome run_text(struct lac_model *model, const struct ask *ask, size_t n)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequence = add_text(session, n);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome o = outcome_of(session, sequence);
    lac_session_free(session);
    return o;
}

static void assert_outcome(struct lac_session *session, size_t sequence,
                           const struct outcome *expected)
{
    struct outcome o = outcome_of(session, sequence);
    assert_same(&o, expected);
    outcome_clear(&o);
}

START_TEST(texts_stay_their_own)
{
    struct house house = open_tiny(1, 0, test_seed(), tiny_of(0));
    struct house pair = open_tiny(2, 0, test_seed(), tiny_of(0));
    struct ask ask = ask_of(&policies[_i]), others[4] = {ask, ask, ask, ask};
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    others[1].batch_tokens = 5;
    others[2].n_speculated = 4;
    others[2].draft = house.model; /* its guesses see everything */
    others[3].n_speculated = 8;
    others[3].batch_tokens = 3; /* passes of guesses alone */
    for (size_t i = 0; i < 4; i++) {
        struct outcome o = run_text(i ? house.model : pair.model, &others[i], PROMPT);
        assert_same(&o, &expected);
        outcome_clear(&o);
    }
    struct lac_session *session = open_session(pair.model, &ask);
    add_prompt(session, 3);
    size_t sequence = add_text(session, PROMPT);
    ck_assert_ok(session, lac_session_prepare(session));
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    lac_session_free(session);
    outcome_clear(&expected);
    close_house(&house);
    close_house(&pair);
}
END_TEST

/* Forks, clones and files in the middle go on as the text itself; other turns follow. */
START_TEST(copies_go_on)
{
    struct house house = open_tiny(2, 0, test_seed(), tiny_of(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    struct lac_session *session = open_session(house.model, &ask), *clone;
    size_t sequence = add_text(session, PROMPT), fork, restored;
    char path[512];
    snprintf(path, sizeof path, "%s/text", scratch_directory());
    for (size_t i = 0; i < MADE / 2; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_fork(session, sequence, ask.sampling.seed, &fork));
    ck_assert_ok(session, lac_session_clone(session, &clone));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_run(session));
    ck_assert_ok(session, lac_session_run(clone));
    ck_assert_ok(session, lac_session_restore(session, path, &restored));
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    assert_outcome(session, fork, &expected);
    assert_outcome(session, restored, &expected);
    assert_outcome(clone, sequence, &expected);
    size_t all[] = {sequence, fork, restored};
    struct outcome fed = {0};
    for (size_t i = 0; i < 3; i++) {
        int32_t more[] = {300, 301, 302};
        ck_assert_ok(session, lac_session_feed_ids(session, all[i], more, 3));
        ck_assert_ok(session, lac_session_set_max_new_tokens(session, all[i], 9));
        ck_assert_ok(session, lac_session_run(session));
        if (i)
            assert_outcome(session, all[i], &fed);
        else
            fed = outcome_of(session, all[i]);
    }
    outcome_clear(&fed);
    outcome_clear(&expected);
    lac_session_free(clone);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* Copies made while a prompt's end votes, and of a prompt whose heads have not yet chosen. */
START_TEST(votes_are_copied)
{
    struct house house = open_tiny(1, 0, test_seed(), tiny_of(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    char path[512];
    snprintf(path, sizeof path, "%s/votes", scratch_directory());
    for (size_t n_steps = 0; n_steps < 3; n_steps++) {
        struct lac_session *session = open_session(house.model, &ask), *clone;
        size_t sequence = add_text(session, PROMPT), fork, restored;
        ck_assert_ok(session, lac_session_prepare(session));
        for (size_t i = 0; i < n_steps; i++)
            ck_assert_ok(session, lac_session_next(session, NULL, NULL));
        ck_assert_ok(session, lac_session_save(session, sequence, path));
        ck_assert_ok(session, lac_session_fork(session, sequence, ask.sampling.seed, &fork));
        ck_assert_ok(session, lac_session_clone(session, &clone));
        ck_assert_ok(session, lac_session_restore(session, path, &restored));
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(clone, lac_session_run(clone));
        assert_outcome(session, sequence, &expected);
        assert_outcome(session, fork, &expected);
        assert_outcome(session, restored, &expected);
        assert_outcome(clone, sequence, &expected);
        lac_session_free(clone);
        lac_session_free(session);
    }
    outcome_clear(&expected);
    close_house(&house);
}
END_TEST

/* A second prompt chooses anew among what is left. */
START_TEST(turns_depend_on_no_batch)
{
    static const size_t batches[] = {0, 7, 50};
    struct house house = open_tiny(2, 0, test_seed(), tiny_of(0));
    struct outcome expected = {0};
    for (size_t i = 0; i < 3; i++) {
        struct ask ask = ask_of(&policies[_i]);
        struct lac_generation_counts counts;
        ask.batch_tokens = batches[i];
        ask.n_speculated = i;
        ask.max_new_tokens = 20;
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_text(session, PROMPT);
        int32_t more[120];
        make_text(120, 9, more);
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_feed_ids(session, sequence, more + 1, 119));
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_counts(session, &counts));
        size_t all = LAYERS * KV_HEADS * ((PROMPT + 119) / PAGE) * 2 * (PAGE * 4 + PAGE * HEAD);
        ck_assert(policies[_i].n_window > MOST_TOKENS || counts.cache_bytes < all);
        if (i)
            assert_outcome(session, sequence, &expected);
        else
            expected = outcome_of(session, sequence);
        lac_session_free(session);
    }
    outcome_clear(&expected);
    close_house(&house);
}
END_TEST

/* A cancelled prompt goes on where it was, though what is gone is gone. */
START_TEST(cancelled_texts_go_on)
{
    struct house house = open_tiny(1, 0, test_seed(), tiny_of(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    ask.batch_tokens = 33;
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_text(session, PROMPT), n = 1;
    for (size_t i = 0; n; i++) {
        if (i % 3 == 0)
            lac_session_cancel(session);
        enum lac_status status = lac_session_next(session, NULL, &n);
        ck_assert_int_eq(status, i % 3 ? LAC_OK : LAC_E_CANCELLED);
        n = status ? 1 : n;
    }
    assert_outcome(session, sequence, &expected);
    outcome_clear(&expected);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(caches_stay_small)
{
    struct house house = open_tiny(1, 0, test_seed(), tiny_of(0));
    const struct lac_kv_policy *policy = &policies[_i];
    struct ask ask = ask_of(policy);
    struct lac_session *session = open_session(house.model, &ask);
    struct lac_generation_counts counts;
    size_t page_bytes = 2 * (PAGE * 4 + PAGE * HEAD), n_events;
    add_text(session, PROMPT);
    ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    for (size_t i = 1; i < 70; i++) {
        ck_assert_ok(session, lac_session_next(session, NULL, &n_events));
        if (!n_events)
            break; /* the model ended it */
        ck_assert_ok(session, lac_session_counts(session, &counts));
        size_t sure = PROMPT + i - 1;
        ck_assert_uint_eq(counts.cache_bytes,
                          kept_pages(policy, 0, sure, sure + 1, PROMPT) * page_bytes);
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(bad_policies_are_refused)
{
    static const struct lac_kv_head no_layer = {LAYERS, 0}, no_head = {0, KV_HEADS};
    static const struct lac_kv_policy bad[] = {
        {.kind = LAC_KV_STREAM},
        {.kind = LAC_KV_STREAM, .n_sinks = 4},
        {.kind = LAC_KV_STREAM, .n_window = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .n_sinks = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_SNAP},
        {.kind = LAC_KV_SNAP, .n_budget = 31},
        {.kind = LAC_KV_SNAP, .n_budget = 99, .n_observed = 100},
        {.kind = LAC_KV_SNAP, .n_budget = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_SNAP, .layer_budgets = budgets, .n_layer_budgets = 1},
        {.kind = (enum lac_kv_policy_kind)99, .n_window = 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .full_heads = &no_layer, .n_full_heads = 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .full_heads = &no_head, .n_full_heads = 1},
    };
    struct house house = open_tiny(1, 0, test_seed(), tiny_of(0));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ask ask = ask_of(&bad[i]);
        struct lac_session *session = NULL;
        ck_assert_int_eq(try_session(house.model, &ask, &session), LAC_E_ARGUMENT);
        ck_assert_ptr_null(session);
    }
    close_house(&house);
}
END_TEST

void add_kv_tests(Suite *suite)
{
    TCase *tc = tcase_create("kv policies");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, kept_keys_are_seen, 0, N_POLICIES);
    tcase_add_loop_test(tc, windows_are_kept, 0, N_POLICIES);
    tcase_add_test(tc, less_is_not_the_same);
    tcase_add_loop_test(tc, texts_stay_their_own, 0, N_POLICIES);
    tcase_add_loop_test(tc, copies_go_on, 0, N_POLICIES);
    tcase_add_loop_test(tc, votes_are_copied, FIRST_SNAP, N_POLICIES);
    tcase_add_loop_test(tc, turns_depend_on_no_batch, 0, N_POLICIES);
    tcase_add_loop_test(tc, cancelled_texts_go_on, 0, N_POLICIES);
    tcase_add_loop_test(tc, caches_stay_small, 0, N_POLICIES);
    tcase_add_test(tc, bad_policies_are_refused);
    suite_add_tcase(suite, tc);
}
