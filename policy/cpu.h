/*
 * cpu.h - the CPU policy: from vCPUs and bins to targets
 */
#ifndef POLICY_CPU_H
#define POLICY_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/cpu_tunables.h"
#include "policy/sample.h"

/* What a bin is: the pCPUs inside which the kernel is left to choose. */
enum grain {
	GRAIN_CPU,
	GRAIN_CORE,
	GRAIN_CACHE,
	GRAIN_NODE,
};

#define BIN_UNPINNED (-1) /* the live mask spans several bins: the kernel chooses */
#define BIN_OUTSIDE  (-2) /* the live mask reaches no bin at all (offline, excluded pCPUs) */

/* What was measured of a bin in the last interval. */
struct bin_figures {
	double capacity; /* CPUs of the strongest kind that its pCPUs which are ours make up */
	double busy; /* of these measured busy in the last interval, by anybody; < 0: unknown */
	double irq;  /* the part of busy that interrupts took */
	unsigned pcpus; /* the number of its pCPUs that are online and ours to use */
	int core;       /* equal numbers share a core, a cache, a NUMA node; < 0: unknown */
	int cache;
	int node;
	double cores; /* CPUs that do not share a core: those of capacity; 0: unknown */
};

/* What is remembered of the background load of a bin.  All zero: nothing yet. */
struct bin_history {
	double seen;   /* background load measured here, smoothed, CPUs */
	double last;   /* the sample before */
	double least;  /* the least of it lately */
	bool stays;    /* it was here though another bin idled more */
	double bound;  /* the part of it that would not go elsewhere */
	unsigned here; /* intervals for which that much was here */
	unsigned gone; /* successive intervals with much less of it */
	bool wide;     /* another bin idled more in the interval before */
	bool known;    /* seen has been measured at least once */
};

/* What a bin has to do, CPUs. */
struct bin_plan {
	double background; /* load to plan with: bound, and a share of what is unbound */
	double load;       /* asked for here now, background load included */
	double planned;    /* the same once every target is reached */
};

/*
 * A bin: a disjoint set of pCPUs inside which the kernel schedules freely.  A bin keeps its
 * index as long as the program runs; one whose pCPUs are all offline has capacity 0.
 */
struct bin {
	struct bin_figures now;
	struct bin_history past;
	struct bin_plan plan;
};

/* Of one of its pCPUs, relative to the strongest of the host. */
static inline double bin_speed(const struct bin *b)
{
	return b->now.pcpus > 0 && b->now.capacity > 0 ? b->now.capacity / b->now.pcpus : 1;
}

/* Its idle share in the last interval; 0: none, or unknown. */
static inline double bin_idle(const struct bin *b)
{
	if (b->now.capacity <= 0 || b->now.busy < 0 || b->now.busy >= b->now.capacity)
		return 0;
	return 1 - b->now.busy / b->now.capacity;
}

/* What a vCPU's samples told so far.  All zero: nothing. */
struct demand {
	double mean;     /* CPUs it would use if nobody was in its way, smoothed */
	double var;      /* variance of one sample around the mean */
	unsigned seen;   /* samples taken in */
	unsigned alike;  /* of these, since the load last became another one */
	double last;     /* what the last one spoke for */
	unsigned steps;  /* successive samples far from the mean, on one side */
	int side;        /* of the last far sample: -1 below, +1 above */
	double log_run;  /* recent mean of log run, of weight samples */
	double log_wait; /* recent mean of log (1 - wait) */
	double weight;
	double sum_rr, sum_rw, sum_ww; /* squares and products of deviations from these */
};

/* What the gates remember of a vCPU. */
struct moved {
	bool known;        /* last is of this vCPU: false before its first interval */
	int last;          /* its bin in the interval before */
	int asked;         /* the bin we last asked for; meaningful when waiting */
	bool waiting;      /* asked, and not yet seen there */
	unsigned external; /* times somebody else moved it, forgotten slowly */

	double promised; /* CPUs that it wanted where it was */
	bool hidden;     /* what it wants was not, or is not, known well enough to tell */
	unsigned due;    /* samples there until the promise is looked at */
	double found;    /* sum of what they spoke for */
	bool futile;     /* it stays while its load, and that of its bin, are as they were: */
	double then, around;
};

