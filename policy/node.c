/*
 * node.c - which NUMA node each guest belongs to, before its vCPUs are given bins there.
 *
 * A guest's memory lies where it runs: away from it, it is slow.  So a guest that fits into a
 * node is kept whole in one, and changes it only for a clear and lasting gain.  What fits into
 * none, or is fenced into several, is placed as if there were no nodes.
 */
#include "vmbal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NODES       64 /* NUMA nodes numbered below this; a host with others has none for us */
#define SKEW        0.15 /* of a node's capacity, between fullest and emptiest: worth a crossing */
#define SKEW_STOP   0.05 /* the same, that a crossing aims at */
#define SKEW_LONG   10   /* intervals over it: less does not pay for slow memory */
#define SKEW_SEVERE 1.25 /* fullest node, over their mean or its capacity: crossing at once */

struct node {
	double room, load; /* CPUs */
};

struct node_set {
	const struct cpuset *allowed;
	uint64_t nodes; /* where it has a bin */
};

struct guest_cpus {
	size_t first, n;
	double d;
	uint64_t nodes; /* where all of it could be; 0: nowhere */
	int node;
	bool moves; /* nothing holds it */
};

struct nodes {
	struct cpu_host *h;
	struct node node[NODES];
	struct guest_cpus *guest;
	struct place_rank *order; /* guests, largest first */
	struct node_set *set;
	size_t n, nsets, used;
};

size_t node_work_size(size_t n)
{
	return n * (sizeof(struct guest_cpus) + sizeof(struct place_rank) +
		    sizeof(struct node_set));
}

static double full(const struct node *k)
{
	return k->load / k->room;
}

/* ---- what is where ------------------------------------------------------------------ */

/* Returns whether there are several nodes, and every bin has one. */
static bool see_nodes(struct nodes *t)
{
	for (size_t b = 0; b < t->h->nbins; b++) {
		const struct bin *bin = &t->h->bin[b];

		if (bin->capacity <= 0)
			continue;
		if (bin->node < 0 || bin->node >= NODES)
			return false;
		t->used += t->node[bin->node].room <= 0;
		t->node[bin->node].room += bin->capacity;
		t->node[bin->node].load += bin->other;
	}
	return t->used > 1;
}

/* The nodes where a vCPU has bins, remembered per distinct set. */
static uint64_t nodes_of(struct nodes *t, const struct cpuset *allowed)
{
	size_t i = t->nsets;
	struct node_set *s;

	while (i > 0 && t->set[i - 1].allowed != allowed)
		i--;
	if (i > 0)
		return t->set[i - 1].nodes;
	s = &t->set[t->nsets++];
	*s = (struct node_set){ allowed, 0 };
	for (size_t b = 0; b < t->h->nbins; b++)
		if (t->h->bin[b].capacity > 0 && cpuset_has(allowed, (unsigned)b))
			s->nodes |= (uint64_t)1 << t->h->bin[b].node;
	return s->nodes;
}

/* The node where v runs, or -1. */
static int where(const struct cpu_host *h, const struct vcpu *v)
{
	return v->bin >= 0 && h->bin[v->bin].capacity > 0 ? h->bin[v->bin].node : -1;
}

/* Of the nodes that a guest could be in, the one where most of it is; -1: it is in none. */
static int home(const struct nodes *t, const struct guest_cpus *g)
{
	double in[NODES] = { 0 };
	int best = -1;

	for (size_t i = g->first; i < g->first + g->n; i++) {
		int k = where(t->h, &t->h->vcpu[i]);

		if (k >= 0 && g->nodes >> k & 1)
			in[k] += 1 + t->h->vcpu[i].demand;
	}
	for (int k = 0; k < NODES; k++)
		if (in[k] > (best < 0 ? 0 : in[best]))
			best = k;
	return best;
}

static bool is_held(const struct vcpu *v)
{
	return v->why == VCPU_STUCK || v->why == VCPU_FOREIGN || v->why == VCPU_UNSEEN;
}

static void see_guest(struct nodes *t, size_t first, size_t n)
{
	struct guest_cpus *g = &t->guest[t->n];

	*g = (struct guest_cpus){
		.first = first, .n = n, .nodes = ~(uint64_t)0, .moves = true
	};
	for (int k = 0; k < NODES; k++)
		if (t->node[k].room < (double)n)
			g->nodes &= ~((uint64_t)1 << k);
	for (size_t i = first; i < first + n; i++) {
		const struct vcpu *v = &t->h->vcpu[i];

		g->d += v->demand;
		g->nodes &= nodes_of(t, v->allowed);
		g->moves &= !is_held(v);
	}
	g->node = home(t, g);
	if (g->node >= 0)
		t->node[g->node].load += g->d;
	t->order[t->n] = (struct place_rank){ g->d, (uint32_t)t->n };
	t->n++;
}

