/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode normalization forms (Unicode Standard Annex 15) that remember origins. */
#ifndef LACUNA_TEXT_FORMS_H
#define LACUNA_TEXT_FORMS_H

#include "src/text/scratch.h"

enum lac_form { LAC_FORM_CANONICAL, LAC_FORM_COMPATIBILITY };

/* Full decomposition in canonical order.  A decomposed character gives its origin to all its
 * parts.  spare is clobbered.  False without memory. */
bool lac_decompose(const struct lac_host *host, enum lac_form form, struct lac_chars *chars,
                   struct lac_chars *spare);

/* Canonical composition of decomposed text, in place.  A composed character has the origin of
 * its starter. */
void lac_compose(struct lac_chars *chars);

#endif
