/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's dense products as kernels of ours.
 *
 * The library is opened when a kernel of it is first asked whether it fits, never before: what
 * Debian builds brings OpenMP and OpenCL along, which nobody should load who does not use it.
 *
 * Tokens are lanes here as everywhere: y^T = W x^T.  The weights are oneDNN's left operand, plain
 * rows, and our panel is its right one: [in / 4][ld][4] is, rounded up to 64 inputs, the format
 * that its int8 products want their right operand in (BA16a48b4a for 48 tokens), so nothing is
 * transposed or reordered.  There the right operand is s8 and the left one u8, so it is the
 * weights that get 128 added (simd/outside.h).  fp32 goes through its sgemm.
 *
 * Only the sums are its; the epilogue is ours, so that int8 results have the same bits. */
#include <dlfcn.h>
#include <dnnl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "simd/outside.h"
#include "simd/tables.h"
#include "src/base/checked.h"
#include "src/base/host.h"

/* ---- The library ---- */

#define FUNCTIONS(X)                                                                               \
    X(dnnl_version)                                                                                \
    X(dnnl_engine_create)                                                                          \
    X(dnnl_stream_create)                                                                          \
    X(dnnl_stream_destroy)                                                                         \
    X(dnnl_memory_desc_init_by_tag)                                                                \
    X(dnnl_memory_create)                                                                          \
    X(dnnl_memory_destroy)                                                                         \
    X(dnnl_memory_set_data_handle)                                                                 \
    X(dnnl_matmul_desc_init)                                                                       \
    X(dnnl_primitive_attr_create)                                                                  \
    X(dnnl_primitive_attr_destroy)                                                                 \
    X(dnnl_primitive_attr_set_scratchpad_mode)                                                     \
    X(dnnl_primitive_desc_create)                                                                  \
    X(dnnl_primitive_desc_destroy)                                                                 \
    X(dnnl_primitive_desc_query)                                                                   \
    X(dnnl_primitive_desc_query_md)                                                                \
    X(dnnl_primitive_create)                                                                       \
    X(dnnl_primitive_destroy)                                                                      \
    X(dnnl_primitive_execute)                                                                      \
    X(dnnl_sgemm)

