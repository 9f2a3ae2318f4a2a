/*
 * fake.h - a libvirt that answers from a simulated host.
 *
 * Tests link host/ and policy/ unchanged with libvirt.c and proc.c of this directory in place
 * of libvirt and of host/proc.c.  There is one simulated host at a time; its time moves only
 * by fake_advance().  Calls are counted, and any of them can be made to fail.
 */
#ifndef FAKE_H
#define FAKE_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

#include "tests/fake/plant_cpu.h"
#include "tests/fake/plant_mem.h"

#define FAKE_VCPUS  16
#define FAKE_GUESTS 1024

/* A new, empty host; whatever was there before is gone. */
void fake_host(unsigned ncpus, uint64_t total_kib, uint64_t seed);
void fake_end(void);
/* Another host, also empty, takes its place while nobody is connected; the clock goes on. */
void fake_next_host(unsigned ncpus, uint64_t total_kib, uint64_t seed);

struct plant *fake_cpus(void);
struct plant_mem *fake_mem(void);

/* Starts a guest, unpinned; returns its index.  Names are "guest-<index>". */
unsigned fake_guest(unsigned nvcpus, const struct plant_load *load,
		    const struct plant_mem_guest *mem);
void fake_reverse(bool reverse); /* list guests from the last to the first */
void fake_stop_guest(unsigned guest);
void fake_restart_guest(unsigned guest);           /* same UUID, new id, counters from 0 */
unsigned fake_task(unsigned guest, unsigned vcpu); /* its task in the CPU plant */
void fake_mask(unsigned guest, unsigned vcpu,
	       uint64_t mask); /* somebody else's pin: an event */
uint64_t fake_mask_of(unsigned guest, unsigned vcpu);
const unsigned char *fake_uuid(unsigned guest);
void fake_allowed(unsigned guest,
		  uint64_t mask);  /* of the persistent definition; 0: transient */
void fake_defined(unsigned guest); /* the event of a new definition */
void fake_pcpu(unsigned cpu, bool online);
void fake_capabilities(const char *xml);           /* kept, not copied; before the connection */
unsigned fake_capabilities_asked(void);            /* calls so far */
void fake_occupied(unsigned guest, bool occupied); /* by another client's query */
int fake_period(unsigned guest);                   /* of its balloon statistics, s */
bool fake_readonly(void);                          /* the connection is */
void fake_metadata(unsigned guest, const char *xml);   /* kept, not copied; an event */
void fake_rename(unsigned guest, const char *name);    /* kept, not copied; of any length */
/* One is plugged or unplugged, an event; the live XML is this from then on. */
void fake_device(unsigned guest, const char *xml, bool added);
void fake_deaf(bool deaf);                             /* no events come any more */
void fake_merged(uint64_t kib);                        /* by KSM */
void fake_zfs(uint64_t kib);                           /* cached beyond its minimum */
void fake_quota(unsigned guest, double cpus);          /* per vCPU; 0: none */
void fake_hard_limit(unsigned guest, uint64_t kib);    /* 0: none */
/*
 * Beside what its balloon takes it has so much in other memory devices, and so much of virtio-mem
 * is plugged, which the guest uses: libvirt counts the first in balloon.maximum, the second in
 * balloon.current, and neither in a command (9.0).
 */
void fake_devices(unsigned guest, const char *xml, uint64_t other_kib, uint64_t plugged_kib);
void fake_backup(unsigned guest, bool on);             /* a job that excludes no change */
void fake_nodes(unsigned guest, const char *list);     /* memory nodes, strict unless: */
void fake_memory_mode(unsigned guest, int mode);       /* a virDomainNumatuneMemMode */
void fake_definition(unsigned guest, const char *xml); /* its live XML; kept, not copied */

/*
 * A guest's QEMU hangs: calls that ask its monitor, or wait for the job of one that does,
 * return when it is released (HANG_NOT), and are carried out then.
 */
enum fake_hang {
	HANG_NOT,
	HANG_NOW,
	HANG_ELSEWHERE, /* the same, and another client's call waits for it already */
	HANG_IN_MEMORY, /* with the next virDomainSetMemoryFlags */
	HANG_IN_PIN,    /* ... virDomainPinVcpuFlags */
};
void fake_hang(unsigned guest, enum fake_hang hang);
unsigned fake_waiting(void); /* calls that wait so */

