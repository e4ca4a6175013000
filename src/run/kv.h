/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of keys and values of one sequence: pages of LAC_LANES keys of one head.
 *
 *   pages[layer][head][i]   slots [16 i, 16 i + 16) of a key/value head: simd/attention.h
 *   n_gone[layer][head]     keys that the head has given up, by its rule (src/run/kv_rules.h)
 *   n_compact[layer][head]  pages that the head has compact
 *
 * Those that a head keeps lie side by side in the order of their positions, turned by these: a key
 * that comes now, at position n_keys, gets slot n_keys - n_gone.  n_gone is a multiple of
 * LAC_LANES, so that all heads begin pages together.  Attention counts keys and queries in slots,
 * but where a head streams in places, as if nothing had gone since it does (lac_kv_skipped): what a
 * query sees is then cut into the same blocks and ranges whenever the rest went.
 *
 * The first n_compact pages of a head are compact (simd/compact.h): who reads keys expands them
 * first (src/run/expanded.h).  They are of keys that n_least says are certain.
 *
 * Pages are counted references: sequences that begin alike share their pages, and whoever writes
 * into a page that others hold gets a copy first (lac_kv_reserve).  Copies of a cache may be used
 * by different threads at once; each cache belongs to one thread at a time. */
#ifndef LACUNA_RUN_KV_H
#define LACUNA_RUN_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>

#include "simd/compact.h"
#include "src/base/error.h"
#include "src/base/host.h"
#include "src/run/kv_labels.h"
#include "src/run/kv_memory.h"
#include "src/run/kv_pools.h"
#include "src/run/kv_rules.h"

struct lac_kv_shape {
    size_t n_layers, n_heads; /* key/value heads */
    size_t head_dim;
    enum lac_dtype dtype;             /* LAC_F32, LAC_BF16, LAC_S8 */
    const struct lac_kv_rules *rules; /* borrowed; NULL: all is kept */
    size_t n_pooled;                  /* features that gates pool keys into; 0: there are none */
};

struct lac_kv {
    const struct lac_host *host;
    struct lac_kv_shape shape;
    size_t n_keys;   /* that were put in: the position of the next token */
    size_t n_least;  /* n_keys may not be cut below this: what was before it is not complete */
    size_t n_pages;  /* of a head that has given up nothing; others have n_gone / 16 fewer */
    size_t capacity; /* of each head's table */
    void **pages;    /* [n_layers][n_heads][capacity] */
    size_t *n_gone;  /* [n_layers][n_heads]; NULL: all 0 */
    size_t
        *n_skipped; /* [n_layers][n_heads], of n_gone what had gone before it streamed; NULL: 0 */
    size_t *n_compact; /* [n_layers][n_heads]; NULL: all 0 */
    double *lost;      /* src/run/kv_lost.h; or NULL */
    struct lac_kv_labels labels;
    struct lac_kv_memory memory;
    struct lac_kv_pools pools;
    struct lac_kv_votes *votes; /* src/run/kv_votes.h; or NULL */
};

/* An empty cache; allocates nothing. */
void lac_kv_init(struct lac_kv *kv, const struct lac_host *host, const struct lac_kv_shape *shape);
void lac_kv_clear(struct lac_kv *kv);

/* Keys that a head has given up. */
static inline size_t lac_kv_gone(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->n_gone ? kv->n_gone[layer * kv->shape.n_heads + head] : 0;
}

/* Keys that attention does not count. */
static inline size_t lac_kv_skipped(const struct lac_kv *kv, size_t layer, size_t head)
{
    size_t t = layer * kv->shape.n_heads + head;
    if (kv->shape.rules && lac_kv_streams(&kv->shape.rules->of[t]))
        return kv->n_skipped ? kv->n_skipped[t] : 0;
    return lac_kv_gone(kv, layer, head);
}

