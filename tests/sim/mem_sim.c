/*
 * mem_sim.c - the memory policy over the simulated host; see mem_sim.h.
 */
#include "tests/sim/mem_sim.h"
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_S      2 /* what the judge lets a sample be late beyond the policy's own limits */
#define STARVED_KIB (100 * MIB)
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
	if (!pass && getenv("STOP_AT_FAILURE"))
		exit(1);
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
		     g ? g->name : "host", g ? mem_reason_name(g->plan.reason) : "");
	va_start(args, fmt);
	vsnprintf(s->first + n, sizeof(s->first) - (size_t)n, fmt, args);
	va_end(args);
}

double mem_sim_now_s(const struct mem_sim *s)
{
	return (double)plant_mem_now(s->plant) / NS_PER_S;
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

	for (size_t i = 0; i < s->now.n; i++) {
		struct guest_count *g = &s->now.guest[i];
		struct plant_mem_stats st;

		plant_mem_stats(s->plant, i, &st);
		if (g->now.state == GUEST_RUNNING || g->now.state == GUEST_PAUSED)
			g->now.state = st.paused ? GUEST_PAUSED : GUEST_RUNNING;
		g->now.actual_kib = st.actual_kib + s->watch[i].offline_kib;
		g->now.usable_kib = st.reported ? st.usable_kib : KIB_UNKNOWN;
		g->now.unused_kib = st.reported ? st.unused_kib : KIB_UNKNOWN;
		g->now.caches_kib = st.reported ? st.caches_kib : KIB_UNKNOWN;
		g->now.managed_kib =
			st.reported && !s->no_managed ? st.managed_kib : KIB_UNKNOWN;
		g->now.swap_out_kib = st.reported ? st.swap_out_kib : KIB_UNKNOWN;
		g->now.rss_kib = st.rss_kib;
		g->now.last_update_s = st.last_update_s;
		g->now.boot_id = st.boot_id;
		if (s->lie != NULL)
			s->lie(s, g, i);
		if (g->now.last_update_s != s->watch[i].shown_stamp)
			s->watch[i].changed_ns = plant_mem_now(s->plant);
		s->watch[i].shown_stamp = g->now.last_update_s;
	}
	s->now.taken_ns = plant_mem_now(s->plant);
	s->now.host = (struct mem_host){
		.total_kib = plant_mem_total(s->plant),
		.available_kib = available > 0 && !s->blind ? (uint64_t)available : 0,
		.pressure = s->pressure,
		.merged_kib = s->merged_kib,
		.slow_kib = s->slow_kib,
	};
}

static void check_command(struct mem_sim *s, struct guest *g, size_t i)
{
	struct plant_mem_truth t = mem_sim_truth(s, i);
	int64_t now = plant_mem_now(s->plant);
	const struct mem_tunables *tune = &s->conf.tune;
	double most = tune->step_kib_s * s->conf.interval_s;
	bool boot = g->plan.reason == MEM_BOOT;
	bool taken_back =
		g->plan.reason == MEM_RESTORE && g->mem.target_kib < g->now.actual_kib;
	bool ours =
		g->now.state == GUEST_RUNNING && !g->now.kind.locked && !g->now.kind.huge_kib;

	if (taken_back && g->plan.command_kib == g->now.actual_kib &&
	    g->now.state != GUEST_PAUSED && g->now.state != GUEST_BUSY)
		return;
	if (g->plan.command_kib < fmin((double)g->now.policy.min_kib, (double)ledger_held(g)) ||
	    g->plan.command_kib > g->now.max_kib)
		broken(s, g, "target %.0f MiB out of range", (double)g->plan.command_kib / MIB);
	if (!ours || (g->mem.keeps && g->plan.command_kib < g->mem.target_kib))
		broken(s, g, "commanded though it must not be");
	if (!boot && now - s->watch[i].changed_ns > ns_of_s(tune->fresh_s + LATE_S))
		broken(s, g, "commanded on stale stats");
	if (!boot && s->watch[i].command_ns >= s->watch[i].changed_ns && now > 2 * NS_PER_S)
		broken(s, g, "two commands on one sample");
	if (g->plan.command_kib >= g->now.actual_kib)
		return;
	if (g->plan.command_kib < g->plan.floor_kib)
		broken(s, g, "shrunk below its floor: %.0f < %.0f",
		       (double)g->plan.command_kib / MIB, (double)g->plan.floor_kib / MIB);
	if (s->lie == NULL && g->plan.command_kib < t.use_kib)
		broken(s, g, "shrunk below its use: %.0f < %.0f",
		       (double)g->plan.command_kib / MIB, (double)t.use_kib / MIB);
	most = fmin(most, tune->step_part * (double)g->now.actual_kib);
	if (g->now.unproven && !g->mem.proven)
		most = fmin(tune->probe_kib, tune->step_part * (double)g->now.actual_kib);
	else if (g->plan.reason == MEM_EMERGENCY)
		most = tune->urgent_part * (double)g->plan.headroom_kib;
	if ((double)g->now.actual_kib - (double)g->plan.command_kib > most + ROUNDING)
		broken(s, g, "a step of %.0f MiB",
		       (double)(g->now.actual_kib - g->plan.command_kib) / MIB);
}

