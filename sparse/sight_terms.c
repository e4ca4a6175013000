/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of term shows. */
#include "sparse/sight_terms.h"

#include "src/base/checked.h"

/* Kernels take queries by groups of 16: shorter stretches are not worth a list of their own. */
enum { SHORTEST_STRETCH = 16 };

static size_t unit_end(size_t query, size_t unit)
{
    return unit < SHORTEST_STRETCH ? SIZE_MAX : (query / unit + 1) * unit;
}

/* The block that unit's first key lies in, but none before `block`. */
static size_t block_of(size_t unit, size_t size, size_t block)
{
    return lac_max_size(block, unit * size / LAC_KEY_BLOCK);
}

static uint64_t unit_bits(size_t block, size_t unit, size_t size)
{
    return lac_block_bits(block, unit * size, (unit + 1) * size);
}

static size_t no_end(const struct lac_sight_place *p, size_t query)
{
    (void)p;
    (void)query;
    return SIZE_MAX;
}

/* ---- All ---- */

static uint64_t all_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    (void)p;
    (void)query;
    (void)block;
    return ~UINT64_C(0);
}

static size_t all_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    (void)p;
    (void)queries;
    return block;
}

static bool all_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    (void)p;
    (void)queries;
    (void)block;
    return true;
}

/* ---- Windows ---- */

static size_t left_of(const struct lac_sight_place *p, size_t query)
{
    const struct lac_sight_window *w = &p->term->as.window;
    size_t length = p->is_causal ? query + 1 : p->n_keys;
    size_t more = (size_t)(w->per_token * (double)length);
    return w->left < SIZE_MAX - more ? w->left + more : SIZE_MAX;
}

/* Units from the first to the last that a query sees, in steps of dilation. */
static struct lac_range window_units(const struct lac_sight_place *p, size_t query)
{
    const struct lac_sight_window *w = &p->term->as.window;
    size_t unit = query / w->block, n = lac_ceil_div(p->n_keys, w->block);
    size_t left = lac_min_size(left_of(p, query), unit / w->dilation);
    size_t right = unit < n ? lac_min_size(w->right, (n - 1 - unit) / w->dilation) : 0;
    return (struct lac_range){unit - left * w->dilation, unit + right * w->dilation + 1};
}

/* Every dilation-th bit from key `phase` of the block on. */
static uint64_t dilated_bits(size_t phase, size_t dilation)
{
    uint64_t bits = 1;
    for (size_t step = dilation; step < LAC_KEY_BLOCK; step *= 2)
        bits |= bits << step;
    return phase < LAC_KEY_BLOCK ? bits << phase : 0;
}

static uint64_t window_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const struct lac_sight_window *w = &p->term->as.window;
    struct lac_range units = window_units(p, query);
    size_t first = block * LAC_KEY_BLOCK, d = w->dilation;
    uint64_t all = lac_block_bits(block, units.begin * w->block, units.end * w->block), bits = 0;
    if (d == 1 || !all)
        return all;
    if (w->block == 1)
        return all & dilated_bits((d + units.begin % d - first % d) % d, d);
    for (size_t u = first / w->block; u * w->block < first + LAC_KEY_BLOCK; u++)
        if (u % d == units.begin % d)
            bits |= unit_bits(block, u, w->block);
    return bits & all;
}

static size_t window_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_window *w = &p->term->as.window;
    size_t left = left_of(p, queries.end - 1), unit = queries.begin / w->block;
    size_t low = left < unit / w->dilation ? (unit - left * w->dilation) * w->block : 0;
    /* The end of keys cuts a dilated window short by up to a step: it does not grow with the query.
     */
    size_t last = (queries.end - 1) / w->block, n = lac_ceil_div(p->n_keys, w->block);
    bool is_cut = last >= n || w->right > (n - 1 - last) / w->dilation;
    size_t high = is_cut ? p->n_keys : (last + w->right * w->dilation + 1) * w->block;
    block = block_of(low, 1, block);
    return block * LAC_KEY_BLOCK < high ? block : SIZE_MAX;
}

static bool window_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_window *w = &p->term->as.window;
    struct lac_range keys = lac_block_keys(block, p->n_keys);
    return w->dilation == 1 && window_units(p, queries.end - 1).begin * w->block <= keys.begin &&
           window_units(p, queries.begin).end * w->block >= keys.end;
}

static size_t window_end(const struct lac_sight_place *p, size_t query)
{
    return unit_end(query, p->term->as.window.block);
}

/* ---- Global tokens ---- */

/* Range i: the first blocks, the last ones, then those listed. */
static struct lac_range global_range(const struct lac_sight_place *p, size_t i)
{
    const struct lac_sight_global *g = &p->term->as.global;
    if (i == 0)
        return (struct lac_range){0, g->n_first * g->block};
    if (i > 1)
        return g->ranges[i - 2];
    size_t n = lac_ceil_div(p->n_keys, g->block);
    return (struct lac_range){(n - lac_min_size(g->n_last, n)) * g->block,
                              g->n_last ? p->n_keys : 0};
}

