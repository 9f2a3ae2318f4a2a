/*
 * t_cpu.c - plays scenarios of the CPU policy on the simulated host; TAP.
 *
 *	t_cpu [-v] [-n SEEDS] [FILE...]	by default those in tests/sim/scenarios
 *
 * -n: of each scenario no more seeds than these.
 *
 * sim_tick asserts the invariants after every interval of each.
 */
#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/sample.h"
#include "tests/sim/mem_sim.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

#include <glob.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX  16384 /* bytes of a file */
#define WOBBLE    0.05
#define BURST_MS  20
#define PCPUS     64
#define TOLERANCE 1e-9

static unsigned most_seeds = UINT_MAX;

/* A scenario being played. */
struct run {
	struct scenario sc;
	struct sim *s;
	const char *name;
	unsigned seed, passes;
	int tug[SCENARIO_GROUPS + 1]; /* pCPU that somebody else keeps it on, or -1 */
	struct {
		double base, busy[PCPUS], use[PCPUS]; /* before its first interval */
		double seen;                          /* what failed */
		bool failed;
	} expect[SCENARIO_EXPECTS];
};

/* ---- guests and events --------------------------------------------------------------- */

static struct plant_load load_of(const struct scenario_load *l, unsigned i, unsigned n,
				 unsigned interval)
{
	double part = l->kind == '.' && n > 1 ? (double)i / (n - 1) : 0;

	if (l->kind == ',')
		part = interval % 2;
	return (struct plant_load){
		.work = PLANT_CLOSED,
		.demand = l->demand[0] + part * (l->demand[1] - l->demand[0]),
		.burst_ms = BURST_MS,
		.wobble = WOBBLE,
	};
}

static bool is_of(const struct run *r, size_t i, size_t group)
{
	return group == SCENARIO_GROUPS || r->s->vm[i].group == group;
}

static void set_allowed(struct run *r)
{
	for (size_t i = 0; i < r->s->now.n; i++)
		sim_allow(r->s, i, r->sc.group[r->s->vm[i].group].allowed.bits[0]);
}

/* The k-th pCPU of a set, from the start again after its last. */
static int kth(const struct cpuset *set, unsigned k)
{
	unsigned n = (unsigned)__builtin_popcountll(set->bits[0]);
	uint64_t bits = set->bits[0];

	if (n == 0)
		return BIN_UNPINNED;
	for (k %= n; k > 0; k--)
		bits &= bits - 1;
	return __builtin_ctzll(bits);
}

/* Where the memory of a guest's vCPU is. */
static struct vcpu_memory memory_of(const struct scenario_group *g, unsigned vcpu)
{
	struct vcpu_memory m = { .nodes = g->memory.bits[0] };

	if (g->interleaved.bits[0])
		m = (struct vcpu_memory){ .nodes = g->interleaved.bits[0],
					  .interleaved = true };
	if (g->cells)
		m.cell = (int)(vcpu * g->cells / g->vcpus);
	if (g->cells && g->memory.bits[0])
		m.nodes = 1ULL << kth(&g->memory, (unsigned)m.cell);
	return m;
}

/* The tasks of a group are those of the groups before it, and then its own. */
static size_t first_task(const struct run *r, size_t group)
{
	size_t n = 0;

	for (size_t k = 0; k < group; k++)
		n += r->sc.group[k].tasks ? r->sc.group[k].count : 0;
	return n;
}

/* What the host's programs have to do comes from elsewhere, at its own rate. */
static struct plant_load task_load(const struct scenario_load *l, unsigned i, unsigned n)
{
	struct plant_load load = load_of(l, i, n, 0);

	load.work = PLANT_OPEN;
	return load;
}

static void start_tasks(struct run *r, const struct scenario_group *g)
{
	for (unsigned k = 0; k < g->count; k++)
		sim_task(r->s, task_load(&g->load, k, g->count), kth(&g->on, k));
}

