/* SPDX-License-Identifier: Apache-2.0 */
/* The angles of rotary positions. */
#include "src/run/rope.h"

#include <math.h>

static const double two_pi = 6.283185307179586;

/* Chen et al. 2023; the stretched base is bloc97's "NTK-aware" one, by the length of the text. */
static double dynamic_theta(const struct lac_rope *rope, size_t head_dim, size_t n_tokens)
{
    double d = (double)head_dim, original = (double)rope->original_positions;
    if ((double)n_tokens <= original || head_dim <= 2)
        return rope->theta;
    double grown = rope->factor * (double)n_tokens / original - (rope->factor - 1);
    return rope->theta * pow(grown, d / (d - 2));
}

/* Grattafiori et al. 2024 (Llama 3.1): long waves are slowed down, short ones stay. */
static double llama3(const struct lac_rope *rope, double frequency)
{
    double turns = (double)rope->original_positions * frequency / two_pi;
    if (turns < rope->low_freq_factor)
        return frequency / rope->factor;
    if (turns > rope->high_freq_factor)
        return frequency;
    double share =
        (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1 - share) * frequency / rope->factor + share * frequency;
}

/* The pair, as a real number, that turns n times in the original text. */
static double pair_of_turns(const struct lac_rope *rope, size_t head_dim, double n)
{
    double d = (double)head_dim, original = (double)rope->original_positions;
    return d * log(original / (n * two_pi)) / (2 * log(rope->theta));
}

/* Peng et al. 2023 (YaRN): pairs up to `low` stay, from `high` on they are slowed down. */
static double yarn(const struct lac_rope *rope, size_t head_dim, size_t i, double frequency)
{
    double low = pair_of_turns(rope, head_dim, rope->beta_fast);
    double high = pair_of_turns(rope, head_dim, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)head_dim - 1);
    if (low == high)
        high += 0.001; /* no division by zero: a step */
    double share = fmin(fmax(((double)i - low) / (high - low), 0), 1);
    return share * frequency / rope->factor + (1 - share) * frequency;
}

void lac_rope_frequencies(const struct lac_rope *rope, size_t head_dim, size_t n_tokens,
                          float *frequencies)
{
    bool is_dynamic = rope->kind == LAC_ROPE_DYNAMIC;
    double theta = is_dynamic ? dynamic_theta(rope, head_dim, n_tokens) : rope->theta;
    for (size_t i = 0; i < head_dim / 2; i++) {
        double frequency = pow(theta, -2 * (double)i / (double)head_dim);
        switch (rope->kind) {
        case LAC_ROPE_LINEAR:
            frequency /= rope->factor;
            break;
        case LAC_ROPE_LLAMA3:
            frequency = llama3(rope, frequency);
            break;
        case LAC_ROPE_YARN:
            frequency = yarn(rope, head_dim, i, frequency);
            break;
        case LAC_ROPE_DIVISORS:
            frequency /= (double)rope->divisors[i];
            break;
        default:
            break;
        }
        frequencies[i] = (float)frequency;
    }
}

void lac_rope_angles(const struct lac_rope *rope, const float *frequencies, size_t n,
                     size_t position, size_t ld, float *cosines, float *sines)
{
    for (size_t i = 0; i < n; i++) {
        double angle = (double)((float)position * frequencies[i]);
        cosines[i * ld] = (float)(cos(angle) * rope->attention_factor);
        sines[i * ld] = (float)(sin(angle) * rope->attention_factor);
    }
}

bool lac_rope_depends(const struct lac_config *config, size_t n_tokens)
{
    return config->rope.kind == LAC_ROPE_DYNAMIC && n_tokens > config->rope.original_positions;
}
