/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind the public handles. */
#ifndef LACUNA_API_INTERNAL_H
#define LACUNA_API_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include <lacuna/lacuna.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/run/network.h"
#include "src/sys/pool.h"
#include "src/sys/topology.h"

struct lac_engine {
    struct lac_host host;
    struct lac_topology *topology;
    struct lac_pool *pool;
    struct lac_plan_table *plan_table; /* measured on this machine, or NULL */
    unsigned features;                 /* that kernels may use */
    pthread_mutex_t mutex;             /* of message */
    char message[LAC_ERROR_TEXT_SIZE];
};

/* Keeps the message of a failure for lac_engine_message; returns its status. */
enum lac_status lac_engine_fail(struct lac_engine *engine, const struct lac_error *error);

struct lac_model {
    struct lac_engine *engine;
    struct lac_network *network;
    struct lac_tokenizer *tokenizer; /* or NULL */
    int32_t mask_id;                 /* -1: the tokenizer has none */
};

/* A plan for attention as it was given: JSON.  NULL: none. */
struct lac_attention_text {
    char *text;
    size_t size;
};

enum lac_status lac_attention_text_copy(const struct lac_host *host,
                                        const struct lac_attention_text *from,
                                        struct lac_attention_text *copy, struct lac_error *error);
void lac_attention_text_clear(const struct lac_host *host, struct lac_attention_text *text);

#endif
