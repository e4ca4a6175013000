/* SPDX-License-Identifier: Apache-2.0 */
/* The quota of cgroups.  Files as in the Linux kernel's Documentation/admin-guide/cgroup-v2.rst
 * (cpu.max) and Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us, cpu.cfs_period_us). */
#include "src/sys/quota.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"

enum { MAX_PATH = 4096 };

/* The beginning of a small file; "" when it cannot be read. */
static void read_text(const char *directory, const char *name, char *text, size_t size)
{
    char path[MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, size - 1, file) : 0;
    text[n] = '\0';
    if (file)
        fclose(file);
}

/* Unlimited is "max" in version 2 and -1 in version 1: neither reads as a positive number. */
static size_t processors(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? lac_ceil_div((size_t)quota, (size_t)period) : 0;
}

static size_t read_v2(const char *directory)
{
    char text[64];
    int64_t quota = 0, period = 0;
    read_text(directory, "cpu.max", text, sizeof text);
    sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period);
    return processors(quota, period);
}

static size_t read_v1(const char *directory)
{
    char text[64];
    int64_t quota = 0, period = 0;
    read_text(directory, "cpu.cfs_quota_us", text, sizeof text);
    sscanf(text, "%" SCNd64, &quota);
    read_text(directory, "cpu.cfs_period_us", text, sizeof text);
    sscanf(text, "%" SCNd64, &period);
    return processors(quota, period);
}

static size_t least(size_t a, size_t b)
{
    return a && b ? lac_min_size(a, b) : a + b;
}

/* From mount/group up to mount.  Inside a container the group's path may be the host's and not
 * exist here; the mount itself is then the container's own group. */
static size_t walk(const char *mount, const char *group, size_t (*read)(const char *))
{
    char path[MAX_PATH];
    int n = snprintf(path, sizeof path, "%s%s", mount, group);
    if (n < 0 || (size_t)n >= sizeof path)
        return read(mount);
    size_t found = 0;
    for (char *end; (end = strrchr(path, '/')) && end >= path + strlen(mount); *end = '\0')
        found = least(found, read(path));
    return least(found, read(mount));
}

static int names_cpu(const char *controllers)
{
    for (const char *p = controllers; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (!strncmp(p, "cpu", 3) && (p[3] == ',' || !p[3]))
            return 1;
    }
    return 0;
}

/* One line is hierarchy:controllers:/group; version 2 is hierarchy 0 without controllers. */
static size_t read_line(char *line, const char *root)
{
    char *controllers = strchr(line, ':'),
         *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group || strstr(group, ".."))
        return 0;
    *group++ = '\0';
    controllers++;
    group[strcspn(group, "\n")] = '\0';
    if (!*controllers)
        return walk(root, group, read_v2);
    if (!names_cpu(controllers))
        return 0;
    char mount[MAX_PATH];
    snprintf(mount, sizeof mount, "%s/cpu", root);
    return walk(mount, group, read_v1);
}

size_t lac_quota_processors(const char *proc, const char *root)
{
    FILE *file = fopen(proc, "re");
    if (!file)
        return 0;
    char line[MAX_PATH];
    size_t found = 0;
    while (fgets(line, sizeof line, file))
        found = least(found, read_line(line, root));
    fclose(file);
    return found;
}