/* What the plan may do with a vCPU. */
enum vcpu_part {
	VCPU_FREE,  /* leave or move it */
	VCPU_GOING, /* a plan must give it a bin, but that alone is no reason for one */
	VCPU_MUST,  /* it must be given a bin, whatever the balance */
	VCPU_FIXED, /* it stays, whatever the balance */
};

/*
 * Why a vCPU is told to stay or to go: code, what the plan may do with it, and the words of the
 * log, which the manual explains.  A reason more is a row more.
 */
/* clang-format off */
#define VCPU_REASONS(ROW) \
	ROW(VCPU_STAYS, VCPU_FREE, "stays") /* its bin suits it, or nothing is being done */ \
	ROW(VCPU_BALANCE, VCPU_FREE, "load balance") \
	ROW(VCPU_INITIAL, VCPU_GOING, "initial placement") /* was unpinned: the plan counts on where it runs */ \
	ROW(VCPU_NODE, VCPU_GOING, "NUMA locality") /* to the node of the rest of its guest */ \
	ROW(VCPU_WIDEN, VCPU_FREE, "waits in a mask narrower than its bin") /* gets all of it */ \
	ROW(VCPU_OUTSIDE, VCPU_MUST, "outside its allowed pCPUs") \
	ROW(VCPU_HELD, VCPU_FIXED, "held by a job") /* the caller says it cannot be moved now */ \
	ROW(VCPU_EXTERNAL, VCPU_FIXED, "pinned externally") /* somebody else keeps moving it */ \
	ROW(VCPU_FUTILE, VCPU_FIXED, "earlier pins did not help") \
	ROW(VCPU_UNSEEN, VCPU_FIXED, "not seen yet")
/* clang-format on */
#define REASON_CODE(code, ...) code,
enum vcpu_why { VCPU_REASONS(REASON_CODE) VCPU_WHYS };

enum vcpu_part vcpu_part(enum vcpu_why why);

/* What was measured of a vCPU in the last interval, and what it may be asked for. */
struct vcpu_figures {
	bool sampled; /* run and wait below are of this interval */
	bool held;    /* cannot be moved now: a job holds its domain */
	double run;   /* CPUs used, by real elapsed time */
	double wait;  /* time runnable but not running, per time; < 0: unknown */
	double quota; /* CPUs the domain's quota allows it; 0: no limit */
	const struct cpuset *allowed; /* bins it may run on, none of them of capacity 0 */
	int bin;     /* where its live mask keeps it, or BIN_UNPINNED, BIN_OUTSIDE */
	bool narrow; /* its live mask leaves out pCPUs of that bin that it may use */
	struct vcpu_memory memory;
	struct guest_policy policy; /* what its guest's owner asked for */
};

/* What is remembered of a vCPU.  All zero: nothing yet. */
struct vcpu_history {
	struct demand demand;
	struct moved moved;
	bool pinned;     /* by the caller: its last target was set, whatever its bin says now */
	unsigned waited; /* successive intervals it waited though its bin idled, if narrow */
	bool widened;    /* by us: whoever narrows its mask again means it */
	enum vcpu_why why; /* of the interval before */
};

/* What was decided about a vCPU, and the figure that decided it. */
struct vcpu_plan {
	double demand;     /* CPUs it would use if nobody was in its way */
	uint64_t nodes;    /* from node.c: the only NUMA nodes for it; NODE_ANY: any will do */
	int target;        /* the bin to pin it to; equal to its bin: leave it alone ... */
	bool widen;        /* ... unless it is to have all of that bin */
	enum vcpu_why why; /* for that target */
};

/* A managed vCPU. */
struct vcpu {
	unsigned char uuid[UUID_LEN];
	unsigned number;
	const char *guest; /* its name, for logs */
	struct vcpu_figures now;
	struct vcpu_history past;
	struct vcpu_plan plan;
};

static inline bool vcpu_is_to_pin(const struct vcpu *v)
{
	return v->plan.target != v->now.bin || v->plan.widen;
}

