/*
 * grain.c - what pinning costs bursts: the share of the time they want that vCPUs wait for a
 * pCPU, at each grain and with no pinning at all.  A table for `make bench`.
 *
 * 16 pCPUs: cores of 2, caches of 4, nodes of 8.  Inside a bin the simulated kernel places
 * tasks as Linux does; what moving costs their caches is not simulated.
 */
#include "tests/sim/sim.h"

#include <stdio.h>

#define PCPUS     16
#define VCPUS     40
#define INTERVALS 120
#define WARM_UP   30 /* intervals that are not counted */
#define HOSTS     4

static const struct {
	const char *name;
	unsigned width; /* pCPUs of a bin; 0: no pinning */
} grains[] = { { "cpu", 1 }, { "core", 2 }, { "cache", 4 }, { "node", 8 }, { "none", 0 } };

/* In turn, as an administrator would: how it begins matters little after the warm-up. */
static struct sim *begin(unsigned width, double load, double burst_ms, uint64_t seed)
{
	struct sim *s = sim_new(PCPUS, seed);
	double raw[VCPUS], sum = 0;

	s->dry = width == 0;
	if (width)
		sim_grain(s, width);
	for (int i = 0; i < VCPUS; i++)
		sum += raw[i] = 0.1 + 0.9 * plant_uniform(s->plant);
	for (int i = 0; i < VCPUS; i++) {
		struct plant_load l = { .work = PLANT_CLOSED,
					.demand = raw[i] / sum * load * PCPUS,
					.burst_ms = burst_ms };

		sim_guest(s, l, width ? i * (int)width % PCPUS : BIN_UNPINNED);
	}
	return s;
}

struct total {
	uint64_t ran_ns, waited_ns;
};

static struct total total(const struct sim *s)
{
	struct total t = { 0, 0 };

	for (int i = 0; i < VCPUS; i++) {
		t.ran_ns += plant_time_ns(s->plant, s->vm[i].task);
		t.waited_ns += plant_delay_ns(s->plant, s->vm[i].task);
	}
	return t;
}

/* Waiting, over what was wanted: waiting and running. */
static double run(struct sim *s)
{
	struct total before, after;

	sim_run(s, WARM_UP);
	before = total(s);
	sim_run(s, INTERVALS - WARM_UP);
	after = total(s);
	after.ran_ns -= before.ran_ns;
	after.waited_ns -= before.waited_ns;
	return (double)after.waited_ns / (double)(after.ran_ns + after.waited_ns);
}

int main(void)
{
	static const double loads[] = { 0.3, 0.6, 0.9 };
	static const double bursts_ms[] = { 2, 20, 200 };

	printf("waiting, %% of the time wanted (pins); 40 vCPUs on 16 pCPUs, %d hosts each\n"
	       "load  burst ms",
	       HOSTS);
	for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++)
		printf("  %11s", grains[g].name);
	for (int k = 0; k < 9; k++) {
		printf("\n%3.0f %%  %8.0f", 100 * loads[k / 3], bursts_ms[k % 3]);
		for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
			double wait = 0;
			unsigned pins = 0;

			for (uint64_t seed = 1; seed <= HOSTS; seed++) {
				struct sim *s = begin(grains[g].width, loads[k / 3],
						      bursts_ms[k % 3], seed);

				wait += 100 * run(s) / HOSTS;
				pins += s->dry ? 0 : s->pins;
				sim_free(s);
			}
			printf("  %5.1f (%3.0f)", wait, (double)pins / HOSTS);
		}
	}
	putchar('\n');
	return 0;
}
