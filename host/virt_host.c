/*
 * virt_host.c - the host's own figures: its pCPUs, their shape and times, its memory.  Of this
 * machine its kernel tells them, of another one libvirt.
 */
#include <stdlib.h>
#include <string.h>

#include "host/log.h"
#include "host/proc.h"
#include "host/shape.h"
#include "host/virt_guests.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/xml.h"
#include "policy/sample.h"

#define CPU_STATS_MAX 16 /* more figures than libvirt has of a pCPU */

int node_maplen(struct virt *v)
{
	int ncpus = virNodeGetCPUMap(v->conn, NULL, NULL, 0);

	if (ncpus <= 0)
		return -1;
	v->maplen = VIR_CPU_MAPLEN(ncpus < PCPU_MAX ? ncpus : PCPU_MAX);
	return 0;
}

/* A daemon that has just started takes seconds to probe QEMU for what this asks of it. */
static int capabilities_read(struct virt *v)
{
	char *xml;
	int result;

	if (!xml_is_read()) {
		log_change(
			&v->topology.said, true, "reading the topology",
			"this build is without libxml2: cores, caches and nodes are unknown");
		return -1;
	}
	xml = virConnectGetCapabilities(v->conn);
	result = xml ? topology_parse(xml, &v->shape) : -1;
	if (!xml)
		virt_check(v, &v->topology, NULL, "reading the topology");
	free(xml);
	return result;
}

/* Where nothing depends on it, or where waiting will not make it known. */
static bool can_be_flat(const struct virt *v)
{
	return v->opt->grain == GRAIN_CPU || (!v->local && !xml_is_read());
}

/*
 * Once, and when pCPUs come or go, and only for the CPU loop.  This machine's own kernel tells,
 * and at once.  Where it fails the host is as it was known before, and at first flat, every
 * pCPU on its own.  -1: that will not do, or the connection is gone.
 */
int virt_learn_topology(struct virt *v)
{
	if (v->topology.done)
		return 0;
	v->topology.done = (v->local ? proc_shape(&v->shape) : capabilities_read(v)) == 0;
	v->topology_read |= v->topology.done;
	if (!virt_lost(v))
		log_change(&v->topology.said, !v->topology.done, "reading the topology",
			   "cores, caches and nodes are unknown");
	return !virt_lost(v) && (can_be_flat(v) || v->topology_read) ? 0 : -1;
}

struct cpuset virt_map_to_set(const struct virt *v, const unsigned char *map)
{
	struct cpuset s = { { 0 } };

	for (int i = 0; i < v->maplen * 8 && i < PCPU_MAX; i++)
		if (VIR_CPU_USED(map, i))
			cpuset_add(&s, (unsigned)i);
	return s;
}

/* An unpinned vCPU's mask tells the pCPUs that were online when it was read. */
static void online_changed(struct virt *v, const struct cpuset *online)
{
	if (memcmp(&v->table.online, online, sizeof(v->table.online)) == 0)
		return;
	v->table.online = *online;
	v->topology.done = false;
	refused_forget(v);
	masks_forget(v);
}

/* The daemon's word: its maps have a bit for each pCPU that there is, online or not. */
static int online_ask(struct virt *v, struct cpuset *online)
{
	unsigned char *map = NULL;
	int n = virNodeGetCPUMap(v->conn, &map, NULL, 0);

	if (n <= 0) {
		virt_check(v, &v->map, NULL, "reading the map of pCPUs");
		return -1;
	}
	attempt_done(&v->map, NULL, "reading the map of pCPUs");
	v->maplen = VIR_CPU_MAPLEN(n < PCPU_MAX ? n : PCPU_MAX);
	*online = virt_map_to_set(v, map);
	free(map);
	return 0;
}

/* This machine's kernel tells at each tick; the daemon is asked when it tells something new. */
int online_read(struct virt *v, struct vcpu_sample *s)
{
	struct cpuset online;

	if (!v->local || proc_online(&online) < 0 || !cpuset_equal(&online, &v->table.online))
		if (online_ask(v, &online) < 0)
			return -1;
	s->online = online;
	s->npcpus = 0;
	for (unsigned i = 0; i < PCPU_MAX; i++)
		if (cpuset_has(&online, i))
			s->npcpus = i + 1;
	online_changed(v, &online);
	return 0;
}

