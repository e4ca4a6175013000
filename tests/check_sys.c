/* SPDX-License-Identifier: Apache-2.0 */
/* Where workers are placed on made-up machines, and whether pools and barriers keep their word. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/sys/clock.h"
#include "src/sys/pool.h"
#include "src/sys/quota.h"
#include "src/sys/topology.h"
#include "tests/support.h"

/* Hardware threads numbered as Linux does: 0-7 are the first of each core, 8-15 their siblings. */
static const char two_packages[] =
    "pack:2 [numa] l3:1(size=16777216) l2:4(size=2097152) core:1 pu:2(indexes=2*8:8*1)";

struct placement_case {
    const char *machine;
    const char *allowed;
    size_t quota;
    size_t n_threads;
    enum lac_bind bind;
    const char *places; /* of all workers, between blanks; "-" is not bound */
};

static const struct placement_case placement_cases[] = {
    {two_packages, NULL, 0, 0, LAC_BIND_CORE, "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15"},
    {two_packages, NULL, 0, 3, LAC_BIND_CORE, "0,8 1,9 2,10"},
    {two_packages, NULL, 0, 10, LAC_BIND_CORE, "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15 0,8 1,9"},
    {two_packages, NULL, 0, 0, LAC_BIND_THREAD, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"},
    {two_packages, NULL, 0, 2, LAC_BIND_NUMA, "0-3,8-11 0-3,8-11"},
    {two_packages, NULL, 0, 6, LAC_BIND_NUMA,
     "0-3,8-11 0-3,8-11 0-3,8-11 0-3,8-11 4-7,12-15 4-7,12-15"},
    {two_packages, NULL, 0, 0, LAC_BIND_NONE, "- - - - - - - -"},
    /* Cpusets that cut through cores and packages. */
    {two_packages, "2,3,4", 0, 0, LAC_BIND_CORE, "2 3 4"},
    {two_packages, "0,8,9", 0, 0, LAC_BIND_CORE, "0,8 9"},
    {two_packages, "0,8,9", 0, 0, LAC_BIND_THREAD, "0 9 8"},
    {two_packages, "0,8,9", 0, 5, LAC_BIND_THREAD, "0 9 8 0 9"},
    {two_packages, "1,5,9,13", 0, 0, LAC_BIND_NUMA, "1,9 5,13"},
    {two_packages, "15", 0, 0, LAC_BIND_CORE, "15"},
    {two_packages, "15", 0, 2, LAC_BIND_NUMA, "15 15"},
    /* Packages that alternate. */
    {"pack:2 core:3 pu:1(indexes=0,2,4,1,3,5)", NULL, 0, 4, LAC_BIND_CORE, "0 2 4 1"},
    {"numa:1 core:4 pu:1", "1-2,77", 0, 0, LAC_BIND_CORE, "1 2"},
    /* Quotas: nobody is bound, unless the caller said how many, or all cores are granted. */
    {two_packages, NULL, 3, 0, LAC_BIND_CORE, "- - -"},
    {two_packages, "0-1", 3, 0, LAC_BIND_CORE, "0 1"},
    {two_packages, NULL, 3, 2, LAC_BIND_CORE, "0,8 1,9"},
    /* A machine that tells of no cores. */
    {"numa:1 pu:3", NULL, 0, 0, LAC_BIND_CORE, "0 1 2"},
    {"numa:1 pu:1", NULL, 0, 2, LAC_BIND_CORE, "0 0"},
};

START_TEST(workers_are_placed)
{
    const struct placement_case *c = &placement_cases[_i];
    struct lac_error error = {0};
    struct lac_topology *topology;
    ck_assert_msg(!lac_topology_new_synthetic(&lac_default_host, c->machine, c->allowed, c->quota,
                                              &topology, &error),
                  "%s", error.text);
    struct lac_placement *placement;
    ck_assert_int_eq(lac_placement_new(topology, c->n_threads, c->bind, &placement, &error), 0);
    char all[512] = "";
    for (size_t i = 0; i < lac_placement_size(placement); i++) {
        char one[64];
        lac_placement_describe(placement, i, one, sizeof one);
        strcat(all, i ? " " : "");
        strcat(all, one[0] ? one : "-");
    }
    ck_assert_str_eq(all, c->places);
    lac_placement_free(placement);
    lac_topology_free(topology);
}
END_TEST

START_TEST(caches_are_shared_evenly)
{
    struct lac_error error = {0};
    struct lac_topology *t;
    ck_assert_int_eq(
        lac_topology_new_synthetic(&lac_default_host,
                                   "pack:2 l3:1(size=16777216) l2:2(size=2097152) core:2 pu:2",
                                   "6-8", 0, &t, &error),
        0);
    ck_assert_uint_eq(lac_topology_cores(t), 2);
    ck_assert_uint_eq(lac_topology_threads(t), 3);
    ck_assert_uint_eq(lac_topology_l2_bytes(t), 1 << 20);
    ck_assert_uint_eq(lac_topology_l3_bytes(t), 4 << 20);
    lac_topology_free(t);
    ck_assert_int_eq(
        lac_topology_new_synthetic(&lac_default_host, "core:2 pu:1", NULL, 0, &t, &error), 0);
    ck_assert_uint_eq(lac_topology_l2_bytes(t), 0);
    ck_assert_uint_eq(lac_topology_l3_bytes(t), 0);
    lac_topology_free(t);
}
END_TEST

START_TEST(machines_are_described)
{
    struct lac_error error;
    struct lac_topology *t;
    char text[256], cut[8];
    ck_assert_int_eq(lac_topology_new_synthetic(&lac_default_host,
                                                "pack:2 l2:2(size=1048576) core:2 pu:2", NULL, 0,
                                                &t, &error),
                     0);
    lac_topology_describe(t, text, sizeof text);
    ck_assert_msg(strstr(text, "Package:2 L2Cache:4 (1024 KiB) Core:8 PU:16") != NULL, "%s", text);
    ck_assert_uint_eq(strlen(lac_topology_describe(t, cut, sizeof cut)), sizeof cut - 1);
    lac_topology_free(t);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
    struct lac_error error = {0};
    struct lac_topology *t = NULL;
    ck_assert_int_eq(lac_topology_new_synthetic(&lac_default_host, "nonsense", NULL, 0, &t, &error),
                     LAC_E_ARGUMENT);
    ck_assert_int_eq(
        lac_topology_new_synthetic(&lac_default_host, "core:2 pu:1", "9", 0, &t, &error),
        LAC_E_UNSUPPORTED);
    ck_assert_ptr_null(t);
    ck_assert_int_eq(
        lac_topology_new_synthetic(&lac_default_host, "core:2 pu:1", NULL, 0, &t, &error), 0);
    struct lac_placement *p = NULL;
    ck_assert_int_eq(lac_placement_new(t, LAC_MAX_THREADS + 1, LAC_BIND_CORE, &p, &error),
                     LAC_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "4097"));
    ck_assert_int_eq(lac_placement_new(t, 1, (enum lac_bind)9, &p, &error), LAC_E_ARGUMENT);
    ck_assert_ptr_null(p);
    lac_topology_free(t);
}
END_TEST

