/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON front to back without building a tree, for headers of safetensors files: they are
 * flat, may be large, and are read each time a model starts.
 *
 * All errors begin with "byte N: " (of the text). */
#ifndef LACUNA_MODEL_JSON_SCAN_H
#define LACUNA_MODEL_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"

struct lac_scan {
    const char *begin, *at, *end;
};

/* White space is skipped before each of these. */

/* Takes c if it comes next. */
bool lac_scan_take(struct lac_scan *scan, char c);
/* LAC_E_FORMAT if c does not come next. */
enum lac_status lac_scan_expect(struct lac_scan *scan, char c, struct lac_error *error);
/* After an item of an array or object: more is false when close ended it. */
enum lac_status lac_scan_more(struct lac_scan *scan, char close, bool *more,
                              struct lac_error *error);
/* The end of the text. */
enum lac_status lac_scan_end(struct lac_scan *scan, struct lac_error *error);

/* Writes the string at *text with a final 0 and moves *text behind that.  It never takes more bytes
 * than the JSON did.  Escapes are resolved; U+0000, surrogates alone and invalid UTF-8 refused. */
enum lac_status lac_scan_string(struct lac_scan *scan, char **text, struct lac_error *error);

/* An integer from 0 to INT64_MAX. */
enum lac_status lac_scan_size(struct lac_scan *scan, size_t *value, struct lac_error *error);

/* "byte N: expected WHAT, found ...". */
enum lac_status lac_scan_fail(const struct lac_scan *scan, const char *what,
                              struct lac_error *error);

#endif
