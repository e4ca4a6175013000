/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders of any size with random, pruned weights, made in memory without a file. */
#ifndef LACUNA_BENCH_DECODER_H
#define LACUNA_BENCH_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "bench/layer.h"
#include "bench/names.h"
#include "bench/shapes.h"
#include "src/run/network.h"

/* The different matrices of a decoder before anything is pruned: those of its layers by shape, and
 * the vocabulary's head, which is the last. */
struct bench_matrices {
    const struct bench_stack *stack;
    size_t n_layers;
    enum lac_dtype dtype;
    size_t n;
    struct bench_layer at[BENCH_STACK_SHAPES + 1]; /* n_copies: how many the model has */
};

/* n_layers of the stack's.  LLaMA if the stack is gated, else OPT. */
enum lac_status bench_matrices_open(struct bench_matrices *matrices,
                                    const struct bench_stack *stack, size_t n_layers,
                                    enum lac_dtype dtype, uint64_t *random,
                                    struct lac_error *error);
void bench_matrices_close(struct bench_matrices *matrices);

enum bench_head { BENCH_HEAD_DENSE, BENCH_HEAD_PRUNED };

struct bench_decoder {
    struct lac_network network;
    struct bench_weight weights[BENCH_STACK_SHAPES + 1]; /* of each of the matrices */
    double sparsity;                                     /* of the layers */
    double n_elements, n_nonzero, bytes;                 /* of all, bytes as stored */
    double head_nonzero, head_bytes;                     /* the head's part */
};

/* Prunes all layers alike.  The decoder stays where it is, and borrows matrices. */
enum lac_status bench_decoder_open(struct bench_decoder *decoder, struct bench_matrices *matrices,
                                   const struct bench_pattern *pattern, double sparsity,
                                   enum bench_head head, unsigned features, uint64_t *random,
                                   struct lac_error *error);
/* Takes all zeros as well. */
void bench_decoder_close(struct bench_decoder *decoder);

/* Pushes the weights out of the caches. */
void bench_decoder_flush(const struct bench_decoder *decoder);

#endif
