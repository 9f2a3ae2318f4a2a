/*
 * plant_cpu.c - a small CFS in simulated time; see plant_cpu.h.
 */
#include "tests/fake/plant_cpu.h"
#include "lib/cpuset.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MS          1000000ull
#define SLICE_NS    (3 * MS)  /* CFS base slice on a host of a few pCPUs */
#define CREDIT_NS   (3 * MS)  /* how far behind a sleeper may come back */
#define PREEMPT_NS  (1 * MS)  /* wakeup granularity */
#define PLACE_NS    (2 * MS)  /* how often unpinned tasks are placed and pulled */
#define BALANCE_NS  (64 * MS) /* periodic balancing between busy pCPUs */
#define WOBBLE_NS   (1000 * MS)
#define GRAIN_NS    (10 * MS) /* /proc and libvirt 9.0 count in these */
#define BACKLOG_NS  (1000 * MS)
#define BURST_MS    10.0
#define TICK_NS     (4 * MS)  /* a guest's timer */
#define TICK_RUN_NS (MS / 20) /* what it takes */
#define IRQ_NS      (1 * MS)  /* between two interrupts */
#define FOREVER     UINT64_MAX
#define NOBODY      UINT32_MAX

struct task {
	struct plant_load load;
	struct cpuset mask;
	bool alive, unpinned;
	bool ready; /* runnable or running */
	unsigned cpu;
	uint64_t wake_ns;    /* when not ready */
	uint64_t rest_ns;    /* work left in this burst, or backlog */
	uint64_t arrival_ns; /* open: the next one */
	uint64_t due_ns;     /* ticks: when its pause ends; 0: not in a pause */
	uint64_t ready_ns;   /* since when it waits; meaningful when ready and not running */
	uint64_t vruntime;
	uint64_t wobble_ns; /* when its demand is redrawn */
	double now;         /* its demand with the present wobble */
	double debt_ns;     /* fraction of work not done because of a busy sibling */
	uint64_t time_ns, delay_ns;
};

struct pcpu {
	bool online;
	unsigned *task;
	unsigned n, size;
	unsigned running;  /* a task, or NOBODY */
	uint64_t slice_ns; /* when its slice ends */
	uint64_t now_ns;
	uint64_t min_vruntime;
	uint64_t busy_ns, idle_ns;
	unsigned sibling; /* or NOBODY */
	double share;
	bool was_busy; /* for the sibling */
	double speed;  /* work done per time, 1 by default */
	double irq;    /* share of the time that interrupts take */
	uint64_t irq_at_ns, irq_ns;
};

struct plant {
	uint64_t now_ns, balance_ns;
	uint64_t seed;
	double sticky;
	unsigned ncpus, ntasks, size;
	struct pcpu *cpu;
	struct task *task;
};

/* ---- random numbers --------------------------------------------------------------- */

