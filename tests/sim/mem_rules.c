/*
 * mem_rules.c - today's rules, for the benchmark only; see mem_rules.h.
 *
 * Where a rule needs a minimum that its administrator sets, it gets a quarter of the
 * maximum.  Each sees the guests' usable memory, kinder than free pages alone, and
 * squeezed sees what guests hold as taken from the host, as under Xen.
 */
#include "tests/sim/mem_rules.h"
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"

#include <math.h>
#include <stdbool.h>

#define MIBF ((double)KIB_PER_MIB)

#define MIN_PART 0.25 /* of maximum: an administrator's usual minimum */

static double usable(const struct guest *g)
{
	return g->now.usable_kib == KIB_UNKNOWN ? 0 : (double)g->now.usable_kib;
}

static bool ready(struct guest *g)
{
	if (g->mem.target_kib == 0)
		g->mem.target_kib = g->now.actual_kib;
	g->plan.command_kib = 0;
	g->plan.reason = MEM_NONE;
	return g->now.usable_kib != KIB_UNKNOWN && g->now.state == GUEST_RUNNING;
}

static void set(struct guest *g, double kib, double least)
{
	uint64_t to = (uint64_t)fmin(fmax(kib, least), (double)g->now.max_kib);

	if (to == g->mem.target_kib)
		return;
	g->plan.command_kib = to;
	g->plan.reason = to > g->mem.target_kib ? MEM_GROW : MEM_IDLE;
}

/* ---- the plain threshold rule --------------------------------------------------------- */

#define LOW_PART      0.20
#define HIGH_PART     0.40
#define STEP_KIB      (100 * MIBF)
#define HOST_LEAST    (200 * MIBF)
#define THRESHOLD_MIN (100 * MIBF)

void rule_threshold(struct mem_sim *s, bool decide)
{
	double left = (double)s->view.host.available_kib - HOST_LEAST;

	for (size_t i = 0; i < s->now.n; i++) {
		struct guest *g = &s->view.guest[i];
		double actual = (double)g->now.actual_kib;

		if (!ready(g) || !decide)
			continue;
		if (usable(g) < LOW_PART * actual && left >= STEP_KIB) {
			set(g, actual + STEP_KIB, THRESHOLD_MIN);
			left -= STEP_KIB;
		} else if (usable(g) > HIGH_PART * actual) {
			set(g, actual - STEP_KIB, THRESHOLD_MIN);
		}
	}
}

/* ---- MOM ------------------------------------------------------------------------------ */

#define MOM_PRESSURE   0.20
#define MOM_CRITICAL   0.05
#define MOM_FREE_PART  0.20
#define MOM_MOST_PART  0.05
#define MOM_LEAST_PART 0.0025
#define MOM_AVERAGE    0.1 /* a moving average over about ten samples */

static void mom_change(struct guest *g, double kib)
{
	if (fabs(kib - (double)g->now.actual_kib) > MOM_LEAST_PART * (double)g->now.actual_kib)
		set(g, kib, MIN_PART * (double)g->now.max_kib);
}

void rule_mom(struct mem_sim *s, bool decide)
{
	double host_free = (double)s->view.host.available_kib / (double)s->view.host.total_kib;

	for (size_t i = 0; i < s->now.n; i++) {
		struct guest *g = &s->view.guest[i];
		double actual = (double)g->now.actual_kib, used, part = MOM_FREE_PART;

		if (!ready(g))
			continue;
		used = actual - usable(g);
		g->need.working_kib += (used - g->need.working_kib) *
				       (g->need.working_kib > 0 ? MOM_AVERAGE : 1);
		used = g->need.working_kib;
		if (!decide)
			continue;
		if (host_free <= MOM_CRITICAL)
			part = host_free - MOM_CRITICAL;
		else if (host_free < MOM_PRESSURE)
			part *= host_free / MOM_PRESSURE;
		if (host_free < MOM_PRESSURE)
			mom_change(g, fmin(actual, fmax(used + part * actual,
							actual * (1 - MOM_MOST_PART))));
		else
			mom_change(g, fmax(used + part * (double)g->now.max_kib,
					   actual * (1 + MOM_MOST_PART)));
	}
}

/* ---- Proxmox -------------------------------------------------------------------------- */

#define PVE_TARGET   0.80
#define PVE_TICKS    10 /* pvestatd's cycle */
#define PVE_MOST_KIB (100 * MIBF)
#define PVE_DEAD_KIB (10 * MIBF)
#define PVE_FREE     0.25 /* of the minimum: less is pressure */

