/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of `lacuna` find, against what the library says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "tests/program.h"

/* What the library itself says, one text at a time. */
static void expect_classes(const char *model_path, const char *const *texts, size_t n,
                           const char *out)
{
    struct lac_engine *engine;
    struct lac_model *model;
    struct lac_session *session;
    struct lac_engine_options *options;
    ck_assert_int_eq(lac_engine_options_new(&options), 0);
    ck_assert_int_eq(lac_engine_options_from_environment(options), 0);
    ck_assert_int_eq(lac_engine_new(options, &engine), 0);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_open(engine, model_path, NULL, &model), 0);
    ck_assert_int_eq(lac_session_new(model, NULL, &session), 0);
    for (size_t i = 0; i < n; i++) {
        struct lac_candidate best[3];
        size_t n_best;
        lac_session_clear(session);
        ck_assert_int_eq(lac_session_add_text(session, texts[i], strlen(texts[i]), NULL, 0, NULL),
                         0);
        ck_assert_int_eq(lac_session_run(session), 0);
        ck_assert_int_eq(lac_session_top_classes(session, 0, best, 3, &n_best), 0);
        ck_assert_uint_eq(n_best, 3);
        json_t *json = line_json(out, i);
        json_t *labels = json_object_get(json, "labels");
        ck_assert_uint_eq(json_array_size(labels), 3);
        double sum = 0;
        for (size_t k = 0; k < 3; k++) {
            const json_t *one = json_array_get(labels, k);
            ck_assert_str_eq(get_text(one, "label"), lac_model_label(model, (size_t)best[k].id));
            ck_assert_double_eq_tol(get_real(one, "score"), (double)best[k].probability, 1e-6);
            sum += get_real(one, "score");
        }
        ck_assert_double_eq_tol(sum, 1.0, 1e-5);
        ck_assert_str_eq(get_text(json, "label"), lac_model_label(model, (size_t)best[0].id));
        json_decref(json);
    }
    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
}

START_TEST(classes_are_the_librarys)
{
    const char *model = make_model(TINY_CLASSIFY);
    static const char *const texts[] = {"the cat sat on the mat.", "who is big?", "sun", "?"};
    struct outcome o = RUN("the cat sat on the mat.\nwho is big?\nsun\n?\n", "classify", "--model",
                           model, "--top-k", "9");
    expect(&o, 0);
    expect_classes(model, texts, 4, o.out);
    /* However the lines are batched and spread, a line's result is its own. */
    struct outcome small = RUN("the cat sat on the mat.\nwho is big?\nsun\n?\n", "classify",
                               "--model", model, "--top-k", "9", "--batch-tokens", "1");
    struct outcome threads =
        RUN("the cat sat on the mat.\nwho is big?\nsun\n?\n", "classify", "--model", model,
            "--top-k", "9", "--threads", "3", "--bind", "none");
    ck_assert_str_eq(small.out, o.out);
    ck_assert_str_eq(threads.out, o.out);
    release(&o);
    release(&small);
    release(&threads);
}
END_TEST

