/* SPDX-License-Identifier: Apache-2.0 */
/* The measured plan: fitting, writing, reading what nobody should believe, and choosing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "src/base/checked.h"
#include "src/run/plan.h"
#include "src/run/plan_measure.h"
#include "tests/support.h"

static const struct lac_plan_machine machine = {"A Processor @ 3 GHz", 0xff, 2097152, 33554432};

/* Of the file that the tests write and read. */
static char path[512];

static double random_share(uint64_t *state)
{
    return (double)random_below(state, 1000001) / 1e6;
}

/* Every linear kernel, with costs drawn at random. */
static struct lac_plan_table *random_table(uint64_t *state)
{
    struct lac_plan_table *table = calloc(1, sizeof *table);
    table->machine = machine;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        if ((*k)->op != LAC_OP_LINEAR_TOKEN && (*k)->op != LAC_OP_LINEAR_OUTPUT)
            continue;
        ck_assert_uint_lt(table->n_rows, LAC_PLAN_MOST_ROWS);
        struct lac_plan_row *row = &table->rows[table->n_rows++];
        row->kernel = *k;
        for (size_t c = 0; c < LAC_PLAN_N_COUNTS; c++)
            row->at[c] = (struct lac_plan_cost){
                1000 * random_share(state), 0.001 + random_share(state), 100 * random_share(state)};
    }
    return table;
}

static struct lac_plan_load random_load(uint64_t *state, const struct lac_kernel *kernel)
{
    size_t n_out = 1 + random_below(state, 3000), n_in = 1 + random_below(state, 3000);
    size_t n_blocks = lac_pattern_blocks(kernel->pattern, kernel->dtype, n_out, n_in);
    return lac_plan_load(kernel->pattern, kernel->dtype, n_out, n_in,
                         random_below(state, n_blocks + 1));
}

static enum lac_status read_table(const struct lac_plan_machine *of, struct lac_plan_table **table,
                                  struct lac_error *error)
{
    return lac_plan_table_read(&lac_default_host, path, of, table, error);
}

START_TEST(what_is_written_is_read)
{
    uint64_t state = test_seed();
    struct lac_plan_table *written = random_table(&state), *table = NULL;
    struct lac_error error;
    ck_assert_int_eq(lac_plan_table_write(written, path, &error), LAC_OK);
    ck_assert_int_eq(read_table(&machine, &table, &error), LAC_OK);
    ck_assert_uint_eq(table->n_rows, written->n_rows);
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct lac_plan_row *row = lac_plan_table_find(table, written->rows[i].kernel);
        ck_assert_ptr_nonnull(row);
        struct lac_plan_load load = random_load(&state, row->kernel);
        size_t n_tokens = 1 + random_below(&state, 300);
        double expected = lac_plan_row_ns(&written->rows[i], &load, n_tokens);
        double ns = lac_plan_row_ns(row, &load, n_tokens);
        /* Costs are rounded to 10^-6 ns. */
        ck_assert_double_le(fabs(ns - expected), 1e-3 * expected + 1e-3);
    }
    lac_free(&lac_default_host, table);
    free(written);
}
END_TEST

START_TEST(stale_tables_are_refused)
{
    uint64_t state = test_seed();
    struct lac_plan_table *written = random_table(&state), *table = NULL;
    struct lac_error error;
    ck_assert_int_eq(lac_plan_table_write(written, path, &error), LAC_OK);
    struct lac_plan_machine others[4] = {machine, machine, machine, machine};
    snprintf(others[0].cpu, sizeof others[0].cpu, "Another");
    others[1].features ^= LAC_CPU_AMX_INT8;
    others[2].l2_bytes++;
    others[3].l3_bytes--;
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(read_table(&others[i], &table, &error), LAC_E_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(error.text, path));
    }
    ck_assert_ptr_null(table);
    free(written);
}
END_TEST

