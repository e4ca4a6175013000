/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna info: what a model is, where its zeros are, and how each weight is stored and why. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "src/cli/command.h"
#include "src/cli/job.h"
#include "src/cli/runtime.h"

/* Tables stay inside 120 columns: the widest rows have 88 besides the name. */
enum { NAME_WIDTH = 32 };

static const char *const pattern_names[LAC_N_PATTERNS] = {
    "dense", "1", "4", "8", "16", "32", "bitmap", "4x1", "16x16", "32x32"};

static const char *const short_names[LAC_N_PATTERNS] = {"all", "1",   "4",   "8",   "16",
                                                        "32",  "bit", "4x1", "t16", "t32"};

/* Those whose zero blocks are shown, in this order. */
static const enum lac_pattern shapes[] = {LAC_PATTERN_1,       LAC_PATTERN_4,      LAC_PATTERN_8,
                                          LAC_PATTERN_16,      LAC_PATTERN_32,     LAC_PATTERN_4X1,
                                          LAC_PATTERN_TILE_16, LAC_PATTERN_TILE_32};

enum { N_SHAPES = sizeof shapes / sizeof *shapes };

struct totals {
    size_t n_elements, bytes_dense, bytes_stored, n_outliers;
    double n_zeros;
};

static const char *task_names(unsigned tasks, char *text, size_t size)
{
    static const char *const names[] = {"classify", "tag", "answer", "fill", "embed", "generate"};
    int n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tasks & 1u << i)
            n += snprintf(text + n, size - (size_t)n, n ? ", %s" : "%s", names[i]);
    return text;
}

static const char *dtype_name(enum lac_dtype dtype)
{
    static const char *const names[LAC_N_DTYPES] = {
        [LAC_S8] = "int8",  [LAC_F32] = "fp32", [LAC_BF16] = "bf16",
        [LAC_F16] = "fp16", [LAC_S4] = "int4",
    };
    return names[dtype];
}

/* "linear_token_4x4_s8/avx512_vnni" without what every row repeats. */
static const char *short_kernel(const char *name)
{
    static const char prefix[] = "linear_";
    return strncmp(name, prefix, sizeof prefix - 1) ? name : name + sizeof prefix - 1;
}

/* The end of a name tells weights apart, but all end in ".weight". */
static void print_name(const char *name)
{
    static const char suffix[] = ".weight";
    size_t n = strlen(name), m = sizeof suffix - 1;
    if (n > m && !strcmp(name + n - m, suffix))
        n -= m;
    if (n <= NAME_WIDTH)
        printf("%-*.*s", NAME_WIDTH, (int)n, name);
    else
        printf("..%.*s", NAME_WIDTH - 2, name + n - (NAME_WIDTH - 2));
}

static void add_weight(struct totals *t, const struct lac_weight_info *w)
{
    size_t n = w->n_out * w->n_in;
    t->n_elements += n;
    t->n_zeros += w->zeros * (double)n;
    t->bytes_dense += w->bytes_dense;
    t->bytes_stored += w->bytes_stored;
    t->n_outliers += w->n_outliers;
}

static void print_zeros_row(const struct lac_weight_info *w)
{
    char shape[32];
    snprintf(shape, sizeof shape, "%zux%zu", w->n_out, w->n_in);
    print_name(w->name);
    printf(" %11s %6.1f", shape, 100 * w->zeros);
    for (size_t i = 0; i < N_SHAPES; i++)
        if (isfinite(w->predicted_cost[shapes[i]]))
            printf(" %5.1f", 100 * w->zero_blocks[shapes[i]]);
        else
            printf(" %5s", "-");
    printf(" %9zu %9zu\n", w->bytes_dense, w->bytes_stored);
}

static void print_choice_row(const struct lac_weight_info *w)
{
    print_name(w->name);
    printf(" %-6s", w->pattern_name);
    for (int p = 0; p < LAC_N_PATTERNS; p++)
        if (isfinite(w->predicted_cost[p]))
            printf(" %4.*f", w->predicted_cost[p] < 9.995 ? 2 : 1, w->predicted_cost[p]);
        else
            printf(" %4s", "-");
    printf("  %s\n", short_kernel(w->kernel));
}

/* Weight number `first` and those after it that have its kernel for one token; 0 when one before
 * it has the same, which then was counted. */
static size_t count_few(const struct lac_model *model, size_t first)
{
    struct lac_weight_info w, other;
    size_t n = 0;
    if (lac_model_weight_info(model, first, &w))
        return 0;
    for (size_t i = 0; !lac_model_weight_info(model, i, &other); i++) {
        if (strcmp(w.kernel_few, other.kernel_few))
            continue;
        if (i < first)
            return 0;
        n++;
    }
    return n;
}

static void print_few(const struct lac_model *model)
{
    struct lac_weight_info w;
    for (size_t i = 0; !lac_model_weight_info(model, i, &w); i++) {
        size_t n = count_few(model, i);
        if (n)
            printf("for one token, %zu of the weights: %s\n", n, short_kernel(w.kernel_few));
    }
}

