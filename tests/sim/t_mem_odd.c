/*
 * t_mem_odd.c - the memory policy's hard cases on the simulated host: too much demand, surges,
 * noise, and each kind of odd guest beside ordinary ones; TAP.
 */
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "tests/sim/mem_sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct plant_mem_guest ordinary = {
	.max_kib = 2048 * MIB,
	.start_kib = 512 * MIB,
	.work = { 1, { { 0, 100 * MIB } } },
	.cache_kib = 60 * MIB,
};

static struct plant_mem_guest constant(double mib)
{
	struct plant_mem_guest conf = ordinary;

	conf.work.point[0].kib = mib * MIB;
	conf.start_kib = (uint64_t)((mib + 350) * MIB);
	return conf;
}

/* Grows from one size to another at rate MiB/s. */
static struct plant_mem_guest growing(double from, double to, double at, double rate)
{
	struct plant_mem_guest conf = constant(from);

	conf.work.points = 2;
	conf.work.point[0].at_s = at;
	conf.work.point[1].at_s = at + (to - from) / rate;
	conf.work.point[1].kib = to * MIB;
	return conf;
}

static double actual(const struct mem_sim *s, size_t i)
{
	return (double)mem_sim_truth(s, i).actual_kib / MIB;
}

static void safe(struct mem_sim *s, const char *name)
{
	const struct mem_figures *f = &s->figures;

	ok(s->violations == 0, "%s: every invariant holds (%u broken; %s)", name, s->violations,
	   s->first);
	ok(f->deaths == 0, "%s: no guest dies (%u)", name, f->deaths);
	ok(f->breach_s <= 0, "%s: the host keeps its least (%.0f s below; least %.0f MiB)",
	   name, f->breach_s, f->least_available_mib);
	printf("# %s: least free %.0f MiB, least available %.0f MiB, %u commands, %.0f MiB "
	       "moved, idle %.0f MiB\n",
	       name, f->least_free_mib, f->least_available_mib, f->commands, f->moved_mib,
	       f->idle_mib / f->ticks);
}

static void quiet(struct mem_sim *s, const char *name, double seconds)
{
	unsigned before = s->figures.commands;

	mem_sim_run(s, seconds);
	ok(s->figures.commands == before, "%s: no command in %.0f s (%u)", name, seconds,
	   s->figures.commands - before);
}

static void even(struct mem_sim *s, size_t first, size_t n, const char *name, double most)
{
	double low = INFINITY, high = 0;

	for (size_t i = first; i < first + n; i++) {
		low = fmin(low, actual(s, i));
		high = fmax(high, actual(s, i));
	}
	ok(high <= low * most, "%s: equal guests are equal (%.0f to %.0f MiB)", name, low,
	   high);
}

/* Four guests with swap want twice what the host has. */
static void beyond(void)
{
	struct mem_sim *s = mem_sim_new(3072, NULL, 5, 11);
	struct plant_mem_guest conf = growing(100, 1200, 20, 20);

	conf.swap_kib = 2048 * MIB;
	for (int i = 0; i < 4; i++)
		mem_sim_add(s, &conf);
	mem_sim_run(s, 300);
	ok(s->report.shortfall_kib > 0, "beyond the host: the shortfall is reported (%.0f MiB)",
	   (double)s->report.shortfall_kib / MIB);
	even(s, 0, 4, "beyond the host", 1.05);
	quiet(s, "beyond the host", 100);
	safe(s, "beyond the host");
	mem_sim_free(s);
}

/* Owners of two ask for more than there is: the minimum is granted as far as that goes. */
static void minimum(void)
{
	struct mem_sim *s = mem_sim_new(2048, NULL, 5, 17);
	struct plant_mem_guest conf = constant(100);

	conf.start_kib = 512 * MIB;
	mem_sim_add(s, &conf)->now.policy.min_kib = 1500 * MIB;
	mem_sim_add(s, &conf)->now.policy.min_kib = 1500 * MIB;
	mem_sim_run(s, 60);
	even(s, 0, 2, "minimum beyond the host", 1.05);
	ok(actual(s, 0) > 600, "minimum beyond the host: it gains (%.0f MiB)", actual(s, 0));
	quiet(s, "minimum beyond the host", 100);
	safe(s, "minimum beyond the host");
	mem_sim_free(s);
}

static void still(double noise, uint64_t total_mib, uint64_t seed, const char *name)
{
	struct mem_sim *s = mem_sim_new(total_mib, NULL, 5, seed);

	for (int i = 0; i < 6; i++) {
		struct plant_mem_guest conf = constant(100 + 150 * i);

		conf.noise = noise;
		mem_sim_add(s, &conf);
	}
	mem_sim_run(s, 1000);
	quiet(s, name, 500);
	safe(s, name);
	mem_sim_free(s);
}

