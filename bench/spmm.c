/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench spmm: linear layers of every pattern beside our dense ones and oneDNN's.
 *
 * A comparison is one shape, number of tokens and dtype: all its contenders take turns on the same
 * inputs. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/bench.h"
#include "bench/onednn.h"
#include "src/base/checked.h"
#include "src/sys/topology.h"

static struct {
    const char *pattern, *dtype, *shape, *tokens, *sparsity, *isa, *orientation, *output, *peers;
} texts = {
    .pattern = "dense,16x4,8x4,4x4,1x4",
    .dtype = "int8,fp32",
    .shape = "768x768,3072x768,768x3072",
    .tokens = "384",
    .sparsity = "0.8,0.9",
    .isa = "best",
    .orientation = "best",
    .output = "f32",
    .peers = "onednn",
};

static const struct bench_option options[] = {
    {"pattern", "LIST", "of dense, 16x4, 8x4, 4x4 and 1x4, named as for int8 [all]",
     &texts.pattern},
    {"dtype", "LIST", "of int8 and fp32 [both]", &texts.dtype},
    {"shape", "LIST", "OUTPUTSxINPUTS [768x768,3072x768,768x3072]", &texts.shape},
    {"tokens", "LIST", "tokens at once [384]", &texts.tokens},
    {"sparsity", "LIST", "share of blocks that are zero [0.8,0.9]", &texts.sparsity},
    {"isa", "LIST", "of scalar, avx2, avx512, avx512_vnni, amx_int8 and best [best]", &texts.isa},
    {"orientation", "LIST", "of token, output and best [best]", &texts.orientation},
    {"output", "WHAT", "f32, or u8: the next layer's int8 (fp32 layers write fp32) [f32]",
     &texts.output},
    {"peers", "WHICH", "onednn or none [onednn]", &texts.peers},
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
    {"time_us_median", 1},
    {"time_us_min", 1},
    {"time_us_p95", 1},
    {"nnz_gops", 1},
    {"dense_gops", 1},
    {"gbps", 2},
    {"roof", 1},
    {"roof_share", 3},
    {"vs_dense", 2},
    {"vs_onednn", 2},
    {"vs_onednn_vnni", 2},
    {"max_err", 2},
    {0},
};

static const char *const pattern_names[] = {"dense", "1x4", "4x4", "8x4", "16x4", NULL};
static const enum lac_pattern patterns[] = {LAC_PATTERN_DENSE, LAC_PATTERN_1, LAC_PATTERN_4,
                                            LAC_PATTERN_8, LAC_PATTERN_16};
static const char *const dtype_names[] = {"int8", "fp32", NULL};
static const enum lac_dtype dtypes[] = {LAC_S8, LAC_F32};
static const char *const isa_names[] = {"best", "scalar", "avx2", "avx_vnni", "avx512",
                                        "avx512_vnni", "amx_int8", NULL};
enum orientation { BEST, TOKEN, OUTPUT };
static const char *const orientation_names[] = {"best", "token", "output", NULL};
static const char *const output_names[] = {"f32", "u8", NULL};
static const char *const peer_names[] = {"onednn", "none", NULL};

struct sweep {
    struct bench_choices patterns, dtypes, isas, orientations, outputs, peers;
    struct bench_shapes shapes;
    struct bench_counts tokens;
    struct bench_reals sparsities;
    size_t l2_bytes;
    struct bench_report report;
    struct bench_progress progress;
};

enum { MOST_WEIGHTS = 64, MOST_ENTRIES = 512, N_PEERS = 3 };

/* A contender and what it is. */
struct entry {
    const struct bench_weight *weight; /* NULL for a peer */
    int isa;                           /* of isa_names */
    enum lac_op op;
    struct bench_product product;
};

/* oneDNN beside us: on the comparison's own dtype, capped, and in fp32. */
struct peer {
    struct bench_child child;
    const struct bench_layer *layer;
    size_t at; /* its contender */
    void *y;   /* mapped shared */
    size_t y_size;
};

enum { PEER_FREE, PEER_VNNI, PEER_F32 };

struct comparison {
    struct sweep *sweep;
    struct bench_layer layer, layer_f32;
    size_t n_weights, n_entries;
    struct bench_weight weights[MOST_WEIGHTS]; /* the dense one first */
    struct entry entries[MOST_ENTRIES];
    struct bench_contender contenders[MOST_ENTRIES];
    struct peer peers[N_PEERS];
};

