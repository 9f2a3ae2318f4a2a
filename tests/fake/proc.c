/*
 * proc.c - the simulated host's clock and /proc, in place of host/proc.c.
 */
#include <stdio.h>
#include <string.h>

#include "host/proc.h"
#include "host/shape.h"
#include "lib/cpuset.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

int64_t proc_now_ns(void)
{
	return fake_now_ns();
}

int proc_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
	return fake_wait(cond, lock, deadline_ns);
}

static const char *root = "/nonexistent", *cgroups = "/nonexistent";

void fake_cgroups(const char *dir)
{
	cgroups = dir;
}

const char *proc_cgroups(void)
{
	return cgroups;
}

void fake_proc_root(const char *dir)
{
	root = dir;
}

const char *proc_root(void)
{
	return root;
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

static uint64_t merged, zfs;

void fake_merged(uint64_t kib)
{
	merged = kib;
}

void fake_zfs(uint64_t kib)
{
	zfs = kib;
}

void proc_merged(uint64_t *kib)
{
	*kib = merged;
}

void proc_zfs(uint64_t *kib)
{
	*kib = zfs;
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

int proc_online(struct cpuset *out)
{
	memset(out, 0, sizeof(*out));
	out->bits[0] = fake_online_now();
	return fake_proc_fails_now() ? -1 : 0;
}

/* This machine's kernel knows the same of it as its daemon. */
int proc_shape(struct topology *out)
{
	if (fake_proc_fails_now())
		return -1;
	if (fake_flat_now())
		topology_clear(out);
	else if (topology_parse(fake_capabilities_now(), out) < 0)
		return -1;
	for (unsigned i = 0; i < 64; i++)
		out->capacity[i] = fake_capacity_now(i);
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
