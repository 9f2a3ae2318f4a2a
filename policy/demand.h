/*
 * demand.h - what a vCPU would use if nobody was in its way
 */
#ifndef POLICY_DEMAND_H
#define POLICY_DEMAND_H

#include "policy/cpu.h"

/*
 * Take this interval's sample into v->past.demand and set v->plan.demand.  idle: the idle share of the
 * vCPU's bin, or of the host where it is unpinned (0..1).  speed: that of a pCPU there,
 * relative to the strongest, in whose CPUs demands are.
 */
void demand_update(const struct cpu_tunables *tune, struct vcpu *v, double idle, double speed,
		   double elapsed_s);

#endif
