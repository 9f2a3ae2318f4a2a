/*
 * restore.h - what becomes of a vCPU that we pinned, once we go
 */
#ifndef POLICY_RESTORE_H
#define POLICY_RESTORE_H

#include "lib/cpuset.h"

/* Why a vCPU is put back or not: code, and the words of the log, which the manual explains. */
/* clang-format off */
#define RESTORE_REASONS(ROW) \
	ROW(RESTORE_FOUND, "as it was found") \
	ROW(RESTORE_EXTERNAL, "pinned externally") \
	ROW(RESTORE_OFFLINE, "the pCPUs it had are offline") \
	ROW(RESTORE_JOB, "a job holds its guest") /* the caller's, as the two below */ \
	ROW(RESTORE_REFUSED, "libvirt refused") \
	ROW(RESTORE_LOST, "libvirt is gone")
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

#endif
