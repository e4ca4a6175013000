/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench spmm: linear layers of every pattern beside our dense ones and other engines'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/compare.h"
#include "bench/names.h"
#include "bench/sweep.h"

static struct {
    const char *pattern, *dtype, *shape, *tokens, *sparsity, *isa, *orientation, *output, *peers,
        *threads, *cold;
} texts = {
    .shape = "bert-base",
    .tokens = "384",
    .sparsity = "0.8,0.9",
    .isa = "best",
    .orientation = "best",
    .output = "f32",
    .peers = "scalar,onednn,libxsmm",
    .threads = "1",
};

static const struct bench_option options[] = {
    {"pattern", "LIST", "dense, 16x4, 4x4, ..., named as for int8 [all]", &texts.pattern},
    {"dtype", "LIST", "int8, fp32, ... [all]", &texts.dtype},
    {"shape", "LIST", "OUTPUTSxINPUTS, or models: bert-base, llama-7b, ... [those of bert-base]",
     &texts.shape},
    {"tokens", "LIST", "tokens at once [384]", &texts.tokens},
    {"sparsity", "LIST", "share of blocks that are zero [0.8,0.9]", &texts.sparsity},
    {"threads", "LIST", "threads that share a layer, each in its place [1]", &texts.threads},
    {"cold", NULL, "weights come from memory, never the same twice in a row", &texts.cold},
    {"isa", "LIST", "caps of the instruction set: avx2, avx512_vnni, ... [best]", &texts.isa},
    {"orientation", "LIST", "of token, output and best [best]", &texts.orientation},
    {"output", "WHAT", "f32, or u8: the next layer's int8 (int8 layers only) [f32]", &texts.output},
    {"peers", "LIST", "of scalar, onednn and libxsmm, or none [all]", &texts.peers},
    {0},
};

static const struct bench_column columns[] = {
    {"pattern", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"isa", BENCH_TEXT},
    {"kernel", BENCH_TEXT},
    {"m", 0},
    {"k", 0},
    {"n", 0},
    {"sparsity", 2},
    {"sparsity_real", 3},
    {"threads", 0},
    {"binding", BENCH_TEXT},
    {"time_us_median", 1},
    {"time_us_min", 1},
    {"time_us_p95", 1},
    {"nnz_gops", 1},
    {"dense_gops", 1},
    {"gbps", 2},
    {"roof", BENCH_TEXT},
    {"roof_rate", 1},
    {"roof_share", 3},
    {"vs_dense", 2},
    {"vs_onednn", 2},
    {"vs_onednn_vnni", 2},
    {"vs_one_thread", 2},
    {"max_err", 2},
    {0},
};

static const char *const side_names[] = {"best", "token", "output", NULL};
static const enum bench_side sides[] = {BENCH_BEST, BENCH_TOKEN, BENCH_OUTPUT};
static const char *const output_names[] = {"f32", "u8", NULL};
static const char *const rival_names[] = {"none", "scalar", "onednn", "libxsmm", NULL};
static const unsigned rivals[] = {0, BENCH_SCALAR, BENCH_ONEDNN, BENCH_LIBXSMM};

static struct bench_choices patterns, dtypes, isas, orientations, outputs, peers;
static struct bench_shapes shapes;
static struct bench_counts tokens, threads;
static struct bench_reals sparsities;

/* ---- Rows ---- */

/* What the rows of ours and of others have in common. */
struct figures {
    const char *pattern, *dtype, *isa, *kernel;
    double sparsity, n_nonzero, bytes, max_err;
};

static double speedup(const struct bench_comparison *c, const struct bench_entry *entry,
                      const struct bench_entry *other)
{
    return other ? bench_speedup(bench_entry_contender(c, entry), bench_entry_contender(c, other))
                 : NAN;
}

