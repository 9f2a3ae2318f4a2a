/*
 * domain.c - domains, of the part of libvirt's API that vmbal calls: what libvirt.c begins.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/metadata.h"
#include "tests/fake/simulated.h"

static struct fake_domain *alive(virDomainPtr dom)
{
	struct fake_domain *d = &host.guest[dom->guest];

	return d->running && d->id == dom->id ? d : NULL;
}

int virDomainGetUUID(virDomainPtr dom, unsigned char *uuid)
{
	GUARD;
	memcpy(uuid, host.guest[dom->guest].uuid, UUID_LEN);
	return 0;
}

const char *virDomainGetName(virDomainPtr dom)
{
	GUARD;
	return host.guest[dom->guest].renamed ? host.guest[dom->guest].renamed
					      : host.guest[dom->guest].name;
}

unsigned virDomainGetID(virDomainPtr dom)
{
	GUARD;
	return dom->id;
}

int virDomainRef(virDomainPtr dom)
{
	GUARD;
	dom->refs++;
	host.refs++;
	return 0;
}

int virDomainFree(virDomainPtr dom)
{
	GUARD;
	host.refs--;
	if (--dom->refs == 0)
		free(dom);
	return 0;
}

static void add_u64(virDomainStatsRecordPtr r, const char *field, uint64_t value)
{
	virTypedParameterPtr p = &r->params[r->nparams++];

	snprintf(p->field, sizeof(p->field), "%s", field);
	p->type = VIR_TYPED_PARAM_ULLONG;
	p->value.ul = value;
}

static void add_int(virDomainStatsRecordPtr r, const char *field, int type, unsigned value)
{
	add_u64(r, field, 0);
	r->params[r->nparams - 1].type = type;
	r->params[r->nparams - 1].value.ui = value;
}

static void add_vcpus(virDomainStatsRecordPtr r, const struct fake_domain *d)
{
	char field[VIR_TYPED_PARAM_FIELD_LENGTH];

	add_int(r, "vcpu.current", VIR_TYPED_PARAM_UINT, d->nvcpus);
	add_int(r, "vcpu.maximum", VIR_TYPED_PARAM_UINT, d->nvcpus);
	for (unsigned k = 0; k < d->nvcpus; k++) {
		snprintf(field, sizeof(field), "vcpu.%u.time", k);
		add_u64(r, field, plant_time_ns(host.cpus, d->task[k]));
		if (host.no_delay)
			continue;
		snprintf(field, sizeof(field), "vcpu.%u.delay", k);
		add_u64(r, field, plant_delay_ns(host.cpus, d->task[k]));
	}
}

static void add_balloon(virDomainStatsRecordPtr r, const struct fake_domain *d, bool asked)
{
	struct plant_mem_stats s;

	if (d->mem == SIZE_MAX)
		return;
	plant_mem_stats(host.mem, d->mem, &s);
	add_u64(r, "balloon.current", s.actual_kib + d->plugged_kib);
	add_u64(r, "balloon.maximum", d->max_kib + d->other_kib);
	if (!asked) /* the rest is the monitor's to tell */
		return;
	add_u64(r, "balloon.rss", s.rss_kib);
	if (!s.reported)
		return;
	add_u64(r, "balloon.usable", s.usable_kib);
	add_u64(r, "balloon.unused", s.unused_kib);
	add_u64(r, "balloon.disk_caches", s.caches_kib);
	add_u64(r, "balloon.available", s.managed_kib);
	add_u64(r, "balloon.swap_out", s.swap_out_kib);
	add_u64(r, "balloon.last-update", s.last_update_s);
}

static void add_odd(virDomainStatsRecordPtr r)
{
	add_u64(r, "", 1);
	add_u64(r, "vcpu.", 1);
	add_u64(r, "vcpu.x.time", 1);
	add_u64(r, "vcpu.0", 1);
	add_u64(r, "vcpu.0.times", 1);
	add_u64(r, "vcpu.900.time", 1); /* more than it has */
	add_u64(r, "vcpu.901.delay", 1);
	add_u64(r, "vcpu.4294967296.time", 1);
	add_u64(r, "balloon.usable.next", 1);
	add_int(r, "balloon.swap_out", VIR_TYPED_PARAM_INT, (unsigned)-1);
	add_int(r, "balloon.disk_caches", VIR_TYPED_PARAM_BOOLEAN, 1);
}

