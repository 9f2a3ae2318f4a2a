/*
 * t_cpu_tiers.c - hyperthreads and NUMA nodes under the CPU policy, and thousands of random
 * hosts, with and without them; TAP.
 *
 *	t_cpu_tiers [-n HOSTS] [-s SEED] [-t INTERVALS] [-v]
 *
 * sim_tick asserts the invariants after every interval of each host.
 */
#include "mem_sim.h"
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct plant_load hog = { PLANT_CLOSED, 1, 0, 0.05 };

static struct plant_load duty(double demand)
{
	return (struct plant_load){ PLANT_CLOSED, demand, 20, 0.05 };
}

/* How many vCPUs the core, or the node, with the most has. */
static unsigned most_in(const struct sim *s, bool core)
{
	unsigned in[64] = { 0 }, most = 0;

	for (size_t i = 0; i < s->host.n; i++) {
		const struct bin *b = &s->host.bin[s->host.vcpu[i].bin];
		unsigned n = ++in[core ? b->core : b->node];

		most = n > most ? n : most;
	}
	return most;
}

/* How many guests, of size vCPUs each, are not whole in one node. */
static unsigned split(const struct sim *s, size_t size)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->host.n; i++)
		n += s->host.bin[s->host.vcpu[i].bin].node !=
		     s->host.bin[s->host.vcpu[i / size * size].bin].node;
	return n;
}

/* ---- hyperthreads ------------------------------------------------------------------- */

static void hogs_on_threads(const char *name, size_t n, unsigned most, unsigned pins, int at)
{
	struct sim *s = sim_new(8, 1);

	sim_threads(s);
	for (size_t i = 0; i < n; i++)
		sim_guest(s, hog, at >= 0 ? at : (int)i / 2 + 4 * (int)(i % 2));
	sim_run(s, 30);
	ok(most_in(s, true) == most && s->pins == pins,
	   "%s: at most %u on a core (%u), %u pins (%u)", name, most, most_in(s, true), pins,
	   s->pins);
	ok(sim_run(s, 300) == 0, "%s: then silence", name);
	sim_free(s);
}

/* What an empty thread is worth shows in the guests' speed, not in their time. */
static void offline_sibling(void)
{
	struct sim *s = sim_new(8, 2);
	unsigned pins;

	sim_threads(s);
	plant_online(s->plant, 4, false);
	s->host.bin[4].capacity = 0;
	for (size_t i = 0; i < 5; i++) {
		sim_guest(s, hog, 0);
		sim_fence(s, i, 0xef);
	}
	pins = sim_run(s, 30);
	ok(pins == 4 && most_in(s, true) == 2,
	   "5 hogs, a thread of 4 cores offline: 4 pins (%u)", pins);
	sim_free(s);
}

/* ---- NUMA nodes --------------------------------------------------------------------- */

/* A node's demand, or with -1 all of it, in CPUs. */
static double demand_in(const struct sim *s, int node)
{
	double sum = 0;

	for (size_t i = 0; i < s->host.n; i++)
		if (node < 0 || s->host.bin[s->host.vcpu[i].bin].node == node)
			sum += s->vm[i].nominal;
	return sum;
}

#define OTHERS 10 /* guests of two_nodes() beside the big one */

/*
 * Two nodes of 4 pCPUs, all of a node alike: a guest of 2 vCPUs that want 4 units each and 6
 * guests of 2 that want 2 in the first, 4 of these in the second: 32 units against 16.
 */
static struct sim *two_nodes(uint64_t seed, double unit)
{
	struct sim *s = sim_new(8, seed);

	sim_nodes(s, 2);
	sim_guest(s, duty(4 * unit), 0);
	sim_vcpu(s, duty(4 * unit), 1);
	for (int i = 0; i < 2 * OTHERS; i++) {
		int at = i < 4 ? i % 2 : i < 12 ? 2 + i % 2 : 4 + i % 4;

		if (i % 2 == 0)
			sim_guest(s, duty(2 * unit), at);
		else
			sim_vcpu(s, duty(2 * unit), at);
	}
	return s;
}

/* Guests of 2 vCPUs that are not in the node where two_nodes() had them. */
static unsigned crossed(const struct sim *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->host.n; i += 2)
		n += s->host.bin[s->host.vcpu[i].bin].node != (i < 14 ? 0 : 1);
	return n;
}

static void skewed(void)
{
	struct sim *s = two_nodes(3, 0.075);
	unsigned early = sim_run(s, 9), pins;

	pins = sim_run(s, 300);
	ok(early == 0 && crossed(s) == 1 && split(s, 2) == 0,
	   "two nodes, 30 %% skew: one whole guest moves, not before 10 intervals (%u, %u early "
	   "pins)",
	   crossed(s), early);
	ok(pins <= 7, "its 2 vCPUs and some that make room or fill it (%u pins)", pins);
	sim_free(s);
	s = two_nodes(4, 0.0225);
	pins = sim_run(s, 300);
	ok(pins == 0, "two nodes, 9 %% skew: none (%u pins)", pins);
	sim_free(s);
	s = two_nodes(5, 0.075);
	for (size_t i = 0; i < s->host.n; i++)
		sim_fence(s, i, i < 14 ? 0x0f : 0xf0);
	pins = sim_run(s, 300);
	ok(pins == 0, "30 %% skew, strict nodesets: none (%u pins)", pins);
	sim_free(s);
	s = two_nodes(6, 0.075);
	sim_fence(s, 0, 0x0f);
	sim_fence(s, 1, 0x0f);
	sim_run(s, 300);
	ok(s->host.vcpu[0].bin < 4 && s->host.vcpu[1].bin < 4 && split(s, 2) == 0 &&
		   crossed(s) == 2,
	   "30 %% skew, the big one with a strict nodeset: two others move (%u)", crossed(s));
	sim_free(s);
}