static struct {
#define DECLARE(name) __typeof__(&name) name;
    FUNCTIONS(DECLARE)
    /* OpenMP's, where oneDNN takes its threads from there. */
    void (*set_threads)(int);
    int (*max_threads)(void);
    dnnl_engine_t engine;
    bool is_there;
} lib;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *handle, const char *name, void *pointer)
{
    void *symbol = dlsym(handle, name);
    memcpy(pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void open_library(void)
{
    /* The name of the version whose header this was built with.  Stays open. */
    void *handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return;
#define FIND(name)                                                                                 \
    if (!find(handle, #name, &lib.name))                                                           \
        return;
    FUNCTIONS(FIND)
    unsigned runtime = lib.dnnl_version()->cpu_runtime;
    if (runtime != DNNL_RUNTIME_OMP && runtime != DNNL_RUNTIME_SEQ)
        return;
    if (runtime == DNNL_RUNTIME_OMP && (!find(handle, "omp_set_num_threads", &lib.set_threads) ||
                                        !find(handle, "omp_get_max_threads", &lib.max_threads)))
        return;
    lib.is_there = !lib.dnnl_engine_create(&lib.engine, dnnl_cpu, 0);
}

static bool library_is_there(void)
{
    pthread_once(&once, open_library);
    return lib.is_there;
}

/* A worker is a thread of ours: oneDNN works in it alone.  The setting belongs to the calling
 * thread, which may be the application's: it gets back what it had. */
static int begin_alone(void)
{
    if (!lib.max_threads)
        return 0;
    int before = lib.max_threads();
    if (before != 1)
        lib.set_threads(1);
    return before;
}

static void end_alone(int before)
{
    if (before > 1)
        lib.set_threads(before);
}

/* ---- int8: primitives for a width of the inputs ----
 *
 * A product of any number of outputs is made of pieces of 256, 64 and 16; each size of piece has a
 * primitive for 16, 32 and 48 tokens.  Primitives know the number of inputs, but no weight: they
 * are shared by all weights, and kept for the life of the process. */

enum { N_PIECES = 3, MOST_ROWS = 256, N_WIDTHS = LAC_TILE / LAC_LANES, DEPTH = 64 };
static const size_t piece_rows[N_PIECES] = {MOST_ROWS, 64, 16};

/* More inputs than this and a panel leaves L2. */
enum { MOST_INPUTS_S8 = 16384, MOST_INPUTS_F32 = 65536 };

/* What one product at a time needs; a worker takes any that is free. */
struct slot {
    atomic_flag is_taken;
    dnnl_stream_t stream;
    dnnl_memory_t weights[N_PIECES], x[N_WIDTHS], sums[N_PIECES][N_WIDTHS],
        scratch[N_PIECES][N_WIDTHS];
    int8_t *centered; /* [depth / 4][48][4] */
    void *scratch_bytes;
};

struct shape {
    size_t depth; /* inputs, a multiple of DEPTH */
    dnnl_primitive_t primitives[N_PIECES][N_WIDTHS];
    dnnl_memory_desc_t weights[N_PIECES], x[N_WIDTHS], sums[N_PIECES][N_WIDTHS],
        scratch[N_PIECES][N_WIDTHS];
    size_t scratch_size;
    struct slot *slots;
    size_t n_slots;
    bool works; /* else it was tried once, and holds nothing */
};

enum { MOST_SHAPES = 32 };
static struct shape shapes[MOST_SHAPES];
static size_t n_shapes;
static pthread_mutex_t shapes_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool make_primitive(struct shape *s, size_t piece, size_t width)
{
    static const dnnl_format_tag_t tags[N_WIDTHS] = {dnnl_BA16a16b4a, dnnl_BA16a32b4a,
                                                     dnnl_BA16a48b4a};
    dnnl_dim_t rows = (dnnl_dim_t)piece_rows[piece], depth = (dnnl_dim_t)s->depth,
               lanes = (dnnl_dim_t)(width + 1) * LAC_LANES;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    bool good =
        !lib.dnnl_memory_desc_init_by_tag(&s->weights[piece], 2, (dnnl_dims_t){rows, depth},
                                          dnnl_u8, dnnl_ab) &&
        !lib.dnnl_memory_desc_init_by_tag(&s->x[width], 2, (dnnl_dims_t){depth, lanes}, dnnl_s8,
                                          tags[width]) &&
        !lib.dnnl_memory_desc_init_by_tag(&s->sums[piece][width], 2, (dnnl_dims_t){rows, lanes},
                                          dnnl_s32, dnnl_ab) &&
        !lib.dnnl_matmul_desc_init(&matmul, &s->weights[piece], &s->x[width], NULL,
                                   &s->sums[piece][width]) &&
        !lib.dnnl_primitive_attr_create(&attributes) &&
        /* Else it would belong to the thread that makes the primitive. */
        !lib.dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) &&
        !lib.dnnl_primitive_desc_create(&description, &matmul, attributes, lib.engine, NULL);
    const char *name = NULL;
    /* Its reference implementation fits everything, and takes a thousand times as long. */
    good = good &&
           !lib.dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name) &&
           !strncmp(name, "brg:", 4);
    if (good) {
        s->scratch[piece][width] =
            *lib.dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
        size_t size = 0;
        for (int i = 0; i < s->scratch[piece][width].ndims; i++)
            size = (size_t)s->scratch[piece][width].dims[i];
        s->scratch_size = lac_max_size(s->scratch_size, size);
        good = !lib.dnnl_primitive_create(&s->primitives[piece][width], description);
    }
    if (description)
        lib.dnnl_primitive_desc_destroy(description);
    if (attributes)
        lib.dnnl_primitive_attr_destroy(attributes);
    return good;
}

static bool make_memory(dnnl_memory_t *memory, const dnnl_memory_desc_t *description, void *data)
{
    return !lib.dnnl_memory_create(memory, description, lib.engine, data);
}

static bool make_slot(const struct shape *s, struct slot *slot)
{
    slot->centered = lac_alloc_zero(&lac_default_host, s->depth, LAC_TILE);
    slot->scratch_bytes = lac_alloc(&lac_default_host, lac_max_size(s->scratch_size, 1), 1);
    bool good = slot->centered && slot->scratch_bytes &&
                !lib.dnnl_stream_create(&slot->stream, lib.engine, dnnl_stream_default_flags);
    for (size_t p = 0; p < N_PIECES && good; p++) {
        good = make_memory(&slot->weights[p], &s->weights[p], DNNL_MEMORY_NONE);
        for (size_t w = 0; w < N_WIDTHS && good; w++)
            good = make_memory(&slot->sums[p][w], &s->sums[p][w], DNNL_MEMORY_NONE) &&
                   make_memory(&slot->scratch[p][w], &s->scratch[p][w], slot->scratch_bytes);
    }
    for (size_t w = 0; w < N_WIDTHS && good; w++)
        good = make_memory(&slot->x[w], &s->x[w], slot->centered);
    return good;
}

static void free_slot(struct slot *slot)
{
    for (size_t p = 0; p < N_PIECES; p++) {
        lib.dnnl_memory_destroy(slot->weights[p]);
        for (size_t w = 0; w < N_WIDTHS; w++) {
            lib.dnnl_memory_destroy(slot->sums[p][w]);
            lib.dnnl_memory_destroy(slot->scratch[p][w]);
        }
    }
    for (size_t w = 0; w < N_WIDTHS; w++)
        lib.dnnl_memory_destroy(slot->x[w]);
    if (slot->stream)
        lib.dnnl_stream_destroy(slot->stream);
    lac_free(&lac_default_host, slot->centered);
    lac_free(&lac_default_host, slot->scratch_bytes);
}

/* Of one that was made in part; its depth stays. */
static void empty_shape(struct shape *s)
{
    for (size_t i = 0; s->slots && i < s->n_slots; i++)
        free_slot(&s->slots[i]);
    lac_free(&lac_default_host, s->slots);
    for (size_t p = 0; p < N_PIECES; p++)
        for (size_t w = 0; w < N_WIDTHS; w++)
            if (s->primitives[p][w])
                lib.dnnl_primitive_destroy(s->primitives[p][w]);
    *s = (struct shape){.depth = s->depth};
}

static bool make_shape(struct shape *s, size_t depth)
{
    *s = (struct shape){.depth = depth};
    for (size_t p = 0; p < N_PIECES; p++)
        for (size_t w = 0; w < N_WIDTHS; w++)
            if (!make_primitive(s, p, w))
                return false;
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    s->n_slots = n_processors > 1 ? (size_t)n_processors : 1;
    s->slots = lac_alloc_zero(&lac_default_host, s->n_slots, sizeof *s->slots);
    for (size_t i = 0; s->slots && i < s->n_slots; i++)
        if (!make_slot(s, &s->slots[i]))
            return false;
    return s->slots != NULL;
}

static struct shape *find_shape(size_t n_in)
{
    size_t depth = lac_round_up(n_in, DEPTH);
    pthread_mutex_lock(&shapes_mutex);
    size_t i = 0;
    while (i < n_shapes && shapes[i].depth != depth)
        i++;
    struct shape *found = i < n_shapes ? &shapes[i] : NULL;
    if (!found && n_shapes < MOST_SHAPES) {
        int before = begin_alone();
        found = &shapes[n_shapes++];
        found->works = make_shape(found, depth);
        if (!found->works)
            empty_shape(found);
        end_alone(before);
    }
    pthread_mutex_unlock(&shapes_mutex);
    return found && found->works ? found : NULL;
}

static struct slot *take_slot(struct shape *s)
{
    for (;;) {
        for (size_t i = 0; i < s->n_slots; i++)
            if (!atomic_flag_test_and_set_explicit(&s->slots[i].is_taken, memory_order_acquire))
                return &s->slots[i];
        sched_yield(); /* more workers than processors */
    }
}

/* ---- int8: the kernel ---- */

/* Its own copy of a weight: rows of u8 = s8 + 128, [n_out rounded up to 16][depth]. */
struct rows_s8 {
    struct shape *shape;
    uint8_t *rows;
};

static int fits_s8(const struct lac_weight *weight)
{
    return weight->n_in <= MOST_INPUTS_S8 && library_is_there() && find_shape(weight->n_in);
}

static const void *pack_s8(const struct lac_weight *w, struct lac_arena *arena)
{
    struct rows_s8 *own = lac_arena_alloc(arena, 1, sizeof *own);
    struct shape *shape = library_is_there() ? find_shape(w->n_in) : NULL;
    size_t n_padded = lac_round_up(w->n_out, LAC_OUT_UNIT);
    uint8_t *rows = shape ? lac_arena_alloc(arena, n_padded, shape->depth) : NULL;
    if (!own || !rows)
        return NULL;
    memset(rows, 128, n_padded * shape->depth);
    for (size_t out = 0; out < n_padded; out++)
        for (size_t d = 0; d < w->n_dwords; d++) {
            size_t line = w->row_begin[out / LAC_OUT_UNIT] + d;
            const uint8_t *dword =
                (const uint8_t *)w->blocks + (line * LAC_OUT_UNIT + out % LAC_OUT_UNIT) * 4;
            for (size_t i = 0; i < 4; i++)
                rows[out * shape->depth + d * 4 + i] = dword[i] ^ 0x80;
        }
    *own = (struct rows_s8){shape, rows};
    return own;
}

static void run_piece(const struct shape *s, const struct slot *slot, size_t piece, size_t width,
                      const uint8_t *rows, int32_t *sums)
{
    lib.dnnl_memory_set_data_handle(slot->weights[piece], (void *)(uintptr_t)rows);
    lib.dnnl_memory_set_data_handle(slot->sums[piece][width], sums);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, slot->weights[piece]},
        {DNNL_ARG_WEIGHTS, slot->x[width]},
        {DNNL_ARG_DST, slot->sums[piece][width]},
        {DNNL_ARG_SCRATCHPAD, slot->scratch[piece][width]},
    };
    lib.dnnl_primitive_execute(s->primitives[piece][width], slot->stream, 4, args);
}