/* One pCPU of a host that is not this machine. */
static int node_cpu_time(struct virt *v, int cpu, struct cpu_time *t)
{
	virNodeCPUStats stats[CPU_STATS_MAX];
	int n = v->ncpustats;

	if (n == 0 && virNodeGetCPUStats(v->conn, cpu, NULL, &n, 0) < 0)
		return -1;
	if (n <= 0 || n > CPU_STATS_MAX)
		return -1;
	v->ncpustats = n;
	if (virNodeGetCPUStats(v->conn, cpu, stats, &n, 0) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_IDLE) == 0 ||
		    strcmp(stats[i].field, VIR_NODE_CPU_STATS_IOWAIT) == 0)
			t->idle_ns += stats[i].value;
		else if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_UTILIZATION) != 0)
			t->busy_ns += stats[i].value;
		if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_INTR) == 0)
			t->irq_ns += stats[i].value;
	}
	return 0;
}

int pcpus_reserve(struct vcpu_sample *s)
{
	return array_reserve(&s->pcpu, &s->pcpu_cap, s->npcpus, sizeof(*s->pcpu));
}

int pcpus_read(struct virt *v, struct vcpu_sample *s)
{
	memset(s->pcpu, 0, s->npcpus * sizeof(*s->pcpu));
	if (v->local) {
		bool bad = proc_cpu_times(s->pcpu, s->npcpus) < 0;

		log_change(&v->pcpus.said, bad, "/proc/stat", "cannot be read");
		return bad ? -1 : 0;
	}
	for (unsigned i = 0; i < s->npcpus; i++)
		if (cpuset_has(&s->online, i) && node_cpu_time(v, (int)i, &s->pcpu[i]) < 0) {
			virt_check(v, &v->pcpus, NULL, "reading pCPU times");
			return -1;
		}
	attempt_done(&v->pcpus, NULL, "reading pCPU times");
	return 0;
}

void host_shape(const struct virt *v, struct vcpu_sample *s)
{
	s->topology = v->shape;
	memset(&s->isolated, 0, sizeof(s->isolated));
	if (v->local)
		proc_isolated(&s->isolated);
}

/*
 * Figures of one family only: virNodeGetFreeMemory and its like count something else.
 * Newer servers tell "available"; else free, buffers and cached are added up, which is more
 * than can really be had.
 */
static int node_memory(struct virt *v, struct mem_host *host)
{
	virNodeMemoryStats stats[16];
	uint64_t total = 0, sum = 0, available = 0;
	int n = 0;

	if (virNodeGetMemoryStats(v->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) < 0 ||
	    n <= 0 || n > 16)
		return -1;
	if (virNodeGetMemoryStats(v->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
			total = stats[i].value;
		else if (strcmp(stats[i].field, "available") == 0)
			available = stats[i].value;
		else
			sum += stats[i].value;
	}
	host->total_kib = total;
	host->available_kib = available ? available : sum;
	return total ? 0 : -1;
}

void host_memory(struct virt *v, struct mem_host *host)
{
	bool bad;

	memset(host, 0, sizeof(*host));
	host->pressure = -1;
	if (v->local) {
		bad = proc_memory(&host->total_kib, &host->available_kib) < 0;
		proc_memory_pressure(&host->pressure);
		proc_merged(&host->merged_kib);
		proc_zfs(&host->slow_kib);
	} else {
		bad = node_memory(v, host) < 0;
	}
	if (host->available_kib > host->total_kib) /* a daemon may tell anything */
		host->available_kib = host->total_kib;
	if (host->slow_kib > host->total_kib - host->available_kib)
		host->slow_kib = host->total_kib - host->available_kib;
	log_change(&v->memory.said, bad, "reading host memory",
		   "no figures: nothing is decided");
}
