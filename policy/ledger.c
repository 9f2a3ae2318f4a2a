/*
 * ledger.c - what is promised, and what is left.
 *
 * A granted page is backed by the host only when the guest first touches it, so the host's
 * free memory does not show what has been promised.  The commitment is what all guests
 * may still touch without asking: while available - commitment stays above the reserve, the
 * host survives every guest touching all it holds at once.
 */
#include <math.h>

#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/sample.h"

uint64_t ledger_held(const struct guest *g)
{
	return g->now.actual_kib > g->mem.target_kib ? g->now.actual_kib : g->mem.target_kib;
}

/* Its balloon is of no use: it may touch all its memory. */
static bool all_its(const struct guest *g)
{
	return g->mem.keeps || g->need.booting || g->need.silent;
}

/*
 * Of what it may touch, what comes from available memory.  What is locked beyond what it holds
 * was touched when it was locked: RSS has it.  What is in hugepages was set aside before, and
 * RSS does not have it; but nobody knows of which its balloon took its pages.
 */
static uint64_t claim(const struct guest *g, uint64_t most_kib)
{
	uint64_t huge_kib =
		g->now.kind.huge_kib < g->now.max_kib ? g->now.kind.huge_kib : g->now.max_kib;
	uint64_t others_kib = g->now.max_kib - huge_kib;

	return most_kib < others_kib ? most_kib : others_kib;
}

double ledger_overhead(const struct mem_tunables *tune, const struct guest *g)
{
	return fmax(tune->vmm_kib, (double)g->mem.overhead_kib);
}

/*
 * By how much RSS falls when a guest shrinks so far: down to what it holds then, and the VMM's
 * own.  Memory that it had not touched frees none.
 */
static double fall_due(const struct mem_tunables *tune, double rss_kib, double from_kib,
		       double to_kib)
{
	return rss_kib - to_kib - fmax(tune->vmm_kib, rss_kib - from_kib);
}

static double due(const struct mem_tunables *tune, const struct guest *g)
{
	const struct mem_history *m = &g->mem;

	return m->from_kib ? fall_due(tune, (double)m->from_rss_kib, (double)m->from_kib,
				      (double)g->now.actual_kib)
			   : 0;
}

bool ledger_shows(const struct mem_tunables *tune, const struct guest *g, double to_kib)
{
	return fall_due(tune, (double)g->now.rss_kib, (double)g->now.actual_kib, to_kib) >=
	       tune->due_kib;
}

bool ledger_judging(const struct mem_tunables *tune, const struct guest *g)
{
	return due(tune, g) >= tune->due_kib;
}

static void judge_shrink(const struct mem_tunables *tune, struct guest *g)
{
	struct mem_history *m = &g->mem;

	if (!ledger_judging(tune, g))
		return;
	m->proven = (double)m->from_rss_kib - (double)g->now.rss_kib >=
		    due(tune, g) * tune->follows_part;
	if (m->proven)
		m->kept = 0;
	else if (++m->kept >= tune->kept_shrinks)
		m->keeps = true;
	m->from_kib = 0;
}

static void learn_overhead(struct guest *g)
{
	double beyond = (double)g->now.rss_kib - (double)claim(g, ledger_held(g));

	if (beyond > (double)g->mem.overhead_kib)
		g->mem.overhead_kib = (uint64_t)beyond;
}

void ledger_observe(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;

	if (g->now.actual_kib < g->now.max_kib || g->need.ever_reported)
		m->has_driver = true;
	if (g->mem.target_kib == 0 || (g->now.state == GUEST_UNMANAGED && !m->shrinking))
		g->mem.target_kib = g->now.actual_kib;
	if (g->now.rss_kib == 0 || m->shrinking ||
	    now_ns - g->need.moved_ns < ns_of_s(tune->quiet_s))
		return;
	judge_shrink(tune, g);
	if (!g->now.kind.locked && !all_its(g) && m->kept == 0)
		learn_overhead(g);
}

