/*
 * libvirt.c - the part of libvirt's API that vmbal calls, answered from the two plants.
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

#include "host/metadata.h"
#include "lib/cpuset.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define CONNS        8
#define EVENT_SLOTS  6
#define HANG_REAL_NS 100000000 /* a thread that has not returned by then does not */

struct _virConnect {
	bool readonly;
	int refs; /* 0: it is not open */
};

struct _virDomain {
	unsigned guest;
	unsigned id;
	int refs;
};

struct fake_domain {
	bool running, busy, occupied;
	enum fake_hang hang;
	bool hung;       /* its QEMU does not answer */
	unsigned held;   /* calls that wait for its monitor, or for the job of one that does */
	int64_t held_ns; /* since when */
	int state;
	unsigned id, nvcpus;
	char name[GUEST_NAME_LEN];
	const char *renamed; /* NULL: not */
	unsigned char uuid[UUID_LEN];
	unsigned task[FAKE_VCPUS];
	uint64_t mask[FAKE_VCPUS]; /* live */
	uint64_t allowed;          /* 0: transient, it has no persistent definition */
	struct plant_load load;
	size_t mem; /* in the memory plant; SIZE_MAX: none */
	uint64_t max_kib;
	int period, refuses;
	bool stays;
	uint64_t limit_kib; /* of its cgroup; 0: none */
	bool backup;        /* is being made */
	double quota, quota_all; /* CPUs each vCPU, and all threads, may use; 0: no limit */
	const char *metadata;    /* NULL: none */
	char nodes[16];          /* memory nodes; empty: any */
	int memory_mode;
	const char *definition; /* NULL: an empty one */
	uint64_t cpuset;        /* the pCPUs that its cgroup leaves it; 0: all */
	bool v1;
	bool adrift[FAKE_VCPUS]; /* it does not run where its mask says */
};

static struct {
	struct plant *cpus;
	struct plant_mem *mem;
	unsigned ncpus, nguests, next_id;
	struct fake_domain guest[FAKE_GUESTS];
	struct _virConnect conns[CONNS], *conn; /* that opened last */
	virConnectPtr listens[EVENT_SLOTS];
	virConnectDomainEventGenericCallback callback[EVENT_SLOTS];
	void *opaque[EVENT_SLOTS];
	unsigned calls, pins, refused, balloons, offences, fail_at, die_at, opens;
	unsigned capabilities_asked;
	uint64_t slow_ns;
	bool no_masks, no_definitions;
	int refs, fail_code;
	uint64_t online;
	int64_t begun_ns;              /* on the clock, when the plants' began */
	bool dead, deaf, open, broken; /* broken: the open connection saw the daemon dead */
	bool reverse, remote, proc_fails, node_fails, odd, no_delay;
	uint64_t isolated, proc_back_ns;
	const char *capabilities; /* NULL: a host without topology */
	double weaker[64];        /* than the strongest, per pCPU, by so much */
} host;

/* Threads that host/ leaves behind in a call are in here beside others: one at a time. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static unsigned waiting; /* threads, for a guest that hangs */
static _Thread_local int last_code, last_system;

static pthread_mutex_t *guard_take(void)
{
	pthread_mutex_lock(&lock);
	return &lock;
}

static void guard_drop(pthread_mutex_t **taken)
{
	pthread_mutex_unlock(*taken);
}

#define GUARD pthread_mutex_t *guard __attribute__((cleanup(guard_drop), unused)) = guard_take()

/* ---- the test's side ---- */

static uint64_t all_cpus(void)
{
	return host.ncpus < 64 ? ((uint64_t)1 << host.ncpus) - 1 : UINT64_MAX;
}

void fake_host(unsigned ncpus, uint64_t total_kib, uint64_t seed)
{
	GUARD;
	fake_end();
	memset(&host, 0, sizeof(host));
	host.ncpus = ncpus;
	host.cpus = plant_new(ncpus, seed);
	host.mem = plant_mem_new(total_kib, &(struct plant_course){ 0 }, seed);
	host.next_id = 1;
	host.online = all_cpus();
	host.begun_ns = 1000000000; /* 0 would mean never */
	fake_processes();
}

void fake_next_host(unsigned ncpus, uint64_t total_kib, uint64_t seed)
{
	GUARD;
	int64_t now_ns = fake_now_ns();
	unsigned offences = host.offences + host.open + (host.refs != 0);

	fake_host(ncpus, total_kib, seed);
	host.begun_ns = now_ns;
	host.offences = offences;
}