static uint64_t draw(struct plant *p)
{
	uint64_t z = (p->seed += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

double plant_uniform(struct plant *p)
{
	return (double)(draw(p) >> 11) * 0x1p-53;
}

double plant_normal(struct plant *p)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += plant_uniform(p);
	return sum - 6;
}

/* ---- the work a task does ---------------------------------------------------------- */

static double burst_ns(const struct task *t)
{
	return (t->load.burst_ms > 0 ? t->load.burst_ms : BURST_MS) * (double)MS;
}

static double jitter(struct plant *p)
{
	return 0.5 + plant_uniform(p);
}

static void wobble(struct plant *p, struct task *t, uint64_t now)
{
	double d = t->load.demand * (1 + t->load.wobble * plant_normal(p));

	t->now = fmin(1, fmax(0, d));
	t->wobble_ns = now + WOBBLE_NS;
}

/* Open work: take in all that has arrived by now. */
static void arrivals(struct plant *p, struct task *t, uint64_t now)
{
	while (t->arrival_ns <= now) {
		if (t->rest_ns < BACKLOG_NS)
			t->rest_ns += (uint64_t)(burst_ns(t) * jitter(p));
		t->arrival_ns += (uint64_t)(burst_ns(t) / fmax(t->now, 1e-6) * jitter(p)) + 1;
	}
}

/*
 * A pause begins.  A guest that ticks wakes in it once more, for its timer.  Where that wake
 * has to wait for the pCPU the rest of the pause looks like waiting, and yet ends by the clock:
 * so much of the waiting is not work that is late.
 */
static void pause_at(struct plant *p, struct task *t, uint64_t now, uint64_t ns)
{
	t->ready = false;
	t->wake_ns = now + ns;
	if (!t->load.ticks)
		return;
	t->due_ns = t->wake_ns;
	t->wake_ns =
		now + (uint64_t)(plant_uniform(p) * (double)(ns < TICK_NS ? ns : TICK_NS)) + 1;
	t->rest_ns = TICK_RUN_NS;
}

/* After the tick in a pause: the rest of it, if any. */
static void resume(struct task *t, uint64_t now, double burst)
{
	t->ready = now >= t->due_ns;
	t->wake_ns = t->due_ns;
	t->due_ns = 0;
	t->rest_ns = (uint64_t)burst;
}

/* A burst is done at now: sleep, or have more to do at once. */
static void next_burst(struct plant *p, struct task *t, uint64_t now)
{
	double burst = burst_ns(t) * jitter(p);

	if (now >= t->wobble_ns)
		wobble(p, t, now);
	if (t->load.demand <= 0) {
		t->ready = false;
		t->wake_ns = FOREVER;
	} else if (t->due_ns > 0) {
		resume(t, now, burst);
	} else if (t->now >= 1) {
		t->rest_ns = (uint64_t)burst;
	} else if (t->load.work == PLANT_OPEN) {
		arrivals(p, t, now);
		t->ready = t->rest_ns > 0;
		t->wake_ns = t->arrival_ns;
	} else {
		t->rest_ns = (uint64_t)burst;
		pause_at(p, t, now, (uint64_t)(burst * (1 - t->now) / fmax(t->now, 1e-6)) + 1);
	}
}

/* ---- one pCPU ---------------------------------------------------------------------- */

static void enlist(struct plant *p, unsigned id, unsigned cpu)
{
	struct pcpu *c = &p->cpu[cpu];

	if (c->n == c->size) {
		c->size = c->size ? 2 * c->size : 8;
		c->task = realloc(c->task, c->size * sizeof(*c->task));
		assert(c->task);
	}
	c->task[c->n++] = id;
	p->task[id].cpu = cpu;
}

static void delist(struct plant *p, unsigned id)
{
	struct pcpu *c = &p->cpu[p->task[id].cpu];
	unsigned i = 0;

	while (c->task[i] != id)
		i++;
	c->task[i] = c->task[--c->n];
	if (c->running == id)
		c->running = NOBODY;
}

static void move(struct plant *p, unsigned id, unsigned cpu)
{
	struct task *t = &p->task[id];
	struct pcpu *from = &p->cpu[t->cpu], *to = &p->cpu[cpu];
	uint64_t lag = t->vruntime - from->min_vruntime;

	if (from->running == id)
		t->ready_ns = p->now_ns;
	delist(p, id);
	enlist(p, id, cpu);
	t->vruntime = (int64_t)lag < 0 ? to->min_vruntime : to->min_vruntime + lag;
}

static void wake(struct plant *p, struct task *t, struct pcpu *c)
{
	uint64_t floor = c->min_vruntime > CREDIT_NS ? c->min_vruntime - CREDIT_NS : 0;

	t->ready = true;
	t->ready_ns = t->wake_ns;
	if (t->load.work == PLANT_OPEN)
		arrivals(p, t, t->wake_ns);
	if (t->vruntime < floor)
		t->vruntime = floor;
}

/* Wake who is due; the time of the next wake. */
static uint64_t wake_due(struct plant *p, struct pcpu *c)
{
	uint64_t next = FOREVER;

	for (unsigned i = 0; i < c->n; i++) {
		struct task *t = &p->task[c->task[i]];

		if (t->ready)
			continue;
		if (t->wake_ns <= c->now_ns)
			wake(p, t, c);
		else if (t->wake_ns < next)
			next = t->wake_ns;
	}
	return next;
}

/* The runnable task that should run, NOBODY if none; how many are runnable. */
static unsigned pick(const struct plant *p, const struct pcpu *c, unsigned *ready)
{
	unsigned best = NOBODY;

	*ready = 0;
	for (unsigned i = 0; i < c->n; i++) {
		const struct task *t = &p->task[c->task[i]];

		if (!t->ready)
			continue;
		++*ready;
		if (best == NOBODY || t->vruntime < p->task[best].vruntime ||
		    (t->vruntime == p->task[best].vruntime && c->task[i] < best))
			best = c->task[i];
	}
	if (c->running == NOBODY || best == NOBODY || best == c->running)
		return best;
	if (c->now_ns < c->slice_ns &&
	    p->task[c->running].vruntime < p->task[best].vruntime + PREEMPT_NS)
		return c->running;
	return best;
}

static void switch_to(struct plant *p, struct pcpu *c, unsigned id)
{
	if (id == c->running)
		return;
	if (c->running != NOBODY)
		p->task[c->running].ready_ns = c->now_ns;
	p->task[id].delay_ns += c->now_ns - p->task[id].ready_ns;
	c->running = id;
	c->slice_ns = c->now_ns + SLICE_NS;
}

static void run(struct plant *p, struct pcpu *c, uint64_t ns, double speed)
{
	struct task *t = &p->task[c->running];
	uint64_t done = (uint64_t)((double)ns * speed + 0.5);

	t->time_ns += ns;
	t->vruntime += ns;
	c->busy_ns += ns;
	c->now_ns += ns;
	c->was_busy = true;
	if (t->vruntime > c->min_vruntime)
		c->min_vruntime = t->vruntime - (t->vruntime - c->min_vruntime) / 2;
	t->rest_ns -= done < t->rest_ns ? done : t->rest_ns;
	if (t->rest_ns > 0)
		return;
	next_burst(p, t, c->now_ns);
	if (!t->ready)
		c->running = NOBODY;
}

/* Whoever runs stands still, and his time does not count it. */
static bool interrupted(struct pcpu *c, uint64_t until)
{
	uint64_t ns = (uint64_t)(c->irq * (double)IRQ_NS);

	if (ns == 0 || c->now_ns < c->irq_at_ns)
		return false;
	ns = ns < until - c->now_ns ? ns : until - c->now_ns;
	c->irq_at_ns = c->now_ns + IRQ_NS;
	c->irq_ns += ns;
	c->busy_ns += ns;
	c->now_ns += ns;
	return true;
}

static void run_cpu(struct plant *p, struct pcpu *c, uint64_t until)
{
	bool shared = c->sibling != NOBODY && p->cpu[c->sibling].was_busy;
	double speed = c->speed * (shared ? c->share : 1);

	c->was_busy = false;
	while (c->now_ns < until) {
		uint64_t stop = wake_due(p, c), left;
		unsigned ready, id = pick(p, c, &ready);

		stop = stop < until ? stop : until;
		if (interrupted(c, until))
			continue;
		if (c->irq > 0 && c->irq_at_ns < stop)
			stop = c->irq_at_ns;
		if (id == NOBODY) {
			c->idle_ns += stop - c->now_ns;
			c->now_ns = stop;
			continue;
		}
		switch_to(p, c, id);
		if (ready > 1 && c->now_ns >= c->slice_ns)
			c->slice_ns = c->now_ns + SLICE_NS;
		if (ready > 1 && c->slice_ns < stop)
			stop = c->slice_ns;
		left = (uint64_t)((double)p->task[id].rest_ns / speed) + 1;
		run(p, c, left < stop - c->now_ns ? left : stop - c->now_ns, speed);
	}
}

/* ---- placing what is unpinned ------------------------------------------------------ */

static bool may_run(const struct plant *p, const struct task *t, unsigned cpu)
{
	return p->cpu[cpu].online && (t->mask.bits[cpu / 64] >> (cpu % 64) & 1);
}

static unsigned ready_on(const struct plant *p, unsigned cpu)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->cpu[cpu].n; i++)
		n += p->task[p->cpu[cpu].task[i]].ready;
	return n;
}

