/* SPDX-License-Identifier: Apache-2.0 */
/* A text with its cache in a file. */
#include "src/run/saved.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/tensor.h"
#include "src/run/kv_compact.h"
#include "src/run/kv_lost.h"
#include "src/run/kv_votes.h"
#include "src/run/packed.h"
#include "src/run/sample.h"
#include "src/run/saved_pages.h"

/* ---- Sums ---- */

/* FNV-1a (Fowler, Noll, Vo) over words of 8 bytes, the last one filled up with zeros. */
static uint64_t add_bytes(uint64_t sum, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, lac_min_size(8, size - i));
        sum = (sum ^ word) * 0x100000001b3;
    }
    return sum;
}

static const uint64_t empty_sum = 0xcbf29ce484222325;

/* What a cache depends on: the shape, and of the weights what no two trainings share. */
static uint64_t fingerprint(const struct lac_network *network)
{
    const struct lac_config *c = &network->config;
    const uint64_t sizes[] = {
        (uint64_t)c->family, c->vocab_size, c->hidden_size, c->n_layers,    c->n_heads,
        c->n_kv_heads,       c->head_dim,   c->max_tokens,  network->dtype, c->intermediate_size,
    };
    uint64_t sum = add_bytes(empty_sum, sizes, sizeof sizes);
    for (size_t i = 0; i < network->n_linears; i++)
        sum = add_bytes(sum, &network->linears[i]->n_zeros, sizeof network->linears[i]->n_zeros);
    for (size_t i = 0; i < c->n_layers; i++)
        sum =
            add_bytes(sum, network->layers[i].attention_norm.gamma, c->hidden_size * sizeof(float));
    return sum;
}

/* ---- Numbers ---- */

struct numbers {
    uint64_t model, kv_dtype, n_fed, n_keys, finish, log_probability;
    uint64_t seed, temperature, top_k, top_p, min_p, repetition_penalty, data;
    uint64_t votes_prompt, votes_counted, votes_thin; /* of votes, if there are any */
    uint64_t memory;                                  /* the sum of the keys that are looked up */
};

