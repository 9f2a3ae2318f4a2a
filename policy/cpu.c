/*
 * cpu.c - from one interval's samples to targets: what is asked for where, whether that needs
 * action, and the gates that a plan must pass before it may cost pins.
 */
#include "vmbal.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define POINTS        100.0 /* per CPU */
#define OTHER_MIN     0.02  /* of a bin: less other load is the samples' grain */
#define OTHER_UP      0.3   /* weight of a new sample of other load that is more: leave soon */
#define OTHER_DOWN    0.1   /* less: come back slowly, host processes wander */
#define SETTLE_MIN    0.02  /* CPUs: a floating vCPU using less disturbs no plan */
#define IDLE_PLENTY   0.10  /* of a bin: a place where any demand shows itself */
#define PERSIST       2     /* intervals over the threshold: one may be a burst */
#define LASTING       20    /* intervals that a fullest bin a little too full is borne */
#define NOISE_SIGMAS  2.0   /* deviations: a smaller gain is chance, 1 in 20 */
#define PAY           0.2   /* fall of the sum of squares per squared demand that moves */
#define LITTLE        0.007 /* CPUs over its aim: a fullest bin so full is worth a patient look */
#define BACKOFF_FREE  2     /* passes in a row that cost no waiting */
#define BACKOFF_FIRST 4     /* intervals to wait after these, doubling with each pass */
#define BACKOFF_MAX   256   /* intervals */
#define FORGIVE       4     /* times the wait without a pass: one pass is forgotten */
#define FOREIGN_ADD   100   /* per pin that is not ours; */
#define NAME_LEN      40    /* bytes: an array of pointers would have to be relocated */
#define FOREIGN_ALONE 250   /* so three in a short time: somebody else looks after this one */
#define FOREIGN_REST  1000 /* intervals before it is tried again */

const struct cpu_limits cpu_limits_default = {
	.start_points = 5,
	.stop_points = 3.5,
	.aim = 1.03,
	.severe = 1.25,
};

/* What one call of cpu_decide works with. */
struct tick {
	struct cpu_host *h;
	const struct cpu_limits *lim;
	struct cpu_report *out;
	struct place place;
	void *work;
	int *at;
	bool spare;  /* some bin idles plenty: demands show themselves */
	bool forced; /* a vCPU is where it may not be */
	bool severe;
};

/* ---- what is asked for where -------------------------------------------------------- */

static double idle_share(const struct bin *b)
{
	if (b->capacity <= 0 || b->busy < 0)
		return 0;
	return fmax(0, 1 - b->busy / b->capacity);
}

static double mean_idle(const struct cpu_host *h)
{
	double idle = 0, room = 0;

	for (size_t b = 0; b < h->nbins; b++) {
		idle += idle_share(&h->bin[b]) * h->bin[b].capacity;
		room += h->bin[b].capacity;
	}
	return room > 0 ? idle / room : 0;
}

static void see_demand(struct tick *t)
{
	struct cpu_host *h = t->h;
	double floating = mean_idle(h);

	for (size_t b = 0; b < h->nbins; b++)
		t->spare |= idle_share(&h->bin[b]) >= IDLE_PLENTY;

	for (size_t i = 0; i < h->n; i++) {
		struct vcpu *v = &h->vcpu[i];

		demand_update(v, v->bin >= 0 ? idle_share(&h->bin[v->bin]) : floating,
			      h->elapsed_s);
	}
}

/* Busy time per bin that its own vCPUs do not explain: other load, and floating vCPUs. */
static double residuals(struct tick *t, double *residual)
{
	struct cpu_host *h = t->h;
	double sum = 0;

	for (size_t b = 0; b < h->nbins; b++)
		residual[b] = fmax(0, h->bin[b].busy);
	for (size_t i = 0; i < h->n; i++)
		if (h->vcpu[i].bin >= 0 && h->vcpu[i].sampled)
			residual[h->vcpu[i].bin] -= h->vcpu[i].run;
	for (size_t b = 0; b < h->nbins; b++) {
		residual[b] = fmax(0, residual[b]);
		sum += residual[b];
	}
	return sum;
}

static void see_other(struct bin *b, double other)
{
	double was = b->other;

	if (other < OTHER_MIN * b->capacity)
		other = 0;
	if (!b->known)
		b->other = other;
	else
		b->other += (other - was) * (other > was ? OTHER_UP : OTHER_DOWN);
	if (b->other < OTHER_MIN * b->capacity / 2)
		b->other = 0;
	b->known = true;
}

