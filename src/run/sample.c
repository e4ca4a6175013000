/* SPDX-License-Identifier: Apache-2.0 */
/* Which token comes next. */
#include "src/run/sample.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/random.h"

static bool is_in(double x, double low, double high)
{
    return x >= low && x <= high;
}

enum lac_status lac_sampling_check(const struct lac_sampling *s, struct lac_error *error)
{
    const struct {
        const char *name;
        double value, high;
    } numbers[] = {
        {"temperature", s->temperature, 1e6},
        {"top_p", s->top_p, 1},
        {"min_p", s->min_p, 1},
        {"repetition_penalty", s->repetition_penalty, 1e6},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!is_in(numbers[i].value, 0, numbers[i].high))
            return lac_fail(error, LAC_E_ARGUMENT, "%s %g is not between 0 and %g", numbers[i].name,
                            numbers[i].value, numbers[i].high);
    return LAC_OK;
}

static bool has_penalty(const struct lac_sampling *s)
{
    return s->repetition_penalty > 0 && s->repetition_penalty != 1;
}

bool lac_sampling_needs_logits(const struct lac_sampling *s)
{
    if (has_penalty(s))
        return true;
    return s->temperature > 0 && (!s->top_k || s->top_k > LAC_MAX_TOP);
}

size_t lac_sampling_top(const struct lac_sampling *s, size_t vocab_size)
{
    if (lac_sampling_needs_logits(s))
        return 0;
    return s->temperature > 0 ? lac_min_size(s->top_k, vocab_size) : 1;
}

enum lac_status lac_sampler_open(struct lac_sampler *s, const struct lac_host *host,
                                 size_t vocab_size, struct lac_error *error)
{
    *s = (struct lac_sampler){.host = host, .vocab_size = vocab_size};
    s->words = lac_alloc(host, vocab_size, sizeof *s->words);
    s->seen = lac_alloc_zero(host, lac_ceil_div(vocab_size, 64), sizeof *s->seen);
    if (s->words && s->seen)
        return LAC_OK;
    return lac_fail(error, LAC_E_MEMORY, "no memory for sampling from %zu words", vocab_size);
}

void lac_sampler_close(struct lac_sampler *s)
{
    lac_free(s->host, s->words);
    lac_free(s->host, s->seen);
    *s = (struct lac_sampler){0};
}

/* ---- Words in their order ---- */

static bool is_better(struct lac_logit a, struct lac_logit b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* The best words first, one at a time.  In a sorted list they are there already; from all words
 * they leave a heap, whose place they take from its end on:
 *
 *   words [ heap: n_left | ... the second | the best ] */
struct ranking {
    struct lac_logit *words;
    size_t n, n_left;               /* n_left: in the heap */
    const struct lac_logit *sorted; /* NULL: words is a heap */
};

static void sift_down(struct lac_logit *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && is_better(heap[child + 1], heap[child]))
            child++;
        if (!is_better(heap[child], heap[i]))
            return;
        struct lac_logit moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
        i = child;
    }
}

static void make_heap(struct ranking *r)
{
    for (size_t i = r->n / 2; i-- > 0;)
        sift_down(r->words, r->n, i);
    r->n_left = r->n;
}

/* Word i of the order, i < n.  Each costs a heap of n as much as its logarithm, once. */
static struct lac_logit word_at(struct ranking *r, size_t i)
{
    if (r->sorted)
        return r->sorted[i];
    while (r->n - r->n_left <= i) {
        struct lac_logit best = r->words[0];
        r->words[0] = r->words[--r->n_left];
        r->words[r->n_left] = best;
        sift_down(r->words, r->n_left, 0);
    }
    return r->words[r->n - 1 - i];
}

/* ---- All words ---- */

/* Each word of the text once. */
static void penalize(struct lac_sampler *s, double penalty, const int32_t *ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; i++) {
        size_t id = (size_t)ids[i];
        uint64_t bit = (uint64_t)1 << id % 64;
        if (s->seen[id / 64] & bit)
            continue;
        s->seen[id / 64] |= bit;
        double logit = (double)s->words[id].logit;
        s->words[id].logit = (float)(logit > 0 ? logit / penalty : logit * penalty);
    }
    for (size_t i = 0; i < n_ids; i++)
        s->seen[ids[i] / 64] = 0;
}

static void load_words(struct lac_sampler *s, const struct lac_sampling *sampling,
                       const float *logits, const int32_t *ids, size_t n_ids)
{
    for (size_t i = 0; i < s->vocab_size; i++)
        s->words[i] = (struct lac_logit){(int32_t)i, logits[i]};
    if (has_penalty(sampling))
        penalize(s, sampling->repetition_penalty, ids, n_ids);
}