static void print_tables(const struct lac_model *model)
{
    struct lac_weight_info w;
    struct totals t = {0};
    size_t n = lac_model_weights(model);
    static const char *const units[LAC_N_DTYPES] = {
        [LAC_S8] = "4", [LAC_F32] = "1", [LAC_BF16] = "2", [LAC_F16] = "2", [LAC_S4] = "8",
    };
    const char *unit = units[lac_model_dtype(model)];
    printf(
        "\nZeros, in per cent: elements, and blocks of so many outputs x %s (or so many) inputs\n",
        unit);
    printf("%-*s %11s %6s", NAME_WIDTH, "weight", "out x in", "zeros");
    for (size_t i = 0; i < N_SHAPES; i++)
        printf(" %5s", pattern_names[shapes[i]]);
    printf(" %9s %9s\n", "bytes", "stored");
    for (size_t i = 0; i < n && !lac_model_weight_info(model, i, &w); i++) {
        print_zeros_row(&w);
        add_weight(&t, &w);
    }
    printf("%-*s %11s %6.1f %*s %9zu %9zu\n", NAME_WIDTH, "all", "",
           t.n_elements ? 100 * t.n_zeros / (double)t.n_elements : 0, 6 * N_SHAPES - 1, "",
           t.bytes_dense, t.bytes_stored);
    if (t.n_outliers)
        printf("outliers in fp32: %zu, %.2f %% of what is not zero\n", t.n_outliers,
               100 * (double)t.n_outliers / ((double)t.n_elements - t.n_zeros));
    puts(
        "\nLayouts: predicted time of each for a full tile of tokens (dense = 1); the least wins.\n"
        "all: dense; bit: bitmap; t16, t32: 16x16, 32x32");
    printf("%-*s %-6s", NAME_WIDTH, "weight", "layout");
    for (int p = 0; p < LAC_N_PATTERNS; p++)
        printf(" %4s", short_names[p]);
    puts("  kernel");
    for (size_t i = 0; i < n && !lac_model_weight_info(model, i, &w); i++)
        print_choice_row(&w);
    print_few(model);
}

/* Counts of tokens that plans are made for. */
static const size_t plan_tokens[] = {1, 4, 16, 48};

enum { N_PLAN_TOKENS = sizeof plan_tokens / sizeof plan_tokens[0] };

static void print_plan_row(const struct lac_weight_info *w, size_t n_tokens,
                           const struct lac_weight_plan *plan)
{
    print_name(w->name);
    printf(" %-6s %6zu", w->pattern_name, n_tokens);
    if (plan->dense_kernel)
        printf(" %8.1f %8.1f", plan->predicted_us, plan->dense_us);
    else
        printf(" %8s %8s", "-", "-");
    printf("  %s\n", short_kernel(plan->kernel));
}

/* Why: the layout's predicted time against that of the best dense kernel, and where both come
 * from. */
static void print_plan(const struct lac_model *m)
{
    struct lac_weight_info w;
    struct lac_weight_plan plan = {0};
    bool is_measured =
        lac_model_weights(m) && !lac_model_weight_plan(m, 0, 1, &plan) && plan.dense_kernel;
    puts(is_measured
             ? "\nPlan: by times measured on this machine; microseconds on one core"
             : "\nPlan: by the costs that are built in (lacuna-bench crossover measures this "
               "machine)");
    printf("%-*s %-6s %6s %8s %8s  kernel\n", NAME_WIDTH, "weight", "layout", "tokens", "time",
           "dense");
    for (size_t i = 0; !lac_model_weight_info(m, i, &w); i++)
        for (size_t t = 0; t < N_PLAN_TOKENS; t++)
            if (!lac_model_weight_plan(m, i, plan_tokens[t], &plan))
                print_plan_row(&w, plan_tokens[t], &plan);
}

static void print_text(const struct runtime *rt, bool plan)
{
    const struct lac_model *m = rt->model;
    char tasks[64];
    printf("architecture   %s\n", lac_model_architecture(m));
    printf("tasks          %s\n", task_names(lac_model_tasks(m), tasks, sizeof tasks));
    printf("layers         %zu\n", lac_model_layers(m));
    printf("hidden size    %zu\n", lac_model_hidden_size(m));
    printf("heads          %zu\n", lac_model_heads(m));
    printf("intermediate   %zu\n", lac_model_intermediate_size(m));
    printf("max tokens     %zu\n", lac_model_max_tokens(m));
    printf("text tokens    %zu\n", lac_model_text_tokens(m));
    printf("labels         %zu\n", lac_model_labels(m));
    printf("parameters     %zu\n", lac_model_parameters(m));
    printf("arithmetic     %s\n", dtype_name(lac_model_dtype(m)));
    printf("instructions   %s\n", lac_engine_isa(rt->engine));
    printf("threads        %zu\n", lac_engine_threads(rt->engine));
    print_tables(m);
    if (plan)
        print_plan(m);
}