static void check_unmet(struct mem_sim *s, struct guest *g, size_t i)
{
	int64_t now = plant_mem_now(s->plant);
	bool deaf = g->now.state == GUEST_PAUSED || g->now.state == GUEST_BUSY;
	double gone = (double)s->watch[i].unmet_kib - (double)g->now.actual_kib;

	if (deaf || g->plan.command_kib != 0 || g->plan.reason == MEM_BOOTING ||
	    guest_has_met(&s->conf.tune, g, g->mem.target_kib)) {
		s->watch[i].unmet_ns = 0;
	} else if (s->watch[i].unmet_ns == 0 || gone > (double)MIB) {
		s->watch[i].unmet_ns = now;
		s->watch[i].unmet_kib = g->now.actual_kib;
	} else if (now - s->watch[i].unmet_ns > ns_of_s(2 * s->conf.tune.stall_s)) {
		broken(s, g, "an unmet shrink stands: %.0f above %.0f",
		       (double)g->now.actual_kib / MIB, (double)g->mem.target_kib / MIB);
	}
}

/*
 * If all touched all they hold, and what they are now granted, the host keeps its least.  A
 * rescue may take what is promised to others, but nothing that is not there or that another
 * rescue was granted.
 */
static void check_host(struct mem_sim *s)
{
	double growth = 0, left = (double)plant_mem_available(s->plant);
	double there = left - (double)s->report.least_kib, grown = 0; /* really */
	double deep = (double)s->report.reserve_kib - (double)s->report.least_kib +
		      (double)s->report.booting_kib,
	       hold;
	bool rescue = false;

	for (size_t i = 0; i < s->view.n; i++) {
		struct guest *g = &s->view.guest[i];
		struct plant_mem_truth t = mem_sim_truth(s, i);

		hold = fmax((double)t.hold_kib, (double)g->plan.command_kib +
							(double)t.hold_kib -
							(double)t.actual_kib);
		left -= fmax(0, hold - (double)t.rss_kib);
		s->watch[i].rescued_kib = fmin(s->watch[i].rescued_kib,
					       fmax(0, (double)t.hold_kib - (double)t.rss_kib));
		there -= s->watch[i].rescued_kib;
		grown += fmax(0, hold - (double)t.hold_kib);
		if (g->plan.command_kib <= g->plan.claim_kib)
			continue;
		growth += (double)(g->plan.command_kib - g->plan.claim_kib);
		rescue |= g->plan.reason == MEM_RESCUE;
	}
	if (growth > fmax(0, (double)s->report.headroom_kib + (rescue ? deep : 0)) + ROUNDING &&
	    !(rescue && grown <= fmax(0, there) + ROUNDING))
		broken(s, NULL, "granted %.0f MiB of %.0f headroom", growth / MIB,
		       (double)s->report.headroom_kib / MIB);
	if (!s->odd && !rescue && growth > 0 &&
	    left < (double)s->report.least_kib - 8 * (double)MIB)
		broken(s, NULL, "granted %.0f MiB: if all touched all, %.0f MiB would be left",
		       growth / MIB, left / MIB);
}

