/*
 * cpu_rig.h - a host and vCPUs under the CPU policy, interval by interval, for its tests
 *
 * Samples are made by hand here: every vCPU gets what it wants of its bin, by fair share.
 * What the simulated host makes of the same rules is in tests/sim/t_cpu.c.
 */
#ifndef TESTS_UNIT_CPU_RIG_H
#define TESTS_UNIT_CPU_RIG_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/pins.h"

#define N 16
#define M 4

struct fixture {
	struct cpu_host host;
	struct cpu_conf conf;
	struct cpu_report report;
	struct vcpu vcpu[N];
	struct bin bin[M];
	double wants[N];
	double process[M];
	struct cpuset all, low;
	void *work;
};

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->work = malloc(cpu_work_size(N, M));
	f->conf.tune = cpu_tunables_default;
	f->host =
		(struct cpu_host){ .bin = f->bin, .nbins = M, .vcpu = f->vcpu, .elapsed_s = 2 };
	for (unsigned b = 0; b < M; b++) {
		f->bin[b] = (struct bin){
			.now.capacity = 1, .now.core = -1, .now.cache = -1, .now.node = -1
		};
		cpuset_add(&f->all, b);
		if (b < M / 2)
			cpuset_add(&f->low, b);
	}
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->work);
	free(f);
	return 0;
}

static inline struct vcpu *add(struct fixture *f, double wants, int bin)
{
	struct vcpu *v = &f->vcpu[f->host.n];

	v->uuid[0] = (unsigned char)f->host.n;
	v->now.allowed = &f->all;
	v->now.bin = bin;
	f->wants[f->host.n++] = wants;
	return v;
}

/* Closed work on a bin asked for more than it has: all are slowed by the same factor. */
static inline void sample(struct fixture *f)
{
	double asked[M], floating = 0;

	for (int b = 0; b < M; b++)
		asked[b] = f->process[b];
	for (size_t i = 0; i < f->host.n; i++) {
		if (f->vcpu[i].now.bin >= 0)
			asked[f->vcpu[i].now.bin] += f->wants[i];
		else
			floating += f->wants[i];
	}
	for (size_t i = 0; i < f->host.n; i++) {
		struct vcpu *v = &f->vcpu[i];
		double share = v->now.bin >= 0 ? fmin(1, 1 / fmax(asked[v->now.bin], 1e-9)) : 1;

		v->now.sampled = true;
		v->now.run = f->wants[i] * share;
		v->now.wait = 1 - share;
	}
	for (int b = 0; b < M; b++)
		f->bin[b].now.busy = fmin(1, asked[b] + floating / M);
}

static inline unsigned decide(struct fixture *f)
{
	unsigned moves = 0;

	sample(f);
	cpu_decide(&f->host, &f->conf, f->work, &f->report);
	for (size_t i = 0; i < f->host.n; i++)
		moves += f->vcpu[i].plan.target != f->vcpu[i].now.bin;
	assert_int_equal(moves, f->report.moves);
	return moves;
}

static inline void apply(struct fixture *f)
{
	for (size_t i = 0; i < f->host.n; i++) {
		f->vcpu[i].past.pinned = f->vcpu[i].plan.target != f->vcpu[i].now.bin;
		f->vcpu[i].now.bin = f->vcpu[i].plan.target;
	}
}

/* So many intervals with all pins made; the pins. */
static inline unsigned run(struct fixture *f, unsigned ticks)
{
	unsigned pins = 0;

	while (ticks-- > 0) {
		pins += decide(f);
		apply(f);
	}
	return pins;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
