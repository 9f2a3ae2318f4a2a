/*
 * What the memory policy sees: guests beside their history, the host under its limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four std*.h above first */
#include <cmocka.h>

#include "lib/units.h"
#include "policy/mem.h"
#include "policy/mem_observe.h"
#include "policy/sample.h"

#define MIB 1024ULL /* KiB */

static struct mem_view view;
static struct guest_count sampled[4];
static struct guest_sample now = { .guest = sampled };

/* A sample of one guest for each letter, which its UUID begins with: 100 MiB each of 200. */
static void sample(const char *letters)
{
	memset(sampled, 0, sizeof(sampled));
	now.n = strlen(letters);
	now.host = (struct mem_host){ .total_kib = 1000 * MIB, .available_kib = 600 * MIB };
	for (size_t i = 0; i < now.n; i++) {
		struct guest_count *g = &sampled[i];

		g->uuid[0] = (unsigned char)letters[i];
		g->now.max_kib = 200 * MIB;
		g->now.actual_kib = g->now.rss_kib = 100 * MIB;
		g->now.last_update_s = 7;
	}
}

static struct guest *seen(char letter)
{
	unsigned char uuid[UUID_LEN] = { (unsigned char)letter };

	return mem_view_find(&view, uuid);
}

static void observe(uint64_t limit_kib)
{
	assert_int_equal(mem_observe(&mem_tunables_default, &view, limit_kib, &now), 0);
}

static int forget(void **state)
{
	(void)state;
	mem_view_free(&view);
	return 0;
}

static void history_goes_with_its_guest(void **state)
{
	(void)state;
	sample("bd");
	observe(0);
	seen('b')->mem.target_kib = 11;
	seen('d')->mem.target_kib = 22;
	seen('d')->need.seen = true;
	sample("abcd");
	observe(0);
	assert_int_equal(view.n, 4);
	assert_int_equal(seen('a')->mem.target_kib + seen('c')->mem.target_kib, 0);
	assert_int_equal(seen('b')->mem.target_kib, 11);
	assert_int_equal(seen('d')->mem.target_kib, 22);
	assert_true(seen('d')->need.seen);
	sample("ad");
	observe(0);
	assert_null(seen('b'));
	assert_int_equal(seen('d')->mem.target_kib, 22);
	sample("");
	observe(0);
	assert_null(seen('d'));
}

static void what_was_left_out_is_as_before(void **state)
{
	(void)state;
	sample("a");
	observe(0);
	sample("a");
	sampled[0].now.rss_kib = sampled[0].now.last_update_s = 0;
	observe(0);
	assert_int_equal(seen('a')->now.rss_kib, 100 * MIB);
	assert_int_equal(seen('a')->now.last_update_s, 7);
	sample("a");
	sampled[0].now.rss_kib = sampled[0].now.last_update_s = 0;
	sampled[0].now.boot_id = 1; /* of another run nothing is known */
	observe(0);
	assert_int_equal(seen('a')->now.rss_kib, 0);
	assert_int_equal(seen('a')->now.last_update_s, 0);
}

static void no_guest_has_no_minimum(void **state)
{
	(void)state;
	sample("abc");
	sampled[1].now.policy.min_kib = 90 * MIB;
	sampled[2].now.policy.min_kib = 300 * MIB;
	sampled[0].now.max_kib = 500 * MIB;
	observe(0);
	assert_int_equal(seen('a')->now.policy.min_kib, (uint64_t)mem_tunables_default.min_kib);
	assert_int_equal(seen('b')->now.policy.min_kib, 90 * MIB);
	assert_int_equal(seen('c')->now.policy.min_kib, 200 * MIB);
	assert_float_equal(seen('c')->now.policy.weight, 1, 1e-9);
}