/* Pages of a head that are compact. */
static inline size_t lac_kv_compact_pages(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->n_compact ? kv->n_compact[layer * kv->shape.n_heads + head] : 0;
}

/* How they are made; form 0: there are none. */
static inline struct lac_compact lac_kv_compact_form(const struct lac_kv_shape *shape)
{
    return (struct lac_compact){
        .form = shape->rules ? shape->rules->form : LAC_COMPACT_NONE,
        .dtype = shape->dtype,
        .head_dim = shape->head_dim,
        .n_dwords = shape->rules ? shape->rules->n_key_dwords : 0,
    };
}

/* Slots that the head with most of them fills. */
size_t lac_kv_most_slots(const struct lac_kv *kv);

/* The pages of a head. */
static inline void **lac_kv_head(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->pages + (layer * kv->shape.n_heads + head) * kv->capacity;
}

/* Makes every head's pages for n_more keys there and the cache's own.  LAC_E_MEMORY: n_keys keys
 * are as they were. */
enum lac_status lac_kv_reserve(struct lac_kv *kv, size_t n_more, struct lac_error *error);

/* The next n keys, for which there is room, are in. */
void lac_kv_advance(struct lac_kv *kv, size_t n);

/* Forgets all but the first n keys; n_least <= n <= n_keys. */
void lac_kv_truncate(struct lac_kv *kv, size_t n_keys);

/* `to`, initialised and empty, gets the first n keys of `from` by reference, as far as they are
 * kept; from->n_least <= n. */
enum lac_status lac_kv_share(struct lac_kv *to, const struct lac_kv *from, size_t n_keys,
                             struct lac_error *error);

/* Where a head has given up keys because it streams: behind so many, so many. */
struct lac_kv_gap {
    int64_t n_before, n_keys;
};
struct lac_kv_gap lac_kv_gap_of(const struct lac_kv *kv, size_t layer, size_t head);

/* An empty cache becomes one of n keys, of which each head [n_layers][n_heads] has given up so
 * many: a multiple of LAC_LANES, at most n.  If a head streams in the way that left the gap, which
 * is part of them, it counts places as before, else slots.  What is in its pages is the caller's to
 * write. */
enum lac_status lac_kv_restore(struct lac_kv *kv, size_t n_keys, const int64_t *n_gone,
                               const struct lac_kv_gap *gaps, struct lac_error *error);

/* What rules ask for before the next pass: gives up keys that no query from position n_sure on
 * sees, of which all tokens before it are certain; the first n_prompt tokens are the prompt.
 * LAC_E_MEMORY: the cache is good, and less of it may have been given up. */
enum lac_status lac_kv_settle(struct lac_kv *kv, size_t n_sure, size_t n_prompt,
                              struct lac_error *error);
/* Where a pass must end that begins at n_keys, as rules act there; SIZE_MAX: nowhere. */
size_t lac_kv_stop(const struct lac_kv *kv, size_t n_prompt);
/* Tokens that may be guessed behind a text of n_text: where rules act they must be certain, and so
 * must all be whose votes stay. */
size_t lac_kv_most_guesses(const struct lac_kv *kv, size_t n_text, size_t n_prompt);

/* Pages of the cache's own, all or none. */
enum lac_status lac_kv_new_pages(const struct lac_kv *kv, size_t n, void **pages,
                                 struct lac_error *error);
/* Takes them over in place of all pages that the head has, of whose keys it gives up n_dropped. */
void lac_kv_replace_pages(struct lac_kv *kv, size_t layer, size_t head, void *const *pages,
                          size_t n_dropped);
/* Takes n pages over in place of those from `first` on; the first n_compact of them are compact, as
 * all before them are. */
void lac_kv_exchange_pages(struct lac_kv *kv, size_t layer, size_t head, size_t first,
                           void *const *pages, size_t n, size_t n_compact);

/* Bytes of the pages that it refers to, shared or not, and of votes. */
size_t lac_kv_bytes(const struct lac_kv *kv);

#endif