static void equal_growth(double rate, uint64_t total_mib)
{
	struct mem_sim *s = mem_sim_new(total_mib, NULL, 5, 13);
	struct plant_mem_guest conf = growing(100, 900, 40, rate);
	char name[64];

	snprintf(name, sizeof(name), "equal growth at %.0f MiB/s", rate);
	for (int i = 0; i < 4; i++)
		mem_sim_add(s, &conf);
	mem_sim_run(s, 60 + 800 / rate);
	even(s, 0, 4, name, 1.05);
	safe(s, name);
	mem_sim_free(s);
}

/* What one has in comfort goes to an equal one that lacks. */
static void fairness(void)
{
	struct mem_sim *s = mem_sim_new(1500, NULL, 5, 17);
	struct plant_mem_guest conf = constant(350);

	conf.start_kib = 592 * MIB;
	mem_sim_add(s, &conf);
	conf.start_kib = 519 * MIB;
	mem_sim_add(s, &conf);
	mem_sim_run(s, 120);
	even(s, 0, 2, "fairness", 1.08);
	quiet(s, "fairness", 100);
	safe(s, "fairness");
	mem_sim_free(s);
}

/*
 * Each grows by the same, in steps at times of its own, as a guest does that its host runs now
 * and then: growth rates seen, and so what it is granted, differ.
 */
static void uneven_growth(uint64_t seed)
{
	struct mem_sim *s = mem_sim_new(8192, NULL, 5, seed);

	for (int i = 0; i < 4; i++) {
		struct plant_mem_guest conf = constant(100);

		conf.work.points = 0;
		for (int k = 0; k < 10; k++) {
			double at = 20 + 5 * k + 0.9 * i, rate = 20 + 20 * i;
			size_t n = conf.work.points;

			conf.work.point[n].at_s = at;
			conf.work.point[n].kib = (100 + 40 * k) * MIB;
			conf.work.point[n + 1].at_s = at + 40 / rate;
			conf.work.point[n + 1].kib = (140 + 40 * k) * MIB;
			conf.work.points += 2;
		}
		mem_sim_add(s, &conf);
	}
	mem_sim_run(s, 200);
	even(s, 0, 4, "uneven growth", 1.05);
	quiet(s, "uneven growth", 300);
	safe(s, "uneven growth");
	mem_sim_free(s);
}

/* Files in its cache stay while the host is well, and go when another guest grows. */
static void caches(void)
{
	struct mem_sim *s = mem_sim_new(3400, NULL, 5, 23);
	struct plant_mem_guest conf = constant(150);
	struct plant_mem_truth t;

	conf.cache_kib = 700 * MIB;
	conf.start_kib = 1400 * MIB;
	mem_sim_add(s, &conf);
	conf = growing(100, 1500, 250, 20);
	mem_sim_add(s, &conf);
	mem_sim_run(s, 240);
	t = mem_sim_truth(s, 0);
	ok(t.actual_kib - t.use_kib - t.unused_kib > 690 * MIB, "caches: they stay (%.0f MiB)",
	   (double)(t.actual_kib - t.use_kib - t.unused_kib) / MIB);
	ok((double)t.unused_kib >= mem_tunables_default.unused_kib && t.unused_kib < 320 * MIB,
	   "caches: beside them 128 MiB stay unused, and no more than is not clearly idle (%.0f MiB)",
	   (double)t.unused_kib / MIB);
	quiet(s, "caches", 10);
	mem_sim_run(s, 150);
	ok(actual(s, 0) < 800, "caches: they go to who lacks memory (%.0f MiB)", actual(s, 0));
	ok(mem_sim_truth(s, 1).free_kib > 128 * MIB, "caches: who has its need (%.0f MiB)",
	   (double)mem_sim_truth(s, 1).free_kib / MIB);
	safe(s, "caches");
	mem_sim_free(s);
}

static double least_free(const struct mem_sim *s, size_t first, size_t n)
{
	double least = INFINITY;

	for (size_t i = first; i < first + n; i++)
		least = fmin(least, (double)mem_sim_truth(s, i).free_kib / MIB);
	return least;
}

/* All have their floor; not all have their need. */
static void needs_beyond(void)
{
	struct mem_sim *s = mem_sim_new(3800, NULL, 5, 18);
	struct plant_mem_guest conf = growing(100, 590, 30, 8);

	for (int i = 0; i < 4; i++)
		mem_sim_add(s, &conf);
	mem_sim_run(s, 200);
	ok(s->report.shortfall_kib > 0,
	   "needs beyond the host: the shortfall is reported "
	   "(%.0f MiB)",
	   (double)s->report.shortfall_kib / MIB);
	ok(least_free(s, 0, 4) >= 64, "needs beyond the host: all have their floor (%.0f MiB)",
	   least_free(s, 0, 4));
	quiet(s, "needs beyond the host", 100);
	safe(s, "needs beyond the host");
	mem_sim_free(s);
}

