/* SPDX-License-Identifier: Apache-2.0 */
/* Measures what linear kernels cost on this machine. */
#ifndef LACUNA_RUN_PLAN_MEASURE_H
#define LACUNA_RUN_PLAN_MEASURE_H

#include "src/run/plan_table.h"
#include "src/sys/topology.h"

/* The machine we run on. */
void lac_plan_machine_here(const struct lac_topology *topology, struct lac_plan_machine *machine);

/* How it goes on: the kernel that is measured next, and the share of kernels done. */
struct lac_plan_progress {
    void (*show)(void *context, const char *kernel, double share);
    void *context;
};

/* Runs every linear kernel that features allow on random weights of a few sizes and fits the
 * three costs of the table to the medians, in the calling thread (pinned, if times are to mean
 * something).  Scalar kernels only count where the processor has nothing else.  effort: seconds for
 * each time that is measured; all takes about 2,000 times as long.  progress may be NULL.  The
 * caller frees *table with lac_free. */
enum lac_status lac_plan_measure(const struct lac_host *host,
                                 const struct lac_plan_machine *machine, unsigned features,
                                 double effort, const struct lac_plan_progress *progress,
                                 struct lac_plan_table **table, struct lac_error *error);

/* The costs, none negative, whose predictions come closest to the times of n loads, by relative
 * error.  Exposed for tests. */
void lac_plan_fit(const struct lac_plan_load *loads, const double *ns, size_t n,
                  struct lac_plan_cost *cost);

#endif
