/* SPDX-License-Identifier: Apache-2.0 */
/* --activations: what tokens leave out; its thresholds, from a text or an earlier result. */
#include "src/cli/activations.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/command.h"
#include "src/cli/input.h"

/* More say no more of a layer. */
enum { MOST_TOKENS = 8192 };

/* {"thresholds": [...]} among other things. */
static bool take_thresholds(const char *path, const json_t *json, float *thresholds, size_t n)
{
    const json_t *array = json_object_get(json, "thresholds");
    if (json_array_size(array) != n) {
        complain("%s: %zu thresholds; the model has %zu layers", path, json_array_size(array), n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_number(value)) {
            complain("%s: threshold %zu is not a number", path, i);
            return false;
        }
        thresholds[i] = (float)json_number_value(value);
    }
    return true;
}

static bool measure(const struct runtime *rt, const struct lac_encoding *e, double share,
                    float *thresholds)
{
    struct lac_session_options *options = NULL;
    struct lac_session *session = NULL;
    size_t n = e->n < MOST_TOKENS ? e->n : MOST_TOKENS;
    bool good = false;
    if (!lac_session_options_new(&options)) {
        lac_session_options_set_task(options, LAC_TASK_GENERATE);
        if (lac_session_new(rt->model, options, &session))
            complain("%s", runtime_message(rt));
        else if (lac_session_calibrate(session, e->ids, n, share, thresholds))
            complain("%s", lac_session_message(session));
        else
            good = true;
    }
    lac_session_free(session);
    lac_session_options_free(options);
    return good;
}

static bool use_text(const struct runtime *rt, const struct options *o, double share,
                     const char *text, size_t size, float *thresholds)
{
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(rt->model);
    struct lac_encoding e = {0};
    bool good = false;
    if (!tokenizer)
        complain("the model has no tokenizer");
    else if (lac_tokenizer_encode(tokenizer, text, size, NULL, 0, 0, LAC_TRUNCATE_ERROR, &e))
        complain("%s: not UTF-8, or too long", o->calibrate);
    else
        good = measure(rt, &e, share, thresholds);
    lac_encoding_clear(&e);
    return good;
}

static bool find_thresholds(const struct runtime *rt, const struct options *o, double share,
                            float *thresholds)
{
    char *text = NULL;
    size_t size = 0;
    bool good = input_read_all(o->calibrate, &text, &size);
    json_t *json = good ? json_loadb(text, size, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    if (json_object_get(json, "thresholds"))
        good = take_thresholds(o->calibrate, json, thresholds, lac_model_layers(rt->model));
    else if (good)
        good = use_text(rt, o, share, text, size, thresholds);
    json_decref(json);
    free(text);
    return good;
}

/* ---- What is asked for ---- */

/* A share that the text begins with; *end is behind it. */
static bool read_share(const char *text, char **end, double *share)
{
    *share = strtod(text, end);
    return *end > text && *share >= 0 && *share <= 1;
}

static bool parse_cats(const char *text, struct activations *a)
{
    char *end;
    a->policy.rule = LAC_ACTIVATIONS_CATS;
    return read_share(text, &end, &a->share) && !*end;
}

static bool parse_core(const char *text, struct activations *a)
{
    char *end;
    struct lac_activations_policy *p = &a->policy;
    p->rule = LAC_ACTIVATIONS_CORE;
    if (!read_share(text, &end, &p->core_share) || p->core_share <= 0)
        return false;
    return !*end || (*end == ',' && read_share(end + 1, &end, &p->token_share) && !*end &&
                     p->token_share > 0);
}

bool activations_parse(const char *text, struct activations *a)
{
    *a = (struct activations){.share = 1};
    if (!text || !strcmp(text, "none"))
        return true;
    if (!strncmp(text, "cats:", 5) && parse_cats(text + 5, a))
        return true;
    if (!strncmp(text, "core:", 5) && parse_core(text + 5, a))
        return true;
    complain("--activations: '%s' is none of none, cats:SHARE, core:SHARE[,SHARE], the shares "
             "from 0 to 1",
             text);
    return false;
}

enum lac_activations_rule activations_prepared(const struct options *o)
{
    for (size_t i = 0; o->activations[i]; i++)
        if (!strncmp(o->activations[i], "cats:", 5))
            return LAC_ACTIVATIONS_CATS;
    return LAC_ACTIVATIONS_ALL;
}

bool activations_find(const struct runtime *rt, const struct options *o, struct activations *a)
{
    if (a->policy.rule != LAC_ACTIVATIONS_CATS)
        return true;
    if (!o->calibrate) {
        complain("--activations cats: give --calibrate FILE too");
        return false;
    }
    a->policy.n_thresholds = lac_model_layers(rt->model);
    float *thresholds = calloc(a->policy.n_thresholds, sizeof *thresholds);
    a->policy.thresholds = thresholds;
    if (!thresholds)
        complain("no memory for thresholds");
    return thresholds && find_thresholds(rt, o, a->share, thresholds);
}

void activations_free(struct activations *a)
{
    free((float *)a->policy.thresholds);
    *a = (struct activations){0};
}