/* One tile of 16, 32 or 48 lanes, whose panel has been centered. */
static void run_tile_s8(const struct lac_linear_args *a, const struct slot *slot,
                        const int32_t *lane_offset)
{
    _Alignas(LAC_ALIGNMENT) int32_t sums[MOST_ROWS * LAC_TILE];
    const struct rows_s8 *own = a->w->extra;
    size_t width = a->ld / LAC_LANES - 1, end = lac_round_up(a->out_end, LAC_OUT_UNIT);
    struct lac_linear_args part = *a;
    for (size_t piece = 0, out = a->out_begin; out < end; out += piece_rows[piece]) {
        while (piece_rows[piece] > end - out)
            piece++;
        run_piece(own->shape, slot, piece, width, own->rows + out * own->shape->depth, sums);
        part.out_begin = out;
        part.out_end = lac_min_size(out + piece_rows[piece], a->out_end);
        lac_outside_finish_s8_avx512(&part, sums, lane_offset);
    }
}

static void run_s8(const struct lac_linear_args *a)
{
    _Alignas(LAC_ALIGNMENT) int32_t lane_offset[LAC_TILE];
    const struct rows_s8 *own = a->w->extra;
    size_t depth = own->shape->depth, n_bytes = a->w->n_dwords * 4 * a->ld;
    struct slot *slot = take_slot(own->shape);
    int before = begin_alone();
    lac_outside_center_avx512(a->x, a->w->n_dwords, a->ld, slot->centered, lane_offset);
    /* Weights there are 0 (128), and lane_offset knows nothing of it. */
    memset(slot->centered + n_bytes, 0, depth * a->ld - n_bytes);
    run_tile_s8(a, slot, lane_offset);
    end_alone(before);
    atomic_flag_clear_explicit(&slot->is_taken, memory_order_release);
}

