/*
 * test_background.c - unpinned vCPUs, and what is not of guests, in the loads to plan with.
 */
#include "tests/unit/cpu_rig.h"

static void what_the_kernel_keeps_even_floats_on(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.3, BIN_UNPINNED);
	assert_int_equal(run(f, 50), 0);
	assert_int_equal(f->report.why, CPU_BALANCED);
}

static void all_that_float_settle_in_one_plan(void **state)
{
	struct fixture *f = *state;
	unsigned moves;

	for (int i = 0; i < 8; i++)
		add(f, i ? 0.3 : 0.001, BIN_UNPINNED);
	for (int k = 0; k < 2; k++) {
		sample(f);
		f->bin[0].now.busy = 0.9;
		f->bin[1].now.busy = 0.3;
		cpu_decide(&f->host, &f->conf, f->work, &f->report);
	}
	moves = f->report.moves;
	assert_int_equal(moves, 7);
	assert_int_equal(f->vcpu[0].plan.target, BIN_UNPINNED);
	assert_int_equal(f->vcpu[1].plan.why, VCPU_INITIAL);
	apply(f);
	assert_int_equal(run(f, 100), 0);
}

static void background_load_floats(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[2] = 0.08;
	assert_int_equal(run(f, 30), 0);
	for (int b = 0; b < M; b++)
		assert_float_equal(f->bin[b].plan.background, 0.02, 0.001);
}

static void background_load_that_stays_is_bound(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[2] = 0.5;
	run(f, 1);
	assert_float_equal(f->bin[2].plan.background, 0.125,
			   0.001); /* one sample may be chance */
	run(f, 1);
	assert_float_equal(f->bin[2].plan.background, 0.5, 0.01);
	assert_float_equal(f->bin[1].plan.background, 0, 1e-6);
}

static void what_was_bound_for_long_may_come_back(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[2] = 0.5;
	run(f, 30);
	f->process[2] = 0;
	run(f, 18);
	assert_float_equal(f->bin[2].plan.background, 0.5, 0.01);
	f->process[2] = 0.5;
	run(f, 2);
	f->process[2] = 0;
	run(f, 18);
	assert_float_equal(f->bin[2].plan.background, 0.5, 0.01);
	run(f, 10);
	assert_true(f->bin[2].plan.background < 0.1);
}

static void what_was_bound_for_a_moment_is_forgotten_as_soon(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[2] = 0.5;
	run(f, 3);
	f->process[2] = 0;
	run(f, 3);
	assert_float_equal(f->bin[2].past.bound, 0, 1e-6);
}

/* It is where there is idle time: before the guests leave pCPU 0 that is on the others. */
static void background_load_beside_a_full_pcpu_is_not_bound(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.3, 0);
	f->process[1] = 0.3;
	f->process[2] = 0.1;
	f->conf.tune.start_points = 1000; /* just look */
	f->conf.tune.severe = 1000;
	run(f, 5);
	for (int b = 1; b < M; b++)
		assert_float_equal(f->bin[b].past.bound, 0, 1e-6);
}

static void what_is_everywhere_is_not_bound(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.2, i % M);
	for (int k = 0; k < 40; k++) {
		for (int b = 0; b < M; b++)
			f->process[b] = k / 2 % M == b ? 0.25 : 0.1;
		assert_int_equal(run(f, 1), 0);
		for (int b = 0; b < M; b++)
			assert_true(f->bin[b].past.bound < 0.16);
	}
}

static void interrupts_are_bound_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[3] = 0.05;
	f->bin[3].now.irq = 0.05;
	run(f, 1);
	assert_float_equal(f->bin[3].plan.background, 0.05, 1e-6);
	assert_float_equal(f->bin[0].plan.background, 0, 1e-6);
}

static void above_one_pcpus_worth_points_are_shares(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 13; i++)
		add(f, 1, i < 12 ? i % M : 0);
	run(f, 1);
	/* 4, 3, 3, 3 hogs where 3.25 would be even: 43 hundredths of a pCPU, 13 of the level */
	assert_float_equal(f->report.imbalance, 100 * sqrt(0.1875) / 3.25, 0.1);
	assert_int_equal(run(f, 100), 0);
}

/* Two strong pCPUs and two of a third: what runs on a weak one does a third of it. */
static void demands_are_in_cpus_of_the_strongest(void **state)
{
	struct fixture *f = *state;

	for (int b = 0; b < M; b++) {
		f->bin[b].now.pcpus = 1;
		f->bin[b].now.capacity = b < 2 ? 1 : 1.0 / 3;
	}
	for (int i = 0; i < M; i++)
		add(f, 0.5, i);
	sample(f);
	/* closed work of 0.25: bursts of 1 and pauses of 3; on a weak pCPU bursts of 3 */
	for (int i = 0; i < M; i++) {
		f->vcpu[i].now.run = i < 2 ? 0.25 : 0.5;
		f->vcpu[i].now.wait = 0;
		f->bin[i].now.busy = f->vcpu[i].now.run * f->bin[i].now.capacity;
	}
	cpu_decide(&f->host, &f->conf, f->work, &f->report);
	for (int i = 0; i < M; i++)
		assert_float_equal(f->vcpu[i].plan.demand, 0.25, 1e-6);
	for (int b = 0; b < M; b++)
		assert_float_equal(f->bin[b].plan.background, 0, 1e-6);
}

