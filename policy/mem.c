/*
 * mem.c - from samples to commands.
 *
 * Two rhythms: each second is watched, each interval is decided.  A watch only mends and
 * rescues: it takes back a shrink that squeezes, grows a guest that would run dry before the
 * next decision, and in an emergency makes donors give.  All else waits for the decision.
 *
 * Two phases, as in XenServer's squeezed: a shrink frees memory when it is seen, not when it
 * is sent, so growth is paid from what is spare now.
 */
#include "vmbal.h"

#include <math.h>
#include <string.h>

#define MIB       1024.0
#define SECOND_NS 1000000000LL

#define RESCUE_KIB    (112 * MIB) /* free memory under which a guest is in danger */
#define REACT_S       1.0         /* a sample is up to this old */
#define STEP_PART     0.10        /* a shrink takes no more than this of a guest ... */
#define STEP_RATE     (20 * MIB)  /* ... nor more than this a second, by decision */
#define URGENT_PART   0.25        /* ... or, in an emergency, of its free memory, each second */
#define URGENT_BANDS  2           /* ... from who has so much: a trickle blinds all samples */
#define EMERGENCY_KIB (8 * MIB)   /* a smaller lack is noise */
#define BAND_KIB      (8 * MIB)   /* smaller changes blind the samples for nothing */
#define BAND_PART     0.01
#define LACK_KIB      (16 * MIB) /* so much under need or share calls for growth ... */
#define LACK_PART     0.04       /* ... so that equal guests end within 5 % */
#define IDLE_KIB      (96 * MIB) /* clear idleness: so far beyond comfort ... */
#define IDLE_PART     0.15       /* ... or so much of what it holds */
#define RISING        (4 * MIB)  /* KiB/s: a guest that grows faster is refilled earlier */
#define KEEP_NS       (30 * SECOND_NS) /* a growth is kept so long, if nobody lacks */
#define UNMET_KIB     (4 * MIB)        /* a balloon this close to its target has met it */
#define STALL_NS      (4 * SECOND_NS)
#define STALL_RATE    (1 * MIB)        /* per second: a slow balloon is not a stuck one */
#define UNGROWN_NS    (10 * SECOND_NS) /* a growth not taken up in this time is forgotten */
#define BLOCK_NS      (60 * SECOND_NS) /* after a stall, twice as long after the second */
#define HOUR_NS       (3600 * SECOND_NS)
#define REFUSED_NS    (10 * SECOND_NS) /* after a failed command, doubled each time */
#define DOUBLINGS     5
#define BOOT_PART     0.25        /* of maximum: boots most systems ... */
#define BOOT_KIB      (512 * MIB) /* ... as does this */
#define LEAST_S       0.1         /* the shortest interval */
#define MOST_S        10.0        /* what a longer one lets happen, a rescue sees */

/* What the passes over one tick's guests share. */
struct tick {
	const struct mem_conf *conf;
	struct guest *g;
	size_t n;
	int64_t now_ns;
	bool decide;
	double interval_s, next_s; /* next_s: to the next decision */
	double funds_kib;          /* what may still be granted in this tick */
	bool lacking;              /* guests want more than is spare */
	bool emergency;            /* guests, or the host, are about to run dry */
	struct mem_report *r;
};

static double held(const struct guest *g)
{
	return (double)ledger_held(g);
}

static double band(const struct guest *g)
{
	return fmax(BAND_KIB, BAND_PART * (double)g->actual_kib);
}

/* What calls for growth: more than a finished one may leave, or noise would start it. */
static double lack(const struct guest *g)
{
	return fmax(LACK_KIB, LACK_PART * (double)g->actual_kib);
}

static bool fit(const struct guest *g)
{
	return g->reason == MEM_NONE;
}

/* Its last sample was taken after our last command took effect. */
static bool sampled(const struct guest *g)
{
	return g->need.sample_ns > g->mem.command_ns;
}

static void command(struct guest *g, double kib, enum mem_reason reason)
{
	double most = fmax(guest_limit(g), held(g)); /* the owner's limit squeezes nobody */
	double least = fmin((double)g->min_kib, held(g)); /* what is below must be paid for */

	g->command_kib = (uint64_t)fmin(fmax(kib, least), most);
	g->reason = reason;
}

