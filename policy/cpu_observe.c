/*
 * cpu_observe.c - counters become shares of real time, masks become bins.
 *
 * Two samples of the same vCPUs, pCPUs and runs of guests make an interval: what ran and what
 * waited is divided by the time between them.  The pCPUs that share what the grain says are a
 * bin, named by its lowest pCPU, so that a bin keeps its index while pCPUs come and go.  A mask
 * inside one bin puts its vCPU there; one that spans several leaves it to the kernel, unpinned.
 * What is remembered of a vCPU goes on by UUID and number, unless its guest was started anew.
 */
#include <string.h>

#include "lib/array.h"
#include "lib/units.h"
#include "policy/cpu_observe.h"

/* What one call of cpu_observe works with. */
struct look {
	struct cpu_view *view;
	const struct cpu_rules *rules;
	const struct vcpu_sample *before, *now;
};

/* What pCPUs of one bin have in common, at this grain; -1: the pCPU is alone. */
static int bin_key(const struct topology *t, enum grain grain, unsigned cpu)
{
	switch (grain) {
	case GRAIN_CORE: return t->core[cpu];
	case GRAIN_CACHE: return t->cache[cpu];
	case GRAIN_NODE: return t->node[cpu];
	default: return -1;
	}
}

bool cpu_knows_grain(const struct vcpu_sample *now, enum grain grain)
{
	for (unsigned i = 0; i < now->npcpus; i++)
		if (bin_key(&now->topology, grain, i) >= 0)
			return true;
	return grain == GRAIN_CPU;
}

/* A bin has the number of its first pCPU, so that it keeps it when others come and go. */
static void bins_map(struct look *l)
{
	for (unsigned i = 0; i < l->now->npcpus; i++) {
		int key = bin_key(&l->now->topology, l->rules->grain, i);

		l->view->bin_of[i] = i;
		for (unsigned first = 0; key >= 0 && first < i; first++)
			if (bin_key(&l->now->topology, l->rules->grain, first) == key) {
				l->view->bin_of[i] = first;
				break;
			}
	}
}

static int bins_reserve(struct look *l)
{
	struct cpu_host *h = &l->view->host;
	size_t want = l->now->npcpus;

	if (want <= h->nbins)
		return 0;
	if (array_reserve(&h->bin, &l->view->bin_cap, want, sizeof(*h->bin)) < 0)
		return -1;
	memset(h->bin + h->nbins, 0, (want - h->nbins) * sizeof(*h->bin));
	h->nbins = want;
	return 0;
}

/* The pCPUs that guests may be given. */
static void scope_fill(struct look *l)
{
	struct cpuset *scope = &l->view->scope;

	*scope = l->now->online;
	cpuset_and(scope, &l->now->open);
	if (l->rules->cpus)
		cpuset_and(scope, l->rules->cpus);
	else
		for (size_t w = 0; w < PCPU_MAX / 64; w++)
			scope->bits[w] &= ~l->now->isolated.bits[w];
}

/* The busy share of a pCPU's time, and of that the interrupts'; -1: unknown. */
static double pcpu_busy(const struct look *l, unsigned i, double *irq)
{
	const struct cpu_time *now = &l->now->pcpu[i], *was = &l->before->pcpu[i];
	uint64_t busy, idle;

	*irq = 0;
	if (i >= l->before->npcpus || !cpuset_has(&l->before->online, i))
		return -1;
	busy = now->busy_ns - was->busy_ns;
	idle = now->idle_ns - was->idle_ns;
	if (now->busy_ns < was->busy_ns || now->idle_ns < was->idle_ns || busy + idle == 0)
		return -1;
	if (now->irq_ns > was->irq_ns)
		*irq = (double)(now->irq_ns - was->irq_ns) / (double)(busy + idle);
	return (double)busy / (double)(busy + idle);
}

/* Is pCPU i the first of its core in its bin that is ours? */
static bool core_is_new(const struct look *l, unsigned i)
{
	int core = l->now->topology.core[i];

	for (unsigned k = core < 0 ? i : (unsigned)core; k < i; k++)
		if (l->now->topology.core[k] == core &&
		    l->view->bin_of[k] == l->view->bin_of[i] && cpuset_has(&l->view->scope, k))
			return false;
	return true;
}

/*
 * A bin is as strong, and as busy, as its pCPUs together: half the time of one that can do a
 * third of what the strongest can is a sixth of a CPU.  Unknown if one of them is.
 */
