/*
 * memloop.c - one tick of the memory loop: the guests' figures go to the policy, its commands
 * to the balloons.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vmbal.h"

#define WATCH_S       1.0 /* a tick each second: a rescue cannot wait for a decision */
#define GUEST_MIN_KIB (64ULL << 10) /* no Linux guest lives on less, whatever it reports */
#define KIB_PER_MIB   1024
#define UNMET_KIB     (4ULL << 10) /* a balloon this close to its target has met it */

struct mem_loop {
	struct virt *virt;
	const struct options *opt;
	struct guest_sample now, next; /* next: while it is taken; guests' names are in now */
	struct guest *guest;           /* the policy's view, by UUID */
	struct guest *merged;          /* the next one, while it is made */
	size_t n, guest_cap, merged_cap;
	size_t turn; /* the guest that the last tick had no time for */
	struct mem_conf conf;
	struct mem_state state;
	struct mem_report report;
	unsigned ticks;    /* since the last decision */
	bool decided;      /* at least once */
	struct state kept; /* shrinks under way */
	bool adopted;      /* those that a crash left have been looked at */
	uint64_t moves;    /* of balloons, since the start */
	bool current;      /* report and guest are of the last tick */
	bool said_any, starved;
	enum mem_host_state said; /* the host state last logged */
};

unsigned mem_loop_watches(double interval_s)
{
	return (unsigned)fmax(1, ceil(interval_s / WATCH_S));
}

struct mem_loop *mem_loop_new(struct virt *virt, const struct options *opt)
{
	struct mem_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->virt = virt;
	l->opt = opt;
	l->conf.interval_s = opt->mem_interval_s;
	l->conf.reserve_kib = opt->host_reserve_kib;
	l->conf.overcommit = opt->overcommit;
	l->conf.surplus = opt->surplus_to_guests;
	state_open(&l->kept, opt, "shrinks");
	return l;
}

void mem_loop_free(struct mem_loop *l)
{
	state_close(&l->kept);
	virt_guests_free(&l->now);
	virt_guests_free(&l->next);
	free(l->guest);
	free(l->merged);
	free(l);
}

/* ---- from figures to what the policy sees ---- */

/* The policy's memory of a guest goes on; what libvirt told now replaces the rest. */
static void guest_carry(struct guest *g, const struct guest *old)
{
	g->need = old->need;
	g->mem = old->mem;
	g->target_kib = old->target_kib;
	if (g->boot_id != old->boot_id)
		return;
	/* NOWAIT leaves these out while another client is in the guest's monitor. */
	if (!g->rss_kib)
		g->rss_kib = old->rss_kib;
	if (!g->last_update_s)
		g->last_update_s = old->last_update_s;
}

static int guests_merge(struct mem_loop *l)
{
	struct guest_sample before = l->now;
	struct guest *old = l->guest;
	size_t cap = l->guest_cap, at = 0;

	if (array_reserve(&l->merged, &l->merged_cap, l->next.n + 1, sizeof(*l->merged)) < 0)
		return -1;
	l->now = l->next;
	l->next = before;
	for (size_t i = 0; i < l->now.n; i++) {
		struct guest *g = &l->merged[i];

		*g = l->now.guest[i];
		if (!g->min_kib)
			g->min_kib = GUEST_MIN_KIB;
		if (g->min_kib > g->max_kib)
			g->min_kib = g->max_kib;
		while (at < l->n && memcmp(old[at].uuid, g->uuid, UUID_LEN) < 0)
			at++;
		if (at < l->n && memcmp(old[at].uuid, g->uuid, UUID_LEN) == 0)
			guest_carry(g, &old[at]);
	}
	l->guest = l->merged;
	l->guest_cap = l->merged_cap;
	l->n = l->now.n;
	l->merged = old;
	l->merged_cap = cap;
	return 0;
}

/*
 * With --host-memory the guests have that much between them: what they have not taken of it
 * is available, if the machine has it too.
 */
static void host_limit(struct mem_host *host, uint64_t limit_kib, const struct guest *g,
		       size_t n)
{
	uint64_t held = 0;

	if (!limit_kib || !host->total_kib)
		return;
	for (size_t i = 0; i < n; i++)
		held += g[i].rss_kib ? g[i].rss_kib : g[i].actual_kib;
	if (host->total_kib > limit_kib)
		host->total_kib = limit_kib;
	if (held >= limit_kib)
		host->available_kib = 1; /* nothing, but known: 0 would mean unread */
	else if (host->available_kib > limit_kib - held)
		host->available_kib = limit_kib - held;
}

/* ---- report ---- */

static unsigned long long mib(uint64_t kib)
{
	return kib / KIB_PER_MIB;
}

