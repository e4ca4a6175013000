/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind a session that generates: texts, and the steps they take together. */
#ifndef LACUNA_API_GENERATOR_H
#define LACUNA_API_GENERATOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include <lacuna/generate.h>

#include "src/api/internal.h"
#include "src/run/core.h"
#include "src/run/decoder.h"
#include "src/run/sample.h"
#include "src/run/saved.h"
#include "src/text/stops.h"

/* Of a session that generates, as they were given. */
struct lac_generation_options {
    struct lac_sampling sampling;
    size_t max_new_tokens, n_speculated, batch_tokens;
    struct lac_stops stops;
    enum lac_dtype kv_dtype;        /* 0: the model's */
    struct lac_kv_policy kv_policy; /* lac_kv_policy_copy */
    enum lac_log_probabilities log_probabilities;
    struct lac_model *draft;                   /* or NULL */
    struct lac_activations_policy activations; /* lac_activations_policy_copy */
    struct lac_attention_text attention;       /* lac_attention_text_copy */
};

/* One sequence.  Tokens that are not in the cache wait for the next step; at least the last one
 * does, whose pass says what comes next.
 *
 *   ids    [ fed ...            | made ...         | room for guesses ]
 *   cache  [ n_keys ...            ]                    n_keys < n_ids
 *   bytes                       [ given | held back ]   of the text since it was fed */
struct lac_text {
    bool is_used;
    int32_t *ids; /* [id_capacity] */
    size_t n_ids, id_capacity;
    size_t n_fed;
    struct lac_kv kv, draft_kv;
    struct lac_usage usage; /* with a core */
    struct lac_sampling sampling;
    size_t max_new_tokens; /* 0: no bound but the context */
    size_t n_promising;    /* guesses that are worth a try, by what came of the last ones */
    enum lac_finish finish;
    bool is_reported;              /* its end was an event */
    struct lac_decode_state state; /* behind all ids */
    char *bytes;                   /* [byte_capacity] */
    size_t n_bytes, byte_capacity;
    size_t n_given;
    double log_probability; /* of what was made */
};

/* What a text does in a step. */
struct lac_turn {
    size_t index;     /* of the text */
    size_t n_guesses; /* behind its ids */
};

struct lac_generator {
    const struct lac_host *host;
    struct lac_model *model;
    struct lac_generation_options options; /* its own copy */
    struct lac_kv_shape kv_shape, draft_shape;
    struct lac_kv_rules *kv_rules;      /* of kv_shape; NULL: all is kept */
    size_t max_tokens;                  /* of a text */
    struct lac_activations activations; /* the decoder's, if options have any */
    struct lac_arena arena;             /* of sights */
    struct lac_sights sights;           /* by options.attention, if there is any */
    struct lac_decoder decoder, draft;  /* draft: only with options.draft */
    struct lac_sampler sampler;
    struct lac_text *texts; /* [n_texts]; those not in use keep nothing */
    size_t n_texts, text_capacity;
    char *scratch; /* [room]: a token's text */
    size_t room;   /* that any token's text needs; 0: no tokenizer */
    atomic_bool is_cancelled;
    struct lac_generation_counts counts;

    /* Of a step. */
    struct lac_turn *turns;      /* [step_capacity] */
    struct lac_step_text *steps; /* [step_capacity] */
    size_t step_capacity;
    struct lac_next *nexts; /* [next_capacity] */
    size_t next_capacity;
    float *logits; /* [logit_rows][vocab_size] */
    size_t logit_rows;
    struct lac_event *events; /* [event_capacity] */
    size_t n_events, event_capacity;
};

/* options are copied; model and options->draft borrowed. */
enum lac_status lac_generator_new(struct lac_model *model,
                                  const struct lac_generation_options *options,
                                  struct lac_generator **generator, struct lac_error *error);
/* Takes NULL. */
void lac_generator_free(struct lac_generator *g);
/* Forgets all texts. */
void lac_generator_clear(struct lac_generator *g);

/* Of the texts that are there: how many, and their tokens. */
size_t lac_generator_sequences(const struct lac_generator *g);
size_t lac_generator_tokens(const struct lac_generator *g);

/* A place for one more text, empty and not in use. */
enum lac_status lac_generator_place(struct lac_generator *g, size_t *index,
                                    struct lac_error *error);
/* LAC_E_ARGUMENT when no text is there. */
enum lac_status lac_generator_find(struct lac_generator *g, size_t sequence, struct lac_text **text,
                                   struct lac_error *error);
/* Where a text counts its neurons, or NULL. */
struct lac_usage *lac_text_usage(const struct lac_generator *g, struct lac_text *text);
bool lac_generator_should_stop(void *generator);
/* Room for so many texts in a step, and things asked of them. */
enum lac_status lac_generator_reserve(struct lac_generator *g, size_t n_texts, size_t n_nexts,
                                      bool with_logits, struct lac_error *error);
/* One step of all texts: fills events. */
enum lac_status lac_generator_step(struct lac_generator *g, struct lac_error *error);

/* An empty text, not in use, nothing allocated. */
void lac_text_init(const struct lac_generator *g, struct lac_text *text);
/* The same again; frees what it had. */
void lac_text_clear(const struct lac_generator *g, struct lac_text *text);
/* Appends checked ids as fed ones; a new turn begins. */
enum lac_status lac_text_feed(const struct lac_generator *g, struct lac_text *text,
                              const int32_t *ids, size_t n, struct lac_error *error);
/* `to`, just initialised, becomes like `from`. */
enum lac_status lac_text_copy(const struct lac_generator *g, struct lac_text *to,
                              const struct lac_text *from, struct lac_error *error);
/* Makes room for n more tokens and what they say. */
enum lac_status lac_text_reserve(const struct lac_generator *g, struct lac_text *text, size_t n,
                                 struct lac_error *error);
/* Appends a token that was made, for which there is room. */
void lac_text_push(const struct lac_generator *g, struct lac_text *text, int32_t id,
                   double log_probability);
/* The same without looking whether the text ends there. */
void lac_text_retell(const struct lac_generator *g, struct lac_text *text, int32_t id);
void lac_text_end(const struct lac_generator *g, struct lac_text *text, enum lac_finish finish);
/* What is certain and was not given yet counts as given; the rest of the event is the caller's. */
void lac_text_give(const struct lac_generator *g, struct lac_text *text, struct lac_event *event);
/* Tokens that it may still get. */
size_t lac_text_room(const struct lac_generator *g, const struct lac_text *text);

#endif
