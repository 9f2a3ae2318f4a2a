/*
 * t_mem.c - the memory policy's scenarios on the simulated host; TAP.
 */
#include "policy/mem.h"
#include "tests/sim/mem_sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GROW(from, to, at, rate)                                                               \
	{                                                                                      \
		{ at, (from)*1024.0 },                                                         \
		{                                                                              \
			at + ((to) - (from)) / (rate), (to)*1024.0                             \
		}                                                                              \
	}

static const struct plant_mem_guest ordinary = {
	.max_kib = 2048 * MIB,
	.start_kib = 512 * MIB,
	.work = { 1, { { 0, 100 * MIB } } },
	.cache_kib = 60 * MIB,
};

static struct guest_count *add(struct mem_sim *s, size_t points, const double (*point)[2])
{
	struct plant_mem_guest conf = ordinary;

	conf.work.points = points;
	for (size_t i = 0; i < points; i++) {
		conf.work.point[i].at_s = point[i][0];
		conf.work.point[i].kib = point[i][1] * 1024;
	}
	return mem_sim_add(s, &conf);
}

static void verdict(struct mem_sim *s, const char *name)
{
	const struct mem_figures *f = &s->figures;

	ok(s->violations == 0, "%s: every invariant holds (%u broken; %s)", name, s->violations,
	   s->first);
	ok(f->deaths == 0, "%s: no guest dies (%u)", name, f->deaths);
	ok(f->breach_s <= 0, "%s: the host keeps its least (%.0f s below; least %.0f MiB)",
	   name, f->breach_s, f->least_available_mib);
	printf("# %s: least free %.0f MiB (unused %.0f), least available %.0f MiB, %u commands, %.0f MiB "
	       "moved, "
	       "idle %.0f MiB\n",
	       name, f->least_free_mib, f->least_unused_mib, f->least_available_mib,
	       f->commands, f->moved_mib, f->idle_mib / f->ticks);
}

/* Runs a while without a command. */
static void quiet(struct mem_sim *s, const char *name, double seconds)
{
	unsigned before = s->figures.commands;

	mem_sim_run(s, seconds);
	ok(s->figures.commands == before, "%s: no command in %.0f s (%u)", name, seconds,
	   s->figures.commands - before);
}

static double actual(struct mem_sim *s, size_t i)
{
	return (double)mem_sim_truth(s, i).actual_kib / MIB;
}

static void course_1(double rate)
{
	struct mem_sim *s = mem_sim_new(4096, NULL, 5, 1);
	double up = 1300 / rate;
	const double grows[][2] = {
		{ 20, 100 }, { 20 + up, 1400 }, { 80 + up, 1400 }, { 85 + up, 100 }
	};
	char name[64];
	double before;

	snprintf(name, sizeof(name), "course 1 at %.0f MiB/s", rate);
	add(s, 4, grows);
	for (int i = 0; i < 3; i++)
		add(s, 1, (const double[][2]){ { 0, 100 } });
	mem_sim_run(s, 20);
	before = actual(s, 1);
	mem_sim_run(s, 60 + up);
	ok(actual(s, 0) > 1500, "%s: it gains (%.0f MiB)", name, actual(s, 0));
	ok(s->figures.least_unused_mib >= 100, "%s: nobody under 100 MiB unused (%.0f)", name,
	   s->figures.least_unused_mib);
	ok(actual(s, 1) <= before, "%s: the idle do not gain (%.0f)", name, actual(s, 1));
	mem_sim_run(s, 600);
	ok(actual(s, 0) < 600, "%s: it gives back (%.0f MiB)", name, actual(s, 0));
	quiet(s, name, 100);
	verdict(s, name);
	mem_sim_free(s);
}

static void course_2(double rate)
{
	struct mem_sim *s = mem_sim_new(6144, NULL, 5, 2);
	double up = 900 / rate, least = INFINITY, most = 0;
	const double grows[][2] = {
		{ 20, 100 }, { 20 + up, 1000 }, { 80 + up, 1000 }, { 85 + up, 100 }
	};
	char name[64];

	snprintf(name, sizeof(name), "course 2 at %.0f MiB/s", rate);
	for (int i = 0; i < 4; i++)
		add(s, 4, grows);
	mem_sim_run(s, 70 + up);
	for (size_t i = 0; i < 4; i++) {
		least = fmin(least, actual(s, i));
		most = fmax(most, actual(s, i));
	}
	ok(most / least < 1.05, "%s: similar sizes (%.0f to %.0f MiB)", name, least, most);
	ok(s->figures.least_unused_mib >= 100, "%s: nobody under 100 MiB unused (%.0f)", name,
	   s->figures.least_unused_mib);
	mem_sim_run(s, 600);
	ok(actual(s, 0) < 600, "%s: given back (%.0f MiB)", name, actual(s, 0));
	quiet(s, name, 100);
	verdict(s, name);
	mem_sim_free(s);
}

/* Here two donors give slower than two guests grow at 40 MiB/s: caches make up for it. */
static void course_3(double rate)
{
	struct mem_sim *s = mem_sim_new(5120, NULL, 5, 3);
	double up = 650 / rate, more = 700 / rate, half;
	const double frees[][2] = {
		{ 20, 100 }, { 20 + up, 750 }, { 90 + up, 750 }, { 95 + up, 100 }
	};
	const double on[][2] = {
		{ 20, 100 }, { 20 + up, 750 }, { 100 + up, 750 }, { 100 + up + more, 1450 }
	};
	char name[64];

	snprintf(name, sizeof(name), "course 3 at %.0f MiB/s", rate);
	add(s, 4, frees);
	add(s, 4, frees);
	add(s, 4, on);
	add(s, 4, on);
	mem_sim_run(s, 85 + up);
	half = actual(s, 0);
	mem_sim_run(s, 60 + more);
	ok(actual(s, 0) < half - 100, "%s: the free give (%.0f to %.0f MiB)", name, half,
	   actual(s, 0));
	ok(actual(s, 2) > 1550 && actual(s, 3) > 1550, "%s: the growing gain (%.0f, %.0f MiB)",
	   name, actual(s, 2), actual(s, 3));
	ok(s->figures.least_free_mib >= 100, "%s: nobody under 100 MiB (%.0f)", name,
	   s->figures.least_free_mib);
	mem_sim_run(s, 600);
	quiet(s, name, 100);
	verdict(s, name);
	mem_sim_free(s);
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		double rate = i ? 40 : 8;

		course_1(rate);
		course_2(rate);
		course_3(rate);
	}
	return done();
}
