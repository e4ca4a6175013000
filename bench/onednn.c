/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's dense linear layer, the peer of ours, in a process of its own.
 *
 * It is given every advantage it can use: weights in the format it asks for, reordered before the
 * first run; primitives made once for exactly this shape; the faster of matmul and inner product;
 * the zero point of the activations folded into the bias, as ours is. */
#include "bench/onednn.h"

#ifdef LACUNA_BENCH_ONEDNN

#include <dlfcn.h>
#include <dnnl.h>
#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/product.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "src/base/host.h"

/* One primitive, ready to run, with the weights once, or of a cold layer many times. */
struct operation {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[4];
    size_t n_copies;
    dnnl_memory_t *copies;
    size_t copy_bytes;
};

struct session {
    const struct bench_layer *layer;
    const struct bench_crew *crew;
    enum bench_onednn_form form;
    const void *x, *elements; /* in the form's own type */
    void *y;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct operation best;
};

#define TRY(call)                                                                                  \
    do {                                                                                           \
        dnnl_status_t status_ = (call);                                                            \
        if (status_ != dnnl_success)                                                               \
            return lac_fail(error, LAC_E_UNSUPPORTED, "%s: oneDNN's status %d", #call,             \
                            (int)status_);                                                         \
    } while (0)

/* int8: y = (acc + offset) * scale * x_scale + bias, where oneDNN 2 computes (acc + b) * s.
 * For u8 results both are stretched by y_inv_scale, and 128 is added. */
static void fold(const struct bench_layer *layer, float *s, float *b)
{
    const int8_t *w = layer->elements;
    float stretch = layer->output == BENCH_OUTPUT_U8 ? layer->y_inv_scale : 1;
    float shift = layer->output == BENCH_OUTPUT_U8 ? 128 : 0;
    for (size_t o = 0; o < layer->n_out; o++) {
        if (!lac_dtype_is_quantized(layer->dtype)) {
            b[o] = layer->bias[o];
            continue;
        }
        int32_t sum = 0;
        for (size_t i = 0; i < layer->n_in; i++)
            sum += w[o * layer->n_in + i];
        s[o] = layer->scale[o] * layer->x_scale * stretch;
        b[o] = (layer->bias[o] * stretch + shift) / s[o] - 128.0f * (float)sum;
    }
}

static dnnl_data_type_t type_of_x(const struct session *s)
{
    return s->form == BENCH_ONEDNN_F32    ? dnnl_f32
           : s->form == BENCH_ONEDNN_BF16 ? dnnl_bf16
                                          : dnnl_u8;
}

static dnnl_data_type_t type_of_w(const struct session *s)
{
    dnnl_data_type_t type = type_of_x(s);
    return type == dnnl_u8 ? dnnl_s8 : type;
}

static dnnl_data_type_t type_of_y(const struct bench_layer *layer)
{
    return layer->output == BENCH_OUTPUT_U8 ? dnnl_u8 : dnnl_f32;
}

/* The two primitives differ in the order of the weights' axes, [in, out] and [out, in], and in the
 * rank of the bias. */
enum kind { MATMUL, INNER_PRODUCT, N_KINDS };

/* Places of an operation's arguments. */
enum { WEIGHTS = 1 };

