/*
 * virt_pcpu.c - the pCPUs that guests may not have although libvirt calls them online: those
 * outside of the cpuset of their cgroup, and those for which a pin was refused.
 *
 * Under cgroup v1 the kernel refuses a mask with any pCPU outside; under v2 it takes what is
 * inside and refuses only a mask that is all outside.  So that a mask was accepted proves
 * something of a single pCPU only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/proc.h"
#include "host/virt_guests.h"
#include "lib/cpuset.h"

#define HINT_LIST 224 /* bytes: a list that is to be typed, so never cut */
#define HINT_TEXT 288 /* bytes: the same with a few words */
#define MASK_TEXT 64  /* bytes: a list in a log line; a longer one is cut */

static void remove_all(struct cpuset *s, const struct cpuset *other)
{
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		s->bits[w] &= ~other->bits[w];
}

static void add_all(struct cpuset *s, const struct cpuset *other)
{
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		s->bits[w] |= other->bits[w];
}

static bool overlap(const struct cpuset *a, const struct cpuset *b)
{
	struct cpuset both = *a;

	cpuset_and(&both, b);
	return cpuset_count(&both) > 0;
}

/* A pCPU that was refused to one guest and taken by another: each guest is to be asked. */
static bool guests_differ(const struct guest_table *t)
{
	return overlap(&t->refused, &t->accepted);
}

/* What two guests were refused is refused to all, unless they differ. */
struct cpuset domain_pcpus(const struct guest_table *t, const struct domain *d)
{
	struct cpuset may;

	memset(&may, 0xff, sizeof(may));
	if (cpuset_count(&d->cpuset) > 0)
		may = d->cpuset;
	remove_all(&may, &d->refused);
	if (!guests_differ(t))
		remove_all(&may, &t->refused_again);
	return may;
}

/* ---- pins, and which pCPUs they are refused for ---- */

static void set_to_map(const struct virt *v, const struct cpuset *set, unsigned char *map)
{
	memset(map, 0, (size_t)v->maplen);
	for (int i = 0; i < v->maplen * 8; i++)
		if (cpuset_has(set, (unsigned)i))
			VIR_USE_CPU(map, i);
}

static int pin_make(struct call *c)
{
	return virDomainPinVcpuFlags(c->dom, c->vcpu, c->map, c->maplen,
				     VIR_DOMAIN_AFFECT_LIVE);
}

int pin_call(struct virt *v, struct domain *d, unsigned vcpu, const struct cpuset *mask)
{
	struct call c = { .make = pin_make, .dom = d->ref, .vcpu = vcpu, .maplen = v->maplen };

	set_to_map(v, mask, c.map);
	return call_run(v, &c, d) < 0 ? -1 : c.result;
}

/* Why the kernel refused the last mask: EACCES under v1, EINVAL under v2.  0: nobody did. */
static int mask_error(const struct virt *v)
{
	int error = virt_failure(v).system;

	return error == EINVAL || error == EACCES ? error : 0;
}

bool mask_was_refused(const struct virt *v)
{
	return mask_error(v) != 0;
}

static void refused_add(struct virt *v, struct domain *d, const struct cpuset *pcpus)
{
	struct cpuset again = *pcpus;

	cpuset_and(&again, &v->table.refused);
	add_all(&v->table.refused_again, &again);
	add_all(&v->table.refused, pcpus);
	add_all(&d->refused, pcpus);
	if (v->refused_until_ns == 0)
		v->refused_until_ns = proc_now_ns() + ns_of_s(limit.pcpu_refused_s);
	v->refused_news = true;
}

void pin_accepted(struct virt *v, const struct cpuset *mask)
{
	if (cpuset_count(mask) == 1)
		add_all(&v->table.accepted, mask);
}

/*
 * Tries the pCPUs of a refused mask, and returns those for which there is no time: these are
 * left out for once.
 */
static struct cpuset refused_find(struct virt *v, struct domain *d, unsigned vcpu,
				  const struct cpuset *mask)
{
	struct cpuset untried = { { 0 } };
	int64_t until_ns = proc_now_ns() + ns_of_s(limit.pcpu_probe_s);

	for (unsigned i = 0; i < PCPU_MAX; i++) {
		struct cpuset one = { { 0 } };

		if (!cpuset_has(mask, i))
			continue;
		cpuset_add(&one, i);
		if (proc_now_ns() >= until_ns)
			cpuset_add(&untried, i);
		else if (pin_call(v, d, vcpu, &one) == 0)
			pin_accepted(v, &one);
		else if (mask_was_refused(v))
			refused_add(v, d, &one);
		else
			break; /* the guest or the connection is gone */
	}
	return untried;
}

/* Pins to what is known to be left of a mask. */
static int pin_rest(struct virt *v, struct domain *d, unsigned vcpu, struct cpuset *mask,
		    const struct cpuset *untried)
{
	struct cpuset rest = domain_pcpus(&v->table, d);

	cpuset_and(&rest, mask);
	remove_all(&rest, untried);
	if (cpuset_equal(&rest, mask) || cpuset_count(&rest) == 0 ||
	    pin_call(v, d, vcpu, &rest) < 0)
		return -1;
	*mask = rest;
	return 0;
}

