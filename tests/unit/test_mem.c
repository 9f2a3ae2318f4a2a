/*
 * test_mem.c - commands: who grows, who gives, when, and how far.
 */
#include "tests/unit/mem_rig.h"

static void rescue_comes_between_decisions(void **state)
{
	struct rig r = rig(1, 512, 300);

	(void)state;
	ticks(&r, 6); /* the next decision is four away */
	r.use_mib[0] = 430;
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_RESCUE);
	assert_true(r.g[0].mem.target_kib >= 430 * MIB + TUNED(floor_kib));
}

/* What a booting guest may touch is there until it does, and its balloon takes it back. */
static void a_rescue_may_lean_on_a_boot(void **state)
{
	struct rig r = rig(2, 500, 200);

	(void)state;
	ticks(&r, 10);
	r.host.available_kib = ledger_reserve(&mem_tunables_default, &r.host) + 500 * MIB;
	r.g[1].now.boot_id = 2;
	r.silent[1] = true;
	tick(&r);
	assert_true(r.report.headroom_kib < -1000 * (int64_t)MIB);
	r.use_mib[0] = 450;
	assert_true(commanded(&r, 0, 2));
	assert_int_equal(r.g[0].plan.reason, MEM_RESCUE);
	assert_true(r.g[0].mem.target_kib > 550 * MIB);
	assert_int_equal(r.report.borrowed_kib, 0);
}

/* Two guests that use 480 of 512 MiB beside one that claims more than there is. */
static struct rig beside_a_wrong_claim(uint64_t there_mib)
{
	struct rig r = rig(3, 512, 100);

	r.g[2].mem.keeps = true;
	r.g[2].now.max_kib = 12 * GIB;
	r.host.available_kib = ledger_least(&mem_tunables_default, &r.host) + there_mib * MIB;
	ticks(&r, 8);
	r.use_mib[0] = r.use_mib[1] = 480;
	return r;
}

static void a_certain_death_outweighs_a_promise(void **state)
{
	struct rig r = beside_a_wrong_claim(2000);

	(void)state;
	assert_true(commanded(&r, 0, 3));
	assert_true(r.report.headroom_kib < -8 * (int64_t)GIB);
	assert_true(r.report.borrowed_kib > 0);
	assert_int_equal(r.g[0].plan.reason, MEM_RESCUE);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].plan.survive_kib); /* and no more */
}

/* Of what others hold and do not use it gets no more than that, until they have given it. */
static void a_promise_is_broken_for_survival_only(void **state)
{
	struct rig r = rig(2, 512, 480);

	(void)state;
	r.g[1].now.actual_kib = 2048 * MIB;
	r.g[1].now.rss_kib = 400 * MIB;
	r.use_mib[0] = 300;
	r.use_mib[1] = 100;
	r.host.available_kib = ledger_least(&mem_tunables_default, &r.host) + 1200 * MIB;
	ticks(&r, 3);
	r.use_mib[0] = 480;
	assert_true(commanded(&r, 0, 3));
	assert_true(r.g[0].plan.share_kib > r.g[0].plan.survive_kib);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].plan.survive_kib);
}

/* What is there goes to the one or the other, not to both: it is not touched yet. */
static void rescues_do_not_lean_on_each_other(void **state)
{
	struct rig r = beside_a_wrong_claim(120);
	uint64_t was = r.g[0].mem.target_kib + r.g[1].mem.target_kib;

	(void)state;
	r.use_mib[1] = 100;
	assert_true(commanded(&r, 0, 3));
	r.use_mib[1] = 480;
	ticks(&r, 10);
	assert_in_range(r.g[0].mem.target_kib + r.g[1].mem.target_kib - was, 0, 120 * MIB);
	r.g[0].now.rss_kib = r.g[0].now.actual_kib + 32 * MIB; /* touched: available fell */
	assert_true(commanded(&r, 1, 3));
}

/* 3 MiB are too little for a growth otherwise. */
static void a_minimum_is_reached(void **state)
{
	struct rig r = rig(1, 697, 150);

	(void)state;
	ticks(&r, 10);
	r.g[0].mem.target_kib = r.g[0].now.actual_kib = 697 * MIB;
	r.g[0].now.policy.min_kib = 700 * MIB;
	assert_true(commanded(&r, 0, 10));
	assert_int_equal(r.g[0].mem.target_kib, 700 * MIB);
	assert_false(commanded(&r, 0, 20));
}