static enum lac_status describe(const struct session *s, enum kind kind, const float *scale,
                                dnnl_primitive_desc_t *description, struct lac_error *error)
{
    const struct bench_layer *layer = s->layer;
    dnnl_dim_t m = (dnnl_dim_t)layer->n_out, k = (dnnl_dim_t)layer->n_in,
               n = (dnnl_dim_t)layer->n_tokens;
    int matmul = kind == MATMUL;
    dnnl_memory_desc_t x, w, b, y;
    TRY(dnnl_memory_desc_init_by_tag(&x, 2, (dnnl_dims_t){n, k}, type_of_x(s), dnnl_ab));
    TRY(dnnl_memory_desc_init_by_tag(&w, 2, (dnnl_dims_t){matmul ? k : m, matmul ? m : k},
                                     type_of_w(s), dnnl_format_tag_any));
    TRY(dnnl_memory_desc_init_by_tag(&b, matmul ? 2 : 1, (dnnl_dims_t){matmul ? 1 : m, m}, dnnl_f32,
                                     matmul ? dnnl_ab : dnnl_a));
    TRY(dnnl_memory_desc_init_by_tag(&y, 2, (dnnl_dims_t){n, m}, type_of_y(layer), dnnl_ab));
    dnnl_primitive_attr_t attributes;
    TRY(dnnl_primitive_attr_create(&attributes));
    if (lac_dtype_is_quantized(layer->dtype))
        TRY(dnnl_primitive_attr_set_output_scales(attributes, m, 1 << 1, scale));
    dnnl_matmul_desc_t as_matmul;
    dnnl_inner_product_desc_t as_inner_product;
    if (matmul)
        TRY(dnnl_matmul_desc_init(&as_matmul, &x, &w, &b, &y));
    else
        TRY(dnnl_inner_product_forward_desc_init(&as_inner_product, dnnl_forward_inference, &x, &w,
                                                 &b, &y));
    TRY(dnnl_primitive_desc_create(description, matmul ? (void *)&as_matmul : &as_inner_product,
                                   attributes, s->engine, NULL));
    TRY(dnnl_primitive_attr_destroy(attributes));
    return LAC_OK;
}

static enum lac_status wait_for(dnnl_primitive_t primitive, dnnl_stream_t stream, int n_args,
                                const dnnl_exec_arg_t *args, struct lac_error *error)
{
    TRY(dnnl_primitive_execute(primitive, stream, n_args, args));
    TRY(dnnl_stream_wait(stream));
    return LAC_OK;
}

/* The weights in the format that the primitive chose. */
static enum lac_status reorder_weights(const struct session *s, enum kind kind,
                                       const dnnl_memory_desc_t *wanted, dnnl_memory_t *weights,
                                       struct lac_error *error)
{
    dnnl_dim_t m = (dnnl_dim_t)s->layer->n_out, k = (dnnl_dim_t)s->layer->n_in;
    int matmul = kind == MATMUL;
    dnnl_memory_desc_t plain;
    dnnl_memory_t from;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t reorder;
    TRY(dnnl_memory_desc_init_by_tag(&plain, 2, (dnnl_dims_t){matmul ? k : m, matmul ? m : k},
                                     type_of_w(s), matmul ? dnnl_ba : dnnl_ab));
    TRY(dnnl_memory_create(&from, &plain, s->engine, (void *)s->elements));
    TRY(dnnl_memory_create(weights, wanted, s->engine, DNNL_MEMORY_ALLOCATE));
    TRY(dnnl_reorder_primitive_desc_create(&description, &plain, s->engine, wanted, s->engine,
                                           NULL));
    TRY(dnnl_primitive_create(&reorder, description));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, *weights}};
    if (wait_for(reorder, s->stream, 2, args, error))
        return error->status;
    TRY(dnnl_primitive_destroy(reorder));
    TRY(dnnl_primitive_desc_destroy(description));
    TRY(dnnl_memory_destroy(from));
    return LAC_OK;
}

/* The weights of a cold layer are a stack of copies. */
static enum lac_status place_weights(const struct session *s, enum kind kind,
                                     const dnnl_memory_desc_t *wanted, struct operation *o,
                                     struct lac_error *error)
{
    o->copy_bytes = dnnl_memory_desc_get_size(wanted);
    o->n_copies = s->layer->cold ? bench_stack_copies(o->copy_bytes) : 1;
    o->copies = lac_alloc(&lac_default_host, o->n_copies, sizeof(dnnl_memory_t));
    if (!o->copies)
        return lac_fail(error, LAC_E_MEMORY, "no memory for oneDNN's weights");
    for (size_t i = 0; i < o->n_copies; i++)
        if (reorder_weights(s, kind, wanted, &o->copies[i], error))
            return error->status;
    return LAC_OK;
}

