/* SPDX-License-Identifier: Apache-2.0 */
/* The head of decoders: logits of a few hundred words at a time, and what is kept of them. */
#include "src/run/next.h"

#include <math.h>

#include "src/run/steps.h"

/* ---- What the head reads: the last norm, a projection ---- */

static void step_norm(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    const struct lac_config *config = &m->network->config;
    const float *h = lac_tile_f32(m->h, tile.index, config->hidden_size);
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    if (config->has_final_norm)
        lac_run_norm(m, &m->network->final_norm, tile, lane, n_lanes, h,
                     is_quantized ? NULL : lac_tile_x(m, tile));
    else
        lac_run_quantize(m, tile, lane, n_lanes, h, config->hidden_size, NULL);
}

static struct lac_input normed(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_config *config = &m->network->config;
    return lac_input_of(m, tile,
                        config->has_final_norm
                            ? lac_tile_x(m, tile)
                            : lac_tile_f32(m->h, tile.index, config->hidden_size));
}

static float *projected(const struct lac_member *m, struct lac_tile tile)
{
    return lac_tile_f32(m->region->a, tile.index, m->network->config.embedding_size);
}

static void step_project(const struct lac_member *m, const struct lac_layer *layer,
                         struct lac_tile tile, struct lac_rows rows)
{
    (void)layer;
    struct lac_output y = {.y = projected(m, tile)};
    lac_run_linear(&m->network->project_out, tile, rows, normed(m, tile), y);
}

static void step_quantize_projected(const struct lac_member *m, const struct lac_layer *layer,
                                    struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    lac_run_quantize(m, tile, lane, n_lanes, projected(m, tile), m->network->config.embedding_size,
                     NULL);
}

static const struct lac_linear *project_out(const struct lac_member *m,
                                            const struct lac_layer *layer)
{
    (void)layer;
    return &m->network->project_out;
}

static const struct lac_step norm_steps[] = {{.lanes = step_norm}, {0}};
static const struct lac_step project_steps[] = {
    {.rows = step_project, .linear = project_out},
    {.lanes = step_quantize_projected},
    {0},
};

static struct lac_input head_input(const struct lac_member *m, struct lac_tile tile)
{
    if (m->network->project_out.name)
        return lac_input_of(m, tile, projected(m, tile));
    return normed(m, tile);
}

/* ---- Parts of the vocabulary ---- */

