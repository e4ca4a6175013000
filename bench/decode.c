/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench decode: all linear layers of a language model, one after another, for a few tokens.
 *
 * Every layer has weights of its own, so that they come from memory, as they do when a model
 * writes.  Attention, norms and the vocabulary are left out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/names.h"
#include "bench/product.h"
#include "bench/sweep.h"

static struct {
    const char *model, *pattern, *dtype, *sparsity, *tokens, *threads, *layers, *isa;
} texts = {
    .model = "tinyllama",
    .pattern = "dense,16x4,8x4",
    .dtype = "int8",
    .sparsity = "0.8",
    .tokens = "1",
    .threads = "1",
    .layers = "0",
    .isa = "best",
};

static const struct bench_option options[] = {
    {"model", "LIST", "of tinyllama, llama-7b, ..., or LAYERSxHIDDENxINTERMEDIATE [tinyllama]",
     &texts.model},
    {"pattern", "LIST", "as of spmm [dense,16x4,8x4]", &texts.pattern},
    {"dtype", "LIST", "as of spmm [int8]", &texts.dtype},
    {"sparsity", "LIST", "share of blocks that are zero [0.8]", &texts.sparsity},
    {"tokens", "LIST", "sequences that get a token at once [1]", &texts.tokens},
    {"threads", "LIST", "threads that share each layer [1]", &texts.threads},
    {"layers", "N", "of so many of the model's layers, to save memory; 0: all [0]", &texts.layers},
    {"isa", "LIST", "caps of the instruction set [best]", &texts.isa},
    {0},
};

static const struct bench_column columns[] = {
    {"model", BENCH_TEXT},
    {"pattern", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"isa", BENCH_TEXT},
    {"n", 0},
    {"layers", 0},
    {"sparsity", 2},
    {"sparsity_real", 3},
    {"threads", 0},
    {"binding", BENCH_TEXT},
    {"stored_mib", 1},
    {"time_ms_median", 3},
    {"time_ms_min", 3},
    {"time_ms_p95", 3},
    {"tokens_per_s", 1},
    {"nnz_gops", 1},
    {"gbps", 2},
    {"roof", BENCH_TEXT},
    {"roof_rate", 1},
    {"roof_share", 3},
    {"vs_dense", 2},
    {"vs_one_thread", 2},
    {0},
};

enum { MOST_VARIANTS = 32, MOST_CREWS = 8, MOST_TOKENS = 4096, MOST_LAYERS = 1000 };

static struct bench_models models;
static struct bench_choices patterns, dtypes, isas;
static struct bench_reals sparsities;
static struct bench_counts tokens, threads;
static size_t most_layers;

/* A shape, and how often each layer of the model has it. */
struct part {
    struct bench_layer layer;
    size_t per_layer;
};

/* The model's weights in one pattern, the first dense. */
struct variant {
    struct bench_pattern pattern;
    double sparsity, n_nonzero, n_elements, bytes;
    struct bench_weight weights[BENCH_STACK_SHAPES]; /* of each part */
};

/* One contender: a variant and who works on it. */
struct entry {
    struct variant *variant; /* kernels add their own forms of the weights */
    const struct bench_crew *crew;
    const struct comparison *comparison;
    struct bench_product products[BENCH_STACK_SHAPES];
};

struct comparison {
    const struct bench_stack *stack;
    size_t n_tokens, n_layers;
    enum lac_dtype dtype;
    unsigned features;
    size_t n_parts, n_variants, n_crews, n_entries;
    struct part parts[BENCH_STACK_SHAPES];
    struct variant variants[MOST_VARIANTS];
    struct bench_crew crews[MOST_CREWS];
    struct bench_stream streams[MOST_CREWS];
    struct entry entries[MOST_VARIANTS * MOST_CREWS];
    struct bench_contender contenders[MOST_VARIANTS * MOST_CREWS];
};

/* ---- The stack ---- */

