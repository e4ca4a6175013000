/* SPDX-License-Identifier: Apache-2.0 */
/* `lacuna generate` and `lacuna score`, against what the library says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "tests/program.h"

static const char *make_decoder(void)
{
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 32, .ffn = 72};
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    tiny_free(&tiny);
    return path;
}

/* The text of a record as printed, and a line end. */
static void assert_printed(const char *printed, size_t size, const json_t *record)
{
    const json_t *text = json_object_get(record, "text"); /* with NULs, perhaps */
    size_t n = json_string_length(text);
    ck_assert_uint_eq(size, n + 1);
    ck_assert_int_eq(memcmp(printed, json_string_value(text), n), 0);
    ck_assert_int_eq(printed[n], '\n');
}

START_TEST(lines_are_what_prompts_are)
{
    const char *model = make_decoder();
    struct outcome o = RUN("the cat\n{x\nwho is\n\nsun and moon\n", "generate", "-m", model, "-n",
                           "9", "--together", "2");
    expect(&o, 0);
    ck_assert_uint_eq(count_lines(o.out), 4);
    static const char *const prompts[] = {"the cat", "{x", "who is", "sun and moon"};
    static const int lines[] = {1, 2, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        json_t *json = line_json(o.out, i);
        ck_assert_int_eq(get_int(json, "id"), lines[i]);
        ck_assert_int_le(get_int(json, "tokens"), 9);
        struct outcome one =
            RUN("", "generate", "-m", model, "-n", "9", "--prompt", prompts[i], "--speculate", "3");
        expect(&one, 0);
        assert_printed(one.out, one.out_size, json);
        release(&one);
        json_decref(json);
    }
    release(&o);
}
END_TEST

START_TEST(samples_have_seeds_of_their_own)
{
    const char *model = make_decoder();
    struct outcome o = RUN("", "generate", "-m", model, "-n", "8", "-p", "the cat", "-T", "1",
                           "--samples", "3", "--seed", "5", "--log-probabilities");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0), *samples = json_object_get(json, "samples");
    ck_assert_uint_eq(json_array_size(samples), 3);
    for (size_t i = 0; i < 3; i++) {
        char seed[8];
        snprintf(seed, sizeof seed, "%zu", 5 + i);
        struct outcome one = RUN("", "generate", "-m", model, "-n", "8", "-p", "the cat", "-T", "1",
                                 "--seed", seed, "--json", "--log-probabilities");
        expect(&one, 0);
        json_t *own = line_json(one.out, 0);
        const json_t *sample = json_array_get(samples, i);
        ck_assert(json_equal(json_object_get(own, "text"), json_object_get(sample, "text")));
        ck_assert(fabs(get_real(own, "log_probability") - get_real(sample, "log_probability")) <
                  1e-5);
        ck_assert(get_real(own, "log_probability") < 0);
        json_decref(own);
        release(&one);
    }
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(beams_are_listed_best_first)
{
    const char *model = make_decoder();
    struct outcome o = RUN("the cat\n", "generate", "-m", model, "-n", "5", "--beams", "4",
                           "--samples", "4", "--length-penalty", "0", "--log-probabilities");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0), *samples = json_object_get(json, "samples");
    ck_assert_uint_eq(json_array_size(samples), 4);
    for (size_t i = 1; i < 4; i++)
        ck_assert(get_real(json_array_get(samples, i), "log_probability") <=
                  get_real(json_array_get(samples, i - 1), "log_probability") + 1e-5);
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(wrong_numbers_are_refused)
{
    static const char *const wrong[][2] = {
        {"--temperature", "-1"}, {"--temperature", "x"}, {"--top-p", "1.5"},
        {"--min-p", "nan"},      {"--beams", "33"},      {"--samples", "0"},
        {"--speculate", "40"},   {"--stop", ""},         {"--kv-dtype", "fp16"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct outcome o = RUN("", "generate", wrong[i][0], wrong[i][1]);
        expect(&o, 2);
        ck_assert_ptr_nonnull(strstr(o.err, wrong[i][0]));
        release(&o);
    }
    struct outcome o = RUN("", "generate", "--prompt", "x", "some-file");
    expect(&o, 2);
    release(&o);
    o = RUN("", "generate", "--samples", "3", "--beams", "2", "-p", "x");
    expect(&o, 2);
    release(&o);
    const char *model = make_decoder();
    o = RUN("{\"text\": \"a\", \"pair\": \"b\"}\n{\"text\": \"a\"}\n", "generate", "-m", model,
            "-n", "1");
    expect(&o, 1);
    ck_assert_uint_eq(count_lines(o.out), 1);
    ck_assert_ptr_nonnull(strstr(o.err, "\"line\":1"));
    release(&o);
}
END_TEST

static double score_directly(const char *path, const char *text)
{
    struct lac_engine *engine;
    struct lac_model *model;
    struct lac_session *session;
    struct lac_encoding e = {0};
    double scores[200], sum = 0;
    struct lac_engine_options *options;
    ck_assert_int_eq(lac_engine_options_new(&options), 0);
    ck_assert_int_eq(lac_engine_options_from_environment(options), 0);
    ck_assert_int_eq(lac_engine_new(options, &engine), 0);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_open(engine, path, NULL, &model), 0);
    ck_assert_int_eq(lac_session_new(model, NULL, &session), 0);
    ck_assert_int_eq(lac_tokenizer_encode(lac_model_tokenizer(model), text, strlen(text), NULL, 0,
                                          0, LAC_TRUNCATE_ERROR, &e),
                     0);
    ck_assert_uint_le(e.n, 200);
    ck_assert_int_eq(lac_session_score(session, e.ids, e.n, 1, LAC_PACE_PASSES, scores, NULL), 0);
    for (size_t i = 0; i + 1 < e.n; i++)
        sum += scores[i];
    double perplexity = exp(-sum / (double)(e.n - 1));
    lac_encoding_clear(&e);
    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
    return perplexity;
}