static const struct {
    const char *key;
    size_t offset;
} keys[] = {
    {"lacuna.text.model", offsetof(struct numbers, model)},
    {"lacuna.text.kv_dtype", offsetof(struct numbers, kv_dtype)},
    {"lacuna.text.n_fed", offsetof(struct numbers, n_fed)},
    {"lacuna.text.n_keys", offsetof(struct numbers, n_keys)},
    {"lacuna.text.finish", offsetof(struct numbers, finish)},
    {"lacuna.text.log_probability", offsetof(struct numbers, log_probability)},
    {"lacuna.text.seed", offsetof(struct numbers, seed)},
    {"lacuna.text.temperature", offsetof(struct numbers, temperature)},
    {"lacuna.text.top_k", offsetof(struct numbers, top_k)},
    {"lacuna.text.top_p", offsetof(struct numbers, top_p)},
    {"lacuna.text.min_p", offsetof(struct numbers, min_p)},
    {"lacuna.text.repetition_penalty", offsetof(struct numbers, repetition_penalty)},
    {"lacuna.text.data", offsetof(struct numbers, data)},
    {"lacuna.text.votes_prompt", offsetof(struct numbers, votes_prompt)},
    {"lacuna.text.votes_counted", offsetof(struct numbers, votes_counted)},
    {"lacuna.text.votes_thin", offsetof(struct numbers, votes_thin)},
    {"lacuna.text.memory", offsetof(struct numbers, memory)},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static const char byte_order_key[] = "lacuna.text.byte_order";

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t *number_at(struct numbers *numbers, size_t i)
{
    return (uint64_t *)(void *)((char *)numbers + keys[i].offset);
}

static bool parse_number(const char *text, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";
    *value = 0;
    if (!text || strlen(text) != 16)
        return false;
    for (; *text; text++) {
        const char *digit = strchr(digits, *text);
        if (!digit)
            return false;
        *value = *value << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

static size_t page_bytes(const struct lac_kv *kv)
{
    return lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
}

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

/* ---- Writing ---- */

static enum lac_status add_metadata(struct lac_tensor_writer *writer, struct numbers *numbers,
                                    struct lac_error *error)
{
    enum lac_status status =
        lac_tensor_writer_metadata(writer, byte_order_key, lac_packed_byte_order, error);
    for (size_t i = 0; i < N_KEYS && !status; i++) {
        char text[17];
        snprintf(text, sizeof text, "%016" PRIx64, *number_at(numbers, i));
        status = lac_tensor_writer_metadata(writer, keys[i].key, text, error);
    }
    return status;
}

static struct numbers numbers_of(const struct lac_network *network, const struct lac_saved *s)
{
    return (struct numbers){
        .model = fingerprint(network),
        .kv_dtype = (uint64_t)s->kv.shape.dtype,
        .n_fed = s->n_fed,
        .n_keys = s->kv.n_keys,
        .finish = (uint64_t)s->finish,
        .log_probability = bits_of(s->log_probability),
        .seed = s->sampling.seed,
        .temperature = bits_of(s->sampling.temperature),
        .top_k = s->sampling.top_k,
        .top_p = bits_of(s->sampling.top_p),
        .min_p = bits_of(s->sampling.min_p),
        .repetition_penalty = bits_of(s->sampling.repetition_penalty),
        .votes_prompt = s->kv.votes ? s->kv.votes->n_prompt : 0,
        .votes_counted = s->kv.votes ? s->kv.votes->n_counted : 0,
        .votes_thin = s->kv.votes ? s->kv.votes->is_thin : 0,
    };
}

/* What a file holds beside its numbers. */
struct contents {
    size_t n_pages;
    int64_t *gone, *compact; /* [n_layers * n_heads] */
    struct lac_kv_gap *gaps;
    size_t n_looked_up; /* pages of memories */
    unsigned char *pages, *memory;
};

static enum lac_status gather(const struct lac_network *network, const struct lac_kv *kv,
                              const char *path, struct contents *c, struct lac_error *error)
{
    const struct lac_host *host = network->host;
    c->gone = lac_alloc_zero(host, n_tables(kv), sizeof *c->gone);
    c->gaps = lac_alloc_zero(host, n_tables(kv), sizeof *c->gaps);
    c->compact = lac_alloc_zero(host, n_tables(kv), sizeof *c->compact);
    if (!c->gone || !c->gaps || !c->compact)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu heads", path, n_tables(kv));
    for (size_t t = 0; t < n_tables(kv); t++) {
        c->gone[t] = kv->n_gone ? (int64_t)kv->n_gone[t] : 0;
        c->gaps[t] = lac_kv_gap_of(kv, t / kv->shape.n_heads, t % kv->shape.n_heads);
        c->compact[t] = kv->n_compact ? (int64_t)kv->n_compact[t] : 0;
    }
    c->n_pages = lac_saved_pages(kv, kv->n_keys, c->gone);
    c->pages = lac_alloc(host, c->n_pages, page_bytes(kv));
    if (!c->pages)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu bytes of keys and values", path,
                        c->n_pages * page_bytes(kv));
    c->n_looked_up = lac_saved_memories(kv) * lac_ceil_div(kv->n_keys, LAC_LANES);
    c->memory = c->n_looked_up ? lac_alloc(host, c->n_looked_up, page_bytes(kv)) : NULL;
    if (c->n_looked_up && !c->memory)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu bytes of keys and values", path,
                        c->n_looked_up * page_bytes(kv));
    if (c->memory)
        lac_saved_copy_memories(kv, c->memory, NULL);
    lac_saved_copy(network, kv, c->pages);
    return LAC_OK;
}

static uint64_t sum_of(const void *ids, size_t ids_bytes, const void *gone, size_t gone_bytes,
                       const void *pages, size_t pages_bytes)
{
    uint64_t sum = add_bytes(empty_sum, ids, ids_bytes);
    return add_bytes(add_bytes(sum, gone, gone_bytes), pages, pages_bytes);
}

static enum lac_status write_contents(const struct lac_network *network, const struct lac_saved *s,
                                      const struct contents *c, const char *path,
                                      struct lac_error *error)
{
    const size_t heads[] = {s->kv.shape.n_layers, s->kv.shape.n_heads};
    const size_t gaps[] = {n_tables(&s->kv), 2};
    const size_t pages[] = {c->n_pages, page_bytes(&s->kv)};
    const size_t lost[] = {n_tables(&s->kv), lac_kv_lost_size(&s->kv)};
    const size_t votes[] = {n_tables(&s->kv), s->kv.votes ? s->kv.votes->n_slots : 0};
    struct numbers numbers = numbers_of(network, s);
    numbers.data = sum_of(s->ids, s->n_ids * sizeof *s->ids, c->gone,
                          heads[0] * heads[1] * sizeof *c->gone, c->pages, pages[0] * pages[1]);
    numbers.memory = add_bytes(empty_sum, c->memory, c->n_looked_up * page_bytes(&s->kv));
    struct lac_tensor_writer *writer = NULL;
    enum lac_status status = lac_tensor_writer_open(network->host, path, &writer, error);
    if (!status)
        status = add_metadata(writer, &numbers, error);
    if (!status)
        status = lac_tensor_writer_add(writer, "ids", LAC_STORE_I32, 1, &s->n_ids, s->ids, error);
    if (!status)
        status = lac_tensor_writer_add(writer, "gone", LAC_STORE_I64, 2, heads, c->gone, error);
    if (!status)
        status = lac_tensor_writer_add(writer, "gaps", LAC_STORE_I64, 2, gaps, c->gaps, error);
    if (!status)
        status = lac_tensor_writer_add(writer, "pages", LAC_STORE_U8, 2, pages, c->pages, error);
    if (!status && s->kv.n_compact)
        status =
            lac_tensor_writer_add(writer, "compact", LAC_STORE_I64, 2, heads, c->compact, error);
    const size_t memory[] = {c->n_looked_up, page_bytes(&s->kv)};
    if (!status && c->memory)
        status = lac_tensor_writer_add(writer, "memory", LAC_STORE_U8, 2, memory, c->memory, error);
    if (!status && s->kv.lost)
        status = lac_tensor_writer_add(writer, "lost", LAC_STORE_F64, 2, lost, s->kv.lost, error);
    if (!status && s->kv.votes)
        status =
            lac_tensor_writer_add(writer, "votes", LAC_STORE_F32, 2, votes, s->kv.votes->at, error);
    if (!status)
        return lac_tensor_writer_commit(writer, error);
    lac_tensor_writer_discard(writer);
    return status;
}

enum lac_status lac_saved_write(const struct lac_network *network, const struct lac_saved *s,
                                const char *path, struct lac_error *error)
{
    struct contents c = {0};
    enum lac_status status = gather(network, &s->kv, path, &c, error);
    if (!status)
        status = write_contents(network, s, &c, path, error);
    lac_free(network->host, c.gone);
    lac_free(network->host, c.gaps);
    lac_free(network->host, c.compact);
    lac_free(network->host, c.memory);
    lac_free(network->host, c.pages);
    return status;
}

/* ---- Reading ---- */

struct reader {
    const struct lac_network *network;
    const char *path;
    struct lac_error *error;
    struct lac_tensors *tensors;
    const struct lac_tensor *ids, *gone, *gaps, *compact, *pages, *memory, *lost, *votes;
    struct numbers numbers;
};

static enum lac_status read_numbers(struct reader *r)
{
    const char *order = lac_tensors_metadata(r->tensors, byte_order_key);
    if (!order)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: not a saved text", r->path);
    if (strcmp(order, lac_packed_byte_order))
        return lac_fail(r->error, LAC_E_UNSUPPORTED, "%s: saved on a machine of %s byte order",
                        r->path, order);
    for (size_t i = 0; i < N_KEYS; i++)
        if (!parse_number(lac_tensors_metadata(r->tensors, keys[i].key), number_at(&r->numbers, i)))
            return lac_fail(r->error, LAC_E_FORMAT, "%s: %s: expected 16 hexadecimal digits",
                            r->path, keys[i].key);
    return LAC_OK;
}

static enum lac_status check_model(const struct reader *r, const struct lac_kv *kv)
{
    if (r->numbers.model != fingerprint(r->network))
        return lac_fail(r->error, LAC_E_UNSUPPORTED, "%s: saved with another model", r->path);
    if (r->numbers.kv_dtype != (uint64_t)kv->shape.dtype)
        return lac_fail(r->error, LAC_E_UNSUPPORTED,
                        "%s: keys and values are kept in another number format", r->path);
    return LAC_OK;
}

static bool is_shaped(const struct lac_tensor *tensor, enum lac_storage storage, size_t rank)
{
    return tensor && tensor->storage == storage && tensor->rank == rank;
}

/* What heads have given up is whole pages of keys that were there. */
static enum lac_status check_gone(const struct reader *r, const struct lac_kv *kv)
{
    size_t n_layers = kv->shape.n_layers, n_heads = kv->shape.n_heads;
    if (r->gone->shape[0] != n_layers || r->gone->shape[1] != n_heads)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: %zu layers of %zu heads; expected %zu of %zu",
                        r->path, r->gone->shape[0], r->gone->shape[1], n_layers, n_heads);
    const int64_t *gone = r->gone->data;
    for (size_t t = 0; t < n_layers * n_heads; t++)
        if (gone[t] < 0 || gone[t] % LAC_LANES || (uint64_t)gone[t] > r->numbers.n_keys)
            return lac_fail(r->error, LAC_E_FORMAT,
                            "%s: layer %zu, head %zu: %" PRId64 " of %" PRIu64 " keys given up",
                            r->path, t / n_heads, t % n_heads, gone[t], r->numbers.n_keys);
    return LAC_OK;
}