int64_t fake_now_ns(void)
{
	GUARD;
	return host.begun_ns + (int64_t)plant_now_ns(host.cpus);
}

void fake_end(void)
{
	GUARD;
	if (host.cpus)
		plant_free(host.cpus);
	if (host.mem)
		plant_mem_free(host.mem);
	fake_processes_end();
	host.cpus = NULL;
	host.mem = NULL;
}

struct plant *fake_cpus(void)
{
	GUARD;
	return host.cpus;
}

struct plant_mem *fake_mem(void)
{
	GUARD;
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
	GUARD;
	unsigned i = host.nguests++;
	struct fake_domain *d = &host.guest[i];

	d->nvcpus = nvcpus;
	d->load = *load;
	d->allowed = all_cpus();
	snprintf(d->name, sizeof(d->name), "guest-%u", i);
	/* Listed in another order than by UUID. */
	snprintf((char *)d->uuid, UUID_LEN, "%08x", (i * 2654435761U) ^ 0x5a5a5a5aU);
	fake_process(i, d->uuid);
	d->mem = mem ? plant_mem_add(host.mem, mem) : SIZE_MAX;
	d->max_kib = mem ? mem->max_kib : 0;
	start(d);
	return i;
}

void fake_reverse(bool reverse)
{
	GUARD;
	host.reverse = reverse;
}

void fake_stop_guest(unsigned guest)
{
	GUARD;
	struct fake_domain *d = &host.guest[guest];

	for (unsigned k = 0; k < d->nvcpus; k++)
		plant_end(host.cpus, d->task[k]);
	d->running = false;
}

void fake_restart_guest(unsigned guest)
{
	GUARD;
	if (host.guest[guest].running)
		fake_stop_guest(guest);
	start(&host.guest[guest]);
}

unsigned fake_task(unsigned guest, unsigned vcpu)
{
	GUARD;
	return host.guest[guest].task[vcpu];
}

static struct cpuset set_of(uint64_t mask)
{
	struct cpuset s = { { mask } };

	return s;
}

/* Where the kernel lets it run: what of its mask is in its cgroup's cpuset, or all of that. */
static void run_within(unsigned guest, unsigned vcpu, uint64_t mask)
{
	struct fake_domain *d = &host.guest[guest];
	struct cpuset s;

	if (d->cpuset)
		mask = mask & d->cpuset ? mask & d->cpuset : d->cpuset;
	s = set_of(mask);
	plant_set_mask(host.cpus, d->task[vcpu], &s);
}

static void pin(unsigned guest, unsigned vcpu, uint64_t mask)
{
	host.guest[guest].mask[vcpu] = mask;
	host.guest[guest].adrift[vcpu] = false;
	run_within(guest, vcpu, mask);
}

void fake_cpuset(unsigned guest, uint64_t allowed, bool v1)
{
	GUARD;
	struct fake_domain *d = &host.guest[guest];

	d->cpuset = allowed;
	d->v1 = v1;
	for (unsigned k = 0; k < d->nvcpus; k++)
		run_within(guest, k, d->mask[k]);
}

/* What the daemon tells every client when a mask changes. */
static void event_pinned(unsigned guest, unsigned vcpu)
{
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };
	virTypedParameter param = { .type = VIR_TYPED_PARAM_STRING };

	snprintf(param.field, sizeof(param.field), VIR_DOMAIN_TUNABLE_CPU_VCPUPIN, vcpu);
	if (host.callback[0] && !host.deaf)
		((virConnectDomainEventTunableCallback)(void (*)(void))host.callback[0])(
			host.conn, &dom, &param, 1, host.opaque[0]);
}

void fake_mask(unsigned guest, unsigned vcpu, uint64_t mask)
{
	GUARD;
	pin(guest, vcpu, mask);
	event_pinned(guest, vcpu);
}

uint64_t fake_mask_of(unsigned guest, unsigned vcpu)
{
	GUARD;
	return host.guest[guest].mask[vcpu];
}

void fake_allowed(unsigned guest, uint64_t mask)
{
	GUARD;
	host.guest[guest].allowed = mask;
}

