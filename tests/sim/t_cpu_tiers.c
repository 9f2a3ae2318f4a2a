/*
 * t_cpu_tiers.c - thousands of random hosts under the CPU policy, with and without
 * hyperthreads and NUMA nodes; TAP.
 *
 *	t_cpu_tiers [-n HOSTS] [-s SEED] [-t INTERVALS] [-pv]	-p: just the sparse hosts
 *
 * sim_tick asserts the invariants after every interval of each host.
 */
#include "policy/cpu.h"
#include "tests/sim/mem_sim.h"
#include "tests/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct plant_load duty(double demand)
{
	return (struct plant_load){ PLANT_CLOSED, demand, 20, 0.05, false };
}

/* Any host: threads, nodes, allowed pCPUs, unpinned vCPUs, what comes and goes. */
static struct sim *any_host(struct plant *dice, uint64_t seed)
{
	unsigned half = 2 + (unsigned)(plant_uniform(dice) * 5), m = 2 * half;
	unsigned n = 1 + (unsigned)(plant_uniform(dice) * 2.5 * m);
	struct sim *s = sim_new(m, seed);
	double load = 0.1 + 1.1 * plant_uniform(dice);
	int at = (int)(plant_uniform(dice) * 3);

	if (plant_uniform(dice) < 0.6)
		sim_threads(s);
	if (plant_uniform(dice) < 0.6)
		sim_nodes(s, 2);
	for (unsigned i = 0; i < n; i++) {
		struct plant_load l = duty(fmin(1, load * 2 * plant_uniform(dice) * m / n));
		int any = (int)(plant_uniform(dice) * m), cpu = at == 0   ? 0
								: at == 1 ? -1
									  : any;
		bool more = i > 0 && plant_uniform(dice) < 0.4;
		size_t k = more ? sim_vcpu(s, l, cpu) : sim_guest(s, l, cpu);

		if (!more && plant_uniform(dice) < 0.15)
			sim_allow(s, k,
				  ((1u << half) - 1) << (plant_uniform(dice) < 0.5 ? half : 0));
	}
	return s;
}

/* Returns pins in the last third, after what happened in the first. */
static unsigned run_host(uint64_t seed, unsigned ticks, bool verbose, double *over)
{
	struct plant *dice = plant_new(1, seed + 4242);
	struct sim *s = any_host(dice, seed);
	double bound;
	unsigned late;

	s->verbose = verbose;
	for (unsigned k = 0; k < ticks / 3; k++) {
		size_t i = (size_t)(plant_uniform(dice) * (double)s->now.n);

		if (plant_uniform(dice) < 0.1)
			sim_set_load(s, i, duty(plant_uniform(dice)));
		s->now.vcpu[i].held = plant_uniform(dice) < 0.1;
		sim_tick(s);
		s->now.vcpu[i].held = false;
	}
	sim_run(s, ticks / 3);
	late = sim_run(s, ticks - 2 * (ticks / 3));
	*over = sim_peak(s, &bound) / bound;
	sim_free(s);
	plant_free(dice);
	return late;
}

static void random_hosts(unsigned hosts, uint64_t seed, unsigned ticks, bool verbose)
{
	unsigned pins = 0, none = 0;
	double peak = 0;

	for (unsigned i = 0; i < hosts; i++) {
		double over;
		unsigned late = run_host(seed + i, ticks, verbose, &over);

		if (verbose || late > 20)
			printf("# seed %llu: %u late pins, peak/LB %.3f\n",
			       (unsigned long long)(seed + i), late, over);
		pins += late;
		peak += over / hosts;
		none += late == 0;
	}
	ok(none >= 0.95 * hosts && peak <= 1.1,
	   "seeds %llu to %llu, %u intervals: invariants hold; %.2f pins in the last third, none on "
	   "%.1f %%, peak/LB %.3f",
	   (unsigned long long)seed, (unsigned long long)(seed + hosts - 1), ticks,
	   (double)pins / hosts, 100.0 * none / hosts, peak);
}

/* Two nodes of threads, and no more busy vCPUs than cores, in guests of any size. */
static struct sim *sparse_host(struct plant *dice, uint64_t seed)
{
	unsigned half = 4 + 2 * (unsigned)(plant_uniform(dice) * 5), m = 2 * half;
	unsigned n = 1 + (unsigned)(plant_uniform(dice) * half), vcpus = 0, allowed = 0;
	struct sim *s = sim_new(m, seed);
	int at = (int)(plant_uniform(dice) * 3);
	uint64_t node = ((1u << half / 2) - 1) * ((1u << half) + 1u);

	sim_threads(s);
	sim_nodes(s, 2);
	for (unsigned i = 0; i < n; i++) {
		bool light = plant_uniform(dice) < 0.2;
		struct plant_load l = duty(light ? 0.1 : 0.6 + 0.4 * plant_uniform(dice));
		int any = (int)(plant_uniform(dice) * m), cpu = at == 0   ? 0
								: at == 1 ? -1
									  : any;
		bool more = vcpus > 0;
		size_t k = more ? sim_vcpu(s, l, cpu) : sim_guest(s, l, cpu);

		if (!more) {
			vcpus = 1 + (unsigned)(plant_uniform(dice) * half * 1.2);
			allowed = (unsigned)(plant_uniform(dice) * 8);
		}
		if (allowed < 2) /* its memory is strictly in one node */
			sim_allow(s, k, node << (allowed ? half / 2 : 0));
		vcpus--;
	}
	return s;
}

/* No busy vCPUs share a core while one idles that they may use. */
static void sparse_hosts(unsigned hosts, uint64_t seed, unsigned ticks, bool verbose)
{
	unsigned sharing = 0, pins = 0;

	for (unsigned i = 0; i < hosts; i++) {
		struct plant *dice = plant_new(1, seed + i + 777);
		struct sim *s = sparse_host(dice, seed + i);
		unsigned left;

		s->verbose = verbose;
		sim_run(s, 2 * ticks / 3);
		pins += sim_run(s, ticks - 2 * ticks / 3);
		left = sim_sharing(s);
		if (left)
			printf("# seed %llu: %u busy vCPUs share a core while one idles: %s\n",
			       (unsigned long long)(seed + i), left,
			       cpu_why_name(s->report.why));
		sharing += left > 0;
		sim_free(s);
		plant_free(dice);
	}
	ok(sharing == 0,
	   "%u hosts of threads and nodes: on %u busy vCPUs share a core while one idles; %.2f "
	   "pins in the last third",
	   hosts, sharing, (double)pins / hosts);
}

int main(int argc, char **argv)
{
	unsigned hosts = 3000, ticks = 45;
	uint64_t seed = 1;
	bool verbose = false, sparse = false;
	int c;

	while ((c = getopt(argc, argv, "pvn:s:t:")) != -1) {
		if (c == 'n')
			hosts = (unsigned)atoi(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 't')
			ticks = (unsigned)atoi(optarg);
		else if (c == 'p')
			sparse = true;
		else
			verbose = true;
	}
	if (!sparse)
		random_hosts(hosts, seed, ticks, verbose);
	sparse_hosts(sparse ? hosts : hosts / 6, seed, ticks, verbose);
	return done();
}
