/*
 * libvirt.c - the part of libvirt's API that vmbal calls, answered from the two plants:
 * errors, the connection, the node.  Domains are in domain.c.
 *
 * It is as strict as the real thing where leniency would hide a mistake: masks without an
 * online pCPU are refused, virNode*Stats want the exact count, a reference freed twice or
 * kept is seen.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/simulated.h"

static _Thread_local int last_code, last_system;

/* ---- errors ---- */

int fake_fail(int code)
{
	last_code = code;
	last_system = 0;
	return -1;
}

int fake_fail_system(int error)
{
	fake_fail(VIR_ERR_SYSTEM_ERROR);
	last_system = error;
	return -1;
}

virErrorPtr virGetLastError(void)
{
	static _Thread_local virError err;
	static char message[] = "simulated failure";

	err.code = last_code;
	err.int1 = last_system;
	err.message = last_code ? message : NULL;
	return last_code ? &err : NULL;
}

/* Counts a call; -1 when it is to fail. */
int fake_called(void)
{
	host.calls++;
	last_code = VIR_ERR_OK;
	if (host.slow_ns)
		fake_advance(host.slow_ns);
	host.broken |= host.die_at && host.calls == host.die_at;
	if (host.dead || host.broken)
		return fake_fail(VIR_ERR_RPC);
	if (host.fail_at && host.calls == host.fail_at)
		return fake_fail(host.fail_code);
	return 0;
}

int virGetLastErrorCode(void)
{
	return last_code;
}

const char *virGetLastErrorMessage(void)
{
	return last_code ? "simulated failure" : "no error";
}

void virResetLastError(void)
{
	last_code = VIR_ERR_OK;
}

void virSetErrorFunc(void *opaque, virErrorFunc handler)
{
	GUARD;
	(void)opaque;
	(void)handler;
}

/* ---- the connection ---- */

int virInitialize(void)
{
	GUARD;
	return 0;
}

int virEventRegisterDefaultImpl(void)
{
	GUARD;
	return 0;
}

int virEventAddTimeout(int ms, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
	GUARD;
	(void)ms;
	(void)cb;
	(void)opaque;
	(void)ff;
	return 1;
}

int virEventRemoveTimeout(int timer)
{
	GUARD;
	(void)timer;
	return 0;
}

int virEventRunDefaultImpl(void)
{
	usleep(1000);
	return 0;
}

/* One at a time, beside those that are left with a call that waits. */
virConnectPtr virConnectOpen(const char *uri)
{
	GUARD;
	unsigned open = 0;

	(void)uri;
	for (unsigned i = 0; i < CONNS; i++)
		open += host.conns[i].refs > 0;
	host.offences += open > fake_waiters; /* the last one was not closed */
	host.broken = false;
	if (fake_called() < 0)
		return NULL;
	host.opens++;
	host.open = true;
	for (unsigned i = 0; i < CONNS; i++)
		if (host.conns[i].refs == 0)
			host.conn = &host.conns[i];
	*host.conn = (struct _virConnect){ .refs = 1 };
	return host.conn;
}

virConnectPtr virConnectOpenReadOnly(const char *uri)
{
	GUARD;
	virConnectPtr conn = virConnectOpen(uri);

	if (conn)
		conn->readonly = true;
	return conn;
}

int virConnectRef(virConnectPtr conn)
{
	GUARD;
	conn->refs++;
	return 0;
}

int virConnectClose(virConnectPtr conn)
{
	GUARD;
	int left = 0;

	if (--conn->refs > 0)
		return conn->refs;
	if (conn == host.conn)
		host.open = false;
	for (int i = 0; i < EVENT_SLOTS; i++)
		left += host.callback[i] != NULL && host.listens[i] == conn;
	return left + (conn == host.conn ? host.refs : 0);
}

char *virConnectGetURI(virConnectPtr conn)
{
	GUARD;
	(void)conn;
	return strdup(host.remote ? "qemu+ssh://elsewhere/system" : "qemu:///system");
}

int virConnectIsAlive(virConnectPtr conn)
{
	GUARD;
	(void)conn;
	last_code = VIR_ERR_OK;
	return !host.dead && !host.broken;
}

int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned count)
{
	GUARD;
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
	case VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: return 4;
	case VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: return 5;
	default: return 2;
	}
}

int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int id,
				     virConnectDomainEventGenericCallback cb, void *opaque,
				     virFreeCallback ff)
{
	GUARD;
	(void)conn;
	(void)dom;
	(void)ff;
	if (fake_called() < 0)
		return -1;
	host.callback[event_slot(id)] = cb;
	host.listens[event_slot(id)] = conn;
	host.opaque[event_slot(id)] = opaque;
	return event_slot(id);
}

int virConnectDomainEventDeregisterAny(virConnectPtr conn, int id)
{
	GUARD;
	(void)conn;
	if (host.listens[id] == conn)
		host.callback[id] = NULL;
	return fake_called();
}

/* ---- the node ---- */

int virNodeGetCPUMap(virConnectPtr conn, unsigned char **map, unsigned *online, unsigned flags)
{
	GUARD;
	(void)conn;
	(void)online;
	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (!map)
		return (int)host.ncpus;
	*map = calloc(1, VIR_CPU_MAPLEN(host.ncpus));
	for (unsigned i = 0; i < host.ncpus; i++)
		if (i >= 64 || host.online >> i & 1)
			VIR_USE_CPU(*map, i);
	return (int)host.ncpus;
}

int virNodeGetCPUStats(virConnectPtr conn, int cpu, virNodeCPUStatsPtr stats, int *n,
		       unsigned flags)
{
	GUARD;
	(void)conn;
	(void)flags;
	if (fake_called() < 0)
		return -1;
	if (host.node_fails)
		return fake_fail(VIR_ERR_INTERNAL_ERROR);
	if (*n == 0) {
		*n = 2;
		return 0;
	}
	if (*n != 2 || cpu >= (int)host.ncpus)
		return fake_fail(VIR_ERR_INVALID_ARG);
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
	GUARD;
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
	if (fake_called() < 0)
		return -1;
	if (host.node_fails)
		return fake_fail(VIR_ERR_INTERNAL_ERROR);
	if (*n == 0) {
		*n = 4;
		return 0;
	}
	if (*n != 4)
		return fake_fail(VIR_ERR_INVALID_ARG);
	memcpy(stats, figures, sizeof(figures));
	return 0;
}

char *virConnectGetCapabilities(virConnectPtr conn)
{
	GUARD;
	(void)conn;
	host.capabilities_asked++;
	if (fake_called() < 0)
		return NULL;
	return strdup(fake_capabilities_now());
}