static void growth_waits_for_the_decision(void **state)
{
	struct rig r = rig(1, 1024, 700);

	(void)state;
	while (r.commands == 0 && r.ticks < 200) {
		r.use_mib[0]++;
		tick(&r);
	}
	assert_int_equal(r.g[0].plan.reason, MEM_GROW);
	assert_int_equal(r.ticks % 5, 0);
	assert_true(r.g[0].mem.target_kib >= r.g[0].plan.need_kib);
}

static void idle_memory_goes_step_by_step(void **state)
{
	struct rig r = rig(1, 2000, 200);
	uint64_t was = r.g[0].now.actual_kib;

	(void)state;
	assert_true(commanded(&r, 0, 10));
	assert_int_equal(r.g[0].plan.reason, MEM_IDLE);
	assert_true(was - r.g[0].mem.target_kib <= TUNED(step_kib_s) * 5);
	for (int i = 0; i < 120; i++) {
		was = r.g[0].now.actual_kib;
		tick(&r);
		assert_true(r.g[0].now.actual_kib +
				    (uint64_t)(mem_tunables_default.step_part * (double)was) +
				    1 >=
			    was);
	}
	assert_true(r.g[0].now.actual_kib <= (200 + 100) * MIB + TUNED(comfort_kib));
	assert_true(r.g[0].now.actual_kib >= r.g[0].plan.comfort_kib);
}

/* A hundredth of it is more than a step: it goes all the same. */
static void a_large_guest_gives_back_too(void **state)
{
	struct rig r = rig(1, 64 * 1024, 1024);

	(void)state;
	r.g[0].now.max_kib = r.g[0].now.actual_kib;
	r.host.total_kib = 128 * GIB;
	r.host.available_kib = 120 * GIB;
	ticks(&r, 600);
	assert_in_range(r.g[0].now.actual_kib, 1024 * MIB, 54 * GIB);
}

static void settles_and_then_stays(void **state)
{
	struct rig r = rig(GUESTS, 1000, 300);
	int settled;

	(void)state;
	ticks(&r, 400);
	settled = r.commands;
	ticks(&r, 1000);
	assert_int_equal(r.commands, settled);
}

static void growth_is_paid_from_spare(void **state)
{
	(void)state;
	for (uint64_t mib = 300; mib < 3000; mib += 50) {
		struct rig r = rig(GUESTS, 600, 560);
		double grown = 0, spare, deep;

		r.host.total_kib = 4 * GIB;
		r.host.available_kib = mib * MIB;
		r.dry = true;
		ticks(&r, 5);
		spare = (double)r.report.headroom_kib;
		deep = (double)(r.report.reserve_kib - r.report.least_kib);
		for (size_t i = 0; i < GUESTS; i++)
			if (r.g[i].plan.command_kib > r.g[i].now.actual_kib)
				grown += (double)(r.g[i].plan.command_kib -
						  r.g[i].now.actual_kib);
		assert_true(grown <= fmax(0, spare + deep));
	}
}

static void a_minimum_is_paid_from_spare_too(void **state)
{
	struct rig r = rig(2, 500, 200);

	(void)state;
	r.host.available_kib = ledger_reserve(&mem_tunables_default, &r.host) + 100 * MIB;
	r.g[0].now.policy.min_kib = r.g[1].now.policy.min_kib = 1500 * MIB;
	ticks(&r, 5);
	assert_int_equal(r.commands, 2);
	assert_in_range(r.g[0].mem.target_kib + r.g[1].mem.target_kib, 1090 * MIB, 1100 * MIB);

	r.host.available_kib = 12 * GIB;
	ticks(&r, 10);
	assert_true(r.g[0].mem.target_kib >= 1500 * MIB);
}

static void more_host_memory_lowers_no_target(void **state)
{
	uint64_t before[GUESTS] = { 0 };

	(void)state;
	for (uint64_t mib = 300; mib < 4000; mib += 20) {
		struct rig r = rig(GUESTS, 700, 300);

		r.host.total_kib = 8 * GIB;
		r.host.available_kib = mib * MIB;
		r.use_mib[1] = 600;
		r.use_mib[2] = 650;
		r.dry = true;
		ticks(&r, 5);
		for (size_t i = 0; i < GUESTS; i++) {
			uint64_t to = r.g[i].plan.command_kib ? r.g[i].plan.command_kib
							      : r.g[i].now.actual_kib;

			assert_true(to + 16 >= before[i]);
			before[i] = to;
		}
	}
}

