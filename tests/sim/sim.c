/*
 * sim.c - the CPU policy over the simulated host; see sim.h.
 */
#include "sim.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY      1e-6
#define WOBBLE_NS 2000000.0 /* deviation of an interval's real length */
#define SHARE     0.65      /* of its speed, for a thread whose sibling is busy */
#define CAPPED    0.4       /* mean of what a normal deviation loses where it is cut at 0 */

struct sim *sim_new(unsigned ncpus, uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert(s);
	s->plant = plant_new(ncpus, seed);
	s->host.bin = calloc(ncpus, sizeof(*s->host.bin));
	s->host.vcpu = calloc(SIM_VCPUS, sizeof(*s->host.vcpu));
	s->host.nbins = ncpus;
	s->busy_ns = calloc(ncpus, sizeof(*s->busy_ns));
	s->work = malloc(cpu_work_size(SIM_VCPUS, ncpus));
	s->limits = cpu_limits_default;
	s->interval_ns = 2000000000;
	s->nsets = 1;
	assert(s->host.bin && s->host.vcpu && s->busy_ns && s->work);
	for (unsigned b = 0; b < ncpus; b++) {
		s->host.bin[b].capacity = 1;
		s->host.bin[b].core = s->host.bin[b].cache = s->host.bin[b].node = -1;
		cpuset_add(&s->set[0], b);
	}
	return s;
}

void sim_free(struct sim *s)
{
	plant_free(s->plant);
	free(s->host.bin);
	free(s->host.vcpu);
	free(s->busy_ns);
	free(s->work);
	free(s);
}

/* ---- guests ------------------------------------------------------------------------- */

size_t sim_vcpu(struct sim *s, struct plant_load load, int cpu)
{
	size_t i;

	s->guests--;
	i = sim_guest(s, load, cpu);
	s->host.vcpu[i].number = s->host.vcpu[i - 1].number + 1;
	return i;
}

size_t sim_guest(struct sim *s, struct plant_load load, int cpu)
{
	size_t i = s->host.n++;
	struct vcpu *v = &s->host.vcpu[i];
	struct sim_vcpu *vm = &s->vm[i];

	assert(i < SIM_VCPUS);
	memset(v, 0, sizeof(*v));
	memset(vm, 0, sizeof(*vm));
	vm->task = plant_task(s->plant, &load);
	vm->nominal = fmin(load.demand, 1 - CAPPED * load.wobble);
	vm->open = load.work == PLANT_OPEN;
	vm->fresh = true;
	v->uuid[0] = (unsigned char)(s->guests >> 8);
	v->uuid[1] = (unsigned char)s->guests++;
	v->guest = "guest";
	v->allowed = &s->set[0];
	v->bin = cpu;
	vm->first = cpu;
	if (cpu >= 0) {
		cpuset_add(&vm->been, (unsigned)cpu);
		plant_pin(s->plant, vm->task, (unsigned)cpu);
	}
	s->host.churned = true;
	return i;
}

void sim_end(struct sim *s, size_t i)
{
	plant_end(s->plant, s->vm[i].task);
	s->host.n--;
	memmove(&s->host.vcpu[i], &s->host.vcpu[i + 1], (s->host.n - i) * sizeof(struct vcpu));
	memmove(&s->vm[i], &s->vm[i + 1], (s->host.n - i) * sizeof(*s->vm));
	s->host.churned = true;
}

void sim_set_load(struct sim *s, size_t i, struct plant_load load)
{
	plant_set_load(s->plant, s->vm[i].task, &load);
	s->vm[i].nominal = fmin(load.demand, 1 - CAPPED * load.wobble);
}

void sim_fence(struct sim *s, size_t i, uint64_t bits)
{
	size_t k = 0;

	while (k < s->nsets && s->set[k].bits[0] != bits)
		k++;
	assert(k < SIM_SETS);
	if (k == s->nsets)
		s->set[s->nsets++].bits[0] = bits;
	s->host.vcpu[i].allowed = &s->set[k];
	if (s->host.vcpu[i].bin == BIN_FLOATS)
		plant_set_mask(s->plant, s->vm[i].task, &s->set[k]);
}

void sim_threads(struct sim *s)
{
	unsigned half = (unsigned)s->host.nbins / 2;

	for (unsigned b = 0; b < half; b++) {
		plant_siblings(s->plant, b, b + half, SHARE);
		s->host.bin[b].core = s->host.bin[b + half].core = (int)b;
	}
}

void sim_nodes(struct sim *s, unsigned nodes)
{
	size_t n = s->host.nbins, run = s->host.bin[0].core < 0 ? n : n / 2;

	for (size_t b = 0; b < n; b++)
		s->host.bin[b].node = s->host.bin[b].cache = (int)(b % run * nodes / run);
}

