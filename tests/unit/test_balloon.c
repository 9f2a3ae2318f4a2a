/*
 * test_balloon.c - balloons that do not do as told, and guests that are odd.
 */
#include "tests/unit/mem_rig.h"

static void an_unmet_shrink_is_taken_back(void **state)
{
	struct rig r = rig(1, 2000, 200);
	int64_t sent;

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	sent = r.now_ns;
	assert_true(r.g[0].mem.target_kib < r.g[0].now.actual_kib);
	assert_true(commanded(&r, 0, 10));
	assert_true(r.now_ns - sent <= ns_of_s(mem_tunables_default.stall_s + 1));
	assert_int_equal(r.g[0].plan.reason, MEM_RESTORE);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.actual_kib);
	assert_false(commanded(&r, 0, 50)); /* and not tried again at once */
}

static void thrice_stalled_is_left_alone(void **state)
{
	struct rig r = rig(1, 2000, 200);

	(void)state;
	r.stuck[0] = true;
	ticks(&r, 1500);
	assert_int_equal(r.commands, 6);
	assert_int_equal(r.g[0].plan.reason, MEM_UNRESPONSIVE);
	ticks(&r, 3600);
	assert_true(r.commands > 6); /* but it gets a chance an hour later */
}

static void a_squeeze_is_taken_back_at_once(void **state)
{
	struct rig r = rig(1, 2000, 200);

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	r.use_mib[0] = 1950;
	ticks(&r, 2);
	assert_true(r.g[0].plan.reason == MEM_RESTORE || r.g[0].plan.reason == MEM_RESCUE);
	assert_true(r.g[0].mem.target_kib >= r.g[0].now.actual_kib);
}

static void a_growth_nobody_takes_up_is_forgotten(void **state)
{
	struct rig r = rig(1, 512, 420);

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	r.use_mib[0] = 250;
	ticks(&r, 5);
	assert_true(r.g[0].mem.target_kib > r.g[0].now.actual_kib);
	ticks(&r, 30);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.actual_kib);
}

static void somebody_elses_target_is_adopted(void **state)
{
	struct rig r = rig(1, 600, 300);

	(void)state;
	ticks(&r, 50);
	r.g[0].now.actual_kib = 1500 * MIB; /* virsh setmem */
	ticks(&r, 6);
	assert_true(r.g[0].mem.target_kib >= 1400 * MIB);
}

/* As at boot: the driver takes the guest to the size it was defined with. */
static void a_balloon_that_falls_unasked_is_adopted(void **state)
{
	struct rig r = rig(1, 2048, 300);

	(void)state;
	r.silent[0] = true;
	tick(&r);
	assert_int_equal(r.g[0].mem.target_kib, 2048 * MIB);
	r.g[0].now.actual_kib = 1000 * MIB;
	tick(&r);
	assert_int_equal(r.g[0].mem.target_kib, 1000 * MIB);
}

static void kept_pages_are_noticed(void **state)
{
	struct rig r = rig(1, 2000, 200);

	(void)state;
	r.keeps[0] = true; /* RSS stays where it was */
	ticks(&r, 60);
	assert_true(r.g[0].mem.keeps);
	assert_int_equal(r.g[0].plan.claim_kib, r.g[0].now.max_kib);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.max_kib);
	assert_int_equal(r.g[0].plan.reason, MEM_LOCKED);
}

static void untouched_memory_frees_nothing_and_is_no_fault(void **state)
{
	struct rig r = rig(1, 2000, 200);

	(void)state;
	r.g[0].now.rss_kib = 250 * MIB;
	ticks(&r, 200);
	assert_false(r.g[0].mem.keeps);

	r = rig(1, 900, 200); /* a shrink from 1000, of which all but 8 MiB were untouched */
	r.g[0].now.rss_kib = 940 * MIB;
	r.g[0].mem.from_kib = 1000 * MIB;
	r.g[0].mem.from_rss_kib = 940 * MIB;
	r.g[0].mem.kept = 1;
	ledger_observe(&mem_tunables_default, &r.g[0], r.now_ns);
	assert_false(r.g[0].mem.keeps);
}

/* Nobody could tell what its memory is: a shrink that RSS can show comes first, and alone. */
static void an_unknown_kind_of_memory_is_probed(void **state)
{
	struct rig r = rig(1, 1800, 200);

	(void)state;
	r.g[0].now.unproven = true;
	assert_true(commanded(&r, 0, 60));
	assert_int_equal(r.g[0].mem.target_kib, 1736 * MIB);
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_SETTLING);
	ticks(&r, 3);
	assert_true(r.g[0].mem.proven);
	assert_true(commanded(&r, 0, 5));
	assert_true(r.g[0].mem.target_kib <= 1640 * MIB);

	r.g[0].now.boot_id = 2; /* another run may be defined differently */
	tick(&r);
	assert_false(r.g[0].mem.proven);
}

