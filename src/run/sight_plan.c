/* SPDX-License-Identifier: Apache-2.0 */
/* Attention plans: rules for each layer and head, in JSON. */
#include "src/run/sight_plan.h"

#include <string.h>

#include "src/base/checked.h"

#define MOST_SIZE ((size_t)1 << 30)
enum { MOST_TERMS = 64, MOST_RANGES = 4096, MOST_BLOCK_ROWS = 1 << 16 };

struct reader {
    struct lac_arena *arena;
    struct lac_error *error;
    const json_t *rules;
    const struct lac_gates *gates; /* or NULL */
};

static enum lac_status no_memory(const struct reader *r)
{
    return lac_fail(r->error, LAC_E_MEMORY, "no memory for attention rules");
}

static enum lac_status read_size(const struct reader *r, const json_t *json, const char *key,
                                 size_t fallback, size_t lowest, size_t *value)
{
    return lac_json_size(json, key, fallback, lowest, MOST_SIZE, value, r->error);
}

static enum lac_status need_list(const struct reader *r, const json_t *json, const char *key,
                                 size_t most, const json_t **list)
{
    *list = json_object_get(json, key);
    if (!json_is_array(*list))
        return lac_fail(r->error, LAC_E_FORMAT, "%s: expected an array, found %s", key,
                        *list ? lac_json_kind(*list) : "nothing");
    if (json_array_size(*list) > most)
        return lac_fail(r->error, LAC_E_LIMIT, "%s: %zu items, more than %zu", key,
                        json_array_size(*list), most);
    return LAC_OK;
}

/* ---- Terms ---- */

static enum lac_status read_all(const struct reader *r, const json_t *json,
                                struct lac_sight_term *term)
{
    (void)r;
    (void)json;
    term->kind = LAC_SIGHT_ALL;
    return LAC_OK;
}

static enum lac_status read_window(const struct reader *r, const json_t *json,
                                   struct lac_sight_term *term)
{
    struct lac_sight_window *w = &term->as.window;
    term->kind = LAC_SIGHT_WINDOW;
    enum lac_status status = read_size(r, json, "left", SIZE_MAX, 0, &w->left);
    if (!status)
        status = read_size(r, json, "right", SIZE_MAX, 0, &w->right);
    if (!status)
        status = read_size(r, json, "dilation", 1, 1, &w->dilation);
    if (!status)
        status = read_size(r, json, "block", 1, 1, &w->block);
    if (!status)
        status = lac_json_real(json, "per_token", 0, &w->per_token, r->error);
    return status;
}

static enum lac_status read_sinks(const struct reader *r, const json_t *json,
                                  struct lac_sight_term *term)
{
    term->kind = LAC_SIGHT_GLOBAL;
    term->as.global = (struct lac_sight_global){.block = 1, .parts = LAC_SIGHT_COLUMNS};
    enum lac_status status = read_size(r, json, "n", 0, 1, &term->as.global.n_first);
    if (!status && !term->as.global.n_first)
        return lac_fail(r->error, LAC_E_FORMAT, "n: expected how many, found nothing");
    return status;
}

static enum lac_status read_ranges(const struct reader *r, const json_t *json,
                                   struct lac_sight_global *g)
{
    const json_t *list;
    if (!json_object_get(json, "ranges"))
        return LAC_OK;
    enum lac_status status = need_list(r, json, "ranges", MOST_RANGES, &list);
    if (status)
        return status;
    g->n_ranges = json_array_size(list);
    struct lac_range *ranges =
        lac_arena_alloc(r->arena, lac_max_size(1, g->n_ranges), sizeof *ranges);
    if (!ranges)
        return no_memory(r);
    g->ranges = ranges;
    for (size_t i = 0; i < g->n_ranges; i++) {
        const json_t *pair = json_array_get(list, i);
        const json_t *begin = json_array_get(pair, 0), *end = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
            json_integer_value(begin) < 0 || json_integer_value(end) < 0)
            return lac_fail(r->error, LAC_E_FORMAT, "ranges: item %zu is no [begin, end]", i);
        ranges[i] =
            (struct lac_range){(size_t)json_integer_value(begin), (size_t)json_integer_value(end)};
    }
    return LAC_OK;
}

static enum lac_status read_global(const struct reader *r, const json_t *json,
                                   struct lac_sight_term *term)
{
    struct lac_sight_global *g = &term->as.global;
    bool rows = true, columns = true;
    term->kind = LAC_SIGHT_GLOBAL;
    enum lac_status status = read_ranges(r, json, g);
    if (!status)
        status = read_size(r, json, "block", 1, 1, &g->block);
    if (!status)
        status = read_size(r, json, "first", 0, 0, &g->n_first);
    if (!status)
        status = read_size(r, json, "last", 0, 0, &g->n_last);
    if (!status)
        status = lac_json_bool(json, "rows", true, &rows, r->error);
    if (!status)
        status = lac_json_bool(json, "columns", true, &columns, r->error);
    g->parts = (rows ? LAC_SIGHT_ROWS : 0u) | (columns ? LAC_SIGHT_COLUMNS : 0u);
    return status;
}

