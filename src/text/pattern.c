/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of tokenizer.json: a literal string or a regular expression. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "src/text/pattern.h"

#include <string.h>

#include <pcre2.h>

#include "src/text/unicode.h"

enum {
    MAX_PATTERN_BYTES = 1 << 16,
    HEAP_KIB = 1 << 16,
    FREE_STEPS = 512,
};

struct lac_text_pattern {
    const struct lac_host *host;
    char *literal; /* NULL for a regular expression */
    size_t literal_size;
    pcre2_general_context *memory;
    pcre2_code *code;
};

static void *take(PCRE2_SIZE size, void *host)
{
    return lac_alloc(host, size, 1);
}

static void give(void *memory, void *host)
{
    lac_free(host, memory);
}

static enum lac_status compile(struct lac_text_pattern *pattern, const char *source, size_t size,
                               struct lac_error *error)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(pattern->memory);
    if (!context)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a pattern");
    pcre2_set_max_pattern_length(context, MAX_PATTERN_BYTES);
    /* \C would end inside a character. */
    pattern->code =
        pcre2_compile((PCRE2_SPTR)source, size, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, context);
    pcre2_compile_context_free(context);
    if (pattern->code)
        return LAC_OK;
    PCRE2_UCHAR reason[128];
    if (pcre2_get_error_message(code, reason, sizeof reason) == PCRE2_ERROR_BADDATA)
        reason[0] = '\0';
    return lac_fail(error, code == PCRE2_ERROR_HEAP_FAILED ? LAC_E_MEMORY : LAC_E_FORMAT,
                    "regular expression, offset %zu: %s", (size_t)at, reason);
}

enum lac_status lac_text_pattern_new(const struct lac_host *host, enum lac_text_pattern_kind kind,
                                     const char *source, size_t size,
                                     struct lac_text_pattern **pattern, struct lac_error *error)
{
    if (size > MAX_PATTERN_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "the pattern has %zu bytes, more than %d", size,
                        MAX_PATTERN_BYTES);
    struct lac_text_pattern *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a pattern");
    enum lac_status status = LAC_OK;
    made->host = host;
    if (kind == LAC_TEXT_LITERAL) {
        made->literal = lac_strndup(host, source, size);
        made->literal_size = size;
    } else {
        made->memory = pcre2_general_context_create(take, give, (void *)host);
        if (made->memory)
            status = compile(made, source, size, error);
    }
    if (!made->literal && !made->memory)
        status = lac_fail(error, LAC_E_MEMORY, "no memory for a pattern");
    if (status)
        lac_text_pattern_free(made);
    else
        *pattern = made;
    return status;
}

void lac_text_pattern_free(struct lac_text_pattern *pattern)
{
    if (!pattern)
        return;
    lac_free(pattern->host, pattern->literal);
    pcre2_code_free(pattern->code);
    pcre2_general_context_free(pattern->memory);
    lac_free(pattern->host, pattern);
}

uint64_t lac_matching_budget(size_t text_size)
{
    return 4000000 + 64 * (uint64_t)text_size;
}

enum lac_status lac_matching_begin(struct lac_matching *matching,
                                   const struct lac_text_pattern *pattern, const uint8_t *text,
                                   size_t size, uint64_t *budget, struct lac_error *error)
{
    *matching = (struct lac_matching){
        .pattern = pattern, .text = text, .size = size, .last_end = SIZE_MAX, .budget = budget};
    if (pattern->literal)
        return LAC_OK;
    matching->match_data = pcre2_match_data_create(1, pattern->memory);
    matching->match_context = pcre2_match_context_create(pattern->memory);
    if (!matching->match_data || !matching->match_context) {
        lac_matching_end(matching);
        return lac_fail(error, LAC_E_MEMORY, "no memory to match a pattern");
    }
    pcre2_set_heap_limit(matching->match_context, HEAP_KIB);
    return LAC_OK;
}

void lac_matching_end(struct lac_matching *matching)
{
    pcre2_match_data_free(matching->match_data);
    pcre2_match_context_free(matching->match_context);
    *matching = (struct lac_matching){0};
}

static bool find_literal(struct lac_matching *m, size_t *begin, size_t *end)
{
    size_t size = m->pattern->literal_size;
    const uint8_t *at =
        size ? memmem(m->text + m->next, m->size - m->next, m->pattern->literal, size) : NULL;
    if (!at)
        return false;
    *begin = (size_t)(at - m->text);
    *end = *begin + size;
    return true;
}

static enum lac_status find_regex(struct lac_matching *m, size_t *begin, size_t *end, bool *found,
                                  struct lac_error *error)
{
    uint32_t steps = FREE_STEPS;
    for (;;) {
        pcre2_set_match_limit(m->match_context, steps);
        pcre2_set_depth_limit(m->match_context, steps);
        int code = pcre2_match(m->pattern->code, m->text, m->size, m->next, PCRE2_NO_UTF_CHECK,
                               m->match_data, m->match_context);
        /* 0: more groups than the one pair we keep. */
        if (code >= 0) {
            const PCRE2_SIZE *range = pcre2_get_ovector_pointer(m->match_data);
            *begin = range[0];
            *end = range[1];
            /* \K in a look-ahead can put the begin behind the end, or before what was found. */
            if (*begin > *end || *begin < m->next)
                return lac_fail(error, LAC_E_UNSUPPORTED, "a match that begins out of order");
            *found = true;
            return LAC_OK;
        }
        if (code == PCRE2_ERROR_NOMATCH) {
            *found = false;
            return LAC_OK;
        }
        if (code == PCRE2_ERROR_NOMEMORY)
            return lac_fail(error, LAC_E_MEMORY, "no memory to match a pattern");
        bool limited = code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT;
        if (!limited || steps > UINT32_MAX / 4 || *m->budget < 2 * (uint64_t)steps)
            return lac_fail(error, LAC_E_LIMIT, "a pattern takes too many steps on this text");
        steps *= 2;
        *m->budget -= steps;
    }
}

enum lac_status lac_matching_next(struct lac_matching *m, size_t *begin, size_t *end, bool *found,
                                  struct lac_error *error)
{
    for (;;) {
        enum lac_status status = LAC_OK;
        *found = false;
        if (m->next > m->size)
            return LAC_OK;
        if (m->pattern->literal)
            *found = find_literal(m, begin, end);
        else
            status = find_regex(m, begin, end, found, error);
        if (status || !*found)
            return status;
        m->next = *end;
        bool again = *begin == *end && *end == m->last_end;
        m->last_end = *end;
        if (!again)
            return LAC_OK;
        /* The same empty match: go on one character later. */
        m->next += m->next < m->size ? lac_utf8_size(m->text[m->next]) : 1;
        m->last_end = SIZE_MAX;
    }
}
