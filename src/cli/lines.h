/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of any length from a file descriptor, with a way to ask whether the next one is there. */
#ifndef LACUNA_CLI_LINES_H
#define LACUNA_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*   buffer [ consumed | begin: the rest | end ... capacity ]     no '\n' in [begin, scanned) */
struct lines {
    int fd;
    char *buffer;
    size_t begin, scanned, end, capacity;
    bool at_end;
    size_t number;    /* of the line returned last, from 1 */
    uint64_t n_bytes; /* consumed by lines returned */
};

enum lines_result { LINES_LINE, LINES_END, LINES_FAILED };

/* *text lives until the next call; without "\n" or "\r\n" at its end.  FAILED: errno says why. */
enum lines_result lines_next(struct lines *lines, char **text, size_t *size);
/* Would lines_next have to wait for the other side of a pipe, a terminal, a socket? */
bool lines_would_wait(const struct lines *lines);
void lines_free(struct lines *lines);

#endif
