/* SPDX-License-Identifier: Apache-2.0 */
/* Other engines beside ours, each in a process of its own. */
#include "bench/peers.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/prune.h"
#include "src/base/checked.h"

static enum lac_status map_results(struct bench_peer *peer, size_t size, struct lac_error *error)
{
    void *y = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (y == MAP_FAILED)
        return lac_fail(error, LAC_E_MEMORY, "no memory for the results of %s", peer->engine);
    peer->y = y;
    peer->y_size = size;
    return LAC_OK;
}

enum lac_status bench_peer_onednn(struct bench_peer *peer, const struct bench_layer *layer,
                                  const struct bench_crew *crew, enum bench_onednn_form form,
                                  struct lac_error *error)
{
    static const struct {
        const char *dtype;
        size_t size;
    } forms[] = {[BENCH_ONEDNN_INT8] = {"int8", 1},
                 [BENCH_ONEDNN_INT8_VNNI] = {"int8", 1},
                 [BENCH_ONEDNN_BF16] = {"bf16", 2},
                 [BENCH_ONEDNN_F32] = {"fp32", 4}};
    size_t n_elements = layer->n_out * layer->n_in;
    *peer = (struct bench_peer){
        .engine = "onednn",
        .dtype = forms[form].dtype,
        .pattern = "dense",
        .n_nonzero = n_elements,
        .weight_bytes = n_elements * forms[form].size,
        .layer = layer,
        .form = form,
    };
    size_t y_size = layer->output == BENCH_OUTPUT_U8 ? 1 : 4;
    if (map_results(peer, layer->n_tokens * layer->n_out * y_size, error))
        return error->status;
    return bench_onednn_start(&peer->child, layer, crew, form, peer->y, error);
}

static size_t count_nonzero(const void *elements, size_t n, size_t size)
{
    size_t n_nonzero = 0;
    static const char zero[4];
    for (size_t i = 0; i < n; i++)
        n_nonzero += memcmp((const char *)elements + i * size, zero, size) != 0;
    return n_nonzero;
}

enum lac_status bench_peer_libxsmm(struct bench_peer *peer, struct bench_layer *layer,
                                   enum bench_libxsmm_form form, size_t block, double sparsity,
                                   uint64_t *random, struct lac_error *error)
{
    static const struct {
        const char *dtype;
        size_t size;
    } forms[] = {[BENCH_LIBXSMM_INT8] = {"int8", 1},
                 [BENCH_LIBXSMM_BF16] = {"bf16", 2},
                 [BENCH_LIBXSMM_F32] = {"fp32", 4},
                 [BENCH_LIBXSMM_BF16_SPMDM] = {"bf16", 2},
                 [BENCH_LIBXSMM_F32_SPMDM] = {"fp32", 4}};
    size_t n = layer->n_out * layer->n_in, size = form == BENCH_LIBXSMM_INT8 ? 1 : 4;
    void *elements = lac_arena_alloc(&layer->arena, n, size);
    *peer = (struct bench_peer){
        .engine = "libxsmm",
        .dtype = forms[form].dtype,
        .pattern = block == 1    ? "1x1"
                   : block == 16 ? "16x16"
                                 : "32x32",
        .sparsity = sparsity,
        .layer = layer,
    };
    if (!elements)
        return lac_fail(error, LAC_E_MEMORY, "no memory for libxsmm's weights");
    memcpy(elements, layer->elements, n * size);
    if (bench_prune(elements, layer->n_out, layer->n_in, size, block, block, sparsity, random,
                    error) ||
        map_results(peer, layer->n_tokens * layer->n_out * 4, error))
        return error->status;
    peer->n_nonzero = count_nonzero(elements, n, size);
    /* A block has two offsets of 8 bytes; a single element is an index of 2 bytes and an fp32. */
    peer->weight_bytes =
        block == 1 ? peer->n_nonzero * 6
                   : peer->n_nonzero * forms[form].size + peer->n_nonzero / (block * block) * 16;
    peer->job = (struct bench_libxsmm_job){layer, form, block, elements, peer->y};
    return bench_libxsmm_start(&peer->child, &peer->job, error);
}

void bench_peer_close(struct bench_peer *peer)
{
    bench_child_stop(&peer->child);
    if (peer->y)
        munmap(peer->y, peer->y_size);
    *peer = (struct bench_peer){0};
}

double bench_peer_sums_error(const struct bench_peer *peer)
{
    enum { TOKENS = 8 };
    const struct bench_libxsmm_job *job = &peer->job;
    const struct bench_layer *layer = job->layer;
    size_t k = layer->n_in;
    double most = 0;
    for (size_t t = 0; t < lac_min_size(TOKENS, layer->n_tokens); t++)
        for (size_t o = 0; o < layer->n_out; o++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++)
                sum += job->form == BENCH_LIBXSMM_INT8
                           ? ((const int8_t *)job->elements)[o * k + i] *
                                 ((const uint8_t *)layer->x)[t * k + i]
                           : (double)((const float *)job->elements)[o * k + i] *
                                 (double)((const float *)layer->x)[t * k + i];
            most = fmax(most, fabs(bench_libxsmm_value(job, o, t) - sum));
        }
    return most;
}
