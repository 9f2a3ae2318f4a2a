/*
 * cpu_log.c - the CPU loop's decisions as log lines: who, from -> to, why, by which figures.
 */
#include <stdio.h>
#include <string.h>

#include "lib/cpuset.h"
#include "report/cpu_log.h"

#define MASK_TEXT  64   /* bytes: a mask in a log line; a longer list is cut */
#define LIST_TEXT  1024 /* bytes: the same in a field */
#define NAMES_TEXT 512  /* bytes: names of guests in a log line */

/* What all lines about one vCPU have. */
/* clang-format off */
#define VCPU_FIELDS(what, who, index, why) \
	{ .name = "loop", .text = "cpu" }, \
	{ .name = "event", .text = (what) }, \
	{ .name = "guest", .text = (who) }, \
	{ .name = "vcpu", .number = (index) }, \
	{ .name = "reason", .text = (why) }
/* clang-format on */

/* A list of pCPUs for people, and for programs. */
struct mask {
	char brief[MASK_TEXT], whole[LIST_TEXT];
};

static struct mask mask(const struct cpuset *s)
{
	struct mask m;

	cpuset_text(s, m.brief, sizeof(m.brief));
	cpuset_text(s, m.whole, sizeof(m.whole));
	return m;
}

static struct mask mask_now(const struct cpu_view *v, size_t i)
{
	return mask(&v->now->set[v->count[i]->mask]);
}

void cpu_log_host(const struct cpu_report *r, enum log_priority priority)
{
	const struct log_field field[] = {
		{ .name = "loop", .text = "cpu" },
		{ .name = "event", .text = "host" },
		{ .name = "reason", .text = cpu_why_name(r->why) },
		{ .name = "imbalance_points", .number = r->imbalance },
		{ .name = "imbalance_after_points", .number = r->imbalance_after },
		{ .name = "peak_load_ratio", .number = r->peak },
		{ .name = "peak_load_after_ratio", .number = r->peak_after },
		{ .name = "lower_bound_ratio", .number = r->lower_bound },
		{ .name = "pins", .number = (double)r->moves },
		{ .name = "fewest_pins", .number = (double)r->fewest },
		{ .name = "noise_cpus", .number = r->noise },
		{ .name = "wait_intervals", .number = r->wait },
	};

	log_fields(
		priority, LOG_FIELDS(field),
		"cpu: %s: imbalance %.1f -> %.1f points, peak load %.2f -> %.2f (lower bound %.2f), "
		"%zu pins wanted (at least %zu), noise %.3f, wait %u intervals",
		cpu_why_name(r->why), r->imbalance, r->imbalance_after, r->peak, r->peak_after,
		r->lower_bound, r->moves, r->fewest, r->noise, r->wait);
}

/* One vCPU: where it is, or from where to where; the reason and its figures. */
static void say(const struct cpu_view *view, size_t i, const char *event, const char *verb,
		const struct cpuset *to, enum log_priority priority)
{
	const struct vcpu *v = &view->host.vcpu[i];
	double wait = v->now.wait < 0 ? 0 : v->now.wait;
	struct mask at, target;
	struct log_field field[] = {
		VCPU_FIELDS(event, v->guest, v->number, vcpu_why_name(v->plan.why)),
		{ .name = "from", .text = at.whole },
		{ .name = "run_cpus", .number = v->now.run },
		{ .name = "wait_cpus", .number = wait },
		{ .name = "demand_cpus", .number = v->plan.demand },
		{ .name = "to", .text = target.whole },
	};
	size_t n = sizeof(field) / sizeof(field[0]);

	if (!log_wants(priority))
		return;
	at = mask_now(view, i);
	if (to)
		target = mask(to);
	log_fields(priority, field, to ? n : n - 1,
		   "cpu: %s %s/%u %s%s%s%s: %s: run %.2f, wait %.2f, demand %.2f CPU", verb,
		   v->guest, v->number, to ? "" : "on ", at.brief, to ? " -> " : "",
		   to ? target.brief : "", vcpu_why_name(v->plan.why), v->now.run, wait,
		   v->plan.demand);
}

static const char pin_verb[PINS][16] = {
	[PIN_WOULD] = "would pin", [PIN_DONE] = "pin", [PIN_FAILED] = "could not pin"
};

void cpu_log_pin(const struct cpu_view *v, size_t i, const struct cpuset *to,
		 enum pin_result result)
{
	say(v, i, pin_verb[result], pin_verb[result], to, LOG_PRIO_INFO);
}

void cpu_log_stay(const struct cpu_view *v, size_t i, enum log_priority priority)
{
	say(v, i, "leave", "leave", NULL, priority);
}

void cpu_log_external(const struct cpu_view *view, size_t i)
{
	const struct vcpu *v = &view->host.vcpu[i];
	struct mask at;
	const struct log_field field[] = {
		VCPU_FIELDS("left alone", v->guest, v->number, vcpu_why_name(v->plan.why)),
		{ .name = "from", .text = at.whole },
	};

	if (v->plan.why != VCPU_EXTERNAL || v->past.why == VCPU_EXTERNAL)
		return;
	at = mask_now(view, i);
	log_fields(LOG_PRIO_NOTICE, LOG_FIELDS(field), "cpu: %s/%u is left alone on %s: %s",
		   v->guest, v->number, at.brief, vcpu_why_name(v->plan.why));
}