static char *read_all(size_t *size)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char *text = malloc(1 << 20);
    *size = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static void write_all(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(truncated_tables_are_refused)
{
    uint64_t state = test_seed();
    struct lac_plan_table *written = random_table(&state), *table = NULL;
    struct lac_error error;
    written->n_rows = 2;
    ck_assert_int_eq(lac_plan_table_write(written, path, &error), LAC_OK);
    size_t size;
    char *text = read_all(&size);
    for (size_t n = 0; n < size; n++) {
        write_all(text, n);
        ck_assert_int_lt(read_table(&machine, &table, &error), LAC_OK);
    }
    /* Whole lines missing from the middle, and lines after the end. */
    written->n_rows = 1;
    ck_assert_int_eq(lac_plan_table_write(written, path, &error), LAC_OK);
    free(text);
    text = read_all(&size);
    text[size] = '\n';
    write_all(text, size + 1);
    ck_assert_int_eq(read_table(&machine, &table, &error), LAC_E_FORMAT);
    ck_assert_ptr_null(table);
    free(text);
    free(written);
}
END_TEST

/* Whatever a byte becomes, what is read is refused or has times that are times. */
START_TEST(damaged_tables_do_no_harm)
{
    uint64_t state = test_seed();
    struct lac_plan_table *written = random_table(&state);
    struct lac_error error;
    written->n_rows = 3;
    ck_assert_int_eq(lac_plan_table_write(written, path, &error), LAC_OK);
    size_t size, n_read = 0;
    char *text = read_all(&size);
    for (int turn = 0; turn < 2000; turn++) {
        size_t at = random_below(&state, size);
        char before = text[at];
        text[at] = random_below(&state, 2) ? (char)random_u64(&state)
                                           : (char)('0' + random_below(&state, 10));
        write_all(text, size);
        struct lac_plan_table *table = NULL;
        if (!read_table(&machine, &table, &error)) {
            for (size_t i = 0; i < table->n_rows; i++) {
                struct lac_plan_load load = random_load(&state, table->rows[i].kernel);
                double ns = lac_plan_row_ns(&table->rows[i], &load, 1 + random_below(&state, 99));
                ck_assert(ns >= 0 && isfinite(ns));
            }
            lac_free(&lac_default_host, table);
            n_read++;
        }
        text[at] = before;
    }
    ck_assert_uint_gt(n_read, 0);
    ck_assert_uint_lt(n_read, 2000);
    free(text);
    free(written);
}
END_TEST

START_TEST(absurd_numbers_are_refused)
{
    static const char *const lines[] = {
        "at 1 99999999999999999999999999 1 1",
        "at 1 1 1000000000000001 1",
        "at 1 -1 1 1",
        "at 1 nan 1 1",
        "at 1 0x10 1 1",
        "at 1 1 1",
        "at 1 1 1 1 1",
        "at 1 0 0 0",
        "at 3 1 1 1",
        "at 1  1 1 1",
        "at 0 1 1 1",
        "",
    };
    struct lac_plan_table *table = NULL;
    struct lac_error error;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[512];
        int n = snprintf(text, sizeof text,
                         "lacuna-plan 1\nversion %s\ncpu %s\nfeatures %x\ncaches %zu %zu\n"
                         "kernel linear_output_dense_s8/scalar\n%s\nend 1\n",
                         lac_version(), machine.cpu, machine.features, machine.l2_bytes,
                         machine.l3_bytes, lines[i]);
        write_all(text, (size_t)n);
        ck_assert_msg(read_table(&machine, &table, &error) == LAC_E_FORMAT, "\"%s\" was read",
                      lines[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "line 7"));
    }
    ck_assert_ptr_null(table);
}
END_TEST

/* Times made from costs give the costs back; and nothing makes a cost negative. */
START_TEST(fits_find_the_costs)
{
    uint64_t state = test_seed();
    for (int turn = 0; turn < 1000; turn++) {
        struct lac_plan_load loads[5] = {{0}};
        double ns[5];
        struct lac_plan_cost made = {random_below(&state, 2000), random_share(&state),
                                     random_below(&state, 90)},
                             fitted;
        bool is_exact = random_below(&state, 2);
        for (size_t i = 0; i < 5; i++) {
            loads[i].dwords = 100 + (double)random_below(&state, 200000);
            loads[i].rows = 1 + (double)random_below(&state, 800);
            ns[i] =
                1 + made.fixed_ns + made.dword_ns * loads[i].dwords + made.row_ns * loads[i].rows;
            if (!is_exact)
                ns[i] *= 0.2 + 2 * random_share(&state);
        }
        lac_plan_fit(loads, ns, 5, &fitted);
        ck_assert(fitted.fixed_ns >= 0 && fitted.dword_ns >= 0 && fitted.row_ns >= 0);
        for (size_t i = 0; is_exact && i < 5; i++) {
            double again =
                fitted.fixed_ns + fitted.dword_ns * loads[i].dwords + fitted.row_ns * loads[i].rows;
            ck_assert_double_le(fabs(again - ns[i]), 1e-3 * ns[i]);
        }
    }
}
END_TEST

/* Whatever the table says: the layout chosen is not predicted to take longer than the best dense
 * kernel, and the kernels are such as the processor can run. */
