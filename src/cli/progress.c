/* SPDX-License-Identifier: Apache-2.0 */
/* How far the work is. */
#include "src/cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static bool line_is_drawn;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void progress_start(struct progress *p, uint64_t total_bytes, bool quiet)
{
    *p = (struct progress){
        .draws = !quiet && isatty(STDERR_FILENO),
        .total_bytes = total_bytes,
        .start_ns = now_ns(),
    };
}

void progress_hide(void)
{
    if (line_is_drawn)
        fputs("\r\033[K", stderr);
    line_is_drawn = false;
}

static void draw_bar(const struct progress *p, uint64_t n_bytes, double seconds)
{
    double part = (double)n_bytes / (double)p->total_bytes;
    part = part < 1 ? part : 1;
    int filled = (int)(part * BAR_WIDTH);
    unsigned left = part > 0 ? (unsigned)(seconds * (1 - part) / part) : 0;
    fprintf(stderr, "[%.*s%*s] %3.0f %%  %u:%02u left  ", filled, "########################",
            BAR_WIDTH - filled, "", part * 100, left / 60, left % 60);
}

void progress_draw(struct progress *p, uint64_t n_bytes)
{
    if (!p->draws)
        return;
    uint64_t now = now_ns();
    if (now - p->drawn_ns < 100000000)
        return;
    p->drawn_ns = now;
    double seconds = (double)(now - p->start_ns) * 1e-9;
    progress_hide();
    if (p->total_bytes)
        draw_bar(p, n_bytes, seconds);
    if (!p->is_share)
        fprintf(stderr, "%zu done  %.0f sentences/s  %.0f tokens/s", p->n_sequences,
                (double)p->n_sequences / seconds, (double)p->n_tokens / seconds);
    fflush(stderr);
    line_is_drawn = true;
}

void progress_summarize(const struct progress *p)
{
    double seconds = (double)(now_ns() - p->start_ns) * 1e-9;
    progress_hide();
    fprintf(stderr,
            "%zu sentences, %zu tokens, %zu bad lines in %.2f s: %.0f sentences/s, %.0f tokens/s",
            p->n_sequences, p->n_tokens, p->n_bad, seconds, (double)p->n_sequences / seconds,
            (double)p->n_tokens / seconds);
    if (p->n_labelled)
        fprintf(stderr, ", %.2f %% of %zu labels right",
                100.0 * (double)p->n_right / (double)p->n_labelled, p->n_labelled);
    fputc('\n', stderr);
}
