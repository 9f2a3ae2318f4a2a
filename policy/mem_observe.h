/*
 * mem_observe.h - from a sample of guests' figures to what the memory policy sees
 */
#ifndef POLICY_MEM_OBSERVE_H
#define POLICY_MEM_OBSERVE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/mem.h"
#include "policy/sample.h"

/* What the policy sees and remembers.  All zero at first; the caller frees it. */
struct mem_view {
	struct mem_host host; /* what the guests have between them */
	struct guest *guest;  /* by UUID */
	size_t n;
	struct guest *merged; /* the next guests, while they are made */
	size_t guest_cap, merged_cap;
};

/*
 * Takes in a sample: history is carried over by UUID, and a figure that was left out is that of
 * the sample before, if the guest has not restarted.  limit_kib: the guests and the reserve
 * have this much, even where the host has more; 0: no limit.  Guests' names must last as long
 * as the view is used.  -1: no memory; the view is as it was, but must not be decided on.
 */
int mem_observe(const struct mem_tunables *tune, struct mem_view *view, uint64_t limit_kib,
		const struct guest_sample *now);
void mem_view_free(struct mem_view *view);

struct guest *mem_view_find(const struct mem_view *view,
			    const unsigned char *uuid); /* or NULL */

#endif