/* Of 1500 MiB it uses 1400, and restarts with 300: it is given what it needed. */
static void what_it_needed_outlasts_a_restart(void **state)
{
	struct mem_conf conf = { .tune = mem_tunables_default,
				 .interval_s = 5,
				 .overcommit = 1 };
	struct mem_state host = { 0 };
	struct mem_report report;

	(void)state;
	for (int t = 1; t <= 31; t++) {
		bool boots = t == 31;

		sample("a");
		now.host.total_kib = 16 * KIB_PER_GIB;
		now.host.available_kib = 12 * KIB_PER_GIB;
		sampled[0].name = "a";
		sampled[0].now.boot_id = boots ? 2 : 1;
		sampled[0].now.max_kib = 4 * KIB_PER_GIB;
		sampled[0].now.actual_kib = (boots ? 300 : 1500) * MIB;
		sampled[0].now.rss_kib = sampled[0].now.actual_kib;
		sampled[0].now.usable_kib = boots ? KIB_UNKNOWN : 100 * MIB;
		sampled[0].now.unused_kib = sampled[0].now.caches_kib = KIB_UNKNOWN;
		sampled[0].now.managed_kib = sampled[0].now.swap_out_kib = KIB_UNKNOWN;
		sampled[0].now.last_update_s = boots ? 0 : (uint64_t)t;
		observe(0);
		mem_decide(&host, &conf, &view.host, view.guest, view.n, t * NS_PER_S,
			   t % 5 == 0, &report);
	}
	assert_int_equal(seen('a')->plan.reason, MEM_BOOT);
	assert_true(seen('a')->plan.command_kib > 1500 * MIB);
}

/* Its QEMU's own memory counts, 32 MiB or what was seen of it. */
/* One guest of 1 GiB and a DIMM, of which its kernel has so much. */
static void sample_dimm(uint64_t actual_mib, uint64_t managed_mib, uint64_t boot)
{
	sample("a");
	now.taken_ns += NS_PER_S;
	sampled[0].now.kind.dimm_kib = 512 * MIB;
	sampled[0].now.max_kib = 1536 * MIB;
	sampled[0].now.actual_kib = actual_mib * MIB;
	sampled[0].now.managed_kib = managed_mib ? managed_mib * MIB : KIB_UNKNOWN;
	sampled[0].now.boot_id = boot;
	observe(0);
}

/* Figures of a real guest: 1 GiB, of which Linux tells 908 MiB, and a DIMM of 512 MiB. */
static void a_dimm_that_is_offline_is_in_no_figure(void **state)
{
	(void)state;
	sample_dimm(1536, 0, 1);
	assert_int_equal(seen('a')->now.offline_kib, 0);
	sample_dimm(1536, 908, 1);
	assert_int_equal(seen('a')->now.offline_kib, 512 * MIB);
	assert_int_equal(seen('a')->now.actual_kib, 1024 * MIB);
	assert_int_equal(seen('a')->now.max_kib, 1024 * MIB);
	sample_dimm(1200, 572, 1); /* its balloon has moved */
	assert_int_equal(seen('a')->now.actual_kib, 688 * MIB);
	sample_dimm(1536, 0, 1); /* left out this time */
	assert_int_equal(seen('a')->now.actual_kib, 1024 * MIB);
	sample_dimm(1536, 1000, 1); /* half of a block is none */
	assert_int_equal(seen('a')->now.offline_kib, 512 * MIB);
	sample_dimm(1536, 1418, 1); /* it has brought it online */
	assert_int_equal(seen('a')->now.actual_kib, 1536 * MIB);
	sample_dimm(1536, 908, 1);
	sample_dimm(1536, 0, 2); /* another run: as before, until it tells */
	assert_int_equal(seen('a')->now.actual_kib, 1024 * MIB);
	sample_dimm(1536, 1418, 2);
	assert_int_equal(seen('a')->now.actual_kib, 1536 * MIB);
}

