/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as far as this process may use it, read through hwloc. */
#include "src/sys/topology.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <hwloc.h>

#include "src/base/checked.h"
#include "src/sys/quota.h"

struct lac_topology {
    const struct lac_host *host;
    hwloc_topology_t
        machine;            /* all of it, disallowed parts too, so that shares of caches are true */
    hwloc_bitmap_t allowed; /* not empty */
    size_t n_cores;
    hwloc_obj_t *cores; /* [n_cores] with an allowed hardware thread, in hwloc's logical order */
    size_t l2_bytes, l3_bytes;
    size_t quota; /* processors that cgroups grant time for; 0: no bound */
};

struct lac_placement {
    const struct lac_topology *topology;
    size_t n;
    hwloc_bitmap_t *sets; /* [n]; NULL: not bound */
    size_t capacity;
    atomic_flag warned;
};

/* Machines that describe no cores (some virtual ones) get one for each hardware thread. */
static hwloc_obj_type_t core_type(hwloc_topology_t machine)
{
    return hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
}

static size_t cache_share(struct lac_topology *t, hwloc_obj_type_t cache)
{
    for (hwloc_obj_t o = t->cores[0]; o; o = o->parent) {
        if (o->type != cache)
            continue;
        int n =
            hwloc_get_nbobjs_inside_cpuset_by_type(t->machine, o->cpuset, core_type(t->machine));
        return (size_t)o->attr->cache.size / (size_t)(n > 0 ? n : 1);
    }
    return 0;
}

static enum lac_status find_cores(struct lac_topology *t, struct lac_error *error)
{
    hwloc_obj_type_t type = core_type(t->machine);
    int n = hwloc_get_nbobjs_by_type(t->machine, type);
    t->cores = lac_alloc(t->host, (size_t)(n > 0 ? n : 1), sizeof *t->cores);
    if (!t->cores)
        return lac_fail(error, LAC_E_MEMORY, "topology: no memory for %d cores", n);
    for (int i = 0; i < n; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(t->machine, type, (unsigned)i);
        if (hwloc_bitmap_intersects(core->cpuset, t->allowed))
            t->cores[t->n_cores++] = core;
    }
    if (!t->n_cores)
        return lac_fail(error, LAC_E_UNSUPPORTED, "topology: none of %d cores may be used", n);
    t->l2_bytes = cache_share(t, HWLOC_OBJ_L2CACHE);
    t->l3_bytes = cache_share(t, HWLOC_OBJ_L3CACHE);
    return LAC_OK;
}

/* t->machine is initialised and knows its source. */
static enum lac_status load(struct lac_topology *t, struct lac_error *error)
{
    if (hwloc_topology_set_flags(t->machine, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) ||
        hwloc_topology_load(t->machine))
        return lac_fail(error, LAC_E_IO, "topology: hwloc cannot read the machine: %s",
                        strerror(errno));
    t->allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(t->machine));
    if (!t->allowed)
        return lac_fail(error, LAC_E_MEMORY, "topology: no memory for a cpuset");
    return LAC_OK;
}

static struct lac_topology *new_empty(const struct lac_host *host)
{
    struct lac_topology *t = lac_alloc_zero(host, 1, sizeof *t);
    if (!t)
        return NULL;
    t->host = host;
    if (hwloc_topology_init(&t->machine)) {
        lac_free(host, t);
        return NULL;
    }
    return t;
}

/* cgroups are in hwloc's allowed cpuset; taskset and sched_setaffinity are in the binding. */
static void keep_bound_part(struct lac_topology *t)
{
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (bound && !hwloc_get_cpubind(t->machine, bound, HWLOC_CPUBIND_THREAD) &&
        hwloc_bitmap_intersects(bound, t->allowed))
        hwloc_bitmap_and(t->allowed, t->allowed, bound);
    hwloc_bitmap_free(bound);
}

enum lac_status lac_topology_new(const struct lac_host *host, struct lac_topology **topology,
                                 struct lac_error *error)
{
    struct lac_topology *t = new_empty(host);
    if (!t)
        return lac_fail(error, LAC_E_MEMORY, "topology: no memory");
    enum lac_status status = load(t, error);
    if (status)
        goto out;
    keep_bound_part(t);
    t->quota = lac_quota_processors("/proc/self/cgroup", "/sys/fs/cgroup");
    status = find_cores(t, error);
    if (status)
        goto out;
    *topology = t;
    t = NULL;
out:
    lac_topology_free(t);
    return status;
}