START_TEST(scores_are_the_librarys)
{
    static const char text[] = "the cat sat on the mat.\nwho is big? the sun and the moon.\n";
    const char *model = make_decoder();
    struct outcome o = RUN(text, "score", "-m", model, "--json");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0);
    double expected = score_directly(model, text);
    ck_assert_double_eq_tol(get_real(json, "perplexity") / expected, 1.0, 1e-5);
    size_t n_tokens = (size_t)get_int(json, "tokens");
    ck_assert_int_eq(get_int(json, "bytes"), sizeof text - 1);
    json_decref(json);
    release(&o);
    /* Windows that begin with the text alone see less: all tokens are scored all the same. */
    o = RUN(text, "score", "-m", model, "--json", "--window", "11", "--stride", "3");
    expect(&o, 0);
    json = line_json(o.out, 0);
    ck_assert_uint_eq((size_t)get_int(json, "tokens"), n_tokens);
    ck_assert(get_real(json, "perplexity") > 1);
    json_decref(json);
    release(&o);
    o = RUN(text, "score", "-m", model);
    expect(&o, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "perplexity"));
    release(&o);
    o = RUN("", "score", "-m", model);
    expect(&o, 3);
    release(&o);
    o = RUN(text, "score", "-m", model, "--window", "5", "--stride", "5");
    expect(&o, 3);
    release(&o);
}
END_TEST

static json_t *score_with(const char *model, const char *text, const char *policy)
{
    const char *const argv[] = {lacuna, "score",    "-m",  model,      "--json", "--kv",
                                policy, "--window", "160", "--stride", "40",     NULL};
    struct outcome o = run_with(argv, text, strlen(text));
    expect(&o, 0);
    json_t *json = line_json(o.out, 0);
    release(&o);
    return json;
}

