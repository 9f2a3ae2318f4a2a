/*
 * plant_mem.c - the memory of a simulated host.
 *
 * A guest's RAM is its kernel's own, anonymous memory, page cache and free pages; the
 * balloon takes free pages.  Each page the guest ever wrote and the balloon did not take is
 * in the RSS of its process.  Rates are those measured on real guests, see the constants.
 */
#include "lib/units.h"
#include "tests/fake/plant_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB              ((double)KIB_PER_MIB)
#define STEP_NS          50000000
#define STEP_S           0.05
#define VMM_KIB          (30 * MIB)  /* the process beyond the guest's RAM */
#define HOST_KIB         (150 * MIB) /* host kernel and daemons at rest */
#define RESERVED_PART    0.016       /* of maximum: page structs, never managed */
#define RESERVED_KIB     (16 * MIB)
#define KERNEL_KIB       (44 * MIB) /* slab, stacks, init */
#define LEAST_KIB        (2 * MIB)  /* free below this: allocations fail */
#define CHURN_KIB        (1 * MIB)  /* what any guest allocates each second */
#define LEAST_CACHE_KIB  (6 * MIB)  /* running code: cannot be evicted for long */
#define CACHE_RATE       (20 * MIB) /* per second, as files are read */
#define SWAP_RATE        (100 * MIB)
#define ALLOC_RATE       (400 * MIB) /* no guest touches memory faster */
#define REPORT_RATE      (300 * MIB) /* free page reporting */
#define INFLATE_RATE     (800 * MIB)
#define DEFLATE_RATE     (3000 * MIB)
#define SLOW_INFLATE     (20 * MIB)
#define SLOW_DEFLATE     (200 * MIB)
#define SELFISH_LOW_KIB  (24 * MIB)
#define SELFISH_STEP_KIB (64 * MIB)
#define REBUILD_RATE     (30 * MIB)
#define BOOT_NS          (6LL * NS_PER_S)

struct sim_guest {
	struct plant_mem_guest conf;
	double balloon, target; /* KiB; target as last set */
	double anon, cache, swapped, want;
	double touched;     /* of its RAM, resident on the host */
	double kept;        /* ballooned, but not given back */
	double swap_out;    /* counter */
	double wobble;      /* of this second */
	bool dead, selfish; /* selfish: the balloon let go, until a new target */
	bool rebooted, capacity;
	int64_t born_ns;              /* its courses and times count from here */
	int64_t boot_ns, boot_end_ns; /* its last boot; 0: long ago */
	int64_t phase_ns, actual_phase_ns, stuck_until_ns, next_stuck_ns;
	uint64_t boot_id;
	struct plant_mem_stats shown;
};

struct plant_mem {
	int64_t now_ns;
	uint64_t total_kib, random;
	struct plant_course others;
	struct sim_guest *guest;
	size_t n;
};

static double draw(struct plant_mem *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (double)(p->random >> 11) / 9007199254740992.0;
}

static double series_at(const struct plant_course *c, double at)
{
	size_t k = at > 0 ? (size_t)at : 0;

	if (k + 1 >= c->series)
		return c->series_kib[c->series - 1];
	return c->series_kib[k] + (c->series_kib[k + 1] - c->series_kib[k]) * (at - (double)k);
}

double plant_course_at(const struct plant_course *c, double at_s)
{
	if (c->series_kib)
		return series_at(c, at_s / c->every_s);
	if (c->points == 0)
		return 0;
	if (at_s <= c->point[0].at_s)
		return c->point[0].kib;
	for (size_t i = 1; i < c->points; i++) {
		double from = c->point[i - 1].at_s, to = c->point[i].at_s;

		if (at_s < to)
			return c->point[i - 1].kib + (c->point[i].kib - c->point[i - 1].kib) *
							     (at_s - from) / (to - from);
	}
	return c->point[c->points - 1].kib;
}

static double at_s(const struct plant_mem *p)
{
	return (double)p->now_ns / NS_PER_S;
}

static double age_s(const struct plant_mem *p, const struct sim_guest *g)
{
	return (double)(p->now_ns - g->born_ns) / NS_PER_S;
}

static double actual(const struct sim_guest *g)
{
	return (double)g->conf.max_kib - g->balloon;
}

static double reserved(const struct sim_guest *g)
{
	return RESERVED_KIB + RESERVED_PART * (double)g->conf.max_kib;
}

static double used(const struct sim_guest *g)
{
	return reserved(g) + KERNEL_KIB + g->anon;
}

static double unused(const struct sim_guest *g)
{
	return fmax(0, actual(g) - used(g) - g->cache);
}