/* Why g is not to be commanded at all; MEM_NONE: it may be. */
static enum mem_reason unfit(const struct guest *g, int64_t now_ns)
{
	if (g->state == GUEST_FOREIGN)
		return MEM_FOREIGN;
	if (g->state == GUEST_PAUSED)
		return MEM_PAUSED;
	if (g->state == GUEST_BUSY || now_ns < g->mem.refused_ns)
		return MEM_BUSY;
	if (g->locked || g->hugepages || g->mem.keeps)
		return MEM_LOCKED;
	if (ledger_booting(g))
		return MEM_BOOTING;
	if (!g->mem.has_driver)
		return MEM_NO_DRIVER;
	return need_fresh(g, now_ns) ? MEM_NONE : MEM_STALE;
}

/* The guest's word is not taken for more than it can have. */
static void bound(struct guest *g)
{
	if ((double)g->min_kib > guest_limit(g))
		g->min_kib = (uint64_t)guest_limit(g);
	if (g->actual_kib > g->max_kib)
		g->actual_kib = g->max_kib;
}

static void note_progress(struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;
	double elapsed_s = (double)(now_ns - m->progress_ns) / SECOND_NS;

	if (m->shrinking && (double)g->actual_kib <= (double)g->target_kib + UNMET_KIB)
		m->shrinking = false;
	m->stalled = false;
	if (!m->shrinking || now_ns - m->progress_ns < STALL_NS)
		return;
	if ((double)m->progress_kib - (double)g->actual_kib < STALL_RATE * elapsed_s) {
		m->stalled = true;
		return;
	}
	m->progress_ns = now_ns;
	m->progress_kib = g->actual_kib;
}

static void note_restart(struct guest *g, int64_t now_ns)
{
	if (g->need.boot_ns != now_ns || now_ns == 0)
		return;
	g->mem.before_kib = g->wanted_kib;
	g->mem.shrinking = g->mem.stalled = false;
	g->mem.from_kib = 0;
}

/* A balloon that takes memory though its target is above: that is not its target any more. */
static void adopt(struct guest *g, int64_t now_ns)
{
	bool falls = g->need.seen && g->actual_kib + (uint64_t)UNMET_KIB < g->need.actual_kib;

	if (falls && g->target_kib > g->actual_kib && now_ns - g->mem.command_ns >= STALL_NS)
		g->target_kib = g->actual_kib;
}

static void observe(const struct tick *t, struct guest *g)
{
	bound(g);
	adopt(g, t->now_ns);
	g->command_kib = 0;
	need_observe(g, t->now_ns);
	note_restart(g, t->now_ns);
	note_progress(g, t->now_ns);
	ledger_observe(g, t->now_ns);
	need_levels(g, t->interval_s, t->now_ns);
	g->reason = unfit(g, t->now_ns);
}

/* Boots with room: until its balloon is back it may touch all its memory anyway. */
static void boot(struct guest *g)
{
	double room = fmin(BOOT_PART * (double)g->max_kib, BOOT_KIB);

	if (g->reason != MEM_BOOTING || g->mem.command_ns >= g->need.boot_ns)
		return;
	room = g->startup_kib ? (double)g->startup_kib : fmax(room, (double)g->mem.before_kib);
	room = fmax(room, (double)g->min_kib);
	if (room > (double)g->target_kib + band(g))
		command(g, room, MEM_BOOT);
}

/* Its pages never came back, so taking them was for nothing: all it may touch is counted. */
static void give_back(struct guest *g)
{
	if (g->reason == MEM_LOCKED && g->mem.keeps && (double)g->target_kib < guest_limit(g))
		command(g, guest_limit(g), MEM_RESTORE);
}

/*
 * Takes back a target that was not met: a shrink that stalled, a balloon that let go by
 * itself or was moved by somebody else, a growth that no driver takes up.  A shrink that
 * demand has caught up with is the rescue's business.
 */
static void mend(struct guest *g, int64_t now_ns)
{
	double target = (double)g->target_kib, actual = (double)g->actual_kib;
	int64_t still_ns = now_ns - g->need.moved_ns;
	bool let_go = !g->mem.shrinking && actual > target + UNMET_KIB && still_ns >= STALL_NS;
	bool ungrown = target > actual + UNMET_KIB && still_ns >= UNGROWN_NS &&
		       actual >= (double)g->wanted_kib;

	if (g->mem.stalled || let_go || ungrown)
		command(g, actual, MEM_RESTORE);
}

/*
 * Nothing more is known of it, or it is not ours any more: what it was told to give and has not
 * given is taken back all the same, or it would be due for ever.
 */
