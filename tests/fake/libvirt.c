/*
 * libvirt.c - the part of libvirt's API that vmbal calls, answered from the two plants.
 *
 * It is as strict as the real thing where leniency would hide a mistake: masks without an
 * online pCPU are refused, virNode*Stats want the exact count, a reference freed twice or
 * kept is seen.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake.h"

struct _virConnect {
	bool readonly;
};

struct _virDomain {
	unsigned guest;
	unsigned id;
	int refs;
};

struct fake_domain {
	bool running, busy, occupied;
	int state;
	unsigned id, nvcpus;
	char name[GUEST_NAME_LEN];
	unsigned char uuid[UUID_LEN];
	unsigned task[FAKE_VCPUS];
	uint64_t mask[FAKE_VCPUS]; /* live */
	uint64_t fence;            /* 0: transient, it has no persistent definition */
	struct plant_load load;
	size_t mem; /* in the memory plant; SIZE_MAX: none */
	uint64_t max_kib;
	int period, refuses;
	bool stays;
	double quota, quota_all; /* CPUs each vCPU, and all threads, may use; 0: no limit */
	const char *metadata;    /* NULL: none */
	char nodes[16];          /* strict memory nodes; empty: any */
};

static struct {
	struct plant *cpus;
	struct plant_mem *mem;
	unsigned ncpus, nguests, next_id;
	struct fake_domain guest[FAKE_GUESTS];
	struct _virConnect conn;
	virConnectDomainEventGenericCallback callback[4];
	void *opaque[4];
	unsigned calls, pins, balloons, offences, fail_at, die_at, opens;
	uint64_t slow_ns;
	bool no_masks, no_definitions;
	int refs, fail_code, code;
	uint64_t online;
	int64_t begun_ns;              /* on the clock, when the plants' began */
	bool dead, deaf, open, broken; /* broken: the open connection saw the daemon dead */
	bool reverse, remote, proc_fails, node_fails, odd;
	uint64_t isolated, proc_back_ns;
	const char *capabilities; /* NULL: a host without topology */
} host;

/* ---- the test's side ---- */

static uint64_t all_cpus(void)
{
	return host.ncpus < 64 ? ((uint64_t)1 << host.ncpus) - 1 : UINT64_MAX;
}

void fake_host(unsigned ncpus, uint64_t total_kib, uint64_t seed)
{
	fake_end();
	memset(&host, 0, sizeof(host));
	host.ncpus = ncpus;
	host.cpus = plant_new(ncpus, seed);
	host.mem = plant_mem_new(total_kib, &(struct plant_course){ 0 }, seed);
	host.next_id = 1;
	host.online = all_cpus();
	host.begun_ns = 1000000000; /* 0 would mean never */
}

void fake_next_host(unsigned ncpus, uint64_t total_kib, uint64_t seed)
{
	int64_t now_ns = fake_now_ns();
	unsigned offences = host.offences + host.open + (host.refs != 0);

	fake_host(ncpus, total_kib, seed);
	host.begun_ns = now_ns;
	host.offences = offences;
}

int64_t fake_now_ns(void)
{
	return host.begun_ns + (int64_t)plant_now_ns(host.cpus);
}

void fake_end(void)
{
	if (host.cpus)
		plant_free(host.cpus);
	if (host.mem)
		plant_mem_free(host.mem);
	host.cpus = NULL;
	host.mem = NULL;
}

struct plant *fake_cpus(void)
{
	return host.cpus;
}

struct plant_mem *fake_mem(void)
{
	return host.mem;
}

static void start(struct fake_domain *d)
{
	d->running = true;
	d->state = VIR_DOMAIN_RUNNING;
	d->id = host.next_id++;
	d->period = 0;
	for (unsigned k = 0; k < d->nvcpus; k++) {
		d->task[k] = plant_task(host.cpus, &d->load);
		d->mask[k] = all_cpus();
	}
}

unsigned fake_guest(unsigned nvcpus, const struct plant_load *load,
		    const struct plant_mem_guest *mem)
{
	unsigned i = host.nguests++;
	struct fake_domain *d = &host.guest[i];

	d->nvcpus = nvcpus;
	d->load = *load;
	d->fence = all_cpus();
	snprintf(d->name, sizeof(d->name), "guest-%u", i);
	/* Listed in another order than by UUID. */
	snprintf((char *)d->uuid, UUID_LEN, "%08x", (i * 2654435761U) ^ 0x5a5a5a5aU);
	d->mem = mem ? plant_mem_add(host.mem, mem) : SIZE_MAX;
	d->max_kib = mem ? mem->max_kib : 0;
	start(d);
	return i;
}

