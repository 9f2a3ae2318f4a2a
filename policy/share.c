/*
 * share.c - who gets what: weighted water-filling in tiers.
 *
 * Each tier is filled before the next one gets anything, and within a tier every guest gets
 * the same fraction of its gap, by weight: so a shortage is felt by all alike, and equal
 * guests stay equal.  The tiers and the tax on idleness they amount to follow Waldspurger,
 * "Memory resource management in VMware ESX Server" (OSDI 2002).
 */
#include <math.h>

#include "policy/mem.h"
#include "policy/share.h"

static double gap(const struct guest *g, enum mem_tier t)
{
	uint64_t from = g->plan.tier_kib[t - 1], to = g->plan.tier_kib[t];

	return to > from ? (double)(to - from) : 0;
}

/*
 * The water level: guest i gets the fraction min(1, level * weight_i) of its gap.  Each
 * round takes out those who are full; it ends after as many rounds as there are weights.
 */
static double water_level(const struct guest *g, size_t n, enum mem_tier t, double pool_kib)
{
	for (double level = 0, was = -1; level > was;) {
		double full = 0, open = 0;

		for (size_t i = 0; i < n; i++) {
			if (level * g[i].now.policy.weight >= 1)
				full += gap(&g[i], t);
			else
				open += gap(&g[i], t) * g[i].now.policy.weight;
		}
		if (open <= 0)
			return INFINITY;
		was = level;
		level = fmax(level, (pool_kib - full) / open);
		if (level <= was)
			return level;
	}
	return 0;
}

static double deal_tier(struct guest *g, size_t n, enum mem_tier t, double pool_kib)
{
	double level = pool_kib > 0 ? water_level(g, n, t, pool_kib) : 0, dealt = 0;

	for (size_t i = 0; i < n; i++) {
		double part = floor(gap(&g[i], t) * fmin(1, level * g[i].now.policy.weight));

		g[i].plan.dealt_kib += (uint64_t)part;
		dealt += part;
	}
	return dealt;
}

void share_deal(const struct mem_tunables *tune, struct guest *g, size_t n, double pool_kib)
{
	for (size_t i = 0; i < n; i++) {
		g[i].plan.dealt_kib = g[i].plan.tier_kib[TIER_BASE];
		pool_kib -= (double)g[i].plan.dealt_kib;
	}
	for (enum mem_tier t = TIER_BASE + 1; t < MEM_TIERS; t++) {
		double part = t == TIER_COMFORT ? tune->dealt_part : 1;

		pool_kib -= deal_tier(g, n, t, fmax(0, pool_kib) * part);
	}
}