static enum lac_status read_random(const struct reader *r, const json_t *json,
                                   struct lac_sight_term *term)
{
    struct lac_sight_random *random = &term->as.random;
    size_t seed = 0;
    term->kind = LAC_SIGHT_RANDOM;
    enum lac_status status = read_size(r, json, "n", 0, 0, &random->n);
    if (!status)
        status = read_size(r, json, "block", 64, 1, &random->block);
    if (!status)
        status = read_size(r, json, "seed", 0, 0, &seed);
    random->seed = seed;
    return status;
}

static enum lac_status read_strided(const struct reader *r, const json_t *json,
                                    struct lac_sight_term *term)
{
    struct lac_sight_strided *s = &term->as.strided;
    term->kind = LAC_SIGHT_STRIDED;
    enum lac_status status = read_size(r, json, "stride", 0, 1, &s->stride);
    if (!status)
        status = read_size(r, json, "offset", 0, 0, &s->offset);
    if (!status)
        status = read_size(r, json, "block", 64, 1, &s->block);
    return status;
}

static enum lac_status read_neighbours(const struct reader *r, const json_t *json,
                                       struct lac_sight_term *term)
{
    struct lac_sight_neighbours *g = &term->as.neighbours;
    const json_t *axes;
    term->kind = LAC_SIGHT_NEIGHBOURS;
    enum lac_status status = need_list(r, json, "axes", LAC_SIGHT_MOST_AXES, &axes);
    if (status)
        return status;
    g->n_axes = json_array_size(axes);
    for (size_t i = 0; i < g->n_axes && !status; i++) {
        const json_t *axis = json_array_get(axes, i);
        struct lac_sight_axis *a = &g->axes[i];
        status = read_size(r, axis, "size", 0, 1, &a->size);
        if (!status)
            status = read_size(r, axis, "window", 0, 1, &a->window);
        if (!status)
            status = read_size(r, axis, "stride", 1, 1, &a->stride);
        if (!status)
            status = read_size(r, axis, "dilation", 1, 1, &a->dilation);
    }
    return status;
}

static enum lac_status read_mask_row(const struct reader *r, const json_t *json, size_t row,
                                     const struct lac_sight_blocks *b, uint64_t *bits)
{
    const char *text = json_string_value(json);
    if (!text || strlen(text) != b->n_columns || strspn(text, "01") != b->n_columns)
        return lac_fail(r->error, LAC_E_FORMAT, "mask: row %zu is no text of %zu digits 0 and 1",
                        row, b->n_columns);
    for (size_t i = 0; i < b->n_columns; i++)
        bits[row * b->row_words + i / 64] |= (uint64_t)(text[i] == '1') << i % 64;
    return LAC_OK;
}

static enum lac_status read_blocks(const struct reader *r, const json_t *json,
                                   struct lac_sight_term *term)
{
    struct lac_sight_blocks *b = &term->as.blocks;
    const json_t *mask;
    term->kind = LAC_SIGHT_BLOCKS;
    enum lac_status status = read_size(r, json, "block", 64, 1, &b->block);
    if (!status)
        status = need_list(r, json, "mask", MOST_BLOCK_ROWS, &mask);
    if (status)
        return status;
    b->n_rows = json_array_size(mask);
    b->n_columns = lac_min_size(json_string_length(json_array_get(mask, 0)), MOST_BLOCK_ROWS);
    b->row_words = lac_max_size(1, lac_ceil_div(b->n_columns, 64));
    uint64_t *bits =
        lac_arena_alloc_zero(r->arena, lac_max_size(1, b->n_rows * b->row_words), sizeof *bits);
    if (!bits)
        return no_memory(r);
    b->bits = bits;
    for (size_t i = 0; i < b->n_rows && !status; i++)
        status = read_mask_row(r, json_array_get(mask, i), i, b, bits);
    return status;
}

typedef enum lac_status read_function(const struct reader *r, const json_t *json,
                                      struct lac_sight_term *term);

static const struct {
    const char *name;
    read_function *read;
} kinds[] = {
    {"all", read_all},
    {"window", read_window},
    {"sinks", read_sinks},
    {"global", read_global},
    {"random", read_random},
    {"strided", read_strided},
    {"neighbours", read_neighbours},
    {"blocks", read_blocks},
};

static enum lac_status read_term(const struct reader *r, const json_t *json, const char *kind,
                                 struct lac_sight_term *term)
{
    *term = (struct lac_sight_term){0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(kind, kinds[i].name))
            return kinds[i].read(r, json, term);
    return lac_fail(r->error, LAC_E_UNSUPPORTED, "kind \"%.100s\" is not known", kind);
}

