/*
 * simulated.h - what the files of the simulated libvirt share: its state, and what both the
 * test's side and the API do to it.  Nobody else includes this.
 */
#ifndef TESTS_FAKE_SIMULATED_H
#define TESTS_FAKE_SIMULATED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "lib/cpuset.h"
#include "lib/uuid.h"
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
	uint64_t limit_kib;      /* of its cgroup; 0: none */
	uint64_t other_kib;      /* of memory devices that its balloon does not count ... */
	uint64_t plugged_kib;    /* ... and what is plugged of virtio-mem: see fake_devices() */
	bool backup;             /* is being made */
	double quota, quota_all; /* CPUs each vCPU, and all threads, may use; 0: no limit */
	const char *metadata;    /* NULL: none */
	char nodes[16];          /* memory nodes; empty: any */
	int memory_mode;
	const char *definition; /* NULL: an empty one */
	uint64_t cpuset;        /* the pCPUs that its cgroup leaves it; 0: all */
	bool v1;
	bool adrift[FAKE_VCPUS]; /* it does not run where its mask says */
};

struct fake_host {
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
};
extern struct fake_host host;

/* Threads that host/ leaves behind in a call are in here beside others: one at a time. */
extern pthread_mutex_t fake_lock; /* recursive */
pthread_mutex_t *guard_take(void);
void guard_drop(pthread_mutex_t **taken);
#define GUARD pthread_mutex_t *guard __attribute__((cleanup(guard_drop), unused)) = guard_take()

/* setup.c: a vCPU gets a mask, or runs where it may of one; and who listens hears of it. */
void fake_run_within(unsigned guest, unsigned vcpu, uint64_t mask);
void fake_pin(unsigned guest, unsigned vcpu, uint64_t mask);
void fake_event_pinned(unsigned guest, unsigned vcpu);
extern pthread_cond_t fake_released; /* with fake_lock: a guest that hung answers again */
extern unsigned fake_waiters;        /* threads, for a guest that hangs */

/* libvirt.c: counts a call, -1 when it is to fail; fails it, by libvirt's code or errno. */
int fake_called(void);
int fake_fail(int code);
int fake_fail_system(int error);

#endif
