/* SPDX-License-Identifier: Apache-2.0 */
/* Models: immutable weights, shared by any number of threads. */
#ifndef LACUNA_MODEL_H
#define LACUNA_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/engine.h>
#include <lacuna/status.h>
#include <lacuna/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lac_model;
struct lac_model_options;

/* Number formats of weights.  LAC_S8 and LAC_S4 multiply in integers, with activations quantised
 * per token; the others with activations in fp32. */
enum lac_dtype {
    LAC_S8 = 1,
    LAC_F32 = 2,
    LAC_BF16 = 3,
    LAC_F16 = 4,
    LAC_S4 = 5, /* in groups of 32 weights with an integer factor, beside the scale of each output */
    LAC_N_DTYPES = 6,
};

/* What a model's head can do; a model may have several of these. */
enum lac_task {
    LAC_TASK_CLASSIFY = 1, /* one distribution a sequence */
    LAC_TASK_TAG = 2,      /* one distribution a token */
    LAC_TASK_ANSWER = 4,   /* spans of the second text that answer the first */
    LAC_TASK_FILL = 8,     /* words for masked tokens */
    LAC_TASK_EMBED = 16,   /* one vector a sequence; every encoder can */
    LAC_TASK_GENERATE = 32, /* text that goes on; every decoder can, and nothing else */
};

/* Weight layouts, named by outputs x one dword of inputs (8 int4, 4 int8, 2 bf16 or fp16, 1 fp32);
 * the last three by outputs x inputs. */
enum lac_pattern {
    LAC_PATTERN_DENSE = 0,
    LAC_PATTERN_1 = 1,  /* 1x4 int8, 1x1 fp32 */
    LAC_PATTERN_4 = 2,  /* 4x4, 4x1 */
    LAC_PATTERN_8 = 3,  /* 8x4, 8x1 */
    LAC_PATTERN_16 = 4, /* 16x4, 16x1 */
    LAC_PATTERN_32 = 5, /* 32x4, 32x1 */
    LAC_PATTERN_BITMAP = 6, /* any element: a bit for each, and those that are not zero */
    LAC_PATTERN_4X1 = 7, /* int8: 4 outputs x 1 input, any four of a block row together */
    LAC_PATTERN_TILE_16 = 8, /* 16 x 16; int8, fp32 */
    LAC_PATTERN_TILE_32 = 9, /* 32 x 32; int8, fp32 */
    LAC_N_PATTERNS = 10,
};

LAC_API enum lac_status lac_model_options_new(struct lac_model_options **options);
LAC_API void lac_model_options_free(struct lac_model_options *options);

/* Number format of the linear layers' weights; LAC_S8 unless set.  A packed file keeps the one it
 * was packed with; asking for another is LAC_E_UNSUPPORTED. */
LAC_API void lac_model_options_set_dtype(struct lac_model_options *options, enum lac_dtype dtype);

/* Gives every weight this layout instead of the one its zeros suggest; for measurements. */
LAC_API void lac_model_options_set_pattern(struct lac_model_options *options,
                                           enum lac_pattern pattern);

/* Keeps at most this share (0 to 0.1; 0 unless set) of each int8 or int4 weight's nonzeros in fp32:
 * those that are largest beside the others of their output.  The rest is quantised in smaller
 * steps.  0.005 is a good beginning; each outlier takes about as much time as 30 other weights.
 * Weights that are int8 in the checkpoint have none when they stay int8; a packed file keeps those
 * it was packed with. */
LAC_API void lac_model_options_set_outliers(struct lac_model_options *options, double share);

/* Which neurons of gated feed-forward layers, down(act(gate(x)) * up(x)), generated tokens use:
 * lac_session_options_set_activations. */
enum lac_activations_rule {
    LAC_ACTIVATIONS_ALL = 0,
    LAC_ACTIVATIONS_CATS = 1, /* those whose |act(gate(x))| reaches a threshold */
    LAC_ACTIVATIONS_CORE = 2, /* those that a text's prompt used most: needs no preparing */
};

