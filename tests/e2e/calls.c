/*
 * calls.c - the calls that vmbal makes, good and bad, and what each returns.  Compiled twice,
 * against libvirt and with -DFAKE against the simulated one: both must say the same.
 *
 * calls [COMMAND]: COMMAND ends the first guest whose name begins with "vmbal-lab-", by a
 * shell.
 */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/metadata.h"
#include "lib/cpuset.h"
#if defined(FAKE)
#include "tests/fake/fake.h"
#endif

#define URI      "qemu:///system"
#define ABSENT   7 /* a vCPU that no guest of the test has */
#define PARAMS   16
#define FAR_PCPU (PCPU_MAX - 1)

static void say(const char *what, int result)
{
	printf("%s: %d, error %d\n", what, result < 0 ? -1 : result,
	       result < 0 ? virGetLastErrorCode() : 0);
}

static void quiet(void *opaque, virErrorPtr err)
{
	(void)opaque;
	(void)err;
}

/* Whether a figure is there, not what it is. */
static int some(int n)
{
	return n > 0 ? 1 : n;
}

static void node(virConnectPtr conn)
{
	virNodeCPUStats cpu[64];
	virNodeMemoryStats mem[64];
	int n = 0, m = 0, fewer, more;

	say("virNodeGetCPUMap", some(virNodeGetCPUMap(conn, NULL, NULL, 0)));
	say("virNodeGetCPUStats, how many", virNodeGetCPUStats(conn, 0, NULL, &n, 0));
	fewer = n - 1;
	more = n + 1;
	say("virNodeGetCPUStats, exactly", virNodeGetCPUStats(conn, 0, cpu, &n, 0));
	say("virNodeGetCPUStats, fewer", virNodeGetCPUStats(conn, 0, cpu, &fewer, 0));
	say("virNodeGetCPUStats, more", virNodeGetCPUStats(conn, 0, cpu, &more, 0));
	say("virNodeGetCPUStats, no such pCPU", virNodeGetCPUStats(conn, FAR_PCPU, cpu, &n, 0));
	say("virNodeGetMemoryStats, how many", virNodeGetMemoryStats(conn, -1, NULL, &m, 0));
	fewer = m - 1;
	more = m + 1;
	say("virNodeGetMemoryStats, exactly", virNodeGetMemoryStats(conn, -1, mem, &m, 0));
	for (int i = 0; i < m; i++)
		printf("  %s\n", mem[i].field);
	say("virNodeGetMemoryStats, fewer", virNodeGetMemoryStats(conn, -1, mem, &fewer, 0));
	say("virNodeGetMemoryStats, more", virNodeGetMemoryStats(conn, -1, mem, &more, 0));
}

static void figure(const virDomainStatsRecord *r, const char *field)
{
	for (int i = 0; i < r->nparams; i++)
		if (strcmp(r->params[i].field, field) == 0)
			printf("  %s: type %d\n", field, r->params[i].type);
}

