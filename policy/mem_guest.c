/*
 * mem_guest.c - one guest: what became of its commands, whether it may have one, and what is
 * put right each second whatever the others need: a boot without room, a shrink that stalled, a
 * balloon that let go, pages that never came back.
 */
#include <math.h>

#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/mem_parts.h"
#include "policy/need.h"

void guest_command(struct guest *g, double kib, enum mem_reason reason)
{
	double most = fmax(guest_limit(g), held(g)); /* the owner's limit squeezes nobody */
	double min = (double)g->now.policy.min_kib;
	double least = fmin(min, held(g)); /* what is below must be paid for */

	g->plan.command_kib = (uint64_t)fmin(fmax(kib, least), most);
	g->plan.reason = reason;
}

/* Why g is not to be commanded at all; MEM_NONE: it may be. */
static enum mem_reason unfit(const struct mem_tunables *tune, const struct guest *g,
			     int64_t now_ns)
{
	if (g->now.state == GUEST_UNMANAGED)
		return MEM_UNMANAGED;
	if (g->now.state == GUEST_PAUSED)
		return MEM_PAUSED;
	if (g->now.state == GUEST_HUNG)
		return MEM_HUNG;
	if (g->now.state == GUEST_BUSY || now_ns < g->mem.refused_ns)
		return MEM_BUSY;
	if (g->now.kind.locked || g->now.kind.huge_kib || g->mem.keeps)
		return MEM_LOCKED;
	if (g->need.booting)
		return MEM_BOOTING;
	if (!g->mem.has_driver || g->need.silent)
		return MEM_NO_DRIVER;
	return need_fresh(tune, g, now_ns) ? MEM_NONE : MEM_STALE;
}

/* The guest's word is not taken for more than it can have. */
static void bound(struct guest *g)
{
	if ((double)g->now.policy.min_kib > guest_limit(g))
		g->now.policy.min_kib = (uint64_t)guest_limit(g);
	if (g->now.actual_kib > g->now.max_kib)
		g->now.actual_kib = g->now.max_kib;
}

static void note_progress(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;
	double elapsed_s = (double)(now_ns - m->progress_ns) / NS_PER_S;

	if (m->shrinking && guest_has_met(tune, g, m->target_kib))
		m->shrinking = false;
	m->stalled = false;
	if (!m->shrinking || now_ns - m->progress_ns < ns_of_s(tune->stall_s))
		return;
	if ((double)m->progress_kib - (double)g->now.actual_kib <
	    tune->stall_kib_s * elapsed_s) {
		m->stalled = true;
		return;
	}
	m->progress_ns = now_ns;
	m->progress_kib = g->now.actual_kib;
}

static void note_restart(struct guest *g, int64_t now_ns)
{
	if (g->need.boot_ns != now_ns || now_ns == 0)
		return;
	g->mem.shrinking = g->mem.stalled = g->mem.proven = false;
	g->mem.from_kib = g->mem.accepted_kib = g->mem.ceiling_kib = 0;
}

/* A balloon that takes memory though its target is above: that is not its target any more. */
static void adopt(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	uint64_t now_kib = g->now.actual_kib;
	bool falls = g->need.seen && now_kib + (uint64_t)tune->unmet_kib < g->need.actual_kib;

	if (falls && g->mem.target_kib > now_kib &&
	    now_ns - g->mem.command_ns >= ns_of_s(tune->stall_s))
		g->mem.target_kib = now_kib;
}

void guest_observe(const struct mem_tunables *tune, struct guest *g, double interval_s,
		   int64_t now_ns)
{
	if (now_ns >= g->mem.ceiling_ns) /* what was refused may be accepted later */
		g->mem.ceiling_kib = 0;
	bound(g);
	adopt(tune, g, now_ns);
	g->plan.command_kib = 0;
	need_observe(tune, g, now_ns);
	note_restart(g, now_ns);
	note_progress(tune, g, now_ns);
	ledger_observe(tune, g, now_ns);
	need_levels(tune, g, interval_s, now_ns);
	if (g->need.boot_ns == 0 || g->need.sample_ns != 0)
		g->mem.before_kib = g->plan.need_kib;
	g->plan.reason = unfit(tune, g, now_ns);
}

/* Boots with room: until its balloon is back it may touch all its memory anyway. */
static void boot(const struct mem_tunables *tune, struct guest *g)
{
	double room = fmin(tune->boot_part * (double)g->now.max_kib, tune->boot_kib);
	bool silent = g->plan.reason == MEM_NO_DRIVER && g->need.silent;

	if ((g->plan.reason != MEM_BOOTING && !silent) || g->mem.command_ns >= g->need.boot_ns)
		return;
	room = g->now.policy.startup_kib ? (double)g->now.policy.startup_kib
					 : fmax(room, (double)g->mem.before_kib);
	room = fmax(room, (double)g->now.policy.min_kib);
	if (room > (double)g->mem.target_kib + band(tune, g))
		guest_command(g, room, MEM_BOOT);
}

/* Its pages never came back, so taking them was for nothing: all it may touch is counted. */
static void give_back(struct guest *g)
{
	if (g->plan.reason == MEM_LOCKED && g->mem.keeps &&
	    (double)g->mem.target_kib < guest_limit(g))
		guest_command(g, guest_limit(g), MEM_RESTORE);
}

/*
 * Takes back a target that was not met: a shrink that stalled, a balloon that let go by
 * itself or was moved by somebody else, a growth that no driver takes up.  A shrink that
 * demand has caught up with is the rescue's business.
 */
