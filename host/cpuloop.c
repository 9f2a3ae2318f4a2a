/*
 * cpuloop.c - one tick of the CPU loop: counters become fractions of real time, the policy
 * turns them into targets, targets become pins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmbal.h"

#define NS_PER_S  1e9
#define MASK_TEXT 64 /* bytes: a mask in a log line; a longer list is cut */

struct cpu_loop {
	struct virt *virt;
	const struct options *opt;
	struct vcpu_sample now, before; /* this tick's counters and the last one's */
	struct cpu_host host;           /* what the policy sees and remembers */
	struct cpu_report report;
	struct vcpu *merged;             /* the next host.vcpu, while it is made */
	const struct vcpu_count **count; /* host.vcpu[i] was counted here */
	struct cpuset scope;             /* pCPUs that are online and ours to use */
	unsigned bin_of[PCPU_MAX];       /* of each pCPU */
	struct cpuset *allowed;          /* bins allowed by each of now.set as a fence */
	void *work;                      /* the policy's scratch memory */
	size_t vcpu_cap, merged_cap, count_cap, allowed_cap, bin_cap, work_cap;
	struct state kept; /* masks as they were found */
	enum cpu_why said; /* the host decision last logged */
	bool said_any, starved;
	uint64_t pins; /* made since the start */
	bool current;  /* report, host and count are of the last tick */
};

struct cpu_loop *cpu_loop_new(struct virt *virt, const struct options *opt)
{
	struct cpu_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->virt = virt;
	l->opt = opt;
	state_open(&l->kept, opt, "pins");
	return l;
}

void cpu_loop_free(struct cpu_loop *l)
{
	state_close(&l->kept);
	virt_vcpus_free(&l->now);
	virt_vcpus_free(&l->before);
	free(l->host.bin);
	free(l->host.vcpu);
	free(l->merged);
	free(l->count);
	free(l->allowed);
	free(l->work);
	free(l);
}

/* ---- from counters to what the policy sees ---- */

/* What pCPUs of one bin have in common, at this grain; -1: the pCPU is alone. */
static int bin_key(const struct cpu_loop *l, unsigned cpu)
{
	const struct topology *t = &l->now.topology;

	switch (l->opt->grain) {
	case GRAIN_CORE: return t->core[cpu];
	case GRAIN_CACHE: return t->cache[cpu];
	case GRAIN_NODE: return t->node[cpu];
	default: return -1;
	}
}

/* A bin has the number of its first pCPU, so that it keeps it when others come and go. */
static void bins_map(struct cpu_loop *l)
{
	for (unsigned i = 0; i < l->now.npcpus; i++) {
		int key = bin_key(l, i);

		l->bin_of[i] = i;
		for (unsigned first = 0; key >= 0 && first < i; first++)
			if (bin_key(l, first) == key) {
				l->bin_of[i] = first;
				break;
			}
	}
}

static int bins_reserve(struct cpu_loop *l)
{
	size_t want = l->now.npcpus, had = l->host.nbins;

	if (want <= had)
		return 0;
	if (array_reserve(&l->host.bin, &l->bin_cap, want, sizeof(*l->host.bin)) < 0)
		return -1;
	memset(l->host.bin + had, 0, (want - had) * sizeof(*l->host.bin));
	l->host.nbins = want;
	return 0;
}

/* The pCPUs that guests may be given. */
static void scope_fill(struct cpu_loop *l)
{
	l->scope = l->now.online;
	if (l->opt->cpus)
		cpuset_and(&l->scope, l->opt->cpus);
	else
		for (size_t w = 0; w < PCPU_MAX / 64; w++)
			l->scope.bits[w] &= ~l->now.isolated.bits[w];
}

