/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench runs each subject and prints what it promises; how fast is not asked. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/bench_suite.h"

char output[MOST_OUTPUT];

int run(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "%s %s 2>&1", LACUNA_BENCH, arguments);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

json_t *run_json(const char *arguments)
{
    json_error_t error;
    ck_assert_msg(run(arguments) == 0, "%s: %s", arguments, output);
    json_t *json = json_loads(output, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s: %s in %s", arguments, error.text, output);
    return json;
}

json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    ck_assert_msg(value != NULL, "no key %s", key);
    return value;
}

double number(const json_t *row, const char *key)
{
    json_t *value = member(row, key);
    ck_assert_msg(json_is_number(value), "%s is not a number", key);
    return json_number_value(value);
}

const char *text(const json_t *row, const char *key)
{
    json_t *value = member(row, key);
    ck_assert_msg(json_is_string(value), "%s is not a string", key);
    return json_string_value(value);
}

char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    char *data = malloc(1 << 20);
    ck_assert_ptr_nonnull(data);
    data[fread(data, 1, (1 << 20) - 1, file)] = 0;
    fclose(file);
    return data;
}

static int is_of_key(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Each key of the rows is a word of the manual page. */
static void check_keys(const json_t *json)
{
    char *page = read_text(LACUNA_SOURCE_DIR "/man/lacuna-bench.1");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        const char *key;
        json_t *value;
        json_object_foreach(row, key, value)
        {
            const char *at = page;
            size_t size = strlen(key);
            while ((at = strstr(at, key)) && (is_of_key(at[-1]) || is_of_key(at[size])))
                at++;
            check_each(at != NULL, "the manual page has no %s", key);
        }
    }
    free(page);
}

void check_context(const json_t *json, const char *subject)
{
    check_keys(json);
    static const char *const keys[] = {"cpu",    "caches",   "isa",      "governor",
                                       "pinned", "topology", "compiler", "flags",
                                       "commit", "version",  "seed"};
    ck_assert_str_eq(text(json, "subject"), subject);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        text(member(json, "context"), keys[i]);
}

static void check_times(const json_t *row)
{
    double least = number(row, "time_us_min"), median = number(row, "time_us_median");
    ck_assert(least > 0);
    ck_assert(median >= least);
    ck_assert(number(row, "time_us_p95") >= median);
}

/* One row for each number of threads, with the same limits. */
static void check_limits(const json_t *json)
{
    json_t *rows = member(json, "rows"), *row;
    size_t i, n_levels = 0, n_single = 0;
    json_array_foreach(rows, i, row)
    {
        text(row, "limit");
        text(row, "binding");
        ck_assert(number(row, "median") > 0);
        ck_assert(number(row, "best") >= number(row, "median"));
        n_single += number(row, "threads") == 1;
        n_levels += !strcmp(text(row, "unit"), "GB/s") && number(row, "threads") == 1;
    }
    ck_assert_uint_eq(n_levels, 4);
    ck_assert(n_single == i || 2 * n_single == i);
}

START_TEST(limits)
{
    char path[512];
    json_t *json = run_json("limits --seconds 0 --rounds 2 --memory 1 --no-cache --json");
    check_context(json, "limits");
    check_limits(json);
    /* A report says nothing of its own past, nor of where files are. */
    ck_assert_ptr_null(json_object_get(member(json, "context"), "limits"));
    json_decref(json);

    /* Kept, and found by whoever comes next. */
    json_decref(run_json("limits --seconds 0 --rounds 2 --memory 1 --json"));
    snprintf(path, sizeof path, "%s/lacuna/limits.json", getenv("XDG_CACHE_HOME"));
    const char *next = "spmm --shape 8x8 --tokens 1 --seconds 0 --rounds 1 --peers none --json";
    json = run_json(next);
    ck_assert(strstr(text(member(json, "context"), "limits"), "read memory") != NULL);
    json_decref(json);

    /* Of another machine. */
    json_error_t error;
    json_t *kept = json_load_file(path, 0, &error);
    ck_assert_msg(kept != NULL, "%s", error.text);
    json_object_set_new(kept, "machine", json_string("an abacus"));
    ck_assert_int_eq(json_dump_file(kept, path, 0), 0);
    json_decref(kept);
    json = run_json(next);
    ck_assert(strstr(text(member(json, "context"), "limits"), "another machine") != NULL);
    json_decref(json);

    /* Broken. */
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("{", file);
    fclose(file);
    json = run_json(next);
    ck_assert(strstr(text(member(json, "context"), "limits"), "not measured") != NULL);
    json_decref(json);
}
END_TEST

