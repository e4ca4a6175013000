/* SPDX-License-Identifier: Apache-2.0 */
/* Packed models: the same results, and what becomes of damaged files. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/tensor.h"
#include "tests/run_suite.h"

static const char *pack(struct lac_model *model)
{
    static char paths[64][320];
    static size_t n;
    char *path = paths[n % 64];
    snprintf(path, sizeof paths[0], "%s/packed%zu.lacuna", scratch_directory(), n++);
    ck_assert_int_eq(lac_model_pack(model, path), LAC_OK);
    return path;
}

START_TEST(packed_models_are_the_same)
{
    struct lac_engine *engine = run_engine(2, NULL);
    for (int family = 0; family < TINY_N_FAMILIES; family++)
        for (int head = 0; head < TINY_N_HEADS; head++)
            for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++) {
                struct tiny tiny = {.family = (enum tiny_family)family,
                                    .head = (enum tiny_head)head};
                tiny_make(&tiny, test_seed() + 400);
                struct lac_model *model =
                    run_model(engine, tiny_write(&tiny), (enum lac_dtype)dtype, -1);
                const char *path = pack(model);
                struct lac_model *packed = run_model(engine, path, 0, -1);
                ck_assert_int_eq((int)lac_model_dtype(packed), dtype);
                ck_assert_uint_eq(lac_model_tasks(packed), lac_model_tasks(model));
                ck_assert_uint_eq(lac_model_parameters(packed), lac_model_parameters(model));
                ck_assert_uint_eq(lac_model_weights(packed), lac_model_weights(model));
                ck_assert_ptr_nonnull(lac_model_tokenizer(packed));
                for (size_t i = 0; i < lac_model_weights(model); i++) {
                    struct lac_weight_info a, b;
                    ck_assert_int_eq(lac_model_weight_info(model, i, &a), LAC_OK);
                    ck_assert_int_eq(lac_model_weight_info(packed, i, &b), LAC_OK);
                    ck_assert_str_eq(a.name, b.name);
                    ck_assert_str_eq(a.kernel, b.kernel);
                    ck_assert_double_eq(a.zeros, b.zeros);
                    for (int p = 0; p < LAC_N_PATTERNS; p++) {
                        ck_assert_double_eq(a.zero_blocks[p], b.zero_blocks[p]);
                        ck_assert_double_eq(a.predicted_cost[p], b.predicted_cost[p]);
                    }
                }
                struct text *texts = make_texts(&tiny, 5);
                float *a = run_texts(model, tasks[head], LAC_POOL_DEFAULT, 0, texts, NULL);
                float *b = run_texts(packed, tasks[head], LAC_POOL_DEFAULT, 0, texts, NULL);
                check_same(a, b, "packed");
                free(a);
                free(b);
                free(texts);
                lac_model_free(packed);
                lac_model_free(model);
                tiny_free(&tiny);
            }
    lac_engine_free(engine);
}
END_TEST

START_TEST(outliers_are_packed_too)
{
    struct lac_engine *engine = run_engine(2, NULL);
    struct tiny tiny = {.head = TINY_CLASSIFY};
    tiny_make(&tiny, test_seed() + 405);
    const char *directory = tiny_write(&tiny);
    for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++) {
        bool has_them = dtype == LAC_S8 || dtype == LAC_S4;
        struct lac_model *model =
            run_model_with(engine, directory, (enum lac_dtype)dtype, -1, 0.02);
        struct lac_model *plain = run_model(engine, directory, (enum lac_dtype)dtype, -1);
        struct lac_model *packed = run_model(engine, pack(model), 0, -1);
        size_t n = 0;
        for (size_t i = 0; i < lac_model_weights(model); i++) {
            struct lac_weight_info a, b, c;
            ck_assert_int_eq(lac_model_weight_info(model, i, &a), LAC_OK);
            ck_assert_int_eq(lac_model_weight_info(packed, i, &b), LAC_OK);
            ck_assert_int_eq(lac_model_weight_info(plain, i, &c), LAC_OK);
            ck_assert_uint_eq(a.n_outliers, b.n_outliers);
            ck_assert_uint_eq(a.bytes_stored, b.bytes_stored);
            ck_assert_double_eq(a.zeros, c.zeros);
            ck_assert_uint_eq(c.n_outliers, 0);
            n += a.n_outliers;
        }
        ck_assert_int_eq(n > 0, has_them);
        struct text *texts = make_texts(&tiny, 5);
        float *a = run_texts(model, LAC_TASK_CLASSIFY, LAC_POOL_DEFAULT, 0, texts, NULL);
        float *b = run_texts(packed, LAC_TASK_CLASSIFY, LAC_POOL_DEFAULT, 0, texts, NULL);
        float *c = run_texts(plain, LAC_TASK_CLASSIFY, LAC_POOL_DEFAULT, 0, texts, NULL);
        check_same(a, b, "packed");
        ck_assert_int_eq(memcmp(a, c, sizeof *a * N_LENGTHS * MOST_NUMBERS) != 0, has_them);
        free(a);
        free(b);
        free(c);
        free(texts);
        lac_model_free(packed);
        lac_model_free(plain);
        lac_model_free(model);
    }
    tiny_free(&tiny);
    lac_engine_free(engine);
}
END_TEST

/* A packed model's file with one change. */
struct damage {
    const char *tensor; /* whose bytes are overwritten */
    size_t offset;
    uint32_t value;
    const char *named; /* what the message must name */
};

