/* SPDX-License-Identifier: Apache-2.0 */
/* libxsmm's sparse products, a peer of ours, in a process of its own.
 *
 * Blocks: libxsmm is column-major, so that its A is the weights (outputs are its rows), its B the
 * activations as they lie, [n_tokens, n_in], and its C the result, [n_tokens, n_out].  One call
 * adds up the products of all kept blocks of a block row for a group of tokens.
 *
 * Single elements (spmdm): the sparse matrix is the weights; activations and results have tokens
 * side by side, which is how it is fastest. */
#include "bench/libxsmm.h"

static int is_spmdm(const struct bench_libxsmm_job *job)
{
    return job->form == BENCH_LIBXSMM_BF16_SPMDM || job->form == BENCH_LIBXSMM_F32_SPMDM;
}

double bench_libxsmm_value(const struct bench_libxsmm_job *job, size_t o, size_t t)
{
    const struct bench_layer *layer = job->layer;
    size_t at = is_spmdm(job) ? o * layer->n_tokens + t : t * layer->n_out + o;
    return job->form == BENCH_LIBXSMM_INT8 ? ((const int32_t *)job->y)[at]
                                           : (double)((const float *)job->y)[at];
}

#ifdef LACUNA_BENCH_LIBXSMM

#include <libxsmm.h>
#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "src/base/host.h"

/* Tokens of one call: enough to fill its registers several times over, and few enough for the
 * activations of a call to stay in L1 or L2. */
enum { GROUP = 64 };

/* One function of each type and number of tokens. */
union product {
    libxsmm_subimmfunction_reducebatch_offs int8;
    libxsmm_bsmmfunction_reducebatch_offs bf16;
    libxsmm_smmfunction_reducebatch_offs f32;
    void *any;
};

struct session {
    struct bench_libxsmm_job job;
    size_t size;                         /* of a weight or activation, in bytes */
    const void *x;                       /* [n_tokens, n_in], of an spmdm [n_in, n_tokens] */
    char *blocks;                        /* kept ones, as libxsmm wants them */
    size_t *begin;                       /* [block rows + 1] */
    unsigned long long *block_at, *x_at; /* byte offsets of each kept block, and of its inputs */
    union product whole, rest;           /* groups of GROUP tokens, and the last one */
    libxsmm_spmdm_handle spmdm;
    libxsmm_CSR_sparseslice *slices;
};

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for libxsmm's inputs");
}

/* Element i of row-major values as the form has them. */
static void put(const struct session *s, const void *values, size_t i, void *to)
{
    if (s->job.form == BENCH_LIBXSMM_INT8) {
        memcpy(to, (const char *)values + i, 1);
    } else if (s->size == 2) {
        uint16_t half = lac_bf16_from_f32(((const float *)values)[i]);
        memcpy(to, &half, sizeof half);
    } else {
        memcpy(to, (const float *)values + i, sizeof(float));
    }
}

static enum lac_status place_x(struct session *s, struct lac_error *error)
{
    const struct bench_layer *layer = s->job.layer;
    size_t n = layer->n_tokens, k = layer->n_in;
    char *x = lac_alloc(&lac_default_host, n * k, s->size);
    if (!x)
        return no_memory(error);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < k; i++)
            put(s, layer->x, t * k + i, x + (is_spmdm(&s->job) ? i * n + t : t * k + i) * s->size);
    s->x = x;
    return LAC_OK;
}

static int is_kept(const struct session *s, size_t row, size_t column)
{
    size_t side = s->job.block, k = s->job.layer->n_in;
    size_t size = s->job.form == BENCH_LIBXSMM_INT8 ? 1 : sizeof(float);
    static const char zeros[256];
    for (size_t o = 0; o < side; o++)
        if (memcmp((const char *)s->job.elements + ((row * side + o) * k + column * side) * size,
                   zeros, side * size))
            return 1;
    return 0;
}

/* [side / V][side outputs][V inputs], V inputs to a dword. */
static void copy_block(const struct session *s, size_t row, size_t column, char *to)
{
    size_t side = s->job.block, k = s->job.layer->n_in, v = 4 / s->size;
    for (size_t o = 0; o < side; o++)
        for (size_t i = 0; i < side; i++)
            put(s, s->job.elements, (row * side + o) * k + column * side + i,
                to + ((i / v * side + o) * v + i % v) * s->size);
}

