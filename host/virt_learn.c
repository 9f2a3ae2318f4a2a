/*
 * virt_learn.c - the first step of a tick: what a bulk reply does not tell of a guest, such as
 * its masks, the allowed pCPUs of its persistent definition, its quota, its own policy.  Asked
 * once, again after an event, and later and later where there is no answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cgroup.h"
#include "host/limits.h"
#include "host/log.h"
#include "host/metadata.h"
#include "host/proc.h"
#include "host/qemu.h"
#include "host/shape.h"
#include "host/virt_guests.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/xml.h"
#include "policy/sample.h"

#define PARAMS_MAX               16 /* more scheduler, memory or NUMA parameters than libvirt has */
#define NUMATUNE_MEM_RESTRICTIVE 3 /* libvirt's own name for it came with 7.3 */

static int pins_intern(struct virt *v, const unsigned char *maps, int n, unsigned *out)
{
	for (int i = 0; i < n; i++) {
		struct cpuset s = virt_map_to_set(v, VIR_GET_CPUMAP(maps, v->maplen, i));
		int at = table_intern(&v->table, &s);

		if (at < 0)
			return -1;
		out[i] = (unsigned)at;
	}
	return 0;
}

static int pins_allocate(struct domain *d, unsigned nvcpus)
{
	unsigned *mask = calloc(nvcpus, sizeof(*mask));
	unsigned *allowed = calloc(nvcpus, sizeof(*allowed));
	struct vcpu_memory *near = calloc(nvcpus, sizeof(*near));

	if (!mask || !allowed || !near) {
		free(mask);
		free(allowed);
		free(near);
		return -1;
	}
	free(d->mask);
	free(d->allowed);
	free(d->near);
	d->mask = mask;
	d->allowed = allowed;
	d->near = near;
	d->npins = nvcpus;
	return 0;
}

