/*
 * virt_table.c - the table of guests: who runs, in which of their runs, and what is known of
 * them still.  Each bulk reply brings it up to date; events make void what others changed.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/options.h"
#include "host/virt.h"
#include "host/virt_guests.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "policy/sample.h"

/* To be tried anew, and at once.  What is in the log about it stays true. */
static void attempt_renew(struct attempt *a)
{
	*a = (struct attempt){ .said = a->said };
}

/* Forgets what another connection, or another daemon, may tell differently. */
static void domain_detach(struct domain *d)
{
	if (d->ref)
		virDomainFree(d->ref);
	d->ref = NULL;
	attempt_renew(&d->masks);
	attempt_renew(&d->policy);
	d->job = d->pins = d->memory = d->period = d->pid = (struct attempt){ 0 };
	d->hung_ns = 0;
	d->process = 0;
	memset(&d->cpuset, 0, sizeof(d->cpuset));
	memset(&d->refused, 0, sizeof(d->refused));
	d->cpuset_read = false;
}

static void domain_drop(struct domain *d)
{
	domain_detach(d);
	free(d->mask);
	free(d->allowed);
	free(d->near);
}

/* Where uuid stands among the first n domains, or should. */
static size_t domain_place(const struct virt *v, const unsigned char *uuid, size_t n,
			   bool *found)
{
	size_t low = 0, high = n;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = memcmp(v->table.dom[mid].uuid, uuid, UUID_LEN);

		if (order == 0)
			*found = true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct domain *domain_find(struct virt *v, const unsigned char *uuid)
{
	bool found;
	size_t i = domain_place(v, uuid, v->table.ndom, &found);

	return found ? &v->table.dom[i] : NULL;
}

static int by_uuid(const void *a, const void *b)
{
	return memcmp(((const struct domain *)a)->uuid, ((const struct domain *)b)->uuid,
		      UUID_LEN);
}

/* It matches one of the patterns, if there is any, and none of those that exclude. */
static bool is_wanted(const char **patterns, const char *name)
{
	bool any = false, matched = false;

	for (; patterns && *patterns; patterns++) {
		bool exclude = **patterns == '!';
		bool matches = fnmatch(*patterns + exclude, name, 0) == 0;

		if (exclude && matches)
			return false;
		any |= !exclude;
		matched |= !exclude && matches;
	}
	return matched || !any;
}

/* A name that is too long ends at a whole character of UTF-8. */
static void domain_name(const struct virt *v, struct domain *d)
{
	const char *name = virDomainGetName(d->ref);
	size_t n = strlen(name);

	if (n >= sizeof(d->name))
		for (n = sizeof(d->name) - 1; n > 0 && (name[n] & 0xc0) == 0x80;)
			n--;
	memcpy(d->name, name, n);
	d->name[n] = '\0';
	d->managed = is_wanted(v->opt->guests, name);
}

/*
 * A known domain was seen again.  After a restart its counters, masks and statistics period
 * are those of another run; after a reconnect only our reference is new.
 */
static void domain_seen(struct virt *v, struct domain *d, const virDomainStatsRecord *record)
{
	virDomainPtr ref = record->dom;
	bool restarted = d->id != virDomainGetID(ref);

	d->record = record;
	if (d->ref && !restarted)
		return;
	domain_detach(d);
	virDomainRef(ref);
	d->ref = ref;
	d->id = virDomainGetID(ref);
	if (!restarted)
		return;
	d->boot_id = ++v->boots;
	domain_name(v, d); /* it can have been renamed while it was off */
}

static void domain_add(struct virt *v, virDomainPtr ref, const virDomainStatsRecord *record,
		       const unsigned char *uuid)
{
	struct domain *d = &v->table.dom[v->table.ndom++];

	memset(d, 0, sizeof(*d));
	memcpy(d->uuid, uuid, UUID_LEN);
	d->record = record;
	d->ref = ref;
	virDomainRef(d->ref);
	d->id = virDomainGetID(d->ref);
	d->boot_id = ++v->boots;
	domain_name(v, d);
}

void table_rebind(struct virt *v, virDomainPtr *list, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned char uuid[UUID_LEN];
		virDomainPtr ref = list[i];
		struct domain *d;

		virDomainGetUUID(ref, uuid);
		d = domain_find(v, uuid);
		if (d && d->ref && d->id == virDomainGetID(ref)) {
			ref = d->ref;
			d->ref = list[i];
		}
		virDomainFree(ref);
	}
}

struct domain *table_add(struct virt *v, virDomainPtr ref)
{
	struct guest_table *t = &v->table;
	unsigned char uuid[UUID_LEN];

