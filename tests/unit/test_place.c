/*
 * test_place.c - bounds and plans, against an exhaustive search on small hosts.
 */
#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/sample.h"
#include "tests/fake/plant_cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TINY   1e-9
#define N_MOST 1024
#define M_MOST 128
#define ORACLE 65536 /* placements that may be tried one by one */
#define AIM    cpu_tunables_default.aim
#define STOP   cpu_tunables_default.stop_points

static struct vcpu vcpu[N_MOST];
static struct bin bin[M_MOST];
static struct cpuset sets[M_MOST + 1]; /* [0]: all; [k]: all but bin k - 1 */
static int at[N_MOST];
static struct place pl;
static void *work;

/* A host of m bins and n vCPUs; allowed sets and background load as asked. */
static void host(struct plant *dice, size_t m, size_t n, bool allowed, bool others)
{
	memset(vcpu, 0, sizeof(vcpu));
	memset(sets, 0, sizeof(sets));
	for (size_t b = 0; b < m; b++) {
		bin[b] = (struct bin){
			.now.capacity = 1, .now.core = -1, .now.cache = -1, .now.node = -1
		};
		bin[b].plan.background =
			others && plant_uniform(dice) < 0.3 ? plant_uniform(dice) : 0;
		for (size_t k = 0; k <= m; k++)
			if (k != b + 1)
				cpuset_add(&sets[k], (unsigned)b);
	}
	for (size_t i = 0; i < n; i++) {
		vcpu[i].uuid[0] = (unsigned char)(i >> 8);
		vcpu[i].uuid[1] = (unsigned char)i;
		vcpu[i].plan.demand = plant_uniform(dice);
		vcpu[i].now.allowed =
			&sets[allowed ? (size_t)(plant_uniform(dice) * (double)(m + 1)) : 0];
		do
			vcpu[i].now.bin = (int)(plant_uniform(dice) * (double)m);
		while (!cpuset_has(vcpu[i].now.allowed, (unsigned)vcpu[i].now.bin));
	}
}

static void begin(size_t m, size_t n)
{
	free(work);
	work = malloc(place_work_size(n, m));
	for (size_t i = 0; i < n; i++)
		vcpu[i].plan.nodes = NODE_ANY;
	place_begin(&cpu_tunables_default, &pl, bin, m, vcpu, n, work);
}

/* ---- the oracle --------------------------------------------------------------------- */

struct optimum {
	double peak;
	size_t moves; /* the fewest to a fullest of at most target; SIZE_MAX: none */
};

static bool placed(size_t m, size_t n, size_t code, double *peak, size_t *moves)
{
	double load[M_MOST];
	bool mine[M_MOST] = { false };

	for (size_t b = 0; b < m; b++)
		load[b] = bin[b].plan.background;
	*moves = 0;
	for (size_t i = 0; i < n; i++, code /= m) {
		size_t b = code % m;

		if (!cpuset_has(vcpu[i].now.allowed, (unsigned)b))
			return false;
		load[b] += vcpu[i].plan.demand;
		mine[b] = true;
		*moves += (int)b != vcpu[i].now.bin;
	}
	*peak = 0;
	for (size_t b = 0; b < m; b++)
		*peak = fmax(*peak, mine[b] ? load[b] : 0);
	return true;
}

static struct optimum oracle(size_t m, size_t n, double target)
{
	struct optimum o = { .peak = 1e9, .moves = SIZE_MAX };
	size_t all = 1;

	for (size_t i = 0; i < n; i++)
		all *= m;
	for (size_t code = 0; code < all; code++) {
		double peak;
		size_t moves;

		if (!placed(m, n, code, &peak, &moves))
			continue;
		o.peak = fmin(o.peak, peak);
		if (peak <= target + TINY && moves < o.moves)
			o.moves = moves;
	}
	return o;
}

/* ---- properties of any plan --------------------------------------------------------- */