void fake_reverse(bool reverse)
{
	host.reverse = reverse;
}

void fake_stop_guest(unsigned guest)
{
	struct fake_domain *d = &host.guest[guest];

	for (unsigned k = 0; k < d->nvcpus; k++)
		plant_end(host.cpus, d->task[k]);
	d->running = false;
}

void fake_restart_guest(unsigned guest)
{
	if (host.guest[guest].running)
		fake_stop_guest(guest);
	start(&host.guest[guest]);
}

unsigned fake_task(unsigned guest, unsigned vcpu)
{
	return host.guest[guest].task[vcpu];
}

static struct cpuset set_of(uint64_t mask)
{
	struct cpuset s = { { mask } };

	return s;
}

static void pin(unsigned guest, unsigned vcpu, uint64_t mask)
{
	struct cpuset s = set_of(mask);

	host.guest[guest].mask[vcpu] = mask;
	plant_set_mask(host.cpus, host.guest[guest].task[vcpu], &s);
}

/* What the daemon tells every client when a mask changes. */
static void event_pinned(unsigned guest, unsigned vcpu)
{
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };
	virTypedParameter param = { .type = VIR_TYPED_PARAM_STRING };

	snprintf(param.field, sizeof(param.field), VIR_DOMAIN_TUNABLE_CPU_VCPUPIN, vcpu);
	if (host.callback[0] && !host.deaf)
		((virConnectDomainEventTunableCallback)(void (*)(void))host.callback[0])(
			&host.conn, &dom, &param, 1, host.opaque[0]);
}

void fake_mask(unsigned guest, unsigned vcpu, uint64_t mask)
{
	pin(guest, vcpu, mask);
	event_pinned(guest, vcpu);
}

uint64_t fake_mask_of(unsigned guest, unsigned vcpu)
{
	return host.guest[guest].mask[vcpu];
}

void fake_fence(unsigned guest, uint64_t mask)
{
	host.guest[guest].fence = mask;
}

void fake_defined(unsigned guest)
{
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	if (host.callback[2] && !host.deaf)
		((virConnectDomainEventCallback)(void (*)(void))host.callback[2])(
			&host.conn, &dom, VIR_DOMAIN_EVENT_DEFINED,
			VIR_DOMAIN_EVENT_DEFINED_UPDATED, host.opaque[2]);
}

void fake_odd(bool odd)
{
	host.odd = odd;
}

void fake_capabilities(const char *xml)
{
	host.capabilities = xml;
}

void fake_occupied(unsigned guest, bool occupied)
{
	host.guest[guest].occupied = occupied;
}

int fake_period(unsigned guest)
{
	return host.guest[guest].period;
}

bool fake_readonly(void)
{
	return host.conn.readonly;
}

void fake_metadata(unsigned guest, const char *xml)
{
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	host.guest[guest].metadata = xml;
	if (host.callback[3] && !host.deaf)
		((virConnectDomainEventMetadataChangeCallback)(void (*)(void))host.callback[3])(
			&host.conn, &dom, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI,
			host.opaque[3]);
}

void fake_quota(unsigned guest, double quota)
{
	host.guest[guest].quota = quota;
}

void fake_nodes(unsigned guest, const char *list)
{
	snprintf(host.guest[guest].nodes, sizeof(host.guest[guest].nodes), "%s", list);
}

void fake_busy(unsigned guest, bool busy)
{
	host.guest[guest].busy = busy;
}

void fake_refuse(unsigned guest, int code)
{
	host.guest[guest].refuses = code;
}

void fake_stays(unsigned guest, bool stays)
{
	host.guest[guest].stays = stays;
}

void fake_state(unsigned guest, int state)
{
	host.guest[guest].state = state;
}

void fake_reboot(unsigned guest)
{
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	if (host.callback[1])
		((virConnectDomainEventGenericCallback)host.callback[1])(&host.conn, &dom,
									 host.opaque[1]);
}

