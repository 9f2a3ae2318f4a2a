/*
 * mem_parts.h - what mem.c and mem_guest.c share
 */
#ifndef POLICY_MEM_PARTS_H
#define POLICY_MEM_PARTS_H

#include <math.h>

#include "policy/ledger.h"
#include "policy/mem.h"

static inline double held(const struct guest *g)
{
	return (double)ledger_held(g);
}

/* A smaller change is not worth the samples that it spoils. */
static inline double band(const struct mem_tunables *tune, const struct guest *g)
{
	return fmax(tune->band_kib, tune->band_part * (double)g->now.actual_kib);
}

/* Nothing keeps it from getting a command, and it has none yet. */
static inline bool fit(const struct guest *g)
{
	return g->plan.reason == MEM_NONE;
}

/* Its last sample was taken after our last command took effect. */
static inline bool sampled(const struct guest *g)
{
	return g->need.sample_ns > g->mem.command_ns;
}

/* Nobody could tell whether its pages come back, and no shrink has shown it yet. */
static inline bool unproven(const struct guest *g)
{
	return g->now.unproven && !g->mem.proven;
}

/* Tells g to hold so much, within what its owner asked for. */
void guest_command(struct guest *g, double kib, enum mem_reason reason);

/* Takes in g's sample: what became of its last command, its levels, why it is left alone. */
void guest_observe(const struct mem_tunables *tune, struct guest *g, double interval_s,
		   int64_t now_ns);

/* What is put right each second, whatever the host has: boots, stalls, pages that stay. */
void guest_mend(const struct mem_tunables *tune, struct guest *g, int64_t now_ns);

/* Of one that is left alone: takes back what it was told to give and has not. */
void guest_release(const struct mem_tunables *tune, struct guest *g, int64_t now_ns);

#endif
