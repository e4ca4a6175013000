/* SPDX-License-Identifier: Apache-2.0 */
/* How far the work is: one line on a terminal, and a summary at the end. */
#ifndef LACUNA_CLI_PROGRESS_H
#define LACUNA_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool draws;
    uint64_t total_bytes; /* 0: not known */
    uint64_t start_ns, drawn_ns;
    size_t n_sequences, n_tokens, n_bad;
    bool is_share;              /* total_bytes are PROGRESS_PARTS, and nothing is counted */
    size_t n_labelled, n_right; /* lines that came with a label, and those that got it */
};

enum { PROGRESS_PARTS = 10000 };

/* Draws when stderr is a terminal, unless quiet. */
void progress_start(struct progress *progress, uint64_t total_bytes, bool quiet);
/* Draws at most ten times a second. */
void progress_draw(struct progress *progress, uint64_t n_bytes);
/* Takes the line away, so that something else can be printed. */
void progress_hide(void);
/* Counts, time and rates since the start, on stderr. */
void progress_summarize(const struct progress *progress);

#endif
