/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' pack-quantized: integers of 4 and 8 bits in I32, with scales. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/expand.h"
#include "src/model/storage.h"
#include "tests/model_suite.h"

enum { MOST_ROWS = 5, MOST_COLS = 40 };

/* A packed matrix, and what is wrong with its file (NULL: nothing). */
struct matrix {
    size_t rows, cols, bits, n_groups; /* 0 groups: one scale for all */
    const char *fault;
};

static size_t words_of(const struct matrix *m)
{
    return lac_ceil_div(m->cols * m->bits, 32);
}

static bool has(const struct matrix *m, const char *fault)
{
    return m->fault && !strcmp(m->fault, fault);
}

static void add(struct lac_tensor_writer *writer, const char *name, enum lac_storage storage,
                unsigned rank, size_t rows, size_t cols, const void *data)
{
    struct lac_error error;
    ck_assert_int_eq(
        lac_tensor_writer_add(writer, name, storage, rank, (size_t[]){rows, cols}, data, &error),
        LAC_OK);
}

/* Writes P = "w" with random integers and scales; dense is what they mean. */
static const char *write_matrix(const struct matrix *m, uint64_t *state, float *dense)
{
    uint32_t words[MOST_ROWS * MOST_COLS] = {0};
    float scales[MOST_ROWS * MOST_COLS];
    int64_t shape[2] = {(int64_t)m->rows, (int64_t)m->cols};
    size_t n_groups = m->n_groups ? m->n_groups : 1, n_words = words_of(m);
    size_t n_scales = m->n_groups ? m->rows * n_groups : 1, width = lac_ceil_div(m->cols, n_groups);
    for (size_t i = 0; i < n_scales; i++)
        scales[i] = (float)(1 + random_below(state, 100)) * 0.01f;
    for (size_t row = 0; row < m->rows; row++)
        for (size_t col = 0; col < m->cols; col++) {
            size_t value = random_below(state, (size_t)1 << m->bits), bit = col * m->bits;
            words[row * n_words + bit / 32] |= (uint32_t)value << bit % 32;
            float scale = scales[m->n_groups ? row * n_groups + col / width : 0];
            dense[row * m->cols + col] = ((float)value - (float)(1 << (m->bits - 1))) * scale;
        }
    if (has(m, "scale 0 is nan"))
        scales[0] = NAN;
    if (has(m, "but 5 rows are packed"))
        shape[0]++;
    if (has(m, "words for"))
        shape[1] += 9;
    struct lac_error error;
    struct lac_tensor_writer *writer;
    const char *path = write_text("packed.safetensors", "");
    ck_assert_int_eq(lac_tensor_writer_open(&lac_default_host, path, &writer, &error), LAC_OK);
    add(writer, "w.weight_packed", has(m, "U8 of rank 2") ? LAC_STORE_U8 : LAC_STORE_I32, 2,
        m->rows, has(m, "U8 of rank 2") ? 4 * n_words : n_words, words);
    if (!has(m, "w.weight_shape is missing"))
        add(writer, "w.weight_shape", LAC_STORE_I64, 1, 2, 0, shape);
    if (!has(m, "w.weight_scale is missing"))
        add(writer, "w.weight_scale", LAC_STORE_F32, m->n_groups ? 2 : 1,
            has(m, "scales for") ? m->rows - 1
            : m->n_groups        ? m->rows
                                 : 1,
            n_groups, scales);
    if (has(m, "w.weight_g_idx: cannot be read") || has(m, "w.weight_zero_point: cannot be read"))
        add(writer,
            has(m, "w.weight_g_idx: cannot be read") ? "w.weight_g_idx" : "w.weight_zero_point",
            LAC_STORE_I32, 1, 1, 0, words);
    ck_assert_int_eq(lac_tensor_writer_commit(writer, &error), LAC_OK);
    return path;
}