void fake_defined(unsigned guest)
{
	GUARD;
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	if (host.callback[2] && !host.deaf)
		((virConnectDomainEventCallback)(void (*)(void))host.callback[2])(
			host.conn, &dom, VIR_DOMAIN_EVENT_DEFINED,
			VIR_DOMAIN_EVENT_DEFINED_UPDATED, host.opaque[2]);
}

void fake_no_delay(bool withheld)
{
	GUARD;
	host.no_delay = withheld;
}

const unsigned char *fake_uuid(unsigned guest)
{
	GUARD;
	return host.guest[guest].uuid;
}

void fake_odd(bool odd)
{
	GUARD;
	host.odd = odd;
}

void fake_capabilities(const char *xml)
{
	GUARD;
	host.capabilities = xml;
}

bool fake_flat_now(void)
{
	GUARD;
	return !host.capabilities;
}

const char *fake_capabilities_now(void)
{
	GUARD;
	return host.capabilities ? host.capabilities : "<capabilities><host/></capabilities>";
}

void fake_capacity(unsigned cpu, double capacity)
{
	GUARD;
	host.weaker[cpu] = 1 - capacity;
}

double fake_capacity_now(unsigned cpu)
{
	GUARD;
	return 1 - host.weaker[cpu];
}

uint64_t fake_online_now(void)
{
	GUARD;
	return host.online;
}

void fake_hang(unsigned guest, enum fake_hang hang)
{
	GUARD;
	struct fake_domain *d = &host.guest[guest];

	d->held -= d->hang == HANG_ELSEWHERE;
	d->hang = hang;
	d->hung = hang == HANG_NOW || hang == HANG_ELSEWHERE;
	d->held += hang == HANG_ELSEWHERE;
	d->held_ns = fake_now_ns();
	pthread_cond_broadcast(&released);
}

/* Simulated time passes for who waits while a guest hangs, else the real one. */
int fake_wait(pthread_cond_t *cond, pthread_mutex_t *theirs, int64_t deadline_ns)
{
	struct timespec ts;
	bool hangs;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += HANG_REAL_NS;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	if (pthread_cond_timedwait(cond, theirs, &ts) != ETIMEDOUT)
		return 0;
	pthread_mutex_lock(&lock);
	hangs = waiting > 0;
	if (hangs && deadline_ns > fake_now_ns())
		fake_advance((uint64_t)(deadline_ns - fake_now_ns()));
	pthread_mutex_unlock(&lock);
	return hangs ? ETIMEDOUT : 0;
}

unsigned fake_waiting(void)
{
	GUARD;
	return waiting;
}

void fake_occupied(unsigned guest, bool occupied)
{
	GUARD;
	host.guest[guest].occupied = occupied;
}

int fake_period(unsigned guest)
{
	GUARD;
	return host.guest[guest].period;
}

bool fake_readonly(void)
{
	GUARD;
	return (host.conn && host.conn->readonly);
}

void fake_metadata(unsigned guest, const char *xml)
{
	GUARD;
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	host.guest[guest].metadata = xml;
	if (host.callback[3] && !host.deaf)
		((virConnectDomainEventMetadataChangeCallback)(void (*)(void))host.callback[3])(
			host.conn, &dom, VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI,
			host.opaque[3]);
}

void fake_rename(unsigned guest, const char *name)
{
	GUARD;
	host.guest[guest].renamed = name;
}

void fake_device(unsigned guest, const char *xml, bool added)
{
	GUARD;
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };
	int slot = added ? 4 : 5;

	host.guest[guest].definition = xml;
	if (host.callback[slot] && !host.deaf)
		((virConnectDomainEventDeviceAddedCallback)(void (*)(void))host.callback[slot])(
			host.conn, &dom, "device0", host.opaque[slot]);
}

void fake_hard_limit(unsigned guest, uint64_t kib)
{
	GUARD;
	host.guest[guest].limit_kib = kib;
}

void fake_backup(unsigned guest, bool on)
{
	GUARD;
	host.guest[guest].backup = on;
}

void fake_quota(unsigned guest, double quota)
{
	GUARD;
	host.guest[guest].quota = quota;
}

void fake_nodes(unsigned guest, const char *list)
{
	GUARD;
	snprintf(host.guest[guest].nodes, sizeof(host.guest[guest].nodes), "%s", list);
}

void fake_memory_mode(unsigned guest, int mode)
{
	GUARD;
	host.guest[guest].memory_mode = mode;
}

