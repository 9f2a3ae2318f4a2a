/*
 * restore.h - what becomes of a vCPU that we pinned, once we go
 */
#ifndef POLICY_RESTORE_H
#define POLICY_RESTORE_H

#include "lib/cpuset.h"

/* What becomes of it, and of what is remembered of it. */
enum restore_part {
	RESTORE_SETS,    /* it gets its mask back */
	RESTORE_KEEPS,   /* not now: it is remembered, to be tried again */
	RESTORE_FORGETS, /* it stays where it is, for good */
};

/*
 * Why a vCPU is put back or not: code, what becomes of it, and the words of the log, which the
 * manual explains.  A reason more is a row more.
 */
/* clang-format off */
#define RESTORE_REASONS(ROW) \
	ROW(RESTORE_FOUND, RESTORE_SETS, "as it was found") \
	ROW(RESTORE_EXTERNAL, RESTORE_FORGETS, "pinned externally") \
	ROW(RESTORE_OFFLINE, RESTORE_KEEPS, "the pCPUs it had are offline") \
	ROW(RESTORE_JOB, RESTORE_KEEPS, "a job holds its guest") /* the caller's, as the two below */ \
	ROW(RESTORE_REFUSED, RESTORE_KEEPS, "libvirt refused") \
	ROW(RESTORE_LOST, RESTORE_KEEPS, "libvirt is gone")
/* clang-format on */
#define RESTORE_CODE(code, ...) code,
enum restore_why { RESTORE_REASONS(RESTORE_CODE) RESTORE_WHYS };

/*
 * A vCPU was found with one mask, then asked to take two others, of which either may stand
 * after a crash, and has the mask live now.  RESTORE_FOUND: it is to have *to, and may have it.
 */
enum restore_why restore_decide(const struct cpuset *found, const struct cpuset asked[2],
				const struct cpuset *live, const struct cpuset *online,
				struct cpuset *to);

const char *restore_why_name(enum restore_why why);
enum restore_part restore_part(enum restore_why why);

#endif
