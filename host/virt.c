/*
 * virt.c - the connection to libvirt, and what is known of each guest.
 *
 * What a bulk read does not tell (masks, the fence of the persistent definition, whether
 * balloon statistics are on) is asked once per domain and again after an event.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"

#define NS_PER_S        1000000000LL
#define RETRY_NS        (1 * NS_PER_S)  /* from the first attempt to connect to the second */
#define RETRY_LAST_NS   (10 * NS_PER_S) /* ... doubled up to this */
#define REFUSED_NS      (5 * NS_PER_S)  /* after a failure, doubled with each */
#define KEEPALIVE_S     5               /* a silent libvirtd is dead after 5 * (3 + 1) s */
#define KEEPALIVE_COUNT 3
#define WAKE_MS         200 /* how late the event thread may see its end */
#define PARAMS_MAX      16  /* more scheduler or NUMA parameters than libvirt has */

static void quiet(void *opaque, virErrorPtr err)
{
	(void)opaque;
	(void)err;
}

/* ---- events: notes taken by the event thread, read before the next sample ---- */

static void event_note(struct virt *v, virDomainPtr dom, enum event_kind kind)
{
	pthread_mutex_lock(&v->event_lock);
	if (v->nevents < EVENTS_MAX) {
		virDomainGetUUID(dom, v->event[v->nevents].uuid);
		v->event[v->nevents].kind = kind;
	}
	if (v->nevents <= EVENTS_MAX)
		v->nevents++;
	pthread_mutex_unlock(&v->event_lock);
}

/* Only what is about CPUs: disks are tuned by others, and often. */
static void on_tunable(virConnectPtr conn, virDomainPtr dom, virTypedParameterPtr params,
		       int nparams, void *opaque)
{
	(void)conn;
	for (int i = 0; i < nparams; i++) {
		if (strncmp(params[i].field, "cputune.", strlen("cputune.")))
			continue;
		event_note(opaque, dom, EVENT_TUNED);
		return;
	}
}

static void on_reboot(virConnectPtr conn, virDomainPtr dom, void *opaque)
{
	(void)conn;
	event_note(opaque, dom, EVENT_REBOOT);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail,
			void *opaque)
{
	(void)conn;
	(void)detail;
	if (event == VIR_DOMAIN_EVENT_DEFINED || event == VIR_DOMAIN_EVENT_UNDEFINED)
		event_note(opaque, dom, EVENT_TUNED);
	return 0;
}

static void on_metadata(virConnectPtr conn, virDomainPtr dom, int type, const char *uri,
			void *opaque)
{
	(void)conn;
	(void)type;
	if (uri && strcmp(uri, METADATA_URI) == 0)
		event_note(opaque, dom, EVENT_POLICY);
}

/*
 * One that fails is tried again before the next sample.  Until then what others change is seen
 * late, or by SIGHUP.
 */
