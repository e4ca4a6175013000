/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of key blocks from rules. */
#include "sparse/sight.h"

#include "sparse/sight_terms.h"
#include "src/base/checked.h"

/* A rule in a sequence, and queries that go together. */
struct view {
    const struct lac_sight *sight;
    size_t n_keys, n_global;
    struct lac_range queries;
};

/* Short sequences may be seen whole. */
static const struct lac_sight *in_force(const struct lac_sight *sight, size_t n_keys)
{
    static const struct lac_sight_term all = {.kind = LAC_SIGHT_ALL};
    static const struct lac_sight whole[] = {{false, &all, 1, 0}, {true, &all, 1, 0}};
    return n_keys > sight->n_dense ? sight : &whole[sight->is_causal];
}

static struct lac_sight_place place_of(const struct lac_sight *sight, size_t term, size_t n_keys)
{
    return (struct lac_sight_place){&sight->terms[term], n_keys, sight->is_causal};
}

static const struct lac_sight_ops *ops_of(const struct lac_sight *sight, size_t term)
{
    return &lac_sight_ops[sight->terms[term].kind];
}

/* The keys of a block that a query sees. */
static uint64_t keys_of(const struct view *v, size_t query, size_t block)
{
    const struct lac_sight *sight = v->sight;
    size_t end = sight->is_causal ? lac_min_size(v->n_keys, query + 1) : v->n_keys;
    uint64_t there = lac_block_bits(block, 0, end), bits = lac_block_bits(block, 0, v->n_global);
    for (size_t i = 0; i < sight->n_terms && there & ~bits; i++) {
        struct lac_sight_place place = place_of(sight, i, v->n_keys);
        bits |= ops_of(sight, i)->keys(&place, query, block);
    }
    return bits & there;
}

bool lac_sight_sees(const struct lac_sight *sight, size_t n_keys, size_t query, size_t key)
{
    const struct view v = {in_force(sight, n_keys), n_keys, 0, {query, query + 1}};
    return keys_of(&v, query, key / LAC_KEY_BLOCK) >> key % LAC_KEY_BLOCK & 1;
}

size_t lac_sight_end(const struct lac_sight *sight, size_t n_keys, size_t position)
{
    size_t end = SIZE_MAX;
    sight = in_force(sight, n_keys);
    for (size_t i = 0; i < sight->n_terms; i++) {
        struct lac_sight_place place = place_of(sight, i, n_keys);
        end = lac_min_size(end, ops_of(sight, i)->end(&place, position));
    }
    return end;
}

/* The first block from `block` on that may be seen, or SIZE_MAX. */
static size_t next_block(const struct view *v, size_t block)
{
    size_t next = block * LAC_KEY_BLOCK < v->n_global ? block : SIZE_MAX, end = v->n_keys;
    if (v->sight->is_causal)
        end = lac_min_size(end, v->queries.end);
    for (size_t i = 0; i < v->sight->n_terms && next > block; i++) {
        struct lac_sight_place place = place_of(v->sight, i, v->n_keys);
        next = lac_min_size(next, ops_of(v->sight, i)->next(&place, v->queries, block));
    }
    return next < lac_ceil_div(end, LAC_KEY_BLOCK) ? next : SIZE_MAX;
}

/* Does each query see the whole block, but for what is later than it? */
static bool shows_whole(const struct view *v, size_t block)
{
    for (size_t i = 0; i < v->sight->n_terms; i++) {
        struct lac_sight_place place = place_of(v->sight, i, v->n_keys);
        if (ops_of(v->sight, i)->is_whole(&place, v->queries, block))
            return true;
    }
    return false;
}

/* Is some of it later than some query, and therefore hidden? */
static bool is_cut(const struct view *v, size_t block)
{
    return v->sight->is_causal && lac_block_keys(block, v->n_keys).end > v->queries.begin + 1;
}

