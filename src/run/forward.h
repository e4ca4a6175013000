/* SPDX-License-Identifier: Apache-2.0 */
/* One forward pass of a packed batch by a team of workers.
 *
 * Sequences lie one after another; their tokens are cut into tiles of LAC_TILE, regardless of
 * where sequences end, and only the last tile is padded, to whole groups of LAC_LANES.  A token's
 * result depends on its own sequence alone: not on its lane, its batch, or the team. */
#ifndef LACUNA_RUN_FORWARD_H
#define LACUNA_RUN_FORWARD_H

#include <lacuna/session.h>

#include "src/run/activations.h"
#include "src/run/core.h"
#include "src/run/kv.h"
#include "src/run/network.h"
#include "src/run/next.h"
#include "src/sys/pool.h"

struct lac_trial;

/* What becomes of the last layer's output. */
struct lac_head {
    enum lac_task task;
    enum lac_pooling pooling; /* EMBED: not LAC_POOL_DEFAULT */
    enum lac_normalize normalize;
};

/* The tokens whose output the head reads.  After the last layer's attention the others are
 * dropped. */
enum lac_keep { LAC_KEEP_ALL, LAC_KEEP_FIRST, LAC_KEEP_LISTED };

enum lac_keep lac_head_keep(const struct lac_head *head);
/* Floats in a row of results: n_labels, 2, vocab_size or hidden_size. */
size_t lac_head_width(const struct lac_network *network, const struct lac_head *head);
/* Results are rows of a token each, or (EMBED) one row a sequence. */
struct lac_sequence {
    const int32_t *ids;      /* each below config.vocab_size */
    const uint8_t *type_ids; /* each below config.n_token_types; NULL: all 0 */
    size_t n_tokens;         /* 1 to config.max_tokens */
    const uint32_t *kept;    /* LAC_KEEP_LISTED: positions, ascending, n_kept of them */
    size_t n_kept;
    float *rows; /* [tokens kept][width]; EMBED: [width] */
    /* GENERATE: the tokens go on where the cache ends, which has room for them (lac_kv_reserve).
     * Its n_keys is left to the caller. */
    struct lac_kv *kv;
    size_t n_voters;         /* its last tokens, which vote: src/run/kv_votes.h */
    size_t n_text;           /* as in struct lac_step_text */
    size_t n_prompt;         /* the same */
    struct lac_next *next;   /* [n_kept]: what follows each token kept */
    size_t n_full;           /* of the tokens; those from here on leave neurons out */
    struct lac_usage *usage; /* of these, by CORE, or NULL */
};

struct lac_forward {
    const struct lac_network *network;
    const struct lac_sights *sights; /* the network's, or others of its shape */
    const struct lac_head *head;
    struct lac_region *region; /* made for this network, head and sights, this team's size, and at
                                  least as many lanes as tokens */
    const struct lac_sequence *const *sequences;
    size_t n_sequences;                        /* at least 1 */
    size_t n_tokens;                           /* of all */
    const struct lac_activations *activations; /* NULL: nothing is left out */
    const struct lac_trial *trial;             /* other sights that are tried, or NULL */
    size_t *n_blocks; /* [team's size][n_heads] of one layer: here blocks of keys are counted for
                         each query in lanes; or NULL */
};

/* Every worker of the team calls it; all return when the results are there for their caller to
 * see after the next barrier.  Allocates nothing and cannot fail. */
void lac_forward_run(const struct lac_team *team, size_t rank, const struct lac_forward *forward);

#endif
