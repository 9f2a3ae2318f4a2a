/*
 * sample.h - what is read of guests and of the host in one tick, as counters and figures
 */
#ifndef POLICY_SAMPLE_H
#define POLICY_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cpuset.h"
#include "lib/uuid.h"

#define GUEST_NAME_LEN 64 /* bytes with the NUL: a longer name is cut, for logs only */

/*
 * What a guest's owner asks for, as attributes in its domain's metadata: name, how it is
 * written (a reader of host/metadata.c), the field and its type.  An attribute more is a row
 * more.
 */
/* clang-format off */
#define GUEST_ATTRIBUTES(ROW) \
	ROW(min, size, uint64_t, min_kib) \
	ROW(max, size_above_0, uint64_t, max_kib) \
	ROW(startup, size, uint64_t, startup_kib) \
	ROW(weight, weight, double, weight) /* of its memory needs beside others' */ \
	ROW(cpu, off, bool, cpu_off) /* leave it alone */ \
	ROW(mem, off, bool, mem_off)
/* clang-format on */
#define GUEST_ATTRIBUTE_FIELD(name, reader, type, field) type field;

/* All zero: nothing was told. */
struct guest_policy {
	GUEST_ATTRIBUTES(GUEST_ATTRIBUTE_FIELD)
};

/* Of one that may have been told to be left alone, and cannot be read. */
#define GUEST_LEFT_ALONE ((struct guest_policy){ .cpu_off = true, .mem_off = true })

/* Where a vCPU's memory is.  All zero: nothing is known. */
struct vcpu_memory {
	uint64_t nodes;   /* NUMA nodes that its policy names, a bit each; 0: none */
	bool interleaved; /* over all of them alike: none is nearer than another */
	int cell; /* the guest's own NUMA cell that it is in; the same for all without any */
};

#define NODE_ANY UINT64_MAX /* a set of NUMA nodes: all, and what has no node */

/* Of each pCPU. */
struct topology {
	int core[PCPU_MAX]; /* a number that those of the same core, cache, node share; */
	int cache[PCPU_MAX], node[PCPU_MAX]; /* -1: unknown */
	double capacity[PCPU_MAX];           /* what it can do, of the strongest; unknown: 1 */
};

/* A pCPU's counters since boot.  Both 0: it is not online. */
struct cpu_time {
	uint64_t busy_ns, idle_ns;
	uint64_t irq_ns; /* the part of busy_ns that was interrupts */
};

/* One vCPU's counters, as sampled. */
struct vcpu_count {
	unsigned char uuid[UUID_LEN];
	unsigned number;
	unsigned run;     /* libvirt's id of this run of the guest */
	unsigned name;    /* index into vcpu_sample's names */
	uint64_t boot_id; /* changes when the guest restarts: its counters begin anew */
	uint64_t run_ns;
	uint64_t wait_ns; /* waited for a pCPU; UINT64_MAX: nobody tells */
	unsigned mask;    /* indices into vcpu_sample's sets: what it has, */
	unsigned allowed; /* what it may have by its definition, its cgroup, past refusals */
	double quota;     /* CPUs its domain's quota leaves it; 0: no limit */
	struct vcpu_memory memory;
	struct guest_policy policy;
	bool transient; /* no definition of its domain tells where it may run */
	bool held;      /* its domain refused a pin lately: leave it where it is */
};

/* Everything one tick of the CPU loop reads.  All zero before the first call. */
struct vcpu_sample {
	int64_t taken_ns;
	unsigned epoch; /* changes with each new connection */
	struct cpuset online;
	struct cpuset isolated; /* the kernel schedules nothing there by itself */
	struct cpuset open;     /* some managed guest may have these, as far as is known */
	struct topology topology;
	unsigned npcpus;         /* the highest online pCPU, plus one */
	struct cpu_time *pcpu;   /* npcpus of them */
	struct vcpu_count *vcpu; /* managed ones, by UUID, then number */
	size_t n;
	char (*name)[GUEST_NAME_LEN];
	struct cpuset *set; /* distinct masks and allowed pCPUs */
	size_t nsets;
	size_t pcpu_cap, vcpu_cap, name_cap, set_cap; /* allocated, virt_read.c's own */
};

struct mem_host {
	uint64_t total_kib;     /* 0: unknown: nothing may be decided */
	uint64_t available_kib; /* MemAvailable or its like; 0: unknown */
	uint64_t slow_kib;      /* beside it, but not at once: what ZFS caches */
	uint64_t merged_kib;    /* of guests' pages, what writes to them would take: KSM */
	double pressure;        /* PSI memory "some" avg10, percent; < 0: unknown */
};

#define KIB_UNKNOWN UINT64_MAX /* a figure the guest or the host did not report */

enum guest_state {
	GUEST_RUNNING,
	GUEST_PAUSED,    /* not executing: neither stats nor balloon move */
	GUEST_BUSY,      /* migrating, being saved, or a job holds it: no commands */
	GUEST_HUNG,      /* its QEMU does not answer: no commands; these figures are its last */
	GUEST_UNMANAGED, /* not ours to command (--guests), but its memory counts */
};

/* What a guest's memory is, by its definition.  All zero: RAM that its balloon can take. */
struct memory_kind {
	bool locked;        /* known not to give pages back: VFIO, SEV, mlock */
	uint64_t huge_kib;  /* of its RAM set aside: hugepages, in no RSS, never given back */
	uint64_t dimm_kib;  /* of its RAM in DIMMs, which its kernel brings online, or not */
	uint64_t other_kib; /* of its maximum in devices that no balloon counts */
	uint64_t virtio_mem_kib; /* what it has of virtio-mem, beside what its balloon counts */
	bool virtio_mem;         /* it has such a device */
};

/* What was read of a guest's memory in one tick. */
struct guest_figures {
	enum guest_state state;
	struct guest_policy policy; /* what its owner asked for */
	struct memory_kind kind;
	bool unproven;          /* of what kind nobody could tell: its RSS has to show it */
	uint64_t offline_kib;   /* of its DIMMs, never brought online: in no figure here */
	uint64_t limit_kib;     /* its QEMU may hold no more than this; 0: no such limit */
	uint64_t max_kib;       /* the balloon's range ends here */
	uint64_t actual_kib;    /* what it has now */
	uint64_t usable_kib;    /* what it could use without swapping; or KIB_UNKNOWN */
	uint64_t unused_kib;    /* free, caches not counted; or KIB_UNKNOWN */
	uint64_t caches_kib;    /* disk caches; or KIB_UNKNOWN */
	uint64_t managed_kib;   /* RAM its kernel manages (MemTotal); or KIB_UNKNOWN */
	uint64_t swap_out_kib;  /* counter since boot; or KIB_UNKNOWN */
	uint64_t rss_kib;       /* host memory its QEMU process holds; 0: unknown */
	uint64_t last_update_s; /* the stamp of its stats; compared only for change */
	uint64_t boot_id;       /* changes when it restarts or resets */
};

/* One guest, as sampled. */
struct guest_count {
	unsigned char uuid[UUID_LEN];
	const char *name; /* one of the sample's */
	struct guest_figures now;
};

/* Everything one tick of the memory loop reads.  All zero before the first call. */
struct guest_sample {
	int64_t taken_ns;
	unsigned epoch;            /* changes with each new connection */
	struct mem_host host;      /* total and available 0 where they could not be read */
	struct guest_count *guest; /* by UUID */
	size_t n;
	char (*name)[GUEST_NAME_LEN];
	size_t guest_cap, name_cap; /* allocated, virt_read.c's own */
};

#endif