static void check_plan(size_t m, size_t n, struct place_score plan, struct place_score now)
{
	double load[M_MOST], peak = 0, squares = 0;
	bool mine[M_MOST] = { false };
	size_t moves = 0;

	for (size_t b = 0; b < m; b++)
		load[b] = bin[b].plan.background;
	for (size_t i = 0; i < n; i++) {
		assert_in_range(at[i], 0, m - 1);
		assert_true(cpuset_has(vcpu[i].now.allowed, (unsigned)at[i]));
		load[at[i]] += vcpu[i].plan.demand;
		mine[at[i]] = true;
		moves += at[i] != vcpu[i].now.bin;
	}
	for (size_t b = 0; b < m; b++) {
		peak = fmax(peak, mine[b] ? load[b] : 0);
		squares += load[b] * load[b];
	}
	assert_float_equal(plan.peak, peak, 1e-6);
	assert_float_equal(plan.squares, squares, 1e-6);
	assert_int_equal(plan.moves, moves);
	assert_true(plan.peak <= now.peak + TINY);
	assert_true(plan.squares <= now.squares + TINY);
	assert_true(plan.peak >= pl.lower_bound - 1e-6);
	if (plan.peak <= AIM * pl.lower_bound + TINY)
		assert_true(plan.moves >= fewest_moves(&pl, AIM * pl.lower_bound));
}

static struct place_score plan(size_t m, size_t n)
{
	struct place_score now, planned;

	begin(m, n);
	now = place_now(&pl);
	planned = place_plan(&pl, AIM, STOP, n, at);
	check_plan(m, n, planned, now);
	return planned;
}

static void against_the_oracle(void **state)
{
	struct plant *dice = plant_new(1, 2024);
	double ratio = 0, extra = 0;
	unsigned hosts = 0, comparable = 0;

	(void)state;
	for (int k = 0; k < 400; k++) {
		size_t m = 2 + (size_t)(plant_uniform(dice) * 3), n = 1, all = m;
		struct place_score p;
		struct optimum o;

		while (all * m <= ORACLE && plant_uniform(dice) < 0.9) {
			all *= m;
			n++;
		}
		host(dice, m, n, k % 4 == 1, k % 4 == 2);
		p = plan(m, n);
		o = oracle(m, n, p.peak);
		assert_true(pl.lower_bound <= o.peak + 1e-6);
		assert_true(fewest_moves(&pl, p.peak) <= o.moves);
		assert_true(p.peak <= 1.25 * fmax(o.peak, AIM * pl.lower_bound));
		ratio += p.peak / fmax(o.peak, TINY);
		hosts++;
		extra += (double)p.moves - (double)o.moves;
		comparable++;
	}
	print_message(
		"# %u hosts: fullest %.4f of the optimum, %.2f moves more than its fewest\n",
		hosts, ratio / hosts, extra / comparable);
	assert_true(ratio / hosts <= 1.0035);
	assert_true(extra / comparable <= 0.35);
	plant_free(dice);
}

static void planning_again_gives_nothing(void **state)
{
	struct plant *dice = plant_new(1, 7);
	unsigned again = 0;

	(void)state;
	for (int k = 0; k < 300; k++) {
		size_t m = 3 + (size_t)k % 10,
		       n = m + (size_t)(plant_uniform(dice) * 4 * (double)m);
		struct place_score before, after;

		host(dice, m, n, k % 3 == 1, k % 5 == 1);
		before = plan(m, n);
		for (size_t i = 0; i < n; i++)
			vcpu[i].now.bin = at[i];
		after = plan(m, n);
		if (after.moves == 0)
			continue;
		again++;
		assert_true(after.peak <= before.peak + TINY);
	}
	print_message("# %u of 300 plans were bettered by a second one\n", again);
	assert_true(again <= 30);
	plant_free(dice);
}