/* Those that wake before until: stay where they were if it is idle, else find an idle one. */
static void place_waking(struct plant *p, uint64_t until)
{
	for (unsigned id = 0; id < p->ntasks; id++) {
		struct task *t = &p->task[id];
		unsigned start;

		if (!t->alive || !t->unpinned || t->ready || t->wake_ns >= until ||
		    ready_on(p, t->cpu) == 0)
			continue;
		if (p->sticky > 0 && plant_uniform(p) < p->sticky)
			continue;
		start = (unsigned)(draw(p) % p->ncpus);
		for (unsigned k = 0; k < p->ncpus; k++) {
			unsigned cpu = (start + k) % p->ncpus;

			if (may_run(p, t, cpu) && ready_on(p, cpu) == 0) {
				move(p, id, cpu);
				break;
			}
		}
	}
}

/* Pull one waiting, unpinned task to cpu from the pCPU with the most, if that has min more. */
static void pull(struct plant *p, unsigned cpu, unsigned min)
{
	unsigned most = ready_on(p, cpu) + min - 1, from = NOBODY;

	for (unsigned k = 0; k < p->ncpus; k++) {
		unsigned n = k == cpu ? 0 : ready_on(p, k);

		if (n > most) {
			most = n;
			from = k;
		}
	}
	if (from == NOBODY)
		return;
	for (unsigned i = 0; i < p->cpu[from].n; i++) {
		unsigned id = p->cpu[from].task[i];
		const struct task *t = &p->task[id];

		if (t->ready && t->unpinned && id != p->cpu[from].running &&
		    may_run(p, t, cpu)) {
			move(p, id, cpu);
			return;
		}
	}
}