/* What was told to it and learnt of it is of the same memory before and after. */
static void history_is_in_the_same_terms(void **state)
{
	(void)state;
	sample_dimm(1536, 0, 1);
	seen('a')->mem.target_kib = 1500 * MIB;
	seen('a')->mem.flat_kib = 0;
	seen('a')->need.actual_kib = 1536 * MIB;
	seen('a')->need.demand_kib = seen('a')->need.peak_kib[3] = 700 * MIB;
	sample_dimm(1536, 908, 1);
	assert_int_equal(seen('a')->mem.target_kib, 988 * MIB);
	assert_int_equal(seen('a')->mem.flat_kib, 0);
	assert_int_equal(seen('a')->need.actual_kib, 1024 * MIB);
	assert_int_equal((int)seen('a')->need.demand_kib, 188 * MIB);
	assert_int_equal((int)seen('a')->need.peak_kib[3], 188 * MIB);
	sample_dimm(1536, 1418, 1); /* online: it holds more, and uses as much */
	assert_int_equal(seen('a')->mem.target_kib, 1500 * MIB);
	assert_int_equal((int)seen('a')->need.demand_kib, 188 * MIB);
}

/* MemTotal does not follow a balloon that a guest lets go when it is short (deflate on OOM). */
static void a_balloon_that_memtotal_does_not_follow_moves_no_dimm(void **state)
{
	(void)state;
	sample_dimm(1536, 908, 1);
	sample_dimm(1536, 908, 1);
	assert_int_equal(seen('a')->now.offline_kib, 512 * MIB);
	sample_dimm(1100, 908, 1);
	sample_dimm(1100, 908, 1);
	assert_int_equal(seen('a')->now.actual_kib, 588 * MIB);
}

static void another_dimm_is_noticed(void **state)
{
	(void)state;
	sample_dimm(1536, 1418, 1);
	sample_dimm(1536, 1418, 1);
	assert_int_equal(seen('a')->now.offline_kib, 0);
	for (int i = 0; i < 2; i++) {
		sample("a");
		now.taken_ns += NS_PER_S;
		sampled[0].now.kind.dimm_kib = 1536 * MIB;
		sampled[0].now.max_kib = sampled[0].now.actual_kib = 2560 * MIB;
		sampled[0].now.managed_kib = 1402 * MIB;
		sampled[0].now.boot_id = 1;
		observe(0);
	}
	assert_int_equal(seen('a')->now.actual_kib, 1536 * MIB);
	sample_dimm(1536, 1418, 1); /* it is gone */
	assert_true(seen('a')->now.offline_kib <= 512 * MIB);
}

/* What balloon and guest tell is not of the same moment then. */
static void no_dimm_goes_offline_with_a_balloon(void **state)
{
	(void)state;
	sample_dimm(1536, 1418, 1);
	seen('a')->need.moved_ns = now.taken_ns;
	sample_dimm(1536, 908, 1); /* of the target before */
	assert_int_equal(seen('a')->now.offline_kib, 0);
	now.taken_ns += 5 * NS_PER_S;
	sample_dimm(1400, 908, 1); /* just now */
	assert_int_equal(seen('a')->now.offline_kib, 0);
	sample_dimm(1536, 908, 1);
	assert_int_equal(seen('a')->now.offline_kib, 0);
	sample_dimm(1536, 908, 1);
	assert_int_equal(seen('a')->now.offline_kib, 512 * MIB);
}

static void what_is_missing_without_a_dimm_is_the_kernels(void **state)
{
	(void)state;
	sample("a");
	sampled[0].now.actual_kib = sampled[0].now.max_kib = 1536 * MIB;
	sampled[0].now.managed_kib = 908 * MIB;
	observe(0);
	assert_int_equal(seen('a')->now.actual_kib, 1536 * MIB);
}

