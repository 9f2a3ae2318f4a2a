/*
 * sim.c - the CPU policy over the simulated host; see sim.h.
 */
#include "tests/sim/sim.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/cpu.h"
#include "policy/sample.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WOBBLE_NS 2000000.0 /* deviation of an interval's real length */
#define CAPPED    0.4       /* mean of what a normal deviation loses where it is cut at 0 */

static void sample_alloc(struct vcpu_sample *v, unsigned ncpus)
{
	v->pcpu = calloc(ncpus, sizeof(*v->pcpu));
	v->vcpu = calloc(SIM_VCPUS, sizeof(*v->vcpu));
	assert(v->pcpu && v->vcpu);
}

/* Every pCPU on its own, with counters that begin now. */
static void host_fill(struct sim *s, unsigned ncpus)
{
	struct vcpu_sample *now = &s->now;

	now->npcpus = ncpus;
	now->nsets = now->set_cap = SIM_SETS + ncpus;
	now->set = calloc(now->nsets, sizeof(*now->set));
	now->name = calloc(1, sizeof(*now->name));
	assert(now->set && now->name);
	strcpy(now->name[0], "guest");
	for (unsigned c = 0; c < ncpus; c++) {
		now->topology.capacity[c] = 1;
		now->topology.core[c] = now->topology.cache[c] = now->topology.node[c] = -1;
		cpuset_add(&now->online, c);
		cpuset_add(&now->set[SIM_SETS + c], c);
	}
	now->open = now->set[0] = now->online;
	s->nallowed = 1;
}

/* What was sampled is the sample before, from now on. */
static void sample_keep(struct sim *s)
{
	struct cpu_time *pcpu = s->before.pcpu;
	struct vcpu_count *vcpu = s->before.vcpu;

	memcpy(pcpu, s->now.pcpu, s->now.npcpus * sizeof(*pcpu));
	memcpy(vcpu, s->now.vcpu, s->now.n * sizeof(*vcpu));
	s->before = s->now;
	s->before.pcpu = pcpu;
	s->before.vcpu = vcpu;
}

struct sim *sim_new(unsigned ncpus, uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert(s);
	s->plant = plant_new(ncpus, seed);
	sample_alloc(&s->before, ncpus);
	sample_alloc(&s->now, ncpus);
	host_fill(s, ncpus);
	sample_keep(s);
	s->use_ns = calloc(ncpus, sizeof(*s->use_ns));
	s->irq = calloc(ncpus, sizeof(*s->irq));
	s->work = malloc(cpu_work_size(SIM_VCPUS, ncpus));
	s->conf.tune = cpu_tunables_default;
	s->interval_ns = 2 * NS_PER_S;
	assert(s->use_ns && s->irq && s->work);
	return s;
}

void sim_free(struct sim *s)
{
	plant_free(s->plant);
	cpu_view_free(&s->view);
	free(s->before.pcpu);
	free(s->before.vcpu);
	free(s->now.pcpu);
	free(s->now.vcpu);
	free(s->now.set);
	free(s->now.name);
	free(s->use_ns);
	free(s->irq);
	free(s->work);
	free(s);
}

/* ---- guests ------------------------------------------------------------------------- */

size_t sim_vcpu(struct sim *s, struct plant_load load, int cpu)
{
	size_t i;

	s->guests--;
	i = sim_guest(s, load, cpu);
	s->now.vcpu[i].number = s->now.vcpu[i - 1].number + 1;
	return i;
}

size_t sim_guest(struct sim *s, struct plant_load load, int cpu)
{
	size_t i = s->now.n++;
	struct vcpu_count *c = &s->now.vcpu[i];
	struct sim_vcpu *vm = &s->vm[i];

	assert(i < SIM_VCPUS);
	memset(c, 0, sizeof(*c));
	memset(vm, 0, sizeof(*vm));
	vm->task = plant_task(s->plant, &load);
	vm->nominal = fmin(load.demand, 1 - CAPPED * load.wobble);
	vm->open = load.work == PLANT_OPEN;
	c->uuid[0] = (unsigned char)(s->guests >> 8);
	c->uuid[1] = (unsigned char)s->guests++;
	vm->first = cpu;
	if (cpu >= 0) {
		cpuset_add(&vm->been, (unsigned)cpu);
		sim_move(s, i, cpu);
	}
	return i;
}