static void events_register(struct virt *v)
{
	const struct {
		int id;
		virConnectDomainEventGenericCallback callback;
	} kinds[EVENT_KINDS] = {
		{ VIR_DOMAIN_EVENT_ID_TUNABLE, VIR_DOMAIN_EVENT_CALLBACK(on_tunable) },
		{ VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
		{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
		{ VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata) },
	};
	bool deaf = false;

	for (int i = 0; i < EVENT_KINDS; i++) {
		if (v->callback[i] >= 0)
			continue;
		v->callback[i] = virConnectDomainEventRegisterAny(v->conn, NULL, kinds[i].id,
								  kinds[i].callback, v, NULL);
		if (v->callback[i] >= 0)
			continue;
		log_change(&v->deaf, true, "libvirt's events", virGetLastErrorMessage());
		deaf = true;
	}
	if (v->deaf && !deaf) {
		log_change(&v->deaf, false, "libvirt's events", "");
		virt_refresh(v);
	}
}

static void on_wake(int timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static bool event_stop(struct virt *v)
{
	bool stop;

	pthread_mutex_lock(&v->event_lock);
	stop = v->stop;
	pthread_mutex_unlock(&v->event_lock);
	return stop;
}

static void *event_run(void *arg)
{
	while (!event_stop(arg))
		virEventRunDefaultImpl();
	return NULL;
}

/* ---- the connection ---- */

/* Forgets what another connection, or another daemon, may tell differently. */
static void domain_detach(struct domain *d)
{
	if (d->ref)
		virDomainFree(d->ref);
	d->ref = NULL;
	d->pins_known = d->period_known = d->policy_known = false;
	d->job = d->pins = d->memory = d->period = (struct refusal){ 0 };
	d->ask_policy = d->ask_masks = (struct refusal){ 0 };
}

static void domain_drop(struct domain *d)
{
	domain_detach(d);
	free(d->mask);
	free(d->fence);
}

static void virt_close(struct virt *v)
{
	int left;

	if (!v->conn)
		return;
	for (size_t i = 0; i < v->ndom; i++)
		domain_detach(&v->dom[i]);
	v->nsets = 0;
	for (int i = 0; i < EVENT_KINDS; i++)
		if (v->callback[i] >= 0)
			virConnectDomainEventDeregisterAny(v->conn, v->callback[i]);
	left = virConnectClose(v->conn);
	if (left > 0)
		v->leaked += left;
	v->conn = NULL;
	v->lost = false;
}

/* A lost connection is closed when nothing is held that came from it. */
void virt_leave(struct virt *v)
{
	if (v->lost)
		virt_close(v);
	pthread_mutex_unlock(&v->lock);
}

void virt_enter(struct virt *v)
{
	pthread_mutex_lock(&v->lock);
}

/*
 * The host is this machine when the URI names no server: "driver[+transport]://[server]/path".
 * The answer decides whose /proc is read.
 */
static bool uri_is_local(virConnectPtr conn)
{
	char *uri = virConnectGetURI(conn);
	char *server = uri ? strstr(uri, "://") : NULL;
	bool local = server && server[3] == '/';

	free(uri);
	return local;
}

static int node_maplen(struct virt *v)
{
	int ncpus = virNodeGetCPUMap(v->conn, NULL, NULL, 0);

	if (ncpus <= 0)
		return -1;
	v->maplen = VIR_CPU_MAPLEN(ncpus < PCPU_MAX ? ncpus : PCPU_MAX);
	return 0;
}

/*
 * Once, and when pCPUs come or go, and only for the CPU loop: a daemon that has just started
 * takes seconds to probe QEMU for it, in which the other loop waits, too.  Where it fails the
 * host is as it was known before, and at first flat, every pCPU on its own.  -1: that will not
 * do, or the connection is gone.
 */
int virt_learn_topology(struct virt *v)
{
	char *xml;

	if (v->topology_known)
		return 0;
	xml = virConnectGetCapabilities(v->conn);
	if (!xml) {
		virt_check(v, &v->topology_bad, "reading the topology");
	} else {
		v->topology_known = topology_parse(xml, &v->topology) == 0;
		v->topology_read |= v->topology_known;
		log_change(&v->topology_bad, !v->topology_known, "reading the topology",
			   "cores, caches and nodes are unknown");
	}
	free(xml);
	return !virt_lost(v) && (v->topology_read || v->opt->grain == GRAIN_CPU) ? 0 : -1;
}

/* Each wait is twice the one before, up to the shorter of the loops' intervals. */
static int64_t retry_delay_ns(const struct virt *v)
{
	double cpu_s = v->opt->cpu_interval_s, mem_s = v->opt->mem_interval_s;
	double last_s = cpu_s > 0 && (mem_s <= 0 || cpu_s < mem_s) ? cpu_s : mem_s;
	int64_t last_ns = (int64_t)(last_s * NS_PER_S), delay_ns = 2 * v->delay_ns;

	if (last_ns > RETRY_LAST_NS)
		last_ns = RETRY_LAST_NS;
	if (delay_ns > last_ns)
		delay_ns = last_ns;
	return delay_ns > RETRY_NS ? delay_ns : RETRY_NS;
}

static int connect_anew(struct virt *v)
{
	if (proc_now_ns() < v->retry_ns)
		return -1;
	v->conn = v->opt->dry_run ? virConnectOpenReadOnly(v->opt->uri)
				  : virConnectOpen(v->opt->uri);
	v->delay_ns = retry_delay_ns(v);
	v->retry_ns = proc_now_ns() + v->delay_ns;
	if (!v->conn) {
		log_change(&v->down, true, v->opt->uri, virGetLastErrorMessage());
		return -1;
	}
	for (int i = 0; i < EVENT_KINDS; i++)
		v->callback[i] = -1;
	if (node_maplen(v) < 0) {
		log_change(&v->down, true, v->opt->uri, virGetLastErrorMessage());
		virt_close(v);
		return -1;
	}
	virConnectSetKeepAlive(v->conn, KEEPALIVE_S, KEEPALIVE_COUNT);
	v->local = uri_is_local(v->conn);
	v->epoch++;
	v->proven = false;
	return 0;
}

/* It does what it is for: one that only opens, and dies of the first question, backs off. */
void virt_proven(struct virt *v)
{
	if (v->proven)
		return;
	v->proven = true;
	v->delay_ns = 0;
	v->retry_ns = proc_now_ns() + RETRY_NS;
	v->down = false;
	log_msg(LOG_PRIO_NOTICE, "connected to %s%s", v->opt->uri,
		v->opt->dry_run ? ", read-only" : "");
}

int virt_connected(struct virt *v)
{
	if (!v->conn && connect_anew(v) < 0)
		return -1;
	events_register(v);
	return 0;
}

/* After a failed call: says so once, or if it was the connection that failed, says that. */
void virt_check(struct virt *v, bool *said, const char *what)
{
	virErrorPtr err = virSaveLastError(); /* virConnectIsAlive() frees the last one */
	const char *message = err && err->message ? err->message : "unknown error";

	if (virConnectIsAlive(v->conn) == 1) {
		log_change(said, true, what, message);
	} else {
		log_change(&v->down, true, v->opt->uri, message);
		v->lost = true;
	}
	virFreeError(err);
}

static int event_thread_start(struct virt *v)
{
	v->wake_timer = virEventAddTimeout(WAKE_MS, on_wake, v, NULL);
	if (v->wake_timer < 0)
		return -1;
	if (pthread_create(&v->event_thread, NULL, event_run, v) == 0)
		return 0;
	virEventRemoveTimeout(v->wake_timer);
	return -1;
}

struct virt *virt_new(const struct options *opt)
{
	struct virt *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->opt = opt;
	memset(&v->topology, 0xff, sizeof(v->topology)); /* -1: unknown */
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->event_lock, NULL);
	virSetErrorFunc(NULL, quiet);
	if (virInitialize() == 0 && virEventRegisterDefaultImpl() == 0 &&
	    event_thread_start(v) == 0)
		return v;
	free(v);
	return NULL;
}

int virt_free(struct virt *v)
{
	int leaked;

	pthread_mutex_lock(&v->event_lock);
	v->stop = true;
	pthread_mutex_unlock(&v->event_lock);
	pthread_join(v->event_thread, NULL); /* first: it may hold a reference */
	virt_close(v);
	virEventRemoveTimeout(v->wake_timer);
	pthread_mutex_destroy(&v->lock);
	pthread_mutex_destroy(&v->event_lock);
	leaked = v->leaked;
	for (size_t i = 0; i < v->ndom; i++)
		domain_drop(&v->dom[i]);
	free(v->dom);
	free(v->set);
	free(v);
	return leaked;
}

/* ---- the guests we know ---- */

/* Where uuid stands among the first n domains, or should. */
static size_t domain_place(const struct virt *v, const unsigned char *uuid, size_t n,
			   bool *found)
{
	size_t low = 0, high = n;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = memcmp(v->dom[mid].uuid, uuid, UUID_LEN);

		if (order == 0)
			*found = true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct domain *domain_find(struct virt *v, const unsigned char *uuid)
{
	bool found;
	size_t i = domain_place(v, uuid, v->ndom, &found);

	return found ? &v->dom[i] : NULL;
}

static int by_uuid(const void *a, const void *b)
{
	return memcmp(((const struct domain *)a)->uuid, ((const struct domain *)b)->uuid,
		      UUID_LEN);
}

static void domain_name(const struct virt *v, struct domain *d)
{
	snprintf(d->name, sizeof(d->name), "%s", virDomainGetName(d->ref));
	d->managed = fnmatch(v->opt->guests, virDomainGetName(d->ref), 0) == 0;
}

/*
 * A known domain was seen again.  After a restart its counters, masks and statistics period
 * are those of another run; after a reconnect only our reference is new.
 */
static void domain_seen(struct virt *v, struct domain *d, virDomainPtr ref)
{
	bool restarted = d->id != virDomainGetID(ref);

	d->present = true;
	if (d->ref && !restarted)
		return;
	domain_detach(d);
	virDomainRef(ref);
	d->ref = ref;
	d->id = virDomainGetID(ref);
	if (!restarted)
		return;
	d->boot_id = ++v->boots;
	domain_name(v, d); /* it can have been renamed while it was off */
}

static void domain_add(struct virt *v, virDomainPtr ref, const unsigned char *uuid)
{
	struct domain *d = &v->dom[v->ndom++];

	memset(d, 0, sizeof(*d));
	memcpy(d->uuid, uuid, UUID_LEN);
	virDomainRef(ref);
	d->ref = ref;
	d->id = virDomainGetID(ref);
	d->present = true;
	d->boot_id = ++v->boots;
	d->policy.weight = 1;
	domain_name(v, d);
}

static void domains_forget_absent(struct virt *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->ndom; i++) {
		if (v->dom[i].present)
			v->dom[kept++] = v->dom[i];
		else
			domain_drop(&v->dom[i]);
	}
	v->ndom = kept;
}

static void masks_changed(struct domain *d)
{
	d->pins_known = false;
	d->ask_masks.until_ns = 0;
}

static void policy_changed(struct domain *d)
{
	d->policy_known = false;
	d->ask_policy.until_ns = 0;
}

static void events_apply(struct virt *v)
{
	struct event event[EVENTS_MAX];
	size_t n;
	bool all;

	pthread_mutex_lock(&v->event_lock);
	n = v->nevents;
	all = v->refresh || n > EVENTS_MAX;
	memcpy(event, v->event, sizeof(event));
	v->nevents = 0;
	v->refresh = false;
	pthread_mutex_unlock(&v->event_lock);
	for (size_t i = 0; all && i < v->ndom; i++) {
		masks_changed(&v->dom[i]);
		policy_changed(&v->dom[i]);
	}
	for (size_t i = 0; i < n && i < EVENTS_MAX; i++) {
		struct domain *d = domain_find(v, event[i].uuid);

		if (d && event[i].kind == EVENT_TUNED)
			masks_changed(d);
		if (d && event[i].kind == EVENT_REBOOT)
			d->boot_id = ++v->boots;
		if (d && event[i].kind == EVENT_POLICY)
			policy_changed(d);
	}
}

/* Masks nobody holds any more are forgotten by asking all domains anew, once in a long while.
 */
static void sets_compact(struct virt *v)
{
	size_t used = 64;

	for (size_t i = 0; i < v->ndom; i++)
		used += 2 * (size_t)v->dom[i].npins;
	if (v->nsets <= used)
		return;
	v->nsets = 0;
	for (size_t i = 0; i < v->ndom; i++)
		v->dom[i].pins_known = false;
}

/* Makes the table agree with a bulk read. */
int domains_sync(struct virt *v, virDomainStatsRecordPtr *records, int n)
{
	size_t known = v->ndom;

	if (array_reserve(&v->dom, &v->dom_cap, known + (size_t)n, sizeof(*v->dom)) < 0)
		return -1;
	for (size_t i = 0; i < known; i++)
		v->dom[i].present = false;
	for (int i = 0; i < n; i++) {
		unsigned char uuid[UUID_LEN];
		bool found;
		size_t at;

		virDomainGetUUID(records[i]->dom, uuid);
		at = domain_place(v, uuid, known, &found);
		if (!found)
			domain_add(v, records[i]->dom, uuid);
		else
			domain_seen(v, &v->dom[at], records[i]->dom);
	}
	domains_forget_absent(v);
	if (v->ndom)
		qsort(v->dom, v->ndom, sizeof(*v->dom), by_uuid);
	events_apply(v);
	sets_compact(v);
	return 0;
}

unsigned virt_run(struct virt *v, const unsigned char *uuid)
{
	struct domain *d;
	unsigned run;

	pthread_mutex_lock(&v->lock);
	d = domain_find(v, uuid);
	run = d ? d->id : 0;
	pthread_mutex_unlock(&v->lock);
	return run;
}

void virt_refresh(struct virt *v)
{
	pthread_mutex_lock(&v->event_lock);
	v->refresh = true;
	pthread_mutex_unlock(&v->event_lock);
}

/* ---- learnt once: masks, fence, quota, metadata, statistics period ---- */

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
