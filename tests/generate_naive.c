/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of caches that keep less. */
#include "tests/generate_naive.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

enum { HIDDEN = NAIVE_HIDDEN, FFN = 72, HEADS = NAIVE_HEADS, KV_HEADS = NAIVE_KV_HEADS };
enum { HEAD = NAIVE_HEAD, LAYERS = NAIVE_LAYERS, MOST_TOKENS = NAIVE_TOKENS, GROUP = 2 };
enum { N_WORDS = TINY_LLAMA_WORDS, BLOCK = 64, PAGE = NAIVE_PAGE, OBSERVED = 32, POOLED = 3 };

struct tiny naive_tiny(size_t window)
{
    return (struct tiny){.family = TINY_LLAMA,
                         .hidden = HIDDEN,
                         .ffn = FFN,
                         .heads = HEADS,
                         .layers = LAYERS,
                         .max_tokens = MOST_TOKENS,
                         .window = window};
}

const struct lac_kv_head naive_retrieving[2] = {{0, 0}, {1, 1}};

static bool retrieves(const struct lac_kv_policy *policy, size_t layer, size_t head)
{
    return policy->n_full_heads && layer == head;
}

/* ---- What rules hide ---- */

/* Blocks of sinks, and before a query's own. */
static size_t sink_blocks(const struct lac_kv_policy *p, size_t window)
{
    return window ? 0 : (p->n_sinks + BLOCK - 1) / BLOCK;
}

static size_t blocks_left(const struct lac_kv_policy *p)
{
    return (p->n_window - 1 + BLOCK - 1) / BLOCK;
}

/* For MEMORY: with its position. */
static bool is_seen(const struct lac_kv_policy *p, size_t window, size_t layer, size_t head,
                    size_t query, size_t key)
{
    size_t far = query / BLOCK - key / BLOCK;
    if (window && query - key >= window)
        return false;
    if (p->kind == LAC_KV_MEMORY && !window && !retrieves(p, layer, head))
        return far <= blocks_left(p);
    if (p->kind != LAC_KV_STREAM || (!window && retrieves(p, layer, head)))
        return true;
    size_t left = blocks_left(p);
    if (window && (left + 1) * BLOCK > window)
        return true;
    return far <= left || key / BLOCK < sink_blocks(p, window);
}

/* ---- The network ---- */

static const float *tensor(const struct tiny *t, size_t layer, const char *name)
{
    char full[96];
    if (layer < LAYERS)
        snprintf(full, sizeof full, "model.layers.%zu.%s.weight", layer, name);
    else
        snprintf(full, sizeof full, "%s.weight", name);
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, full))
            return t->tensors[i].data;
    ck_abort_msg("no tensor %s", full);
    return NULL;
}

static void multiply(const float *w, size_t out, size_t in, const double *x, double *y)
{
    for (size_t o = 0; o < out; o++) {
        y[o] = 0;
        for (size_t i = 0; i < in; i++)
            y[o] += (double)w[o * in + i] * x[i];
    }
}

static void norm(const float *gamma, const double *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < HIDDEN; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] = x[i] / sqrt(sum / HIDDEN + 1e-6) * (double)gamma[i];
}

static void turn(double *x, size_t n_heads, size_t position)
{
    for (size_t h = 0; h < n_heads; h++)
        for (size_t i = 0; i < HEAD / 2; i++) {
            double angle = (double)position * pow(10000, -2.0 * (double)i / HEAD);
            double *a = x + h * HEAD + i, *b = a + HEAD / 2, real = *a, other = *b;
            *a = real * cos(angle) - other * sin(angle);
            *b = other * cos(angle) + real * sin(angle);
        }
}

/* A key/value head's memory. */
struct memory {
    double k[MOST_TOKENS][HEAD], v[MOST_TOKENS][HEAD];
    double first[MOST_TOKENS][HEAD]; /* keys as they are at position 0 */
    bool is_gone[MOST_TOKENS];       /* by a choice */
    double votes[MOST_TOKENS];
    double features[HEAD]; /* the same on features: squares of queries */
};

struct naive {
    const struct tiny *tiny;
    const struct lac_kv_policy *policy;
    size_t n_prompt;
    bool is_close;          /* a choice that another rounding may turn */
    size_t budgets[LAYERS]; /* of the choice */
    struct memory memories[LAYERS][KV_HEADS];
};

static bool compacts(const struct lac_kv_policy *p)
{
    return p->kind == LAC_KV_THIN || p->kind == LAC_KV_ZIP;
}

