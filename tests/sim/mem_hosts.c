/*
 * mem_hosts.c - random simulated hosts: two to twelve guests whose demand moves in pieces at
 * up to 45 MiB/s, sized from just feasible for one who knows the future to comfortable, with
 * surges of the host's own programs and odd guests.
 */
#include "tests/sim/mem_hosts.h"
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/sample.h"

#include <math.h>
#include <string.h>

#define MIBF      ((double)KIB_PER_MIB)
#define ODD       0.12  /* of the guests have an odd balloon or lot */
#define SWAP      0.25  /* have swap */
#define REPORT    0.25  /* report free pages */
#define SURGE     0.35  /* of the hosts have a surge */
#define GROWTH    45.0  /* MiB/s, at most */
#define NEVER_MIB 140.0 /* kernel, page structs and what stays free at the highest demand */
#define LEAST     1.06  /* total by the clairvoyant's need: just feasible */
#define MOST      1.60  /* ... comfortable */
#define OTHERS    150.0 /* MiB: the host's own programs */
#define VMM       30.0  /* MiB: a QEMU process beside its guest's memory */

struct dice {
	uint64_t state;
};

static double draw(struct dice *d, double low, double high)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return low + (high - low) * (double)(d->state >> 11) / 9007199254740992.0;
}

static double kernel_mib(const struct plant_mem_guest *g)
{
	return 16 + 0.016 * (double)g->max_kib / MIBF + 44 + 6;
}

static void course(struct dice *d, struct plant_mem_guest *g)
{
	double most = (double)g->max_kib / MIBF * 0.98 - NEVER_MIB, t = draw(d, 15, 60);
	double level = draw(d, 30, 0.5 * most);
	struct plant_course *c = &g->work;

	c->point[c->points].at_s = 0;
	c->point[c->points++].kib = level * MIBF;
	while (t < HOST_SECONDS && c->points + 2 < PLANT_POINTS) {
		double to = draw(d, 30, most);
		double rate = to > level ? draw(d, 2, GROWTH) : draw(d, 20, 400);

		c->point[c->points].at_s = t;
		c->point[c->points++].kib = level * MIBF;
		t += fabs(to - level) / rate;
		c->point[c->points].at_s = t;
		c->point[c->points++].kib = to * MIBF;
		level = to;
		t += draw(d, 5, 80);
	}
}

static void oddity(struct dice *d, struct plant_mem_guest *g)
{
	double at = draw(d, 20, 200);

	switch ((int)draw(d, 0, 10)) {
	case 0: g->balloon = BALLOON_SLOW; break;
	case 1: g->balloon = BALLOON_STUCK; break;
	case 2: g->balloon = BALLOON_FLAKY; break;
	case 3: g->balloon = BALLOON_LIMITED; break;
	case 4: g->balloon = BALLOON_SELFISH; break;
	case 5: g->balloon = BALLOON_NONE; break;
	case 6: g->stale_s = at; break;
	case 7: g->reboot_s = at; break;
	case 8: g->keeps_pages = true; break;
	default:
		g->pause_s = at;
		g->resume_s = at + draw(d, 5, 60);
		break;
	}
}

static bool shrinks(const struct plant_mem_guest *g)
{
	return g->balloon != BALLOON_STUCK && g->balloon != BALLOON_NONE && !g->keeps_pages &&
	       g->stale_s <= 0;
}

static void draw_guest(struct dice *d, struct plant_mem_guest *g)
{
	static const uint64_t size_mib[] = { 512, 1024, 1536, 2048, 2048, 3072 };

	memset(g, 0, sizeof(*g));
	g->max_kib = size_mib[(int)draw(d, 0, 6)] * MIB;
	course(d, g);
	g->cache_kib = (uint64_t)(draw(d, 10, 200) * MIBF);
	g->noise = draw(d, 0, 1) < 0.5 ? 0 : draw(d, 0, 0.02);
	if (draw(d, 0, 1) < SWAP)
		g->swap_kib = g->max_kib / 2;
	g->reporting = draw(d, 0, 1) < REPORT;
}

static void draw_surge(struct dice *d, struct plant_course *c)
{
	double at = draw(d, 30, 150), size = draw(d, 100, 1500) * MIBF, up = draw(d, 10, 40);

	c->points = 4;
	c->point[0].at_s = at;
	c->point[1].at_s = at + up;
	c->point[1].kib = c->point[2].kib = size;
	c->point[2].at_s = at + up + draw(d, 10, 60);
	c->point[3].at_s = c->point[2].at_s + 5;
}

/* What one who knows the future gives guest i at time t, in MiB. */
static double least_hold(const struct plant_mem_guest *g, double t)
{
	double use = plant_course_at(&g->work, t) / MIBF * (1 + g->noise) + kernel_mib(g);

	if (!shrinks(g))
		return (double)g->max_kib / MIBF;
	if (g->reboot_s > 0 && t > g->reboot_s && t < g->reboot_s + 8)
		return (double)g->max_kib / MIBF;
	return fmin(use + 10, (double)g->max_kib / MIBF);
}

