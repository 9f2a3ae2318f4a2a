/*
 * t_cpu_random.c - random simulated hosts under the CPU policy, against the bound.
 *
 *	t_cpu_random [-bov] [-p OPEN_SHARE] [-n HOSTS] [-s SEED] [-t INTERVALS]
 *		[-c INTERVALS] [-T NAME=VALUE]...
 *
 * -b: the hosts have background load: daemons, unbound and bound, interrupts.
 * -c: so often all guests' loads are drawn anew; figures only, as the bars are for steady ones.
 * -o: samples tell the true demands.
 * -T: one of the policy's tunables, such as start_points=4.
 *
 * The default seeds were not used for tuning; tuning used those from 100000 on.
 */
#include "lib/tunable.h"
#include "policy/cpu.h"
#include "tests/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLED 100  /* intervals after which a host has no more to do */
#define CALM    0.85 /* load under which nothing should ever move again */
#define MANY    15   /* late pins: a host that churns */

/*
 * A change that does worse on the default seeds fails; they reach 1.031, 2.2 pins, 3.3 % and
 * 95.4 %.  On 1,000 others it was 1.036, 2.4, 4.2 % and 93.2 %.  Hosts under 85 % load are within
 * the first; it is the full ones that miss it, where nothing but the past tells demands.  With
 * background load, which is known by nothing but what is left of busy time, other bars hold.
 */
#define LATE_BAR   1.036
#define PINS_BAR   2.6
#define MANY_BAR   0.05
#define CALM_BAR   0.91
#define LATE_BAR_B 1.07
#define CALM_BAR_B 0.85

struct result {
	double load;          /* of the host's capacity */
	double wanted, open;  /* by its guests, CPUs; the share of them that do open work */
	double early, late;   /* mean true fullest / LB before and after SETTLED */
	double best;          /* what planning on the truth reaches, / LB */
	unsigned first, pins; /* pins before and after SETTLED */
	unsigned n, m;
	struct cpu_report last;
};

static const char *const start_name[] = { "pinned at random", "all on one", "unpinned",
					  "in turn" };

/* Mean share of vCPUs whose work arrives at its own rate (open loop). */
static double open_share = 0.3;
static bool background;
static unsigned change; /* intervals after which loads are drawn anew; 0: never */
static struct cpu_tunables tune;

/* A demand before scaling: hogs, heavy, middling, light. */
static double raw(struct plant *p)
{
	double kind = plant_uniform(p), u = plant_uniform(p);

	if (kind < 0.2)
		return 1;
	if (kind < 0.45)
		return 0.5 + 0.4 * u;
	if (kind < 0.75)
		return 0.2 + 0.3 * u;
	return 0.03 + 0.17 * u;
}

/* Scale to a sum, none above 1. */
static void scale(double *d, unsigned n, double sum)
{
	for (int round = 0; round < 30; round++) {
		double now = 0;

		for (unsigned i = 0; i < n; i++)
			now += d[i];
		for (unsigned i = 0; i < n; i++)
			d[i] = fmin(1, d[i] * sum / now);
	}
}

/* Returns how much: small unbound daemons, now and then a bound one, and interrupts. */
static double add_background(struct sim *s, unsigned m, uint64_t seed)
{
	struct plant *dice = plant_new(1, seed + 5555);
	struct plant_load l = { .work = PLANT_OPEN, .burst_ms = 10, .wobble = 0.05 };
	unsigned n = 2 + (unsigned)(plant_uniform(dice) * 6);
	double sum = (0.02 + 0.08 * plant_uniform(dice)) * m;

	l.demand = sum / n;
	for (unsigned i = 0; i < n; i++)
		sim_task(s, l, BIN_UNPINNED);
	if (plant_uniform(dice) < 0.3) {
		l.demand = 0.2 + 0.5 * plant_uniform(dice);
		sim_task(s, l, (int)(plant_uniform(dice) * m));
		sum += l.demand;
	}
	if (plant_uniform(dice) < 0.3) {
		double irq = 0.05 + 0.25 * plant_uniform(dice);

		sim_irq(s, (unsigned)(plant_uniform(dice) * m), irq);
		sum += irq;
	}
	plant_free(dice);
	return sum;
}