/* Each has once touched 1.6 GiB: what they free comes back to the host. */
static void given_back(void)
{
	struct mem_sim *s = mem_sim_new(10240, NULL, 5, 19);
	double before;

	for (int i = 0; i < 4; i++) {
		struct plant_mem_guest conf = growing(1500, 100, 30, -300);

		conf.start_kib = 2000 * MIB;
		mem_sim_add(s, &conf);
	}
	mem_sim_run(s, 40);
	before = (double)plant_mem_available(s->plant) / MIB;
	mem_sim_run(s, 600);
	for (size_t i = 0; i < 4; i++)
		ok(mem_sim_truth(s, i).free_kib < mem_tunables_default.comfort_kib +
							  mem_tunables_default.idle_kib +
							  16 * MIB,
		   "idle for ten minutes: guest %zu has comfort and no more (%.0f MiB free)", i,
		   (double)mem_sim_truth(s, i).free_kib / MIB);
	ok((double)plant_mem_available(s->plant) / MIB > before + 4 * 1100,
	   "idle for ten minutes: the host has it (%.0f, then %.0f MiB)", before,
	   (double)plant_mem_available(s->plant) / MIB);
	quiet(s, "idle for ten minutes", 100);
	safe(s, "idle for ten minutes");
	mem_sim_free(s);
}

/* Two free while two grow, on a host that has nothing besides: only what moves can help. */
static void transfer(double rate)
{
	struct mem_sim *s = mem_sim_new(4600, NULL, 5, 20);
	struct plant_mem_guest frees = growing(800, 100, 60, -100);
	struct plant_mem_guest grows = growing(800, 1400, 75, rate);
	char name[64];

	snprintf(name, sizeof(name), "transfer at %.0f MiB/s", rate);
	for (int i = 0; i < 4; i++) {
		struct plant_mem_guest *conf = i < 2 ? &frees : &grows;

		conf->start_kib = 1030 * MIB;
		mem_sim_add(s, conf);
	}
	mem_sim_run(s, 60);
	ok(s->report.headroom_kib < 64 * (int64_t)MIB, "%s: nothing is spare (%.0f MiB)", name,
	   (double)s->report.headroom_kib / MIB);
	mem_sim_run(s, 60 + 600 / rate);
	ok(actual(s, 0) < 700 && actual(s, 1) < 700, "%s: the free give (%.0f, %.0f MiB)", name,
	   actual(s, 0), actual(s, 1));
	ok(actual(s, 2) > 1550 && actual(s, 3) > 1550, "%s: the growing gain (%.0f, %.0f MiB)",
	   name, actual(s, 2), actual(s, 3));
	even(s, 2, 2, name, 1.05);
	safe(s, name);
	mem_sim_free(s);
}

/* The host's programs take 2 GiB in 30 s; the guests have touched all they hold. */
static void surge(void)
{
	struct plant_course others = {
		.points = 4,
		.point = { { 100, 0 }, { 130, 2048 * MIB }, { 240, 2048 * MIB }, { 241, 0 } }
	};
	struct mem_sim *s = mem_sim_new(7600, &others, 5, 14);
	double least = INFINITY;

	s->conf.surplus = true;
	for (int i = 0; i < 4; i++) {
		struct plant_mem_guest conf = growing(1400, 300 + 100 * i, 10, -300);

		conf.start_kib = 1640 * MIB;
		mem_sim_add(s, &conf);
	}
	mem_sim_run(s, 99);
	ok(plant_mem_available(s->plant) < 2048 * (int64_t)MIB,
	   "surge of host programs: the host alone has too little (%.0f MiB)",
	   (double)plant_mem_available(s->plant) / MIB);
	for (int i = 0; i < 100; i++) {
		mem_sim_run(s, 1);
		least = fmin(least, least_free(s, 0, 4));
	}
	ok(least >= 64, "surge of host programs: nobody under their floor (%.0f MiB)", least);
	safe(s, "surge of host programs");
	mem_sim_run(s, 400);
	quiet(s, "surge of host programs", 100);
	mem_sim_free(s);
}

