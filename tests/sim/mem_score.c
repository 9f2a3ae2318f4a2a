/*
 * mem_score.c - vmbal's memory policy beside today's rules on the same random hosts.
 *
 *	mem_score [FIRST LAST]		a table; the test's 200 hosts unless told
 */
#include "tests/sim/mem_hosts.h"
#include "tests/sim/mem_rules.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_S 5
#define HOUR_S     3600.0

static const struct {
	const char *name;
	mem_rule *rule; /* NULL: vmbal */
} contestant[] = {
	{ "vmbal", NULL },
	{ "threshold", rule_threshold },
	{ "mom", rule_mom },
	{ "proxmox", rule_proxmox },
	{ "squeezed", rule_squeezed },
	{ "nothing", rule_nothing },
};

static void add(struct mem_figures *sum, const struct mem_figures *f, size_t guests)
{
	sum->deaths += f->deaths;
	sum->commands += f->commands;
	sum->starved_s += f->starved_s;
	sum->dead_s += f->dead_s;
	sum->bursts += f->bursts;
	sum->breach_s += f->breach_s;
	sum->moved_mib += f->moved_mib;
	sum->idle_mib += f->idle_mib / f->ticks / (double)guests;
	sum->caches_mib += f->caches_mib / f->ticks / (double)guests;
	sum->ticks += f->ticks;
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 2 ? strtoull(argv[1], NULL, 10) : FIRST_SEED;
	uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : FIRST_SEED + SEEDS - 1;
	double hosts = (double)(last - first + 1);

	printf("%-10s %8s %10s %10s %8s %10s %10s %8s %8s %8s\n", "", "deaths", "dead s",
	       "starved s", "breach s", "commands/h", "MiB/h", "burst s", "idle MiB", "caches");
	for (size_t c = 0; c < sizeof(contestant) / sizeof(contestant[0]); c++) {
		struct mem_figures sum = { 0 };
		double hours;

		for (uint64_t seed = first; seed <= last; seed++) {
			struct random_host h;
			struct mem_sim *s;

			random_host(&h, seed);
			s = random_host_sim(&h, INTERVAL_S);
			if (contestant[c].rule != NULL)
				s->rule = contestant[c].rule;
			mem_sim_run(s, HOST_SECONDS);
			add(&sum, &s->figures, h.n);
			mem_sim_free(s);
		}
		hours = sum.ticks / HOUR_S;
		printf("%-10s %8u %10.1f %10.1f %8.0f %10.0f %10.0f %8.1f %8.0f %8.0f\n",
		       contestant[c].name, sum.deaths, sum.dead_s / hosts,
		       sum.starved_s / hosts, sum.breach_s, sum.commands / hours,
		       sum.moved_mib / hours, sum.bursts ? sum.starved_s / sum.bursts : 0,
		       sum.idle_mib / hosts, sum.caches_mib / hosts);
	}
	return 0;
}