static void bins_fill(struct look *l)
{
	for (size_t i = 0; i < l->view->host.nbins; i++) {
		struct bin_figures *f = &l->view->host.bin[i].now;

		f->capacity = f->cores = f->busy = f->irq = f->pcpus = 0;
	}
	for (unsigned i = 0; i < l->now->npcpus; i++) {
		struct bin *b = &l->view->host.bin[l->view->bin_of[i]];
		double capacity = l->now->topology.capacity[i], busy, irq;

		if (!cpuset_has(&l->view->scope, i))
			continue;
		busy = pcpu_busy(l, i, &irq) * capacity;
		b->now.irq += irq * capacity;
		b->now.capacity += capacity;
		b->now.pcpus++;
		b->now.cores += core_is_new(l, i) ? capacity : 0;
		b->now.core = l->now->topology.core[i];
		b->now.cache = l->now->topology.cache[i];
		b->now.node = l->now->topology.node[i];
		b->now.busy = b->now.busy < 0 || busy < 0 ? -1 : b->now.busy + busy;
	}
}

/* The bins that each distinct mask reaches within the scope, and the pCPUs of it there. */
static int allowed_fill(struct look *l)
{
	if (array_reserve(&l->view->allowed, &l->view->allowed_cap, l->now->nsets,
			  sizeof(*l->view->allowed)) < 0)
		return -1;
	for (size_t i = 0; i < l->now->nsets; i++) {
		struct cpuset pcpus = l->now->set[i];

		cpuset_and(&pcpus, &l->view->scope);
		memset(&l->view->allowed[i], 0, sizeof(l->view->allowed[i]));
		for (unsigned c = 0; c < l->now->npcpus; c++)
			if (cpuset_has(&pcpus, c))
				cpuset_add(&l->view->allowed[i], l->view->bin_of[c]);
	}
	return 0;
}

/* With --cpus, a mask that reaches beyond it is as bad as one that reaches no bin. */
static bool mask_is_outside(const struct look *l, const struct cpuset *mask)
{
	for (size_t w = 0; l->rules->cpus && w < PCPU_MAX / 64; w++)
		if (mask->bits[w] & l->now->online.bits[w] & ~l->rules->cpus->bits[w])
			return true;
	return false;
}

static int mask_bin(const struct look *l, unsigned mask)
{
	const struct cpuset *bins = &l->view->allowed[mask];
	size_t n = cpuset_count(bins);

	if (n == 0 || mask_is_outside(l, &l->now->set[mask]))
		return BIN_OUTSIDE;
	return n == 1 ? cpuset_first(bins) : BIN_UNPINNED;
}

/* Does the mask leave out pCPUs of the bin that the vCPU may use? */
static bool mask_is_narrow(const struct look *l, const struct vcpu_count *c, int bin)
{
	const struct cpuset *mask = &l->now->set[c->mask], *allowed = &l->now->set[c->allowed];

	for (unsigned w = 0; w < PCPU_MAX / 64; w++) {
		uint64_t missing = allowed->bits[w] & l->view->scope.bits[w] & ~mask->bits[w];

		for (; missing; missing &= missing - 1)
			if ((int)l->view->bin_of[w * 64 + (unsigned)__builtin_ctzll(missing)] ==
			    bin)
				return true;
	}
	return false;
}

/*
 * Nobody's to place, so that its load counts as background load: a vCPU whose owner wants it
 * left alone, with no allowed pCPU that is online and ours, or that somebody has put on
 * isolated pCPUs.
 */
static bool is_unmanaged(const struct look *l, const struct vcpu_count *c)
{
	struct cpuset live = l->now->set[c->mask];

	if (c->policy.cpu_off || cpuset_count(&l->view->allowed[c->allowed]) == 0)
		return true;
	cpuset_and(&live, &l->now->isolated);
	return !l->rules->cpus && cpuset_count(&live) > 0 &&
	       cpuset_count(&l->view->allowed[c->mask]) == 0;
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
	v->now.sampled = b && b->boot_id == c->boot_id && c->run_ns >= b->run_ns;
	if (!v->now.sampled)
		return;
	v->now.run = (double)(c->run_ns - b->run_ns) / elapsed_ns;
	v->now.wait = -1;
	if (c->wait_ns != UINT64_MAX && b->wait_ns != UINT64_MAX && c->wait_ns >= b->wait_ns)
		v->now.wait = (double)(c->wait_ns - b->wait_ns) / elapsed_ns;
}

static void vcpu_identify(struct look *l, struct vcpu *v, const struct vcpu_count *c)
{
	memcpy(v->uuid, c->uuid, UUID_LEN);
	v->number = c->number;
	v->guest = l->now->name[c->name];
	v->now.allowed = &l->view->allowed[c->allowed];
	v->now.bin = mask_bin(l, c->mask);
	v->now.narrow = v->now.bin >= 0 && mask_is_narrow(l, c, v->now.bin);
	v->now.held = c->held;
	v->now.quota = c->quota;
	v->now.memory = c->memory;
	v->now.policy = c->policy;
}