void fake_rewind(unsigned guest)
{
	struct fake_domain *d = &host.guest[guest];

	for (unsigned k = 0; k < d->nvcpus; k++) {
		struct cpuset s = set_of(d->mask[k]);

		plant_end(host.cpus, d->task[k]);
		d->task[k] = plant_task(host.cpus, &d->load);
		plant_set_mask(host.cpus, d->task[k], &s);
	}
}

void fake_quota_all(unsigned guest, double quota)
{
	host.guest[guest].quota_all = quota;
}

void fake_remote(bool remote)
{
	host.remote = remote;
}

void fake_isolated(uint64_t mask)
{
	host.isolated = mask;
}

uint64_t fake_isolated_now(void)
{
	return host.isolated;
}

void fake_proc_fails(bool fails)
{
	host.proc_fails = fails;
}

bool fake_proc_fails_now(void)
{
	return host.proc_fails;
}

void fake_proc_back(uint64_t ns)
{
	host.proc_back_ns = ns;
}

uint64_t fake_proc_back_now(void)
{
	return host.proc_back_ns;
}

void fake_node_fails(bool fails)
{
	host.node_fails = fails;
}

unsigned fake_opens(void)
{
	return host.opens;
}

void fake_pcpu(unsigned cpu, bool online)
{
	host.online &= ~((uint64_t)1 << cpu);
	host.online |= (uint64_t)online << cpu;
	plant_online(host.cpus, cpu, online);
}

void fake_advance(uint64_t ns)
{
	plant_advance(host.cpus, ns);
	plant_mem_advance(host.mem, (int64_t)ns);
}

unsigned fake_calls(void)
{
	return host.calls;
}

unsigned fake_pins(void)
{
	return host.pins;
}

unsigned fake_balloons(void)
{
	return host.balloons;
}

int fake_refs(void)
{
	return host.refs;
}

unsigned fake_offences(void)
{
	return host.offences;
}

void fake_fail_at(unsigned k, int code)
{
	host.fail_at = k ? host.calls + k : 0;
	host.fail_code = code;
}

void fake_deaf(bool deaf)
{
	host.deaf = deaf;
}

void fake_dead(bool dead)
{
	host.dead = dead;
	host.broken |= dead && host.open;
}

void fake_die_at(unsigned k)
{
	host.die_at = k ? host.calls + k : 0;
}

void fake_questions_fail(bool masks, bool definitions)
{
	host.no_masks = masks;
	host.no_definitions = definitions;
}

void fake_slow(uint64_t ns)
{
	host.slow_ns = ns;
}

/* ---- errors ---- */

static int fail(int code)
{
	host.code = code;
	return -1;
}

/* Counts a call; -1 when it is to fail. */
static int called(void)
{
	host.calls++;
	host.code = VIR_ERR_OK;
	if (host.slow_ns)
		fake_advance(host.slow_ns);
	host.broken |= host.die_at && host.calls == host.die_at;
	if (host.dead || host.broken)
		return fail(VIR_ERR_RPC);
	if (host.fail_at && host.calls == host.fail_at)
		return fail(host.fail_code);
	return 0;
}

int virGetLastErrorCode(void)
{
	return host.code;
}

const char *virGetLastErrorMessage(void)
{
	return host.code ? "simulated failure" : "no error";
}

/* As strict as the real one: the text is gone when the next call resets the error. */
virErrorPtr virSaveLastError(void)
{
	virErrorPtr err = calloc(1, sizeof(*err));

	err->code = host.code;
	err->message = strdup(virGetLastErrorMessage());
	return err;
}

void virFreeError(virErrorPtr err)
{
	if (err)
		free(err->message);
	free(err);
}

void virSetErrorFunc(void *opaque, virErrorFunc handler)
{
	(void)opaque;
	(void)handler;
}

/* ---- the connection ---- */

int virInitialize(void)
{
	return 0;
}

int virEventRegisterDefaultImpl(void)
{
	return 0;
}

int virEventAddTimeout(int ms, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
	(void)ms;
	(void)cb;
	(void)opaque;
	(void)ff;
	return 1;
}

int virEventRemoveTimeout(int timer)
{
	(void)timer;
	return 0;
}

int virEventRunDefaultImpl(void)
{
	usleep(1000);
	return 0;
}

virConnectPtr virConnectOpen(const char *uri)
{
	(void)uri;
	host.offences += host.open; /* the last one was not closed */
	host.broken = false;
	if (called() < 0)
		return NULL;
	host.opens++;
	host.open = true;
	return &host.conn;
}