/* Writes text to directory/name below the scratch directory, with the folders on the way. */
static const char *write_group(const char *name, const char *text)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", scratch_directory(), name);
    for (char *p = path + strlen(scratch_directory()) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(path, 0700);
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static size_t read_quota(const char *groups)
{
    return lac_quota_processors(write_group("proc", groups), scratch_directory());
}

START_TEST(quotas_are_found)
{
    ck_assert_uint_eq(lac_quota_processors("/nowhere/at/all", "/"), 0);
    ck_assert_uint_eq(read_quota("0::/a/b\n"), 0);
    write_group("a/b/cpu.max", "max 100000\n");
    ck_assert_uint_eq(read_quota("0::/a/b\n"), 0);
    write_group("a/cpu.max", "250000 100000\n");
    ck_assert_uint_eq(read_quota("0::/a/b\n"), 3);
    ck_assert_uint_eq(read_quota("0::/other\n"), 0);
    write_group("a/b/cpu.max", "50000 100000\n");
    ck_assert_uint_eq(read_quota("0::/a/b\n"), 1);
    ck_assert_uint_eq(read_quota("0::/a\n"), 3);
    write_group("cpu.max", "200000 100000\n");
    ck_assert_uint_eq(read_quota("0::/\n"), 2);
    ck_assert_uint_eq(read_quota("0::/not/here\n"), 2);
    write_group("cpu.max", "-5 0\n");
    ck_assert_uint_eq(read_quota("0::/\n"), 0);
    write_group("cpu.max", "");
    ck_assert_uint_eq(read_quota("0::/\nnonsense\n:\n"), 0);

    write_group("cpu/box/cpu.cfs_quota_us", "-1\n");
    write_group("cpu/box/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(read_quota("5:memory:/box\n4:cpu,cpuacct:/box\n"), 0);
    write_group("cpu/box/cpu.cfs_quota_us", "400000\n");
    ck_assert_uint_eq(read_quota("5:memory:/box\n4:cpu,cpuacct:/box\n"), 4);
    ck_assert_uint_eq(read_quota("4:cpuacct,cpu:/box\n"), 4);
    ck_assert_uint_eq(read_quota("4:cpuset:/box\n"), 0);
}
END_TEST

/* This machine. */

static struct lac_topology *this_machine(void)
{
    struct lac_error error = {0};
    struct lac_topology *t;
    ck_assert_msg(!lac_topology_new(&lac_default_host, &t, &error), "%s", error.text);
    return t;
}

START_TEST(the_allowed_cpuset_is_kept)
{
    cpu_set_t before;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    struct lac_topology *t = this_machine();
    ck_assert_uint_eq(lac_topology_threads(t), (size_t)CPU_COUNT(&before));
    ck_assert_uint_le(lac_topology_cores(t), lac_topology_threads(t));
    ck_assert_uint_ge(lac_topology_cores(t), 1);
    lac_topology_free(t);

    int last = CPU_SETSIZE - 1;
    while (!CPU_ISSET((unsigned)last, &before))
        last--;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)last, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    t = this_machine();
    struct lac_placement *p;
    ck_assert_int_eq(lac_placement_new(t, 0, LAC_BIND_CORE, &p, NULL), 0);
    ck_assert_uint_eq(lac_placement_size(p), 1);
    char text[32];
    ck_assert_int_eq(atoi(lac_placement_describe(p, 0, text, sizeof text)), last);
    lac_placement_free(p);
    lac_topology_free(t);
}
END_TEST

/* Pools. */

static struct lac_pool *new_pool(struct lac_topology *t, size_t n)
{
    struct lac_error error = {0};
    struct lac_pool *pool;
    ck_assert_msg(!lac_pool_new(&lac_default_host, t, n, LAC_BIND_CORE, &pool, &error), "%s",
                  error.text);
    ck_assert_uint_eq(lac_pool_size(pool), n);
    return pool;
}

enum { MOST_WORKERS = 12 };

static const size_t pool_sizes[] = {1, 2, 3, MOST_WORKERS};
enum { N_POOL_SIZES = sizeof pool_sizes / sizeof *pool_sizes };

static void count_one(const struct lac_team *team, size_t rank, void *arg)
{
    ck_assert_uint_lt(rank, team->size);
    ((size_t *)arg)[rank]++; /* not atomic: the pool must order the runs */
}

START_TEST(every_worker_runs_once)
{
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = new_pool(t, pool_sizes[_i]);
    size_t runs[MOST_WORKERS] = {0};
    for (size_t i = 1; i <= 300; i++) {
        lac_pool_run(pool, count_one, runs);
        for (size_t rank = 0; rank < MOST_WORKERS; rank++)
            ck_assert_uint_eq(runs[rank], rank < pool_sizes[_i] ? i : 0);
    }
    lac_pool_free(pool);
    lac_topology_free(t);
}
END_TEST

/* Each round every worker writes its cell and then reads all: plain memory, so that a barrier that
 * lets somebody through early shows as a wrong value, and as a race to a race detector. */
struct relay {
    size_t cells[2][MOST_WORKERS];
    size_t n_rounds;
    _Atomic size_t n_wrong;
};

static void relay_rounds(const struct lac_team *team, size_t rank, void *arg)
{
    struct relay *r = arg;
    uint64_t state = test_seed() + rank;
    for (size_t round = 1; round <= r->n_rounds; round++) {
        size_t *cells = r->cells[round % 2];
        cells[rank] = round * (rank + 1);
        if (random_below(&state, 50) == 0)
            sched_yield();
        lac_team_barrier(team, rank);
        for (size_t i = 0; i < team->size; i++)
            r->n_wrong += cells[i] != round * (i + 1);
    }
}

START_TEST(barriers_hold_all_back)
{
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = new_pool(t, pool_sizes[_i]);
    struct relay relay = {.n_rounds = 2000};
    for (int i = 0; i < 3; i++)
        lac_pool_run(pool, relay_rounds, &relay);
    ck_assert_uint_eq(relay.n_wrong, 0);
    lac_pool_free(pool);
    lac_topology_free(t);
}
END_TEST

static void relay_alone(const struct lac_team *team, size_t rank, void *arg)
{
    (void)team;
    struct relay *relays = arg;
    relay_rounds(&lac_team_self, 0, &relays[rank]);
}

START_TEST(teams_of_one_pass_alone)
{
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = new_pool(t, 3);
    struct relay relays[3] = {{.n_rounds = 5}, {.n_rounds = 500}, {.n_rounds = 0}};
    lac_pool_run(pool, relay_alone, relays);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(relays[i].n_wrong, 0);
    ck_assert_uint_eq(relays[1].cells[0][0], 500);
    lac_pool_free(pool);
    lac_topology_free(t);
}
END_TEST

struct caller {
    struct lac_pool *pool;
    size_t *runs; /* shared by all callers */
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < 200; i++)
        lac_pool_run(c->pool, count_one, c->runs);
    return NULL;
}

