/* SPDX-License-Identifier: Apache-2.0 */
/* What neighbourhoods on a grid show. */
#include "src/base/checked.h"
#include "sparse/sight_terms.h"

/* What a coordinate sees along its axis: [begin, end), every dilation-th from begin on. */
struct reach {
    size_t begin, end, dilation;
};

static struct reach reach_of(const struct lac_sight_axis *axis, size_t at)
{
    /* Every dilation-th token is an axis of its own, of this many tokens. */
    size_t phase = 0, own = at, n = axis->size;
    if (axis->dilation > 1) {
        phase = at % axis->dilation;
        own = at / axis->dilation;
        n = lac_ceil_div(axis->size - phase, axis->dilation);
    }
    size_t window = lac_min_size(axis->window, n);
    size_t middle = lac_min_size(own / axis->stride * axis->stride + axis->stride / 2, n - 1);
    size_t begin = middle > window / 2 ? middle - window / 2 : 0;
    begin = lac_min_size(begin, n - window);
    return (struct reach){phase + begin * axis->dilation,
                          phase + (begin + window - 1) * axis->dilation + 1, axis->dilation};
}

static bool reaches(struct reach r, size_t at)
{
    return r.begin <= at && at < r.end && (r.dilation == 1 || (at - r.begin) % r.dilation == 0);
}

/* Tokens to a step along an axis. */
static size_t step_of(const struct lac_sight_neighbours *g, size_t axis)
{
    size_t step = 1;
    for (size_t i = axis + 1; i < g->n_axes; i++)
        step *= g->axes[i].size;
    return step;
}

static size_t grid_size(const struct lac_sight_neighbours *g)
{
    return step_of(g, 0) * g->axes[0].size;
}

/* The coordinate along axis i of what is left of a place within the grid; *left: what the axes
 * before it get.  Divisions are what lists take their time with: the first axis needs none. */
static size_t next_coordinate(const struct lac_sight_neighbours *g, size_t i, size_t *left)
{
    size_t at = *left;
    if (!i)
        return at;
    *left = at / g->axes[i].size;
    return at % g->axes[i].size;
}

/* A line of tokens along the last axis: does the query see it at all? */
static bool reaches_line(const struct lac_sight_neighbours *g, const struct reach *reach,
                         size_t line)
{
    for (size_t i = g->n_axes - 1; i-- > 0;)
        if (!reaches(reach[i], next_coordinate(g, i, &line)))
            return false;
    return true;
}

uint64_t lac_neighbours_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const struct lac_sight_neighbours *g = &p->term->as.neighbours;
    const size_t last = g->n_axes - 1, length = g->axes[last].size;
    struct reach reach[LAC_SIGHT_MOST_AXES];
    size_t first = block * LAC_KEY_BLOCK, end = lac_min_size(first + LAC_KEY_BLOCK, grid_size(g));
    uint64_t bits = 0;
    if (query >= grid_size(g))
        return 0;
    for (size_t i = g->n_axes, left = query; i-- > 0;)
        reach[i] = reach_of(&g->axes[i], next_coordinate(g, i, &left));
    for (size_t line = first / length; line * length < end; line++) {
        if (!reaches_line(g, reach, line))
            continue;
        size_t from = line * length + reach[last].begin, to = line * length + reach[last].end;
        if (reach[last].dilation == 1)
            bits |= lac_block_bits(block, from, to);
        else
            for (size_t key = from; key < to; key += reach[last].dilation)
                bits |= lac_block_bits(block, key, key + 1);
    }
    return bits;
}

/* By the first axis alone, along which positions are in order. */
size_t lac_neighbours_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_neighbours *g = &p->term->as.neighbours;
    const struct lac_sight_axis *axis = &g->axes[0];
    size_t step = step_of(g, 0), end = lac_min_size(queries.end, grid_size(g));
    if (queries.begin >= end)
        return SIZE_MAX;
    size_t low = SIZE_MAX, high = 0;
    for (size_t at = queries.begin / step; at <= (end - 1) / step; at++) {
        struct reach r = reach_of(axis, at);
        low = lac_min_size(low, r.begin * step);
        high = lac_max_size(high, r.end * step);
    }
    block = lac_max_size(block, low / LAC_KEY_BLOCK);
    return block * LAC_KEY_BLOCK < high ? block : SIZE_MAX;
}

bool lac_neighbours_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    (void)p;
    (void)queries;
    (void)block;
    return false; /* masks tell */
}

/* Groups of 16 and more whose windows do not overlap.  Where they do, lists together are shorter
 * than all of them: of windows of 32 that move by 16 lists for 16 queries have 0.6 times the pages,
 * and take 1.2 times as long. */
size_t lac_neighbours_end(const struct lac_sight_place *p, size_t query)
{
    const struct lac_sight_neighbours *g = &p->term->as.neighbours;
    const struct lac_sight_axis *axis = &g->axes[g->n_axes - 1];
    if (axis->dilation > 1 || axis->stride < 16 || axis->stride < axis->window)
        return SIZE_MAX;
    size_t at = query % axis->size, end = (at / axis->stride + 1) * axis->stride;
    return query - at + lac_min_size(end, axis->size);
}