static enum lac_status report_figures(struct bench_report *report, const struct bench_comparison *c,
                                      const struct bench_entry *entry, const struct figures *f,
                                      struct lac_error *error)
{
    const struct bench_contender *contender = bench_entry_contender(c, entry);
    const struct bench_layer *layer = &c->layer;
    double ns = bench_times_of(contender).median_ns;
    double m = (double)layer->n_out, k = (double)layer->n_in, n = (double)layer->n_tokens;
    if (bench_report_row(report, error) ||
        bench_report_text(report, "pattern", f->pattern, error) ||
        bench_report_text(report, "dtype", f->dtype, error) ||
        bench_report_text(report, "isa", f->isa, error) ||
        bench_report_text(report, "kernel", f->kernel, error) ||
        bench_report_text(report, "binding", entry->crew->places, error) ||
        bench_report_roof(report, contender, error))
        return error->status;
    bench_report_number(report, "m", m);
    bench_report_number(report, "k", k);
    bench_report_number(report, "n", n);
    bench_report_number(report, "sparsity", f->sparsity);
    bench_report_number(report, "sparsity_real", 1 - f->n_nonzero / (m * k));
    bench_report_number(report, "threads", (double)entry->crew->size);
    bench_report_times(report, contender, BENCH_US);
    bench_report_number(report, "nnz_gops", 2 * f->n_nonzero * n / ns);
    bench_report_number(report, "dense_gops", 2 * m * k * n / ns);
    bench_report_number(report, "gbps", f->bytes / ns);
    bench_report_number(report, "max_err", f->max_err);
    const struct bench_entry *onednn =
        bench_comparison_onednn(c, entry->crew, bench_onednn_form_of(layer->dtype));
    const struct bench_entry *vnni =
        bench_comparison_onednn(c, entry->crew, BENCH_ONEDNN_INT8_VNNI);
    bench_report_number(report, "vs_onednn", speedup(c, entry, onednn));
    /* Without AMX the free one is the capped one. */
    bench_report_number(
        report, "vs_onednn_vnni",
        speedup(c, entry, vnni || !lac_dtype_is_quantized(layer->dtype) ? vnni : onednn));
    return LAC_OK;
}

/* One of our rows. */
struct place {
    const struct bench_crew *crew;
    const struct bench_weight *weight;
    int isa;
    enum bench_side side;
};

static const struct bench_entry *find(const struct bench_comparison *c, struct place p)
{
    return bench_comparison_find(c, p.crew, p.weight, p.isa, p.side);
}

static enum lac_status report_ours(struct bench_report *report, const struct bench_comparison *c,
                                   struct place place, struct lac_error *error)
{
    const struct bench_weight *weight = place.weight;
    const struct bench_entry *entry = find(c, place);
    struct place dense = place, single = place;
    dense.weight = &c->weights[0];
    single.crew = bench_comparison_single(c);
    if (!entry)
        return LAC_OK;
    struct figures f = {
        .pattern = weight->pattern.name,
        .dtype = lac_dtype_name(c->layer.dtype),
        .isa = bench_kernel_isa(entry->product.kernel),
        .kernel = entry->product.kernel->name,
        .sparsity = weight->sparsity,
        .n_nonzero = (double)weight->n_nonzero,
        .bytes = bench_product_bytes(&entry->product),
    };
    if (bench_product_error(&entry->product, &f.max_err, error) ||
        report_figures(report, c, entry, &f, error))
        return error->status;
    bench_report_number(report, "vs_dense", speedup(c, entry, find(c, dense)));
    if (place.crew->size > 1)
        bench_report_number(report, "vs_one_thread", speedup(c, entry, find(c, single)));
    return LAC_OK;
}

/* Bytes that another engine reads and writes at least: it quantises nothing, so that only int8 has
 * activations of one byte. */
static double peer_bytes(const struct bench_peer *peer)
{
    const struct bench_layer *layer = peer->layer;
    double x_size = !strcmp(peer->dtype, "int8") ? 1 : !strcmp(peer->dtype, "bf16") ? 2 : 4;
    return (double)peer->weight_bytes + x_size * (double)layer->n_tokens * (double)layer->n_in +
           (double)peer->y_size;
}

/* int4 is rounded when it is packed, for us alone. */
static int is_exact(const struct bench_comparison *c)
{
    return c->layer.dtype != LAC_S4;
}

static enum lac_status report_peer(struct bench_report *report, const struct bench_comparison *c,
                                   const struct bench_entry *entry, struct lac_error *error)
{
    const struct bench_peer *peer = entry->peer;
    char kernel[BENCH_NAME_SIZE + 32];
    snprintf(kernel, sizeof kernel, "%s_%s/%s", peer->engine, peer->dtype, peer->child.name);
    struct figures f = {
        .pattern = peer->pattern,
        .dtype = peer->dtype,
        .isa = peer->child.name,
        .kernel = kernel,
        .sparsity = peer->sparsity,
        .n_nonzero = (double)peer->n_nonzero,
        .bytes = peer_bytes(peer),
        .max_err = NAN,
    };
    if (!strcmp(peer->engine, "libxsmm"))
        f.max_err = bench_peer_sums_error(peer);
    else if (peer->layer == &c->layer && peer->form != BENCH_ONEDNN_BF16 && is_exact(c) &&
             bench_rows_error(&c->entries[0].product, peer->y, &f.max_err, error))
        return error->status;
    return report_figures(report, c, entry, &f, error);
}

