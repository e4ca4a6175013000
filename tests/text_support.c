/* SPDX-License-Identifier: Apache-2.0 */
/* What the text tests share. */
#include "tests/text_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/text/unicode.h"

static void *counted_alloc(void *context, size_t alignment, size_t size)
{
    struct counting_host *counting = context;
    void *memory;
    if (++counting->n_allocations == counting->fail_at || posix_memalign(&memory, alignment, size))
        return NULL;
    counting->n_live++;
    return memory;
}

static void counted_release(void *context, void *memory)
{
    ((struct counting_host *)context)->n_live--;
    free(memory);
}

void counting_host_init(struct counting_host *counting, size_t fail_at)
{
    *counting = (struct counting_host){
        .host = {.allocator = {counted_alloc, counted_release, counting}}, .fail_at = fail_at};
}

struct lac_tokenizer *open_data(const char *name)
{
    char path[512];
    struct lac_error error;
    struct lac_tokenizer *tokenizer = NULL;
    snprintf(path, sizeof path, "tests/data/text/%s", name);
    if (lac_tokenizer_open_path(&lac_default_host, source_path(path), &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    return tokenizer;
}

enum lac_status open_quoted(const char *json, struct lac_tokenizer **tokenizer,
                            struct lac_error *error)
{
    char *copy = strdup(json);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    struct lac_tokenizer_texts texts = {.kind = LAC_TOKENIZER_JSON, .main = {copy, strlen(copy)}};
    enum lac_status status =
        lac_tokenizer_open_texts(&lac_default_host, "test", &texts, tokenizer, error);
    free(copy);
    return status;
}

struct lac_tokenizer *must_open_quoted(const char *json)
{
    struct lac_error error;
    struct lac_tokenizer *tokenizer = NULL;
    if (open_quoted(json, &tokenizer, &error))
        ck_abort_msg("%s", error.text);
    return tokenizer;
}

void expect_tokens(const struct lac_tokenizer *tokenizer, const char *text, size_t size,
                   const char *pair, const char *expected)
{
    struct lac_encoding encoding = {0};
    struct lac_error error;
    if (lac_tokenizer_encode_text(tokenizer, text, size, pair, pair ? strlen(pair) : 0, 0,
                                  LAC_TRUNCATE_LONGEST, &encoding, &error))
        ck_abort_msg("%s: %s", text, error.text);
    size_t capacity = 40 * encoding.n + 1, n = 0;
    char *found = malloc(capacity);
    found[0] = '\0';
    for (size_t i = 0; i < encoding.n; i++)
        n += (size_t)snprintf(found + n, capacity - n, "%s%d:%u:%u", i ? " " : "", encoding.ids[i],
                              encoding.begin[i], encoding.end[i]);
    if (strcmp(found, expected))
        ck_abort_msg("text \"%s\"\nexpected %s\nfound    %s", text, expected, found);
    free(found);
    lac_encoding_clear(&encoding);
}

size_t from_hex(const char *hex, char *text)
{
    size_t n = 0;
    for (; hex[0] > ' ' && hex[1] > ' '; hex += 2) {
        char digits[3] = {hex[0], hex[1], 0};
        text[n++] = (char)strtol(digits, NULL, 16);
    }
    text[n] = '\0';
    return n;
}

void with_ends(char *line, char *out)
{
    int id, begin, size, used;
    *out = '\0';
    for (const char *at = line; sscanf(at, "%d:%d:%d%n", &id, &begin, &size, &used) == 3;) {
        out += sprintf(out, "%d:%d:%d", id, begin, begin + size);
        at += used;
        if (*at == ' ')
            *out++ = ' ', *out = '\0', at++;
    }
}

void check_cases(const char *json, const struct by_hand *cases, size_t n)
{
    struct lac_tokenizer *tokenizer = must_open_quoted(json);
    for (size_t i = 0; i < n; i++)
        expect_tokens(tokenizer, cases[i].text, strlen(cases[i].text), NULL, cases[i].expected);
    lac_tokenizer_free(tokenizer);
}

const char *ids_of(const struct lac_encoding *encoding)
{
    static char text[4096];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < encoding->n && n + 16 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", i ? " " : "", encoding->ids[i]);
    return text;
}

size_t random_utf8(uint64_t *state, size_t max_chars, uint32_t limit, char *text)
{
    size_t n = random_below(state, max_chars + 1), size = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c;
        do
            c = (uint32_t)random_below(state, random_below(state, 2) ? limit : 0x80);
        while (c >= 0xd800 && c < 0xe000);
        size += lac_utf8_put(c, (uint8_t *)text + size);
    }
    return size;
}
