/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary directory for a model, which does not outlive the program. */
#include "bench/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_FILES = 3, PATH_SIZE = 4096 };

/* Put together beforehand: a signal handler may not format. */
static char directory_path[PATH_SIZE], file_paths[N_FILES][PATH_SIZE + 32];
static volatile sig_atomic_t is_open;

static void remove_all(void)
{
    if (!is_open)
        return;
    is_open = 0;
    for (size_t i = 0; i < N_FILES; i++)
        unlink(file_paths[i]);
    rmdir(directory_path);
}

/* Ends as the signal would have. */
static void on_signal(int number)
{
    remove_all();
    signal(number, SIG_DFL);
    raise(number);
}

enum lac_status bench_scratch_open(const char **directory, struct lac_error *error)
{
    static const char *const names[N_FILES] = {"config.json", "model.safetensors",
                                               "model.safetensors.partial"};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const char *parent = getenv("TMPDIR");
    int size =
        snprintf(directory_path, PATH_SIZE, "%s/lacuna-bench-XXXXXX", parent ? parent : "/tmp");
    if (size >= PATH_SIZE || !mkdtemp(directory_path))
        return lac_fail(error, LAC_E_IO, "no temporary directory in %s: %s",
                        parent ? parent : "/tmp", strerror(errno));
    for (size_t i = 0; i < N_FILES; i++)
        snprintf(file_paths[i], sizeof file_paths[i], "%s/%s", directory_path, names[i]);
    is_open = 1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], on_signal);
    *directory = directory_path;
    return LAC_OK;
}

void bench_scratch_close(void)
{
    remove_all();
}
