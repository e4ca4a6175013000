/* SPDX-License-Identifier: Apache-2.0 */
/* Steps between two attentions, and who does which: src/run/member.h. */
#ifndef LACUNA_RUN_STEPS_H
#define LACUNA_RUN_STEPS_H

#include <stddef.h>

#include "src/run/member.h"

/* A step either by lanes, or by rows of a linear layer.  layer is what the steps were run with. */
struct lac_step {
    void (*lanes)(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                  size_t lane, size_t n_lanes);
    void (*rows)(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                 struct lac_rows rows);
    /* Of the rows. */
    const struct lac_linear *(*linear)(const struct lac_member *m, const struct lac_layer *layer);
    bool is_apart; /* the next step reads nothing that this one leaves */
};

/* Runs a list that ends with an empty step on the tokens in work.  What it leaves the member itself
 * may read, of its own tiles or lanes; others after lac_meet. */
void lac_run_steps(const struct lac_member *m, const struct lac_step *steps,
                   const struct lac_layer *layer);

/* Waits until all members have run their steps; those that share rows have already. */
void lac_meet(const struct lac_member *m);

/* h of all tokens in work. */
void lac_run_embeddings(const struct lac_member *m);

/* One layer.  After the last one only the tokens that the head looks at are in work. */
void lac_run_layer(struct lac_member *m, size_t index, bool is_last);

/* A layer that is shared has a dozen barriers of about a microsecond each: below so many bytes, of
 * weights for each token, they cost more than a second worker saves. */
enum { LAC_TEAM_BYTES = 256 << 10 };

/* What a token reads of a layer's weights, about. */
size_t lac_layer_bytes(const struct lac_network *network);

/* Should so many tokens be worked on by rows? */
bool lac_should_share_rows(const struct lac_network *network, size_t n_tokens, size_t size);

#endif
