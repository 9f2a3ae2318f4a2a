/*
 * cpu_tunables.h - every threshold and weight of the CPU policy: one row each
 *
 * To change a default, change it here and in the manual's table, whose rows are these.  FIXED
 * becomes OPTION for a row that the command line is to offer.
 */
#ifndef POLICY_CPU_TUNABLES_H
#define POLICY_CPU_TUNABLES_H

#include <stddef.h>

#include "lib/tunable.h"

/* ROW(type, name, default, unit, least, most, option, meaning) */
/* clang-format off */
#define CPU_TUNABLES(ROW) \
	/* cpu.c: when the host is acted on */ \
	ROW(double, start_points, 5, POINTS, 0.1, 100, FIXED, "act when the imbalance is above") \
	ROW(double, stop_points, 3.5, POINTS, 0, 100, FIXED, "plan to get below; between the two nothing is done, so that a load that hovers about one threshold causes no pins") \
	ROW(unsigned, persist_intervals, 2, INTERVALS, 1, 1000, FIXED, "the imbalance must stay above start_points for so long: one may be a burst ...") \
	ROW(double, clear_times, 2, TIMES, 1, 1000, FIXED, "... and an interval below so many start_points ...") \
	ROW(double, clear_part, 0.5, SHARE, 0.01, 1, FIXED, "... counts for so much of one: demands are means, in which one sample still shows in the next") \
	ROW(unsigned, settle_intervals, 3, INTERVALS, 0, 1000, FIXED, "after a pass of pins, for which the imbalance does not count: demands show themselves anew") \
	ROW(double, severe, 1.25, RATIO, 1, 1000, FIXED, "peak load over its lower bound, if a pCPU is full: acted on at once, pauses and the price of pins aside ...") \
	ROW(unsigned, severe_samples, 2, SAMPLES, 1, 1000, FIXED, "... of each vCPU there: one sample of a full pCPU tells little of each") \
	ROW(double, severe_idle, 0.10, SHARE, 0, 1, FIXED, "of a pCPU: pauses are put aside only where one idles so much, since there any demand shows itself") \
	ROW(double, aim, 1.03, RATIO, 1, 10, FIXED, "peak load over its lower bound that a plan aims at") \
	ROW(unsigned, patience_intervals, 20, INTERVALS, 1, 10000, FIXED, "for which a peak load above aim by peak_excess_cpus is borne while the imbalance is low") \
	ROW(double, peak_excess_cpus, 0.007, CPUS, 0, 1, FIXED, "... so that a small gain that lasts is taken, and one that does not is not ...") \
	ROW(double, peak_excess_background, 0.3, RATIO, 0, 100, FIXED, "... and by so much of the most background load of a pCPU: it is known less well than demands are") \
	/* cpu.c: what a plan must be worth */ \
	ROW(double, noise_sigmas, 2, DEVIATIONS, 0, 10, FIXED, "of the samples: the fall of the peak load, or of the imbalance, must exceed so much noise") \
	ROW(double, migration_cost, 0.2, SHARE, 0, 10, FIXED, "and the fall of the sum of squared loads must be so much of the squared demands that move") \
	ROW(unsigned, backoff_free_passes, 2, PASSES, 0, 1000, FIXED, "of pins in a row without a pause") \
	ROW(unsigned, backoff_first_intervals, 4, INTERVALS, 1, 1000, FIXED, "pause after the next pass, doubled with each further one: what two passes did not settle, ten will not") \
	ROW(unsigned, backoff_max_intervals, 256, INTERVALS, 1, 100000, FIXED, "the longest pause") \
	ROW(unsigned, backoff_forgive, 4, TIMES, 1, 1000, FIXED, "the pause, and the first one, without a pass: one pass is forgotten") \
	/* pins.c: what pins brought */ \
	ROW(unsigned, promise_samples, 3, SAMPLES, 1, 1000, FIXED, "after a move tell whether the vCPU wants there what it wanted before") \
	ROW(double, promise_part, 0.2, SHARE, 0, 10, FIXED, "of a demand, and step_cpus of a load: changed by more, it is another") \
	ROW(double, promise_broken, 0.5, SHARE, 0, 1, FIXED, "of the moves of a pass: if so many did not hold, the pass did not") \
	ROW(unsigned, promise_passes, 2, PASSES, 1, 1000, FIXED, "in a row that did not hold: no vCPU moves until its load, or that of its pCPU, is another ...") \
	ROW(unsigned, promise_settle_intervals, 20, INTERVALS, 0, 10000, FIXED, "... than so long after the last pass ...") \
	ROW(double, promise_follow, 0.05, SHARE, 0, 1, FIXED, "... or slowly since, this being the weight of a new figure: what is learnt of demands drifts") \
	/* background.c */ \
	ROW(double, background_min, 0.02, SHARE, 0, 1, FIXED, "of a pCPU: less background load is the grain of the samples") \
	ROW(double, background_up, 0.3, SHARE, 0.001, 1, FIXED, "weight of a new sample of it that is more: such a pCPU is left soon") \
	ROW(double, background_down, 0.1, SHARE, 0.001, 1, FIXED, "weight of one that is less: what the host runs wanders and comes back") \
	ROW(double, bound_gap, 0.10, SHARE, 0, 1, FIXED, "of a pCPU: background load is bound where another idles by so much more") \
	ROW(double, bound_step_cpus, 0.10, CPUS, 0, 1, FIXED, "so much more bound load, twice in a row, is taken as it is") \
	ROW(double, bound_up, 0.02, SHARE, 0, 1, FIXED, "weight, in the least that was seen lately, of a sample that is more") \
	ROW(unsigned, bound_linger_intervals, 20, INTERVALS, 1, 10000, FIXED, "at most, that bound load which has gone still counts") \
	/* cpu.c: single vCPUs */ \
	ROW(double, avoidable_wait, 0.05, SHARE, 0, 1, FIXED, "of the time waits a vCPU while its bin idles: if its mask is narrower than the bin, it gets all of it") \
	ROW(double, unpinned_min_cpus, 0.02, CPUS, 0, 1, FIXED, "an unpinned vCPU that uses less disturbs no plan and is left so") \
	ROW(unsigned, unpinned_samples, 3, SAMPLES, 1, 1000, FIXED, "tell the demand of an unpinned vCPU that is to be placed") \
	ROW(unsigned, external_pin, 100, INTERVALS, 1, 100000, FIXED, "for which a pin by somebody else is remembered: what counts adds up ...") \
	ROW(unsigned, external_alone, 250, INTERVALS, 1, 1000000, FIXED, "... and above this, three pins in a short time, the vCPU is left to him ...") \
	ROW(unsigned, external_rest, 1000, INTERVALS, 0, 1000000, FIXED, "... for so long, before it is tried again") \
	/* demand.c */ \
	ROW(double, wait_max, 0.98, SHARE, 0, 0.999, FIXED, "of the time: to count on more waiting only amplifies noise") \
	ROW(double, idle_full, 0.005, SHARE, 0, 1, FIXED, "of a pCPU: idling less, it is full; the grain is 10 ms in 2 s") \
	ROW(double, idle_ample, 0.015, SHARE, 0, 1, FIXED, "of a pCPU: idling more, each vCPU gets what it asks for") \
	ROW(double, always, 0.97, SHARE, 0, 2, FIXED, "of the time run or waited: the vCPU wants all it may have, if its work is not known to be open") \
	ROW(double, smooth, 0.1, SHARE, 0.001, 1, FIXED, "weight of a new sample in a demand: 5 % wobble becomes 1.2 %") \
	ROW(double, smooth_far, 0.3, SHARE, 0.001, 1, FIXED, "weight of one that is farther off than far_sigmas") \
	ROW(double, far_sigmas, 2, DEVIATIONS, 0, 100, FIXED, "of the samples: farther off, one counts for more") \
	ROW(double, step_sigmas, 3, DEVIATIONS, 0, 100, FIXED, "two samples in a row so far off, on one side, are a new load ...") \
	ROW(double, step_cpus, 0.10, CPUS, 0, 1, FIXED, "... and no smaller step is ...") \
	ROW(double, light_step_part, 0.25, SHARE, 0.01, 100, FIXED, "... or no smaller part of a light vCPU's demand ...") \
	ROW(unsigned, step_samples, 2, SAMPLES, 1, 1000, FIXED, "... nor a single one, which may be chance") \
	ROW(double, sigma_min_cpus, 0.01, CPUS, 0.0001, 1, FIXED, "no sample is better than this ...") \
	ROW(double, grain_s, 0.010, SECONDS, 0, 1, FIXED, "... or half of this for the interval: libvirt 9.0 counts the time of vCPUs in these") \
	ROW(double, var_smooth, 0.1, SHARE, 0.001, 1, FIXED, "weight of a new squared deviation") \
	ROW(double, closed_prior, 0.5, SHARE, 0, 1, FIXED, "of its waiting is a vCPU's work late by, before any sample has told") \
	ROW(double, mean_keep, 0.98, SHARE, 0, 0.9999, FIXED, "of the means that samples are compared with is kept each interval: 50 intervals count") \
	ROW(double, slope_keep, 0.998, SHARE, 0, 0.9999, FIXED, "of what was learnt of the kind of work: it seldom changes") \
	ROW(double, slope_prior, 0.02, RATIO, 0.0001, 1000, FIXED, "sum of squares that closed_prior is worth against samples") \
	ROW(double, slope_prior_idle, 0.15, RATIO, 0.0001, 1000, FIXED, "the same where the pCPU idles part of the time: not all that waits there is late") \
	ROW(double, slope_open, 0.1, RATIO, 0, 10, FIXED, "slope of log run over log (1 - wait): below, work comes whether or not the last is done ...") \
	ROW(double, slope_closed, 0.4, RATIO, 0.0001, 10, FIXED, "... and above, only when it is") \
	ROW(double, awake, 0.95, SHARE, 0, 1, FIXED, "of the time run or waited: with more, the two kinds look alike") \
	ROW(double, run_min_cpus, 0.02, CPUS, 0.0001, 1, FIXED, "two grains: less run shows no slope") \
	/* place_problem.c, place.c */ \
	ROW(double, smt_gain_cpus, 0.3, CPUS, 0, 1, FIXED, "what a second busy thread adds to its core") \
	ROW(double, peak_clearly, 0.01, SHARE, 0.0001, 1, FIXED, "of the lower bound: of two plans one has a lower peak load if by so much") \
	ROW(double, imbalance_nearly_points, 0.5, POINTS, 0, 100, FIXED, "of two plans whose imbalances are closer than this, the one with fewer pins is taken") \
	/* node.c */ \
	ROW(double, busy_cpus, 0.5, CPUS, 0, 1, FIXED, "a vCPU that wants more is busy, and has a core of its own while one idles ...") \
	ROW(double, busy_again_cpus, 0.4, CPUS, 0, 1, FIXED, "... and this of a guest in several nodes, before it is gathered in one: what left stays away") \
	ROW(double, skew, 0.15, SHARE, 0, 10, FIXED, "of what a NUMA node's cores do, between the fullest and the emptiest node: guests change nodes above ...") \
	ROW(unsigned, skew_intervals, 10, INTERVALS, 1, 10000, FIXED, "... if it lasts for so long, since their memory stays behind ...") \
	ROW(double, skew_stop, 0.05, SHARE, 0, 10, FIXED, "... until it is down to this") \
	ROW(double, skew_severe, 1.25, RATIO, 1, 1000, FIXED, "load of the fullest node over its capacity and the mean: guests change nodes at once")
/* clang-format on */

struct cpu_tunables {
	CPU_TUNABLES(TUNABLE_FIELD)
};

#define CPU_TUNABLES_DEFAULT                                                                   \
	{                                                                                      \
		CPU_TUNABLES(TUNABLE_DEFAULT)                                                  \
	}
extern const struct cpu_tunables cpu_tunables_default;

extern const struct tunable cpu_tunable[]; /* a row for each field, in the same order */
extern const size_t cpu_tunable_count;

#endif
