/*
 * mem_sim.h - the memory policy over the simulated host, a tick per simulated second, with
 * every invariant checked after every tick.
 */
#ifndef MEM_SIM_H
#define MEM_SIM_H

#include "lib/units.h"
#include "policy/mem.h"
#include "policy/mem_observe.h"
#include "policy/sample.h"
#include "tests/fake/plant_mem.h"

#define MIB        ((uint64_t)KIB_PER_MIB)
#define SIM_GUESTS 1024

struct mem_sim;

/* What decides: vmbal's policy, or one of today's rules in its place. */
typedef void mem_rule(struct mem_sim *s, bool decide);

/* vmbal's own policy, every invariant checked after. */
mem_rule mem_sim_vmbal;

/* Makes a guest's sample lie, before it is observed. */
typedef void mem_lie(struct mem_sim *s, struct guest_count *g, size_t i);

struct mem_figures {
	unsigned deaths;   /* guests that ran dry below their maximum */
	unsigned helpless; /* ... whose balloon or stats were stuck: beyond help */
	unsigned commands, grows, shrinks;
	double moved_mib;
	double least_free_mib;      /* of any guest alive, driver at work, not at its maximum */
	double least_unused_mib;    /* the same of free pages alone */
	double least_available_mib; /* of the host */
	double breach_s;            /* seconds below the least the host needs */
	double starved_s;           /* guest-seconds under 100 MiB free */
	double dead_s;              /* guest-seconds after such a death */
	unsigned bursts;            /* times a guest fell under 100 MiB free */
	double idle_mib; /* sum over time: what guests hold beyond use + comfort, without ... */
	double caches_mib; /* ... the part of that which is page cache */
	double ticks;
};

/* What the judge remembers of a guest. */
struct mem_watch {
	int64_t command_ns; /* the last command */
	int64_t unmet_ns;   /* since when a shrink makes no progress */
	uint64_t unmet_kib; /* actual then */
	int64_t changed_ns; /* when last_update_s last changed */
	uint64_t shown_stamp;
	bool counted; /* among the dead */
	bool starving;
	bool helpless;        /* its balloon never moves, or it stops reporting */
	double starved_s;     /* seconds under 100 MiB free */
	double rescued_kib;   /* granted by rescues, and not touched yet */
	bool undelivered;     /* a tick ago: granted, but the balloon did not move */
	uint64_t offline_kib; /* in DIMMs that it never brought online: see mem_sim_offline() */
	uint64_t accepts_kib; /* a larger command is refused; 0: none is */
};

struct mem_sim {
	struct plant_mem *plant;
	struct guest_sample now; /* what the next sample will be of */
	struct mem_view view;
	uint64_t entered; /* guests that ever were */
	struct mem_state state;
	struct mem_conf conf;
	struct mem_report report;
	mem_rule *rule;  /* default: mem_sim_vmbal */
	mem_lie *lie;    /* NULL: nobody lies */
	bool odd;        /* guests may take memory that was not granted */
	bool dry;        /* commands are not carried out */
	bool blind;      /* host memory is not readable */
	double pressure; /* PSI as the host shows it; mem_sim_new: < 0, it does not */
	uint64_t merged_kib, slow_kib; /* as read; the plant has no KSM, nor ZFS */
	bool no_managed;               /* guests do not report MemTotal */
	bool trace;
	int64_t tick;
	struct mem_watch watch[SIM_GUESTS]; /* beside now.guest[], and view's after a tick */
	struct mem_figures figures;
	unsigned violations;
	char first[256]; /* the first violation, in words */
};

struct mem_sim *mem_sim_new(uint64_t total_mib, const struct plant_course *others,
			    double interval_s, uint64_t seed);
void mem_sim_free(struct mem_sim *s);

/* Adds a guest with a minimum of 100 MiB, unless the caller changes it in what is returned. */
struct guest_count *mem_sim_add(struct mem_sim *s, const struct plant_mem_guest *conf);

/* Guest i gets so much in a DIMM that it never brings online. */
void mem_sim_offline(struct mem_sim *s, size_t i, uint64_t kib);

/* The same for one that is switched on now; and one that is no longer there. */
struct guest_count *mem_sim_start(struct mem_sim *s, const struct plant_mem_guest *conf);
void mem_sim_remove(struct mem_sim *s, size_t i);

void mem_sim_tick(struct mem_sim *s);
void mem_sim_run(struct mem_sim *s, double seconds);

double mem_sim_now_s(const struct mem_sim *s);
struct plant_mem_truth mem_sim_truth(const struct mem_sim *s, size_t i);

/* TAP */
void ok(bool pass, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int done(void);

#endif