/* From a plan on which loads have changed a little: check_plan asserts that none gets worse. */
static void near_balance_no_plan_makes_it_worse(void **state)
{
	struct plant *dice = plant_new(1, 99);

	(void)state;
	for (int k = 0; k < 3000; k++) {
		size_t m = 2 + (size_t)k % 6,
		       n = m + (size_t)(plant_uniform(dice) * 3 * (double)m);

		host(dice, m, n, k % 3 == 0, k % 2);
		plan(m, n);
		for (size_t i = 0; i < n; i++) {
			vcpu[i].now.bin = at[i];
			vcpu[i].plan.demand *= 0.95 + 0.1 * plant_uniform(dice);
		}
		plan(m, n);
	}
	plant_free(dice);
}

/*
 * The caller sorts by name, so the listing order never shows.  Other names may break ties in
 * another way, but make no better or worse plan.
 */
static void names_hardly_matter(void **state)
{
	struct plant *dice = plant_new(1, 11);
	unsigned differ = 0;

	(void)state;
	for (int k = 0; k < 100; k++) {
		size_t m = 3 + (size_t)k % 6, n = 3 * m;
		struct place_score before, after;

		host(dice, m, n, k % 2, false);
		before = plan(m, n);
		for (size_t i = 0; i < n / 2; i++) {
			struct vcpu other = vcpu[i];

			vcpu[i] = vcpu[n - 1 - i];
			vcpu[n - 1 - i] = other;
		}
		after = plan(m, n);
		differ += fabs(after.squares - before.squares) > 1e-6;
		assert_true(fabs(after.peak / before.peak - 1) < 0.02);
	}
	assert_true(differ <= 5);
	plant_free(dice);
}

static void the_same_twice(void **state)
{
	struct plant *dice = plant_new(1, 12);

	(void)state;
	for (int k = 0; k < 50; k++) {
		size_t m = 3 + (size_t)k % 6, n = 4 * m;
		int first[N_MOST];

		host(dice, m, n, k % 2, k % 3);
		plan(m, n);
		memcpy(first, at, sizeof(first));
		plan(m, n);
		assert_memory_equal(first, at, n * sizeof(*at));
	}
	plant_free(dice);
}

/* The mean of moves over K(T) on hosts of 4 vCPUs per bin and more. */
static double pins_over_fewest(bool equal)
{
	struct plant *dice = plant_new(1, 13);
	double sum = 0, hosts = 0;

	for (int k = 0; k < 200; k++) {
		size_t m = 3 + (size_t)k % 12, n = 4 * m + (equal ? m : 3) * ((size_t)k % 5),
		       fewest;
		struct place_score p;

		host(dice, m, n, false, false);
		for (size_t i = 0; i < n; i++)
			vcpu[i].plan.demand = equal ? 0.25 : vcpu[i].plan.demand / 4;
		p = plan(m, n);
		fewest = fewest_moves(&pl, fmax(p.peak, AIM * pl.lower_bound));
		if (fewest == 0)
			continue;
		sum += (double)p.moves / (double)fewest;
		hosts++;
	}
	plant_free(dice);
	return sum / hosts;
}

/* K(T) counts only who leaves: on small hosts with mixed loads it takes more to fit. */
static void few_pins(void **state)
{
	double equal = pins_over_fewest(true), mixed = pins_over_fewest(false);

	(void)state;
	print_message("# pins over K(T): %.3f with equal loads, %.3f with mixed ones\n", equal,
		      mixed);
	assert_true(equal <= 1.15);
	assert_true(mixed <= 1.35);
}

/* ---- single cases ------------------------------------------------------------------- */

static void same(size_t m, size_t n, double demand, const int *where)
{
	struct plant *dice = plant_new(1, 1);

	host(dice, m, n, false, false);
	for (size_t i = 0; i < n; i++) {
		vcpu[i].plan.demand = demand;
		vcpu[i].now.bin = where ? where[i] : 0;
	}
	plant_free(dice);
}