void fake_definition(unsigned guest, const char *xml)
{
	GUARD;
	host.guest[guest].definition = xml;
}

void fake_busy(unsigned guest, bool busy)
{
	GUARD;
	host.guest[guest].busy = busy;
}

void fake_refuse(unsigned guest, int code)
{
	GUARD;
	host.guest[guest].refuses = code;
}

void fake_stays(unsigned guest, bool stays)
{
	GUARD;
	host.guest[guest].stays = stays;
}

void fake_state(unsigned guest, int state)
{
	GUARD;
	host.guest[guest].state = state;
}

void fake_reboot(unsigned guest)
{
	GUARD;
	struct _virDomain dom = { .guest = guest, .id = host.guest[guest].id, .refs = 1 };

	if (host.callback[1])
		((virConnectDomainEventGenericCallback)host.callback[1])(host.conn, &dom,
									 host.opaque[1]);
}

void fake_rewind(unsigned guest)
{
	GUARD;
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
	GUARD;
	host.guest[guest].quota_all = quota;
}

void fake_remote(bool remote)
{
	GUARD;
	host.remote = remote;
}

unsigned fake_capabilities_asked(void)
{
	GUARD;
	return host.capabilities_asked;
}

void fake_isolated(uint64_t mask)
{
	GUARD;
	host.isolated = mask;
}

uint64_t fake_isolated_now(void)
{
	GUARD;
	return host.isolated;
}

void fake_proc_fails(bool fails)
{
	GUARD;
	host.proc_fails = fails;
}

bool fake_proc_fails_now(void)
{
	GUARD;
	return host.proc_fails;
}

void fake_proc_back(uint64_t ns)
{
	GUARD;
	host.proc_back_ns = ns;
}

uint64_t fake_proc_back_now(void)
{
	GUARD;
	return host.proc_back_ns;
}

void fake_node_fails(bool fails)
{
	GUARD;
	host.node_fails = fails;
}

unsigned fake_opens(void)
{
	GUARD;
	return host.opens;
}

void fake_pcpu(unsigned cpu, bool online)
{
	GUARD;
	host.online &= ~((uint64_t)1 << cpu);
	host.online |= (uint64_t)online << cpu;
	plant_online(host.cpus, cpu, online);
}

void fake_advance(uint64_t ns)
{
	GUARD;
	plant_advance(host.cpus, ns);
	plant_mem_advance(host.mem, (int64_t)ns);
}

unsigned fake_calls(void)
{
	GUARD;
	return host.calls;
}

unsigned fake_pins(void)
{
	GUARD;
	return host.pins;
}

bool fake_adrift(unsigned guest)
{
	GUARD;
	for (unsigned k = 0; k < host.guest[guest].nvcpus; k++)
		if (host.guest[guest].adrift[k])
			return true;
	return false;
}

unsigned fake_refused(void)
{
	GUARD;
	return host.refused;
}

unsigned fake_balloons(void)
{
	GUARD;
	return host.balloons;
}

int fake_refs(void)
{
	GUARD;
	return host.refs;
}

unsigned fake_offences(void)
{
	GUARD;
	return host.offences;
}

void fake_fail_at(unsigned k, int code)
{
	GUARD;
	host.fail_at = k ? host.calls + k : 0;
	host.fail_code = code;
}

void fake_deaf(bool deaf)
{
	GUARD;
	host.deaf = deaf;
}

void fake_dead(bool dead)
{
	GUARD;
	host.dead = dead;
	host.broken |= dead && host.open;
}

void fake_die_at(unsigned k)
{
	GUARD;
	host.die_at = k ? host.calls + k : 0;
}

void fake_questions_fail(bool masks, bool definitions)
{
	GUARD;
	host.no_masks = masks;
	host.no_definitions = definitions;
}

void fake_slow(uint64_t ns)
{
	GUARD;
	host.slow_ns = ns;
}

/* ---- errors ---- */

static int fail(int code)
{
	last_code = code;
	last_system = 0;
	return -1;
}

