/* SPDX-License-Identifier: Apache-2.0 */
/* config.json's quantization_config, as compressed-tensors writes it. */
#include "src/model/quantization.h"

#include <string.h>

#include "src/base/json.h"

static bool is_one_of(const char *text, const char *const *names)
{
    while (*names && strcmp(text, *names))
        names++;
    return *names != NULL;
}

static enum lac_status check_word(const json_t *object, const char *key, const char *const *allowed,
                                  struct lac_error *error)
{
    const char *word = NULL;
    enum lac_status status = lac_json_string(object, key, NULL, &word, error);
    if (!status && word && !is_one_of(word, allowed))
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s \"%.100s\" cannot be read", key, word);
    return status;
}

/* An absent or null member gives NULL. */
static enum lac_status get_object(const json_t *object, const char *key, json_t **member,
                                  struct lac_error *error)
{
    json_t *found = json_object_get(object, key);
    *member = json_is_null(found) ? NULL : found;
    if (*member && !json_is_object(*member))
        return lac_fail(error, LAC_E_FORMAT, "%s: expected an object, found %s", key,
                        lac_json_kind(*member));
    return LAC_OK;
}

static enum lac_status check_weights(const json_t *weights, struct lac_error *error)
{
    static const char *const types[] = {"int", NULL};
    static const char *const strategies[] = {"tensor", "channel", "group", NULL};
    int64_t bits = 8;
    bool symmetric = true;
    enum lac_status status = check_word(weights, "type", types, error);
    if (!status)
        status = check_word(weights, "strategy", strategies, error);
    if (!status)
        status = lac_json_int(weights, "num_bits", 8, &bits, error);
    if (!status)
        status = lac_json_bool(weights, "symmetric", true, &symmetric, error);
    if (!status && bits != 8 && bits != 4)
        status = lac_fail(error, LAC_E_UNSUPPORTED, "num_bits %lld cannot be read (4 and 8 can)",
                          (long long)bits);
    if (!status && !symmetric)
        status = lac_fail(error, LAC_E_UNSUPPORTED, "asymmetric weights cannot be read");
    return status;
}

static const char *const formats[] = {
    "dense", "int-quantized", "pack-quantized", "sparse-bitmask", "sparse-24-bitmask", NULL,
};

static enum lac_status check_group(const json_t *group, struct lac_error *error)
{
    json_t *weights = NULL;
    if (!json_is_object(group))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(group));
    enum lac_status status = check_word(group, "format", formats, error);
    if (!status)
        status = get_object(group, "weights", &weights, error);
    if (!status && weights)
        status = check_weights(weights, error);
    return status;
}

static enum lac_status check_groups(const json_t *quantization, struct lac_error *error)
{
    json_t *groups = NULL, *group;
    const char *name;
    enum lac_status status = get_object(quantization, "config_groups", &groups, error);
    if (status || !groups)
        return status;
    json_object_foreach(groups, name, group)
    {
        status = check_group(group, error);
        if (status)
            return lac_fail_in(error, status, "config_groups.%.100s", name);
    }
    return LAC_OK;
}

static enum lac_status check_quantization(const json_t *quantization, struct lac_error *error)
{
    static const char *const methods[] = {"compressed-tensors", NULL};
    json_t *sparsity = NULL;
    enum lac_status status = check_word(quantization, "quant_method", methods, error);
    if (!status)
        status = check_word(quantization, "format", formats, error);
    if (!status)
        status = check_groups(quantization, error);
    if (!status)
        status = get_object(quantization, "sparsity_config", &sparsity, error);
    if (!status && sparsity) {
        status = check_word(sparsity, "format", formats, error);
        if (status)
            lac_fail_in(error, status, "sparsity_config");
    }
    return status;
}

enum lac_status lac_quantization_check(const json_t *config, struct lac_error *error)
{
    /* compression_config is the older name. */
    static const char *const keys[] = {"quantization_config", "compression_config"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *quantization = NULL;
        enum lac_status status = get_object(config, keys[i], &quantization, error);
        if (status)
            return status;
        if (!quantization)
            continue;
        status = check_quantization(quantization, error);
        if (status)
            return lac_fail_in(error, status, "%s", keys[i]);
    }
    return LAC_OK;
}
