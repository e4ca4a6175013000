/* SPDX-License-Identifier: Apache-2.0 */
/* Measures what linear kernels cost on this machine. */
#include "src/run/plan_measure.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/arena.h"
#include "src/base/checked.h"
#include "src/sys/clock.h"

void lac_plan_machine_here(const struct lac_topology *topology, struct lac_plan_machine *machine)
{
    *machine = (struct lac_plan_machine){
        .features = lac_cpu_features(),
        .l2_bytes = lac_topology_l2_bytes(topology),
        .l3_bytes = lac_topology_l3_bytes(topology),
    };
    lac_cpu_name(machine->cpu);
}

/* ---- The fit ---- */

/* Solves the normal equations of the terms in the set, by elimination; false where they are
 * singular, or a cost comes out negative. */
static bool solve(const double normal[3][4], unsigned set, double x[3])
{
    double a[3][4];
    memcpy(a, normal, sizeof a);
    for (int i = 0; i < 3; i++)
        if (!(set >> i & 1))
            for (int k = 0; k < 4; k++) {
                a[i][k] = k == i;
                if (k < 3 && k != i)
                    a[k][i] = 0;
            }
    for (int i = 0; i < 3; i++) {
        /* The matrix is positive semidefinite: there is no need of pivoting. */
        if (set >> i & 1 && !(a[i][i] > 1e-12 * normal[i][i]))
            return false;
        for (int r = 0; r < 3; r++) {
            double factor = r == i ? 0 : a[r][i] / a[i][i];
            for (int k = i; k < 4; k++)
                a[r][k] -= factor * a[i][k];
        }
    }
    for (int i = 0; i < 3; i++) {
        x[i] = set >> i & 1 ? a[i][3] / a[i][i] : 0;
        if (!(x[i] >= 0) || !isfinite(x[i]))
            return false;
    }
    return true;
}

/* Sum of squared relative errors. */
static double error_of(const double x[3], double terms[][3], size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double e = x[0] * terms[i][0] + x[1] * terms[i][1] + x[2] * terms[i][2] - 1;
        sum += e * e;
    }
    return sum;
}

enum { MOST_LOADS = 8 };

/* Each equation is divided by its time, so that all errors are relative.  Of the eight sets of
 * costs that may be other than zero the best admissible one is taken: with three unknowns that is
 * the non-negative least squares solution. */
void lac_plan_fit(const struct lac_plan_load *loads, const double *ns, size_t n,
                  struct lac_plan_cost *cost)
{
    double terms[MOST_LOADS][3], normal[3][4] = {{0}};
    n = lac_min_size(n, MOST_LOADS);
    for (size_t i = 0; i < n; i++) {
        const double t[3] = {1 / ns[i], loads[i].dwords / ns[i], loads[i].rows / ns[i]};
        memcpy(terms[i], t, sizeof t);
        for (int r = 0; r < 3; r++) {
            for (int k = 0; k < 3; k++)
                normal[r][k] += t[r] * t[k];
            normal[r][3] += t[r];
        }
    }
    double best[3] = {0}, least = INFINITY;
    for (unsigned set = 1; set < 8; set++) {
        double x[3];
        if (!solve(normal, set, x))
            continue;
        double e = error_of(x, terms, n);
        if (e < least) {
            least = e;
            memcpy(best, x, sizeof best);
        }
    }
    *cost = (struct lac_plan_cost){best[0], best[1], best[2]};
}

struct measuring {
    const struct lac_host *host;
    unsigned features;
    double effort;
    const struct lac_plan_progress *progress;
    size_t n_all, n_done;
    struct lac_plan_table *table;
};

/* ---- The weights ---- */

/* As encoders have them: the largest dense one is larger than most L2 caches, and the share kept
 * goes from what a 95 % sparse model leaves to half. */
static const struct {
    size_t n_out, n_in;
    double kept;
} sizes[] = {
    {768, 768, 0.05}, {768, 768, 0.3}, {2304, 768, 0.2}, {256, 1536, 0.5}, {192, 192, 0.2}};

enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* Weights come from beyond L2, as those of a model do: AMX, which would outrun L3, looks twice as
 * fast on a weight that is always there.  So copies take turns, of this many L2 caches together,
 * or as many as there may be: what is that small stays in L2 in a model, too. */
enum { N_CACHES = 4, MOST_COPIES = 64, DEFAULT_L2 = 1 << 20 };

/* One weight, with the panels of a tile. */
struct product {
    struct lac_arena arena;
    struct lac_weight copies[MOST_COPIES];
    size_t n_copies;
    struct lac_plan_load load;
    struct lac_linear_args args;
};

/* splitmix64 (Vigna). */
static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void fill_element(uint8_t *element, enum lac_dtype dtype, uint64_t bits)
{
    const float value = (float)((int)(bits % 127) + 1) / 128;
    const uint16_t half = (uint16_t)(0x3800 | (bits & 0x7f)); /* positive and finite in both */
    switch (lac_element_bytes(dtype)) {
    case 1:
        *element = (uint8_t)(bits % 127 + 1);
        break;
    case 2:
        memcpy(element, &half, sizeof half);
        break;
    default:
        memcpy(element, &value, sizeof value);
    }
}

/* Keeps whole blocks, as many of every block row. */
static void fill_elements(uint8_t *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                          enum lac_pattern pattern, double kept)
{
    uint64_t state = 1;
    bool has_blocks = lac_block_indices(pattern) > 0;
    size_t rows = has_blocks ? lac_pattern_rows(pattern) : 1;
    size_t v = lac_block_inputs(pattern, dtype), size = lac_element_bytes(dtype);
    uint64_t limit = pattern == LAC_PATTERN_DENSE ? UINT32_MAX : (uint64_t)(kept * UINT32_MAX);
    for (size_t o = 0; o < n_out; o += rows)
        for (size_t i = 0; i < n_in; i += v) {
            if ((uint32_t)random_bits(&state) > limit)
                continue;
            for (size_t r = o; r < lac_min_size(o + rows, n_out); r++)
                for (size_t k = i; k < lac_min_size(i + v, n_in); k++)
                    fill_element(elements + (r * n_in + k) * size, dtype, random_bits(&state));
        }
}

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory to measure kernels");
}

static enum lac_status make_panels(struct product *p, struct lac_error *error)
{
    const struct lac_weight *w = &p->copies[0];
    size_t n_in = lac_round_up(w->n_in, 16), n_out = lac_round_up(w->n_out, 16);
    float *x_scale = lac_arena_alloc(&p->arena, LAC_TILE, sizeof *x_scale);
    uint8_t *x = lac_arena_alloc(&p->arena, n_in * LAC_TILE, sizeof(float));
    float *y = lac_arena_alloc_zero(&p->arena, n_out * LAC_TILE, sizeof *y);
    float *abs_max = lac_arena_alloc_zero(&p->arena, LAC_TILE, sizeof *abs_max);
    if (!x_scale || !x || !y || !abs_max)
        return no_memory(error);
    uint64_t state = 2;
    bool is_quantized = lac_dtype_is_quantized(w->dtype);
    for (size_t i = 0; i < n_in * LAC_TILE; i++)
        if (is_quantized)
            x[i] = (uint8_t)(random_bits(&state) % 255 + 1);
        else
            fill_element(x + i * sizeof(float), LAC_F32, random_bits(&state));
    for (size_t i = 0; i < LAC_TILE; i++)
        x_scale[i] = 0.01f;
    p->args = (struct lac_linear_args){
        .out_end = w->n_out,
        .x = x,
        .x_scale = is_quantized ? x_scale : NULL,
        .y = y,
        .abs_max = abs_max,
    };
    return LAC_OK;
}

/* A copy of a part of a weight that may not be there; false without memory. */
static bool copy_part(struct lac_arena *arena, const void *part, size_t size_bytes, void *copy)
{
    void *made = part ? lac_arena_alloc(arena, size_bytes, 1) : NULL;
    if (part && !made)
        return false;
    if (part)
        memcpy(made, part, size_bytes);
    memcpy(copy, &made, sizeof made);
    return true;
}

