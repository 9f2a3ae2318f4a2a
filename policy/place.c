/*
 * place.c - where vCPUs should run: a plan with few moves.
 *
 * The plan starts from where everybody is.  Bins above the target level give up their
 * largest vCPUs, as few as bring them down (Aggarwal, Motwani, Zhu 2003); these go, largest
 * first, to the bin that is least full with them.  Then single moves and swaps lower the
 * fullest bin and the spread, the best per pin first: what need not have gone goes home.
 * Several levels are tried; a lower fullest bin wins, then a lower spread, then fewer moves.
 */
#include "vmbal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TINY      1e-9  /* CPUs: rounding of sums */
#define STEPS     64    /* refining steps at most, plus two per bin */
#define REACH     12    /* fullest and emptiest bins that a refining step looks at */
#define REACH_BIG 3     /* the same on a big host */
#define SETS      16    /* allowed sets whose emptiest bins it looks at */
#define PAY       0.2   /* a step's fall of the sum of squares, per squared demand moved */
#define CLEARLY   0.01  /* of the bound: a fullest bin is lower if by this much */
#define NEARLY    0.5   /* points: spreads closer than this are alike */
#define POINTS    100.0 /* per CPU */
#define SMT_GAIN  0.3   /* of a pCPU: what each further busy thread of a core adds */

/* Levels to plan to, of the target: the lower, the more goes and the better the rest packs. */
static const double level[] = { 1.0, 0.97, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1 };
#define CHEAP 512 /* vCPUs: for more, the first level that will do will do */
#define BLOCK 16  /* bins whose least full one is known, so that a search can skip them */

#define NOBODY UINT32_MAX

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

	pl->other = lay(work, &used, m * sizeof(*pl->other));
	pl->load = lay(work, &used, m * sizeof(*pl->load));
	pl->level = lay(work, &used, m * sizeof(*pl->level));
	pl->room = lay(work, &used, m * sizeof(*pl->room));
	pl->twin = lay(work, &used, m * sizeof(*pl->twin));
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
	size_t i = pl->nsets;

	while (i > 0 &&
	       (pl->set[i - 1].allowed != v->allowed || pl->set[i - 1].node != v->node))
		i--;
	if (i > 0)
		return (uint32_t)(i - 1);
	pl->set[pl->nsets] = (struct place_set){ v->allowed, v->node };
	return (uint32_t)pl->nsets++;
}

static void add_item(struct place *pl, size_t i, const struct vcpu *v)
{
	struct place_item *it = &pl->item[i];
	bool must = v->why == VCPU_SETTLE || v->why == VCPU_FENCE || v->why == VCPU_NODE;

	it->d = v->demand;
	it->set = set_of(pl, v);
	it->from = v->bin;
	it->fixed = v->why != VCPU_STAYS && !must;
	it->home = must ? BIN_ASTRAY : v->bin;
	it->at = it->home;
	if (it->home == BIN_FLOATS || (it->home == BIN_ASTRAY && !must)) {
		it->home = it->at = BIN_FLOATS;
		it->fixed = true;
	}
}

/* Floating vCPUs that the plan leaves alone: a load as even as the kernel makes it. */
static void spread_floats(struct place *pl)
{
	double sum = 0, room = 0;

	for (size_t i = 0; i < pl->n; i++)
		sum += pl->item[i].home == BIN_FLOATS ? pl->item[i].d : 0;
	for (size_t b = 0; b < pl->nbins; b++)
		room += pl->bin[b].capacity;
	for (size_t b = 0; b < pl->nbins; b++)
		pl->other[b] =
			pl->bin[b].other + (room > 0 ? sum * pl->bin[b].capacity / room : 0);
}

/* Of the allowed sets, the one with the most bins; of several, the first by its bits. */
static void find_widest_set(struct place *pl)
{
	size_t most = 0;

	for (size_t s = 0; s < pl->nsets; s++) {
		const struct cpuset *set = pl->set[s].allowed;
		size_t bins = 0;

		for (size_t b = 0; b < pl->nbins; b++)
			bins += pl->bin[b].capacity > 0 && cpuset_has(set, (unsigned)b);
		if (bins > most ||
		    (bins == most && memcmp(set, pl->widest_set, sizeof(*set)) < 0)) {
			most = bins;
			pl->widest_set = set;
		}
	}
}

