/* SPDX-License-Identifier: Apache-2.0 */
/* Generation: texts that go on, token by token.
 *
 * A session of task LAC_TASK_GENERATE holds any number of texts.  lac_session_add_text and
 * lac_session_add_ids start one with its prompt, at any time; lac_session_next makes a token for
 * each that is not finished, all in the same pass over the weights.  A text depends on its own
 * prompt and sampling alone: not on the others, on how long prompts are cut, nor on the number of
 * workers.
 *
 *     lac_session_add_text(session, prompt, strlen(prompt), NULL, 0, NULL);
 *     while (!lac_session_next(session, &events, &n) && n)
 *         for (size_t i = 0; i < n; i++)
 *             fwrite(events[i].text, 1, events[i].size, stdout);
 *
 * All functions here but lac_session_cancel belong to the session's thread, and are LAC_E_STATE in
 * a session of another task.  LAC_E_ARGUMENT for a sequence that is not there.  A call that fails
 * leaves the session as it was before it, and usable. */
#ifndef LACUNA_GENERATE_H
#define LACUNA_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>
#include <lacuna/session.h>
#include <lacuna/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the next token is chosen.  All zeros: the most probable one (greedy).
 *
 * The steps, in this order: repetition_penalty, temperature, top_k, top_p, min_p; then one of what
 * is left is drawn by its probability.  The draw depends on seed and the token's place in the text
 * alone (Philox4x32-10; Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011). */
struct lac_sampling {
    uint64_t seed;
    double temperature;        /* logits are divided by it; 0: greedy, and the rest does not matter
                                  but for repetition_penalty */
    size_t top_k;              /* only the k most probable; 0: all */
    double top_p;              /* only the fewest most probable that together have this much of the
                                  probability (Holtzman et al. 2020); 0 or 1: all */
    double min_p;              /* only those at least this many times as probable as the best; 0:
                                  all */
    double repetition_penalty; /* logits of tokens that the text has, prompt included, are divided
                                  by it if positive, else multiplied (Keskar et al. 2019); 0 or 1:
                                  as they are */
};

/* Why a text does not go on. */
enum lac_finish {
    LAC_FINISH_NONE = 0,    /* it does */
    LAC_FINISH_END = 1,     /* the model wrote a token that ends texts */
    LAC_FINISH_STOP = 2,    /* a stop string appeared */
    LAC_FINISH_LENGTH = 3,  /* max_new_tokens were made */
    LAC_FINISH_CONTEXT = 4, /* it has lac_model_max_tokens tokens */
    LAC_FINISH_STOPPED = 5, /* lac_session_stop */
};

/* Options of lac_session_new.  What they take is checked there: LAC_E_ARGUMENT. */

/* Of texts that are added; greedy unless set. */
LAC_API void lac_session_options_set_sampling(struct lac_session_options *options,
                                              const struct lac_sampling *sampling);
/* Tokens that a text gets each time it has been fed; 0 (the default): as many as fit the model. */
LAC_API void lac_session_options_set_max_new_tokens(struct lac_session_options *options,
                                                    size_t n_tokens);
/* Texts end where one of these UTF-8 strings appears, which is then no part of them (its tokens
 * are).  What may be
 * the beginning of one is held back until that is decided.  Copied; LAC_E_MEMORY; LAC_E_ARGUMENT
 * for an empty string or one that is not UTF-8.  Options are unchanged on failure. */
LAC_API enum lac_status lac_session_options_set_stops(struct lac_session_options *options,
                                                      const char *const *stops, size_t n_stops);
/* Number format of cached keys and values: LAC_F32, LAC_BF16 or LAC_S8.  Unless set: LAC_S8 for
 * integer models, else LAC_F32. */
LAC_API void lac_session_options_set_kv_dtype(struct lac_session_options *options,
                                              enum lac_dtype dtype);
/* What the caches of texts keep.  A policy that gives up keys and values makes texts cheaper, in
 * memory and in time to a token, and changes what they say; how its passes are cut, other texts and
 * the number of workers do not.  Layers whose model has a window of their own keep that window and
 * no sinks, under every policy but LAC_KV_FULL.  Keys keep the positions that they came with, so a
 * text is still no longer than lac_model_max_tokens. */
