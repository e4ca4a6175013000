/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule of sparse/sight.h each head of a network follows. */
#ifndef LACUNA_RUN_SIGHTS_H
#define LACUNA_RUN_SIGHTS_H

#include "src/run/network.h"

/* Fills network->sights from its configuration. */
enum lac_status lac_network_make_sights(struct lac_network *network, struct lac_error *error);

#endif