void fake_busy(unsigned guest, bool busy);   /* a job holds it */
void fake_refuse(unsigned guest, int code);  /* commands to it fail with this; 0: they do not */
void fake_stays(unsigned guest, bool stays); /* pins of it fail, other commands do not */
void fake_state(unsigned guest, int state);  /* a virDomainState */
void fake_reboot(unsigned guest);            /* it reset itself: an event, the process stays */
void fake_rewind(unsigned guest); /* its vCPUs' counters start anew, and nothing tells */
void fake_quota_all(unsigned guest, double cpus); /* of all its threads together; 0: none */
void fake_remote(bool remote);                    /* before the connection: not this machine */
void fake_isolated(uint64_t mask);                /* pCPUs that the kernel leaves alone */

/*
 * The pCPUs that a guest's cgroup leaves it.  v1 refuses a mask with another; v2 takes what is
 * inside, and of a mask that is all outside only libvirt's part was done when it is refused.
 */
void fake_cpuset(unsigned guest, uint64_t allowed, bool v1);

void fake_cgroups(const char *dir); /* kept, not copied */
void fake_no_delay(bool);           /* libvirt does not tell of it, as before 7.2 */
#define FAKE_NO_PROC "/nonexistent"
void fake_proc_root(const char *dir); /* has PID/cmdline and the like; kept, not copied */
void fake_capacity(unsigned cpu, double capacity); /* of the strongest; first they are equal */

void fake_boot(const char *id); /* the kernel's boot id; kept, not copied */

void fake_advance(uint64_t ns);

/* Calls into libvirt that a real client would send to the daemon. */
unsigned fake_calls(void);
unsigned fake_pins(void);         /* virDomainPinVcpuFlags that succeeded */
bool fake_adrift(unsigned guest); /* one of its vCPUs runs where its mask does not say */
unsigned fake_refused(void);      /* such that the kernel refused for their pCPUs */
unsigned fake_balloons(void);     /* virDomainSetMemoryFlags that succeeded */
int fake_refs(void);              /* domain references that nobody has freed yet */

/* The k-th call from now, counted from 1, fails with this code; 0: none. */
void fake_fail_at(unsigned k, int code);
void fake_dead(bool dead);    /* every call fails; a connection that saw it never heals */
void fake_die_at(unsigned k); /* the connection dies with the k-th call from now; 0: not */
void fake_questions_fail(bool masks, bool definitions); /* of any guest */
void fake_slow(uint64_t ns);                            /* each call takes so long */
unsigned fake_opens(void);                              /* connections opened */
void fake_proc_fails(bool);                             /* the local /proc cannot be read */
void fake_proc_back(uint64_t ns); /* its pCPUs have been busy for so much less */
void fake_odd(bool);              /* figures with names and types that nobody knows, too */
void fake_node_fails(bool);       /* the node's figures cannot be had from libvirt */

/* What is written to stderr from now on; how often text was, and the end of listening. */
void fake_listen(void);
unsigned fake_heard(const char *text);
void fake_deafen(void);

/*
 * Allocations by host/ and, after fake_xml(), by libxml2: their number; the k-th from now,
 * counted from 1, and with all those after it, finds no memory; 0: none.
 */
unsigned fake_allocations(void);
void fake_starve_at(unsigned k, bool all_after);
void fake_xml(void);

/* For libvirt.c: see process.c. */
void fake_processes(void);
void fake_processes_end(void);
void fake_process(unsigned guest, const unsigned char *uuid);

/* For proc.c. */
int fake_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);
int64_t fake_now_ns(void);
uint64_t fake_isolated_now(void);
uint64_t fake_online_now(void);
const char *fake_capabilities_now(void);
bool fake_flat_now(void); /* no capabilities were given: of its shape nothing is known */
double fake_capacity_now(unsigned cpu);
bool fake_proc_fails_now(void);
uint64_t fake_proc_back_now(void);

/* A mask that the host would not accept, or a pin that changed nothing, was asked for. */
unsigned fake_offences(void);

#endif
