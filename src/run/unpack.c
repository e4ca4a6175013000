/* SPDX-License-Identifier: Apache-2.0 */
/* Opening packed files.  Nothing in the file is believed: names, kinds, sizes, places and contents
 * of all that is used are checked before a kernel sees it. */
#include <math.h>
#include <string.h>

#include "sparse/sums.h"
#include "src/base/checked.h"
#include "src/base/json.h"
#include "src/run/packed.h"
#include "src/run/plan.h"

struct unpacker {
    struct lac_network *network;
    const struct lac_tensors *tensors;
    json_t *linears;
    const char *path;
    struct lac_error *error;
};

static enum lac_status find_metadata(struct unpacker *u, const char *key, const char **value)
{
    *value = lac_tensors_metadata(u->tensors, key);
    if (!*value)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: not a packed model: no %s in its metadata",
                        u->path, key);
    return LAC_OK;
}

static enum lac_status find_tensor(struct unpacker *u, const char *at, const char *part,
                                   enum lac_storage storage, const struct lac_tensor **tensor)
{
    char name[LAC_PACKED_NAME_SIZE];
    lac_packed_name(name, at, part);
    const struct lac_tensor *t = lac_tensors_find(u->tensors, name);
    if (!t)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: no tensor %s", u->path, name);
    if (t->storage != storage || t->rank != 1)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: %s is %s of rank %u", u->path, name,
                        t->storage_name, t->rank);
    if (t->size_bytes && (uintptr_t)t->data % LAC_ALIGNMENT)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: %s does not lie on %d bytes", u->path, name,
                        (int)LAC_ALIGNMENT);
    *tensor = t;
    return LAC_OK;
}

/* An array that is used in place. */
static enum lac_status unpack_array(struct unpacker *u, const char *at, const char *part,
                                    enum lac_storage storage, size_t size_bytes, const void **data)
{
    static const uint64_t nothing;
    const struct lac_tensor *t = NULL;
    enum lac_status status = find_tensor(u, at, part, storage, &t);
    if (status)
        return status;
    if (t->size_bytes != size_bytes)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: %s.%s has %zu bytes instead of %zu", u->path,
                        at, part, t->size_bytes, size_bytes);
    *data = size_bytes ? t->data : &nothing;
    return LAC_OK;
}

static enum lac_status find_pattern(struct unpacker *u, const char *at, const char *name,
                                    enum lac_pattern *pattern)
{
    for (int p = 0; p < LAC_N_PATTERNS; p++)
        if (name && lac_pattern_holds((enum lac_pattern)p, u->network->dtype) &&
            !strcmp(name, lac_pattern_name((enum lac_pattern)p, u->network->dtype))) {
            *pattern = (enum lac_pattern)p;
            return LAC_OK;
        }
    return lac_fail(u->error, LAC_E_FORMAT, "%s: %s: unknown pattern \"%s\"", u->path, at,
                    name ? name : "");
}

static enum lac_status read_counts(struct unpacker *u, const char *at, const json_t *entry,
                                   struct lac_linear *linear)
{
    const struct lac_weight *w = &linear->weight;
    const json_t *nonzero = json_object_get(entry, "nonzero");
    enum lac_status status =
        lac_json_size(entry, "zeros", 0, 0, w->n_out * w->n_in, &linear->n_zeros, u->error);
    if (status)
        return lac_fail_in(u->error, status, "%s: %s", u->path, at);
    for (size_t p = 0; p < LAC_N_PATTERNS; p++) {
        size_t most = lac_pattern_blocks((enum lac_pattern)p, w->dtype, w->n_out, w->n_in);
        json_int_t n = json_integer_value(json_array_get(nonzero, p));
        if (n < 0 || (uint64_t)n > most)
            return lac_fail(u->error, LAC_E_FORMAT, "%s: %s: %lld blocks of %zu", u->path, at,
                            (long long)n, most);
        linear->n_blocks[p] = most;
        linear->n_nonzero[p] = (size_t)n;
    }
    return LAC_OK;
}

