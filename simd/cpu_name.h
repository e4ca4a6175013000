/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor calls itself. */
#ifndef LACUNA_SIMD_CPU_NAME_H
#define LACUNA_SIMD_CPU_NAME_H

enum { LAC_CPU_NAME_SIZE = 64 };

/* One line of printable ASCII; "unknown" where it does not say. */
void lac_cpu_name(char name[LAC_CPU_NAME_SIZE]);

#endif