/* They are of keys that have gone, and lie among those that were there. */
static enum lac_status check_gaps(const struct reader *r, const struct lac_kv *kv)
{
    const struct lac_kv_gap *gaps = r->gaps->data;
    const int64_t *gone = r->gone->data, n_keys = (int64_t)r->numbers.n_keys;
    if (r->gaps->shape[0] != n_tables(kv) || r->gaps->shape[1] != 2)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: gaps of other heads", r->path);
    for (size_t t = 0; t < n_tables(kv); t++)
        if (gaps[t].n_keys < 0 || gaps[t].n_keys % LAC_LANES || gaps[t].n_keys > gone[t] ||
            gaps[t].n_before < 0 || gaps[t].n_before > n_keys - gone[t])
            return lac_fail(r->error, LAC_E_FORMAT,
                            "%s: head %zu: a gap of %" PRId64 " keys behind %" PRId64, r->path, t,
                            gaps[t].n_keys, gaps[t].n_before);
    return LAC_OK;
}

/* They are full pages that are there. */
static enum lac_status check_compact(const struct reader *r, const struct lac_kv *kv)
{
    const int64_t *compact = r->compact->data, *gone = r->gone->data;
    if (!is_shaped(r->compact, LAC_STORE_I64, 2) || r->compact->shape[0] != kv->shape.n_layers ||
        r->compact->shape[1] != kv->shape.n_heads)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: compact pages of other heads", r->path);
    for (size_t t = 0; t < n_tables(kv); t++)
        if (compact[t] < 0 ||
            (uint64_t)compact[t] > (r->numbers.n_keys - (uint64_t)gone[t]) / LAC_LANES)
            return lac_fail(r->error, LAC_E_FORMAT, "%s: head %zu: %" PRId64 " compact pages",
                            r->path, t, compact[t]);
    return LAC_OK;
}

