/*
 * traces.c - the memory policy, and today's rules, on hosts made of recorded machines.
 *
 *	traces [-n HOSTS] [-s SEED] [-m SAMPLES] DIR
 *
 * DIR holds the GWA-T-12 "rnd" trace of the Grid Workloads Archive, or what has its format: a
 * CSV for each machine, fields separated by ';', a line each five minutes.  A host is 12 or 24
 * machines and a time, drawn by a seed; five minutes become one of simulated time, SAMPLES of
 * them (288, a day).  How much memory does a host need with each rule?  The least size at
 * which 95 % of the hosts lose no guest, and do not run out of memory themselves, is told as
 * a factor of what one needs who knows the future.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/mem_tunables.h"
#include "tests/sim/mem_rules.h"
#include "tests/sim/mem_sim.h"

#define VMS_MAX      1024
#define SAMPLES_MAX  20000
#define SAMPLE_S     60.0          /* simulated, of each sample */
#define GROWTH_KIB_S (45.0 * MIB)  /* what no balloon can follow */
#define SHARE        0.95          /* of the hosts that must lose nobody */
#define SPARE_KIB    (100.0 * MIB) /* what even a clairvoyant leaves each guest */
#define START_KIB    (mem_tunables_default.comfort_kib) /* beyond use, at the start */
#define OTHERS_KIB   (150.0 * MIB) /* the host's own programs */
#define VMM_KIB      (30.0 * MIB)  /* a QEMU process beside its guest's memory */
#define EVENT_KIB    (64.0 * MIB)  /* in one sample: a growth to be met */
#define TOLD_S       60            /* before a guest falls short the gauges should tell */
#define GUESTS_MAX   24

/* A machine's memory use, without the growth that is left out. */
struct vm {
	double max_kib;
	double *use_kib;
	size_t n;
};

struct host {
	size_t n, samples;
	struct plant_mem_guest guest[GUESTS_MAX];
	double need_kib;  /* of one who knows the future */
	double peaks_kib; /* if each guest had its own peak all the time */
	double all_kib;   /* if each had its maximum */
};

/* What a rule made of all hosts of one size. */
struct outcome {
	unsigned lost; /* hosts where a guest died, or that had no memory left themselves */
	double idle_mib, commands, breach_s, hours;
	unsigned events, unmet, told;
};

static struct vm vms[VMS_MAX];
static size_t nvms;
static double left_out_kib, grown_kib;

/* ---- the traces ---- */

/* The 6th and 7th field: what it was given, and what it used, KiB. */
static int line_read(char *line, double *max_kib, double *use_kib)
{
	char *field = strtok(line, ";"), *end;

	for (int i = 0; i < 5 && field; i++)
		field = strtok(NULL, ";");
	if (!field)
		return -1;
	*max_kib = strtod(field, &end);
	field = strtok(NULL, ";");
	if (end == line || !field)
		return -1;
	*use_kib = strtod(field, &end);
	return end == field ? -1 : 0;
}

/* Growth faster than a balloon is left out, and counted. */
static void follow(double *use, double was)
{
	double most = was + GROWTH_KIB_S * SAMPLE_S;

	grown_kib += fmax(0, *use - was);
	left_out_kib += fmax(0, *use - most);
	*use = fmin(*use, most);
}

static void vm_read(const char *path)
{
	FILE *f = fopen(path, "r");
	struct vm *v = &vms[nvms];
	char line[1024];

	if (!f || nvms == VMS_MAX) {
		if (f)
			fclose(f);
		return;
	}
	v->use_kib = calloc(SAMPLES_MAX, sizeof(double));
	while (v->use_kib && v->n < SAMPLES_MAX && fgets(line, sizeof(line), f)) {
		double max, use;

		if (line_read(line, &max, &use) < 0 || max <= 0)
			continue;
		v->max_kib = fmax(v->max_kib, max);
		if (v->n)
			follow(&use, v->use_kib[v->n - 1]);
		v->use_kib[v->n++] = use;
	}
	fclose(f);
	if (v->n)
		nvms++;
	else
		free(v->use_kib);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void vms_read(const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char path[4096];
		const char *dot = strrchr(entry[i]->d_name, '.');

		snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		if (dot && strcmp(dot, ".csv") == 0)
			vm_read(path);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
}

/* ---- hosts ---- */

static double draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (double)(*state >> 11) / 9007199254740992.0;
}

/* The guest's kernel: what the simulated guest takes beside its work. */
static double kernel_kib(const struct plant_mem_guest *g)
{
	return (16 + 44 + 6) * (double)MIB + 0.016 * (double)g->max_kib;
}

