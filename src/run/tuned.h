/* SPDX-License-Identifier: Apache-2.0 */
/* Plans for attention by measurement: rules to try, the choice for each head, the plan's text.
 *
 * Heads differ in what they look at, so each gets a rule of its own, offline (MInference, Jiang et
 * al. 2024; MoA, Fu et al. 2024).  A rule's error is that of the head's output, relative to what
 * the model makes by itself and in the norm of all tokens together.  A head that looks far back for
 * few of them would hardly show: so what counts is that, or a third of the same of the worst tile,
 * beside an average tile's output, whichever is more.  (Of heads that look at nothing in particular
 * the worst tile errs 1.5 to 2 times as much as all; of the needle model's one that retrieves 5 to
 * 10 times.)  A rule's density is the share of key blocks that it reads of those that the usual
 * rule does. */
#ifndef LACUNA_RUN_TUNED_H
#define LACUNA_RUN_TUNED_H

#include "src/base/json.h"
#include "src/run/trial.h"

enum { LAC_MOST_CANDIDATES = 256 };

/* Rules that heads may get, each laid over all heads of the network; the first is "usual". */
struct lac_candidates {
    struct lac_arena arena;
    json_t *plan;              /* its "rules" */
    struct lac_sights *sights; /* [n] */
    const char **names;        /* [n] */
    size_t n;
};

/* rules: those of a plan in JSON, of so many bytes; NULL: a usual set. */
enum lac_status lac_candidates_open(struct lac_candidates *candidates,
                                    const struct lac_network *network, const char *rules,
                                    size_t size, struct lac_error *error);
/* Takes a zeroed one. */
void lac_candidates_close(struct lac_candidates *candidates);

/* What is asked for: error, or else density. */
struct lac_tuning_goal {
    double error;   /* the cheapest rule that counts for no more */
    double density; /* the least of what counts (squares added) with no more blocks in all */
};

struct lac_tuned_head {
    size_t rule; /* of the candidates */
    double density;
    double error, worst; /* of all tokens, of the worst tile */
};

struct lac_tuned {
    const struct lac_host *host;
    struct lac_tuned_head *heads; /* [n_layers][n_heads] */
    double error;                 /* root of the mean square of the heads' */
    double density;               /* of all heads' blocks */
};

/* Of a trial of the candidates that has seen the text.  LAC_E_ARGUMENT: no rules have so little
 * density. */
enum lac_status lac_tuned_open(struct lac_tuned *tuned, const struct lac_trial *trial,
                               const struct lac_tuning_goal *goal, struct lac_error *error);
/* Takes a zeroed one. */
void lac_tuned_close(struct lac_tuned *tuned);

/* What the plan says of how it came to be; src/run/sight_plan.h. */
struct lac_tuned_facts {
    size_t n_tokens, n_window;
    double perplexity, full_perplexity; /* 0: none */
};

/* A plan with the rules that are used; *text is of the tuned's host. */
enum lac_status lac_tuned_write(const struct lac_tuned *tuned,
                                const struct lac_candidates *candidates,
                                const struct lac_config *config,
                                const struct lac_tuned_facts *facts, char **text, size_t *size,
                                struct lac_error *error);

#endif
