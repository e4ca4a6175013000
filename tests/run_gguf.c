/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files: the tokenizers inside, and the same results as from directories. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/cpu.h"
#include "src/run/decoder.h"
#include "src/run/gguf_tokenizer.h"
#include "src/sys/pool.h"
#include "src/sys/topology.h"
#include "tests/run_suite.h"

#define FOLDER "tests/data/model/decoders/"

static void expect(const char *name, const char *text, size_t n, const int32_t *ids,
                   const char *decoded)
{
    char path[100], back[100];
    struct lac_error error = {0};
    struct lac_tokenizer *tokenizer = NULL;
    struct lac_encoding encoding = {0};
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (lac_gguf_tokenizer_open_path(&lac_default_host, source_path(path), &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    ck_assert_uint_eq(lac_tokenizer_vocab_size(tokenizer), 40);
    ck_assert(!lac_tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 0, LAC_TRUNCATE_LONGEST,
                                    &encoding));
    ck_assert_uint_eq(encoding.n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(encoding.ids[i] == ids[i], "%s: token %zu of \"%s\" is %d, not %d", name, i,
                      text, encoding.ids[i], ids[i]);
    (void)lac_tokenizer_decode(tokenizer, ids, n, back, sizeof back);
    ck_assert_str_eq(back, decoded);
    lac_encoding_clear(&encoding);
    lac_tokenizer_free(tokenizer);
}

/* Allocation number fails_at (from 0) and all later ones fail. */
struct counting_host {
    size_t n, fails_at, n_live;
};

static void *counting_alloc(void *context, size_t alignment, size_t size)
{
    struct counting_host *host = context;
    void *memory = NULL;
    if (host->n++ >= host->fails_at || posix_memalign(&memory, alignment, size))
        return NULL;
    host->n_live++;
    return memory;
}

static void counting_release(void *context, void *memory)
{
    struct counting_host *host = context;
    host->n_live--;
    free(memory);
}

/* The ids are places in the lists of tests/data/model/make_decoders.py. */
START_TEST(tokenizers_come_out_of_gguf)
{
    /* <s> ▁ban ana | ▁b est | <|x|> \n é as two bytes */
    expect("llama.gguf", "banana", 3, (const int32_t[]){1, 16, 15}, "banana");
    expect("llama.gguf", "best<|x|>\n\xc3\xa9", 7, (const int32_t[]){1, 14, 18, 20, 3, 4, 5},
           "best<|x|>\n\xc3\xa9");
    expect("llama.gguf", "tZ", 3, (const int32_t[]){1, 19, 0}, "t");
    /* b an ana | Ġb est | the two bytes of é, <|endoftext|> */
    expect("gpt2.gguf", "banana best", 5, (const int32_t[]){3, 12, 14, 13, 16}, "banana best");
    expect("gpt2.gguf", "12\xc3\xa9<|endoftext|>", 4, (const int32_t[]){18, 8, 9, 0}, "12\xc3\xa9");
    /* Qwen2 takes digits one by one, and text in NFC: e with an accent is one letter. */
    expect("qwen2.gguf", "12e\xcc\x81", 4, (const int32_t[]){10, 11, 8, 9}, "12\xc3\xa9");
}
END_TEST

/* Whole files with a key's name or value overwritten: the first place where `from` stands. */
START_TEST(bad_tokenizers_are_named)
{
    static const struct {
        const char *name, *from, *to;
        enum lac_status status;
        const char *expected; /* NULL: good, with a tokenizer or without */
    } cases[] = {
        {"llama.gguf", "tokenizer.ggml.model", "tokenizer.ggml.modal", LAC_OK, NULL},
        {"llama.gguf", "tokenizer.ggml.token_type", "tokenizer.ggml.token_typo", LAC_OK, NULL},
        {"llama.gguf", "tokenizer.ggml.scores", "tokenizer.ggml.scored", LAC_E_FORMAT,
         "tokenizer.ggml.scores is missing"},
        {"llama.gguf", "tokenizer.ggml.tokens", "tokenizer.ggml.tokans", LAC_E_FORMAT,
         "tokenizer.ggml.tokens is missing"},
        {"llama.gguf", "unknown_token_id\4\0\0\0\0", "unknown_token_id\4\0\0\0\50", LAC_E_FORMAT,
         "unknown_token_id: 40 is not below 40 tokens"},
        {"llama.gguf", "token_type\11\0\0\0\5\0\0\0\50\0\0\0\0\0\0\0\2",
         "token_type\11\0\0\0\5\0\0\0\50\0\0\0\0\0\0\0\7", LAC_E_FORMAT, "token 0 has type 7"},
        {"llama.gguf", "token_type\11\0\0\0\5", "token_type\11\0\0\0\6", LAC_E_FORMAT,
         "token_type: expected an array of kind 5, found kind 9 of kind 6"},
        {"llama.gguf", "<unk>", "<s>\xff\xff", LAC_E_FORMAT, "token 0 is not UTF-8"},
        {"gpt2.gguf", "gpt-2", "gpt-3", LAC_E_UNSUPPORTED,
         "tokenizer.ggml.pre \"gpt-3\" cannot be read (gpt-2, default, llama-bpe and qwen2 can)"},
        {"gpt2.gguf", "tokenizer.ggml.merges", "tokenizer.ggml.merged", LAC_E_FORMAT,
         "tokenizer.ggml.merges is missing"},
        {"gpt2.gguf", "an a", "an q", LAC_E_FORMAT, ""},
    };
    static const size_t sizes[] = {20, 25, 21, 21, 21, 27, 15, 5, 5, 21, 4};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[100];
        struct lac_error error = {0};
        struct lac_gguf *gguf = NULL;
        struct lac_tokenizer *tokenizer = NULL;
        snprintf(path, sizeof path, FOLDER "%s", cases[i].name);
        FILE *file = fopen(source_path(path), "rb");
        static char bytes[100000];
        size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        ck_assert(file && !fclose(file));
        char *at = memmem(bytes, size, cases[i].from, sizes[i]);
        ck_assert_ptr_nonnull(at);
        memcpy(at, cases[i].to, sizes[i]);
        if (lac_gguf_open_memory(&lac_default_host, "bytes", bytes, size, &gguf, &error))
            ck_abort_msg("%zu: %s", i, error.text);
        enum lac_status status =
            lac_gguf_tokenizer_open(&lac_default_host, "bytes", gguf, &tokenizer, &error);
        ck_assert_msg(status == cases[i].status, "%zu: %d: %s", i, status, error.text);
        if (cases[i].expected)
            ck_assert_msg(strstr(error.text, cases[i].expected) != NULL, "\"%s\" not in: %s",
                          cases[i].expected, error.text);
        lac_tokenizer_free(tokenizer);
        lac_gguf_close(gguf);
    }
}
END_TEST

/* jansson's memory is not the host's. */
START_TEST(running_out_of_memory_is_an_error)
{
    struct lac_error error = {0};
    struct lac_gguf *gguf = NULL;
    ck_assert(!lac_gguf_open(&lac_default_host, source_path(FOLDER "gpt2.gguf"), &gguf, &error));
    enum lac_status status = LAC_E_MEMORY;
    for (size_t n = 0; status; n++) {
        struct counting_host counting = {.fails_at = n};
        struct lac_host host = {.allocator = {counting_alloc, counting_release, &counting}};
        struct lac_tokenizer *tokenizer = NULL;
        status = lac_gguf_tokenizer_open(&host, "file", gguf, &tokenizer, &error);
        ck_assert_msg(!status || status == LAC_E_MEMORY, "%zu: %s", n, error.text);
        lac_tokenizer_free(tokenizer);
        ck_assert_uint_eq(counting.n_live, 0);
    }
    lac_gguf_close(gguf);
}
END_TEST

enum { N_WORDS = 40, N_FED = 5 };

static struct lac_network *open_network(const char *path, enum lac_dtype dtype)
{
    struct lac_network_options options = {
        .dtype = dtype, .pattern = -1, .features = lac_cpu_features()};
    struct lac_network *network = NULL;
    struct lac_error error = {0};
    ck_assert_msg(!lac_network_open(&lac_default_host, path, &options, &network, &error), "%s",
                  error.text);
    return network;
}

/* The logits after each of N_FED tokens. */
static void run_tokens(const struct lac_network *network, struct lac_pool *pool,
                       float logits[N_FED][N_WORDS])
{
    static const int32_t ids[N_FED] = {1, 7, 39, 0, 20};
    struct lac_next next[N_FED];
    struct lac_decoder decoder;
    struct lac_kv kv;
    struct lac_error error = {0};
    struct lac_kv_shape shape = lac_decoder_kv_shape(network, 0);
    for (size_t i = 0; i < N_FED; i++)
        next[i] = (struct lac_next){.n_top = 1, .logits = logits[i], .target = -1};
    lac_kv_init(&kv, &lac_default_host, &shape);
    const struct lac_decoder_options options = {.batch_tokens = 384};
    ck_assert(!lac_decoder_open(&decoder, &lac_default_host, network, pool, &options, &error));
    struct lac_step_text step = {
        .kv = &kv, .ids = ids, .n_tokens = N_FED, .n_text = N_FED, .next = next, .n_next = N_FED};
    ck_assert_msg(!lac_decoder_run(&decoder, &step, 1, NULL, NULL, &error), "%s", error.text);
    lac_decoder_close(&decoder);
    lac_kv_clear(&kv);
}

static void run_path(const char *path, enum lac_dtype dtype, struct lac_pool *pool,
                     const char *packed, float logits[N_FED][N_WORDS])
{
    struct lac_error error = {0};
    struct lac_network *network = open_network(path, dtype);
    run_tokens(network, pool, logits);
    if (packed)
        ck_assert_msg(!lac_network_pack(network, NULL, packed, &error), "%s", error.text);
    lac_network_free(network);
}

/* Every weight is exact in both forms, so the results are the same bit by bit; so are those of the
 * packed file, whose word embedding is fp32 in place of Q8_0. */
START_TEST(gguf_runs_as_its_directory)
{
    static const char *const names[] = {"llama", "qwen2", "gpt2"};
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_S8};
    struct lac_error error = {0};
    struct lac_topology *topology;
    struct lac_pool *pool;
    char packed[300];
    ck_assert(!lac_topology_new(&lac_default_host, &topology, &error));
    ck_assert(!lac_pool_new(&lac_default_host, topology, 1, LAC_BIND_NONE, &pool, &error));
    snprintf(packed, sizeof packed, "%s/packed", scratch_directory());
    for (size_t i = 0; i < 6; i++) {
        float logits[3][N_FED][N_WORDS];
        char path[100];
        snprintf(path, sizeof path, FOLDER "%s", names[i / 2]);
        run_path(source_path(path), dtypes[i % 2], pool, NULL, logits[0]);
        snprintf(path, sizeof path, FOLDER "%s.gguf", names[i / 2]);
        run_path(source_path(path), dtypes[i % 2], pool, packed, logits[1]);
        run_path(packed, 0, pool, NULL, logits[2]);
        for (size_t form = 1; form < 3; form++)
            for (size_t k = 0; k < N_FED; k++)
                for (size_t w = 0; w < N_WORDS; w++)
                    ck_assert_msg(logits[0][k][w] == logits[form][k][w],
                                  "%s, form %zu: token %zu, word %zu: %g and %g", names[i / 2],
                                  form, k, w, (double)logits[0][k][w], (double)logits[form][k][w]);
        ck_assert(logits[0][0][0] != logits[0][1][0]);
    }
    lac_pool_free(pool);
    lac_topology_free(topology);
}
END_TEST

void add_gguf_tests(Suite *suite)
{
    add_test(suite, "gguf tokenizers", tokenizers_come_out_of_gguf);
    add_test(suite, "bad gguf tokenizers", bad_tokenizers_are_named);
    add_test(suite, "gguf tokenizer memory", running_out_of_memory_is_an_error);
    add_test(suite, "gguf networks", gguf_runs_as_its_directory);
}
