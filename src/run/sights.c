/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule each head of a network follows. */
#include "src/run/sights.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/base/json.h"
#include "src/run/network.h"
#include "src/run/sight_plan.h"

/* Transformers pads a text to whole blocks and then takes its last one: the same, for it counts
 * what is there.  Where it would draw blocks at random it puts the first one once more each. */
static void make_big_bird(const struct lac_config *config, struct lac_sight_term *terms,
                          struct lac_sight *sight)
{
    size_t block = config->block_tokens, n_random = config->n_random_blocks;
    terms[0] = (struct lac_sight_term){.kind = LAC_SIGHT_WINDOW, .as.window = {1, 1, 1, block, 0}};
    terms[1] = (struct lac_sight_term){
        .kind = LAC_SIGHT_GLOBAL,
        .as.global = {.block = block,
                      .n_first = 1,
                      .n_last = 1,
                      .parts = LAC_SIGHT_ROWS | LAC_SIGHT_COLUMNS,
                      .n_again = n_random},
    };
    *sight = (struct lac_sight){false, terms, 2, (5 + 2 * n_random) * block};
}

/* Encoders see all or what is near them, decoders what is before them or a window of it. */
static struct lac_sight_term usual_term(const struct lac_config *config, size_t layer)
{
    size_t window = config->windows ? config->windows[layer] : 0;
    if (config->reach)
        return (struct lac_sight_term){
            .kind = LAC_SIGHT_WINDOW,
            .as.window = {config->reach[layer], config->reach[layer], 1, 1, 0},
        };
    if (!window)
        return (struct lac_sight_term){.kind = LAC_SIGHT_ALL};
    return (struct lac_sight_term){
        .kind = LAC_SIGHT_WINDOW,
        .as.window = {.left = window - 1, .dilation = 1, .block = 1},
    };
}

static bool is_alike(const struct lac_config *config, size_t a, size_t b)
{
    return (!config->windows || config->windows[a] == config->windows[b]) &&
           (!config->reach || config->reach[a] == config->reach[b]);
}

/* What the model asks for by itself. */
static enum lac_status make_usual(const struct lac_config *config, struct lac_arena *arena,
                                  struct lac_sights *made, struct lac_error *error)
{
    size_t n = config->n_layers;
    struct lac_sight *sights = lac_arena_alloc(arena, n, sizeof *sights);
    struct lac_sight_term *terms = lac_arena_alloc(arena, n, 2 * sizeof *terms);
    made->rules = lac_arena_alloc(arena, n * config->n_heads, sizeof *made->rules);
    made->picks = lac_arena_alloc_zero(arena, n * config->n_heads, sizeof *made->picks);
    if (!sights || !terms || !made->rules || !made->picks)
        return lac_fail(error, LAC_E_MEMORY, "no memory for the attention rules of %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        /* Layers with the same rule share it. */
        size_t like = 0;
        while (like < i && !is_alike(config, like, i))
            like++;
        terms[2 * i] = usual_term(config, i);
        sights[i] = (struct lac_sight){lac_family_is_decoder(config->family), &terms[2 * i], 1, 0};
        if (config->block_tokens)
            make_big_bird(config, &terms[2 * i], &sights[i]);
        enum lac_status status = lac_sight_check(&sights[i], error);
        if (status)
            return status;
        for (size_t head = 0; head < config->n_heads; head++)
            made->rules[i * config->n_heads + head] = &sights[like];
    }
    return LAC_OK;
}

/* Of a model whose configuration says what its gates let through, all heads follow them. */
static enum lac_status follow_gates(const struct lac_config *config, struct lac_arena *arena,
                                    struct lac_sights *made, struct lac_error *error)
{
    const struct lac_gates *gates = &config->gates;
    if (!gates->width || !(gates->threshold > 0 || gates->share > 0))
        return LAC_OK;
    struct lac_pick *choice = lac_arena_alloc_zero(arena, 1, sizeof *choice);
    if (!choice)
        return lac_fail(error, LAC_E_MEMORY, "no memory for attention's gates");
    choice->kind = LAC_PICK_GATED;
    choice->threshold = gates->threshold;
    choice->share = gates->share;
    for (size_t i = 0; i < config->n_layers * config->n_heads; i++)
        made->picks[i] = choice;
    return LAC_OK;
}

enum lac_status lac_sights_lay(const struct lac_network *network, const json_t *plan,
                               struct lac_arena *arena, struct lac_sights *sights,
                               struct lac_error *error)
{
    const struct lac_config *config = &network->config;
    struct lac_sights made = {0};
    enum lac_status status = make_usual(config, arena, &made, error);
    struct lac_sight_plan over = {
        .n_layers = config->n_layers,
        .n_heads = config->n_heads,
        .is_causal = lac_family_is_decoder(config->family),
        .sights = made.rules,
        .picks = made.picks,
        .gates = &config->gates,
    };
    if (!status)
        status = plan ? lac_sight_plan_read(plan, arena, &over, error)
                      : follow_gates(config, arena, &made, error);
    if (status)
        return status;
    for (size_t i = 0; i < config->n_layers * config->n_heads; i++)
        if (made.picks[i])
            made.pick_unit = lac_max_size(made.pick_unit, lac_pick_unit(made.picks[i]));
    *sights = made;
    return LAC_OK;
}

enum lac_status lac_sights_make(const struct lac_network *network, struct lac_arena *arena,
                                struct lac_sights *sights, struct lac_error *error)
{
    static const char key[] = "lacuna_attention";
    const char *text = network->config_text;
    json_t *json = NULL;
    if (text && strstr(text, key)) {
        enum lac_status status = lac_json_parse("config.json", text, strlen(text), &json, error);
        if (status)
            return status;
    }
    const json_t *plan = json_object_get(json, key);
    enum lac_status status =
        lac_sights_lay(network, json_is_null(plan) ? NULL : plan, arena, sights, error);
    json_decref(json);
    return status && plan ? lac_fail_in(error, status, "%s", key) : status;
}

enum lac_status lac_sights_read(const struct lac_network *network, const char *plan, size_t size,
                                struct lac_arena *arena, struct lac_sights *sights,
                                struct lac_error *error)
{
    json_t *json = NULL;
    enum lac_status status = lac_json_parse("attention", plan, size, &json, error);
    if (status)
        return status;
    status = lac_sights_lay(network, json, arena, sights, error);
    json_decref(json);
    return status ? lac_fail_in(error, status, "attention") : LAC_OK;
}
