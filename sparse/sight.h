/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that say which keys a query sees, and the lists of key blocks that follow from them.
 *
 * A rule is a union of terms, of which those of a decoder show no key behind the query.  Positions
 * count from 0 in a sequence; queries and keys share them. */
#ifndef LACUNA_SPARSE_SIGHT_H
#define LACUNA_SPARSE_SIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sparse/seen.h"
#include "src/base/error.h"

enum lac_sight_kind {
    LAC_SIGHT_ALL,
    LAC_SIGHT_WINDOW,
    LAC_SIGHT_GLOBAL,
    LAC_SIGHT_RANDOM,
    LAC_SIGHT_STRIDED,
    LAC_SIGHT_NEIGHBOURS,
    LAC_SIGHT_BLOCKS,
    LAC_N_SIGHTS
};

/* Positions [begin, end). */
struct lac_range {
    size_t begin, end;
};

/* With positions in units of `block` tokens: those from left * dilation before the query's own to
 * right * dilation behind it, every dilation-th.  per_token more to the left for each token up to
 * the query (of a decoder; else of the sequence), in whole units: the windows of MoA (Fu et al.
 * 2024).  Sliding windows and dilated ones are Longformer's (Beltagy et al. 2020), with units of
 * tokens; BigBird's (Zaheer et al. 2020) are of blocks. */
struct lac_sight_window {
    size_t left, right, dilation, block;
    double per_token;
};

enum { LAC_SIGHT_COLUMNS = 1, LAC_SIGHT_ROWS = 2 };

/* Tokens that all queries see (COLUMNS), or that see all keys (ROWS): in ranges, ascending and
 * disjoint, and the first and last so many blocks.  Columns at the beginning are the sinks of
 * StreamingLLM (Xiao et al. 2023). */
struct lac_sight_global {
    const struct lac_range *ranges;
    size_t n_ranges;
    size_t block, n_first, n_last;
    unsigned parts;
    size_t n_again; /* so many more times queries that are no rows see the first blocks: these keys
                       count as if they stood there again; not causal, and few (MOST_AGAIN) */
};

/* Entries of a list that lac_sight_global.n_again adds at most. */
enum { LAC_SIGHT_MOST_AGAIN = 64 };

enum { LAC_SIGHT_MOST_RANDOM = 32 };

/* Each block of queries sees n blocks of keys drawn without return from all there are, of a
 * decoder's from those up to its own; as many as there are, if that is less. */
struct lac_sight_random {
    size_t block, n;
    uint64_t seed;
};

/* Every stride-th block of keys, from block `offset` < stride on: heads of other offsets see other
 * shards (S2-Attention, Lin et al. 2024). */
struct lac_sight_strided {
    size_t block, stride, offset;
};

enum { LAC_SIGHT_MOST_AXES = 3 };

/* Generalised neighbourhoods (Hassani et al. 2025) of tokens that fill a grid, the last axis
 * fastest.  Along each axis, taken every dilation-th token on its own, queries go by groups of
 * `stride` that share the window of the token in their middle, moved inward at the edges; a stride
 * of the window's size makes it blocked attention.  Tokens behind the grid see and show nothing. */
struct lac_sight_neighbours {
    size_t n_axes;
    struct lac_sight_axis {
        size_t size, window, stride, dilation;
    } axes[LAC_SIGHT_MOST_AXES];
};

/* A mask of blocks: bit c % 64 of bits[r * row_words + c / 64] says that the queries of block r see
 * the keys of block c.  Blocks behind the mask see and show nothing. */
struct lac_sight_blocks {
    const uint64_t *bits;
    size_t block, n_rows, n_columns, row_words;
};

struct lac_sight_term {
    enum lac_sight_kind kind;
    union {
        struct lac_sight_window window;
        struct lac_sight_global global;
        struct lac_sight_random random;
        struct lac_sight_strided strided;
        struct lac_sight_neighbours neighbours;
        struct lac_sight_blocks blocks;
    } as;
};

struct lac_sight {
    bool is_causal;
    const struct lac_sight_term *terms;
    size_t n_terms;
    size_t n_dense; /* in sequences of up to so many keys all is seen, as far as is_causal lets */
};

/* Is every number of the rule in its bounds? */
enum lac_status lac_sight_check(const struct lac_sight *sight, struct lac_error *error);

/* Does the query see the key?  The definition, for tests and counts, but for n_again. */
bool lac_sight_sees(const struct lac_sight *sight, size_t n_keys, size_t query, size_t key);

/* Queries from `position` on that are best listed together: up to the position returned, behind
 * which some term shows other blocks; SIZE_MAX when there is no such place. */
size_t lac_sight_end(const struct lac_sight *sight, size_t n_keys, size_t position);

/* Queries in lanes: lane l is at position first + l, and counts if its bit is set. */
struct lac_sight_queries {
    ptrdiff_t first;
    uint64_t lanes; /* not 0; first + l >= 0 for each */
    size_t n_keys;
    size_t n_global; /* so many keys from the first on are seen whatever the rule says of them, as
                        far as they are not behind a decoder's query */
};

/* Blocks that some query sees: ceil(n_keys / LAC_KEY_BLOCK) is room enough in blocks and masks,
 * with LAC_SIGHT_MOST_AGAIN more where n_again is used. */
struct lac_seen lac_sight_list(const struct lac_sight *sight,
                               const struct lac_sight_queries *queries,
                               struct lac_seen_block *blocks, struct lac_seen_mask *masks);
/* How many a list may have; some may turn out to have no key that is seen. */
size_t lac_sight_count(const struct lac_sight *sight, const struct lac_sight_queries *queries);
/* The same for one query, in ceil(n_keys / LAC_KEY_BLOCK) entries; returns how many. */
size_t lac_sight_row(const struct lac_sight *sight, size_t position, size_t n_keys,
                     struct lac_seen_keys *seen);

#endif
