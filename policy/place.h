/*
 * place.h - where vCPUs go: plans, and the bounds that no plan can beat
 */
#ifndef POLICY_PLACE_H
#define POLICY_PLACE_H

#include "policy/cpu.h"

/* A vCPU, or a bin, by its load: a pair, so that qsort needs no context. */
struct place_rank {
	double d;
	uint32_t i;
};

/* Where vCPUs may run: the allowed bins of some NUMA nodes. */
struct place_set {
	const struct cpuset *allowed; /* NULL: any */
	uint64_t nodes;               /* a bit each */
	uint64_t near;                /* of these, where their memory is; 0: unknown */
};

/* A vCPU as the planner sees it. */
struct place_item {
	double d;      /* its demand */
	uint32_t set;  /* index of what it may use in place.set */
	uint32_t next; /* the next in its bin's list, UINT32_MAX at the end */
	int from;      /* its present bin, or negative */
	int home;      /* the same, where it may stay; BIN_OUTSIDE: it must be placed */
	int at;        /* where the plan has it; BIN_UNPINNED: no part of the plan */
	bool fixed;
};

/* A planning problem and its scratch memory, which place_begin lays out in work. */
struct place {
	const struct cpu_tunables *tune;
	const struct bin *bin;
	size_t nbins, n;
	double lower_bound;  /* LB: no placement has a lower peak load */
	double widest;       /* the largest capacity of a bin or core */
	double least;        /* how full one vCPU that wants all makes any of them, at least */
	double *background;  /* per bin: what cannot be moved, light unpinned vCPUs included */
	double *load;        /* per bin: of the plan being made */
	double *level;       /* per bin: its load if the demand of its node were a liquid */
	double *room;        /* per bin: capacity of its core as a whole */
	uint32_t *sibling;   /* per bin: the next bin of its core, in a ring */
	double *block;       /* per some bins: how full their least full one is */
	double *sums, *size; /* per vCPU, for bounds */
	uint32_t *head;
	struct place_rank *order, *cand;
	struct place_item *item;
	struct place_set *set;
	const struct cpuset *widest_set;
	size_t nsets;
	size_t may_add; /* pins that the next step of a plan may add */
};

/* How good a placement is: what it leaves, and what it costs. */
struct place_score {
	double peak;      /* peak load: relative, of the bins that hold a vCPU */
	double imbalance; /* points: deviation from the level that an ideal placement has, as a
			   * share of that level where it is above a pCPU's worth */
	double squares;   /* CPUs squared: sum of the squared relative loads */
	size_t moves;     /* vCPUs placed elsewhere than they are */
	double moved;     /* CPUs squared: sum of their squared demands */
	double uneven; /* CPUs squared: what evening out the threads of each core takes off ... */
	double threads; /* ... and its part of the imbalance's square, not in points */
};

/*
 * Set up planning for n vCPUs whose demand is known, from where they are.  Those whose why is
 * VCPU_GOING or VCPU_MUST must be given a bin; of the others, those in a bin may be moved if it
 * is VCPU_FREE; unpinned ones stay so and count as load spread evenly.  Works out lower_bound
 * and level.
 */
void place_begin(const struct cpu_tunables *tune, struct place *pl, const struct bin *bin,
		 size_t nbins, const struct vcpu *vcpu, size_t n, void *work);
size_t place_work_size(size_t n, size_t nbins);

/* May something limited to this set (NULL: not at all) run on bin b? */
static inline bool place_usable(const struct place *pl, const struct place_set *set, size_t b)
{
	if (pl->bin[b].now.capacity <= 0 || !set)
		return pl->bin[b].now.capacity > 0;
	return (set->nodes == NODE_ANY || set->nodes >> pl->bin[b].now.node & 1) &&
	       (!set->allowed || cpuset_has(set->allowed, (unsigned)b));
}

/*
 * CPUs that cores do which have cores CPUs for one busy thread each, capacity for all threads.
 * Hyperthreads share a core: two that are busy do together what 1.3 would do alone (Marr et
 * al., Hyper-Threading technology architecture and microarchitecture, 2002: 1.16 to 1.28 on
 * servers; Linux long counted on 1.15).
 */
double place_room(const struct cpu_tunables *tune, double cores, double capacity);

/* What a vCPU that wants so much takes of bin b: it runs on one pCPU at a time. */
static inline double place_weight(const struct place *pl, double demand, size_t b)
{
	double most = bin_speed(&pl->bin[b]);

	return pl->bin[b].now.pcpus == 0 || demand < most ? demand : most;
}

/* How full bin b is by pl->load: by its own load, or by that of its core, if that is more. */
double place_full(const struct place *pl, size_t b);

/*
 * By how much bin b has more, by pl->load, than an even share of its core and than the largest
 * of its vCPUs, as place_now() or a plan has them.  Two busy threads are of equal speed, so
 * this much of its load waits while the other thread has less to do.
 */
double place_uneven(const struct place *pl, size_t b);

/* The placement as it is. */
struct place_score place_now(struct place *pl);

/*
 * Plan toward a fullest bin of at most aim * lower_bound and an imbalance of at most stop_points,
 * with few moves, at most max_moves of them beyond the mandatory.  at[i], for each vCPU, is its
 * bin then, or BIN_UNPINNED.  Neither peak nor squares is worse than now, mandatory moves
 * apart.  O(n log n), deterministic.
 */
struct place_score place_plan(struct place *pl, double aim, double stop_points,
			      size_t max_moves, int *at);

/* Set lower_bound, and level of every bin: see struct place. */
void lower_bound_find(struct place *pl);

/*
 * K(T): the fewest moves that bring every bin to at most T, counted by evicting largest
 * first; vCPUs that must be given a bin count one each (Aggarwal, Motwani and Zhu, The load
 * rebalancing problem, 2003).
 */
size_t fewest_moves(const struct place *pl, double target);

/* For qsort: largest first; equal ones by their index. */
int place_by_load(const void *a, const void *b);

#endif