static void collect_parts(struct comparison *c)
{
    struct bench_shape shapes[BENCH_STACK_SHAPES];
    size_t n = bench_stack_shapes(c->stack, shapes);
    for (size_t i = 0; i < n; i++) {
        size_t p = 0;
        while (p < c->n_parts && (c->parts[p].layer.n_out != shapes[i].n_out ||
                                  c->parts[p].layer.n_in != shapes[i].n_in))
            p++;
        if (p == c->n_parts)
            c->parts[c->n_parts++].layer =
                (struct bench_layer){.n_out = shapes[i].n_out,
                                     .n_in = shapes[i].n_in,
                                     .n_tokens = c->n_tokens,
                                     .dtype = c->dtype,
                                     .l2_bytes = bench_settings.l2_bytes};
        c->parts[p].per_layer++;
    }
    for (size_t p = 0; p < c->n_parts; p++)
        c->parts[p].layer.n_copies = c->parts[p].per_layer * c->n_layers;
}

static enum lac_status add_variant(struct comparison *c, const struct bench_pattern *pattern,
                                   double sparsity, uint64_t *random, struct lac_error *error)
{
    if (c->n_variants == MOST_VARIANTS)
        return lac_fail(error, LAC_E_ARGUMENT, "more than %d models at once", (int)MOST_VARIANTS);
    struct variant *v = &c->variants[c->n_variants++];
    *v = (struct variant){.pattern = *pattern};
    for (size_t p = 0; p < c->n_parts; p++) {
        struct bench_layer *layer = &c->parts[p].layer;
        struct bench_weight *w = &v->weights[p];
        if (bench_weight_make(layer, pattern, sparsity, random, w, error))
            return error->status;
        double n = (double)w->n_copies;
        v->sparsity = w->sparsity;
        v->n_nonzero += n * (double)w->n_nonzero;
        v->n_elements += n * (double)layer->n_out * (double)layer->n_in;
        v->bytes += n * (double)lac_weight_bytes(&w->copies[0]);
    }
    return LAC_OK;
}

static enum lac_status add_variants(struct comparison *c, uint64_t *random, struct lac_error *error)
{
    struct bench_pattern dense = bench_pattern_at(LAC_PATTERN_DENSE, c->dtype);
    if (add_variant(c, &dense, 0, random, error))
        return error->status;
    for (size_t p = 0; p < patterns.n; p++) {
        struct bench_pattern pattern = bench_pattern_at(patterns.at[p], c->dtype);
        size_t n = pattern.blocks.of ? 1 : sparsities.n;
        if (pattern.layout == LAC_PATTERN_DENSE || !lac_pattern_holds(pattern.layout, c->dtype))
            continue;
        for (size_t s = 0; s < n; s++)
            if (add_variant(c, &pattern, sparsities.at[s], random, error))
                return error->status;
    }
    return LAC_OK;
}

static void run_stack(void *context)
{
    struct entry *entry = context;
    const struct comparison *c = entry->comparison;
    for (size_t l = 0; l < c->n_layers; l++)
        for (size_t p = 0; p < c->n_parts; p++)
            for (size_t i = 0; i < c->parts[p].per_layer; i++)
                bench_product_run(&entry->products[p]);
}

/* What does not fill the caches twice over is pushed out of them first. */
static void leave_caches(const struct entry *entry)
{
    size_t l3 = bench_settings.l3_bytes * bench_settings.n_cores;
    if (entry->variant->bytes > 2 * (double)l3)
        return;
    for (size_t p = 0; p < entry->comparison->n_parts; p++)
        bench_store_flush(&entry->variant->weights[p].store);
}

static void run_stack_rank(size_t rank, void *context)
{
    (void)rank;
    run_stack(context);
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    const struct entry *entry = context;
    /* The products themselves run on the crew. */
    struct bench_crew self = {.size = entry->crew->size};
    for (size_t i = 0; i < n; i++) {
        leave_caches(entry);
        ns[i] = bench_crew_time(&self, run_stack_rank, context, 0);
    }
    return 0;
}

/* ---- Kernels ---- */

/* Nanoseconds of one product, in caches or not. */
static double try_product(struct bench_product *product)
{
    uint64_t ns[3];
    bench_product_turn(product, 3, ns);
    return fmin((double)ns[1], (double)ns[2]);
}