static void see_guests(struct nodes *t)
{
	const struct vcpu *v = t->h->vcpu;
	size_t end;

	for (size_t i = 0; i < t->h->n; i = end) {
		for (end = i + 1; end < t->h->n && !memcmp(v[end].uuid, v[i].uuid, UUID_LEN);)
			end++;
		see_guest(t, i, end - i);
	}
	qsort(t->order, t->n, sizeof(*t->order), place_by_load);
}

/* What fits nowhere is a load where it is. */
static void see_rest(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		const struct guest_cpus *g = &t->guest[k];

		for (size_t i = g->first; g->nodes == 0 && i < g->first + g->n; i++) {
			int at = where(t->h, &t->h->vcpu[i]);

			if (at >= 0)
				t->node[at].load += t->h->vcpu[i].demand;
		}
	}
}

/* ---- who goes where ----------------------------------------------------------------- */

/* Of its nodes, the one that is least full with g in it; -1: there is none but its own. */
static int emptiest(const struct nodes *t, const struct guest_cpus *g)
{
	double least = DBL_MAX;
	int best = -1;

	for (int k = 0; k < NODES; k++) {
		double x = (t->node[k].load + g->d) / t->node[k].room;

		if (k == g->node || !(g->nodes >> k & 1) || x >= least)
			continue;
		least = x;
		best = k;
	}
	return best;
}

static void go(struct nodes *t, struct guest_cpus *g, int to)
{
	if (g->node >= 0)
		t->node[g->node].load -= g->d;
	t->node[to].load += g->d;
	g->node = to;
}

static void house(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		struct guest_cpus *g = &t->guest[t->order[k].i];
		int to = g->node < 0 ? emptiest(t, g) : -1;

		if (to >= 0)
			go(t, g, to);
	}
}

/* May guests cross, and at once? */
static bool is_skewed(struct nodes *t)
{
	double most = 0, least = DBL_MAX, load = 0, room = 0;

	for (int k = 0; k < NODES; k++) {
		if (t->node[k].room <= 0)
			continue;
		most = fmax(most, full(&t->node[k]));
		least = fmin(least, full(&t->node[k]));
		load += t->node[k].load;
		room += t->node[k].room;
	}
	t->h->skewed = most - least > SKEW ? t->h->skewed + 1 : 0;
	return t->h->skewed >= SKEW_LONG || most > SKEW_SEVERE * fmax(1, load / room);
}

/* Largest first, each that does not make its new node much fuller than the old one is then. */
static void cross(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		struct guest_cpus *g = &t->guest[t->order[k].i];
		int to = g->moves && g->node >= 0 && g->d > 0 ? emptiest(t, g) : -1;
		const struct node *p, *q;

		if (to < 0)
			continue;
		p = &t->node[g->node];
		q = &t->node[to];
		if (full(p) - full(q) > SKEW_STOP &&
		    (q->load + g->d) / q->room <= (p->load - g->d) / p->room + SKEW_STOP)
			go(t, g, to);
	}
}

static void assign(struct cpu_host *h, const struct guest_cpus *g)
{
	for (size_t i = g->first; i < g->first + g->n; i++) {
		struct vcpu *v = &h->vcpu[i];
		int at = where(h, v);

		v->node = is_held(v) ? at : g->node;
		if (v->why == VCPU_STAYS && at >= 0 && v->node >= 0 && v->node != at)
			v->why = VCPU_NODE;
	}
}

void node_plan(struct cpu_host *h, void *work)
{
	struct nodes t = { .h = h, .guest = work };

	t.order = (struct place_rank *)(t.guest + h->n);
	t.set = (struct node_set *)(t.order + h->n);
	for (size_t i = 0; i < h->n; i++)
		h->vcpu[i].node = -1;
	if (!see_nodes(&t)) {
		h->skewed = 0;
		return;
	}
	see_guests(&t);
	see_rest(&t);
	house(&t);
	if (is_skewed(&t))
		cross(&t);
	for (size_t k = 0; k < t.n; k++)
		assign(h, &t.guest[k]);
}
