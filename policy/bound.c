/*
 * bound.c - what no plan can beat: the lower bound on the fullest bin, and on moves.
 */
#include "vmbal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define TINY      1e-9 /* CPUs: rounding of sums */
#define PRECISION 1e-4 /* of the bound: where the search for it ends */

/* Largest first; equal ones in the caller's order. */
int place_by_load(const void *a, const void *b)
{
	const struct place_rank *x = a, *y = b;

	if (x->d != y->d)
		return x->d > y->d ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* The level to which demand, poured like water over the other load of a set, rises. */
static double water(struct place *pl, const struct cpuset *set, double demand)
{
	struct place_rank *r = pl->cand;
	double room = 0, poured = demand;
	size_t m = 0;

	for (size_t b = 0; b < pl->nbins; b++)
		if (place_usable(pl, set, b))
			r[m++] = (struct place_rank){ pl->other[b] / pl->bin[b].capacity,
						      (uint32_t)b };
	qsort(r, m, sizeof(*r), place_by_load);
	while (m > 0 && (room <= 0 || poured / room > r[m - 1].d)) {
		m--;
		room += pl->bin[r[m].i].capacity;
		poured += pl->other[r[m].i];
	}
	return room > 0 ? poured / room : 0;
}

/* Is every bin of a also in b? */
static bool within(const struct place *pl, const struct cpuset *a, const struct cpuset *b)
{
	if (!b || a == b)
		return true;
	for (size_t w = 0; w <= (pl->nbins - 1) / 64; w++)
		if (a->bits[w] & ~b->bits[w])
			return false;
	return true;
}

/* The least other load and the most capacity of a bin in set, and how many bins it has. */
static size_t survey(const struct place *pl, const struct cpuset *set, double *other,
		     double *most)
{
	size_t m = 0;

	*other = DBL_MAX;
	*most = 0;
	for (size_t b = 0; b < pl->nbins; b++) {
		if (!place_usable(pl, set, b))
			continue;
		m++;
		*other = fmin(*other, pl->other[b]);
		*most = fmax(*most, pl->bin[b].capacity);
	}
	return m;
}

/* Demands of the vCPUs that cannot leave set, largest first, with the sums before each. */
static size_t gather(struct place *pl, const struct cpuset *set)
{
	double sum = 0;
	size_t r = 0;

	for (size_t k = 0; k < pl->n; k++) {
		const struct place_item *it = &pl->item[pl->order[k].i];

		if (it->home == BIN_FLOATS || !within(pl, it->allowed, set))
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

/* What the vCPUs that cannot leave set come to on its fullest bin, at least. */
static double bound_of(struct place *pl, const struct cpuset *set)
{
	double other, most, level;
	size_t m = survey(pl, set, &other, &most), r = gather(pl, set);

	if (m == 0 || r == 0)
		return 0;
	level = water(pl, set, pl->sums[r]);
	return fmax(level, (other + packing(pl, r, m,
					    fmax(level * most - other, pigeonhole(pl, r, m)))) /
				   most);
}

void bound_find(struct place *pl)
{
	double sum = 0;

	for (size_t i = 0; i < pl->n; i++)
		sum += pl->item[i].home == BIN_FLOATS ? 0 : pl->item[i].d;
	pl->level = water(pl, NULL, sum);
	pl->bound = bound_of(pl, NULL);
	for (size_t s = 0; s < pl->nsets; s++)
		pl->bound = fmax(pl->bound, bound_of(pl, pl->set[s]));
}

/* ---- moves ---- */

size_t bound_fewest(const struct place *pl, double target)
{
	size_t moves = 0;

	for (size_t b = 0; b < pl->nbins; b++)
		pl->load[b] = pl->other[b];
	for (size_t i = 0; i < pl->n; i++)
		if (pl->item[i].home >= 0)
			pl->load[pl->item[i].home] += pl->item[i].d;
	for (size_t k = 0; k < pl->n; k++) {
		const struct place_item *it = &pl->item[pl->order[k].i];

		if (it->home == BIN_ASTRAY) {
			moves++;
		} else if (it->home >= 0 && !it->fixed &&
			   pl->load[it->home] > target * pl->bin[it->home].capacity + TINY) {
			pl->load[it->home] -= it->d;
			moves++;
		}
	}
	return moves;
}