/* ESXi's sliding scale of free memory to keep, vSphere Resource Management Guide. */
static double scale(const struct mem_tunables *tune, double total_kib)
{
	double first = fmin(total_kib, tune->scale_1_kib);
	double second = fmin(fmax(0, total_kib - tune->scale_1_kib), tune->scale_2_kib);
	double third = fmin(fmax(0, total_kib - tune->scale_1_kib - tune->scale_2_kib),
			    tune->scale_3_kib);
	double rest =
		fmax(0, total_kib - tune->scale_1_kib - tune->scale_2_kib - tune->scale_3_kib);

	return tune->scale_1_part * first + tune->scale_2_part * second +
	       tune->scale_3_part * third + tune->scale_rest_part * rest;
}

uint64_t ledger_reserve(const struct mem_tunables *tune, const struct mem_host *host)
{
	return (uint64_t)fmax(tune->reserve_kib,
			      tune->reserve_scale * scale(tune, (double)host->total_kib));
}

uint64_t ledger_least(const struct mem_tunables *tune, const struct mem_host *host)
{
	return (uint64_t)fmax(tune->host_least_kib, scale(tune, (double)host->total_kib));
}

static double commitment(const struct mem_tunables *tune, const struct guest *g,
			 double claim_kib)
{
	return fmax(0, claim_kib + ledger_overhead(tune, g) - (double)g->now.rss_kib);
}

/* Of what rescues granted it: the rest is in available memory's fall. */
static double untouched(const struct mem_tunables *tune, struct guest *g)
{
	double most = commitment(tune, g, (double)g->plan.claim_kib);

	g->mem.rescued_kib = (uint64_t)fmin((double)g->mem.rescued_kib, most);
	return (double)g->mem.rescued_kib;
}

void ledger_sum(const struct mem_conf *conf, const struct mem_host *host, struct guest *g,
		size_t n, struct mem_report *report)
{
	double promised = (double)host->merged_kib, booting = 0, rescued = 0,
	       ratio = fmax(1, conf->overcommit);

	for (size_t i = 0; i < n; i++) {
		uint64_t held_kib = ledger_held(&g[i]);

		g[i].plan.claim_kib =
			claim(&g[i], all_its(&g[i]) ? g[i].now.max_kib : held_kib);
		promised += commitment(&conf->tune, &g[i], (double)g[i].plan.claim_kib);
		rescued += untouched(&conf->tune, &g[i]);
		if (g[i].need.booting)
			booting +=
				commitment(&conf->tune, &g[i], (double)g[i].plan.claim_kib) -
				commitment(&conf->tune, &g[i], (double)claim(&g[i], held_kib));
	}
	report->known = host->total_kib != 0 && host->available_kib != 0;
	if (!report->known)
		return;
	report->available_kib = host->available_kib + host->slow_kib;
	report->at_once_kib = host->available_kib;
	report->least_kib = ledger_least(&conf->tune, host);
	report->reserve_kib =
		conf->reserve_kib ? conf->reserve_kib : ledger_reserve(&conf->tune, host);
	if (report->least_kib > report->reserve_kib)
		report->least_kib = report->reserve_kib;
	report->commitment_kib = (uint64_t)(promised / ratio);
	report->booting_kib = (uint64_t)(booting / ratio);
	report->rescued_kib = (uint64_t)rescued;
	report->headroom_kib = (int64_t)((double)report->available_kib -
					 (double)report->reserve_kib - promised / ratio);
}

static enum mem_host_state state_now(const struct mem_tunables *tune,
				     const struct mem_host *host, const struct mem_report *r)
{
	if ((double)r->at_once_kib < tune->critical_part * (double)r->least_kib)
		return HOST_CRITICAL;
	if (r->at_once_kib < r->least_kib || host->pressure >= 100 * tune->hard_pressure)
		return HOST_HARD;
	if (r->available_kib < r->reserve_kib || host->pressure >= 100 * tune->soft_pressure)
		return HOST_SOFT;
	return HOST_OK;
}

void ledger_state(struct mem_state *state, const struct mem_conf *conf,
		  const struct mem_host *host, int64_t now_ns, struct mem_report *report)
{
	enum mem_host_state now = state_now(&conf->tune, host, report);
	int64_t calm_ns = (int64_t)(conf->tune.calm_intervals * conf->interval_s * NS_PER_S);

	if (now >= state->host) {
		state->host = now;
		state->calm_ns = 0;
	} else if (state->calm_ns == 0) {
		state->calm_ns = now_ns;
	} else if (now_ns - state->calm_ns >= calm_ns) {
		state->host--;
		state->calm_ns = now_ns;
	}
	report->state = state->host;
}