static enum lac_status make_weights(struct comparison *c, uint64_t *random, struct lac_error *error)
{
    const struct sweep *sweep = c->sweep;
    if (bench_weight_make(&c->layer, LAC_PATTERN_DENSE, 0, random, &c->weights[0], error))
        return error->status;
    c->n_weights = 1;
    for (size_t p = 0; p < sweep->patterns.n; p++)
        for (size_t s = 0; s < sweep->sparsities.n; s++) {
            enum lac_pattern pattern = patterns[sweep->patterns.at[p]];
            if (pattern == LAC_PATTERN_DENSE)
                continue;
            if (c->n_weights == MOST_WEIGHTS)
                return lac_fail(error, LAC_E_ARGUMENT,
                                "--pattern and --sparsity: more than %d weights at once",
                                (int)MOST_WEIGHTS);
            if (bench_weight_make(&c->layer, pattern, sweep->sparsities.at[s], random,
                                  &c->weights[c->n_weights++], error))
                return error->status;
        }
    return LAC_OK;
}

/* What stands behind the slash of a kernel's name. */
static const char *kernel_isa(const struct lac_kernel *kernel)
{
    return strchr(kernel->name, '/') + 1;
}

static struct bench_contender *add_contender(struct comparison *c, struct lac_error *error)
{
    if (c->n_entries == MOST_ENTRIES) {
        lac_fail(error, LAC_E_ARGUMENT, "more than %d rows in one comparison", (int)MOST_ENTRIES);
        return NULL;
    }
    c->entries[c->n_entries] = (struct entry){0};
    c->contenders[c->n_entries] = (struct bench_contender){0};
    return &c->contenders[c->n_entries++];
}

static enum lac_status add_kernel(struct comparison *c, const struct bench_weight *weight, int isa,
                                  enum lac_op op, struct lac_error *error)
{
    unsigned allowed = ~0u;
    if (isa)
        lac_isa_allowed(isa_names[isa], &allowed);
    const struct lac_kernel *kernel =
        lac_kernel_find_linear(op, &weight->weight, lac_cpu_features() & allowed);
    struct bench_contender *contender = add_contender(c, error);
    if (!contender)
        return error->status;
    struct entry *entry = &c->entries[c->n_entries - 1];
    entry->weight = weight;
    entry->isa = isa;
    entry->op = op;
    *contender = (struct bench_contender){
        .turn = bench_product_turn,
        .context = &entry->product,
        .roof = bench_roof_find(kernel_isa(kernel), c->layer.dtype),
        .ops = 2.0 * (double)weight->n_nonzero * (double)c->layer.n_tokens,
    };
    return bench_product_open(&entry->product, &c->layer, weight, kernel, error);
}

static int wants_op(const struct sweep *sweep, enum lac_op op)
{
    for (size_t i = 0; i < sweep->orientations.n; i++) {
        enum orientation o = (enum orientation)sweep->orientations.at[i];
        if (o == BEST || (o == TOKEN) == (op == LAC_OP_LINEAR_TOKEN))
            return 1;
    }
    return 0;
}

static enum lac_status add_kernels(struct comparison *c, struct lac_error *error)
{
    static const enum lac_op ops[] = {LAC_OP_LINEAR_TOKEN, LAC_OP_LINEAR_OUTPUT};
    for (size_t i = 0; i < c->sweep->isas.n; i++)
        for (size_t w = 0; w < c->n_weights; w++)
            for (size_t o = 0; o < 2; o++)
                if (wants_op(c->sweep, ops[o]) &&
                    add_kernel(c, &c->weights[w], c->sweep->isas.at[i], ops[o], error))
                    return error->status;
    return LAC_OK;
}