/* Returns false where there is no room for another name. */
static bool name_add(char *names, const char *name)
{
	size_t used = strlen(names);

	if (used + strlen(name) + 2 >= NAMES_TEXT)
		return false;
	snprintf(names + used, NAMES_TEXT - used, "%s%s", used ? ", " : "", name);
	return true;
}

bool cpu_log_undefined(const struct cpu_view *v, bool (*is)(const void *, size_t),
		       const void *arg)
{
	char names[NAMES_TEXT] = "";
	const char *last = NULL;
	bool more = false;

	for (size_t i = 0; i < v->host.n; i++) {
		const char *name = v->host.vcpu[i].guest;

		if (name == last || !is(arg, i))
			continue;
		last = name;
		more |= !name_add(names, name);
	}
	if (last)
		log_msg(LOG_PRIO_NOTICE,
			"cpu: pinned, but without a persistent definition: %s%s: these may be "
			"pinned to any pCPU; --allowed found keeps them inside the masks they have",
			names, more ? " and others" : "");
	return last;
}

static void say_bin(const struct cpu_view *v, unsigned bin)
{
	const struct bin *b = &v->host.bin[bin];
	const struct cpuset pcpus = cpu_bin_pcpus(v, bin);
	const struct mask list = mask(&pcpus);
	double busy = b->now.busy < 0 ? 0 : b->now.busy;
	const struct log_field field[] = {
		{ .name = "loop", .text = "cpu" },
		{ .name = "event", .text = "state" },
		{ .name = "pcpus", .text = list.whole },
		{ .name = "load_cpus", .number = b->plan.load },
		{ .name = "busy_cpus", .number = busy },
		{ .name = "background_cpus", .number = b->plan.background },
		{ .name = "background_seen_cpus", .number = b->past.seen },
		{ .name = "background_bound_cpus", .number = b->past.bound },
		{ .name = "capacity_cpus", .number = b->now.capacity },
	};

	log_fields(LOG_PRIO_NOTICE, LOG_FIELDS(field),
		   "cpu: state of pCPU %s: load %.2f, busy %.2f, background load %.2f (seen "
		   "%.2f, bound %.2f) of %g CPUs",
		   list.brief, b->plan.load, busy, b->plan.background, b->past.seen,
		   b->past.bound, b->now.capacity);
}

void cpu_log_state(const struct cpu_view *v, const struct cpu_report *r)
{
	cpu_log_host(r, LOG_PRIO_NOTICE);
	for (unsigned b = 0; b < v->host.nbins; b++)
		if (v->host.bin[b].now.capacity > 0)
			say_bin(v, b);
	for (size_t i = 0; i < v->host.n; i++)
		say(v, i, "state", "state of", NULL, LOG_PRIO_NOTICE);
}

void cpu_log_none_online(const struct cpuset *wanted, const struct cpuset *online)
{
	const struct mask asked = mask(wanted), here = mask(online);

	log_msg(LOG_PRIO_ERR, "option '--cpus' '%s': must name a pCPU that is online, of %s",
		asked.brief, here.brief);
}

void cpu_log_grain_unknown(const char *grain)
{
	log_msg(LOG_PRIO_ERR,
		"option '--grain' '%s': must be cpu, or another that is known: here it is "
		"not known which pCPUs share a %s",
		grain, grain);
}

/* ---- restoring ---- */

void cpu_log_put_back(const char *guest, unsigned vcpu, const struct cpuset *from,
		      const struct cpuset *to, enum pin_result result)
{
	const struct mask at = mask(from), back = mask(to);
	const struct log_field field[] = {
		VCPU_FIELDS(pin_verb[result], guest, vcpu, restore_why_name(RESTORE_FOUND)),
		{ .name = "from", .text = at.whole },
		{ .name = "to", .text = back.whole },
	};

	log_fields(LOG_PRIO_INFO, LOG_FIELDS(field), "cpu: %s %s/%u %s -> %s: %s",
		   pin_verb[result], guest, vcpu, at.brief, back.brief,
		   restore_why_name(RESTORE_FOUND));
}

void cpu_log_kept(const char *guest, unsigned vcpu, enum restore_why why)
{
	const struct log_field field[] = {
		VCPU_FIELDS("not put back", guest, vcpu, restore_why_name(why)),
	};

	log_fields(LOG_PRIO_WARNING, LOG_FIELDS(field), "cpu: %s/%u is not put back: %s", guest,
		   vcpu, restore_why_name(why));
}

void cpu_log_others(const char *guest, unsigned vcpu, enum restore_why why,
		    const struct cpuset *at)
{
	const struct mask list = mask(at);
	const struct log_field field[] = {
		VCPU_FIELDS("leave", guest, vcpu, restore_why_name(why)),
		{ .name = "from", .text = list.whole },
	};

	log_fields(LOG_PRIO_NOTICE, LOG_FIELDS(field), "cpu: leave %s/%u on %s: %s", guest,
		   vcpu, list.brief, restore_why_name(why));
}
