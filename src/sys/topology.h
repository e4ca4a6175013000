/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as far as this process may use it: cores, caches, and where workers are pinned. */
#ifndef LACUNA_SYS_TOPOLOGY_H
#define LACUNA_SYS_TOPOLOGY_H

#include <stddef.h>

#include <lacuna/engine.h>

#include "src/base/error.h"
#include "src/base/host.h"

struct lac_topology;

/* Reads this machine, inside what the calling thread may use now (cgroups, taskset, its own
 * sched_setaffinity).  Borrows host.  Immutable: any number of threads may share it. */
enum lac_status lac_topology_new(const struct lac_host *host, struct lac_topology **topology,
                                 struct lac_error *error);
/* A made-up machine in hwloc's synthetic notation, such as "pack:2 core:4 pu:2", of which
 * `allowed` (hardware threads, "0-3,8"; NULL for all) may be used, with a quota of so many
 * processors (0: none).  Nothing can be bound on it. */
enum lac_status lac_topology_new_synthetic(const struct lac_host *host, const char *description,
                                           const char *allowed, size_t quota,
                                           struct lac_topology **topology, struct lac_error *error);
void lac_topology_free(struct lac_topology *topology);

/* Physical cores and hardware threads that may be used; at least 1 each. */
size_t lac_topology_cores(const struct lac_topology *topology);
size_t lac_topology_threads(const struct lac_topology *topology);
/* One core's even share of the cache it uses, in bytes; 0 where the system does not say. */
size_t lac_topology_l2_bytes(const struct lac_topology *topology);
size_t lac_topology_l3_bytes(const struct lac_topology *topology);

/* The machine level by level, "Package:1 L3Cache:1 (480 MiB) ... Core:2 PU:2", into text, cut to
 * size; returns it. */
char *lac_topology_describe(const struct lac_topology *topology, char *text, size_t size);

/* Where each of n workers runs. */
struct lac_placement;

enum { LAC_MAX_THREADS = 4096 };

/* n_threads 0: one per core, or one per hardware thread with LAC_BIND_THREAD, but no more than the
 * quota of processor time comes to.  Where the quota decides nobody is bound: others with the same
 * cores and a quota of their own would all choose the same ones.  Neighbouring
 * workers share caches: a package fills before the next is used, and with LAC_BIND_THREAD every
 * core of all packages gets a first worker before any gets a second.  More workers than places
 * wrap around.  LAC_E_LIMIT over LAC_MAX_THREADS.  Borrows topology. */
enum lac_status lac_placement_new(const struct lac_topology *topology, size_t n_threads,
                                  enum lac_bind bind, struct lac_placement **placement,
                                  struct lac_error *error);
void lac_placement_free(struct lac_placement *placement);

size_t lac_placement_size(const struct lac_placement *placement);
/* Hardware threads that the workers can use together; fewer than workers: they take turns. */
size_t lac_placement_capacity(const struct lac_placement *placement);
/* Writes the hardware threads of a worker, "2,10" ("" when not bound), into text and returns it. */
char *lac_placement_describe(const struct lac_placement *placement, size_t worker, char *text,
                             size_t size);
/* Binds the calling thread to a worker's place.  Where the system refuses, the thread stays as it
 * was and the log gets one warning a placement. */
void lac_placement_bind(struct lac_placement *placement, size_t worker);

#endif
