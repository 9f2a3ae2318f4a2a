/*
 * vmbal.h - the one header: what each file offers, in the order in which the data flows.
 *
 *	host/virt_sample.c, host/proc.c	sample
 *	policy/demand.c, policy/need.c	demand
 *	policy/node.c, policy/place.c, policy/share.c	plan
 *	policy/cpu.c, policy/mem.c	gates
 *	host/virt_act.c			act
 *	host/log.c			report
 *
 * Units: _ns nanoseconds on CLOCK_MONOTONIC, _kib KiB, _s seconds.  Loads and demands are
 * doubles in CPUs: 1.0 is the whole time of one pCPU.  A point is 0.01 CPU.
 *
 * Functions return 0 on success and -1 on failure unless they say otherwise, and leave
 * output parameters untouched on failure.
 */
#ifndef VMBAL_H
#define VMBAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define UUID_LEN       16
#define GUEST_NAME_LEN 64   /* bytes with the NUL: a longer name is cut, for logs only */
#define PCPU_MAX       4096 /* pCPUs are numbered below this */

/* A set of pCPUs, or of bins. */
struct cpuset {
	uint64_t bits[PCPU_MAX / 64];
};

static inline bool cpuset_has(const struct cpuset *s, unsigned i)
{
	return s->bits[i / 64] >> (i % 64) & 1;
}

