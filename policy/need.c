/*
 * need.c - what one guest needs: from its samples to demand, velocity and four levels.
 *
 * Demand is what the guest could not give without swapping: actual - usable.  It stays the
 * same while the balloon moves, but its two parts arrive up to a second apart; so while the
 * balloon moves, it is read inside one snapshot, from the guest's MemTotal, where that has
 * been seen to follow the balloon.
 */
#include "vmbal.h"

#include <math.h>
#include <string.h>

#define MIB       1024.0
#define SECOND_NS 1000000000LL

#define FRESH_NS        (5 * SECOND_NS) /* a guest reports each second; busy ones lag */
#define SETTLE_NS       (2 * SECOND_NS) /* actual and stats are each up to 1 s late */
#define BLIND_NS        (5 * SECOND_NS) /* a balloon that moves for longer is a slow one */
#define WORKING_HALF_S  60.0            /* W: a job that pauses for a minute keeps its memory */
#define VELOCITY_HALF_S 5.0             /* growth comes in bursts */
#define NOISE_PART      0.03            /* of demand: noise is not more */
#define NOISE_HALF_S    20.0
#define NOISE_TIMES     2.0         /* so far beyond the peak no noise goes */
#define DEBT_HALF_S     30.0        /* swapped out: it will want that back */
#define SMALL_KIB       (512 * MIB) /* smaller guests scale the fixed terms down */
#define MOVED_KIB       (2 * MIB)   /* the balloon moved: more than its own rounding */
#define LEAST_STEP_S    0.5         /* two samples closer than this give no velocity */

/*
 * Beyond the largest D of some seconds: what no shrink may touch, what a decision's delay
 * needs, room to grow.  The floor looks back less far: what a guest has just freed saves
 * others.
 */
#define FLOOR_SECONDS 2
#define FLOOR_PART    0.05
#define FLOOR_KIB     (64 * MIB)
#define SURVIVE_DELAY 0.4 /* of the interval: rescue acts within a second, grants take one */
#define NEED_PART     0.20
#define NEED_KIB      (128 * MIB)
#define COMFORT_PART  0.25
#define COMFORT_KIB   (224 * MIB)
#define REACT_S       1.0 /* a sample is up to this old */

static double halved(double value, double elapsed_s, double half_s)
{
	return value * exp2(-elapsed_s / half_s);
}

static double seconds(int64_t from_ns, int64_t to_ns)
{
	return from_ns < to_ns ? (double)(to_ns - from_ns) / SECOND_NS : 0;
}

static double clamp(double value, double low, double high)
{
	return fmin(fmax(value, low), high);
}

/* What the guest says it could use without swapping: any figure at all. */
static bool usable_of(const struct guest *g, double *usable_kib)
{
	if (g->usable_kib != KIB_UNKNOWN) {
		*usable_kib = (double)g->usable_kib;
		return true;
	}
	if (g->unused_kib == KIB_UNKNOWN)
		return false;
	*usable_kib = (double)g->unused_kib;
	if (g->caches_kib != KIB_UNKNOWN)
		*usable_kib += (double)g->caches_kib;
	return true;
}

/* A slow balloon moves for long but little: its samples are rough, and better than none. */
static bool settled(const struct need_history *h, int64_t now_ns)
{
	return h->moved_ns == 0 || now_ns - h->moved_ns >= SETTLE_NS ||
	       now_ns - h->blind_ns >= BLIND_NS;
}

/*
 * Learns how far the guest's MemTotal lies under actual, or that it does not follow the
 * balloon: under deflate-on-oom it stays near the maximum.
 */
static void learn_offset(struct guest *g)
{
	double offset = (double)g->actual_kib - (double)g->managed_kib;
	double ballooned = (double)g->max_kib - (double)g->actual_kib;

	g->need.follows = g->managed_kib != KIB_UNKNOWN && offset >= 0 && offset < ballooned;
	g->need.offset_kib = offset;
}

/* Demand by the last sample; false: the sample is moved by the balloon. */
static bool demand_of(struct guest *g, int64_t now_ns, double *demand_kib)
{
	double usable;

	if (!usable_of(g, &usable))
		return false;
	if (settled(&g->need, now_ns)) {
		learn_offset(g);
		*demand_kib = clamp((double)g->actual_kib - usable, 0, (double)g->actual_kib);
		return true;
	}
	if (!g->need.follows || g->managed_kib == KIB_UNKNOWN)
		return false;
	*demand_kib = clamp((double)g->managed_kib + g->need.offset_kib - usable, 0,
			    (double)g->max_kib);
	return true;
}

/* The largest D of the last so many seconds, the current one among them. */
static double peak(const struct need_history *h, int seconds)
{
	double most = h->demand_kib;

	for (int64_t s = h->peak_s; s >= 0 && s > h->peak_s - seconds; s--)
		most = fmax(most, h->peak_kib[s % PEAK_SECONDS]);
	return most;
}

static void note_peak(struct need_history *h, double demand_kib, int64_t now_ns)
{
	int64_t second = now_ns / SECOND_NS;

	if (second - h->peak_s > PEAK_SECONDS || second < h->peak_s)
		h->peak_s = second - PEAK_SECONDS;
	while (h->peak_s < second)
		h->peak_kib[++h->peak_s % PEAK_SECONDS] = 0;
	h->peak_kib[second % PEAK_SECONDS] =
		fmax(h->peak_kib[second % PEAK_SECONDS], demand_kib);
}

/* What turns back at once was noise; growth does not turn back. */
static void note_noise(struct need_history *h, double demand_kib, double elapsed_s)
{
	double step = demand_kib - h->demand_kib, turn = fmin(fabs(step), fabs(h->step_kib));

	if (step * h->step_kib > 0)
		turn = 0;
	h->noise_kib = fmax(turn, halved(h->noise_kib, elapsed_s, NOISE_HALF_S));
	h->noise_kib = fmin(h->noise_kib, NOISE_PART * demand_kib);
	h->step_kib = h->sample_ns != 0 ? step : 0;
}

