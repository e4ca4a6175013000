/* SPDX-License-Identifier: Apache-2.0 */
/* The message that goes with a status. */
#ifndef LACUNA_BASE_ERROR_H
#define LACUNA_BASE_ERROR_H

#include <lacuna/status.h>

enum { LAC_ERROR_TEXT_SIZE = 512 };

struct lac_error {
    enum lac_status status;
    char text[LAC_ERROR_TEXT_SIZE];
};

/* Stores status and the formatted text in error (which may be NULL) and returns status, so that
 * a failing function ends with `return lac_fail(error, ...)`.  Longer texts are cut.  Bytes that
 * are not printable ASCII or valid UTF-8 become '?': names from files reach terminals. */
enum lac_status lac_fail(struct lac_error *error, enum lac_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text of a failure; returns its status. */
enum lac_status lac_fail_in(struct lac_error *error, enum lac_status status, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));

void lac_error_clear(struct lac_error *error);

#endif
