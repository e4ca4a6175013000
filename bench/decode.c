/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench decode: whole decoders with random, pruned weights, from one token to the next.
 *
 * What is timed is a step of the library, from ids to the best next words: embeddings, layers,
 * attention over a context, the vocabulary.  Every layer has weights of its own, so that they come
 * from memory, as they do when a model writes. */
#include <stdio.h>

#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/decoder.h"
#include "bench/sweep.h"
#include "bench/writer.h"
#include "src/base/checked.h"

static struct {
    const char *model, *pattern, *dtype, *sparsity, *head, *sequences, *context, *prompt, *kv_dtype,
        *threads, *layers, *isa, *core;
} texts = {
    .model = "tinyllama",
    .pattern = "dense,16x4,8x4",
    .dtype = "int8",
    .sparsity = "0.8",
    .head = "dense",
    .sequences = "1",
    .context = "128",
    .prompt = "0",
    .kv_dtype = "usual",
    .threads = "1",
    .layers = "0",
    .isa = "best",
    .core = "1",
};

static const struct bench_option options[] = {
    {"model", "LIST", "of tinyllama, llama-7b, ..., or LAYERSxHIDDENxINTERMEDIATE [tinyllama]",
     &texts.model},
    {"pattern", "LIST", "as of spmm [dense,16x4,8x4]", &texts.pattern},
    {"dtype", "LIST", "as of spmm [int8]", &texts.dtype},
    {"sparsity", "LIST", "share of blocks that are zero [0.8]", &texts.sparsity},
    {"head", "LIST", "the vocabulary's weights: dense, or pruned as the layers are [dense]",
     &texts.head},
    {"sequences", "LIST", "texts that get a token at once; 0: none do [1]", &texts.sequences},
    {"context", "LIST", "tokens before it in each text [128]", &texts.context},
    {"prompt", "LIST", "tokens of a text that is read from its beginning; 0: none [0]",
     &texts.prompt},
    {"kv-dtype", "WHICH",
     "of keys and values: int8, bf16, fp32, or usual, as generate has it "
     "[usual]",
     &texts.kv_dtype},
    {"core", "LIST", "share of the neurons that a text goes on with; 1: all [1]", &texts.core},
    {"threads", "LIST", "threads that share each layer [1]", &texts.threads},
    {"layers", "N", "of so many of the model's layers, to save memory; 0: all [0]", &texts.layers},
    {"isa", "LIST", "caps of the instruction set [best]", &texts.isa},
    {0},
};

static const struct bench_column columns[] = {
    {"phase", BENCH_TEXT},
    {"model", BENCH_TEXT},
    {"pattern", BENCH_TEXT},
    {"head", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"kv_dtype", BENCH_TEXT},
    {"isa", BENCH_TEXT},
    {"layers", 0},
    {"sparsity", 2},
    {"sparsity_real", 3},
    {"threads", 0},
    {"binding", BENCH_TEXT},
    {"sequences", 0},
    {"context", 0},
    {"core", 2},
    {"tokens", 0},
    {"stored_mib", 1},
    {"head_share", 3},
    {"kv_mib", 2},
    {"core_mib", 1},
    {"core_ms", 1},
    {"time_ms_median", 3},
    {"time_ms_min", 3},
    {"time_ms_p95", 3},
    {"ms_per_token", 3},
    {"tokens_per_s", 1},
    {"nnz_gops", 1},
    {"gbps", 2},
    {"roof", BENCH_TEXT},
    {"roof_rate", 1},
    {"roof_share", 3},
    {"vs_dense", 2},
    {"vs_all_neurons", 2},
    {"vs_one_sequence", 2},
    {"vs_one_thread", 2},
    {0},
};

static const char *const head_names[] = {
    [BENCH_HEAD_DENSE] = "dense", [BENCH_HEAD_PRUNED] = "pruned", NULL};

/* 0 is the library's own choice. */
static const enum lac_dtype kv_dtypes[] = {0, LAC_S8, LAC_BF16, LAC_F32};
static const char *const kv_dtype_names[] = {"usual", "int8", "bf16", "fp32", NULL};

enum {
    MOST_VARIANTS = 32,
    MOST_CREWS = 8,
    MOST_WORKS = 32,
    MOST_ENTRIES = 256,
    MOST_SEQUENCES = 1024,
    MOST_TOKENS = 65536,
    MOST_LAYERS = 1000,
};

