/* SPDX-License-Identifier: Apache-2.0 */
/* The engine and the model that the options ask for. */
#include "src/cli/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/activations.h"
#include "src/cli/command.h"

/* Where `make install` puts the models that are shipped, and where the sources have them. */
static const char *const model_folders[] = {LACUNA_DATA_DIR, "models"};

static void print_log(void *context, enum lac_log_level level, const char *text)
{
    (void)context;
    if (level == LAC_LOG_WARNING)
        complain("warning: %s", text);
}

/* Where `lacuna-bench crossover` leaves its measurements (XDG Base Directory Specification 0.8: a
 * relative path is to be ignored); NULL when the environment does not say. */
static const char *default_plan_cache(void)
{
    static char path[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (cache && *cache == '/')
        n = snprintf(path, sizeof path, "%s/lacuna/plan", cache);
    else if (home && *home == '/')
        n = snprintf(path, sizeof path, "%s/.cache/lacuna/plan", home);
    return n > 0 && (size_t)n < sizeof path ? path : NULL;
}

/* A message lives until the next call on the options, so what can fail comes last. */
static enum lac_status set_engine_options(struct lac_engine_options *to, const struct options *o)
{
    enum lac_status status = lac_engine_options_from_environment(to);
    if (status)
        return status;
    if (o->threads)
        lac_engine_options_set_threads(to, o->threads);
    if (o->bind != UNSET)
        lac_engine_options_set_bind(to, (enum lac_bind)o->bind);
    if (!o->quiet)
        lac_engine_options_set_log(to, &(struct lac_log){.write = print_log});
    const char *plan_cache = o->plan_cache ? o->plan_cache : default_plan_cache();
    if (plan_cache && strcmp(plan_cache, "none"))
        status = lac_engine_options_set_plan_cache(to, plan_cache);
    if (!status && o->isa)
        status = lac_engine_options_set_isa(to, o->isa);
    return status;
}

bool runtime_start(struct runtime *rt, const struct options *o, int *exit_status)
{
    *rt = (struct runtime){0};
    struct lac_engine_options *options = NULL;
    enum lac_status status = lac_engine_options_new(&options);
    if (!status)
        status = set_engine_options(options, o);
    if (!status)
        status = lac_engine_new(options, &rt->engine);
    if (status) {
        const char *message = options ? lac_engine_options_message(options) : "";
        complain("%s", *message ? message : lac_status_name(status));
        *exit_status = status == LAC_E_ARGUMENT ? STATUS_USAGE : STATUS_FATAL;
    }
    lac_engine_options_free(options);
    return !status;
}

const char *runtime_message(const struct runtime *rt)
{
    static char text[1024];
    return lac_engine_message(rt->engine, text, sizeof text);
}

static const char *find_default_model(const struct options *o)
{
    static char shipped[4096];
    const char *path = getenv("LACUNA_MODEL");
    if (path && *path)
        return path;
    for (size_t i = 0; i < sizeof model_folders / sizeof *model_folders; i++) {
        snprintf(shipped, sizeof shipped, "%s/%s", model_folders[i], o->shipped);
        if (!access(shipped, F_OK))
            return shipped;
    }
    return NULL;
}

static bool open_model(struct runtime *rt, const struct options *o, const char *path,
                       enum lac_activations_rule activations, struct lac_model **model,
                       int *exit_status)
{
    struct lac_model_options *options = NULL;
    enum lac_status status = lac_model_options_new(&options);
    if (!status) {
        if (o->dtype != UNSET)
            lac_model_options_set_dtype(options, (enum lac_dtype)o->dtype);
        if (o->pattern != UNSET)
            lac_model_options_set_pattern(options, (enum lac_pattern)o->pattern);
        lac_model_options_set_outliers(options, o->outliers);
        lac_model_options_set_activations(options, activations);
        status = lac_model_open(rt->engine, path, options, model);
    }
    lac_model_options_free(options);
    if (status) {
        const char *message = runtime_message(rt);
        complain("%s", *message ? message : lac_status_name(status));
        *exit_status = STATUS_FATAL;
    }
    return !status;
}

bool runtime_open_model(struct runtime *rt, const struct options *o, const char *path,
                        int *exit_status)
{
    if (!path)
        path = find_default_model(o);
    if (path)
        return open_model(rt, o, path, activations_prepared(o), &rt->model, exit_status);
    complain("no model: give --model or set LACUNA_MODEL (%s/%s is not there)", model_folders[0],
             o->shipped);
    *exit_status = STATUS_FATAL;
    return false;
}

bool runtime_open_draft(struct runtime *rt, const struct options *o, int *exit_status)
{
    return open_model(rt, o, o->draft, LAC_ACTIVATIONS_ALL, &rt->draft, exit_status);
}

void runtime_close(struct runtime *rt)
{
    lac_model_free(rt->draft);
    lac_model_free(rt->model);
    lac_engine_free(rt->engine);
    *rt = (struct runtime){0};
}