static void balance(struct plant *p)
{
	bool periodic = p->now_ns >= p->balance_ns;

	if (periodic)
		p->balance_ns = p->now_ns + BALANCE_NS;
	for (unsigned cpu = 0; cpu < p->ncpus; cpu++) {
		bool idle = ready_on(p, cpu) == 0;

		if (!p->cpu[cpu].online)
			continue;
		if (idle && p->sticky > 0 && plant_uniform(p) < p->sticky)
			continue;
		if (idle || periodic)
			pull(p, cpu, 2);
	}
}

static bool any_unpinned(const struct plant *p)
{
	for (unsigned id = 0; id < p->ntasks; id++)
		if (p->task[id].alive && p->task[id].unpinned)
			return true;
	return false;
}

static bool any_siblings(const struct plant *p)
{
	for (unsigned cpu = 0; cpu < p->ncpus; cpu++)
		if (p->cpu[cpu].sibling != NOBODY)
			return true;
	return false;
}

void plant_advance(struct plant *p, uint64_t ns)
{
	uint64_t end = p->now_ns + ns;
	bool unpinned = any_unpinned(p), step = unpinned || any_siblings(p);

	while (p->now_ns < end) {
		uint64_t until =
			step && end - p->now_ns > PLACE_NS ? p->now_ns + PLACE_NS : end;

		if (unpinned) {
			balance(p);
			place_waking(p, until);
		}
		for (unsigned cpu = 0; cpu < p->ncpus; cpu++) {
			if (p->cpu[cpu].online)
				run_cpu(p, &p->cpu[cpu], until);
			else
				p->cpu[cpu].now_ns = until;
		}
		p->now_ns = until;
	}
}

/* ---- setting up --------------------------------------------------------------------- */

struct plant *plant_new(unsigned ncpus, uint64_t seed)
{
	struct plant *p = calloc(1, sizeof(*p));

	assert(p && ncpus > 0);
	p->seed = seed * 0x9e3779b97f4a7c15ull + 1;
	p->ncpus = ncpus;
	p->cpu = calloc(ncpus, sizeof(*p->cpu));
	assert(p->cpu);
	for (unsigned i = 0; i < ncpus; i++) {
		p->cpu[i].online = true;
		p->cpu[i].running = NOBODY;
		p->cpu[i].sibling = NOBODY;
		p->cpu[i].speed = 1;
	}
	return p;
}

void plant_free(struct plant *p)
{
	for (unsigned i = 0; i < p->ncpus; i++)
		free(p->cpu[i].task);
	free(p->cpu);
	free(p->task);
	free(p);
}

/* Put a task that is on no list onto a pCPU that its mask and the online map allow. */
static unsigned first_cpu(const struct plant *p, const struct task *t)
{
	for (unsigned cpu = 0; cpu < p->ncpus; cpu++)
		if (may_run(p, t, cpu))
			return cpu;
	for (unsigned cpu = 0; cpu < p->ncpus; cpu++)
		if (p->cpu[cpu].online)
			return cpu;
	return 0;
}

