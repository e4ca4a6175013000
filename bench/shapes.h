/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layers of well-known models: their shapes by name. */
#ifndef LACUNA_BENCH_SHAPES_H
#define LACUNA_BENCH_SHAPES_H

#include <stddef.h>

/* Widths as the models' published configurations have them. */
struct bench_stack {
    const char *name;
    size_t n_layers;
    size_t hidden, intermediate;
    size_t key_value; /* outputs of the key and of the value projection */
    int gated;        /* a gate beside the upward projection, as in LLaMA */
    size_t head_dim;  /* features of a head; 0: the most up to 64 that divide hidden */
    size_t vocab, max_positions;
    int encodes;    /* can be run as an encoder like BERT */
    int distilbert; /* such an encoder without token types and with other names */
};

/* Ends with a NULL name. */
extern const struct bench_stack bench_stacks[];
const struct bench_stack *bench_stack_find(const char *name);
/* One that has no name of its own: an encoder like BERT, or a decoder like OPT. */
struct bench_stack bench_stack_of_size(const char *name, size_t n_layers, size_t hidden,
                                       size_t intermediate);

/* Attention heads. */
size_t bench_stack_heads(const struct bench_stack *stack);

/* "3072x768": outputs x inputs. */
struct bench_shape {
    size_t n_out, n_in;
};

enum { BENCH_STACK_SHAPES = 7 };

/* The linear layers of one of its layers, in the order of computing; returns how many. */
size_t bench_stack_shapes(const struct bench_stack *stack,
                          struct bench_shape shapes[BENCH_STACK_SHAPES]);

#endif