/* ---- one interval ------------------------------------------------------------------- */

static void sample(struct sim *s)
{
	double elapsed = (double)(plant_now_ns(s->plant) - s->last_ns);

	s->last_ns = plant_now_ns(s->plant);
	s->host.elapsed_s = elapsed / 1e9;
	for (size_t i = 0; i < s->host.n; i++) {
		struct vcpu *v = &s->host.vcpu[i];
		struct sim_vcpu *vm = &s->vm[i];
		uint64_t t = plant_time_ns(s->plant, vm->task);
		uint64_t w = plant_delay_ns(s->plant, vm->task);

		v->sampled = !vm->fresh;
		v->run = (double)(t - vm->time_ns) / elapsed;
		v->wait = s->no_delay ? -1 : fmin(1, (double)(w - vm->delay_ns) / elapsed);
		if (s->oracle) {
			v->run = vm->nominal;
			v->wait = 0;
		}
		vm->time_ns = t;
		vm->delay_ns = w;
		vm->fresh = false;
	}
	for (size_t b = 0; b < s->host.nbins; b++) {
		uint64_t busy = plant_busy_ns(s->plant, (unsigned)b);

		s->host.bin[b].busy = (double)(busy - s->busy_ns[b]) / elapsed;
		s->busy_ns[b] = busy;
	}
}

/* How full a bin is, hyperthreads considered; planned: with every target reached. */
static double fullness(const struct cpu_host *h, size_t b, bool planned)
{
	double own = planned ? h->bin[b].planned : h->bin[b].load, core = 0;
	unsigned threads = 0;

	for (size_t k = 0; k < h->nbins; k++) {
		if (h->bin[k].core != h->bin[b].core || h->bin[k].capacity <= 0)
			continue;
		core += planned ? h->bin[k].planned : h->bin[k].load;
		threads++;
	}
	return h->bin[b].core >= 0 && threads == 2 ? fmax(own, core / 2 / SHARE) : own;
}

static int node_at(const struct cpu_host *h, int bin)
{
	return bin < 0 ? bin : h->bin[bin].node;
}

/* A guest that was whole in a node, or nowhere, is whole in one. */
static void check_whole(const struct cpu_host *h, size_t first, size_t n)
{
	const struct vcpu *v = &h->vcpu[first];
	bool was = true, is = true, held = false;
	double room = 0;

	for (size_t b = 0; b < h->nbins; b++)
		room += h->bin[b].node == node_at(h, v->target) ? h->bin[b].capacity : 0;
	for (size_t i = 0; i < n; i++) {
		was &= node_at(h, v[i].bin) == node_at(h, v->bin);
		is &= node_at(h, v[i].target) == node_at(h, v->target);
		held |= v[i].stuck || v[i].allowed != v->allowed || v[i].why == VCPU_FOREIGN ||
			v[i].seen.seen == 0 || v[i].target < 0;
	}
	assert(!was || is || held || (double)n > room);
}

static void check_guests(const struct cpu_host *h)
{
	size_t end;

	for (size_t i = 0; i < h->n; i = end) {
		for (end = i + 1;
		     end < h->n && !memcmp(h->vcpu[end].uuid, h->vcpu[i].uuid, UUID_LEN);)
			end++;
		check_whole(h, i, end - i);
	}
}

/* What must hold of any decision. */
static void check(const struct sim *s)
{
	const struct cpu_host *h = &s->host;
	const struct cpu_report *r = &s->report;
	double now = 0, then = 0;
	size_t moves = 0;

	check_guests(h);

	for (size_t i = 0; i < h->n; i++) {
		const struct vcpu *v = &h->vcpu[i];

		if (v->target == v->bin)
			continue;
		moves++;
		assert(v->target >= 0 && (size_t)v->target < h->nbins);
		assert(cpuset_has(v->allowed, (unsigned)v->target));
		assert(h->bin[v->target].capacity > 0);
		assert(v->why != VCPU_STAYS && !v->stuck);
	}
	assert(moves == r->moves);
	assert((moves > 0) == (r->why == CPU_ACTING || (r->why == CPU_FORCED && moves > 0)));
	if (r->why != CPU_ACTING)
		return;
	for (size_t b = 0; b < h->nbins; b++) {
		now += pow(fullness(h, b, false), 2);
		then += pow(fullness(h, b, true), 2);
	}
	assert(r->fullest_after <= r->fullest + TINY);
	assert(then <= now + TINY);
	if (r->fullest_after <= s->limits.aim * r->bound)
		assert(moves >= r->fewest);
}

