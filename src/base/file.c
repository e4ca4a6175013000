/* SPDX-License-Identifier: Apache-2.0 */
/* Files as read-only memory. */
#include "src/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/checked.h"

static enum lac_status map(int fd, const char *path, struct lac_file *file,
                           struct lac_error *error)
{
    struct stat st;
    if (fstat(fd, &st))
        return lac_fail(error, LAC_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return lac_fail(error, LAC_E_IO, "%s: not a regular file", path);
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return lac_fail(error, LAC_E_LIMIT, "%s: %jd bytes do not fit this machine's addresses",
                        path, (intmax_t)st.st_size);
    file->size = (size_t)st.st_size;
    file->data = NULL;
    if (!file->size)
        return LAC_OK;
    void *data = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return lac_fail(error, LAC_E_IO, "%s: cannot map %zu bytes: %s", path, file->size,
                        strerror(errno));
    file->data = data;
    return LAC_OK;
}

enum lac_status lac_file_open(const char *path, struct lac_file *file, struct lac_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us */
    if (fd < 0)
        return lac_fail(error, LAC_E_IO, "%s: %s", path, strerror(errno));
    enum lac_status status = map(fd, path, file, error);
    close(fd);
    return status;
}

void lac_file_close(struct lac_file *file)
{
    if (file->data)
        munmap((void *)(uintptr_t)file->data, file->size);
    file->data = NULL;
    file->size = 0;
}

int lac_path_is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

int lac_path_is_directory(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

char *lac_path_join(const struct lac_host *host, const char *directory, const char *name)
{
    size_t n_directory = strlen(directory), n_name = strlen(name);
    char *path = lac_alloc(host, n_directory + n_name + 2, 1);
    if (!path)
        return NULL;
    memcpy(path, directory, n_directory);
    if (n_directory && directory[n_directory - 1] != '/')
        path[n_directory++] = '/';
    memcpy(path + n_directory, name, n_name + 1);
    return path;
}