virConnectPtr virConnectOpenReadOnly(const char *uri)
{
	virConnectPtr conn = virConnectOpen(uri);

	if (conn)
		conn->readonly = true;
	return conn;
}

int virConnectClose(virConnectPtr conn)
{
	int left = 0;

	conn->readonly = host.open = false;
	for (int i = 0; i < 4; i++)
		left += host.callback[i] != NULL;
	return left + host.refs;
}

char *virConnectGetURI(virConnectPtr conn)
{
	(void)conn;
	return strdup(host.remote ? "qemu+ssh://elsewhere/system" : "qemu:///system");
}

int virConnectIsAlive(virConnectPtr conn)
{
	(void)conn;
	host.code = VIR_ERR_OK;
	return !host.dead && !host.broken;
}

int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned count)
{
	(void)conn;
	(void)interval;
	(void)count;
	return 0;
}

static int event_slot(int id)
{
	switch (id) {
	case VIR_DOMAIN_EVENT_ID_TUNABLE: return 0;
	case VIR_DOMAIN_EVENT_ID_REBOOT: return 1;
	case VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: return 3;
	default: return 2;
	}
}

int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int id,
				     virConnectDomainEventGenericCallback cb, void *opaque,
				     virFreeCallback ff)
{
	(void)conn;
	(void)dom;
	(void)ff;
	if (called() < 0)
		return -1;
	host.callback[event_slot(id)] = cb;
	host.opaque[event_slot(id)] = opaque;
	return event_slot(id);
}

int virConnectDomainEventDeregisterAny(virConnectPtr conn, int id)
{
	(void)conn;
	host.callback[id] = NULL;
	return called();
}

/* ---- the node ---- */

int virNodeGetCPUMap(virConnectPtr conn, unsigned char **map, unsigned *online, unsigned flags)
{
	(void)conn;
	(void)online;
	(void)flags;
	if (called() < 0)
		return -1;
	if (!map)
		return (int)host.ncpus;
	*map = calloc(1, VIR_CPU_MAPLEN(host.ncpus));
	for (unsigned i = 0; i < host.ncpus; i++)
		if (host.online >> i & 1)
			VIR_USE_CPU(*map, i);
	return (int)host.ncpus;
}

int virNodeGetCPUStats(virConnectPtr conn, int cpu, virNodeCPUStatsPtr stats, int *n,
		       unsigned flags)
{
	(void)conn;
	(void)flags;
	if (called() < 0)
		return -1;
	if (host.node_fails)
		return fail(VIR_ERR_INTERNAL_ERROR);
	if (*n == 0) {
		*n = 2;
		return 0;
	}
	if (*n != 2 || cpu >= (int)host.ncpus)
		return fail(VIR_ERR_INVALID_ARG);
	snprintf(stats[0].field, sizeof(stats[0].field), VIR_NODE_CPU_STATS_USER);
	stats[0].value = plant_busy_ns(host.cpus, (unsigned)cpu);
	snprintf(stats[1].field, sizeof(stats[1].field), VIR_NODE_CPU_STATS_IDLE);
	stats[1].value = plant_idle_ns(host.cpus, (unsigned)cpu);
	return 0;
}

/* As an older daemon: what is available is spread over three figures. */
int virNodeGetMemoryStats(virConnectPtr conn, int cell, virNodeMemoryStatsPtr stats, int *n,
			  unsigned flags)
{
	int64_t left = plant_mem_available(host.mem);
	unsigned long long available = left > 0 ? (unsigned long long)left : 0;
	const virNodeMemoryStats figures[] = {
		{ VIR_NODE_MEMORY_STATS_TOTAL, plant_mem_total(host.mem) },
		{ VIR_NODE_MEMORY_STATS_FREE, available - available / 4 - available / 8 },
		{ VIR_NODE_MEMORY_STATS_BUFFERS, available / 8 },
		{ VIR_NODE_MEMORY_STATS_CACHED, available / 4 },
	};

	(void)conn;
	(void)cell;
	(void)flags;
	if (called() < 0)
		return -1;
	if (host.node_fails)
		return fail(VIR_ERR_INTERNAL_ERROR);
	if (*n == 0) {
		*n = 4;
		return 0;
	}
	if (*n != 4)
		return fail(VIR_ERR_INVALID_ARG);
	memcpy(stats, figures, sizeof(figures));
	return 0;
}

