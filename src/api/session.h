/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind a session. */
#ifndef LACUNA_API_SESSION_H
#define LACUNA_API_SESSION_H

#include "src/api/generator.h"
#include "src/api/internal.h"
#include "src/run/schedule.h"

struct lac_session_options {
    unsigned task; /* enum lac_task, or 0 */
    size_t batch_tokens;
    enum lac_pooling pooling;
    enum lac_normalize normalize;
    enum lac_truncate truncate;
    struct lac_generation_options generation;
};

/* One sequence.  Entries past n_entries keep their arrays for later ones. */
struct lac_entry {
    struct lac_encoding encoding;
    bool is_text;    /* its tokens have places in a text */
    uint32_t *masks; /* FILL: positions of the masked tokens */
    size_t n_masks, mask_capacity;
    size_t first_row, n_rows; /* of the results, once it has run */
};

struct lac_session {
    const struct lac_host *host;
    struct lac_model *model;
    struct lac_error error;
    enum lac_truncate truncate;
    struct lac_generator *generator; /* GENERATE, which needs nothing of what follows but
                                        workspace.head.task; else NULL */
    struct lac_arena arena;          /* of sights */
    struct lac_sights sights;        /* by the options' plan, if there is any */
    char *tuned;                     /* the plan that was found last, or NULL */
    struct lac_workspace workspace;
    struct lac_entry *entries;
    size_t n_entries, entry_capacity;
    size_t n_run;    /* entries that have results */
    size_t n_tokens; /* of all entries */
    size_t width;    /* of a row */
    size_t n_rows;   /* of entries that have results */
    size_t row_capacity;
    float *rows;  /* [row_capacity][width]; FILL: probabilities */
    float *extra; /* the same size.  CLASSIFY, TAG: probabilities; ANSWER: of each entry its n_rows
                     start logits, then its n_rows end logits; else NULL */
    struct lac_sequence *sequences; /* [sequence_capacity], of one run */
    size_t sequence_capacity;
};

/* Turns the logits of an entry that has just run into what callers read. */
void lac_session_finish(struct lac_session *session, const struct lac_entry *entry);

/* GENERATE: lac_session_add_text and lac_session_add_ids. */
enum lac_status lac_session_add_prompt(struct lac_session *session, const char *text, size_t size,
                                       const char *pair, size_t *sequence);
enum lac_status lac_session_add_prompt_ids(struct lac_session *session, const int32_t *ids,
                                           const uint8_t *type_ids, size_t n, size_t *sequence);

#endif
