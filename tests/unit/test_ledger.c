/*
 * test_ledger.c - what is promised, what is left, and how the host is.
 */
#include "tests/unit/mem_rig.h"

static void reserve_follows_the_scale(void **state)
{
	static const struct {
		double gib;
		double least_mib, reserve_mib;
	} row[] = {
		{ 1, 200, 256 },         { 4, 245.76, 368.64 },     { 12, 573.44, 860.16 },
		{ 28, 901.12, 1351.68 }, { 128, 1925.12, 2887.68 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct mem_host h = { .total_kib = (uint64_t)(row[i].gib * GIB) };

		assert_int_equal(ledger_least(&mem_tunables_default, &h),
				 (uint64_t)(row[i].least_mib * MIB));
		assert_int_equal(ledger_reserve(&mem_tunables_default, &h),
				 (uint64_t)(row[i].reserve_mib * MIB));
	}
}

static void headroom_is_what_nobody_may_touch(void **state)
{
	struct rig r = rig(2, 1024, 500);

	(void)state;
	r.g[0].now.rss_kib = 400 * MIB; /* touched so much less the VMM's own of 1024 */
	tick(&r);
	assert_int_equal(r.report.commitment_kib, (1024 - 400) * MIB + TUNED(vmm_kib));
	assert_int_equal(r.report.headroom_kib,
			 (int64_t)(12 * GIB - r.report.reserve_kib - r.report.commitment_kib));
}

static void overcommit_counts_promises_in_part(void **state)
{
	struct rig r = rig(1, 1024, 500);

	(void)state;
	r.conf.overcommit = 2;
	r.g[0].now.rss_kib = 56 * MIB;
	tick(&r);
	assert_int_equal(r.report.commitment_kib, 500 * MIB);
}

static void claims(void **state)
{
	struct rig r = rig(3, 512, 200);

	(void)state;
	r.g[1].now.kind.locked = true;
	r.g[2].now.kind.huge_kib = 2048 * MIB;
	ticks(&r, 3);
	assert_int_equal(r.g[0].plan.claim_kib, ledger_held(&r.g[0]));
	assert_int_equal(r.g[1].plan.claim_kib, ledger_held(&r.g[1]));
	assert_int_equal(r.g[2].plan.claim_kib, 0);
	assert_int_equal(r.g[1].plan.reason, MEM_LOCKED);
	assert_int_equal(r.g[2].plan.reason, MEM_LOCKED);
	r.g[1].now.rss_kib = 700 * MIB; /* it was locked before its balloon was filled */
	ticks(&r, 20);
	assert_int_equal(r.g[1].plan.claim_kib, ledger_held(&r.g[1]));
	assert_int_equal(r.g[1].mem.overhead_kib, 0);
	r.silent[0] = true;
	ticks(&r, 20); /* stale stats do not change the claim */
	assert_int_equal(r.g[0].plan.reason, MEM_STALE);
	assert_int_equal(r.g[0].plan.claim_kib, ledger_held(&r.g[0]));
}

/* RSS does not have what is in hugepages, so that it says nothing of the rest. */
static void what_is_not_in_hugepages_is_promised(void **state)
{
	struct rig r = rig(1, 1024, 200);

	(void)state;
	r.g[0].now.kind.huge_kib = 400 * MIB; /* its balloon may be full of these */
	r.g[0].now.rss_kib = 56 * MIB;
	ticks(&r, 5);
	assert_int_equal(r.g[0].plan.reason, MEM_LOCKED);
	assert_int_equal(r.report.commitment_kib, (1024 - 56) * MIB + TUNED(vmm_kib));
	r.g[0].now.kind.huge_kib = 1424 * MIB;
	tick(&r);
	assert_int_equal(r.report.commitment_kib, (624 - 56) * MIB + TUNED(vmm_kib));
	r.g[0].now.kind.huge_kib = 2048 * MIB; /* it holds less than is set aside */
	tick(&r);
	assert_int_equal(r.report.commitment_kib, 0);
}

/* What KSM merged is promised to those who write to it. */
static void what_is_merged_is_promised(void **state)
{
	struct rig r = rig(1, 512, 200);
	int64_t headroom;

	(void)state;
	ticks(&r, 5);
	headroom = r.report.headroom_kib;
	r.host.merged_kib = 700 * MIB;
	tick(&r);
	assert_int_equal(r.report.headroom_kib, headroom - 700 * (int64_t)MIB);
}

/* It is available, but neither at once, nor when the host is about to run dry. */
static void what_zfs_caches_is_slow(void **state)
{
	struct rig r = rig(1, 512, 200);
	int64_t headroom;

	(void)state;
	ticks(&r, 5);
	headroom = r.report.headroom_kib;
	r.host.slow_kib = 700 * MIB;
	tick(&r);
	assert_int_equal(r.report.headroom_kib, headroom + 700 * (int64_t)MIB);
	r.host.available_kib = r.report.reserve_kib - 100 * MIB;
	tick(&r);
	assert_int_equal(r.report.state, HOST_OK);
	r.host.available_kib = r.report.least_kib - MIB;
	tick(&r);
	assert_int_equal(r.report.state, HOST_HARD);
}

static void no_rescue_waits_for_zfs(void **state)
{
	(void)state;
	for (int slow = 0; slow < 2; slow++) {
		struct rig r = rig(1, 512, 200);

		ticks(&r, 5);
		r.host.available_kib = r.report.least_kib + (slow ? 0 : 2 * GIB);
		r.host.slow_kib = slow ? 2 * GIB : 0;
		r.use_mib[0] = 480;
		assert_int_equal(commanded(&r, 0, 3), !slow);
	}
}

static void no_driver_claims_all(void **state)
{
	struct rig r = rig(1, 2048, 200);

	(void)state;
	r.silent[0] = true;
	ticks(&r, 20);
	assert_int_equal(r.g[0].plan.reason, MEM_NO_DRIVER);
	assert_int_equal(r.g[0].plan.claim_kib, 2048 * MIB);
	assert_int_equal(r.commands, 0);
}

static void vmm_memory_is_learnt(void **state)
{
	struct rig r = rig(1, 512, 300);

	(void)state;
	r.g[0].now.rss_kib = (512 + 90) * MIB;
	ticks(&r, 10);
	assert_int_equal(r.g[0].mem.overhead_kib, 90 * MIB);
	r.g[0].now.rss_kib = 5000 * MIB;
	ticks(&r, 10);
	assert_int_equal(r.g[0].mem.overhead_kib, (5000 - 512) * MIB); /* however much */
}

static void host_state_worsens_at_once_and_heals_by_steps(void **state)
{
	struct rig r = rig(1, 512, 300);
	int worst;

	(void)state;
	tick(&r);
	assert_int_equal(r.report.state, HOST_OK);
	r.host.available_kib = 300 * MIB;
	tick(&r);
	assert_int_equal(r.report.state, HOST_CRITICAL);
	r.host.available_kib = 12 * GIB;
	tick(&r);
	for (worst = HOST_CRITICAL; worst > HOST_OK; worst--) {
		ticks(&r, 14);
		assert_int_equal(r.report.state, worst);
		tick(&r);
		assert_int_equal(r.report.state, worst - 1);
	}
	r.host.pressure = 15;
	tick(&r);
	assert_int_equal(r.report.state, HOST_SOFT);
	r.host.pressure = 40;
	tick(&r);
	assert_int_equal(r.report.state, HOST_HARD);
}

static void unknown_host_memory_decides_nothing(void **state)
{
	struct rig r = rig(2, 600, 560);

	(void)state;
	r.host.available_kib = 0;
	ticks(&r, 20);
	assert_false(r.report.known);
	assert_int_equal(r.commands, 0);
	assert_int_equal(r.g[0].plan.reason, MEM_HOST_UNKNOWN);
	assert_int_equal(r.state.host, HOST_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserve_follows_the_scale),
		cmocka_unit_test(headroom_is_what_nobody_may_touch),
		cmocka_unit_test(overcommit_counts_promises_in_part),
		cmocka_unit_test(claims),
		cmocka_unit_test(what_is_not_in_hugepages_is_promised),
		cmocka_unit_test(what_is_merged_is_promised),
		cmocka_unit_test(what_zfs_caches_is_slow),
		cmocka_unit_test(no_rescue_waits_for_zfs),
		cmocka_unit_test(no_driver_claims_all),
		cmocka_unit_test(vmm_memory_is_learnt),
		cmocka_unit_test(host_state_worsens_at_once_and_heals_by_steps),
		cmocka_unit_test(unknown_host_memory_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
