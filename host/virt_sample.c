/*
 * virt_sample.c - the second step of a tick: one bulk reply becomes a sample.
 *
 * Pure: what comes out is a function of the reply's records and of the table of guests, in the
 * table's order.  What the records do not tell was learnt before (virt_learn.c) or stays
 * unknown; nothing is asked here, and nothing is said.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"
#include "host/virt_guests.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "policy/mem.h"
#include "policy/sample.h"

static uint64_t param_u64(const virTypedParameter *p)
{
	switch (p->type) {
	case VIR_TYPED_PARAM_INT: return p->value.i > 0 ? (uint64_t)p->value.i : 0;
	case VIR_TYPED_PARAM_UINT: return p->value.ui;
	case VIR_TYPED_PARAM_LLONG: return p->value.l > 0 ? (uint64_t)p->value.l : 0;
	case VIR_TYPED_PARAM_ULLONG: return p->value.ul;
	default: return 0;
	}
}

/* ---- vCPUs ---- */

/* Splits "vcpu.3.time" into 3 and "time"; NULL for any other field. */
static const char *vcpu_field(const char *field, unsigned *number)
{
	unsigned long n;
	char *end;

	if (strncmp(field, "vcpu.", 5) || !isdigit((unsigned char)field[5]))
		return NULL;
	n = strtoul(field + 5, &end, 10);
	if (*end != '.' || n > UINT32_MAX)
		return NULL;
	*number = (unsigned)n;
	return end + 1;
}

/* The count of vCPU number among those of this domain, which begin at first; else a new one. */
static struct vcpu_count *vcpu_slot(struct vcpu_sample *s, size_t first, const struct domain *d,
				    unsigned number)
{
	struct vcpu_count *c;

	for (size_t i = s->n; i > first; i--)
		if (s->vcpu[i - 1].number == number)
			return &s->vcpu[i - 1];
	if (array_reserve(&s->vcpu, &s->vcpu_cap, s->n + 1, sizeof(*s->vcpu)) < 0)
		return NULL;
	c = &s->vcpu[s->n++];
	memset(c, 0, sizeof(*c));
	memcpy(c->uuid, d->uuid, UUID_LEN);
	c->number = number;
	c->run = d->id;
	c->boot_id = d->boot_id;
	c->run_ns = c->wait_ns = UINT64_MAX;
	return c;
}

static int vcpu_param(struct vcpu_sample *s, size_t first, const struct domain *d,
		      const virTypedParameter *p)
{
	unsigned number;
	const char *leaf = vcpu_field(p->field, &number);
	struct vcpu_count *c;

	if (!leaf || (strcmp(leaf, "time") && strcmp(leaf, "delay")))
		return 0;
	c = vcpu_slot(s, first, d, number);
	if (!c)
		return -1;
	if (strcmp(leaf, "time") == 0)
		c->run_ns = param_u64(p);
	else
		c->wait_ns = param_u64(p);
	return 0;
}

unsigned record_vcpus(const virDomainStatsRecord *r)
{
	for (int i = 0; i < r->nparams; i++)
		if (strcmp(r->params[i].field, "vcpu.maximum") == 0)
			return (unsigned)param_u64(&r->params[i]);
	return 0;
}

/* The index of those of its allowed pCPUs that a guest may have.  -1: no memory. */
static int allowed_inside(struct vcpu_sample *s, unsigned allowed, const struct cpuset *may)
{
	struct cpuset inside = s->set[allowed];

	cpuset_and(&inside, may);
	if (cpuset_equal(&inside, &s->set[allowed]))
		return (int)allowed;
	return array_intern(&s->set, &s->nsets, &s->set_cap, &inside, sizeof(inside));
}

/* A vCPU without run time or without a known mask is not ours to judge: it is left out. */
static void vcpus_finish(const struct guest_table *t, struct vcpu_sample *s, size_t first,
			 const struct domain *d, bool held)
{
	struct cpuset may = domain_pcpus(t, d);
	size_t kept = first;

	for (size_t i = first; i < s->n; i++) {
		struct vcpu_count c = s->vcpu[i];
		int allowed;

		if (c.run_ns == UINT64_MAX || !d->masks.done || c.number >= d->npins)
			continue;
		allowed = allowed_inside(s, d->allowed[c.number], &may);
		if (allowed < 0)
			continue;
		c.mask = d->mask[c.number];
		c.allowed = (unsigned)allowed;
		c.memory = d->near[c.number];
		c.policy = d->wants;
		c.quota = d->quota;
		c.transient = d->transient;
		c.held = held;
		s->vcpu[kept++] = c;
	}
	s->n = kept;
}

