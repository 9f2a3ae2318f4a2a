/*
 * virt.h - the only way to libvirt
 */
#ifndef HOST_VIRT_H
#define HOST_VIRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/options.h"
#include "policy/mem.h"
#include "policy/sample.h"

/*
 * One connection, shared by all threads, and what was learnt about the guests on it.  Each
 * function takes its lock for as long as it runs.  None waits for a guest whose QEMU hangs for
 * longer than a second: see virt_call.c.
 */
struct virt;

enum virt_result {
	VIRT_DONE,
	VIRT_GONE,   /* the guest is not there any more: nobody's fault */
	VIRT_BUSY,   /* a job holds the guest; it is left alone for a while */
	VIRT_HUNG,   /* logged: its QEMU does not answer; it may do what it was told yet */
	VIRT_FAILED, /* logged */
	VIRT_LOST,   /* the connection is dead, or there is none: logged */
};

/* Starts libvirt's event thread; does not connect yet.  NULL: no memory or no thread. */
struct virt *virt_new(const struct options *opt);

/* Closes the connection, returning the number of references it still had: 0 if all is well. */
int virt_free(struct virt *virt);

/* Take a sample, connecting first where needed.  -1: no sample to be had; logged once. */
int virt_vcpus(struct virt *virt, struct vcpu_sample *sample);
int virt_guests(struct virt *virt, struct guest_sample *sample);
void virt_vcpus_free(struct vcpu_sample *sample);
void virt_guests_free(struct guest_sample *sample);

/*
 * Change a running guest, never its persistent definition.  run: only this one of its runs.
 * confined: only inside the allowed pCPUs; what was there before may be put back
 * anywhere.  Of a mask that the kernel refuses, the part that it does not; mask is then that.
 */
enum virt_result virt_pin(struct virt *virt, const unsigned char *uuid, unsigned run,
			  unsigned vcpu, struct cpuset *mask, bool confined);
enum virt_result virt_set_memory(struct virt *virt, const unsigned char *uuid, uint64_t kib);

/* Libvirt's id of a guest's present run, by the last sample; 0: it does not run. */
unsigned virt_run(struct virt *virt, const unsigned char *uuid);

/* A vCPU as it is now, and the pCPUs online in the last sample. */
struct vcpu_live {
	char guest[GUEST_NAME_LEN];
	struct cpuset mask, online;
};
enum virt_result virt_vcpu(struct virt *virt, const unsigned char *uuid, unsigned vcpu,
			   struct vcpu_live *out);

/* Asks anew, at the next sample, for all that is kept about guests.  Never waits. */
void virt_refresh(struct virt *virt);

#endif
