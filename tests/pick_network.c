/* SPDX-License-Identifier: Apache-2.0 */
/* Networks whose attention is chosen: the same results however work is cut and shared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "src/run/decoder.h"
#include "src/sys/topology.h"
#include "tests/pick_suite.h"
#include "tests/run_suite.h"

/* Heads of both layers choose in different ways, and some do not. */
static const char encoder_plan[] =
    "{\"rules\": {\"lines\": [{\"kind\": \"vertical_slash\", \"columns\": 48, \"diagonals\": 32,"
    " \"sample\": 32}], \"pooled\": [{\"kind\": \"pooled\", \"blocks\": 2}],"
    " \"near\": [{\"kind\": \"estimate\", \"threshold\": 0.9, \"near\": 0}]},"
    " \"layers\": [[\"lines\", \"usual\"], [\"pooled\", \"near\"]]}";
static const char decoder_plan[] =
    "{\"rules\": {\"lines\": [{\"kind\": \"vertical_slash\", \"columns\": 48, \"diagonals\": 32,"
    " \"sample\": 32, \"near\": 16}], \"pooled\": [{\"kind\": \"pooled\", \"blocks\": 2}],"
    " \"near\": [{\"kind\": \"estimate\", \"threshold\": 0.9, \"near\": 0},"
    " {\"kind\": \"window\", \"left\": 40}]},"
    " \"layers\": [[\"lines\", \"usual\", \"pooled\", \"near\"],"
    " [\"near\", \"lines\", \"pooled\", \"pooled\"]]}";

static const char gated_plan[] =
    "{\"rules\": {\"few\": [{\"kind\": \"gate\", \"threshold\": 0.1}], \"three\": [{\"kind\":"
    " \"gate\", \"blocks\": 3}], \"pooled\": [{\"kind\": \"pooled\", \"blocks\": 2}],"
    " \"third\": [{\"kind\": \"gate\", \"share\": 0.3, \"first\": 16}]},"
    " \"layers\": [[\"few\", \"three\", \"pooled\", \"third\"],"
    " [\"third\", \"few\", \"usual\", \"few\"]]}";

/* ---- Encoders ---- */

static const size_t sizes[] = {1, 40, 200, 385, 800};
enum { N_TEXTS = 5, LONGEST = 800, WIDTH = 3 };

static float *run_encoder(struct lac_model *model, enum lac_task task, size_t batch_tokens,
                          const int32_t (*ids)[LONGEST], size_t first)
{
    float *out = calloc((size_t)N_TEXTS * LONGEST * WIDTH, sizeof *out);
    struct lac_session *session = run_session(model, task, batch_tokens, LAC_POOL_DEFAULT);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t text = (i + first) % N_TEXTS, at;
        ck_assert_int_eq(lac_session_add_ids(session, ids[text], NULL, sizes[text], &at), LAC_OK);
    }
    ck_assert_msg(!lac_session_run(session), "%s", lac_session_message(session));
    for (size_t i = 0; i < N_TEXTS; i++) {
        const float *x, *y;
        size_t n = 0, m = 1;
        ck_assert_int_eq(task == LAC_TASK_TAG ? lac_session_tags(session, i, &x, &y, &m, &n)
                                              : lac_session_classes(session, i, &x, &y, &n),
                         LAC_OK);
        ck_assert_uint_le(m * n, LONGEST * WIDTH);
        memcpy(out + (i + first) % N_TEXTS * LONGEST * WIDTH, x, m * n * sizeof *x);
    }
    lac_session_free(session);
    return out;
}

