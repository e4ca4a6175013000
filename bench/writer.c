/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that a decoder reads or goes on with. */
#include "bench/writer.h"

#include "bench/harness.h"
#include "src/base/checked.h"
#include "src/sys/clock.h"

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for texts");
}

/* ---- The context: random keys and values, the same in every page ---- */

/* Writes n keys into a page. */
static void fill_page(const struct bench_writer *w, const float *panel, size_t n, void *page)
{
    const struct lac_kv_shape *shape = &w->kv->shape;
    struct lac_kv_segment segment = {
        .k = panel,
        .v = panel + shape->head_dim * LAC_LANES,
        .k_ld = LAC_LANES,
        .v_ld = LAC_LANES,
        .v_step = 1,
        .n_keys = n,
    };
    struct lac_kv_pages_args args = {
        .segments = &segment,
        .n_segments = 1,
        .head_dim = shape->head_dim,
        .pages = &page,
    };
    w->decoder.network->kernels.kv_pages[shape->dtype]->run.kv_pages(&args);
}

static enum lac_status fill_context(struct bench_writer *w, struct lac_kv *kv, uint64_t *random,
                                    struct lac_error *error)
{
    size_t n_keys = w->work.context, n = 2 * kv->shape.head_dim * LAC_LANES;
    enum lac_status status = lac_kv_reserve(kv, n_keys, error);
    if (status)
        return status;
    float *panel = lac_arena_alloc(&w->arena, n, sizeof *panel);
    if (!panel)
        return no_memory(error);
    for (size_t i = 0; i < n; i++)
        panel[i] = bench_random_float(random);
    for (size_t layer = 0; layer < kv->shape.n_layers; layer++)
        for (size_t head = 0; head < kv->shape.n_heads; head++) {
            void **pages = lac_kv_head(kv, layer, head);
            for (size_t key = 0; key < n_keys; key += LAC_LANES)
                fill_page(w, panel, lac_min_size(n_keys - key, LAC_LANES), pages[key / LAC_LANES]);
        }
    kv->n_keys = n_keys;
    return LAC_OK;
}

/* ---- Cores ---- */

/* What texts count is by chance: any neurons are as quick to read as others. */
static enum lac_status fill_core(struct bench_writer *w, size_t i, uint64_t *random,
                                 struct lac_error *error)
{
    const struct lac_config *config = &w->decoder.network->config;
    struct lac_usage *usage = &w->usage[i];
    lac_usage_init(usage, &lac_default_host, w->decoder.network);
    if (lac_usage_reserve(usage, error))
        return error->status;
    for (size_t k = 0; k < config->n_layers * config->intermediate_size; k++)
        usage->counts[k] = (uint32_t)bench_random_below(random, 1000);
    usage->n_counted = 1;
    uint64_t begin = lac_clock_ns();
    enum lac_status status = lac_usage_choose(usage, w->work.core, error);
    if (!i)
        w->core_ns = (double)(lac_clock_ns() - begin);
    w->texts[i].usage = usage;
    return status;
}

static size_t layer_core_bytes(const struct bench_writer *w, size_t layer)
{
    size_t n_bytes = 0;
    for (size_t i = 0; w->usage && i < w->work.n_texts; i++)
        n_bytes += w->usage[i].core->layers[layer].n_bytes;
    return n_bytes;
}

double bench_writer_core_bytes(const struct bench_writer *w)
{
    double n_bytes = 0;
    for (size_t i = 0; i < w->decoder.network->config.n_layers; i++)
        n_bytes += (double)layer_core_bytes(w, i);
    return n_bytes;
}

struct bench_spared bench_writer_spared(const struct bench_writer *w)
{
    struct bench_spared spared = {0, 0};
    const struct lac_network *network = w->decoder.network;
    for (size_t i = 0; w->usage && i < network->config.n_layers; i++) {
        const struct lac_layer *layer = &network->layers[i];
        const struct lac_linear *const linears[] = {&layer->gate, &layer->up, &layer->down};
        size_t n_whole = 0, n_core = layer_core_bytes(w, i);
        for (size_t k = 0; k < 3; k++)
            n_whole += lac_weight_bytes(&linears[k]->weight);
        if (!n_core || n_core >= n_whole)
            continue;
        spared.n_bytes += (double)(n_whole - n_core);
        for (size_t k = 0; k < 3; k++) {
            const struct lac_weight *weight = &linears[k]->weight;
            double n_nonzero = (double)(weight->n_out * weight->n_in - linears[k]->n_zeros);
            spared.n_nonzero += n_nonzero * (1 - w->work.core);
        }
    }
    return spared;
}