static double pve_min(const struct guest *g)
{
	return MIN_PART * (double)g->now.max_kib;
}

static bool pve_listed(const struct guest *g, int pressed)
{
	bool short_of =
		usable(g) <= PVE_FREE * pve_min(g) || (double)g->now.actual_kib < pve_min(g);

	return pressed < 0 || short_of == pressed;
}

/* Deals goal, which may be negative, over those listed, by equal shares above minimum. */
static double pve_deal(struct mem_sim *s, double goal, int pressed)
{
	double held = 0, shares = 0, done = 0;

	for (size_t i = 0; i < s->now.n; i++) {
		struct guest *g = &s->view.guest[i];

		if (!ready(g) || !pve_listed(g, pressed))
			continue;
		held += (double)g->now.actual_kib - pve_min(g);
		shares++;
	}
	for (size_t i = 0; i < s->now.n && shares > 0; i++) {
		struct guest *g = &s->view.guest[i];
		double actual = (double)g->now.actual_kib,
		       to = pve_min(g) + (held + goal) / shares;

		if (!ready(g) || !pve_listed(g, pressed) || (to > actual) != (goal > 0))
			continue;
		to = fmin(fmax(to, pve_min(g)), (double)g->now.max_kib);
		to = fmin(fmax(to, actual - PVE_MOST_KIB), actual + PVE_MOST_KIB);
		set(g, to, pve_min(g));
		done += to - actual;
	}
	return done;
}

void rule_proxmox(struct mem_sim *s, bool decide)
{
	double used = (double)s->view.host.total_kib - (double)s->view.host.available_kib;
	double goal = PVE_TARGET * (double)s->view.host.total_kib - used;

	(void)decide;
	for (size_t i = 0; i < s->now.n; i++)
		ready(&s->view.guest[i]);
	if (s->tick % PVE_TICKS != 0 || fabs(goal) <= PVE_DEAD_KIB)
		return;
	if (fabs(pve_deal(s, goal, goal > 0)) < 1)
		pve_deal(s, goal, -1);
}

/* ---- squeezed ------------------------------------------------------------------------- */

#define SQ_NEAR_KIB  (4 * MIBF)
#define SQ_STUCK_NS  5000000000LL
#define SQ_BAND_PART 0.01 /* its xenopsd caller sets no smaller change */

static bool sq_active(struct guest *g, int64_t now_ns)
{
	bool near = fabs((double)g->now.actual_kib - (double)g->mem.target_kib) <= SQ_NEAR_KIB;

	if (near || g->now.actual_kib != g->need.actual_kib)
		g->need.moved_ns = now_ns;
	g->need.actual_kib = g->now.actual_kib;
	return near || now_ns - g->need.moved_ns < SQ_STUCK_NS;
}

void rule_squeezed(struct mem_sim *s, bool decide)
{
	double pool = (double)s->view.host.available_kib -
		      (double)ledger_reserve(&s->conf.tune, &s->view.host),
	       range = 0;
	bool freeing = false, active[SIM_GUESTS];
	double part;

	for (size_t i = 0; i < s->now.n; i++) {
		struct guest *g = &s->view.guest[i];

		active[i] = ready(g) && sq_active(g, plant_mem_now(s->plant));
		pool -= fmax(0, (double)g->now.actual_kib + 32 * MIBF - (double)g->now.rss_kib);
		if (!active[i])
			continue;
		pool += (double)g->now.actual_kib - MIN_PART * (double)g->now.max_kib;
		range += (1 - MIN_PART) * (double)g->now.max_kib;
	}
	part = range > 0 ? fmin(1, fmax(0, pool / range)) : 0;
	for (int phase = 0; phase < 2 && decide && !freeing; phase++)
		for (size_t i = 0; i < s->now.n; i++) {
			struct guest *g = &s->view.guest[i];
			double least = MIN_PART * (double)g->now.max_kib;
			double to = least + part * ((double)g->now.max_kib - least);
			bool shrinks = to < (double)g->now.actual_kib -
						    SQ_BAND_PART * (double)g->now.max_kib;
			bool grows = to > (double)g->now.actual_kib +
						  SQ_BAND_PART * (double)g->now.max_kib;

			if (!active[i] || !(phase == 0 ? shrinks : grows))
				continue;
			set(g, to, least);
			freeing |= phase == 0;
		}
}

void rule_nothing(struct mem_sim *s, bool decide)
{
	(void)decide;
	for (size_t i = 0; i < s->now.n; i++)
		ready(&s->view.guest[i]);
}
