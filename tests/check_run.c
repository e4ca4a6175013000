/* SPDX-License-Identifier: Apache-2.0 */
/* Forward passes: against the definition in double precision, and against each other in every way
 * of dividing the work. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "src/model/tensor.h"
#include "tests/support.h"
#include "tests/tiny.h"

/* ---- Engines and models ---- */

static struct lac_engine *new_engine(size_t n_threads, const char *isa)
{
    struct lac_engine_options *options;
    struct lac_engine *engine = NULL;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    ck_assert_int_eq(lac_engine_options_set_isa(options, isa), LAC_OK);
    ck_assert_msg(!lac_engine_new(options, &engine), "%s", lac_engine_options_message(options));
    lac_engine_options_free(options);
    return engine;
}

static struct lac_model *open_model(struct lac_engine *engine, const char *path,
                                    enum lac_dtype dtype, int pattern)
{
    struct lac_model_options *options;
    struct lac_model *model = NULL;
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    if (dtype)
        lac_model_options_set_dtype(options, dtype);
    if (pattern >= 0)
        lac_model_options_set_pattern(options, (enum lac_pattern)pattern);
    char message[512];
    enum lac_status status = lac_model_open(engine, path, options, &model);
    ck_assert_msg(!status, "%s", lac_engine_message(engine, message, sizeof message));
    lac_model_options_free(options);
    return model;
}

static struct lac_session *new_session(struct lac_model *model, enum lac_task task,
                                       size_t batch_tokens, enum lac_pooling pooling)
{
    struct lac_session_options *options;
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, task);
    lac_session_options_set_batch_tokens(options, batch_tokens);
    lac_session_options_set_pooling(options, pooling, LAC_NORMALIZE_NONE);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    return session;
}

/* ---- Sequences ---- */

/* Lengths round the edges of lane groups, tiles, key blocks and batches. */
static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 31, 47, 48, 49, 63, 64, 65, 96, 97, 130, 200};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0], MOST_TOKENS = 200 };

struct text {
    int32_t ids[MOST_TOKENS];
    uint8_t type_ids[MOST_TOKENS];
    size_t n;
};

static struct text *make_texts(const struct tiny *tiny, uint64_t seed)
{
    struct text *texts = calloc(N_LENGTHS, sizeof *texts);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        texts[i].n = lengths[i];
        tiny_ids(tiny, &seed, lengths[i], texts[i].ids);
        for (size_t k = 0; k < lengths[i]; k++)
            texts[i].type_ids[k] = tiny->types > 1 && k > lengths[i] / 2;
        for (size_t k = 3; k < lengths[i] && tiny->head == TINY_FILL; k += 11)
            texts[i].ids[k] = TINY_MASK;
    }
    return texts;
}

static const enum lac_task tasks[TINY_N_HEADS] = {LAC_TASK_EMBED, LAC_TASK_CLASSIFY, LAC_TASK_TAG,
                                                  LAC_TASK_ANSWER, LAC_TASK_FILL};

/* The session's numbers for a sequence, as tiny_forward lays them out; FILL: the probabilities of
 * all words, a row a mask.  Returns how many. */
static size_t read_numbers(struct lac_session *session, enum lac_task task, size_t sequence,
                           float *numbers)
{
    const float *x = NULL, *y = NULL;
    size_t n = 0, m = 1;
    enum lac_status status = LAC_OK;
    switch (task) {
    case LAC_TASK_EMBED:
        status = lac_session_embedding(session, sequence, &x, &n);
        break;
    case LAC_TASK_CLASSIFY:
        status = lac_session_classes(session, sequence, &x, &y, &n);
        break;
    case LAC_TASK_TAG:
        status = lac_session_tags(session, sequence, &x, &y, &m, &n);
        break;
    case LAC_TASK_ANSWER:
        status = lac_session_answer_logits(session, sequence, &x, &y, &n);
        for (size_t i = 0; !status && i < n; i++) {
            numbers[2 * i] = x[i];
            numbers[2 * i + 1] = y[i];
        }
        ck_assert_int_eq(status, LAC_OK);
        return 2 * n;
    case LAC_TASK_FILL: {
        struct lac_candidate best[50];
        size_t n_masks;
        ck_assert_int_eq(lac_session_masks(session, sequence, &n_masks), LAC_OK);
        for (size_t mask = 0; mask < n_masks; mask++) {
            ck_assert_int_eq(lac_session_fill(session, sequence, mask, best, 50, &n), LAC_OK);
            ck_assert_uint_eq(n, 50);
            for (size_t i = 0; i < n; i++)
                numbers[mask * 50 + (size_t)best[i].id] = best[i].probability;
        }
        return n_masks * 50;
    }
    }
    ck_assert_int_eq(status, LAC_OK);
    memcpy(numbers, x, m * n * sizeof *x);
    return m * n;
}