/* Counts that follow from the shape; n_blocks from the size of the blocks. */
static enum lac_status shape_weight(struct unpacker *u, const char *at, enum lac_role role,
                                    enum lac_pattern pattern, struct lac_weight *w)
{
    const struct lac_tensor *blocks = NULL;
    enum lac_status status =
        find_tensor(u, at, lac_packed_parts[LAC_PART_BLOCKS], LAC_STORE_U8, &blocks);
    if (status)
        return status;
    w->dtype = u->network->dtype;
    w->pattern = pattern;
    lac_linear_shape(&u->network->config, role, &w->n_out, &w->n_in);
    w->n_dwords = lac_ceil_div(w->n_in, lac_dword_inputs(w->dtype));
    w->n_block_rows = lac_round_up(w->n_out, lac_pattern_unit(pattern)) / lac_pattern_rows(pattern);
    size_t block_bytes = lac_block_bytes(pattern, w->dtype), tail = lac_blocks_tail_bytes(pattern);
    if (blocks->size_bytes < tail || (blocks->size_bytes - tail) % block_bytes)
        return lac_fail(u->error, LAC_E_FORMAT,
                        "%s: %s.blocks has %zu bytes, not %zu and a multiple of %zu", u->path, at,
                        blocks->size_bytes, tail, block_bytes);
    w->n_blocks = (blocks->size_bytes - tail) / block_bytes;
    return LAC_OK;
}

static enum lac_status unpack_weight(struct unpacker *u, const char *at, enum lac_role role,
                                     const json_t *entry, enum lac_pattern pattern,
                                     struct lac_weight *w)
{
    const void *data[LAC_N_PARTS] = {0};
    enum lac_status status = shape_weight(u, at, role, pattern, w);
    if (!status) {
        status =
            lac_json_size(entry, "outliers", 0, 0, w->n_out * w->n_in, &w->outliers.n, u->error);
        if (status)
            return lac_fail_in(u->error, status, "%s: %s", u->path, at);
    }
    for (int i = 0; i < LAC_N_PARTS && !status; i++) {
        enum lac_packed_part part = (enum lac_packed_part)i;
        size_t size;
        if (!lac_packed_has_part(w, part))
            continue;
        if (!lac_packed_part_size(w, part, &size))
            return lac_fail(u->error, LAC_E_FORMAT, "%s: %s has %zu blocks", u->path, at,
                            w->n_blocks);
        status = unpack_array(u, at, lac_packed_parts[i], LAC_STORE_U8, size, &data[i]);
    }
    if (status)
        return status;
    w->row_begin = data[LAC_PART_ROW_BEGIN];
    w->index = data[LAC_PART_INDEX];
    w->masks = data[LAC_PART_MASKS];
    w->blocks = data[LAC_PART_BLOCKS];
    w->group = data[LAC_PART_GROUP];
    w->scale = data[LAC_PART_SCALE];
    w->offset = data[LAC_PART_OFFSET];
    w->bias = data[LAC_PART_BIAS];
    w->outliers.begin = data[LAC_PART_OUTLIER_BEGIN];
    w->outliers.index = data[LAC_PART_OUTLIER_INDEX];
    w->outliers.values = data[LAC_PART_OUTLIERS];
    status = lac_weight_check(w, u->error);
    if (!status)
        status = lac_weight_derive(w, &u->network->arena, u->error);
    return status ? lac_fail_in(u->error, status, "%s: %s", u->path, at) : LAC_OK;
}

static enum lac_status unpack_linear(void *context, const char *at, enum lac_role role,
                                     size_t layer)
{
    struct unpacker *u = context;
    struct lac_network *network = u->network;
    const json_t *entry = json_object_get(u->linears, at);
    if (!entry && lac_role_need(&network->config, role) == LAC_NEED_IF_THERE)
        return LAC_OK;
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (!name)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: lacuna.linears does not name %s", u->path, at);
    struct lac_linear *linear = lac_network_linear(network, role, layer);
    enum lac_pattern pattern = LAC_PATTERN_DENSE;
    enum lac_status status =
        find_pattern(u, at, json_string_value(json_object_get(entry, "pattern")), &pattern);
    if (!status)
        status = unpack_weight(u, at, role, entry, pattern, &linear->weight);
    if (!status)
        status = read_counts(u, at, entry, linear);
    if (status)
        return status;
    linear->name = lac_arena_strndup(&network->arena, name, strlen(name));
    if (!linear->name)
        return lac_fail(u->error, LAC_E_MEMORY, "%s: no memory for a name", u->path);
    struct lac_weight_stats stats = {.n_zeros = linear->n_zeros};
    memcpy(stats.n_blocks, linear->n_blocks, sizeof stats.n_blocks);
    memcpy(stats.n_nonzero, linear->n_nonzero, sizeof stats.n_nonzero);
    lac_plan_costs(network, &stats, linear->weight.n_out, linear->weight.n_in, linear->cost);
    return lac_plan_kernels(network, linear, &network->arena, u->error);
}