static void check_spmm_row(const json_t *row)
{
    static const char *const texts[] = {"pattern", "dtype", "isa", "kernel", "binding"};
    static const char *const numbers[] = {"m",       "k",        "n",          "sparsity",
                                          "threads", "nnz_gops", "dense_gops", "gbps"};
    static const char *const perhaps[] = {"roof_rate", "roof_share",     "vs_dense",
                                          "vs_onednn", "vs_onednn_vnni", "vs_one_thread",
                                          "max_err"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text(row, texts[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert(number(row, numbers[i]) >= 0);
    for (size_t i = 0; i < sizeof perhaps / sizeof perhaps[0]; i++)
        ck_assert(json_is_null(member(row, perhaps[i])) || number(row, perhaps[i]) >= 0);
    /* A share of a roof says of which. */
    ck_assert(json_is_null(member(row, "roof")) == json_is_null(member(row, "roof_share")));
    check_times(row);
    ck_assert(fabs(number(row, "sparsity_real") - number(row, "sparsity")) < 0.02);
    /* Whatever multiplied these matrices, it multiplied the same ones. */
    if (json_is_number(member(row, "max_err")))
        ck_assert_msg(number(row, "max_err") <= 1e-4, "%s is off by %g", text(row, "kernel"),
                      number(row, "max_err"));
}

START_TEST(spmm)
{
    json_t *json = run_json("spmm --shape 48x64,20x36 --tokens 5-53+48 --sparsity 0.5,0.75 "
                            "--pattern 4x4,1x4 --isa best,scalar --orientation token,output,best "
                            "--dtype int8,fp32 --seconds 0 --rounds 1 --json");
    check_context(json, "spmm");
    json_t *rows = member(json, "rows"), *row;
    size_t i, n_ours = 0;
    json_array_foreach(rows, i, row)
    {
        check_spmm_row(row);
        n_ours += !strncmp(text(row, "kernel"), "linear_", 7);
    }
    /* shapes, tokens, dtypes, instruction sets, orientations; dense and two patterns, two
     * sparsities each */
    ck_assert_uint_eq(n_ours, 2 * 2 * 2 * 2 * 3 * (1 + 2 * 2));
    json_decref(json);
}
END_TEST

START_TEST(spmm_u8)
{
    json_t *json = run_json("spmm --shape 64x64 --tokens 20 --sparsity 0.5 --pattern 16x4,8x4 "
                            "--dtype int8 --output u8 --seconds 0 --rounds 1 --json");
    json_t *rows = member(json, "rows"), *row;
    size_t i, n_compared = 0;
    json_array_foreach(rows, i, row)
    {
        check_times(row);
        if (json_is_null(member(row, "max_err")))
            continue;
        n_compared++;
        /* A step either way where another engine rounds a tie, or saturates, differently. */
        ck_assert_msg(number(row, "max_err") <= 1, "%s is off by %g steps", text(row, "kernel"),
                      number(row, "max_err"));
    }
    ck_assert(n_compared >= 3);
    json_decref(json);
}
END_TEST

/* Every pattern and dtype there is, and whatever other engines were built in. */
START_TEST(spmm_all)
{
    json_t *json = run_json("spmm --shape 64x64 --tokens 3 --sparsity 0.5 --seconds 0 --rounds 1 "
                            "--json");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_times(row);
        text(row, "kernel");
        if (json_is_number(member(row, "max_err")))
            ck_assert_msg(isfinite(number(row, "max_err")), "%s", text(row, "kernel"));
    }
    ck_assert(i > 0);
    json_decref(json);
}
END_TEST

START_TEST(spmm_threads)
{
    json_t *json = run_json("spmm --shape 48x64 --tokens 1,5,100 --sparsity 0.5 --pattern 8x4,1x4 "
                            "--dtype int8 --threads 1-3+1 --bind none --seconds 0 --rounds 1 "
                            "--json");
    json_t *row;
    size_t i, n_ratios = 0;
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_spmm_row(row);
        n_ratios += json_is_number(member(row, "vs_one_thread"));
    }
    /* tokens, crews of several; dense and two patterns, on two instruction sets */
    ck_assert_uint_eq(n_ratios, 3 * 2 * 3 * 2);
    json_decref(json);
}
END_TEST

START_TEST(spmm_cold)
{
    json_t *json = run_json("spmm --shape 1024x512 --tokens 1 --sparsity 0.8 --pattern 16x4 --cold "
                            "--dtype int8 --peers onednn --seconds 0 --rounds 1 --json");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_spmm_row(row);
        ck_assert_str_eq(text(row, "roof"), "read memory");
    }
    ck_assert(i >= 2);
    json_decref(json);
}
END_TEST

