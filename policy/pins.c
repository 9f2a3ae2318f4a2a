/*
 * pins.c - what became of earlier pins: how soon the next ones may follow, whom to leave to
 * somebody else, and whom moving does not help.
 *
 * A move promises that a vCPU wants there what it wanted here.  Where pCPUs are of unequal
 * speed, and nobody told, demands change with the place: moves that even out what is measured
 * even out nothing, for ever.  So what a vCPU wants is asked again three intervals later:
 *
 *	pass            due, half    pass            due, half
 *	  |---1---2---3---|  broken    |---1---2---3---|  broken again: quiet until loads change
 *
 * After two such passes in a row each vCPU stays until its own load, or that of its bin, is
 * clearly another than it was then.  Moves out of a full bin promise nothing, as what is wanted
 * there is known badly, and so do those that end in one.
 */
#include <math.h>

#include "policy/cpu.h"
#include "policy/pins.h"

/* Somebody else's pin, unless the sample says that the guest is a new one. */
static bool is_external(const struct vcpu *v, int expected)
{
	return v->past.moved.known && v->now.sampled && v->now.bin != expected &&
	       v->now.bin >= BIN_UNPINNED && expected >= BIN_UNPINNED;
}

/* Returns whether we moved it since the last decision. */
static bool note_bin(const struct cpu_tunables *tune, struct vcpu *v)
{
	struct moved *m = &v->past.moved;
	bool ours = m->waiting && (v->past.pinned || v->now.bin == m->asked);

	m->external -= m->external > 0;
	if (is_external(v, ours ? m->asked : m->last))
		m->external = m->external + tune->external_pin < tune->external_alone
				      ? m->external + tune->external_pin
				      : tune->external_alone + tune->external_rest;
	m->known = true;
	m->last = v->now.bin;
	v->past.widened |= v->past.pinned && v->plan.widen;
	m->waiting = v->past.pinned = false;
	if (ours) {
		m->due = tune->promise_samples;
		m->found = 0;
	}
	return ours;
}

unsigned pins_backoff(const struct cpu_tunables *tune, const struct cpu_host *h)
{
	unsigned wait = tune->backoff_first_intervals;

	if (h->passes < tune->backoff_free_passes)
		return 0;
	for (unsigned k = tune->backoff_free_passes;
	     k < h->passes && wait < tune->backoff_max_intervals; k++)
		wait *= 2;
	return wait;
}

static void count_pass(const struct cpu_tunables *tune, struct cpu_host *h, bool pass)
{
	unsigned first = tune->backoff_first_intervals;

	h->quiet++;
	if (pass) {
		h->passes++;
		h->quiet = h->over = 0;
		h->active = false;
	} else if (h->passes > 0 &&
		   h->quiet > tune->backoff_forgive * (first + pins_backoff(tune, h))) {
		h->passes--;
		h->quiet = pins_backoff(tune, h);
	}
}

/* ---- promises ------------------------------------------------------------------------ */

void pins_ask(struct vcpu *v, bool promise)
{
	struct moved *m = &v->past.moved;

	m->waiting = true;
	m->asked = v->plan.target;
	m->promised = v->plan.demand;
	m->hidden = !promise;
}

/* Does v, whose last move is due, want there what it wanted where it was? */
static bool keeps_promise(const struct cpu_tunables *tune, const struct vcpu *v)
{
	const struct moved *m = &v->past.moved;
	double off = m->found / tune->promise_samples - m->promised;

	return fabs(off) <= fmax(tune->promise_part * m->promised, sqrt(v->past.demand.var));
}

/* Of the moves that are due: *due, and how many did not hold. */
static unsigned see_promises(const struct cpu_tunables *tune, struct cpu_host *h, unsigned *due)
{
	unsigned broken = 0;

	*due = 0;
	for (size_t i = 0; i < h->n; i++) {
		struct vcpu *v = &h->vcpu[i];

		if (v->past.moved.due == 0)
			continue;
		v->past.moved.hidden |=
			v->now.bin < 0 || bin_idle(&h->bin[v->now.bin]) < tune->idle_ample;
		v->past.moved.found += v->past.demand.last;
		if (--v->past.moved.due > 0 || v->past.moved.hidden)
			continue;
		++*due;
		broken += !keeps_promise(tune, v);
	}
	return broken;
}

static bool is_another(const struct cpu_tunables *tune, double now, double then)
{
	return fabs(now - then) > fmax(tune->promise_part * then, tune->step_cpus);
}

/* Whom moving did not help stays, until its own load or that of its bin is another. */
static void see_futile(const struct cpu_tunables *tune, struct cpu_host *h, bool begins)
{
	for (size_t i = 0; i < h->n; i++) {
		struct vcpu *v = &h->vcpu[i];
		struct moved *m = &v->past.moved;

		if (v->now.bin < 0 || v->now.bin != m->last)
			m->futile = false;
		else if (begins || (m->futile && h->quiet < tune->promise_settle_intervals)) {
			m->futile = true;
			m->then = v->plan.demand;
			m->around = h->bin[v->now.bin].plan.load;
		} else if (m->futile &&
			   (is_another(tune, v->plan.demand, m->then) ||
			    is_another(tune, h->bin[v->now.bin].plan.load, m->around)))
			m->futile = false;
		m->then += tune->promise_follow * (v->plan.demand - m->then);
		if (v->now.bin >= 0)
			m->around += tune->promise_follow *
				     (h->bin[v->now.bin].plan.load - m->around);
	}
}

void pins_see(const struct cpu_tunables *tune, struct cpu_host *h)
{
	unsigned due, broken;
	bool pass = false;

	for (size_t i = 0; i < h->n; i++)
		pass |= note_bin(tune, &h->vcpu[i]);
	count_pass(tune, h, pass);
	broken = see_promises(tune, h, &due);
	if (due > 0)
		h->broken = broken >= tune->promise_broken * due ? h->broken + 1 : 0;
	see_futile(tune, h, h->broken >= tune->promise_passes);
	if (h->broken >= tune->promise_passes)
		h->broken = 0;
}