static inline void cpuset_add(struct cpuset *s, unsigned i)
{
	s->bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline bool cpuset_equal(const struct cpuset *a, const struct cpuset *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

/* What a bin is: the pCPUs inside which the kernel is left to choose. */
enum grain {
	GRAIN_CPU,
	GRAIN_CORE,
	GRAIN_CACHE,
	GRAIN_NODE,
};

/* What the command line asked for. */
struct options {
	const char *uri;           /* libvirt's connection URI */
	const char *guests;        /* a shell pattern for names of guests to manage */
	const struct cpuset *cpus; /* pCPUs for guests; NULL: all that are not isolated */
	enum grain grain;
	uint64_t host_memory_kib;  /* treat the host as if it had this much; 0: what it has */
	uint64_t host_reserve_kib; /* kept for the host; 0: by its size */
	double overcommit;         /* guests may be promised this many times what there is */
	bool surplus_to_guests;    /* memory nobody needs is the guests', not the host's */
	const char *runtime_dir;   /* for state and locks; NULL: there is none */
	const char *metrics;       /* write figures for Prometheus to this file; NULL: do not */
	double cpu_interval_s;     /* 0: the loop does not run */
	double mem_interval_s;     /* 0: the loop does not run */
	bool dry_run;              /* decide and explain, change nothing */
	bool once;                 /* end after one decision */
	bool restore;              /* put masks back when ending */
};

/* ---- policy: CPU ----------------------------------------------------------------- */

#define BIN_FLOATS (-1) /* the live mask spans several bins: the kernel chooses */
#define BIN_ASTRAY (-2) /* the live mask reaches no bin at all (offline, excluded pCPUs) */

/*
 * A bin: a disjoint set of pCPUs inside which the kernel schedules freely.  A bin keeps its
 * index as long as the program runs; one whose pCPUs are all offline has capacity 0.
 */
struct bin {
	double capacity; /* CPUs: the number of its pCPUs that are online and ours to use */
	double busy;     /* CPUs measured busy in the last interval, by anybody; < 0: unknown */
	int core;        /* equal numbers share a core, a cache, a NUMA node; < 0: unknown */
	int cache;
	int node;

	double other;   /* history: CPUs used by what is no managed vCPU, smoothed */
	bool known;     /* history: other has been seen at least once */
	double load;    /* out: CPUs asked for here now, other load included */
	double planned; /* out: the same once every target is reached */
};

/* What a vCPU's samples told so far.  All zero: nothing. */
struct demand {
	double mean;     /* CPUs it would use if nobody was in its way, smoothed */
	double var;      /* variance of one sample around the mean */
	unsigned seen;   /* samples taken in */
	unsigned steps;  /* successive samples far from the mean, on one side */
	int side;        /* of the last far sample: -1 below, +1 above */
	double log_run;  /* recent mean of log run, of weight samples */
	double log_wait; /* recent mean of log (1 - wait) */
	double weight;
	double sum_rr, sum_rw, sum_ww; /* squares and products of deviations from these */
};

/* What the gates remember of a vCPU. */
struct moved {
	bool known;       /* last is of this vCPU: false before its first interval */
	int last;         /* its bin in the interval before */
	int asked;        /* the bin we last asked for; meaningful when waiting */
	bool waiting;     /* asked, and not yet seen there */
	unsigned foreign; /* times somebody else moved it, forgotten slowly */
};

/* Why a vCPU is told to stay or to go, for logs and --dry-run. */
enum vcpu_why {
	VCPU_STAYS,    /* its bin suits it, or nothing is being done */
	VCPU_EVEN_OUT, /* goes to even out the load */
	VCPU_SETTLE,   /* floated: gets a bin, since the plan counts on where it runs */
	VCPU_NODE,     /* goes to the NUMA node of the rest of its guest */
	VCPU_FENCE,    /* was where it may not be */
	VCPU_STUCK,    /* the caller says it cannot be moved now */
	VCPU_FOREIGN,  /* somebody else keeps moving it: left alone */
	VCPU_UNSEEN,   /* no sample yet: left alone */
	VCPU_WHYS,
};

/* A managed vCPU: identity, the last interval's sample, the policy's history, the result. */
struct vcpu {
	unsigned char uuid[UUID_LEN];
	unsigned number;
	const char *guest; /* its name, for logs */

	bool sampled; /* run and wait below are of this interval */
	bool stuck;   /* cannot be moved now: a job holds its domain */
	bool pinned;  /* since the last decision its target was set, whatever bin says now */
	double run;   /* CPUs used, by real elapsed time */
	double wait;  /* time runnable but not running, per time; < 0: unknown */
	double quota; /* CPUs the domain's quota allows it; 0: no limit */
	const struct cpuset *allowed; /* bins it may run on, none of them of capacity 0 */
	int bin; /* where its live mask keeps it, or BIN_FLOATS, BIN_ASTRAY */

	struct demand seen; /* history */
	struct moved moved; /* history */
	int node;           /* from node.c: the only NUMA node for it; < 0: any will do */

	double demand;     /* out: CPUs it would use if nobody was in its way */
	int target;        /* out: the bin to pin it to; equal to bin: leave it alone */
	enum vcpu_why why; /* out */
	enum vcpu_why was; /* out: why in the interval before */
};

/* Why the host as a whole is acted on or not.  The order is that of the gates. */
enum cpu_why {
	CPU_NOTHING,    /* no vCPU, or no bin */
	CPU_BALANCED,   /* spread and fullest bin within bounds */
	CPU_HYSTERESIS, /* between the thresholds to stop and to start */
	CPU_PERSIST,    /* over the threshold for the first interval: wait for a second one */
	CPU_BOUND,      /* no placement can be better by enough to matter */
	CPU_NOISE,      /* the plan's gain is within the samples' own noise */
	CPU_COSTLY,     /* the plan's gain does not pay for its pins */
	CPU_BACKOFF,    /* recent passes changed little: waiting longer */
	CPU_FORCED,     /* only what must leave a forbidden bin moves */
	CPU_ACTING,     /* the plan is carried out */
	CPU_WHYS,
};

struct cpu_limits {
	double start_points; /* spread that starts an action */
	double stop_points;  /* spread an action aims at */
	double aim;          /* fullest bin an action aims at, over the lower bound */
	double severe; /* over the lower bound: a full bin that is fuller needs no waiting */
};
extern const struct cpu_limits cpu_limits_default;

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
	bool churned;     /* a managed domain came or went: busy says nothing of other load */

	unsigned skewed;  /* successive intervals with one NUMA node fuller than another */
	unsigned over;    /* successive intervals with the spread over the threshold */
	unsigned lasting; /* successive intervals with the fullest bin a little too full */
	bool active;      /* started, and not yet down to the threshold to stop */
	unsigned passes;  /* passes of pins in the current back-off period */
	unsigned quiet;   /* intervals since the last pass */
};

/* One interval's decision in numbers.  Loads are relative to capacity: 1.0 is a full bin. */
struct cpu_report {
	enum cpu_why why;
	double spread, spread_after;   /* standard deviation of the bins' loads, points */
	double fullest, fullest_after; /* load of the fullest bin */
	double bound;                  /* LB: no placement has a less full fullest bin */
	double noise;                  /* standard deviation of fullest */
	size_t fewest;                 /* K(T): no plan to aim * bound has fewer moves */
	size_t moves;                  /* vCPUs whose target is not their bin */
	unsigned wait;                 /* CPU_BACKOFF: intervals left to wait */
};

/* policy/demand.c */

/*
 * Take this interval's sample into v->seen and set v->demand.  idle: the idle share of the
 * vCPU's bin, or of the host where it floats (0..1).
 */
void demand_update(struct vcpu *v, double idle, double elapsed_s);

/* policy/node.c */

/*
 * Sets node of every vCPU, and why VCPU_NODE where one that stays would leave its bin for it.
 * A guest that fits into a node stays whole in one.  Call it when why is set.
 */
void node_plan(struct cpu_host *h, void *work);
size_t node_work_size(size_t n);

/* policy/place.c */

/* A vCPU, or a bin, by its load: a pair, so that qsort needs no context. */
struct place_rank {
	double d;
	uint32_t i;
};

/* Where vCPUs may run: the allowed bins of a NUMA node. */
struct place_set {
	const struct cpuset *allowed; /* NULL: any */
	int node;                     /* < 0: any */
};

/* A vCPU as the planner sees it. */
struct place_item {
	double d;      /* its demand */
	uint32_t set;  /* index of what it may use in place.set */
	uint32_t next; /* the next in its bin's list, UINT32_MAX at the end */
	int from;      /* its present bin, or negative */
	int home;      /* the same, where it may stay; BIN_ASTRAY: it must be placed */
	int at;        /* where the plan has it; BIN_FLOATS: no part of the plan */
	bool fixed;
};

/* A planning problem and its scratch memory, which place_begin lays out in work. */
struct place {
	const struct bin *bin;
	size_t nbins, n;
	double bound;        /* LB: no placement has a less full fullest bin (relative load) */
	double widest;       /* the largest capacity of a bin or core */
	double *other;       /* per bin: what cannot be moved, light floating vCPUs included */
	double *load;        /* per bin: of the plan being made */
	double *level;       /* per bin: its load if the demand of its node were a liquid */
	double *room;        /* per bin: capacity of its core as a whole */
	uint32_t *twin;      /* per bin: the next bin of its core, in a ring */
	double *block;       /* per some bins: how full their least full one is */
	double *sums, *size; /* per vCPU, for bounds */
	uint32_t *head;
	struct place_rank *order, *cand;
	struct place_item *item;
	struct place_set *set;
	const struct cpuset *widest_set;
	size_t nsets;
};

/* How good a placement is: what it leaves, and what it costs. */
struct place_score {
	double fullest; /* relative load of the fullest bin that holds a vCPU */
	double spread;  /* points: deviation from the level that an ideal placement has */
	double squares; /* CPUs squared: sum of the squared relative loads */
	size_t moves;   /* vCPUs placed elsewhere than they are */
	double moved;   /* CPUs squared: sum of their squared demands */
};

/*
 * Set up planning for n vCPUs whose demand is known, from where they are.  Those with why
 * VCPU_SETTLE, VCPU_NODE or VCPU_FENCE must be given a bin; of the others, those in a bin may
 * be moved if why is VCPU_STAYS; floating ones stay floating and count as load spread evenly.
 * Works out bound and level.
 */
void place_begin(struct place *pl, const struct bin *bin, size_t nbins, const struct vcpu *vcpu,
		 size_t n, void *work);
size_t place_work_size(size_t n, size_t nbins);

/* May something limited to this set (NULL: not at all) run on bin b? */
static inline bool place_usable(const struct place *pl, const struct place_set *set, size_t b)
{
	if (pl->bin[b].capacity <= 0 || !set)
		return pl->bin[b].capacity > 0;
	return (set->node < 0 || set->node == pl->bin[b].node) &&
	       (!set->allowed || cpuset_has(set->allowed, (unsigned)b));
}

/*
 * How full bin b is by pl->load: by its own load, or by that of its core, whichever is more.
 * Hyperthreads share a core: two that are busy do together what 1.3 would do alone (Marr et
 * al., Hyper-Threading technology architecture and microarchitecture, 2002: 1.16 to 1.28 on
 * servers; Linux long counted on 1.15).
 */
double place_full(const struct place *pl, size_t b);

/* The placement as it is. */
struct place_score place_now(struct place *pl);

/*
 * Plan toward a fullest bin of at most aim * bound and a spread of at most stop_points, with
 * few moves, at most max_moves of them beyond the mandatory.  at[i], for each vCPU, is its
 * bin then, or BIN_FLOATS.  Neither fullest nor squares is worse than now, mandatory moves
 * apart.  O(n log n), deterministic.
 */
struct place_score place_plan(struct place *pl, double aim, double stop_points,
			      size_t max_moves, int *at);

/* policy/bound.c */

/* Set bound, and level of every bin: see struct place. */
void bound_find(struct place *pl);

/*
 * K(T): the fewest moves that bring every bin to at most T, counted by evicting largest
 * first; vCPUs that must be given a bin count one each (Aggarwal, Motwani and Zhu, The load
 * rebalancing problem, 2003).
 */
size_t bound_fewest(const struct place *pl, double target);

/* For qsort: largest first; equal ones by their index. */
int place_by_load(const void *a, const void *b);

/* policy/cpu.c */

/*
 * Turn one interval's samples into targets.  A pin is wanted wherever target != bin
 * afterwards; targets lie in the allowed set.  Whether a pin was made is seen from bin in
 * the next interval: if it never is (dry run, failure), the same decision comes again.
 * work: cpu_work_size(n, nbins) bytes, aligned for doubles; holds nothing between calls.
 */
void cpu_decide(struct cpu_host *h, const struct cpu_limits *lim, void *work,
		struct cpu_report *out);
size_t cpu_work_size(size_t n, size_t nbins);
const char *cpu_why_name(enum cpu_why why);
const char *vcpu_why_name(enum vcpu_why why);

/* ---- policy: memory -------------------------------------------------------------- */

#define KIB_UNKNOWN UINT64_MAX /* a figure the guest or the host did not report */

enum guest_state {
	GUEST_RUNNING,
	GUEST_PAUSED,  /* not executing: neither stats nor balloon move */
	GUEST_BUSY,    /* migrating, being saved, or a job holds it: no commands */
	GUEST_FOREIGN, /* not ours to command (--guests), but its memory counts */
};

/* Why a guest got its command, or none: one code per guest and call of mem_decide(). */
enum mem_reason {
	MEM_NONE,
	/* a command is set */
	MEM_RESCUE,    /* grow: it would run dry before the next decision */
	MEM_BOOT,      /* grow: it restarted while squeezed and must boot with room */
	MEM_GROW,      /* grow to its share */
	MEM_IDLE,      /* shrink: it has been holding idle memory */
	MEM_DONATE,    /* shrink: others want more than is spare */
	MEM_EMERGENCY, /* shrink now: others are about to run dry, or the host is */
	MEM_RESTORE,   /* set back above actual: a shrink stalled, or would squeeze */
	/* no command is set */
	MEM_CONTENT,   /* it holds what it should */
	MEM_DUE,       /* it grows at the next decision */
	MEM_SHORT,     /* it should hold more, but nothing is spare */
	MEM_SETTLING,  /* the balloon is moving, or the sample is still moved by it */
	MEM_HELD,      /* a shrink is due, but it grew or stalled too recently */
	MEM_SWAPPING,  /* a shrink is due, but it is swapping out */
	MEM_STUBBORN,  /* its balloon stalled too often: no donor for now */
	MEM_LOCKED,    /* its pages are not given back: hugepages, VFIO, SEV, or as seen */
	MEM_NO_DRIVER, /* its balloon never moved and it never reported */
	MEM_STALE,     /* its stats stopped coming */
	MEM_BOOTING,   /* it restarted and has not reported yet */
	MEM_PAUSED,
	MEM_BUSY,
	MEM_FOREIGN,
	MEM_HOST_UNKNOWN, /* host memory was not readable: nothing is decided */
	MEM_REASONS
};

#define PEAK_SECONDS 5 /* a demand that is back within so many was there all the time */

/* What policy/need.c remembers of a guest.  All zero: nothing yet. */
struct need_history {
	bool seen;          /* it has been sampled */
	bool ever_reported; /* its stats have changed at least once: it has a driver */
	bool follows;       /* its MemTotal follows the balloon, offset_kib under actual */
	bool swapping;      /* it swapped out between the last two samples */
	double offset_kib;
	int64_t boot_ns;   /* when it restarted; 0: it did not while we watched */
	int64_t change_ns; /* when last_update_s last changed since it booted; 0: not yet */
	int64_t sample_ns; /* when a sample was last believed since it booted; 0: not yet */
	int64_t moved_ns;  /* when its balloon last moved or was told to; 0: not yet */
	int64_t blind_ns;  /* since when it reports and no sample was believed */
	uint64_t last_update_s, boot_id, swap_out_kib, actual_kib; /* as last seen */
	double demand_kib;             /* D of the last sample believed */
	double peak_kib[PEAK_SECONDS]; /* largest D of each of the last seconds */
	int64_t peak_s;                /* the latest second in peak_kib, at its remainder */
	double working_kib;            /* W: follows D up at once and down slowly */
	double velocity;               /* KiB/s at the last sample */
	double swap_debt_kib;          /* what it swapped out lately, decaying */
	double step_kib, noise_kib;    /* the last change of D; how far it turns back at once */
};

#define STALLS_KEPT 3 /* so many, each within an hour of the one before: uncooperative */

/* What policy/ledger.c and policy/mem.c remember of a guest.  All zero: nothing yet. */
struct mem_history {
	bool has_driver;       /* its balloon has been seen to be of use, or it reported */
	bool keeps;            /* ballooned pages were seen to stay with the host */
	unsigned kept;         /* shrinks in a row that RSS did not follow */
	uint64_t overhead_kib; /* most RSS seen beyond what it holds: the VMM's own */
	int64_t command_ns;    /* our last command; 0: none yet */
	int64_t grown_ns;      /* our last growth; 0: none yet */
	uint64_t from_kib, from_rss_kib; /* actual and RSS when the last shrink was sent */
	bool shrinking;                  /* that shrink is not done */
	int64_t progress_ns; /* the shrink got as far as progress_kib at that time */
	uint64_t progress_kib;
	bool stalled;        /* the shrink makes no progress */
	int64_t stall_ns;    /* when it stalled last */
	unsigned stalls;     /* how many times, each within an hour of the one before */
	int64_t blocked_ns;  /* no shrink before this */
	int64_t refused_ns;  /* no command before this */
	unsigned refusals;   /* in a row */
	uint64_t before_kib; /* what it needed before it restarted */
};

/* The tiers of sharing: each is filled for all before the next. */
enum mem_tier {
	TIER_BASE, /* given whatever the pool holds */
	TIER_DEMAND,
	TIER_SURVIVE,
	TIER_NEED,
	TIER_COMFORT, /* only half of what is left is dealt to it */
	TIER_SURPLUS,
	MEM_TIERS
};

/*
 * A guest's memory: identity, the last sample, the policy's own history, the result.
 * host/ fills the first two parts anew for each call of mem_decide() and carries the rest
 * from call to call; for a guest not seen before everything else is zero.
 */
struct guest {
	unsigned char uuid[UUID_LEN];
	const char *name;

	enum guest_state state;
	bool locked;    /* known not to give pages back: VFIO, SEV, mlock, hugepages */
	bool hugepages; /* its RAM is set aside already: it draws on no available memory */
	double weight;  /* of its gap beside others'; 0 counts as 1 */
	uint64_t max_kib, min_kib; /* the balloon's range; min <= max */
	uint64_t limit_kib;        /* no growth beyond this; 0: max_kib */
	uint64_t startup_kib;      /* what it needs to boot; 0: not told */
	uint64_t actual_kib;       /* what it has now */
	uint64_t usable_kib;       /* what it could use without swapping; or KIB_UNKNOWN */
	uint64_t unused_kib;       /* free, caches not counted; or KIB_UNKNOWN */
	uint64_t caches_kib;       /* disk caches; or KIB_UNKNOWN */
	uint64_t managed_kib;      /* RAM its kernel manages (MemTotal); or KIB_UNKNOWN */
	uint64_t swap_out_kib;     /* counter since boot; or KIB_UNKNOWN */
	uint64_t rss_kib;          /* host memory its QEMU process holds; 0: unknown */
	uint64_t last_update_s;    /* the stamp of its stats; compared only for change */
	uint64_t boot_id;          /* changes when it restarts or resets */

	struct need_history need;
	struct mem_history mem;
	uint64_t target_kib; /* the standing target, as far as we know; 0: not known yet */

	/* the result, and the figures that decided it */
	uint64_t command_kib;   /* out: set the balloon to this; 0: leave it */
	enum mem_reason reason; /* out */
	uint64_t demand_kib;    /* out: D */
	uint64_t free_kib;      /* out: actual - D: what it can use at once */
	double velocity;        /* out: KiB/s by which D is growing, never negative */
	uint64_t floor_kib;     /* out: never shrunk below this */
	uint64_t peak_kib;      /* out: the largest D lately: what the floor is above */
	uint64_t survive_kib;   /* out: outlasts a decision's delay */
	uint64_t wanted_kib;    /* out: need */
	uint64_t comfort_kib;   /* out: need and some, when the host is well */
	uint64_t share_kib;     /* out: what sharing the host gives it */
	uint64_t tier_kib[MEM_TIERS], dealt_kib; /* between mem.c and share_deal() */
	uint64_t claim_kib; /* out: host memory it may touch without asking again */
};

static inline double guest_limit(const struct guest *g)
{
	return (double)(g->limit_kib && g->limit_kib < g->max_kib ? g->limit_kib : g->max_kib);
}

struct mem_host {
	uint64_t total_kib;     /* 0: unknown: nothing may be decided */
	uint64_t available_kib; /* MemAvailable or its like; 0: unknown */
	double pressure;        /* PSI memory "some" avg10, percent; < 0: unknown */
};

enum mem_host_state {
	HOST_OK,       /* reclaims clear idleness, slowly */
	HOST_SOFT,     /* everyone toward need */
	HOST_HARD,     /* no growth but rescue; donors to their floor */
	HOST_CRITICAL, /* hard, and the operator must know */
};

struct mem_conf {
	double interval_s;    /* between decisions */
	uint64_t reserve_kib; /* the host's own; 0: by its size */
	double overcommit;    /* 1 or less: every guest may touch all it holds at once */
	bool surplus;         /* deal what is left over to the guests, not to the host */
};

/* What policy/ remembers of the host.  All zero: nothing yet. */
struct mem_state {
	enum mem_host_state host;
	int64_t calm_ns;    /* since when a better state would do; 0: it would not */
	int64_t decided_ns; /* the last decision; 0: none yet */
};

/* The host's side of a decision, for logs, status and metrics. */
struct mem_report {
	bool known; /* host memory was readable; if not, the rest is zero */
	enum mem_host_state state;
	uint64_t available_kib;
	uint64_t reserve_kib;     /* kept for the host itself */
	uint64_t least_kib;       /* what even a rescue leaves of it */
	uint64_t outstanding_kib; /* what guests may touch and have not */
	uint64_t booting_kib;     /* the part of it due to guests that are just booting */
	int64_t spare_kib;        /* available - reserve - outstanding */
	uint64_t shortfall_kib;   /* what guests need and cannot get */
	uint64_t held_kib, demand_kib, free_kib; /* sums over the guests */
	unsigned grows, shrinks;                 /* commands set */
};

/* policy/need.c: what one guest needs */

/* Takes in g's sample of time now_ns: demand, velocity, working set, swap debt. */
void need_observe(struct guest *g, int64_t now_ns);

/* Tells whether g reports, and its demand may be believed at now_ns. */
bool need_fresh(const struct guest *g, int64_t now_ns);

/* Sets g's demand, velocity, peak, floor, survive, wanted and comfort from its history. */
void need_levels(struct guest *g, double interval_s, int64_t now_ns);

/* A fixed term for a guest of ordinary size, scaled down for a small one. */
double need_scaled(const struct guest *g, double kib);

/* policy/share.c: who gets what */

/*
 * Deals pool_kib to g[0..n) into dealt_kib.  Each gets the base, then the gaps from tier_kib
 * to tier_kib are filled, each tier for all before the next; within a tier all get the same
 * fraction of their gap, by weight.  The sum dealt is at most pool_kib, unless the bases
 * alone are more.
 */
void share_deal(struct guest *g, size_t n, double pool_kib);

/* policy/ledger.c: what is promised, and what is left */

/* Learns from g's sample: driver, VMM's own memory, whether ballooned pages come back. */
void ledger_observe(struct guest *g, int64_t now_ns);

/* Tells whether g restarted and has not shown yet that its driver is back. */
bool ledger_booting(const struct guest *g);

/* What g holds: the larger of actual and its standing target. */
uint64_t ledger_held(const struct guest *g);

/* Memory the host keeps by its size: the reserve, and the least that even a rescue leaves. */
uint64_t ledger_reserve(const struct mem_host *host);
uint64_t ledger_least(const struct mem_host *host);

/* Sets claim_kib of each guest and the report's host figures; known false: nothing else. */
void ledger_sum(const struct mem_conf *conf, const struct mem_host *host, struct guest *g,
		size_t n, struct mem_report *report);

/* Moves the host's state by report and pressure: worse at once, better one level at a time. */
void ledger_state(struct mem_state *state, const struct mem_conf *conf,
		  const struct mem_host *host, int64_t now_ns, struct mem_report *report);

/* policy/mem.c: from samples to commands */

/*
 * One tick: call it each second with new samples in g[0..n), decide being true once per
 * interval.  Sets the results of every guest and *report.  A command that is not carried
 * out (--dry-run) leaves no trace: the next call decides on the sample alone.
 * The commands of one call may be carried out in any order.
 */
void mem_decide(struct mem_state *state, const struct mem_conf *conf,
		const struct mem_host *host, struct guest *g, size_t n, int64_t now_ns,
		bool decide, struct mem_report *report);

/* Notes that g's command was carried out: its target now stands. */
void mem_applied(struct guest *g, int64_t now_ns);

/* Notes that g's command failed or timed out: leaves g alone for a while, then longer. */
void mem_refused(struct guest *g, int64_t now_ns);

const char *mem_reason_name(enum mem_reason reason);        /* such as "rescue" */
const char *mem_host_state_name(enum mem_host_state state); /* such as "soft" */

/* ---- host: log.c, the only writer of stderr ---------------------------------------- */

/* As in sd-daemon(3). */
enum log_priority {
	LOG_PRIO_ERR = 3,
	LOG_PRIO_WARNING = 4,
	LOG_PRIO_NOTICE = 5,
	LOG_PRIO_INFO = 6,
	LOG_PRIO_DEBUG = 7,
};

/* Writes messages up to this priority from now on.  Call before any thread starts. */
void log_init(enum log_priority limit);

/*
 * Where stderr is a file, opens the one that has its first name now, or makes it: the old one
 * may have been moved away.  -1 and errno: it stays the old one.
 */
int log_reopen(void);

/*
 * Writes one line in one write.  Keeps errno.  Where stderr is a pipe that nobody empties the
 * line is dropped: no loop waits for its log.
 */
void log_msg(enum log_priority priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Logs "what: detail" when a condition becomes bad, and once more when it is over. */
void log_change(bool *is_bad, bool bad, const char *what, const char *detail);

/* ---- host: array.c ------------------------------------------------------------------- */

/*
 * Makes *array, which has room for *cap items of size bytes, hold want of them.  -1 and
 * unchanged without memory.
 */
int array_reserve(void *array, size_t *cap, size_t want, size_t size);

/* ---- host: notify.c ------------------------------------------------------------------ */

/*
 * Sends "KEY=value" lines to the service manager that $NOTIFY_SOCKET names, as sd_notify(3),
 * without waiting.  0 also where there is none; -1: not sent.
 */
int notify(const char *message);

/* How often the manager wants to hear WATCHDOG=1 from this process; 0: not at all. */
int64_t notify_watchdog_ns(void);

/* ---- host: cpuset.c ------------------------------------------------------------------ */

size_t cpuset_count(const struct cpuset *s);
int cpuset_first(const struct cpuset *s); /* -1: empty */
void cpuset_and(struct cpuset *s, const struct cpuset *other);

/* Reads "0-3,8".  -1 and unchanged for anything else, or a number of PCPU_MAX or more. */
int cpuset_parse(const char *list, struct cpuset *out);

/* Writes "0-3,8" into text, which it returns; cut with ",..." where len bytes do not do. */
const char *cpuset_text(const struct cpuset *s, char *text, size_t len);

/* ---- host: number.c ------------------------------------------------------------------ */

/* Reads a plain decimal such as 12 or 0.5: no sign, no exponent.  -1: not one in the range. */
int number_parse(const char *s, double min, double max, double *out);

/* Reads a size such as 512 (MiB), 512MiB, 2G.  -1: not one in the range. */
int size_parse(const char *s, uint64_t min_kib, uint64_t max_kib, uint64_t *out_kib);

/* ---- host: metadata.c ---------------------------------------------------------------- */

/* A guest's own policy, from its domain's metadata. */
struct guest_policy {
	uint64_t min_kib, max_kib, startup_kib; /* 0: not told */
	double weight;                          /* of its memory needs beside others' */
	bool cpu_off, mem_off;                  /* leave it alone */
};

/*
 * Reads the element of METADATA_URI.  -1: *out is unchanged, error says which part is wrong;
 * where error is empty it could not be read.
 */
#define METADATA_URI "urn:vmbal:policy:1"
int metadata_parse(const char *xml, struct guest_policy *out, char *error, size_t len);

/*
 * Reads from a domain's XML what its memory is: locked (mlock, VFIO, SEV: what its balloon
 * takes does not come back to the host), hugepages (set aside when the host booted).
 */
int memory_kind_parse(const char *xml, bool *locked, bool *hugepages);

/* ---- host: topology.c ---------------------------------------------------------------- */

/* For each pCPU a number that those of the same core, cache, node share; -1: unknown. */
struct topology {
	int core[PCPU_MAX], cache[PCPU_MAX], node[PCPU_MAX];
};

/* Reads libvirt's capabilities.  -1: these are none, or there is no memory. */
int topology_parse(const char *xml, struct topology *out);
bool topology_has_nodes(const struct topology *t); /* more than one */

/* ---- host: proc.c, what the local kernel tells --------------------------------------- */

/* A pCPU's counters since boot.  Both 0: it is not online. */
struct cpu_time {
	uint64_t busy_ns, idle_ns;
};

int64_t proc_now_ns(void); /* CLOCK_MONOTONIC */
int proc_cpu_times(struct cpu_time *cpu, size_t n);
int proc_memory(uint64_t *total_kib, uint64_t *available_kib);
int proc_memory_pressure(double *some_avg10_percent);
int proc_isolated(struct cpuset *out);
#define BOOT_ID_LEN 37       /* bytes with the NUL */
int proc_boot_id(char *out); /* of the kernel's run, a UUID */

/* ---- host: runtime.c, the runtime directory -------------------------------------------- */

#define RUNTIME_PATH_LEN 4096 /* bytes with the NUL */

/*
 * Finds or makes it: $RUNTIME_DIRECTORY, else /run/vmbal for root, else
 * $XDG_RUNTIME_DIR/vmbal.  -1: error says why there is none that can be used.
 */
int runtime_dir(char *path, size_t len, char *error, size_t error_len);

/* The path of the file for this connection.  -1 and ENAMETOOLONG: the URI is too long. */
int runtime_path(const char *dir, const char *uri, const char *suffix, char *path, size_t len);

/*
 * Replaces a file as a whole by what print(f, arg) writes; it is the directory's owner's.  -1
 * and errno: the old one stays.
 */
int runtime_replace(const char *path, void (*print)(FILE *, const void *), const void *arg);

/*
 * Reads a file of ours, of root or of the directory's owner; the caller frees *text.  NULL, or
 * why it cannot be read or trusted.
 */
const char *runtime_read(const char *path, size_t max, char **text, size_t *len);

/*
 * Locks a byte of a file until the process ends, however it ends.  1: *holder has it (0: a
 * process of another PID namespace).
 */
int runtime_lock(const char *path, unsigned byte, pid_t *holder);

/* Warns of programs on this host that do the same work. */
void runtime_warn_rivals(void);

/* ---- host: state.c, what must outlive a crash ------------------------------------------ */

/* A vCPU that was pinned, or a guest that is shrinking. */
struct mark {
	unsigned char uuid[UUID_LEN];
	unsigned run; /* libvirt's id of the guest's run */
	unsigned vcpu;
	uint64_t target_kib;    /* what it shrinks to; 0: this is of a pin */
	struct cpuset found;    /* before the first pin; every bit: it floated */
	struct cpuset asked[2]; /* last asked for, and before that: a crash may leave either */
};

void uuid_print(FILE *f, const unsigned char *uuid); /* 8-4-4-4-12 digits */

struct marks {
	struct mark *mark; /* by UUID, then vCPU */
	size_t n, cap;
};

struct state {
	struct marks marks;
	const char *uri;
	char boot[BOOT_ID_LEN];
	char path[RUNTIME_PATH_LEN]; /* empty: kept in memory only */
	bool readonly;
	bool changed; /* since it was saved */
	bool unsaved; /* said so in the log */
	bool refused; /* a file was there and is not trusted */
};

/*
 * Reads a state file's text; *out is the caller's to free.  That of another boot of the host
 * is valid and void.  -1: *error says what is wrong.
 */
int state_parse(const char *text, size_t len, const char *uri, const char *boot,
		struct marks *out, const char **error);

/* Takes over what the last run left; a file that cannot be trusted is set aside. */
void state_open(struct state *s, const struct options *opt, const char *kind);
void state_close(struct state *s);

/*
 * Replaces the file if there is news; removes it when nothing is kept.  -1, logged once: it is
 * as it was.
 */
int state_save(struct state *s);

/*
 * Notes that a vCPU which now has the mask live is about to be asked to take asked; found
 * counts when it is the first such.  -1: no memory.
 */
int state_pin(struct state *s, const unsigned char *uuid, unsigned run, unsigned vcpu,
	      const struct cpuset *found, const struct cpuset *live,
	      const struct cpuset *asked);

/* Notes a shrink under way.  -1: no memory. */
int state_shrink(struct state *s, const unsigned char *uuid, unsigned run, uint64_t target_kib);

/* Forgets what keep() says no to. */
void state_filter(struct state *s, bool (*keep)(const struct mark *, void *), void *arg);

/* ---- host: virt*.c, the only files that know libvirt --------------------------------- */

/*
 * One connection, shared by all threads, and what was learnt about the guests on it.  Each
 * function takes its lock for as long as it runs, so at most one thread is ever inside
 * libvirt: when keepalive declares a connection dead, libvirt 9.0 wakes just one caller.
 */
struct virt;

/* One vCPU's counters, as sampled. */
struct vcpu_count {
	unsigned char uuid[UUID_LEN];
	unsigned number;
	unsigned run;     /* libvirt's id of this run of the guest */
	unsigned name;    /* index into vcpu_sample's names */
	uint64_t boot_id; /* changes when the guest restarts: its counters begin anew */
	uint64_t run_ns;
	uint64_t wait_ns;     /* waited for a pCPU; UINT64_MAX: this libvirt does not tell */
	unsigned mask, fence; /* indices into vcpu_sample's sets */
	double quota;         /* CPUs its domain's quota leaves it; 0: no limit */
	bool blocked;         /* its domain refused a pin lately: leave it where it is */
};

/* Everything one tick of the CPU loop reads.  All zero before the first call. */
struct vcpu_sample {
	int64_t taken_ns;
	unsigned epoch; /* changes with each new connection */
	struct cpuset online;
	struct cpuset isolated; /* the kernel schedules nothing there by itself */
	struct topology topology;
	unsigned npcpus;         /* the highest online pCPU, plus one */
	struct cpu_time *pcpu;   /* npcpus of them */
	struct vcpu_count *vcpu; /* managed ones, by UUID, then number */
	size_t n;
	char (*name)[GUEST_NAME_LEN];
	struct cpuset *set; /* distinct masks and fences */
	size_t nsets;
	size_t pcpu_cap, vcpu_cap, name_cap, set_cap; /* allocated, virt_sample.c's own */
};

/* Everything one tick of the memory loop reads.  All zero before the first call. */
struct guest_sample {
	int64_t taken_ns;
	unsigned epoch;       /* changes with each new connection */
	struct mem_host host; /* total and available 0 where they could not be read */
	struct guest *guest;  /* by UUID; identity and sample filled, the rest zero */
	size_t n;
	char (*name)[GUEST_NAME_LEN];
	size_t guest_cap, name_cap; /* allocated, virt_sample.c's own */
};

enum virt_result {
	VIRT_DONE,
	VIRT_GONE,   /* the guest is not there any more: nobody's fault */
	VIRT_BUSY,   /* a job holds the guest; it is left alone for a while */
	VIRT_FAILED, /* logged */
	VIRT_LOST,   /* the connection is dead, or there is none: logged */
};

/* Starts libvirt's event thread; does not connect yet.  NULL: no memory or no thread. */
struct virt *virt_new(const struct options *opt);

/* Closes the connection, returning the number of references it still had: 0 if all is well. */
int virt_free(struct virt *virt);

/* Take a sample, connecting first where needed.  -1: no sample to be had; logged once. */
int virt_vcpus(struct virt *virt, struct vcpu_sample *sample);
int virt_guests(struct virt *virt, struct guest_sample *sample);
void virt_vcpus_free(struct vcpu_sample *sample);
void virt_guests_free(struct guest_sample *sample);

/*
 * Change a running guest, never its persistent definition.  run: only this one of its runs.
 * fenced: only inside what the definition allows; what was there before may be put back
 * anywhere.
 */
enum virt_result virt_pin(struct virt *virt, const unsigned char *uuid, unsigned run,
			  unsigned vcpu, const struct cpuset *mask, bool fenced);
enum virt_result virt_set_memory(struct virt *virt, const unsigned char *uuid, uint64_t kib);

/* Libvirt's id of a guest's present run, by the last sample; 0: it does not run. */
unsigned virt_run(struct virt *virt, const unsigned char *uuid);

/* A vCPU as it is now, and the pCPUs online in the last sample. */
struct vcpu_live {
	char guest[GUEST_NAME_LEN];
	struct cpuset mask, online;
};
enum virt_result virt_vcpu(struct virt *virt, const unsigned char *uuid, unsigned vcpu,
			   struct vcpu_live *out);

/* Asks anew, at the next sample, for all that is kept about guests.  Never waits. */
void virt_refresh(struct virt *virt);

/* ---- host: metrics.c ----------------------------------------------------------------- */

/*
 * Replace a loop's figures in the file.  pins, moves: how many were made since the start.  A
 * failure is logged once.
 */
void metrics_cpu(const char *path, const struct cpu_host *h, const struct cpu_report *r,
		 uint64_t pins);
void metrics_mem(const char *path, const struct guest *g, size_t n, const struct mem_report *r,
		 uint64_t moves);

/* Removes the file, since its figures are not true any more. */
void metrics_end(const char *path);

/* ---- host: restore.c ----------------------------------------------------------------- */

/*
 * Puts the vCPUs of s back on the masks they were found with, as far as pCPUs are online.  One
 * that somebody else has pinned since is left.  Takes a sample of vCPUs before.  Returns how
 * many could not be put back by deadline_ns; these stay in s.
 */
int state_restore(struct state *s, struct virt *virt, int64_t deadline_ns);

/* ---- host: cpuloop.c, memloop.c: one tick of each loop ------------------------------- */

#define ACT_NS 10000000000LL /* of a tick, for commands: a daemon that is slow is not stuck */

struct cpu_loop;
struct mem_loop;

struct cpu_loop *cpu_loop_new(struct virt *virt, const struct options *opt);
void cpu_loop_free(struct cpu_loop *loop);

struct mem_loop *mem_loop_new(struct virt *virt, const struct options *opt);
void mem_loop_free(struct mem_loop *loop);

/*
 * One tick: sample, demand, plan, gates, act, report.  Returns 1 when a decision was made,
 * 0 when more samples are needed for one, -1 when nothing could be sampled.
 */
int cpu_loop_tick(struct cpu_loop *loop);
int mem_loop_tick(struct mem_loop *loop);

/* Log what the loop last saw and decided, at notice. */
void cpu_loop_report(const struct cpu_loop *loop);
void mem_loop_report(const struct mem_loop *loop);

/* The same in a few words, which are constant strings. */
const char *cpu_loop_status(const struct cpu_loop *loop);
const char *mem_loop_status(const struct mem_loop *loop);

/*
 * Puts back masks that are still ours, before deadline_ns; one that others changed is left.
 * Returns how many could not be put back and are kept in the state file; -1: unknown.
 */
int cpu_loop_restore(struct cpu_loop *loop, int64_t deadline_ns);

/*
 * Takes back shrinks that have not been met: call it before the loop goes.  Returns how many
 * could not be and stay in the state file.
 */
int mem_loop_settle(struct mem_loop *loop);

/* Takes back shrinks that a crash left.  Returns how many could not be; -1: unknown. */
int mem_loop_restore(struct mem_loop *loop);

/* How many ticks, evenly spaced, the memory loop wants in each of its intervals. */
unsigned mem_loop_watches(double interval_s);

#endif