/* The faster orientation of a part. */
static enum lac_status open_part(struct entry *entry, struct bench_layer *layer, size_t p,
                                 unsigned features, struct lac_error *error)
{
    static const enum lac_op ops[] = {LAC_OP_LINEAR_OUTPUT, LAC_OP_LINEAR_TOKEN};
    struct bench_weight *weight = &entry->variant->weights[p];
    double best_ns = INFINITY;
    for (size_t i = 0; i < 2; i++) {
        struct bench_product product;
        const struct lac_kernel *kernel =
            lac_kernel_find_linear(ops[i], &weight->copies[0], features);
        if (!kernel)
            continue;
        if (bench_product_open(&product, layer, entry->crew, weight, kernel, error))
            return error->status;
        double ns = try_product(&product);
        if (ns < best_ns) {
            best_ns = ns;
            entry->products[p] = product;
        }
    }
    return isfinite(best_ns) ? LAC_OK
                             : lac_fail(error, LAC_E_UNSUPPORTED, "no kernel for %s",
                                        entry->variant->pattern.name);
}

static enum lac_status add_entry(struct comparison *c, size_t variant, size_t crew,
                                 struct lac_error *error)
{
    struct entry *entry = &c->entries[c->n_entries];
    struct bench_contender *contender = &c->contenders[c->n_entries++];
    *entry =
        (struct entry){.variant = &c->variants[variant], .crew = &c->crews[crew], .comparison = c};
    *contender = (struct bench_contender){
        .turn = turn,
        .context = entry,
        .ceiling = bench_stream_ceiling(&c->streams[crew]),
        .load = entry->variant->bytes,
    };
    for (size_t p = 0; p < c->n_parts; p++)
        if (open_part(entry, &c->parts[p].layer, p, c->features, error))
            return error->status;
    return LAC_OK;
}

/* ---- Rows ---- */

static const struct bench_contender *find(const struct comparison *c, const struct variant *variant,
                                          size_t n_threads)
{
    for (size_t i = 0; i < c->n_entries; i++)
        if (c->entries[i].variant == variant && c->entries[i].crew->size == n_threads)
            return &c->contenders[i];
    return NULL;
}

static enum lac_status report_entry(struct bench_report *report, const struct comparison *c,
                                    size_t at, struct lac_error *error)
{
    const struct entry *entry = &c->entries[at];
    const struct variant *v = entry->variant;
    const struct bench_contender *contender = &c->contenders[at];
    double ns = bench_times_of(contender).median_ns, n = (double)c->n_tokens;
    double whole = (double)c->stack->n_layers / (double)c->n_layers;
    size_t size = entry->crew->size;
    if (bench_report_row(report, error) ||
        bench_report_text(report, "model", c->stack->name, error) ||
        bench_report_text(report, "pattern", v->pattern.name, error) ||
        bench_report_text(report, "dtype", lac_dtype_name(c->dtype), error) ||
        bench_report_text(report, "isa", bench_kernel_isa(entry->products[0].kernel), error) ||
        bench_report_text(report, "binding", entry->crew->places, error) ||
        bench_report_roof(report, contender, error))
        return error->status;
    bench_report_number(report, "n", n);
    bench_report_number(report, "layers", (double)c->n_layers);
    bench_report_number(report, "sparsity", v->sparsity);
    bench_report_number(report, "sparsity_real", 1 - v->n_nonzero / v->n_elements);
    bench_report_number(report, "threads", (double)size);
    bench_report_number(report, "stored_mib", v->bytes / 1048576);
    bench_report_times(report, contender, BENCH_MS);
    bench_report_number(report, "tokens_per_s", n * 1e9 / (ns * whole));
    bench_report_number(report, "nnz_gops", 2 * v->n_nonzero * n / ns);
    bench_report_number(report, "gbps", v->bytes / ns);
    bench_report_number(report, "vs_dense",
                        bench_speedup(contender, find(c, &c->variants[0], size)));
    const struct bench_contender *single = find(c, v, 1);
    if (single && size > 1)
        bench_report_number(report, "vs_one_thread", bench_speedup(contender, single));
    return LAC_OK;
}

/* ---- Comparisons ---- */

