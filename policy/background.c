/*
 * background.c - what the host itself does, and what every bin has to do with it.
 *
 * Busy time that vCPUs do not explain is background load, or unpinned vCPUs.  It is seen where
 * there is idle time, and moves when vCPUs do:
 *
 *	bin 0: | vCPUs .5 |     .3 |      after a pin      | vCPUs .7 | .1 |
 *	bin 1: | vCPUs .7 | .1 |              ->           | vCPUs .5 |     .3 |
 *
 * So it counts as spread evenly, as unpinned vCPUs do.  Bound to its bin is what stays there
 * though another bin idles more, and interrupts: that much of the bin is lost to vCPUs.
 */
#include <float.h>
#include <math.h>

#include "policy/background.h"
#include "policy/cpu.h"

/* Busy time per bin that its own vCPUs do not explain: background load, unpinned vCPUs. */
static double residuals(const struct cpu_host *h, double *residual)
{
	double sum = 0;

	for (size_t b = 0; b < h->nbins; b++)
		residual[b] = fmax(0, h->bin[b].now.busy);
	for (size_t i = 0; i < h->n; i++)
		if (h->vcpu[i].now.bin >= 0 && h->vcpu[i].now.sampled)
			residual[h->vcpu[i].now.bin] -=
				h->vcpu[i].now.run * bin_speed(&h->bin[h->vcpu[i].now.bin]);
	for (size_t b = 0; b < h->nbins; b++) {
		residual[b] = fmax(0, residual[b]);
		sum += residual[b];
	}
	return sum;
}

/* Does busy minus run mean anything?  Not if somebody's run is missing from it. */
static bool accounts(const struct cpu_host *h)
{
	if (h->churned)
		return false;
	for (size_t i = 0; i < h->n; i++)
		if (!h->vcpu[i].now.sampled)
			return false;
	for (size_t b = 0; b < h->nbins; b++)
		if (h->bin[b].now.busy < 0)
			return false;
	return true;
}

static void see(double *mean, double sample, double up, double down)
{
	*mean += (sample - *mean) * (sample > *mean ? up : down);
}

/*
 * A sample of a bin's background load.  off: so much more does another bin idle.  If that is
 * much, twice, this load is bound here: unbound, it would have gone there.  So does what
 * was bound here a while ago.
 */
static void see_background(const struct cpu_tunables *tune, struct bin *b, double sample,
			   double off)
{
	bool wide = off >= tune->bound_gap, stays = (wide && b->past.wide) || b->past.gone > 0;

	b->past.wide = wide;
	if (sample < tune->background_min * b->now.capacity)
		sample = 0;
	if (!b->past.known)
		b->past.seen = b->past.least = sample;
	if (stays && fmin(sample, b->past.last) > b->past.least + tune->bound_step_cpus)
		b->past.seen = b->past.least = fmin(sample, b->past.last);
	see(&b->past.seen, sample, tune->background_up, tune->background_down);
	see(&b->past.least, sample, stays ? fmax(off, tune->bound_up) : tune->bound_up, 1);
	b->past.last = sample;
	if (b->past.seen < tune->background_min * b->now.capacity / 2)
		b->past.seen = 0;
	b->past.stays |= stays;
	b->past.known = true;
}

/*
 * How much more another bin idles than b, whose background load the kernel would have moved
 * there had it met vCPUs: where it is alone it has no reason to go.
 */
static double gap(const struct cpu_tunables *tune, const struct bin *b, double residual,
		  double idlest)
{
	return b->now.busy - residual < tune->bound_gap * b->now.capacity
		       ? 0
		       : idlest - bin_idle(b);
}

/* What has gone may come back soon: it counts for as long again as it was here, up to
 * bound_linger. */
static void see_bound(const struct cpu_tunables *tune, struct bin *b, double bound)
{
	if (bound >= b->past.bound - tune->bound_step_cpus) {
		b->past.here =
			bound > b->past.bound + tune->bound_step_cpus ? 0 : b->past.here + 1;
		b->past.gone = 0;
		see(&b->past.bound, bound, 1, tune->background_down);
	} else if (++b->past.gone >= tune->bound_linger_intervals ||
		   b->past.gone > b->past.here) {
		b->past.bound = bound;
		b->past.here = b->past.gone = 0;
	}
}

static double least_share(const struct bin *b)
{
	return b->past.least / b->now.capacity;
}

/*
 * Background load is unbound, as unpinned vCPUs are: it is seen where there is idle time, and
 * moves when vCPUs do.  So it counts as spread over the host, but for what is bound to its bin:
 * interrupts, and what was here in every interval lately beyond that of any other bin, if once
 * it stayed.
 */
static void even_background(const struct cpu_tunables *tune, struct cpu_host *h)
{
	double unbound = 0, room = 0, everywhere = DBL_MAX;

	for (size_t b = 0; b < h->nbins; b++)
		if (h->bin[b].now.capacity > 0)
			everywhere = fmin(everywhere, least_share(&h->bin[b]));
	for (size_t b = 0; b < h->nbins; b++) {
		struct bin *bin = &h->bin[b];
		double more = fmax(0, bin->past.least - everywhere * bin->now.capacity);

		bin->past.stays &= more > 0;
		see_bound(tune, bin, fmax(bin->past.stays ? more : 0, bin->now.irq));
		unbound += fmax(0, bin->past.seen - bin->past.bound);
		room += bin->now.capacity;
	}
	for (size_t b = 0; b < h->nbins; b++)
		h->bin[b].plan.background =
			h->bin[b].past.bound +
			(room > 0 ? unbound * h->bin[b].now.capacity / room : 0);
}

/*
 * Set the background load and the load of every bin.  Where unpinned vCPUs run is not asked
 * for: what is left of each bin's busy time is theirs and the background's in the same
 * proportion everywhere.
 */
void background_see(const struct cpu_tunables *tune, struct cpu_host *h, double *residual)
{
	double left = residuals(h, residual), run = 0, wanted = 0, mine;
	double idlest = 0;
	bool tells = accounts(h);

	for (size_t i = 0; i < h->n; i++) {
		if (h->vcpu[i].now.bin != BIN_UNPINNED)
			continue;
		run += h->vcpu[i].now.sampled ? h->vcpu[i].now.run : 0;
		wanted += h->vcpu[i].plan.demand;
	}
	mine = left > 0 ? fmin(1, run / left) : 0;
	for (size_t b = 0; b < h->nbins; b++)
		idlest = fmax(idlest, bin_idle(&h->bin[b]));
	for (size_t b = 0; b < h->nbins && tells; b++)
		see_background(tune, &h->bin[b], residual[b] * (1 - mine),
			       gap(tune, &h->bin[b], residual[b], idlest));
	even_background(tune, h);
	for (size_t b = 0; b < h->nbins; b++) {
		h->bin[b].plan.load = h->bin[b].plan.background;
		if (left > 0)
			h->bin[b].plan.load += wanted * residual[b] / left;
	}
	for (size_t i = 0; i < h->n; i++)
		if (h->vcpu[i].now.bin >= 0)
			h->bin[h->vcpu[i].now.bin].plan.load += fmin(
				h->vcpu[i].plan.demand, bin_speed(&h->bin[h->vcpu[i].now.bin]));
}
