/*
 * virt_learn.c - what a bulk read does not tell of a guest: its masks, the fence of its
 * persistent definition, its quota, its own policy.  Asked once, again after an event, and
 * later and later where there is no answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"

#define REFUSED_NS 5000000000LL /* after a failure, doubled with each */
#define PARAMS_MAX 16           /* more scheduler or NUMA parameters than libvirt has */

struct cpuset virt_map_to_set(const struct virt *v, const unsigned char *map)
{
	struct cpuset s = { { 0 } };

	for (int i = 0; i < v->maplen * 8 && i < PCPU_MAX; i++)
		if (VIR_CPU_USED(map, i))
			cpuset_add(&s, (unsigned)i);
	return s;
}

/* The index of a libvirt CPU map among the distinct ones, or -1 without memory. */
int virt_intern(struct virt *v, const unsigned char *map)
{
	struct cpuset s = virt_map_to_set(v, map);

	for (size_t i = 0; i < v->nsets; i++)
		if (memcmp(&v->set[i], &s, sizeof(s)) == 0)
			return (int)i;
	if (array_reserve(&v->set, &v->set_cap, v->nsets + 1, sizeof(s)) < 0)
		return -1;
	v->set[v->nsets] = s;
	return (int)v->nsets++;
}

static int pins_intern(struct virt *v, const unsigned char *maps, int n, unsigned *out)
{
	for (int i = 0; i < n; i++) {
		int s = virt_intern(v, VIR_GET_CPUMAP(maps, v->maplen, i));

		if (s < 0)
			return -1;
		out[i] = (unsigned)s;
	}
	return 0;
}

static int pins_allocate(struct domain *d, unsigned nvcpus)
{
	unsigned *mask = calloc(nvcpus, sizeof(*mask));
	unsigned *fence = calloc(nvcpus, sizeof(*fence));

	if (!mask || !fence) {
		free(mask);
		free(fence);
		return -1;
	}
	free(d->mask);
	free(d->fence);
	d->mask = mask;
	d->fence = fence;
	d->npins = nvcpus;
	return 0;
}

/*
 * Takes from the fence the pCPUs of nodes that a strict memory policy keeps the domain off.
 * -1: it cannot be told which.
 */