enum lac_kv_policy_kind {
    LAC_KV_FULL = 0, /* everything */
    /* The first n_sinks keys and the last n_window, a token's own included, both rounded up to
     * whole blocks of 64 that lie at multiples of 64: a token sees less than n_sinks + n_window +
     * 128. Xiao et al., Efficient streaming language models with attention sinks (StreamingLLM),
     * 2023. With full_heads, those that retrieve, it is that of Xiao et al., DuoAttention, 2024. */
    LAC_KV_STREAM = 1,
    /* When a prompt has gone through, each head keeps n_budget of its keys, up to 15 more: the last
     * n_observed, and those that these looked at most.  Its queries vote by their softmax weights,
     * added over the heads that share it, and a key has the most votes of the 7 round it.  What
     * comes then is kept, until the next prompt ends (lac_session_feed): of that the last
     * n_observed tokens vote that had not gone through before it was fed.  Texts are forgotten in
     * a head only as far as they are longer than its budget.
     * Li et al., SnapKV: LLM knows what you are looking for before generation, 2024. */
    LAC_KV_SNAP = 2,
    /* Each head keeps n_budget of its keys, up to 15 more: the last n_window, and those that have
     * been looked at most by all tokens since they came, by softmax weights added up over tokens
     * and the heads that share the key.  It gives up the others when a prompt has gone through, and
     * behind it at positions that are multiples of 64; between these what comes is kept as well.
     * As every token votes, none is guessed.
     * Votes are 4 bytes for each key of a head, and of a long prompt they take longer than its
     * attention does: with n_observed only the last so many of its tokens vote.
     * Zhang et al., H2O: heavy-hitter oracle for efficient generative inference, 2023. */
    LAC_KV_HEAVY = 3,
    /* When a prompt has gone through, its keys but the last n_observed lose features: each head
     * keeps `share` of them, fours that lie side by side, rounded up: those that make most of the
     * scores of its keys and the last n_observed queries, by the product of their sizes.  Fewer
     * keys may lose them, as it is done 16 at a time.  What comes then is kept whole, until the
     * next prompt ends, when each head chooses anew for what has come. Xu et al., ThinK: thinner
     * key cache by query-driven pruning, 2024. */
    LAC_KV_THIN = 4,
    /* When a prompt has gone through, its keys and values get fewer bits, those of LAC_S8 4 and
     * others 8, but for the last n_observed and those that matter: in each head as many as the
     * heads of its layer need to have `share` of the votes of the last n_observed queries (votes as
     * with LAC_KV_SNAP, without neighbours), and up to 15 more.  What comes then is kept whole,
     * until the next prompt ends; bits that are lost do not come back.
     * He et al., ZipVL: efficient large vision-language models with dynamic token sparsification
     * and KV cache compression, 2024. */
    LAC_KV_ZIP = 5,
    /* Everything is kept, and tokens behind the prompt read some of it: pages of 16 keys, as many
     * as n_budget keys fill (or one key of n_part), at least 6.  The first page and the last four
     * are always among them; those where q . k can be largest by the largest and the least that
     * each feature has in a page are the others.  Heads that share their keys read the same pages.
     * Layers that have a window of their own, or another rule than to see all, go by that.  The
     * bounds take 1/16 of the memory of int8 keys and values.
     * Tang et al., Quest: query-aware sparsity for efficient long-context LLM inference, 2024. */
    LAC_KV_QUEST = 8,
    /* The same by the product of a sixteenth of the features, in int8, rounded up to fours: for
     * each key and value head those in which its queries and keys are largest, by the weights that
     * make these.  A page goes by its best key.  They take 1/32 of the memory.
     * Yang et al., Post-training sparse attention with double sparsity, 2024. */
    LAC_KV_CHANNELS = 9,
    /* A token reads the last n_window keys, its own included, as with LAC_KV_STREAM, and of what is
     * before, the memory, in blocks of 64: the first n_sinks keys, and n_budget others, rounded up
     * to blocks, those with the largest q . k by the bounds of LAC_KV_QUEST.  That goes for the
     * prompt's tokens too.  Keys of the memory all have the same distance, that of the window's
     * edge, so that a text may be longer than lac_model_max_tokens: up to LAC_KV_MOST_TOKENS.
     * LAC_E_UNSUPPORTED for models without rotary positions, or whose positions depend on the
     * text's length.  All keys are kept, those of the window twice; a file (lac_session_save) of
     * another policy, or with a smaller window, cannot go on with this one.
     * After Xiao et al., InfLLM: training-free long-context extrapolation for LLMs with an
     * efficient context memory, 2024, whose blocks are found by some of their keys. */
    LAC_KV_MEMORY = 10,
};
enum { LAC_KV_MOST_TOKENS = 1 << 24 };
/* What becomes of keys that a head of STREAM does not keep. */
enum lac_kv_rest {
    LAC_KV_FORGET = 0,
    /* Those between the sinks and the window are seen as one key and one value, their means, that
     * count as often as there are keys.  Tang et al., RazorAttention: efficient KV cache
     * compression through retrieval heads, 2024. */
    LAC_KV_MEAN = 1,
};
/* How a budget of SNAP becomes that of each layer. */
enum lac_kv_deal {
    LAC_KV_EVEN = 0, /* it is that of each */
    /* It is their mean: each layer keeps the fewest keys that have a share p of its votes, p as
     * large as the budget allows.  Wang et al., PrefixKV: adaptive prefix KV cache is what vision
     * instruction-following models need for efficient generation, 2024. */
    LAC_KV_BY_MASS = 1,
};
/* A key/value head, which several heads may share. */
struct lac_kv_head {
    size_t layer, head;
};
enum { LAC_KV_MOST = 1 << 30 };
struct lac_kv_policy {
    enum lac_kv_policy_kind kind;
    size_t n_sinks, n_window; /* STREAM, MEMORY; n_window from 1, both to LAC_KV_MOST.  HEAVY:
                                 n_window is part of the budget; 0: half of it */
    const struct lac_kv_head *full_heads; /* they keep everything, whatever the kind */
    size_t n_full_heads;
    size_t n_budget;   /* SNAP and HEAVY: from 1 and n_observed or n_window on, to
                          LAC_KV_MOST.  QUEST, CHANNELS, MEMORY: from 1 */
    size_t n_part;     /* QUEST, CHANNELS: to LAC_KV_MOST, in place of a budget; or 0 */
    size_t n_observed; /* tokens of a prompt's end that vote.  SNAP, THIN, ZIP; 0: 32.  HEAVY; 0:
                          all */
    const size_t *layer_budgets; /* Of these: one for each layer instead of n_budget; or NULL
                                  */
    size_t n_layer_budgets;
    enum lac_kv_deal deal; /* SNAP, of n_budget */
    enum lac_kv_rest rest; /* STREAM */
    double share;          /* THIN, ZIP: more than 0, at most 1 */
};
/* LAC_KV_FULL unless set.  Of a session's own model, not of its draft.  Copied; LAC_E_MEMORY, and
 * options are unchanged then. */