START_TEST(named_shapes)
{
    json_t *json =
        run_json("spmm --shape bert-mini,8-16+8x8 --tokens 1 --dtype int8 --pattern dense "
                 "--peers none --seconds 0 --rounds 1 --json");
    static const size_t expected[][2] = {{256, 256}, {1024, 256}, {256, 1024}, {8, 8}, {16, 8}};
    json_t *row, *rows = member(json, "rows");
    size_t i;
    ck_assert_uint_eq(json_array_size(rows), 5);
    json_array_foreach(rows, i, row)
    {
        ck_assert_uint_eq((size_t)number(row, "m"), expected[i][0]);
        ck_assert_uint_eq((size_t)number(row, "k"), expected[i][1]);
    }
    json_decref(json);
}
END_TEST

static void check_encode_row(const json_t *row)
{
    static const char *const texts[] = {"model", "pattern", "layout", "dtype", "isa", "length"};
    static const char *const numbers[] = {
        "threads",  "sequences",  "tokens",     "time_ms_min",   "tokens_per_s", "sequences_per_s",
        "nnz_gops", "dense_gops", "stored_mib", "vs_dense_int8", "vs_dense_fp32"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text(row, texts[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert_msg(number(row, numbers[i]) > 0, "%s is %g", numbers[i], number(row, numbers[i]));
    ck_assert(number(row, "time_ms_median") >= number(row, "time_ms_min"));
    ck_assert(number(row, "time_ms_p95") >= number(row, "time_ms_median"));
    /* Quantised weights may round to zero one by one. */
    ck_assert(fabs(number(row, "sparsity_real") - number(row, "sparsity")) < 0.02);
}

START_TEST(encode)
{
    json_t *json = run_json("encode --model wordnet --pattern dense,16x4,4x4 --sparsity 0.75 "
                            "--dtype int8,fp32 --threads 1-2+1 --sequences 2 --length 3,20 "
                            "--layout pruned --seconds 0 --rounds 1 --json");
    check_context(json, "encode");
    json_t *rows = member(json, "rows"), *row;
    size_t i, n_blocks = 0;
    json_array_foreach(rows, i, row)
    {
        check_encode_row(row);
        ck_assert(number(row, "tokens") == 6 || number(row, "tokens") == 40);
        n_blocks += !strcmp(text(row, "layout"), "4x4:24");
    }
    /* threads, lengths; two dense, two patterns of two dtypes */
    ck_assert_uint_eq(json_array_size(rows), 2 * 2 * (2 + 2 * 2));
    ck_assert_uint_eq(n_blocks, 2 * 2);
    json_decref(json);

    json = run_json("encode --model distilbert,2x96x100 --sequences 1 --max-length 8 --seconds 0 "
                    "--dtype int8,bf16 --pattern 32x4,bitmap,2:4 --rounds 1 --json");
    json_array_foreach(member(json, "rows"), i, row) check_encode_row(row);
    json_decref(json);
}
END_TEST

/* Steps of a decoder read weights, prompts do not count as reading. */
static void check_decode_row(const json_t *row)
{
    static const char *const numbers[] = {"layers",       "threads",      "sequences",   "tokens",
                                          "stored_mib",   "head_share",   "time_ms_min", "nnz_gops",
                                          "ms_per_token", "tokens_per_s", "vs_dense"};
    int is_prompt = !strcmp(text(row, "phase"), "prefill");
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        ck_assert_msg(number(row, numbers[k]) > 0, "%s", numbers[k]);
    ck_assert(is_prompt == json_is_null(member(row, "gbps")));
    ck_assert(is_prompt || number(row, "roof_share") > 0);
    ck_assert(number(row, "head_share") < 1);
    ck_assert((number(row, "kv_mib") > 0) == !is_prompt);
    ck_assert(fabs(number(row, "tokens_per_s") * number(row, "ms_per_token") - 1000) < 1e-2);
    ck_assert_str_eq(text(row, "model"), "2x96x100");
    /* Layers are pruned, the head only where that is asked for. */
    if (!strcmp(text(row, "head"), "dense"))
        ck_assert(number(row, "sparsity_real") <= number(row, "sparsity"));
    else
        ck_assert(fabs(number(row, "sparsity_real") - number(row, "sparsity")) < 0.01);
}

START_TEST(decode)
{
    json_t *json = run_json("decode --model 2x96x100 --sequences 1,3 --context 5,20 --prompt 50 "
                            "--threads 1-2+1 --pattern 16x4,2:4 --head dense,pruned "
                            "--sparsity 0.5,0.75 --kv-dtype bf16 --bind none --seconds 0 "
                            "--rounds 1 --json");
    check_context(json, "decode");
    json_t *row;
    size_t i, n_dense = 0, n_batches = 0;
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_decode_row(row);
        ck_assert_str_eq(text(row, "kv_dtype"), "bf16");
        ck_assert(number(row, "layers") == 2);
        n_dense += !strcmp(text(row, "pattern"), "dense");
        n_batches += !json_is_null(member(row, "vs_one_sequence"));
    }
    /* Sequences by contexts and a prompt, threads; dense, and two heads of 16x4 of two sparsities
     * and 2:4. */
    ck_assert_uint_eq(i, (2 * 2 + 1) * 2 * (1 + 2 * (2 + 1)));
    ck_assert_uint_eq(n_dense, (2 * 2 + 1) * 2);
    ck_assert_uint_eq(n_batches, 2 * 2 * (1 + 2 * (2 + 1)));
    json_decref(json);

    json = run_json("decode --model 2x96x100 --layers 1 --dtype fp32,bf16 --isa scalar "
                    "--seconds 0 --rounds 1 --pattern 4x4 --json");
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_decode_row(row);
        ck_assert_str_eq(text(row, "kv_dtype"), "fp32");
        ck_assert(number(row, "layers") == 1);
    }
    ck_assert_uint_eq(i, 2 * 2);
    json_decref(json);
}
END_TEST

START_TEST(attention)
{
    json_t *json = run_json("attention --length 1,49,100 --head-dim 8,33 --isa best,scalar "
                            "--dtype int8,fp32 --seconds 0 --rounds 1 --json");
    check_context(json, "attention");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        check_times(row);
        ck_assert(number(row, "vs_scalar") > 0);
        ck_assert(number(row, "nnz_gops") > 0);
        ck_assert(number(row, "max_err") < 1e-5);
    }
    /* lengths, widths, dtypes; two caps and plain C */
    ck_assert_uint_eq(i, 3 * 2 * 2 * 3);
    json_decref(json);
    json = run_json("attention --length 200 --head-dim 8 --dtype int8,bf16,fp32 --block 16 "
                    "--window 20 --mode full,causal,decode --seconds 0 --rounds 1 --zeros 0.5,0.9 "
                    "--rule window,sinks,global,bigbird,strided,neighbours,blocks --json");
    json_array_foreach(member(json, "rows"), i, row)
    {
        ck_assert(number(row, "max_err") < 1e-5);
        ck_assert(number(row, "vs_dense") > 0);
        ck_assert(number(row, "density") > 0 && number(row, "density") <= 1);
        ck_assert(number(row, "density_real") > 0 && number(row, "density_real") <= 1);
        ck_assert(number(row, "bound") >= 1);
        ck_assert(number(row, "bound_pairs") >= number(row, "bound") * (1 - 1e-9));
    }
    /* dtypes, modes; dense, six rules and two shares of blocks, plain C */
    ck_assert_uint_eq(i, 3 * 3 * (1 + 6 + 2 + 1));
    json_decref(json);
}
END_TEST