/* The kernel reports pressure though memory is there: comfort goes, nobody is hurt. */
static void pressure(void)
{
	struct mem_sim *s = mem_sim_new(6144, NULL, 5, 21);
	struct plant_mem_guest conf = constant(500);

	for (int i = 0; i < 4; i++)
		mem_sim_add(s, &conf);
	mem_sim_run(s, 100);
	ok(s->report.state == HOST_OK, "pressure: none, the host is well");
	s->pressure = 15;
	mem_sim_run(s, 1);
	ok(s->report.state == HOST_SOFT, "pressure: 15 %%, at once soft");
	mem_sim_run(s, 100);
	ok(least_free(s, 0, 4) >= 100 && least_free(s, 0, 4) < 180,
	   "pressure: all go to need (%.0f MiB)", least_free(s, 0, 4));
	s->pressure = 40;
	mem_sim_run(s, 100);
	ok(s->report.state == HOST_HARD && least_free(s, 0, 4) >= 64,
	   "pressure: 40 %%, hard; all keep their floor (%.0f MiB)", least_free(s, 0, 4));
	s->pressure = 0;
	mem_sim_run(s, 60);
	ok(s->report.state == HOST_OK, "pressure: gone, well again");
	mem_sim_run(s, 60);
	ok(least_free(s, 0, 4) >= 210, "pressure: and all have comfort again (%.0f MiB)",
	   least_free(s, 0, 4));
	quiet(s, "pressure", 100);
	safe(s, "pressure");
	mem_sim_free(s);
}

/* One odd guest beside three that grow, one after the other, on a host with little to spare. */
static struct mem_sim *beside(struct plant_mem_guest odd, uint64_t total_mib)
{
	struct mem_sim *s = mem_sim_new(total_mib, NULL, 5, 15);

	s->odd = true;
	mem_sim_add(s, &odd);
	for (int i = 0; i < 3; i++) {
		struct plant_mem_guest conf = growing(100, 700, 60 + 40 * i, 30);

		mem_sim_add(s, &conf);
	}
	return s;
}

static void odd_balloon(enum plant_balloon kind, const char *name)
{
	struct plant_mem_guest odd = constant(150);
	struct mem_sim *s;

	odd.balloon = kind;
	odd.start_kib = 1000 * MIB;
	odd.limit_kib = 800 * MIB;
	s = beside(odd, 6144);
	mem_sim_run(s, 300);
	for (size_t i = 1; i < 4; i++)
		ok(mem_sim_truth(s, i).free_kib > 150 * MIB,
		   "%s: guest %zu has room (%.0f MiB)", name, i,
		   (double)mem_sim_truth(s, i).free_kib / MIB);
	mem_sim_run(s, 600);
	if (kind == BALLOON_IDEAL || kind == BALLOON_SLOW || kind == BALLOON_SELFISH)
		ok(actual(s, 0) < 600, "%s: it gives (%.0f MiB)", name, actual(s, 0));
	quiet(s, name, 100);
	safe(s, name);
	mem_sim_free(s);
}

/* A DIMM that a guest never brought online is no demand, and takes nothing from its neighbours.
 */
static void offline_dimm(void)
{
	double starved[2];

	for (int i = 0; i < 2; i++) {
		struct plant_mem_guest odd = constant(300);
		struct mem_sim *s;
		double demand;

		s = beside(odd, 4500);
		if (i)
			mem_sim_offline(s, 0, 4096 * MIB);
		mem_sim_run(s, 60);
		demand = (double)s->view.guest[0].plan.demand_kib -
			 (double)mem_sim_truth(s, 0).use_kib;
		ok(fabs(demand) < 160 * (double)MIB,
		   "offline DIMM%s: its demand is what it and its kernel use (%.0f MiB more)",
		   i ? "" : ", none", demand / MIB);
		mem_sim_run(s, 240);
		ok(actual(s, 0) < 800, "offline DIMM: it gives as others do (%.0f MiB)",
		   actual(s, 0));
		quiet(s, "offline DIMM", 100);
		safe(s, "offline DIMM");
		starved[i] = 0;
		for (size_t k = 1; k < 4; k++)
			starved[i] += s->watch[k].starved_s;
		mem_sim_free(s);
	}
	ok(starved[1] <= starved[0],
	   "offline DIMM: it costs the others nothing (%.0f s, %.0f s)", starved[0],
	   starved[1]);
}

/* A balloon that takes less than its definition says: what is refused stands in no rescue's
 * way. */
static void refused_growth(void)
{
	struct mem_sim *s = mem_sim_new(8192, NULL, 5, 31);
	struct plant_mem_guest conf = growing(100, 700, 60, 40);

	conf.max_kib = 4096 * MIB;
	for (int i = 0; i < 3; i++) {
		mem_sim_add(s, &conf);
		s->watch[i].accepts_kib = (unsigned)(920 + 30 * i) * MIB;
	}
	mem_sim_run(s, 90);
	for (size_t i = 0; i < 3; i++)
		ok(actual(s, i) > 880, "refused growth: guest %zu has what there is (%.0f MiB)",
		   i, actual(s, i));
	mem_sim_run(s, 300);
	safe(s, "refused growth");
	mem_sim_free(s);
}

