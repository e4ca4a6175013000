/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what goes in, and the run. */
#include "src/api/session.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/text/tokenizer.h"

/* ---- Opening ---- */

static enum lac_status choose_task(const struct lac_model *model, unsigned asked,
                                   struct lac_head *head, struct lac_error *error)
{
    unsigned tasks = model->network->config.tasks, task = asked ? asked : tasks & -tasks;
    if (task & (task - 1) || task > LAC_TASK_GENERATE)
        return lac_fail(error, LAC_E_ARGUMENT, "%u is not one task", task);
    if (!(task & tasks))
        return lac_fail(error, LAC_E_UNSUPPORTED, "the model, %s, has no head for task %u",
                        model->network->config.architecture, task);
    if (task == LAC_TASK_FILL && model->mask_id < 0)
        return lac_fail(error, LAC_E_UNSUPPORTED, "the model's tokenizer has no mask token");
    head->task = (enum lac_task)task;
    return LAC_OK;
}

static enum lac_status choose_pooling(const struct lac_network *network,
                                      const struct lac_session_options *o, struct lac_head *head,
                                      struct lac_error *error)
{
    static const enum lac_pooling poolings[] = {
        [LAC_CONFIG_POOL_MEAN] = LAC_POOL_MEAN,
        [LAC_CONFIG_POOL_CLS] = LAC_POOL_CLS,
        [LAC_CONFIG_POOL_POOLER] = LAC_POOL_POOLER,
    };
    if (o->pooling < LAC_POOL_DEFAULT || o->pooling > LAC_POOL_POOLER ||
        o->normalize < LAC_NORMALIZE_NONE || o->normalize > LAC_NORMALIZE_L2)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown pooling %d or normalization %d",
                        (int)o->pooling, (int)o->normalize);
    bool is_default = o->pooling == LAC_POOL_DEFAULT;
    head->pooling = is_default ? poolings[network->config.pooling] : o->pooling;
    head->normalize = is_default && network->config.normalize ? LAC_NORMALIZE_L2 : o->normalize;
    if (head->task == LAC_TASK_EMBED && head->pooling == LAC_POOL_POOLER && !network->pooler.name)
        return lac_fail(error, LAC_E_UNSUPPORTED, "the model has no pooler");
    return LAC_OK;
}

static enum lac_status open_session(struct lac_session *s, const struct lac_session_options *o,
                                    struct lac_error *error)
{
    struct lac_head head = {0};
    const struct lac_network *network = s->model->network;
    if (o->truncate < LAC_TRUNCATE_LONGEST || o->truncate > LAC_TRUNCATE_ERROR)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown truncation %d", (int)o->truncate);
    enum lac_status status = choose_task(s->model, o->task, &head, error);
    if (!status)
        status = choose_pooling(network, o, &head, error);
    if (status)
        return status;
    s->truncate = o->truncate;
    s->workspace.head = head;
    if (head.task == LAC_TASK_GENERATE) {
        struct lac_generation_options generation = o->generation;
        generation.batch_tokens = o->batch_tokens;
        return lac_generator_new(s->model, &generation, &s->generator, error);
    }
    s->width = lac_head_width(network, &head);
    const struct lac_attention_text *plan = &o->generation.attention;
    if (plan->text)
        status = lac_sights_read(network, plan->text, plan->size, &s->arena, &s->sights, error);
    return status ? status
                  : lac_workspace_open(&s->workspace, s->host, network, s->model->engine->pool,
                                       &head, plan->text ? &s->sights : NULL,
                                       o->batch_tokens ? o->batch_tokens : network->batch_tokens,
                                       error);
}

enum lac_status lac_session_new(struct lac_model *model, const struct lac_session_options *options,
                                struct lac_session **session)
{
    static const struct lac_session_options defaults;
    struct lac_error error = {0};
    struct lac_session *s = NULL;
    if (!session) {
        lac_fail(&error, LAC_E_ARGUMENT, "lac_session_new: session is NULL");
        goto fail;
    }
    s = lac_alloc_zero(&model->engine->host, 1, sizeof *s);
    if (!s) {
        lac_fail(&error, LAC_E_MEMORY, "no memory for a session");
        goto fail;
    }
    s->host = &model->engine->host;
    s->arena.host = s->host;
    s->model = model;
    if (open_session(s, options ? options : &defaults, &error))
        goto fail;
    *session = s;
    return LAC_OK;

fail:
    lac_session_free(s);
    return lac_engine_fail(model->engine, &error);
}