static double pcpu_busy(const struct cpu_loop *l, unsigned i)
{
	uint64_t busy, idle;

	if (i >= l->before.npcpus || !cpuset_has(&l->before.online, i))
		return -1;
	busy = l->now.pcpu[i].busy_ns - l->before.pcpu[i].busy_ns;
	idle = l->now.pcpu[i].idle_ns - l->before.pcpu[i].idle_ns;
	if (l->now.pcpu[i].busy_ns < l->before.pcpu[i].busy_ns ||
	    l->now.pcpu[i].idle_ns < l->before.pcpu[i].idle_ns || busy + idle == 0)
		return -1;
	return (double)busy / (double)(busy + idle);
}

/* A bin is as busy as its pCPUs together; unknown if one of them is. */
static void bins_fill(struct cpu_loop *l)
{
	for (size_t i = 0; i < l->host.nbins; i++)
		l->host.bin[i].capacity = l->host.bin[i].busy = 0;
	for (unsigned i = 0; i < l->now.npcpus; i++) {
		struct bin *b = &l->host.bin[l->bin_of[i]];
		double busy;

		if (!cpuset_has(&l->scope, i))
			continue;
		busy = pcpu_busy(l, i);
		b->capacity++;
		b->core = l->now.topology.core[i];
		b->cache = l->now.topology.cache[i];
		b->node = l->now.topology.node[i];
		b->busy = b->busy < 0 || busy < 0 ? -1 : b->busy + busy;
	}
}

/* The bins that each distinct mask reaches within the scope, and the pCPUs of it there. */
static int allowed_fill(struct cpu_loop *l)
{
	if (array_reserve(&l->allowed, &l->allowed_cap, l->now.nsets, sizeof(*l->allowed)) < 0)
		return -1;
	for (size_t i = 0; i < l->now.nsets; i++) {
		struct cpuset pcpus = l->now.set[i];

		cpuset_and(&pcpus, &l->scope);
		memset(&l->allowed[i], 0, sizeof(l->allowed[i]));
		for (unsigned c = 0; c < l->now.npcpus; c++)
			if (cpuset_has(&pcpus, c))
				cpuset_add(&l->allowed[i], l->bin_of[c]);
	}
	return 0;
}

/* With --cpus, a mask that reaches beyond it is as bad as one that reaches no bin. */
static bool mask_is_outside(const struct cpu_loop *l, const struct cpuset *mask)
{
	for (size_t w = 0; l->opt->cpus && w < PCPU_MAX / 64; w++)
		if (mask->bits[w] & l->now.online.bits[w] & ~l->opt->cpus->bits[w])
			return true;
	return false;
}

static int mask_bin(const struct cpu_loop *l, unsigned mask)
{
	const struct cpuset *bins = &l->allowed[mask];
	size_t n = cpuset_count(bins);

	if (n == 0 || mask_is_outside(l, &l->now.set[mask]))
		return BIN_ASTRAY;
	return n == 1 ? cpuset_first(bins) : BIN_FLOATS;
}

/*
 * Nobody's to place, so that its load counts as other load: a vCPU whose fence has no pCPU
 * that is online and ours, or that somebody has put on isolated pCPUs.
 */
static bool is_unmanaged(const struct cpu_loop *l, const struct vcpu_count *c)
{
	struct cpuset live = l->now.set[c->mask];

	if (cpuset_count(&l->allowed[c->fence]) == 0)
		return true;
	cpuset_and(&live, &l->now.isolated);
	return !l->opt->cpus && cpuset_count(&live) > 0 &&
	       cpuset_count(&l->allowed[c->mask]) == 0;
}

static int count_order(const struct vcpu_count *a, const unsigned char *uuid, unsigned number)
{
	int order = memcmp(a->uuid, uuid, UUID_LEN);

	return order ? order : (a->number > number) - (a->number < number);
}

/* Counters that went backwards are those of another run of the guest: no sample. */
static void vcpu_measure(struct vcpu *v, const struct vcpu_count *c, const struct vcpu_count *b,
			 double elapsed_ns)
{
	v->sampled = b && b->boot_id == c->boot_id && c->run_ns >= b->run_ns;
	if (!v->sampled)
		return;
	v->run = (double)(c->run_ns - b->run_ns) / elapsed_ns;
	v->wait = -1;
	if (c->wait_ns != UINT64_MAX && b->wait_ns != UINT64_MAX && c->wait_ns >= b->wait_ns)
		v->wait = (double)(c->wait_ns - b->wait_ns) / elapsed_ns;
}

