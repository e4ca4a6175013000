/* SPDX-License-Identifier: Apache-2.0 */
/* Work done in a process of its own, on request: for libraries whose settings hold for a whole
 * process, such as the instruction set oneDNN may use. */
#ifndef LACUNA_BENCH_CHILD_H
#define LACUNA_BENCH_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/base/error.h"

enum { BENCH_NAME_SIZE = 64 };

struct bench_work {
    /* Called once in the new process; name gets what the work turned out to be. */
    enum lac_status (*open)(void *context, char name[BENCH_NAME_SIZE], struct lac_error *error);
    /* As of struct bench_contender; there too. */
    int (*turn)(void *context, size_t n, uint64_t *ns);
    void *context;
};

/* All zeros is no child. */
struct bench_child {
    pid_t pid;
    int socket;
    char name[BENCH_NAME_SIZE];
};

/* Forks; returns when open has returned there, with its status.  The caller has no threads.
 * Memory that both are to see is mapped MAP_SHARED beforehand. */
enum lac_status bench_child_start(struct bench_child *child, const struct bench_work *work,
                                  struct lac_error *error);
/* A contender's turn; context is the struct bench_child. */
int bench_child_turn(void *context, size_t n, uint64_t *ns);
/* Ends the process and waits for it. */
void bench_child_stop(struct bench_child *child);

#endif