	virDomainGetUUID(ref, uuid);
	if (!domain_find(v, uuid)) {
		if (array_reserve(&t->dom, &t->dom_cap, t->ndom + 1, sizeof(*t->dom)) < 0)
			return NULL;
		domain_add(v, ref, NULL, uuid);
		qsort(t->dom, t->ndom, sizeof(*t->dom), by_uuid);
	}
	return domain_find(v, uuid);
}

static void domains_forget_absent(struct virt *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->table.ndom; i++) {
		if (v->table.dom[i].record || v->table.dom[i].hung_ns)
			v->table.dom[kept++] = v->table.dom[i];
		else
			domain_drop(&v->table.dom[i]);
	}
	v->table.ndom = kept;
}

static void masks_changed(struct domain *d)
{
	d->masks.done = false;
	d->masks.until_ns = 0;
}

static void policy_changed(struct domain *d)
{
	d->policy.done = false;
	d->policy.until_ns = 0;
}

static void events_apply(struct virt *v)
{
	struct event event[EVENTS_MAX];
	size_t n;
	bool all;

	pthread_mutex_lock(&v->event_lock);
	n = v->nevents;
	all = v->refresh || n > EVENTS_MAX;
	memcpy(event, v->event, sizeof(event));
	v->nevents = 0;
	v->refresh = false;
	pthread_mutex_unlock(&v->event_lock);
	for (size_t i = 0; all && i < v->table.ndom; i++) {
		masks_changed(&v->table.dom[i]);
		policy_changed(&v->table.dom[i]);
	}
	for (size_t i = 0; i < n && i < EVENTS_MAX; i++) {
		struct domain *d = domain_find(v, event[i].uuid);

		if (d && event[i].kind == EVENT_TUNED)
			masks_changed(d);
		if (d && event[i].kind == EVENT_REBOOT)
			d->boot_id = ++v->boots;
		if (d && event[i].kind == EVENT_POLICY)
			policy_changed(d);
	}
}

/* Masks nobody holds any more are forgotten by asking all domains anew, once in a long while.
 */
static void sets_compact(struct virt *v)
{
	size_t used = 64;

	for (size_t i = 0; i < v->table.ndom; i++)
		used += 2 * (size_t)v->table.dom[i].npins;
	if (v->table.nsets <= used)
		return;
	v->table.nsets = 0;
	masks_forget(v);
}

/* Makes the table agree with a bulk read. */
int table_sync(struct virt *v, virDomainStatsRecordPtr *records, int n)
{
	size_t known = v->table.ndom;

	if (array_reserve(&v->table.dom, &v->table.dom_cap, known + (size_t)n,
			  sizeof(*v->table.dom)) < 0)
		return -1;
	for (size_t i = 0; i < known; i++)
		v->table.dom[i].record = NULL;
	for (int i = 0; i < n; i++) {
		unsigned char uuid[UUID_LEN];
		bool found;
		size_t at;

		virDomainGetUUID(records[i]->dom, uuid);
		at = domain_place(v, uuid, known, &found);
		if (!found)
			domain_add(v, records[i]->dom, records[i], uuid);
		else
			domain_seen(v, &v->table.dom[at], records[i]);
	}
	domains_forget_absent(v);
	if (v->table.ndom)
		qsort(v->table.dom, v->table.ndom, sizeof(*v->table.dom), by_uuid);
	events_apply(v);
	sets_compact(v);
	return 0;
}

unsigned virt_run(struct virt *v, const unsigned char *uuid)
{
	struct domain *d;
	unsigned run;

	pthread_mutex_lock(&v->lock);
	d = domain_find(v, uuid);
	run = d ? d->id : 0;
	pthread_mutex_unlock(&v->lock);
	return run;
}

int table_intern(struct guest_table *t, const struct cpuset *s)
{
	return array_intern(&t->set, &t->nsets, &t->set_cap, s, sizeof(*s));
}

void masks_forget(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom; i++)
		v->table.dom[i].masks.done = false;
}

void table_reply_free(struct virt *v, virDomainStatsRecordPtr *records)
{
	for (size_t i = 0; i < v->table.ndom; i++)
		v->table.dom[i].record = NULL;
	virDomainStatsRecordListFree(records);
}

void table_detach(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom; i++)
		domain_detach(&v->table.dom[i]);
	v->table.nsets = 0;
}

void table_free(struct guest_table *t)
{
	for (size_t i = 0; i < t->ndom; i++)
		domain_drop(&t->dom[i]);
	free(t->dom);
	free(t->set);
}
