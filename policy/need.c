/*
 * need.c - what one guest needs: from its samples to demand, growth rate and four levels.
 *
 * Demand is what the guest could not give without swapping: actual - usable.  It stays the
 * same while the balloon moves, but its two parts arrive up to a second apart; so while the
 * balloon moves, it is read inside one snapshot, from the guest's MemTotal, where that has
 * been seen to follow the balloon.
 */
#include <math.h>
#include <string.h>

#include "lib/units.h"
#include "policy/mem.h"
#include "policy/need.h"

static double halved(double value, double elapsed_s, double half_s)
{
	return value * exp2(-elapsed_s / half_s);
}

static double seconds(int64_t from_ns, int64_t to_ns)
{
	return from_ns < to_ns ? (double)(to_ns - from_ns) / NS_PER_S : 0;
}

static double clamp(double value, double low, double high)
{
	return fmin(fmax(value, low), high);
}

/* What the guest says it could use without swapping: any figure at all. */
static bool usable_of(const struct guest *g, double *usable_kib)
{
	if (g->now.usable_kib != KIB_UNKNOWN) {
		*usable_kib = (double)g->now.usable_kib;
		return true;
	}
	if (g->now.unused_kib == KIB_UNKNOWN)
		return false;
	*usable_kib = (double)g->now.unused_kib;
	if (g->now.caches_kib != KIB_UNKNOWN)
		*usable_kib += (double)g->now.caches_kib;
	return true;
}

/* A slow balloon moves for long but little: its samples are rough, and better than none. */
static bool settled(const struct mem_tunables *tune, const struct need_history *h,
		    int64_t now_ns)
{
	return h->moved_ns == 0 || now_ns - h->moved_ns >= ns_of_s(tune->settle_s) ||
	       now_ns - h->blind_ns >= ns_of_s(tune->blind_s);
}

/*
 * Learns how far the guest's MemTotal lies under actual, or that it does not follow the
 * balloon: under deflate-on-oom it stays near the maximum.
 */
static void learn_offset(struct guest *g)
{
	double offset = (double)g->now.actual_kib - (double)g->now.managed_kib;
	double ballooned = (double)g->now.max_kib - (double)g->now.actual_kib;

	g->need.follows =
		g->now.managed_kib != KIB_UNKNOWN && offset >= 0 && offset < ballooned;
	g->need.offset_kib = offset;
}

/* Demand by the last sample; false: the sample is moved by the balloon. */
static bool demand_of(const struct mem_tunables *tune, struct guest *g, int64_t now_ns,
		      double *demand_kib)
{
	double usable;

	if (!usable_of(g, &usable))
		return false;
	if (settled(tune, &g->need, now_ns)) {
		learn_offset(g);
		*demand_kib =
			clamp((double)g->now.actual_kib - usable, 0, (double)g->now.actual_kib);
		return true;
	}
	if (!g->need.follows || g->now.managed_kib == KIB_UNKNOWN)
		return false;
	*demand_kib = clamp((double)g->now.managed_kib + g->need.offset_kib - usable, 0,
			    (double)g->now.max_kib);
	return true;
}

/* The largest D of the last so many seconds, the current one among them. */
static double peak(const struct need_history *h, unsigned seconds)
{
	double most = h->demand_kib;

	for (int64_t s = h->peak_s; s >= 0 && s > h->peak_s - seconds; s--)
		most = fmax(most, h->peak_kib[s % PEAKS_KEPT]);
	return most;
}

static void note_peak(struct need_history *h, double demand_kib, int64_t now_ns)
{
	int64_t second = now_ns / NS_PER_S;

	if (second - h->peak_s > PEAKS_KEPT || second < h->peak_s)
		h->peak_s = second - PEAKS_KEPT;
	while (h->peak_s < second)
		h->peak_kib[++h->peak_s % PEAKS_KEPT] = 0;
	h->peak_kib[second % PEAKS_KEPT] = fmax(h->peak_kib[second % PEAKS_KEPT], demand_kib);
}