enum { MOST_NUMBERS = MOST_TOKENS * 64 };

/* Runs sequences in the given order and reads their numbers: [N_LENGTHS][MOST_NUMBERS]. */
static float *run_texts(struct lac_model *model, enum lac_task task, enum lac_pooling pooling,
                        size_t batch_tokens, const struct text *texts, const size_t *order)
{
    struct lac_session *session = new_session(model, task, batch_tokens, pooling);
    float *numbers = calloc(N_LENGTHS * MOST_NUMBERS, sizeof *numbers);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        const struct text *text = &texts[order ? order[i] : i];
        size_t sequence = 99;
        ck_assert_int_eq(
            lac_session_add_ids(session, text->ids, text->type_ids, text->n, &sequence), LAC_OK);
        ck_assert_uint_eq(sequence, i);
    }
    ck_assert_msg(!lac_session_run(session), "%s", lac_session_message(session));
    for (size_t i = 0; i < N_LENGTHS; i++)
        read_numbers(session, task, i, numbers + (order ? order[i] : i) * MOST_NUMBERS);
    lac_session_free(session);
    return numbers;
}

/* ---- Against the definition ---- */

static void softmax_rows(double *x, size_t n_rows, size_t n)
{
    for (size_t r = 0; r < n_rows; r++, x += n) {
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < n; i++)
            most = fmax(most, x[i]);
        for (size_t i = 0; i < n; i++)
            sum += x[i] = exp(x[i] - most);
        for (size_t i = 0; i < n; i++)
            x[i] /= sum;
    }
}

/* Keeps the rows of masked tokens, as probabilities. */
static size_t keep_masks(const struct text *text, size_t width, double *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++)
        if (text->ids[i] == TINY_MASK) {
            memmove(rows + n * width, rows + i * width, width * sizeof *rows);
            n++;
        }
    softmax_rows(rows, n, width);
    return n;
}

/* Largest and mean distance to the definition, in units of the largest number. */
struct distance {
    double most, mean;
};

static struct distance compare(const struct tiny *tiny, bool quantized, enum tiny_output output,
                               const struct text *text, const float *numbers)
{
    size_t width = tiny_width(tiny, output), n_rows = tiny_rows(tiny, output, text->n);
    double *expected = malloc((n_rows * width + 1) * sizeof *expected);
    tiny_forward(tiny, quantized, output, text->ids, text->type_ids, text->n, expected);
    if (output == TINY_OUT_HEAD && tiny->head == TINY_FILL)
        n_rows = keep_masks(text, width, expected);
    double size = 1e-30;
    struct distance d = {0, 0};
    for (size_t i = 0; i < n_rows * width; i++)
        size = fmax(size, fabs(expected[i]));
    for (size_t i = 0; i < n_rows * width; i++) {
        double distance = fabs((double)numbers[i] - expected[i]) / size;
        ck_assert(!isnan(distance));
        d.most = fmax(d.most, distance);
        d.mean += distance / (double)(n_rows * width);
    }
    free(expected);
    return d;
}

/* fp32: a few dozen roundings of 2^-24 a layer.  int8: the library and the definition quantise
 * the same numbers but for roundings in fp32, which now and then push a value to the next of 255
 * steps; what that does to a result is a few steps, seldom. */