void lac_session_free(struct lac_session *session)
{
    if (!session)
        return;
    for (size_t i = 0; i < session->entry_capacity; i++) {
        lac_encoding_clear(&session->entries[i].encoding);
        lac_free(session->host, session->entries[i].masks);
    }
    lac_generator_free(session->generator);
    lac_workspace_close(&session->workspace);
    lac_arena_clear(&session->arena);
    lac_free(session->host, session->tuned);
    lac_free(session->host, session->entries);
    lac_free(session->host, session->rows);
    lac_free(session->host, session->extra);
    lac_free(session->host, session->sequences);
    lac_free(session->host, session);
}

const char *lac_session_message(const struct lac_session *session)
{
    return session->error.text;
}

/* ---- Adding ---- */

static enum lac_status grow_entries(struct lac_session *s)
{
    if (s->n_entries < s->entry_capacity)
        return LAC_OK;
    size_t n = s->entry_capacity ? s->entry_capacity * 2 : 8;
    struct lac_entry *entries =
        lac_realloc(s->host, s->entries, s->entry_capacity, n, sizeof *entries);
    if (!entries)
        return lac_fail(&s->error, LAC_E_MEMORY, "no memory for %zu sequences", n);
    memset(entries + s->entry_capacity, 0, (n - s->entry_capacity) * sizeof *entries);
    s->entries = entries;
    s->entry_capacity = n;
    return LAC_OK;
}

static enum lac_status find_masks(struct lac_session *s, struct lac_entry *entry)
{
    entry->n_masks = 0;
    if (s->workspace.head.task != LAC_TASK_FILL)
        return LAC_OK;
    const struct lac_encoding *e = &entry->encoding;
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++)
        n += e->ids[i] == s->model->mask_id;
    if (n > entry->mask_capacity) {
        uint32_t *masks = lac_alloc(s->host, n, sizeof *masks);
        if (!masks)
            return lac_fail(&s->error, LAC_E_MEMORY, "no memory for %zu masks", n);
        lac_free(s->host, entry->masks);
        entry->masks = masks;
        entry->mask_capacity = n;
    }
    for (size_t i = 0; i < e->n; i++)
        if (e->ids[i] == s->model->mask_id)
            entry->masks[entry->n_masks++] = (uint32_t)i;
    return LAC_OK;
}

/* Believes neither a caller's ids nor that a tokenizer fits its model. */
static enum lac_status check_tokens(struct lac_session *s, const struct lac_encoding *e,
                                    enum lac_status blame)
{
    const struct lac_config *config = &s->model->network->config;
    if (!e->n)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "a sequence without tokens");
    if (e->n > config->max_tokens)
        return lac_fail(&s->error, LAC_E_LIMIT, "%zu tokens; the model takes %zu", e->n,
                        config->max_tokens);
    for (size_t i = 0; i < e->n; i++) {
        if (e->ids[i] < 0 || (size_t)e->ids[i] >= config->vocab_size)
            return lac_fail(&s->error, blame, "token %zu: id %d; the model has %zu words", i,
                            (int)e->ids[i], config->vocab_size);
        if (config->n_token_types && e->type_ids[i] >= config->n_token_types)
            return lac_fail(&s->error, blame, "token %zu: type %d; the model has %zu types", i,
                            (int)e->type_ids[i], config->n_token_types);
    }
    return LAC_OK;
}

static enum lac_status add(struct lac_session *s, struct lac_entry *entry, size_t *sequence)
{
    enum lac_status status = find_masks(s, entry);
    if (status)
        return status;
    if (sequence)
        *sequence = s->n_entries;
    s->n_entries++;
    s->n_tokens += entry->encoding.n;
    return LAC_OK;
}

