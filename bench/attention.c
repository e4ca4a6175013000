/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench attention: one head over a whole sequence, each rule and kernel beside the dense one
 * and plain C. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/attention_head.h"
#include "bench/attention_rule.h"
#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/names.h"
#include "bench/store.h"
#include "bench/sweep.h"
#include "src/base/checked.h"
#include "src/run/plan.h"

static struct {
    const char *length, *head_dim, *dtype, *mode, *rule, *zeros, *threshold, *block, *window, *part;
    const char *isa;
} texts = {
    .length = "128,512",
    .head_dim = "64",
    .dtype = "int8,fp32",
    .mode = "full",
    .rule = "dense",
    .zeros = "0.5,0.75,0.9,0.95",
    .threshold = "0.01",
    .block = "64",
    .window = "1024",
    .part = "16",
    .isa = "best",
};

static const struct bench_option options[] = {
    {"length", "LIST", "tokens of the sequence [128,512]", &texts.length},
    {"head-dim", "LIST", "features of the head [64]", &texts.head_dim},
    {"dtype", "LIST", "of keys and values: int8, bf16, fp32 [int8,fp32]", &texts.dtype},
    {"mode", "LIST", "full, causal, or decode: the last token alone [full]", &texts.mode},
    {"rule", "LIST",
     "what queries see: dense, window, sinks, global, bigbird, strided, neighbours, blocks; chosen "
     "at run time: vertical_slash, pooled, estimate, gate; with decode also quest and channels, "
     "what a "
     "token chooses [dense]",
     &texts.rule},
    {"zeros", "LIST",
     "share of keys not seen, of blocks drawn, vertical_slash, pooled and gate [0.5,0.75,0.9,0.95]",
     &texts.zeros},
    {"threshold", "X", "of estimate: what a key weighs beside the best known [0.01]",
     &texts.threshold},
    {"block", "N", "tokens of a block, of rules that have blocks [64]", &texts.block},
    {"window", "N", "tokens of a window [1024]", &texts.window},
    {"part", "N", "a token that chooses reads one key of so many [16]", &texts.part},
    {"isa", "LIST", "caps of the instruction set: avx2, avx512_vnni, ... [best]", &texts.isa},
    {0},
};

static const struct bench_column columns[] = {
    {"kernel", BENCH_TEXT},
    {"isa", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"mode", BENCH_TEXT},
    {"rule", BENCH_TEXT},
    {"length", 0},
    {"head_dim", 0},
    {"heads", 0},
    {"density", 4},
    {"density_real", 4},
    {"hidden", 4},
    {"threads", 0},
    {"binding", BENCH_TEXT},
    {"measured", 3},
    {"time_us_median", 1},
    {"time_us_min", 1},
    {"time_us_p95", 1},
    {"nnz_gops", 1},
    {"gbps", 2},
    {"roof", BENCH_TEXT},
    {"roof_rate", 1},
    {"roof_share", 3},
    {"bound_pairs", 2},
    {"bound", 2},
    {"vs_dense", 2},
    {"vs_ideal", 3},
    {"vs_scalar", 2},
    {"selection", 4},
    {"max_err", 2},
    {"dense_err", 3},
    {0},
};

/* Plain C works on the whole of sequences up to MOST_PLAIN tokens. */
enum { MOST_CONTENDERS = 64, MOST_LENGTH = 1 << 17, MOST_PLAIN = 512 };

/* Pairs of query and key of one run, about: 16,384 tokens see all in half a second. */
#define MOST_PAIRS 0x1p28

static const char *const dtype_names[] = {"int8", "fp32", "bf16", NULL};
static const enum lac_dtype dtypes_of[] = {LAC_S8, LAC_F32, LAC_BF16};

enum { FULL, CAUSAL, DECODE };
static const char *const mode_names[] = {"full", "causal", "decode", NULL};

static struct bench_counts lengths, head_dims;
static struct bench_choices dtypes, isas, modes, rules;
static struct bench_reals zeros;
static struct bench_rule_settings rule_settings;
static size_t part;