static void start(struct run *r, const struct scenario_group *g)
{
	unsigned n = g->count * g->vcpus;

	if (g->tasks) {
		start_tasks(r, g);
		return;
	}
	for (unsigned k = 0; k < n; k++) {
		struct plant_load l = load_of(&g->load, k, n, 0);
		size_t i;

		l.ticks = r->sc.ticks;
		i = k % g->vcpus ? sim_vcpu(r->s, l, kth(&g->on, k))
				 : sim_guest(r->s, l, kth(&g->on, k));

		r->s->vm[i].group = (size_t)(g - r->sc.group);
		r->s->now.vcpu[i].memory = memory_of(g, k % g->vcpus);
	}
	set_allowed(r);
}

static void set_loads(struct run *r, size_t group, const struct scenario_load *l)
{
	struct plant_load load = load_of(l, 0, 1, r->s->ticks);

	load.ticks = r->sc.ticks;
	for (size_t i = 0; i < r->s->now.n; i++)
		if (is_of(r, i, group))
			sim_set_load(r->s, i, load);
}

static void end(struct run *r, size_t group)
{
	for (size_t i = r->s->now.n; i-- > 0;)
		if (is_of(r, i, group))
			sim_end(r->s, i);
}

static void set_stuck(struct run *r, size_t group, bool stuck)
{
	for (size_t i = 0; i < r->s->now.n; i++)
		if (is_of(r, i, group))
			r->s->now.vcpu[i].held = stuck;
}

/* What happens to programs of the host. */
static void happen_to_tasks(struct run *r, const struct scenario_event *e, int cpu)
{
	const struct scenario_group *g = &r->sc.group[e->what.group];
	struct plant_load none = { 0 };

	for (size_t i = first_task(r, e->what.group), k = 0; k < g->count; i++, k++) {
		if (e->verb == TUG)
			sim_task_pin(r->s, i, cpu);
		else if (e->verb == SET_LOAD || e->verb == END)
			sim_task_load(r->s, i,
				      e->verb == END ? none : task_load(&e->what.load, 0, 1));
	}
}

static void happen(struct run *r, const struct scenario_event *e)
{
	int cpu = kth(&e->what.cpus, 0);
	size_t g = e->what.group;

	if (e->verb <= TUG && g < SCENARIO_GROUPS && r->sc.group[g].tasks) {
		happen_to_tasks(r, e, cpu);
		return;
	}
	switch (e->verb) {
	case SET_LOAD:
		if (g < SCENARIO_GROUPS)
			r->sc.group[g].load = e->what.load;
		set_loads(r, g, &e->what.load);
		break;
	case SET_ALLOWED:
		for (size_t k = 0; k < r->sc.groups; k++)
			if (g == k || g == SCENARIO_GROUPS)
				r->sc.group[k].allowed = e->what.cpus;
		set_allowed(r);
		break;
	case END: end(r, g); break;
	case BUSY:
	case READY: set_stuck(r, g, e->verb == BUSY); break;
	case TUG: r->tug[g] = cpu; break;
	case IRQ:
		for (unsigned b = 0; b < r->sc.pcpus; b++)
			if (cpuset_has(&e->what.cpus, b))
				sim_irq(r->s, b, e->what.load.demand[0]);
		break;
	case OFFLINE:
	case ONLINE: sim_online(r->s, (unsigned)cpu, e->verb == ONLINE); break;
	}
}

/* Somebody else puts them back. */
static void tug(struct run *r, size_t group)
{
	for (size_t i = 0; i < r->s->now.n; i++)
		if (r->tug[group] >= 0 && is_of(r, i, group))
			sim_move(r->s, i, r->tug[group]);
}

/* What happens before interval n. */
static void prepare(struct run *r, unsigned n)
{
	r->s->dry = n <= r->sc.dry;
	for (size_t k = 0; k < r->sc.groups; k++)
		if (r->sc.group[k].at == n)
			start(r, &r->sc.group[k]);
	for (size_t k = 0; k < r->sc.events; k++)
		if (r->sc.event[k].at == n)
			happen(r, &r->sc.event[k]);
	for (size_t k = 0; k < r->sc.groups; k++) {
		tug(r, k);
		if (r->sc.group[k].load.kind == ',')
			set_loads(r, k, &r->sc.group[k].load);
	}
}