/* ---- fp32 ---- */

static int fits_f32(const struct lac_weight *weight)
{
    return weight->n_in <= MOST_INPUTS_F32 && library_is_there();
}

/* Plain rows, [n_out rounded up to 16][n_in]. */
static const void *pack_f32(const struct lac_weight *w, struct lac_arena *arena)
{
    size_t n_padded = lac_round_up(w->n_out, LAC_OUT_UNIT);
    float *rows =
        library_is_there() ? lac_arena_alloc(arena, n_padded * w->n_in, sizeof *rows) : NULL;
    if (!rows)
        return NULL;
    for (size_t out = 0; out < n_padded; out++)
        for (size_t i = 0; i < w->n_in; i++) {
            size_t line = w->row_begin[out / LAC_OUT_UNIT] + i;
            rows[out * w->n_in + i] =
                ((const float *)w->blocks)[line * LAC_OUT_UNIT + out % LAC_OUT_UNIT];
        }
    return rows;
}

static void run_f32(const struct lac_linear_args *a)
{
    _Alignas(LAC_ALIGNMENT) float sums[MOST_ROWS * LAC_TILE];
    const float *rows = a->w->extra;
    struct lac_linear_args part = *a;
    int before = begin_alone();
    for (size_t out = a->out_begin; out < a->out_end; out += MOST_ROWS) {
        part.out_begin = out;
        part.out_end = lac_min_size(out + MOST_ROWS, a->out_end);
        lib.dnnl_sgemm('N', 'N', (dnnl_dim_t)(part.out_end - out), (dnnl_dim_t)a->ld,
                       (dnnl_dim_t)a->w->n_in, 1, rows + out * a->w->n_in, (dnnl_dim_t)a->w->n_in,
                       a->x, (dnnl_dim_t)a->ld, 0, sums, (dnnl_dim_t)a->ld);
        lac_outside_finish_f32_avx512(&part, sums);
    }
    end_alone(before);
}

/* ---- The rows of the registry ---- */

/* oneDNN picks its instructions itself (DNNL_MAX_CPU_ISA caps them): below VNNI its int8 sums
 * would saturate. */
static const struct lac_kernel linear_token_dense_s8 = {
    .name = "linear_token_dense_s8/onednn",
    .op = LAC_OP_LINEAR_TOKEN,
    .pattern = LAC_PATTERN_DENSE,
    .dtype = LAC_S8,
    .needs = LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI,
    .fits = fits_s8,
    .pack = pack_s8,
    .run.linear = run_s8,
};

static const struct lac_kernel linear_token_dense_f32 = {
    .name = "linear_token_dense_f32/onednn",
    .op = LAC_OP_LINEAR_TOKEN,
    .pattern = LAC_PATTERN_DENSE,
    .dtype = LAC_F32,
    .needs = LAC_CPU_AVX512,
    .fits = fits_f32,
    .pack = pack_f32,
    .run.linear = run_f32,
};

const struct lac_kernel *const lac_table_onednn[] = {
    &linear_token_dense_s8,
    &linear_token_dense_f32,
    NULL,
};
