/* SPDX-License-Identifier: Apache-2.0 */
/* What an attention plan says of how it came to be. */
#include <math.h>

#include "src/run/sight_plan.h"

enum { MOST_TOKENS = 1 << 30 };

static bool is_amount(const json_t *json)
{
    return json_is_number(json) && json_number_value(json) >= 0 &&
           isfinite(json_number_value(json));
}

/* A number for each head of each layer. */
static enum lac_status check_table(const json_t *measured, const char *key,
                                   const struct lac_sight_plan *plan, struct lac_error *error)
{
    const json_t *table = json_object_get(measured, key);
    if (!table)
        return LAC_OK;
    if (json_array_size(table) != plan->n_layers)
        return lac_fail(error, LAC_E_FORMAT, "%s: expected a list for each of %zu layers", key,
                        plan->n_layers);
    for (size_t i = 0; i < plan->n_layers; i++) {
        const json_t *row = json_array_get(table, i);
        bool good = json_array_size(row) == plan->n_heads;
        for (size_t head = 0; good && head < plan->n_heads; head++)
            good = is_amount(json_array_get(row, head));
        if (!good)
            return lac_fail(error, LAC_E_FORMAT,
                            "%s: layer %zu: expected a number, 0 or more, for each of %zu heads",
                            key, i, plan->n_heads);
    }
    return LAC_OK;
}

enum lac_status lac_sight_plan_check_measured(const json_t *measured,
                                              const struct lac_sight_plan *plan,
                                              struct lac_error *error)
{
    static const char *const sizes[] = {"tokens", "window"};
    static const char *const amounts[] = {"density", "error", "perplexity", "full_perplexity"};
    static const char *const tables[] = {"head_density", "head_error", "head_worst"};
    enum lac_status status = LAC_OK;
    size_t size;
    if (!json_is_object(measured))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s",
                        lac_json_kind(measured));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !status; i++)
        status = lac_json_size(measured, sizes[i], 0, 0, MOST_TOKENS, &size, error);
    for (size_t i = 0; i < sizeof amounts / sizeof *amounts && !status; i++) {
        const json_t *amount = json_object_get(measured, amounts[i]);
        if (amount && !is_amount(amount))
            status = lac_fail(error, LAC_E_FORMAT, "%s: expected a number, 0 or more", amounts[i]);
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !status; i++)
        status = check_table(measured, tables[i], plan, error);
    return status;
}