char *virConnectGetCapabilities(virConnectPtr conn)
{
	(void)conn;
	if (called() < 0)
		return NULL;
	return strdup(host.capabilities ? host.capabilities
					: "<capabilities><host/></capabilities>");
}

/* ---- domains ---- */

static struct fake_domain *alive(virDomainPtr dom)
{
	struct fake_domain *d = &host.guest[dom->guest];

	return d->running && d->id == dom->id ? d : NULL;
}

int virDomainGetUUID(virDomainPtr dom, unsigned char *uuid)
{
	memcpy(uuid, host.guest[dom->guest].uuid, UUID_LEN);
	return 0;
}

const char *virDomainGetName(virDomainPtr dom)
{
	return host.guest[dom->guest].name;
}

unsigned virDomainGetID(virDomainPtr dom)
{
	return dom->id;
}

int virDomainRef(virDomainPtr dom)
{
	dom->refs++;
	host.refs++;
	return 0;
}

int virDomainFree(virDomainPtr dom)
{
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
		snprintf(field, sizeof(field), "vcpu.%u.delay", k);
		add_u64(r, field, plant_delay_ns(host.cpus, d->task[k]));
	}
}

static void add_balloon(virDomainStatsRecordPtr r, const struct fake_domain *d)
{
	struct plant_mem_stats s;

	if (d->mem == SIZE_MAX)
		return;
	plant_mem_stats(host.mem, d->mem, &s);
	add_u64(r, "balloon.current", s.actual_kib);
	add_u64(r, "balloon.maximum", d->max_kib);
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

static virDomainStatsRecordPtr record(unsigned guest, unsigned stats)
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
		add_balloon(r, d);
	if (host.odd)
		add_odd(r);
	return r;
}

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned stats,
				virDomainStatsRecordPtr **out, unsigned flags)
{
	int n = 0;

	(void)conn;
	if (!(flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT))
		host.offences++;
	if (called() < 0)
		return -1;
	*out = calloc(host.nguests + 1, sizeof(**out));
	for (unsigned k = 0; k < host.nguests; k++) {
		unsigned i = host.reverse ? host.nguests - 1 - k : k;

		if (host.guest[i].running)
			(*out)[n++] = record(i, stats);
	}
	return n;
}

void virDomainStatsRecordListFree(virDomainStatsRecordPtr *records)
{
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
	struct fake_domain *d = &host.guest[dom->guest];

	if (called() < 0)
		return -1;
	if (host.no_masks)
		return fail(VIR_ERR_INTERNAL_ERROR);
	if (flags & VIR_DOMAIN_AFFECT_CONFIG ? !d->fence : !alive(dom))
		return fail(VIR_ERR_OPERATION_INVALID);
	for (int k = 0; k < n && k < (int)d->nvcpus; k++)
		mask_to_map(flags & VIR_DOMAIN_AFFECT_CONFIG ? d->fence : d->mask[k],
			    VIR_GET_CPUMAP(maps, maplen, k), maplen);
	return n < (int)d->nvcpus ? n : (int)d->nvcpus;
}

/* What may not change: a read-only connection, or a guest that has ended, is busy, refuses. */
static int unchangeable(const struct fake_domain *d, unsigned flags)
{
	host.offences += host.conn.readonly || flags != VIR_DOMAIN_AFFECT_LIVE;
	if (host.conn.readonly)
		return VIR_ERR_OPERATION_DENIED;
	if (!d)
		return VIR_ERR_OPERATION_INVALID;
	return d->busy ? VIR_ERR_OPERATION_TIMEOUT : d->refuses;
}