static void check_encoder(enum tiny_head head, enum lac_dtype dtype)
{
    static const size_t threads[] = {1, 2, 3}, batches[] = {1, 500, 5000};
    const size_t size = (size_t)N_TEXTS * LONGEST * WIDTH;
    enum lac_task task = head == TINY_TAG ? LAC_TASK_TAG : LAC_TASK_CLASSIFY;
    struct tiny tiny = {.head = head,
                        .layers = 2,
                        .heads = 2,
                        .hidden = 64,
                        .ffn = 160,
                        .max_tokens = LONGEST,
                        .labels = WIDTH};
    int32_t(*ids)[LONGEST] = calloc(N_TEXTS, sizeof *ids);
    uint64_t state = test_seed() + 21;
    float *first = NULL, *dense = NULL;
    tiny_make(&tiny, test_seed() + 22);
    for (size_t i = 0; i < N_TEXTS; i++)
        tiny_ids(&tiny, &state, sizes[i], ids[i]);
    for (size_t plan = 0; plan < 2; plan++) {
        tiny.attention = plan ? encoder_plan : NULL;
        const char *path = tiny_write(&tiny);
        for (size_t t = 0; t < (plan ? 3 : 1); t++) {
            struct lac_engine *engine = run_engine(threads[t], NULL);
            struct lac_model *model = run_model(engine, path, dtype, -1);
            for (size_t b = 0; b < (plan ? 3 : 1); b++) {
                float *found = run_encoder(model, task, batches[b], ids, t + b);
                float **keep = plan ? &first : &dense;
                if (*keep) {
                    ck_assert_msg(!memcmp(*keep, found, size * sizeof *found),
                                  "head %d, dtype %d, %zu threads, batches of %zu", (int)head,
                                  (int)dtype, threads[t], batches[b]);
                    free(found);
                } else {
                    *keep = found;
                }
            }
            lac_model_free(model);
            lac_engine_free(engine);
        }
    }
    ck_assert(memcmp(first, dense, size * sizeof *first) != 0);
    /* Short texts have nothing to choose from. */
    ck_assert(!memcmp(first, dense, sizes[0] * WIDTH * sizeof *first));
    ck_assert(!memcmp(first + LONGEST * WIDTH, dense + LONGEST * WIDTH,
                      (head == TINY_TAG ? sizes[1] : 1) * WIDTH * sizeof *first));
    free(first);
    free(dense);
    free(ids);
    tiny_free(&tiny);
}

START_TEST(encoders)
{
    check_encoder(TINY_TAG, LAC_F32);
    check_encoder(TINY_TAG, LAC_S8);
    check_encoder(TINY_CLASSIFY, LAC_F32);
    check_encoder(TINY_CLASSIFY, LAC_S8);
}
END_TEST

/* ---- Decoders ---- */

enum { LONG = 1000, MADE = 3, OTHER = 300 };

/* How a long text is run before MADE more come one by one. */
struct way {
    size_t n_threads, batch_tokens;
    bool has_company, asks_all;
};

/* What follows each token, by its logits' sum. */
static void run_decoder(const struct lac_network *network, struct lac_pool *const *pools,
                        enum lac_dtype kv_dtype, const struct way *way, size_t n_long,
                        const int32_t *ids, float *out)
{
    struct lac_decoder decoder;
    struct lac_error error = {0};
    struct lac_kv kv[2];
    struct lac_kv_shape shape = lac_decoder_kv_shape(network, kv_dtype);
    struct lac_next *next = calloc(LONG + OTHER, sizeof *next);
    ck_assert_ptr_nonnull(next);
    const struct lac_decoder_options options = {.batch_tokens = way->batch_tokens};
    ck_assert_int_eq(lac_decoder_open(&decoder, &lac_default_host, network,
                                      pools[way->n_threads - 1], &options, &error),
                     LAC_OK);
    for (size_t i = 0; i < 2; i++)
        lac_kv_init(&kv[i], &lac_default_host, &shape);
    for (size_t end = n_long; end <= n_long + MADE; end++) {
        size_t n = end - kv[0].n_keys, n_next = way->asks_all ? n : 1;
        for (size_t i = 0; i < n_long; i++)
            next[i] = (struct lac_next){.target = 7, .wants_sum = true};
        struct lac_step_text steps[2] = {
            {.kv = &kv[0],
             .ids = ids + kv[0].n_keys,
             .n_tokens = n,
             .n_text = end,
             .n_prompt = n_long,
             .next = next,
             .n_next = n_next},
            {.kv = &kv[1], .ids = ids + 5, .n_tokens = OTHER, .n_text = OTHER, .n_prompt = OTHER},
        };
        /* The other text goes first, in the way. */
        struct lac_step_text together[2] = {steps[1], steps[0]};
        bool has_both = way->has_company && end == n_long;
        ck_assert_msg(!lac_decoder_run(&decoder, has_both ? together : steps, has_both ? 2 : 1,
                                       NULL, NULL, &error),
                      "%s", error.text);
        for (size_t i = 0; i < n; i++) {
            const struct lac_next *one = &next[i - (n - n_next)];
            if (i + n_next >= n) {
                out[2 * (end - n + i)] = one->target_logit;
                out[2 * (end - n + i) + 1] = (float)one->log_sum;
            }
        }
    }
    for (size_t i = 0; i < 2; i++)
        lac_kv_clear(&kv[i]);
    lac_decoder_close(&decoder);
    free(next);
}

static struct lac_network *open_path(const char *path, enum lac_dtype dtype)
{
    struct lac_network_options options = {
        .dtype = dtype, .pattern = -1, .features = lac_cpu_features()};
    struct lac_network *network = NULL;
    struct lac_error error = {0};
    ck_assert_msg(!lac_network_open(&lac_default_host, path, &options, &network, &error), "%s",
                  error.text);
    return network;
}

