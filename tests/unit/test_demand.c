/*
 * test_demand.c - demand seen through contention.
 */
#include "policy/cpu.h"
#include "policy/demand.h"
#include "tests/fake/plant_cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INTERVAL_S 2.0
#define FULL       0.0
#define IDLES      0.5

/* Feeds the same sample n times. */
static void feed(struct vcpu *v, double run, double wait, double idle, unsigned n)
{
	v->now.sampled = true;
	v->now.run = run;
	v->now.wait = wait;
	while (n-- > 0)
		demand_update(&cpu_tunables_default, v, idle, 1, INTERVAL_S);
}

static void uncontended_run_is_demand(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.4, 0, IDLES, 1);
	assert_float_equal(v.plan.demand, 0.4, 1e-6);
}

static void a_full_bin_hides_demand(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.125, 0.875, FULL, 1);
	assert_float_equal(v.plan.demand, 1, 1e-6);
}

/* 2 % are the samples' grain: run / (1 - wait) alone would be 0.94. */
static void who_always_runs_or_waits_wants_all(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.3, 0.68, FULL, 1);
	assert_float_equal(v.plan.demand, 1, 1e-6);
}

static void without_delay_run_is_all_we_know(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.125, -1, FULL, 50);
	assert_float_equal(v.plan.demand, 0.125, 1e-6);
}

static void never_above_quota_or_one(void **state)
{
	struct vcpu v = { .now.quota = 0.5 }, w = { .now.quota = 0 };

	(void)state;
	feed(&v, 0.3, 0.6, FULL, 3);
	assert_float_equal(v.plan.demand, 0.5, 1e-6);
	feed(&w, 0.99, 0.99, FULL, 3);
	assert_true(w.plan.demand <= 1);
}

static void nothing_seen_nothing_wanted(void **state)
{
	struct vcpu v = { .now.run = 0.7 };

	(void)state;
	demand_update(&cpu_tunables_default, &v, IDLES, 1, INTERVAL_S);
	assert_float_equal(v.plan.demand, 0, 1e-9);
	assert_int_equal(v.past.demand.seen, 0);
}

static void a_missed_sample_changes_nothing(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.4, 0, IDLES, 5);
	v.now.sampled = false;
	v.now.run = 1e9;
	demand_update(&cpu_tunables_default, &v, IDLES, 1, INTERVAL_S);
	assert_float_equal(v.plan.demand, 0.4, 1e-6);
}

static void one_burst_is_smoothed_two_are_a_step(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.2, 0, IDLES, 20);
	feed(&v, 0.8, 0, IDLES, 1);
	assert_true(v.plan.demand < 0.4);
	feed(&v, 0.8, 0, IDLES, 1);
	assert_float_equal(v.plan.demand, 0.8, 1e-6);
}

/* Of a vCPU that wants little, a step is small, too. */
static void a_light_load_has_light_steps(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.12, 0, IDLES, 20);
	feed(&v, 0.19, 0, IDLES, 2);
	assert_float_equal(v.plan.demand, 0.19, 1e-6);
}

/* More of both run and wait: its neighbours' load grew with its own, which says nothing of its
 * kind. */
static void a_new_load_is_of_the_old_kind(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.12, 0.09, IDLES, 20);
	feed(&v, 0.20, 0.25, IDLES, 20);
	assert_float_equal(v.plan.demand, 0.20 / (1 - 0.5 * 0.25), 2e-3);
}

static void a_new_load_is_averaged_with_what_follows(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	feed(&v, 0.2, 0, IDLES, 20);
	feed(&v, 0.8, 0, IDLES, 1);
	feed(&v, 0.6, 0, IDLES, 1);
	assert_float_equal(v.plan.demand, 0.7, 1e-6);
	feed(&v, 0.6, 0, IDLES, 1);
	assert_float_equal(v.plan.demand, 2.0 / 3, 1e-3);
}

static void a_square_wave_is_no_step(void **state)
{
	struct vcpu v = { .number = 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		feed(&v, i % 2 ? 0.6 : 0.1, 0, IDLES, 1);
		assert_true(i < 20 || (v.plan.demand > 0.15 && v.plan.demand < 0.55));
	}
}

