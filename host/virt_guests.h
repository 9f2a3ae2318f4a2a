/*
 * virt_guests.h - what the files of the libvirt layer share.  Nobody else includes this, but
 * tests of the pure step.
 *
 * A tick goes through three steps, and none of them calls one before it, but that a pin reads
 * once more which pCPUs its guest may have:
 *
 *	virt_read.c	the tick: asks for the bulk reply, then takes the steps
 *	virt_learn.c	1. learn: what is new or changed, and not told by the reply
 *	virt_sample.c	2. sample: reply and table become a sample; pure, without a call
 *	virt_act.c	3. act: masks, memory, statistics
 *
 * Below them:
 *
 *	virt.c		the connection, its events, and what failed lately
 *	virt_call.c	calls that can have to wait for a guest, and guests that hang
 *	virt_table.c	the table of guests, kept in step with the replies and the events
 *	virt_host.c	the host's own figures
 *	virt_pcpu.c	which pCPUs a guest may have, and what its pins were refused for
 */
#ifndef HOST_VIRT_GUESTS_H
#define HOST_VIRT_GUESTS_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/metadata.h"
#include "host/options.h"
#include "host/qemu.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "policy/mem.h"
#include "policy/sample.h"

/*
 * Something that is asked or commanded: has it succeeded, and if not, when may it be tried
 * again?  All zero: it may be tried now.
 */
struct attempt {
	bool done;        /* it succeeded, and nothing has made that void since */
	bool said;        /* its failure is in the log */
	int64_t until_ns; /* not again before */
	int64_t delay_ns; /* how long that was after the last failure; 0: it did not fail */
};

/* A running domain: what was asked once and is kept until an event or a restart. */
struct domain {
	unsigned char uuid[UUID_LEN];
	virDomainPtr ref;
	const virDomainStatsRecord *record; /* of the reply that is being read; NULL: none */
	unsigned id;                        /* of this run of the domain */
	uint64_t boot_id;
	char name[GUEST_NAME_LEN];
	bool managed;                 /* --guests say so */
	int64_t hung_ns;              /* since when its QEMU has not answered; 0: it does */
	struct guest_figures figures; /* of its last sample, for as long as it hangs */

	struct attempt policy, masks, period, pid; /* questions, and what they told: */
	bool policy_read;             /* at least once: until then it is left alone */
	struct guest_policy wants;    /* what its metadata say of it */
	struct memory_kind kind;      /* of its memory */
	bool unproven;                /* see guest_figures */
	uint64_t limit_kib;           /* the same */
	uint64_t current_kib;         /* balloon.current when its virtio-mem was looked at */
	bool metadata_unread;     /* said in the log: it has metadata, and XML is not read */
	bool transient;           /* it has no persistent definition */
	double quota;             /* CPUs each of its vCPUs may use; 0: no limit */
	pid_t process;            /* in this run, by domain_pid(); 0: not known */
	struct cpuset cpuset;     /* the pCPUs that its cgroup leaves it; empty: any */
	bool cpuset_read;         /* in this run */
	unsigned npins;           /* entries of mask, allowed pCPUs and near */
	unsigned *mask, *allowed; /* per vCPU number: indices into the table's sets */
	struct vcpu_memory *near; /* per vCPU number: where its memory is */

	struct attempt job;    /* one holds it, or a call timed out: no command at all */
	struct attempt pins;   /* such a command */
	struct attempt memory; /* the same; how long to wait then is the policy's to say */
	struct cpuset refused; /* pCPUs that pins of it were refused for */
	unsigned waitless;     /* samples in a row without the run delay of a vCPU */
};

/* What is known of all guests. */
struct guest_table {
	struct domain *dom; /* by UUID */
	size_t ndom, dom_cap;
	struct cpuset *set; /* distinct masks */
	size_t nsets, set_cap;
	struct cpuset online; /* when the masks were learnt: unpinned ones tell just these */
	struct cpuset refused, refused_again; /* pCPUs: lately, to one guest; to two */
	struct cpuset accepted; /* some guest was pinned there, to that one alone */
};

#define EVENT_KINDS 6   /* that are registered for */
#define EVENTS_MAX  256 /* notes kept between two samples; beyond that every domain is asked */

enum event_kind {
	EVENT_TUNED, /* masks, the allowed pCPUs or the quota may have changed */
	EVENT_REBOOT,
	EVENT_POLICY, /* its metadata, or its devices, changed */
};

struct event {
	unsigned char uuid[UUID_LEN];
	enum event_kind kind;
};

/* Why a call failed: libvirt keeps that for each thread, and callers are others. */
struct failure {
	int code;   /* a virErrorNumber; 0: it did not */
	int system; /* errno, where the code is that of the system */
	char message[160];
};