static struct bench_models models;
static struct bench_choices patterns, dtypes, heads, kv_choice, isas;
static struct bench_reals sparsities, cores;
static struct bench_counts sequences, contexts, prompts, threads;
static size_t most_layers;

/* The model in one pattern, the first dense. */
struct variant {
    struct bench_pattern pattern;
    enum bench_head head;
    struct bench_decoder decoder;
};

/* One contender: a variant, who works on it, and at what. */
struct entry {
    const struct variant *variant;
    const struct bench_crew *crew;
    const struct bench_work *work;
    struct bench_writer writer;
    struct bench_peak peak;
};

struct comparison {
    const struct bench_stack *stack;
    size_t n_layers;
    enum lac_dtype dtype;
    unsigned features;
    struct bench_matrices matrices;
    size_t n_variants, n_crews, n_works, n_entries;
    struct variant variants[MOST_VARIANTS];
    struct bench_crew crews[MOST_CREWS];
    struct bench_stream streams[MOST_CREWS];
    struct lac_topology *topology;
    struct lac_pool *alone; /* of crews of one, which have none */
    struct bench_work works[MOST_WORKS];
    struct entry entries[MOST_ENTRIES];
    struct bench_contender contenders[MOST_ENTRIES];
};

/* ---- Models ---- */

static enum lac_status add_variant(struct comparison *c, const struct bench_pattern *pattern,
                                   double sparsity, enum bench_head head, uint64_t *random,
                                   struct lac_error *error)
{
    if (c->n_variants == MOST_VARIANTS)
        return lac_fail(error, LAC_E_ARGUMENT, "more than %d models at once", (int)MOST_VARIANTS);
    struct variant *v = &c->variants[c->n_variants++];
    v->pattern = *pattern;
    v->head = head;
    return bench_decoder_open(&v->decoder, &c->matrices, pattern, sparsity, head, c->features,
                              random, error);
}

static enum lac_status add_pattern(struct comparison *c, const struct bench_pattern *pattern,
                                   uint64_t *random, struct lac_error *error)
{
    if (pattern->layout == LAC_PATTERN_DENSE || !lac_pattern_holds(pattern->layout, c->dtype))
        return LAC_OK;
    for (size_t s = 0; s < (pattern->blocks.of ? 1 : sparsities.n); s++)
        for (size_t h = 0; h < heads.n; h++)
            if (add_variant(c, pattern, sparsities.at[s], (enum bench_head)heads.at[h], random,
                            error))
                return error->status;
    return LAC_OK;
}

static enum lac_status add_variants(struct comparison *c, uint64_t *random, struct lac_error *error)
{
    struct bench_pattern dense = bench_pattern_at(LAC_PATTERN_DENSE, c->dtype);
    if (add_variant(c, &dense, 0, BENCH_HEAD_DENSE, random, error))
        return error->status;
    for (size_t p = 0; p < patterns.n; p++) {
        struct bench_pattern pattern = bench_pattern_at(patterns.at[p], c->dtype);
        if (add_pattern(c, &pattern, random, error))
            return error->status;
    }
    return LAC_OK;
}

/* ---- Work ---- */

static enum lac_status add_work(struct comparison *c, struct bench_work work,
                                struct lac_error *error)
{
    size_t n = lac_max_size(work.prompt, work.context + LAC_LANES);
    if (n > c->stack->max_positions)
        return lac_fail(error, LAC_E_ARGUMENT, "texts of %zu tokens; at most %zu", n,
                        c->stack->max_positions);
    if (c->n_works == MOST_WORKS)
        return lac_fail(error, LAC_E_ARGUMENT, "more than %d lengths and numbers of sequences",
                        (int)MOST_WORKS);
    c->works[c->n_works++] = work;
    return LAC_OK;
}

static enum lac_status add_works(struct comparison *c, struct lac_error *error)
{
    enum lac_dtype kv_dtype = kv_dtypes[kv_choice.at[0]];
    for (size_t p = 0; p < prompts.n; p++)
        if (prompts.at[p] &&
            add_work(c, (struct bench_work){1, 0, prompts.at[p], kv_dtype, 1}, error))
            return error->status;
    for (size_t s = 0; s < sequences.n; s++)
        for (size_t i = 0; i < contexts.n && sequences.at[s]; i++)
            for (size_t k = 0; k < cores.n; k++)
                if (add_work(c,
                             (struct bench_work){sequences.at[s], contexts.at[i], 0, kv_dtype,
                                                 cores.at[k]},
                             error))
                    return error->status;
    return c->n_works ? LAC_OK
                      : lac_fail(error, LAC_E_ARGUMENT, "--sequences 0 --prompt 0: nothing to do");
}

