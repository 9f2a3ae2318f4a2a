/*
 * metadata.h - what a guest's definition says of it
 */
#ifndef HOST_METADATA_H
#define HOST_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cpuset.h"
#include "policy/sample.h"

/*
 * Reads the element of METADATA_URI.  -1: *out is unchanged, error says which part is wrong;
 * where error is empty it could not be read.
 */
#define METADATA_URI "urn:vmbal:policy:1"
int metadata_parse(const char *xml, struct guest_policy *out, char *error, size_t len);

/*
 * Reads from a domain's XML what its memory is: locked (mlock, VFIO and its like, SEV: what
 * its balloon takes does not come back to the host), how much of it, of its cells and its memory
 * devices, is in hugepages (set aside when the host booted), and what these devices are.
 */
int memory_kind_parse(const char *xml, struct memory_kind *out);

/* What libvirt's <numatune> calls modes. */
enum memory_mode {
	MEMORY_GUESTS,      /* of a cell: as the guest as a whole has it */
	MEMORY_STRICT,      /* in these nodes or nowhere */
	MEMORY_PREFERRED,   /* there while there is room */
	MEMORY_INTERLEAVE,  /* over all of these by turns */
	MEMORY_RESTRICTIVE, /* in these nodes only, near who touches it first */
};

/* A vCPU's part in its guest's own NUMA cells. */
struct vcpu_cell {
	int cell; /* < 0: it is in none */
	enum memory_mode mode;
	struct cpuset nodes; /* of the host; none with MEMORY_GUESTS */
};

/*
 * Reads from a domain's XML the cells of vCPUs 0 to n - 1 and where these have their memory.
 * -1: it is none, or there is no memory.
 */
int cells_parse(const char *xml, struct vcpu_cell *out, size_t n);

#endif
