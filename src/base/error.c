/* SPDX-License-Identifier: Apache-2.0 */
/* The message that goes with a status. */
#include "src/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

const char *lac_status_name(enum lac_status status)
{
    switch (status) {
    case LAC_OK:
        return "ok";
    case LAC_E_MEMORY:
        return "out of memory";
    case LAC_E_ARGUMENT:
        return "bad argument";
    case LAC_E_IO:
        return "input/output error";
    case LAC_E_FORMAT:
        return "malformed";
    case LAC_E_UNSUPPORTED:
        return "not supported";
    case LAC_E_LIMIT:
        return "over a limit";
    case LAC_E_STATE:
        return "wrong state";
    case LAC_E_CANCELLED:
        return "cancelled";
    }
    return "unknown status";
}

/* Control characters would let a file's names steer a terminal; half a character at the cut end
 * would not be UTF-8. */
static void sanitize(char *text)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    size_t size = strlen(text);
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(bytes + i, (utf8proc_ssize_t)(size - i), &c);
        if (n < 1 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            text[i] = '?';
            n = 1;
        }
        i += (size_t)n;
    }
}

enum lac_status lac_fail(struct lac_error *error, enum lac_status status, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        sanitize(error->text);
        error->status = status;
    }
    return status;
}

enum lac_status lac_fail_in(struct lac_error *error, enum lac_status status, const char *format,
                            ...)
{
    if (error) {
        struct lac_error inner = *error;
        va_list args;
        va_start(args, format);
        int n = vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof error->text)
            snprintf(error->text + n, sizeof error->text - (size_t)n, ": %s", inner.text);
        sanitize(error->text);
        error->status = status;
    }
    return status;
}

void lac_error_clear(struct lac_error *error)
{
    if (error) {
        error->status = LAC_OK;
        error->text[0] = '\0';
    }
}