static void eight_hogs_on_one_of_four(void **state)
{
	struct place_score p;

	(void)state;
	same(4, 8, 1, NULL);
	p = plan(4, 8);
	assert_int_equal(p.moves, 6);
	assert_int_equal(fewest_moves(&pl, AIM * pl.lower_bound), 6);
	assert_float_equal(p.peak, 2, TINY);
	assert_float_equal(pl.lower_bound, 2, 1e-3);
}

static void the_bound_knows_what_cannot_be_packed(void **state)
{
	const int where[] = { 0, 1, 2, 0, 1, 2 };

	(void)state;
	same(3, 6, 0.3, where);
	vcpu[0].plan.demand = vcpu[1].plan.demand =
		0.9; /* four small ones: not in one bin below 1.2 */
	begin(3, 6);
	assert_float_equal(pl.lower_bound, 1.2, 1e-3);
	same(3, 4, 0.6, where);
	begin(3, 4);
	assert_float_equal(pl.lower_bound, 1.2, 1e-3);
	same(3, 5, 0.6, where);
	vcpu[4].plan.demand = 0.3;
	begin(3, 5);
	assert_float_equal(pl.lower_bound, 1.2, 1e-3);
}

static void other_load_is_lost_capacity(void **state)
{
	struct place_score p;

	(void)state;
	same(2, 4, 0.4, NULL);
	bin[1].plan.background = 0.9;
	p = plan(2, 4);
	assert_float_equal(pl.lower_bound, 1.25, 1e-3);
	assert_int_equal(p.moves, 1);
	assert_float_equal(p.peak, 1.3, 1e-6);
}

static void a_bin_that_is_none_of_ours_does_not_count(void **state)
{
	struct place_score p;
	const int where[] = { 0, 1 };

	(void)state;
	same(3, 2, 0.2, where);
	bin[2].plan.background = 1;
	p = plan(3, 2);
	assert_int_equal(p.moves, 0);
	assert_float_equal(p.peak, 0.2, 1e-6);
}

static void who_must_be_placed_is(void **state)
{
	struct place_score p;
	const int where[] = { 0, BIN_OUTSIDE, BIN_UNPINNED, BIN_UNPINNED };

	(void)state;
	same(3, 4, 0.5, where);
	vcpu[1].plan.why = VCPU_OUTSIDE;
	vcpu[2].plan.why = VCPU_INITIAL;
	begin(3, 4);
	p = place_plan(&pl, AIM, STOP, 4, at);
	assert_int_equal(p.moves, 2);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[1], 1);
	assert_int_equal(at[2], 2);
	assert_int_equal(at[3], BIN_UNPINNED);
	assert_int_equal(fewest_moves(&pl, 9), 2);
}

static void what_floats_on_is_load_everywhere(void **state)
{
	const int where[] = { 0, BIN_UNPINNED };

	(void)state;
	same(3, 2, 0.6, where);
	begin(3, 2);
	assert_float_equal(pl.background[1], 0.2, 1e-6);
	assert_float_equal(place_now(&pl).peak, 0.8, 1e-6);
	assert_float_equal(pl.lower_bound, 0.8, 1e-3);
}

static void who_is_stuck_stays(void **state)
{
	struct place_score p;

	(void)state;
	same(2, 4, 0.5, NULL);
	vcpu[0].plan.why = vcpu[1].plan.why = VCPU_HELD;
	p = plan(2, 4);
	assert_int_equal(p.moves, 2);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[1], 0);
}

static void an_offline_bin_is_not_used(void **state)
{
	(void)state;
	same(3, 6, 0.5, NULL);
	bin[1].now.capacity = 0;
	plan(3, 6);
	for (int i = 0; i < 6; i++)
		assert_int_not_equal(at[i], 1);
}

/* Four cores of two threads, b and b + 4. */
static void threads(void)
{
	for (int b = 0; b < 8; b++)
		bin[b].now.core = b % 4;
}

