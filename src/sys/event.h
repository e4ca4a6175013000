/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that threads wait on: a short spin, then sleep in the kernel. */
#ifndef LACUNA_SYS_EVENT_H
#define LACUNA_SYS_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

/* All zeros is a valid event.  32 bits, because that is what the kernel can wait on; a waiter is
 * never 2^32 signals behind. */
struct lac_event {
    _Atomic uint32_t count;
    _Atomic uint32_t n_sleepers;
};

static inline uint32_t lac_event_count(struct lac_event *event)
{
    return atomic_load_explicit(&event->count, memory_order_acquire);
}

/* Raises the count by one and wakes all who wait.  What the caller wrote before is visible to
 * them. */
void lac_event_signal(struct lac_event *event);

/* Returns once the count differs from `seen`: spins for spin_ns, then sleeps. */
void lac_event_wait(struct lac_event *event, uint32_t seen, uint64_t spin_ns);

#endif
