/*
 * test_mem.c - the ledger and the commands, tick by tick, each row of the table of odd cases.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/sample.h"

#define MIB       ((uint64_t)KIB_PER_MIB)
#define GIB       (1024 * MIB)
#define GUESTS    4

/* A host and guests whose figures the test sets; balloons do just what they are told. */
struct rig {
	struct mem_state state;
	struct mem_conf conf;
	struct mem_host host;
	struct guest g[GUESTS];
	uint64_t use_mib[GUESTS];
	bool stuck[GUESTS], silent[GUESTS], keeps[GUESTS], dry;
	size_t n;
	struct mem_report report;
	int64_t now_ns;
	int ticks, commands;
};

static struct rig rig(size_t n, uint64_t actual_mib, uint64_t use_mib)
{
	struct rig r = {
		.n = n,
		.conf = { .tune = mem_tunables_default, .interval_s = 5, .overcommit = 1 }
	};

	r.now_ns = 1000 * NS_PER_S;
	r.host.total_kib = 16 * GIB;
	r.host.available_kib = 12 * GIB;
	r.host.pressure = -1;
	for (size_t i = 0; i < n; i++) {
		struct guest *g = &r.g[i];

		g->name = "guest";
		g->uuid[0] = (unsigned char)i;
		g->now.max_kib = 2048 * MIB;
		g->now.policy.min_kib = 100 * MIB;
		g->now.policy.weight = 1;
		g->now.actual_kib = actual_mib * MIB;
		g->now.rss_kib = (actual_mib + 32) * MIB;
		g->now.usable_kib = g->now.unused_kib = g->now.caches_kib = KIB_UNKNOWN;
		g->now.managed_kib = g->now.swap_out_kib = KIB_UNKNOWN;
		g->now.boot_id = 1;
		r.use_mib[i] = use_mib;
	}
	return r;
}

static void apply(struct rig *r, size_t i)
{
	struct guest *g = &r->g[i];

	r->commands++;
	mem_applied(&mem_tunables_default, g, r->now_ns);
	if (!r->stuck[i])
		g->now.actual_kib = g->mem.target_kib;
	if (!r->keeps[i] && g->now.rss_kib > g->now.actual_kib + 32 * MIB)
		g->now.rss_kib = g->now.actual_kib + 32 * MIB;
}

static void tick(struct rig *r)
{
	r->now_ns += NS_PER_S;
	r->ticks++;
	for (size_t i = 0; i < r->n; i++) {
		struct guest *g = &r->g[i];

		if (r->silent[i])
			continue;
		g->now.last_update_s++;
		g->now.usable_kib = g->now.actual_kib > r->use_mib[i] * MIB
					    ? g->now.actual_kib - r->use_mib[i] * MIB
					    : 0;
	}
	mem_decide(&r->state, &r->conf, &r->host, r->g, r->n, r->now_ns, r->ticks % 5 == 0,
		   &r->report);
	for (size_t i = 0; i < r->n; i++)
		if (r->g[i].plan.command_kib != 0 && !r->dry)
			apply(r, i);
}

static void ticks(struct rig *r, int n)
{
	while (n-- > 0)
		tick(r);
}

/* Ticks until guest i gets a command, at most so many times; its size before in *was. */
static bool commanded(struct rig *r, size_t i, int n)
{
	int64_t before = r->g[i].mem.command_ns;

	while (n-- > 0) {
		tick(r);
		if (r->g[i].mem.command_ns != before)
			return true;
	}
	return false;
}

/* ---- the ledger ------------------------------------------------------------------------ */

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

static void spare_is_what_nobody_may_touch(void **state)
{
	struct rig r = rig(2, 1024, 500);

	(void)state;
	r.g[0].now.rss_kib = 400 * MIB; /* touched 400 - 32 of 1024 */
	tick(&r);
	assert_int_equal(r.report.commitment_kib, (1024 + 32 - 400) * MIB);
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
	r.g[1].now.locked = true;
	r.g[2].now.hugepages = true;
	ticks(&r, 3);
	assert_int_equal(r.g[0].plan.claim_kib, ledger_held(&r.g[0]));
	assert_int_equal(r.g[1].plan.claim_kib, ledger_held(&r.g[1]));
	assert_int_equal(r.g[2].plan.claim_kib, r.g[2].now.rss_kib);
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

/* ---- commands -------------------------------------------------------------------------- */

static void rescue_comes_between_decisions(void **state)
{
	struct rig r = rig(1, 512, 300);

	(void)state;
	ticks(&r, 6); /* the next decision is four away */
	r.use_mib[0] = 430;
	tick(&r);
	assert_int_equal(r.g[0].plan.reason, MEM_RESCUE);
	assert_true(r.g[0].mem.target_kib >= (430 + 64) * MIB);
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
	assert_true(was - r.g[0].mem.target_kib <= 100 * MIB);
	for (int i = 0; i < 120; i++) {
		was = r.g[0].now.actual_kib;
		tick(&r);
		assert_true(r.g[0].now.actual_kib + was / 10 + 1 >= was);
	}
	assert_true(r.g[0].now.actual_kib <= (200 + 224 + 100) * MIB);
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
	assert_int_equal(r.g[0].now.actual_kib, (300 + 224) * MIB);
	assert_int_equal(r.g[1].now.actual_kib, (300 + 224) * MIB);
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
	assert_in_range(r.g[0].now.actual_kib, (300 + 324 + 128) * MIB,
			(300 + 324 + 128 + 113) * MIB);
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
			r.g[0].now.locked = turn == 2;
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
		mem_refused(&mem_tunables_default, &r.g[0], r.now_ns);
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

/* ---- balloons that do not do as told --------------------------------------------------- */

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
	assert_true(r.now_ns - sent <= 5 * NS_PER_S);
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
	assert_int_equal(least_kib, (1800 - 2 * 64) * MIB);
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
		cmocka_unit_test(reserve_follows_the_scale),
		cmocka_unit_test(spare_is_what_nobody_may_touch),
		cmocka_unit_test(overcommit_counts_promises_in_part),
		cmocka_unit_test(claims),
		cmocka_unit_test(what_is_merged_is_promised),
		cmocka_unit_test(what_zfs_caches_is_slow),
		cmocka_unit_test(no_rescue_waits_for_zfs),
		cmocka_unit_test(no_driver_claims_all),
		cmocka_unit_test(vmm_memory_is_learnt),
		cmocka_unit_test(host_state_worsens_at_once_and_heals_by_steps),
		cmocka_unit_test(unknown_host_memory_decides_nothing),
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
		cmocka_unit_test(dry_run_leaves_no_trace),
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
		cmocka_unit_test(a_squeezed_guest_restarts_with_room),
		cmocka_unit_test(startup_size_is_the_owners_word),
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