static bool is_voter(const struct naive *s, size_t token)
{
    size_t n = s->policy->n_observed;
    if (s->policy->kind == LAC_KV_SNAP || compacts(s->policy))
        return token < s->n_prompt && token + (n ? n : OBSERVED) >= s->n_prompt;
    return s->policy->kind == LAC_KV_HEAVY && (!n || token + n >= s->n_prompt);
}

/* Means of the keys and values that the query does not see, if they are remembered; how many. */
static size_t find_lost(const struct naive *s, size_t layer, size_t head, size_t token, double *k,
                        double *v)
{
    const struct memory *m = &s->memories[layer][head];
    size_t n = 0;
    memset(k, 0, HEAD * sizeof *k);
    memset(v, 0, HEAD * sizeof *v);
    if (s->policy->rest != LAC_KV_MEAN || s->tiny->window)
        return 0;
    for (size_t j = 0; j <= token; j++)
        if (!is_seen(s->policy, 0, layer, head, token, j)) {
            n++;
            for (size_t i = 0; i < HEAD; i++) {
                k[i] += (m->k[j][i] - k[i]) / (double)n;
                v[i] += (m->v[j][i] - v[i]) / (double)n;
            }
        }
    return n;
}

/* One head's query of a token; far: as it is behind all windows. */
static void attend(struct naive *s, size_t layer, size_t head, size_t token, const double *q,
                   const double *far, double *y)
{
    struct memory *m = &s->memories[layer][head / GROUP];
    double weights[MOST_TOKENS], k[HEAD], v[HEAD], sum = 0, lost = 0;
    for (size_t i = 0; i < HEAD && is_voter(s, token); i++)
        m->features[i] += q[i] * q[i];
    size_t n_lost = find_lost(s, layer, head / GROUP, token, k, v);
    for (size_t i = 0; i < HEAD; i++)
        lost += q[i] * k[i];
    sum = lost = (double)n_lost * exp(lost / sqrt(HEAD));
    for (size_t j = 0; j <= token; j++) {
        double score = 0;
        bool sees =
            !m->is_gone[j] && is_seen(s->policy, s->tiny->window, layer, head / GROUP, token, j);
        bool is_far = !sees && s->policy->kind == LAC_KV_MEMORY && !s->tiny->window;
        for (size_t i = 0; i < HEAD; i++)
            score += is_far ? far[i] * m->first[j][i] : q[i] * m->k[j][i];
        sees = sees || is_far;
        weights[j] = sees ? exp(score / sqrt(HEAD)) : 0;
        sum += weights[j];
    }
    for (size_t i = 0; i < HEAD; i++)
        y[i] = lost / sum * v[i];
    for (size_t j = 0; j <= token; j++) {
        for (size_t i = 0; i < HEAD; i++)
            y[i] += weights[j] / sum * m->v[j][i];
        m->votes[j] += is_voter(s, token) ? weights[j] / sum : 0;
    }
}

static void run_attention(struct naive *s, size_t layer, size_t token, const double *x, double *y)
{
    double q[HIDDEN], k[HIDDEN / GROUP], v[HIDDEN / GROUP], far[HIDDEN];
    multiply(tensor(s->tiny, layer, "self_attn.q_proj"), HIDDEN, HIDDEN, x, q);
    multiply(tensor(s->tiny, layer, "self_attn.k_proj"), HIDDEN / GROUP, HIDDEN, x, k);
    multiply(tensor(s->tiny, layer, "self_attn.v_proj"), HIDDEN / GROUP, HIDDEN, x, v);
    memcpy(far, q, sizeof far);
    turn(far, HEADS, (blocks_left(s->policy) + 1) * BLOCK);
    for (size_t head = 0; head < KV_HEADS; head++)
        memcpy(s->memories[layer][head].first[token], k + head * HEAD, HEAD * sizeof *k);
    turn(q, HEADS, token);
    turn(k, KV_HEADS, token);
    for (size_t head = 0; head < KV_HEADS; head++) {
        memcpy(s->memories[layer][head].k[token], k + head * HEAD, HEAD * sizeof *k);
        memcpy(s->memories[layer][head].v[token], v + head * HEAD, HEAD * sizeof *v);
    }
    for (size_t head = 0; head < HEADS; head++)
        attend(s, layer, head, token, q + head * HEAD, far + head * HEAD, y + head * HEAD);
}