static double peak_mib(const struct random_host *h, double *use_mib)
{
	double peak = 0;

	for (double t = 0; t < HOST_SECONDS; t++) {
		double guests = 0, sum = OTHERS + plant_course_at(&h->others, t) / MIBF;

		for (size_t i = 0; i < h->n; i++)
			guests += least_hold(&h->guest[i], t) + VMM;
		if (sum + guests > peak) {
			peak = sum + guests;
			*use_mib = guests;
		}
	}
	return peak;
}

static void size_host(struct random_host *h, double factor)
{
	double use = 0, peak = peak_mib(h, &use), total = peak;
	struct mem_host m = { 0 };

	for (int i = 0; i < 20; i++) {
		m.total_kib = (uint64_t)(total * MIBF);
		total = peak + use * (factor - 1) +
			(double)ledger_reserve(&mem_tunables_default, &m) / MIBF;
	}
	h->total_mib = (uint64_t)ceil(total);
	h->slack = factor - 1;
}

/* All start with the same beyond their use, and the host's reserve is kept. */
static void start(struct random_host *h)
{
	struct mem_host m = { .total_kib = h->total_mib * MIB };
	double left = (double)h->total_mib - OTHERS -
		      (double)ledger_reserve(&mem_tunables_default, &m) / MIBF;

	for (size_t i = 0; i < h->n; i++)
		left -= least_hold(&h->guest[i], 0) + 32;
	left = fmin(350, fmax(0, left / (double)h->n));
	for (size_t i = 0; i < h->n; i++) {
		struct plant_mem_guest *g = &h->guest[i];
		double hold = shrinks(g) ? least_hold(g, 0) + left : (double)g->max_kib / MIBF;

		g->start_kib = (uint64_t)(fmin(hold, (double)g->max_kib / MIBF) * MIBF);
		g->limit_kib = g->start_kib;
	}
}

void random_host(struct random_host *h, uint64_t seed)
{
	struct dice d = { seed * 0x9e3779b97f4a7c15ull + 1234567 };

	for (int i = 0; i < 20; i++)
		draw(&d, 0, 1);
	memset(h, 0, sizeof(*h));
	h->seed = seed;
	h->n = (size_t)draw(&d, 2, 13);
	for (size_t i = 0; i < h->n; i++) {
		draw_guest(&d, &h->guest[i]);
		if (draw(&d, 0, 1) < ODD) {
			oddity(&d, &h->guest[i]);
			h->odd++;
		}
	}
	if (draw(&d, 0, 1) < SURGE)
		draw_surge(&d, &h->others);
	size_host(h, draw(&d, LEAST, MOST));
	start(h);
}

struct mem_sim *random_host_sim(const struct random_host *h, double interval_s)
{
	struct mem_sim *s = mem_sim_new(h->total_mib, &h->others, interval_s, h->seed);

	for (size_t i = 0; i < h->n; i++)
		mem_sim_add(s, &h->guest[i]);
	s->odd = h->odd != 0;
	return s;
}

static void all_at_most(struct mem_sim *s, bool decide)
{
	(void)s, (void)decide;
}

/* What its balloon cannot take, used or not: by the ledger it may touch that any time. */
static double kept_kib(const struct plant_mem_guest *g)
{
	if (g->balloon == BALLOON_LIMITED)
		return (double)g->limit_kib;
	return shrinks(g) || g->stale_s > 0 ? 0 : (double)g->max_kib;
}

static double use_mib(const struct mem_sim *s, const struct random_host *h)
{
	double use = OTHERS;

	for (size_t i = 0; i < s->now.n; i++)
		use += fmax((double)mem_sim_truth(s, i).use_kib, kept_kib(&h->guest[i])) /
			       MIBF +
		       VMM;
	return use;
}

/* Played on a host with room for all: a pause may move a demand to where others have theirs. */
bool random_host_fits(const struct random_host *h)
{
	struct mem_host m = { .total_kib = h->total_mib * MIB };
	double has = (double)h->total_mib -
		     (double)ledger_reserve(&mem_tunables_default, &m) / MIBF,
	       most = 0;
	struct mem_sim *s = mem_sim_new(1 << 20, NULL, 5, h->seed);

	s->rule = all_at_most;
	for (size_t i = 0; i < h->n; i++) {
		struct plant_mem_guest conf = h->guest[i];

		conf.start_kib = conf.max_kib;
		mem_sim_add(s, &conf);
	}
	for (double t = 1; t <= HOST_SECONDS; t++) {
		mem_sim_tick(s);
		most = fmax(most, use_mib(s, h) + plant_course_at(&h->others, t) / MIBF);
	}
	mem_sim_free(s);
	return most <= has;
}
