/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint: configuration and tensors, asked for by role instead of by name.
 *
 * A checkpoint belongs to one thread at a time: looking a matrix up may expand it. */
#ifndef LACUNA_MODEL_CHECKPOINT_H
#define LACUNA_MODEL_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"
#include "src/base/host.h"
#include "src/model/config.h"
#include "src/model/tensor.h"

enum lac_role {
    LAC_ROLE_WORD_EMBEDDING,     /* [vocab, hidden] */
    LAC_ROLE_POSITION_EMBEDDING, /* [max_positions, hidden] */
    LAC_ROLE_TYPE_EMBEDDING,     /* [n_token_types, hidden] */
    LAC_ROLE_EMBEDDING_NORM,
    /* of a layer */
    LAC_ROLE_QUERY,
    LAC_ROLE_KEY,
    LAC_ROLE_VALUE,
    LAC_ROLE_ATTENTION_OUTPUT,
    LAC_ROLE_ATTENTION_NORM,
    LAC_ROLE_FFN_UP,   /* [intermediate, hidden] */
    LAC_ROLE_FFN_DOWN, /* [hidden, intermediate] */
    LAC_ROLE_FFN_NORM,
    /* heads */
    LAC_ROLE_POOLER,           /* BERT, RoBERTa: tanh after it */
    LAC_ROLE_CLASSIFIER_DENSE, /* RoBERTa classifier.dense (tanh), DistilBERT pre_classifier (ReLU)
                                */
    LAC_ROLE_CLASSIFIER,       /* [n_labels, hidden]: sequence or token classification */
    LAC_ROLE_ANSWER,           /* qa_outputs [2, hidden] */
    LAC_ROLE_FILL_DENSE,       /* transform of the masked language model head */
    LAC_ROLE_FILL_NORM,
    LAC_ROLE_FILL_DECODER, /* [vocab, hidden]; tied to the word embedding when absent */
    LAC_N_ROLES,
};

/* A matrix of the checkpoint, row-major [n_out, n_in] as in PyTorch; borrows the tensors. */
struct lac_matrix {
    const char *name; /* of its weight tensor */
    size_t n_out, n_in;
    const struct lac_tensor *weight;
    const struct lac_tensor *scale; /* compressed-tensors int-quantized: per tensor or per row, each
                                       finite and not negative; else NULL */
    const struct lac_tensor *bias;  /* [n_out] or NULL */
};

/* gamma and beta of a layer norm, both [hidden]. */
struct lac_norm_tensors {
    const struct lac_tensor *gamma, *beta;
};

struct lac_checkpoint {
    const struct lac_host *host;
    struct lac_arena arena; /* strings */
    struct lac_config config;
    struct lac_tensors *tensors;
    const char *config_text; /* config.json as read, with sentence-transformers' pooling merged in
                                under "lacuna_pooling" and "lacuna_normalize", so that a packed
                                file needs nothing else; an architecture that had to be guessed
                                from the tensors is in it too */
    const char *path;        /* of the directory, for messages */
    struct lac_expansions *expansions; /* dense tensors made from compressed ones */
};

/* Opens a Hugging Face directory.  Reads the configuration, maps the tensors and sees that the
 * heads of the architecture are there; each matrix is checked when it is asked for. */
enum lac_status lac_checkpoint_open(const struct lac_host *host, const char *directory,
                                    struct lac_checkpoint **checkpoint, struct lac_error *error);
/* Takes NULL. */
void lac_checkpoint_close(struct lac_checkpoint *checkpoint);

/* Can the role be asked for?  (A decoder tied to the word embedding: yes.) */
bool lac_checkpoint_has(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer);

/* LAC_E_FORMAT, naming file, tensor and shapes, when it is missing or has another shape or kind
 * than the configuration implies; LAC_E_UNSUPPORTED for elements that we cannot compute with.
 * layer is ignored for roles outside layers.  bias is NULL for embedding tables alone. */
enum lac_status lac_checkpoint_matrix(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                      size_t layer, struct lac_matrix *matrix,
                                      struct lac_error *error);
enum lac_status lac_checkpoint_norm(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                    size_t layer, struct lac_norm_tensors *norm,
                                    struct lac_error *error);

/* Is the matrix stored as int8 with a scale per row or tensor? */
bool lac_matrix_is_int8(const struct lac_matrix *matrix);
/* The scale of a row of such a matrix. */
float lac_matrix_row_scale(const struct lac_matrix *matrix, size_t row);
/* One row as fp32 (int8 rows times their scale): n_in floats. */
void lac_matrix_row(const struct lac_matrix *matrix, size_t row, float *out);

#endif