/* Does busy minus run mean anything?  Not if somebody's run is missing from it. */
static bool accounts(const struct cpu_host *h)
{
	if (h->churned)
		return false;
	for (size_t i = 0; i < h->n; i++)
		if (!h->vcpu[i].sampled)
			return false;
	for (size_t b = 0; b < h->nbins; b++)
		if (h->bin[b].busy < 0)
			return false;
	return true;
}

/*
 * Set other and load of every bin.  Where floating vCPUs run is not asked for: what is left
 * of each bin's busy time is theirs and other load's in the same proportion everywhere.
 */
static void see_loads(struct tick *t)
{
	struct cpu_host *h = t->h;
	double *residual = t->work, left = residuals(t, residual), run = 0, wanted = 0, mine;
	bool tells = accounts(h);

	for (size_t i = 0; i < h->n; i++) {
		if (h->vcpu[i].bin != BIN_FLOATS)
			continue;
		run += h->vcpu[i].sampled ? h->vcpu[i].run : 0;
		wanted += h->vcpu[i].demand;
	}
	mine = left > 0 ? fmin(1, run / left) : 0;
	for (size_t b = 0; b < h->nbins; b++) {
		if (tells)
			see_other(&h->bin[b], residual[b] * (1 - mine));
		h->bin[b].load = h->bin[b].other;
		if (left > 0)
			h->bin[b].load += wanted * residual[b] / left;
	}
	for (size_t i = 0; i < h->n; i++)
		if (h->vcpu[i].bin >= 0)
			h->bin[h->vcpu[i].bin].load += h->vcpu[i].demand;
}

/* ---- what became of earlier pins ---------------------------------------------------- */

/* Somebody else's pin, unless the sample says that the guest is a new one. */
static bool is_foreign(const struct vcpu *v, int expected)
{
	return v->moved.known && v->sampled && v->bin != expected && v->bin >= BIN_FLOATS &&
	       expected >= BIN_FLOATS;
}

/* Returns whether we moved it since the last decision. */
static bool note_bin(struct vcpu *v)
{
	struct moved *m = &v->moved;
	bool ours = m->waiting && (v->pinned || v->bin == m->asked);

	m->foreign -= m->foreign > 0;
	if (is_foreign(v, ours ? m->asked : m->last))
		m->foreign = m->foreign + FOREIGN_ADD < FOREIGN_ALONE
				     ? m->foreign + FOREIGN_ADD
				     : FOREIGN_ALONE + FOREIGN_REST;
	m->known = true;
	m->last = v->bin;
	m->waiting = v->pinned = false;
	return ours;
}

/* Intervals to wait between passes. */
static unsigned backoff(const struct cpu_host *h)
{
	unsigned wait = BACKOFF_FIRST;

	if (h->passes < BACKOFF_FREE)
		return 0;
	for (unsigned k = BACKOFF_FREE; k < h->passes && wait < BACKOFF_MAX; k++)
		wait *= 2;
	return wait;
}

static void see_pins(struct tick *t)
{
	struct cpu_host *h = t->h;
	bool pass = false;

	for (size_t i = 0; i < h->n; i++)
		pass |= note_bin(&h->vcpu[i]);
	h->quiet++;
	if (pass) {
		h->passes++;
		h->quiet = 0;
	} else if (h->passes > 0 && h->quiet > FORGIVE * (BACKOFF_FIRST + backoff(h))) {
		h->passes--;
		h->quiet = backoff(h);
	}
}

/* ---- who may go -------------------------------------------------------------------- */

static enum vcpu_why classify(const struct vcpu *v)
{
	bool lost = v->bin == BIN_ASTRAY ||
		    (v->bin >= 0 && !cpuset_has(v->allowed, (unsigned)v->bin));

	if (v->stuck)
		return VCPU_STUCK;
	if (lost)
		return VCPU_FENCE;
	if (v->moved.foreign >= FOREIGN_ALONE)
		return VCPU_FOREIGN;
	if (v->seen.seen == 0)
		return VCPU_UNSEEN;
	if (v->bin == BIN_FLOATS && v->demand >= SETTLE_MIN)
		return VCPU_SETTLE;
	return VCPU_STAYS;
}

static void classify_all(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		v->target = v->bin;
		v->was = v->why;
		v->why = classify(v);
		t->forced |= v->why == VCPU_FENCE;
	}
}

