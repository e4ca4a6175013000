/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF: against the same models as directories; files cut short and changed at random. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/checkpoint.h"
#include "src/model/gguf.h"
#include "tests/model_suite.h"

#define FOLDER "tests/data/model/decoders/"

static const char *const names[] = {"llama", "qwen2", "gpt2"};
enum { N_NAMES = sizeof names / sizeof names[0] };

static struct lac_checkpoint *open_good(const char *path)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status = lac_checkpoint_open(&lac_default_host, path, &checkpoint, &error);
    ck_assert_msg(status == LAC_OK, "%s", error.text);
    return checkpoint;
}

static void same_configs(const struct lac_config *a, const struct lac_config *b)
{
    ck_assert_int_eq(a->family, b->family);
    ck_assert_str_eq(a->architecture, b->architecture);
    ck_assert_uint_eq(a->vocab_size, b->vocab_size);
    ck_assert_uint_eq(a->hidden_size, b->hidden_size);
    ck_assert_uint_eq(a->n_layers, b->n_layers);
    ck_assert_uint_eq(a->n_heads, b->n_heads);
    ck_assert_uint_eq(a->n_kv_heads, b->n_kv_heads);
    ck_assert_uint_eq(a->head_dim, b->head_dim);
    ck_assert_uint_eq(a->intermediate_size, b->intermediate_size);
    ck_assert_uint_eq(a->max_positions, b->max_positions);
    ck_assert_uint_eq(a->max_tokens, b->max_tokens);
    ck_assert_int_eq(a->hidden_act, b->hidden_act);
    ck_assert_int_eq(a->norm_kind, b->norm_kind);
    ck_assert(a->norm_eps == b->norm_eps);
    ck_assert_uint_eq(a->has_qkv_bias, b->has_qkv_bias);
    ck_assert_uint_eq(a->has_mix_bias, b->has_mix_bias);
    ck_assert_uint_eq(a->has_ffn_bias, b->has_ffn_bias);
    ck_assert_uint_eq(a->has_tied_head, b->has_tied_head);
    ck_assert_int_eq(a->rope.kind, b->rope.kind);
    ck_assert(a->rope.theta == b->rope.theta && a->rope.factor == b->rope.factor);
    ck_assert_int_eq(a->bos_token_id, b->bos_token_id);
    ck_assert_uint_eq(a->n_end_ids, b->n_end_ids);
    ck_assert_mem_eq(a->end_ids, b->end_ids, a->n_end_ids * sizeof *a->end_ids);
    ck_assert_uint_eq(a->tasks, b->tasks);
}

/* All of a matrix, step rows at a time, and its bias behind it. */
static float *read_matrix(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                          size_t step, size_t *n)
{
    struct lac_error error = {0};
    struct lac_matrix m;
    ck_assert_msg(!lac_checkpoint_matrix(checkpoint, role, layer, &m, &error), "%s", error.text);
    *n = m.n_out * m.n_in + (m.bias ? m.n_out : 0);
    float *values = guarded_alloc(*n * sizeof *values);
    for (size_t row = 0; row < m.n_out; row += step)
        lac_matrix_rows(&m, row, m.n_out - row < step ? m.n_out - row : step,
                        values + row * m.n_in);
    if (m.bias)
        lac_matrix_bias(&m, values + m.n_out * m.n_in);
    return values;
}

static float *read_norm(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                        size_t *n)
{
    struct lac_error error = {0};
    struct lac_norm_tensors norm;
    size_t hidden = checkpoint->config.hidden_size;
    ck_assert_msg(!lac_checkpoint_norm(checkpoint, role, layer, &norm, &error), "%s", error.text);
    *n = norm.beta ? 2 * hidden : hidden;
    float *values = guarded_alloc(*n * sizeof *values);
    lac_tensor_to_f32(norm.gamma, 0, hidden, values);
    if (norm.beta)
        lac_tensor_to_f32(norm.beta, 0, hidden, values + hidden);
    return values;
}

static bool is_norm(enum lac_role role)
{
    return role == LAC_ROLE_ATTENTION_NORM || role == LAC_ROLE_FFN_NORM ||
           role == LAC_ROLE_FINAL_NORM;
}

