/*
 * restore.c - a vCPU goes back to the mask it was found with, unless somebody else moved it
 * since.
 */
#include "policy/restore.h"

#define RESTORE_NAME(code, part, name) [code] = name,
static const char *const name[RESTORE_WHYS] = { RESTORE_REASONS(RESTORE_NAME) };

#define RESTORE_PART(code, part, name) [code] = part,
static const enum restore_part part[RESTORE_WHYS] = { RESTORE_REASONS(RESTORE_PART) };

const char *restore_why_name(enum restore_why why)
{
	return name[why];
}

enum restore_part restore_part(enum restore_why why)
{
	return part[why];
}

enum restore_why restore_decide(const struct cpuset *found, const struct cpuset asked[2],
				const struct cpuset *live, const struct cpuset *online,
				struct cpuset *to)
{
	struct cpuset back = *found;

	cpuset_and(&back, online);
	if (!cpuset_equal(live, &back) && !cpuset_equal(live, &asked[0]) &&
	    !cpuset_equal(live, &asked[1]))
		return RESTORE_EXTERNAL;
	if (cpuset_count(&back) == 0)
		return RESTORE_OFFLINE;
	*to = back;
	return RESTORE_FOUND;
}