static void check_close(const char *isa, const struct tiny *tiny, enum lac_dtype dtype,
                        enum tiny_output output, enum lac_pooling pooling)
{
    struct lac_engine *engine = new_engine(1, isa);
    struct lac_model *model = open_model(engine, tiny_write(tiny), dtype, -1);
    enum lac_task task = output == TINY_OUT_HEAD ? tasks[tiny->head] : LAC_TASK_EMBED;
    struct text *texts = make_texts(tiny, test_seed() + (uint64_t)output);
    float *numbers = run_texts(model, task, pooling, 100, texts, NULL);
    bool quantized = dtype == LAC_S8;
    for (size_t i = 0; i < N_LENGTHS; i++) {
        struct distance d = compare(tiny, quantized, output, &texts[i], numbers + i * MOST_NUMBERS);
        ck_assert_msg(d.most < (quantized ? 0.05 : 1e-4) && d.mean < (quantized ? 0.01 : 2e-5),
                      "%s, family %d, head %d, output %d, %s, %zu tokens: %g at most, %g mean",
                      lac_engine_isa(engine), (int)tiny->family, (int)tiny->head, (int)output,
                      quantized ? "int8" : "fp32", texts[i].n, d.most, d.mean);
    }
    free(numbers);
    free(texts);
    lac_model_free(model);
    lac_engine_free(engine);
}

static void check_outputs(const struct tiny *tiny, const char *isa, enum lac_dtype dtype)
{
    if (tiny->head != TINY_BARE)
        check_close(isa, tiny, dtype, TINY_OUT_HEAD, LAC_POOL_DEFAULT);
    else {
        check_close(isa, tiny, dtype, TINY_OUT_MEAN, LAC_POOL_MEAN);
        check_close(isa, tiny, dtype, TINY_OUT_CLS, LAC_POOL_CLS);
        if (tiny->family != TINY_DISTILBERT)
            check_close(isa, tiny, dtype, TINY_OUT_POOLER, LAC_POOL_POOLER);
    }
}

START_TEST(families_and_heads_compute_their_definition)
{
    for (int family = 0; family < TINY_N_FAMILIES; family++)
        for (int head = 0; head < TINY_N_HEADS; head++) {
            struct tiny tiny = {.family = (enum tiny_family)family, .head = (enum tiny_head)head};
            tiny_make(&tiny, test_seed() + (uint64_t)(family * 10 + head));
            check_outputs(&tiny, NULL, LAC_F32);
            check_outputs(&tiny, NULL, LAC_S8);
            tiny_free(&tiny);
        }
}
END_TEST

START_TEST(shapes_and_activations_compute_their_definition)
{
    static const struct tiny shapes[] = {
        {.hidden = 8, .heads = 8, .ffn = 3, .layers = 1, .labels = 1, .act = "relu"},
        {.hidden = 30, .heads = 2, .ffn = 17, .layers = 3, .labels = 33, .act = "gelu_new"},
        {.hidden = 36, .heads = 12, .ffn = 130, .layers = 1, .eps = 1e-5},
        {.hidden = 50, .heads = 1, .ffn = 64, .layers = 2, .labels = 2},
        {.hidden = 96, .heads = 1, .ffn = 48, .layers = 2, .labels = 16},
        {.hidden = 64, .heads = 4, .ffn = 256, .layers = 2, .labels = 17, .act = "gelu_new"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int head = 0; head < 3; head++) {
            struct tiny tiny = shapes[i];
            tiny.head = (enum tiny_head)head;
            tiny_make(&tiny, test_seed() + 100 + i);
            check_outputs(&tiny, NULL, LAC_F32);
            check_outputs(&tiny, NULL, LAC_S8);
            tiny_free(&tiny);
        }
}
END_TEST

START_TEST(every_instruction_set_computes_the_definition)
{
    static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512_vnni"};
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
        for (int head = 0; head < 3; head++) {
            struct tiny tiny = {.head = (enum tiny_head)head, .hidden = 32, .heads = 2};
            tiny_make(&tiny, test_seed() + 200);
            check_outputs(&tiny, isas[i], LAC_F32);
            check_outputs(&tiny, isas[i], LAC_S8);
            tiny_free(&tiny);
        }
}
END_TEST

/* ---- Against each other: not a bit may differ ---- */

static void check_same(const float *a, const float *b, const char *what)
{
    for (size_t i = 0; i < N_LENGTHS; i++)
        for (size_t k = i * MOST_NUMBERS; k < (i + 1) * MOST_NUMBERS; k++)
            ck_assert_msg(!memcmp(&a[k], &b[k], sizeof *a),
                          "%s: %zu tokens, number %zu: %.9g, %.9g", what, lengths[i],
                          k - i * MOST_NUMBERS, (double)a[k], (double)b[k]);
}

static void shuffle(uint64_t *state, size_t *order)
{
    for (size_t i = 0; i < N_LENGTHS; i++)
        order[i] = i;
    for (size_t i = N_LENGTHS; i > 1; i--) {
        size_t k = random_below(state, i), moved = order[i - 1];
        order[i - 1] = order[k];
        order[k] = moved;
    }
}

static void check_divisions(const struct tiny *tiny, enum lac_dtype dtype)
{
    static const size_t threads[] = {1, 2, 3, 5}, batches[] = {1, 50, 100, 330, 2000};
    const char *path = tiny_write(tiny);
    enum lac_task task = tasks[tiny->head];
    struct text *texts = make_texts(tiny, test_seed() + 7);
    float *first = NULL;
    uint64_t state = test_seed();
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct lac_engine *engine = new_engine(threads[t], NULL);
        struct lac_model *model = open_model(engine, path, dtype, -1);
        for (size_t b = t ? 2 : 0; b < sizeof batches / sizeof batches[0]; b++) {
            size_t order[N_LENGTHS];
            shuffle(&state, order);
            float *numbers =
                run_texts(model, task, LAC_POOL_DEFAULT, batches[b], texts, first ? order : NULL);
            char what[64];
            snprintf(what, sizeof what, "%s, head %d, %zu threads, batches of %zu",
                     dtype == LAC_S8 ? "int8" : "fp32", (int)tiny->head, threads[t], batches[b]);
            if (first)
                check_same(first, numbers, what);
            if (first)
                free(numbers);
            else
                first = numbers;
        }
        lac_model_free(model);
        lac_engine_free(engine);
    }
    free(first);
    free(texts);
}

