/*
 * mem.c - one tick of the memory loop: sample, observe, decide, act, report.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/virt.h"
#include "loop/loop.h"
#include "loop/state.h"
#include "policy/mem.h"
#include "policy/mem_observe.h"
#include "policy/sample.h"
#include "report/mem_log.h"
#include "report/metrics.h"

struct mem_loop {
	struct virt *virt;
	const struct options *opt;
	struct guest_sample now, next; /* next: while it is taken; guests' names are in now */
	struct mem_view view;          /* what the policy sees and remembers */
	size_t turn;                   /* the guest that the last tick had no time for */
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

static unsigned watches(double interval_s)
{
	return (unsigned)fmax(1, ceil(interval_s / limit.watch_s));
}

static void *open_loop(struct virt *virt, const struct options *opt)
{
	struct mem_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->virt = virt;
	l->opt = opt;
	l->conf.tune = opt->mem_tune;
	l->conf.interval_s = opt->mem_interval_s;
	l->conf.reserve_kib = opt->host_reserve_kib;
	l->conf.overcommit = opt->overcommit;
	l->conf.surplus = opt->surplus_to_guests;
	state_open(&l->kept, opt, "shrinks");
	return l;
}

static void close_loop(void *loop)
{
	struct mem_loop *l = loop;

	state_close(&l->kept);
	virt_guests_free(&l->now);
	virt_guests_free(&l->next);
	mem_view_free(&l->view);
	free(l);
}

/* The guests' names are in the sample that the view is of. */
static int observe(struct mem_loop *l)
{
	struct guest_sample old = l->now;

	if (mem_observe(&l->conf.tune, &l->view, l->opt->host_memory_kib, &l->next) < 0)
		return -1;
	l->now = l->next;
	l->next = old;
	return 0;
}

/* ---- report ---- */

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

/* One line for the host: when it acts, when its state changes, and always under -n or -v. */
static void say_host(struct mem_loop *l, bool decide)
{
	if (!l->report.known)
		return;
	mem_log_host(&l->report, say_host_priority(l, decide));
	if (l->report.borrowed_kib)
		mem_log_borrowed(&l->report);
	l->said = l->report.state;
	l->said_any = true;
}

static void report(const void *loop)
{
	const struct mem_loop *l = loop;

	if (l->current)
		mem_log_state(&l->view, &l->report);
	else
		log_msg(LOG_PRIO_NOTICE, "mem: nothing is known now");
}

static const char *status(const void *loop)
{
	const struct mem_loop *l = loop;

	if (!l->current)
		return "taking samples";
	return l->report.known ? mem_host_state_words(l->report.state) : "host memory unknown";
}

/* ---- act ---- */

/* A busy guest is left alone by virt_act.c already; one that refuses, by the policy. */
static void guest_command(struct mem_loop *l, struct guest *g)
{
	enum virt_result result =
		virt_set_memory(l->virt, g->uuid, g->plan.command_kib + g->now.offline_kib);

	if (result == VIRT_HUNG) /* it may do it when it wakes */
		mem_applied(&l->conf.tune, g, proc_now_ns());
	if (result == VIRT_DONE) {
		mem_log_guest(g, MEM_DONE, LOG_PRIO_INFO);
		mem_applied(&l->conf.tune, g, proc_now_ns());
		l->moves++;
		return;
	}
	mem_log_guest(g, MEM_FAILED, LOG_PRIO_INFO);
	if (result == VIRT_FAILED || (result == VIRT_BUSY && g->now.state == GUEST_UNMANAGED))
		mem_refused(&l->conf, g, proc_now_ns());
}

