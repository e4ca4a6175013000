/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison: one shape, number of tokens and dtype, on which our kernels for every pattern and
 * other engines take turns. */
#include "bench/compare.h"

#include <math.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/names.h"

static int has_kernel(enum lac_pattern pattern, enum lac_dtype dtype)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (((*k)->op == LAC_OP_LINEAR_TOKEN || (*k)->op == LAC_OP_LINEAR_OUTPUT) &&
            (*k)->pattern == pattern && (*k)->dtype == dtype)
            return 1;
    return 0;
}

static enum lac_status make_weight(struct bench_comparison *c, const struct bench_pattern *pattern,
                                   double sparsity, uint64_t *random, struct lac_error *error)
{
    if (c->n_weights == BENCH_MOST_WEIGHTS)
        return lac_fail(error, LAC_E_ARGUMENT,
                        "--pattern and --sparsity: more than %d weights at once",
                        (int)BENCH_MOST_WEIGHTS);
    return bench_weight_make(&c->layer, pattern, sparsity, random, &c->weights[c->n_weights++],
                             error);
}

static enum lac_status make_weights(struct bench_comparison *c, uint64_t *random,
                                    struct lac_error *error)
{
    const struct bench_question *q = c->question;
    struct bench_pattern dense = bench_pattern_at(LAC_PATTERN_DENSE, q->dtype);
    if (make_weight(c, &dense, 0, random, error))
        return error->status;
    for (size_t p = 0; p < q->patterns->n; p++) {
        struct bench_pattern pattern = bench_pattern_at(q->patterns->at[p], q->dtype);
        if (pattern.layout == LAC_PATTERN_DENSE || !lac_pattern_holds(pattern.layout, q->dtype) ||
            !has_kernel(pattern.layout, q->dtype))
            continue;
        /* 2:4 has one sparsity whatever is asked for. */
        size_t n = pattern.blocks.of ? 1 : q->sparsities->n;
        for (size_t s = 0; s < n; s++)
            if (make_weight(c, &pattern, q->sparsities->at[s], random, error))
                return error->status;
    }
    return LAC_OK;
}

static struct bench_entry *add_entry(struct bench_comparison *c, const struct bench_crew *crew,
                                     struct lac_error *error)
{
    if (c->n_entries == BENCH_MOST_ENTRIES) {
        lac_fail(error, LAC_E_ARGUMENT, "more than %d rows in one comparison",
                 (int)BENCH_MOST_ENTRIES);
        return NULL;
    }
    c->entries[c->n_entries] = (struct bench_entry){.crew = crew};
    c->contenders[c->n_entries] = (struct bench_contender){0};
    return &c->entries[c->n_entries++];
}

/* Multiplying bounds a layer whose weights are in caches, reading them one whose are not. */
static void set_ceiling(struct bench_comparison *c, struct bench_entry *entry, const char *isa,
                        const char *dtype, double ops, double weight_bytes)
{
    struct bench_contender *contender = &c->contenders[entry - c->entries];
    if (c->question->cold) {
        contender->ceiling = bench_stream_ceiling(&c->streams[entry->crew - c->crews]);
        contender->load = weight_bytes;
    } else {
        contender->ceiling =
            bench_peak_ceiling(&entry->peak, bench_roof_find(isa, dtype), entry->crew);
        contender->load = ops;
    }
}

static enum lac_status add_kernel(struct bench_comparison *c, const struct bench_crew *crew,
                                  struct bench_weight *weight, int isa, enum lac_op op,
                                  struct lac_error *error)
{
    const struct lac_kernel *kernel =
        lac_kernel_find_linear(op, &weight->copies[0], bench_isa_features(isa));
    if (!kernel)
        return LAC_OK;
    struct bench_entry *entry = add_entry(c, crew, error);
    if (!entry || bench_product_open(&entry->product, &c->layer, crew, weight, kernel, error))
        return error->status;
    struct bench_contender *contender = &c->contenders[entry - c->entries];
    entry->weight = weight;
    entry->isa = isa;
    entry->op = op;
    contender->turn = bench_product_turn;
    contender->context = &entry->product;
    /* Twice are enough to know how slow it is. */
    contender->most_rounds = isa == BENCH_ISA_SCALAR ? 2 : 0;
    set_ceiling(c, entry, bench_kernel_isa(kernel), lac_dtype_name(c->layer.dtype),
                2.0 * (double)weight->n_nonzero * (double)c->layer.n_tokens,
                bench_product_weight_bytes(&entry->product));
    return LAC_OK;
}