static enum lac_status unpack_norm(void *context, const char *at, enum lac_role role, size_t layer)
{
    struct unpacker *u = context;
    size_t n = u->network->config.hidden_size;
    const void *gamma = NULL, *beta = NULL;
    enum lac_status status = unpack_array(u, at, "gamma", LAC_STORE_F32, n * sizeof(float), &gamma);
    if (!status && u->network->config.norm_kind == LAC_NORM_LAYER)
        status = unpack_array(u, at, "beta", LAC_STORE_F32, n * sizeof(float), &beta);
    if (status)
        return status;
    *lac_network_norm(u->network, role, layer) = (struct lac_norm){gamma, beta};
    return LAC_OK;
}

static bool is_real(enum lac_storage storage)
{
    return storage == LAC_STORE_F64 || storage == LAC_STORE_F32 || storage == LAC_STORE_F16 ||
           storage == LAC_STORE_BF16;
}

static enum lac_status unpack_table(struct unpacker *u, enum lac_packed_table table, size_t n_rows,
                                    size_t n_columns)
{
    struct lac_matrix *m = lac_packed_table(u->network, table);
    const struct lac_tensor *w = lac_tensors_find(u->tensors, lac_packed_tables[table]);
    const struct lac_tensor *scale = lac_tensors_find(u->tensors, lac_packed_table_scales[table]);
    if (!w || w->rank != 2 || w->shape[0] != n_rows || w->shape[1] != n_columns)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: %s is not there or not [%zu, %zu]", u->path,
                        lac_packed_tables[table], n_rows, n_columns);
    bool is_int8 = w->storage == LAC_STORE_I8;
    if (!is_real(w->storage) && !(is_int8 && scale))
        return lac_fail(u->error, LAC_E_FORMAT, "%s: %s is %s%s", u->path, w->name, w->storage_name,
                        is_int8 ? " without a scale" : "");
    if (is_int8) {
        size_t n = 1;
        for (unsigned i = 0; i < scale->rank; i++)
            n *= scale->shape[i]; /* the reader has checked that it does not overflow */
        if (!is_real(scale->storage) || (n != 1 && n != n_rows))
            return lac_fail(u->error, LAC_E_FORMAT, "%s: %s: %zu scales of kind %s", u->path,
                            scale->name, n, scale->storage_name);
    }
    *m = (struct lac_matrix){.name = w->name,
                             .n_out = n_rows,
                             .n_in = n_columns,
                             .weight = w,
                             .scale = is_int8 ? scale : NULL};
    return LAC_OK;
}

static enum lac_status unpack_tables(struct unpacker *u)
{
    const struct lac_config *c = &u->network->config;
    enum lac_status status = unpack_table(u, LAC_TABLE_WORD, c->vocab_size, c->embedding_size);
    if (!status && c->position_kind == LAC_POSITION_LEARNED)
        status = unpack_table(u, LAC_TABLE_POSITION, c->max_positions, c->hidden_size);
    if (!status && c->n_token_types)
        status = unpack_table(u, LAC_TABLE_TYPE, c->n_token_types, c->hidden_size);
    return status;
}

static enum lac_status check_version(struct unpacker *u)
{
    const char *version, *order;
    enum lac_status status = find_metadata(u, "lacuna.version", &version);
    if (!status)
        status = find_metadata(u, "lacuna.byte_order", &order);
    if (status)
        return status;
    if (strcmp(version, LAC_PACKED_VERSION))
        return lac_fail(u->error, LAC_E_UNSUPPORTED,
                        "%s: packed in version %s; this library reads version %s", u->path, version,
                        LAC_PACKED_VERSION);
    if (strcmp(order, lac_packed_byte_order))
        return lac_fail(u->error, LAC_E_UNSUPPORTED, "%s: packed for %s-endian machines", u->path,
                        order);
    return LAC_OK;
}