static void check_damage(struct lac_engine *engine, const char *path, const struct damage *damage)
{
    char changed[400], message[512], command[1024];
    struct lac_tensors *tensors;
    snprintf(changed, sizeof changed, "%s.damaged", path);
    snprintf(command, sizeof command, "cp '%s' '%s'", path, changed);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(lac_tensors_open_file(&lac_default_host, path, &tensors, NULL), LAC_OK);
    const struct lac_tensor *tensor = lac_tensors_find(tensors, damage->tensor);
    ck_assert_msg(tensor != NULL, "no %s", damage->tensor);
    const struct lac_tensor *first = lac_tensors_at(tensors, 0);
    FILE *file = fopen(changed, "r+b");
    ck_assert_ptr_nonnull(file);
    uint8_t head[8];
    ck_assert_uint_eq(fread(head, 1, 8, file), 8);
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | head[i];
    long at =
        (long)(8 + header + (uint64_t)((const char *)tensor->data - (const char *)first->data) +
               damage->offset);
    fseek(file, at, SEEK_SET);
    fwrite(&damage->value, sizeof damage->value, 1, file);
    fclose(file);
    lac_tensors_close(tensors);
    struct lac_model *model = NULL;
    enum lac_status status = lac_model_open(engine, changed, NULL, &model);
    lac_engine_message(engine, message, sizeof message);
    ck_assert_msg(status == LAC_E_FORMAT && !model, "%s + %zu: %d, %s", damage->tensor,
                  damage->offset, (int)status, message);
    ck_assert_msg(strstr(message, damage->named) != NULL, "%s: %s", damage->tensor, message);
}