/* Beside one that refuses, the others fare as beside one that is left alone as large. */
static void refusal(void)
{
	double starved[2];

	for (int i = 0; i < 2; i++) {
		struct plant_mem_guest odd = constant(150);
		struct mem_sim *s;

		odd.balloon = BALLOON_STUCK;
		odd.start_kib = 1000 * MIB;
		s = beside(odd, 4500);
		if (i == 0)
			s->now.guest[0].now.state = GUEST_UNMANAGED;
		mem_sim_run(s, 300);
		safe(s, i ? "refusal" : "no refusal");
		starved[i] = 0;
		for (size_t k = 1; k < 4; k++)
			starved[i] += s->watch[k].starved_s;
		mem_sim_free(s);
	}
	ok(starved[1] <= starved[0], "refusal: it costs the others nothing (%.0f s, %.0f s)",
	   starved[0], starved[1]);
}

/* virsh setmem, up and down, while vmbal runs. */
static void somebody_else(void)
{
	struct mem_sim *s = beside(constant(150), 6144);

	mem_sim_run(s, 120);
	plant_mem_target(s->plant, 0, 1500 * MIB);
	mem_sim_run(s, 8);
	ok(s->view.guest[0].mem.target_kib > 1400 * MIB,
	   "somebody else's target: adopted (%.0f MiB)",
	   (double)s->view.guest[0].mem.target_kib / MIB);
	mem_sim_run(s, 300);
	plant_mem_target(s->plant, 0, 300 * MIB);
	mem_sim_run(s, 60);
	ok(mem_sim_truth(s, 0).free_kib > 100 * MIB,
	   "somebody else's target: helped (%.0f MiB)",
	   (double)mem_sim_truth(s, 0).free_kib / MIB);
	mem_sim_run(s, 200);
	quiet(s, "somebody else's target", 100);
	safe(s, "somebody else's target");
	mem_sim_free(s);
}

/* The program slept for so long. */
static void asleep(double seconds)
{
	struct mem_sim *s = mem_sim_new(3072, NULL, 5, 22);

	for (int i = 0; i < 4; i++) {
		struct plant_mem_guest conf = growing(100 + 50 * i, 200 + 50 * i, 60, 20);

		conf.noise = 0.02;
		mem_sim_add(s, &conf);
	}
	mem_sim_run(s, 50);
	plant_mem_advance(s->plant, (int64_t)(seconds * NS_PER_S));
	mem_sim_run(s, 200);
	ok(least_free(s, 0, 4) > 100, "asleep for %.0f s: all have room (%.0f MiB)", seconds,
	   least_free(s, 0, 4));
	safe(s, "asleep");
	mem_sim_free(s);
}

/* QEMU's own memory is all of its RSS: the guest's is in hugepages. */
static void lie_by_hugepages(struct mem_sim *s, struct guest_count *g, size_t i)
{
	(void)s;
	if (i == 0)
		g->now.rss_kib = 90 * MIB;
}

/* Its second cell is in hugepages: what its first may still touch is not there for others. */
static void some_hugepages(void)
{
	struct mem_sim *s = beside(constant(150), 6144);
	const struct guest *g;

	s->now.guest[0].now.kind.huge_kib = s->now.guest[0].now.max_kib - 300 * MIB;
	s->lie = lie_by_hugepages;
	mem_sim_run(s, 400);
	g = &s->view.guest[0];
	ok(g->plan.reason == MEM_LOCKED && g->mem.command_ns == 0,
	   "hugepages for some cells: left alone");
	ok(g->plan.claim_kib == 300 * MIB,
	   "hugepages for some cells: the rest is booked (%.0f MiB)",
	   (double)g->plan.claim_kib / MIB);
	ok(least_free(s, 1, 3) > 150,
	   "hugepages for some cells: the others have room (%.0f MiB)", least_free(s, 1, 3));
	safe(s, "hugepages for some cells");
	mem_sim_free(s);
}

/* What its balloon takes does not come back: VFIO, SEV, mlock; hugepages. */
static void locked(bool hugepages)
{
	struct mem_sim *s = beside(constant(150), 6144);

	s->now.guest[0].now.kind.locked = !hugepages;
	s->now.guest[0].now.kind.huge_kib = hugepages ? s->now.guest[0].now.max_kib : 0;
	mem_sim_run(s, 400);
	ok(s->view.guest[0].plan.reason == MEM_LOCKED && s->view.guest[0].mem.command_ns == 0,
	   "%s: left alone", hugepages ? "hugepages" : "locked");
	ok(s->view.guest[0].plan.claim_kib <= ledger_held(&s->view.guest[0]),
	   "%s: no more is booked than it holds (%.0f MiB)", hugepages ? "hugepages" : "locked",
	   (double)s->view.guest[0].plan.claim_kib / MIB);
	ok(least_free(s, 1, 3) > 150, "%s: the others have room (%.0f MiB)",
	   hugepages ? "hugepages" : "locked", least_free(s, 1, 3));
	safe(s, "locked");
	mem_sim_free(s);
}

