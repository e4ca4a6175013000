/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding steps that see one token each. */
#ifndef LACUNA_TEXT_DECODE_TOKEN_H
#define LACUNA_TEXT_DECODE_TOKEN_H

#include "src/text/decode.h"

/* Writes what a token becomes to out, which has room for LAC_MAX_DECODED_BYTES and does not overlap
 * it; returns the bytes. */
size_t lac_decode_step_token(const struct lac_decode_step *step, bool first, const char *token,
                             size_t size, char *out);

#endif
