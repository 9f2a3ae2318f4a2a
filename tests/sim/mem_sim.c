/*
 * mem_sim.c - the memory policy over the simulated host; see mem_sim.h.
 */
#include "mem_sim.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS   1000000000LL
#define STEP_PART   0.10
#define STEP_KIB    (100 * MIB) /* per five seconds */
#define URGENT_PART 0.25
#define UNMET_NS    (8 * SECOND_NS) /* the stall limit and a sample's delay */
#define UNMET_KIB   (4 * MIB)
#define STALE_NS    (7 * SECOND_NS)
#define STARVED_KIB (100 * MIB)
#define COMFORT_KIB (224 * MIB)
#define GRANTED_KIB (32 * MIB) /* granted, but the balloon did not move */
#define ROUNDING    64         /* KiB */

static unsigned tests, failures;

void ok(bool pass, const char *fmt, ...)
{
	va_list args;

	failures += !pass;
	printf("%sok %u - ", pass ? "" : "not ", ++tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

int done(void)
{
	printf("1..%u\n", tests);
	return failures != 0;
}

static void broken(struct mem_sim *s, const struct guest *g, const char *fmt, ...)
{
	va_list args;
	int n;

	if (s->violations++ != 0)
		return;
	n = snprintf(s->first, sizeof(s->first), "t=%.0f %s (%s): ", mem_sim_now_s(s),
		     g ? g->name : "host", g ? mem_reason_name(g->reason) : "");
	va_start(args, fmt);
	vsnprintf(s->first + n, sizeof(s->first) - (size_t)n, fmt, args);
	va_end(args);
}

double mem_sim_now_s(const struct mem_sim *s)
{
	return (double)plant_mem_now(s->plant) / SECOND_NS;
}

struct plant_mem_truth mem_sim_truth(const struct mem_sim *s, size_t i)
{
	struct plant_mem_truth t;

	plant_mem_truth(s->plant, i, &t);
	return t;
}

/* ---- one tick: sample, decide, check, act, count -------------------------------------- */

static void sample(struct mem_sim *s)
{
	int64_t available = plant_mem_available(s->plant);

	for (size_t i = 0; i < s->n; i++) {
		struct guest *g = &s->guest[i];
		struct plant_mem_stats st;

		plant_mem_stats(s->plant, i, &st);
		if (g->state == GUEST_RUNNING || g->state == GUEST_PAUSED)
			g->state = st.paused ? GUEST_PAUSED : GUEST_RUNNING;
		g->actual_kib = st.actual_kib;
		g->usable_kib = st.reported ? st.usable_kib : KIB_UNKNOWN;
		g->unused_kib = st.reported ? st.unused_kib : KIB_UNKNOWN;
		g->caches_kib = st.reported ? st.caches_kib : KIB_UNKNOWN;
		g->managed_kib = st.reported && !s->no_managed ? st.managed_kib : KIB_UNKNOWN;
		g->swap_out_kib = st.reported ? st.swap_out_kib : KIB_UNKNOWN;
		g->rss_kib = st.rss_kib;
		g->last_update_s = st.last_update_s;
		g->boot_id = st.boot_id;
		if (s->lie != NULL)
			s->lie(s, g, i);
		if (g->last_update_s != s->watch[i].shown_stamp)
			s->watch[i].changed_ns = plant_mem_now(s->plant);
		s->watch[i].shown_stamp = g->last_update_s;
	}
	s->host.total_kib = plant_mem_total(s->plant);
	s->host.available_kib = available > 0 && !s->blind ? (uint64_t)available : 0;
	s->host.pressure = s->pressure;
}

static void check_command(struct mem_sim *s, struct guest *g, size_t i)
{
	struct plant_mem_truth t = mem_sim_truth(s, i);
	int64_t now = plant_mem_now(s->plant);
	double most = STEP_KIB * s->conf.interval_s / 5;
	bool boot = g->reason == MEM_BOOT;
	bool taken_back = g->reason == MEM_RESTORE && g->target_kib < g->actual_kib;
	bool ours = g->state == GUEST_RUNNING && !g->locked && !g->hugepages;

	if (taken_back && g->command_kib == g->actual_kib && g->state != GUEST_PAUSED &&
	    g->state != GUEST_BUSY)
		return;
	if (g->command_kib < fmin((double)g->min_kib, (double)ledger_held(g)) ||
	    g->command_kib > g->max_kib)
		broken(s, g, "target %.0f MiB out of range", (double)g->command_kib / MIB);
	if (!ours || (g->mem.keeps && g->command_kib < g->target_kib))
		broken(s, g, "commanded though it must not be");
	if (!boot && now - s->watch[i].changed_ns > STALE_NS)
		broken(s, g, "commanded on stale stats");
	if (!boot && s->watch[i].command_ns >= s->watch[i].changed_ns && now > 2 * SECOND_NS)
		broken(s, g, "two commands on one sample");
	if (g->command_kib >= g->actual_kib)
		return;
	if (g->command_kib < g->floor_kib)
		broken(s, g, "shrunk below its floor: %.0f < %.0f",
		       (double)g->command_kib / MIB, (double)g->floor_kib / MIB);
	if (s->lie == NULL && g->command_kib < t.use_kib)
		broken(s, g, "shrunk below its use: %.0f < %.0f", (double)g->command_kib / MIB,
		       (double)t.use_kib / MIB);
	most = fmin(most, STEP_PART * (double)g->actual_kib);
	if (g->reason == MEM_EMERGENCY)
		most = URGENT_PART * (double)g->free_kib;
	if ((double)g->actual_kib - (double)g->command_kib > most + ROUNDING)
		broken(s, g, "a step of %.0f MiB",
		       (double)(g->actual_kib - g->command_kib) / MIB);
}

static void check_unmet(struct mem_sim *s, struct guest *g, size_t i)
{
	int64_t now = plant_mem_now(s->plant);
	bool deaf = g->state == GUEST_PAUSED || g->state == GUEST_BUSY;
	double gone = (double)s->watch[i].unmet_kib - (double)g->actual_kib;

	if (deaf || g->command_kib != 0 || g->reason == MEM_BOOTING ||
	    g->actual_kib <= g->target_kib + UNMET_KIB) {
		s->watch[i].unmet_ns = 0;
	} else if (s->watch[i].unmet_ns == 0 || gone > (double)MIB) {
		s->watch[i].unmet_ns = now;
		s->watch[i].unmet_kib = g->actual_kib;
	} else if (now - s->watch[i].unmet_ns > UNMET_NS) {
		broken(s, g, "an unmet shrink stands: %.0f above %.0f",
		       (double)g->actual_kib / MIB, (double)g->target_kib / MIB);
	}
}

/* If all touched all they hold, and what they are now granted, the host keeps its least. */
static void check_host(struct mem_sim *s)
{
	double growth = 0, left = (double)plant_mem_available(s->plant);
	double deep = (double)s->report.reserve_kib - (double)s->report.least_kib +
		      (double)s->report.booting_kib,
	       hold;
	bool rescue = false;

	for (size_t i = 0; i < s->n; i++) {
		struct guest *g = &s->guest[i];
		struct plant_mem_truth t = mem_sim_truth(s, i);

		hold = fmax((double)t.hold_kib,
			    (double)g->command_kib + (double)t.hold_kib - (double)t.actual_kib);
		left -= fmax(0, hold - (double)t.rss_kib);
		if (g->command_kib <= g->claim_kib)
			continue;
		growth += (double)(g->command_kib - g->claim_kib);
		rescue |= g->reason == MEM_RESCUE;
	}
	if (growth > fmax(0, (double)s->report.spare_kib + (rescue ? deep : 0)) + ROUNDING)
		broken(s, NULL, "granted %.0f MiB of %.0f spare", growth / MIB,
		       (double)s->report.spare_kib / MIB);
	if (!s->odd && growth > 0 && left < (double)s->report.least_kib - 8 * (double)MIB)
		broken(s, NULL, "granted %.0f MiB: if all touched all, %.0f MiB would be left",
		       growth / MIB, left / MIB);
}

static void check(struct mem_sim *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct guest *g = &s->guest[i];

		if (g->command_kib != 0)
			check_command(s, g, i);
		check_unmet(s, g, i);
		if (g->reason == MEM_NONE || g->reason >= MEM_REASONS)
			broken(s, g, "no reason given");
		if (g->demand_kib > g->max_kib || g->free_kib > g->max_kib || g->velocity < 0)
			broken(s, g, "absurd figures");
	}
	check_host(s);
}

static void act(struct mem_sim *s)
{
	struct mem_figures *f = &s->figures;

	for (size_t i = 0; i < s->n; i++) {
		struct guest *g = &s->guest[i];

		if (g->command_kib == 0)
			continue;
		f->commands++;
		f->grows += g->command_kib > g->target_kib;
		f->shrinks += g->command_kib < g->target_kib;
		f->moved_mib += fabs((double)g->command_kib - (double)g->target_kib) / MIB;
		if (s->trace)
			printf("# %4.0f %-4s %-9s %6.0f -> %6.0f D %5.0f free %4.0f v %3.0f "
			       "floor %5.0f need %5.0f share %5.0f spare %5.0f %s\n",
			       mem_sim_now_s(s), g->name, mem_reason_name(g->reason),
			       (double)g->target_kib / MIB, (double)g->command_kib / MIB,
			       (double)g->demand_kib / MIB, (double)g->free_kib / MIB,
			       g->velocity / MIB, (double)g->floor_kib / MIB,
			       (double)g->wanted_kib / MIB, (double)g->share_kib / MIB,
			       (double)s->report.spare_kib / MIB,
			       mem_host_state_name(s->report.state));
		if (s->dry)
			continue;
		s->watch[i].command_ns = plant_mem_now(s->plant);
		plant_mem_target(s->plant, i, g->command_kib);
		mem_applied(g, plant_mem_now(s->plant));
	}
}

static void count_guest(struct mem_sim *s, size_t i)
{
	struct plant_mem_truth t = mem_sim_truth(s, i);
	struct mem_figures *f = &s->figures;
	bool full = t.actual_kib + MIB >= s->guest[i].max_kib;

	if (t.dead && !s->watch[i].counted) {
		s->watch[i].counted = true;
		s->watch[i].helpless |= s->watch[i].undelivered;
		f->deaths += !t.capacity && !s->watch[i].helpless;
		f->helpless += !t.capacity && s->watch[i].helpless;
		if (s->trace)
			printf("# %4.0f %-4s DEAD%s%s, %s\n", mem_sim_now_s(s),
			       s->guest[i].name, t.capacity ? " at its maximum" : "",
			       s->watch[i].helpless ? ", helpless" : "",
			       mem_reason_name(s->guest[i].reason));
	}
	s->watch[i].undelivered = t.stuck && t.target_kib > t.actual_kib + GRANTED_KIB;
	f->dead_s += t.dead && !t.capacity && !s->watch[i].helpless;
	if (t.dead || t.booting)
		return;
	f->idle_mib += fmax(0, (double)t.actual_kib - (double)t.use_kib - COMFORT_KIB) / MIB;
	if (full)
		return;
	f->starved_s += t.free_kib < STARVED_KIB;
	s->watch[i].starved_s += t.free_kib < STARVED_KIB;
	f->bursts += t.free_kib < STARVED_KIB && !s->watch[i].starving;
	s->watch[i].starving = t.free_kib < STARVED_KIB;
	f->least_unused_mib = fmin(f->least_unused_mib, (double)t.unused_kib / MIB);
	f->least_free_mib = fmin(f->least_free_mib, (double)t.free_kib / MIB);
}

static void count(struct mem_sim *s)
{
	struct mem_figures *f = &s->figures;
	double available = (double)plant_mem_available(s->plant);

	for (size_t i = 0; i < s->n; i++)
		count_guest(s, i);
	f->least_available_mib = fmin(f->least_available_mib, available / MIB);
	f->breach_s += available < (double)ledger_least(&s->host);
	f->ticks++;
}

void mem_sim_vmbal(struct mem_sim *s, bool decide)
{
	mem_decide(&s->state, &s->conf, &s->host, s->guest, s->n, plant_mem_now(s->plant),
		   decide, &s->report);
	check(s);
}

void mem_sim_tick(struct mem_sim *s)
{
	int64_t every = (int64_t)fmax(1, s->conf.interval_s);

	plant_mem_advance(s->plant, SECOND_NS);
	s->tick++;
	sample(s);
	s->rule(s, s->tick % every == 0);
	act(s);
	count(s);
}

void mem_sim_run(struct mem_sim *s, double seconds)
{
	for (double end = mem_sim_now_s(s) + seconds; mem_sim_now_s(s) < end;)
		mem_sim_tick(s);
}

static struct guest *enter(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	static const char *const name[] = { "a", "b", "c", "d", "e", "f", "g", "h",
					    "i", "j", "k", "l", "m", "n", "o", "p" };
	struct guest *g = &s->guest[s->n];

	memset(g, 0, sizeof(*g));
	memset(&s->watch[s->n], 0, sizeof(s->watch[0]));
	memcpy(g->uuid, &s->entered, sizeof(s->entered));
	g->name = name[s->entered++ % 16];
	g->max_kib = conf->max_kib;
	g->min_kib = 100 * MIB;
	s->watch[s->n++].helpless = conf->balloon == BALLOON_STUCK || conf->stale_s > 0;
	return g;
}

struct guest *mem_sim_add(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	plant_mem_add(s->plant, conf);
	return enter(s, conf);
}

struct guest *mem_sim_start(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	plant_mem_start(s->plant, conf);
	return enter(s, conf);
}

void mem_sim_remove(struct mem_sim *s, size_t i)
{
	plant_mem_remove(s->plant, i);
	s->n--;
	memmove(&s->guest[i], &s->guest[i + 1], (s->n - i) * sizeof(s->guest[0]));
	memmove(&s->watch[i], &s->watch[i + 1], (s->n - i) * sizeof(s->watch[0]));
}

struct mem_sim *mem_sim_new(uint64_t total_mib, const struct plant_course *others,
			    double interval_s, uint64_t seed)
{
	struct mem_sim *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->plant = plant_mem_new(total_mib * MIB, others, seed);
	s->conf.interval_s = interval_s;
	s->conf.overcommit = 1;
	s->pressure = -1;
	s->rule = mem_sim_vmbal;
	s->figures.least_free_mib = s->figures.least_available_mib = INFINITY;
	s->figures.least_unused_mib = INFINITY;
	s->trace = getenv("TRACE") != NULL;
	return s;
}

void mem_sim_free(struct mem_sim *s)
{
	plant_mem_free(s->plant);
	free(s);
}