static virDomainStatsRecordPtr record(unsigned guest, unsigned stats, bool asked)
{
	const struct fake_domain *d = &host.guest[guest];
	virDomainStatsRecordPtr r = calloc(1, sizeof(*r));

	r->dom = calloc(1, sizeof(*r->dom));
	r->dom->guest = guest;
	r->dom->id = d->id;
	virDomainRef(r->dom);
	r->params = calloc(32 + 2 * FAKE_VCPUS, sizeof(*r->params));
	add_int(r, "state.state", VIR_TYPED_PARAM_INT, (unsigned)d->state);
	if (stats & VIR_DOMAIN_STATS_VCPU)
		add_vcpus(r, d);
	if (stats & VIR_DOMAIN_STATS_BALLOON)
		add_balloon(r, d, asked);
	if (host.odd)
		add_odd(r);
	return r;
}

/* A call that asks a guest's monitor, or waits for the job of one that does. */
static void monitor_wait(unsigned guest)
{
	struct fake_domain *d = &host.guest[guest];

	if (!d->hung)
		return;
	if (d->held++ == 0)
		d->held_ns = fake_now_ns();
	fake_waiters++;
	while (d->hung)
		pthread_cond_wait(&fake_released, &fake_lock);
	fake_waiters--;
	d->held--;
}

/* With NOWAIT a guest whose job somebody else has is left out; else its monitor is asked. */
static virDomainStatsRecordPtr record_asked(unsigned guest, unsigned stats)
{
	if (host.guest[guest].held)
		return record(guest, stats, false);
	monitor_wait(guest);
	return record(guest, stats, true);
}

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned stats,
				virDomainStatsRecordPtr **out, unsigned flags)
{
	GUARD;
	unsigned all = host.nguests; /* more may start while one hangs */
	int n = 0;

	(void)conn;
	if (!(flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT))
		host.offences++;
	if (fake_called() < 0)
		return -1;
	*out = calloc(all + 1, sizeof(**out));
	for (unsigned k = 0; k < all; k++) {
		unsigned i = host.reverse ? all - 1 - k : k;

		if (host.guest[i].running)
			(*out)[n++] = record_asked(i, stats);
	}
	return n;
}

int virDomainListGetStats(virDomainPtr *doms, unsigned stats, virDomainStatsRecordPtr **out,
			  unsigned flags)
{
	GUARD;
	int n = 0;

	if (!(flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) || !doms[0])
		host.offences++;
	if (fake_called() < 0)
		return -1;
	*out = calloc(host.nguests + 1, sizeof(**out));
	for (; *doms; doms++)
		if (alive(*doms))
			(*out)[n++] = record_asked((*doms)->guest, stats);
	return n;
}

int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **doms, unsigned flags)
{
	GUARD;
	int n = 0;

	(void)conn;
	host.offences += flags != VIR_CONNECT_LIST_DOMAINS_ACTIVE;
	if (fake_called() < 0)
		return -1;
	*doms = calloc(host.nguests + 1, sizeof(**doms));
	for (unsigned i = 0; i < host.nguests; i++) {
		if (!host.guest[i].running)
			continue;
		(*doms)[n] = calloc(1, sizeof(struct _virDomain));
		(*doms)[n]->guest = i;
		(*doms)[n]->id = host.guest[i].id;
		virDomainRef((*doms)[n++]);
	}
	return n;
}

int virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info)
{
	GUARD;
	struct fake_domain *d = alive(dom);
	struct plant_mem_stats s;

	if (fake_called() < 0)
		return -1;
	if (!d)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	info->state = (unsigned char)d->state;
	if (d->mem == SIZE_MAX)
		return 0;
	plant_mem_stats(host.mem, d->mem, &s);
	info->memory = s.actual_kib;
	info->maxMem = d->max_kib;
	return 0;
}

void virDomainStatsRecordListFree(virDomainStatsRecordPtr *records)
{
	GUARD;
	for (virDomainStatsRecordPtr *r = records; r && *r; r++) {
		virDomainFree((*r)->dom);
		free((*r)->params);
		free(*r);
	}
	free(records);
}

static void mask_to_map(uint64_t mask, unsigned char *map, int maplen)
{
	memset(map, 0, (size_t)maplen);
	for (int i = 0; i < maplen * 8 && i < 64; i++)
		if (mask >> i & 1)
			VIR_USE_CPU(map, i);
}

int virDomainGetVcpuPinInfo(virDomainPtr dom, int n, unsigned char *maps, int maplen,
			    unsigned flags)
{
	GUARD;
	struct fake_domain *d = &host.guest[dom->guest];

	if (fake_called() < 0)
		return -1;
	if (host.no_masks)
		return fake_fail(VIR_ERR_INTERNAL_ERROR);
	if (flags & VIR_DOMAIN_AFFECT_CONFIG ? !d->allowed : !alive(dom))
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	for (int k = 0; k < n && k < (int)d->nvcpus; k++)
		mask_to_map(flags & VIR_DOMAIN_AFFECT_CONFIG ? d->allowed : d->mask[k],
			    VIR_GET_CPUMAP(maps, maplen, k), maplen);
	return n < (int)d->nvcpus ? n : (int)d->nvcpus;
}