static void guest_act(struct mem_loop *l, struct guest *g, bool decide)
{
	bool told = l->opt->dry_run && decide;

	if (!g->plan.command_kib)
		mem_log_guest(g, MEM_LEFT, told ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
	else if (l->opt->dry_run)
		mem_log_guest(g, MEM_WOULD, LOG_PRIO_INFO);
	else
		guest_command(l, g);
}

/* What a slow daemon leaves no time for is decided anew at the next tick, and has its turn. */
static void act(struct mem_loop *l, bool decide)
{
	int64_t until_ns = proc_now_ns() + ns_of_s(limit.act_s);
	size_t done = 0;

	say_host(l, decide);
	for (; done < l->view.n && proc_now_ns() < until_ns; done++)
		guest_act(l, &l->view.guest[(l->turn + done) % l->view.n], decide);
	l->turn = l->view.n ? (l->turn + done) % l->view.n : 0;
}

static bool unmet(const struct mem_loop *l)
{
	for (size_t i = 0; i < l->view.n; i++)
		if (mem_is_unmet(&l->conf.tune, &l->view.guest[i]))
			return true;
	return false;
}

static bool still_shrinks(const struct mark *m, void *loop)
{
	const struct mem_loop *l = loop;
	const struct guest *g = mem_view_find(&l->view, m->uuid);

	return g && mem_shrinks_to(&l->conf.tune, g) != 0;
}

/*
 * Saves the shrinks under way before the first of them is sent: nobody can ask a balloon for
 * its target, so that after a crash the file alone knows of one that is not met.
 */
static int shrinks_remember(struct mem_loop *l)
{
	state_filter(&l->kept, still_shrinks, l);
	for (size_t i = 0; i < l->view.n && !l->opt->dry_run; i++) {
		const struct guest *g = &l->view.guest[i];
		uint64_t target_kib = mem_shrinks_to(&l->conf.tune, g);

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
	for (size_t i = 0; i < l->view.n; i++)
		if (l->view.guest[i].plan.command_kib < l->view.guest[i].mem.target_kib)
			l->view.guest[i].plan.command_kib = 0;
}

/* A shrink that nobody watches any more can kill its guest. */
static int shrinks_end(struct mem_loop *l)
{
	int left = 0;

	for (size_t i = 0; i < l->view.n; i++) {
		struct guest *g = &l->view.guest[i];

		if (!mem_take_back(&l->conf.tune, g))
			continue;
		if (l->opt->dry_run)
			mem_log_guest(g, MEM_WOULD, LOG_PRIO_INFO);
		else
			guest_command(l, g);
		g->plan.command_kib = 0;
		left += !l->opt->dry_run && mem_is_unmet(&l->conf.tune, g);
	}
	return left;
}

/* The same for those that a crash left. */
static int shrinks_adopt(struct mem_loop *l)
{
	l->adopted = true;
	for (size_t i = 0; i < l->kept.marks.n; i++) {
		const struct mark *m = &l->kept.marks.mark[i];
		struct guest *g = mem_view_find(&l->view, m->uuid);

		if (g && m->target_kib && virt_run(l->virt, m->uuid) == m->run)
			mem_adopt(g, m->target_kib);
	}
	return shrinks_end(l);
}

static int take_back(void *loop)
{
	struct mem_loop *l = loop;
	int left;

	if (!l->adopted) /* no guest was ever seen: what a crash left stands */
		return l->opt->dry_run ? 0 : (int)l->kept.marks.n;
	left = shrinks_end(l);
	shrinks_remember(l);
	return left;
}

static int restore(void *loop, int64_t deadline_ns)
{
	struct mem_loop *l = loop;
	int left = 0;

	(void)deadline_ns; /* nobody is to be left with a shrink that is not watched */

	if (l->kept.marks.n) {
		if (virt_guests(l->virt, &l->next) < 0 || observe(l) < 0)
			return -1;
		left = shrinks_adopt(l);
		shrinks_remember(l);
	}
	return l->kept.refused ? -1 : left;
}

static enum tick tick(void *loop)
{
	struct mem_loop *l = loop;
	bool decide = ++l->ticks >= watches(l->opt->mem_interval_s), bad;

	l->current = false;
	if (virt_guests(l->virt, &l->next) < 0)
		return TICK_BLIND;
	if (decide)
		l->ticks = 0;
	bad = observe(l) < 0;
	log_change(&l->starved, bad, "mem", "out of memory: nothing is decided");
	if (bad)
		return TICK_BLIND;
	if (!l->adopted)
		shrinks_adopt(l);
	mem_decide(&l->state, &l->conf, &l->view.host, l->view.guest, l->view.n,
		   l->now.taken_ns, decide, &l->report);
	l->current = true;
	if (shrinks_remember(l) < 0)
		shrinks_cancel(l);
	act(l, decide);
	if (decide && l->opt->metrics)
		metrics_mem(l->opt->metrics, l->view.guest, l->view.n, &l->report, l->moves);
	l->decided |= decide;
	if (decide && !l->report.known)
		return TICK_BLIND;
	return l->decided && !unmet(l) ? TICK_DECIDED : TICK_WAITING;
}

const struct loop_ops mem_loop_ops = {
	.name = "mem",
	.link = "memory_coordinator",
	.interval = offsetof(struct options, mem_interval_s),
	.watches = watches,
	.open = open_loop,
	.tick = tick,
	.report = report,
	.status = status,
	.restore = restore,
	.take_back = take_back,
	.close = close_loop,
};