static void begin(struct tick *t)
{
	node_plan(t->h, t->work);
	place_begin(&t->place, t->h->bin, t->h->nbins, t->h->vcpu, t->h->n, t->work);
}

/* Floating vCPUs go on floating, and those away from their node stay away. */
static void leave_alone(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		if (v->why == VCPU_NODE)
			v->node = t->h->bin[v->bin].node;
		if (v->why == VCPU_SETTLE || v->why == VCPU_NODE)
			v->why = VCPU_STAYS;
	}
}

/* ---- trigger ------------------------------------------------------------------------ */

/* The placement as measured: of floating vCPUs, what the kernel makes of them. */
static struct place_score measure(const struct tick *t)
{
	struct place_score s = { 0 };
	size_t m = 0;

	for (size_t k = 0; k < t->h->nbins; k++)
		t->place.load[k] = t->h->bin[k].load;
	for (size_t k = 0; k < t->h->nbins; k++) {
		const struct bin *b = &t->h->bin[k];
		double x, off;

		if (b->capacity <= 0)
			continue;
		x = place_full(&t->place, k);
		off = x - t->place.level[k];
		m++;
		s.squares += x * x;
		if (b->load <= b->other && off > 0)
			continue;
		s.fullest = fmax(s.fullest, x);
		s.spread += off * off;
	}
	s.spread = m > 0 ? POINTS * sqrt(s.spread / (double)m) : 0;
	return s;
}

/* Variance of the fullest bin's load, and of an average bin's. */
static double noise_of(const struct tick *t, double fullest, double *average)
{
	const struct cpu_host *h = t->h;
	double top = 0, all = 0, room = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct vcpu *v = &h->vcpu[i];
		const struct bin *b = &h->bin[v->bin >= 0 ? v->bin : 0];

		all += v->seen.var;
		if (v->bin >= 0 && b->capacity > 0 &&
		    place_full(&t->place, (size_t)v->bin) >= fullest)
			top += v->seen.var / (b->capacity * b->capacity);
	}
	for (size_t b = 0; b < h->nbins; b++)
		room += h->bin[b].capacity;
	*average = room > 0 ? all / room : 0;
	return top > 0 ? top : *average;
}

/* A Schmitt trigger; CPU_ACTING: look for a plan. */
static enum cpu_why trigger(struct tick *t, const struct place_score *now)
{
	struct cpu_host *h = t->h;
	double bound = t->place.bound;

	t->severe = now->fullest >= 1 &&
		    now->fullest > t->lim->severe * bound + NOISE_SIGMAS * t->out->noise;
	if (now->spread > t->lim->start_points || t->severe)
		h->over++;
	else
		h->over = 0;
	if (now->fullest > bound * t->lim->aim + LITTLE)
		h->lasting++;
	else
		h->lasting -= h->lasting > 0;
	if (t->severe || h->over >= PERSIST || h->lasting >= LASTING)
		h->active = true;
	if (now->spread <= t->lim->stop_points && now->fullest <= t->lim->aim * bound)
		h->active = false;
	if (h->active)
		return CPU_ACTING;
	if (h->over > 0)
		return CPU_PERSIST;
	return now->spread > t->lim->stop_points ? CPU_HYSTERESIS : CPU_BALANCED;
}

/* ---- gates ------------------------------------------------------------------------- */

static bool above_noise(const struct place_score *now, const struct place_score *plan,
			double sigma, double average)
{
	double fall =
		(now->spread * now->spread - plan->spread * plan->spread) / (POINTS * POINTS);

	if (now->fullest - plan->fullest >= NOISE_SIGMAS * sigma)
		return true;
	return fall >= NOISE_SIGMAS * average;
}

/* May we act now, whatever the plan?  Else how long not. */
static enum cpu_why may_act(struct tick *t)
{
	struct cpu_host *h = t->h;
	unsigned wait = backoff(h);
	bool exempt = t->spare && t->severe;

	if (h->quiet < wait && !exempt) {
		t->out->wait = wait - h->quiet;
		return CPU_BACKOFF;
	}
	return CPU_ACTING;
}

static enum cpu_why worth_it(struct tick *t, const struct place_score *now,
			     const struct place_score *plan, double average)
{
	if (plan->moves == 0 || plan->fullest > now->fullest || plan->squares > now->squares)
		return CPU_BOUND;
	if (!above_noise(now, plan, t->out->noise, average))
		return CPU_NOISE;
	if (!t->severe && now->squares - plan->squares < PAY * plan->moved)
		return CPU_COSTLY;
	return may_act(t);
}

