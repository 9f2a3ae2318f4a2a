/*
 * place_refine.c - single moves and swaps that make a placement better, the best per pin first.
 *
 * A step takes vCPU i from a full bin p to an emptier one q, and perhaps a smaller j back:
 *
 *	p: | .6 | .4 i |             p: | .6 | .1 j |
 *	q: | .2 | .1 j |     ->      q: | .2 | .4 i |
 *
 * While the fullest bin is above its target it gives; then those far off their level do.  A
 * step's merit is what it takes off the fuller bin, or off the squares of loads, for each pin
 * it adds; going home takes one away.  Steps that even things out must pay for their pins.
 * Threads of one core are evened out last, by their own loads: the core is as full either way.
 */
#include <math.h>

#include "policy/cpu.h"
#include "policy/place.h"
#include "policy/place_parts.h"

#define STEPS     64 /* refining steps at most, plus two per bin */
#define REACH     12 /* fullest and emptiest bins that a refining step looks at */
#define REACH_BIG 3  /* the same on a big host */
#define SETS      16 /* allowed sets whose emptiest bins it looks at */

/* ---- refine ------------------------------------------------------------------------- */

/* Moving i to bin q, and j (or nobody) back to where i was. */
struct step {
	uint32_t i, j;
	int q;
	double merit; /* what it is worth per pin */
	double even;  /* of equal ones: what it evens out */
};

enum aim { LOWER_PEAK, LOWER_IMBALANCE };

/* What a move of i to b adds to the number of pins, -1 to 1. */
static int pins(const struct place_item *it, int b)
{
	return (b != it->home) - (it->at != it->home);
}

/* Squares of p's core; *both is set where that is q's as well. */
static double core_squares(const struct place *pl, size_t p, size_t q, bool *both)
{
	double sum = 0;
	size_t k = p;

	do {
		sum += place_full(pl, k) * place_full(pl, k);
		*both |= k == q;
		k = pl->sibling[k];
	} while (k != p);
	return sum;
}

static double squares(const struct place *pl, size_t p, size_t q)
{
	bool both = false;
	double sum = core_squares(pl, p, q, &both);

	return both ? sum : sum + core_squares(pl, q, q, &both);
}

/* What moving i from p to q, and j (or nobody) back, takes off p and puts on q. */
static void shift(const struct place *pl, const struct place_item *i,
		  const struct place_item *j, size_t p, size_t q, double *off, double *on)
{
	*off = place_weight(pl, i->d, p) - (j ? place_weight(pl, j->d, p) : 0);
	*on = place_weight(pl, i->d, q) - (j ? place_weight(pl, j->d, q) : 0);
}

/* What moving that from p to q is worth: off the fuller of the two, and off the squares. */
static void gain(const struct place *pl, size_t p, size_t q, double less, double more,
		 double *peak, double *even)
{
	double was_p = pl->load[p], was_q = pl->load[q];

	*peak = fmax(place_full(pl, p), place_full(pl, q));
	*even = squares(pl, p, q);
	pl->load[p] -= less;
	pl->load[q] += more;
	*peak -= fmax(place_full(pl, p), place_full(pl, q));
	*even = *peak < -TINY ? 0 : *even - squares(pl, p, q);
	pl->load[p] = was_p;
	pl->load[q] = was_q;
}

/* Equal merit is common (the other bin does not show in it): order must not decide it. */
static bool beats(const struct step *a, const struct step *b)
{
	if (fabs(a->merit - b->merit) > TINY)
		return a->merit > b->merit;
	if (fabs(a->even - b->even) > TINY)
		return a->even > b->even;
	return a->q != b->q ? a->q < b->q : a->i < b->i;
}

static void consider(const struct place *pl, enum aim goal, uint32_t i, uint32_t j, size_t q,
		     struct step *best)
{
	const struct place_item *it = &pl->item[i], *back = j == NOBODY ? NULL : &pl->item[j];
	size_t p = (size_t)it->at;
	double worth, cost, off, on;
	int more = pins(it, (int)q) + (back ? pins(back, (int)p) : 0);
	struct step step = { .i = i, .j = j, .q = (int)q };

