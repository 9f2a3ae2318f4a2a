/*
 * sim.h - the CPU policy over the simulated host: samples it as host/cpu.c would, carries out
 * the pins, and asserts the policy's invariants after every tick.
 */
#ifndef SIM_H
#define SIM_H

#include "tests/fake/plant_cpu.h"

#define SIM_VCPUS 1024
#define SIM_SETS  16

struct sim_vcpu {
	unsigned task;
	uint64_t time_ns, delay_ns;
	bool fresh; /* no counters of an interval before */
	bool open;
	double nominal; /* what the plant was told it wants */
	unsigned pins;
	int first; /* pCPU where it began, or BIN_FLOATS */
	struct cpuset been;
};

struct sim {
	struct plant *plant;
	struct cpu_host host;
	struct cpu_limits limits;
	struct cpu_report report;
	struct sim_vcpu vm[SIM_VCPUS]; /* beside host.vcpu[], same order */
	struct cpuset set[SIM_SETS];   /* [0]: every pCPU */
	size_t nsets;
	uint64_t *busy_ns;
	uint64_t interval_ns, last_ns;
	void *work;
	bool dry;      /* make no pin */
	bool oracle;   /* samples that tell the demand itself: what is left is the plan's */
	bool no_delay; /* libvirt without vcpu.N.delay */
	bool verbose;
	unsigned ticks, pins, pins_now; /* intervals, pins in all, pins in the last interval */
	unsigned returns;               /* pins to where the vCPU had been before */
	unsigned guests;
};

struct sim *sim_new(unsigned ncpus, uint64_t seed);
void sim_free(struct sim *s);

/* A guest of one vCPU at its pCPU, or floating (cpu < 0).  Returns its index until the next. */
size_t sim_guest(struct sim *s, struct plant_load load, int cpu);
size_t sim_vcpu(struct sim *s, struct plant_load load,
		int cpu); /* one more of the last guest */
void sim_end(struct sim *s, size_t i);
void sim_set_load(struct sim *s, size_t i, struct plant_load load);
void sim_fence(struct sim *s, size_t i, uint64_t bits);

/*
 * Before any guest: pCPUs b and b + n/2 are threads of one core, which do together 1.3 of what
 * one alone does; the pCPUs of a node follow each other, as do their threads.
 */
void sim_threads(struct sim *s);
void sim_nodes(struct sim *s, unsigned nodes);

/* One interval: time passes, a sample, a decision, its invariants, its pins. */
void sim_tick(struct sim *s);
unsigned sim_run(struct sim *s, unsigned ticks); /* pins made */

/* The placement by what the guests really want. */
double sim_fullest(struct sim *s, double *bound);
/* The fullest bin, over the bound, of a plan on what the guests really want. */
double sim_best(struct sim *s);
/* Standard deviation of the pCPUs' measured busy share in the last interval, points. */
double sim_spread(const struct sim *s);

#endif
