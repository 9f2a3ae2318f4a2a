/*
 * proc.c - what the local kernel tells: the time, /proc and /sys.
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/proc.h"
#include "host/shape.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/sample.h"

#define LINE_LEN 512 /* bytes: longer than any line of /proc/stat that starts with "cpu" */

int64_t proc_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int proc_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
	struct timespec ts = { .tv_sec = deadline_ns / NS_PER_S,
			       .tv_nsec = deadline_ns % NS_PER_S };

	return pthread_cond_timedwait(cond, lock, &ts);
}

const char *proc_cgroups(void)
{
	return "/sys/fs/cgroup";
}

const char *proc_root(void)
{
	return "/proc";
}

/*
 * "cpuN user nice system idle iowait irq softirq steal guest guest_nice", in ticks.  Guest
 * time is part of user already.  Time stolen by a hypervisor below us is lost to our
 * guests like any other use, so it counts as busy; but not as bound to its pCPU as interrupts
 * are: one that wakes often waits for its hypervisor each time, so that an idle pCPU has been
 * seen to lose 43 % so, and 5 % as soon as it had its half of the guests.
 */
static int cpu_line(const char *line, struct cpu_time *cpu, size_t n)
{
	unsigned long long t[8] = { 0 };
	unsigned number;
	uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);

	if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &number, &t[0], &t[1],
		   &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 5)
		return -1;
	if (number >= n)
		return -1;
	cpu[number].busy_ns = (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) * tick_ns;
	cpu[number].idle_ns = (t[3] + t[4]) * tick_ns;
	cpu[number].irq_ns = (t[5] + t[6]) * tick_ns;
	return 0;
}

int proc_cpu_times(struct cpu_time *cpu, size_t n)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[LINE_LEN];
	int found = 0;

	if (!f)
		return -1;
	memset(cpu, 0, n * sizeof(*cpu));
	while (fgets(line, sizeof(line), f) && strncmp(line, "cpu", 3) == 0)
		if (isdigit((unsigned char)line[3]) && cpu_line(line, cpu, n) == 0)
			found++;
	fclose(f);
	return found ? 0 : -1;
}

int proc_memory(uint64_t *total_kib, uint64_t *available_kib)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long total = 0, available = ULLONG_MAX;
	char line[LINE_LEN];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "MemTotal: %llu kB", &total);
		sscanf(line, "MemAvailable: %llu kB", &available);
	}
	fclose(f);
	if (!total || available == ULLONG_MAX)
		return -1;
	*total_kib = total;
	*available_kib = available ? available : 1; /* nothing, but known: 0 is unread */
	return 0;
}

int proc_memory_pressure(double *some_avg10_percent)
{
	FILE *f = fopen("/proc/pressure/memory", "re");
	double percent;
	int got;

	if (!f)
		return -1;
	got = fscanf(f, "some avg10=%lf", &percent);
	fclose(f);
	if (got != 1)
		return -1;
	*some_avg10_percent = percent;
	return 0;
}

void proc_merged(uint64_t *kib)
{
	FILE *f = fopen("/sys/kernel/mm/ksm/pages_sharing", "re");
	unsigned long long pages;

	if (!f)
		return;
	if (fscanf(f, "%llu", &pages) == 1)
		*kib = pages * ((uint64_t)sysconf(_SC_PAGESIZE) / BYTES_PER_KIB);
	fclose(f);
}

/* "name type data": it is asked to shrink, under pressure, no further than to c_min. */
void proc_zfs(uint64_t *kib)
{
	FILE *f = fopen("/proc/spl/kstat/zfs/arcstats", "re");
	unsigned long long size = 0, least = ULLONG_MAX;
	char line[LINE_LEN];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "size %*u %llu", &size);
		sscanf(line, "c_min %*u %llu", &least);
	}
	fclose(f);
	if (size > least)
		*kib = (size - least) / BYTES_PER_KIB;
}

int proc_isolated(struct cpuset *out)
{
	return shape_read_list("/sys/devices/system/cpu/isolated", out);
}

int proc_online(struct cpuset *out)
{
	return shape_read_list("/sys/devices/system/cpu/online", out);
}

int proc_shape(struct topology *out)
{
	return shape_read("", out);
}

int proc_boot_id(char *out)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char id[BOOT_ID_LEN] = "";

	if (!f)
		return -1;
	if (!fgets(id, sizeof(id), f) || strlen(id) != BOOT_ID_LEN - 1)
		id[0] = '\0';
	fclose(f);
	if (!id[0])
		return -1;
	memcpy(out, id, sizeof(id));
	return 0;
}
