/*
 * shape.c - what this machine's pCPUs are to each other, as its kernel shows them in /sys:
 * which share a core, a last-level cache and a NUMA node, and how strong each one is.
 *
 *	sys/devices/system/cpu/online
 *	sys/devices/system/cpu/cpuN/topology/thread_siblings_list
 *	sys/devices/system/cpu/cpuN/cache/indexM/{level,type,shared_cpu_list}
 *	sys/devices/system/cpu/cpuN/{cpu_capacity,cpufreq/cpuinfo_max_freq,acpi_cppc/highest_perf}
 *	sys/devices/system/node/{online,nodeN/cpulist}
 *	sys/devices/{cpu_core,cpu_atom}/cpus
 *	proc/cpuinfo: the vendor
 *
 * What is not told is unknown: each file may be missing, and some are on any machine.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/limits.h"
#include "host/shape.h"
#include "lib/cpuset.h"
#include "lib/number.h"
#include "policy/sample.h"

#define CACHES_MAX 10             /* index0 and up; x86 has four, and nobody more than six */
#define LIST_LEN   (8 * PCPU_MAX) /* bytes: any list: every second of PCPU_MAX pCPUs */
#define LINE_LEN   512 /* bytes: more than a number or a line of /proc/cpuinfo that matters */

void topology_clear(struct topology *t)
{
	memset(t, 0xff, sizeof(*t)); /* -1: unknown */
	for (unsigned i = 0; i < PCPU_MAX; i++)
		t->capacity[i] = 1;
}

bool topology_has_nodes(const struct topology *t)
{
	int first = -1;

	for (int i = 0; i < PCPU_MAX; i++) {
		if (t->node[i] < 0)
			continue;
		if (first >= 0 && t->node[i] != first)
			return true;
		first = t->node[i];
	}
	return false;
}

/* ---- files ---- */

int shape_read_list(const char *path, struct cpuset *out)
{
	FILE *f = fopen(path, "re");
	char line[LIST_LEN] = "";
	int result = -1;

	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		result = cpuset_parse(line, out);
	}
	fclose(f);
	return result;
}

__attribute__((format(printf, 3, 4))) static int list_read(const char *root, struct cpuset *out,
							   const char *fmt, ...)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s", root);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path + len, sizeof(path) - (size_t)len, fmt, ap);
	va_end(ap);
	return shape_read_list(path, out);
}

/* A file's first line; -1 without one. */
static int line_read(const char *root, unsigned cpu, const char *name, char *line)
{
	char path[PATH_MAX];
	FILE *f;
	bool got;

	snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%u/%s", root, cpu, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	got = fgets(line, LINE_LEN, f) != NULL;
	fclose(f);
	if (!got)
		return -1;
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

/* A pCPU's figure, above 0; or 0: unknown. */
static double figure_read(const char *root, unsigned cpu, const char *name)
{
	char line[LINE_LEN];
	double figure = 0;

	if (line_read(root, cpu, name, line) == 0)
		number_parse(line, 1, UINT32_MAX, &figure);
	return figure;
}

/* ---- cores, caches, nodes ---- */

static void same_key(int *key, const struct cpuset *members, int value)
{
	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(members, i))
			key[i] = value;
}

static void core_read(const char *root, unsigned cpu, struct topology *t)
{
	struct cpuset threads;

	if (list_read(root, &threads,
		      "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
		      cpu) == 0 &&
	    cpuset_has(&threads, cpu))
		same_key(t->core, &threads, cpuset_first(&threads));
}

/* Who shares the deepest cache of data that it has.  -1: it shows none. */
static int last_cache(const char *root, unsigned cpu, struct cpuset *out)
{
	double deepest = 0;

	for (int i = 0; i < CACHES_MAX; i++) {
		char name[32], type[LINE_LEN];
		struct cpuset members;
		double level;

		snprintf(name, sizeof(name), "cache/index%d/type", i);
		if (line_read(root, cpu, name, type) < 0 || strcmp(type, "Instruction") == 0)
			continue;
		snprintf(name, sizeof(name), "cache/index%d/level", i);
		level = figure_read(root, cpu, name);
		if (level <= deepest ||
		    list_read(root, &members,
			      "/sys/devices/system/cpu/cpu%u/cache/index%d/shared_cpu_list",
			      cpu, i) < 0 ||
		    !cpuset_has(&members, cpu))
			continue;
		deepest = level;
		*out = members;
	}
	return deepest > 0 ? 0 : -1;
}

static void cache_read(const char *root, unsigned cpu, struct topology *t)
{
	struct cpuset members;

	if (last_cache(root, cpu, &members) == 0)
		same_key(t->cache, &members, cpuset_first(&members));
}

