/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that threads wait on, over Linux's futex. */
#include "src/sys/event.h"

#include <linux/futex.h>
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/sys/clock.h"

_Static_assert(sizeof(_Atomic uint32_t) == 4, "the kernel waits on four plain bytes");

/* Reading the clock costs about as much as a few pauses; look at it once in so many. */
enum { PAUSES_PER_LOOK = 16 };

static void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` is free of cost and so of effect */
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Either the sleeper's increment comes before the signaller's look at n_sleepers in the single
 * order of sequentially consistent operations, and it is woken; or the signaller's increment of
 * count comes before the sleeper's look at it, and it does not sleep. */
void lac_event_signal(struct lac_event *event)
{
    atomic_fetch_add_explicit(&event->count, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&event->n_sleepers, memory_order_seq_cst))
        syscall(SYS_futex, &event->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void lac_event_wait(struct lac_event *event, uint32_t seen, uint64_t spin_ns)
{
    if (lac_event_count(event) != seen)
        return;
    if (spin_ns) {
        uint64_t end = lac_clock_ns() + spin_ns;
        do {
            for (int i = 0; i < PAUSES_PER_LOOK; i++) {
                cpu_pause();
                if (lac_event_count(event) != seen)
                    return;
            }
        } while (lac_clock_ns() < end);
    }
    atomic_fetch_add_explicit(&event->n_sleepers, 1, memory_order_seq_cst);
    /* Signals and stray wake-ups end the call early, so the count alone decides. */
    while (atomic_load_explicit(&event->count, memory_order_seq_cst) == seen)
        syscall(SYS_futex, &event->count, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub_explicit(&event->n_sleepers, 1, memory_order_relaxed);
}
