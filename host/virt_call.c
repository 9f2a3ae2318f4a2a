/*
 * virt_call.c - calls that can have to wait for a guest's QEMU, made by threads that can be
 * left behind in them.
 *
 * NOWAIT avoids waiting for a job, not for an answer: a bulk read that has asked the monitor of
 * a QEMU that hangs returns when that wakes (libvirt 9.0), and so does a command.  So whoever
 * asks waits for a moment only.  Then libvirt tells which guest's monitor is occupied, which
 * needs neither a job nor the monitor: that guest hangs.  The thread is left in its call, which
 * returns by itself when the guest wakes, and nothing more is asked of that guest until libvirt
 * says that its monitor is free.
 *
 * It is left with its connection, too, and the loops go on with another one: beside a thread
 * that waits on the same connection a call takes up to 5 s, until the next keepalive, where
 * that thread misses that it is to send for others (seen with libvirt 9.0).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/proc.h"
#include "host/virt_guests.h"
#include "lib/units.h"
#include "policy/mem.h"

/* ---- the threads ---- */

static void call_drop(struct call *c)
{
	if (c->records)
		virDomainStatsRecordListFree(c->records);
	c->records = NULL;
}

static void list_drop(struct call *c)
{
	for (virDomainPtr *d = c->list; d && *d; d++)
		virDomainFree(*d);
	free(c->list);
	c->list = NULL;
}

/* What was taken for it is given back by the thread that made it, whoever still waits. */
static void call_make(struct call *c)
{
	c->result = c->make(c);
	if (c->result < 0)
		c->failure = failure_now();
	list_drop(c);
	if (c->dom)
		virDomainFree(c->dom);
}

/* The connection that a call was made on, when it has returned; replaced: it is nobody else's.
 */
static void connection_drop(struct caller *r)
{
	for (int i = 0; i < EVENT_KINDS && r->replaced; i++)
		if (r->callback[i] >= 0)
			virConnectDomainEventDeregisterAny(r->call.conn, r->callback[i]);
	virConnectClose(r->call.conn);
	r->replaced = false;
}

static void *caller_run(void *arg)
{
	struct caller *r = arg;
	struct callers *all = r->all;

	pthread_mutex_lock(&all->lock);
	while (!all->stop) {
		if (r->state != CALLER_BUSY) {
			pthread_cond_wait(&all->news, &all->lock);
			continue;
		}
		pthread_mutex_unlock(&all->lock);
		call_make(&r->call);
		pthread_mutex_lock(&all->lock);
		if (r->state == CALLER_LEFT) {
			pthread_mutex_unlock(&all->lock);
			call_drop(&r->call);
			connection_drop(r);
			pthread_mutex_lock(&all->lock);
			r->state = CALLER_IDLE;
		} else {
			r->state = CALLER_DONE;
		}
		pthread_cond_broadcast(&all->news);
	}
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

void callers_init(struct callers *all)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&all->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&all->news, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		all->caller[i].all = all;
}

unsigned callers_left(struct callers *all)
{
	unsigned n = 0;

	pthread_mutex_lock(&all->lock);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		n += all->caller[i].state == CALLER_LEFT;
	pthread_mutex_unlock(&all->lock);
	return n;
}

int callers_end(struct callers *all)
{
	if (callers_left(all))
		return -1;
	pthread_mutex_lock(&all->lock);
	all->stop = true;
	pthread_cond_broadcast(&all->news);
	pthread_mutex_unlock(&all->lock);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		if (all->caller[i].state != CALLER_NONE)
			pthread_join(all->caller[i].thread, NULL);
	pthread_cond_destroy(&all->news);
	pthread_mutex_destroy(&all->lock);
	return 0;
}

/* One that has nothing to do; a new one where there is none.  NULL: all are left in calls. */
static struct caller *caller_idle(struct callers *all)
{
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		struct caller *r = &all->caller[i];

		if (r->state == CALLER_IDLE)
			return r;
		if (r->state == CALLER_NONE &&
		    pthread_create(&r->thread, NULL, caller_run, r) == 0) {
			r->state = CALLER_IDLE;
			return r;
		}
	}
	return NULL;
}

static struct caller *call_begin(struct virt *v, const struct call *c)
{
	struct callers *all = &v->callers;
	struct caller *r;

	pthread_mutex_lock(&all->lock);
	r = caller_idle(all);
	if (r) {
		r->call = *c;
		r->call.conn = v->conn;
		virConnectRef(v->conn);
		if (c->dom)
			virDomainRef(c->dom);
		r->state = CALLER_BUSY;
		pthread_cond_broadcast(&all->news);
	}
	pthread_mutex_unlock(&all->lock);
	return r;
}