void sim_end(struct sim *s, size_t i)
{
	size_t after = --s->now.n - i;

	plant_end(s->plant, s->vm[i].task);
	memmove(&s->now.vcpu[i], &s->now.vcpu[i + 1], after * sizeof(*s->now.vcpu));
	memmove(&s->vm[i], &s->vm[i + 1], after * sizeof(*s->vm));
}

void sim_set_load(struct sim *s, size_t i, struct plant_load load)
{
	plant_set_load(s->plant, s->vm[i].task, &load);
	s->vm[i].nominal = fmin(load.demand, 1 - CAPPED * load.wobble);
}

void sim_allow(struct sim *s, size_t i, uint64_t bits)
{
	struct vcpu_count *c = &s->now.vcpu[i];
	struct cpuset *set = s->now.set;
	bool unpinned = c->mask == c->allowed;
	size_t k = bits ? 1 : 0;

	while (bits && k < s->nallowed && set[k].bits[0] != bits)
		k++;
	assert(k < SIM_SETS);
	if (k == s->nallowed)
		set[s->nallowed++].bits[0] = bits;
	c->allowed = (unsigned)k;
	if (!unpinned)
		return;
	c->mask = c->allowed;
	plant_set_mask(s->plant, s->vm[i].task, &set[k]);
}

void sim_move(struct sim *s, size_t i, int cpu)
{
	unsigned mask = SIM_SETS + (unsigned)cpu;

	if (s->now.vcpu[i].mask == mask)
		return;
	s->now.vcpu[i].mask = mask;
	plant_set_mask(s->plant, s->vm[i].task, &s->now.set[mask]);
}

void sim_online(struct sim *s, unsigned cpu, bool online)
{
	plant_online(s->plant, cpu, online);
	if (online)
		cpuset_add(&s->now.online, cpu);
	else
		s->now.online.bits[cpu / 64] &= ~((uint64_t)1 << cpu % 64);
}

size_t sim_task(struct sim *s, struct plant_load load, int cpu)
{
	size_t i = s->host_tasks++;

	assert(i < SIM_TASKS);
	s->host_task[i].task = plant_task(s->plant, &load);
	s->host_task[i].nominal = load.demand;
	sim_task_pin(s, i, cpu);
	return i;
}

void sim_task_pin(struct sim *s, size_t i, int cpu)
{
	s->host_task[i].cpu = cpu;
	if (cpu >= 0)
		plant_pin(s->plant, s->host_task[i].task, (unsigned)cpu);
	else
		plant_set_mask(s->plant, s->host_task[i].task, &s->now.set[0]);
}

void sim_task_load(struct sim *s, size_t i, struct plant_load load)
{
	s->host_task[i].nominal = load.demand;
	plant_set_load(s->plant, s->host_task[i].task, &load);
}

void sim_irq(struct sim *s, unsigned cpu, double share)
{
	s->irq[cpu] = share;
	plant_set_irq(s->plant, cpu, share);
}

void sim_speed(struct sim *s, unsigned cpu, double speed, bool told)
{
	plant_set_speed(s->plant, cpu, speed);
	if (told)
		s->now.topology.capacity[cpu] = speed;
}

void sim_threads(struct sim *s)
{
	unsigned half = s->now.npcpus / 2;

	for (unsigned c = 0; c < half; c++) {
		plant_siblings(s->plant, c, c + half, SIM_SHARE);
		s->now.topology.core[c] = s->now.topology.core[c + half] = (int)c;
	}
}

void sim_grain(struct sim *s, unsigned width)
{
	s->rules.grain = GRAIN_CACHE;
	for (unsigned c = 0; c < s->now.npcpus; c++) {
		s->now.topology.cache[c] = (int)(c / width);
		for (unsigned k = c / width * width; k < (c / width + 1) * width; k++)
			cpuset_add(&s->now.set[SIM_SETS + c], k);
	}
}

