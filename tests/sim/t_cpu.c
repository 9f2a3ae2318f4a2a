/*
 * t_cpu.c - the CPU policy's scenarios on the simulated host; TAP.
 *
 * Each line of the table is a host, what happens to it, and what vmbal may spend.  sim_tick
 * asserts the invariants after every interval of each.
 */
#include "mem_sim.h"
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WOBBLE 0.05
#define CALM   300 /* intervals: long enough for a back-off to end twice */

static const struct plant_load hog = { PLANT_CLOSED, 1, 0, WOBBLE };

static struct plant_load duty(double demand)
{
	return (struct plant_load){ PLANT_CLOSED, demand, 20, WOBBLE };
}

static void add(struct sim *s, size_t n, struct plant_load load, int cpu)
{
	for (size_t i = 0; i < n; i++)
		sim_guest(s, load, cpu);
}

static double fullest_over_bound(struct sim *s)
{
	double bound, fullest = sim_fullest(s, &bound);

	return fullest / bound;
}

/* Runs until the first pins, at most so many intervals; the pins of that interval. */
static unsigned first_pins(struct sim *s, unsigned ticks)
{
	for (unsigned k = 0; k < ticks; k++) {
		sim_tick(s);
		if (s->pins_now > 0)
			return s->pins_now;
	}
	return 0;
}

static unsigned most_on_one(const struct sim *s, double demand)
{
	unsigned on[64] = { 0 }, most = 0;

	for (size_t i = 0; i < s->host.n; i++)
		if (s->host.vcpu[i].bin >= 0 && s->vm[i].nominal >= demand)
			on[s->host.vcpu[i].bin]++;
	for (size_t b = 0; b < s->host.nbins; b++)
		most = on[b] > most ? on[b] : most;
	return most;
}

/* Measured spread over the next 25 seconds, and no pin from then on. */
static void settled(struct sim *s, const char *name)
{
	double busy[64] = { 0 }, mean = 0, spread = 0, m = (double)s->host.nbins;
	unsigned pins = 0;

	for (int k = 0; k < 13; k++) {
		sim_tick(s);
		pins += s->pins_now;
		for (size_t b = 0; b < s->host.nbins; b++)
			busy[b] += s->host.bin[b].busy / 13;
	}
	for (size_t b = 0; b < s->host.nbins; b++)
		mean += busy[b] / m;
	for (size_t b = 0; b < s->host.nbins; b++)
		spread += pow(busy[b] - mean, 2) / m;
	ok(sqrt(spread) <= 0.05, "%s: spread %.1f points over 25 s", name, 100 * sqrt(spread));
	pins += sim_run(s, CALM);
	ok(pins == 0, "%s: then silence (%u pins)", name, pins);
}

/* ---- the course's five cases -------------------------------------------------------- */

static void all_on_one(void)
{
	struct sim *s = sim_new(4, 1);
	unsigned first;

	add(s, 8, hog, 0);
	first = first_pins(s, 10);
	ok(first == 6 && s->ticks <= 3, "8 hogs on one of 4: 6 pins at once (%u, interval %u)",
	   first, s->ticks);
	settled(s, "8 hogs on one of 4");
	sim_free(s);
}

static void two_halves(void)
{
	struct sim *s = sim_new(4, 2);
	unsigned first;

	add(s, 4, hog, 0);
	add(s, 4, hog, 3);
	first = first_pins(s, 10);
	ok(first == 4, "4 hogs on 0 and 4 on 3: 4 pins at once (%u)", first);
	settled(s, "4 hogs on 0 and 4 on 3");
	sim_free(s);
}

static void balanced(void)
{
	struct sim *s = sim_new(4, 3);
	unsigned pins;

	for (int i = 0; i < 8; i++)
		sim_guest(s, duty(0.4), i % 4);
	pins = sim_run(s, 10000);
	ok(pins == 0, "balanced: no pin in 10,000 intervals (%u)", pins);
	sim_free(s);
}

/* Floating guests, on a host whose kernel leaves light ones where they wake. */
static void floating(const char *name, unsigned ncpus, size_t n, double least, double most,
		     double sticky)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct sim *s = sim_new(ncpus, seed);
		unsigned twice = 0;

		plant_set_sticky(s->plant, sticky);
		for (size_t i = 0; i < n; i++)
			sim_guest(s, duty(least + (most - least) * (double)i / (double)(n - 1)),
				  -1);
		sim_run(s, 60);
		for (size_t i = 0; i < n; i++)
			twice += s->vm[i].pins > 1;
		ok(s->pins <= n && twice == 0,
		   "%s, seed %u: at most one pin each (%u, %u twice)", name, (unsigned)seed,
		   s->pins, twice);
		if (s->pins > 0)
			settled(s, name);
		sim_free(s);
	}
}