static enum lac_status read_dtype(struct unpacker *u, const struct lac_network_options *options)
{
    const char *name;
    enum lac_status status = find_metadata(u, "lacuna.dtype", &name);
    if (status)
        return status;
    for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++)
        if (!strcmp(name, lac_dtype_name((enum lac_dtype)dtype)))
            u->network->dtype = (enum lac_dtype)dtype;
    if (!u->network->dtype)
        return lac_fail(u->error, LAC_E_FORMAT, "%s: unknown dtype %s", u->path, name);
    if (options->dtype && options->dtype != u->network->dtype)
        return lac_fail(u->error, LAC_E_UNSUPPORTED, "%s: packed in %s; %s was asked for", u->path,
                        name, lac_dtype_name(options->dtype));
    if (options->pattern >= 0)
        return lac_fail(u->error, LAC_E_UNSUPPORTED,
                        "%s: the layouts of a packed model cannot be changed", u->path);
    return LAC_OK;
}

static enum lac_status read_config(struct unpacker *u)
{
    struct lac_network *n = u->network;
    enum lac_status status = find_metadata(u, "lacuna.config", &n->config_text);
    if (!status)
        status = lac_config_parse(u->path, n->config_text, strlen(n->config_text), &n->arena,
                                  &n->config, u->error);
    return status;
}

static enum lac_status read_tokenizer(struct unpacker *u)
{
    struct lac_tokenizer_texts *texts = &u->network->texts;
    const char *kind = lac_tensors_metadata(u->tensors, "lacuna.tokenizer");
    if (!kind)
        return LAC_OK;
    if (kind[0] < '1' || kind[0] > '0' + LAC_TOKENIZER_MERGES || kind[1])
        return lac_fail(u->error, LAC_E_FORMAT, "%s: unknown kind of tokenizer %s", u->path, kind);
    for (size_t i = 0; i < LAC_N_TOKENIZER_TEXTS; i++) {
        const struct lac_tensor *t = lac_tensors_find(u->tensors, lac_packed_texts[i]);
        if (!t || t->storage != LAC_STORE_U8)
            return lac_fail(u->error, LAC_E_FORMAT, "%s: no text %s", u->path, lac_packed_texts[i]);
        *lac_packed_text(texts, i) =
            (struct lac_slice){t->size_bytes ? t->data : "", t->size_bytes};
    }
    texts->kind = (enum lac_tokenizer_kind)(kind[0] - '0');
    return LAC_OK;
}

static enum lac_status read_linears(struct unpacker *u)
{
    const char *text;
    enum lac_status status = find_metadata(u, "lacuna.linears", &text);
    if (!status)
        status = lac_json_parse(u->path, text, strlen(text), &u->linears, u->error);
    if (!status && !json_is_object(u->linears))
        return lac_fail(u->error, LAC_E_FORMAT, "%s: lacuna.linears is %s", u->path,
                        lac_json_kind(u->linears));
    return status;
}

enum lac_status lac_network_unpack(struct lac_network *network, const char *path,
                                   const struct lac_network_options *options,
                                   struct lac_error *error)
{
    enum lac_status status = lac_tensors_open_file(network->host, path, &network->tensors, error);
    if (status)
        return status;
    struct unpacker u = {network, network->tensors, NULL, path, error};
    struct lac_packed_visitor visitor = {unpack_linear, unpack_norm, &u};
    status = check_version(&u);
    if (!status)
        status = read_dtype(&u, options);
    if (!status)
        status = read_config(&u);
    if (!status)
        status = read_tokenizer(&u);
    if (!status)
        status = read_linears(&u);
    if (!status)
        status = lac_network_prepare(network, error);
    if (!status)
        status = unpack_tables(&u);
    if (!status)
        status = lac_packed_visit(&visitor, &network->config);
    json_decref(u.linears);
    return status;
}