static void two_threads_are_one_core(void **state)
{
	const int all[5] = { 0 };

	(void)state;
	same(8, 4, 1, all);
	threads();
	begin(8, 4);
	assert_float_equal(pl.lower_bound, 1, 1e-6);
	assert_float_equal(place_plan(&pl, AIM, STOP, 4, at).peak, 1, 1e-6);
	same(8, 5, 1, all);
	threads();
	begin(8, 5);
	assert_float_equal(pl.lower_bound, 2 / 1.3, 1e-3);
	assert_float_equal(place_plan(&pl, AIM, STOP, 5, at).peak, 2 / 1.3, 1e-6);
}

/* Ten hogs on each of four threads, and one more: of what is asked that is little. */
static void threads_are_told_as_shares_too(void **state)
{
	int where[41];

	(void)state;
	for (int i = 0; i < 41; i++)
		where[i] = i % 4;
	same(4, 41, 1, where);
	for (int b = 0; b < 4; b++)
		bin[b].now.core = b % 2;
	begin(4, 41);
	assert_true(place_now(&pl).imbalance < 5);
}

/* A big host: 64 cores of 2 threads, b and b + 64, with 8 vCPUs a thread, where dice say. */
static void big_host(struct plant *dice)
{
	host(dice, 128, 1024, false, false);
	for (int b = 0; b < 128; b++)
		bin[b].now.core = b % 64;
	for (int i = 0; i < 1024; i++)
		vcpu[i].plan.demand = 0.05 + 0.3 * plant_uniform(dice);
	begin(128, 1024);
}

/* The most that one thread of a core has more than the other. */
static double most_apart(void)
{
	double load[128] = { 0 }, most = 0;

	for (int i = 0; i < 1024; i++)
		load[at[i]] += vcpu[i].plan.demand;
	for (int b = 0; b < 64; b++)
		most = fmax(most, fabs(load[b] - load[b + 64]));
	return most;
}

static void threads_of_a_core_are_evened_out(void **state)
{
	struct plant *dice = plant_new(1, 3);

	(void)state;
	for (int k = 0; k < 8; k++) {
		struct place_score now, planned;

		big_host(dice);
		now = place_now(&pl);
		planned = place_plan(&pl, AIM, STOP, 1024, at);
		assert_true(planned.peak <= AIM * pl.lower_bound);
		assert_true(planned.imbalance <= 4.5);
		assert_true(planned.moves < 300);
		assert_true(now.uneven > 1);
		assert_true(most_apart() < 0.2);
	}
	plant_free(dice);
}

/* Cores are even: nothing but their threads is left to be evened out, where it pays. */
static void once_cores_are_even(void **state)
{
	const int where[] = { 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 5, 5, 5 };
	struct place_score p;

	(void)state;
	same(8, 14, 0.35, where);
	for (int b = 0; b < 8; b++)
		bin[b] = (struct bin){ .now.capacity = b % 4 < 2,
				       .now.core = b % 4,
				       .now.node = -1 };
	begin(8, 14);
	assert_true(place_now(&pl).imbalance > 20);
	p = place_plan(&pl, AIM, STOP, 14, at);
	assert_int_equal(p.moves,
			 3); /* of 2.45 beside nothing; 1.4 beside 1.05 is as even as can be */
	for (int i = 0; i < 3; i++)
		assert_true(at[i] == 0 || at[i] == 4);
	assert_float_equal(p.uneven, 0, 0.2);
}

/* One that fills a thread alone is not moved to and fro. */
static void what_cannot_be_evened_out_is_left(void **state)
{
	const int where[] = { 0, 1, 4 };
	struct place_score p;

	(void)state;
	same(8, 3, 0.9, where);
	vcpu[2].plan.demand = 0.2;
	for (int b = 0; b < 8; b++)
		bin[b] = (struct bin){ .now.capacity = b % 4 < 2,
				       .now.core = b % 4,
				       .now.node = -1 };
	begin(8, 3);
	p = place_now(&pl);
	assert_float_equal(p.uneven, 0, TINY);
	assert_int_equal(place_plan(&pl, AIM, STOP, 3, at).moves, 0);
}

