/* SPDX-License-Identifier: Apache-2.0 */
/* Small models with random weights, and the forward pass of encoders straight from the definition:
 * row by row, in double precision, sharing nothing with the library. */
#ifndef LACUNA_TESTS_TINY_H
#define LACUNA_TESTS_TINY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tiny_family {
    TINY_BERT,
    TINY_ROBERTA,
    TINY_DISTILBERT,
    TINY_N_FAMILIES,
    TINY_LLAMA = TINY_N_FAMILIES, /* a decoder, without a definition here: check_decoder has others;
                                     heads share keys and values by pairs */
};
enum tiny_head { TINY_BARE, TINY_CLASSIFY, TINY_TAG, TINY_ANSWER, TINY_FILL, TINY_N_HEADS };

/* What a forward pass gives: rows of numbers. */
enum tiny_output {
    TINY_OUT_HEAD, /* CLASSIFY: 1 row; TAG, ANSWER, FILL: a row a token */
    TINY_OUT_MEAN, /* 1 row of hidden */
    TINY_OUT_CLS,
    TINY_OUT_POOLER, /* BERT, RoBERTa */
};

struct tiny {
    enum tiny_family family;
    enum tiny_head head;
    size_t vocab, hidden, layers, heads, ffn, max_tokens, types, labels;
    size_t end;            /* LLAMA: the token that ends texts, TINY_LLAMA_END unless set */
    size_t window;         /* LLAMA: 0, or sliding_window of Mistral, which is the same otherwise */
    const char *rope;      /* LLAMA: rope_scaling, or NULL */
    const char *attention; /* lacuna_attention, or NULL */
    const char *gates;     /* LLAMA: seerattn_gate_type, or NULL */
    const char *gate_rule; /* more of config.json's words on them, beginning with ", "; or NULL */
    size_t gate_width;
    const char *act;       /* "gelu", "gelu_new", "relu" */
    const char *problem;   /* problem_type, or NULL */
    double eps;
    struct tiny_tensor {
        char name[96];
        size_t rank, shape[3];
        float *data;
    } * tensors;
    size_t n_tensors;
};

/* Ids of the special words of every tiny vocabulary; words "w5", "w6", ... follow. */
enum {
    TINY_LLAMA_WORDS = 356, /* of tests/data/text/families/llama2.json, most of them single bytes */
    TINY_LLAMA_END = 2,     /* "</s>" */
};
enum { TINY_PAD, TINY_UNK, TINY_CLS, TINY_SEP, TINY_MASK, TINY_FIRST_WORD };

/* Sizes come from the fields that are not zero, others get small odd defaults.  About half of the
 * blocks of each matrix are zero, in blocks of a height that changes from one to the next. */
void tiny_make(struct tiny *tiny, uint64_t seed);
void tiny_free(struct tiny *tiny);

/* Rounds the rows of all matrices to -7..7 times a power of 2, the largest to 7: bf16 and fp16 keep
 * them exactly, and int4 nearly. */
void tiny_round(struct tiny *tiny);

/* Writes config.json, model.safetensors and vocab.txt (LLAMA: tokenizer.json) into a new directory
 * below the scratch directory and returns its path, which lives for the whole run. */
const char *tiny_write(const struct tiny *tiny);

size_t tiny_width(const struct tiny *tiny, enum tiny_output output);
size_t tiny_rows(const struct tiny *tiny, enum tiny_output output, size_t n_tokens);

/* The forward pass of one sequence.  quantized: weights and the inputs of linear layers are
 * rounded to int8 as the library's int8 arithmetic is defined.  out: [rows][width]. */
void tiny_forward(const struct tiny *tiny, bool quantized, enum tiny_output output,
                  const int32_t *ids, const uint8_t *type_ids, size_t n, double *out);

/* n random ids of words, with CLS first and, if n > 1, SEP last. */
void tiny_ids(const struct tiny *tiny, uint64_t *state, size_t n, int32_t *ids);

#endif
