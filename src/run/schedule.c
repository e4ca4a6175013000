/* SPDX-License-Identifier: Apache-2.0 */
/* Any number of sequences on all workers: which go together, and who runs them. */
#include "src/run/schedule.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/trial.h"

/* ---- What a sequence costs ---- */

/* Weights stored of a layer, by number. */
static size_t n_stored(const struct lac_network *network)
{
    const struct lac_layer *layer = &network->layers[0];
    const struct lac_linear *linears[] = {&layer->query, &layer->key, &layer->value,
                                          &layer->mix,   &layer->up,  &layer->down};
    size_t n = 0;
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        const struct lac_weight *w = &linears[i]->weight;
        n += w->n_blocks * lac_block_bytes(w->pattern, w->dtype) / 4 * lac_dword_inputs(w->dtype);
    }
    return n;
}

/* Multiplications in int8 that take as long as one in the network's linear layers. */
static size_t int8_gain(const struct lac_network *network)
{
    return lac_dtype_is_quantized(network->dtype) ? 1 : 4;
}

/* The same for multiplications of attention, softmax included: measured. */
static size_t attention_gain(const struct lac_network *network)
{
    return lac_dtype_is_quantized(network->dtype) ? 2 : 4;
}

/* Keys for which a query's attention takes as long as the token's linear layers: those multiply
 * each stored weight once, attention does 2 * hidden multiplications a key. */
static size_t crossover(const struct lac_network *network)
{
    size_t a_key = 2 * network->config.hidden_size * attention_gain(network);
    return n_stored(network) * int8_gain(network) / a_key + 1;
}

/* A layer has nine barriers when rows are shared, of about a microsecond each: with fewer
 * multiplications than this (a third of a microsecond each million) they are not worth it. */
enum { TEAM_WORK = 4000000 };

static bool is_worth_a_team(const struct lac_network *network, const struct lac_sequence *s)
{
    size_t n_lanes = lac_round_up(s->n_tokens, LAC_LANES);
    return (double)n_stored(network) * (double)(int8_gain(network) * n_lanes) >= TEAM_WORK;
}

/* Keys that a token in the middle of a sequence sees, about: of layers on average. */
static size_t keys_seen(const struct lac_workspace *w, size_t n_tokens)
{
    const struct lac_config *config = &w->network->config;
    const struct lac_sight_queries query = {
        .first = (ptrdiff_t)(n_tokens / 2), .lanes = 1, .n_keys = n_tokens};
    size_t n_blocks = 0;
    for (size_t i = 0; i < config->n_layers; i++)
        n_blocks += lac_sight_count(w->sights->rules[i * config->n_heads], &query);
    return lac_min_size(n_tokens, n_blocks * LAC_KEY_BLOCK / config->n_layers);
}

static size_t cost_of(const struct lac_workspace *w, const struct lac_sequence *s,
                      size_t crossover_keys)
{
    return s->n_tokens * (crossover_keys + keys_seen(w, s->n_tokens));
}

/* Longest first; equal lengths in the order of their addresses, which is that of the session. */
static int longer_first(const void *a, const void *b)
{
    const struct lac_sequence *x = *(const struct lac_sequence *const *)a;
    const struct lac_sequence *y = *(const struct lac_sequence *const *)b;
    if (x->n_tokens != y->n_tokens)
        return x->n_tokens > y->n_tokens ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* ---- Which sequences go together ---- */

/* Cuts order[begin, end) into groups as it lies; returns how many. */
static size_t cut_in_order(const struct lac_workspace *w, size_t begin, size_t end,
                           struct lac_group *groups)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i++) {
        size_t n_tokens = w->order[i]->n_tokens;
        if (n && groups[n - 1].n_tokens + n_tokens <= w->batch_tokens)
            groups[n - 1].n_tokens += n_tokens;
        else
            groups[n++] = (struct lac_group){.begin = i, .n_tokens = n_tokens};
        groups[n - 1].end = i + 1;
    }
    return n;
}

/* Puts each sequence of order[begin, end), longest first, into the group of least cost that has
 * room (Graham 1969: at most a third over the best split); a new group where none has.  Returns
 * how many there are; w->bin says which is whose, group.end how many sequences it has. */
static size_t fill_bins(struct lac_workspace *w, size_t begin, size_t end, size_t n_bins,
                        struct lac_group *groups, size_t *cost)
{
    memset(groups, 0, n_bins * sizeof *groups);
    memset(cost, 0, n_bins * sizeof *cost);
    size_t c = crossover(w->network);
    for (size_t i = begin; i < end; i++) {
        size_t n_tokens = w->order[i]->n_tokens, best = n_bins;
        for (size_t b = 0; b < n_bins; b++)
            if ((!groups[b].n_tokens || groups[b].n_tokens + n_tokens <= w->batch_tokens) &&
                (best == n_bins || cost[b] < cost[best]))
                best = b;
        if (best == n_bins) {
            groups[n_bins] = (struct lac_group){0};
            cost[n_bins++] = 0;
        }
        w->bin[i] = best;
        groups[best].n_tokens += n_tokens;
        groups[best].end++;
        cost[best] += cost_of(w, w->order[i], c);
    }
    return n_bins;
}