static void vcpu_identify(struct cpu_loop *l, struct vcpu *v, const struct vcpu_count *c)
{
	memcpy(v->uuid, c->uuid, UUID_LEN);
	v->number = c->number;
	v->guest = l->now.name[c->name];
	v->allowed = &l->allowed[c->fence];
	v->bin = mask_bin(l, c->mask);
	v->stuck = c->blocked;
	v->quota = c->quota;
}

/* The last tick's vCPU with this identity, or NULL; *at walks the sorted array once. */
static const struct vcpu *vcpu_known(const struct cpu_loop *l, const struct vcpu_count *c,
				     size_t *at)
{
	const struct vcpu *old = l->host.vcpu;

	while (*at < l->host.n && count_order(c, old[*at].uuid, old[*at].number) > 0)
		(*at)++;
	if (*at < l->host.n && count_order(c, old[*at].uuid, old[*at].number) == 0)
		return &old[*at];
	return NULL;
}

static const struct vcpu_count *count_before(const struct cpu_loop *l,
					     const struct vcpu_count *c, size_t *at)
{
	const struct vcpu_sample *b = &l->before;

	while (*at < b->n && count_order(&b->vcpu[*at], c->uuid, c->number) < 0)
		(*at)++;
	if (*at < b->n && count_order(&b->vcpu[*at], c->uuid, c->number) == 0)
		return &b->vcpu[*at];
	return NULL;
}

/* Lines up this sample with the last one and with the policy's history: all are sorted alike.
 */
static void vcpus_merge(struct cpu_loop *l, double elapsed_ns)
{
	size_t known = 0, counted = 0, matched = 0, n = 0;

	for (size_t i = 0; i < l->now.n; i++) {
		const struct vcpu_count *c = &l->now.vcpu[i];
		const struct vcpu_count *b = count_before(l, c, &counted);
		const struct vcpu *old = vcpu_known(l, c, &known);
		struct vcpu *v = &l->merged[n];

		matched += b != NULL;
		if (is_unmanaged(l, c))
			continue;
		memset(v, 0, sizeof(*v));
		if (old)
			*v = *old;
		vcpu_identify(l, v, c);
		vcpu_measure(v, c, b, elapsed_ns);
		l->count[n++] = c;
	}
	l->host.churned = matched != l->now.n || matched != l->before.n;
	l->host.n = n;
}

static int vcpus_reserve(struct cpu_loop *l)
{
	size_t work = cpu_work_size(l->now.n, l->host.nbins);

	if (array_reserve(&l->merged, &l->merged_cap, l->now.n + 1, sizeof(*l->merged)) < 0 ||
	    array_reserve(&l->count, &l->count_cap, l->now.n + 1, sizeof(*l->count)) < 0)
		return -1;
	return array_reserve(&l->work, &l->work_cap, work, 1);
}

static int sample_take_in(struct cpu_loop *l)
{
	double elapsed_ns = (double)(l->now.taken_ns - l->before.taken_ns);
	struct vcpu *old;
	size_t cap;

	scope_fill(l);
	bins_map(l);
	if (bins_reserve(l) < 0 || allowed_fill(l) < 0 || vcpus_reserve(l) < 0)
		return -1;
	bins_fill(l);
	vcpus_merge(l, elapsed_ns);
	l->host.elapsed_s = elapsed_ns / NS_PER_S;
	old = l->host.vcpu;
	cap = l->vcpu_cap;
	l->host.vcpu = l->merged;
	l->vcpu_cap = l->merged_cap;
	l->merged = old;
	l->merged_cap = cap;
	return 0;
}

