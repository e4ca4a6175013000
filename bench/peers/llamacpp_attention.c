/* SPDX-License-Identifier: Apache-2.0 */
/* Times one head of attention of llama.cpp's CPU library and prints a line of JSON for each way it
 * can be had there.  run-llamacpp builds and starts it.
 *
 * llama.cpp's package offers whole models only, but its libraries export the C functions that build
 * and run graphs; those used here are declared below as the library's documentation says them.
 * Tensors are opaque, so nothing depends on how a version lays them out.
 *
 * Ways: "flash" is its fused attention; "plain" is products, softmax and products, as it attends
 * without.  Causal attention is cut into pieces of 512 queries, each with the keys up to its own
 * last, as llama.cpp cuts a prompt unless told otherwise: so it leaves out most of what is not
 * seen, and takes 1.1 (flash) to 1.8 (plain) times less than in one piece. */
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TYPE_F32 = 0, TYPE_F16 = 1 }; /* of a tensor's elements */
enum { WARM_UP = 2, MOST_RUNS = 1000, PIECE = 512, N_CHECKED = 5, N_WAYS = 2 };

/* f16 has 11 bits; a key seen wrongly is off by more. */
#define MOST_ERROR 0.01

struct memory {
    size_t n_bytes;
    void *at;
    bool has_no_data; /* tensors are described, and get their data from a backend */
};

/* What is called of libggml-base and libggml-cpu: NAME(result, name, arguments). */
#define GGML_FUNCTIONS(NAME)                                                                       \
    NAME(const char *, ggml_version, (void))                                                       \
    NAME(void *, ggml_init, (struct memory))                                                       \
    NAME(void *, ggml_new_tensor_2d, (void *, int, int64_t, int64_t))                              \
    NAME(void *, ggml_view_2d, (void *, void *, int64_t, int64_t, size_t, size_t))                 \
    NAME(void *, ggml_mul_mat, (void *, void *, void *))                                           \
    NAME(void *, ggml_soft_max_ext, (void *, void *, void *, float, float))                        \
    NAME(void *, ggml_flash_attn_ext,                                                              \
         (void *, void *, void *, void *, void *, float, float, float))                            \
    NAME(void *, ggml_new_graph, (void *))                                                         \
    NAME(void, ggml_build_forward_expand, (void *, void *))                                        \
    NAME(void, ggml_fp32_to_fp16_row, (const float *, uint16_t *, int64_t))                        \
    NAME(void *, ggml_backend_alloc_ctx_tensors, (void *, void *))                                 \
    NAME(void, ggml_backend_tensor_set, (void *, const void *, size_t, size_t))                    \
    NAME(void, ggml_backend_tensor_get, (const void *, void *, size_t, size_t))                    \
    NAME(int, ggml_backend_graph_compute, (void *, void *))                                        \
    NAME(void *, ggml_backend_cpu_init, (void))                                                    \
    NAME(void, ggml_backend_cpu_set_n_threads, (void *, int))

#define DECLARE(result, name, arguments) static result(*name) arguments;
GGML_FUNCTIONS(DECLARE)

struct settings {
    const char *name, *amx, *version;
    size_t dim, n_tokens, n_threads, n_runs;
    size_t piece; /* queries at once */
    bool is_causal;
};

struct head {
    float *q, *k, *v; /* [n_tokens][dim] */
};

