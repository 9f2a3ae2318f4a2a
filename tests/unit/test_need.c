/*
 * test_need.c - what one guest needs, from samples fed second by second.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/units.h"
#include "policy/mem.h"
#include "policy/need.h"

#define MIB      ((uint64_t)KIB_PER_MIB)
#define INTERVAL 5.0

struct feed {
	struct guest g;
	int64_t now_ns;
};

static struct feed fresh(void)
{
	struct feed f = { .now_ns = 100 * NS_PER_S };

	f.g.now.max_kib = 2048 * MIB;
	f.g.now.policy.min_kib = 100 * MIB;
	f.g.now.actual_kib = 1024 * MIB;
	f.g.now.usable_kib = f.g.now.unused_kib = f.g.now.caches_kib = KIB_UNKNOWN;
	f.g.now.managed_kib = f.g.now.swap_out_kib = KIB_UNKNOWN;
	f.g.now.boot_id = 1;
	return f;
}

static void observe(struct feed *f)
{
	need_observe(&mem_tunables_default, &f->g, f->now_ns);
	need_levels(&mem_tunables_default, &f->g, INTERVAL, f->now_ns);
}

/* One second passes and the guest reports that it uses so much. */
static void uses(struct feed *f, uint64_t mib)
{
	f->now_ns += NS_PER_S;
	f->g.now.last_update_s++;
	f->g.now.usable_kib = f->g.now.actual_kib - mib * MIB;
	observe(f);
}

static void uses_for(struct feed *f, uint64_t mib, int seconds)
{
	while (seconds-- > 0)
		uses(f, mib);
}

static void silent(struct feed *f)
{
	f->now_ns += NS_PER_S;
	observe(f);
}

static double mib(uint64_t kib)
{
	return (double)kib / MIB;
}

static void near(double value, double wanted, double tolerance)
{
	if (fabs(value - wanted) > tolerance)
		fail_msg("%f is not near %f", value, wanted);
}

static void demand_is_what_cannot_be_given(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	near(mib(f.g.plan.demand_kib), 400, 1);
	near(mib(f.g.plan.headroom_kib), 624, 1);
	near(f.g.plan.growth_kib_s, 0, 1);
}

static void falls_back_on_unused_and_caches(void **state)
{
	struct feed f = fresh();

	(void)state;
	f.g.now.unused_kib = 500 * MIB;
	for (int i = 0; i < 3; i++) {
		f.g.now.last_update_s++;
		silent(&f);
	}
	near(mib(f.g.plan.demand_kib), 524, 1);
	f.g.now.caches_kib = 100 * MIB;
	for (int i = 0; i < 8; i++) {
		f.g.now.last_update_s++;
		silent(&f);
	}
	near(mib(f.g.plan.demand_kib), 424, 1);
}

