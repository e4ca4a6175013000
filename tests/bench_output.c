/* SPDX-License-Identifier: Apache-2.0 */
/* What lacuna-bench writes beside its rows: the planner's cache, formats and pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench_suite.h"

static int has_gnuplot(void)
{
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

/* What it keeps is what the planner reads: an engine takes it without a word. */
START_TEST(crossover)
{
    char arguments[512], svg[256] = "", path[512];
    if (has_gnuplot())
        snprintf(svg, sizeof svg, "--plot %s/crossover.svg", scratch_directory());
    snprintf(arguments, sizeof arguments,
             "crossover --shape 256x256,1024x256 --tokens 1,48 --pattern 16x4,bitmap "
             "--dtype int8,fp32 --seconds 0 --rounds 1 --json %s",
             svg);
    json_t *json = run_json(arguments);
    check_context(json, "crossover");
    text(member(json, "context"), "plan");
    json_t *row;
    size_t i;
    json_array_foreach(member(json, "rows"), i, row)
    {
        json_t *least = member(row, "crossover");
        ck_assert(json_is_null(least) ||
                  (number(row, "crossover") >= 0 && number(row, "crossover") <= 1));
        ck_assert(number(row, "vs_dense_90") > 0);
        ck_assert(number(row, "vs_dense_80") > 0);
        ck_assert(number(row, "dense_us") > 0);
        text(row, "dense_kernel");
    }
    /* shapes, tokens, patterns, dtypes */
    ck_assert_uint_eq(i, 2 * 2 * 2 * 2);
    json_decref(json);
    snprintf(path, sizeof path, "%s/lacuna/plan", getenv("XDG_CACHE_HOME"));
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    fclose(file);
}
END_TEST

static size_t count_lines(const char *prefix)
{
    size_t n = 0;
    for (const char *line = output; *line; line = strchr(line, '\n') + 1)
        n += !strncmp(line, prefix, strlen(prefix));
    return n;
}

START_TEST(formats)
{
    const char *sweep = "spmm --shape 16x16 --tokens 16 --dtype fp32 --pattern dense,4x4 "
                        "--sparsity 0.5 --peers none --seconds 0 --rounds 1";
    char arguments[512], path[256];
    snprintf(arguments, sizeof arguments, "%s --csv", sweep);
    ck_assert_int_eq(run(arguments), 0);
    ck_assert_uint_eq(
        count_lines("pattern,dtype,isa,kernel,m,k,n,sparsity,sparsity_real,threads,binding,"
                    "time_us_median,time_us_min,time_us_p95,nnz_gops,dense_gops,"
                    "gbps,roof,roof_rate,roof_share,vs_dense,vs_onednn,"
                    "vs_onednn_vnni,vs_one_thread,max_err\n"),
        1);
    ck_assert_uint_eq(count_lines("dense,fp32,"), 1);
    ck_assert_uint_eq(count_lines("4x1,fp32,"), 1);
    snprintf(arguments, sizeof arguments, "%s --markdown", sweep);
    ck_assert_int_eq(run(arguments), 0);
    ck_assert_uint_eq(count_lines("| 4x1 | fp32 |"), 1);
    snprintf(arguments, sizeof arguments, "%s --save=%s/figures", sweep, scratch_directory());
    ck_assert_int_eq(run(arguments), 0);
    ck_assert_uint_eq(count_lines("4x1 "), 1);
    snprintf(path, sizeof path, "%s/figures.json", scratch_directory());
    json_error_t error;
    json_t *saved = json_load_file(path, 0, &error);
    ck_assert_msg(saved != NULL, "%s", error.text);
    ck_assert_uint_eq(json_array_size(member(saved, "rows")), 2);
    json_decref(saved);
}
END_TEST

START_TEST(pictures)
{
    static const char *const subjects[] = {
        "spmm --shape 16x16,32x16 --tokens 1,16 --pattern dense,4x4 --sparsity 0.5,0.9 --peers "
        "none",
        "limits --memory 1 --no-cache",
        "encode --model wordnet --sequences 1 --length 4",
        "decode --model bert-mini --layers 1",
        "attention --length 4,8",
    };
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        char arguments[1024], svg[256], html[256];
        snprintf(svg, sizeof svg, "%s/it's.svg", scratch_directory());
        snprintf(html, sizeof html, "%s/page.html", scratch_directory());
        snprintf(arguments, sizeof arguments, "%s --plot \"%s\" --report %s --seconds 0 --rounds 1",
                 subjects[i], svg, html);
        int status = run(arguments);
        if (!has_gnuplot()) {
            ck_assert_int_eq(status, 1);
            ck_assert_msg(strstr(output, "gnuplot") != NULL, "%s", output);
            continue;
        }
        ck_assert_msg(status == 0, "%s: %s", arguments, output);
        char *image = read_text(svg), *page = read_text(html);
        ck_assert_ptr_nonnull(strstr(image, "<svg"));
        ck_assert_ptr_nonnull(strstr(image, "</svg>"));
        ck_assert_ptr_nonnull(strstr(page, "<svg"));
        ck_assert_ptr_nonnull(strstr(page, "</html>"));
        /* Nothing is loaded from elsewhere. */
        ck_assert_ptr_null(strstr(page, "src="));
        ck_assert_ptr_null(strstr(page, "<link"));
        free(image);
        free(page);
    }
}
END_TEST

/* Said before anything is measured. */
START_TEST(no_gnuplot)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", getenv("PATH"));
    setenv("PATH", scratch_directory(), 1);
    char arguments[512];
    snprintf(arguments, sizeof arguments, "spmm --plot %s/none.svg --seconds 3600",
             scratch_directory());
    int status = run(arguments);
    setenv("PATH", path, 1);
    ck_assert_int_eq(status, 1);
    ck_assert_msg(strstr(output, "gnuplot") != NULL, "%s", output);
}
END_TEST

void add_output_tests(Suite *suite)
{
    add_test(suite, "crossover", crossover);
    add_test(suite, "formats", formats);
    add_test(suite, "pictures", pictures);
    add_test(suite, "no_gnuplot", no_gnuplot);
}