static void release(struct guest *g, int64_t now_ns)
{
	if (g->command_kib != 0 || now_ns < g->mem.refused_ns ||
	    (double)g->actual_kib <= (double)g->target_kib + UNMET_KIB)
		return;
	if (g->reason == MEM_STALE)
		mend(g, now_ns);
	else if ((g->reason == MEM_FOREIGN || g->reason == MEM_LOCKED) && g->mem.shrinking)
		command(g, (double)g->actual_kib, MEM_RESTORE);
}

/* It stalled lately; in an emergency one that is not stubborn is tried all the same. */
static bool blocked(const struct tick *t, const struct guest *g)
{
	bool pardoned = t->emergency && g->mem.stalls < STALLS_KEPT;

	return g->mem.blocked_ns > t->now_ns && !pardoned;
}

/* Why g may not be shrunk now; MEM_NONE: it may. */
static enum mem_reason held_back(const struct tick *t, const struct guest *g)
{
	bool wanted = t->emergency || t->lacking, stubborn = g->mem.stalls >= STALLS_KEPT;

	if (blocked(t, g))
		return stubborn ? MEM_STUBBORN : MEM_HELD;
	if (g->need.swapping || g->need.swap_debt_kib > BAND_KIB)
		return MEM_SWAPPING;
	if (g->mem.shrinking || !sampled(g))
		return MEM_SETTLING;
	if (!wanted && g->mem.grown_ns != 0 && t->now_ns - g->mem.grown_ns < KEEP_NS)
		return MEM_HELD;
	return MEM_NONE;
}

/* Its share cannot be less than it holds: it would not give. */
static bool keeps(const struct tick *t, const struct guest *g)
{
	enum mem_reason why = held_back(t, g);

	return why == MEM_SWAPPING || blocked(t, g);
}

static void set_tiers(struct guest *g, double base, double low, double high)
{
	const uint64_t level[MEM_TIERS] = {
		[TIER_DEMAND] = g->peak_kib,
		[TIER_SURVIVE] = g->survive_kib,
		[TIER_NEED] = g->wanted_kib,
		[TIER_COMFORT] = g->comfort_kib,
		[TIER_SURPLUS] = (uint64_t)guest_limit(g),
	};

	g->tier_kib[TIER_BASE] = (uint64_t)base;
	for (enum mem_tier i = TIER_DEMAND; i < MEM_TIERS; i++)
		g->tier_kib[i] = (uint64_t)fmin(fmax((double)level[i], low), high);
}

static double top_level(const struct tick *t, const struct guest *g)
{
	switch (t->r->state) {
	case HOST_OK: return t->conf->surplus ? guest_limit(g) : (double)g->comfort_kib;
	case HOST_SOFT: return (double)g->wanted_kib;
	default: return (double)g->survive_kib;
	}
}

/* What each would hold if all that is there could be dealt anew. */
static void share_all(const struct tick *t)
{
	double pool = (double)t->r->spare_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++) {
		struct guest *g = &t->g[i];
		double top = top_level(t, g);

		if (!fit(g))
			set_tiers(g, 0, 0, 0);
		else if (keeps(t, g))
			set_tiers(g, held(g), held(g), fmax(held(g), top));
		else
			set_tiers(g, (double)g->min_kib, (double)g->min_kib, top);
		pool += fit(g) ? held(g) : 0;
	}
	share_deal(t->g, t->n, pool);
	for (size_t i = 0; i < t->n; i++)
		t->g[i].share_kib = fit(&t->g[i]) ? t->g[i].dealt_kib : ledger_held(&t->g[i]);
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
				g->tier_kib[k] = (uint64_t)fmax(held(g), to);
		pool += held(g);
	}
	share_deal(t->g, t->n, pool);
	for (size_t i = 0; i < t->n; i++) {
		struct guest *g = &t->g[i];
		double to = (double)g->dealt_kib;

		if (wants(t, g) <= 0 || to < (double)g->target_kib + band(g))
			continue;
		t->funds_kib -= to - held(g);
		command(g, to, reason);
	}
}

/* In danger of running dry before the next decision: to survive or its share. */
static double wants_rescue(const struct tick *t, const struct guest *g)
{
	double end = g->velocity * (t->next_s + REACT_S);
	double left = (double)g->target_kib - (double)g->demand_kib - end;

	if ((!fit(g) && g->reason != MEM_RESTORE) || !sampled(g))
		return 0;
	if (left >= need_scaled(g, RESCUE_KIB) && !g->need.swapping)
		return 0;
	return fmax((double)g->survive_kib, (double)g->share_kib);
}