/* Votes on the prompt or on all that is there, on at least as many slots as a head then has. */
static enum lac_status check_votes(const struct reader *r, const struct lac_kv *kv)
{
    const struct numbers *n = &r->numbers;
    const int64_t *gone = r->gone->data;
    uint64_t least = n->n_keys, n_voted = n->votes_prompt ? n->votes_prompt : n->n_keys;
    for (size_t t = 0; t < n_tables(kv); t++)
        least = (uint64_t)gone[t] < least ? (uint64_t)gone[t] : least;
    size_t n_slots = is_shaped(r->votes, LAC_STORE_F32, 2) ? r->votes->shape[1] : 0;
    if (n_slots < (n->votes_thin ? kv->shape.head_dim : 1) || r->votes->shape[0] != n_tables(kv) ||
        n_slots % LAC_KEY_BLOCK || n->votes_prompt > n->n_fed || n->votes_thin > 1 ||
        n_voted < n->n_keys || n_slots < n_voted - least)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: votes on %zu keys of %" PRIu64 " tokens",
                        r->path, n_slots, n_voted);
    const float *votes = r->votes->data;
    for (size_t i = 0; i < n_tables(kv) * n_slots; i++)
        if (!isfinite(votes[i]))
            return lac_fail(r->error, LAC_E_FORMAT, "%s: vote %zu is no number", r->path, i);
    return LAC_OK;
}

/* Sums of no more keys than heads have given up. */
static enum lac_status check_lost(const struct reader *r, const struct lac_kv *kv)
{
    size_t size = lac_kv_lost_size(kv);
    const double *lost = r->lost->data;
    const int64_t *gone = r->gone->data;
    if (!is_shaped(r->lost, LAC_STORE_F64, 2) || r->lost->shape[0] != n_tables(kv) ||
        r->lost->shape[1] != size)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: sums of other heads", r->path);
    for (size_t t = 0; t < n_tables(kv); t++, lost += size) {
        for (size_t i = 0; i < size; i++)
            if (!isfinite(lost[i]))
                return lac_fail(r->error, LAC_E_FORMAT, "%s: head %zu: sum %zu is no number",
                                r->path, t, i);
        if (lost[size - 1] < 0 || lost[size - 1] > (double)gone[t])
            return lac_fail(r->error, LAC_E_FORMAT, "%s: head %zu: sums of %g keys", r->path, t,
                            lost[size - 1]);
    }
    return LAC_OK;
}