static struct lac_network *open_network(const struct tiny *tiny, enum lac_dtype dtype)
{
    return open_path(tiny_write(tiny), dtype);
}

static void check_decoder(const char *attention, enum lac_dtype dtype, enum lac_dtype kv_dtype)
{
    static const struct way ways[] = {
        {1, 1000, false, true}, {1, 384, false, true},  {1, 1, false, true},
        {2, 500, false, true},  {3, 1000, false, true}, {1, 700, true, true},
        {2, 384, true, false},  {1, 390, false, false}, {3, 5000, true, false},
    };
    struct tiny tiny = {.family = TINY_LLAMA,
                        .layers = 2,
                        .heads = 4,
                        .hidden = 64,
                        .ffn = 96,
                        .max_tokens = 2048,
                        .gates = attention == gated_plan ? "Qavg_Kmaxminavg" : NULL,
                        .gate_width = 32};
    const size_t n = 2 * (LONG + MADE);
    int32_t ids[LONG + MADE];
    uint64_t state = test_seed() + 31;
    float *first = calloc(n, sizeof *first), *found = calloc(n, sizeof *found);
    struct lac_topology *topology = NULL;
    struct lac_pool *pools[3];
    struct lac_error error = {0};
    ck_assert(first && found);
    ck_assert_int_eq(lac_topology_new(&lac_default_host, &topology, &error), LAC_OK);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(
            lac_pool_new(&lac_default_host, topology, i + 1, LAC_BIND_NONE, &pools[i], &error),
            LAC_OK);
    tiny_make(&tiny, test_seed() + 32);
    for (size_t i = 0; i < LONG + MADE; i++)
        ids[i] = (int32_t)random_below(&state, tiny.vocab);
    for (size_t plan = 0; plan < 2; plan++) {
        tiny.attention = plan ? attention : NULL;
        struct lac_network *network = open_network(&tiny, dtype);
        for (size_t w = 0; w < (plan ? sizeof ways / sizeof ways[0] : 1); w++) {
            memset(found, 0, n * sizeof *found);
            run_decoder(network, pools, kv_dtype, &ways[w], LONG, ids, found);
            if (!w && plan) /* first holds the dense network's */
                ck_assert(memcmp(first + 2 * 300, found + 2 * 300, 1200 * sizeof *found) != 0);
            if (!w) {
                memcpy(first, found, n * sizeof *found);
                continue;
            }
            for (size_t i = ways[w].asks_all ? 0 : 2 * (LONG - 1); i < n; i++)
                check_each(!memcmp(&first[i], &found[i], sizeof *first),
                           "dtype %d, keys %d, way %zu: token %zu", (int)dtype, (int)kv_dtype, w,
                           i / 2);
        }
        lac_network_free(network);
    }
    for (size_t i = 0; i < 3; i++)
        lac_pool_free(pools[i]);
    lac_topology_free(topology);
    free(first);
    free(found);
    tiny_free(&tiny);
}

START_TEST(decoders)
{
    check_decoder(decoder_plan, LAC_F32, LAC_F32);
    check_decoder(decoder_plan, LAC_S8, LAC_S8);
    check_decoder(decoder_plan, LAC_F32, LAC_BF16);
}
END_TEST

START_TEST(gated_decoders)
{
    check_decoder(gated_plan, LAC_F32, LAC_F32);
    check_decoder(gated_plan, LAC_S8, LAC_S8);
    check_decoder(gated_plan, LAC_F32, LAC_BF16);
}
END_TEST

/* ---- Gates of a whole model ---- */

enum { N_PLANS = 5, GATED_BLOCKS = 9, GATED = GATED_BLOCKS * LAC_KEY_BLOCK + 20 };
#define GATED_THRESHOLD 0.08

static const float *tensor(const struct tiny *t, const char *name)
{
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, name))
            return t->tensors[i].data;
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

/* Of the first layer: rows of a projection of a token's word, normalised. */
static void project_word(const struct tiny *t, int32_t id, const char *name, size_t first, size_t n,
                         double *out)
{
    const float *word = tensor(t, "model.embed_tokens.weight") + (size_t)id * t->hidden;
    const float *gamma = tensor(t, "model.layers.0.input_layernorm.weight");
    const float *w = tensor(t, name) + first * t->hidden;
    double squares = 0;
    for (size_t i = 0; i < t->hidden; i++)
        squares += (double)word[i] * (double)word[i];
    double scale = 1 / sqrt(squares / (double)t->hidden + 1e-6);
    for (size_t o = 0; o < n; o++) {
        out[o] = 0;
        for (size_t i = 0; i < t->hidden; i++)
            out[o] += (double)w[o * t->hidden + i] * (double)word[i] * scale * (double)gamma[i];
    }
}