/* ---- on the simulated host ---------------------------------------------------------- */

/* n tasks of this load on one pCPU, for so many intervals after some on four; their mean error.
 */
static double error_of(struct plant_load load, unsigned n, unsigned ticks)
{
	struct plant *p = plant_new(4, 7);
	struct vcpu v[8] = { { .number = 0 } };
	uint64_t time[8] = { 0 }, delay[8] = { 0 }, busy = 0;
	double error = 0;
	unsigned id[8];

	for (unsigned i = 0; i < n; i++) {
		id[i] = plant_task(p, &load);
		plant_pin(p, id[i], i % 4);
	}
	for (unsigned k = 0; k < ticks; k++) {
		double idle;

		for (unsigned i = 0; k == 20 && i < n; i++)
			plant_pin(p, id[i], 0);
		plant_advance(p, 2000000000);
		idle = 1 - (double)(plant_busy_ns(p, 0) - busy) / 2e9;
		busy = plant_busy_ns(p, 0);
		for (unsigned i = 0; i < n; i++) {
			v[i].now.sampled = k > 0;
			v[i].now.run = (double)(plant_time_ns(p, id[i]) - time[i]) / 2e9;
			v[i].now.wait =
				fmin(1, (double)(plant_delay_ns(p, id[i]) - delay[i]) / 2e9);
			time[i] = plant_time_ns(p, id[i]);
			delay[i] = plant_delay_ns(p, id[i]);
			demand_update(&cpu_tunables_default, &v[i], k < 20 ? 1 : fmax(0, idle),
				      1, INTERVAL_S);
		}
	}
	for (unsigned i = 0; i < n; i++)
		error += (v[i].plan.demand - load.demand) / n;
	plant_free(p);
	return error;
}

/* Without knowing in advance which of the two kinds of work it is. */
static void closed_work_is_told_at_any_contention(void **state)
{
	(void)state;
	assert_true(fabs(error_of((struct plant_load){ PLANT_CLOSED, 0.3, 10, 0.05, false }, 3,
				  80)) < 0.02);
	assert_true(fabs(error_of((struct plant_load){ PLANT_CLOSED, 0.3, 10, 0.05, false }, 6,
				  80)) < 0.03);
	assert_true(fabs(error_of((struct plant_load){ PLANT_CLOSED, 0.7, 10, 0.05, false }, 8,
				  80)) < 0.05);
}

static void chance_waiting_of_open_work_is_no_demand(void **state)
{
	(void)state;
	assert_true(fabs(error_of((struct plant_load){ PLANT_OPEN, 0.15, 10, 0.05, false }, 5,
				  80)) < 0.02);
	assert_true(fabs(error_of((struct plant_load){ PLANT_OPEN, 0.28, 10, 0.05, false }, 3,
				  80)) < 0.03);
}

/* Always runnable: no sample shows what it wants, so what was known is kept. */
static void open_work_is_remembered_where_all_is_full(void **state)
{
	(void)state;
	assert_true(fabs(error_of((struct plant_load){ PLANT_OPEN, 0.25, 10, 0.05, false }, 4,
				  24)) < 0.12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uncontended_run_is_demand),
		cmocka_unit_test(a_full_bin_hides_demand),
		cmocka_unit_test(who_always_runs_or_waits_wants_all),
		cmocka_unit_test(without_delay_run_is_all_we_know),
		cmocka_unit_test(never_above_quota_or_one),
		cmocka_unit_test(nothing_seen_nothing_wanted),
		cmocka_unit_test(a_missed_sample_changes_nothing),
		cmocka_unit_test(one_burst_is_smoothed_two_are_a_step),
		cmocka_unit_test(a_light_load_has_light_steps),
		cmocka_unit_test(a_new_load_is_of_the_old_kind),
		cmocka_unit_test(a_new_load_is_averaged_with_what_follows),
		cmocka_unit_test(a_square_wave_is_no_step),
		cmocka_unit_test(closed_work_is_told_at_any_contention),
		cmocka_unit_test(chance_waiting_of_open_work_is_no_demand),
		cmocka_unit_test(open_work_is_remembered_where_all_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
