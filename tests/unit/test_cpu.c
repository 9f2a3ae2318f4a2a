/*
 * test_cpu.c - trigger and gates: when a plan is carried out, and when not.
 *
 * Samples are made by hand here: every vCPU gets what it wants of its bin, by fair share.
 * What the simulated host makes of the same rules is in tests/sim/t_cpu.c.
 */
#include "vmbal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 16
#define M 4

struct fixture {
	struct cpu_host host;
	struct cpu_limits limits;
	struct cpu_report report;
	struct vcpu vcpu[N];
	struct bin bin[M];
	double wants[N];
	double process[M];
	struct cpuset all, low;
	void *work;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->work = malloc(cpu_work_size(N, M));
	f->limits = cpu_limits_default;
	f->host =
		(struct cpu_host){ .bin = f->bin, .nbins = M, .vcpu = f->vcpu, .elapsed_s = 2 };
	for (unsigned b = 0; b < M; b++) {
		f->bin[b] = (struct bin){ .capacity = 1, .core = -1, .cache = -1, .node = -1 };
		cpuset_add(&f->all, b);
		if (b < M / 2)
			cpuset_add(&f->low, b);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->work);
	free(f);
	return 0;
}

static struct vcpu *add(struct fixture *f, double wants, int bin)
{
	struct vcpu *v = &f->vcpu[f->host.n];

	v->uuid[0] = (unsigned char)f->host.n;
	v->allowed = &f->all;
	v->bin = bin;
	f->wants[f->host.n++] = wants;
	return v;
}

/* Closed work on a bin asked for more than it has: all are slowed by the same factor. */
static void sample(struct fixture *f)
{
	double asked[M], floating = 0;

	for (int b = 0; b < M; b++)
		asked[b] = f->process[b];
	for (size_t i = 0; i < f->host.n; i++) {
		if (f->vcpu[i].bin >= 0)
			asked[f->vcpu[i].bin] += f->wants[i];
		else
			floating += f->wants[i];
	}
	for (size_t i = 0; i < f->host.n; i++) {
		struct vcpu *v = &f->vcpu[i];
		double share = v->bin >= 0 ? fmin(1, 1 / fmax(asked[v->bin], 1e-9)) : 1;

		v->sampled = true;
		v->run = f->wants[i] * share;
		v->wait = 1 - share;
	}
	for (int b = 0; b < M; b++)
		f->bin[b].busy = fmin(1, asked[b] + floating / M);
}

static unsigned decide(struct fixture *f)
{
	unsigned moves = 0;

	sample(f);
	cpu_decide(&f->host, &f->limits, f->work, &f->report);
	for (size_t i = 0; i < f->host.n; i++)
		moves += f->vcpu[i].target != f->vcpu[i].bin;
	assert_int_equal(moves, f->report.moves);
	return moves;
}

static void apply(struct fixture *f)
{
	for (size_t i = 0; i < f->host.n; i++) {
		f->vcpu[i].pinned = f->vcpu[i].target != f->vcpu[i].bin;
		f->vcpu[i].bin = f->vcpu[i].target;
	}
}

/* So many intervals with all pins made; the pins. */
static unsigned run(struct fixture *f, unsigned ticks)
{
	unsigned pins = 0;

	while (ticks-- > 0) {
		pins += decide(f);
		apply(f);
	}
	return pins;
}

/* ---- trigger ------------------------------------------------------------------------ */

static void nothing_to_do_without_guests(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(decide(f), 0);
	assert_int_equal(f->report.why, CPU_NOTHING);
}

static void a_balanced_host_is_left_alone(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.4, i % M);
	assert_int_equal(run(f, 1000), 0);
	assert_int_equal(f->report.why, CPU_BALANCED);
}

