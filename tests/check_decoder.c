/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders against an independent implementation's texts.
 *
 * tests/data/decoder/texts.py went on greedily in double precision, and stopped where the best two
 * words were too close for fp32 to be sure.  fp32 must find the same words with log-probabilities
 * within 1e-3.  In fp32 and int8, whatever is cut, shared or taken along must not change a bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/decoder.h"
#include "src/sys/pool.h"
#include "src/sys/topology.h"
#include "tests/reference_case.h"
#include "tests/support.h"

enum { MOST_LAYERS = 8, MOST_TEXTS = 8, MOST_IDS = 128, MOST_WORDS = 640, N_PROJECTIONS = 4 };

static const double tolerance = 1e-3;

/* One of each family, then the others. */
static const char *const cases[] = {
    "llama",        "mistral",        "qwen2",        "gpt2",          "opt",
    "llama-biases", "llama-pruned",   "llama-linear", "llama-dynamic", "llama-yarn",
    "llama-llama3", "mistral-wide",   "gpt2-inverse", "qwen2-window",  "opt-projected",
    "llama-cats",   "llama-cats-few",
};
enum { N_FAMILIES = 5, N_CASES = sizeof cases / sizeof cases[0] };

static const char *const isas[] = {"scalar",   "avx2", "avx512",       "avx512_vnni",
                                   "amx_int8", "neon", "neon_dotprod", "neon_i8mm"};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

/* ---- Models and texts ---- */

struct machine {
    struct lac_topology *topology;
    struct lac_pool *pools[3]; /* of 1, 2 and 3 workers */
};

static void machine_open(struct machine *m)
{
    struct lac_error error = {0};
    ck_assert_int_eq(lac_topology_new(&lac_default_host, &m->topology, &error), LAC_OK);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(!lac_pool_new(&lac_default_host, m->topology, i + 1, LAC_BIND_NONE,
                                    &m->pools[i], &error),
                      "%s", error.text);
}

static void machine_close(struct machine *m)
{
    for (size_t i = 0; i < 3; i++)
        lac_pool_free(m->pools[i]);
    lac_topology_free(m->topology);
}

static struct lac_network *open_network(const char *path, enum lac_dtype dtype, unsigned features,
                                        enum lac_activations_rule activations)
{
    struct lac_network_options options = {
        .dtype = dtype,
        .pattern = -1,
        .features = features,
        .activations = activations,
    };
    struct lac_network *network = NULL;
    struct lac_error error = {0};
    ck_assert_msg(!lac_network_open(&lac_default_host, path, &options, &network, &error), "%s",
                  error.text);
    return network;
}

/* A prompt and what was made of it: how it went on, and all logits after every token. */
struct text {
    size_t n_prompt, n;
    int32_t ids[MOST_IDS];
    float (*logits)[MOST_WORDS]; /* [MOST_IDS] */
};

struct texts {
    size_t n;
    struct text text[MOST_TEXTS];
};

static void read_prompts(const json_t *json, struct texts *texts)
{
    const json_t *ids = reference_get(json, "ids");
    texts->n = json_array_size(ids);
    ck_assert_uint_le(texts->n, MOST_TEXTS);
    for (size_t i = 0; i < texts->n; i++) {
        struct text *text = &texts->text[i];
        text->n = text->n_prompt = json_array_size(json_array_get(ids, i));
        for (size_t k = 0; k < text->n; k++)
            text->ids[k] = (int32_t)json_integer_value(json_array_get(json_array_get(ids, i), k));
        text->logits = calloc(MOST_IDS, sizeof *text->logits);
        ck_assert_ptr_nonnull(text->logits);
    }
}

static void texts_clear(struct texts *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        free(texts->text[i].logits);
}

/* How work is cut. */
struct way {
    const char *name;
    size_t n_threads, batch_tokens;
    size_t chunk;    /* tokens of a prompt that are fed at once; 0: all */
    bool one_by_one; /* a text at a time instead of all together */
    enum lac_dtype kv;
};