/* What turns back at once was noise; growth does not turn back. */
static void note_noise(const struct mem_tunables *tune, struct need_history *h,
		       double demand_kib, double elapsed_s)
{
	double step = demand_kib - h->demand_kib, turn = fmin(fabs(step), fabs(h->step_kib));

	if (step * h->step_kib > 0)
		turn = 0;
	h->noise_kib = fmax(turn, halved(h->noise_kib, elapsed_s, tune->noise_half_s));
	h->noise_kib = fmin(h->noise_kib, tune->noise_part * demand_kib);
	h->step_kib = h->sample_ns != 0 ? step : 0;
}

/* Growth counts beyond the recent peak, which need covers already, and beyond noise. */
static void note_growth(const struct mem_tunables *tune, struct need_history *h,
			double demand_kib, double elapsed_s)
{
	double rise = demand_kib - peak(h, tune->peak_s) - tune->noise_times * h->noise_kib;

	h->growth_kib_s = halved(h->growth_kib_s, elapsed_s, tune->growth_half_s);
	if (h->sample_ns != 0 && rise > 0)
		h->growth_kib_s =
			fmax(h->growth_kib_s, rise / fmax(elapsed_s, tune->growth_step_s));
}

static void note_swap(const struct mem_tunables *tune, struct guest *g, double elapsed_s)
{
	struct need_history *h = &g->need;

	h->swap_debt_kib = halved(h->swap_debt_kib, elapsed_s, tune->debt_half_s);
	h->swapping = false;
	if (g->now.swap_out_kib == KIB_UNKNOWN)
		return;
	if (h->sample_ns != 0 && g->now.swap_out_kib > h->swap_out_kib) {
		h->swap_debt_kib += (double)(g->now.swap_out_kib - h->swap_out_kib);
		h->swap_debt_kib = fmin(h->swap_debt_kib, (double)g->now.max_kib);
		h->swapping = true;
	}
	h->swap_out_kib = g->now.swap_out_kib;
}

static void note_demand(const struct mem_tunables *tune, struct guest *g, double demand_kib,
			int64_t now_ns)
{
	struct need_history *h = &g->need;
	double elapsed = seconds(h->sample_ns, now_ns);

	note_noise(tune, h, demand_kib, elapsed);
	note_growth(tune, h, demand_kib, elapsed);
	note_swap(tune, g, elapsed);
	h->working_kib = demand_kib + fmax(0, halved(h->working_kib - demand_kib, elapsed,
						     tune->working_half_s));
	h->demand_kib = demand_kib;
	note_peak(h, demand_kib, now_ns);
	h->sample_ns = h->blind_ns = now_ns;
}

/* A restarted guest is another one: only that it has a driver is remembered. */
static void restart(struct need_history *h, const struct guest *g, int64_t now_ns)
{
	bool first = !h->seen, reported = h->ever_reported;

	memset(h, 0, sizeof(*h));
	h->seen = true;
	h->ever_reported = reported;
	h->boot_id = g->now.boot_id;
	h->boot_ns = h->moved_ns = first ? 0 : now_ns;
	h->silent = !first;
	h->last_update_s = g->now.last_update_s;
	h->actual_kib = g->now.actual_kib;
}

static void note_move(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct need_history *h = &g->need;
	double moved = fabs((double)g->now.actual_kib - (double)h->actual_kib);

	if (moved > tune->moved_kib) {
		h->moved_ns = now_ns;
		h->silent = false;
	}
	h->actual_kib = g->now.actual_kib;
}

/* Takes in what is new since the last tick. */
static void note_report(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct need_history *h = &g->need;
	double demand;

	if (h->boot_ns != 0 && h->change_ns == 0)
		h->moved_ns = now_ns; /* its driver is back and re-inflates the balloon */
	if (h->change_ns == 0)
		h->blind_ns = now_ns;
	h->last_update_s = g->now.last_update_s;
	h->change_ns = now_ns;
	h->ever_reported = true;
	if (demand_of(tune, g, now_ns, &demand))
		note_demand(tune, g, demand, now_ns);
}