/* ---- acting ------------------------------------------------------------------------- */

static void ask(struct tick *t)
{
	for (size_t i = 0; i < t->h->n; i++) {
		struct vcpu *v = &t->h->vcpu[i];

		if (t->at[i] < 0 || t->at[i] == v->bin)
			continue;
		v->target = t->at[i];
		if (v->why == VCPU_STAYS)
			v->why = VCPU_EVEN_OUT;
		v->moved.waiting = true;
		v->moved.asked = v->target;
		t->out->moves++;
	}
}

static void predict(struct tick *t, const struct place_score *plan)
{
	struct cpu_host *h = t->h;

	for (size_t b = 0; b < h->nbins; b++)
		h->bin[b].planned = t->place.other[b];
	for (size_t i = 0; i < h->n; i++)
		if (t->at[i] >= 0)
			h->bin[t->at[i]].planned += h->vcpu[i].demand;
	t->out->spread_after = plan->spread;
	t->out->fullest_after = plan->fullest;
}

/* Nobody moves but those who must. */
static void only_forced(struct tick *t)
{
	struct place_score plan;

	leave_alone(t);
	if (!t->forced)
		return;
	place_begin(&t->place, t->h->bin, t->h->nbins, t->h->vcpu, t->h->n, t->work);
	plan = place_plan(&t->place, t->lim->aim, t->lim->stop_points, 0, t->at);
	predict(t, &plan);
	ask(t);
	t->out->why = CPU_FORCED;
}

static void decide(struct tick *t)
{
	double average, aim = t->lim->aim, stop = t->lim->stop_points;
	struct place_score now, plan;
	struct cpu_report *out = t->out;

	begin(t);
	now = measure(t);
	out->bound = t->place.bound;
	out->fullest = out->fullest_after = now.fullest;
	out->spread = out->spread_after = now.spread;
	out->noise = sqrt(noise_of(t, now.fullest, &average));
	out->why = trigger(t, &now);
	if (out->why == CPU_ACTING) {
		plan = place_plan(&t->place, aim, stop, t->h->n, t->at);
		out->fewest = bound_fewest(&t->place, aim * t->place.bound);
		out->why = worth_it(t, &now, &plan, average);
	}
	if (out->why != CPU_ACTING) {
		only_forced(t);
		return;
	}
	predict(t, &plan);
	ask(t);
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

void cpu_decide(struct cpu_host *h, const struct cpu_limits *lim, void *work,
		struct cpu_report *out)
{
	struct tick t = { .h = h, .lim = lim, .out = out, .at = work };

	memset(out, 0, sizeof(*out));
	if (h->n == 0 || h->nbins == 0)
		return;
	t.work = (char *)work + room(h->n * sizeof(int));
	see_demand(&t);
	see_loads(&t);
	see_pins(&t);
	for (size_t b = 0; b < h->nbins; b++)
		h->bin[b].planned = h->bin[b].load;
	classify_all(&t);
	decide(&t);
}

/* ---- names ------------------------------------------------------------------------- */

const char *cpu_why_name(enum cpu_why why)
{
	static const char name[CPU_WHYS][NAME_LEN] = {
		[CPU_NOTHING] = "nothing to balance",
		[CPU_BALANCED] = "balanced",
		[CPU_HYSTERESIS] = "within hysteresis",
		[CPU_PERSIST] = "waiting for a second interval",
		[CPU_BOUND] = "no placement is better",
		[CPU_NOISE] = "gain below noise",
		[CPU_COSTLY] = "gain does not pay for the pins",
		[CPU_BACKOFF] = "backing off",
		[CPU_FORCED] = "only forbidden bins are left",
		[CPU_ACTING] = "acting",
	};

	return name[why];
}

const char *vcpu_why_name(enum vcpu_why why)
{
	static const char name[VCPU_WHYS][NAME_LEN] = {
		[VCPU_STAYS] = "stays",           [VCPU_EVEN_OUT] = "evens out the load",
		[VCPU_SETTLE] = "settles",        [VCPU_FENCE] = "may not be where it is",
		[VCPU_STUCK] = "cannot be moved", [VCPU_FOREIGN] = "somebody else moves it",
		[VCPU_UNSEEN] = "not seen yet",   [VCPU_NODE] = "joins its NUMA node",
	};

	return name[why];
}