static void no_target_takes_virtio_mem(void **state)
{
	(void)state;
	sample("a");
	sampled[0].now.kind.virtio_mem_kib = 150 * MIB;
	sampled[0].now.policy.min_kib = 20 * MIB;
	observe(0);
	assert_int_equal(seen('a')->now.policy.min_kib, 150 * MIB);
	seen('a')->mem.target_kib = 190 * MIB;
	sample("a"); /* 50 of them are unplugged */
	sampled[0].now.kind.virtio_mem_kib = 100 * MIB;
	observe(0);
	assert_int_equal(seen('a')->mem.target_kib, 140 * MIB);
}

static void a_hard_limit_is_a_maximum(void **state)
{
	static const struct {
		uint64_t hard_mib, owner_mib, min_mib, vmm_mib, max_mib;
	} cases[] = {
		{ 0, 0, 0, 0, 0 }, /* none */
		{ 30, 0, 0, 0, 1 },      { 150, 0, 0, 0, 118 },
		{ 150, 0, 0, 70, 80 },   { 150, 110, 0, 0, 110 }, /* its owner wants less */
		{ 150, 130, 0, 0, 118 }, { 30, 0, 90, 0, 90 }, /* it is squeezed no further */
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		sample("a");
		observe(0);
		seen('a')->mem.overhead_kib = cases[c].vmm_mib * MIB;
		sample("a");
		sampled[0].now.limit_kib = cases[c].hard_mib * MIB;
		sampled[0].now.policy.max_kib = cases[c].owner_mib * MIB;
		sampled[0].now.policy.min_kib = cases[c].min_mib * MIB;
		observe(0);
		assert_int_equal(seen('a')->now.policy.max_kib, cases[c].max_mib * MIB);
		assert_true(!cases[c].max_mib ||
			    seen('a')->now.policy.min_kib <= cases[c].max_mib * MIB);
		forget(NULL);
	}
}

static void a_limit_leaves_what_guests_have_not_taken(void **state)
{
	static const struct {
		uint64_t limit_mib, total_mib, available_mib;
	} cases[] = {
		{ 0, 1000, 600 },    /* none */
		{ 700, 700, 500 },   /* 200 are taken */
		{ 900, 900, 600 },   /* the machine has no more */
		{ 2000, 1000, 600 }, /* nor as much as that */
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		sample("ab");
		sampled[0].now.rss_kib = 0; /* unknown: what it may have taken counts */
		observe(cases[c].limit_mib * MIB);
		assert_int_equal(view.host.total_kib, cases[c].total_mib * MIB);
		assert_int_equal(view.host.available_kib, cases[c].available_mib * MIB);
		forget(NULL);
	}
	sample("ab");
	observe(200 * MIB);
	assert_int_equal(view.host.available_kib, 1); /* nothing, which is not "unread" */
	sample("ab");
	now.host.slow_kib = 300 * MIB; /* ZFS's is inside the limit, too */
	observe(900 * MIB);
	assert_int_equal(view.host.available_kib, 600 * MIB);
	assert_int_equal(view.host.slow_kib, 100 * MIB);
	sample("ab");
	now.host = (struct mem_host){ 0 };
	observe(700 * MIB);
	assert_int_equal(view.host.total_kib + view.host.available_kib, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, forget)
	const struct CMUnitTest tests[] = {
		TEST(history_goes_with_its_guest),
		TEST(what_was_left_out_is_as_before),
		TEST(no_guest_has_no_minimum),
		TEST(what_it_needed_outlasts_a_restart),
		TEST(a_dimm_that_is_offline_is_in_no_figure),
		TEST(no_dimm_goes_offline_with_a_balloon),
		TEST(what_is_missing_without_a_dimm_is_the_kernels),
		TEST(no_target_takes_virtio_mem),
		TEST(history_is_in_the_same_terms),
		TEST(a_balloon_that_memtotal_does_not_follow_moves_no_dimm),
		TEST(another_dimm_is_noticed),
		TEST(a_hard_limit_is_a_maximum),
		TEST(a_limit_leaves_what_guests_have_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
