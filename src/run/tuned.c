/* SPDX-License-Identifier: Apache-2.0 */
/* Plans for attention by measurement: the choice for each head, and the plan's text. */
#include "src/run/tuned.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"

/* What it takes to choose, as a share of dense attention: measured at 32,768 tokens in int8 and
 * fp32 (HACKING.md), the larger of the two. */
static const double choosing[LAC_N_PICKS] = {
    [LAC_PICK_LINES] = 0.091,
    [LAC_PICK_POOLED] = 0.039,
    [LAC_PICK_ESTIMATE] = 0.064,
    [LAC_PICK_GATED] = 0.039, /* not measured: blocks are chosen as pooled ones are */
};

struct tuner {
    const struct lac_trial *trial;
    const struct lac_config *config;
    struct lac_tuned *tuned;
};

static size_t n_heads_of(const struct tuner *t)
{
    return t->config->n_layers * t->config->n_heads;
}

static const struct lac_trial_head *sums_of(const struct tuner *t, size_t rule, size_t head)
{
    return &t->trial->heads[rule * n_heads_of(t) + head];
}

/* Of a head that gives nothing at all no rule errs, and of a text too short for blocks all rules
 * read everything. */
static struct lac_tuned_head judge(const struct tuner *t, size_t rule, size_t head)
{
    const struct lac_trial_head *own = sums_of(t, rule, head), *usual = sums_of(t, 0, head);
    return (struct lac_tuned_head){
        .rule = rule,
        .error = usual->square > 0 ? sqrt(own->error / usual->square) : 0,
        .worst =
            usual->square > 0 ? sqrt(own->worst / LAC_TILE * usual->n_tokens / usual->square) : 0,
        .density = usual->n_blocks > 0 ? own->n_blocks / usual->n_blocks : 1,
    };
}

/* What counts: tuned.h. */
static double miss(const struct lac_tuned_head *judged)
{
    return fmax(judged->error, judged->worst / 3);
}

static double cost_of(const struct tuner *t, const struct lac_tuned_head *judged, size_t head)
{
    const struct lac_pick *pick = t->trial->sights[judged->rule].picks[head];
    return judged->density + (pick ? choosing[pick->kind] : 0);
}

/* The cheapest rule of each head within the error; of equal ones the first. */
static void tune_error(const struct tuner *t, double most)
{
    for (size_t head = 0; head < n_heads_of(t); head++) {
        struct lac_tuned_head *best = &t->tuned->heads[head];
        *best = judge(t, 0, head);
        for (size_t i = 1; i < t->trial->n_sights; i++) {
            struct lac_tuned_head other = judge(t, i, head);
            if (miss(&other) <= most && cost_of(t, &other, head) < cost_of(t, best, head))
                *best = other;
        }
    }
}

/* ---- Within a density ---- */

/* What int8 arithmetic itself makes of a layer's output, about: less is not worth a block. */
#define ENOUGH 0.01

static double blocks_of(const struct tuner *t, const struct lac_tuned_head *judged, size_t head)
{
    return sums_of(t, judged->rule, head)->n_blocks;
}

/* The rule of fewest blocks, of equal ones the one that misses least. */
static struct lac_tuned_head least_of(const struct tuner *t, size_t head)
{
    struct lac_tuned_head best = judge(t, 0, head);
    for (size_t i = 1; i < t->trial->n_sights; i++) {
        struct lac_tuned_head other = judge(t, i, head);
        if (other.density < best.density ||
            (other.density == best.density && miss(&other) < miss(&best)))
            best = other;
    }
    return best;
}

/* The rule that takes most off the square of what a head misses for the blocks it needs more, if
 * there are so many; *gain is how much for each, 0 where there is none. */
static struct lac_tuned_head best_step(const struct tuner *t, size_t head, double n_left,
                                       double *gain)
{
    const struct lac_tuned_head *now = &t->tuned->heads[head];
    struct lac_tuned_head best = *now;
    *gain = 0;
    for (size_t i = 0; i < t->trial->n_sights && miss(now) > ENOUGH; i++) {
        struct lac_tuned_head other = judge(t, i, head);
        double n_more = blocks_of(t, &other, head) - blocks_of(t, now, head);
        double less = miss(now) * miss(now) - miss(&other) * miss(&other);
        if (n_more > 0 && n_more <= n_left && less > *gain * n_more) {
            best = other;
            *gain = less / n_more;
        }
    }
    return best;
}