static int wants_op(const struct bench_comparison *c, int isa, enum lac_op op)
{
    unsigned sides = c->question->sides;
    /* Both orientations of the scalar rival are as slow. */
    if (isa == BENCH_ISA_SCALAR && sides & BENCH_BEST)
        return op == LAC_OP_LINEAR_TOKEN || sides & BENCH_OUTPUT;
    return (sides & BENCH_BEST) || !!(sides & BENCH_TOKEN) == (op == LAC_OP_LINEAR_TOKEN) ||
           (sides & BENCH_TOKEN && sides & BENCH_OUTPUT);
}

static enum lac_status add_kernels(struct bench_comparison *c, const struct bench_crew *crew,
                                   struct lac_error *error)
{
    static const enum lac_op ops[] = {LAC_OP_LINEAR_TOKEN, LAC_OP_LINEAR_OUTPUT};
    for (size_t i = 0; i < c->isas.n; i++)
        for (size_t w = 0; w < c->n_weights; w++)
            for (size_t o = 0; o < 2; o++)
                if (wants_op(c, c->isas.at[i], ops[o]) &&
                    add_kernel(c, crew, &c->weights[w], c->isas.at[i], ops[o], error))
                    return error->status;
    return LAC_OK;
}

/* The entry of a peer that is started. */
static enum lac_status add_peer(struct bench_comparison *c, const struct bench_crew *crew,
                                struct bench_peer *peer, struct lac_error *error)
{
    struct bench_entry *entry = add_entry(c, crew, error);
    if (!entry)
        return error->status;
    struct bench_contender *contender = &c->contenders[entry - c->entries];
    entry->peer = peer;
    contender->turn = bench_child_turn;
    contender->context = &peer->child;
    set_ceiling(c, entry, peer->child.name, peer->dtype,
                2.0 * (double)peer->n_nonzero * (double)c->layer.n_tokens,
                (double)peer->weight_bytes);
    return LAC_OK;
}

static enum lac_status add_onednn(struct bench_comparison *c, const struct bench_crew *crew,
                                  enum bench_onednn_form form, struct lac_error *error)
{
    const struct bench_layer *layer =
        form == BENCH_ONEDNN_INT8 || form == BENCH_ONEDNN_INT8_VNNI || c->layer.dtype == LAC_F32
            ? &c->layer
            : &c->layer_f32;
    struct bench_peer *peer = &c->peers[c->n_peers++];
    if (bench_peer_onednn(peer, layer, crew, form, error))
        return error->status;
    return add_peer(c, crew, peer, error);
}

/* Where oneDNN uses nothing beyond AVX-512 VNNI by itself, the capped one would be a copy. */
static enum lac_status add_onednns(struct bench_comparison *c, const struct bench_crew *crew,
                                   struct lac_error *error)
{
    if (lac_dtype_is_quantized(c->layer.dtype)) {
        if (add_onednn(c, crew, BENCH_ONEDNN_INT8, error))
            return error->status;
        if (!strcmp(c->peers[c->n_peers - 1].child.name, "amx_int8") &&
            add_onednn(c, crew, BENCH_ONEDNN_INT8_VNNI, error))
            return error->status;
    }
    /* bf16 wants instructions of its own or AVX-512; where there are none its row is left out. */
    if (add_onednn(c, crew, BENCH_ONEDNN_BF16, error)) {
        if (error->status != LAC_E_UNSUPPORTED)
            return error->status;
        bench_peer_close(&c->peers[--c->n_peers]);
        *error = (struct lac_error){0};
    }
    return add_onednn(c, crew, BENCH_ONEDNN_F32, error);
}