START_TEST(callers_take_turns)
{
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = new_pool(t, 3);
    size_t runs[3] = {0};
    struct caller caller = {pool, runs};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_often, &caller), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(runs[i], 800);
    lac_pool_free(pool);
    lac_topology_free(t);
}
END_TEST

struct portrait {
    char name[16];
    cpu_set_t cpus;
    int blocks_signals;
    pthread_t thread;
};

static void draw_portrait(const struct lac_team *team, size_t rank, void *arg)
{
    (void)team;
    struct portrait *p = (struct portrait *)arg + rank;
    p->thread = pthread_self();
    pthread_getname_np(p->thread, p->name, sizeof p->name);
    sched_getaffinity(0, sizeof p->cpus, &p->cpus);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    p->blocks_signals = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM);
}

START_TEST(threads_are_named_and_bound)
{
    struct portrait portraits[3], before;
    draw_portrait(&lac_team_self, 0, &before);
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = new_pool(t, 3);
    lac_pool_run(pool, draw_portrait, portraits);

    ck_assert(pthread_equal(portraits[0].thread, pthread_self()));
    ck_assert_str_eq(portraits[0].name, before.name);
    ck_assert(CPU_EQUAL(&portraits[0].cpus, &before.cpus));
    ck_assert_int_eq(portraits[0].blocks_signals, before.blocks_signals);
    ck_assert_str_eq(portraits[1].name, "lacuna/1");
    ck_assert_str_eq(portraits[2].name, "lacuna/2");
    for (int i = 1; i < 3; i++) {
        cpu_set_t inside;
        CPU_AND(&inside, &portraits[i].cpus, &before.cpus);
        ck_assert(CPU_EQUAL(&inside, &portraits[i].cpus));
        ck_assert(portraits[i].blocks_signals);
    }
    lac_pool_free(pool);
    lac_topology_free(t);
}
END_TEST

