/*
 * grain.c - what pinning costs bursts: the share of the time they want that vCPUs wait for a
 * pCPU, at each grain and with no pinning at all.  A table for `make bench`.
 *
 * 16 pCPUs: cores of 2, caches of 4, nodes of 8.  Inside a bin the simulated kernel places
 * tasks as Linux does; what moving costs their caches is not simulated.
 */
#include "tests/fake/plant_cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCPUS     16
#define VCPUS     40
#define INTERVALS 120
#define WARM_UP   30 /* intervals that are not counted */
#define HOSTS     4
#define TICK_NS   2000000000ULL

static const struct {
	const char *name;
	unsigned width; /* pCPUs of a bin; 0: no pinning */
} grains[] = { { "cpu", 1 }, { "core", 2 }, { "cache", 4 }, { "node", 8 }, { "none", 0 } };

struct host {
	struct plant *plant;
	struct cpu_host h;
	struct cpu_report report;
	struct bin bin[PCPUS];
	struct vcpu vcpu[VCPUS];
	unsigned task[VCPUS], width, pins;
	uint64_t time_ns[VCPUS], delay_ns[VCPUS], busy_ns[PCPUS], last_ns;
	struct cpuset all;
	void *work;
};

static void begin(struct host *s, unsigned width, double load, double burst_ms, uint64_t seed)
{
	double raw[VCPUS], sum = 0;

	memset(s, 0, sizeof(*s));
	s->width = width ? width : 1;
	s->plant = plant_new(PCPUS, seed);
	s->h.bin = s->bin;
	s->h.nbins = PCPUS / s->width;
	s->h.vcpu = s->vcpu;
	s->h.n = VCPUS;
	s->work = malloc(cpu_work_size(VCPUS, PCPUS));
	if (!s->work)
		abort();
	for (unsigned b = 0; b < s->h.nbins; b++) {
		s->bin[b] = (struct bin){ .capacity = s->width, .core = -1, .cache = -1, .node = -1 };
		cpuset_add(&s->all, b);
	}
	for (int i = 0; i < VCPUS; i++)
		sum += raw[i] = 0.1 + 0.9 * plant_uniform(s->plant);
	for (int i = 0; i < VCPUS; i++) {
		struct plant_load l = { PLANT_CLOSED, raw[i] / sum * load * PCPUS, burst_ms, 0 };

		s->task[i] = plant_task(s->plant, &l);
		s->vcpu[i].uuid[0] = (unsigned char)i;
		s->vcpu[i].guest = "guest";
		s->vcpu[i].allowed = &s->all;
		s->vcpu[i].bin = BIN_FLOATS;
	}
}

static void sample(struct host *s)
{
	double elapsed = (double)(plant_now_ns(s->plant) - s->last_ns);

	s->h.elapsed_s = elapsed / 1e9;
	for (int i = 0; i < VCPUS; i++) {
		uint64_t t = plant_time_ns(s->plant, s->task[i]);
		uint64_t w = plant_delay_ns(s->plant, s->task[i]);

		s->vcpu[i].sampled = s->last_ns != 0;
		s->vcpu[i].run = (double)(t - s->time_ns[i]) / elapsed;
		s->vcpu[i].wait = (double)(w - s->delay_ns[i]) / elapsed;
		s->time_ns[i] = t;
		s->delay_ns[i] = w;
	}
	for (unsigned b = 0; b < s->h.nbins; b++) {
		uint64_t busy = 0;

		for (unsigned c = 0; c < s->width; c++)
			busy += plant_busy_ns(s->plant, b * s->width + c);
		s->bin[b].busy = (double)(busy - s->busy_ns[b]) / elapsed;
		s->busy_ns[b] = busy;
	}
	s->last_ns = plant_now_ns(s->plant);
}

static void pin(struct host *s, int i)
{
	struct vcpu *v = &s->vcpu[i];
	struct cpuset mask = { { 0 } };

	for (unsigned c = 0; c < s->width; c++)
		cpuset_add(&mask, (unsigned)v->target * s->width + c);
	plant_set_mask(s->plant, s->task[i], &mask);
	v->bin = v->target;
	v->pinned = true;
	s->pins++;
}

/* In turn, as an administrator would: how it begins matters little after the warm-up. */
static void place_all(struct host *s)
{
	for (int i = 0; i < VCPUS; i++) {
		s->vcpu[i].target = i % (int)s->h.nbins;
		pin(s, i);
		s->vcpu[i].pinned = false;
	}
	s->pins = 0;
}

/* Waiting, over what was wanted: waiting and running. */
static double run(struct host *s, bool pinning)
{
	uint64_t ran = 0, waited = 0, ran_before = 0, waited_before = 0;

	if (pinning)
		place_all(s);
	for (int k = 0; k < INTERVALS; k++) {
		plant_advance(s->plant, TICK_NS);
		sample(s);
		if (pinning)
			cpu_decide(&s->h, &cpu_limits_default, s->work, &s->report);
		for (int i = 0; pinning && i < VCPUS; i++)
			if (s->vcpu[i].target != s->vcpu[i].bin)
				pin(s, i);
		if (k + 1 == WARM_UP)
			for (int i = 0; i < VCPUS; i++) {
				ran_before += s->time_ns[i];
				waited_before += s->delay_ns[i];
			}
	}
	for (int i = 0; i < VCPUS; i++) {
		ran += s->time_ns[i];
		waited += s->delay_ns[i];
	}
	ran -= ran_before;
	waited -= waited_before;
	return (double)waited / (double)(ran + waited);
}

int main(void)
{
	static const double loads[] = { 0.3, 0.6, 0.9 };
	static const double bursts_ms[] = { 2, 20, 200 };
	static struct host s;

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
				begin(&s, grains[g].width, loads[k / 3], bursts_ms[k % 3], seed);
				wait += 100 * run(&s, grains[g].width > 0) / HOSTS;
				pins += s.pins;
				plant_free(s.plant);
				free(s.work);
			}
			printf("  %5.1f (%3.0f)", wait, (double)pins / HOSTS);
		}
	}
	putchar('\n');
	return 0;
}
