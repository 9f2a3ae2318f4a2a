/*
 * t_cpu_scale.c - planning 10,000 vCPUs on 512 pCPUs: time, pins, balance; TAP.
 */
#include "mem_sim.h"
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VCPUS        10000
#define BINS         512
#define ROUNDS       7
#define PINS_MOST    1.15
#define FULLEST_MOST 1.03

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

static void fill(struct plant *dice, enum start start, bool fences)
{
	for (int b = 0; b < BINS; b++) {
		bin[b] = (struct bin){ .capacity = 1, .core = -1, .cache = -1, .node = -1 };
		cpuset_add(&everywhere, (unsigned)b);
		if (b >= BINS / 2)
			cpuset_add(&upper, (unsigned)b);
	}
	for (int i = 0; i < VCPUS; i++) {
		memset(&vcpu[i], 0, sizeof(vcpu[i]));
		vcpu[i].uuid[0] = (unsigned char)(i >> 8);
		vcpu[i].uuid[1] = (unsigned char)i;
		vcpu[i].allowed = fences && i % 7 == 0 ? &upper : &everywhere;
		vcpu[i].node = -1;
		vcpu[i].demand = 0.01 + 0.08 * plant_uniform(dice);
		vcpu[i].bin = place_of(dice, start, i);
		if (!cpuset_has(vcpu[i].allowed, (unsigned)vcpu[i].bin))
			vcpu[i].bin += BINS / 2;
	}
}

static void measure(enum start start, bool fences, void *work)
{
	struct plant *dice = plant_new(1, 42 + start);
	struct place_score plan = { 0 };
	struct place pl;
	double best = 1e9;
	size_t fewest = 0;

	fill(dice, start, fences);
	for (int k = 0; k < ROUNDS; k++) {
		double before = now_ms();

		place_begin(&pl, bin, BINS, vcpu, VCPUS, work);
		plan = place_plan(&pl, FULLEST_MOST, 3.5, VCPUS, at);
		best = fmin(best, now_ms() - before);
		fewest = bound_fewest(&pl, FULLEST_MOST * pl.bound);
	}
	printf("# %d plans, %s%s: the quickest took %.1f ms\n", ROUNDS, start_name[start],
	       fences ? ", fences" : "", best);
	ok(plan.fullest <= FULLEST_MOST * pl.bound + 1e-9, "fullest/LB %.4f",
	   plan.fullest / pl.bound);
	ok((double)plan.moves <= PINS_MOST * (double)fewest, "%zu pins, %zu at least",
	   plan.moves, fewest);
	plant_free(dice);
}

int main(void)
{
	void *work = malloc(place_work_size(VCPUS, BINS));

	printf("# scratch memory: %zu KiB\n", place_work_size(VCPUS, BINS) / 1024);
	for (int s = 0; s < STARTS; s++)
		for (int fences = 0; fences < 2; fences++)
			measure((enum start)s, fences, work);
	free(work);
	return done();
}
