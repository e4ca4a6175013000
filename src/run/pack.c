/* SPDX-License-Identifier: Apache-2.0 */
/* Writing packed files. */
#include <stdio.h>

#include "src/base/json.h"
#include "src/run/packed.h"

struct packer {
    struct lac_network *network;             /* not changed */
    const struct lac_tokenizer_texts *texts; /* or NULL */
    struct lac_tensor_writer *writer;
    json_t *linears;
    struct lac_arena arena; /* what lies there until it is written */
    struct lac_error *error;
};

static enum lac_status pack_bytes(struct packer *p, const char *at, const char *part,
                                  enum lac_storage storage, size_t n, const void *data)
{
    char name[LAC_PACKED_NAME_SIZE];
    return lac_tensor_writer_add(p->writer, lac_packed_name(name, at, part), storage, 1, &n, data,
                                 p->error);
}

static enum lac_status describe_linear(struct packer *p, const char *at,
                                       const struct lac_linear *linear)
{
    json_t *nonzero = json_array();
    for (size_t i = 0; i < LAC_N_PATTERNS; i++)
        json_array_append_new(nonzero, json_integer((json_int_t)linear->n_nonzero[i]));
    const struct lac_weight *w = &linear->weight;
    json_t *entry = json_pack("{s:s, s:s, s:I, s:o}", "name", linear->name, "pattern",
                              lac_pattern_name(w->pattern, w->dtype), "zeros",
                              (json_int_t)linear->n_zeros, "nonzero", nonzero);
    if (entry && w->outliers.n)
        json_object_set_new(entry, "outliers", json_integer((json_int_t)w->outliers.n));
    if (!entry || json_object_set_new(p->linears, at, entry))
        return lac_fail(p->error, LAC_E_MEMORY, "no memory to describe %s", at);
    return LAC_OK;
}

static enum lac_status pack_linear(void *context, const char *at, enum lac_role role, size_t layer)
{
    struct packer *p = context;
    const struct lac_linear *linear = lac_network_linear(p->network, role, layer);
    if (!linear->name)
        return LAC_OK;
    enum lac_status status = describe_linear(p, at, linear);
    const struct lac_weight *w = &linear->weight;
    const void *const data[LAC_N_PARTS] = {
        w->row_begin, w->index, w->masks,          w->blocks,         w->group,           w->scale,
        w->offset,    w->bias,  w->outliers.begin, w->outliers.index, w->outliers.values,
    };
    for (int i = 0; i < LAC_N_PARTS && !status; i++) {
        enum lac_packed_part part = (enum lac_packed_part)i;
        size_t size;
        if (lac_packed_has_part(w, part) && lac_packed_part_size(w, part, &size))
            status = pack_bytes(p, at, lac_packed_parts[i], LAC_STORE_U8, size, data[i]);
    }
    return status;
}

static enum lac_status pack_norm(void *context, const char *at, enum lac_role role, size_t layer)
{
    struct packer *p = context;
    const struct lac_norm *norm = lac_network_norm(p->network, role, layer);
    size_t n = p->network->config.hidden_size;
    enum lac_status status = pack_bytes(p, at, "gamma", LAC_STORE_F32, n, norm->gamma);
    if (!status && norm->beta)
        status = pack_bytes(p, at, "beta", LAC_STORE_F32, n, norm->beta);
    return status;
}

static enum lac_status pack_tensor(struct packer *p, const char *name, const struct lac_tensor *t)
{
    if (t->storage == LAC_STORE_Q8_0) { /* safetensors has nothing like it */
        size_t n = t->size_bytes / LAC_Q8_0_BYTES * LAC_Q8_0_BLOCK;
        float *values = lac_arena_alloc(&p->arena, n, sizeof *values);
        if (!values)
            return lac_fail(p->error, LAC_E_MEMORY, "%s: no memory for %zu elements", t->name, n);
        lac_tensor_to_f32(t, 0, n, values);
        return lac_tensor_writer_add(p->writer, name, LAC_STORE_F32, t->rank, t->shape, values,
                                     p->error);
    }
    return lac_tensor_writer_add(p->writer, name, t->storage, t->rank, t->shape, t->data, p->error);
}

static enum lac_status pack_tables(struct packer *p)
{
    enum lac_status status = LAC_OK;
    for (int i = 0; i < LAC_N_TABLES && !status; i++) {
        const struct lac_matrix *m = lac_packed_table(p->network, (enum lac_packed_table)i);
        if (!m->weight)
            continue;
        status = pack_tensor(p, lac_packed_tables[i], m->weight);
        if (!status && m->scale)
            status = pack_tensor(p, lac_packed_table_scales[i], m->scale);
    }
    return status;
}

static enum lac_status pack_tokenizer(struct packer *p)
{
    struct lac_tokenizer_texts texts = *p->texts;
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < LAC_N_TOKENIZER_TEXTS && !status; i++) {
        const struct lac_slice *text = lac_packed_text(&texts, i);
        status = lac_tensor_writer_add(p->writer, lac_packed_texts[i], LAC_STORE_U8, 1, &text->size,
                                       text->text, p->error);
    }
    return status;
}

static enum lac_status pack_metadata(struct packer *p)
{
    char kind[16];
    snprintf(kind, sizeof kind, "%d", p->texts ? (int)p->texts->kind : 0);
    size_t size = json_dumpb(p->linears, NULL, 0, JSON_COMPACT);
    char *linears = lac_alloc_zero(p->network->host, size + 1, 1);
    if (!linears)
        return lac_fail(p->error, LAC_E_MEMORY, "no memory for the list of weights");
    json_dumpb(p->linears, linears, size, JSON_COMPACT);
    const char *const values[][2] = {
        {"lacuna.version", LAC_PACKED_VERSION},
        {"lacuna.byte_order", lac_packed_byte_order},
        {"lacuna.dtype", lac_dtype_name(p->network->dtype)},
        {"lacuna.config", p->network->config_text},
        {"lacuna.tokenizer", p->texts ? kind : NULL},
        {"lacuna.linears", linears},
    };
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < sizeof values / sizeof values[0] && !status; i++)
        if (values[i][1])
            status = lac_tensor_writer_metadata(p->writer, values[i][0], values[i][1], p->error);
    lac_free(p->network->host, linears);
    return status;
}

enum lac_status lac_network_pack(const struct lac_network *network,
                                 const struct lac_tokenizer_texts *texts, const char *path,
                                 struct lac_error *error)
{
    /* The slot look-ups serve loading too, so they give what can be written to. */
    struct packer p = {
        .network = (struct lac_network *)(uintptr_t)network,
        .texts = texts,
        .arena.host = network->host,
        .error = error,
    };
    enum lac_status status = lac_tensor_writer_open(network->host, path, &p.writer, error);
    if (status)
        return status;
    p.linears = json_object();
    struct lac_packed_visitor visitor = {pack_linear, pack_norm, &p};
    status = p.linears ? pack_tables(&p) : lac_fail(error, LAC_E_MEMORY, "no memory to pack");
    if (!status)
        status = lac_packed_visit(&visitor, &network->config);
    if (!status && texts)
        status = pack_tokenizer(&p);
    if (!status)
        status = pack_metadata(&p);
    json_decref(p.linears);
    if (status)
        lac_tensor_writer_discard(p.writer);
    else
        status = lac_tensor_writer_commit(p.writer, error);
    lac_arena_clear(&p.arena);
    return status;
}