static enum lac_status make(const struct session *s, enum kind kind, const float *scale,
                            float *bias, struct operation *o, struct lac_error *error)
{
    static const struct {
        dnnl_query_t what;
        int arg;
    } parts[] = {{dnnl_query_src_md, DNNL_ARG_SRC},
                 {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                 {dnnl_query_weights_md, DNNL_ARG_BIAS},
                 {dnnl_query_dst_md, DNNL_ARG_DST}};
    void *const data[] = {(void *)s->x, NULL, bias, s->y};
    dnnl_primitive_desc_t description;
    if (describe(s, kind, scale, &description, error))
        return error->status;
    for (int i = 0; i < 4; i++) {
        int index = parts[i].arg == DNNL_ARG_BIAS;
        const dnnl_memory_desc_t *wanted =
            dnnl_primitive_desc_query_md(description, parts[i].what, index);
        o->args[i].arg = parts[i].arg;
        if (parts[i].arg == DNNL_ARG_WEIGHTS) {
            if (place_weights(s, kind, wanted, o, error))
                return error->status;
            o->args[i].memory = o->copies[0];
        } else {
            TRY(dnnl_memory_create(&o->args[i].memory, wanted, s->engine, data[i]));
        }
    }
    TRY(dnnl_primitive_create(&o->primitive, description));
    TRY(dnnl_primitive_desc_destroy(description));
    return LAC_OK;
}

/* A run and whether any failed. */
struct execution {
    const struct session *session;
    const struct operation *operation;
    int failed;
};

/* Threads are oneDNN's own, so this is one member of a crew that is not started. */
static void execute(void *context, size_t rank, size_t layer)
{
    struct execution *e = context;
    struct lac_error ignored;
    dnnl_exec_arg_t args[4];
    (void)rank;
    memcpy(args, e->operation->args, sizeof args);
    args[WEIGHTS].memory = e->operation->copies[layer];
    e->failed |= wait_for(e->operation->primitive, e->session->stream, 4, args, &ignored) != LAC_OK;
}

static void execute_warm(size_t rank, void *context)
{
    execute(context, rank, 0);
}

static void flush(void *context)
{
    const struct operation *o = ((const struct execution *)context)->operation;
    for (size_t i = 0; i < o->n_copies; i++) {
        void *data;
        if (dnnl_memory_get_data_handle(o->copies[i], &data) == dnnl_success)
            bench_flush(data, o->copy_bytes);
    }
}

static int run(const struct session *s, const struct operation *o, size_t n, uint64_t *ns)
{
    struct execution execution = {.session = s, .operation = o};
    struct bench_cold_stack stack = {s->crew, o->n_copies, execute, flush, &execution};
    if (s->layer->cold)
        bench_cold_times(&stack, n, ns);
    for (size_t i = 0; !s->layer->cold && i < n; i++)
        ns[i] = bench_crew_time(s->crew, execute_warm, &execution, 1);
    return execution.failed;
}

/* The best of a few runs, to choose between the two primitives. */
static enum lac_status try_out(const struct session *s, const struct operation *o, uint64_t *best,
                               struct lac_error *error)
{
    uint64_t ns[BENCH_MOST_TIMES];
    if (run(s, o, BENCH_MOST_TIMES, ns))
        return lac_fail(error, LAC_E_STATE, "oneDNN fails to run");
    *best = ns[0];
    for (size_t i = 1; i < BENCH_MOST_TIMES; i++)
        *best = ns[i] < *best ? ns[i] : *best;
    return LAC_OK;
}

static const char *isa_name(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_avx512_core_amx, "amx_int8"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_vnni"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512"},
        {dnnl_cpu_isa_avx2_vnni, "avx2"},
        {dnnl_cpu_isa_avx2, "avx2"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (dnnl_get_effective_cpu_isa() == names[i].isa)
            return names[i].name;
    return "other";
}

/* oneDNN takes its threads from OpenMP, which counted processors before we were pinned. */
static void use_threads(size_t n)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    void (*set_threads)(int);
    memcpy(&set_threads, &symbol, sizeof set_threads);
    if (set_threads)
        set_threads((int)n);
}

