/*
 * What the kernel shows of pCPUs, from small trees of files: cores, caches, nodes, strength.
 */
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the four std*.h above first */
#include <cmocka.h>

#include "host/shape.h"
#include "policy/sample.h"

static char root[] = "/tmp/vmbal-shape-XXXXXX";

static int file_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level ? remove(path) : 0;
}

/* Nothing is there but what the test makes. */
static int empty(void **state)
{
	(void)state;
	return nftw(root, file_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static void file(const char *path, const char *content)
{
	char name[256];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", root, path);
	for (char *p = strchr(name + strlen(root) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(name, 0755);
		*p = '/';
	}
	f = fopen(name, "we");
	assert_non_null(f);
	fprintf(f, "%s\n", content);
	fclose(f);
}

static void cpu_file(unsigned cpu, const char *name, const char *content)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%u/%s", cpu, name);
	file(path, content);
}

static void cache(unsigned cpu, unsigned index, const char *level, const char *type,
		  const char *members)
{
	char name[64];

	snprintf(name, sizeof(name), "cache/index%u/level", index);
	cpu_file(cpu, name, level);
	snprintf(name, sizeof(name), "cache/index%u/type", index);
	cpu_file(cpu, name, type);
	snprintf(name, sizeof(name), "cache/index%u/shared_cpu_list", index);
	cpu_file(cpu, name, members);
}

/* Two nodes of two cores of two threads, a last-level cache in each; pCPU 7 is offline. */
static void server(void)
{
	static const char *const threads[] = { "0,4", "1,5", "2,6", "3", "0,4", "1,5", "2,6" };
	static const char *const shared[] = { "0-1,4-5", "2-3,6" };

	file("sys/devices/system/cpu/online", "0-6");
	file("sys/devices/system/node/online", "0-1");
	file("sys/devices/system/node/node0/cpulist", "0-1,4-5");
	file("sys/devices/system/node/node1/cpulist", "2-3,6");
	for (unsigned i = 0; i < 7; i++) {
		cpu_file(i, "topology/thread_siblings_list", threads[i]);
		cache(i, 0, "1", "Data", threads[i]);
		cache(i, 1, "1", "Instruction", threads[i]);
		cache(i, 2, "2", "Unified", threads[i]);
		cache(i, 3, "3", "Unified", shared[i / 2 % 2]);
	}
	cpu_file(7, "topology/thread_siblings_list", "3,7"); /* nobody is asked about */
}

static void shape(struct topology *t)
{
	assert_int_equal(shape_read(root, t), 0);
}

static void cores_caches_and_nodes(void **state)
{
	static const int core[] = { 0, 1, 2, 3, 0, 1, 2, -1 };
	static const int far[] = { 0, 0, 1, 1, 0, 0, 1, -1 };
	static struct topology t;

	(void)state;
	server();
	shape(&t);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(t.core[i], core[i]);
		assert_int_equal(t.node[i], far[i]);
		assert_int_equal(t.cache[i], far[i] < 0 ? -1 : 2 * far[i]);
		assert_true(t.capacity[i] >= 1 && t.capacity[i] <= 1);
	}
	assert_true(topology_has_nodes(&t));
}

static void nothing_is_told(void **state)
{
	static struct topology t, was;

	(void)state;
	memset(&t, 0x11, sizeof(t));
	was = t;
	assert_int_equal(shape_read(root, &t), -1);
	assert_int_equal(shape_read("/nowhere", &t), -1);
	file("sys/devices/system/cpu/online", "");
	assert_int_equal(shape_read(root, &t), -1);
	file("sys/devices/system/cpu/online", "0-x");
	assert_int_equal(shape_read(root, &t), -1);
	assert_memory_equal(&t, &was, sizeof(t));
}

/* A kernel without NUMA knows of one node; whatever else is missing is unknown. */
static void little_is_told(void **state)
{
	static struct topology t;

	(void)state;
	file("sys/devices/system/cpu/online", "0-3,4095");
	shape(&t);
	assert_int_equal(t.node[3], 0);
	assert_int_equal(t.node[4095], 0);
	assert_int_equal(t.node[4], -1);
	assert_int_equal(t.core[0], -1);
	assert_int_equal(t.cache[0], -1);
	assert_true(t.capacity[0] >= 1 && t.capacity[0] <= 1);
	assert_false(topology_has_nodes(&t));
}

/* Each pCPU's own last level counts: there are cores beside an L3 that have none. */
static void the_last_level_is_its_own(void **state)
{
	static struct topology t;

	(void)state;
	file("sys/devices/system/cpu/online", "0-5");
	for (unsigned i = 0; i < 2; i++) {
		cache(i, 0, "2", "Unified", i ? "1" : "0");
		cache(i, 1, "3", "Unified", "0-1");
	}
	for (unsigned i = 2; i < 4; i++)
		cache(i, 0, "2", "Unified", "2-3");
	cache(4, 0, "1", "Instruction", "0-5"); /* no cache of data */
	cache(4, 1, "x", "Unified", "0-5");
	cache(4, 2, "2", "Unified", "much");
	cache(4, 3, "2", "Unified", "0-3"); /* not this one's */
	cpu_file(5, "cache/index0/level", "3");
	cpu_file(5, "topology/thread_siblings_list", "0-4"); /* not this one's either */
	shape(&t);
	assert_int_equal(t.cache[0], 0);
	assert_int_equal(t.cache[1], 0);
	assert_int_equal(t.cache[2], 2);
	assert_int_equal(t.cache[3], 2);
	assert_int_equal(t.cache[4], -1);
	assert_int_equal(t.cache[5], -1);
	assert_int_equal(t.core[5], -1);
}

/* ---- strength ---- */

struct strength {
	const char *capacity[4], *highest[4],
		*frequency[4]; /* of each pCPU; NULL: no such file */
	const char *core, *atom, *vendor;
	double want[4];
};

static void strength_files(const struct strength *s)
{
	file("sys/devices/system/cpu/online", "0-3");
	for (unsigned i = 0; i < 4; i++) {
		if (s->capacity[i])
			cpu_file(i, "cpu_capacity", s->capacity[i]);
		if (s->highest[i])
			cpu_file(i, "acpi_cppc/highest_perf", s->highest[i]);
		if (s->frequency[i])
			cpu_file(i, "cpufreq/cpuinfo_max_freq", s->frequency[i]);
	}
	if (s->core)
		file("sys/devices/cpu_core/cpus", s->core);
	if (s->atom)
		file("sys/devices/cpu_atom/cpus", s->atom);
	if (s->vendor)
		file("proc/cpuinfo", s->vendor);
}

#define INTEL "processor\t: 0\nvendor_id\t: GenuineIntel\n"
#define AMD   "processor\t: 0\nvendor_id\t: AuthenticAMD\n"
#define HYGON "processor\t: 0\nvendor_id\t: HygonGenuine\n"
#define ARM   "processor\t: 0\nBogoMIPS\t: 50.00\n"
#define FULL                                                                                   \
	{                                                                                      \
		"1024", "1024", "1024", "1024"                                                 \
	}
#define HZ                                                                                     \
	{                                                                                      \
		"5000000", "5200000", "3900000", "3900000"                                     \
	}
#define CPPC                                                                                   \
	{                                                                                      \
		"60", "60", "30", "30"                                                         \
	}

static void strengths(void **state)
{
	static const struct strength cases[] = {
		{ .want = { 1, 1, 1, 1 } },
		/* the kernel's own word, and before any other */
		{ .capacity = { "1024", "1024", "512", "512" }, .want = { 1, 1, .5, .5 } },
		{ .capacity = { "512", "1024", "512", "1024" },
		  .highest = CPPC,
		  .frequency = HZ,
		  .core = "0-1",
		  .atom = "2-3",
		  .vendor = INTEL,
		  .want = { .5, 1, .5, 1 } },
		/* what is about as strong as another is as strong, in each tier */
		{ .capacity = { "1024", "900", "871", "1000" }, .want = { 1, 1, 1, 1 } },
		{ .capacity = { "1024", "869", "800", "256" },
		  .want = { 1, 869. / 1024, 869. / 1024, .25 } },
		/* the strongest is what there is, not what there could be */
		{ .capacity = { "800", "800", "400", "400" }, .want = { 1, 1, .5, .5 } },
		/* unknown is 1, absurd is unknown */
		{ .capacity = { "1024", NULL, "0", "256" }, .want = { 1, 1, 1, .25 } },
		{ .capacity = { "1024", "-5", "x", "99999999999" }, .want = { 1, 1, 1, 1 } },
		/* a hybrid with hyperthreads */
		{ .capacity = FULL,
		  .frequency = HZ,
		  .core = "0-1",
		  .atom = "2-3",
		  .vendor = INTEL,
		  .want = { 1, 1, .75, .75 } },
		{ .frequency = HZ, .core = "0-1", .atom = "2-3", .want = { 1, 1, .75, .75 } },
		{ .frequency = { "100", "100", "90", "90" },
		  .core = "0-1",
		  .atom = "2-3",
		  .want = { 1, 1, 1, 1 } },
		/* frequencies alone are no kinds */
		{ .frequency = HZ, .want = { 1, 1, 1, 1 } },
		{ .frequency = HZ, .core = "0-1", .want = { 1, 1, 1, 1 } },
		{ .core = "0-1", .atom = "2-3", .want = { 1, 1, 1, 1 } },
		/* CPPC last, and no ranking */
		{ .highest = CPPC, .vendor = INTEL, .want = { 1, 1, .5, .5 } },
		{ .highest = CPPC, .vendor = ARM, .want = { 1, 1, .5, .5 } },
		{ .highest = CPPC, .vendor = AMD, .want = { 1, 1, 1, 1 } },
		{ .highest = CPPC, .vendor = HYGON, .want = { 1, 1, 1, 1 } },
		{ .highest = CPPC, .want = { 1, 1, 1, 1 } },
		{ .highest = CPPC, .capacity = FULL, .vendor = ARM, .want = { 1, 1, 1, 1 } },
	};
	static struct topology t;

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		assert_int_equal(empty(state), 0);
		strength_files(&cases[c]);
		shape(&t);
		for (unsigned i = 0; i < 4; i++)
			if (fabs(t.capacity[i] - cases[c].want[i]) > 1e-9)
				fail_msg("case %zu: pCPU %u has %g", c, i, t.capacity[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cores_caches_and_nodes, empty),
		cmocka_unit_test_setup(nothing_is_told, empty),
		cmocka_unit_test_setup(little_is_told, empty),
		cmocka_unit_test_setup(the_last_level_is_its_own, empty),
		cmocka_unit_test_setup(strengths, empty),
	};
	int failed;

	if (!mkdtemp(root))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	empty(NULL);
	rmdir(root);
	return failed;
}