static void of_equal_bins_the_nearest(void **state)
{
	const int all[2] = { 0 };

	(void)state;
	same(4, 2, 1, all);
	for (int b = 0; b < 4; b++)
		bin[b].now.node = bin[b].now.cache = b == 0 || b == 3;
	begin(4, 2);
	assert_int_equal(place_plan(&pl, AIM, STOP, 2, at).moves, 1);
	assert_int_equal(at[0] + at[1], 3);
}

static void of_equal_bins_those_near_its_memory(void **state)
{
	const int all[2] = { 0 };

	(void)state;
	same(4, 2, 1, all);
	for (int b = 0; b < 4; b++)
		bin[b].now.node = b / 2;
	for (int i = 0; i < 2; i++) {
		vcpu[i].plan.nodes = 3;
		vcpu[i].now.memory.nodes = 2;
		vcpu[i].plan.why = VCPU_INITIAL;
		vcpu[i].now.bin = BIN_UNPINNED;
	}
	work = realloc(work, place_work_size(2, 4));
	place_begin(&cpu_tunables_default, &pl, bin, 4, vcpu, 2, work);
	place_plan(&pl, AIM, STOP, 2, at);
	assert_int_equal(at[0] + at[1], 5);
}

/* Nodes whose guests stay in them are even each in itself. */
static void each_node_has_its_own_level(void **state)
{
	const int turn[] = { 0, 1, 2, 3, 0, 1 };

	(void)state;
	same(4, 6, 0.3, turn);
	for (int b = 0; b < 4; b++)
		bin[b].now.node = b / 2;
	begin(4, 6);
	assert_true(place_now(&pl).imbalance > 14);
	for (int i = 0; i < 6; i++)
		vcpu[i].plan.nodes = 1U << turn[i] / 2;
	place_begin(&cpu_tunables_default, &pl, bin, 4, vcpu, 6, work);
	assert_float_equal(place_now(&pl).imbalance, 0, 1e-6);
}

static void wide_bins_count_by_capacity(void **state)
{
	struct place_score p;

	(void)state;
	same(2, 9, 0.5, NULL);
	bin[0].now.capacity = 1;
	bin[1].now.capacity = 2;
	begin(2, 9);
	p = place_plan(&pl, AIM, STOP, 9, at);
	assert_int_equal(p.moves, 6);
	assert_float_equal(p.peak, 1.5, 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eight_hogs_on_one_of_four),
		cmocka_unit_test(the_bound_knows_what_cannot_be_packed),
		cmocka_unit_test(other_load_is_lost_capacity),
		cmocka_unit_test(a_bin_that_is_none_of_ours_does_not_count),
		cmocka_unit_test(who_must_be_placed_is),
		cmocka_unit_test(what_floats_on_is_load_everywhere),
		cmocka_unit_test(who_is_stuck_stays),
		cmocka_unit_test(an_offline_bin_is_not_used),
		cmocka_unit_test(two_threads_are_one_core),
		cmocka_unit_test(threads_are_told_as_shares_too),
		cmocka_unit_test(threads_of_a_core_are_evened_out),
		cmocka_unit_test(once_cores_are_even),
		cmocka_unit_test(what_cannot_be_evened_out_is_left),
		cmocka_unit_test(of_equal_bins_the_nearest),
		cmocka_unit_test(of_equal_bins_those_near_its_memory),
		cmocka_unit_test(each_node_has_its_own_level),
		cmocka_unit_test(wide_bins_count_by_capacity),
		cmocka_unit_test(against_the_oracle),
		cmocka_unit_test(planning_again_gives_nothing),
		cmocka_unit_test(near_balance_no_plan_makes_it_worse),
		cmocka_unit_test(names_hardly_matter),
		cmocka_unit_test(the_same_twice),
		cmocka_unit_test(few_pins),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(work);
	return failed;
}