static enum lac_status check_pages(const struct reader *r, const struct lac_kv *kv)
{
    size_t n_pages = lac_saved_pages(kv, (size_t)r->numbers.n_keys, r->gone->data);
    if (r->pages->shape[0] != n_pages || r->pages->shape[1] != page_bytes(kv))
        return lac_fail(r->error, LAC_E_FORMAT, "%s: %zu pages of %zu bytes; expected %zu of %zu",
                        r->path, r->pages->shape[0], r->pages->shape[1], n_pages, page_bytes(kv));
    uint64_t sum = sum_of(r->ids->data, r->ids->size_bytes, r->gone->data, r->gone->size_bytes,
                          r->pages->data, r->pages->size_bytes);
    if (sum != r->numbers.data)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: its sum is wrong", r->path);
    return LAC_OK;
}

/* Another policy's file has none; a session that looks keys up cannot do without. */
static enum lac_status check_memory(const struct reader *r, const struct lac_kv *kv)
{
    size_t n_pages = lac_saved_memories(kv) * lac_ceil_div((size_t)r->numbers.n_keys, LAC_LANES);
    if (!n_pages)
        return LAC_OK;
    if (!is_shaped(r->memory, LAC_STORE_U8, 2) || r->memory->shape[0] != n_pages ||
        r->memory->shape[1] != page_bytes(kv))
        return lac_fail(r->error, LAC_E_UNSUPPORTED,
                        "%s: saved by a session whose heads look nothing up", r->path);
    uint64_t sum = add_bytes(empty_sum, r->memory->data, r->memory->size_bytes);
    if (sum != r->numbers.memory)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: its memory's sum is wrong", r->path);
    return LAC_OK;
}

/* Keys that a memory's window holds are turned by their positions: there are no more of them. */
static enum lac_status check_window(const struct reader *r, const struct lac_kv *kv)
{
    for (size_t t = 0; t < n_tables(kv); t++) {
        size_t layer = t / kv->shape.n_heads, head = t % kv->shape.n_heads;
        if (lac_kv_remembers(kv, layer, head) && lac_kv_skipped(kv, layer, head))
            return lac_fail(r->error, LAC_E_UNSUPPORTED,
                            "%s: saved by a session with a smaller window", r->path);
    }
    return LAC_OK;
}

static enum lac_status check_tensors(struct reader *r, const struct lac_kv *kv)
{
    const struct numbers *n = &r->numbers;
    size_t max_tokens = lac_kv_most_tokens(kv->shape.rules, &r->network->config);
    r->ids = lac_tensors_find(r->tensors, "ids");
    r->gone = lac_tensors_find(r->tensors, "gone");
    r->gaps = lac_tensors_find(r->tensors, "gaps");
    r->compact = lac_tensors_find(r->tensors, "compact");
    r->pages = lac_tensors_find(r->tensors, "pages");
    r->memory = lac_tensors_find(r->tensors, "memory");
    r->lost = lac_tensors_find(r->tensors, "lost");
    r->votes = lac_tensors_find(r->tensors, "votes");
    if (!is_shaped(r->ids, LAC_STORE_I32, 1) || !is_shaped(r->gone, LAC_STORE_I64, 2) ||
        !is_shaped(r->gaps, LAC_STORE_I64, 2) || !is_shaped(r->pages, LAC_STORE_U8, 2))
        return lac_fail(r->error, LAC_E_FORMAT, "%s: no ids, no counts or no pages", r->path);
    size_t n_ids = r->ids->shape[0];
    if (!n_ids || n_ids > max_tokens || n->n_fed > n_ids || n->n_keys >= n_ids)
        return lac_fail(r->error, LAC_E_FORMAT,
                        "%s: %zu tokens, %" PRIu64 " of them fed, %" PRIu64
                        " in the cache; the model takes %zu",
                        r->path, n_ids, n->n_fed, n->n_keys, max_tokens);
    enum lac_status status = check_gone(r, kv);
    if (!status)
        status = check_gaps(r, kv);
    if (!status && r->compact)
        status = check_compact(r, kv);
    if (!status && r->lost)
        status = check_lost(r, kv);
    if (!status && (r->votes || n->votes_prompt))
        status = check_votes(r, kv);
    if (!status)
        status = check_memory(r, kv);
    return status ? status : check_pages(r, kv);
}