/* The guest's own memory policy.  -1: it cannot be told. */
static int memory_read(struct domain *d, struct vcpu_cell *out)
{
	static const enum memory_mode modes[] = {
		[VIR_DOMAIN_NUMATUNE_MEM_STRICT] = MEMORY_STRICT,
		[VIR_DOMAIN_NUMATUNE_MEM_PREFERRED] = MEMORY_PREFERRED,
		[VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE] = MEMORY_INTERLEAVE,
		[NUMATUNE_MEM_RESTRICTIVE] = MEMORY_RESTRICTIVE,
	};
	virTypedParameter params[PARAMS_MAX];
	const char *list = NULL;
	int n = PARAMS_MAX, mode = -1;

	if (virDomainGetNumaParameters(d->ref, params, &n, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		int code = virGetLastErrorCode();

		return code == VIR_ERR_NO_SUPPORT || code == VIR_ERR_OPERATION_UNSUPPORTED ? 0
											   : -1;
	}
	virTypedParamsGetInt(params, n, VIR_DOMAIN_NUMA_MODE, &mode);
	virTypedParamsGetString(params, n, VIR_DOMAIN_NUMA_NODESET, &list);
	if (mode >= 0 && mode <= NUMATUNE_MEM_RESTRICTIVE && list &&
	    cpuset_parse(list, &out->nodes) == 0)
		out->mode = modes[mode];
	virTypedParamsClear(params, n);
	return 0;
}

/* What each vCPU's own cell has.  -1: it cannot be told. */
static int cells_read(struct domain *d, struct vcpu_cell *cell, unsigned nvcpus)
{
	char *xml;
	int result;

	for (unsigned k = 0; k < nvcpus; k++)
		cell[k] = (struct vcpu_cell){ .cell = -1 };
	if (!xml_is_read())
		return 0;
	xml = virDomainGetXMLDesc(d->ref, 0);
	result = xml ? cells_parse(xml, cell, nvcpus) : -1;
	free(xml);
	return result;
}

/*
 * A vCPU's memory, and its allowed pCPUs without those of nodes that a strict memory policy
 * keeps it off.  Nodes without pCPUs are as far from all of them.
 */
static void memory_follow(const struct virt *v, const struct vcpu_cell *c, unsigned char *map,
			  struct vcpu_memory *out)
{
	bool strict = c->mode == MEMORY_STRICT || c->mode == MEMORY_RESTRICTIVE, any = false;

	*out = (struct vcpu_memory){ .cell = c->cell,
				     .interleaved = c->mode == MEMORY_INTERLEAVE };
	for (int i = 0; i < v->maplen * 8 && i < PCPU_MAX; i++) {
		int node = v->shape.node[i];

		if (node < 0 || !cpuset_has(&c->nodes, (unsigned)node))
			continue;
		any = true;
		if (node < 64)
			out->nodes |= (uint64_t)1 << node;
	}
	for (int i = 0; any && strict && i < v->maplen * 8 && i < PCPU_MAX; i++)
		if (v->shape.node[i] >= 0 && !cpuset_has(&c->nodes, (unsigned)v->shape.node[i]))
			VIR_UNUSE_CPU(map, i);
}

/* The host's nodes are not known.  -1: so it cannot be told which pCPUs a domain is bound to.
 */
static int nodes_unknown(struct domain *d)
{
	struct vcpu_cell guest = { .cell = -1 };

	if (memory_read(d, &guest) < 0)
		return -1;
	if (guest.mode != MEMORY_STRICT && guest.mode != MEMORY_RESTRICTIVE)
		return 0;
	log_guest_change(
		&d->masks.said, true, d->name, d->name,
		"it is bound to memory nodes, and this host's are not known: left alone");
	return -1;
}

/* -1: it cannot be told where the domain's memory is. */
static int learn_nodes(struct virt *v, struct domain *d, unsigned char *maps, unsigned nvcpus)
{
	struct vcpu_cell guest = { .cell = -1 }, *cell;
	int result = -1;

	if (!v->topology_read)
		return nodes_unknown(d);
	if (!topology_has_nodes(&v->shape))
		return 0;
	cell = calloc(nvcpus, sizeof(*cell));
	if (!cell || memory_read(d, &guest) < 0 || cells_read(d, cell, nvcpus) < 0)
		goto out;
	for (unsigned k = 0; k < nvcpus; k++) {
		if (cell[k].mode == MEMORY_GUESTS) {
			cell[k].mode = guest.mode;
			cell[k].nodes = guest.nodes;
		}
		memory_follow(v, &cell[k], VIR_GET_CPUMAP(maps, v->maplen, k), &d->near[k]);
	}
	result = 0;
out:
	free(cell);
	return result;
}

/* The pCPUs that its cgroup leaves it.  A change is seldom one guest's alone. */
static void learn_cpuset(struct virt *v, struct domain *d)
{
	struct cpuset now = { { 0 } }, lacks = v->table.online;
	pid_t pid = domain_pid(v, d);

	if (pid > 0)
		cgroup_cpus(pid, &now);
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		lacks.bits[w] &= ~now.bits[w];
	if (cpuset_count(&lacks) == 0)
		memset(&now, 0, sizeof(now)); /* it has all there is */
	v->cpusets_changed |= d->cpuset_read && !cpuset_equal(&d->cpuset, &now);
	d->cpuset = now;
	d->cpuset_read = true;
}

/*
 * The live masks are ours to change; those of the persistent definition are the
 * administrator's word on the allowed pCPUs.  A transient domain has none, which libvirt tells
 * by an error: then every pCPU is allowed.
 */
int domain_learn_masks(struct virt *v, struct domain *d, unsigned nvcpus)
{
	unsigned char *maps = calloc(nvcpus, (size_t)v->maplen);
	int n, result = -1;

	if (!maps || pins_allocate(d, nvcpus) < 0)
		goto out;
	learn_cpuset(v, d);
	n = virDomainGetVcpuPinInfo(d->ref, (int)nvcpus, maps, v->maplen,
				    VIR_DOMAIN_AFFECT_LIVE);
	if (n < (int)nvcpus || pins_intern(v, maps, n, d->mask) < 0)
		goto out;
	n = virDomainGetVcpuPinInfo(d->ref, (int)nvcpus, maps, v->maplen,
				    VIR_DOMAIN_AFFECT_CONFIG);
	if (n < 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
		goto out;
	d->transient = n < 0;
	n = n < 0 ? 0
		  : n; /* it may have fewer vCPUs than the one that runs: any pCPU is allowed */
	memset(VIR_GET_CPUMAP(maps, v->maplen, n), 0xff,
	       (nvcpus - (size_t)n) * (size_t)v->maplen);
	if (learn_nodes(v, d, maps, nvcpus) == 0)
		result = pins_intern(v, maps, (int)nvcpus, d->allowed);
out:
	free(maps);
	return result;
}

/* What one vCPU may use at most: its own quota, or that of all threads together. */
static void learn_quota(struct domain *d)
{
	virTypedParameter params[PARAMS_MAX];
	long long quota = 0, all = 0;
	unsigned long long period = 0, all_period = 0;
	int n = PARAMS_MAX;

	d->quota = 0;
	if (virDomainGetSchedulerParametersFlags(d->ref, params, &n, VIR_DOMAIN_AFFECT_LIVE) <
	    0)
		return;
	virTypedParamsGetLLong(params, n, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, &quota);
	virTypedParamsGetULLong(params, n, VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, &period);
	virTypedParamsGetLLong(params, n, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, &all);
	virTypedParamsGetULLong(params, n, VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, &all_period);
	virTypedParamsClear(params, n);
	if (quota > 0 && period > 0)
		d->quota = (double)quota / (double)period;
	if (all > 0 && all_period > 0) {
		double sum = (double)all / (double)all_period; /* one vCPU may use it all */

		d->quota = d->quota > 0 && d->quota < sum ? d->quota : sum;
	}
}

/* After a question about one domain that had no answer. */
static void learn_failed(struct virt *v, struct domain *d, struct attempt *a, const char *what)
{
	char text[GUEST_NAME_LEN + 64];

	attempt_failed(a, ns_of_s(limit.failed_s), ns_of_s(limit.failed_most_s));
	if (guest_is_gone(v))
		return;
	snprintf(text, sizeof(text), "%s: %s", d->name, what);
	virt_check(v, a, d->name, text);
}

static void learn_cpu(struct virt *v, struct domain *d, unsigned nvcpus)
{
	if (domain_learn_masks(v, d, nvcpus) < 0) {
		learn_failed(v, d, &d->masks, "its masks cannot be read: left alone");
		return;
	}
	attempt_done(&d->masks, d->name, d->name);
	learn_quota(d);
}

/* Where its definition is not read, the kernel of this machine tells; else nobody can. */
static void learn_kind(struct virt *v, struct domain *d)
{
	pid_t pid = domain_pid(v, d);
	bool locked = false;

	d->unproven = pid <= 0 || qemu_memory_kind(pid, &locked, &d->kind.huge_kib) < 0;
	d->kind.locked |= locked; /* for as long as it runs */
}

/* Guests whose pages do not come back to the host, or never came from its free memory. */
static int learn_memory_kind(struct domain *d)
{
	char *xml;
	int result;

	if (!xml_is_read()) {
		d->kind.locked = false; /* of another run; see guests_learn_mem() */
		return 0;
	}
	xml = virDomainGetXMLDesc(d->ref, 0);
	result = xml ? memory_kind_parse(xml, &d->kind) : -1;
	free(xml);
	return result;
}

/* <memtune><hard_limit>: what its cgroup lets its QEMU hold.  No event tells of a change. */
static void learn_limit(struct domain *d)
{
	virTypedParameter params[PARAMS_MAX];
	unsigned long long kib = 0;
	int n = PARAMS_MAX;

	d->limit_kib = 0;
	if (virDomainGetMemoryParameters(d->ref, params, &n, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return;
	virTypedParamsGetULLong(params, n, VIR_DOMAIN_MEMORY_HARD_LIMIT, &kib);
	virTypedParamsClear(params, n);
	if (kib < VIR_DOMAIN_MEMORY_PARAM_UNLIMITED)
		d->limit_kib = kib;
}

/*
 * What an administrator wrote may be that the guest is to be left alone: so it is, where it
 * cannot be read.
 */
static int learn_metadata(struct domain *d, const char *xml, char *error, size_t len)
{
	bool unread = xml && !xml_is_read();

	log_guest_change(
		&d->metadata_unread, unread, d->name, d->name,
		"it carries metadata of vmbal's, which this build without libxml2 cannot read: "
		"left alone");
	if (xml && !unread)
		return metadata_parse(xml, &d->wants, error, len);
	d->wants = unread ? GUEST_LEFT_ALONE : (struct guest_policy){ 0 };
	return 0;
}

/*
 * No metadata is no error; wrong metadata are said once, and what was known goes on.  A guest
 * whose definition could never be read is left alone: it may say so itself.
 */
static void learn_policy(struct virt *v, struct domain *d)
{
	char *xml = virDomainGetMetadata(d->ref, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI,
					 VIR_DOMAIN_AFFECT_LIVE);
	char error[128];
	int result = 0;

	if ((!xml && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_METADATA) ||
	    learn_memory_kind(d) < 0)
		goto failed;
	result = learn_metadata(d, xml, error, sizeof(error));
	if (result < 0 && !error[0])
		goto failed;
	if (result < 0)
		log_guest(LOG_PRIO_WARNING, d->name, "its metadata are not followed: %s",
			  error);
	learn_limit(d);
	d->policy_read = true;
	attempt_done(&d->policy, d->name, d->name);
	free(xml);
	return;
failed:
	learn_failed(v, d, &d->policy, "its definition cannot be read");
	free(xml);
}

/* Nothing is asked of it, but what it may touch is booked. */
static void learn_unmanaged(struct virt *v, struct domain *d)
{
	if (learn_memory_kind(d) < 0)
		learn_failed(v, d, &d->policy, "its definition cannot be read");
	else
		attempt_done(&d->policy, d->name, d->name);
}

/*
 * Looks through all processes when a guest's is not known: once for all guests that start
 * together, and later and later for one that is not to be found.
 */
pid_t domain_pid(struct virt *v, struct domain *d)
{
	int64_t now_ns = proc_now_ns();

	if (!v->local)
		return 0;
	if (d->process > 0 && qemu_is(d->process, d->uuid))
		return d->process;
	if (d->process > 0)
		d->process = 0;
	if (now_ns < d->pid.until_ns)
		return d->process;
	if (v->qemus_ns == 0 || now_ns - v->qemus_ns >= ns_of_s(limit.processes_s)) {
		qemus_read(&v->qemus);
		v->qemus_ns = now_ns;
	}
	d->process = qemu_pid(&v->qemus, d->uuid);
	if (d->process > 0 && !qemu_is(d->process, d->uuid))
		d->process = 0; /* it has ended since they were looked through */
	if (d->process > 0)
		attempt_done(&d->pid, NULL, NULL);
	else
		attempt_failed(&d->pid, ns_of_s(limit.failed_s), ns_of_s(limit.failed_most_s));
	return d->process;
}

/* ---- the step ---- */

/*
 * A slow daemon is not asked about all its guests in one tick, nor again and again about one
 * that it cannot tell of.  Who is not known yet is left alone.
 */
static bool is_due(const struct virt *v, const struct attempt *a)
{
	return attempt_due(a) && proc_now_ns() < v->learn_until_ns && !virt_lost(v);
}

static void domain_learn_cpu(struct virt *v, struct domain *d)
{
	unsigned nvcpus = record_vcpus(d->record);

	if (!d->managed || nvcpus == 0)
		return;
	if (is_due(v, &d->policy))
		learn_policy(v, d);
	if (!d->policy_read)
		return;
	d->masks.done &= d->npins >= nvcpus; /* it has got more of them */
	if (is_due(v, &d->masks))
		learn_cpu(v, d, nvcpus);
}

/* Once more where one guest's cpuset turned out to have changed: those of all are void then. */
void guests_learn_cpu(struct virt *v)
{
	for (int pass = 0; pass == 0 || (pass == 1 && v->cpusets_changed); pass++) {
		if (v->cpusets_changed)
			masks_forget(v);
		v->cpusets_changed = false;
		for (size_t i = 0; i < v->table.ndom && !virt_lost(v); i++)
			if (v->table.dom[i].record)
				domain_learn_cpu(v, &v->table.dom[i]);
	}
}

/* No event that libvirt 6.0 has tells that virtio-mem was plugged or unplugged. */
static void notice_virtio_mem(struct domain *d)
{
	uint64_t current_kib = record_balloon_kib(d->record);

	if (d->kind.virtio_mem && current_kib != d->current_kib)
		d->policy.done = false;
	d->current_kib = current_kib;
}

void guests_learn_mem(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom && !virt_lost(v); i++) {
		struct domain *d = &v->table.dom[i];

		if (!d->record)
			continue;
		notice_virtio_mem(d);
		if (is_due(v, &d->policy)) {
			if (d->managed)
				learn_policy(v, d);
			else
				learn_unmanaged(v, d);
		}
		/* Its process may not have been found before, or pins memory by now. */
		if (!xml_is_read())
			learn_kind(v, d);
	}
}