static void run_layer(struct naive *s, size_t layer, size_t token, double *h)
{
    double x[HIDDEN], y[HIDDEN], gate[FFN], up[FFN];
    norm(tensor(s->tiny, layer, "input_layernorm"), h, x);
    run_attention(s, layer, token, x, y);
    multiply(tensor(s->tiny, layer, "self_attn.o_proj"), HIDDEN, HIDDEN, y, x);
    for (size_t f = 0; f < HIDDEN; f++)
        h[f] += x[f];
    norm(tensor(s->tiny, layer, "post_attention_layernorm"), h, x);
    multiply(tensor(s->tiny, layer, "mlp.gate_proj"), FFN, HIDDEN, x, gate);
    multiply(tensor(s->tiny, layer, "mlp.up_proj"), FFN, HIDDEN, x, up);
    for (size_t f = 0; f < FFN; f++)
        up[f] *= gate[f] / (1 + exp(-gate[f]));
    multiply(tensor(s->tiny, layer, "mlp.down_proj"), HIDDEN, FFN, up, y);
    for (size_t f = 0; f < HIDDEN; f++)
        h[f] += y[f];
}

/* ---- What is chosen ---- */

/* Do heads choose before this token? */
static bool is_place(const struct lac_kv_policy *p, size_t n_prompt, size_t token)
{
    if (p->kind == LAC_KV_HEAVY && token > n_prompt)
        return token % BLOCK == 0;
    return (p->kind == LAC_KV_SNAP || p->kind == LAC_KV_HEAVY || compacts(p)) && token == n_prompt;
}

static size_t budget_of(const struct lac_kv_policy *p, size_t layer)
{
    return p->n_layer_budgets ? p->layer_budgets[layer] : p->n_budget;
}

/* The last keys, which stay whatever their votes. */
static size_t tail_of(const struct lac_kv_policy *p, size_t layer)
{
    if (p->kind == LAC_KV_SNAP || compacts(p))
        return p->n_observed ? p->n_observed : OBSERVED;
    return p->n_window ? p->n_window : budget_of(p, layer) - budget_of(p, layer) / 2;
}

/* Whole pages of what is over the budget. */
static size_t n_dropped(size_t n_kept, size_t budget)
{
    return n_kept > budget ? (n_kept - budget) / PAGE * PAGE : 0;
}

/* A key has the most votes of those round it that are there. */
static double rank_of(const struct naive *s, const struct memory *m, size_t tail, size_t j)
{
    size_t side = s->policy->kind == LAC_KV_SNAP ? POOLED : 0;
    double most = 0;
    for (size_t k = j < side ? 0 : j - side; k < tail && k <= j + side; k++)
        most = fmax(most, m->votes[k]);
    return most;
}

/* Below `tail`, one key after another goes: that with the fewest votes, of equals the first. */
static void drop_keys(struct naive *s, struct memory *m, size_t tail, size_t n)
{
    double ranks[MOST_TOKENS], last = 0;
    for (size_t j = 0; j < tail; j++)
        ranks[j] = rank_of(s, m, tail, j);
    for (size_t i = 0; i <= n; i++) {
        size_t least = SIZE_MAX;
        for (size_t j = 0; j < tail; j++)
            if (!m->is_gone[j] && (least == SIZE_MAX || ranks[j] < ranks[least]))
                least = j;
        if (least == SIZE_MAX)
            break; /* all but the tail are gone */
        if (i == n && n && ranks[least] > last && ranks[least] - last < 1e-5 * last)
            s->is_close = true;
        m->is_gone[least] = i < n;
        last = ranks[least];
    }
}

/* One key of every head of a layer that chooses. */
struct step {
    double before; /* share of the layer's votes that those before it have */
    size_t layer;
};