static double usable(const struct sim_guest *g)
{
	double mark = (actual(g) - reserved(g)) / 256; /* low watermarks go with size */

	return fmax(0, unused(g) + fmax(0, g->cache - LEAST_CACHE_KIB) - mark);
}

static bool booting(const struct plant_mem *p, const struct sim_guest *g)
{
	return p->now_ns < g->boot_end_ns;
}

static bool paused(const struct plant_mem *p, const struct sim_guest *g)
{
	double age = age_s(p, g);

	return g->conf.pause_s > 0 && age >= g->conf.pause_s && age < g->conf.resume_s;
}

/* The guest's own time: it stands still while paused. */
static double guest_s(const struct plant_mem *p, const struct sim_guest *g)
{
	double gone = fmin(age_s(p, g), g->conf.resume_s) - g->conf.pause_s;

	return age_s(p, g) - (g->conf.pause_s > 0 ? fmax(0, gone) : 0);
}

/* Takes kib of free pages into use: untouched ones in proportion become resident. */
static void touch(struct sim_guest *g, double kib)
{
	double resident = fmax(0, g->touched - used(g) - g->cache), all = unused(g);

	if (all > 0)
		g->touched += kib * fmax(0, 1 - resident / all);
	g->touched = fmin(g->touched, actual(g));
}

/* Frees up to kib by dropping cache, then by swapping; says how much it freed. */
static double reclaim(struct sim_guest *g, double kib, double swap_left)
{
	double cache = fmin(kib, fmax(0, g->cache - LEAST_CACHE_KIB)), swap;

	g->cache -= cache;
	swap = fmin(kib - cache, fmin(swap_left, (double)g->conf.swap_kib - g->swapped));
	swap = fmin(fmax(0, swap), g->anon);
	g->anon -= swap;
	g->swapped += swap;
	g->swap_out += swap;
	return cache + swap;
}

/* Lets the guest have kib more free pages than now, as far as it goes. */
static bool make_room(struct sim_guest *g, double kib)
{
	double lack = kib + LEAST_KIB - unused(g);

	if (lack > 0)
		lack -= reclaim(g, lack, SWAP_RATE * STEP_S);
	if (lack > 0 && g->conf.balloon == BALLOON_SELFISH && g->balloon > 0) {
		double step = fmin(g->balloon, fmax(lack, SELFISH_STEP_KIB));

		g->balloon -= step;
		g->selfish = true;
		lack -= step;
	}
	return lack <= 0;
}

static void die(struct sim_guest *g)
{
	g->dead = true;
	g->anon = g->swapped = 0;
}

static void allocate(struct sim_guest *g, double kib)
{
	bool swaps = g->conf.swap_kib > 0 && g->swapped < (double)g->conf.swap_kib;

	if (used(g) + kib + LEAST_CACHE_KIB + LEAST_KIB > (double)g->conf.max_kib)
		g->capacity = true;
	if (make_room(g, kib)) {
		touch(g, kib);
		g->anon += kib;
	} else if (!swaps) {
		die(g);
	}
}

static void work(struct plant_mem *p, struct sim_guest *g)
{
	double gap, was = g->anon + g->swapped;

	g->want = plant_course_at(&g->conf.work, guest_s(p, g)) * (1 + g->wobble);
	if (g->boot_end_ns > 0) /* what it runs is started anew, at a service's pace */
		g->want = fmin(g->want,
			       REBUILD_RATE * (double)(p->now_ns - g->boot_ns) / NS_PER_S);
	if (g->dead)
		g->want = 0;
	gap = g->want - was;
	if (gap > 0) {
		allocate(g, fmin(gap, ALLOC_RATE * STEP_S));
	} else {
		double swapped = fmin(g->swapped, -gap);

		g->swapped -= swapped;
		g->anon -= fmin(g->anon, -gap - swapped);
	}
}

static void fill_cache(struct sim_guest *g)
{
	double room = unused(g) - 16 * MIB, gap = (double)g->conf.cache_kib - g->cache;
	double more = fmin(fmin(room, gap), CACHE_RATE * STEP_S);

	if (more <= 0)
		return;
	touch(g, more);
	g->cache += more;
}

static bool stuck(const struct plant_mem *p, const struct sim_guest *g)
{
	return g->conf.balloon == BALLOON_STUCK || p->now_ns < g->stuck_until_ns;
}

static double inflate_limit(const struct plant_mem *p, const struct sim_guest *g)
{
	double most = (double)g->conf.max_kib;

	if (g->conf.balloon == BALLOON_LIMITED)
		most -= (double)g->conf.limit_kib;
	if (stuck(p, g) || g->selfish)
		return 0;
	return fmax(0, most - g->balloon);
}

