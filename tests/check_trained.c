/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped models on what was held out of their training: the encoders here.
 *
 * tests/data/reference/trained.py wrote the recipe's tokens and the logits of the same files in
 * double precision.  LACUNA_ISA and its like are honoured here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "tests/trained_suite.h"

enum { MAX_DEFINITIONS = 1 << 16, MAX_TOKENS = 128 };

/* Of the largest logit. */
static const double fp32_tolerance = 1e-4;
static const double int8_same_class = 0.99;

const char *const trained_models[2] = {"dense", "sparse"};

struct heldout {
    char *text; /* the file, cut into strings */
    size_t n;
    const char **labels, **definitions;
};

char *trained_file(const char *relative, size_t *size)
{
    FILE *file = fopen(source_path(relative), "rb");
    ck_assert_msg(file != NULL, "cannot read %s", relative);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    long end = ftell(file);
    ck_assert_int_gt(end, 0);
    rewind(file);
    char *data = malloc((size_t)end + 1);
    ck_assert_ptr_nonnull(data);
    *size = fread(data, 1, (size_t)end, file);
    ck_assert_int_eq((long)*size, end);
    data[*size] = 0;
    fclose(file);
    return data;
}

/* Lines of a label, a tabulator and a definition. */
static struct heldout read_heldout(void)
{
    struct heldout heldout = {0};
    size_t size;
    heldout.text = trained_file("models/wordnet-encoder-heldout.tsv", &size);
    heldout.labels = calloc(MAX_DEFINITIONS, sizeof *heldout.labels);
    heldout.definitions = calloc(MAX_DEFINITIONS, sizeof *heldout.definitions);
    ck_assert(heldout.labels && heldout.definitions);
    char *rest = heldout.text, *line;
    while ((line = strsep(&rest, "\n")) && *line) {
        char *tabulator = strchr(line, '\t');
        ck_assert_ptr_nonnull(tabulator);
        *tabulator = 0;
        ck_assert_uint_lt(heldout.n, MAX_DEFINITIONS);
        heldout.labels[heldout.n] = line;
        heldout.definitions[heldout.n++] = tabulator + 1;
    }
    return heldout;
}

static void heldout_clear(struct heldout *heldout)
{
    free(heldout->text);
    free(heldout->labels);
    free(heldout->definitions);
}

json_t *trained_expected(const char *relative)
{
    json_error_t error;
    json_t *json = json_load_file(source_path(relative), 0, &error);
    ck_assert_msg(json != NULL, "%s: %s at line %d", relative, error.text, error.line);
    return json;
}

static json_t *read_expected(void)
{
    return trained_expected("tests/data/reference/trained.json");
}

static uint64_t fnv1a(uint64_t hash, const void *data, size_t size)
{
    for (const unsigned char *byte = data; size--; byte++)
        hash = (hash ^ *byte) * 0x100000001b3u;
    return hash;
}

static const uint64_t fnv1a_start = 0xcbf29ce484222325u;

static uint64_t hash_of_ids(uint64_t hash, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)ids[i];
        const unsigned char bytes[4] = {(unsigned char)id, (unsigned char)(id >> 8),
                                        (unsigned char)(id >> 16), (unsigned char)(id >> 24)};
        hash = fnv1a(hash, bytes, sizeof bytes);
    }
    return hash;
}

static void assert_hash(const json_t *expected, uint64_t hash, const char *what, size_t number)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    const char *other = json_string_value(expected);
    ck_assert_msg(other && !strcmp(text, other), "%s %zu: hash %s, expected %s", what, number, text,
                  other ? other : "nothing");
}

struct lac_engine *trained_engine(void)
{
    struct lac_engine_options *options;
    struct lac_engine *engine;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    enum lac_status status = lac_engine_options_from_environment(options);
    ck_assert_msg(status == LAC_OK, "%s", lac_engine_options_message(options));
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_options_free(options);
    return engine;
}