/* The plan of masks that a head's gates come to: false if a weight is too near to the threshold.
 * Rows behind those that gates choose for see all. */
static bool add_mask(const struct tiny *t, size_t head, const int32_t *ids, FILE *plan)
{
    const size_t dim = t->hidden / t->heads, n = GATED_BLOCKS;
    double *q = calloc(GATED, dim * sizeof *q), *k = calloc(GATED, dim * sizeof *k);
    double weights[GATED_BLOCKS * GATED_BLOCKS];
    bool is_clear = true;
    for (size_t i = 0; i < GATED; i++) {
        project_word(t, ids[i], "model.layers.0.self_attn.q_proj.weight", head * dim, dim,
                     q + i * dim);
        project_word(t, ids[i], "model.layers.0.self_attn.k_proj.weight", head / 2 * dim, dim,
                     k + i * dim);
    }
    naive_gates(t, 0, head, q, k, n, weights);
    fprintf(plan, "%s\"head%zu\": [{\"kind\": \"blocks\", \"mask\": [", head ? ", " : "", head);
    for (size_t b = 0; b <= n; b++) {
        fprintf(plan, "%s\"", b ? ", " : "");
        for (size_t i = 0; i <= n; i++) {
            double weight = b < n && i < n ? weights[b * n + i] : 1;
            is_clear = is_clear && fabs(weight - GATED_THRESHOLD) > 1e-4;
            fputc(b == n || i == b || weight > GATED_THRESHOLD ? '1' : '0', plan);
        }
        fputc('"', plan);
    }
    fprintf(plan, "]}]");
    free(q);
    free(k);
    return is_clear;
}

/* The gates of a model of one layer choose as those of the definition do: attention by the masks
 * that these come to has the same bits.  config.json says that all heads ask them, or a plan. */
START_TEST(gates_of_a_model)
{
    struct tiny tiny = {.family = TINY_LLAMA,
                        .layers = 1,
                        .heads = 4,
                        .hidden = 128,
                        .max_tokens = 1024,
                        .gates = "Qavg_Kmaxmin",
                        .gate_rule = ", \"seerattn_threshold\": 0.08",
                        .gate_width = 64};
    static const struct way way = {1, 5000, false, true};
    struct lac_error error = {0};
    struct lac_topology *topology = NULL;
    struct lac_pool *pool = NULL;
    int32_t ids[LONG + MADE];
    uint64_t state = test_seed() + 51;
    float *found[N_PLANS];
    ck_assert_int_eq(lac_topology_new(&lac_default_host, &topology, &error), LAC_OK);
    ck_assert_int_eq(lac_pool_new(&lac_default_host, topology, 1, LAC_BIND_NONE, &pool, &error),
                     LAC_OK);
    tiny_make(&tiny, test_seed() + 52);
    char *plan = NULL;
    for (bool is_clear = false; !is_clear;) {
        size_t size = 0;
        free(plan);
        FILE *text = open_memstream(&plan, &size);
        for (size_t i = 0; i < LONG + MADE; i++)
            ids[i] = (int32_t)random_below(&state, tiny.vocab);
        is_clear = true;
        fprintf(text, "{\"rules\": {");
        for (size_t head = 0; head < tiny.heads; head++)
            is_clear = add_mask(&tiny, head, ids, text) && is_clear;
        fprintf(text, "}, \"layers\": [[\"head0\", \"head1\", \"head2\", \"head3\"]]}");
        fclose(text);
    }
    static const char asked[] = "{\"rules\": {\"gate\": [{\"kind\": \"gate\"}]}, \"layers\": "
                                "\"gate\"}";
    static const char all[] = "{\"rules\": {\"all\": [{\"kind\": \"all\"}]}, \"layers\": \"all\"}";
    /* The last is a packed file of the first. */
    const char *plans[N_PLANS] = {NULL, asked, plan, all, NULL};
    char packed[512];
    snprintf(packed, sizeof packed, "%s/gated.lacuna", scratch_directory());
    for (size_t i = 0; i < N_PLANS; i++) {
        found[i] = calloc(2 * (GATED + MADE), sizeof *found[i]);
        tiny.attention = plans[i];
        struct lac_network *network =
            open_path(i < N_PLANS - 1 ? tiny_write(&tiny) : packed, LAC_F32);
        run_decoder(network, &pool, LAC_F32, &way, GATED, ids, found[i]);
        if (!i)
            ck_assert_int_eq(lac_network_pack(network, NULL, packed, &error), LAC_OK);
        lac_network_free(network);
    }
    for (size_t i = 1; i < N_PLANS; i++)
        for (size_t token = 0; token < GATED && i != 3; token++)
            check_each(!memcmp(found[0] + 2 * token, found[i] + 2 * token, 2 * sizeof **found),
                       "plan %zu: token %zu", i, token);
    ck_assert(memcmp(found[0], found[3], 2 * GATED * sizeof **found) != 0);
    for (size_t i = 0; i < N_PLANS; i++)
        free(found[i]);
    free(plan);
    lac_pool_free(pool);
    lac_topology_free(topology);
    tiny_free(&tiny);
}
END_TEST

