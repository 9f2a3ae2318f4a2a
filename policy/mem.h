/*
 * mem.h - the memory policy: from guests and their host to balloon commands
 */
#ifndef POLICY_MEM_H
#define POLICY_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/mem_tunables.h"
#include "policy/sample.h"

/* What a reason lets become of a guest. */
enum mem_part {
	MEM_SETS,     /* its command is set */
	MEM_WAITS,    /* it gets none now ... */
	MEM_RELEASED, /* ... but what it was told to give and has not is taken back ... */
	MEM_MENDED,   /* ... or watched as ever */
};

/*
 * Why a guest got its command, or none, one for each guest and call of mem_decide(): code, what
 * becomes of the guest, and the word of the log, which the manual explains.  A reason more is a
 * row more.
 */
/* clang-format off */
#define MEM_REASONS(ROW) \
	ROW(MEM_NONE, MEM_WAITS, "none") \
	ROW(MEM_RESCUE, MEM_SETS, "rescue") /* grow: it would run dry before the next decision */ \
	ROW(MEM_BOOT, MEM_SETS, "boot") /* grow: it restarted while squeezed and must boot with room */ \
	ROW(MEM_GROW, MEM_SETS, "grow") /* grow to its share */ \
	ROW(MEM_IDLE, MEM_SETS, "idle") /* shrink: it has been holding idle memory */ \
	ROW(MEM_DONATE, MEM_SETS, "donate") /* shrink: others lack memory */ \
	ROW(MEM_EMERGENCY, MEM_SETS, "emergency") /* shrink now: others are about to run dry, or the host is */ \
	ROW(MEM_LEVEL, MEM_SETS, "level") /* to a share that has been flat for long */ \
	ROW(MEM_RESTORE, MEM_SETS, "restore") /* set back above actual: a shrink stalled, or would squeeze */ \
	ROW(MEM_CONTENT, MEM_WAITS, "content") /* it holds what it should */ \
	ROW(MEM_DUE, MEM_WAITS, "due") /* it grows at the next decision */ \
	ROW(MEM_SHORT, MEM_WAITS, "short") /* it should hold more, but there is no headroom */ \
	ROW(MEM_SETTLING, MEM_WAITS, "settling") /* the balloon is moving, or the sample is still moved by it */ \
	ROW(MEM_DEFERRED, MEM_WAITS, "deferred") /* a shrink is due, but it grew or stalled too recently */ \
	ROW(MEM_SWAPPING, MEM_WAITS, "swapping") /* a shrink is due, but it is swapping out */ \
	ROW(MEM_UNRESPONSIVE, MEM_WAITS, "unresponsive") /* its balloon stalled too often: no donor for now */ \
	ROW(MEM_UNPROVEN, MEM_WAITS, "unproven") /* a shrink is due, and could not show whether its pages come back */ \
	ROW(MEM_LOCKED, MEM_RELEASED, "locked") /* its pages are not given back: hugepages, VFIO, SEV, or as seen */ \
	ROW(MEM_NO_DRIVER, MEM_WAITS, "no-driver") /* its balloon has not moved and it has not reported */ \
	ROW(MEM_STALE, MEM_MENDED, "stale") /* its stats stopped coming */ \
	ROW(MEM_BOOTING, MEM_WAITS, "booting") /* it restarted and has not reported yet */ \
	ROW(MEM_PAUSED, MEM_WAITS, "paused") \
	ROW(MEM_BUSY, MEM_WAITS, "busy") \
	ROW(MEM_HUNG, MEM_WAITS, "hung") /* its QEMU does not answer */ \
	ROW(MEM_UNMANAGED, MEM_RELEASED, "unmanaged") \
	ROW(MEM_HOST_UNKNOWN, MEM_WAITS, "host-unknown") /* host memory was not readable: nothing is decided */
/* clang-format on */
#define MEM_REASON_CODE(code, ...) code,
enum mem_reason { MEM_REASONS(MEM_REASON_CODE) MEM_WHYS };

