/* SPDX-License-Identifier: Apache-2.0 */
/* A model ready to run: packed weights, the kernels chosen for them, embeddings, norms. */
#ifndef LACUNA_RUN_NETWORK_H
#define LACUNA_RUN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "simd/kernel.h"
#include "sparse/bundle.h"
#include "sparse/layout.h"
#include "src/base/arena.h"
#include "src/base/error.h"
#include "src/base/host.h"
#include "src/model/checkpoint.h"
#include "src/run/plan_table.h"
#include "src/run/sights.h"
#include "src/text/tokenizer.h"

/* One linear layer: its weight and what the plan says of it. */
struct lac_linear {
    const char *name; /* of the weight in the checkpoint; NULL: the model has no such layer */
    struct lac_weight weight;
    const struct lac_kernel *many; /* lanes are tokens */
    const struct lac_kernel *few;  /* lanes are outputs: for less than few_below tokens */
    size_t few_below;
    size_t n_zeros;
    size_t n_blocks[LAC_N_PATTERNS], n_nonzero[LAC_N_PATTERNS]; /* as in lac_weight_stats */
    double cost[LAC_N_PATTERNS];                                /* predicted, 1 = dense */
};

struct lac_norm {
    const float *gamma, *beta; /* [hidden_size]; NULL: none */
};

struct lac_layer {
    struct lac_linear query, key, value, mix; /* mix: the attention's output projection */
    struct lac_linear global_query, global_key, global_value; /* of models with has_global only */
    struct lac_linear pooled_query, pooled_key;               /* of models with gates only */
    struct lac_linear gate, up, down;                         /* gate: of gated models only */
    struct lac_norm attention_norm, ffn_norm;
    struct lac_bundle bundle; /* of gate, up and down: src/run/activations.h */
};

/* The kernels that are the same for every weight. */
struct lac_kernels {
    const struct lac_kernel *quantize, *norm, *rope, *softmax, *to_panel, *from_panel;
    /* By the dtype of keys and values: LAC_F32, LAC_BF16, LAC_S8. */
    const struct lac_kernel *kv_pages[LAC_N_DTYPES];
    const struct lac_kernel *attention[LAC_N_DTYPES];     /* queries in lanes */
    const struct lac_kernel *attention_row[LAC_N_DTYPES]; /* one token's queries */
    /* LAC_S8, LAC_F32. */
    const struct lac_kernel *neuron_rows[LAC_N_DTYPES], *neuron_columns[LAC_N_DTYPES];
    const struct lac_kernel *scores[LAC_N_DTYPES]; /* to choose by */
    const struct lac_kernel *score_lines;
    const struct lac_kernel *page_scores;
    const struct lac_kernel *expand[LAC_N_DTYPES]; /* as kv_pages */
};

struct lac_network {
    const struct lac_host *host;
    struct lac_arena arena; /* weights, norms, layers, strings */
    struct lac_config config;
    const char *config_text;
    struct lac_tokenizer_texts texts; /* of a packed file; kind 0: it has none */
    enum lac_dtype dtype;
    unsigned features;
    const struct lac_plan_table *plan_table; /* or NULL; the engine's */
    struct lac_kernels kernels;

    struct lac_matrix word, position, type; /* as stored; type.weight is NULL without types */
    struct lac_norm embedding_norm, fill_norm, final_norm;
    struct lac_layer *layers; /* [config.n_layers] */
    struct lac_linear pooler, classifier_dense, classifier, answer, fill_dense, fill_decoder;
    struct lac_linear project_in, project_out, lm_head;
    struct lac_sights sights;                /* unless a session has its own */
    const float *rope_frequencies;           /* [head_dim / 2]: src/run/rope.h; NULL without */
    const struct lac_gate_turns *gate_turns; /* of models with gates; or NULL */
    bool takes_rows; /* a single token of a decoder is worked on as a row: every linear layer has an
                        output-lane kernel for it */

    size_t batch_tokens; /* that fit the caches best */

    const struct lac_linear **linears; /* all that exist, in the order of the network */
    size_t n_linears;
    size_t n_parameters;

