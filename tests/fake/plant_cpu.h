/*
 * plant_cpu.h - the simulated host's CPU plant: pCPUs, a fair scheduler on each, and tasks.
 *
 * A task is a vCPU thread or a process of the host; the plant knows no difference.  Time only
 * passes in plant_advance, in the caller's nanoseconds, and the same seed gives the same run.
 *
 * The scheduler is a small CFS: the runnable task with the least virtual runtime runs for a
 * slice, sleepers come back with a little credit, a waking task may preempt.  A task whose
 * mask has several pCPUs is placed as Linux places it: where it last ran if that is idle, else
 * on an idle one, else where it was; idle pCPUs pull.  So light unpinned tasks drift unevenly,
 * as they do on real hosts.
 */
#ifndef PLANT_CPU_H
#define PLANT_CPU_H

#include "lib/cpuset.h"

#include <stdbool.h>

enum plant_work {
	PLANT_CLOSED, /* burns, then sleeps: what it waits delays all that follows */
	PLANT_OPEN,   /* work arrives at its rate; what waits piles up, to a limit */
};

struct plant_load {
	enum plant_work work;
	double demand;   /* CPUs it would use alone, 0..1 */
	double burst_ms; /* mean length of one burst of work; 0: 10 ms */
	double wobble;   /* relative standard deviation of the demand, redrawn each second */
	bool ticks;      /* closed: the guest's timer wakes it once more in each pause */
};

struct plant;

struct plant *plant_new(unsigned ncpus, uint64_t seed);
void plant_free(struct plant *p);

/* A new task, allowed everywhere; its id stays valid after plant_end. */
unsigned plant_task(struct plant *p, const struct plant_load *load);
void plant_end(struct plant *p, unsigned task);
void plant_set_load(struct plant *p, unsigned task, const struct plant_load *load);

/* A mask without an online pCPU is ignored by the scheduler, as Linux ignores it. */
void plant_set_mask(struct plant *p, unsigned task, const struct cpuset *mask);
void plant_pin(struct plant *p, unsigned task, unsigned cpu);
void plant_online(struct plant *p, unsigned cpu, bool online);

/* Two pCPUs of one core: while both are busy each gets this share of its speed. */
void plant_siblings(struct plant *p, unsigned cpu, unsigned other, double share);

/* How often a waking or waiting task stays where it is although another pCPU idles, 0..1. */
void plant_set_sticky(struct plant *p, double sticky);

/* What a pCPU does per time, 1 by default; and what share of its time interrupts take. */
void plant_set_speed(struct plant *p, unsigned cpu, double speed);
void plant_set_irq(struct plant *p, unsigned cpu, double share);

void plant_advance(struct plant *p, uint64_t ns);

uint64_t plant_now_ns(const struct plant *p);
uint64_t plant_time_ns(const struct plant *p, unsigned task);  /* grain of 10 ms */
uint64_t plant_delay_ns(const struct plant *p, unsigned task); /* runnable, not running */
uint64_t plant_busy_ns(const struct plant *p, unsigned cpu);   /* grain of 10 ms */
uint64_t plant_irq_ns(const struct plant *p, unsigned cpu);    /* part of busy, as grainy */
uint64_t plant_idle_ns(const struct plant *p, unsigned cpu);   /* grain of 10 ms */
unsigned plant_where(const struct plant *p, unsigned task);    /* pCPU it is on */

/* Random numbers of the plant's own sequence, for the tests as well. */
double plant_uniform(struct plant *p); /* [0, 1) */
double plant_normal(struct plant *p);  /* mean 0, deviation 1 */

#endif