enum mem_part mem_part(enum mem_reason reason);

/* What policy/need.c remembers of a guest.  All zero: nothing yet. */
struct need_history {
	bool seen;          /* it has been sampled */
	bool ever_reported; /* its stats have changed at least once: it has a driver */
	bool follows;       /* its MemTotal follows the balloon, offset_kib under actual */
	bool swapping;      /* it swapped out between the last two samples */
	double offset_kib;
	int64_t boot_ns;   /* when it restarted; 0: it did not while we watched */
	bool booting;      /* it restarted lately, and no sample was believed since */
	bool silent;       /* nor has its balloon moved: nothing shows that its driver is back */
	int64_t change_ns; /* when last_update_s last changed since it booted; 0: not yet */
	int64_t sample_ns; /* when a sample was last believed since it booted; 0: not yet */
	int64_t moved_ns;  /* when its balloon last moved or was told to; 0: not yet */
	int64_t blind_ns;  /* since when it reports and no sample was believed */
	uint64_t last_update_s, boot_id, swap_out_kib, actual_kib; /* as last seen */
	double demand_kib;           /* D of the last sample believed */
	double peak_kib[PEAKS_KEPT]; /* largest D of each of the last seconds */
	int64_t peak_s;              /* the latest second in peak_kib, at its remainder */
	double working_kib;          /* W: follows D up at once and down slowly */
	double growth_kib_s;         /* KiB/s at the last sample */
	double swap_debt_kib;        /* what it swapped out lately, decaying */
	double step_kib, noise_kib;  /* the last change of D; how far it turns back at once */
};

