/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses of the tokens that come next, from the text alone. */
#include "src/run/speculate.h"

/* How many tokens before `end` are the last ones of ids. */
static size_t match_length(const int32_t *ids, size_t n_ids, size_t end)
{
    size_t n = 0;
    while (n < end && n < LAC_LONGEST_MATCH && ids[end - 1 - n] == ids[n_ids - 1 - n])
        n++;
    return n;
}

size_t lac_guess_by_suffix(const int32_t *ids, size_t n_ids, int32_t *guesses, size_t most)
{
    size_t best = 0, best_end = 0;
    for (size_t end = n_ids; end-- > 1 && best < LAC_LONGEST_MATCH;) {
        size_t n = match_length(ids, n_ids, end);
        if (n > best) {
            best = n;
            best_end = end;
        }
    }
    if (best < LAC_SHORTEST_MATCH)
        return 0;
    /* Past the end of ids the guess repeats itself: a period is a good guess too. */
    size_t period = n_ids - best_end;
    for (size_t i = 0; i < most; i++)
        guesses[i] = i < period ? ids[best_end + i] : guesses[i - period];
    return most;
}
