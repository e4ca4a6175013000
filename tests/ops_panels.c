/* SPDX-License-Identifier: Apache-2.0 */
/* Rows to panels and back: every kernel against the definition, which is one line and so written
 * out here. */
#include "tests/ops_suite.h"

static void check_panels(const struct lac_kernel *to, const struct lac_kernel *from,
                         enum guard guard, size_t n_rows, size_t n_features, size_t tile,
                         uint64_t *state)
{
    size_t ld = tiles[tile].ld, row_size = n_features * sizeof(float);
    /* At the last lanes of the tile, and the panel ends with them. */
    size_t first = ld - LAC_LANES, panel_size = n_features * ld * sizeof(float);
    float *panel = alloc(guard, panel_size), *rows[LAC_LANES], *back[LAC_LANES];
    for (size_t r = 0; r < n_rows; r++) {
        rows[r] = alloc(guard, row_size);
        back[r] = alloc(guard, row_size);
        for (size_t f = 0; f < n_features; f++)
            rows[r][f] = random_float(state);
    }
    for (size_t i = 0; i < n_features * ld; i++)
        panel[i] = -7;
    if (to)
        to->run.to_panel(&(struct lac_to_panel_args){(const float *const *)rows, n_rows, n_features,
                                                     ld, panel + first});
    for (size_t i = 0; to && i < n_features * ld; i++) {
        size_t lane = i % ld - first;
        float expected = i % ld < first ? -7 : lane < n_rows ? rows[lane][i / ld] : 0;
        check_each(panel[i] == expected, "%s: feature %zu lane %zu of %zu: %g for %g", to->name,
                   i / ld, i % ld, ld, panel[i], expected);
    }
    for (size_t i = 0; i < n_features * ld; i++)
        panel[i] = (float)i;
    if (from)
        from->run.from_panel(
            &(struct lac_from_panel_args){panel + first, n_rows, n_features, ld, back});
    for (size_t r = 0; from && r < n_rows; r++)
        for (size_t f = 0; f < n_features; f++)
            check_each(back[r][f] == (float)(f * ld + first + r), "%s: row %zu feature %zu",
                       from->name, r, f);
    for (size_t r = 0; r < n_rows; r++) {
        release(guard, rows[r], row_size);
        release(guard, back[r], row_size);
    }
    release(guard, panel, panel_size);
}

static void all_panels(const struct lac_kernel *to, const struct lac_kernel *from)
{
    static const size_t row_counts[] = {1, 2, 7, 8, 9, 15, 16};
    uint64_t state = test_seed();
    for (int guard = 0; guard < N_GUARDS; guard++)
        for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++)
            for (size_t f = 0; f + 1 < N_FEATURE_COUNTS; f++)
                for (size_t tile = 1; tile < N_TILES; tile++)
                    check_panels(to, from, guard, row_counts[r], feature_counts[f], tile, &state);
}

static void to_panel_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    (void)scalar;
    all_panels(kernel, NULL);
}

static void from_panel_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    (void)scalar;
    all_panels(NULL, kernel);
}

START_TEST(to_panel)
{
    each_kernel(LAC_OP_TO_PANEL, to_panel_kernel);
}
END_TEST

START_TEST(from_panel)
{
    each_kernel(LAC_OP_FROM_PANEL, from_panel_kernel);
}
END_TEST

void add_panel_tests(Suite *suite)
{
    add_test(suite, "to_panel", to_panel);
    add_test(suite, "from_panel", from_panel);
}