static const struct way ways[] = {
    {"together", 1, 384, 0, false, 0},         {"two workers", 2, 384, 0, false, 0},
    {"three workers", 3, 384, 0, false, 0},    {"small batches", 1, 7, 0, false, 0},
    {"token by token", 1, 384, 1, true, 0},    {"fed in parts", 2, 384, 11, false, 0},
    {"one after another", 1, 384, 0, true, 0},
};
/* The plain C kernels, which take most of the time, have no tiles and no lanes to mix up. */
enum { N_WAYS = sizeof ways / sizeof ways[0], N_SCALAR_WAYS = 2 };

static int32_t best_word(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* Feeds tokens [from[i], to[i]) of some texts in one call, with all logits after each. */
static void feed(struct lac_decoder *decoder, struct lac_kv *kv, struct texts *texts,
                 const size_t *from, const size_t *to)
{
    struct lac_next *next = calloc(texts->n * MOST_IDS, sizeof *next);
    struct lac_step_text steps[MOST_TEXTS];
    size_t n = 0;
    for (size_t i = 0; i < texts->n; i++) {
        if (from[i] == to[i])
            continue;
        struct text *text = &texts->text[i];
        struct lac_next *own = next + i * MOST_IDS;
        for (size_t k = from[i]; k < to[i]; k++)
            own[k - from[i]] = (struct lac_next){.n_top = 3,
                                                 .logits = text->logits[k],
                                                 .target = k + 1 < text->n ? text->ids[k + 1] : -1,
                                                 .wants_sum = true};
        steps[n++] = (struct lac_step_text){.kv = &kv[i],
                                            .ids = text->ids + from[i],
                                            .n_tokens = to[i] - from[i],
                                            .n_text = text->n,
                                            .n_prompt = text->n_prompt,
                                            .next = own,
                                            .n_next = to[i] - from[i]};
    }
    struct lac_error error = {0};
    ck_assert_msg(!lac_decoder_run(decoder, steps, n, NULL, NULL, &error), "%s", error.text);
    for (size_t i = 0; i < texts->n; i++)
        for (size_t k = from[i]; k < to[i]; k++) {
            const struct lac_next *one = &next[i * MOST_IDS + k - from[i]];
            const float *logits = texts->text[i].logits[k];
            size_t n_words = decoder->network->config.vocab_size;
            double sum = 0;
            for (size_t w = 0; w < n_words; w++)
                sum += exp((double)logits[w]);
            ck_assert_double_lt(fabs(log(sum) - one->log_sum), 1e-5);
            ck_assert_int_eq(one->top[0].id, best_word(logits, n_words));
            for (size_t t = 0; t + 1 < 3; t++)
                ck_assert(one->top[t].logit >= one->top[t + 1].logit);
            if (one->target >= 0)
                ck_assert(one->target_logit == logits[one->target]);
        }
    free(next);
}

/* Prompts in parts, then n_made[i] words one by one, greedily. */
static void go_on(struct lac_decoder *decoder, struct texts *texts, const struct way *way,
                  const size_t *n_made)
{
    struct lac_kv_shape shape = lac_decoder_kv_shape(decoder->network, way->kv);
    struct lac_kv kv[MOST_TEXTS];
    for (size_t i = 0; i < texts->n; i++)
        lac_kv_init(&kv[i], &lac_default_host, &shape);
    for (size_t group = 0; group < (way->one_by_one ? texts->n : 1); group++) {
        for (bool is_done = false; !is_done;) {
            size_t from[MOST_TEXTS] = {0}, to[MOST_TEXTS] = {0};
            is_done = true;
            for (size_t i = 0; i < texts->n; i++) {
                struct text *text = &texts->text[i];
                size_t end = text->n_prompt + (n_made[i] ? n_made[i] - 1 : 0);
                from[i] = to[i] = kv[i].n_keys;
                if ((way->one_by_one && i != group) || from[i] >= end)
                    continue;
                size_t left = text->n_prompt > from[i] ? text->n_prompt - from[i] : 1;
                to[i] = from[i] + (way->chunk && way->chunk < left ? way->chunk : left);
                is_done = false;
            }
            if (is_done)
                break;
            feed(decoder, kv, texts, from, to);
            for (size_t i = 0; i < texts->n; i++) {
                struct text *text = &texts->text[i];
                if (from[i] == to[i] || to[i] < text->n_prompt)
                    continue;
                text->ids[text->n++] =
                    best_word(text->logits[to[i] - 1], decoder->network->config.vocab_size);
            }
        }
    }
    for (size_t i = 0; i < texts->n; i++)
        lac_kv_clear(&kv[i]);
}

/* Tokens one by one leave neurons out, and do not read them where that is sooner. */
static void assert_left_out(const struct lac_neuron_counts *counts)
{
    ck_assert_uint_gt(counts->n_neurons, 0);
    ck_assert_uint_lt(counts->n_active, counts->n_neurons * 2 / 3);
    ck_assert_uint_eq(counts->n_stored, counts->n_neurons);
    ck_assert_uint_ge(counts->n_read, counts->n_active);
    ck_assert_uint_lt(counts->n_read, counts->n_stored);
}

static void run_way(const struct machine *machine, const struct lac_network *network,
                    const json_t *json, const struct way *way, const size_t *n_made,
                    struct texts *texts)
{
    struct lac_decoder decoder;
    struct lac_error error = {0};
    float thresholds[MOST_LAYERS];
    const json_t *given = json_object_get(json, "thresholds");
    struct lac_activations activations = {.policy = {.rule = LAC_ACTIVATIONS_CATS,
                                                     .thresholds = thresholds,
                                                     .n_thresholds = json_array_size(given)}};
    ck_assert_uint_le(json_array_size(given), MOST_LAYERS);
    for (size_t i = 0; i < json_array_size(given); i++)
        thresholds[i] = (float)json_number_value(json_array_get(given, i));
    read_prompts(json, texts);
    const struct lac_decoder_options options = {
        .batch_tokens = way->batch_tokens,
        .activations = given ? &activations : NULL,
    };
    ck_assert_int_eq(lac_decoder_open(&decoder, &lac_default_host, network,
                                      machine->pools[way->n_threads - 1], &options, &error),
                     LAC_OK);
    go_on(&decoder, texts, way, n_made);
    if (given && way->one_by_one)
        assert_left_out(&decoder.counts);
    lac_decoder_close(&decoder);
}

/* ---- What is compared ---- */

static void assert_same_texts(const struct texts *a, const struct texts *b, const char *what,
                              size_t n_words)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct text *x = &a->text[i], *y = &b->text[i];
        for (size_t k = 0; k < x->n - 1; k++)
            ck_assert_msg(!memcmp(x->logits[k], y->logits[k], n_words * sizeof(float)),
                          "%s: text %zu of %zu tokens: other logits after token %zu", what, i,
                          x->n_prompt, k);
        ck_assert_uint_eq(x->n, y->n);
        ck_assert_int_eq(memcmp(x->ids, y->ids, x->n * sizeof *x->ids), 0);
    }
}