/* Waits for a moment.  leave: or else the thread is left in its call. */
static bool call_returned(struct callers *all, struct caller *r, bool leave, struct call *out)
{
	int64_t deadline_ns = proc_now_ns() + ns_of_s(limit.answer_s);
	bool done;

	pthread_mutex_lock(&all->lock);
	while (!leave && r->state == CALLER_BUSY &&
	       proc_wait(&all->news, &all->lock, deadline_ns) != ETIMEDOUT)
		;
	done = r->state == CALLER_DONE;
	if (!done && leave)
		r->state = CALLER_LEFT;
	pthread_mutex_unlock(&all->lock);
	if (!done)
		return false;
	connection_drop(r);
	*out = r->call;
	pthread_mutex_lock(&all->lock);
	r->state = CALLER_IDLE;
	pthread_mutex_unlock(&all->lock);
	return true;
}

/* ---- guests that hang ---- */

/* For how long its monitor has been owing an answer; 0: it has not; -1: the guest is gone. */
static int64_t monitor_waits_ms(virDomainPtr dom)
{
	virDomainControlInfo info;

	if (virDomainGetControlInfo(dom, &info, 0) < 0)
		return -1;
	return info.state == VIR_DOMAIN_CONTROL_OCCUPIED ? (int64_t)info.stateTime : 0;
}

/* What it holds counts, also where no sample of it was ever taken. */
static void figures_ask(struct domain *d)
{
	virDomainInfo info;

	if (d->figures.max_kib || virDomainGetInfo(d->ref, &info) < 0)
		return;
	d->figures = (struct guest_figures){ .boot_id = d->boot_id,
					     .actual_kib = info.memory,
					     .max_kib = info.maxMem,
					     .usable_kib = KIB_UNKNOWN,
					     .unused_kib = KIB_UNKNOWN,
					     .caches_kib = KIB_UNKNOWN,
					     .managed_kib = KIB_UNKNOWN,
					     .swap_out_kib = KIB_UNKNOWN };
}

static void domain_hangs(struct domain *d, int64_t for_ms)
{
	d->hung_ns = proc_now_ns() - for_ms * NS_PER_MS;
	figures_ask(d);
	log_guest(LOG_PRIO_WARNING, d->name,
		  "hung: its QEMU has not answered for %.1f s: left alone until it does, the "
		  "others are watched",
		  (double)for_ms / MS_PER_S);
}

/* Which guests does a bulk read wait for?  Also those that are in no sample yet. */
static bool hung_find(struct virt *v)
{
	virDomainPtr *list = NULL;
	int n = virConnectListAllDomains(v->conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	bool found = false;

	for (int i = 0; i < n; i++) {
		int64_t ms = monitor_waits_ms(list[i]);
		struct domain *d =
			ms >= limit.answer_s * MS_PER_S ? table_add(v, list[i]) : NULL;

		if (d && !d->hung_ns) {
			domain_hangs(d, ms);
			found = true;
		}
		virDomainFree(list[i]);
	}
	free(list);
	return found;
}

unsigned hung_count(const struct virt *v)
{
	unsigned n = 0;

	for (size_t i = 0; i < v->table.ndom; i++)
		n += v->table.dom[i].hung_ns != 0;
	return n;
}

/*
 * A call that was left with one guest can have gone on to another, of which the next bulk read
 * tells only what it knows without the monitor.
 */
void hung_recheck(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom; i++) {
		struct domain *d = &v->table.dom[i];
		int64_t ms = d->hung_ns ? monitor_waits_ms(d->ref) : 0;

		if (!d->hung_ns || ms >= limit.answer_s * MS_PER_S)
			continue;
		if (ms >= 0)
			log_guest(LOG_PRIO_NOTICE, d->name,
				  "its QEMU answers again, after %.0f s",
				  (double)((proc_now_ns() - d->hung_ns) / NS_PER_S));
		d->hung_ns = 0;
	}
	if (callers_left(&v->callers) > hung_count(v))
		hung_find(v);
}

void hung_suspect(struct domain *d)
{
	int64_t ms = monitor_waits_ms(d->ref);

	if (!d->hung_ns && ms >= limit.answer_s * MS_PER_S)
		domain_hangs(d, ms);
}

/* ---- a call ---- */

int call_run(struct virt *v, struct call *c, struct domain *d)
{
	struct caller *r = call_begin(v, c);
	bool leave = false;

	if (!r) {
		log_change(&v->callers_busy, true, "libvirt",
			   "too many calls wait for guests that hang: nothing is asked until "
			   "one answers");
		list_drop(c);
		return -1;
	}
	log_change(&v->callers_busy, false, "libvirt", "");
	while (!call_returned(&v->callers, r, leave, c)) {
		if (leave)
			return -1;
		if (!r->replaced && virt_replace(v, r->callback) == 0)
			r->replaced = true;
		if (!r->replaced)
			continue;
		leave = d ? true : hung_find(v);
		if (d)
			domain_hangs(d, (int64_t)(limit.answer_s * MS_PER_S));
	}
	virResetLastError(); /* ours, which is older */
	v->failure = c->failure;
	return 0;
}