static void guest_draw(struct host *h, size_t i, uint64_t *state)
{
	struct plant_mem_guest *g = &h->guest[i];
	const struct vm *v;
	double most, peak = 0;
	size_t at;

	do {
		v = &vms[(size_t)(draw(state) * (double)nvms)];
	} while (v->n <= h->samples);
	at = (size_t)(draw(state) * (double)(v->n - h->samples));
	g->max_kib = (uint64_t)v->max_kib;
	g->cache_kib = 100 * MIB;
	most = v->max_kib - kernel_kib(g) - SPARE_KIB;
	if (most < 0) /* too small for a kernel: as large as one needs */
		g->max_kib += (uint64_t)(2 * SPARE_KIB - most);
	most = (double)g->max_kib - kernel_kib(g) - SPARE_KIB;
	g->work.series = h->samples;
	g->work.every_s = SAMPLE_S;
	g->work.series_kib = calloc(h->samples, sizeof(double));
	for (size_t k = 0; g->work.series_kib && k < h->samples; k++) {
		g->work.series_kib[k] = fmin(v->use_kib[at + k], most);
		peak = fmax(peak, g->work.series_kib[k]);
	}
	h->peaks_kib += peak + kernel_kib(g) + SPARE_KIB + VMM_KIB;
	h->all_kib += (double)g->max_kib + VMM_KIB;
}

static void host_draw(struct host *h, uint64_t seed, size_t samples)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1234567;
	struct mem_host m = { 0 };
	double own;

	for (int i = 0; i < 20; i++)
		draw(&state);
	memset(h, 0, sizeof(*h));
	h->samples = samples;
	h->n = draw(&state) < 0.5 ? 12 : GUESTS_MAX;
	for (size_t i = 0; i < h->n; i++)
		guest_draw(h, i, &state);
	for (size_t k = 0; k < samples; k++) {
		double sum = 0;

		for (size_t i = 0; i < h->n; i++)
			sum += h->guest[i].work.series_kib[k] + kernel_kib(&h->guest[i]) +
			       SPARE_KIB + VMM_KIB;
		h->need_kib = fmax(h->need_kib, sum);
	}
	m.total_kib = (uint64_t)h->need_kib;
	own = OTHERS_KIB + (double)ledger_least(&mem_tunables_default, &m);
	h->need_kib += own;
	h->peaks_kib += own;
	h->all_kib += own;
}

static void host_free(struct host *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->guest[i].work.series_kib);
}

/* ---- what decides ---- */

enum start {
	START_USE,  /* a little beyond what they use, as a balancer leaves them */
	START_PEAK, /* at what they will ever use */
	START_MAX,
};

static const struct {
	const char *name;
	mem_rule *rule; /* NULL: vmbal */
	enum start start;
} contestant[] = {
	{ "vmbal", NULL, START_USE },
	{ "plain threshold", rule_threshold, START_USE },
	{ "MOM", rule_mom, START_USE },
	{ "Proxmox", rule_proxmox, START_USE },
	{ "squeezed", rule_squeezed, START_USE },
	{ "each its own peak", rule_nothing, START_PEAK },
	{ "no ballooning", rule_nothing, START_MAX },
};

static uint64_t start_kib(const struct plant_mem_guest *g, enum start start)
{
	double kib = (double)g->max_kib, peak = 0;

	for (size_t k = 0; k < g->work.series; k++)
		peak = fmax(peak, g->work.series_kib[k]);
	if (start == START_PEAK)
		kib = fmin(kib, peak + kernel_kib(g) + SPARE_KIB);
	if (start == START_USE)
		kib = fmin(kib, g->work.series_kib[0] + kernel_kib(g) + START_KIB);
	return (uint64_t)kib;
}

/* Growths of this sample, and whether somebody falls short in it though gauges told of it or
 * not. */
static void look(const struct mem_sim *s, const struct host *h, size_t k, int64_t told_tick,
		 unsigned bursts, struct outcome *out)
{
	unsigned events = 0;

	for (size_t i = 0; i < h->n && k > 0; i++)
		events += h->guest[i].work.series_kib[k] - h->guest[i].work.series_kib[k - 1] >=
			  EVENT_KIB;
	out->events += events;
	if (events == 0 || s->figures.bursts == bursts)
		return;
	out->unmet++;
	out->told += told_tick > 0 && s->tick - told_tick >= TOLD_S;
}

static void host_run(const struct host *h, size_t c, double total_kib, uint64_t seed,
		     struct outcome *out)
{
	struct mem_sim *s = mem_sim_new((uint64_t)(total_kib / (double)MIB), NULL, 5, seed);
	int64_t told = 0;