static double log_probability(const float *logits, size_t n_words, int32_t id)
{
    double sum = 0;
    for (size_t i = 0; i < n_words; i++)
        sum += exp((double)logits[i]);
    return (double)logits[id] - log(sum);
}

static void assert_projections(const json_t *expected, const float *logits, size_t n_words)
{
    for (size_t p = 0; p < N_PROJECTIONS; p++) {
        double sum = 0;
        for (size_t i = 0; i < n_words; i++) {
            uint32_t drawn = reference_draw(reference_key("signs"), p * n_words + i);
            sum += drawn >> 23 ? -(double)logits[i] : (double)logits[i];
        }
        double wanted = json_number_value(json_array_get(expected, p));
        ck_assert_double_lt(fabs(sum / sqrt((double)n_words) - wanted), tolerance);
    }
}

static void assert_expected(const json_t *json, const struct texts *texts, size_t n_words)
{
    for (size_t i = 0; i < texts->n; i++) {
        const struct text *text = &texts->text[i];
        const json_t *made = json_array_get(reference_get(json, "made"), i);
        const json_t *logs = json_array_get(reference_get(json, "log_probabilities"), i);
        assert_projections(json_array_get(reference_get(json, "last_logits"), i),
                           text->logits[text->n_prompt - 1], n_words);
        for (size_t k = 0; k < json_array_size(made); k++) {
            size_t at = text->n_prompt + k;
            int32_t id = (int32_t)json_integer_value(json_array_get(made, k));
            ck_assert_msg(text->ids[at] == id, "text %zu: word %zu is %d instead of %d", i, k,
                          (int)text->ids[at], (int)id);
            double log = log_probability(text->logits[at - 1], n_words, id);
            ck_assert_double_lt(fabs(log - json_number_value(json_array_get(logs, k))), tolerance);
        }
        double mean = 0;
        for (size_t k = 0; k + 1 < text->n_prompt; k++)
            mean += log_probability(text->logits[k], n_words, text->ids[k + 1]) /
                    (double)(text->n_prompt - 1);
        const json_t *means = reference_get(json, "mean_log_probability");
        ck_assert_double_lt(fabs(mean - json_number_value(json_array_get(means, i))), tolerance);
    }
}