/* Prepares a decoder for sessions that leave neurons out by CATS: the rows of up and columns of
 * down are kept a second time, neuron by neuron, so that those left out need not be read.  That
 * takes 2 * lac_model_hidden_size * lac_model_intermediate_size * lac_model_layers bytes in int8,
 * four times as many in fp32, and is made when the model is opened (packed files do not have it).
 * Unprepared models give the same texts, but read every weight.  LAC_E_UNSUPPORTED, when the model
 * is opened: nothing could be skipped, as it has no gates, is neither int8 nor fp32, has outliers
 * in all these layers, or most of their weights are zeros that are not stored; those would be
 * kept here. */
LAC_API void lac_model_options_set_activations(struct lac_model_options *options,
                                               enum lac_activations_rule rule);

/* Opens a Hugging Face directory (config.json, tokenizer files, model.safetensors or shards), a GGUF
 * file or a packed file.  options may be NULL.  The message of a failure is the engine's.
 * Borrows the engine until lac_model_free. */
LAC_API enum lac_status lac_model_open(struct lac_engine *engine, const char *path,
                                       const struct lac_model_options *options,
                                       struct lac_model **model);

/* Sessions on the model must be gone. */
LAC_API void lac_model_free(struct lac_model *model);

/* Writes the packed single file, under a temporary name first. */
LAC_API enum lac_status lac_model_pack(const struct lac_model *model, const char *path);

/* Architecture, for example "bert". */
LAC_API const char *lac_model_architecture(const struct lac_model *model);
/* Set of enum lac_task. */
LAC_API unsigned lac_model_tasks(const struct lac_model *model);
LAC_API enum lac_dtype lac_model_dtype(const struct lac_model *model);
LAC_API size_t lac_model_hidden_size(const struct lac_model *model);
LAC_API size_t lac_model_layers(const struct lac_model *model);
LAC_API size_t lac_model_heads(const struct lac_model *model);
LAC_API size_t lac_model_intermediate_size(const struct lac_model *model);
/* Tokens a sequence may have, special ones included. */
LAC_API size_t lac_model_max_tokens(const struct lac_model *model);
/* Tokens that CLASSIFY and EMBED cut texts to: max_seq_length of sentence_bert_config.json, else
 * truncation.max_length of tokenizer.json, else (and at most) lac_model_max_tokens. */
LAC_API size_t lac_model_text_tokens(const struct lac_model *model);
LAC_API size_t lac_model_parameters(const struct lac_model *model);
LAC_API size_t lac_model_labels(const struct lac_model *model);
/* Name of a label; NULL when out of range. */
LAC_API const char *lac_model_label(const struct lac_model *model, size_t label);
/* The model's tokenizer, or NULL when it has none; belongs to the model. */
LAC_API const struct lac_tokenizer *lac_model_tokenizer(const struct lac_model *model);

/* What became of one weight matrix. */
struct lac_weight_info {
    const char *name;
    size_t n_out, n_in;
    double zeros;                           /* share of zero elements */
    double zero_blocks[LAC_N_PATTERNS];     /* share of zero blocks by pattern; dense: 0 */
    enum lac_pattern pattern;               /* the layout chosen */
    const char *pattern_name;               /* for example "4x4" */
    const char *kernel;                     /* the kernel for a full tile of tokens */
    const char *kernel_few;                 /* the kernel for one token */
    double predicted_cost[LAC_N_PATTERNS];  /* predicted time of each layout, 1 = dense */
    size_t bytes_dense, bytes_stored;
    size_t n_outliers; /* elements kept in fp32 beside the layout */
};

LAC_API size_t lac_model_weights(const struct lac_model *model);
/* LAC_E_ARGUMENT when index is out of range.  Strings belong to the model. */
LAC_API enum lac_status lac_model_weight_info(const struct lac_model *model, size_t index,
                                              struct lac_weight_info *info);

/* What runs one weight with so many tokens.  Times are in microseconds on one core, from the
 * measurements of the engine's plan cache; 0, and dense_kernel NULL, where it has none. */
struct lac_weight_plan {
    const char *kernel;
    const char *dense_kernel; /* the best for the weight's dense form */
    double predicted_us, dense_us;
};

/* LAC_E_ARGUMENT when index is out of range or n_tokens 0.  Strings belong to the model. */
LAC_API enum lac_status lac_model_weight_plan(const struct lac_model *model, size_t index,
                                              size_t n_tokens, struct lac_weight_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
