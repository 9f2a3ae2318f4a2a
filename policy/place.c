/*
 * place.c - where vCPUs should run: a plan with few moves.
 *
 * The plan starts from where everybody is.  Bins above the target level give up their
 * largest vCPUs, as few as bring them down (Aggarwal, Motwani, Zhu 2003); these go, largest
 * first, to the bin that is least full with them:
 *
 *	bin 0: | .7 | .5 | .4 |          bin 0: | .7 | .4 |
 *	bin 1: | .6 |              ->    bin 1: | .6 | .5 |      target 1.1: .5 is enough
 *
 * Then single moves and swaps (place_refine.c) lower the peak load and the imbalance: what
 * need not have gone goes home.  Several levels are tried; a lower peak load wins, then a
 * lower imbalance, then fewer moves.
 */
#include <float.h>
#include <math.h>

#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/place_parts.h"

/* Levels to plan to, of the target: the lower, the more goes and the better the rest packs. */
static const double level[] = { 1.0, 0.97, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1 };

/* ---- evict and place ---------------------------------------------------------------- */

static bool over(const struct place *pl, size_t b, double target)
{
	return place_full(pl, b) > target + TINY;
}

/* May i use any bin, of its node if it has one? */
static bool goes_anywhere(const struct place *pl, uint32_t i)
{
	return pl->set[pl->item[i].set].allowed == pl->widest_set;
}

/*
 * Of bin b, the largest, until it is down to target.  Returns the last that went.  picky: only
 * those that may go anywhere, because others would compete for what their allowed pCPUs leave.
 */
static uint32_t evict_largest(struct place *pl, size_t b, double target, bool picky)
{
	uint32_t i = pl->head[b], last = NOBODY;

	while (i != NOBODY && over(pl, b, target)) {
		uint32_t next = pl->item[i].next;

		if (!pl->item[i].fixed && !(picky && !goes_anywhere(pl, i))) {
			place_take(pl, i);
			last = i;
		}
		i = next;
	}
	return last;
}

/* Bin b down to target; for the last that went, the smallest that still suffices. */
static void evict_bin(struct place *pl, size_t b, double target, bool picky)
{
	uint32_t last = NOBODY, least;

	if (picky)
		last = evict_largest(pl, b, target, true);
	if (over(pl, b, target))
		last = evict_largest(pl, b, target, false);
	if (last == NOBODY || over(pl, b, target))
		return;
	least = last;
	for (uint32_t i = pl->head[b]; i != NOBODY; i = pl->item[i].next)
		if (!pl->item[i].fixed && pl->item[i].d < pl->item[least].d &&
		    pl->item[i].set == pl->item[last].set &&
		    place_full_with(pl, b,
				    place_weight(pl, pl->item[last].d, b) -
					    place_weight(pl, pl->item[i].d, b)) <=
			    target + TINY)
			least = i;
	if (least != last) {
		place_take(pl, least);
		place_put(pl, last, (int)b);
	}
}

/* The least full bin of a block: a lower bound for those of it that a vCPU may use. */
static void see_block(struct place *pl, size_t block)
{
	size_t end = (block + 1) * BLOCK < pl->nbins ? (block + 1) * BLOCK : pl->nbins;
	double least = DBL_MAX;

	for (size_t b = block * BLOCK; b < end; b++)
		if (pl->bin[b].now.capacity > 0)
			least = fmin(least, place_full(pl, b));
	pl->block[block] = least;
}

/* How near b is: in the node of i's memory, or of where i is, 1, and in the same cache 2. */
static int nearness(const struct place *pl, const struct place_item *it, size_t b)
{
	uint64_t near = pl->set[it->set].near;
	const struct bin *from = it->from >= 0 ? &pl->bin[it->from] : NULL, *to = &pl->bin[b];

	if (near ? !(near >> to->now.node & 1) : !from || from->now.node != to->now.node)
		return 0;
	return 1 + (from && from->now.cache >= 0 && from->now.cache == to->now.cache);
}

/*
 * The allowed bin that is least full with i in it; of equals the nearest, of these the one with
 * the least load of its own; home first of all.
 */