/* From the fewest blocks on, the best step of all heads again and again: along each head's convex
 * hull of misses over blocks, which is what Lagrange's multiplier would come to. */
static enum lac_status tune_density(const struct tuner *t, double most, struct lac_error *error)
{
    double n_left = 0, n_all = 0;
    for (size_t head = 0; head < n_heads_of(t); head++) {
        struct lac_tuned_head *least = &t->tuned->heads[head];
        *least = least_of(t, head);
        n_all += sums_of(t, 0, head)->n_blocks;
        n_left += most * sums_of(t, 0, head)->n_blocks - blocks_of(t, least, head);
    }
    if (n_left < 0 && most < 1)
        return lac_fail(error, LAC_E_ARGUMENT, "a density of %g: the rules reach no less than %.4g",
                        most, most - n_left / n_all);
    for (;;) {
        struct lac_tuned_head step = {0};
        double best = 0, gain;
        size_t of = 0;
        for (size_t head = 0; head < n_heads_of(t); head++) {
            struct lac_tuned_head other = best_step(t, head, n_left, &gain);
            if (gain > best) {
                best = gain;
                step = other;
                of = head;
            }
        }
        if (!best)
            return LAC_OK;
        n_left -= blocks_of(t, &step, of) - blocks_of(t, &t->tuned->heads[of], of);
        t->tuned->heads[of] = step;
    }
}

/* ---- All heads ---- */

static void sum_up(const struct tuner *t)
{
    double square = 0, n_blocks = 0, n_all = 0;
    for (size_t head = 0; head < n_heads_of(t); head++) {
        const struct lac_tuned_head *own = &t->tuned->heads[head];
        square += own->error * own->error;
        n_blocks += blocks_of(t, own, head);
        n_all += sums_of(t, 0, head)->n_blocks;
    }
    t->tuned->error = sqrt(square / (double)n_heads_of(t));
    t->tuned->density = n_all > 0 ? n_blocks / n_all : 1;
}

enum lac_status lac_tuned_open(struct lac_tuned *tuned, const struct lac_trial *trial,
                               const struct lac_tuning_goal *goal, struct lac_error *error)
{
    const struct tuner t = {trial, &trial->network->config, tuned};
    *tuned = (struct lac_tuned){.host = trial->host};
    tuned->heads = lac_alloc(trial->host, n_heads_of(&t), sizeof *tuned->heads);
    if (!tuned->heads)
        return lac_fail(error, LAC_E_MEMORY, "no memory to choose for %zu heads", n_heads_of(&t));
    enum lac_status status = LAC_OK;
    if (goal->density > 0)
        status = tune_density(&t, goal->density, error);
    else
        tune_error(&t, goal->error);
    if (status)
        lac_tuned_close(tuned);
    else
        sum_up(&t);
    return status;
}

void lac_tuned_close(struct lac_tuned *tuned)
{
    lac_free(tuned->host, tuned->heads);
    *tuned = (struct lac_tuned){0};
}

/* ---- The plan ---- */

/* JSON with a line for each rule and layer. */
struct text {
    const struct lac_host *host;
    char *data; /* [capacity] */
    size_t size, capacity;
    bool failed;
};

static bool reserve(struct text *t, size_t n)
{
    size_t capacity = lac_max_size(t->size + n, 2 * t->capacity);
    if (t->size + n <= t->capacity)
        return !t->failed;
    char *data = t->failed ? NULL : lac_realloc(t->host, t->data, t->size, capacity, 1);
    t->failed = !data;
    if (data) {
        t->data = data;
        t->capacity = capacity;
    }
    return data != NULL;
}

static void put(struct text *t, const char *words)
{
    size_t n = strlen(words);
    if (!reserve(t, n))
        return;
    memcpy(t->data + t->size, words, n);
    t->size += n;
}