static void inflate(struct plant_mem *p, struct sim_guest *g, double kib)
{
	double rate = g->conf.balloon == BALLOON_SLOW ? SLOW_INFLATE : INFLATE_RATE;
	double step = fmin(fmin(kib, rate * STEP_S), inflate_limit(p, g));
	double resident, all;

	if (step + LEAST_KIB > unused(g))
		reclaim(g, step + LEAST_KIB - unused(g), SWAP_RATE * STEP_S);
	all = unused(g);
	step = fmin(step, fmax(0, all - LEAST_KIB));
	if (step <= 0)
		return;
	resident = step * fmin(1, fmax(0, g->touched - used(g) - g->cache) / all);
	g->touched -= resident;
	if (g->conf.keeps_pages)
		g->kept += resident;
	g->balloon += step;
}

static void deflate(struct plant_mem *p, struct sim_guest *g, double kib)
{
	double rate = g->conf.balloon == BALLOON_SLOW ? SLOW_DEFLATE : DEFLATE_RATE;
	double step = fmin(fmin(kib, rate * STEP_S), g->balloon), kept;

	if (stuck(p, g) || g->selfish)
		return;
	kept = g->balloon > 0 ? g->kept * step / g->balloon : 0;
	g->balloon -= step;
	g->kept -= kept;
	g->touched += kept;
}

static void move_balloon(struct plant_mem *p, struct sim_guest *g)
{
	double gap = ((double)g->conf.max_kib - g->target) - g->balloon;

	if (g->conf.balloon == BALLOON_NONE || booting(p, g))
		return;
	if (g->conf.balloon == BALLOON_FLAKY && p->now_ns >= g->next_stuck_ns) {
		g->stuck_until_ns = p->now_ns + (int64_t)((8 + 12 * draw(p)) * NS_PER_S);
		g->next_stuck_ns = g->stuck_until_ns + (int64_t)(60 * draw(p) * NS_PER_S);
	}
	if (gap > 0)
		inflate(p, g, gap);
	else if (gap < 0)
		deflate(p, g, -gap);
}

static void report_free(struct sim_guest *g)
{
	double stale = g->touched - used(g) - g->cache;

	if (g->conf.reporting && stale > 0)
		g->touched -= fmin(stale, REPORT_RATE * STEP_S);
}

/* Boots on all its RAM: the balloon inflates when the driver is there. */
static void boot(struct plant_mem *p, struct sim_guest *g)
{
	g->boot_id++;
	g->boot_ns = p->now_ns;
	g->boot_end_ns = p->now_ns + BOOT_NS;
	g->balloon = g->kept = g->anon = g->cache = g->swapped = g->swap_out = 0;
}

static void show(struct plant_mem *p, struct sim_guest *g)
{
	struct plant_mem_stats *s = &g->shown;
	bool silent = booting(p, g) || paused(p, g) || g->conf.balloon == BALLOON_NONE;
	int64_t second = p->now_ns % NS_PER_S;

	s->paused = paused(p, g);
	s->boot_id = g->boot_id;
	s->rss_kib = (uint64_t)(g->touched + g->kept + VMM_KIB);
	if (!silent && second == g->actual_phase_ns)
		s->actual_kib = (uint64_t)actual(g);
	if (silent || second != g->phase_ns ||
	    (g->conf.stale_s > 0 && age_s(p, g) > g->conf.stale_s))
		return;
	s->usable_kib = (uint64_t)usable(g);
	s->unused_kib = (uint64_t)unused(g);
	s->caches_kib = (uint64_t)g->cache;
	s->managed_kib = (uint64_t)(actual(g) - reserved(g));
	s->swap_out_kib = (uint64_t)g->swap_out;
	s->last_update_s = 1700000000 + (uint64_t)at_s(p);
	s->reported = true;
}

static void step_guest(struct plant_mem *p, struct sim_guest *g)
{
	bool second = p->now_ns % NS_PER_S == 0;

	if (g->conf.reboot_s > 0 && !g->rebooted && age_s(p, g) >= g->conf.reboot_s) {
		g->rebooted = true;
		boot(p, g);
	}
	if (second)
		g->wobble = g->conf.noise * (2 * draw(p) - 1);
	if (!paused(p, g)) {
		work(p, g);
		fill_cache(g);
		move_balloon(p, g);
		report_free(g);
		if (second && !g->dead && !make_room(g, CHURN_KIB))
			die(g);
	}
	g->touched = fmin(fmax(g->touched, used(g) + g->cache), actual(g));
	show(p, g);
}