static size_t n_global(const struct lac_sight_place *p)
{
    return p->term->as.global.n_ranges + 2;
}

/* Does one range hold all of these positions? */
static bool is_within(const struct lac_sight_place *p, struct lac_range positions)
{
    for (size_t i = 0; i < n_global(p); i++) {
        struct lac_range r = global_range(p, i);
        if (r.begin <= positions.begin && positions.end <= r.end)
            return true;
    }
    return false;
}

static bool has_some(const struct lac_sight_place *p, struct lac_range positions)
{
    for (size_t i = 0; i < n_global(p); i++) {
        struct lac_range r = global_range(p, i);
        if (r.begin < positions.end && positions.begin < r.end)
            return true;
    }
    return false;
}

bool lac_global_row(const struct lac_sight_place *p, size_t query)
{
    return p->term->as.global.parts & LAC_SIGHT_ROWS &&
           is_within(p, (struct lac_range){query, query + 1});
}

static uint64_t global_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const unsigned parts = p->term->as.global.parts;
    uint64_t bits = 0;
    if (lac_global_row(p, query))
        return ~UINT64_C(0);
    for (size_t i = 0; parts & LAC_SIGHT_COLUMNS && i < n_global(p); i++)
        bits |= lac_block_bits(block, global_range(p, i).begin, global_range(p, i).end);
    return bits;
}

static size_t global_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const unsigned parts = p->term->as.global.parts;
    size_t next = SIZE_MAX;
    if (parts & LAC_SIGHT_ROWS && has_some(p, queries))
        return block;
    for (size_t i = 0; parts & LAC_SIGHT_COLUMNS && i < n_global(p); i++) {
        struct lac_range r = global_range(p, i);
        if (r.begin < r.end && r.end > block * LAC_KEY_BLOCK)
            next = lac_min_size(next, block_of(r.begin, 1, block));
    }
    return next;
}

static bool global_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const unsigned parts = p->term->as.global.parts;
    return (parts & LAC_SIGHT_ROWS && is_within(p, queries)) ||
           (parts & LAC_SIGHT_COLUMNS && is_within(p, lac_block_keys(block, p->n_keys)));
}

/* Rows see all keys, so they had better be on their own. */
static size_t global_end(const struct lac_sight_place *p, size_t query)
{
    size_t end = SIZE_MAX;
    if (!(p->term->as.global.parts & LAC_SIGHT_ROWS))
        return end;
    for (size_t i = 0; i < n_global(p); i++) {
        struct lac_range r = global_range(p, i);
        if (r.begin >= r.end)
            continue;
        if (query < r.begin)
            end = lac_min_size(end, r.begin);
        else if (query < r.end)
            end = lac_min_size(end, r.end);
    }
    return end;
}

/* ---- Random blocks ---- */

/* A number below n from a counter: SplitMix64 (Steele, Lea and Flood 2014). */
static size_t random_below(uint64_t seed, uint64_t counter, size_t n)
{
    uint64_t x = seed + (counter + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return (size_t)((x >> 32) * n >> 32);
}

/* What the queries of a unit draw (Floyd's sample, as in Bentley 1987); returns how many. */
static size_t draw_units(const struct lac_sight_place *p, size_t unit,
                         size_t drawn[LAC_SIGHT_MOST_RANDOM])
{
    const struct lac_sight_random *r = &p->term->as.random;
    size_t there = p->is_causal ? unit + 1 : lac_ceil_div(p->n_keys, r->block);
    size_t n = lac_min_size(r->n, there);
    for (size_t i = 0; i < n; i++) {
        size_t last = there - n + i;
        drawn[i] = random_below(r->seed, unit * LAC_SIGHT_MOST_RANDOM + i, last + 1);
        for (size_t j = 0; j < i; j++)
            if (drawn[j] == drawn[i]) {
                drawn[i] = last;
                break;
            }
    }
    return n;
}

static uint64_t random_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const struct lac_sight_random *r = &p->term->as.random;
    size_t drawn[LAC_SIGHT_MOST_RANDOM], n = draw_units(p, query / r->block, drawn);
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= unit_bits(block, drawn[i], r->block);
    return bits;
}

static size_t random_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_random *r = &p->term->as.random;
    size_t next = SIZE_MAX;
    for (size_t unit = queries.begin / r->block; unit * r->block < queries.end; unit++) {
        size_t drawn[LAC_SIGHT_MOST_RANDOM], n = draw_units(p, unit, drawn);
        for (size_t i = 0; i < n; i++)
            if ((drawn[i] + 1) * r->block > block * LAC_KEY_BLOCK)
                next = lac_min_size(next, block_of(drawn[i], r->block, block));
    }
    return next;
}