/* A call that can have to wait for a guest's monitor, and what it told. */
struct call {
	int (*make)(struct call *c); /* < 0: it failed */
	virConnectPtr conn;          /* call_run() sets it */
	virDomainPtr dom;   /* whom it is about; NULL: those of list, or all that run */
	virDomainPtr *list; /* up to a NULL; the call's own */
	unsigned stats, vcpu;
	unsigned char map[VIR_CPU_MAPLEN(PCPU_MAX)];
	int maplen;
	uint64_t kib;
	int result;
	virDomainStatsRecordPtr *records;
	virDomainJobInfo job;
	struct failure failure;
};

enum caller_state {
	CALLER_NONE, /* its thread was not started */
	CALLER_IDLE,
	CALLER_BUSY, /* somebody waits for its call */
	CALLER_DONE, /* ... which has returned */
	CALLER_LEFT, /* nobody does any more */
};

/*
 * The threads that make such calls.  Each that is left with a guest that hangs also holds one
 * of the daemon's twenty, which are there for all its clients: three may be, beside one at
 * work.
 */
#define CALLERS_MAX 4
struct callers {
	/* Guards all of this; never held over a call.  A call belongs to its thread while that
	 * is busy or left, and to whoever holds virt's lock else. */
	pthread_mutex_t lock;
	pthread_cond_t news; /* a state has changed, or stop */
	struct caller {
		pthread_t thread;
		enum caller_state state;
		struct call call;
		struct callers *all;
		bool replaced; /* its connection was, by another for the loops; then that one's
				*/
		int callback[EVENT_KINDS]; /* event registrations */
	} caller[CALLERS_MAX];
	bool stop;
};

/*
 * Of the loops' threads at most one is ever inside libvirt, since it holds the lock: when
 * keepalive declares a connection dead, libvirt 9.0 wakes just one caller.  What can have to
 * wait for a guest is not called by them but for them, by callers; these touch nothing of this
 * but their own call, and take no other lock.  Locks are taken in the order lock, then
 * callers.lock or event_lock.
 */
struct virt {
	pthread_mutex_t lock; /* guards all of this but callers and what event_lock guards */
	struct callers callers;
	bool callers_busy;      /* said in the log: all are left with guests that hang */
	struct failure failure; /* of the last call that was made by a caller */
	int64_t asked_ns;       /* when the last bulk read that came back was begun */
	virConnectPtr conn;     /* NULL: not connected */
	const struct options *opt;
	bool local;          /* the host is this machine: /proc is its own */
	bool lost;           /* the connection is dead: virt_leave() closes it */
	struct attempt link; /* to connect, and to be told of guests then */
	struct attempt events, map, pcpus, memory, bulk; /* to register for or to read these */
	struct attempt vcpu_sample, guest_sample;        /* to find memory for one */
	struct attempt topology;
	bool topology_read; /* at least once */
	struct topology shape;
	bool delay_from_proc_said, delay_unknown_said; /* in the log: see virt_read.c */
	size_t stale_next;      /* the domain whose allowed pCPUs are read anew next */
	bool cpusets_changed;   /* one did: all are read anew */
	int ncpustats;          /* figures libvirt has of a pCPU; 0: not asked */
	int64_t learn_until_ns; /* what is not known of guests by then has to wait for a tick */
	unsigned epoch;
	uint64_t boots; /* runs of guests seen so far: each gets its own boot_id */
	struct guest_table table;
	struct qemus qemus; /* as of qemus_ns; 0: not looked for */
	int64_t qemus_ns;
	int64_t refused_until_ns; /* the pCPUs refused are forgotten then; 0: there are none */
	bool refused_news;        /* since the last sample */
	struct cpuset refused_said, closed_said; /* in the log */
	int maplen;                              /* bytes of a libvirt CPU map of this host */
	int callback[EVENT_KINDS];               /* event registrations; -1: none */
	int leaked; /* references that closed connections still had */

	/* Guards event[], nevents, refresh, stop; never held over a call. */
	pthread_mutex_t event_lock;
	struct event event[EVENTS_MAX];
	size_t nevents; /* above EVENTS_MAX: some were lost */
	bool refresh;   /* ask all domains anew */

	pthread_t event_thread; /* runs libvirt's event loop: keepalive needs it */
	int wake_timer;
	bool stop;
};

static inline bool virt_lost(const struct virt *v)
{
	return !v->conn || v->lost;
}

/* virt.c */
void virt_enter(struct virt *v); /* takes the lock */
void virt_leave(struct virt *v);
int virt_connected(struct virt *v);
/* Another connection for all but the call that waits on this one; callback: what is left of it.
 */
int virt_replace(struct virt *v, int *callback);
void virt_proven(struct virt *v);