struct lac_model *trained_model(struct lac_engine *engine, const char *kind, const char *name,
                                enum lac_dtype dtype)
{
    struct lac_model_options *options;
    struct lac_model *model;
    char relative[64], message[512];
    snprintf(relative, sizeof relative, "models/wordnet-%s-%s", kind, name);
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, dtype);
    enum lac_status status = lac_model_open(engine, source_path(relative), options, &model);
    ck_assert_msg(status == LAC_OK, "%s", lac_engine_message(engine, message, sizeof message));
    lac_model_options_free(options);
    return model;
}

static void assert_ids(const json_t *expected, const struct lac_encoding *encoding, size_t line)
{
    ck_assert_msg(json_array_size(expected) == encoding->n, "definition %zu: %zu tokens, not %zu",
                  line, encoding->n, json_array_size(expected));
    for (size_t i = 0; i < encoding->n; i++) {
        long long id = json_integer_value(json_array_get(expected, i));
        ck_assert_msg(id == encoding->ids[i], "definition %zu, token %zu: id %d, not %lld", line, i,
                      encoding->ids[i], id);
    }
}

START_TEST(tokens_are_those_of_the_recipe)
{
    json_t *expected = read_expected();
    struct heldout heldout = read_heldout();
    struct lac_engine *engine = trained_engine();
    char relative[64];
    snprintf(relative, sizeof relative, "models/wordnet-encoder-%s", trained_models[_i]);
    struct lac_tokenizer *tokenizer;
    ck_assert_int_eq(lac_tokenizer_open(engine, source_path(relative), &tokenizer), LAC_OK);

    const json_t *lines = json_object_get(expected, "lines"),
                 *ids = json_object_get(expected, "ids");
    const json_t *hashes = json_object_get(expected, "hashes");
    size_t group = (size_t)json_integer_value(json_object_get(expected, "definitions_per_hash"));
    ck_assert_uint_gt(group, 0);
    ck_assert_uint_eq(json_array_size(hashes), (heldout.n + group - 1) / group);
    struct lac_encoding encoding = {0};
    uint64_t hash = fnv1a_start;
    for (size_t i = 0, dumped = 0; i < heldout.n; i++) {
        const char *text = heldout.definitions[i];
        ck_assert_int_eq(lac_tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, MAX_TOKENS,
                                              LAC_TRUNCATE_LONGEST, &encoding),
                         LAC_OK);
        if (json_integer_value(json_array_get(lines, dumped)) == (json_int_t)i &&
            dumped < json_array_size(lines))
            assert_ids(json_array_get(ids, dumped++), &encoding, i);
        hash = hash_of_ids(hash, encoding.ids, encoding.n);
        if ((i + 1) % group == 0 || i + 1 == heldout.n) {
            assert_hash(json_array_get(hashes, i / group), hash, "tokens of group", i / group);
            hash = fnv1a_start;
        }
    }
    lac_encoding_clear(&encoding);
    lac_tokenizer_free(tokenizer);
    lac_engine_free(engine);
    heldout_clear(&heldout);
    json_decref(expected);
}
END_TEST

/* The session of a model that has run every definition. */
static struct lac_session *run_all(struct lac_model *model, const struct heldout *heldout)
{
    struct lac_session *session;
    ck_assert_int_eq(lac_session_new(model, NULL, &session), LAC_OK);
    for (size_t i = 0; i < heldout->n; i++) {
        const char *text = heldout->definitions[i];
        enum lac_status status = lac_session_add_text(session, text, strlen(text), NULL, 0, NULL);
        ck_assert_msg(status == LAC_OK, "%s", lac_session_message(session));
    }
    enum lac_status status = lac_session_run(session);
    ck_assert_msg(status == LAC_OK, "%s", lac_session_message(session));
    return session;
}

