/*
 * place_problem.c - where vCPUs may run and what they want there; the placement in hand.
 *
 * Each bin has a list of its vCPUs, from the largest to the smallest, and the sum of what they
 * want on top of what cannot be moved.  Bins that are threads of one core are a ring, and as
 * full as the core is, if that is more:
 *
 *	bin 0: background | .6 | .3 |         bin 4: background | .2 |
 *	   \_______________ ring _______________/    full: own load, or both loads / room
 *
 * A placement is rated by the fullest bin, by how far bins are off the level of an ideal one,
 * and by who is not at home.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/place_parts.h"

#define BOTH 2 /* threads off an even share of their core: one has more, one less */

/* ---- the problem ------------------------------------------------------------------- */

static void *lay(char *work, size_t *used, size_t size)
{
	void *p = work ? work + *used : NULL;

	*used += (size + sizeof(double) - 1) / sizeof(double) * sizeof(double);
	return p;
}

/* Gives every array its part of work; without work, just adds up the bytes. */
static size_t lay_out(struct place *pl, char *work)
{
	size_t used = 0, n = pl->n, m = pl->nbins;

	pl->background = lay(work, &used, m * sizeof(*pl->background));
	pl->load = lay(work, &used, m * sizeof(*pl->load));
	pl->level = lay(work, &used, m * sizeof(*pl->level));
	pl->room = lay(work, &used, m * sizeof(*pl->room));
	pl->sibling = lay(work, &used, m * sizeof(*pl->sibling));
	pl->head = lay(work, &used, m * sizeof(*pl->head));
	pl->block = lay(work, &used, (m / BLOCK + 1) * sizeof(*pl->block));
	pl->cand = lay(work, &used, m * sizeof(*pl->cand));
	pl->sums = lay(work, &used, (n + 1) * sizeof(*pl->sums));
	pl->size = lay(work, &used, n * sizeof(*pl->size));
	pl->item = lay(work, &used, n * sizeof(*pl->item));
	pl->set = lay(work, &used, (n + 1) * sizeof(*pl->set));
	pl->order = lay(work, &used, n * sizeof(*pl->order));
	return used;
}

size_t place_work_size(size_t n, size_t nbins)
{
	struct place pl = { .n = n, .nbins = nbins };

	return lay_out(&pl, NULL);
}

static uint32_t set_of(struct place *pl, const struct vcpu *v)
{
	struct place_set set = { v->now.allowed, v->plan.nodes, 0 };
	size_t i = pl->nsets;

	if (v->plan.nodes & (v->plan.nodes - 1))
		set.near = v->now.memory.nodes & v->plan.nodes;
	while (i > 0 && (pl->set[i - 1].allowed != set.allowed ||
			 pl->set[i - 1].nodes != set.nodes || pl->set[i - 1].near != set.near))
		i--;
	if (i > 0)
		return (uint32_t)(i - 1);
	pl->set[pl->nsets] = set;
	return (uint32_t)pl->nsets++;
}

static void add_item(struct place *pl, size_t i, const struct vcpu *v)
{
	struct place_item *it = &pl->item[i];
	enum vcpu_part part = vcpu_part(v->plan.why);
	bool must = part == VCPU_MUST || part == VCPU_GOING;

	it->d = v->plan.demand;
	it->set = set_of(pl, v);
	it->from = v->now.bin;
	it->fixed = part == VCPU_FIXED;
	it->home = must ? BIN_OUTSIDE : v->now.bin;
	it->at = it->home;
	if (it->home == BIN_UNPINNED || (it->home == BIN_OUTSIDE && !must)) {
		it->home = it->at = BIN_UNPINNED;
		it->fixed = true;
	}
}

/* Unpinned vCPUs that the plan leaves alone: a load as even as the kernel makes it. */
static void even_unpinned(struct place *pl)
{
	double sum = 0, room = 0;

	for (size_t i = 0; i < pl->n; i++)
		sum += pl->item[i].home == BIN_UNPINNED ? pl->item[i].d : 0;
	for (size_t b = 0; b < pl->nbins; b++)
		room += pl->bin[b].now.capacity;
	for (size_t b = 0; b < pl->nbins; b++)
		pl->background[b] = pl->bin[b].plan.background +
				    (room > 0 ? sum * pl->bin[b].now.capacity / room : 0);
}

