/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison: one shape, number of tokens and dtype, on which our kernels for every pattern and
 * other engines take turns. */
#ifndef LACUNA_BENCH_COMPARE_H
#define LACUNA_BENCH_COMPARE_H

#include "bench/args.h"
#include "bench/ceiling.h"
#include "bench/harness.h"
#include "bench/peers.h"
#include "bench/product.h"

/* Sets of what takes part. */
enum bench_side { BENCH_TOKEN = 1, BENCH_OUTPUT = 2, BENCH_BEST = 4 }; /* BEST: faster of both */
enum bench_rival { BENCH_SCALAR = 1, BENCH_ONEDNN = 2, BENCH_LIBXSMM = 4 };

/* What is asked for. */
struct bench_question {
    struct bench_shape shape;
    size_t n_tokens;
    enum lac_dtype dtype;
    enum bench_output output;
    int cold;
    size_t l2_bytes;
    const struct bench_choices *patterns; /* of bench_pattern_names */
    const struct bench_reals *sparsities;
    const struct bench_choices *isas; /* of bench_isa_names */
    const struct bench_counts *threads;
    unsigned sides, rivals;
};

enum { BENCH_MOST_CREWS = 16 };

enum { BENCH_MOST_WEIGHTS = 128, BENCH_MOST_ENTRIES = 512 };

/* A contender and what it is. */
struct bench_entry {
    const struct bench_weight *weight; /* NULL for a peer */
    const struct bench_peer *peer;     /* NULL for ours */
    const struct bench_crew *crew;
    int isa;
    enum lac_op op;
    struct bench_product product;
    struct bench_peak peak;
};

struct bench_comparison {
    const struct bench_question *question;
    size_t n_crews;
    struct bench_crew crews[BENCH_MOST_CREWS]; /* one for each number of threads */
    struct bench_stream streams[BENCH_MOST_CREWS];
    struct bench_layer layer, layer_f32;
    struct bench_choices isas; /* those of the question, and the scalar rival */
    size_t n_weights, n_entries, n_peers;
    struct bench_weight weights[BENCH_MOST_WEIGHTS]; /* the dense one first */
    struct bench_entry entries[BENCH_MOST_ENTRIES];
    struct bench_contender contenders[BENCH_MOST_ENTRIES];
    struct bench_peer peers[BENCH_MOST_PEERS];
};

/* Prepares and measures.  To be closed also after a failure. */
enum lac_status bench_comparison_run(struct bench_comparison *comparison,
                                     const struct bench_question *question,
                                     struct bench_progress *progress, struct lac_error *error);
void bench_comparison_close(struct bench_comparison *comparison);

/* The entry of a crew for a weight under a cap of the instruction set: that of one orientation, or
 * the faster one.  NULL when there is none. */
const struct bench_entry *bench_comparison_find(const struct bench_comparison *comparison,
                                                const struct bench_crew *crew,
                                                const struct bench_weight *weight, int isa,
                                                enum bench_side side);
/* oneDNN's dense layer in a form, with as many threads as the crew; NULL when it does not take
 * part. */
const struct bench_entry *bench_comparison_onednn(const struct bench_comparison *comparison,
                                                  const struct bench_crew *crew,
                                                  enum bench_onednn_form form);
/* The crew of one; NULL when there is none. */
const struct bench_crew *bench_comparison_single(const struct bench_comparison *comparison);
/* oneDNN's form of a dtype. */
enum bench_onednn_form bench_onednn_form_of(enum lac_dtype dtype);

const struct bench_contender *bench_entry_contender(const struct bench_comparison *comparison,
                                                    const struct bench_entry *entry);

#endif
