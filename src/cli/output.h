/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines on standard output or in a file. */
#ifndef LACUNA_CLI_OUTPUT_H
#define LACUNA_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct output {
    FILE *file;
    const char *name;
    int error; /* errno of the first failure */
};

/* path NULL: standard output.  A file that is also the input (input_fd) is refused.  false: a
 * complaint is on stderr. */
bool output_open(struct output *output, const char *path, int input_fd);

/* Writes one line and gives up json.  Failures are kept until output_flush. */
void output_json(struct output *output, json_t *json);
/* The same for {"id": id, "key": [floats]}. */
void output_floats(struct output *output, const json_t *id, const char *key, const float *values,
                   size_t n);

/* Sends everything on its way; false: a complaint is on stderr. */
bool output_flush(struct output *output);
/* Takes a zeroed output.  false as above. */
bool output_close(struct output *output);

#endif