static enum lac_status make_copies(struct product *p, size_t l2_bytes, struct lac_error *error)
{
    const struct lac_weight *first = &p->copies[0];
    size_t wanted = N_CACHES * (l2_bytes ? l2_bytes : DEFAULT_L2);
    size_t n = lac_ceil_div(wanted, lac_weight_bytes(first)) + 1;
    size_t blocks_bytes = first->n_blocks * lac_block_bytes(first->pattern, first->dtype) +
                          lac_blocks_tail_bytes(first->pattern);
    for (p->n_copies = 1; p->n_copies < lac_min_size(n, MOST_COPIES); p->n_copies++) {
        struct lac_weight *copy = &p->copies[p->n_copies];
        *copy = *first;
        if (!copy_part(&p->arena, first->blocks, blocks_bytes, &copy->blocks) ||
            !copy_part(&p->arena, first->index,
                       first->n_blocks * lac_block_indices(first->pattern) * sizeof *first->index,
                       &copy->index) ||
            !copy_part(&p->arena, first->masks, lac_masks_bytes(first), &copy->masks))
            return no_memory(error);
    }
    return LAC_OK;
}

static enum lac_status make_weight(struct product *p, const struct measuring *m, size_t size,
                                   enum lac_pattern pattern, enum lac_dtype dtype,
                                   struct lac_error *error)
{
    const struct lac_host *host = m->host;
    size_t n_out = sizes[size].n_out, n_in = sizes[size].n_in;
    p->arena = (struct lac_arena){.host = host};
    uint8_t *elements = lac_alloc_zero(host, n_out * n_in, lac_element_bytes(dtype));
    float *scale = lac_alloc(host, n_out, sizeof *scale);
    enum lac_status status = elements && scale ? LAC_OK : no_memory(error);
    if (!status) {
        for (size_t o = 0; o < n_out; o++)
            scale[o] = 0.01f;
        fill_elements(elements, n_out, n_in, dtype, pattern, sizes[size].kept);
        status = lac_weight_pack(elements, lac_dtype_is_quantized(dtype) ? scale : NULL, NULL,
                                 n_out, n_in, dtype, pattern, &p->arena, &p->copies[0], error);
    }
    lac_free(host, elements);
    lac_free(host, scale);
    if (!status)
        status = make_copies(p, m->table->machine.l2_bytes, error);
    if (!status)
        status = make_panels(p, error);
    if (!status)
        p->load = lac_plan_load(pattern, dtype, n_out, n_in, p->copies[0].n_blocks);
    return status;
}

/* ---- The times ---- */

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The lower quartile of several runs: what disturbs only ever adds. */
static double time_of(const struct lac_kernel *kernel, struct product *p, size_t n_tokens,
                      double effort)
{
    enum { FEWEST = 3, MOST = 64 };
    uint64_t ns[MOST], begin = lac_clock_ns();
    p->args.n_tokens = n_tokens;
    p->args.ld = kernel->op == LAC_OP_LINEAR_TOKEN ? lac_round_up(n_tokens, LAC_LANES) : n_tokens;
    size_t n = 0, turn = 0;
    p->args.w = &p->copies[turn++];
    kernel->run.linear(&p->args);
    while (n < FEWEST || (n < MOST && (double)(lac_clock_ns() - begin) < effort * 1e9)) {
        p->args.w = &p->copies[turn++ % p->n_copies];
        uint64_t t = lac_clock_ns();
        kernel->run.linear(&p->args);
        ns[n++] = lac_clock_ns() - t;
    }
    qsort(ns, n, sizeof *ns, compare_ns);
    return (double)lac_max_size((size_t)ns[n / 4], 1);
}