bool attempt_due(const struct attempt *a);
/* It succeeded.  what: as its failure was said; NULL: its success is not. */
void attempt_done(struct attempt *a, const char *guest, const char *what);
/* It failed: the next waits for first_ns, then twice as long with each, up to most_ns. */
void attempt_failed(struct attempt *a, int64_t first_ns, int64_t most_ns);
/* Why the last call failed: says so once, or if it was the connection that failed, says that.
 */
void virt_check(struct virt *v, struct attempt *a, const char *guest, const char *what);
struct failure failure_now(void);                  /* of this thread's last call */
struct failure virt_failure(const struct virt *v); /* of the last call, whoever made it */
bool guest_is_gone(const struct virt *v);          /* so the last call failed: nobody's fault */

/* virt_call.c */
void callers_init(struct callers *all);
unsigned callers_left(struct callers *all); /* calls that wait for guests that hang */
int callers_end(struct callers *all);       /* -1: some wait still, and all stays as it is */
/*
 * Makes a call, for one guest or for many (NULL).  0: it returned, see c->result and
 * virt_failure().  -1: a guest hangs; it is known as such now, and the call may yet be carried
 * out.
 */
int call_run(struct virt *v, struct call *c, struct domain *d);
void hung_suspect(struct domain *d); /* its figures are missing: is that why? */
void hung_recheck(struct virt *v);   /* who answers again? */
unsigned hung_count(const struct virt *v);

/* virt_table.c */
void table_rebind(struct virt *v, virDomainPtr *list, int n); /* takes the references over */
struct domain *table_add(struct virt *v, virDomainPtr ref);   /* or finds it; NULL: no memory */
struct domain *domain_find(struct virt *v, const unsigned char *uuid);
/* Makes the table agree with a reply, whose records its domains then have; -1: no memory. */
int table_sync(struct virt *v, virDomainStatsRecordPtr *records, int n);
void table_reply_free(struct virt *v, virDomainStatsRecordPtr *records);
void table_detach(struct virt *v); /* the connection goes, the guests' identities stay */
void table_free(struct guest_table *t);
int table_intern(struct guest_table *t, const struct cpuset *s); /* its index; -1: no memory */
void masks_forget(struct virt *v); /* of all: they are learnt anew */

/* virt_host.c: the host's figures, for a sample; -1: logged once */
int virt_learn_topology(struct virt *v);
int online_read(struct virt *v, struct vcpu_sample *s);
int pcpus_reserve(struct vcpu_sample *s); /* room for as many as online_read() found */
int pcpus_read(struct virt *v, struct vcpu_sample *s);
void host_shape(const struct virt *v, struct vcpu_sample *s);
void host_memory(struct virt *v, struct mem_host *host);
int node_maplen(struct virt *v);
struct cpuset virt_map_to_set(const struct virt *v, const unsigned char *map);

/* virt_pcpu.c */
struct cpuset domain_pcpus(const struct guest_table *t,
			   const struct domain *d); /* that it may have */
bool mask_was_refused(
	const struct virt *v); /* so the last call failed: for its pCPUs, not for the guest */
int pin_call(struct virt *v, struct domain *d, unsigned vcpu, const struct cpuset *mask);
int pin_narrowed(struct virt *v, struct domain *d, unsigned vcpu, const struct cpuset *had,
		 struct cpuset *mask);
void pin_accepted(struct virt *v, const struct cpuset *mask);
void refused_forget(struct virt *v);
void refused_expire(struct virt *v);
void refused_say_last(struct virt *v);
struct cpuset pcpus_open(struct virt *v);

/* virt_learn.c: the first step */
void guests_learn_cpu(struct virt *v); /* of those in the reply, what a sample of vCPUs needs */
void guests_learn_mem(struct virt *v);
int domain_learn_masks(struct virt *v, struct domain *d, unsigned nvcpus);
/* Its process here.  0: not found, or the host is not this machine; or QEMU_HIDDEN. */
pid_t domain_pid(struct virt *v, struct domain *d);

/*
 * virt_sample.c: the second step, pure: what a reply's records and the table say together.  A
 * guest whose policy is not known is left alone.  -1: no memory.
 */
int sample_vcpus(const struct guest_table *t, int64_t now_ns, struct vcpu_sample *s);
int sample_guests(const struct guest_table *t, int64_t now_ns, struct guest_sample *s);
unsigned record_vcpus(const virDomainStatsRecord *r); /* the most it can have; 0: not told */
uint64_t record_balloon_kib(const virDomainStatsRecord *r); /* balloon.current; 0: not told */

/* virt_act.c: the third step */
void statistics_start(struct virt *v); /* of the balloons of those in the reply */

#endif