/* A kernel that knows no nodes runs on a machine that is one. */
static void nodes_read(const char *root, const struct cpuset *online, struct topology *t)
{
	struct cpuset nodes, members;

	if (list_read(root, &nodes, "/sys/devices/system/node/online") < 0) {
		same_key(t->node, online, 0);
		return;
	}
	for (unsigned n = 0; n < PCPU_MAX; n++)
		if (cpuset_has(&nodes, n) &&
		    list_read(root, &members, "/sys/devices/system/node/node%u/cpulist", n) ==
			    0)
			same_key(t->node, &members, (int)n);
}

/* ---- strength ---- */

/*
 * From the strongest down, those that are about as strong as one count as just as strong.
 * False: all are, or nothing is known.
 */
static bool strengths_rank(double *figure, struct topology *t)
{
	double strongest = 0;
	bool differ = false;

	for (;;) {
		double most = 0;

		for (unsigned i = 0; i < PCPU_MAX; i++)
			if (figure[i] > most)
				most = figure[i];
		if (most <= 0)
			return differ;
		if (strongest <= 0)
			strongest = most;
		differ |= most < strongest;
		for (unsigned i = 0; i < PCPU_MAX; i++) {
			if (figure[i] <= 0 || figure[i] < (1 - limit.pcpu_weaker) * most)
				continue;
			t->capacity[i] = most / strongest;
			figure[i] = 0;
		}
	}
}

/* Each pCPU's own figure in a file of this name.  False: none has one. */
static bool figures_read(const char *root, const struct cpuset *online, const char *name,
			 double *figure)
{
	bool any = false;

	for (unsigned i = 0; i < PCPU_MAX; i++) {
		figure[i] = cpuset_has(online, i) ? figure_read(root, i, name) : 0;
		any |= figure[i] > 0;
	}
	return any;
}

/* The top frequency of a kind of core is each one's figure.  -1: there is no such kind. */
static int kind_read(const char *root, const char *kind, const struct cpuset *online,
		     double *figure)
{
	struct cpuset members;
	double top = 0;

	if (list_read(root, &members, "/sys/devices/%s/cpus", kind) < 0)
		return -1;
	cpuset_and(&members, online);
	for (unsigned i = 0; i < PCPU_MAX; i++) {
		double frequency = 0;

		if (cpuset_has(&members, i))
			frequency = figure_read(root, i, "cpufreq/cpuinfo_max_freq");
		top = frequency > top ? frequency : top;
	}
	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(&members, i))
			figure[i] = top;
	return top > 0 ? 0 : -1;
}

/* False: the processor is not of two kinds. */
static bool kinds_read(const char *root, const struct cpuset *online, double *figure)
{
	memset(figure, 0, PCPU_MAX * sizeof(*figure));
	return kind_read(root, "cpu_core", online, figure) == 0 &&
	       kind_read(root, "cpu_atom", online, figure) == 0;
}

/* On AMD, and on Hygon that is made alike, CPPC's highest performance only ranks the cores. */
static bool cppc_ranks(const char *root)
{
	char path[PATH_MAX], line[LINE_LEN], vendor[LINE_LEN] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/cpuinfo", root);
	f = fopen(path, "re");
	if (!f)
		return true;
	while (!vendor[0] && fgets(line, sizeof(line), f))
		sscanf(line, "vendor_id : %511s", vendor);
	fclose(f);
	return strcmp(vendor, "AuthenticAMD") == 0 || strcmp(vendor, "HygonGenuine") == 0;
}

/*
 * The kernel's own word first.  x86 kernels say 1024 of each core of a hybrid processor with
 * hyperthreads: so where cpu_capacity tells no difference, the lists of its kinds may.
 */
static void strengths_read(const char *root, const struct cpuset *online, struct topology *t)
{
	double figure[PCPU_MAX];
	bool told = figures_read(root, online, "cpu_capacity", figure);

	if (told && strengths_rank(figure, t))
		return;
	if (kinds_read(root, online, figure) ||
	    (!told && !cppc_ranks(root) &&
	     figures_read(root, online, "acpi_cppc/highest_perf", figure)))
		strengths_rank(figure, t);
}

int shape_read(const char *root, struct topology *out)
{
	struct cpuset online;
	struct topology t;

	if (list_read(root, &online, "/sys/devices/system/cpu/online") < 0)
		return -1;
	topology_clear(&t);
	nodes_read(root, &online, &t);
	for (unsigned i = 0; i < PCPU_MAX; i++) {
		if (cpuset_has(&online, i) && t.core[i] < 0)
			core_read(root, i, &t);
		if (cpuset_has(&online, i) && t.cache[i] < 0)
			cache_read(root, i, &t);
	}
	strengths_read(root, &online, &t);
	*out = t;
	return 0;
}