static const char *write_heads(const char *name, const char *json)
{
    static char path[600], policy[640];
    snprintf(path, sizeof path, "%s/%s", scratch_directory(), name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(json, file);
    fclose(file);
    snprintf(policy, sizeof policy, "duo:%s", path);
    return policy;
}

START_TEST(caches_keep_what_is_asked)
{
    const char *model = make_decoder();
    char text[700] = "";
    for (size_t i = 0; i < 20; i++)
        strcat(text, i % 3 ? "the cat sat on the mat. " : "who is big? the sun and the moon. ");
    json_t *full = score_with(model, text, "full"), *less = score_with(model, text, "stream:0+1");
    json_t *all = score_with(model, text, write_heads("all", "{\"retrieval_heads\": [[0], [0]]}"));
    json_t *some = score_with(
        model, text,
        write_heads("some", "{\"retrieval_heads\": [[], [0]], \"sinks\": 0, \"window\": 1}"));
    ck_assert_int_gt(get_int(full, "tokens"), 40);
    ck_assert_int_eq(get_int(full, "tokens"), get_int(less, "tokens"));
    ck_assert_int_lt(get_int(full, "bytes"), (json_int_t)strlen(text));
    ck_assert_int_lt(get_int(less, "cache_bytes"), get_int(some, "cache_bytes"));
    ck_assert_int_lt(get_int(some, "cache_bytes"), get_int(full, "cache_bytes"));
    ck_assert(get_real(full, "perplexity") != get_real(less, "perplexity"));
    ck_assert_int_eq(get_int(full, "cache_bytes"), get_int(all, "cache_bytes"));
    ck_assert(get_real(full, "perplexity") == get_real(all, "perplexity"));
    json_t *snapped = score_with(model, text, "snap:40");
    json_t *layers = score_with(model, text, "snap:40,60");
    ck_assert_int_lt(get_int(snapped, "cache_bytes"), get_int(layers, "cache_bytes"));
    ck_assert_int_lt(get_int(layers, "cache_bytes"), get_int(full, "cache_bytes"));
    json_t *mean = score_with(model, text, "stream:0+1/mean");
    json_t *means = score_with(
        model, text,
        write_heads("means",
                    "{\"retrieval_heads\": [], \"sinks\": 0, \"window\": 1, \"rest\": \"mean\"}"));
    ck_assert(get_real(mean, "perplexity") == get_real(means, "perplexity"));
    ck_assert(get_real(mean, "perplexity") != get_real(less, "perplexity"));
    json_t *dealt = score_with(model, text, "prefix:70");
    ck_assert_int_lt(get_int(dealt, "cache_bytes"), get_int(full, "cache_bytes"));
    json_t *heavy = score_with(model, text, "heavy:20+12");
    json_t *halves = score_with(model, text, "heavy:32"),
           *few = score_with(model, text, "heavy:32/9");
    ck_assert_int_lt(get_int(heavy, "cache_bytes"), get_int(full, "cache_bytes"));
    ck_assert_int_eq(get_int(heavy, "cache_bytes"), get_int(halves, "cache_bytes"));
    ck_assert(get_real(heavy, "perplexity") != get_real(halves, "perplexity"));
    ck_assert(get_real(few, "perplexity") != get_real(halves, "perplexity"));
    json_t *thin = score_with(model, text, "thin:0.5"), *zip = score_with(model, text, "zip:0.5/9");
    ck_assert(get_real(thin, "perplexity") != get_real(full, "perplexity"));
    ck_assert(get_real(zip, "perplexity") != get_real(full, "perplexity"));
    ck_assert_int_lt(get_int(zip, "cache_bytes"), get_int(full, "cache_bytes"));
    json_t *const made[] = {full,  less,  all,   some,   snapped, layers, mean,
                            means, dealt, heavy, halves, few,     thin,   zip};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        json_decref(made[i]);
    struct outcome o = RUN("", "generate", "-m", model, "-p", "the cat", "--kv", "stream:4+99");
    expect(&o, 0);
    release(&o);
    o = RUN("the cat", "score", "-m", model, "--kv", "full");
    expect(&o, 3); /* the text is no longer than what is only seen */
    release(&o);
}
END_TEST

START_TEST(wrong_caches_are_refused)
{
    const char *model = make_decoder();
    static const char *const wrong[] = {
        "some",
        "stream",
        "stream:",
        "stream:4",
        "stream:4+0",
        "stream:4+x",
        "stream:+4",
        "stream:4+4/",
        "stream:4+4/means",
        "stream:4+4 ",
        "duo:",
        "duo:/nowhere/no",
        "stream:4+9999999999",
        "stream:99999999999999999999+1",
        "snap:",
        "snap:9,",
        "snap:,9",
        "snap:9,x",
        "snap:9/8",
        "prefix:",
        "prefix:9,9",
        "heavy:",
        "heavy:9+",
        "heavy:9+0",
        "heavy:9/0",
        "heavy:9+9/",
        "heavy:9,9+9",
        "heavy:9+9/9x",
        "thin:",
        "thin:0",
        "thin:1.5",
        "thin:nan",
        "thin:-1",
        "zip:0.5/",
        "zip:0.5/0",
        "zip:.5x",
    };
    static const char *const files[] = {
        "{",
        "[]",
        "{}",
        "{\"retrieval_heads\": 1}",
        "{\"retrieval_heads\": [1]}",
        "{\"retrieval_heads\": [[-1]]}",
        "{\"retrieval_heads\": [[0]], \"window\": -1}",
        "{\"retrieval_heads\": [[0]], \"sinks\": \"4\"}",
        "{\"retrieval_heads\": [[0]], \"rest\": \"means\"}",
        "{\"retrieval_heads\": [[0]], \"rest\": 1}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct outcome o = RUN("", "generate", "-m", model, "-p", "the", "--kv", wrong[i]);
        expect(&o, 2);
        release(&o);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct outcome o = RUN("the cat", "score", "-m", model, "--kv", write_heads("w", files[i]));
        expect(&o, 2);
        release(&o);
    }
    struct outcome o = RUN("", "generate", "-m", model, "-p", "the", "--kv",
                           write_heads("w", "{\"retrieval_heads\": [[0], [1]]}"));
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "layer 1"));
    release(&o);
}
END_TEST