int virDomainPinVcpuFlags(virDomainPtr dom, unsigned vcpu, unsigned char *map, int maplen,
			  unsigned flags)
{
	struct fake_domain *d = alive(dom);
	bool empty = true;
	uint64_t mask = 0;

	if (called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fail(unchangeable(d, flags));
	for (int i = 0; i < maplen * 8; i++) {
		empty &= !VIR_CPU_USED(map, i);
		if (i < 64 && VIR_CPU_USED(map, i))
			mask |= (uint64_t)1 << i;
	}
	if (empty || vcpu >= d->nvcpus || !(mask & host.online) || mask == d->mask[vcpu] ||
	    (mask & ~host.online) || (d->fence && (mask & ~d->fence)))
		host.offences++;
	if (empty || vcpu >= d->nvcpus)
		return fail(VIR_ERR_INVALID_ARG);
	if (!(mask & host.online) || d->stays) /* the kernel's word */
		return fail(VIR_ERR_SYSTEM_ERROR);
	host.pins++;
	pin(dom->guest, vcpu, mask);
	event_pinned(dom->guest, vcpu);
	return 0;
}

int virDomainGetControlInfo(virDomainPtr dom, virDomainControlInfoPtr info, unsigned flags)
{
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	/* OK also where it is busy: so it is between the steps of a migration */
	info->state = d->occupied ? VIR_DOMAIN_CONTROL_OCCUPIED : VIR_DOMAIN_CONTROL_OK;
	return 0;
}

int virDomainGetJobInfo(virDomainPtr dom, virDomainJobInfoPtr info)
{
	struct fake_domain *d = alive(dom);

	if (called() < 0)
		return -1;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	info->type = d->busy ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE;
	return 0;
}

char *virDomainGetXMLDesc(virDomainPtr dom, unsigned flags)
{
	(void)flags;
	if (called() < 0)
		return NULL;
	if (!alive(dom) && !host.guest[dom->guest].fence)
		return fail(VIR_ERR_NO_DOMAIN), NULL;
	return strdup("<domain/>");
}

int virDomainSetMemoryStatsPeriod(virDomainPtr dom, int period, unsigned flags)
{
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	host.offences += host.conn.readonly;
	if (host.conn.readonly || !d)
		return fail(d ? VIR_ERR_OPERATION_DENIED : VIR_ERR_OPERATION_INVALID);
	if (d->refuses)
		return fail(d->refuses);
	d->period = period;
	return 0;
}

int virDomainSetMemoryFlags(virDomainPtr dom, unsigned long kib, unsigned flags)
{
	struct fake_domain *d = alive(dom);

	if (called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fail(unchangeable(d, flags));
	if (kib > d->max_kib)
		return fail(VIR_ERR_INVALID_ARG);
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
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d || *n < 4)
		return fail(VIR_ERR_OPERATION_INVALID);
	*n = 0;
	add_quota(params, n, d->quota, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA,
		  VIR_DOMAIN_SCHEDULER_VCPU_PERIOD);
	add_quota(params, n, d->quota_all, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA,
		  VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD);
	return 0;
}

char *virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned flags)
{
	struct fake_domain *d = alive(dom);

	(void)uri;
	if (called() < 0)
		return NULL;
	if (host.no_definitions)
		return fail(VIR_ERR_INTERNAL_ERROR), NULL;
	if (!d || type != VIR_DOMAIN_METADATA_ELEMENT || flags != VIR_DOMAIN_AFFECT_LIVE)
		return fail(VIR_ERR_OPERATION_INVALID), NULL;
	if (!d->metadata)
		return fail(VIR_ERR_NO_DOMAIN_METADATA), NULL;
	return strdup(d->metadata);
}

int virDomainGetNumaParameters(virDomainPtr dom, virTypedParameterPtr params, int *n,
			       unsigned flags)
{
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d || *n < 2)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(params, 0, 2 * sizeof(*params));
	strcpy(params[0].field, VIR_DOMAIN_NUMA_MODE);
	params[0].type = VIR_TYPED_PARAM_INT;
	params[0].value.i = VIR_DOMAIN_NUMATUNE_MEM_STRICT;
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
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.i;
	return p != NULL;
}

int virTypedParamsGetLLong(virTypedParameterPtr params, int n, const char *name,
			   long long *value)
{
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.l;
	return p != NULL;
}

int virTypedParamsGetULLong(virTypedParameterPtr params, int n, const char *name,
			    unsigned long long *value)
{
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.ul;
	return p != NULL;
}

int virTypedParamsGetString(virTypedParameterPtr params, int n, const char *name,
			    const char **value)
{
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.s;
	return p != NULL;
}

void virTypedParamsClear(virTypedParameterPtr params, int n)
{
	for (int i = 0; i < n; i++)
		if (params[i].type == VIR_TYPED_PARAM_STRING)
			free(params[i].value.s);
}
