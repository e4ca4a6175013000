/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines on standard output or in a file. */
#include "src/cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cli/command.h"

bool output_open(struct output *out, const char *path, int input_fd)
{
    *out = (struct output){.file = stdout, .name = "standard output"};
    if (!path)
        return true;
    out->name = path;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    struct stat ours, theirs;
    if (fd >= 0 && !fstat(fd, &ours) && !fstat(input_fd, &theirs) && S_ISREG(ours.st_mode) &&
        ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino) {
        complain("--output: '%s' is the input", path);
        close(fd);
        return false;
    }
    if (fd < 0 || (S_ISREG(ours.st_mode) && ftruncate(fd, 0)) || !(out->file = fdopen(fd, "w"))) {
        complain("--output: '%s': %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    return true;
}

static void keep_error(struct output *out, int failed)
{
    if (failed && !out->error)
        out->error = errno ? errno : EIO;
}

void output_json(struct output *out, json_t *json)
{
    errno = 0;
    keep_error(out, json_dumpf(json, out->file, JSON_COMPACT | JSON_REAL_PRECISION(7)));
    keep_error(out, putc('\n', out->file) == EOF);
    json_decref(json);
}

void output_floats(struct output *out, const json_t *id, const char *key, const float *values,
                   size_t n)
{
    errno = 0;
    int failed = fputs("{\"id\":", out->file) < 0;
    failed |= json_dumpf(id, out->file, JSON_COMPACT | JSON_ENCODE_ANY);
    failed |= fprintf(out->file, ",\"%s\":[", key) < 0;
    for (size_t i = 0; i < n; i++)
        failed |= fprintf(out->file, i ? ",%.8g" : "%.8g", (double)values[i]) < 0;
    failed |= fputs("]}\n", out->file) < 0;
    keep_error(out, failed);
}

bool output_flush(struct output *out)
{
    errno = 0;
    keep_error(out, fflush(out->file));
    if (out->error)
        complain("%s: cannot be written: %s", out->name, strerror(out->error));
    return !out->error;
}

bool output_close(struct output *out)
{
    if (!out->file || out->file == stdout)
        return true;
    errno = 0;
    int failed = fclose(out->file);
    out->file = NULL;
    if (failed && !out->error)
        complain("%s: cannot be written: %s", out->name, strerror(errno));
    return !failed;
}