static enum lac_status check_values(const struct reader *r, struct lac_saved *s)
{
    const struct numbers *n = &r->numbers;
    *s = (struct lac_saved){
        .n_ids = r->ids->shape[0],
        .n_fed = (size_t)n->n_fed,
        .log_probability = from_bits(n->log_probability),
        .sampling = {.seed = n->seed,
                     .temperature = from_bits(n->temperature),
                     .top_k = (size_t)n->top_k,
                     .top_p = from_bits(n->top_p),
                     .min_p = from_bits(n->min_p),
                     .repetition_penalty = from_bits(n->repetition_penalty)},
        .kv = s->kv,
    };
    if (n->finish > LAC_FINISH_STOPPED || !isfinite(s->log_probability))
        return lac_fail(r->error, LAC_E_FORMAT,
                        "%s: an end of kind %" PRIu64 ", log-probability %g", r->path, n->finish,
                        s->log_probability);
    s->finish = (enum lac_finish)n->finish;
    if (lac_sampling_check(&s->sampling, r->error))
        return lac_fail_in(r->error, LAC_E_FORMAT, "%s", r->path);
    return LAC_OK;
}

static enum lac_status read_ids(const struct reader *r, struct lac_saved *s)
{
    size_t vocab_size = r->network->config.vocab_size;
    s->ids = lac_alloc(s->kv.host, s->n_ids, sizeof *s->ids);
    if (!s->ids)
        return lac_fail(r->error, LAC_E_MEMORY, "%s: no memory for %zu tokens", r->path, s->n_ids);
    memcpy(s->ids, r->ids->data, r->ids->size_bytes);
    for (size_t i = 0; i < s->n_ids; i++)
        if (s->ids[i] < 0 || (size_t)s->ids[i] >= vocab_size)
            return lac_fail(r->error, LAC_E_FORMAT, "%s: token %zu: id %d; the model has %zu words",
                            r->path, i, (int)s->ids[i], vocab_size);
    return LAC_OK;
}

static enum lac_status read_text(struct reader *r, struct lac_saved *s)
{
    enum lac_status status = read_numbers(r);
    if (!status)
        status = check_model(r, &s->kv);
    if (!status)
        status = check_tensors(r, &s->kv);
    if (!status)
        status = check_values(r, s);
    if (!status)
        status = read_ids(r, s);
    if (!status)
        status = lac_kv_restore(&s->kv, (size_t)r->numbers.n_keys, r->gone->data, r->gaps->data,
                                r->error);
    if (!status)
        status = check_window(r, &s->kv);
    if (!status && r->lost && !s->kv.lost) {
        s->kv.lost = lac_alloc(s->kv.host, 1, r->lost->size_bytes);
        if (!s->kv.lost)
            status = lac_fail(r->error, LAC_E_MEMORY, "%s: no memory for sums", r->path);
    }
    if (!status && r->lost)
        memcpy(s->kv.lost, r->lost->data, r->lost->size_bytes);
    if (!status && r->votes) {
        const struct lac_kv_votes sizes = {
            .n_prompt = (size_t)r->numbers.votes_prompt,
            .n_counted = (size_t)r->numbers.votes_counted,
            .is_thin = (size_t)r->numbers.votes_thin,
            .n_slots = r->votes->shape[1],
        };
        status = lac_kv_restore_votes(&s->kv, &sizes, r->votes->data, r->error);
    }
    if (status)
        return status;
    lac_saved_fill(&s->kv, r->pages->data);
    if (lac_saved_memories(&s->kv) && r->memory)
        lac_saved_copy_memories(&s->kv, NULL, r->memory->data);
    lac_kv_label_all(&s->kv);
    return r->compact ? lac_kv_pack_pages(&s->kv, r->compact->data, r->error) : LAC_OK;
}

enum lac_status lac_saved_read(const struct lac_network *network, const char *path,
                               struct lac_saved *saved, struct lac_error *error)
{
    struct reader r = {.network = network, .path = path, .error = error};
    struct lac_saved read = {.kv = saved->kv};
    enum lac_status status = lac_tensors_open_file(network->host, path, &r.tensors, error);
    if (status)
        return status;
    status = read_text(&r, &read);
    lac_tensors_close(r.tensors);
    if (!status) {
        *saved = read;
        return LAC_OK;
    }
    lac_free(network->host, read.ids);
    lac_kv_clear(&read.kv);
    saved->kv = read.kv;
    return status;
}