/* Of the allowed sets, the one with the most bins; of several, the first by its bits. */
static void find_widest_set(struct place *pl)
{
	size_t most = 0;

	for (size_t s = 0; s < pl->nsets; s++) {
		const struct cpuset *set = pl->set[s].allowed;
		size_t bins = 0;

		for (size_t b = 0; b < pl->nbins; b++)
			bins += pl->bin[b].now.capacity > 0 && cpuset_has(set, (unsigned)b);
		if (bins > most ||
		    (bins == most && memcmp(set, pl->widest_set, sizeof(*set)) < 0)) {
			most = bins;
			pl->widest_set = set;
		}
	}
}

double place_room(const struct cpu_tunables *tune, double cores, double capacity)
{
	return fmin(capacity, cores + tune->smt_gain_cpus * (capacity - cores));
}

/* Rings of the threads of each core, and what a core can do: sorted by core, they are runs. */
static void find_cores(struct place *pl)
{
	struct place_rank *r = pl->cand;
	size_t m = 0, end;

	for (size_t b = 0; b < pl->nbins; b++) {
		pl->sibling[b] = (uint32_t)b;
		pl->room[b] = pl->bin[b].now.capacity;
		if (pl->bin[b].now.capacity > 0 && pl->bin[b].now.core >= 0)
			r[m++] = (struct place_rank){ pl->bin[b].now.core, (uint32_t)b };
	}
	qsort(r, m, sizeof(*r), place_by_load);
	for (size_t k = 0; k < m; k = end) {
		double first = pl->bin[r[k].i].now.capacity, room = 0;

		for (end = k; end < m && r[end].d == r[k].d; end++)
			room += pl->bin[r[end].i].now.capacity;
		room = place_room(pl->tune, first, room);
		for (size_t i = k; i < end; i++) {
			pl->sibling[r[i].i] = r[i + 1 < end ? i + 1 : k].i;
			pl->room[r[i].i] = room;
		}
	}
	pl->least = DBL_MAX;
	for (size_t b = 0; b < pl->nbins; b++) {
		pl->widest = fmax(pl->widest, pl->room[b]);
		if (pl->bin[b].now.capacity > 0)
			pl->least = fmin(pl->least, bin_speed(&pl->bin[b]) / pl->room[b]);
	}
}

void place_begin(const struct cpu_tunables *tune, struct place *pl, const struct bin *bin,
		 size_t nbins, const struct vcpu *vcpu, size_t n, void *work)
{
	memset(pl, 0, sizeof(*pl));
	pl->tune = tune;
	pl->bin = bin;
	pl->nbins = nbins;
	pl->n = n;
	pl->may_add = SIZE_MAX;
	lay_out(pl, work);
	for (size_t i = 0; i < n; i++) {
		add_item(pl, i, &vcpu[i]);
		pl->order[i] =
			(struct place_rank){ .d = vcpu[i].plan.demand, .i = (uint32_t)i };
	}
	qsort(pl->order, n, sizeof(*pl->order), place_by_load);
	even_unpinned(pl);
	find_cores(pl);
	find_widest_set(pl);
	lower_bound_find(pl);
}

/* ---- the placement in hand ---------------------------------------------------------- */

void place_put(struct place *pl, uint32_t i, int b)
{
	struct place_item *it = &pl->item[i];

	it->at = b;
	it->next = pl->head[b];
	pl->head[b] = i;
	pl->load[b] += place_weight(pl, it->d, (size_t)b);
}

void place_take(struct place *pl, uint32_t i)
{
	struct place_item *it = &pl->item[i];
	uint32_t *p = &pl->head[it->at];

	while (*p != i)
		p = &pl->item[*p].next;
	*p = it->next;
	pl->load[it->at] -= place_weight(pl, it->d, (size_t)it->at);
	it->at = BIN_OUTSIDE;
}