/* ---- figures ------------------------------------------------------------------------ */

static int node_of(const struct sim *s, int bin)
{
	return bin < 0 ? bin : s->view.host.bin[bin].now.node;
}

/* Most vCPUs of a group on one pCPU, in one core or in one node. */
static double most(const struct run *r, const struct scenario_expect *e)
{
	unsigned in[PCPUS] = { 0 }, n = 0;

	for (size_t i = 0; i < r->s->view.host.n; i++) {
		int b = r->s->view.host.vcpu[i].now.bin, at = b;

		if (b < 0 || !is_of(r, i, e->what.group))
			continue;
		if (e->figure == MOST_IN_CORE)
			at = r->s->view.host.bin[b].now.core;
		else if (e->figure == MOST_IN_NODE)
			at = node_of(r->s, b);
		in[at < 0 ? b : at]++;
		n = in[at < 0 ? b : at] > n ? in[at < 0 ? b : at] : n;
	}
	return n;
}

/* What vCPU i adds to a figure that counts vCPUs. */
static double counts(const struct run *r, const struct scenario_expect *e, size_t i,
		     size_t first)
{
	const struct vcpu *v = &r->s->view.host.vcpu[i];
	const struct sim_vcpu *vm = &r->s->vm[i];
	bool there = v->now.bin >= 0 && cpuset_has(&e->what.cpus, (unsigned)v->now.bin);
	int node = node_of(r->s, v->now.bin);

	switch (e->figure) {
	case PINS_OF: return is_of(r, i, e->what.group) ? vm->pins : 0;
	case TWICE: return vm->pins > 1;
	case VCPUS: return there && is_of(r, i, e->what.group);
	case LOAD: return there ? vm->nominal : 0;
	case SPLIT: return node != node_of(r->s, r->s->view.host.vcpu[first].now.bin);
	case CROSSED: return node != node_of(r->s, vm->first);
	case DISTANT:
		return is_of(r, i, e->what.group) &&
		       (node < 0 || !(v->now.memory.nodes >> node & 1));
	default: return 0;
	}
}

/* Points, of the time the pCPUs were busy since the expectation began, with guests or at all.
 */
static double imbalance(const struct run *r, size_t k, bool guests)
{
	unsigned n = r->sc.expect[k].last - r->sc.expect[k].first + 1;
	double busy[PCPUS], mean = 0, sq = 0, m = r->sc.pcpus;

	for (unsigned b = 0; b < r->sc.pcpus; b++) {
		busy[b] = guests ? (double)r->s->use_ns[b] - r->expect[k].use[b]
				 : (double)plant_busy_ns(r->s->plant, b) - r->expect[k].busy[b];
		busy[b] /= (double)r->s->interval_ns * n;
		mean += busy[b] / m;
	}
	for (unsigned b = 0; b < r->sc.pcpus; b++)
		sq += pow(busy[b] - mean, 2) / m;
	return 100 * sqrt(sq);
}

static double peak(const struct run *r)
{
	double bound, top = sim_peak(r->s, &bound);

	return top / bound;
}

static double figure(const struct run *r, size_t k)
{
	const struct scenario_expect *e = &r->sc.expect[k];
	const struct sim *s = r->s;
	double sum = 0;

	switch (e->figure) {
	case PINS: return s->pins;
	case PINS_EACH: return s->pins_now;
	case PASSES: return r->passes;
	case RETURNS: return s->returns;
	case USE_IMBALANCE:
	case IMBALANCE: return imbalance(r, k, e->figure == USE_IMBALANCE);
	case PEAK: return peak(r);
	case SHARING: return sim_sharing(s);
	case MOST:
	case MOST_IN_CORE:
	case MOST_IN_NODE: return most(r, e);
	default: break;
	}
	for (size_t i = 0, first = 0; i < s->view.host.n; i++) {
		if (memcmp(s->view.host.vcpu[i].uuid, s->view.host.vcpu[first].uuid,
			   UUID_LEN) != 0)
			first = i;
		sum += counts(r, e, i, first);
	}
	return sum;
}

/* ---- expectations -------------------------------------------------------------------- */