/* What does not fill the caches twice over is pushed out of them first. */
static void leave_caches(const struct entry *entry)
{
    size_t l3 = bench_settings.l3_bytes * bench_settings.n_cores;
    if (entry->variant->decoder.bytes <= 2 * (double)l3)
        bench_decoder_flush(&entry->variant->decoder);
}

static void step(size_t rank, void *context)
{
    (void)rank;
    bench_writer_step(context);
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    struct entry *entry = context;
    /* The library wakes its own workers. */
    struct bench_crew self = {.size = entry->crew->size};
    for (size_t i = 0; i < n; i++) {
        leave_caches(entry);
        bench_writer_rewind(&entry->writer);
        ns[i] = bench_crew_time(&self, step, &entry->writer, 0);
    }
    return entry->writer.failed;
}

static const struct lac_kernel *main_kernel(const struct entry *entry)
{
    const struct lac_linear *down = &entry->variant->decoder.network.layers[0].down;
    return bench_work_tokens(entry->work) < down->few_below ? down->few : down->many;
}

/* Operations on weights, beside which those of attention are few; the head looks at the last token
 * of a text. */
static double operations(const struct entry *entry)
{
    const struct bench_decoder *d = &entry->variant->decoder;
    double n = (double)bench_work_tokens(entry->work), n_texts = (double)entry->work->n_texts;
    double spared = bench_writer_spared(&entry->writer).n_nonzero;
    return 2 * ((d->n_nonzero - d->head_nonzero - spared) * n + d->head_nonzero * n_texts);
}

static double step_bytes(const struct entry *entry)
{
    return entry->variant->decoder.bytes - bench_writer_spared(&entry->writer).n_bytes +
           bench_writer_kv_bytes(&entry->writer);
}

/* Reading memory bounds writing, multiplying bounds reading a prompt. */
static void set_ceiling(struct comparison *c, struct entry *entry,
                        struct bench_contender *contender)
{
    if (entry->work->prompt) {
        const struct bench_roof *roof =
            bench_roof_find(bench_kernel_isa(main_kernel(entry)), lac_dtype_name(c->dtype));
        contender->ceiling = bench_peak_ceiling(&entry->peak, roof, entry->crew);
        contender->load = operations(entry);
    } else {
        contender->ceiling = bench_stream_ceiling(&c->streams[entry->crew - c->crews]);
        contender->load = step_bytes(entry);
    }
}

static enum lac_status add_entry(struct comparison *c, size_t variant, size_t crew, size_t work,
                                 uint64_t *random, struct lac_error *error)
{
    if (c->n_entries == MOST_ENTRIES)
        return lac_fail(error, LAC_E_ARGUMENT, "more than %d rows at once", (int)MOST_ENTRIES);
    struct entry *entry = &c->entries[c->n_entries];
    struct bench_contender *contender = &c->contenders[c->n_entries++];
    entry->variant = &c->variants[variant];
    entry->crew = &c->crews[crew];
    entry->work = &c->works[work];
    *contender = (struct bench_contender){.turn = turn, .context = entry};
    struct lac_pool *pool = entry->crew->pool ? entry->crew->pool : c->alone;
    if (bench_writer_open(&entry->writer, &entry->variant->decoder.network, pool, entry->work,
                          random, error))
        return error->status;
    set_ceiling(c, entry, contender);
    return LAC_OK;
}

/* ---- Rows ---- */

static int is_same(const struct bench_work *a, const struct bench_work *b)
{
    return a->n_texts == b->n_texts && a->context == b->context && a->prompt == b->prompt &&
           a->core >= b->core && a->core <= b->core;
}

/* The contender that has another variant, crew or work. */
static const struct bench_contender *find(const struct comparison *c, const struct variant *variant,
                                          size_t n_threads, const struct bench_work *work)
{
    for (size_t i = 0; i < c->n_entries; i++)
        if (c->entries[i].variant == variant && c->entries[i].crew->size == n_threads &&
            is_same(c->entries[i].work, work))
            return &c->contenders[i];
    return NULL;
}

