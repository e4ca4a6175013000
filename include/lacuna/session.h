/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: texts in, answers out.
 *
 * A session collects sequences (lac_session_add_*), runs them as one packed batch
 * (lac_session_run), and holds the results until lac_session_clear.  Sessions of task
 * LAC_TASK_GENERATE have their own header, <lacuna/generate.h>: sequences are prompts there, which
 * are never cut (LAC_E_LIMIT), and lac_session_run goes on until all are finished.  It belongs to
 * one thread at a time; sessions of the same engine may run at once and take turns at its workers.
 */
#ifndef LACUNA_SESSION_H
#define LACUNA_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>
#include <lacuna/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lac_session;
struct lac_session_options;

enum lac_pooling {
    LAC_POOL_DEFAULT = 0, /* what the model's sentence-transformers files say, else mean */
    LAC_POOL_MEAN = 1,
    LAC_POOL_CLS = 2,
    LAC_POOL_POOLER = 3, /* tanh(W CLS + b); LAC_E_UNSUPPORTED when the model has none */
};

enum lac_normalize { LAC_NORMALIZE_NONE = 0, LAC_NORMALIZE_L2 = 1 };

LAC_API enum lac_status lac_session_options_new(struct lac_session_options **options);
LAC_API void lac_session_options_free(struct lac_session_options *options);
/* One of enum lac_task; unless set, the first that the model can do, in the enum's order. */
LAC_API void lac_session_options_set_task(struct lac_session_options *options, enum lac_task task);
/* Tokens the forward pass takes at once, at least 1; 0 for a default that fits the caches.  More
 * may be added to a session: they run in turns. */
LAC_API void lac_session_options_set_batch_tokens(struct lac_session_options *options,
                                                  size_t n_tokens);
LAC_API void lac_session_options_set_pooling(struct lac_session_options *options,
                                             enum lac_pooling pooling,
                                             enum lac_normalize normalize);
/* What happens to texts over the model's maximum; LAC_TRUNCATE_LONGEST unless set. */
LAC_API void lac_session_options_set_truncate(struct lac_session_options *options,
                                              enum lac_truncate truncate);

/* What attention reads, layer by layer and head by head: a plan in JSON of so many bytes, which
 * lacuna(1) describes and lac_session_tune_attention makes.  It
 * takes the place of the one that the model's config.json has as "lacuna_attention", if any: with
 * {"layers": "usual"} attention is as the architecture has it.  Sessions of one model may have
 * different plans.  plan NULL: the model's own.  Copied; LAC_E_MEMORY, and options are unchanged
 * then.  Whether it is a plan, and one for this model, lac_session_new says: LAC_E_FORMAT,
 * LAC_E_UNSUPPORTED for kinds of rules that are not known, LAC_E_LIMIT. */
LAC_API enum lac_status lac_session_options_set_attention(struct lac_session_options *options,
                                                          const char *plan, size_t size);

/* How lac_session_tune_attention chooses a rule for each head. */
struct lac_attention_tuning {
    /* The cheapest rule that errs no more: by the norm of the difference that the rule makes to the
     * head's output, as a share of the output's norm, all tokens together; and no more than three
     * times as much in any 48 tokens that follow one another, whose output is taken to be of average
     * norm. */
    double error;
    /* With an error of 0: the least errors of all heads, their squares added, with which they read
     * no more than this share of what the model's own rules read. */
    double density;
    const char
        *rules; /* JSON of so many bytes, {"rules": ...} as in a plan: rules to choose from; */
    size_t
        rules_size; /* NULL: windows, vertical-slash, pooled blocks and estimates of some sizes */
    size_t window;  /* tokens of the text that are seen at once; 0: as many as the model takes */
    /* NULL, or called with the share of the work that is done; what it returns other than 0 ends
     * the call with LAC_E_CANCELLED.  It must not use the session. */
    int (*progress)(void *context, double share);
    void *context;
};
/* What was found, on the text. */
struct lac_attention_tuned {
    const char *plan; /* JSON for lac_session_options_set_attention, with the figures by head; lives
                         until the session's next tuning or its end */
    size_t size;
    double density;                     /* share of the key blocks that all heads read together */
    double error;                       /* root of the mean square of the heads' */
    double perplexity, full_perplexity; /* of a decoder, by the plan and without; else 0 */
};
/* Finds a plan for the session's model: runs a text of n tokens, at least 2, window by window, and
 * in each layer does attention by each of the rules beside the model's own (the architecture's, not
 * that of a plan), which is what the next layer gets; then once more by the plan that comes of it.
 * Of encoders the first and the last of the ids stand round every window, as tokenizers put them.
 * Nothing that the session holds matters, nor changes.  Some thousand tokens of the kind that will
 * be read, as long as texts will be, are enough; it takes as long as attention by all rules does.
 * After Jiang et al., MInference 1.0: accelerating pre-filling for long-context LLMs via dynamic
 * sparse attention, 2024, and Fu et al., MoA: mixture of sparse attention for automatic large
 * language model compression, 2024.
 * LAC_E_ARGUMENT: neither error nor density is over 0, both are, or no rules have so little
 * density; LAC_E_FORMAT, LAC_E_UNSUPPORTED: of the rules; LAC_E_CANCELLED, of decoders also as in
 * lac_session_next.  On failure *tuned is untouched. */