static void all_in_one(void)
{
	struct sim *s = sim_new(8, 7);
	unsigned first = 0;

	sim_nodes(s, 2);
	for (size_t i = 0; i < 8; i += 2) {
		sim_guest(s, hog, 0);
		sim_vcpu(s, hog, 0);
	}
	while (first == 0 && s->ticks < 5)
		first = sim_run(s, 1);
	ok(first == 7, "4 guests of 2 hogs on one pCPU of two nodes: 7 pins at once (%u)",
	   first);
	ok(split(s, 2) == 0 && most_in(s, false) == 4,
	   "each guest whole in a node, two in each");
	ok(sim_run(s, 300) == 0, "then silence");
	sim_free(s);
}

static void floating(void)
{
	struct sim *s = sim_new(8, 8);

	sim_threads(s);
	sim_nodes(s, 2);
	for (size_t i = 0; i < 4; i++)
		sim_guest(s, hog, -1);
	for (size_t i = 0; i < 4; i++)
		sim_guest(s, duty(0.5), 0);
	sim_run(s, 30);
	ok(fabs(demand_in(s, 0) - demand_in(s, -1) / 2) < 0.3 && s->pins <= 8,
	   "4 hogs float, 4 halves on one of 8 threads in two nodes: %.2f and %.2f CPUs, %u pins",
	   demand_in(s, 0), demand_in(s, 1), s->pins);
	sim_free(s);
}

static void too_big(void)
{
	struct sim *s = sim_new(8, 9);

	sim_nodes(s, 2);
	sim_guest(s, hog, 0);
	for (size_t i = 1; i < 6; i++)
		sim_vcpu(s, hog, 0);
	sim_run(s, 30);
	ok(s->pins == 5 && most_in(s, false) <= 4,
	   "a guest of 6 vCPUs fits no node of 4: %u pins", s->pins);
	sim_free(s);
}

/* ---- random hosts ------------------------------------------------------------------- */

/* Any host: threads, nodes, fences, what floats, what comes and goes. */
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
			sim_fence(s, k,
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
		size_t i = (size_t)(plant_uniform(dice) * (double)s->host.n);

		if (plant_uniform(dice) < 0.1)
			sim_set_load(s, i, duty(plant_uniform(dice)));
		s->host.vcpu[i].stuck = plant_uniform(dice) < 0.1;
		sim_tick(s);
		s->host.vcpu[i].stuck = false;
	}
	sim_run(s, ticks / 3);
	late = sim_run(s, ticks - 2 * (ticks / 3));
	*over = sim_fullest(s, &bound) / bound;
	sim_free(s);
	plant_free(dice);
	return late;
}

static void random_hosts(unsigned hosts, uint64_t seed, unsigned ticks, bool verbose)
{
	unsigned pins = 0, none = 0;
	double fullest = 0;

	for (unsigned i = 0; i < hosts; i++) {
		double over;
		unsigned late = run_host(seed + i, ticks, verbose, &over);

		if (verbose || late > 20)
			printf("# seed %llu: %u late pins, fullest/LB %.3f\n",
			       (unsigned long long)(seed + i), late, over);
		pins += late;
		fullest += over / hosts;
		none += late == 0;
	}
	ok(none >= 0.95 * hosts && fullest <= 1.1,
	   "seeds %llu to %llu, %u intervals: invariants hold; %.2f pins in the last third, none on "
	   "%.1f %%, fullest/LB %.3f",
	   (unsigned long long)seed, (unsigned long long)(seed + hosts - 1), ticks,
	   (double)pins / hosts, 100.0 * none / hosts, fullest);
}

int main(int argc, char **argv)
{
	unsigned hosts = 3000, ticks = 45;
	uint64_t seed = 1;
	bool verbose = false;
	int c;

	while ((c = getopt(argc, argv, "vn:s:t:")) != -1) {
		if (c == 'n')
			hosts = (unsigned)atoi(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 't')
			ticks = (unsigned)atoi(optarg);
		else
			verbose = true;
	}
	hogs_on_threads("4 hogs on one of 8 threads of 4 cores", 4, 1, 3, 0);
	hogs_on_threads("4 hogs, two each on the threads of 2 cores", 4, 1, 2, -1);
	hogs_on_threads("8 hogs on one of 8 threads of 4 cores", 8, 2, 7, 0);
	offline_sibling();
	skewed();
	all_in_one();
	floating();
	too_big();
	random_hosts(hosts, seed, ticks, verbose);
	return done();
}