/* Below need, or growing and below halfway from need to comfort: to its share. */
static double wants_growth(const struct tick *t, const struct guest *g)
{
	double least = (double)g->wanted_kib;

	(void)t;
	if (!fit(g) || g->mem.shrinking || !sampled(g))
		return 0;
	if (g->velocity > RISING)
		least += ((double)g->comfort_kib - least) / 2;
	least = fmin(least, (double)g->share_kib);
	return (double)g->target_kib + lack(g) < least ? (double)g->share_kib : 0;
}

/* Before shares are known: an emergency also tries donors that stalled once or twice. */
static void judge(struct tick *t)
{
	double dying = 0, spare = (double)t->r->spare_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++)
		if (fit(&t->g[i]))
			dying += fmax(0, (double)t->g[i].survive_kib - held(&t->g[i]));
	t->emergency = dying - spare > EMERGENCY_KIB || t->r->state >= HOST_HARD;
}

/* Once shares are known: do guests want more than there is? */
static void judge_wants(struct tick *t)
{
	double wanting = 0, spare = (double)t->r->spare_kib + (double)t->r->booting_kib;

	for (size_t i = 0; i < t->n; i++)
		if (wants_growth(t, &t->g[i]) > 0)
			wanting += fmax(0, wants_growth(t, &t->g[i]) - held(&t->g[i]));
	t->lacking = wanting > fmax(0, spare) || t->r->state >= HOST_SOFT;
}

/* Shrinks g towards goal by one step, or says why not; now false: not before the decision. */
static void shrink(struct tick *t, struct guest *g, double goal, double step, bool now,
		   enum mem_reason reason)
{
	enum mem_reason why = held_back(t, g);
	double to = fmax(fmax(goal, held(g) - step), (double)g->survive_kib);
	double least =
		fmax(BAND_KIB, fmin(band(g), step)); /* 1 % of a large one is many steps */

	if (to + least > held(g))
		return;
	if (why != MEM_NONE)
		g->reason = why;
	else if (now)
		command(g, to, reason);
}

/* What it would be left with for idleness' sake; all it holds, unless that is clear. */
static double without_idle(const struct tick *t, const struct guest *g)
{
	double comfort = (double)g->comfort_kib;
	double margin = fmax(need_scaled(g, IDLE_KIB), IDLE_PART * held(g));

	if (t->conf->surplus)
		comfort = fmax(comfort, (double)g->share_kib);
	return held(g) > comfort + margin ? comfort : held(g);
}

static void shrink_one(struct tick *t, struct guest *g)
{
	double urgent = URGENT_PART * (double)g->free_kib, share = (double)g->share_kib;
	double step = fmin(STEP_PART * (double)g->actual_kib, STEP_RATE * t->interval_s);

	if (fit(g) && t->emergency && share + URGENT_BANDS * band(g) < held(g))
		shrink(t, g, share, urgent, true, MEM_EMERGENCY);
	if (fit(g) && t->lacking)
		shrink(t, g, share, step, t->decide, MEM_DONATE);
	if (fit(g))
		shrink(t, g, without_idle(t, g), step, t->decide, MEM_IDLE);
}

/* A reason for each that has none yet. */
static void explain(struct guest *g)
{
	bool moving = g->mem.shrinking || (!sampled(g) && g->mem.command_ns != 0);
	double wanted = (double)g->wanted_kib - lack(g);

	if (!fit(g))
		return;
	if ((double)g->share_kib < wanted)
		g->reason = MEM_SHORT;
	else if (moving)
		g->reason = MEM_SETTLING;
	else
		g->reason = (double)g->target_kib < wanted ? MEM_DUE : MEM_CONTENT;
}

static void sum_up(const struct tick *t)
{
	struct mem_report *r = t->r;

	for (size_t i = 0; i < t->n; i++) {
		const struct guest *g = &t->g[i];

		r->held_kib += ledger_held(g);
		r->demand_kib += g->demand_kib;
		r->free_kib += g->free_kib;
		r->grows += g->command_kib > g->target_kib;
		r->shrinks += g->command_kib != 0 && g->command_kib < g->target_kib;
		if (g->share_kib < g->wanted_kib && g->state != GUEST_FOREIGN)
			r->shortfall_kib += g->wanted_kib - g->share_kib;
	}
}

static void act(struct tick *t)
{
	double deep = (double)t->r->reserve_kib - (double)t->r->least_kib;

	deep += (double)t->r->booting_kib; /* there now; the balloon will take it back */
	judge(t);
	share_all(t);
	judge_wants(t);
	t->funds_kib = (double)t->r->spare_kib;
	grant(t, wants_rescue, t->funds_kib + deep, MEM_RESCUE);
	for (size_t i = 0; i < t->n; i++)
		shrink_one(t, &t->g[i]);
	if (t->decide)
		grant(t, wants_growth, t->funds_kib, MEM_GROW);
	for (size_t i = 0; i < t->n; i++)
		explain(&t->g[i]);
}

