/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench spmm: linear layers of every pattern beside our dense ones and other engines'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/compare.h"
#include "bench/names.h"

static struct {
    const char *pattern, *dtype, *shape, *tokens, *sparsity, *isa, *orientation, *output, *peers,
        *threads, *cold;
} texts = {
    .shape = "768x768,3072x768,768x3072",
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
    {"shape", "LIST", "OUTPUTSxINPUTS, or models: bert-base, llama-7b, ... [768x768,...]",
     &texts.shape},
    {"tokens", "LIST", "tokens at once [384]", &texts.tokens},
    {"sparsity", "LIST", "share of blocks that are zero [0.8,0.9]", &texts.sparsity},
    {"threads", "LIST", "threads that share a layer, each in its place [1]", &texts.threads},
    {"cold", NULL, "weights come from memory, never the same twice in a row", &texts.cold},
    {"isa", "LIST", "of scalar, avx2, avx512, avx512_vnni, amx_int8 and best [best]", &texts.isa},
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

struct sweep {
    struct bench_choices patterns, dtypes, isas, sides, outputs, rivals;
    struct bench_shapes shapes;
    struct bench_counts tokens, threads;
    struct bench_reals sparsities;
    struct bench_report report;
    struct bench_progress progress;
};

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
    struct bench_times times = bench_times_of(contender);
    double m = (double)layer->n_out, k = (double)layer->n_in, n = (double)layer->n_tokens;
    if (bench_report_row(report, error) ||
        bench_report_text(report, "pattern", f->pattern, error) ||
        bench_report_text(report, "dtype", f->dtype, error) ||
        bench_report_text(report, "isa", f->isa, error) ||
        bench_report_text(report, "kernel", f->kernel, error) ||
        bench_report_text(report, "binding", entry->crew->places, error) ||
        bench_report_text(report, "roof", contender->ceiling.name, error))
        return error->status;
    bench_report_number(report, "m", m);
    bench_report_number(report, "k", k);
    bench_report_number(report, "n", n);
    bench_report_number(report, "sparsity", f->sparsity);
    bench_report_number(report, "sparsity_real", 1 - f->n_nonzero / (m * k));
    bench_report_number(report, "threads", (double)entry->crew->size);
    bench_report_number(report, "time_us_median", times.median_ns / 1e3);
    bench_report_number(report, "time_us_min", times.min_ns / 1e3);
    bench_report_number(report, "time_us_p95", times.p95_ns / 1e3);
    bench_report_number(report, "nnz_gops", 2 * f->n_nonzero * n / times.median_ns);
    bench_report_number(report, "dense_gops", 2 * m * k * n / times.median_ns);
    bench_report_number(report, "gbps", f->bytes / times.median_ns);
    bench_report_number(report, "roof_rate", bench_roof_of(contender));
    bench_report_number(report, "roof_share", bench_roof_share(contender));
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

static enum lac_status report_comparison(struct sweep *sweep, const struct bench_comparison *c,
                                         struct lac_error *error)
{
    for (size_t i = 0; i < c->n_entries; i++)
        if (c->entries[i].peer && report_peer(&sweep->report, c, &c->entries[i], error))
            return error->status;
    for (size_t t = 0; t < c->n_crews; t++)
        for (size_t i = 0; i < c->isas.n; i++)
            for (size_t s = 0; s < sweep->sides.n; s++)
                for (size_t w = 0; w < c->n_weights; w++) {
                    struct place place = {&c->crews[t], &c->weights[w], c->isas.at[i],
                                          sides[sweep->sides.at[s]]};
                    if (report_ours(&sweep->report, c, place, error))
                        return error->status;
                }
    return LAC_OK;
}

/* ---- The sweep ---- */

static enum lac_status compare(struct sweep *sweep, const struct bench_question *question,
                               struct lac_error *error)
{
    struct bench_comparison *c = lac_alloc_zero(&lac_default_host, 1, sizeof *c);
    if (!c)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a comparison");
    enum lac_status status = LAC_OK;
    if (bench_comparison_run(c, question, &sweep->progress, error) ||
        report_comparison(sweep, c, error))
        status = error->status;
    bench_comparison_close(c);
    lac_free(&lac_default_host, c);
    return status ? lac_fail_in(error, status, "%zux%zu, %zu tokens, %s", question->shape.n_out,
                                question->shape.n_in, question->n_tokens,
                                lac_dtype_name(question->dtype))
                  : LAC_OK;
}

static struct bench_question question_of(const struct sweep *sweep, size_t shape, size_t tokens,
                                         size_t dtype)
{
    struct bench_question q = {
        .shape = sweep->shapes.at[shape],
        .n_tokens = sweep->tokens.at[tokens],
        .dtype = bench_dtype_at(sweep->dtypes.at[dtype]),
        .cold = texts.cold != NULL,
        .l2_bytes = bench_settings.l2_bytes,
        .patterns = &sweep->patterns,
        .sparsities = &sweep->sparsities,
        .isas = &sweep->isas,
        .threads = &sweep->threads,
    };
    q.output = lac_dtype_is_quantized(q.dtype) && sweep->outputs.at[0] ? BENCH_OUTPUT_U8
                                                                       : BENCH_OUTPUT_F32;
    for (size_t i = 0; i < sweep->sides.n; i++)
        q.sides |= sides[sweep->sides.at[i]];
    for (size_t i = 0; i < sweep->rivals.n; i++)
        q.rivals |= rivals[sweep->rivals.at[i]];
    return q;
}

static enum lac_status run_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    bench_progress_begin(&sweep->progress,
                         sweep->shapes.n * sweep->tokens.n * sweep->threads.n * sweep->dtypes.n);
    for (size_t s = 0; s < sweep->shapes.n; s++)
        for (size_t t = 0; t < sweep->tokens.n; t++)
            for (size_t d = 0; !status && d < sweep->dtypes.n; d++) {
                struct bench_question q = question_of(sweep, s, t, d);
                char name[64];
                snprintf(name, sizeof name, "%zux%zu, %zu tokens, %s", q.shape.n_out, q.shape.n_in,
                         q.n_tokens, lac_dtype_name(q.dtype));
                bench_progress_start(&sweep->progress, name);
                status = compare(sweep, &q, error);
            }
    bench_progress_end(&sweep->progress);
    return status;
}

