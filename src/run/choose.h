/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a gated feed-forward layer that leaves neurons out: src/run/activations.h. */
#ifndef LACUNA_RUN_CHOOSE_H
#define LACUNA_RUN_CHOOSE_H

#include "src/run/member.h"

/* What a tile's feed-forward layer reads: neurons list[0, n) of the layer's bundle, or all. */
struct lac_choice {
    size_t n;       /* LAC_ALL_NEURONS: the ordinary weights */
    uint32_t *list; /* ascending */
    /* Of up's outputs that are listed. */
    float *scale, *bias;
    int32_t *offset;
};

#define LAC_ALL_NEURONS SIZE_MAX

/* The token of the batch that a lane of the tile has. */
static inline size_t lac_token_of(const struct lac_member *m, struct lac_tile tile, size_t lane)
{
    size_t i = tile.index * LAC_TILE + lane;
    return m->h == m->region->kept_h ? m->region->kept[i] : i;
}

/* Of the FFN's slot: member.h's tiles, or one a worker. */
struct lac_choice lac_choice_of(const struct lac_region *region, size_t slot);

/* Some lanes of factor, which holds act(gate): what is left out becomes 0.  Whoever has the first
 * lane of a tile that can have a list makes that, and moves what is listed of factor together. */
void lac_choose_neurons(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t slot, size_t lane, size_t n_lanes);

/* The member's part of the listed rows of up, and of the rows of down of what is listed. */
void lac_run_chosen_up(const struct lac_member *m, const struct lac_layer *layer,
                       struct lac_tile tile, const struct lac_choice *choice, struct lac_output y);
void lac_run_chosen_down(const struct lac_member *m, const struct lac_layer *layer,
                         struct lac_tile tile, const struct lac_choice *choice,
                         struct lac_rows rows, struct lac_input x, struct lac_output y);

#endif
