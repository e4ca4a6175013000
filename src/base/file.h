/* SPDX-License-Identifier: Apache-2.0 */
/* Files as read-only memory. */
#ifndef LACUNA_BASE_FILE_H
#define LACUNA_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"
#include "src/base/host.h"

struct lac_file {
    const uint8_t *data; /* NULL when empty */
    size_t size;
};

/* Maps a regular file; error names path and reason.  Another process that shortens the file
 * while it is mapped kills us with SIGBUS, as with any mapping: replace files, do not rewrite. */
enum lac_status lac_file_open(const char *path, struct lac_file *file, struct lac_error *error);
/* All zeros is taken. */
void lac_file_close(struct lac_file *file);

/* Does a regular file (or a directory) of that name exist? */
int lac_path_is_file(const char *path);
int lac_path_is_directory(const char *path);

/* "directory/name" on the host's memory, or NULL. */
char *lac_path_join(const struct lac_host *host, const char *directory, const char *name);

#endif