/* What is chosen at run time: as much as is asked for, at some cost. */
START_TEST(attention_choices)
{
    json_t *json = run_json("attention --length 768 --head-dim 8,40 --dtype int8,bf16,fp32 --mode "
                            "causal --seconds 0 --rounds 1 --zeros 0.5,0.9 --json --rule "
                            "vertical_slash,pooled,estimate,gate");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        int is_chosen = strcmp(text(row, "rule"), "dense") != 0;
        ck_assert(number(row, "max_err") < 1e-5);
        ck_assert((number(row, "selection") > 0) == is_chosen);
    }
    /* widths, dtypes; dense, two shares of three choices and the estimate, plain C */
    ck_assert_uint_eq(i, 2 * 3 * (1 + 6 + 1 + 1));
    json_decref(json);
}
END_TEST

/* What rules allow at most, against pairs and blocks that are counted by hand. */
START_TEST(attention_bounds)
{
    static const struct {
        const char *options, *mode;
        double pairs, blocks;
    } cases[] = {
        /* half of the 64 x 64 blocks, whole ones */
        {"--rule blocks --zeros 0.5 --length 256", "full", 2, 2},
        /* 4 lines of 64 by windows of 4 x 16: a quarter of each line, but every line */
        {"--rule neighbours --window 256 --length 256", "full", 4, 1},
        /* 64 of 256 keys and, before them, fewer; blocks: 7 of 10 on and below the diagonal */
        {"--rule window --window 64 --length 256", "causal", 32896.0 / (2080 + 192 * 64), 10.0 / 7},
        /* the last token: 64 of 256 keys, 4 of 16 pages */
        {"--rule window --window 64 --length 256", "decode", 4, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments,
                 "attention %s --mode %s --head-dim 8 --dtype int8 --seconds 0 --rounds 1 --json",
                 cases[i].options, cases[i].mode);
        json_t *json = run_json(arguments), *rows = member(json, "rows");
        ck_assert_double_eq(number(json_array_get(rows, 0), "bound"), 1);
        ck_assert_double_eq(number(json_array_get(rows, 0), "bound_pairs"), 1);
        ck_assert_double_eq_tol(number(json_array_get(rows, 1), "bound"), cases[i].blocks, 1e-5);
        ck_assert_double_eq_tol(number(json_array_get(rows, 1), "bound_pairs"), cases[i].pairs,
                                1e-5);
        json_decref(json);
    }
}
END_TEST