/* ---- Tests ---- */

/* Every layout costs something, and what the plan chose is no dearer than dense. */
static void assert_planned(const struct lac_network *network)
{
    for (size_t i = 0; i < network->n_linears; i++) {
        const struct lac_linear *linear = network->linears[i];
        for (int p = 0; p < LAC_N_PATTERNS; p++)
            ck_assert_msg(linear->cost[p] > 0, "%s: pattern %d costs %g", linear->name, p,
                          linear->cost[p]);
        ck_assert_double_le(linear->cost[linear->weight.pattern], 1);
    }
}

static void run_case(const struct machine *machine, const json_t *json, const char *path,
                     enum lac_dtype dtype, const char *isa)
{
    unsigned allowed;
    ck_assert_int_eq(lac_isa_allowed(isa, &allowed), 0);
    struct lac_network *network = open_network(
        path, dtype, allowed & lac_cpu_features(),
        json_object_get(json, "thresholds") ? LAC_ACTIVATIONS_CATS : LAC_ACTIVATIONS_ALL);
    size_t n_made[MOST_TEXTS], n_words = network->config.vocab_size;
    assert_planned(network);
    ck_assert_uint_le(n_words, MOST_WORDS);
    for (size_t i = 0; i < json_array_size(reference_get(json, "made")); i++)
        n_made[i] = json_array_size(json_array_get(reference_get(json, "made"), i));
    struct texts first;
    for (size_t w = 0; w < (strcmp(isa, "scalar") ? N_WAYS : N_SCALAR_WAYS); w++) {
        struct texts texts;
        run_way(machine, network, json, &ways[w], n_made, w ? &texts : &first);
        if (w) {
            assert_same_texts(&first, &texts, ways[w].name, n_words);
            texts_clear(&texts);
        } else if (dtype == LAC_F32) {
            assert_expected(json, &first, n_words);
        }
    }
    texts_clear(&first);
    lac_network_free(network);
}

START_TEST(test_texts)
{
    char name[64];
    snprintf(name, sizeof name, "decoder/%s", cases[_i]);
    json_t *json = reference_load(name);
    const char *directory = scratch_directory();
    reference_write(json, directory);
    struct machine machine;
    machine_open(&machine);
    for (size_t i = 0; i < N_ISAS; i++) {
        unsigned allowed;
        ck_assert_int_eq(lac_isa_allowed(isas[i], &allowed), 0);
        if (strcmp(lac_isa_name(allowed & lac_cpu_features()), isas[i]) != 0)
            continue; /* run under its own name */
        run_case(&machine, json, directory, LAC_F32, isas[i]);
        run_case(&machine, json, directory, LAC_S8, isas[i]);
    }
    machine_close(&machine);
    reference_remove_weights(directory);
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder");
    TCase *families = tcase_create("families"), *others = tcase_create("others");
    tcase_set_timeout(families, 0);
    tcase_set_timeout(others, 0);
    tcase_add_loop_test(families, test_texts, 0, N_FAMILIES);
    tcase_add_loop_test(others, test_texts, N_FAMILIES, N_CASES);
    suite_add_tcase(suite, families);
    suite_add_tcase(suite, others);
    return run_suite(suite);
}