/* What gates made of keys that were cut off is forgotten: another end of a text has the results
 * that it has after the same beginning alone. */
START_TEST(gates_after_a_cut)
{
    enum { KEPT = 200, OTHER_END = 400 };
    struct tiny tiny = {.family = TINY_LLAMA,
                        .heads = 4,
                        .hidden = 64,
                        .max_tokens = 2048,
                        .gates = "Qavg_Kmaxminavg",
                        .gate_rule = ", \"seerattn_threshold\": 0.12",
                        .gate_width = 32};
    struct lac_error error = {0};
    struct lac_topology *topology = NULL;
    struct lac_pool *pool = NULL;
    int32_t ids[LONG], other[OTHER_END];
    float found[2];
    uint64_t state = test_seed() + 61;
    ck_assert_int_eq(lac_topology_new(&lac_default_host, &topology, &error), LAC_OK);
    ck_assert_int_eq(lac_pool_new(&lac_default_host, topology, 1, LAC_BIND_NONE, &pool, &error),
                     LAC_OK);
    tiny_make(&tiny, test_seed() + 62);
    for (size_t i = 0; i < LONG; i++)
        ids[i] = (int32_t)random_below(&state, tiny.vocab);
    for (size_t i = 0; i < OTHER_END; i++)
        other[i] = (int32_t)random_below(&state, tiny.vocab);
    struct lac_network *network = open_network(&tiny, LAC_S8);
    struct lac_kv_shape shape = lac_decoder_kv_shape(network, 0);
    const struct lac_decoder_options options = {.batch_tokens = 1000};
    struct lac_decoder decoder;
    ck_assert_int_eq(lac_decoder_open(&decoder, &lac_default_host, network, pool, &options, &error),
                     LAC_OK);
    for (size_t cut = 0; cut < 2; cut++) {
        struct lac_kv kv;
        struct lac_next next = {.target = 7, .wants_sum = true};
        lac_kv_init(&kv, &lac_default_host, &shape);
        const size_t ends[] = {KEPT, LONG};
        for (size_t i = 0; i <= cut; i++) {
            struct lac_step_text step = {.kv = &kv,
                                         .ids = ids + kv.n_keys,
                                         .n_tokens = ends[i] - kv.n_keys,
                                         .n_text = ends[i],
                                         .n_prompt = ends[i]};
            ck_assert_int_eq(lac_decoder_run(&decoder, &step, 1, NULL, NULL, &error), LAC_OK);
        }
        lac_kv_truncate(&kv, KEPT);
        struct lac_step_text step = {.kv = &kv,
                                     .ids = other,
                                     .n_tokens = OTHER_END,
                                     .n_text = KEPT + OTHER_END,
                                     .n_prompt = KEPT + OTHER_END,
                                     .next = &next,
                                     .n_next = 1};
        ck_assert_int_eq(lac_decoder_run(&decoder, &step, 1, NULL, NULL, &error), LAC_OK);
        found[cut] = next.target_logit;
        ck_assert_uint_ge(lac_kv_bytes(&kv), kv.pools.n[0] * shape.n_pooled * sizeof(float));
        lac_kv_clear(&kv);
    }
    ck_assert(!memcmp(&found[0], &found[1], sizeof *found));
    lac_decoder_close(&decoder);
    lac_network_free(network);
    lac_pool_free(pool);
    lac_topology_free(topology);
    tiny_free(&tiny);
}
END_TEST

void add_network_tests(Suite *suite)
{
    add_test(suite, "encoders", encoders);
    add_test(suite, "decoders", decoders);
    add_test(suite, "gated_decoders", gated_decoders);
    add_test(suite, "gates_of_a_model", gates_of_a_model);
    add_test(suite, "gates_after_a_cut", gates_after_a_cut);
}