    /* What the tables (and a packed file's weights) point into: one of these. */
    struct lac_checkpoint *checkpoint;
    struct lac_tensors *tensors;
};

struct lac_network_options {
    enum lac_dtype dtype; /* 0: LAC_S8, or what a packed file has */
    int pattern;          /* enum lac_pattern for every weight, or -1: the plan chooses */
    double outliers;      /* share of an int8 or int4 weight that stays fp32; 0: none */
    enum lac_activations_rule activations;   /* that layers get bundles for */
    unsigned features;                       /* set of enum lac_cpu_feature that kernels may use */
    size_t cache_bytes;                      /* a core's own share of the caches; 0: not known */
    const struct lac_plan_table *plan_table; /* borrowed, or NULL */
};

/* Opens a directory or a packed file.  Borrows host. */
enum lac_status lac_network_open(const struct lac_host *host, const char *path,
                                 const struct lac_network_options *options,
                                 struct lac_network **network, struct lac_error *error);
/* Takes NULL. */
void lac_network_free(struct lac_network *network);

/* What a role of the checkpoint became; NULL for roles that are no linear layer or no norm. */
struct lac_linear *lac_network_linear(struct lac_network *network, enum lac_role role,
                                      size_t layer);
struct lac_norm *lac_network_norm(struct lac_network *network, enum lac_role role, size_t layer);

/* A linear layer or norm of the network, by name and role: what is loaded, packed and reported is
 * what these tables list, in their order. */
struct lac_slot {
    enum lac_role role;
    const char *name; /* in packed files */
};
enum { LAC_N_LAYER_LINEARS = 12, LAC_N_LAYER_NORMS = 2, LAC_N_HEAD_LINEARS = 9 };
enum { LAC_N_HEAD_NORMS = 3 };
extern const struct lac_slot lac_layer_linears[LAC_N_LAYER_LINEARS];
extern const struct lac_slot lac_layer_norms[LAC_N_LAYER_NORMS];
extern const struct lac_slot lac_head_linears[LAC_N_HEAD_LINEARS];
extern const struct lac_slot lac_head_norms[LAC_N_HEAD_NORMS];

enum lac_need { LAC_NEED_NONE, LAC_NEED_IF_THERE, LAC_NEED_ALWAYS };

/* Has a model of this configuration the linear layer or norm? */
enum lac_need lac_role_need(const struct lac_config *config, enum lac_role role);

static inline size_t lac_query_size(const struct lac_config *config)
{
    return config->n_heads * config->head_dim;
}

static inline size_t lac_key_size(const struct lac_config *config)
{
    return config->n_kv_heads * config->head_dim;
}

/* Shape that the configuration implies for a linear layer: W[n_out, n_in]. */
void lac_linear_shape(const struct lac_config *config, enum lac_role role, size_t *n_out,
                      size_t *n_in);

/* Steps of opening, for lac_network_open alone.  Each fills a network whose host, features and
 * arena are set and whose other members are zero; the caller frees it on failure. */
enum lac_status lac_network_load(struct lac_network *network, const char *directory,
                                 const struct lac_network_options *options,
                                 struct lac_error *error);
enum lac_status lac_network_unpack(struct lac_network *network, const char *path,
                                   const struct lac_network_options *options,
                                   struct lac_error *error);
/* Allocates layers and the list of linears once the configuration is there. */
enum lac_status lac_network_prepare(struct lac_network *network, struct lac_error *error);

/* What is known once every linear layer has its weight and kernels: the list of them, whether a
 * token can be a row, the size of batches.  For lac_network_open, and for who makes a network
 * without a file; cache_bytes as in lac_network_options. */
void lac_network_complete(struct lac_network *network, size_t cache_bytes);

/* Writes a packed file (src/run/packed.h).  texts: of the tokenizer, or NULL. */
enum lac_status lac_network_pack(const struct lac_network *network,
                                 const struct lac_tokenizer_texts *texts, const char *path,
                                 struct lac_error *error);

#endif