START_TEST(choices_are_never_slower_than_dense)
{
    uint64_t state = test_seed();
    for (int turn = 0; turn < 200; turn++) {
        struct lac_plan_table *table = random_table(&state);
        struct lac_network network = {
            .dtype = random_below(&state, 2) ? LAC_S8 : LAC_F32,
            .features = lac_cpu_features(),
            .plan_table = table,
        };
        size_t n_out = 16 + random_below(&state, 1000), n_in = 16 + random_below(&state, 1000);
        struct lac_weight_stats stats = {0};
        double cost[LAC_N_PATTERNS], ns, dense_ns;
        for (int p = 0; p < LAC_N_PATTERNS; p++) {
            stats.n_blocks[p] = lac_pattern_blocks(p, network.dtype, n_out, n_in);
            stats.n_nonzero[p] = p == LAC_PATTERN_DENSE ? stats.n_blocks[p]
                                                        : random_below(&state, stats.n_blocks[p]);
        }
        lac_plan_costs(&network, &stats, n_out, n_in, cost);
        enum lac_pattern chosen = lac_plan_choose(cost);
        struct lac_plan_load load = lac_plan_load(chosen, network.dtype, n_out, n_in,
                                                  stats.n_nonzero[chosen]),
                             dense = lac_plan_load(LAC_PATTERN_DENSE, network.dtype, n_out, n_in,
                                                   stats.n_nonzero[LAC_PATTERN_DENSE]);
        const struct lac_plan_row *row =
            lac_plan_table_best(table, LAC_OP_LINEAR_TOKEN, &load, LAC_TILE, network.features, &ns);
        ck_assert_ptr_nonnull(row);
        ck_assert_int_ne(lac_kernel_allowed(row->kernel, network.features), 0);
        ck_assert_ptr_nonnull(lac_plan_table_best(table, LAC_OP_LINEAR_TOKEN, &dense, LAC_TILE,
                                                  network.features, &dense_ns));
        ck_assert_double_le(ns, dense_ns);
        ck_assert_double_le(cost[chosen], 1);
        free(table);
    }
}
END_TEST

static void count_warning(void *context, enum lac_log_level level, const char *text)
{
    int *n = context;
    *n += level == LAC_LOG_WARNING && strstr(text, path) && strstr(text, "built-in");
}

/* An engine takes what it can use, and says a word about what it cannot. */
START_TEST(engines_go_on_without_a_table)
{
    int n_warnings = 0;
    struct lac_engine_options *options;
    struct lac_engine *engine;
    remove(path);
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, 1);
    lac_engine_options_set_log(options, &(struct lac_log){count_warning, &n_warnings});
    ck_assert_int_eq(lac_engine_options_set_plan_cache(options, path), LAC_OK);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_free(engine);
    ck_assert_int_eq(n_warnings, 0); /* there is no such file */
    write_all("nothing\n", 8);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_free(engine);
    ck_assert_int_eq(n_warnings, 1);
    ck_assert_int_eq(lac_engine_options_set_plan_cache(options, NULL), LAC_OK);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_free(engine);
    ck_assert_int_eq(n_warnings, 1);
    lac_engine_options_free(options);
}
END_TEST

/* Each kernel of AVX2 gets a row, and each row times. */
START_TEST(measuring_fills_a_table)
{
    unsigned features = lac_cpu_features() & LAC_CPU_AVX2;
    struct lac_plan_table *table;
    struct lac_error error;
    size_t n_expected = 0;
    if (!features) {
        printf("cannot be measured here: the kernels of avx2\n");
        return;
    }
    ck_assert_int_eq(
        lac_plan_measure(&lac_default_host, &machine, features, 1e-5, NULL, &table, &error),
        LAC_OK);
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (((*k)->op == LAC_OP_LINEAR_TOKEN || (*k)->op == LAC_OP_LINEAR_OUTPUT) && (*k)->needs &&
            lac_kernel_allowed(*k, features)) {
            n_expected++;
            const struct lac_plan_row *row = lac_plan_table_find(table, *k);
            ck_assert_msg(row != NULL, "%s has no row", (*k)->name);
            struct lac_plan_load load = lac_plan_load((*k)->pattern, (*k)->dtype, 768, 768, 9000);
            ck_assert_double_gt(lac_plan_row_ns(row, &load, 48), 0);
        }
    ck_assert_uint_eq(table->n_rows, n_expected);
    lac_free(&lac_default_host, table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    snprintf(path, sizeof path, "%s/plan", scratch_directory());
    add_test(suite, "round trip", what_is_written_is_read);
    add_test(suite, "stale", stale_tables_are_refused);
    add_test(suite, "truncated", truncated_tables_are_refused);
    add_test(suite, "damaged", damaged_tables_do_no_harm);
    add_test(suite, "absurd", absurd_numbers_are_refused);
    add_test(suite, "engine", engines_go_on_without_a_table);
    add_test(suite, "fit", fits_find_the_costs);
    add_test(suite, "choices", choices_are_never_slower_than_dense);
    add_test(suite, "measuring", measuring_fills_a_table);
    return run_suite(suite);
}
