/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions in config.json: rope_theta beside rope_scaling, or both in rope_parameters. */
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/model/config_parts.h"

enum { MAX_POSITIONS = 1 << 24 };

/* Beyond these a file is broken; thetas of 1e7 and factors of 160 are about the largest in use. */
static const double max_theta = 1e15, max_factor = 1 << 20;

static const struct {
    const char *name;
    enum lac_rope_kind kind;
} kinds[] = {
    {"default", LAC_ROPE_PLAIN}, {"linear", LAC_ROPE_LINEAR}, {"dynamic", LAC_ROPE_DYNAMIC},
    {"llama3", LAC_ROPE_LLAMA3}, {"yarn", LAC_ROPE_YARN},
};

static enum lac_status missing(const char *key, struct lac_error *error)
{
    return lac_fail(error, LAC_E_FORMAT, "%s is missing", key);
}

/* A number within bounds, both included; without a fallback (0) it must be there. */
static enum lac_status read_number(const json_t *object, const char *key, double fallback,
                                   double lowest, double highest, double *value,
                                   struct lac_error *error)
{
    enum lac_status status = lac_json_real(object, key, fallback, value, error);
    if (status)
        return status;
    const json_t *found = json_object_get(object, key);
    if ((!found || json_is_null(found)) && fallback == 0)
        return missing(key, error);
    if (!(*value >= lowest && *value <= highest))
        return lac_fail(error, LAC_E_FORMAT, "%s: %g is not between %g and %g", key, *value, lowest,
                        highest);
    return LAC_OK;
}

static enum lac_status read_factor(const json_t *object, double fallback, struct lac_rope *rope,
                                   struct lac_error *error)
{
    return read_number(object, "factor", fallback, 1, max_factor, &rope->factor, error);
}

static enum lac_status read_original(const json_t *object, size_t fallback, struct lac_rope *rope,
                                     struct lac_error *error)
{
    enum lac_status status = lac_json_size(object, "original_max_position_embeddings", fallback, 1,
                                           MAX_POSITIONS, &rope->original_positions, error);
    return !status && !rope->original_positions ? missing("original_max_position_embeddings", error)
                                                : status;
}

static enum lac_status read_llama3(const json_t *object, struct lac_rope *rope,
                                   struct lac_error *error)
{
    enum lac_status status = read_factor(object, 0, rope, error);
    if (!status)
        status = read_original(object, 0, rope, error);
    if (!status)
        status = read_number(object, "low_freq_factor", 0, 1e-6, max_factor, &rope->low_freq_factor,
                             error);
    if (!status)
        status = read_number(object, "high_freq_factor", 0, 1e-6, max_factor,
                             &rope->high_freq_factor, error);
    if (!status && !(rope->low_freq_factor < rope->high_freq_factor))
        return lac_fail(error, LAC_E_FORMAT, "high_freq_factor: %g is not over low_freq_factor, %g",
                        rope->high_freq_factor, rope->low_freq_factor);
    return status;
}

/* "0.1 ln(s) + 1" of the paper, with a weight for the logarithm. */
static double yarn_scale(double factor, double weight)
{
    return factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1;
}

static enum lac_status read_attention_factor(const json_t *object, struct lac_rope *rope,
                                             struct lac_error *error)
{
    double mscale = 0, mscale_all_dim = 0;
    enum lac_status status = lac_json_real(object, "mscale", 0, &mscale, error);
    if (!status)
        status = lac_json_real(object, "mscale_all_dim", 0, &mscale_all_dim, error);
    if (status)
        return status;
    double implied =
        mscale != 0 && mscale_all_dim != 0
            ? yarn_scale(rope->factor, mscale) / yarn_scale(rope->factor, mscale_all_dim)
            : yarn_scale(rope->factor, 1);
    if (!(implied >= 1e-6 && implied <= max_factor))
        return lac_fail(error, LAC_E_FORMAT, "mscale %g and mscale_all_dim %g make a factor of %g",
                        mscale, mscale_all_dim, implied);
    return read_number(object, "attention_factor", implied, 1e-6, max_factor,
                       &rope->attention_factor, error);
}

/* Without a factor it is how far the positions go beyond the original ones. */
static enum lac_status read_yarn(const json_t *object, const struct lac_config *config,
                                 struct lac_rope *rope, struct lac_error *error)
{
    bool truncate = true;
    enum lac_status status = read_original(object, config->max_positions, rope, error);
    double ratio = status ? 1 : (double)config->max_positions / (double)rope->original_positions;
    if (!status)
        status = read_factor(object, ratio, rope, error);
    if (!status)
        status = read_number(object, "beta_fast", 32, 1e-6, max_factor, &rope->beta_fast, error);
    if (!status)
        status = read_number(object, "beta_slow", 1, 1e-6, max_factor, &rope->beta_slow, error);
    if (!status)
        status = lac_json_bool(object, "truncate", true, &truncate, error);
    rope->truncate = truncate;
    if (!status && rope->beta_fast < rope->beta_slow)
        return lac_fail(error, LAC_E_FORMAT, "beta_fast: %g is less than beta_slow, %g",
                        rope->beta_fast, rope->beta_slow);
    return status ? status : read_attention_factor(object, rope, error);
}