static enum lac_status add_peer(struct comparison *c, size_t which, const struct bench_layer *layer,
                                enum bench_onednn_cap cap, struct lac_error *error)
{
    struct peer *peer = &c->peers[which];
    struct bench_contender *contender = add_contender(c, error);
    if (!contender)
        return error->status;
    peer->layer = layer;
    peer->at = c->n_entries - 1;
    peer->y_size = layer->n_tokens * layer->n_out * (layer->output == BENCH_OUTPUT_U8 ? 1 : 4);
    void *y = mmap(NULL, peer->y_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (y == MAP_FAILED)
        return lac_fail(error, LAC_E_MEMORY, "no memory for oneDNN's results");
    peer->y = y;
    if (bench_onednn_start(&peer->child, layer, cap, y, error))
        return error->status;
    *contender = (struct bench_contender){
        .turn = bench_child_turn,
        .context = &peer->child,
        .roof = bench_roof_find(peer->child.name, layer->dtype),
        .ops = 2.0 * (double)layer->n_out * (double)layer->n_in * (double)layer->n_tokens,
    };
    return LAC_OK;
}

/* Where oneDNN uses nothing beyond AVX-512 VNNI by itself, the capped one would be a copy. */
static enum lac_status add_peers(struct comparison *c, uint64_t *random, struct lac_error *error)
{
    if (c->sweep->peers.at[0] || !bench_onednn_built())
        return LAC_OK;
    if (add_peer(c, PEER_FREE, &c->layer, BENCH_ONEDNN_FREE, error))
        return error->status;
    if (c->layer.dtype == LAC_F32)
        return LAC_OK;
    if (!strcmp(c->peers[PEER_FREE].child.name, "amx_int8") &&
        add_peer(c, PEER_VNNI, &c->layer, BENCH_ONEDNN_VNNI, error))
        return error->status;
    c->layer_f32 = (struct bench_layer){.n_out = c->layer.n_out,
                                        .n_in = c->layer.n_in,
                                        .n_tokens = c->layer.n_tokens,
                                        .dtype = LAC_F32};
    if (bench_layer_open(&c->layer_f32, random, error))
        return error->status;
    return add_peer(c, PEER_F32, &c->layer_f32, BENCH_ONEDNN_FREE, error);
}

static void close_comparison(struct comparison *c)
{
    for (size_t i = 0; i < N_PEERS; i++) {
        bench_child_stop(&c->peers[i].child);
        if (c->peers[i].y)
            munmap(c->peers[i].y, c->peers[i].y_size);
    }
    bench_contenders_clear(c->contenders, c->n_entries);
    bench_layer_close(&c->layer);
    if (c->layer_f32.arena.host)
        bench_layer_close(&c->layer_f32);
}

static enum lac_status report_times(struct bench_report *report, const struct bench_layer *layer,
                                    const struct bench_contender *contender, double bytes,
                                    struct lac_error *error)
{
    double dense_ops = 2.0 * (double)layer->n_out * (double)layer->n_in * (double)layer->n_tokens;
    struct bench_times times = bench_times_of(contender);
    bench_report_number(report, "m", (double)layer->n_out);
    bench_report_number(report, "k", (double)layer->n_in);
    bench_report_number(report, "n", (double)layer->n_tokens);
    bench_report_number(report, "threads", 1);
    bench_report_number(report, "time_us_median", times.median_ns / 1e3);
    bench_report_number(report, "time_us_min", times.min_ns / 1e3);
    bench_report_number(report, "time_us_p95", times.p95_ns / 1e3);
    bench_report_number(report, "nnz_gops", contender->ops / times.median_ns);
    bench_report_number(report, "dense_gops", dense_ops / times.median_ns);
    bench_report_number(report, "gbps", bytes / times.median_ns);
    bench_report_number(report, "roof", bench_roof_of(contender));
    bench_report_number(report, "roof_share", bench_roof_share(contender));
    return bench_report_text(report, "dtype", dtype_names[layer->dtype == LAC_F32], error);
}

/* The entry of a weight on an instruction set: that of one orientation, or the faster of both. */
static size_t find_entry(const struct comparison *c, const struct bench_weight *weight, int isa,
                         enum orientation orientation)
{
    size_t found = MOST_ENTRIES;
    double best_ns = INFINITY;
    for (size_t i = 0; i < c->n_entries; i++) {
        const struct entry *e = &c->entries[i];
        if (e->weight != weight || e->isa != isa ||
            (orientation != BEST && (orientation == TOKEN) != (e->op == LAC_OP_LINEAR_TOKEN)))
            continue;
        double ns = bench_times_of(&c->contenders[i]).median_ns;
        if (ns < best_ns) {
            best_ns = ns;
            found = i;
        }
    }
    return found;
}

/* How many times faster than oneDNN in the comparison's own dtype. */
static double faster_than_peer(const struct comparison *c, size_t entry, int which)
{
    const struct peer *peer = &c->peers[which];
    /* Without AMX the free one is the capped one. */
    if (which == PEER_VNNI && !peer->y && c->layer.dtype == LAC_S8)
        peer = &c->peers[PEER_FREE];
    return peer->y ? bench_speedup(&c->contenders[entry], &c->contenders[peer->at]) : NAN;
}

static enum lac_status report_entry(const struct comparison *c, const struct bench_weight *weight,
                                    int isa, enum orientation orientation, struct lac_error *error)
{
    struct bench_report *report = &c->sweep->report;
    size_t at = find_entry(c, weight, isa, orientation);
    size_t dense = find_entry(c, &c->weights[0], isa, orientation);
    const struct bench_product *product = &c->entries[at].product;
    double elements = (double)c->layer.n_out * (double)c->layer.n_in, most = NAN;
    if (bench_product_error(product, &most, error) || bench_report_row(report, error) ||
        bench_report_text(report, "pattern",
                          lac_pattern_name(weight->weight.pattern, c->layer.dtype), error) ||
        bench_report_text(report, "isa", kernel_isa(product->kernel), error) ||
        bench_report_text(report, "kernel", product->kernel->name, error) ||
        report_times(report, &c->layer, &c->contenders[at], bench_product_bytes(product), error))
        return error->status;
    bench_report_number(report, "sparsity", weight->sparsity);
    bench_report_number(report, "sparsity_real", 1 - (double)weight->n_nonzero / elements);
    bench_report_number(report, "vs_dense",
                        bench_speedup(&c->contenders[at], &c->contenders[dense]));
    bench_report_number(report, "vs_onednn", faster_than_peer(c, at, PEER_FREE));
    bench_report_number(report, "vs_onednn_vnni", faster_than_peer(c, at, PEER_VNNI));
    bench_report_number(report, "max_err", most);
    return LAC_OK;
}

static double dense_bytes(const struct bench_layer *layer)
{
    double size = layer->dtype == LAC_S8 ? 1 : 4, y_size = layer->output == BENCH_OUTPUT_U8 ? 1 : 4;
    double m = (double)layer->n_out, k = (double)layer->n_in, n = (double)layer->n_tokens;
    return size * (m * k + n * k) + y_size * m * n;
}

static enum lac_status report_peer(const struct comparison *c, int which, struct lac_error *error)
{
    const struct peer *peer = &c->peers[which];
    struct bench_report *report = &c->sweep->report;
    char kernel[BENCH_NAME_SIZE + 32];
    double most = NAN;
    snprintf(kernel, sizeof kernel, "onednn_%s/%s", lac_dtype_name(peer->layer->dtype),
             peer->child.name);
    if (peer->layer == &c->layer && bench_rows_error(&c->entries[0].product, peer->y, &most, error))
        return error->status;
    if (bench_report_row(report, error) || bench_report_text(report, "pattern", "dense", error) ||
        bench_report_text(report, "isa", peer->child.name, error) ||
        bench_report_text(report, "kernel", kernel, error) ||
        report_times(report, peer->layer, &c->contenders[peer->at], dense_bytes(peer->layer),
                     error))
        return error->status;
    bench_report_number(report, "sparsity", 0);
    bench_report_number(report, "sparsity_real", 0);
    bench_report_number(report, "vs_onednn", faster_than_peer(c, peer->at, PEER_FREE));
    bench_report_number(report, "vs_onednn_vnni", faster_than_peer(c, peer->at, PEER_VNNI));
    bench_report_number(report, "max_err", most);
    return LAC_OK;
}

static enum lac_status report_comparison(const struct comparison *c, struct lac_error *error)
{
    const struct sweep *sweep = c->sweep;
    for (int i = 0; i < N_PEERS; i++)
        if (c->peers[i].y && report_peer(c, i, error))
            return error->status;
    for (size_t i = 0; i < sweep->isas.n; i++)
        for (size_t o = 0; o < sweep->orientations.n; o++)
            for (size_t w = 0; w < c->n_weights; w++)
                if (report_entry(c, &c->weights[w], sweep->isas.at[i],
                                 (enum orientation)sweep->orientations.at[o], error))
                    return error->status;
    return LAC_OK;
}

static enum lac_status compare(struct sweep *sweep, struct bench_shape shape, size_t n_tokens,
                               enum lac_dtype dtype, struct lac_error *error)
{
    enum bench_output output =
        dtype == LAC_S8 && sweep->outputs.at[0] ? BENCH_OUTPUT_U8 : BENCH_OUTPUT_F32;
    uint64_t random = bench_settings.seed;
    struct comparison *c = lac_alloc_zero(&lac_default_host, 1, sizeof *c);
    if (!c)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a comparison");
    c->sweep = sweep;
    c->layer = (struct bench_layer){.n_out = shape.n_out,
                                    .n_in = shape.n_in,
                                    .n_tokens = n_tokens,
                                    .dtype = dtype,
                                    .output = output,
                                    .l2_bytes = sweep->l2_bytes};
    enum lac_status status = LAC_OK;
    if (bench_layer_open(&c->layer, &random, error) || make_weights(c, &random, error) ||
        add_kernels(c, error) || add_peers(c, &random, error) ||
        bench_measure(c->contenders, c->n_entries, &bench_settings.effort, &sweep->progress,
                      error) ||
        report_comparison(c, error))
        status = error->status;
    close_comparison(c);
    lac_free(&lac_default_host, c);
    if (status)
        lac_fail_in(error, status, "%zux%zu, %zu tokens, %s", shape.n_out, shape.n_in, n_tokens,
                    dtype_names[dtype == LAC_F32]);
    return status;
}

static enum lac_status run_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    const struct bench_shapes *shapes = &sweep->shapes;
    bench_progress_begin(&sweep->progress, shapes->n * sweep->tokens.n * sweep->dtypes.n);
    for (size_t s = 0; s < shapes->n; s++)
        for (size_t t = 0; t < sweep->tokens.n; t++)
            for (size_t d = 0; !status && d < sweep->dtypes.n; d++) {
                char name[64];
                snprintf(name, sizeof name, "%zux%zu", shapes->at[s].n_out, shapes->at[s].n_in);
                bench_progress_start(&sweep->progress, name);
                status = compare(sweep, shapes->at[s], sweep->tokens.at[t],
                                 dtypes[sweep->dtypes.at[d]], error);
            }
    bench_progress_end(&sweep->progress);
    return status;
}