START_TEST(divisions_of_the_work_do_not_change_a_bit)
{
    for (int head = 0; head < TINY_N_HEADS; head++) {
        /* Large enough that sequences of 64 tokens are worth a team. */
        struct tiny tiny = {.head = (enum tiny_head)head, .hidden = 112, .heads = 2, .ffn = 400};
        tiny_make(&tiny, test_seed() + 300);
        check_divisions(&tiny, LAC_S8);
        check_divisions(&tiny, LAC_F32);
        tiny_free(&tiny);
    }
}
END_TEST

/* The model is so large that one token is worth a team: its layers are divided by rows, those of
 * longer sequences by rows or by tiles. */
static void check_teams(enum lac_dtype dtype)
{
    static const size_t threads[] = {1, 2, 3, 8};
    struct tiny tiny = {.head = TINY_TAG, .hidden = 200, .heads = 5, .ffn = 900};
    tiny_make(&tiny, test_seed() + 310);
    const char *path = tiny_write(&tiny);
    struct text *texts = make_texts(&tiny, 5);
    float *first[N_LENGTHS] = {NULL};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct lac_engine *engine = new_engine(threads[t], NULL);
        struct lac_model *model = open_model(engine, path, dtype, -1);
        struct lac_session *session = new_session(model, LAC_TASK_TAG, 0, LAC_POOL_DEFAULT);
        for (size_t i = 0; i < N_LENGTHS; i++) {
            float *numbers = calloc(MOST_NUMBERS, sizeof *numbers);
            lac_session_clear(session);
            ck_assert_int_eq(
                lac_session_add_ids(session, texts[i].ids, texts[i].type_ids, texts[i].n, NULL),
                LAC_OK);
            ck_assert_int_eq(lac_session_run(session), LAC_OK);
            size_t n = read_numbers(session, LAC_TASK_TAG, 0, numbers);
            ck_assert_uint_eq(n, texts[i].n * tiny.labels);
            if (first[i])
                ck_assert_msg(!memcmp(first[i], numbers, n * sizeof *numbers),
                              "%zu tokens on %zu threads", texts[i].n, threads[t]);
            free(first[i]);
            first[i] = numbers;
        }
        lac_session_free(session);
        lac_model_free(model);
        lac_engine_free(engine);
    }
    for (size_t i = 0; i < N_LENGTHS; i++)
        free(first[i]);
    free(texts);
    tiny_free(&tiny);
}

START_TEST(a_sequence_alone_is_the_same_on_a_team)
{
    check_teams(LAC_S8);
    check_teams(LAC_F32);
}
END_TEST

