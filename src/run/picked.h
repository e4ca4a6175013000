/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens of a batch attention is chosen for, and what was chosen.
 *
 * Of a sequence without a cache: all.  Of a text, units of lac_pick_unit() queries, counted from
 * its first token, that a call brings as a whole, without its last certain token (which may have to
 * go through again, alone) and guesses behind it; heads whose cache follows a rule of its own are
 * not chosen for.  Passes end between units.  So what is chosen, and all results, do not depend on
 * how a call is cut into passes, what shares them, or how many workers there are; but a text that
 * goes on in the middle of a unit sees the rest of it by the head's other rule. */
#ifndef LACUNA_RUN_PICKED_H
#define LACUNA_RUN_PICKED_H

#include "src/run/keys.h"
#include "src/run/member.h"
#include "src/run/pick.h"

/* NULL: the head follows its rule. */
const struct lac_pick *lac_pick_of(const struct lac_member *m, size_t sequence, size_t layer,
                                   size_t head);

/* Positions of the batch's tokens of a sequence that are chosen for. */
struct lac_range lac_picked_for(const struct lac_member *m, size_t sequence,
                                const struct lac_pick *choice);

/* Before a member works on other keys. */
void lac_forget_picked(const struct lac_member *m);

/* Once keys of a head are in the cache, before any member chooses from them: what gates make of
 * them. */
void lac_pool_picked(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head);

/* Bits of what the queries of the block see that a position is in, one of those chosen for.  They
 * stay until a head that shares the keys asks for another span of itself. */
const uint64_t *lac_picked_bits(const struct lac_member *m, size_t sequence, size_t layer,
                                size_t head, size_t position, const struct lac_keys *keys);

/* Must the query of a token be there, though it is not kept, because one that is kept shares a
 * choice with it?  For the last layer. */
bool lac_is_asked(const struct lac_member *m, size_t layer, size_t sequence, size_t token);

#endif