/* What becomes of the host's plan. */
enum cpu_part {
	CPU_NONE,  /* nobody is pinned */
	CPU_WAITS, /* nobody yet: the next interval tells more */
	CPU_SOME,  /* only vCPUs that must be, or gain by it alone */
	CPU_PLAN,  /* it is carried out */
};

/*
 * Why the host as a whole is acted on or not: code, what becomes of the plan, and the words of the
 * log, which the manual explains.  The order is that of the gates.
 */
/* clang-format off */
#define CPU_REASONS(ROW) \
	ROW(CPU_NOTHING, CPU_NONE, "nothing to balance") /* no vCPU, or no bin */ \
	ROW(CPU_BALANCED, CPU_NONE, "balanced") \
	ROW(CPU_HYSTERESIS, CPU_NONE, "within hysteresis") /* between the thresholds to stop and to start */ \
	ROW(CPU_PERSIST, CPU_WAITS, "waiting whether it lasts") \
	ROW(CPU_OPTIMAL, CPU_NONE, "no better placement") \
	ROW(CPU_NOISE, CPU_NONE, "gain below noise") /* of the samples */ \
	ROW(CPU_COSTLY, CPU_NONE, "gain below migration cost") \
	ROW(CPU_BACKOFF, CPU_NONE, "backing off") /* recent passes changed little */ \
	ROW(CPU_ENFORCING, CPU_SOME, "enforcing affinity only") \
	ROW(CPU_PLACING, CPU_SOME, "placing unpinned vCPUs only") \
	ROW(CPU_WIDENING, CPU_SOME, "widening narrow masks only") \
	ROW(CPU_ACTING, CPU_PLAN, "acting") /* the plan is carried out */
/* clang-format on */
enum cpu_why { CPU_REASONS(REASON_CODE) CPU_WHYS };

enum cpu_part cpu_part(enum cpu_why why);

struct cpu_conf {
	struct cpu_tunables tune;
	bool place_unpinned; /* pin what is unpinned as soon as its demand is known */
};

/*
 * What cpu_decide works on: the caller fills in the first part for each interval and leaves
 * the second alone (all zero at first).
 */
struct cpu_host {
	struct bin *bin;
	size_t nbins;
	struct vcpu *vcpu; /* sorted by UUID, then number; a new one's history is zeroed */
	size_t n;
	double elapsed_s; /* real length of the interval */
	bool churned; /* a managed domain came or went: busy says nothing of background load */

	unsigned skewed; /* successive intervals with one NUMA node fuller than another */
	double over; /* successive intervals with the imbalance over the threshold, or halves */
	unsigned lasting; /* successive intervals with the peak load a little too high */
	bool active;      /* started, and not yet down to the threshold to stop */
	unsigned passes;  /* passes of pins in the current back-off period */
	unsigned quiet;   /* intervals since the last pass */
	unsigned broken;  /* passes in a row that did not bring what they promised */
};

/* One interval's decision in numbers.  Loads are relative to capacity: 1.0 is a full bin. */
struct cpu_report {
	enum cpu_why why;
	double imbalance, imbalance_after; /* standard deviation of the bins' loads, points */
	double peak, peak_after;           /* peak load */
	double lower_bound;                /* LB: no placement has a lower peak load */
	double noise;                      /* standard deviation of peak */
	size_t fewest; /* K(T): no plan to aim * lower_bound has fewer moves */
	size_t moves;  /* vCPUs that are to be pinned anew */
	unsigned wait; /* CPU_BACKOFF: intervals left to wait */
	bool unplaced; /* an unpinned vCPU is to be placed when it is known better */
};

/*
 * Turn one interval's samples into targets.  A pin is wanted wherever vcpu_is_to_pin()
 * afterwards; targets lie in the allowed set.  Whether a pin was made is seen from bin in
 * the next interval: if it never is (dry run, failure), the same decision comes again.
 * work: cpu_work_size(n, nbins) bytes, aligned for doubles; holds nothing between calls.
 */
void cpu_decide(struct cpu_host *h, const struct cpu_conf *conf, void *work,
		struct cpu_report *out);
size_t cpu_work_size(size_t n, size_t nbins);
const char *cpu_why_name(enum cpu_why why);
const char *vcpu_why_name(enum vcpu_why why);

#endif
