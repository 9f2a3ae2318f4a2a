/*
 * virt_read.c - one tick's reading: one bulk call tells of all guests at once, so that a tick
 * costs the same number of calls for a thousand guests as for one.  Then the steps in their
 * order: what the reply does not tell is learnt, and reply and table become a sample.
 */
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/proc.h"
#include "host/qemu.h"
#include "host/virt.h"
#include "host/virt_guests.h"
#include "policy/sample.h"

/*
 * NOWAIT: without it each domain that a job holds can cost 30 s, one after the other.  Its
 * figures are then missing or old, which the policies take as "not sampled".
 */
#define BULK_FLAGS                                                                             \
	(VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)

/* Says so when there was no memory for a sample, and when there is again. */
static int starved(struct attempt *a, int result)
{
	log_change(&a->said, result < 0, "reading guests", "out of memory");
	return result;
}

static int stats_make(struct call *c)
{
	return c->list ? virDomainListGetStats(c->list, c->stats, &c->records, BULK_FLAGS)
		       : virConnectGetAllDomainStats(c->conn, c->stats, &c->records,
						     BULK_FLAGS);
}

/* All that run, new ones too, but those that hang.  -1: they could not be listed. */
static int answering_list(struct virt *v, virDomainPtr **list)
{
	int n = virConnectListAllDomains(v->conn, list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	int kept = 0;

	for (int i = 0; i < n; i++) {
		unsigned char uuid[UUID_LEN];
		const struct domain *d;

		virDomainGetUUID((*list)[i], uuid);
		d = domain_find(v, uuid);
		if (d && d->hung_ns)
			virDomainFree((*list)[i]);
		else
			(*list)[kept++] = (*list)[i];
	}
	if (n >= 0)
		(*list)[kept] = NULL;
	return n < 0 ? -1 : kept;
}

/*
 * One bulk call, or, where a guest hangs in it, one for each until those are left that answer.
 * -1: it failed.
 */
static int bulk_call(struct virt *v, unsigned stats, virDomainStatsRecordPtr **records)
{
	struct call c;
	int n = 0;

	do {
		c = (struct call){ .make = stats_make, .stats = stats };
		if (hung_count(v))
			n = answering_list(v, &c.list);
		if (n < 0)
			return -1;
		if (c.list && n == 0) {
			free(c.list);
			return 0;
		}
		v->asked_ns = proc_now_ns();
	} while (call_run(v, &c, NULL) < 0 && !v->callers_busy);
	if (v->callers_busy)
		return -1;
	*records = c.records;
	return c.result;
}

/* Reads the statistics of all running domains and brings the domain table up to date. */
static int bulk_read(struct virt *v, unsigned stats, virDomainStatsRecordPtr **records,
		     struct attempt *sample)
{
	int n;

	hung_recheck(v);
	n = bulk_call(v, stats, records);
	if (n < 0 && v->callers_busy)
		return -1; /* which is said */
	if (n < 0) {
		virt_check(v, &v->bulk, NULL, "reading domain statistics");
		return -1;
	}
	attempt_done(&v->bulk, NULL, "reading domain statistics");
	virt_proven(v);
	v->learn_until_ns = proc_now_ns() + ns_of_s(limit.learn_s);
	if (table_sync(v, *records, n) == 0)
		return 0;
	table_reply_free(v, *records);
	return starved(sample, -1);
}

/* ---- vCPUs ---- */

static bool waits_unknown(const struct vcpu_count *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].wait_ns == UINT64_MAX)
			return true;
	return false;
}

static const char *why_waitless(const struct virt *v, const struct domain *d)
{
	if (!v->local)
		return "the host is another machine";
	if (d->process == QEMU_HIDDEN)
		return "/proc hides its process (hidepid)";
	return d->process ? "its threads in /proc do not" : "its process is not in /proc";
}

/* Once: the first guest stands for all. */
static void say_waitless(struct virt *v, const struct domain *d)
{
	if (!v->delay_unknown_said)
		log_msg(LOG_PRIO_WARNING,
			"cpu: %s: libvirt does not tell how long its vCPUs wait for a pCPU, as "
			"before 7.2, and %s: on a full pCPU light and heavy vCPUs look alike, "
			"and to even them out takes longer and more pins",
			d->name, why_waitless(v, d));
	v->delay_unknown_said = true;
}

/*
 * Libvirt tells the run delay since 7.2, and has it from where it is read here otherwise.  A
 * guest that has just ended is without for a sample or two.
 */