void plant_mem_advance(struct plant_mem *p, int64_t ns)
{
	for (int64_t end = p->now_ns + ns; p->now_ns < end;) {
		p->now_ns += STEP_NS;
		for (size_t i = 0; i < p->n; i++)
			step_guest(p, &p->guest[i]);
	}
}

struct plant_mem *plant_mem_new(uint64_t total_kib, const struct plant_course *others,
				uint64_t seed)
{
	struct plant_mem *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->total_kib = total_kib;
	p->random = seed * 2654435761u + 88172645463325252u;
	if (others != NULL)
		p->others = *others;
	for (int i = 0; i < 20; i++)
		draw(p);
	return p;
}

void plant_mem_free(struct plant_mem *p)
{
	if (p == NULL)
		return;
	free(p->guest);
	free(p);
}

size_t plant_mem_add(struct plant_mem *p, const struct plant_mem_guest *conf)
{
	struct sim_guest *g;

	p->guest = realloc(p->guest, (p->n + 1) * sizeof(*p->guest));
	if (p->guest == NULL)
		abort();
	g = &p->guest[p->n];
	memset(g, 0, sizeof(*g));
	g->conf = *conf;
	g->born_ns = p->now_ns;
	g->target = (double)(conf->balloon == BALLOON_NONE ? conf->max_kib : conf->start_kib);
	g->balloon = (double)conf->max_kib - g->target;
	g->anon = plant_course_at(&conf->work, 0);
	g->cache = fmax(LEAST_CACHE_KIB, fmin((double)conf->cache_kib, unused(g) - 64 * MIB));
	g->touched = used(g) + g->cache;
	g->boot_id = 1;
	g->phase_ns = (int64_t)(draw(p) * 20) * STEP_NS;
	g->actual_phase_ns = (int64_t)(draw(p) * 20) * STEP_NS;
	g->next_stuck_ns = p->now_ns + (int64_t)(60 * draw(p) * NS_PER_S);
	g->shown.actual_kib = (uint64_t)actual(g);
	show(p, g);
	return p->n++;
}

size_t plant_mem_start(struct plant_mem *p, const struct plant_mem_guest *conf)
{
	size_t i = plant_mem_add(p, conf);
	struct sim_guest *g = &p->guest[i];

	boot(p, g);
	g->touched = used(g);
	g->shown = (struct plant_mem_stats){ .actual_kib = conf->max_kib };
	show(p, g);
	return i;
}

void plant_mem_remove(struct plant_mem *p, size_t guest)
{
	p->n--;
	memmove(&p->guest[guest], &p->guest[guest + 1], (p->n - guest) * sizeof(p->guest[0]));
}

void plant_mem_target(struct plant_mem *p, size_t guest, uint64_t kib)
{
	struct sim_guest *g = &p->guest[guest];

	g->target = (double)(kib < g->conf.max_kib ? kib : g->conf.max_kib);
	g->selfish = false;
}

void plant_mem_stats(const struct plant_mem *p, size_t guest, struct plant_mem_stats *out)
{
	*out = p->guest[guest].shown;
}

void plant_mem_truth(const struct plant_mem *p, size_t guest, struct plant_mem_truth *out)
{
	const struct sim_guest *g = &p->guest[guest];
	double hold = fmax(actual(g), g->conf.balloon == BALLOON_NONE ? 0 : g->target);

	*out = (struct plant_mem_truth){
		.dead = g->dead,
		.booting = booting(p, g),
		.stuck = stuck(p, g),
		.capacity = g->capacity,
		.actual_kib = (uint64_t)actual(g),
		.target_kib = (uint64_t)g->target,
		.use_kib = (uint64_t)(used(g) + LEAST_CACHE_KIB),
		.free_kib = (uint64_t)usable(g),
		.unused_kib = (uint64_t)unused(g),
		.swapped_kib = (uint64_t)g->swapped,
		.hold_kib = (uint64_t)(hold + g->kept + VMM_KIB),
		.rss_kib = (uint64_t)(g->touched + g->kept + VMM_KIB),
	};
}

uint64_t plant_mem_total(const struct plant_mem *p)
{
	return p->total_kib;
}

int64_t plant_mem_available(const struct plant_mem *p)
{
	double left = (double)p->total_kib - HOST_KIB - plant_course_at(&p->others, at_s(p));

	for (size_t i = 0; i < p->n; i++)
		left -= p->guest[i].touched + p->guest[i].kept + VMM_KIB;
	return (int64_t)left;
}

int64_t plant_mem_now(const struct plant_mem *p)
{
	return p->now_ns;
}