static void equal_guests_get_equal_targets(void **state)
{
	struct rig r = rig(GUESTS, 700, 300);

	(void)state;
	r.host.total_kib = 4 * GIB;
	r.host.available_kib = 500 * MIB;
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < GUESTS; k++)
			r.use_mib[k] = 300 + (uint64_t)i * 2;
		tick(&r);
		for (size_t k = 1; k < GUESTS; k++)
			assert_int_equal(r.g[k].mem.target_kib, r.g[0].mem.target_kib);
	}
}

static void far_from_a_flat_share_all_come_to_it(void **state)
{
	struct rig r = rig(2, 610, 300);

	(void)state;
	r.g[1].now.actual_kib = 470 * MIB;
	ticks(&r, 55);
	assert_int_equal(r.commands, 0); /* neither idle nor in need */
	ticks(&r, 15);
	assert_int_equal(r.g[0].now.actual_kib, 300 * MIB + TUNED(comfort_kib));
	assert_int_equal(r.g[1].now.actual_kib, 300 * MIB + TUNED(comfort_kib));
	assert_int_equal(r.commands, 3); /* a step takes no more than a tenth */
	ticks(&r, 300);
	assert_int_equal(r.commands, 3);
}

static void near_a_flat_share_is_near_enough(void **state)
{
	struct rig r = rig(2, 535, 300);

	(void)state;
	r.g[1].now.actual_kib = 515 * MIB;
	ticks(&r, 300);
	assert_int_equal(r.commands, 0);
}

/* What leaves a share that moves all the time has to wait. */
static void a_share_that_moves_calls_nobody(void **state)
{
	struct rig r = rig(1, 610, 300);

	(void)state;
	for (int i = 0; i < 10; i++) {
		r.use_mib[0] = i % 2 ? 300 : 325;
		ticks(&r, 30);
	}
	assert_int_equal(r.commands, 0);
}

static void tick_with_caches(struct rig *r, int n, const uint64_t *caches_mib)
{
	while (n-- > 0) {
		for (size_t i = 0; i < r->n; i++) {
			struct guest *g = &r->g[i];
			uint64_t used = (r->use_mib[i] + caches_mib[i]) * MIB;

			g->now.unused_kib =
				g->now.actual_kib > used ? g->now.actual_kib - used : 0;
		}
		tick(r);
	}
}

static void idle_reclaim_takes_no_caches(void **state)
{
	struct rig r = rig(2, 1024, 300);

	(void)state;
	tick_with_caches(&r, 300, (uint64_t[]){ 324, 624 });
	assert_in_range(r.g[0].now.actual_kib, (300 + 324) * MIB + TUNED(unused_kib),
			(300 + 324 + 113) * MIB + TUNED(unused_kib));
	assert_int_equal(r.g[1].now.actual_kib, 1024 * MIB);
}

static void caches_go_when_others_lack(void **state)
{
	struct rig r = rig(2, 1024, 300);

	(void)state;
	r.host.available_kib = ledger_reserve(&mem_tunables_default, &r.host);
	r.use_mib[1] = 900;
	tick_with_caches(&r, 60, (uint64_t[]){ 624, 0 });
	assert_true(r.g[0].now.actual_kib < 800 * MIB);
}

static void donors_give_when_others_lack(void **state)
{
	struct rig r = rig(2, 1000, 300);

	(void)state;
	r.host.total_kib = 4 * GIB;
	r.host.available_kib = 380 * MIB; /* the reserve and next to nothing */
	ticks(&r, 3);
	r.use_mib[0] = 880;
	assert_true(commanded(&r, 1, 10));
	assert_true(r.g[1].plan.reason == MEM_DONATE || r.g[1].plan.reason == MEM_EMERGENCY);
	assert_true(r.g[1].mem.target_kib >= r.g[1].plan.floor_kib);
}

static void no_shrink_soon_after_growth(void **state)
{
	struct rig r = rig(1, 512, 450);
	int64_t grown;

	(void)state;
	assert_true(commanded(&r, 0, 10));
	grown = r.g[0].mem.grown_ns;
	assert_int_equal(grown, r.now_ns);
	r.use_mib[0] = 50;
	while (r.g[0].mem.target_kib >= r.g[0].now.actual_kib &&
	       r.now_ns < grown + 120 * NS_PER_S) {
		uint64_t was = r.g[0].mem.target_kib;

		tick(&r);
		if (r.g[0].mem.target_kib < was)
			break;
	}
	assert_true(r.now_ns >= grown + 30 * NS_PER_S);
}

