/*
 * lower_bound.c - what no plan can beat: the lower bound of the peak load, and of moves.
 *
 * All demands together, poured like water over the background load of the bins, come up to a
 * level that no peak load is below (water).  What cannot be split raises it: where there are
 * more vCPUs than bins some share one (pigeonhole), and those larger than half of a bin's room
 * have one each (packing).  vCPUs that cannot leave a set of bins are looked at like the whole,
 * and so are cores whose threads share them.
 *
 * The fewest moves to a peak load: the largest first, each vCPU goes whose bin is still above
 * it, and whoever must leave goes anyway.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/place_parts.h"
#include "policy/sample.h"

#define PRECISION 1e-4 /* of the bound: where the search for it ends */

/* Largest first; equal ones in the caller's order. */
int place_by_load(const void *a, const void *b)
{
	const struct place_rank *x = a, *y = b;

	if (x->d != y->d)
		return x->d > y->d ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/*
 * What set may use of b's core: capacity and background load.  False: nothing, or the first bin
 * of the ring that it may use has been asked for it already.
 */
static bool core_of(const struct place *pl, const struct place_set *set, size_t b, double *room,
		    double *other)
{
	size_t k = b;

	*room = *other = 0;
	do {
		if (place_usable(pl, set, k)) {
			if (k < b)
				return false;
			*room += pl->bin[k].now.capacity;
			*other += pl->background[k];
		}
		k = pl->sibling[k];
	} while (k != b);
	*room = fmin(*room, pl->room[b]);
	return *room > 0;
}

/* The level to which demand, poured like water over the background load of a set, rises. */
static double water(struct place *pl, const struct place_set *set, double demand)
{
	struct place_rank *r = pl->cand;
	double room = 0, poured = demand, size, other;
	size_t m = 0;

	for (size_t b = 0; b < pl->nbins; b++)
		if (core_of(pl, set, b, &size, &other))
			r[m++] = (struct place_rank){ other / size, (uint32_t)b };
	qsort(r, m, sizeof(*r), place_by_load);
	while (m > 0 && (room <= 0 || poured / room > r[m - 1].d)) {
		m--;
		core_of(pl, set, r[m].i, &size, &other);
		room += size;
		poured += other;
	}
	return room > 0 ? poured / room : 0;
}

/* Is every bin of a also in b? */
static bool within(const struct place *pl, const struct place_set *a, const struct place_set *b)
{
	if (!b || a == b)
		return true;
	if (a->nodes & ~b->nodes)
		return false;
	for (size_t w = 0; w <= (pl->nbins - 1) / 64 && a->allowed != b->allowed; w++)
		if (a->allowed->bits[w] & ~b->allowed->bits[w])
			return false;
	return true;
}

/* The least background load and the most capacity of a bin, or core, in set; how many there
 * are. */
static size_t survey(const struct place *pl, const struct place_set *set, bool cores,
		     double *other, double *most)
{
	size_t m = 0;

	*other = DBL_MAX;
	*most = 0;
	for (size_t b = 0; b < pl->nbins; b++) {
		double room = pl->bin[b].now.capacity, taken = pl->background[b];

		if (cores ? !core_of(pl, set, b, &room, &taken) : !place_usable(pl, set, b))
			continue;
		m++;
		*other = fmin(*other, taken);
		*most = fmax(*most, room);
	}
	return m;
}

/* Demands of the vCPUs that cannot leave set, largest first, with the sums before each. */
static size_t gather(struct place *pl, const struct place_set *set)
{
	double sum = 0;
	size_t r = 0;

	for (size_t k = 0; k < pl->n; k++) {
		const struct place_item *it = &pl->item[pl->order[k].i];

		if (it->home == BIN_UNPINNED || !within(pl, &pl->set[it->set], set))
			continue;
		pl->sums[r] = sum;
		pl->size[r++] = it->d;
		sum += it->d;
	}
	pl->sums[r] = sum;
	return r;
}

/* Of the k * m + 1 largest on m bins k + 1 share one; at best these are the smallest. */
static double pigeonhole(const struct place *pl, size_t r, size_t m)
{
	double most = 0;

	for (size_t k = 0; k * m < r; k++)
		most = fmax(most, pl->sums[k * m + 1] - pl->sums[k * m - k]);
	return most;
}

/* How many of size[0..r), sorted descending, are larger than x. */
static size_t larger(const struct place *pl, size_t r, double x)
{
	size_t lo = 0, hi = r;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (pl->size[mid] > x)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Do r demands surely not fit into m bins with this room each?  For any small size: what is
 * larger than room - small is alone, other halves and more have a bin each, and what is at
 * least small must fit beside these or needs more bins (Martello and Toth's L2).
 */
static bool no_room(const struct place *pl, size_t r, size_t m, double room)
{
	size_t half = larger(pl, r, room / 2), alone = half;

	for (size_t k = half; k < r; k++) {
		double beside, rest;

		while (alone > 0 && pl->size[alone - 1] <= room - pl->size[k])
			alone--;
		beside = (double)(half - alone) * room - (pl->sums[half] - pl->sums[alone]);
		rest = pl->sums[k + 1] - pl->sums[half] - beside;
		if (rest > TINY && half + (size_t)ceil(rest / room - TINY) > m)
			return true;
	}
	return half > m;
}

/* The least room that no_room does not exclude, found between least and twice that. */
static double packing(const struct place *pl, size_t r, size_t m, double least)
{
	double most = 2 * least;

	if (!no_room(pl, r, m, least * (1 + PRECISION)))
		return least;
	while (most - least > PRECISION * least) {
		double mid = (least + most) / 2;

		if (no_room(pl, r, m, mid))
			least = mid;
		else
			most = mid;
	}
	return least;
}

/* What r demands come to in the fullest bin, or core, of set; level is what pouring gives. */
static double packed(struct place *pl, const struct place_set *set, bool cores, size_t r,
		     double level)
{
	double other, most;
	size_t m = survey(pl, set, cores, &other, &most);

	return (other + packing(pl, r, m, fmax(level * most - other, pigeonhole(pl, r, m)))) /
	       most;
}

/* What the vCPUs that cannot leave set come to on its fullest bin, at least. */
static double bound_of(struct place *pl, const struct place_set *set)
{
	size_t r = gather(pl, set);
	bool cores = false;
	double level;

	for (size_t b = 0; b < pl->nbins; b++)
		cores |= pl->sibling[b] != b;
	level = r > 0 ? water(pl, set, pl->sums[r]) : 0;
	if (level <= 0)
		return 0;
	level = fmax(level, packed(pl, set, false, r, level));
	return cores ? fmax(level, packed(pl, set, true, r, level)) : level;
}

/* Demand of the vCPUs of just these nodes, or NODE_ANY: of all; freely: of those of several. */
static double demand_of(const struct place *pl, uint64_t nodes, double *freely)
{
	double sum = 0;

	*freely = 0;
	for (size_t i = 0; i < pl->n; i++) {
		const struct place_item *it = &pl->item[i];
		uint64_t own = pl->set[it->set].nodes;

		if (it->home == BIN_UNPINNED)
			continue;
		*freely += own & (own - 1) ? it->d : 0;
		sum += nodes == NODE_ANY || own == nodes ? it->d : 0;
	}
	return sum;
}

/* Each node has a level of its own, but where some demand has no node and can even them out. */
static void find_levels(struct place *pl)
{
	double freely, all = water(pl, NULL, demand_of(pl, NODE_ANY, &freely));
	bool alike = freely > TINY;

	for (size_t b = 0; b < pl->nbins; b++) {
		alike |= pl->bin[b].now.capacity > 0 && pl->bin[b].now.node < 0;
		pl->level[b] = -1;
	}
	for (size_t b = 0; b < pl->nbins; b++) {
		int node = pl->bin[b].now.node;
		struct place_set set = { .nodes = (uint64_t)1 << (node & 63) };
		double level;

		if (pl->level[b] >= 0)
			continue;
		level = alike || pl->bin[b].now.capacity <= 0
				? all
				: water(pl, &set, demand_of(pl, set.nodes, &freely));
		for (size_t k = b; k < pl->nbins; k++)
			if (alike || pl->bin[k].now.node == node)
				pl->level[k] = level;
	}
}

void lower_bound_find(struct place *pl)
{
	find_levels(pl);
	pl->lower_bound = bound_of(pl, NULL);
	for (size_t s = 0; s < pl->nsets; s++)
		pl->lower_bound = fmax(pl->lower_bound, bound_of(pl, &pl->set[s]));
}

/* ---- moves ---- */

size_t fewest_moves(const struct place *pl, double target)
{
	size_t moves = 0;

	for (size_t b = 0; b < pl->nbins; b++)
		pl->load[b] = pl->background[b];
	for (size_t i = 0; i < pl->n; i++)
		if (pl->item[i].home >= 0)
			pl->load[pl->item[i].home] +=
				place_weight(pl, pl->item[i].d, (size_t)pl->item[i].home);
	for (size_t k = 0; k < pl->n; k++) {
		const struct place_item *it = &pl->item[pl->order[k].i];

		if (it->home == BIN_OUTSIDE) {
			moves++;
		} else if (it->home >= 0 && !it->fixed &&
			   pl->load[it->home] >
				   target * pl->bin[it->home].now.capacity + TINY) {
			pl->load[it->home] -= place_weight(pl, it->d, (size_t)it->home);
			moves++;
		}
	}
	return moves;
}
