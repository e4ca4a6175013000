/* SPDX-License-Identifier: Apache-2.0 */
/* --kv: what caches keep. */
#include "src/cli/kv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/command.h"

/* Of heads that do not retrieve, unless the file says otherwise: what DuoAttention was measured
 * with. */
enum { DUO_SINKS = 64, DUO_WINDOW = 256 };

/* The number that the text begins with; *end is behind it. */
static bool read_number(const char *text, const char **end, size_t *value)
{
    size_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && n <= LAC_KV_MOST; p++)
        n = n * 10 + (size_t)(*p - '0');
    *end = p;
    *value = n;
    return p > text && n <= LAC_KV_MOST;
}

static bool parse_stream(const char *text, struct lac_kv_policy *policy)
{
    const char *end;
    *policy = (struct lac_kv_policy){.kind = LAC_KV_STREAM};
    if (!read_number(text, &end, &policy->n_sinks) || *end++ != '+' ||
        !read_number(end, &end, &policy->n_window) || !policy->n_window)
        return false;
    policy->rest = strcmp(end, "/mean") ? LAC_KV_FORGET : LAC_KV_MEAN;
    return !*end || policy->rest == LAC_KV_MEAN;
}

static bool read_size(const json_t *root, const char *key, size_t usual, size_t *value)
{
    const json_t *number = json_object_get(root, key);
    json_int_t n = number ? json_integer_value(number) : (json_int_t)usual;
    *value = (size_t)n;
    return (!number || json_is_integer(number)) && n >= 0 && n <= LAC_KV_MOST;
}

static size_t count_heads(const json_t *layers)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(layers); i++)
        n += json_array_size(json_array_get(layers, i));
    return n;
}

static bool read_heads(const json_t *layers, struct lac_kv_policy *policy)
{
    struct lac_kv_head *heads = calloc(count_heads(layers) + 1, sizeof *heads);
    policy->full_heads = heads;
    if (!heads || !json_is_array(layers))
        return false;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        if (!json_is_array(layer))
            return false;
        for (size_t k = 0; k < json_array_size(layer); k++) {
            const json_t *head = json_array_get(layer, k);
            if (!json_is_integer(head) || json_integer_value(head) < 0)
                return false;
            heads[policy->n_full_heads++] =
                (struct lac_kv_head){i, (size_t)json_integer_value(head)};
        }
    }
    return true;
}

/* Is "rest" there, it is "mean". */
static bool read_rest(const json_t *root, struct lac_kv_policy *policy)
{
    const json_t *rest = json_object_get(root, "rest");
    policy->rest = rest ? LAC_KV_MEAN : LAC_KV_FORGET;
    return !rest || (json_is_string(rest) && !strcmp(json_string_value(rest), "mean"));
}

/* {"retrieval_heads": [[0, 3], [], ...], "sinks": 64, "window": 256, "rest": "mean"} */
static bool read_duo(const char *path, struct lac_kv_policy *policy)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    *policy = (struct lac_kv_policy){.kind = LAC_KV_STREAM};
    bool good = root && read_size(root, "sinks", DUO_SINKS, &policy->n_sinks) &&
                read_size(root, "window", DUO_WINDOW, &policy->n_window) &&
                read_rest(root, policy) &&
                read_heads(json_object_get(root, "retrieval_heads"), policy);
    if (!root)
        complain("--kv: %s: line %d: %s", path, error.line, error.text);
    else if (!good)
        complain("--kv: %s: expected {\"retrieval_heads\": [[key/value heads], one list a layer], "
                 "\"sinks\": number, \"window\": number, \"rest\": \"mean\"}",
                 path);
    json_decref(root);
    return good;
}

/* One budget for all layers, or with commas one for each; *end is behind them. */
static bool read_budgets(const char *text, const char **end, struct lac_kv_policy *policy)
{
    size_t n = 1;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    size_t *budgets = calloc(n, sizeof *budgets);
    policy->layer_budgets = budgets;
    for (size_t i = 0; budgets && i < n; i++, text++) {
        if (!read_number(text, &text, &budgets[i]) || (i + 1 < n && *text != ','))
            return false;
        *end = text;
    }
    if (!budgets)
        return false;
    policy->n_budget = budgets[0];
    policy->n_layer_budgets = n > 1 ? n : 0;
    return true;
}

static bool parse_snap(const char *text, struct lac_kv_policy *policy)
{
    const char *end;
    *policy = (struct lac_kv_policy){.kind = LAC_KV_SNAP};
    return read_budgets(text, &end, policy) && !*end;
}