static size_t best_of(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* best[i]: the class of definition i.  Returns how many are right. */
static size_t classify_all(struct lac_model *model, struct lac_session *session,
                           const struct heldout *heldout, size_t *best)
{
    size_t n_right = 0;
    for (size_t i = 0; i < heldout->n; i++) {
        const float *logits, *probabilities;
        size_t n;
        ck_assert_int_eq(lac_session_classes(session, i, &logits, &probabilities, &n), LAC_OK);
        best[i] = best_of(logits, n);
        struct lac_candidate top;
        size_t n_top;
        ck_assert_int_eq(lac_session_top_classes(session, i, &top, 1, &n_top), LAC_OK);
        ck_assert_uint_eq(n_top, 1);
        ck_assert_int_eq(top.id, (int32_t)best[i]);
        n_right += !strcmp(lac_model_label(model, best[i]), heldout->labels[i]);
    }
    return n_right;
}

static void assert_logits(struct lac_session *session, const json_t *lines, const json_t *expected)
{
    double largest = 0, difference = 0;
    ck_assert_uint_eq(json_array_size(lines), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *row = json_array_get(expected, i);
        const float *logits, *probabilities;
        size_t n, line = (size_t)json_integer_value(json_array_get(lines, i));
        ck_assert_int_eq(lac_session_classes(session, line, &logits, &probabilities, &n), LAC_OK);
        ck_assert_uint_eq(n, json_array_size(row));
        for (size_t at = 0; at < n; at++) {
            double exact = json_number_value(json_array_get(row, at));
            ck_assert(isfinite(logits[at]));
            largest = fmax(largest, fabs(exact));
            difference = fmax(difference, fabs(exact - logits[at]));
        }
    }
    printf("  fp32 logits: largest difference %.2e, largest logit %.2f\n", difference, largest);
    ck_assert_double_le(difference, fp32_tolerance * largest);
}

void trained_assert_weights(const char *kind, const char *name, const json_t *expected)
{
    char relative[64];
    snprintf(relative, sizeof relative, "models/wordnet-%s-%s/model.safetensors", kind, name);
    size_t size;
    char *data = trained_file(relative, &size);
    assert_hash(json_object_get(expected, "weights_hash"), fnv1a(fnv1a_start, data, size),
                "the script that wrote what is expected must run again; model",
                (size_t)(strcmp(name, trained_models[0]) != 0));
    free(data);
}

START_TEST(classes_are_those_of_the_reference)
{
    printf("%s\n", trained_models[_i]);
    json_t *json = read_expected();
    const json_t *expected = json_object_get(json_object_get(json, "models"), trained_models[_i]);
    trained_assert_weights("encoder", trained_models[_i], expected);
    struct heldout heldout = read_heldout();
    struct lac_engine *engine = trained_engine();
    size_t *exact = malloc(heldout.n * sizeof *exact), *rough = malloc(heldout.n * sizeof *rough);
    ck_assert(exact && rough);

    struct lac_model *model = trained_model(engine, "encoder", trained_models[_i], LAC_F32);
    struct lac_session *session = run_all(model, &heldout);
    assert_logits(session, json_object_get(json, "lines"), json_object_get(expected, "logits"));
    size_t n_exact = classify_all(model, session, &heldout, exact);
    lac_session_free(session);
    lac_model_free(model);

    model = trained_model(engine, "encoder", trained_models[_i], LAC_S8);
    session = run_all(model, &heldout);
    size_t n_rough = classify_all(model, session, &heldout, rough), n_same = 0;
    lac_session_free(session);
    lac_model_free(model);

    for (size_t i = 0; i < heldout.n; i++)
        n_same += exact[i] == rough[i];
    double n = (double)heldout.n;
    long n_reference = (long)json_integer_value(json_object_get(expected, "right"));
    printf("  right: fp32 %.2f %%, int8 %.2f %%, reference %.2f %%; same class %.2f %%\n",
           100 * (double)n_exact / n, 100 * (double)n_rough / n, 100 * (double)n_reference / n,
           100 * (double)n_same / n);
    /* A definition whose two best logits are within rounding may fall either way. */
    ck_assert_int_le(labs((long)n_exact - n_reference), 2);
    ck_assert_double_ge((double)n_same / n, int8_same_class);

    free(exact);
    free(rough);
    lac_engine_free(engine);
    heldout_clear(&heldout);
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trained");
    TCase *tcase = tcase_create("models");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, tokens_are_those_of_the_recipe, 0, 2);
    tcase_add_loop_test(tcase, classes_are_those_of_the_reference, 0, 2);
    suite_add_tcase(suite, tcase);
    add_decoder_tests(suite);
    add_needle_tests(suite);
    return run_suite(suite);
}
