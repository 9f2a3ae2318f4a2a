/*
 * mem.c - from samples to commands.
 *
 * Two rhythms: each second is watched, each interval is decided.  A watch only mends and
 * rescues: it takes back a shrink that squeezes, grows a guest that would run dry before the
 * next decision, and in an emergency makes donors give.  All else waits for the decision.
 *
 * Two phases, as in XenServer's squeezed: a shrink frees memory when it is seen, not when it
 * is sent, so growth is paid from headroom that is there now.
 */
#include <math.h>
#include <string.h>

#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/mem_parts.h"
#include "policy/need.h"
#include "policy/sample.h"
#include "policy/share.h"

/* What the passes over one tick's guests share. */
struct tick {
	const struct mem_conf *conf;
	const struct mem_tunables *tune; /* those of conf */
	struct guest *g;
	size_t n;
	int64_t now_ns;
	bool decide;
	double interval_s, next_s; /* next_s: to the next decision */
	double funds_kib;          /* what may still be granted in this tick */
	bool lacking;              /* guests want more than the headroom */
	bool emergency;            /* guests, or the host, are about to run dry */
	struct mem_report *r;
};

/* What calls for growth: more than a finished one may leave, or noise would start it. */
static double lack(const struct mem_tunables *tune, const struct guest *g)
{
	return fmax(tune->lack_kib, tune->lack_part * (double)g->now.actual_kib);
}

/* It stalled lately; in an emergency one that is not unresponsive is tried all the same. */
static bool blocked(const struct tick *t, const struct guest *g)
{
	bool pardoned = t->emergency && g->mem.stalls < t->tune->unresponsive_stalls;

	return g->mem.blocked_ns > t->now_ns && !pardoned;
}

static bool swaps(const struct tick *t, const struct guest *g)
{
	return g->need.swapping || g->need.swap_debt_kib > t->tune->band_kib;
}

/* Why g may not be shrunk now; MEM_NONE: it may. */
static enum mem_reason held_back(const struct tick *t, const struct guest *g)
{
	bool wanted = t->emergency || t->lacking;
	bool unresponsive = g->mem.stalls >= t->tune->unresponsive_stalls;

	if (blocked(t, g))
		return unresponsive ? MEM_UNRESPONSIVE : MEM_DEFERRED;
	if (swaps(t, g))
		return MEM_SWAPPING;
	if (g->mem.shrinking || !sampled(g) || (unproven(g) && ledger_judging(t->tune, g)))
		return MEM_SETTLING;
	if (!wanted && g->mem.grown_ns != 0 &&
	    t->now_ns - g->mem.grown_ns < ns_of_s(t->tune->keep_s))
		return MEM_DEFERRED;
	return MEM_NONE;
}

/* Its share cannot be less than it holds: it would not give, or not more than a probe. */
static double share_least(const struct tick *t, const struct guest *g)
{
	double least = (double)g->now.policy.min_kib, probed = held(g) - t->tune->probe_kib;

	if (swaps(t, g) || blocked(t, g))
		return held(g);
	if (unproven(g))
		least = fmax(least, ledger_shows(t->tune, g, probed) ? probed : held(g));
	return least;
}

static void set_tiers(struct guest *g, double base, double low, double high)
{
	const uint64_t level[MEM_TIERS] = {
		[TIER_DEMAND] = g->plan.peak_kib,
		[TIER_SURVIVE] = g->plan.survive_kib,
		[TIER_NEED] = g->plan.need_kib,
		[TIER_COMFORT] = g->plan.comfort_kib,
		[TIER_SURPLUS] = (uint64_t)guest_limit(g),
	};

	g->plan.tier_kib[TIER_BASE] = (uint64_t)base;
	for (enum mem_tier i = TIER_DEMAND; i < MEM_TIERS; i++)
		g->plan.tier_kib[i] = (uint64_t)fmin(fmax((double)level[i], low), high);
}

static double top_level(const struct tick *t, const struct guest *g)
{
	switch (t->r->state) {
	case HOST_OK: return t->conf->surplus ? guest_limit(g) : (double)g->plan.comfort_kib;
	case HOST_SOFT: return (double)g->plan.need_kib;
	default: return (double)g->plan.survive_kib;
	}
}

static void note_share(const struct tick *t, struct guest *g)
{
	double share = (double)g->plan.share_kib, flat = (double)g->mem.flat_kib;

	if (fabs(share - flat) <= t->tune->flat_part * flat)
		return;
	g->mem.flat_kib = g->plan.share_kib;
	g->mem.flat_ns = t->now_ns;
}

