/*
 * cpu.c - from one interval's samples to targets: what is asked for where, whether that needs
 * action, and the gates that a plan must pass before it may cost pins.
 *
 *	samples -> demand.c -> background.c -> pins.c   what is wanted, what pins brought
 *	                                         |
 *	           start_points, persist, severe | trigger: does it need action?
 *	                                         |
 *	                    node.c -> place.c -> | a plan
 *	                                         |
 *	         noise, migration cost, back-off | gates: is it worth its pins?
 *	                                         v
 *	                                      targets     or only what must leave where it is
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/background.h"
#include "policy/cpu.h"
#include "policy/demand.h"
#include "policy/node.h"
#include "policy/pins.h"
#include "policy/place.h"

#define NAME_LEN 40 /* bytes: an array of pointers would have to be relocated */

/* What one call of cpu_decide works with. */
struct tick {
	struct cpu_host *h;
	const struct cpu_conf *conf;
	const struct cpu_tunables *tune; /* those of conf */
	struct cpu_report *out;
	struct place place;
	void *work;
	int *at;
	bool idles;   /* some bin idles plenty: demands show themselves */
	bool forced;  /* a vCPU is outside its allowed bins */
	bool placing; /* one is unpinned and is to be placed whatever the balance */
	bool severe;
};

/* ---- what is asked for where -------------------------------------------------------- */

/* Where unpinned vCPUs run: its idle share and its speed. */
static double mean_of(const struct cpu_host *h, double (*of)(const struct bin *))
{
	double sum = 0, room = 0;

	for (size_t b = 0; b < h->nbins; b++) {
		sum += of(&h->bin[b]) * h->bin[b].now.capacity;
		room += h->bin[b].now.capacity;
	}
	return room > 0 ? sum / room : 0;
}

static void see_demand(struct tick *t)
{
	struct cpu_host *h = t->h;
	double idle = mean_of(h, bin_idle), unpinned = mean_of(h, bin_speed);

	for (size_t b = 0; b < h->nbins; b++)
		t->idles |= bin_idle(&h->bin[b]) >= t->tune->severe_idle;

	for (size_t i = 0; i < h->n; i++) {
		struct vcpu *v = &h->vcpu[i];

		demand_update(t->tune, v,
			      v->now.bin >= 0 ? bin_idle(&h->bin[v->now.bin]) : idle,
			      v->now.bin >= 0 ? bin_speed(&h->bin[v->now.bin]) : unpinned,
			      h->elapsed_s);
	}
}

/* ---- who may go -------------------------------------------------------------------- */

static enum vcpu_why classify(const struct cpu_tunables *tune, const struct vcpu *v)
{
	bool lost = v->now.bin == BIN_OUTSIDE ||
		    (v->now.bin >= 0 && !cpuset_has(v->now.allowed, (unsigned)v->now.bin));

	if (v->now.held)
		return VCPU_HELD;
	if (lost)
		return VCPU_OUTSIDE;
	if (v->past.moved.external >= tune->external_alone)
		return VCPU_EXTERNAL;
	if (v->past.demand.seen == 0)
		return VCPU_UNSEEN;
	if (v->past.moved.futile)
		return VCPU_FUTILE;
	if (v->now.bin == BIN_UNPINNED && v->plan.demand >= tune->unpinned_min_cpus)
		return VCPU_INITIAL;
	return VCPU_STAYS;
}

static bool is_placed_now(const struct tick *t, const struct vcpu *v)
{
	return t->conf->place_unpinned && v->plan.why == VCPU_INITIAL &&
	       v->past.demand.seen >= t->tune->unpinned_samples;
}

static void classify_all(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		v->plan.target = v->now.bin;
		v->plan.widen = false;
		v->past.why = v->plan.why;
		v->plan.why = classify(t->tune, v);
		t->forced |= vcpu_part(v->plan.why) == VCPU_MUST;
		t->out->unplaced |= t->conf->place_unpinned && v->plan.why == VCPU_INITIAL &&
				    !is_placed_now(t, v);
		t->placing |= is_placed_now(t, v);
	}
}

static void begin(struct tick *t)
{
	node_plan(t->tune, t->h, t->work);
	place_begin(t->tune, &t->place, t->h->bin, t->h->nbins, t->h->vcpu, t->h->n, t->work);
}

