/*
 * cpu.c - one tick of the CPU loop: sample, observe, decide, act, report.
 */
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/virt.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "loop/state.h"
#include "policy/cpu.h"
#include "policy/cpu_observe.h"
#include "policy/sample.h"
#include "report/cpu_log.h"
#include "report/metrics.h"

struct cpu_loop {
	struct virt *virt;
	const struct options *opt;
	struct vcpu_sample now, before; /* this tick's counters and the last one's */
	struct cpu_view view;           /* what the policy sees and remembers */
	struct cpu_conf conf;
	struct cpu_report report; /* what was decided */
	void *work;               /* the policy's scratch memory */
	size_t work_cap;
	struct state kept; /* masks as they were found */
	enum cpu_why said; /* the host decision last logged */
	bool said_any, said_undefined, starved;
	uint64_t pins; /* made since the start */
	bool current;  /* report and view are of the last tick */
	bool heeded;   /* the options were compared with the host */
};

static void *open_loop(struct virt *virt, const struct options *opt)
{
	struct cpu_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->virt = virt;
	l->opt = opt;
	l->conf.tune = opt->cpu_tune;
	l->conf.place_unpinned = opt->place_unpinned;
	state_open(&l->kept, opt, "pins");
	return l;
}

static void close_loop(void *loop)
{
	struct cpu_loop *l = loop;

	state_close(&l->kept);
	virt_vcpus_free(&l->now);
	virt_vcpus_free(&l->before);
	cpu_view_free(&l->view);
	free(l->work);
	free(l);
}

/* ---- what guests were found with ---- */

/* So that it is the same before and after our own pins, and in the next run of this program. */
static struct cpuset first_mask(const struct cpu_loop *l, const struct vcpu_count *c)
{
	const struct cpuset *first = state_first(&l->kept, c->uuid, c->run, c->number);

	return first ? *first : cpu_found_mask(&l->now, c);
}

/* With --allowed found, no vCPU leaves the mask that it was first seen with. */
static int allowed_narrow(struct cpu_loop *l)
{
	for (size_t i = 0; i < l->now.n && l->opt->allowed_found; i++) {
		struct vcpu_count *c = &l->now.vcpu[i];
		struct cpuset now = cpu_found_mask(&l->now, c), allowed;
		int index;

		if (state_found(&l->kept, c->uuid, c->run, c->number, &now, &allowed) < 0)
			return -1;
		cpuset_and(&allowed, &l->now.set[c->allowed]);
		index = array_intern(&l->now.set, &l->now.nsets, &l->now.set_cap, &allowed,
				     sizeof(allowed));
		if (index < 0)
			return -1;
		c->allowed = (unsigned)index;
	}
	return 0;
}

/* Somebody started it pinned, and left nothing that tells how far it may be moved. */
static bool is_undefined(const void *loop, size_t i)
{
	const struct cpu_loop *l = loop;
	const struct vcpu_count *c = l->view.count[i];
	struct cpuset first = first_mask(l, c);

	return c->transient && cpuset_count(&first) < PCPU_MAX;
}

/* Once, before any of them is repinned; those that start later are not said. */
static void say_undefined(struct cpu_loop *l)
{
	if (!l->opt->allowed_found && !l->said_undefined)
		l->said_undefined = cpu_log_undefined(&l->view, is_undefined, l);
}

static int observe(struct cpu_loop *l)
{
	struct cpu_rules rules = { .cpus = l->opt->cpus, .grain = l->opt->grain };
	size_t work;

	if (allowed_narrow(l) < 0 || cpu_observe(&l->view, &rules, &l->before, &l->now) < 0)
		return -1;
	work = cpu_work_size(l->view.host.n, l->view.host.nbins);
	return array_reserve(&l->work, &l->work_cap, work, 1);
}

static bool none_is_online(const struct cpu_loop *l)
{
	struct cpuset usable = l->now.online;

	if (!l->opt->cpus)
		return false;
	cpuset_and(&usable, l->opt->cpus);
	if (cpuset_count(&usable) > 0)
		return false;
	cpu_log_none_online(l->opt->cpus, &l->now.online);
	return true;
}

static bool grain_is_unknown(const struct cpu_loop *l)
{
	if (cpu_knows_grain(&l->now, l->opt->grain))
		return false;
	cpu_log_grain_unknown(grain_words[l->opt->grain]);
	return true;
}

/* An option that names what the host has not, in the first sample: pCPUs may go later. */
static bool is_refused(struct cpu_loop *l)
{
	bool first = !l->heeded;

	l->heeded = true;
	return first && (none_is_online(l) || grain_is_unknown(l));
}

/* ---- report ---- */