static int choose(const struct place *pl, uint32_t i)
{
	const struct place_item *it = &pl->item[i];
	const struct place_set *set = &pl->set[it->set];
	double best = DBL_MAX, least = DBL_MAX;
	int at = BIN_OUTSIDE, near = 0;

	for (size_t b = 0; b < pl->nbins; b++) {
		double x, own;
		int n;

		if (b % BLOCK == 0 &&
		    pl->block[b / BLOCK] + fmin(it->d / pl->widest, pl->least) >=
			    best + (near < 2 ? TINY : 0)) {
			b += BLOCK - 1;
			continue;
		}
		if (!place_usable(pl, set, b))
			continue;
		x = place_full_with(pl, b, place_weight(pl, it->d, b));
		if (x > best + TINY)
			continue;
		n = nearness(pl, it, b);
		own = pl->load[b] / pl->bin[b].now.capacity;
		if (x < best - TINY || n > near || (n == near && own < least - TINY)) {
			best = fmin(x, best);
			at = (int)b;
			near = n;
			least = own;
		}
	}
	if (it->home >= 0 && place_usable(pl, set, (size_t)it->home) &&
	    place_full_with(pl, (size_t)it->home, place_weight(pl, it->d, (size_t)it->home)) <
		    best + TINY)
		return it->home;
	return at;
}

static void settle(struct place *pl)
{
	for (size_t k = 0; k * BLOCK < pl->nbins; k++)
		see_block(pl, k);
	for (size_t k = 0; k < pl->n; k++) {
		uint32_t i = pl->order[k].i;
		int b;

		if (pl->item[i].at != BIN_OUTSIDE)
			continue;
		b = choose(pl, i);
		if (b < 0)
			continue;
		place_put(pl, i, b);
		see_block(pl, (size_t)b / BLOCK);
	}
}

/* ---- the plan ----------------------------------------------------------------------- */

/* A plan to one level, left in hand. */
static struct place_score plan_to(struct place *pl, double target, double stop_points,
				  bool picky)
{
	struct place_score s;

	place_go_home(pl);
	for (size_t b = 0; b < pl->nbins; b++)
		evict_bin(pl, b, target, picky);
	settle(pl);
	place_refine(pl, target, stop_points);
	s = place_rate(pl);
	if (s.uneven <= TINY || s.imbalance <= stop_points)
		return s;
	place_even_threads(pl);
	return place_rate(pl);
}

/* A plan of few moves, which only refines where everybody is. */
static struct place_score plan_few(struct place *pl, double target, double stop_points,
				   size_t max_moves)
{
	place_go_home(pl);
	settle(pl);
	return place_refine_few(pl, target, stop_points, max_moves);
}

/* Is a better than b?  First a peak load clearly lower, then the imbalance, then moves. */
static bool better(const struct place *pl, struct place_score a, struct place_score b,
		   double target, double stop_points)
{
	double fa = fmax(a.peak, target), fb = fmax(b.peak, target);
	double sa = fmax(a.imbalance, stop_points), sb = fmax(b.imbalance, stop_points);

	if (fabs(fa - fb) > pl->tune->peak_clearly * pl->lower_bound)
		return fa < fb;
	if (fabs(sa - sb) > pl->tune->imbalance_nearly_points)
		return sa < sb;
	if (a.moves != b.moves)
		return a.moves < b.moves;
	return a.squares < b.squares;
}

static void keep(const struct place *pl, int *at)
{
	for (size_t i = 0; i < pl->n; i++)
		at[i] = pl->item[i].at;
}

/* Nobody who must be placed, so that doing nothing is a choice. */
static bool may_stay(const struct place *pl)
{
	for (size_t i = 0; i < pl->n; i++)
		if (pl->item[i].home == BIN_OUTSIDE)
			return false;
	return true;
}

static bool no_worse(struct place_score a, struct place_score b)
{
	return a.peak <= b.peak + TINY && a.squares <= b.squares + TINY &&
	       a.squares + a.uneven <= b.squares + b.uneven + TINY;
}

struct place_score place_plan(struct place *pl, double aim, double stop_points,
			      size_t max_moves, int *at)
{
	double target = aim * pl->lower_bound;
	struct place_score now = place_now(pl), best = now;
	bool stay = may_stay(pl), any = stay;
	size_t levels = sizeof(level) / sizeof(*level) * (pl->nsets > 1 ? 2 : 1);

	keep(pl, at);
	if (max_moves < pl->n)
		levels = 1;
	for (size_t k = 0; k < levels; k++) {
		bool picky = pl->nsets > 1 && k % 2 == 1;
		struct place_score s =
			max_moves < pl->n
				? plan_few(pl, target, stop_points, max_moves)
				: plan_to(pl, level[pl->nsets > 1 ? k / 2 : k] * target,
					  stop_points, picky);

		if (stay && !no_worse(s, now))
			continue;
		if (!any || better(pl, s, best, target, stop_points)) {
			best = s;
			keep(pl, at);
			any = true;
		}
		if (pl->n > CHEAP && best.peak <= target + TINY &&
		    best.imbalance <= stop_points)
			break;
	}
	return best;
}