/* Who need not go stays: unpinned vCPUs unpinned, and those away from their node there. */
static void leave_alone(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		if (v->plan.why == VCPU_NODE)
			v->plan.nodes = (uint64_t)1 << t->h->bin[v->now.bin].now.node;
		if (vcpu_part(v->plan.why) == VCPU_GOING && !is_placed_now(t, v))
			v->plan.why = VCPU_STAYS;
	}
}

/* ---- trigger ------------------------------------------------------------------------ */

/* The placement as measured: of unpinned vCPUs, what the kernel makes of them. */
static struct place_score measure(struct tick *t)
{
	struct place_score found = place_now(&t->place),
			   s = { .uneven = found.uneven, .threads = found.threads };
	size_t m = 0;

	for (size_t k = 0; k < t->h->nbins; k++)
		t->place.load[k] = t->h->bin[k].plan.load;
	for (size_t k = 0; k < t->h->nbins; k++) {
		const struct bin *b = &t->h->bin[k];
		double x, off;

		if (b->now.capacity <= 0)
			continue;
		x = place_full(&t->place, k);
		off = x - t->place.level[k];
		m++;
		s.squares += x * x;
		if (b->plan.load - b->plan.background <
			    t->tune->unpinned_min_cpus * b->now.capacity &&
		    off > 0)
			continue;
		off /= fmax(1, t->place.level[k]);
		s.peak = fmax(s.peak, x);
		s.imbalance += off * off;
	}
	s.imbalance = m > 0 ? POINTS_PER_CPU * sqrt((s.imbalance + s.threads) / (double)m) : 0;
	return s;
}

/* Variance of the peak load, and of an average bin's. */
static double noise_of(const struct tick *t, double peak, double *average)
{
	const struct cpu_host *h = t->h;
	double top = 0, all = 0, room = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct vcpu *v = &h->vcpu[i];
		const struct bin *b = &h->bin[v->now.bin >= 0 ? v->now.bin : 0];

		all += v->past.demand.var;
		if (v->now.bin >= 0 && b->now.capacity > 0 &&
		    place_full(&t->place, (size_t)v->now.bin) >= peak)
			top += v->past.demand.var / (b->now.capacity * b->now.capacity);
	}
	for (size_t b = 0; b < h->nbins; b++)
		room += h->bin[b].now.capacity;
	*average = room > 0 ? all / room : 0;
	return top > 0 ? top : *average;
}

/* One sample of a full bin tells little of each vCPU: a severe case waits for a second. */
static bool is_sure(const struct tick *t, double peak)
{
	for (size_t i = 0; i < t->h->n; i++) {
		const struct vcpu *v = &t->h->vcpu[i];

		if (v->now.bin >= 0 && v->past.demand.seen < t->tune->severe_samples &&
		    v->plan.demand >= t->tune->unpinned_min_cpus &&
		    place_full(&t->place, (size_t)v->now.bin) >= peak)
			return false;
	}
	return true;
}

/* Who has left a full bin, and who stays in it, show what they want only now. */
static bool is_settled(const struct tick *t)
{
	return t->h->passes == 0 || t->h->quiet >= t->tune->settle_intervals;
}

/*
 * An interval counts whole if its imbalance is clearly above the threshold, else half: demands
 * are means, in which a sample that was far off still shows in the next interval.
 */
static double count_over(const struct tick *t, const struct place_score *now)
{
	double over = now->imbalance / t->tune->start_points;

	if (t->severe)
		return 1;
	if (over <= 1 || !is_settled(t))
		return 0;
	return over < t->tune->clear_times ? t->tune->clear_part : 1;
}

/* What the peak load must be above for a gain in it to be sought, if it lasts. */
static double borne_peak(const struct tick *t)
{
	double bound = t->place.lower_bound, background = 0;

	for (size_t k = 0; k < t->h->nbins; k++)
		if (t->h->bin[k].now.capacity > 0)
			background = fmax(background, t->h->bin[k].plan.background /
							      t->h->bin[k].now.capacity);
	return bound * t->tune->aim + t->tune->peak_excess_cpus * fmax(1, bound) +
	       t->tune->peak_excess_background * background;
}

/* A Schmitt trigger; CPU_ACTING: look for a plan. */
static enum cpu_why trigger(struct tick *t, const struct place_score *now)
{
	struct cpu_host *h = t->h;
	double bound = t->place.lower_bound, over;

