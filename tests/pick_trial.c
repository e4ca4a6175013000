/* SPDX-License-Identifier: Apache-2.0 */
/* Rules on trial: their sums against passes that follow these rules, and the choice they lead to.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/decoder.h"
#include "src/run/tuned.h"
#include "src/sys/topology.h"
#include "tests/pick_suite.h"
#include "tests/tiny.h"

enum { N = 460, HEADS = 4, RULES = 7 };

static const char rules[] =
    "{\"rules\": {\"all\": [{\"kind\": \"all\"}], \"near\": [{\"kind\": \"window\", \"left\": 70}],"
    " \"few\": [{\"kind\": \"strided\", \"stride\": 2, \"block\": 64},"
    " {\"kind\": \"window\", \"left\": 0}],"
    " \"lines\": [{\"kind\": \"vertical_slash\", \"columns\": 32, \"diagonals\": 16}],"
    " \"some\": [{\"kind\": \"pooled\", \"blocks\": 1}],"
    " \"gate\": [{\"kind\": \"gate\", \"blocks\": 1}]}}";

struct machine {
    struct lac_topology *topology;
    struct lac_pool *pool;
    struct lac_network *network;
    int32_t ids[N];
};

static void open_machine(struct machine *m, size_t n_threads, size_t n_layers)
{
    struct tiny tiny = {.family = TINY_LLAMA,
                        .layers = n_layers,
                        .heads = HEADS,
                        .hidden = 64,
                        .ffn = 96,
                        .max_tokens = 512,
                        .gates = "Qavg_Kmaxminavg",
                        .gate_width = 32};
    struct lac_network_options options = {
        .dtype = LAC_F32, .pattern = -1, .features = lac_cpu_features()};
    struct lac_error error = {0};
    uint64_t state = test_seed() + 41;
    *m = (struct machine){0};
    ck_assert_int_eq(lac_topology_new(&lac_default_host, &m->topology, &error), LAC_OK);
    ck_assert_int_eq(
        lac_pool_new(&lac_default_host, m->topology, n_threads, LAC_BIND_NONE, &m->pool, &error),
        LAC_OK);
    tiny_make(&tiny, test_seed() + 42);
    for (size_t i = 0; i < N; i++)
        m->ids[i] = (int32_t)random_below(&state, tiny.vocab);
    ck_assert_msg(
        !lac_network_open(&lac_default_host, tiny_write(&tiny), &options, &m->network, &error),
        "%s", error.text);
    tiny_free(&tiny);
}

static void close_machine(struct machine *m)
{
    lac_network_free(m->network);
    lac_pool_free(m->pool);
    lac_topology_free(m->topology);
}

/* All tokens in passes of up to batch_tokens; *outputs, unless it is NULL, are the last pass's
 * attention, [N][HEADS * head_dim], if that had all tokens. */
static void run(const struct machine *m, const struct lac_sights *sights,
                const struct lac_trial *trial, size_t batch_tokens, float *outputs)
{
    const struct lac_decoder_options options = {
        .batch_tokens = batch_tokens, .sights = sights, .trial = trial};
    struct lac_kv_shape shape = lac_decoder_kv_shape(m->network, LAC_F32);
    struct lac_next *nexts = calloc(N, sizeof *nexts);
    struct lac_decoder d;
    struct lac_error error = {0};
    struct lac_kv kv;
    ck_assert_ptr_nonnull(nexts);
    for (size_t i = 0; i < N; i++)
        nexts[i].target = -1;
    lac_kv_init(&kv, &lac_default_host, &shape);
    const struct lac_step_text step = {.kv = &kv,
                                       .ids = m->ids,
                                       .n_tokens = N,
                                       .n_text = N,
                                       .n_prompt = N,
                                       .next = nexts,
                                       .n_next = N};
    ck_assert_int_eq(lac_decoder_open(&d, &lac_default_host, m->network, m->pool, &options, &error),
                     LAC_OK);
    ck_assert_msg(!lac_decoder_run(&d, &step, 1, NULL, NULL, &error), "%s", error.text);
    size_t size = lac_query_size(&m->network->config);
    for (size_t i = 0; outputs && i < N; i++) {
        size_t tile = i / LAC_TILE, n = N - tile * LAC_TILE;
        size_t ld = (n < LAC_TILE ? n + LAC_LANES - 1 : LAC_TILE) / LAC_LANES * LAC_LANES;
        const float *panel = d.region.a + tile * LAC_TILE * size;
        for (size_t k = 0; k < size; k++)
            outputs[i * size + k] = panel[k * ld + i % LAC_TILE];
    }
    lac_decoder_close(&d);
    lac_kv_clear(&kv);
    free(nexts);
}