static void show(const struct sim *s)
{
	printf("# %3u %-30s S %5.1f -> %5.1f  F %.3f -> %.3f  LB %.3f  K %zu  moves %zu\n",
	       s->ticks, cpu_why_name(s->report.why), s->report.spread, s->report.spread_after,
	       s->report.fullest, s->report.fullest_after, s->report.bound, s->report.fewest,
	       s->report.moves);
}

static void act(struct sim *s)
{
	for (size_t i = 0; i < s->host.n; i++) {
		struct vcpu *v = &s->host.vcpu[i];

		if (v->target == v->bin)
			continue;
		if (s->verbose)
			printf("#     %zu: %d -> %d demand %.3f nominal %.2f run %.3f wait "
			       "%.3f\n",
			       i, v->bin, v->target, v->demand, s->vm[i].nominal, v->run,
			       v->wait);
		s->pins_now++;
		if (s->dry)
			continue;
		plant_pin(s->plant, s->vm[i].task, (unsigned)v->target);
		v->bin = v->target;
		v->pinned = true;
		s->vm[i].pins++;
		s->returns += cpuset_has(&s->vm[i].been, (unsigned)v->target);
		cpuset_add(&s->vm[i].been, (unsigned)v->target);
	}
	s->pins += s->pins_now;
}

void sim_tick(struct sim *s)
{
	double late = plant_uniform(s->plant) * WOBBLE_NS;

	plant_advance(s->plant, s->interval_ns + (uint64_t)late);
	sample(s);
	s->pins_now = 0;
	cpu_decide(&s->host, &s->limits, s->work, &s->report);
	s->ticks++;
	if (s->verbose)
		show(s);
	check(s);
	act(s);
	s->host.churned = false;
}

unsigned sim_run(struct sim *s, unsigned ticks)
{
	unsigned before = s->pins;

	while (ticks-- > 0)
		sim_tick(s);
	return s->pins - before;
}

/* ---- the truth ---------------------------------------------------------------------- */

/* vCPUs and bins with the demands that the guests really have. */
struct truth {
	struct vcpu vcpu[SIM_VCPUS];
	struct bin bin[SIM_VCPUS];
	int at[SIM_VCPUS];
	struct place place;
};

static struct truth truth;

static void tell(struct sim *s)
{
	struct truth *t = &truth;

	for (size_t b = 0; b < s->host.nbins; b++)
		t->bin[b] = s->host.bin[b];
	for (size_t i = 0; i < s->host.n; i++) {
		struct vcpu *v = &t->vcpu[i];

		*v = s->host.vcpu[i];
		v->demand = s->vm[i].nominal;
		v->why = v->bin < 0 ? VCPU_SETTLE : VCPU_STAYS;
	}
	place_begin(&t->place, t->bin, s->host.nbins, t->vcpu, s->host.n, s->work);
}

/* Floating guests count where the kernel had them, by the pCPUs' measured busy time. */
double sim_fullest(struct sim *s, double *bound)
{
	double left[SIM_VCPUS] = { 0 }, sum = 0, floating = 0, fullest = 0;
	struct truth *t = &truth;

	tell(s);
	for (size_t b = 0; b < s->host.nbins; b++) {
		t->bin[b].load = t->bin[b].other;
		left[b] = t->bin[b].busy - t->bin[b].other;
	}
	for (size_t i = 0; i < s->host.n; i++) {
		const struct vcpu *v = &t->vcpu[i];

		if (v->bin < 0) {
			floating += v->demand;
		} else {
			t->bin[v->bin].load += v->demand;
			left[v->bin] -= v->run;
		}
	}
	for (size_t b = 0; b < s->host.nbins; b++)
		sum += fmax(0, left[b]);
	for (size_t b = 0; b < s->host.nbins; b++)
		fullest = fmax(fullest,
			       t->bin[b].load +
				       (sum > 0 ? floating * fmax(0, left[b]) / sum : 0));
	*bound = t->place.bound;
	return fullest;
}

double sim_best(struct sim *s)
{
	struct place_score best;

	tell(s);
	best = place_plan(&truth.place, 1, 0, s->host.n, truth.at);
	return best.fullest / truth.place.bound;
}

double sim_spread(const struct sim *s)
{
	double sum = 0, sq = 0, m = (double)s->host.nbins;

	for (size_t b = 0; b < s->host.nbins; b++)
		sum += s->host.bin[b].busy;
	for (size_t b = 0; b < s->host.nbins; b++)
		sq += pow(s->host.bin[b].busy - sum / m, 2);
	return 100 * sqrt(sq / m);
}
