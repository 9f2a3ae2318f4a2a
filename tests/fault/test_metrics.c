/*
 * The file for Prometheus, as both loops write it over a simulated host: its format, and that
 * its figures are those of the host.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "report/metrics.h"
#include "tests/fake/fake.h"

#define LINES 512

static char dir[] = "/tmp/vmbal-metrics-XXXXXX", path[64];
static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .metrics = path,
			      .cpu_interval_s = 2, .mem_interval_s = 2 };
static char line[LINES][256];
static unsigned lines;

/* Eight guests that want more CPU and memory than there is. */
static void run(unsigned intervals)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };
	struct plant_mem_guest conf = { .max_kib = 2 * KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1,
						  .point = { { 0, 700.0 * KIB_PER_MIB } } },
					.reporting = true };
	struct virt *virt;
	void *cpu;
	void *mem;

	log_init(LOG_PRIO_ERR - 1);
	fake_host(4, 6500 * KIB_PER_MIB, 1);
	for (unsigned i = 0; i < 8; i++)
		fake_guest(1, &load, &conf);
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 1);
	for (unsigned k = 0; k < 2 * intervals; k++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		if (k % 2)
			cpu_loop_ops.tick(cpu);
	}
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
}

static void read_lines(void)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	for (lines = 0; lines < LINES && fgets(line[lines], sizeof(line[0]), f); lines++)
		;
	fclose(f);
	assert_in_range(lines, 40, LINES - 1);
}

static double value(const char *series)
{
	size_t len = strlen(series);

	for (unsigned i = 0; i < lines; i++)
		if (strncmp(line[i], series, len) == 0 && line[i][len] == ' ')
			return strtod(line[i] + len, NULL);
	fail_msg("%s is not there", series);
	return 0;
}

static unsigned with_prefix(const char *series)
{
	unsigned n = 0;

	for (unsigned i = 0; i < lines; i++)
		n += strncmp(line[i], series, strlen(series)) == 0;
	return n;
}

/* Each line is a HELP, a TYPE, or a sample of the metric that these have announced. */
static void format(void **state)
{
	char announced[64] = "", kind[16] = "", name[64];
	regex_t sample;

	(void)state;
	run(20);
	read_lines();
	assert_int_equal(
		regcomp(&sample,
			"^vmbal_[a-z_]+([{][a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*[}])? "
			"-?[0-9.]+(e[-+][0-9]+)?\n$",
			REG_EXTENDED | REG_NOSUB),
		0);
	for (unsigned i = 0; i < lines; i++) {
		if (sscanf(line[i], "# HELP %63s", name) == 1) {
			strcpy(announced, name);
			kind[0] = '\0';
			continue;
		}
		if (sscanf(line[i], "# TYPE %63s %15s", name, kind) == 2) {
			assert_string_equal(name, announced);
			assert_true(!strcmp(kind, "gauge") || !strcmp(kind, "counter"));
			assert_int_equal(!strcmp(kind, "counter"),
					 !strcmp(name + strlen(name) - 6, "_total"));
			continue;
		}
		assert_int_equal(regexec(&sample, line[i], 0, NULL, 0), 0);
		assert_int_equal(strncmp(line[i], announced, strlen(announced)), 0);
		assert_non_null(strchr(" {", line[i][strlen(announced)]));
		for (unsigned k = 0; k < i; k++) /* each series once */
			assert_int_not_equal(
				strncmp(line[i], line[k],
					(size_t)(strrchr(line[i], ' ') - line[i]) + 1),
				0);
	}
	regfree(&sample);
	fake_end();
}

static void figures(void **state)
{
	(void)state;
	run(60);
	read_lines();
	assert_int_equal(value("vmbal_build_info{version=\"" VMBAL_VERSION "\"}"), 1);
	for (unsigned i = 0; i < 8; i++) { /* named as libvirt's exporters do */
		char name[64];

		snprintf(name, sizeof(name), "vmbal_guest_memory_bytes{domain=\"guest-%u\",",
			 i);
		assert_int_equal(with_prefix(name), 1);
	}
	assert_int_equal(value("vmbal_pins_total"), fake_pins());
	assert_int_equal(value("vmbal_balloon_moves_total"), fake_balloons());
	assert_true(fake_pins() > 0 && fake_balloons() > 0);
	print_message("# shortfall %.0f MiB\n",
		      value("vmbal_memory_shortfall_bytes") / (1 << 20));
	/* 8 * 0.9 CPUs are wanted, 4 are there */
	assert_in_range((int64_t)(value("vmbal_cpu_unmet_demand_cpus") * 10), 25, 39);
	assert_true(value("vmbal_memory_shortfall_bytes") > 100.0 * (1 << 20));
	assert_in_range((int64_t)value("vmbal_host_memory_available_bytes"), 1, 5LL << 30);
	fake_end();
}

/* A file that cannot be written is no reason to stop; the end takes the file away. */
static void file(void **state)
{
	(void)state;
	metrics_end(path);
	assert_int_not_equal(access(path, F_OK), 0);
	opt.metrics = "/nonexistent/vmbal.prom";
	run(10);
	assert_true(fake_pins() > 0);
	metrics_end(opt.metrics);
	opt.metrics = path;
	fake_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format),
		cmocka_unit_test(figures),
		cmocka_unit_test(file),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/vmbal.prom", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