/* Rows of bits to columns, in place: swaps off-diagonal squares of 32, 16, ... 1 bits. */
static void transpose(uint64_t bits[64])
{
    uint64_t low = UINT32_MAX; /* the low half of each square's row */
    for (size_t half = 32; half; half /= 2, low ^= low << half)
        for (size_t i = 0; i < 64; i++)
            if (!(i & half)) {
                uint64_t differs = (bits[i] >> half ^ bits[i + half]) & low;
                bits[i] ^= differs << half;
                bits[i + half] ^= differs;
            }
}

static struct view view_of(const struct lac_sight *sight, const struct lac_sight_queries *q)
{
    size_t begin = (size_t)(q->first + __builtin_ctzll(q->lanes));
    size_t end = (size_t)(q->first + 64 - __builtin_clzll(q->lanes));
    return (struct view){in_force(sight, q->n_keys), q->n_keys, q->n_global, {begin, end}};
}

enum sees { SEES_NONE, SEES_SOME, SEES_ALL };

/* What the lanes that count see of a block. */
static enum sees make_mask(const struct view *v, const struct lac_sight_queries *q, size_t block,
                           struct lac_seen_mask *mask)
{
    uint64_t there = lac_block_bits(block, 0, v->n_keys), all = there, some = 0;
    for (size_t lane = 0; lane < 64; lane++) {
        uint64_t keys = 0;
        if (q->lanes >> lane & 1) {
            keys = keys_of(v, (size_t)(q->first + (ptrdiff_t)lane), block);
            all &= keys;
            some |= keys;
        }
        mask->lanes[lane] = keys;
    }
    if (!some || all == there)
        return some ? SEES_ALL : SEES_NONE;
    transpose(mask->lanes);
    return SEES_SOME;
}

/* The same where all that hides is that keys are later. */
static enum sees make_diagonal(const struct lac_sight_queries *q, size_t block,
                               struct lac_seen_mask *mask)
{
    for (size_t j = 0; j < LAC_KEY_BLOCK; j++) {
        ptrdiff_t lane = (ptrdiff_t)(block * LAC_KEY_BLOCK + j) - q->first;
        mask->lanes[j] = lane < 0 ? q->lanes : lane < 64 ? q->lanes >> lane << lane : 0;
    }
    return SEES_SOME;
}

static enum sees see_block(const struct view *v, const struct lac_sight_queries *q, size_t block,
                           struct lac_seen_mask *mask)
{
    if (!shows_whole(v, block))
        return make_mask(v, q, block, mask);
    return is_cut(v, block) ? make_diagonal(q, block, mask) : SEES_ALL;
}

/* A list that is made. */
struct list {
    struct lac_seen_block *blocks;
    struct lac_seen_mask *masks;
    size_t n_blocks, n_masks;
};

static void add(struct list *list, size_t block, enum sees sees)
{
    uint32_t mask = sees == SEES_ALL ? LAC_SEEN_WHOLE : (uint32_t)list->n_masks++;
    list->blocks[list->n_blocks++] = (struct lac_seen_block){(uint32_t)block, mask};
}

/* How many blocks hold keys that count again by a term. */
static size_t again_blocks(const struct lac_sight *sight, size_t term)
{
    const struct lac_sight_global *g = &sight->terms[term].as.global;
    bool counts = sight->terms[term].kind == LAC_SIGHT_GLOBAL && g->n_again;
    return counts ? lac_ceil_div(g->n_first * g->block, LAC_KEY_BLOCK) : 0;
}