static int fence_nodes(struct virt *v, struct domain *d, unsigned char *maps, unsigned nvcpus)
{
	virTypedParameter params[PARAMS_MAX];
	const char *list = NULL;
	struct cpuset nodes;
	int n = PARAMS_MAX, mode = -1;

	if (!topology_has_nodes(&v->topology))
		return 0;
	if (virDomainGetNumaParameters(d->ref, params, &n, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		int code = virGetLastErrorCode();

		return code == VIR_ERR_NO_SUPPORT || code == VIR_ERR_OPERATION_UNSUPPORTED ? 0
											   : -1;
	}
	virTypedParamsGetInt(params, n, VIR_DOMAIN_NUMA_MODE, &mode);
	virTypedParamsGetString(params, n, VIR_DOMAIN_NUMA_NODESET, &list);
	if (mode == VIR_DOMAIN_NUMATUNE_MEM_STRICT && list && cpuset_parse(list, &nodes) == 0)
		for (int i = 0; i < v->maplen * 8; i++)
			for (unsigned k = 0; k < nvcpus; k++)
				if (v->topology.node[i] >= 0 &&
				    !cpuset_has(&nodes, (unsigned)v->topology.node[i]))
					VIR_UNUSE_CPU(VIR_GET_CPUMAP(maps, v->maplen, k), i);
	virTypedParamsClear(params, n);
	return 0;
}

/*
 * The live masks are ours to change; those of the persistent definition are the
 * administrator's fence.  A transient domain has none, which libvirt tells by an error: then
 * every pCPU is allowed.
 */
int domain_learn_masks(struct virt *v, struct domain *d, unsigned nvcpus)
{
	unsigned char *maps = calloc(nvcpus, (size_t)v->maplen);
	int n, result = -1;

	if (!maps || pins_allocate(d, nvcpus) < 0)
		goto out;
	n = virDomainGetVcpuPinInfo(d->ref, (int)nvcpus, maps, v->maplen,
				    VIR_DOMAIN_AFFECT_LIVE);
	if (n < (int)nvcpus || pins_intern(v, maps, n, d->mask) < 0)
		goto out;
	n = virDomainGetVcpuPinInfo(d->ref, (int)nvcpus, maps, v->maplen,
				    VIR_DOMAIN_AFFECT_CONFIG);
	if (n < 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
		goto out;
	n = n < 0 ? 0
		  : n; /* it may have fewer vCPUs than the one that runs: these have no fence */
	memset(VIR_GET_CPUMAP(maps, v->maplen, n), 0xff,
	       (nvcpus - (size_t)n) * (size_t)v->maplen);
	if (fence_nodes(v, d, maps, nvcpus) == 0)
		result = pins_intern(v, maps, (int)nvcpus, d->fence);
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

/* The last call failed because the guest has ended since the sample: nobody's fault. */
bool guest_is_gone(void)
{
	int code = virGetLastErrorCode();

	return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
}

/* One that is waiting already goes on: the other vCPUs of a guest may be refused with it. */
void refusal_wait(struct refusal *r, int64_t most_ns)
{
	if (proc_now_ns() < r->until_ns)
		return;
	r->delay_ns = r->delay_ns ? 2 * r->delay_ns : REFUSED_NS;
	if (r->delay_ns > most_ns)
		r->delay_ns = most_ns;
	r->until_ns = proc_now_ns() + r->delay_ns;
}

/* After a question about one domain that had no answer. */
static void learn_failed(struct virt *v, struct domain *d, struct refusal *r, bool *said,
			 const char *what)
{
	char text[GUEST_NAME_LEN + 64];

	refusal_wait(r, REFUSED_MOST_NS);
	if (guest_is_gone())
		return;
	snprintf(text, sizeof(text), "%s: %s", d->name, what);
	virt_check(v, said, text);
}

void domain_learn_cpu(struct virt *v, struct domain *d, unsigned nvcpus)
{
	d->pins_known = domain_learn_masks(v, d, nvcpus) == 0;
	if (!d->pins_known) {
		learn_failed(v, d, &d->ask_masks, &d->unread,
			     "its masks cannot be read: left alone");
		return;
	}
	log_change(&d->unread, false, d->name, "");
	d->ask_masks.delay_ns = 0;
	learn_quota(d);
}

/* Guests whose pages do not come back to the host, or never came from its free memory. */
static int learn_memory_kind(struct domain *d)
{
	char *xml = virDomainGetXMLDesc(d->ref, 0);
	int result = xml ? memory_kind_parse(xml, &d->locked, &d->hugepages) : -1;

	free(xml);
	return result;
}

/*
 * No metadata is no error; wrong metadata are said once, and what was known goes on.  A guest
 * whose definition could never be read is left alone: it may say so itself.
 */
void domain_learn_policy(struct virt *v, struct domain *d)
{
	char *xml = virDomainGetMetadata(d->ref, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI,
					 VIR_DOMAIN_AFFECT_LIVE);
	char error[128];
	int result = 0;

	if ((!xml && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_METADATA) ||
	    learn_memory_kind(d) < 0)
		goto out;
	if (!xml)
		d->policy = (struct guest_policy){ .weight = 1 };
	else
		result = metadata_parse(xml, &d->policy, error, sizeof(error));
	if (result < 0 && !error[0])
		goto out;
	if (result < 0)
		log_msg(LOG_PRIO_WARNING, "%s: its metadata are not followed: %s", d->name,
			error);
	d->policy_known = d->policy_read = true;
out:
	if (d->policy_known) {
		log_change(&d->obscure, false, d->name, "");
		d->ask_policy.delay_ns = 0;
	} else {
		learn_failed(v, d, &d->ask_policy, &d->obscure,
			     "its definition cannot be read");
	}
	free(xml);
}
