/* SPDX-License-Identifier: Apache-2.0 */
/* The angles of rotary positions (Su et al. 2021) and how they are stretched to longer texts. */
#ifndef LACUNA_RUN_ROPE_H
#define LACUNA_RUN_ROPE_H

#include <stddef.h>

#include "src/model/config.h"

/* frequencies[i], i < head_dim / 2: pair i of a token at position p is turned by the angle
 * p * frequencies[i].  n_tokens is the length of the text, which LAC_ROPE_DYNAMIC alone asks for.
 */
void lac_rope_frequencies(const struct lac_rope *rope, size_t head_dim, size_t n_tokens,
                          float *frequencies);
/* Of n pairs of a token: the angles in fp32, as in the implementations that models are trained
 * with; cosines and sines, ld apart, times the rope's attention_factor. */
void lac_rope_angles(const struct lac_rope *rope, const float *frequencies, size_t n,
                     size_t position, size_t ld, float *cosines, float *sines);

/* Do the frequencies of a text depend on its length, being longer than the model was trained for?
 */
bool lac_rope_depends(const struct lac_config *config, size_t n_tokens);

#endif
