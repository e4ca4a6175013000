/* SPDX-License-Identifier: Apache-2.0 */
/* Other engines beside ours, each in a process of its own. */
#ifndef LACUNA_BENCH_PEERS_H
#define LACUNA_BENCH_PEERS_H

#include "bench/libxsmm.h"
#include "bench/onednn.h"

enum { BENCH_MOST_PEERS = 64 };

/* All zeros is no peer. */
struct bench_peer {
    const char *engine;  /* "onednn", "libxsmm" */
    const char *dtype;   /* what it multiplies: "int8" */
    const char *pattern; /* "dense", "16x16", "1x1" */
    double sparsity;
    size_t n_nonzero;
    size_t weight_bytes;
    const struct bench_layer *layer;
    enum bench_onednn_form form;  /* of onednn */
    struct bench_libxsmm_job job; /* of libxsmm */
    struct bench_child child;
    void *y; /* mapped shared */
    size_t y_size;
};

enum lac_status bench_peer_onednn(struct bench_peer *peer, const struct bench_layer *layer,
                                  const struct bench_crew *crew, enum bench_onednn_form form,
                                  struct lac_error *error);
/* block: side of the square blocks, 1 for the forms of single elements. */
enum lac_status bench_peer_libxsmm(struct bench_peer *peer, struct bench_layer *layer,
                                   enum bench_libxsmm_form form, size_t block, double sparsity,
                                   uint64_t *random, struct lac_error *error);
void bench_peer_close(struct bench_peer *peer);

/* Largest difference of libxsmm's sums from exact ones, on the first tokens. */
double bench_peer_sums_error(const struct bench_peer *peer);

#endif
