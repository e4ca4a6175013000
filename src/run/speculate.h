/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses of the tokens that come next, from the text alone. */
#ifndef LACUNA_RUN_SPECULATE_H
#define LACUNA_RUN_SPECULATE_H

#include <stddef.h>
#include <stdint.h>

/* Copies what followed the longest earlier occurrence of the last tokens of ids (of at most
 * LAC_LONGEST_MATCH of them; of equally long ones the latest), at most `most` tokens, to guesses;
 * returns how many.  Guesses may lie right behind ids.  (Saxena, Prompt lookup decoding, 2023.) */
enum { LAC_SHORTEST_MATCH = 2, LAC_LONGEST_MATCH = 16 };
size_t lac_guess_by_suffix(const int32_t *ids, size_t n_ids, int32_t *guesses, size_t most);

#endif