START_TEST(damaged_packed_models_are_refused)
{
    static const struct damage damages[] = {
        {"layers.0.query.row_begin", 0, 1, "layers.0.query"},
        {"layers.0.query.row_begin", 4, 0xffffffff, "layers.0.query"},
        {"layers.1.ffn_up.row_begin", 8, 0, "layers.1.ffn_up"},
        {"layers.1.ffn_up.index", 0, 0xffffffff, "layers.1.ffn_up"},
        {"layers.1.ffn_down.index", 0, 0x00020002, "layers.1.ffn_down"},
        {"layers.1.ffn_down.scale", 4, 0x7fc00000, "layers.1.ffn_down"},
        {"layers.1.value.bias", 0, 0x7f800000, "layers.1.value"},
        {"classifier.row_begin", 0, 7, "classifier"},
        {"layers.0.ffn_up.outlier_begin", 0, 1, "layers.0.ffn_up"},
        {"layers.0.ffn_up.outlier_begin", 4, 0xffffffff, "layers.0.ffn_up"},
        {"layers.0.ffn_up.outlier_index", 0, 1u << 20, "layers.0.ffn_up"},
        {"layers.0.ffn_up.outliers", 0, 0x7fc00000, "layers.0.ffn_up"},
    };
    struct lac_engine *engine = run_engine(1, NULL);
    struct tiny tiny = {.head = TINY_TAG};
    tiny_make(&tiny, test_seed() + 410);
    struct lac_model *model =
        run_model_with(engine, tiny_write(&tiny), LAC_S8, LAC_PATTERN_4, 0.02);
    const char *path = pack(model);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++)
        check_damage(engine, path, &damages[i]);
    lac_model_free(model);
    tiny_free(&tiny);
    lac_engine_free(engine);
}
END_TEST

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size);
    ck_assert_uint_eq(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static void write_file(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* Any change of the header, and of the arrays that steer kernels, ends in an error or in a model
 * that runs: never in a crash (which the sanitizers' run of this test widens). */
START_TEST(scrambled_packed_models_do_not_crash)
{
    struct lac_engine *engine = run_engine(1, NULL);
    struct tiny tiny = {.head = TINY_CLASSIFY, .layers = 1};
    tiny_make(&tiny, test_seed() + 420);
    struct lac_model *model = run_model(engine, tiny_write(&tiny), LAC_S8, -1);
    const char *path = pack(model);
    size_t size, n_opened = 0, n_refused = 0;
    char *good = read_file(path, &size), *bad = malloc(size), changed[400];
    uint64_t state = test_seed();
    snprintf(changed, sizeof changed, "%s.scrambled", path);
    static const int32_t ids[] = {TINY_CLS, 7, 8, TINY_SEP};
    for (int i = 0; i < 400; i++) {
        memcpy(bad, good, size);
        size_t cut = i % 8 ? size : random_below(&state, size);
        for (int k = 0; k < 3 && i % 8; k++) {
            size_t range = i % 2 ? size : lac_model_weights(model) * 400;
            bad[random_below(&state, range)] ^= (char)(1 << random_below(&state, 8));
        }
        write_file(changed, bad, cut);
        struct lac_model *opened = NULL;
        if (lac_model_open(engine, changed, NULL, &opened)) {
            ck_assert_ptr_null(opened);
            n_refused++;
            continue;
        }
        n_opened++;
        struct lac_session *session = run_session(opened, LAC_TASK_EMBED, 0, LAC_POOL_DEFAULT);
        if (lac_session_add_ids(session, ids, NULL, 4, NULL) == LAC_OK)
            ck_assert_int_eq(lac_session_run(session), LAC_OK);
        lac_session_free(session);
        lac_model_free(opened);
    }
    ck_assert_uint_gt(n_opened, 20);
    ck_assert_uint_gt(n_refused, 100);
    free(good);
    free(bad);
    lac_model_free(model);
    tiny_free(&tiny);
    lac_engine_free(engine);
}
END_TEST

START_TEST(packed_models_keep_what_they_were_packed_with)
{
    struct lac_engine *engine = run_engine(1, NULL);
    struct tiny tiny = {.head = TINY_TAG};
    tiny_make(&tiny, test_seed() + 430);
    struct lac_model *model = run_model(engine, tiny_write(&tiny), LAC_S8, -1), *other = NULL;
    const char *path = pack(model);
    struct lac_model_options *options;
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, LAC_F32);
    ck_assert_int_eq(lac_model_open(engine, path, options, &other), LAC_E_UNSUPPORTED);
    lac_model_options_free(options);
    ck_assert_int_eq(lac_model_open(engine, source_path("tests/tiny.c"), NULL, &other),
                     LAC_E_FORMAT);
    ck_assert_int_eq(lac_model_open(engine, "/does/not/exist", NULL, &other), LAC_E_IO);
    ck_assert_ptr_null(other);
    /* A packed model packs again to the same bytes. */
    struct lac_model *packed = run_model(engine, path, 0, -1);
    size_t size_a, size_b;
    char *a = read_file(path, &size_a), *b = read_file(pack(packed), &size_b);
    ck_assert_uint_eq(size_a, size_b);
    ck_assert_int_eq(memcmp(a, b, size_a), 0);
    free(a);
    free(b);
    lac_model_free(packed);
    lac_model_free(model);
    lac_engine_free(engine);
    tiny_free(&tiny);
}
END_TEST

void add_packed_tests(Suite *suite)
{
    add_test(suite, "packed", packed_models_are_the_same);
    add_test(suite, "packed outliers", outliers_are_packed_too);
    add_test(suite, "damaged", damaged_packed_models_are_refused);
    add_test(suite, "scrambled", scrambled_packed_models_do_not_crash);
    add_test(suite, "packed kept", packed_models_keep_what_they_were_packed_with);
}