	t->severe = now->peak >= 1 && is_sure(t, now->peak) &&
		    now->peak > t->tune->severe * bound + t->tune->noise_sigmas * t->out->noise;
	over = count_over(t, now);
	h->over = over > 0 ? h->over + over : 0;
	if (now->peak > borne_peak(t))
		h->lasting++;
	else
		h->lasting -= h->lasting > 0;
	if (t->severe || h->over >= t->tune->persist_intervals ||
	    h->lasting >= t->tune->patience_intervals)
		h->active = true;
	if (now->imbalance <= t->tune->stop_points && now->peak <= t->tune->aim * bound)
		h->active = false;
	if (h->active)
		return CPU_ACTING;
	if (h->over > 0)
		return CPU_PERSIST;
	return now->imbalance > t->tune->stop_points ? CPU_HYSTERESIS : CPU_BALANCED;
}

/* ---- gates ------------------------------------------------------------------------- */

static bool above_noise(const struct tick *t, const struct place_score *now,
			const struct place_score *plan, double average)
{
	/* Of imbalances, as place_problem.c has it. */
	double unit = fmax(1, t->place.lower_bound) / POINTS_PER_CPU;
	double fall = (now->imbalance * now->imbalance - plan->imbalance * plan->imbalance) *
		      unit * unit;

	if (now->peak - plan->peak >= t->tune->noise_sigmas * t->out->noise)
		return true;
	return fall >= t->tune->noise_sigmas * average;
}

/*
 * Four vCPUs alike on three pCPUs stay uneven for good, and of their placements another is always a
 * little better, by the ups and downs of the moment.  A plan must bring the imbalance below the
 * threshold, or down by as much; or the peak load, where a gain in it has lasted.
 */
static bool mends(const struct tick *t, const struct place_score *now,
		  const struct place_score *plan)
{
	double start = t->tune->start_points;

	return t->severe || t->h->lasting >= t->tune->patience_intervals ||
	       plan->imbalance <= start || now->imbalance - plan->imbalance >= start;
}

/* May we act now, whatever the plan?  Else how long not. */
static enum cpu_why may_act(struct tick *t)
{
	struct cpu_host *h = t->h;
	unsigned wait = pins_backoff(t->tune, h);
	bool exempt = t->idles && t->severe;

	if (h->quiet < wait && !exempt) {
		t->out->wait = wait - h->quiet;
		return CPU_BACKOFF;
	}
	return CPU_ACTING;
}

static enum cpu_why worth_it(struct tick *t, const struct place_score *now,
			     const struct place_score *plan, double average)
{
	double fall = now->squares + now->uneven - plan->squares - plan->uneven;

	if (plan->moves == 0 || plan->peak > now->peak || plan->squares > now->squares ||
	    !mends(t, now, plan))
		return CPU_OPTIMAL;
	if (!above_noise(t, now, plan, average))
		return CPU_NOISE;
	if (!t->severe && fall < t->tune->migration_cost * plan->moved)
		return CPU_COSTLY;
	return may_act(t);
}

/* ---- acting ------------------------------------------------------------------------- */

static void ask(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		if (t->at[i] < 0 || t->at[i] == v->now.bin)
			continue;
		v->plan.target = t->at[i];
		if (v->plan.why == VCPU_STAYS)
			v->plan.why = VCPU_BALANCE;
		pins_ask(v, !t->severe && v->now.bin >= 0 &&
				    bin_idle(&t->h->bin[v->now.bin]) >= t->tune->idle_ample);
		t->out->moves++;
	}
}

static void predict(struct tick *t, const struct place_score *plan)
{
	struct cpu_host *h = t->h;

	for (size_t b = 0; b < h->nbins; b++)
		h->bin[b].plan.planned = t->place.background[b];
	for (size_t i = 0; i < h->n; i++)
		if (t->at[i] >= 0)
			h->bin[t->at[i]].plan.planned +=
				fmin(h->vcpu[i].plan.demand, bin_speed(&h->bin[t->at[i]]));
	t->out->imbalance_after = plan->imbalance;
	t->out->peak_after = plan->peak;
}