/* Its cgroup would kill its QEMU, which needs some for itself. */
static void hard_limit(void)
{
	struct mem_sim *s = beside(constant(150), 8192);

	s->now.guest[0].now.limit_kib = 700 * MIB;
	s->conf.surplus = true;
	mem_sim_run(s, 200);
	ok(actual(s, 0) <= 668 && actual(s, 0) > 600,
	   "hard limit: it grows up to what that leaves (%.0f MiB)", actual(s, 0));
	ok(actual(s, 1) > 1000, "hard limit: the others grow beyond (%.0f MiB)", actual(s, 1));
	safe(s, "hard limit");
	mem_sim_free(s);
}

/* What KSM merged can be written to at any time: it is promised. */
static void merged(void)
{
	struct mem_sim *s = beside(constant(150), 6144);
	double left;

	s->merged_kib = 1500 * MIB;
	s->conf.surplus = true;
	mem_sim_run(s, 200);
	left = (double)(s->report.available_kib - s->report.reserve_kib) / MIB;
	ok(left >= 1500, "KSM: what is merged stays with the host (%.0f MiB)", left);
	safe(s, "KSM");
	mem_sim_free(s);
}

/*
 * What one is taken to hold is wrong: 7 GiB, of which it never touches more than one.  Nothing
 * is unpromised, but memory is there: it goes to those who would die, and no further.
 */
static void wrong_claim(void)
{
	struct plant_mem_guest odd = constant(800);
	struct mem_sim *s;

	odd.max_kib = odd.start_kib = 7168 * MIB;
	s = beside(odd, 8192);
	s->now.guest[0].now.kind.locked = true;
	mem_sim_run(s, 90);
	ok(s->report.headroom_kib < 0, "wrong claim: nothing is unpromised (%.0f MiB)",
	   (double)s->report.headroom_kib / MIB);
	mem_sim_run(s, 300);
	ok(least_free(s, 1, 3) >= 64, "wrong claim: the others have their floor (%.0f MiB)",
	   least_free(s, 1, 3));
	safe(s, "wrong claim");
	mem_sim_free(s);
}

static void reboot(void)
{
	struct plant_mem_guest odd = constant(100);
	struct mem_sim *s;

	odd.start_kib = 500 * MIB;
	odd.reboot_s = 200;
	s = beside(odd, 4096);
	mem_sim_run(s, 400);
	ok(mem_sim_truth(s, 0).free_kib > 100 * MIB, "reboot: it has room (%.0f MiB)",
	   (double)mem_sim_truth(s, 0).free_kib / MIB);
	quiet(s, "reboot", 100);
	safe(s, "reboot");
	mem_sim_free(s);
}

/* From its restart on nothing is heard of it, and its balloon stands as it did. */
static void fall_silent(struct mem_sim *s, struct guest_count *g, size_t i)
{
	if (i != 0 || mem_sim_now_s(s) < 200)
		return;
	g->now.last_update_s = 1;
	g->now.actual_kib = 500 * MIB;
}

/* It booted something without a driver: all its memory is its own, and that is no boot. */
static void reboot_without_driver(void)
{
	struct plant_mem_guest odd = constant(100);
	struct mem_sim *s;
	const struct guest *g;

	odd.start_kib = 500 * MIB;
	odd.reboot_s = 200;
	s = beside(odd, 8192);
	s->lie = fall_silent;
	mem_sim_run(s, 400);
	g = &s->view.guest[0];
	ok(g->plan.reason == MEM_NO_DRIVER, "reboot without driver: seen as such (%s)",
	   mem_reason_name(g->plan.reason));
	ok(g->plan.claim_kib == g->now.max_kib && s->report.booting_kib == 0,
	   "reboot without driver: all it may touch is booked (%.0f MiB)",
	   (double)g->plan.claim_kib / MIB);
	ok(least_free(s, 1, 3) > 150, "reboot without driver: the others have room (%.0f MiB)",
	   least_free(s, 1, 3));
	safe(s, "reboot without driver");
	mem_sim_free(s);
}