	if (contestant[c].rule)
		s->rule = contestant[c].rule;
	for (size_t i = 0; i < h->n; i++) {
		struct plant_mem_guest conf = h->guest[i];

		conf.start_kib = start_kib(&conf, contestant[c].start);
		mem_sim_add(s, &conf);
	}
	for (size_t k = 0; k < h->samples; k++) {
		unsigned bursts = s->figures.bursts;

		for (int t = 0; t < (int)SAMPLE_S; t++) {
			mem_sim_tick(s);
			if (s->report.shortfall_kib == 0 && s->report.state == HOST_OK)
				told = 0;
			else if (told == 0)
				told = s->tick;
		}
		look(s, h, k, told, bursts, out);
	}
	out->lost += s->figures.deaths > 0 || s->figures.least_available_mib <= 0;
	out->idle_mib += s->figures.idle_mib / s->figures.ticks / (double)h->n;
	out->commands += s->figures.commands;
	out->breach_s += s->figures.breach_s;
	out->hours += s->figures.ticks / 3600;
	mem_sim_free(s);
}

static struct outcome hosts_run(const struct host *h, unsigned hosts, size_t c, double factor,
				uint64_t seed)
{
	struct outcome out = { 0 };

	for (unsigned i = 0; i < hosts; i++)
		host_run(&h[i], c, factor * h[i].need_kib, seed + i, &out);
	return out;
}

/* The least factor of a grid at which enough hosts lose nobody; 0: none of them. */
static double least_factor(const struct host *h, unsigned hosts, size_t c, uint64_t seed,
			   struct outcome *out)
{
	static const double grid[] = { 1.02, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5,
				       1.6,  1.8,  2,   2.5,  3,   4,    5,   7,   10 };
	size_t low = 0, high = sizeof(grid) / sizeof(grid[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;
		struct outcome o = hosts_run(h, hosts, c, grid[mid], seed);

		if (o.lost <= (1 - SHARE) * hosts) {
			*out = o;
			high = mid;
		} else {
			low = mid + 1;
		}
	}
	return low < sizeof(grid) / sizeof(grid[0]) ? grid[low] : 0;
}

static void row(const struct host *h, unsigned hosts, size_t c, uint64_t seed)
{
	double need = 0, all = 0, factor;
	struct outcome out = { 0 };

	for (unsigned i = 0; i < hosts; i++) {
		need += h[i].need_kib;
		all += h[i].all_kib;
	}
	factor = least_factor(h, hosts, c, seed, &out);
	if (factor == 0) {
		printf("%-18s %8s\n", contestant[c].name, "> 10");
		return;
	}
	printf("%-18s %8.2f %10.2f %8u %10.0f %10.0f %9.0f", contestant[c].name, factor,
	       all / need / factor, out.lost, out.idle_mib / hosts, out.commands / out.hours,
	       out.breach_s);
	if (!contestant[c].rule)
		printf("   growths %u, unmet %u, of these told %d s before %u", out.events,
		       out.unmet, TOLD_S, out.told);
	putchar('\n');
	fflush(stdout);
}

static unsigned enough(size_t samples)
{
	unsigned n = 0;

	for (size_t i = 0; i < nvms; i++)
		n += vms[i].n > samples;
	return n;
}

int main(int argc, char **argv)
{
	unsigned hosts = 20, wanted;
	size_t samples = 288;
	uint64_t seed = 1;
	struct host *h;
	int letter;

	while ((letter = getopt(argc, argv, "n:s:m:")) != -1)
		switch (letter) {
		case 'n': hosts = (unsigned)strtoul(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'm': samples = strtoul(optarg, NULL, 10); break;
		default: return 2;
		}
	if (optind + 1 != argc || hosts == 0 || samples < 2) {
		fprintf(stderr, "usage: traces [-n HOSTS] [-s SEED] [-m SAMPLES] DIR\n");
		return 2;
	}
	vms_read(argv[optind]);
	wanted = enough(samples);
	if (wanted == 0) {
		fprintf(stderr, "traces: %s: no CSV of a machine with more than %zu samples\n",
			argv[optind], samples);
		return 1;
	}
	h = calloc(hosts, sizeof(*h));
	if (!h)
		return 1;
	for (unsigned i = 0; i < hosts; i++)
		host_draw(&h[i], seed + i, samples);
	printf("# %u machines, %u hosts of 12 or %d, %zu samples each, seeds %llu to %llu\n",
	       wanted, hosts, GUESTS_MAX, samples, (unsigned long long)seed,
	       (unsigned long long)(seed + hosts - 1));
	printf("# left out: %.1f %% of all growth, since it is faster than 45 MiB/s\n",
	       grown_kib > 0 ? 100 * left_out_kib / grown_kib : 0);
	printf("%-18s %8s %10s %8s %10s %10s %9s\n", "", "factor", "overcommit", "lost",
	       "idle MiB", "commands/h", "breach s");
	for (size_t c = 0; c < sizeof(contestant) / sizeof(contestant[0]); c++)
		row(h, hosts, c, seed);
	for (unsigned i = 0; i < hosts; i++)
		host_free(&h[i]);
	free(h);
	return 0;
}
