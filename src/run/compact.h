/* SPDX-License-Identifier: Apache-2.0 */
/* Compact pages from whole ones: simd/compact.h. */
#ifndef LACUNA_RUN_COMPACT_H
#define LACUNA_RUN_COMPACT_H

#include <stdbool.h>

#include "simd/compact.h"

/* Features of the page's keys become 0 but for those whose dwords are set. */
void lac_page_clear_features(const struct lac_compact *c, uint64_t dwords, void *page);
/* Each key and value gets as few bits as LAC_COMPACT_BITS keeps, with a scale of its own. */
void lac_page_round(const struct lac_compact *c, void *page);
/* false: something of the page would be lost, and *compact is spoilt. */
bool lac_page_pack(const struct lac_compact *c, const void *page, void *compact);
/* The squares of each feature of the page's keys, added to squares [head_dim]. */
void lac_page_add_squares(const struct lac_compact *c, const void *page, double *squares);

#endif