/* One line for the host: when it acts, when its reason changes, and always under -n or -v. */
static void say_host(struct cpu_loop *l)
{
	const struct cpu_report *r = &l->report;
	bool news = !l->said_any || l->said != r->why || r->moves > 0;

	cpu_log_host(r, news || l->opt->dry_run ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
	l->said = r->why;
	l->said_any = true;
}

static void report(const void *loop)
{
	const struct cpu_loop *l = loop;

	if (l->current)
		cpu_log_state(&l->view, &l->report);
	else
		log_msg(LOG_PRIO_NOTICE, "cpu: nothing is known now");
}

static const char *status(const void *loop)
{
	const struct cpu_loop *l = loop;

	return l->current ? cpu_why_name(l->report.why) : "taking samples";
}

/* ---- act ---- */

/* What it was not asked for before, since the kernel refused a part: the last to be noted. */
static void mask_noted(struct cpu_loop *l, const struct vcpu *v, const struct vcpu_count *c,
		       const struct cpuset *mask)
{
	struct cpuset found = cpu_found_mask(&l->now, c);

	state_pin(&l->kept, v->uuid, c->run, v->number, &found, mask, mask);
	state_save(&l->kept);
}

/* What a slow daemon leaves no time for is planned anew at the next tick. */
static void vcpu_pin(struct cpu_loop *l, size_t i, int64_t until_ns)
{
	struct vcpu *v = &l->view.host.vcpu[i];
	const struct vcpu_count *c = l->view.count[i];
	struct cpuset mask = cpu_target_mask(&l->view, i), wanted = mask;

	if (l->opt->dry_run) {
		cpu_log_pin(&l->view, i, &mask, PIN_WOULD);
		return;
	}
	if (proc_now_ns() >= until_ns)
		return;
	v->past.pinned =
		virt_pin(l->virt, v->uuid, c->run, v->number, &mask, true) == VIRT_DONE;
	if (!cpuset_equal(&mask, &wanted))
		mask_noted(l, v, c, &mask);
	l->pins += v->past.pinned;
	cpu_log_pin(&l->view, i, &mask, v->past.pinned ? PIN_DONE : PIN_FAILED);
}

static void vcpu_act(struct cpu_loop *l, size_t i, int64_t until_ns)
{
	const struct vcpu *v = &l->view.host.vcpu[i];

	cpu_log_external(&l->view, i);
	if (vcpu_is_to_pin(v))
		vcpu_pin(l, i, until_ns);
	else
		cpu_log_stay(&l->view, i, l->opt->dry_run ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
}

static bool still_runs(const struct mark *m, void *virt)
{
	return m->run && virt_run(virt, m->uuid) == m->run;
}

/* Saves what the vCPUs about to be pinned have, before the first pin is made. */
static int pins_remember(struct cpu_loop *l)
{
	for (size_t i = 0; i < l->view.host.n && !l->opt->dry_run; i++) {
		const struct vcpu *v = &l->view.host.vcpu[i];
		const struct vcpu_count *c = l->view.count[i];
		struct cpuset found, asked;

		if (!vcpu_is_to_pin(v))
			continue;
		found = cpu_found_mask(&l->now, c);
		asked = cpu_target_mask(&l->view, i);
		if (state_pin(&l->kept, v->uuid, c->run, v->number, &found,
			      &l->now.set[c->mask], &asked) < 0) {
			log_change(&l->starved, true, "cpu", "out of memory: no pins are made");
			return -1;
		}
	}
	if (l->kept.changed)
		state_filter(&l->kept, still_runs, l->virt);
	return state_save(&l->kept);
}

static void pins_cancel(struct cpu_loop *l)
{
	for (size_t i = 0; i < l->view.host.n; i++) {
		struct vcpu *v = &l->view.host.vcpu[i];

		v->plan.target = v->now.bin;
		v->plan.widen = false;
	}
}

static int restore(void *loop, int64_t deadline_ns)
{
	struct cpu_loop *l = loop;
	int left = 0;

	if (l->kept.marks.n) {
		if (virt_vcpus(l->virt, &l->now) < 0)
			return -1;
		left = state_restore(&l->kept, l->virt, deadline_ns);
	}
	return l->kept.refused ? -1 : left;
}

static void act(struct cpu_loop *l)
{
	int64_t until_ns = proc_now_ns() + ns_of_s(limit.act_s);

	for (size_t i = 0; i < l->view.host.n; i++)
		vcpu_act(l, i, until_ns);
}

/* ---- a tick ---- */

/* 1: there is one of the same connection before it, to compare it with; 0: not yet. */
static int sample(struct cpu_loop *l)
{
	struct vcpu_sample old = l->before;

	l->before = l->now;
	l->now = old;
	if (virt_vcpus(l->virt, &l->now) < 0) {
		l->now.epoch = 0;
		return -1;
	}
	return l->before.epoch == l->now.epoch && l->now.taken_ns > l->before.taken_ns;
}

static enum tick tick(void *loop)
{
	struct cpu_loop *l = loop;
	int sampled = sample(l);
	bool bad;

	l->current = false;
	if (sampled >= 0 && is_refused(l))
		return TICK_REFUSED;
	if (sampled <= 0)
		return sampled < 0 ? TICK_BLIND : TICK_WAITING;
	bad = observe(l) < 0;
	log_change(&l->starved, bad, "cpu", "out of memory: nothing is decided");
	if (bad)
		return TICK_BLIND;
	say_undefined(l);
	cpu_decide(&l->view.host, &l->conf, l->work, &l->report);
	l->current = true;
	if (pins_remember(l) < 0)
		pins_cancel(l);
	say_host(l);
	act(l);
	if (l->opt->metrics)
		metrics_cpu(l->opt->metrics, &l->view.host, &l->report, l->pins);
	return cpu_part(l->report.why) == CPU_WAITS || l->report.unplaced ? TICK_WAITING
									  : TICK_DECIDED;
}

static unsigned once_per_interval(double interval_s)
{
	(void)interval_s;
	return 1;
}

const struct loop_ops cpu_loop_ops = {
	.name = "cpu",
	.link = "vcpu_scheduler",
	.interval = offsetof(struct options, cpu_interval_s),
	.watches = once_per_interval,
	.open = open_loop,
	.tick = tick,
	.report = report,
	.status = status,
	.restore = restore,
	.close = close_loop,
};