static int fail_system(int error)
{
	fail(VIR_ERR_SYSTEM_ERROR);
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
static int called(void)
{
	host.calls++;
	last_code = VIR_ERR_OK;
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
	host.offences += open > waiting; /* the last one was not closed */
	host.broken = false;
	if (called() < 0)
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
	if (called() < 0)
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
	return called();
}

/* ---- the node ---- */

int virNodeGetCPUMap(virConnectPtr conn, unsigned char **map, unsigned *online, unsigned flags)
{
	GUARD;
	(void)conn;
	(void)online;
	(void)flags;
	if (called() < 0)
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
	GUARD;
	(void)conn;
	host.capabilities_asked++;
	if (called() < 0)
		return NULL;
	return strdup(fake_capabilities_now());
}

/* ---- domains ---- */

static struct fake_domain *alive(virDomainPtr dom)
{
	struct fake_domain *d = &host.guest[dom->guest];

	return d->running && d->id == dom->id ? d : NULL;
}

int virDomainGetUUID(virDomainPtr dom, unsigned char *uuid)
{
	GUARD;
	memcpy(uuid, host.guest[dom->guest].uuid, UUID_LEN);
	return 0;
}

const char *virDomainGetName(virDomainPtr dom)
{
	GUARD;
	return host.guest[dom->guest].renamed ? host.guest[dom->guest].renamed
					      : host.guest[dom->guest].name;
}

unsigned virDomainGetID(virDomainPtr dom)
{
	GUARD;
	return dom->id;
}

int virDomainRef(virDomainPtr dom)
{
	GUARD;
	dom->refs++;
	host.refs++;
	return 0;
}

int virDomainFree(virDomainPtr dom)
{
	GUARD;
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
		if (host.no_delay)
			continue;
		snprintf(field, sizeof(field), "vcpu.%u.delay", k);
		add_u64(r, field, plant_delay_ns(host.cpus, d->task[k]));
	}
}

static void add_balloon(virDomainStatsRecordPtr r, const struct fake_domain *d, bool asked)
{
	struct plant_mem_stats s;

	if (d->mem == SIZE_MAX)
		return;
	plant_mem_stats(host.mem, d->mem, &s);
	add_u64(r, "balloon.current", s.actual_kib);
	add_u64(r, "balloon.maximum", d->max_kib);
	if (!asked) /* the rest is the monitor's to tell */
		return;
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

static virDomainStatsRecordPtr record(unsigned guest, unsigned stats, bool asked)
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
		add_balloon(r, d, asked);
	if (host.odd)
		add_odd(r);
	return r;
}

/* A call that asks a guest's monitor, or waits for the job of one that does. */
static void monitor_wait(unsigned guest)
{
	struct fake_domain *d = &host.guest[guest];

	if (!d->hung)
		return;
	if (d->held++ == 0)
		d->held_ns = fake_now_ns();
	waiting++;
	while (d->hung)
		pthread_cond_wait(&released, &lock);
	waiting--;
	d->held--;
}

/* With NOWAIT a guest whose job somebody else has is left out; else its monitor is asked. */
static virDomainStatsRecordPtr record_asked(unsigned guest, unsigned stats)
{
	if (host.guest[guest].held)
		return record(guest, stats, false);
	monitor_wait(guest);
	return record(guest, stats, true);
}

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned stats,
				virDomainStatsRecordPtr **out, unsigned flags)
{
	GUARD;
	unsigned all = host.nguests; /* more may start while one hangs */
	int n = 0;

	(void)conn;
	if (!(flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT))
		host.offences++;
	if (called() < 0)
		return -1;
	*out = calloc(all + 1, sizeof(**out));
	for (unsigned k = 0; k < all; k++) {
		unsigned i = host.reverse ? all - 1 - k : k;

		if (host.guest[i].running)
			(*out)[n++] = record_asked(i, stats);
	}
	return n;
}

int virDomainListGetStats(virDomainPtr *doms, unsigned stats, virDomainStatsRecordPtr **out,
			  unsigned flags)
{
	GUARD;
	int n = 0;

	if (!(flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) || !doms[0])
		host.offences++;
	if (called() < 0)
		return -1;
	*out = calloc(host.nguests + 1, sizeof(**out));
	for (; *doms; doms++)
		if (alive(*doms))
			(*out)[n++] = record_asked((*doms)->guest, stats);
	return n;
}

int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **doms, unsigned flags)
{
	GUARD;
	int n = 0;

	(void)conn;
	host.offences += flags != VIR_CONNECT_LIST_DOMAINS_ACTIVE;
	if (called() < 0)
		return -1;
	*doms = calloc(host.nguests + 1, sizeof(**doms));
	for (unsigned i = 0; i < host.nguests; i++) {
		if (!host.guest[i].running)
			continue;
		(*doms)[n] = calloc(1, sizeof(struct _virDomain));
		(*doms)[n]->guest = i;
		(*doms)[n]->id = host.guest[i].id;
		virDomainRef((*doms)[n++]);
	}
	return n;
}

int virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info)
{
	GUARD;
	struct fake_domain *d = alive(dom);
	struct plant_mem_stats s;

	if (called() < 0)
		return -1;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	info->state = (unsigned char)d->state;
	if (d->mem == SIZE_MAX)
		return 0;
	plant_mem_stats(host.mem, d->mem, &s);
	info->memory = s.actual_kib;
	info->maxMem = d->max_kib;
	return 0;
}

void virDomainStatsRecordListFree(virDomainStatsRecordPtr *records)
{
	GUARD;
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
	GUARD;
	struct fake_domain *d = &host.guest[dom->guest];

	if (called() < 0)
		return -1;
	if (host.no_masks)
		return fail(VIR_ERR_INTERNAL_ERROR);
	if (flags & VIR_DOMAIN_AFFECT_CONFIG ? !d->allowed : !alive(dom))
		return fail(VIR_ERR_OPERATION_INVALID);
	for (int k = 0; k < n && k < (int)d->nvcpus; k++)
		mask_to_map(flags & VIR_DOMAIN_AFFECT_CONFIG ? d->allowed : d->mask[k],
			    VIR_GET_CPUMAP(maps, maplen, k), maplen);
	return n < (int)d->nvcpus ? n : (int)d->nvcpus;
}

/* What may not change: a read-only connection, or a guest that has ended, is busy, refuses. */
static int unchangeable(const struct fake_domain *d, unsigned flags)
{
	host.offences += (host.conn && host.conn->readonly) || flags != VIR_DOMAIN_AFFECT_LIVE;
	if ((host.conn && host.conn->readonly))
		return VIR_ERR_OPERATION_DENIED;
	if (!d)
		return VIR_ERR_OPERATION_INVALID;
	return d->busy ? VIR_ERR_OPERATION_TIMEOUT : d->refuses;
}

/* The kernel's word on a mask; 0: it takes it. */
static int mask_refused(unsigned guest, unsigned vcpu, uint64_t mask)
{
	struct fake_domain *d = &host.guest[guest];

	if (!d->cpuset || !(mask & ~d->cpuset))
		return 0;
	if (d->v1)
		return EACCES;
	if (mask & d->cpuset)
		return 0;
	d->adrift[vcpu] = true;
	run_within(guest, vcpu, mask);
	return EINVAL;
}

int virDomainPinVcpuFlags(virDomainPtr dom, unsigned vcpu, unsigned char *map, int maplen,
			  unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);
	bool empty = true;
	uint64_t mask = 0;

	if (called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fail(unchangeable(d, flags));
	d->hung |= d->hang == HANG_IN_PIN;
	monitor_wait(dom->guest);
	for (int i = 0; i < maplen * 8; i++) {
		empty &= !VIR_CPU_USED(map, i);
		if (i < 64 && VIR_CPU_USED(map, i))
			mask |= (uint64_t)1 << i;
	}
	if (empty || vcpu >= d->nvcpus || !(mask & host.online) ||
	    (mask == d->mask[vcpu] && !d->adrift[vcpu]) || (mask & ~host.online) ||
	    (d->allowed && (mask & ~d->allowed)))
		host.offences++;
	if (empty || vcpu >= d->nvcpus)
		return fail(VIR_ERR_INVALID_ARG);
	if (!(mask & host.online) || d->stays) /* the kernel's word */
		return fail(VIR_ERR_SYSTEM_ERROR);
	host.refused += mask_refused(dom->guest, vcpu, mask) != 0;
	if (mask_refused(dom->guest, vcpu, mask))
		return fail_system(mask_refused(dom->guest, vcpu, mask));
	host.pins++;
	pin(dom->guest, vcpu, mask);
	event_pinned(dom->guest, vcpu);
	return 0;
}

int virDomainGetControlInfo(virDomainPtr dom, virDomainControlInfoPtr info, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(info, 0, sizeof(*info));
	/* OK also where it is busy: so it is between the steps of a migration */
	info->state =
		d->occupied || d->held ? VIR_DOMAIN_CONTROL_OCCUPIED : VIR_DOMAIN_CONTROL_OK;
	if (d->held)
		info->stateTime = (unsigned long long)(fake_now_ns() - d->held_ns) / 1000000;
	return 0;
}