static bool is_better(struct lac_logit a, struct lac_logit b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Into a list of the n best, best first, of which there are *n_found. */
static void keep_best(struct lac_logit *top, size_t n, size_t *n_found, struct lac_logit c)
{
    if (*n_found == n && (!n || !is_better(c, top[n - 1])))
        return;
    size_t at = *n_found < n ? (*n_found)++ : n - 1;
    for (; at && is_better(c, top[at - 1]); at--)
        top[at] = top[at - 1];
    top[at] = c;
}

/* Words [begin, end) of the head, one part. */
struct part {
    size_t index, begin, end;
};

static struct part part_at(const struct lac_member *m, size_t index)
{
    size_t begin = index * LAC_HEAD_ROWS;
    return (struct part){index, begin,
                         lac_min_size(begin + LAC_HEAD_ROWS, m->network->config.vocab_size)};
}

static size_t n_parts(const struct lac_member *m)
{
    return lac_ceil_div(m->network->config.vocab_size, LAC_HEAD_ROWS);
}

/* A member's best words of a token, and how many it has found so far. */
struct found {
    struct lac_logit *top;
    size_t n;
};

static struct lac_logit *own_top(const struct lac_member *m, size_t rank, size_t lane)
{
    return m->region->tops + (rank * LAC_TILE + lane) * LAC_MAX_TOP;
}

/* logits of one token: [end - begin] with a stride. */
static void look_at(const struct lac_member *m, struct part part, const float *logits, size_t ld,
                    size_t lane, const struct lac_next *next, struct found *found)
{
    size_t n = part.end - part.begin;
    for (size_t i = 0; i < n; i++) {
        struct lac_logit c = {(int32_t)(part.begin + i), logits[i * ld]};
        if (found->n < next->n_top || (next->n_top && c.logit > found->top[next->n_top - 1].logit))
            keep_best(found->top, next->n_top, &found->n, c);
    }
    if (next->logits)
        for (size_t i = 0; i < n; i++)
            next->logits[part.begin + i] = logits[i * ld];
    if (!next->wants_sum)
        return;
    struct lac_log_sum sum = {.max = -INFINITY};
    for (size_t i = 0; i < n; i++)
        sum.max = fmaxf(sum.max, logits[i * ld]);
    for (size_t i = 0; i < n; i++)
        sum.sum += expf(logits[i * ld] - sum.max);
    m->region->sums[lane * n_parts(m) + part.index] = sum;
}

static void run_part(const struct lac_member *m, struct lac_tile tile, struct part part,
                     struct found found[LAC_TILE])
{
    float *logits = m->region->logits + m->rank * LAC_TILE * LAC_HEAD_ROWS;
    /* Kernels count rows from the first of the weight: where that would be is never touched. */
    uintptr_t skipped = part.begin * tile.ld * sizeof *logits;
    struct lac_output y = {.y = (float *)((uintptr_t)logits - skipped)};
    struct lac_rows rows = {part.begin, part.end};
    lac_run_linear(&m->network->lm_head, tile, rows, head_input(m, tile), y);
    for (size_t lane = 0; lane < tile.n_tokens; lane++) {
        struct lac_next *next = m->region->next[tile.index * LAC_TILE + lane];
        look_at(m, part, logits + lane, tile.ld, lane, next, &found[lane]);
        if (next->target >= 0 && (size_t)next->target >= part.begin &&
            (size_t)next->target < part.end)
            next->target_logit = logits[((size_t)next->target - part.begin) * tile.ld + lane];
    }
}

/* ---- All of it ---- */

/* Parts are added up in their order, whoever made them. */
static double add_sums(const struct lac_log_sum *sums, size_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmaxf(max, sums[i].max);
    for (size_t i = 0; i < n; i++)
        sum += (double)sums[i].sum * exp((double)sums[i].max - (double)max);
    return (double)max + log(sum);
}

static void join(const struct lac_member *m, struct lac_tile tile, size_t lane)
{
    struct lac_next *next = m->region->next[tile.index * LAC_TILE + lane];
    size_t n = 0;
    for (size_t rank = 0; rank < m->team->size; rank++) {
        const struct lac_logit *top = own_top(m, rank, lane);
        for (size_t i = 0; i < next->n_top && top[i].id >= 0; i++)
            keep_best(next->top, next->n_top, &n, top[i]);
    }
    if (next->wants_sum)
        next->log_sum = add_sums(m->region->sums + lane * n_parts(m), n_parts(m));
}

/* Lists end at the first that was not found. */
static void end_tops(struct lac_tile tile, const struct found found[LAC_TILE])
{
    for (size_t lane = 0; lane < tile.n_tokens; lane++)
        for (size_t i = found[lane].n; i < LAC_MAX_TOP; i++)
            found[lane].top[i].id = -1;
}

void lac_run_next(const struct lac_member *m)
{
    lac_run_steps(m, norm_steps, NULL);
    if (m->network->project_out.name)
        lac_run_steps(m, project_steps, NULL);
    lac_meet(m);
    size_t begin, end;
    lac_team_range(m->team, m->rank, n_parts(m), 1, &begin, &end);
    for (size_t i = 0; i < lac_tiles(m->n_tokens); i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct found found[LAC_TILE];
        for (size_t lane = 0; lane < LAC_TILE; lane++)
            found[lane] = (struct found){own_top(m, m->rank, lane), 0};
        for (size_t part = begin; part < end; part++)
            run_part(m, tile, part_at(m, part), found);
        end_tops(tile, found);
        lac_team_barrier(m->team, m->rank);
        for (size_t lane = m->rank; lane < tile.n_tokens; lane += m->team->size)
            join(m, tile, lane);
        lac_team_barrier(m->team, m->rank);
    }
}