static void check(struct mem_sim *s)
{
	for (size_t i = 0; i < s->view.n; i++) {
		struct guest *g = &s->view.guest[i];

		if (g->plan.command_kib != 0)
			check_command(s, g, i);
		check_unmet(s, g, i);
		if (g->plan.reason == MEM_NONE || g->plan.reason >= MEM_WHYS)
			broken(s, g, "no reason given");
		else if ((g->plan.command_kib != 0) != (mem_part(g->plan.reason) == MEM_SETS))
			broken(s, g, "a reason for something else");
		if (g->plan.demand_kib > g->now.max_kib ||
		    g->plan.headroom_kib > g->now.max_kib || g->plan.growth_kib_s < 0)
			broken(s, g, "absurd figures");
	}
	check_host(s);
}

/* QEMU's balloon counts DIMMs that are offline, and cannot take what the guest has not. */
static void target(struct mem_sim *s, size_t i, uint64_t kib)
{
	uint64_t offline_kib = s->watch[i].offline_kib;

	plant_mem_target(s->plant, i, kib > offline_kib ? kib - offline_kib : 0);
}

static void act(struct mem_sim *s)
{
	struct mem_figures *f = &s->figures;

	for (size_t i = 0; i < s->view.n; i++) {
		struct guest *g = &s->view.guest[i];

		if (g->plan.command_kib == 0)
			continue;
		f->commands++;
		f->grows += g->plan.command_kib > g->mem.target_kib;
		f->shrinks += g->plan.command_kib < g->mem.target_kib;
		f->moved_mib +=
			fabs((double)g->plan.command_kib - (double)g->mem.target_kib) / MIB;
		if (s->trace)
			printf("# %4.0f %-4s %-9s %6.0f -> %6.0f D %5.0f free %4.0f v %3.0f "
			       "floor %5.0f need %5.0f share %5.0f headroom %5.0f %s\n",
			       mem_sim_now_s(s), g->name, mem_reason_name(g->plan.reason),
			       (double)g->mem.target_kib / MIB,
			       (double)g->plan.command_kib / MIB,
			       (double)g->plan.demand_kib / MIB,
			       (double)g->plan.headroom_kib / MIB, g->plan.growth_kib_s / MIB,
			       (double)g->plan.floor_kib / MIB, (double)g->plan.need_kib / MIB,
			       (double)g->plan.share_kib / MIB,
			       (double)s->report.headroom_kib / MIB,
			       mem_host_state_name(s->report.state));
		if (s->dry)
			continue;
		if (g->plan.reason == MEM_RESCUE)
			s->watch[i].rescued_kib +=
				fmax(0, (double)g->plan.command_kib - (double)ledger_held(g));
		s->watch[i].command_ns = plant_mem_now(s->plant);
		if (s->watch[i].accepts_kib && g->plan.command_kib > s->watch[i].accepts_kib) {
			mem_refused(&s->conf, g, plant_mem_now(s->plant));
			continue;
		}
		target(s, i, g->plan.command_kib + g->now.offline_kib);
		mem_applied(&s->conf.tune, g, plant_mem_now(s->plant));
	}
}

static void count_guest(struct mem_sim *s, size_t i)
{
	struct plant_mem_truth t = mem_sim_truth(s, i);
	struct mem_figures *f = &s->figures;
	bool full = t.actual_kib + MIB >= s->view.guest[i].now.max_kib;
	double idle, caches;

	if (t.dead && !s->watch[i].counted) {
		s->watch[i].counted = true;
		s->watch[i].helpless |= s->watch[i].undelivered;
		f->deaths += !t.capacity && !s->watch[i].helpless;
		f->helpless += !t.capacity && s->watch[i].helpless;
		if (s->trace)
			printf("# %4.0f %-4s DEAD%s%s, %s\n", mem_sim_now_s(s),
			       s->view.guest[i].name, t.capacity ? " at its maximum" : "",
			       s->watch[i].helpless ? ", helpless" : "",
			       mem_reason_name(s->view.guest[i].plan.reason));
	}
	s->watch[i].undelivered = t.stuck && t.target_kib > t.actual_kib + GRANTED_KIB;
	f->dead_s += t.dead && !t.capacity && !s->watch[i].helpless;
	if (t.dead || t.booting)
		return;
	idle = fmax(0, (double)t.actual_kib - (double)t.use_kib - s->conf.tune.comfort_kib);
	caches = fmax(0, (double)t.actual_kib - (double)t.use_kib - (double)t.unused_kib);
	f->idle_mib += fmax(0, idle - caches) / MIB;
	f->caches_mib += fmin(idle, caches) / MIB;
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

	for (size_t i = 0; i < s->view.n; i++)
		count_guest(s, i);
	f->least_available_mib = fmin(f->least_available_mib, available / MIB);
	f->breach_s += available < (double)ledger_least(&s->conf.tune, &s->view.host);
	f->ticks++;
}