static enum lac_status add_libxsmm(struct bench_comparison *c, const struct bench_crew *crew,
                                   enum bench_libxsmm_form form, size_t block, uint64_t *random,
                                   struct lac_error *error)
{
    struct bench_layer *layer =
        form == BENCH_LIBXSMM_INT8 || c->layer.dtype == LAC_F32 ? &c->layer : &c->layer_f32;
    if (layer->n_out % block || layer->n_in % block)
        return LAC_OK;
    for (size_t s = 0; s < c->question->sparsities->n; s++) {
        if (c->n_peers == BENCH_MOST_PEERS)
            return lac_fail(error, LAC_E_ARGUMENT, "--sparsity: more than %d rows of other engines",
                            (int)BENCH_MOST_PEERS);
        struct bench_peer *peer = &c->peers[c->n_peers++];
        if (bench_peer_libxsmm(peer, layer, form, block, c->question->sparsities->at[s], random,
                               error) ||
            add_peer(c, crew, peer, error))
            return error->status;
    }
    return LAC_OK;
}

/* It has one thread here, and its weights stay where they are. */
static enum lac_status add_libxsmms(struct bench_comparison *c, const struct bench_crew *crew,
                                    uint64_t *random, struct lac_error *error)
{
    static const struct {
        const char *dtype;
        enum bench_libxsmm_form form;
        size_t block;
    } rows[] = {
        {"int8", BENCH_LIBXSMM_INT8, 16},      {"int8", BENCH_LIBXSMM_INT8, 32},
        {"bf16", BENCH_LIBXSMM_BF16, 16},      {"bf16", BENCH_LIBXSMM_BF16, 32},
        {"fp32", BENCH_LIBXSMM_F32, 16},       {"fp32", BENCH_LIBXSMM_F32, 32},
        {"bf16", BENCH_LIBXSMM_BF16_SPMDM, 1}, {"fp32", BENCH_LIBXSMM_F32_SPMDM, 1},
    };
    if (crew->size > 1 || c->question->cold)
        return LAC_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].dtype, lac_dtype_name(c->layer.dtype)) &&
            add_libxsmm(c, crew, rows[i].form, rows[i].block, random, error))
            return error->status;
    return LAC_OK;
}

static enum lac_status add_peers(struct bench_comparison *c, const struct bench_crew *crew,
                                 uint64_t *random, struct lac_error *error)
{
    unsigned rivals = c->question->rivals;
    if (!bench_onednn_built())
        rivals &= ~(unsigned)BENCH_ONEDNN;
    if (!bench_libxsmm_built())
        rivals &= ~(unsigned)BENCH_LIBXSMM;
    if (rivals & BENCH_ONEDNN && add_onednns(c, crew, error))
        return error->status;
    return rivals & BENCH_LIBXSMM ? add_libxsmms(c, crew, random, error) : LAC_OK;
}

static void choose_isas(struct bench_comparison *c)
{
    c->isas = *c->question->isas;
    for (size_t i = 0; i < c->isas.n; i++)
        if (c->isas.at[i] == BENCH_ISA_SCALAR)
            return;
    if (c->question->rivals & BENCH_SCALAR && c->isas.n < BENCH_LIST_MOST)
        c->isas.at[c->isas.n++] = BENCH_ISA_SCALAR;
}

/* For peers that multiply in another dtype than ours. */
static enum lac_status open_float_layer(struct bench_comparison *c, uint64_t *random,
                                        struct lac_error *error)
{
    c->layer_f32 = (struct bench_layer){.n_out = c->layer.n_out,
                                        .n_in = c->layer.n_in,
                                        .n_tokens = c->layer.n_tokens,
                                        .dtype = LAC_F32,
                                        .cold = c->layer.cold};
    if (c->layer.dtype == LAC_F32 || !(c->question->rivals & (BENCH_ONEDNN | BENCH_LIBXSMM)))
        return LAC_OK;
    return bench_layer_open(&c->layer_f32, random, error);
}