static void no_stats_no_demand(void **state)
{
	struct feed f = fresh();

	(void)state;
	for (int i = 0; i < 5; i++)
		silent(&f);
	assert_false(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
	assert_false(f.g.need.ever_reported);
	f.g.now.last_update_s++;
	silent(&f); /* a stamp, but no figures */
	assert_false(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
}

static void stale_after_five_seconds(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	for (int i = 0; i < 4; i++)
		silent(&f);
	assert_true(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
	silent(&f);
	assert_false(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
	uses(&f, 400);
	assert_true(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
}

static void levels_are_ordered_and_bounded(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	near(mib(f.g.plan.floor_kib), 464, 1);
	near(mib(f.g.plan.survive_kib), 464, 1);
	near(mib(f.g.plan.need_kib), 528, 1);
	near(mib(f.g.plan.comfort_kib), 624, 1);
	f.g.now.actual_kib = 2048 * MIB;
	uses_for(&f, 2040, 9);
	assert_int_equal(f.g.plan.comfort_kib, 2048 * MIB);
	assert_int_equal(f.g.plan.floor_kib, 2048 * MIB);
	uses_for(&f, 0, 9);
	assert_int_equal(f.g.plan.floor_kib, 100 * MIB);
}

static void growth_is_seen_at_once_and_halves(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	uses(&f, 440);
	near(f.g.plan.growth_kib_s / MIB, 40, 1);
	near(mib(f.g.plan.survive_kib),
	     440 + mib((uint64_t)mem_tunables_default.floor_kib) + 3 * 40, 2);
	near(mib(f.g.plan.need_kib),
	     440 + mib((uint64_t)mem_tunables_default.need_kib) + 6 * 40, 2);
	uses_for(&f, 440, 5);
	near(f.g.plan.growth_kib_s / MIB, 20, 1);
}

static void noise_is_no_growth(void **state)
{
	struct feed f = fresh();

	(void)state;
	for (int i = 0; i < 60; i++)
		uses(&f, 400 + (uint64_t)(i % 3) * 6);
	near(f.g.plan.growth_kib_s / MIB, 0, 0.1);
	uses(&f, 450);
	assert_true(f.g.plan.growth_kib_s / MIB > 10);
}

static void regrowth_below_the_peak_is_covered(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 5);
	uses(&f, 300);
	uses(&f, 340);
	near(f.g.plan.growth_kib_s, 0, 1);
	assert_true(f.g.plan.need_kib >= 528 * MIB);
}

static void the_peak_is_forgotten(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 800, 3);
	uses(&f, 400);
	near(mib(f.g.plan.floor_kib), 864, 1);
	uses(&f, 400);
	near(mib(f.g.plan.floor_kib), 464, 1);
	uses_for(&f, 400, mem_tunables_default.peak_s - 3);
	near(mib(f.g.plan.need_kib), 960, 1);
	uses_for(&f, 400, 2);
	near(mib(f.g.plan.need_kib), 528, 1);
	assert_true(f.g.plan.comfort_kib > 800 * MIB); /* but what worked may come back */
	uses_for(&f, 400, 600);
	near(mib(f.g.plan.comfort_kib), 624, 1);
}

static void late_figures_are_not_believed(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	f.g.now.actual_kib += 500 * MIB; /* new actual, old usable */
	f.now_ns += NS_PER_S;
	f.g.now.last_update_s++;
	observe(&f);
	near(mib(f.g.plan.demand_kib), 400, 1);
	uses_for(&f, 400, 3);
	near(mib(f.g.plan.demand_kib), 400, 1);
	near(f.g.plan.growth_kib_s, 0, 1);
}

/* A slow balloon moves for minutes: the guest is not to be blind for so long. */
static void rough_figures_are_better_than_none(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 400, 3);
	for (int i = 0; i < 4; i++) {
		f.g.now.actual_kib -= 10 * MIB;
		uses(&f, 500);
	}
	near(mib(f.g.plan.demand_kib), 400, 1);
	f.g.now.actual_kib -= 10 * MIB;
	uses(&f, 500);
	near(mib(f.g.plan.demand_kib), 500, 1);
}

static void mem_total_shows_demand_while_the_balloon_moves(void **state)
{
	struct feed f = fresh();

	(void)state;
	f.g.now.managed_kib = f.g.now.actual_kib - 50 * MIB;
	uses_for(&f, 400, 3);
	assert_true(f.g.need.follows);
	f.g.now.actual_kib += 500 * MIB; /* libvirt shows it, the guest's snapshot is older */
	f.now_ns += NS_PER_S;
	f.g.now.last_update_s++;
	f.g.now.usable_kib -= 30 * MIB; /* in which it had grown */
	observe(&f);
	near(mib(f.g.plan.demand_kib), 430, 1);
	near(f.g.plan.growth_kib_s / MIB, 30, 1);
}

static void mem_total_that_stays_is_not_used(void **state)
{
	struct feed f = fresh();

	(void)state;
	f.g.now.managed_kib = 2000 * MIB; /* deflate-on-oom: ballooned pages count */
	uses_for(&f, 400, 3);
	assert_false(f.g.need.follows);
}

static void swapping_out_is_a_debt(void **state)
{
	struct feed f = fresh();

	(void)state;
	f.g.now.swap_out_kib = 1000;
	uses_for(&f, 400, 3);
	assert_false(f.g.need.swapping);
	f.g.now.swap_out_kib += 100 * MIB;
	uses(&f, 300); /* what went out made room */
	assert_true(f.g.need.swapping);
	near(mib(f.g.plan.floor_kib), 400 + 100 + mib((uint64_t)mem_tunables_default.floor_kib),
	     1);
	f.g.now.swap_out_kib = 0; /* a counter that goes back is no swapping */
	uses(&f, 300);
	assert_false(f.g.need.swapping);
}

static void a_restart_forgets(void **state)
{
	struct feed f = fresh();

	(void)state;
	uses_for(&f, 800, 3);
	f.g.now.boot_id = 2;
	silent(&f);
	assert_false(need_fresh(&mem_tunables_default, &f.g, f.now_ns));
	assert_true(f.g.need.ever_reported);
	assert_int_equal(f.g.need.boot_ns, f.now_ns);
	uses_for(&f, 200, 4);
	near(mib(f.g.plan.demand_kib), 200, 1);
}

static void small_guests_scale(void **state)
{
	struct feed f = fresh();

	(void)state;
	f.g.now.max_kib = 256 * MIB;
	f.g.now.policy.min_kib = 64 * MIB;
	f.g.now.actual_kib = 256 * MIB;
	uses_for(&f, 100, 3);
	near(mib(f.g.plan.floor_kib), 132, 1);
	near(mib(f.g.plan.need_kib), 164, 1);
}

static uint64_t wild(void)
{
	static const uint64_t odd[] = { 0, 1, KIB_UNKNOWN, KIB_UNKNOWN - 1, 1ull << 63 };

	return rand() % 3 ? (uint64_t)(rand() % 4096) * MIB : odd[rand() % 5];
}

static void absurd_figures_stay_within_bounds(void **state)
{
	struct feed f = fresh();

	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		f.g.now.usable_kib = wild();
		f.g.now.unused_kib = wild();
		f.g.now.caches_kib = wild();
		f.g.now.managed_kib = wild();
		f.g.now.swap_out_kib = wild();
		f.g.now.last_update_s = wild();
		f.g.now.actual_kib = wild() % (2048 * MIB + 1);
		f.now_ns += rand() % (3 * NS_PER_S);
		observe(&f);
		assert_true(f.g.plan.demand_kib <= f.g.now.max_kib &&
			    f.g.plan.headroom_kib <= f.g.now.actual_kib);
		assert_true(f.g.plan.growth_kib_s >= 0 &&
			    f.g.plan.growth_kib_s <= 2 * (double)f.g.now.max_kib);
		assert_true(f.g.now.policy.min_kib <= f.g.plan.floor_kib &&
			    f.g.plan.floor_kib <= f.g.plan.survive_kib);
		assert_true(f.g.plan.survive_kib <= f.g.plan.need_kib);
		assert_true(f.g.plan.need_kib <= f.g.plan.comfort_kib);
		assert_true(f.g.plan.comfort_kib <= f.g.now.max_kib);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demand_is_what_cannot_be_given),
		cmocka_unit_test(falls_back_on_unused_and_caches),
		cmocka_unit_test(no_stats_no_demand),
		cmocka_unit_test(stale_after_five_seconds),
		cmocka_unit_test(levels_are_ordered_and_bounded),
		cmocka_unit_test(growth_is_seen_at_once_and_halves),
		cmocka_unit_test(noise_is_no_growth),
		cmocka_unit_test(regrowth_below_the_peak_is_covered),
		cmocka_unit_test(the_peak_is_forgotten),
		cmocka_unit_test(late_figures_are_not_believed),
		cmocka_unit_test(rough_figures_are_better_than_none),
		cmocka_unit_test(mem_total_shows_demand_while_the_balloon_moves),
		cmocka_unit_test(mem_total_that_stays_is_not_used),
		cmocka_unit_test(swapping_out_is_a_debt),
		cmocka_unit_test(a_restart_forgets),
		cmocka_unit_test(small_guests_scale),
		cmocka_unit_test(absurd_figures_stay_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