/* Everybody at home; each bin's list from the largest to the smallest. */
void place_go_home(struct place *pl)
{
	for (size_t b = 0; b < pl->nbins; b++) {
		pl->load[b] = pl->background[b];
		pl->head[b] = NOBODY;
	}
	for (size_t k = pl->n; k-- > 0;) {
		uint32_t i = pl->order[k].i;

		pl->item[i].at = pl->item[i].home;
		if (pl->item[i].home >= 0)
			place_put(pl, i, pl->item[i].home);
	}
}

/* How full bin b is with more in it. */
double place_full_with(const struct place *pl, size_t b, double more)
{
	double core = pl->load[b] + more, own;

	if (pl->bin[b].now.capacity <= 0)
		return 0;
	own = core / pl->bin[b].now.capacity;
	if (pl->sibling[b] == b)
		return own;
	for (size_t k = pl->sibling[b]; k != b; k = pl->sibling[k])
		core += pl->load[k];
	return fmax(own, core / pl->room[b]);
}

double place_full(const struct place *pl, size_t b)
{
	return place_full_with(pl, b, 0);
}

double place_uneven(const struct place *pl, size_t b)
{
	double own = pl->load[b], core = own, room = pl->bin[b].now.capacity, largest = 0;

	if (pl->sibling[b] == b)
		return 0;
	for (size_t k = pl->sibling[b]; k != b; k = pl->sibling[k]) {
		core += pl->load[k];
		room += pl->bin[k].now.capacity;
	}
	own /= pl->bin[b].now.capacity;
	if (own <= core / room + TINY)
		return 0;
	for (uint32_t i = pl->head[b]; i != NOBODY; i = pl->item[i].next)
		largest = fmax(largest, pl->item[i].d);
	return fmax(0, own - fmax(core / room, largest / pl->bin[b].now.capacity));
}

/* What a placement leaves; the imbalance is that of cores. */
struct place_score place_quality(const struct place *pl)
{
	struct place_score s = { 0 };
	size_t m = 0;

	for (size_t b = 0; b < pl->nbins; b++) {
		double x = place_full(pl, b), off = x - pl->level[b];

		if (pl->bin[b].now.capacity <= 0)
			continue;
		m++;
		s.squares += x * x;
		if (pl->head[b] == NOBODY && off > 0)
			continue;
		off /= fmax(1, pl->level[b]);
		s.peak = fmax(s.peak, x);
		s.imbalance += off * off;
	}
	s.imbalance = m > 0 ? POINTS_PER_CPU * sqrt(s.imbalance / (double)m) : 0;
	return s;
}

/* The same with the imbalance of threads, and what it costs. */
struct place_score place_rate(const struct place *pl)
{
	struct place_score s = place_quality(pl);
	size_t m = 0;

	for (size_t b = 0; b < pl->nbins; b++) {
		double more = pl->bin[b].now.capacity > 0 ? place_uneven(pl, b) : 0;

		m += pl->bin[b].now.capacity > 0;
		s.uneven += BOTH * more * more;
		more /= fmax(1, pl->level[b]);
		s.threads += BOTH * more * more;
	}
	if (m > 0)
		s.imbalance = sqrt(s.imbalance * s.imbalance +
				   POINTS_PER_CPU * POINTS_PER_CPU * s.threads / (double)m);
	for (size_t i = 0; i < pl->n; i++) {
		if (pl->item[i].at == pl->item[i].home)
			continue;
		s.moves++;
		if (pl->item[i].home >= 0)
			s.moved += pl->item[i].d * pl->item[i].d;
	}
	return s;
}

struct place_score place_now(struct place *pl)
{
	place_go_home(pl);
	return place_rate(pl);
}

bool place_may_use(const struct place *pl, uint32_t i, size_t b)
{
	return place_usable(pl, &pl->set[pl->item[i].set], b);
}