static int32_t best_word(const struct lac_sampler *s)
{
    struct lac_logit best = s->words[0];
    for (size_t i = 1; i < s->vocab_size; i++)
        if (is_better(s->words[i], best))
            best = s->words[i];
    return best.id;
}

/* ---- Drawing ---- */

/* Of a word, 1 for the best.  fp32, as the logits are: of all words it takes a third of the time.
 */
static double weight_of(struct lac_logit word, float best, double temperature)
{
    return (double)expf((float)(((double)word.logit - (double)best) / temperature));
}

/* Of the n best, or (n is all of them) of all in the order they lie in. */
static double total_weight(struct ranking *r, size_t n, float best, double temperature)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += weight_of(n < r->n || r->sorted ? word_at(r, i) : r->words[i], best, temperature);
    return total;
}

/* How many of the n best stay, and what they weigh. */
static size_t keep(struct ranking *r, const struct lac_sampling *s, size_t n, float best,
                   double total, double *kept_weight)
{
    double most = s->top_p > 0 && s->top_p < 1 ? s->top_p * total : INFINITY;
    size_t i = 0;
    for (*kept_weight = 0; i < n && *kept_weight < most; i++) {
        double weight = weight_of(word_at(r, i), best, s->temperature);
        if (i && weight < s->min_p)
            break;
        *kept_weight += weight;
    }
    return i;
}

/* From all words, in their own order: without a heap. */
static int32_t draw_any(const struct lac_sampler *s, double temperature, double random)
{
    float best = s->words[0].logit;
    double weight = 0, sum = 0;
    for (size_t i = 1; i < s->vocab_size; i++)
        best = fmaxf(best, s->words[i].logit);
    for (size_t i = 0; i < s->vocab_size; i++)
        weight += weight_of(s->words[i], best, temperature);
    size_t last = 0; /* that may be drawn: what rounding leaves over is its own */
    for (size_t i = 0; i < s->vocab_size; i++) {
        double own = weight_of(s->words[i], best, temperature);
        last = own > 0 ? i : last;
        sum += own;
        if (sum > random * weight)
            break;
    }
    return s->words[last].id;
}

static bool takes_any(const struct lac_sampling *s)
{
    return !s->top_k && !(s->min_p > 0) && !(s->top_p > 0 && s->top_p < 1);
}

static int32_t draw(struct ranking *r, const struct lac_sampling *s, double random)
{
    size_t n = s->top_k ? lac_min_size(s->top_k, r->n) : r->n;
    float best = word_at(r, 0).logit;
    double weight = total_weight(r, n, best, s->temperature), sum = 0;
    if (s->min_p > 0 || (s->top_p > 0 && s->top_p < 1))
        n = keep(r, s, n, best, weight, &weight);
    size_t i = 0;
    /* The last one is what rounding leaves over. */
    for (; i + 1 < n; i++) {
        sum += weight_of(word_at(r, i), best, s->temperature);
        if (sum > random * weight)
            break;
    }
    return word_at(r, i).id;
}

static int32_t choose(struct lac_sampler *s, const struct lac_sampling *sampling,
                      const struct lac_next *next, const int32_t *ids, size_t n_ids)
{
    struct ranking r = {.words = s->words, .n = s->vocab_size};
    if (lac_sampling_needs_logits(sampling))
        load_words(s, sampling, next->logits, ids, n_ids);
    else
        r = (struct ranking){.n = lac_sampling_top(sampling, s->vocab_size), .sorted = next->top};
    if (!(sampling->temperature > 0))
        return r.sorted ? r.sorted[0].id : best_word(s);
    double random = lac_random_at(sampling->seed, n_ids);
    if (takes_any(sampling))
        return draw_any(s, sampling->temperature, random);
    if (!r.sorted)
        make_heap(&r);
    return draw(&r, sampling, random);
}

struct lac_logit lac_sample(struct lac_sampler *s, const struct lac_sampling *sampling,
                            const struct lac_next *next, const int32_t *ids, size_t n_ids)
{
    struct lac_logit chosen = {.id = choose(s, sampling, next, ids, n_ids)};
    if (next->logits)
        chosen.logit = next->logits[chosen.id];
    for (size_t i = 0; !next->logits && i < next->n_top; i++)
        if (next->top[i].id == chosen.id)
            chosen.logit = next->top[i].logit;
    return chosen;
}