/* What may not change: a read-only connection, or a guest that has ended, is busy, refuses. */
static int unchangeable(const struct fake_domain *d, unsigned flags)
{
	host.offences += (host.conn && host.conn->readonly) || flags != VIR_DOMAIN_AFFECT_LIVE;
	if ((host.conn && host.conn->readonly))
		return VIR_ERR_OPERATION_DENIED;
	if (!d)
		return VIR_ERR_OPERATION_INVALID;
	return d->busy ? VIR_ERR_OPERATION_TIMEOUT : d->refuses;
}

/* The kernel's word on a mask; 0: it takes it. */
static int mask_refused(unsigned guest, unsigned vcpu, uint64_t mask)
{
	struct fake_domain *d = &host.guest[guest];

	if (!d->cpuset || !(mask & ~d->cpuset))
		return 0;
	if (d->v1)
		return EACCES;
	if (mask & d->cpuset)
		return 0;
	d->adrift[vcpu] = true;
	fake_run_within(guest, vcpu, mask);
	return EINVAL;
}

int virDomainPinVcpuFlags(virDomainPtr dom, unsigned vcpu, unsigned char *map, int maplen,
			  unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);
	bool empty = true;
	uint64_t mask = 0;

	if (fake_called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fake_fail(unchangeable(d, flags));
	d->hung |= d->hang == HANG_IN_PIN;
	monitor_wait(dom->guest);
	for (int i = 0; i < maplen * 8; i++) {
		empty &= !VIR_CPU_USED(map, i);
		if (i < 64 && VIR_CPU_USED(map, i))
			mask |= (uint64_t)1 << i;
	}
	if (empty || vcpu >= d->nvcpus || !(mask & host.online) ||
	    (mask == d->mask[vcpu] && !d->adrift[vcpu]) || (mask & ~host.online) ||
	    (d->allowed && (mask & ~d->allowed)))
		host.offences++;
	if (empty || vcpu >= d->nvcpus)
		return fake_fail(VIR_ERR_INVALID_ARG);
	if (!(mask & host.online) || d->stays) /* the kernel's word */
		return fake_fail(VIR_ERR_SYSTEM_ERROR);
	host.refused += mask_refused(dom->guest, vcpu, mask) != 0;
	if (mask_refused(dom->guest, vcpu, mask))
		return fake_fail_system(mask_refused(dom->guest, vcpu, mask));
	host.pins++;
	fake_pin(dom->guest, vcpu, mask);
	fake_event_pinned(dom->guest, vcpu);
	return 0;
}

int virDomainGetControlInfo(virDomainPtr dom, virDomainControlInfoPtr info, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (!d)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	/* OK also where it is busy: so it is between the steps of a migration */
	info->state =
		d->occupied || d->held ? VIR_DOMAIN_CONTROL_OCCUPIED : VIR_DOMAIN_CONTROL_OK;
	if (d->held)
		info->stateTime = (unsigned long long)(fake_now_ns() - d->held_ns) / 1000000;
	return 0;
}

char *virDomainBackupGetXMLDesc(virDomainPtr dom, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return NULL;
	if (!d)
		return fake_fail(VIR_ERR_OPERATION_INVALID), NULL;
	if (!d->backup)
		return fake_fail(VIR_ERR_NO_DOMAIN_BACKUP), NULL;
	return strdup("<domainbackup mode='pull'/>");
}

int virDomainGetJobInfo(virDomainPtr dom, virDomainJobInfoPtr info)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	if (fake_called() < 0)
		return -1;
	if (!d)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	monitor_wait(dom->guest);
	memset(info, 0, sizeof(*info));
	info->type = d->busy || d->backup ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE;
	return 0;
}

char *virDomainGetXMLDesc(virDomainPtr dom, unsigned flags)
{
	GUARD;
	(void)flags;
	if (fake_called() < 0)
		return NULL;
	if (!alive(dom) && !host.guest[dom->guest].allowed)
		return fake_fail(VIR_ERR_NO_DOMAIN), NULL;
	if (host.guest[dom->guest].definition)
		return strdup(host.guest[dom->guest].definition);
	return strdup("<domain/>");
}

int virDomainSetMemoryStatsPeriod(virDomainPtr dom, int period, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return -1;
	host.offences += (host.conn && host.conn->readonly);
	if ((host.conn && host.conn->readonly) || !d)
		return fake_fail(d ? VIR_ERR_OPERATION_DENIED : VIR_ERR_OPERATION_INVALID);
	if (d->refuses)
		return fake_fail(d->refuses);
	monitor_wait(dom->guest);
	d->period = period;
	return 0;
}

