/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor calls itself (Intel SDM vol. 2A, CPUID). */
#include "simd/cpu_name.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* The brand string: leaves 0x80000002 to 0x80000004, 16 bytes each. */
static void read_brand(char text[LAC_CPU_NAME_SIZE])
{
    enum { N_LEAVES = 3 };
    uint32_t words[N_LEAVES * 4 + 1] = {0}, highest, b, c, d;
    __cpuid(0x80000000, highest, b, c, d);
    for (unsigned i = 0; i < N_LEAVES && highest >= 0x80000004; i++)
        __cpuid(0x80000002u + i, words[i * 4], words[i * 4 + 1], words[i * 4 + 2],
                words[i * 4 + 3]);
    memcpy(text, words, sizeof words);
}
#else
static void read_brand(char text[LAC_CPU_NAME_SIZE])
{
    text[0] = 0;
}
#endif

void lac_cpu_name(char name[LAC_CPU_NAME_SIZE])
{
    char text[LAC_CPU_NAME_SIZE] = "";
    read_brand(text);
    size_t n = 0;
    for (size_t i = 0; text[i]; i++)
        if (text[i] > ' ' && text[i] <= '~')
            name[n++] = text[i];
        else if (n && name[n - 1] != ' ')
            name[n++] = ' ';
    while (n && name[n - 1] == ' ')
        n--;
    name[n] = 0;
    if (!n)
        strcpy(name, "unknown");
}