static void settle(struct plant *p, unsigned id)
{
	struct task *t = &p->task[id];
	unsigned allowed = 0;

	for (unsigned cpu = 0; cpu < p->ncpus; cpu++)
		allowed += may_run(p, t, cpu);
	if (allowed == 0) {
		memset(&t->mask, 0xff, sizeof(t->mask));
		allowed = 2;
	}
	t->unpinned = allowed > 1;
	if (!may_run(p, t, t->cpu))
		move(p, id, first_cpu(p, t));
}

unsigned plant_task(struct plant *p, const struct plant_load *load)
{
	unsigned id = p->ntasks++;
	struct task *t;

	if (id == p->size) {
		p->size = p->size ? 2 * p->size : 16;
		p->task = realloc(p->task, p->size * sizeof(*p->task));
		assert(p->task);
	}
	t = &p->task[id];
	memset(t, 0, sizeof(*t));
	memset(&t->mask, 0xff, sizeof(t->mask));
	t->alive = true;
	enlist(p, id, (unsigned)(draw(p) % p->ncpus));
	t->vruntime = p->cpu[t->cpu].min_vruntime;
	settle(p, id);
	plant_set_load(p, id, load);
	return id;
}

void plant_end(struct plant *p, unsigned id)
{
	if (p->task[id].alive)
		delist(p, id);
	p->task[id].alive = false;
}

/* Starts at a random point of its cycle. */
void plant_set_load(struct plant *p, unsigned id, const struct plant_load *load)
{
	struct task *t = &p->task[id];

	t->load = *load;
	t->due_ns = 0;
	wobble(p, t, p->now_ns - (uint64_t)(plant_uniform(p) * (double)WOBBLE_NS));
	t->rest_ns = (uint64_t)(burst_ns(t) * plant_uniform(p)) + 1;
	t->arrival_ns = p->now_ns + (uint64_t)(burst_ns(t) / fmax(t->now, 1e-6) * jitter(p));
	if (t->ready && p->cpu[t->cpu].running == id)
		p->cpu[t->cpu].running = NOBODY;
	t->ready = load->demand > 0;
	t->ready_ns = p->now_ns;
	t->wake_ns = FOREVER;
}

void plant_set_mask(struct plant *p, unsigned id, const struct cpuset *mask)
{
	p->task[id].mask = *mask;
	settle(p, id);
}

void plant_pin(struct plant *p, unsigned id, unsigned cpu)
{
	struct cpuset mask = { { 0 } };

	mask.bits[cpu / 64] = 1ull << (cpu % 64);
	plant_set_mask(p, id, &mask);
}

void plant_online(struct plant *p, unsigned cpu, bool online)
{
	p->cpu[cpu].online = online;
	for (unsigned id = 0; id < p->ntasks; id++)
		if (p->task[id].alive)
			settle(p, id);
}

void plant_set_sticky(struct plant *p, double sticky)
{
	p->sticky = sticky;
}

void plant_siblings(struct plant *p, unsigned a, unsigned b, double share)
{
	p->cpu[a].sibling = b;
	p->cpu[b].sibling = a;
	p->cpu[a].share = p->cpu[b].share = share;
}

void plant_set_speed(struct plant *p, unsigned cpu, double speed)
{
	p->cpu[cpu].speed = speed;
}

void plant_set_irq(struct plant *p, unsigned cpu, double share)
{
	p->cpu[cpu].irq = share;
	p->cpu[cpu].irq_at_ns = p->now_ns;
}

/* ---- reading ------------------------------------------------------------------------ */

uint64_t plant_now_ns(const struct plant *p)
{
	return p->now_ns;
}

uint64_t plant_time_ns(const struct plant *p, unsigned id)
{
	return p->task[id].time_ns / GRAIN_NS * GRAIN_NS;
}

uint64_t plant_delay_ns(const struct plant *p, unsigned id)
{
	return p->task[id].delay_ns;
}

uint64_t plant_busy_ns(const struct plant *p, unsigned cpu)
{
	return p->cpu[cpu].busy_ns / GRAIN_NS * GRAIN_NS;
}

uint64_t plant_irq_ns(const struct plant *p, unsigned cpu)
{
	return p->cpu[cpu].irq_ns / GRAIN_NS * GRAIN_NS;
}

uint64_t plant_idle_ns(const struct plant *p, unsigned cpu)
{
	return p->cpu[cpu].idle_ns / GRAIN_NS * GRAIN_NS;
}

unsigned plant_where(const struct plant *p, unsigned id)
{
	return p->task[id].cpu;
}