static void a_severe_case_waits_for_nobody(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 1, 0);
	assert_int_equal(decide(f), 6);
	assert_int_equal(f->report.why, CPU_ACTING);
	assert_int_equal(f->report.fewest, 6);
	assert_float_equal(f->report.fullest, 8, 0.01);
	assert_float_equal(f->report.fullest_after, 2, 0.01);
	assert_float_equal(f->report.bound, 2, 0.01);
	for (int i = 0; i < 8; i++)
		assert_int_equal(f->vcpu[i].why,
				 f->vcpu[i].target == 0 ? VCPU_STAYS : VCPU_EVEN_OUT);
}

static void what_is_not_full_is_not_severe(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.1, 0);
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->report.why, CPU_PERSIST);
	assert_int_equal(decide(f), 6);
}

/* The pins save less than PAY of what they move, but the fullest pCPU starves its guests. */
static void a_severe_case_pays_any_price(void **state)
{
	static const struct {
		double wants;
		int bin;
	} a[] = { { 0.75, 0 }, { 0.45, 0 }, { 1.00, 1 }, { 0.80, 1 }, { 0.90, 2 },
		  { 0.25, 2 }, { 0.20, 3 }, { 0.25, 3 }, { 0.65, 3 } };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++)
		add(f, a[i].wants, a[i].bin);
	assert_true(decide(f) > 0);
	assert_int_equal(f->report.why, CPU_ACTING);
	assert_float_equal(f->report.fullest, 1.8, 0.01);
	assert_float_equal(f->report.fullest_after, 1.4, 0.01);
}

static void a_mild_case_waits_for_a_second_interval(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++)
		add(f, 0.2, i % M);
	add(f, 0.07, 0);
	add(f, 0.07, 0);
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->report.why, CPU_PERSIST);
	assert_int_equal(decide(f), 1);
	assert_int_equal(f->report.why, CPU_ACTING);
}

static void between_the_thresholds_nothing_happens(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++)
		add(f, 0.2, i % M);
	add(f, 0.05, 0);
	add(f, 0.05, 0);
	assert_int_equal(run(f, 15), 0);
	assert_int_equal(f->report.why, CPU_HYSTERESIS);
}

/* ---- gates -------------------------------------------------------------------------- */

static void one_busy_vcpu_stays(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 2);
	assert_int_equal(run(f, 50), 0);
	assert_int_equal(f->report.why, CPU_BOUND);
}

/* Twice the same host: where samples never wobbled the gain is real, else it is chance. */
static void noise_is_no_reason(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++)
		add(f, 0.2, i % M);
	add(f, 0.07, 0);
	add(f, 0.07, 0);
	decide(f);
	for (size_t i = 0; i < f->host.n; i++)
		f->vcpu[i].seen.var = 0.03;
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->report.why, CPU_NOISE);
	for (size_t i = 0; i < f->host.n; i++)
		f->vcpu[i].seen.var = 0;
	assert_int_equal(decide(f), 1);
}

/* A swap of two big ones for a few points. */
static void pins_must_pay(void **state)
{
	struct fixture *f = *state;
	const double wants[] = { 0.55, 0.48, 0.45, 0.38, 0.48, 0.45, 0.48, 0.45 };

	for (int i = 0; i < 8; i++)
		add(f, wants[i], i / 2);
	f->limits.start_points = 2;
	f->limits.stop_points = 1;
	assert_int_equal(run(f, 60), 0);
	assert_int_equal(f->report.why, CPU_COSTLY);
}

/* A load that turns round each time it is evened out. */
static void passes_back_off(void **state)
{
	struct fixture *f = *state;
	unsigned early = 0, late = 0;

	for (int i = 0; i < 8; i++)
		add(f, 0.3, i % M);
	for (int k = 0; k < 600; k++) {
		if (k % 6 == 0)
			for (int i = 0; i < 8; i++)
				f->wants[i] = f->vcpu[i].bin == k / 6 % M ? 0.48 : 0.3;
		*(k < 60 ? &early : &late) += run(f, 1) > 0;
	}
	assert_true(early >= 2);
	assert_true(late * 60 < early * 540);
}

