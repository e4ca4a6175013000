/* SPDX-License-Identifier: Apache-2.0 */
/* Time that only goes forward. */
#ifndef LACUNA_SYS_CLOCK_H
#define LACUNA_SYS_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed moment, not affected by changes of the date. */
uint64_t lac_clock_ns(void);

#endif