char *virDomainBackupGetXMLDesc(virDomainPtr dom, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return NULL;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID), NULL;
	if (!d->backup)
		return fail(VIR_ERR_NO_DOMAIN_BACKUP), NULL;
	return strdup("<domainbackup mode='pull'/>");
}

int virDomainGetJobInfo(virDomainPtr dom, virDomainJobInfoPtr info)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	if (called() < 0)
		return -1;
	if (!d)
		return fail(VIR_ERR_OPERATION_INVALID);
	monitor_wait(dom->guest);
	memset(info, 0, sizeof(*info));
	info->type = d->busy || d->backup ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE;
	return 0;
}

char *virDomainGetXMLDesc(virDomainPtr dom, unsigned flags)
{
	GUARD;
	(void)flags;
	if (called() < 0)
		return NULL;
	if (!alive(dom) && !host.guest[dom->guest].allowed)
		return fail(VIR_ERR_NO_DOMAIN), NULL;
	if (host.guest[dom->guest].definition)
		return strdup(host.guest[dom->guest].definition);
	return strdup("<domain/>");
}

int virDomainSetMemoryStatsPeriod(virDomainPtr dom, int period, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	host.offences += (host.conn && host.conn->readonly);
	if ((host.conn && host.conn->readonly) || !d)
		return fail(d ? VIR_ERR_OPERATION_DENIED : VIR_ERR_OPERATION_INVALID);
	if (d->refuses)
		return fail(d->refuses);
	monitor_wait(dom->guest);
	d->period = period;
	return 0;
}

int virDomainSetMemoryFlags(virDomainPtr dom, unsigned long kib, unsigned flags)
{
	GUARD;
	struct fake_domain *d = alive(dom);

	if (called() < 0)
		return -1;
	if (unchangeable(d, flags))
		return fail(unchangeable(d, flags));
	if (kib > d->max_kib)
		return fail(VIR_ERR_INVALID_ARG);
	d->hung |= d->hang == HANG_IN_MEMORY;
	monitor_wait(dom->guest);
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
	GUARD;
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

int virDomainGetMemoryParameters(virDomainPtr dom, virTypedParameterPtr params, int *n,
				 unsigned flags)
{
	static const char *const field[] = { VIR_DOMAIN_MEMORY_HARD_LIMIT,
					     VIR_DOMAIN_MEMORY_SOFT_LIMIT,
					     VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT };
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d || *n < 3)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(params, 0, 3 * sizeof(*params));
	for (*n = 0; *n < 3; ++*n) {
		strcpy(params[*n].field, field[*n]);
		params[*n].type = VIR_TYPED_PARAM_ULLONG;
		params[*n].value.ul = VIR_DOMAIN_MEMORY_PARAM_UNLIMITED;
	}
	if (d->limit_kib)
		params[0].value.ul = d->limit_kib;
	return 0;
}

char *virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned flags)
{
	GUARD;
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
	GUARD;
	struct fake_domain *d = alive(dom);

	(void)flags;
	if (called() < 0)
		return -1;
	if (!d || *n < 2)
		return fail(VIR_ERR_OPERATION_INVALID);
	memset(params, 0, 2 * sizeof(*params));
	strcpy(params[0].field, VIR_DOMAIN_NUMA_MODE);
	params[0].type = VIR_TYPED_PARAM_INT;
	params[0].value.i = d->memory_mode;
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
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.i;
	return p != NULL;
}

int virTypedParamsGetLLong(virTypedParameterPtr params, int n, const char *name,
			   long long *value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.l;
	return p != NULL;
}

int virTypedParamsGetULLong(virTypedParameterPtr params, int n, const char *name,
			    unsigned long long *value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.ul;
	return p != NULL;
}

int virTypedParamsGetString(virTypedParameterPtr params, int n, const char *name,
			    const char **value)
{
	GUARD;
	virTypedParameterPtr p = param_find(params, n, name);

	if (p)
		*value = p->value.s;
	return p != NULL;
}

void virTypedParamsClear(virTypedParameterPtr params, int n)
{
	GUARD;
	for (int i = 0; i < n; i++)
		if (params[i].type == VIR_TYPED_PARAM_STRING)
			free(params[i].value.s);
}
