/* SPDX-License-Identifier: Apache-2.0 */
/* The element types safetensors knows. */
#include "src/model/storage.h"

#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"

/* The names of the safetensors format, version 0.6. */
static const struct lac_storage_kind kinds[] = {
    {"F64", LAC_STORE_F64, 64},
    {"F32", LAC_STORE_F32, 32},
    {"F16", LAC_STORE_F16, 16},
    {"BF16", LAC_STORE_BF16, 16},
    {"I64", LAC_STORE_I64, 64},
    {"I32", LAC_STORE_I32, 32},
    {"I16", LAC_STORE_I16, 16},
    {"I8", LAC_STORE_I8, 8},
    {"U8", LAC_STORE_U8, 8},
    {"BOOL", LAC_STORE_BOOL, 8},
    {"U64", LAC_STORE_OTHER, 64},
    {"U32", LAC_STORE_OTHER, 32},
    {"U16", LAC_STORE_OTHER, 16},
    {"C64", LAC_STORE_OTHER, 64},
    {"F8_E5M2", LAC_STORE_OTHER, 8},
    {"F8_E4M3", LAC_STORE_OTHER, 8},
    {"F8_E8M0", LAC_STORE_OTHER, 8},
    {"F8_E5M2FNUZ", LAC_STORE_OTHER, 8},
    {"F8_E4M3FNUZ", LAC_STORE_OTHER, 8},
    {"F6_E2M3", LAC_STORE_OTHER, 6},
    {"F6_E3M2", LAC_STORE_OTHER, 6},
    {"F4", LAC_STORE_OTHER, 4},
};

enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const struct lac_storage_kind *lac_storage_named(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

const struct lac_storage_kind *lac_storage_kind(enum lac_storage storage)
{
    if (storage == LAC_STORE_OTHER)
        return NULL;
    for (size_t i = 0; i < N_KINDS; i++)
        if (kinds[i].storage == storage)
            return &kinds[i];
    return NULL;
}

bool lac_storage_size(const struct lac_storage_kind *kind, size_t n, size_t *size_bytes)
{
    size_t bits;
    if (kind->bits % 8 == 0)
        return lac_mul_size(n, kind->bits / 8, size_bytes);
    if (!lac_mul_size(n, kind->bits, &bits) || bits % 8)
        return false;
    *size_bytes = bits / 8;
    return true;
}

bool lac_shape_elements(unsigned rank, const size_t *shape, size_t *n)
{
    size_t product = 1;
    for (unsigned i = 0; i < rank; i++)
        if (!lac_mul_size(product, shape[i], &product))
            return false;
    *n = product;
    return true;
}

char *lac_shape_text(unsigned rank, const size_t *shape, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (unsigned i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", i ? ", " : "", shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}