static void mend(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	double target = (double)g->mem.target_kib, actual = (double)g->now.actual_kib;
	int64_t still_ns = now_ns - g->need.moved_ns;
	bool let_go = !g->mem.shrinking && actual > target + tune->unmet_kib &&
		      still_ns >= ns_of_s(tune->stall_s);
	bool ungrown = target > actual + tune->unmet_kib &&
		       still_ns >= ns_of_s(tune->ungrown_s) &&
		       actual >= (double)g->plan.need_kib;

	if (g->mem.stalled || let_go || ungrown)
		guest_command(g, actual, MEM_RESTORE);
}

void guest_mend(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	boot(tune, g);
	give_back(g);
	if (fit(g))
		mend(tune, g, now_ns);
}

/*
 * Nothing more is known of it, or it is not ours any more: what it was told to give and has not
 * given is taken back all the same, or it would be due for ever.
 */
void guest_release(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	enum mem_part part = mem_part(g->plan.reason);

	if (g->plan.command_kib != 0 || now_ns < g->mem.refused_ns ||
	    guest_has_met(tune, g, g->mem.target_kib))
		return;
	if (part == MEM_MENDED)
		mend(tune, g, now_ns);
	else if (part == MEM_RELEASED && g->mem.shrinking)
		guest_command(g, (double)g->now.actual_kib, MEM_RESTORE);
}

/* ---- what became of a command ---- */

static void count_stall(const struct mem_tunables *tune, struct mem_history *m, int64_t now_ns)
{
	int64_t long_ns = ns_of_s(tune->unresponsive_s), block_ns = ns_of_s(tune->block_s);

	if (now_ns - m->stall_ns >= long_ns)
		m->stalls = 0;
	m->stall_ns = now_ns;
	m->stalls++;
	m->blocked_ns = now_ns;
	m->blocked_ns += m->stalls < tune->unresponsive_stalls ? m->stalls * block_ns : long_ns;
}

/* What was accepted up to the ceiling may be so halfway to what was refused. */
static void raise_ceiling(struct mem_history *m, uint64_t accepted_kib)
{
	if (accepted_kib > m->accepted_kib)
		m->accepted_kib = accepted_kib;
	if (m->ceiling_kib && accepted_kib >= m->ceiling_kib && accepted_kib < m->refused_kib)
		m->ceiling_kib = accepted_kib + (m->refused_kib - accepted_kib) / 2;
}

void mem_applied(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;

	if (m->stalled)
		count_stall(tune, m, now_ns);
	if (g->plan.command_kib > g->mem.target_kib && g->plan.command_kib > g->now.actual_kib)
		m->grown_ns = now_ns;
	m->shrinking = g->plan.command_kib < g->now.actual_kib;
	if (m->shrinking) {
		m->progress_ns = now_ns;
		m->progress_kib = m->from_kib = g->now.actual_kib;
		m->from_rss_kib = g->now.rss_kib;
	}
	if (g->plan.reason == MEM_RESCUE && g->plan.command_kib > ledger_held(g))
		m->rescued_kib += g->plan.command_kib - ledger_held(g);
	m->stalled = false;
	if (g->plan.command_kib > g->now.actual_kib)
		raise_ceiling(m, g->plan.command_kib);
	m->command_ns = g->need.moved_ns = now_ns;
	m->refusals = 0;
	g->mem.target_kib = g->plan.command_kib;
	g->plan.command_kib = 0;
}

/*
 * It may be more than the balloon can give, for a device that nobody told of: what was accepted
 * before is, or half of the way.  Or it failed for a reason that passes: so the whole is tried
 * again a decision later.  False: so little more cannot be the reason.
 */
static bool learn_ceiling(const struct mem_conf *conf, struct guest *g, int64_t now_ns)
{
	uint64_t held_kib = g->now.actual_kib, tried_kib = g->plan.command_kib;
	struct mem_history *m = &g->mem;

	if ((double)tried_kib < (double)held_kib + 2 * band(&conf->tune, g))
		return false;
	if (m->ceiling_kib == 0) {
		m->refused_kib = tried_kib;
		m->ceiling_ns = now_ns + ns_of_s(conf->tune.refused_s + conf->interval_s);
	}
	m->ceiling_kib = held_kib + (tried_kib - held_kib) / 2;
	if (m->accepted_kib > m->ceiling_kib && m->accepted_kib < tried_kib)
		m->ceiling_kib = m->accepted_kib;
	return true;
}

void mem_refused(const struct mem_conf *conf, struct guest *g, int64_t now_ns)
{
	struct mem_history *m = &g->mem;

	if (!learn_ceiling(conf, g, now_ns)) {
		m->ceiling_kib = 0;
		m->refused_ns = now_ns + (ns_of_s(conf->tune.refused_s) << m->refusals);
		m->refusals += m->refusals < conf->tune.refused_doublings;
	}
	g->plan.command_kib = 0;
}

/* ---- shrinks under way ---- */

static bool is_far(const struct mem_tunables *tune, const struct guest *g, uint64_t target_kib)
{
	return target_kib && !guest_has_met(tune, g, target_kib);
}

bool mem_is_unmet(const struct mem_tunables *tune, const struct guest *g)
{
	return g->mem.shrinking && is_far(tune, g, g->mem.target_kib);
}

uint64_t mem_shrinks_to(const struct mem_tunables *tune, const struct guest *g)
{
	if (is_far(tune, g, g->plan.command_kib))
		return g->plan.command_kib;
	return mem_is_unmet(tune, g) ? g->mem.target_kib : 0;
}

void mem_adopt(struct guest *g, uint64_t target_kib)
{
	g->mem.target_kib = target_kib;
	g->mem.shrinking = true;
}

bool mem_take_back(const struct mem_tunables *tune, struct guest *g)
{
	if (!mem_is_unmet(tune, g))
		return false;
	g->plan.command_kib = g->now.actual_kib;
	g->plan.reason = MEM_RESTORE;
	return true;
}