struct diary {
    _Atomic int n_warnings;
    char text[512];
};

static void write_diary(void *context, enum lac_log_level level, const char *text)
{
    struct diary *diary = context;
    if (level == LAC_LOG_WARNING && diary->n_warnings++ == 0)
        strncpy(diary->text, text, sizeof diary->text - 1);
}

START_TEST(refused_binding_warns_once)
{
    struct diary diary = {0};
    struct lac_host host = lac_default_host;
    host.log = (struct lac_log){write_diary, &diary};
    struct lac_error error = {0};
    struct lac_topology *t;
    ck_assert_int_eq(lac_topology_new_synthetic(&host, "core:8 pu:1", NULL, 0, &t, &error), 0);
    struct lac_pool *pool;
    ck_assert_int_eq(lac_pool_new(&host, t, 0, LAC_BIND_CORE, &pool, &error), 0);
    size_t runs[8] = {0};
    lac_pool_run(pool, count_one, runs);
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(runs[i], 1);
    lac_pool_free(pool);
    ck_assert_int_eq(diary.n_warnings, 1);
    ck_assert_ptr_nonnull(strstr(diary.text, "cannot be bound"));
    lac_topology_free(t);
}
END_TEST

START_TEST(refused_thread_is_an_error)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, (size_t)1 << 50), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&attributes), 0);
    struct lac_topology *t = this_machine();
    struct lac_pool *pool = NULL;
    struct lac_error error = {0};
    ck_assert_int_eq(lac_pool_new(&lac_default_host, t, 2, LAC_BIND_NONE, &pool, &error), LAC_E_IO);
    ck_assert_ptr_null(pool);
    ck_assert_ptr_nonnull(strstr(error.text, "thread 2 of 2"));
    lac_topology_free(t);
    pthread_attr_destroy(&attributes);
}
END_TEST

