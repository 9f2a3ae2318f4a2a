/*
 * t_mem_random.c - the memory policy on random simulated hosts.
 *
 *	t_mem_random			200 hosts nobody had seen when the rules were made; TAP
 *	t_mem_random [-v] FIRST LAST	these seeds, figures only
 *	-T NAME=VALUE			one of the policy's tunables, such as keep_s=60
 */
#include "lib/tunable.h"
#include "policy/mem_tunables.h"
#include "tests/sim/mem_hosts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTERVAL_S 5
#define CALM       0.15
#define COMMANDS   100 /* per host-run, at most */

/* Tuning hosts on which guests died, or the host fell short, before one rule was right. */
static const uint64_t hard[] = { 31,  105,  130,  190,   232,   252,   549,   700,   762,
				 797, 5411, 5711, 10103, 10156, 11547, 11850, 20274, 22640 };

struct sums {
	unsigned hosts, deaths, helpless, tight_deaths, doomed, fatal, breaches, busy,
		violations;
	unsigned of_host[SEEDS], guests, calm_guests, calm_commands; /* calm: slack from 15 % */
	double commands, starved_s, idle_mib, caches_mib, moved_mib, least_available_mib;
	double breach_s;
};

static struct mem_tunables tune;

static void run(struct sums *sum, uint64_t seed, bool verbose)
{
	struct random_host h;
	struct mem_sim *s;
	struct mem_figures *f;

	random_host(&h, seed);
	s = random_host_sim(&h, INTERVAL_S);
	s->conf.tune = tune;
	s->no_managed = getenv("NO_MANAGED") != NULL;
	f = &s->figures;
	mem_sim_run(s, HOST_SECONDS);
	sum->hosts++;
	sum->deaths += f->deaths;
	sum->helpless += f->helpless;
	sum->tight_deaths += h.slack < CALM ? f->deaths : 0;
	sum->fatal += f->deaths > 0;
	if (f->deaths > 0 && !random_host_fits(&h)) /* ... whatever is done */
		sum->doomed += f->deaths;
	sum->breaches += f->breach_s > 0;
	sum->breach_s += f->breach_s;
	sum->busy += f->commands >= COMMANDS;
	sum->commands += f->commands;
	sum->of_host[(sum->hosts - 1) % SEEDS] = f->commands;
	sum->guests += (unsigned)h.n;
	sum->calm_guests += h.slack < CALM ? 0 : (unsigned)h.n;
	sum->calm_commands += h.slack < CALM ? 0 : f->commands;
	sum->starved_s += f->starved_s;
	sum->idle_mib += f->idle_mib / f->ticks / (double)h.n;
	sum->caches_mib += f->caches_mib / f->ticks / (double)h.n;
	sum->moved_mib += f->moved_mib;
	sum->violations += s->violations;
	sum->least_available_mib = fmin(sum->least_available_mib, f->least_available_mib);
	if (verbose || s->violations)
		printf("# seed %llu: %zu guests, %u odd, %llu MiB, slack %.2f%s: %u dead, "
		       "least "
		       "free %.0f, least available %.0f (%.0f s), %u commands, starved %.0f "
		       "s%s%s\n",
		       (unsigned long long)seed, h.n, h.odd, (unsigned long long)h.total_mib,
		       h.slack, h.others.points ? ", surge" : "", f->deaths, f->least_free_mib,
		       f->least_available_mib, f->breach_s, f->commands, f->starved_s,
		       s->violations ? "; broken: " : "", s->first);
	mem_sim_free(s);
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

/* The last SEEDS hosts only. */
static void print_commands(struct sums *s)
{
	unsigned n = s->hosts < SEEDS ? s->hosts : SEEDS, *of = s->of_host;
	double calm = s->calm_commands, tight = s->commands - calm;

	qsort(of, n, sizeof(*of), by_number);
	printf("# commands: a quarter of the hosts to %u, half to %u, three quarters to %u, nine "
	       "tenths to %u, all to %u\n",
	       of[n / 4], of[n / 2], of[n * 3 / 4], of[n * 9 / 10], of[n - 1]);
	printf("# commands per guest: %.1f on hosts with 15 %% to spare, %.1f on others\n",
	       calm / fmax(1, s->calm_guests), tight / fmax(1, s->guests - s->calm_guests));
}

static void print(const struct sums *s)
{
	double n = s->hosts;

	printf("# %u hosts: %u deaths on %u of them (%u where the guests use more than there "
	       "is, %u with slack under 15 %%; %u more beyond help), %u hosts below their least "
	       "for %.0f s, least available %.0f MiB\n",
	       s->hosts, s->deaths, s->fatal, s->doomed, s->tight_deaths, s->helpless,
	       s->breaches, s->breach_s, s->least_available_mib);
	printf("# per host: %.1f commands (%u hosts with %d or more), starved %.1f guest-s, idle "
	       "%.0f MiB a guest beside %.0f MiB of caches, %.0f MiB moved; %u violations\n",
	       s->commands / n, s->busy, COMMANDS, s->starved_s / n, s->idle_mib / n,
	       s->caches_mib / n, s->moved_mib / n, s->violations);
}

/* -T name=value: one of the policy's tunables. */
static void set(const char *text)
{
	if (tunable_assign(mem_tunable, mem_tunable_count, text, &tune) == 0)
		return;
	fprintf(stderr, "t_mem_random: -T '%s': no tunable of that name, or out of its range\n",
		text);
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t first = FIRST_SEED, last = FIRST_SEED + SEEDS - 1;
	struct sums sum = { .least_available_mib = INFINITY };
	bool verbose = false, chosen;
	int c;

	tune = mem_tunables_default;
	while ((c = getopt(argc, argv, "vT:")) != -1) {
		if (c == 'v')
			verbose = true;
		else if (c == 'T')
			set(optarg);
		else
			return 2;
	}
	chosen = argc - optind == 2;
	if (chosen) {
		first = strtoull(argv[optind], NULL, 10);
		last = strtoull(argv[optind + 1], NULL, 10);
	}
	for (uint64_t seed = first; seed <= last; seed++)
		run(&sum, seed, verbose);
	print(&sum);
	print_commands(&sum);
	if (chosen)
		return 0;
	ok(sum.violations == 0, "random hosts: every invariant holds (%u broken)",
	   sum.violations);
	ok(sum.deaths == sum.doomed,
	   "random hosts: no guest dies (%u), but where the guests use, or keep, more than there is (%u)",
	   sum.deaths - sum.doomed, sum.doomed);
	ok(sum.breaches == 0, "random hosts: the host keeps its least (%u)", sum.breaches);
	ok(sum.commands / sum.hosts < COMMANDS,
	   "random hosts: fewer than %d commands each (%.1f)", COMMANDS,
	   sum.commands / sum.hosts);
	sum = (struct sums){ .least_available_mib = INFINITY };
	for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++)
		run(&sum, hard[i], false);
	ok(sum.deaths == 0 && sum.breaches == 0, "hosts that were hard: all is well (%u, %u)",
	   sum.deaths, sum.breaches);
	return done();
}
