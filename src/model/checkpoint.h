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
#include "src/model/gguf.h"
#include "src/model/tensor.h"

enum lac_role {
    LAC_ROLE_WORD_EMBEDDING,     /* [vocab, embedding_size] */
    LAC_ROLE_POSITION_EMBEDDING, /* [max_positions, hidden] */
    LAC_ROLE_TYPE_EMBEDDING,     /* [n_token_types, hidden] */
    LAC_ROLE_EMBEDDING_NORM,
    /* of a layer */
    LAC_ROLE_QUERY,        /* [n_heads * head_dim, hidden] */
    LAC_ROLE_KEY,          /* [n_kv_heads * head_dim, hidden] */
    LAC_ROLE_VALUE,        /* [n_kv_heads * head_dim, hidden] */
    LAC_ROLE_GLOBAL_QUERY, /* the same three of Longformer's global tokens */
    LAC_ROLE_GLOBAL_KEY,
    LAC_ROLE_GLOBAL_VALUE,
    LAC_ROLE_POOLED_QUERY,     /* of struct lac_gates: [n_heads * width, pools * head_dim] */
    LAC_ROLE_POOLED_KEY,       /* [(has_query ? n_kv_heads : n_heads) * width, pools * head_dim] */
    LAC_ROLE_ATTENTION_OUTPUT, /* [hidden, n_heads * head_dim] */
    LAC_ROLE_ATTENTION_NORM,   /* before or after attention, as norms_before says */
    LAC_ROLE_FFN_GATE,         /* [intermediate, hidden] */
    LAC_ROLE_FFN_UP,           /* [intermediate, hidden] */
    LAC_ROLE_FFN_DOWN,         /* [hidden, intermediate] */
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
    /* decoders */
    LAC_ROLE_PROJECT_IN,  /* OPT: [hidden, embedding_size], after the word embedding */
    LAC_ROLE_FINAL_NORM,  /* after the last layer */
    LAC_ROLE_PROJECT_OUT, /* OPT: [embedding_size, hidden], before the head */
    LAC_ROLE_LM_HEAD,     /* [vocab, embedding_size]; the word embedding when the file ties them */
    LAC_N_ROLES,
};

/* How a matrix lies in its weight tensor. */
enum lac_matrix_order {
    LAC_ORDER_ROWS,    /* as in PyTorch's Linear: the matrix's rows, from first_row on */
    LAC_ORDER_COLUMNS, /* as in GPT-2's Conv1D: the matrix's rows are the tensor's columns, from
                          first_row on */
    LAC_ORDER_PAIRS,   /* as LLaMA's queries and keys in GGUF: in each head of 2 h rows, row
                          i + h * k is kept as row 2 i + k, so that what is rotated together lies
                          side by side */
    LAC_ORDER_HEADS,   /* as SeerAttention's gates: of each head a transposed matrix of its own */
};

/* A matrix of the checkpoint, [n_out, n_in] as in PyTorch; borrows the tensors.  Its elements are
 * read through lac_matrix_rows: only an int8 matrix is sure to be the tensor as it is. */
struct lac_matrix {
    const char *name; /* of its weight tensor, which may be fused: two matrices may have one name */
    size_t n_out, n_in;
    const struct lac_tensor *weight;
    const struct lac_tensor *scale; /* compressed-tensors int-quantized: per tensor or per row, each
                                       finite and not negative; else NULL */
    const struct lac_tensor *bias;  /* or NULL; read by lac_matrix_bias */
    enum lac_matrix_order order;
    size_t first_row; /* of the tensor's rows (COLUMNS: columns) and of the bias */
    size_t head_dim;  /* PAIRS, HEADS: rows of a head */
};

/* gamma and beta of a norm, both [hidden]. */
struct lac_norm_tensors {
    const struct lac_tensor *gamma, *beta; /* beta: NULL for LAC_NORM_RMS */
};

struct lac_checkpoint {
    const struct lac_host *host;
    struct lac_arena arena; /* strings */
    struct lac_config config;
    const struct lac_tensors *tensors;
    const char *config_text; /* config.json as read, with sentence-transformers' pooling merged in
                                under "lacuna_pooling" and "lacuna_normalize", and the ends of
                                texts that generation_config.json names, so that a packed file
                                needs nothing else; an architecture that had to be guessed from the
                                tensors is in it too */
    const char *path;        /* of the directory or file, for messages */
    struct lac_expansions *expansions; /* dense tensors made from compressed ones */
    /* What the tensors belong to: one of these. */
    struct lac_gguf *gguf;
    struct lac_tensors *own_tensors;
};

/* Opens a Hugging Face directory or a GGUF file.  Reads the configuration, maps the tensors and
 * sees that the heads of the architecture are there; each matrix is checked when it is asked for.
 */
enum lac_status lac_checkpoint_open(const struct lac_host *host, const char *path,
                                    struct lac_checkpoint **checkpoint, struct lac_error *error);
/* Is path something to open so: a directory, or a file that begins as GGUF does? */
bool lac_is_checkpoint(const char *path);
/* Takes NULL. */
void lac_checkpoint_close(struct lac_checkpoint *checkpoint);

/* Can the role be asked for?  (A decoder tied to the word embedding: yes.) */
bool lac_checkpoint_has(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer);

/* LAC_E_FORMAT, naming file, tensor and shapes, when it is missing or has another shape or kind
 * than the configuration implies; LAC_E_UNSUPPORTED for elements that we cannot compute with.
 * layer is ignored for roles outside layers.  bias is NULL for embedding tables and where the
 * configuration says that there is none. */
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
/* Rows first to first + n - 1 as fp32 (int8 rows times their scale): n * n_in floats.  Many rows in
 * one call are faster than many calls: a transposed tensor is then read in blocks. */
void lac_matrix_rows(const struct lac_matrix *matrix, size_t first, size_t n, float *out);
/* One row: n_in floats. */
void lac_matrix_row(const struct lac_matrix *matrix, size_t row, float *out);
/* The bias, which the matrix must have: n_out floats. */
void lac_matrix_bias(const struct lac_matrix *matrix, float *out);

#endif