static struct plant_load random_load(struct plant *dice, double open, double demand)
{
	struct plant_load l = {
		.work = plant_uniform(dice) < open ? PLANT_OPEN : PLANT_CLOSED,
		.demand = demand,
		.burst_ms = 2 + 38 * pow(plant_uniform(dice), 2),
		.wobble = 0.05,
	};

	return l;
}

/* What each of n vCPUs wants, of this sum of CPUs. */
static void random_demands(struct plant *dice, double *d, unsigned n, double sum)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = raw(dice);
	scale(d, n, fmin(fmax(0.1, sum), n));
}

/* Other loads for all guests, together as before. */
static void redraw(struct sim *s, struct plant *dice, const struct result *r)
{
	double d[SIM_VCPUS];

	random_demands(dice, d, r->n, r->wanted);
	for (unsigned i = 0; i < r->n; i++)
		sim_set_load(s, i, random_load(dice, r->open, d[i]));
}

static struct sim *random_host(uint64_t seed, struct result *r, unsigned *start)
{
	struct plant *dice = plant_new(1, seed + 7777);
	unsigned m = 3 + (unsigned)(plant_uniform(dice) * 10);
	unsigned n = 1 + m / 2 + (unsigned)(plant_uniform(dice) * (4.5 * m));
	bool exact = plant_uniform(dice) < 0.1;
	double load = exact ? 1 : 0.3 + plant_uniform(dice) * 1.2;
	double open = plant_uniform(dice) * 2 * open_share;
	struct sim *s = sim_new(m, seed);
	double d[SIM_VCPUS], sum = 0, others = background ? add_background(s, m, seed) : 0;

	*start = (unsigned)(plant_uniform(dice) * 4);
	random_demands(dice, d, n, load * m - others);
	for (unsigned i = 0; i < n; i++) {
		struct plant_load l = random_load(dice, open, d[i]);
		int at[] = { (int)(plant_uniform(dice) * m), 0, -1, (int)(i % m) };

		sim_guest(s, l, at[*start]);
		sum += d[i];
	}
	*r = (struct result){ .load = (sum + others) / m,
			      .wanted = load * m - others,
			      .open = open,
			      .n = n,
			      .m = m };
	plant_free(dice);
	return s;
}

static struct result run_host(uint64_t seed, unsigned ticks, bool verbose, bool oracle,
			      unsigned *start)
{
	struct result r;
	struct sim *s = random_host(seed, &r, start);
	struct plant *dice = plant_new(1, seed + 3333);
	double bound;

	s->conf.tune = tune;
	s->verbose = verbose;
	s->oracle = oracle;
	for (unsigned k = 0; k < ticks; k++) {
		double ratio;

		if (change && k > 0 && k % change == 0)
			redraw(s, dice, &r);
		sim_tick(s);
		ratio = sim_peak(s, &bound) / bound;
		if (k < SETTLED) {
			r.early += ratio / SETTLED;
			r.first += s->pins_now;
		} else {
			r.late += ratio / (ticks - SETTLED);
			r.pins += s->pins_now;
		}
	}
	r.last = s->report;
	r.best = sim_best(s);
	plant_free(dice);
	sim_free(s);
	return r;
}

/* ---- figures ------------------------------------------------------------------------ */

struct sums {
	unsigned hosts, many, none, calm, calm_none;
	double early, late, best, first, pins, worst;
};

static void add(struct sums *t, const struct result *r)
{
	t->hosts++;
	t->early += r->early;
	t->late += r->late;
	t->best += r->best;
	t->first += r->first;
	t->pins += r->pins;
	t->many += r->pins > MANY;
	t->none += r->pins == 0;
	t->calm += r->load < CALM;
	t->calm_none += r->load < CALM && r->pins == 0;
	t->worst = fmax(t->worst, r->late);
}