enum lac_status lac_topology_new_synthetic(const struct lac_host *host, const char *description,
                                           const char *allowed, size_t quota,
                                           struct lac_topology **topology, struct lac_error *error)
{
    struct lac_topology *t = new_empty(host);
    if (!t)
        return lac_fail(error, LAC_E_MEMORY, "topology: no memory");
    t->quota = quota;
    enum lac_status status = LAC_OK;
    if (hwloc_topology_set_synthetic(t->machine, description)) {
        status = lac_fail(error, LAC_E_ARGUMENT, "topology: \"%s\" is not a machine", description);
        goto out;
    }
    status = load(t, error);
    if (status)
        goto out;
    hwloc_bitmap_t chosen = hwloc_bitmap_alloc();
    if (allowed && (!chosen || hwloc_bitmap_list_sscanf(chosen, allowed)))
        status = lac_fail(error, LAC_E_ARGUMENT, "topology: \"%s\" is not a cpuset", allowed);
    else if (allowed)
        hwloc_bitmap_and(t->allowed, t->allowed, chosen);
    hwloc_bitmap_free(chosen);
    if (status)
        goto out;
    status = find_cores(t, error);
    if (status)
        goto out;
    *topology = t;
    t = NULL;
out:
    lac_topology_free(t);
    return status;
}

void lac_topology_free(struct lac_topology *topology)
{
    if (!topology)
        return;
    lac_free(topology->host, topology->cores);
    hwloc_bitmap_free(topology->allowed);
    hwloc_topology_destroy(topology->machine);
    lac_free(topology->host, topology);
}

size_t lac_topology_cores(const struct lac_topology *topology)
{
    return topology->n_cores;
}

size_t lac_topology_threads(const struct lac_topology *topology)
{
    int n =
        hwloc_get_nbobjs_inside_cpuset_by_type(topology->machine, topology->allowed, HWLOC_OBJ_PU);
    return n > 0 ? (size_t)n : 1;
}

size_t lac_topology_l2_bytes(const struct lac_topology *topology)
{
    return topology->l2_bytes;
}

size_t lac_topology_l3_bytes(const struct lac_topology *topology)
{
    return topology->l3_bytes;
}

/* One level of the tree: what it is, how often, and how large where it is a cache. */
static int describe_level(const struct lac_topology *t, int depth, char *text, size_t size)
{
    hwloc_obj_t first = hwloc_get_obj_by_depth(t->machine, depth, 0);
    unsigned n = hwloc_get_nbobjs_by_depth(t->machine, depth);
    const char *name = hwloc_obj_type_string(first->type);
    if (!hwloc_obj_type_is_cache(first->type))
        return snprintf(text, size, "%s%s:%u", depth ? " " : "", name, n);
    unsigned long long kib = first->attr->cache.size / 1024;
    return kib < 8192 ? snprintf(text, size, " %s:%u (%llu KiB)", name, n, kib)
                      : snprintf(text, size, " %s:%u (%llu MiB)", name, n, kib / 1024);
}

char *lac_topology_describe(const struct lac_topology *topology, char *text, size_t size)
{
    size_t used = 0;
    if (size)
        *text = 0;
    for (int d = 0; d < hwloc_topology_get_depth(topology->machine) && used < size; d++)
        used += (size_t)describe_level(topology, d, text + used, size - used);
    return text;
}

/* Each of these fills set with worker i's place; 0 or -1 without memory. */

static int place_core(const struct lac_topology *t, size_t i, hwloc_bitmap_t set)
{
    return hwloc_bitmap_and(set, t->cores[i % t->n_cores]->cpuset, t->allowed);
}

/* The round-th allowed hardware thread of a core, or -1. */
static int nth_thread(const struct lac_topology *t, size_t core, size_t round)
{
    int cpu = -1;
    do {
        do
            cpu = hwloc_bitmap_next(t->cores[core]->cpuset, cpu);
        while (cpu >= 0 && !hwloc_bitmap_isset(t->allowed, (unsigned)cpu));
    } while (cpu >= 0 && round--);
    return cpu;
}

static int place_thread(const struct lac_topology *t, size_t i, hwloc_bitmap_t set)
{
    i %= lac_topology_threads(t);
    for (size_t round = 0;; round++) {
        for (size_t core = 0; core < t->n_cores; core++) {
            int cpu = nth_thread(t, core, round);
            if (cpu >= 0 && i-- == 0)
                return hwloc_bitmap_only(set, (unsigned)cpu);
        }
    }
}

static int place_numa(const struct lac_topology *t, size_t i, hwloc_bitmap_t set)
{
    hwloc_const_cpuset_t core = t->cores[i % t->n_cores]->cpuset;
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(t->machine, HWLOC_OBJ_NUMANODE, node))) {
        if (hwloc_bitmap_isincluded(core, node->cpuset))
            return hwloc_bitmap_and(set, node->cpuset, t->allowed);
    }
    return hwloc_bitmap_copy(set, t->allowed);
}

