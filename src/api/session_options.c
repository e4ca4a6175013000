/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of sessions. */
#include <string.h>

#include "src/api/session.h"

enum lac_status lac_session_options_new(struct lac_session_options **options)
{
    if (!options)
        return LAC_E_ARGUMENT;
    struct lac_session_options *o = lac_alloc_zero(&lac_default_host, 1, sizeof *o);
    if (!o)
        return LAC_E_MEMORY;
    *options = o;
    return LAC_OK;
}

void lac_session_options_free(struct lac_session_options *options)
{
    if (options) {
        lac_stops_close(&options->generation.stops);
        lac_kv_policy_clear(&lac_default_host, &options->generation.kv_policy);
        lac_activations_policy_clear(&lac_default_host, &options->generation.activations);
        lac_attention_text_clear(&lac_default_host, &options->generation.attention);
    }
    lac_free(&lac_default_host, options);
}

void lac_session_options_set_task(struct lac_session_options *options, enum lac_task task)
{
    options->task = task;
}

void lac_session_options_set_batch_tokens(struct lac_session_options *options, size_t n_tokens)
{
    options->batch_tokens = n_tokens;
}

void lac_session_options_set_pooling(struct lac_session_options *options, enum lac_pooling pooling,
                                     enum lac_normalize normalize)
{
    options->pooling = pooling;
    options->normalize = normalize;
}

void lac_session_options_set_truncate(struct lac_session_options *options,
                                      enum lac_truncate truncate)
{
    options->truncate = truncate;
}

/* ---- Attention ---- */

enum lac_status lac_attention_text_copy(const struct lac_host *host,
                                        const struct lac_attention_text *from,
                                        struct lac_attention_text *copy, struct lac_error *error)
{
    *copy = (struct lac_attention_text){0};
    if (!from->text)
        return LAC_OK;
    copy->text = lac_alloc(host, from->size, 1);
    if (!copy->text)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a plan of %zu bytes", from->size);
    memcpy(copy->text, from->text, from->size);
    copy->size = from->size;
    return LAC_OK;
}

void lac_attention_text_clear(const struct lac_host *host, struct lac_attention_text *text)
{
    lac_free(host, text->text);
    *text = (struct lac_attention_text){0};
}

enum lac_status lac_session_options_set_attention(struct lac_session_options *options,
                                                  const char *plan, size_t size)
{
    const struct lac_attention_text given = {(char *)plan, size};
    struct lac_attention_text made;
    enum lac_status status = lac_attention_text_copy(&lac_default_host, &given, &made, NULL);
    if (status)
        return status;
    lac_attention_text_clear(&lac_default_host, &options->generation.attention);
    options->generation.attention = made;
    return LAC_OK;
}

/* ---- Generation ---- */

void lac_session_options_set_sampling(struct lac_session_options *options,
                                      const struct lac_sampling *sampling)
{
    options->generation.sampling = *sampling;
}

void lac_session_options_set_max_new_tokens(struct lac_session_options *options, size_t n_tokens)
{
    options->generation.max_new_tokens = n_tokens;
}

enum lac_status lac_session_options_set_stops(struct lac_session_options *options,
                                              const char *const *stops, size_t n_stops)
{
    struct lac_stops made;
    enum lac_status status = lac_stops_open(&made, &lac_default_host, stops, n_stops, NULL);
    if (status)
        return status;
    lac_stops_close(&options->generation.stops);
    options->generation.stops = made;
    return LAC_OK;
}

void lac_session_options_set_kv_dtype(struct lac_session_options *options, enum lac_dtype dtype)
{
    options->generation.kv_dtype = dtype;
}

enum lac_status lac_session_options_set_kv_policy(struct lac_session_options *options,
                                                  const struct lac_kv_policy *policy)
{
    struct lac_kv_policy made;
    enum lac_status status = lac_kv_policy_copy(&lac_default_host, policy, &made, NULL);
    if (status)
        return status;
    lac_kv_policy_clear(&lac_default_host, &options->generation.kv_policy);
    options->generation.kv_policy = made;
    return LAC_OK;
}

void lac_session_options_set_log_probabilities(struct lac_session_options *options,
                                               enum lac_log_probabilities log_probabilities)
{
    options->generation.log_probabilities = log_probabilities;
}

void lac_session_options_set_speculation(struct lac_session_options *options, size_t n_tokens)
{
    options->generation.n_speculated = n_tokens;
}

void lac_session_options_set_draft(struct lac_session_options *options, struct lac_model *draft)
{
    options->generation.draft = draft;
}

enum lac_status lac_session_options_set_activations(struct lac_session_options *options,
                                                    const struct lac_activations_policy *policy)
{
    struct lac_activations_policy made;
    enum lac_status status = lac_activations_policy_copy(&lac_default_host, policy, &made, NULL);
    if (status)
        return status;
    lac_activations_policy_clear(&lac_default_host, &options->generation.activations);
    options->generation.activations = made;
    return LAC_OK;
}