static int by_share(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    return x->before < y->before ? -1 : x->before > y->before;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* A layer's keys but the tail's, those with the most votes first. */
static void list_steps(const struct naive *s, size_t layer, size_t tail, struct step *steps)
{
    double sum[MOST_TOKENS] = {0}, total = 0, before = 0;
    for (size_t head = 0; head < KV_HEADS; head++) {
        double votes[MOST_TOKENS];
        memcpy(votes, s->memories[layer][head].votes, sizeof votes);
        qsort(votes, tail, sizeof *votes, falling);
        for (size_t j = 0; j < tail && !retrieves(s->policy, layer, head); j++)
            sum[j] += votes[j];
    }
    for (size_t j = 0; j < tail; j++)
        total += sum[j];
    for (size_t j = 0; j < tail; before += sum[j] / total, j++)
        steps[j] = (struct step){before, layer};
}

/* Layers take one key more each in the order of what they have, as long as there are any. */
static void deal(struct naive *s, size_t token)
{
    struct step steps[LAYERS * MOST_TOKENS];
    size_t last = tail_of(s->policy, 0), tail = token - last;
    size_t n_left = LAYERS * (s->policy->n_budget - last), n = LAYERS * tail;
    for (size_t layer = 0; layer < LAYERS; layer++) {
        list_steps(s, layer, tail, steps + layer * tail);
        s->budgets[layer] = last;
    }
    qsort(steps, n, sizeof *steps, by_share);
    for (size_t i = 0; i < n_left && i < n; i++)
        s->budgets[steps[i].layer]++;
    if (n_left && n_left < n && steps[n_left].before - steps[n_left - 1].before < 1e-6)
        s->is_close = true;
}

/* Keys of the head before `end` keep the features that are large in them and in queries, fours of
 * them. */
static void thin(struct naive *s, struct memory *m, size_t end)
{
    size_t n_kept = (size_t)ceil(s->policy->share * HEAD / 4);
    double size[HEAD / 4] = {0}, last = 0;
    bool is_kept[HEAD / 4] = {0};
    for (size_t f = 0; f < HEAD; f++) {
        double squares = 0;
        for (size_t j = 0; j < end; j++)
            squares += m->k[j][f] * m->k[j][f];
        size[f / 4] += squares * m->features[f];
    }
    for (size_t i = 0; i <= n_kept && i < HEAD / 4; i++) {
        size_t best = SIZE_MAX;
        for (size_t d = 0; d < HEAD / 4; d++)
            if (!is_kept[d] && (best == SIZE_MAX || size[d] > size[best]))
                best = d;
        s->is_close = s->is_close || (i == n_kept && last - size[best] < 1e-4 * last);
        is_kept[best] = i < n_kept;
        last = size[best];
    }
    for (size_t j = 0; j < end; j++)
        for (size_t f = 0; f < HEAD; f++)
            m->k[j][f] *= is_kept[f / 4];
}

/* To 8 bits, the scale being a power of 2. */
static void round_row(double *x)
{
    double most = 0, scale = ldexp(1, -100);
    for (size_t f = 0; f < HEAD; f++)
        most = fmax(most, fabs(x[f]));
    while (most > 127 * scale)
        scale *= 2;
    for (size_t f = 0; f < HEAD; f++)
        x[f] = nearbyint(x[f] / scale) * scale;
}

/* How many keys below `tail` have that share of a layer's votes, in each head the largest. */
static size_t count_share(struct naive *s, size_t layer, size_t tail)
{
    struct step steps[MOST_TOKENS];
    list_steps(s, layer, tail, steps);
    size_t n = 0;
    while (n < tail && steps[n].before < s->policy->share) {
        s->is_close = s->is_close || fabs(steps[n].before - s->policy->share) < 1e-5;
        n++;
    }
    s->is_close = s->is_close || (n < tail && steps[n].before - s->policy->share < 1e-5);
    return n;
}

/* Of the first `tail` keys of the head those with the fewest votes are rounded, whole pages. */
static void zip(struct naive *s, struct memory *m, size_t tail, size_t n_stay)
{
    size_t n = (tail - n_stay) / PAGE * PAGE;
    bool is_low[MOST_TOKENS] = {0};
    double last = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t least = SIZE_MAX;
        for (size_t j = 0; j < tail; j++)
            if (!is_low[j] && (least == SIZE_MAX || m->votes[j] < m->votes[least]))
                least = j;
        if (least == SIZE_MAX)
            break;
        if (i == n && n && m->votes[least] - last < 1e-5 * last)
            s->is_close = true;
        is_low[least] = i < n;
        last = m->votes[least];
    }
    for (size_t j = 0; j < tail; j++)
        if (is_low[j]) {
            round_row(m->k[j]);
            round_row(m->v[j]);
        }
}

