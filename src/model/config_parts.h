/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of config.json's parts, and what they share. */
#ifndef LACUNA_MODEL_CONFIG_PARTS_H
#define LACUNA_MODEL_CONFIG_PARTS_H

#include <jansson.h>

#include "src/model/config.h"

/* What a kind of model has beyond its type and architecture, which are set. */
enum lac_status lac_config_read_encoder(const json_t *root, struct lac_arena *arena,
                                        struct lac_config *config, struct lac_error *error);
enum lac_status lac_config_read_decoder(const json_t *root, struct lac_arena *arena,
                                        struct lac_config *config, struct lac_error *error);

/* Sets rope; head_dim and max_positions are set. */
enum lac_status lac_config_read_rope(const json_t *root, struct lac_arena *arena,
                                     struct lac_config *config, struct lac_error *error);

/* Sets gates of decoders whose heads are set. */
enum lac_status lac_config_read_gates(const json_t *root, struct lac_config *config,
                                      struct lac_error *error);

/* Sets hidden_act; only decoders have all. */
enum lac_status lac_config_read_act(const json_t *root, const char *key, const char *fallback,
                                    struct lac_config *config, struct lac_error *error);
/* Sets norm_eps; root NULL: to the fallback. */
enum lac_status lac_config_read_eps(const json_t *root, const char *key, double fallback,
                                    struct lac_config *config, struct lac_error *error);
/* Sets head_dim to hidden_size / n_heads, which must be whole. */
enum lac_status lac_config_divide_heads(struct lac_config *config, struct lac_error *error);

/* A copy of a string, or NULL. */
const char *lac_config_keep(struct lac_arena *arena, const char *text);
enum lac_status lac_config_no_memory(struct lac_error *error);

#endif