static void stale(void)
{
	struct plant_mem_guest odd = growing(100, 300, 110, 5);
	struct mem_sim *s;

	odd.stale_s = 100;
	odd.start_kib = 700 * MIB;
	s = beside(odd, 4096);
	mem_sim_run(s, 400);
	ok(s->view.guest[0].plan.reason == MEM_STALE, "stale: seen as such (%s)",
	   mem_reason_name(s->view.guest[0].plan.reason));
	safe(s, "stale");
	mem_sim_free(s);
}

static void pause_resume(void)
{
	struct plant_mem_guest odd = growing(100, 600, 110, 20);
	struct mem_sim *s;

	odd.pause_s = 115;
	odd.resume_s = 180;
	s = beside(odd, 5120);
	mem_sim_run(s, 400);
	safe(s, "pause and resume");
	mem_sim_free(s);
}

static void keeps_pages(void)
{
	struct plant_mem_guest odd = growing(1500, 200, 20, -100);
	struct mem_sim *s;

	odd.keeps_pages = true;
	s = beside(odd, 6144);
	mem_sim_run(s, 600);
	ok(s->view.guest[0].mem.keeps, "pages not discarded: noticed");
	quiet(s, "pages not discarded", 100);
	safe(s, "pages not discarded");
	mem_sim_free(s);
}

/* Nobody could tell what its memory is: at most two probes, unless RSS follows. */
static void unproven(bool keeps, mem_lie *lie, const char *name, double least, double most)
{
	struct plant_mem_guest odd = growing(1500, 200, 40, -100);
	double peak = 0, taken = 0;
	struct mem_sim *s;

	odd.keeps_pages = keeps;
	odd.start_kib = 1640 * MIB;
	odd.cache_kib = 400 * MIB; /* all of it touched */
	s = beside(odd, lie ? 8192 : 5500);
	s->now.guest[0].now.unproven = true;
	s->lie = lie;
	for (int i = 0; i < 600; i++) {
		mem_sim_run(s, 1);
		peak = fmax(peak, actual(s, 0));
		taken = fmax(taken, peak - actual(s, 0));
	}
	ok(taken >= least && taken <= most, "%s: %.0f MiB of it were taken", name, taken);
	for (size_t i = 1; i < 4; i++)
		ok(mem_sim_truth(s, i).free_kib > 100 * MIB,
		   "%s: guest %zu has room (%.0f MiB)", name, i,
		   (double)mem_sim_truth(s, i).free_kib / MIB);
	quiet(s, name, 100);
	safe(s, name);
	mem_sim_free(s);
}

static void swapping(void)
{
	struct plant_mem_guest odd = growing(100, 1000, 20, 45);
	struct mem_sim *s;

	odd.swap_kib = 1024 * MIB;
	odd.start_kib = 300 * MIB;
	s = beside(odd, 5120);
	mem_sim_run(s, 300);
	ok(mem_sim_truth(s, 0).free_kib > 100 * MIB, "swap: it has room (%.0f MiB)",
	   (double)mem_sim_truth(s, 0).free_kib / MIB);
	safe(s, "swap");
	mem_sim_free(s);
}

/* ---- lies ------------------------------------------------------------------------------ */

static uint64_t noise_state;

static uint64_t wild(void)
{
	static const uint64_t odd[] = {
		0, 1, UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 40
	};

	noise_state = noise_state * 6364136223846793005ull + 1442695040888963407ull;
	if ((noise_state >> 33) % 3 == 0)
		return odd[(noise_state >> 40) % 6];
	return (noise_state >> 20) % (4096 * MIB);
}

static void lie_wildly(struct mem_sim *s, struct guest_count *g, size_t i)
{
	(void)s;
	if (i != 0)
		return;
	g->now.actual_kib = wild();
	g->now.usable_kib = wild();
	g->now.unused_kib = wild();
	g->now.caches_kib = wild();
	g->now.managed_kib = wild();
	g->now.swap_out_kib = wild();
	g->now.last_update_s = wild();
}

static void lie_greedily(struct mem_sim *s, struct guest_count *g, size_t i)
{
	(void)s;
	if (i == 0)
		g->now.usable_kib = g->now.unused_kib = g->now.caches_kib = 0;
}

static void lies(mem_lie *lie, const char *name)
{
	struct mem_sim *s = beside(constant(150), 6144);

	s->lie = lie;
	s->watch[0].helpless = lie == lie_wildly; /* a quarter of such guests die */
	noise_state = 42;
	mem_sim_run(s, 400);
	for (size_t i = 1; i < 4; i++)
		ok(mem_sim_truth(s, i).free_kib > 100 * MIB,
		   "%s: guest %zu has room (%.0f MiB)", name, i,
		   (double)mem_sim_truth(s, i).free_kib / MIB);
	safe(s, name);
	mem_sim_free(s);
}