LAC_API enum lac_status lac_session_options_set_kv_policy(struct lac_session_options *options,
                                                          const struct lac_kv_policy *policy);
/* Computes log-probabilities: one more look at every word's logit. */
enum lac_log_probabilities { LAC_LOG_PROBABILITIES_NO = 0, LAC_LOG_PROBABILITIES_YES = 1 };
LAC_API void
lac_session_options_set_log_probabilities(struct lac_session_options *options,
                                          enum lac_log_probabilities log_probabilities);
/* Speculation: up to n_tokens (at most LAC_MAX_SPECULATED) tokens are guessed and then checked in
 * one pass; fewer while guesses turn out wrong.  A guess is kept only if it is the very token that
 * sampling gives, so texts are the same with and without.  Without a draft the guess is what
 * followed the longest earlier occurrence of the text's last tokens; 0 (the default): none. */
enum { LAC_MAX_SPECULATED = 32 };
LAC_API void lac_session_options_set_speculation(struct lac_session_options *options,
                                                 size_t n_tokens);
/* Guesses come from this smaller or sparser model, greedily; its vocabulary must be the same.
 * Borrowed until the session and its clones are freed.  NULL: none. */
LAC_API void lac_session_options_set_draft(struct lac_session_options *options,
                                           struct lac_model *draft);

/* Which neurons of gated feed-forward layers, down(act(gate(x)) * up(x)), count for tokens that
 * the model makes or lac_session_score scores: the others are left out.  Tokens that are fed, or
 * given as context, have all neurons.  Texts change, but still depend on nothing but themselves. */
struct lac_activations_policy {
    enum lac_activations_rule rule;
    /* CATS: for each layer the least |act(gate(x))| that counts, not negative, as
     * lac_session_calibrate finds them.  Lee et al., CATS: Contextually-aware thresholding for
     * sparsity in large language models, 2024. */
    const float *thresholds;
    size_t n_thresholds;
    /* CORE: of each layer's neurons the share that a text goes on with, above 0, and the share in
     * which a token of the prompt counts what it uses most, by |act(gate(x)) * up(x)|; 0: 0.4.
     * Those that most tokens counted are the text's core, from when its prompt has gone through
     * until more is fed.  Wang et al., CoreInfer: Accelerating large language model inference with
     * semantics-inspired adaptive sparse activation, 2024. */
    double core_share, token_share;
};
/* LAC_ACTIVATIONS_ALL unless set.  Of a session's own model, not of its draft.  What CATS leaves
 * out is not read if the model was opened with lac_model_options_set_activations.  A core's weights
 * are copied when it is chosen, core_share of the feed-forward weights for each text (and less of
 * weights that are pruned); forks and clones share their original's, and count on from what it has
 * counted.  A restored text goes through the model again.  Copied; LAC_E_MEMORY, and options are
 * unchanged then.  The session is LAC_E_ARGUMENT for a wrong number of thresholds, one below 0 or
 * no share, LAC_E_UNSUPPORTED for models without such layers, and with CORE for those whose weights
 * cannot be copied: neither int8 without outliers nor fp32, or fp32 in blocks of few rows. */