LAC_API enum lac_status lac_session_tune_attention(struct lac_session *session, const int32_t *ids,
                                                   size_t n,
                                                   const struct lac_attention_tuning *tuning,
                                                   struct lac_attention_tuned *tuned);

/* options may be NULL.  On failure the message is the engine's and *session is untouched. */
LAC_API enum lac_status lac_session_new(struct lac_model *model,
                                        const struct lac_session_options *options,
                                        struct lac_session **session);
LAC_API void lac_session_free(struct lac_session *session);
/* What went wrong in the last call on this session; "" if nothing. */
LAC_API const char *lac_session_message(const struct lac_session *session);

/* Adds a text, or a pair of texts (pair not NULL), in UTF-8.  *sequence gets its number, counted
 * from 0; sequence may be NULL.  A text that fails adds nothing and leaves the session usable. */
LAC_API enum lac_status lac_session_add_text(struct lac_session *session, const char *text,
                                             size_t size, const char *pair, size_t pair_size,
                                             size_t *sequence);
/* Adds token ids as they are, special tokens included; type_ids may be NULL (all 0). */
LAC_API enum lac_status lac_session_add_ids(struct lac_session *session, const int32_t *ids,
                                            const uint8_t *type_ids, size_t n, size_t *sequence);
LAC_API size_t lac_session_sequences(const struct lac_session *session);
/* Tokens of all sequences added. */
LAC_API size_t lac_session_tokens(const struct lac_session *session);
/* Runs what was added since the last clear and has not run.  The calling thread is one of the
 * workers; it needs 256 KB of stack. */
LAC_API enum lac_status lac_session_run(struct lac_session *session);
LAC_API void lac_session_clear(struct lac_session *session);

/* Results belong to the session and live until lac_session_clear, lac_session_run or
 * lac_session_free.  LAC_E_STATE before lac_session_run or for another task's result;
 * LAC_E_ARGUMENT for a sequence out of range. */

/* The tokens of a sequence with their places in the text (none when it was added as ids); known
 * before lac_session_run too. */
LAC_API enum lac_status lac_session_encoding(struct lac_session *session, size_t sequence,
                                             const struct lac_encoding **encoding);

/* CLASSIFY: n_labels logits and probabilities (softmax; sigmoid for multi-label models; the logits
 * themselves for regression). */
LAC_API enum lac_status lac_session_classes(struct lac_session *session, size_t sequence,
                                            const float **logits, const float **probabilities,
                                            size_t *n_labels);
/* TAG: row-major [n_tokens, n_labels]. */
LAC_API enum lac_status lac_session_tags(struct lac_session *session, size_t sequence,
                                         const float **logits, const float **probabilities,
                                         size_t *n_tokens, size_t *n_labels);
/* EMBED: hidden_size floats. */
LAC_API enum lac_status lac_session_embedding(struct lac_session *session, size_t sequence,
                                              const float **vector, size_t *size);

struct lac_answer {
    size_t begin, end; /* byte range in the second text */
    float probability; /* of this span among all spans of at most max_tokens tokens */
};
/* ANSWER: the best spans, best first; *n_answers is at most `most`, and 0 without a second text.
 * A span scores the sum of its start and end logit; its probability is the softmax over all spans
 * of the second text with at most max_tokens (at least 1) tokens.  LAC_E_STATE for a sequence that
 * was added as ids. */
LAC_API enum lac_status lac_session_answers(struct lac_session *session, size_t sequence,
                                            size_t max_tokens, struct lac_answer *answers,
                                            size_t most, size_t *n_answers);
/* ANSWER: start and end logits of every token. */
LAC_API enum lac_status lac_session_answer_logits(struct lac_session *session, size_t sequence,
                                                  const float **start, const float **end,
                                                  size_t *n_tokens);

struct lac_candidate {
    int32_t id; /* of the token, or of the label */
    float probability;
};
/* FILL: number of masked tokens in the sequence. */
LAC_API enum lac_status lac_session_masks(struct lac_session *session, size_t sequence,
                                          size_t *n_masks);
/* FILL: the best tokens for one mask, best first. */
LAC_API enum lac_status lac_session_fill(struct lac_session *session, size_t sequence, size_t mask,
                                         struct lac_candidate *candidates, size_t most,
                                         size_t *n_candidates);
/* CLASSIFY: the best labels, best first (all labels over 0.5 and at least one, for multi-label). */
LAC_API enum lac_status lac_session_top_classes(struct lac_session *session, size_t sequence,
                                                struct lac_candidate *candidates, size_t most,
                                                size_t *n_candidates);

#ifdef __cplusplus
}
#endif
#endif
