/*
 * cgroup.h - the pCPUs of a guest's cgroup
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include <sys/types.h>

#include "lib/cpuset.h"

/*
 * The pCPUs that the cgroup of a guest's process leaves it, its vCPUs' own masks apart.  -1:
 * the kernel does not tell.
 */
int cgroup_cpus(pid_t pid, struct cpuset *out);

#endif