static enum lac_status read_scaling(const json_t *object, const struct lac_config *config,
                                    struct lac_rope *rope, struct lac_error *error)
{
    switch (rope->kind) {
    case LAC_ROPE_LINEAR:
        return read_factor(object, 0, rope, error);
    case LAC_ROPE_DYNAMIC: {
        enum lac_status status = read_original(object, config->max_positions, rope, error);
        return status ? status : read_factor(object, 0, rope, error);
    }
    case LAC_ROPE_LLAMA3:
        return read_llama3(object, rope, error);
    case LAC_ROPE_YARN:
        return read_yarn(object, config, rope, error);
    default:
        return LAC_OK;
    }
}

/* "rope_type", or "type" as it was called before. */
static enum lac_status read_kind(const json_t *object, const char *fallback, struct lac_rope *rope,
                                 struct lac_error *error)
{
    const char *name = NULL, *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_object(value))
            return lac_fail(error, LAC_E_UNSUPPORTED,
                            "%.100s: positions that differ between layers cannot be run", key);
    }
    enum lac_status status = lac_json_string(object, "type", fallback, &name, error);
    if (!status)
        status = lac_json_string(object, "rope_type", name, &name, error);
    if (status)
        return status;
    if (!name)
        return missing("rope_type", error);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(name, kinds[i].name)) {
            rope->kind = kinds[i].kind;
            return LAC_OK;
        }
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "rope_type \"%.100s\" cannot be run (default, linear, dynamic, llama3 and "
                    "yarn can)",
                    name);
}

static enum lac_status check_partial(const json_t *object, struct lac_error *error)
{
    double share = 1;
    enum lac_status status = lac_json_real(object, "partial_rotary_factor", 1, &share, error);
    if (!status && share != 1)
        return lac_fail(error, LAC_E_UNSUPPORTED, "partial_rotary_factor: %g cannot be run", share);
    return status;
}

/* Divisors that a GGUF file has in a tensor. */
static enum lac_status read_divisors(const json_t *root, struct lac_arena *arena,
                                     struct lac_config *config, struct lac_error *error)
{
    static const char key[] = "lacuna_rope_divisors";
    const json_t *list = json_object_get(root, key);
    size_t n = config->head_dim / 2;
    if (!list || json_is_null(list))
        return LAC_OK;
    if (config->rope.kind != LAC_ROPE_PLAIN)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s beside a rope_type cannot be run", key);
    if (!json_is_array(list) || json_array_size(list) != n)
        return lac_fail(error, LAC_E_FORMAT,
                        "%s: expected an array of %zu numbers, found %s of %zu", key, n,
                        lac_json_kind(list), json_array_size(list));
    float *divisors = lac_arena_alloc(arena, n, sizeof *divisors);
    if (!divisors)
        return lac_config_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        double value = json_number_value(json_array_get(list, i));
        if (!(value >= 1e-6 && value <= max_factor))
            return lac_fail(error, LAC_E_FORMAT, "%s: %zu: %g is not between 1e-6 and %g", key, i,
                            value, max_factor);
        divisors[i] = (float)value;
    }
    config->rope.kind = LAC_ROPE_DIVISORS;
    config->rope.divisors = divisors;
    return LAC_OK;
}

enum lac_status lac_config_read_rope(const json_t *root, struct lac_arena *arena,
                                     struct lac_config *config, struct lac_error *error)
{
    struct lac_rope *rope = &config->rope;
    const char *key = "rope_parameters";
    const json_t *object = json_object_get(root, key);
    bool is_new = object && !json_is_null(object);
    if (!is_new)
        object = json_object_get(root, key = "rope_scaling");
    *rope = (struct lac_rope){.factor = 1, .attention_factor = 1};
    enum lac_status status =
        read_number(root, "rope_theta", 10000, 1e-6, max_theta, &rope->theta, error);
    if (!status)
        status = check_partial(root, error);
    if (status)
        return status;
    if (object && !json_is_null(object)) {
        if (!json_is_object(object))
            return lac_fail(error, LAC_E_FORMAT, "%s: expected an object, found %s", key,
                            lac_json_kind(object));
        status =
            read_number(object, "rope_theta", rope->theta, 1e-6, max_theta, &rope->theta, error);
        if (!status)
            status = check_partial(object, error);
        if (!status)
            status = read_kind(object, is_new ? "default" : NULL, rope, error);
        if (!status)
            status = read_scaling(object, config, rope, error);
        if (status)
            return lac_fail_in(error, status, "%s", key);
    }
    return read_divisors(root, arena, config, error);
}