void need_observe(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct need_history *h = &g->need;

	if (!h->seen || h->boot_id != g->now.boot_id)
		restart(h, g, now_ns);
	note_move(tune, g, now_ns);
	if (g->now.last_update_s != h->last_update_s)
		note_report(tune, g, now_ns);
	h->silent &= h->sample_ns == 0;
	h->booting = h->boot_ns != 0 && h->sample_ns == 0 &&
		     now_ns - h->boot_ns < ns_of_s(tune->silent_s);
}

bool need_fresh(const struct mem_tunables *tune, const struct guest *g, int64_t now_ns)
{
	const struct need_history *h = &g->need;

	return h->sample_ns != 0 && now_ns - h->change_ns < ns_of_s(tune->fresh_s);
}

/* Within what its owner allows, but never below the floor: the limit squeezes nobody. */
static double range(const struct guest *g, double kib)
{
	return clamp(kib, (double)g->plan.floor_kib,
		     fmax((double)g->plan.floor_kib, guest_limit(g)));
}

double need_scaled(const struct mem_tunables *tune, const struct guest *g, double kib)
{
	return kib * fmin(1, (double)g->now.max_kib / tune->small_kib);
}

/* The larger of a part of base and a fixed term. */
static double room(const struct mem_tunables *tune, const struct guest *g, double base,
		   double part, double kib)
{
	return fmax(part * base, need_scaled(tune, g, kib));
}

/*
 * Beyond the largest D of some seconds: what no shrink may touch, what a decision's delay
 * needs, room to grow.  The floor looks back less far: what a guest has just freed saves
 * others.
 */
void need_levels(const struct mem_tunables *tune, struct guest *g, double interval_s,
		 int64_t now_ns)
{
	const struct need_history *h = &g->need;
	double age = fmin(seconds(h->sample_ns, now_ns), seconds(0, ns_of_s(tune->fresh_s)));
	double v = halved(h->growth_kib_s, age, tune->growth_half_s);
	double now = h->demand_kib + h->growth_kib_s * age;
	double base = fmax(peak(h, tune->floor_peak_s), now) + h->swap_debt_kib;
	double floor = base + room(tune, g, base, tune->floor_part, tune->floor_kib);
	double top = fmax(peak(h, tune->peak_s), now) + h->swap_debt_kib;
	double need = top + room(tune, g, top, tune->need_part, tune->need_kib) +
		      v * (tune->need_intervals * interval_s + tune->react_s);
	double comfort = top + room(tune, g, top, tune->comfort_part, tune->comfort_kib) +
			 v * (tune->comfort_intervals * interval_s + tune->react_s);
	double working =
		h->working_kib + h->swap_debt_kib + need_scaled(tune, g, tune->floor_kib);
	double min = (double)g->now.policy.min_kib, max = (double)g->now.max_kib;
	struct guest_plan *plan = &g->plan;

	plan->demand_kib = (uint64_t)clamp(now, 0, max);
	plan->headroom_kib =
		(uint64_t)fmax(0, (double)g->now.actual_kib - (double)plan->demand_kib);
	plan->growth_kib_s = v;
	plan->floor_kib = (uint64_t)clamp(floor, min, max);
	plan->peak_kib = (uint64_t)clamp(base, min, (double)plan->floor_kib);
	plan->survive_kib = (uint64_t)range(
		g, floor + v * (tune->survive_delay * interval_s + tune->react_s));
	plan->need_kib = (uint64_t)range(g, fmax(need, (double)plan->survive_kib));
	plan->comfort_kib =
		(uint64_t)range(g, fmax(working, fmax(comfort, (double)plan->need_kib)));
}
