/*
 * sim.h - the CPU policy over the simulated host: samples its counters, lets policy/ observe
 * and decide, carries out the pins, and asserts the policy's invariants after every tick.
 */
#ifndef SIM_H
#define SIM_H

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/cpu_observe.h"
#include "policy/sample.h"
#include "tests/fake/plant_cpu.h"

#define SIM_VCPUS  1024
#define SIM_SETS   16 /* distinct allowed pCPUs */
#define SIM_TASKS  32
#define SIM_LITTLE 0.02 /* CPUs: a bin with less of guests is not theirs */
#define SIM_BUSY   0.55 /* CPUs: a vCPU that is busy, not just measured so */
#define SIM_SHARE  0.65 /* of its speed, for a thread whose sibling is busy */
#define SIM_IDLE   0.05 /* CPUs: a core with less idles */

struct sim_vcpu {
	unsigned task;
	size_t group; /* the caller's own */
	bool open;
	double nominal; /* what the plant was told it wants */
	unsigned pins;
	int first; /* pCPU where it began, or BIN_UNPINNED */
	struct cpuset been;
};

/* A program of the host. */
struct sim_task {
	unsigned task;
	double nominal;
	int cpu; /* BIN_UNPINNED: the kernel places it */
};

struct sim {
	struct plant *plant;
	struct vcpu_sample before, now; /* now: what the next sample will be of */
	struct cpu_rules rules;
	struct cpu_view view;
	struct cpu_conf conf;
	struct cpu_report report;
	struct sim_vcpu vm[SIM_VCPUS]; /* beside now.vcpu[], and view's after a tick */
	size_t nallowed; /* of now.set; [0]: every pCPU; from SIM_SETS on: a bin */
	struct sim_task host_task[SIM_TASKS];
	size_t host_tasks;
	double *irq;      /* per pCPU: share of its time that interrupts take */
	uint64_t *use_ns; /* per pCPU: by guests that were on it when sampled, as monitors see
			     it */
	uint64_t interval_ns;
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

/* A guest of one vCPU at its pCPU, or unpinned (cpu < 0).  Returns its index until the next. */
size_t sim_guest(struct sim *s, struct plant_load load, int cpu);
size_t sim_vcpu(struct sim *s, struct plant_load load,
		int cpu); /* one more of the last guest */
void sim_end(struct sim *s, size_t i);
void sim_set_load(struct sim *s, size_t i, struct plant_load load);
void sim_allow(struct sim *s, size_t i, uint64_t bits); /* its allowed pCPUs; 0: every one */
void sim_move(struct sim *s, size_t i, int cpu);        /* by somebody else */
void sim_online(struct sim *s, unsigned cpu, bool online);

/* A program of the host on its pCPU, or unpinned (cpu < 0).  Returns its index, for good. */
size_t sim_task(struct sim *s, struct plant_load load, int cpu);
void sim_task_pin(struct sim *s, size_t i, int cpu);
void sim_task_load(struct sim *s, size_t i, struct plant_load load);
void sim_irq(struct sim *s, unsigned cpu, double share);

/* A pCPU is so fast, of the strongest; told: and the sample has it. */
void sim_speed(struct sim *s, unsigned cpu, double speed, bool told);

/*
 * Before any guest: pCPUs b and b + n/2 are threads of one core, which do together 1.3 of what
 * one alone does; the pCPUs of a node follow each other, as do their threads.
 */
void sim_threads(struct sim *s);
void sim_nodes(struct sim *s, unsigned nodes);

/* Before any guest: a bin is this many pCPUs that follow each other, which share a cache. */
void sim_grain(struct sim *s, unsigned width);

/* One interval: time passes, a sample, a decision, its invariants, its pins. */
void sim_tick(struct sim *s);
unsigned sim_run(struct sim *s, unsigned ticks); /* pins made */
void sim_check(const struct sim *s);             /* the invariants alone */

/* The placement by what the guests really want. */
double sim_peak(struct sim *s, double *bound);
/* The fullest bin, over the bound, of a plan on what the guests really want. */
double sim_best(struct sim *s);
/* Busy vCPUs that share a core, by what they really want, while one idles that they may use. */
unsigned sim_sharing(const struct sim *s);
/* Standard deviation of the pCPUs' measured busy share in the last interval, points. */
double sim_imbalance(const struct sim *s);

#endif
