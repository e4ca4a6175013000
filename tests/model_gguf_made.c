/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files made by hand: every kind of broken one by name, and what settings become. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/config.h"
#include "src/model/gguf.h"
#include "tests/model_suite.h"

struct bytes {
    unsigned char data[4096];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    ck_assert(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_u32(struct bytes *b, uint32_t value)
{
    put(b, &value, sizeof value);
}

static void put_u64(struct bytes *b, uint64_t value)
{
    put(b, &value, sizeof value);
}

static void put_string(struct bytes *b, const char *text)
{
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

static void put_key(struct bytes *b, const char *key, enum lac_gguf_kind kind)
{
    put_string(b, key);
    put_u32(b, kind);
}

static void put_size(struct bytes *b, const char *key, uint32_t value)
{
    put_key(b, key, LAC_GGUF_U32);
    put_u32(b, value);
}

static void put_real(struct bytes *b, const char *key, float value)
{
    put_key(b, key, LAC_GGUF_F32);
    put(b, &value, sizeof value);
}

static void put_text(struct bytes *b, const char *key, const char *value)
{
    put_key(b, key, LAC_GGUF_STRING);
    put_string(b, value);
}

static void begin(struct bytes *b, uint64_t n_tensors, uint64_t n_keys)
{
    b->n = 0;
    put(b, "GGUF", 4);
    put_u32(b, 3);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

static void put_tensor(struct bytes *b, const char *name, uint32_t type, uint64_t offset,
                       uint32_t rank, const uint64_t *shape)
{
    put_string(b, name);
    put_u32(b, rank);
    for (uint32_t i = 0; i < rank; i++)
        put_u64(b, shape[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_data(struct bytes *b, size_t alignment, size_t n)
{
    static const unsigned char zeros[1200];
    put(b, zeros, (alignment - b->n % alignment) % alignment + n);
}

static enum lac_status open_bytes(const void *data, size_t size, struct lac_gguf **gguf,
                                  struct lac_error *error)
{
    return lac_gguf_open_memory(&lac_default_host, "bytes", data, size, gguf, error);
}

static void refuse(const struct bytes *b, enum lac_status expected_status, const char *expected)
{
    struct lac_error error = {0};
    struct lac_gguf *gguf = NULL;
    unsigned char *exact = guarded_alloc(b->n);
    memcpy(exact, b->data, b->n);
    enum lac_status status = open_bytes(exact, b->n, &gguf, &error);
    ck_assert_msg(status == expected_status, "%d: %s, expected: %s", status, error.text, expected);
    ck_assert_ptr_null(gguf);
    ck_assert_msg(strncmp(error.text, "bytes: ", 7) == 0, "%s", error.text);
    ck_assert_msg(strstr(error.text, expected) != NULL, "\"%s\" not in: %s", expected, error.text);
    guarded_free(exact, b->n);
}

static struct lac_gguf *accept(const struct bytes *b)
{
    struct lac_error error = {0};
    struct lac_gguf *gguf = NULL;
    enum lac_status status = open_bytes(b->data, b->n, &gguf, &error);
    ck_assert_msg(status == LAC_OK, "%s", error.text);
    return gguf;
}

START_TEST(headers_are_checked)
{
    struct bytes b = {.n = 0};
    refuse(&b, LAC_E_FORMAT, "does not begin with \"GGUF\"");
    put(&b, "GGUX", 4);
    refuse(&b, LAC_E_FORMAT, "does not begin");
    begin(&b, 0, 0);
    b.data[4] = 1;
    refuse(&b, LAC_E_UNSUPPORTED, "version 1 of GGUF cannot be read");
    memcpy(b.data + 4, "\0\0\0\3", 4);
    refuse(&b, LAC_E_UNSUPPORTED, "version 50331648 of GGUF, big-endian, cannot");
    begin(&b, 0, 0);
    b.data[4] = 2;
    lac_gguf_close(accept(&b));
    static const uint64_t absurd[] = {1, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX / 24};
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        begin(&b, absurd[i], 0);
        refuse(&b, LAC_E_FORMAT, "a count of tensors of");
        begin(&b, 0, absurd[i]);
        refuse(&b, LAC_E_FORMAT, "a count of keys of");
    }
}
END_TEST

START_TEST(keys_are_checked)
{
    struct bytes b;
    static const struct {
        enum lac_gguf_kind kind;
        size_t size;
    } scalars[] = {{LAC_GGUF_U8, 1},  {LAC_GGUF_I8, 1},  {LAC_GGUF_U16, 2}, {LAC_GGUF_I16, 2},
                   {LAC_GGUF_U32, 4}, {LAC_GGUF_I32, 4}, {LAC_GGUF_F32, 4}, {LAC_GGUF_BOOL, 1},
                   {LAC_GGUF_U64, 8}, {LAC_GGUF_I64, 8}, {LAC_GGUF_F64, 8}};
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        begin(&b, 0, 1);
        put_key(&b, "abc", scalars[i].kind);
        for (size_t n = 0; n < scalars[i].size; n++) {
            refuse(&b, LAC_E_FORMAT, "");
            put(&b, "\1", 1);
        }
        lac_gguf_close(accept(&b));
    }
    begin(&b, 0, 1);
    put_key(&b, "a", LAC_GGUF_BOOL);
    put(&b, "\2", 1);
    refuse(&b, LAC_E_FORMAT, "key a: byte 37: 2 is no bool");
    begin(&b, 0, 1);
    put_key(&b, "a", (enum lac_gguf_kind)13);
    put_u64(&b, 0);
    refuse(&b, LAC_E_FORMAT, "key a: kind 13 of values is not known");
    begin(&b, 0, 1);
    put_key(&b, "", LAC_GGUF_U32);
    put_u32(&b, 0);
    refuse(&b, LAC_E_FORMAT, "a key of 0 bytes");
    begin(&b, 0, 1);
    put_u64(&b, 3);
    put(&b, "a\0b", 3);
    put_u32(&b, LAC_GGUF_U8);
    put(&b, "\0", 1);
    refuse(&b, LAC_E_FORMAT, "a key of 3 bytes; 1 to 65535 without zeros");
    static const uint64_t lengths[] = {1, 9, 1u << 31, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        begin(&b, 0, 1);
        put_u64(&b, lengths[i] + 64);
        put_u64(&b, 0);
        refuse(&b, LAC_E_FORMAT, "a key of");
        begin(&b, 0, 1);
        put_key(&b, "a", LAC_GGUF_STRING);
        put_u64(&b, lengths[i]);
        refuse(&b, LAC_E_FORMAT, "key a: byte 37: a string of");
        for (int kind = 0; kind < LAC_N_GGUF_KINDS; kind++) {
            begin(&b, 0, 1);
            put_key(&b, "a", LAC_GGUF_ARRAY);
            put_u32(&b, (uint32_t)kind);
            put_u64(&b, lengths[i]);
            refuse(&b, LAC_E_FORMAT, "key a: byte 41: an array of");
        }
    }
    begin(&b, 0, 2);
    put_size(&b, "twice", 1);
    put_size(&b, "twice", 1);
    refuse(&b, LAC_E_FORMAT, "key twice is a duplicate");
}
END_TEST

START_TEST(arrays_nest_within_limits)
{
    struct bytes b;
    for (size_t depth = 1; depth < 7; depth++) {
        begin(&b, 0, 1);
        put_key(&b, "a", LAC_GGUF_ARRAY);
        for (size_t i = 1; i < depth; i++) {
            put_u32(&b, LAC_GGUF_ARRAY);
            put_u64(&b, 1);
        }
        put_u32(&b, LAC_GGUF_U16);
        put_u64(&b, 3);
        put(&b, "\1\0\2\0\3\0", 6);
        if (depth > 4) {
            refuse(&b, LAC_E_LIMIT, "arrays in arrays, deeper than 4");
            continue;
        }
        struct lac_gguf *gguf = accept(&b);
        ck_assert_uint_eq(lac_gguf_find(gguf, "a")->n, depth == 1 ? 3 : 1);
        lac_gguf_close(gguf);
        b.n--;
        refuse(&b, LAC_E_FORMAT, "key a: ");
    }
}
END_TEST

START_TEST(values_have_their_types)
{
    struct bytes b;
    struct lac_error error = {0};
    size_t size;
    double real;
    bool flag;
    const char *text;
    const struct lac_gguf_value *array;
    begin(&b, 0, 8);
    put_key(&b, "i8", LAC_GGUF_I8);
    put(&b, "\377", 1);
    put_key(&b, "u16", LAC_GGUF_U16);
    put(&b, "\1\2", 2);
    put_key(&b, "u64", LAC_GGUF_U64);
    put_u64(&b, UINT64_MAX);
    put_real(&b, "f32", 0.5f);
    put_real(&b, "nan", NAN);
    put_key(&b, "bool", LAC_GGUF_BOOL);
    put(&b, "\1", 1);
    put_text(&b, "string", "text");
    put_key(&b, "strings", LAC_GGUF_ARRAY);
    put_u32(&b, LAC_GGUF_STRING);
    put_u64(&b, 2);
    put_string(&b, "");
    put_string(&b, "x");
    struct lac_gguf *gguf = accept(&b);
    ck_assert_uint_eq(lac_gguf_count(gguf), 8);
    ck_assert_str_eq(lac_gguf_at(gguf, 0)->key, "bool");
    ck_assert(!lac_gguf_size(gguf, "u16", 0, &size, &error) && size == 513);
    ck_assert(!lac_gguf_size(gguf, "absent", 7, &size, &error) && size == 7);
    ck_assert_int_eq(lac_gguf_size(gguf, "i8", 0, &size, &error), LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "i8: expected an integer from 0, found kind 1");
    ck_assert_int_eq(lac_gguf_size(gguf, "u64", 0, &size, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_gguf_size(gguf, "f32", 0, &size, &error), LAC_E_FORMAT);
    ck_assert(!lac_gguf_real(gguf, "f32", 0, &real, &error) && real == 0.5);
    ck_assert(!lac_gguf_real(gguf, "u16", 0, &real, &error) && real == 513);
    ck_assert_int_eq(lac_gguf_real(gguf, "nan", 0, &real, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_gguf_real(gguf, "string", 0, &real, &error), LAC_E_FORMAT);
    ck_assert(!lac_gguf_bool(gguf, "bool", false, &flag, &error) && flag);
    ck_assert_int_eq(lac_gguf_bool(gguf, "u16", false, &flag, &error), LAC_E_FORMAT);
    ck_assert(!lac_gguf_string(gguf, "string", &text, &size, &error) && size == 4);
    ck_assert_mem_eq(text, "text", 4);
    ck_assert(!lac_gguf_string(gguf, "absent", &text, &size, &error) && !text);
    ck_assert_int_eq(lac_gguf_string(gguf, "u16", &text, &size, &error), LAC_E_FORMAT);
    ck_assert(!lac_gguf_array(gguf, "strings", LAC_GGUF_STRING, &array, &error) && array->n == 2);
    ck_assert_int_eq(lac_gguf_array(gguf, "strings", LAC_GGUF_F32, &array, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_gguf_array(gguf, "u16", LAC_GGUF_U16, &array, &error), LAC_E_FORMAT);
    const uint8_t *at = lac_gguf_find(gguf, "strings")->data;
    lac_gguf_next_string(&at, &text, &size);
    ck_assert_uint_eq(size, 0);
    lac_gguf_next_string(&at, &text, &size);
    ck_assert(size == 1 && *text == 'x');
    lac_gguf_close(gguf);
}
END_TEST

/* One tensor "w" after one key. */
static void one_tensor(struct bytes *b, uint32_t alignment, uint32_t type, uint64_t offset,
                       uint32_t rank, const uint64_t *shape, size_t n_data)
{
    begin(b, 1, 1);
    put_size(b, "general.alignment", alignment);
    put_tensor(b, "w", type, offset, rank, shape);
    put_data(b, alignment && alignment <= 512 ? alignment : 1, n_data);
}

START_TEST(tensors_are_checked)
{
    struct bytes b;
    static const uint64_t row[] = {32, 2, 1, 1, 1}, odd[] = {33, 2};
    static const uint64_t wide[] = {(uint64_t)1 << 32, (uint64_t)1 << 32}, half[] = {1ull << 63};
    one_tensor(&b, 32, 0, 0, 2, row, 256);
    struct lac_gguf *gguf = accept(&b);
    const struct lac_tensor *w = lac_tensors_find(lac_gguf_tensors(gguf), "w");
    ck_assert_uint_eq(w->rank, 2);
    ck_assert_uint_eq(w->shape[0], 2);
    ck_assert_uint_eq(w->shape[1], 32);
    ck_assert_uint_eq(w->size_bytes, 256);
    lac_gguf_close(gguf);
    one_tensor(&b, 32, 0, 0, 2, row, 255);
    refuse(&b, LAC_E_FORMAT, "tensor w: 256 bytes at 0, but there are 255 bytes of data");
    one_tensor(&b, 32, 0, 32, 2, row, 256);
    refuse(&b, LAC_E_FORMAT, "tensor w: 256 bytes at 32, but");
    one_tensor(&b, 32, 0, UINT64_MAX - 31, 2, row, 256);
    refuse(&b, LAC_E_FORMAT, "but there are 256 bytes of data");
    one_tensor(&b, 32, 0, 16, 2, row, 300);
    refuse(&b, LAC_E_FORMAT, "tensor w: offset 16 is no multiple of 32");
    one_tensor(&b, 8, 0, 16, 2, row, 300);
    lac_gguf_close(accept(&b));
    static const uint32_t alignments[] = {0, 3, 24, UINT32_MAX, 1u << 21};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
        one_tensor(&b, alignments[i], 0, 0, 2, row, 256);
        refuse(&b, LAC_E_FORMAT, "is no power of two");
    }
    one_tensor(&b, 32, 8, 0, 2, row, 68);
    lac_gguf_close(accept(&b));
    one_tensor(&b, 32, 8, 0, 2, row, 67);
    refuse(&b, LAC_E_FORMAT, "68 bytes at 0");
    one_tensor(&b, 32, 8, 0, 2, odd, 256);
    refuse(&b, LAC_E_FORMAT, "tensor w: rows of 33 elements cannot be Q8_0");
    one_tensor(&b, 32, 0, 0, 2, wide, 256);
    refuse(&b, LAC_E_FORMAT, "cannot be F32");
    one_tensor(&b, 32, 0, 0, 1, half, 256);
    refuse(&b, LAC_E_FORMAT, "9223372036854775808 elements are too many");
    one_tensor(&b, 32, 0, 0, 0, row, 256);
    refuse(&b, LAC_E_FORMAT, "rank 0 is not between 1 and 4");
    one_tensor(&b, 32, 0, 0, 5, row, 256);
    refuse(&b, LAC_E_FORMAT, "rank 5 is not");
    one_tensor(&b, 32, 12, 0, 2, row, 256);
    refuse(&b, LAC_E_UNSUPPORTED, "tensor w: elements of type 12 (Q4_K) cannot be read (F32, ");
    one_tensor(&b, 32, 4, 0, 2, row, 256);
    refuse(&b, LAC_E_UNSUPPORTED, "elements of type 4 cannot");
    one_tensor(&b, 32, UINT32_MAX, 0, 2, row, 256);
    refuse(&b, LAC_E_UNSUPPORTED, "elements of type 4294967295 cannot");
}
END_TEST

START_TEST(tensors_stand_apart)
{
    struct bytes b;
    static const uint64_t shape[] = {16}, none[] = {0};
    begin(&b, 2, 0);
    put_tensor(&b, "a", 0, 64, 1, shape);
    put_tensor(&b, "b", 0, 32, 1, shape);
    put_data(&b, 32, 128);
    refuse(&b, LAC_E_FORMAT, "tensors b and a overlap");
    begin(&b, 2, 0);
    put_tensor(&b, "a", 0, 0, 1, shape);
    put_tensor(&b, "a", 0, 64, 1, shape);
    put_data(&b, 32, 128);
    refuse(&b, LAC_E_FORMAT, "tensor a is a duplicate");
    begin(&b, 3, 0);
    put_tensor(&b, "a", 0, 64, 1, shape);
    put_tensor(&b, "b", 0, 0, 1, shape);
    put_tensor(&b, "c", 0, 64, 1, none);
    put_data(&b, 32, 128);
    struct lac_gguf *gguf = accept(&b);
    static const char *const order[] = {"b", "c", "a"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(lac_tensors_at(lac_gguf_tensors(gguf), i)->name, order[i]);
    lac_gguf_close(gguf);
    begin(&b, 1, 0); /* no data at all */
    put_tensor(&b, "c", 0, 0, 1, none);
    gguf = accept(&b);
    ck_assert_uint_eq(lac_tensors_find(lac_gguf_tensors(gguf), "c")->size_bytes, 0);
    lac_gguf_close(gguf);
}
END_TEST

/* ---- Hyper-parameters ---- */

/* A header of an architecture with the usual keys and n_more to come. */
static void begin_model(struct bytes *b, const char *arch, uint64_t n_more, uint64_t n_tensors)
{
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"context_length", 64},        {"embedding_length", 32},    {"block_count", 2},
                 {"feed_forward_length", 64},   {"attention.head_count", 4}, {"vocab_size", 8},
                 {"attention.head_count_kv", 2}};
    enum { N_SIZES = sizeof sizes / sizeof sizes[0] };
    begin(b, n_tensors, N_SIZES + 1 + n_more);
    put_text(b, "general.architecture", arch);
    for (size_t i = 0; i < N_SIZES; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", arch, sizes[i].key);
        put_size(b, key, sizes[i].value);
    }
}

/* Adds the word embedding, and parses what the keys say. */
static enum lac_status finish_model(struct bytes *b, struct lac_arena *arena,
                                    struct lac_config *config, struct lac_error *error)
{
    static const uint64_t words[] = {32, 8};
    put_tensor(b, "token_embd.weight", 1, 0, 2, words);
    put_data(b, 32, 512);
    struct lac_gguf *gguf = accept(b);
    json_t *json = NULL;
    enum lac_status status = lac_gguf_config(gguf, &json, error);
    if (!status) {
        char *text = json_dumps(json, 0);
        status = lac_config_parse("keys", text, strlen(text), arena, config, error);
        free(text);
    }
    json_decref(json);
    lac_gguf_close(gguf);
    return status;
}

START_TEST(settings_become_configurations)
{
    struct bytes b;
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_error error = {0};
    struct lac_config config;
    begin_model(&b, "llama", 6, 1);
    put_text(&b, "llama.rope.scaling.type", "yarn");
    put_real(&b, "llama.rope.scaling.factor", 8);
    put_real(&b, "llama.rope.scaling.attn_factor", 0.5f);
    put_size(&b, "llama.rope.scaling.original_context_length", 16);
    put_real(&b, "llama.rope.freq_base", 1e6f);
    put_size(&b, "llama.attention.key_length", 16);
    ck_assert_msg(!finish_model(&b, &arena, &config, &error), "%s", error.text);
    ck_assert_int_eq(config.family, LAC_FAMILY_LLAMA);
    ck_assert_int_eq(config.rope.kind, LAC_ROPE_YARN);
    ck_assert(config.rope.theta == 1e6 && config.rope.factor == 8);
    ck_assert_uint_eq(config.rope.original_positions, 16);
    ck_assert(fabs(config.rope.attention_factor - 0.5 * (0.1 * log(8) + 1)) < 1e-12);
    ck_assert(config.rope.beta_fast == 32 && config.rope.beta_slow == 1);
    ck_assert_uint_eq(config.head_dim, 16);
    ck_assert_uint_eq(config.max_tokens, 128);
    ck_assert_uint_eq(config.vocab_size, 8);
    ck_assert_uint_eq(config.has_tied_head, 1);
    ck_assert_uint_eq(config.n_end_ids, 0);
    ck_assert_int_eq(config.bos_token_id, -1);

    begin_model(&b, "llama", 5, 1);
    put_real(&b, "llama.rope.scale_linear", 2);
    put_size(&b, "llama.attention.sliding_window", 12);
    put_size(&b, "tokenizer.ggml.eos_token_id", 3);
    put_size(&b, "tokenizer.ggml.eot_token_id", 5);
    put_size(&b, "tokenizer.ggml.bos_token_id", 1);
    ck_assert_msg(!finish_model(&b, &arena, &config, &error), "%s", error.text);
    ck_assert_int_eq(config.family, LAC_FAMILY_MISTRAL);
    ck_assert_int_eq(config.rope.kind, LAC_ROPE_LINEAR);
    ck_assert(config.rope.factor == 2 && config.rope.theta == 10000);
    ck_assert_uint_eq(config.windows[0], 12);
    ck_assert_uint_eq(config.windows[1], 12);
    ck_assert_uint_eq(config.n_end_ids, 2);
    ck_assert(config.end_ids[0] == 3 && config.end_ids[1] == 5 && config.bos_token_id == 1);

    static const uint64_t pairs[] = {4};
    begin_model(&b, "llama", 0, 2);
    put_tensor(&b, "rope_freqs.weight", 0, 512, 1, pairs);
    static const float divisors[] = {1, 1.5f, 4, 8};
    struct bytes copy = b;
    static const uint64_t words[] = {32, 8};
    put_tensor(&copy, "token_embd.weight", 1, 0, 2, words);
    put_data(&copy, 32, 512);
    put(&copy, divisors, sizeof divisors);
    struct lac_gguf *gguf = accept(&copy);
    json_t *json = NULL;
    ck_assert_int_eq(lac_gguf_config(gguf, &json, &error), LAC_OK);
    char *text = json_dumps(json, 0);
    ck_assert_msg(!lac_config_parse("keys", text, strlen(text), &arena, &config, &error), "%s",
                  error.text);
    free(text);
    json_decref(json);
    lac_gguf_close(gguf);
    ck_assert_int_eq(config.rope.kind, LAC_ROPE_DIVISORS);
    ck_assert_mem_eq(config.rope.divisors, divisors, sizeof divisors);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(settings_that_cannot_be_run_are_named)
{
    static const struct {
        const char *arch, *key;
        uint32_t value;
        const char *text; /* instead of value */
        enum lac_status status;
        const char *expected;
    } cases[] = {
        {"mamba", "x", 0, NULL, LAC_E_UNSUPPORTED,
         "general.architecture \"mamba\" cannot be run (llama, qwen2 and gpt2 can)"},
        {"llama", "split.count", 3, NULL, LAC_E_UNSUPPORTED, "split.count: models in 3 files"},
        {"llama", "llama.expert_count", 8, NULL, LAC_E_UNSUPPORTED, "expert_count: 8 experts"},
        {"llama", "llama.attention.value_length", 9, NULL, LAC_E_UNSUPPORTED,
         "value_length: 9 beside keys of 8"},
        {"llama", "llama.rope.dimension_count", 4, NULL, LAC_E_UNSUPPORTED,
         "llama.rope.dimension_count: 4 of 8 features"},
        {"llama", "llama.rope.scaling.type", 0, "longrope", LAC_E_UNSUPPORTED,
         "llama.rope.scaling.type \"longrope\" cannot be run"},
        {"llama", "llama.rope.scaling.type", 0, "linear\xff", LAC_E_UNSUPPORTED, "cannot be run"},
        {"llama", "llama.rope.scaling.type", 7, NULL, LAC_E_FORMAT, "expected a string"},
        {"llama", "llama.attention.layer_norm_rms_epsilon", 0, "x", LAC_E_FORMAT,
         "layer_norm_rms_epsilon: expected a number"},
        {"llama", "llama.rope.freq_base", 0, NULL, LAC_E_FORMAT, "rope_theta: 0 is not between"},
        {"llama", "tokenizer.ggml.eos_token_id", 8, NULL, LAC_E_FORMAT,
         "eos_token_id: 8 is not between 0 and 7"},
        {"qwen2", "qwen2.attention.sliding_window", 0, "x", LAC_E_FORMAT, "expected an integer"},
    };
    struct lac_arena arena = {.host = &lac_default_host};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes b;
        struct lac_error error = {0};
        struct lac_config config;
        begin_model(&b, cases[i].arch, 1, 1);
        if (cases[i].text)
            put_text(&b, cases[i].key, cases[i].text);
        else
            put_size(&b, cases[i].key, cases[i].value);
        enum lac_status status = finish_model(&b, &arena, &config, &error);
        ck_assert_msg(status == cases[i].status, "%d: %s", status, error.text);
        ck_assert_msg(strstr(error.text, cases[i].expected) != NULL, "\"%s\" not in: %s",
                      cases[i].expected, error.text);
    }
    lac_arena_clear(&arena);
}
END_TEST

void add_made_gguf_tests(Suite *suite)
{
    add_test(suite, "gguf header", headers_are_checked);
    add_test(suite, "gguf keys", keys_are_checked);
    add_test(suite, "gguf nesting", arrays_nest_within_limits);
    add_test(suite, "gguf values", values_have_their_types);
    add_test(suite, "gguf tensors", tensors_are_checked);
    add_test(suite, "gguf places", tensors_stand_apart);
    add_test(suite, "gguf settings", settings_become_configurations);
    add_test(suite, "gguf bad settings", settings_that_cannot_be_run_are_named);
}