static enum lac_status place_blocks(struct session *s, struct lac_error *error)
{
    const struct lac_host *host = &lac_default_host;
    size_t side = s->job.block, n_rows = s->job.layer->n_out / side,
           n_columns = s->job.layer->n_in / side, n = 0, bytes = side * side * s->size;
    s->begin = lac_alloc(host, n_rows + 1, sizeof *s->begin);
    s->block_at = lac_alloc(host, n_rows * n_columns, sizeof *s->block_at);
    s->x_at = lac_alloc(host, n_rows * n_columns, sizeof *s->x_at);
    s->blocks = lac_alloc(host, n_rows * n_columns, bytes);
    if (!s->begin || !s->block_at || !s->x_at || !s->blocks)
        return no_memory(error);
    for (size_t row = 0; row < n_rows; row++) {
        s->begin[row] = n;
        for (size_t column = 0; column < n_columns; column++) {
            if (!is_kept(s, row, column))
                continue;
            copy_block(s, row, column, s->blocks + n * bytes);
            s->block_at[n] = n * bytes;
            s->x_at[n++] = column * side * s->size;
        }
    }
    s->begin[n_rows] = n;
    return LAC_OK;
}

static union product generate(const struct session *s, size_t n_tokens)
{
    libxsmm_blasint m = (libxsmm_blasint)s->job.block, n = (libxsmm_blasint)n_tokens;
    libxsmm_blasint ldx = (libxsmm_blasint)s->job.layer->n_in;
    libxsmm_blasint ldy = (libxsmm_blasint)s->job.layer->n_out;
    const int one_i = 1, zero_i = 0;
    const float one = 1, zero = 0;
    union product product = {.any = NULL};
    if (s->job.form == BENCH_LIBXSMM_INT8)
        product.int8 = libxsmm_subimmdispatch_reducebatch_offs(m, n, m, &m, &ldx, &ldy, &one_i,
                                                               &zero_i, NULL, NULL);
    else if (s->job.form == BENCH_LIBXSMM_BF16)
        product.bf16 =
            libxsmm_bsmmdispatch_reducebatch_offs(m, n, m, &m, &ldx, &ldy, &one, &zero, NULL, NULL);
    else
        product.f32 =
            libxsmm_smmdispatch_reducebatch_offs(m, n, m, &m, &ldx, &ldy, &one, &zero, NULL, NULL);
    return product;
}

static void call(const struct session *s, union product product, size_t row, size_t first)
{
    size_t at = s->begin[row];
    unsigned long long count = s->begin[row + 1] - at;
    const void *w = s->blocks;
    const void *x = (const char *)s->x + first * s->job.layer->n_in * s->size;
    char *y = (char *)s->job.y + (first * s->job.layer->n_out + row * s->job.block) * 4;
    if (s->job.form == BENCH_LIBXSMM_INT8)
        product.int8(w, x, (int *)(void *)y, &count, s->block_at + at, s->x_at + at);
    else if (s->job.form == BENCH_LIBXSMM_BF16)
        product.bf16(w, x, (float *)(void *)y, &count, s->block_at + at, s->x_at + at);
    else
        product.f32(w, x, (float *)(void *)y, &count, s->block_at + at, s->x_at + at);
}

static void clear_row(const struct session *s, size_t row, size_t first, size_t n)
{
    for (size_t t = first; t < first + n; t++)
        memset((char *)s->job.y + (t * s->job.layer->n_out + row * s->job.block) * 4, 0,
               s->job.block * 4);
}

static void multiply_blocks(void *context)
{
    const struct session *s = context;
    size_t n_rows = s->job.layer->n_out / s->job.block, n_tokens = s->job.layer->n_tokens;
    for (size_t first = 0; first < n_tokens; first += GROUP) {
        size_t n = lac_min_size(GROUP, n_tokens - first);
        for (size_t row = 0; row < n_rows; row++) {
            if (s->begin[row] == s->begin[row + 1])
                clear_row(s, row, first, n);
            else
                call(s, n == GROUP ? s->whole : s->rest, row, first);
        }
    }
}