/* Lists a block as many times more as its keys count again by a term. */
static void add_again(const struct view *v, const struct lac_sight_queries *q, size_t term,
                      size_t block, struct list *list)
{
    const struct lac_sight_global *g = &v->sight->terms[term].as.global;
    struct lac_sight_place place = place_of(v->sight, term, v->n_keys);
    uint64_t there = lac_block_bits(block, 0, v->n_keys), lanes = 0;
    uint64_t bits = lac_block_bits(block, 0, g->n_first * g->block) & there;
    struct lac_seen_mask *mask = &list->masks[list->n_masks];
    for (size_t lane = 0; lane < 64; lane++)
        if (q->lanes >> lane & 1 && !lac_global_row(&place, (size_t)(q->first + (ptrdiff_t)lane)))
            lanes |= UINT64_C(1) << lane;
    enum sees sees = bits == there && lanes == q->lanes ? SEES_ALL : SEES_SOME;
    for (size_t key = 0; sees == SEES_SOME && key < LAC_KEY_BLOCK; key++)
        mask->lanes[key] = bits >> key & 1 ? lanes : 0;
    if (!lanes)
        return;
    add(list, block, sees);
    for (size_t i = 1; i < g->n_again; i++, list->n_blocks++)
        list->blocks[list->n_blocks] = list->blocks[list->n_blocks - 1];
}

struct lac_seen lac_sight_list(const struct lac_sight *sight,
                               const struct lac_sight_queries *queries,
                               struct lac_seen_block *blocks, struct lac_seen_mask *masks)
{
    const struct view v = view_of(sight, queries);
    struct list list = {blocks, masks, 0, 0};
    for (size_t block = 0; (block = next_block(&v, block)) < SIZE_MAX; block++) {
        enum sees sees = see_block(&v, queries, block, &masks[list.n_masks]);
        if (sees != SEES_NONE)
            add(&list, block, sees);
        for (size_t i = 0; i < v.sight->n_terms; i++)
            if (block < again_blocks(v.sight, i))
                add_again(&v, queries, i, block, &list);
    }
    return (struct lac_seen){blocks, list.n_blocks, masks};
}

size_t lac_sight_count(const struct lac_sight *sight, const struct lac_sight_queries *queries)
{
    const struct view v = view_of(sight, queries);
    size_t n = 0;
    for (size_t block = 0; (block = next_block(&v, block)) < SIZE_MAX; block++)
        n++;
    for (size_t i = 0; i < v.sight->n_terms; i++)
        n += again_blocks(v.sight, i) * v.sight->terms[i].as.global.n_again;
    return n;
}

size_t lac_sight_row(const struct lac_sight *sight, size_t position, size_t n_keys,
                     struct lac_seen_keys *seen)
{
    const struct view v = {in_force(sight, n_keys), n_keys, 0, {position, position + 1}};
    size_t n = 0;
    for (size_t block = 0; (block = next_block(&v, block)) < SIZE_MAX; block++) {
        bool is_whole = shows_whole(&v, block) && !is_cut(&v, block);
        uint64_t keys = is_whole ? lac_block_bits(block, 0, n_keys) : keys_of(&v, position, block);
        if (keys)
            seen[n++] = (struct lac_seen_keys){block, keys};
    }
    return n;
}

/* ---- Bounds ---- */

/* Of sizes and positions: products of two of them and additions do not overflow. */
#define MOST_SIZE ((size_t)1 << 30)

static bool is_size(size_t n)
{
    return n >= 1 && n <= MOST_SIZE;
}

static const char *check_window(const struct lac_sight_term *term, bool is_causal)
{
    const struct lac_sight_window *w = &term->as.window;
    (void)is_causal;
    if (!is_size(w->block) || !is_size(w->dilation))
        return "block or dilation";
    /* More than a token for a token would let windows begin further left further on. */
    if (!(w->per_token >= 0 && w->per_token <= 1) || (w->per_token > 0 && w->block > 1))
        return "share of the length";
    return NULL;
}