static size_t same_role(struct lac_checkpoint *const forms[2], enum lac_role role, size_t layer)
{
    static const size_t steps[2] = {7, 1};
    size_t n[2];
    float *values[2];
    ck_assert_msg(lac_checkpoint_has(forms[0], role, layer) ==
                      lac_checkpoint_has(forms[1], role, layer),
                  "role %d, layer %zu", (int)role, layer);
    if (!lac_checkpoint_has(forms[0], role, layer))
        return 0;
    for (size_t i = 0; i < 2; i++)
        values[i] = is_norm(role) ? read_norm(forms[i], role, layer, &n[i])
                                  : read_matrix(forms[i], role, layer, steps[i], &n[i]);
    ck_assert_uint_eq(n[0], n[1]);
    for (size_t i = 0; i < n[0]; i++)
        ck_assert_msg(values[0][i] == values[1][i], "role %d, layer %zu, element %zu: %g and %g",
                      (int)role, layer, i, (double)values[0][i], (double)values[1][i]);
    for (size_t i = 0; i < 2; i++)
        guarded_free(values[i], n[i] * sizeof *values[i]);
    return 1;
}

START_TEST(both_forms_are_the_same)
{
    /* In a layer 9 roles with a gate, 8 without; beside the layers: words, final norm, head, and
     * GPT-2's positions, asked for once. */
    static const size_t n_expected[N_NAMES] = {2 * 9 + 3, 9 + 3, 8 + 4};
    for (size_t k = 0; k < N_NAMES; k++) {
        char path[100];
        struct lac_checkpoint *forms[2];
        snprintf(path, sizeof path, FOLDER "%s", names[k]);
        forms[0] = open_good(source_path(path));
        snprintf(path, sizeof path, FOLDER "%s.gguf", names[k]);
        ck_assert(lac_is_checkpoint(source_path(path)));
        forms[1] = open_good(source_path(path));
        same_configs(&forms[0]->config, &forms[1]->config);
        size_t n = 0;
        for (int role = 0; role < LAC_N_ROLES; role++) {
            bool of_layer = role >= LAC_ROLE_QUERY && role <= LAC_ROLE_FFN_NORM;
            for (size_t layer = 0; layer < (of_layer ? forms[0]->config.n_layers : 1); layer++)
                n += same_role(forms, (enum lac_role)role, layer);
        }
        ck_assert_uint_eq(n, n_expected[k]);

        /* What a packed model would keep says the same. */
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_config again;
        struct lac_error error;
        const char *text = forms[1]->config_text;
        ck_assert_int_eq(lac_config_parse("text", text, strlen(text), &arena, &again, &error),
                         LAC_OK);
        same_configs(&again, &forms[0]->config);
        lac_arena_clear(&arena);
        for (size_t i = 0; i < 2; i++)
            lac_checkpoint_close(forms[i]);
    }
    ck_assert(!lac_is_checkpoint(source_path(FOLDER "llama/model.safetensors")));
    ck_assert(!lac_is_checkpoint(source_path(FOLDER "absent.gguf")));
}
END_TEST

static enum lac_status open_bytes(const void *data, size_t size, struct lac_gguf **gguf,
                                  struct lac_error *error)
{
    return lac_gguf_open_memory(&lac_default_host, "bytes", data, size, gguf, error);
}

/* Touches all that an accepted file offers. */
static void use(struct lac_gguf *gguf)
{
    const struct lac_tensors *tensors = lac_gguf_tensors(gguf);
    struct lac_error error;
    json_t *config = NULL;
    for (size_t i = 0; i < lac_tensors_count(tensors); i++) {
        const struct lac_tensor *tensor = lac_tensors_at(tensors, i);
        ck_assert_ptr_eq(lac_tensors_find(tensors, tensor->name), tensor);
        size_t n = 1;
        for (unsigned d = 0; d < tensor->rank; d++)
            n *= tensor->shape[d];
        if (n > 8192)
            continue;
        float *values = malloc(n * sizeof *values + 1);
        lac_tensor_to_f32(tensor, 0, n, values);
        free(values);
    }
    for (size_t i = 0; i < lac_gguf_count(gguf); i++) {
        const struct lac_gguf_value *value = lac_gguf_at(gguf, i);
        const uint8_t *at = value->data;
        volatile char sum = 0;
        ck_assert_ptr_eq(lac_gguf_find(gguf, value->key), value);
        for (size_t k = 0; value->element == LAC_GGUF_STRING &&
                           k < (value->kind == LAC_GGUF_ARRAY ? value->n : 0);
             k++) {
            const char *text;
            size_t size;
            lac_gguf_next_string(&at, &text, &size);
            for (size_t c = 0; c < size; c++)
                sum = (char)(sum + text[c]);
        }
    }
    if (!lac_gguf_config(gguf, &config, &error)) {
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_config parsed;
        char *text = json_dumps(config, 0);
        if (text)
            (void)lac_config_parse("keys", text, strlen(text), &arena, &parsed, &error);
        free(text);
        lac_arena_clear(&arena);
    }
    json_decref(config);
}