/* Fails the allocation that brings the budget to zero. */
struct miser {
    int budget;
    int n_live;
};

static void *miser_alloc(void *context, size_t alignment, size_t size)
{
    struct miser *m = context;
    void *memory = NULL;
    if (m->budget-- <= 0 || posix_memalign(&memory, alignment, size))
        return NULL;
    m->n_live++;
    return memory;
}

static void miser_release(void *context, void *memory)
{
    ((struct miser *)context)->n_live--;
    free(memory);
}

START_TEST(missing_memory_is_an_error)
{
    int n_failures = 0;
    for (int budget = 0;; budget++) {
        struct miser miser = {.budget = budget};
        struct lac_host host = {.allocator = {miser_alloc, miser_release, &miser}};
        struct lac_topology *t = NULL;
        struct lac_pool *pool = NULL;
        enum lac_status status = lac_topology_new_synthetic(&host, two_packages, NULL, 0, &t, NULL);
        if (!status)
            status = lac_pool_new(&host, t, 3, LAC_BIND_CORE, &pool, NULL);
        lac_pool_free(pool);
        lac_topology_free(t);
        ck_assert_int_eq(miser.n_live, 0);
        if (!status)
            break;
        ck_assert_int_eq(status, LAC_E_MEMORY);
        n_failures++;
    }
    ck_assert_int_ge(n_failures, 4);
}
END_TEST

START_TEST(shares_cover_everything_once)
{
    uint64_t state = test_seed();
    for (int i = 0; i < 20000; i++) {
        const size_t limits[] = {1, 5, 100, 100000, SIZE_MAX};
        struct lac_team team = {.size = 1 + random_below(&state, 40)};
        size_t n = (size_t)random_u64(&state) % limits[random_below(&state, 5)];
        size_t unit = 1 + random_below(&state, limits[random_below(&state, 4)]);
        size_t next = 0, least = SIZE_MAX, most = 0;
        for (size_t rank = 0; rank < team.size; rank++) {
            size_t begin, end;
            lac_team_range(&team, rank, n, unit, &begin, &end);
            ck_assert_uint_eq(begin, next);
            ck_assert_uint_ge(end, begin);
            ck_assert(begin % unit == 0 || begin == n);
            size_t units = (end - begin) / unit + ((end - begin) % unit != 0);
            least = units < least ? units : least;
            most = units > most ? units : most;
            next = end;
        }
        ck_assert_uint_eq(next, n);
        ck_assert_uint_le(most - least, 1);
    }
}
END_TEST

START_TEST(the_clock_goes_forward)
{
    uint64_t last = lac_clock_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = lac_clock_ns();
        ck_assert(now >= last);
        last = now;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sys");
    add_loop_test(suite, "placement", workers_are_placed,
                  sizeof placement_cases / sizeof *placement_cases);
    add_test(suite, "caches", caches_are_shared_evenly);
    add_test(suite, "descriptions", machines_are_described);
    add_test(suite, "bad requests", bad_requests_are_refused);
    add_test(suite, "quotas", quotas_are_found);
    add_test(suite, "allowed cpuset", the_allowed_cpuset_is_kept);
    add_loop_test(suite, "runs", every_worker_runs_once, N_POOL_SIZES);
    add_loop_test(suite, "barriers", barriers_hold_all_back, N_POOL_SIZES);
    add_test(suite, "teams of one", teams_of_one_pass_alone);
    add_test(suite, "turns", callers_take_turns);
    add_test(suite, "threads", threads_are_named_and_bound);
    add_test(suite, "refused binding", refused_binding_warns_once);
    add_test(suite, "refused thread", refused_thread_is_an_error);
    add_test(suite, "missing memory", missing_memory_is_an_error);
    add_test(suite, "shares", shares_cover_everything_once);
    add_test(suite, "clock", the_clock_goes_forward);
    return run_suite(suite);
}