/* Growth leaves it anywhere from need to what is clearly idle: its share is flat by now. */
static bool apart(const struct tick *t, const struct guest *g)
{
	double share = (double)g->plan.share_kib;

	return t->now_ns - g->mem.flat_ns >= ns_of_s(t->tune->flat_s) &&
	       fabs(share - held(g)) > t->tune->apart_part * share;
}

/* What each would hold if all that is there could be dealt anew. */
static void share_all(const struct tick *t)
{
	double pool = (double)t->r->headroom_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++) {
		struct guest *g = &t->g[i];
		double least = fit(g) ? share_least(t, g) : 0;
		double top = fit(g) ? fmax(least, top_level(t, g)) : 0;

		set_tiers(g, least, least, top);
		pool += fit(g) ? held(g) : 0;
	}
	share_deal(t->tune, t->g, t->n, pool);
	for (size_t i = 0; i < t->n; i++) {
		t->g[i].plan.share_kib =
			fit(&t->g[i]) ? t->g[i].plan.dealt_kib : ledger_held(&t->g[i]);
		note_share(t, &t->g[i]);
	}
}

/* What its owner wants it to have at least is given to the last MiB. */
static bool reaches_minimum(const struct guest *g, double to)
{
	double min = (double)g->now.policy.min_kib;

	return (double)g->mem.target_kib < min && to >= min;
}

/*
 * Grants now: each guest for which wants() says how much it should hold is lifted towards
 * that, tier by tier, as far as funds go.
 */
static void grant(struct tick *t, double (*wants)(const struct tick *, const struct guest *),
		  double funds_kib, enum mem_reason reason)
{
	double pool = fmax(0, funds_kib);

	for (size_t i = 0; i < t->n; i++) {
		struct guest *g = &t->g[i];
		double to = wants(t, g);

		set_tiers(g, held(g), held(g), fmax(held(g), to));
		if (to > 0) /* all of it counts as need: comfort would halve it */
			for (enum mem_tier k = TIER_NEED; k < MEM_TIERS; k++)
				g->plan.tier_kib[k] = (uint64_t)fmax(held(g), to);
		pool += held(g);
	}
	share_deal(t->tune, t->g, t->n, pool);
	for (size_t i = 0; i < t->n; i++) {
		struct guest *g = &t->g[i];
		double to = fmin((double)g->plan.dealt_kib, fmax(held(g), guest_limit(g)));

		if (wants(t, g) <= 0 || (to < (double)g->mem.target_kib + band(t->tune, g) &&
					 !reaches_minimum(g, to)))
			continue;
		t->funds_kib -= to - held(g);
		guest_command(g, to, reason);
	}
}

/* In danger of running dry before the next decision: to survive or its share. */
static double wants_rescue(const struct tick *t, const struct guest *g)
{
	double end = g->plan.growth_kib_s * (t->next_s + t->tune->react_s);
	double left = (double)g->mem.target_kib - (double)g->plan.demand_kib - end;

	if ((!fit(g) && g->plan.reason != MEM_RESTORE) || !sampled(g))
		return 0;
	if (left >= need_scaled(t->tune, g, t->tune->rescue_kib) && !g->need.swapping)
		return 0;
	return fmax((double)g->plan.survive_kib, (double)g->plan.share_kib);
}

/* Below need, or growing and below a part of the way from there to comfort: to its share. */
static double wants_growth(const struct tick *t, const struct guest *g)
{
	double least = (double)g->plan.need_kib;

	if (!fit(g) || g->mem.shrinking || !sampled(g))
		return 0;
	if (g->plan.growth_kib_s > t->tune->rising_kib_s)
		least += t->tune->rising_part * ((double)g->plan.comfort_kib - least);
	least = fmin(least, (double)g->plan.share_kib);
	if ((double)g->mem.target_kib + lack(t->tune, g) >= least &&
	    !reaches_minimum(g, (double)g->plan.share_kib))
		return 0;
	return (double)g->plan.share_kib;
}

/* Far below a share that is flat: to it. Nobody has to give for that. */
static double wants_level(const struct tick *t, const struct guest *g)
{
	bool can = fit(g) && !g->mem.shrinking && sampled(g) && apart(t, g);

	return can && (double)g->plan.share_kib > held(g) ? (double)g->plan.share_kib : 0;
}