/* Growth counts beyond the recent peak, which need covers already, and beyond noise. */
static void note_velocity(struct need_history *h, double demand_kib, double elapsed_s)
{
	double rise = demand_kib - peak(h, PEAK_SECONDS) - NOISE_TIMES * h->noise_kib;

	h->velocity = halved(h->velocity, elapsed_s, VELOCITY_HALF_S);
	if (h->sample_ns != 0 && rise > 0)
		h->velocity = fmax(h->velocity, rise / fmax(elapsed_s, LEAST_STEP_S));
}

static void note_swap(struct guest *g, double elapsed_s)
{
	struct need_history *h = &g->need;

	h->swap_debt_kib = halved(h->swap_debt_kib, elapsed_s, DEBT_HALF_S);
	h->swapping = false;
	if (g->swap_out_kib == KIB_UNKNOWN)
		return;
	if (h->sample_ns != 0 && g->swap_out_kib > h->swap_out_kib) {
		h->swap_debt_kib += (double)(g->swap_out_kib - h->swap_out_kib);
		h->swap_debt_kib = fmin(h->swap_debt_kib, (double)g->max_kib);
		h->swapping = true;
	}
	h->swap_out_kib = g->swap_out_kib;
}

static void note_demand(struct guest *g, double demand_kib, int64_t now_ns)
{
	struct need_history *h = &g->need;
	double elapsed = seconds(h->sample_ns, now_ns);

	note_noise(h, demand_kib, elapsed);
	note_velocity(h, demand_kib, elapsed);
	note_swap(g, elapsed);
	h->working_kib = demand_kib +
			 fmax(0, halved(h->working_kib - demand_kib, elapsed, WORKING_HALF_S));
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
	h->boot_id = g->boot_id;
	h->boot_ns = h->moved_ns = first ? 0 : now_ns;
	h->last_update_s = g->last_update_s;
	h->actual_kib = g->actual_kib;
}

static void note_move(struct guest *g, int64_t now_ns)
{
	struct need_history *h = &g->need;
	double moved = fabs((double)g->actual_kib - (double)h->actual_kib);

	if (moved > MOVED_KIB)
		h->moved_ns = now_ns;
	h->actual_kib = g->actual_kib;
}

void need_observe(struct guest *g, int64_t now_ns)
{
	struct need_history *h = &g->need;
	double demand;

	if (!h->seen || h->boot_id != g->boot_id)
		restart(h, g, now_ns);
	note_move(g, now_ns);
	if (g->last_update_s == h->last_update_s)
		return;
	if (h->boot_ns != 0 && h->change_ns == 0)
		h->moved_ns = now_ns; /* its driver is back and re-inflates the balloon */
	if (h->change_ns == 0)
		h->blind_ns = now_ns;
	h->last_update_s = g->last_update_s;
	h->change_ns = now_ns;
	h->ever_reported = true;
	if (demand_of(g, now_ns, &demand))
		note_demand(g, demand, now_ns);
}

bool need_fresh(const struct guest *g, int64_t now_ns)
{
	const struct need_history *h = &g->need;

	return h->sample_ns != 0 && now_ns - h->change_ns < FRESH_NS;
}

/* Within what its owner allows, but never below the floor: the limit squeezes nobody. */
static double range(const struct guest *g, double kib)
{
	return clamp(kib, (double)g->floor_kib, fmax((double)g->floor_kib, guest_limit(g)));
}

double need_scaled(const struct guest *g, double kib)
{
	return kib * fmin(1, (double)g->max_kib / SMALL_KIB);
}

/* The larger of a part of base and a fixed term. */
static double room(const struct guest *g, double base, double part, double kib)
{
	return fmax(part * base, need_scaled(g, kib));
}

void need_levels(struct guest *g, double interval_s, int64_t now_ns)
{
	const struct need_history *h = &g->need;
	double age = fmin(seconds(h->sample_ns, now_ns), seconds(0, FRESH_NS));
	double v = halved(h->velocity, age, VELOCITY_HALF_S);
	double now = h->demand_kib + h->velocity * age;
	double base = fmax(peak(h, FLOOR_SECONDS), now) + h->swap_debt_kib;
	double floor = base + room(g, base, FLOOR_PART, FLOOR_KIB);
	double top = fmax(peak(h, PEAK_SECONDS), now) + h->swap_debt_kib;
	double need = top + room(g, top, NEED_PART, NEED_KIB) + v * (interval_s + REACT_S);
	double comfort =
		top + room(g, top, COMFORT_PART, COMFORT_KIB) + v * (2 * interval_s + REACT_S);
	double working = h->working_kib + h->swap_debt_kib + need_scaled(g, FLOOR_KIB);

	g->demand_kib = (uint64_t)clamp(now, 0, (double)g->max_kib);
	g->free_kib =
		g->actual_kib - (g->demand_kib < g->actual_kib ? g->demand_kib : g->actual_kib);
	g->velocity = v;
	g->floor_kib = (uint64_t)clamp(floor, (double)g->min_kib, (double)g->max_kib);
	g->peak_kib = (uint64_t)clamp(base, (double)g->min_kib, (double)g->floor_kib);
	g->survive_kib = (uint64_t)range(g, floor + v * (SURVIVE_DELAY * interval_s + REACT_S));
	g->wanted_kib = (uint64_t)range(g, fmax(need, (double)g->survive_kib));
	g->comfort_kib =
		(uint64_t)range(g, fmax(working, fmax(comfort, (double)g->wanted_kib)));
}
