/* SPDX-License-Identifier: Apache-2.0 */
/* Stop strings in a text that grows. */
#include "src/text/stops.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/text/unicode.h"

enum lac_status lac_stops_open(struct lac_stops *stops, const struct lac_host *host,
                               const char *const *texts, size_t n, struct lac_error *error)
{
    struct lac_stops made = {.host = host};
    for (size_t i = 0; i < n; i++)
        if (!texts[i] || !*texts[i] ||
            lac_utf8_check(texts[i], strlen(texts[i])) != strlen(texts[i]))
            return lac_fail(error, LAC_E_ARGUMENT, "stop string %zu is %s", i,
                            texts[i] && *texts[i] ? "not UTF-8" : "empty");
    made.texts = lac_alloc(host, n, sizeof *made.texts);
    for (; made.texts && made.n < n; made.n++) {
        made.texts[made.n] = lac_strndup(host, texts[made.n], strlen(texts[made.n]));
        if (!made.texts[made.n])
            break;
    }
    if (made.n < n || !made.texts) {
        lac_stops_close(&made);
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu stop strings", n);
    }
    *stops = made;
    return LAC_OK;
}

void lac_stops_close(struct lac_stops *stops)
{
    while (stops->n)
        lac_free(stops->host, stops->texts[--stops->n]);
    if (stops->host)
        lac_free(stops->host, stops->texts);
    *stops = (struct lac_stops){0};
}

/* Does text begin with the string, as far as it goes? */
static bool agrees(const char *stop, const char *text, size_t size)
{
    return !memcmp(stop, text, lac_min_size(strlen(stop), size));
}

bool lac_stops_find(const struct lac_stops *stops, const char *text, size_t from, size_t size,
                    size_t *end)
{
    *end = size;
    for (size_t i = from; i < size; i++)
        for (size_t s = 0; s < stops->n; s++) {
            if (!agrees(stops->texts[s], text + i, size - i))
                continue;
            if (strlen(stops->texts[s]) <= size - i) {
                *end = i;
                return true;
            }
            *end = lac_min_size(*end, i);
        }
    return false;
}
