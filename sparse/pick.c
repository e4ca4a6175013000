/* SPDX-License-Identifier: Apache-2.0 */
/* Key blocks chosen by scores. */
#include "sparse/pick.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"

#define MOST_SIZE ((size_t)1 << 30)
enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_PICK_PAGE };

/* ---- Bounds ---- */

static bool is_top(const struct lac_pick_top *top)
{
    return top->n <= MOST_SIZE && top->mass >= 0 && top->mass <= 1;
}

enum lac_status lac_pick_check(const struct lac_pick *choice, struct lac_error *error)
{
    const char *wrong = NULL;
    if ((unsigned)choice->kind >= LAC_N_PICKS)
        return lac_fail(error, LAC_E_ARGUMENT, "a choice of no kind");
    if (choice->n_first > MOST_SIZE || choice->n_near > MOST_SIZE)
        wrong = "keys that are always seen";
    else if (!is_top(&choice->columns))
        wrong = "columns";
    else if (!is_top(&choice->diagonals))
        wrong = "diagonals";
    else if (!is_top(&choice->blocks))
        wrong = "blocks";
    else if (choice->kind == LAC_PICK_LINES &&
             (!choice->n_sampled || choice->n_sampled % LAC_PICK_LANES ||
              choice->n_sampled > LAC_PICK_SPAN))
        wrong = "number of sampled queries";
    else if (!(choice->threshold >= 0 && choice->threshold <= 1))
        wrong = "threshold";
    else if (!(choice->share >= 0 && choice->share <= 1))
        wrong = "share";
    return wrong ? lac_fail(error, LAC_E_ARGUMENT, "attention's choice: %s out of bounds", wrong)
                 : LAC_OK;
}

size_t lac_pick_unit(const struct lac_pick *choice)
{
    return choice->kind == LAC_PICK_LINES ? LAC_PICK_SPAN : LAC_PICK_QUERIES;
}

/* Nobody knows before; a quarter where no number is asked for. */
size_t lac_pick_cost(const struct lac_pick *choice, size_t n_blocks)
{
    size_t n = lac_ceil_div(choice->n_first + choice->n_near, LAC_KEY_BLOCK) + 1;
    size_t n_lines = lac_ceil_div(choice->columns.n + choice->diagonals.n, LAC_KEY_BLOCK);
    size_t n_chosen = choice->kind == LAC_PICK_LINES ? n_lines : choice->blocks.n;
    n += n_chosen ? n_chosen : n_blocks / 4;
    return lac_min_size(n, n_blocks);
}

/* ---- Bits ---- */