static int by_number(const void *a, const void *b)
{
	const struct vcpu_count *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int vcpus_of(const struct guest_table *t, int64_t now_ns, struct vcpu_sample *s,
		    const struct domain *d)
{
	const virDomainStatsRecord *r = d->record;
	size_t first = s->n;

	if (!d->managed || !d->policy_read || record_vcpus(r) == 0)
		return 0;
	for (int i = 0; i < r->nparams; i++)
		if (vcpu_param(s, first, d, &r->params[i]) < 0)
			return -1;
	vcpus_finish(t, s, first, d, now_ns < d->job.until_ns || now_ns < d->pins.until_ns);
	if (s->n > first)
		qsort(s->vcpu + first, s->n - first, sizeof(*s->vcpu), by_number);
	return 0;
}

static int sets_copy(const struct guest_table *t, struct vcpu_sample *s)
{
	if (array_reserve(&s->set, &s->set_cap, t->nsets, sizeof(*s->set)) < 0)
		return -1;
	if (t->nsets)
		memcpy(s->set, t->set, t->nsets * sizeof(*s->set));
	s->nsets = t->nsets;
	return 0;
}

int sample_vcpus(const struct guest_table *t, int64_t now_ns, struct vcpu_sample *s)
{
	s->n = 0;
	if (array_reserve(&s->name, &s->name_cap, t->ndom, sizeof(*s->name)) < 0 ||
	    sets_copy(t, s) < 0)
		return -1;
	for (size_t i = 0; i < t->ndom; i++) {
		const struct domain *d = &t->dom[i];
		size_t first = s->n;

		memcpy(s->name[i], d->name, sizeof(d->name));
		if (d->record && vcpus_of(t, now_ns, s, d) < 0)
			return -1;
		for (size_t k = first; k < s->n; k++)
			s->vcpu[k].name = (unsigned)i;
	}
	return 0;
}

/* ---- guests' memory ---- */

static enum guest_state guest_state(const struct domain *d, int64_t now_ns, uint64_t state)
{
	if (!d->managed || d->wants.mem_off)
		return GUEST_UNMANAGED;
	if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED)
		return GUEST_PAUSED;
	if ((state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_BLOCKED) || !d->policy_read)
		return GUEST_BUSY;
	return now_ns < d->job.until_ns ? GUEST_BUSY : GUEST_RUNNING;
}

uint64_t record_balloon_kib(const virDomainStatsRecord *r)
{
	for (int i = 0; i < r->nparams; i++)
		if (strcmp(r->params[i].field, "balloon.current") == 0)
			return param_u64(&r->params[i]);
	return 0;
}

static void guest_param(struct guest_count *g, uint64_t *state, const virTypedParameter *p)
{
	const struct {
		const char *field;
		uint64_t *to;
	} fields[] = {
		{ "state.state", state },
		{ "balloon.current", &g->now.actual_kib },
		{ "balloon.maximum", &g->now.max_kib },
		{ "balloon.usable", &g->now.usable_kib },
		{ "balloon.unused", &g->now.unused_kib },
		{ "balloon.available", &g->now.managed_kib },
		{ "balloon.disk_caches", &g->now.caches_kib },
		{ "balloon.swap_out", &g->now.swap_out_kib },
		{ "balloon.rss", &g->now.rss_kib },
		{ "balloon.last-update", &g->now.last_update_s },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(p->field, fields[i].field) == 0)
			*fields[i].to = param_u64(p);
}

/*
 * Libvirt's maximum is of all memory devices.  What of it a balloon takes and gives, in the
 * terms of balloon.current: RAM, DIMMs, and as libvirt adds that (9.0), what is plugged of
 * virtio-mem.
 */
static uint64_t balloon_most(const struct memory_kind *kind, uint64_t max_kib)
{
	uint64_t most = max_kib + kind->virtio_mem_kib;

	return most > kind->other_kib ? most - kind->other_kib : max_kib;
}

static void guest_of(const struct domain *d, int64_t now_ns, struct guest_count *g)
{
	const virDomainStatsRecord *r = d->record;
	uint64_t state = 0;

	memset(g, 0, sizeof(*g));
	memcpy(g->uuid, d->uuid, UUID_LEN);
	g->now.usable_kib = g->now.unused_kib = g->now.caches_kib = KIB_UNKNOWN;
	g->now.managed_kib = g->now.swap_out_kib = KIB_UNKNOWN;
	g->now.boot_id = d->boot_id;
	g->now.policy = d->wants;
	g->now.kind = d->kind;
	g->now.unproven = d->unproven;
	g->now.limit_kib = d->limit_kib;
	for (int i = 0; i < r->nparams; i++)
		guest_param(g, &state, &r->params[i]);
	g->now.max_kib = balloon_most(&d->kind, g->now.max_kib);
	if (g->now.actual_kib > g->now.max_kib) /* no guest holds more, whatever it reports */
		g->now.actual_kib = g->now.max_kib;
	g->now.state = guest_state(d, now_ns, state);
}

/* It holds what it held. */
static void hung_of(const struct domain *d, struct guest_count *g)
{
	memset(g, 0, sizeof(*g));
	memcpy(g->uuid, d->uuid, UUID_LEN);
	g->now = d->figures;
	g->now.state = GUEST_HUNG;
}

int sample_guests(const struct guest_table *t, int64_t now_ns, struct guest_sample *s)
{
	s->n = 0;
	if (array_reserve(&s->guest, &s->guest_cap, t->ndom, sizeof(*s->guest)) < 0 ||
	    array_reserve(&s->name, &s->name_cap, t->ndom, sizeof(*s->name)) < 0)
		return -1;
	for (size_t i = 0; i < t->ndom; i++) {
		const struct domain *d = &t->dom[i];
		struct guest_count *g = &s->guest[s->n];

		if (d->hung_ns)
			hung_of(d, g);
		else if (d->record)
			guest_of(d, now_ns, g);
		else
			continue;
		memcpy(s->name[s->n], d->name, sizeof(d->name));
		g->name = s->name[s->n];
		s->n += g->now.actual_kib && g->now.max_kib;
	}
	return 0;
}
