/*
 * virt.c - the connection to libvirt, its events, and the table of guests.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"

#define NS_PER_S        1000000000LL
#define RETRY_NS        (1 * NS_PER_S)  /* from the first attempt to connect to the second */
#define RETRY_LAST_NS   (10 * NS_PER_S) /* ... doubled up to this */
#define KEEPALIVE_S     5               /* a silent libvirtd is dead after 5 * (3 + 1) s */
#define KEEPALIVE_COUNT 3
#define WAKE_MS         200 /* how late the event thread may see its end */

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