/* ---- report ---- */

static void say_vcpu(struct cpu_loop *l, const struct vcpu *v, const struct vcpu_count *c,
		     const struct cpuset *mask, const char *verb)
{
	char from[MASK_TEXT], to[MASK_TEXT];

	log_msg(LOG_PRIO_INFO,
		"cpu: %s %s/%u from %s to %s: %s: run %.2f, wait %.2f, demand %.2f CPU", verb,
		v->guest, v->number, cpuset_text(&l->now.set[c->mask], from, sizeof(from)),
		cpuset_text(mask, to, sizeof(to)), vcpu_why_name(v->why), v->run,
		v->wait < 0 ? 0 : v->wait, v->demand);
}

static void say_stay(const struct cpu_loop *l, const struct vcpu *v, const struct vcpu_count *c,
		     const char *verb, enum log_priority priority)
{
	char at[MASK_TEXT];

	log_msg(priority, "cpu: %s %s/%u on %s: %s: run %.2f, wait %.2f, demand %.2f CPU", verb,
		v->guest, v->number, cpuset_text(&l->now.set[c->mask], at, sizeof(at)),
		vcpu_why_name(v->why), v->run, v->wait < 0 ? 0 : v->wait, v->demand);
}

static void say_figures(const struct cpu_loop *l, enum log_priority priority)
{
	const struct cpu_report *r = &l->report;

	log_msg(priority,
		"cpu: %s: spread %.1f -> %.1f points, fullest pCPU %.2f -> %.2f (bound %.2f), "
		"%zu pins wanted (at least %zu), noise %.3f, wait %u intervals",
		cpu_why_name(r->why), r->spread, r->spread_after, r->fullest, r->fullest_after,
		r->bound, r->moves, r->fewest, r->noise, r->wait);
}

/* Once, when it begins: we pinned it, somebody else put it back, again and again. */
static void say_foreign(const struct cpu_loop *l, const struct vcpu *v,
			const struct vcpu_count *c)
{
	char at[MASK_TEXT];

	if (v->why == VCPU_FOREIGN && v->was != VCPU_FOREIGN)
		log_msg(LOG_PRIO_NOTICE, "cpu: %s/%u is left alone on %s: %s", v->guest,
			v->number, cpuset_text(&l->now.set[c->mask], at, sizeof(at)),
			vcpu_why_name(v->why));
}

/* One line for the host: when it acts, when its reason changes, and always under -n or -v. */
static void say_host(struct cpu_loop *l)
{
	const struct cpu_report *r = &l->report;
	bool news = !l->said_any || l->said != r->why || r->moves > 0;

	say_figures(l, news || l->opt->dry_run ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
	l->said = r->why;
	l->said_any = true;
}

static void say_bin(const struct cpu_loop *l, unsigned bin)
{
	const struct bin *b = &l->host.bin[bin];
	struct cpuset pcpus = l->scope;
	char text[MASK_TEXT];

	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(&pcpus, i) && l->bin_of[i] != bin)
			pcpus.bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	log_msg(LOG_PRIO_NOTICE,
		"cpu: state of pCPU %s: load %.2f, busy %.2f, other load %.2f of %g CPUs",
		cpuset_text(&pcpus, text, sizeof(text)), b->load, b->busy < 0 ? 0 : b->busy,
		b->other, b->capacity);
}

void cpu_loop_report(const struct cpu_loop *l)
{
	if (!l->current) {
		log_msg(LOG_PRIO_NOTICE, "cpu: nothing is known now");
		return;
	}
	say_figures(l, LOG_PRIO_NOTICE);
	for (unsigned i = 0; i < l->host.nbins; i++)
		if (l->host.bin[i].capacity > 0)
			say_bin(l, i);
	for (size_t i = 0; i < l->host.n; i++)
		say_stay(l, &l->host.vcpu[i], l->count[i], "state of", LOG_PRIO_NOTICE);
}

