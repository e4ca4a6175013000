/* SPDX-License-Identifier: Apache-2.0 */
/* All of Lacuna's public headers. */
#ifndef LACUNA_LACUNA_H
#define LACUNA_LACUNA_H

#include <lacuna/engine.h>
#include <lacuna/generate.h>
#include <lacuna/model.h>
#include <lacuna/session.h>
#include <lacuna/status.h>
#include <lacuna/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "major.minor.patch" of the library in use. */
LAC_API const char *lac_version(void);

#ifdef __cplusplus
}
#endif
#endif