/* Rings of the threads of each core, and what a core can do: sorted by core, they are runs. */
static void find_cores(struct place *pl)
{
	struct place_rank *r = pl->cand;
	size_t m = 0, end;

	for (size_t b = 0; b < pl->nbins; b++) {
		pl->twin[b] = (uint32_t)b;
		pl->room[b] = pl->bin[b].capacity;
		if (pl->bin[b].capacity > 0 && pl->bin[b].core >= 0)
			r[m++] = (struct place_rank){ pl->bin[b].core, (uint32_t)b };
	}
	qsort(r, m, sizeof(*r), place_by_load);
	for (size_t k = 0; k < m; k = end) {
		double first = pl->bin[r[k].i].capacity, room = 0;

		for (end = k; end < m && r[end].d == r[k].d; end++)
			room += pl->bin[r[end].i].capacity;
		room = fmin(room, first + SMT_GAIN * (room - first));
		for (size_t i = k; i < end; i++) {
			pl->twin[r[i].i] = r[i + 1 < end ? i + 1 : k].i;
			pl->room[r[i].i] = room;
		}
	}
	for (size_t b = 0; b < pl->nbins; b++)
		pl->widest = fmax(pl->widest, pl->room[b]);
}

void place_begin(struct place *pl, const struct bin *bin, size_t nbins, const struct vcpu *vcpu,
		 size_t n, void *work)
{
	memset(pl, 0, sizeof(*pl));
	pl->bin = bin;
	pl->nbins = nbins;
	pl->n = n;
	lay_out(pl, work);
	for (size_t i = 0; i < n; i++) {
		add_item(pl, i, &vcpu[i]);
		pl->order[i] = (struct place_rank){ .d = vcpu[i].demand, .i = (uint32_t)i };
	}
	qsort(pl->order, n, sizeof(*pl->order), place_by_load);
	spread_floats(pl);
	find_cores(pl);
	find_widest_set(pl);
	bound_find(pl);
}

/* ---- the placement in hand ---------------------------------------------------------- */

static void put(struct place *pl, uint32_t i, int b)
{
	struct place_item *it = &pl->item[i];

	it->at = b;
	it->next = pl->head[b];
	pl->head[b] = i;
	pl->load[b] += it->d;
}

static void take(struct place *pl, uint32_t i)
{
	struct place_item *it = &pl->item[i];
	uint32_t *p = &pl->head[it->at];

	while (*p != i)
		p = &pl->item[*p].next;
	*p = it->next;
	pl->load[it->at] -= it->d;
	it->at = BIN_ASTRAY;
}

/* Everybody at home; each bin's list from the largest to the smallest. */
static void go_home(struct place *pl)
{
	for (size_t b = 0; b < pl->nbins; b++) {
		pl->load[b] = pl->other[b];
		pl->head[b] = NOBODY;
	}
	for (size_t k = pl->n; k-- > 0;) {
		uint32_t i = pl->order[k].i;

		pl->item[i].at = pl->item[i].home;
		if (pl->item[i].home >= 0)
			put(pl, i, pl->item[i].home);
	}
}

/* How full bin b is with more in it. */
static double full_with(const struct place *pl, size_t b, double more)
{
	double core = pl->load[b] + more, own;

	if (pl->bin[b].capacity <= 0)
		return 0;
	own = core / pl->bin[b].capacity;
	if (pl->twin[b] == b)
		return own;
	for (size_t k = pl->twin[b]; k != b; k = pl->twin[k])
		core += pl->load[k];
	return fmax(own, core / pl->room[b]);
}

double place_full(const struct place *pl, size_t b)
{
	return full_with(pl, b, 0);
}

/* What a placement leaves. */
static struct place_score quality(const struct place *pl)
{
	struct place_score s = { 0 };
	size_t m = 0;

	for (size_t b = 0; b < pl->nbins; b++) {
		double x = place_full(pl, b), off = x - pl->level[b];

		if (pl->bin[b].capacity <= 0)
			continue;
		m++;
		s.squares += x * x;
		if (pl->head[b] == NOBODY && off > 0)
			continue;
		s.fullest = fmax(s.fullest, x);
		s.spread += off * off;
	}
	s.spread = m > 0 ? POINTS * sqrt(s.spread / (double)m) : 0;
	return s;
}

