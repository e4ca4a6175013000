/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a report, drawn by gnuplot. */
#include "bench/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/known.h"

extern char **environ;

/* ---- gnuplot ---- */

static enum lac_status run_gnuplot(char *argument, int in, int out, struct lac_error *error)
{
    char name[] = "gnuplot", *const arguments[] = {name, argument, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int failure = posix_spawnp(&pid, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure)
        return lac_fail(error, LAC_E_UNSUPPORTED, "--plot and --report need gnuplot: %s",
                        strerror(failure));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return lac_fail(error, LAC_E_STATE, "gnuplot ended with status %d",
                        WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return LAC_OK;
}

enum lac_status bench_pictures_check(struct lac_error *error)
{
    char argument[] = "--version";
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return lac_fail(error, LAC_E_IO, "/dev/null: %s", strerror(errno));
    enum lac_status status = run_gnuplot(argument, null, null, error);
    close(null);
    return status;
}

/* ---- Series ---- */

enum { MOST_SERIES = 64, MOST_POINTS = 4096, NAME_SIZE = 96 };

struct series {
    char name[NAME_SIZE];
};

static int is_text(const struct bench_report *report, const char *key)
{
    for (size_t i = 0; report->columns[i].key; i++)
        if (!strcmp(report->columns[i].key, key))
            return report->columns[i].decimals == BENCH_TEXT;
    return 0;
}

static const char *key_value(const struct bench_report *report, const struct bench_row *row,
                             const char *key, char *text, size_t size)
{
    if (is_text(report, key)) {
        const char *value = bench_row_text(report, row, key);
        snprintf(text, size, "%s", value ? value : "");
    } else {
        snprintf(text, size, "%g %s", bench_row_number(report, row, key), key);
    }
    return text;
}

static int is_plain_c(const struct bench_report *report, const struct bench_row *row)
{
    const char *isa = is_text(report, "isa") ? bench_row_text(report, row, "isa") : NULL;
    return isa && !strcmp(isa, "scalar");
}

/* x and y of a row, as the picture has them; 0 where one is missing. */
static int find_point(const struct bench_report *report, const struct bench_picture *picture,
                      const struct bench_row *row, double *x, double *y)
{
    if (is_plain_c(report, row))
        return 0;
    if (picture->kind == BENCH_PICTURE_ROOFLINE) {
        *y = bench_row_number(report, row, "nnz_gops");
        *x = *y / bench_row_number(report, row, "gbps");
        return isfinite(*x) && *x > 0 && *y > 0;
    }
    *x = bench_row_number(report, row, picture->x);
    *y = bench_row_number(report, row, picture->y);
    return isfinite(*x) && isfinite(*y);
}

/* Is the key not the same in all points?  Only such ones make a name. */
static int varies(const struct bench_report *report, const struct bench_picture *picture,
                  const char *key)
{
    char first[NAME_SIZE] = "", other[NAME_SIZE];
    int n = 0;
    for (const struct bench_row *row = NULL; (row = bench_row_next(report, row));) {
        double x, y;
        if (!find_point(report, picture, row, &x, &y))
            continue;
        key_value(report, row, key, n ? other : first, NAME_SIZE);
        if (n++ && strcmp(first, other))
            return 1;
    }
    return 0;
}

static void name_series(const struct bench_report *report, const struct bench_picture *picture,
                        const struct bench_row *row, char name[NAME_SIZE])
{
    *name = 0;
    for (size_t i = 0; picture->series[i]; i++) {
        char value[NAME_SIZE];
        size_t used = strlen(name);
        /* The first one is always there: a picture has a name for each line. */
        if (i && !varies(report, picture, picture->series[i]))
            continue;
        key_value(report, row, picture->series[i], value, sizeof value);
        snprintf(name + used, NAME_SIZE - used, "%s%s", used ? " " : "", value);
    }
}

/* Each once, the first MOST_SERIES of them. */
static void add_series(struct series *series, size_t *n_series, const char *name)
{
    size_t i = 0;
    while (i < *n_series && strcmp(series[i].name, name))
        i++;
    if (i == *n_series && i < MOST_SERIES)
        memcpy(series[(*n_series)++].name, name, NAME_SIZE);
}

/* Prints the points of one series; of lines the median for each x, in ascending order. */
static void print_points(const struct bench_report *report, const struct bench_picture *picture,
                         const char *name, FILE *script)
{
    static double xs[MOST_POINTS], ys[MOST_POINTS], of_one[MOST_POINTS];
    size_t n = 0;
    for (const struct bench_row *row = NULL; (row = bench_row_next(report, row));) {
        char own[NAME_SIZE];
        name_series(report, picture, row, own);
        if (n < MOST_POINTS && !strcmp(own, name) &&
            find_point(report, picture, row, &xs[n], &ys[n]))
            n++;
    }
    if (picture->kind == BENCH_PICTURE_ROOFLINE) {
        for (size_t i = 0; i < n; i++)
            fprintf(script, "%g %g\n", xs[i], ys[i]);
        return;
    }
    for (double last = -INFINITY;;) {
        double x = INFINITY;
        size_t n_one = 0;
        for (size_t i = 0; i < n; i++)
            x = xs[i] > last && xs[i] < x ? xs[i] : x;
        if (x == INFINITY)
            return;
        for (size_t i = 0; i < n; i++)
            if (xs[i] == x)
                of_one[n_one++] = ys[i];
        fprintf(script, "%g %g\n", x, bench_quantile(of_one, n_one, 0.5));
        last = x;
    }
}

static size_t list_series(const struct bench_report *report, const struct bench_picture *picture,
                          struct series *series)
{
    size_t n = 0;
    for (const struct bench_row *row = NULL; (row = bench_row_next(report, row));) {
        double x, y;
        char name[NAME_SIZE];
        if (!find_point(report, picture, row, &x, &y))
            continue;
        name_series(report, picture, row, name);
        add_series(series, &n, name);
    }
    return n;
}

/* ---- Scripts ---- */

/* In single quotes, where only they mean something: doubled, themselves. */
static void print_quoted(const char *text, FILE *script)
{
    fputc('\'', script);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', script);
        fputc(*text, script);
    }
    fputc('\'', script);
}

/* Colours for series, and when they have all been used the next shape of point. */
static const char *const colours[] = {"#1b6ca8", "#d1495b", "#2e8b57", "#e08e0b", "#6a4c93",
                                      "#00a6a6", "#8d5524", "#e377c2", "#7a8b00", "#444444"};
enum { N_COLOURS = sizeof colours / sizeof colours[0] };

/* Shapes 5, 7, 9, 11 and 13 are filled ones. */
static int shape_of(size_t series)
{
    static const int shapes[] = {7, 5, 9, 11, 13};
    return shapes[series / N_COLOURS % 5];
}

/* Of so many names: one below the other beside the picture, as large as there is room for. */
static void print_key(size_t n, FILE *script)
{
    enum { HEIGHT_OF_ALL = 440, LARGEST = 13, SMALLEST = 5 };
    size_t size = HEIGHT_OF_ALL * 5 / 8 / (n + 1); /* a line takes 8/5 of the letters' height */
    size = size > LARGEST ? LARGEST : size < SMALLEST ? SMALLEST : size;
    fprintf(script, "set key outside right top vertical maxcols 1 font ',%zu' samplen 2\n", size);
}

static void print_lines(const struct bench_report *report, const struct bench_picture *picture,
                        FILE *script)
{
    static struct series series[MOST_SERIES];
    size_t n = list_series(report, picture, series);
    print_key(n, script);
    fprintf(script, "unset logscale\nset xlabel '%s'\nset ylabel '%s'\nset yrange [0:*]\n",
            picture->x_title, picture->y_title);
    if (picture->log_x)
        fputs("set logscale x 2\n", script);
    for (size_t i = 0; i < n; i++) {
        fprintf(script, "$l%zu << EOD\n", i);
        print_points(report, picture, series[i].name, script);
        fputs("EOD\n", script);
    }
    fputs("set xrange [*:*]\nplot ", script);
    for (size_t i = 0; i < n; i++)
        fprintf(script,
                "%s$l%zu using 1:2 with linespoints lw 2 lc rgb '%s' pt %d ps 0.7 title '%s'",
                i ? ", " : "", i, colours[i % N_COLOURS], shape_of(i), series[i].name);
    if (picture->ideal && n)
        fputs(", [0:0.98] 1 / (1 - x) with lines dt 2 lw 1.5 lc rgb '#444444' "
              "title 'ideal: 1 / (1 - sparsity)'",
              script);
    fputs(n ? "\n" : "[0:1] 0 notitle\n", script);
}

/* Is the limit one to draw: of one core, and of reading or among the best of its dtype? */
static int is_drawn(const struct bench_limits *limits, size_t at)
{
    const struct bench_limit *limit = &limits->at[at];
    if (limit->threads != 1)
        return 0;
    for (size_t i = 0; *limit->dtype && i < limits->n; i++)
        if (limits->at[i].threads == 1 && !strcmp(limits->at[i].dtype, limit->dtype) &&
            limits->at[i].rate > limit->rate && strncmp(limits->at[i].name, "tdp", 3))
            return 0;
    return 1;
}

/* Bounds by memory end where they meet the highest peak. */
static void print_limits(const struct bench_limits *limits, FILE *script)
{
    double highest = 0;
    size_t n_levels = 0;
    for (size_t i = 0; i < limits->n; i++)
        if (is_drawn(limits, i) && *limits->at[i].dtype && limits->at[i].rate > highest)
            highest = limits->at[i].rate;
    for (size_t i = 0; i < limits->n; i++) {
        const struct bench_limit *limit = &limits->at[i];
        if (!is_drawn(limits, i))
            continue;
        if (*limit->dtype)
            fprintf(script, "%g with lines lc rgb '#999999' dt 3 title '%s %s %.0f GOPS', ",
                    limit->rate, limit->dtype, limit->name, limit->rate);
        else
            fprintf(script,
                    "(x * %g <= %g ? x * %g : NaN) with lines lc rgb '#888888' lw 1.5 dt %zu "
                    "title '%s %.*f GB/s', ",
                    limit->rate, highest, limit->rate, ++n_levels, limit->name, limit->rate < 100,
                    limit->rate);
    }
}

/* Limits that stand in the rows: those of a report of limits, or else the roofs beside the rows. */
static void collect_roofs(const struct bench_report *report, struct bench_limits *limits)
{
    int own = is_text(report, "limit");
    limits->n = 0;
    for (const struct bench_row *row = NULL; (row = bench_row_next(report, row));) {
        const char *name = bench_row_text(report, row, own ? "limit" : "roof");
        const char *dtype = bench_row_text(report, row, "dtype");
        double rate = bench_row_number(report, row, own ? "median" : "roof_rate");
        if (!name || !isfinite(rate) || bench_limits_find(limits, name, 1) ||
            bench_row_number(report, row, "threads") != 1 || limits->n == BENCH_MOST_LIMITS)
            continue;
        struct bench_limit *limit = &limits->at[limits->n++];
        snprintf(limit->name, sizeof limit->name, "%s", name);
        snprintf(limit->dtype, sizeof limit->dtype, "%s",
                 strncmp(name, "read ", 5) && dtype ? dtype : "");
        limit->threads = 1;
        limit->rate = rate;
    }
}

static void print_roofline(const struct bench_report *report, const struct bench_picture *picture,
                           FILE *script)
{
    static struct series series[MOST_SERIES];
    struct bench_limits limits;
    size_t n = list_series(report, picture, series);
    if (is_text(report, "limit") || bench_limits_load(&limits) != BENCH_LIMITS_KNOWN)
        collect_roofs(report, &limits);
    print_key(n + limits.n, script);
    fputs("set logscale xy 10\nset xlabel 'operations a byte (weights, activations, results)'\n"
          "set ylabel '10^9 operations a second, nonzero'\nset yrange [1:*]\n",
          script);
    for (size_t i = 0; i < n; i++) {
        fprintf(script, "$r%zu << EOD\n", i);
        print_points(report, picture, series[i].name, script);
        fputs("EOD\n", script);
    }
    fputs("set samples 400\nset xrange [0.1:10000]\nplot ", script);
    print_limits(&limits, script);
    for (size_t i = 0; i < n; i++)
        fprintf(script, "$r%zu using 1:2 with points lc rgb '%s' pt %d ps 0.7 title '%s', ", i,
                colours[i % N_COLOURS], shape_of(i), series[i].name);
    /* A plot of nothing would be a failure. */
    fputs("1 with dots lc rgb '#ffffff' notitle\n", script);
}

static void print_script(const struct bench_report *report, const struct bench_picture *pictures,
                         FILE *script)
{
    enum { WIDTH = 960, HEIGHT = 560 };
    size_t n = 0;
    while (n < BENCH_MOST_PICTURES && pictures[n].kind)
        n++;
    fprintf(script,
            "set terminal svg noenhanced size %d,%zu font 'sans-serif,13' background '#ffffff'\n"
            "set multiplot layout %zu,1\nset grid lc rgb '#dddddd'\n"
            "set border lc rgb '#666666'\n",
            (int)WIDTH, n * HEIGHT, n);
    for (size_t i = 0; i < n; i++) {
        fputs("set title ", script);
        print_quoted(pictures[i].title, script);
        fputc('\n', script);
        if (pictures[i].kind == BENCH_PICTURE_LINES)
            print_lines(report, &pictures[i], script);
        else
            print_roofline(report, &pictures[i], script);
    }
    fputs("unset multiplot\n", script);
}

enum lac_status bench_pictures_draw(const struct bench_report *report,
                                    const struct bench_picture *pictures, FILE *file,
                                    struct lac_error *error)
{
    char argument[] = "-";
    FILE *script = tmpfile();
    if (!script)
        return lac_fail(error, LAC_E_IO, "no temporary file: %s", strerror(errno));
    print_script(report, pictures, script);
    enum lac_status status = LAC_OK;
    if (fflush(script) || fseek(script, 0, SEEK_SET) || fflush(file))
        status = lac_fail(error, LAC_E_IO, "a script for gnuplot cannot be written");
    if (!status)
        status = run_gnuplot(argument, fileno(script), fileno(file), error);
    fclose(script);
    return status;
}