/* Are all queries of one unit, and all keys of another? */
static bool is_one_unit(struct lac_range r, size_t unit)
{
    return r.begin / unit == (r.end - 1) / unit;
}

static bool random_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const size_t unit = p->term->as.random.block;
    struct lac_range keys = lac_block_keys(block, p->n_keys);
    return is_one_unit(queries, unit) && is_one_unit(keys, unit) &&
           random_keys(p, queries.begin, block) & lac_block_bits(block, keys.begin, keys.end);
}

static size_t random_end(const struct lac_sight_place *p, size_t query)
{
    return unit_end(query, p->term->as.random.block);
}

/* ---- Strided blocks ---- */

static uint64_t strided_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const struct lac_sight_strided *s = &p->term->as.strided;
    const size_t first = block * LAC_KEY_BLOCK;
    uint64_t bits = 0;
    (void)query;
    for (size_t unit = first / s->block; unit * s->block < first + LAC_KEY_BLOCK; unit++)
        if (unit % s->stride == s->offset)
            bits |= unit_bits(block, unit, s->block);
    return bits;
}

static size_t strided_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_strided *s = &p->term->as.strided;
    size_t unit = block * LAC_KEY_BLOCK / s->block;
    (void)queries;
    unit += (s->stride + s->offset - unit % s->stride) % s->stride;
    return block_of(unit, s->block, block);
}

static bool strided_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_strided *s = &p->term->as.strided;
    struct lac_range keys = lac_block_keys(block, p->n_keys);
    (void)queries;
    return is_one_unit(keys, s->block) && keys.begin / s->block % s->stride == s->offset;
}

/* ---- Masks of blocks ---- */

static bool shows_block(const struct lac_sight_blocks *b, size_t row, size_t column)
{
    return row < b->n_rows && column < b->n_columns &&
           b->bits[row * b->row_words + column / 64] >> column % 64 & 1;
}

static uint64_t blocks_keys(const struct lac_sight_place *p, size_t query, size_t block)
{
    const struct lac_sight_blocks *b = &p->term->as.blocks;
    const size_t first = block * LAC_KEY_BLOCK, row = query / b->block;
    uint64_t bits = 0;
    for (size_t column = first / b->block; column * b->block < first + LAC_KEY_BLOCK; column++)
        if (shows_block(b, row, column))
            bits |= unit_bits(block, column, b->block);
    return bits;
}

/* The first column from `column` on that a row shows. */
static size_t next_column(const struct lac_sight_blocks *b, size_t row, size_t column)
{
    const uint64_t *words = b->bits + row * b->row_words;
    for (size_t i = column / 64; i * 64 < b->n_columns; i++) {
        uint64_t word = i == column / 64 ? words[i] >> column % 64 << column % 64 : words[i];
        if (word) {
            size_t found = i * 64 + (size_t)__builtin_ctzll(word);
            return found < b->n_columns ? found : SIZE_MAX;
        }
    }
    return SIZE_MAX;
}

static size_t blocks_next(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_blocks *b = &p->term->as.blocks;
    size_t next = SIZE_MAX, column = block * LAC_KEY_BLOCK / b->block;
    for (size_t row = queries.begin / b->block; row < b->n_rows; row++) {
        if (row * b->block >= queries.end)
            break;
        size_t found = next_column(b, row, column);
        if (found < SIZE_MAX)
            next = lac_min_size(next, block_of(found, b->block, block));
    }
    return next;
}

static bool blocks_whole(const struct lac_sight_place *p, struct lac_range queries, size_t block)
{
    const struct lac_sight_blocks *b = &p->term->as.blocks;
    struct lac_range keys = lac_block_keys(block, p->n_keys);
    for (size_t row = queries.begin / b->block; row * b->block < queries.end; row++)
        for (size_t column = keys.begin / b->block; column * b->block < keys.end; column++)
            if (!shows_block(b, row, column))
                return false;
    return true;
}

static size_t blocks_end(const struct lac_sight_place *p, size_t query)
{
    return unit_end(query, p->term->as.blocks.block);
}

const struct lac_sight_ops lac_sight_ops[LAC_N_SIGHTS] = {
    [LAC_SIGHT_ALL] = {all_keys, all_next, all_whole, no_end},
    [LAC_SIGHT_WINDOW] = {window_keys, window_next, window_whole, window_end},
    [LAC_SIGHT_GLOBAL] = {global_keys, global_next, global_whole, global_end},
    [LAC_SIGHT_RANDOM] = {random_keys, random_next, random_whole, random_end},
    [LAC_SIGHT_STRIDED] = {strided_keys, strided_next, strided_whole, no_end},
    [LAC_SIGHT_NEIGHBOURS] = {lac_neighbours_keys, lac_neighbours_next, lac_neighbours_whole,
                              lac_neighbours_end},
    [LAC_SIGHT_BLOCKS] = {blocks_keys, blocks_next, blocks_whole, blocks_end},
};