static void heavy_and_light(void)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct sim *s = sim_new(4, seed);
		unsigned acted = 0;

		for (int i = 0; i < 8; i++)
			sim_guest(s, i % 2 ? duty(0.7) : duty(0.3), 0);
		for (int k = 0; k < 12; k++) {
			sim_tick(s);
			acted += s->pins_now > 0;
		}
		ok(most_on_one(s, 0.5) == 1 && acted <= 3,
		   "heavy and light on one of 4, seed %u: told apart in %u acting intervals",
		   (unsigned)seed, acted);
		settled(s, "heavy and light on one of 4");
		sim_free(s);
	}
}

/* ---- few pins ----------------------------------------------------------------------- */

static void crowded(void)
{
	struct sim *s = sim_new(8, 4);

	for (int i = 0; i < 24; i++)
		sim_guest(s, hog, i < 10 ? 0 : 1 + (i - 10) / 2);
	sim_run(s, 60);
	ok(s->pins == 7, "24 hogs on 8 with 10 on one: 7 pins (%u)", s->pins);
	settled(s, "24 hogs on 8");
	sim_free(s);
}

static void exactly_full(void)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct sim *s = sim_new(4, seed);
		unsigned late;

		for (int i = 0; i < 8; i++)
			sim_guest(s, i < 3 ? hog : duty(0.2), i < 3 ? i : 3);
		late = sim_run(s, 600);
		ok(late == 0,
		   "3 hogs and 5 of 20 %% on 4, seed %u: nothing to gain, no pin (%u)",
		   (unsigned)seed, late);
		sim_free(s);
		s = sim_new(4, seed);
		for (int i = 0; i < 8; i++)
			sim_guest(s, i < 3 ? hog : duty(0.2), 0);
		sim_run(s, 50);
		late = sim_run(s, 1000);
		ok(late == 0,
		   "the same from one pCPU, seed %u: no churn (%u early, %u late pins)",
		   (unsigned)seed, s->pins - late, late);
		sim_free(s);
	}
}

static void few_guests(void)
{
	struct sim *s = sim_new(8, 5);

	add(s, 1, hog, 2);
	ok(sim_run(s, CALM) == 0, "one busy vCPU: no pin (%u)", s->pins);
	sim_free(s);
	s = sim_new(8, 6);
	add(s, 3, hog, 2);
	ok(sim_run(s, CALM) == 2 && most_on_one(s, 0.5) == 1,
	   "3 hogs on one of 8: 2 pins though the spread stays (%u)", s->pins);
	sim_free(s);
}

/* ---- change ------------------------------------------------------------------------- */

static void square_waves(void)
{
	struct sim *s = sim_new(4, 7);

	for (int i = 0; i < 8; i++)
		sim_guest(s, duty(0.3), i % 4);
	sim_run(s, 10);
	for (int k = 0; k < 400; k++) {
		for (size_t i = 0; i < 4; i++)
			sim_set_load(s, i, duty((size_t)k % 2 == i % 2 ? 0.6 : 0.1));
		sim_tick(s);
	}
	ok(s->pins <= 2, "square waves of two intervals: at most 2 moves (%u)", s->pins);
	sim_free(s);
}

static void step_up(void)
{
	struct sim *s = sim_new(4, 8);
	double ratio;

	for (int i = 0; i < 8; i++)
		sim_guest(s, duty(0.2), i % 4);
	sim_run(s, 200);
	sim_set_load(s, 0, duty(0.6));
	sim_set_load(s, 4, duty(0.6));
	sim_run(s, 5);
	ratio = fullest_over_bound(s);
	ok(ratio <= 1.25 && s->pins <= 4,
	   "two steps to heavy: balanced in 5 intervals (%.3f, %u pins)", ratio, s->pins);
	sim_run(s, 20);
	settled(s, "two steps to heavy");
	sim_free(s);
}

static void host_process(void)
{
	struct sim *s = sim_new(4, 9);
	unsigned process, gone, back;

	for (int i = 0; i < 8; i++)
		sim_guest(s, duty(0.3), i % 4);
	sim_run(s, 20);
	process = plant_task(s->plant, &hog);
	plant_pin(s->plant, process, 2);
	sim_run(s, 30);
	gone = s->pins;
	ok(s->host.bin[2].load - s->host.bin[2].other < 0.05,
	   "a host process burns one pCPU: guests leave it (%.2f left, %u pins)",
	   s->host.bin[2].load - s->host.bin[2].other, gone);
	ok(sim_run(s, CALM) == 0, "then silence (%u pins)", s->pins - gone);
	plant_end(s->plant, process);
	back = sim_run(s, 3);
	ok(back == 0, "it ends: no rush back (%u pins)", back);
	sim_run(s, 100);
	settled(s, "guests come back");
	sim_free(s);
}

static void fences(void)
{
	struct sim *s = sim_new(4, 10);
	bool inside = true;

	for (int i = 0; i < 8; i++) {
		sim_guest(s, duty(0.5), i < 4 ? 0 : 3);
		sim_fence(s, (size_t)i, i < 4 ? 0x3 : i < 6 ? 0xe : 0xf);
	}
	for (int k = 0; k < 100; k++) {
		sim_tick(s);
		for (size_t i = 0; i < s->host.n; i++)
			inside &= cpuset_has(s->host.vcpu[i].allowed,
					     (unsigned)s->host.vcpu[i].bin);
	}
	ok(inside && s->pins == 4, "fences: never left, 4 pins (%u)", s->pins);
	sim_fence(s, 0, 0xc);
	sim_tick(s);
	ok(s->host.vcpu[0].bin >= 2, "a fence that moves takes its vCPU along at once");
	sim_free(s);
}