/* What is done with a guest, from what to what, and the figures that decided it. */
static void say_guest(const struct guest *g, const char *verb, enum log_priority priority)
{
	log_msg(priority,
		"mem: %s %s %llu -> %llu MiB: %s: uses %llu, free %llu, growing %.1f MiB/s, "
		"floor %llu, need %llu, share %llu MiB",
		verb, g->name, mib(g->actual_kib),
		mib(g->command_kib ? g->command_kib : g->actual_kib),
		mem_reason_name(g->reason), mib(g->demand_kib), mib(g->free_kib),
		g->velocity / KIB_PER_MIB, mib(g->floor_kib), mib(g->wanted_kib),
		mib(g->share_kib));
}

static enum log_priority say_host_priority(const struct mem_loop *l, bool decide)
{
	const struct mem_report *r = &l->report;
	bool changed = !l->said_any || l->said != r->state;

	if (changed && r->state == HOST_CRITICAL)
		return LOG_PRIO_ERR;
	if (changed || r->grows || r->shrinks || (l->opt->dry_run && decide))
		return LOG_PRIO_INFO;
	return LOG_PRIO_DEBUG;
}

static void say_figures(const struct mem_loop *l, enum log_priority priority)
{
	const struct mem_report *r = &l->report;

	log_msg(priority,
		"mem: host %s: available %llu, reserve %llu, outstanding %llu, spare %lld, "
		"shortfall %llu MiB; guests hold %llu, use %llu MiB; %u grow, %u shrink",
		mem_host_state_name(r->state), mib(r->available_kib), mib(r->reserve_kib),
		mib(r->outstanding_kib), (long long)r->spare_kib / KIB_PER_MIB,
		mib(r->shortfall_kib), mib(r->held_kib), mib(r->demand_kib), r->grows,
		r->shrinks);
}

/* One line for the host: when it acts, when its state changes, and always under -n or -v. */
static void say_host(struct mem_loop *l, bool decide)
{
	if (!l->report.known)
		return;
	say_figures(l, say_host_priority(l, decide));
	l->said = l->report.state;
	l->said_any = true;
}

static void say_state(const struct guest *g)
{
	log_msg(LOG_PRIO_NOTICE,
		"mem: state of %s: %s: holds %llu of %llu..%llu, target %llu, uses %llu, "
		"free %llu, growing %.1f MiB/s, floor %llu, survive %llu, need %llu, "
		"comfort %llu, share %llu MiB",
		g->name, mem_reason_name(g->reason), mib(g->actual_kib), mib(g->min_kib),
		mib((uint64_t)guest_limit(g)), mib(g->target_kib), mib(g->demand_kib),
		mib(g->free_kib), g->velocity / KIB_PER_MIB, mib(g->floor_kib),
		mib(g->survive_kib), mib(g->wanted_kib), mib(g->comfort_kib),
		mib(g->share_kib));
}

void mem_loop_report(const struct mem_loop *l)
{
	if (!l->current) {
		log_msg(LOG_PRIO_NOTICE, "mem: nothing is known now");
		return;
	}
	if (l->report.known)
		say_figures(l, LOG_PRIO_NOTICE);
	for (size_t i = 0; i < l->n; i++)
		say_state(&l->guest[i]);
}

const char *mem_loop_status(const struct mem_loop *l)
{
	static const char *const host[] = { [HOST_OK] = "host ok",
					    [HOST_SOFT] = "host short of memory (soft)",
					    [HOST_HARD] = "host short of memory (hard)",
					    [HOST_CRITICAL] = "host out of memory (critical)" };

	if (!l->current)
		return "taking samples";
	return l->report.known ? host[l->report.state] : "host memory unknown";
}

/* ---- act ---- */

/* A busy guest is left alone by virt_act.c already; one that refuses, by the policy. */
static void guest_command(struct mem_loop *l, struct guest *g, const char *verb)
{
	enum virt_result result = virt_set_memory(l->virt, g->uuid, g->command_kib);

	if (result == VIRT_DONE) {
		say_guest(g, verb, LOG_PRIO_INFO);
		mem_applied(g, proc_now_ns());
		l->moves++;
		return;
	}
	say_guest(g, "could not change", LOG_PRIO_INFO);
	if (result == VIRT_FAILED || (result == VIRT_BUSY && g->state == GUEST_FOREIGN))
		mem_refused(g, proc_now_ns());
}