static void open_trial(const struct machine *m, struct lac_candidates *c, struct lac_trial *trial)
{
    struct lac_error error = {0};
    ck_assert_msg(!lac_candidates_open(c, m->network, rules, sizeof rules - 1, &error), "%s",
                  error.text);
    ck_assert_uint_eq(c->n, RULES);
    ck_assert_str_eq(c->names[0], "usual");
    ck_assert_int_eq(lac_trial_open(trial, &lac_default_host, m->network, c->sights, c->n, N,
                                    lac_pool_size(m->pool), &error),
                     LAC_OK);
}

/* Blocks of keys that some query of a block of 64 sees, for each of its queries. */
static double count_blocks(const struct lac_sight *sight)
{
    size_t n_blocks = 0;
    for (size_t first = 0; first < N; first += 64)
        for (size_t block = 0; block < N; block += 64) {
            size_t n = N - first < 64 ? N - first : 64;
            bool sees = false;
            for (size_t i = 0; i < n * 64 && !sees; i++)
                sees =
                    block + i % 64 < N && lac_sight_sees(sight, N, first + i / 64, block + i % 64);
            n_blocks += sees ? n : 0;
        }
    return (double)n_blocks;
}

/* In a network of one layer a pass by a rule gives what the trial of that rule looked at. */
START_TEST(trials_add_up)
{
    struct machine m;
    struct lac_candidates c;
    struct lac_trial trial;
    open_machine(&m, 2, 1);
    open_trial(&m, &c, &trial);
    size_t size = lac_query_size(&m.network->config), head_dim = m.network->config.head_dim;
    float *first = calloc(N * size, sizeof *first), *own = calloc(N * size, sizeof *own);
    float *tried = calloc(N * size, sizeof *tried);
    ck_assert(first && own && tried);
    run(&m, &c.sights[0], NULL, 1000, first);
    run(&m, &c.sights[0], &trial, 1000, tried);
    ck_assert(!memcmp(first, tried, N * size * sizeof *first)); /* it goes on as without */
    for (size_t rule = 0; rule < c.n; rule++) {
        run(&m, &c.sights[rule], NULL, 1000, own);
        for (size_t head = 0; head < HEADS; head++) {
            const struct lac_trial_head *found = &trial.heads[rule * HEADS + head];
            double square = 0, error = 0, worst = 0;
            for (size_t tile = 0; tile < N; tile += LAC_TILE) {
                double before = error;
                for (size_t i = tile; i < N && i < tile + LAC_TILE; i++)
                    for (size_t k = head * head_dim; k < (head + 1) * head_dim; k++) {
                        double x = (double)own[i * size + k], y = x - (double)first[i * size + k];
                        square += x * x;
                        error += y * y;
                    }
                worst = fmax(worst, error - before);
            }
            check_each(fabs(found->square - square) <= 1e-9 * square &&
                           fabs(found->error - error) <= 1e-9 * square &&
                           fabs(found->worst - worst) <= 1e-9 * square && found->n_tokens == N,
                       "rule %s, head %zu: %g of %g, expected %g of %g", c.names[rule], head,
                       found->error, found->square, error, square);
            if (rule < 4)
                check_each(found->n_blocks == count_blocks(c.sights[rule].rules[head]),
                           "rule %s, head %zu: %g blocks", c.names[rule], head, found->n_blocks);
            check_each((error > 0) == (rule > 1), "rule %s, head %zu: error %g", c.names[rule],
                       head, error);
        }
    }
    free(first);
    free(own);
    free(tried);
    lac_trial_close(&trial);
    lac_candidates_close(&c);
    close_machine(&m);
}
END_TEST

/* Nor do they depend on workers or passes, but for the order of adding over passes. */
START_TEST(trials_do_not_depend_on_workers)
{
    struct lac_trial_head expected[RULES * 2 * HEADS];
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct machine m;
        struct lac_candidates c;
        struct lac_trial trial;
        open_machine(&m, n_threads, 2);
        for (size_t batch = 1; batch <= 1000; batch += 999) {
            open_trial(&m, &c, &trial);
            run(&m, &c.sights[0], &trial, batch, NULL);
            if (n_threads == 1 && batch == 1)
                memcpy(expected, trial.heads, sizeof expected);
            for (size_t i = 0; i < c.n * 2 * HEADS; i++) {
                const struct lac_trial_head *a = &expected[i], *b = &trial.heads[i];
                check_each(a->n_blocks == b->n_blocks &&
                               fabs(a->square - b->square) <= 1e-9 * a->square &&
                               fabs(a->error - b->error) <= 1e-9 * a->square &&
                               (batch > 1 || !memcmp(a, b, sizeof *a)),
                           "%zu threads, passes of %zu: head %zu", n_threads, batch, i);
            }
            lac_trial_close(&trial);
            lac_candidates_close(&c);
        }
        close_machine(&m);
    }
}
END_TEST