/* Before shares are known: an emergency also tries donors that stalled once or twice. */
static void judge(struct tick *t)
{
	double dying = 0, headroom = (double)t->r->headroom_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++)
		if (fit(&t->g[i]))
			dying += fmax(0, (double)t->g[i].plan.survive_kib - held(&t->g[i]));
	t->emergency = dying - headroom > t->tune->emergency_kib || t->r->state >= HOST_HARD;
}

/* Once shares are known: do guests want more than there is? */
static void judge_wants(struct tick *t)
{
	double wanting = 0, headroom = (double)t->r->headroom_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++)
		if (wants_growth(t, &t->g[i]) > 0)
			wanting += fmax(0, wants_growth(t, &t->g[i]) - held(&t->g[i]));
	t->lacking = wanting > fmax(0, headroom) || t->r->state >= HOST_SOFT;
}

/* Shrinks g towards goal by one step, or says why not; now false: not before the decision. */
static void shrink(struct tick *t, struct guest *g, double goal, double step, bool now,
		   enum mem_reason reason)
{
	enum mem_reason why = held_back(t, g);
	double to = fmax(fmax(goal, held(g) - step), (double)g->plan.survive_kib);
	/* 1 % of a large one is many steps */
	double least = fmax(t->tune->band_kib, fmin(band(t->tune, g), step));

	if (to + least > held(g))
		return;
	if (why == MEM_NONE && unproven(g) && !ledger_shows(t->tune, g, to))
		why = MEM_UNPROVEN;
	if (why != MEM_NONE)
		g->plan.reason = why;
	else if (now)
		guest_command(g, to, reason);
}

/* What leaves it all its caches, and some of what is unused; 0: it does not tell. */
static double with_caches(const struct tick *t, const struct guest *g)
{
	if (g->now.unused_kib >= g->now.actual_kib)
		return 0;
	return (double)(g->now.actual_kib - g->now.unused_kib) +
	       need_scaled(t->tune, g, t->tune->unused_kib);
}

/* What it would be left with for idleness' sake; all it holds, unless that is clear. */
static double without_idle(const struct tick *t, const struct guest *g)
{
	double comfort = (double)g->plan.comfort_kib;
	double margin =
		fmax(need_scaled(t->tune, g, t->tune->idle_kib), t->tune->idle_part * held(g));

	if (t->conf->surplus)
		comfort = fmax(comfort, (double)g->plan.share_kib);
	comfort = fmax(comfort, with_caches(t, g));
	return held(g) > comfort + margin ? comfort : held(g);
}

static void shrink_one(struct tick *t, struct guest *g)
{
	double urgent = t->tune->urgent_part * (double)g->plan.headroom_kib;
	double share = (double)g->plan.share_kib;
	double rate = unproven(g) ? t->tune->probe_kib : t->tune->step_kib_s * t->interval_s;
	double step = fmin(t->tune->step_part * (double)g->now.actual_kib, rate);

	if (fit(g) && t->emergency &&
	    share + t->tune->urgent_bands * band(t->tune, g) < held(g))
		shrink(t, g, share, urgent, true, MEM_EMERGENCY);
	if (fit(g) && t->lacking)
		shrink(t, g, share, step, t->decide, MEM_DONATE);
	if (fit(g))
		shrink(t, g, without_idle(t, g), step, t->decide, MEM_IDLE);
	if (fit(g) && apart(t, g))
		shrink(t, g, fmax(share, with_caches(t, g)), step, t->decide, MEM_LEVEL);
}

/* A reason for each that has none yet. */
static void explain(const struct mem_tunables *tune, struct guest *g)
{
	bool moving = g->mem.shrinking || (!sampled(g) && g->mem.command_ns != 0);
	double wanted = (double)g->plan.need_kib - lack(tune, g);

	if (!fit(g))
		return;
	if ((double)g->plan.share_kib < wanted)
		g->plan.reason = MEM_SHORT;
	else if (moving)
		g->plan.reason = MEM_SETTLING;
	else
		g->plan.reason = (double)g->mem.target_kib < wanted ? MEM_DUE : MEM_CONTENT;
}

static void sum_up(const struct tick *t)
{
	struct mem_report *r = t->r;

	for (size_t i = 0; i < t->n; i++) {
		const struct guest *g = &t->g[i];

		r->held_kib += ledger_held(g);
		r->demand_kib += g->plan.demand_kib;
		r->grows += g->plan.command_kib > g->mem.target_kib;
		r->shrinks +=
			g->plan.command_kib != 0 && g->plan.command_kib < g->mem.target_kib;
		if (g->plan.share_kib < g->plan.need_kib && g->now.state != GUEST_UNMANAGED)
			r->shortfall_kib += g->plan.need_kib - g->plan.share_kib;
	}
}

