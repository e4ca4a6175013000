/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons of a feed-forward layer, whose weights lie neuron by neuron
 * (sparse/bundle.h).  What is not listed is not read.
 *
 * Both are linear layers (simd/kernel.h) of n listed neurons, and what linear says is as there, but
 * for the weight, of which only n_out, n_in, dtype, scale, offset and bias count.
 *
 *   LAC_OP_NEURON_ROWS      n outputs: output i is row list[i].  linear.w: n_out = n; scale, offset
 *                           and bias are those of the listed rows, [n] and zeros that pad LAC_LANES
 *   LAC_OP_NEURON_COLUMNS   n inputs: input i meets column list[i].  linear.w: n_in = n; bytes that
 *                           pad the last dword of x are 128; offset is not used
 *
 * linear.out_begin is a multiple of LAC_LANES, and so is out_end unless it is n_out.  linear.y_u8
 * is NULL.  Any ld >= n_tokens is taken; x may be read up to ld, only tokens below n_tokens are
 * written.
 *
 * Sums of integers are exact.  Those of floats add up the inputs one after another, from 0 by
 * multiply-adds that are fused where the linear kernels' are: the bits of a kernel for dense
 * weights of the same instruction set, which an input of 0 does not change. */
#ifndef LACUNA_SIMD_NEURONS_H
#define LACUNA_SIMD_NEURONS_H

#include "simd/kernel.h"

struct lac_neurons_args {
    struct lac_linear_args linear;
    const uint8_t *part;  /* neuron n's row or column begins at part + n * stride: on 64 bytes, and
                             whole 64 bytes can be read */
    size_t stride;        /* a multiple of 64 */
    const uint32_t *list; /* [n] */
};

#endif