/* What was learned in a restless time does not hold for ever. */
static void passes_are_forgiven(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 12; i++)
		add(f, 0.2, i % M);
	add(f, 0.07, 0);
	add(f, 0.07, 0);
	f->host.passes = 7;
	assert_int_equal(run(f, 100), 0);
	assert_int_equal(f->report.why, CPU_BACKOFF);
	f->wants[12] = f->wants[13] = 0.01;
	run(f, 5000);
	assert_int_equal(f->host.passes, 0);
	f->wants[12] = f->wants[13] = 0.07;
	assert_int_equal(run(f, 50), 1);
}

/* ---- who must and who may not move -------------------------------------------------- */

static void a_forbidden_bin_is_left_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.4, i);
	f->vcpu[3].allowed = &f->low;
	assert_int_equal(decide(f), 1);
	assert_int_equal(f->report.why, CPU_FORCED);
	assert_int_equal(f->vcpu[3].why, VCPU_FENCE);
	assert_true(f->vcpu[3].target < M / 2);
}

static void a_vcpu_astray_is_brought_back(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.4, i == 1 ? BIN_ASTRAY : i);
	assert_int_equal(decide(f), 1);
	assert_int_equal(f->vcpu[1].target, 1);
	assert_int_equal(f->vcpu[1].why, VCPU_FENCE);
}

static void an_offline_bin_is_left_and_not_used(void **state)
{
	struct fixture *f = *state;
	struct cpuset online = { { 0xd } };

	for (int i = 0; i < 8; i++)
		add(f, 0.3, i % M);
	run(f, 5);
	f->bin[1].capacity = 0;
	for (int i = 0; i < 8; i++)
		f->vcpu[i].allowed = &online;
	assert_int_equal(run(f, 1), 2);
	for (int k = 0; k < 20; k++) {
		run(f, 1);
		for (int i = 0; i < 8; i++)
			assert_int_not_equal(f->vcpu[i].bin, 1);
	}
}

static void who_is_stuck_is_planned_around(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 1, 0)->stuck = i == 2 || i == 5;
	assert_int_equal(run(f, 1), 6);
	assert_int_equal(f->vcpu[2].bin, 0);
	assert_int_equal(f->vcpu[5].bin, 0);
	assert_int_equal(f->vcpu[2].why, VCPU_STUCK);
}

static void who_was_never_seen_is_left_alone(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 1, 0);
	sample(f);
	f->vcpu[7].sampled = false;
	cpu_decide(&f->host, &f->limits, f->work, &f->report);
	assert_int_equal(f->vcpu[7].target, 0);
	assert_int_equal(f->vcpu[7].why, VCPU_UNSEEN);
}

static void somebody_elses_guest_is_left_alone(void **state)
{
	struct fixture *f = *state;
	unsigned ours = 0;

	for (int i = 0; i < 8; i++)
		add(f, 0.9, i < 3 ? 0 : 1 + i % 3);
	for (int k = 0; k < 40; k++) {
		f->vcpu[0].bin = 0;
		f->vcpu[1].bin = 0;
		decide(f);
		ours += f->vcpu[0].target != 0 || f->vcpu[1].target != 0;
		apply(f);
	}
	assert_true(ours <= 6);
	assert_true(f->vcpu[0].why == VCPU_FOREIGN || f->vcpu[1].why == VCPU_FOREIGN);
}

/* ---- floating vCPUs and other load -------------------------------------------------- */

static void what_the_kernel_keeps_even_floats_on(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.3, BIN_FLOATS);
	assert_int_equal(run(f, 50), 0);
	assert_int_equal(f->report.why, CPU_BALANCED);
}