/* ---- Choices ---- */

static enum lac_status read_seen(const struct reader *r, const json_t *json, size_t first,
                                 size_t near, struct lac_pick *choice)
{
    enum lac_status status = read_size(r, json, "first", first, 0, &choice->n_first);
    return status ? status : read_size(r, json, "near", near, 0, &choice->n_near);
}

static enum lac_status read_top(const struct reader *r, const json_t *json, const char *key,
                                struct lac_pick_top *top)
{
    enum lac_status status = read_size(r, json, key, 0, 0, &top->n);
    return status ? status : lac_json_real(json, "mass", 0, &top->mass, r->error);
}

static enum lac_status read_lines(const struct reader *r, const json_t *json,
                                  struct lac_pick *choice)
{
    enum lac_status status = read_seen(r, json, LAC_PICK_PAGE, LAC_KEY_BLOCK, choice);
    if (!status)
        status = read_top(r, json, "columns", &choice->columns);
    if (!status)
        status = read_top(r, json, "diagonals", &choice->diagonals);
    return status ? status : read_size(r, json, "sample", 32, 1, &choice->n_sampled);
}

static enum lac_status read_pooled(const struct reader *r, const json_t *json,
                                   struct lac_pick *choice)
{
    enum lac_status status = read_seen(r, json, LAC_KEY_BLOCK, 0, choice);
    return status ? status : read_top(r, json, "blocks", &choice->blocks);
}

static enum lac_status read_estimate(const struct reader *r, const json_t *json,
                                     struct lac_pick *choice)
{
    enum lac_status status = read_seen(r, json, LAC_KEY_BLOCK, LAC_KEY_BLOCK, choice);
    return status ? status : lac_json_real(json, "threshold", 0.01, &choice->threshold, r->error);
}

/* In the middle of what is usual with the gates that were published, 0.0005 to 0.005. */
#define USUAL_GATE_THRESHOLD 0.002

static enum lac_status read_gate(const struct reader *r, const json_t *json,
                                 struct lac_pick *choice)
{
    const struct lac_gates *gates = r->gates;
    if (!gates || !gates->width)
        return lac_fail(r->error, LAC_E_UNSUPPORTED, "gate: the model has no gates");
    double usual = gates->threshold > 0 ? gates->threshold : USUAL_GATE_THRESHOLD;
    double share = json_object_get(json, "threshold") ? 0 : gates->share;
    enum lac_status status = read_seen(r, json, 0, 0, choice);
    if (!status)
        status = read_top(r, json, "blocks", &choice->blocks);
    if (!status)
        status = lac_json_real(json, "threshold", usual, &choice->threshold, r->error);
    return status ? status : lac_json_real(json, "share", share, &choice->share, r->error);
}

static const struct {
    const char *name;
    enum lac_pick_kind kind;
    enum lac_status (*read)(const struct reader *r, const json_t *json, struct lac_pick *choice);
} choices[] = {
    {"vertical_slash", LAC_PICK_LINES, read_lines},
    {"pooled", LAC_PICK_POOLED, read_pooled},
    {"estimate", LAC_PICK_ESTIMATE, read_estimate},
    {"gate", LAC_PICK_GATED, read_gate},
};

/* The place of a kind among choices; past the end: it is none. */
static size_t find_choice(const char *kind)
{
    size_t i = 0;
    while (i < sizeof choices / sizeof choices[0] && strcmp(kind, choices[i].name))
        i++;
    return i;
}

static enum lac_status read_choice(const struct reader *r, const json_t *json, size_t at,
                                   const struct lac_pick **choice)
{
    if (*choice)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: more than one choice", choices[at].name);
    struct lac_pick *own = lac_arena_alloc_zero(r->arena, 1, sizeof *own);
    if (!own)
        return no_memory(r);
    own->kind = choices[at].kind;
    *choice = own;
    enum lac_status status = choices[at].read(r, json, own);
    return status ? status : lac_pick_check(own, r->error);
}

/* ---- Rules ---- */

struct rule {
    const char *name;
    const struct lac_sight *sight; /* NULL: the usual one */
    const struct lac_pick *choice;
};

static enum lac_status read_item(const struct reader *r, const json_t *json, struct rule *rule,
                                 struct lac_sight_term *terms, size_t *n_terms)
{
    const char *kind = "";
    if (!json_is_object(json))
        return lac_fail(r->error, LAC_E_FORMAT, "expected an object, found %s",
                        lac_json_kind(json));
    enum lac_status status = lac_json_string(json, "kind", "", &kind, r->error);
    size_t at = find_choice(kind);
    if (status)
        return status;
    if (at < sizeof choices / sizeof choices[0])
        return read_choice(r, json, at, &rule->choice);
    return read_term(r, json, kind, &terms[(*n_terms)++]);
}