static void check_near(const float *a, const float *b)
{
    for (size_t i = 0; i < N_LENGTHS * MOST_NUMBERS; i++)
        ck_assert_float_eq_tol(a[i], b[i], 1e-4f);
}

/* Integer sums do not depend on the layout; fp32 sums do, in their last bits. */
START_TEST(layouts_do_not_change_results)
{
    struct tiny tiny = {.head = TINY_TAG, .hidden = 64, .heads = 2, .ffn = 96};
    tiny_make(&tiny, test_seed() + 320);
    const char *path = tiny_write(&tiny);
    struct text *texts = make_texts(&tiny, 5);
    struct lac_engine *engine = new_engine(1, NULL);
    for (int dtype = LAC_S8; dtype <= LAC_F32; dtype++) {
        float *first = NULL;
        for (int pattern = -1; pattern < LAC_N_PATTERNS; pattern++) {
            struct lac_model *model = open_model(engine, path, (enum lac_dtype)dtype, pattern);
            for (size_t i = 0; i < lac_model_weights(model) && pattern >= 0; i++) {
                struct lac_weight_info info;
                ck_assert_int_eq(lac_model_weight_info(model, i, &info), LAC_OK);
                ck_assert_int_eq((int)info.pattern, pattern);
            }
            float *numbers = run_texts(model, LAC_TASK_TAG, LAC_POOL_DEFAULT, 0, texts, NULL);
            if (first && dtype == LAC_S8)
                check_same(first, numbers, "another layout");
            if (first)
                check_near(first, numbers);
            free(first);
            first = numbers;
            lac_model_free(model);
        }
        free(first);
    }
    lac_engine_free(engine);
    free(texts);
    tiny_free(&tiny);
}
END_TEST

/* ---- Packed files ---- */

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
    struct lac_engine *engine = new_engine(2, NULL);
    for (int family = 0; family < TINY_N_FAMILIES; family++)
        for (int head = 0; head < TINY_N_HEADS; head++)
            for (int dtype = LAC_S8; dtype <= LAC_F32; dtype++) {
                struct tiny tiny = {.family = (enum tiny_family)family,
                                    .head = (enum tiny_head)head};
                tiny_make(&tiny, test_seed() + 400);
                struct lac_model *model =
                    open_model(engine, tiny_write(&tiny), (enum lac_dtype)dtype, -1);
                const char *path = pack(model);
                struct lac_model *packed = open_model(engine, path, 0, -1);
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
    };
    struct lac_engine *engine = new_engine(1, NULL);
    struct tiny tiny = {.head = TINY_TAG};
    tiny_make(&tiny, test_seed() + 410);
    struct lac_model *model = open_model(engine, tiny_write(&tiny), LAC_S8, LAC_PATTERN_4);
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
    struct lac_engine *engine = new_engine(1, NULL);
    struct tiny tiny = {.head = TINY_CLASSIFY, .layers = 1};
    tiny_make(&tiny, test_seed() + 420);
    struct lac_model *model = open_model(engine, tiny_write(&tiny), LAC_S8, -1);
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
        struct lac_session *session = new_session(opened, LAC_TASK_EMBED, 0, LAC_POOL_DEFAULT);
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
    struct lac_engine *engine = new_engine(1, NULL);
    struct tiny tiny = {.head = TINY_TAG};
    tiny_make(&tiny, test_seed() + 430);
    struct lac_model *model = open_model(engine, tiny_write(&tiny), LAC_S8, -1), *other = NULL;
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
    struct lac_model *packed = open_model(engine, path, 0, -1);
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

int main(void)
{
    Suite *suite = suite_create("run");
    add_test(suite, "families and heads", families_and_heads_compute_their_definition);
    add_test(suite, "shapes", shapes_and_activations_compute_their_definition);
    add_test(suite, "instruction sets", every_instruction_set_computes_the_definition);
    add_test(suite, "divisions", divisions_of_the_work_do_not_change_a_bit);
    add_test(suite, "teams", a_sequence_alone_is_the_same_on_a_team);
    add_test(suite, "layouts", layouts_do_not_change_results);
    add_test(suite, "packed", packed_models_are_the_same);
    add_test(suite, "damaged", damaged_packed_models_are_refused);
    add_test(suite, "scrambled", scrambled_packed_models_do_not_crash);
    add_test(suite, "packed kept", packed_models_keep_what_they_were_packed_with);
    return run_suite(suite);
}