/* A rule and what it comes to on the sequence. */
struct entry {
    struct bench_attention attention;
    const struct bench_rule *rule;
    const char *rule_name;
    struct bench_pairs pairs, whole; /* of what is measured, and of the whole sequence */
    double share;                    /* of the whole's work that is measured */
    struct bench_peak peak;
    size_t dense; /* the contender with this kernel that sees all */
    int is_row;
    int only_chooses; /* for the entry before it; has no row */
};

struct comparison {
    struct bench_crew crew;
    struct bench_stream stream;
    struct bench_head head;
    int mode;
    size_t n_rules;
    struct bench_rule rules[BENCH_LIST_MOST];
    const char *rule_names[BENCH_LIST_MOST];
    struct bench_labels labels[BENCH_LIST_MOST]; /* of rules by which tokens choose */
    size_t n;
    struct entry entries[MOST_CONTENDERS]; /* plain C last */
    struct bench_contender contenders[MOST_CONTENDERS];
};

static void attend(void *context)
{
    const struct entry *entry = context;
    if (entry->only_chooses)
        bench_choose(&entry->attention);
    else
        (entry->is_row ? bench_attend_row : bench_attend)(&entry->attention);
}

static size_t label_bytes(const struct bench_labels *labels)
{
    const struct lac_kv_shape *shape = &labels->kv.shape;
    return lac_labels_bytes(shape->rules->n_labels, shape->rules->n_dwords);
}

static void flush(const struct entry *entry)
{
    const struct bench_head *head = entry->attention.head;
    const struct bench_labels *labels = entry->attention.labels;
    bench_flush(head->pages, head->n_pages * lac_kv_page_bytes(head->dtype, head->dim));
    for (size_t i = 0; labels && i < labels->kv.labels.n_blocks; i++)
        bench_flush(labels->kv.labels.at[i], label_bytes(labels));
}

/* Pages come from memory when a token is alone: between two of its turns a model reads all else. */
static int turn(void *context, size_t n, uint64_t *ns)
{
    const struct entry *entry = context;
    for (size_t i = 0; i < n; i++) {
        if (entry->is_row)
            flush(entry);
        ns[i] = (entry->is_row ? bench_time_once : bench_time_alone)(attend, context);
    }
    return 0;
}

/* ---- What is compared ---- */

/* All of them see all first; drawn blocks once for each share. */
static enum lac_status make_rules(struct comparison *c, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i <= rules.n && !status; i++) {
        int name = i ? rules.at[i - 1] : 0;
        size_t n = bench_rule_has_zeros(name) ? zeros.n : 1;
        if (i && !name)
            continue; /* it stands first already */
        for (size_t k = 0; k < n && !status; k++) {
            if (c->n_rules == BENCH_LIST_MOST)
                return lac_fail(error, LAC_E_ARGUMENT, "too many rules");
            enum lac_kv_policy_kind policy = bench_rule_policy(name);
            if (policy && c->mode != DECODE)
                return lac_fail(error, LAC_E_ARGUMENT, "--rule %s is for --mode decode",
                                bench_rule_names[name]);
            if (policy && bench_labels_open(&c->labels[c->n_rules], &c->head, policy, part, error))
                return error->status;
            struct bench_rule *rule = &c->rules[c->n_rules];
            c->rule_names[c->n_rules++] = bench_rule_names[name];
            status = bench_rule_make(rule, name, zeros.at[k], c->mode != FULL, c->head.length,
                                     &rule_settings, &c->head.arena, error);
            if (!status && rule->is_chosen && c->mode == DECODE)
                return lac_fail(error, LAC_E_ARGUMENT, "rule %s is for many queries",
                                bench_rule_names[name]);
        }
    }
    return status;
}

static enum lac_op op_of(const struct comparison *c)
{
    if (c->mode == DECODE)
        return LAC_OP_ATTENTION_ROW;
    return c->head.dtype == LAC_S8 ? LAC_OP_ATTENTION_S8 : LAC_OP_ATTENTION;
}