static void swapping_forbids_shrinking(void **state)
{
	struct rig r = rig(1, 2000, 200);

	(void)state;
	r.g[0].now.swap_out_kib = 0;
	for (int i = 0; i < 60; i++) {
		r.g[0].now.swap_out_kib += 4 * MIB;
		tick(&r);
		assert_true(r.g[0].mem.target_kib >= 2000 * MIB);
	}
	assert_int_equal(r.g[0].plan.reason, MEM_SWAPPING);
}

static void not_ours_to_command(void **state)
{
	static const struct {
		enum guest_state state;
		enum mem_reason reason;
	} row[] = {
		{ GUEST_PAUSED, MEM_PAUSED },
		{ GUEST_BUSY, MEM_BUSY },
		{ GUEST_UNMANAGED, MEM_UNMANAGED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct rig r = rig(1, 2000, 200);

		r.g[0].now.state = row[i].state;
		ticks(&r, 30);
		assert_int_equal(r.commands, 0);
		assert_int_equal(r.g[0].plan.reason, row[i].reason);
		assert_int_equal(r.g[0].plan.claim_kib, 2000 * MIB);
	}
}

/* Whatever becomes of a guest that was told to shrink, it does not owe that for ever. */
static void an_abandoned_shrink_is_taken_back(void **state)
{
	(void)state;
	for (int turn = 0; turn < 4; turn++)
		for (int late = 0; late < 6; late++) {
			struct rig r = rig(1, 2000, 200);

			r.stuck[0] = true;
			while (!r.g[0].mem.shrinking)
				tick(&r);
			ticks(&r, late);
			r.silent[0] = turn == 0;
			if (turn == 1)
				r.g[0].now.state = GUEST_UNMANAGED;
			r.g[0].now.kind.locked = turn == 2;
			if (turn == 3) { /* its driver is gone: all it held is back */
				r.silent[0] = true;
				r.g[0].now.actual_kib = 2048 * MIB;
			}
			ticks(&r, 15);
			assert_true(r.g[0].mem.target_kib + 4 * MIB >= r.g[0].now.actual_kib);
			assert_in_range(r.commands, 2, turn == 3 ? 3 : 2); /* and its end */
			r.commands = 0;
			ticks(&r, 40);
			assert_int_equal(r.commands, 0);
		}
}

/* One that takes no more than so much, though it is defined with more. */
static void a_refused_growth_is_tried_smaller(void **state)
{
	struct rig r = rig(1, 512, 150);
	unsigned refused = 0;

	(void)state;
	ticks(&r, 10);
	r.dry = true;
	for (int i = 0; i < 60; i++) {
		r.use_mib[0] = 150 + (unsigned)i * 10;
		tick(&r);
		assert_true(r.g[0].plan.command_kib != r.g[0].now.actual_kib);
		if (r.g[0].plan.command_kib > 900 * MIB) {
			mem_refused(&r.conf, &r.g[0], r.now_ns);
			refused++;
		} else if (r.g[0].plan.command_kib) {
			apply(&r, 0);
		}
		assert_true(r.g[0].now.actual_kib > r.use_mib[0] * MIB);
	}
	assert_in_range(refused, 1, 12);
	assert_true(r.g[0].now.actual_kib > 850 * MIB);
	ticks(&r, 400);
	r.dry = false; /* it takes more now */
	for (int i = 0; i < 60; i++) {
		r.use_mib[0] += 5;
		tick(&r);
	}
	assert_true(r.g[0].now.actual_kib > r.use_mib[0] * MIB);
}

/* What fails whatever its size is no ceiling. */
static void a_failure_leaves_no_ceiling(void **state)
{
	struct rig r = rig(1, 512, 450);
	unsigned refused = 0;

	(void)state;
	r.dry = true;
	for (int i = 0; i < 12; i++) {
		tick(&r);
		if (r.g[0].plan.command_kib) {
			mem_refused(&r.conf, &r.g[0], r.now_ns);
			refused++;
		}
	}
	assert_in_range(refused, 2, 6);
	assert_true(r.g[0].mem.refused_ns > r.now_ns);
	assert_int_equal(r.g[0].mem.ceiling_kib, 0);
}

/* Libvirt fails for some seconds while a guest grows: soon it has what it needs all the same.
 */
static void a_failure_that_passes_is_made_up_for(void **state)
{
	(void)state;
	for (int fails = 1; fails < 7; fails++) {
		struct rig r = rig(1, 644, 300);

		ticks(&r, 10);
		r.dry = true;
		r.use_mib[0] = 620;
		for (int i = 0; i < 25; i++) {
			tick(&r);
			if (r.g[0].plan.command_kib && i < fails)
				mem_refused(&r.conf, &r.g[0], r.now_ns);
			else if (r.g[0].plan.command_kib)
				apply(&r, 0);
		}
		assert_true(r.g[0].now.actual_kib > 800 * MIB);
	}
}

/* It wants more than it may have, and cannot be helped: no command is sent that changes
 * nothing. */
static void at_its_limit_nothing_is_sent(void **state)
{
	struct rig r = rig(1, 512, 300);

	(void)state;
	r.g[0].now.policy.max_kib = 512 * MIB;
	ticks(&r, 10);
	r.use_mib[0] = 500;
	r.commands = 0;
	ticks(&r, 30);
	assert_int_equal(r.commands, 0);
}

static void refused_waits_longer_each_time(void **state)
{
	struct rig r = rig(1, 2000, 200);
	int64_t last = 0, wait = 0;

	(void)state;
	r.dry = true;
	for (int refusals = 0; refusals < 4;) {
		tick(&r);
		if (r.g[0].plan.command_kib == 0)
			continue;
		if (last != 0) {
			assert_true(r.now_ns - last >= wait);
			wait = (r.now_ns - last) * 3 / 2;
		}
		last = r.now_ns;
		mem_refused(&r.conf, &r.g[0], r.now_ns);
		refusals++;
	}
}

static void dry_run_leaves_no_trace(void **state)
{
	struct rig r = rig(1, 2000, 200);
	struct guest was;

	(void)state;
	r.dry = true;
	ticks(&r, 5);
	assert_true(r.g[0].plan.command_kib != 0);
	was = r.g[0];
	ticks(&r, 5);
	assert_int_equal(r.g[0].plan.command_kib, was.plan.command_kib);
	assert_int_equal(r.g[0].plan.reason, was.plan.reason);
	assert_int_equal(r.g[0].mem.target_kib, was.mem.target_kib);
	assert_memory_equal(&r.g[0].mem, &was.mem, sizeof(was.mem));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rescue_comes_between_decisions),
		cmocka_unit_test(a_rescue_may_lean_on_a_boot),
		cmocka_unit_test(a_certain_death_outweighs_a_promise),
		cmocka_unit_test(a_promise_is_broken_for_survival_only),
		cmocka_unit_test(rescues_do_not_lean_on_each_other),
		cmocka_unit_test(a_minimum_is_reached),
		cmocka_unit_test(growth_waits_for_the_decision),
		cmocka_unit_test(idle_memory_goes_step_by_step),
		cmocka_unit_test(a_large_guest_gives_back_too),
		cmocka_unit_test(settles_and_then_stays),
		cmocka_unit_test(growth_is_paid_from_spare),
		cmocka_unit_test(a_minimum_is_paid_from_spare_too),
		cmocka_unit_test(more_host_memory_lowers_no_target),
		cmocka_unit_test(equal_guests_get_equal_targets),
		cmocka_unit_test(far_from_a_flat_share_all_come_to_it),
		cmocka_unit_test(near_a_flat_share_is_near_enough),
		cmocka_unit_test(a_share_that_moves_calls_nobody),
		cmocka_unit_test(idle_reclaim_takes_no_caches),
		cmocka_unit_test(caches_go_when_others_lack),
		cmocka_unit_test(donors_give_when_others_lack),
		cmocka_unit_test(no_shrink_soon_after_growth),
		cmocka_unit_test(swapping_forbids_shrinking),
		cmocka_unit_test(not_ours_to_command),
		cmocka_unit_test(an_abandoned_shrink_is_taken_back),
		cmocka_unit_test(refused_waits_longer_each_time),
		cmocka_unit_test(a_refused_growth_is_tried_smaller),
		cmocka_unit_test(a_failure_leaves_no_ceiling),
		cmocka_unit_test(a_failure_that_passes_is_made_up_for),
		cmocka_unit_test(at_its_limit_nothing_is_sent),
		cmocka_unit_test(dry_run_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
