/*
 * virt.h - what the four parts of the libvirt layer share: virt.c (connection, table of
 * guests), virt_sample.c (bulk reads), virt_learn.c (what these do not tell), virt_act.c
 * (commands). Nobody else includes this.
 */
#ifndef HOST_VIRT_H
#define HOST_VIRT_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

#include "vmbal.h"

/* What failed lately waits, longer each time, until it succeeds. */
struct refusal {
	int64_t until_ns, delay_ns;
	bool said; /* in the log */
};

/* A running domain: what was asked once and is kept until an event or a restart. */
struct domain {
	unsigned char uuid[UUID_LEN];
	virDomainPtr ref;
	unsigned id; /* of this run of the domain */
	char name[GUEST_NAME_LEN];
	bool managed; /* matches --guests */
	bool present; /* in the bulk read under way */
	bool pins_known, period_known, policy_known;
	bool policy_read;           /* at least once: until then it is left alone */
	struct guest_policy policy; /* what its metadata say of it */
	bool locked, hugepages;     /* its memory: see struct guest */
	bool unread, obscure; /* said so in the log: its masks, its definition cannot be read */
	double quota;         /* CPUs each of its vCPUs may use; 0: no limit */
	uint64_t boot_id;
	unsigned npins;         /* entries of mask and fence */
	unsigned *mask, *fence; /* per vCPU number: indices into virt's sets */
	struct refusal job;     /* one holds it, or a call timed out: no command at all */
	struct refusal pins;    /* such a command was refused */
	struct refusal memory;  /* the same; how long to wait then is the policy's to say */
	struct refusal ask_policy, ask_masks, period; /* so was such a question, or call */
};

#define EVENT_KINDS 4
#define EVENTS_MAX  256 /* notes kept between two samples; beyond that every domain is asked */

enum event_kind {
	EVENT_TUNED, /* masks, the fence or the quota may have changed */
	EVENT_REBOOT,
	EVENT_POLICY, /* its metadata changed */
};

struct event {
	unsigned char uuid[UUID_LEN];
	enum event_kind kind;
};

struct virt {
	pthread_mutex_t lock; /* held over every call into libvirt; guards all below */
	virConnectPtr conn;   /* NULL: not connected */
	const struct options *opt;
	bool local; /* the host is this machine: /proc is its own */
	bool lost;  /* the connection is dead: virt_leave() closes it */
	bool down, deaf, bulk_bad, map_bad, pcpu_bad, mem_bad; /* said so in the log */
	bool topology_bad, vcpus_starved, guests_starved;      /* the same */
	size_t stale_next;      /* the domain whose fence is read anew next */
	int ncpustats;          /* figures libvirt has of a pCPU; 0: not asked */
	int64_t retry_ns;       /* do not connect before */
	int64_t delay_ns;       /* between the last attempt and that */
	bool proven;            /* the connection has told of guests */
	int64_t learn_until_ns; /* what is not known of guests by then has to wait for a tick */
	unsigned epoch;
	uint64_t boots;       /* runs of guests seen so far: each gets its own boot_id */
	struct cpuset online; /* when the masks were learnt: unpinned ones tell just these */
	struct domain *dom;   /* by UUID */
	size_t ndom, dom_cap;
	struct cpuset *set; /* distinct masks */
	size_t nsets, set_cap;
	int maplen;                         /* bytes of a libvirt CPU map of this host */
	bool topology_known, topology_read; /* as of now; at least once */
	struct topology topology;
	int callback[EVENT_KINDS]; /* event registrations; -1: none */
	int leaked;                /* references that closed connections still had */

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
int virt_learn_topology(struct virt *v);
void virt_proven(struct virt *v);
void virt_check(struct virt *v, bool *said, const char *what);
struct domain *domain_find(struct virt *v, const unsigned char *uuid);
int domains_sync(struct virt *v, virDomainStatsRecordPtr *records, int n);

/* virt_learn.c */
#define REFUSED_MOST_NS 320000000000LL /* the longest wait after a refusal */
void refusal_wait(struct refusal *r, int64_t most_ns);
bool guest_is_gone(void); /* so the last call failed: nobody's fault */
int virt_intern(struct virt *v, const unsigned char *map); /* index in set; -1: no memory */
struct cpuset virt_map_to_set(const struct virt *v, const unsigned char *map);
void domain_learn_cpu(struct virt *v, struct domain *d, unsigned nvcpus);
int domain_learn_masks(struct virt *v, struct domain *d, unsigned nvcpus);
void domain_learn_policy(struct virt *v, struct domain *d);

/* virt_act.c */
void domain_learn_period(struct virt *v, struct domain *d);

#endif