static enum lac_status report_comparison(struct bench_report *report,
                                         const struct bench_comparison *c, struct lac_error *error)
{
    for (size_t i = 0; i < c->n_entries; i++)
        if (c->entries[i].peer && report_peer(report, c, &c->entries[i], error))
            return error->status;
    for (size_t t = 0; t < c->n_crews; t++)
        for (size_t i = 0; i < c->isas.n; i++)
            for (size_t s = 0; s < orientations.n; s++)
                for (size_t w = 0; w < c->n_weights; w++) {
                    struct place place = {&c->crews[t], &c->weights[w], c->isas.at[i],
                                          sides[orientations.at[s]]};
                    if (report_ours(report, c, place, error))
                        return error->status;
                }
    return LAC_OK;
}

/* ---- The sweep ---- */

enum { SHAPES, TOKENS, DTYPES };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    const struct bench_shape *shape = &shapes.at[at[SHAPES]];
    snprintf(text, size, "%zux%zu, %zu tokens, %s", shape->n_out, shape->n_in,
             tokens.at[at[TOKENS]], lac_dtype_name(bench_dtype_at(dtypes.at[at[DTYPES]])));
}

static struct bench_question question_of(const size_t at[BENCH_MOST_LISTS])
{
    struct bench_question q = {
        .shape = shapes.at[at[SHAPES]],
        .n_tokens = tokens.at[at[TOKENS]],
        .dtype = bench_dtype_at(dtypes.at[at[DTYPES]]),
        .cold = texts.cold != NULL,
        .l2_bytes = bench_settings.l2_bytes,
        .patterns = &patterns,
        .sparsities = &sparsities,
        .isas = &isas,
        .threads = &threads,
    };
    q.output =
        lac_dtype_is_quantized(q.dtype) && outputs.at[0] ? BENCH_OUTPUT_U8 : BENCH_OUTPUT_F32;
    for (size_t i = 0; i < orientations.n; i++)
        q.sides |= sides[orientations.at[i]];
    for (size_t i = 0; i < peers.n; i++)
        q.rivals |= rivals[peers.at[i]];
    return q;
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct bench_comparison *c = comparison;
    const struct bench_question question = question_of(at);
    if (bench_comparison_run(c, &question, &record->progress, error) ||
        report_comparison(&record->report, c, error))
        return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    bench_comparison_close(comparison);
}

static enum lac_status read_names(struct lac_error *error)
{
    if (bench_read_choices("pattern", texts.pattern, bench_pattern_names(), &patterns, error) ||
        bench_read_choices("dtype", texts.dtype, bench_dtype_names(), &dtypes, error) ||
        bench_read_choices("orientation", texts.orientation, side_names, &orientations, error) ||
        bench_read_choices("output", texts.output, output_names, &outputs, error) ||
        bench_read_choices("peers", texts.peers, rival_names, &peers, error) ||
        bench_read_isas(texts.isa, &isas, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status read_lists(struct lac_error *error)
{
    enum { MOST_FEATURES = 65536, MOST_TOKENS = 65536 };
    if (read_names(error) ||
        bench_read_shapes("shape", texts.shape, MOST_FEATURES, &shapes, error) ||
        bench_read_counts("tokens", texts.tokens, 1, MOST_TOKENS, &tokens, error) ||
        bench_read_counts("threads", texts.threads, 1, LAC_MAX_THREADS, &threads, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sparsities, error))
        return error->status;
    if (texts.cold && !bench_flush_built())
        return lac_fail(error, LAC_E_UNSUPPORTED, "--cold: caches cannot be flushed here");
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    if (read_lists(error))
        return error->status;
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "each row says where",
        .facts = {{"output", output_names[outputs.at[0]]},
                  {"weights", texts.cold ? "from memory, a stack of them, never the same twice in "
                                           "a row"
                                         : "in caches"},
                  {"clock", "real time; of one thread that was interrupted its processor time"}},
        .n_values = {shapes.n, tokens.n, dtypes.n},
        .comparison_bytes = sizeof(struct bench_comparison),
        .name = name_comparison,
        .compare = compare,
        .close = close_comparison,
    };
    return bench_sweep_run(&sweep, error);
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Speed-up over our dense layer (medians over shapes and token counts)",
        .x = "sparsity",
        .y = "vs_dense",
        .x_title = "sparsity",
        .y_title = "times faster",
        .ideal = 1,
        .series = {"pattern", "dtype", "isa", "threads"},
    },
    {
        .kind = BENCH_PICTURE_ROOFLINE,
        .title = "Roofline (limits of one core)",
        .series = {"pattern", "dtype", "isa", "threads"},
    },
};

const struct bench_subject bench_spmm = {
    .name = "spmm",
    .summary = "linear layers with pruned weights beside dense ones, ours and other engines'",
    .options = options,
    .pictures = pictures,
    .run = run,
};
