/* SPDX-License-Identifier: Apache-2.0 */
/* The features of a head that say most of its scores: LAC_KV_CHANNELS.
 *
 * A token's query and key are W_q x and W_k x of an x that a norm has scaled, so the size of
 * feature i of either is about that of row i of g W, g being the norm's gains, and its part in
 * q . k is about the product of both.  Rotary positions mix features i and i + head_dim / 2, which
 * then count as one pair.  Found from weights alone, the same for all texts. */
#include "src/run/kv_channels.h"

#include "simd/attention.h"
#include "src/base/half.h"

static double element(const struct lac_weight *w, const void *elements, size_t i)
{
    switch (w->dtype) {
    case LAC_S8:
    case LAC_S4:
        return ((const int8_t *)elements)[i];
    case LAC_BF16:
        return (double)lac_bf16_to_f32(((const uint16_t *)elements)[i]);
    case LAC_F16:
        return (double)lac_f16_to_f32(((const uint16_t *)elements)[i]);
    default:
        return (double)((const float *)elements)[i];
    }
}

/* size[o] = (g W)_o squared, with the bias. */
static enum lac_status measure_rows(const struct lac_host *host, const struct lac_linear *linear,
                                    const float *gamma, double *size, struct lac_error *error)
{
    const struct lac_weight *w = &linear->weight;
    void *elements = lac_alloc(host, w->n_out * w->n_in, lac_element_bytes(w->dtype));
    if (!elements)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a copy of %zu x %zu weights", w->n_out,
                        w->n_in);
    lac_weight_unpack(w, elements);
    for (size_t o = 0; o < w->n_out; o++) {
        double sum = 0, scale = w->scale ? (double)w->scale[o] : 1;
        for (size_t i = 0; i < w->n_in; i++) {
            double x = element(w, elements, o * w->n_in + i) * scale * (double)gamma[i];
            sum += x * x;
        }
        size[o] = sum + (double)w->bias[o] * (double)w->bias[o];
    }
    lac_free(host, elements);
    return LAC_OK;
}

/* Of a head, its queries' sizes added over those that share the key. */
static void find_channels(const struct lac_config *config, const double *q, const double *k,
                          size_t n_channels, uint8_t *channels)
{
    size_t n = config->head_dim, group = config->n_heads / config->n_kv_heads, half = n / 2;
    double size[LAC_MAX_HEAD_DIM];
    for (size_t f = 0; f < n; f++) {
        size_t other = f;
        double queries = 0;
        if (config->position_kind == LAC_POSITION_ROPE)
            other = f < half ? f + half : f < 2 * half ? f - half : f;
        for (size_t i = 0; i < group; i++)
            queries += q[i * n + f] + q[i * n + other];
        size[f] = queries * (k[f] + k[other]);
    }
    for (size_t i = 0; i < n_channels; i++) {
        size_t best = 0;
        for (size_t f = 1; f < n; f++)
            best = size[f] > size[best] ? f : best;
        channels[i] = (uint8_t)best;
        size[best] = -1;
    }
}

enum lac_status lac_kv_find_channels(struct lac_kv_rules *rules, const struct lac_network *network,
                                     struct lac_error *error)
{
    const struct lac_config *config = &network->config;
    size_t group = config->n_heads / config->n_kv_heads, n_q = lac_query_size(config);
    enum lac_status status = LAC_OK;
    if (!rules || !rules->n_channels)
        return LAC_OK;
    double *size = lac_alloc(network->host, n_q + lac_key_size(config), sizeof *size);
    if (!size)
        return lac_fail(error, LAC_E_MEMORY, "no memory for the sizes of %zu features", n_q);
    for (size_t i = 0; i < config->n_layers && !status; i++) {
        const struct lac_layer *layer = &network->layers[i];
        const float *gamma = layer->attention_norm.gamma;
        status = measure_rows(network->host, &layer->query, gamma, size, error);
        if (!status)
            status = measure_rows(network->host, &layer->key, gamma, size + n_q, error);
        for (size_t head = 0; head < config->n_kv_heads && !status; head++)
            find_channels(config, size + head * group * config->head_dim,
                          size + n_q + head * config->head_dim, rules->n_channels,
                          rules->of[i * config->n_kv_heads + head].channels);
    }
    lac_free(network->host, size);
    return status;
}
