/*
 * setup.c - the simulated host as the test sets it up, and what it asks of it afterwards.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/metadata.h"
#include "tests/fake/simulated.h"

struct fake_host host;

pthread_mutex_t fake_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
pthread_cond_t fake_released = PTHREAD_COND_INITIALIZER;
unsigned fake_waiters;

pthread_mutex_t *guard_take(void)
{
	pthread_mutex_lock(&fake_lock);
	return &fake_lock;
}

void guard_drop(pthread_mutex_t **taken)
{
	pthread_mutex_unlock(*taken);
}

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
void fake_run_within(unsigned guest, unsigned vcpu, uint64_t mask)
{
	struct fake_domain *d = &host.guest[guest];
	struct cpuset s;

	if (d->cpuset)
		mask = mask & d->cpuset ? mask & d->cpuset : d->cpuset;
	s = set_of(mask);
	plant_set_mask(host.cpus, d->task[vcpu], &s);
}

void fake_pin(unsigned guest, unsigned vcpu, uint64_t mask)
{
	host.guest[guest].mask[vcpu] = mask;
	host.guest[guest].adrift[vcpu] = false;
	fake_run_within(guest, vcpu, mask);
}

void fake_cpuset(unsigned guest, uint64_t allowed, bool v1)
{
	GUARD;
	struct fake_domain *d = &host.guest[guest];

	d->cpuset = allowed;
	d->v1 = v1;
	for (unsigned k = 0; k < d->nvcpus; k++)
		fake_run_within(guest, k, d->mask[k]);
}

/* What the daemon tells every client when a mask changes. */
void fake_event_pinned(unsigned guest, unsigned vcpu)
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
	fake_pin(guest, vcpu, mask);
	fake_event_pinned(guest, vcpu);
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
	pthread_cond_broadcast(&fake_released);
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
	pthread_mutex_lock(&fake_lock);
	hangs = fake_waiters > 0;
	if (hangs && deadline_ns > fake_now_ns())
		fake_advance((uint64_t)(deadline_ns - fake_now_ns()));
	pthread_mutex_unlock(&fake_lock);
	return hangs ? ETIMEDOUT : 0;
}

unsigned fake_waiting(void)
{
	GUARD;
	return fake_waiters;
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

void fake_devices(unsigned guest, const char *xml, uint64_t other_kib, uint64_t plugged_kib)
{
	GUARD;
	host.guest[guest].definition = xml;
	host.guest[guest].other_kib = other_kib;
	host.guest[guest].plugged_kib = plugged_kib;
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