/* Chooses the share of a sequence that is measured: one group of tiles in so many. */
static void thin_out(struct entry *entry, size_t every)
{
    size_t n_groups = lac_ceil_div(lac_ceil_div(entry->attention.head->length, LAC_QUERY_BLOCK),
                                   BENCH_GROUP_BLOCKS);
    if (every != BENCH_LAST_BLOCK)
        every = lac_max_size(1, lac_min_size(n_groups / 2, every));
    entry->attention.every = every;
    entry->pairs = bench_count_pairs(&entry->attention);
    entry->share = entry->pairs.computed / entry->whole.computed;
}

/* Of a row: all keys are one query's. */
static struct bench_pairs row_pairs(const struct entry *entry)
{
    const struct bench_head *head = entry->attention.head;
    size_t n = bench_list_row(&entry->attention);
    struct bench_pairs pairs = {.all = (double)head->length};
    for (size_t i = 0; i < n; i++) {
        pairs.seen += (double)__builtin_popcountll(head->keys[i].keys);
        for (size_t page = 0; page < LAC_KEY_BLOCK; page += LAC_LANES)
            pairs.computed += head->keys[i].keys >> page & 0xffff ? LAC_LANES : 0;
    }
    pairs.blocks = pairs.computed / LAC_LANES;
    return pairs;
}

/* Bytes of keys and values, and of labels, that are read. */
static double row_bytes(const struct entry *entry)
{
    const struct bench_head *head = entry->attention.head;
    const struct bench_labels *labels = entry->attention.labels;
    double n_bytes = labels ? (double)(labels->kv.labels.n_blocks * label_bytes(labels)) : 0;
    return n_bytes +
           entry->pairs.computed / LAC_LANES * (double)lac_kv_page_bytes(head->dtype, head->dim);
}

static enum lac_status add_contender(struct comparison *c, const struct entry *entry,
                                     struct lac_error *error)
{
    struct entry *own = &c->entries[c->n];
    if (c->n == MOST_CONTENDERS)
        return lac_fail(error, LAC_E_ARGUMENT, "more than %d contenders", (int)MOST_CONTENDERS);
    *own = *entry;
    const struct bench_roof *roof = bench_roof_find(bench_kernel_isa(own->attention.kernel),
                                                    c->head.dtype == LAC_S8 ? "int8" : "fp32");
    c->contenders[c->n++] = (struct bench_contender){
        .turn = turn,
        .context = own,
        .ceiling = own->is_row ? bench_stream_ceiling(&c->stream)
                               : bench_peak_ceiling(&own->peak, roof, &c->crew),
        /* Scores and sums: a product and an addition each, for every pair and feature. */
        .load = own->is_row ? row_bytes(own) : 4.0 * own->pairs.seen * (double)c->head.dim,
    };
    return LAC_OK;
}

/* `dense`: the contender that sees all. */
static enum lac_status add_entry(struct comparison *c, size_t rule, size_t dense, unsigned features,
                                 struct lac_error *error)
{
    struct bench_head *head = &c->head;
    const bool has_pages = head->dtype != LAC_F32 || c->mode == DECODE;
    struct entry entry = {
        .attention = {.head = head,
                      .kernel = lac_kernel_find_dtype(op_of(c), head->dtype, features),
                      .sight = &c->rules[rule].sight,
                      .choice = c->rules[rule].is_chosen ? &c->rules[rule].choice : NULL,
                      .every = 1},
        .rule = &c->rules[rule],
        .rule_name = c->rule_names[rule],
        .dense = dense,
        .is_row = c->mode == DECODE,
    };
    lac_plan_shared(&entry.attention.kernels, features);
    if (entry.attention.choice && entry.attention.choice->kind == LAC_PICK_GATED &&
        bench_gates_make(&entry.attention.gates, head->dtype, head->length, head->dim, features,
                         &head->arena, error))
        return error->status;
    if (c->labels[rule].scores) {
        entry.attention.labels = &c->labels[rule];
        entry.attention.scorer = lac_kernel_find(LAC_OP_PAGE_SCORES, features);
    }
    if (has_pages)
        entry.attention.pager = lac_kernel_find_dtype(LAC_OP_KV_PAGES, head->dtype, features);
    if (entry.attention.pager)
        bench_fill_pages(&entry.attention);
    entry.whole = entry.is_row ? row_pairs(&entry) : bench_count_pairs(&entry.attention);
    entry.pairs = entry.whole;
    entry.share = 1;
    /* What is chosen is measured on the queries that the dense one is. */
    const struct bench_pairs *pairs =
        entry.attention.choice ? &c->entries[dense].whole : &entry.whole;
    if (!entry.is_row)
        thin_out(&entry, (size_t)(pairs->computed / MOST_PAIRS));
    if (add_contender(c, &entry, error))
        return error->status;
    entry.only_chooses = entry.attention.choice != NULL;
    return entry.only_chooses ? add_contender(c, &entry, error) : LAC_OK;
}