static void guest_act(struct mem_loop *l, struct guest *g, bool decide)
{
	bool grow = g->command_kib > g->actual_kib;

	if (!g->command_kib) {
		say_guest(g, "leave",
			  l->opt->dry_run && decide ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
	} else if (l->opt->dry_run) {
		say_guest(g, grow ? "would grow" : "would shrink", LOG_PRIO_INFO);
	} else {
		guest_command(l, g, grow ? "grow" : "shrink");
	}
}

/* What a slow daemon leaves no time for is decided anew at the next tick, and has its turn. */
static void act(struct mem_loop *l, bool decide)
{
	int64_t until_ns = proc_now_ns() + ACT_NS;
	size_t done = 0;

	say_host(l, decide);
	for (; done < l->n && proc_now_ns() < until_ns; done++)
		guest_act(l, &l->guest[(l->turn + done) % l->n], decide);
	l->turn = l->n ? (l->turn + done) % l->n : 0;
}

static bool is_unmet(const struct guest *g)
{
	return g->mem.shrinking && g->target_kib && g->target_kib + UNMET_KIB < g->actual_kib;
}

static bool unmet(const struct mem_loop *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (is_unmet(&l->guest[i]))
			return true;
	return false;
}

/* What g is shrinking to, or is about to; 0: nothing. */
static uint64_t shrink_target(const struct guest *g)
{
	if (g->command_kib && g->command_kib + UNMET_KIB < g->actual_kib)
		return g->command_kib;
	return is_unmet(g) ? g->target_kib : 0;
}

static int by_uuid(const void *uuid, const void *guest)
{
	return memcmp(uuid, ((const struct guest *)guest)->uuid, UUID_LEN);
}

static struct guest *guest_find(const struct mem_loop *l, const unsigned char *uuid)
{
	return l->n ? bsearch(uuid, l->guest, l->n, sizeof(*l->guest), by_uuid) : NULL;
}

static bool still_shrinks(const struct mark *m, void *loop)
{
	const struct guest *g = guest_find(loop, m->uuid);

	return g && shrink_target(g) != 0;
}

/*
 * Saves the shrinks under way before the first of them is sent: nobody can ask a balloon for
 * its target, so that after a crash the file alone knows of one that is not met.
 */
static int shrinks_remember(struct mem_loop *l)
{
	state_filter(&l->kept, still_shrinks, l);
	for (size_t i = 0; i < l->n && !l->opt->dry_run; i++) {
		const struct guest *g = &l->guest[i];
		uint64_t target_kib = shrink_target(g);

		if (target_kib && state_shrink(&l->kept, g->uuid, virt_run(l->virt, g->uuid),
					       target_kib) < 0) {
			log_change(&l->starved, true, "mem",
				   "out of memory: no shrinks are made");
			return -1;
		}
	}
	return state_save(&l->kept);
}

static void shrinks_cancel(struct mem_loop *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->guest[i].command_kib < l->guest[i].target_kib)
			l->guest[i].command_kib = 0;
}

/* A shrink that nobody watches any more can kill its guest. */
static int settle(struct mem_loop *l)
{
	int left = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct guest *g = &l->guest[i];

		if (!is_unmet(g))
			continue;
		g->command_kib = g->actual_kib;
		g->reason = MEM_RESTORE;
		if (l->opt->dry_run)
			say_guest(g, "would settle", LOG_PRIO_INFO);
		else
			guest_command(l, g, "settle");
		g->command_kib = 0;
		left += !l->opt->dry_run && is_unmet(g);
	}
	return left;
}

/* The same for those that a crash left. */
static int shrinks_adopt(struct mem_loop *l)
{
	l->adopted = true;
	for (size_t i = 0; i < l->kept.marks.n; i++) {
		const struct mark *m = &l->kept.marks.mark[i];
		struct guest *g = guest_find(l, m->uuid);

		if (!g || !m->target_kib || virt_run(l->virt, m->uuid) != m->run)
			continue;
		g->target_kib = m->target_kib;
		g->mem.shrinking = true;
	}
	return settle(l);
}

int mem_loop_settle(struct mem_loop *l)
{
	int left;

	if (!l->adopted) /* no guest was ever seen: what a crash left stands */
		return l->opt->dry_run ? 0 : (int)l->kept.marks.n;
	left = settle(l);
	shrinks_remember(l);
	return left;
}

int mem_loop_restore(struct mem_loop *l)
{
	int left = 0;

	if (l->kept.marks.n) {
		if (virt_guests(l->virt, &l->next) < 0 || guests_merge(l) < 0)
			return -1;
		left = shrinks_adopt(l);
		shrinks_remember(l);
	}
	return l->kept.refused ? -1 : left;
}

int mem_loop_tick(struct mem_loop *l)
{
	bool decide = ++l->ticks >= mem_loop_watches(l->opt->mem_interval_s), bad;

	l->current = false;
	if (virt_guests(l->virt, &l->next) < 0)
		return -1;
	if (decide)
		l->ticks = 0;
	bad = guests_merge(l) < 0;
	log_change(&l->starved, bad, "mem", "out of memory: nothing is decided");
	if (bad)
		return -1;
	if (!l->adopted)
		shrinks_adopt(l);
	host_limit(&l->now.host, l->opt->host_memory_kib, l->guest, l->n);
	mem_decide(&l->state, &l->conf, &l->now.host, l->guest, l->n, l->now.taken_ns, decide,
		   &l->report);
	l->current = true;
	if (shrinks_remember(l) < 0)
		shrinks_cancel(l);
	act(l, decide);
	if (decide && l->opt->metrics)
		metrics_mem(l->opt->metrics, l->guest, l->n, &l->report, l->moves);
	l->decided |= decide;
	if (decide && !l->report.known)
		return -1;
	return l->decided && !unmet(l);
}