static void print(const char *name, const struct sums *t)
{
	double n = t->hosts ? t->hosts : 1;

	printf("# %-18s %4u hosts  peak/LB %.4f (possible %.4f, first %u intervals %.3f, "
	       "worst "
	       "%.3f)  pins %.1f + %.2f  none %.1f %%  > %u %.1f %%\n",
	       name, t->hosts, t->late / n, t->best / n, SETTLED, t->early / n, t->worst,
	       t->first / n, t->pins / n, 100 * t->none / n, MANY, 100 * t->many / n);
}

static void ok(unsigned *k, bool good, const char *what, double figure)
{
	printf("%s %u - %s: %.3f\n", good ? "ok" : "not ok", ++*k, what, figure);
}

/* -T name=value: one of the policy's tunables. */
static void set(const char *text)
{
	if (tunable_assign(cpu_tunable, cpu_tunable_count, text, &tune) == 0)
		return;
	fprintf(stderr, "t_cpu_random: -T '%s': no tunable of that name, or out of its range\n",
		text);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned hosts = 300, ticks = 600, start, k = 0;
	uint64_t seed = 1;
	bool verbose = false, oracle = false;
	struct sums all = { 0 }, calm = { 0 }, busy = { 0 }, full = { 0 }, by[4] = { { 0 } };
	int c;

	tune = cpu_tunables_default;
	while ((c = getopt(argc, argv, "bovn:s:t:c:p:T:")) != -1) {
		if (c == 'n')
			hosts = (unsigned)atoi(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 't')
			ticks = (unsigned)atoi(optarg);
		else if (c == 'c')
			change = (unsigned)atoi(optarg);
		else if (c == 'p')
			open_share = atof(optarg);
		else if (c == 'T')
			set(optarg);
		else if (c == 'b')
			background = true;
		else if (c == 'o')
			oracle = true;
		else
			verbose = true;
	}
	for (unsigned i = 0; i < hosts; i++) {
		struct result r = run_host(seed + i, ticks, verbose, oracle, &start);

		add(&all, &r);
		add(r.load < CALM ? &calm : r.load < 1.02 ? &full : &busy, &r);
		add(&by[start], &r);
		if (r.pins > 0 || r.late > 1.08 * r.best)
			printf("# seed %llu: %u on %u, load %.2f, %s: peak/LB %.3f "
			       "(possible "
			       "%.3f), pins %u + %u; last S %.1f F %.3f LB %.3f %s\n",
			       (unsigned long long)(seed + i), r.n, r.m, r.load,
			       start_name[start], r.late, r.best, r.first, r.pins,
			       r.last.imbalance, r.last.peak, r.last.lower_bound,
			       cpu_why_name(r.last.why));
		fflush(stdout);
	}
	printf("# seeds %llu to %llu, %u intervals\n", (unsigned long long)seed,
	       (unsigned long long)(seed + hosts - 1), ticks);
	print("load < 0.85", &calm);
	print("load 0.85 to 1.02", &full);
	print("load > 1.02", &busy);
	for (int i = 0; i < 4; i++)
		print(start_name[i], &by[i]);
	print("all", &all);
	if (change)
		return 0;
	printf("1..4\n");
	ok(&k, all.late / all.hosts <= (background ? LATE_BAR_B : LATE_BAR),
	   "mean true peak/LB", all.late / all.hosts);
	ok(&k, all.pins / all.hosts <= PINS_BAR, "late pins per host", all.pins / all.hosts);
	ok(&k, all.many <= MANY_BAR * all.hosts, "hosts with more than 15 late pins, %",
	   100.0 * all.many / all.hosts);
	ok(&k, calm.none >= (background ? CALM_BAR_B : CALM_BAR) * calm.hosts,
	   "calm hosts without a late pin, %", 100.0 * calm.none / calm.hosts);
	return 0;
}
