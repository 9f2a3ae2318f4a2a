/*
 * test_share.c - the water-filling, by its properties over random guests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/mem.h"
#include "policy/share.h"

#define N     9
#define CASES 3000
#define ROUND (N * MEM_TIERS) /* KiB: each tier rounds each part down */

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % below;
}

static void draw_guest(struct guest *g)
{
	memset(g, 0, sizeof(*g));
	g->now.policy.weight = 1 + (double)draw(3);
	g->plan.tier_kib[TIER_BASE] = draw(100000);
	for (enum mem_tier t = TIER_DEMAND; t < MEM_TIERS; t++)
		g->plan.tier_kib[t] = g->plan.tier_kib[t - 1] + draw(100000);
}

static void draw_guests(struct guest *g)
{
	for (int i = 0; i < N; i++)
		draw_guest(&g[i]);
}

static uint64_t sum(const struct guest *g, size_t n)
{
	uint64_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += g[i].plan.dealt_kib;
	return all;
}

static void gives_no_more_than_there_is(void **state)
{
	struct guest g[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		uint64_t pool = draw(6000000), bases = 0;

		draw_guests(g);
		share_deal(&mem_tunables_default, g, N, (double)pool);
		for (int i = 0; i < N; i++) {
			bases += g[i].plan.tier_kib[TIER_BASE];
			assert_true(g[i].plan.dealt_kib >= g[i].plan.tier_kib[TIER_BASE]);
			assert_true(g[i].plan.dealt_kib <= g[i].plan.tier_kib[TIER_SURPLUS]);
		}
		assert_true(sum(g, N) <= (pool > bases ? pool : bases));
	}
}

/* Nobody gets any of a tier while another lacks a lower one. */
static void fills_tiers_in_order(void **state)
{
	struct guest g[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		enum mem_tier lowest = MEM_TIERS, highest = TIER_BASE;

		draw_guests(g);
		share_deal(&mem_tunables_default, g, N, (double)draw(6000000));
		for (int i = 0; i < N; i++)
			for (enum mem_tier t = TIER_DEMAND; t < TIER_COMFORT; t++) {
				if (g[i].plan.dealt_kib + ROUND < g[i].plan.tier_kib[t] &&
				    t < lowest)
					lowest = t;
				if (g[i].plan.dealt_kib > g[i].plan.tier_kib[t - 1] + ROUND &&
				    t > highest)
					highest = t;
			}
		assert_true(highest <= lowest);
	}
}

static void equal_guests_get_equal(void **state)
{
	struct guest g[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		draw_guests(g);
		g[N - 1] = g[0];
		share_deal(&mem_tunables_default, g, N, (double)draw(6000000));
		assert_int_equal(g[0].plan.dealt_kib, g[N - 1].plan.dealt_kib);
	}
}

static void order_does_not_matter(void **state)
{
	struct guest g[N], r[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		double pool = (double)draw(6000000);

		draw_guests(g);
		for (int i = 0; i < N; i++)
			r[N - 1 - i] = g[i];
		share_deal(&mem_tunables_default, g, N, pool);
		share_deal(&mem_tunables_default, r, N, pool);
		for (int i = 0; i < N; i++)
			assert_int_equal(g[i].plan.dealt_kib, r[N - 1 - i].plan.dealt_kib);
	}
}

static void more_memory_takes_from_nobody(void **state)
{
	struct guest g[N], more[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		double pool = (double)draw(6000000);

		draw_guests(g);
		memcpy(more, g, sizeof(g));
		share_deal(&mem_tunables_default, g, N, pool);
		share_deal(&mem_tunables_default, more, N, pool + (double)draw(200000));
		for (int i = 0; i < N; i++)
			assert_true(more[i].plan.dealt_kib + ROUND >= g[i].plan.dealt_kib);
	}
}

static void one_guests_demand_never_raises_the_others(void **state)
{
	struct guest g[N], more[N];

	(void)state;
	for (int k = 0; k < CASES; k++) {
		double pool = (double)draw(6000000);
		uint64_t rise = draw(100000), before, after;

		draw_guests(g);
		memcpy(more, g, sizeof(g));
		for (enum mem_tier t = TIER_DEMAND; t < MEM_TIERS; t++)
			more[0].plan.tier_kib[t] += rise;
		share_deal(&mem_tunables_default, g, N, pool);
		share_deal(&mem_tunables_default, more, N, pool);
		before = sum(g + 1, N - 1);
		after = sum(more + 1, N - 1);
		assert_true(after <= before + ROUND);
	}
}

static void same_fraction_of_each_gap(void **state)
{
	struct guest g[2] = { { .now.policy.weight = 1,
				.plan.tier_kib = { 100, 300, 300, 300, 300, 300 } },
			      { .now.policy.weight = 1,
				.plan.tier_kib = { 100, 500, 500, 500, 500, 500 } } };

	(void)state;
	share_deal(&mem_tunables_default, g, 2, 500);
	assert_int_equal(g[0].plan.dealt_kib, 200);
	assert_int_equal(g[1].plan.dealt_kib, 300);
}

static void weight_counts_until_full(void **state)
{
	struct guest g[2] = {
		{ .now.policy.weight = 3, .plan.tier_kib = { 0, 100, 100, 100, 100, 100 } },
		{ .now.policy.weight = 1, .plan.tier_kib = { 0, 100, 100, 100, 100, 100 } }
	};

	(void)state;
	share_deal(&mem_tunables_default, g, 2, 80);
	assert_int_equal(g[0].plan.dealt_kib, 60);
	assert_int_equal(g[1].plan.dealt_kib, 20);
	share_deal(&mem_tunables_default, g, 2, 160);
	assert_int_equal(g[0].plan.dealt_kib, 100);
	assert_int_equal(g[1].plan.dealt_kib, 60);
}

static void comfort_takes_half_of_what_is_left(void **state)
{
	struct guest g = { .now.policy.weight = 1,
			   .plan.tier_kib = { 100, 100, 100, 100, 1000, 1000 } };

	(void)state;
	share_deal(&mem_tunables_default, &g, 1, 700);
	assert_int_equal(g.plan.dealt_kib, 400);
}

static void nobody_is_no_trouble(void **state)
{
	struct guest g = { .now.policy.weight = 1 };

	(void)state;
	share_deal(&mem_tunables_default, &g, 0, 1000);
	share_deal(&mem_tunables_default, &g, 1, 1000);
	assert_int_equal(g.plan.dealt_kib, 0);
	share_deal(&mem_tunables_default, &g, 1, -1000);
	assert_int_equal(g.plan.dealt_kib, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_no_more_than_there_is),
		cmocka_unit_test(fills_tiers_in_order),
		cmocka_unit_test(equal_guests_get_equal),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(more_memory_takes_from_nobody),
		cmocka_unit_test(one_guests_demand_never_raises_the_others),
		cmocka_unit_test(same_fraction_of_each_gap),
		cmocka_unit_test(weight_counts_until_full),
		cmocka_unit_test(comfort_takes_half_of_what_is_left),
		cmocka_unit_test(nobody_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
