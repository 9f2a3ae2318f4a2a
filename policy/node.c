/*
 * node.c - which NUMA node each guest belongs to, before its vCPUs are given bins there.
 *
 * A guest's memory lies where it runs, or where its memory policy puts it: away from it, it is
 * slow.  So a guest, or each of its own NUMA cells, is kept whole in one node, and changes that
 * only for a clear and lasting gain.  But a node holds only as many busy vCPUs as it has cores
 * while another one has cores that idle: a core that is shared costs more than distance does.
 * What does not fit so, or is allowed parts of several nodes only, is placed as if there were
 * no nodes.
 */
#include <float.h>
#include <math.h>

#include "policy/node.h"
#include "policy/node_parts.h"

size_t node_work_size(size_t n)
{
	return n * (sizeof(struct part) + sizeof(struct place_rank) + sizeof(struct node_set));
}

static double full(const struct node *k)
{
	return k->load / k->room;
}

/* Of some nodes, the one where most of a part is; -1: it is in none of them. */
static int home(const struct nodes *t, const struct part *p, uint64_t among)
{
	double in[NODES] = { 0 };
	int best = -1;

	for (size_t i = p->first; i < p->first + p->n; i++) {
		int k = node_where(t->h, &t->h->vcpu[i]);

		if (node_part_has(t, p, i) && k >= 0 && among >> k & 1)
			in[k] += 1 + t->h->vcpu[i].plan.demand;
	}
	for (int k = 0; k < NODES; k++)
		if (in[k] > (best < 0 ? 0 : in[best]))
			best = k;
	return best;
}

static void leave(struct nodes *t, struct part *p)
{
	if (p->node < 0)
		return;
	t->node[p->node].load -= p->d;
	t->node[p->node].busy -= p->busy;
	p->node = -1;
}

static void go(struct nodes *t, struct part *p, int to)
{
	leave(t, p);
	t->node[to].load += p->d;
	t->node[to].busy += p->busy;
	p->node = to;
}

static bool holds(const struct nodes *t, const struct part *p, int k)
{
	return p->busy <= 0 || t->node[k].busy + p->busy <= t->node[k].most;
}

/* Of some nodes that hold p as well, the one that is least full with it; -1: there is none. */
static int emptiest(const struct nodes *t, const struct part *p, uint64_t among)
{
	double least = DBL_MAX;
	int best = -1;

	for (int k = 0; k < NODES; k++) {
		double x = (t->node[k].load + p->d) / t->node[k].room;

		if (k == p->node || !(p->nodes & among & node_bit(k)) || !holds(t, p, k) ||
		    x >= least)
			continue;
		least = x;
		best = k;
	}
	return best;
}

/* Where most of it is; where its memory is, if that is known, and there is room. */
static void stay(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		struct part *p = &t->part[t->order[k].i];
		int at = home(t, p, p->near & p->nodes ? p->near & p->nodes : p->nodes);

		if (at >= 0)
			go(t, p, at);
	}
}

static void house(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		struct part *p = &t->part[t->order[k].i];
		int to = p->node < 0 ? emptiest(t, p, p->near) : -1, at;

		if (p->node >= 0 || p->nodes == 0)
			continue;
		at = home(t, p, p->nodes);
		if (to < 0 && at >= 0 && holds(t, p, at))
			to = at;
		if (to < 0)
			to = emptiest(t, p, NODE_ANY);
		if (to >= 0)
			go(t, p, to);
	}
}

/* What belongs to no node is a load where it is. */
static void see_rest(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		const struct part *p = &t->part[k];

		for (size_t i = p->first; p->node < 0 && i < p->first + p->n; i++) {
			int at = node_where(t->h, &t->h->vcpu[i]);

			if (node_part_has(t, p, i) && at >= 0)
				t->node[at].load += t->h->vcpu[i].plan.demand;
		}
	}
}

enum relief { WITHIN_EXCESS, ANY_SIZE, FREED };

/* Busy vCPUs that share a core of a node that has this many more, or fewer. */
static double sharing(const struct node *k, double more)
{
	return fmax(0, k->busy + more - k->cores);
}

/* Of all that share a core, those for which another node has one. */
static double sharing_in_vain(const struct nodes *t)
{
	double sum = 0;

	for (int k = 0; k < NODES; k++)
		sum += sharing(&t->node[k], 0);
	return fmax(0, sum - t->excess);
}

/* The nodes with p in which fewer would share a core. */
static uint64_t easing(const struct nodes *t, const struct part *p)
{
	const struct node *at = &t->node[p->node];
	double gain = sharing(at, 0) - sharing(at, -p->busy);
	uint64_t nodes = 0;

	for (int k = 0; k < NODES; k++)
		if (sharing(&t->node[k], p->busy) - sharing(&t->node[k], 0) < gain)
			nodes |= node_bit(k);
	return nodes;
}

