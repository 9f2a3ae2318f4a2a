// SPDX-License-Identifier: MIT
/*
 * load_cpu.c - a burner per vCPU, a process that each command ends and begins anew
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

/* A burst and its pause take this long together, drawn anew each time so that guests do not
 * lock into one phase: a few scheduler slices, and many to a sampling interval of vmbal's. */
#define PERIOD_MIN_NS (20 * NS_PER_MS)
#define PERIOD_MAX_NS (50 * NS_PER_MS)
#define BACKLOG_NS    NS_PER_S /* what an open-loop load lets pile up before it drops work */

/*
 * A load is CPU time, not work: a rented CPU is not equally fast at all times, nor are two of
 * them, and a load of so many turns was 12 % of one and 19 % of another. A guest under
 * emulation has no steal time to tell CPU time by, so it looks at each chunk: far shorter than
 * a scheduler slice, it runs whole or is torn by a wait that is much longer than itself.
 */
#define CHUNK_TURNS 200000 /* 200 us on a CPU that does 1000 a us; 450 us have been seen */
#define TORN        4      /* times what a chunk takes: from then on it was torn */
#define LEARNT_PART 16     /* of a chunk's time goes into what is known of them */
#define CHUNKS      16     /* to begin with, their lower quartile */

struct burner {
	pid_t pid;
	int percent;
};

static struct burner burners[MAX_VCPUS];

static void burn(uint64_t turns)
{
	for (uint64_t i = 0; i < turns; i++)
		__asm__ volatile("" : "+r"(i)); /* or the compiler proves the loop away */
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t chunk_ns(void)
{
	int64_t t0 = load_now_ns();

	burn(CHUNK_TURNS);
	return load_now_ns() - t0;
}

static int64_t usual_chunk_ns(void)
{
	int64_t took[CHUNKS];

	for (int i = 0; i < CHUNKS; i++)
		took[i] = chunk_ns();
	qsort(took, CHUNKS, sizeof(took[0]), by_size);
	return took[CHUNKS / 4];
}

/* The CPU time of a chunk; what is usual follows the CPU's speed. */
static int64_t chunk_cpu_ns(int64_t *usual)
{
	int64_t took = chunk_ns();

	if (took >= TORN * *usual)
		return *usual;
	*usual += (took - *usual) / LEARNT_PART;
	return took;
}

static int64_t random_period_ns(void)
{
	static uint64_t x;

	if (!x)
		x = (uint64_t)load_now_ns() * 0x9e3779b97f4a7c15u | 1;
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return PERIOD_MIN_NS + (int64_t)(x % (uint64_t)(PERIOD_MAX_NS - PERIOD_MIN_NS));
}

/*
 * Closed loop: the pause follows the burst, however long the burst took; a starved guest asks
 * for less. Open loop: bursts come due by the clock, and a starved guest falls behind.
 *
 * Measured under emulation: a vCPU uses 13.2 % for 12, 29.5 for 30 and 59.0 for 60, with its
 * wake-ups and ticks. The kernel wakes once more in each pause, at the tick after it began; on
 * a full pCPU that wake queues, and the rest of the pause looks like waiting: with eight guests
 * on one pCPU, run / (1 - wait) was .80 to .84 for the 60 % and .46 for the 30 % ones.
 */
static void burner_run(int vcpu, int percent, bool open)
{
	int64_t usual = usual_chunk_ns(), used = 0, due = load_now_ns();

	for (;;) {
		int64_t period = random_period_ns();
		int64_t work = period * percent / 100;

		/* What a chunk took beyond its burst is taken off the next. */
		for (; used < work; board->chunks[vcpu]++)
			used += chunk_cpu_ns(&usual);
		used -= work;
		if (percent == 100)
			continue;
		due += period;
		if (due < load_now_ns() - BACKLOG_NS)
			due = load_now_ns() - BACKLOG_NS;
		load_sleep_ns(open ? due - load_now_ns() : period - work);
	}
}

static void burner_stop(struct burner *b)
{
	if (b->pid > 0) {
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
	}
	*b = (struct burner){ 0 };
}

static void burner_start(int vcpu, int percent, bool open)
{
	struct burner *b = &burners[vcpu];
	cpu_set_t set;

	burner_stop(b);
	if (!percent)
		return;
	b->percent = percent;
	b->pid = fork();
	if (b->pid)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)vcpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	burner_run(vcpu, percent, open);
}

int vcpu_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < MAX_VCPUS ? (int)n : MAX_VCPUS;
}

int vcpu_percent(int vcpu)
{
	return burners[vcpu].percent;
}

/* cpu PERCENT VCPU|all closed|open */
const char *command_cpu(int n, char **arg)
{
	if (n != 3)
		return "error: cpu PERCENT VCPU|all closed|open";
	int percent = atoi(arg[0]);
	bool all = !strcmp(arg[1], "all");
	int first = all ? 0 : atoi(arg[1]);
	int last = all ? vcpu_count() - 1 : first;

	if (percent < 0 || percent > 100 || !isdigit(arg[0][0]))
		return "error: PERCENT must be 0 to 100";
	if (first < 0 || last >= vcpu_count())
		return "error: no such vCPU";
	for (int k = first; k <= last; k++)
		burner_start(k, percent, !strcmp(arg[2], "open"));
	return "ok";
}