/* Of a text. */
static size_t most_tokens(const struct lac_session *s)
{
    enum lac_task task = s->workspace.head.task;
    if (task == LAC_TASK_CLASSIFY || task == LAC_TASK_EMBED)
        return lac_model_text_tokens(s->model);
    return s->model->network->config.max_tokens;
}

enum lac_status lac_session_add_text(struct lac_session *session, const char *text, size_t size,
                                     const char *pair, size_t pair_size, size_t *sequence)
{
    struct lac_session *s = session;
    lac_error_clear(&s->error);
    if (s->generator)
        return lac_session_add_prompt(s, text, size, pair, sequence);
    if (!s->model->tokenizer)
        return lac_fail(&s->error, LAC_E_STATE, "the model came without a tokenizer");
    if (!text && size)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "text is NULL");
    enum lac_status status = grow_entries(s);
    if (status)
        return status;
    struct lac_entry *entry = &s->entries[s->n_entries];
    const struct lac_config *config = &s->model->network->config;
    status = lac_tokenizer_encode_text(s->model->tokenizer, text ? text : "", size, pair, pair_size,
                                       most_tokens(s), s->truncate, &entry->encoding, &s->error);
    if (status)
        return status;
    entry->is_text = true;
    /* Tokenizers count texts; a model of one type (RoBERTa) does not. */
    if (config->n_token_types < 2)
        memset(entry->encoding.type_ids, 0, entry->encoding.n);
    status = check_tokens(s, &entry->encoding, LAC_E_UNSUPPORTED);
    return status ? status : add(s, entry, sequence);
}

/* Room for n tokens, in the way of the tokenizer: whoever comes next may use it. */
static bool reserve(struct lac_encoding *e, const struct lac_host *host, size_t n)
{
    if (e->capacity >= n)
        return true;
    lac_encoding_clear(e);
    e->host = host;
    e->ids = lac_alloc(host, n, sizeof *e->ids);
    e->type_ids = lac_alloc(host, n, sizeof *e->type_ids);
    e->sequence = lac_alloc(host, n, sizeof *e->sequence);
    e->begin = lac_alloc(host, n, sizeof *e->begin);
    e->end = lac_alloc(host, n, sizeof *e->end);
    if (!e->ids || !e->type_ids || !e->sequence || !e->begin || !e->end) {
        lac_encoding_clear(e);
        return false;
    }
    e->capacity = n;
    return true;
}

enum lac_status lac_session_add_ids(struct lac_session *session, const int32_t *ids,
                                    const uint8_t *type_ids, size_t n, size_t *sequence)
{
    struct lac_session *s = session;
    lac_error_clear(&s->error);
    if (s->generator)
        return lac_session_add_prompt_ids(s, ids, type_ids, n, sequence);
    if (!ids && n)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "ids is NULL");
    if (n > s->model->network->config.max_tokens)
        return lac_fail(&s->error, LAC_E_LIMIT, "%zu tokens; the model takes %zu", n,
                        s->model->network->config.max_tokens);
    enum lac_status status = grow_entries(s);
    if (status)
        return status;
    struct lac_entry *entry = &s->entries[s->n_entries];
    struct lac_encoding *e = &entry->encoding;
    if (!reserve(e, s->host, n))
        return lac_fail(&s->error, LAC_E_MEMORY, "no memory for %zu tokens", n);
    e->n = n;
    e->n_dropped = 0;
    for (size_t i = 0; i < n; i++) {
        e->ids[i] = ids[i];
        e->type_ids[i] = type_ids ? type_ids[i] : 0;
        e->sequence[i] = e->type_ids[i] ? 1 : 0;
        e->begin[i] = 0;
        e->end[i] = 0;
    }
    entry->is_text = false;
    status = check_tokens(s, e, LAC_E_ARGUMENT);
    return status ? status : add(s, entry, sequence);
}

size_t lac_session_sequences(const struct lac_session *session)
{
    return session->generator ? lac_generator_sequences(session->generator) : session->n_entries;
}

size_t lac_session_tokens(const struct lac_session *session)
{
    return session->generator ? lac_generator_tokens(session->generator) : session->n_tokens;
}

