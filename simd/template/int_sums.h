/* SPDX-License-Identifier: Apache-2.0 */
/* Accumulators of int8 linear layers that are plain vectors of int32.
 *
 * Before inclusion: lanes.h of the instruction set. */
#define ACC veci

static inline veci acc_zero(void)
{
    return veci_set1(0);
}

static inline veci acc_add(veci a, veci b)
{
    return veci_add(a, b);
}

/* The sums, one a lane. */
static inline veci acc_sums(veci acc)
{
    return acc;
}