/* Processes are forked between opening a crew and opening the next: they inherit its places. */
static enum lac_status add_crews(struct bench_comparison *c, uint64_t *random,
                                 struct lac_error *error)
{
    const struct bench_counts *threads = c->question->threads;
    enum bench_company company =
        threads->n == 1 && threads->at[0] == 1 ? BENCH_ALONE : BENCH_BESIDE_OTHERS;
    if (threads->n > BENCH_MOST_CREWS)
        return lac_fail(error, LAC_E_ARGUMENT, "--threads: more than %d numbers",
                        (int)BENCH_MOST_CREWS);
    for (size_t i = 0; i < threads->n; i++) {
        struct bench_crew *crew = &c->crews[c->n_crews++];
        if (bench_crew_open(crew, threads->at[i], company, error) ||
            (c->question->cold &&
             bench_stream_open_memory(&c->streams[i], crew, SIZE_MAX, error)) ||
            add_kernels(c, crew, error) || add_peers(c, crew, random, error))
            return error->status;
    }
    for (size_t i = 0; i < c->n_crews; i++)
        if (bench_crew_start(&c->crews[i], error))
            return error->status;
    return LAC_OK;
}

enum lac_status bench_comparison_run(struct bench_comparison *c, const struct bench_question *q,
                                     struct bench_progress *progress, struct lac_error *error)
{
    uint64_t random = bench_settings.seed;
    c->question = q;
    c->layer = (struct bench_layer){.n_out = q->shape.n_out,
                                    .n_in = q->shape.n_in,
                                    .n_tokens = q->n_tokens,
                                    .dtype = q->dtype,
                                    .output = q->output,
                                    .cold = q->cold,
                                    .l2_bytes = q->l2_bytes};
    choose_isas(c);
    if (bench_layer_open(&c->layer, &random, error) || make_weights(c, &random, error) ||
        open_float_layer(c, &random, error) || add_crews(c, &random, error) ||
        bench_measure(c->contenders, c->n_entries, &bench_settings.effort, progress, error))
        return error->status;
    return LAC_OK;
}

void bench_comparison_close(struct bench_comparison *c)
{
    for (size_t i = 0; i < c->n_peers; i++)
        bench_peer_close(&c->peers[i]);
    bench_contenders_clear(c->contenders, c->n_entries);
    for (size_t i = 0; i < c->n_weights; i++)
        bench_weight_close(&c->weights[i]);
    for (size_t i = 0; i < c->n_crews; i++) {
        bench_stream_close(&c->streams[i]);
        bench_crew_close(&c->crews[i]);
    }
    bench_layer_close(&c->layer);
    if (c->layer_f32.arena.host)
        bench_layer_close(&c->layer_f32);
}

const struct bench_crew *bench_comparison_single(const struct bench_comparison *c)
{
    for (size_t i = 0; i < c->n_crews; i++)
        if (c->crews[i].size == 1)
            return &c->crews[i];
    return NULL;
}

const struct bench_entry *bench_comparison_find(const struct bench_comparison *c,
                                                const struct bench_crew *crew,
                                                const struct bench_weight *weight, int isa,
                                                enum bench_side side)
{
    const struct bench_entry *found = NULL;
    double best_ns = INFINITY;
    for (size_t i = 0; i < c->n_entries; i++) {
        const struct bench_entry *e = &c->entries[i];
        if (!e->weight || e->weight != weight || e->crew != crew || e->isa != isa ||
            (side != BENCH_BEST && (side == BENCH_TOKEN) != (e->op == LAC_OP_LINEAR_TOKEN)))
            continue;
        double ns = bench_times_of(&c->contenders[i]).median_ns;
        if (ns < best_ns) {
            best_ns = ns;
            found = e;
        }
    }
    return found;
}

const struct bench_entry *bench_comparison_onednn(const struct bench_comparison *c,
                                                  const struct bench_crew *crew,
                                                  enum bench_onednn_form form)
{
    for (size_t i = 0; i < c->n_entries; i++) {
        const struct bench_peer *peer = c->entries[i].peer;
        if (peer && c->entries[i].crew == crew && !strcmp(peer->engine, "onednn") &&
            peer->form == form)
            return &c->entries[i];
    }
    return NULL;
}

enum bench_onednn_form bench_onednn_form_of(enum lac_dtype dtype)
{
    return lac_dtype_is_quantized(dtype) ? BENCH_ONEDNN_INT8
           : dtype == LAC_F32            ? BENCH_ONEDNN_F32
                                         : BENCH_ONEDNN_BF16;
}

const struct bench_contender *bench_entry_contender(const struct bench_comparison *c,
                                                    const struct bench_entry *entry)
{
    return &c->contenders[entry - c->entries];
}
