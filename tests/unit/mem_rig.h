/*
 * mem_rig.h - a host and guests under the memory policy, tick by tick, for its tests
 */
#ifndef TESTS_UNIT_MEM_RIG_H
#define TESTS_UNIT_MEM_RIG_H

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

#define MIB    ((uint64_t)KIB_PER_MIB)
#define GIB    (1024 * MIB)
#define GUESTS 4
/* A default of the policy in whole KiB. */
#define TUNED(field) ((uint64_t)mem_tunables_default.field)

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

static inline struct rig rig(size_t n, uint64_t actual_mib, uint64_t use_mib)
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

static inline void apply(struct rig *r, size_t i)
{
	struct guest *g = &r->g[i];

	r->commands++;
	mem_applied(&mem_tunables_default, g, r->now_ns);
	if (!r->stuck[i])
		g->now.actual_kib = g->mem.target_kib;
	if (!r->keeps[i] && g->now.rss_kib > g->now.actual_kib + 32 * MIB)
		g->now.rss_kib = g->now.actual_kib + 32 * MIB;
}

static inline void tick(struct rig *r)
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

static inline void ticks(struct rig *r, int n)
{
	while (n-- > 0)
		tick(r);
}

/* Ticks until guest i gets a command, at most so many times; its size before in *was. */
static inline bool commanded(struct rig *r, size_t i, int n)
{
	int64_t before = r->g[i].mem.command_ns;

	while (n-- > 0) {
		tick(r);
		if (r->g[i].mem.command_ns != before)
			return true;
	}
	return false;
}

#endif
