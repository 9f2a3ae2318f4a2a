/*
 * t_mem_churn.c - hosts whose guests come and go, and hosts of 1, 100 and 1,000 guests: every
 * invariant after every tick; and what one more MiB of demand, or of memory, may change; TAP.
 */
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/sample.h"
#include "tests/sim/mem_hosts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS       60
#define FIRST       3000
#define INTERVAL_S  5
#define MIBF        ((double)KIB_PER_MIB)
#define OWN_MIB     (150 + 100) /* the host's own programs, and a start's first seconds */
#define EVENT       0.06        /* a tick sees a guest come or go */
#define MIGRATION_S 15          /* busy for so long before it is gone */
#define VMM_MIB     32
#define SCALE_S     300
#define FREE_MIB    128.0 /* what a guest needs beyond its largest use */

static uint64_t state;

static double draw(double low, double high)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return low + (high - low) * (double)(state >> 33) / 2147483648.0;
}

/* ---- coming and going ------------------------------------------------------------------ */

struct churn {
	struct mem_sim *s;
	struct random_host pool; /* guests to start, one after the other */
	uint64_t seed;
	size_t next;
	double peak_mib[SIM_GUESTS]; /* of each guest there */
	int leaves_s[SIM_GUESTS];    /* when a migration ends; 0: none */
	unsigned started, arrived, stopped, migrated, violations;
};

static double peak_mib(const struct plant_mem_guest *g)
{
	double peak = 0, max = (double)g->max_kib / MIBF;

	for (size_t i = 0; i < g->work.points; i++)
		peak = fmax(peak, g->work.point[i].kib / MIBF * (1 + g->noise));
	if (g->balloon == BALLOON_STUCK || g->balloon == BALLOON_NONE || g->keeps_pages ||
	    g->stale_s > 0)
		return max + VMM_MIB;
	return fmin(max, peak + 70 + 0.016 * max + FREE_MIB) + VMM_MIB;
}

static const struct plant_mem_guest *next_guest(struct churn *c)
{
	while (c->next >= c->pool.n) {
		random_host(&c->pool, c->seed++);
		c->next = 0;
	}
	return &c->pool.guest[c->next++];
}

/*
 * Its administrator starts no more than the host can hold with all at their peak, and the
 * new one at its maximum while it boots.
 */
static bool fits(const struct churn *c, double mib)
{
	double sum = OWN_MIB +
		     (double)ledger_reserve(&mem_tunables_default, &c->s->view.host) / MIBF +
		     mib;

	for (size_t i = 0; i < c->s->now.n; i++)
		sum += c->peak_mib[i];
	return sum <= (double)plant_mem_total(c->s->plant) / MIBF;
}

static void come(struct churn *c)
{
	struct plant_mem_guest conf = *next_guest(c);
	double mib = peak_mib(&conf);
	bool arrives = draw(0, 1) < 0.3; /* by migration: it runs already */

	if (!fits(c, arrives ? mib : (double)conf.max_kib / MIBF + VMM_MIB))
		return;
	conf.start_kib =
		(uint64_t)fmin(conf.work.point[0].kib + 300 * MIBF, (double)conf.max_kib);
	c->peak_mib[c->s->now.n] = mib;
	c->leaves_s[c->s->now.n] = 0;
	if (arrives)
		mem_sim_add(c->s, &conf);
	else
		mem_sim_start(c->s, &conf);
	c->arrived += arrives;
	c->started += !arrives;
}

static void go(struct churn *c, size_t i)
{
	mem_sim_remove(c->s, i);
	memmove(&c->peak_mib[i], &c->peak_mib[i + 1],
		(c->s->now.n - i) * sizeof(c->peak_mib[0]));
	memmove(&c->leaves_s[i], &c->leaves_s[i + 1],
		(c->s->now.n - i) * sizeof(c->leaves_s[0]));
}

static void leave(struct churn *c)
{
	size_t i = (size_t)draw(0, (double)c->s->now.n);

	if (c->s->now.n < 2 || c->leaves_s[i] != 0)
		return;
	if (draw(0, 1) < 0.5) {
		c->leaves_s[i] = (int)mem_sim_now_s(c->s) + MIGRATION_S;
		c->s->now.guest[i].now.state = GUEST_BUSY;
		c->s->watch[i].helpless = true; /* nobody may command it */
		c->migrated++;
	} else {
		go(c, i);
		c->stopped++;
	}
}

static void churn(struct churn *c)
{
	for (size_t i = c->s->now.n; i-- > 0;)
		if (c->leaves_s[i] != 0 && mem_sim_now_s(c->s) >= c->leaves_s[i])
			go(c, i);
	if (draw(0, 1) >= EVENT)
		return;
	if (draw(0, 1) < 0.5)
		come(c);
	else
		leave(c);
}

/* ---- what may change when one thing does ----------------------------------------------- */

static const char *law;

/* Comfort is dealt from what is left: a guest that reaches its maximum leaves some of it. */
static double to_need(const struct guest *g)
{
	return fmin((double)g->plan.share_kib, (double)g->plan.need_kib);
}

/* Decides on a copy in which guest i uses more, if that is not SIZE_MAX, or the host has. */
static void decide_again(const struct mem_sim *s, const struct guest *before,
			 const struct mem_state *was, size_t i, uint64_t kib, struct guest *g)
{
	struct mem_state copy = *was;
	struct mem_host host = s->view.host;
	struct mem_report report;

	memcpy(g, before, s->now.n * sizeof(*g));
	if (i != SIZE_MAX)
		g[i].now.usable_kib -= g[i].now.usable_kib < kib ? g[i].now.usable_kib : kib;
	else
		host.available_kib += kib;
	mem_decide(&copy, &s->conf, &host, g, s->now.n, plant_mem_now(s->plant), true, &report);
}