/* A guest's clock is set back an hour, and on again. */
static void lie_by_clock(struct mem_sim *s, struct guest_count *g, size_t i)
{
	if (i == 0 && mem_sim_now_s(s) > 100 && mem_sim_now_s(s) < 150)
		g->now.last_update_s -= 3600;
}

/* Anything at all, on hosts that hold the liar at its maximum and no more than that. */
static void many_lies(void)
{
	unsigned deaths = 0, violations = 0;
	double least = INFINITY, breach_s = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		struct mem_sim *s = beside(constant(150), 6144);

		s->lie = lie_wildly;
		noise_state = seed;
		for (int i = 0; i < 300; i++) {
			mem_sim_run(s, 1);
			least = fmin(least, least_free(s, 1, 3));
		}
		for (size_t i = 1; i < 4; i++)
			deaths += s->watch[i].counted;
		violations += s->violations;
		breach_s += s->figures.breach_s;
		mem_sim_free(s);
	}
	ok(violations == 0, "100 liars: every invariant holds (%u broken)", violations);
	ok(deaths == 0 && least >= 100, "100 liars: the others keep what is theirs (%.0f MiB)",
	   least);
	ok(breach_s <= 0, "100 liars: the host keeps its least (%.0f s)", breach_s);
}

/* ---- not ours -------------------------------------------------------------------------- */

static void foreign(void)
{
	struct mem_sim *s = beside(growing(100, 800, 60, 20), 5120);

	s->now.guest[0].now.state = GUEST_UNMANAGED;
	mem_sim_run(s, 300);
	ok(s->view.guest[0].plan.reason == MEM_UNMANAGED &&
		   s->view.guest[0].mem.command_ns == 0,
	   "foreign: left alone");
	ok(s->view.guest[0].plan.claim_kib >= 450 * MIB, "foreign: its claim counts (%.0f MiB)",
	   (double)s->view.guest[0].plan.claim_kib / MIB);
	mem_sim_free(s);
}

static void blind(void)
{
	struct mem_sim *s = beside(growing(100, 300, 60, 5), 5120);

	s->blind = true;
	mem_sim_run(s, 100);
	ok(s->figures.commands == 0 && !s->report.known,
	   "host memory unreadable: nothing is done");
	mem_sim_free(s);
}

/* A dry run says the same each time and takes no step of its own. */
static void dry(void)
{
	struct mem_sim *s = mem_sim_new(4096, NULL, 5, 16);
	struct plant_mem_guest conf = constant(100);
	unsigned first;

	s->dry = true;
	conf.start_kib = 1024 * MIB;
	mem_sim_add(s, &conf);
	mem_sim_run(s, 100);
	first = s->figures.commands;
	mem_sim_run(s, 100);
	ok(first > 0 && s->figures.commands - first == 20,
	   "dry run: the same each interval (%u)", s->figures.commands - first);
	ok(actual(s, 0) > 1023, "dry run: nothing moved");
	mem_sim_free(s);
}

int main(void)
{
	beyond();
	needs_beyond();
	minimum();
	given_back();
	transfer(8);
	transfer(40);
	still(0, 6144, 12, "constant load");
	still(0, 5400, 12, "constant load, tight host");
	for (uint64_t seed = 1; seed < 6; seed++) {
		still(0.02, 8192, seed, "2 % noise");
		still(0.02, 5400, seed, "2 % noise, tight host");
	}
	equal_growth(8, 5120);
	equal_growth(40, 5120);
	fairness();
	uneven_growth(24);
	caches();
	surge();
	pressure();
	odd_balloon(BALLOON_IDEAL, "ideal balloon");
	odd_balloon(BALLOON_SLOW, "slow balloon");
	odd_balloon(BALLOON_STUCK, "stuck balloon");
	odd_balloon(BALLOON_FLAKY, "flaky balloon");
	odd_balloon(BALLOON_LIMITED, "limited balloon");
	odd_balloon(BALLOON_SELFISH, "selfish balloon");
	odd_balloon(BALLOON_NONE, "no driver");
	offline_dimm();
	refused_growth();
	refusal();
	somebody_else();
	asleep(60);
	asleep(3600);
	locked(false);
	locked(true);
	some_hugepages();
	hard_limit();
	merged();
	wrong_claim();
	reboot();
	reboot_without_driver();
	stale();
	pause_resume();
	keeps_pages();
	unproven(false, NULL, "unknown memory, ordinary", 1000, 2048);
	unproven(true, NULL, "unknown memory, locked", 60, 128);
	unproven(false, lie_by_hugepages, "unknown memory, hugepages", 0, 0);
	swapping();
	lies(lie_wildly, "wild figures");
	lies(lie_greedily, "greedy figures");
	lies(lie_by_clock, "a guest's clock");
	many_lies();
	foreign();
	blind();
	dry();
	return done();
}