/*
 * A mask was refused: learns which of its pCPUs are, and pins to the others.  -1: none is left,
 * and the vCPU has what it had: under v2 its group's file was written before the refusal.
 */
int pin_narrowed(struct virt *v, struct domain *d, unsigned vcpu, const struct cpuset *had,
		 struct cpuset *mask)
{
	struct cpuset untried = { { 0 } };
	int error = mask_error(v);

	if (pin_rest(v, d, vcpu, mask, &untried) == 0)
		return 0;
	if (cpuset_count(mask) > 1)
		untried = refused_find(v, d, vcpu, mask);
	else
		refused_add(v, d, mask);
	if (pin_rest(v, d, vcpu, mask, &untried) == 0)
		return 0;
	if (had && error == EINVAL)
		pin_call(v, d, vcpu, had);
	return -1;
}

/* The host is another, or time has passed: everything may be tried again. */
void refused_forget(struct virt *v)
{
	memset(&v->table.refused, 0, sizeof(v->table.refused));
	memset(&v->table.refused_again, 0, sizeof(v->table.refused_again));
	memset(&v->table.accepted, 0, sizeof(v->table.accepted));
	v->refused_until_ns = 0;
	for (size_t i = 0; i < v->table.ndom; i++)
		memset(&v->table.dom[i].refused, 0, sizeof(v->table.dom[i].refused));
}

void refused_expire(struct virt *v)
{
	if (v->refused_until_ns && proc_now_ns() >= v->refused_until_ns)
		refused_forget(v);
}

/* ---- notices ---- */

/*
 * The option that leaves these out, too, after a word; nothing where it would leave none, or
 * where they do not fit in a line.
 */
static const char *hint(const struct virt *v, const struct cpuset *pcpus, const char *word,
			char *text)
{
	struct cpuset others = v->table.online, isolated;
	char list[HINT_LIST];

	if (v->opt->cpus)
		cpuset_and(&others, v->opt->cpus);
	else if (v->local && proc_isolated(&isolated) == 0)
		remove_all(&others, &isolated);
	remove_all(&others, pcpus);
	text[0] = '\0';
	if (cpuset_count(&others) > 0 &&
	    !strstr(cpuset_text(&others, list, sizeof(list)), "..."))
		snprintf(text, HINT_TEXT, "%s --cpus %s", word, list);
	return text;
}

/* What is refused shows pCPU by pCPU: it is said when for a tick there was no more of it. */
static void refused_say(struct virt *v)
{
	char list[MASK_TEXT], option[HINT_TEXT];
	struct cpuset news = v->table.refused;
	bool differ = guests_differ(&v->table);

	if (v->refused_news) {
		v->refused_news = false;
		return;
	}
	remove_all(&news, &v->refused_said);
	if (cpuset_count(&news) == 0)
		return;
	v->refused_said = v->table.refused;
	log_msg(LOG_PRIO_NOTICE,
		"cpu: the kernel refuses %spins to pCPUs %s: not used, tried again after 10 "
		"minutes%s",
		differ ? "some guests' " : "",
		cpuset_text(&v->table.refused, list, sizeof(list)),
		differ ? ""
		       : hint(v, &v->table.refused, "; to leave them out for good:", option));
}

/* open: what some guest may have by its cgroup. */
static void cpusets_say(struct virt *v, const struct cpuset *open)
{
	char list[MASK_TEXT], option[HINT_TEXT];
	struct cpuset closed = v->table.online;

	remove_all(&closed, open);
	if (cpuset_equal(&closed, &v->closed_said))
		return;
	v->closed_said = closed;
	if (cpuset_count(&closed) > 0)
		log_msg(LOG_PRIO_NOTICE,
			"cpu: the cpusets of the guests' cgroups leave out pCPUs %s: not used%s",
			cpuset_text(&closed, list, sizeof(list)),
			hint(v, &closed, ", as with", option));
	else
		log_msg(LOG_PRIO_NOTICE,
			"cpu: the cpusets of the guests' cgroups leave out none");
}

void refused_say_last(struct virt *v)
{
	v->refused_news = false;
	refused_say(v);
}

/* What at least one of the guests may have, and says what none may. */
struct cpuset pcpus_open(struct virt *v)
{
	struct cpuset may = { { 0 } }, cpusets = { { 0 } };
	bool any = false;

	for (size_t i = 0; i < v->table.ndom; i++) {
		const struct domain *d = &v->table.dom[i];
		struct cpuset pcpus = domain_pcpus(&v->table, d);

		if (!d->managed || d->wants.cpu_off || !d->masks.done)
			continue;
		any = true;
		add_all(&may, &pcpus);
		add_all(&cpusets, cpuset_count(&d->cpuset) ? &d->cpuset : &v->table.online);
	}
	if (!any)
		memset(&may, 0xff, sizeof(may));
	else
		cpusets_say(v, &cpusets);
	refused_say(v);
	return may;
}
