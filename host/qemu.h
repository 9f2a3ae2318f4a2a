/*
 * qemu.h - what the kernel tells of guests' QEMU processes
 */
#ifndef HOST_QEMU_H
#define HOST_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/sample.h"

/* The processes of guests.  All zero: none was looked for. */
struct qemus {
	struct qemu {
		unsigned char uuid[UUID_LEN];
		pid_t pid;
	} * qemu;
	size_t n, cap;
	bool hidden; /* /proc does not show us those of other users */
};

/* Looks through all processes.  -1: /proc cannot be read, or there is no memory. */
int qemus_read(struct qemus *all);

/* The process of a guest.  0: there is none, or more than one; QEMU_HIDDEN: it is not shown. */
#define QEMU_HIDDEN (-1)
pid_t qemu_pid(const struct qemus *all, const unsigned char *uuid);

/* Is this still the guest's process?  Pids are used again. */
bool qemu_is(pid_t pid, const unsigned char *uuid);

/* Sets wait_ns of those whose thread tells how long it waited for a pCPU, as libvirt would. */
void qemu_waits(pid_t pid, struct vcpu_count *vcpu, size_t n);

/*
 * What the kernel tells of its memory, as memory_kind_parse() does from its definition.  -1: it
 * cannot be told.
 */
int qemu_memory_kind(pid_t pid, bool *locked, uint64_t *huge_kib);

#endif