	shift(pl, it, back, p, q, &off, &on);
	gain(pl, p, q, off, on, &worth, &step.even);
	if (goal == LOWER_IMBALANCE)
		worth = step.even;
	if (worth <= TINY || (more > 0 && (size_t)more > pl->may_add))
		return;
	cost = it->d * it->d + (back ? back->d * back->d : 0);
	if (goal == LOWER_IMBALANCE && more > 0 && worth < pl->tune->migration_cost * cost)
		return;
	step.merit = worth / (more > 0 ? more : pl->tune->peak_clearly);
	if (beats(&step, best))
		*best = step;
}

/* All moves and swaps between bins p and q. */
static void consider_pair(const struct place *pl, enum aim goal, size_t p, size_t q,
			  struct step *best)
{
	for (uint32_t i = pl->head[p]; i != NOBODY; i = pl->item[i].next) {
		if (pl->item[i].fixed || !place_may_use(pl, i, q))
			continue;
		consider(pl, goal, i, NOBODY, q, best);
		for (uint32_t j = pl->head[q]; j != NOBODY; j = pl->item[j].next)
			if (!pl->item[j].fixed && pl->item[j].d < pl->item[i].d &&
			    place_may_use(pl, j, p))
				consider(pl, goal, i, j, q, best);
	}
}

/*
 * Up to REACH bins of set: the fullest that hold a vCPU (side 1) or the emptiest (side -1).
 * Returns how many.
 */
static size_t pick(const struct place *pl, const struct place_set *set, int side, size_t *bin)
{
	size_t k = 0, reach = pl->n > CHEAP ? REACH_BIG : REACH;

	for (size_t b = 0; b < pl->nbins; b++) {
		size_t i;

		if (!place_usable(pl, set, b) || (side > 0 && pl->head[b] == NOBODY))
			continue;
		if (k == reach && side * place_full(pl, b) <= side * place_full(pl, bin[k - 1]))
			continue;
		k += k < reach;
		for (i = k - 1;
		     i > 0 && side * place_full(pl, b) > side * place_full(pl, bin[i - 1]); i--)
			bin[i] = bin[i - 1];
		bin[i] = b;
	}
	return k;
}

static bool holds(const struct place *pl, size_t b, size_t set)
{
	uint32_t i = pl->head[b];

	while (i != NOBODY && pl->item[i].set != set)
		i = pl->item[i].next;
	return i != NOBODY;
}

/* What bin p could give to the emptiest bins that anything in it may use. */
static void consider_bin(const struct place *pl, enum aim goal, size_t p, struct step *best)
{
	size_t to[REACH], k;

	for (size_t s = 0; s < pl->nsets && s < SETS; s++) {
		if (!holds(pl, p, s))
			continue;
		k = pick(pl, &pl->set[s], -1, to);
		while (k-- > 0)
			if (to[k] != p)
				consider_pair(pl, goal, p, to[k], best);
	}
}

static struct step best_step(struct place *pl, enum aim goal)
{
	struct step best = { .i = NOBODY, .merit = 0 };
	size_t from[REACH], k = pick(pl, NULL, 1, from);

	for (size_t i = 0; i < (goal == LOWER_PEAK ? k > 0 : k); i++)
		consider_bin(pl, goal, from[i], &best);
	return best;
}

static void make_step(struct place *pl, const struct step *s)
{
	int p = pl->item[s->i].at;

	place_take(pl, s->i);
	place_put(pl, s->i, s->q);
	if (s->j != NOBODY) {
		place_take(pl, s->j);
		place_put(pl, s->j, p);
	}
}

void place_refine(struct place *pl, double target, double stop_points)
{
	for (size_t k = 0; k < STEPS + 2 * pl->nbins; k++) {
		struct place_score s = place_quality(pl);
		struct step step = { .i = NOBODY };

		if (s.peak > target + TINY)
			step = best_step(pl, LOWER_PEAK);
		if (step.i == NOBODY && s.imbalance > stop_points)
			step = best_step(pl, LOWER_IMBALANCE);
		if (step.i == NOBODY)
			return;
		make_step(pl, &step);
	}
}