void mem_decide(struct mem_state *state, const struct mem_conf *conf,
		const struct mem_host *host, struct guest *g, size_t n, int64_t now_ns,
		bool decide, struct mem_report *report)
{
	struct tick t = { .conf = conf,
			  .g = g,
			  .n = n,
			  .now_ns = now_ns,
			  .decide = decide,
			  .interval_s = fmin(fmax(conf->interval_s, LEAST_S), MOST_S),
			  .r = report };

	memset(report, 0, sizeof(*report));
	if (decide || state->decided_ns == 0)
		state->decided_ns = now_ns;
	t.next_s = conf->interval_s - (double)(now_ns - state->decided_ns) / SECOND_NS;
	t.next_s = fmin(fmax(0, t.next_s), t.interval_s);
	for (size_t i = 0; i < n; i++)
		observe(&t, &g[i]);
	ledger_sum(conf, host, g, n, report);
	for (size_t i = 0; i < n; i++) {
		boot(&g[i]);
		give_back(&g[i]);
		if (fit(&g[i]))
			mend(&g[i], now_ns);
	}
	if (report->known) {
		ledger_state(state, conf, host, now_ns, report);
		act(&t);
	} else {
		for (size_t i = 0; i < n; i++)
			g[i].reason = fit(&g[i]) ? MEM_HOST_UNKNOWN : g[i].reason;
	}
	for (size_t i = 0; i < n; i++)
		release(&g[i], now_ns);
	sum_up(&t);
}

static void count_stall(struct mem_history *m, int64_t now_ns)
{
	if (now_ns - m->stall_ns >= HOUR_NS)
		m->stalls = 0;
	m->stall_ns = now_ns;
	m->stalls++;
	m->blocked_ns = now_ns + (m->stalls < STALLS_KEPT ? m->stalls * BLOCK_NS : HOUR_NS);
}

void mem_applied(struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;

	if (m->stalled)
		count_stall(m, now_ns);
	if (g->command_kib > g->target_kib && g->command_kib > g->actual_kib)
		m->grown_ns = now_ns;
	m->shrinking = g->command_kib < g->actual_kib;
	if (m->shrinking) {
		m->progress_ns = now_ns;
		m->progress_kib = m->from_kib = g->actual_kib;
		m->from_rss_kib = g->rss_kib;
	}
	m->stalled = false;
	m->command_ns = g->need.moved_ns = now_ns;
	m->refusals = 0;
	g->target_kib = g->command_kib;
	g->command_kib = 0;
}

void mem_refused(struct guest *g, int64_t now_ns)
{
	int64_t wait_ns = REFUSED_NS;

	for (unsigned i = 0; i < g->mem.refusals; i++)
		wait_ns *= 2;
	g->mem.refusals += g->mem.refusals < DOUBLINGS;
	g->mem.refused_ns = now_ns + wait_ns;
	g->command_kib = 0;
}

const char *mem_reason_name(enum mem_reason reason)
{
	static const char *const name[MEM_REASONS] = {
		[MEM_NONE] = "none",
		[MEM_RESCUE] = "rescue",
		[MEM_BOOT] = "boot",
		[MEM_GROW] = "grow",
		[MEM_IDLE] = "idle",
		[MEM_DONATE] = "donate",
		[MEM_EMERGENCY] = "emergency",
		[MEM_RESTORE] = "restore",
		[MEM_CONTENT] = "content",
		[MEM_DUE] = "due",
		[MEM_SHORT] = "short",
		[MEM_SETTLING] = "settling",
		[MEM_HELD] = "held",
		[MEM_SWAPPING] = "swapping",
		[MEM_STUBBORN] = "stubborn",
		[MEM_LOCKED] = "locked",
		[MEM_NO_DRIVER] = "no-driver",
		[MEM_STALE] = "stale",
		[MEM_BOOTING] = "booting",
		[MEM_PAUSED] = "paused",
		[MEM_BUSY] = "busy",
		[MEM_FOREIGN] = "foreign",
		[MEM_HOST_UNKNOWN] = "host-unknown",
	};

	return name[reason] != NULL ? name[reason] : "?";
}

const char *mem_host_state_name(enum mem_host_state state)
{
	static const char *const name[] = { "ok", "soft", "hard", "critical" };

	return name[state];
}