void lac_session_clear(struct lac_session *session)
{
    lac_error_clear(&session->error);
    if (session->generator)
        lac_generator_clear(session->generator);
    session->n_entries = 0;
    session->n_run = 0;
    session->n_tokens = 0;
    session->n_rows = 0;
}

/* ---- Running ---- */

static size_t rows_of(const struct lac_session *s, const struct lac_entry *entry)
{
    if (s->workspace.head.task == LAC_TASK_EMBED)
        return 1;
    switch (lac_head_keep(&s->workspace.head)) {
    case LAC_KEEP_FIRST:
        return 1;
    case LAC_KEEP_LISTED:
        return entry->n_masks;
    default:
        return entry->encoding.n;
    }
}

static bool has_extra(const struct lac_session *s)
{
    enum lac_task task = s->workspace.head.task;
    return task == LAC_TASK_CLASSIFY || task == LAC_TASK_TAG || task == LAC_TASK_ANSWER;
}

static enum lac_status grow_rows(struct lac_session *s, size_t n_rows)
{
    size_t size;
    if (n_rows <= s->row_capacity)
        return LAC_OK;
    if (!lac_mul_size(s->width, sizeof(float), &size))
        size = SIZE_MAX;
    float *rows = lac_alloc(s->host, n_rows, size);
    float *extra = rows && has_extra(s) ? lac_alloc(s->host, n_rows, size) : NULL;
    if (!rows || (has_extra(s) && !extra)) {
        lac_free(s->host, rows);
        return lac_fail(&s->error, LAC_E_MEMORY, "no memory for %zu results of %zu numbers", n_rows,
                        s->width);
    }
    if (s->n_rows)
        memcpy(rows, s->rows, s->n_rows * size);
    if (s->n_rows && extra)
        memcpy(extra, s->extra, s->n_rows * size);
    lac_free(s->host, s->rows);
    lac_free(s->host, s->extra);
    s->rows = rows;
    s->extra = extra;
    s->row_capacity = n_rows;
    return LAC_OK;
}

static enum lac_status grow_sequences(struct lac_session *s, size_t n)
{
    if (n <= s->sequence_capacity)
        return LAC_OK;
    struct lac_sequence *sequences = lac_alloc(s->host, n, sizeof *sequences);
    if (!sequences)
        return lac_fail(&s->error, LAC_E_MEMORY, "no memory for %zu sequences", n);
    lac_free(s->host, s->sequences);
    s->sequences = sequences;
    s->sequence_capacity = n;
    return LAC_OK;
}

/* Gives each new entry its rows; returns how many there are in all. */
static size_t place_rows(struct lac_session *s)
{
    size_t n = s->n_rows;
    for (size_t i = s->n_run; i < s->n_entries; i++) {
        s->entries[i].first_row = n;
        s->entries[i].n_rows = rows_of(s, &s->entries[i]);
        n += s->entries[i].n_rows;
    }
    return n;
}

enum lac_status lac_session_run(struct lac_session *session)
{
    struct lac_session *s = session;
    lac_error_clear(&s->error);
    if (s->generator)
        return lac_session_generate(s, NULL, NULL);
    size_t n = s->n_entries - s->n_run, n_rows = place_rows(s);
    if (!n)
        return LAC_OK;
    enum lac_status status = grow_rows(s, n_rows);
    if (!status)
        status = grow_sequences(s, n);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++) {
        const struct lac_entry *entry = &s->entries[s->n_run + i];
        s->sequences[i] = (struct lac_sequence){
            .ids = entry->encoding.ids,
            .type_ids = entry->encoding.type_ids,
            .n_tokens = entry->encoding.n,
            .kept = entry->masks,
            .n_kept = entry->n_masks,
            .rows = s->rows + entry->first_row * s->width,
        };
    }
    status = lac_workspace_run(&s->workspace, s->sequences, n, &s->error);
    if (status)
        return status;
    for (size_t i = s->n_run; i < s->n_entries; i++)
        lac_session_finish(s, &s->entries[i]);
    s->n_run = s->n_entries;
    s->n_rows = n_rows;
    return LAC_OK;
}