static void a_probe_that_frees_nothing_is_given_back(void **state)
{
	struct rig r = rig(1, 1800, 200);
	uint64_t least_kib = UINT64_MAX;

	(void)state;
	r.g[0].now.unproven = true;
	r.keeps[0] = true;
	for (int i = 0; i < 120; i++) {
		tick(&r);
		least_kib =
			r.g[0].now.actual_kib < least_kib ? r.g[0].now.actual_kib : least_kib;
	}
	assert_int_equal(least_kib, 1800 * MIB - 2 * TUNED(probe_kib));
	assert_true(r.g[0].mem.keeps);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.max_kib);
}

/* In an emergency, of a guest whose figures stay readable while its balloon moves. */
static void a_probe_is_judged_before_the_next(void **state)
{
	struct rig r = rig(1, 1800, 200);

	(void)state;
	r.g[0].now.unproven = true;
	r.keeps[0] = true;
	r.host.available_kib = 150 * MIB;
	for (int i = 0; i < 20 && r.commands < 2; i++) {
		r.g[0].now.managed_kib = r.g[0].now.actual_kib - 40 * MIB;
		tick(&r);
		assert_true(r.g[0].now.actual_kib >= 1736 * MIB || r.g[0].mem.kept == 1);
	}
	assert_int_equal(r.commands, 2);
}

/* Hugepages, or memory not touched yet: RSS would show nothing. */
static void where_no_probe_could_show_it_none_is_made(void **state)
{
	static const uint64_t rss_mib[] = { 0, 100, 1700 };

	(void)state;
	for (size_t i = 0; i < sizeof(rss_mib) / sizeof(rss_mib[0]); i++) {
		struct rig r = rig(1, 1800, 200);

		r.g[0].now.unproven = true;
		r.g[0].now.rss_kib = rss_mib[i] * MIB;
		r.state.host = HOST_HARD;
		ticks(&r, 60);
		assert_int_equal(r.commands, 0);
		assert_int_equal(r.g[0].plan.reason, MEM_UNPROVEN);
	}
}

/* No step that is too small to be judged: in a row they would be a large one. */
static void an_unproven_guest_gives_no_trickle(void **state)
{
	struct rig r = rig(1, 300, 180);

	(void)state;
	r.g[0].now.unproven = true;
	r.conf.interval_s = 1;
	r.state.host = HOST_HARD;
	ticks(&r, 60);
	assert_int_equal(r.g[0].now.actual_kib, 300 * MIB);
}

/* What it would not give is no part of what others are dealt. */
static void an_unproven_guest_is_counted_on_for_a_probe(void **state)
{
	struct rig r = rig(2, 1800, 200);

	(void)state;
	r.host.available_kib = 512 * MIB;
	r.use_mib[1] = 1700;
	r.g[0].now.unproven = true;
	r.g[0].now.rss_kib = 1500 * MIB;
	tick(&r);
	assert_int_equal(r.g[0].plan.share_kib, 1800 * MIB);
	r.g[0].now.rss_kib = 1832 * MIB;
	tick(&r);
	assert_int_equal(r.g[0].plan.share_kib, 1736 * MIB);
}

static void the_owners_limit_squeezes_nobody(void **state)
{
	struct rig r = rig(1, 1000, 600);

	(void)state;
	r.g[0].now.policy.max_kib = 400 * MIB;
	ticks(&r, 200);
	assert_true(r.g[0].mem.target_kib >= 664 * MIB);
	assert_true(r.g[0].mem.target_kib <= 800 * MIB);
	r.use_mib[0] = 100;
	ticks(&r, 500);
	assert_true(r.g[0].mem.target_kib <= 500 * MIB);
	r.use_mib[0] = 390;
	ticks(&r, 50);
	assert_true(r.g[0].mem.target_kib <= 500 * MIB);
}

static void a_grant_is_a_claim_before_it_is_taken_up(void **state)
{
	struct rig r = rig(1, 512, 420);

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	tick(&r);
	assert_true(r.g[0].mem.target_kib > r.g[0].now.actual_kib);
	assert_int_equal(r.g[0].plan.claim_kib, r.g[0].mem.target_kib);
}

static void one_command_on_one_sample(void **state)
{
	struct rig r = rig(1, 512, 300);
	uint64_t stamp = UINT64_MAX;
	int64_t last;

	(void)state;
	r.conf.reserve_kib = 200 * MIB;
	ticks(&r, 3);
	last = r.g[0].mem.command_ns;
	for (int i = 0; i < 60; i++) {
		r.silent[0] = i % 4 != 0; /* reports every fourth second, and grows fast */
		r.use_mib[0] += 25;
		r.host.available_kib = 230 * MIB + r.report.commitment_kib; /* 30 to spare */
		tick(&r);
		if (r.g[0].mem.command_ns == last)
			continue;
		last = r.g[0].mem.command_ns;
		assert_true(r.g[0].now.last_update_s != stamp);
		stamp = r.g[0].now.last_update_s;
	}
	assert_true(r.commands > 3);
}