START_TEST(tags_lie_in_the_text)
{
    const char *model = make_model(TINY_TAG);
    struct outcome o = RUN("The CAT sat\n", "tag", "--model", model);
    expect(&o, 0);
    json_t *json = line_json(o.out, 0), *tokens = json_object_get(json, "tokens");
    static const char *const expected[] = {"the", "cat", "sat"};
    ck_assert_uint_eq(json_array_size(tokens), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *token = json_array_get(tokens, i);
        ck_assert_str_eq(get_text(token, "token"), expected[i]);
        ck_assert_int_eq(get_int(token, "begin"), (long long)i * 4);
        ck_assert_int_eq(get_int(token, "end"), (long long)i * 4 + 3);
        ck_assert(get_real(token, "score") > 1.0 / 3.1 && get_real(token, "score") <= 1);
        ck_assert_ptr_nonnull(strstr("L0 L1 L2", get_text(token, "label")));
    }
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(answers_lie_in_the_context)
{
    const char *model = make_model(TINY_ANSWER);
    static const char context[] = "the big dog is in the sun.";
    struct outcome o = RUN("who is in the sun?\tthe big dog is in the sun.\nalone\n", "answer",
                           "--model", model, "--top-k", "4", "--max-answer-tokens", "3");
    expect(&o, 1);
    json_t *json = line_json(o.out, 0), *answers = json_object_get(json, "answers");
    ck_assert_uint_eq(json_array_size(answers), 4);
    double last = 1;
    for (size_t i = 0; i < 4; i++) {
        const json_t *answer = json_array_get(answers, i);
        long long begin = get_int(answer, "begin"), end = get_int(answer, "end");
        ck_assert(begin >= 0 && begin < end && end <= (long long)strlen(context));
        char span[64];
        snprintf(span, sizeof span, "%.*s", (int)(end - begin), context + begin);
        ck_assert_str_eq(get_text(answer, "answer"), span);
        ck_assert(get_real(answer, "score") <= last);
        last = get_real(answer, "score");
    }
    ck_assert_str_eq(get_text(json, "answer"), get_text(json_array_get(answers, 0), "answer"));
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(masks_get_candidates)
{
    const char *model = make_model(TINY_FILL);
    struct outcome o =
        RUN("the [MASK] sat on the [MASK].\nno gap\n", "fill", "--model", model, "--top-k", "2");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0), *masks = json_object_get(json, "masks");
    ck_assert_uint_eq(json_array_size(masks), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *list = json_object_get(json_array_get(masks, i), "candidates");
        ck_assert_uint_eq(json_array_size(list), 2);
        ck_assert(get_real(json_array_get(list, 0), "score") >=
                  get_real(json_array_get(list, 1), "score"));
        get_text(json_array_get(list, 0), "token");
    }
    json_decref(json);
    json = line_json(o.out, 1);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "masks")), 0);
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(embeddings_have_length_one)
{
    const char *model = make_model(TINY_CLASSIFY);
    struct outcome o =
        RUN("the cat\nthe big dog\n", "embed", "--model", model, "--normalize", "--pooling", "cls");
    expect(&o, 0);
    for (size_t line = 0; line < 2; line++) {
        json_t *json = line_json(o.out, line), *vector = json_object_get(json, "embedding");
        ck_assert_int_eq(get_int(json, "id"), (long long)line + 1);
        ck_assert_uint_eq(json_array_size(vector), MODEL_WIDTH);
        double sum = 0;
        for (size_t i = 0; i < MODEL_WIDTH; i++) {
            double v = json_number_value(json_array_get(vector, i));
            sum += v * v;
        }
        ck_assert_double_eq_tol(sum, 1.0, 1e-5);
        json_decref(json);
    }
    release(&o);
}
END_TEST