static void hotplug(void)
{
	struct sim *s = sim_new(4, 11);
	bool used = false;

	for (int i = 0; i < 8; i++)
		sim_guest(s, duty(0.4), i % 4);
	sim_run(s, 20);
	plant_online(s->plant, 1, false);
	s->host.bin[1].capacity = 0;
	for (size_t i = 0; i < s->host.n; i++)
		sim_fence(s, i, 0xd);
	sim_tick(s);
	ok(s->pins == 2, "a pCPU goes offline: its 2 guests leave at once (%u)", s->pins);
	for (int k = 0; k < 50; k++) {
		sim_tick(s);
		for (size_t i = 0; i < s->host.n; i++)
			used |= s->host.vcpu[i].bin == 1;
	}
	ok(!used, "an offline pCPU is never used");
	plant_online(s->plant, 1, true);
	s->host.bin[1].capacity = 1;
	for (size_t i = 0; i < s->host.n; i++)
		sim_fence(s, i, 0xf);
	sim_run(s, 30);
	settled(s, "it comes back");
	sim_free(s);
}

static void comings_and_goings(void)
{
	struct sim *s = sim_new(6, 12);
	unsigned pins;

	for (int i = 0; i < 12; i++)
		sim_guest(s, duty(0.1 + 0.06 * i), 0);
	for (int k = 0; k < 40; k++) {
		if (k % 4 == 0)
			sim_end(s, (size_t)k % s->host.n);
		if (k % 4 == 2)
			sim_guest(s, duty(0.1 + 0.02 * k), k % 8 == 2 ? 0 : -1);
		sim_run(s, 5);
	}
	pins = s->pins;
	ok(fullest_over_bound(s) <= 1.25, "guests come and go: fullest/LB %.3f, %u pins",
	   fullest_over_bound(s), pins);
	ok(sim_run(s, CALM) <= 2, "then silence (%u pins)", s->pins - pins);
	sim_free(s);
}

/* ---- what the caller may do --------------------------------------------------------- */

static void dry_run(void)
{
	struct sim *s = sim_new(4, 13);
	unsigned same = 0;

	s->dry = true;
	add(s, 8, hog, 0);
	sim_run(s, 4);
	for (int k = 0; k < 100; k++) {
		sim_tick(s);
		same += s->pins_now == 6 && s->report.why == CPU_ACTING;
	}
	ok(same == 100, "a dry run decides the same every time (%u of 100)", same);
	s->dry = false;
	sim_tick(s);
	ok(s->pins_now == 6, "and the same when it is meant (%u pins)", s->pins_now);
	settled(s, "after a dry run");
	sim_free(s);
}

static void stuck(void)
{
	struct sim *s = sim_new(4, 14);

	add(s, 8, hog, 0);
	s->host.vcpu[3].stuck = true;
	sim_run(s, 30);
	ok(s->host.vcpu[3].bin == 0 && s->pins == 6, "a busy domain delays nobody (%u pins)",
	   s->pins);
	settled(s, "with one busy");
	sim_free(s);
}

static void tug_of_war(void)
{
	struct sim *s = sim_new(4, 15);
	unsigned late = 0;

	add(s, 8, hog, 0);
	sim_run(s, 5);
	for (int k = 0; k < 60; k++) {
		if (k == 20)
			late = s->pins;
		if (s->host.vcpu[0].bin != 0) {
			plant_pin(s->plant, s->vm[0].task, 0);
			s->host.vcpu[0].bin = 0;
		}
		sim_tick(s);
	}
	ok(s->vm[0].pins <= 4, "somebody else pins one guest: left alone after %u pins",
	   s->vm[0].pins);
	ok(s->pins - late <= 4, "and the others are balanced around it");
	sim_free(s);
}

static void no_delay(void)
{
	struct sim *s = sim_new(4, 16);

	s->no_delay = true;
	add(s, 8, duty(0.6), 0);
	sim_run(s, 60);
	ok(fullest_over_bound(s) <= 1.05, "without delay: fullest/LB %.3f, %u pins",
	   fullest_over_bound(s), s->pins);
	settled(s, "without delay");
	sim_free(s);
}

int main(void)
{
	all_on_one();
	two_halves();
	balanced();
	floating("8 light guests float on 2", 2, 8, 0.10, 0.15, 1);
	floating("8 guests float on 4", 4, 8, 0.5, 0.5, 0.9);
	floating("heavy and light float on 4", 4, 8, 0.2, 0.8, 0.97);
	heavy_and_light();
	crowded();
	exactly_full();
	few_guests();
	square_waves();
	step_up();
	host_process();
	fences();
	hotplug();
	comings_and_goings();
	dry_run();
	stuck();
	tug_of_war();
	no_delay();
	return done();
}