/* Brings order[begin, end) into the order of its bins. */
static void sort_bins(struct lac_workspace *w, size_t begin, size_t end, size_t n_bins,
                      struct lac_group *groups)
{
    size_t at = begin;
    for (size_t b = 0; b < n_bins; b++) {
        groups[b].begin = at;
        at += groups[b].end;
        groups[b].end = groups[b].begin;
    }
    for (size_t i = begin; i < end; i++)
        w->sorted[groups[w->bin[i]].end++] = w->order[i];
    memcpy(w->order + begin, w->sorted + begin, (end - begin) * sizeof *w->order);
}

/* Groups of the schedule: n_shared for the team, then n_own for one worker each. */
struct schedule {
    size_t n_shared, n_own;
};

/* Groups a worker beyond which taking turns evens out their sizes by itself. */
enum { MANY_TURNS = 8 };

/* An even share may be exceeded by this factor, which the barriers of the alternative cost. */
static bool is_uneven(size_t most, size_t total, size_t n_workers)
{
    return (double)most * (double)n_workers > 1.2 * (double)total;
}

static size_t sum_tokens(const struct lac_workspace *w, size_t begin, size_t end)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i++)
        n += w->order[i]->n_tokens;
    return n;
}

static size_t max_of(const size_t *costs, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = lac_max_size(most, costs[i]);
    return most;
}

static size_t sum_of(const size_t *costs, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += costs[i];
    return sum;
}

/* Makes groups for single workers of order[n_team, n), unless they come out uneven and the longest
 * sequence, the first, is worth a team; returns how many, 0 for none. */
static size_t share_out(struct lac_workspace *w, size_t n_team, size_t n, size_t n_workers,
                        struct lac_group *groups)
{
    size_t n_turns = lac_ceil_div(sum_tokens(w, n_team, n), n_workers * w->batch_tokens);
    if (n_turns > MANY_TURNS)
        return cut_in_order(w, n_team, n, groups);
    size_t n_bins = lac_min_size(n_turns * n_workers, n - n_team);
    n_bins = fill_bins(w, n_team, n, n_bins, groups, w->cost);
    size_t most = max_of(w->cost, n_bins), total = sum_of(w->cost, n_bins);
    if (is_uneven(most * n_turns, total, n_workers) &&
        is_worth_a_team(w->network, w->order[n_team]))
        return 0;
    sort_bins(w, n_team, n, n_bins, groups);
    return n_bins;
}

/* Gives the longest sequences to the team until single workers share the rest evenly. */
static struct schedule plan_groups(struct lac_workspace *w, size_t n, size_t n_workers)
{
    struct schedule s = {0};
    if (n_workers > 1)
        qsort(w->order, n, sizeof *w->order, longer_first);
    else
        s.n_own = cut_in_order(w, 0, n, w->groups);
    for (size_t n_team = 0; n_team < n && !s.n_own; n_team++) {
        s.n_shared = cut_in_order(w, 0, n_team, w->groups);
        s.n_own = share_out(w, n_team, n, n_workers, w->groups + s.n_shared);
    }
    if (!s.n_own)
        s.n_shared = cut_in_order(w, 0, n, w->groups);
    return s;
}

/* ---- Running ---- */

struct run {
    struct lac_workspace *workspace;
    struct schedule schedule;
    atomic_size_t next; /* group that no worker has taken yet */
};

static void run_group(struct lac_workspace *w, const struct lac_group *group,
                      const struct lac_team *team, size_t rank, struct lac_region *region)
{
    struct lac_forward forward = {
        .network = w->network,
        .sights = w->sights,
        .trial = w->trial,
        .head = &w->head,
        .region = region,
        .sequences = w->order + group->begin,
        .n_sequences = group->end - group->begin,
        .n_tokens = group->n_tokens,
    };
    lac_forward_run(team, rank, &forward);
}

static void run_member(const struct lac_team *team, size_t rank, void *arg)
{
    struct run *run = arg;
    struct lac_workspace *w = run->workspace;
    size_t n_shared = run->schedule.n_shared, n = n_shared + run->schedule.n_own;
    for (size_t i = 0; i < n_shared; i++) {
        run_group(w, &w->groups[i], team, rank, &w->shared);
        lac_team_barrier(team, rank);
    }
    if (rank >= run->schedule.n_own) /* has no region */
        return;
    for (size_t i; (i = atomic_fetch_add(&run->next, 1)) < n;)
        run_group(w, &w->groups[i], &lac_team_self, 0, &w->own[rank]);
}

static size_t most_tokens(const struct lac_group *groups, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = lac_max_size(most, groups[i].n_tokens);
    return most;
}