static void waits_read(struct virt *v, struct domain *d, struct vcpu_count *c, size_t n)
{
	pid_t pid;

	if (!waits_unknown(c, n)) {
		d->waitless = 0;
		return;
	}
	pid = domain_pid(v, d);
	if (pid > 0)
		qemu_waits(pid, c, n);
	if (waits_unknown(c, n)) {
		if (++d->waitless >= limit.delayless_samples)
			say_waitless(v, d);
		return;
	}
	d->waitless = 0;
	if (!v->delay_from_proc_said)
		log_msg(LOG_PRIO_INFO, "cpu: libvirt does not tell how long vCPUs wait for a "
				       "pCPU, as before 7.2: this is read from /proc");
	v->delay_from_proc_said = true;
}

/* Those of one guest after those of another. */
static void waits_complete(struct virt *v, struct vcpu_sample *s)
{
	for (size_t i = 0, n; i < s->n; i += n) {
		struct domain *d = domain_find(v, s->vcpu[i].uuid);

		n = 1;
		while (i + n < s->n &&
		       memcmp(s->vcpu[i + n].uuid, s->vcpu[i].uuid, UUID_LEN) == 0)
			n++;
		if (d)
			waits_read(v, d, &s->vcpu[i], n);
	}
}

/* No event tells of changed allowed pCPUs: one guest's are read anew in each tick, in turn. */
static void allowed_refresh(struct virt *v)
{
	if (v->table.ndom == 0)
		return;
	v->stale_next = (v->stale_next + 1) % v->table.ndom;
	v->table.dom[v->stale_next].masks.done = false;
}

static int vcpus_locked(struct virt *v, struct vcpu_sample *s)
{
	virDomainStatsRecordPtr *records = NULL;
	int result;

	if (virt_connected(v) < 0 || online_read(v, s) < 0)
		return -1;
	refused_expire(v);
	if (virt_learn_topology(v) < 0)
		return -1;
	if (starved(&v->vcpu_sample, pcpus_reserve(s)) < 0 || pcpus_read(v, s) < 0)
		return -1;
	if (bulk_read(v, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_VCPU, &records,
		      &v->vcpu_sample) < 0)
		return -1;
	s->taken_ns = v->asked_ns + (proc_now_ns() - v->asked_ns) / 2;
	s->epoch = v->epoch;
	host_shape(v, s);
	allowed_refresh(v);
	guests_learn_cpu(v);
	result = starved(&v->vcpu_sample, sample_vcpus(&v->table, proc_now_ns(), s));
	if (result == 0)
		waits_complete(v, s);
	s->open = pcpus_open(v);
	table_reply_free(v, records);
	return virt_lost(v) ? -1 : result; /* lost while guests were asked about */
}

int virt_vcpus(struct virt *v, struct vcpu_sample *sample)
{
	int result;

	virt_enter(v);
	result = vcpus_locked(v, sample);
	virt_leave(v);
	return result;
}

void virt_vcpus_free(struct vcpu_sample *s)
{
	free(s->pcpu);
	free(s->vcpu);
	free(s->name);
	free(s->set);
	memset(s, 0, sizeof(*s));
}

/* ---- guests' memory ---- */

/* In case they hang next time. */
static void figures_keep(struct virt *v, const struct guest_sample *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct domain *d = domain_find(v, s->guest[i].uuid);

		if (d && !d->hung_ns && s->guest[i].now.last_update_s)
			d->figures = s->guest[i].now;
	}
}

/*
 * Where another client's call waits for a guest that hangs ours does not: NOWAIT leaves out
 * what only the monitor could tell.
 */
static void left_out_check(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom; i++) {
		struct domain *d = &v->table.dom[i];
		bool told = !d->record || !d->figures.last_update_s;

		for (int k = 0; !told && k < d->record->nparams; k++)
			told = strcmp(d->record->params[k].field, "balloon.last-update") == 0;
		if (!told)
			hung_suspect(d);
	}
}

static int guests_locked(struct virt *v, struct guest_sample *s)
{
	virDomainStatsRecordPtr *records = NULL;
	int result;

	if (virt_connected(v) < 0)
		return -1;
	if (bulk_read(v, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON, &records,
		      &v->guest_sample) < 0)
		return -1;
	s->taken_ns = proc_now_ns();
	s->epoch = v->epoch;
	left_out_check(v);
	guests_learn_mem(v);
	statistics_start(v);
	result = sample_guests(&v->table, proc_now_ns(), s);
	table_reply_free(v, records);
	if (starved(&v->guest_sample, result) < 0 || virt_lost(v))
		return -1;
	figures_keep(v, s);
	host_memory(v, &s->host);
	return 0;
}

int virt_guests(struct virt *v, struct guest_sample *sample)
{
	int result;

	virt_enter(v);
	result = guests_locked(v, sample);
	virt_leave(v);
	return result;
}

void virt_guests_free(struct guest_sample *s)
{
	free(s->guest);
	free(s->name);
	memset(s, 0, sizeof(*s));
}
