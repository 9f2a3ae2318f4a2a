/*
 * mem_hosts.h - random simulated hosts for the memory policy.
 */
#ifndef MEM_HOSTS_H
#define MEM_HOSTS_H

#include "mem_sim.h"

#define HOST_SECONDS 240

struct random_host {
	uint64_t seed;
	size_t n;
	struct plant_mem_guest guest[12];
	struct plant_course others;
	uint64_t total_mib;
	double slack; /* total beyond what a clairvoyant needs at the peak, per use then */
	unsigned odd; /* guests */
};

/* Seeds under 1000 are for tuning; tests use others. */
void random_host(struct random_host *h, uint64_t seed);

struct mem_sim *random_host_sim(const struct random_host *h, double interval_s);

#endif