static enum lac_status open_blocks(struct session *s, struct lac_error *error)
{
    size_t rest = s->job.layer->n_tokens % GROUP;
    if (place_blocks(s, error))
        return error->status;
    s->whole = generate(s, GROUP);
    s->rest = rest ? generate(s, rest) : s->whole;
    if (!s->whole.any || !s->rest.any)
        return lac_fail(error, LAC_E_UNSUPPORTED, "no code for blocks of %zu", s->job.block);
    return LAC_OK;
}

static void multiply_elements(void *context)
{
    struct session *s = context;
    const float one = 1, zero = 0;
    const uint16_t one_half = 0x3f80, zero_half = 0;
    int n = libxsmm_spmdm_get_num_compute_blocks(&s->spmdm);
    for (int i = 0; i < n; i++) {
        if (s->size == 2)
            libxsmm_spmdm_compute_bfloat16_thread(&s->spmdm, 'N', 'N', &one_half, s->slices, s->x,
                                                  'N', &zero_half, s->job.y, i, 0, 1);
        else
            libxsmm_spmdm_compute_fp32_thread(&s->spmdm, 'N', 'N', &one, s->slices, s->x, 'N',
                                              &zero, s->job.y, i, 0, 1);
    }
}

static enum lac_status open_elements(struct session *s, struct lac_error *error)
{
    const struct bench_layer *layer = s->job.layer;
    size_t n_elements = layer->n_out * layer->n_in;
    char *w = lac_alloc(&lac_default_host, n_elements, s->size);
    if (!w)
        return no_memory(error);
    for (size_t i = 0; i < n_elements; i++)
        put(s, s->job.elements, i, w + i * s->size);
    libxsmm_spmdm_init((int)layer->n_out, (int)layer->n_tokens, (int)layer->n_in, 1, &s->spmdm,
                       &s->slices);
    int n = libxsmm_spmdm_get_num_createSparseSlice_blocks(&s->spmdm);
    for (int i = 0; i < n; i++) {
        if (s->size == 2)
            libxsmm_spmdm_createSparseSlice_bfloat16_thread(&s->spmdm, 'N', (void *)w, s->slices, i,
                                                            0, 1);
        else
            libxsmm_spmdm_createSparseSlice_fp32_thread(&s->spmdm, 'N', (void *)w, s->slices, i, 0,
                                                        1);
    }
    lac_free(&lac_default_host, w);
    return LAC_OK;
}

static const char *isa_name(void)
{
    int id = libxsmm_get_target_archid();
    return id >= LIBXSMM_X86_AVX512_CLX    ? "avx512_vnni"
           : id >= LIBXSMM_X86_AVX512_CORE ? "avx512"
           : id >= LIBXSMM_X86_AVX2        ? "avx2"
                                           : "other";
}

static size_t size_of(enum bench_libxsmm_form form)
{
    return form == BENCH_LIBXSMM_INT8                                       ? 1
           : form == BENCH_LIBXSMM_BF16 || form == BENCH_LIBXSMM_BF16_SPMDM ? 2
                                                                            : 4;
}

static enum lac_status open_session(void *context, char name[BENCH_NAME_SIZE],
                                    struct lac_error *error)
{
    struct session *s = context;
    libxsmm_init();
    s->size = size_of(s->job.form);
    snprintf(name, BENCH_NAME_SIZE, "%s", isa_name());
    if (place_x(s, error))
        return error->status;
    return is_spmdm(&s->job) ? open_elements(s, error) : open_blocks(s, error);
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    struct session *s = context;
    for (size_t i = 0; i < n; i++)
        ns[i] = bench_time_alone(is_spmdm(&s->job) ? multiply_elements : multiply_blocks, s);
    return 0;
}

enum lac_status bench_libxsmm_start(struct bench_child *child, const struct bench_libxsmm_job *job,
                                    struct lac_error *error)
{
    struct session session = {.job = *job};
    struct bench_work work = {.open = open_session, .turn = turn, .context = &session};
    enum lac_status status = bench_child_start(child, &work, error);
    return status ? lac_fail_in(error, status, "libxsmm") : LAC_OK;
}

int bench_libxsmm_built(void)
{
    return 1;
}

#else

enum lac_status bench_libxsmm_start(struct bench_child *child, const struct bench_libxsmm_job *job,
                                    struct lac_error *error)
{
    (void)child, (void)job;
    return lac_fail(error, LAC_E_UNSUPPORTED, "built without libxsmm");
}

int bench_libxsmm_built(void)
{
    return 0;
}

#endif
