/*
 * pins.h - what became of earlier pins: ours, somebody else's, and those that did not help
 */
#ifndef POLICY_PINS_H
#define POLICY_PINS_H

#include "policy/cpu.h"

/* Before a decision: see where vCPUs are now, count passes and what they brought. */
void pins_see(const struct cpu_tunables *tune, struct cpu_host *h);

/* Intervals to wait between passes. */
unsigned pins_backoff(const struct cpu_tunables *tune, const struct cpu_host *h);

/* v is asked to go to its target.  promise: what it wants is known so well that it must hold.
 */
void pins_ask(struct vcpu *v, bool promise);

#endif