static enum lac_status read_rule(const struct reader *r, const char *name, const json_t *terms,
                                 bool is_causal, struct rule *rule)
{
    size_t n = json_array_size(terms);
    if (!json_is_array(terms) || n > MOST_TERMS)
        return lac_fail(r->error, LAC_E_FORMAT, "rule \"%.100s\": expected up to %d terms", name,
                        (int)MOST_TERMS);
    struct lac_sight *sight = lac_arena_alloc(r->arena, 1, sizeof *sight);
    struct lac_sight_term *own = lac_arena_alloc(r->arena, lac_max_size(1, n), sizeof *own);
    if (!sight || !own)
        return no_memory(r);
    enum lac_status status = LAC_OK;
    size_t n_terms = 0;
    *rule = (struct rule){.name = name};
    for (size_t i = 0; i < n && !status; i++)
        status = read_item(r, json_array_get(terms, i), rule, own, &n_terms);
    *sight = (struct lac_sight){is_causal, own, n_terms, 0};
    if (!status)
        status = lac_sight_check(sight, r->error);
    if (n_terms || !rule->choice)
        rule->sight = sight;
    return status ? lac_fail_in(r->error, status, "rule \"%.100s\"", name) : LAC_OK;
}

static enum lac_status read_rules(const struct reader *r, bool is_causal, struct rule *rules)
{
    const char *name;
    json_t *terms;
    size_t n = 0;
    json_object_foreach((json_t *)r->rules, name, terms)
    {
        enum lac_status status = read_rule(r, name, terms, is_causal, &rules[n++]);
        if (status)
            return status;
    }
    return LAC_OK;
}

/* ---- Layers and heads ---- */

/* One head follows the rule that the item names. */
static enum lac_status follow(const struct reader *r, const struct rule *rules, const json_t *item,
                              const struct lac_sight **sight, const struct lac_pick **choice)
{
    const char *name = json_string_value(item);
    if (!name)
        return lac_fail(r->error, LAC_E_FORMAT, "layers: expected a rule's name, found %s",
                        item ? lac_json_kind(item) : "nothing");
    if (!strcmp(name, "usual"))
        return LAC_OK;
    for (size_t i = 0; i < json_object_size(r->rules); i++)
        if (!strcmp(name, rules[i].name)) {
            *sight = rules[i].sight ? rules[i].sight : *sight;
            *choice = rules[i].choice;
            return LAC_OK;
        }
    return lac_fail(r->error, LAC_E_FORMAT, "layers: no rule \"%.100s\"", name);
}

static enum lac_status assign(const struct reader *r, const struct rule *rules,
                              const json_t *layers, struct lac_sight_plan *plan)
{
    enum lac_status status = LAC_OK;
    if (json_is_array(layers) && json_array_size(layers) != plan->n_layers)
        return lac_fail(r->error, LAC_E_FORMAT, "layers: %zu items for %zu layers",
                        json_array_size(layers), plan->n_layers);
    for (size_t i = 0; i < plan->n_layers; i++) {
        const json_t *layer = json_is_array(layers) ? json_array_get(layers, i) : layers;
        if (json_is_array(layer) && json_array_size(layer) != plan->n_heads)
            return lac_fail(r->error, LAC_E_FORMAT, "layers: %zu items for %zu heads of layer %zu",
                            json_array_size(layer), plan->n_heads, i);
        for (size_t head = 0; head < plan->n_heads && !status; head++)
            status = follow(r, rules, json_is_array(layer) ? json_array_get(layer, head) : layer,
                            &plan->sights[i * plan->n_heads + head],
                            &plan->picks[i * plan->n_heads + head]);
        if (status)
            return status;
    }
    return LAC_OK;
}

enum lac_status lac_sight_plan_read(const json_t *json, struct lac_arena *arena,
                                    struct lac_sight_plan *plan, struct lac_error *error)
{
    struct reader r = {arena, error, json_object_get(json, "rules"), plan->gates};
    if (!json_is_object(json) || (r.rules && !json_is_object(r.rules)))
        return lac_fail(error, LAC_E_FORMAT, "expected an object with rules");
    struct rule *rules =
        lac_arena_alloc(arena, lac_max_size(1, json_object_size(r.rules)), sizeof *rules);
    if (!rules)
        return no_memory(&r);
    enum lac_status status = read_rules(&r, plan->is_causal, rules);
    const json_t *measured = json_object_get(json, "measured");
    if (!status && measured) {
        status = lac_sight_plan_check_measured(measured, plan, error);
        if (status)
            return lac_fail_in(error, status, "measured");
    }
    return status ? status : assign(&r, rules, json_object_get(json, "layers"), plan);
}