static void all_that_float_settle_in_one_plan(void **state)
{
	struct fixture *f = *state;
	unsigned moves;

	for (int i = 0; i < 8; i++)
		add(f, i ? 0.3 : 0.001, BIN_FLOATS);
	for (int k = 0; k < 2; k++) {
		sample(f);
		f->bin[0].busy = 0.9;
		f->bin[1].busy = 0.3;
		cpu_decide(&f->host, &f->limits, f->work, &f->report);
	}
	moves = f->report.moves;
	assert_int_equal(moves, 7);
	assert_int_equal(f->vcpu[0].target, BIN_FLOATS);
	assert_int_equal(f->vcpu[1].why, VCPU_SETTLE);
	apply(f);
	assert_int_equal(run(f, 100), 0);
}

static void other_load_is_what_busy_does_not_explain(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	f->process[2] = 0.5;
	run(f, 1);
	assert_float_equal(f->bin[2].other, 0.5, 0.01);
	assert_float_equal(f->bin[1].other, 0, 1e-6);
	f->process[2] = 0;
	run(f, 1);
	assert_true(f->bin[2].other > 0.4);
	run(f, 60);
	assert_float_equal(f->bin[2].other, 0, 1e-6);
}

static void an_interval_of_comings_tells_nothing_of_other_load(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add(f, 0.2, i);
	run(f, 3);
	f->process[2] = 0.5;
	f->host.churned = true;
	run(f, 1);
	assert_float_equal(f->bin[2].other, 0, 1e-6);
}

static void unknown_busy_is_no_other_load(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 8; i++)
		add(f, 0.9, 0);
	sample(f);
	for (int b = 0; b < M; b++)
		f->bin[b].busy = -1;
	cpu_decide(&f->host, &f->limits, f->work, &f->report);
	assert_int_equal(f->report.moves, 6);
	assert_float_equal(f->bin[0].other, 0, 1e-6);
}

/* ---- dry run ------------------------------------------------------------------------ */

static void what_is_not_done_is_decided_again(void **state)
{
	struct fixture *f = *state;
	int first[8];

	for (int i = 0; i < 8; i++)
		add(f, 1, 0);
	decide(f);
	for (int i = 0; i < 8; i++)
		first[i] = f->vcpu[i].target;
	for (int k = 0; k < 300; k++) {
		assert_int_equal(decide(f), 6);
		for (int i = 0; i < 8; i++)
			assert_int_equal(f->vcpu[i].target, first[i]);
	}
	assert_int_equal(f->host.passes, 0);
	apply(f);
	assert_int_equal(run(f, 50), 0);
}

static void every_reason_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < CPU_WHYS; i++)
		assert_true(strlen(cpu_why_name((enum cpu_why)i)) > 0);
	for (int i = 0; i < VCPU_WHYS; i++)
		assert_true(strlen(vcpu_why_name((enum vcpu_why)i)) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_do_without_guests),
		TEST(a_balanced_host_is_left_alone),
		TEST(a_severe_case_waits_for_nobody),
		TEST(what_is_not_full_is_not_severe),
		TEST(a_severe_case_pays_any_price),
		TEST(a_mild_case_waits_for_a_second_interval),
		TEST(between_the_thresholds_nothing_happens),
		TEST(one_busy_vcpu_stays),
		TEST(noise_is_no_reason),
		TEST(pins_must_pay),
		TEST(passes_back_off),
		TEST(passes_are_forgiven),
		TEST(a_forbidden_bin_is_left_at_once),
		TEST(a_vcpu_astray_is_brought_back),
		TEST(an_offline_bin_is_left_and_not_used),
		TEST(who_is_stuck_is_planned_around),
		TEST(who_was_never_seen_is_left_alone),
		TEST(somebody_elses_guest_is_left_alone),
		TEST(what_the_kernel_keeps_even_floats_on),
		TEST(all_that_float_settle_in_one_plan),
		TEST(other_load_is_what_busy_does_not_explain),
		TEST(an_interval_of_comings_tells_nothing_of_other_load),
		TEST(unknown_busy_is_no_other_load),
		TEST(what_is_not_done_is_decided_again),
		TEST(every_reason_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
