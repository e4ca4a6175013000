/* SPDX-License-Identifier: Apache-2.0 */
/* Stop strings in a text that grows. */
#ifndef LACUNA_TEXT_STOPS_H
#define LACUNA_TEXT_STOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/error.h"
#include "src/base/host.h"

struct lac_stops {
    const struct lac_host *host;
    char **texts;
    size_t n;
};

/* Copies n strings, each UTF-8 and not empty (LAC_E_ARGUMENT).  On failure *stops is untouched. */
enum lac_status lac_stops_open(struct lac_stops *stops, const struct lac_host *host,
                               const char *const *texts, size_t n, struct lac_error *error);
/* Takes all zeros. */
void lac_stops_close(struct lac_stops *stops);

/* Looks through text[from, size), in which no stop string has been so far; false: none is, and what
 * may still become the beginning of one starts at *end (size: nothing).  true: the first one starts
 * at *end.  *end is between characters if text[from, size) consists of whole ones. */
bool lac_stops_find(const struct lac_stops *stops, const char *text, size_t from, size_t size,
                    size_t *end);

#endif