static const char *check_global(const struct lac_sight_term *term, bool is_causal)
{
    const struct lac_sight_global *g = &term->as.global;
    if (!is_size(g->block) || g->n_first > MOST_SIZE || g->n_last > MOST_SIZE)
        return "block";
    if (g->n_last && is_causal) /* the end of a text that grows */
        return "last blocks with a causal rule";
    if (g->parts & ~(unsigned)(LAC_SIGHT_COLUMNS | LAC_SIGHT_ROWS))
        return "parts";
    if (g->n_again && (is_causal || g->n_again > LAC_SIGHT_MOST_AGAIN ||
                       g->n_first * g->block * g->n_again > LAC_SIGHT_MOST_AGAIN * LAC_KEY_BLOCK))
        return "keys that count again";
    for (size_t i = 0; i < g->n_ranges; i++)
        if (g->ranges[i].begin >= g->ranges[i].end || g->ranges[i].end > MOST_SIZE ||
            (i && g->ranges[i].begin < g->ranges[i - 1].end))
            return "ranges";
    return NULL;
}

static const char *check_random(const struct lac_sight_term *term, bool is_causal)
{
    (void)is_causal;
    return !is_size(term->as.random.block)             ? "block"
           : term->as.random.n > LAC_SIGHT_MOST_RANDOM ? "number of blocks"
                                                       : NULL;
}

static const char *check_strided(const struct lac_sight_term *term, bool is_causal)
{
    const struct lac_sight_strided *s = &term->as.strided;
    (void)is_causal;
    return !is_size(s->block) || !is_size(s->stride) ? "block or stride"
           : s->offset >= s->stride                  ? "offset"
                                                     : NULL;
}

static const char *check_neighbours(const struct lac_sight_term *term, bool is_causal)
{
    const struct lac_sight_neighbours *g = &term->as.neighbours;
    size_t n = 1;
    (void)is_causal;
    if (g->n_axes < 1 || g->n_axes > LAC_SIGHT_MOST_AXES)
        return "axes";
    for (size_t i = 0; i < g->n_axes; i++) {
        const struct lac_sight_axis *a = &g->axes[i];
        if (!is_size(a->size) || !is_size(a->window) || !is_size(a->stride) ||
            !is_size(a->dilation) || a->dilation > a->size)
            return "axis";
        n *= a->size;
        if (n > MOST_SIZE)
            return "grid";
    }
    return NULL;
}

static const char *check_blocks(const struct lac_sight_term *term, bool is_causal)
{
    const struct lac_sight_blocks *b = &term->as.blocks;
    (void)is_causal;
    return !is_size(b->block) || b->n_rows > MOST_SIZE || b->n_columns > MOST_SIZE    ? "block"
           : b->row_words < lac_ceil_div(b->n_columns, 64) || (b->n_rows && !b->bits) ? "bits"
                                                                                      : NULL;
}

static const char *check_nothing(const struct lac_sight_term *term, bool is_causal)
{
    (void)term;
    (void)is_causal;
    return NULL;
}

/* The name of each kind, and what is wrong with a term's numbers, or NULL. */
static const struct {
    const char *name;
    const char *(*check)(const struct lac_sight_term *term, bool is_causal);
} kinds[LAC_N_SIGHTS] = {
    [LAC_SIGHT_ALL] = {"all", check_nothing},
    [LAC_SIGHT_WINDOW] = {"window", check_window},
    [LAC_SIGHT_GLOBAL] = {"global", check_global},
    [LAC_SIGHT_RANDOM] = {"random", check_random},
    [LAC_SIGHT_STRIDED] = {"strided", check_strided},
    [LAC_SIGHT_NEIGHBOURS] = {"neighbours", check_neighbours},
    [LAC_SIGHT_BLOCKS] = {"blocks", check_blocks},
};

enum lac_status lac_sight_check(const struct lac_sight *sight, struct lac_error *error)
{
    for (size_t i = 0; i < sight->n_terms; i++) {
        const struct lac_sight_term *term = &sight->terms[i];
        if ((unsigned)term->kind >= LAC_N_SIGHTS)
            return lac_fail(error, LAC_E_ARGUMENT, "term %zu is of no kind", i);
        const char *wrong = kinds[term->kind].check(term, sight->is_causal);
        if (wrong)
            return lac_fail(error, LAC_E_ARGUMENT, "attention rule %s: %s out of bounds",
                            kinds[term->kind].name, wrong);
    }
    return LAC_OK;
}
