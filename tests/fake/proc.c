/*
 * proc.c - the simulated host's clock and /proc, in place of host/proc.c.
 */
#include <stdio.h>
#include <string.h>

#include "tests/fake/fake.h"

int64_t proc_now_ns(void)
{
	return fake_now_ns();
}

int proc_cpu_times(struct cpu_time *cpu, size_t n)
{
	if (fake_proc_fails_now())
		return -1;
	for (unsigned i = 0; i < n; i++) {
		cpu[i].busy_ns = plant_busy_ns(fake_cpus(), i) - fake_proc_back_now();
		cpu[i].idle_ns = plant_idle_ns(fake_cpus(), i);
	}
	return 0;
}

int proc_memory(uint64_t *total_kib, uint64_t *available_kib)
{
	int64_t available = plant_mem_available(fake_mem());

	if (fake_proc_fails_now())
		return -1;
	*total_kib = plant_mem_total(fake_mem());
	*available_kib = available > 1 ? (uint64_t)available : 1;
	return 0;
}

int proc_memory_pressure(double *some_avg10_percent)
{
	*some_avg10_percent = 0;
	return 0;
}

int proc_isolated(struct cpuset *out)
{
	memset(out, 0, sizeof(*out));
	out->bits[0] = fake_isolated_now();
	return 0;
}

static const char *boot_id = "6141c3be-386e-4bfb-9e49-6f91bdb0be9d";

void fake_boot(const char *id)
{
	boot_id = id;
}

int proc_boot_id(char *out)
{
	snprintf(out, BOOT_ID_LEN, "%s", boot_id);
	return 0;
}
