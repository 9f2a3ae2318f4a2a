/*
 * cpu_observe.h - from two samples of counters to what the CPU policy sees
 */
#ifndef POLICY_CPU_OBSERVE_H
#define POLICY_CPU_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/sample.h"

/* What of the options matters here. */
struct cpu_rules {
	const struct cpuset *cpus; /* pCPUs for guests; NULL: all that are not isolated */
	enum grain grain;
};

/* What the policy sees and remembers.  All zero at first; the caller frees it. */
struct cpu_view {
	struct cpu_host host;
	const struct vcpu_sample *now;   /* the sample that it is of, */
	const struct vcpu_count **count; /* and in it host.vcpu[i] */
	struct cpuset scope;             /* pCPUs that are online and ours to use */
	unsigned bin_of[PCPU_MAX];       /* of each pCPU */
	struct cpuset *allowed; /* bins allowed by each of now's sets, as allowed pCPUs */
	struct vcpu *merged;    /* the next host.vcpu, while it is made */
	size_t bin_cap, vcpu_cap, count_cap, allowed_cap, merged_cap; /* allocated */
};

/*
 * Takes in a sample and the one before it: shares of time, bins and where masks keep vCPUs;
 * history is carried over by UUID and number.  A vCPU that is nobody's to place is left out,
 * so that its load counts as background load.  now must last as long as the view is used.
 * -1: no memory; the view is as it was, but must not be decided on.
 */
int cpu_observe(struct cpu_view *view, const struct cpu_rules *rules,
		const struct vcpu_sample *before, const struct vcpu_sample *now);
void cpu_view_free(struct cpu_view *view);

/* Does the host tell of any pCPU which core, cache or node it has? */
bool cpu_knows_grain(const struct vcpu_sample *now, enum grain grain);

/* The pCPUs of a bin that are ours to use. */
struct cpuset cpu_bin_pcpus(const struct cpu_view *view, unsigned bin);

/* The mask that brings vCPU i to its target: inside a bin the kernel chooses. */
struct cpuset cpu_target_mask(const struct cpu_view *view, size_t i);

/*
 * What a vCPU was found with; one that was unpinned is to be so again, whatever is online
 * then.
 */
struct cpuset cpu_found_mask(const struct vcpu_sample *now, const struct vcpu_count *count);

#endif