/*
 * Of a node where busy vCPUs share a core in vain, p goes to one that holds them; FREED: to
 * where place.c finds a core.
 */
static void relieve(struct nodes *t, struct part *p, enum relief how)
{
	double excess;
	int to;

	if (p->node < 0 || !p->moves || p->busy <= 0 || !(p->allowed & (p->allowed - 1)))
		return;
	excess = fmin(sharing(&t->node[p->node], 0), sharing_in_vain(t));
	if (excess <= 0 || (how == WITHIN_EXCESS && p->busy > excess))
		return;
	to = how == FREED ? -1 : emptiest(t, p, easing(t, p));
	if (to >= 0)
		go(t, p, to);
	else if (how == FREED)
		leave(t, p);
}

/* First those whose memory is not known to be there; the largest, then what suffices. */
static void relieve_all(struct nodes *t)
{
	for (int near = 0; near < 2; near++)
		for (enum relief how = WITHIN_EXCESS; how <= FREED; how++)
			for (size_t k = 0; k < t->n; k++) {
				size_t i = how == WITHIN_EXCESS ? k : t->n - 1 - k;
				struct part *p = &t->part[t->order[i].i];

				if ((p->near != 0) == near)
					relieve(t, p, how);
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
	t->h->skewed = most - least > t->tune->skew ? t->h->skewed + 1 : 0;
	return t->h->skewed >= t->tune->skew_intervals ||
	       most > t->tune->skew_severe * fmax(1, load / room);
}

/* Largest first, each that does not make its new node much fuller than the old one is then. */
static void cross(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		struct part *p = &t->part[t->order[k].i];
		uint64_t among = p->near ? p->near : NODE_ANY;
		int to = p->moves && p->node >= 0 && p->d > 0 ? emptiest(t, p, among) : -1;
		const struct node *a, *b;

		if (to < 0)
			continue;
		a = &t->node[p->node];
		b = &t->node[to];
		if (full(a) - full(b) > t->tune->skew_stop &&
		    (b->load + p->d) / b->room <=
			    (a->load - p->d) / a->room + t->tune->skew_stop)
			go(t, p, to);
	}
}

/* Of its busy vCPUs, how many have a core in the nodes of its memory; these are taken then. */
static double claim_cores(struct nodes *t, const struct part *p)
{
	double claimed = 0;

	for (int k = 0; k < NODES; k++) {
		double cores = p->near & node_bit(k) ? t->node[k].most - t->node[k].busy : 0;

		cores = fmin(p->busy - claimed, floor(fmax(0, cores)));
		t->node[k].busy += cores;
		claimed += cores;
	}
	return claimed;
}

static void send(const struct nodes *t, size_t i, uint64_t nodes)
{
	struct vcpu *v = &t->h->vcpu[i];
	int at = node_where(t->h, v);

	v->plan.nodes = !node_is_held(v) ? nodes : at >= 0 ? node_bit(at) : NODE_ANY;
	if (v->plan.why == VCPU_STAYS && at >= 0 && !(v->plan.nodes & node_bit(at)))
		v->plan.why = VCPU_NODE;
}

/*
 * In no node as a whole: as many as have a core near its memory, first those that are there.
 * The others go elsewhere, so that they do not take these cores.
 */
static void assign_each(struct nodes *t, const struct part *p)
{
	uint64_t far = p->allowed & ~p->near ? ~p->near : NODE_ANY;
	double cores = claim_cores(t, p);

	for (int there = 1; there >= 0; there--)
		for (size_t i = p->first; i < p->first + p->n; i++) {
			const struct vcpu *v = &t->h->vcpu[i];
			int at = node_where(t->h, v);
			bool near = p->near != 0;

			if (!node_part_has(t, p, i) || there != (at >= 0 && p->near >> at & 1))
				continue;
			if (v->plan.demand > t->tune->busy_cpus)
				near &= cores-- >= 1;
			send(t, i, near ? p->near : p->near ? far : NODE_ANY);
		}
}

static void assign(struct nodes *t, const struct part *p)
{
	if (p->node < 0) {
		assign_each(t, p);
		return;
	}
	for (size_t i = p->first; i < p->first + p->n; i++)
		if (node_part_has(t, p, i))
			send(t, i, node_bit(p->node));
}

void node_plan(const struct cpu_tunables *tune, struct cpu_host *h, void *work)
{
	struct nodes t = { .tune = tune, .h = h, .part = work };

	t.order = (struct place_rank *)(t.part + h->n);
	t.set = (struct node_set *)(t.order + h->n);
	for (size_t i = 0; i < h->n; i++)
		h->vcpu[i].plan.nodes = NODE_ANY;
	if (!node_problem(&t)) {
		h->skewed = 0;
		return;
	}
	stay(&t);
	house(&t);
	relieve_all(&t);
	see_rest(&t);
	if (is_skewed(&t))
		cross(&t);
	for (size_t k = 0; k < t.n; k++)
		assign(&t, &t.part[k]);
}