LAC_API enum lac_status
lac_session_options_set_activations(struct lac_session_options *options,
                                    const struct lac_activations_policy *policy);

/* Appends to a text, which goes on from there, also if it was finished.  Of the tokenizer's special
 * tokens none is added.  n may be 0: it goes on by itself.  Limits begin anew; what was held back
 * of its text is not given any more.  LAC_E_LIMIT: longer than the model takes. */
LAC_API enum lac_status lac_session_feed(struct lac_session *session, size_t sequence,
                                         const char *text, size_t size);
LAC_API enum lac_status lac_session_feed_ids(struct lac_session *session, size_t sequence,
                                             const int32_t *ids, size_t n);

struct lac_event {
    size_t sequence;
    int32_t id; /* of the token; -1: none, the event only says that the text is finished */
    enum lac_finish finish;
    double log_probability; /* of the token, by the model alone: before sampling's steps; 0 unless
                               asked for */
    const char *text;       /* UTF-8: whole characters that are certain now, perhaps none */
    size_t size;            /* of text */
};

/* One step: at least one event for each text that is not finished, in the order of their numbers;
 * more with speculation.  *n_events is 0 when all are finished.  Prompts are worked on in the first
 * step after they came.  Events belong to the session and live until its next call.
 * LAC_E_CANCELLED after lac_session_cancel: no text got a token; the next call goes on. */
LAC_API enum lac_status lac_session_next(struct lac_session *session,
                                         const struct lac_event **events, size_t *n_events);

/* Calls lac_session_next until all texts are finished, and event for each event.  event must not
 * call other functions of the session but lac_session_stop; what it returns other than 0 ends the
 * call with LAC_E_CANCELLED after the step's other events are lost.  lac_session_run does the same
 * with no callback: texts are then read by lac_session_text. */
LAC_API enum lac_status
lac_session_generate(struct lac_session *session,
                     int (*event)(void *context, const struct lac_event *event), void *context);

/* Ends the pass that runs now, or else the next one, with LAC_E_CANCELLED.  From any thread. */
LAC_API void lac_session_cancel(struct lac_session *session);

/* Finishes a text now.  What was held back of it comes with lac_session_next. */
LAC_API enum lac_status lac_session_stop(struct lac_session *session, size_t sequence);

/* How a text goes on from here; LAC_E_ARGUMENT for numbers out of range. */
LAC_API enum lac_status lac_session_set_sampling(struct lac_session *session, size_t sequence,
                                                 const struct lac_sampling *sampling);

/* The text's own bound instead of the options'; 0: none. */
LAC_API enum lac_status lac_session_set_max_new_tokens(struct lac_session *session, size_t sequence,
                                                       size_t n_tokens);

/* A copy of a text as it is now, which draws with its own seed from here on.  Its cache is shared
 * until they differ: n samples of one prompt work on it once when they are forked after its first
 * step, or (seeds differing from the first token on) after lac_session_prepare. */
LAC_API enum lac_status lac_session_fork(struct lac_session *session, size_t sequence,
                                         uint64_t seed, size_t *copy);
/* Works on what waits of all texts but their last token, and makes none. */
LAC_API enum lac_status lac_session_prepare(struct lac_session *session);
/* Forgets a text; a later one may get its number. */
LAC_API enum lac_status lac_session_remove(struct lac_session *session, size_t sequence);

/* A session of the same model and options with copies of all texts.  It may be used by another
 * thread; caches are shared until texts differ.  On failure *clone is untouched. */
LAC_API enum lac_status lac_session_clone(struct lac_session *session, struct lac_session **clone);

/* What the model has written since the text was last fed: all that is certain.  Lives until the
 * session's next call, as does what the next function gives. */
LAC_API enum lac_status lac_session_text(struct lac_session *session, size_t sequence,
                                         const char **text, size_t *size);
