/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: embeddings, layers, head. */
#include "src/run/forward.h"

#include <string.h>

#include "src/run/core.h"
#include "src/run/steps.h"

enum lac_keep lac_head_keep(const struct lac_head *head)
{
    switch (head->task) {
    case LAC_TASK_CLASSIFY:
        return LAC_KEEP_FIRST;
    case LAC_TASK_FILL:
    case LAC_TASK_GENERATE:
        return LAC_KEEP_LISTED;
    case LAC_TASK_EMBED:
        return head->pooling == LAC_POOL_MEAN ? LAC_KEEP_ALL : LAC_KEEP_FIRST;
    default:
        return LAC_KEEP_ALL;
    }
}

size_t lac_head_width(const struct lac_network *network, const struct lac_head *head)
{
    switch (head->task) {
    case LAC_TASK_ANSWER:
        return 2;
    case LAC_TASK_FILL:
        return network->config.vocab_size;
    case LAC_TASK_EMBED:
        return network->config.hidden_size;
    default:
        return network->config.n_labels;
    }
}

/* ---- The batch ---- */

static size_t rows_of_sequence(enum lac_keep keep, const struct lac_sequence *s)
{
    switch (keep) {
    case LAC_KEEP_FIRST:
        return 1;
    case LAC_KEEP_LISTED:
        return s->n_kept;
    default:
        return s->n_tokens;
    }
}

/* What token k of a sequence leaves out, and where it counts. */
static void index_neurons(struct lac_region *r, const struct lac_sequence *s, size_t at, size_t k)
{
    bool is_full = k < s->n_full;
    bool is_new = s->usage && s->kv->n_keys + k >= s->usage->n_counted;
    r->is_full[at] = is_full;
    r->core[at] = s->usage && !is_full ? s->usage->core : NULL;
    r->counting[at] = is_full && is_new ? s->usage : NULL;
}

/* Fills first, kept, out or next, and what neurons tokens have. */
static void index_batch(const struct lac_forward *f)
{
    struct lac_region *r = f->region;
    enum lac_keep keep = lac_head_keep(f->head);
    size_t width = lac_head_width(f->network, f->head), n_tokens = 0, n_kept = 0;
    for (size_t i = 0; i < f->n_sequences; i++) {
        const struct lac_sequence *s = f->sequences[i];
        r->first[i] = n_tokens;
        for (size_t k = 0; k < rows_of_sequence(keep, s); k++) {
            size_t position = keep == LAC_KEEP_LISTED ? s->kept[k] : k;
            r->kept[n_kept] = n_tokens + position;
            if (f->head->task == LAC_TASK_GENERATE)
                r->next[n_kept] = s->next + k;
            else
                r->out[n_kept] = f->head->task == LAC_TASK_EMBED ? s->rows : s->rows + k * width;
            n_kept++;
        }
        for (size_t k = 0; f->activations && k < s->n_tokens; k++)
            index_neurons(r, s, n_tokens + k, k);
        n_tokens += s->n_tokens;
    }
    r->first[f->n_sequences] = n_tokens;
    r->n_kept = n_kept;
}

void lac_forward_run(const struct lac_team *team, size_t rank, const struct lac_forward *forward)
{
    struct lac_region *r = forward->region;
    if (rank == 0) {
        if (!r->is_clean)
            memset(r->memory, 0, r->size_bytes);
        r->is_clean = true;
        index_batch(forward);
    }
    lac_team_barrier(team, rank);
    const struct lac_network *network = forward->network;
    struct lac_member m = {
        .forward = forward,
        .network = network,
        .region = r,
        .team = team,
        .rank = rank,
        .n_tokens = forward->n_tokens,
        .h = r->h,
        .a = r->a,
        .shares_rows = lac_should_share_rows(network, forward->n_tokens, team->size),
    };
    lac_run_embeddings(&m);
    for (size_t i = 0; i < network->config.n_layers; i++)
        lac_run_layer(&m, i, i + 1 == network->config.n_layers);
    lac_meet(&m);
    if (forward->head->task == LAC_TASK_GENERATE)
        lac_run_next(&m);
    else
        lac_run_head(&m);
}