/* Gives json up; NULL: it could not be made. */
static void put_json(struct text *t, json_t *json)
{
    enum { FLAGS = JSON_ENCODE_ANY | JSON_REAL_PRECISION(5) };
    size_t n = json ? json_dumpb(json, NULL, 0, FLAGS) : 0;
    t->failed = t->failed || !n;
    if (n && reserve(t, n)) {
        json_dumpb(json, t->data + t->size, n, FLAGS);
        t->size += n;
    }
    json_decref(json);
}

static bool is_used(const struct lac_tuned *tuned, size_t n_heads, size_t rule)
{
    for (size_t i = 0; i < n_heads; i++)
        if (tuned->heads[i].rule == rule)
            return true;
    return false;
}

static void put_rules(struct text *t, const struct lac_tuned *tuned, const struct lac_candidates *c,
                      size_t n_heads)
{
    const json_t *rules = json_object_get(c->plan, "rules");
    const char *before = "\n  ";
    put(t, "{\"rules\": {");
    for (size_t i = 1; i < c->n; i++) {
        if (!is_used(tuned, n_heads, i))
            continue;
        put(t, before);
        put_json(t, json_string(c->names[i]));
        put(t, ": ");
        put_json(t, json_incref(json_object_get(rules, c->names[i])));
        before = ",\n  ";
    }
    put(t, "},\n");
}

/* A row of a table with one for each layer. */
typedef json_t *item_function(const struct lac_tuned_head *head, const struct lac_candidates *c);

static json_t *name_of(const struct lac_tuned_head *head, const struct lac_candidates *c)
{
    return json_string(c->names[head->rule]);
}

static json_t *error_of(const struct lac_tuned_head *head, const struct lac_candidates *c)
{
    (void)c;
    return json_real(head->error);
}

static json_t *worst_of(const struct lac_tuned_head *head, const struct lac_candidates *c)
{
    (void)c;
    return json_real(head->worst);
}

static json_t *density_of(const struct lac_tuned_head *head, const struct lac_candidates *c)
{
    (void)c;
    return json_real(head->density);
}

static void put_table(struct text *t, const struct lac_tuned *tuned, const struct lac_candidates *c,
                      const struct lac_config *config, item_function *item)
{
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        json_t *row = json_array();
        put(t, layer ? ",\n  " : "[\n  ");
        for (size_t i = 0; i < config->n_heads; i++)
            if (json_array_append_new(row, item(&tuned->heads[layer * config->n_heads + i], c)))
                t->failed = true;
        put_json(t, row);
    }
    put(t, "]");
}

static void put_number(struct text *t, const char *key, json_t *value)
{
    put(t, key);
    put_json(t, value);
}

static void put_facts(struct text *t, const struct lac_tuned *tuned,
                      const struct lac_tuned_facts *facts)
{
    put_number(t, " \"measured\": {\"tokens\": ", json_integer((json_int_t)facts->n_tokens));
    put_number(t, ", \"window\": ", json_integer((json_int_t)facts->n_window));
    put_number(t, ", \"density\": ", json_real(tuned->density));
    put_number(t, ", \"error\": ", json_real(tuned->error));
    if (facts->perplexity > 0) {
        put_number(t, ",\n  \"perplexity\": ", json_real(facts->perplexity));
        put_number(t, ", \"full_perplexity\": ", json_real(facts->full_perplexity));
    }
}

enum lac_status lac_tuned_write(const struct lac_tuned *tuned, const struct lac_candidates *c,
                                const struct lac_config *config,
                                const struct lac_tuned_facts *facts, char **text, size_t *size,
                                struct lac_error *error)
{
    struct text t = {.host = tuned->host};
    put_rules(&t, tuned, c, config->n_layers * config->n_heads);
    put(&t, " \"layers\": ");
    put_table(&t, tuned, c, config, name_of);
    put(&t, ",\n");
    put_facts(&t, tuned, facts);
    put(&t, ",\n \"head_density\": ");
    put_table(&t, tuned, c, config, density_of);
    put(&t, ",\n \"head_error\": ");
    put_table(&t, tuned, c, config, error_of);
    put(&t, ",\n \"head_worst\": ");
    put_table(&t, tuned, c, config, worst_of);
    put(&t, "}}\n");
    if (t.failed) {
        lac_free(t.host, t.data);
        return lac_fail(error, LAC_E_MEMORY, "no memory for a plan's text");
    }
    *text = t.data;
    *size = t.size;
    return LAC_OK;
}