/* One number, the mean of the layers. */
static bool parse_prefix(const char *text, struct lac_kv_policy *policy)
{
    bool good = parse_snap(text, policy) && !policy->n_layer_budgets;
    policy->deal = LAC_KV_BY_MASS;
    return good;
}

/* Budgets of which half is for the last keys, or HEAVY+LAST; then perhaps "/" and how many of a
 * prompt's tokens vote. */
static bool parse_heavy(const char *text, struct lac_kv_policy *policy)
{
    const char *end;
    *policy = (struct lac_kv_policy){.kind = LAC_KV_HEAVY};
    if (!read_budgets(text, &end, policy))
        return false;
    if (*end == '+' && !policy->n_layer_budgets) {
        if (!read_number(end + 1, &end, &policy->n_window) || !policy->n_window)
            return false;
        policy->n_budget += policy->n_window;
    }
    if (*end == '/' && (!read_number(end + 1, &end, &policy->n_observed) || !policy->n_observed))
        return false;
    return !*end;
}

/* A share, then perhaps "/" and how many of a prompt's tokens decide. */
static bool parse_share(const char *text, struct lac_kv_policy *policy)
{
    char *end;
    const char *rest;
    if (!strchr("0123456789.", *text))
        return false;
    policy->share = strtod(text, &end);
    rest = end;
    if (*rest == '/' && (!read_number(rest + 1, &rest, &policy->n_observed) || !policy->n_observed))
        return false;
    return rest > text && !*rest && policy->share > 0 && policy->share <= 1;
}

static bool parse_thin(const char *text, struct lac_kv_policy *policy)
{
    *policy = (struct lac_kv_policy){.kind = LAC_KV_THIN};
    return parse_share(text, policy);
}

static bool parse_zip(const char *text, struct lac_kv_policy *policy)
{
    *policy = (struct lac_kv_policy){.kind = LAC_KV_ZIP};
    return parse_share(text, policy);
}

/* Budgets, or 1/N: one key of so many. */
static bool parse_choice(const char *text, struct lac_kv_policy *policy)
{
    const char *end;
    if (strncmp(text, "1/", 2))
        return read_budgets(text, &end, policy) && !*end;
    return read_number(text + 2, &end, &policy->n_part) && !*end && policy->n_part;
}

static bool parse_quest(const char *text, struct lac_kv_policy *policy)
{
    *policy = (struct lac_kv_policy){.kind = LAC_KV_QUEST};
    return parse_choice(text, policy);
}

static bool parse_channels(const char *text, struct lac_kv_policy *policy)
{
    *policy = (struct lac_kv_policy){.kind = LAC_KV_CHANNELS};
    return parse_choice(text, policy);
}

/* SINKS+WINDOW+BUDGET. */
static bool parse_memory(const char *text, struct lac_kv_policy *policy)
{
    const char *end;
    *policy = (struct lac_kv_policy){.kind = LAC_KV_MEMORY};
    return read_number(text, &end, &policy->n_sinks) && *end == '+' &&
           read_number(end + 1, &end, &policy->n_window) && *end == '+' &&
           read_number(end + 1, &end, &policy->n_budget) && !*end && policy->n_window &&
           policy->n_budget;
}

static const struct policy_name {
    const char *name;
    bool (*parse)(const char *text, struct lac_kv_policy *policy);
} names[] = {
    {"stream:", parse_stream}, {"snap:", parse_snap},   {"prefix:", parse_prefix},
    {"heavy:", parse_heavy},   {"quest:", parse_quest}, {"channels:", parse_channels},
    {"thin:", parse_thin},     {"zip:", parse_zip},     {"memory:", parse_memory},
};

bool kv_parse(const char *text, struct lac_kv_policy *policy)
{
    *policy = (struct lac_kv_policy){0};
    if (!text || !strcmp(text, "full"))
        return true;
    if (!strncmp(text, "duo:", 4))
        return read_duo(text + 4, policy);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i].name);
        if (!strncmp(text, names[i].name, n) && names[i].parse(text + n, policy))
            return true;
    }
    complain("--kv: '%s' is none of full, stream:SINKS+WINDOW[/mean], duo:FILE, snap:BUDGET, "
             "prefix:BUDGET, heavy:BUDGET, thin:SHARE, zip:SHARE, quest:BUDGET, channels:BUDGET, "
             "memory:SINKS+WINDOW+BUDGET",
             text);
    return false;
}

void kv_free(struct lac_kv_policy *policy)
{
    free((struct lac_kv_head *)policy->full_heads);
    free((size_t *)policy->layer_budgets);
    *policy = (struct lac_kv_policy){0};
}
