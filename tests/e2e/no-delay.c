/*
 * no-delay.c - preloaded, makes libvirt one of before 7.2, which does not tell vcpu.N.delay.
 */
#include <dlfcn.h>
#include <string.h>

#include <libvirt/libvirt.h>

typedef int (*stats_fn)(virConnectPtr, unsigned, virDomainStatsRecordPtr **, unsigned);

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned stats,
				virDomainStatsRecordPtr **records, unsigned flags)
{
	stats_fn next = (stats_fn)dlsym(RTLD_NEXT, "virConnectGetAllDomainStats");
	int n = next(conn, stats, records, flags);

	for (int i = 0; i < n; i++)
		for (int k = 0; k < (*records)[i]->nparams; k++) {
			char *field = (*records)[i]->params[k].field;
			size_t len = strlen(field), end = strlen(".delay");

			if (len > end && strcmp(field + len - end, ".delay") == 0)
				memcpy(field + len - end, ".other", end);
		}
	return n;
}