static virDomainPtr stats(virConnectPtr conn)
{
	static const char *const fields[] = { "state.state",        "vcpu.maximum",
					      "vcpu.0.time",        "vcpu.0.delay",
					      "balloon.current",    "balloon.maximum",
					      "balloon.rss",        "balloon.usable",
					      "balloon.unused",     "balloon.disk_caches",
					      "balloon.available",  "balloon.swap_out",
					      "balloon.last-update" };
	virDomainStatsRecordPtr *records = NULL;
	virDomainPtr dom = NULL;
	int n = virConnectGetAllDomainStats(
		conn, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_BALLOON,
		&records,
		VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
			VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

	say("virConnectGetAllDomainStats", some(n));
	for (int i = 0; i < n && !dom; i++) {
		if (strncmp(virDomainGetName(records[i]->dom), "vmbal-lab-", 10) &&
		    strncmp(virDomainGetName(records[i]->dom), "guest-", 6))
			continue;
		dom = records[i]->dom;
		virDomainRef(dom);
		for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
			figure(records[i], fields[f]);
	}
	virDomainStatsRecordListFree(records);
	return dom;
}

static void params(const char *what, const virTypedParameter *p, int n, const char *prefix)
{
	for (int i = 0; i < n; i++)
		if (strstr(p[i].field, prefix))
			printf("  %s %s: type %d\n", what, p[i].field, p[i].type);
}

static void learn(virDomainPtr dom)
{
	virTypedParameter p[PARAMS];
	unsigned char maps[2 * VIR_CPU_MAPLEN(PCPU_MAX)];
	virDomainControlInfo control;
	virDomainJobInfo job;
	int maplen = VIR_CPU_MAPLEN(8), n = PARAMS;
	char *xml;

	xml = virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI,
				   VIR_DOMAIN_AFFECT_LIVE);
	say("virDomainGetMetadata, none there", xml ? 0 : -1);
	free(xml);
	xml = virDomainGetXMLDesc(dom, 0);
	say("virDomainGetXMLDesc", xml ? 0 : -1);
	free(xml);
	say("virDomainGetVcpuPinInfo, live",
	    virDomainGetVcpuPinInfo(dom, 1, maps, maplen, VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainGetVcpuPinInfo, persistent",
	    virDomainGetVcpuPinInfo(dom, 1, maps, maplen, VIR_DOMAIN_AFFECT_CONFIG));
	say("virDomainGetSchedulerParametersFlags",
	    virDomainGetSchedulerParametersFlags(dom, p, &n, VIR_DOMAIN_AFFECT_LIVE));
	params("scheduler", p, n, "vcpu_");
	params("scheduler", p, n, "global_");
	n = PARAMS;
	say("virDomainGetNumaParameters",
	    virDomainGetNumaParameters(dom, p, &n, VIR_DOMAIN_AFFECT_LIVE));
	params("numa", p, n, "numa_");
	virTypedParamsClear(p, n);
	say("virDomainGetControlInfo", virDomainGetControlInfo(dom, &control, 0));
	say("virDomainGetJobInfo", virDomainGetJobInfo(dom, &job));
}

static void change(virDomainPtr dom)
{
	unsigned char first[VIR_CPU_MAPLEN(8)] = { 1 }, none[VIR_CPU_MAPLEN(8)] = { 0 };
	unsigned char far[VIR_CPU_MAPLEN(PCPU_MAX)] = { 0 };

	VIR_USE_CPU(far, FAR_PCPU);
	say("virDomainPinVcpuFlags",
	    virDomainPinVcpuFlags(dom, 0, first, sizeof(first), VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainPinVcpuFlags, absent vCPU",
	    virDomainPinVcpuFlags(dom, ABSENT, first, sizeof(first), VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainPinVcpuFlags, to none",
	    virDomainPinVcpuFlags(dom, 0, none, sizeof(none), VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainPinVcpuFlags, no such pCPU",
	    virDomainPinVcpuFlags(dom, 0, far, sizeof(far), VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainSetMemoryStatsPeriod",
	    virDomainSetMemoryStatsPeriod(dom, 1, VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainSetMemoryFlags",
	    virDomainSetMemoryFlags(dom, 500 << 10, VIR_DOMAIN_AFFECT_LIVE));
	say("virDomainSetMemoryFlags, beyond its maximum",
	    virDomainSetMemoryFlags(dom, 1UL << 40, VIR_DOMAIN_AFFECT_LIVE));
}

int main(int argc, char **argv)
{
	virConnectPtr conn;
	virDomainPtr dom;

#if defined(FAKE)
	fake_host(2, 4 << 20, 1);
	fake_guest(1, &(struct plant_load){ .demand = 0.1 },
		   &(struct plant_mem_guest){ .max_kib = 512 << 10, .start_kib = 512 << 10 });
	fake_advance(3000000000);
#endif
	virSetErrorFunc(NULL, quiet);
	conn = virConnectOpenReadOnly(URI);
	dom = conn ? stats(conn) : NULL;
	if (!dom)
		return 1;
	puts("-- read-only");
	change(dom);
	virDomainFree(dom);
	say("virConnectClose", virConnectClose(conn));
	conn = virConnectOpen(URI);
	dom = conn ? stats(conn) : NULL;
	if (!dom)
		return 1;
	puts("-- read-write");
	say("virConnectIsAlive", virConnectIsAlive(conn));
	node(conn);
	learn(dom);
	change(dom);
	fflush(stdout);
#if defined(FAKE)
	fake_stop_guest(0);
#else
	if (argc > 1 && system(argv[1]))
		return 1;
#endif
	(void)argv;
	(void)argc;
	puts("-- the guest has ended");
	learn(dom);
	change(dom);
	say("virConnectClose, with a reference left", virConnectClose(conn));
	virDomainFree(dom);
	return 0;
}