static enum lac_status check_isas(const struct bench_choices *isas, struct lac_error *error)
{
    for (size_t i = 0; i < isas->n; i++) {
        unsigned allowed = ~0u;
        const char *name = isa_names[isas->at[i]];
        if (!isas->at[i] || lac_isa_allowed(name, &allowed))
            continue;
        if (strcmp(lac_isa_name(lac_cpu_features() & allowed), name))
            return lac_fail(error, LAC_E_UNSUPPORTED, "--isa %s: this processor has it not", name);
    }
    return LAC_OK;
}

static enum lac_status read_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum { MOST_FEATURES = 65536, MOST_TOKENS = 65536 };
    if (bench_read_choices("pattern", texts.pattern, pattern_names, &sweep->patterns, error) ||
        bench_read_choices("dtype", texts.dtype, dtype_names, &sweep->dtypes, error) ||
        bench_read_shapes("shape", texts.shape, MOST_FEATURES, &sweep->shapes, error) ||
        bench_read_counts("tokens", texts.tokens, 1, MOST_TOKENS, &sweep->tokens, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sweep->sparsities, error) ||
        bench_read_choices("isa", texts.isa, isa_names, &sweep->isas, error) ||
        bench_read_choices("orientation", texts.orientation, orientation_names,
                           &sweep->orientations, error) ||
        bench_read_choices("output", texts.output, output_names, &sweep->outputs, error) ||
        bench_read_choices("peers", texts.peers, peer_names, &sweep->peers, error) ||
        check_isas(&sweep->isas, error))
        return error->status;
    struct lac_topology *topology;
    if (lac_topology_new(&lac_default_host, &topology, error))
        return error->status;
    sweep->l2_bytes = lac_topology_l2_bytes(topology);
    lac_topology_free(topology);
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    static struct sweep sweep;
    size_t cpu = bench_settings.cpu;
    char cpus[24];
    if (read_sweep(&sweep, error))
        return error->status;
    bench_report_open(&sweep.report, "spmm", columns);
    enum lac_status status = LAC_OK;
    if (bench_pin(&cpu, error) || snprintf(cpus, sizeof cpus, "%zu", cpu) < 0 ||
        bench_report_context(&sweep.report, cpus, error) ||
        bench_report_fact(&sweep.report, error, "output", "%s",
                          output_names[sweep.outputs.at[0]]) ||
        bench_report_fact(&sweep.report, error, "clock",
                          "real time; processor time of runs that were interrupted") ||
        run_sweep(&sweep, error) || bench_report_finish(&sweep.report, error))
        status = error->status;
    bench_report_close(&sweep.report);
    return status;
}

const struct bench_subject bench_spmm = {
    .name = "spmm",
    .summary = "linear layers with pruned weights beside dense ones, ours and oneDNN's",
    .options = options,
    .run = run,
};
