/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a decoder: any number of texts go on by any number of tokens, together.
 *
 * All texts share each pass over the weights.  Long ones are cut into passes of batch_tokens
 * tokens; a token's result depends on its own text alone: not on how it was cut, on the others, nor
 * on the number of workers. */
#ifndef LACUNA_RUN_DECODER_H
#define LACUNA_RUN_DECODER_H

#include "src/run/forward.h"
#include "src/run/region.h"

struct lac_decoder {
    const struct lac_host *host;
    const struct lac_network *network;
    struct lac_pool *pool;
    const struct lac_sights *sights;
    const struct lac_trial *trial; /* or NULL */
    size_t pick_unit;              /* of sights and trial */
    size_t batch_tokens;
    struct lac_region region;
    struct lac_sequence *parts;        /* [capacity]: what of each text is in a pass */
    const struct lac_sequence **order; /* [capacity] */
    size_t *n_before;                  /* [capacity]: keys of each text before the call */
    size_t capacity;
    uint32_t *kept;                            /* [batch_tokens] */
    const struct lac_activations *activations; /* or NULL */
    struct lac_neuron_counts counts;           /* since it was opened */
};

/* Tokens to go through the network. */
struct lac_step_text {
    struct lac_kv *kv;  /* grows by n_tokens */
    const int32_t *ids; /* [n_tokens], each below config.vocab_size */
    size_t n_tokens;    /* at least 1; the text is at most config.max_tokens long with them */
    size_t n_text;   /* the length that the text has as a whole, by which LAC_ROPE_DYNAMIC turns its
                        tokens; those behind it (guesses) are turned as if each were the last */
    size_t n_prompt; /* of these, the prompt: caches may act at its end, and with activations only
                        the tokens behind it leave neurons out */
    /* What is asked of the last n_next tokens, in their order: what follows each. */
    struct lac_next *next;
    size_t n_next;           /* at most n_tokens; may be 0 */
    struct lac_usage *usage; /* with activations by CORE: what the prompt counts into; else NULL */
};

struct lac_decoder_options {
    size_t batch_tokens;
    const struct lac_activations *activations; /* or NULL; the network is one that they fit
                                                  (lac_activations_fit) */
    const struct lac_sights *sights;           /* NULL: the network's */
    const struct lac_trial *trial;             /* src/run/trial.h, or NULL */
};

/* Borrows all it is given but the options themselves; network is a decoder's. */
enum lac_status lac_decoder_open(struct lac_decoder *decoder, const struct lac_host *host,
                                 const struct lac_network *network, struct lac_pool *pool,
                                 const struct lac_decoder_options *options,
                                 struct lac_error *error);
void lac_decoder_close(struct lac_decoder *decoder);

/* The shape of the caches of a network; dtype 0: int8 if the network is, else fp32. */
struct lac_kv_shape lac_decoder_kv_shape(const struct lac_network *network, enum lac_dtype dtype);

/* Runs n texts.  should_stop, if it is not NULL, is asked between passes; LAC_E_CANCELLED then.  On
 * failure caches hold what they held before the call; those with rules may hold more of what is
 * certain, and all but the last token of it at most. */
enum lac_status lac_decoder_run(struct lac_decoder *decoder, const struct lac_step_text *texts,
                                size_t n, bool (*should_stop)(void *context), void *context,
                                struct lac_error *error);

#endif
