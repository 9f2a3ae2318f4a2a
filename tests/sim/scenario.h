/*
 * scenario.h - a simulated host, what happens to it, and what is expected of vmbal, in text.
 *
 * A line is a statement; # begins a comment.  A LIST is pCPUs such as 0-2,7.  A LOAD is a
 * demand in CPUs, A..B for vCPUs from A to B, or A,B for those that change each interval.
 *
 *	pcpus N [threads] [nodes N]	pCPU i and i + N/2 are threads of a core
 *	seeds N				run it with seeds 1 to N
 *	sticky P			the kernel leaves unpinned vCPUs where they wake
 *	no-delay			libvirt does not tell how long vCPUs wait
 *	dry N				the first N intervals are a dry run
 *	place-unpinned			as vcpu_scheduler does
 *	ticks				guests' timers wake them once more in each pause
 *	speed LIST P [told]		these pCPUs are so fast; told: and vmbal knows it
 *	[at N] guests NAME N load LOAD [vcpus N] [on LIST] [allowed LIST]
 *		[memory LIST] [cells N]	NUMA nodes; vCPUs of cell i are near the i-th
 *		[interleaved LIST]	instead of memory: alike in all of these nodes
 *	[at N] tasks NAME N load LOAD [on LIST]
 *					programs of the host
 *	at N EVENT			before interval N, counted from 1
 *	expect FIGURE = | <= | >= VALUE in N[-N]
 *
 * The events and figures are in scenario.c's tables.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "lib/cpuset.h"

#define SCENARIO_GROUPS  32
#define SCENARIO_EVENTS  64
#define SCENARIO_EXPECTS 32
#define SCENARIO_VCPUS   1024
#define SCENARIO_LOADS   2
#define SCENARIO_NAME    16 /* bytes with the NUL */

enum scenario_verb { SET_LOAD, SET_ALLOWED, END, BUSY, READY, TUG, IRQ, OFFLINE, ONLINE };

/* Those up to IMBALANCE are of the range of intervals as a whole, the others of each in it. */
enum scenario_figure {
	PINS,
	PINS_OF,
	PASSES,
	USE_IMBALANCE,
	IMBALANCE,
	PINS_EACH,
	TWICE,
	RETURNS,
	PEAK,
	VCPUS,
	LOAD,
	MOST,
	MOST_IN_CORE,
	MOST_IN_NODE,
	SHARING,
	SPLIT,
	CROSSED,
	DISTANT
};

struct scenario_load {
	double demand[SCENARIO_LOADS];
	char kind; /* 0: one demand; '.': a range; ',': in turn */
};

/* Guests that are alike, or programs of the host. */
struct scenario_group {
	char name[SCENARIO_NAME];
	bool tasks;
	unsigned at, count, vcpus;
	struct scenario_load load;
	unsigned cells;
	struct cpuset on, allowed;         /* empty: unpinned; no allowed pCPUs */
	struct cpuset memory, interleaved; /* nodes; empty: unknown */
};

struct scenario_what {
	size_t group; /* SCENARIO_GROUPS: all */
	struct cpuset cpus;
	struct scenario_load load;
};

struct scenario_event {
	unsigned at;
	enum scenario_verb verb;
	struct scenario_what what;
};

struct scenario_expect {
	enum scenario_figure figure;
	struct scenario_what what;
	char op; /* first character */
	double value;
	unsigned first, last, line;
};

struct scenario {
	unsigned pcpus, nodes, seeds, dry;
	bool threads, no_delay, place_unpinned, ticks;
	struct cpuset slow;
	double speed;  /* of the slow ones */
	bool told;     /* which vmbal knows */
	double sticky; /* < 0: as the plant has it */
	struct scenario_group group[SCENARIO_GROUPS];
	struct scenario_event event[SCENARIO_EVENTS];
	struct scenario_expect expect[SCENARIO_EXPECTS];
	size_t groups, events, expects;
	unsigned vcpus; /* of all guests */
	unsigned last;  /* interval */
};

/* text is changed.  On failure error says the line, what is wrong and what is valid. */
int scenario_parse(char *text, struct scenario *sc, char *error, size_t len);

#endif