/* All tokens, of which the model made those from n_fed on. */
LAC_API enum lac_status lac_session_ids(struct lac_session *session, size_t sequence,
                                        const int32_t **ids, size_t *n, size_t *n_fed);
/* Why it is finished, and the sum of its tokens' log-probabilities since it was last fed.  Each may
 * be NULL. */
LAC_API enum lac_status lac_session_outcome(struct lac_session *session, size_t sequence,
                                            enum lac_finish *finish, double *log_probability);

/* Beam search (for example Graves 2012): in each step the n_beams most probable continuations are
 * kept. */
struct lac_search {
    size_t n_beams;        /* 1 to LAC_MAX_BEAMS */
    double length_penalty; /* texts are ordered by log-probability / tokens^length_penalty: over 0
                              prefers longer ones */
};
enum { LAC_MAX_BEAMS = 32 };
/* The best n_best (at most n_beams) continuations of a text as sequences of their own, finished,
 * best first; the text itself is left as it is.  lac_session_outcome gives their log-probabilities.
 * Temperature and the other steps of sampling are not applied.  Ends, stop strings and
 * max_new_tokens as always.  On failure none is made. */
LAC_API enum lac_status lac_session_search(struct lac_session *session, size_t sequence,
                                           const struct lac_search *search, size_t n_best,
                                           size_t *sequences, size_t *n_sequences);

/* How tokens behind a context go through the model: many together, or one by one as those do that
 * are generated, which takes longer and shows what decoding costs. */
enum lac_pace { LAC_PACE_PASSES = 0, LAC_PACE_STEPS = 1 };
/* log_probabilities[i] of ids[n_context + i], given all before it: n - n_context natural
 * logarithms.  best[i], unless best is NULL, is the most probable token in its place: where they
 * are the ids themselves, greedy generation writes just these.  The first n_context ids are the
 * prompt, at whose end LAC_KV_SNAP and _HEAVY act.  n_context is at least 1 and less than n, which
 * is at most lac_model_max_tokens; the session's texts are not touched.  The perplexity is exp of
 * the logarithms' negative mean.  LAC_E_CANCELLED as in lac_session_next. */
LAC_API enum lac_status lac_session_score(struct lac_session *session, const int32_t *ids, size_t n,
                                          size_t n_context, enum lac_pace pace,
                                          double *log_probabilities, int32_t *best);

/* Runs a text of n tokens, at least 1 (longer ones than the model takes in parts), and finds for
 * each layer the largest threshold, to 8 bits, that at least `share` (0 to 1) of |act(gate(x))|
 * reach: thresholds [lac_model_layers], for LAC_ACTIVATIONS_CATS.  Some thousand tokens of
 * the kind that will be made are enough.  The session's own thresholds do not matter, and its texts
 * are not touched.  LAC_E_UNSUPPORTED: the model's feed-forward layers have no gate.
 * LAC_E_CANCELLED as in lac_session_next. */
LAC_API enum lac_status lac_session_calibrate(struct lac_session *session, const int32_t *ids,
                                              size_t n, double share, float *thresholds);

/* Writes a text's tokens, cache and sampling to a file, under a temporary name first. */
LAC_API enum lac_status lac_session_save(struct lac_session *session, size_t sequence,
                                         const char *path);
/* Adds a text that was saved, which goes on as it would have.  LAC_E_FORMAT: the file is damaged;
 * LAC_E_UNSUPPORTED: it is of another model or number format. */
LAC_API enum lac_status lac_session_restore(struct lac_session *session, const char *path,
                                            size_t *sequence);

/* Since the session was made. */
struct lac_generation_counts {
    size_t n_fed;             /* tokens of prompts that went through the model */
    size_t n_made;            /* tokens made */
    size_t n_steps;           /* passes that made them */
    size_t n_guessed;         /* by speculation */
    size_t n_accepted;        /* of which right */
    size_t cache_bytes;       /* of the texts that are there; what they share counts for each */
    size_t score_cache_bytes; /* what lac_session_score kept of the last ids, at their end */
    double score_seconds;     /* what it took for them, their context left out: n - n_context - 1
                                 tokens went through the model */
    /* Of tokens that leave neurons out: */
    size_t n_neurons; /* neurons of all layers, for each token */
    size_t n_active;  /* of which not left out */
    size_t n_stored;  /* neurons of all layers, for each pass that these tokens shared */
    size_t n_read;    /* of which the weights were read */
};
LAC_API enum lac_status lac_session_counts(struct lac_session *session,
                                           struct lac_generation_counts *counts);

#ifdef __cplusplus
}
#endif
#endif
