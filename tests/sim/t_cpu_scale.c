/*
 * t_cpu_scale.c - planning 10,000 vCPUs on 512 pCPUs: time, pins, balance; TAP.
 */
#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/sample.h"
#include "tests/sim/mem_sim.h"
#include "tests/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VCPUS        10000
#define BINS         512
#define ROUNDS       7
#define PINS_MOST    1.15
#define FULLEST_MOST cpu_tunables_default.aim

enum start { ALL_ON_ONE, RANDOM, HALF, SETTLED_ONCE, STARTS };

static const char *const start_name[STARTS] = { "all on one pCPU", "pinned at random",
						"all on half of the pCPUs",
						"one in ten moved" };

static struct vcpu vcpu[VCPUS];
static struct bin bin[BINS];
static struct cpuset everywhere, upper;
static int at[VCPUS];

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int place_of(struct plant *dice, enum start start, int i)
{
	int any = (int)(plant_uniform(dice) * BINS);

	switch (start) {
	case ALL_ON_ONE: return 0;
	case RANDOM: return any;
	case HALF: return any / 2;
	default: return i % 10 ? i % BINS : any;
	}
}

static void fill(struct plant *dice, enum start start, bool allowed)
{
	for (int b = 0; b < BINS; b++) {
		bin[b] = (struct bin){
			.now.capacity = 1, .now.core = -1, .now.cache = -1, .now.node = -1
		};
		cpuset_add(&everywhere, (unsigned)b);
		if (b >= BINS / 2)
			cpuset_add(&upper, (unsigned)b);
	}
	for (int i = 0; i < VCPUS; i++) {
		memset(&vcpu[i], 0, sizeof(vcpu[i]));
		vcpu[i].uuid[0] = (unsigned char)(i >> 8);
		vcpu[i].uuid[1] = (unsigned char)i;
		vcpu[i].now.allowed = allowed && i % 7 == 0 ? &upper : &everywhere;
		vcpu[i].plan.nodes = NODE_ANY;
		vcpu[i].plan.demand = 0.01 + 0.08 * plant_uniform(dice);
		vcpu[i].now.bin = place_of(dice, start, i);
		if (!cpuset_has(vcpu[i].now.allowed, (unsigned)vcpu[i].now.bin))
			vcpu[i].now.bin += BINS / 2;
	}
}

static void measure(enum start start, bool allowed, void *work)
{
	struct plant *dice = plant_new(1, 42 + start);
	struct place_score plan = { 0 };
	struct place pl;
	double best = 1e9;
	size_t fewest = 0;

	fill(dice, start, allowed);
	for (int k = 0; k < ROUNDS; k++) {
		double before = now_ms();

		place_begin(&cpu_tunables_default, &pl, bin, BINS, vcpu, VCPUS, work);
		plan = place_plan(&pl, cpu_tunables_default.aim, cpu_tunables_default.stop_points, VCPUS, at);
		best = fmin(best, now_ms() - before);
		fewest = fewest_moves(&pl, FULLEST_MOST * pl.lower_bound);
	}
	printf("# %d plans, %s%s: the quickest took %.1f ms\n", ROUNDS, start_name[start],
	       allowed ? ", allowed pCPUs" : "", best);
	ok(plan.peak <= FULLEST_MOST * pl.lower_bound + 1e-9, "peak/LB %.4f",
	   plan.peak / pl.lower_bound);
	ok((double)plan.moves <= PINS_MOST * (double)fewest, "%zu pins, %zu at least",
	   plan.moves, fewest);
	plant_free(dice);
}

int main(void)
{
	void *work = malloc(place_work_size(VCPUS, BINS));

	printf("# scratch memory: %zu KiB\n", place_work_size(VCPUS, BINS) / 1024);
	for (int s = 0; s < STARTS; s++)
		for (int allowed = 0; allowed < 2; allowed++)
			measure((enum start)s, allowed, work);
	free(work);
	return done();
}
