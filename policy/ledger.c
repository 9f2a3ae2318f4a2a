/*
 * ledger.c - what is promised, and what is left.
 *
 * A granted page is backed by the host only when the guest first touches it, so the host's
 * free memory does not show what has been promised.  Outstanding is what all guests may
 * still touch without asking: while available - outstanding stays above the reserve, the
 * host survives every guest touching all it holds at once.
 */
#include "vmbal.h"

#include <math.h>

#define MIB       1024.0
#define GIB       (1024 * MIB)
#define SECOND_NS 1000000000LL

/* ESXi's sliding scale of free memory to keep, vSphere Resource Management Guide. */
#define SCALE_1_KIB   (4 * GIB)
#define SCALE_1       0.06
#define SCALE_2_KIB   (8 * GIB)
#define SCALE_2       0.04
#define SCALE_3_KIB   (16 * GIB)
#define SCALE_3       0.02
#define SCALE_REST    0.01
#define RESERVE_SCALE 1.5         /* the reserve beside the scale: room for rescues */
#define RESERVE_KIB   (256 * MIB) /* ... on a small host too */
#define LEAST_KIB     (200 * MIB) /* below this any Linux host is in trouble */

#define VMM_KIB      (32 * MIB)      /* a QEMU process beyond its guest's RAM, as measured */
#define VMM_MOST_KIB (256 * MIB)     /* more than this is not the VMM but a lagging balloon */
#define DUE_KIB      (32 * MIB)      /* RSS ought to fall by this much before it is judged */
#define FOLLOWS_PART 0.5             /* of what is due: less means it did not follow */
#define KEPT_TIMES   2               /* shrinks that RSS did not follow: it never will */
#define QUIET_NS     (3 * SECOND_NS) /* actual and RSS agree again after a move */

#define SOFT_PRESSURE 0.10 /* of time some task waits for memory: a host that swaps */
#define HARD_PRESSURE 0.30
#define CALM_TIMES    3 /* intervals before a better state is believed */

bool ledger_booting(const struct guest *g)
{
	return g->need.boot_ns != 0 && g->need.sample_ns == 0;
}

uint64_t ledger_held(const struct guest *g)
{
	return g->actual_kib > g->target_kib ? g->actual_kib : g->target_kib;
}

/* Its balloon is of no use: it may touch all its memory. */
static bool all_its(const struct guest *g)
{
	return g->locked || g->mem.keeps || ledger_booting(g);
}

static uint64_t claim(const struct guest *g)
{
	if (g->hugepages)
		return g->rss_kib;
	return all_its(g) ? g->max_kib : ledger_held(g);
}

static double overhead(const struct guest *g)
{
	return fmax(VMM_KIB, (double)g->mem.overhead_kib);
}

/* After a shrink RSS should be down to what the guest holds; untouched memory frees none. */
static void judge_shrink(struct guest *g)
{
	struct mem_history *m = &g->mem;
	double beyond = (double)m->from_rss_kib - (double)m->from_kib;
	double due = (double)m->from_rss_kib - (double)g->actual_kib - fmax(VMM_KIB, beyond);

	if (m->from_kib == 0 || due < DUE_KIB)
		return;
	if ((double)m->from_rss_kib - (double)g->rss_kib >= due * FOLLOWS_PART)
		m->kept = 0;
	else if (++m->kept >= KEPT_TIMES)
		m->keeps = true;
	m->from_kib = 0;
}

static void learn_overhead(struct guest *g)
{
	double beyond = (double)g->rss_kib - (double)ledger_held(g);

	if (beyond > (double)g->mem.overhead_kib)
		g->mem.overhead_kib = (uint64_t)fmin(beyond, VMM_MOST_KIB);
}

void ledger_observe(struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;

	if (g->actual_kib < g->max_kib || g->need.ever_reported)
		m->has_driver = true;
	if (g->target_kib == 0 || (g->state == GUEST_FOREIGN && !m->shrinking))
		g->target_kib = g->actual_kib;
	if (g->rss_kib == 0 || m->shrinking || now_ns - g->need.moved_ns < QUIET_NS)
		return;
	judge_shrink(g);
	if (!all_its(g) && m->kept == 0)
		learn_overhead(g);
}

static double scale(double total_kib)
{
	double first = fmin(total_kib, SCALE_1_KIB);
	double second = fmin(fmax(0, total_kib - SCALE_1_KIB), SCALE_2_KIB);
	double third = fmin(fmax(0, total_kib - SCALE_1_KIB - SCALE_2_KIB), SCALE_3_KIB);
	double rest = fmax(0, total_kib - SCALE_1_KIB - SCALE_2_KIB - SCALE_3_KIB);

	return SCALE_1 * first + SCALE_2 * second + SCALE_3 * third + SCALE_REST * rest;
}

uint64_t ledger_reserve(const struct mem_host *host)
{
	return (uint64_t)fmax(RESERVE_KIB, RESERVE_SCALE * scale((double)host->total_kib));
}

uint64_t ledger_least(const struct mem_host *host)
{
	return (uint64_t)fmax(LEAST_KIB, scale((double)host->total_kib));
}

static double outstanding(const struct guest *g, double claim_kib)
{
	return g->hugepages ? 0 : fmax(0, claim_kib + overhead(g) - (double)g->rss_kib);
}

void ledger_sum(const struct mem_conf *conf, const struct mem_host *host, struct guest *g,
		size_t n, struct mem_report *report)
{
	double promised = 0, booting = 0, ratio = fmax(1, conf->overcommit);

	for (size_t i = 0; i < n; i++) {
		g[i].claim_kib = claim(&g[i]);
		promised += outstanding(&g[i], (double)g[i].claim_kib);
		if (ledger_booting(&g[i]))
			booting += outstanding(&g[i], (double)g[i].claim_kib) -
				   outstanding(&g[i], (double)ledger_held(&g[i]));
	}
	report->known = host->total_kib != 0 && host->available_kib != 0;
	if (!report->known)
		return;
	report->available_kib = host->available_kib;
	report->least_kib = ledger_least(host);
	report->reserve_kib = conf->reserve_kib ? conf->reserve_kib : ledger_reserve(host);
	if (report->least_kib > report->reserve_kib)
		report->least_kib = report->reserve_kib;
	report->outstanding_kib = (uint64_t)(promised / ratio);
	report->booting_kib = (uint64_t)(booting / ratio);
	report->spare_kib = (int64_t)((double)host->available_kib -
				      (double)report->reserve_kib - promised / ratio);
}

static enum mem_host_state state_now(const struct mem_host *host, const struct mem_report *r)
{
	if (r->available_kib < r->least_kib / 2)
		return HOST_CRITICAL;
	if (r->available_kib < r->least_kib || host->pressure >= 100 * HARD_PRESSURE)
		return HOST_HARD;
	if (r->available_kib < r->reserve_kib || host->pressure >= 100 * SOFT_PRESSURE)
		return HOST_SOFT;
	return HOST_OK;
}

void ledger_state(struct mem_state *state, const struct mem_conf *conf,
		  const struct mem_host *host, int64_t now_ns, struct mem_report *report)
{
	enum mem_host_state now = state_now(host, report);
	int64_t calm_ns = (int64_t)(CALM_TIMES * conf->interval_s * SECOND_NS);

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
