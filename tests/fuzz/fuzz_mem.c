/*
 * Guests that report whatever they like, for many ticks: the memory policy's invariants hold.
 *
 * A guest's figures, its balloon's answer to a command, its state and the clock come from the
 * input.  Only guest 0 is honest: it uses a constant amount, and no lie of the others may
 * leave it less than its floor.
 */
#include <math.h>

#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/sample.h"
#include "tests/fuzz/fuzz.h"

#define GUESTS  4
#define TICKS   64
#define MIB     ((uint64_t)KIB_PER_MIB)
#define MAX_KIB (2048 * MIB)

struct run {
	struct bytes in;
	struct guest g[GUESTS];
	size_t n;
	struct mem_host host;
	struct mem_conf conf;
	struct mem_state state;
	struct mem_report report;
	int64_t now_ns;
	uint64_t used_kib; /* of guest 0 */
};

static void honest(struct run *r, struct guest *g)
{
	g->now.usable_kib =
		g->now.actual_kib > r->used_kib ? g->now.actual_kib - r->used_kib : 0;
	g->now.unused_kib = g->now.usable_kib;
	g->now.caches_kib = 0;
	g->now.managed_kib = g->now.actual_kib;
	g->now.swap_out_kib = 0;
	g->now.rss_kib = g->now.actual_kib;
	g->now.last_update_s++;
}

static void lie(struct run *r, struct guest *g)
{
	unsigned what = byte(&r->in);

	if (what & 1)
		g->now.usable_kib = figure(&r->in);
	if (what & 2)
		g->now.unused_kib = figure(&r->in);
	if (what & 4)
		g->now.caches_kib = figure(&r->in);
	if (what & 8)
		g->now.managed_kib = figure(&r->in);
	if (what & 16)
		g->now.swap_out_kib = figure(&r->in);
	if (what & 32)
		g->now.actual_kib = figure(&r->in);
	if (what & 64)
		g->now.rss_kib = figure(&r->in);
	if (what & 128)
		g->now.boot_id++;
	what = byte(&r->in);
	g->now.last_update_s = what & 1 ? g->now.last_update_s : figure(&r->in);
	g->now.state = what & 0xc0 ? GUEST_RUNNING : (enum guest_state)(what >> 1 & 3);
	if (g->now.actual_kib == 0) /* host/ leaves such a guest out */
		g->now.actual_kib = 1;
}

static void judge(const struct run *r)
{
	double grown = 0, rescued = 0, spare = fmax(0, (double)r->report.headroom_kib);
	double deep = spare + (double)r->report.reserve_kib - (double)r->report.least_kib;
	/* what is there, whoever was promised it, and no rescue is about to touch */
	double there = (double)r->report.available_kib - (double)r->report.least_kib -
		       (double)r->report.rescued_kib;

	for (size_t i = 0; i < r->n; i++) {
		const struct guest *g = &r->g[i];
		uint64_t held = ledger_held(g),
			 least = g->now.policy.min_kib < held ? g->now.policy.min_kib : held;

		MUST(isfinite(g->plan.growth_kib_s) && g->plan.growth_kib_s >= 0);
		MUST(g->plan.floor_kib <= g->now.max_kib &&
		     g->plan.demand_kib <= g->now.max_kib);
		if (!g->plan.command_kib)
			continue;
		MUST(g->plan.command_kib >= least && g->plan.command_kib <= g->now.max_kib);
		MUST(g->now.state == GUEST_RUNNING ||
		     (g->now.state == GUEST_UNMANAGED && g->plan.reason == MEM_RESTORE &&
		      g->plan.command_kib == g->now.actual_kib));
		if (g->plan.command_kib < g->now.actual_kib)
			MUST(g->plan.command_kib >= g->plan.floor_kib);
		if (g->plan.reason == MEM_GROW && g->plan.command_kib > held)
			grown += (double)(g->plan.command_kib - held);
		if (g->plan.reason == MEM_RESCUE && g->plan.command_kib > held)
			rescued += (double)(g->plan.command_kib - held);
		MUST(r->report.known || g->plan.reason == MEM_BOOT ||
		     g->plan.reason == MEM_RESTORE);
	}
	MUST(grown <= spare + GUESTS);
	MUST(grown + rescued <= fmax(deep + (double)r->report.booting_kib, there) + GUESTS);
}

/* The honest guest does what it is told, the others what they like. */
static void obey(struct run *r, struct guest *g, bool is_honest)
{
	unsigned how = is_honest ? 0 : byte(&r->in);
	uint64_t to = g->plan.command_kib;

	if (!to)
		return;
	if (how & 1) {
		mem_refused(&r->conf, g, r->now_ns);
		return;
	}
	mem_applied(&r->conf.tune, g, r->now_ns);
	if (!(how & 2))
		g->now.actual_kib = to;
}

static void begin(struct run *r)
{
	r->n = 2 + byte(&r->in) % (GUESTS - 1);
	r->now_ns = NS_PER_S;
	r->conf.tune = mem_tunables_default;
	r->conf.interval_s = 1 + byte(&r->in) % 8;
	r->conf.overcommit = 1 + byte(&r->in) % 4 / 2.0;
	r->conf.surplus = byte(&r->in) & 1;
	r->host.total_kib = MAX_KIB * (1 + byte(&r->in) % 4);
	r->host.pressure = -1;
	r->used_kib = 64 * MIB + 4 * MIB * byte(&r->in);
	for (size_t i = 0; i < r->n; i++) {
		struct guest *g = &r->g[i];

		g->uuid[0] = (unsigned char)i;
		g->name = "guest";
		g->now.max_kib = MAX_KIB;
		g->now.actual_kib = g->now.max_kib;
		g->now.policy.min_kib = 64 * MIB;
		g->now.policy.weight = 1;
		g->now.boot_id = i + 1;
		g->now.usable_kib = g->now.unused_kib = g->now.caches_kib = KIB_UNKNOWN;
		g->now.managed_kib = g->now.swap_out_kib = KIB_UNKNOWN;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .in = { data, data + size } };

	begin(&r);
	for (unsigned tick = 0; tick < TICKS && r.in.at < r.in.end; tick++) {
		unsigned clock = byte(&r.in);

		r.now_ns += NS_PER_S / 2 + NS_PER_S * (clock & 3);
		r.host.available_kib =
			clock & 0xf0 ? MAX_KIB / 64 * (clock >> 2) : figure(&r.in);
		r.host.pressure = clock & 8 ? (double)byte(&r.in) : -1;
		if (r.host.available_kib > r.host.total_kib) /* host/ sees to that */
			r.host.available_kib = r.host.total_kib;
		honest(&r, &r.g[0]);
		for (size_t i = 1; i < r.n; i++)
			lie(&r, &r.g[i]);
		mem_decide(&r.state, &r.conf, &r.host, r.g, r.n, r.now_ns,
			   tick % (unsigned)r.conf.interval_s == 0, &r.report);
		judge(&r);
		for (size_t i = 0; i < r.n; i++)
			obey(&r, &r.g[i], i == 0);
		/* Whatever the others said: what it uses, and a margin. */
		MUST(r.g[0].now.actual_kib >= r.used_kib + 32 * MIB ||
		     r.g[0].now.actual_kib == r.g[0].now.max_kib);
	}
	return 0;
}