const char *cpu_loop_status(const struct cpu_loop *l)
{
	return l->current ? cpu_why_name(l->report.why) : "taking samples";
}

/* ---- act ---- */

/* All pCPUs of the bin that the fence allows: inside a bin the kernel chooses. */
static struct cpuset target_mask(const struct cpu_loop *l, const struct vcpu *v,
				 const struct vcpu_count *c)
{
	struct cpuset mask = l->now.set[c->fence];

	cpuset_and(&mask, &l->scope);
	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(&mask, i) && (int)l->bin_of[i] != v->target)
			mask.bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	return mask;
}

/* What a slow daemon leaves no time for is planned anew at the next tick. */
static void vcpu_act(struct cpu_loop *l, struct vcpu *v, const struct vcpu_count *c,
		     int64_t until_ns)
{
	struct cpuset mask;

	say_foreign(l, v, c);
	if (v->target == v->bin) {
		say_stay(l, v, c, "leave", l->opt->dry_run ? LOG_PRIO_INFO : LOG_PRIO_DEBUG);
		return;
	}
	mask = target_mask(l, v, c);
	if (l->opt->dry_run) {
		say_vcpu(l, v, c, &mask, "would pin");
		return;
	}
	if (proc_now_ns() >= until_ns)
		return;
	v->pinned = virt_pin(l->virt, v->uuid, c->run, v->number, &mask, true) == VIRT_DONE;
	l->pins += v->pinned;
	say_vcpu(l, v, c, &mask, v->pinned ? "pin" : "could not pin");
}

/* What a vCPU was found with; one that floated is to float again, whatever is online then. */
static struct cpuset found_mask(const struct cpu_loop *l, const struct vcpu_count *c)
{
	struct cpuset found = l->now.set[c->mask], reached = found;

	cpuset_and(&reached, &l->now.online);
	if (cpuset_equal(&reached, &l->now.online))
		memset(&found, 0xff, sizeof(found));
	return found;
}

static bool still_runs(const struct mark *m, void *virt)
{
	return m->run && virt_run(virt, m->uuid) == m->run;
}

/* Saves what the vCPUs about to be pinned have, before the first pin is made. */
static int pins_remember(struct cpu_loop *l)
{
	for (size_t i = 0; i < l->host.n && !l->opt->dry_run; i++) {
		const struct vcpu *v = &l->host.vcpu[i];
		const struct vcpu_count *c = l->count[i];
		struct cpuset found, asked;

		if (v->target == v->bin)
			continue;
		found = found_mask(l, c);
		asked = target_mask(l, v, c);
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
	for (size_t i = 0; i < l->host.n; i++)
		l->host.vcpu[i].target = l->host.vcpu[i].bin;
}

int cpu_loop_restore(struct cpu_loop *l, int64_t deadline_ns)
{
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
	int64_t until_ns = proc_now_ns() + ACT_NS;

	say_host(l);
	for (size_t i = 0; i < l->host.n; i++)
		vcpu_act(l, &l->host.vcpu[i], l->count[i], until_ns);
}

int cpu_loop_tick(struct cpu_loop *l)
{
	struct vcpu_sample spare = l->before;
	bool bad;

	l->before = l->now;
	l->now = spare;
	l->current = false;
	if (virt_vcpus(l->virt, &l->now) < 0) {
		l->now.epoch = 0;
		return -1;
	}
	if (l->before.epoch != l->now.epoch || l->now.taken_ns <= l->before.taken_ns)
		return 0;
	bad = sample_take_in(l) < 0;
	log_change(&l->starved, bad, "cpu", "out of memory: nothing is decided");
	if (bad)
		return -1;
	cpu_decide(&l->host, &cpu_limits_default, l->work, &l->report);
	l->current = true;
	if (pins_remember(l) < 0)
		pins_cancel(l);
	act(l);
	if (l->opt->metrics)
		metrics_cpu(l->opt->metrics, &l->host, &l->report, l->pins);
	return l->report.why != CPU_PERSIST;
}