/* What policy/ledger.c and policy/mem.c remember of a guest.  All zero: nothing yet. */
struct mem_history {
	bool has_driver;       /* its balloon has been seen to be of use, or it reported */
	bool keeps;            /* ballooned pages were seen to stay with the host */
	bool proven;           /* RSS followed the last shrink that could show it */
	unsigned kept;         /* shrinks in a row that RSS did not follow */
	uint64_t overhead_kib; /* most RSS seen beyond what it holds: the VMM's own */
	uint64_t target_kib;   /* the standing target, as far as we know; 0: not known yet */
	uint64_t offline_kib;  /* of its DIMMs, when its kernel last told of so much: */
	uint64_t managed_kib;  /* ... as MemTotal; 0: not yet */
	uint64_t dimm_kib;     /* ... and had DIMMs of so much */
	uint64_t accepted_kib; /* the largest growth that was carried out in this run */
	uint64_t refused_kib;  /* one that was refused, the largest lately; */
	uint64_t ceiling_kib;  /* ... none is larger now; 0: there is no such */
	int64_t ceiling_ns;    /* ... until then */
	int64_t command_ns;    /* our last command; 0: none yet */
	uint64_t rescued_kib;  /* granted by rescues, and not touched yet */
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
	uint64_t flat_kib;   /* its share has been about so much ... */
	int64_t flat_ns;     /* ... since then */
	uint64_t before_kib; /* what it needs; while it boots, what it needed before */
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

/* What was decided about a guest, and the figures that decided it. */
struct guest_plan {
	uint64_t command_kib; /* set the balloon to this; 0: leave it */
	enum mem_reason reason;
	uint64_t demand_kib;   /* D */
	uint64_t headroom_kib; /* actual - D: what it can use at once */
	double growth_kib_s;   /* KiB/s by which D is growing, never negative */
	uint64_t floor_kib;    /* never shrunk below this */
	uint64_t peak_kib;     /* the largest D lately: what the floor is above */
	uint64_t survive_kib;  /* outlasts a decision's delay */
	uint64_t need_kib;     /* outlasts an interval */
	uint64_t comfort_kib;  /* need and some, when the host is well */
	uint64_t share_kib;    /* what sharing the host gives it */
	uint64_t tier_kib[MEM_TIERS], dealt_kib; /* between mem.c and share_deal() */
	uint64_t claim_kib; /* host memory it may touch without asking again */
};

/*
 * A guest's memory.  Identity and figures are new for each call of mem_decide(); the rest is
 * carried from call to call; for a guest not seen before it is zero.
 */
struct guest {
	unsigned char uuid[UUID_LEN];
	const char *name;
	struct guest_figures now;
	struct need_history need;
	struct mem_history mem;
	struct guest_plan plan;
};

/* Has its balloon come down to so much, as nearly as balloons do? */
static inline bool guest_has_met(const struct mem_tunables *tune, const struct guest *g,
				 uint64_t target_kib)
{
	return (double)g->now.actual_kib <= (double)target_kib + tune->unmet_kib;
}

/* What it may hold at most: by its size, by what its owner wants, by what was refused. */
static inline double guest_limit(const struct guest *g)
{
	uint64_t most = g->now.max_kib;

	if (g->now.policy.max_kib && g->now.policy.max_kib < most)
		most = g->now.policy.max_kib;
	if (g->mem.ceiling_kib && g->mem.ceiling_kib < most)
		most = g->mem.ceiling_kib;
	return (double)most;
}

/* How the host is: its name in a log line, and in words. */
/* clang-format off */
#define MEM_HOST_STATES(ROW) \
	ROW(HOST_OK, "ok", "host ok") /* reclaims clear idleness, slowly */ \
	ROW(HOST_SOFT, "soft", "host short of memory (soft)") /* everyone toward need */ \
	ROW(HOST_HARD, "hard", "host short of memory (hard)") /* no growth but rescue; donors to their floor */ \
	ROW(HOST_CRITICAL, "critical", "host out of memory (critical)") /* hard, and the operator must know */
/* clang-format on */
#define MEM_HOST_STATE_CODE(code, name, words) code,
enum mem_host_state { MEM_HOST_STATES(MEM_HOST_STATE_CODE) HOST_STATES };

struct mem_conf {
	struct mem_tunables tune;
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
	uint64_t at_once_kib;    /* the part of it that need not be taken from ZFS first */
	uint64_t reserve_kib;    /* kept for the host itself */
	uint64_t least_kib;      /* what even a rescue leaves of it */
	uint64_t commitment_kib; /* what guests may touch and have not */
	uint64_t booting_kib;    /* the part of it due to guests that are just booting */
	int64_t headroom_kib;    /* available - reserve - commitment */
	uint64_t rescued_kib;    /* the part of it due to rescues */
	uint64_t borrowed_kib; /* what rescues were granted now of what is promised to others */
	uint64_t shortfall_kib;        /* what guests need and cannot get */
	uint64_t held_kib, demand_kib; /* sums over the guests */
	unsigned grows, shrinks;       /* commands set */
};

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
void mem_applied(const struct mem_tunables *tune, struct guest *g, int64_t now_ns);

/*
 * Notes that g's command failed: leaves g alone for a while, then longer.  A growth may have been
 * too large: smaller ones may be tried at once.
 */
void mem_refused(const struct mem_conf *conf, struct guest *g, int64_t now_ns);

/* Has it been told to shrink, and not come down yet? */
bool mem_is_unmet(const struct mem_tunables *tune, const struct guest *g);

/* What it shrinks to, or is about to; 0: nothing. */
uint64_t mem_shrinks_to(const struct mem_tunables *tune, const struct guest *g);

/* Another run of this program told it to shrink to so much. */
void mem_adopt(struct guest *g, uint64_t target_kib);

/* Before nobody watches it any more: its command is to keep what it holds, if it shrinks. */
bool mem_take_back(const struct mem_tunables *tune, struct guest *g);

const char *mem_reason_name(enum mem_reason reason);         /* such as "rescue" */
const char *mem_host_state_name(enum mem_host_state state);  /* such as "soft" */
const char *mem_host_state_words(enum mem_host_state state); /* for a status line */

#endif