START_TEST(the_example_streams)
{
    const char *model = make_decoder();
    static const char program[] = LACUNA_BUILD_DIR "/examples/generate";
    struct outcome o = run_with((const char *const[]){program, model, "the cat", "6", NULL}, "", 0);
    expect(&o, 0);
    struct outcome line = RUN("", "generate", "-m", model, "-p", "the cat", "-n", "6", "-T", "0.8",
                              "--top-p", "0.95", "--seed", "1");
    expect(&line, 0);
    ck_assert_uint_eq(o.out_size, line.out_size);
    ck_assert_int_eq(memcmp(o.out, line.out, o.out_size), 0);
    release(&o);
    release(&line);
    o = run_with((const char *const[]){program, "/nowhere", "x", NULL}, "", 0);
    expect(&o, 1);
    ck_assert_ptr_nonnull(strstr(o.err, "/nowhere"));
    release(&o);
}
END_TEST

START_TEST(neurons_are_left_out)
{
    static const char text[] = "the cat sat on the mat.\nwho is big? the sun and the moon.\n";
    const char *model = make_decoder(), *file = write_file("words", text, sizeof text - 1);
    struct outcome o =
        RUN(text, "score", "-m", model, "--json", "--activations", "cats:0.5", "--calibrate", file);
    expect(&o, 0);
    json_t *json = line_json(o.out, 0);
    double active = get_real(json, "active"), perplexity = get_real(json, "perplexity");
    ck_assert_msg(active > 0.4 && active < 0.6, "%g", active);
    ck_assert(get_real(json, "read") >= active);
    ck_assert(get_real(json, "tokens_per_second") > 0);
    ck_assert_str_eq(get_text(json, "activations"), "cats:0.5");
    ck_assert_uint_gt(json_array_size(json_object_get(json, "thresholds")), 0);
    json_decref(json);
    const char *result = write_file("thresholds", o.out, o.out_size);
    release(&o);
    /* The result is as good as the text. */
    o = RUN(text, "score", "-m", model, "--json", "--activations", "cats:0.9", "--calibrate",
            result, "--steps");
    expect(&o, 0);
    json = line_json(o.out, 0);
    ck_assert(get_real(json, "perplexity") == perplexity);
    json_decref(json);
    release(&o);
    o = RUN(text, "score", "-m", model, "--json", "--window", "16", "--activations",
            "core:0.5,0.3");
    expect(&o, 0);
    json = line_json(o.out, 0);
    active = get_real(json, "active");
    ck_assert_msg(active > 0.4 && active < 0.6, "%g", active);
    json_decref(json);
    release(&o);
    /* Several are compared. */
    o = RUN(text, "score", "-m", model, "--json", "--activations", "none", "--activations",
            "cats:0.5", "--calibrate", file);
    expect(&o, 0);
    json = line_json(o.out, 0);
    ck_assert_str_eq(get_text(json, "activations"), "none");
    ck_assert(get_real(json, "active") == 1 && get_real(json, "read") == 1);
    ck_assert(get_real(json, "perplexity") != perplexity);
    json_decref(json);
    json = line_json(o.out, 1);
    ck_assert(get_real(json, "perplexity") == perplexity);
    json_decref(json);
    release(&o);
    o = RUN(text, "score", "-m", model, "--activations", "none", "--activations", "cats:0.5",
            "--calibrate", result);
    expect(&o, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "neurons active"));
    release(&o);
    o = RUN(text, "score", "-m", model, "--activations", "none", "--activations", "none", "--kv",
            "full", "--kv", "full", "--kv", "full");
    expect(&o, 2);
    release(&o);
    o = RUN("", "generate", "-m", model, "-p", "the", "--activations", "none", "--activations",
            "none");
    expect(&o, 2);
    release(&o);
    o = RUN("", "generate", "-m", model, "-n", "8", "-p", "the cat", "--summary", "--activations",
            "cats:0.5", "--calibrate", file);
    expect(&o, 0);
    ck_assert_ptr_nonnull(strstr(o.err, "% of neurons active"));
    release(&o);
    o = RUN(text, "score", "-m", model, "--activations", "cats:0.5"); /* by what? */
    expect(&o, 3);
    release(&o);
    o = RUN(text, "score", "-m", model, "--dtype", "bf16", "--activations", "cats:0.5",
            "--calibrate", file);
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "can be skipped"));
    release(&o);
    o = RUN(text, "score", "-m", model, "--activations", "cats:0.5", "--calibrate",
            write_file("few", "{\"thresholds\": [1]}", 19));
    expect(&o, 3);
    release(&o);
    static const char *const wrong[] = {"cats",   "cats:",     "cats:2",     "cats:-1",
                                        "cats:x", "dogs:0.5",  "core:",      "core:0",
                                        "core:2", "core:0.5,", "core:0.5,0", "core:0.5,1,1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        o = RUN(text, "score", "-m", model, "--activations", wrong[i], "--calibrate", file);
        expect(&o, 2);
        release(&o);
    }
}
END_TEST

void add_generate_tests(Suite *suite)
{
    add_test(suite, "generate", lines_are_what_prompts_are);
    add_test(suite, "generate --samples", samples_have_seeds_of_their_own);
    add_test(suite, "generate --beams", beams_are_listed_best_first);
    add_test(suite, "generate, wrong", wrong_numbers_are_refused);
    add_test(suite, "score", scores_are_the_librarys);
    add_test(suite, "--kv", caches_keep_what_is_asked);
    add_test(suite, "--kv, wrong", wrong_caches_are_refused);
    add_test(suite, "--activations", neurons_are_left_out);
    add_test(suite, "examples/generate", the_example_streams);
}