/* And what it costs. */
static struct place_score score(const struct place *pl)
{
	struct place_score s = quality(pl);

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
	go_home(pl);
	return score(pl);
}

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
 * those that may go anywhere, because others would compete for what their fences leave.
 */
static uint32_t evict_largest(struct place *pl, size_t b, double target, bool picky)
{
	uint32_t i = pl->head[b], last = NOBODY;

	while (i != NOBODY && over(pl, b, target)) {
		uint32_t next = pl->item[i].next;

		if (!pl->item[i].fixed && !(picky && !goes_anywhere(pl, i))) {
			take(pl, i);
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
		    full_with(pl, b, pl->item[last].d - pl->item[i].d) <= target + TINY)
			least = i;
	if (least != last) {
		take(pl, least);
		put(pl, last, (int)b);
	}
}

/* The least full bin of a block: a lower bound for those of it that a vCPU may use. */
static void see_block(struct place *pl, size_t block)
{
	size_t end = (block + 1) * BLOCK < pl->nbins ? (block + 1) * BLOCK : pl->nbins;
	double least = DBL_MAX;

	for (size_t b = block * BLOCK; b < end; b++)
		if (pl->bin[b].capacity > 0)
			least = fmin(least, place_full(pl, b));
	pl->block[block] = least;
}

/* How much bins a and b have in common: the same node 1, and the same cache 2. */
static int nearness(const struct place *pl, int a, size_t b)
{
	if (a < 0 || pl->bin[a].node != pl->bin[b].node)
		return 0;
	return 1 + (pl->bin[a].cache >= 0 && pl->bin[a].cache == pl->bin[b].cache);
}

/* The allowed bin that is least full with i in it; of equals the nearest, home first of all. */
static int choose(const struct place *pl, uint32_t i)
{
	const struct place_item *it = &pl->item[i];
	const struct place_set *set = &pl->set[it->set];
	double best = DBL_MAX;
	int at = BIN_ASTRAY, near = 0;

	for (size_t b = 0; b < pl->nbins; b++) {
		double x;
		int n;

		if (b % BLOCK == 0 &&
		    pl->block[b / BLOCK] + it->d / pl->widest >= best + (near < 2 ? TINY : 0)) {
			b += BLOCK - 1;
			continue;
		}
		if (!place_usable(pl, set, b))
			continue;
		x = full_with(pl, b, it->d);
		if (x > best + TINY)
			continue;
		n = nearness(pl, it->from, b);
		if (x < best - TINY || n > near) {
			best = fmin(x, best);
			at = (int)b;
			near = n;
		}
	}
	if (it->home >= 0 && place_usable(pl, set, (size_t)it->home) &&
	    full_with(pl, (size_t)it->home, it->d) < best + TINY)
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

		if (pl->item[i].at != BIN_ASTRAY)
			continue;
		b = choose(pl, i);
		if (b < 0)
			continue;
		put(pl, i, b);
		see_block(pl, (size_t)b / BLOCK);
	}
}

/* ---- refine ------------------------------------------------------------------------- */

/* Moving i to bin q, and j (or nobody) back to where i was. */
struct step {
	uint32_t i, j;
	int q;
	double merit; /* what it is worth per pin */
	double even;  /* of equal ones: what it evens out */
};

enum aim { LOWER_FULLEST, LOWER_SPREAD };

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
		k = pl->twin[k];
	} while (k != p);
	return sum;
}

static double squares(const struct place *pl, size_t p, size_t q)
{
	bool both = false;
	double sum = core_squares(pl, p, q, &both);

	return both ? sum : sum + core_squares(pl, q, q, &both);
}

/* What moving net from p to q is worth: off the fuller of the two, and off the squares. */
static void gain(const struct place *pl, size_t p, size_t q, double net, double *fullest,
		 double *even)
{
	double was_p = pl->load[p], was_q = pl->load[q];

	*fullest = fmax(place_full(pl, p), place_full(pl, q));
	*even = squares(pl, p, q);
	pl->load[p] -= net;
	pl->load[q] += net;
	*fullest -= fmax(place_full(pl, p), place_full(pl, q));
	*even = *fullest < -TINY ? 0 : *even - squares(pl, p, q);
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
	double worth, cost;
	int more = pins(it, (int)q) + (back ? pins(back, (int)p) : 0);
	struct step step = { .i = i, .j = j, .q = (int)q };

	gain(pl, p, q, it->d - (back ? back->d : 0), &worth, &step.even);
	if (goal == LOWER_SPREAD)
		worth = step.even;
	if (worth <= TINY)
		return;
	cost = it->d * it->d + (back ? back->d * back->d : 0);
	if (goal == LOWER_SPREAD && more > 0 && worth < PAY * cost)
		return;
	step.merit = worth / (more > 0 ? more : CLEARLY);
	if (beats(&step, best))
		*best = step;
}