static enum lac_status report_texts(struct bench_report *report, const struct comparison *c,
                                    size_t at, struct lac_error *error)
{
    const struct entry *entry = &c->entries[at];
    const struct variant *v = entry->variant;
    if (bench_report_row(report, error) ||
        bench_report_text(report, "phase", entry->work->prompt ? "prefill" : "decode", error) ||
        bench_report_text(report, "model", c->stack->name, error) ||
        bench_report_text(report, "pattern", v->pattern.name, error) ||
        bench_report_text(report, "head", head_names[v->head], error) ||
        bench_report_text(report, "dtype", lac_dtype_name(c->dtype), error) ||
        bench_report_text(report, "kv_dtype", lac_dtype_name(entry->writer.kv->shape.dtype),
                          error) ||
        bench_report_text(report, "isa", bench_kernel_isa(main_kernel(entry)), error) ||
        bench_report_text(report, "binding", entry->crew->places, error) ||
        bench_report_roof(report, &c->contenders[at], error))
        return error->status;
    return LAC_OK;
}

/* Speed-ups over the dense model, one sequence, one thread. */
static void report_ratios(struct bench_report *report, const struct comparison *c, size_t at)
{
    const struct entry *entry = &c->entries[at];
    const struct bench_contender *self = &c->contenders[at];
    size_t size = entry->crew->size;
    struct bench_work one = *entry->work;
    one.n_texts = 1;
    bench_report_number(report, "vs_dense",
                        bench_speedup(self, find(c, &c->variants[0], size, entry->work)));
    struct bench_work all = *entry->work;
    all.core = 1;
    const struct bench_contender *whole = find(c, entry->variant, size, &all);
    if (whole && whole != self)
        bench_report_number(report, "vs_all_neurons", bench_speedup(self, whole));
    const struct bench_contender *single = find(c, entry->variant, size, &one);
    if (single && single != self)
        bench_report_number(report, "vs_one_sequence",
                            bench_speedup(self, single) * (double)entry->work->n_texts);
    single = find(c, entry->variant, 1, entry->work);
    if (single && single != self)
        bench_report_number(report, "vs_one_thread", bench_speedup(self, single));
}

static enum lac_status report_entry(struct bench_report *report, const struct comparison *c,
                                    size_t at, struct lac_error *error)
{
    const struct entry *entry = &c->entries[at];
    const struct bench_decoder *d = &entry->variant->decoder;
    const struct bench_contender *contender = &c->contenders[at];
    double ns = bench_times_of(contender).median_ns, n = (double)bench_work_tokens(entry->work);
    double kv_bytes = bench_writer_kv_bytes(&entry->writer);
    if (report_texts(report, c, at, error))
        return error->status;
    bench_report_number(report, "layers", (double)c->n_layers);
    bench_report_number(report, "sparsity", d->sparsity);
    bench_report_number(report, "sparsity_real", 1 - d->n_nonzero / d->n_elements);
    bench_report_number(report, "threads", (double)entry->crew->size);
    bench_report_number(report, "sequences", (double)entry->work->n_texts);
    bench_report_number(report, "context", (double)entry->work->context);
    bench_report_number(report, "core", entry->work->core);
    bench_report_number(report, "tokens", n);
    bench_report_number(report, "stored_mib", d->bytes / 1048576);
    bench_report_number(report, "head_share", d->head_bytes / d->bytes);
    bench_report_number(report, "kv_mib", kv_bytes / 1048576);
    if (entry->work->core < 1) {
        bench_report_number(report, "core_mib", bench_writer_core_bytes(&entry->writer) / 1048576);
        bench_report_number(report, "core_ms", entry->writer.core_ns / 1e6);
    }
    bench_report_times(report, contender, BENCH_MS);
    bench_report_number(report, "ms_per_token", ns / 1e6 / n);
    bench_report_number(report, "tokens_per_s", n * 1e9 / ns);
    bench_report_number(report, "nnz_gops", operations(entry) / ns);
    if (!entry->work->prompt)
        bench_report_number(report, "gbps", step_bytes(entry) / ns);
    report_ratios(report, c, at);
    return LAC_OK;
}

/* ---- Comparisons ---- */