/* The last tick's vCPU with this identity, or NULL; *at walks the sorted array once. */
static const struct vcpu *vcpu_known(const struct look *l, const struct vcpu_count *c,
				     size_t *at)
{
	const struct vcpu *old = l->view->host.vcpu;

	while (*at < l->view->host.n && count_order(c, old[*at].uuid, old[*at].number) > 0)
		(*at)++;
	if (*at < l->view->host.n && count_order(c, old[*at].uuid, old[*at].number) == 0)
		return &old[*at];
	return NULL;
}

static const struct vcpu_count *count_before(const struct look *l, const struct vcpu_count *c,
					     size_t *at)
{
	const struct vcpu_sample *b = l->before;

	while (*at < b->n && count_order(&b->vcpu[*at], c->uuid, c->number) < 0)
		(*at)++;
	if (*at < b->n && count_order(&b->vcpu[*at], c->uuid, c->number) == 0)
		return &b->vcpu[*at];
	return NULL;
}

/* Lines up this sample with the last one and with the policy's history: all are sorted alike.
 */
static void vcpus_merge(struct look *l, double elapsed_ns)
{
	size_t known = 0, counted = 0, matched = 0, n = 0;

	for (size_t i = 0; i < l->now->n; i++) {
		const struct vcpu_count *c = &l->now->vcpu[i];
		const struct vcpu_count *b = count_before(l, c, &counted);
		const struct vcpu *old = vcpu_known(l, c, &known);
		struct vcpu *v = &l->view->merged[n];

		matched += b != NULL;
		if (is_unmanaged(l, c))
			continue;
		memset(v, 0, sizeof(*v));
		if (old)
			*v = *old;
		/* A new run has its definition's mask. */
		v->past.widened &= b && b->run == c->run;
		vcpu_identify(l, v, c);
		vcpu_measure(v, c, b, elapsed_ns);
		l->view->count[n++] = c;
	}
	l->view->host.churned = matched != l->now->n || matched != l->before->n;
	l->view->host.n = n;
}

static int vcpus_reserve(struct cpu_view *v, size_t n)
{
	if (array_reserve(&v->merged, &v->merged_cap, n + 1, sizeof(*v->merged)) < 0)
		return -1;
	return array_reserve(&v->count, &v->count_cap, n + 1, sizeof(*v->count));
}

/* ---- the whole ---- */

/* What was merged is the view now; the room of what it was is used for the next. */
static void vcpus_swap(struct cpu_view *v)
{
	struct vcpu *old = v->host.vcpu;
	size_t cap = v->vcpu_cap;

	v->host.vcpu = v->merged;
	v->vcpu_cap = v->merged_cap;
	v->merged = old;
	v->merged_cap = cap;
}

int cpu_observe(struct cpu_view *view, const struct cpu_rules *rules,
		const struct vcpu_sample *before, const struct vcpu_sample *now)
{
	struct look l = { .view = view, .rules = rules, .before = before, .now = now };
	double elapsed_ns = (double)(now->taken_ns - before->taken_ns);

	scope_fill(&l);
	bins_map(&l);
	if (bins_reserve(&l) < 0 || allowed_fill(&l) < 0 || vcpus_reserve(view, now->n) < 0)
		return -1;
	bins_fill(&l);
	vcpus_merge(&l, elapsed_ns);
	vcpus_swap(view);
	view->host.elapsed_s = elapsed_ns / (double)NS_PER_S;
	view->now = now;
	return 0;
}

void cpu_view_free(struct cpu_view *view)
{
	array_free(&view->host.bin, &view->bin_cap);
	array_free(&view->host.vcpu, &view->vcpu_cap);
	array_free(&view->merged, &view->merged_cap);
	array_free(&view->count, &view->count_cap);
	array_free(&view->allowed, &view->allowed_cap);
	memset(view, 0, sizeof(*view));
}

/* Of a set of pCPUs, those of one bin. */
static struct cpuset inside(const struct cpu_view *v, struct cpuset pcpus, int bin)
{
	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(&pcpus, i) && (int)v->bin_of[i] != bin)
			pcpus.bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	return pcpus;
}

struct cpuset cpu_bin_pcpus(const struct cpu_view *v, unsigned bin)
{
	return inside(v, v->scope, (int)bin);
}

struct cpuset cpu_target_mask(const struct cpu_view *v, size_t i)
{
	struct cpuset mask = v->now->set[v->count[i]->allowed];

	cpuset_and(&mask, &v->scope);
	return inside(v, mask, v->host.vcpu[i].plan.target);
}

struct cpuset cpu_found_mask(const struct vcpu_sample *now, const struct vcpu_count *count)
{
	struct cpuset found = now->set[count->mask], reached = found;

	cpuset_and(&reached, &now->online);
	if (cpuset_equal(&reached, &now->online))
		memset(&found, 0xff, sizeof(found));
	return found;
}
