/*
 * virt.c - the connection to libvirt and its events: the ground that the three steps of a tick
 * stand on.  See virt_guests.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/metadata.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/shape.h"
#include "host/virt.h"
#include "host/virt_guests.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/cpu.h"
#include "policy/sample.h"

#define WAKE_MS 200 /* how late the event thread may see its end */

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

/* It may be one that pins the guest's memory. */
static void on_device(virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
	(void)conn;
	(void)alias;
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
		{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
	};
	bool failed = false;

	for (int i = 0; i < EVENT_KINDS; i++) {
		if (v->callback[i] >= 0)
			continue;
		v->callback[i] = virConnectDomainEventRegisterAny(v->conn, NULL, kinds[i].id,
								  kinds[i].callback, v, NULL);
		if (v->callback[i] >= 0)
			continue;
		log_change(&v->events.said, true, "libvirt's events", virGetLastErrorMessage());
		failed = true;
	}
	if (v->events.said && !failed) {
		log_change(&v->events.said, false, "libvirt's events", "");
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

static void virt_close(struct virt *v)
{
	int left;

	if (!v->conn)
		return;
	table_detach(v);
	refused_forget(v);
	for (int i = 0; i < EVENT_KINDS; i++)
		if (v->callback[i] >= 0)
			virConnectDomainEventDeregisterAny(v->conn, v->callback[i]);
	left = virConnectClose(v->conn);
	if (left > 0 && callers_left(&v->callers) == 0)
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
	v->failure = (struct failure){ 0 };
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

/* The longest pause between attempts to connect: the shorter of the loops' intervals. */
static int64_t retry_most_ns(const struct virt *v)
{
	double cpu_s = v->opt->cpu_interval_s, mem_s = v->opt->mem_interval_s;
	double last_s = cpu_s > 0 && (mem_s <= 0 || cpu_s < mem_s) ? cpu_s : mem_s;
	return ns_of_s(fmax(limit.retry_s, fmin(last_s, limit.retry_most_s)));
}

static virConnectPtr connection_open(const struct virt *v)
{
	virConnectPtr conn = v->opt->dry_run ? virConnectOpenReadOnly(v->opt->uri)
					     : virConnectOpen(v->opt->uri);

	if (conn)
		virConnectSetKeepAlive(conn, (int)limit.keepalive_s, limit.keepalive_misses);
	return conn;
}

int virt_replace(struct virt *v, int *callback)
{
	virConnectPtr conn = connection_open(v);
	virDomainPtr *list = NULL;
	int n = conn ? virConnectListAllDomains(conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE)
		     : -1;

	if (n < 0) {
		if (conn)
			virConnectClose(conn);
		return -1;
	}
	table_rebind(v, list, n);
	free(list);
	virConnectClose(v->conn); /* it goes when the call on it returns */
	v->conn = conn;
	for (int i = 0; i < EVENT_KINDS; i++) {
		callback[i] = v->callback[i];
		v->callback[i] = -1;
	}
	events_register(v);
	virt_refresh(v); /* of events that came in between */
	return 0;
}

static int connect_anew(struct virt *v)
{
	if (proc_now_ns() < v->link.until_ns)
		return -1;
	v->conn = connection_open(v);
	attempt_failed(&v->link, ns_of_s(limit.retry_s),
		       retry_most_ns(v)); /* until it has told of guests */
	if (!v->conn) {
		log_change(&v->link.said, true, v->opt->uri, virGetLastErrorMessage());
		return -1;
	}
	for (int i = 0; i < EVENT_KINDS; i++)
		v->callback[i] = -1;
	if (node_maplen(v) < 0) {
		log_change(&v->link.said, true, v->opt->uri, virGetLastErrorMessage());
		virt_close(v);
		return -1;
	}
	v->local = uri_is_local(v->conn);
	v->epoch++;
	return 0;
}

/* It does what it is for: one that only opens, and dies of the first question, backs off. */
void virt_proven(struct virt *v)
{
	if (v->link.done)
		return;
	v->link = (struct attempt){ .done = true,
				    .until_ns = proc_now_ns() + ns_of_s(limit.retry_s) };
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

void virt_check(struct virt *v, struct attempt *a, const char *guest, const char *what)
{
	struct failure f = virt_failure(v); /* virConnectIsAlive() frees the last one */

	if (virConnectIsAlive(v->conn) == 1) {
		log_guest_change(&a->said, true, guest, what, f.message);
	} else {
		log_change(&v->link.said, true, v->opt->uri, f.message);
		v->lost = true;
	}
}

/* ---- what failed lately ---- */

bool attempt_due(const struct attempt *a)
{
	return !a->done && proc_now_ns() >= a->until_ns;
}

/* One that is waiting goes on: another vCPU of the guest has just been refused the same. */
void attempt_done(struct attempt *a, const char *guest, const char *what)
{
	if (what)
		log_guest_change(&a->said, false, guest, what, "");
	a->done = true;
	if (proc_now_ns() < a->until_ns)
		return;
	a->delay_ns = a->until_ns = 0;
	a->said = false;
}

/* The same: the other vCPUs of a guest may be refused with it. */
void attempt_failed(struct attempt *a, int64_t first_ns, int64_t most_ns)
{
	a->done = false;
	if (proc_now_ns() < a->until_ns)
		return;
	a->delay_ns = a->delay_ns ? 2 * a->delay_ns : first_ns;
	if (a->delay_ns > most_ns)
		a->delay_ns = most_ns;
	a->until_ns = proc_now_ns() + a->delay_ns;
}

struct failure failure_now(void)
{
	virErrorPtr err = virGetLastError();
	struct failure f = { 0 };

	if (err && err->code) {
		f.code = err->code;
		f.system = err->code == VIR_ERR_SYSTEM_ERROR ? err->int1 : 0;
	}
	snprintf(f.message, sizeof(f.message), "%s",
		 err && err->message ? err->message : "unknown error");
	return f;
}

struct failure virt_failure(const struct virt *v)
{
	struct failure f = failure_now();

	return f.code || !v->failure.code ? f : v->failure;
}

/* The guest has ended since the sample. */
bool guest_is_gone(const struct virt *v)
{
	int code = virt_failure(v).code;

	return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
}

/* ---- from start to end ---- */

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
	topology_clear(&v->shape);
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->event_lock, NULL);
	callers_init(&v->callers);
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
	refused_say_last(v);
	if (callers_end(&v->callers) < 0)
		return 0; /* the end of the process is theirs, too */
	virt_close(v);
	virEventRemoveTimeout(v->wake_timer);
	pthread_mutex_destroy(&v->lock);
	pthread_mutex_destroy(&v->event_lock);
	leaked = v->leaked;
	table_free(&v->table);
	free(v->qemus.qemu);
	free(v);
	return leaked;
}

void virt_refresh(struct virt *v)
{
	pthread_mutex_lock(&v->event_lock);
	v->refresh = true;
	pthread_mutex_unlock(&v->event_lock);
}