/* ---- Texts ---- */

static enum lac_status open_text(struct bench_writer *w, size_t i, uint64_t *random,
                                 struct lac_error *error)
{
    const struct lac_network *network = w->decoder.network;
    size_t n = w->work.prompt ? w->work.prompt : 1;
    struct lac_kv_shape shape = lac_decoder_kv_shape(network, w->work.kv_dtype);
    int32_t *ids = w->ids + i * n;
    lac_kv_init(&w->kv[i], &lac_default_host, &shape);
    w->next[i] = (struct lac_next){.n_top = 1, .target = -1};
    w->texts[i] = (struct lac_step_text){
        .kv = &w->kv[i], .ids = ids, .n_tokens = n, .next = &w->next[i], .n_next = 1};
    for (size_t k = 0; k < n; k++)
        ids[k] = (int32_t)bench_random_below(random, network->config.vocab_size);
    enum lac_status status = w->usage ? fill_core(w, i, random, error) : LAC_OK;
    return status || w->work.prompt ? status : fill_context(w, &w->kv[i], random, error);
}

enum lac_status bench_writer_open(struct bench_writer *w, const struct lac_network *network,
                                  struct lac_pool *pool, const struct bench_work *work,
                                  uint64_t *random, struct lac_error *error)
{
    size_t n = work->n_texts;
    *w = (struct bench_writer){.work = *work, .arena = {.host = &lac_default_host}};
    w->texts = lac_arena_alloc_zero(&w->arena, n, sizeof *w->texts);
    w->next = lac_arena_alloc_zero(&w->arena, n, sizeof *w->next);
    w->ids = lac_arena_alloc(&w->arena, n * (work->prompt ? work->prompt : 1), sizeof *w->ids);
    w->kv = lac_arena_alloc_zero(&w->arena, n, sizeof *w->kv);
    if (work->core < 1)
        w->usage = lac_arena_alloc_zero(&w->arena, n, sizeof *w->usage);
    w->activations.policy =
        (struct lac_activations_policy){.rule = LAC_ACTIVATIONS_CORE, .core_share = work->core};
    if (!w->texts || !w->next || !w->ids || !w->kv || (work->core < 1 && !w->usage))
        return no_memory(error);
    const struct lac_decoder_options options = {
        .batch_tokens = network->batch_tokens,
        .activations = w->usage ? &w->activations : NULL,
    };
    enum lac_status status =
        lac_decoder_open(&w->decoder, &lac_default_host, network, pool, &options, error);
    for (size_t i = 0; i < n && !status; i++)
        status = open_text(w, i, random, error);
    return status;
}

void bench_writer_close(struct bench_writer *w)
{
    for (size_t i = 0; w->kv && i < w->work.n_texts; i++)
        if (w->kv[i].host)
            lac_kv_clear(&w->kv[i]);
    for (size_t i = 0; w->usage && i < w->work.n_texts; i++)
        if (w->usage[i].host)
            lac_usage_clear(&w->usage[i]);
    if (w->decoder.host)
        lac_decoder_close(&w->decoder);
    if (w->arena.host)
        lac_arena_clear(&w->arena);
    *w = (struct bench_writer){0};
}

void bench_writer_rewind(struct bench_writer *w)
{
    for (size_t i = 0; i < w->work.n_texts; i++) {
        struct lac_kv *kv = &w->kv[i];
        if (w->work.prompt)
            lac_kv_truncate(kv, 0);
        else if (kv->n_keys > w->work.context) {
            w->ids[i] = w->next[i].top[0].id;
            if (kv->n_keys >= w->work.context + LAC_LANES)
                lac_kv_truncate(kv, w->work.context);
        }
        w->texts[i].n_text = kv->n_keys + w->texts[i].n_tokens;
    }
}

void bench_writer_step(struct bench_writer *w)
{
    struct lac_error ignored;
    w->failed |=
        lac_decoder_run(&w->decoder, w->texts, w->work.n_texts, NULL, NULL, &ignored) != LAC_OK;
}

size_t bench_work_tokens(const struct bench_work *work)
{
    return work->n_texts * (work->prompt ? work->prompt : 1);
}

double bench_writer_kv_bytes(const struct bench_writer *w)
{
    const struct lac_kv_shape *shape = &w->kv->shape;
    double page = (double)lac_kv_page_bytes(shape->dtype, shape->head_dim);
    return (double)(w->work.n_texts * shape->n_layers * shape->n_heads * w->work.context) * page /
           LAC_LANES;
}
