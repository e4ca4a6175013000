/* SPDX-License-Identifier: Apache-2.0 */
/* The library's version. */
#include "config.h"

#include <lacuna/lacuna.h>

const char *lac_version(void)
{
    return PACKAGE_VERSION;
}
