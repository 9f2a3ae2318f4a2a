/*
 * state.h - what must outlive a crash
 */
#ifndef LOOP_STATE_H
#define LOOP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "host/options.h"
#include "host/proc.h"
#include "host/runtime.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "policy/sample.h"

/* A vCPU that was pinned, or seen, or a guest that is shrinking. */
struct mark {
	unsigned char uuid[UUID_LEN];
	unsigned run; /* libvirt's id of the guest's run */
	unsigned vcpu;
	uint64_t target_kib;    /* what it shrinks to; 0: this is of a pin */
	struct cpuset found;    /* before the first pin; every bit: it was unpinned */
	struct cpuset asked[2]; /* last asked for, and before that: a crash may leave either;
				   empty: it was not pinned by us */
};

struct marks {
	struct mark *mark; /* by UUID, then vCPU */
	size_t n, cap;
};

struct state {
	struct marks marks;
	const char *uri;
	char boot[BOOT_ID_LEN];
	char path[RUNTIME_PATH_LEN]; /* empty: kept in memory only */
	bool readonly;
	bool changed; /* since it was saved */
	bool unsaved; /* said so in the log */
	bool refused; /* a file was there and is not trusted */
};

/*
 * Reads a state file's text; *out is the caller's to free.  That of another boot of the host
 * is valid and void.  -1: *error says what is wrong.
 */
int state_parse(const char *text, size_t len, const char *uri, const char *boot,
		struct marks *out, const char **error);

/* Takes over what the last run left; a file that cannot be trusted is set aside. */
void state_open(struct state *s, const struct options *opt, const char *kind);
void state_close(struct state *s);

/*
 * Replaces the file if there is news; removes it when nothing is kept.  -1, logged once: it is
 * as it was.
 */
int state_save(struct state *s);

/*
 * Notes that a vCPU which now has the mask live is about to be asked to take asked; found
 * counts when it is the first such.  -1: no memory.
 */
int state_pin(struct state *s, const unsigned char *uuid, unsigned run, unsigned vcpu,
	      const struct cpuset *found, const struct cpuset *live,
	      const struct cpuset *asked);

/*
 * Notes the mask that a vCPU is seen with, and sets *first to the one that it was first seen
 * with in this run of its guest.  -1: no memory.
 */
int state_found(struct state *s, const unsigned char *uuid, unsigned run, unsigned vcpu,
		const struct cpuset *now, struct cpuset *first);

/* The mask that a vCPU was found with; NULL: not known. */
const struct cpuset *state_first(const struct state *s, const unsigned char *uuid, unsigned run,
				 unsigned vcpu);

/* Notes a shrink under way.  -1: no memory. */
int state_shrink(struct state *s, const unsigned char *uuid, unsigned run, uint64_t target_kib);

/* Forgets what keep() says no to. */
void state_filter(struct state *s, bool (*keep)(const struct mark *, void *), void *arg);

/*
 * Puts the vCPUs of s back on the masks they were found with, as far as pCPUs are online.  One
 * that somebody else has pinned since is left.  Takes a sample of vCPUs before.  Returns how
 * many could not be put back by deadline_ns; these stay in s.
 */
int state_restore(struct state *s, struct virt *virt, int64_t deadline_ns);

#endif