static bool runs_some(const struct lac_kernel *kernel, struct product *products)
{
    for (size_t i = 0; i < N_SIZES; i++)
        for (size_t c = 0; c < products[i].n_copies; c++) {
            struct lac_weight *w = &products[i].copies[c];
            if (kernel->fits && !kernel->fits(w))
                return false;
            w->extra = kernel->pack ? kernel->pack(w, &products[i].arena) : NULL;
            if (kernel->pack && !w->extra)
                return false;
        }
    return true;
}

static void measure_kernel(const struct lac_kernel *kernel, struct product *products, double effort,
                           struct lac_plan_table *table)
{
    if (table->n_rows == LAC_PLAN_MOST_ROWS || !runs_some(kernel, products))
        return;
    struct lac_plan_row *row = &table->rows[table->n_rows++];
    *row = (struct lac_plan_row){.kernel = kernel};
    for (size_t c = 0; c < LAC_PLAN_N_COUNTS; c++) {
        if (kernel->op == LAC_OP_LINEAR_TOKEN && lac_plan_counts[c] < LAC_LANES)
            continue;
        struct lac_plan_load loads[N_SIZES];
        double ns[N_SIZES];
        for (size_t i = 0; i < N_SIZES; i++) {
            loads[i] = products[i].load;
            ns[i] = time_of(kernel, &products[i], lac_plan_counts[c], effort);
        }
        lac_plan_fit(loads, ns, N_SIZES, &row->at[c]);
    }
}

static bool is_linear(const struct lac_kernel *kernel)
{
    return kernel->op == LAC_OP_LINEAR_TOKEN || kernel->op == LAC_OP_LINEAR_OUTPUT;
}

/* Scalar kernels take a hundred times as long: what they would be chosen for is no question. */
static bool counts(const struct lac_kernel *kernel, unsigned features)
{
    return is_linear(kernel) && lac_kernel_allowed(kernel, features) &&
           (kernel->needs || !features);
}

/* All kernels of one pattern and dtype, on the same weights. */
static enum lac_status measure_pattern(struct measuring *m, enum lac_pattern pattern,
                                       enum lac_dtype dtype, struct lac_error *error)
{
    struct product *products = lac_alloc_zero(m->host, N_SIZES, sizeof *products);
    enum lac_status status = products ? LAC_OK : no_memory(error);
    for (size_t i = 0; i < N_SIZES && !status; i++)
        status = make_weight(&products[i], m, i, pattern, dtype, error);
    for (const struct lac_kernel *const *k = lac_kernels(); *k && !status; k++) {
        if ((*k)->pattern != pattern || (*k)->dtype != dtype || !counts(*k, m->features))
            continue;
        if (m->progress)
            m->progress->show(m->progress->context, (*k)->name,
                              (double)m->n_done / (double)m->n_all);
        measure_kernel(*k, products, m->effort, m->table);
        m->n_done++;
    }
    for (size_t i = 0; products && i < N_SIZES; i++)
        lac_arena_clear(&products[i].arena);
    lac_free(m->host, products);
    return status;
}

enum lac_status lac_plan_measure(const struct lac_host *host,
                                 const struct lac_plan_machine *machine, unsigned features,
                                 double effort, const struct lac_plan_progress *progress,
                                 struct lac_plan_table **table, struct lac_error *error)
{
    struct measuring m = {host, features, effort, progress, 0, 0, NULL};
    m.table = lac_alloc_zero(host, 1, sizeof *m.table);
    if (!m.table)
        return no_memory(error);
    m.table->machine = *machine;
    bool wanted[LAC_N_DTYPES][LAC_N_PATTERNS] = {{false}};
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (counts(*k, features)) {
            m.n_all++;
            wanted[(*k)->dtype][(*k)->pattern] = true;
        }
    enum lac_status status = LAC_OK;
    for (int d = 0; d < LAC_N_DTYPES; d++)
        for (int p = 0; p < LAC_N_PATTERNS && !status; p++)
            if (wanted[d][p])
                status = measure_pattern(&m, (enum lac_pattern)p, (enum lac_dtype)d, error);
    if (status)
        lac_free(host, m.table);
    else
        *table = m.table;
    return status;
}
