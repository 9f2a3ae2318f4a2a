/*
 * Guests that report whatever they like, for many ticks: the memory policy's invariants hold.
 *
 * A guest's figures, its balloon's answer to a command, its state and the clock come from the
 * input.  Only guest 0 is honest: it uses a constant amount, and no lie of the others may
 * leave it less than its floor.
 */
#include <math.h>

#include "tests/fuzz/fuzz.h"

#define GUESTS    4
#define TICKS     64
#define SECOND_NS 1000000000LL
#define MIB       1024ULL
#define MAX_KIB   (2048 * MIB)

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
	g->usable_kib = g->actual_kib > r->used_kib ? g->actual_kib - r->used_kib : 0;
	g->unused_kib = g->usable_kib;
	g->caches_kib = 0;
	g->managed_kib = g->actual_kib;
	g->swap_out_kib = 0;
	g->rss_kib = g->actual_kib;
	g->last_update_s++;
}

static void lie(struct run *r, struct guest *g)
{
	unsigned what = byte(&r->in);

	if (what & 1)
		g->usable_kib = figure(&r->in);
	if (what & 2)
		g->unused_kib = figure(&r->in);
	if (what & 4)
		g->caches_kib = figure(&r->in);
	if (what & 8)
		g->managed_kib = figure(&r->in);
	if (what & 16)
		g->swap_out_kib = figure(&r->in);
	if (what & 32)
		g->actual_kib = figure(&r->in);
	if (what & 64)
		g->rss_kib = figure(&r->in);
	if (what & 128)
		g->boot_id++;
	what = byte(&r->in);
	g->last_update_s = what & 1 ? g->last_update_s : figure(&r->in);
	g->state = what & 0xc0 ? GUEST_RUNNING : (enum guest_state)(what >> 1 & 3);
	if (g->actual_kib == 0) /* host/ leaves such a guest out */
		g->actual_kib = 1;
}

static void judge(const struct run *r)
{
	double grown = 0, rescued = 0, spare = fmax(0, (double)r->report.spare_kib);
	double deep = spare + (double)r->report.reserve_kib - (double)r->report.least_kib;

	for (size_t i = 0; i < r->n; i++) {
		const struct guest *g = &r->g[i];
		uint64_t held = ledger_held(g), least = g->min_kib < held ? g->min_kib : held;

		MUST(isfinite(g->velocity) && g->velocity >= 0);
		MUST(g->floor_kib <= g->max_kib && g->demand_kib <= g->max_kib);
		if (!g->command_kib)
			continue;
		MUST(g->command_kib >= least && g->command_kib <= g->max_kib);
		MUST(g->state == GUEST_RUNNING ||
		     (g->state == GUEST_FOREIGN && g->reason == MEM_RESTORE &&
		      g->command_kib == g->actual_kib));
		if (g->command_kib < g->actual_kib)
			MUST(g->command_kib >= g->floor_kib);
		if (g->reason == MEM_GROW && g->command_kib > held)
			grown += (double)(g->command_kib - held);
		if (g->reason == MEM_RESCUE && g->command_kib > held)
			rescued += (double)(g->command_kib - held);
		MUST(r->report.known || g->reason == MEM_BOOT || g->reason == MEM_RESTORE);
	}
	MUST(grown <= spare + GUESTS);
	MUST(grown + rescued <= deep + (double)r->report.booting_kib + GUESTS);
}

/* The honest guest does what it is told, the others what they like. */
static void obey(struct run *r, struct guest *g, bool is_honest)
{
	unsigned how = is_honest ? 0 : byte(&r->in);
	uint64_t to = g->command_kib;

	if (!to)
		return;
	if (how & 1) {
		mem_refused(g, r->now_ns);
		return;
	}
	mem_applied(g, r->now_ns);
	if (!(how & 2))
		g->actual_kib = to;
}

static void begin(struct run *r)
{
	r->n = 2 + byte(&r->in) % (GUESTS - 1);
	r->now_ns = SECOND_NS;
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
		g->max_kib = MAX_KIB;
		g->actual_kib = g->max_kib;
		g->min_kib = 64 * MIB;
		g->weight = 1;
		g->boot_id = i + 1;
		g->usable_kib = g->unused_kib = g->caches_kib = KIB_UNKNOWN;
		g->managed_kib = g->swap_out_kib = KIB_UNKNOWN;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .in = { data, data + size } };

	begin(&r);
	for (unsigned tick = 0; tick < TICKS && r.in.at < r.in.end; tick++) {
		unsigned clock = byte(&r.in);

		r.now_ns += SECOND_NS / 2 + SECOND_NS * (clock & 3);
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
		MUST(r.g[0].actual_kib >= r.used_kib + 32 * MIB ||
		     r.g[0].actual_kib == r.g[0].max_kib);
	}
	return 0;
}