static void set_bits(uint64_t *bits, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* Pages that the block's queries may see. */
static size_t pages_end(const struct lac_pick_place *place)
{
    size_t last = place->first + place->n;
    return lac_ceil_div(place->is_causal ? lac_min_size(last, place->n_keys) : place->n_keys,
                        LAC_PICK_PAGE);
}

void lac_pick_keep(const struct lac_pick *choice, const struct lac_pick_place *place,
                   uint64_t *bits)
{
    const size_t unit = choice->kind == LAC_PICK_LINES ? LAC_PICK_PAGE : LAC_KEY_BLOCK;
    const size_t unit_pages = unit / LAC_PICK_PAGE, n_pages = pages_end(place);
    size_t low = place->first - lac_min_size(choice->n_near, place->first);
    size_t high = place->first + place->n + choice->n_near;
    set_bits(bits, 0, lac_min_size(lac_ceil_div(choice->n_first, unit) * unit_pages, n_pages));
    set_bits(bits, low / unit * unit_pages,
             lac_min_size(lac_ceil_div(high, unit) * unit_pages, n_pages));
}

static unsigned block_pages(const uint64_t *bits, size_t block)
{
    return bits[block / (64 / BLOCK_PAGES)] >> block % (64 / BLOCK_PAGES) * BLOCK_PAGES & 15;
}

size_t lac_pick_candidates(const struct lac_pick_place *place, const uint64_t *bits,
                           uint32_t *blocks)
{
    size_t n_blocks = lac_ceil_div(pages_end(place), BLOCK_PAGES), n = 0;
    for (size_t block = 0; block < n_blocks; block++)
        if (!block_pages(bits, block))
            blocks[n++] = (uint32_t)block;
    return n;
}

void lac_pick_add_block(const struct lac_pick_place *place, size_t block, uint64_t *bits)
{
    size_t begin = block * BLOCK_PAGES;
    set_bits(bits, begin, lac_min_size(begin + BLOCK_PAGES, pages_end(place)));
}

void lac_pick_add_lines(const struct lac_pick_lines *lines, const struct lac_pick_place *place,
                        uint64_t *bits)
{
    const size_t end = pages_end(place);
    const size_t own = place->first / LAC_PICK_PAGE;
    const size_t own_pages = lac_ceil_div(place->n, LAC_PICK_PAGE);
    for (size_t i = 0; i < end; i++)
        bits[i / 64] |= lines->columns[i / 64] & UINT64_C(1) << i % 64;
    for (size_t word = 0; word < lac_ceil_div(lines->n_groups, 64); word++)
        for (uint64_t left = lines->diagonals[word]; left; left &= left - 1) {
            /* Distances [16 g, 16 g + 16): the first query sees pages own - g - 1 and own - g, and
             * those behind it the following. */
            size_t at = word * 64 + (size_t)__builtin_ctzll(left);
            ptrdiff_t last = (ptrdiff_t)own - ((ptrdiff_t)at - (ptrdiff_t)lines->n_negative);
            ptrdiff_t begin = last - 1, stop = last + (ptrdiff_t)own_pages;
            if (stop > 0 && begin < (ptrdiff_t)end)
                set_bits(bits, begin < 0 ? 0 : (size_t)begin, lac_min_size((size_t)stop, end));
        }
}

/* ---- The best ---- */

/* Order of floats as integers: larger ones first in both. */
static uint32_t order_of(float x)
{
    uint32_t bits;
    x += 0.0f; /* the two zeros are equal */
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}

/* More than any weight, so that sums fit; what is not a number weighs nothing. */
#define MOST_WEIGHT 0x1p10f

static uint64_t units_of(float weight)
{
    return weight > 0 ? (uint64_t)((double)fminf(weight, MOST_WEIGHT) * 0x1p32) : 0;
}

struct taken {
    size_t n;
    uint64_t units;
};

struct selection {
    const float *values, *weights;
    size_t n, most;  /* items, and how many are taken at most */
    uint64_t enough; /* units */
    bool by_mass;
};

static bool is_full(const struct selection *s, const struct taken *taken)
{
    return taken->n >= s->most || (s->by_mass && taken->units >= s->enough);
}

/* Of the items whose order begins like `order` in the bits above shift + 8, the byte behind these
 * at which the list becomes full; all larger ones are taken.  -1: it does not. */
static int find_byte(const struct selection *s, uint32_t order, unsigned shift, struct taken *taken)
{
    struct taken bins[256] = {0};
    for (size_t i = 0; i < s->n; i++) {
        uint32_t own = order_of(s->values[i]);
        if (shift < 24 && (own ^ order) >> (shift + 8))
            continue;
        bins[own >> shift & 255].n++;
        bins[own >> shift & 255].units += units_of(s->weights[i]);
    }
    for (int byte = 255; byte >= 0; byte--) {
        struct taken with = {taken->n + bins[byte].n, taken->units + bins[byte].units};
        if (is_full(s, &with))
            return byte;
        *taken = with;
    }
    return -1;
}

void lac_pick_take(const struct lac_pick_top *top, const float *values, const float *weights,
                   size_t n, uint64_t *chosen)
{
    struct selection s = {values, weights, n, top->n ? top->n : n, 0, top->mass > 0};
    struct taken taken = {0};
    uint64_t total = 0;
    uint32_t order = 0;
    if (!top->n && !s.by_mass)
        return;
    for (size_t i = 0; i < n; i++)
        total += units_of(weights[i]);
    s.enough = (uint64_t)ceil(top->mass * (double)total);
    if (is_full(&s, &taken))
        return;
    for (int shift = 24; shift >= 0; shift -= 8) {
        int byte = find_byte(&s, order, (unsigned)shift, &taken);
        if (byte < 0) { /* all are not too many */
            set_bits(chosen, 0, n);
            return;
        }
        order |= (uint32_t)byte << shift;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t own = order_of(values[i]);
        if (own < order || (own == order && is_full(&s, &taken)))
            continue;
        if (own == order) {
            taken.n++;
            taken.units += units_of(weights[i]);
        }
        set_bits(chosen, i, i + 1);
    }
}

/* ---- Lists ---- */

/* Lanes that may see a key. */
static uint64_t lanes_of(const struct lac_sight_queries *q, bool is_causal, size_t key)
{
    ptrdiff_t ahead = (ptrdiff_t)key - q->first; /* the key's own lane */
    if (!is_causal || ahead <= 0)
        return q->lanes;
    return ahead < 64 ? q->lanes >> ahead << ahead : 0;
}

static bool make_mask(const struct lac_sight_queries *q, bool is_causal, size_t block,
                      unsigned pages, struct lac_seen_mask *mask)
{
    uint64_t any = 0;
    for (size_t j = 0; j < LAC_KEY_BLOCK; j++) {
        size_t key = block * LAC_KEY_BLOCK + j;
        bool is_there = pages >> j / LAC_PICK_PAGE & 1 && key < q->n_keys;
        any |= mask->lanes[j] = is_there ? lanes_of(q, is_causal, key) : 0;
    }
    return any;
}

struct lac_seen lac_pick_list(const uint64_t *bits, bool is_causal,
                              const struct lac_sight_queries *queries,
                              struct lac_seen_block *blocks, struct lac_seen_mask *masks)
{
    const size_t n_pages = lac_ceil_div(queries->n_keys, LAC_PICK_PAGE);
    const size_t first = (size_t)(queries->first + __builtin_ctzll(queries->lanes));
    struct lac_seen seen = {.blocks = blocks, .masks = masks};
    size_t n_masks = 0;
    for (size_t block = 0; block * BLOCK_PAGES < n_pages; block++) {
        size_t n_there = lac_min_size(n_pages - block * BLOCK_PAGES, BLOCK_PAGES);
        size_t end = lac_min_size((block + 1) * LAC_KEY_BLOCK, queries->n_keys);
        unsigned all = (1u << n_there) - 1, pages = block_pages(bits, block) & all;
        for (size_t i = 0; i < n_there; i++)
            if ((block * BLOCK_PAGES + i) * LAC_PICK_PAGE < queries->n_global)
                pages |= 1u << i;
        if (!pages)
            continue;
        uint32_t mask = LAC_SEEN_WHOLE;
        if (pages != all || (is_causal && end > first + 1)) {
            if (!make_mask(queries, is_causal, block, pages, &masks[n_masks]))
                continue;
            mask = (uint32_t)n_masks++;
        }
        blocks[seen.n_blocks++] = (struct lac_seen_block){(uint32_t)block, mask};
    }
    return seen;
}
