/*
 * node.h - which NUMA node a guest is in
 */
#ifndef POLICY_NODE_H
#define POLICY_NODE_H

#include "policy/cpu.h"

/*
 * Sets nodes of every vCPU, and why VCPU_NODE where one that stays would leave its bin for
 * them. A guest, or a cell of it, stays whole in one node while its busy vCPUs have a core each
 * there.  Call it when why is set.
 */
void node_plan(const struct cpu_tunables *tune, struct cpu_host *h, void *work);
size_t node_work_size(size_t n);

#endif