/* ---- threads of a core --------------------------------------------------------------- */

/* What moving net from bin p to q of the same core takes off the squares of their own loads. */
static double own_gain(const struct place *pl, size_t p, size_t q, double off, double on)
{
	double cp = pl->bin[p].now.capacity, cq = pl->bin[q].now.capacity;
	double a = pl->load[p], b = pl->load[q];

	return (a * a - (a - off) * (a - off)) / (cp * cp) +
	       (b * b - (b + on) * (b + on)) / (cq * cq);
}

static void consider_thread(const struct place *pl, uint32_t i, uint32_t j, size_t q,
			    struct step *best)
{
	const struct place_item *it = &pl->item[i], *back = j == NOBODY ? NULL : &pl->item[j];
	double off, on, cost = it->d * it->d + (back ? back->d * back->d : 0);
	int more = pins(it, (int)q) + (back ? pins(back, it->at) : 0);
	struct step step = { .i = i, .j = j, .q = (int)q };

	shift(pl, it, back, (size_t)it->at, q, &off, &on);
	step.even = own_gain(pl, (size_t)it->at, q, off, on);
	if (step.even <= TINY || (more > 0 && step.even < pl->tune->migration_cost * cost))
		return;
	step.merit = step.even / (more > 0 ? more : pl->tune->peak_clearly);
	if (beats(&step, best))
		*best = step;
}

/* The best move from p to q, a thread of the same core; if none pays, the best swap. */
static struct step best_thread(const struct place *pl, size_t p, size_t q)
{
	struct step best = { .i = NOBODY };

	for (int swap = 0; swap < 2 && best.i == NOBODY; swap++)
		for (uint32_t i = pl->head[p]; i != NOBODY; i = pl->item[i].next) {
			if (pl->item[i].fixed || !place_may_use(pl, i, q))
				continue;
			if (!swap)
				consider_thread(pl, i, NOBODY, q, &best);
			for (uint32_t j = swap ? pl->head[q] : NOBODY; j != NOBODY;
			     j = pl->item[j].next)
				if (!pl->item[j].fixed && place_may_use(pl, j, p))
					consider_thread(pl, i, j, q, &best);
		}
	return best;
}

static void even_core(struct place *pl, size_t b)
{
	for (size_t k = 0; k < STEPS; k++) {
		size_t p = b, q = b;
		struct step step;

		for (size_t c = pl->sibling[b]; c != b; c = pl->sibling[c]) {
			if (pl->load[c] / pl->bin[c].now.capacity >
			    pl->load[p] / pl->bin[p].now.capacity)
				p = c;
			if (pl->load[c] / pl->bin[c].now.capacity <
			    pl->load[q] / pl->bin[q].now.capacity)
				q = c;
		}
		if (p == q || place_uneven(pl, p) <= TINY)
			return;
		step = best_thread(pl, p, q);
		if (step.i == NOBODY)
			return;
		make_step(pl, &step);
	}
}

/* Within cores only: how full they are stays the same. */
void place_even_threads(struct place *pl)
{
	for (size_t b = 0; b < pl->nbins; b++)
		if (pl->sibling[b] > b)
			even_core(pl, b);
}

/* ---- few moves ---------------------------------------------------------------------- */

struct place_score place_refine_few(struct place *pl, double target, double stop_points,
				    size_t max_moves)
{
	struct place_score s = place_rate(pl);

	max_moves += s.moves;
	for (size_t k = 0; k < STEPS + 2 * pl->nbins; k++) {
		struct step step;

		pl->may_add = max_moves - s.moves;
		step = best_step(pl, s.peak > target + TINY ? LOWER_PEAK : LOWER_IMBALANCE);
		if (step.i == NOBODY || (s.peak <= target + TINY && s.imbalance <= stop_points))
			break;
		make_step(pl, &step);
		s = place_rate(pl);
	}
	pl->may_add = SIZE_MAX;
	return s;
}