/* The kernels of all caps under all rules, and last plain C on a small part of the dense one. */
static enum lac_status add_entries(struct comparison *c, struct lac_error *error)
{
    for (size_t i = 0; i < isas.n; i++)
        for (size_t rule = 0, dense = c->n; rule < c->n_rules; rule++)
            if (add_entry(c, rule, dense, bench_isa_features(isas.at[i]), error))
                return error->status;
    if (add_entry(c, 0, c->n, 0, error))
        return error->status;
    struct entry *scalar = &c->entries[c->n - 1];
    c->contenders[c->n - 1].most_rounds = 2;
    if (!scalar->is_row && c->head.length > MOST_PLAIN) {
        thin_out(scalar, BENCH_LAST_BLOCK);
        c->contenders[c->n - 1].load = 4.0 * scalar->pairs.seen * (double)c->head.dim;
    }
    return LAC_OK;
}

/* ---- How far off ---- */

/* Results of an entry's work, of long sequences on the last block. */
static enum lac_status results_of(struct comparison *c, const struct bench_attention *attention,
                                  float **y, size_t *n, struct lac_error *error)
{
    struct bench_attention a = *attention;
    const bool is_row = c->mode == DECODE;
    a.every = c->head.length > MOST_PLAIN ? BENCH_LAST_BLOCK : 1;
    if (a.pager)
        bench_fill_pages(&a);
    (is_row ? bench_attend_row : bench_attend)(&a);
    *n = is_row ? c->head.dim : bench_results(&a, NULL, 0);
    *y = lac_arena_alloc(&c->head.arena, *n, sizeof **y);
    if (!*y)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu results", *n);
    if (is_row)
        memcpy(*y, c->head.row + c->head.dim, *n * sizeof **y);
    else
        bench_results(&a, *y, *n);
    return LAC_OK;
}

struct errors {
    double most;     /* from plain C under the same rule */
    double of_dense; /* root mean square of the difference from the dense result, of that itself */
};

static enum lac_status find_errors(struct comparison *c, const struct entry *entry,
                                   struct errors *errors, struct lac_error *error)
{
    const struct entry *scalar = &c->entries[c->n - 1];
    struct bench_attention plain = scalar->attention;
    float *found, *expected, *dense;
    double difference = 0, size = 0;
    size_t n;
    *errors = (struct errors){0};
    plain.sight = entry->attention.sight;
    plain.choice = entry->attention.choice;
    plain.kernels = entry->attention.kernels;
    plain.gates = entry->attention.gates;
    plain.labels = entry->attention.labels;
    plain.scorer = lac_kernel_find(LAC_OP_PAGE_SCORES, 0);
    if (results_of(c, &entry->attention, &found, &n, error) ||
        results_of(c, &plain, &expected, &n, error) ||
        results_of(c, &c->entries[entry->dense].attention, &dense, &n, error))
        return error->status;
    for (size_t i = 0; i < n; i++) {
        double off = (double)found[i] - dense[i];
        errors->most = fmax(errors->most, fabs((double)found[i] - expected[i]));
        difference += off * off;
        size += (double)dense[i] * dense[i];
    }
    errors->of_dense = size > 0 ? sqrt(difference / size) : NAN;
    return LAC_OK;
}

/* ---- The report ---- */