/* Only those move who must, and unpinned ones that are to be placed. */
static void only_forced(struct tick *t)
{
	struct place_score plan;

	leave_alone(t);
	if (!t->forced && !t->placing)
		return;
	place_begin(t->tune, &t->place, t->h->bin, t->h->nbins, t->h->vcpu, t->h->n, t->work);
	plan = place_plan(&t->place, t->tune->aim, t->tune->stop_points, 0, t->at);
	predict(t, &plan);
	ask(t);
	t->out->why = t->placing ? CPU_PLACING : CPU_ENFORCING;
}

static void decide(struct tick *t)
{
	double average, aim = t->tune->aim, stop = t->tune->stop_points;
	struct place_score now, plan;
	struct cpu_report *out = t->out;

	begin(t);
	now = measure(t);
	out->lower_bound = t->place.lower_bound;
	out->peak = out->peak_after = now.peak;
	out->imbalance = out->imbalance_after = now.imbalance;
	out->noise = sqrt(noise_of(t, now.peak, &average));
	out->why = trigger(t, &now);
	if (out->why == CPU_ACTING) {
		plan = place_plan(&t->place, aim, stop, t->h->n, t->at);
		out->fewest = fewest_moves(&t->place, aim * t->place.lower_bound);
		out->why = worth_it(t, &now, &plan, average);
	}
	if (out->why != CPU_ACTING) {
		only_forced(t);
		return;
	}
	predict(t, &plan);
	ask(t);
}

/* ---- narrow masks -------------------------------------------------------------------- */

/* What it waited, times the idle share of its bin: counters do not show both at once. */
static double avoidable_wait(const struct cpu_host *h, const struct vcpu *v)
{
	if (!v->now.narrow || !v->now.sampled)
		return 0;
	return fmax(0, v->now.wait) * bin_idle(&h->bin[v->now.bin]);
}

/* A mask that leaves out pCPUs of its bin is no home in it: who waits there gets all of it. */
static void widen(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		if (avoidable_wait(t->h, v) < t->tune->avoidable_wait)
			v->past.waited = 0;
		else
			v->past.waited++;
		if (v->past.waited < t->tune->persist_intervals || v->past.widened ||
		    v->plan.why != VCPU_STAYS)
			continue;
		v->plan.why = VCPU_WIDEN;
		v->plan.widen = true;
		if (t->out->moves++ == 0)
			t->out->why = CPU_WIDENING;
	}
}

static size_t room(size_t bytes)
{
	return (bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double);
}

size_t cpu_work_size(size_t n, size_t nbins)
{
	size_t place = place_work_size(n, nbins), node = node_work_size(n);

	return room(n * sizeof(int)) + (place > node ? place : node);
}

void cpu_decide(struct cpu_host *h, const struct cpu_conf *conf, void *work,
		struct cpu_report *out)
{
	struct tick t = { .h = h, .conf = conf, .tune = &conf->tune, .out = out, .at = work };

	memset(out, 0, sizeof(*out));
	if (h->n == 0 || h->nbins == 0)
		return;
	t.work = (char *)work + room(h->n * sizeof(int));
	see_demand(&t);
	background_see(t.tune, h, t.work);
	pins_see(t.tune, h);
	for (size_t b = 0; b < h->nbins; b++)
		h->bin[b].plan.planned = h->bin[b].plan.load;
	classify_all(&t);
	decide(&t);
	widen(&t);
}

/* ---- names ------------------------------------------------------------------------- */

#define REASON_NAME(code, part, name) [code] = name,
#define REASON_PART(code, part, name) [code] = part,

const char *cpu_why_name(enum cpu_why why)
{
	static const char name[CPU_WHYS][NAME_LEN] = { CPU_REASONS(REASON_NAME) };

	return name[why];
}

enum cpu_part cpu_part(enum cpu_why why)
{
	static const enum cpu_part part[CPU_WHYS] = { CPU_REASONS(REASON_PART) };

	return part[why];
}

const char *vcpu_why_name(enum vcpu_why why)
{
	static const char name[VCPU_WHYS][NAME_LEN] = { VCPU_REASONS(REASON_NAME) };

	return name[why];
}

enum vcpu_part vcpu_part(enum vcpu_why why)
{
	static const enum vcpu_part part[VCPU_WHYS] = { VCPU_REASONS(REASON_PART) };

	return part[why];
}
