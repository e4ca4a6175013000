/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of any length from a file descriptor. */
#include "src/cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18 };

static bool make_room(struct lines *l)
{
    if (l->begin) {
        memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->scanned -= l->begin;
        l->begin = 0;
    }
    if (l->capacity - l->end >= READ_SIZE)
        return true;
    size_t capacity;
    if (__builtin_add_overflow(l->capacity * 2, (size_t)READ_SIZE, &capacity) ||
        capacity < l->capacity) {
        errno = ENOMEM;
        return false;
    }
    char *buffer = realloc(l->buffer, capacity);
    if (!buffer)
        return false;
    l->buffer = buffer;
    l->capacity = capacity;
    return true;
}

static bool read_more(struct lines *l)
{
    if (!make_room(l))
        return false;
    ssize_t n;
    do
        n = read(l->fd, l->buffer + l->end, l->capacity - l->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return false;
    l->at_end = n == 0;
    l->end += (size_t)n;
    return true;
}

static char *find_end(struct lines *l)
{
    if (l->scanned == l->end)
        return NULL;
    char *newline = memchr(l->buffer + l->scanned, '\n', l->end - l->scanned);
    l->scanned = newline ? (size_t)(newline - l->buffer) : l->end;
    return newline;
}

enum lines_result lines_next(struct lines *l, char **text, size_t *size)
{
    char *newline;
    while (!(newline = find_end(l)) && !l->at_end)
        if (!read_more(l))
            return LINES_FAILED;
    if (!newline && l->begin == l->end)
        return LINES_END;
    size_t n = (newline ? (size_t)(newline - l->buffer) : l->end) - l->begin;
    *text = l->buffer + l->begin;
    *size = n && (*text)[n - 1] == '\r' ? n - 1 : n;
    n += newline != NULL;
    l->begin += n;
    l->scanned = l->begin;
    l->n_bytes += n;
    l->number++;
    return LINES_LINE;
}

bool lines_would_wait(const struct lines *l)
{
    if (l->at_end || (l->end > l->begin && memchr(l->buffer + l->begin, '\n', l->end - l->begin)))
        return false;
    struct pollfd ask = {.fd = l->fd, .events = POLLIN};
    return poll(&ask, 1, 0) == 0;
}

void lines_free(struct lines *l)
{
    free(l->buffer);
    *l = (struct lines){.fd = -1};
}