/* As print_plan; without measurements there are no times. */
static json_t *plan_json(const struct lac_model *m, size_t index)
{
    json_t *list = json_array();
    struct lac_weight_plan plan;
    bool good = list != NULL;
    for (size_t t = 0; good && t < N_PLAN_TOKENS; t++) {
        if (lac_model_weight_plan(m, index, plan_tokens[t], &plan))
            break;
        json_t *entry = json_pack("{s:I,s:s,s:s?}", "tokens", (json_int_t)plan_tokens[t], "kernel",
                                  plan.kernel, "dense_kernel", plan.dense_kernel);
        good = json_append(list, entry);
        if (good && plan.dense_kernel)
            good = json_put(entry, "time_us", json_real(plan.predicted_us)) &&
                   json_put(entry, "dense_us", json_real(plan.dense_us));
    }
    if (!good) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *weight_json(const struct lac_weight_info *w)
{
    json_t *zero_blocks = json_object(), *costs = json_object();
    json_t *json = json_pack(
        "{s:s,s:I,s:I,s:f,s:o,s:s,s:s,s:s,s:o,s:I,s:I,s:I}", "name", w->name, "out",
        (json_int_t)w->n_out, "in", (json_int_t)w->n_in, "zeros", w->zeros, "zero_blocks",
        zero_blocks, "layout", w->pattern_name, "kernel", w->kernel, "kernel_one_token",
        w->kernel_few, "predicted_cost", costs, "bytes_dense", (json_int_t)w->bytes_dense,
        "bytes_stored", (json_int_t)w->bytes_stored, "outliers", (json_int_t)w->n_outliers);
    bool good = json != NULL;
    for (int p = 0; good && p < LAC_N_PATTERNS; p++)
        good = (p == LAC_PATTERN_DENSE ||
                json_put(zero_blocks, pattern_names[p], json_real(w->zero_blocks[p]))) &&
               (!isfinite(w->predicted_cost[p]) ||
                json_put(costs, pattern_names[p], json_real(w->predicted_cost[p])));
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *model_json(const struct runtime *rt, bool plan)
{
    const struct lac_model *m = rt->model;
    char tasks[64];
    json_t *weights = json_array();
    json_t *json = json_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:I,s:o}", "architecture",
        lac_model_architecture(m), "tasks", task_names(lac_model_tasks(m), tasks, sizeof tasks),
        "layers", (json_int_t)lac_model_layers(m), "hidden_size",
        (json_int_t)lac_model_hidden_size(m), "heads", (json_int_t)lac_model_heads(m),
        "intermediate_size", (json_int_t)lac_model_intermediate_size(m), "max_tokens",
        (json_int_t)lac_model_max_tokens(m), "text_tokens", (json_int_t)lac_model_text_tokens(m),
        "labels", (json_int_t)lac_model_labels(m), "parameters",
        (json_int_t)lac_model_parameters(m), "dtype", dtype_name(lac_model_dtype(m)), "isa",
        lac_engine_isa(rt->engine), "threads", (json_int_t)lac_engine_threads(rt->engine),
        "weights", weights);
    struct totals t = {0};
    struct lac_weight_info w;
    bool good = json != NULL;
    for (size_t i = 0; good && !lac_model_weight_info(m, i, &w); i++) {
        add_weight(&t, &w);
        json_t *weight = weight_json(&w);
        good = json_append(weights, weight);
        if (good && plan)
            good = json_put(weight, "plan", plan_json(m, i));
    }
    good = good && json_put(json, "bytes_dense", json_integer((json_int_t)t.bytes_dense)) &&
           json_put(json, "bytes_stored", json_integer((json_int_t)t.bytes_stored)) &&
           json_put(json, "zeros", json_real(t.n_elements ? t.n_zeros / (double)t.n_elements : 0));
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static enum exit_status print_json(const struct runtime *rt, bool plan)
{
    json_t *json = model_json(rt, plan);
    if (!json) {
        complain("info: out of memory");
        return STATUS_FATAL;
    }
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
    return STATUS_GOOD;
}

static enum exit_status run(const struct options *o)
{
    struct runtime rt = {0};
    int status = STATUS_FATAL;
    if (runtime_start(&rt, o, &status) && runtime_open_model(&rt, o, o->operand, &status)) {
        status = STATUS_GOOD;
        if (o->json)
            status = print_json(&rt, o->plan);
        else
            print_text(&rt, o->plan);
    }
    runtime_close(&rt);
    return (enum exit_status)status;
}

const struct command command_info = {
    .name = "info",
    .operands = "[MODEL]",
    .summary = "Says where a model's zeros are and how each weight is stored",
    .details =
        "MODEL is a directory or a packed file (default: as for --model of other commands).\n"
        "For every weight: its zeros and zero blocks of each shape, the layout and kernels\n"
        "chosen, the predicted time of each layout, and the bytes they take.\n",
    .bit = ON_INFO,
    .run = run,
};
