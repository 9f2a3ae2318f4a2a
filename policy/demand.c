/*
 * demand.c - the demand of each vCPU, seen through the contention it runs in.
 *
 * A sample bounds the demand from both sides.  What a vCPU ran it wanted, so demand >= run.
 * And work is late by what it waited, at most, so demand <= run / (1 - wait).  The upper bound
 * is exact for work that goes on only after what it waits for is done (closed loop); the lower
 * one for work that arrives whether or not the last piece is done (open loop), as long as its
 * bin is not full.  Which of the two a vCPU's work is like shows in how its run answers to
 * wait over time.  Where the bin is full, work not known to be open is taken to be closed;
 * of open work we go on believing what we knew, as long as it lies between the bounds.
 */
#include <math.h>

#include "policy/cpu.h"
#include "policy/demand.h"

/* 0 where the bin has ample idle time, 1 where it is full, a ramp between. */
static double fullness(const struct cpu_tunables *tune, double idle)
{
	double f = (tune->idle_ample - idle) / (tune->idle_ample - tune->idle_full);

	return fmax(0, fmin(1, f));
}

static double limit(const struct vcpu *v)
{
	return v->now.quota > 0 ? fmin(1, v->now.quota) : 1;
}

/*
 * How much of its waiting a vCPU's work is late by: 1 closed, 0 open, as learned; guess where
 * nothing is.  Closed work runs less when it waits more: log run = log demand + closed *
 * log (1 - wait).  The slope is that of a regression, corrected for demand's own ups and
 * downs u, which raise wait as well: cov(u, log (1 - wait)) = -own * var(u), with own = wait.
 */
static double closed(const struct cpu_tunables *tune, const struct demand *d, double guess,
		     double weight)
{
	double prior = tune->slope_open + guess * (tune->slope_closed - tune->slope_open);
	double own = 1 - exp(d->log_wait);
	double over = d->sum_rw + own * d->sum_rr, under = d->sum_ww + 2 * own * d->sum_rw;
	double slope = (over + weight * prior) / (fmax(0, under) + weight);

	return fmax(0, fmin(1, (slope - tune->slope_open) /
				       (tune->slope_closed - tune->slope_open)));
}

static void learn(const struct cpu_tunables *tune, struct demand *d, double run, double wait)
{
	double r, w, news;

	if (run < tune->run_min_cpus || run + wait > tune->awake)
		return;
	r = log(run) - d->log_run;
	w = log(1 - wait) - d->log_wait;
	if (d->weight > 0 && r * w < 0 && fabs(r) > log(1 + tune->light_step_part))
		return; /* ran more though it waited more, or less of both: a new load, of any
			   kind */
	d->weight = tune->mean_keep * d->weight + 1;
	d->log_run += r / d->weight;
	d->log_wait += w / d->weight;
	news = 1 - 1 / d->weight;
	d->sum_rr = tune->slope_keep * d->sum_rr + news * r * r;
	d->sum_rw = tune->slope_keep * d->sum_rw + news * r * w;
	d->sum_ww = tune->slope_keep * d->sum_ww + news * w * w;
}

/*
 * What closed work that runs for a share of the time on a pCPU of this speed would on the
 * strongest: its bursts are shorter there, its pauses are not.
 */
static double at_full_speed(double share, double speed)
{
	double done = share * speed;

	return done / fmax(done, done + 1 - share);
}

/*
 * The demand that this sample alone, and what kind of work it is, speak for.  Who always runs
 * or waits is closed, unless it is known better: taken to want all whatever is known, the 300
 * hosts of t_cpu_random get 9.6 late pins for 2.3.
 */
static double guess(const struct cpu_tunables *tune, const struct vcpu *v, double idle,
		    double speed)
{
	const struct demand *d = &v->past.demand;
	double wait = fmin(fmax(v->now.wait, 0), tune->wait_max), full = fullness(tune, idle);
	bool always = v->now.run + wait >= tune->always;
	double all = always ? 1 : fmin(1, v->now.run / (1 - wait));
	double least = fmin(v->now.run * speed, limit(v));
	double most = fmin(at_full_speed(all, speed), limit(v));
	double known = d->seen ? fmin(fmax(d->mean, least), most) : most;
	double late = closed(tune, d, always ? 1 : tune->closed_prior, tune->slope_prior_idle);
	double share = fmin(1, v->now.run / (1 - late * wait));
	double room = fmin(at_full_speed(share, speed), limit(v));
	double none = known + closed(tune, d, 1, tune->slope_prior) * (most - known);

	return room + full * (none - room);
}

/* A sample far off, twice on one side, is a new load. */
static bool is_step(const struct cpu_tunables *tune, struct demand *d, double off, double sigma)
{
	double least = fmin(tune->step_cpus, tune->light_step_part * d->mean);
	int side = off > 0 ? 1 : -1;

	if (fabs(off) < fmax(least, tune->step_sigmas * sigma)) {
		d->steps = 0;
		return false;
	}
	d->steps = side == d->side ? d->steps + 1 : 1;
	d->side = side;
	return d->steps >= tune->step_samples;
}

/*
 * Returns whether the sample began a new load, which the last two tell and the next ones are
 * averaged with.  Steps leave the variance as it was.
 */
static bool take_in(const struct cpu_tunables *tune, struct demand *d, double sample,
		    double grain)
{
	double off = sample - d->mean, sigma = fmax(sqrt(d->var), grain);
	double usual = fmin(fabs(off), tune->step_sigmas * sigma);

	d->alike++;
	if (is_step(tune, d, off, sigma)) {
		d->mean = (d->last + sample) / 2;
		d->alike = 2;
		d->steps = 0;
		return true;
	}
	d->mean += off * fmax(1.0 / d->alike, fabs(off) > tune->far_sigmas * sigma
						      ? tune->smooth_far
						      : tune->smooth);
	d->var += tune->var_smooth * (usual * usual - d->var);
	return false;
}

void demand_update(const struct cpu_tunables *tune, struct vcpu *v, double idle, double speed,
		   double elapsed_s)
{
	struct demand *d = &v->past.demand;
	double grain = fmax(tune->sigma_min_cpus, tune->grain_s / elapsed_s / 2), sample;

	if (v->now.sampled) {
		learn(tune, d, v->now.run, fmax(v->now.wait, 0));
		sample = guess(tune, v, idle, speed);
		if (d->seen++ == 0) {
			d->mean = sample;
			d->alike = 1;
		} else if (take_in(tune, d, sample, grain)) {
			d->weight = 0;
		}
		d->last = sample;
		d->var = fmax(d->var, grain * grain);
	}
	v->plan.demand = fmin(d->mean, limit(v));
}