static bool usable(const struct place *pl, uint32_t i, size_t b)
{
	return place_usable(pl, &pl->set[pl->item[i].set], b);
}

/* All moves and swaps between bins p and q. */
static void consider_pair(const struct place *pl, enum aim goal, size_t p, size_t q,
			  struct step *best)
{
	for (uint32_t i = pl->head[p]; i != NOBODY; i = pl->item[i].next) {
		if (pl->item[i].fixed || !usable(pl, i, q))
			continue;
		consider(pl, goal, i, NOBODY, q, best);
		for (uint32_t j = pl->head[q]; j != NOBODY; j = pl->item[j].next)
			if (!pl->item[j].fixed && pl->item[j].d < pl->item[i].d &&
			    usable(pl, j, p))
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

	for (size_t i = 0; i < (goal == LOWER_FULLEST ? k > 0 : k); i++)
		consider_bin(pl, goal, from[i], &best);
	return best;
}

static void make_step(struct place *pl, const struct step *s)
{
	int p = pl->item[s->i].at;

	take(pl, s->i);
	put(pl, s->i, s->q);
	if (s->j != NOBODY) {
		take(pl, s->j);
		put(pl, s->j, p);
	}
}

static void refine(struct place *pl, double target, double stop_points)
{
	for (size_t k = 0; k < STEPS + 2 * pl->nbins; k++) {
		struct place_score s = quality(pl);
		struct step step = { .i = NOBODY };

		if (s.fullest > target + TINY)
			step = best_step(pl, LOWER_FULLEST);
		if (step.i == NOBODY && s.spread > stop_points)
			step = best_step(pl, LOWER_SPREAD);
		if (step.i == NOBODY)
			return;
		make_step(pl, &step);
	}
}

/* ---- the plan ----------------------------------------------------------------------- */

/* A plan to one level, left in hand. */
static struct place_score plan_to(struct place *pl, double target, double stop_points,
				  bool picky)
{
	go_home(pl);
	for (size_t b = 0; b < pl->nbins; b++)
		evict_bin(pl, b, target, picky);
	settle(pl);
	refine(pl, target, stop_points);
	return score(pl);
}

/* A plan that only refines where everybody is, of few moves. */
static struct place_score plan_few(struct place *pl, double target, double stop_points,
				   size_t max_moves)
{
	struct place_score s;

	go_home(pl);
	settle(pl);
	s = score(pl);
	max_moves += s.moves;
	while (s.moves < max_moves) {
		struct step step =
			best_step(pl, s.fullest > target + TINY ? LOWER_FULLEST : LOWER_SPREAD);

		if (step.i == NOBODY || (s.fullest <= target + TINY && s.spread <= stop_points))
			break;
		make_step(pl, &step);
		s = score(pl);
	}
	return s;
}

/* Is a better than b?  First a fullest bin clearly lower, then the spread, then moves. */
static bool better(const struct place *pl, struct place_score a, struct place_score b,
		   double target, double stop_points)
{
	double fa = fmax(a.fullest, target), fb = fmax(b.fullest, target);
	double sa = fmax(a.spread, stop_points), sb = fmax(b.spread, stop_points);

	if (fabs(fa - fb) > CLEARLY * pl->bound)
		return fa < fb;
	if (fabs(sa - sb) > NEARLY)
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
		if (pl->item[i].home == BIN_ASTRAY)
			return false;
	return true;
}

static bool no_worse(struct place_score a, struct place_score b)
{
	return a.fullest <= b.fullest + TINY && a.squares <= b.squares + TINY;
}

struct place_score place_plan(struct place *pl, double aim, double stop_points,
			      size_t max_moves, int *at)
{
	double target = aim * pl->bound;
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
		if (pl->n > CHEAP && best.fullest <= target + TINY &&
		    best.spread <= stop_points)
			break;
	}
	return best;
}