static enum lac_status reserve_regions(struct lac_workspace *w, const struct schedule *s,
                                       struct lac_error *error)
{
    size_t n_workers = lac_pool_size(w->pool);
    enum lac_status status = LAC_OK;
    if (s->n_shared)
        status = lac_region_reserve(&w->shared, w->network, &w->head, n_workers,
                                    most_tokens(w->groups, s->n_shared), 0, 0, error);
    size_t n_tokens = most_tokens(w->groups + s->n_shared, s->n_own);
    for (size_t i = 0; i < lac_min_size(n_workers, s->n_own) && !status; i++)
        status = lac_region_reserve(&w->own[i], w->network, &w->head, 1, n_tokens, 0, 0, error);
    return status;
}

static enum lac_status reserve_order(struct lac_workspace *w, size_t n, struct lac_error *error)
{
    if (n <= w->capacity)
        return LAC_OK;
    const struct lac_host *host = w->host;
    size_t capacity = lac_max_size(n, lac_min_size(w->capacity * 2, SIZE_MAX / 2));
    const struct lac_sequence **order = lac_alloc(host, capacity, sizeof *order);
    const struct lac_sequence **sorted = lac_alloc(host, capacity, sizeof *sorted);
    size_t *bin = lac_alloc(host, capacity, sizeof *bin);
    size_t *cost = lac_alloc(host, capacity, sizeof *cost);
    struct lac_group *groups = lac_alloc(host, capacity, sizeof *groups);
    bool is_good = order && sorted && bin && cost && groups;
    lac_free(host, is_good ? w->order : order);
    lac_free(host, is_good ? w->sorted : sorted);
    lac_free(host, is_good ? w->bin : bin);
    lac_free(host, is_good ? w->cost : cost);
    lac_free(host, is_good ? w->groups : groups);
    if (!is_good)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu sequences", n);
    w->order = order;
    w->sorted = sorted;
    w->bin = bin;
    w->cost = cost;
    w->groups = groups;
    w->capacity = capacity;
    return LAC_OK;
}

enum lac_status lac_workspace_run(struct lac_workspace *w, const struct lac_sequence *sequences,
                                  size_t n, struct lac_error *error)
{
    enum lac_status status = reserve_order(w, n, error);
    if (status)
        return status;
    bool is_listed = lac_head_keep(&w->head) == LAC_KEEP_LISTED;
    size_t n_busy = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_listed || sequences[i].n_kept)
            w->order[n_busy++] = &sequences[i];
    if (!n_busy)
        return LAC_OK;
    struct run run = {.workspace = w};
    run.schedule = plan_groups(w, n_busy, lac_pool_size(w->pool));
    atomic_init(&run.next, run.schedule.n_shared);
    status = reserve_regions(w, &run.schedule, error);
    if (status)
        return status;
    if (!run.schedule.n_shared && run.schedule.n_own == 1) /* nothing to share, nobody to wake */
        run_group(w, &w->groups[0], &lac_team_self, 0, &w->own[0]);
    else
        lac_pool_run(w->pool, run_member, &run);
    return LAC_OK;
}

/* Beyond any use, and a product with the number of workers still fits. */
enum { MOST_BATCH_TOKENS = 1 << 20 };

static void want_picks(struct lac_workspace *w, bool has_picks)
{
    w->shared.has_picks = has_picks;
    for (size_t i = 0; i < lac_pool_size(w->pool); i++)
        w->own[i].has_picks = has_picks;
}

enum lac_status lac_workspace_open(struct lac_workspace *w, const struct lac_host *host,
                                   const struct lac_network *network, struct lac_pool *pool,
                                   const struct lac_head *head, const struct lac_sights *sights,
                                   size_t batch_tokens, struct lac_error *error)
{
    size_t n_workers = lac_pool_size(pool);
    *w = (struct lac_workspace){
        .host = host,
        .network = network,
        .pool = pool,
        .head = *head,
        .batch_tokens = lac_max_size(1, lac_min_size(batch_tokens, MOST_BATCH_TOKENS)),
        .sights = sights ? sights : &network->sights,
        .shared = {.host = host},
    };
    w->own = lac_alloc_zero(host, n_workers, sizeof *w->own);
    if (!w->own)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu workers", n_workers);
    for (size_t i = 0; i < n_workers; i++)
        w->own[i].host = host;
    want_picks(w, w->sights->pick_unit);
    return LAC_OK;
}

void lac_workspace_try(struct lac_workspace *w, const struct lac_trial *trial)
{
    w->trial = trial;
    want_picks(w, w->sights->pick_unit || trial->pick_unit);
}

void lac_workspace_close(struct lac_workspace *w)
{
    for (size_t i = 0; w->own && i < lac_pool_size(w->pool); i++)
        lac_region_clear(&w->own[i]);
    if (w->own)
        lac_region_clear(&w->shared);
    lac_free(w->host, w->own);
    lac_free(w->host, w->order);
    lac_free(w->host, w->sorted);
    lac_free(w->host, w->bin);
    lac_free(w->host, w->cost);
    lac_free(w->host, w->groups);
    *w = (struct lac_workspace){0};
}