static int (*const place_by_bind[])(const struct lac_topology *, size_t, hwloc_bitmap_t) = {
    [LAC_BIND_CORE] = place_core,
    [LAC_BIND_THREAD] = place_thread,
    [LAC_BIND_NUMA] = place_numa,
    [LAC_BIND_NONE] = NULL,
};

/* Two workers inside one core share its units, so a core counts once when cores are bound. */
static size_t placement_capacity(const struct lac_topology *t, enum lac_bind bind)
{
    return bind == LAC_BIND_CORE ? t->n_cores : lac_topology_threads(t);
}

static enum lac_status fill_placement(struct lac_placement *p, enum lac_bind bind,
                                      struct lac_error *error)
{
    if (!place_by_bind[bind])
        return LAC_OK;
    for (size_t i = 0; i < p->n; i++) {
        p->sets[i] = hwloc_bitmap_alloc();
        if (!p->sets[i] || place_by_bind[bind](p->topology, i, p->sets[i]))
            return lac_fail(error, LAC_E_MEMORY, "topology: no memory for worker %zu's cpuset", i);
    }
    return LAC_OK;
}

static void choose_threads(const struct lac_topology *t, size_t *n_threads, enum lac_bind *bind)
{
    *n_threads = *bind == LAC_BIND_THREAD ? lac_topology_threads(t) : t->n_cores;
    *n_threads = lac_min_size(*n_threads, LAC_MAX_THREADS);
    if (t->quota && t->quota < *n_threads) {
        *n_threads = t->quota;
        *bind = LAC_BIND_NONE;
    }
}

enum lac_status lac_placement_new(const struct lac_topology *topology, size_t n_threads,
                                  enum lac_bind bind, struct lac_placement **placement,
                                  struct lac_error *error)
{
    if ((unsigned)bind >= sizeof place_by_bind / sizeof *place_by_bind)
        return lac_fail(error, LAC_E_ARGUMENT, "bind: %d is none of the four ways", (int)bind);
    if (n_threads > LAC_MAX_THREADS)
        return lac_fail(error, LAC_E_LIMIT, "threads: %zu is more than %d", n_threads,
                        LAC_MAX_THREADS);
    if (!n_threads)
        choose_threads(topology, &n_threads, &bind);

    const struct lac_host *host = topology->host;
    struct lac_placement *p = lac_alloc_zero(host, 1, sizeof *p);
    if (!p)
        return lac_fail(error, LAC_E_MEMORY, "topology: no memory for %zu workers", n_threads);
    p->topology = topology;
    p->n = n_threads;
    p->capacity = placement_capacity(topology, bind);
    atomic_flag_clear(&p->warned);
    enum lac_status status = LAC_OK;
    p->sets = lac_alloc_zero(host, n_threads, sizeof *p->sets);
    if (!p->sets) {
        status = lac_fail(error, LAC_E_MEMORY, "topology: no memory for %zu workers", n_threads);
        goto out;
    }
    status = fill_placement(p, bind, error);
    if (status)
        goto out;
    *placement = p;
    p = NULL;
out:
    lac_placement_free(p);
    return status;
}

void lac_placement_free(struct lac_placement *placement)
{
    if (!placement)
        return;
    const struct lac_host *host = placement->topology->host;
    for (size_t i = 0; placement->sets && i < placement->n; i++)
        hwloc_bitmap_free(placement->sets[i]);
    lac_free(host, placement->sets);
    lac_free(host, placement);
}

size_t lac_placement_size(const struct lac_placement *placement)
{
    return placement->n;
}

size_t lac_placement_capacity(const struct lac_placement *placement)
{
    return placement->capacity;
}

char *lac_placement_describe(const struct lac_placement *placement, size_t worker, char *text,
                             size_t size)
{
    text[0] = '\0';
    if (placement->sets[worker])
        hwloc_bitmap_list_snprintf(text, size, placement->sets[worker]);
    return text;
}

void lac_placement_bind(struct lac_placement *placement, size_t worker)
{
    hwloc_bitmap_t set = placement->sets[worker];
    if (!set)
        return;
    const struct lac_topology *t = placement->topology;
    if (hwloc_topology_is_thissystem(t->machine) &&
        !hwloc_set_cpubind(t->machine, set, HWLOC_CPUBIND_THREAD))
        return;
    int reason = hwloc_topology_is_thissystem(t->machine) ? errno : ENOSYS;
    if (atomic_flag_test_and_set(&placement->warned))
        return;
    char where[128];
    lac_placement_describe(placement, worker, where, sizeof where);
    lac_log(t->host, LAC_LOG_WARNING, "worker %zu cannot be bound to %s: %s; going on unbound",
            worker, where, strerror(reason));
}
