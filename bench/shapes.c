/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layers of well-known models: their shapes by name. */
#include "bench/shapes.h"

#include <string.h>

enum { BERT_VOCAB = 30522, BERT_POSITIONS = 512 };

const struct bench_stack bench_stacks[] = {
    {"bert-mini", 4, 256, 1024, 256, 0, 64, BERT_VOCAB, BERT_POSITIONS, 1, 0},
    {"wordnet", 4, 256, 1024, 256, 0, 64, 8000, 128, 1, 0},
    {"distilbert", 6, 768, 3072, 768, 0, 64, BERT_VOCAB, BERT_POSITIONS, 1, 1},
    {"bert-base", 12, 768, 3072, 768, 0, 64, BERT_VOCAB, BERT_POSITIONS, 1, 0},
    {"bert-large", 24, 1024, 4096, 1024, 0, 64, BERT_VOCAB, BERT_POSITIONS, 1, 0},
    {"opt-1.3b", 24, 2048, 8192, 2048, 0, 64, 50272, 2048, 0, 0},
    {"tinyllama", 22, 2048, 5632, 256, 1, 64, 32000, 2048, 0, 0},
    {"llama-7b", 32, 4096, 11008, 4096, 1, 128, 32000, 4096, 0, 0},
    {0},
};

struct bench_stack bench_stack_of_size(const char *name, size_t n_layers, size_t hidden,
                                       size_t intermediate)
{
    return (struct bench_stack){
        .name = name,
        .n_layers = n_layers,
        .hidden = hidden,
        .intermediate = intermediate,
        .key_value = hidden,
        .vocab = BERT_VOCAB,
        .max_positions = BERT_POSITIONS,
        .encodes = 1,
    };
}

size_t bench_stack_heads(const struct bench_stack *stack)
{
    size_t features = stack->head_dim ? stack->head_dim : 64;
    while (stack->hidden % features)
        features--;
    return stack->hidden / features;
}

const struct bench_stack *bench_stack_find(const char *name)
{
    for (const struct bench_stack *stack = bench_stacks; stack->name; stack++)
        if (!strcmp(stack->name, name))
            return stack;
    return NULL;
}

size_t bench_stack_shapes(const struct bench_stack *stack,
                          struct bench_shape shapes[BENCH_STACK_SHAPES])
{
    size_t n = 0, h = stack->hidden;
    shapes[n++] = (struct bench_shape){h, h};                /* query */
    shapes[n++] = (struct bench_shape){stack->key_value, h}; /* key */
    shapes[n++] = (struct bench_shape){stack->key_value, h}; /* value */
    shapes[n++] = (struct bench_shape){h, h};                /* attention output */
    if (stack->gated)
        shapes[n++] = (struct bench_shape){stack->intermediate, h};
    shapes[n++] = (struct bench_shape){stack->intermediate, h}; /* up */
    shapes[n++] = (struct bench_shape){h, stack->intermediate}; /* down */
    return n;
}
