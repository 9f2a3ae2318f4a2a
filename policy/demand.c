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
#include "vmbal.h"

#include <math.h>

#define WAIT_MAX     0.98  /* of the time: beyond it the division only amplifies noise */
#define IDLE_FULL    0.005 /* of a bin: idling less, it is full (the grain is 10 ms in 2 s) */
#define IDLE_SPARE   0.015 /* of a bin: idling more, everybody gets what he asks for */
#define SMOOTH       0.1   /* weight of a new sample: 5 % wobble becomes 1.2 % */
#define SMOOTH_FAR   0.3   /* weight of a sample beyond FAR deviations */
#define FAR          2.0   /* deviations */
#define STEP         3.0   /* deviations: two successive samples beyond are a new load */
#define STEP_MIN     0.10  /* CPUs: no step is smaller */
#define STEP_SAMPLES 2     /* one sample may be chance */
#define SIGMA_MIN    0.01  /* CPUs: no sample is better, by its grain alone */
#define GRAIN_S      0.010 /* seconds: libvirt 9.0 counts vCPU time in these */
#define VAR_SMOOTH   0.1   /* weight of a new squared deviation */

#define CLOSED_PRIOR 0.5   /* closedness assumed before any sample */
#define MEAN_KEEP    0.98  /* of the means that samples are compared with: 50 intervals */
#define SLOPE_KEEP   0.998 /* of what was learned of the slope: work seldom changes its kind */
#define SLOPE_PRIOR  0.02  /* sum of squares that the assumption before any sample is worth */
#define SLOPE_OPEN   0.1   /* slope of log run over log (1 - wait): surely open below */
#define SLOPE_CLOSED 0.4   /* surely closed above */
#define AWAKE        0.95  /* of the time: always runnable, open and closed look alike */
#define RUN_MIN      0.02  /* CPUs: two grains, less has no slope */

/* 0 where the bin has idle time to spare, 1 where it is full, a ramp between. */
static double fullness(double idle)
{
	double f = (IDLE_SPARE - idle) / (IDLE_SPARE - IDLE_FULL);

	return fmax(0, fmin(1, f));
}

static double limit(const struct vcpu *v)
{
	return v->quota > 0 ? fmin(1, v->quota) : 1;
}

/*
 * How much of its waiting a vCPU's work is late by: 1 closed, 0 open, as learned; guess where
 * nothing is.  Closed work runs less when it waits more: log run = log demand + closed *
 * log (1 - wait).  The slope is that of a regression, corrected for demand's own ups and
 * downs u, which raise wait as well: cov(u, log (1 - wait)) = -own * var(u), with own = wait.
 */
static double closed(const struct demand *d, double guess)
{
	double prior = SLOPE_OPEN + guess * (SLOPE_CLOSED - SLOPE_OPEN);
	double own = 1 - exp(d->log_wait);
	double over = d->sum_rw + own * d->sum_rr, under = d->sum_ww + 2 * own * d->sum_rw;
	double slope = (over + SLOPE_PRIOR * prior) / (fmax(0, under) + SLOPE_PRIOR);

	return fmax(0, fmin(1, (slope - SLOPE_OPEN) / (SLOPE_CLOSED - SLOPE_OPEN)));
}

static void learn(struct demand *d, double run, double wait)
{
	double r, w, news;

	if (run < RUN_MIN || run + wait > AWAKE)
		return;
	r = log(run) - d->log_run;
	w = log(1 - wait) - d->log_wait;
	d->weight = MEAN_KEEP * d->weight + 1;
	d->log_run += r / d->weight;
	d->log_wait += w / d->weight;
	news = 1 - 1 / d->weight;
	d->sum_rr = SLOPE_KEEP * d->sum_rr + news * r * r;
	d->sum_rw = SLOPE_KEEP * d->sum_rw + news * r * w;
	d->sum_ww = SLOPE_KEEP * d->sum_ww + news * w * w;
}

/* The demand that this sample alone, and what kind of work it is, speak for. */
static double guess(const struct vcpu *v, double idle)
{
	const struct demand *d = &v->seen;
	double wait = fmin(fmax(v->wait, 0), WAIT_MAX), full = fullness(idle);
	double least = fmin(v->run, limit(v)), most = fmin(v->run / (1 - wait), limit(v));
	double known = d->seen ? fmin(fmax(d->mean, least), most) : most;
	double room = fmin(v->run / (1 - closed(d, CLOSED_PRIOR) * wait), limit(v));
	double none = known + closed(d, 1) * (most - known);

	return room + full * (none - room);
}

/* A sample far off, twice on one side, is a new load: take it as it is. */
static bool is_step(struct demand *d, double off, double sigma)
{
	int side = off > 0 ? 1 : -1;

	if (fabs(off) < fmax(STEP_MIN, STEP * sigma)) {
		d->steps = 0;
		return false;
	}
	d->steps = side == d->side ? d->steps + 1 : 1;
	d->side = side;
	return d->steps >= STEP_SAMPLES;
}

/* Returns whether the sample began a new load.  Steps leave the variance as it was. */
static bool take_in(struct demand *d, double sample, double grain)
{
	double off = sample - d->mean, sigma = fmax(sqrt(d->var), grain);
	double usual = fmin(fabs(off), STEP * sigma);

	if (is_step(d, off, sigma)) {
		d->mean = sample;
		d->steps = 0;
		return true;
	}
	d->mean += off * (fabs(off) > FAR * sigma ? SMOOTH_FAR : SMOOTH);
	d->var += VAR_SMOOTH * (usual * usual - d->var);
	return false;
}

void demand_update(struct vcpu *v, double idle, double elapsed_s)
{
	struct demand *d = &v->seen;
	double grain = fmax(SIGMA_MIN, GRAIN_S / elapsed_s / 2), sample;

	if (v->sampled) {
		learn(d, v->run, fmax(v->wait, 0));
		sample = guess(v, idle);
		if (d->seen++ == 0)
			d->mean = sample;
		else if (take_in(d, sample, grain))
			d->weight = 0;
		d->var = fmax(d->var, grain * grain);
	}
	v->demand = fmin(d->mean, limit(v));
}
