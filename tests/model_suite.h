/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of check_model share: files made by hand, and the suites. */
#ifndef LACUNA_TESTS_MODEL_SUITE_H
#define LACUNA_TESTS_MODEL_SUITE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "tests/support.h"

/* "SCRATCH/name"; lives until eight more were asked for. */
const char *scratch_path(const char *name);
/* Writes a file below the scratch directory, and the folders it lies in; returns its path. */
const char *write_file(const char *name, const void *data, size_t size);
const char *write_text(const char *name, const char *text);
void *read_whole(const char *path, size_t *size);

/* A safetensors file of this header and data_size bytes 0, 1, 2...; free it. */
unsigned char *make_safetensors(const char *header, size_t data_size, size_t *size);

/* A host whose allocation number `fails_at` (from 0) and all later ones fail; counts what lives. */
struct failing_host {
    struct lac_host host;
    size_t n_allocations, fails_at, n_live;
};
void failing_host_init(struct failing_host *host, size_t fails_at);

void add_tensor_tests(Suite *suite);
void add_bitmask_tests(Suite *suite);
void add_writer_tests(Suite *suite);
void add_config_tests(Suite *suite);
void add_checkpoint_tests(Suite *suite);
void add_decoder_tests(Suite *suite);
void add_gguf_tests(Suite *suite);
void add_made_gguf_tests(Suite *suite);
void add_sentence_tests(Suite *suite);
void add_packed_tests(Suite *suite);

#endif