START_TEST(wrong_usage)
{
    static const char *const wrong[] = {
        "",
        "colour",
        "spmm 768x768",
        "spmm --shapes 16x16",
        "spmm --shape 768",
        "spmm --shape 0x16",
        "spmm --shape 16-8+8x16",
        "spmm --shape 1-100+1x1-100+1",
        "spmm --shape 16x16,",
        "spmm --shape",
        "spmm --json=1",
        "spmm --json --csv",
        "spmm --tokens 0",
        "spmm --tokens 1.5",
        "spmm --tokens 9-1+1",
        "spmm --tokens 1-65536+1",
        "spmm --tokens 1-9",
        "spmm --sparsity 1.1",
        "spmm --sparsity nan",
        "spmm --pattern 2x4",
        "spmm --shape bert-huge",
        "spmm --threads 0",
        "spmm --threads 1-17+1 --shape 8x8 --seconds 0",
        "spmm --bind desk",
        "spmm --peers onnx",
        "spmm --cold=1",
        "spmm --plot",
        "spmm --isa sse9",
        "limits --cpu 65535",
        "limits --memory 0",
        "encode --model gpt-9",
        "encode --model llama-7b",
        "encode --model 2x64",
        "encode --model 0x64x64",
        "encode --isa no_vbmi2",
        "crossover --pattern 2x4",
        "crossover --tokens 0",
        "decode --model gpt-9",
        "decode --sequences 0",
        "decode --model 1x64x64 --context 65537",
        "decode --model 1x64x64 --prompt 65537",
        "decode --head sparse",
        "decode --kv-dtype int4",
        "decode --layers 1.5",
        "attention --length 0",
        "attention --head-dim 257",
        "attention --rule gate",
        "attention --rule gate --mode causal --length 100",
        "encode --length 0",
        "encode --model wordnet --length 129",
        "encode --max-length 3",
        "encode --isa sse9",
        "encode --layout dense",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(run(wrong[i]) == 2, "'%s' is accepted: %s", wrong[i], output);
    ck_assert_int_eq(run("spmm --sparsity 1.1"), 2);
    ck_assert_msg(strstr(output, "--sparsity") != NULL, "%s", output);
}
END_TEST

START_TEST(help)
{
    static const char *const asked[] = {"--help",           "--version",       "limits --help",
                                        "spmm --help",      "encode --help",   "decode --help",
                                        "attention --help", "crossover --help"};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        ck_assert_int_eq(run(asked[i]), 0);
        ck_assert_msg(strstr(output, "lacuna-bench") != NULL, "%s", output);
    }
    ck_assert_int_eq(run("spmm --help >/dev/full"), 1);
}
END_TEST

int main(void)
{
    /* What limits keeps is not the user's here. */
    setenv("XDG_CACHE_HOME", scratch_directory(), 1);
    Suite *suite = suite_create("bench");
    add_test(suite, "limits", limits);
    add_test(suite, "spmm", spmm);
    add_test(suite, "spmm_u8", spmm_u8);
    add_test(suite, "spmm_all", spmm_all);
    add_test(suite, "spmm_threads", spmm_threads);
    add_test(suite, "spmm_cold", spmm_cold);
    add_test(suite, "named_shapes", named_shapes);
    add_test(suite, "encode", encode);
    add_test(suite, "decode", decode);
    add_test(suite, "attention", attention);
    add_test(suite, "attention_choices", attention_choices);
    add_test(suite, "attention_bounds", attention_bounds);
    add_output_tests(suite);
    add_test(suite, "wrong_usage", wrong_usage);
    add_test(suite, "help", help);
    return run_suite(suite);
}
