/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a report: the machine, the build, the settings. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/commit.h"
#include "bench/known.h"
#include "simd/cpu.h"
#include "src/sys/topology.h"

/* The first line of a file that starts with prefix, from behind "prefix...: " on; or "unknown". */
static void read_line(const char *path, const char *prefix, char *text, size_t size)
{
    snprintf(text, size, "unknown");
    FILE *file = fopen(path, "r");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, prefix, strlen(prefix)))
            continue;
        const char *colon = *prefix ? strchr(line, ':') : NULL;
        const char *value = colon ? colon + 1 + strspn(colon + 1, " \t") : line;
        snprintf(text, size, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    if (file)
        fclose(file);
}

void bench_cpu_model(char *text, size_t size)
{
    read_line("/proc/cpuinfo", "model name", text, size);
}

static enum lac_status add_machine(struct bench_report *report, struct lac_error *error)
{
    char model[256], governor[64], load[64];
    struct utsname system;
    bench_cpu_model(model, sizeof model);
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", governor,
              sizeof governor);
    read_line("/proc/loadavg", "", load, sizeof load);
    load[strcspn(load, " ")] = 0;
    if (uname(&system))
        memset(&system, 0, sizeof system);
    if (bench_report_fact(report, error, "cpu", "%s", model) ||
        bench_report_fact(report, error, "isa", "%s", lac_isa_name(lac_cpu_features())) ||
        bench_report_fact(report, error, "governor", "%s", governor) ||
        bench_report_fact(report, error, "load", "%s", load) ||
        bench_report_fact(report, error, "system", "%s %s %s", system.sysname, system.release,
                          system.machine))
        return error->status;
    return LAC_OK;
}

enum lac_status bench_read_machine(struct lac_error *error)
{
    struct bench_settings *s = &bench_settings;
    struct lac_topology *topology;
    if (lac_topology_new(&lac_default_host, &topology, error))
        return error->status;
    long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE);
    s->l1_bytes = l1 > 0 ? (size_t)l1 : 0;
    s->l2_bytes = lac_topology_l2_bytes(topology);
    s->l3_bytes = lac_topology_l3_bytes(topology);
    s->n_cores = lac_topology_cores(topology);
    lac_topology_describe(topology, s->topology, sizeof s->topology);
    lac_topology_free(topology);
    return LAC_OK;
}

static enum lac_status add_caches(struct bench_report *report, struct lac_error *error)
{
    const struct bench_settings *s = &bench_settings;
    if (bench_report_fact(report, error, "caches",
                          "L1d %zu KiB, L2 %zu KiB, L3 %zu MiB (a core's share)",
                          s->l1_bytes / 1024, s->l2_bytes / 1024, s->l3_bytes / 1024 / 1024))
        return error->status;
    return bench_report_fact(report, error, "topology", "%s", s->topology);
}

/* What `limits` found, for those who read shares. */
static enum lac_status add_limits(struct bench_report *report, struct lac_error *error)
{
    struct bench_limits limits;
    char text[256] = "";
    size_t used = 0;
    enum bench_limits_state state = bench_limits_load(&limits);
    for (size_t i = 0; state == BENCH_LIMITS_KNOWN && i < limits.n && used < sizeof text; i++)
        if (limits.at[i].threads == 1)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %.*f", used ? ", " : "",
                                     limits.at[i].name, limits.at[i].rate < 100, limits.at[i].rate);
    return bench_report_fact(report, error, "limits", "%s",
                             state == BENCH_LIMITS_KNOWN   ? text
                             : state == BENCH_LIMITS_STALE ? "of another machine: run limits again"
                                                           : "not measured: run limits");
}

static enum lac_status add_build(struct bench_report *report, struct lac_error *error)
{
    char date[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &parts);
    if (bench_report_fact(report, error, "compiler", "%s", __VERSION__) ||
        bench_report_fact(report, error, "flags", "%s", LACUNA_BENCH_FLAGS) ||
        bench_report_fact(report, error, "version", "%s", PACKAGE_VERSION) ||
        bench_report_fact(report, error, "commit", "%s", LACUNA_BENCH_COMMIT) ||
        bench_report_fact(report, error, "date", "%s", date))
        return error->status;
    return LAC_OK;
}

enum lac_status bench_report_context(struct bench_report *report, const char *cpus,
                                     struct lac_error *error)
{
    if (add_machine(report, error) || add_caches(report, error) ||
        bench_report_fact(report, error, "pinned", "%s", cpus) ||
        (bench_settings.subject != &bench_limits && add_limits(report, error)) ||
        add_build(report, error) ||
        bench_report_fact(report, error, "effort", "%g s and at least %zu rounds a row",
                          bench_settings.effort.seconds, bench_settings.effort.min_rounds) ||
        bench_report_fact(report, error, "seed", "%llu", (unsigned long long)bench_settings.seed))
        return error->status;
    return LAC_OK;
}

/* Writes one of the files that the settings ask for. */
struct output {
    const char *path, *ending; /* joined */
    enum lac_status (*write)(const struct bench_report *report, FILE *file,
                             struct lac_error *error);
};

static enum lac_status write_json(const struct bench_report *report, FILE *file,
                                  struct lac_error *error)
{
    return bench_report_print(report, BENCH_JSON, file, error);
}

static enum lac_status write_markdown(const struct bench_report *report, FILE *file,
                                      struct lac_error *error)
{
    return bench_report_print(report, BENCH_MARKDOWN, file, error);
}

static enum lac_status write_plot(const struct bench_report *report, FILE *file,
                                  struct lac_error *error)
{
    return bench_pictures_draw(report, bench_settings.subject->pictures, file, error);
}

static enum lac_status write_page(const struct bench_report *report, FILE *file,
                                  struct lac_error *error)
{
    return bench_page_write(report, bench_settings.subject->pictures, file, error);
}

static enum lac_status write_output(const struct bench_report *report, const struct output *output,
                                    struct lac_error *error)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s%s", output->path, output->ending) >= sizeof path)
        return lac_fail(error, LAC_E_ARGUMENT, "%.64s...: the path is too long", output->path);
    FILE *file = fopen(path, "w");
    if (!file)
        return lac_fail(error, LAC_E_IO, "%s cannot be written", path);
    enum lac_status status = output->write(report, file, error);
    if (fclose(file) && !status)
        status = lac_fail(error, LAC_E_IO, "%s cannot be written", path);
    return status;
}

enum lac_status bench_report_finish(const struct bench_report *report, struct lac_error *error)
{
    const struct bench_settings *s = &bench_settings;
    const struct output outputs[] = {
        {s->save, ".json", write_json},
        {s->save, ".md", write_markdown},
        {s->plot, "", write_plot},
        {s->page, "", write_page},
    };
    if (bench_report_print(report, s->format, stdout, error))
        return error->status;
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        if (outputs[i].path && write_output(report, &outputs[i], error))
            return error->status;
    return LAC_OK;
}