static void a_balloon_that_let_go_is_adopted(void **state)
{
	struct rig r = rig(1, 520, 300);

	(void)state;
	ticks(&r, 50);
	r.g[0].now.actual_kib = r.g[0].mem.target_kib + 60 * MIB;
	ticks(&r, 8);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.actual_kib);
}

static void a_hard_host_tries_whom_it_had_given_up(void **state)
{
	struct rig r = rig(1, 1500, 200);

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	assert_true(commanded(&r, 0, 10));
	assert_int_equal(r.g[0].plan.reason, MEM_RESTORE);
	r.stuck[0] = false;
	assert_false(commanded(&r, 0, 20));
	r.host.available_kib = 500 * MIB;
	assert_true(commanded(&r, 0, 5));
	assert_int_equal(r.g[0].plan.reason, MEM_EMERGENCY);
}

static void an_emergency_tries_whom_it_had_given_up(void **state)
{
	struct rig r = rig(2, 1500, 200);

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	assert_true(commanded(&r, 0, 10));
	assert_int_equal(r.g[0].plan.reason, MEM_RESTORE);
	r.stuck[0] = false;
	assert_false(commanded(&r, 0, 20));
	r.host.available_kib = r.report.reserve_kib + r.report.commitment_kib;
	r.use_mib[1] = r.g[1].now.actual_kib / MIB - 50;
	assert_true(commanded(&r, 0, 5));
	assert_int_equal(r.g[0].plan.reason, MEM_EMERGENCY);
	assert_int_equal(r.report.state, HOST_OK);
}

/* What becomes of a guest of this size that uses 200 MiB, when another is about to run dry. */
static enum mem_reason in_an_emergency(uint64_t size_mib)
{
	struct rig r = rig(2, 1500, 200);

	r.g[0].now.actual_kib = size_mib * MIB;
	r.g[0].now.rss_kib = (size_mib + 32) * MIB;
	tick(&r);
	r.use_mib[1] = 1450;
	r.host.available_kib = r.report.reserve_kib + r.report.commitment_kib;
	tick(&r);
	return r.g[0].plan.reason;
}

/* Each command spoils two samples: who is close to his share is left alone. */
static void an_emergency_takes_no_trickles(void **state)
{
	(void)state;
	assert_int_equal(in_an_emergency(300), MEM_EMERGENCY);
	assert_int_equal(in_an_emergency(272), MEM_SHORT);
}

static void a_growth_in_need_is_not_forgotten(void **state)
{
	struct rig r = rig(1, 512, 420);
	int before;

	(void)state;
	r.stuck[0] = true;
	assert_true(commanded(&r, 0, 10));
	before = r.commands;
	ticks(&r, 40);
	assert_true(r.g[0].mem.target_kib > r.g[0].now.actual_kib);
	assert_int_equal(r.commands, before);
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < MEM_WHYS; i++)
		assert_string_not_equal(mem_reason_name((enum mem_reason)i), "?");
	for (int i = HOST_OK; i <= HOST_CRITICAL; i++)
		assert_non_null(mem_host_state_name((enum mem_host_state)i));
}

static void nobody_is_no_trouble(void **state)
{
	struct rig r = rig(0, 0, 0);

	(void)state;
	ticks(&r, 10);
	assert_true(r.report.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unmet_shrink_is_taken_back),
		cmocka_unit_test(thrice_stalled_is_left_alone),
		cmocka_unit_test(a_squeeze_is_taken_back_at_once),
		cmocka_unit_test(a_growth_nobody_takes_up_is_forgotten),
		cmocka_unit_test(somebody_elses_target_is_adopted),
		cmocka_unit_test(a_balloon_that_falls_unasked_is_adopted),
		cmocka_unit_test(kept_pages_are_noticed),
		cmocka_unit_test(an_unknown_kind_of_memory_is_probed),
		cmocka_unit_test(a_probe_that_frees_nothing_is_given_back),
		cmocka_unit_test(a_probe_is_judged_before_the_next),
		cmocka_unit_test(where_no_probe_could_show_it_none_is_made),
		cmocka_unit_test(an_unproven_guest_gives_no_trickle),
		cmocka_unit_test(an_unproven_guest_is_counted_on_for_a_probe),
		cmocka_unit_test(untouched_memory_frees_nothing_and_is_no_fault),
		cmocka_unit_test(a_grant_is_a_claim_before_it_is_taken_up),
		cmocka_unit_test(one_command_on_one_sample),
		cmocka_unit_test(a_balloon_that_let_go_is_adopted),
		cmocka_unit_test(a_hard_host_tries_whom_it_had_given_up),
		cmocka_unit_test(an_emergency_tries_whom_it_had_given_up),
		cmocka_unit_test(an_emergency_takes_no_trickles),
		cmocka_unit_test(a_growth_in_need_is_not_forgotten),
		cmocka_unit_test(the_owners_limit_squeezes_nobody),
		cmocka_unit_test(everything_has_a_name),
		cmocka_unit_test(nobody_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