void sim_nodes(struct sim *s, unsigned nodes)
{
	struct topology *t = &s->now.topology;
	unsigned n = s->now.npcpus, run = t->core[0] < 0 ? n : n / 2;

	for (unsigned c = 0; c < n; c++)
		t->node[c] = t->cache[c] = (int)(c % run * nodes / run);
}

/* ---- one interval ------------------------------------------------------------------- */

static void sample(struct sim *s)
{
	s->now.taken_ns = (int64_t)plant_now_ns(s->plant);
	for (size_t i = 0; i < s->now.n; i++) {
		struct vcpu_count *c = &s->now.vcpu[i];

		c->run_ns = plant_time_ns(s->plant, s->vm[i].task);
		c->wait_ns = s->no_delay ? UINT64_MAX : plant_delay_ns(s->plant, s->vm[i].task);
	}
	for (unsigned p = 0; p < s->now.npcpus; p++)
		s->now.pcpu[p] = (struct cpu_time){
			.busy_ns = plant_busy_ns(s->plant, p),
			.idle_ns = plant_idle_ns(s->plant, p),
			.irq_ns = plant_irq_ns(s->plant, p),
		};
}

/* As the loop does; and what a monitor adds up. */
static void observe(struct sim *s)
{
	struct cpu_host *h = &s->view.host;

	if (cpu_observe(&s->view, &s->rules, &s->before, &s->now) < 0)
		abort();
	assert(h->n == s->now.n);
	for (size_t i = 0; i < h->n; i++) {
		struct vcpu_figures *f = &h->vcpu[i].now;

		if (f->sampled)
			s->use_ns[plant_where(s->plant, s->vm[i].task)] +=
				(uint64_t)llround(f->run * h->elapsed_s * (double)NS_PER_S);
		if (s->oracle) {
			f->run = s->vm[i].nominal;
			f->wait = 0;
		}
	}
}

static void show(const struct sim *s)
{
	printf("# %3u %-30s S %5.1f -> %5.1f  F %.3f -> %.3f  LB %.3f  K %zu  moves %zu\n",
	       s->ticks, cpu_why_name(s->report.why), s->report.imbalance,
	       s->report.imbalance_after, s->report.peak, s->report.peak_after,
	       s->report.lower_bound, s->report.fewest, s->report.moves);
}

static void pin(struct sim *s, size_t i)
{
	struct vcpu *v = &s->view.host.vcpu[i];
	struct cpuset mask = cpu_target_mask(&s->view, i);
	int set =
		array_intern(&s->now.set, &s->now.nsets, &s->now.set_cap, &mask, sizeof(mask));

	assert(set >= 0);
	s->now.vcpu[i].mask = (unsigned)set;
	plant_set_mask(s->plant, s->vm[i].task, &mask);
	v->now.bin = v->plan.target;
	v->past.pinned = true;
}

static void act(struct sim *s)
{
	for (size_t i = 0; i < s->view.host.n; i++) {
		struct vcpu *v = &s->view.host.vcpu[i];

		if (!vcpu_is_to_pin(v))
			continue;
		if (s->verbose)
			printf("#     %zu: %d -> %d demand %.3f nominal %.2f run %.3f wait "
			       "%.3f\n",
			       i, v->now.bin, v->plan.target, v->plan.demand, s->vm[i].nominal,
			       v->now.run, v->now.wait);
		s->pins_now++;
		if (s->dry)
			continue;
		pin(s, i);
		s->vm[i].pins++;
		s->returns += cpuset_has(&s->vm[i].been, (unsigned)v->plan.target);
		cpuset_add(&s->vm[i].been, (unsigned)v->plan.target);
	}
	s->pins += s->pins_now;
}

void sim_tick(struct sim *s)
{
	double late = plant_uniform(s->plant) * WOBBLE_NS;

	plant_advance(s->plant, s->interval_ns + (uint64_t)late);
	sample(s);
	observe(s);
	s->pins_now = 0;
	cpu_decide(&s->view.host, &s->conf, s->work, &s->report);
	s->ticks++;
	if (s->verbose)
		show(s);
	sim_check(s);
	sample_keep(s);
	act(s);
}

unsigned sim_run(struct sim *s, unsigned ticks)
{
	unsigned before = s->pins;

	while (ticks-- > 0)
		sim_tick(s);
	return s->pins - before;
}