void mem_sim_vmbal(struct mem_sim *s, bool decide)
{
	mem_decide(&s->state, &s->conf, &s->view.host, s->view.guest, s->view.n,
		   s->now.taken_ns, decide, &s->report);
	check(s);
}

void mem_sim_tick(struct mem_sim *s)
{
	int64_t every = (int64_t)fmax(1, s->conf.interval_s);

	plant_mem_advance(s->plant, NS_PER_S);
	s->tick++;
	sample(s);
	if (mem_observe(&s->conf.tune, &s->view, 0, &s->now) < 0)
		abort();
	s->rule(s, s->tick % every == 0);
	act(s);
	count(s);
}

void mem_sim_run(struct mem_sim *s, double seconds)
{
	for (double end = mem_sim_now_s(s) + seconds; mem_sim_now_s(s) < end;)
		mem_sim_tick(s);
}

static struct guest_count *enter(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	static const char *const name[] = { "a", "b", "c", "d", "e", "f", "g", "h",
					    "i", "j", "k", "l", "m", "n", "o", "p" };
	struct guest_count *g = &s->now.guest[s->now.n];

	memset(g, 0, sizeof(*g));
	memset(&s->watch[s->now.n], 0, sizeof(s->watch[0]));
	for (int i = 0; i < 8; i++) /* so that they come in order */
		g->uuid[i] = (unsigned char)(s->entered >> (56 - 8 * i));
	g->name = name[s->entered++ % 16];
	g->now.max_kib = conf->max_kib;
	g->now.policy.min_kib = 100 * MIB;
	s->watch[s->now.n++].helpless = conf->balloon == BALLOON_STUCK || conf->stale_s > 0;
	return g;
}

struct guest_count *mem_sim_add(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	plant_mem_add(s->plant, conf);
	return enter(s, conf);
}

void mem_sim_offline(struct mem_sim *s, size_t i, uint64_t kib)
{
	/* Linux describes each page in 64 bytes, and with such addresses has bounce buffers. */
	uint64_t missing_kib = kib + kib / 64 + 64 * MIB;

	s->watch[i].offline_kib = missing_kib;
	s->now.guest[i].now.kind.dimm_kib = kib;
	s->now.guest[i].now.max_kib += missing_kib;
}

struct guest_count *mem_sim_start(struct mem_sim *s, const struct plant_mem_guest *conf)
{
	plant_mem_start(s->plant, conf);
	return enter(s, conf);
}

void mem_sim_remove(struct mem_sim *s, size_t i)
{
	size_t after = --s->now.n - i;

	plant_mem_remove(s->plant, i);
	memmove(&s->now.guest[i], &s->now.guest[i + 1], after * sizeof(s->now.guest[0]));
	memmove(&s->watch[i], &s->watch[i + 1], after * sizeof(s->watch[0]));
}

struct mem_sim *mem_sim_new(uint64_t total_mib, const struct plant_course *others,
			    double interval_s, uint64_t seed)
{
	struct mem_sim *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->now.guest = calloc(SIM_GUESTS, sizeof(*s->now.guest));
	if (s->now.guest == NULL)
		abort();
	s->plant = plant_mem_new(total_mib * MIB, others, seed);
	s->conf.tune = mem_tunables_default;
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
	mem_view_free(&s->view);
	free(s->now.guest);
	free(s);
}