/* ---- The choice ---- */

/* Made-up squares, errors and blocks of one layer's heads by all rules but the gate; only the last
 * two choose.  With N_TRIED tokens. */
enum { N_TRIED = 10 * LAC_TILE };
static const double sums[RULES - 1][HEADS][3] = {
    {{100, 0, 1000}, {100, 0, 1000}, {100, 0, 1000}, {0, 0, 1000}},
    {{100, 4, 500}, {100, 1, 500}, {100, 81, 500}, {0, 0, 500}},
    {{100, 16, 100}, {100, 64, 100}, {100, 100, 100}, {0, 0, 100}},
    {{100, 1, 500}, {100, 1, 500}, {100, 81, 500}, {0, 0, 500}},
    {{100, 4, 480}, {100, 4, 300}, {100, 1, 950}, {0, 0, 200}},
    {{100, 1, 480}, {100, 9, 300}, {100, 1, 930}, {0, 0, 200}},
};

static void check_choice(struct lac_trial *trial, double error, double density,
                         const size_t *expected, double whole)
{
    const struct lac_tuning_goal goal = {error, density};
    struct lac_tuned tuned;
    struct lac_error message = {0};
    ck_assert_msg(!lac_tuned_open(&tuned, trial, &goal, &message), "%s", message.text);
    for (size_t head = 0; head < HEADS; head++)
        check_each(tuned.heads[head].rule == expected[head], "%g, %g: head %zu: rule %zu", error,
                   density, head, tuned.heads[head].rule);
    ck_assert_double_eq_tol(tuned.density, whole, 1e-12);
    lac_tuned_close(&tuned);
}

START_TEST(heads_get_what_serves_them)
{
    struct machine m;
    struct lac_candidates c;
    struct lac_trial trial;
    struct lac_error error = {0};
    struct lac_tuned tuned;
    open_machine(&m, 1, 1);
    open_trial(&m, &c, &trial);
    trial.n_sights = RULES - 1;
    for (size_t i = 0; i < (RULES - 1) * HEADS; i++) {
        const double *sum = sums[i / HEADS][i % HEADS];
        trial.heads[i] = (struct lac_trial_head){
            .square = sum[0], .error = sum[1], .n_blocks = sum[2], .n_tokens = N_TRIED};
    }
    /* What chooses costs 0.091 or 0.039 of all more than its blocks. */
    check_choice(&trial, 0.05, 0, (const size_t[]){0, 0, 0, 2}, 0.775);
    check_choice(&trial, 0.1, 0, (const size_t[]){3, 1, 5, 2}, 0.5075);
    check_choice(&trial, 0.3, 0, (const size_t[]){1, 5, 5, 2}, 0.4575);
    check_choice(&trial, 1, 0, (const size_t[]){2, 2, 2, 2}, 0.1);
    check_choice(&trial, 0, 0.1, (const size_t[]){2, 2, 2, 2}, 0.1);
    check_choice(&trial, 0, 0.15, (const size_t[]){2, 4, 2, 2}, 0.15);
    check_choice(&trial, 0, 0.2, (const size_t[]){2, 1, 2, 2}, 0.2);
    check_choice(&trial, 0, 1, (const size_t[]){0, 0, 0, 2}, 0.775);
    /* All of head 1's errors by these rules in one tile of ten: a third of sqrt(10) times as much.
     */
    trial.heads[1 * HEADS + 1].worst = trial.heads[3 * HEADS + 1].worst = 1;
    check_choice(&trial, 0.1, 0, (const size_t[]){3, 0, 5, 2}, 0.6325);
    check_choice(&trial, 0.106, 0, (const size_t[]){3, 1, 5, 2}, 0.5075);
    const struct lac_tuning_goal little = {0, 0.09};
    ck_assert_int_eq(lac_tuned_open(&tuned, &trial, &little, &error), LAC_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "no less than 0.1"));
    lac_trial_close(&trial);
    lac_candidates_close(&c);
    close_machine(&m);
}
END_TEST

void add_trial_tests(Suite *suite)
{
    add_test(suite, "trials", trials_add_up);
    add_test(suite, "trials, workers", trials_do_not_depend_on_workers);
    add_test(suite, "tuned heads", heads_get_what_serves_them);
}
