/*
 * mem_tunables.h - every threshold and weight of the memory policy: one row each
 *
 * To change a default, change it here and in the manual's table, whose rows are these.  FIXED
 * becomes OPTION for a row that the command line is to offer.
 */
#ifndef POLICY_MEM_TUNABLES_H
#define POLICY_MEM_TUNABLES_H

#include <stddef.h>

#include "lib/tunable.h"
#include "lib/units.h"

#define HOST_LEAST_KIB (200 * KIB_PER_MIB) /* with less any Linux host is in trouble */
#define RESERVE_KIB    (256 * KIB_PER_MIB) /* less than this is no host */

#define PEAKS_KEPT 10 /* seconds: what is remembered of demand; no peak can be longer */

/* ROW(type, name, default, unit, least, most, option, meaning) */
/* clang-format off */
#define MEM_TUNABLES(ROW) \
	/* mem_observe.c */ \
	ROW(double, min_kib, 200 * KIB_PER_MIB, KIB, 1, KIB_PER_GIB, FIXED, "of a guest whose owner names no min, or all of a smaller one: few Linux guests live on less, whatever they report") \
	ROW(double, kernel_kib, 88 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "of a guest's memory its kernel keeps out of MemTotal ...") \
	ROW(double, kernel_part, 0.016, SHARE, 0, 1, FIXED, "... and so much of its maximum: what is missing beyond, of a guest with DIMMs, it has not brought online ...") \
	ROW(double, block_kib, 128 * KIB_PER_MIB, KIB, 1, KIB_PER_GIB, FIXED, "... in blocks of this size, as Linux does ...") \
	ROW(double, block_other, 0.75, SHARE, 0.5, 1, FIXED, "... of which so much must come or go to be noticed") \
	/* need.c: levels */ \
	ROW(double, floor_part, 0.05, SHARE, 0, 10, FIXED, "of demand: free memory that no shrink touches ...") \
	ROW(double, floor_kib, 64 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "... and at least this: room for one burst between two samples") \
	ROW(unsigned, floor_peak_s, 2, SECONDS, 0, PEAKS_KEPT, FIXED, "the floor is above the largest demand of so long: what a guest has just freed can save another") \
	ROW(unsigned, peak_s, 5, SECONDS, 0, PEAKS_KEPT, FIXED, "need and comfort are above that of so long: what comes back is no growth") \
	ROW(double, need_part, 0.20, SHARE, 0, 10, FIXED, "of demand: free memory a guest should have ...") \
	ROW(double, need_kib, 128 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "... and at least this") \
	ROW(double, comfort_part, 0.25, SHARE, 0, 10, FIXED, "of demand: free memory on a host that is well ...") \
	ROW(double, comfort_kib, 224 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "... and at least this. Grown to need, shrunk to comfort: the gap between the two is the hysteresis") \
	ROW(double, need_intervals, 1, INTERVALS, 0, 100, FIXED, "growth for so long is in need ...") \
	ROW(double, comfort_intervals, 2, INTERVALS, 0, 100, FIXED, "... and for so long in comfort") \
	ROW(double, survive_delay, 0.4, SHARE, 0, 10, FIXED, "of the interval: growth for so long is in survive, since a rescue acts within a second and growth to need takes one") \
	ROW(double, react_s, 1, SECONDS, 0, 60, FIXED, "and growth for this: a sample is up to so old") \
	ROW(double, small_kib, 512 * KIB_PER_MIB, KIB, 1, 1024 * KIB_PER_GIB, FIXED, "for smaller guests the amounts in MiB are scaled down") \
	/* need.c: demand */ \
	ROW(double, fresh_s, 5, SECONDS, 1, 3600, FIXED, "figures older than this are stale: no command") \
	ROW(double, settle_s, 2, SECONDS, 0, 60, FIXED, "after its balloon moved, a guest's figures do not agree for so long: each is up to 1 s late") \
	ROW(double, blind_s, 5, SECONDS, 0, 3600, FIXED, "a balloon that moves for longer is slow: figures taken meanwhile are believed") \
	ROW(double, silent_s, 60, SECONDS, 0, 86400, FIXED, "after a restart without a report: it is not booting any more, but without a driver, if its balloon has not moved either") \
	ROW(double, moved_kib, 2 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "less is no move of a balloon, but its own rounding") \
	ROW(double, working_half_s, 60, SECONDS, 1, 86400, FIXED, "in which what is remembered of the working set halves: a job that pauses for a minute keeps its memory") \
	ROW(double, growth_half_s, 5, SECONDS, 0.1, 3600, FIXED, "in which the growth rate halves, since growth comes in bursts") \
	ROW(double, growth_step_s, 0.5, SECONDS, 0.01, 60, FIXED, "two samples closer than this count as so far apart, for the growth rate") \
	ROW(double, noise_part, 0.03, SHARE, 0, 1, FIXED, "of demand: what turns back at once is noise, up to this ...") \
	ROW(double, noise_half_s, 20, SECONDS, 0.1, 3600, FIXED, "... and is remembered with this half-life ...") \
	ROW(double, noise_times, 2, TIMES, 0, 100, FIXED, "... and growth begins so far beyond the largest demand") \
	ROW(double, debt_half_s, 30, SECONDS, 0.1, 86400, FIXED, "in which half of what a guest swapped out is forgotten; it will want that back") \
	/* ledger.c: the host */ \
	ROW(double, host_least_kib, HOST_LEAST_KIB, KIB, 0, 1024 * KIB_PER_GIB, FIXED, "the host's own, whatever happens") \
	ROW(double, critical_part, 0.5, SHARE, 0, 1, FIXED, "of that: with less available at once the host is critical, with less than all of it hard") \
	ROW(double, reserve_kib, RESERVE_KIB, KIB, 0, 1024 * KIB_PER_GIB, FIXED, "the reserve of a small host: room for a rescue above that") \
	ROW(double, reserve_scale, 1.5, TIMES, 0, 100, FIXED, "of a sliding share of the host's memory: the reserve of a larger one") \
	ROW(double, scale_1_kib, 4 * KIB_PER_GIB, KIB, 0, 1e12, FIXED, "of the host's memory: the first part ...") \
	ROW(double, scale_1_part, 0.06, SHARE, 0, 1, FIXED, "... and its share") \
	ROW(double, scale_2_kib, 8.0 * KIB_PER_GIB, KIB, 0, 1e12, FIXED, "the next part ...") \
	ROW(double, scale_2_part, 0.04, SHARE, 0, 1, FIXED, "... and its share") \
	ROW(double, scale_3_kib, 16.0 * KIB_PER_GIB, KIB, 0, 1e12, FIXED, "the next part ...") \
	ROW(double, scale_3_part, 0.02, SHARE, 0, 1, FIXED, "... and its share") \
	ROW(double, scale_rest_part, 0.01, SHARE, 0, 1, FIXED, "of the rest of it") \
	ROW(double, soft_pressure, 0.10, SHARE, 0, 1, FIXED, "of time some task waited for memory: a host that swaps; at least soft ...") \
	ROW(double, hard_pressure, 0.30, SHARE, 0, 1, FIXED, "... and at least hard") \
	ROW(unsigned, calm_intervals, 3, INTERVALS, 0, 1000, FIXED, "before a better state of the host is believed") \
	/* ledger.c: a guest's pages */ \
	ROW(double, vmm_kib, 32 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "a QEMU process holds beyond its guest's memory, or more as measured") \
	ROW(double, due_kib, 32 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "by so much RSS ought to fall with a shrink, before it is judged ...") \
	ROW(double, follows_part, 0.5, SHARE, 0, 1, FIXED, "... and by so much of what is due it must, or it did not follow ...") \
	ROW(unsigned, kept_shrinks, 2, TIMES, 1, 1000, FIXED, "... and after so many shrinks that it did not follow it never will") \
	ROW(double, quiet_s, 3, SECONDS, 0, 60, FIXED, "after a move until balloon and RSS agree again") \
	/* share.c */ \
	ROW(double, dealt_part, 0.5, SHARE, 0, 1, FIXED, "of what is left after all needs goes to comfort: the rest stays with the host") \
	/* mem.c: growing */ \
	ROW(double, rescue_kib, 112 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "free memory at the next decision under which a guest is rescued") \
	ROW(double, lack_kib, 16 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "so much under need calls for growth ...") \
	ROW(double, lack_part, 0.04, SHARE, 0, 1, FIXED, "... or so much of what it should hold, if that is more: equal guests end within 5 %") \
	ROW(double, rising_kib_s, 4 * KIB_PER_MIB, KIB_S, 0, KIB_PER_GIB, FIXED, "a guest that grows faster is refilled sooner ...") \
	ROW(double, rising_part, 0.5, SHARE, 0, 1, FIXED, "... when it is down to so much of the way from need to comfort") \
	ROW(double, boot_part, 0.25, SHARE, 0, 1, FIXED, "of its maximum: what a guest that restarts while squeezed is given at least, since most boot with that ...") \
	ROW(double, boot_kib, 512 * KIB_PER_MIB, KIB, 0, 64.0 * KIB_PER_GIB, FIXED, "... or this, if that is less") \
	/* mem.c: shrinking */ \
	ROW(double, step_part, 0.10, SHARE, 0.001, 1, FIXED, "of what a guest holds: the largest shrink at one decision ...") \
	ROW(double, step_kib_s, 20 * KIB_PER_MIB, KIB_S, 1, KIB_PER_GIB, FIXED, "... and over time") \
	ROW(double, urgent_part, 0.25, SHARE, 0, 1, FIXED, "of its free memory, each second: the same in an emergency") \
	ROW(double, urgent_bands, 2, TIMES, 0, 1000, FIXED, "band_kib: from who has less to give, an emergency takes nothing") \
	ROW(double, emergency_kib, 8 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "less missing than this is noise, and no emergency") \
	ROW(double, probe_kib, 64 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "the largest shrink of a guest whose kind of memory is not known, until its RSS has followed one") \
	ROW(double, band_kib, 8 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "smaller changes are not made: each one spoils two samples") \
	ROW(double, band_part, 0.01, SHARE, 0, 1, FIXED, "... or of what the guest holds, if that is more, but no more than a step") \
	ROW(double, idle_kib, 96 * KIB_PER_MIB, KIB, 0, 64.0 * KIB_PER_GIB, FIXED, "so far beyond comfort a guest is idle ...") \
	ROW(double, idle_part, 0.15, SHARE, 0, 1, FIXED, "... or by so much of what it holds, if that is more") \
	ROW(double, unused_kib, 128 * KIB_PER_MIB, KIB, 0, 64.0 * KIB_PER_GIB, FIXED, "idle reclaim leaves so much of a guest unused, beside all its caches") \
	ROW(double, flat_part, 0.02, SHARE, 0, 1, FIXED, "a share that moves by less is flat ...") \
	ROW(double, flat_s, 60, SECONDS, 0, 86400, FIXED, "... and after so long its guest is brought to it ...") \
	ROW(double, apart_part, 0.025, SHARE, 0, 1, FIXED, "... if it is so far from it: equal guests end within 5 %") \
	ROW(double, keep_s, 30, SECONDS, 0, 86400, FIXED, "after a growth a guest is not shrunk, if nobody lacks memory") \
	/* mem.c: balloons that do not follow */ \
	ROW(double, unmet_kib, 4 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "a balloon this close to its target has met it") \
	ROW(double, stall_s, 4, SECONDS, 1, 3600, FIXED, "a shrink that does not move for so long has stalled") \
	ROW(double, stall_kib_s, 1 * KIB_PER_MIB, KIB_S, 0, KIB_PER_GIB, FIXED, "... and one that moves by more is slow, not stalled") \
	ROW(double, block_s, 60, SECONDS, 0, 86400, FIXED, "after a stall no shrink for so long, after the second for twice that, but in an emergency ...") \
	ROW(unsigned, unresponsive_stalls, 3, TIMES, 1, 1000, FIXED, "... after so many stalls ...") \
	ROW(double, unresponsive_s, 3600, SECONDS, 0, 86400, FIXED, "... each within so long of the one before, none for as long") \
	ROW(double, ungrown_s, 10, SECONDS, 0, 3600, FIXED, "a growth that is not taken up in this time is forgotten") \
	ROW(double, refused_s, 10, SECONDS, 0, 3600, FIXED, "after a command that failed, none for so long; after a growth, for an interval more, none as large ...") \
	ROW(unsigned, refused_doublings, 5, TIMES, 0, 16, FIXED, "... doubled with each further failure, so often") \
	/* mem.c: intervals */ \
	ROW(double, interval_least_s, 0.1, SECONDS, 0.1, 60, FIXED, "a shorter interval counts as this") \
	ROW(double, interval_most_s, 10, SECONDS, 0.1, 86400, FIXED, "a longer one counts as this: what it lets happen a rescue sees")
/* clang-format on */

struct mem_tunables {
	MEM_TUNABLES(TUNABLE_FIELD)
};

#define MEM_TUNABLES_DEFAULT                                                                   \
	{                                                                                      \
		MEM_TUNABLES(TUNABLE_DEFAULT)                                                  \
	}
extern const struct mem_tunables mem_tunables_default;

extern const struct tunable mem_tunable[]; /* a row for each field, in the same order */
extern const size_t mem_tunable_count;

#endif