/* How often the whole sequence's work as one contender does it fits into another's, by time. */
static double speedup(const struct comparison *c, size_t at, size_t over)
{
    double shares = c->entries[at].share / c->entries[over].share;
    return bench_speedup(&c->contenders[at], &c->contenders[over]) * shares;
}

static void report_numbers(struct bench_report *report, struct comparison *c, size_t at)
{
    const struct bench_head *head = &c->head;
    const struct entry *entry = &c->entries[at];
    const struct bench_contender *contender = &c->contenders[at];
    struct bench_times times = bench_times_of(contender);
    const struct bench_pairs *whole = &entry->whole, *dense = &c->entries[entry->dense].whole;
    double share = entry->share, vs_dense = speedup(c, at, entry->dense);
    double density = whole->seen / whole->all;
    /* Of what the dense one works on, so that causal ones begin at 1 too. */
    double real = whole->computed / dense->computed;
    bench_report_number(report, "length", (double)head->length);
    bench_report_number(report, "head_dim", (double)head->dim);
    bench_report_number(report, "heads", 1);
    bench_report_number(report, "threads", 1);
    bench_report_number(report, "density",
                        isnan(entry->rule->asked) ? density : entry->rule->asked);
    bench_report_number(report, "density_real", real);
    bench_report_number(report, "hidden", 1 - real);
    bench_report_number(report, "measured", share);
    bench_report_number(report, "time_us_median", times.median_ns / share / 1e3);
    bench_report_number(report, "time_us_min", times.min_ns / share / 1e3);
    bench_report_number(report, "time_us_p95", times.p95_ns / share / 1e3);
    bench_report_number(report, "nnz_gops",
                        4 * entry->pairs.seen * (double)head->dim / times.median_ns);
    /* Queries, keys, values and results, each once; a token alone: pages. */
    bench_report_number(report, "gbps",
                        entry->is_row ? row_bytes(entry) / times.median_ns
                                      : 16.0 * (double)head->length * (double)head->dim /
                                            (times.median_ns / share));
    bench_report_number(report, "bound_pairs", dense->seen / whole->seen);
    bench_report_number(report, "bound", dense->blocks / whole->blocks);
    bench_report_number(report, "vs_dense", vs_dense);
    bench_report_number(report, "vs_ideal", vs_dense * real);
    bench_report_number(report, "vs_scalar", speedup(c, at, c->n - 1));
    /* The time of choosing, of the dense one's. */
    bench_report_number(report, "selection",
                        entry->attention.choice ? 1 / speedup(c, at + 1, entry->dense) : 0);
}

static enum lac_status report_entry(struct bench_report *report, struct comparison *c, size_t at,
                                    struct lac_error *error)
{
    const struct entry *entry = &c->entries[at];
    struct errors errors;
    if (find_errors(c, entry, &errors, error) || bench_report_row(report, error) ||
        bench_report_text(report, "kernel", entry->attention.kernel->name, error) ||
        bench_report_text(report, "isa", bench_kernel_isa(entry->attention.kernel), error) ||
        bench_report_text(report, "dtype",
                          c->head.dtype == LAC_S8    ? "int8"
                          : c->head.dtype == LAC_F32 ? "fp32"
                                                     : "bf16",
                          error) ||
        bench_report_text(report, "mode", mode_names[c->mode], error) ||
        bench_report_text(report, "rule", entry->rule_name, error) ||
        bench_report_text(report, "binding", c->crew.places, error) ||
        bench_report_roof(report, &c->contenders[at], error))
        return error->status;
    report_numbers(report, c, at);
    bench_report_number(report, "max_err", errors.most);
    bench_report_number(report, "dense_err", errors.of_dense);
    return LAC_OK;
}

/* The lists of the sweep. */
enum { MODES, HEAD_DIMS, LENGTHS, DTYPES };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    snprintf(text, size, "%s, %zu tokens, %zu features, %s", mode_names[modes.at[at[MODES]]],
             lengths.at[at[LENGTHS]], head_dims.at[at[HEAD_DIMS]],
             dtype_names[dtypes.at[at[DTYPES]]]);
}

