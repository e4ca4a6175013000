/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep: each combination of the values of some lists is a comparison, the rows of all of them
 * are one report. */
#include "bench/sweep.h"

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/names.h"
#include "src/base/host.h"

static enum lac_status compare(const struct bench_sweep *sweep, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    char name[96];
    sweep->name(at, name, sizeof name);
    bench_progress_start(&record->progress, name);
    void *comparison = lac_alloc_zero(&lac_default_host, 1, sweep->comparison_bytes);
    if (!comparison)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a comparison");
    enum lac_status status = sweep->compare(comparison, at, record, error);
    sweep->close(comparison);
    lac_free(&lac_default_host, comparison);
    record->progress.now = "";
    return status ? lac_fail_in(error, status, "%s", name) : LAC_OK;
}

static enum lac_status compare_all(const struct bench_sweep *sweep, struct bench_record *record,
                                   struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    size_t n = 1;
    for (size_t i = 0; i < BENCH_MOST_LISTS && sweep->n_values[i]; i++)
        n *= sweep->n_values[i];
    bench_progress_begin(&record->progress, n);
    for (size_t number = 0; !status && number < n; number++) {
        size_t at[BENCH_MOST_LISTS] = {0}, left = number;
        for (size_t i = BENCH_MOST_LISTS; i-- > 0;)
            if (sweep->n_values[i]) {
                at[i] = left % sweep->n_values[i];
                left /= sweep->n_values[i];
            }
        status = compare(sweep, at, record, error);
    }
    bench_progress_end(&record->progress);
    return status;
}

enum lac_status bench_sweep_run(const struct bench_sweep *sweep, struct lac_error *error)
{
    struct bench_record record;
    struct bench_report *report = &record.report;
    bench_report_open(report, bench_settings.subject->name, sweep->columns);
    enum lac_status status = bench_report_context(report, sweep->binding, error);
    for (size_t i = 0; !status && sweep->facts[i].key; i++)
        status = bench_report_fact(report, error, sweep->facts[i].key, "%s", sweep->facts[i].value);
    if (!status)
        status = compare_all(sweep, &record, error);
    if (!status)
        status = bench_report_finish(report, error);
    bench_report_close(report);
    return status;
}

enum lac_status bench_read_isas(const char *text, struct bench_choices *isas,
                                struct lac_error *error)
{
    if (bench_read_choices("isa", text, bench_isa_names(), isas, error))
        return error->status;
    for (size_t i = 0; i < isas->n; i++)
        if (!bench_isa_is_here(isas->at[i]))
            return lac_fail(error, LAC_E_UNSUPPORTED, "--isa %s: this processor has it not",
                            bench_isa_names()[isas->at[i]]);
    return LAC_OK;
}

void bench_report_times(struct bench_report *report, const struct bench_contender *contender,
                        enum bench_unit unit)
{
    static const struct {
        double ns;
        const char *median, *min, *p95;
    } units[] = {
        [BENCH_US] = {1e3, "time_us_median", "time_us_min", "time_us_p95"},
        [BENCH_MS] = {1e6, "time_ms_median", "time_ms_min", "time_ms_p95"},
    };
    struct bench_times times = bench_times_of(contender);
    bench_report_number(report, units[unit].median, times.median_ns / units[unit].ns);
    bench_report_number(report, units[unit].min, times.min_ns / units[unit].ns);
    bench_report_number(report, units[unit].p95, times.p95_ns / units[unit].ns);
}

enum lac_status bench_report_roof(struct bench_report *report,
                                  const struct bench_contender *contender, struct lac_error *error)
{
    bench_report_number(report, "roof_rate", bench_roof_of(contender));
    bench_report_number(report, "roof_share", bench_roof_share(contender));
    return bench_report_text(report, "roof", contender->ceiling.name, error);
}