START_TEST(every_prefix_is_refused)
{
    size_t size;
    char *whole = read_whole(source_path(FOLDER "qwen2.gguf"), &size);
    struct lac_gguf *gguf = NULL;
    struct lac_error error;
    for (size_t n = 0; n <= size; n++) {
        unsigned char *part = guarded_alloc(n);
        memcpy(part, whole, n);
        enum lac_status status = open_bytes(part, n, &gguf, &error);
        ck_assert_int_eq(status == LAC_OK, n == size);
        if (!status) {
            use(gguf);
            lac_gguf_close(gguf);
        }
        guarded_free(part, n);
    }
    free(whole);
}
END_TEST

/* Any answer will do, as long as nothing is read outside. */
START_TEST(mutations_are_survived)
{
    uint64_t seed = test_seed();
    size_t n_accepted = 0;
    for (size_t k = 0; k < N_NAMES; k++) {
        char path[100];
        size_t size;
        snprintf(path, sizeof path, FOLDER "%s.gguf", names[k]);
        char *whole = read_whole(source_path(path), &size);
        /* The header is what matters: data would only dilute it. */
        size_t n_header = 4000;
        unsigned char *copy = guarded_alloc(size);
        for (size_t turn = 0; turn < 4000; turn++) {
            struct lac_gguf *gguf = NULL;
            struct lac_error error;
            memcpy(copy, whole, size);
            for (size_t i = 1 + random_below(&seed, 4); i; i--) {
                size_t at = random_below(&seed, n_header);
                switch (random_below(&seed, 3)) {
                case 0:
                    copy[at] ^= (unsigned char)(1u << random_below(&seed, 8));
                    break;
                case 1:
                    copy[at] = (unsigned char)(random_below(&seed, 2) ? 255 : 0);
                    break;
                default:
                    memmove(copy + at, copy + random_below(&seed, n_header),
                            1 + random_below(&seed, 16));
                }
            }
            if (!open_bytes(copy, size, &gguf, &error)) {
                n_accepted++;
                use(gguf);
                lac_gguf_close(gguf);
            }
        }
        guarded_free(copy, size);
        free(whole);
    }
    ck_assert_uint_gt(n_accepted, 100);
}
END_TEST

START_TEST(running_out_of_memory_is_an_error)
{
    for (size_t k = 0; k < N_NAMES; k++) {
        char path[100];
        enum lac_status status = LAC_E_MEMORY;
        snprintf(path, sizeof path, FOLDER "%s.gguf", names[k]);
        for (size_t n = 0; status; n++) {
            struct failing_host host;
            struct lac_error error = {0};
            struct lac_checkpoint *checkpoint = NULL;
            failing_host_init(&host, n);
            status = lac_checkpoint_open(&host.host, source_path(path), &checkpoint, &error);
            if (!status)
                lac_checkpoint_close(checkpoint);
            ck_assert_msg(!status || status == LAC_E_MEMORY, "%zu: %s", n, error.text);
            ck_assert_uint_eq(host.n_live, 0);
        }
    }
}
END_TEST

void add_gguf_tests(Suite *suite)
{
    add_test(suite, "gguf and directories", both_forms_are_the_same);
    add_test(suite, "gguf prefixes", every_prefix_is_refused);
    add_test(suite, "gguf mutations", mutations_are_survived);
    add_test(suite, "gguf memory", running_out_of_memory_is_an_error);
}