int virDomainSetMemoryFlags(virDomainPtr dom, unsigned long kib, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	if (fake_called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fake_fail(unchangeable(d, flags));
	if (kib > d->max_kib)
		return fake_fail(VIR_ERR_INVALID_ARG);
	d->hung |= d->hang == HANG_IN_MEMORY;
	monitor_wait(dom->guest);
	host.balloons++;
	plant_mem_target(host.mem, d->mem, kib);
	return 0;
}

static void add_quota(virTypedParameterPtr params, int *n, double cpus, const char *quota,
		      const char *period)
{
	memset(params + *n, 0, 2 * sizeof(*params));
	strcpy(params[*n].field, period);
	params[*n].type = VIR_TYPED_PARAM_ULLONG;
	params[(*n)++].value.ul = 100000;
	strcpy(params[*n].field, quota);
	params[*n].type = VIR_TYPED_PARAM_LLONG;
	params[(*n)++].value.l = cpus > 0 ? (long long)(cpus * 100000) : -1;
}

int virDomainGetSchedulerParametersFlags(virDomainPtr dom, virTypedParameterPtr params, int *n,
					 unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (!d || *n < 4)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	*n = 0;
	add_quota(params, n, d->quota, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA,
		  VIR_DOMAIN_SCHEDULER_VCPU_PERIOD);
	add_quota(params, n, d->quota_all, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA,
		  VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD);
	return 0;
}

int virDomainGetMemoryParameters(virDomainPtr dom, virTypedParameterPtr params, int *n,
				 unsigned flags)
{
	static const char *const field[] = { VIR_DOMAIN_MEMORY_HARD_LIMIT,
					     VIR_DOMAIN_MEMORY_SOFT_LIMIT,
					     VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT };
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (!d || *n < 3)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	memset(params, 0, 3 * sizeof(*params));
	for (*n = 0; *n < 3; ++*n) {
		strcpy(params[*n].field, field[*n]);
		params[*n].type = VIR_TYPED_PARAM_ULLONG;
		params[*n].value.ul = VIR_DOMAIN_MEMORY_PARAM_UNLIMITED;
	}
	if (d->limit_kib)
		params[0].value.ul = d->limit_kib;
	return 0;
}

char *virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)uri;
	if (fake_called() < 0)
		return NULL;
	if (host.no_definitions)
		return fake_fail(VIR_ERR_INTERNAL_ERROR), NULL;
	if (!d || type != VIR_DOMAIN_METADATA_ELEMENT || flags != VIR_DOMAIN_AFFECT_LIVE)
		return fake_fail(VIR_ERR_OPERATION_INVALID), NULL;
	if (!d->metadata)
		return fake_fail(VIR_ERR_NO_DOMAIN_METADATA), NULL;
	return strdup(d->metadata);
}

int virDomainGetNumaParameters(virDomainPtr dom, virTypedParameterPtr params, int *n,
			       unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (!d || *n < 2)
		return fake_fail(VIR_ERR_OPERATION_INVALID);
	memset(params, 0, 2 * sizeof(*params));
	strcpy(params[0].field, VIR_DOMAIN_NUMA_MODE);
	params[0].type = VIR_TYPED_PARAM_INT;
	params[0].value.i = d->memory_mode;
	strcpy(params[1].field, VIR_DOMAIN_NUMA_NODESET);
	params[1].type = VIR_TYPED_PARAM_STRING;
	params[1].value.s = strdup(d->nodes);
	*n = 2;
	return 0;
}

static virTypedParameterPtr param_find(virTypedParameterPtr params, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(params[i].field, name) == 0)
			return &params[i];
	return NULL;
}

int virTypedParamsGetInt(virTypedParameterPtr params, int n, const char *name, int *value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.i;
	return p != NULL;
}

int virTypedParamsGetLLong(virTypedParameterPtr params, int n, const char *name,
			   long long *value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.l;
	return p != NULL;
}

int virTypedParamsGetULLong(virTypedParameterPtr params, int n, const char *name,
			    unsigned long long *value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.ul;
	return p != NULL;
}

int virTypedParamsGetString(virTypedParameterPtr params, int n, const char *name,
			    const char **value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.s;
	return p != NULL;
}

void virTypedParamsClear(virTypedParameterPtr params, int n)
{
	GUARD;
	for (int i = 0; i < n; i++)
		if (params[i].type == VIR_TYPED_PARAM_STRING)
			free(params[i].value.s);
}
