/* SPDX-License-Identifier: Apache-2.0 */
/* What every fallible call returns. */
#ifndef LACUNA_STATUS_H
#define LACUNA_STATUS_H

#if defined(__GNUC__)
#define LAC_API __attribute__((visibility("default")))
#else
#define LAC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 0 is good, failures are negative.  The numbers are part of the ABI. */
enum lac_status {
    LAC_OK = 0,
    LAC_E_MEMORY = -1,      /* an allocation failed */
    LAC_E_ARGUMENT = -2,    /* a caller's argument is out of its range */
    LAC_E_IO = -3,          /* the operating system refused a file or a thread */
    LAC_E_FORMAT = -4,      /* a file or a text is malformed */
    LAC_E_UNSUPPORTED = -5, /* well-formed, but nothing here can run it */
    LAC_E_LIMIT = -6,       /* too long or too large for this model or machine */
    LAC_E_STATE = -7,       /* the call does not fit the handle's present state */
    LAC_E_CANCELLED = -8,   /* another thread asked for it (lac_session_cancel) */
};

/* A short English name, such as "malformed".  Never NULL; static storage. */
LAC_API const char *lac_status_name(enum lac_status status);

#ifdef __cplusplus
}
#endif
#endif