/*
 * A death that is certain outweighs one that is possible: where what is promised to nobody does
 * not do, a rescue may draw, up to survive, on all that is really there but what other rescues
 * are about to touch.  Who was promised it is rescued in its turn.
 */
static void rescue(struct tick *t)
{
	const struct mem_report *r = t->r;
	double deep = (double)r->reserve_kib - (double)r->least_kib;
	double there = (double)r->at_once_kib - (double)r->least_kib - (double)r->rescued_kib;
	double unpromised, dying = 0, before = t->funds_kib;

	deep += (double)r->booting_kib; /* there now; the balloon will take it back */
	deep -= (double)(r->available_kib - r->at_once_kib);
	unpromised = fmax(0, t->funds_kib + deep);
	for (size_t i = 0; i < t->n; i++)
		if (wants_rescue(t, &t->g[i]) > 0)
			dying += fmax(0, (double)t->g[i].plan.survive_kib - held(&t->g[i]));
	grant(t, wants_rescue, fmax(unpromised, fmin(there, dying)), MEM_RESCUE);
	t->r->borrowed_kib = (uint64_t)fmax(0, before - t->funds_kib - unpromised);
}

static void act(struct tick *t)
{
	judge(t);
	share_all(t);
	judge_wants(t);
	t->funds_kib = (double)t->r->headroom_kib;
	rescue(t);
	for (size_t i = 0; i < t->n; i++)
		shrink_one(t, &t->g[i]);
	if (t->decide)
		grant(t, wants_growth, t->funds_kib, MEM_GROW);
	if (t->decide)
		grant(t, wants_level, t->funds_kib, MEM_LEVEL);
	for (size_t i = 0; i < t->n; i++)
		explain(t->tune, &t->g[i]);
}

void mem_decide(struct mem_state *state, const struct mem_conf *conf,
		const struct mem_host *host, struct guest *g, size_t n, int64_t now_ns,
		bool decide, struct mem_report *report)
{
	struct tick t = { .conf = conf,
			  .tune = &conf->tune,
			  .g = g,
			  .n = n,
			  .now_ns = now_ns,
			  .decide = decide,
			  .interval_s =
				  fmin(fmax(conf->interval_s, conf->tune.interval_least_s),
				       conf->tune.interval_most_s),
			  .r = report };

	memset(report, 0, sizeof(*report));
	if (decide || state->decided_ns == 0)
		state->decided_ns = now_ns;
	t.next_s = conf->interval_s - (double)(now_ns - state->decided_ns) / NS_PER_S;
	t.next_s = fmin(fmax(0, t.next_s), t.interval_s);
	for (size_t i = 0; i < n; i++)
		guest_observe(t.tune, &g[i], t.interval_s, now_ns);
	ledger_sum(conf, host, g, n, report);
	for (size_t i = 0; i < n; i++)
		guest_mend(t.tune, &g[i], now_ns);
	if (report->known) {
		ledger_state(state, conf, host, now_ns, report);
		act(&t);
	} else {
		for (size_t i = 0; i < n; i++)
			g[i].plan.reason = fit(&g[i]) ? MEM_HOST_UNKNOWN : g[i].plan.reason;
	}
	for (size_t i = 0; i < n; i++)
		guest_release(t.tune, &g[i], now_ns);
	sum_up(&t);
}

#define REASON_NAME(code, part, name)  [code] = name,
#define REASON_PART(code, part, name)  [code] = part,
#define STATE_NAME(code, name, words)  [code] = name,
#define STATE_WORDS(code, name, words) [code] = words,

const char *mem_reason_name(enum mem_reason reason)
{
	static const char *const name[MEM_WHYS] = { MEM_REASONS(REASON_NAME) };

	return name[reason];
}

enum mem_part mem_part(enum mem_reason reason)
{
	static const enum mem_part part[MEM_WHYS] = { MEM_REASONS(REASON_PART) };

	return part[reason];
}

const char *mem_host_state_name(enum mem_host_state state)
{
	static const char *const name[] = { MEM_HOST_STATES(STATE_NAME) };

	return name[state];
}

const char *mem_host_state_words(enum mem_host_state state)
{
	static const char *const words[] = { MEM_HOST_STATES(STATE_WORDS) };

	return words[state];
}