static enum lac_status open_crews(struct comparison *c, struct lac_error *error)
{
    for (size_t t = 0; t < threads.n; t++) {
        struct bench_crew *crew = &c->crews[c->n_crews++];
        if (bench_crew_open(crew, threads.at[t], threads.n > 1 ? BENCH_BESIDE_OTHERS : BENCH_ALONE,
                            error) ||
            bench_stream_open_memory(&c->streams[t], crew, SIZE_MAX, error) ||
            bench_crew_start(crew, error))
            return error->status;
    }
    if (lac_topology_new(&lac_default_host, &c->topology, error) ||
        lac_pool_new(&lac_default_host, c->topology, 1, LAC_BIND_NONE, &c->alone, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status prepare(struct comparison *c, struct lac_error *error)
{
    uint64_t random = bench_settings.seed;
    if (add_works(c, error) ||
        bench_matrices_open(&c->matrices, c->stack, c->n_layers, c->dtype, &random, error) ||
        add_variants(c, &random, error) || open_crews(c, error))
        return error->status;
    for (size_t v = 0; v < c->n_variants; v++)
        for (size_t w = 0; w < c->n_works; w++)
            for (size_t t = 0; t < c->n_crews; t++)
                if (add_entry(c, v, t, w, &random, error))
                    return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    struct comparison *c = comparison;
    bench_contenders_clear(c->contenders, c->n_entries);
    for (size_t i = 0; i < c->n_entries; i++)
        bench_writer_close(&c->entries[i].writer);
    for (size_t v = 0; v < c->n_variants; v++)
        bench_decoder_close(&c->variants[v].decoder);
    bench_matrices_close(&c->matrices);
    for (size_t t = 0; t < c->n_crews; t++) {
        bench_stream_close(&c->streams[t]);
        bench_crew_close(&c->crews[t]);
    }
    lac_pool_free(c->alone);
    lac_topology_free(c->topology);
}

/* The lists of the sweep. */
enum { MODELS, ISAS, DTYPES };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    snprintf(text, size, "%s, %s", models.at[at[MODELS]].name,
             lac_dtype_name(bench_dtype_at(dtypes.at[at[DTYPES]])));
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct comparison *c = comparison;
    c->stack = &models.at[at[MODELS]];
    c->features = bench_isa_features(isas.at[at[ISAS]]);
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

/* Shapes given by their sizes are LLaMA's; how long the texts were that a model has seen does not
 * matter to its speed. */
static void make_writers(void)
{
    for (size_t i = 0; i < models.n; i++) {
        struct bench_stack *stack = &models.at[i];
        stack->gated = stack->gated || stack->encodes;
        if (stack->gated)
            stack->max_positions = MOST_TOKENS + LAC_LANES;
    }
}

static enum lac_status read_lists(struct lac_error *error)
{
    if (bench_read_models("model", texts.model, 0, &models, error) ||
        bench_read_choices("pattern", texts.pattern, bench_pattern_names(), &patterns, error) ||
        bench_read_choices("dtype", texts.dtype, bench_dtype_names(), &dtypes, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sparsities, error) ||
        bench_read_choices("head", texts.head, head_names, &heads, error) ||
        bench_read_counts("sequences", texts.sequences, 0, MOST_SEQUENCES, &sequences, error) ||
        bench_read_counts("context", texts.context, 0, MOST_TOKENS, &contexts, error) ||
        bench_read_counts("prompt", texts.prompt, 0, MOST_TOKENS, &prompts, error) ||
        bench_read_choices("kv-dtype", texts.kv_dtype, kv_dtype_names, &kv_choice, error) ||
        bench_read_reals("core", texts.core, 0.001, 1, &cores, error) ||
        bench_read_counts("threads", texts.threads, 1, LAC_MAX_THREADS, &threads, error) ||
        bench_read_count("layers", texts.layers, 0, MOST_LAYERS, &most_layers, error))
        return error->status;
    return bench_read_isas(texts.isa, &isas, error);
}

static enum lac_status run(struct lac_error *error)
{
    if (read_lists(error))
        return error->status;
    make_writers();
    if (threads.n > MOST_CREWS)
        return lac_fail(error, LAC_E_ARGUMENT, "--threads: more than %d numbers", (int)MOST_CREWS);
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "each row says where",
        .facts = {{"parts",
                   "whole steps of a decoder; gbps counts stored weights, the head's too but "
                   "not those that a core leaves out, and the context's keys and values"}},
        .n_values = {models.n, isas.n, dtypes.n},
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
        .title = "Tokens a second of whole decoders",
        .x = "sparsity",
        .y = "tokens_per_s",
        .x_title = "sparsity of the layers",
        .y_title = "tokens a second",
        .series = {"pattern", "model", "dtype", "threads"},
    },
    {.kind = BENCH_PICTURE_ROOFLINE,
     .title = "Roofline (limits of one core)",
     .series = {"pattern", "model", "dtype", "threads"}},
};

const struct bench_subject bench_decode = {
    .name = "decode",
    .summary = "whole decoders with pruned weights: tokens a second, written or read",
    .options = options,
    .pictures = pictures,
    .run = run,
};
