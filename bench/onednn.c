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
#include "src/base/checked.h"
#include "src/base/host.h"

/* One primitive, ready to run. */
struct operation {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[4];
};

struct session {
    const struct bench_layer *layer;
    enum bench_onednn_cap cap;
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
        if (layer->dtype == LAC_F32) {
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

static dnnl_data_type_t type_of_x(const struct bench_layer *layer)
{
    return layer->dtype == LAC_S8 ? dnnl_u8 : dnnl_f32;
}

static dnnl_data_type_t type_of_w(const struct bench_layer *layer)
{
    return layer->dtype == LAC_S8 ? dnnl_s8 : dnnl_f32;
}

static dnnl_data_type_t type_of_y(const struct bench_layer *layer)
{
    return layer->output == BENCH_OUTPUT_U8 ? dnnl_u8 : dnnl_f32;
}

/* The two primitives differ in the order of the weights' axes, [in, out] and [out, in], and in the
 * rank of the bias. */
enum kind { MATMUL, INNER_PRODUCT, N_KINDS };

static enum lac_status describe(const struct session *s, enum kind kind, const float *scale,
                                dnnl_primitive_desc_t *description, struct lac_error *error)
{
    const struct bench_layer *layer = s->layer;
    dnnl_dim_t m = (dnnl_dim_t)layer->n_out, k = (dnnl_dim_t)layer->n_in,
               n = (dnnl_dim_t)layer->n_tokens;
    int matmul = kind == MATMUL;
    dnnl_memory_desc_t x, w, b, y;
    TRY(dnnl_memory_desc_init_by_tag(&x, 2, (dnnl_dims_t){n, k}, type_of_x(layer), dnnl_ab));
    TRY(dnnl_memory_desc_init_by_tag(&w, 2, (dnnl_dims_t){matmul ? k : m, matmul ? m : k},
                                     type_of_w(layer), dnnl_format_tag_any));
    TRY(dnnl_memory_desc_init_by_tag(&b, matmul ? 2 : 1, (dnnl_dims_t){matmul ? 1 : m, m}, dnnl_f32,
                                     matmul ? dnnl_ab : dnnl_a));
    TRY(dnnl_memory_desc_init_by_tag(&y, 2, (dnnl_dims_t){n, m}, type_of_y(layer), dnnl_ab));
    dnnl_primitive_attr_t attributes;
    TRY(dnnl_primitive_attr_create(&attributes));
    if (layer->dtype == LAC_S8)
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
    const struct bench_layer *layer = s->layer;
    dnnl_dim_t m = (dnnl_dim_t)layer->n_out, k = (dnnl_dim_t)layer->n_in;
    int matmul = kind == MATMUL;
    dnnl_memory_desc_t plain;
    dnnl_memory_t from;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t reorder;
    TRY(dnnl_memory_desc_init_by_tag(&plain, 2, (dnnl_dims_t){matmul ? k : m, matmul ? m : k},
                                     type_of_w(layer), matmul ? dnnl_ba : dnnl_ab));
    TRY(dnnl_memory_create(&from, &plain, s->engine, layer->elements));
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
    void *const data[] = {s->layer->x, NULL, bias, s->y};
    dnnl_primitive_desc_t description;
    if (describe(s, kind, scale, &description, error))
        return error->status;
    for (int i = 0; i < 4; i++) {
        int index = parts[i].arg == DNNL_ARG_BIAS;
        const dnnl_memory_desc_t *wanted =
            dnnl_primitive_desc_query_md(description, parts[i].what, index);
        o->args[i].arg = parts[i].arg;
        if (parts[i].arg == DNNL_ARG_WEIGHTS) {
            if (reorder_weights(s, kind, wanted, &o->args[i].memory, error))
                return error->status;
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

static void execute(void *context)
{
    struct execution *e = context;
    struct lac_error ignored;
    e->failed |= wait_for(e->operation->primitive, e->session->stream, 4, e->operation->args,
                          &ignored) != LAC_OK;
}

static int run(const struct session *s, const struct operation *o, size_t n, uint64_t *ns)
{
    struct execution execution = {.session = s, .operation = o};
    for (size_t i = 0; i < n; i++)
        ns[i] = bench_time_alone(execute, &execution);
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
static void use_one_thread(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    void (*set_threads)(int);
    memcpy(&set_threads, &symbol, sizeof set_threads);
    if (set_threads)
        set_threads(1);
}

static enum lac_status open_session(void *context, char name[BENCH_NAME_SIZE],
                                    struct lac_error *error)
{
    struct session *s = context;
    use_one_thread();
    if (s->cap == BENCH_ONEDNN_VNNI)
        TRY(dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_vnni));
    /* fp32 has no use for tiles. */
    snprintf(name, BENCH_NAME_SIZE, "%s",
             s->layer->dtype == LAC_F32 && !strcmp(isa_name(), "amx_int8") ? "avx512" : isa_name());
    TRY(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
    /* Kept for the life of the process, as the primitives are. */
    float *scale = lac_alloc(&lac_default_host, s->layer->n_out, sizeof *scale);
    float *bias = lac_alloc(&lac_default_host, s->layer->n_out, sizeof *bias);
    if (!scale || !bias)
        return lac_fail(error, LAC_E_MEMORY, "no memory for oneDNN's scales");
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
                                   enum bench_onednn_cap cap, void *y, struct lac_error *error)
{
    struct session session = {.layer = layer, .cap = cap, .y = y};
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
                                   enum bench_onednn_cap cap, void *y, struct lac_error *error)
{
    (void)child, (void)layer, (void)cap, (void)y;
    return lac_fail(error, LAC_E_UNSUPPORTED, "built without oneDNN");
}

int bench_onednn_built(void)
{
    return 0;
}

#endif