/* Of a token alone, before anything is listed: what it chooses is in there. */
static void fill_cache(struct comparison *c)
{
    struct bench_attention pages = {.head = &c->head, .every = 1};
    if (c->mode != DECODE && c->head.dtype == LAC_F32)
        return;
    pages.pager =
        lac_kernel_find_dtype(LAC_OP_KV_PAGES, c->head.dtype, bench_isa_features(isas.at[0]));
    bench_fill_pages(&pages);
    for (size_t i = 0; i < c->n_rules; i++)
        if (c->labels[i].scores)
            lac_kv_label(&c->labels[i].kv, 0, 0, 0, c->head.length);
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct comparison *c = comparison;
    c->mode = modes.at[at[MODES]];
    if (bench_crew_open(&c->crew, 1, BENCH_ALONE, error) ||
        bench_head_open(&c->head, dtypes_of[dtypes.at[at[DTYPES]]], lengths.at[at[LENGTHS]],
                        head_dims.at[at[HEAD_DIMS]], error) ||
        (c->mode == DECODE && bench_stream_open_memory(&c->stream, &c->crew, SIZE_MAX, error)) ||
        make_rules(c, error))
        return error->status;
    fill_cache(c);
    if (add_entries(c, error))
        return error->status;
    if (bench_measure(c->contenders, c->n, &bench_settings.effort, &record->progress, error))
        return error->status;
    for (size_t i = 0; i < c->n; i++)
        if (!c->entries[i].only_chooses && report_entry(&record->report, c, i, error))
            return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    struct comparison *c = comparison;
    bench_contenders_clear(c->contenders, c->n);
    bench_stream_close(&c->stream);
    for (size_t i = 0; i < BENCH_LIST_MOST; i++)
        bench_labels_close(&c->labels[i]);
    bench_head_close(&c->head);
    bench_crew_close(&c->crew);
}

static enum lac_status run(struct lac_error *error)
{
    rule_settings.seed = bench_settings.seed;
    if (bench_read_counts("length", texts.length, 1, MOST_LENGTH, &lengths, error) ||
        bench_read_counts("head-dim", texts.head_dim, 1, LAC_MAX_HEAD_DIM, &head_dims, error) ||
        bench_read_choices("dtype", texts.dtype, dtype_names, &dtypes, error) ||
        bench_read_choices("mode", texts.mode, mode_names, &modes, error) ||
        bench_read_choices("rule", texts.rule, bench_rule_names, &rules, error) ||
        bench_read_reals("zeros", texts.zeros, 0, 1, &zeros, error) ||
        bench_read_real("threshold", texts.threshold, 0, 1, &rule_settings.threshold, error) ||
        bench_read_count("block", texts.block, 1, MOST_LENGTH, &rule_settings.block, error) ||
        bench_read_count("window", texts.window, 1, MOST_LENGTH, &rule_settings.window, error) ||
        bench_read_count("part", texts.part, 1, MOST_LENGTH, &part, error) ||
        bench_read_isas(texts.isa, &isas, error))
        return error->status;
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "each row says where",
        .n_values = {modes.n, head_dims.n, lengths.n, dtypes.n},
        .comparison_bytes = sizeof(struct comparison),
        .name = name_comparison,
        .compare = compare,
        .close = close_comparison,
    };
    return bench_sweep_run(&sweep, error);
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Attention of one head",
        .x = "length",
        .y = "nnz_gops",
        .x_title = "tokens",
        .y_title = "10^9 operations a second",
        .log_x = 1,
        .series = {"kernel", "head_dim", "rule"},
    },
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Blocks that are seen, and speed",
        .x = "hidden",
        .y = "vs_dense",
        .x_title = "share that is not seen",
        .y_title = "times as fast as dense",
        .ideal = 1,
        .series = {"kernel", "length", "head_dim", "mode"},
    },
    {0},
};

const struct bench_subject bench_attention = {
    .name = "attention",
    .summary = "one head of attention over a whole sequence",
    .options = options,
    .pictures = pictures,
    .run = run,
};