static void remember(struct run *r, size_t k)
{
	enum scenario_figure f = r->sc.expect[k].figure;

	r->expect[k].base = f < USE_IMBALANCE ? figure(r, k) : 0;
	for (unsigned b = 0; b < r->sc.pcpus; b++) {
		r->expect[k].busy[b] = (double)plant_busy_ns(r->s->plant, b);
		r->expect[k].use[b] = (double)r->s->use_ns[b];
	}
}

static void judge(struct run *r, size_t k, unsigned interval)
{
	const struct scenario_expect *e = &r->sc.expect[k];
	double x;

	if ((e->figure <= IMBALANCE && interval < e->last) || r->expect[k].failed)
		return;
	x = figure(r, k) - r->expect[k].base;
	r->expect[k].seen = x;
	r->expect[k].failed = (e->op != '>' && x > e->value + TOLERANCE) ||
			      (e->op != '<' && x < e->value - TOLERANCE);
}

static void report(const struct run *r)
{
	for (size_t k = 0; k < r->sc.expects; k++)
		ok(!r->expect[k].failed, "%s, seed %u, line %u: %.3g", r->name, r->seed,
		   r->sc.expect[k].line, r->expect[k].seen);
	printf("# %s, seed %u: peak/LB %.3f, imbalance %.1f points, %u pins, %u back to an earlier "
	       "pCPU\n",
	       r->name, r->seed, peak(r), sim_imbalance(r->s), r->s->pins, r->s->returns);
}

static void play(const struct scenario *sc, const char *name, unsigned seed, bool verbose)
{
	static struct run r;

	r = (struct run){ .sc = *sc, .name = name, .seed = seed };
	memset(r.tug, -1, sizeof(r.tug));
	r.s = sim_new(sc->pcpus, seed);
	r.s->verbose = verbose;
	r.s->no_delay = sc->no_delay;
	if (sc->threads)
		sim_threads(r.s);
	if (sc->nodes)
		sim_nodes(r.s, sc->nodes);
	r.s->conf.place_unpinned = sc->place_unpinned;
	for (unsigned b = 0; b < sc->pcpus; b++)
		if (cpuset_has(&sc->slow, b))
			sim_speed(r.s, b, sc->speed, sc->told);
	if (sc->sticky >= 0)
		plant_set_sticky(r.s->plant, sc->sticky);
	for (unsigned n = 1; n <= sc->last; n++) {
		prepare(&r, n);
		for (size_t k = 0; k < sc->expects; k++)
			if (sc->expect[k].first == n)
				remember(&r, k);
		sim_tick(r.s);
		r.passes += r.s->pins_now > 0;
		for (size_t k = 0; k < sc->expects; k++)
			if (n >= sc->expect[k].first && n <= sc->expect[k].last)
				judge(&r, k, n);
	}
	report(&r);
	sim_free(r.s);
}

static int play_file(const char *path, bool verbose)
{
	static struct scenario sc;
	static char text[TEXT_MAX];
	char error[256] = "cannot be read";
	FILE *f = fopen(path, "r");

	if (f)
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	if (!f || scenario_parse(text, &sc, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s: %s\n", path, error);
		return 2;
	}
	fclose(f);
	for (unsigned seed = 1; seed <= sc.seeds && seed <= most_seeds; seed++)
		play(&sc, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, seed, verbose);
	return 0;
}

int main(int argc, char **argv)
{
	glob_t all = { 0 };
	char **path;
	bool verbose = false;
	int wrong = 0, letter;

	while ((letter = getopt(argc, argv, "vn:")) != -1)
		switch (letter) {
		case 'v': verbose = true; break;
		case 'n': most_seeds = (unsigned)strtoul(optarg, NULL, 10); break;
		default: return 2;
		}
	path = argv + optind;
	if (!*path && glob("tests/sim/scenarios/*.txt", 0, NULL, &all) == 0)
		path = all.gl_pathv;
	if (!*path)
		wrong = 2; /* not in the project's folder */
	for (; *path && !wrong; path++)
		wrong = play_file(*path, verbose);
	globfree(&all);
	return wrong ? wrong : done();
}
