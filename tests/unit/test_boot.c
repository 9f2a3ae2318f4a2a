/*
 * test_boot.c - guests that restart: with room, with a driver or without.
 */
#include "tests/unit/mem_rig.h"

static void a_squeezed_guest_restarts_with_room(void **state)
{
	struct rig r = rig(1, 300, 150);

	(void)state;
	ticks(&r, 20);
	r.silent[0] = true;
	r.g[0].now.boot_id = 2;
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_BOOT);
	assert_int_equal(r.g[0].mem.target_kib, 512 * MIB);
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_BOOTING);
	assert_int_equal(r.g[0].plan.claim_kib, 2048 * MIB);
	r.silent[0] = false;
	ticks(&r, 5);
	assert_true(r.g[0].plan.claim_kib < 2048 * MIB);
}

/* As one that booted a rescue system: it may touch all its memory, and that is no boot. */
static void who_stays_silent_has_no_driver(void **state)
{
	struct rig r = rig(2, 700, 150);

	(void)state;
	ticks(&r, 20);
	r.silent[0] = r.stuck[0] = true;
	r.g[0].now.boot_id = 2;
	ticks(&r, 50);
	assert_int_equal(r.g[0].plan.reason, MEM_BOOTING);
	assert_true(r.report.booting_kib > 1000 * MIB);
	ticks(&r, 20);
	assert_int_equal(r.g[0].plan.reason, MEM_NO_DRIVER);
	assert_int_equal(r.g[0].plan.claim_kib, 2048 * MIB);
	assert_int_equal(r.report.booting_kib, 0);
	r.silent[0] = r.stuck[0] = false; /* here it is */
	ticks(&r, 5);
	assert_int_not_equal(r.g[0].plan.reason, MEM_NO_DRIVER);
	assert_true(r.g[0].plan.claim_kib < 2048 * MIB);
}

/* While it is paused it cannot boot; then it is to boot with room all the same. */
static void a_boot_that_was_paused_has_room(void **state)
{
	struct rig r = rig(1, 300, 150);

	(void)state;
	ticks(&r, 20);
	r.silent[0] = true;
	r.g[0].now.boot_id = 2;
	r.g[0].now.state = GUEST_PAUSED;
	ticks(&r, 70);
	assert_int_equal(r.g[0].mem.target_kib, r.g[0].now.actual_kib);
	r.g[0].now.state = GUEST_RUNNING;
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_BOOT);
	assert_int_equal(r.g[0].mem.target_kib, 512 * MIB);
}

/* Its driver has no statistics, or nobody asks for them: the balloon shows that it is there. */
static void a_balloon_that_moves_has_a_driver(void **state)
{
	struct rig r = rig(2, 700, 150);

	(void)state;
	ticks(&r, 20);
	r.g[0].now.state = GUEST_UNMANAGED;
	r.silent[0] = true;
	r.g[0].now.boot_id = 2;
	tick(&r);
	assert_int_equal(r.g[0].plan.claim_kib, 2048 * MIB);
	r.g[0].now.actual_kib = 2000 * MIB; /* filled anew */
	tick(&r);
	r.g[0].now.actual_kib = 700 * MIB;
	ticks(&r, 50);
	assert_int_equal(r.g[0].plan.claim_kib, 2048 * MIB);
	ticks(&r, 20);
	assert_int_equal(r.g[0].plan.claim_kib, 700 * MIB);
	assert_int_equal(r.report.booting_kib, 0);
}

static void startup_size_is_the_owners_word(void **state)
{
	struct rig r = rig(1, 300, 150);

	(void)state;
	r.g[0].now.policy.startup_kib = 1024 * MIB;
	ticks(&r, 20);
	r.silent[0] = true;
	r.g[0].now.boot_id = 2;
	tick(&r);
	assert_int_equal(r.g[0].mem.target_kib, 1024 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_squeezed_guest_restarts_with_room),
		cmocka_unit_test(who_stays_silent_has_no_driver),
		cmocka_unit_test(a_boot_that_was_paused_has_room),
		cmocka_unit_test(a_balloon_that_moves_has_a_driver),
		cmocka_unit_test(startup_size_is_the_owners_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