static enum lac_status check_isas(const struct bench_choices *isas, struct lac_error *error)
{
    for (size_t i = 0; i < isas->n; i++) {
        const char *name = bench_isa_names[isas->at[i]];
        if (isas->at[i] && strcmp(lac_isa_name(bench_isa_features(isas->at[i])), name))
            return lac_fail(error, LAC_E_UNSUPPORTED, "--isa %s: this processor has it not", name);
    }
    return LAC_OK;
}

static enum lac_status read_names(struct sweep *sweep, struct lac_error *error)
{
    static char all_patterns[256], all_dtypes[128];
    const char *const *patterns = bench_pattern_names(), *const *dtypes = bench_dtype_names();
    if (!texts.pattern)
        texts.pattern = bench_all_names(patterns, all_patterns, sizeof all_patterns);
    if (!texts.dtype)
        texts.dtype = bench_all_names(dtypes, all_dtypes, sizeof all_dtypes);
    if (bench_read_choices("pattern", texts.pattern, patterns, &sweep->patterns, error) ||
        bench_read_choices("dtype", texts.dtype, dtypes, &sweep->dtypes, error) ||
        bench_read_choices("isa", texts.isa, bench_isa_names, &sweep->isas, error) ||
        bench_read_choices("orientation", texts.orientation, side_names, &sweep->sides, error) ||
        bench_read_choices("output", texts.output, output_names, &sweep->outputs, error) ||
        bench_read_choices("peers", texts.peers, rival_names, &sweep->rivals, error))
        return error->status;
    return check_isas(&sweep->isas, error);
}

static enum lac_status read_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum { MOST_FEATURES = 65536, MOST_TOKENS = 65536 };
    if (read_names(sweep, error) ||
        bench_read_shapes("shape", texts.shape, MOST_FEATURES, &sweep->shapes, error) ||
        bench_read_counts("tokens", texts.tokens, 1, MOST_TOKENS, &sweep->tokens, error) ||
        bench_read_counts("threads", texts.threads, 1, LAC_MAX_THREADS, &sweep->threads, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sweep->sparsities, error))
        return error->status;
    if (texts.cold && !bench_flush_built())
        return lac_fail(error, LAC_E_UNSUPPORTED, "--cold: caches cannot be flushed here");
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    static struct sweep sweep;
    if (read_sweep(&sweep, error))
        return error->status;
    bench_report_open(&sweep.report, "spmm", columns);
    enum lac_status status = LAC_OK;
    if (bench_report_context(&sweep.report, "each row says where", error) ||
        bench_report_fact(&sweep.report, error, "output", "%s",
                          output_names[sweep.outputs.at[0]]) ||
        bench_report_fact(&sweep.report, error, "weights", "%s",
                          texts.cold ? "from memory, a stack of them, never the same twice in a row"
                                     : "in caches") ||
        bench_report_fact(&sweep.report, error, "clock",
                          "real time; of one thread that was interrupted its processor time") ||
        run_sweep(&sweep, error) || bench_report_finish(&sweep.report, error))
        status = error->status;
    bench_report_close(&sweep.report);
    return status;
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
