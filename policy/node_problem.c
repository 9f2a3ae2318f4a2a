/*
 * node_problem.c - the NUMA nodes of a host, and the guests that are to be housed in them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/node_parts.h"
#include "policy/sample.h"

/* The threads of a core are several bins, or inside one. */
static void see_bin(struct node *k, const struct bin *b, struct cpuset *seen)
{
	bool known = b->now.core >= 0 && b->now.core < PCPU_MAX;

	k->load += b->plan.background;
	k->pcpus += b->now.capacity;
	if (known && cpuset_has(seen, (unsigned)b->now.core))
		return;
	k->cores += b->now.cores > 0 ? b->now.cores : b->now.capacity;
	if (known)
		cpuset_add(seen, (unsigned)b->now.core);
}

/* Returns whether there are several nodes, and every bin has one. */
static bool see_nodes(struct nodes *t)
{
	struct cpuset seen = { { 0 } };

	for (size_t b = 0; b < t->h->nbins; b++) {
		const struct bin *bin = &t->h->bin[b];

		if (bin->now.capacity <= 0)
			continue;
		if (bin->now.node < 0 || bin->now.node >= NODES)
			return false;
		t->used += t->node[bin->now.node].pcpus <= 0;
		see_bin(&t->node[bin->now.node], bin, &seen);
	}
	for (int k = 0; k < NODES; k++)
		t->node[k].room = place_room(t->tune, t->node[k].cores, t->node[k].pcpus);
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
		if (t->h->bin[b].now.capacity > 0 && cpuset_has(allowed, (unsigned)b))
			s->nodes |= node_bit(t->h->bin[b].now.node);
	return s->nodes;
}

int node_where(const struct cpu_host *h, const struct vcpu *v)
{
	return v->now.bin >= 0 && h->bin[v->now.bin].now.capacity > 0
		       ? h->bin[v->now.bin].now.node
		       : -1;
}

bool node_part_has(const struct nodes *t, const struct part *p, size_t i)
{
	return t->h->vcpu[i].now.memory.cell == p->cell;
}

/* What the vCPUs of a part have in common. */
static void see_part(struct nodes *t, size_t first, size_t n, int cell)
{
	struct part *p = &t->part[t->n];
	double busy = 0, again = 0, count = 0;
	uint64_t in = 0;

	*p = (struct part){ .first = first,
			    .n = n,
			    .cell = cell,
			    .allowed = NODE_ANY,
			    .near = NODE_ANY,
			    .moves = true,
			    .node = -1 };
	for (size_t i = first; i < first + n; i++) {
		const struct vcpu *v = &t->h->vcpu[i];
		int at = node_where(t->h, v);

		if (!node_part_has(t, p, i))
			continue;
		count++;
		p->d += v->plan.demand;
		busy += v->plan.demand > t->tune->busy_cpus;
		again += v->plan.demand > t->tune->busy_again_cpus;
		in |= at < 0 ? NODE_ANY : node_bit(at);
		p->allowed &= nodes_of(t, v->now.allowed);
		p->near &= v->now.memory.nodes;
		p->interleaved |= v->now.memory.interleaved;
		p->moves &= !node_is_held(v);
	}
	p->near &= p->allowed;
	if (p->near == p->allowed && !p->interleaved)
		p->near = 0; /* it tells nothing */
	p->busy = in & (in - 1) ? again : busy;
	for (int k = 0; k < NODES; k++)
		if (t->node[k].pcpus > 0 && t->node[k].pcpus >= count && !p->interleaved)
			p->nodes |= p->allowed & node_bit(k);
	t->order[t->n] = (struct place_rank){ p->d, (uint32_t)t->n };
	t->n++;
}

/* A part for each cell of a guest, in the order of their numbers. */
static void see_guest(struct nodes *t, size_t first, size_t n)
{
	const struct vcpu *v = &t->h->vcpu[first];
	int64_t cell = INT64_MIN, next;

	for (;; cell = next) {
		next = INT64_MAX;
		for (size_t i = 0; i < n; i++)
			if (v[i].now.memory.cell > cell && v[i].now.memory.cell < next)
				next = v[i].now.memory.cell;
		if (next == INT64_MAX)
			return;
		see_part(t, first, n, (int)next);
	}
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

/*
 * How many busy vCPUs each node may hold: one a core, and those for which there is no core
 * anywhere.
 */
static void see_limits(struct nodes *t)
{
	double busy = 0, cores = 0;

	for (size_t i = 0; i < t->n; i++)
		busy += t->part[i].busy;
	for (int k = 0; k < NODES; k++)
		cores += t->node[k].cores;
	t->excess = fmax(0, busy - cores);
	for (int k = 0; k < NODES; k++)
		t->node[k].most = t->node[k].cores + t->excess;
	for (size_t i = 0; i < t->n; i++)
		for (int k = 0; k < NODES; k++)
			if (t->part[i].busy > t->node[k].most &&
			    t->part[i].allowed & (t->part[i].allowed - 1))
				t->part[i].nodes &= ~node_bit(k);
}

/* Busy vCPUs of no node that may run in just one are there, whatever is decided. */
static void see_bound(struct nodes *t)
{
	for (size_t k = 0; k < t->n; k++) {
		const struct part *p = &t->part[k];

		for (size_t i = p->first; p->nodes == 0 && i < p->first + p->n; i++) {
			const struct vcpu *v = &t->h->vcpu[i];
			uint64_t nodes = nodes_of(t, v->now.allowed);

			if (node_part_has(t, p, i) && v->plan.demand > t->tune->busy_cpus &&
			    !(nodes & (nodes - 1)))
				t->node[__builtin_ctzll(nodes)].busy++;
		}
	}
}

bool node_problem(struct nodes *t)
{
	if (!see_nodes(t))
		return false;
	see_guests(t);
	see_limits(t);
	see_bound(t);
	return true;
}
