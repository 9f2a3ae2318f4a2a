/*
 * node_parts.h - what the parts of the planner of nodes share; for them alone
 */
#ifndef POLICY_NODE_PARTS_H
#define POLICY_NODE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/place.h"

#define NODES 64 /* NUMA nodes numbered below this; a host with others has none for us */

struct node {
	double room, load;   /* CPUs */
	double pcpus, cores; /* CPUs: all threads, one thread of each core */
	double busy, most;   /* vCPUs: busy ones that belong to it, and how many it may hold */
};

struct node_set {
	const struct cpuset *allowed;
	uint64_t nodes; /* where it has a bin */
};

/* A guest's vCPUs of one cell; of most guests, all of them. */
struct part {
	size_t first, n; /* the guest's vCPUs */
	int cell;
	double d, busy;
	uint64_t allowed; /* nodes where each of its vCPUs has a bin */
	uint64_t nodes;   /* where it could be whole; 0: nowhere */
	uint64_t near;    /* of allowed, those with its memory; 0: unknown */
	bool interleaved;
	bool moves; /* nothing holds it */
	int node;   /* where it belongs; -1: nowhere, it is placed freely */
};

struct nodes {
	const struct cpu_tunables *tune;
	struct cpu_host *h;
	struct node node[NODES];
	struct part *part;
	struct place_rank *order; /* parts, largest first */
	struct node_set *set;
	size_t n, nsets, used;
	double excess; /* busy vCPUs for which no node has a core */
};

static inline uint64_t node_bit(int node)
{
	return (uint64_t)1 << node;
}

static inline bool node_is_held(const struct vcpu *v)
{
	return vcpu_part(v->plan.why) == VCPU_FIXED;
}

/* node_problem.c: nodes and parts as they are.  False: one node, or none that is known. */
bool node_problem(struct nodes *t);

bool node_part_has(const struct nodes *t, const struct part *p, size_t i);
int node_where(const struct cpu_host *h, const struct vcpu *v); /* it runs; -1: in none */

#endif
