/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 4 outputs by one input of int8, as other tools prune them: which four share a quad.
 *
 * A kernel that takes tokens as lanes puts the four inputs of a quad into one dword: byte i from
 * input i of the quad, which is byte (input % 4) of a panel's dword.  Where both are the same
 * nothing has to be moved, so quads prefer such inputs, and the first of a quad always is one: its
 * dwords are the ones that the other three are put into. */
#ifndef LACUNA_SPARSE_LOOSE_H
#define LACUNA_SPARSE_LOOSE_H

#include <stddef.h>
#include <stdint.h>

enum { LAC_LOOSE_INPUTS = 4 };

/* Quads for the inputs whose bits are set: bit i % 8 of kept[i / 8]. */
size_t lac_loose_quads(const uint8_t *kept, size_t n_in);

/* Fills index [quads][4], and in `used` [quads] a bit for each place that holds a kept input, each
 * of which has one place.  The other places hold some input whose weights are to be zero. */
void lac_loose_place(const uint8_t *kept, size_t n_in, uint16_t *index, uint8_t *used);

#endif