/* mem_sim's rule: vmbal decides; then the same is asked again, with one thing changed. */
static void with_laws(struct mem_sim *s, bool decide)
{
	static struct guest before[SIM_GUESTS], more[SIM_GUESTS];
	struct mem_state was = s->state;
	uint64_t extra = (uint64_t)draw(1, 400) * MIB;
	size_t one = (size_t)draw(0, (double)s->now.n);
	double others = 0, less = 0;

	memcpy(before, s->view.guest, s->now.n * sizeof(before[0]));
	mem_sim_vmbal(s, decide);
	if (!decide || s->now.n == 0)
		return;
	decide_again(s, before, &was, SIZE_MAX, extra, more);
	for (size_t i = 0; i < s->now.n; i++)
		if (more[i].plan.share_kib + MIB < s->view.guest[i].plan.share_kib)
			law = "more host memory lowered a share";
	if (before[one].now.usable_kib == KIB_UNKNOWN ||
	    s->view.guest[one].plan.reason == MEM_RESTORE)
		return;
	decide_again(s, before, &was, one, extra, more);
	for (size_t i = 0; i < s->now.n; i++) {
		others += i == one ? 0 : to_need(&s->view.guest[i]);
		less += i == one ? 0 : to_need(&more[i]);
	}
	if (less > others + (double)MIB)
		law = "one guest's demand raised the others' shares";
}

/* ---- the runs --------------------------------------------------------------------------- */

static void run_churn(struct mem_figures *sum, uint64_t seed, struct churn *total)
{
	struct churn c = { .seed = 100000 + 100 * seed };
	struct random_host first;

	state = seed;
	random_host(&first, seed);
	c.s = mem_sim_new((uint64_t)draw(6, 24) * 1024, &first.others, INTERVAL_S, seed);
	c.s->view.host.total_kib = plant_mem_total(c.s->plant);
	c.s->odd = true;
	c.s->rule = with_laws;
	for (int i = 0; i < 6; i++)
		come(&c);
	while (mem_sim_now_s(c.s) < 2 * HOST_SECONDS) {
		churn(&c);
		mem_sim_tick(c.s);
	}
	if (c.s->violations || c.s->figures.deaths || c.s->figures.breach_s > 0)
		printf("# seed %llu: %u dead, %.0f s short, %s\n", (unsigned long long)seed,
		       c.s->figures.deaths, c.s->figures.breach_s, c.s->first);
	sum->deaths += c.s->figures.deaths;
	sum->breach_s += c.s->figures.breach_s;
	sum->commands += c.s->figures.commands;
	sum->starved_s += c.s->figures.starved_s;
	total->started += c.started;
	total->arrived += c.arrived;
	total->stopped += c.stopped;
	total->migrated += c.migrated;
	total->violations += c.s->violations;
	mem_sim_free(c.s);
}

static void churned(void)
{
	struct mem_figures sum = { 0 };
	struct churn total = { 0 };

	law = NULL;
	for (uint64_t seed = FIRST; seed < FIRST + HOSTS; seed++)
		run_churn(&sum, seed, &total);
	printf("# %d hosts: %u guests started, %u arrived, %u stopped, %u migrated away; %u "
	       "commands, starved %.0f guest-s\n",
	       HOSTS, total.started, total.arrived, total.stopped, total.migrated, sum.commands,
	       sum.starved_s);
	ok(total.started > HOSTS && total.arrived > HOSTS && total.stopped > HOSTS &&
		   total.migrated > HOSTS,
	   "churn: guests come and go");
	ok(total.violations == 0, "churn: every invariant holds (%u broken)", total.violations);
	ok(sum.deaths == 0, "churn: no guest dies (%u)", sum.deaths);
	ok(sum.breach_s <= 0, "churn: the host keeps its least (%.0f s below)", sum.breach_s);
	ok(law == NULL, "churn: more demand or memory changes what it may (%s)",
	   law ? law : "always");
}

static void of_size(size_t n)
{
	struct churn c = { .seed = 500000 };
	struct mem_sim *s;
	double mib = OWN_MIB;
	struct mem_host host;

	for (size_t i = 0; i < n; i++)
		mib += peak_mib(next_guest(&c));
	host.total_kib = (uint64_t)(mib * MIBF);
	mib = (mib + (double)ledger_reserve(&mem_tunables_default, &host) / MIBF) * 1.05;
	s = mem_sim_new((uint64_t)mib, NULL, INTERVAL_S, n);
	s->odd = true;
	c = (struct churn){ .seed = 500000 };
	for (size_t i = 0; i < n; i++)
		mem_sim_add(s, next_guest(&c));
	mem_sim_run(s, SCALE_S);
	ok(s->violations == 0, "%zu guests: every invariant holds (%u broken; %s)", n,
	   s->violations, s->first);
	ok(s->figures.deaths == 0, "%zu guests: none dies (%u)", n, s->figures.deaths);
	ok(s->figures.breach_s <= 0, "%zu guests: the host keeps its least (%.0f s below)", n,
	   s->figures.breach_s);
	printf("# %zu guests: %.1f commands each, starved %.1f s each\n", n,
	       (double)s->figures.commands / (double)n, s->figures.starved_s / (double)n);
	mem_sim_free(s);
}

int main(void)
{
	churned();
	of_size(1);
	of_size(100);
	of_size(1000);
	return done();
}