/* Kept for the life of the process, as the primitives are. */
static enum lac_status narrow(const void *values, size_t n, const void **narrowed,
                              struct lac_error *error)
{
    uint16_t *halves = lac_alloc(&lac_default_host, n, sizeof *halves);
    if (!halves)
        return lac_fail(error, LAC_E_MEMORY, "no memory for oneDNN's bf16");
    for (size_t i = 0; i < n; i++)
        halves[i] = lac_bf16_from_f32(((const float *)values)[i]);
    *narrowed = halves;
    return LAC_OK;
}

static enum lac_status open_data(struct session *s, struct lac_error *error)
{
    const struct bench_layer *layer = s->layer;
    s->x = layer->x;
    s->elements = layer->elements;
    if (s->form == BENCH_ONEDNN_BF16 &&
        (narrow(s->x, layer->n_tokens * layer->n_in, &s->x, error) ||
         narrow(s->elements, layer->n_out * layer->n_in, &s->elements, error)))
        return error->status;
    return LAC_OK;
}

static const char *session_isa(const struct session *s)
{
    int has_tiles = !strcmp(isa_name(), "amx_int8");
    /* fp32 has no use for tiles. */
    if (s->form == BENCH_ONEDNN_F32)
        return has_tiles ? "avx512" : isa_name();
    return has_tiles && s->form == BENCH_ONEDNN_BF16 ? "amx_bf16" : isa_name();
}

static enum lac_status open_session(void *context, char name[BENCH_NAME_SIZE],
                                    struct lac_error *error)
{
    struct session *s = context;
    use_threads(s->crew->size);
    if (s->form == BENCH_ONEDNN_INT8_VNNI)
        TRY(dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_vnni));
    snprintf(name, BENCH_NAME_SIZE, "%s", session_isa(s));
    TRY(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
    /* Kept as well. */
    float *scale = lac_alloc(&lac_default_host, s->layer->n_out, sizeof *scale);
    float *bias = lac_alloc(&lac_default_host, s->layer->n_out, sizeof *bias);
    if (!scale || !bias || open_data(s, error))
        return lac_fail(error, LAC_E_MEMORY, "no memory for oneDNN's inputs");
    fold(s->layer, scale, bias);
    uint64_t best_ns = UINT64_MAX;
    for (enum kind kind = 0; kind < N_KINDS; kind++) {
        struct operation operation;
        uint64_t ns = UINT64_MAX;
        if (make(s, kind, scale, bias, &operation, error) || try_out(s, &operation, &ns, error))
            return error->status;
        if (ns < best_ns) {
            best_ns = ns;
            s->best = operation;
        }
    }
    return LAC_OK;
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    struct session *s = context;
    return run(s, &s->best, n, ns);
}

enum lac_status bench_onednn_start(struct bench_child *child, const struct bench_layer *layer,
                                   const struct bench_crew *crew, enum bench_onednn_form form,
                                   void *y, struct lac_error *error)
{
    struct session session = {.layer = layer, .crew = crew, .form = form, .y = y};
    struct bench_work work = {.open = open_session, .turn = turn, .context = &session};
    enum lac_status status = bench_child_start(child, &work, error);
    return status ? lac_fail_in(error, status, "oneDNN") : LAC_OK;
}

int bench_onednn_built(void)
{
    return 1;
}

#else

enum lac_status bench_onednn_start(struct bench_child *child, const struct bench_layer *layer,
                                   const struct bench_crew *crew, enum bench_onednn_form form,
                                   void *y, struct lac_error *error)
{
    (void)child, (void)layer, (void)crew, (void)form, (void)y;
    return lac_fail(error, LAC_E_UNSUPPORTED, "built without oneDNN");
}

int bench_onednn_built(void)
{
    return 0;
}

#endif