/* Though each asks for more than a weak pCPU has: no pCPU idles for it. */
static void one_hog_per_pcpu_stays_on_weak_ones_too(void **state)
{
	struct fixture *f = *state;

	for (int b = 0; b < M; b++) {
		f->bin[b].now.pcpus = 1;
		f->bin[b].now.capacity = b < 2 ? 1 : 1.0 / 3;
	}
	for (int i = 0; i < M; i++)
		add(f, 1, i);
	for (int k = 0; k < 50; k++) {
		sample(f);
		for (int i = 0; i < M; i++) {
			f->vcpu[i].now.run = 1;
			f->vcpu[i].now.wait = 0;
			f->bin[i].now.busy = f->bin[i].now.capacity;
		}
		cpu_decide(&f->host, &f->conf, f->work, &f->report);
		assert_int_equal(f->report.moves, 0);
	}
}

static void unpinned_ones_are_placed_where_that_is_asked_for(void **state)
{
	struct fixture *f = *state;

	f->conf.place_unpinned = true;
	for (int i = 0; i < 8; i++)
		add(f, 0.2, BIN_UNPINNED);
	add(f, 0.01, BIN_UNPINNED);
	add(f, 0.2, 0);
	assert_int_equal(run(f, 2), 0); /* its demand is not known yet */
	assert_int_equal(decide(f), 8);
	assert_int_equal(f->report.why, CPU_PLACING);
	assert_int_equal(f->vcpu[0].plan.why, VCPU_INITIAL);
	assert_int_equal(f->vcpu[8].plan.target, BIN_UNPINNED);
	assert_int_equal(f->vcpu[9].plan.target, 0); /* nobody else moves for it */
	apply(f);
	assert_int_equal(run(f, 100), 0);
	assert_true(f->report.peak < 0.65);
}

/* Two on one pCPU of a bin of four; wait: the share of the time.  Returns how many are to be
 * pinned. */
static size_t decide_narrow(struct fixture *f, bool narrow, double wait)
{
	f->bin[0].now.capacity = f->bin[0].now.pcpus = 4;
	f->bin[0].now.busy = 1;
	for (size_t i = 0; i < f->host.n; i++) {
		f->vcpu[i].now.sampled = true;
		f->vcpu[i].now.narrow = narrow;
		f->vcpu[i].now.run = 0.5;
		f->vcpu[i].now.wait = wait;
	}
	cpu_decide(&f->host, &f->conf, f->work, &f->report);
	return f->report.moves;
}

static void who_waits_in_a_part_of_its_bin_gets_all_of_it(void **state)
{
	struct fixture *f = *state;

	for (int b = 1; b < M; b++)
		f->bin[b].now.capacity = 0;
	for (int i = 0; i < 2; i++)
		add(f, 0.5, 0)->now.allowed = &f->low;
	for (int k = 0; k < 10; k++)
		assert_int_equal(decide_narrow(f, true, 0.06), 0); /* three quarters idle */
	for (int k = 0; k < 10; k++)
		assert_int_equal(decide_narrow(f, false, 0.5), 0);
	assert_int_equal(decide_narrow(f, true, 0.5), 0);
	assert_int_equal(decide_narrow(f, true, 0.5), 2);
	assert_int_equal(f->report.why, CPU_WIDENING);
	assert_int_equal(f->vcpu[1].plan.why, VCPU_WIDEN);
	assert_int_equal(f->vcpu[1].plan.target, 0);
	assert_int_equal(decide_narrow(f, true, 0.5), 2); /* nothing came of it */
	f->vcpu[0].past.pinned = f->vcpu[1].past.pinned = true;
	assert_int_equal(decide_narrow(f, false, 0), 0);
	for (int k = 0; k < 10; k++)
		assert_int_equal(decide_narrow(f, true, 0.5), 0); /* somebody else's word */
}

static void an_interval_of_comings_tells_nothing_of_background_load(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	run(f, 3);
	f->process[2] = 0.5;
	f->host.churned = true;
	run(f, 1);
	assert_float_equal(f->bin[2].plan.background, 0, 1e-6);
}

static void unknown_busy_is_no_background_load(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.9, 0);
	sample(f);
	for (int b = 0; b < M; b++)
		f->bin[b].now.busy = -1;
	cpu_decide(&f->host, &f->conf, f->work, &f->report);
	cpu_decide(&f->host, &f->conf, f->work, &f->report);
	assert_int_equal(f->report.moves, 6);
	assert_float_equal(f->bin[0].plan.background, 0, 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_kernel_keeps_even_floats_on),
		TEST(all_that_float_settle_in_one_plan),
		TEST(background_load_floats),
		TEST(background_load_that_stays_is_bound),
		TEST(what_was_bound_for_long_may_come_back),
		TEST(what_was_bound_for_a_moment_is_forgotten_as_soon),
		TEST(background_load_beside_a_full_pcpu_is_not_bound),
		TEST(what_is_everywhere_is_not_bound),
		TEST(interrupts_are_bound_at_once),
		TEST(above_one_pcpus_worth_points_are_shares),
		TEST(demands_are_in_cpus_of_the_strongest),
		TEST(one_hog_per_pcpu_stays_on_weak_ones_too),
		TEST(unpinned_ones_are_placed_where_that_is_asked_for),
		TEST(who_waits_in_a_part_of_its_bin_gets_all_of_it),
		TEST(an_interval_of_comings_tells_nothing_of_background_load),
		TEST(unknown_busy_is_no_background_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
