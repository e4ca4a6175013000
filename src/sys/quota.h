/* SPDX-License-Identifier: Apache-2.0 */
/* How much processor time a container grants: the quota of cgroups, versions 1 and 2. */
#ifndef LACUNA_SYS_QUOTA_H
#define LACUNA_SYS_QUOTA_H

#include <stddef.h>

/* Processors that the quota comes to, rounded up, at least 1; 0 where there is no quota, or where
 * nothing says.  The least one on the way from the process's group to the root counts.  `proc` is
 * /proc/self/cgroup and `root` is /sys/fs/cgroup, but in tests. */
size_t lac_quota_processors(const char *proc, const char *root);

#endif
