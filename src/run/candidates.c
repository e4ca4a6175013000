/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that heads may get. */
#include <string.h>

#include "src/run/tuned.h"

/* In blocks of 64 of the diagonal, so that no part of a block is read in vain; windows that grow
 * with the text are MoA's. */
#define SINKS   "{\"kind\": \"sinks\", \"n\": 64}"
#define NEAR(n) "[{\"kind\": \"window\", \"left\": " n ", \"right\": " n "}, " SINKS "]"
#define GROWING(share)                                                                             \
    "[{\"kind\": \"window\", \"left\": 64, \"right\": 64, \"per_token\": " share "}, " SINKS "]"
#define LINES(n, m)     "[{\"kind\": \"vertical_slash\", \"columns\": " n ", \"diagonals\": " m "}]"
#define LINES_OF(mass)  "[{\"kind\": \"vertical_slash\", \"mass\": " mass "}]"
#define POOLED(n)       "[{\"kind\": \"pooled\", \"blocks\": " n ", \"near\": 64}]"
#define POOLED_OF(mass) "[{\"kind\": \"pooled\", \"mass\": " mass ", \"near\": 64}]"
#define ESTIMATE(least) "[{\"kind\": \"estimate\", \"threshold\": " least "}]"
#define GATE(least)     "[{\"kind\": \"gate\", \"threshold\": " least "}]"

struct candidate {
    const char *name, *terms;
};

/* From a window that most heads of trained models can do with to nearly everything. */
static const struct candidate usual[] = {
    {"near_64", NEAR("64")},
    {"near_192", NEAR("192")},
    {"near_448", NEAR("448")},
    {"near_960", NEAR("960")},
    {"near_1984", NEAR("1984")},
    {"eighth", GROWING("0.125")},
    {"quarter", GROWING("0.25")},
    {"half", GROWING("0.5")},
    {"pooled_4", POOLED("4")},
    {"pooled_8", POOLED("8")},
    {"pooled_16", POOLED("16")},
    {"pooled_90", POOLED_OF("0.9")},
    {"estimate_10", ESTIMATE("0.1")},
    {"estimate_3", ESTIMATE("0.03")},
    {"estimate_1", ESTIMATE("0.01")},
    {"estimate_03", ESTIMATE("0.003")},
    {"lines_128", LINES("128", "128")},
    {"lines_512", LINES("512", "512")},
    {"lines_90", LINES_OF("0.9")},
    {"lines_95", LINES_OF("0.95")},
};
/* Of models with gates: what these are published with. */
static const struct candidate gates[] = {
    {"gate_05", GATE("0.0005")},
    {"gate_2", GATE("0.002")},
    {"gate_5", GATE("0.005")},
};

/* One rule for all heads; terms NULL: it is "usual". */
static enum lac_status lay(struct lac_candidates *c, const struct lac_network *network,
                           const char *name, const json_t *terms, struct lac_error *error)
{
    json_t *plan = json_pack("{s:{s:O*},s:s}", "rules", name, terms, "layers", name);
    if (!plan)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a rule");
    c->names[c->n] = name;
    enum lac_status status = lac_sights_lay(network, plan, &c->arena, &c->sights[c->n], error);
    json_decref(plan);
    c->n += !status;
    return status;
}

static enum lac_status add(json_t *rules, const struct candidate *candidates, size_t n,
                           struct lac_error *error)
{
    for (size_t i = 0; i < n; i++) {
        json_t *terms = NULL;
        const char *text = candidates[i].terms;
        enum lac_status status =
            lac_json_parse(candidates[i].name, text, strlen(text), &terms, error);
        if (status)
            return status;
        if (json_object_set_new(rules, candidates[i].name, terms))
            return lac_fail(error, LAC_E_MEMORY, "no memory for a rule");
    }
    return LAC_OK;
}

static enum lac_status add_usual(struct lac_candidates *c, const struct lac_network *network,
                                 struct lac_error *error)
{
    json_t *rules = json_object();
    c->plan = json_pack("{s:o}", "rules", rules);
    if (!c->plan)
        return lac_fail(error, LAC_E_MEMORY, "no memory for rules");
    enum lac_status status = add(rules, usual, sizeof usual / sizeof *usual, error);
    if (!status && network->config.gates.width)
        status = add(rules, gates, sizeof gates / sizeof *gates, error);
    return status;
}

static enum lac_status lay_all(struct lac_candidates *c, const struct lac_network *network,
                               struct lac_error *error)
{
    json_t *rules = json_object_get(c->plan, "rules"), *terms;
    const char *name;
    size_t n = json_object_size(rules);
    if (!json_is_object(rules) || n >= LAC_MOST_CANDIDATES)
        return lac_fail(error, LAC_E_FORMAT, "rules: expected an object of up to %d",
                        LAC_MOST_CANDIDATES - 1);
    c->sights = lac_arena_alloc(&c->arena, n + 1, sizeof *c->sights);
    c->names = lac_arena_alloc(&c->arena, n + 1, sizeof *c->names);
    if (!c->sights || !c->names)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu rules", n);
    enum lac_status status = lay(c, network, "usual", NULL, error);
    json_object_foreach(rules, name, terms)
    {
        if (!status && !strcmp(name, "usual"))
            status = lac_fail(error, LAC_E_FORMAT, "rules: \"usual\" is what the model asks for");
        if (!status)
            status = lay(c, network, name, terms, error);
    }
    return status;
}

enum lac_status lac_candidates_open(struct lac_candidates *c, const struct lac_network *network,
                                    const char *rules, size_t size, struct lac_error *error)
{
    *c = (struct lac_candidates){.arena.host = network->host};
    enum lac_status status = rules ? lac_json_parse("rules to try", rules, size, &c->plan, error)
                                   : add_usual(c, network, error);
    if (!status) {
        status = lay_all(c, network, error);
        if (status)
            lac_fail_in(error, status, "rules to try");
    }
    if (status)
        lac_candidates_close(c);
    return status;
}

void lac_candidates_close(struct lac_candidates *c)
{
    json_decref(c->plan);
    lac_arena_clear(&c->arena);
    *c = (struct lac_candidates){0};
}