START_TEST(tokens_are_shown)
{
    const char *model = make_model(TINY_CLASSIFY);
    char vocabulary[MAX_PATH + 16];
    snprintf(vocabulary, sizeof vocabulary, "%s/vocab.txt", model);
    struct outcome o = RUN("a catz\n\xff\n", "tokenize", "--tokenizer", vocabulary);
    expect(&o, 1);
    json_t *json = line_json(o.out, 0), *tokens = json_object_get(json, "tokens");
    static const char *const expected[] = {"[CLS]", "a", "cat", "##z", "[SEP]"};
    ck_assert_uint_eq(json_array_size(tokens), 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(json_string_value(json_array_get(tokens, i)), expected[i]);
    const json_t *last = json_array_get(json_object_get(json, "offsets"), 3);
    ck_assert_int_eq(json_integer_value(json_array_get(last, 0)), 5);
    ck_assert_int_eq(json_integer_value(json_array_get(last, 1)), 6);
    json_decref(json);
    struct outcome same = RUN("a catz\n\xff\n", "tokenize", "--model", model);
    ck_assert_str_eq(same.out, o.out);
    release(&o);
    release(&same);
    o = RUN("a big big cat\n", "tokenize", "--model", model, "--max-tokens", "4");
    json = line_json(o.out, 0);
    ck_assert_int_eq(get_int(json, "dropped"), 2);
    json_decref(json);
    release(&o);
}
END_TEST

START_TEST(ids_are_decoded)
{
    const char *model = make_model(TINY_CLASSIFY);
    struct outcome o = RUN("a big catz\n", "tokenize", "--model", model);
    json_t *json = line_json(o.out, 0);
    char *ids = json_dumps(json_object_get(json, "ids"), 0), lines[1024];
    json_decref(json);
    release(&o);
    snprintf(lines, sizeof lines, "%s\n\n1 x\n99999999999999999999\n-1\n{\"id\":7,\"text\":\"\"}\n",
             ids);
    free(ids);
    o = RUN(lines, "tokenize", "--model", model, "--decode", "--format", "text");
    expect(&o, 1);
    json = line_json(o.out, 0);
    ck_assert_str_eq(json_string_value(json_object_get(json, "text")), "a big catz");
    json_decref(json);
    ck_assert_ptr_nonnull(strstr(o.err, "not ids of the vocabulary"));
    release(&o);
}
END_TEST

START_TEST(packed_models_answer_alike)
{
    const char *model = make_model(TINY_CLASSIFY), *packed = scratch_path("model.lac");
    struct outcome pack = RUN("", "pack", model, "--output", packed);
    expect(&pack, 0);
    struct outcome a = RUN("the cat\nthe dog\n", "classify", "--model", model);
    struct outcome b = RUN("the cat\nthe dog\n", "classify", "--model", packed);
    expect(&b, 0);
    ck_assert_str_eq(a.out, b.out);
    release(&pack);
    release(&a);
    release(&b);
    pack = RUN("", "pack", model, "--output", "/nowhere/at/all");
    expect(&pack, 3);
    ck_assert_ptr_nonnull(strstr(pack.err, "/nowhere/at/all"));
    release(&pack);
}
END_TEST

START_TEST(info_adds_up)
{
    const char *model = make_model(TINY_CLASSIFY);
    struct outcome o = RUN("", "info", model);
    expect(&o, 0);
    for (const char *p = o.out; *p; p += strcspn(p, "\n") + 1)
        ck_assert_uint_le(strcspn(p, "\n"), 120);
    release(&o);

    o = RUN("", "info", model, "--json");
    expect(&o, 0);
    json_t *json = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(get_text(json, "architecture"), "bert");
    const json_t *weights = json_object_get(json, "weights");
    ck_assert_uint_ge(json_array_size(weights), 12);
    long long dense = 0, stored = 0;
    size_t i;
    const json_t *weight;
    json_array_foreach(weights, i, weight)
    {
        const json_t *zero_blocks = json_object_get(weight, "zero_blocks");
        double zeros = get_real(weight, "zeros");
        ck_assert(zeros + 1e-9 >= get_real(zero_blocks, "1"));
        ck_assert(get_real(zero_blocks, "1") + 1e-9 >= get_real(zero_blocks, "4"));
        dense += get_int(weight, "bytes_dense");
        stored += get_int(weight, "bytes_stored");
        if (strstr(get_text(weight, "name"), "attention.output.dense"))
            ck_assert(zeros > 0.2 && zeros < 0.8);
    }
    ck_assert_int_eq(dense, get_int(json, "bytes_dense"));
    ck_assert_int_eq(stored, get_int(json, "bytes_stored"));
    json_decref(json);
    release(&o);
}
END_TEST

/* Every eighth held-out definition; free it. */
static char *some_of_heldout(size_t *size)
{
    char *all = read_file(source_path("models/wordnet-encoder-heldout.tsv"), size), *to = all;
    size_t number = 0;
    for (const char *line = all; *line; number++) {
        size_t n = strcspn(line, "\n") + 1;
        if (number % 8 == 0) {
            memmove(to, line, n);
            to += n;
        }
        line += n;
    }
    *size = (size_t)(to - all);
    return all;
}

/* The model that is shipped is found without being named, and is as good as its README says: 82.7 %
 * of all, and within three standard errors (1.4 points each) of some. */
START_TEST(the_shipped_model_is_found)
{
    struct outcome o = RUN("a big grey animal with a trunk and tusks\n", "classify");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0);
    ck_assert_str_eq(get_text(json, "label"), "noun.animal");
    json_decref(json);
    release(&o);

    size_t size;
    char *some = some_of_heldout(&size);
    const char *const argv[] = {lacuna,
                                "classify",
                                "--summary",
                                "--columns",
                                "label,text",
                                "--model",
                                "models/wordnet-encoder-sparse",
                                NULL};
    o = run_with(argv, some, size);
    expect(&o, 0);
    ck_assert_uint_eq(count_lines(o.out), 750);
    const char *share = strstr(o.err, " % of 750 labels right");
    ck_assert_msg(share != NULL, "%s", o.err);
    while (share > o.err && share[-1] != ' ')
        share--;
    ck_assert_msg(strtod(share, NULL) >= 78.5, "only %s", share);
    free(some);
    release(&o);
}
END_TEST

void add_result_tests(Suite *suite)
{
    add_test(suite, "classify", classes_are_the_librarys);
    add_test(suite, "tag", tags_lie_in_the_text);
    add_test(suite, "answer", answers_lie_in_the_context);
    add_test(suite, "fill", masks_get_candidates);
    add_test(suite, "embed", embeddings_have_length_one);
    add_test(suite, "tokenize", tokens_are_shown);
    add_test(suite, "decode", ids_are_decoded);
    add_test(suite, "pack", packed_models_answer_alike);
    add_test(suite, "info", info_adds_up);
    add_test(suite, "shipped model", the_shipped_model_is_found);
}