static enum lac_status prepare(struct comparison *c, struct lac_error *error)
{
    uint64_t random = bench_settings.seed;
    collect_parts(c);
    for (size_t p = 0; p < c->n_parts; p++)
        if (bench_layer_open(&c->parts[p].layer, &random, error))
            return error->status;
    if (add_variants(c, &random, error))
        return error->status;
    for (size_t t = 0; t < threads.n; t++) {
        struct bench_crew *crew = &c->crews[c->n_crews++];
        if (bench_crew_open(crew, threads.at[t], threads.n > 1 ? BENCH_BESIDE_OTHERS : BENCH_ALONE,
                            error) ||
            bench_stream_open_memory(&c->streams[t], crew, SIZE_MAX, error) ||
            bench_crew_start(crew, error))
            return error->status;
    }
    for (size_t v = 0; v < c->n_variants; v++)
        for (size_t t = 0; t < c->n_crews; t++)
            if (add_entry(c, v, t, error))
                return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    struct comparison *c = comparison;
    bench_contenders_clear(c->contenders, c->n_entries);
    for (size_t v = 0; v < c->n_variants; v++)
        for (size_t p = 0; p < c->n_parts; p++)
            bench_weight_close(&c->variants[v].weights[p]);
    for (size_t p = 0; p < c->n_parts; p++)
        if (c->parts[p].layer.arena.host)
            bench_layer_close(&c->parts[p].layer);
    for (size_t t = 0; t < c->n_crews; t++) {
        bench_stream_close(&c->streams[t]);
        bench_crew_close(&c->crews[t]);
    }
}

/* The lists of the sweep. */
enum { MODELS, ISAS, TOKENS, DTYPES };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    snprintf(text, size, "%s, %zu tokens, %s", models.at[at[MODELS]].name, tokens.at[at[TOKENS]],
             lac_dtype_name(bench_dtype_at(dtypes.at[at[DTYPES]])));
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct comparison *c = comparison;
    c->stack = &models.at[at[MODELS]];
    c->features = bench_isa_features(isas.at[at[ISAS]]);
    c->n_tokens = tokens.at[at[TOKENS]];
    c->dtype = bench_dtype_at(dtypes.at[at[DTYPES]]);
    c->n_layers =
        most_layers && most_layers < c->stack->n_layers ? most_layers : c->stack->n_layers;
    if (prepare(c, error) || bench_measure(c->contenders, c->n_entries, &bench_settings.effort,
                                           &record->progress, error))
        return error->status;
    for (size_t i = 0; i < c->n_entries; i++)
        if (report_entry(&record->report, c, i, error))
            return error->status;
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    if (bench_read_models("model", texts.model, 0, &models, error) ||
        bench_read_choices("pattern", texts.pattern, bench_pattern_names(), &patterns, error) ||
        bench_read_choices("dtype", texts.dtype, bench_dtype_names(), &dtypes, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sparsities, error) ||
        bench_read_counts("tokens", texts.tokens, 1, MOST_TOKENS, &tokens, error) ||
        bench_read_counts("threads", texts.threads, 1, LAC_MAX_THREADS, &threads, error) ||
        bench_read_count("layers", texts.layers, 0, MOST_LAYERS, &most_layers, error) ||
        bench_read_isas(texts.isa, &isas, error))
        return error->status;
    if (threads.n > MOST_CREWS)
        return lac_fail(error, LAC_E_ARGUMENT, "--threads: more than %d numbers", (int)MOST_CREWS);
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "each row says where",
        .facts = {{"parts", "linear layers alone"}},
        .n_values = {models.n, isas.n, tokens.n, dtypes.n},
        .comparison_bytes = sizeof(struct comparison),
        .name = name_comparison,
        .compare = compare,
        .close = close_comparison,
    };
    return bench_sweep_run(&sweep, error);
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Tokens a second of a model's linear layers",
        .x = "sparsity",
        .y = "tokens_per_s",
        .x_title = "sparsity",
        .y_title = "tokens a second",
        .series = {"pattern", "model", "dtype", "threads"},
    },
    {.kind = BENCH_PICTURE_ROOFLINE,
     .title = "Roofline (limits of one core)",
     .series = {"pattern", "model", "dtype", "threads"}},
};

const struct bench_subject bench_decode = {
    .name = "decode",
    .summary = "the linear layers of a language model, weights from memory, for a few tokens",
    .options = options,
    .pictures = pictures,
    .run = run,
};