/* One way to attend, as a graph of its own. */
struct contender {
    const char *type, *way;
    void *graph, **results;
    double ms[MOST_RUNS];
};

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("llamacpp_attention: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

static void *get_memory(size_t n, size_t size)
{
    void *at = calloc(n, size);
    if (!at)
        fail("no memory for %zu times %zu bytes", n, size);
    return at;
}

/* ---- The libraries ---- */

/* Of the CPU libraries there the one that gives itself the most points on this processor, which is
 * how llama.cpp chooses too; 0 points: it cannot run here. */
static void *open_best(const char *folder, char *name, size_t size)
{
    void *best = NULL;
    int most = 0;
    DIR *all = opendir(folder);
    if (!all)
        fail("there is no folder %s", folder);
    for (struct dirent *each; (each = readdir(all));) {
        char path[4096];
        if (strncmp(each->d_name, "libggml-cpu-", 12) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, each->d_name);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        int (*score)(void);
        if (!library)
            continue;
        *(void **)&score = dlsym(library, "ggml_backend_score");
        int points = score ? score() : 0;
        if (points <= most) {
            dlclose(library);
            continue;
        }
        if (best)
            dlclose(best);
        best = library;
        most = points;
        snprintf(name, size, "%s", each->d_name);
    }
    closedir(all);
    if (!best)
        fail("no library of llama.cpp in %s runs here", folder);
    return best;
}

static void load(const char *folder, char *name, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/libggml-base.so", folder);
    void *base = dlopen(path, RTLD_NOW | RTLD_GLOBAL), *cpu;
    if (!base)
        fail("%s", dlerror());
    cpu = open_best(folder, name, size);
#define FIND(result, function, arguments)                                                          \
    *(void **)&function = dlsym(cpu, #function);                                                   \
    if (!function)                                                                                 \
        *(void **)&function = dlsym(base, #function);                                              \
    if (!function)                                                                                 \
        fail("llama.cpp's libraries have no %s", #function);
    GGML_FUNCTIONS(FIND)
}

/* ---- Graphs ---- */

/* Tensors of one graph; its data is set when the backend has made room for it. */
struct build {
    const struct settings *settings;
    const struct contender *contender;
    int type;
    void *context, *q, *k, *v, *v_turned, *mask;
};

static int type_of(const char *name)
{
    if (strcmp(name, "f32") != 0 && strcmp(name, "f16") != 0)
        fail("no type '%s': f32, f16", name);
    return name[1] == '3' ? TYPE_F32 : TYPE_F16;
}

static size_t element(int type)
{
    return type == TYPE_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Queries from `first` on, and the n_keys that they may see. */
static void *attend_piece(const struct build *b, size_t first, size_t n, size_t n_keys)
{
    const size_t dim = b->settings->dim, n_tokens = b->settings->n_tokens;
    const size_t row = dim * element(b->type);
    const float scale = 1 / sqrtf((float)dim);
    void *c = b->context, *mask = NULL;
    void *q = ggml_view_2d(c, b->q, (int64_t)dim, (int64_t)n, dim * sizeof(float),
                           first * dim * sizeof(float));
    void *k = ggml_view_2d(c, b->k, (int64_t)dim, (int64_t)n_keys, row, 0);
    if (b->mask) /* rows of the keys of this piece, one piece behind the other */
        mask = ggml_view_2d(c, b->mask, (int64_t)n_keys, (int64_t)n, n_keys * sizeof(uint16_t),
                            first * n_tokens * sizeof(uint16_t));
    if (strcmp(b->contender->way, "flash") == 0) {
        void *v = ggml_view_2d(c, b->v, (int64_t)dim, (int64_t)n_keys, row, 0);
        return ggml_flash_attn_ext(c, q, k, v, mask, scale, 0, 0);
    }
    void *v =
        ggml_view_2d(c, b->v_turned, (int64_t)n_keys, (int64_t)dim, n_tokens * element(b->type), 0);
    return ggml_mul_mat(c, v, ggml_soft_max_ext(c, ggml_mul_mat(c, k, q), mask, scale, 0));
}

static void set_typed(void *tensor, int type, const float *data, size_t n)
{
    uint16_t *halves;
    if (type == TYPE_F32) {
        ggml_backend_tensor_set(tensor, data, 0, n * sizeof *data);
        return;
    }
    halves = get_memory(n, sizeof *halves);
    ggml_fp32_to_fp16_row(data, halves, (int64_t)n);
    ggml_backend_tensor_set(tensor, halves, 0, n * sizeof *halves);
    free(halves);
}

static void set_mask(const struct build *b)
{
    enum { MINUS_INFINITY = 0xfc00 };
    const size_t n_tokens = b->settings->n_tokens, piece = b->settings->piece;
    uint16_t *mask = get_memory(n_tokens * n_tokens, sizeof *mask);
    for (size_t i = 0; i < n_tokens; i++) {
        size_t first = i / piece * piece, n_keys = first + piece;
        n_keys = n_keys < n_tokens ? n_keys : n_tokens;
        uint16_t *row = mask + first * n_tokens + (i - first) * n_keys;
        for (size_t key = i + 1; key < n_keys; key++)
            row[key] = MINUS_INFINITY;
    }
    ggml_backend_tensor_set(b->mask, mask, 0, n_tokens * n_tokens * sizeof *mask);
    free(mask);
}

static void set_data(const struct build *b, const struct head *head)
{
    const size_t dim = b->settings->dim, n_tokens = b->settings->n_tokens, n = n_tokens * dim;
    float *turned = get_memory(n, sizeof *turned);
    for (size_t i = 0; i < n; i++)
        turned[i % dim * n_tokens + i / dim] = head->v[i];
    set_typed(b->q, TYPE_F32, head->q, n);
    set_typed(b->k, b->type, head->k, n);
    set_typed(b->v, b->type, head->v, n);
    set_typed(b->v_turned, b->type, turned, n);
    if (b->mask)
        set_mask(b);
    free(turned);
}

static void build(struct contender *contender, void *backend, const struct settings *settings,
                  const struct head *head)
{
    const size_t n_tokens = settings->n_tokens, dim = settings->dim;
    const size_t n_pieces = (n_tokens + settings->piece - 1) / settings->piece;
    struct build b = {
        .settings = settings, .contender = contender, .type = type_of(contender->type)};
    b.context = ggml_init((struct memory){(size_t)1 << 20, NULL, true});
    b.q = ggml_new_tensor_2d(b.context, TYPE_F32, (int64_t)dim, (int64_t)n_tokens);
    b.k = ggml_new_tensor_2d(b.context, b.type, (int64_t)dim, (int64_t)n_tokens);
    b.v = ggml_new_tensor_2d(b.context, b.type, (int64_t)dim, (int64_t)n_tokens);
    b.v_turned = ggml_new_tensor_2d(b.context, b.type, (int64_t)n_tokens, (int64_t)dim);
    if (settings->is_causal)
        b.mask = ggml_new_tensor_2d(b.context, TYPE_F16, (int64_t)n_tokens, (int64_t)n_tokens);
    contender->graph = ggml_new_graph(b.context);
    contender->results = get_memory(n_pieces, sizeof *contender->results);
    for (size_t i = 0; i < n_pieces; i++) {
        size_t first = i * settings->piece, n = n_tokens - first;
        n = n < settings->piece ? n : settings->piece;
        contender->results[i] =
            attend_piece(&b, first, n, settings->is_causal ? first + n : n_tokens);
        ggml_build_forward_expand(contender->graph, contender->results[i]);
    }
    if (!ggml_backend_alloc_ctx_tensors(b.context, backend))
        fail("no memory for the tensors");
    set_data(&b, head);
}

/* ---- The truth ---- */

/* y[dim]: what a query gets, in doubles. */
static void attend_exactly(const struct settings *settings, const struct head *head, size_t query,
                           double *y)
{
    const size_t dim = settings->dim, n_keys = settings->is_causal ? query + 1 : settings->n_tokens;
    double sum = 0;
    memset(y, 0, dim * sizeof *y);
    for (size_t key = 0; key < n_keys; key++) {
        double score = 0, weight;
        for (size_t i = 0; i < dim; i++)
            score += (double)head->q[query * dim + i] * head->k[key * dim + i];
        weight = exp(score / sqrt((double)dim));
        sum += weight;
        for (size_t i = 0; i < dim; i++)
            y[i] += weight * head->v[key * dim + i];
    }
    for (size_t i = 0; i < dim; i++)
        y[i] /= sum;
}

/* The largest difference of a few queries' results, the first and the last among them, over the
 * largest of them. */
static double find_error(const struct contender *contender, const struct settings *settings,
                         const struct head *head)
{
    const size_t dim = settings->dim;
    double worst = 0, largest = 0, *exact = get_memory(dim, sizeof *exact);
    float *found = get_memory(dim, sizeof *found);
    for (size_t i = 0; i < N_CHECKED; i++) {
        size_t query = i * (settings->n_tokens - 1) / (N_CHECKED - 1);
        size_t at = query % settings->piece;
        attend_exactly(settings, head, query, exact);
        ggml_backend_tensor_get(contender->results[query / settings->piece], found,
                                at * dim * sizeof *found, dim * sizeof *found);
        for (size_t j = 0; j < dim; j++) {
            worst = fmax(worst, fabs(found[j] - exact[j]));
            largest = fmax(largest, fabs(exact[j]));
        }
    }
    free(exact);
    free(found);
    return worst / largest;
}

/* ---- Turns and what they come to ---- */

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void take_turns(struct contender *contenders, size_t n, void *backend, size_t n_runs)
{
    for (size_t run = 0; run < WARM_UP + n_runs; run++)
        for (size_t i = 0; i < n; i++) {
            double begin = milliseconds();
            if (ggml_backend_graph_compute(backend, contenders[i].graph))
                fail("a graph was not computed");
            contenders[i].ms[run < WARM_UP ? 0 : run - WARM_UP] = milliseconds() - begin;
        }
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(struct contender *c, const struct settings *s, double error,
                       const char *library)
{
    qsort(c->ms, s->n_runs, sizeof *c->ms, by_time);
    printf("{\"name\":\"%s\",\"peer\":\"llama.cpp (ggml %s of node-llama-cpp %s, %s)\","
           "\"type\":\"%s\",\"way\":\"%s\",\"piece\":%zu,\"tokens\":%zu,\"threads\":%zu,"
           "\"ms_median\":%.3f,\"ms_min\":%.3f,\"runs\":%zu,\"max_err\":%.2g,\"amx\":\"%s\"}\n",
           s->name, ggml_version(), s->version, library, c->type, c->way, s->piece, s->n_tokens,
           s->n_threads, c->ms[s->n_runs / 2], c->ms[0], s->n_runs, error, s->amx);
}

/* Elements between -1 and 1, of queries between -QUERY and QUERY: so that weights differ enough for
 * a wrong one to be seen, and e^score stays in range without looking for the largest. */
static struct head make_head(size_t n)
{
    enum { QUERY = 8 };
    struct head head = {get_memory(n, sizeof(float)), get_memory(n, sizeof(float)),
                        get_memory(n, sizeof(float))};
    float *all[] = {head.q, head.k, head.v};
    uint64_t random = 1;
    for (size_t i = 0; i < 3 * n; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U; /* Knuth's MMIX */
        all[i / n][i % n] = ((float)(random >> 40) * 0x1p-23F - 1) * (i < n ? QUERY : 1);
    }
    return head;
}

static size_t number(const char *text, size_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || !value || value > most)
        fail("'%s' is not a number from 1 to %zu", text, most);
    return value;
}

/* "attention-64" or "attention-64-causal" */
static void parse_name(struct settings *settings)
{
    char dim[16] = "", causal[16] = "";
    int n = sscanf(settings->name, "attention-%15[0-9]%15s", dim, causal);
    if (n < 1 || (*causal && strcmp(causal, "-causal") != 0))
        fail("no model '%s'", settings->name);
    settings->dim = number(dim, 1024);
    settings->is_causal = *causal;
}

/* Of each type its ways. */
static size_t build_all(struct contender *contenders, char **types, void *backend,
                        const struct settings *settings, const struct head *head)
{
    static const char *const ways[] = {"flash", "plain"};
    size_t n = 0;
    for (; *types; types++)
        for (size_t way = 0; way < N_WAYS; way++, n++) {
            contenders[n] = (struct contender){.type = *types, .way = ways[way]};
            build(&contenders[n], backend, settings, head);
        }
    return n;
}

int main(int argc, char **argv)
{
    char library[256];
    if (argc < 9)
        fail("arguments: FOLDER VERSION AMX NAME TOKENS THREADS RUNS TYPE...");
    struct settings settings = {.version = argv[2],
                                .amx = argv[3],
                                .name = argv[4],
                                .n_tokens = number(argv[5], 1 << 16),
                                .n_threads = number(argv[6], 1024),
                                .n_runs = number(argv[7], MOST_RUNS)};
    parse_name(&settings);
    settings.piece = settings.is_causal ? PIECE : settings.n_tokens;
    load(argv[1], library, sizeof library);
    void *backend = ggml_backend_cpu_init();
    if (!backend)
        fail("llama.cpp does not start");
    ggml_backend_cpu_set_n_threads(backend, (int)settings.n_threads);

    struct head head = make_head(settings.n_tokens * settings.dim);
    struct contender *contenders = get_memory((size_t)argc * N_WAYS, sizeof *contenders);
    size_t n = build_all(contenders, argv + 8, backend, &settings, &head);
    take_turns(contenders, n, backend, settings.n_runs);
    for (size_t i = 0; i < n; i++) {
        double error = find_error(&contenders[i], &settings, &head);
        if (!(error < MOST_ERROR))
            fail("%s, %s: results are off by %g", contenders[i].type, contenders[i].way, error);
        print_line(&contenders[i], &settings, error, library);
    }
    return 0;
}
