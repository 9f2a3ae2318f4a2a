/*
 * sim_truth.c - figures of a placement by what the simulated guests really want
 */
#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/place.h"
#include "tests/sim/sim.h"

#include <math.h>

/* vCPUs and bins with the demands that the guests really have. */
struct truth {
	struct vcpu vcpu[SIM_VCPUS];
	struct bin bin[SIM_VCPUS];
	int at[SIM_VCPUS];
	struct place place;
};

static struct truth truth;

/* Of what the host itself does: what is bound, and an even share of the rest. */
static void tell_background(struct sim *s)
{
	double unbound = 0, m = 0;

	for (size_t b = 0; b < s->view.host.nbins; b++) {
		truth.bin[b] = s->view.host.bin[b];
		truth.bin[b].plan.background = s->irq[b];
		m += s->view.host.bin[b].now.capacity;
	}
	for (size_t i = 0; i < s->host_tasks; i++) {
		if (s->host_task[i].cpu >= 0)
			truth.bin[s->host_task[i].cpu].plan.background +=
				s->host_task[i].nominal;
		else
			unbound += s->host_task[i].nominal;
	}
	for (size_t b = 0; b < s->view.host.nbins; b++)
		truth.bin[b].plan.background += unbound * truth.bin[b].now.capacity / m;
}

static void tell(struct sim *s)
{
	struct truth *t = &truth;

	tell_background(s);
	for (size_t i = 0; i < s->view.host.n; i++) {
		struct vcpu *v = &t->vcpu[i];

		*v = s->view.host.vcpu[i];
		v->plan.demand = s->vm[i].nominal;
		v->plan.why = v->now.bin < 0 ? VCPU_INITIAL : VCPU_STAYS;
	}
	place_begin(&s->conf.tune, &t->place, t->bin, s->view.host.nbins, t->vcpu,
		    s->view.host.n, s->work);
}

/* Unpinned guests count where the kernel had them, by the pCPUs' measured busy time. */
double sim_peak(struct sim *s, double *bound)
{
	double left[SIM_VCPUS] = { 0 }, sum = 0, unpinned = 0, peak = 0;
	struct truth *t = &truth;

	tell(s);
	for (size_t b = 0; b < s->view.host.nbins; b++) {
		t->bin[b].plan.load = t->bin[b].plan.background;
		left[b] = t->bin[b].now.busy - t->bin[b].plan.background;
	}
	for (size_t i = 0; i < s->view.host.n; i++) {
		const struct vcpu *v = &t->vcpu[i];

		if (v->now.bin < 0) {
			unpinned += v->plan.demand;
		} else {
			t->bin[v->now.bin].plan.load += v->plan.demand;
			left[v->now.bin] -= v->now.run;
		}
	}
	for (size_t b = 0; b < s->view.host.nbins; b++)
		sum += fmax(0, left[b]);
	for (size_t b = 0; b < s->view.host.nbins; b++) {
		double load =
			t->bin[b].plan.load + (sum > 0 ? unpinned * fmax(0, left[b]) / sum : 0);

		if (load - t->bin[b].plan.background >= SIM_LITTLE)
			peak = fmax(peak, load);
	}
	*bound = t->place.lower_bound;
	return peak;
}

double sim_best(struct sim *s)
{
	struct place_score best;

	tell(s);
	best = place_plan(&truth.place, 1, 0, s->view.host.n, truth.at);
	return best.peak / truth.place.lower_bound;
}

static bool same_core(const struct cpu_host *h, size_t a, size_t b)
{
	return a == b || (h->bin[a].now.core >= 0 && h->bin[a].now.core == h->bin[b].now.core);
}

/* What really runs on a bin's core; busy: how many vCPUs of it are. */
static double core_load(const struct sim *s, size_t b, unsigned *busy)
{
	double load = 0;

	*busy = 0;
	for (size_t i = 0; i < s->view.host.n; i++) {
		const struct vcpu *v = &s->view.host.vcpu[i];

		if (v->now.bin < 0 || !same_core(&s->view.host, b, (size_t)v->now.bin))
			continue;
		load += s->vm[i].nominal;
		*busy += s->vm[i].nominal > SIM_BUSY;
	}
	return load;
}

unsigned sim_sharing(const struct sim *s)
{
	unsigned sharing = 0, busy;

	for (size_t i = 0; i < s->view.host.n; i++) {
		const struct vcpu *v = &s->view.host.vcpu[i];
		bool idle = false;

		if (s->vm[i].nominal <= SIM_BUSY || v->now.bin < 0)
			continue;
		for (size_t b = 0; b < s->view.host.nbins; b++)
			idle |= cpuset_has(v->now.allowed, (unsigned)b) &&
				s->view.host.bin[b].now.capacity > 0 &&
				core_load(s, b, &busy) + s->view.host.bin[b].plan.background <=
					SIM_IDLE;
		core_load(s, (size_t)v->now.bin, &busy);
		sharing += idle && busy > 1;
	}
	return sharing;
}

double sim_imbalance(const struct sim *s)
{
	double sum = 0, sq = 0, m = (double)s->view.host.nbins;

	for (size_t b = 0; b < s->view.host.nbins; b++)
		sum += s->view.host.bin[b].now.busy;
	for (size_t b = 0; b < s->view.host.nbins; b++)
		sq += pow(s->view.host.bin[b].now.busy - sum / m, 2);
	return 100 * sqrt(sq / m);
}
