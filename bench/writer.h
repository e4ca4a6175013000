/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that a decoder reads or goes on with, as a session does: the same passes over the network,
 * greedy, the best word found by the head as it goes. */
#ifndef LACUNA_BENCH_WRITER_H
#define LACUNA_BENCH_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "src/run/decoder.h"

/* One token of each of n_texts texts with context tokens before it; or, with a prompt, that many
 * tokens of texts that begin. */
struct bench_work {
    size_t n_texts, context, prompt;
    enum lac_dtype kv_dtype; /* 0: as the library has it */
    double core;             /* the share of the neurons that each text goes on with; 1: all */
};

struct bench_writer {
    struct bench_work work;
    struct lac_decoder decoder;
    struct lac_arena arena;
    struct lac_kv *kv;                  /* [n_texts] */
    struct lac_step_text *texts;        /* [n_texts] */
    struct lac_next *next;              /* [n_texts] */
    int32_t *ids;                       /* [n_texts][prompt or 1] */
    struct lac_activations activations; /* with a core */
    struct lac_usage *usage;            /* [n_texts], with cores */
    double core_ns;                     /* that copying the first text's took */
    int failed;
};

/* Borrows network and pool. */
enum lac_status bench_writer_open(struct bench_writer *writer, const struct lac_network *network,
                                  struct lac_pool *pool, const struct bench_work *work,
                                  uint64_t *random, struct lac_error *error);
/* Takes all zeros as well. */
void bench_writer_close(struct bench_writer *writer);

/* Between steps: takes what was written as the next tokens, and texts that are a page longer than
 * the context go back to it, prompts to nothing. */
void bench_writer_rewind(struct bench_writer *writer);
/* One step; sets failed if it does. */
void bench_writer_step(struct bench_writer *writer);

/* Tokens of a step. */
size_t bench_work_tokens(const struct bench_work *work);
/* Elements that are not zero and bytes of weights that cores spare a step. */
struct bench_spared {
    double n_nonzero, n_bytes;
};
struct bench_spared bench_writer_spared(const struct bench_writer *writer);
/* Bytes of all cores. */
double bench_writer_core_bytes(const struct bench_writer *writer);
/* Bytes of keys and values that a step reads of the context. */
double bench_writer_kv_bytes(const struct bench_writer *writer);

#endif
