/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench: what this machine can do, and how much of it Lacuna reaches. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

static const struct bench_subject *const subjects[] = {
    &bench_limits, &bench_spmm, &bench_encode, &bench_decode, &bench_attention, &bench_crossover};
enum { N_SUBJECTS = sizeof subjects / sizeof subjects[0] };

struct bench_settings bench_settings;

/* As given on the command line. */
static struct {
    const char *help, *csv, *json, *markdown, *save, *plot, *page, *seconds, *rounds, *seed, *cpu,
        *bind;
} texts = {.seconds = "0.5", .rounds = "5", .seed = "1", .bind = "core"};

static const struct bench_option common[] = {
    {"csv", NULL, "print comma-separated values", &texts.csv},
    {"json", NULL, "print JSON", &texts.json},
    {"markdown", NULL, "print a Markdown table", &texts.markdown},
    {"save", "PATH", "write PATH.json and PATH.md as well", &texts.save},
    {"plot", "FILE", "draw the rows into an SVG image (with gnuplot)", &texts.plot},
    {"report", "FILE", "write one HTML page with context, pictures and rows", &texts.page},
    {"seconds", "S", "time for each row [0.5]", &texts.seconds},
    {"rounds", "N", "turns each row gets at least [5]", &texts.rounds},
    {"seed", "N", "of the random weights and activations [1]", &texts.seed},
    {"cpu", "N", "processor that one thread runs on [the last allowed one]", &texts.cpu},
    {"bind", "WHERE", "several threads have a core, thread or numa each, or none [core]",
     &texts.bind},
    {"help", NULL, "print this", &texts.help},
    {0},
};

enum { EXIT_USAGE = 2, MOST_OPTIONS = 32 };

static void print_usage(void)
{
    puts("Usage: lacuna-bench SUBJECT [OPTION]...\n"
         "Measures this machine, and Lacuna beside other engines on it.\n");
    for (size_t i = 0; i < N_SUBJECTS; i++)
        printf("  %-10s %s\n", subjects[i]->name, subjects[i]->summary);
    puts("\n  --help     print this\n"
         "  --version  print the version\n\n"
         "lacuna-bench SUBJECT --help lists the options.");
}

static void print_subject(const struct bench_subject *subject)
{
    printf("Usage: lacuna-bench %s [OPTION]...\nMeasures %s.\n\n", subject->name, subject->summary);
    if (subject->options[0].name) {
        bench_print_options(subject->options);
        puts("");
    }
    bench_print_options(common);
    puts("\nLists are values with commas and ranges first-last+step, as in 16,64-256+64.\n"
         "Exit status: 0 good, 1 a measurement failed, 2 wrong usage.");
}

static enum lac_status read_settings(struct lac_error *error)
{
    static const char *const binds[] = {"core", "thread", "numa", "none", NULL};
    struct bench_settings *s = &bench_settings;
    struct bench_choices bind;
    size_t seed;
    if (!!texts.csv + !!texts.json + !!texts.markdown > 1)
        return lac_fail(error, LAC_E_ARGUMENT, "--csv, --json and --markdown exclude each other");
    s->format = texts.csv        ? BENCH_CSV
                : texts.json     ? BENCH_JSON
                : texts.markdown ? BENCH_MARKDOWN
                                 : BENCH_TABLE;
    s->save = texts.save;
    s->plot = texts.plot;
    s->page = texts.page;
    s->cpu = SIZE_MAX;
    if (bench_read_real("seconds", texts.seconds, 0, 3600, &s->effort.seconds, error) ||
        bench_read_count("rounds", texts.rounds, 1, BENCH_MOST_ROUNDS, &s->effort.min_rounds,
                         error) ||
        bench_read_choices("bind", texts.bind, binds, &bind, error) ||
        bench_read_count("seed", texts.seed, 0, UINT32_MAX, &seed, error) ||
        (texts.cpu && bench_read_count("cpu", texts.cpu, 0, 65535, &s->cpu, error)))
        return error->status;
    s->seed = seed;
    /* The names are in the order of the enum. */
    s->bind = (enum lac_bind)bind.at[0];
    return LAC_OK;
}

static enum lac_status check_pictures(const struct bench_subject *subject, struct lac_error *error)
{
    if (texts.plot && !subject->pictures)
        return lac_fail(error, LAC_E_ARGUMENT, "--plot: there are no pictures of %s",
                        subject->name);
    return subject->pictures && (texts.plot || texts.page) ? bench_pictures_check(error) : LAC_OK;
}

void bench_say(const char *format, ...)
{
    va_list list;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "lacuna-bench %s: ", bench_settings.subject->name);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

static int complain(const char *subject, const struct lac_error *error)
{
    fprintf(stderr, "lacuna-bench%s%s: %s\n", subject ? " " : "", subject ? subject : "",
            error->text);
    if (error->status != LAC_E_ARGUMENT)
        return EXIT_FAILURE;
    fprintf(stderr, "Try 'lacuna-bench%s%s --help'.\n", subject ? " " : "", subject ? subject : "");
    return EXIT_USAGE;
}

static int run_subject(const struct bench_subject *subject, int argc, char **argv)
{
    struct bench_option options[MOST_OPTIONS] = {0};
    size_t n = 0;
    for (const struct bench_option *o = subject->options; o->name; o++)
        options[n++] = *o;
    for (const struct bench_option *o = common; o->name; o++)
        options[n++] = *o;
    struct lac_error error = {0};
    if (bench_parse(options, argc, argv, &error))
        return complain(subject->name, &error);
    if (texts.help) {
        print_subject(subject);
        return EXIT_SUCCESS;
    }
    bench_settings.subject = subject;
    if (read_settings(&error) || check_pictures(subject, &error) || bench_read_machine(&error) ||
        subject->run(&error))
        return complain(subject->name, &error);
    return EXIT_SUCCESS;
}

static int run_command(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "--help";
    if (!strcmp(word, "--help")) {
        print_usage();
        return argc > 1 ? EXIT_SUCCESS : EXIT_USAGE;
    }
    if (!strcmp(word, "--version")) {
        puts("lacuna-bench " PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < N_SUBJECTS; i++)
        if (!strcmp(word, subjects[i]->name))
            return run_subject(subjects[i], argc - 2, argv + 2);
    struct lac_error error;
    lac_fail(&error, LAC_E_ARGUMENT, "%s: no such subject", word);
    return complain(NULL, &error);
}

int main(int argc, char **argv)
{
    int status = run_command(argc, argv);
    /* What was printed must have arrived for the status to be good; of reports it is known. */
    if (!status && (ferror(stdout) | fflush(stdout))) {
        fputs("lacuna-bench: standard output cannot be written\n", stderr);
        return EXIT_FAILURE;
    }
    return status;
}
