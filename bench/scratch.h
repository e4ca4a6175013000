/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary directory for a model, which does not outlive the program. */
#ifndef LACUNA_BENCH_SCRATCH_H
#define LACUNA_BENCH_SCRATCH_H

#include "src/base/error.h"

/* Makes one in $TMPDIR or /tmp; one at a time.  SIGINT, SIGTERM and SIGHUP remove it first, with
 * the files an encoder is written to. */
enum lac_status bench_scratch_open(const char **directory, struct lac_error *error);
void bench_scratch_close(void);

#endif