static void compact(struct naive *s, size_t token)
{
    for (size_t layer = 0; layer < LAYERS && !s->tiny->window; layer++) {
        size_t tail = token - tail_of(s->policy, layer);
        size_t n_stay = s->policy->kind == LAC_KV_ZIP ? count_share(s, layer, tail) : 0;
        for (size_t head = 0; head < KV_HEADS; head++) {
            if (retrieves(s->policy, layer, head))
                continue;
            if (s->policy->kind == LAC_KV_ZIP)
                zip(s, &s->memories[layer][head], tail, n_stay);
            else
                thin(s, &s->memories[layer][head], tail / PAGE * PAGE);
        }
    }
}

static void choose(struct naive *s, size_t token)
{
    if (compacts(s->policy)) {
        compact(s, token);
        return;
    }
    for (size_t layer = 0; layer < LAYERS; layer++)
        s->budgets[layer] = budget_of(s->policy, layer);
    if (s->policy->deal == LAC_KV_BY_MASS && !s->tiny->window && token > s->policy->n_budget)
        deal(s, token);
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t head = 0; head < KV_HEADS; head++) {
            struct memory *m = &s->memories[layer][head];
            size_t n_kept = 0;
            for (size_t j = 0; j < token; j++)
                n_kept += !m->is_gone[j];
            size_t n = n_dropped(n_kept, s->budgets[layer]);
            if (n && !s->tiny->window && !retrieves(s->policy, layer, head))
                drop_keys(s, m, token - tail_of(s->policy, layer), n);
        }
}

bool naive_score(const struct tiny *t, const struct lac_kv_policy *p, const int32_t *ids, size_t n,
                 size_t n_prompt, double *log_probabilities)
{
    struct naive *s = calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->tiny = t;
    s->policy = p;
    s->n_prompt = n_prompt;
    for (size_t i = 0; i + 1 < n; i++) {
        double h[HIDDEN], x[HIDDEN], logits[N_WORDS], sum = 0;
        if (is_place(p, n_prompt, i))
            choose(s, i);
        for (size_t f = 0; f < HIDDEN; f++)
            h[f] = (double)tensor(t, LAYERS, "model.embed_tokens")[(size_t)ids[i] * HIDDEN + f];
        for (size_t layer = 0; layer < LAYERS; layer++)
            run_layer(s, layer, i, h);
        norm(tensor(t, LAYERS, "model.norm"), h, x);
        multiply(tensor(t, LAYERS, "lm_head"), N_WORDS, HIDDEN, x, logits);
        for (size_t w = 0; w < N_WORDS; w++)
            sum += exp(logits[w]);
        log_probabilities[i] = logits[ids[i + 1]] - log(sum);
    }
    bool is_sure = !s->is_close;
    free(s);
    return is_sure;
}

/* ---- What is kept ---- */

static size_t chosen_pages(const struct lac_kv_policy *p, size_t layer, size_t sure, size_t n,
                           size_t n_prompt)
{
    size_t n_kept = 0;
    for (size_t token = 0; token < n; token++, n_kept++)
        if (token <= sure && is_place(p, n_prompt, token))
            n_kept -= n_dropped(n_kept, budget_of(p, layer));
    if (n <= sure && is_place(p, n_prompt, n))
        n_kept -= n_dropped(n_kept, budget_of(p, layer));
    return (n_kept + PAGE - 1) / PAGE;
}

/* The blocks that some query in the block of the next one may see. */
static size_t seen_pages(const struct lac_kv_policy *p, size_t window, size_t layer, size_t head,
                         size_t sure, size_t n)
{
    size_t total = 0, own = sure / BLOCK;
    for (size_t first = 0; first < n; first += PAGE) {
        bool needed = false;
        for (size_t query = own * BLOCK; query < (own + 1) * BLOCK; query++)
            for (size_t j = first / BLOCK * BLOCK; j < (first / BLOCK + 1) * BLOCK; j++)
                needed = needed || (j <= query && is_seen(p, window, layer, head, query, j));
        total += needed || first / BLOCK > own;
    }
    return total;
}

size_t naive_pages(const struct lac_kv_policy *p, size_t window, size_t sure, size_t n,
                   size_t n_prompt)
{
    size_t total = 0;
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t head = 0; head < KV_HEADS; head++) {
            bool chooses = p->kind == LAC_KV_SNAP || p->kind == LAC_KV_HEAVY;
            if (p->kind == LAC_KV_MEMORY && !window && !retrieves(p, layer, head))
                total += (n + PAGE - 1) / PAGE;
            total += chooses && !window && !retrieves(p, layer, head)
                         ? chosen_pages(p, layer, sure, n, n_prompt)
                         : seen_pages(p, window, layer, head, sure, n);
        }
    return total;
}