static enum lac_status expand(const char *path, const struct lac_host *host, const float *dense,
                              const struct matrix *m, struct lac_error *error)
{
    struct lac_tensors *tensors;
    struct lac_expansions expansions = {.arena = {.host = host}};
    const struct lac_tensor *made = NULL, *again;
    ck_assert_int_eq(lac_tensors_open_file(&lac_default_host, path, &tensors, error), LAC_OK);
    ck_assert(lac_is_packed(tensors, "w") && !lac_is_packed(tensors, "v"));
    enum lac_status status = lac_expand_packed(&expansions, tensors, "w", "w.weight", &made, error);
    if (!status) {
        ck_assert_int_eq(lac_expand_packed(&expansions, tensors, "w", "w.weight", &again, error),
                         LAC_OK);
        ck_assert_ptr_eq(made, again);
        ck_assert_int_eq(made->storage, LAC_STORE_F32);
        ck_assert_uint_eq(made->rank, 2);
        ck_assert_uint_eq(made->shape[0], m->rows);
        ck_assert_uint_eq(made->shape[1], m->cols);
        ck_assert_uint_eq(made->size_bytes, m->rows * m->cols * 4);
        ck_assert_mem_eq(made->data, dense, made->size_bytes);
    } else {
        ck_assert_ptr_null(made);
    }
    lac_arena_clear(&expansions.arena);
    lac_tensors_close(tensors);
    return status;
}

START_TEST(packed_weights_are_read)
{
    static const struct matrix good[] = {
        {4, 32, 4, 1, NULL}, {4, 32, 4, 0, NULL}, {4, 40, 4, 5, NULL}, {3, 40, 8, 2, NULL},
        {5, 13, 4, 2, NULL}, {1, 1, 4, 1, NULL},  {5, 7, 8, 7, NULL},
    };
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct lac_error error;
        float dense[MOST_ROWS * MOST_COLS];
        const char *path = write_matrix(&good[i], &state, dense);
        ck_assert_msg(!expand(path, &lac_default_host, dense, &good[i], &error), "%s", error.text);
    }
}
END_TEST

START_TEST(bad_packed_weights_are_named)
{
    static const struct {
        struct matrix matrix;
        enum lac_status status;
        const char *text; /* NULL: the fault */
    } bad[] = {
        {{4, 32, 4, 1, "w.weight_shape is missing"}, LAC_E_FORMAT, NULL},
        {{4, 32, 4, 1, "w.weight_scale is missing"}, LAC_E_FORMAT, NULL},
        {{4, 32, 4, 1, "w.weight_g_idx: cannot be read"}, LAC_E_UNSUPPORTED, NULL},
        {{4, 32, 4, 1, "w.weight_zero_point: cannot be read"}, LAC_E_UNSUPPORTED, NULL},
        {{4, 32, 4, 1, "U8 of rank 2"}, LAC_E_UNSUPPORTED, NULL},
        {{4, 32, 4, 1, "but 5 rows are packed"}, LAC_E_FORMAT, "but 4 rows are packed"},
        {{4, 32, 4, 1, "words for"}, LAC_E_UNSUPPORTED, "4 words for 41 columns"},
        {{4, 32, 4, 2, "scales for"}, LAC_E_FORMAT, "3 x 2 scales for 4 x 32 weights"},
        {{4, 32, 4, 1, "scale 0 is nan"}, LAC_E_FORMAT, "scale [0, 0] is nan"},
        {{4, 33, 4, 30, NULL}, LAC_E_FORMAT, "33 columns are not 30 groups"},
        {{4, 6, 4, 7, NULL}, LAC_E_FORMAT, "4 x 7 scales"},
    };
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lac_error error;
        float dense[MOST_ROWS * MOST_COLS];
        const struct matrix *m = &bad[i].matrix;
        const char *path = write_matrix(m, &state, dense);
        ck_assert_int_eq(expand(path, &lac_default_host, dense, m, &error), bad[i].status);
        ck_assert_msg(strstr(error.text, bad[i].text ? bad[i].text : m->fault) != NULL, "%s",
                      error.text);
    }
}
END_TEST

START_TEST(packed_weights_need_memory)
{
    uint64_t state = test_seed();
    static const struct matrix m = {4, 32, 4, 1, NULL};
    float dense[MOST_ROWS * MOST_COLS];
    const char *path = write_matrix(&m, &state, dense);
    enum lac_status status = LAC_E_MEMORY;
    for (size_t n = 0; status; n++) {
        struct failing_host host;
        struct lac_error error;
        failing_host_init(&host, n);
        status = expand(path, &host.host, dense, &m, &error);
        ck_assert(!status || status == LAC_E_MEMORY);
        ck_assert_uint_eq(host.n_live, 0);
        ck_assert_uint_lt(n, 10);
    }
}
END_TEST

void add_packed_tests(Suite *suite)
{
    add_test(suite, "packed", packed_weights_are_read);
    add_test(suite, "bad packed", bad_packed_weights_are_named);
    add_test(suite, "packed memory", packed_weights_need_memory);
}
